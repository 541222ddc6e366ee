/* NEON kernels of types with scales in other tensors: the bits of scalar/scaled.c, whose values are exact before the one
 * product with the scale. */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include "base/half.h"
#include "cpu/kernels/neon/lanes.h"

/* 32 columns from 16 bytes: the low half of byte k is column 2k, the high half column 2k + 1. */
static inline int8x16x2_t columns32(const uint8_t *bytes, int zero) {
    uint8x16_t v = vld1q_u8(bytes), even = vandq_u8(v, vdupq_n_u8(15)), odd = vshrq_n_u8(v, 4);
    int8x16_t z = vdupq_n_s8((int8_t)zero);
    int8x16x2_t q;
    q.val[0] = vsubq_s8(vreinterpretq_s8_u8(vzip1q_u8(even, odd)), z);
    q.val[1] = vsubq_s8(vreinterpretq_s8_u8(vzip2q_u8(even, odd)), z);
    return q;
}

static inline int u4_at(const uint8_t *bytes, size_t i) {
    return bytes[i / 2] >> 4 * (i % 2) & 15;
}

static void unpack_i4(int8_t *q, const uint8_t *bytes, size_t n, int zero) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        int8x16x2_t v = columns32(bytes + i / 2, zero);
        vst1q_s8(q + i, v.val[0]);
        vst1q_s8(q + i + 16, v.val[1]);
    }
    for (; i < n; i++) {
        q[i] = (int8_t)(u4_at(bytes, i) - zero);
    }
}

static inline void store8(float *out, int8x8_t q, float scale) {
    int16x8_t h = vmovl_s8(q);
    vst1q_f32(out, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(h))), scale));
    vst1q_f32(out + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(h)), scale));
}

static void i4_to_f32(float *out, const uint8_t *bytes, size_t n, int zero, float scale) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        int8x16x2_t v = columns32(bytes + i / 2, zero);
        EACH(h, 2) {
            store8(out + i + 16 * h, vget_low_s8(v.val[h]), scale);
            store8(out + i + 16 * h + 8, vget_high_s8(v.val[h]), scale);
        }
    }
    for (; i < n; i++) {
        out[i] = (float)(u4_at(bytes, i) - zero) * scale;
    }
}

/* Exponent and mantissa go to the places of f32, with 120 added to the exponent; subnormals are small integers times 2^-9;
 * NaN has all seven bits set. */
static inline float32x4_t e4m3x4(uint16x4_t b) {
    const uint32x4_t seven = vdupq_n_u32(0x7f), quiet = vdupq_n_u32(0x7fc00000);
    uint32x4_t u = vmovl_u16(b), magnitude = vandq_u32(u, seven), sign = vshlq_n_u32(vshrq_n_u32(u, 7), 31);
    uint32x4_t normal = vaddq_u32(vshlq_n_u32(magnitude, 20), vdupq_n_u32(120 << 23));
    uint32x4_t small = vreinterpretq_u32_f32(vmulq_n_f32(vcvtq_f32_u32(magnitude), 0x1p-9f));
    uint32x4_t value = vbslq_u32(vcltq_u32(magnitude, vdupq_n_u32(8)), small, normal);
    value = vbslq_u32(vceqq_u32(magnitude, seven), quiet, value);
    return vreinterpretq_f32_u32(vorrq_u32(value, sign));
}

static void e4m3_to_f32(float *out, const uint8_t *x, size_t n, float scale) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint16x8_t b = vmovl_u8(vld1_u8(x + i));
        vst1q_f32(out + i, vmulq_n_f32(e4m3x4(vget_low_u16(b)), scale));
        vst1q_f32(out + i + 4, vmulq_n_f32(e4m3x4(vget_high_u16(b)), scale));
    }
    for (; i < n; i++) {
        out[i] = exaone_e4m3_to_f32(x[i]) * scale;
    }
}

void exaone_kernels_neon_scaled(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_SCALED(K)
#undef K
}
#endif
