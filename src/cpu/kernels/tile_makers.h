/* Weights of block types taken apart for 16 or 8 rows at once (layouts: docs/model.md 12.7), in registers of any width.
 * Packed bytes are turned first and taken apart afterwards, so that a turned register gives two or four registers of
 * weights.
 *
 * The file that includes this has included words.h of its level before, and has defined what becomes of the numbers: a type
 * `place` and
 *
 *   put_16(to, at, k, words q[4])     columns 16 k .. 16 k + 15 of LANES rows, four in each of q
 *   put_scale(to, at, g, floats), put_min(to, at, g, floats)
 *
 * make_TYPE(to, at, rows, stride, n) takes n columns of LANES rows apart; `at` is handed on. Where SMALL is 0, bits may stay
 * in place: the weight is then a multiple of the stored integer and the scale smaller by the same power of two. */
#ifndef EXAONE_CPU_KERNELS_TILE_MAKERS_H
#define EXAONE_CPU_KERNELS_TILE_MAKERS_H

#include "cpu/kernels/kernels.h"

#if defined(LANES)
#include "cpu/kernels/avx2/lanes.h"

#define MAKER static inline __attribute__((always_inline)) void

static inline floats high_f16(words v) {
    return low_f16(v >> 16);
}

/* Unsigned words below 2^31 as f32. */
static inline floats to_floats(words v) {
    return __builtin_convertvector((signed_words)v, floats);
}

/* ---- groups of 32 --------------------------------------------------------------------------------------------------------
 */

MAKER make_q8_0(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 34) {
        put_scale(to, at, g, low_f16(word_of_rows(rows, stride)));
        EACH(half, 2) {
            words q[4];
            quads_of_rows(q, rows + 2 + 16 * half, stride);
            EACH(i, 4) {
                q[i] ^= 0x80808080;
            }
            put_16(to, at, 2 * g + half, q);
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

MAKER put_group(place *to, size_t at, size_t g, const words q[8]) {
    put_16(to, at, 2 * g, q);
    put_16(to, at, 2 * g + 1, q + 4);
}

MAKER make_q4_0(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        words q[8];
        nibbles(q, rows + 2, stride);
        put_group(to, at, g, q);
        put_scale(to, at, g, low_f16(word_of_rows(rows, stride)));
    }
}

/* A word with a scale and what is added to the values, which a min takes away. */
MAKER put_scale_and_min(place *to, size_t at, size_t g, words head) {
    put_scale(to, at, g, low_f16(head));
    put_min(to, at, g, -high_f16(head));
}

MAKER make_q4_1(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 20) {
        words q[8];
        nibbles(q, rows + 4, stride);
        put_group(to, at, g, q);
        put_scale_and_min(to, at, g, word_of_rows(rows, stride));
    }
}

/* 16 to the elements whose bit of `bits` is set. */
MAKER add_fifth_bits(words q[8], words bits) {
    static const uint8_t OWN[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
    EACH(i, 8) {
        words bit = (words){0} + (i % 2 ? 0x80402010 : 0x08040201);
        q[i] |= sixteen_where(shuffle_bytes(bits, sixteen_bytes(OWN) + (uint32_t)(i / 2 * 0x01010101)), bit);
    }
}

MAKER make_q5_0(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 22) {
        words q[8];
        nibbles(q, rows + 6, stride);
        add_fifth_bits(q, word_of_rows(rows + 2, stride));
        put_group(to, at, g, q);
        put_scale(to, at, g, low_f16(word_of_rows(rows, stride)));
    }
}

MAKER make_q5_1(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 24) {
        words q[8];
        nibbles(q, rows + 8, stride);
        add_fifth_bits(q, word_of_rows(rows + 4, stride));
        put_group(to, at, g, q);
        put_scale_and_min(to, at, g, word_of_rows(rows, stride));
    }
}

