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
    MIN_TILE_WORK = 32 * 1024,  /* multiply-adds that are worth handing to a thread */
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

static bool is_scaled(const exaone_matrix *w) {
    return (EXAONE_DTYPE_BIT(w->dtype) & EXAONE_DTYPES_SCALED) != 0;
}

/* Whether rows are integers with a scale per 16 or 32 elements. */
static bool fits_q8(const exaone_matrix *w) {
    return !is_scaled(w) || (w->dtype == EXAONE_I4 && w->in_features % 32 == 0 && w->scales.cols_per_scale % 32 == 0);
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

/* ---- tiles ---------------------------------------------------------------------------------------------------------------
 */

enum {
    TILE_PAIR = 2 * EXAONE_TILE_OUTPUTS, /* outputs per index handed out */
    AHEAD = 512,                         /* bytes between weights being used and weights being fetched */
    PART_BYTES = 9 * 32                  /* of 256 columns of a row in any block type, at most (Q8_0: 272) */
};

/* One worker's memory for products by tiles. */
typedef struct exaone_tile_scratch {
    exaone_q8_tile tiles[2];
    float acc[EXAONE_CPU_ROWS][TILE_PAIR];
    int8_t q[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS]; /* rows taken apart */
    float scale[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS / 16], min[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS / 16];
    uint8_t rows[EXAONE_TILE_OUTPUTS][PART_BYTES]; /* the last rows of a matrix, filled up to 16 with zeros */
} tile_scratch;

static int tile_offset(const exaone_cpu *cpu, const exaone_matrix *w) {
    return cpu->kernels.tile_offset[w->dtype];
}

static size_t tile_group(const exaone_matrix *w) {
    return is_scaled(w) ? 32 : exaone_blocks_group(w->dtype);
}

/* The scale with the 22 significant bits that tiles take; only scales of type F32 have more, and lose 2^-22 of their size.
 */
static float short_scale(float scale) {
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    bits &= ~3U;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* All scales of up to 16 rows of an I4 matrix, [row, run of columns]. */
static void scales_of_rows(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, float *to) {
    const exaone_scales *g = &w->scales;
    size_t runs = (w->in_features - 1) / g->cols_per_scale + 1, size = exaone_dtype_get(g->dtype)->block_bytes;
    for (size_t r = 0; r < EXAONE_TILE_OUTPUTS && o + r < w->out_features; r++, to += runs) {
        const uint8_t *from = (const uint8_t *)g->data + (g->first_row + o + r) / g->rows_per_scale * g->stride * size;
        if (g->dtype == EXAONE_F32) {
            memcpy(to, from, runs * sizeof *to);
        } else {
            (g->dtype == EXAONE_F16 ? cpu->kernels.f16_to_f32 : cpu->kernels.bf16_to_f32)(to, from, runs);
        }
    }
}

/* Scales and zero points of columns c .. c + n - 1. */
static void groups_of_i4(const exaone_matrix *w, size_t o, size_t c, size_t n, const float *scales, exaone_q8_tile *to,
                         uint8_t (*zero)[EXAONE_TILE_OUTPUTS]) {
    const exaone_scales *s = &w->scales;
    size_t cols = s->cols_per_scale, runs = (w->in_features - 1) / cols + 1;
    size_t n_rows = w->out_features - o < EXAONE_TILE_OUTPUTS ? w->out_features - o : EXAONE_TILE_OUTPUTS;
    for (size_t g = 0; g < n / 32; g++) {
        size_t run = (c + 32 * g) / cols;
        if (g > 0 && run == (c + 32 * g - 32) / cols) {
            memcpy(to->scale[g], to->scale[g - 1], sizeof to->scale[g]);
            memcpy(zero[g], zero[g - 1], sizeof zero[g]);
            continue;
        }
        for (size_t i = 0; i < n_rows; i++) {
            size_t r = s->first_row + o + i;
            to->scale[g][i] = short_scale(scales[i * runs + run]);
            zero[g][i] =
                (uint8_t)(s->zero_points ? (uint32_t)s->zero_points[r / 8 * s->stride + run] >> 4 * (r % 8) & 15 : 8);
        }
    }
}

/* The bytes of a part of up to 16 rows, with rows of zeros when the matrix ends before; *stride: from row to row. */
static const uint8_t *sixteen_rows(const exaone_matrix *w, size_t o, size_t before, size_t bytes, tile_scratch *s,
                                   size_t *stride) {
    *stride = exaone_matrix_row_bytes(w);
    const uint8_t *from = (const uint8_t *)w->data + o * *stride + before;
    if (w->out_features - o >= EXAONE_TILE_OUTPUTS) {
        return from;
    }
    memset(s->rows, 0, sizeof s->rows);
    for (size_t r = 0; r < w->out_features - o; r++) {
        memcpy(s->rows[r], from + r * *stride, bytes);
    }
    *stride = PART_BYTES;
    return s->rows[0];
}

/* Columns c .. c + n - 1 of row o of an I4 matrix: as unpack_i4. */
static void part_of_i4(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, size_t c, size_t n, int8_t *q,
                       float *scale) {
    const uint8_t *row = (const uint8_t *)w->data + o * exaone_matrix_row_bytes(w);
    size_t cols = w->scales.cols_per_scale;
    for (size_t i = 0; i < n;) {
        float s;
        uint8_t zero;
        size_t left = cols - (c + i) % cols, run = left < n - i ? left : n - i;
        exaone_matrix_scales(w, o, (c + i) / cols, 1, &s, &zero);
        cpu->kernels.unpack_i4(q + i, row + (c + i) / 2, run, zero);
        for (size_t end = i + run; i < end; i += 32) {
            scale[i / 32] = short_scale(s);
        }
    }
}

/* The same for levels that have no maker of tiles for the type: row by row. */
static void fill_by_rows(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, size_t c, size_t n, tile_scratch *s,
                         exaone_q8_tile *to) {
    bool has_min = !is_scaled(w) && exaone_blocks_have_min(w->dtype);
    exaone_q8_weights parts = {s->q[0], s->scale[0], has_min ? s->min[0] : NULL, tile_group(w)};
    size_t row_bytes = exaone_matrix_row_bytes(w), before = 0;
    bool whole = w->dtype == EXAONE_I4 || exaone_dtype_row_bytes(w->dtype, c, &before);
    assert(whole);
    (void)whole;
    for (size_t r = 0; r < EXAONE_TILE_OUTPUTS && o + r < w->out_features; r++) {
        if (w->dtype == EXAONE_I4) {
            part_of_i4(cpu, w, o + r, c, n, s->q[r], s->scale[r]);
        } else {
            const uint8_t *from = (const uint8_t *)w->data + (o + r) * row_bytes + before;
            cpu->kernels.unpack[w->dtype](from, n, s->q[r], s->scale[r], s->min[r]);
        }
    }
    cpu->kernels.interleave(to, &parts, n);
}

/* Columns c .. c + n - 1 of up to 16 rows from o on; rows that there are not hold anything. scales: of an I4 matrix. */
static void fill_tile(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, size_t c, size_t n, const float *scales,
                      tile_scratch *s, exaone_q8_tile *to) {
    size_t before = c / 2, bytes = n / 2, stride;
    if (w->dtype == EXAONE_I4 ? !cpu->kernels.unpack_tile_i4 : !cpu->kernels.unpack_tile[w->dtype]) {
        fill_by_rows(cpu, w, o, c, n, s, to);
        return;
    }
    if (w->dtype == EXAONE_I4) {
        uint8_t zero[EXAONE_TILE_COLUMNS / 32][EXAONE_TILE_OUTPUTS] = {{0}};
        groups_of_i4(w, o, c, n, scales, to, zero);
        const uint8_t *rows = sixteen_rows(w, o, before, bytes, s, &stride);
        cpu->kernels.unpack_tile_i4(to, rows, stride, n, zero[0]);
        return;
    }
    bool whole = exaone_dtype_row_bytes(w->dtype, c, &before) && exaone_dtype_row_bytes(w->dtype, n, &bytes);
    assert(whole && bytes <= PART_BYTES);
    (void)whole;
    const uint8_t *rows = sixteen_rows(w, o, before, bytes, s, &stride);
    cpu->kernels.unpack_tile[w->dtype](to, rows, stride, n);
}

/* The part of 32 rows that is wanted some products after the one at byte `done` of each row: AHEAD bytes later, or in the
 * next 32 rows. */
static exaone_q8_fetch fetch_of(const exaone_matrix *w, size_t o, size_t done, size_t bytes) {
    size_t stride = exaone_matrix_row_bytes(w), skipped = done + AHEAD < stride ? 0 : TILE_PAIR - 1;
    const uint8_t *data = w->data;
    return (exaone_q8_fetch){data + (o + skipped) * stride + done + AHEAD, data + w->out_features * stride, stride, bytes};
}

static void tile_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    const exaone_matrix *w = j->w;
    const exaone_cpu *cpu = j->cpu;
    tile_scratch *s = cpu->tile_scratch + worker;
    float *values = scratch_of(cpu, worker).values; /* 4 max_features numbers; scales: at most a 32nd per row */
    float *scales[2] = {values, values + EXAONE_TILE_OUTPUTS * (cpu->max_features / 32)};
    size_t n_in = w->in_features, n_out = w->out_features, group = tile_group(w), row_bytes = exaone_matrix_row_bytes(w);
    for (size_t o = begin * TILE_PAIR; o < end * TILE_PAIR && o < n_out; o += TILE_PAIR) {
        size_t halves = n_out - o > EXAONE_TILE_OUTPUTS ? 2 : 1;
        memset(s->acc, 0, j->n * sizeof s->acc[0]);
        for (size_t half = 0; half < halves && w->dtype == EXAONE_I4; half++) {
            scales_of_rows(cpu, w, o + half * EXAONE_TILE_OUTPUTS, scales[half]);
        }
        for (size_t c = 0; c < n_in; c += EXAONE_TILE_COLUMNS) {
            size_t n = n_in - c < EXAONE_TILE_COLUMNS ? n_in - c : EXAONE_TILE_COLUMNS;
            for (size_t half = 0; half < halves; half++) {
                fill_tile(cpu, w, o + half * EXAONE_TILE_OUTPUTS, c, n, scales[half], s, &s->tiles[half]);
            }
            exaone_q8_fetch next = fetch_of(w, o, row_bytes * c / n_in, row_bytes * n / n_in);
            const exaone_q8_panel *x = cpu->panels + c / EXAONE_TILE_COLUMNS * j->n;
            cpu->kernels.dot_tiles(s->acc[0], x, j->n, s->tiles, n, group, tile_offset(cpu, w),
                                   cpu->kernels.tile_bits[w->dtype], &next);
        }
        size_t n = n_out - o < TILE_PAIR ? n_out - o : TILE_PAIR;
        for (size_t r = 0; r < j->n; r++) {
            float *to = j->out + r * j->out_stride + o;
            for (size_t i = 0; i < n; i++) {
                to[i] = s->acc[r][i] + (w->bias ? w->bias[o + i] : 0);
            }
        }
    }
}

static void panels_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const job *j = arg;
    const exaone_cpu *cpu = j->cpu;
    size_t n_in = j->w->in_features;
    for (size_t r = begin; r < end; r++) {
        cpu->kernels.panels_q8(cpu->panels + r, j->n, j->x + r * n_in, n_in, tile_group(j->w), tile_offset(cpu, j->w));
    }
}

