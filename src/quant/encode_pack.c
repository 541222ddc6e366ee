/* Bit layouts of the super-blocks: docs/model.md, "GGUF". */
#include <string.h>

#include "quant/encode_super.h"
#include "tensor/dtype.h"

static void put16(uint8_t *out, uint16_t v) {
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}

/* scales[16]; qs[64]; d; dmin */
static void pack_q2(const exaone_encode_super_scales *c, uint8_t *out) {
    for (int j = 0; j < 16; j++) {
        out[j] = (uint8_t)(c->scale[j] | c->min[j] << 4);
    }
    for (int e = 0; e < EXAONE_ENCODE_SUPER; e++) {
        out[16 + e / 128 * 32 + e % 32] |= (uint8_t)(c->q[e] << e % 128 / 32 * 2);
    }
    put16(out + 80, c->d);
    put16(out + 82, c->dmin);
}

/* hmask[32]; qs[64]; scales[12]; d: levels -4..3 as two low bits and a bit that is set for 0 and more */
static void pack_q3(const exaone_encode_super_scales *c, uint8_t *out) {
    for (int e = 0; e < EXAONE_ENCODE_SUPER; e++) {
        int level = c->q[e] + 4, step = e / 128 * 4 + e % 128 / 32;
        out[e % 32] |= (uint8_t)(level >> 2 << step);
        out[32 + e / 128 * 32 + e % 32] |= (uint8_t)((level & 3) << step % 4 * 2);
    }
    for (int i = 0; i < 16; i++) {
        int scale = c->scale[i] + 32;
        out[96 + i % 8] |= (uint8_t)((scale & 15) << i / 8 * 4);
        out[104 + i % 4] |= (uint8_t)(scale >> 4 << i / 4 * 2);
    }
    put16(out + 108, c->d);
}

/* The twelve bytes of eight 6-bit scales and minimums of Q4_K and Q5_K. */
static void pack_pairs(const exaone_encode_super_scales *c, uint8_t *out) {
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(c->scale[j] | c->scale[j + 4] >> 4 << 6);
        out[j + 4] = (uint8_t)(c->min[j] | c->min[j + 4] >> 4 << 6);
        out[j + 8] = (uint8_t)((c->scale[j + 4] & 15) | (c->min[j + 4] & 15) << 4);
    }
}

/* d; dmin; scales[12]; Q5_K: qh[32]; qs[128] */
static void pack_q4_q5(int fifth, const exaone_encode_super_scales *c, uint8_t *out) {
    put16(out, c->d);
    put16(out + 2, c->dmin);
    pack_pairs(c, out + 4);
    uint8_t *qh = out + 16, *qs = fifth ? out + 48 : out + 16;
    for (int e = 0; e < EXAONE_ENCODE_SUPER; e++) {
        qs[e / 64 * 32 + e % 32] |= (uint8_t)((c->q[e] & 15) << e % 64 / 32 * 4);
        if (fifth) {
            qh[e % 32] |= (uint8_t)(c->q[e] >> 4 << e / 32);
        }
    }
}

/* ql[128]; qh[64]; scales[16]; d: levels -32..31, the low four and the high two bits apart */
static void pack_q6(const exaone_encode_super_scales *c, uint8_t *out) {
    for (int e = 0; e < EXAONE_ENCODE_SUPER; e++) {
        int level = c->q[e] + 32, quarter = e % 128 / 32;
        out[e / 128 * 64 + quarter % 2 * 32 + e % 32] |= (uint8_t)((level & 15) << quarter / 2 * 4);
        out[128 + e / 128 * 32 + e % 32] |= (uint8_t)(level >> 4 << quarter * 2);
    }
    for (int i = 0; i < 16; i++) {
        out[192 + i] = (uint8_t)(int8_t)c->scale[i];
    }
    put16(out + 208, c->d);
}

/* d; scales_h; scales_l[4]; qs[128] */
static void pack_iq4_xs(const exaone_encode_super_scales *c, uint8_t *out) {
    unsigned high = 0;
    put16(out, c->d);
    for (int j = 0; j < 8; j++) {
        int scale = c->scale[j] + 32;
        out[4 + j / 2] |= (uint8_t)((scale & 15) << j % 2 * 4);
        high |= (unsigned)(scale >> 4) << 2 * j;
    }
    put16(out + 2, (uint16_t)high);
    for (int e = 0; e < EXAONE_ENCODE_SUPER; e++) {
        int level = 0;
        while (exaone_encode_iq4[level] < c->q[e]) {
            level++;
        }
        out[8 + e / 32 * 16 + e % 16] |= (uint8_t)(level << e % 32 / 16 * 4);
    }
}

void exaone_encode_super(int dtype, const exaone_encode_block *b, const float *nearest, uint8_t *out) {
    exaone_encode_super_scales c;
    exaone_encode_super_choose(dtype, b, nearest, &c);
    memset(out, 0, exaone_dtype_get((exaone_dtype)dtype)->block_bytes);
    switch (dtype) {
    case EXAONE_Q2_K:
        pack_q2(&c, out);
        break;
    case EXAONE_Q3_K:
        pack_q3(&c, out);
        break;
    case EXAONE_Q4_K:
        pack_q4_q5(0, &c, out);
        break;
    case EXAONE_Q5_K:
        pack_q4_q5(1, &c, out);
        break;
    case EXAONE_Q6_K:
        pack_q6(&c, out);
        break;
    default:
        pack_iq4_xs(&c, out);
        break;
    }
}
