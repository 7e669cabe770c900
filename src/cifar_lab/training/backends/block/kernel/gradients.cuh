/* Gradients of the convolutions. Of four pixels of a window one has a gradient, so it is kept as a pair: the gradient,
and the distance in bytes to that pixel. The largest pixel is then an address and not a search. */
#pragma once
#include "convolution.cuh"
#include "update.cuh"

/* Blocks of 2 × 2 positions of pool1 in an order that gives 16 warps equal work: the border has fewer windows. */
CONSTANT uint8_t BLOCK_ORDER[49] = {19, 17, 18, 23, 24, 25, 30, 31, 32, 9,  10, 11, 15, 16, 22, 26, 39,
                                    40, 2,  3,  4,  14, 20, 21, 27, 29, 33, 37, 38, 36, 8,  12, 0,  42,
                                    44, 45, 46, 1,  5,  7,  13, 35, 41, 43, 47, 6,  28, 34, 48};

/* Pair of a feature: the low half of the offset is in the padded weights, the high half in pool1. */
DEVICE float2 feature_pair(float gradient, int code)
{
    const int row = code >> 1, column = code & 1;
    const int offset = (row * PADDED_ROW + column * TAP1) * 4 | (row * POOL1_ROW + column) * CHUNK * 4 << 16;
    return code < NO_PIXEL ? make_float2(gradient, __int_as_float(offset)) : make_float2(0.f, 0.f);
}

/* Weights of the second convolution as [output][row][column][channel] with a margin of zeros, so no window is cut. */
DEVICE void pad_weights(int tid, float *padded, const float *w)
{
    for (int i = tid; i < PADDED; i += THREADS) {
        const int o = i / PADDED_CHANNEL, y = i % PADDED_CHANNEL / PADDED_ROW - 1, q = i % PADDED_ROW;
        const int x = q / TAP1 - 1, c = q % TAP1;
        const bool inside = y >= 0 && y < 5 && x >= 0 && x < 5 && c < CHANNELS1;
        padded[i] = inside ? w[CONV2_WEIGHT + (c * 25 + y * 5 + x) * CHANNELS2 + o] : 0.f;
    }
}

/* Gradient of pool1 for `chunks` chunks of at most IMAGES images, as pairs for the first convolution. A thread has an
image, a block and GROUP1 channels. */
template <int IMAGES>
DEVICE void convolve2_back(int tid, const float *padded, const float2 *pairs2, const uint8_t *codes, float2 *pairs1,
                           int chunks)
{
    constexpr int BLOCKS = POSITIONS1 / 4;
    ROLLED
    for (int item = tid; item < CHANNELS1 / GROUP1 * BLOCKS * IMAGES; item += THREADS) {
        const int i = item % IMAGES, chunk = i >> 3, im = i & 7, first = item / (BLOCKS * IMAGES) * GROUP1;
        if (chunk >= chunks) continue;
        const int turn = item / IMAGES % BLOCKS;
        const int block = IMAGES == 32 ? BLOCK_ORDER[turn] : turn, by = block / 7, bx = block % 7;
        float sum[GROUP1][4];
        uint32_t code[GROUP1];
        UNROLL
        for (int c = 0; c < GROUP1; ++c) {
            const uint8_t *q = codes + chunk * CODES1_CHUNK + ((first + c) * POSITIONS1 + 2 * by * 14 + 2 * bx) * CHUNK + im;
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
                const char *corner = (const char *)(padded + (2 * dy + 1) * PADDED_ROW + (2 * dx + 1) * TAP1 + first);
#ifdef __CUDACC__
#pragma unroll 4
#endif
                for (int o = 0; o < CHANNELS2; ++o) {
                    const float2 g = pair[o * POSITIONS2 * CHUNK];
                    const char *w = corner + o * PADDED_CHANNEL * 4 - (__float_as_int(g.y) & 0xffff);
                    UNROLL
                    for (int q = 0; q < 4; ++q) {
                        float taps[GROUP1];
                        load_taps<GROUP1>(taps, (const float *)(w + ((q >> 1) * PADDED_ROW + (q & 1) * TAP1) * 4));
                        UNROLL
                        for (int c = 0; c < GROUP1; ++c) sum[c][q] = fmaf(g.x, taps[c], sum[c][q]);
                    }
                }
            }
        }
        UNROLL
        for (int c = 0; c < GROUP1; ++c) {
            UNROLL
            for (int q = 0; q < 4; ++q) {
                const int p = (2 * by + (q >> 1)) * 14 + 2 * bx + (q & 1), largest = code[c] >> 8 * q & 255;
                const int offset = ((largest >> 1) * BACK_ROW + (largest & 1)) * CHUNK * 4;
                pairs1[chunk * PAIRS1_CHUNK + pair1_at(first + c, p, im)] =
                    largest < NO_PIXEL ? make_float2(sum[c][q], __int_as_float(offset)) : make_float2(0.f, 0.f);
            }
        }
    }
}

/* Gradient of the second convolution's weights over one chunk, for the OUTPUTS2 outputs of a pass. A thread has an image, a
channel, a kernel row and 8 outputs, all 5 columns; its sums 40 are the biases. */
DEVICE void weights2(int tid, float *sums, const float *in, const float2 *pairs)
{
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, slot = warp % WARPS2 * 4 + (lane >> 3);
    const int n = least(slot, KERNEL_ROWS2 - 1), c = n / 5, ky = n % 5;
    const char *x = (const char *)(in + (c * POOL1_CHANNEL + ky * POOL1_ROW) * CHUNK + im);
    const float2 *pair = pairs + warp / WARPS2 * 8 * POSITIONS2 * CHUNK + im;
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
    if (tid >= OUTPUTS2 * CHUNK) return;
    const float2 *own = pairs + (tid >> 3) * POSITIONS2 * CHUNK + im;
    float sum = 0.f;
    UNROLL
    for (int p = 0; p < POSITIONS2; ++p) sum += own[p * CHUNK].x;
    sums[40] += sum;
}

