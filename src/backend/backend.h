/* The operation seam: everything the model asks of a device, as one closed list.
 *
 * A pointer marked /dev/ points to device memory: only the backend may read or write through it (on the CPU it is ordinary
 * memory). All activations are f32, row-major. The comment of each operation is its specification; src/cpu/kernels/scalar is
 * that specification in C and accumulates in double. A row's result never depends on the other rows nor on the number of
 * threads. Operations do not fail: sizes were checked and memory was planned before. */
#ifndef EXAONE_BACKEND_H
#define EXAONE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"
#include "tensor/matrix.h"

enum { EXAONE_KV_PAGE = 64 }; /* tokens per page of the KV cache */

/* The cache of one layer of one sequence. Token index i lives in slot i % ring, slot s in page s / EXAONE_KV_PAGE at place
 * s % EXAONE_KV_PAGE. */
typedef struct exaone_kv {
    /* Host tables of /dev/ pages. Values: [num_key_value_heads, EXAONE_KV_PAGE, head_dim] of v_type. Keys: the same of
     * k_type for Q8_0; else [num_key_value_heads, head_dim, EXAONE_KV_PAGE], as scores want them. */
    void **k_pages, **v_pages;
    size_t ring;                 /* slots; a multiple of EXAONE_KV_PAGE */
    exaone_dtype k_type, v_type; /* F32, F16, BF16 (rounded to nearest even), Q8_0 (rows of blocks of 32, tensor/blocks.h) */
} exaone_kv;

/* What one row of a batch is, and which keys it sees: indices begin .. index of its own sequence, without those whose
 * key_mask is 0. */
typedef struct exaone_row {
    size_t sequence;
    size_t index; /* place in the sequence */
    size_t begin; /* first visible index */
} exaone_row;

typedef struct exaone_attention {
    const exaone_row *rows; /* [n_rows] */
    size_t n_rows;
    const exaone_kv *kv;            /* [n_sequences] */
    const uint8_t *const *key_mask; /* [n_sequences] each [index] 0 or 1, or NULL: all visible; NULL: none has one */
    size_t num_attention_heads, num_key_value_heads, head_dim;
    float scale;
    float *probs; /*dev*/ /* [n_rows, num_attention_heads, probs_keys] or NULL; 0 where not visible */
    size_t probs_keys;
    size_t blind_keys; /* what a row that sees no key gives: the mean of v over indices 0 .. blind_keys - 1; 0: zeros */
} exaone_attention;

enum { EXAONE_MAX_HEAD_DIM = 512, EXAONE_MAX_HEAD_GROUP = 64 }; /* largest head_dim; most query heads per kv head */

/* Attention inside segments (vision): row r sees exactly the rows of its segment. */
typedef struct exaone_segments {
    const int32_t *bounds; /* [n_segments + 1] rising, first 0 */
    size_t n_segments;
    size_t num_heads, num_key_value_heads, head_dim;
    float scale;
} exaone_segments;

typedef struct exaone_backend exaone_backend;
struct exaone_backend {
    const char *name; /* level in use */
    void *state;
    void (*close)(exaone_backend *be);

    /* device memory: zeroed, 64-byte aligned; NULL when there is none left */
    void *(*alloc)(exaone_backend *be, size_t bytes);
    void (*release)(exaone_backend *be, void *device);
    void (*upload)(exaone_backend *be, void *device, const void *host, size_t bytes);
    void (*download)(exaone_backend *be, void *host, const void *device, size_t bytes);
    void (*copy)(exaone_backend *be, void *device, const void *from, size_t bytes); /* both are device memory, disjoint */

    /* Gets the memory that products need with quantised matrices of up to max_features and BF16 ones of up to max_bf16
     * columns. May fail; called while a model is bound, before any of the operations below. */
    exaone_status (*prepare)(exaone_backend *be, size_t max_features, size_t max_bf16, exaone_error *err);

    /* out[r] = row ids[r] of W as f32; ids on the host, inside the matrix */
    void (*embed)(exaone_backend *be, float *out, const exaone_matrix *w, const int32_t *ids, size_t n);
    /* out[r][o] = sum_i x[r][i] * W[o][i] + bias[o]; out [n, out_features] with row stride out_stride; out must not overlap
     * x */
    void (*matmul)(exaone_backend *be, float *out, size_t out_stride, const float *x, const exaone_matrix *w, size_t n);
    /* out[r] = w * x[r] / sqrt(mean(x[r]^2) + eps); out may be x; row strides in elements */
    void (*rms_norm)(exaone_backend *be, float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t n, size_t n_cols, float eps);
    /* x[r] += y[r], both [n, n_cols] */
    void (*add)(exaone_backend *be, float *x, const float *y, size_t n, size_t n_cols);
    /* rotate-half on x [n, n_heads, head_dim] (row stride in elements): with c, s = cos, sin [n, head_dim / 2]:
     * x'_i = x_i c_i - x_{i+half} s_i ; x'_{i+half} = x_{i+half} c_i + x_i s_i */
    void (*rope)(exaone_backend *be, float *x, size_t stride, const float *cos, const float *sin, size_t n, size_t n_heads,
                 size_t head_dim);
    /* gate = silu(gate) * up, silu(g) = g / (1 + exp(-g)); both [n, n_cols] */
    void (*silu_mul)(exaone_backend *be, float *gate, const float *up, size_t n, size_t n_cols);
    /* x = x/2 (1 + erf(x / sqrt 2)) */
    void (*gelu_erf)(exaone_backend *be, float *x, size_t n);
    /* out[r] = x[order[r]]; order on the host; out must not be x */
    void (*gather_rows)(exaone_backend *be, float *out, const float *x, const int32_t *order, size_t n, size_t n_cols);
    /* x[order[r]] = y[r] */
    void (*scatter_rows)(exaone_backend *be, float *x, const float *y, const int32_t *order, size_t n, size_t n_cols);
    /* writes k, v [n_rows, num_key_value_heads, head_dim] to the slots of their rows */
    void (*store_kv)(exaone_backend *be, const exaone_attention *a, const float *k, const float *v);
    /* out[r, h] = sum_j p_j v_j, p = softmax_j(scale * q[r, h] . k_j) over the visible keys of kv head h / (heads / kv
     * heads); a row that sees no key: blind_keys. q, out [n_rows, num_attention_heads, head_dim] */
    void (*attention)(exaone_backend *be, float *out, const float *q, const exaone_attention *a);
    /* the same inside segments, not causal; out, q [rows, num_heads, head_dim], k, v [rows, num_key_value_heads, head_dim]
     */
    void (*segment_attention)(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                              const exaone_segments *s);
};

#endif
