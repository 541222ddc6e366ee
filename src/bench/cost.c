/* Bytes and multiply-adds of a pass. Norms, rotations, residuals and activations are left out: they are small beside it, and
 * what they take shows as distance from the wall. */
#include "bench/cost.h"

void exaone_cost_matrix(exaone_bench_cost *c, const exaone_engine *e, const exaone_matrix *m, double n_rows,
                        double n_calls) {
    double macs = (double)m->out_features * (double)m->in_features * n_rows;
    bool plain = EXAONE_DTYPE_BIT(m->dtype) & EXAONE_DTYPES_FLOAT;
    c->weight_bytes += (double)exaone_matrix_row_bytes(m) * (double)m->out_features * n_calls;
    *(m->dtype == EXAONE_BF16                         ? &c->bf16_macs
      : plain || e->precision == EXAONE_PRECISION_F32 ? &c->fma_macs
                                                      : &c->int8_macs) += macs;
}

void exaone_cost_layer(exaone_bench_cost *c, const exaone_engine *e, const exaone_layer *l, double n_rows, double n_calls) {
    const exaone_matrix *all[] = {&l->q_proj, &l->k_proj, &l->v_proj, &l->o_proj, &l->gate_proj, &l->up_proj, &l->down_proj};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        exaone_cost_matrix(c, e, all[i], n_rows, n_calls);
    }
}

void exaone_cost_attention(exaone_bench_cost *c, const exaone_engine *e, const exaone_kv *kv, size_t context, size_t n_rows,
                           size_t batch, size_t window) {
    const exaone_config *g = &e->config;
    size_t k_bytes = 0, v_bytes = 0;
    (void)(exaone_dtype_row_bytes(kv->k_type, (uint64_t)g->head_dim, &k_bytes) &&
           exaone_dtype_row_bytes(kv->v_type, (uint64_t)g->head_dim, &v_bytes));
    double key = (double)(k_bytes + v_bytes) * g->num_key_value_heads;
    double product = 2.0 * g->head_dim * g->num_attention_heads; /* q·k and p·v of one row and key, all heads */
    for (size_t done = 0; done < n_rows; done += batch) {
        size_t n = n_rows - done < batch ? n_rows - done : batch, end = context + done + n, first = context + done + 1;
        size_t begin = window && first > window ? first - window : 0;
        c->kv_bytes += key * (double)(end - begin);
        for (size_t i = 0; i < n; i++) {
            size_t keys = first + i;
            c->fma_macs += product * (double)(window && keys > window ? window : keys);
        }
    }
}

static double segment_macs(const int32_t *bounds, size_t n, double product) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double rows = bounds[i + 1] - bounds[i];
        sum += rows * rows * product;
    }
    return sum;
}

void exaone_cost_vision(exaone_bench_cost *c, const exaone_engine *e, const exaone_vision_plan *plan) {
    const exaone_model *m = &e->model;
    const exaone_vision_config *v = &e->config.vision;
    double n = (double)plan->n_patches, product = 2.0 * v->hidden_size; /* of one pair of patches, all heads */
    exaone_cost_matrix(c, e, &m->vision.patch_embed, n, 1);
    for (int i = 0; i < v->depth; i++) {
        const exaone_vision_block *b = &m->vision.blocks[i];
        const exaone_matrix *all[] = {&b->q, &b->k, &b->v, &b->proj, &b->gate_proj, &b->up_proj, &b->down_proj};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            exaone_cost_matrix(c, e, all[k], n, 1);
        }
        c->fma_macs += b->full ? segment_macs(plan->frame_bounds, plan->n_frames, product)
                               : segment_macs(plan->window_bounds, plan->n_windows, product);
    }
    exaone_cost_matrix(c, e, &m->vision.mlp_0, (double)plan->n_units, 1);
    exaone_cost_matrix(c, e, &m->vision.mlp_2, (double)plan->n_units, 1);
}
