/* The vision tower (docs/model.md): patch embedding, blocks in window order, merger. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/rope.h"

typedef struct {
    const exaone_model *m;
    const exaone_vision_plan *plan;
    const exaone_trace *trace;
    const exaone_vision_progress *progress;
    float *x, *y, *q, *k, *v, *attn, *gate, *up, *cos_table, *sin_table; /*dev*/
    float *block; /*dev*/                                                /* the memory of all of them */
} vision_pass;

/* Gives each buffer its place in one allocation. */
static exaone_status plan_buffers(vision_pass *p, exaone_error *err) {
    const exaone_vision_config *c = &p->m->config->vision;
    size_t n = p->plan->n_patches, hidden = (size_t)c->hidden_size, dim = hidden / (size_t)c->num_heads;
    size_t kv = dim * (size_t)c->num_key_value_heads, inner = (size_t)c->intermediate_size;
    struct {
        float **at;
        size_t cols;
    } table[] = {{&p->x, hidden},
                 {&p->y, hidden},
                 {&p->q, hidden},
                 {&p->k, kv},
                 {&p->v, kv},
                 {&p->attn, hidden},
                 {&p->gate, inner},
                 {&p->up, inner},
                 {&p->cos_table, dim / 2},
                 {&p->sin_table, dim / 2}};
    size_t cols = 0, floats = 0, bytes = 0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        cols += table[i].cols + 16;
    }
    if (!exaone_size_mul(n, cols, &floats) || !exaone_size_mul(floats, sizeof(float), &bytes) ||
        !(p->block = p->m->be->alloc(p->m->be, bytes))) {
        return exaone_fail_memory(err, "the vision tower's activations", bytes);
    }
    float *at = p->block;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        *table[i].at = at;
        at += n * (table[i].cols + 15) / 16 * 16;
    }
    return EXAONE_OK;
}

/* x [n_patches, hidden] = patch embedding, in window order; the rotary tables likewise. */
static exaone_status embed(vision_pass *p, const float *pixels, exaone_error *err) {
    const exaone_config *c = p->m->config;
    exaone_backend *be = p->m->be;
    size_t n = p->plan->n_patches, hidden = (size_t)c->vision.hidden_size,
           quarter = hidden / (size_t)c->vision.num_heads / 4;
    size_t in = p->m->vision.patch_embed.in_features, half = 2 * quarter;
    float *device = be->alloc(be, n * in * sizeof *device);
    float *tables = exaone_mem_array(n * half * 2, sizeof *tables);
    if (!device || !tables) {
        be->release(be, device);
        free(tables);
        return exaone_fail_memory(err, "the patches", n * (in + 2 * half) * sizeof(float));
    }
    be->upload(be, device, pixels, n * in * sizeof *pixels);
    be->matmul(be, p->y, hidden, device, &p->m->vision.patch_embed, n);
    exaone_trace_put(p->trace, p->y, EXAONE_DIMS(n, hidden), "patch_embed");
    be->gather_rows(be, p->x, p->y, p->plan->window_rows, n, hidden);
    be->release(be, device);

    exaone_rope_vision_table(tables, tables + n * half, (const int32_t(*)[2])p->plan->place, n, p->m->vision.inv_freq,
                             quarter);
    be->upload(be, p->q, tables, n * half * sizeof(float)); /* q is free here */
    be->upload(be, p->y, tables + n * half, n * half * sizeof(float));
    exaone_trace_put(p->trace, p->q, EXAONE_DIMS(n, half), "rope.cos");
    exaone_trace_put(p->trace, p->y, EXAONE_DIMS(n, half), "rope.sin");
    be->gather_rows(be, p->cos_table, p->q, p->plan->window_rows, n, half);
    be->gather_rows(be, p->sin_table, p->y, p->plan->window_rows, n, half);
    free(tables);
    return EXAONE_OK;
}

static bool go_on(const vision_pass *p, int done) {
    const exaone_vision_progress *progress = p->progress;
    return !progress || progress->fn(progress->ctx, (size_t)done, (size_t)p->m->config->vision.depth);
}

