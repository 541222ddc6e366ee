/* Products with weight matrices, and rows of the embedding matrix.
 *
 * Plain types (F32, BF16, F16): matmul_plain.c. A row of another type is first taken apart into scratch memory
 * that stays in the cache, then multiplied with all rows of the call: as 8-bit integers with activations rounded to 8 bits,
 * or as f32 values with the kernel of F32 matrices, so that the result equals that of an F32 file (EXAONE_PRECISION_F32, and
 * always for what is no integer in groups of 16 or 32: F8_E4M3, and I4 with odd sizes). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "cpu/cpu_internal.h"

enum {
    OUT_TILE = 16,              /* outputs per index handed out: four kernel tiles */
    F32_ROWS = 4,               /* weight rows made f32 at a time: one kernel tile */
    MIN_WORK = 32 * 1024,       /* multiply-adds that are worth handing to a thread */
    CACHED_FLOATS = 256 * 1024, /* activations that pass over the weights together */
    ROWS_WITHOUT_TILES = 64     /* activations made 8-bit at a time by levels without tiles */
};

typedef struct {
    exaone_cpu *cpu;
    float *out;
    size_t out_stride;
    const float *x;
    const exaone_matrix *w;
    size_t n;
} job;

/* ---- other types ---------------------------------------------------------------------------------------------------------
 */

/* One worker's scratch: a row taken apart, and F32_ROWS rows of f32 values. */
typedef struct {
    float *scale, *min, *values;
    int8_t *q;
} unpacked_row;

static unpacked_row scratch_of(const exaone_cpu *cpu, int worker) {
    size_t n = cpu->max_features;
    unpacked_row u;
    u.scale = (float *)(void *)(cpu->unpacked + (size_t)worker * cpu->unpacked_bytes);
    u.min = u.scale + n / 16;
    u.values = u.min + n / 16;
    u.q = (int8_t *)(u.values + n * F32_ROWS);
    return u;
}

/* Whether rows are integers with a scale per 16 or 32 elements. */
static bool fits_q8(const exaone_matrix *w) {
    return !exaone_matrix_is_scaled(w) ||
           (w->dtype == EXAONE_I4 && w->in_features % 32 == 0 && w->scales.cols_per_scale % 32 == 0);
}

/* Calls fn for each run of columns of a row that share a scale. */
typedef void run_fn(const exaone_cpu *cpu, const uint8_t *row, size_t begin, size_t end, float scale, int zero, void *to);

static void each_run(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, run_fn *fn, void *to) {
    enum { RUNS = 64 };
    float scale[RUNS];
    uint8_t zero[RUNS];
    const uint8_t *row = (const uint8_t *)w->data + o * exaone_matrix_row_bytes(w);
    size_t n_in = w->in_features, cols = w->scales.cols_per_scale, n_runs = (n_in - 1) / cols + 1;
    for (size_t first = 0; first < n_runs; first += RUNS) {
        size_t n = n_runs - first < RUNS ? n_runs - first : RUNS;
        exaone_matrix_scales(w, o, first, n, scale, zero);
        for (size_t i = 0; i < n; i++) {
            size_t begin = (first + i) * cols;
            fn(cpu, row, begin, n_in - begin < cols ? n_in : begin + cols, scale[i], zero[i], to);
        }
    }
}

static void unpack_i4(const exaone_cpu *cpu, const uint8_t *row, size_t begin, size_t end, float scale, int zero, void *to) {
    const unpacked_row *u = to;
    cpu->kernels.unpack_i4(u->q + begin, row + begin / 2, end - begin, zero);
    for (size_t c = begin; c < end; c += 32) {
        u->scale[c / 32] = scale;
    }
}

static void i4_to_f32(const exaone_cpu *cpu, const uint8_t *row, size_t begin, size_t end, float scale, int zero, void *to) {
    cpu->kernels.i4_to_f32((float *)to + begin, row + begin / 2, end - begin, zero, scale);
}

static void e4m3_to_f32(const exaone_cpu *cpu, const uint8_t *row, size_t begin, size_t end, float scale, int zero,
                        void *to) {
    (void)zero;
    cpu->kernels.e4m3_to_f32((float *)to + begin, row + begin, end - begin, scale);
}

