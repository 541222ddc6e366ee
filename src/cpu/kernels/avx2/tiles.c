/* Products of tiles (kernels.h) with AVX2. Lanes are outputs: one instruction multiplies 4 columns of 8 weight rows by 4
 * activations, unsigned by signed bytes, and adds pairs in 16 bits. A pair of weights below 2^bits is at most
 * 2 * 127 * (2^bits - 1), so that 8, 4 or 2 pairs of 4, 5 or 6 bits can be added up before they become 32 bits wide. With 8
 * bits not even one fits: those weights are made signed by taking away 128, and their signs go to the activations, so that a
 * pair is at most 2 * 127 * 128. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include "cpu/kernels/avx2/quantize.h"
#include "cpu/kernels/avx2/tile_products.h"

/* ---- activations ---------------------------------------------------------------------------------------------------------
 */

static void panels_q8(exaone_q8_panel *out, size_t stride, const float *x, size_t n, size_t group, int offset) {
    for (size_t b = 0; b < n / 32; b++) {
        exaone_q8_panel *p = out + b / 8 * stride;
        size_t at = b % 8, first = group == 16 ? 2 * at : at;
        int32_t sum[2];
        p->scale[at] = exaone_quantize_32(p->q + 32 * at, sum, x + 32 * b);
        sum[0] += group == 16 ? 0 : sum[1];
        for (size_t i = 0; i < 32 / group; i++) {
            if (offset) {
                p->of.start[first + i] = EXAONE_FLOAT_BITS - offset * sum[i];
            } else {
                p->of.sum[first + i] = p->scale[at] * (float)sum[i];
            }
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------------------------
 */

/* The sum is wanted now: compilers would rather add at the end, when the products no longer fit into the registers. */
#define NOW(sum) __asm__("" : "+x"(sum))

/* Sums of N quads of R rows, in pairs of 16 bits. */
static inline __attribute__((always_inline)) void pairs_of_quads(__m256i pairs[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                                 const exaone_q8_tile *w, size_t quad, const size_t R,
                                                                 const size_t N) {
    EACH(i, N) {
        const __m256i *q = (const __m256i *)(const void *)w->q[quad + i];
        __m256i w0 = _mm256_load_si256(q), w1 = _mm256_load_si256(q + 1);
        EACH(r, R) {
            __m256i v = four_bytes(x[r].q + 4 * (quad + i));
            __m256i p0 = _mm256_maddubs_epi16(w0, v), p1 = _mm256_maddubs_epi16(w1, v);
            pairs[r][0] = i ? _mm256_add_epi16(pairs[r][0], p0) : p0;
            pairs[r][1] = i ? _mm256_add_epi16(pairs[r][1], p1) : p1;
            NOW(pairs[r][0]);
            NOW(pairs[r][1]);
        }
    }
}

/* Adds one quad of any 8 bits, taking 128 away from the weights. */
static inline __attribute__((always_inline)) void add_signed_quad(__m256i dot[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                                  const exaone_q8_tile *w, size_t quad, const size_t R) {
    const __m256i ones = _mm256_set1_epi16(1), flip = _mm256_set1_epi8(-128);
    const __m256i *q = (const __m256i *)(const void *)w->q[quad];
    __m256i q0 = _mm256_xor_si256(_mm256_load_si256(q), flip), q1 = _mm256_xor_si256(_mm256_load_si256(q + 1), flip);
    __m256i size_0 = _mm256_abs_epi8(q0), size_1 = _mm256_abs_epi8(q1);
    EACH(r, R) {
        __m256i v = four_bytes(x[r].q + 4 * quad);
        __m256i p0 = _mm256_maddubs_epi16(size_0, _mm256_sign_epi8(v, q0));
        __m256i p1 = _mm256_maddubs_epi16(size_1, _mm256_sign_epi8(v, q1));
        dot[r][0] = _mm256_add_epi32(dot[r][0], _mm256_madd_epi16(p0, ones));
        dot[r][1] = _mm256_add_epi32(dot[r][1], _mm256_madd_epi16(p1, ones));
        NOW(dot[r][0]);
        NOW(dot[r][1]);
    }
}

/* Where sums of weights less 128 begin: what they lack is (128 - offset) * (sum of the activations of group g). */
static inline int32_t start_of_signed(const exaone_q8_panel *x, size_t g, const size_t group, const int offset) {
    if (offset == 128) {
        return EXAONE_FLOAT_BITS;
    }
    int32_t sum = 0;
    for (size_t i = 0; i < group; i++) {
        sum += x->q[g * group + i];
    }
    return 128 * sum + (offset ? x->of.start[g] : EXAONE_FLOAT_BITS);
}

static inline __attribute__((always_inline)) void dots_of_group(__m256i dot[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                                const exaone_q8_tile *w, size_t g, const size_t R,
                                                                const size_t group, const int offset, const int bits) {
    size_t quads = group / 4, quad = g * quads;
    if (bits > 6) {
        EACH(r, R) {
            dot[r][0] = dot[r][1] = _mm256_set1_epi32(start_of_signed(x + r, g, group, offset));
        }
        EACH(i, quads) {
            add_signed_quad(dot, x, w, quad + i, R);
        }
        return;
    }
    const size_t fitting = 128U >> bits, together = fitting < quads ? fitting : quads;
    const size_t parts = quads / together; /* not in the loop's condition: a sanitizer checks divisions */
    EACH(part, parts) {
        __m256i pairs[ROWS_AT_ONCE][2];
        pairs_of_quads(pairs, x, w, quad + part * together, R, together);
        EACH(r, R) EACH(v, 2) {
            __m256i sum = _mm256_madd_epi16(pairs[r][v], _mm256_set1_epi16(1));
            if (part > 0) {
                dot[r][v] = _mm256_add_epi32(dot[r][v], sum);
            } else {
                dot[r][v] = _mm256_add_epi32(sum, _mm256_set1_epi32(offset ? x[r].of.start[g] : EXAONE_FLOAT_BITS));
            }
            NOW(dot[r][v]);
        }
    }
}

static void dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group,
                      int offset, int bits, const exaone_q8_fetch *next) {
    /* the last argument: as many rows at once as leave the sums in registers */
#define DOT(group, offset, bits, most) dot_all(acc, x, n_rows, w, n, group, offset, bits, most, next)
    if (group == 32 && bits <= 4) {
        if (offset) {
            DOT(32, 1, 4, 6);
        } else {
            DOT(32, 0, 4, 6);
        }
    } else if (group == 32 && bits == 5) {
        if (offset) {
            DOT(32, 1, 5, 3);
        } else {
            DOT(32, 0, 5, 3);
        }
    } else if (group == 32 && offset == 128) {
        DOT(32, 128, 8, 5);
    } else if (group == 16 && bits <= 4) {
        if (offset) {
            DOT(16, 1, 4, 4);
        } else {
            DOT(16, 0, 4, 4);
        }
    } else if (group == 16 && bits <= 6 && offset) {
        DOT(16, 1, 6, 3);
    } else { /* no type of this level */
        DOT(group, offset, 8, 4);
    }
#undef DOT
}

void exaone_kernels_avx2_tiles(exaone_kernels *k) {
    k->panels_q8 = panels_q8;
    k->dot_tiles = dot_tiles;
    k->tile_start = EXAONE_FLOAT_BITS;
    exaone_kernels_interleaved_tiles(k);
}
#endif
