/* NEON kernels of what every ARMv8-A processor has. One output of a matrix product is two chains of 4 lanes over rising i,
 * the rest of a row as lanes filled up with zeros, then a fixed reduction: the same whatever the number of rows and outputs
 * of the call. */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include <math.h>

#include "base/half.h"
#include "cpu/kernels/fours.h"
#include "cpu/kernels/neon/lanes.h"

static inline float32x4_t load_f32(const void *w, size_t i) {
    return vld1q_f32((const float *)w + i);
}

static inline float32x4_t load_bf16(const void *w, size_t i) {
    return exaone_bf16x4(vld1_u16((const uint16_t *)w + i));
}

static inline float32x4_t load_f16(const void *w, size_t i) {
    return exaone_f16x4(vld1_u16((const uint16_t *)w + i));
}

static inline float32x4_t rest_f32(const void *w, size_t i, size_t n) {
    return exaone_first_lanes((const float *)w + i, n);
}

static inline float32x4_t rest_bf16(const void *w, size_t i, size_t n) {
    return exaone_bf16x4(exaone_first_halves((const uint16_t *)w + i, n));
}

static inline float32x4_t rest_f16(const void *w, size_t i, size_t n) {
    return exaone_f16x4(exaone_first_halves((const uint16_t *)w + i, n));
}

/* R rows by O outputs, one, four or eight; R and O are constants after inlining. Two chains per output, the first over the
 * lower half of the groups of 4: half the rounding error of one, and a tile twice as large as if both ran at once. */
#define TILE(type)                                                                                                          \
    static inline __attribute__((always_inline)) void tile_##type(float *out, size_t out_stride, const float *x,            \
                                                                  size_t x_stride, const void *w, const float *bias,        \
                                                                  size_t o0, size_t n_in, const size_t R, const size_t O) { \
        float32x4_t acc[6][8], lower[6][8];                                                                                 \
        size_t i = 0, middle = n_in / 8 * 4, end = n_in / 4 * 4;                                                            \
        EACH(half, 2) {                                                                                                     \
            EACH(r, R) EACH(o, O) {                                                                                         \
                acc[r][o] = vdupq_n_f32(0);                                                                                 \
            }                                                                                                               \
            for (; i < (half ? end : middle); i += 4) {                                                                     \
                float32x4_t v[8];                                                                                           \
                EACH(o, O) {                                                                                                \
                    v[o] = load_##type(w, (o0 + o) * n_in + i);                                                             \
                }                                                                                                           \
                EACH(r, R) {                                                                                                \
                    float32x4_t a = vld1q_f32(x + r * x_stride + i);                                                        \
                    EACH(o, O) {                                                                                            \
                        acc[r][o] = vfmaq_f32(acc[r][o], a, v[o]);                                                          \
                    }                                                                                                       \
                }                                                                                                           \
            }                                                                                                               \
            EACH(r, R) EACH(o, O) {                                                                                         \
                if (half == 0) {                                                                                            \
                    lower[r][o] = acc[r][o];                                                                                \
                }                                                                                                           \
            }                                                                                                               \
        }                                                                                                                   \
        if (i < n_in) {                                                                                                     \
            EACH(o, O) {                                                                                                    \
                float32x4_t v = rest_##type(w, (o0 + o) * n_in + i, n_in - i);                                              \
                EACH(r, R) {                                                                                                \
                    acc[r][o] = vfmaq_f32(acc[r][o], exaone_first_lanes(x + r * x_stride + i, n_in - i), v);                \
                }                                                                                                           \
            }                                                                                                               \
        }                                                                                                                   \
        EACH(r, R) {                                                                                                        \
            float *to = out + r * out_stride + o0;                                                                          \
            EACH(o, O) {                                                                                                    \
                acc[r][o] = vaddq_f32(acc[r][o], lower[r][o]);                                                              \
            }                                                                                                               \
            EACH(q, O / 4) {                                                                                                \
                const float32x4_t *s = acc[r] + 4 * q;                                                                      \
                float32x4_t sum = exaone_reduce_4(s[0], s[1], s[2], s[3]);                                                  \
                vst1q_f32(to + 4 * q, bias ? vaddq_f32(sum, vld1q_f32(bias + o0 + 4 * q)) : sum);                           \
            }                                                                                                               \
            if (O == 1) {                                                                                                   \
                float sum = exaone_reduce(acc[r][0]);                                                                       \
                *to = bias ? sum + bias[o0] : sum;                                                                          \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    FOURS(type)                                                                                                             \
    static void matmul_##type(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, const void *w, \
                              const float *bias, size_t n_out, size_t n_in) {                                               \
        size_t o = 0;                                                                                                       \
        for (; n_rows == 1 && o + 8 <= n_out; o += 8) { /* enough chains for the latency of an addition */                  \
            tile_##type(out, out_stride, x, x_stride, w, bias, o, n_in, 1, 8);                                              \
        }                                                                                                                   \
        fours_##type(out, out_stride, x, x_stride, n_rows, w, bias, o, n_out, n_in);                                        \
    }
TILE(f32)
TILE(bf16)
TILE(f16)

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps) {
    float32x4_t acc[4];
    size_t i = 0;
    EACH(j, 4) {
        acc[j] = vdupq_n_f32(0);
    }
    for (; i + 16 <= n; i += 16) {
        EACH(j, 4) {
            float32x4_t v = vld1q_f32(x + i + 4 * j);
            acc[j] = vfmaq_f32(acc[j], v, v);
        }
    }
    for (; i < n; i += 4) {
        float32x4_t v = n - i < 4 ? exaone_first_lanes(x + i, n - i) : vld1q_f32(x + i);
        acc[0] = vfmaq_f32(acc[0], v, v);
    }
    float sum = exaone_reduce(exaone_reduce_4(acc[0], acc[1], acc[2], acc[3]));
    float s = 1.0f / sqrtf(sum / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, vmulq_f32(vld1q_f32(w + i), vmulq_n_f32(vld1q_f32(x + i), s)));
    }
    for (; i < n; i++) {
        out[i] = w[i] * (x[i] * s);
    }
}

