/* Shapes of EXAONE 4.5 33B: see shapes.h. */
#include "bench/shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/bench.h"

/* What the release says, but for the number of layers. */
static const char CONFIG[] =
    "{\"model_type\": \"exaone4_5\", \"architectures\": [\"Exaone4_5_ForConditionalGeneration\"],"
    " \"image_token_id\": 67, \"video_token_id\": 68, \"vision_start_token_id\": 73, \"vision_end_token_id\": 74,"
    " \"vocab_size\": 153600, \"tie_word_embeddings\": false,"
    " \"text_config\": {\"model_type\": \"exaone4_5_text\", \"vocab_size\": 153600, \"hidden_size\": 5120,"
    " \"intermediate_size\": 27392, \"num_hidden_layers\": %d, \"num_attention_heads\": 40, \"num_key_value_heads\": 8,"
    " \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-05, \"max_position_embeddings\": 262144, \"bos_token_id\": 1,"
    " \"eos_token_id\": 53, \"pad_token_id\": 0, \"sliding_window\": 4096, \"sliding_window_pattern\": \"LLLG\","
    " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 16.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
    " \"original_max_position_embeddings\": 8192, \"rope_theta\": 1000000.0}, \"num_nextn_predict_layers\": 1,"
    " \"tie_word_embeddings\": false},"
    " \"vision_config\": {\"model_type\": \"exaone4_5_vision\", \"depth\": 28, \"hidden_size\": 2048,"
    " \"intermediate_size\": 5120, \"num_heads\": 32, \"num_key_value_heads\": 8, \"hidden_act\": \"silu\","
    " \"in_channels\": 3, \"patch_size\": 14, \"spatial_merge_size\": 2, \"temporal_patch_size\": 2, \"window_size\": 112,"
    " \"fullatt_block_indexes\": [6, 13, 20, 27], \"out_hidden_size\": 5120}}";

exaone_status exaone_shapes_config(int n_layers, exaone_config *config, exaone_error *err) {
    char text[sizeof CONFIG + 16];
    *config = (exaone_config){0};
    if (n_layers < 1 || n_layers > EXAONE_SYNTHETIC_LAYERS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%d decoder layers: the 33B has %d, so 1 to %d can be made", n_layers,
                           EXAONE_SYNTHETIC_LAYERS, EXAONE_SYNTHETIC_LAYERS);
    }
    int n = snprintf(text, sizeof text, CONFIG, n_layers);
    return exaone_config_parse("the 33B's configuration", text, (size_t)n, NULL, NULL, 0, config, err);
}

/* ---- tensors ---- */

typedef struct lister {
    exaone_shapes *s;
    char prefix[96];
    exaone_status status;
    exaone_error *err;
} lister;

static void add(lister *l, const char *name, size_t n_dims, const int *dims) {
    exaone_shapes *s = l->s;
    if (l->status != EXAONE_OK || s->n == s->cap) {
        l->status = l->status ? l->status : exaone_fail(l->err, EXAONE_ERR_LIMIT, "more than %zu tensors", s->cap);
        return;
    }
    exaone_weight *w = &s->list[s->n];
    snprintf(s->names[s->n], sizeof s->names[s->n], "%s%s", l->prefix, name);
    *w = (exaone_weight){.name = s->names[s->n], .dtype = EXAONE_BF16, .n_dims = n_dims, .file = "the 33B"};
    w->part = strncmp(w->name, "mtp.", 4) == 0             ? EXAONE_PART_MTP
              : strncmp(w->name, "model.visual.", 13) == 0 ? EXAONE_PART_VISION
                                                           : EXAONE_PART_TEXT;
    w->bytes = 2;
    for (size_t i = 0; i < n_dims; i++) {
        w->dims[i] = (uint64_t)dims[i];
        w->bytes *= (size_t)dims[i];
    }
    s->n++;
}

static void vector(lister *l, const char *name, int n) {
    add(l, name, 1, (const int[]){n});
}

static void matrix(lister *l, const char *name, int rows, int columns) {
    add(l, name, 2, (const int[]){rows, columns});
}

static void linear(lister *l, const char *name, int rows, int columns) {
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    matrix(l, full, rows, columns);
    snprintf(full, sizeof full, "%s.bias", name);
    vector(l, full, rows);
}

