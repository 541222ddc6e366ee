/* Tiles of block types made from 16 rows at once (layouts: docs/model.md 12.7). Packed bytes are turned first and taken
 * apart afterwards, so that a turned register gives two or four registers of weights. Where high bits can stay in place, the
 * weight is a multiple of the stored integer and the scale smaller by the same power of two. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx512vnni/quads.h"

static inline __m512i bytes_and(__m512i v, int mask) {
    return _mm512_and_si512(v, _mm512_set1_epi8((char)mask));
}

/* (a & mask) | (b & ~mask) */
static inline __m512i select_bits(int mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8((char)mask), a, b, 0xca);
}

/* Four bytes of each row. */
static inline __m512i word_of_rows(const uint8_t *rows, size_t stride) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_i32gather_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)stride)), rows, 1);
}

static inline __m512 low_f16(__m512i words) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

static inline __m512 high_f16(__m512i words) {
    return low_f16(_mm512_srli_epi32(words, 16));
}

static inline __m512 negative(__m512 v) {
    return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f));
}

/* ---- Q8_0, Q4_0, Q4_1
 * ----------------------------------------------------------------------------------------------------------
 */

static void unpack_q8_0(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    const __m512i flip = _mm512_set1_epi8(-128);
    for (size_t g = 0; g < n / 32; g++, rows += 34) {
        _mm512_store_ps(to->scale[g], low_f16(word_of_rows(rows, stride)));
        EACH(half, 2) {
            __m512i q[4];
            exaone_quads(q, rows + 2 + 16 * half, stride);
            EACH(i, 4) {
                _mm512_store_si512(to->q[8 * g + 4 * half + i], _mm512_xor_si512(q[i], flip));
            }
        }
    }
}

/* 16 bytes of each of 16 rows: their low halves are columns 0 .. 15 of a group, the high halves columns 16 .. 31. */
static inline __attribute__((always_inline)) void nibbles(__m512i q[8], const uint8_t *rows, size_t stride) {
    exaone_quads(q, rows, stride);
    EACH(i, 4) {
        q[4 + i] = bytes_and(_mm512_srli_epi32(q[i], 4), 15);
        q[i] = bytes_and(q[i], 15);
    }
}

static inline __attribute__((always_inline)) void store_group(exaone_q8_tile *to, size_t g, const __m512i q[8]) {
    EACH(i, 8) {
        _mm512_store_si512(to->q[8 * g + i], q[i]);
    }
}

static void unpack_q4_0(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        __m512i q[8];
        nibbles(q, rows + 2, stride);
        store_group(to, g, q);
        _mm512_store_ps(to->scale[g], low_f16(word_of_rows(rows, stride)));
    }
}

static void unpack_q4_1(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 20) {
        __m512i q[8];
        nibbles(q, rows + 4, stride);
        store_group(to, g, q);
        __m512i head = word_of_rows(rows, stride);
        _mm512_store_ps(to->scale[g], low_f16(head));
        _mm512_store_ps(to->min[g], negative(high_f16(head)));
    }
}

/* 16 to the elements whose bit of `bits` is set. */
static inline __attribute__((always_inline)) void add_fifth_bits(__m512i q[8], __m512i bits) {
    EACH(i, 8) {
        __m512i byte = _mm512_set1_epi32((int)(i / 2 * 0x01010101)), lane = _mm512_set4_epi32(12, 8, 4, 0);
        lane = _mm512_or_si512(_mm512_mullo_epi32(lane, _mm512_set1_epi32(0x01010101)), byte);
        __m512i place = _mm512_set1_epi32(i % 2 ? (int)0x80402010 : 0x08040201);
        __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, lane), place);
        q[i] = _mm512_mask_add_epi8(q[i], set, q[i], _mm512_set1_epi8(16));
    }
}

static void unpack_q5_0(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 22) {
        __m512i q[8];
        nibbles(q, rows + 6, stride);
        add_fifth_bits(q, word_of_rows(rows + 2, stride));
        store_group(to, g, q);
        _mm512_store_ps(to->scale[g], low_f16(word_of_rows(rows, stride)));
    }
}

static void unpack_q5_1(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 24) {
        __m512i q[8], head = word_of_rows(rows, stride);
        nibbles(q, rows + 8, stride);
        add_fifth_bits(q, word_of_rows(rows + 4, stride));
        store_group(to, g, q);
        _mm512_store_ps(to->scale[g], low_f16(head));
        _mm512_store_ps(to->min[g], negative(high_f16(head)));
    }
}

