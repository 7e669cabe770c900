/* Cross-entropy of the logits, with label smoothing (arXiv:1512.00567): torch.nn.functional.cross_entropy. */
#include "kernels.h"
#include <math.h>

void cross_entropy(const layer *l, const batch *given, float smoothing, worker *at)
{
    const int classes = l->channels;
    const float *rows = l->in + at->slot * l->in_size;
    float *gradients = l->in_gradient + at->slot * l->in_size;
    for (int n = 0; n < LANES; n++) {
        const float *logits = rows + n * l->width;
        float *gradient = gradients + n * l->width;
        if (n >= at->count) { /* no image in this lane */
            for (int c = 0; c < classes; c++) gradient[c] = 0;
            continue;
        }
        const int image = at->group * LANES + n;
        const int64_t label = given->labels[given->chosen ? given->chosen[image] : image];
        const int64_t other = given->others ? given->others[image] : label;
        const float share = given->others ? given->share : 1;
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (logits[c] > logits[best] || (logits[c] != logits[c] && logits[best] == logits[best])) best = c;
        float total = 0, all = 0;
        for (int c = 0; c < classes; c++) {
            gradient[c] = expf(logits[c] - logits[best]);
            total += gradient[c];
            all += logits[c] - logits[best];
        }
        const float log_total = logf(total), smoothed = smoothing / classes;
        for (int c = 0; c < classes; c++) {
            float target = smoothed + (c == label ? 1 - smoothing : 0);
            if (given->others)
                target = smoothed + (1 - smoothing) * ((c == label ? share : 0) + (c == other ? 1 - share : 0));
            gradient[c] = (gradient[c] / total - target) / given->images;
        }
        float distance = log_total - (logits[label] - logits[best]);
        if (given->others) distance = share * distance + (1 - share) * (log_total - (logits[other] - logits[best]));
        at->loss += (1 - smoothing) * distance;
        if (smoothing > 0) at->loss += smoothed * (classes * log_total - all); /* 0 * inf would be NaN */
        at->right += best == (share < 0.5f ? other : label);
    }
}
