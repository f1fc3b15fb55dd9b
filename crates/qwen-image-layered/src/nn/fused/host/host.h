// What kernels.cu needs to be C++: blocks run one after the other, and the threads of a block at the same time.
#pragma once
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#define __device__
#define __global__

struct Index {
    unsigned int x, y, z;
};

inline thread_local Index threadIdx, blockIdx;
inline Index blockDim, gridDim;

inline float __uint_as_float(unsigned int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned int __float_as_uint(float value) {
    unsigned int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline std::mutex atomics;

inline unsigned int atomicMax(unsigned int *at, unsigned int value) {
    std::lock_guard<std::mutex> lock(atomics);
    unsigned int before = *at;
    if (value > before) *at = value;
    return before;
}

// The lanes of a warp, which exchange values in step: a lane that does not come blocks the others for good.
class Warp {
    std::mutex mutex;
    std::condition_variable turn;
    float values[32];
    int waiting = 0;
    unsigned long round = 0;

    void meet(std::unique_lock<std::mutex> &lock) {
        unsigned long mine = round;
        if (++waiting == 32) {
            waiting = 0;
            round++;
            turn.notify_all();
        } else {
            turn.wait(lock, [&] { return round != mine; });
        }
    }

  public:
    float exchange(float value, unsigned int lane, unsigned int other) {
        std::unique_lock<std::mutex> lock(mutex);
        values[lane] = value;
        meet(lock);
        float found = values[other];
        meet(lock);
        return found;
    }
};

inline std::vector<Warp> *warps;

inline float __shfl_xor_sync(unsigned int, float value, unsigned int distance) {
    unsigned int thread = threadIdx.y * blockDim.x + threadIdx.x;
    return (*warps)[thread / 32].exchange(value, thread % 32, thread % 32 ^ distance);
}

inline void launch(Index grid, Index block, const std::function<void()> &kernel) {
    gridDim = grid;
    blockDim = block;
    for (unsigned int by = 0; by < grid.y; by++) {
        for (unsigned int bx = 0; bx < grid.x; bx++) {
            std::vector<Warp> of_block((block.x * block.y + 31) / 32);
            warps = &of_block;
            std::vector<std::thread> threads;
            for (unsigned int ty = 0; ty < block.y; ty++) {
                for (unsigned int tx = 0; tx < block.x; tx++) {
                    threads.emplace_back([=, &kernel] {
                        threadIdx = {tx, ty, 0};
                        blockIdx = {bx, by, 0};
                        kernel();
                    });
                }
            }
            for (std::thread &thread : threads) thread.join();
        }
    }
}
