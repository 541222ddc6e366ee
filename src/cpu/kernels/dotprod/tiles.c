/* Products of tiles (kernels.h) with the dot product instructions: 4 columns of 4 weight rows by 4 activations in one step.
 * Weights are made signed by taking away 128, which the integer sum gets back. */
#include "cpu/kernels/neon/tiles.h"

#if defined(__aarch64__)

static void panels_q8(exaone_q8_panel *out, size_t stride, const float *x, size_t n, size_t group, int offset) {
    for (size_t b = 0; b < n / 32; b++) {
        exaone_q8_panel *p = out + b / 8 * stride;
        size_t at = b % 8, first = group == 16 ? 2 * at : at;
        int32_t sum[2];
        p->scale[at] = exaone_quantize_32(p->q + 32 * at, sum, x + 32 * b);
        sum[0] += group == 16 ? 0 : sum[1];
        for (size_t i = 0; i < 32 / group; i++) {
            if (offset) {
                p->of.start[first + i] = -offset * sum[i];
            } else {
                p->of.sum[first + i] = p->scale[at] * (float)sum[i];
            }
        }
    }
}

/* out[i] lane r = bytes 4i .. 4i + 3 of row r of four. */
static inline void quads_of_4(uint8x16_t out[4], const uint8_t *rows, size_t stride) {
    uint32x4_t r[4];
    EACH(i, 4) {
        r[i] = vreinterpretq_u32_u8(vld1q_u8(rows + i * stride));
    }
    uint64x2_t even[2], odd[2];
    EACH(i, 2) {
        even[i] = vreinterpretq_u64_u32(vtrn1q_u32(r[2 * i], r[2 * i + 1]));
        odd[i] = vreinterpretq_u64_u32(vtrn2q_u32(r[2 * i], r[2 * i + 1]));
    }
    out[0] = vreinterpretq_u8_u64(vzip1q_u64(even[0], even[1]));
    out[1] = vreinterpretq_u8_u64(vzip1q_u64(odd[0], odd[1]));
    out[2] = vreinterpretq_u8_u64(vzip2q_u64(even[0], even[1]));
    out[3] = vreinterpretq_u8_u64(vzip2q_u64(odd[0], odd[1]));
}

static void interleave(exaone_q8_tile *to, const exaone_q8_weights *rows, size_t n) {
    const uint8x16_t flip = vdupq_n_u8(rows->min ? 0 : 128); /* q + 128 */
    for (size_t c = 0; c < n; c += 16) {
        for (size_t o = 0; o < EXAONE_TILE_OUTPUTS; o += 4) {
            uint8x16_t q[4];
            quads_of_4(q, (const uint8_t *)rows->q + o * EXAONE_TILE_COLUMNS + c, EXAONE_TILE_COLUMNS);
            EACH(i, 4) {
                vst1q_u8(to->q[c / 4 + i] + 4 * o, veorq_u8(q[i], flip));
            }
        }
    }
    for (size_t g = 0; g < n / rows->group; g++) {
        for (size_t o = 0; o < EXAONE_TILE_OUTPUTS; o++) {
            to->scale[g][o] = rows->scale[16 * o + g];
            to->min[g][o] = rows->min ? rows->min[16 * o + g] : 0;
        }
    }
}

/* Group g of R rows by one tile; R, group, whether offset is 0 and whether it is 128 are constants after inlining. */
static inline __attribute__((always_inline)) void dot_group(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                            size_t g, const size_t R, const size_t group, const int offset) {
    const int8x16_t ones = vdupq_n_s8(1);
    const uint8x16_t flip = vdupq_n_u8(128);
    int32x4_t dot[4][TILE_VECTORS], back[4];
    EACH(r, R) {
        back[r] = vdupq_n_s32(0);
        EACH(v, TILE_VECTORS) {
            dot[r][v] = vdupq_n_s32(0);
        }
    }
    for (size_t part = 0; part < group / 16; part++) {
        size_t quad = g * (group / 4) + 4 * part;
        int8x16_t a[4];
        EACH(r, R) {
            a[r] = vld1q_s8(x[r].q + 4 * quad);
            if (offset != 128) {
                back[r] = vdotq_s32(back[r], a[r], ones);
            }
        }
#define QUAD(i)                                                                                 \
    EACH(v, TILE_VECTORS) {                                                                     \
        int8x16_t q = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(w->q[quad + (i)] + 16 * v), flip)); \
        EACH(r, R) {                                                                            \
            dot[r][v] = vdotq_laneq_s32(dot[r][v], q, a[r], i);                                 \
        }                                                                                       \
    }
        QUAD(0)
        QUAD(1)
        QUAD(2)
        QUAD(3)
#undef QUAD
    }
    EACH(r, R) EACH(v, TILE_VECTORS) {
        if (offset != 128) {
            dot[r][v] = vaddq_s32(dot[r][v], vdupq_n_s32((128 - offset) * vaddvq_s32(back[r])));
        }
        take_group(acc + 32 * r, x + r, w, v, g, dot[r][v], group, offset);
    }
}

/* R rows, which two tiles pass. */
static inline __attribute__((always_inline)) void dot_rows(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                           size_t n, const size_t R, const size_t group, const int offset,
                                                           const exaone_q8_fetch *next) {
    for (size_t tile = 0; tile < 2; tile++) {
        for (size_t g = 0; g < n / group; g++) {
            if (next && tile == 0 && g * group % 32 == 0) {
                fetch_rows(next, g * group / 8);
            }
            dot_group(acc + 16 * tile, x, w + tile, g, R, group, offset);
        }
    }
}

#define DOT_CASE(count)                                                  \
    case count:                                                          \
        dot_rows(acc + 32 * r, x + r, w, n, count, group, offset, next); \
        break;

static inline __attribute__((always_inline)) void dot_all(float *acc, const exaone_q8_panel *x, size_t n_rows,
                                                          const exaone_q8_tile *w, size_t n, const size_t group,
                                                          const int offset, const exaone_q8_fetch *next) {
    for (size_t r = 0, rows; r < n_rows; r += rows, next = NULL) {
        rows = n_rows - r < 4 ? n_rows - r : 4;
        switch (rows) {
            DOT_CASE(1)
            DOT_CASE(2)
            DOT_CASE(3)
            DOT_CASE(4)
        }
    }
}

static void dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group,
                      int offset, int bits, const exaone_q8_fetch *next) {
    (void)bits;
    if (group == 32) {
        if (offset == 128) {
            dot_all(acc, x, n_rows, w, n, 32, 128, next);
        } else {
            dot_all(acc, x, n_rows, w, n, 32, offset, next);
        }
    } else if (offset == 128) {
        dot_all(acc, x, n_rows, w, n, 16, 128, next);
    } else {
        dot_all(acc, x, n_rows, w, n, 16, offset, next);
    }
}

void exaone_kernels_dotprod_tiles(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_TILES(K)
#undef K
    exaone_kernels_interleaved_tiles(k);
}
#endif