/* exp on 4 lanes: 2^n * p(r), r = x - n ln 2 in two parts, p of degree 7 (Taylor on |r| <= ln 2 / 2: error below 2e-8
 * relative). Below -87.3 the result is 0, above 88.3 it is infinite; a NaN stays. */
static inline float32x4_t exp4(float32x4_t x) {
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vaddq_f32(vfmaq_f32(r, p, vmulq_f32(r, r)), vdupq_n_f32(1.0f));
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23); /* n is -126 .. 127 where it counts */
    p = vmulq_f32(p, vreinterpretq_f32_s32(power));
    p = vbslq_f32(vcltq_f32(x, vdupq_n_f32(-87.3f)), vdupq_n_f32(0), p);
    p = vbslq_f32(vcgtq_f32(x, vdupq_n_f32(88.3f)), vdupq_n_f32(INFINITY), p);
    return vbslq_f32(vceqq_f32(x, x), p, x);
}

static inline float32x4_t silu4(float32x4_t g, float32x4_t up) {
    return vmulq_f32(vdivq_f32(g, vaddq_f32(vdupq_n_f32(1), exp4(vnegq_f32(g)))), up);
}

static void silu_mul(float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(gate + i, silu4(vld1q_f32(gate + i), vld1q_f32(up + i)));
    }
    if (i < n) {
        float32x4_t v = silu4(exaone_first_lanes(gate + i, n - i), exaone_first_lanes(up + i, n - i));
        exaone_store_lanes(gate + i, v, n - i);
    }
}

/* scale * x of up to 4 elements, -infinity behind them. */
static inline float32x4_t scaled_scores(const float *x, size_t n, float scale) {
    if (n >= 4) {
        return vmulq_n_f32(vld1q_f32(x), scale);
    }
    float v[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++) {
        v[i] = x[i] * scale;
    }
    return vld1q_f32(v);
}

static float softmax_exp(float *x, size_t n, float scale, float *max) {
    float32x4_t top = vdupq_n_f32(*max), acc = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = scaled_scores(x + i, n - i, scale);
        top = vbslq_f32(vcgtq_f32(v, top), v, top); /* not vmaxq: it would take a NaN */
    }
    *max = vmaxvq_f32(top);
    float32x4_t m = vdupq_n_f32(*max);
    for (size_t i = 0; i < n; i += 4) {
        float32x4_t v = scaled_scores(x + i, n - i, scale);
        /* where nothing but -infinity and NaN was seen, the former gives 0 and the latter stays */
        float32x4_t e = *max == -INFINITY ? vbslq_f32(vceqq_f32(v, m), vdupq_n_f32(0), v) : exp4(vsubq_f32(v, m));
        if (n - i >= 4) {
            vst1q_f32(x + i, e);
        } else {
            exaone_store_lanes(x + i, e, n - i);
            e = exaone_first_lanes(x + i, n - i);
        }
        acc = vaddq_f32(acc, e);
    }
    return exaone_reduce(acc);
}

static inline float one_f32(const void *b, size_t i) {
    return ((const float *)b)[i];
}

static inline float one_f16(const void *b, size_t i) {
    return exaone_f16_to_f32(((const uint16_t *)b)[i]);
}

