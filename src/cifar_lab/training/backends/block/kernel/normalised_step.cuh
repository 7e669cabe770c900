/* A step of a network with BatchNorm: passes over all parts of the batch, because each statistic is of the whole batch. */
#pragma once
#include "backward.cuh"
#include "loss.cuh"
#include "normalised_backward.cuh"
#include "normalised_forward.cuh"

constexpr int SHARES3 = 4; /* threads per number of the first linear layer that add it up */
static_assert(HIDDEN1 * SHARES3 <= THREADS, "a thread per share");

/* The thread's share of a row's sums: of x and x², or with gradients of g and g * (x - mean). */
template <int B>
DEVICE void add_share(int tid, double *shares, const float *x, const float *gradients, int count)
{
    const int k = tid / SHARES3, begin = tid % SHARES3 * (B / SHARES3);
    if (k >= HIDDEN1) return;
    const float mean = gradients ? norms().mean[NORM3.first + k] : 0.f;
    double sum = 0, product = 0;
    for (int i = begin; i < begin + B / SHARES3 && i < count; ++i) {
        const double value = x[k * Tile<B>::STRIDE + i] - mean;
        const double weight = gradients ? gradients[k * Tile<B>::STRIDE + i] : value;
        sum += weight;
        product += weight * value;
    }
    shares[tid] = sum;
    shares[THREADS + tid] = product;
}

DEVICE void add_shares(int tid, const double *shares, bool opens)
{
    if (tid >= HIDDEN1) return;
    double sum = 0, product = 0;
    for (int i = tid * SHARES3; i < (tid + 1) * SHARES3; ++i) {
        sum += shares[i];
        product += shares[THREADS + i];
    }
    add_to_channel(norms().sums, NORM3.first + tid, sum, opens);
    add_to_channel(norms().products, NORM3.first + tid, product, opens);
}

/* Features, and statistics of the first linear layer. */
template <int B> CALLED void pass_hidden(char *scratch, int images)
{
    typedef Tile<B> T;
    THREAD_REGISTERS
    Resident &s = *memory_of(scratch).resident;
    for (int number = 0; number < parts_of(images); ++number) {
        const Part part = part_at(scratch, number, images);
        const Memory m = memory_of_part(scratch, part);
        PHASE pool2(tid, part, T::STRIDE);
        END_PHASE
        multiply_first<B>(m, s.member.weights, registers);
        PHASE const int image = tid % T::LANES * T::EACH, group = tid / T::LANES;
        if (group * T::OUT1 < HIDDEN1) {
            UNROLL
            for (int i = 0; i < T::OUT1 * T::EACH; ++i)
                part.hidden[(group * T::OUT1 + i / T::EACH) * T::STRIDE + image + i % T::EACH] = OWN.sums[i];
        }
        END_PHASE
        PHASE add_share<B>(tid, (double *)m.work, part.hidden, nullptr, part.count);
        END_PHASE
        PHASE add_shares(tid, (double *)m.work, part.opens);
        END_PHASE
    }
    PHASE finish_statistics(tid, s, NORM3, images);
    END_PHASE
}

/* Loss, and the linear layers after the first, forward and backward. */
template <int B> CALLED void pass_rest(char *scratch, int step, int images)
{
    typedef Tile<B> T;
    THREAD_REGISTERS
    const LinearMemory<B> at = linear_memory<B>(memory_of(scratch));
    Resident &s = *memory_of(scratch).resident;
    const float *row = s.member.weights;
    double *shares = (double *)at.features; /* which this pass does not need */
    for (int number = 0; number < parts_of(images); ++number) {
        const Part part = part_at(scratch, number, images);
        const Memory m = memory_of_part(scratch, part);
        const Target t = target_of_part(m, part);
        PHASE note_part(tid, s, step, part);
        const float *scale = norms().scale + NORM3.first, *shift = norms().shift + NORM3.first;
        for (int i = tid; i < HIDDEN1 * B; i += THREADS) {
            const int k = i / B, place = k * T::STRIDE + i % B;
            const float y = fmaf(scale[k], part.hidden[place], shift[k]);
            at.hidden1[place] = y <= 0.f ? 0.f : y;
        }
        begin_rest<B>(tid, at, row, OWN.sums);
        END_PHASE
        forward_rest<B>(m, row, registers);
        use_logits<B>(at.logits, s, t, step, part.count, images);
        backward_rest<B>(m, t, registers);
        PHASE add_share<B>(tid, shares, part.hidden, at.hidden1, part.count);
        for (int i = tid; i < HIDDEN1 * T::STRIDE; i += THREADS) part.gradients3[i] = at.hidden1[i];
        END_PHASE
        PHASE add_shares(tid, shares, part.opens);
        END_PHASE
    }
}

