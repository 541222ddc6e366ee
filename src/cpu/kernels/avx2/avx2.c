/* AVX2 + FMA + F16C kernels. One output of a matrix product is, for each block of 512 columns, two chains of 8 lanes over
 * rising i, the rest of a row as lanes of zeros, and a fixed reduction; then the sum of the blocks: the same whatever the
 * number of rows and outputs of the call. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/half.h"
#include "cpu/kernels/avx2/lanes.h"

static inline __m256 load8_f32(const void *w, size_t i) {
    return _mm256_loadu_ps((const float *)w + i);
}

static inline __m256 load8_bf16(const void *w, size_t i) {
    __m128i h = _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)w + i));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

static inline __m256 load8_f16(const void *w, size_t i) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)w + i)));
}

static inline float load1_f32(const void *w, size_t i) {
    return ((const float *)w)[i];
}

static inline float load1_bf16(const void *w, size_t i) {
    return exaone_bf16_to_f32(((const uint16_t *)w)[i]);
}

static inline float load1_f16(const void *w, size_t i) {
    return _cvtsh_ss(((const uint16_t *)w)[i]);
}

/* n < 8 numbers, then zeros. */
static inline __m256 last_f32(const void *w, size_t i, size_t n) {
    __m256i m = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_ps((const float *)w + i, m);
}

static inline __m256 last_bf16(const void *w, size_t i, size_t n) {
    uint16_t h[8] = {0};
    memcpy(h, (const uint16_t *)w + i, n * sizeof *h);
    return load8_bf16(h, 0);
}

static inline __m256 last_f16(const void *w, size_t i, size_t n) {
    uint16_t h[8] = {0};
    memcpy(h, (const uint16_t *)w + i, n * sizeof *h);
    return load8_f16(h, 0);
}

/* R rows by O outputs, one, two or four; R and O are constants after inlining. Two chains per output: even and odd groups of
 * 8. */
#define TILE(type)                                                                                                          \
    static inline __attribute__((always_inline)) void tile_##type(float *out, size_t out_stride, const float *x,            \
                                                                  size_t x_stride, const void *w, const float *bias,        \
                                                                  size_t o0, size_t n_in, const size_t R, const size_t O) { \
        __m128 sum[3];                                                                                                      \
        EACH(r, R) {                                                                                                        \
            sum[r] = _mm_setzero_ps();                                                                                      \
        }                                                                                                                   \
        for (size_t i = 0; i < n_in;) {                                                                                     \
            __m256 acc[3][4][2];                                                                                            \
            size_t end = n_in - i < EXAONE_CHAIN_COLUMNS ? n_in : i + EXAONE_CHAIN_COLUMNS;                                 \
            bool first = i == 0;                                                                                            \
            EACH(r, R) EACH(o, O) {                                                                                         \
                acc[r][o][0] = acc[r][o][1] = _mm256_setzero_ps();                                                          \
            }                                                                                                               \
            for (; i + 16 <= end; i += 16) {                                                                                \
                EACH(c, 2) EACH(o, O) {                                                                                     \
                    __m256 v = load8_##type(w, (o0 + o) * n_in + i + 8 * c);                                                \
                    EACH(r, R) {                                                                                            \
                        acc[r][o][c] = _mm256_fmadd_ps(_mm256_loadu_ps(x + r * x_stride + i + 8 * c), v, acc[r][o][c]);     \
                    }                                                                                                       \
                }                                                                                                           \
            }                                                                                                               \
            EACH(c, 2) {                                                                                                    \
                size_t at = i + 8 * c, left = at < end ? end - at : 0;                                                      \
                if (left > 0) {                                                                                             \
                    EACH(o, O) {                                                                                            \
                        __m256 v =                                                                                          \
                            left >= 8 ? load8_##type(w, (o0 + o) * n_in + at) : last_##type(w, (o0 + o) * n_in + at, left); \
                        EACH(r, R) {                                                                                        \
                            __m256 a = last_f32(x, r * x_stride + at, left);                                                \
                            acc[r][o][c] = _mm256_fmadd_ps(a, v, acc[r][o][c]);                                             \
                        }                                                                                                   \
                    }                                                                                                       \
                }                                                                                                           \
            }                                                                                                               \
            i = end;                                                                                                        \
            EACH(r, R) {                                                                                                    \
                EACH(o, O) {                                                                                                \
                    acc[r][o][0] = _mm256_add_ps(acc[r][o][0], acc[r][o][1]);                                               \
                }                                                                                                           \
                __m128 more = exaone_reduce_4x8(acc[r][0][0], acc[r][O > 1 ? 1 : 0][0], acc[r][O > 2 ? 2 : 0][0],           \
                                                acc[r][O > 3 ? 3 : 0][0]);                                                  \
                sum[r] = first ? more : _mm_add_ps(sum[r], more);                                                           \
            }                                                                                                               \
        }                                                                                                                   \
        EACH(r, R) {                                                                                                        \
            float *to = out + r * out_stride + o0, all[4];                                                                  \
            _mm_storeu_ps(all, sum[r]);                                                                                     \
            EACH(o, O) {                                                                                                    \
                to[o] = bias ? all[o] + bias[o0 + o] : all[o];                                                              \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    static void matmul_##type(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, const void *w, \
                              const float *bias, size_t n_out, size_t n_in) {                                               \
        size_t o = 0;                                                                                                       \
        for (; o + 4 <= n_out; o += 4) { /* the weights stay in the cache for all rows */                                   \
            for (size_t r = 0; r < n_rows;) {                                                                               \
                float *to = out + r * out_stride;                                                                           \
                const float *from = x + r * x_stride;                                                                       \
                size_t left = n_rows - r;                                                                                   \
                if (left == 3 || left > 4) {                                                                                \
                    tile_##type(to, out_stride, from, x_stride, w, bias, o, n_in, 3, 2);                                    \
                    tile_##type(to, out_stride, from, x_stride, w, bias, o + 2, n_in, 3, 2);                                \
                    r += 3;                                                                                                 \
                } else if (left > 1) {                                                                                      \
                    tile_##type(to, out_stride, from, x_stride, w, bias, o, n_in, 2, 2);                                    \
                    tile_##type(to, out_stride, from, x_stride, w, bias, o + 2, n_in, 2, 2);                                \
                    r += 2;                                                                                                 \
                } else {                                                                                                    \
                    tile_##type(to, out_stride, from, x_stride, w, bias, o, n_in, 1, 4);                                    \
                    r += 1;                                                                                                 \
                }                                                                                                           \
            }                                                                                                               \
        }                                                                                                                   \
        for (; o < n_out; o++) {                                                                                            \
            for (size_t r = 0; r < n_rows; r++) {                                                                           \
                tile_##type(out + r * out_stride, out_stride, x + r * x_stride, x_stride, w, bias, o, n_in, 1, 1);          \
            }                                                                                                               \
        }                                                                                                                   \
    }
TILE(f32)
TILE(bf16)
TILE(f16)

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps) {
    __m256 acc = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        acc = _mm256_fmadd_ps(v, v, acc);
    }
    float sum = exaone_reduce_8(acc);
    for (; i < n; i++) {
        sum = fmaf(x[i], x[i], sum);
    }
    float scale = 1.0f / sqrtf(sum / (float)n + eps);
    __m256 s = _mm256_set1_ps(scale);
    for (i = 0; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(w + i), _mm256_mul_ps(_mm256_loadu_ps(x + i), s)));
    }
    for (; i < n; i++) {
        out[i] = w[i] * (x[i] * scale);
    }
}

