/* Products with BF16 matrices at levels that multiply by planes (kernels.h): the activations of a call are made planes once,
 * for all threads; then blocks of outputs and rows are handed out.
 *
 * Of a block, the weights of some columns are brought together in the second cache, and the planes of 32 rows, which the
 * first holds, meet all of them, before the next 32. How a product is cut never shows in its bits. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "cpu/cpu_internal.h"

enum {
    STEP = EXAONE_PLANE_STEP,
    KEPT = 256,                  /* rows of the widest matrix whose planes are kept */
    ROWS = 512,                  /* of a block, at most */
    OUTPUTS = 256,               /* of a block, at most */
    COLUMNS = 128,               /* of the weights that are together */
    PAIR = EXAONE_PLANE_OUTPUTS, /* outputs of a block of few rows */
    FEW = 2 * EXAONE_PLANE_ROWS, /* rows that wait for memory */
    MIN_WORK = 32 * 1024         /* multiply-adds that are worth handing to a thread */
};

/* One worker's memory, 64-byte aligned. */
typedef struct exaone_plane_scratch {
    float acc[ROWS * OUTPUTS];
    uint16_t weights[OUTPUTS * (COLUMNS + STEP)];
} plane_scratch;

typedef struct {
    exaone_cpu *cpu;
    float *out;
    size_t out_stride;
    const float *x;
    const exaone_matrix *w;
    size_t n, width; /* rows; of a tile of planes */
    size_t outputs;  /* of a block */
} job;

static size_t steps_of(size_t n_in) {
    return (n_in + STEP - 1) / STEP;
}

/* Numbers of the planes of 16 rows. */
static size_t tile_numbers(const job *j) {
    return steps_of(j->w->in_features) * STEP * EXAONE_PLANES * j->width;
}

static void split_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const job *j = arg;
    size_t n_in = j->w->in_features;
    for (size_t t = begin; t < end; t++) {
        size_t r = t * EXAONE_PLANE_ROWS, rows = j->n - r < EXAONE_PLANE_ROWS ? j->n - r : EXAONE_PLANE_ROWS;
        j->cpu->kernels.planes_split(j->cpu->planes + t * tile_numbers(j), j->x + r * n_in, n_in, rows, j->width, n_in);
    }
}

/* Writes sums of rows by n_out outputs. What is not finite is computed again by the kernel without planes: a weight that is
 * an infinity, times a zero in a lower plane, gave a NaN where the whole number gives an infinity. */
static void finish(const job *j, const float *acc, size_t r, size_t rows, size_t o, size_t n_out) {
    const exaone_matrix *w = j->w;
    const uint16_t *data = w->data;
    const float *bias = w->bias ? w->bias + o : NULL;
    float *out = j->out + r * j->out_stride + o;
    if (j->cpu->kernels.planes_out(out, j->out_stride, acc, rows, bias, n_out)) {
        return;
    }
    for (size_t i = 0; i < rows * n_out; i++) {
        size_t row = i / n_out, at = i % n_out;
        if (!isfinite(out[row * j->out_stride + at])) {
            j->cpu->kernels.matmul_bf16(out + row * j->out_stride + at, j->out_stride, j->x + (r + row) * w->in_features,
                                        w->in_features, 1, data + (o + at) * w->in_features, bias ? bias + at : NULL, 1,
                                        w->in_features);
        }
    }
}

/* n_out outputs from o on of `rows` rows from r on. */
static void block(const job *j, plane_scratch *s, size_t r, size_t rows, size_t o, size_t n_out) {
    const exaone_kernels *k = &j->cpu->kernels;
    const uint16_t *data = j->w->data;
    size_t n_in = j->w->in_features, pairs = (n_out + PAIR - 1) / PAIR;
    for (size_t c = 0; c < n_in; c += COLUMNS) {
        size_t n = n_in - c < COLUMNS ? n_in - c : COLUMNS;
        const uint16_t *from = data + o * n_in + c;
        exaone_plane_fetch next = {c + COLUMNS < n_in ? from + COLUMNS : data + (o + n_out) * n_in, n_in, n_out};
        for (size_t p = 0; p < pairs; p++) {
            size_t left = n_out - p * PAIR;
            k->planes_weights(s->weights + p * PAIR * exaone_plane_stride(n), from + p * PAIR * n_in, n_in,
                              left < PAIR ? left : PAIR, n);
        }
        const uint16_t *x = j->cpu->planes + r / EXAONE_PLANE_ROWS * tile_numbers(j) + c * EXAONE_PLANES * j->width;
        k->planes_dot(s->acc, x, tile_numbers(j), rows, j->width, s->weights, pairs, n, c == 0, &next);
    }
    finish(j, s->acc, r, rows, o, n_out);
}

