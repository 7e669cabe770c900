/* End of a step of a team: shares are added in their order, and each block updates an equal part of each parameter. */
#pragma once
#include "late_update.cuh"
#include "loss.cuh"

/* Copy the weights of the convolutions from the row of the network. */
DEVICE void load_convolutions(int tid, Resident &s, const Member &member)
{
    for (int i = tid; i < CONVOLUTIONS; i += THREADS) s.weights[i] = shared_load(member.weights + i);
}

DEVICE void store_convolutions(int tid, const Resident &s)
{
    for (int i = tid; i < CONVOLUTIONS; i += THREADS) s.member.weights[i] = s.weights[i];
}

/* Gradient of four neighbours in a row, without those of padding, which shares do not have. */
DEVICE float4 sum_of_shares(const float *at, int shares, int outputs)
{
    float4 g = shared_load4(at);
    for (int share = 1; share < shares; ++share) {
        const float4 a = shared_load4(at + (int64_t)share * SHARE_ROW);
        g.x += a.x, g.y += a.y, g.z += a.z, g.w += a.w;
    }
    if (outputs < 4) g.w = 0.f;
    if (outputs < 3) g.z = 0.f;
    if (outputs < 2) g.y = 0.f;
    return g;
}

/* Use the gradient of the block's part of each parameter. `t`: sums are in the first block, for `update_late`. */
DEVICE void use_shares(int tid, const Resident &s, const Target &t, int shares)
{
    const Team &team = s.team;
    ROLLED
    for (int n = 0; n < PARAMETERS; ++n) {
        const Parameter p = PARAMETER[n];
        const Rule r = s.rules[n];
        for (int i = (team.rank * THREADS + tid) * 4; i < p.size; i += team.blocks * THREADS * 4)
            take_total4(r, t, p.at + i, sum_of_shares(team.shares + p.at + i, shares, p.outputs - i % p.width));
    }
}

/* Loss and hits of the batch. */
DEVICE void use_losses(const Resident &s, int step, int images, int shares)
{
    double loss = 0;
    int hits = 0;
    for (int share = 0; share < shares; ++share) {
        loss += shared_load(loss_of(s.team.shares + (int64_t)share * SHARE_ROW));
        hits += shared_load(hits_of(s.team.shares + (int64_t)share * SHARE_ROW));
    }
    store_loss(s.member, step, images, loss, hits);
}

/* Update the weights with the shares of all blocks. The first block makes late updates. */
CALLED void update_in_team(int step, int images)
{
    Resident &s = *(Resident *)shared_memory;
    const Target t = target_of(s.member, (float *)(s.team.scratch + AT_SUMS), true, true);
    const int shares = (images + s.member.share - 1) / s.member.share;
    PHASE note_rules(tid, s, step);
    END_PHASE
    meet(s.team);
    PHASE use_shares(tid, s, t, shares);
    if (s.team.rank == 0 && tid == 0) use_losses(s, step, images, shares);
    END_PHASE
    if (updates_late(s.member)) {
        meet(s.team);
        if (s.team.rank == 0) {
            PHASE load_convolutions(tid, s, s.member);
            END_PHASE
            update_late(s.team.scratch);
            PHASE store_convolutions(tid, s);
            END_PHASE
        }
    }
    meet(s.team);
    PHASE load_convolutions(tid, s, s.member);
    END_PHASE
}
