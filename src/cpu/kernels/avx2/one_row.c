/* One row of activations: 8 outputs at a time. Sums of 16 bits as in tiles.c: four quads of 4 or 5 bits fit, one of 6 bits
 * is made wide at once. Types of 8 bits are not faster than by tiles. */
#include "cpu/kernels/avx2/words.h"

#if defined(__x86_64__)
#define WITH_8_BITS 0

static inline __attribute__((always_inline)) words add_quad(words sum, words q, words x, size_t i, int bits) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i pairs = _mm256_maddubs_epi16((__m256i)q, (__m256i)x);
    if (bits == 6) {
        return (words)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16(pairs, ones));
    }
    pairs = _mm256_add_epi16((__m256i)sum, pairs);
    return (words)(i == 3 ? _mm256_madd_epi16(pairs, ones) : pairs);
}

#include "cpu/kernels/one_row.h"

void exaone_kernels_avx2_one_row(exaone_kernels *k) {
    set_one_row(k);
}
#endif
