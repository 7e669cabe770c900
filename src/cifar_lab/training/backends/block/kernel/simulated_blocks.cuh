/* Blocks in C++: each has its shared memory and registers, and those of a team have a stack each.

A block of a team runs to a meeting, then the others do, in an order that the seed shuffles. A block that reads what
another has yet to write, because a meeting is missing, always gets other numbers. */
#pragma once
#include "threads.cuh"

#ifndef __CUDACC__

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <functional>
#include <memory>
#include <vector>

struct SimulatedBlock {
    struct alignas(128) Shared { char bytes[SHARED_BYTES]; };
    std::unique_ptr<Shared> shared{new Shared};
    std::unique_ptr<Registers[]> registers{new Registers[THREADS]};

    void enter()
    {
        shared_memory = shared->bytes;
        thread_registers = registers.get();
    }
};

struct SimulatedMate : SimulatedBlock {
    static constexpr int STACK_BYTES = 1 << 20;
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
    ucontext_t context;
    int meetings = 0;
    bool ended = false;
};

static ucontext_t team_scheduler;
static SimulatedMate *running_mate;
static std::function<void(int)> team_work;
static int meetings_per_step = 1, missed_meeting = -1; /* for tests: blocks do not wait at this one of a step */

static void run_mate(int rank)
{
    team_work(rank);
    running_mate->ended = true;
    swapcontext(&running_mate->context, &team_scheduler);
}

/* Let the other blocks of the team run to this meeting. */
static void simulate_meeting()
{
    if (running_mate->meetings++ % meetings_per_step == missed_meeting) return;
    swapcontext(&running_mate->context, &team_scheduler);
}

/* Run `work` with the rank of each block of a team. */
static void simulate_team(int blocks, std::function<void(int)> work)
{
    std::vector<SimulatedMate> mates(blocks);
    team_work = work;
    for (int rank = 0; rank < blocks; ++rank) {
        ucontext_t &context = mates[rank].context;
        getcontext(&context);
        context.uc_stack.ss_sp = mates[rank].stack.get();
        context.uc_stack.ss_size = SimulatedMate::STACK_BYTES;
        context.uc_link = nullptr;
        makecontext(&context, (void (*)())run_mate, 1, rank);
    }
    for (int ended = 0; ended < blocks;) {
        const bool backwards = thread_seed >> 16 & 1;
        for (int turn = 0; turn < blocks; ++turn) {
            running_mate = &mates[backwards ? blocks - 1 - turn : turn];
            running_mate->enter();
            swapcontext(&team_scheduler, &running_mate->context);
            ended += running_mate->ended;
        }
        if (ended > 0 && ended < blocks) {
            fputs("a block of a team left without the others\n", stderr);
            abort();
        }
    }
}

/* For tests: leave out meeting `missed` of the `each` that a step has. -1: none. */
extern "C" void miss_meeting(int missed, int each)
{
    missed_meeting = missed;
    meetings_per_step = each;
}

#endif
