/* AVX2 kernels of the KV cache's types: the bits of scalar/cached.c (every step is exact or one rounding). */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "base/half.h"

enum { GROUP = 32, BLOCK_BYTES = 34 };

static void f32_to_f16(void *out, const float *x, size_t n) {
    uint16_t *h = out;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i v = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm_storeu_si128((__m128i *)(void *)(h + i), v);
    }
    for (; i < n; i++) {
        h[i] = exaone_f32_to_f16(x[i]);
    }
}

static void f16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(h + i))));
    }
    for (; i < n; i++) {
        out[i] = exaone_f16_to_f32(h[i]);
    }
}

static void bf16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(h + i)));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)));
    }
    for (; i < n; i++) {
        out[i] = exaone_bf16_to_f32(h[i]);
    }
}

static void q8_0_to_f32(float *out, const void *x, size_t n) {
    for (const uint8_t *block = x; n >= GROUP; n -= GROUP, out += GROUP, block += BLOCK_BYTES) {
        uint16_t scale;
        memcpy(&scale, block, sizeof scale);
        __m256 d = _mm256_set1_ps(_cvtsh_ss(scale));
        for (size_t i = 0; i < GROUP; i += 8) {
            __m256i q = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(block + 2 + i)));
            _mm256_storeu_ps(out + i, _mm256_mul_ps(d, _mm256_cvtepi32_ps(q)));
        }
    }
}

void exaone_kernels_avx2_cached(exaone_kernels *k) {
    k->f32_to_f16 = f32_to_f16;
    k->f16_to_f32 = f16_to_f32;
    k->bf16_to_f32 = bf16_to_f32;
    k->q8_0_to_f32 = q8_0_to_f32;
}
#endif
