/* The CPU kernel table: pointers and sizes only, no model, no threads, no allocation.
 *
 * Every level may replace an entry; the plain C version (scalar/) is the specification and accumulates in double. Within one
 * level the value of one output does not depend on how many rows or outputs a call computes. */
#ifndef EXAONE_CPU_KERNELS_H
#define EXAONE_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* out[r * out_stride + o] = sum_i x[r * x_stride + i] * w[o * n_in + i] + (bias ? bias[o] : 0), r < n_rows, o < n_out */
typedef void exaone_kernel_matmul(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows,
                                  const void *w, const float *bias, size_t n_out, size_t n_in);

/* One line per kernel: name, type of its parameters. */
#define EXAONE_KERNELS(K)                                                                                               \
    K(matmul_f32, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t))  \
    K(matmul_bf16, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t)) \
    K(matmul_f16, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t))  \
    /* out = w * x / sqrt(mean(x^2) + eps) over n values; out may be x */                                               \
    K(rms_norm, void, (float *out, const float *x, const float *w, size_t n, float eps))                                \
    /* gate = gate / (1 + exp(-gate)) * up */                                                                           \
    K(silu_mul, void, (float *gate, const float *up, size_t n))                                                         \
    /* *max = m = max(*max, scale * x); x = exp(scale * x - m), returns the sum; all 0 when m is -infinity; n >= 1 */   \
    K(softmax_exp, float, (float *x, size_t n, float scale, float *max))                                                \
    /* out[d] += sum_j p[j] * v[j * n_dim + d], j < n in rising order */                                                \
    K(weighted_sum, void, (float *out, const float *p, const float *v, size_t n, size_t n_dim))

typedef struct exaone_kernels {
#define K(name, result, args) result(*name) args;
    EXAONE_KERNELS(K)
#undef K
} exaone_kernels;

/* Fills the table with the best entries up to `level` ("scalar", "avx2"; NULL: the best of this machine). Returns the level
 * installed, or NULL when the level is unknown or this machine lacks it. */
const char *exaone_kernels_init(exaone_kernels *k, const char *level);
/* Levels that this machine can run, best last; NULL-terminated. */
const char *const *exaone_kernels_levels(void);

void exaone_kernels_scalar(exaone_kernels *k);
void exaone_kernels_avx2(exaone_kernels *k); /* defined where the compiler targets x86-64 */

#endif
