/* AVX-512 (F, BW, DQ, VL) kernels. One output of a matrix product is, for each block of 512 columns, one chain of
 * 16 lanes over rising i, the rest of a row as masked lanes, and a fixed reduction; then the sum of the blocks: the same
 * whatever the number of rows and outputs of the call. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx512/reduce.h"
#include "cpu/kernels/fours.h"

static inline __mmask16 first_lanes(size_t n) {
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1);
}

static inline __m512 load_f32(const void *w, size_t i, __mmask16 m) {
    return _mm512_maskz_loadu_ps(m, (const float *)w + i);
}

static inline __m512 load_bf16(const void *w, size_t i, __mmask16 m) {
    __m256i h = _mm256_maskz_loadu_epi16(m, (const uint16_t *)w + i);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

static inline __m512 load_f16(const void *w, size_t i, __mmask16 m) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, (const uint16_t *)w + i));
}

static inline float reduce(__m512 v) {
    return _mm_cvtss_f32(exaone_reduce_4x16(v, v, v, v));
}

/* R rows by O outputs, four or one; R and O are constants after inlining. */
#define TILE(type)                                                                                                          \
    static inline __attribute__((always_inline)) void tile_##type(float *out, size_t out_stride, const float *x,            \
                                                                  size_t x_stride, const void *w, const float *bias,        \
                                                                  size_t o0, size_t n_in, const size_t R, const size_t O) { \
        __m128 sum[6];                                                                                                      \
        EACH(r, R) {                                                                                                        \
            sum[r] = _mm_setzero_ps();                                                                                      \
        }                                                                                                                   \
        for (size_t i = 0; i < n_in;) {                                                                                     \
            __m512 acc[6][4], lower[6][4];                                                                                  \
            size_t end = n_in - i < EXAONE_CHAIN_COLUMNS ? n_in : i + EXAONE_CHAIN_COLUMNS;                                 \
            size_t middle = i + EXAONE_CHAIN_LOWER(end - i);                                                                \
            bool first = i == 0;                                                                                            \
            EACH(half, 2) {                                                                                                 \
                EACH(r, R) EACH(o, O) {                                                                                     \
                    acc[r][o] = _mm512_setzero_ps();                                                                        \
                }                                                                                                           \
                for (; i + 16 <= (half ? end : middle); i += 16) {                                                          \
                    __m512 v[4];                                                                                            \
                    EACH(o, O) {                                                                                            \
                        v[o] = load_##type(w, (o0 + o) * n_in + i, 0xffff);                                                 \
                    }                                                                                                       \
                    EACH(r, R) {                                                                                            \
                        __m512 a = _mm512_loadu_ps(x + r * x_stride + i);                                                   \
                        EACH(o, O) {                                                                                        \
                            acc[r][o] = _mm512_fmadd_ps(a, v[o], acc[r][o]);                                                \
                        }                                                                                                   \
                    }                                                                                                       \
                }                                                                                                           \
                EACH(r, R) EACH(o, O) {                                                                                     \
                    if (half == 0) {                                                                                        \
                        lower[r][o] = acc[r][o];                                                                            \
                    }                                                                                                       \
                }                                                                                                           \
            }                                                                                                               \
            if (i < end) {                                                                                                  \
                __mmask16 m = first_lanes(end - i);                                                                         \
                EACH(o, O) {                                                                                                \
                    __m512 v = load_##type(w, (o0 + o) * n_in + i, m);                                                      \
                    EACH(r, R) {                                                                                            \
                        acc[r][o] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(m, x + r * x_stride + i), v, acc[r][o]);          \
                    }                                                                                                       \
                }                                                                                                           \
                i = end;                                                                                                    \
            }                                                                                                               \
            EACH(r, R) {                                                                                                    \
                EACH(o, O) {                                                                                                \
                    acc[r][o] = _mm512_add_ps(acc[r][o], lower[r][o]);                                                      \
                }                                                                                                           \
                __m128 more =                                                                                               \
                    exaone_reduce_4x16(acc[r][0], acc[r][O > 1 ? 1 : 0], acc[r][O > 2 ? 2 : 0], acc[r][O > 3 ? 3 : 0]);     \
                sum[r] = first ? more : _mm_add_ps(sum[r], more);                                                           \
            }                                                                                                               \
        }                                                                                                                   \
        EACH(r, R) {                                                                                                        \
            float *to = out + r * out_stride + o0;                                                                          \
            if (O == 4) {                                                                                                   \
                _mm_storeu_ps(to, bias ? _mm_add_ps(sum[r], _mm_loadu_ps(bias + o0)) : sum[r]);                             \
            } else {                                                                                                        \
                *to = bias ? _mm_cvtss_f32(sum[r]) + bias[o0] : _mm_cvtss_f32(sum[r]);                                      \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    FOURS(type)                                                                                                             \
    static void matmul_##type(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, const void *w, \
                              const float *bias, size_t n_out, size_t n_in) {                                               \
        fours_##type(out, out_stride, x, x_stride, n_rows, w, bias, 0, n_out, n_in);                                        \
    }
TILE(f32)
TILE(bf16)
TILE(f16)

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps) {
    __m512 acc = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(first_lanes(n - i), x + i);
        acc = _mm512_fmadd_ps(v, v, acc);
    }
    __m512 s = _mm512_set1_ps(1.0f / sqrtf(reduce(acc) / (float)n + eps));
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), s);
        _mm512_mask_storeu_ps(out + i, m, _mm512_mul_ps(_mm512_maskz_loadu_ps(m, w + i), v));
    }
}

