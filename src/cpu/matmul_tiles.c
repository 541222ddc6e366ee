/* Products with quantised matrices by tiles (kernels.h): 8-bit weights in tiles of 16 outputs by 256 columns times
 * activations in panels of 256 columns.
 *
 * Weights are taken apart once for all rows of the call. Many rows have more activations than a core's cache holds, so their
 * columns pass in blocks: a block of activations stays in the second cache while some tile pairs of outputs meet it, whose
 * sums wait there, too. The order of an output's sum stays that of rising columns, so that no block shows in a result. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cpu/cpu_internal.h"

enum {
    TILE_PAIR = 2 * EXAONE_TILE_OUTPUTS, /* outputs that two tiles give */
    PAIRS = 4,                           /* pairs whose sums wait while a block of columns passes, at most */
    BLOCK_BYTES = 512 * 1024,            /* of activations: half of a second cache of 1 MB */
    MIN_WORK = 32 * 1024,                /* multiply-adds that are worth handing to a thread */
    FEW_ROWS = 16,                       /* with so many, memory is the limit */
    MOST_STRIDE = 1 << 26,               /* bytes from lane to lane: makers of tiles count 15 of them in 32 bits */
    AHEAD = 512,                         /* bytes between weights being used and weights being fetched */
    PART_BYTES = 9 * 32                  /* of 256 columns of a row in any block type, at most (Q8_0: 272) */
};

/* One worker's memory. */
typedef struct exaone_tile_scratch {
    exaone_q8_tile tiles[2];
    float acc[PAIRS][EXAONE_CPU_ROWS][TILE_PAIR];
    int8_t q[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS]; /* rows taken apart */
    float scale[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS / 16], min[EXAONE_TILE_OUTPUTS][EXAONE_TILE_COLUMNS / 16];
    uint8_t rows[EXAONE_TILE_OUTPUTS][PART_BYTES]; /* the last rows of a matrix, filled up to 16 with zeros */
} tile_scratch;

typedef struct {
    exaone_cpu *cpu;
    float *out;
    size_t out_stride;
    const float *x;
    const exaone_matrix *w;
    size_t n;
    size_t pairs, columns; /* pairs of tiles per index, columns per block */
    size_t step;           /* from the row of one lane to that of the next */
} job;

/* The rows of a matrix that are the lanes of a tile: first + l * step, l < n <= 16. */
typedef struct {
    size_t first, step, n;
} lanes;

static int tile_offset(const exaone_cpu *cpu, const exaone_matrix *w) {
    return cpu->kernels.tile_offset[w->dtype];
}

