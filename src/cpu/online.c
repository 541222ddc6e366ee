/* Online softmax of a tile of queries: see online.h. */
#include "cpu/online.h"

#include <math.h>
#include <string.h>

size_t exaone_operand_size(exaone_dtype type) {
    return type == EXAONE_F32 ? sizeof(float) : sizeof(uint16_t);
}

exaone_operand exaone_operand_at(exaone_operand m, size_t element) {
    m.data = (const uint8_t *)m.data + element * exaone_operand_size(m.type);
    return m;
}

/* out [n_rows, n] += a [n_rows, depth] b [depth, n] */
static void add_product(const exaone_kernels *k, float *out, size_t out_stride, const float *a, size_t a_stride,
                        size_t n_rows, exaone_operand b, size_t n, size_t depth) {
    (b.type == EXAONE_F32   ? k->add_product_f32
     : b.type == EXAONE_F16 ? k->add_product_f16
                            : k->add_product_bf16)(out, out_stride, a, a_stride, n_rows, b.data, b.stride, n, depth);
}

size_t exaone_online_tile(size_t head_dim) {
    size_t n = EXAONE_QUERY_FLOATS / head_dim;
    return n < EXAONE_QUERY_TILE ? n : EXAONE_QUERY_TILE;
}

void exaone_online_start(exaone_online *o, size_t n) {
    memset(o->out, 0, n * o->head_dim * sizeof *o->out);
    for (size_t m = 0; m < n; m++) {
        o->max[m] = -INFINITY;
        o->sum[m] = 0;
    }
}

void exaone_online_scores(const exaone_online *o, size_t m0, size_t m1, exaone_operand keys_t, size_t n,
                          const uint8_t *mask) {
    float *scores = o->scores + m0 * EXAONE_KV_PAGE;
    for (size_t m = 0; m < m1 - m0; m++) {
        memset(scores + m * EXAONE_KV_PAGE, 0, n * sizeof *scores);
    }
    add_product(o->k, scores, EXAONE_KV_PAGE, o->q + m0 * o->head_dim, o->head_dim, m1 - m0, keys_t, n, o->head_dim);
    for (size_t j = 0; mask && j < n; j++) {
        for (size_t m = 0; !mask[j] && m < m1 - m0; m++) {
            scores[m * EXAONE_KV_PAGE + j] = -INFINITY;
        }
    }
}

void exaone_online_block(exaone_online *o, size_t m0, size_t m1, exaone_operand keys_t, exaone_operand values, size_t n,
                         const uint8_t *mask) {
    exaone_online_scores(o, m0, m1, keys_t, n, mask);
    for (size_t m = m0; m < m1; m++) {
        float *out = o->out + m * o->head_dim, before = o->max[m];
        float sum = o->k->softmax_exp(o->scores + m * EXAONE_KV_PAGE, n, o->scale, &o->max[m]);
        float keep = before == o->max[m] ? 1.0f : expf(before - o->max[m]);
        for (size_t d = 0; keep != 1.0f && d < o->head_dim; d++) {
            out[d] *= keep;
        }
        o->sum[m] = o->sum[m] * keep + sum;
    }
    add_product(o->k, o->out + m0 * o->head_dim, o->head_dim, o->scores + m0 * EXAONE_KV_PAGE, EXAONE_KV_PAGE, m1 - m0,
                values, o->head_dim, n);
}

static bool saw_nothing(float max, float sum) {
    return max == -INFINITY && sum == 0;
}

void exaone_online_merge(float *total, float *total_max, float *total_sum, const float *out, float max, float sum,
                         size_t head_dim) {
    if (saw_nothing(max, sum)) {
        return;
    }
    if (saw_nothing(*total_max, *total_sum)) {
        memcpy(total, out, head_dim * sizeof *total);
        *total_max = max;
        *total_sum = sum;
        return;
    }
    float top = max > *total_max ? max : *total_max, keep = expf(*total_max - top), take = expf(max - top);
    for (size_t d = 0; d < head_dim; d++) {
        total[d] = total[d] * keep + out[d] * take;
    }
    *total_sum = *total_sum * keep + sum * take;
    *total_max = top;
}

void exaone_online_finish(float *to, const float *from, float sum, size_t head_dim) {
    float inverse = sum == 0 ? 0.0f : 1.0f / sum; /* NaN stays NaN */
    for (size_t d = 0; d < head_dim; d++) {
        to[d] = from[d] * inverse;
    }
}