/* False: stopped. */
static bool block(const vision_pass *p, const exaone_vision_block *b, int number) {
    const exaone_vision_config *c = &p->m->config->vision;
    exaone_backend *be = p->m->be;
    size_t n = p->plan->n_patches, hidden = (size_t)c->hidden_size, inner = (size_t)c->intermediate_size;
    size_t heads = (size_t)c->num_heads, kv_heads = (size_t)c->num_key_value_heads, dim = hidden / heads;
    float eps = (float)c->rms_norm_eps; /* MODEL: 1e-6, not the text's 1e-5 */

    be->rms_norm(be, p->y, hidden, p->x, hidden, b->norm1, n, hidden, eps);
    be->matmul(be, p->q, hidden, p->y, &b->q, n);
    be->matmul(be, p->k, kv_heads * dim, p->y, &b->k, n);
    be->matmul(be, p->v, kv_heads * dim, p->y, &b->v, n);
    be->rope(be, p->q, hidden, p->cos_table, p->sin_table, n, heads, dim);
    be->rope(be, p->k, kv_heads * dim, p->cos_table, p->sin_table, n, kv_heads, dim);
    exaone_trace_put(p->trace, p->q, EXAONE_DIMS(n, heads, dim), "block.%d.attn.q", number);
    exaone_trace_put(p->trace, p->k, EXAONE_DIMS(n, kv_heads, dim), "block.%d.attn.k", number);
    exaone_trace_put(p->trace, p->v, EXAONE_DIMS(n, kv_heads, dim), "block.%d.attn.v", number);
    exaone_segments s = {
        .bounds = b->full ? p->plan->frame_bounds : p->plan->window_bounds,
        .n_segments = b->full ? p->plan->n_frames : p->plan->n_windows,
        .num_heads = heads,
        .num_key_value_heads = kv_heads,
        .head_dim = dim,
        .scale = 1.0f / sqrtf((float)dim),
    };
    if (!go_on(p, number)) {
        return false;
    }
    be->segment_attention(be, p->attn, p->q, p->k, p->v, &s);
    if (!go_on(p, number)) {
        return false;
    }
    be->matmul(be, p->y, hidden, p->attn, &b->proj, n);
    exaone_trace_put(p->trace, p->y, EXAONE_DIMS(n, hidden), "block.%d.attn.output", number);
    be->add(be, p->x, p->y, n, hidden);

    be->rms_norm(be, p->y, hidden, p->x, hidden, b->norm2, n, hidden, eps);
    be->matmul(be, p->gate, inner, p->y, &b->gate_proj, n);
    if (!go_on(p, number)) {
        return false;
    }
    be->matmul(be, p->up, inner, p->y, &b->up_proj, n);
    be->silu_mul(be, p->gate, p->up, n, inner);
    be->matmul(be, p->y, hidden, p->gate, &b->down_proj, n);
    be->add(be, p->x, p->y, n, hidden);
    exaone_trace_put(p->trace, p->x, EXAONE_DIMS(n, hidden), "block.%d.output", number);
    return go_on(p, number + 1);
}

size_t exaone_vision_bytes(const exaone_config *config, size_t n_patches) {
    const exaone_vision_config *c = &config->vision;
    size_t hidden = (size_t)c->hidden_size, dim = hidden / (size_t)c->num_heads, side = (size_t)c->patch_size;
    size_t merge = (size_t)c->spatial_merge_size * (size_t)c->spatial_merge_size, out = (size_t)c->out_hidden_size;
    size_t kv = dim * (size_t)c->num_key_value_heads, inner = (size_t)c->intermediate_size;
    size_t in = (size_t)c->in_channels * (size_t)c->temporal_patch_size * side * side;
    size_t held = 4 * hidden + 2 * kv + 2 * inner + dim + 10 * 16;         /* plan_buffers */
    size_t first = in + dim, last = hidden + out / merge;                  /* embed, merge; one after the other */
    size_t cols = held + (first > last ? first : last) + in + out / merge; /* and pixels and features */
    size_t floats, bytes;
    return exaone_size_mul(n_patches, cols, &floats) && exaone_size_mul(floats, sizeof(float), &bytes) ? bytes : SIZE_MAX;
}

/* Four rows of x become one feature row. */
static exaone_status merge(const vision_pass *p, float *features, exaone_error *err) {
    exaone_backend *be = p->m->be;
    size_t n = p->plan->n_patches, units = p->plan->n_units, hidden = (size_t)p->m->config->vision.hidden_size;
    size_t wide = p->m->vision.mlp_0.out_features, out = p->m->vision.mlp_2.out_features;
    float *inner = be->alloc(be, units * (wide + out) * sizeof *inner);
    if (!inner) {
        return exaone_fail_memory(err, "the vision merger", units * (wide + out) * sizeof *inner);
    }
    float *ordered = inner + units * wide;
    be->rms_norm(be, p->y, hidden, p->x, hidden, p->m->vision.ln_q, n, hidden, (float)p->m->config->vision.rms_norm_eps);
    exaone_trace_put(p->trace, p->y, EXAONE_DIMS(n, hidden), "merger.ln_q");
    be->matmul(be, inner, wide, p->y, &p->m->vision.mlp_0, units);
    be->gelu_erf(be, inner, units * wide);
    exaone_trace_put(p->trace, inner, EXAONE_DIMS(units, wide), "merger.gelu");
    be->matmul(be, ordered, out, inner, &p->m->vision.mlp_2, units);
    exaone_trace_put(p->trace, ordered, EXAONE_DIMS(units, out), "merger.output");
    be->gather_rows(be, features, ordered, p->plan->inverse, units, out);
    be->release(be, inner);
    return EXAONE_OK;
}

exaone_status exaone_vision_plan_grids(const exaone_vision_config *config, const int64_t (*grids)[3], size_t n_grids,
                                       exaone_vision_plan *plan, exaone_error *err) {
    int window_units = config->window_size / config->spatial_merge_size / config->patch_size;
    return exaone_vision_plan_init(plan, grids, n_grids, (size_t)config->spatial_merge_size, (size_t)window_units, err);
}

exaone_status exaone_vision_run(const exaone_model *m, const exaone_vision_plan *plan, const float *pixels, float *features,
                                const exaone_trace *trace, const exaone_vision_progress *progress, exaone_error *err) {
    vision_pass p = {.m = m, .plan = plan, .trace = trace, .progress = progress};
    exaone_status s = plan_buffers(&p, err);
    if (s == EXAONE_OK) {
        s = embed(&p, pixels, err);
    }
    if (s == EXAONE_OK) {
        bool going = go_on(&p, 0);
        int b = 0;
        for (; going && b < m->config->vision.depth; b++) {
            going = block(&p, &m->vision.blocks[b], b);
        }
        s = going ? merge(&p, features, err)
                  : exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped in block %d of %d of the vision tower", b,
                                m->config->vision.depth);
    }
    m->be->release(m->be, p.block);
    return s;
}
