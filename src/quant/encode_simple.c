/* Blocks of 32 with scales of their own: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "quant/encode_search.h"
#include "tensor/dtype.h"

enum {
    N = 32,
    TINY = -12 /* blocks of a lower exponent may want a scale below the smallest f16 */
};

static void put16(uint8_t *out, uint16_t v) {
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}

/* Sixteen bytes: element j low, element j + 16 high. */
static void put_nibbles(uint8_t *out, const uint8_t *q) {
    for (int j = 0; j < 16; j++) {
        out[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    }
}

/* The fifth bits, little endian. */
static void put_fifth(uint8_t *out, const uint8_t *q) {
    uint32_t bits = 0;
    for (int j = 0; j < N; j++) {
        bits |= (uint32_t)(q[j] >> 4) << j;
    }
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(bits >> 8 * j);
    }
}

static void copy_levels(float q[N], const float from[N]) {
    memcpy(q, from, N * sizeof *q);
}

typedef struct scale_choice {
    uint16_t d;
    float q[N];
    float e;
} scale_choice;

/* Keeps d, as stored, when its error is lower; returns the d that fits its levels best. */
static float try_scale(const exaone_encode_block *b, const exaone_encode_levels *levels, float d, scale_choice *best) {
    float q[N];
    uint16_t half = exaone_encode_half(b, d);
    exaone_encode_sums s = exaone_encode_scale_pass(N, b->x, b->w, levels, exaone_encode_unhalf(b, half), q);
    if (s.e < best->e) {
        best->d = half;
        best->e = s.e;
        copy_levels(best->q, q);
    }
    return s.qq > 0 ? s.qx / s.qq : d;
}

/* The scale of least error among the plain one (the peak on the longer end), the fitted one and refits of both. */
static void choose_scale(const exaone_encode_block *b, const exaone_encode_levels *levels, scale_choice *best) {
    float plain = exaone_encode_peak(N, b->x) / levels->lo;
    *best = (scale_choice){.e = HUGE_VALF};
    if (b->exponent < TINY) {
        (void)try_scale(b, levels, 0, best);
    }
    (void)try_scale(b, levels, plain, best);
    float refit = exaone_encode_fit_scale(b, 0, N, levels);
    for (int round = 0; round < 3; round++) {
        float before = best->e;
        refit = try_scale(b, levels, refit, best);
        if (!(best->e < before)) {
            break;
        }
    }
}

static void encode_scale_type(int dtype, const exaone_encode_block *b, const float *nearest, uint8_t *out) {
    scale_choice c;
    uint8_t q[N];
    if (dtype == EXAONE_IQ4_NL) {
        const exaone_encode_levels levels = {-127, 113, nearest};
        choose_scale(b, &levels, &c);
        for (int i = 0; i < N; i++) {
            int level = 0;
            while (exaone_encode_iq4[level] < (int)c.q[i]) {
                level++;
            }
            q[i] = (uint8_t)level;
        }
    } else {
        float half_range = dtype == EXAONE_Q4_0 ? 8 : 16;
        const exaone_encode_levels levels = {-half_range, half_range - 1, NULL};
        choose_scale(b, &levels, &c);
        for (int i = 0; i < N; i++) {
            q[i] = (uint8_t)(c.q[i] + half_range);
        }
    }
    put16(out, c.d);
    out += 2;
    if (dtype == EXAONE_Q5_0) {
        put_fifth(out, q);
        out += 4;
    }
    put_nibbles(out, q);
}

static void encode_q8_0(const exaone_encode_block *b, uint8_t *out) {
    const exaone_encode_levels levels = {-127, 127, NULL};
    scale_choice c = {.e = HUGE_VALF};
    float peak = fabsf(exaone_encode_peak(N, b->x)), mattering = fabsf(exaone_encode_block_peak(b, 0, N));
    if (b->exponent < TINY) {
        (void)try_scale(b, &levels, 0, &c);
    }
    float refit = try_scale(b, &levels, peak / 127, &c);
    refit = try_scale(b, &levels, refit, &c);
    try_scale(b, &levels, refit, &c);
    try_scale(b, &levels, peak / 127.4f, &c);
    if (mattering < 0.9f * peak) {
        refit = try_scale(b, &levels, mattering / 127, &c);
        try_scale(b, &levels, refit, &c);
    }
    put16(out, c.d);
    for (int i = 0; i < N; i++) {
        out[2 + i] = (uint8_t)(int8_t)c.q[i];
    }
}

typedef struct affine_choice {
    uint16_t d, m;
    float q[N];
    float e;
} affine_choice;

