/* Shared declarations: memory layout of activations, and the description of a network.

Convolutions process images in groups of 16, interleaved in memory: [channel][row][column][image]. Each lane of a vector
register then holds another image. So registers are full for any number of channels, and one weight is broadcast to all
lanes. From the first linear layer on each image has a row: [image][feature]. The activations of a group form a slot. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define LANES 16
#define KERNEL 5 /* rows and columns of a convolution's kernel */

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vec __attribute__((vector_size(64), may_alias));
typedef float loose_vec __attribute__((vector_size(64), may_alias, aligned(4)));
typedef int32_t ivec __attribute__((vector_size(64), may_alias));

/* One layer and its memory. Sizes are floats per slot. */
typedef struct {
    float *in, *out, *in_gradient, *out_gradient; /* of slot 0; in_gradient is NULL for the first layer */
    int64_t in_size, out_size;
    int32_t channels, height, width;            /* of the input; for rows: features, 0, stride */
    int32_t outputs, out_height, out_width;     /* for rows: features, 0, stride */
    const float *weight, *bias;
    int64_t weight_at, bias_at;                 /* offsets of their gradients in a row of gradients */
    int64_t lanes_at;                           /* offset of a convolution's lane sums in vectors, else -1 */
    int32_t *index;                             /* of the maximum of each window: out_size per slot */
    float *moments;                             /* of BatchNorm, see norm.c */
    float *running_mean, *running_variance;
    int64_t *batches;
    float momentum, eps;
} layer;

/* One batch of images, as images.c loads it. */
typedef struct {
    const uint8_t *pixels;                      /* (N, 3, 32, 32), or NULL if `ready` holds the batch */
    const float *ready;                         /* (B, 3, 32, 32), normalised */
    const int64_t *labels;                      /* (N) with pixels, (B) with ready */
    const int64_t *others;                      /* (B) with ready: labels of the images mixed in, or NULL */
    const int64_t *chosen;                      /* (B) image numbers, NULL with ready */
    const int64_t *offsets;                     /* (N, 2) row and column of each image's crop, or NULL */
    const uint8_t *flips;                       /* (N) 1 for mirrored images, or NULL */
    float scale[3], shift[3];                   /* per channel: pixel * scale - shift */
    int32_t padding, images;                    /* pixels that crops may move; B */
    int32_t reflect;                            /* 1: crops see the image mirrored at its border, 0: black */
    float share;                                /* of each image's own label, with others */
} batch;

/* State of one shard, a fixed part of the batch, and of the thread that processes it. */
typedef struct {
    int32_t group, slot, count;                 /* images group * 16 to group * 16 + count - 1 of the batch */
    int32_t first;                              /* the shard's first group */
    float *gradients;                           /* the shard's row of gradient sums */
    vec *lanes;                                 /* lane sums of the thread, for one shard after the other */
    double loss;                                /* sum over the shard's images */
    int64_t right;
} worker;

INLINE vec broadcast(float x) { return (vec){} + x; }

/* Per lane: `yes` if all bits of `mask` are set, `no` if none is. */
INLINE vec blend(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }

/* Sum of the lanes, in a fixed tree order. */
INLINE float sum_of(vec v)
{
    typedef float v8 __attribute__((vector_size(32), may_alias));
    typedef float v4 __attribute__((vector_size(16), may_alias));
    const v8 *halves = (const v8 *)&v, a = halves[0] + halves[1];
    const v4 *quarters = (const v4 *)&a, b = quarters[0] + quarters[1];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

/* Vectors of a convolution's lane sums: its weights, then its biases. */
INLINE int lanes_of(const layer *l) { return l->outputs * (l->channels * KERNEL * KERNEL + 1); }

void load_batch(const batch *given, vec *images, const worker *at);
void convolve(const layer *l, worker *at);
void convolve_back(const layer *l, worker *at);
void fold_lanes(const layer *l, worker *at);
void max_pool(const layer *l, worker *at);
void max_pool_back(const layer *l, worker *at);
void relu(const layer *l, worker *at);
void relu_back(const layer *l, worker *at);
void flatten(const layer *l, worker *at);
void flatten_back(const layer *l, worker *at);
void linear(const layer *l, worker *at);
void linear_back(const layer *l, worker *at);
void cross_entropy(const layer *l, const batch *given, float smoothing, worker *at);
void norm_measure(const layer *l, worker *at);
void norm_merge(const layer *l, int32_t images);
void norm(const layer *l, worker *at);
void norm_back_measure(const layer *l, worker *at);
void norm_back_merge(const layer *l, int32_t images, worker *at);
void norm_back(const layer *l, worker *at);
