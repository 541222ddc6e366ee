/* GGUF pairs from Hugging Face folders: see make_gguf.h. */
#include "make_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/rope.h"
#include "weights/gguf_writer.h"
#include "weights/names.h"
#include "weights/weights.h"

enum { NAME = 256, PATCH = 14 * 14 };

/* What one tensor of the new file is made from. */
typedef struct part {
    exaone_weight weight;
    exaone_dtype type;   /* in the new file */
    int slice;           /* patch embedding: 0 or 1; -1: the whole tensor */
    const float *values; /* instead of the weight's */
    size_t n_values;
} part;

typedef struct maker {
    exaone_weights *weights;
    exaone_config config;
    exaone_dtype type;
    part *parts; /* never moves: room for all */
    size_t n_parts;
    exaone_error *err;
} maker;

/* ---- tensors -------------------------------------------------------------------------------------------------------------
 */

static void put_values(exaone_writer *out, exaone_dtype type, const float *values, size_t n) {
    if (type == EXAONE_F32) {
        exaone_writer_put(out, values, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t half = type == EXAONE_BF16 ? exaone_f32_to_bf16(values[i]) : exaone_f32_to_f16(values[i]);
        exaone_writer_put(out, &half, sizeof half);
    }
}

static void put_run(exaone_writer *out, const part *p, size_t at, size_t n) {
    size_t width = exaone_dtype_get(p->weight.dtype)->block_bytes;
    if (p->type == p->weight.dtype) {
        exaone_writer_put(out, p->weight.data + at * width, n * width);
        return;
    }
    float values[512];
    for (size_t i = 0; i < n; i += 512) {
        size_t m = n - i < 512 ? n - i : 512;
        exaone_dtype_to_f32(p->weight.dtype, p->weight.data + (at + i) * width, m, values);
        put_values(out, p->type, values, m);
    }
}

static exaone_status write_part(void *ctx, exaone_writer *out, exaone_error *err) {
    (void)err;
    const part *p = ctx;
    if (p->values) {
        put_values(out, p->type, p->values, p->n_values);
        return EXAONE_OK;
    }
    size_t n = p->weight.bytes / exaone_dtype_get(p->weight.dtype)->block_bytes;
    if (p->slice < 0) {
        put_run(out, p, 0, n);
        return EXAONE_OK;
    }
    for (size_t i = 0; i < n / (2 * PATCH); i++) { /* [hidden * 3][2][14 * 14]: one slice of each pair */
        put_run(out, p, (2 * i + (size_t)p->slice) * PATCH, PATCH);
    }
    return EXAONE_OK;
}

/* Adds a tensor of the checkpoint under its GGUF name when that belongs into this file. */
static exaone_status add_tensor(maker *m, exaone_gguf_writer *w, exaone_weight t, int slice, bool vision) {
    char from[NAME + 8], name[EXAONE_NAME_ROOM];
    bool is_vision;
    snprintf(from, sizeof from, "%s%s", t.name, slice < 0 ? "" : slice == 0 ? ".0" : ".1");
    if (!exaone_names_to_gguf(from, (size_t)m->config.num_hidden_layers, name, &is_vision)) {
        return exaone_fail(m->err, EXAONE_ERR_MODEL, "%s has no name in GGUF", t.name);
    }
    if (is_vision != vision) {
        return EXAONE_OK;
    }
    uint64_t ne[4];
    uint32_t n_dims = 0;
    for (size_t d = t.n_dims; d-- > 0;) {
        if (!(slice >= 0 && d == 2)) {
            ne[n_dims++] = t.dims[d];
        }
    }
    part *p = &m->parts[m->n_parts++];
    *p = (part){.weight = t, .type = n_dims > 1 ? m->type : EXAONE_F32, .slice = slice};
    exaone_gguf_put_tensor(w, name, p->type, n_dims, ne, write_part, p);
    return EXAONE_OK;
}

static exaone_status add_tensors(maker *m, exaone_gguf_writer *w, bool vision) {
    exaone_status status = EXAONE_OK;
    m->n_parts = 0;
    for (size_t i = 0; i < exaone_weights_count(m->weights) && status == EXAONE_OK; i++) {
        exaone_weight t = exaone_weights_at(m->weights, i);
        bool patches = strcmp(t.name, "model.visual.patch_embed.proj.weight") == 0 && t.n_dims == 5;
        status = add_tensor(m, w, t, patches ? 0 : -1, vision);
        if (status == EXAONE_OK && patches) {
            status = add_tensor(m, w, t, 1, vision);
        }
    }
    return status;
}

/* The factors that turn the plain frequencies into those of the llama3 rule: of the neighbouring floats the one whose
 * quotient is exactly the rule's frequency. */
static void rope_factors(const exaone_config *config, float *factors) {
    exaone_config plain = *config;
    plain.rope.llama3 = false;
    float base[256], scaled[256];
    exaone_rope_text_frequencies(&plain, base);
    exaone_rope_text_frequencies(config, scaled);
    for (int i = 0; i < config->head_dim / 2; i++) {
        uint32_t middle = exaone_f32_bits((float)((double)base[i] / (double)scaled[i]));
        factors[i] = exaone_f32_from_bits(middle);
        for (uint32_t d = 0; d < 9; d++) {
            float near = exaone_f32_from_bits(middle + (d + 1) / 2 * (d % 2 ? 1u : ~0u));
            if (base[i] / near == scaled[i]) {
                factors[i] = near;
                break;
            }
        }
    }
}

/* ---- tokenizer -----------------------------------------------------------------------------------------------------------
 */

typedef struct document {
    char *text;
    size_t size;
    exaone_arena arena;
    exaone_json *root; /* NULL when the file is not there */
} document;

static exaone_status open_document(const char *folder, const char *name, document *d, exaone_error *err) {
    *d = (document){0};
    exaone_arena_init(&d->arena, (size_t)1 << 30);
    char *path = exaone_path_join(folder, name);
    exaone_status status = path ? EXAONE_OK : exaone_fail_memory(err, name, NAME);
    if (path && exaone_file_exists(path)) {
        status = exaone_file_read(path, (size_t)64 << 20, &d->text, &d->size, err);
        if (status == EXAONE_OK) {
            status = exaone_json_parse(d->text, d->size, &d->arena, &d->root, err);
        }
    }
    free(path);
    return status;
}

static void close_document(document *d) {
    exaone_arena_release(&d->arena);
    free(d->text);
}

static void put_tokens(exaone_gguf_writer *w, const exaone_json *root, size_t n, exaone_arena *arena) {
    exaone_gguf_view *tokens = exaone_arena_take(arena, n * sizeof *tokens);
    int32_t *types = exaone_arena_take(arena, n * sizeof *types);
    if (!tokens || !types) {
        w->kvs.failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) { /* ids without a token, as converters name them */
        char *unused = exaone_arena_take(arena, 32);
        snprintf(unused, 32, "[PAD%zu]", i);
        tokens[i] = (exaone_gguf_view){unused, strlen(unused)};
        types[i] = 5;
    }
    for (const exaone_json *j = exaone_json_get(exaone_json_get(root, "model"), "vocab")->first; j; j = j->next) {
        int64_t id;
        if (exaone_json_int(j, &id) && id >= 0 && (size_t)id < n) {
            tokens[id] = (exaone_gguf_view){j->key, j->key_len};
            types[id] = 1;
        }
    }
    for (const exaone_json *j = exaone_json_get(root, "added_tokens")->first; j; j = j->next) {
        int64_t id;
        const exaone_json *content = exaone_json_get(j, "content");
        if (!exaone_json_int(exaone_json_get(j, "id"), &id) || id < 0 || (size_t)id >= n) {
            continue;
        }
        bool tag = content->len >= 4 && memcmp(content->text, "<|", 2) == 0 &&
                   memcmp(content->text + content->len - 2, "|>", 2) == 0;
        tokens[id] = (exaone_gguf_view){content->text, content->len};
        types[id] = tag || exaone_json_is(exaone_json_get(j, "special"), EXAONE_JSON_TRUE) ? 3 : 4;
    }
    exaone_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, n);
    exaone_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, n);
}

