/* Products of tiles (kernels.h) with AVX-VNNI, the 256-bit form of vpdpbusd that processors without AVX-512 have: 4 columns
 * of 8 weight rows by 4 activations in one instruction, at most 255 * 127 * 32 per group: exact in 32 bits. */
#include "cpu/kernels/avx2/tile_products.h"

#if defined(__x86_64__)

static inline __attribute__((always_inline)) void dots_of_group(__m256i dot[ROWS_AT_ONCE][2], const exaone_q8_panel *x,
                                                                const exaone_q8_tile *w, size_t g, const size_t R,
                                                                const size_t group, const int offset, const int bits) {
    (void)bits;
    EACH(r, R) {
        dot[r][0] = dot[r][1] = _mm256_set1_epi32(offset ? x[r].of.start[g] : EXAONE_FLOAT_BITS);
    }
    EACH(i, group / 4) {
        size_t quad = g * (group / 4) + i;
        const __m256i *q = (const __m256i *)(const void *)w->q[quad];
        __m256i w0 = _mm256_load_si256(q), w1 = _mm256_load_si256(q + 1);
        EACH(r, R) {
            __m256i v = four_bytes(x[r].q + 4 * quad);
            dot[r][0] = _mm256_dpbusd_avx_epi32(dot[r][0], w0, v);
            dot[r][1] = _mm256_dpbusd_avx_epi32(dot[r][1], w1, v);
        }
    }
}

static void dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group,
                      int offset, int bits, const exaone_q8_fetch *next) {
    (void)bits;
#define DOT(group, offset) dot_all(acc, x, n_rows, w, n, group, offset, 8, ROWS_AT_ONCE, next)
    if (group == 32 && offset) {
        DOT(32, 1);
    } else if (group == 32) {
        DOT(32, 0);
    } else if (offset) {
        DOT(16, 1);
    } else {
        DOT(16, 0);
    }
#undef DOT
}

void exaone_kernels_avxvnni(exaone_kernels *k) {
    k->dot_tiles = dot_tiles;
}
#endif
