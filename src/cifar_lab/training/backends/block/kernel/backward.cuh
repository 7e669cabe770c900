/* Backward pass of one part of a batch, with the update of the weights after the last part. */
#pragma once
#include "forward.cuh"
#include "gradients.cuh"

/* Linear layers after the first, from the gradient of the logits. The gradient of `hidden1` takes its place. Each layer's
old weights are used before they are updated. */
template <int B> DEVICE void backward_rest(const Memory &m, const Target &t, REGISTERS registers)
{
    typedef Tile<B> T;
    constexpr int TURNS = (HIDDEN2 * B + THREADS - 1) / THREADS;
    const LinearMemory<B> at = linear_memory<B>(m);
    const Rule *r = m.resident->rules;
    PHASE UNROLL
    for (int j = 0; j < TURNS; ++j) {
        const int item = tid + j * THREADS, k = item / B, i = item % B;
        float g = 0.f;
        if (k < HIDDEN2) {
            UNROLL
            for (int o = 0; o < CLASSES; ++o) g = fmaf(at.weights[k * LOGITS + o], at.logits[o * T::STRIDE + i], g);
            g = at.hidden2[k * T::STRIDE + i] > 0.f ? g : 0.f;
        }
        OWN.sums[j] = g;
    }
    END_PHASE
    PHASE update_weights<B, HIDDEN2, LOGITS, LOGITS, 3, 8, 4>(tid, at.hidden2, at.logits, FC3_WEIGHT, r[FC3], t);
    update_bias<B, CLASSES>(tid, at.logits, FC3_BIAS, r[FC3 + 1], t);
    END_PHASE
    PHASE UNROLL
    for (int j = 0; j < TURNS; ++j) {
        const int item = tid + j * THREADS, k = item / B, i = item % B;
        if (k < HIDDEN2) at.hidden2[k * T::STRIDE + i] = OWN.sums[j];
    }
    block_copy(tid, at.weights, t.weights + FC2_WEIGHT, T::ROWS2 * HIDDEN2 * 4);
    copied();
    END_PHASE
    UNROLL
    for (int tile = 0; tile < T::TILES2; ++tile) {
        if (tile > 0) {
            PHASE block_copy(tid, at.weights, t.weights + FC2_WEIGHT + tile * T::ROWS2 * HIDDEN2, T::ROWS2 * HIDDEN2 * 4);
            copied();
            END_PHASE
        }
        PHASE const int group = tid / T::LANES, image = tid % T::LANES * T::EACH;
        if (group * T::BACK2 < T::ROWS2) {
            float *sums = OWN.sums + tile * T::BACK2 * T::EACH;
            const float *hidden1 = at.hidden1 + (tile * T::ROWS2 + group * T::BACK2) * T::STRIDE + image;
            multiply_back<B, HIDDEN2, HIDDEN2, T::BACK2>(tid, group, sums, at.weights, at.hidden2);
            UNROLL
            for (int k = 0; k < T::BACK2; ++k) {
                UNROLL
                for (int i = 0; i < T::EACH; ++i)
                    if (!(hidden1[k * T::STRIDE + i] > 0.f)) sums[k * T::EACH + i] = 0.f;
            }
        }
        END_PHASE
    }
    PHASE update_weights<B, HIDDEN1, HIDDEN2, HIDDEN2, 3, 8, 4>(tid, at.hidden1, at.hidden2, FC2_WEIGHT, r[FC2], t);
    update_bias<B, HIDDEN2>(tid, at.hidden2, FC2_BIAS, r[FC2 + 1], t);
    END_PHASE
    PHASE const int group = tid / T::LANES, image = tid % T::LANES * T::EACH;
    if (group * T::BACK2 < T::ROWS2) {
        UNROLL
        for (int tile = 0; tile < T::TILES2; ++tile) {
            float *hidden1 = at.hidden1 + (tile * T::ROWS2 + group * T::BACK2) * T::STRIDE + image;
            UNROLL
            for (int k = 0; k < T::BACK2; ++k) {
                UNROLL
                for (int i = 0; i < T::EACH; ++i)
                    hidden1[k * T::STRIDE + i] = OWN.sums[(tile * T::BACK2 + k) * T::EACH + i];
            }
        }
    }
    END_PHASE
}

/* The first linear layer. Calls `keep` with feature, image and the gradient of each.
BIAS: whether its gradient is used. */
template <int B, bool BIAS, class Keep>
DEVICE void backward_first(const Memory &m, const Target &t, Keep keep, REGISTERS registers)
{
    typedef Tile<B> T;
    const LinearMemory<B> at = linear_memory<B>(m);
    const Rule *r = m.resident->rules;
    for (int first = 0; first < FEATURES; first += T::ROWS1) {
        PHASE block_copy(tid, at.weights1, t.weights + FC1_WEIGHT + first * HIDDEN1, T::ROWS1 * HIDDEN1 * 4);
        copied();
        END_PHASE
        PHASE for (int group = tid / T::LANES; group * T::BACK < T::ROWS1; group += T::GROUPS) {
            multiply_back<B, HIDDEN1, HIDDEN1, T::BACK>(tid, group, OWN.sums, at.weights1, at.hidden1);
            UNROLL
            for (int j = 0; j < T::BACK; ++j) {
                UNROLL
                for (int i = 0; i < T::EACH; ++i) {
                    const int k = first + group * T::BACK + j, n = tid % T::LANES * T::EACH + i;
                    keep(k, n, OWN.sums[j * T::EACH + i]);
                }
            }
        }
        END_PHASE
    }
    for (int first = 0; first < FEATURES; first += T::FEATURE_ROWS) {
        if (!T::WHOLE) {
            PHASE block_copy(tid, at.features, m.features + first * T::STRIDE, T::FEATURE_ROWS * T::STRIDE * 4);
            copied();
            END_PHASE
        }
        PHASE update_weights<B, T::FEATURE_ROWS, HIDDEN1, HIDDEN1, 5, B <= 16 ? 4 : 8, B <= 16 ? 8 : 4>(
            tid, at.features, at.hidden1, FC1_WEIGHT + first * HIDDEN1, r[FC1], t);
        if (BIAS && first == 0) update_bias<B, HIDDEN1>(tid, at.hidden1, FC1_BIAS, r[FC1 + 1], t);
        END_PHASE
    }
}

