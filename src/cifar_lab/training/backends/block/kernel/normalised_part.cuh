/* Scratch memory of one part of a batch for a network with BatchNorm. Each statistic needs all parts before the next layer
begins, so the activations of all parts are kept, with the convolutions' outputs. */
#pragma once
#include "batch_norm.cuh"
#include "forward.cuh"

constexpr int SIDE1 = 28, SIDE2 = 10; /* of the convolutions' outputs, [channel][row][column][image] per chunk */
constexpr int PLANE1 = SIDE1 * SIDE1, PLANE2 = SIDE2 * SIDE2;
constexpr int OUTPUTS1_CHUNK = CHANNELS1 * PLANE1 * CHUNK, OUTPUTS2_CHUNK = CHANNELS2 * PLANE2 * CHUNK;
constexpr int STRIDE_OF_PART = MOST_IMAGES + 4;

constexpr long AT_OUTPUTS1 = 0;
constexpr long AT_OUTPUTS2 = AT_OUTPUTS1 + whole_lines((long)MOST_CHUNKS * OUTPUTS1_CHUNK * 4);
constexpr long AT_PART_POOL1 = AT_OUTPUTS2 + whole_lines((long)MOST_CHUNKS * OUTPUTS2_CHUNK * 4);
constexpr long AT_VALUES1 = AT_PART_POOL1 + whole_lines((long)MOST_CHUNKS * POOL1_CHUNK * 4);
constexpr long AT_PART_CODES1 = AT_VALUES1 + whole_lines((long)MOST_CHUNKS * CODES1_CHUNK * 4);
constexpr long AT_PART_FEATURES = AT_PART_CODES1 + whole_lines((long)MOST_CHUNKS * CODES1_CHUNK);
constexpr long AT_VALUES2 = AT_PART_FEATURES + whole_lines((long)FEATURES * STRIDE_OF_PART * 4);
constexpr long AT_GRADIENTS2 = AT_VALUES2 + whole_lines((long)FEATURES * MOST_IMAGES * 4);
constexpr long AT_PART_CODES2 = AT_GRADIENTS2 + whole_lines((long)FEATURES * MOST_IMAGES * 4);
constexpr long AT_HIDDEN = AT_PART_CODES2 + whole_lines((long)FEATURES * MOST_IMAGES);
constexpr long AT_GRADIENTS3 = AT_HIDDEN + whole_lines((long)HIDDEN1 * STRIDE_OF_PART * 4);
static_assert(AT_GRADIENTS3 + whole_lines((long)HIDDEN1 * STRIDE_OF_PART * 4) <= PART_BYTES, "memory of a part");

/* Parts of a batch. */
DEVICE int parts_of(int images) { return (images + MOST_IMAGES - 1) / MOST_IMAGES; }

/* One part of a batch. */
struct Part {
    int number, count, chunks;       /* from 0 on; number of its images, and of their chunks */
    bool opens, closes;              /* first part; last part */
    float *outputs1, *outputs2, *pool1;
    float *values1, *values2;        /* largest output of each window; the first becomes the gradient of pool1 */
    float *features, *gradients2;    /* gradient of the features */
    float *hidden, *gradients3;      /* of the first linear layer without bias; gradient of it normalised */
    uint8_t *codes1, *codes2;
};

/* Part `number` of a batch of `images` images. */
DEVICE Part part_at(char *scratch, int number, int images)
{
    char *at = scratch + SCRATCH_BYTES + (int64_t)number * PART_BYTES;
    const int count = part_of(images, number * MOST_IMAGES, MOST_IMAGES);
    return {number, count, chunks_of(count), number == 0, number == parts_of(images) - 1,
            (float *)(at + AT_OUTPUTS1),       (float *)(at + AT_OUTPUTS2),    (float *)(at + AT_PART_POOL1),
            (float *)(at + AT_VALUES1),        (float *)(at + AT_VALUES2),     (float *)(at + AT_PART_FEATURES),
            (float *)(at + AT_GRADIENTS2),     (float *)(at + AT_HIDDEN),      (float *)(at + AT_GRADIENTS3),
            (uint8_t *)(at + AT_PART_CODES1),  (uint8_t *)(at + AT_PART_CODES2)};
}

/* Memory of a block in which the linear layers have the features of a part. */
DEVICE Memory memory_of_part(char *scratch, const Part &part)
{
    Memory m = memory_of(scratch);
    m.features = part.features;
    m.codes2 = part.codes2;
    return m;
}

/* Target of the gradients of a part. */
DEVICE Target target_of_part(const Memory &m, const Part &part)
{
    return target_of(m.resident->member, m.sums, part.opens, part.closes, part.count);
}

/* Note the images of a part. */
DEVICE void note_part(int tid, Resident &s, int step, const Part &part)
{
    if (tid < MOST_IMAGES) note_image(tid, s, (int64_t)step * s.member.batch + part.number * MOST_IMAGES, part.count);
}