static exaone_q8_weights unpack(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, unpacked_row *u) {
    if (w->dtype == EXAONE_I4) {
        each_run(cpu, w, o, unpack_i4, u);
        return (exaone_q8_weights){u->q, u->scale, NULL, 32};
    }
    const uint8_t *data = (const uint8_t *)w->data + o * exaone_matrix_row_bytes(w);
    cpu->kernels.unpack[w->dtype](data, w->in_features, u->q, u->scale, u->min);
    return (exaone_q8_weights){u->q, u->scale, exaone_blocks_have_min(w->dtype) ? u->min : NULL,
                               exaone_blocks_group(w->dtype)};
}

static void q8_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    const exaone_matrix *w = j->w;
    const exaone_cpu *cpu = j->cpu;
    unpacked_row u = scratch_of(cpu, worker);
    size_t o1 = end * OUT_TILE < w->out_features ? end * OUT_TILE : w->out_features;
    for (size_t o = begin * OUT_TILE; o < o1; o++) {
        exaone_q8_weights row = unpack(cpu, w, o, &u);
        cpu->kernels.dot_q8(j->out + o, j->out_stride, &cpu->rows, j->n, &row, w->in_features, w->bias ? w->bias[o] : 0);
    }
}

/* ---- f32 -----------------------------------------------------------------------------------------------------------------
 */

/* What exaone_matrix_row_f32 gives, by kernels. */
static void row_f32(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, unpacked_row *u, float *out) {
    if (exaone_matrix_is_scaled(w)) {
        each_run(cpu, w, o, w->dtype == EXAONE_I4 ? i4_to_f32 : e4m3_to_f32, out);
        return;
    }
    exaone_q8_weights row = unpack(cpu, w, o, u);
    cpu->kernels.unpacked_to_f32(out, &row, w->in_features);
}

static void f32_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    const exaone_matrix *w = j->w;
    const exaone_cpu *cpu = j->cpu;
    unpacked_row u = scratch_of(cpu, worker);
    size_t n_in = w->in_features, o1 = end * OUT_TILE < w->out_features ? end * OUT_TILE : w->out_features;
    for (size_t o = begin * OUT_TILE; o < o1; o += F32_ROWS) {
        size_t n = o1 - o < F32_ROWS ? o1 - o : F32_ROWS;
        for (size_t i = 0; i < n; i++) {
            row_f32(cpu, w, o + i, &u, u.values + i * n_in);
        }
        cpu->kernels.matmul_f32(j->out + o, j->out_stride, j->x, n_in, j->n, u.values, w->bias ? w->bias + o : NULL, n,
                                n_in);
    }
}

static void quantize_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const job *j = arg;
    const exaone_q8_rows *rows = &j->cpu->rows;
    size_t n = j->w->in_features;
    for (size_t r = begin; r < end; r++) {
        j->cpu->kernels.quantize_q8(rows->q + r * n, rows->scale + r * (n / 32), rows->sum_16 + r * (n / 16),
                                    rows->sum_32 + r * (n / 32), j->x + r * n, n);
    }
}

/* ---- operations ----------------------------------------------------------------------------------------------------------
 */

bool exaone_cpu_matmul_init(exaone_cpu *cpu) {
    return pthread_mutex_init(&cpu->shared, NULL) == 0;
}

static void release_memory(exaone_cpu *cpu) {
    free(cpu->rows.q);
    free(cpu->rows.scale);
    free(cpu->rows.sum_16);
    free(cpu->rows.sum_32);
    free(cpu->unpacked);
    free(cpu->panels);
    free(cpu->tile_scratch);
    cpu->rows = (exaone_q8_rows){0};
    cpu->unpacked = NULL;
    cpu->panels = NULL;
    cpu->tile_scratch = NULL;
    cpu->max_features = 0;
}

void exaone_cpu_matmul_release(exaone_cpu *cpu) {
    release_memory(cpu);
    exaone_cpu_bf16_release(cpu);
    free(cpu->chain_scratch);
    pthread_mutex_destroy(&cpu->shared);
}

/* Whether this level multiplies by tiles. */
static bool has_tiles(const exaone_cpu *cpu) {
    return cpu->kernels.dot_tiles != NULL;
}

