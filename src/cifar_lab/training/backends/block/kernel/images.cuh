/* Images of a part: which they are, and their pixels as normalised floats, cropped and mirrored. */
#pragma once
#include "layout.cuh"

/* Note number, label, crop and mirroring of image `tid` of a part. Beyond `count` the last one is repeated. */
DEVICE void note_image(int tid, Resident &s, int64_t begin, int count)
{
    const Images &given = s.given;
    const Member &m = s.member;
    const int64_t image = m.order[begin + (tid < count ? tid : count - 1)];
    s.images[tid] = (int)image;
    s.labels[tid] = (int)given.labels[image];
    s.down[tid] = m.offsets ? (int)m.offsets[2 * image] - given.padding : 0;
    s.right[tid] = m.offsets ? (int)m.offsets[2 * image + 1] - given.padding : 0;
    s.mirrored[tid] = m.flips && m.flips[image];
}

/* Image begin + `tid` as it is stored. */
DEVICE void note_stored(int tid, Resident &s, int begin, int count)
{
    s.images[tid] = begin + (tid < count ? tid : count - 1);
    s.labels[tid] = s.down[tid] = s.right[tid] = s.mirrored[tid] = 0;
}

/* Row or column of an image, where one outside stands for its mirror image at the border. */
DEVICE int reflected(int at) { return at < 0 ? -at : at < SIDE ? at : 2 * SIDE - 2 - at; }

/* Word `at` of a row, which may lie outside: black there, or the row mirrored at its border. */
DEVICE uint32_t word_of(const uint8_t *row, int at, bool reflects)
{
    const uint32_t *words = (const uint32_t *)row;
    if (at >= 0 && at < SIDE / 4) return constant_load(words + at);
    if (!reflects) return 0u;
    const int low = at < 0 ? -1 - at : SIDE / 2 - 2 - at; /* word that holds the first of the four bytes, in their order */
    const uint32_t four = __funnelshift_r(constant_load(words + low), constant_load(words + low + 1), at < 0 ? 8 : 24);
    return __byte_perm(four, 0u, 0x0123u); /* in reverse */
}

/* 16 bytes of a row from column `begin` on. */
DEVICE uint4 moved_bytes(const uint8_t *row, int begin, bool reflects)
{
    const int word = begin >> 2, bits = (begin & 3) * 8; /* rounds down, also below 0 */
    uint32_t w[5];
    UNROLL
    for (int j = 0; j < 5; ++j) w[j] = word_of(row, word + j, reflects);
    uint4 v;
    v.x = __funnelshift_r(w[0], w[1], bits);
    v.y = __funnelshift_r(w[1], w[2], bits);
    v.z = __funnelshift_r(w[2], w[3], bits);
    v.w = __funnelshift_r(w[3], w[4], bits);
    return v;
}

DEVICE float byte_of(uint32_t word, int j)
{
#ifdef __CUDA_ARCH__
    return __uint_as_float(__byte_perm(word, 0x4B000000u, 0x7540u | j)) - 8388608.f; /* 2^23 + byte, less 2^23 */
#else
    return (float)(word >> 8 * j & 255u);
#endif
}

/* Pixels of one chunk. FORWARD: even columns before odd ones, as neighbouring windows read them. */
template <bool FORWARD> DEVICE void load_images(int tid, float *to, const Resident &s, int first)
{
    const Images &given = s.given;
    UNROLL
    for (int turn = 0; turn < CHUNK * IMAGE / 16 / THREADS; ++turn) {
        const int item = tid + turn * THREADS, im = item & 7, piece = item >> 3;
        const int c = piece >> 6, y = piece >> 1 & 31, x0 = (piece & 1) * 16, n = first + im;
        const int right = s.right[n], moved = y + s.down[n], row = given.reflects ? reflected(moved) : moved;
        const uint8_t *from = given.pixels + (int64_t)s.images[n] * IMAGE + c * PLANE + row * SIDE;
        uint4 v = {0u, 0u, 0u, 0u};
        if (row >= 0 && row < SIDE)
            v = right == 0 ? constant_load((const uint4 *)(from + x0)) : moved_bytes(from, x0 + right, given.reflects);
        const uint32_t words[4] = {v.x, v.y, v.z, v.w};
        const float scale = given.scale[c], shift = given.shift[c];
        const bool mirrored = s.mirrored[n];
        const int step = mirrored ? -CHUNK : CHUNK;
        float *row_of = to + (FORWARD ? (c * SIDE + y) * PIXEL_ROW : c * BACK_CHANNEL + y * BACK_ROW) * CHUNK + im;
        /* Places of bytes 0, 2, 4, … and of 1, 3, 5, …: mirrored from the other end, where even and odd change roles. */
        float *even = row_of + (FORWARD ? (mirrored ? 31 - x0 / 2 : x0 / 2) : (mirrored ? 31 - x0 : x0)) * CHUNK;
        float *odd = FORWARD ? row_of + (mirrored ? 15 - x0 / 2 : 16 + x0 / 2) * CHUNK : even + step;
        UNROLL
        for (int j = 0; j < 16; j += 2) {
            *even = fmaf(byte_of(words[j >> 2], j & 3), scale, -shift);
            *odd = fmaf(byte_of(words[j >> 2], (j & 3) + 1), scale, -shift);
            even += FORWARD ? step : 2 * step;
            odd += FORWARD ? step : 2 * step;
        }
    }
}
