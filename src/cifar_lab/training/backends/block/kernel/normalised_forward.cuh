/* Convolutions with BatchNorm, forward. A first pass over the batch stores the outputs and adds them up. A second one
normalises them, and applies ReLU and max-pooling. */
#pragma once
#include "normalised_part.cuh"

static_assert(CHANNELS1 == GROUP1 && CHANNELS2 == 16, "a thread makes all channels of the first layer, or 4 of 16");

/* Add a window's outputs to the thread's sums of a channel. */
DEVICE void add_window(const float *window, float &sum, float &square)
{
    sum += (window[0] + window[1]) + (window[2] + window[3]);
    UNROLL
    for (int q = 0; q < 4; ++q) square = fmaf(window[q], window[q], square);
}

/* First layer for `chunks` chunks, of which `count` images are of the batch. Outputs without biases. */
DEVICE void measure1(int tid, float *own, const float *pixels, const float *w, float *outputs, int chunks, int count)
{
    const int lane = tid & 31, im = lane & 7;
    ROLLED
    for (int task = tid >> 5; task < chunks * 49; task += WARPS) {
        const int chunk = task / 49, p = task % 49 * 4 + (lane >> 3), py = p / 14, px = p % 14;
        float sum[GROUP1][4];
        clear_sums(sum);
        ROLLED
        for (int c = 0; c < 3; ++c)
            add_taps1<PIXEL_ROW, 16>(
                sum, pixels + chunk * PIXEL_CHUNK + ((c * SIDE + 2 * py) * PIXEL_ROW + px) * CHUNK + im,
                w + CONV1_WEIGHT + c * 25 * TAP1);
        float *out = outputs + chunk * OUTPUTS1_CHUNK + (2 * py * SIDE1 + 2 * px) * CHUNK + im;
        UNROLL
        for (int o = 0; o < GROUP1; ++o) {
            UNROLL
            for (int q = 0; q < 4; ++q) out[(o * PLANE1 + (q >> 1) * SIDE1 + (q & 1)) * CHUNK] = sum[o][q];
            if (chunk * CHUNK + im < count) add_window(sum[o], own[o], own[GROUP1 + o]);
        }
    }
}

/* The same for the second layer. Lanes are 8 images and 4 groups of 4 channels. */
DEVICE void measure2(int tid, float *own, const float *in, const float *w, float *outputs, int chunks, int count)
{
    const int lane = tid & 31, im = lane & 7, first = (lane >> 3) * 4;
    ROLLED
    for (int task = tid >> 5; task < chunks * POSITIONS2; task += WARPS) {
        const int chunk = task / POSITIONS2, p = task % POSITIONS2, py = p / 5, px = p % 5;
        float sum[4][4];
        clear_sums(sum);
        ROLLED
        for (int c = 0; c < CHANNELS1; ++c)
            add_taps2(sum, in + chunk * POOL1_CHUNK + (c * POOL1_CHANNEL + 2 * py * POOL1_ROW + 2 * px) * CHUNK + im,
                      w + CONV2_WEIGHT + c * 25 * CHANNELS2 + first);
        float *out = outputs + chunk * OUTPUTS2_CHUNK + (first * PLANE2 + 2 * py * SIDE2 + 2 * px) * CHUNK + im;
        UNROLL
        for (int o = 0; o < 4; ++o) {
            UNROLL
            for (int q = 0; q < 4; ++q) out[(o * PLANE2 + (q >> 1) * SIDE2 + (q & 1)) * CHUNK] = sum[o][q];
            if (chunk * CHUNK + im < count) add_window(sum[o], own[o], own[4 + o]);
        }
    }
}

/* Largest normalised output of a window after ReLU, with its code and the output itself. */
DEVICE void pool_normalised(const float *outputs, int side, float scale, float shift, float &value, int &code, float &own)
{
    float x[4], window[4];
    UNROLL
    for (int q = 0; q < 4; ++q) {
        x[q] = outputs[((q >> 1) * side + (q & 1)) * CHUNK];
        window[q] = fmaf(scale, x[q], shift);
    }
    pool(window, value, code);
    own = code == 1 ? x[1] : code == 2 ? x[2] : code == 3 ? x[3] : x[0];
}

