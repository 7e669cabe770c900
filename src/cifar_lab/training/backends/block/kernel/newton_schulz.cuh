/* Newton-Schulz iterations that orthogonalise a matrix of outputs × inputs, as in optim/newton_schulz.py.

The matrix X lies in scratch memory as [input][output]: its Gram matrix X Xᵀ is a sum over rows, and a product with X
takes it row by row. The other matrices are polynomials of one Gram matrix and lie in shared memory. They are symmetric.
So a thread computes one 4 × 4 block on or above the diagonal and mirrors it, and reads rows where a product has columns. */
#pragma once
#include "block_sum.cuh"
#include "parameters.cuh"

CONSTANT float COEFFICIENTS[3] = {3.4445f, -4.7750f, 2.0315f};
constexpr float NORM_EPS = 1e-7f;
constexpr int ITERATIONS_AT_ONCE = 3; /* before X and its Gram matrix are computed anew */

/* Shared memory of a matrix of `width` outputs with their padding. */
struct SquareMemory {
    float *partial, *gram, *polynomial, *product, *rows;
};
DEVICE SquareMemory square_memory(char *work, int width)
{
    float *partial = (float *)work, *gram = partial + PARTIAL_SUMS;
    return {partial, gram, gram + width * width, gram + 2 * width * width, gram + 3 * width * width};
}

/* Rows of X that are multiplied at once: a thread has 4 × 4 numbers of the product. */
DEVICE constexpr int rows_at_once(int width) { return THREADS / (width / 4) * 4; }

/* Whether the widest matrix has a thread per block of its squares, and its squares and rows lie in shared memory. */
constexpr bool SQUARES_FIT =
    HIDDEN2 <= HIDDEN1 && HIDDEN1 / 4 * (HIDDEN1 / 4 + 1) / 2 <= THREADS &&
    AT_WORK + (PARTIAL_SUMS + (3 * HIDDEN1 + rows_at_once(HIDDEN1)) * HIDDEN1) * 4 <= SHARED_BYTES;

/* First row and column of the block of thread `tid`, on or above the diagonal. False without one. */
DEVICE bool find_block(int tid, int width, int &i, int &j)
{
    const int side = width / 4;
    int row = 0;
    ROLLED
    for (; row < side && tid >= side - row; ++row) tid -= side - row;
    i = row * 4;
    j = (row + tid) * 4;
    return row < side;
}

/* Add the outer products of `rows` rows of two matrices to the thread's block. */
DEVICE void add_products(int tid, float *sums, const float *left, const float *right, int rows, int width)
{
    int i, j;
    if (!find_block(tid, width, i, j)) return;
    left += i, right += j;
#ifdef __CUDACC__
#pragma unroll 4
#endif
    for (int k = 0; k < rows; ++k, left += width, right += width) {
        const float4 a = load4(left), b = load4(right);
        const float x[4] = {a.x, a.y, a.z, a.w}, y[4] = {b.x, b.y, b.z, b.w};
        UNROLL
        for (int n = 0; n < 16; ++n) sums[n] = fmaf(x[n / 4], y[n % 4], sums[n]);
    }
}

/* Store the thread's block and its mirror image. */
DEVICE void store_block(int tid, const float *sums, float *square, int width)
{
    int i, j;
    if (!find_block(tid, width, i, j)) return;
    float v[16];
    UNROLL
    for (int n = 0; n < 16; ++n) v[n] = i == j && n / 4 > n % 4 ? sums[n % 4 * 4 + n / 4] : sums[n]; /* symmetric too */
    UNROLL
    for (int n = 0; n < 4; ++n) {
        *(float4 *)(square + (i + n) * width + j) = make_float4(v[n * 4], v[n * 4 + 1], v[n * 4 + 2], v[n * 4 + 3]);
        *(float4 *)(square + (j + n) * width + i) = make_float4(v[n], v[n + 4], v[n + 8], v[n + 12]);
    }
}

/* a + b gram + c gram², from the thread's block of gram². */
DEVICE void take_polynomial(int tid, float *sums, const float *gram, int width)
{
    int i, j;
    if (!find_block(tid, width, i, j)) return;
    UNROLL
    for (int n = 0; n < 16; ++n) {
        const int row = i + n / 4, column = j + n % 4;
        sums[n] = fmaf(COEFFICIENTS[2], sums[n], COEFFICIENTS[1] * gram[row * width + column]);
        if (row == column) sums[n] += COEFFICIENTS[0];
    }
}

/* `out` = `left` `right`, which may be one of them. */
DEVICE void multiply_squares(const float *left, const float *right, float *out, int width, REGISTERS registers)
{
    PHASE clear_sums<16>(OWN.sums);
    add_products(tid, OWN.sums, left, right, width, width);
    END_PHASE
    PHASE store_block(tid, OWN.sums, out, width);
    END_PHASE
}

