/* The loops that take most of the encoder's time: the sums of eight candidates over a block, once for the plain instruction
 * set and once for AVX2, which the processor is asked for. The lanes are the candidates, every sum runs in the order of the
 * values and products are not fused, so both give the same bits. */
#include "quant/encode_lanes.h"

#include <assert.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float clamp(float v, float lo, float hi) {
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/* To the next whole number, |v| < 2^22: the addition shifts the fraction out. */
INLINE float whole(float v) {
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

enum { LANES = EXAONE_ENCODE_LANES };

INLINE void scale_gains(int n, const float *restrict x, const float *restrict w, float lo, float hi,
                        const float *restrict id, float *restrict qq, float *restrict qx) {
    for (int k = 0; k < LANES; k++) {
        float a = 0, b = 0;
        for (int i = 0; i < n; i++) {
            float q = whole(clamp(x[i] * id[k], lo, hi)), wq = w[i] * q;
            a += wq * q;
            b += wq * x[i];
        }
        qq[k] = a;
        qx[k] = b;
    }
}

INLINE void scale_errors(int n, const float *restrict x, const float *restrict w, float lo, float hi,
                         const float *restrict id, const float *restrict d, float *restrict e) {
    for (int k = 0; k < LANES; k++) {
        float a = 0;
        for (int i = 0; i < n; i++) {
            float r = x[i] - d[k] * whole(clamp(x[i] * id[k], lo, hi));
            a += w[i] * (r * r);
        }
        e[k] = a;
    }
}

INLINE void affine_gains(int n, const float *restrict x, const float *restrict w, float top, const float *restrict id,
                         const float *restrict m, float *restrict q1, float *restrict qq, float *restrict qx) {
    for (int k = 0; k < LANES; k++) {
        float a = 0, b = 0, c = 0;
        for (int i = 0; i < n; i++) {
            float q = whole(clamp((x[i] + m[k]) * id[k], 0, top)), wq = w[i] * q;
            a += wq;
            b += wq * q;
            c += wq * x[i];
        }
        q1[k] = a;
        qq[k] = b;
        qx[k] = c;
    }
}

INLINE void affine_errors(int n, const float *restrict x, const float *restrict w, float top, const float *restrict id,
                          const float *restrict d, const float *restrict m, float *restrict e) {
    for (int k = 0; k < LANES; k++) {
        float a = 0;
        for (int i = 0; i < n; i++) {
            float r = x[i] - (d[k] * whole(clamp((x[i] + m[k]) * id[k], 0, top)) - m[k]);
            a += w[i] * (r * r);
        }
        e[k] = a;
    }
}

/* Both lengths of a kernel, as functions for the instruction set of `attribute`. */
#define VARIANTS(suffix, attribute)                                                                                         \
    attribute static void scale_gains_##suffix(int n, const float *x, const float *w, float lo, float hi, const float *id,  \
                                               float *qq, float *qx) {                                                      \
        if (n == 32) {                                                                                                      \
            scale_gains(32, x, w, lo, hi, id, qq, qx);                                                                      \
        } else {                                                                                                            \
            scale_gains(16, x, w, lo, hi, id, qq, qx);                                                                      \
        }                                                                                                                   \
    }                                                                                                                       \
    attribute static void scale_errors_##suffix(int n, const float *x, const float *w, float lo, float hi, const float *id, \
                                                const float *d, float *e) {                                                 \
        if (n == 32) {                                                                                                      \
            scale_errors(32, x, w, lo, hi, id, d, e);                                                                       \
        } else {                                                                                                            \
            scale_errors(16, x, w, lo, hi, id, d, e);                                                                       \
        }                                                                                                                   \
    }                                                                                                                       \
    attribute static void affine_gains_##suffix(int n, const float *x, const float *w, float top, const float *id,          \
                                                const float *m, float *q1, float *qq, float *qx) {                          \
        if (n == 32) {                                                                                                      \
            affine_gains(32, x, w, top, id, m, q1, qq, qx);                                                                 \
        } else {                                                                                                            \
            affine_gains(16, x, w, top, id, m, q1, qq, qx);                                                                 \
        }                                                                                                                   \
    }                                                                                                                       \
    attribute static void affine_errors_##suffix(int n, const float *x, const float *w, float top, const float *id,         \
                                                 const float *d, const float *m, float *e) {                                \
        if (n == 32) {                                                                                                      \
            affine_errors(32, x, w, top, id, d, m, e);                                                                      \
        } else {                                                                                                            \
            affine_errors(16, x, w, top, id, d, m, e);                                                                      \
        }                                                                                                                   \
    }

VARIANTS(plain, )
#if defined(__x86_64__)
VARIANTS(avx2, __attribute__((target("avx2"))))
#define RUN(kernel, ...) (__builtin_cpu_supports("avx2") ? kernel##_avx2(__VA_ARGS__) : kernel##_plain(__VA_ARGS__))
#else
#define RUN(kernel, ...) kernel##_plain(__VA_ARGS__)
#endif

void exaone_encode_lanes_scale_gains(int n, const float *x, const float *w, float lo, float hi, const float *id, float *qq,
                                     float *qx) {
    assert(n == 16 || n == 32);
    RUN(scale_gains, n, x, w, lo, hi, id, qq, qx);
}

void exaone_encode_lanes_scale_errors(int n, const float *x, const float *w, float lo, float hi, const float *id,
                                      const float *d, float *e) {
    assert(n == 16 || n == 32);
    RUN(scale_errors, n, x, w, lo, hi, id, d, e);
}

void exaone_encode_lanes_affine_gains(int n, const float *x, const float *w, float top, const float *id, const float *m,
                                      float *q1, float *qq, float *qx) {
    assert(n == 16 || n == 32);
    RUN(affine_gains, n, x, w, top, id, m, q1, qq, qx);
}

void exaone_encode_lanes_affine_errors(int n, const float *x, const float *w, float top, const float *id, const float *d,
                                       const float *m, float *e) {
    assert(n == 16 || n == 32);
    RUN(affine_errors, n, x, w, top, id, d, m, e);
}
