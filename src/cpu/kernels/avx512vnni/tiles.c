/* Products of tiles (kernels.h) with AVX-512 VNNI. Lanes are outputs: one instruction multiplies 4 columns of 16 weight rows
 * by 4 activations, unsigned by signed bytes (at most 255 * 127 * 32 per group: exact in 32 bits). Sums of a group start at
 * -offset * (sum of the activations). The sum of an output is one chain over rising groups of 32,
 *
 *   t = scale * dot (group 16: then t = fma(scale', dot', t));  acc = fma(t, x_scale, acc);  acc = fma(-min, x_sum, acc)
 *
 * the same whatever the number of rows of the call. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx2/sums.h"

/* ---- activations ---------------------------------------------------------------------------------------------------------
 */

static void panels_q8(exaone_q8_panel *out, size_t stride, const float *x, size_t n, size_t group, int offset) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t g = 0; g < n / 32; g++) {
        exaone_q8_panel *p = out + g / 8 * stride;
        size_t at = g % 8;
        __m512 a = _mm512_loadu_ps(x + 32 * g), b = _mm512_loadu_ps(x + 32 * g + 16);
        __m512i top = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(a), magnitude),
                                       _mm512_and_si512(_mm512_castps_si512(b), magnitude));
        int32_t bits = _mm512_reduce_max_epi32(top); /* magnitudes order as integers; from 0x7f800000 on: infinite or NaN */
        int finite = bits < 0x7f800000;
        float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
        float inverse = finite && largest >= 0x1p-100f ? 127.0f / largest : 0;
        float scale = !finite ? NAN : inverse > 0 ? largest / 127.0f : 0;
        __m512 by = _mm512_set1_ps(inverse);
        __mmask16 keep = finite ? 0xffff : 0;
        __m512i qa = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(a, by));
        __m512i qb = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(b, by));
        _mm_store_si128((__m128i *)(void *)(p->q + 32 * at), _mm512_cvtepi32_epi8(qa));
        _mm_store_si128((__m128i *)(void *)(p->q + 32 * at + 16), _mm512_cvtepi32_epi8(qb));
        p->scale[at] = scale;
        int sum[2] = {_mm512_reduce_add_epi32(qa), _mm512_reduce_add_epi32(qb)};
        size_t first = group == 16 ? 2 * at : at;
        sum[0] += group == 16 ? 0 : sum[1];
        for (size_t i = 0; i < 32 / group; i++) {
            if (offset) {
                p->of.start[first + i] = EXAONE_FLOAT_BITS - offset * sum[i];
            } else {
                p->of.sum[first + i] = scale * (float)sum[i];
            }
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------------------------
 */

static inline __attribute__((always_inline)) __m512i four_bytes(const int8_t *q) {
    int32_t quad;
    memcpy(&quad, q, sizeof quad);
    return _mm512_set1_epi32(quad);
}

/* Later weights that are being asked for: spread over a product, they come while it computes. */
typedef struct {
    const uint8_t *row, *end;
    size_t stride, bytes, left, at_a_time;
} asking;

/* `steps`: how often it will be asked. */
static inline asking ask_for(const exaone_q8_fetch *f, size_t steps) {
    return f ? (asking){f->rows, f->end, f->stride, f->bytes, 32, (32 + steps - 1) / steps} : (asking){.left = 0};
}

/* gcc would take it for a function without effect if it were not inlined. */
static inline __attribute__((always_inline)) void ask(asking *a) {
    for (size_t r = 0; r < a->at_a_time && a->left > 0 && a->row < a->end; r++, a->left--, a->row += a->stride) {
        for (size_t i = 0; i < a->bytes; i += 64) {
            _mm_prefetch((const char *)a->row + i, _MM_HINT_T1);
        }
    }
}

/* Group g of R rows, a constant after inlining like group, offset (0 or not) and `add`: t = scale * dot (+ t). */
static inline __attribute__((always_inline)) void dot_group(__m512 t[8][2], const exaone_q8_panel *x,
                                                            const exaone_q8_tile *w, size_t g, const size_t R,
                                                            const size_t group, const int offset, const int add) {
    __m512i dot[8][2];
    EACH(r, R) {
        dot[r][0] = dot[r][1] = _mm512_set1_epi32(offset ? x[r].of.start[g] : EXAONE_FLOAT_BITS);
    }
    EACH(i, group / 4) {
        size_t quad = g * (group / 4) + i;
        __m512i w0 = _mm512_load_si512(w[0].q[quad]), w1 = _mm512_load_si512(w[1].q[quad]);
        EACH(r, R) {
            __m512i v = four_bytes(x[r].q + 4 * quad);
            dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], w0, v);
            dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], w1, v);
        }
    }
    EACH(o, 2) {
        __m512 scale = _mm512_load_ps(w[o].scale[g]);
        EACH(r, R) {
            t[r][o] = exaone_scaled_sum(dot[r][o], scale, t[r][o], add);
        }
    }
}

