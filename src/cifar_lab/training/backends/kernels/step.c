/* Gradients of one batch: the operations on each group of images, on one or several threads.

A group passes through all operations before the next one starts, so its activations stay in the cache.

The order of every sum over the batch depends on the number of images alone. The groups form shards of consecutive
groups. A shard adds up its groups in their order, and the shards are added up in theirs. A thread processes whole
shards, so any number of threads gives the same bits. */
#include "kernels.h"
#ifdef _OPENMP
#include <omp.h>
#endif

/* How a thread computes with subnormal numbers. */
#if defined(__x86_64__)
#include <xmmintrin.h>
static uint64_t float_mode(void) { return _mm_getcsr(); }
static void set_float_mode(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
static uint64_t float_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static void set_float_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static uint64_t float_mode(void) { return 0; }
static void set_float_mode(uint64_t mode) { (void)mode; }
#endif

/* As in compiler.py. Operations from NORM_MERGE on run once, after all groups have reached them. */
enum { LOAD_BATCH, CONVOLVE, CONVOLVE_BACK, MAX_POOL, MAX_POOL_BACK, RELU, RELU_BACK, FLATTEN, FLATTEN_BACK, LINEAR,
       LINEAR_BACK, CROSS_ENTROPY, NORM_MEASURE, NORM, NORM_BACK_MEASURE, NORM_BACK, NORM_MERGE, NORM_BACK_MERGE };

typedef struct {
    int32_t kind, layer;
} op;

typedef struct {
    const layer *layers;
    const op *ops;
    int32_t layer_count, op_count;
    int32_t slot_per_group;                     /* else one per thread, which stays in the cache */
    float smoothing;
    float *gradients, *others;                  /* (width), shard 0 and the result; (shards - 1, width) */
    int64_t width;
    vec *lanes;                                 /* (threads, lane_count) */
    int64_t lane_count;
    worker *workers;                            /* one per shard */
} plan;

#define MOST_SHARDS 4 /* and so most threads of a step: each shard costs a row of gradients that is cleared and added */

static int groups_of(int32_t images) { return (images + LANES - 1) / LANES; }

/* Shards of a batch. Part of the numbers of a run, because it decides the order of sums. */
int32_t shards_of(int32_t images)
{
    const int groups = groups_of(images);
    return groups < MOST_SHARDS ? groups : MOST_SHARDS;
}

static void run_op(const plan *p, const op *o, const batch *given, worker *at)
{
    const layer *l = p->layers + o->layer;
    switch (o->kind) {
    case LOAD_BATCH: load_batch(given, (vec *)(l->in + at->slot * l->in_size), at); break;
    case CONVOLVE: convolve(l, at); break;
    case CONVOLVE_BACK: convolve_back(l, at); break;
    case MAX_POOL: max_pool(l, at); break;
    case MAX_POOL_BACK: max_pool_back(l, at); break;
    case RELU: relu(l, at); break;
    case RELU_BACK: relu_back(l, at); break;
    case FLATTEN: flatten(l, at); break;
    case FLATTEN_BACK: flatten_back(l, at); break;
    case LINEAR: linear(l, at); break;
    case LINEAR_BACK: linear_back(l, at); break;
    case CROSS_ENTROPY: cross_entropy(l, given, p->smoothing, at); break;
    case NORM_MEASURE: norm_measure(l, at); break;
    case NORM: norm(l, at); break;
    case NORM_BACK_MEASURE: norm_back_measure(l, at); break;
    case NORM_BACK: norm_back(l, at); break;
    case NORM_MERGE: norm_merge(l, given->images); break;
    case NORM_BACK_MERGE: norm_back_merge(l, given->images, at); break;
    }
}

/* Operations `begin` to `end - 1` on all groups of a shard. */
static void work_on_shard(const plan *p, const batch *given, int begin, int end, int shard, int thread)
{
    const int groups = groups_of(given->images), shards = shards_of(given->images);
    worker *at = p->workers + shard;
    for (int group = at->first; group < groups * (shard + 1) / shards; group++) {
        at->group = group;
        at->slot = p->slot_per_group ? group : thread;
        at->count = group + 1 < groups ? LANES : given->images - group * LANES;
        for (int i = begin; i < end; i++) run_op(p, p->ops + i, given, at);
    }
    for (int i = begin; i < end; i++)
        if (p->ops[i].kind == CONVOLVE_BACK) fold_lanes(p->layers + p->ops[i].layer, at);
}

/* Gradients `from` to `to - 1` of the batch: the rows of S shards, added in their order. */
INLINE void add_rows(const int S, const plan *p, int64_t from, int64_t to)
{
    float *sum = p->gradients;
    const float *more = p->others;
    int64_t i = from;
    for (; i + LANES <= to; i += LANES) {
        vec total = *(const loose_vec *)(sum + i);
        UNROLL for (int row = 0; row < S - 1; row++) total += *(const loose_vec *)(more + row * p->width + i);
        *(loose_vec *)(sum + i) = total;
    }
    for (; i < to; i++)
        for (int row = 0; row < S - 1; row++) sum[i] += more[row * p->width + i];
}

static void add_shards(const plan *p, int shards, int64_t from, int64_t to)
{
    switch (shards) {
    case 2: add_rows(2, p, from, to); break;
    case 3: add_rows(3, p, from, to); break;
    case 4: add_rows(4, p, from, to); break;
    }
}

/* One thread's part: its shards up to each merge, then its slice of the sum of gradients. */
static void work(const plan *p, const batch *given, int thread, int threads)
{
    const int groups = groups_of(given->images), shards = shards_of(given->images);
    const int first = shards * thread / threads, last = shards * (thread + 1) / threads;
    for (int shard = first; shard < last; shard++)
        p->workers[shard] = (worker){
            .first = groups * shard / shards,
            .gradients = shard ? p->others + (shard - 1) * p->width : p->gradients,
            .lanes = p->lanes + thread * p->lane_count,
        };
    for (int begin = 0, end; begin < p->op_count; begin = end + 1) {
        for (end = begin; end < p->op_count && p->ops[end].kind < NORM_MERGE; end++) {}
        for (int shard = first; shard < last; shard++) work_on_shard(p, given, begin, end, shard, thread);
        if (end == p->op_count) break;
#pragma omp barrier
        if (thread == 0) run_op(p, p->ops + end, given, p->workers);
#pragma omp barrier
    }
#pragma omp barrier
    add_shards(p, shards, p->width * thread / threads, p->width * (thread + 1) / threads);
}

/* Compared with compiler.py when the library is loaded. */
const int32_t sizes[] = {sizeof(layer), sizeof(batch), sizeof(plan), sizeof(worker)};

/* Gradients of the mean loss; the mean loss and the number of correct images, before an update. */
void step(const plan *p, const batch *given, int32_t threads, float *loss, int64_t *right)
{
    const int shards = shards_of(given->images);
#ifdef _OPENMP
    const int used = threads < shards ? threads : shards;
    if (used > 1) {
        const uint64_t mode = float_mode();
        /* May be fewer than requested (OMP_THREAD_LIMIT). */
#pragma omp parallel num_threads(used)
        {
            set_float_mode(mode); /* a thread that is older than the mode of its caller has another */
            work(p, given, omp_get_thread_num(), omp_get_num_threads());
        }
    } else
#endif
        work(p, given, 0, 1);
    double total = 0;
    *right = 0;
    for (int shard = 0; shard < shards; shard++) {
        total += p->workers[shard].loss;
        *right += p->workers[shard].right;
    }
    *loss = (float)(total / given->images);
}
