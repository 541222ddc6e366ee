/* Super-blocks of 256: sub-blocks of 16 or 32 whose scales are small whole numbers times one or two f16 of the super-block.
 * Q2_K, Q4_K, Q5_K (scale and minimum), Q3_K, Q6_K, IQ4_XS (scale only). */
#include "quant/encode_super.h"

#include <math.h>
#include <string.h>

#include "quant/encode_search.h"
#include "tensor/dtype.h"

enum { ALL = EXAONE_ENCODE_SUPER, MAX_SUBS = 16 };

/* Super-block scales below this many times the smallest f16 are so coarse that their neighbours are tried too. */
enum { COARSE = 64 };

/* A stored scale some steps away, in block units; 0 where there is none. */
static float neighbour(const exaone_encode_block *b, uint16_t half, int steps) {
    int size = (half & 0x7fff) + steps;
    return size > 0 && size < 0x7c00 ? exaone_encode_unhalf(b, (uint16_t)((half & 0x8000) | size)) : 0;
}

/* ---- scale only ---- */

typedef struct scale_type {
    int n_subs, n; /* n_subs * n = 256 */
    exaone_encode_levels levels;
    int lo, hi;    /* of the sub-block scales */
    int both_ends; /* tries the greatest scale as hi too, not only as lo */
    int rounds;    /* of fitting the super-block's scale */
} scale_type;

typedef struct scale_state {
    uint16_t d;
    int s[MAX_SUBS];
    exaone_encode_sums sums[MAX_SUBS];
    float e;
} scale_state;

static int clamp_int(float v, int lo, int hi) {
    v = v > (float)lo ? v : (float)lo;
    v = v < (float)hi ? v : (float)hi;
    return (int)(v + 256.5f) - 256; /* to the next, for the small lo >= -256 here */
}

static exaone_encode_sums scale_sub(const exaone_encode_block *b, const scale_type *t, int j, float d, int s, float *q) {
    return exaone_encode_scale_pass(t->n, b->x + j * t->n, b->w + j * t->n, &t->levels, d * (float)s, q);
}

/* The scale of least error among eight around the one next to `target`, which wins ties. */
static void scale_settle(const exaone_encode_block *b, const scale_type *t, int j, float d, float target,
                         scale_state *state) {
    float q[32], e[EXAONE_ENCODE_LANES];
    exaone_encode_lanes lanes;
    int next = d == 0 ? 0 : clamp_int(target / d, t->lo, t->hi), first = next - 3;
    first = first < t->lo ? t->lo : first > t->hi - 7 ? t->hi - 7 : first;
    for (int k = 0; k < EXAONE_ENCODE_LANES; k++) {
        lanes.d[k] = d * (float)(first + k);
    }
    exaone_encode_scale_errors(t->n, b->x + j * t->n, b->w + j * t->n, &t->levels, &lanes, e);
    int best = exaone_encode_least(e, next - first);
    state->s[j] = first + best;
    state->sums[j] = scale_sub(b, t, j, d, first + best, q);
}

/* All sub-blocks for the stored form of d. */
static void scale_try(const exaone_encode_block *b, const scale_type *t, float d, const float *targets, scale_state *best) {
    scale_state state = {.d = exaone_encode_half(b, d)};
    float stored = exaone_encode_unhalf(b, state.d);
    for (int j = 0; j < t->n_subs; j++) {
        scale_settle(b, t, j, stored, targets[j], &state);
        state.e += state.sums[j].e;
    }
    if (state.e < best->e) {
        *best = state;
    }
}

/* Fits d to the levels and tries it, while that lowers the error. */
static void scale_refit(const exaone_encode_block *b, const scale_type *t, const float *targets, scale_state *best) {
    for (int round = 0; round < t->rounds; round++) {
        float before = best->e, up = 0, down = 0;
        for (int j = 0; j < t->n_subs; j++) {
            up += (float)best->s[j] * best->sums[j].qx;
            down += (float)(best->s[j] * best->s[j]) * best->sums[j].qq;
        }
        if (!(down > 0) || exaone_encode_half(b, up / down) == best->d) {
            return;
        }
        scale_try(b, t, up / down, targets, best);
        if (!(best->e < before)) {
            return;
        }
    }
}

