/* Max-pooling of 2 × 2 pixels, and ReLU. Both propagate NaN, as in torch. */
#include "kernels.h"

/* Of equal maxima the first in row order counts, as in torch. */
void max_pool(const layer *l, worker *at)
{
    const vec *in = (const vec *)(l->in + at->slot * l->in_size);
    vec *out = (vec *)(l->out + at->slot * l->out_size);
    ivec *index = (ivec *)(l->index + at->slot * l->out_size);
    for (int c = 0; c < l->channels; c++)
        for (int y = 0; y < l->out_height; y++, in += 2 * l->width)
            for (int x = 0; x < l->out_width; x++) {
                vec largest = in[2 * x];
                ivec position = {};
                UNROLL for (int i = 1; i < 4; i++) {
                    vec next = in[(i >> 1) * l->width + 2 * x + (i & 1)];
                    ivec larger = (next > largest) | (next != next);
                    largest = blend(larger, next, largest);
                    position = (larger & i) | (~larger & position);
                }
                *out++ = largest;
                *index++ = position;
            }
}

void max_pool_back(const layer *l, worker *at)
{
    vec *in = (vec *)(l->in_gradient + at->slot * l->in_size);
    const vec *out = (const vec *)(l->out_gradient + at->slot * l->out_size);
    const ivec *index = (const ivec *)(l->index + at->slot * l->out_size);
    for (int c = 0; c < l->channels; c++)
        for (int y = 0; y < l->out_height; y++, in += 2 * l->width)
            for (int x = 0; x < l->out_width; x++) {
                ivec position = *index++;
                vec gradient = *out++;
                UNROLL for (int i = 0; i < 4; i++)
                    in[(i >> 1) * l->width + 2 * x + (i & 1)] = blend(position == i, gradient, (vec){});
            }
}

/* In place: `out` and `in` are the same memory. */
void relu(const layer *l, worker *at)
{
    vec *values = (vec *)(l->out + at->slot * l->out_size);
    for (int64_t i = 0; i < l->out_size / LANES; i++) values[i] = blend(values[i] < 0, (vec){}, values[i]);
}

void relu_back(const layer *l, worker *at)
{
    const vec *values = (const vec *)(l->out + at->slot * l->out_size);
    vec *gradient = (vec *)(l->out_gradient + at->slot * l->out_size);
    for (int64_t i = 0; i < l->out_size / LANES; i++) gradient[i] = blend(values[i] <= 0, (vec){}, gradient[i]);
}