/* Columns 2k and 2k + 1 are the halves of byte k: u - zero + 15. */
static void unpack_tile_i4(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n, const uint8_t *zero) {
    const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13));
    const __m512i second = _mm512_broadcast_i32x4(_mm_setr_epi8(2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15));
    const __m512i even = _mm512_set1_epi16(0xff);
    for (size_t g = 0; g < n / 32; g++, zero += EXAONE_TILE_OUTPUTS) {
        __m512i q[4], add = _mm512_sub_epi32(_mm512_set1_epi32(15), _mm512_cvtepu8_epi32(exaone_load16(zero)));
        add = _mm512_mullo_epi32(add, _mm512_set1_epi32(0x01010101));
        exaone_quads(q, rows + 16 * g, stride);
        EACH(i, 8) {
            __m512i twice = _mm512_shuffle_epi8(q[i / 2], i % 2 ? second : first); /* each byte for both of its columns */
            __m512i u = _mm512_ternarylogic_epi32(even, twice, _mm512_srli_epi16(twice, 4), 0xca);
            _mm512_store_si512(to->q[8 * g + i], _mm512_add_epi8(bytes_and(u, 15), add));
        }
    }
}

/* ---- IQ4_NL, IQ4_XS, MXFP4 -----------------------------------------------------------------------------------------------
 */

/* The values that the halves of bytes stand for, plus 128. */
static inline __attribute__((always_inline)) void values_of_nibbles(__m512i q[8], const uint8_t *rows, size_t stride,
                                                                    const int8_t *values) {
    __m512i table = _mm512_broadcast_i32x4(exaone_load16((const uint8_t *)values));
    table = _mm512_xor_si512(table, _mm512_set1_epi8(-128));
    nibbles(q, rows, stride);
    EACH(i, 8) {
        q[i] = _mm512_shuffle_epi8(table, q[i]);
    }
}

static void unpack_iq4_nl(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    for (size_t g = 0; g < n / 32; g++, rows += 18) {
        __m512i q[8];
        values_of_nibbles(q, rows + 2, stride, exaone_iq4_values);
        store_group(to, g, q);
        _mm512_store_ps(to->scale[g], low_f16(word_of_rows(rows, stride)));
    }
}

static void unpack_mxfp4(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    const __m512i one = _mm512_set1_epi32(1), least = _mm512_set1_epi32(0x00200000); /* 2^-128 */
    for (size_t g = 0; g < n / 32; g++, rows += 17) {
        __m512i q[8], e = _mm512_and_si512(word_of_rows(rows, stride), _mm512_set1_epi32(255));
        values_of_nibbles(q, rows + 1, stride, exaone_mxfp4_values);
        store_group(to, g, q);
        __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
        bits =
            _mm512_mask_sllv_epi32(bits, _mm512_cmple_epi32_mask(e, one), least, e); /* 2^(e - 128), subnormal for e < 2 */
        _mm512_store_ps(to->scale[g], _mm512_castsi512_ps(bits));
    }
}

static void unpack_iq4_xs(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    __m512i head[4]; /* d and the two high bits of 8 scales; the four low bits; two more lanes of no use here */
    exaone_quads(head, rows, stride);
    __m512 d = low_f16(head[0]);
    for (unsigned g = 0; g < 8; g++) {
        __m512i q[8];
        values_of_nibbles(q, rows + 8 + 16 * g, stride, exaone_iq4_values);
        store_group(to, g, q);
        __m512i low = _mm512_and_si512(_mm512_srl_epi32(head[1], _mm_cvtsi32_si128((int)(4 * g))), _mm512_set1_epi32(15));
        __m512i high =
            _mm512_and_si512(_mm512_srl_epi32(head[0], _mm_cvtsi32_si128((int)(16 + 2 * g))), _mm512_set1_epi32(3));
        __m512i scale = _mm512_sub_epi32(_mm512_or_si512(low, _mm512_slli_epi32(high, 4)), _mm512_set1_epi32(32));
        _mm512_store_ps(to->scale[g], _mm512_mul_ps(d, _mm512_cvtepi32_ps(scale)));
    }
}

/* ---- Q4_K, Q5_K
 * ----------------------------------------------------------------------------------------------------------------
 */

/* Byte j of each lane as f32. */
static inline __m512 byte_to_f32(__m512i v, unsigned j) {
    __m512i low = _mm512_srli_epi32(v, 8 * j);
    return _mm512_cvtepi32_ps(j < 3 ? _mm512_and_si512(low, _mm512_set1_epi32(255)) : low);
}

/* Scales and mins of Q4_K and Q5_K from the first 16 bytes of a block: d, dmin, then 6-bit numbers in 12 bytes. Those of odd
 * groups are divided by `odd`. */