static void scale_choose(const exaone_encode_block *b, const scale_type *t, exaone_encode_super_scales *out) {
    float targets[MAX_SUBS], peak = 0;
    for (int j = 0; j < t->n_subs; j++) {
        targets[j] = exaone_encode_fit_scale(b, j * t->n, t->n, &t->levels);
        peak = fabsf(targets[j]) > fabsf(peak) ? targets[j] : peak;
    }
    scale_state best = {.e = HUGE_VALF};
    scale_try(b, t, peak / (float)t->lo, targets, &best);
    if (t->both_ends) {
        scale_try(b, t, peak / (float)t->hi, targets, &best);
    }
    scale_refit(b, t, targets, &best);
    for (int steps = -2, from = best.d; (from & 0x7fff) < COARSE && steps <= 2; steps++) {
        float d = neighbour(b, (uint16_t)from, steps);
        scale_try(b, t, d, targets, &best);
        scale_try(b, t, -d, targets, &best);
    }
    out->d = best.d;
    out->dmin = 0;
    float d = exaone_encode_unhalf(b, best.d), q[32];
    for (int j = 0; j < t->n_subs; j++) {
        scale_sub(b, t, j, d, best.s[j], q);
        out->scale[j] = (int16_t)best.s[j];
        for (int i = 0; i < t->n; i++) {
            out->q[j * t->n + i] = (int8_t)q[i];
        }
    }
}

/* ---- scale and minimum ---- */

typedef struct affine_type {
    int n_subs, n;
    float top; /* levels 0..top */
    int hi;    /* sub-block scales and minimums 0..hi */
} affine_type;

typedef struct affine_state {
    uint16_t d, dmin;
    int s[MAX_SUBS], m[MAX_SUBS];
    exaone_encode_sums sums[MAX_SUBS];
    float e;
} affine_state;

typedef struct affine_targets {
    float d[MAX_SUBS], m[MAX_SUBS];
    float sw[MAX_SUBS], sx[MAX_SUBS]; /* sum w, sum w x */
} affine_targets;

static exaone_encode_sums affine_sub(const exaone_encode_block *b, const affine_type *t, int j, float d, float m, float *q) {
    return exaone_encode_affine_pass(t->n, b->x + j * t->n, b->w + j * t->n, t->top, d, m, q);
}

/* From the pair next to the targets to better ones: scales nearby, each with minimums next to the one that fits its levels.
 */
static void affine_settle(const exaone_encode_block *b, const affine_type *t, int j, float d, float dmin,
                          const affine_targets *targets, affine_state *state) {
    static const int8_t way[EXAONE_ENCODE_LANES][2] = {{0, 0}, {0, -1}, {0, 1}, {-1, 0}, {-1, -1}, {1, 0}, {1, 1}, {-2, 0}};
    float q[32], e[EXAONE_ENCODE_LANES];
    int s = d > 0 ? clamp_int(targets->d[j] / d, 0, t->hi) : 0;
    int m = dmin > 0 ? clamp_int(targets->m[j] / dmin, 0, t->hi) : 0;
    exaone_encode_sums best = affine_sub(b, t, j, d * (float)s, dmin * (float)m, q);
    for (int round = 0; round < 2; round++) {
        exaone_encode_lanes lanes;
        int s_try[EXAONE_ENCODE_LANES], m_try[EXAONE_ENCODE_LANES];
        float per_min = dmin > 0 ? 1 / (targets->sw[j] * dmin) : 0;
        for (int k = 0; k < EXAONE_ENCODE_LANES; k++) {
            s_try[k] = clamp_int((float)(s + way[k][0]), 0, t->hi);
            float fit = (best.q * d * (float)s_try[k] - targets->sx[j]) * per_min;
            m_try[k] = clamp_int(fit + (float)way[k][1], 0, t->hi);
            lanes.d[k] = d * (float)s_try[k];
            lanes.m[k] = dmin * (float)m_try[k];
        }
        exaone_encode_affine_errors(t->n, b->x + j * t->n, b->w + j * t->n, t->top, &lanes, e);
        int found = exaone_encode_least(e, 0);
        if (!(e[found] < best.e)) {
            break;
        }
        exaone_encode_sums next = affine_sub(b, t, j, lanes.d[found], lanes.m[found], q);
        if (!(next.e < best.e)) {
            break;
        }
        best = next;
        s = s_try[found];
        m = m_try[found];
    }
    state->s[j] = s;
    state->m[j] = m;
    state->sums[j] = best;
    state->e += best.e;
}

/* The pair d, dmin of least error for the levels and small numbers of a state. */
static void affine_refit(const affine_type *t, const affine_targets *targets, const affine_state *state, float *d,
                         float *dmin) {
    float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int j = 0; j < t->n_subs; j++) {
        float s = (float)state->s[j], m = (float)state->m[j];
        aa += s * s * state->sums[j].qq;
        ab += s * m * state->sums[j].q;
        bb += m * m * targets->sw[j];
        ax += s * state->sums[j].qx;
        bx += m * targets->sx[j];
    }
    float det = aa * bb - ab * ab;
    if (det > 1e-6f * (aa * bb)) {
        *d = (ax * bb - bx * ab) / det;
        *dmin = (ax * ab - bx * aa) / det;
    } else if (aa > 0) {
        *d = ax / aa;
    }
}

