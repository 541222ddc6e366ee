/* NEON kernels of the KV cache's types: the bits of scalar/cached.c (every step is exact or one rounding). */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include "base/half.h"
#include "cpu/kernels/neon/lanes.h"

enum { GROUP = 32, BLOCK_BYTES = 34 };

static void f32_to_f16(void *out, const float *x, size_t n) {
    uint16_t *h = out;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1_u16(h + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
    }
    for (; i < n; i++) {
        h[i] = exaone_f32_to_f16(x[i]);
    }
}

static void f32_to_bf16(void *out, const float *x, size_t n) {
    const uint32x4_t half = vdupq_n_u32(0x7fff), one = vdupq_n_u32(1), quiet = vdupq_n_u32(0x400000);
    uint16_t *h = out;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), one);
        uint32x4_t rounded = vaddq_u32(u, vaddq_u32(half, odd));
        vst1_u16(h + i, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, vorrq_u32(u, quiet)), 16));
    }
    for (; i < n; i++) {
        h[i] = exaone_f32_to_bf16(x[i]);
    }
}

static void f32_to_q8_0(void *out, const float *x, size_t n) {
    for (uint8_t *block = out; n >= GROUP; n -= GROUP, x += GROUP, block += BLOCK_BYTES) {
        float32x4_t v[8], most = vdupq_n_f32(0);
        EACH(i, 8) {
            v[i] = vld1q_f32(x + 4 * i);
            most = vmaxq_f32(most, vabsq_f32(v[i])); /* a NaN stays */
        }
        uint16_t scale = exaone_f32_to_f16(vmaxvq_f32(most) / 127);
        float d = exaone_f16_to_f32(scale), inverse = d > 0 && d < 65536 ? 1 / d : 0;
        memcpy(block, &scale, sizeof scale);
        int16x8_t h[4];
        EACH(i, 4) {
            int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i], inverse)); /* a NaN gives 0 */
            int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(v[2 * i + 1], inverse));
            h[i] = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
        }
        EACH(i, 2) {
            int8x16_t q = vcombine_s8(vqmovn_s16(h[2 * i]), vqmovn_s16(h[2 * i + 1]));
            vst1q_s8((int8_t *)block + 2 + 16 * i, vmaxq_s8(q, vdupq_n_s8(-127)));
        }
    }
}

static void f16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, exaone_f16x4(vld1_u16(h + i)));
    }
    for (; i < n; i++) {
        out[i] = exaone_f16_to_f32(h[i]);
    }
}

static void bf16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        vst1q_f32(out + i, exaone_bf16x4(vld1_u16(h + i)));
    }
    for (; i < n; i++) {
        out[i] = exaone_bf16_to_f32(h[i]);
    }
}

static void q8_0_to_f32(float *out, const void *x, size_t n) {
    for (const uint8_t *block = x; n >= GROUP; n -= GROUP, out += GROUP, block += BLOCK_BYTES) {
        uint16_t scale;
        memcpy(&scale, block, sizeof scale);
        float d = exaone_f16_to_f32(scale);
        EACH(i, 4) {
            int16x8_t q = vmovl_s8(vld1_s8((const int8_t *)block + 2 + 8 * i));
            vst1q_f32(out + 8 * i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), d));
            vst1q_f32(out + 8 * i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(q)), d));
        }
    }
}

void exaone_kernels_neon_cached(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_CACHED(K)
#undef K
}
#endif
