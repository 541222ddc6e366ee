/* Products with matrices of plain types (F32, BF16, F16): their kernels take them as they are stored. */
#include "cpu/cpu_internal.h"

enum {
    OUT_TILE = 16,              /* outputs per index handed out: four kernel tiles */
    MIN_WORK = 32 * 1024,       /* multiply-adds that are worth handing to a thread */
    CACHED_FLOATS = 256 * 1024, /* activations that pass over the weights together */
};

typedef struct {
    exaone_cpu *cpu;
    float *out;
    size_t out_stride;
    const float *x;
    const exaone_matrix *w;
    size_t n;
} job;

static void plain_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const job *j = arg;
    const exaone_matrix *w = j->w;
    size_t o0 = begin * OUT_TILE, o1 = end * OUT_TILE < w->out_features ? end * OUT_TILE : w->out_features;
    const exaone_kernels *k = &j->cpu->kernels;
    exaone_kernel_matmul *fn = w->dtype == EXAONE_F32    ? k->matmul_f32
                               : w->dtype == EXAONE_BF16 ? k->matmul_bf16
                                                         : k->matmul_f16;
    const uint8_t *data = (const uint8_t *)w->data + o0 * exaone_matrix_row_bytes(w);
    fn(j->out + o0, j->out_stride, j->x, w->in_features, j->n, data, w->bias ? w->bias + o0 : NULL, o1 - o0, w->in_features);
}

/* Rows whose activations stay in the cache while the weights pass, a multiple of the kernels' tiles. */
static size_t rows_at_a_time(size_t n_in) {
    size_t n = CACHED_FLOATS / n_in / 12 * 12;
    return n > 12 ? n : 12;
}

void exaone_cpu_matmul_plain(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                             size_t n) {
    if (w->dtype == EXAONE_BF16 && cpu->kernels.planes_dot) {
        exaone_cpu_matmul_bf16(cpu, out, out_stride, x, w, n);
        return;
    }
    size_t n_in = w->in_features, step = rows_at_a_time(n_in);
    for (size_t r = 0; r < n; r += step) {
        job j = {cpu, out + r * out_stride, out_stride, x + r * n_in, w, n - r < step ? n - r : step};
        size_t work = n_in * j.n * OUT_TILE;
        exaone_pool_run(cpu->pool, (w->out_features + OUT_TILE - 1) / OUT_TILE, work >= MIN_WORK ? 1 : MIN_WORK / work,
                        plain_part, &j);
    }
}
