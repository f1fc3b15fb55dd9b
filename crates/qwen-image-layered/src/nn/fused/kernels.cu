// Work of a transformer block beside products and attention: one pass over memory each, f32 inside.
// The formulas are those of ../elementwise.rs. Without nvcc this file is C++ (tests.rs).
#ifndef __CUDACC__
#include "host.h"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

// Two values that stand next to each other in memory.
struct alignas(8) Pair {
    float first, second;
};

// Two bf16: 32 bits, the first one in the lower half.
struct Bf16Pair {
    u32 bits;
};

__device__ inline Pair widen(Pair value) { return value; }

__device__ inline Pair widen(Bf16Pair value) {
    return {__uint_as_float(value.bits << 16), __uint_as_float(value.bits & 0xffff0000u)};
}

// The nearest bf16, of two the even one.
__device__ inline u32 rounded(float value) {
    u32 bits = __float_as_uint(value);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return nan ? 0x7fc0u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

__device__ inline void narrow(Pair value, Pair *to) { *to = value; }

__device__ inline void narrow(Pair value, Bf16Pair *to) {
    to->bits = rounded(value.first) | rounded(value.second) << 16;
}

// RMS norm of each row of `pairs` pairs, and rotation of the pairs. Each token has `heads` rows; `rotation` has cosine
// and sine of each pair of each token. A warp takes a row: blocks are (32, rows of a block).
template <typename T>
__device__ void rms_norm_rotate(const T *x, const T *weight, const Pair *rotation, T *y, u32 rows, u32 heads, u32 pairs,
                                float eps) {
    u32 row = blockIdx.x * blockDim.y + threadIdx.y;
    // The whole warp has the same row: none of it is left alone in the sum below.
    if (row >= rows) return;
    u64 start = (u64)row * pairs;
    u64 turn = (u64)(row / heads) * pairs;
    float squares = 0.0f;
    for (u32 k = threadIdx.x; k < pairs; k += 32) {
        Pair value = widen(x[start + k]);
        squares += value.first * value.first + value.second * value.second;
    }
    for (u32 distance = 16; distance > 0; distance /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, distance);
    float factor = 1.0f / sqrtf(squares / (float)(2 * pairs) + eps);
    for (u32 k = threadIdx.x; k < pairs; k += 32) {
        Pair value = widen(x[start + k]), scale = widen(weight[k]), angle = rotation[turn + k];
        float re = value.first * factor * scale.first, im = value.second * factor * scale.second;
        narrow({re * angle.first - im * angle.second, re * angle.second + im * angle.first}, y + start + k);
    }
}

// x + gate * y in rows of `width` pairs, with the same gate in each row.
template <typename T>
__device__ void add_gated(const T *x, const T *gate, const T *y, T *out, u32 rows, u32 width) {
    for (u32 row = blockIdx.y; row < rows; row += gridDim.y) {
        for (u32 k = blockIdx.x * blockDim.x + threadIdx.x; k < width; k += gridDim.x * blockDim.x) {
            u64 i = (u64)row * width + k;
            Pair left = widen(x[i]), factor = widen(gate[k]), right = widen(y[i]);
            narrow({left.first + factor.first * right.first, left.second + factor.second * right.second}, out + i);
        }
    }
}

// The largest magnitude of all values, as its bits, which are ordered like the magnitudes; `largest` is 0 before. NaN
// is the largest of all.
template <typename T>
__device__ void largest(const T *x, u32 *largest, u64 pairs) {
    u32 found = 0;
    for (u64 k = (u64)blockIdx.x * blockDim.x + threadIdx.x; k < pairs; k += (u64)gridDim.x * blockDim.x) {
        Pair value = widen(x[k]);
        u32 first = __float_as_uint(value.first) & 0x7fffffffu, second = __float_as_uint(value.second) & 0x7fffffffu;
        u32 both = first > second ? first : second;
        found = both > found ? both : found;
    }
    for (u32 distance = 16; distance > 0; distance /= 2) {
        u32 other = __float_as_uint(__shfl_xor_sync(0xffffffffu, __uint_as_float(found), distance));
        found = other > found ? other : found;
    }
    if (threadIdx.x % 32 == 0) atomicMax(largest, found);
}

// The nearest float8 E4M3, of two the even one, of a value of at most 448; what is larger becomes 448.
__device__ inline u32 float8(float value) {
    u32 sign = __float_as_uint(value) >> 24 & 0x80u;
    float size = fminf(fabsf(value), 448.0f);
    // Below 2^-6 steps are 2^-9, and eight of them are the bits of 2^-6.
    if (size < 0.015625f) return sign | (u32)rintf(size * 512.0f);
    // Exponent and three bits of the fraction; the exponent of 1 is 7 in place of 127.
    u32 bits = __float_as_uint(size);
    return sign | (((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - (120u << 3));
}

// Float8 E4M3 of all values times 448 / `largest`, and what they are multiplied with to be the values again.
template <typename T>
__device__ void to_float8(const T *x, const u32 *largest, unsigned short *out, float *scale, u64 pairs) {
    float most = __uint_as_float(*largest);
    // Less than this is nothing: its inverse would be infinite.
    float factor = most > 1e-30f ? 448.0f / most : 0.0f;
    if (blockIdx.x == 0 && threadIdx.x == 0) *scale = most / 448.0f;
    for (u64 k = (u64)blockIdx.x * blockDim.x + threadIdx.x; k < pairs; k += (u64)gridDim.x * blockDim.x) {
        Pair value = widen(x[k]);
        out[k] = (unsigned short)(float8(value.first * factor) | float8(value.second * factor) << 8);
    }
}

extern "C" __global__ void largest_bf16(const Bf16Pair *x, u32 *bits, u64 pairs) { largest(x, bits, pairs); }

extern "C" __global__ void to_float8_bf16(const Bf16Pair *x, const u32 *bits, unsigned short *out, float *scale,
                                          u64 pairs) {
    to_float8(x, bits, out, scale, pairs);
}

extern "C" __global__ void rms_norm_rotate_f32(const Pair *x, const Pair *weight, const Pair *rotation, Pair *y,
                                               u32 rows, u32 heads, u32 pairs, float eps) {
    rms_norm_rotate(x, weight, rotation, y, rows, heads, pairs, eps);
}

extern "C" __global__ void rms_norm_rotate_bf16(const Bf16Pair *x, const Bf16Pair *weight,
                                                const Pair *rotation, Bf16Pair *y, u32 rows, u32 heads, u32 pairs,
                                                float eps) {
    rms_norm_rotate(x, weight, rotation, y, rows, heads, pairs, eps);
}

extern "C" __global__ void add_gated_f32(const Pair *x, const Pair *gate, const Pair *y, Pair *out, u32 rows,
                                         u32 width) {
    add_gated(x, gate, y, out, rows, width);
}

extern "C" __global__ void add_gated_bf16(const Bf16Pair *x, const Bf16Pair *gate, const Bf16Pair *y,
                                          Bf16Pair *out, u32 rows, u32 width) {
    add_gated(x, gate, y, out, rows, width);
}
