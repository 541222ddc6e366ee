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
    float v = 1 / d;
    return fabsf(d) > 0x1p-120f ? v : 0;
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

void exaone_encode_range(int n, const float *x, float *lo, float *hi) {
    float least[8], most[8];
    memcpy(least, x, sizeof least);
    memcpy(most, x, sizeof most);
    for (int i = 8; i < n; i += 8) {
        for (int k = 0; k < 8; k++) {
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
            most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
        }
    }
    for (int width = 4; width; width /= 2) {
        for (int k = 0; k < width; k++) {
            least[k] = least[k + width] < least[k] ? least[k + width] : least[k];
            most[k] = most[k + width] > most[k] ? most[k + width] : most[k];
        }
    }
    *lo = least[0];
    *hi = most[0];
}

float exaone_encode_peak(int n, const float *x) {
    float lo, hi;
    exaone_encode_range(n, x, &lo, &hi);
    return -lo > hi ? lo : hi;
}

float exaone_encode_block_peak(const exaone_encode_block *b, int at, int n) {
    const float *x = b->x + at, *w = b->w + at;
    if (!b->weighted) {
        return exaone_encode_peak(n, x);
    }
    float e[32] = {0}, some[32] = {0}, least, greatest;
    for (int i = 0; i < n; i++) {
        e[i] = w[i] * (x[i] * x[i]);
    }
    exaone_encode_range(n, e, &least, &greatest);
    greatest *= 0.02f;
    for (int i = 0; i < n; i++) {
        some[i] = e[i] >= greatest ? x[i] : 0;
    }
    return exaone_encode_peak(n, some);
}

/* ---- eight candidates at once: the lanes are the candidates, so no sum is folded ---- */

enum { LANES = EXAONE_ENCODE_LANES };

/* Bits of floats >= 0 sort as whole numbers; the low three make room for the lane, so a minimum finds both without branches.
 */
INLINE uint32_t lane_key(float v, int lane) {
    return (exaone_f32_bits(v) & ~7u) | (uint32_t)lane;
}

int exaone_encode_least(const float *e, int first) {
    uint32_t least = lane_key(e[0], 0);
    for (int k = 1; k < LANES; k++) {
        uint32_t key = lane_key(e[k], k);
        least = key < least ? key : least;
    }
    return (least | 7) < lane_key(e[first], 7) ? (int)(least & 7) : first;
}

/* The lane of the greatest of eight values >= 0. */
INLINE int greatest_lane(const float *v) {
    uint32_t greatest = lane_key(v[0], 0);
    for (int k = 1; k < LANES; k++) {
        uint32_t key = lane_key(v[k], k);
        greatest = key > greatest ? key : greatest;
    }
    return (int)(greatest & 7);
}

static void any_scale_gains(int n, const float *x, const float *w, const exaone_encode_levels *levels, const float *id,
                            float *qq, float *qx) {
    if (levels->nearest) {
        for (int k = 0; k < LANES; k++) {
            float q[32];
            exaone_encode_sums s = scale_pass(n, x, w, levels, id[k], 0, q);
            qq[k] = s.qq;
            qx[k] = s.qx;
        }
    } else {
        exaone_encode_lanes_scale_gains(n, x, w, levels->lo, levels->hi, id, qq, qx);
    }
}

void exaone_encode_scale_errors(int n, const float *x, const float *w, const exaone_encode_levels *levels,
                                exaone_encode_lanes *lanes, float *e) {
    for (int k = 0; k < LANES; k++) {
        lanes->id[k] = inverse(lanes->d[k]);
    }
    if (levels->nearest) {
        for (int k = 0; k < LANES; k++) {
            float q[32];
            e[k] = scale_pass(n, x, w, levels, lanes->id[k], lanes->d[k], q).e;
        }
    } else {
        exaone_encode_lanes_scale_errors(n, x, w, levels->lo, levels->hi, lanes->id, lanes->d, e);
    }
}

void exaone_encode_affine_errors(int n, const float *x, const float *w, float top, exaone_encode_lanes *lanes, float *e) {
    for (int k = 0; k < LANES; k++) {
        lanes->id[k] = inverse(lanes->d[k]);
    }
    exaone_encode_lanes_affine_errors(n, x, w, top, lanes->id, lanes->d, lanes->m, e);
}