static inline __attribute__((always_inline)) void take_min(__m512 total[8][2], const exaone_q8_panel *x,
                                                           const exaone_q8_tile *w, size_t g, const size_t R) {
    EACH(r, R) EACH(o, 2) {
        total[r][o] = _mm512_fnmadd_ps(_mm512_load_ps(w[o].min[g]), _mm512_set1_ps(x[r].of.sum[g]), total[r][o]);
    }
}

/* R rows: two accumulators of each kind per row are registers. */
static inline __attribute__((always_inline)) void dot_rows(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                           size_t n, const size_t R, const size_t group, const int offset,
                                                           asking *later) {
    __m512 total[8][2], t[8][2];
    EACH(r, R) {
        total[r][0] = _mm512_loadu_ps(acc + 32 * r);
        total[r][1] = _mm512_loadu_ps(acc + 32 * r + 16);
    }
    for (size_t b = 0; b < n / 32; b++) {
        size_t g = b * (32 / group);
        ask(later);
        if (b < sizeof *x / 64) {
            EACH(r, R) { /* the next rows */
                _mm_prefetch((const char *)(x + R + r) + 64 * b, _MM_HINT_T0);
            }
        }
        dot_group(t, x, w, g, R, group, offset, 0);
        if (group == 16) {
            dot_group(t, x, w, g + 1, R, group, offset, 1);
        }
        EACH(r, R) EACH(o, 2) {
            total[r][o] = _mm512_fmadd_ps(t[r][o], _mm512_set1_ps(x[r].scale[b]), total[r][o]);
        }
        if (!offset) {
            take_min(total, x, w, g, R);
        }
        if (!offset && group == 16) {
            take_min(total, x, w, g + 1, R);
        }
    }
    EACH(r, R) {
        _mm512_storeu_ps(acc + 32 * r, total[r][0]);
        _mm512_storeu_ps(acc + 32 * r + 16, total[r][1]);
    }
}

/* The next number of rows, of about equal parts of at most `most`. */
static inline size_t part_of(size_t n, size_t most) {
    size_t parts = (n + most - 1) / most;
    return (n + parts - 1) / parts;
}

#define DOT(name, group, offset, most)                                                                       \
    static void name(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, \
                     const exaone_q8_fetch *next) {                                                          \
        asking later = ask_for(next, (n_rows + most - 1) / most * (n / 32));                                 \
        for (size_t r = 0, rows; r < n_rows; r += rows) {                                                    \
            rows = part_of(n_rows - r, most);                                                                \
            switch (rows) {                                                                                  \
                DOT_CASE(1, group, offset)                                                                   \
                DOT_CASE(2, group, offset)                                                                   \
                DOT_CASE(3, group, offset)                                                                   \
                DOT_CASE(4, group, offset)                                                                   \
                DOT_CASE(5, group, offset)                                                                   \
                DOT_CASE(6, group, offset)                                                                   \
            }                                                                                                \
        }                                                                                                    \
    }
#define DOT_CASE(R, group, offset)                                     \
    case R:                                                            \
        dot_rows(acc + 32 * r, x + r, w, n, R, group, offset, &later); \
        break;
DOT(dot_32_offset, 32, 1, 6)
DOT(dot_32_min, 32, 0, 6)
DOT(dot_16_offset, 16, 1, 4)
DOT(dot_16_min, 16, 0, 4)

void exaone_avx512vnni_dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n,
                                 size_t group, int offset, int bits, const exaone_q8_fetch *next) {
    (void)bits;
    if (group == 32) {
        (offset ? dot_32_offset : dot_32_min)(acc, x, n_rows, w, n, next);
    } else {
        (offset ? dot_16_offset : dot_16_min)(acc, x, n_rows, w, n, next);
    }
}

void exaone_kernels_avx512vnni(exaone_kernels *k) {
    k->panels_q8 = panels_q8;
    k->dot_tiles = exaone_avx512vnni_dot_tiles;
    k->tile_start = EXAONE_FLOAT_BITS;
    exaone_kernels_interleaved_tiles(k);
}
#endif
