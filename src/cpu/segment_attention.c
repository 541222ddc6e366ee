/* Attention inside segments (the vision tower) on the CPU: every row of a segment sees all rows of it. Tiles of queries
 * (online.h) meet blocks of EXAONE_KV_PAGE keys from the segment's beginning on. */
#include <assert.h>
#include <string.h>

#include "cpu/cpu_internal.h"
#include "cpu/online.h"

typedef struct {
    exaone_cpu *cpu;
    const exaone_segments *s;
    float *out;
    const float *q, *k, *v;
    size_t parts; /* pieces of work that a segment's queries are cut into, for each kv head */
} segment_job;

/* Place of a query, which is one head of one row, in q and out. */
static size_t place_of(const exaone_segments *s, size_t kv_head, size_t query) {
    size_t group = s->num_heads / s->num_key_value_heads;
    return (query / group * s->num_heads + kv_head * group + query % group) * s->head_dim;
}

/* Queries q0 .. q1 - 1 of one kv head against the rows k0 .. k1 - 1. */
static void segment_tile(const segment_job *j, exaone_attention_scratch *scratch, size_t kv_head, size_t q0, size_t q1,
                         size_t k0, size_t k1) {
    const exaone_segments *s = j->s;
    const exaone_kernels *k = &j->cpu->kernels;
    size_t stride = s->num_key_value_heads * s->head_dim, n = q1 - q0;
    exaone_online o = {.k = k, .q = scratch->q, .out = scratch->out, .scores = scratch->scores};
    o.head_dim = s->head_dim;
    o.scale = s->scale;
    for (size_t m = 0; m < n; m++) {
        memcpy(o.q + m * s->head_dim, j->q + place_of(s, kv_head, q0 + m), s->head_dim * sizeof *o.q);
    }
    exaone_operand keys_t = {scratch->keys_t, EXAONE_F32, EXAONE_KV_PAGE},
                   values = {scratch->values, EXAONE_F32, s->head_dim};
    exaone_online_start(&o, n);
    for (size_t at = k0; at < k1; at += EXAONE_KV_PAGE) {
        size_t keys = k1 - at < EXAONE_KV_PAGE ? k1 - at : EXAONE_KV_PAGE;
        k->transpose(scratch->keys_t, EXAONE_KV_PAGE, j->k + at * stride + kv_head * s->head_dim, stride, keys, s->head_dim);
        for (size_t i = 0; i < keys; i++) {
            memcpy(scratch->values + i * s->head_dim, j->v + (at + i) * stride + kv_head * s->head_dim,
                   s->head_dim * sizeof *scratch->values);
        }
        exaone_online_block(&o, 0, n, keys_t, values, keys, NULL);
    }
    for (size_t m = 0; m < n; m++) {
        exaone_online_finish(j->out + place_of(s, kv_head, q0 + m), o.out + m * s->head_dim, o.sum[m], s->head_dim);
    }
}

static void segment_part(void *arg, int worker, size_t begin, size_t end) {
    const segment_job *j = arg;
    const exaone_segments *s = j->s;
    size_t tile = exaone_online_tile(s->head_dim), group = s->num_heads / s->num_key_value_heads;
    for (size_t t = begin; t < end; t++) {
        size_t part = t % j->parts, kv_head = t / j->parts % s->num_key_value_heads;
        size_t segment = t / j->parts / s->num_key_value_heads;
        size_t k0 = (size_t)s->bounds[segment], k1 = (size_t)s->bounds[segment + 1], n = (k1 - k0) * group;
        size_t q0 = k0 * group + n * part / j->parts, last = k0 * group + n * (part + 1) / j->parts;
        while (q0 < last) {
            size_t q1 = last - q0 < tile ? last : q0 + tile;
            segment_tile(j, &j->cpu->scratch[worker], kv_head, q0, q1, k0, k1);
            q0 = q1;
        }
    }
}

void exaone_cpu_segment_attention(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                                  const exaone_segments *s) {
    exaone_cpu *cpu = be->state;
    size_t wanted = 4 * (size_t)exaone_pool_size(cpu->pool);
    assert(s->head_dim <= EXAONE_MAX_HEAD_DIM);
    segment_job j = {cpu, s, out, q, k, v, .parts = 1};
    while (j.parts < 64 && j.parts * s->n_segments * s->num_key_value_heads < wanted) {
        j.parts *= 2;
    }
    exaone_pool_run(cpu->pool, s->n_segments * s->num_key_value_heads * j.parts, 1, segment_part, &j);
}
