/* Times kernels: the least of several pieces of a few hundred microseconds, after one call that warms the caches. */
#include "speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "zone.h"

enum { FLOATS = 1 << 19, BYTES = 1 << 21, PIECES = 8, MOST_ROWS = 256, FEATURES = 5120, BATCH = 4096 };

/* Memory of all forms, and what the running one computes. */
typedef struct job job;
typedef void run_fn(job *j);
struct job {
    const exaone_kernels *k;
    float *x, *y, *out; /* [FLOATS] */
    uint8_t *bytes;     /* [BYTES] */
    exaone_q8_tile *tiles;
    exaone_q8_panel *panels; /* [MOST_ROWS] */
    size_t rows, n, group;
    int offset, bits;
    bool has_min;
    exaone_dtype type;
    /* for speed_run's caller */
    bool (*wanted)(void *ctx, const char *kernel);
    double seconds;
    speed_tell *tell;
    void *ctx;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds_of(run_fn *fn, job *j) {
    double best = 1e9, end = now() + j->seconds;
    fn(j);
    size_t turns = 1;
    for (int piece = 0; piece < PIECES || now() < end; piece++) {
        double begin = now();
        for (size_t t = 0; t < turns; t++) {
            fn(j);
        }
        double took = now() - begin;
        best = took / (double)turns < best ? took / (double)turns : best;
        if (took < j->seconds / (2 * PIECES)) {
            turns *= 2;
            piece = -1;
        }
    }
    return best;
}

/* Tells the speed of fn, which does `amount` multiply-adds or moves so many bytes. */
static void time_it(job *j, const char *kernel, run_fn *fn, double amount, speed_wall wall, const char *form) {
    speed s = {.kernel = kernel, .wall = wall};
    snprintf(s.form, sizeof s.form, "%s", form);
    s.rate = amount / seconds_of(fn, j);
    j->tell(j->ctx, &s);
}

/* ---- plain types ---- */

#define RUN(name, call)                 \
    static void run_##name(job *j) {    \
        const exaone_kernels *k = j->k; \
        k->name call;                   \
    }
enum { OUTPUTS = 16, DEPTH = 64, HEAD = 128 };
RUN(matmul_f32, (j->out, OUTPUTS, j->x, FEATURES, j->rows, j->y, NULL, OUTPUTS, FEATURES))
RUN(matmul_bf16, (j->out, OUTPUTS, j->x, FEATURES, j->rows, j->y, NULL, OUTPUTS, FEATURES))
RUN(matmul_f16, (j->out, OUTPUTS, j->x, FEATURES, j->rows, j->y, NULL, OUTPUTS, FEATURES))
RUN(add_product_f32, (j->out, HEAD, j->x, DEPTH, j->rows, j->y, HEAD, HEAD, DEPTH))
RUN(add_product_bf16, (j->out, HEAD, j->x, DEPTH, j->rows, j->y, HEAD, HEAD, DEPTH))
RUN(add_product_f16, (j->out, HEAD, j->x, DEPTH, j->rows, j->y, HEAD, HEAD, DEPTH))
RUN(rms_norm, (j->out, j->x, j->y, FEATURES, 1e-5f))
RUN(transpose, (j->out, 64, j->x, 128, 64, 128))
RUN(f32_to_f16, (j->out, j->x, BATCH))
RUN(f32_to_bf16, (j->out, j->x, BATCH))
RUN(f32_to_q8_0, (j->out, j->x, BATCH))
RUN(f16_to_f32, (j->out, j->y, BATCH))
RUN(bf16_to_f32, (j->out, j->y, BATCH))
RUN(q8_0_to_f32, (j->out, j->bytes, BATCH))
RUN(i4_to_f32, (j->out, j->bytes, BATCH, 8, 0.01f))
RUN(e4m3_to_f32, (j->out, j->bytes, BATCH, 0.01f))
RUN(unpack_i4, ((int8_t *)j->out, j->bytes, BATCH, 8))

static void run_silu_mul(job *j) {
    memcpy(j->out, j->x, BATCH * sizeof *j->out); /* or the values would become ever smaller */
    j->k->silu_mul(j->out, j->y, BATCH);
}

static void run_softmax_exp(job *j) {
    float max = 1;
    memcpy(j->out, j->x, BATCH * sizeof *j->out);
    j->k->softmax_exp(j->out, BATCH, 0.5f, &max);
}