/* Memory of 8-bit rows of n columns, a multiple of 256. */
static bool reserve_rows(exaone_cpu *cpu, size_t n, size_t workers) {
    if (has_tiles(cpu)) {
        return exaone_cpu_tiles_reserve(cpu, n, workers);
    }
    size_t rows = ROWS_WITHOUT_TILES * n;
    cpu->rows.q = exaone_mem_aligned(rows, 1);
    cpu->rows.scale = exaone_mem_aligned(rows / 32, sizeof(float));
    cpu->rows.sum_16 = exaone_mem_aligned(rows / 16, sizeof(float));
    cpu->rows.sum_32 = exaone_mem_aligned(rows / 32, sizeof(float));
    return cpu->rows.q && cpu->rows.scale && cpu->rows.sum_16 && cpu->rows.sum_32;
}

exaone_status exaone_cpu_prepare(exaone_backend *be, size_t max_features, size_t max_bf16, exaone_error *err) {
    exaone_cpu *cpu = be->state;
    EXAONE_TRY(exaone_cpu_bf16_prepare(cpu, max_bf16, err));
    if (max_features <= cpu->max_features) {
        return EXAONE_OK;
    }
    size_t n = (max_features + 255) / 256 * 256, rows, workers = (size_t)exaone_pool_size(cpu->pool);
    if (n < max_features || !exaone_size_mul(EXAONE_CPU_ROWS, n, &rows) ||
        !exaone_size_mul(2 + F32_ROWS * sizeof(float), n, &cpu->unpacked_bytes)) { /* q, scale, min: 1.5 n */
        return exaone_fail_memory(err, "rows of weights", max_features);
    }
    release_memory(cpu);
    cpu->unpacked = exaone_mem_aligned(workers, cpu->unpacked_bytes);
    if (!cpu->unpacked || !reserve_rows(cpu, n, workers)) {
        release_memory(cpu);
        return exaone_fail_memory(err, "rows of weights", workers * cpu->unpacked_bytes + 2 * rows);
    }
    cpu->max_features = n;
    return EXAONE_OK;
}

/* Rows whose activations stay in the cache while the weights pass, a multiple of the kernels' tiles. */
static size_t rows_at_a_time(size_t n_in) {
    size_t n = CACHED_FLOATS / n_in / 12 * 12;
    return n > 12 ? n : 12;
}

void exaone_cpu_matmul(exaone_backend *be, float *out, size_t out_stride, const float *x, const exaone_matrix *w, size_t n) {
    exaone_cpu *cpu = be->state;
    assert(EXAONE_DTYPE_BIT(w->dtype) & (EXAONE_DTYPES_COMPUTED | EXAONE_DTYPES_SCALED));
    if (EXAONE_DTYPE_BIT(w->dtype) & EXAONE_DTYPES_FLOAT) {
        exaone_cpu_matmul_plain(cpu, out, out_stride, x, w, n);
        return;
    }
    bool q8 = cpu->precision != EXAONE_PRECISION_F32 && fits_q8(w);
    size_t n_in = w->in_features, step = q8 ? ROWS_WITHOUT_TILES : rows_at_a_time(n_in);
    assert(n_in <= cpu->max_features);
    pthread_mutex_lock(&cpu->shared); /* of the scratch memory; the pool serves one session at a time anyway */
    if (q8 && has_tiles(cpu)) {
        exaone_cpu_matmul_tiles(cpu, out, out_stride, x, w, n);
        n = 0;
    }
    for (size_t r = 0; r < n; r += step) {
        job j = {cpu, out + r * out_stride, out_stride, x + r * n_in, w, n - r < step ? n - r : step};
        if (q8) {
            exaone_pool_run(cpu->pool, j.n, n_in >= MIN_WORK ? 1 : MIN_WORK / n_in, quantize_part, &j);
        }
        size_t work = n_in * j.n * OUT_TILE;
        exaone_pool_run(cpu->pool, (w->out_features + OUT_TILE - 1) / OUT_TILE, work >= MIN_WORK ? 1 : MIN_WORK / work,
                        q8 ? q8_part : f32_part, &j);
    }
    pthread_mutex_unlock(&cpu->shared);
}

void exaone_cpu_embed(exaone_backend *be, float *out, const exaone_matrix *w, const int32_t *ids, size_t n) {
    (void)be;
    for (size_t r = 0; r < n; r++) {
        assert(ids[r] >= 0 && (size_t)ids[r] < w->out_features);
        exaone_matrix_row_f32(w, (size_t)ids[r], out + r * w->in_features);
    }
}
