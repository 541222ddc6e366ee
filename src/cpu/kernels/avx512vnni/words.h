/* Registers of 16 words, lanes being outputs: what tile_makers.h is written with. */
#ifndef EXAONE_CPU_KERNELS_AVX512VNNI_WORDS_H
#define EXAONE_CPU_KERNELS_AVX512VNNI_WORDS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512BW__)
#include <immintrin.h>

#define LANES 16
#define SMALL 0 /* weights may use all 8 bits */

typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t signed_words __attribute__((vector_size(64)));
typedef uint8_t bytes __attribute__((vector_size(64)));
typedef float floats __attribute__((vector_size(64)));

static inline __m128i load16(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

/* The same 16 bytes in each quarter. */
static inline words sixteen_bytes(const void *p) {
    return (words)_mm512_broadcast_i32x4(load16(p));
}

/* out[i] lane r = bytes 4i .. 4i + 3 of the 16 bytes at rows + r * stride. Rows r, r + 4, r + 8, r + 12 come into one
 * register by loading, so that only a turn of 4 by 4 inside quarters is left. */
static inline __attribute__((always_inline)) void quads_of_rows(words out[4], const uint8_t *rows, size_t stride) {
    __m512i z[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        const uint8_t *p = rows + j * stride;
        z[j] = _mm512_castsi128_si512(load16(p));
        z[j] = _mm512_inserti32x4(z[j], load16(p + 4 * stride), 1);
        z[j] = _mm512_inserti32x4(z[j], load16(p + 8 * stride), 2);
        z[j] = _mm512_inserti32x4(z[j], load16(p + 12 * stride), 3);
    }
    __m512i low_01 = _mm512_unpacklo_epi32(z[0], z[1]), low_23 = _mm512_unpacklo_epi32(z[2], z[3]);
    __m512i high_01 = _mm512_unpackhi_epi32(z[0], z[1]), high_23 = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = (words)_mm512_unpacklo_epi64(low_01, low_23);
    out[1] = (words)_mm512_unpackhi_epi64(low_01, low_23);
    out[2] = (words)_mm512_unpacklo_epi64(high_01, high_23);
    out[3] = (words)_mm512_unpackhi_epi64(high_01, high_23);
}

/* Four bytes of each row. */
static inline words word_of_rows(const uint8_t *rows, size_t stride) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return (words)_mm512_i32gather_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)stride)), rows, 1);
}

/* One byte of each of LANES outputs side by side. */
static inline words words_of_bytes(const uint8_t *p) {
    return (words)_mm512_cvtepu8_epi32(load16(p));
}

static inline words shuffle_bytes(words v, words index) {
    return (words)_mm512_shuffle_epi8((__m512i)v, (__m512i)index);
}

/* 16 in each byte of v that has the one bit of place. */
static inline words sixteen_where(words v, words place) {
    return (words)_mm512_maskz_mov_epi8(_mm512_test_epi8_mask((__m512i)v, (__m512i)place), _mm512_set1_epi8(16));
}

/* The f16 in the low half of each word. */
static inline floats low_f16(words v) {
    return (floats)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)v));
}

#endif
#endif
