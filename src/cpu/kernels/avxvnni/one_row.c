/* One row of activations: 8 outputs at a time by vpdpbusd. */
#include "cpu/kernels/avx2/words.h"

#if defined(__x86_64__)
#define WITH_8_BITS 1

static inline words add_quad(words sum, words q, words x, size_t i, int bits) {
    (void)i;
    (void)bits;
    return (words)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)q, (__m256i)x);
}

#include "cpu/kernels/one_row.h"

void exaone_kernels_avxvnni_one_row(exaone_kernels *k) {
    set_one_row(k);
}
#endif
