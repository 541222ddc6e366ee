/* Binding: every tensor is asked for by name, exact shape and allowed types; small vectors become f32 on the device. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "base/mem.h"
#include "model/binding.h"
#include "model/model.h"
#include "model/quantization.h"
#include "model/rope.h"

typedef struct {
    exaone_model *m;
    const exaone_weights *w;
    exaone_error *err;
    char prefix[96];            /* "model.language_model.layers.7." */
    int max_features, max_bf16; /* columns of the widest quantised and the widest BF16 matrix */
    bool only_check;            /* ask for every tensor, take none */
} binder;

/* Device memory that the model releases. */
static void *own(binder *b, size_t bytes) {
    exaone_model *m = b->m;
    void **owned = exaone_mem_grow(m->owned, m->n_owned, &m->cap_owned, sizeof *owned);
    if (!owned) {
        return NULL;
    }
    m->owned = owned;
    void *p = m->be->alloc(m->be, bytes);
    if (p) {
        m->owned[m->n_owned++] = p;
    }
    return p;
}

static exaone_status find(binder *b, const char *name, uint64_t dtypes, size_t n_dims, const uint64_t *dims,
                          exaone_weight *w) {
    char full[192];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    return b->only_check ? exaone_weights_find(b->w, full, n_dims, dims, w, b->err)
                         : exaone_weights_get(b->w, full, dtypes, n_dims, dims, w, b->err);
}

/* A vector as f32 on the device. */
static exaone_status vector(binder *b, float **out, const char *name, int n) {
    exaone_weight w;
    uint64_t dims[1] = {(uint64_t)n};
    exaone_status s = find(b, name, EXAONE_DTYPES_FLOAT, 1, dims, &w);
    if (s != EXAONE_OK || b->only_check) {
        *out = NULL;
        return s;
    }
    float *host = exaone_mem_array((size_t)n, sizeof *host);
    float *device = own(b, (size_t)n * sizeof *device);
    if (!host || !device) {
        free(host);
        return exaone_fail_memory(b->err, name, (size_t)n * sizeof *host);
    }
    exaone_dtype_to_f32(w.dtype, w.data, (size_t)n, host);
    b->m->be->upload(b->m->be, device, host, (size_t)n * sizeof *host);
    free(host);
    *out = device;
    return EXAONE_OK;
}

/* Keeps the widths that the backend has to prepare for. */
static void note_columns(binder *b, const exaone_matrix *w) {
    bool quantised = !(EXAONE_DTYPE_BIT(w->dtype) & EXAONE_DTYPES_FLOAT);
    int n = (int)w->in_features;
    b->max_features = quantised && n > b->max_features ? n : b->max_features;
    b->max_bf16 = w->dtype == EXAONE_BF16 && n > b->max_bf16 ? n : b->max_bf16;
}

/* A matrix in its stored form. (A backend with its own memory uploads here.) */
static exaone_status matrix(binder *b, exaone_matrix *out, const char *name, int n_out, int n_in) {
    char full[192];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    if (b->only_check && !b->m->config->quantization) {
        exaone_weight w;
        *out = (exaone_matrix){.out_features = (size_t)n_out, .in_features = (size_t)n_in};
        return exaone_weights_find(b->w, full, 2, (uint64_t[]){(uint64_t)n_out, (uint64_t)n_in}, &w, b->err);
    }
    exaone_status s =
        exaone_quantization_matrix(b->m->config->quantization, b->w, full, (size_t)n_out, (size_t)n_in, out, b->err);
    if (s == EXAONE_OK) {
        note_columns(b, out);
    }
    return s;
}

/* NAME.weight and NAME.bias */
static exaone_status linear(binder *b, exaone_matrix *out, const char *name, int n_out, int n_in) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    exaone_status s = matrix(b, out, full, n_out, n_in);
    if (s == EXAONE_OK) {
        float *bias;
        snprintf(full, sizeof full, "%s.bias", name);
        s = vector(b, &bias, full, n_out);
        out->bias = s == EXAONE_OK ? bias : NULL;
    }
    return s;
}