static void plain(job *j) {
#define MATMUL(name, wall_of)                                                               \
    for (size_t i = 0; j->wanted(j->ctx, #name) && i < sizeof ROWS / sizeof *ROWS; i++) {   \
        char form[48];                                                                      \
        j->rows = ROWS[i];                                                                  \
        snprintf(form, sizeof form, "%zu row%s", ROWS[i], ROWS[i] == 1 ? "" : "s");         \
        time_it(j, #name, run_##name, (double)ROWS[i] * OUTPUTS * FEATURES, wall_of, form); \
    }
#define PRODUCT(name, wall_of)                                                                          \
    for (size_t i = 0; j->wanted(j->ctx, #name) && i < 2; i++) {                                        \
        j->rows = i ? 60 : 5;                                                                           \
        time_it(j, #name, run_##name, (double)j->rows *HEAD *DEPTH, wall_of, i ? "60 rows" : "5 rows"); \
    }
    static const size_t ROWS[] = {1, 4, 12, 48};
    MATMUL(matmul_f32, SPEED_FMA)
    MATMUL(matmul_bf16, SPEED_BF16)
    MATMUL(matmul_f16, SPEED_FMA)
    PRODUCT(add_product_f32, SPEED_FMA)
    PRODUCT(add_product_bf16, SPEED_BF16)
    PRODUCT(add_product_f16, SPEED_FMA)
#define MOVE(name, bytes, form)                                              \
    if (j->wanted(j->ctx, #name)) {                                          \
        time_it(j, #name, run_##name, (double)(bytes), SPEED_READING, form); \
    }
    MOVE(rms_norm, FEATURES * 12, "5120 values")
    MOVE(silu_mul, BATCH * 12, "4096 values")
    MOVE(softmax_exp, BATCH * 8, "4096 values")
    MOVE(transpose, 64 * 128 * 8, "64 x 128")
    MOVE(f32_to_f16, BATCH * 6, "4096 values")
    MOVE(f32_to_bf16, BATCH * 6, "4096 values")
    MOVE(f32_to_q8_0, BATCH * 4 + BATCH / 32 * 34, "4096 values")
    MOVE(f16_to_f32, BATCH * 6, "4096 values")
    MOVE(bf16_to_f32, BATCH * 6, "4096 values")
    MOVE(q8_0_to_f32, BATCH * 4 + BATCH / 32 * 34, "4096 values")
    MOVE(unpack_i4, BATCH / 2, "I4, of stored bytes")
    MOVE(i4_to_f32, BATCH / 2, "I4, of stored bytes")
    MOVE(e4m3_to_f32, BATCH, "F8_E4M3, of stored bytes")
}

/* ---- rows of 8 bits ---- */

static exaone_q8_rows rows_of(const job *j) {
    float *scale = j->out + FLOATS / 2;
    size_t groups = FEATURES / 32 * 64;
    return (exaone_q8_rows){(int8_t *)j->bytes, scale, scale + groups, scale + 3 * groups};
}

static void run_quantize_q8(job *j) {
    exaone_q8_rows r = rows_of(j);
    j->k->quantize_q8(r.q, r.scale, r.sum_16, r.sum_32, j->x, FEATURES);
}

static exaone_q8_weights weights_of(const job *j) {
    return (exaone_q8_weights){(const int8_t *)j->y, j->x, j->has_min ? j->x : NULL, j->group};
}

static void run_dot_q8(job *j) {
    exaone_q8_rows x = rows_of(j);
    exaone_q8_weights w = weights_of(j);
    j->k->dot_q8(j->out, 1, &x, j->rows, &w, FEATURES, 0);
}

static void run_unpacked_to_f32(job *j) {
    exaone_q8_weights w = weights_of(j);
    j->k->unpacked_to_f32(j->out, &w, FEATURES);
}

static void run_unpack(job *j) {
    float *scale = j->out + FLOATS / 2;
    j->k->unpack[j->type](j->bytes, FEATURES, (int8_t *)j->out, scale, scale + FEATURES);
}

/* Both groups, without and with mins: forms of products of integers. */
static void each_form(job *j, const char *kernel, run_fn *fn, double macs_per_row, const size_t *rows, size_t n_rows) {
    static const exaone_dtype TYPES[] = {EXAONE_Q8_0, EXAONE_IQ4_XS, EXAONE_Q4_K, EXAONE_Q6_K, EXAONE_Q2_K};
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        j->group = exaone_blocks_group(TYPES[i]);
        j->has_min = exaone_blocks_have_min(TYPES[i]);
        j->offset = j->k->tile_offset[TYPES[i]];
        j->bits = j->k->tile_bits[TYPES[i]];
        for (size_t r = 0; r < n_rows; r++) {
            char form[48];
            j->rows = rows[r];
            snprintf(form, sizeof form, "%s, %zu row%s", exaone_dtype_get(TYPES[i])->name, j->rows, j->rows == 1 ? "" : "s");
            time_it(j, kernel, fn, macs_per_row * (double)j->rows, SPEED_INT8, form);
        }
    }
}

static void each_type(job *j, const char *kernel, run_fn *fn, const void *const *entries, size_t rows, size_t columns) {
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        const exaone_dtype_info *info = exaone_dtype_get((exaone_dtype)type);
        if (entries[type]) {
            j->type = (exaone_dtype)type;
            double bytes = (double)(rows * columns / info->block_elements * info->block_bytes);
            time_it(j, kernel, fn, bytes, SPEED_READING, info->name);
        }
    }
}

static void eight_bit(job *j) {
    static const size_t ROWS[] = {1, 4, 32};
    if (j->wanted(j->ctx, "quantize_q8")) {
        time_it(j, "quantize_q8", run_quantize_q8, FEATURES * 5, SPEED_READING, "5120 values");
    }
    if (j->wanted(j->ctx, "unpacked_to_f32")) {
        j->group = 32;
        j->has_min = true;
        time_it(j, "unpacked_to_f32", run_unpacked_to_f32, FEATURES * 5, SPEED_READING, "groups of 32, min");
    }
    if (j->wanted(j->ctx, "unpack")) {
        const void *entries[EXAONE_DTYPE_COUNT];
        memcpy(entries, j->k->unpack, sizeof entries);
        each_type(j, "unpack", run_unpack, entries, 1, FEATURES);
    }
    if (j->wanted(j->ctx, "dot_q8")) {
        each_form(j, "dot_q8", run_dot_q8, FEATURES, ROWS, sizeof ROWS / sizeof *ROWS);
    }
}

/* ---- tiles ---- */

static void run_panels_q8(job *j) {
    j->k->panels_q8(j->panels, 1, j->x, FEATURES, 32, 128);
}

static void run_interleave(job *j) {
    exaone_q8_weights w = weights_of(j);
    j->k->interleave(j->tiles, &w, EXAONE_TILE_COLUMNS);
}

static void run_unpack_tile(job *j) {
    size_t stride = 20 * 272; /* about a row of 5120 columns */
    j->k->unpack_tile[j->type](j->tiles, j->bytes, stride, EXAONE_TILE_COLUMNS);
}

static void run_unpack_tile_i4(job *j) {
    j->k->unpack_tile_i4(j->tiles, j->bytes, FEATURES / 2, EXAONE_TILE_COLUMNS, j->bytes);
}

static void run_one_row(job *j) {
    exaone_q8_fetch none = {0};
    j->k->one_row[j->type](j->out, j->panels, j->bytes, 20 * 272, EXAONE_TILE_COLUMNS, &none);
}

static void run_dot_tiles(job *j) {
    j->k->dot_tiles(j->out, j->panels, j->rows, j->tiles, EXAONE_TILE_COLUMNS, j->group, j->offset, j->bits, NULL);
}

static void tiles(job *j) {
    static const size_t ROWS[] = {1, 2, 3, 4, 6, 8, 16, 60, 256};
    size_t n = (size_t)EXAONE_TILE_OUTPUTS * EXAONE_TILE_COLUMNS;
    if (j->wanted(j->ctx, "panels_q8")) {
        time_it(j, "panels_q8", run_panels_q8, FEATURES * 5, SPEED_READING, "5120 values");
    }
    if (j->wanted(j->ctx, "interleave")) {
        j->group = 32;
        j->has_min = false;
        time_it(j, "interleave", run_interleave, (double)n, SPEED_READING, "groups of 32");
    }
    if (j->wanted(j->ctx, "unpack_tile")) {
        const void *entries[EXAONE_DTYPE_COUNT];
        memcpy(entries, j->k->unpack_tile, sizeof entries);
        each_type(j, "unpack_tile", run_unpack_tile, entries, EXAONE_TILE_OUTPUTS, EXAONE_TILE_COLUMNS);
    }
    if (j->wanted(j->ctx, "unpack_tile_i4")) {
        time_it(j, "unpack_tile_i4", run_unpack_tile_i4, (double)n / 2, SPEED_READING, "I4");
    }
    memset(j->panels, 1, MOST_ROWS * sizeof *j->panels); /* no scale or sum that slows multiplication down */
    if (j->wanted(j->ctx, "one_row")) {
        const void *entries[EXAONE_DTYPE_COUNT];
        memcpy(entries, j->k->one_row, sizeof entries);
        each_type(j, "one_row", run_one_row, entries, EXAONE_TILE_OUTPUTS, EXAONE_TILE_COLUMNS);
    }
    if (j->wanted(j->ctx, "dot_tiles")) {
        memset(j->tiles, 1, 2 * sizeof *j->tiles);
        memset(j->out, 0, FLOATS * sizeof *j->out);
        if (j->k->tiles_begin) {
            j->k->tiles_begin();
        }
        each_form(j, "dot_tiles", run_dot_tiles, 2 * (double)n, ROWS, sizeof ROWS / sizeof *ROWS);
        if (j->k->tiles_end) {
            j->k->tiles_end();
        }
    }
}

/* ---- planes ---- */

enum { PLANE_OUTPUTS = 256, PLANE_COLUMNS = 256, TILE_ROWS = EXAONE_PLANE_ROWS };
#define NUMBERS(from) ((uint16_t *)(void *)(from))
RUN(planes_split, (NUMBERS(j->out), j->x, FEATURES, TILE_ROWS, TILE_ROWS, FEATURES))
RUN(planes_out, (j->out, PLANE_OUTPUTS, j->y, j->rows, NULL, PLANE_OUTPUTS))

static void run_planes_weights(job *j) {
    j->k->planes_weights(NUMBERS(j->out), NUMBERS(j->y), FEATURES, EXAONE_PLANE_OUTPUTS, PLANE_COLUMNS);
}

static void run_planes_dot(job *j) {
    size_t width = j->rows == 1 ? 1 : TILE_ROWS;
    j->k->planes_dot(j->out, NUMBERS(j->y), PLANE_COLUMNS * EXAONE_PLANES * width, j->rows, width, NUMBERS(j->y),
                     PLANE_OUTPUTS / EXAONE_PLANE_OUTPUTS, PLANE_COLUMNS, true, NULL);
}

static void planes(job *j) {
    static const size_t ROWS[] = {1, 16, 32, 64, 256};
    if (j->wanted(j->ctx, "planes_split")) {
        time_it(j, "planes_split", run_planes_split, FEATURES * TILE_ROWS * (4 + 2 * EXAONE_PLANES), SPEED_READING,
                "16 rows");
    }
    if (j->wanted(j->ctx, "planes_weights")) {
        time_it(j, "planes_weights", run_planes_weights, EXAONE_PLANE_OUTPUTS * PLANE_COLUMNS * 2, SPEED_READING,
                "32 outputs");
    }
    for (size_t i = 0; j->wanted(j->ctx, "planes_dot") && i < sizeof ROWS / sizeof *ROWS; i++) {
        char form[48];
        j->rows = ROWS[i];
        snprintf(form, sizeof form, "three planes, %zu row%s", ROWS[i], ROWS[i] == 1 ? "" : "s");
        time_it(j, "planes_dot", run_planes_dot, (double)ROWS[i] * PLANE_OUTPUTS * PLANE_COLUMNS, SPEED_BF16, form);
    }
    if (j->wanted(j->ctx, "planes_out")) {
        j->rows = PLANE_OUTPUTS;
        time_it(j, "planes_out", run_planes_out, PLANE_OUTPUTS * PLANE_OUTPUTS * 8, SPEED_READING, "256 rows");
    }
}

bool speed_run(const exaone_kernels *k, bool (*wanted)(void *ctx, const char *kernel), double seconds, speed_tell *tell,
               void *ctx) {
    job j = {.k = k, .wanted = wanted, .seconds = seconds, .tell = tell, .ctx = ctx};
    j.x = exaone_mem_aligned(FLOATS, sizeof *j.x);
    j.y = exaone_mem_aligned(FLOATS, sizeof *j.y);
    j.out = exaone_mem_aligned(FLOATS, sizeof *j.out);
    j.bytes = exaone_mem_aligned(BYTES, 1);
    j.tiles = exaone_mem_aligned(2, sizeof *j.tiles);
    j.panels = exaone_mem_aligned(MOST_ROWS, sizeof *j.panels);
    bool ok = j.x && j.y && j.out && j.bytes && j.tiles && j.panels;
    for (size_t i = 0; ok && i < FLOATS; i++) {
        j.x[i] = noise_unit();
        uint32_t pair = exaone_f32_to_bf16(noise_unit()) * 0x10001u; /* a small number as f32, as two bf16, as two f16 */
        memcpy(j.y + i, &pair, sizeof pair);
    }
    for (size_t i = 0; ok && i < BYTES; i++) {
        j.bytes[i] = (uint8_t)(noise_next() % 13); /* blocks without huge scales, levels of every kind, zero points */
    }
    if (ok) {
        plain(&j);
        eight_bit(&j);
        tiles(&j);
        planes(&j);
    }
    free(j.x);
    free(j.y);
    free(j.out);
    free(j.bytes);
    free(j.tiles);
    free(j.panels);
    return ok;
}