/* "left right"; an inner space is spelled U+0120. */
static exaone_gguf_view merge_text(const exaone_json *j, exaone_arena *arena) {
    if (exaone_json_is(j, EXAONE_JSON_STRING)) {
        return (exaone_gguf_view){j->text, j->len};
    }
    const exaone_json *halves[2] = {j->first, j->first->next};
    char *text = exaone_arena_take(arena, 2 * (halves[0]->len + halves[1]->len) + 1), *at = text;
    for (int h = 0; h < 2; h++) {
        for (size_t i = 0; i < halves[h]->len; i++) {
            if (halves[h]->text[i] == ' ') {
                *at++ = (char)0xc4;
                *at++ = (char)0xa0;
            } else {
                *at++ = halves[h]->text[i];
            }
        }
        if (h == 0) {
            *at++ = ' ';
        }
    }
    return (exaone_gguf_view){text, (size_t)(at - text)};
}

static exaone_status put_tokenizer(maker *m, exaone_gguf_writer *w, const char *folder) {
    document d;
    exaone_status status = open_document(folder, "tokenizer.json", &d, m->err);
    if (status == EXAONE_OK && d.root) {
        exaone_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
        exaone_gguf_put_text(w, "tokenizer.ggml.pre", "exaone-moe");
        put_tokens(w, d.root, (size_t)m->config.vocab_size, &d.arena);
        const exaone_json *merges = exaone_json_get(exaone_json_get(d.root, "model"), "merges");
        exaone_gguf_view *list = exaone_arena_take(&d.arena, (merges->len + 1) * sizeof *list);
        size_t n = 0;
        for (const exaone_json *j = merges->first; j; j = j->next) {
            list[n++] = merge_text(j, &d.arena);
        }
        exaone_gguf_put_strings(w, "tokenizer.ggml.merges", list, n);
        exaone_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 3);
    }
    close_document(&d);
    const struct {
        const char *key;
        int id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", m->config.bos_token_id},
               {"tokenizer.ggml.eos_token_id", m->config.n_eos_token_ids ? m->config.eos_token_ids[0] : -1},
               {"tokenizer.ggml.padding_token_id", m->config.pad_token_id}};
    for (size_t i = 0; i < 3; i++) {
        if (ids[i].id >= 0) {
            exaone_gguf_put_u32(w, ids[i].key, (uint32_t)ids[i].id);
        }
    }
    char *path = exaone_path_join(folder, "chat_template.jinja"), *text = NULL;
    size_t n;
    if (status == EXAONE_OK && path && exaone_file_exists(path)) {
        status = exaone_file_read(path, 1 << 20, &text, &n, m->err);
        if (status == EXAONE_OK) {
            exaone_gguf_put_string(w, "tokenizer.chat_template", text, n);
        }
    }
    free(path);
    free(text);
    return status;
}

