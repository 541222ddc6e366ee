/* 32 activations as 8-bit integers: the bits of quantize_q8 in scalar/q8.c. */
#ifndef EXAONE_CPU_KERNELS_NEON_QUANTIZE_H
#define EXAONE_CPU_KERNELS_NEON_QUANTIZE_H

#include <math.h>
#include <stdint.h>

#include "cpu/kernels/neon/lanes.h"

#if defined(__aarch64__)

/* Returns the scale; sum[h] is the sum of q[16 h .. 16 h + 15]. */
static inline float exaone_quantize_32(int8_t *q, int32_t sum[2], const float *x) {
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    float32x4_t v[8];
    uint32x4_t top = vdupq_n_u32(0);
    EACH(i, 8) {
        v[i] = vld1q_f32(x + 4 * i);
        top = vmaxq_u32(top, vandq_u32(vreinterpretq_u32_f32(v[i]), magnitude));
    }
    uint32_t bits = vmaxvq_u32(top); /* magnitudes order as integers; from 0x7f800000 on: infinite or NaN */
    int finite = bits < 0x7f800000;
    float largest = finite ? vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(bits)), 0) : 0;
    float inverse = largest >= 0x1p-100f ? 127.0f / largest : 0;
    EACH(h, 2) {
        int32x4_t whole[4];
        EACH(i, 4) {
            float32x4_t scaled = finite ? vmulq_n_f32(v[4 * h + i], inverse) : vdupq_n_f32(0);
            whole[i] = vcvtnq_s32_f32(scaled);
        }
        sum[h] = vaddvq_s32(vaddq_s32(vaddq_s32(whole[0], whole[1]), vaddq_s32(whole[2], whole[3])));
        int16x8_t low = vcombine_s16(vmovn_s32(whole[0]), vmovn_s32(whole[1]));
        int16x8_t high = vcombine_s16(vmovn_s32(whole[2]), vmovn_s32(whole[3]));
        vst1q_s8(q + 16 * h, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    }
    return !finite ? NAN : inverse > 0 ? largest / 127.0f : 0;
}

#endif
#endif
