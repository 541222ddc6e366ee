/* Tiles (kernels.h) of block types made from 16 rows at once (layouts: docs/model.md 12.7), for registers of any width: the
 * file that includes this has included words.h of its level before. Packed bytes are turned first and taken apart
 * afterwards, so that a turned register gives two or four registers of weights.
 *
 * make_TYPE makes n columns of LANES outputs, of which `first` is the first in the tile. Where SMALL is 0, bits may stay in
 * place: the weight is then a multiple of the stored integer and the scale smaller by the same power of two. */
#ifndef EXAONE_CPU_KERNELS_TILE_MAKERS_H
#define EXAONE_CPU_KERNELS_TILE_MAKERS_H

#include "cpu/kernels/kernels.h"

#if defined(LANES)
#include "cpu/kernels/avx2/lanes.h"

#define MAKER static inline __attribute__((always_inline)) void

static inline void put_quad(exaone_q8_tile *to, size_t first, size_t quad, words q) {
    *(words *)(void *)(to->q[quad] + 4 * first) = q;
}

static inline void put_scale(exaone_q8_tile *to, size_t first, size_t g, floats scale) {
    *(floats *)(void *)(to->scale[g] + first) = scale;
}

static inline void put_min(exaone_q8_tile *to, size_t first, size_t g, floats min) {
    *(floats *)(void *)(to->min[g] + first) = min;
}

static inline floats high_f16(words v) {
    return low_f16(v >> 16);
}

/* Unsigned words below 2^31 as f32. */
static inline floats to_floats(words v) {
    return __builtin_convertvector((signed_words)v, floats);
}

/* ---- groups of 32 --------------------------------------------------------------------------------------------------------
 */

MAKER make_q8_0(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 34) {
        put_scale(to, first, g, low_f16(word_of_rows(rows, stride)));
        EACH(half, 2) {
            words q[4];
            quads_of_rows(q, rows + 2 + 16 * half, stride);
            EACH(i, 4) {
                put_quad(to, first, 8 * g + 4 * half + i, q[i] ^ 0x80808080);
            }
        }
    }
}

/* 16 bytes of each row: their low halves are columns 0 .. 15 of a group, the high halves columns 16 .. 31. */
MAKER nibbles(words q[8], const uint8_t *rows, size_t stride) {
    quads_of_rows(q, rows, stride);
    EACH(i, 4) {
        q[4 + i] = q[i] >> 4 & 0x0f0f0f0f;
        q[i] = q[i] & 0x0f0f0f0f;
    }
}

MAKER put_group(exaone_q8_tile *to, size_t first, size_t g, const words q[8]) {
    EACH(i, 8) {
        put_quad(to, first, 8 * g + i, q[i]);
    }
}

MAKER make_q4_0(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        words q[8];
        nibbles(q, rows + 2, stride);
        put_group(to, first, g, q);
        put_scale(to, first, g, low_f16(word_of_rows(rows, stride)));
    }
}

/* A word with a scale and what is added to the values, which a min takes away. */
MAKER put_scale_and_min(exaone_q8_tile *to, size_t first, size_t g, words head) {
    put_scale(to, first, g, low_f16(head));
    put_min(to, first, g, -high_f16(head));
}

MAKER make_q4_1(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 20) {
        words q[8];
        nibbles(q, rows + 4, stride);
        put_group(to, first, g, q);
        put_scale_and_min(to, first, g, word_of_rows(rows, stride));
    }
}

/* 16 to the elements whose bit of `bits` is set. */
MAKER add_fifth_bits(words q[8], words bits) {
    static const uint8_t OWN[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    EACH(i, 8) {
        words place = (words){0} + (i % 2 ? 0x80402010 : 0x08040201);
        q[i] |= sixteen_where(shuffle_bytes(bits, sixteen_bytes(OWN) + (uint32_t)(i / 2 * 0x01010101)), place);
    }
}

MAKER make_q5_0(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 22) {
        words q[8];
        nibbles(q, rows + 6, stride);
        add_fifth_bits(q, word_of_rows(rows + 2, stride));
        put_group(to, first, g, q);
        put_scale(to, first, g, low_f16(word_of_rows(rows, stride)));
    }
}

MAKER make_q5_1(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 24) {
        words q[8];
        nibbles(q, rows + 8, stride);
        add_fifth_bits(q, word_of_rows(rows + 4, stride));
        put_group(to, first, g, q);
        put_scale_and_min(to, first, g, word_of_rows(rows, stride));
    }
}