/* Columns 2k and 2k + 1 are the halves of byte k: u - zero + 15. */
MAKER make_i4(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n, const uint8_t *zero) {
    static const uint8_t TWICE[2][16] = {{0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13},
                                         {2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15}};
    for (size_t g = 0; g < n / 32; g++, zero += EXAONE_TILE_OUTPUTS) {
        words q[4], add = (15 - words_of_bytes(zero)) * 0x01010101;
        quads_of_rows(q, rows + 16 * g, stride);
        EACH(half, 2) {
            words u[4];
            EACH(i, 4) {
                words twice = shuffle_bytes(q[2 * half + i / 2], sixteen_bytes(TWICE[i % 2])); /* for both its columns */
                u[i] = ((twice & 0x000f000f) | (twice >> 4 & 0x0f000f00)) + add;
            }
            put_16(to, at, 2 * g + half, u);
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

MAKER make_iq4_nl(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        words q[8];
        values_of_nibbles(q, rows + 2, stride, sixteen_bytes(exaone_iq4_values) ^ 0x80808080);
        put_group(to, at, g, q);
        put_scale(to, at, g, low_f16(word_of_rows(rows, stride)));
    }
}

/* The values plus 12; scales 2^(e - 128), subnormal for e < 2. */
MAKER make_mxfp4(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    const words least = (words){0} + 0x00200000; /* 2^-128 */
    bytes table = (bytes)sixteen_bytes(exaone_mxfp4_values) + 12;
    for (size_t g = 0; g < n / 32; g++, rows += 17) {
        words q[8], e = word_of_rows(rows, stride) & 255, few = (words)((signed_words)e < 2);
        values_of_nibbles(q, rows + 1, stride, (words)table);
        put_group(to, at, g, q);
        put_scale(to, at, g, (floats)(((e - 1) << 23 & ~few) | (least << (e & 1) & few)));
    }
}

MAKER make_iq4_xs(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words head[4], table = sixteen_bytes(exaone_iq4_values) ^ 0x80808080;
    quads_of_rows(head, rows, stride); /* d and the two high bits of 8 scales; the four low bits; two words of no use here */
    floats d = low_f16(head[0]);
    words low = head[1], high = head[0] >> 16;
    for (size_t g = 0; g < 8; g++, low >>= 4, high >>= 2) {
        words q[8];
        values_of_nibbles(q, rows + 8 + 16 * g, stride, table);
        put_group(to, at, g, q);
        put_scale(to, at, g, d * to_floats(((low & 15) | (high & 3) << 4) - 32));
    }
}

/* Scales and mins of Q4_K and Q5_K from the first 16 bytes of a block: d, dmin, then 6-bit numbers in 12 bytes. Those of odd
 * groups are divided by `odd`. */
MAKER scales_of_6_bits(place *to, size_t at, const uint8_t *rows, size_t stride, float odd) {
    words head[4], scale[2], min[2];
    quads_of_rows(head, rows, stride);
    floats d = low_f16(head[0]), dmin = high_f16(head[0]), by[2] = {d, d * (1 / odd)};
    scale[0] = head[1] & 0x3f3f3f3f;
    min[0] = head[2] & 0x3f3f3f3f;
    scale[1] = (head[3] & 0x0f0f0f0f) | (head[1] >> 2 & 0x30303030);
    min[1] = (head[3] >> 4 & 0x0f0f0f0f) | (head[2] >> 2 & 0x30303030);
    EACH(half, 2) EACH(j, 4) {
        put_scale(to, at, 4 * half + j, by[j % 2] * to_floats(scale[half] >> 8 * j & 255));
        put_min(to, at, 4 * half + j, dmin * to_floats(min[half] >> 8 * j & 255));
    }
}

MAKER make_q4_k(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, at, rows, stride, SMALL ? 1 : 16);
    for (size_t c = 0; c < 4; c++) {
        EACH(part, 2) {
            words q[4], high[4];
            quads_of_rows(q, rows + 16 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                high[i] = SMALL ? q[i] >> 4 & 0x0f0f0f0f : q[i] & 0xf0f0f0f0;
                q[i] &= 0x0f0f0f0f;
            }
            put_16(to, at, 4 * c + part, q);
            put_16(to, at, 4 * c + 2 + part, high);
        }
    }
}

MAKER make_q5_k(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, at, rows, stride, 1);
    EACH(part, 2) {
        words high[4];
        quads_of_rows(high, rows + 16 + 16 * part, stride);
        EACH(c, 4) {
            words q[4], top[4];
            quads_of_rows(q, rows + 48 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                words even = c < 3 ? high[i] << (4 - 2 * c) : high[i] >> 2;
                words odd = c < 2 ? high[i] << (3 - 2 * c) : high[i] >> (2 * c - 3);
                top[i] = (q[i] >> 4 & 0x0f0f0f0f) | (odd & 0x10101010);
                q[i] = (q[i] & 0x0f0f0f0f) | (even & 0x10101010);
            }
            put_16(to, at, 4 * c + part, q);
            put_16(to, at, 4 * c + 2 + part, top);
        }
    }
}

