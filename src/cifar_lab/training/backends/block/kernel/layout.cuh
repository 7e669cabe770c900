/* Sizes of the network, and where its numbers lie: in the row of a network, in scratch memory, in shared memory.

rows.py defines the capitals that are nowhere in these files, the widths of the network among them, and converts rows to
the layout of the checkpoints. Sizes of tiles follow from the widths and from the memory of a block. */
#pragma once
#include "jobs.cuh"
#include "team.cuh"

DEVICE constexpr int least(int a, int b) { return a < b ? a : b; }

constexpr int SIDE = 32, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE; /* bytes of an image */
constexpr int POSITIONS1 = 14 * 14, POSITIONS2 = 5 * 5;          /* of the pooled activations */
constexpr int FEATURES = CHANNELS2 * POSITIONS2;
constexpr int LOGITS = (CLASSES + 3) / 4 * 4;  /* padded to whole vectors; the padding stays 0 */
constexpr int TAP1 = (CHANNELS1 + 3) / 4 * 4;  /* outputs of a tap of the first convolution, padded likewise */
constexpr int NO_PIXEL = 4;                    /* code of a pooled value that ReLU cut: nothing to propagate */
constexpr int MOST_IMAGES = 64;                /* of a part of a batch */
static_assert(CLASSES >= 2 && CLASSES <= 16, "the last layer has a group of threads per class");
static_assert(CHANNELS1 % 6 == 0 && CHANNELS2 % 16 == 0 && HIDDEN1 % 8 == 0 && HIDDEN2 % 4 == 0, "widths");

/* A network's row: convolutions as [input tap][output channel], linear layers as [input][output]. */
constexpr int TAPS1 = 3 * 25, TAPS2 = CHANNELS1 * 25;
static_assert(CONV1_BIAS == CONV1_WEIGHT + TAPS1 * TAP1 && CONV2_WEIGHT == CONV1_BIAS + TAP1, "first convolution");
static_assert(CONV2_BIAS == CONV2_WEIGHT + TAPS2 * CHANNELS2 && FC1_WEIGHT == CONV2_BIAS + CHANNELS2,
              "second convolution");
static_assert(FC1_BIAS == FC1_WEIGHT + FEATURES * HIDDEN1 && FC2_WEIGHT == FC1_BIAS + HIDDEN1, "fc1");
static_assert(FC2_BIAS == FC2_WEIGHT + HIDDEN1 * HIDDEN2 && FC3_WEIGHT == FC2_BIAS + HIDDEN2, "fc2");
static_assert(FC3_BIAS == FC3_WEIGHT + HIDDEN2 * LOGITS, "fc3");
#if BATCH_NORM
static_assert(BN1_WEIGHT == FC3_BIAS + LOGITS && BN1_BIAS == BN1_WEIGHT + TAP1 && BN2_WEIGHT == BN1_BIAS + TAP1 &&
                  BN2_BIAS == BN2_WEIGHT + CHANNELS2 && BN3_WEIGHT == BN2_BIAS + CHANNELS2 &&
                  BN3_BIAS == BN3_WEIGHT + HIDDEN1,
              "BatchNorm");
constexpr int NUMBERS = BN3_BIAS + HIDDEN1; /* of a row, with the padding of each layer */
#else
constexpr int NUMBERS = FC3_BIAS + LOGITS;
#endif
static_assert(ROW > NUMBERS && ROW % 4 == 0, "padding at the end of a row");
constexpr int CONVOLUTIONS = FC1_WEIGHT; /* numbers of both convolutions, which stay in shared memory */

/* Activations of convolutions are in chunks of 8 images, interleaved: [channel][row][column][image]. Lanes of a warp are
then images, and reads of a shared weight are broadcasts. Strides are odd multiples of 8, against bank conflicts. */
constexpr int CHUNK = 8;
constexpr int POOL1_ROW = 15, POOL1_CHANNEL = 211, POOL1_CHUNK = CHANNELS1 * POOL1_CHANNEL * CHUNK;
constexpr int CODES1_CHUNK = CHANNELS1 * POSITIONS1 * CHUNK;      /* bytes: which pixel of a window was largest */
constexpr int PAIRS1_CHUNK = CHANNELS1 * POSITIONS1 * CHUNK;      /* (gradient, offset of its pixel) */
constexpr int PAIRS2_CHUNK = FEATURES * CHUNK + 8;
constexpr int PIXEL_ROW = 33;                                     /* even columns, then odd ones */
constexpr int PIXEL_CHUNK = 3 * SIDE * PIXEL_ROW * CHUNK;
constexpr int BACK_ROW = 33, BACK_CHANNEL = 1057, BACK_CHUNK = 3 * BACK_CHANNEL * CHUNK;
/* conv2's weights with a margin: 7 × 7 taps of all channels. Neighbours of a tap, also in the next row, are in other
banks. */
constexpr int PADDED_ROW = TAP1 == 8 ? 80 : 88, PADDED_CHANNEL = 7 * PADDED_ROW;
static_assert(TAP1 == 8 || TAP1 == 12, "the stride of a row of padded weights is chosen for these");

