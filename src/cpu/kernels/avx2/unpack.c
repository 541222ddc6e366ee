/* AVX2 forms of the block types' unpackers (tensor/blocks.c is their specification; the bits are the same). Types without
 * one here keep the plain C function. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

static inline float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

static inline __m128i load16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m256i load32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline void store32(int8_t *q, __m256i v) {
    _mm256_storeu_si256((__m256i *)(void *)q, v);
}

/* 16 bytes as 32: low halves, then high halves. */
static inline __m256i nibbles32(const uint8_t *p) {
    __m128i v = load16(p), low = _mm_set1_epi8(15);
    return _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(v, 4), low), _mm_and_si128(v, low));
}

/* Bit e of `bits` as byte e: 16 or 0. */
static inline __m256i fifth_bits(uint32_t bits) {
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i place = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), spread);
    v = _mm256_cmpeq_epi8(_mm256_and_si256(v, place), place);
    return _mm256_and_si256(v, _mm256_set1_epi8(16));
}

static inline uint32_t u32_at(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, 4);
    return u;
}

static void unpack_q4_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        store32(q + 32 * i, _mm256_sub_epi8(nibbles32(b + 2), _mm256_set1_epi8(8)));
    }
}

static void unpack_q4_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 20) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        store32(q + 32 * i, nibbles32(b + 4));
    }
}

static void unpack_q5_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 22) {
        scale[i] = f16_at(b);
        __m256i v = _mm256_or_si256(nibbles32(b + 6), fifth_bits(u32_at(b + 2)));
        store32(q + 32 * i, _mm256_sub_epi8(v, _mm256_set1_epi8(16)));
    }
}

static void unpack_q5_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 24) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        store32(q + 32 * i, _mm256_or_si256(nibbles32(b + 8), fifth_bits(u32_at(b + 4))));
    }
}

static void unpack_q8_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 34) {
        scale[i] = f16_at(b);
        store32(q + 32 * i, load32(b + 2));
    }
}

static inline __m256i table32(const uint8_t *p, const int8_t *values) {
    __m256i table = _mm256_broadcastsi128_si256(load16((const uint8_t *)values));
    return _mm256_shuffle_epi8(table, nibbles32(p));
}

static void unpack_iq4_nl(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        store32(q + 32 * i, table32(b + 2, exaone_iq4_values));
    }
}

static void unpack_mxfp4(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 17) {
        uint32_t e = b[0], bits = e >= 2 ? (e - 1) << 23 : UINT32_C(0x00200000) << e;
        memcpy(scale + i, &bits, 4);
        store32(q + 32 * i, table32(b + 1, exaone_mxfp4_values));
    }
}

/* ---- super-blocks of 256 -------------------------------------------------------------------------------------------------
 */

/* 8 scales and 8 mins of 6 bits each from 12 bytes: bytes 0-3 and 4-7 hold the first four of each with two more bits of the
 * later ones on top, bytes 8-11 the low four bits of the later ones. */
static inline void scales_of_6_bits(const uint8_t *b, float *scale, float *min) {
    uint32_t a = u32_at(b + 4), m = u32_at(b + 8), low = u32_at(b + 12);
    uint32_t scales_low = a & 0x3f3f3f3f, scales_high = (low & 0x0f0f0f0f) | (a >> 2 & 0x30303030);
    uint32_t mins_low = m & 0x3f3f3f3f, mins_high = (low >> 4 & 0x0f0f0f0f) | (m >> 2 & 0x30303030);
    __m128i s8 = _mm_set_epi32(0, 0, (int)scales_high, (int)scales_low);
    __m128i m8 = _mm_set_epi32(0, 0, (int)mins_high, (int)mins_low);
    __m256 s = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(s8)), t = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(m8));
    _mm256_storeu_ps(scale, _mm256_mul_ps(_mm256_set1_ps(f16_at(b)), s));
    _mm256_storeu_ps(min, _mm256_mul_ps(_mm256_set1_ps(f16_at(b + 2)), t));
}

static void unpack_q4_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const __m256i low = _mm256_set1_epi8(15);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 144, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        for (int c = 0; c < 4; c++) {
            __m256i v = load32(b + 16 + 32 * c);
            store32(q + 64 * c, _mm256_and_si256(v, low));
            store32(q + 64 * c + 32, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
        }
    }
}

static void unpack_q5_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const __m256i low = _mm256_set1_epi8(15), five = _mm256_set1_epi8(16);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 176, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        __m256i high = load32(b + 16);
        for (int c = 0; c < 4; c++) {
            __m256i v = load32(b + 48 + 32 * c);
            __m256i first = _mm256_and_si256(_mm256_slli_epi16(high, 4), five);
            __m256i second = _mm256_and_si256(_mm256_slli_epi16(high, 3), five);
            store32(q + 64 * c, _mm256_or_si256(_mm256_and_si256(v, low), first));
            store32(q + 64 * c + 32, _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v, 4), low), second));
            high = _mm256_srli_epi16(high, 2);
        }
    }
}

