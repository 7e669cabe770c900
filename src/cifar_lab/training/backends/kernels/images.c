/* Load one group of a batch: crop, mirror and normalise images that are stored as bytes.

Pixels stay bytes until the last step, so 16 of them move in one SSE register. */
#include "kernels.h"

#define SIDE 32 /* rows and columns of an image */
#define PLANE (SIDE * SIDE)

typedef uint8_t pixels16 __attribute__((vector_size(16), may_alias));
typedef uint8_t loose_pixels16 __attribute__((vector_size(16), may_alias, aligned(1)));

/* GCC before its version 12 has the older name alone. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (pixels16){__VA_ARGS__})
#endif

/* Transpose 16 × 16 bytes, from a row per image to a row per pixel: four rounds of interleaving halves. */
INLINE void transpose(pixels16 *rows)
{
    UNROLL for (int round = 0; round < 4; round++) {
        pixels16 mixed[16];
        UNROLL for (int i = 0; i < 8; i++) {
            pixels16 a = rows[i], b = rows[i + 8];
            mixed[2 * i] = SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            mixed[2 * i + 1] = SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int i = 0; i < 16; i++) rows[i] = mixed[i];
    }
}

INLINE pixels16 mirrored(pixels16 row)
{
    return SHUFFLE(row, row, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

/* Transpose 16 pixels of 16 images and store them as normalised floats. */
INLINE void store_pixels(pixels16 *rows, float scale, float shift, vec *out)
{
    transpose(rows);
    const uint8_t *pixels = (const uint8_t *)rows;
    float *values = (float *)out;
    for (int i = 0; i < LANES * LANES; i++) values[i] = (float)pixels[i] * scale - shift;
}

/* Row of an image that a row outside of it shows. */
INLINE int reflected(int y)
{
    const int from_last = SIDE - 1 - (y < 0 ? -y : y);
    return SIDE - 1 - (from_last < 0 ? -from_last : from_last);
}

/* Interleave images that are normalised already (noise or a policy changed them). */
static void load_ready(const batch *given, vec *images, const worker *at)
{
    float *out = (float *)images;
    for (int i = 0; i < 3 * PLANE; i++)
        for (int n = 0; n < LANES; n++)
            out[i * LANES + n] =
                n < at->count ? given->ready[(int64_t)(at->group * LANES + n) * 3 * PLANE + i] : 0.0f;
}

void load_batch(const batch *given, vec *images, const worker *at)
{
    if (given->ready) {
        load_ready(given, images, at);
        return;
    }
    /* A row with the margins that a crop may reach. Pixels outside the image are black, as in torch's padding, or
    those of the image mirrored at its border. */
    const int margin = given->padding;
    uint8_t wide[SIDE + 2 * margin];
    for (int x = 0; x < SIDE + 2 * margin; x++) wide[x] = 0;
    const uint8_t black[SIDE] = {0}, *image[LANES];
    int down[LANES], right[LANES], flipped[LANES];
    for (int n = 0; n < LANES; n++) {
        const int64_t number = n < at->count ? given->chosen[at->group * LANES + n] : -1;
        image[n] = number < 0 ? NULL : given->pixels + number * 3 * PLANE;
        down[n] = given->offsets && image[n] ? (int)given->offsets[2 * number] - margin : 0;
        right[n] = given->offsets && image[n] ? (int)given->offsets[2 * number + 1] : margin;
        flipped[n] = given->flips && image[n] && given->flips[number];
        for (int i = 0; image[n] && i < 3 * PLANE; i += 64) __builtin_prefetch(image[n] + i);
    }
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++, images += SIDE) {
            pixels16 left_half[LANES], right_half[LANES];
            for (int n = 0; n < LANES; n++) {
                const int source = given->reflect ? reflected(y + down[n]) : y + down[n];
                const uint8_t *row = black;
                if (image[n] && source >= 0 && source < SIDE) row = image[n] + c * PLANE + source * SIDE;
                if (right[n] != margin) {
                    __builtin_memcpy(wide + margin, row, SIDE);
                    for (int x = 1; given->reflect && x <= margin; x++) {
                        wide[margin - x] = row[x];
                        wide[margin + SIDE - 1 + x] = row[SIDE - 1 - x];
                    }
                    row = wide + right[n];
                }
                pixels16 a = *(const loose_pixels16 *)row, b = *(const loose_pixels16 *)(row + LANES);
                left_half[n] = flipped[n] ? mirrored(b) : a;
                right_half[n] = flipped[n] ? mirrored(a) : b;
            }
            store_pixels(left_half, given->scale[c], given->shift[c], images);
            store_pixels(right_half, given->scale[c], given->shift[c], images + LANES);
        }
}
