/* One thread block trains one network, for a whole epoch in one launch: no other kernel, no barrier over the grid.

A launch has a block per multiprocessor, and blocks take items of work (segment of the epoch, member) from a counter. So
320 networks on 132 multiprocessors cost 320 / 132 of one, not three times one. Few networks have a team of blocks each.
Neither the counter nor the teams change a number: sums are in an order that depends on the batch.

For a GPU it is compiled in units, which source.py lists: compilers take longer for one with all sizes of parts. */
#include "step.cuh"

#if defined(UNIT_ENTRY)

extern "C" __global__ void __launch_bounds__(THREADS, 1) train_block(const Training given)
{
    Resident &s = *(Resident *)shared_memory;
    if (given.blocks > 1) {
        if (threadIdx.x == 0) s.item = atomicAdd(given.progress, 1);
        __syncthreads();
        train_in_team(given, s, s.item);
        return;
    }
    char *scratch = given.scratch + blockIdx.x * given.scratch_bytes;
    const int items = (given.end - given.begin) * given.count;
    for (;;) {
        __syncthreads();
        if (threadIdx.x == 0) {
            s.item = atomicAdd(given.progress, 1);
            if (s.item < items) { /* the member's previous segment was taken earlier, so it ends without this block */
                volatile int32_t *finished = given.progress + 1 + s.item % given.count;
                while (*finished < s.item / given.count) __nanosleep(200);
                __threadfence();
            }
        }
        __syncthreads();
        const int item = s.item, member = item % given.count;
        if (item >= items) break;
        const int segment = given.begin + item / given.count;
        train_segments(given, s, scratch, member, no_team(), segment, segment + 1);
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) *(volatile int32_t *)(given.progress + 1 + member) = item / given.count + 1;
    }
}

#elif defined(UNIT_SCORE)

extern "C" __global__ void __launch_bounds__(THREADS, 1) score_block(const Scoring given)
{
    char *scratch = given.scratch + blockIdx.x * given.scratch_bytes;
    const int pieces = (given.count + SCORED - 1) / SCORED;
    for (int item = blockIdx.x; item < pieces * given.networks; item += gridDim.x)
        score(given, scratch, item / pieces, item % pieces * SCORED);
}

#elif defined(UNIT_TRAIN)

template LINKED void train<UNIT_TRAIN>(char *, int, int);

#elif !defined(__CUDACC__) /* one block after the other, and the blocks of a team in turn */

extern "C" void train_block(const Training *given, uint32_t seed)
{
    thread_seed = seed;
    if (given->blocks > 1) {
        for (int member = 0; member < given->count; ++member)
            simulate_team(given->members[member].blocks, [&](int rank) {
                train_in_team(*given, *(Resident *)shared_memory, member * given->blocks + rank);
            });
        return;
    }
    SimulatedBlock block;
    block.enter();
    for (int segment = given->begin; segment < given->end; ++segment)
        for (int member = 0; member < given->count; ++member)
            train_segments(*given, *(Resident *)shared_memory, given->scratch, member, no_team(), segment, segment + 1);
}

extern "C" void score_block(const Scoring *given, uint32_t seed)
{
    SimulatedBlock block;
    block.enter();
    thread_seed = seed;
    for (int member = 0; member < given->networks; ++member)
        for (int begin = 0; begin < given->count; begin += SCORED) score(*given, given->scratch, member, begin);
}

#endif
