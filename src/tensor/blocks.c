/* The block types, one function each. See blocks.h; layouts and formulas: docs/model.md 12.7. */
#include "tensor/blocks.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"

const int8_t exaone_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t exaone_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static uint16_t u16_at(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float f16_at(const uint8_t *p) {
    return exaone_f16_to_f32(u16_at(p));
}

/* ---- blocks of 32 --------------------------------------------------------------------------------------------------------
 */

/* Byte j of 16 holds element j in its low half and j + 16 in its high half. */
static void nibbles(const uint8_t *qs, int8_t *q, int offset) {
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((qs[j] & 15) + offset);
        q[j + 16] = (int8_t)((qs[j] >> 4) + offset);
    }
}

static void nibbles_of_table(const uint8_t *qs, int8_t *q, const int8_t *table) {
    for (int j = 0; j < 16; j++) {
        q[j] = table[qs[j] & 15];
        q[j + 16] = table[qs[j] >> 4];
    }
}

/* The fifth bit of element e is bit e of `high`. */
static void add_fifth_bit(int8_t *q, uint32_t high) {
    for (int e = 0; e < 32; e++) {
        q[e] = (int8_t)(q[e] + (int)((high >> e & 1) << 4));
    }
}

static void unpack_q4_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        nibbles(b + 2, q + 32 * i, -8);
    }
}

static void unpack_q4_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 20) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        nibbles(b + 4, q + 32 * i, 0);
    }
}

static void unpack_q5_0(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 22) {
        scale[i] = f16_at(b);
        nibbles(b + 6, q + 32 * i, -16);
        add_fifth_bit(q + 32 * i, u32_at(b + 2));
    }
}

static void unpack_q5_1(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 24) {
        scale[i] = f16_at(b);
        min[i] = -f16_at(b + 2);
        nibbles(b + 8, q + 32 * i, 0);
        add_fifth_bit(q + 32 * i, u32_at(b + 4));
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
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 18) {
        scale[i] = f16_at(b);
        nibbles_of_table(b + 2, q + 32 * i, exaone_iq4_values);
    }
}

static void unpack_mxfp4(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 32; i++, b += 17) {
        uint32_t e = b[0]; /* the scale is 2^(e - 128), half of the E8M0 value: the table holds doubled values */
        scale[i] = exaone_f32_from_bits(e >= 2 ? (e - 1) << 23 : UINT32_C(0x00200000) << e);
        nibbles_of_table(b + 1, q + 32 * i, exaone_mxfp4_values);
    }
}

/* ---- super-blocks of 256 -------------------------------------------------------------------------------------------------
 */

/* Scale and min (6 bits each) of sub-block j of 8 in Q4_K and Q5_K. */
static void pair_of_6_bits(const uint8_t *s, int j, int *scale, int *min) {
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
        *min = s[j + 4] >> 4 | s[j] >> 6 << 4;
    }
}

static void scales_of_6_bits(const uint8_t *b, float *scale, float *min) {
    float d = f16_at(b), dmin = f16_at(b + 2);
    for (int j = 0; j < 8; j++) {
        int s, m;
        pair_of_6_bits(b + 4, j, &s, &m);
        scale[j] = d * (float)s;
        min[j] = dmin * (float)m;
    }
}

static void unpack_q4_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 144, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        for (int c = 0; c < 4; c++) {
            for (int l = 0; l < 32; l++) {
                q[64 * c + l] = (int8_t)(b[16 + 32 * c + l] & 15);
                q[64 * c + 32 + l] = (int8_t)(b[16 + 32 * c + l] >> 4);
            }
        }
    }
}

static void unpack_q5_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 176, q += 256) {
        scales_of_6_bits(b, scale + 8 * i, min + 8 * i);
        for (int c = 0; c < 4; c++) {
            for (int l = 0; l < 32; l++) {
                int low = b[48 + 32 * c + l], high = b[16 + l] >> 2 * c;
                q[64 * c + l] = (int8_t)((low & 15) | (high & 1) << 4);
                q[64 * c + 32 + l] = (int8_t)(low >> 4 | (high & 2) << 3);
            }
        }
    }
}

