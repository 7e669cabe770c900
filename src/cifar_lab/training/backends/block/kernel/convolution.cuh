/* Convolution, ReLU and 2 × 2 max-pooling in one pass. Each value keeps a code of the pixel that it is from. */
#pragma once
#include "tiles.cuh"

/* Largest of a window's four values, row by row, after ReLU. The first of equal ones, as in torch. A NaN wins. */
DEVICE void pool(const float *window, float &value, int &code)
{
    float best = window[0];
    int at = 0;
    UNROLL
    for (int q = 1; q < 4; ++q)
        if (window[q] > best || window[q] != window[q]) {
            best = window[q];
            at = q;
        }
    value = best > 0.f || best != best ? best : 0.f;
    code = best > 0.f ? at : NO_PIXEL;
}

/* Load N neighbouring weights, as vectors of 4 from the first on. */
template <int N> DEVICE void load_taps(float *to, const float *from)
{
    UNROLL
    for (int o = 0; o + 4 <= N; o += 4) {
        const float4 t = load4(from + o);
        to[o] = t.x, to[o + 1] = t.y, to[o + 2] = t.z, to[o + 3] = t.w;
    }
    if constexpr (N % 4 == 2) {
        const float2 t = load2(from + N - 2);
        to[N - 2] = t.x, to[N - 1] = t.y;
    }
}

/* Add a window's four sums of the first layer, from one input channel's 6 × 6 values. Even columns lie before odd ones,
ODD of them after the first. */
template <int LINE, int ODD> DEVICE void add_taps1(float (&sum)[GROUP1][4], const float *x, const float *taps)
{
    float v[6][6];
    UNROLL
    for (int r = 0; r < 6; ++r) {
        UNROLL
        for (int d = 0; d < 6; ++d) v[r][d] = x[(r * LINE + (d & 1) * ODD + (d >> 1)) * CHUNK];
    }
    UNROLL
    for (int tap = 0; tap < 25; ++tap) {
        float weight[GROUP1];
        load_taps<GROUP1>(weight, taps + tap * TAP1);
        UNROLL
        for (int o = 0; o < GROUP1; ++o) {
            UNROLL
            for (int q = 0; q < 4; ++q)
                sum[o][q] = fmaf(weight[o], v[tap / 5 + (q >> 1)][tap % 5 + (q & 1)], sum[o][q]);
        }
    }
}

/* First layer for `chunks` chunks: lanes are 8 images at 4 positions, and a thread makes GROUP1 channels of a window. */
DEVICE void convolve1(int tid, const float *pixels, const float *w, float *pooled, uint8_t *codes, int chunks)
{
    constexpr int GROUPS = CHANNELS1 / GROUP1;
    const int lane = tid & 31, im = lane & 7;
    ROLLED
    for (int task = tid >> 5; task < chunks * GROUPS * 49; task += WARPS) {
        const int chunk = task / (GROUPS * 49), turn = task - chunk * (GROUPS * 49);
        const int first = turn / 49 * GROUP1, p = turn % 49 * 4 + (lane >> 3), py = p / 14, px = p % 14;
        float sum[GROUP1][4];
        UNROLL
        for (int o = 0; o < GROUP1; ++o) sum[o][0] = sum[o][1] = sum[o][2] = sum[o][3] = w[CONV1_BIAS + first + o];
        ROLLED
        for (int c = 0; c < 3; ++c) {
            const float *x = pixels + chunk * PIXEL_CHUNK + ((c * SIDE + 2 * py) * PIXEL_ROW + px) * CHUNK + im;
            add_taps1<PIXEL_ROW, 16>(sum, x, w + CONV1_WEIGHT + c * 25 * TAP1 + first);
        }
        UNROLL
        for (int o = 0; o < GROUP1; ++o) {
            float value;
            int code;
            pool(sum[o], value, code);
            pooled[chunk * POOL1_CHUNK + ((first + o) * POOL1_CHANNEL + py * POOL1_ROW + px) * CHUNK + im] = value;
            codes[chunk * CODES1_CHUNK + ((first + o) * POSITIONS1 + p) * CHUNK + im] = (uint8_t)code;
        }
    }
}

/* Add a window's four sums of the second layer for 4 outputs, from one input channel. */
DEVICE void add_taps2(float (&sum)[4][4], const float *x, const float *taps)
{
    float v[6][6];
    UNROLL
    for (int r = 0; r < 6; ++r) {
        UNROLL
        for (int d = 0; d < 6; ++d) v[r][d] = x[(r * POOL1_ROW + d) * CHUNK];
    }
    UNROLL
    for (int tap = 0; tap < 25; ++tap) {
        float weight[4];
        load_taps<4>(weight, taps + tap * CHANNELS2);
        UNROLL
        for (int o = 0; o < 4; ++o) {
            UNROLL
            for (int q = 0; q < 4; ++q)
                sum[o][q] = fmaf(weight[o], v[tap / 5 + (q >> 1)][tap % 5 + (q & 1)], sum[o][q]);
        }
    }
}

/* Second layer for `chunks` chunks: lanes are 8 images and 4 of the groups of 4 channels. Features are [feature][image]. */
DEVICE void convolve2(int tid, const float *in, const float *w, float *features, uint8_t *codes, int chunks, int stride,
                      int first)
{
    constexpr int SETS = CHANNELS2 / 16;
    const int lane = tid & 31, im = lane & 7;
    ROLLED
    for (int task = tid >> 5; task < chunks * SETS * POSITIONS2; task += WARPS) {
        const int chunk = task / (SETS * POSITIONS2), turn = task - chunk * (SETS * POSITIONS2);
        const int first_output = turn / POSITIONS2 * 16 + (lane >> 3) * 4, p = turn % POSITIONS2, py = p / 5, px = p % 5;
        float sum[4][4];
        UNROLL
        for (int o = 0; o < 4; ++o) sum[o][0] = sum[o][1] = sum[o][2] = sum[o][3] = w[CONV2_BIAS + first_output + o];
        ROLLED
        for (int c = 0; c < CHANNELS1; ++c) {
            const float *x = in + chunk * POOL1_CHUNK + (c * POOL1_CHANNEL + 2 * py * POOL1_ROW + 2 * px) * CHUNK + im;
            add_taps2(sum, x, w + CONV2_WEIGHT + c * 25 * CHANNELS2 + first_output);
        }
        UNROLL
        for (int o = 0; o < 4; ++o) {
            float value;
            int code;
            pool(sum[o], value, code);
            const int k = (first_output + o) * POSITIONS2 + p, i = first + chunk * CHUNK + im;
            features[k * stride + i] = value;
            codes[k * (stride - 4) + i] = (uint8_t)code;
        }
    }
}

/* Features of images from `first` on that the part does not have. Old values could be NaN, which 0 does not cancel. */
DEVICE void clear_features(int tid, float *features, uint8_t *codes, int stride, int first)
{
    const int images = stride - 4, missing = images - first;
    for (int item = tid; item < missing * FEATURES; item += THREADS) {
        const int k = item / missing, i = first + item % missing;
        features[k * stride + i] = 0.f;
        codes[k * images + i] = NO_PIXEL;
    }
}