/* 16 signed bytes times d. */
static inline void scales_of_bytes(__m128i s, float d, float *scale) {
    _mm256_storeu_ps(scale, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s))));
    s = _mm_srli_si128(s, 8);
    _mm256_storeu_ps(scale + 8, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s))));
}

static void unpack_q6_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const __m256i low = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30), bias = _mm256_set1_epi8(32);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 210, q += 256) {
        scales_of_bytes(load16(b + 192), f16_at(b + 208), scale + 16 * i);
        for (int h = 0; h < 2; h++) {
            __m256i a = load32(b + 64 * h), c = load32(b + 64 * h + 32), g = load32(b + 128 + 32 * h);
            __m256i g0 = _mm256_and_si256(_mm256_slli_epi16(g, 4), two), g1 = _mm256_and_si256(_mm256_slli_epi16(g, 2), two);
            __m256i g2 = _mm256_and_si256(g, two), g3 = _mm256_and_si256(_mm256_srli_epi16(g, 2), two);
            int8_t *to = q + 128 * h;
            store32(to, _mm256_sub_epi8(_mm256_or_si256(_mm256_and_si256(a, low), g0), bias));
            store32(to + 32, _mm256_sub_epi8(_mm256_or_si256(_mm256_and_si256(c, low), g1), bias));
            a = _mm256_and_si256(_mm256_srli_epi16(a, 4), low);
            c = _mm256_and_si256(_mm256_srli_epi16(c, 4), low);
            store32(to + 64, _mm256_sub_epi8(_mm256_or_si256(a, g2), bias));
            store32(to + 96, _mm256_sub_epi8(_mm256_or_si256(c, g3), bias));
        }
    }
}

static void unpack_q2_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const __m256i two = _mm256_set1_epi8(3);
    const __m128i low = _mm_set1_epi8(15);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 84, q += 256) {
        __m128i s = load16(b);
        scales_of_bytes(_mm_and_si128(s, low), f16_at(b + 80), scale + 16 * i);
        scales_of_bytes(_mm_and_si128(_mm_srli_epi16(s, 4), low), f16_at(b + 82), min + 16 * i);
        for (int h = 0; h < 2; h++) {
            __m256i v = load32(b + 16 + 32 * h);
            for (int j = 0; j < 4; j++) {
                store32(q + 128 * h + 32 * j, _mm256_and_si256(v, two));
                v = _mm256_srli_epi16(v, 2);
            }
        }
    }
}

static void unpack_q3_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const __m256i two = _mm256_set1_epi8(3), one = _mm256_set1_epi8(1), four = _mm256_set1_epi8(4);
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 110, q += 256) {
        uint32_t low[2] = {u32_at(b + 96), u32_at(b + 100)}, high = u32_at(b + 104), s[4];
        for (int j = 0; j < 4; j++) { /* four scales each: low bits by halves of the first 8 bytes, two high bits on top */
            uint32_t nibble = (j < 2 ? low[j] : low[j - 2] >> 4) & 0x0f0f0f0f;
            s[j] = nibble | (high >> 2 * j & 0x03030303) << 4;
        }
        __m128i bytes = _mm_sub_epi8(_mm_set_epi32((int)s[3], (int)s[2], (int)s[1], (int)s[0]), _mm_set1_epi8(32));
        scales_of_bytes(bytes, f16_at(b + 108), scale + 16 * i);
        __m256i mask = load32(b);
        for (int h = 0; h < 2; h++) {
            __m256i v = load32(b + 32 + 32 * h);
            for (int j = 0; j < 4; j++) {
                /* 4 is taken away where the bit is not set */
                __m256i bit = _mm256_cmpeq_epi8(_mm256_and_si256(mask, one), _mm256_setzero_si256());
                __m256i value = _mm256_sub_epi8(_mm256_and_si256(v, two), _mm256_and_si256(bit, four));
                store32(q + 128 * h + 32 * j, value);
                v = _mm256_srli_epi16(v, 2);
                mask = _mm256_srli_epi16(mask, 1);
            }
        }
    }
}

static void unpack_iq4_xs(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 136, q += 256) {
        float d = f16_at(b);
        uint32_t low = u32_at(b + 4), high = (uint32_t)(b[2] | b[3] << 8);
        for (int j = 0; j < 8; j++) {
            int s = (int)((low >> 4 * j & 15) | (high >> 2 * j & 3) << 4);
            scale[8 * i + (size_t)j] = d * (float)(s - 32);
            store32(q + 32 * j, table32(b + 8 + 16 * j, exaone_iq4_values));
        }
    }
}

void exaone_kernels_avx2_unpack(exaone_kernels *k) {
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
