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

/* The f16 at rows + r * stride, in bits 16 .. 31 of four bytes when `shift` is 16. */
static inline __m512 f16_of_rows(const uint8_t *rows, size_t stride, int shift) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)stride));
    __m512i v = _mm512_i32gather_epi32(at, rows, 1);
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(shift ? _mm512_srli_epi32(v, 16) : v));
}

/* ---- Q8_0, Q4_0 ----------------------------------------------------------------------------------------------------------
 */

static void unpack_q8_0(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    const __m512i flip = _mm512_set1_epi8(-128);
    for (size_t g = 0; g < n / 32; g++, rows += 34) {
        _mm512_store_ps(to->scale[g], f16_of_rows(rows, stride, 0));
        EACH(half, 2) {
            __m512i q[4];
            exaone_quads(q, rows + 2 + 16 * half, stride);
            EACH(i, 4) {
                _mm512_store_si512(to->q[8 * g + 4 * half + i], _mm512_xor_si512(q[i], flip));
            }
        }
    }
}

/* ---- Q4_K ----------------------------------------------------------------------------------------------------------------
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
    __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(head[0]));
    __m512 dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(head[0], 16)));
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

/* ---- Q6_K ----------------------------------------------------------------------------------------------------------------
 */

/* Signed bytes of the scales of 16 groups, 16 bytes per row, times d. */
static inline void scales_of_bytes(exaone_q8_tile *to, const uint8_t *rows, size_t stride, __m512 d) {
    __m512i s[4];
    exaone_quads(s, rows, stride);
    EACH(i, 4) EACH(j, 4) {
        __m512i v = _mm512_srai_epi32(j < 3 ? _mm512_slli_epi32(s[i], 24 - 8 * (unsigned)j) : s[i], 24);
        _mm512_store_ps(to->scale[4 * i + j], _mm512_mul_ps(d, _mm512_cvtepi32_ps(v)));
    }
}

static void unpack_q6_k(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n) {
    (void)n;
    scales_of_bytes(to, rows + 192, stride, f16_of_rows(rows + 206, stride, 16));
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
        {EXAONE_Q8_0, 128, unpack_q8_0},
        {EXAONE_Q4_K, 0, unpack_q4_k},
        {EXAONE_Q6_K, 32, unpack_q6_k},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        k->unpack_tile[FORMS[i].type] = FORMS[i].fn;
        k->tile_offset[FORMS[i].type] = FORMS[i].offset;
    }
}
#endif
