/* Steps of one network, and its logits. A batch is made in parts of B images. The sums over a part, and the order in
which parts are added, depend on the batch alone. */
#pragma once
#include "backward.cuh"
#include "late_update.cuh"
#include "loss.cuh"
#if BATCH_NORM
#include "normalised_step.cuh"
#endif

/* Copy what a block works on into its shared memory, with the weights of the convolutions. */
DEVICE void begin_work(int tid, Resident &s, const Images &given, const Member &member)
{
    if (tid == 0) {
        s.given = given;
        s.member = member;
    }
    for (int i = tid; i < CONVOLUTIONS; i += THREADS) s.weights[i] = shared_load(member.weights + i);
}

/* One part of step `step`: loss, gradients, and with the last part the update. */
template <int B> DEVICE void train_part(const Memory &memory, int step, int begin, int images, REGISTERS registers)
{
    Resident &s = *memory.resident;
    const Member &m = s.member;
    const int count = part_of(images, begin, B), chunks = (count + CHUNK - 1) / CHUNK;
    const Target t = target_of(m, memory.sums, begin == 0, begin + B >= images);
    PHASE if (tid < B) note_image(tid, s, (int64_t)step * m.batch + begin, count);
    if (begin == 0 && tid >= THREADS - PARAMETERS) s.rules[THREADS - 1 - tid] = rule_of(m, step, THREADS - 1 - tid);
    END_PHASE
    forward_convolutions<B>(memory, chunks, registers);
    forward_linear<B>(memory, m.weights, registers);
    float *logits = linear_memory<B>(memory).logits;
    PHASE if (tid < B) cross_entropy<Tile<B>::STRIDE>(tid, logits, s, (float)m.smoothing, images, tid < count);
    END_PHASE
    PHASE if (tid == 0) add_losses(s, step, count, images, t.opens, t.closes);
    END_PHASE
    backward_linear<B>(memory, t, registers);
    backward_convolutions<B>(memory, t, chunks, registers);
}

/* Steps `begin` to `end` - 1 of an epoch of the member in shared memory. */
template <int B> LINKED void train(char *scratch, int begin, int end)
{
    THREAD_REGISTERS
    const Memory memory = memory_of(scratch);
    Resident &s = *memory.resident;
    for (int step = begin; step < end; ++step) {
        const int images = part_of(s.member.images, step * s.member.batch, s.member.batch);
#if BATCH_NORM
        (void)registers;
        train_normalised<B>(scratch, step, images);
#else
        for (int first = 0; first < images; first += B) train_part<B>(memory, step, first, images, registers);
#endif
        if (updates_late(s.member)) update_late(scratch);
    }
    PHASE for (int i = tid; i < CONVOLUTIONS; i += THREADS) s.member.weights[i] = s.weights[i];
    END_PHASE
}

#ifdef __CUDACC__ /* units of their own */
extern template LINKED void train<8>(char *, int, int);
extern template LINKED void train<16>(char *, int, int);
extern template LINKED void train<32>(char *, int, int);
extern template LINKED void train<64>(char *, int, int);
#endif

/* `train` with parts of B images, if the member has such. PARTS: sizes of this compilation. */
template <int B> DEVICE void train_with(int part, char *scratch, int begin, int end)
{
    if constexpr ((PARTS & B) != 0)
        if (part == B) train<B>(scratch, begin, end);
}

/* Segment `segment` of an epoch of one network. Members with unequal batches finish an equal share of their epochs. */
DEVICE void train_segment(const Training &given, Resident &s, char *scratch, int member, int segment)
{
    PHASE begin_work(tid, s, given.images, given.members[member]);
    END_PHASE
    const int steps = (s.member.images + s.member.batch - 1) / s.member.batch;
    const int begin = (int)((int64_t)steps * segment / given.segments);
    const int end = (int)((int64_t)steps * (segment + 1) / given.segments);
    train_with<8>(s.member.part, scratch, begin, end);
    train_with<16>(s.member.part, scratch, begin, end);
    train_with<32>(s.member.part, scratch, begin, end);
    train_with<64>(s.member.part, scratch, begin, end);
}

constexpr int SCORED = 16 * MOST_IMAGES; /* images of one item of work */

/* Logits of one member for images from `begin` on. */
DEVICE void score(const Scoring &given, char *scratch, int member, int begin)
{
    constexpr int B = MOST_IMAGES;
    THREAD_REGISTERS
    const Memory memory = memory_of(scratch);
    Resident &s = *memory.resident;
    PHASE begin_work(tid, s, given.images, given.members[member]);
    END_PHASE
    const int end = begin + part_of(given.count, begin, SCORED);
    for (int first = begin; first < end; first += B) {
        const int count = part_of(end, first, B);
        PHASE if (tid < B) note_stored(tid, s, first, count);
        END_PHASE
        forward_convolutions<B>(memory, (count + CHUNK - 1) / CHUNK, registers);
        forward_linear<B>(memory, s.member.weights, registers);
        const float *logits = linear_memory<B>(memory).logits;
        float *out = given.logits + ((int64_t)member * given.count + first) * CLASSES;
        PHASE for (int i = tid; i < count * CLASSES; i += THREADS)
            out[i] = logits[i % CLASSES * Tile<B>::STRIDE + i / CLASSES];
        END_PHASE
    }
}