/* ---- files ---------------------------------------------------------------------------------------------------------------
 */

static uint32_t file_type(exaone_dtype type) {
    return type == EXAONE_F32 ? 0 : type == EXAONE_F16 ? 1 : 32;
}

static exaone_status make_text(maker *m, const char *folder, const char *path) {
    const exaone_config *c = &m->config;
    exaone_gguf_writer w;
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.architecture", "exaone4");
    exaone_gguf_put_text(&w, "general.type", "model");
    exaone_gguf_put_u32(&w, "general.file_type", file_type(m->type));
    exaone_gguf_put_u32(&w, "general.quantization_version", 2);
    exaone_gguf_put_u32(&w, "exaone4.block_count", (uint32_t)(c->num_hidden_layers + c->num_mtp_layers));
    if (c->num_mtp_layers) {
        exaone_gguf_put_u32(&w, "exaone4.nextn_predict_layers", (uint32_t)c->num_mtp_layers);
    }
    exaone_gguf_put_u32(&w, "exaone4.context_length", (uint32_t)c->max_position_embeddings);
    exaone_gguf_put_u32(&w, "exaone4.embedding_length", (uint32_t)c->hidden_size);
    exaone_gguf_put_u32(&w, "exaone4.feed_forward_length", (uint32_t)c->intermediate_size);
    exaone_gguf_put_u32(&w, "exaone4.vocab_size", (uint32_t)c->vocab_size);
    exaone_gguf_put_u32(&w, "exaone4.attention.head_count", (uint32_t)c->num_attention_heads);
    exaone_gguf_put_u32(&w, "exaone4.attention.head_count_kv", (uint32_t)c->num_key_value_heads);
    exaone_gguf_put_f32(&w, "exaone4.attention.layer_norm_rms_epsilon", (float)c->rms_norm_eps);
    if (c->head_dim * c->num_attention_heads != c->hidden_size) {
        exaone_gguf_put_u32(&w, "exaone4.attention.key_length", (uint32_t)c->head_dim);
        exaone_gguf_put_u32(&w, "exaone4.attention.value_length", (uint32_t)c->head_dim);
    }
    if (c->sliding_window > 0) {
        exaone_gguf_put_u32(&w, "exaone4.attention.sliding_window", (uint32_t)c->sliding_window);
    }
    bool pattern[EXAONE_MAX_LAYERS + 1];
    memcpy(pattern, c->sliding, (size_t)c->num_hidden_layers);
    pattern[c->num_hidden_layers] = true;
    exaone_gguf_put_bools(&w, "exaone4.attention.sliding_window_pattern", pattern,
                          (size_t)(c->num_hidden_layers + c->num_mtp_layers));
    exaone_gguf_put_f32(&w, "exaone4.rope.freq_base", (float)c->rope.rope_theta);
    exaone_status status = put_tokenizer(m, &w, folder);
    float factors[256];
    if (status == EXAONE_OK) {
        status = add_tensors(m, &w, false);
    }
    if (status == EXAONE_OK && c->rope.llama3) {
        uint64_t ne = (uint64_t)c->head_dim / 2;
        rope_factors(c, factors);
        part *p = &m->parts[m->n_parts++];
        *p = (part){.type = EXAONE_F32, .values = factors, .n_values = (size_t)ne};
        exaone_gguf_put_tensor(&w, "rope_freqs.weight", EXAONE_F32, 1, &ne, write_part, p);
    }
    if (status == EXAONE_OK) {
        status = exaone_gguf_writer_save(&w, path, m->err);
    }
    exaone_gguf_writer_release(&w);
    return status;
}

