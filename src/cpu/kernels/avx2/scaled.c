/* AVX2 kernels of types with scales in other tensors. The bits are those of scalar/scaled.c: every step is exact but the one
 * product with the scale. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/half.h"

/* 32 columns from 16 bytes: the low half of byte k is column 2k, the high half column 2k + 1. */
static inline __m256i columns32(const uint8_t *bytes, int zero) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)bytes), low = _mm_set1_epi8(15);
    __m128i even = _mm_and_si128(v, low), odd = _mm_and_si128(_mm_srli_epi16(v, 4), low);
    __m256i u = _mm256_set_m128i(_mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd));
    return _mm256_sub_epi8(u, _mm256_set1_epi8((char)zero));
}

static inline int u4_at(const uint8_t *bytes, size_t i) {
    return bytes[i / 2] >> 4 * (i % 2) & 15;
}

static void unpack_i4(int8_t *q, const uint8_t *bytes, size_t n, int zero) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        _mm256_storeu_si256((__m256i *)(void *)(q + i), columns32(bytes + i / 2, zero));
    }
    for (; i < n; i++) {
        q[i] = (int8_t)(u4_at(bytes, i) - zero);
    }
}

static inline void store8(float *out, __m128i q, __m256 scale) {
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), scale));
}

static void i4_to_f32(float *out, const uint8_t *bytes, size_t n, int zero, float scale) {
    __m256 s = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i q = columns32(bytes + i / 2, zero);
        __m128i first = _mm256_castsi256_si128(q), second = _mm256_extracti128_si256(q, 1);
        store8(out + i, first, s);
        store8(out + i + 8, _mm_srli_si128(first, 8), s);
        store8(out + i + 16, second, s);
        store8(out + i + 24, _mm_srli_si128(second, 8), s);
    }
    for (; i < n; i++) {
        out[i] = (float)(u4_at(bytes, i) - zero) * scale;
    }
}

/* Exponent and mantissa go to the places of f32, with 120 added to the exponent; subnormals are small integers times 2^-9
 * (f32 subnormals on the way would be slow); NaN has all seven bits set. */
static void e4m3_to_f32(float *out, const uint8_t *x, size_t n, float scale) {
    const __m256 s = _mm256_set1_ps(scale), tiny = _mm256_set1_ps(0x1p-9f);
    const __m256i seven = _mm256_set1_epi32(0x7f), quiet = _mm256_set1_epi32(0x7fc00000);
    const __m256i bias = _mm256_set1_epi32(120 << 23), eight = _mm256_set1_epi32(8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(x + i)));
        __m256i magnitude = _mm256_and_si256(b, seven), sign = _mm256_slli_epi32(_mm256_srli_epi32(b, 7), 31);
        __m256 normal = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(magnitude, 20), bias));
        __m256 small = _mm256_mul_ps(_mm256_cvtepi32_ps(magnitude), tiny);
        __m256 value = _mm256_blendv_ps(normal, small, _mm256_castsi256_ps(_mm256_cmpgt_epi32(eight, magnitude)));
        __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi32(magnitude, seven), quiet);
        value = _mm256_or_ps(value, _mm256_castsi256_ps(_mm256_or_si256(nan, sign)));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(value, s));
    }
    for (; i < n; i++) {
        out[i] = exaone_e4m3_to_f32(x[i]) * scale;
    }
}

void exaone_kernels_avx2_scaled(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_SCALED(K)
#undef K
}
#endif
