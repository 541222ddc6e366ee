/* Products of tiles (kernels.h) for processors with the 8-bit matrix instructions (FEAT_I8MM), unsigned by signed bytes:
 * 8 columns of two weight rows by two rows of activations in one step; a row without another: 4 columns of four weight rows.
 * Integer sums are exact, so both give a row the same bits. */
#include "cpu/kernels/neon/tiles.h"

#if defined(__aarch64__)

static inline int32x4_t start_of(const exaone_q8_panel *x, size_t g, int offset) {
    return vdupq_n_s32(offset ? x->of.start[g] : 0);
}

/* Group g of one row by one tile; group and offset (0 or not) are constants after inlining. */
static inline __attribute__((always_inline)) void one_row(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                          size_t g, const size_t group, const int offset) {
    int32x4_t dot[TILE_VECTORS];
    EACH(v, TILE_VECTORS) {
        dot[v] = start_of(x, g, offset);
    }
    for (size_t part = 0; part < group / 16; part++) {
        size_t quad = g * (group / 4) + 4 * part;
        int8x16_t a = vld1q_s8(x->q + 4 * quad);
        EACH(v, TILE_VECTORS) {
            dot[v] = vusdotq_laneq_s32(dot[v], vld1q_u8(w->q[quad] + 16 * v), a, 0);
            dot[v] = vusdotq_laneq_s32(dot[v], vld1q_u8(w->q[quad + 1] + 16 * v), a, 1);
            dot[v] = vusdotq_laneq_s32(dot[v], vld1q_u8(w->q[quad + 2] + 16 * v), a, 2);
            dot[v] = vusdotq_laneq_s32(dot[v], vld1q_u8(w->q[quad + 3] + 16 * v), a, 3);
        }
    }
    EACH(v, TILE_VECTORS) {
        take_group(acc, x, w, v, g, dot[v], group, offset);
    }
}

static inline uint8x16_t outputs(uint8x16_t a, uint8x16_t b, int high) {
    uint32x4_t x = vreinterpretq_u32_u8(a), y = vreinterpretq_u32_u8(b);
    return vreinterpretq_u8_u32(high ? vzip2q_u32(x, y) : vzip1q_u32(x, y));
}

/* Group g of P pairs of rows by one tile. dot[p][k]: outputs 2k and 2k + 1, of each the first and the second row. */
static inline __attribute__((always_inline)) void row_pairs(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                            size_t g, const size_t P, const size_t group, const int offset) {
    int32x4_t dot[2][2 * TILE_VECTORS];
    EACH(p, P) {
        int32x4_t start = vzip1q_s32(start_of(x + 2 * p, g, offset), start_of(x + 2 * p + 1, g, offset));
        EACH(k, 2 * TILE_VECTORS) {
            dot[p][k] = start;
        }
    }
    for (size_t i = 0; i < group / 8; i++) {
        size_t quad = g * (group / 4) + 2 * i;
        int8x16_t a[2];
        EACH(p, P) {
            a[p] = vcombine_s8(vld1_s8(x[2 * p].q + 4 * quad), vld1_s8(x[2 * p + 1].q + 4 * quad));
        }
        EACH(v, TILE_VECTORS) {
            uint8x16_t first = vld1q_u8(w->q[quad] + 16 * v), second = vld1q_u8(w->q[quad + 1] + 16 * v);
            uint8x16_t low = outputs(first, second, 0), high = outputs(first, second, 1);
            EACH(p, P) {
                dot[p][2 * v] = vusmmlaq_s32(dot[p][2 * v], low, a[p]);
                dot[p][2 * v + 1] = vusmmlaq_s32(dot[p][2 * v + 1], high, a[p]);
            }
        }
    }
    EACH(p, P) EACH(v, TILE_VECTORS) {
        int32x4_t low = dot[p][2 * v], high = dot[p][2 * v + 1];
        take_group(acc + 64 * p, x + 2 * p, w, v, g, vuzp1q_s32(low, high), group, offset);
        take_group(acc + 64 * p + 32, x + 2 * p + 1, w, v, g, vuzp2q_s32(low, high), group, offset);
    }
}

/* R rows, one or an even number, which two tiles pass. */
static inline __attribute__((always_inline)) void dot_rows(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                           size_t n, const size_t R, const size_t group, const int offset,
                                                           const exaone_q8_fetch *next) {
    for (size_t tile = 0; tile < 2; tile++) {
        for (size_t g = 0; g < n / group; g++) {
            if (next && tile == 0 && g * group % 32 == 0) {
                fetch_rows(next, g * group / 8);
            }
            if (R == 1) {
                one_row(acc + 16 * tile, x, w + tile, g, group, offset);
            } else {
                row_pairs(acc + 16 * tile, x, w + tile, g, R / 2, group, offset);
            }
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
        rows = n_rows - r >= 4 ? 4 : n_rows - r == 1 ? 1 : 2;
        switch (rows) {
            DOT_CASE(1)
            DOT_CASE(2)
            DOT_CASE(4)
        }
    }
}

static void dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group,
                      int offset, int bits, const exaone_q8_fetch *next) {
    (void)bits;
    if (group == 32) {
        if (offset) {
            dot_all(acc, x, n_rows, w, n, 32, 1, next);
        } else {
            dot_all(acc, x, n_rows, w, n, 32, 0, next);
        }
    } else if (offset) {
        dot_all(acc, x, n_rows, w, n, 16, 1, next);
    } else {
        dot_all(acc, x, n_rows, w, n, 16, 0, next);
    }
}

void exaone_kernels_i8mm(exaone_kernels *k) {
    k->dot_tiles = dot_tiles;
}
#endif
