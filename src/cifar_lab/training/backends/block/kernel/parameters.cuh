/* Parameters of a network by number, in the order of its row: the weights of each layer, then its biases.
Those of BatchNorm follow. */
#pragma once
#include "layout.cuh"

enum Layer { CONV1 = 0, CONV2 = 2, FC1 = 4, FC2 = 6, FC3 = 8, BN1 = 10, BN2 = 12, BN3 = 14 }; /* number of its weights */

struct Parameter {
    int at, size, outputs, width; /* in the row; with padding; per input; with padding */
};
CONSTANT Parameter PARAMETER[PARAMETERS] = {
    {CONV1_WEIGHT, CONV1_BIAS - CONV1_WEIGHT, CHANNELS1, CONV2_WEIGHT - CONV1_BIAS},
    {CONV1_BIAS, CONV2_WEIGHT - CONV1_BIAS, CHANNELS1, CONV2_WEIGHT - CONV1_BIAS},
    {CONV2_WEIGHT, CONV2_BIAS - CONV2_WEIGHT, CHANNELS2, FC1_WEIGHT - CONV2_BIAS},
    {CONV2_BIAS, FC1_WEIGHT - CONV2_BIAS, CHANNELS2, FC1_WEIGHT - CONV2_BIAS},
    {FC1_WEIGHT, FC1_BIAS - FC1_WEIGHT, HIDDEN1, FC2_WEIGHT - FC1_BIAS},
    {FC1_BIAS, FC2_WEIGHT - FC1_BIAS, HIDDEN1, FC2_WEIGHT - FC1_BIAS},
    {FC2_WEIGHT, FC2_BIAS - FC2_WEIGHT, HIDDEN2, FC3_WEIGHT - FC2_BIAS},
    {FC2_BIAS, FC3_WEIGHT - FC2_BIAS, HIDDEN2, FC3_WEIGHT - FC2_BIAS},
    {FC3_WEIGHT, FC3_BIAS - FC3_WEIGHT, CLASSES, LOGITS},
    {FC3_BIAS, LOGITS, CLASSES, LOGITS},
#if BATCH_NORM
    {BN1_WEIGHT, TAP1, CHANNELS1, TAP1},
    {BN1_BIAS, TAP1, CHANNELS1, TAP1},
    {BN2_WEIGHT, CHANNELS2, CHANNELS2, CHANNELS2},
    {BN2_BIAS, CHANNELS2, CHANNELS2, CHANNELS2},
    {BN3_WEIGHT, HIDDEN1, HIDDEN1, HIDDEN1},
    {BN3_BIAS, HIDDEN1, HIDDEN1, HIDDEN1},
#endif
};

/* Whether Muon updates a parameter: weights of all layers but the last. */
DEVICE bool is_matrix(int number) { return number < FC3 && number % 2 == 0; }