/* exp on 16 lanes: 2^n * p(r), r = x - n ln 2 in two parts, p of degree 7 (Taylor on |r| <= ln 2 / 2: error below 2e-8
 * relative). Below -87.3 the result is 0, above 88.3 it is infinite; a NaN stays. */
static inline __m512 exp16(__m512 x) {
    const __m512 log2e = _mm512_set1_ps(1.44269504f), ln2_hi = _mm512_set1_ps(0.693359375f);
    const __m512 ln2_lo = _mm512_set1_ps(-2.12194440e-4f);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, log2e), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, ln2_lo, _mm512_fnmadd_ps(n, ln2_hi, x));
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
    p = _mm512_scalef_ps(_mm512_add_ps(p, _mm512_set1_ps(1.0f)), n);
    p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_LT_OQ), _mm512_setzero_ps());
    p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, _mm512_set1_ps(88.3f), _CMP_GT_OQ), _mm512_set1_ps(INFINITY));
    return _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

static void silu_mul(float *gate, const float *up, size_t n) {
    const __m512 one = _mm512_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first_lanes(n - i);
        __m512 g = _mm512_maskz_loadu_ps(m, gate + i);
        __m512 s = _mm512_div_ps(g, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), g))));
        _mm512_mask_storeu_ps(gate + i, m, _mm512_mul_ps(s, _mm512_maskz_loadu_ps(m, up + i)));
    }
}

static float softmax_exp(float *x, size_t n, float scale, float *max) {
    const __m512 s = _mm512_set1_ps(scale), nothing = _mm512_set1_ps(-INFINITY);
    __m512 top = _mm512_set1_ps(*max);
    for (size_t i = 0; i < n; i += 16) { /* max(x, top) is top where x is NaN */
        __m512 v = _mm512_mul_ps(_mm512_mask_loadu_ps(nothing, first_lanes(n - i), x + i), s);
        top = _mm512_mask_max_ps(top, first_lanes(n - i), v, top);
    }
    *max = _mm512_reduce_max_ps(top);
    __m512 m = _mm512_set1_ps(*max), acc = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), s);
        /* where nothing but -infinity and NaN was seen, the former gives 0 and the latter stays */
        __m512 e = *max == -INFINITY ? _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(v, m, _CMP_EQ_OQ), _mm512_setzero_ps())
                                     : exp16(_mm512_sub_ps(v, m));
        _mm512_mask_storeu_ps(x + i, lanes, e);
        acc = _mm512_mask_add_ps(acc, lanes, acc, e);
    }
    return reduce(acc);
}

/* Asks for what comes PREFETCH bytes behind element i: 16-bit numbers come from the KV cache, F32 from scratch memory.
 * Measured on pages of the 33B's shape: one row reads them at the speed of memory, 1.5 times that without. */
