/* Linear layers. Activations are [feature][image], weights [input][output]. Lanes are images. B: images of a part. */
#pragma once
#include "tiles.cuh"
#include "update.cuh"

template <int N> DEVICE void load_weights(float *to, const float *from)
{
    if constexpr (N % 4 == 0) {
        UNROLL
        for (int o = 0; o < N; o += 4) {
            const float4 t = load4(from + o);
            to[o] = t.x, to[o + 1] = t.y, to[o + 2] = t.z, to[o + 3] = t.w;
        }
    } else if constexpr (N % 2 == 0) {
        UNROLL
        for (int o = 0; o < N; o += 2) {
            const float2 t = load2(from + o);
            to[o] = t.x, to[o + 1] = t.y;
        }
    } else {
        UNROLL
        for (int o = 0; o < N; ++o) to[o] = from[o];
    }
}

template <int B> DEVICE void load_activations(float *to, const float *from)
{
    if constexpr (Tile<B>::EACH == 2) {
        const float2 t = load2(from);
        to[0] = t.x, to[1] = t.y;
    } else
        to[0] = from[0];
}

/* Add `rows` rows of a product: OUT of M outputs per thread. */
template <int B, int M, int WIDTH, int OUT>
DEVICE void multiply(int tid, float *sums, const float *weights, const float *in, int rows)
{
    typedef Tile<B> T;
    const int image = tid % T::LANES * T::EACH, group = tid / T::LANES;
    if (group * OUT >= M) return;
#ifdef __CUDACC__
#pragma unroll(B <= 16 ? 8 : 4)
#endif
    for (int k = 0; k < rows; ++k) {
        float w[OUT], x[T::EACH];
        load_weights<OUT>(w, weights + k * WIDTH + group * OUT);
        load_activations<B>(x, in + image + k * T::STRIDE);
        UNROLL
        for (int o = 0; o < OUT; ++o) {
            UNROLL
            for (int i = 0; i < T::EACH; ++i) sums[o * T::EACH + i] = fmaf(w[o], x[i], sums[o * T::EACH + i]);
        }
    }
}

/* Store a product with its bias. */
template <int B, int M, int OUT, bool RELU> DEVICE void finish(int tid, const float *sums, const float *bias, float *out)
{
    typedef Tile<B> T;
    const int image = tid % T::LANES * T::EACH, group = tid / T::LANES;
    if (group * OUT >= M) return;
    UNROLL
    for (int o = 0; o < OUT; ++o) {
        const float b = shared_load(bias + group * OUT + o);
        UNROLL
        for (int i = 0; i < T::EACH; ++i) {
            const float y = sums[o * T::EACH + i] + b;
            out[(group * OUT + o) * T::STRIDE + image + i] = RELU && y <= 0.f ? 0.f : y;
        }
    }
}

/* Gradient of KEEP inputs, from the gradient of all M outputs. */
template <int B, int M, int WIDTH, int KEEP>
DEVICE void multiply_back(int tid, int group, float *sums, const float *weights, const float *out_gradient)
{
    typedef Tile<B> T;
    const float *y = out_gradient + tid % T::LANES * T::EACH, *w = weights + group * KEEP * WIDTH;
    clear_sums<KEEP * T::EACH>(sums);
#ifdef __CUDACC__
#pragma unroll(B <= 16 ? 5 : 2)
#endif
    for (int o = 0; o < M; o += 4) {
        float g[4][T::EACH];
        UNROLL
        for (int j = 0; j < 4; ++j) load_activations<B>(g[j], y + (o + j) * T::STRIDE);
        UNROLL
        for (int k = 0; k < KEEP; ++k) {
            const float4 a = load4(w + k * WIDTH + o);
            UNROLL
            for (int i = 0; i < T::EACH; ++i) {
                float s = sums[k * T::EACH + i];
                s = fmaf(a.x, g[0][i], s), s = fmaf(a.y, g[1][i], s);
                sums[k * T::EACH + i] = fmaf(a.w, g[3][i], fmaf(a.z, g[2][i], s));
            }
        }
    }
}

