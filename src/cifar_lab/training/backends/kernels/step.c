/* Gradients of one batch: the operations on each group of images, on one or several threads.

A group passes through all operations before the next one starts, so its activations stay in the cache. Groups are
assigned to threads by a fixed rule and sums have a fixed order, so a number of threads always gives the same bits. */
#include "kernels.h"
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
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
    float *gradients, *others;                  /* (width), the result; (threads - 1, width) */
    int64_t width;
    vec *lanes;                                 /* (threads, lane_count) */
    int64_t lane_count;
    worker *workers;                            /* one per thread */
} plan;

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

/* One thread's part: all operations up to each merge, then its slice of the sum of gradients. */
static void work(const plan *p, const batch *given, int thread, int threads)
{
    const int groups = (given->images + LANES - 1) / LANES;
    const int first = groups * thread / threads, last = groups * (thread + 1) / threads;
    worker *at = p->workers + thread;
    *at = (worker){
        .gradients = thread ? p->others + (thread - 1) * p->width : p->gradients,
        .lanes = p->lanes + thread * p->lane_count,
    };
    memset(at->gradients, 0, p->width * sizeof(float));
    memset(at->lanes, 0, p->lane_count * sizeof(vec));
    for (int begin = 0, end; begin < p->op_count; begin = end + 1) {
        for (end = begin; end < p->op_count && p->ops[end].kind < NORM_MERGE; end++) {}
        for (int group = first; group < last; group++) {
            at->group = group;
            at->slot = p->slot_per_group ? group : thread;
            at->count = group + 1 < groups ? LANES : given->images - group * LANES;
            for (int i = begin; i < end; i++) run_op(p, p->ops + i, given, at);
        }
        if (end == p->op_count) break;
#pragma omp barrier
        if (thread == 0) run_op(p, p->ops + end, given, at);
#pragma omp barrier
    }
    for (int i = 0; i < p->layer_count; i++)
        if (p->layers[i].lanes_at >= 0) fold_lanes(p->layers + i, at);
#pragma omp barrier
    const int64_t from = p->width * thread / threads, to = p->width * (thread + 1) / threads;
    for (int other = 0; other < threads - 1; other++)
        for (int64_t i = from; i < to; i++) p->gradients[i] += p->others[other * p->width + i];
}

/* Compared with compiler.py when the library is loaded. */
const int32_t sizes[] = {sizeof(layer), sizeof(batch), sizeof(plan), sizeof(worker)};

/* Gradients of the mean loss; the mean loss and the number of correct images, before an update. */
void step(const plan *p, const batch *given, int32_t threads, float *loss, int64_t *right)
{
    const int groups = (given->images + LANES - 1) / LANES;
    int used = threads < groups ? threads : groups;
#ifdef _OPENMP
    if (used > 1) {
#pragma omp parallel num_threads(used)
        {
            work(p, given, omp_get_thread_num(), omp_get_num_threads());
#pragma omp master
            used = omp_get_num_threads(); /* may be fewer than requested (OMP_THREAD_LIMIT) */
        }
    } else
#endif
    {
        used = 1;
        work(p, given, 0, 1);
    }
    double total = 0;
    *right = 0;
    for (int i = 0; i < used; i++) {
        total += p->workers[i].loss;
        *right += p->workers[i].right;
    }
    *loss = (float)(total / given->images);
}
