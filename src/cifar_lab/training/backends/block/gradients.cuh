/* Gradients of the convolutions. Of four pixels of a window one has a gradient, so it is kept as a pair: the gradient,
and the distance in bytes to that pixel. The largest pixel is then an address and not a search. */
#pragma once
#include "update.cuh"

/* Blocks of 2 × 2 positions of pool1 in an order that gives 16 warps equal work: the border has fewer windows. */
CONSTANT uint8_t BLOCK_ORDER[49] = {19, 17, 18, 23, 24, 25, 30, 31, 32, 9,  10, 11, 15, 16, 22, 26, 39,
                                    40, 2,  3,  4,  14, 20, 21, 27, 29, 33, 37, 38, 36, 8,  12, 0,  42,
                                    44, 45, 46, 1,  5,  7,  13, 35, 41, 43, 47, 6,  28, 34, 48};

/* Pair of a feature: the low half of the offset is in the padded weights, the high half in pool1. */
DEVICE float2 feature_pair(float gradient, int code)
{
    const int row = code >> 1, column = code & 1;
    const int offset = (row * PADDED_ROW + column * 8) * 4 | (row * POOL1_ROW + column) * CHUNK * 4 << 16;
    return code < NO_PIXEL ? make_float2(gradient, __int_as_float(offset)) : make_float2(0.f, 0.f);
}

/* Weights of the second convolution as [output][row][column][channel] with a margin of zeros, so no window is cut. */
DEVICE void pad_weights(int tid, float *padded, const float *w)
{
    for (int i = tid; i < CHANNELS2 * PADDED_CHANNEL; i += THREADS) {
        const int o = i / PADDED_CHANNEL, y = i % PADDED_CHANNEL / PADDED_ROW - 1, q = i % PADDED_ROW;
        const int x = q / 8 - 1, c = q % 8;
        const bool inside = y >= 0 && y < 5 && x >= 0 && x < 5 && c < CHANNELS1;
        padded[i] = inside ? w[CONV2_WEIGHT + (c * 25 + y * 5 + x) * CHANNELS2 + o] : 0.f;
    }
}

/* Gradient of pool1 for `chunks` chunks of at most IMAGES images, as pairs for the first convolution. */
template <int IMAGES>
DEVICE void convolve2_back(int tid, const float *padded, const float2 *pairs2, const uint8_t *codes, float2 *pairs1,
                           int chunks)
{
    ROLLED
    for (int item = tid; item < POSITIONS1 / 4 * IMAGES; item += THREADS) {
        const int i = item % IMAGES, chunk = i >> 3, im = i & 7, turn = item / IMAGES;
        if (chunk >= chunks) continue;
        const int block = IMAGES == 32 ? BLOCK_ORDER[turn] : turn, by = block / 7, bx = block % 7;
        float sum[CHANNELS1][4];
        uint32_t code[CHANNELS1];
        UNROLL
        for (int c = 0; c < CHANNELS1; ++c) {
            const uint8_t *q = codes + chunk * CODES1_CHUNK + (c * POSITIONS1 + 2 * by * 14 + 2 * bx) * CHUNK + im;
            code[c] = (uint32_t)q[0] | (uint32_t)q[8] << 8 | (uint32_t)q[112] << 16 | (uint32_t)q[120] << 24;
            sum[c][0] = sum[c][1] = sum[c][2] = sum[c][3] = 0.f;
        }
        ROLLED
        for (int dy = 0; dy < 3; ++dy) {
            const int py = by - dy;
            if (py < 0 || py > 4) continue;
            ROLLED
            for (int dx = 0; dx < 3; ++dx) {
                const int px = bx - dx;
                if (px < 0 || px > 4) continue;
                const float2 *pair = pairs2 + chunk * PAIRS2_CHUNK + (py * 5 + px) * CHUNK + im;
                const char *corner = (const char *)(padded + (2 * dy + 1) * PADDED_ROW + (2 * dx + 1) * 8);
#ifdef __CUDACC__
#pragma unroll 4
#endif
                for (int o = 0; o < CHANNELS2; ++o) {
                    const float2 g = pair[o * POSITIONS2 * CHUNK];
                    const char *w = corner + o * PADDED_CHANNEL * 4 - (__float_as_int(g.y) & 0xffff);
                    UNROLL
                    for (int q = 0; q < 4; ++q) {
                        const float *taps = (const float *)(w + ((q >> 1) * PADDED_ROW + (q & 1) * 8) * 4);
                        const float4 a = load4(taps);
                        const float2 b = load2(taps + 4);
                        sum[0][q] = fmaf(g.x, a.x, sum[0][q]), sum[1][q] = fmaf(g.x, a.y, sum[1][q]);
                        sum[2][q] = fmaf(g.x, a.z, sum[2][q]), sum[3][q] = fmaf(g.x, a.w, sum[3][q]);
                        sum[4][q] = fmaf(g.x, b.x, sum[4][q]), sum[5][q] = fmaf(g.x, b.y, sum[5][q]);
                    }
                }
            }
        }
        UNROLL
        for (int c = 0; c < CHANNELS1; ++c) {
            UNROLL
            for (int q = 0; q < 4; ++q) {
                const int p = (2 * by + (q >> 1)) * 14 + 2 * bx + (q & 1), largest = code[c] >> 8 * q & 255;
                const int offset = ((largest >> 1) * BACK_ROW + (largest & 1)) * CHUNK * 4;
                pairs1[chunk * PAIRS1_CHUNK + (((c >> 1) * POSITIONS1 + p) * CHUNK + im) * 2 + (c & 1)] =
                    largest < NO_PIXEL ? make_float2(sum[c][q], __int_as_float(offset)) : make_float2(0.f, 0.f);
            }
        }
    }
}

