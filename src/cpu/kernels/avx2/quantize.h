/* 32 activations as 8-bit integers: the bits of quantize_q8 in scalar/q8.c. */
#ifndef EXAONE_CPU_KERNELS_AVX2_QUANTIZE_H
#define EXAONE_CPU_KERNELS_AVX2_QUANTIZE_H

#include <math.h>
#include <stdint.h>

#include "cpu/kernels/avx2/lanes.h"

static inline int32_t exaone_reduce_epi32(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static inline int32_t exaone_max_epi32(__m256i v) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

/* Returns the scale; sum[h] is the sum of q[16 h .. 16 h + 15]. */
static inline float exaone_quantize_32(int8_t *q, int32_t sum[2], const float *x) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256 v[4];
    __m256i whole[4], top = _mm256_setzero_si256();
    EACH(i, 4) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
    }
    int32_t bits = exaone_max_epi32(top); /* magnitudes order as integers; from 0x7f800000 on: infinite or NaN */
    int finite = bits < 0x7f800000;
    float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
    float inverse = finite && largest >= 0x1p-100f ? 127.0f / largest : 0;
    EACH(i, 4) {
        __m256 scaled = finite ? _mm256_mul_ps(v[i], _mm256_set1_ps(inverse)) : _mm256_setzero_ps();
        whole[i] = _mm256_cvtps_epi32(scaled);
    }
    sum[0] = exaone_reduce_epi32(_mm256_add_epi32(whole[0], whole[1]));
    sum[1] = exaone_reduce_epi32(_mm256_add_epi32(whole[2], whole[3]));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
    _mm256_storeu_si256((__m256i *)(void *)q, _mm256_permutevar8x32_epi32(bytes, order));
    return !finite ? NAN : inverse > 0 ? largest / 127.0f : 0;
}

#endif
