/* BatchNorm (arXiv:1502.03167) over a whole batch: its statistics, and their part in the gradients.

Normalised values are `scale` * (x - `mean`) + bias. x lacks the layer's bias, which has no effect on them, so its gradient
is 0. With the sums of the gradient g and of g * (x - mean) over the batch, the gradient of x is
`scale` * g + `offset` + `slope` * (x - mean). Sums are in float64, of a thread's few numbers in fp32. */
#pragma once
#include "update.cuh"

/* Numbers of each channel of the three layers, one layer after the other, in shared memory. */
struct Norms {
    double sums[NORMED], products[NORMED]; /* of x and x², then of g and g * (x - mean) */
    float mean[NORMED], inverse[NORMED];   /* 1 / standard deviation */
    float scale[NORMED], shift[NORMED];    /* scale * x + shift is normalised */
    float offset[NORMED], slope[NORMED];
};
static_assert(sizeof(Norms) == NORM_BYTES, "memory of the statistics");

struct NormLayer {
    int first, channels;        /* in `Norms` */
    int weight, bias, number;   /* in the row; of its weights as a parameter */
    int before;                 /* bias of the layer before it, in the row */
    int positions;              /* of an image */
};
constexpr NormLayer NORM1 = {0, CHANNELS1, BN1_WEIGHT, BN1_BIAS, BN1, CONV1_BIAS, POSITIONS1 * 4};
constexpr NormLayer NORM2 = {CHANNELS1, CHANNELS2, BN2_WEIGHT, BN2_BIAS, BN2, CONV2_BIAS, POSITIONS2 * 4};
constexpr NormLayer NORM3 = {CHANNELS1 + CHANNELS2, HIDDEN1, BN3_WEIGHT, BN3_BIAS, BN3, FC1_BIAS, 1};
constexpr float NORM_MOMENTUM = 0.1f; /* share of a batch in the running statistics */
constexpr double VARIANCE_EPS = 1e-5;

DEVICE Norms &norms() { return *(Norms *)(shared_memory + AT_NORMS); }

/* Add a thread's number to a channel's sums of the batch, which the first part begins. */
DEVICE void add_to_channel(double *sums, int channel, double value, bool opens)
{
    sums[channel] = opens ? value : sums[channel] + value;
}

/* Add sums of the threads to those of the channels of `layer`. A thread has COUNT / 2 sums of neighbouring channels, then
as many of products. Groups of 8 threads take turns with SETS such sets of channels. */
template <int COUNT, int SETS>
DEVICE void add_threads(char *work, const NormLayer &layer, bool opens, REGISTERS registers)
{
    constexpr int GROUPS = THREADS / CHUNK, EACH = COUNT / 2;
    double *eights = (double *)work;
    float *partial = (float *)(eights + COUNT * GROUPS);
    PHASE UNROLL
    for (int i = 0; i < COUNT; ++i) partial[i * THREADS + tid] = OWN.sums[i];
    END_PHASE
    PHASE for (int i = tid; i < COUNT * GROUPS; i += THREADS) {
        double sum = 0;
        for (int n = 0; n < CHUNK; ++n) sum += partial[i * CHUNK + n];
        eights[i] = sum;
    }
    END_PHASE
    PHASE if (tid < COUNT * SETS) {
        const int i = tid / SETS, set = tid % SETS;
        double sum = 0;
        for (int g = set; g < GROUPS; g += SETS) sum += eights[i * GROUPS + g];
        Norms &n = norms();
        add_to_channel(i < EACH ? n.sums : n.products, layer.first + set * EACH + i % EACH, sum, opens);
    }
    END_PHASE
}

/* Statistics of a batch of `images` from the sums, also into the running ones. */
DEVICE void finish_statistics(int tid, const Resident &s, const NormLayer &layer, int images)
{
    if (tid >= layer.channels) return;
    const Member &m = s.member;
    Norms &n = norms();
    const int c = layer.first + tid;
    const double count = (double)images * layer.positions, mean = n.sums[c] / count;
    const double spread = n.products[c] / count - mean * mean, variance = spread < 0 ? 0 : spread; /* a NaN stays one */
    const float bias = layer.before < CONVOLUTIONS ? s.weights[layer.before + tid]
                                                   : shared_load(m.weights + layer.before + tid);
    n.mean[c] = (float)mean;
    n.inverse[c] = (float)(1 / sqrt(variance + VARIANCE_EPS));
    n.scale[c] = n.inverse[c] * shared_load(m.weights + layer.weight + tid);
    n.shift[c] = fmaf(-n.mean[c], n.scale[c], shared_load(m.weights + layer.bias + tid));
    float *running = m.statistics + c;
    const float kept = 1 - NORM_MOMENTUM, fresh = (float)(variance * (count / (count - 1)));
    running[0] = kept * shared_load(running) + NORM_MOMENTUM * (float)(mean + bias);
    running[NORMED] = kept * shared_load(running + NORMED) + NORM_MOMENTUM * fresh;
}

/* Use the gradients of weights and biases, and prepare that of the layer's inputs. */
DEVICE void finish_gradients(int tid, const Resident &s, const Target &batch, const NormLayer &layer, int images)
{
    if (tid >= layer.channels) return;
    Norms &n = norms();
    const int c = layer.first + tid;
    const double count = (double)images * layer.positions, sum = n.sums[c], product = n.products[c] * n.inverse[c];
    n.offset[c] = (float)(-n.scale[c] * (sum / count));
    n.slope[c] = (float)(-n.scale[c] * n.inverse[c] * (product / count));
    const int places[2] = {layer.weight + tid, layer.bias + tid};
    const float gradients[2] = {(float)product, (float)sum};
    for (int i = 0; i < 2; ++i) {
        float value = shared_load(batch.weights + places[i]);
        take_gradient(s.rules[layer.number + i], batch, places[i], value, gradients[i]);
        batch.weights[places[i]] = value;
    }
}

/* Gradient of a value before the layer, from that of the normalised one. */
DEVICE float through_norm(const Norms &n, int channel, float gradient, float x)
{
    return fmaf(n.scale[channel], gradient, fmaf(n.slope[channel], x - n.mean[channel], n.offset[channel]));
}