/* Copy numbers of X to shared memory. */
DEVICE void load_rows(int tid, float *to, const float *from, int numbers, float scale)
{
    for (int i = tid * 4; i < numbers; i += THREADS * 4) {
        const float4 v = shared_load4(from + i);
        *(float4 *)(to + i) = make_float4(v.x * scale, v.y * scale, v.z * scale, v.w * scale);
    }
}

/* Multiply `count` rows of X by a symmetric matrix. */
DEVICE void multiply_rows(int tid, const float *rows, const float *square, float *out, int count, int width)
{
    const int across = width / 4, row = tid / across * 4, j = tid % across * 4;
    if (row >= count) return;
    float sums[16];
    clear_sums<16>(sums);
    const float *from[4];
    UNROLL
    for (int r = 0; r < 4; ++r) from[r] = rows + (row + r < count ? row + r : count - 1) * width;
    ROLLED
    for (int k = 0; k < width; k += 4) {
        float x[4][4];
        UNROLL
        for (int r = 0; r < 4; ++r) {
            const float4 v = load4(from[r] + k);
            x[r][0] = v.x, x[r][1] = v.y, x[r][2] = v.z, x[r][3] = v.w;
        }
        UNROLL
        for (int l = 0; l < 4; ++l) {
            const float4 v = load4(square + (k + l) * width + j);
            const float y[4] = {v.x, v.y, v.z, v.w};
            UNROLL
            for (int n = 0; n < 16; ++n) sums[n] = fmaf(x[n / 4][l], y[n % 4], sums[n]);
        }
    }
    UNROLL
    for (int r = 0; r < 4; ++r)
        if (row + r < count)
            *(float4 *)(out + (row + r) * width + j) =
                make_float4(sums[r * 4], sums[r * 4 + 1], sums[r * 4 + 2], sums[r * 4 + 3]);
}

/* Reciprocal of the norm of X, from the sum of its squares. */
DEVICE float norm_scale(const float *partial) { return 1.f / (sqrtf(block_sum(partial)) + NORM_EPS); }

/* Gram matrix of X. */
DEVICE void make_gram(const SquareMemory &at, const float *x, int inputs, int width, bool scaled, REGISTERS registers)
{
    const int rows = rows_at_once(width);
    PHASE clear_sums<16>(OWN.sums);
    END_PHASE
    for (int first = 0; first < inputs; first += rows) {
        const int count = inputs - first < rows ? inputs - first : rows;
        PHASE load_rows(tid, at.rows, x + first * width, count * width, scaled ? 1.f : norm_scale(at.partial));
        END_PHASE
        PHASE add_products(tid, OWN.sums, at.rows, at.rows, count, width);
        END_PHASE
    }
    PHASE store_block(tid, OWN.sums, at.gram, width);
    END_PHASE
}

/* Multiply X by the product of the polynomials. */
DEVICE void multiply_matrix(const SquareMemory &at, float *x, int inputs, int width, bool scaled)
{
    const int rows = rows_at_once(width);
    for (int first = 0; first < inputs; first += rows) {
        const int count = inputs - first < rows ? inputs - first : rows;
        PHASE load_rows(tid, at.rows, x + first * width, count * width, scaled ? 1.f : norm_scale(at.partial));
        END_PHASE
        PHASE multiply_rows(tid, at.rows, at.product, x + first * width, count, width);
        END_PHASE
    }
}

/* Orthogonalise X in place. `at.partial` has the sum of its squares. */
DEVICE void orthogonalise(const SquareMemory &at, float *x, int inputs, int width, int iterations, REGISTERS registers)
{
    ROLLED
    for (int done = 0; done < iterations;) {
        const int first = done, last = done + ITERATIONS_AT_ONCE < iterations ? done + ITERATIONS_AT_ONCE : iterations;
        make_gram(at, x, inputs, width, first > 0, registers);
        ROLLED
        for (; done < last; ++done) {
            PHASE clear_sums<16>(OWN.sums);
            add_products(tid, OWN.sums, at.gram, at.gram, width, width);
            take_polynomial(tid, OWN.sums, at.gram, width);
            store_block(tid, OWN.sums, at.polynomial, width);
            if (done == first) store_block(tid, OWN.sums, at.product, width);
            END_PHASE
            if (done > first) multiply_squares(at.polynomial, at.product, at.product, width, registers);
            if (done + 1 == last) continue;
            multiply_squares(at.polynomial, at.gram, at.gram, width, registers);
            multiply_squares(at.gram, at.polynomial, at.gram, width, registers);
        }
        multiply_matrix(at, x, inputs, width, first > 0);
    }
}
