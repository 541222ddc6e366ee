/* What the kernels share: the 16 lanes of a register as one number, in a fixed order. */
#ifndef EXAONE_CPU_KERNELS_AVX512_REDUCE_H
#define EXAONE_CPU_KERNELS_AVX512_REDUCE_H

#include <immintrin.h>

/* The 16 lanes of each register as one number: first quarters, then neighbours. */
static inline __m128 exaone_reduce_4x16(__m512 a, __m512 b, __m512 c, __m512 d) {
    __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 v = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    v = _mm512_add_ps(v, _mm512_permute_ps(v, 0xb1));
    v = _mm512_add_ps(v, _mm512_permute_ps(v, 0x4e));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, v));
}

#endif