/* First linear layer, backward, and the sums for the gradients of the features. */
template <int B> CALLED void pass_first(char *scratch, int images)
{
    typedef Tile<B> T;
    THREAD_REGISTERS
    static_assert(T::WHOLE, "features are in shared memory");
    const LinearMemory<B> at = linear_memory<B>(memory_of(scratch));
    Resident &s = *memory_of(scratch).resident;
    for (int number = 0; number < parts_of(images); ++number) {
        const Part part = part_at(scratch, number, images);
        const Memory m = memory_of_part(scratch, part);
        const Target t = target_of_part(m, part);
        PHASE block_copy(tid, at.features, part.features, FEATURES * T::STRIDE * 4);
        for (int i = tid; i < HIDDEN1 * B; i += THREADS) {
            const int k = i / B, place = k * T::STRIDE + i % B;
            const float g = through_norm(norms(), NORM3.first + k, part.gradients3[place], part.hidden[place]);
            at.hidden1[place] = i % B < part.count ? g : 0.f;
        }
        if (tid < HIDDEN1) {
            float bias = shared_load(t.weights + FC1_BIAS + tid);
            take_gradient(s.rules[FC1 + 1], t, FC1_BIAS + tid, bias, 0.f);
            if (t.closes) t.weights[FC1_BIAS + tid] = bias;
        }
        copied();
        END_PHASE
        const auto keep = [&part](int k, int n, float gradient) {
            part.gradients2[k * B + n] = part.codes2[k * B + n] < NO_PIXEL ? gradient : 0.f;
        };
        backward_first<B, false>(m, t, keep, registers);
        PHASE const int lane = tid & 31;
        const float *mean = norms().mean + NORM2.first + (lane >> 3) * 4;
        clear_sums<8>(OWN.sums);
        for (int item = tid >> 5; item < part.chunks * POSITIONS2; item += WARPS) {
            UNROLL
            for (int o = 0; o < 4; ++o) {
                const int k = ((lane >> 3) * 4 + o) * POSITIONS2 + item % POSITIONS2;
                const int place = k * B + item / POSITIONS2 * CHUNK + (lane & 7);
                const float g = part.gradients2[place];
                OWN.sums[o] += g;
                OWN.sums[4 + o] = fmaf(g, part.values2[place] - mean[o], OWN.sums[4 + o]);
            }
        }
        END_PHASE
        add_threads<8, 4>(m.work, NORM2, part.opens, registers);
    }
}

/* Step `step`, of `images` images. Updates that wait for all gradients follow in `update_late`. */
template <int B> DEVICE void train_normalised(char *scratch, int step, int images)
{
    const Memory m = memory_of(scratch);
    Resident &s = *m.resident;
    const Target batch = target_of(s.member, m.sums, true, true);
    PHASE note_rules(tid, s, step);
    END_PHASE
    pass_outputs1(scratch, step, images);
    pass_outputs2(scratch, images);
    pass_hidden<B>(scratch, images);
    pass_rest<B>(scratch, step, images);
    PHASE finish_gradients(tid, s, batch, NORM3, images);
    END_PHASE
    pass_first<B>(scratch, images);
    PHASE finish_gradients(tid, s, batch, NORM2, images);
    END_PHASE
    for (int number = 0; number < parts_of(images); ++number) {
        pass_back2(scratch, number, images);
        pass_weights2(scratch, number, images);
    }
    PHASE finish_gradients(tid, s, batch, NORM1, images);
    END_PHASE
    for (int number = 0; number < parts_of(images); ++number) pass_weights1(scratch, step, number, images);
}
