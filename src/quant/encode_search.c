/* Passes over a block and the search for continuous scales. The sums run in eight lanes that are folded in a fixed order, so
 * the compiler can use vectors and every machine gets the same bits. */
#include "quant/encode_search.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/half.h"

#define INLINE static inline __attribute__((always_inline))

const int8_t exaone_encode_iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void exaone_encode_iq4_table(float nearest[EXAONE_ENCODE_NEAREST_SIZE]) {
    int level = 0;
    for (int k = 0; k < EXAONE_ENCODE_NEAREST_SIZE; k++) {
        float at = -127 + 0.5f * (float)k + 0.25f; /* cells end at multiples of 1/2 */
        while (level < 15 && at * 2 > (float)(exaone_encode_iq4[level] + exaone_encode_iq4[level + 1])) {
            level++;
        }
        nearest[k] = exaone_encode_iq4[level];
    }
}

INLINE float fold(const float *a) {
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

INLINE float clamp(float v, float lo, float hi) {
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/* To the next whole number, |v| < 2^22: the addition shifts the fraction out. */
INLINE float whole(float v) {
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

INLINE exaone_encode_sums sums_of(int n, const float *restrict x, const float *restrict w, const float *restrict q, float d,
                                  float m) {
    float s1[8], qq[8], qx[8], e[8];
    for (int k = 0; k < 8; k++) {
        float a = 0, b = 0, c = 0, f = 0;
#pragma GCC unroll 4
        for (int i = 0; i < n; i += 8) {
            float wq = w[k + i] * q[k + i];
            float r = x[k + i] - (d * q[k + i] - m);
            a += wq;
            b += wq * q[k + i];
            c += wq * x[k + i];
            f += w[k + i] * (r * r);
        }
        s1[k] = a;
        qq[k] = b;
        qx[k] = c;
        e[k] = f;
    }
    return (exaone_encode_sums){.q = fold(s1), .qq = fold(qq), .qx = fold(qx), .e = fold(e)};
}

INLINE void levels_whole(int n, const float *restrict x, float id, float lo, float hi, float *restrict q) {
    for (int i = 0; i < n; i++) {
        q[i] = whole(clamp(x[i] * id, lo, hi));
    }
}

INLINE void levels_table(int n, const float *restrict x, float id, float lo, float hi, const float *restrict nearest,
                         float *restrict q) {
    int32_t at[32];
    for (int i = 0; i < n; i++) {
        at[i] = (int32_t)((clamp(x[i] * id, lo, hi) - lo) * 2);
    }
    for (int i = 0; i < n; i++) {
        q[i] = nearest[at[i]];
    }
}

/* 1/d, 0 for a d without a finite inverse. */
INLINE float inverse(float d) {
    return fabsf(d) > 0x1p-120f ? 1 / d : 0;
}

static exaone_encode_sums scale_pass(int n, const float *x, const float *w, const exaone_encode_levels *levels, float id,
                                     float d, float *q) {
    if (levels->nearest) {
        assert(n == 32);
        levels_table(32, x, id, levels->lo, levels->hi, levels->nearest, q);
        return sums_of(32, x, w, q, d, 0);
    }
    if (n == 32) {
        levels_whole(32, x, id, levels->lo, levels->hi, q);
        return sums_of(32, x, w, q, d, 0);
    }
    assert(n == 16);
    levels_whole(16, x, id, levels->lo, levels->hi, q);
    return sums_of(16, x, w, q, d, 0);
}

exaone_encode_sums exaone_encode_scale_pass(int n, const float *x, const float *w, const exaone_encode_levels *levels,
                                            float d, float *q) {
    return scale_pass(n, x, w, levels, inverse(d), d, q);
}

INLINE void levels_affine(int n, const float *restrict x, float id, float m, float top, float *restrict q) {
    for (int i = 0; i < n; i++) {
        q[i] = whole(clamp((x[i] + m) * id, 0, top));
    }
}

exaone_encode_sums exaone_encode_affine_pass(int n, const float *x, const float *w, float top, float d, float m, float *q) {
    if (n == 32) {
        levels_affine(32, x, inverse(d), m, top, q);
        return sums_of(32, x, w, q, d, m);
    }
    assert(n == 16);
    levels_affine(16, x, inverse(d), m, top, q);
    return sums_of(16, x, w, q, d, m);
}

/* The value of largest size, and the one of largest size among those that matter: w x^2 not far below the greatest. */
static void extremes(int n, const float *x, const float *w, float *full, float *mattering) {
    float greatest = 0;
    *full = 0;
    for (int i = 0; i < n; i++) {
        float e = w[i] * (x[i] * x[i]);
        greatest = e > greatest ? e : greatest;
        *full = fabsf(x[i]) > fabsf(*full) ? x[i] : *full;
    }
    *mattering = 0;
    for (int i = 0; i < n; i++) {
        if (w[i] * (x[i] * x[i]) >= 0.02f * greatest && fabsf(x[i]) > fabsf(*mattering)) {
            *mattering = x[i];
        }
    }
}

typedef struct scale_best {
    float d, gain; /* gain: how much of sum w x^2 the levels explain */
} scale_best;

static void try_inverse(int n, const float *x, const float *w, const exaone_encode_levels *levels, float id,
                        scale_best *best) {
    float q[32];
    exaone_encode_sums s = scale_pass(n, x, w, levels, id, 0, q);
    if (s.qq > 0 && s.qx * s.qx > best->gain * s.qq) {
        best->gain = s.qx * s.qx / s.qq;
        best->d = s.qx / s.qq;
    }
}

/* The peak goes to either end of the levels, and up to `reach` levels before or beyond it. */
static void try_peak(int n, const float *x, const float *w, const exaone_encode_levels *levels, int steps, float peak,
                     scale_best *best) {
    float reach = 0.14f * levels->hi > 1 ? 0.14f * levels->hi : 1;
    for (int i = 0; i < steps; i++) {
        float beyond = reach * (2 * (float)i / (float)(steps - 1) - 1);
        try_inverse(n, x, w, levels, (levels->lo + beyond) / peak, best);
        try_inverse(n, x, w, levels, (levels->hi + beyond) / peak, best);
    }
}

float exaone_encode_fit_scale(int n, const float *x, const float *w, const exaone_encode_levels *levels, int steps) {
    float full, mattering;
    extremes(n, x, w, &full, &mattering);
    scale_best best = {0, 0};
    if (fabsf(full) < 0x1p-60f) {
        return 0;
    }
    try_peak(n, x, w, levels, steps, full, &best);
    if (fabsf(mattering) < 0.9f * fabsf(full) && fabsf(mattering) > 0x1p-60f) {
        try_peak(n, x, w, levels, steps, mattering, &best);
    }
    for (int round = 0; round < 4; round++) {
        float before = best.gain;
        try_inverse(n, x, w, levels, inverse(best.d), &best);
        if (!(best.gain > before)) {
            break;
        }
    }
    return best.d;
}

typedef struct affine_best {
    float d, m, gain;
} affine_best;

static void try_affine(int n, const float *x, const float *w, float top, int down, float d, float m, affine_best *best,
                       const float of_w[2]) {
    float q[32];
    exaone_encode_sums s = exaone_encode_affine_pass(n, x, w, top, d, m, q);
    float sw = of_w[0], sx = of_w[1];
    float det = sw * s.qq - s.q * s.q;
    if (!(det > 1e-6f * (sw * s.qq))) {
        return;
    }
    float slope = (sw * s.qx - s.q * sx) / det;
    float offset = (sx - slope * s.q) / sw;
    if (down && offset > 0) {
        offset = 0;
        slope = s.qx / s.qq;
    }
    float gain = slope * s.qx + offset * sx;
    if (slope > 0 && gain > best->gain) {
        *best = (affine_best){slope, -offset, gain};
    }
}

void exaone_encode_fit_affine(int n, const float *x, const float *w, float top, int steps, int down, float *d, float *m) {
    float lo = x[0], hi = x[0], of_w[2] = {0, 0};
    for (int i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        of_w[0] += w[i];
        of_w[1] += w[i] * x[i];
    }
    if (down && lo > 0) {
        lo = 0;
    }
    if (hi - lo < 0x1p-60f) {
        *d = 0;
        *m = -lo;
        return;
    }
    affine_best best = {(hi - lo) / top, -lo, -HUGE_VALF};
    /* The range shrinks or grows at both ends, or at one of them. */
    for (int i = 0; i < steps; i++) {
        float grow = 0.07f * top > 1 ? 0.07f * top : 1;
        float step = (hi - lo) / (top + 0.5f * grow - 1.5f * grow * (float)i / (float)(steps - 1));
        float slack = (hi - lo) - step * top;
        for (int side = 0; side < 3; side++) {
            float m_try = -(lo + 0.5f * (float)side * slack);
            try_affine(n, x, w, top, down, step, down && m_try < 0 ? 0 : m_try, &best, of_w);
        }
    }
    for (int round = 0; round < 4; round++) {
        float before = best.gain;
        try_affine(n, x, w, top, down, best.d, best.m, &best, of_w);
        if (!(best.gain > before)) {
            break;
        }
    }
    *d = best.d;
    *m = best.m;
}

void exaone_encode_block_load(exaone_encode_block *b, int n, const float *x, const float *importance) {
    float amax = 0, wmax = 0;
    for (int i = 0; i < n; i++) {
        amax = fabsf(x[i]) > amax ? fabsf(x[i]) : amax;
    }
    (void)frexpf(amax, &b->exponent); /* 0 when all values are 0 */
    float half1 = ldexpf(1, -b->exponent / 2), half2 = ldexpf(1, -b->exponent - -b->exponent / 2);
    for (int i = 0; i < n; i++) {
        b->x[i] = x[i] * half1 * half2;
        b->w[i] = 1;
    }
    for (int i = 0; importance && i < n; i++) {
        wmax = importance[i] > wmax ? importance[i] : wmax;
    }
    if (wmax > 0) {
        for (int i = 0; i < n; i++) { /* a floor, so that columns without weight still get sensible values */
            float w = importance[i] / wmax;
            b->w[i] = w > 0x1p-20f ? w : 0x1p-20f;
        }
    }
}

uint16_t exaone_encode_half(const exaone_encode_block *b, float scale) {
    float real = (float)ldexp((double)scale, b->exponent);
    if (fabsf(real) >= 65504) {
        return exaone_f32_to_f16(real > 0 ? 65504 : -65504);
    }
    uint16_t half = exaone_f32_to_f16(real);
    if (half & 0x7fff) {
        return half;
    }
    return scale == 0 ? 0 : scale > 0 ? 1 : 0x8001;
}

float exaone_encode_unhalf(const exaone_encode_block *b, uint16_t half) {
    return (float)ldexp((double)exaone_f16_to_f32(half), -b->exponent);
}