static void block_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    size_t row_blocks = (j->n + ROWS - 1) / ROWS, n_out = j->w->out_features;
    for (size_t i = begin; i < end; i++) {
        size_t r = i % row_blocks * ROWS, o = i / row_blocks * j->outputs;
        block(j, j->cpu->plane_scratch + worker, r, j->n - r < ROWS ? j->n - r : ROWS, o,
              n_out - o < j->outputs ? n_out - o : j->outputs);
    }
}

/* Few rows wait for memory: the weights go from it into the tiles. */
static void straight_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    float *acc = j->cpu->plane_scratch[worker].acc;
    size_t n_in = j->w->in_features, last = end * PAIR < j->w->out_features ? end * PAIR : j->w->out_features;
    for (size_t o = begin * PAIR; o < last;) {
        size_t n = last - o < OUTPUTS ? last - o : OUTPUTS;
        j->cpu->kernels.planes_straight(acc, j->cpu->planes, tile_numbers(j), j->n, j->width,
                                        (const uint16_t *)j->w->data + o * n_in, n_in, n, n_in);
        finish(j, acc, 0, j->n, o, n);
        o += n;
    }
}

static size_t grain(size_t work) {
    return work >= MIN_WORK ? 1 : MIN_WORK / work;
}

/* Outputs of a block of many rows: many, that meet the same planes, but work for everybody. */
static size_t outputs_of(const job *j) {
    size_t workers = (size_t)exaone_pool_size(j->cpu->pool), outputs = OUTPUTS;
    while (outputs > PAIR && j->w->out_features / outputs * ((j->n + ROWS - 1) / ROWS) < 4 * workers) {
        outputs /= 2;
    }
    return outputs;
}

void exaone_cpu_matmul_bf16(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                            size_t n) {
    size_t n_in = w->in_features, most = cpu->max_bf16 * KEPT / (steps_of(n_in) * STEP) / KEPT * KEPT;
    assert(n_in <= cpu->max_bf16);
    pthread_mutex_lock(&cpu->shared);
    for (size_t r = 0; r < n; r += most) {
        job j = {.cpu = cpu, .out = out + r * out_stride, .out_stride = out_stride, .x = x + r * n_in, .w = w};
        j.n = n - r < most ? n - r : most;
        j.width = EXAONE_PLANE_ROWS;
        while (j.width / 2 >= j.n) {
            j.width /= 2;
        }
        bool few = j.n <= FEW;
        j.outputs = few ? PAIR : outputs_of(&j);
        size_t tiles = (j.n + EXAONE_PLANE_ROWS - 1) / EXAONE_PLANE_ROWS;
        size_t blocks = (w->out_features + j.outputs - 1) / j.outputs * ((j.n + ROWS - 1) / ROWS);
        exaone_pool_run(cpu->pool, tiles, grain(n_in * j.width * EXAONE_PLANES), split_part, &j);
        exaone_pool_run(cpu->pool, blocks, grain(n_in * j.outputs * (j.n < ROWS ? j.n : ROWS)),
                        few ? straight_part : block_part, &j);
    }
    pthread_mutex_unlock(&cpu->shared);
}

void exaone_cpu_bf16_release(exaone_cpu *cpu) {
    free(cpu->planes);
    free(cpu->plane_scratch);
    cpu->planes = NULL;
    cpu->plane_scratch = NULL;
    cpu->max_bf16 = 0;
}

exaone_status exaone_cpu_bf16_prepare(exaone_cpu *cpu, size_t max_bf16, exaone_error *err) {
    if (!cpu->kernels.planes_dot || max_bf16 <= cpu->max_bf16) {
        return EXAONE_OK;
    }
    size_t bytes, workers = (size_t)exaone_pool_size(cpu->pool);
    if (!exaone_size_mul(max_bf16, KEPT * EXAONE_PLANES * sizeof *cpu->planes, &bytes) ||
        max_bf16 > SIZE_MAX / 2 / (KEPT * EXAONE_PLANES * sizeof *cpu->planes)) {
        return exaone_fail_memory(err, "rows of activations", max_bf16);
    }
    exaone_cpu_bf16_release(cpu);
    size_t n = steps_of(max_bf16) * STEP;
    /* not exaone_mem_aligned: pages that no product needs stay away */
    cpu->planes = aligned_alloc(64, n * KEPT * EXAONE_PLANES * sizeof *cpu->planes);
    cpu->plane_scratch = aligned_alloc(64, workers * sizeof *cpu->plane_scratch);
    if (!cpu->planes || !cpu->plane_scratch) {
        exaone_cpu_bf16_release(cpu);
        return exaone_fail_memory(err, "rows of activations", bytes + workers * sizeof *cpu->plane_scratch);
    }
    cpu->max_bf16 = n;
    return EXAONE_OK;
}