/* Scratch memory of a block: activations and gradients of one part of a batch. */
DEVICE constexpr long whole_lines(long bytes) { return (bytes + 255) / 256 * 256; }
constexpr int MOST_CHUNKS = MOST_IMAGES / CHUNK;
constexpr long AT_POOL1 = 0;
constexpr long AT_CODES1 = AT_POOL1 + whole_lines((long)MOST_CHUNKS * POOL1_CHUNK * 4);
constexpr long AT_FEATURES = AT_CODES1 + whole_lines((long)MOST_CHUNKS * CODES1_CHUNK);
constexpr long AT_CODES2 = AT_FEATURES + whole_lines((long)FEATURES * (MOST_IMAGES + 4) * 4);
constexpr long AT_PAIRS2 = AT_CODES2 + whole_lines((long)FEATURES * MOST_IMAGES);
constexpr long AT_PAIRS1 = AT_PAIRS2 + whole_lines((long)MOST_CHUNKS * PAIRS2_CHUNK * 8);
constexpr long AT_SUMS = AT_PAIRS1 + whole_lines((long)MOST_CHUNKS * PAIRS1_CHUNK * 8);
static_assert(AT_SUMS + whole_lines(ROW * 4l) <= SCRATCH_BYTES, "scratch memory of a block");

/* Update rule of one parameter in one step. */
struct Rule {
    int kind, later; /* see Kind; whether the update waits for the whole gradient */
    float lr, momentum, decay, eps;
    float fresh1, keep2, fresh2; /* 1 - beta1, beta2, 1 - beta2 */
    float step_size, root2;      /* with Adam's corrections of the first steps */
};

/* Rows of the member that is trained, and the part of its batch. Gradients are summed over each share of the part from
zero, and the shares are added in their order. */
struct Target {
    float *weights, *first, *second, *sums; /* sums: gradients of earlier parts, or a row for each share of this one */
    bool opens, closes, keeps, apart;       /* first part; last part; whether `first` is state; a row for each share */
    int share, images;                      /* images of a share; those of the part, in whole chunks */
};

/* Shared memory that lives through a step. */
struct Resident {
    float weights[CONVOLUTIONS];
    float losses[MOST_IMAGES];
    double share_losses[MOST_IMAGES / CHUNK];
    int hits[MOST_IMAGES], share_hits[MOST_IMAGES / CHUNK];
    int images[MOST_IMAGES]; /* number of each image of the part */
    int labels[MOST_IMAGES];
    int down[MOST_IMAGES], right[MOST_IMAGES], mirrored[MOST_IMAGES];
    double loss;             /* of the parts so far, as `correct` */
    int correct, item;
    Rule rules[PARAMETERS];
    Team team;
    Target target;           /* of the part */
    Member member;           /* copies: shared memory is faster than the launch's tables */
    Images given;
};
constexpr int AT_NORMS = (sizeof(Resident) + 127) / 128 * 128; /* statistics of BatchNorm: batch_norm.cuh */
constexpr int NORMED = BATCH_NORM ? CHANNELS1 + CHANNELS2 + HIDDEN1 : 0, NORM_BYTES = NORMED * 40;
constexpr int AT_WORK = AT_NORMS + (NORM_BYTES + 127) / 128 * 128; /* memory of a phase, which the next overwrites */
constexpr int WORK = (SHARED_BYTES - AT_WORK) / 4;            /* its numbers */

/* Images from `begin` on, at most `size`. */
DEVICE int part_of(int count, int begin, int size) { return least(count - begin, size); }

/* Chunks that so many images need. */
DEVICE constexpr int chunks_of(int images) { return (images + CHUNK - 1) / CHUNK; }