/* The only period that says which blocks are full; 0 when there is none. */
static uint32_t full_period(const exaone_vision_config *v) {
    for (int period = 1; period <= v->depth; period++) {
        bool same = true;
        for (int b = 0; b < v->depth; b++) {
            same = same && v->full[b] == ((b + 1) % period == 0);
        }
        if (same) {
            return (uint32_t)period;
        }
    }
    return 0;
}

static exaone_status put_preprocessing(maker *m, exaone_gguf_writer *w, const char *folder) {
    float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f}, std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    int64_t least = 3136, most = 3211264;
    document d;
    exaone_status status = open_document(folder, "preprocessor_config.json", &d, m->err);
    if (status == EXAONE_OK && d.root) {
        const exaone_json *size = exaone_json_get(d.root, "size");
        (void)exaone_json_int(exaone_json_get(size, "shortest_edge"), &least);
        (void)exaone_json_int(exaone_json_get(size, "longest_edge"), &most);
    }
    close_document(&d);
    exaone_gguf_put_u32(w, "clip.vision.image_size", 560);
    exaone_gguf_put_u32(w, "clip.vision.image_min_pixels", (uint32_t)least);
    exaone_gguf_put_u32(w, "clip.vision.image_max_pixels", (uint32_t)most);
    exaone_gguf_put_f32s(w, "clip.vision.image_mean", mean, 3);
    exaone_gguf_put_f32s(w, "clip.vision.image_std", std, 3);
    return status;
}

