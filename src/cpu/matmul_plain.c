/* Products with matrices of plain types (F32, BF16, F16). Few rows: their kernels take the weights as they are stored. Many
 * rows, at levels with chains (kernels.h): the weights of a block become f32 once, and some columns of them lie in the
 * second cache while panels of rows, which the first holds, meet all of them. The bits are the same. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cpu/cpu_internal.h"

enum {
    OUT_TILE = 16,              /* outputs per index handed out: four kernel tiles */
    MIN_WORK = 32 * 1024,       /* multiply-adds that are worth handing to a thread */
    CACHED_FLOATS = 256 * 1024, /* activations that pass over the weights together */
    /* of a block of many rows */
    MANY = 24, /* rows that are worth it */
    ROWS = 384,
    OUTPUTS = 256,
    PANEL = 12,
    COLUMNS = EXAONE_CHAIN_COLUMNS,
    STRIDE = EXAONE_CHAIN_STRIDE
};

/* One worker's memory, 64-byte aligned. */
typedef struct exaone_chain_scratch {
    float acc[ROWS * OUTPUTS], w[OUTPUTS * STRIDE], x[PANEL * STRIDE];
} chain_scratch;

typedef struct {
    exaone_cpu *cpu;
    float *out;
    size_t out_stride;
    const float *x;
    const exaone_matrix *w;
    size_t n, outputs; /* rows; outputs of a block */
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

/* Zeros behind the n columns of a row, up to a multiple of 16. */
static void fill_up(float *row, size_t n) {
    for (; n % 16; n++) {
        row[n] = 0;
    }
}

/* n columns from c on of n_out rows of the matrix as f32, with rows of zeros up to a multiple of 4. */
static void bring_weights(const job *j, float *to, size_t o, size_t n_out, size_t c, size_t n) {
    const exaone_matrix *w = j->w;
    const exaone_kernels *k = &j->cpu->kernels;
    size_t element = w->dtype == EXAONE_F32 ? sizeof(float) : sizeof(uint16_t);
    for (size_t i = 0; i < n_out; i++, to += STRIDE) {
        const uint8_t *from = (const uint8_t *)w->data + ((o + i) * w->in_features + c) * element;
        if (w->dtype == EXAONE_F32) {
            memcpy(to, from, n * sizeof *to);
        } else {
            (w->dtype == EXAONE_BF16 ? k->bf16_to_f32 : k->f16_to_f32)(to, from, n);
        }
        fill_up(to, n);
    }
    for (; n_out % 4; n_out++, to += STRIDE) {
        memset(to, 0, STRIDE * sizeof *to);
    }
}

/* Up to PANEL rows, with rows of zeros up to a multiple of 6; returns how many. */
static size_t bring_rows(const job *j, float *to, size_t r, size_t rows, size_t c, size_t n) {
    size_t i = 0;
    for (; i < rows && i < PANEL; i++, to += STRIDE) {
        memcpy(to, j->x + (r + i) * j->w->in_features + c, n * sizeof *to);
        fill_up(to, n);
    }
    for (; i % 6; i++, to += STRIDE) {
        memset(to, 0, STRIDE * sizeof *to);
    }
    return i;
}

static void block(const job *j, chain_scratch *s, size_t r, size_t rows, size_t o, size_t n_out) {
    size_t n_in = j->w->in_features, all = (n_out + 3) / 4 * 4;
    for (size_t c = 0; c < n_in; c += COLUMNS) {
        size_t n = n_in - c < COLUMNS ? n_in - c : COLUMNS;
        bring_weights(j, s->w, o, n_out, c, n);
        for (size_t p = 0; p < rows; p += PANEL) {
            size_t padded = bring_rows(j, s->x, r + p, rows - p, c, n);
            j->cpu->kernels.chains_add(s->acc + p * OUTPUTS, OUTPUTS, s->x, s->w, padded, all, (n + 15) / 16 * 16, c == 0);
        }
    }
    for (size_t i = 0; i < rows; i++) {
        float *to = j->out + (r + i) * j->out_stride + o;
        for (size_t k = 0; k < n_out; k++) {
            to[k] = j->w->bias ? s->acc[i * OUTPUTS + k] + j->w->bias[o + k] : s->acc[i * OUTPUTS + k];
        }
    }
}

static void block_part(void *arg, int worker, size_t begin, size_t end) {
    const job *j = arg;
    size_t row_blocks = (j->n + ROWS - 1) / ROWS, n_out = j->w->out_features;
    for (size_t i = begin; i < end; i++) {
        size_t r = i % row_blocks * ROWS, o = i / row_blocks * j->outputs;
        block(j, j->cpu->chain_scratch + worker, r, j->n - r < ROWS ? j->n - r : ROWS, o,
              n_out - o < j->outputs ? n_out - o : j->outputs);
    }
}

/* Outputs of a block: many, that meet the same panel, but work for everybody. */
static size_t outputs_of(const job *j) {
    size_t workers = (size_t)exaone_pool_size(j->cpu->pool), outputs = OUTPUTS;
    while (outputs > OUT_TILE && j->w->out_features / outputs * ((j->n + ROWS - 1) / ROWS) < 4 * workers) {
        outputs /= 2;
    }
    return outputs;
}

static size_t grain(size_t work) {
    return work >= MIN_WORK ? 1 : MIN_WORK / work;
}

/* Rows whose activations stay in the cache while the weights pass, a multiple of the kernels' tiles. */
static size_t rows_at_a_time(size_t n_in) {
    size_t n = CACHED_FLOATS / n_in / 12 * 12;
    return n > 12 ? n : 12;
}

void exaone_cpu_matmul_plain(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                             size_t n) {
    size_t n_in = w->in_features, n_out = w->out_features;
    if (w->dtype == EXAONE_BF16 && cpu->kernels.planes_dot) {
        exaone_cpu_matmul_bf16(cpu, out, out_stride, x, w, n);
        return;
    }
    job j = {cpu, out, out_stride, x, w, n, 0};
    if (cpu->kernels.chains_add && n >= MANY && n_out >= OUT_TILE) {
        j.outputs = outputs_of(&j);
        size_t blocks = (n_out + j.outputs - 1) / j.outputs * ((n + ROWS - 1) / ROWS);
        pthread_mutex_lock(&cpu->shared);
        exaone_pool_run(cpu->pool, blocks, grain(n_in * j.outputs * (n < ROWS ? n : ROWS)), block_part, &j);
        pthread_mutex_unlock(&cpu->shared);
        return;
    }
    size_t step = rows_at_a_time(n_in);
    for (size_t r = 0; r < n; r += step) {
        j.out = out + r * out_stride;
        j.x = x + r * n_in;
        j.n = n - r < step ? n - r : step;
        exaone_pool_run(cpu->pool, (n_out + OUT_TILE - 1) / OUT_TILE, grain(n_in * j.n * OUT_TILE), plain_part, &j);
    }
}

bool exaone_cpu_plain_init(exaone_cpu *cpu) {
    /* not exaone_mem_aligned: pages that no product needs stay away */
    cpu->chain_scratch = aligned_alloc(64, (size_t)exaone_pool_size(cpu->pool) * sizeof *cpu->chain_scratch);
    return cpu->chain_scratch;
}