/* exp on 8 lanes: 2^n * p(r), r = x - n ln 2 in two parts, p of degree 6 (Taylor on |r| <= ln 2 / 2: error below 2e-8
 * relative). Below -87.3 the result is 0, above 88.3 it is infinite. */
static inline __m256 exp8(__m256 x) {
    const __m256 log2e = _mm256_set1_ps(1.44269504f), ln2_hi = _mm256_set1_ps(0.693359375f);
    const __m256 ln2_lo = _mm256_set1_ps(-2.12194440e-4f);
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, log2e), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, ln2_lo, _mm256_fnmadd_ps(n, ln2_hi, x));
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(bits));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-87.3f), _CMP_LT_OQ), p);
    p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, _mm256_set1_ps(88.3f), _CMP_GT_OQ));
    return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static void silu_mul(float *gate, const float *up, size_t n) {
    const __m256 one = _mm256_set1_ps(1.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = _mm256_loadu_ps(gate + i);
        __m256 e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));
        __m256 s = _mm256_div_ps(g, _mm256_add_ps(one, e));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(s, _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++) {
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
    }
}

static float softmax_exp(float *x, size_t n, float scale, float *max) {
    float top = *max;
    size_t i;
    for (i = 0; i < n; i++) {
        x[i] *= scale;
        top = x[i] > top ? x[i] : top;
    }
    *max = top;
    if (top == -INFINITY) { /* nothing but -infinity and NaN, which must not be lost */
        float nothing = 0;
        for (i = 0; i < n; i++) {
            x[i] = x[i] == top ? 0 : x[i];
            nothing += x[i];
        }
        return nothing;
    }
    __m256 m = _mm256_set1_ps(top), acc = _mm256_setzero_ps();
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), m));
        _mm256_storeu_ps(x + i, e);
        acc = _mm256_add_ps(acc, e);
    }
    float sum = exaone_reduce_8(acc);
    for (; i < n; i++) {
        x[i] = expf(x[i] - top);
        sum += x[i];
    }
    return sum;
}

/* Asks for what comes PREFETCH bytes behind element i: 16-bit numbers come from the KV cache, F32 from scratch memory.
 * Measured on pages of the 33B's shape: one row reads them at the speed of memory, 1.5 times that without. */
enum { PREFETCH = 8192 };

