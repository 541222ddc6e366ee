/* Tiles (kernels.h) made of 16 rows of a block type. */
#ifndef EXAONE_CPU_KERNELS_TILE_STORE_H
#define EXAONE_CPU_KERNELS_TILE_STORE_H

#include "cpu/kernels/kernels.h"

#if defined(LANES)
#include "cpu/kernels/avx2/lanes.h"

/* `first` of the 16 outputs is the first of LANES. */
typedef exaone_q8_tile place;

static inline __attribute__((always_inline)) void put_16(place *to, size_t first, size_t k, const words q[4]) {
    EACH(i, 4) {
        *(words *)(void *)(to->q[4 * k + i] + 4 * first) = q[i];
    }
}

static inline void put_scale(place *to, size_t first, size_t g, floats scale) {
    *(floats *)(void *)(to->scale[g] + first) = scale;
}

static inline void put_min(place *to, size_t first, size_t g, floats min) {
    *(floats *)(void *)(to->min[g] + first) = min;
}

#include "cpu/kernels/tile_makers.h"

#define TILE_OF(type)                                                                              \
    static void tile_of_##type(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) { \
        for (size_t first = 0; first < EXAONE_TILE_OUTPUTS; first += LANES) {                      \
            make_##type(to, first, rows + first * stride, stride, n);                              \
        }                                                                                          \
    }
TILE_OF(q8_0)
TILE_OF(q4_0)
TILE_OF(q4_1)
TILE_OF(q5_0)
TILE_OF(q5_1)
TILE_OF(iq4_nl)
TILE_OF(iq4_xs)
TILE_OF(mxfp4)
TILE_OF(q2_k)
TILE_OF(q3_k)
TILE_OF(q4_k)
TILE_OF(q5_k)
TILE_OF(q6_k)
#undef TILE_OF

static void tile_of_i4(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n, const uint8_t *zero) {
    for (size_t first = 0; first < EXAONE_TILE_OUTPUTS; first += LANES) {
        make_i4(to, first, rows + first * stride, stride, n, zero + first);
    }
}

/* Any type, already taken apart. */
static void interleave(exaone_q8_tile *to, const exaone_q8_weights *rows, size_t n) {
    uint32_t flip = rows->min ? 0 : 0x80808080; /* q + 128 */
    for (size_t c = 0; c < n; c += 16) {
        for (size_t first = 0; first < EXAONE_TILE_OUTPUTS; first += LANES) {
            words q[4];
            quads_of_rows(q, (const uint8_t *)rows->q + first * EXAONE_TILE_COLUMNS + c, EXAONE_TILE_COLUMNS);
            EACH(i, 4) {
                q[i] ^= flip;
            }
            put_16(to, first, c / 16, q);
        }
    }
    for (size_t g = 0; g < n / rows->group; g++) {
        for (size_t o = 0; o < EXAONE_TILE_OUTPUTS; o++) {
            to->scale[g][o] = rows->scale[16 * o + g];
            to->min[g][o] = rows->min ? rows->min[16 * o + g] : 0;
        }
    }
}

static void set_tile_makers(exaone_kernels *k) {
    static const struct {
        exaone_dtype type;
        uint8_t offset, bits;
        exaone_unpack_tile_fn *fn;
    } FORMS[] = {
        {EXAONE_Q8_0, 128, 8, tile_of_q8_0},
        {EXAONE_Q4_0, 8, 4, tile_of_q4_0},
        {EXAONE_Q4_1, 0, 4, tile_of_q4_1},
        {EXAONE_Q5_0, 16, 5, tile_of_q5_0},
        {EXAONE_Q5_1, 0, 5, tile_of_q5_1},
        {EXAONE_IQ4_NL, 128, 8, tile_of_iq4_nl},
        {EXAONE_IQ4_XS, 128, 8, tile_of_iq4_xs},
        {EXAONE_MXFP4, 12, 5, tile_of_mxfp4},
        {EXAONE_Q2_K, 0, SMALL ? 2 : 8, tile_of_q2_k},
        {EXAONE_Q3_K, 4, 3, tile_of_q3_k},
        {EXAONE_Q4_K, 0, SMALL ? 4 : 8, tile_of_q4_k},
        {EXAONE_Q5_K, 0, 5, tile_of_q5_k},
        {EXAONE_Q6_K, 32, 6, tile_of_q6_k},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        k->unpack_tile[FORMS[i].type] = FORMS[i].fn;
        k->tile_offset[FORMS[i].type] = FORMS[i].offset;
        k->tile_bits[FORMS[i].type] = FORMS[i].bits;
    }
    k->unpack_tile_i4 = tile_of_i4;
    k->tile_offset[EXAONE_I4] = 15;
    k->tile_bits[EXAONE_I4] = 5;
    k->interleave = interleave;
}

#endif
#endif
