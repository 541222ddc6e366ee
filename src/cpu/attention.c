/* Attention on the CPU: online softmax over blocks of EXAONE_KV_PAGE keys.
 *
 * For the query heads that share a kv head: scores of one block, running maximum m, running sum l, and the output row itself
 * as accumulator: out = out * exp(m_old - m_new) + sum_j exp(s_j - m_new) v_j; at the end out / l. Blocks begin at multiples
 * of EXAONE_KV_PAGE of the index in the sequence, so a row's result depends on its own keys only. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu/cpu_internal.h"

typedef struct {
    const exaone_kernels *k;
    float *out; /* [group, head_dim] */
    const float *q;
    size_t group, head_dim;
    float scale;
    float max[EXAONE_MAX_HEAD_GROUP], sum[EXAONE_MAX_HEAD_GROUP];
} online;

/* The `group` query heads at q, whose result goes to out. */
static void online_init(online *o, const exaone_kernels *k, float *out, const float *q, size_t group, size_t head_dim,
                        float scale) {
    o->k = k;
    o->out = out;
    o->q = q;
    o->group = group;
    o->head_dim = head_dim;
    o->scale = scale;
    memset(out, 0, group * head_dim * sizeof *out);
    for (size_t g = 0; g < group; g++) {
        o->max[g] = -INFINITY;
        o->sum[g] = 0;
    }
}

static void scores_of(const online *o, float *scores, const float *keys, size_t n, const uint8_t *mask) {
    o->k->matmul_f32(scores, EXAONE_KV_PAGE, o->q, o->head_dim, o->group, keys, NULL, n, o->head_dim);
    for (size_t j = 0; mask && j < n; j++) {
        for (size_t g = 0; !mask[j] && g < o->group; g++) {
            scores[g * EXAONE_KV_PAGE + j] = -INFINITY;
        }
    }
}

/* n <= EXAONE_KV_PAGE keys and values, rows of head_dim; mask [n] or NULL */
static void online_block(online *o, const float *keys, const float *values, size_t n, const uint8_t *mask) {
    float scores[EXAONE_MAX_HEAD_GROUP * EXAONE_KV_PAGE];
    scores_of(o, scores, keys, n, mask);
    for (size_t g = 0; g < o->group; g++) {
        float *out = o->out + g * o->head_dim, before = o->max[g];
        float sum = o->k->softmax_exp(scores + g * EXAONE_KV_PAGE, n, o->scale, &o->max[g]);
        float keep = before == o->max[g] ? 1.0f : expf(before - o->max[g]);
        if (keep != 1.0f) {
            for (size_t d = 0; d < o->head_dim; d++) {
                out[d] *= keep;
            }
        }
        o->sum[g] = o->sum[g] * keep + sum;
        o->k->weighted_sum(out, scores + g * EXAONE_KV_PAGE, values, n, o->head_dim);
    }
}

static void online_end(online *o) {
    for (size_t g = 0; g < o->group; g++) {
        float inverse = o->sum[g] == 0 ? 0.0f : 1.0f / o->sum[g]; /* NaN stays NaN */
        for (size_t d = 0; d < o->head_dim; d++) {
            o->out[g * o->head_dim + d] *= inverse;
        }
    }
}

/* Keys and values of one kv head for the indices of one page, as f32. */
typedef struct {
    size_t start, end;          /* indices: of one page */
    const float *keys, *values; /* rows from start on */
} block;

static const float *rows_f32(const exaone_kernels *k, exaone_dtype type, const void *page, size_t row, size_t n,
                             size_t head_dim, float *scratch) {
    switch (type) {
    case EXAONE_F16:
        k->f16_to_f32(scratch, (const uint16_t *)page + row * head_dim, n * head_dim);
        return scratch;
    case EXAONE_BF16:
        k->bf16_to_f32(scratch, (const uint16_t *)page + row * head_dim, n * head_dim);
        return scratch;
    case EXAONE_Q8_0:
        k->q8_0_to_f32(scratch, (const uint8_t *)page + row * (head_dim / 32 * 34), n * head_dim);
        return scratch;
    default:
        return (const float *)page + row * head_dim;
    }
}

