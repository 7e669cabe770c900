/* One source for two compilers: CUDA for the GPU, and C++, where the threads of a block are a loop, for tests.

Work is divided into phases. On the GPU a barrier ends each phase. In C++ a phase runs thread by thread, in an order that
a seed shuffles: a phase that reads what another thread writes in it then gives other numbers. Values of a thread that
live across phases are in `Registers`. */
#pragma once

constexpr int THREADS = 512; /* of a block */
constexpr int WARPS = THREADS / 32;

struct Registers {
    float sums[41]; /* every index is a constant after unrolling, or the array would leave the registers */
};

#ifdef __CUDACC__

#ifdef __CUDACC_RTC__ /* has no standard headers */
typedef unsigned char uint8_t;
typedef unsigned int uint32_t;
typedef int int32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif
#define DEVICE static __device__ __forceinline__
#define CALLED static __device__ __noinline__ /* has its own registers, where inlined it would spill those of others */
#define LINKED __device__ __noinline__ /* called from another unit of the code, see source.py */
#define THREAD_REGISTERS Registers registers;
#define CONSTANT static __constant__
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#define REGISTERS Registers &
#define OWN registers
#define PHASE                                                                                                          \
    {                                                                                                                  \
        const int tid = threadIdx.x;                                                                                   \
        (void)tid;
#define END_PHASE                                                                                                      \
    }                                                                                                                  \
    __syncthreads();
extern __shared__ __align__(128) char shared_memory[];

#else

#include <math.h>
#include <stdint.h>
#include <string.h>
#define DEVICE static inline
#define CALLED static
#define LINKED static
#define THREAD_REGISTERS Registers *registers = thread_registers;
#define CONSTANT static const
#define UNROLL
#define ROLLED
#define REGISTERS Registers *
#define OWN registers[tid] /* of this thread */
#define PHASE                                                                                                          \
    for (Shuffled turn_; turn_.next();) {                                                                              \
        const int tid = turn_.tid;                                                                                     \
        (void)tid;
#define END_PHASE }

static char *shared_memory; /* of the block that runs, as its registers */
static Registers *thread_registers;
static uint32_t thread_seed; /* 0: threads in order */

/* Threads of one phase: a permutation, because the factor is odd and THREADS a power of 2. */
struct Shuffled {
    uint32_t count = 0, factor = 1, begin = 0;
    int tid = 0;
    Shuffled()
    {
        if (thread_seed == 0) return;
        thread_seed = thread_seed * 1664525u + 1013904223u;
        factor = thread_seed >> 8 | 1;
        begin = thread_seed >> 16;
        thread_seed += thread_seed == 0;
    }
    bool next()
    {
        tid = (int)((count * factor + begin) % THREADS);
        return count++ < THREADS;
    }
};

struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
static inline int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
static inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t bits)
{
    return (uint32_t)(((uint64_t)high << 32 | low) >> (bits & 31));
}
static inline uint32_t __byte_perm(uint32_t low, uint32_t high, uint32_t selector)
{
    uint32_t out = 0;
    for (int i = 0; i < 4; ++i)
        out |= (uint32_t)(((uint64_t)high << 32 | low) >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
    return out;
}

#endif

DEVICE float4 load4(const float *p) { return *(const float4 *)p; }
DEVICE float2 load2(const float *p) { return *(const float2 *)p; }

/* Loads of what no launch writes. */
template <class T> DEVICE T constant_load(const T *p)
{
#ifdef __CUDA_ARCH__
    return __ldg(p);
#else
    return *p;
#endif
}

/* Loads of memory that blocks on other multiprocessors may have written: past the first cache, which is not coherent. */
template <class T> DEVICE T shared_load(const T *p)
{
#ifdef __CUDA_ARCH__
    return __ldcg(p);
#else
    return *p;
#endif
}
DEVICE float4 shared_load4(const float *p)
{
#ifdef __CUDA_ARCH__
    return __ldcg((const float4 *)p);
#else
    return load4(p);
#endif
}

/* Copy `bytes`, a multiple of 16, from global to shared memory with all threads. `copied` waits for a thread's share. */
DEVICE void block_copy(int tid, void *to, const void *from, int bytes)
{
    for (int i = tid * 16; i < bytes; i += THREADS * 16) {
#ifdef __CUDA_ARCH__
        const uint32_t at = (uint32_t)__cvta_generic_to_shared((char *)to + i);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(at), "l"((const char *)from + i) : "memory");
#else
        memcpy((char *)to + i, (const char *)from + i, 16);
#endif
    }
}
DEVICE void copied()
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.wait_all;\n" ::: "memory");
#endif
}

/* Begin sums of a thread. */
template <int N> DEVICE void clear_sums(float *sums)
{
    UNROLL
    for (int i = 0; i < N; ++i) sums[i] = 0.f;
}
template <int N> DEVICE void clear_sums(float (&sums)[N][4])
{
    UNROLL
    for (int i = 0; i < N; ++i) sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0.f;
}
