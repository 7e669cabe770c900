/* Parameters of a network by number, in the order of its row: the weights of each layer, then its biases. */
#pragma once
#include "layout.cuh"

enum Layer { CONV1 = 0, CONV2 = 2, FC1 = 4, FC2 = 6, FC3 = 8 }; /* number of its weights */

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
};

/* Whether Muon updates a parameter: weights of all layers but the last. */
DEVICE bool is_matrix(int number) { return number < FC3 && number % 2 == 0; }
