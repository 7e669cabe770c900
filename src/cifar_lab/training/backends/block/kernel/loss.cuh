/* Cross-entropy with label smoothing, as kernels/loss.c: torch.nn.functional.cross_entropy. */
#pragma once
#include "tiles.cuh"
#include "update.cuh"

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

/* Loss and hits of a share of the part, in the order of its images. A share that is kept apart has them in its row. */
DEVICE void add_share_losses(Resident &s, const Target &t, int share, int count)
{
    double loss = 0;
    int hits = 0;
    for (int i = share * t.share; i < least((share + 1) * t.share, count); ++i) {
        loss += s.losses[i];
        hits += s.hits[i];
    }
    *(t.apart ? loss_of(row_of(t, share)) : s.share_losses + share) = loss;
    *(t.apart ? hits_of(row_of(t, share)) : s.share_hits + share) = hits;
}

/* Store loss and hits of a whole batch. */
DEVICE void store_loss(const Member &m, int step, int images, double loss, int hits)
{
    m.loss[(int64_t)step * m.stride] = (float)(loss / images);
    m.right[(int64_t)step * m.stride] = hits;
}

/* Add the shares in their order to those of earlier parts, and store them after the last part. */
DEVICE void add_losses(Resident &s, const Target &t, int step, int images)
{
    double loss = t.opens ? 0 : s.loss;
    int hits = t.opens ? 0 : s.correct;
    for (int share = 0; share < shares_in(t); ++share) {
        loss += s.share_losses[share];
        hits += s.share_hits[share];
    }
    s.loss = loss;
    s.correct = hits;
    if (t.closes) store_loss(s.member, step, images, loss, hits);
}

/* Loss and hits of the `count` images of a part, and the gradient of their logits in their place. */
template <int B>
DEVICE void use_logits(float *logits, Resident &s, const Target &t, int step, int count, int images)
{
    PHASE if (tid < B)
        cross_entropy<Tile<B>::STRIDE>(tid, logits, s, (float)s.member.smoothing, images, tid < count);
    END_PHASE
    PHASE if (tid < shares_in(t)) add_share_losses(s, t, tid, count);
    END_PHASE
    PHASE if (tid == 0 && !t.apart) add_losses(s, t, step, images);
    END_PHASE
}
