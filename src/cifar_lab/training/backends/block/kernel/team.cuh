/* Teams: blocks of a launch that train one network together, where networks are fewer than multiprocessors.

Blocks join in the order in which they begin. While other launches occupy multiprocessors, at most one team of a launch
is incomplete, and only its blocks wait. */
#pragma once
#include "jobs.cuh"
#include "simulated_blocks.cuh"

struct Team {
    int rank, blocks;  /* of the block in its team; of the team */
    int awaited;       /* arrivals after which all have met */
    int32_t *arrivals; /* of the team's blocks so far */
    float *shares;     /* rows of gradients, one per share of the batch; a row ends with the loss and hits of its share */
    char *scratch;     /* of the first block */
};

/* A block by itself. */
DEVICE Team no_team() { return {0, 1, 0, nullptr, nullptr, nullptr}; }

/* Member and rank of the block that began as number `place`. */
DEVICE int member_at(const Training &given, int place) { return place / given.blocks; }
DEVICE Team team_at(const Training &given, int place)
{
    const int member = member_at(given, place), rank = place % given.blocks;
    return {rank, given.members[member].blocks, 0, given.progress + 1 + member,
            given.shares + (int64_t)member * given.most_shares * SHARE_ROW,
            given.scratch + (place - rank) * given.scratch_bytes};
}

/* Wait until all blocks of the team are here, and see what they have written. Follows a phase. */
#ifdef __CUDACC__
DEVICE void meet(Team &team)
{
    if (threadIdx.x == 0) {
        __threadfence();
        team.awaited += team.blocks;
        atomicAdd(team.arrivals, 1);
        while (*(volatile int32_t *)team.arrivals < team.awaited) continue;
        __threadfence();
    }
    __syncthreads();
}
#else
DEVICE void meet(Team &team) { simulate_meeting(); }
#endif
