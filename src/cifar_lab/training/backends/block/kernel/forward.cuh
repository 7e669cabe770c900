/* Forward pass of one part of a batch: images noted in `Resident` to logits in shared memory. */
#pragma once
#include "convolution.cuh"
#include "images.cuh"
#include "linear.cuh"

/* Memory of a block. */
struct Memory {
    Resident *resident;
    char *work;
    float *pool1, *features;
    uint8_t *codes1, *codes2;
    float2 *pairs1, *pairs2;
    float *sums;
};

DEVICE Memory memory_of(char *scratch)
{
    return {(Resident *)shared_memory,
            shared_memory + AT_WORK,
            (float *)(scratch + AT_POOL1),
            (float *)(scratch + AT_FEATURES),
            (uint8_t *)(scratch + AT_CODES1),
            (uint8_t *)(scratch + AT_CODES2),
            (float2 *)(scratch + AT_PAIRS1),
            (float2 *)(scratch + AT_PAIRS2),
            (float *)(scratch + AT_SUMS)};
}

/* Shared memory of the linear layers. Tiles of features and of fc1's weights may lie over what later layers use. */
template <int B> struct LinearMemory {
    float *features, *hidden1, *hidden2, *logits, *weights1, *weights;
};
template <int B> DEVICE LinearMemory<B> linear_memory(const Memory &m)
{
    typedef Tile<B> T;
    float *work = (float *)m.work, *hidden1 = T::WHOLE ? work + FEATURES * T::STRIDE : work;
    float *hidden2 = hidden1 + HIDDEN1 * T::STRIDE, *logits = hidden2 + HIDDEN2 * T::STRIDE;
    float *weights = logits + LOGITS * T::STRIDE;
    if (T::WHOLE) return {work, hidden1, hidden2, logits, weights, weights};
    return {hidden2, hidden1, hidden2, logits, hidden2 + T::ROWS1 * T::STRIDE, weights};
}

/* Convolutions of `chunks` chunks of images. */
template <int B> CALLED void forward_convolutions(char *scratch, int chunks)
{
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    for (int first = 0; first < chunks; first += FORWARD1) {
        const int n = least(chunks - first, FORWARD1);
        PHASE for (int c = 0; c < n; ++c)
            load_images<true>(tid, (float *)m.work + c * PIXEL_CHUNK, s, (first + c) * CHUNK);
        END_PHASE
        PHASE convolve1(tid, (float *)m.work, s.weights, m.pool1 + (long)first * POOL1_CHUNK,
                        m.codes1 + first * CODES1_CHUNK, n);
        END_PHASE
    }
    for (int first = 0; first < chunks; first += FORWARD2) {
        const int n = least(chunks - first, FORWARD2);
        PHASE block_copy(tid, m.work, m.pool1 + (long)first * POOL1_CHUNK, n * POOL1_CHUNK * 4);
        copied();
        END_PHASE
        PHASE convolve2(tid, (float *)m.work, s.weights, m.features, m.codes2, n, Tile<B>::STRIDE, first * CHUNK);
        if (first + FORWARD2 >= chunks) clear_features(tid, m.features, m.codes2, Tile<B>::STRIDE, chunks * CHUNK);
        END_PHASE
    }
}

/* Products of the first linear layer, without its bias, into the threads' sums. */
template <int B> DEVICE void multiply_first(const Memory &m, const float *row, REGISTERS registers)
{
    typedef Tile<B> T;
    const LinearMemory<B> at = linear_memory<B>(m);
    PHASE if (T::WHOLE) block_copy(tid, at.features, m.features, FEATURES * T::STRIDE * 4);
    clear_sums<T::OUT1 * T::EACH>(OWN.sums);
    END_PHASE
    for (int k = 0; k < FEATURES; k += T::ROWS1) {
        const float *features = T::WHOLE ? at.features + k * T::STRIDE : at.features;
        PHASE block_copy(tid, at.weights1, row + FC1_WEIGHT + k * HIDDEN1, T::ROWS1 * HIDDEN1 * 4);
        if (!T::WHOLE) block_copy(tid, at.features, m.features + k * T::STRIDE, T::ROWS1 * T::STRIDE * 4);
        copied();
        END_PHASE
        PHASE multiply<B, HIDDEN1, HIDDEN1, T::OUT1>(tid, OWN.sums, at.weights1, features, T::ROWS1);
        END_PHASE
    }
}

/* Load what `forward_rest` begins with. */
template <int B> DEVICE void begin_rest(int tid, const LinearMemory<B> &at, const float *row, float *sums)
{
    typedef Tile<B> T;
    block_copy(tid, at.weights, row + FC2_WEIGHT, T::ROWS2 * HIDDEN2 * 4);
    copied();
    clear_sums<T::OUT2 * T::EACH>(sums);
}

/* Linear layers after the first. fc3's weights stay in shared memory afterwards. */
template <int B> DEVICE void forward_rest(const Memory &m, const float *row, REGISTERS registers)
{
    typedef Tile<B> T;
    const LinearMemory<B> at = linear_memory<B>(m);
    for (int k = 0; k < HIDDEN1; k += T::ROWS2) {
        if (k > 0) {
            PHASE block_copy(tid, at.weights, row + FC2_WEIGHT + k * HIDDEN2, T::ROWS2 * HIDDEN2 * 4);
            copied();
            END_PHASE
        }
        PHASE multiply<B, HIDDEN2, HIDDEN2, T::OUT2>(tid, OWN.sums, at.weights, at.hidden1 + k * T::STRIDE, T::ROWS2);
        if (k + T::ROWS2 == HIDDEN1) finish<B, HIDDEN2, T::OUT2, true>(tid, OWN.sums, row + FC2_BIAS, at.hidden2);
        END_PHASE
    }
    PHASE block_copy(tid, at.weights, row + FC3_WEIGHT, HIDDEN2 * LOGITS * 4);
    copied();
    clear_sums<T::EACH>(OWN.sums);
    END_PHASE
    PHASE multiply<B, CLASSES, LOGITS, 1>(tid, OWN.sums, at.weights, at.hidden2, HIDDEN2);
    finish<B, CLASSES, 1, false>(tid, OWN.sums, row + FC3_BIAS, at.logits);
    END_PHASE
}

/* Linear layers with the weights of a row. */
template <int B> DEVICE void forward_linear(const Memory &m, const float *row, REGISTERS registers)
{
    const LinearMemory<B> at = linear_memory<B>(m);
    multiply_first<B>(m, row, registers);
    PHASE finish<B, HIDDEN1, Tile<B>::OUT1, true>(tid, OWN.sums, row + FC1_BIAS, at.hidden1);
    begin_rest<B>(tid, at, row, OWN.sums);
    END_PHASE
    forward_rest<B>(m, row, registers);
}
