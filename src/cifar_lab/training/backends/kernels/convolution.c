/* Convolutions of 5 × 5 pixels, stride 1, without padding, on groups of 16 images.

Each function keeps a block of sums in registers (AVX-512 has 32 of 16 floats). A loaded vector of images then serves
several outputs or taps, and a broadcast weight several pixels. Without such reuse, loads would limit the speed. */
#include "kernels.h"
#include <string.h>

#define TILE_BYTES 24576 /* gradients that each tap reads again: they must stay in a 32 KiB L1 cache */

/* O outputs by X pixels at a time: 6 × 4 or 4 × 5 sums, and registers left for weights and images. */
INLINE void forward_blocks(const int O, const int X, const layer *l, const vec *in, vec *out)
{
    const int taps = l->channels * KERNEL * KERNEL;
    for (int o = 0; o < l->outputs; o += O)
        for (int y = 0; y < l->out_height; y++)
            for (int x = 0; x < l->out_width; x += X) {
                vec sum[6][5];
                UNROLL for (int i = 0; i < O; i++)
                    UNROLL for (int j = 0; j < X; j++) sum[i][j] = broadcast(l->bias[o + i]);
                const float *weight = l->weight + o * taps;
                for (int c = 0; c < l->channels; c++)
                    for (int ky = 0; ky < KERNEL; ky++, weight += KERNEL) {
                        const vec *row = in + (c * l->height + y + ky) * l->width + x;
                        UNROLL for (int kx = 0; kx < KERNEL; kx++)
                            UNROLL for (int i = 0; i < O; i++) {
                                vec w = broadcast(weight[i * taps + kx]);
                                UNROLL for (int j = 0; j < X; j++) sum[i][j] += w * row[kx + j];
                            }
                    }
                UNROLL for (int i = 0; i < O; i++)
                    UNROLL for (int j = 0; j < X; j++)
                        out[((o + i) * l->out_height + y) * l->out_width + x + j] = sum[i][j];
            }
}

void convolve(const layer *l, worker *at)
{
    const vec *in = (const vec *)(l->in + at->slot * l->in_size);
    vec *out = (vec *)(l->out + at->slot * l->out_size);
    if (l->outputs % 6 == 0 && l->out_width % 4 == 0) forward_blocks(6, 4, l, in, out);
    else if (l->outputs % 4 == 0 && l->out_width % 5 == 0) forward_blocks(4, 5, l, in, out);
    else forward_blocks(1, 1, l, in, out);
}

/* Gradient of the weights, summed over pixels only. Lanes are summed once per shard (fold_lanes), not per group, because
a horizontal sum costs more than the multiply-adds of a tap. Rows are processed in tiles that stay in the L1 cache. */
INLINE void weight_blocks(const int O, const layer *l, const vec *in, const vec *gradient, vec *lanes)
{
    const int taps = l->channels * KERNEL * KERNEL, plane = l->out_height * l->out_width;
    int tile = TILE_BYTES / (O * l->out_width * (int)sizeof(vec));
    if (tile < 1) tile = 1;
    for (int o = 0; o < l->outputs; o += O)
        for (int top = 0; top < l->out_height; top += tile) {
            const int bottom = top + tile < l->out_height ? top + tile : l->out_height;
            for (int c = 0; c < l->channels; c++)
                for (int ky = 0; ky < KERNEL; ky++) {
                    vec *sums = lanes + o * taps + (c * KERNEL + ky) * KERNEL, sum[4][KERNEL];
                    UNROLL for (int i = 0; i < O; i++)
                        UNROLL for (int kx = 0; kx < KERNEL; kx++) sum[i][kx] = sums[i * taps + kx];
                    for (int y = top; y < bottom; y++) {
                        const vec *row = in + (c * l->height + y + ky) * l->width;
                        const vec *error = gradient + o * plane + y * l->out_width;
                        for (int x = 0; x < l->out_width; x++)
                            UNROLL for (int i = 0; i < O; i++) {
                                vec e = error[i * plane + x];
                                UNROLL for (int kx = 0; kx < KERNEL; kx++) sum[i][kx] += e * row[x + kx];
                            }
                    }
                    UNROLL for (int i = 0; i < O; i++)
                        UNROLL for (int kx = 0; kx < KERNEL; kx++) sums[i * taps + kx] = sum[i][kx];
                }
        }
}

