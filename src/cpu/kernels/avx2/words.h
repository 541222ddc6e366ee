/* Registers of 8 words, lanes being outputs: what tile_makers.h is written with. */
#ifndef EXAONE_CPU_KERNELS_AVX2_WORDS_H
#define EXAONE_CPU_KERNELS_AVX2_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>

#define LANES 8
#define SMALL 1 /* weights of 4 bits are stored below 16 */

typedef uint32_t words __attribute__((vector_size(32)));
typedef int32_t signed_words __attribute__((vector_size(32)));
typedef uint8_t bytes __attribute__((vector_size(32)));
typedef float floats __attribute__((vector_size(32)));

static inline __m128i load16(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

/* The same 16 bytes in each half. */
static inline words sixteen_bytes(const void *p) {
    return (words)_mm256_broadcastsi128_si256(load16(p));
}

/* out[i] lane r = bytes 4i .. 4i + 3 of the 16 bytes at rows + r * stride. Rows r and r + 4 come into one register by
 * loading, so that only a turn of 4 by 4 inside halves is left. */
static inline __attribute__((always_inline)) void quads_of_rows(words out[4], const uint8_t *rows, size_t stride) {
    __m256i z[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        const uint8_t *p = rows + j * stride;
        z[j] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(p)), load16(p + 4 * stride), 1);
    }
    __m256i low_01 = _mm256_unpacklo_epi32(z[0], z[1]), low_23 = _mm256_unpacklo_epi32(z[2], z[3]);
    __m256i high_01 = _mm256_unpackhi_epi32(z[0], z[1]), high_23 = _mm256_unpackhi_epi32(z[2], z[3]);
    out[0] = (words)_mm256_unpacklo_epi64(low_01, low_23);
    out[1] = (words)_mm256_unpackhi_epi64(low_01, low_23);
    out[2] = (words)_mm256_unpacklo_epi64(high_01, high_23);
    out[3] = (words)_mm256_unpackhi_epi64(high_01, high_23);
}

/* Four bytes of each row. */
static inline words word_of_rows(const uint8_t *rows, size_t stride) {
    uint32_t word[LANES];
#pragma GCC unroll 8
    for (size_t r = 0; r < LANES; r++) {
        memcpy(word + r, rows + r * stride, 4);
    }
    return (words){word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]};
}

/* One byte of each of LANES outputs side by side. */
static inline words words_of_bytes(const uint8_t *p) {
    return (words)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

static inline words shuffle_bytes(words v, words index) {
    return (words)_mm256_shuffle_epi8((__m256i)v, (__m256i)index);
}

/* a * b + c, rounded once. */
static inline floats multiply_add(floats a, floats b, floats c) {
    return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

/* 16 in each byte of v that has the one bit of place. */
static inline words sixteen_where(words v, words place) {
    return (words)((bytes)(v & place) == (bytes)place) & 0x10101010;
}

/* The f16 in the low half of each word. */
static inline floats low_f16(words v) {
    __m256i low = (__m256i)(v & 0xffff);
    __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
    return (floats)_mm256_cvtph_ps(_mm256_castsi256_si128(halves));
}

#endif
#endif
