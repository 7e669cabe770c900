/* What the kernels share: how numbers lie in memory, and what they are told of a network.

Images go through the convolutions in groups of 16, side by side in memory: [channel][row][column][image]. So each
number of a vector register is one image's, whatever the number of channels, and a weight is the same for all of them.
From the first linear layer on each image has a row: [image][feature]. The numbers of one group lie in one slot.
*/
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

/* One layer, and where its numbers lie. Sizes are floats a slot. */
typedef struct {
    float *in, *out, *in_gradient, *out_gradient; /* of slot 0; in_gradient NULL: nobody asks for it */
    int64_t in_size, out_size;
    int32_t channels, height, width;            /* of the input; of rows: channels is features, width their stride */
    int32_t outputs, out_height, out_width;     /* of rows: out_width is the stride */
    const float *weight, *bias;
    int64_t weight_at, bias_at;                 /* where their gradients lie in a row of gradients */
    int64_t lanes_at;                           /* where a convolution's lane sums begin, in vectors */
    int32_t *index;                             /* of the largest of each window: out_size of them a slot */
    float *moments;                             /* of BatchNorm: see norm.c */
    float *running_mean, *running_variance;
    int64_t *batches;
    float momentum, eps;
} layer;

/* One batch of images, as `images.c` cuts it. */
typedef struct {
    const uint8_t *pixels;                      /* (N, 3, 32, 32), or NULL: `ready` has the batch */
    const float *ready;                         /* (B, 3, 32, 32), normalised */
    const int64_t *labels;                      /* (N) beside pixels, (B) beside ready */
    const int64_t *chosen;                      /* (B) numbers of images; NULL beside ready */
    const int64_t *offsets;                     /* (N, 2) row and column of each image's crop, or NULL */
    const uint8_t *flips;                       /* (N) whether an image is mirrored, or NULL */
    float scale[3], shift[3];                   /* pixel * scale - shift, a channel */
    int32_t padding, images;                    /* of crops; B */
} batch;

/* What one thread works on. */
typedef struct {
    int32_t group, slot, count;                 /* images group * 16 to group * 16 + count - 1 of the batch */
    float *gradients;                           /* this thread's row of gradients, to which is added */
    vec *lanes;                                 /* this thread's lane sums, to which is added */
    double loss;                                /* sum over this thread's images */
    int64_t right;
} worker;

INLINE vec spread(float x) { return (vec){} + x; }

/* `yes` where `where` is true (all bits), `no` elsewhere. */
INLINE vec choose(ivec where, vec yes, vec no) { return (vec)((where & (ivec)yes) | (~where & (ivec)no)); }

INLINE float sum_of(vec v)
{
    typedef float v8 __attribute__((vector_size(32), may_alias));
    typedef float v4 __attribute__((vector_size(16), may_alias));
    const v8 *halves = (const v8 *)&v, a = halves[0] + halves[1];
    const v4 *quarters = (const v4 *)&a, b = quarters[0] + quarters[1];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

void cut(const batch *given, vec *images, const worker *at);
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
