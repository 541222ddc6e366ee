/* Kernels for processors with the dot product instructions of ARMv8.2 (FEAT_DotProd): four products of bytes per 32-bit lane
 * in one step. */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

static inline int32x4_t dot_16(int32x4_t sum, int8x16_t w, int8x16_t x) {
    return vdotq_s32(sum, w, x);
}

#include "cpu/kernels/neon/dot.h"

void exaone_kernels_dotprod(exaone_kernels *k) {
    k->dot_q8 = dot_q8;
}
#endif
