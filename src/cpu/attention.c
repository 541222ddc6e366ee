/* Attention over the KV cache on the CPU: tiles of queries (online.h) against pages of the cache.
 *
 * A query is one head of one row. The keys it sees are cut into spans that begin at multiples of SPAN of the index in the
 * sequence and the spans into the blocks of the pages; spans are merged in rising order. So a row's result depends on its
 * own keys alone, not on who else is in the call nor on how many threads work on it, and the spans of a long context can be
 * computed apart. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "cpu/cpu_internal.h"
#include "cpu/online.h"

enum {
    SPAN = 64 * EXAONE_KV_PAGE,
    NARROW_QUERIES = 24 /* more than so many want 16-bit numbers made F32 once, not for each six of them */
};

typedef struct {
    exaone_cpu *cpu;
    const exaone_attention *a;
    float *out;
    const float *q;
    size_t group;   /* query heads per kv head */
    size_t tile;    /* queries per piece of work */
    size_t n_tiles; /* of one kv head */
    /* Of long contexts with few queries every span is a piece of work: spans first_span .. first_span + n_spans - 1 leave
     * what they found in cpu->partials. n_spans 0: a piece of work takes all spans of its queries. */
    size_t first_span, n_spans;
} attention_job;

/* What one span gave one query: out [head_dim], max, sum. */
static float *partial_of(const attention_job *j, size_t span, size_t row, size_t head) {
    const exaone_attention *a = j->a;
    return j->cpu->partials +
           (((span - j->first_span) * a->n_rows + row) * a->num_attention_heads + head) * (a->head_dim + 2);
}

/* A block of keys and values of one kv head: the indices start .. end - 1 of one page. */
typedef struct {
    size_t start, end;
    exaone_operand keys_t, values; /* [head_dim, end - start], [end - start, head_dim] */
} block;

/* n_rows rows of n numbers as F32 in scratch memory. */
static void widen(const exaone_kernels *k, exaone_operand *m, float *scratch, size_t n_rows, size_t n) {
    size_t run = m->stride == n ? n_rows * n : n; /* numbers behind each other */
    for (size_t at = 0, r = 0; at < n_rows * n; at += run, r++) {
        (m->type == EXAONE_F16 ? k->f16_to_f32 : k->bf16_to_f32)(scratch + at, exaone_operand_at(*m, r * m->stride).data,
                                                                 run);
    }
    *m = (exaone_operand){scratch, EXAONE_F32, n};
}

/* The part of the page of index `at` from there on, at most up to `end` (exclusive), for n_queries. */
static block block_at(const exaone_kernels *k, const exaone_kv *kv, size_t head_dim, size_t kv_head, size_t at, size_t end,
                      size_t n_queries, exaone_attention_scratch *scratch) {
    size_t slot = at % kv->ring, page = slot / EXAONE_KV_PAGE, place = slot % EXAONE_KV_PAGE;
    size_t n = EXAONE_KV_PAGE - place, q8_row = head_dim / 32 * 34, numbers = EXAONE_KV_PAGE * head_dim;
    n = n < end - at ? n : end - at;
    block b = {.start = at, .end = at + n};
    const uint8_t *keys = kv->k_pages[page], *values = kv->v_pages[page];
    if (kv->k_type == EXAONE_Q8_0) {
        k->q8_0_to_f32(scratch->rows, keys + (kv_head * EXAONE_KV_PAGE + place) * q8_row, n * head_dim);
        k->transpose(scratch->keys_t, EXAONE_KV_PAGE, scratch->rows, head_dim, n, head_dim);
        b.keys_t = (exaone_operand){scratch->keys_t, EXAONE_F32, EXAONE_KV_PAGE};
    } else {
        b.keys_t = (exaone_operand){keys + (kv_head * numbers + place) * exaone_operand_size(kv->k_type), kv->k_type,
                                    EXAONE_KV_PAGE};
    }
    if (kv->v_type == EXAONE_Q8_0) {
        k->q8_0_to_f32(scratch->values, values + (kv_head * EXAONE_KV_PAGE + place) * q8_row, n * head_dim);
        b.values = (exaone_operand){scratch->values, EXAONE_F32, head_dim};
    } else {
        b.values = (exaone_operand){values + (kv_head * numbers + place * head_dim) * exaone_operand_size(kv->v_type),
                                    kv->v_type, head_dim};
    }
    if (n_queries > NARROW_QUERIES && b.keys_t.type != EXAONE_F32) {
        widen(k, &b.keys_t, scratch->keys_t, head_dim, n);
    }
    if (n_queries > NARROW_QUERIES && b.values.type != EXAONE_F32) {
        widen(k, &b.values, scratch->values, n, head_dim);
    }
    return b;
}