static void affine_descend(const exaone_encode_block *b, const affine_type *t, float d, float dmin,
                           const affine_targets *targets, affine_state *best) {
    for (int round = 0; round < 4; round++) {
        affine_state state = {.d = exaone_encode_half(b, d), .dmin = exaone_encode_half(b, dmin)};
        float stored = exaone_encode_unhalf(b, state.d), stored_min = exaone_encode_unhalf(b, state.dmin);
        for (int j = 0; j < t->n_subs; j++) {
            affine_settle(b, t, j, stored, stored_min, targets, &state);
        }
        if (!(state.e < best->e)) {
            return;
        }
        *best = state;
        affine_refit(t, targets, &state, &d, &dmin);
        if (!(d >= 0) || !(dmin >= 0)) {
            return;
        }
    }
}

static void affine_choose(const exaone_encode_block *b, const affine_type *t, const float *more, int n_more,
                          exaone_encode_super_scales *out) {
    affine_targets targets;
    float d_peak = 0, m_peak = 0;
    for (int j = 0; j < t->n_subs; j++) {
        const float *x = b->x + j * t->n, *w = b->w + j * t->n;
        exaone_encode_fit_affine(b, j * t->n, t->n, t->top, 1, &targets.d[j], &targets.m[j]);
        d_peak = targets.d[j] > d_peak ? targets.d[j] : d_peak;
        m_peak = targets.m[j] > m_peak ? targets.m[j] : m_peak;
        targets.sw[j] = targets.sx[j] = 0;
        for (int i = 0; i < t->n; i++) {
            targets.sw[j] += w[i];
            targets.sx[j] += w[i] * x[i];
        }
    }
    affine_state best = {.e = HUGE_VALF};
    for (int i = 0; i < n_more; i++) {
        for (int k = 0; k < n_more; k++) {
            affine_descend(b, t, d_peak / ((float)t->hi + more[i]), m_peak / ((float)t->hi + more[k]), &targets, &best);
        }
    }
    affine_state from = best;
    for (int steps = -2; (from.d < COARSE || from.dmin < COARSE) && steps <= 2; steps++) {
        float stored = exaone_encode_unhalf(b, from.dmin), d = neighbour(b, from.d, steps);
        affine_descend(b, t, d, stored, &targets, &best);
        affine_descend(b, t, exaone_encode_unhalf(b, from.d), neighbour(b, from.dmin, steps), &targets, &best);
        affine_descend(b, t, d, neighbour(b, from.dmin, steps), &targets, &best);
    }
    out->d = best.d;
    out->dmin = best.dmin;
    float d = exaone_encode_unhalf(b, best.d), dmin = exaone_encode_unhalf(b, best.dmin), q[32];
    for (int j = 0; j < t->n_subs; j++) {
        affine_sub(b, t, j, d * (float)best.s[j], dmin * (float)best.m[j], q);
        out->scale[j] = (int16_t)best.s[j];
        out->min[j] = (int16_t)best.m[j];
        for (int i = 0; i < t->n; i++) {
            out->q[j * t->n + i] = (int8_t)q[i];
        }
    }
}

void exaone_encode_super_choose(int dtype, const exaone_encode_block *b, const float *nearest,
                                exaone_encode_super_scales *out) {
    static const float more[] = {0, -1.2f};
    static const scale_type q3 = {16, 16, {-4, 3, NULL}, -32, 31, 0, 2};
    static const scale_type q6 = {16, 16, {-32, 31, NULL}, -128, 127, 1, 2};
    static const affine_type q2 = {16, 16, 3, 15};
    static const affine_type q4 = {8, 32, 15, 63};
    static const affine_type q5 = {8, 32, 31, 63};
    scale_type iq4 = {8, 32, {-127, 113, nearest}, -32, 31, 1, 2};
    switch (dtype) {
    case EXAONE_Q2_K:
        affine_choose(b, &q2, more, 2, out);
        break;
    case EXAONE_Q4_K:
        affine_choose(b, &q4, more, 1, out);
        break;
    case EXAONE_Q5_K:
        affine_choose(b, &q5, more, 1, out);
        break;
    case EXAONE_Q3_K:
        scale_choose(b, &q3, out);
        break;
    case EXAONE_Q6_K:
        scale_choose(b, &q6, out);
        break;
    default:
        scale_choose(b, &iq4, out);
        break;
    }
}
