/* NEON kernels of block types, for processors without the dot product instructions: products of bytes in 16 bits, of which
 * two fit (2 * 128 * 127 < 2^15), then pairs in 32 bits. */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include "cpu/kernels/neon/lanes.h"
#include "cpu/kernels/neon/quantize.h"

static inline int32x4_t dot_16(int32x4_t sum, int8x16_t w, int8x16_t x) {
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(w), vget_low_s8(x)), w, x));
}

#include "cpu/kernels/neon/dot.h"

static void quantize_q8(int8_t *q, float *scale, float *sum_16, float *sum_32, const float *x, size_t n) {
    for (size_t g = 0; g < n / 32; g++) {
        int32_t sum[2];
        scale[g] = exaone_quantize_32(q + 32 * g, sum, x + 32 * g);
        sum_16[2 * g] = scale[g] * (float)sum[0];
        sum_16[2 * g + 1] = scale[g] * (float)sum[1];
        sum_32[g] = scale[g] * (float)(sum[0] + sum[1]);
    }
}

static void unpacked_to_f32(float *out, const exaone_q8_weights *w, size_t n) {
    for (size_t g = 0; g < n / w->group; g++) {
        float32x4_t scale = vdupq_n_f32(w->scale[g]), min = vdupq_n_f32(w->min ? w->min[g] : 0);
        for (size_t i = g * w->group; i < (g + 1) * w->group; i += 8) {
            int16x8_t q = vmovl_s8(vld1_s8(w->q + i));
            float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), high = vcvtq_f32_s32(vmovl_high_s16(q));
            vst1q_f32(out + i, vsubq_f32(vmulq_f32(scale, low), min));
            vst1q_f32(out + i + 4, vsubq_f32(vmulq_f32(scale, high), min));
        }
    }
}

void exaone_kernels_neon_q8(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_Q8(K)
#undef K
}
#endif
