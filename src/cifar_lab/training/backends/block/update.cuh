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

/* Rows of the member that is trained, and the part of its batch. */
struct Target {
    float *weights, *first, *second, *sums; /* sums: gradients of earlier parts */
    bool opens, closes, keeps;              /* first part; last part; whether `first` is state */
};

DEVICE Target target_of(const Member &m, float *sums, bool opens, bool closes)
{
    return {m.weights, m.first, m.second, sums, opens, closes, m.keeps_first != 0};
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

/* Add the gradient of a part to that of earlier parts, and update after the last, or leave it to `update_late`. */
DEVICE void take_gradient(const Rule &r, const Target &t, int at, float &weight, float gradient)
{
    if (!t.opens) gradient += shared_load(t.sums + at);
    if (t.closes && !r.later)
        use_gradient(r, t, at, weight, gradient);
    else
        t.sums[at] = gradient;
}

/* The same for four neighbours in a row. */
DEVICE void take_gradient4(const Rule &r, const Target &t, int at, float4 weight, float4 g)
{
    if (!t.opens) {
        const float4 a = shared_load4(t.sums + at);
        g.x += a.x, g.y += a.y, g.z += a.z, g.w += a.w;
    }
    if (!t.closes || r.later) {
        *(float4 *)(t.sums + at) = g;
        return;
    }
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
