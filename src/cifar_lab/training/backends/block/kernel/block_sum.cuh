/* Sum of one number per thread of a block, in a fixed order. */
#pragma once
#include "threads.cuh"

constexpr int PARTIAL_SUMS = THREADS + WARPS; /* memory of a sum: numbers of the threads, then sums over 32 of them */

/* First phase, with `own` of every thread. */
DEVICE void note_addend(int tid, float *partial, float own) { partial[tid] = own; }

/* Second phase. */
DEVICE void add_addends(int tid, float *partial)
{
    if (tid >= WARPS) return;
    float sum = 0.f;
    for (int i = 0; i < 32; ++i) sum += partial[tid * 32 + i];
    partial[THREADS + tid] = sum;
}

/* The sum, in any later phase. */
DEVICE float block_sum(const float *partial)
{
    float sum = 0.f;
    for (int i = 0; i < WARPS; ++i) sum += partial[THREADS + i];
    return sum;
}