/* ---- continuous scales ---- */

typedef struct scale_best {
    float d, id, gain; /* gain: how much of sum w x^2 the levels of x * id explain with their best d */
} scale_best;

static void try_inverses(int n, const float *x, const float *w, const exaone_encode_levels *levels, const float *id,
                         scale_best *best) {
    float qq[LANES], qx[LANES], gain[LANES];
    any_scale_gains(n, x, w, levels, id, qq, qx);
    for (int k = 0; k < LANES; k++) {
        gain[k] = qx[k] * qx[k] / (qq[k] + 0x1p-100f);
    }
    int k = greatest_lane(gain);
    if (gain[k] > best->gain) {
        *best = (scale_best){qx[k] / qq[k], id[k], gain[k]};
    }
}

/* Levels between two candidates of the grid. */
static float grid_step(const exaone_encode_levels *levels) {
    float reach = 0.14f * levels->hi > 1 ? 0.14f * levels->hi : 1;
    return 2 * reach / (LANES - 1);
}

/* The peak goes to either end of the levels, before or beyond it. */
static void try_peak(int n, const float *x, const float *w, const exaone_encode_levels *levels, float peak,
                     scale_best *best) {
    float id[LANES], step = grid_step(levels), unit = 1 / peak;
    for (int side = 0; side < 2; side++) {
        float end = side ? levels->hi : levels->lo;
        for (int k = 0; k < LANES; k++) {
            id[k] = (end + step * ((float)k - 3.5f)) * unit;
        }
        try_inverses(n, x, w, levels, id, best);
    }
}

float exaone_encode_fit_scale(const exaone_encode_block *b, int at, int n, const exaone_encode_levels *levels) {
    const float *x = b->x + at, *w = b->w + at;
    float full = exaone_encode_peak(n, x), mattering = b->weighted ? exaone_encode_block_peak(b, at, n) : full;
    scale_best best = {0, 0, 0};
    if (fabsf(full) < 0x1p-60f) {
        return 0;
    }
    try_peak(n, x, w, levels, full, &best);
    if (fabsf(mattering) < 0.9f * fabsf(full) && fabsf(mattering) > 0x1p-60f) {
        try_peak(n, x, w, levels, mattering, &best);
    }
    /* Between the grid's points, and where the best d itself would round. */
    float id[LANES], middle = best.id, step = grid_step(levels) / fabsf(full) / 4;
    for (int k = 0; k < LANES; k++) {
        id[k] = k == 3 ? inverse(best.d) : middle + step * ((float)k - 3);
    }
    try_inverses(n, x, w, levels, id, &best);
    return best.d;
}

typedef struct affine_fit {
    const float *x, *w;
    int n, down;
    float top, sw, sx; /* sw, sx: sum w, sum w x */
    float d, m, gain;
} affine_fit;

static void try_affines(affine_fit *f, exaone_encode_lanes *lanes) {
    float q1[LANES], qq[LANES], qx[LANES];
    for (int k = 0; k < LANES; k++) {
        lanes->m[k] = f->down && lanes->m[k] < 0 ? 0 : lanes->m[k];
        lanes->id[k] = inverse(lanes->d[k]);
    }
    exaone_encode_lanes_affine_gains(f->n, f->x, f->w, f->top, lanes->id, lanes->m, q1, qq, qx);
    float slope[LANES], offset[LANES], gain[LANES];
    for (int k = 0; k < LANES; k++) {
        float all = f->sw * qq[k], det = all - q1[k] * q1[k];
        float s = (f->sw * qx[k] - q1[k] * f->sx) / det, o = (f->sx - s * q1[k]) / f->sw;
        float origin = qx[k] / qq[k]; /* the slope when the offset is held at 0 */
        int held = f->down & (o > 0);
        slope[k] = held ? origin : s;
        offset[k] = held ? 0 : o;
        float explained = slope[k] * qx[k] + offset[k] * f->sx;
        int usable = (det > 1e-6f * all) & (slope[k] > 0) & (explained > 0);
        gain[k] = usable ? explained : 0;
    }
    int k = greatest_lane(gain);
    if (gain[k] > f->gain) {
        f->d = slope[k];
        f->m = -offset[k];
        f->gain = gain[k];
    }
}

