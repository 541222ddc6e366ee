/* Products of one row of activations with 16 rows of a block type, whose weights are taken apart in registers and never
 * stored: the integer sums and the f32 chain of dot_tiles (kernels.h), so the same bits, with a part of its loads and
 * stores.
 *
 * The file that includes this has included words.h of its level before and has defined WITH_8_BITS (whether types of 8 bits
 * are wanted) and
 *
 *   words add_quad(words sum, words q, words x, size_t i, int bits)
 *
 * which adds the products of quad i of four (0 first, a constant) to the sum of 16 columns; what it returns for the last is
 * 32-bit sums. */
#ifndef EXAONE_CPU_KERNELS_ONE_ROW_H
#define EXAONE_CPU_KERNELS_ONE_ROW_H

#include <string.h>

#include "cpu/kernels/kernels.h"

#if defined(LANES) && defined(WITH_8_BITS)
#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx2/sums.h"

/* Sums of 16 columns, and scales and mins of groups, of LANES rows. */
typedef struct {
    const exaone_q8_panel *x;
    words sum[EXAONE_TILE_COLUMNS / 16];
    floats scale[EXAONE_TILE_COLUMNS / 16], min[EXAONE_TILE_COLUMNS / 16];
} place;

static inline __attribute__((always_inline)) void put_16(place *to, size_t bits, size_t k, const words q[4]) {
    words sum = {0};
    EACH(i, 4) {
        uint32_t x;
        memcpy(&x, to->x->q + 16 * k + 4 * i, sizeof x);
        sum = add_quad(sum, q[i], (words){0} + x, i, (int)bits);
    }
    to->sum[k] = sum;
}

static inline __attribute__((always_inline)) void put_scale(place *to, size_t bits, size_t g, floats scale) {
    (void)bits;
    to->scale[g] = scale;
}

static inline __attribute__((always_inline)) void put_min(place *to, size_t bits, size_t g, floats min) {
    (void)bits;
    to->min[g] = min;
}

#include "cpu/kernels/tile_makers.h"

/* t = scale * sum (+ t) of group g. */
static inline __attribute__((always_inline)) floats scaled_group(const place *p, size_t g, floats t, const size_t group,
                                                                 const int offset, const int add) {
    words sum = group == 16 ? p->sum[g] : p->sum[2 * g] + p->sum[2 * g + 1];
    sum += (uint32_t)(offset ? p->x->of.start[g] : EXAONE_FLOAT_BITS);
    floats whole = (floats)sum, surplus = (floats){0} + EXAONE_FLOAT_SURPLUS, scale = p->scale[g];
    return add ? multiply_add(whole - surplus, scale, t) : multiply_add(whole, scale, -(scale * surplus));
}

static inline __attribute__((always_inline)) void add_groups(float *acc, const place *p, size_t n, const size_t group,
                                                             const int offset) {
    floats total;
    memcpy(&total, acc, sizeof total);
    for (size_t b = 0; b < n / 32; b++) {
        size_t g = b * (32 / group);
        floats t = scaled_group(p, g, total, group, offset, 0);
        if (group == 16) {
            t = scaled_group(p, g + 1, t, group, offset, 1);
        }
        total = multiply_add(t, (floats){0} + p->x->scale[b], total);
        if (!offset) {
            total = multiply_add(-p->min[g], (floats){0} + p->x->of.sum[g], total);
        }
        if (!offset && group == 16) {
            total = multiply_add(-p->min[g + 1], (floats){0} + p->x->of.sum[g + 1], total);
        }
    }
    memcpy(acc, &total, sizeof total);
}

/* Asks for later weights of LANES rows. Not inlined, gcc would take it for a function without effect. */
static inline __attribute__((always_inline)) void ask_for(const exaone_q8_fetch *later, size_t first) {
    const uint8_t *row = later->rows + first * later->stride;
    for (size_t r = 0; r < LANES && row < later->end; r++, row += later->stride) {
        for (size_t i = 0; i < later->bytes; i += 64) {
            _mm_prefetch((const char *)row + i, _MM_HINT_T1);
        }
    }
}

#define ONE_ROW(type, group, offset, bits)                                                                         \
    static void one_row_##type(float *acc, const exaone_q8_panel *x, const uint8_t *rows, size_t stride, size_t n, \
                               const exaone_q8_fetch *next) {                                                      \
        for (size_t first = 0; first < EXAONE_TILE_OUTPUTS; first += LANES) {                                      \
            place p;                                                                                               \
            p.x = x;                                                                                               \
            ask_for(next, first);                                                                                  \
            make_##type(&p, bits, rows + first * stride, stride, n);                                               \
            add_groups(acc + first, &p, n, group, offset);                                                         \
        }                                                                                                          \
    }
ONE_ROW(q4_0, 32, 1, 4)
ONE_ROW(q4_1, 32, 0, 4)
ONE_ROW(q5_0, 32, 1, 5)
ONE_ROW(q5_1, 32, 0, 5)
ONE_ROW(mxfp4, 32, 1, 5)
ONE_ROW(q2_k, 16, 0, 4)
ONE_ROW(q3_k, 16, 1, 4)
ONE_ROW(q4_k, 32, 0, 4)
ONE_ROW(q5_k, 32, 0, 5)
ONE_ROW(q6_k, 16, 1, 6)
#if WITH_8_BITS
ONE_ROW(q8_0, 32, 1, 8)
ONE_ROW(iq4_nl, 32, 1, 8)
ONE_ROW(iq4_xs, 32, 1, 8)
#endif
#undef ONE_ROW

static void set_one_row(exaone_kernels *k) {
    k->one_row[EXAONE_Q4_0] = one_row_q4_0;
    k->one_row[EXAONE_Q4_1] = one_row_q4_1;
    k->one_row[EXAONE_Q5_0] = one_row_q5_0;
    k->one_row[EXAONE_Q5_1] = one_row_q5_1;
    k->one_row[EXAONE_MXFP4] = one_row_mxfp4;
    k->one_row[EXAONE_Q2_K] = one_row_q2_k;
    k->one_row[EXAONE_Q3_K] = one_row_q3_k;
    k->one_row[EXAONE_Q4_K] = one_row_q4_k;
    k->one_row[EXAONE_Q5_K] = one_row_q5_k;
    k->one_row[EXAONE_Q6_K] = one_row_q6_k;
#if WITH_8_BITS
    k->one_row[EXAONE_Q8_0] = one_row_q8_0;
    k->one_row[EXAONE_IQ4_NL] = one_row_iq4_nl;
    k->one_row[EXAONE_IQ4_XS] = one_row_iq4_xs;
#endif
}

#endif
#endif