/* Gradient of the input, row by row: each row gathers from the output rows that read it, so no sum is scattered. C
channels by X pixels at a time; the X + 4 sums of a channel overlap those of the next block, which loads them again. */
INLINE void input_blocks(const int C, const int X, const layer *l, const vec *gradient, vec *in_gradient)
{
    const int taps = l->channels * KERNEL * KERNEL;
    for (int c = 0; c < l->channels; c += C)
        for (int y = 0; y < l->height; y++) {
            vec *rows = in_gradient + (c * l->height + y) * l->width;
            const int plane = l->height * l->width;
            for (int i = 0; i < C; i++)
                for (int x = 0; x < l->width; x++) rows[i * plane + x] = (vec){};
            const int first = y < l->out_height ? 0 : y - l->out_height + 1, last = y < KERNEL ? y : KERNEL - 1;
            for (int x = 0; x < l->out_width; x += X) {
                vec sum[2][14];
                UNROLL for (int i = 0; i < C; i++)
                    UNROLL for (int j = 0; j < X + KERNEL - 1; j++) sum[i][j] = rows[i * plane + x + j];
                for (int o = 0; o < l->outputs; o++)
                    for (int ky = first; ky <= last; ky++) {
                        const vec *error = gradient + (o * l->out_height + y - ky) * l->out_width + x;
                        const float *weight = l->weight + o * taps + (c * KERNEL + ky) * KERNEL;
                        UNROLL for (int i = 0; i < C; i++)
                            UNROLL for (int kx = 0; kx < KERNEL; kx++) {
                                vec w = broadcast(weight[i * KERNEL * KERNEL + kx]);
                                UNROLL for (int j = 0; j < X; j++) sum[i][j + kx] += w * error[j];
                            }
                    }
                UNROLL for (int i = 0; i < C; i++)
                    UNROLL for (int j = 0; j < X + KERNEL - 1; j++) rows[i * plane + x + j] = sum[i][j];
            }
        }
}

void convolve_back(const layer *l, worker *at)
{
    const vec *in = (const vec *)(l->in + at->slot * l->in_size);
    const vec *gradient = (const vec *)(l->out_gradient + at->slot * l->out_size);
    vec *lanes = at->lanes + l->lanes_at, *bias = lanes + l->outputs * l->channels * KERNEL * KERNEL;
    const int plane = l->out_height * l->out_width;
    if (at->group == at->first) memset(lanes, 0, lanes_of(l) * sizeof(vec));
    if (l->outputs % 4 == 0) weight_blocks(4, l, in, gradient, lanes);
    else if (l->outputs % 3 == 0) weight_blocks(3, l, in, gradient, lanes);
    else weight_blocks(1, l, in, gradient, lanes);
    for (int o = 0; o < l->outputs; o++)
        for (int i = 0; i < plane; i++) bias[o] += gradient[o * plane + i];
    if (!l->in_gradient) return;
    vec *in_gradient = (vec *)(l->in_gradient + at->slot * l->in_size);
    if (l->channels % 2 == 0 && l->out_width % 10 == 0) input_blocks(2, 10, l, gradient, in_gradient);
    else input_blocks(1, 1, l, gradient, in_gradient);
}

/* Sum the lanes of the weight gradients into the shard's row. */
void fold_lanes(const layer *l, worker *at)
{
    const int weights = l->outputs * l->channels * KERNEL * KERNEL;
    const vec *lanes = at->lanes + l->lanes_at;
    for (int i = 0; i < weights; i++) at->gradients[l->weight_at + i] = sum_of(lanes[i]);
    for (int o = 0; o < l->outputs; o++) at->gradients[l->bias_at + o] = sum_of(lanes[weights + o]);
}
