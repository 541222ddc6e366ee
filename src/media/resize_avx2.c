/* The horizontal pass of resize.c with AVX2: the same integer sums, four samples of three channels at a time.
 *
 * 16 bytes from a sample on hold four samples and a third. They go to both halves of a register, and a shuffle puts beside
 * each other what one multiply-add sums up: r0 r1, g0 g1, b0 b1 below, r2 r3, g2 g3, b2 b3 above, as 16-bit numbers. The two
 * halves are added at the end. Sums fit 31 bits in any order (resize.c), so no order shows. */
#include "media/resize_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

bool exaone_resize_has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

/* Four weights of 16 bits: the first two in every 32 bits below, the others above. */
AVX2 static inline __m256i four_weights(const int16_t *w) {
    int64_t bits;
    memcpy(&bits, w, sizeof bits);
    return _mm256_permutevar8x32_epi32(_mm256_set1_epi64x(bits), _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

uint32_t AVX2 exaone_resize_row_avx2(const exaone_resize_axis *a, const uint8_t *in, uint8_t *out) {
    const __m256i order = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, /* samples 0 and 1 */
                                           6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m128i half = _mm_set1_epi32(1 << (a->bits - 1)), shift = _mm_cvtsi32_si128(a->bits);
    size_t row = (size_t)a->n * 3, stride = (size_t)a->max_quads * a->parts * EXAONE_RESIZE_QUAD;
    for (uint32_t i = 0; i < a->m; i++) {
        uint32_t quads = (a->taps[i] + EXAONE_RESIZE_QUAD - 1) / EXAONE_RESIZE_QUAD;
        size_t at = (size_t)a->first[i] * 3;
        if (at + (size_t)quads * 12 + 4 > row || i + 1 == a->m) { /* four bytes are written of three */
            return i;
        }
        const int16_t *w = a->quads + i * stride;
        __m256i high = _mm256_setzero_si256(), low = high;
        for (uint32_t q = 0; q < quads; q++, at += 12, w += a->parts * EXAONE_RESIZE_QUAD) {
            __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(in + at)));
            values = _mm256_shuffle_epi8(values, order);
            high = _mm256_add_epi32(high, _mm256_madd_epi16(values, four_weights(w)));
            if (a->parts == 2) {
                low = _mm256_add_epi32(low, _mm256_madd_epi16(values, four_weights(w + EXAONE_RESIZE_QUAD)));
            }
        }
        __m256i both = a->parts == 2 ? _mm256_add_epi32(_mm256_slli_epi32(high, EXAONE_RESIZE_LOW), low) : high;
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
        sum = _mm_sra_epi32(_mm_add_epi32(sum, half), shift);
        sum = _mm_packs_epi32(sum, sum); /* clips to 16 bits, then to 0 .. 255 */
        int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
        memcpy(out + (size_t)i * 3, &pixel, sizeof pixel);
    }
    return a->m;
}

#else

bool exaone_resize_has_avx2(void) {
    return false;
}

uint32_t exaone_resize_row_avx2(const exaone_resize_axis *a, const uint8_t *in, uint8_t *out) {
    (void)a;
    (void)in;
    (void)out;
    return 0;
}

#endif
