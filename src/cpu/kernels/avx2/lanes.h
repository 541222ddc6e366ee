/* What the kernels share: the 8 lanes of a register as one number, in a fixed order; loops without a loop. */
#ifndef EXAONE_CPU_KERNELS_AVX2_LANES_H
#define EXAONE_CPU_KERNELS_AVX2_LANES_H

#include <immintrin.h>
#include <stddef.h>

/* A loop over a number known when it is compiled, at most 16: none is left, so that arrays of registers are registers. */
#define EACH(i, n) _Pragma("GCC unroll 16") for (size_t i = 0; i < (n); i++)

static inline float exaone_reduce_8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
    return _mm_cvtss_f32(s);
}

/* The 8 lanes of each register as one number, in the same order. */
static inline __m128 exaone_reduce_4x8(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m256d ab = _mm256_castps_pd(_mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
    __m256d cd = _mm256_castps_pd(_mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31)));
    __m256 v = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
    v = _mm256_hadd_ps(v, v); /* a c a c | b d b d */
    return _mm_unpacklo_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

#endif
