/* NEON forms of the block types' unpackers (tensor/blocks.c is their specification; the bits are the same). */
#include "cpu/kernels/kernels.h"

#if defined(__aarch64__)
#include "base/half.h"
#include "cpu/kernels/neon/lanes.h"

static inline float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return exaone_f16_to_f32(h);
}

static inline uint32_t u32_at(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, 4);
    return u;
}

static inline uint8x16_t low_halves(uint8x16_t v) {
    return vandq_u8(v, vdupq_n_u8(15));
}

/* Numbers 0 .. 255 less `offset`, as signed bytes. */
static inline void store16(int8_t *q, uint8x16_t v, uint8_t offset) {
    vst1q_s8(q, vreinterpretq_s8_u8(vsubq_u8(v, vdupq_n_u8(offset))));
}

/* 16 bytes as 32 numbers: low halves, then high halves. */
static inline void nibbles32(int8_t *q, const uint8_t *p, uint8_t offset) {
    uint8x16_t v = vld1q_u8(p);
    store16(q, low_halves(v), offset);
    store16(q + 16, vshrq_n_u8(v, 4), offset);
}

/* Bit e of 16 as byte e: 16 or 0. */
static inline uint8x16_t fifth_bits(const uint8_t *p) {
    const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t bits = vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1]));
    return vandq_u8(vtstq_u8(bits, place), vdupq_n_u8(16));
}

static inline void five_bits32(int8_t *q, const uint8_t *p, const uint8_t *high, uint8_t offset) {
    uint8x16_t v = vld1q_u8(p);
    store16(q, vorrq_u8(low_halves(v), fifth_bits(high)), offset);
    store16(q + 16, vorrq_u8(vshrq_n_u8(v, 4), fifth_bits(high + 2)), offset);
}

static inline void table32(int8_t *q, const uint8_t *p, int8x16_t table) {
    uint8x16_t v = vld1q_u8(p);
    vst1q_s8(q, vqtbl1q_s8(table, low_halves(v)));
    vst1q_s8(q + 16, vqtbl1q_s8(table, vshrq_n_u8(v, 4)));
}

static void unpack_q4_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        nibbles32(q + 32 * i, b + 2, 8);
    }
}

static void unpack_q4_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 20) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        nibbles32(q + 32 * i, b + 4, 0);
    }
}

static void unpack_q5_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 22) {
        scale[i] = f16_at(b);
        five_bits32(q + 32 * i, b + 6, b + 2, 16);
    }
}

static void unpack_q5_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 24) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        five_bits32(q + 32 * i, b + 8, b + 4, 0);
    }
}

static void unpack_q8_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 34) {
        scale[i] = f16_at(b);
        memcpy(q + 32 * i, b + 2, 32);
    }
}

static void unpack_iq4_nl(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const int8x16_t table = vld1q_s8(exaone_iq4_values);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        table32(q + 32 * i, b + 2, table);
    }
}

static void unpack_mxfp4(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const int8x16_t table = vld1q_s8(exaone_mxfp4_values);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 17) {
        uint32_t e = b[0];
        scale[i] = exaone_f32_from_bits(e >= 2 ? (e - 1) << 23 : UINT32_C(0x00200000) << e);
        table32(q + 32 * i, b + 1, table);
    }
}

/* ---- super-blocks of 256 -------------------------------------------------------------------------------------------------
 */

/* 16 bytes times d. */
static inline void scales_of_bytes(int8x16_t s, float d, float *scale) {
    int16x8_t half[2] = {vmovl_s8(vget_low_s8(s)), vmovl_high_s8(s)};
    EACH(i, 2) {
        vst1q_f32(scale + 8 * i, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(half[i]))), d));
        vst1q_f32(scale + 8 * i + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(half[i])), d));
    }
}

static inline void scales_of_word(uint32_t bytes, float d, float *scale) {
    uint16x8_t s = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes)));
    vst1q_f32(scale, vmulq_n_f32(vcvtq_f32_u32(vmovl_u16(vget_low_u16(s))), d));
}

/* 8 scales and 8 mins of 6 bits each from 12 bytes: bytes 0-3 and 4-7 hold the first four of each with two more bits of the
 * later ones on top, bytes 8-11 the low four bits of the later ones. */
static inline void scales_of_6_bits(const uint8_t *b, float *scale, float *min) {
    uint32_t a = u32_at(b + 4), m = u32_at(b + 8), low = u32_at(b + 12);
    float d = f16_at(b), dmin = f16_at(b + 2);
    scales_of_word(a & 0x3f3f3f3f, d, scale);
    scales_of_word((low & 0x0f0f0f0f) | (a >> 2 & 0x30303030), d, scale + 4);
    scales_of_word(m & 0x3f3f3f3f, dmin, min);
    scales_of_word((low >> 4 & 0x0f0f0f0f) | (m >> 2 & 0x30303030), dmin, min + 4);
}

static void unpack_q4_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 144, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        for (size_t c = 0; c < 4; c++) {
            EACH(h, 2) {
                uint8x16_t v = vld1q_u8(b + 16 + 32 * c + 16 * h);
                store16(q + 64 * c + 16 * h, low_halves(v), 0);
                store16(q + 64 * c + 32 + 16 * h, vshrq_n_u8(v, 4), 0);
            }
        }
    }
}