static inline float one_bf16(const void *b, size_t i) {
    return exaone_bf16_to_f32(((const uint16_t *)b)[i]);
}

/* R rows by V times 4 columns from b_at on, constants after inlining; the last n % 4 columns are single multiply-adds in
 * the same order. */
#define PRODUCT(type)                                                                                                \
    static inline __attribute__((always_inline)) void product_##type(                                                \
        float *out, size_t out_stride, const float *a, size_t a_stride, const void *b, size_t b_at, size_t b_stride, \
        size_t depth, const size_t R, const size_t V) {                                                              \
        float32x4_t acc[6][4];                                                                                       \
        EACH(r, R) EACH(v, V) {                                                                                      \
            acc[r][v] = vld1q_f32(out + r * out_stride + 4 * v);                                                     \
        }                                                                                                            \
        for (size_t i = 0; i < depth; i++, b_at += b_stride) {                                                       \
            float32x4_t x[4];                                                                                        \
            EACH(v, V) {                                                                                             \
                x[v] = load_##type(b, b_at + 4 * v);                                                                 \
            }                                                                                                        \
            EACH(r, R) {                                                                                             \
                float w = a[r * a_stride + i];                                                                       \
                EACH(v, V) {                                                                                         \
                    acc[r][v] = vfmaq_n_f32(acc[r][v], x[v], w);                                                     \
                }                                                                                                    \
            }                                                                                                        \
        }                                                                                                            \
        EACH(r, R) EACH(v, V) {                                                                                      \
            vst1q_f32(out + r * out_stride + 4 * v, acc[r][v]);                                                      \
        }                                                                                                            \
    }                                                                                                                \
    static void add_product_##type(float *out, size_t out_stride, const float *a, size_t a_stride, size_t n_rows,    \
                                   const void *b, size_t b_stride, size_t n, size_t depth) {                         \
        for (size_t c = 0, step = 16; c + 4 <= n; c += step) {                                                       \
            step = n - c >= 16 ? 16 : 4;                                                                             \
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
        for (size_t c = n / 4 * 4; c < n; c++) {                                                                     \
            for (size_t r = 0; r < n_rows; r++) {                                                                    \
                float sum = out[r * out_stride + c];                                                                 \
                for (size_t i = 0; i < depth; i++) {                                                                 \
                    sum = fmaf(a[r * a_stride + i], one_##type(b, i * b_stride + c), sum);                           \
                }                                                                                                    \
                out[r * out_stride + c] = sum;                                                                       \
            }                                                                                                        \
        }                                                                                                            \
    }
#define PRODUCT_CASE(type, count)                                                        \
    case count:                                                                          \
        if (step == 16) {                                                                \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, depth, count, 4); \
        } else {                                                                         \
            product_##type(o, out_stride, x, a_stride, b, c, b_stride, depth, count, 1); \
        }                                                                                \
        break;
PRODUCT(f32)
PRODUCT(f16)
PRODUCT(bf16)

static inline float32x4_t two_pairs(float32x4_t a, float32x4_t b, int high) {
    float64x2_t x = vreinterpretq_f64_f32(a), y = vreinterpretq_f64_f32(b);
    return vreinterpretq_f32_f64(high ? vzip2q_f64(x, y) : vzip1q_f64(x, y));
}

static void transpose(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, size_t n) {
    size_t whole_rows = n_rows / 4 * 4, whole = n / 4 * 4;
    for (size_t r = 0; r < whole_rows; r += 4) {
        for (size_t c = 0; c < whole; c += 4) {
            const float *from = x + r * x_stride + c;
            float32x4_t a = vld1q_f32(from), b = vld1q_f32(from + x_stride);
            float32x4_t d = vld1q_f32(from + 2 * x_stride), e = vld1q_f32(from + 3 * x_stride);
            float32x4_t ab_even = vtrn1q_f32(a, b), ab_odd = vtrn2q_f32(a, b);
            float32x4_t de_even = vtrn1q_f32(d, e), de_odd = vtrn2q_f32(d, e);
            float *to = out + c * out_stride + r;
            vst1q_f32(to, two_pairs(ab_even, de_even, 0));
            vst1q_f32(to + out_stride, two_pairs(ab_odd, de_odd, 0));
            vst1q_f32(to + 2 * out_stride, two_pairs(ab_even, de_even, 1));
            vst1q_f32(to + 3 * out_stride, two_pairs(ab_odd, de_odd, 1));
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t c = r < whole_rows ? whole : 0; c < n; c++) {
            out[c * out_stride + r] = x[r * x_stride + c];
        }
    }
}

void exaone_kernels_neon(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS(K)
#undef K
}
#endif
