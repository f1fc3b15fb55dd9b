// Runs one kernel of kernels.cu on this processor:
//     main KERNEL GRID_X GRID_Y BLOCK_X BLOCK_Y A B EPS OUT_BYTES INPUT INPUT INPUT OUTPUT
// A and B are what the kernel takes after its pointers: rows and width; or rows and heads, where the width is that of
// the second input. `to_float8_bf16` runs after `largest_bf16`; it looks at the first input alone, and its output is the
// values and their scale.
#include "../kernels.cu"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

static std::vector<char> read(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

int main(int count, char **words) {
    if (count != 14) return 2;
    std::string kernel = words[1];
    auto number = [&](int i) { return (u32)std::strtoul(words[i], nullptr, 10); };
    Index grid = {number(2), number(3), 1}, block = {number(4), number(5), 1};
    u32 a = number(6), b = number(7);
    float eps = std::strtof(words[8], nullptr);
    std::vector<char> first = read(words[10]), second = read(words[11]), third = read(words[12]), out(number(9));
    auto run = [&](auto type, auto norm, auto gated) {
        using T = decltype(type);
        auto x = (const T *)first.data(), y = (const T *)second.data();
        u32 pairs = second.size() / sizeof(T);
        if (norm) {
            launch(grid, block, [&] { norm(x, y, (const Pair *)third.data(), (T *)out.data(), a, b, pairs, eps); });
        } else {
            launch(grid, block, [&] { gated(x, y, (const T *)third.data(), (T *)out.data(), a, b); });
        }
    };
    auto run_float8 = [&] {
        auto x = (const Bf16Pair *)first.data();
        u64 pairs = first.size() / sizeof(Bf16Pair);
        u32 largest = 0;
        float scale = 0.0f;
        launch(grid, block, [&] { largest_bf16(x, &largest, pairs); });
        launch(grid, block, [&] { to_float8_bf16(x, &largest, (unsigned short *)out.data(), &scale, pairs); });
        std::memcpy(out.data() + 2 * pairs, &scale, sizeof scale);
    };
    using NormF32 = decltype(&rms_norm_rotate_f32);
    using NormBf16 = decltype(&rms_norm_rotate_bf16);
    if (kernel == "rms_norm_rotate_f32") run(Pair{}, &rms_norm_rotate_f32, &add_gated_f32);
    else if (kernel == "rms_norm_rotate_bf16") run(Bf16Pair{}, &rms_norm_rotate_bf16, &add_gated_bf16);
    else if (kernel == "add_gated_f32") run(Pair{}, NormF32(nullptr), &add_gated_f32);
    else if (kernel == "add_gated_bf16") run(Bf16Pair{}, NormBf16(nullptr), &add_gated_bf16);
    else if (kernel == "to_float8_bf16") run_float8();
    else return 2;
    std::ofstream file(words[13], std::ios::binary);
    file.write(out.data(), out.size());
    return file ? 0 : 1;
}