static void unpack_q5_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8x16_t five = vdupq_n_u8(16);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 176, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        EACH(h, 2) {
            uint8x16_t high = vld1q_u8(b + 16 + 16 * h);
            for (size_t c = 0; c < 4; c++) {
                uint8x16_t v = vld1q_u8(b + 48 + 32 * c + 16 * h);
                uint8x16_t first = vandq_u8(vshlq_n_u8(high, 4), five), second = vandq_u8(vshlq_n_u8(high, 3), five);
                store16(q + 64 * c + 16 * h, vorrq_u8(low_halves(v), first), 0);
                store16(q + 64 * c + 32 + 16 * h, vorrq_u8(vshrq_n_u8(v, 4), second), 0);
                high = vshrq_n_u8(high, 2);
            }
        }
    }
}

static void unpack_q6_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8x16_t two = vdupq_n_u8(0x30);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 210, q += 256) {
        scales_of_bytes(vreinterpretq_s8_u8(vld1q_u8(b + 192)), f16_at(b + 208), scale + 16 * i);
        for (size_t h = 0; h < 4; h++) { /* 16 of 32 columns of a half */
            const uint8_t *ql = b + h / 2 * 64 + h % 2 * 16, *qh = b + 128 + h * 16;
            int8_t *to = q + h / 2 * 128 + h % 2 * 16;
            uint8x16_t a = vld1q_u8(ql), c = vld1q_u8(ql + 32), g = vld1q_u8(qh);
            store16(to, vorrq_u8(low_halves(a), vandq_u8(vshlq_n_u8(g, 4), two)), 32);
            store16(to + 32, vorrq_u8(low_halves(c), vandq_u8(vshlq_n_u8(g, 2), two)), 32);
            store16(to + 64, vorrq_u8(vshrq_n_u8(a, 4), vandq_u8(g, two)), 32);
            store16(to + 96, vorrq_u8(vshrq_n_u8(c, 4), vandq_u8(vshrq_n_u8(g, 2), two)), 32);
        }
    }
}

static void unpack_q2_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 84, q += 256) {
        uint8x16_t s = vld1q_u8(b);
        scales_of_bytes(vreinterpretq_s8_u8(low_halves(s)), f16_at(b + 80), scale + 16 * i);
        scales_of_bytes(vreinterpretq_s8_u8(vshrq_n_u8(s, 4)), f16_at(b + 82), min + 16 * i);
        for (size_t h = 0; h < 4; h++) {
            uint8x16_t v = vld1q_u8(b + 16 + 16 * h);
            int8_t *to = q + h / 2 * 128 + h % 2 * 16;
            EACH(j, 4) {
                store16(to + 32 * j, vandq_u8(v, vdupq_n_u8(3)), 0);
                v = vshrq_n_u8(v, 2);
            }
        }
    }
}

static void unpack_q3_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 110, q += 256) {
        uint32_t low[2] = {u32_at(b + 96), u32_at(b + 100)}, high = u32_at(b + 104), s[4];
        for (int j = 0; j < 4; j++) { /* four scales each: low bits by halves of the first 8 bytes, two high bits on top */
            uint32_t nibble = (j < 2 ? low[j] : low[j - 2] >> 4) & 0x0f0f0f0f;
            s[j] = nibble | (high >> 2 * j & 0x03030303) << 4;
        }
        int8x16_t bytes = vsubq_s8(vreinterpretq_s8_u32(vld1q_u32(s)), vdupq_n_s8(32));
        scales_of_bytes(bytes, f16_at(b + 108), scale + 16 * i);
        for (size_t h = 0; h < 4; h++) {
            uint8x16_t v = vld1q_u8(b + 32 + 16 * h), mask = vld1q_u8(b + h % 2 * 16);
            mask = h < 2 ? mask : vshrq_n_u8(mask, 4);
            int8_t *to = q + h / 2 * 128 + h % 2 * 16;
            EACH(j, 4) {
                /* the third bit set, 4 is not taken away */
                uint8x16_t third = vandq_u8(vtstq_u8(mask, vdupq_n_u8(1)), vdupq_n_u8(4));
                store16(to + 32 * j, vorrq_u8(vandq_u8(v, vdupq_n_u8(3)), third), 4);
                v = vshrq_n_u8(v, 2);
                mask = vshrq_n_u8(mask, 1);
            }
        }
    }
}

static void unpack_iq4_xs(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const int8x16_t table = vld1q_s8(exaone_iq4_values);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 136, q += 256) {
        float d = f16_at(b);
        uint32_t low = u32_at(b + 4), high = (uint32_t)(b[2] | b[3] << 8);
        for (int j = 0; j < 8; j++) {
            int s = (int)((low >> 4 * j & 15) | (high >> 2 * j & 3) << 4);
            scale[8 * i + (size_t)j] = d * (float)(s - 32);
            table32(q + 32 * j, b + 8 + 16 * j, table);
        }
    }
}

void exaone_kernels_neon_unpack(exaone_kernels *k) {
    k->unpack[EXAONE_Q4_0] = unpack_q4_0;
    k->unpack[EXAONE_Q4_1] = unpack_q4_1;
    k->unpack[EXAONE_Q5_0] = unpack_q5_0;
    k->unpack[EXAONE_Q5_1] = unpack_q5_1;
    k->unpack[EXAONE_Q8_0] = unpack_q8_0;
    k->unpack[EXAONE_Q2_K] = unpack_q2_k;
    k->unpack[EXAONE_Q3_K] = unpack_q3_k;
    k->unpack[EXAONE_Q4_K] = unpack_q4_k;
    k->unpack[EXAONE_Q5_K] = unpack_q5_k;
    k->unpack[EXAONE_Q6_K] = unpack_q6_k;
    k->unpack[EXAONE_IQ4_NL] = unpack_iq4_nl;
    k->unpack[EXAONE_IQ4_XS] = unpack_iq4_xs;
    k->unpack[EXAONE_MXFP4] = unpack_mxfp4;
}
#endif