static size_t tile_group(const exaone_matrix *w) {
    return exaone_matrix_is_scaled(w) ? 32 : exaone_blocks_group(w->dtype);
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

/* All scales of rows of an I4 matrix, [lane, run of columns]. */
static void scales_of_rows(const exaone_cpu *cpu, const exaone_matrix *w, lanes rows, float *to) {
    const exaone_scales *g = &w->scales;
    size_t runs = (w->in_features - 1) / g->cols_per_scale + 1, size = exaone_dtype_get(g->dtype)->block_bytes;
    for (size_t l = 0; l < rows.n; l++, to += runs) {
        size_t row = g->first_row + rows.first + l * rows.step;
        const uint8_t *from = (const uint8_t *)g->data + row / g->rows_per_scale * g->stride * size;
        if (g->dtype == EXAONE_F32) {
            memcpy(to, from, runs * sizeof *to);
        } else {
            (g->dtype == EXAONE_F16 ? cpu->kernels.f16_to_f32 : cpu->kernels.bf16_to_f32)(to, from, runs);
        }
    }
}

/* Scales and zero points of columns c .. c + n - 1. */
static void groups_of_i4(const exaone_matrix *w, lanes rows, size_t c, size_t n, const float *scales, exaone_q8_tile *to,
                         uint8_t (*zero)[EXAONE_TILE_OUTPUTS]) {
    const exaone_scales *s = &w->scales;
    size_t cols = s->cols_per_scale, runs = (w->in_features - 1) / cols + 1;
    for (size_t g = 0; g < n / 32; g++) {
        size_t run = (c + 32 * g) / cols;
        if (g > 0 && run == (c + 32 * g - 32) / cols) {
            memcpy(to->scale[g], to->scale[g - 1], sizeof to->scale[g]);
            memcpy(zero[g], zero[g - 1], sizeof zero[g]);
            continue;
        }
        for (size_t i = 0; i < rows.n; i++) {
            size_t r = s->first_row + rows.first + i * rows.step;
            to->scale[g][i] = short_scale(scales[i * runs + run]);
            zero[g][i] =
                (uint8_t)(s->zero_points ? (uint32_t)s->zero_points[r / 8 * s->stride + run] >> 4 * (r % 8) & 15 : 8);
        }
    }
}

/* The bytes of a part of 16 rows, those that there are not being zeros; *stride: from row to row. */
static const uint8_t *sixteen_rows(const exaone_matrix *w, lanes rows, size_t before, size_t bytes, tile_scratch *s,
                                   size_t *stride) {
    size_t row_bytes = exaone_matrix_row_bytes(w);
    const uint8_t *from = (const uint8_t *)w->data + rows.first * row_bytes + before;
    *stride = rows.step * row_bytes;
    if (rows.n == EXAONE_TILE_OUTPUTS) {
        return from;
    }
    memset(s->rows, 0, sizeof s->rows);
    for (size_t l = 0; l < rows.n; l++) {
        memcpy(s->rows[l], from + l * *stride, bytes);
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

/* The same as fill_tile for levels that have no maker of tiles for the type: row by row. */
static void fill_by_rows(const exaone_cpu *cpu, const exaone_matrix *w, lanes rows, size_t c, size_t n, size_t before,
                         tile_scratch *s, exaone_q8_tile *to) {
    bool has_min = !exaone_matrix_is_scaled(w) && exaone_blocks_have_min(w->dtype);
    exaone_q8_weights parts = {s->q[0], s->scale[0], has_min ? s->min[0] : NULL, tile_group(w)};
    size_t row_bytes = exaone_matrix_row_bytes(w);
    for (size_t l = 0; l < rows.n; l++) {
        size_t row = rows.first + l * rows.step;
        if (w->dtype == EXAONE_I4) {
            part_of_i4(cpu, w, row, c, n, s->q[l], s->scale[l]);
        } else {
            const uint8_t *from = (const uint8_t *)w->data + row * row_bytes + before;
            cpu->kernels.unpack[w->dtype](from, n, s->q[l], s->scale[l], s->min[l]);
        }
    }
    cpu->kernels.interleave(to, &parts, n);
}

/* Bytes of EXAONE_TILE_COLUMNS columns of a row. */
static size_t part_bytes(const exaone_matrix *w) {
    size_t bytes = EXAONE_TILE_COLUMNS / 2; /* I4 */
    bool whole = w->dtype == EXAONE_I4 || exaone_dtype_row_bytes(w->dtype, EXAONE_TILE_COLUMNS, &bytes);
    assert(whole && bytes <= PART_BYTES);
    (void)whole;
    return bytes;
}

/* Columns c .. c + n - 1 of rows, which begin `before` bytes behind a row's begin; lanes without a row hold anything.
 * scales: of an I4 matrix. */
static void fill_tile(const exaone_cpu *cpu, const exaone_matrix *w, lanes rows, size_t c, size_t n, size_t before,
                      const float *scales, tile_scratch *s, exaone_q8_tile *to) {
    size_t bytes = exaone_matrix_row_bytes(w) - before, stride;
    bytes = bytes < PART_BYTES ? bytes : PART_BYTES; /* that many are copied, if any */
    if (w->dtype == EXAONE_I4 ? !cpu->kernels.unpack_tile_i4 : !cpu->kernels.unpack_tile[w->dtype]) {
        fill_by_rows(cpu, w, rows, c, n, before, s, to);
        return;
    }
    const uint8_t *from = sixteen_rows(w, rows, before, bytes, s, &stride);
    if (w->dtype != EXAONE_I4) {
        cpu->kernels.unpack_tile[w->dtype](to, from, stride, n);
        return;
    }
    uint8_t zero[EXAONE_TILE_COLUMNS / 32][EXAONE_TILE_OUTPUTS] = {{0}};
    groups_of_i4(w, rows, c, n, scales, to, zero);
    cpu->kernels.unpack_tile_i4(to, from, stride, n, zero[0]);
}

/* ---- outputs ----
 *
 * Lane l of pair p is output first_of(p) + l * step, l < 32. With a step of 1 a pair is 32 neighbours. With few rows of
 * activations, when memory is the limit, the step is the number of pairs: each lane then reads one row after the other, and
 * the processor sees 32 long streams instead of 32 short ones that begin anew every few tiles. */

static size_t n_pairs(const exaone_matrix *w) {
    return (w->out_features + TILE_PAIR - 1) / TILE_PAIR;
}

static size_t first_of(const job *j, size_t pair) {
    return j->step == 1 ? pair * TILE_PAIR : pair;
}

/* Half a pair, whose first output is o. */
static lanes half_of(const job *j, size_t o, size_t half) {
    size_t first = o + half * EXAONE_TILE_OUTPUTS * j->step, n_out = j->w->out_features;
    size_t n = first < n_out ? (n_out - first + j->step - 1) / j->step : 0;
    return (lanes){first, j->step, n < EXAONE_TILE_OUTPUTS ? n : EXAONE_TILE_OUTPUTS};
}

/* The part of 32 rows that is wanted some products after tile number t of a pair: the same rows AHEAD bytes later or, behind
 * their end, the beginning of the next pair's. */
static exaone_q8_fetch fetch_of(const job *j, size_t pair, size_t t, size_t row_bytes, size_t part) {
    size_t tiles = (j->w->in_features + EXAONE_TILE_COLUMNS - 1) / EXAONE_TILE_COLUMNS;
    t += (AHEAD + part - 1) / part;
    for (; t >= tiles; t -= tiles) {
        pair++;
    }
    const uint8_t *data = j->w->data;
    const uint8_t *rows = data + first_of(j, pair) * row_bytes + t * part;
    return (exaone_q8_fetch){rows, data + j->w->out_features * row_bytes, j->step * row_bytes, part};
}

/* Columns c .. end - 1 of a pair of tiles: adds to acc. */
static void add_pair(const job *j, int worker, float (*acc)[TILE_PAIR], size_t pair, size_t c, size_t end) {
    const exaone_matrix *w = j->w;
    const exaone_cpu *cpu = j->cpu;
    tile_scratch *s = cpu->tile_scratch + worker;
    float *scales[2] = {(float *)(void *)(cpu->unpacked + (size_t)worker * cpu->unpacked_bytes)};
    scales[1] = scales[0] + EXAONE_TILE_OUTPUTS * (cpu->max_features / 32); /* at most one of 32 columns of a row */
    size_t group = tile_group(w), row_bytes = exaone_matrix_row_bytes(w), part = part_bytes(w);
    exaone_one_row_fn *one = j->n == 1 ? cpu->kernels.one_row[w->dtype] : NULL;
    int offset = tile_offset(cpu, w), bits = cpu->kernels.tile_bits[w->dtype];
    lanes rows[2] = {half_of(j, first_of(j, pair), 0), half_of(j, first_of(j, pair), 1)};
    for (size_t half = 0; half < 2 && w->dtype == EXAONE_I4; half++) {
        scales_of_rows(cpu, w, rows[half], scales[half]);
    }
    for (; c < end; c += EXAONE_TILE_COLUMNS) {
        size_t n = w->in_features - c < EXAONE_TILE_COLUMNS ? w->in_features - c : EXAONE_TILE_COLUMNS;
        size_t t = c / EXAONE_TILE_COLUMNS;
        exaone_q8_fetch next = fetch_of(j, pair, t, row_bytes, part);
        if (one) {
            for (size_t half = 0; half < 2 && rows[half].n > 0; half++, next.rows += EXAONE_TILE_OUTPUTS * next.stride) {
                size_t stride, bytes = row_bytes - t * part;
                const uint8_t *from =
                    sixteen_rows(w, rows[half], t * part, bytes < PART_BYTES ? bytes : PART_BYTES, s, &stride);
                one(acc[0] + half * EXAONE_TILE_OUTPUTS, cpu->panels + t, from, stride, n, &next);
            }
            continue;
        }
        for (size_t half = 0; half < 2 && rows[half].n > 0; half++) {
            fill_tile(cpu, w, rows[half], c, n, t * part, scales[half], s, &s->tiles[half]);
        }
        cpu->kernels.dot_tiles(acc[0], cpu->panels + t * j->n, j->n, s->tiles, n, group, offset, bits, &next);
    }
}

static void store_row(const job *j, float acc[TILE_PAIR], size_t r, size_t pair) {
    const float *bias = j->w->bias;
    size_t o = first_of(j, pair), n = half_of(j, o, 0).n + half_of(j, o, 1).n;
    float *to = j->out + r * j->out_stride + o;
    for (size_t l = 0; l < n && bias; l++) {
        acc[l] += bias[o + l * j->step];
    }
    if (j->step == 1 && n == TILE_PAIR) {
        memcpy(to, acc, TILE_PAIR * sizeof *to);
        return;
    }
    for (size_t l = 0; l < n; l++) {
        to[l * j->step] = acc[l];
    }
}

static void tile_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    tile_scratch *s = j->cpu->tile_scratch + worker;
    const exaone_kernels *k = &j->cpu->kernels;
    size_t n_in = j->w->in_features, last = end * j->pairs < n_pairs(j->w) ? end * j->pairs : n_pairs(j->w);
    if (k->tiles_begin) {
        k->tiles_begin();
    }
    for (size_t first = begin * j->pairs; first < last; first += j->pairs) {
        size_t n = last - first < j->pairs ? last - first : j->pairs;
        for (size_t p = 0; p < n; p++) {
            memset(s->acc[p], 0, j->n * sizeof s->acc[p][0]);
        }
        for (size_t c = 0; c < n_in; c += j->columns) {
            size_t c1 = n_in - c < j->columns ? n_in : c + j->columns;
            for (size_t p = 0; p < n; p++) {
                add_pair(j, worker, s->acc[p], first + p, c, c1);
            }
        }
        for (size_t r = 0; r < j->n; r++) {
            for (size_t p = 0; p < n; p++) {
                store_row(j, s->acc[p][r], r, first + p);
            }
        }
    }
    if (k->tiles_end) {
        k->tiles_end();
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

bool exaone_cpu_tiles_reserve(exaone_cpu *cpu, size_t n, size_t workers) {
    cpu->panels = exaone_mem_aligned(EXAONE_CPU_ROWS * n / EXAONE_TILE_COLUMNS, sizeof *cpu->panels);
    cpu->tile_scratch = exaone_mem_aligned(workers, sizeof *cpu->tile_scratch);
    return cpu->panels && cpu->tile_scratch;
}

/* How the outputs and columns of j->n rows are cut. */
static void cut(job *j) {
    size_t tile_bytes = j->n * sizeof *j->cpu->panels, tiles = BLOCK_BYTES / tile_bytes;
    size_t all = n_pairs(j->w), workers = (size_t)exaone_pool_size(j->cpu->pool);
    j->columns = (tiles > 0 ? tiles : 1) * EXAONE_TILE_COLUMNS;
    j->pairs = all / (4 * workers);
    j->pairs = j->columns >= j->w->in_features || j->pairs < 1 ? 1 : j->pairs > PAIRS ? PAIRS : j->pairs;
    bool few = j->n <= FEW_ROWS && j->pairs == 1 && all * exaone_matrix_row_bytes(j->w) <= MOST_STRIDE;
    j->step = few && !exaone_pool_is_bound(j->cpu->pool) ? all : 1; /* a bound thread's rows are neighbours in its memory */
}

void exaone_cpu_matmul_tiles(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                             size_t n) {
    size_t n_in = w->in_features, rows_grain = n_in >= MIN_WORK ? 1 : MIN_WORK / n_in;
    for (size_t r = 0; r < n; r += EXAONE_CPU_ROWS) {
        job j = {.cpu = cpu, .out = out + r * out_stride, .out_stride = out_stride, .x = x + r * n_in, .w = w};
        j.n = n - r < EXAONE_CPU_ROWS ? n - r : EXAONE_CPU_ROWS;
        cut(&j);
        exaone_pool_run(cpu->pool, j.n, rows_grain, panels_part, &j);
        size_t work = n_in * j.n * j.pairs * TILE_PAIR;
        exaone_pool_run(cpu->pool, (n_pairs(w) + j.pairs - 1) / j.pairs, work >= MIN_WORK ? 1 : MIN_WORK / work, tile_part,
                        &j);
    }
}