/* Gradient of the weights and its use. A warp has LK × LO threads, each with RK inputs and 4 outputs. */
template <int B, int K, int M, int WIDTH, int RK, int LK, int LO>
DEVICE void update_weights(int tid, const float *in, const float *out_gradient, int at, const Rule &r, const Target &t)
{
    constexpr int STRIDE = Tile<B>::STRIDE, PADDED = (M + 3) / 4 * 4;
    constexpr int BLOCKS = (K + RK * LK - 1) / (RK * LK), ACROSS = (PADDED + LO * 4 - 1) / (LO * 4);
    const int lane = tid & 31, shares = B == CHUNK ? 1 : shares_in(t);
    ROLLED
    for (int task = tid >> 5; task < BLOCKS * ACROSS; task += WARPS) {
        const int k0 = task / ACROSS * RK * LK + lane % LK, o0 = task % ACROSS * LO * 4 + lane / LK * 4;
        const bool used = o0 < PADDED;
        const float *y = out_gradient + (used ? o0 : 0) * STRIDE;
        float4 total[RK];
        UNROLL
        for (int i = 0; i < RK; ++i)
            total[i] = earlier_gradient4(t, at + (K % (RK * LK) == 0 || k0 + i * LK < K ? k0 + i * LK : 0) * WIDTH +
                                                (used ? o0 : 0));
        ROLLED
        for (int share = 0; share < shares; ++share) {
            const int end = B == CHUNK ? B : least((share + 1) * t.share, t.images);
            float sum[RK][4];
            clear_sums(sum);
            for (int chunk = share * t.share; chunk < end; chunk += CHUNK) {
                UNROLL
                for (int b = chunk; b < chunk + CHUNK; b += 4) {
                    float4 g[4];
                    UNROLL
                    for (int j = 0; j < 4; ++j) g[j] = load4(y + j * STRIDE + b);
                    UNROLL
                    for (int i = 0; i < RK; ++i) {
                        const int k = k0 + i * LK;
                        const float4 x = load4(in + (K % (RK * LK) == 0 || k < K ? k : K - 1) * STRIDE + b);
                        UNROLL
                        for (int j = 0; j < 4; ++j) {
                            float s = sum[i][j];
                            s = fmaf(x.x, g[j].x, s), s = fmaf(x.y, g[j].y, s);
                            sum[i][j] = fmaf(x.w, g[j].w, fmaf(x.z, g[j].z, s));
                        }
                    }
                }
            }
            UNROLL
            for (int i = 0; i < RK; ++i) {
                const int k = k0 + i * LK;
                if (!t.apart)
                    total[i].x += sum[i][0], total[i].y += sum[i][1], total[i].z += sum[i][2], total[i].w += sum[i][3];
                else if (used && k < K)
                    *(float4 *)(row_of(t, share) + at + k * WIDTH + o0) =
                        make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
            }
        }
        if (t.apart) continue;
        UNROLL
        for (int i = 0; i < RK; ++i) {
            const int k = k0 + i * LK;
            if (used && k < K) take_total4(r, t, at + k * WIDTH + o0, total[i]);
        }
    }
}

/* Gradient of the biases and its use, by the last threads: their warps have least to do in `update_weights`. */
template <int B, int M> DEVICE void update_bias(int tid, const float *out_gradient, int at, const Rule &r, const Target &t)
{
    const int o = THREADS - 1 - tid;
    if (o >= M) return;
    float total = earlier_gradient(t, at + o);
    for (int share = 0; share < shares_in(t); ++share) {
        float sum = 0.f;
        for (int b = share * t.share; b < least((share + 1) * t.share, t.images); b += 4) {
            const float4 g = load4(out_gradient + o * Tile<B>::STRIDE + b);
            sum += (g.x + g.y) + (g.z + g.w);
        }
        if (t.apart)
            row_of(t, share)[at + o] = sum;
        else
            total += sum;
    }
    if (t.apart) return;
    float weight = shared_load(t.weights + at + o);
    take_total(r, t, at + o, weight, total);
    if (t.closes) t.weights[at + o] = weight;
}