/* All linear layers, from the gradient of the logits to pairs of the features. */
template <int B> DEVICE void backward_linear(const Memory &m, const Target &t, REGISTERS registers)
{
    backward_rest<B>(m, t, registers);
    const auto keep = [&m](int k, int n, float gradient) {
        m.pairs2[(n >> 3) * PAIRS2_CHUNK + k * CHUNK + (n & 7)] = feature_pair(gradient, m.codes2[k * B + n]);
    };
    backward_first<B, true>(m, t, keep, registers);
}

/* Gradient of pool1 for `chunks` chunks, from the pairs of the features. */
template <int B> CALLED void backward_inputs(char *scratch, int chunks)
{
    constexpr int AT_ONCE = least(B, BACK_CHUNKS * CHUNK); /* images of the first part: lanes are images alone if they can */
    const Memory m = memory_of(scratch);
    float *work = (float *)m.work;
    float2 *pairs = (float2 *)(work + PADDED);
    PHASE pad_weights(tid, work, m.resident->weights);
    END_PHASE
    for (int first = 0; first < chunks; first += AT_ONCE / CHUNK) {
        const int n = least(chunks - first, AT_ONCE / CHUNK);
        PHASE block_copy(tid, pairs, m.pairs2 + first * PAIRS2_CHUNK, n * PAIRS2_CHUNK * 8);
        copied();
        END_PHASE
        PHASE convolve2_back<AT_ONCE>(tid, work, pairs, m.codes1 + first * CODES1_CHUNK,
                                      m.pairs1 + (long)first * PAIRS1_CHUNK, n);
        END_PHASE
    }
}

/* Gradients of the weights of both convolutions, share by share, and their use. */
CALLED void backward_weights(char *scratch, int chunks)
{
    THREAD_REGISTERS
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    const Target &t = s.target;
    float *work = (float *)m.work;
    const int shares = shares_in(t), chunks_each = t.share / CHUNK;
    ROLLED
    for (int item = 0; item < PASSES2 * shares; ++item) {
        const int pass = item / shares, share = item % shares, end = least((share + 1) * chunks_each, chunks);
        PHASE clear_sums<41>(OWN.sums);
        END_PHASE
        for (int first = share * chunks_each; first < end; first += WEIGHTS2) {
            const int n = least(end - first, WEIGHTS2);
            float2 *beside = (float2 *)(work + WEIGHTS2 * POOL1_CHUNK);
            PHASE block_copy(tid, work, m.pool1 + (long)first * POOL1_CHUNK, n * POOL1_CHUNK * 4);
            for (int c = 0; c < n; ++c)
                block_copy(tid, beside + c * PASS2, m.pairs2 + (first + c) * PAIRS2_CHUNK + pass * PASS2, PASS2 * 8);
            copied();
            END_PHASE
            PHASE for (int c = 0; c < n; ++c) weights2(tid, OWN.sums, work + c * POOL1_CHUNK, beside + c * PASS2);
            END_PHASE
        }
        PHASE store_sums<41>(tid, work, OWN.sums);
        END_PHASE
        PHASE update2(tid, work, s.weights, pass * OUTPUTS2, s.rules + CONV2, share_of(t, share));
        END_PHASE
    }
    ROLLED
    for (int share = 0; share < shares; ++share) {
        PHASE clear_sums<31>(OWN.sums);
        END_PHASE
        for (int chunk = share * chunks_each; chunk < least((share + 1) * chunks_each, chunks); ++chunk) {
            float2 *beside = (float2 *)(work + BACK_CHUNK);
            const float2 *pairs1 = m.pairs1 + (long)chunk * PAIRS1_CHUNK;
            for (int span = 0; span < SPANS1; ++span) {
                PHASE block_copy(tid, beside, pairs1 + span * (PAIRS1_CHUNK / SPANS1), PAIRS1_CHUNK / SPANS1 * 8);
                if (span == 0) load_images<false>(tid, work, s, chunk * CHUNK);
                copied();
                END_PHASE
                PHASE weights1(tid, OWN.sums, work, beside, span * SPAN1);
                END_PHASE
            }
        }
        PHASE store_sums<31>(tid, work, OWN.sums);
        END_PHASE
        PHASE update1(tid, work, s.weights, s.rules + CONV1, share_of(t, share));
        END_PHASE
    }
}
