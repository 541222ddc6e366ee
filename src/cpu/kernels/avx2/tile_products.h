/* Products of tiles (kernels.h) in registers of 8 outputs. The file that includes this defines how the integer sums of a
 * group are taken (dots_of_group). What follows them is the chain of f32 steps of avx512vnni/tiles.c, so that the bits of an
 * output are those of that level too. */
#ifndef EXAONE_CPU_KERNELS_AVX2_TILE_PRODUCTS_H
#define EXAONE_CPU_KERNELS_AVX2_TILE_PRODUCTS_H

#include "cpu/kernels/kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx2/sums.h"

enum { ROWS_AT_ONCE = 6 };

/* dot[r] = EXAONE_FLOAT_BITS + the integer sums of group g of row r < R with 16 outputs. R, group, offset and bits are
 * constants after inlining.
 */
static inline __attribute__((always_inline)) void dots_of_group(__m256i dot[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                                const exaone_q8_tile *w, size_t g, const size_t R,
                                                                const size_t group, const int offset, const int bits);

static inline __attribute__((always_inline)) __m256i four_bytes(const int8_t *q) {
    int32_t quad;
    memcpy(&quad, q, sizeof quad);
    return _mm256_set1_epi32(quad);
}

/* Asks for four rows of later weights: spread over a product, they come while it computes. Not inlined, gcc would take it
 * for a function without effect. */
static inline __attribute__((always_inline)) void fetch_rows(const exaone_q8_fetch *f, size_t first) {
    const uint8_t *p = f->rows + first * f->stride;
    for (size_t r = 0; r < 4 && p < f->end; r++, p += f->stride) {
        for (size_t i = 0; i < f->bytes; i += 64) {
            _mm_prefetch((const char *)p + i, _MM_HINT_T1);
        }
    }
}

/* Group g of R rows: t = scale * dot (+ t). */
static inline __attribute__((always_inline)) void scaled_dots(__m256 t[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                              const exaone_q8_tile *w, size_t g, const size_t R,
                                                              const size_t group, const int offset, const int bits,
                                                              const int add) {
    __m256i dot[ROWS_AT_ONCE][2];
    dots_of_group(dot, x, w, g, R, group, offset, bits);
    EACH(v, 2) {
        __m256 scale = _mm256_load_ps(w->scale[g] + 8 * v);
        EACH(r, R) {
            t[r][v] = exaone_scaled_sum_8(dot[r][v], scale, t[r][v], add);
        }
    }
}

static inline __attribute__((always_inline)) __m256 take_min(__m256 total, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                             size_t g, size_t v) {
    return _mm256_fnmadd_ps(_mm256_load_ps(w->min[g] + 8 * v), _mm256_broadcast_ss(&x->of.sum[g]), total);
}

/* R rows by one tile; sums stay in memory, 32 numbers from row to row. */
static inline __attribute__((always_inline)) void dot_rows(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                           size_t n, const size_t R, const size_t group, const int offset,
                                                           const int bits, const exaone_q8_fetch *next) {
    for (size_t b = 0; b < n / 32; b++) {
        size_t g = b * (32 / group);
        __m256 t[ROWS_AT_ONCE][2];
        if (next) {
            fetch_rows(next, 4 * b);
        }
        scaled_dots(t, x, w, g, R, group, offset, bits, 0);
        if (group == 16) {
            scaled_dots(t, x, w, g + 1, R, group, offset, bits, 1);
        }
        EACH(r, R) EACH(v, 2) {
            float *to = acc + 32 * r + 8 * v;
            __m256 total = _mm256_fmadd_ps(t[r][v], _mm256_broadcast_ss(&x[r].scale[b]), _mm256_loadu_ps(to));
            if (!offset) {
                total = take_min(total, x + r, w, g, v);
            }
            if (!offset && group == 16) {
                total = take_min(total, x + r, w, g + 1, v);
            }
            _mm256_storeu_ps(to, total);
        }
    }
}

/* The next number of rows, of about equal parts of at most `most`. */
static inline size_t part_of(size_t n, size_t most) {
    size_t parts = (n + most - 1) / most;
    return (n + parts - 1) / parts;
}

#define DOT_CASE(R)                                                                       \
    case R:                                                                               \
        if (R <= most) {                                                                  \
            dot_rows(acc + 32 * r, x + r, w, n, R, group, offset, bits, r ? NULL : next); \
        }                                                                                 \
        break;

/* Any number of rows, at most `most` at once; everything but n_rows and n is a constant after inlining. A tile stays in the
 * first cache until all rows have met it. */
static inline __attribute__((always_inline)) void dot_all(float *acc, const exaone_q8_panel *x, size_t n_rows,
                                                          const exaone_q8_tile *w, size_t n, const size_t group,
                                                          const int offset, const int bits, const size_t most,
                                                          const exaone_q8_fetch *next) {
    for (size_t tile = 0; tile < 2; tile++, acc += 16, w++, next = NULL) {
        for (size_t r = 0, rows; r < n_rows; r += rows) {
            rows = part_of(n_rows - r, most);
            switch (rows) {
                DOT_CASE(1)
                DOT_CASE(2)
                DOT_CASE(3)
                DOT_CASE(4)
                DOT_CASE(5)
                DOT_CASE(6)
            }
        }
    }
}

#endif
#endif