static const uint8_t *mask_of(const exaone_attention *a, size_t sequence) {
    return a->key_mask ? a->key_mask[sequence] : NULL;
}

static const exaone_row *row_of(const attention_job *j, size_t query) {
    return &j->a->rows[query / j->group];
}

/* The queries q0 .. q1 - 1 of one sequence see the keys begin .. end - 1, as far as each may. */
static void see_keys(const attention_job *j, exaone_online *o, exaone_attention_scratch *scratch, size_t kv_head, size_t q0,
                     size_t q1, size_t begin, size_t end) {
    const exaone_attention *a = j->a;
    size_t sequence = row_of(j, q0)->sequence;
    const uint8_t *mask = mask_of(a, sequence);
    for (size_t at = begin; at < end;) {
        block b = block_at(o->k, &a->kv[sequence], a->head_dim, kv_head, at, end, q1 - q0, scratch);
        for (size_t q = q0; q < q1;) { /* queries that see the same part of the block go together */
            size_t from = row_of(j, q)->begin > at ? row_of(j, q)->begin : at, same = q + 1;
            size_t to = row_of(j, q)->index + 1 < b.end ? row_of(j, q)->index + 1 : b.end;
            for (; same < q1; same++) {
                const exaone_row *r = row_of(j, same);
                if ((r->begin > at ? r->begin : at) != from || (r->index + 1 < b.end ? r->index + 1 : b.end) != to) {
                    break;
                }
            }
            if (from < to) {
                exaone_online_block(o, q - q0, same - q0, exaone_operand_at(b.keys_t, from - at),
                                    exaone_operand_at(b.values, (from - at) * a->head_dim), to - from,
                                    mask ? mask + from : NULL);
            }
            q = same;
        }
        at = b.end;
    }
}

static void put_probs(const attention_job *j, exaone_online *o, exaone_attention_scratch *scratch, size_t kv_head,
                      size_t query, size_t place, float max, float sum) {
    const exaone_attention *a = j->a;
    const exaone_row *row = row_of(j, query);
    const uint8_t *mask = mask_of(a, row->sequence);
    size_t head = kv_head * j->group + query % j->group;
    float *probs = a->probs + (query / j->group * a->num_attention_heads + head) * a->probs_keys;
    for (size_t at = row->begin; at <= row->index;) {
        block b =
            block_at(o->k, &a->kv[row->sequence], a->head_dim, kv_head, at, row->index + 1, EXAONE_QUERY_TILE, scratch);
        exaone_online_scores(o, place, place + 1, b.keys_t, b.end - b.start, mask ? mask + at : NULL);
        for (size_t i = 0; i < b.end - b.start; i++) {
            probs[at + i] = sum == 0 ? 0.0f : expf(o->scores[place * EXAONE_KV_PAGE + i] * o->scale - max) / sum;
        }
        at = b.end;
    }
}

/* The mean of v over indices 0 .. n_keys - 1, for a query that saw no key. */
static void average_values(const attention_job *j, float *out, exaone_attention_scratch *scratch, size_t sequence,
                           size_t kv_head, size_t n_keys) {
    const exaone_attention *a = j->a;
    const exaone_kernels *k = &j->cpu->kernels;
    float ones[EXAONE_KV_PAGE];
    for (size_t i = 0; i < EXAONE_KV_PAGE; i++) {
        ones[i] = 1.0f;
    }
    memset(out, 0, a->head_dim * sizeof *out);
    for (size_t at = 0; at < n_keys;) {
        block b = block_at(k, &a->kv[sequence], a->head_dim, kv_head, at, n_keys, EXAONE_QUERY_TILE, scratch);
        k->add_product_f32(out, a->head_dim, ones, EXAONE_KV_PAGE, 1, b.values.data, b.values.stride, a->head_dim,
                           b.end - b.start);
        at = b.end;
    }
    for (size_t d = 0; d < a->head_dim; d++) {
        out[d] /= (float)n_keys;
    }
}

static float *out_of(const attention_job *j, size_t kv_head, size_t query) {
    size_t head = kv_head * j->group + query % j->group;
    return j->out + (query / j->group * j->a->num_attention_heads + head) * j->a->head_dim;
}

/* Writes the result of a query from what all its keys gave. */
static void finish(const attention_job *j, exaone_attention_scratch *scratch, size_t kv_head, size_t query,
                   const float *total, float sum) {
    const exaone_attention *a = j->a;
    float *out = out_of(j, kv_head, query);
    exaone_online_finish(out, total, sum, a->head_dim);
    if (a->blind_keys && sum == 0) {
        average_values(j, out, scratch, row_of(j, query)->sequence, kv_head, a->blind_keys);
    }
}

