/* Newton-Schulz iterations of Muon on one matrix of m rows and n columns, m <= n: see optim/newton_schulz.py.

All matrices but the last product are polynomials of one Gram matrix. They are symmetric, so only the blocks on and above
the diagonal are computed, and mirrored. */
#include "kernels.h"
#include <math.h>
#include <string.h>

#ifdef __AVX512F__
#define ROWS 8 /* of a block of a product, whose sums stay in registers */
#define VECS 2
#else
#define ROWS 4
#define VECS 1
#endif
#define COLUMNS (VECS * LANES)

/* Rows `i` to `i + R - 1` of COLUMNS columns of the product. */
INLINE void product_block(const int R, const float *a, int64_t a_row, const float *b, int64_t b_row, float *c,
                          int64_t c_row, int inner)
{
    vec sum[ROWS][VECS] = {};
    for (int k = 0; k < inner; k++) {
        const vec *row = (const vec *)(b + k * b_row);
        UNROLL for (int i = 0; i < R; i++)
            UNROLL for (int j = 0; j < VECS; j++) sum[i][j] += row[j] * a[i * a_row + k];
    }
    UNROLL for (int i = 0; i < R; i++)
        UNROLL for (int j = 0; j < VECS; j++) *(vec *)(c + i * c_row + j * LANES) = sum[i][j];
}

/* c = a b. Rows of b and c are whole blocks. `symmetric`: compute the upper part and mirror it. */
static void product(const float *a, int64_t a_row, const float *b, int64_t b_row, float *c, int64_t c_row, int rows,
                    int columns, int inner, int symmetric)
{
    for (int j = 0; j < columns; j += COLUMNS)
        for (int i = 0; i < rows && (!symmetric || i < j + COLUMNS);) {
            if (i + ROWS <= rows) {
                product_block(ROWS, a + i * a_row, a_row, b + j, b_row, c + i * c_row + j, c_row, inner);
                i += ROWS;
            } else {
                product_block(1, a + i * a_row, a_row, b + j, b_row, c + i * c_row + j, c_row, inner);
                i++;
            }
        }
    if (symmetric)
        for (int i = 1; i < rows; i++)
            for (int j = 0; j < i; j++) c[i * c_row + j] = c[j * c_row + i];
}

/* p = scale i + b gram + c gram gram, where p holds gram gram. */
static void polynomial(float *p, const float *gram, int m, int64_t row, const float *coefficients)
{
    const float b = coefficients[1], c = coefficients[2];
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++) p[i * row + j] = b * gram[i * row + j] + c * p[i * row + j];
        p[i * row + i] += coefficients[0];
    }
}

static int64_t whole(int count) { return ((int64_t)count + COLUMNS - 1) / COLUMNS * COLUMNS; }

/* Floats of `work`, which begins at a multiple of 64 bytes and holds zeros before the first call. */
int64_t newton_schulz_work(int32_t m, int32_t n)
{
    return 2 * m * whole(n) + (n + 5 * (int64_t)m) * whole(m);
}

/* Iterations on `given` (m, n), `block` of them between two Gram matrices. The result replaces it. */
void newton_schulz(float *given, int32_t m, int32_t n, int32_t steps, int32_t block, const float *coefficients,
                   float eps, float *work)
{
    const int64_t wide = whole(n), square = whole(m), size = m * square;
    float *x = work, *next = x + m * wide, *turned = next + m * wide, *gram = turned + n * square;
    float *p = gram + size, *q = p + size, *spare = q + size, *more = spare + size;
    double total = 0;
    for (int64_t i = 0; i < (int64_t)m * n; i++) total += (double)given[i] * given[i];
    const float scale = 1 / ((float)sqrt(total) + eps);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) x[i * wide + j] = given[(int64_t)i * n + j] * scale;
    for (int done = 0; done < steps;) {
        const int last = done + block < steps ? done + block : steps, first = done;
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) turned[j * square + i] = x[i * wide + j];
        product(x, wide, turned, square, gram, square, m, m, n, 1);
        for (; done < last; done++) {
            float *swap;
            product(gram, square, gram, square, p, square, m, m, m, 1);
            polynomial(p, gram, m, square, coefficients);
            if (done == first) {
                memcpy(q, p, size * sizeof(float));
            } else {
                product(p, square, q, square, spare, square, m, m, m, 1);
                swap = q, q = spare, spare = swap;
            }
            if (done + 1 < last) {
                product(p, square, gram, square, more, square, m, m, m, 1);
                product(more, square, p, square, gram, square, m, m, m, 1);
            }
        }
        product(q, square, x, wide, next, wide, m, n, m, 0);
        float *swap = x;
        x = next, next = swap;
    }
    for (int i = 0; i < m; i++) memcpy(given + (int64_t)i * n, x + i * wide, n * sizeof(float));
}