static void try_affine(const exaone_encode_block *b, float top, float *d, float *m, affine_choice *best) {
    float q[N], sw = 0, sx = 0;
    uint16_t dh = exaone_encode_half(b, *d), mh = exaone_encode_half(b, -*m);
    exaone_encode_sums s =
        exaone_encode_affine_pass(N, b->x, b->w, top, exaone_encode_unhalf(b, dh), -exaone_encode_unhalf(b, mh), q);
    if (s.e < best->e) {
        best->d = dh;
        best->m = mh;
        best->e = s.e;
        copy_levels(best->q, q);
    }
    for (int i = 0; i < N; i++) {
        sw += b->w[i];
        sx += b->w[i] * b->x[i];
    }
    float det = sw * s.qq - s.q * s.q;
    if (det > 1e-6f * (sw * s.qq)) {
        *d = (sw * s.qx - s.q * sx) / det;
        *m = -(sx - *d * s.q) / sw;
    }
}

static void encode_affine_type(int dtype, const exaone_encode_block *b, uint8_t *out) {
    float top = dtype == EXAONE_Q4_1 ? 15 : 31, lo, hi;
    exaone_encode_range(N, b->x, &lo, &hi);
    affine_choice c = {.e = HUGE_VALF};
    float d = 0, m = 0;
    if (b->exponent < TINY) {
        try_affine(b, top, &d, &m, &c);
    }
    d = (hi - lo) / top;
    m = -lo;
    try_affine(b, top, &d, &m, &c);
    exaone_encode_fit_affine(b, 0, N, top, 0, &d, &m);
    for (int round = 0; round < 3; round++) {
        float before = c.e;
        try_affine(b, top, &d, &m, &c);
        if (!(c.e < before)) {
            break;
        }
    }
    uint8_t q[N];
    for (int i = 0; i < N; i++) {
        q[i] = (uint8_t)c.q[i];
    }
    put16(out, c.d);
    put16(out + 2, c.m);
    out += 4;
    if (dtype == EXAONE_Q5_1) {
        put_fifth(out, q);
        out += 4;
    }
    put_nibbles(out, q);
}

/* Twice the E2M1 values, in units of half the block's power of two. */
static const float mxfp4_ends[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
static const float mxfp4_values[8] = {0, 1, 2, 3, 4, 6, 8, 12};

/* Error of the block with a scale of 2^(e - 128), as stored. */
static float mxfp4_pass(const exaone_encode_block *b, int e, uint8_t *q) {
    float scale = (float)ldexp(1, e - 128 - b->exponent), inverse = 1 / scale;
    float size[N], value[N], lanes[8] = {0};
    int32_t level[N];
    for (int i = 0; i < N; i++) {
        size[i] = fabsf(b->x[i]) * inverse;
        level[i] = 0;
    }
    for (int k = 0; k < 7; k++) {
        for (int i = 0; i < N; i++) {
            level[i] += size[i] > mxfp4_ends[k];
        }
    }
    for (int i = 0; i < N; i++) {
        value[i] = mxfp4_values[level[i]];
        q[i] = (uint8_t)(level[i] | (b->x[i] < 0 ? 8 : 0));
    }
    for (int i = 0; i < N; i += 8) {
        for (int k = 0; k < 8; k++) {
            float r = fabsf(b->x[i + k]) - value[i + k] * scale;
            lanes[k] += b->w[i + k] * (r * r);
        }
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* A peak in [2^-1, 2^0) * 2^exponent: 12 * 2^(e - 128) next to it is e = exponent + 124 or 125. Smaller powers clip it,
 * which pays when it is alone or weighs little. Above e = 252 the largest level is no finite float. */
static void encode_mxfp4(const exaone_encode_block *b, uint8_t *out) {
    int top = b->exponent + 125, low;
    (void)frexpf(exaone_encode_block_peak(b, 0, N), &low);
    float best = HUGE_VALF;
    for (int e = top; e >= b->exponent + low + 123; e--) {
        uint8_t q[N];
        int stored = e < 0 ? 0 : e > 252 ? 252 : e;
        float error = mxfp4_pass(b, stored, q);
        if (error < best) {
            best = error;
            out[0] = (uint8_t)stored;
            put_nibbles(out + 1, q);
        }
    }
}

void exaone_encode_simple(int dtype, const exaone_encode_block *b, const float *nearest, uint8_t *out) {
    switch (dtype) {
    case EXAONE_Q8_0:
        encode_q8_0(b, out);
        break;
    case EXAONE_Q4_1:
    case EXAONE_Q5_1:
        encode_affine_type(dtype, b, out);
        break;
    case EXAONE_MXFP4:
        encode_mxfp4(b, out);
        break;
    default:
        encode_scale_type(dtype, b, nearest, out);
        break;
    }
}