enum { PREFETCH = 8192 };

/* macros: gcc 12 takes a function that only prefetches for one that does nothing */
#define AHEAD_f16(b, i) _mm_prefetch((const char *)(b) + 2 * (i) + PREFETCH, _MM_HINT_T0)
#define AHEAD_bf16(b, i) AHEAD_f16(b, i)
#define AHEAD_f32(b, i) (void)0

/* R rows by V times 16 columns, constants after inlining; of the last 16 those of mask. */
#define PRODUCT(type)                                                                                                \
    static inline __attribute__((always_inline)) void product_##type(                                                \
        float *out, size_t out_stride, const float *a, size_t a_stride, const void *b, size_t b_at, size_t b_stride, \
        __mmask16 mask, size_t depth, const size_t R, const size_t V) {                                              \
        __m512 acc[6][4];                                                                                            \
        EACH(r, R) EACH(v, V) {                                                                                      \
            acc[r][v] = _mm512_maskz_loadu_ps(v + 1 < V ? 0xffff : mask, out + r * out_stride + 16 * v);             \
        }                                                                                                            \
        for (size_t i = 0; i < depth; i++, b_at += b_stride) {                                                       \
            __m512 x[4];                                                                                             \
            AHEAD_##type(b, b_at);                                                                                   \
            AHEAD_##type(b, b_at + 32);                                                                              \
            EACH(v, V) {                                                                                             \
                x[v] = load_##type(b, b_at + 16 * v, v + 1 < V ? 0xffff : mask);                                     \
            }                                                                                                        \
            EACH(r, R) {                                                                                             \
                __m512 w = _mm512_set1_ps(a[r * a_stride + i]);                                                      \
                EACH(v, V) {                                                                                         \
                    acc[r][v] = _mm512_fmadd_ps(w, x[v], acc[r][v]);                                                 \
                }                                                                                                    \
            }                                                                                                        \
        }                                                                                                            \
        EACH(r, R) EACH(v, V) {                                                                                      \
            _mm512_mask_storeu_ps(out + r * out_stride + 16 * v, v + 1 < V ? 0xffff : mask, acc[r][v]);              \
        }                                                                                                            \
    }                                                                                                                \
    static void add_product_##type(float *out, size_t out_stride, const float *a, size_t a_stride, size_t n_rows,    \
                                   const void *b, size_t b_stride, size_t n, size_t depth) {                         \
        for (size_t c = 0; c < n; c += 64) {                                                                         \
            size_t left = n - c;                                                                                     \
            __mmask16 mask = first_lanes(left >= 64 ? 16 : (left - 1) % 16 + 1);                                     \
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
    }
#define PRODUCT_CASE(type, count)                                                              \
    case count:                                                                                \
        if (left > 48) {                                                                       \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, mask, depth, count, 4); \
        } else if (left > 32) {                                                                \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, mask, depth, count, 3); \
        } else if (left > 16) {                                                                \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, mask, depth, count, 2); \
        } else {                                                                               \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, mask, depth, count, 1); \
        }                                                                                      \
        break;
PRODUCT(f32)
PRODUCT(f16)
PRODUCT(bf16)

static void f16_to_f32(float *out, const void *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        _mm512_mask_storeu_ps(out + i, first_lanes(n - i), load_f16(x, i, first_lanes(n - i)));
    }
}

static void bf16_to_f32(float *out, const void *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        _mm512_mask_storeu_ps(out + i, first_lanes(n - i), load_bf16(x, i, first_lanes(n - i)));
    }
}

void exaone_kernels_avx512(exaone_kernels *k) {
    k->matmul_f32 = matmul_f32;
    k->matmul_bf16 = matmul_bf16;
    k->matmul_f16 = matmul_f16;
    k->rms_norm = rms_norm;
    k->silu_mul = silu_mul;
    k->softmax_exp = softmax_exp;
    k->add_product_f32 = add_product_f32;
    k->add_product_f16 = add_product_f16;
    k->add_product_bf16 = add_product_bf16;
    k->f16_to_f32 = f16_to_f32;
    k->bf16_to_f32 = bf16_to_f32;
}
#endif
