/* Updates of the weights, as in training/optim/optimizers.py: torch's rules, with the powers of Adam in float64. */
#pragma once
#include "parameters.cuh"

/* Rule of parameter `n` in step `s` of a member. */
DEVICE Rule rule_of(const Member &m, int s, int n)
{
    const bool muon = m.iterations > 0 && is_matrix(n);
    const double lr = (double)m.lr[(int64_t)s * m.stride] * m.factors[n], decay = m.decays[n];
    double momentum = muon ? m.matrix_momentum : m.momentum;
    if (m.momenta) {
        const float given = m.momenta[(int64_t)s * m.stride];
        if (given == given) momentum = given;
    }
    Rule r;
    r.kind = m.kind;
    r.later = muon || m.clip_norm > 0;
    r.lr = (float)lr;
    r.momentum = (float)momentum;
    r.decay = (float)(muon || m.kind == ADAMW ? 1 - lr * decay : decay);
    r.eps = (float)m.eps;
    r.fresh1 = (float)(1 - momentum);
    r.keep2 = (float)m.beta2;
    r.fresh2 = (float)(1 - m.beta2);
    r.step_size = r.root2 = 1;
    if (m.kind >= ADAM && !muon) {
        const double updates = m.updates + s + 1;
        r.step_size = (float)(lr / (1 - pow(momentum, updates)));
        r.root2 = (float)sqrt(1 - pow(m.beta2, updates));
    }
    return r;
}

/* Note the rules of a step, with one thread per parameter. The last threads have least else to do. */
DEVICE void note_rules(int tid, Resident &s, int step)
{
    if (tid >= THREADS - PARAMETERS) s.rules[THREADS - 1 - tid] = rule_of(s.member, step, THREADS - 1 - tid);
}

/* Update one weight and its state. Every thread has the same kind, so the branches are uniform. */
DEVICE void update(const Rule &r, float &weight, float &first, float &second, float gradient)
{
    if (r.kind < ADAM) {
        gradient = fmaf(weight, r.decay, gradient);
        first = fmaf(r.momentum, first, gradient);
        weight = fmaf(-r.lr, r.kind == NESTEROV ? fmaf(r.momentum, first, gradient) : first, weight);
        return;
    }
    if (r.kind == ADAMW)
        weight *= r.decay;
    else
        gradient = fmaf(weight, r.decay, gradient);
    first = fmaf(r.fresh1, gradient - first, first);
    second = fmaf(r.fresh2 * gradient, gradient, r.keep2 * second);
    weight = fmaf(-r.step_size, first / (sqrtf(second) / r.root2 + r.eps), weight);
}

/* Target of a part of `images` images, whose sums lie at `sums`. A whole batch needs no number of images. */
DEVICE Target target_of(const Member &m, float *sums, bool opens, bool closes, int images = 0)
{
    return {m.weights, m.first, m.second, sums, opens, closes, m.keeps_first != 0, false, m.share,
            chunks_of(images) * CHUNK};
}

/* The same, with a row per share from `shares` on. */
DEVICE Target apart_of(const Member &m, float *shares, int images)
{
    Target t = target_of(m, shares, true, false, images);
    t.apart = true;
    return t;
}

/* Number of shares of a part. */
DEVICE int shares_in(const Target &t) { return (t.images + t.share - 1) / t.share; }

/* Row of a share that is kept apart. */
DEVICE float *row_of(const Target &t, int share) { return t.sums + (int64_t)share * SHARE_ROW; }

/* Where a row has loss and hits of its share. */
DEVICE double *loss_of(float *row) { return (double *)(row + ROW); }
DEVICE int *hits_of(float *row) { return (int *)(row + ROW + 2); }

/* A share of a part as if it were a part. */
DEVICE Target share_of(const Target &t, int share)
{
    Target own = t;
    if (t.apart) own.sums = row_of(t, share);
    own.opens = t.apart || (t.opens && share == 0);
    own.closes = t.closes && (share + 1) * t.share >= t.images;
    return own;
}

/* Update with the gradient of a whole batch. The weight may lie elsewhere. */
DEVICE void use_gradient(const Rule &r, const Target &t, int at, float &weight, float gradient)
{
    float first = t.keeps ? shared_load(t.first + at) : 0.f;
    float second = r.kind >= ADAM ? shared_load(t.second + at) : 0.f;
    update(r, weight, first, second, gradient);
    if (t.keeps) t.first[at] = first;
    if (r.kind >= ADAM) t.second[at] = second;
}

/* The same for four neighbours in a row. */
DEVICE void use_gradient4(const Rule &r, const Target &t, int at, float4 weight, float4 g)
{
    float4 first = make_float4(0, 0, 0, 0), second = make_float4(0, 0, 0, 0);
    if (t.keeps) first = shared_load4(t.first + at);
    if (r.kind >= ADAM) second = shared_load4(t.second + at);
    update(r, weight.x, first.x, second.x, g.x);
    update(r, weight.y, first.y, second.y, g.y);
    update(r, weight.z, first.z, second.z, g.z);
    update(r, weight.w, first.w, second.w, g.w);
    *(float4 *)(t.weights + at) = weight;
    if (t.keeps) *(float4 *)(t.first + at) = first;
    if (r.kind >= ADAM) *(float4 *)(t.second + at) = second;
}

/* Gradient of earlier parts, which those of this one are added to. -0 + x is x, also if that is -0. */
DEVICE float earlier_gradient(const Target &t, int at) { return t.opens ? -0.f : shared_load(t.sums + at); }
DEVICE float4 earlier_gradient4(const Target &t, int at)
{
    return t.opens ? make_float4(-0.f, -0.f, -0.f, -0.f) : shared_load4(t.sums + at);
}

/* Take the gradient of all parts so far: update after the last, or leave it to the next part or to `update_late`. */
DEVICE void take_total(const Rule &r, const Target &t, int at, float &weight, float gradient)
{
    if (t.closes && !r.later)
        use_gradient(r, t, at, weight, gradient);
    else
        t.sums[at] = gradient;
}
DEVICE void take_total4(const Rule &r, const Target &t, int at, float4 gradient)
{
    if (t.closes && !r.later)
        use_gradient4(r, t, at, shared_load4(t.weights + at), gradient);
    else
        *(float4 *)(t.sums + at) = gradient;
}

/* Add the gradient of a part to that of earlier parts, and take it. */
DEVICE void take_gradient(const Rule &r, const Target &t, int at, float &weight, float gradient)
{
    take_total(r, t, at, weight, earlier_gradient(t, at) + gradient);
}