/* The part of the page of index `at` from there on, at most up to `end` (exclusive). */
static block block_at(const exaone_kernels *k, const exaone_kv *kv, size_t head_dim, size_t kv_head, size_t at, size_t end,
                      float *scratch) {
    size_t slot = at % kv->ring, page = slot / EXAONE_KV_PAGE, place = slot % EXAONE_KV_PAGE;
    size_t n = EXAONE_KV_PAGE - place, row = kv_head * EXAONE_KV_PAGE + place;
    n = n < end - at ? n : end - at;
    block b = {.start = at, .end = at + n};
    b.keys = rows_f32(k, kv->k_type, kv->k_pages[page], row, n, head_dim, scratch);
    b.values = rows_f32(k, kv->v_type, kv->v_pages[page], row, n, head_dim, scratch + EXAONE_KV_PAGE * head_dim);
    return b;
}

enum { ROW_TILE = 8 }; /* rows of one sequence that share a block taken from the cache */

typedef struct {
    exaone_cpu *cpu;
    const exaone_attention *a;
    float *out;
    const float *q;
    size_t tile; /* rows per piece of work, at most ROW_TILE */
} attention_job;

static const uint8_t *mask_of(const exaone_attention *a, size_t sequence) {
    return a->key_mask ? a->key_mask[sequence] : NULL;
}

static void put_probs(const online *o, const attention_job *j, size_t r, size_t kv_head, float *scratch) {
    const exaone_attention *a = j->a;
    const exaone_row *row = &a->rows[r];
    const uint8_t *mask = mask_of(a, row->sequence);
    float scores[EXAONE_MAX_HEAD_GROUP * EXAONE_KV_PAGE];
    for (size_t at = row->begin; at <= row->index;) {
        block b = block_at(o->k, &a->kv[row->sequence], o->head_dim, kv_head, at, row->index + 1, scratch);
        scores_of(o, scores, b.keys, b.end - b.start, mask ? mask + at : NULL);
        for (size_t g = 0; g < o->group; g++) {
            float *p = a->probs + (r * a->num_attention_heads + kv_head * o->group + g) * a->probs_keys + at;
            for (size_t i = 0; i < b.end - b.start; i++) {
                p[i] = o->sum[g] == 0 ? 0.0f : expf(scores[g * EXAONE_KV_PAGE + i] * o->scale - o->max[g]) / o->sum[g];
            }
        }
        at = b.end;
    }
}

/* The mean of v, for the query heads of a row that saw no key. */
static void average_values(const online *o, const exaone_kv *kv, size_t kv_head, size_t n_keys, float *scratch) {
    float ones[EXAONE_KV_PAGE];
    for (size_t i = 0; i < EXAONE_KV_PAGE; i++) {
        ones[i] = 1.0f;
    }
    for (size_t at = 0; at < n_keys;) {
        block b = block_at(o->k, kv, o->head_dim, kv_head, at, n_keys, scratch);
        o->k->weighted_sum(o->out, ones, b.values, b.end - b.start, o->head_dim);
        at = b.end;
    }
    for (size_t d = 0; d < o->head_dim; d++) {
        o->out[d] /= (float)n_keys;
    }
    for (size_t g = 1; g < o->group; g++) {
        memcpy(o->out + g * o->head_dim, o->out, o->head_dim * sizeof *o->out);
    }
}