/* Queries q0 .. q1 - 1 of one sequence, one kv head: all spans, or the one span `only` of a job cut into spans. */
static void attention_tile(const attention_job *j, exaone_attention_scratch *scratch, size_t kv_head, size_t q0, size_t q1,
                           size_t only) {
    const exaone_attention *a = j->a;
    exaone_online o = {.k = &j->cpu->kernels, .q = scratch->q, .out = scratch->out, .scores = scratch->scores};
    o.head_dim = a->head_dim;
    o.scale = a->scale;
    size_t n = q1 - q0, begin = row_of(j, q0)->begin, end = row_of(j, q0)->index + 1;
    float max[EXAONE_QUERY_TILE], sum[EXAONE_QUERY_TILE];
    for (size_t i = 0; i < n; i++) {
        const exaone_row *row = row_of(j, q0 + i);
        size_t head = kv_head * j->group + (q0 + i) % j->group;
        memcpy(o.q + i * a->head_dim, j->q + ((q0 + i) / j->group * a->num_attention_heads + head) * a->head_dim,
               a->head_dim * sizeof *o.q);
        begin = row->begin < begin ? row->begin : begin;
        end = row->index + 1 > end ? row->index + 1 : end;
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    size_t span = j->n_spans ? only : begin / SPAN, last = j->n_spans ? only : (end - 1) / SPAN;
    for (; span <= last; span++) {
        size_t from = span * SPAN > begin ? span * SPAN : begin, to = (span + 1) * SPAN < end ? (span + 1) * SPAN : end;
        exaone_online_start(&o, n);
        see_keys(j, &o, scratch, kv_head, q0, q1, from, to);
        for (size_t i = 0; i < n; i++) {
            exaone_online_merge(scratch->total + i * a->head_dim, &max[i], &sum[i], o.out + i * a->head_dim, o.max[i],
                                o.sum[i], a->head_dim);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (j->n_spans) {
            float *partial = partial_of(j, only, (q0 + i) / j->group, kv_head * j->group + (q0 + i) % j->group);
            memcpy(partial, scratch->total + i * a->head_dim, a->head_dim * sizeof *partial);
            partial[a->head_dim] = max[i];
            partial[a->head_dim + 1] = sum[i];
            continue;
        }
        finish(j, scratch, kv_head, q0 + i, scratch->total + i * a->head_dim, sum[i]);
        if (a->probs) {
            put_probs(j, &o, scratch, kv_head, q0 + i, i, max[i], sum[i]);
        }
    }
}

static void attention_part(void *arg, int worker, size_t begin, size_t end) {
    const attention_job *j = arg;
    const exaone_attention *a = j->a;
    size_t n_queries = a->n_rows * j->group;
    for (size_t t = begin; t < end; t++) {
        size_t kv_head = t % a->num_key_value_heads, tile = t / a->num_key_value_heads % j->n_tiles;
        size_t span = j->first_span + t / a->num_key_value_heads / j->n_tiles;
        size_t q0 = tile * j->tile, last = n_queries - q0 < j->tile ? n_queries : q0 + j->tile;
        while (q0 < last) {
            size_t q1 = q0 + 1;
            while (q1 < last && row_of(j, q1)->sequence == row_of(j, q0)->sequence) {
                q1++;
            }
            attention_tile(j, &j->cpu->scratch[worker], kv_head, q0, q1, span);
            q0 = q1;
        }
    }
}

/* Puts the spans of rows begin .. end - 1 together. */
static void merge_part(void *arg, int worker, size_t begin, size_t end) {
    const attention_job *j = arg;
    const exaone_attention *a = j->a;
    exaone_attention_scratch *scratch = &j->cpu->scratch[worker];
    for (size_t t = begin; t < end; t++) {
        size_t row = t / a->num_attention_heads, head = t % a->num_attention_heads;
        float max = -INFINITY, sum = 0;
        for (size_t span = j->first_span; span < j->first_span + j->n_spans; span++) {
            const float *partial = partial_of(j, span, row, head);
            exaone_online_merge(scratch->total, &max, &sum, partial, partial[a->head_dim], partial[a->head_dim + 1],
                                a->head_dim);
        }
        finish(j, scratch, head / j->group, row * j->group + head % j->group, scratch->total, sum);
    }
}

/* Queries per piece of work: enough pieces for all threads come first. */
static void choose_tile(attention_job *j) {
    size_t wanted = 2 * (size_t)exaone_pool_size(j->cpu->pool), n = j->a->n_rows * j->group;
    j->tile = exaone_online_tile(j->a->head_dim);
    j->n_tiles = (n + j->tile - 1) / j->tile;
    while (j->tile > 8 && j->tile / 2 >= j->group && j->n_tiles * j->a->num_key_value_heads < wanted) {
        j->tile /= 2;
        j->n_tiles = (n + j->tile - 1) / j->tile;
    }
}

/* Cuts the work into spans when there are fewer tiles than threads want. */
static void choose_spans(attention_job *j) {
    const exaone_attention *a = j->a;
    size_t wanted = 2 * (size_t)exaone_pool_size(j->cpu->pool), first = SIZE_MAX, last = 0;
    if (exaone_pool_size(j->cpu->pool) == 1 || j->n_tiles * a->num_key_value_heads >= wanted || a->probs) {
        return;
    }
    for (size_t r = 0; r < a->n_rows; r++) {
        first = a->rows[r].begin / SPAN < first ? a->rows[r].begin / SPAN : first;
        last = a->rows[r].index / SPAN > last ? a->rows[r].index / SPAN : last;
    }
    size_t floats = a->n_rows * a->num_attention_heads * (a->head_dim + 2);
    if (last > first && last - first < EXAONE_PARTIAL_FLOATS / floats) {
        j->first_span = first;
        j->n_spans = last - first + 1;
    }
}

void exaone_cpu_attention(exaone_backend *be, float *out, const float *q, const exaone_attention *a) {
    exaone_cpu *cpu = be->state;
    assert(a->num_attention_heads / a->num_key_value_heads <= EXAONE_MAX_HEAD_GROUP && a->head_dim <= EXAONE_MAX_HEAD_DIM);
    if (a->probs) {
        memset(a->probs, 0, a->n_rows * a->num_attention_heads * a->probs_keys * sizeof *a->probs);
    }
    attention_job j = {cpu, a, out, q, .group = a->num_attention_heads / a->num_key_value_heads};
    choose_tile(&j);
    choose_spans(&j);
    if (!j.n_spans) {
        exaone_pool_run(cpu->pool, j.n_tiles * a->num_key_value_heads, 1, attention_part, &j);
        return;
    }
    pthread_mutex_lock(&cpu->shared); /* partials */
    exaone_pool_run(cpu->pool, j.n_tiles * a->num_key_value_heads * j.n_spans, 1, attention_part, &j);
    exaone_pool_run(cpu->pool, a->n_rows * a->num_attention_heads, 1, merge_part, &j);
    pthread_mutex_unlock(&cpu->shared);
}

typedef struct {
    exaone_cpu *cpu;
    const exaone_attention *a;
    const float *k, *v;
} store_job;

static void narrow(const exaone_kernels *k, exaone_dtype type, void *to, const float *x, size_t n) {
    switch (type) {
    case EXAONE_F16:
        k->f32_to_f16(to, x, n);
        break;
    case EXAONE_BF16:
        k->f32_to_bf16(to, x, n);
        break;
    case EXAONE_Q8_0:
        k->f32_to_q8_0(to, x, n);
        break;
    default:
        memcpy(to, x, n * sizeof *x);
    }
}

/* One value, or a key of Q8_0: a row of its own. */
static void store_row(const exaone_kernels *k, exaone_dtype type, void *page, size_t row, const float *x, size_t head_dim) {
    size_t bytes = type == EXAONE_Q8_0 ? head_dim / 32 * 34 : head_dim * exaone_operand_size(type);
    narrow(k, type, (uint8_t *)page + row * bytes, x, head_dim);
}

/* A key of another type: a column. */
static void store_column(const exaone_kernels *k, exaone_dtype type, void *page, size_t kv_head, size_t place,
                         const float *x, size_t head_dim) {
    union {
        float f[EXAONE_MAX_HEAD_DIM];
        uint16_t h[EXAONE_MAX_HEAD_DIM];
    } numbers;
    narrow(k, type, &numbers, x, head_dim);
    for (size_t d = 0; d < head_dim; d++) {
        size_t at = (kv_head * head_dim + d) * EXAONE_KV_PAGE + place;
        if (type == EXAONE_F32) {
            ((float *)page)[at] = numbers.f[d];
        } else {
            ((uint16_t *)page)[at] = numbers.h[d];
        }
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
            if (kv->k_type == EXAONE_Q8_0) {
                store_row(&j->cpu->kernels, kv->k_type, kv->k_pages[page], row, j->k + from, a->head_dim);
            } else {
                store_column(&j->cpu->kernels, kv->k_type, kv->k_pages[page], h, place, j->k + from, a->head_dim);
            }
            store_row(&j->cpu->kernels, kv->v_type, kv->v_pages[page], row, j->v + from, a->head_dim);
        }
    }
}

void exaone_cpu_store_kv(exaone_backend *be, const exaone_attention *a, const float *k, const float *v) {
    exaone_cpu *cpu = be->state;
    store_job j = {cpu, a, k, v};
    exaone_pool_run(cpu->pool, a->n_rows, 16, store_part, &j);
}