/* The range lo..hi on the levels, shrunk or grown at the lower end, at both, at the upper one. */
static void try_range(affine_fit *f, float lo, float hi) {
    exaone_encode_lanes lanes;
    float grow = 0.07f * f->top > 1 ? 0.07f * f->top : 1;
    for (int side = 0; side < 3; side++) {
        for (int k = 0; k < LANES; k++) {
            lanes.d[k] = (hi - lo) / (f->top + grow * (0.5f - 1.5f * (float)k / (LANES - 1)));
            lanes.m[k] = -(lo + 0.5f * (float)side * ((hi - lo) - lanes.d[k] * f->top));
        }
        try_affines(f, &lanes);
    }
}

/* The range of the values that matter: w times the squared distance to the mean not far below the greatest. */
static void weighted_range(const affine_fit *f, float *lo, float *hi) {
    float e[32] = {0}, some[32] = {0}, least, greatest, mean = f->sx / f->sw;
    for (int i = 0; i < f->n; i++) {
        float r = f->x[i] - mean;
        e[i] = f->w[i] * (r * r);
    }
    exaone_encode_range(f->n, e, &least, &greatest);
    greatest *= 0.05f;
    for (int i = 0; i < f->n; i++) {
        some[i] = e[i] >= greatest ? f->x[i] : mean;
    }
    exaone_encode_range(f->n, some, lo, hi);
}

void exaone_encode_fit_affine(const exaone_encode_block *b, int at, int n, float top, int down, float *d, float *m) {
    const float *x = b->x + at, *w = b->w + at;
    affine_fit f = {.x = x, .w = w, .n = n, .down = down, .top = top};
    float lo, hi, some_lo, some_hi;
    exaone_encode_range(n, x, &lo, &hi);
    for (int i = 0; i < n; i++) {
        f.sw += w[i];
        f.sx += w[i] * x[i];
    }
    if (down && lo > 0) {
        lo = 0;
    }
    *d = 0;
    *m = -lo;
    if (hi - lo < 0x1p-60f) {
        return;
    }
    f.d = (hi - lo) / top;
    f.m = -lo;
    f.gain = 0;
    try_range(&f, lo, hi);
    if (b->weighted) {
        weighted_range(&f, &some_lo, &some_hi);
        some_lo = down && some_lo > 0 ? 0 : some_lo;
        if (some_hi - some_lo < 0.9f * (hi - lo) && some_hi - some_lo > 0x1p-60f) {
            try_range(&f, some_lo, some_hi);
        }
    }
    for (int round = 0; round < 2; round++) { /* around the best: itself, then seven of its neighbours */
        static const int8_t way[LANES][2] = {{0, 0}, {1, 1}, {1, 0}, {0, 1}, {-1, -1}, {-1, 0}, {0, -1}, {1, 2}};
        exaone_encode_lanes lanes;
        float before = f.gain, by = (round ? 0.015f : 0.04f), d0 = f.d, m0 = f.m;
        for (int k = 0; k < LANES; k++) {
            lanes.d[k] = d0 * (1 + by * (float)way[k][0]);
            lanes.m[k] = m0 + d0 * top * by * 0.5f * (float)way[k][1];
        }
        try_affines(&f, &lanes);
        if (!(f.gain > before)) {
            break;
        }
    }
    *d = f.d;
    *m = f.m;
}

void exaone_encode_block_load(exaone_encode_block *b, int n, const float *x, const float *importance) {
    float wmin = 0, wmax = 0;
    (void)frexpf(exaone_encode_peak(n, x), &b->exponent); /* 0 when all values are 0 */
    float half1 = ldexpf(1, -b->exponent / 2), half2 = ldexpf(1, -b->exponent - -b->exponent / 2);
    for (int i = 0; i < n; i++) {
        b->x[i] = x[i] * half1 * half2;
        b->w[i] = 1;
    }
    if (importance) {
        exaone_encode_range(n, importance, &wmin, &wmax);
    }
    b->weighted = wmin < wmax;
    if (b->weighted) {
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
