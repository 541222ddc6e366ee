/* Plain C kernels: the specification of each. Sums are taken in double and rounded once. */
#include <math.h>

#include "base/half.h"
#include "cpu/kernels/kernels.h"

static float load_f32(const void *w, size_t i) {
    return ((const float *)w)[i];
}

static float load_bf16(const void *w, size_t i) {
    return exaone_bf16_to_f32(((const uint16_t *)w)[i]);
}

static float load_f16(const void *w, size_t i) {
    return exaone_f16_to_f32(((const uint16_t *)w)[i]);
}

#define MATMUL(type)                                                                                                        \
    static void matmul_##type(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, const void *w, \
                              const float *bias, size_t n_out, size_t n_in) {                                               \
        for (size_t r = 0; r < n_rows; r++) {                                                                               \
            for (size_t o = 0; o < n_out; o++) {                                                                            \
                double sum = bias ? (double)bias[o] : 0.0;                                                                  \
                for (size_t i = 0; i < n_in; i++) {                                                                         \
                    sum += (double)x[r * x_stride + i] * (double)load_##type(w, o * n_in + i);                              \
                }                                                                                                           \
                out[r * out_stride + o] = (float)sum;                                                                       \
            }                                                                                                               \
        }                                                                                                                   \
    }
MATMUL(f32)
MATMUL(bf16)
MATMUL(f16)

static void rms_norm(float *out, const float *x, const float *w, size_t n, float eps) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    float scale = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) {
        out[i] = w[i] * (x[i] * scale);
    }
}

static void silu_mul(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
    }
}

static float softmax_exp(float *x, size_t n, float scale, float *max) {
    float m = *max;
    for (size_t i = 0; i < n; i++) {
        x[i] *= scale;
        m = x[i] > m ? x[i] : m;
    }
    *max = m;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = m != -INFINITY ? expf(x[i] - m) : x[i] == m ? 0 : x[i]; /* a NaN stays one */
        sum += (double)x[i];
    }
    return (float)sum;
}

#define PRODUCT(type)                                                                                             \
    static void add_product_##type(float *out, size_t out_stride, const float *a, size_t a_stride, size_t n_rows, \
                                   const void *b, size_t b_stride, size_t n, size_t depth) {                      \
        for (size_t r = 0; r < n_rows; r++) {                                                                     \
            for (size_t c = 0; c < n; c++) {                                                                      \
                double sum = (double)out[r * out_stride + c];                                                     \
                for (size_t i = 0; i < depth; i++) {                                                              \
                    sum += (double)a[r * a_stride + i] * (double)load_##type(b, i * b_stride + c);                \
                }                                                                                                 \
                out[r * out_stride + c] = (float)sum;                                                             \
            }                                                                                                     \
        }                                                                                                         \
    }
PRODUCT(f32)
PRODUCT(f16)
PRODUCT(bf16)

static void transpose(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, size_t n) {
    for (size_t c = 0; c < n; c++) {
        for (size_t r = 0; r < n_rows; r++) {
            out[c * out_stride + r] = x[r * x_stride + c];
        }
    }
}

void exaone_kernels_scalar(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS(K)
#undef K
}