static void set_prefix(binder *b, const char *fmt, int number) {
    snprintf(b->prefix, sizeof b->prefix, fmt, number);
}

static exaone_status bind_layer(binder *b, exaone_layer *l, bool rotates) {
    const exaone_config *c = b->m->config;
    int q = c->num_attention_heads * c->head_dim, kv = c->num_key_value_heads * c->head_dim;
    EXAONE_TRY(matrix(b, &l->q_proj, "self_attn.q_proj.weight", q, c->hidden_size));
    EXAONE_TRY(matrix(b, &l->k_proj, "self_attn.k_proj.weight", kv, c->hidden_size));
    EXAONE_TRY(matrix(b, &l->v_proj, "self_attn.v_proj.weight", kv, c->hidden_size));
    EXAONE_TRY(matrix(b, &l->o_proj, "self_attn.o_proj.weight", c->hidden_size, q));
    EXAONE_TRY(vector(b, &l->q_norm, "self_attn.q_norm.weight", c->head_dim));
    EXAONE_TRY(vector(b, &l->k_norm, "self_attn.k_norm.weight", c->head_dim));
    EXAONE_TRY(matrix(b, &l->gate_proj, "mlp.gate_proj.weight", c->intermediate_size, c->hidden_size));
    EXAONE_TRY(matrix(b, &l->up_proj, "mlp.up_proj.weight", c->intermediate_size, c->hidden_size));
    EXAONE_TRY(matrix(b, &l->down_proj, "mlp.down_proj.weight", c->hidden_size, c->intermediate_size));
    EXAONE_TRY(vector(b, &l->post_attention_layernorm, "post_attention_layernorm.weight", c->hidden_size));
    EXAONE_TRY(vector(b, &l->post_feedforward_layernorm, "post_feedforward_layernorm.weight", c->hidden_size));
    l->rotates = rotates;
    return EXAONE_OK;
}

static exaone_status bind_text(binder *b) {
    exaone_model *m = b->m;
    const exaone_config *c = m->config;
    b->prefix[0] = 0;
    EXAONE_TRY(matrix(b, &m->embed_tokens, "model.language_model.embed_tokens.weight", c->vocab_size, c->hidden_size));
    EXAONE_TRY(vector(b, &m->norm, "model.language_model.norm.weight", c->hidden_size));
    if (c->tie_word_embeddings) {
        m->lm_head = m->embed_tokens;
    } else {
        EXAONE_TRY(matrix(b, &m->lm_head, "lm_head.weight", c->vocab_size, c->hidden_size));
    }
    m->layers = exaone_mem_array((size_t)c->num_hidden_layers, sizeof *m->layers);
    m->inv_freq = exaone_mem_array((size_t)c->head_dim / 2, sizeof *m->inv_freq);
    if (!m->layers || !m->inv_freq) {
        return exaone_fail_memory(b->err, "the layer table", (size_t)c->num_hidden_layers * sizeof *m->layers);
    }
    for (int l = 0; l < c->num_hidden_layers; l++) {
        set_prefix(b, "model.language_model.layers.%d.", l);
        /* MODEL: sliding layers rotate, full ones do not; without a window every layer does */
        EXAONE_TRY(bind_layer(b, &m->layers[l], c->sliding_window == 0 || c->sliding[l]));
    }
    exaone_rope_text_frequencies(c, m->inv_freq);
    return EXAONE_OK;
}

static exaone_status bind_mtp(binder *b) {
    exaone_model *m = b->m;
    int hidden = m->config->hidden_size;
    set_prefix(b, "mtp.", 0);
    EXAONE_TRY(matrix(b, &m->mtp.fc, "fc.weight", hidden, 2 * hidden));
    EXAONE_TRY(vector(b, &m->mtp.pre_fc_norm_embedding, "pre_fc_norm_embedding.weight", hidden));
    EXAONE_TRY(vector(b, &m->mtp.pre_fc_norm_hidden, "pre_fc_norm_hidden.weight", hidden));
    EXAONE_TRY(vector(b, &m->mtp.norm, "norm.weight", hidden));
    set_prefix(b, "mtp.layers.%d.", 0);
    return bind_layer(b, &m->mtp.layer, true);
}

