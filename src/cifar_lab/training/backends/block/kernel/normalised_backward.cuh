/* Convolutions with BatchNorm, backward. Its means give every position a gradient, so nothing is sparse. */
#pragma once
#include "gradients.cuh"
#include "normalised_part.cuh"

/* Gradient of the second layer's outputs with a margin of 4 zeros: even columns before odd ones, as `add_taps1` reads. */
constexpr int WIDE = SIDE2 + 8, WIDE_PLANE = WIDE * WIDE, WIDE_CHUNK = CHANNELS2 * WIDE_PLANE * CHUNK;
/* The weights of the second layer from output to input, [output][tap][channel], for a convolution of that gradient. */
constexpr int TURNED = CHANNELS2 * 25 * TAP1;
static_assert(WIDE_CHUNK + TURNED <= WORK, "gradient of pool1");
constexpr int DENSE2 = chunks_at_once(2, POOL1_CHUNK + OUTPUTS2_CHUNK);
static_assert(DENSE2 >= 1 && PASSES2 == 1 && SETS1 == 1, "gradient of the second convolution");
constexpr int SPAN_ROWS = 14, DENSE1 = CHANNELS1 * SPAN_ROWS * SIDE1 * CHUNK; /* half the rows of the first layer */
static_assert(BACK_CHUNK + DENSE1 <= WORK, "gradient of the first convolution");

DEVICE void turn_weights(int tid, float *turned, const float *w)
{
    for (int i = tid; i < TURNED; i += THREADS) {
        const int c = i % TAP1, tap = i / TAP1 % 25, o = i / (TAP1 * 25);
        turned[i] = c < CHANNELS1 ? w[CONV2_WEIGHT + (c * 25 + 24 - tap) * CHANNELS2 + o] : 0.f;
    }
}

/* Gradients of the second layer's outputs for one chunk. MARGIN: in the form of `WIDE_CHUNK`, else as the outputs. */
template <bool MARGIN> DEVICE void spread2(int tid, float *to, const Part &part, int chunk, int images)
{
    const Norms &n = norms();
    for (int item = tid; item < FEATURES * CHUNK; item += THREADS) {
        const int im = item % CHUNK, k = item / CHUNK, o = k / POSITIONS2, y = k % POSITIONS2 / 5 * 2, x = k % 5 * 2;
        const int i = chunk * CHUNK + im, at = k * images + i, code = part.codes2[at];
        const float *from = part.outputs2 + (long)chunk * OUTPUTS2_CHUNK + (o * PLANE2 + y * SIDE2 + x) * CHUNK + im;
        const float gradient = part.gradients2[at];
        UNROLL
        for (int q = 0; q < 4; ++q) {
            const int row = q >> 1, column = q & 1;
            const float g = through_norm(n, NORM2.first + o, code == q ? gradient : 0.f, from[(row * SIDE2 + column) * CHUNK]);
            const int place = MARGIN ? o * WIDE_PLANE + (y + row + 4) * WIDE + column * (WIDE / 2) + x / 2 + 2
                                     : o * PLANE2 + (y + row) * SIDE2 + x + column;
            to[place * CHUNK + im] = i < part.count ? g : 0.f;
        }
    }
}

/* Gradient of pool1 for one chunk, in place of its values, and the thread's sums for the statistics. */
DEVICE void back2(int tid, float *own, const float *wide, const float *turned, float *values, const uint8_t *codes)
{
    const int lane = tid & 31, im = lane & 7, block = (tid >> 5) * 4 + (lane >> 3), by = block / 7, bx = block % 7;
    const float *mean = norms().mean + NORM1.first;
    if (block >= 49) return;
    float sum[GROUP1][4];
    clear_sums(sum);
    ROLLED
    for (int o = 0; o < CHANNELS2; ++o)
        add_taps1<WIDE, WIDE / 2>(sum, wide + (o * WIDE_PLANE + 2 * by * WIDE + bx) * CHUNK + im, turned + o * 25 * TAP1);
    UNROLL
    for (int c = 0; c < GROUP1; ++c) {
        UNROLL
        for (int q = 0; q < 4; ++q) {
            const int at = (c * POSITIONS1 + (2 * by + (q >> 1)) * 14 + 2 * bx + (q & 1)) * CHUNK + im;
            const float g = codes[at] < NO_PIXEL ? sum[c][q] : 0.f;
            own[c] += g;
            own[GROUP1 + c] = fmaf(g, values[at] - mean[c], own[GROUP1 + c]);
            values[at] = g;
        }
    }
}