/* Rows r0 .. r1 (at most ROW_TILE) of one sequence, one kv head. A row's blocks are those of its own keys alone. */
static void attention_tile(const attention_job *j, float *scratch, size_t kv_head, size_t r0, size_t r1) {
    const exaone_attention *a = j->a;
    size_t group = a->num_attention_heads / a->num_key_value_heads, sequence = a->rows[r0].sequence;
    const exaone_kv *kv = &a->kv[sequence];
    const uint8_t *mask = mask_of(a, sequence);
    size_t begin = a->rows[r0].begin, end = a->rows[r0].index + 1;
    online o[ROW_TILE];
    for (size_t r = r0; r < r1; r++) {
        size_t first = (r * a->num_attention_heads + kv_head * group) * a->head_dim;
        online_init(&o[r - r0], &j->cpu->kernels, j->out + first, j->q + first, group, a->head_dim, a->scale);
        begin = a->rows[r].begin < begin ? a->rows[r].begin : begin;
        end = a->rows[r].index + 1 > end ? a->rows[r].index + 1 : end;
    }
    for (size_t at = begin; at < end;) {
        block b = block_at(&j->cpu->kernels, kv, a->head_dim, kv_head, at, end, scratch);
        for (size_t r = r0; r < r1; r++) {
            size_t from = a->rows[r].begin > at ? a->rows[r].begin : at;
            size_t to = a->rows[r].index + 1 < b.end ? a->rows[r].index + 1 : b.end;
            if (from < to) {
                size_t skip = (from - at) * a->head_dim;
                online_block(&o[r - r0], b.keys + skip, b.values + skip, to - from, mask ? mask + from : NULL);
            }
        }
        at = b.end;
    }
    for (size_t r = r0; r < r1; r++) {
        if (a->probs) {
            put_probs(&o[r - r0], j, r, kv_head, scratch);
        }
        online_end(&o[r - r0]);
        if (a->blind_keys && o[r - r0].sum[0] == 0) {
            average_values(&o[r - r0], kv, kv_head, a->blind_keys, scratch);
        }
    }
}

static void attention_part(void *arg, int worker, size_t begin, size_t end) {
    const attention_job *j = arg;
    const exaone_attention *a = j->a;
    float *scratch = j->cpu->scratch + (size_t)worker * EXAONE_CPU_SCRATCH;
    for (size_t t = begin; t < end; t++) {
        size_t r0 = t / a->num_key_value_heads * j->tile, kv_head = t % a->num_key_value_heads;
        size_t last = a->n_rows - r0 < j->tile ? a->n_rows : r0 + j->tile;
        while (r0 < last) {
            size_t r1 = r0 + 1;
            while (r1 < last && a->rows[r1].sequence == a->rows[r0].sequence) {
                r1++;
            }
            attention_tile(j, scratch, kv_head, r0, r1);
            r0 = r1;
        }
    }
}

/* Rows per piece of work: enough pieces for all threads come first. */
static size_t tile_rows(const exaone_cpu *cpu, const exaone_attention *a) {
    size_t tile = ROW_TILE, wanted = 2 * (size_t)exaone_pool_size(cpu->pool);
    while (tile > 1 && (a->n_rows + tile - 1) / tile * a->num_key_value_heads < wanted) {
        tile /= 2;
    }
    return tile;
}

void exaone_cpu_attention(exaone_backend *be, float *out, const float *q, const exaone_attention *a) {
    exaone_cpu *cpu = be->state;
    assert(a->num_attention_heads / a->num_key_value_heads <= EXAONE_MAX_HEAD_GROUP && a->head_dim <= EXAONE_MAX_HEAD_DIM);
    if (a->probs) {
        memset(a->probs, 0, a->n_rows * a->num_attention_heads * a->probs_keys * sizeof *a->probs);
    }
    attention_job j = {cpu, a, out, q, tile_rows(cpu, a)};
    exaone_pool_run(cpu->pool, (a->n_rows + j.tile - 1) / j.tile * a->num_key_value_heads, 1, attention_part, &j);
}

typedef struct {
    exaone_cpu *cpu;
    const exaone_attention *a;
    const float *k, *v;
} store_job;

static void store_row(const exaone_kernels *k, exaone_dtype type, void *page, size_t row, const float *x, size_t head_dim) {
    switch (type) {
    case EXAONE_F16:
        k->f32_to_f16((uint16_t *)page + row * head_dim, x, head_dim);
        break;
    case EXAONE_BF16:
        k->f32_to_bf16((uint16_t *)page + row * head_dim, x, head_dim);
        break;
    case EXAONE_Q8_0:
        k->f32_to_q8_0((uint8_t *)page + row * (head_dim / 32 * 34), x, head_dim);
        break;
    default:
        memcpy((float *)page + row * head_dim, x, head_dim * sizeof *x);
    }
}

