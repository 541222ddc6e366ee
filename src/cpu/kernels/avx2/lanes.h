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

#endif
