/* What a launch trains or scores. jobs.py mirrors these. */
#pragma once
#include "threads.cuh"

enum Kind { SGD = 0, NESTEROV = 1, ADAM = 2, ADAMW = 3 };
constexpr int MOST_PARAMETERS = 16; /* weights and biases of five layers, then those of BatchNorm */
constexpr int PARAMETERS = BATCH_NORM ? MOST_PARAMETERS : 10;

/* One network of a launch, with its own batch size, optimizer and schedule. */
struct Member {
    float *weights, *first, *second; /* rows: parameters; momentum or mean of gradients; mean of their squares */
    const int64_t *order;            /* image numbers of the epoch */
    const uint8_t *flips;            /* by image number: 1 for mirrored images, or NULL */
    const int64_t *offsets;          /* by image number: row and column of its crop, or NULL */
    const float *lr, *momenta;       /* of step s at s * stride; momenta may be NULL, and NaN keeps the member's own */
    float *loss;                     /* of step s at s * stride: mean over its images, before its update */
    int64_t *right;
    float *statistics;               /* running means, then variances, of BatchNorm; or NULL */
    double momentum, beta2, eps, smoothing;         /* momentum or the first beta */
    double factors[MOST_PARAMETERS], decays[MOST_PARAMETERS]; /* of the learning rate; weight decay */
    double matrix_momentum, clip_norm;              /* of Muon; 0 without a limit */
    int32_t kind, keeps_first;                      /* see Kind; whether `first` is state of that kind */
    int32_t batch, part, images;                    /* per step; of a part, 8, 16, 32 or 64; per epoch */
    int32_t stride, updates;                        /* of the tables; before the epoch */
    int32_t iterations, matrix_nesterov;            /* Muon, for all weights but the last layer's; 0 without it */
    int32_t share, blocks;                          /* images of a share, a multiple of 8; blocks that train it */
};

/* Images and their normalisation: byte * scale - shift, per channel. */
struct Images {
    const uint8_t *pixels; /* (N, 3, 32, 32) */
    const int64_t *labels;
    float scale[3], shift[3];
    int32_t padding, reflects; /* pixels that crops may move; whether they show the mirrored image, or black */
};

/* Segments `begin` to `end` - 1 of `segments` of an epoch, for every member. */
struct Training {
    Images images;
    const Member *members;
    char *scratch;
    int32_t *progress; /* 0 before a launch: items taken, then finished segments per member; see team.cuh for teams */
    float *shares;     /* `most_shares` rows of SHARE_ROW numbers per member, if teams train */
    int32_t count, begin, end, segments;
    int32_t blocks, most_shares; /* per member; 1: blocks take members from a queue */
    int64_t scratch_bytes;       /* per block, SCRATCH_BYTES or more */
};

/* Logits of every member for images 0 to `count` - 1. */
struct Scoring {
    Images images;
    const Member *members;
    char *scratch;
    float *logits; /* (members, count, CLASSES) */
    int32_t networks, count;
    int64_t scratch_bytes;
};

static_assert(sizeof(Member) == MEMBER_BYTES && sizeof(Training) == TRAINING_BYTES && sizeof(Scoring) == SCORING_BYTES,
              "jobs.py has another layout");
