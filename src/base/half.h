/* bf16, f16 and e4m3: conversions to and from f32, round to nearest even, subnormals and infinities kept. */
#ifndef EXAONE_BASE_HALF_H
#define EXAONE_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t exaone_f32_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float exaone_f32_from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static inline float exaone_bf16_to_f32(uint16_t b) {
    return exaone_f32_from_bits((uint32_t)b << 16);
}

static inline uint16_t exaone_f32_to_bf16(float x) {
    uint32_t u = exaone_f32_bits(x);
    if ((u & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(u >> 16 | 0x40); /* NaN stays NaN */
    }
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float exaone_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 31) {
        return exaone_f32_from_bits(sign | 0x7f800000 | m << 13);
    }
    if (e == 0) {
        float tiny = (float)m * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    return exaone_f32_from_bits(sign | (e + 112) << 23 | m << 13);
}

static inline uint16_t exaone_f32_to_f16(float x) {
    uint32_t u = exaone_f32_bits(x);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffff;
    if (u > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (u >= 0x47800000) {
        return (uint16_t)(sign | 0x7c00); /* 65536 and more */
    }
    if (u < 0x38800000) { /* below 2^-14: subnormal; adding 0.5 shifts the bits into place and rounds */
        float shifted = exaone_f32_from_bits(u) + 0.5f;
        return (uint16_t)(sign | (exaone_f32_bits(shifted) - 0x3f000000));
    }
    uint32_t rounded = u + 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

/* e4m3fn: bias 7, no infinities, 0x7f and 0xff are NaN, largest 448. */
static inline float exaone_e4m3_to_f32(uint8_t b) {
    uint32_t sign = (uint32_t)(b & 0x80) << 24, e = b >> 3 & 15, m = b & 7;
    if (e == 15 && m == 7) {
        return exaone_f32_from_bits(sign | 0x7fc00000);
    }
    if (e == 0) {
        float tiny = (float)m * 0x1p-9f;
        return sign ? -tiny : tiny;
    }
    return exaone_f32_from_bits(sign | (e + 120) << 23 | m << 20);
}

#endif
