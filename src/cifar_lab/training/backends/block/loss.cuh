/* Cross-entropy with label smoothing, as kernels/loss.c: torch.nn.functional.cross_entropy. */
#pragma once
#include "layout.cuh"

/* Loss and hit of image `tid`, and the gradient of its logits in their place: of the mean over `images` images. */
template <int STRIDE>
DEVICE void cross_entropy(int tid, float *logits, Resident &s, float smoothing, int images, bool present)
{
    float *z = logits + tid, e[CLASSES], total = 0.f, all = 0.f;
    if (!present) { /* the part has fewer images */
        UNROLL
        for (int c = 0; c < LOGITS; ++c) z[c * STRIDE] = 0.f;
        s.losses[tid] = 0.f;
        s.hits[tid] = 0;
        return;
    }
    const int label = s.labels[tid];
    float best = z[0];
    int at = 0;
    UNROLL
    for (int c = 1; c < CLASSES; ++c)
        if (z[c * STRIDE] > best || (z[c * STRIDE] != z[c * STRIDE] && best == best)) {
            best = z[c * STRIDE];
            at = c;
        }
    const float own = z[label * STRIDE] - best;
    UNROLL
    for (int c = 0; c < CLASSES; ++c) {
        const float relative = z[c * STRIDE] - best;
        all += relative;
        e[c] = expf(relative);
        total += e[c];
    }
    const float log_total = logf(total), spread = smoothing / CLASSES;
    float loss = (1.f - smoothing) * (log_total - own);
    if (smoothing > 0.f) loss += spread * (CLASSES * log_total - all); /* 0 * inf would be NaN */
    s.losses[tid] = loss;
    s.hits[tid] = at == label;
    UNROLL
    for (int c = 0; c < CLASSES; ++c)
        z[c * STRIDE] = (e[c] / total - spread - (c == label ? 1.f - smoothing : 0.f)) / images;
    UNROLL
    for (int c = CLASSES; c < LOGITS; ++c) z[c * STRIDE] = 0.f;
}

/* Add the part's losses in their order, and store those of the whole batch after its last part. */
DEVICE void add_losses(Resident &s, int step, int count, int images, bool opens, bool closes)
{
    double loss = opens ? 0 : s.loss;
    int correct = opens ? 0 : s.correct;
    for (int i = 0; i < count; ++i) {
        loss += s.losses[i];
        correct += s.hits[i];
    }
    s.loss = loss;
    s.correct = correct;
    if (closes) {
        const Member &m = s.member;
        m.loss[(int64_t)step * m.stride] = (float)(loss / images);
        m.right[(int64_t)step * m.stride] = correct;
    }
}
