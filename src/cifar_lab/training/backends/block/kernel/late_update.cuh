/* Updates that wait for the whole gradient of a batch, which lies in scratch memory: after clipping, and Muon's. */
#pragma once
#include "forward.cuh"
#include "muon.cuh"

constexpr float CLIP_EPS = 1e-6f; /* as in optim/clipping.py */

DEVICE bool updates_late(const Member &m) { return m.iterations > 0 || m.clip_norm > 0; }

/* The thread's part of the squares of the gradient. */
DEVICE float squares_of(int tid, const float *gradient)
{
    float squares = 0.f;
    for (int n = 0; n < PARAMETERS; ++n) {
        const Parameter p = PARAMETER[n];
        for (int i = tid; i < p.size; i += THREADS) {
            if (i % p.width >= p.outputs) continue;
            const float g = shared_load(gradient + p.at + i);
            squares = fmaf(g, g, squares);
        }
    }
    return squares;
}

/* Scale the gradient down to the largest norm, from the sum of its squares. A NaN stays one. */
DEVICE void clip(int tid, float *gradient, float squares, float largest)
{
    const float factor = largest / (sqrtf(squares) + CLIP_EPS);
    if (factor > 1.f) return;
    for (int i = tid; i < NUMBERS; i += THREADS) gradient[i] = shared_load(gradient + i) * factor;
}

/* Update a parameter that no part has updated. */
DEVICE void update_parameter(int tid, Resident &s, const Target &t, int n)
{
    const Parameter p = PARAMETER[n];
    for (int i = tid; i < p.size; i += THREADS) {
        const int at = p.at + i;
        if (i % p.width >= p.outputs) continue;
        float weight = at < CONVOLUTIONS ? s.weights[at] : shared_load(t.weights + at);
        use_gradient(s.rules[n], t, at, weight, shared_load(t.sums + at));
        (at < CONVOLUTIONS ? s.weights : t.weights)[at] = weight;
    }
}

/* Updates of one step that its parts have left. */
CALLED void update_late(char *scratch)
{
    THREAD_REGISTERS
    const Memory memory = memory_of(scratch);
    Resident &s = *memory.resident;
    const Target t = target_of(s.member, memory.sums, true, true);
    const bool muon = s.member.iterations > 0, clips = s.member.clip_norm > 0;
    float *partial = (float *)memory.work;
    if (clips) {
        PHASE note_addend(tid, partial, squares_of(tid, t.sums));
        END_PHASE
        PHASE add_addends(tid, partial);
        END_PHASE
        PHASE clip(tid, t.sums, block_sum(partial), (float)s.member.clip_norm);
        END_PHASE
        PHASE for (int n = 0; n < PARAMETERS; ++n)
            if (!muon || !is_matrix(n)) update_parameter(tid, s, t, n);
        END_PHASE
    }
    ROLLED
    for (int n = 0; SQUARES_FIT && muon && n < PARAMETERS; ++n)
        if (is_matrix(n)) update_matrix(s, memory.work, t, n, registers);
}
