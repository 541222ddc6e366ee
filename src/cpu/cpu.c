/* The CPU backend: splits each operation over the pool and calls kernels. Products are in matmul.c, attention in
 * attention.c. */
#include "cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "cpu/cpu_internal.h"

/* Element-wise work on rows. */
typedef struct {
    exaone_cpu *cpu;
    float *out;
    const float *a, *b;
    const float *c;
    size_t out_stride, a_stride, n_cols, n_heads;
    float eps;
} row_job;

enum { ROW_GRAIN_ELEMENTS = 8192 };

static void run_rows(exaone_cpu *cpu, row_job *j, size_t n, size_t cols, exaone_pool_fn *fn) {
    j->cpu = cpu;
    exaone_pool_run(cpu->pool, n, cols >= ROW_GRAIN_ELEMENTS ? 1 : ROW_GRAIN_ELEMENTS / cols, fn, j);
}

static void rms_norm_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const row_job *j = arg;
    for (size_t r = begin; r < end; r++) {
        j->cpu->kernels.rms_norm(j->out + r * j->out_stride, j->a + r * j->a_stride, j->b, j->n_cols, j->eps);
    }
}

static void op_rms_norm(exaone_backend *be, float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                        size_t n, size_t n_cols, float eps) {
    row_job j = {.out = out, .a = x, .b = w, .out_stride = out_stride, .a_stride = x_stride, .n_cols = n_cols, .eps = eps};
    run_rows(be->state, &j, n, n_cols, rms_norm_part);
}

static void add_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const row_job *j = arg;
    for (size_t i = begin * j->n_cols; i < end * j->n_cols; i++) {
        j->out[i] += j->a[i];
    }
}

static void op_add(exaone_backend *be, float *x, const float *y, size_t n, size_t n_cols) {
    row_job j = {.out = x, .a = y, .n_cols = n_cols};
    run_rows(be->state, &j, n, n_cols, add_part);
}

static void rope_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const row_job *j = arg;
    size_t half = j->n_cols / 2;
    for (size_t r = begin; r < end; r++) {
        const float *c = j->b + r * half, *s = j->c + r * half;
        for (size_t h = 0; h < j->n_heads; h++) {
            float *x = j->out + r * j->out_stride + h * j->n_cols;
            for (size_t i = 0; i < half; i++) { /* MODEL: element i pairs with i + half (rotate-half), not with i + 1 */
                float a = x[i], b = x[i + half];
                x[i] = a * c[i] - b * s[i];
                x[i + half] = b * c[i] + a * s[i];
            }
        }
    }
}

static void op_rope(exaone_backend *be, float *x, size_t stride, const float *cos_table, const float *sin_table, size_t n,
                    size_t n_heads, size_t head_dim) {
    row_job j = {.out = x, .b = cos_table, .c = sin_table, .out_stride = stride, .n_cols = head_dim, .n_heads = n_heads};
    run_rows(be->state, &j, n, n_heads * head_dim, rope_part);
}

static void silu_mul_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const row_job *j = arg;
    for (size_t r = begin; r < end; r++) {
        j->cpu->kernels.silu_mul(j->out + r * j->n_cols, j->a + r * j->n_cols, j->n_cols);
    }
}

static void op_silu_mul(exaone_backend *be, float *gate, const float *up, size_t n, size_t n_cols) {
    row_job j = {.out = gate, .a = up, .n_cols = n_cols};
    run_rows(be->state, &j, n, n_cols, silu_mul_part);
}

static void gelu_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const row_job *j = arg;
    for (size_t i = begin; i < end; i++) { /* MODEL: exact erf, not the tanh form */
        float x = j->out[i];
        j->out[i] = 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    }
}

static void op_gelu_erf(exaone_backend *be, float *x, size_t n) {
    exaone_cpu *cpu = be->state;
    row_job j = {.out = x};
    exaone_pool_run(cpu->pool, n, 4096, gelu_part, &j);
}

static void op_gather_rows(exaone_backend *be, float *out, const float *x, const int32_t *order, size_t n, size_t n_cols) {
    (void)be;
    for (size_t r = 0; r < n; r++) {
        memcpy(out + r * n_cols, x + (size_t)order[r] * n_cols, n_cols * sizeof *x);
    }
}

static void op_scatter_rows(exaone_backend *be, float *x, const float *y, const int32_t *order, size_t n, size_t n_cols) {
    (void)be;
    for (size_t r = 0; r < n; r++) {
        memcpy(x + (size_t)order[r] * n_cols, y + r * n_cols, n_cols * sizeof *x);
    }
}

static void *op_alloc(exaone_backend *be, size_t bytes) {
    (void)be;
    return exaone_mem_aligned(bytes, 1);
}

static void op_release(exaone_backend *be, void *device) {
    (void)be;
    free(device);
}

static void op_upload(exaone_backend *be, void *device, const void *host, size_t bytes) {
    (void)be;
    if (bytes) {
        memcpy(device, host, bytes);
    }
}

static void op_download(exaone_backend *be, void *host, const void *device, size_t bytes) {
    op_upload(be, host, device, bytes);
}

static void op_copy(exaone_backend *be, void *device, const void *from, size_t bytes) {
    op_upload(be, device, from, bytes);
}

static void op_close(exaone_backend *be) {
    if (be) {
        exaone_cpu *cpu = be->state;
        exaone_cpu_matmul_release(cpu);
        free(cpu->scratch);
        free(cpu->partials);
        free(cpu);
    }
}

const char *exaone_cpu_level_name(size_t i) {
    return exaone_kernels_level(i);
}

exaone_status exaone_cpu_open(exaone_pool *pool, const char *level, exaone_precision precision, exaone_backend **out,
                              exaone_error *err) {
    *out = NULL;
    exaone_cpu *cpu = exaone_mem_array(1, sizeof *cpu);
    if (!cpu) {
        return exaone_fail_memory(err, "the CPU backend", sizeof *cpu);
    }
    const char *installed = exaone_kernels_init(&cpu->kernels, level);
    if (!installed) {
        free(cpu);
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "cpu level %s is unknown or this machine lacks it", level);
    }
    cpu->pool = pool;
    cpu->precision = precision;
    size_t bytes = (size_t)exaone_pool_size(pool) * sizeof *cpu->scratch;
    cpu->scratch = exaone_mem_aligned(bytes, 1);
    cpu->partials = exaone_mem_array(EXAONE_PARTIAL_FLOATS, sizeof *cpu->partials);
    if (!cpu->scratch || !cpu->partials || !exaone_cpu_plain_init(cpu) || !exaone_cpu_matmul_init(cpu)) {
        free(cpu->chain_scratch);
        free(cpu->scratch);
        free(cpu->partials);
        free(cpu);
        return exaone_fail_memory(err, "kernel scratch", bytes);
    }
    cpu->be = (exaone_backend){
        .name = installed,
        .state = cpu,
        .close = op_close,
        .alloc = op_alloc,
        .release = op_release,
        .upload = op_upload,
        .download = op_download,
        .copy = op_copy,
        .prepare = exaone_cpu_prepare,
        .embed = exaone_cpu_embed,
        .matmul = exaone_cpu_matmul,
        .rms_norm = op_rms_norm,
        .add = op_add,
        .rope = op_rope,
        .silu_mul = op_silu_mul,
        .gelu_erf = op_gelu_erf,
        .gather_rows = op_gather_rows,
        .scatter_rows = op_scatter_rows,
        .store_kv = exaone_cpu_store_kv,
        .attention = exaone_cpu_attention,
        .segment_attention = exaone_cpu_segment_attention,
    };
    *out = &cpu->be;
    return EXAONE_OK;
}