DEVICE void pool1(int tid, const Part &part)
{
    const Norms &n = norms();
    for (int item = tid; item < part.chunks * CODES1_CHUNK; item += THREADS) {
        const int im = item % CHUNK, p = item / CHUNK % POSITIONS1, c = item / (CHUNK * POSITIONS1) % CHANNELS1;
        const int chunk = item / CODES1_CHUNK, py = p / 14, px = p % 14;
        const float *from = part.outputs1 + chunk * OUTPUTS1_CHUNK + (c * PLANE1 + 2 * py * SIDE1 + 2 * px) * CHUNK + im;
        float value;
        int code;
        pool_normalised(from, SIDE1, n.scale[c], n.shift[c], value, code, part.values1[item]);
        part.pool1[chunk * POOL1_CHUNK + (c * POOL1_CHANNEL + py * POOL1_ROW + px) * CHUNK + im] = value;
        part.codes1[item] = (uint8_t)code;
    }
}

/* Features, [feature][image], of parts of `stride` - 4 images. */
DEVICE void pool2(int tid, const Part &part, int stride)
{
    const Norms &n = norms();
    for (int item = tid; item < part.chunks * FEATURES * CHUNK; item += THREADS) {
        const int im = item % CHUNK, k = item / CHUNK % FEATURES, o = k / POSITIONS2, p = k % POSITIONS2;
        const int chunk = item / (FEATURES * CHUNK), i = chunk * CHUNK + im, at = k * (stride - 4) + i;
        const float *from =
            part.outputs2 + chunk * OUTPUTS2_CHUNK + (o * PLANE2 + p / 5 * 2 * SIDE2 + p % 5 * 2) * CHUNK + im;
        const int c = NORM2.first + o;
        int code;
        pool_normalised(from, SIDE2, n.scale[c], n.shift[c], part.features[k * stride + i], code, part.values2[at]);
        part.codes2[at] = (uint8_t)code;
    }
    clear_features(tid, part.features, part.codes2, stride, part.chunks * CHUNK);
}

/* Statistics of the first convolution. */
CALLED void pass_outputs1(char *scratch, int step, int images)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    for (int number = 0; number < parts_of(images); ++number) {
        const Part part = part_at(scratch, number, images);
        PHASE note_part(tid, s, step, part);
        clear_sums<2 * CHANNELS1>(OWN.sums);
        END_PHASE
        for (int first = 0; first < part.chunks; first += FORWARD1) {
            const int n = least(part.chunks - first, FORWARD1);
            PHASE for (int c = 0; c < n; ++c)
                load_images<true>(tid, (float *)m.work + c * PIXEL_CHUNK, s, (first + c) * CHUNK);
            END_PHASE
            PHASE measure1(tid, OWN.sums, (float *)m.work, s.weights, part.outputs1 + (long)first * OUTPUTS1_CHUNK, n,
                           part.count - first * CHUNK);
            END_PHASE
        }
        add_threads<2 * CHANNELS1, 1>(m.work, NORM1, part.opens, registers);
    }
    PHASE finish_statistics(tid, s, NORM1, images);
    END_PHASE
}

/* First activation, and statistics of the second convolution. */
CALLED void pass_outputs2(char *scratch, int images)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    for (int number = 0; number < parts_of(images); ++number) {
        const Part part = part_at(scratch, number, images);
        PHASE pool1(tid, part);
        clear_sums<8>(OWN.sums);
        END_PHASE
        for (int first = 0; first < part.chunks; first += FORWARD2) {
            const int n = least(part.chunks - first, FORWARD2);
            PHASE block_copy(tid, m.work, part.pool1 + (long)first * POOL1_CHUNK, n * POOL1_CHUNK * 4);
            copied();
            END_PHASE
            PHASE measure2(tid, OWN.sums, (float *)m.work, s.weights, part.outputs2 + (long)first * OUTPUTS2_CHUNK, n,
                           part.count - first * CHUNK);
            END_PHASE
        }
        add_threads<8, 4>(m.work, NORM2, part.opens, registers);
    }
    PHASE finish_statistics(tid, s, NORM2, images);
    END_PHASE
}