/* ---- groups of 16 --------------------------------------------------------------------------------------------------------
 */

/* Signed bytes times d: scales of 4 groups. */
MAKER scales_of_bytes(place *to, size_t at, size_t g, words s, floats d) {
    EACH(j, 4) {
        signed_words v = (signed_words)(s << (24 - 8 * j)) >> 24;
        put_scale(to, at, g + j, d * __builtin_convertvector(v, floats));
    }
}

/* Where bits stay in place they are 4^j times the integer, j being the group's pair modulo 4. */
MAKER make_q2_k(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    static const float SHRUNK[4] = {1, 0x1p-2f, 0x1p-4f, 0x1p-6f};
    words s[4], head = word_of_rows(rows + 80, stride);
    quads_of_rows(s, rows, stride);
    floats d = low_f16(head), dmin = high_f16(head);
    EACH(i, 4) EACH(k, 4) {
        floats by = SMALL ? d : d * SHRUNK[(4 * i + k) / 2 % 4];
        put_scale(to, at, 4 * i + k, by * to_floats(s[i] >> 8 * k & 15));
        put_min(to, at, 4 * i + k, dmin * to_floats(s[i] >> (8 * k + 4) & 15));
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            words v[4];
            quads_of_rows(v, rows + 16 + 32 * h + 16 * part, stride);
            EACH(j, 4) {
                words q[4];
                EACH(i, 4) {
                    q[i] = SMALL ? v[i] >> 2 * j & 0x03030303 : v[i] & 0x03030303U << 2 * j;
                }
                put_16(to, at, 8 * h + 2 * j + part, q);
            }
        }
    }
}

MAKER make_q3_k(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words low[2] = {word_of_rows(rows + 96, stride), word_of_rows(rows + 100, stride)};
    words top = word_of_rows(rows + 104, stride);
    floats d = high_f16(word_of_rows(rows + 106, stride));
    EACH(j, 4) { /* four scales each: low bits by halves of the first 8 bytes, two high bits on top */
        words nibble = (j < 2 ? low[j % 2] : low[j % 2] >> 4) & 0x0f0f0f0f;
        words high = (j < 3 ? top << (4 - 2 * j) : top >> 2) & 0x30303030;
        scales_of_bytes(to, at, 4 * j, (words)((bytes)(nibble | high) - 32), d);
    }
    EACH(part, 2) {
        words mask[4], v[4];
        quads_of_rows(mask, rows + 16 * part, stride);
        for (size_t h = 0; h < 2; h++) {
            quads_of_rows(v, rows + 32 + 32 * h + 16 * part, stride);
            EACH(j, 4) {
                words q[4];
                EACH(i, 4) {
                    words bit = j < 3 ? mask[i] << (2 - j) : mask[i] >> 1;
                    q[i] = (v[i] >> 2 * j & 0x03030303) | (bit & 0x04040404);
                }
                put_16(to, at, 8 * h + 2 * j + part, q);
            }
            EACH(i, 4) {
                mask[i] >>= 4;
            }
        }
    }
}

MAKER make_q6_k(place *to, size_t at, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    words s[4];
    floats d = high_f16(word_of_rows(rows + 206, stride));
    quads_of_rows(s, rows + 192, stride);
    EACH(i, 4) {
        scales_of_bytes(to, at, 4 * i, s[i], d);
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            words a[4], c[4], g[4];
            quads_of_rows(a, rows + 64 * h + 16 * part, stride);
            quads_of_rows(c, rows + 64 * h + 32 + 16 * part, stride);
            quads_of_rows(g, rows + 128 + 32 * h + 16 * part, stride);
            EACH(j, 4) {
                words q[4];
                EACH(i, 4) {
                    words low = j % 2 ? c[i] : a[i], top = j < 2 ? g[i] << (4 - 2 * j) : g[i] >> (2 * j - 4);
                    q[i] = ((j < 2 ? low : low >> 4) & 0x0f0f0f0f) | (top & 0x30303030);
                }
                put_16(to, at, 8 * h + 2 * j + part, q);
            }
        }
    }
}

#endif
#endif