/* Columns 2k and 2k + 1 are the halves of byte k: u - zero + 15. */
MAKER make_i4(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n, const uint8_t *zero) {
    static const uint8_t TWICE[2][16] = {{0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13},
                                         {2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15}};
    for (size_t g = 0; g < n / 32; g++, zero += EXAONE_TILE_OUTPUTS) {
        words q[4], add = (15 - words_of_bytes(zero + first)) * 0x01010101;
        quads_of_rows(q, rows + 16 * g, stride);
        EACH(i, 8) {
            words twice = shuffle_bytes(q[i / 2], sixteen_bytes(TWICE[i % 2])); /* each byte for both of its columns */
            put_quad(to, first, 8 * g + i, ((twice & 0x000f000f) | (twice >> 4 & 0x0f000f00)) + add);
        }
    }
}

/* The values that the halves of bytes stand for, plus an offset. */
MAKER values_of_nibbles(words q[8], const uint8_t *rows, size_t stride, words table) {
    nibbles(q, rows, stride);
    EACH(i, 8) {
        q[i] = shuffle_bytes(table, q[i]);
    }
}

MAKER make_iq4_nl(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        words q[8];
        values_of_nibbles(q, rows + 2, stride, sixteen_bytes(exaone_iq4_values) ^ 0x80808080);
        put_group(to, first, g, q);
        put_scale(to, first, g, low_f16(word_of_rows(rows, stride)));
    }
}

/* The values plus 12; scales 2^(e - 128), subnormal for e < 2. */
MAKER make_mxfp4(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    const words least = (words){0} + 0x00200000; /* 2^-128 */
    bytes table = (bytes)sixteen_bytes(exaone_mxfp4_values) + 12;
    for (size_t g = 0; g < n / 32; g++, rows += 17) {
        words q[8], e = word_of_rows(rows, stride) & 255, few = (words)((signed_words)e < 2);
        values_of_nibbles(q, rows + 1, stride, (words)table);
        put_group(to, first, g, q);
        put_scale(to, first, g, (floats)(((e - 1) << 23 & ~few) | (least << (e & 1) & few)));
    }
}

MAKER make_iq4_xs(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words head[4], table = sixteen_bytes(exaone_iq4_values) ^ 0x80808080;
    quads_of_rows(head, rows, stride); /* d and the two high bits of 8 scales; the four low bits; two words of no use here */
    floats d = low_f16(head[0]);
    words low = head[1], high = head[0] >> 16;
    for (size_t g = 0; g < 8; g++, low >>= 4, high >>= 2) {
        words q[8];
        values_of_nibbles(q, rows + 8 + 16 * g, stride, table);
        put_group(to, first, g, q);
        put_scale(to, first, g, d * to_floats(((low & 15) | (high & 3) << 4) - 32));
    }
}

/* Scales and mins of Q4_K and Q5_K from the first 16 bytes of a block: d, dmin, then 6-bit numbers in 12 bytes. Those of odd
 * groups are divided by `odd`. */
MAKER scales_of_6_bits(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, float odd) {
    words head[4], scale[2], min[2];
    quads_of_rows(head, rows, stride);
    floats d = low_f16(head[0]), dmin = high_f16(head[0]), by[2] = {d, d * (1 / odd)};
    scale[0] = head[1] & 0x3f3f3f3f;
    min[0] = head[2] & 0x3f3f3f3f;
    scale[1] = (head[3] & 0x0f0f0f0f) | (head[1] >> 2 & 0x30303030);
    min[1] = (head[3] >> 4 & 0x0f0f0f0f) | (head[2] >> 2 & 0x30303030);
    EACH(half, 2) EACH(j, 4) {
        put_scale(to, first, 4 * half + j, by[j % 2] * to_floats(scale[half] >> 8 * j & 255));
        put_min(to, first, 4 * half + j, dmin * to_floats(min[half] >> 8 * j & 255));
    }
}

MAKER make_q4_k(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, first, rows, stride, SMALL ? 1 : 16);
    for (size_t c = 0; c < 4; c++) {
        EACH(part, 2) {
            words q[4];
            quads_of_rows(q, rows + 16 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                put_quad(to, first, 16 * c + 4 * part + i, q[i] & 0x0f0f0f0f);
                put_quad(to, first, 16 * c + 8 + 4 * part + i, SMALL ? q[i] >> 4 & 0x0f0f0f0f : q[i] & 0xf0f0f0f0);
            }
        }
    }
}

MAKER make_q5_k(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, first, rows, stride, 1);
    EACH(part, 2) {
        words high[4];
        quads_of_rows(high, rows + 16 + 16 * part, stride);
        EACH(c, 4) {
            words q[4];
            quads_of_rows(q, rows + 48 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                words even = c < 3 ? high[i] << (4 - 2 * c) : high[i] >> 2;
                words odd = c < 2 ? high[i] << (3 - 2 * c) : high[i] >> (2 * c - 3);
                put_quad(to, first, 16 * c + 4 * part + i, (q[i] & 0x0f0f0f0f) | (even & 0x10101010));
                put_quad(to, first, 16 * c + 8 + 4 * part + i, (q[i] >> 4 & 0x0f0f0f0f) | (odd & 0x10101010));
            }
        }
    }
}

