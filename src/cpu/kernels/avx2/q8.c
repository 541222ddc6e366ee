/* AVX2 kernel of rows taken apart as f32 (products with them go by tiles: tiles.c). */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline __m256 to_f32(const int8_t *q) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)q)));
}

static void unpacked_to_f32(float *out, const exaone_q8_weights *w, size_t n) {
    for (size_t g = 0; g < n / w->group; g++) {
        __m256 scale = _mm256_set1_ps(w->scale[g]), min = _mm256_set1_ps(w->min ? w->min[g] : 0);
        for (size_t i = g * w->group; i < (g + 1) * w->group; i += 8) {
            _mm256_storeu_ps(out + i, _mm256_sub_ps(_mm256_mul_ps(scale, to_f32(w->q + i)), min));
        }
    }
}

void exaone_kernels_avx2_q8(exaone_kernels *k) {
    k->unpacked_to_f32 = unpacked_to_f32;
}
#endif