/* macros: gcc 12 takes a function that only prefetches for one that does nothing */
#define AHEAD_f16(b, i) _mm_prefetch((const char *)(b) + 2 * (i) + PREFETCH, _MM_HINT_T0)
#define AHEAD_bf16(b, i) AHEAD_f16(b, i)
#define AHEAD_f32(b, i) (void)0

/* R rows by V times 8 columns, constants after inlining. */
#define PRODUCT(type)                                                                                                \
    static inline __attribute__((always_inline)) void product_##type(                                                \
        float *out, size_t out_stride, const float *a, size_t a_stride, const void *b, size_t b_at, size_t b_stride, \
        size_t depth, const size_t R, const size_t V) {                                                              \
        __m256 acc[6][2];                                                                                            \
        EACH(r, R) EACH(v, V) {                                                                                      \
            acc[r][v] = _mm256_loadu_ps(out + r * out_stride + 8 * v);                                               \
        }                                                                                                            \
        for (size_t i = 0; i < depth; i++, b_at += b_stride) {                                                       \
            __m256 x[2];                                                                                             \
            AHEAD_##type(b, b_at);                                                                                   \
            EACH(v, V) {                                                                                             \
                x[v] = load8_##type(b, b_at + 8 * v);                                                                \
            }                                                                                                        \
            EACH(r, R) {                                                                                             \
                __m256 w = _mm256_broadcast_ss(a + r * a_stride + i);                                                \
                EACH(v, V) {                                                                                         \
                    acc[r][v] = _mm256_fmadd_ps(w, x[v], acc[r][v]);                                                 \
                }                                                                                                    \
            }                                                                                                        \
        }                                                                                                            \
        EACH(r, R) EACH(v, V) {                                                                                      \
            _mm256_storeu_ps(out + r * out_stride + 8 * v, acc[r][v]);                                               \
        }                                                                                                            \
    }                                                                                                                \
    static void add_product_##type(float *out, size_t out_stride, const float *a, size_t a_stride, size_t n_rows,    \
                                   const void *b, size_t b_stride, size_t n, size_t depth) {                         \
        size_t c = 0;                                                                                                \
        for (; c + 8 <= n; c += n - c < 16 ? 8 : 16) {                                                               \
            for (size_t r = 0; r < n_rows;) {                                                                        \
                float *o = out + r * out_stride + c;                                                                 \
                const float *x = a + r * a_stride;                                                                   \
                size_t rows = n_rows - r < 6 ? n_rows - r : 6;                                                       \
                switch (rows) {                                                                                      \
                    PRODUCT_CASE(type, 1)                                                                            \
                    PRODUCT_CASE(type, 2)                                                                            \
                    PRODUCT_CASE(type, 3)                                                                            \
                    PRODUCT_CASE(type, 4)                                                                            \
                    PRODUCT_CASE(type, 5)                                                                            \
                    PRODUCT_CASE(type, 6)                                                                            \
                }                                                                                                    \
                r += rows;                                                                                           \
            }                                                                                                        \
        }                                                                                                            \
        for (; c < n; c++) { /* the chain of one lane */                                                             \
            for (size_t r = 0; r < n_rows; r++) {                                                                    \
                float sum = out[r * out_stride + c];                                                                 \
                for (size_t i = 0; i < depth; i++) {                                                                 \
                    sum = fmaf(a[r * a_stride + i], load1_##type(b, i * b_stride + c), sum);                         \
                }                                                                                                    \
                out[r * out_stride + c] = sum;                                                                       \
            }                                                                                                        \
        }                                                                                                            \
    }
#define PRODUCT_CASE(type, count)                                                        \
    case count:                                                                          \
        if (n - c >= 16) {                                                               \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, depth, count, 2); \
        } else {                                                                         \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, depth, count, 1); \
        }                                                                                \
        break;
PRODUCT(f32)
PRODUCT(f16)
PRODUCT(bf16)

static inline void transpose_8x8(float *out, size_t out_stride, const float *x, size_t x_stride) {
    __m256 a[8], b[8];
    EACH(i, 8) {
        a[i] = _mm256_loadu_ps(x + i * x_stride);
    }
    EACH(i, 4) {
        b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
    EACH(i, 2) {
        a[4 * i] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0x44);
        a[4 * i + 1] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0xee);
        a[4 * i + 2] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0x44);
        a[4 * i + 3] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0xee);
    }
    EACH(i, 4) {
        _mm256_storeu_ps(out + i * out_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * out_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

static void transpose(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, size_t n) {
    size_t r = 0;
    for (; r + 8 <= n_rows; r += 8) {
        size_t c = 0;
        for (; c + 8 <= n; c += 8) {
            transpose_8x8(out + c * out_stride + r, out_stride, x + r * x_stride + c, x_stride);
        }
        for (; c < n; c++) {
            for (size_t i = r; i < r + 8; i++) {
                out[c * out_stride + i] = x[i * x_stride + c];
            }
        }
    }
    for (; r < n_rows; r++) {
        for (size_t c = 0; c < n; c++) {
            out[c * out_stride + r] = x[r * x_stride + c];
        }
    }
}

void exaone_kernels_avx2(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS(K)
#undef K
}
#endif