static inline void scales_of_6_bits(exaone_q8_tile *to, const uint8_t *rows, size_t stride, float odd) {
    __m512i head[4];
    exaone_quads(head, rows, stride);
    __m512 d = low_f16(head[0]);
    __m512 dmin = high_f16(head[0]);
    __m512 by[2] = {d, _mm512_mul_ps(d, _mm512_set1_ps(1 / odd))};
    __m512i scale[2], min[2];
    scale[0] = bytes_and(head[1], 63);
    min[0] = bytes_and(head[2], 63);
    scale[1] = select_bits(0x0f, head[3], bytes_and(_mm512_srli_epi32(head[1], 2), 0x30));
    min[1] = select_bits(0x0f, _mm512_srli_epi32(head[3], 4), bytes_and(_mm512_srli_epi32(head[2], 2), 0x30));
    EACH(half, 2) EACH(j, 4) {
        _mm512_store_ps(to->scale[4 * half + j], _mm512_mul_ps(by[j % 2], byte_to_f32(scale[half], (unsigned)j)));
        _mm512_store_ps(to->min[4 * half + j], _mm512_mul_ps(dmin, byte_to_f32(min[half], (unsigned)j)));
    }
}

static void unpack_q4_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, rows, stride, 16);
    for (size_t c = 0; c < 4; c++) {
        EACH(part, 2) {
            __m512i q[4];
            exaone_quads(q, rows + 16 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                _mm512_store_si512(to->q[16 * c + 4 * part + i], bytes_and(q[i], 0x0f));
                _mm512_store_si512(to->q[16 * c + 8 + 4 * part + i], bytes_and(q[i], 0xf0)); /* 16 times the integer */
            }
        }
    }
}

static void unpack_q5_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_6_bits(to, rows, stride, 1);
    EACH(part, 2) {
        __m512i high[4];
        exaone_quads(high, rows + 16 + 16 * part, stride);
        EACH(c, 4) {
            __m512i q[4];
            exaone_quads(q, rows + 48 + 32 * c + 16 * part, stride);
            EACH(i, 4) {
                __m512i fifth = c < 3 ? _mm512_slli_epi32(high[i], 4 - 2 * (unsigned)c) : _mm512_srli_epi32(high[i], 2);
                __m512i sixth = c < 2 ? _mm512_slli_epi32(high[i], 3 - 2 * (unsigned)c)
                                      : _mm512_srli_epi32(high[i], 2 * (unsigned)c - 3);
                __m512i low = select_bits(0x0f, q[i], bytes_and(fifth, 0x10));
                __m512i top = select_bits(0x0f, _mm512_srli_epi32(q[i], 4), bytes_and(sixth, 0x10));
                _mm512_store_si512(to->q[16 * c + 4 * part + i], low);
                _mm512_store_si512(to->q[16 * c + 8 + 4 * part + i], top);
            }
        }
    }
}

/* ---- Q2_K, Q3_K, Q6_K
 * ----------------------------------------------------------------------------------------------------------------
 */

/* Signed bytes times d: scales of 4 groups. */
static inline void scales_of_words(float (*to)[EXAONE_TILE_OUTPUTS], __m512i s, __m512 d) {
    EACH(j, 4) {
        __m512i v = _mm512_srai_epi32(j < 3 ? _mm512_slli_epi32(s, 24 - 8 * (unsigned)j) : s, 24);
        _mm512_store_ps(to[j], _mm512_mul_ps(d, _mm512_cvtepi32_ps(v)));
    }
}

/* Groups of 16: 2 bits in place, 4^j times the integer, so that their scales shrink by 4^j. */
static void unpack_q2_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    __m512i s[4], head = word_of_rows(rows + 80, stride);
    exaone_quads(s, rows, stride);
    __m512 d = low_f16(head), dmin = high_f16(head);
    EACH(i, 4) EACH(k, 4) { /* group 4i + k: bits 2j, j = (4i + k) / 2 % 4 */
        __m512 by = _mm512_mul_ps(d, _mm512_set1_ps(i % 2 ? (k < 2 ? 0x1p-4f : 0x1p-6f) : (k < 2 ? 1 : 0x1p-2f)));
        _mm512_store_ps(to->scale[4 * i + k], _mm512_mul_ps(by, byte_to_f32(bytes_and(s[i], 15), (unsigned)k)));
        __m512i high = bytes_and(_mm512_srli_epi32(s[i], 4), 15);
        _mm512_store_ps(to->min[4 * i + k], _mm512_mul_ps(dmin, byte_to_f32(high, (unsigned)k)));
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            __m512i v[4];
            exaone_quads(v, rows + 16 + 32 * h + 16 * part, stride);
            EACH(i, 4) EACH(j, 4) {
                _mm512_store_si512(to->q[32 * h + 8 * j + 4 * part + i], bytes_and(v[i], 3 << 2 * j));
            }
        }
    }
}

