/* Online softmax for a tile of queries that see the same keys and values, block by block of at most EXAONE_KV_PAGE keys.
 *
 * With m the running maximum, l the running sum and the output itself as accumulator, a block with scores s_j changes them
 * to m' = max(m, s_j), l' = l exp(m - m') + sum_j exp(s_j - m'), out' = out exp(m - m') + sum_j exp(s_j - m') v_j; at the
 * end out / l. Every number belongs to one query and is computed in the same order whatever the other queries are. */
#ifndef EXAONE_CPU_ONLINE_H
#define EXAONE_CPU_ONLINE_H

#include "backend/backend.h"
#include "cpu/kernels/kernels.h"

enum { EXAONE_QUERY_TILE = 64, EXAONE_QUERY_FLOATS = 8192 }; /* most queries of a tile; most numbers of its queries */

/* Scratch memory of one worker. */
typedef struct exaone_attention_scratch {
    float q[EXAONE_QUERY_FLOATS];     /* [queries, head_dim] */
    float out[EXAONE_QUERY_FLOATS];   /* of one span of keys */
    float total[EXAONE_QUERY_FLOATS]; /* of the spans before */
    float scores[EXAONE_QUERY_TILE * EXAONE_KV_PAGE];
    /* pages as F32: keys [head_dim, EXAONE_KV_PAGE], values and rows [EXAONE_KV_PAGE, head_dim] */
    float keys_t[EXAONE_MAX_HEAD_DIM * EXAONE_KV_PAGE];
    float values[EXAONE_KV_PAGE * EXAONE_MAX_HEAD_DIM], rows[EXAONE_KV_PAGE * EXAONE_MAX_HEAD_DIM];
} exaone_attention_scratch;

typedef struct exaone_online {
    const exaone_kernels *k;
    float *q, *out, *scores; /* [n, head_dim], [n, head_dim], [n, EXAONE_KV_PAGE] */
    size_t head_dim;
    float scale;
    float max[EXAONE_QUERY_TILE], sum[EXAONE_QUERY_TILE];
} exaone_online;

/* A matrix of F32, F16 or BF16 as attention meets it: a page of the cache or scratch memory. */
typedef struct exaone_operand {
    const void *data;
    exaone_dtype type;
    size_t stride;
} exaone_operand;
size_t exaone_operand_size(exaone_dtype type);                      /* bytes of a number */
exaone_operand exaone_operand_at(exaone_operand m, size_t element); /* from that element on */

/* Most queries of one tile. */
size_t exaone_online_tile(size_t head_dim);
/* Queries 0 .. n - 1 have seen nothing. */
void exaone_online_start(exaone_online *o, size_t n);
/* Scores of queries m0 .. m1 - 1, not scaled: keys_t [head_dim, n]; mask [n] or NULL. */
void exaone_online_scores(const exaone_online *o, size_t m0, size_t m1, exaone_operand keys_t, size_t n,
                          const uint8_t *mask);
/* The same queries see n keys and values [n, head_dim]. */
void exaone_online_block(exaone_online *o, size_t m0, size_t m1, exaone_operand keys_t, exaone_operand values, size_t n,
                         const uint8_t *mask);
/* One query's total of the spans before takes in a later span: max and sum point to both numbers of each. */
void exaone_online_merge(float *total, float *total_max, float *total_sum, const float *out, float max, float sum,
                         size_t head_dim);
/* to = from / sum; zeros when no key was seen. */
void exaone_online_finish(float *to, const float *from, float sum, size_t head_dim);

#endif
