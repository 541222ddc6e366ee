/* The text decoder and the MTP module (docs/model.md): one layer function serves both. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "model/rope.h"

void exaone_trace_put(const exaone_trace *trace, const float *data, const size_t *dims, const char *name, ...) {
    if (!trace) {
        return;
    }
    char text[64];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    size_t n = 0;
    while (dims[n]) {
        n++;
    }
    trace->fn(trace->ctx, text, data, n, dims);
}

/* One call's view of the layer at hand. */
typedef struct {
    const exaone_model *m;
    exaone_workspace *ws;
    const exaone_batch *batch;
    const exaone_trace *trace; /* NULL inside MTP: its layer has no stage names */
} pass;

static void plan_rows(const pass *p, size_t cache_layer) {
    for (size_t r = 0; r < p->batch->n_rows; r++) {
        exaone_row row = p->batch->rows[r];
        size_t first = exaone_kv_first_visible(p->batch->caches[row.sequence], cache_layer, row.index);
        row.begin = row.begin > first ? row.begin : first;
        p->ws->rows[r] = row;
    }
    for (size_t s = 0; s < p->batch->n_sequences; s++) {
        p->ws->kv[s] = p->batch->caches[s]->layers[cache_layer];
    }
}

/* ws->k and ws->v of the rows in ws->x. MODEL: no norm in front: the projections read the residual stream itself; the norm
 * of q and k comes before the rotation; full layers carry no positions. */
static void keys_and_values(const pass *p, const exaone_layer *layer) {
    const exaone_config *c = p->m->config;
    exaone_backend *be = p->m->be;
    exaone_workspace *ws = p->ws;
    size_t n = p->batch->n_rows, heads = (size_t)c->num_key_value_heads, dim = (size_t)c->head_dim;
    be->matmul(be, ws->k, heads * dim, ws->x, &layer->k_proj, n);
    be->matmul(be, ws->v, heads * dim, ws->x, &layer->v_proj, n);
    be->rms_norm(be, ws->k, dim, ws->k, dim, layer->k_norm, n * heads, dim, (float)c->rms_norm_eps);
    if (layer->rotates) {
        be->rope(be, ws->k, heads * dim, ws->cos_table, ws->sin_table, n, heads, dim);
    }
}

/* What the rows see in a layer of the cache. */
static exaone_attention attention_of(const pass *p, size_t cache_layer) {
    const exaone_config *c = p->m->config;
    plan_rows(p, cache_layer);
    return (exaone_attention){
        .rows = p->ws->rows,
        .n_rows = p->batch->n_rows,
        .kv = p->ws->kv,
        .key_mask = p->batch->key_mask,
        .blind_keys = p->batch->blind_keys,
        .num_attention_heads = (size_t)c->num_attention_heads,
        .num_key_value_heads = (size_t)c->num_key_value_heads,
        .head_dim = (size_t)c->head_dim,
        .scale = 1.0f / sqrtf((float)c->head_dim),
    };
}

static void attention(const pass *p, const exaone_layer *layer, size_t cache_layer, int number) {
    const exaone_config *c = p->m->config;
    exaone_backend *be = p->m->be;
    exaone_workspace *ws = p->ws;
    size_t n = p->batch->n_rows, heads = (size_t)c->num_attention_heads, kv_heads = (size_t)c->num_key_value_heads;
    size_t dim = (size_t)c->head_dim;

    be->matmul(be, ws->q, heads * dim, ws->x, &layer->q_proj, n);
    be->rms_norm(be, ws->q, dim, ws->q, dim, layer->q_norm, n * heads, dim, (float)c->rms_norm_eps);
    if (layer->rotates) {
        be->rope(be, ws->q, heads * dim, ws->cos_table, ws->sin_table, n, heads, dim);
    }
    keys_and_values(p, layer);
    exaone_trace_put(p->trace, ws->q, EXAONE_DIMS(n, heads, dim), "layer.%d.attn.q", number);
    exaone_trace_put(p->trace, ws->k, EXAONE_DIMS(n, kv_heads, dim), "layer.%d.attn.k", number);
    exaone_trace_put(p->trace, ws->v, EXAONE_DIMS(n, kv_heads, dim), "layer.%d.attn.v", number);

    exaone_attention a = attention_of(p, cache_layer);
    if (p->trace && p->trace->probs) {
        a.probs_keys = p->trace->probs_keys;
        a.probs = be->alloc(be, n * heads * a.probs_keys * sizeof *a.probs); /* NULL: the stage is missing from the result */
    }
    be->store_kv(be, &a, ws->k, ws->v);
    be->attention(be, ws->attn, ws->q, &a);
    if (a.probs) {
        exaone_trace_put(p->trace, a.probs, EXAONE_DIMS(n, heads, a.probs_keys), "layer.%d.attn.probs", number);
        be->release(be, a.probs);
    }
    be->matmul(be, ws->y, (size_t)c->hidden_size, ws->attn, &layer->o_proj, n);
}