static void unpack_q3_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    __m512i low[2] = {word_of_rows(rows + 96, stride), word_of_rows(rows + 100, stride)};
    __m512i top = word_of_rows(rows + 104, stride);
    __m512 d = high_f16(word_of_rows(rows + 106, stride));
    EACH(j, 4) { /* four scales each: low bits by halves of the first 8 bytes, two high bits on top */
        __m512i nibble = j < 2 ? low[j % 2] : _mm512_srli_epi32(low[j % 2], 4);
        __m512i high = j < 3 ? _mm512_slli_epi32(top, 4 - 2 * (unsigned)j) : _mm512_srli_epi32(top, 2);
        __m512i s = select_bits(0x0f, nibble, bytes_and(high, 0x30));
        scales_of_words(to->scale + 4 * j, _mm512_sub_epi8(s, _mm512_set1_epi8(32)), d);
    }
    EACH(part, 2) {
        __m512i mask[4], v[4];
        exaone_quads(mask, rows + 16 * part, stride);
        for (size_t h = 0; h < 2; h++) {
            exaone_quads(v, rows + 32 + 32 * h + 16 * part, stride);
            EACH(i, 4) {
                EACH(j, 4) {
                    __m512i two = _mm512_srli_epi32(v[i], 2 * (unsigned)j);
                    __m512i bit = j < 3 ? _mm512_slli_epi32(mask[i], 2 - (unsigned)j) : _mm512_srli_epi32(mask[i], 1);
                    _mm512_store_si512(to->q[32 * h + 8 * j + 4 * part + i], bytes_and(select_bits(3, two, bit), 7));
                }
                mask[i] = _mm512_srli_epi32(mask[i], 4);
            }
        }
    }
}

static void unpack_q6_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    __m512i s[4];
    __m512 d = high_f16(word_of_rows(rows + 206, stride));
    exaone_quads(s, rows + 192, stride);
    EACH(i, 4) {
        scales_of_words(to->scale + 4 * i, s[i], d);
    }
    for (size_t h = 0; h < 2; h++) {
        EACH(part, 2) {
            __m512i a[4], c[4], g[4];
            exaone_quads(a, rows + 64 * h + 16 * part, stride);
            exaone_quads(c, rows + 64 * h + 32 + 16 * part, stride);
            exaone_quads(g, rows + 128 + 32 * h + 16 * part, stride);
            EACH(i, 4) {
                uint8_t(*q)[64] = to->q + 32 * h + 4 * part + i;
                __m512i v0 = bytes_and(select_bits(0x0f, a[i], _mm512_slli_epi32(g[i], 4)), 63);
                __m512i v1 = bytes_and(select_bits(0x0f, c[i], _mm512_slli_epi32(g[i], 2)), 63);
                __m512i v2 = bytes_and(select_bits(0x0f, _mm512_srli_epi32(a[i], 4), g[i]), 63);
                __m512i v3 = bytes_and(select_bits(0x0f, _mm512_srli_epi32(c[i], 4), _mm512_srli_epi32(g[i], 2)), 63);
                _mm512_store_si512(q[0], v0);
                _mm512_store_si512(q[8], v1);
                _mm512_store_si512(q[16], v2);
                _mm512_store_si512(q[24], v3);
            }
        }
    }
}

void exaone_kernels_avx512vnni_unpack(exaone_kernels *k) {
    static const struct {
        exaone_dtype type;
        uint8_t offset;
        exaone_unpack_tile_fn *fn;
    } FORMS[] = {
        {EXAONE_Q8_0, 128, unpack_q8_0},     {EXAONE_Q4_0, 8, unpack_q4_0},       {EXAONE_Q4_1, 0, unpack_q4_1},
        {EXAONE_IQ4_NL, 128, unpack_iq4_nl}, {EXAONE_IQ4_XS, 128, unpack_iq4_xs}, {EXAONE_Q5_K, 0, unpack_q5_k},
        {EXAONE_Q5_0, 16, unpack_q5_0},      {EXAONE_Q5_1, 0, unpack_q5_1},       {EXAONE_MXFP4, 128, unpack_mxfp4},
        {EXAONE_Q2_K, 0, unpack_q2_k},       {EXAONE_Q3_K, 4, unpack_q3_k},       {EXAONE_Q4_K, 0, unpack_q4_k},
        {EXAONE_Q6_K, 32, unpack_q6_k},
    };
    k->unpack_tile_i4 = unpack_tile_i4;
    k->tile_offset[EXAONE_I4] = 15;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        k->unpack_tile[FORMS[i].type] = FORMS[i].fn;
        k->tile_offset[FORMS[i].type] = FORMS[i].offset;
    }
}
#endif
