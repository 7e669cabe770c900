/* Linear layers on the rows of 16 images, and the conversion of planes into rows.

Rows of activations are padded with zeros to whole vectors. Rows of weights are not, because torch owns their layout. So
a vector may reach into the next row: those lanes are masked, or written back with 0 added. After the last row of
weights comes the bias, so no access leaves the parameters. */
#include "kernels.h"
#include <string.h>

void flatten(const layer *l, worker *at)
{
    const float *planes = l->in + at->slot * l->in_size;
    float *rows = l->out + at->slot * l->out_size;
    for (int f = 0; f < l->outputs; f++)
        for (int n = 0; n < LANES; n++) rows[n * l->out_width + f] = planes[f * LANES + n];
}

void flatten_back(const layer *l, worker *at)
{
    float *planes = l->in_gradient + at->slot * l->in_size;
    const float *rows = l->out_gradient + at->slot * l->out_size;
    for (int f = 0; f < l->outputs; f++)
        for (int n = 0; n < LANES; n++) planes[f * LANES + n] = rows[n * l->out_width + f];
}

/* 16 weights, of which those after the `left` of this row are 0. */
INLINE vec row_part(const float *weight, int left)
{
    const ivec number = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const vec part = *(const loose_vec *)weight;
    return left < LANES ? blend(number < left, part, (vec){}) : part;
}

/* O outputs of 4 images at a time. */
INLINE void linear_blocks(const int O, const layer *l, const float *in, float *out, int o)
{
    const float *weight = l->weight + (int64_t)o * l->channels;
    for (int n = 0; n < LANES; n += 4) {
        vec sum[4][4] = {};
        for (int f = 0; f < l->channels; f += LANES)
            UNROLL for (int i = 0; i < O; i++) {
                vec w = row_part(weight + i * l->channels + f, l->channels - f);
                UNROLL for (int j = 0; j < 4; j++) sum[i][j] += w * *(const vec *)(in + (n + j) * l->width + f);
            }
        UNROLL for (int i = 0; i < O; i++)
            UNROLL for (int j = 0; j < 4; j++) out[(n + j) * l->out_width + o + i] = l->bias[o + i] + sum_of(sum[i][j]);
    }
}

void linear(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size;
    float *out = l->out + at->slot * l->out_size;
    int o = 0;
    for (; o + 4 <= l->outputs; o += 4) linear_blocks(4, l, in, out, o);
    for (; o < l->outputs; o++) linear_blocks(1, l, in, out, o);
}

/* Gradient of the weights of O outputs, X vectors of features at a time: added to `sums`, or stored there. */
INLINE void weight_blocks(const int O, const int X, const layer *l, const float *in, const float *error, float *sums,
                          int o, int f, int add)
{
    vec sum[4][4];
    float *row = sums + (int64_t)o * l->channels + f;
    UNROLL for (int i = 0; i < O; i++)
        UNROLL for (int j = 0; j < X; j++) sum[i][j] = (vec){};
    for (int n = 0; n < LANES; n++)
        UNROLL for (int i = 0; i < O; i++) {
            vec e = broadcast(error[n * l->out_width + o + i]);
            UNROLL for (int j = 0; j < X; j++) sum[i][j] += e * *(const vec *)(in + n * l->width + f + j * LANES);
        }
    if (add) {
        UNROLL for (int i = 0; i < O; i++)
            UNROLL for (int j = 0; j < X; j++) *(loose_vec *)(row + i * l->channels + j * LANES) += sum[i][j];
    } else {
        UNROLL for (int i = 0; i < O; i++)
            UNROLL for (int j = 0; j < X; j++) *(loose_vec *)(row + i * l->channels + j * LANES) = sum[i][j];
    }
}

INLINE void weight_rows(const int O, const layer *l, const float *in, const float *error, float *sums, int o, int add)
{
    int f = 0;
    for (; f + 4 * LANES <= l->width; f += 4 * LANES) weight_blocks(O, 4, l, in, error, sums, o, f, add);
    for (; f < l->width; f += LANES) weight_blocks(O, 1, l, in, error, sums, o, f, add);
}

/* Gradient of the features of 4 images, X vectors at a time. */
INLINE void input_blocks(const int X, const layer *l, const float *error, float *in_gradient, int n, int f)
{
    vec sum[4][4] = {};
    for (int o = 0; o < l->outputs; o++)
        UNROLL for (int j = 0; j < X; j++) {
            vec w = *(const loose_vec *)(l->weight + (int64_t)o * l->channels + f + j * LANES);
            UNROLL for (int i = 0; i < 4; i++) sum[i][j] += w * error[(n + i) * l->out_width + o];
        }
    UNROLL for (int i = 0; i < 4; i++)
        UNROLL for (int j = 0; j < X; j++) *(vec *)(in_gradient + (n + i) * l->width + f + j * LANES) = sum[i][j];
}

void linear_back(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size, *error = l->out_gradient + at->slot * l->out_size;
    float *sums = at->gradients + l->weight_at, *bias = at->gradients + l->bias_at;
    int o = 0, add = at->group > at->first;
    if (!add) {
        memset(bias, 0, l->outputs * sizeof(float));
        if (l->channels % LANES) { /* a vector may reach into the next row, so it must be added */
            memset(sums, 0, (int64_t)l->outputs * l->channels * sizeof(float));
            add = 1;
        }
    }
    for (; o + 4 <= l->outputs; o += 4) weight_rows(4, l, in, error, sums, o, add);
    for (; o < l->outputs; o++) weight_rows(1, l, in, error, sums, o, add);
    for (int n = 0; n < LANES; n++)
        for (int i = 0; i < l->outputs; i++) bias[i] += error[n * l->out_width + i];
    if (!l->in_gradient) return;
    float *in_gradient = l->in_gradient + at->slot * l->in_size;
    for (int n = 0; n < LANES; n += 4) {
        int f = 0;
        for (; f + 4 * LANES <= l->width; f += 4 * LANES) input_blocks(4, l, error, in_gradient, n, f);
        for (; f < l->width; f += LANES) input_blocks(1, l, error, in_gradient, n, f);
        for (int i = n; i < n + 4; i++)
            for (f = l->channels; f < l->width; f++) in_gradient[i * l->width + f] = 0;
    }
}