/* x += norm(attention(x)); x += norm(mlp(x)): MODEL: the norms stand after the branches, and only there. */
static void decoder_layer(const pass *p, const exaone_layer *layer, size_t cache_layer, int number) {
    const exaone_config *c = p->m->config;
    exaone_backend *be = p->m->be;
    exaone_workspace *ws = p->ws;
    size_t n = p->batch->n_rows, hidden = (size_t)c->hidden_size, inner = (size_t)c->intermediate_size;
    float eps = (float)c->rms_norm_eps;
    const size_t *dims = EXAONE_DIMS(n, hidden);

    attention(p, layer, cache_layer, number);
    exaone_trace_put(p->trace, ws->y, dims, "layer.%d.attn.output", number);
    be->rms_norm(be, ws->y, hidden, ws->y, hidden, layer->post_attention_layernorm, n, hidden, eps);
    exaone_trace_put(p->trace, ws->y, dims, "layer.%d.attn.normed", number);
    be->add(be, ws->x, ws->y, n, hidden);

    be->matmul(be, ws->gate, inner, ws->x, &layer->gate_proj, n);
    be->matmul(be, ws->up, inner, ws->x, &layer->up_proj, n);
    be->silu_mul(be, ws->gate, ws->up, n, inner);
    be->matmul(be, ws->y, hidden, ws->gate, &layer->down_proj, n);
    exaone_trace_put(p->trace, ws->y, dims, "layer.%d.mlp.output", number);
    be->rms_norm(be, ws->y, hidden, ws->y, hidden, layer->post_feedforward_layernorm, n, hidden, eps);
    exaone_trace_put(p->trace, ws->y, dims, "layer.%d.mlp.normed", number);
    be->add(be, ws->x, ws->y, n, hidden);
    exaone_trace_put(p->trace, ws->x, dims, "layer.%d.output", number);
}

static void rotary_tables(const pass *p) {
    size_t n = p->batch->n_rows, half = (size_t)p->m->config->head_dim / 2;
    exaone_workspace *ws = p->ws;
    exaone_rope_table(ws->host_cos, ws->host_sin, p->batch->positions, n, p->m->inv_freq, half);
    p->m->be->upload(p->m->be, ws->cos_table, ws->host_cos, n * half * sizeof(float));
    p->m->be->upload(p->m->be, ws->sin_table, ws->host_sin, n * half * sizeof(float));
}

void exaone_decoder_embed(const exaone_model *m, exaone_workspace *ws, const int32_t *ids, size_t n) {
    m->be->embed(m->be, ws->x, &m->embed_tokens, ids, n);
}

void exaone_decoder_run(const exaone_model *m, exaone_workspace *ws, const exaone_batch *batch, const exaone_trace *trace) {
    pass p = {m, ws, batch, trace};
    size_t n = batch->n_rows, hidden = (size_t)m->config->hidden_size;
    rotary_tables(&p);
    exaone_trace_put(trace, ws->cos_table, EXAONE_DIMS(n, (size_t)m->config->head_dim / 2), "rope.cos");
    exaone_trace_put(trace, ws->sin_table, EXAONE_DIMS(n, (size_t)m->config->head_dim / 2), "rope.sin");
    exaone_trace_put(trace, ws->x, EXAONE_DIMS(n, hidden), "embeddings");
    for (int l = 0; l < m->config->num_hidden_layers; l++) {
        decoder_layer(&p, &m->layers[l], (size_t)l, l);
    }
    m->be->rms_norm(m->be, ws->hidden, hidden, ws->x, hidden, m->norm, n, hidden, (float)m->config->rms_norm_eps);
    exaone_trace_put(trace, ws->hidden, EXAONE_DIMS(n, hidden), "final_norm");
}

void exaone_decoder_logits(const exaone_model *m, float *logits, const float *hidden, size_t n) {
    m->be->matmul(m->be, logits, m->lm_head.out_features, hidden, &m->lm_head, n);
}

/* ws->x = fc of the two normed halves */
static void mtp_input(const pass *p, const float *e, const float *h, const exaone_trace *trace) {
    const exaone_model *m = p->m;
    exaone_workspace *ws = p->ws;
    size_t n = p->batch->n_rows, hidden = (size_t)m->config->hidden_size;
    float eps = (float)m->config->rms_norm_eps;
    rotary_tables(p);
    /* MODEL: the embedding half first; h is the hidden state after the final norm */
    m->be->rms_norm(m->be, ws->fc_input, 2 * hidden, e, hidden, m->mtp.pre_fc_norm_embedding, n, hidden, eps);
    m->be->rms_norm(m->be, ws->fc_input + hidden, 2 * hidden, h, hidden, m->mtp.pre_fc_norm_hidden, n, hidden, eps);
    exaone_trace_put(trace, ws->fc_input, EXAONE_DIMS(n, 2 * hidden), "fc_input");
    m->be->matmul(m->be, ws->x, hidden, ws->fc_input, &m->mtp.fc, n);
    exaone_trace_put(trace, ws->x, EXAONE_DIMS(n, hidden), "fc_output");
}

void exaone_mtp_run(const exaone_model *m, exaone_workspace *ws, const exaone_batch *batch, const float *e, const float *h,
                    const exaone_trace *trace) {
    pass p = {m, ws, batch, NULL};
    size_t n = batch->n_rows, hidden = (size_t)m->config->hidden_size;
    mtp_input(&p, e, h, trace);
    decoder_layer(&p, &m->mtp.layer, (size_t)m->config->num_hidden_layers, 0);
    exaone_trace_put(trace, ws->x, EXAONE_DIMS(n, hidden), "layer_output");
    m->be->rms_norm(m->be, ws->hidden, hidden, ws->x, hidden, m->mtp.norm, n, hidden, (float)m->config->rms_norm_eps);
    exaone_trace_put(trace, ws->hidden, EXAONE_DIMS(n, hidden), "hidden");
}

void exaone_mtp_fill(const exaone_model *m, exaone_workspace *ws, const exaone_batch *batch, const float *e,
                     const float *h) {
    pass p = {m, ws, batch, NULL};
    mtp_input(&p, e, h, NULL);
    keys_and_values(&p, &m->mtp.layer);
    exaone_attention a = attention_of(&p, (size_t)m->config->num_hidden_layers);
    m->be->store_kv(m->be, &a, ws->k, ws->v);
}