/* Add to a thread's sums of weights what WIDTH neighbours of a row contribute. STRIDE: numbers per output of `g`. */
template <int WIDTH, int OUTS, int STRIDE> DEVICE void add_row(float *sums, const float *x, const float *g)
{
    float v[WIDTH + 4];
    UNROLL
    for (int d = 0; d < WIDTH + 4; ++d) v[d] = x[d * CHUNK];
    UNROLL
    for (int at = 0; at < WIDTH; ++at) {
        UNROLL
        for (int o = 0; o < OUTS; ++o) {
            const float own = g[(o * STRIDE + at) * CHUNK];
            UNROLL
            for (int k = 0; k < 5; ++k) sums[o * 5 + k] = fmaf(own, v[at + k], sums[o * 5 + k]);
        }
    }
}

/* Gradient of the second layer's weights over one chunk. A thread has an image, a channel, a kernel row and 8 outputs, all
5 columns, as in `weights2`. */
DEVICE void dense_weights2(int tid, float *sums, const float *in, const float *gradient)
{
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, slot = warp % WARPS2 * 4 + (lane >> 3);
    const int n = least(slot, KERNEL_ROWS2 - 1), c = n / 5, ky = n % 5;
    const float *x = in + (c * POOL1_CHANNEL + ky * POOL1_ROW) * CHUNK + im;
    const float *g = gradient + warp / WARPS2 * 8 * PLANE2 * CHUNK + im;
    ROLLED
    for (int y = 0; y < SIDE2; ++y, x += POOL1_ROW * CHUNK, g += SIDE2 * CHUNK) {
        add_row<SIDE2, 8, PLANE2>(sums, x, g);
    }
}

/* Gradients of the first layer's outputs for one chunk and half of its rows. */
DEVICE void spread1(int tid, float *to, const Part &part, int chunk, int span)
{
    constexpr int WINDOWS = POSITIONS1 / 2;
    const Norms &n = norms();
    for (int item = tid; item < CHANNELS1 * WINDOWS * CHUNK; item += THREADS) {
        const int im = item % CHUNK, w = item / CHUNK % WINDOWS, c = item / (CHUNK * WINDOWS), y = w / 14 * 2;
        const int x = w % 14 * 2, at = chunk * CODES1_CHUNK + (c * POSITIONS1 + span * WINDOWS + w) * CHUNK + im;
        const int code = part.codes1[at];
        const float gradient = part.values1[at];
        const float *from = part.outputs1 + (long)chunk * OUTPUTS1_CHUNK +
                            (c * PLANE1 + (span * SPAN_ROWS + y) * SIDE1 + x) * CHUNK + im;
        UNROLL
        for (int q = 0; q < 4; ++q) {
            const int pixel = (q >> 1) * SIDE1 + (q & 1);
            const float g = through_norm(n, NORM1.first + c, code == q ? gradient : 0.f, from[pixel * CHUNK]);
            to[((c * SPAN_ROWS + y) * SIDE1 + x + pixel) * CHUNK + im] = chunk * CHUNK + im < part.count ? g : 0.f;
        }
    }
}

