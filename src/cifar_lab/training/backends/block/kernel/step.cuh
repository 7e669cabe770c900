/* Steps of one network, and its logits. A batch is made in parts of B images. The sums over a part, and the order in
which parts are added, depend on the batch alone. */
#pragma once
#include "backward.cuh"
#include "team_update.cuh"
#if BATCH_NORM
#include "normalised_step.cuh"
#endif

/* Copy what a block works on into its shared memory, with the weights of the convolutions. */
DEVICE void begin_work(int tid, Resident &s, const Images &given, const Member &member, const Team &team)
{
    if (tid == 0) {
        s.given = given;
        s.member = member;
        s.team = team;
    }
    load_convolutions(tid, s, member);
}

/* Images of a batch that a block trains: whole shares, equally many per block of a team but its last ones. */
struct Range { int begin, end; };
DEVICE Range range_of(const Resident &s, int images)
{
    const int share = s.member.share, shares = (images + share - 1) / share;
    const int each = (shares + s.team.blocks - 1) / s.team.blocks * share, begin = s.team.rank * each;
    return {begin, least(begin + each, images)};
}

/* One part of step `step`: loss, gradients, and with the last part the update, which teams leave to `update_in_team`. */
template <int B> DEVICE void train_part(char *scratch, int step, int begin, Range range, int images)
{
    THREAD_REGISTERS
    const Memory memory = memory_of(scratch);
    Resident &s = *memory.resident;
    const Member &m = s.member;
    const int count = part_of(range.end, begin, B), chunks = chunks_of(count);
    const Target &t = s.target;
    PHASE if (tid < B) note_image(tid, s, (int64_t)step * m.batch + begin, count);
    if (tid == 0)
        s.target = s.team.blocks > 1
                       ? apart_of(m, s.team.shares + (int64_t)(begin / m.share) * SHARE_ROW, count)
                       : target_of(m, memory.sums, begin == range.begin, begin + B >= range.end, count);
    if (begin == range.begin && s.team.blocks == 1) note_rules(tid, s, step);
    END_PHASE
    forward_convolutions<B>(scratch, chunks);
    forward_linear<B>(memory, m.weights, registers);
    use_logits<B>(linear_memory<B>(memory).logits, s, t, step, count, images);
    backward_linear<B>(memory, t, registers);
    backward_inputs<B>(scratch, chunks);
    backward_weights(scratch, chunks);
}

/* Steps `begin` to `end` - 1 of an epoch of the member in shared memory. */
template <int B> LINKED void train(char *scratch, int begin, int end)
{
    Resident &s = *(Resident *)shared_memory;
    for (int step = begin; step < end; ++step) {
        const int images = part_of(s.member.images, step * s.member.batch, s.member.batch);
#if BATCH_NORM
        train_normalised<B>(scratch, step, images);
#else
        const Range range = range_of(s, images);
        for (int first = range.begin; first < range.end; first += B)
            train_part<B>(scratch, step, first, range, images);
#endif
        if (!BATCH_NORM && s.team.blocks > 1)
            update_in_team(step, images);
        else if (updates_late(s.member))
            update_late(scratch);
    }
    PHASE if (s.team.blocks == 1) store_convolutions(tid, s);
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

/* Segments `first` to `last` - 1 of an epoch of one network. Members with unequal batches finish an equal share of their
epochs. */
DEVICE void train_segments(const Training &given, Resident &s, char *scratch, int member, const Team &team, int first,
                           int last)
{
    PHASE begin_work(tid, s, given.images, given.members[member], team);
    END_PHASE
    const int steps = (s.member.images + s.member.batch - 1) / s.member.batch;
    const int begin = (int)((int64_t)steps * first / given.segments);
    const int end = (int)((int64_t)steps * last / given.segments);
    train_with<8>(s.member.part, scratch, begin, end);
    train_with<16>(s.member.part, scratch, begin, end);
    train_with<32>(s.member.part, scratch, begin, end);
    train_with<64>(s.member.part, scratch, begin, end);
}

/* Work of the block that began as number `place` of a launch of teams. */
DEVICE void train_in_team(const Training &given, Resident &s, int place)
{
    const Team team = team_at(given, place);
    if (team.rank >= team.blocks) return; /* the member has fewer blocks than others */
    train_segments(given, s, given.scratch + place * given.scratch_bytes, member_at(given, place), team, given.begin,
                   given.end);
}

constexpr int SCORED = 16 * MOST_IMAGES; /* images of one item of work */

/* Logits of one member for images from `begin` on. */
DEVICE void score(const Scoring &given, char *scratch, int member, int begin)
{
    constexpr int B = MOST_IMAGES;
    THREAD_REGISTERS
    const Memory memory = memory_of(scratch);
    Resident &s = *memory.resident;
    PHASE begin_work(tid, s, given.images, given.members[member], no_team());
    END_PHASE
    const int end = begin + part_of(given.count, begin, SCORED);
    for (int first = begin; first < end; first += B) {
        const int count = part_of(end, first, B);
        PHASE if (tid < B) note_stored(tid, s, first, count);
        END_PHASE
        forward_convolutions<B>(scratch, chunks_of(count));
        forward_linear<B>(memory, s.member.weights, registers);
        const float *logits = linear_memory<B>(memory).logits;
        float *out = given.logits + ((int64_t)member * given.count + first) * CLASSES;
        PHASE for (int i = tid; i < count * CLASSES; i += THREADS)
            out[i] = logits[i % CLASSES * Tile<B>::STRIDE + i / CLASSES];
        END_PHASE
    }
}
