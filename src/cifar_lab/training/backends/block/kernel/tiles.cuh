/* Sizes of what a phase holds in shared memory at a time: all that a narrow network has, tiles of a wide one. */
#pragma once
#include "layout.cuh"

/* Chunks of images that fit at once, at most `most`, beside `fixed` numbers. */
DEVICE constexpr int chunks_at_once(int most, int numbers, int fixed = 0) { return least(most, (WORK - fixed) / numbers); }

/* Channels of the first convolution per thread. Their weights are loaded as whole vectors. */
constexpr int GROUP1 = CHANNELS1 % 4 == 0 ? 4 : 6;

/* Forward. */
constexpr int FORWARD1 = chunks_at_once(2, PIXEL_CHUNK), FORWARD2 = chunks_at_once(4, POOL1_CHUNK);
static_assert(FORWARD1 >= 1 && FORWARD2 >= 1, "images and the first pooled activation of a chunk");

/* Gradient of pool1, beside the padded weights: a power of 2, because lanes are images. */
constexpr int PADDED = CHANNELS2 * PADDED_CHANNEL;
constexpr int BACK_FITS = chunks_at_once(4, PAIRS2_CHUNK * 2, PADDED), BACK_CHUNKS = BACK_FITS == 3 ? 2 : BACK_FITS;
static_assert(BACK_CHUNKS >= 1, "pairs of the second convolution beside its weights");

/* Gradient of conv2's weights. A pass has 8 outputs per group of warps, whose threads have all kernel rows. */
constexpr int KERNEL_ROWS2 = CHANNELS1 * 5, WARPS2 = KERNEL_ROWS2 <= 32 ? 8 : 16; /* of an output; for 8 outputs */
constexpr int OUTPUTS2 = WARPS / WARPS2 * 8, PASSES2 = CHANNELS2 / OUTPUTS2;
constexpr int PASS2 = OUTPUTS2 * POSITIONS2 * CHUNK; /* pairs of a chunk */
constexpr int WEIGHTS2 = chunks_at_once(2, POOL1_CHUNK + PASS2 * 2);
static_assert(KERNEL_ROWS2 <= WARPS2 * 4 && CHANNELS2 % OUTPUTS2 == 0 && WEIGHTS2 >= 1, "gradient of the second convolution");

/* Gradient of conv1's weights. A thread has 6 outputs and 49 positions of a span, whose pairs are in memory at a time. */
constexpr int SETS1 = CHANNELS1 / 6, PARTS1 = 4 / SETS1;
constexpr int SPAN1 = PARTS1 * 49, SPANS1 = POSITIONS1 / SPAN1;
constexpr int BIAS1 = CHANNELS1 * 64 <= THREADS ? 64 : 32; /* threads per output that sum its bias */
static_assert(SETS1 * PARTS1 == 4 && CHANNELS1 * BIAS1 <= THREADS, "threads of the first convolution's gradient");
static_assert(BACK_CHUNK + CHANNELS1 * SPAN1 * CHUNK * 2 <= WORK, "gradient of the first convolution");
constexpr int SUM_STRIDE = THREADS + 4; /* of the threads' sums, against bank conflicts when they are added */
static_assert(41 * SUM_STRIDE <= WORK, "sums of the threads");

/* Where the pair of a channel, position and image is in a span: two channels are neighbours, for one load. */
DEVICE int pair_in_span(int c, int p, int image) { return ((c >> 1) * SPAN1 + p) * CHUNK * 2 + image * 2 + (c & 1); }

/* The same in a chunk, which is a span after the other. */
DEVICE int pair1_at(int c, int p, int image)
{
    const int span = SPANS1 == 1 ? 0 : p / SPAN1;
    return span * (PAIRS1_CHUNK / SPANS1) + pair_in_span(c, p - span * SPAN1, image);
}

/* Outputs per thread of a product: all of them with `groups` groups, in numbers that are loaded as vectors. */
DEVICE constexpr int outputs_of(int outputs, int groups)
{
    int each = (outputs + groups - 1) / groups;
    while (outputs % each != 0 || (each > 5 && each % 2 != 0)) ++each;
    return each;
}

/* Largest divisor of `whole` whose rows of `width` numbers fit into `space`. */
DEVICE constexpr int rows_that_fit(int whole, int width, int space)
{
    int rows = whole;
    while (rows > 1 && (whole % rows != 0 || rows * width > space)) --rows;
    return rows;
}

/* Rows of fc1's weights in memory at a time, and features per thread and turn backwards. */
struct FirstRows { int rows, back; };

/* Those that keep the groups of threads busiest: fewest turns, each as long as its features. Of equal ones the largest. */
DEVICE constexpr FirstRows first_rows(int width, int space, int groups)
{
    FirstRows best = {0, 0};
    int lowest = 1 << 30;
    for (int rows = 20; rows <= FEATURES && rows * width <= space; rows += 20) {
        if (FEATURES % rows != 0) continue;
        for (int back = 4; back <= 5; ++back) {
            const int turns = (rows / back + groups - 1) / groups, cost = FEATURES / rows * turns * back;
            if (cost > lowest) continue;
            lowest = cost;
            best = {rows, back};
        }
    }
    return best;
}

/* Linear layers for parts of B images. Features, [feature][image], stay in shared memory through forward and backward
pass if they fit beside all of fc2's weights. Else a tile of them shares the memory of fc1's weights. */
template <int B> struct Tile {
    static constexpr int STRIDE = B + 4; /* of a feature */
    static constexpr int EACH = B == 64 ? 2 : 1, LANES = B / EACH, GROUPS = THREADS / LANES;
    static constexpr int KEPT = (HIDDEN1 + HIDDEN2 + LOGITS) * STRIDE;
    static constexpr bool WHOLE = FEATURES * STRIDE + KEPT + HIDDEN1 * HIDDEN2 <= WORK;
    static constexpr int SPACE1 = WORK - (WHOLE ? FEATURES * STRIDE + KEPT : HIDDEN1 * STRIDE);
    static constexpr FirstRows FIRST = first_rows(HIDDEN1 + (WHOLE ? 0 : STRIDE), SPACE1, GROUPS);
    static constexpr int ROWS1 = FIRST.rows, BACK = FIRST.back;
    static constexpr int FEATURE_ROWS = WHOLE ? FEATURES : rows_that_fit(FEATURES, STRIDE, SPACE1); /* of an update */
    static constexpr int SPACE2 = WORK - (WHOLE ? FEATURES * STRIDE : 0) - KEPT;
    static constexpr int ROWS2 = rows_that_fit(HIDDEN1, HIDDEN2, SPACE2), TILES2 = HIDDEN1 / ROWS2; /* of fc2's weights */
    static constexpr int OUT1 = outputs_of(HIDDEN1, GROUPS), OUT2 = outputs_of(HIDDEN2, GROUPS); /* per thread */
    static constexpr int BACK2 = outputs_of(ROWS2, GROUPS); /* inputs of fc2 per thread and tile, backwards */
    static_assert(ROWS1 > 0 && ROWS2 > 1 && HIDDEN2 * LOGITS <= SPACE2, "linear layers");
    static_assert(ROWS1 % BACK == 0 && CLASSES <= GROUPS, "whole groups");
    static_assert(OUT1 * EACH <= 41 && TILES2 * BACK2 * EACH <= 41 && HIDDEN2 * B <= 41 * THREADS, "registers");
};
