/* Plain C kernels of the KV cache's types: the specification. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "cpu/kernels/kernels.h"

enum { GROUP = 32, BLOCK_BYTES = 34 }; /* Q8_0: an f16 scale and 32 signed bytes */

static void f32_to_f16(void *out, const float *x, size_t n) {
    uint16_t *h = out;
    for (size_t i = 0; i < n; i++) {
        h[i] = exaone_f32_to_f16(x[i]);
    }
}

static void f32_to_bf16(void *out, const float *x, size_t n) {
    uint16_t *h = out;
    for (size_t i = 0; i < n; i++) {
        h[i] = exaone_f32_to_bf16(x[i]);
    }
}

static void f32_to_q8_0(void *out, const float *x, size_t n) {
    for (uint8_t *block = out; n >= GROUP; n -= GROUP, x += GROUP, block += BLOCK_BYTES) {
        float most = 0;
        for (int i = 0; i < GROUP; i++) {
            float a = fabsf(x[i]);
            most = a > most || isnan(a) ? a : most; /* a NaN stays */
        }
        uint16_t scale = exaone_f32_to_f16(most / 127);
        float d = exaone_f16_to_f32(scale), inverse = d > 0 && isfinite(d) ? 1 / d : 0;
        memcpy(block, &scale, sizeof scale);
        for (int i = 0; i < GROUP; i++) {
            float q = inverse > 0 ? nearbyintf(x[i] * inverse) : 0;
            q = q > 127 ? 127 : q < -127 ? -127 : q;
            block[2 + i] = (uint8_t)(int8_t)q;
        }
    }
}

static void f16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    for (size_t i = 0; i < n; i++) {
        out[i] = exaone_f16_to_f32(h[i]);
    }
}

static void bf16_to_f32(float *out, const void *x, size_t n) {
    const uint16_t *h = x;
    for (size_t i = 0; i < n; i++) {
        out[i] = exaone_bf16_to_f32(h[i]);
    }
}

static void q8_0_to_f32(float *out, const void *x, size_t n) {
    for (const uint8_t *block = x; n >= GROUP; n -= GROUP, out += GROUP, block += BLOCK_BYTES) {
        uint16_t scale;
        memcpy(&scale, block, sizeof scale);
        float d = exaone_f16_to_f32(scale);
        for (int i = 0; i < GROUP; i++) {
            out[i] = d * (float)(int8_t)block[2 + i];
        }
    }
}

void exaone_kernels_scalar_cached(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_CACHED(K)
#undef K
}