static exaone_status bind_block(binder *b, exaone_vision_block *v, bool full) {
    const exaone_vision_config *c = &b->m->config->vision;
    int hidden = c->hidden_size, kv = hidden / c->num_heads * c->num_key_value_heads;
    exaone_matrix qkv;
    EXAONE_TRY(vector(b, &v->norm1, "norm1.weight", hidden));
    EXAONE_TRY(vector(b, &v->norm2, "norm2.weight", hidden));
    EXAONE_TRY(linear(b, &qkv, "attn.qkv", hidden + 2 * kv, hidden));
    if (!b->only_check) {
        v->q = exaone_matrix_rows(&qkv, 0, (size_t)hidden); /* MODEL: hidden | kv | kv, not thirds */
        v->k = exaone_matrix_rows(&qkv, (size_t)hidden, (size_t)kv);
        v->v = exaone_matrix_rows(&qkv, (size_t)(hidden + kv), (size_t)kv);
    }
    EXAONE_TRY(linear(b, &v->proj, "attn.proj", hidden, hidden));
    EXAONE_TRY(linear(b, &v->gate_proj, "mlp.gate_proj", c->intermediate_size, hidden));
    EXAONE_TRY(linear(b, &v->up_proj, "mlp.up_proj", c->intermediate_size, hidden));
    EXAONE_TRY(linear(b, &v->down_proj, "mlp.down_proj", hidden, c->intermediate_size));
    v->full = full;
    return EXAONE_OK;
}

/* The convolution as one matrix [hidden, channels * temporal * patch * patch]. GGUF keeps one tensor per temporal slice:
 * they are interleaved into memory of our own. */
static exaone_status bind_patch_embed(binder *b) {
    const exaone_vision_config *c = &b->m->config->vision;
    const char *name = "model.visual.patch_embed.proj.weight";
    uint64_t hidden = (uint64_t)c->hidden_size, channels = (uint64_t)c->in_channels, patch = (uint64_t)c->patch_size;
    uint64_t temporal = (uint64_t)c->temporal_patch_size;
    size_t row = (size_t)(channels * temporal * patch * patch);
    exaone_matrix *out = &b->m->vision.patch_embed;
    exaone_weight w;
    b->prefix[0] = 0;
    *out = (exaone_matrix){.out_features = (size_t)hidden, .in_features = row};
    if (exaone_weights_has(b->w, name)) {
        EXAONE_TRY(find(b, name, EXAONE_DTYPES_FLOAT, 5, (uint64_t[]){hidden, channels, temporal, patch, patch}, &w));
        out->dtype = w.dtype;
        out->data = w.data;
        return EXAONE_OK;
    }
    uint8_t *joined = NULL;
    for (uint64_t t = 0; t < temporal; t++) {
        char slice[64];
        snprintf(slice, sizeof slice, "%s.%d", name, (int)t);
        EXAONE_TRY(find(b, slice, EXAONE_DTYPES_FLOAT, 4, (uint64_t[]){hidden, channels, patch, patch}, &w));
        if (b->only_check) {
            continue;
        }
        size_t element = w.dtype == EXAONE_F32 ? 4 : 2, plane = (size_t)(patch * patch) * element;
        if (t == 0) {
            out->dtype = w.dtype;
            joined = own(b, (size_t)hidden * row * element);
            if (!joined) {
                return exaone_fail_memory(b->err, name, (size_t)hidden * row * element);
            }
        } else if (w.dtype != out->dtype) {
            return exaone_fail(b->err, EXAONE_ERR_MODEL, "%s: type %s, its first slice has %s", slice,
                               exaone_dtype_name(w.dtype), exaone_dtype_name(out->dtype));
        }
        for (size_t p = 0; p < (size_t)(hidden * channels); p++) {
            b->m->be->upload(b->m->be, joined + (p * (size_t)temporal + (size_t)t) * plane, w.data + p * plane, plane);
        }
    }
    out->data = joined;
    return EXAONE_OK;
}

