/* BatchNorm (arXiv:1502.03167) in training, of planes or (height 0) of rows.

Each group computes its mean and its sum of squared deviations. They are merged in the order of groups by the formula of
Chan, Golub and LeVeque (1979), which does not cancel where the mean is large. `moments` holds four rows of floats for
the batch: mean, 1 / standard deviation, mean gradient, mean of gradient times normalised value. Then four rows per
group: mean, sum of squared deviations, and the sums of the other two. */
#include "kernels.h"
#include <math.h>

enum { MEAN, DEVIATION, GRADIENT, PRODUCT, ROWS };

INLINE int stride_of(const layer *l) { return (l->channels + LANES - 1) / LANES * LANES; }
/* Row of the batch (entry 0) or of a group (entry group + 1). */
INLINE float *row_of(const layer *l, int entry, int row) { return l->moments + (entry * ROWS + row) * stride_of(l); }
INLINE int plane_of(const layer *l) { return l->height ? l->height * l->width : 1; }

/* 1 in lanes that hold an image, 0 in the others. */
INLINE vec present(int count)
{
    vec lanes = {};
    for (int n = 0; n < count; n++) lanes[n] = 1;
    return lanes;
}

void norm_measure(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size;
    float *mean = row_of(l, at->group + 1, MEAN), *deviations = row_of(l, at->group + 1, DEVIATION);
    if (!l->height) {
        for (int f = 0; f < l->channels; f++) {
            float sum = 0, squares = 0;
            for (int n = 0; n < at->count; n++) sum += in[n * l->width + f];
            mean[f] = sum / at->count;
            for (int n = 0; n < at->count; n++) {
                const float away = in[n * l->width + f] - mean[f];
                squares += away * away;
            }
            deviations[f] = squares;
        }
        return;
    }
    const vec lanes = present(at->count);
    const int plane = plane_of(l);
    for (int c = 0; c < l->channels; c++) {
        const vec *values = (const vec *)in + c * plane;
        vec sum = {}, squares = {};
        for (int y = 0; y < l->height; y++) {
            vec row = {};
            for (int x = 0; x < l->width; x++) row += values[y * l->width + x] * lanes;
            sum += row;
        }
        mean[c] = sum_of(sum) / (plane * at->count);
        for (int y = 0; y < l->height; y++) {
            vec row = {};
            for (int x = 0; x < l->width; x++) {
                vec away = (values[y * l->width + x] - mean[c]) * lanes;
                row += away * away;
            }
            squares += row;
        }
        deviations[c] = sum_of(squares);
    }
}

void norm_merge(const layer *l, int32_t images)
{
    const int groups = (images + LANES - 1) / LANES, plane = plane_of(l);
    for (int c = 0; c < l->channels; c++) {
        double count = 0, mean = 0, squares = 0;
        for (int g = 0; g < groups; g++) {
            const double more = (double)plane * (g + 1 < groups ? LANES : images - g * LANES);
            const double away = row_of(l, g + 1, MEAN)[c] - mean;
            squares += row_of(l, g + 1, DEVIATION)[c] + away * away * count * more / (count + more);
            count += more;
            mean += away * more / count;
        }
        row_of(l, 0, MEAN)[c] = (float)mean;
        row_of(l, 0, DEVIATION)[c] = (float)(1 / sqrt(squares / count + l->eps));
        l->running_mean[c] += l->momentum * ((float)mean - l->running_mean[c]);
        l->running_variance[c] += l->momentum * ((float)(squares / (count - 1)) - l->running_variance[c]);
    }
    *l->batches += 1;
}

void norm(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size, *mean = row_of(l, 0, MEAN), *inverse_std = row_of(l, 0, DEVIATION);
    float *out = l->out + at->slot * l->out_size;
    const int plane = plane_of(l);
    for (int c = 0; c < l->channels; c++) {
        const float scale = inverse_std[c] * l->weight[c], shift = l->bias[c] - mean[c] * scale;
        if (!l->height)
            for (int n = 0; n < LANES; n++) out[n * l->width + c] = in[n * l->width + c] * scale + shift;
        else
            for (int i = c * plane; i < (c + 1) * plane; i++)
                ((vec *)out)[i] = ((const vec *)in)[i] * scale + shift;
    }
}

void norm_back_measure(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size, *error = l->out_gradient + at->slot * l->out_size;
    const float *mean = row_of(l, 0, MEAN), *inverse_std = row_of(l, 0, DEVIATION);
    float *sums = row_of(l, at->group + 1, GRADIENT), *products = row_of(l, at->group + 1, PRODUCT);
    const int plane = plane_of(l);
    for (int c = 0; c < l->channels; c++) {
        if (!l->height) {
            float sum = 0, product = 0;
            for (int n = 0; n < at->count; n++) {
                sum += error[n * l->width + c];
                product += error[n * l->width + c] * (in[n * l->width + c] - mean[c]);
            }
            sums[c] = sum;
            products[c] = product * inverse_std[c];
            continue;
        }
        vec sum = {}, product = {};
        for (int y = c * plane; y < (c + 1) * plane; y += l->width) {
            vec row = {}, row_product = {};
            for (int i = y; i < y + l->width; i++) {
                row += ((const vec *)error)[i];
                row_product += ((const vec *)error)[i] * (((const vec *)in)[i] - mean[c]);
            }
            sum += row;
            product += row_product;
        }
        sums[c] = sum_of(sum);
        products[c] = sum_of(product) * inverse_std[c];
    }
}

void norm_back_merge(const layer *l, int32_t images, worker *at)
{
    const int groups = (images + LANES - 1) / LANES;
    for (int c = 0; c < l->channels; c++) {
        double sum = 0, product = 0;
        for (int g = 0; g < groups; g++) {
            sum += row_of(l, g + 1, GRADIENT)[c];
            product += row_of(l, g + 1, PRODUCT)[c];
        }
        at->gradients[l->bias_at + c] = (float)sum;
        at->gradients[l->weight_at + c] = (float)product;
        row_of(l, 0, GRADIENT)[c] = (float)(sum / ((double)images * plane_of(l)));
        row_of(l, 0, PRODUCT)[c] = (float)(product / ((double)images * plane_of(l)));
    }
}

void norm_back(const layer *l, worker *at)
{
    const float *in = l->in + at->slot * l->in_size, *error = l->out_gradient + at->slot * l->out_size;
    const float *mean = row_of(l, 0, MEAN), *inverse_std = row_of(l, 0, DEVIATION);
    const float *sums = row_of(l, 0, GRADIENT), *products = row_of(l, 0, PRODUCT);
    float *in_gradient = l->in_gradient + at->slot * l->in_size;
    const vec lanes = present(at->count);
    const int plane = plane_of(l);
    for (int c = 0; c < l->channels; c++) {
        const float scale = inverse_std[c] * l->weight[c], slope = inverse_std[c] * products[c];
        if (!l->height) {
            for (int n = 0; n < LANES; n++) {
                const int i = n * l->width + c;
                in_gradient[i] = n < at->count ? scale * (error[i] - sums[c] - (in[i] - mean[c]) * slope) : 0;
            }
            continue;
        }
        for (int i = c * plane; i < (c + 1) * plane; i++)
            ((vec *)in_gradient)[i] =
                scale * (((const vec *)error)[i] - sums[c] - (((const vec *)in)[i] - mean[c]) * slope) * lanes;
    }
}
