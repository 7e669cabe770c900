/* Muon for one matrix, as in training/optim/muon.py. Its gradient lies in scratch memory. */
#pragma once
#include "newton_schulz.cuh"
#include "update.cuh"

/* Take the gradient into the momentum, and put the update in its place. Returns the thread's part of its squares. */
DEVICE float take_momentum(int tid, const Parameter &p, const Rule &r, bool nesterov, float *first, float *gradient)
{
    float squares = 0.f;
    for (int i = tid * 4; i < p.size; i += THREADS * 4) {
        const float4 given = shared_load4(gradient + i), kept = shared_load4(first + i);
        float g[4] = {given.x, given.y, given.z, given.w}, b[4] = {kept.x, kept.y, kept.z, kept.w};
        const int output = i % p.width;
        UNROLL
        for (int n = 0; n < 4; ++n) {
            if (output + n >= p.outputs) { /* padding, which no gradient is written to */
                g[n] = b[n] = 0.f;
                continue;
            }
            b[n] = fmaf(r.fresh1, g[n] - b[n], b[n]);
            g[n] = nesterov ? fmaf(r.momentum, b[n] - g[n], g[n]) : b[n];
            squares = fmaf(g[n], g[n], squares);
        }
        *(float4 *)(first + i) = make_float4(b[0], b[1], b[2], b[3]);
        *(float4 *)(gradient + i) = make_float4(g[0], g[1], g[2], g[3]);
    }
    return squares;
}

/* Move the weights of a matrix along its orthogonalised update. Those of convolutions lie in shared memory. */
DEVICE void take_step(int tid, const Parameter &p, const Rule &r, float *resident, float *weights, const float *update)
{
    const float scale = sqrtf((float)p.outputs / (float)(p.size / p.width));
    for (int i = tid; i < p.size; i += THREADS) {
        const int at = p.at + i;
        const float moved = scale * shared_load(update + i);
        if (at < CONVOLUTIONS)
            resident[at] = fmaf(-r.lr, moved, r.decay * resident[at]);
        else
            weights[at] = fmaf(-r.lr, moved, r.decay * shared_load(weights + at));
    }
}

/* Update matrix `n`. */
DEVICE void update_matrix(Resident &s, char *work, const Target &t, int n, REGISTERS registers)
{
    const Parameter p = PARAMETER[n];
    const SquareMemory at = square_memory(work, p.width);
    const Member &m = s.member;
    float *gradient = t.sums + p.at;
    PHASE note_addend(tid, at.partial,
                      take_momentum(tid, p, s.rules[n], m.matrix_nesterov != 0, t.first + p.at, gradient));
    END_PHASE
    PHASE add_addends(tid, at.partial);
    END_PHASE
    orthogonalise(at, gradient, p.size / p.width, p.width, m.iterations, registers);
    PHASE take_step(tid, p, s.rules[n], s.weights, t.weights, gradient);
    END_PHASE
}