static exaone_status make_vision(maker *m, const char *folder, const char *path) {
    const exaone_vision_config *v = &m->config.vision;
    uint32_t period = full_period(v);
    if (period == 0) {
        return exaone_fail(m->err, EXAONE_ERR_MODEL, "%s: GGUF cannot say which vision blocks are full", folder);
    }
    exaone_gguf_writer w;
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.architecture", "clip");
    exaone_gguf_put_text(&w, "general.type", "mmproj");
    exaone_gguf_put_u32(&w, "general.file_type", file_type(m->type));
    exaone_gguf_put_bool(&w, "clip.has_vision_encoder", true);
    exaone_gguf_put_bool(&w, "clip.use_silu", true);
    exaone_gguf_put_text(&w, "clip.projector_type", "exaone4_5");
    exaone_gguf_put_u32(&w, "clip.vision.projection_dim", (uint32_t)v->out_hidden_size);
    exaone_gguf_put_u32(&w, "clip.vision.embedding_length", (uint32_t)v->hidden_size);
    exaone_gguf_put_u32(&w, "clip.vision.feed_forward_length", (uint32_t)v->intermediate_size);
    exaone_gguf_put_u32(&w, "clip.vision.block_count", (uint32_t)v->depth);
    exaone_gguf_put_u32(&w, "clip.vision.attention.head_count", (uint32_t)v->num_heads);
    exaone_gguf_put_u32(&w, "clip.vision.attention.head_count_kv", (uint32_t)v->num_key_value_heads);
    exaone_gguf_put_f32(&w, "clip.vision.attention.layer_norm_epsilon", (float)v->rms_norm_eps);
    exaone_gguf_put_u32(&w, "clip.vision.patch_size", (uint32_t)v->patch_size);
    exaone_gguf_put_u32(&w, "clip.vision.spatial_merge_size", (uint32_t)v->spatial_merge_size);
    exaone_gguf_put_u32(&w, "clip.vision.window_size", (uint32_t)v->window_size);
    exaone_gguf_put_u32(&w, "clip.vision.n_wa_pattern", period);
    exaone_status status = put_preprocessing(m, &w, folder);
    if (status == EXAONE_OK) {
        status = add_tensors(m, &w, true);
    }
    if (status == EXAONE_OK) {
        status = exaone_gguf_writer_save(&w, path, m->err);
    }
    exaone_gguf_writer_release(&w);
    return status;
}

exaone_status make_gguf(const char *folder, const char *text, const char *mmproj, exaone_dtype type, exaone_error *err) {
    maker m = {.type = type, .err = err};
    exaone_status status = exaone_weights_open(folder, NULL, &m.weights, err);
    if (status) {
        return status;
    }
    status = exaone_config_load(m.weights, &m.config, err);
    if (status == EXAONE_OK) {
        m.parts = exaone_mem_array(exaone_weights_count(m.weights) + 2, sizeof *m.parts);
        status = m.parts ? make_text(&m, folder, text) : exaone_fail_memory(err, text, sizeof *m.parts);
    }
    if (status == EXAONE_OK && mmproj && m.config.has_vision) {
        status = make_vision(&m, folder, mmproj);
    }
    free(m.parts);
    exaone_config_release(&m.config);
    exaone_weights_close(m.weights);
    return status;
}