static void store_part(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    const store_job *j = arg;
    const exaone_attention *a = j->a;
    for (size_t r = begin; r < end; r++) {
        const exaone_kv *kv = &a->kv[a->rows[r].sequence];
        size_t slot = a->rows[r].index % kv->ring, page = slot / EXAONE_KV_PAGE, place = slot % EXAONE_KV_PAGE;
        for (size_t h = 0; h < a->num_key_value_heads; h++) {
            size_t from = (r * a->num_key_value_heads + h) * a->head_dim, row = h * EXAONE_KV_PAGE + place;
            store_row(&j->cpu->kernels, kv->k_type, kv->k_pages[page], row, j->k + from, a->head_dim);
            store_row(&j->cpu->kernels, kv->v_type, kv->v_pages[page], row, j->v + from, a->head_dim);
        }
    }
}

void exaone_cpu_store_kv(exaone_backend *be, const exaone_attention *a, const float *k, const float *v) {
    exaone_cpu *cpu = be->state;
    store_job j = {cpu, a, k, v};
    exaone_pool_run(cpu->pool, a->n_rows, 16, store_part, &j);
}

enum {
    PARTS = 8,
    QUERY_TILE = 8
}; /* a segment's queries are cut into PARTS; a tile of them shares a packed block of keys */

typedef struct {
    exaone_cpu *cpu;
    const exaone_segments *s;
    float *out;
    const float *q, *k, *v;
} segment_job;

static void pack(float *to, const float *from, size_t n, size_t stride, size_t head_dim) {
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * head_dim, from + i * stride, head_dim * sizeof *to);
    }
}

/* Query rows q0 .. q1 (at most QUERY_TILE) of one kv head against the keys k0 .. k1. */
static void segment_tile(const segment_job *j, float *scratch, size_t kv_head, size_t q0, size_t q1, size_t k0, size_t k1) {
    const exaone_segments *s = j->s;
    size_t group = s->num_heads / s->num_key_value_heads, kv_stride = s->num_key_value_heads * s->head_dim;
    float *keys = scratch, *values = scratch + (size_t)EXAONE_KV_PAGE * s->head_dim;
    online o[QUERY_TILE];
    for (size_t i = q0; i < q1; i++) {
        size_t first = (i * s->num_heads + kv_head * group) * s->head_dim;
        online_init(&o[i - q0], &j->cpu->kernels, j->out + first, j->q + first, group, s->head_dim, s->scale);
    }
    for (size_t at = k0; at < k1; at += EXAONE_KV_PAGE) {
        size_t n = k1 - at < EXAONE_KV_PAGE ? k1 - at : EXAONE_KV_PAGE;
        pack(keys, j->k + at * kv_stride + kv_head * s->head_dim, n, kv_stride, s->head_dim);
        pack(values, j->v + at * kv_stride + kv_head * s->head_dim, n, kv_stride, s->head_dim);
        for (size_t i = q0; i < q1; i++) {
            online_block(&o[i - q0], keys, values, n, NULL);
        }
    }
    for (size_t i = q0; i < q1; i++) {
        online_end(&o[i - q0]);
    }
}

static void segment_part(void *arg, int worker, size_t begin, size_t end) {
    const segment_job *j = arg;
    const exaone_segments *s = j->s;
    float *scratch = j->cpu->scratch + (size_t)worker * EXAONE_CPU_SCRATCH;
    for (size_t t = begin; t < end; t++) {
        size_t part = t % PARTS, kv_head = t / PARTS % s->num_key_value_heads, segment = t / PARTS / s->num_key_value_heads;
        size_t k0 = (size_t)s->bounds[segment], k1 = (size_t)s->bounds[segment + 1];
        size_t q0 = k0 + (k1 - k0) * part / PARTS, q_end = k0 + (k1 - k0) * (part + 1) / PARTS;
        while (q0 < q_end) {
            size_t q1 = q_end - q0 < QUERY_TILE ? q_end : q0 + QUERY_TILE;
            segment_tile(j, scratch, kv_head, q0, q1, k0, k1);
            q0 = q1;
        }
    }
}

void exaone_cpu_segment_attention(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                                  const exaone_segments *s) {
    exaone_cpu *cpu = be->state;
    assert(s->num_heads / s->num_key_value_heads <= EXAONE_MAX_HEAD_GROUP && s->head_dim <= EXAONE_MAX_HEAD_DIM);
    segment_job j = {cpu, s, out, q, k, v};
    exaone_pool_run(cpu->pool, s->n_segments * s->num_key_value_heads * PARTS, 1, segment_part, &j);
}