/* ---- f32 -----------------------------------------------------------------------------------------------------------------
 */

/* What exaone_matrix_row_f32 gives, by kernels. */
static void row_f32(const exaone_cpu *cpu, const exaone_matrix *w, size_t o, unpacked_row *u, float *out) {
    if (is_scaled(w)) {
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
    pthread_mutex_destroy(&cpu->shared);
}

/* Whether this level multiplies by tiles. */
static bool has_tiles(const exaone_cpu *cpu) {
    return cpu->kernels.dot_tiles != NULL;
}

/* Activations made 8-bit at a time. */
static size_t q8_rows(const exaone_cpu *cpu) {
    return has_tiles(cpu) ? EXAONE_CPU_ROWS : ROWS_WITHOUT_TILES;
}

/* Memory of 8-bit rows of n columns, a multiple of 256. */
static bool reserve_rows(exaone_cpu *cpu, size_t n, size_t workers) {
    size_t rows = q8_rows(cpu) * n;
    if (has_tiles(cpu)) {
        cpu->panels = exaone_mem_aligned(rows / EXAONE_TILE_COLUMNS, sizeof *cpu->panels);
        cpu->tile_scratch = exaone_mem_aligned(workers, sizeof *cpu->tile_scratch);
        return cpu->panels && cpu->tile_scratch;
    }
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
    bool q8 = cpu->precision != EXAONE_PRECISION_F32 && fits_q8(w), tiles = q8 && has_tiles(cpu);
    exaone_pool_fn *part = tiles ? tile_part : q8 ? q8_part : f32_part;
    size_t n_in = w->in_features, outputs = tiles ? TILE_PAIR : OUT_TILE, step = q8 ? q8_rows(cpu) : rows_at_a_time(n_in);
    assert(n_in <= cpu->max_features);
    pthread_mutex_lock(&cpu->shared); /* of the scratch memory; the pool serves one session at a time anyway */
    for (size_t r = 0; r < n; r += step) {
        job j = {cpu, out + r * out_stride, out_stride, x + r * n_in, w, n - r < step ? n - r : step};
        if (q8) {
            size_t grain = n_in >= MIN_TILE_WORK ? 1 : MIN_TILE_WORK / n_in;
            exaone_pool_run(cpu->pool, j.n, grain, tiles ? panels_part : quantize_part, &j);
        }
        size_t work = n_in * j.n * outputs;
        exaone_pool_run(cpu->pool, (w->out_features + outputs - 1) / outputs,
                        work >= MIN_TILE_WORK ? 1 : MIN_TILE_WORK / work, part, &j);
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