/* Gradient of the first convolution's weights over one chunk, for a span of positions from `begin` on. A thread has an
image, a channel, a kernel row, 49 of the positions and 6 outputs, all 5 columns; its sums 30 are the biases. */
DEVICE void weights1(int tid, float *sums, const float *pixels, const float2 *pairs, int begin)
{
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, slot = (warp & 3) * 4 + (lane >> 3);
    const int part = (warp >> 2) % PARTS1, set = (warp >> 2) / PARTS1;
    const int n = least(slot, 14), c = n / 5, ky = n % 5;
    const char *corner = (const char *)(pixels + (c * BACK_CHANNEL + ky * BACK_ROW) * CHUNK + im);
    const float2 *pair = pairs + pair_in_span(set * 6, 0, im);
    ROLLED
    for (int q = part * 49; q < part * 49 + 49; ++q) {
        const int p = begin + q;
        const char *x = corner + (p / 14 * 2 * BACK_ROW + p % 14 * 2) * CHUNK * 4;
        UNROLL
        for (int o = 0; o < 6; o += 2) {
            const float4 two = *(const float4 *)(pair + pair_in_span(o, q, 0));
            const float *t = (const float *)(x + __float_as_int(two.y)), *u = (const float *)(x + __float_as_int(two.w));
            UNROLL
            for (int k = 0; k < 5; ++k) sums[o * 5 + k] = fmaf(two.x, t[k * CHUNK], sums[o * 5 + k]);
            UNROLL
            for (int k = 0; k < 5; ++k) sums[o * 5 + 5 + k] = fmaf(two.z, u[k * CHUNK], sums[o * 5 + 5 + k]);
        }
    }
    if (tid >= CHANNELS1 * BIAS1) return;
    const float2 *own = pairs + pair_in_span(tid / BIAS1, 0, im);
    float sum = 0.f;
    for (int q = tid % BIAS1 / CHUNK; q < SPAN1; q += BIAS1 / CHUNK) sum += own[q * CHUNK * 2].x;
    sums[30] += sum;
}

/* Sum over the 8 images of neighbouring threads. */
DEVICE float sum8(const float *p)
{
    const float4 a = load4(p), b = load4(p + 4);
    return ((a.x + a.y) + (a.z + a.w)) + ((b.x + b.y) + (b.z + b.w));
}

/* Store the threads' sums as [sum][thread]. */
template <int N> DEVICE void store_sums(int tid, float *to, const float *sums)
{
    UNROLL
    for (int i = 0; i < N; ++i) to[i * SUM_STRIDE + tid] = sums[i];
}

/* Add the threads' sums of `weights2` for the outputs from `first` on, in a fixed order, and use the gradient. `r`: rule
of the weights, then that of the biases. */
DEVICE void update2(int tid, const float *sums, float *w, int first, const Rule *r, const Target &t)
{
    constexpr int NUMBERS = OUTPUTS2 * (TAPS2 + 1), TURNS = (NUMBERS + THREADS - 1) / THREADS;
    float gradient[TURNS]; /* loaded all at once, because each load waits for the second cache */
    UNROLL
    for (int turn = 0; turn < TURNS; ++turn) {
        const int i = least(tid + turn * THREADS, NUMBERS - 1);
        gradient[turn] = earlier_gradient(t, CONV2_WEIGHT + i / OUTPUTS2 * CHANNELS2 + first + i % OUTPUTS2);
    }
    UNROLL
    for (int turn = 0; turn < TURNS; ++turn) {
        const int i = tid + turn * THREADS;
        if (i >= NUMBERS) break;
        const int o = i % OUTPUTS2, tap = i / OUTPUTS2, kx = tap % 5, n = tap / 5; /* the bias after the taps */
        const float *from =
            tap < TAPS2 ? sums + ((o & 7) * 5 + kx) * SUM_STRIDE + ((o >> 3) * WARPS2 + (n >> 2)) * 32 + (n & 3) * 8
                        : sums + 40 * SUM_STRIDE + o * CHUNK;
        const int at = CONV2_WEIGHT + tap * CHANNELS2 + first + o;
        take_total(r[tap >= TAPS2], t, at, w[at], gradient[turn] + sum8(from));
    }
}

/* The same for `weights1`. */
DEVICE void update1(int tid, const float *sums, float *w, const Rule *r, const Target &t)
{
    for (int i = tid; i < CHANNELS1 * (TAPS1 + 1); i += THREADS) {
        const int o = i % CHANNELS1, tap = i / CHANNELS1, kx = tap % 5, n = tap / 5, set = o / 6;
        const int at = CONV1_WEIGHT + tap * TAP1 + o;
        const float earlier = earlier_gradient(t, at);
        float gradient = 0.f;
        if (tap < TAPS1)
            for (int part = set * PARTS1; part < (set + 1) * PARTS1; ++part)
                gradient += sum8(sums + (o % 6 * 5 + kx) * SUM_STRIDE + (part * 4 + (n >> 2)) * 32 + (n & 3) * 8);
        else
            for (int j = 0; j < BIAS1; j += CHUNK) gradient += sum8(sums + 30 * SUM_STRIDE + o * BIAS1 + j);
        take_total(r[tap >= TAPS1], t, at, w[at], earlier + gradient);
    }
}