/* ---- groups of 16 --------------------------------------------------------------------------------------------------------
 */

/* Signed bytes times d: scales of 4 groups. */
MAKER scales_of_bytes(exaone_q8_tile *to, size_t first, size_t g, words s, floats d) {
    EACH(j, 4) {
        signed_words v = (signed_words)(s << (24 - 8 * j)) >> 24;
        put_scale(to, first, g + j, d * __builtin_convertvector(v, floats));
    }
}

/* Where bits stay in place they are 4^j times the integer, j being the group's pair modulo 4. */
MAKER make_q2_k(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    static const float SHRUNK[4] = {1, 0x1p-2f, 0x1p-4f, 0x1p-6f};
    words s[4], head = word_of_rows(rows + 80, stride);
    quads_of_rows(s, rows, stride);
    floats d = low_f16(head), dmin = high_f16(head);
    EACH(i, 4) EACH(k, 4) {
        floats by = SMALL ? d : d * SHRUNK[(4 * i + k) / 2 % 4];
        put_scale(to, first, 4 * i + k, by * to_floats(s[i] >> 8 * k & 15));
        put_min(to, first, 4 * i + k, dmin * to_floats(s[i] >> (8 * k + 4) & 15));
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            words v[4];
            quads_of_rows(v, rows + 16 + 32 * h + 16 * part, stride);
            EACH(i, 4) EACH(j, 4) {
                words q = SMALL ? v[i] >> 2 * j & 0x03030303 : v[i] & 0x03030303U << 2 * j;
                put_quad(to, first, 32 * h + 8 * j + 4 * part + i, q);
            }
        }
    }
}

MAKER make_q3_k(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words low[2] = {word_of_rows(rows + 96, stride), word_of_rows(rows + 100, stride)};
    words top = word_of_rows(rows + 104, stride);
    floats d = high_f16(word_of_rows(rows + 106, stride));
    EACH(j, 4) { /* four scales each: low bits by halves of the first 8 bytes, two high bits on top */
        words nibble = (j < 2 ? low[j % 2] : low[j % 2] >> 4) & 0x0f0f0f0f;
        words high = (j < 3 ? top << (4 - 2 * j) : top >> 2) & 0x30303030;
        scales_of_bytes(to, first, 4 * j, (words)((bytes)(nibble | high) - 32), d);
    }
    EACH(part, 2) {
        words mask[4], v[4];
        quads_of_rows(mask, rows + 16 * part, stride);
        for (size_t h = 0; h < 2; h++) {
            quads_of_rows(v, rows + 32 + 32 * h + 16 * part, stride);
            EACH(i, 4) {
                EACH(j, 4) {
                    words bit = j < 3 ? mask[i] << (2 - j) : mask[i] >> 1;
                    words q = (v[i] >> 2 * j & 0x03030303) | (bit & 0x04040404);
                    put_quad(to, first, 32 * h + 8 * j + 4 * part + i, q);
                }
                mask[i] >>= 4;
            }
        }
    }
}

MAKER make_q6_k(exaone_q8_tile *to, size_t first, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words s[4];
    floats d = high_f16(word_of_rows(rows + 206, stride));
    quads_of_rows(s, rows + 192, stride);
    EACH(i, 4) {
        scales_of_bytes(to, first, 4 * i, s[i], d);
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            words a[4], c[4], g[4];
            quads_of_rows(a, rows + 64 * h + 16 * part, stride);
            quads_of_rows(c, rows + 64 * h + 32 + 16 * part, stride);
            quads_of_rows(g, rows + 128 + 32 * h + 16 * part, stride);
            EACH(i, 4) {
                size_t quad = 32 * h + 4 * part + i;
                put_quad(to, first, quad, (a[i] & 0x0f0f0f0f) | (g[i] << 4 & 0x30303030));
                put_quad(to, first, quad + 8, (c[i] & 0x0f0f0f0f) | (g[i] << 2 & 0x30303030));
                put_quad(to, first, quad + 16, (a[i] >> 4 & 0x0f0f0f0f) | (g[i] & 0x30303030));
                put_quad(to, first, quad + 24, (c[i] >> 4 & 0x0f0f0f0f) | (g[i] >> 2 & 0x30303030));
            }
        }
    }
}

/* ---- 16 outputs ----------------------------------------------------------------------------------------------------------
 */

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
        make_i4(to, first, rows + first * stride, stride, n, zero);
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
                put_quad(to, first, c / 4 + i, q[i] ^ flip);
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