/* Gradient of the second convolution's weights over one chunk. A thread has an image, a channel, a kernel row and 8
outputs, all 5 columns; its sums 40 are the biases. */
DEVICE void weights2(int tid, float *sums, const float *in, const float2 *pairs)
{
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, slot = (warp & 7) * 4 + (lane >> 3);
    const int n = slot < 30 ? slot : 29, c = n / 5, ky = n % 5;
    const char *x = (const char *)(in + (c * POOL1_CHANNEL + ky * POOL1_ROW) * CHUNK + im);
    const float2 *pair = pairs + (warp >> 3) * 8 * POSITIONS2 * CHUNK + im;
    ROLLED
    for (int py = 0; py < 5; ++py) {
        ROLLED
        for (int px = 0; px < 5; ++px) {
            UNROLL
            for (int o = 0; o < 8; ++o) {
                const float2 g = pair[(o * POSITIONS2 + py * 5 + px) * CHUNK];
                const float *t =
                    (const float *)(x + (py * 2 * POOL1_ROW + px * 2) * CHUNK * 4 + (__float_as_int(g.y) >> 16));
                UNROLL
                for (int k = 0; k < 5; ++k) sums[o * 5 + k] = fmaf(g.x, t[k * CHUNK], sums[o * 5 + k]);
            }
        }
    }
    if (tid >= CHANNELS2 * CHUNK) return;
    const float2 *own = pairs + (tid >> 3) * POSITIONS2 * CHUNK + im;
    float sum = 0.f;
    UNROLL
    for (int p = 0; p < POSITIONS2; ++p) sum += own[p * CHUNK].x;
    sums[40] += sum;
}

/* Gradient of the first convolution's weights over one chunk. A thread has an image, a channel, a kernel row and a
quarter of the positions, all 6 outputs and 5 columns; its sums 30 are the biases. */
DEVICE void weights1(int tid, float *sums, const float *pixels, const float2 *pairs)
{
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, quarter = warp >> 2, slot = (warp & 3) * 4 + (lane >> 3);
    const int n = slot < 15 ? slot : 14, c = n / 5, ky = n % 5;
    const char *corner = (const char *)(pixels + (c * BACK_CHANNEL + ky * BACK_ROW) * CHUNK + im);
    const float2 *pair = pairs + im * 2;
    ROLLED
    for (int p = quarter * 49; p < quarter * 49 + 49; ++p) {
        const char *x = corner + (p / 14 * 2 * BACK_ROW + p % 14 * 2) * CHUNK * 4;
        UNROLL
        for (int o = 0; o < CHANNELS1; o += 2) {
            const float4 two = *(const float4 *)(pair + ((o >> 1) * POSITIONS1 + p) * CHUNK * 2);
            const float *t = (const float *)(x + __float_as_int(two.y)), *u = (const float *)(x + __float_as_int(two.w));
            UNROLL
            for (int k = 0; k < 5; ++k) sums[o * 5 + k] = fmaf(two.x, t[k * CHUNK], sums[o * 5 + k]);
            UNROLL
            for (int k = 0; k < 5; ++k) sums[o * 5 + 5 + k] = fmaf(two.z, u[k * CHUNK], sums[o * 5 + 5 + k]);
        }
    }
    if (tid >= CHANNELS1 * 64) return;
    const float2 *own = pairs + (tid >> 7) * POSITIONS1 * CHUNK * 2 + im * 2 + (tid >> 6 & 1);
    float sum = 0.f;
    for (int q = tid >> 3 & 7; q < POSITIONS1; q += 8) sum += own[q * CHUNK * 2].x;
    sums[30] += sum;
}

/* Sum over the 8 images of neighbouring threads. */
DEVICE float sum8(const float *p)
{
    const float4 a = load4(p), b = load4(p + 4);
    return ((a.x + a.y) + (a.z + a.w)) + ((b.x + b.y) + (b.z + b.w));
}

/* Add the threads' sums of `weights2`, given as [sum][thread], in a fixed order, and use the gradient. `r`: rule of the
weights, then that of the biases. */
DEVICE void update2(int tid, const float *sums, float *w, const Rule *r, const Target &t)
{
    for (int i = tid; i < CHANNELS2 * 151; i += THREADS) {
        const int o = i & 15, tap = i >> 4, kx = tap % 5, n = tap / 5;
        const float *from = i < CHANNELS2 * 150
                                ? sums + ((o & 7) * 5 + kx) * THREADS + ((o >> 3) * 8 + (n >> 2)) * 32 + (n & 3) * 8
                                : sums + 40 * THREADS + (i - CHANNELS2 * 150) * CHUNK;
        take_gradient(r[i >= CHANNELS2 * 150], t, CONV2_WEIGHT + i, w[CONV2_WEIGHT + i], sum8(from));
    }
}

/* The same for `weights1`. */
DEVICE void update1(int tid, const float *sums, float *w, const Rule *r, const Target &t)
{
    if (tid >= CHANNELS1 * 76) return;
    float gradient = 0.f;
    int at;
    if (tid < CHANNELS1 * 75) {
        const int o = tid % CHANNELS1, tap = tid / CHANNELS1, kx = tap % 5, n = tap / 5;
        for (int quarter = 0; quarter < 4; ++quarter)
            gradient += sum8(sums + (o * 5 + kx) * THREADS + (quarter * 4 + (n >> 2)) * 32 + (n & 3) * 8);
        at = CONV1_WEIGHT + tap * 8 + o;
    } else {
        const int o = tid - CHANNELS1 * 75;
        for (int i = 0; i < 64; i += CHUNK) gradient += sum8(sums + 30 * THREADS + o * 64 + i);
        at = CONV1_BIAS + o;
    }
    take_gradient(r[at >= CONV1_BIAS], t, at, w[at], gradient);
}