/* Gradient of the first layer's weights over one chunk and half of its rows. A thread has an image, a channel, a kernel row
and a quarter of the half rows, all outputs and 5 columns, as in `weights1`. */
DEVICE void dense_weights1(int tid, float *sums, const float *pixels, const float *gradient, int span)
{
    constexpr int HALF = SIDE1 / 2;
    const int lane = tid & 31, im = lane & 7, warp = tid >> 5, slot = (warp & 3) * 4 + (lane >> 3);
    const int n = least(slot, 14), c = n / 5, ky = n % 5;
    const float *corner = pixels + (c * BACK_CHANNEL + (span * SPAN_ROWS + ky) * BACK_ROW) * CHUNK + im;
    ROLLED
    for (int item = warp >> 2; item < SPAN_ROWS * 2; item += PARTS1) {
        const int row = item >> 1, begin = (item & 1) * HALF;
        const float *x = corner + (row * BACK_ROW + begin) * CHUNK, *g = gradient + (row * SIDE1 + begin) * CHUNK + im;
        add_row<HALF, CHANNELS1, SPAN_ROWS * SIDE1>(sums, x, g);
    }
}

/* Gradient of pool1 with its sums, of one part. */
CALLED void pass_back2(char *scratch, int number, int images)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    const Part part = part_at(scratch, number, images);
    float *wide = (float *)m.work, *turned = wide + WIDE_CHUNK;
    PHASE for (int i = tid; i < WIDE_CHUNK; i += THREADS) wide[i] = 0.f;
    turn_weights(tid, turned, s.weights);
    clear_sums<2 * CHANNELS1>(OWN.sums);
    END_PHASE
    for (int chunk = 0; chunk < part.chunks; ++chunk) {
        PHASE spread2<true>(tid, wide, part, chunk, s.member.part);
        END_PHASE
        PHASE back2(tid, OWN.sums, wide, turned, part.values1 + (long)chunk * CODES1_CHUNK,
                    part.codes1 + chunk * CODES1_CHUNK);
        END_PHASE
    }
    add_threads<2 * CHANNELS1, 1>(m.work, NORM1, part.opens, registers);
}

/* Weights of the second convolution, of one part. */
CALLED void pass_weights2(char *scratch, int number, int images)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    const Part part = part_at(scratch, number, images);
    float *in = (float *)m.work, *gradient = in + DENSE2 * POOL1_CHUNK;
    PHASE clear_sums<41>(OWN.sums);
    END_PHASE
    for (int first = 0; first < part.chunks; first += DENSE2) {
        const int n = least(part.chunks - first, DENSE2);
        PHASE block_copy(tid, in, part.pool1 + (long)first * POOL1_CHUNK, n * POOL1_CHUNK * 4);
        for (int c = 0; c < n; ++c)
            spread2<false>(tid, gradient + c * OUTPUTS2_CHUNK, part, first + c, s.member.part);
        copied();
        END_PHASE
        PHASE for (int c = 0; c < n; ++c)
            dense_weights2(tid, OWN.sums, in + c * POOL1_CHUNK, gradient + c * OUTPUTS2_CHUNK);
        END_PHASE
    }
    PHASE store_sums<41>(tid, in, OWN.sums);
    END_PHASE
    PHASE update2(tid, in, s.weights, 0, s.rules + CONV2, target_of_part(m, part));
    END_PHASE
}

/* Weights of the first convolution, of one part. */
CALLED void pass_weights1(char *scratch, int step, int number, int images)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    const Part part = part_at(scratch, number, images);
    float *pixels = (float *)m.work, *gradient = pixels + BACK_CHUNK;
    PHASE note_part(tid, s, step, part);
    clear_sums<31>(OWN.sums);
    END_PHASE
    for (int chunk = 0; chunk < part.chunks; ++chunk)
        for (int span = 0; span < SIDE1 / SPAN_ROWS; ++span) {
            PHASE if (span == 0) load_images<false>(tid, pixels, s, chunk * CHUNK);
            spread1(tid, gradient, part, chunk, span);
            END_PHASE
            PHASE dense_weights1(tid, OWN.sums, pixels, gradient, span);
            END_PHASE
        }
    PHASE store_sums<31>(tid, pixels, OWN.sums);
    END_PHASE
    PHASE update1(tid, pixels, s.weights, s.rules + CONV1, target_of_part(m, part));
    END_PHASE
}