static exaone_status bind_vision(binder *b) {
    exaone_model *m = b->m;
    const exaone_vision_config *c = &m->config->vision;
    int merged = c->hidden_size * c->spatial_merge_size * c->spatial_merge_size;
    EXAONE_TRY(bind_patch_embed(b));
    note_columns(b, &b->m->vision.patch_embed);
    m->vision.blocks = exaone_mem_array((size_t)c->depth, sizeof *m->vision.blocks);
    m->vision.inv_freq = exaone_mem_array((size_t)(c->hidden_size / c->num_heads / 4), sizeof *m->vision.inv_freq);
    if (!m->vision.blocks || !m->vision.inv_freq) {
        return exaone_fail_memory(b->err, "the vision block table", (size_t)c->depth * sizeof *m->vision.blocks);
    }
    for (int i = 0; i < c->depth; i++) {
        set_prefix(b, "model.visual.blocks.%d.", i);
        EXAONE_TRY(bind_block(b, &m->vision.blocks[i], c->full[i]));
    }
    set_prefix(b, "model.visual.merger.", 0);
    EXAONE_TRY(vector(b, &m->vision.ln_q, "ln_q.weight", c->hidden_size));
    EXAONE_TRY(linear(b, &m->vision.mlp_0, "mlp.0", merged, merged));
    EXAONE_TRY(linear(b, &m->vision.mlp_2, "mlp.2", c->out_hidden_size, merged));
    exaone_rope_vision_frequencies(m->config, m->vision.inv_freq);
    return EXAONE_OK;
}

static exaone_status check_kernel_limits(const exaone_config *c, exaone_error *err) {
    int vision_dim = c->has_vision ? c->vision.hidden_size / c->vision.num_heads : 0;
    int vision_group = c->has_vision ? c->vision.num_heads / c->vision.num_key_value_heads : 0;
    if (c->head_dim > EXAONE_MAX_HEAD_DIM || vision_dim > EXAONE_MAX_HEAD_DIM) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "head_dim %d is above the limit %d",
                           c->head_dim > vision_dim ? c->head_dim : vision_dim, EXAONE_MAX_HEAD_DIM);
    }
    if (c->num_attention_heads / c->num_key_value_heads > EXAONE_MAX_HEAD_GROUP || vision_group > EXAONE_MAX_HEAD_GROUP) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "more than %d query heads per key/value head",
                           EXAONE_MAX_HEAD_GROUP);
    }
    return EXAONE_OK;
}

static exaone_status bind_parts(binder *b, bool vision) {
    const exaone_config *c = b->m->config;
    EXAONE_TRY(check_kernel_limits(c, b->err));
    EXAONE_TRY(bind_text(b));
    if (c->num_mtp_layers > 0) {
        EXAONE_TRY(bind_mtp(b));
    }
    return vision && c->has_vision ? bind_vision(b) : EXAONE_OK;
}

exaone_status exaone_model_check(const exaone_config *config, const exaone_weights *weights, bool vision,
                                 exaone_error *err) {
    exaone_model m = {.config = config};
    binder b = {.m = &m, .w = weights, .err = err, .only_check = true};
    exaone_status status = bind_parts(&b, vision);
    exaone_model_release(&m);
    return status;
}

exaone_status exaone_model_bind(exaone_model *m, const exaone_config *config, const exaone_weights *weights,
                                exaone_backend *be, exaone_error *err) {
    *m = (exaone_model){.config = config, .be = be};
    binder b = {.m = m, .w = weights, .err = err};
    EXAONE_TRY(bind_parts(&b, true));
    return be->prepare(be, (size_t)b.max_features, (size_t)b.max_bf16, err);
}

void exaone_model_release(exaone_model *m) {
    for (size_t i = 0; i < m->n_owned; i++) {
        m->be->release(m->be, m->owned[i]);
    }
    free(m->owned);
    free(m->layers);
    free(m->inv_freq);
    free(m->vision.blocks);
    free(m->vision.inv_freq);
    *m = (exaone_model){0};
}
