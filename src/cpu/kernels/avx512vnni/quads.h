/* Turning 16 rows of bytes: 4 bytes of each row side by side. */
#ifndef EXAONE_CPU_KERNELS_AVX512VNNI_QUADS_H
#define EXAONE_CPU_KERNELS_AVX512VNNI_QUADS_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

static inline __m128i exaone_load16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* out[i] lane r = bytes 4i .. 4i + 3 of the 16 bytes at rows + r * stride. Rows r, r + 4, r + 8, r + 12 come into one
 * register by loading, so that only a turn of 4 by 4 inside lanes is left. */
static inline __attribute__((always_inline)) void exaone_quads(__m512i out[4], const uint8_t *rows, size_t stride) {
    const uint8_t *a = rows, *b = rows + 4 * stride, *c = rows + 8 * stride, *d = rows + 12 * stride;
    __m512i z[4];
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        z[j] = _mm512_castsi128_si512(exaone_load16(a + j * stride));
        z[j] = _mm512_inserti32x4(z[j], exaone_load16(b + j * stride), 1);
        z[j] = _mm512_inserti32x4(z[j], exaone_load16(c + j * stride), 2);
        z[j] = _mm512_inserti32x4(z[j], exaone_load16(d + j * stride), 3);
    }
    __m512i low_01 = _mm512_unpacklo_epi32(z[0], z[1]), low_23 = _mm512_unpacklo_epi32(z[2], z[3]);
    __m512i high_01 = _mm512_unpackhi_epi32(z[0], z[1]), high_23 = _mm512_unpackhi_epi32(z[2], z[3]);
    out[0] = _mm512_unpacklo_epi64(low_01, low_23);
    out[1] = _mm512_unpackhi_epi64(low_01, low_23);
    out[2] = _mm512_unpacklo_epi64(high_01, high_23);
    out[3] = _mm512_unpackhi_epi64(high_01, high_23);
}

#endif
