/* Plain C kernels of types with scales in other tensors: the specification of each. */
#include "base/half.h"
#include "cpu/kernels/kernels.h"

static int u4_at(const uint8_t *bytes, size_t i) {
    return bytes[i / 2] >> 4 * (i % 2) & 15;
}

static void unpack_i4(int8_t *q, const uint8_t *bytes, size_t n, int zero) {
    for (size_t i = 0; i < n; i++) {
        q[i] = (int8_t)(u4_at(bytes, i) - zero);
    }
}

static void i4_to_f32(float *out, const uint8_t *bytes, size_t n, int zero, float scale) {
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(u4_at(bytes, i) - zero) * scale;
    }
}

static void e4m3_to_f32(float *out, const uint8_t *x, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) {
        out[i] = exaone_e4m3_to_f32(x[i]) * scale;
    }
}

void exaone_kernels_scalar_scaled(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_SCALED(K)
#undef K
}
