/* Integer sums that need no conversion. A sum that begins at the bits of the number 1.5 * 2^23 ends, as long as it stays
 * below 2^22 in size, at the bits of 1.5 * 2^23 + sum: its last place is worth 1. Scales of every type have at most 22
 * significant bits (of an f16 times a small integer; scales of I4 are cut to that), so that the surplus times the scale is
 * exact, too, and one multiply-add gives scale * sum with one rounding, the bits that conversion and multiplication would
 * give. */
#ifndef EXAONE_CPU_KERNELS_AVX2_SUMS_H
#define EXAONE_CPU_KERNELS_AVX2_SUMS_H

enum { EXAONE_FLOAT_BITS = 0x4b400000 };
#define EXAONE_FLOAT_SURPLUS 0x1.8p23f

/* scale * sum, or scale * sum + t, rounded once, of 8 and of 16 lanes. `add` is a constant after inlining. */
#if defined(__AVX2__)
#include <immintrin.h>

static inline __attribute__((always_inline)) __m256 exaone_scaled_sum_8(__m256i bits, __m256 scale, __m256 t,
                                                                        const int add) {
    const __m256 surplus = _mm256_set1_ps(EXAONE_FLOAT_SURPLUS);
    __m256 whole = _mm256_castsi256_ps(bits);
    return add ? _mm256_fmadd_ps(_mm256_sub_ps(whole, surplus), scale, t)
               : _mm256_fmsub_ps(whole, scale, _mm256_mul_ps(scale, surplus));
}
#endif

#if defined(__AVX512F__)
static inline __attribute__((always_inline)) __m512 exaone_scaled_sum(__m512i bits, __m512 scale, __m512 t, const int add) {
    const __m512 surplus = _mm512_set1_ps(EXAONE_FLOAT_SURPLUS);
    __m512 whole = _mm512_castsi512_ps(bits);
    return add ? _mm512_fmadd_ps(_mm512_sub_ps(whole, surplus), scale, t)
               : _mm512_fmsub_ps(whole, scale, _mm512_mul_ps(scale, surplus));
}
#endif

#endif