static void unpack_q6_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 210, q += 256) {
        float d = f16_at(b + 208);
        for (int j = 0; j < 16; j++) {
            int8_t s;
            memcpy(&s, b + 192 + j, 1);
            scale[16 * i + (size_t)j] = d * (float)s;
        }
        for (int h = 0; h < 2; h++) {
            const uint8_t *ql = b + 64 * h, *qh = b + 128 + 32 * h;
            for (int l = 0; l < 32; l++) {
                int8_t *to = q + 128 * h + l;
                to[0] = (int8_t)(((ql[l] & 15) | (qh[l] & 3) << 4) - 32);
                to[32] = (int8_t)(((ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4) - 32);
                to[64] = (int8_t)((ql[l] >> 4 | (qh[l] >> 4 & 3) << 4) - 32);
                to[96] = (int8_t)((ql[l + 32] >> 4 | qh[l] >> 6 << 4) - 32);
            }
        }
    }
}

static void unpack_q2_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 84, q += 256) {
        float d = f16_at(b + 80), dmin = f16_at(b + 82);
        for (size_t j = 0; j < 16; j++) {
            scale[16 * i + j] = d * (float)(b[j] & 15);
            min[16 * i + j] = dmin * (float)(b[j] >> 4);
        }
        for (int e = 0; e < 256; e++) {
            q[e] = (int8_t)(b[16 + e / 128 * 32 + e % 32] >> e / 32 % 4 * 2 & 3);
        }
    }
}

static void unpack_q3_k(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 110, q += 256) {
        const uint8_t *s = b + 96;
        float d = f16_at(b + 108);
        for (int j = 0; j < 16; j++) {
            int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
            int high = s[8 + j % 4] >> 2 * (j / 4) & 3;
            scale[16 * i + (size_t)j] = d * (float)((low | high << 4) - 32);
        }
        for (int e = 0; e < 256; e++) {
            int two = b[32 + e / 128 * 32 + e % 32] >> e / 32 % 4 * 2 & 3;
            q[e] = (int8_t)(two - (b[e % 32] >> e / 32 & 1 ? 0 : 4));
        }
    }
}

static void unpack_iq4_xs(const void *blocks, size_t n, int8_t *q, float *scale, float *min) {
    (void)min;
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n / 256; i++, b += 136, q += 256) {
        float d = f16_at(b);
        unsigned high = u16_at(b + 2);
        for (int j = 0; j < 8; j++) {
            int s = (b[4 + j / 2] >> 4 * (j % 2) & 15) | (int)(high >> 2 * j & 3) << 4;
            scale[8 * i + (size_t)j] = d * (float)(s - 32);
            nibbles_of_table(b + 8 + 16 * j, q + 32 * j, exaone_iq4_values);
        }
    }
}

/* ---- the table -----------------------------------------------------------------------------------------------------------
 */

typedef struct {
    exaone_unpack_fn *unpack;
    uint8_t group;
    bool has_min;
} form;

static const form FORMS[EXAONE_DTYPE_COUNT] = {
    [EXAONE_Q4_0] = {unpack_q4_0, 32, false},     [EXAONE_Q4_1] = {unpack_q4_1, 32, true},
    [EXAONE_Q5_0] = {unpack_q5_0, 32, false},     [EXAONE_Q5_1] = {unpack_q5_1, 32, true},
    [EXAONE_Q8_0] = {unpack_q8_0, 32, false},     [EXAONE_Q2_K] = {unpack_q2_k, 16, true},
    [EXAONE_Q3_K] = {unpack_q3_k, 16, false},     [EXAONE_Q4_K] = {unpack_q4_k, 32, true},
    [EXAONE_Q5_K] = {unpack_q5_k, 32, true},      [EXAONE_Q6_K] = {unpack_q6_k, 16, false},
    [EXAONE_IQ4_NL] = {unpack_iq4_nl, 32, false}, [EXAONE_IQ4_XS] = {unpack_iq4_xs, 32, false},
    [EXAONE_MXFP4] = {unpack_mxfp4, 32, false},
};

size_t exaone_blocks_group(exaone_dtype dtype) {
    return FORMS[dtype].group;
}

bool exaone_blocks_have_min(exaone_dtype dtype) {
    return FORMS[dtype].has_min;
}

exaone_unpack_fn *exaone_blocks_unpacker(exaone_dtype dtype) {
    assert(FORMS[dtype].unpack);
    return FORMS[dtype].unpack;
}