static void layer(lister *l, const exaone_config *c) {
    int q = c->num_attention_heads * c->head_dim, kv = c->num_key_value_heads * c->head_dim;
    matrix(l, "self_attn.q_proj.weight", q, c->hidden_size);
    matrix(l, "self_attn.k_proj.weight", kv, c->hidden_size);
    matrix(l, "self_attn.v_proj.weight", kv, c->hidden_size);
    matrix(l, "self_attn.o_proj.weight", c->hidden_size, q);
    vector(l, "self_attn.q_norm.weight", c->head_dim);
    vector(l, "self_attn.k_norm.weight", c->head_dim);
    matrix(l, "mlp.gate_proj.weight", c->intermediate_size, c->hidden_size);
    matrix(l, "mlp.up_proj.weight", c->intermediate_size, c->hidden_size);
    matrix(l, "mlp.down_proj.weight", c->hidden_size, c->intermediate_size);
    vector(l, "post_attention_layernorm.weight", c->hidden_size);
    vector(l, "post_feedforward_layernorm.weight", c->hidden_size);
}

static void text(lister *l, const exaone_config *c) {
    l->prefix[0] = 0;
    matrix(l, "model.language_model.embed_tokens.weight", c->vocab_size, c->hidden_size);
    vector(l, "model.language_model.norm.weight", c->hidden_size);
    matrix(l, "lm_head.weight", c->vocab_size, c->hidden_size);
    for (int i = 0; i < c->num_hidden_layers; i++) {
        snprintf(l->prefix, sizeof l->prefix, "model.language_model.layers.%d.", i);
        layer(l, c);
    }
    snprintf(l->prefix, sizeof l->prefix, "mtp.");
    matrix(l, "fc.weight", c->hidden_size, 2 * c->hidden_size);
    vector(l, "pre_fc_norm_embedding.weight", c->hidden_size);
    vector(l, "pre_fc_norm_hidden.weight", c->hidden_size);
    vector(l, "norm.weight", c->hidden_size);
    snprintf(l->prefix, sizeof l->prefix, "mtp.layers.0.");
    layer(l, c);
}

static void vision(lister *l, const exaone_vision_config *v) {
    int kv = v->hidden_size / v->num_heads * v->num_key_value_heads;
    int merged = v->hidden_size * v->spatial_merge_size * v->spatial_merge_size;
    snprintf(l->prefix, sizeof l->prefix, "model.visual.");
    add(l, "patch_embed.proj.weight", 5,
        (const int[]){v->hidden_size, v->in_channels, v->temporal_patch_size, v->patch_size, v->patch_size});
    vector(l, "merger.ln_q.weight", v->hidden_size);
    linear(l, "merger.mlp.0", merged, merged);
    linear(l, "merger.mlp.2", v->out_hidden_size, merged);
    for (int i = 0; i < v->depth; i++) {
        snprintf(l->prefix, sizeof l->prefix, "model.visual.blocks.%d.", i);
        vector(l, "norm1.weight", v->hidden_size);
        vector(l, "norm2.weight", v->hidden_size);
        linear(l, "attn.qkv", v->hidden_size + 2 * kv, v->hidden_size);
        linear(l, "attn.proj", v->hidden_size, v->hidden_size);
        linear(l, "mlp.gate_proj", v->intermediate_size, v->hidden_size);
        linear(l, "mlp.up_proj", v->intermediate_size, v->hidden_size);
        linear(l, "mlp.down_proj", v->hidden_size, v->intermediate_size);
    }
}

exaone_status exaone_shapes_list(const exaone_config *c, exaone_shapes *out, exaone_error *err) {
    size_t cap = 32 + 16 * ((size_t)c->num_hidden_layers + (size_t)c->vision.depth);
    *out = (exaone_shapes){
        .list = exaone_mem_array(cap, sizeof *out->list), .names = exaone_mem_array(cap, sizeof *out->names), .cap = cap};
    if (!out->list || !out->names) {
        return exaone_fail_memory(err, "the list of tensors", cap * (sizeof *out->list + sizeof *out->names));
    }
    lister l = {.s = out, .err = err};
    text(&l, c);
    vision(&l, &c->vision);
    return l.status;
}

void exaone_shapes_release(exaone_shapes *s) {
    free(s->list);
    free(s->names);
    *s = (exaone_shapes){0};
}

uint64_t exaone_shapes_weights(const exaone_shapes *s, const char *prefix) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += strncmp(s->list[i].name, prefix, strlen(prefix)) == 0 ? s->list[i].bytes / 2 : 0;
    }
    return n;
}
