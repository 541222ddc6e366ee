/* Configuration of a GGUF pair: the metadata of the text file (architecture exaone4) and of the mmproj file (clip).
 *
 * Keys: docs/model.md, "GGUF". MODEL: block_count counts the MTP block; the layers of the decoder are block_count -
 * nextn_predict_layers, and the window pattern is taken for those. */
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/config_internal.h"
#include "weights/gguf.h"

enum { REQUIRED = -2 }; /* instead of a default value */

typedef struct int_key {
    const char *key;
    int64_t other; /* when absent, or REQUIRED */
    int64_t min, max;
    int *out;
} int_key;

static exaone_status get_int(const exaone_gguf *g, const int_key *k, exaone_error *err) {
    const exaone_gguf_kv *kv = exaone_gguf_find(g, k->key);
    exaone_config_field field = {exaone_gguf_path(g), k->key};
    int64_t value;
    if (!kv && k->other == REQUIRED) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is missing", field.path, field.name);
    }
    if (!kv) {
        *k->out = (int)k->other;
        return EXAONE_OK;
    }
    if (!exaone_gguf_int(kv, &value)) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is not an integer", field.path, field.name);
    }
    return exaone_config_check_int(field, value, k->min, k->max, k->out, err);
}

static exaone_status get_ints(const exaone_gguf *g, const int_key *keys, size_t n, exaone_error *err) {
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < n && status == EXAONE_OK; i++) {
        status = get_int(g, &keys[i], err);
    }
    return status;
}

/* Leaves *out alone when the key is absent. */
static exaone_status get_double(const exaone_gguf *g, const char *key, double min, double max, double *out,
                                exaone_error *err) {
    const exaone_gguf_kv *kv = exaone_gguf_find(g, key);
    double value;
    if (!kv) {
        return EXAONE_OK;
    }
    if (!exaone_gguf_double(kv, &value)) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is not a number", exaone_gguf_path(g), key);
    }
    return exaone_config_check_double((exaone_config_field){exaone_gguf_path(g), key}, value, min, max, out, err);
}

static exaone_status require(const exaone_gguf *g, const char *key, exaone_error *err) {
    return exaone_gguf_find(g, key) ? EXAONE_OK
                                    : exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is missing", exaone_gguf_path(g), key);
}

/* ---- text file -----------------------------------------------------------------------------------------------------------
 */

static exaone_status check_architecture(const exaone_gguf *g, const char *want, exaone_error *err) {
    exaone_gguf_view v;
    const char *path = exaone_gguf_path(g);
    if (!exaone_gguf_string(exaone_gguf_find(g, "general.architecture"), &v)) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: general.architecture is missing or no string", path);
    }
    if (v.n == strlen(want) && memcmp(v.text, want, v.n) == 0) {
        return EXAONE_OK;
    }
    bool clip = v.n == 4 && memcmp(v.text, "clip", 4) == 0;
    return exaone_fail(err, EXAONE_ERR_MODEL, "%s: general.architecture is \"%.*s\"%s, this engine runs %s", path,
                       (int)(v.n < 60 ? v.n : 60), v.text, clip ? " (a vision tower, not the text model)" : "", want);
}

static exaone_status read_vocab_size(const exaone_weights *w, const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    const exaone_gguf_kv *tokens = exaone_gguf_find(g, "tokenizer.ggml.tokens");
    int64_t count =
        tokens && tokens->type == EXAONE_GGUF_ARRAY && tokens->count <= EXAONE_LIMIT_VOCAB ? (int64_t)tokens->count : 0;
    int_key key = {"exaone4.vocab_size", count > 0 ? count : REQUIRED, 1, EXAONE_LIMIT_VOCAB, &c->vocab_size};
    exaone_status status = get_int(g, &key, err);
    if (status == EXAONE_OK && tokens && count != c->vocab_size) {
        status = exaone_fail(err, EXAONE_ERR_MODEL, "%s: exaone4.vocab_size is %d, tokenizer.ggml.tokens has %llu entries",
                             exaone_gguf_path(g), c->vocab_size, (unsigned long long)tokens->count);
    }
    c->tie_word_embeddings = !exaone_weights_has(w, "lm_head.weight");
    return status;
}

/* The window pattern: an array with an entry per block, a period, or absent, which means a period of 4. */
static exaone_status read_pattern(const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    static const char name[] = "exaone4.attention.sliding_window_pattern";
    const exaone_gguf_kv *kv = exaone_gguf_find(g, name);
    c->sliding = exaone_mem_array((size_t)c->num_hidden_layers, sizeof *c->sliding);
    if (!c->sliding) {
        return exaone_fail_memory(err, "the layer types", (unsigned long long)c->num_hidden_layers);
    }
    if (!kv || kv->type != EXAONE_GGUF_ARRAY) {
        int period = 4;
        exaone_status status = get_int(g, &(int_key){name, 4, 1, 1 << 20, &period}, err);
        if (status == EXAONE_OK && kv && period > 1 && c->sliding_window == 0) {
            return exaone_fail(err, EXAONE_ERR_MODEL, "%s: exaone4.attention.sliding_window is missing, but %s is %d",
                               exaone_gguf_path(g), name, period);
        }
        for (int l = 0; l < c->num_hidden_layers && status == EXAONE_OK; l++) {
            c->sliding[l] = c->sliding_window > 0 && (l + 1) % period != 0;
        }
        return status;
    }
    if (kv->count < (uint64_t)c->num_hidden_layers) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s has %llu entries for %d layers", exaone_gguf_path(g), name,
                           (unsigned long long)kv->count, c->num_hidden_layers);
    }
    for (int l = 0; l < c->num_hidden_layers; l++) {
        int64_t value;
        if (!exaone_gguf_int_at(kv, (uint64_t)l, &value) || value < 0 || value > 1) {
            return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s[%d] is neither true nor false", exaone_gguf_path(g), name, l);
        }
        c->sliding[l] = value != 0;
        if (c->sliding[l] && c->sliding_window == 0) {
            return exaone_fail(err, EXAONE_ERR_MODEL, "%s: exaone4.attention.sliding_window is missing, but %s[%d] is true",
                               exaone_gguf_path(g), name, l);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_factors(const exaone_weights *w, exaone_config *c, exaone_error *err) {
    size_t n = (size_t)c->head_dim / 2;
    exaone_weight t;
    exaone_status status =
        exaone_weights_get(w, "rope_freqs.weight", EXAONE_DTYPES_FLOAT, 1, (const uint64_t[]){n}, &t, err);
    if (status) {
        return status;
    }
    c->rope.factors = exaone_mem_array(n, sizeof *c->rope.factors);
    if (!c->rope.factors) {
        return exaone_fail_memory(err, "the rope factors", (unsigned long long)n * sizeof *c->rope.factors);
    }
    exaone_dtype_to_f32(t.dtype, t.data, n, c->rope.factors);
    for (size_t i = 0; i < n; i++) {
        if (!(c->rope.factors[i] > 0) || isinf(c->rope.factors[i])) {
            return exaone_fail(err, EXAONE_ERR_MODEL, "%s: rope_freqs.weight[%zu] is %g, it must be a positive number",
                               t.file, i, (double)c->rope.factors[i]);
        }
    }
    return EXAONE_OK;
}

/* MODEL: rope_freqs stands for the scaling; when the file has it, rope.scaling.* is not applied too. */
static exaone_status read_rope(const exaone_weights *w, const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    exaone_status status = require(g, "exaone4.rope.freq_base", err);
    if (status == EXAONE_OK) {
        status = get_double(g, "exaone4.rope.freq_base", 1, EXAONE_LIMIT_THETA, &c->rope.rope_theta, err);
    }
    int dim = c->head_dim;
    if (status == EXAONE_OK) {
        status = get_int(g, &(int_key){"exaone4.rope.dimension_count", c->head_dim, c->head_dim, c->head_dim, &dim}, err);
    }
    if (status) {
        return status;
    }
    if (exaone_weights_has(w, "rope_freqs.weight")) {
        return read_factors(w, c, err);
    }
    const exaone_gguf_kv *type = exaone_gguf_find(g, "exaone4.rope.scaling.type");
    exaone_gguf_view v = {"no text", 7};
    if (!type || exaone_gguf_string_is(type, "none")) {
        return EXAONE_OK;
    }
    (void)exaone_gguf_string(type, &v);
    return exaone_fail(
        err, EXAONE_ERR_UNSUPPORTED,
        "%s: exaone4.rope.scaling.type is \"%.*s\"; without a tensor rope_freqs.weight this version computes only none",
        exaone_gguf_path(g), (int)(v.n < 60 ? v.n : 60), v.text);
}

/* The MTP layer is counted in block_count: without the key it would be run as a decoder layer. */
static exaone_status check_nextn(const exaone_weights *w, const exaone_gguf *g, exaone_error *err) {
    for (size_t i = 0; i < exaone_weights_count(w) && !exaone_gguf_find(g, "exaone4.nextn_predict_layers"); i++) {
        const char *name = exaone_weights_at(w, i).name;
        if (strstr(name, ".nextn.")) {
            return exaone_fail(err, EXAONE_ERR_MODEL,
                               "%s: exaone4.nextn_predict_layers is missing, but there is a tensor %s", exaone_gguf_path(g),
                               name);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_text(const exaone_weights *w, const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    int blocks = 0, value_length = 0;
    const int_key keys[] = {
        {"exaone4.embedding_length", REQUIRED, 1, EXAONE_LIMIT_SIZE, &c->hidden_size},
        {"exaone4.feed_forward_length", REQUIRED, 1, EXAONE_LIMIT_WIDE, &c->intermediate_size},
        {"exaone4.block_count", REQUIRED, 1, EXAONE_MAX_LAYERS + 1, &blocks},
        {"exaone4.nextn_predict_layers", 0, 0, 1, &c->num_mtp_layers},
        {"exaone4.attention.head_count", REQUIRED, 1, EXAONE_LIMIT_HEADS, &c->num_attention_heads},
        {"exaone4.attention.head_count_kv", REQUIRED, 1, EXAONE_LIMIT_HEADS, &c->num_key_value_heads},
        {"exaone4.context_length", REQUIRED, 1, EXAONE_LIMIT_CONTEXT, &c->max_position_embeddings},
        {"exaone4.attention.sliding_window", 0, 1, EXAONE_LIMIT_CONTEXT, &c->sliding_window},
        {"exaone4.attention.key_length", 0, 1, EXAONE_LIMIT_SIZE, &c->head_dim},
    };
    exaone_status status = get_ints(g, keys, sizeof keys / sizeof *keys, err);
    if (status == EXAONE_OK) {
        status = check_nextn(w, g, err);
    }
    if (status) {
        return status;
    }
    const char *path = exaone_gguf_path(g);
    if (blocks <= c->num_mtp_layers || blocks - c->num_mtp_layers > EXAONE_MAX_LAYERS) {
        return exaone_fail(err, EXAONE_ERR_MODEL,
                           "%s: exaone4.block_count is %d with %d nextn layers, 1 to %d others are allowed", path, blocks,
                           c->num_mtp_layers, EXAONE_MAX_LAYERS);
    }
    c->num_hidden_layers = blocks - c->num_mtp_layers;
    if (c->head_dim == 0 && c->hidden_size % c->num_attention_heads != 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL,
                           "%s: exaone4.embedding_length %d is not a multiple of the %d attention heads", path,
                           c->hidden_size, c->num_attention_heads);
    }
    c->head_dim = c->head_dim ? c->head_dim : c->hidden_size / c->num_attention_heads;
    status =
        get_int(g, &(int_key){"exaone4.attention.value_length", c->head_dim, c->head_dim, c->head_dim, &value_length}, err);
    if (status == EXAONE_OK) {
        status = require(g, "exaone4.attention.layer_norm_rms_epsilon", err);
    }
    if (status == EXAONE_OK) {
        status = get_double(g, "exaone4.attention.layer_norm_rms_epsilon", 0, EXAONE_LIMIT_EPS, &c->rms_norm_eps, err);
    }
    if (status == EXAONE_OK) {
        status = read_vocab_size(w, g, c, err);
    }
    if (status == EXAONE_OK) {
        status = read_pattern(g, c, err);
    }
    return status ? status : read_rope(w, g, c, err);
}

/* ---- tokens --------------------------------------------------------------------------------------------------------------
 */

/* The id of a token by its text; `other` when the file has no token list. -1 when it has no such token. */
static int find_token(const exaone_gguf_view *tokens, int n, const char *text, int other) {
    size_t length = strlen(text);
    for (int i = 0; tokens && i < n; i++) {
        if (tokens[i].n == length && memcmp(tokens[i].text, text, length) == 0) {
            return i;
        }
    }
    return tokens || other >= n ? -1 : other;
}

static exaone_status read_tokens(const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    int eos = -1, eot = -1;
    const int_key keys[] = {
        {"tokenizer.ggml.bos_token_id", -1, 0, c->vocab_size - 1, &c->bos_token_id},
        {"tokenizer.ggml.eos_token_id", -1, 0, c->vocab_size - 1, &eos},
        {"tokenizer.ggml.eot_token_id", -1, 0, c->vocab_size - 1, &eot},
        {"tokenizer.ggml.padding_token_id", -1, 0, c->vocab_size - 1, &c->pad_token_id},
    };
    exaone_status status = get_ints(g, keys, sizeof keys / sizeof *keys, err);
    if (status == EXAONE_OK && eos >= 0) {
        c->eos_token_ids[c->n_eos_token_ids++] = eos;
    }
    if (status == EXAONE_OK && eot >= 0 && eot != eos) {
        c->eos_token_ids[c->n_eos_token_ids++] = eot;
    }
    exaone_gguf_view *tokens = NULL;
    const exaone_gguf_kv *kv = exaone_gguf_find(g, "tokenizer.ggml.tokens");
    if (status == EXAONE_OK && kv) {
        status = exaone_gguf_strings(kv, &tokens, err);
    }
    if (status == EXAONE_OK) {
        c->image_token_id = find_token(tokens, c->vocab_size, "<|image_pad|>", EXAONE_DEFAULT_IMAGE_TOKEN);
        c->video_token_id = find_token(tokens, c->vocab_size, "<|video_pad|>", EXAONE_DEFAULT_VIDEO_TOKEN);
        c->vision_start_token_id = find_token(tokens, c->vocab_size, "<vision>", EXAONE_DEFAULT_VISION_START_TOKEN);
        c->vision_end_token_id = find_token(tokens, c->vocab_size, "</vision>", EXAONE_DEFAULT_VISION_END_TOKEN);
    }
    free(tokens);
    return status;
}

/* ---- mmproj file ---------------------------------------------------------------------------------------------------------
 */

/* Three numbers, or absent. */
static exaone_status get_triple(const exaone_gguf *g, const char *key, double min, double out[3], bool *has,
                                exaone_error *err) {
    const exaone_gguf_kv *kv = exaone_gguf_find(g, key);
    *has = kv != NULL;
    bool ok = !kv || kv->count == 3;
    for (uint64_t i = 0; i < 3 && kv && ok; i++) {
        ok = exaone_gguf_double_at(kv, i, &out[i]) && out[i] >= min && out[i] <= 1000;
    }
    return ok ? EXAONE_OK
              : exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is not three numbers from %g to 1000", exaone_gguf_path(g), key,
                            min);
}

static exaone_status read_preprocessing(const exaone_gguf *g, exaone_vision_config *v, exaone_error *err) {
    int min_pixels = 0, max_pixels = 0;
    const int_key keys[] = {
        {"clip.vision.image_min_pixels", 0, 1, INT32_MAX, &min_pixels},
        {"clip.vision.image_max_pixels", 0, 1, INT32_MAX, &max_pixels},
    };
    bool has_mean, has_std = false;
    exaone_status status = get_ints(g, keys, 2, err);
    if (status == EXAONE_OK) {
        status = get_triple(g, "clip.vision.image_mean", -1000, v->image_mean, &has_mean, err);
    }
    if (status == EXAONE_OK) {
        status = get_triple(g, "clip.vision.image_std", 1e-6, v->image_std, &has_std, err);
    }
    if (status == EXAONE_OK) {
        v->has_normalization = has_mean && has_std;
        v->has_pixel_limits = min_pixels > 0 && max_pixels > 0;
        v->min_pixels = min_pixels;
        v->max_pixels = max_pixels;
    }
    return status;
}

static exaone_status read_vision(const exaone_gguf *g, exaone_config *c, exaone_error *err) {
    const char *path = exaone_gguf_path(g);
    exaone_vision_config *v = &c->vision;
    exaone_status status = check_architecture(g, "clip", err);
    if (status) {
        return status;
    }
    exaone_gguf_view projector = {"missing", 7};
    (void)exaone_gguf_string(exaone_gguf_find(g, "clip.projector_type"), &projector);
    if (!exaone_gguf_string_is(exaone_gguf_find(g, "clip.projector_type"), "exaone4_5")) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: clip.projector_type is \"%.*s\": the vision tower of another model",
                           path, (int)(projector.n < 60 ? projector.n : 60), projector.text);
    }
    bool silu = true;
    if (exaone_gguf_bool(exaone_gguf_find(g, "clip.use_silu"), &silu) && !silu) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "%s: clip.use_silu is false, this version computes silu", path);
    }
    int period = 0;
    v->in_channels = 3;
    v->temporal_patch_size = 2;
    const int_key keys[] = {
        {"clip.vision.block_count", REQUIRED, 1, EXAONE_MAX_LAYERS, &v->depth},
        {"clip.vision.embedding_length", REQUIRED, 1, EXAONE_LIMIT_SIZE, &v->hidden_size},
        {"clip.vision.feed_forward_length", REQUIRED, 1, EXAONE_LIMIT_WIDE, &v->intermediate_size},
        {"clip.vision.attention.head_count", REQUIRED, 1, EXAONE_LIMIT_HEADS, &v->num_heads},
        {"clip.vision.attention.head_count_kv", REQUIRED, 1, EXAONE_LIMIT_HEADS, &v->num_key_value_heads},
        {"clip.vision.projection_dim", REQUIRED, 1, EXAONE_LIMIT_SIZE, &v->out_hidden_size},
        {"clip.vision.patch_size", REQUIRED, 14, 14, &v->patch_size},
        {"clip.vision.spatial_merge_size", 2, 2, 2, &v->spatial_merge_size},
        {"clip.vision.window_size", 112, 1, 1 << 16, &v->window_size},
        {"clip.vision.n_wa_pattern", REQUIRED, 1, EXAONE_MAX_LAYERS, &period},
    };
    status = get_ints(g, keys, sizeof keys / sizeof *keys, err);
    v->rms_norm_eps = 1e-6;
    v->rope_theta = 10000;
    if (status == EXAONE_OK) {
        status = get_double(g, "clip.vision.attention.layer_norm_epsilon", 0, EXAONE_LIMIT_EPS, &v->rms_norm_eps, err);
    }
    if (status == EXAONE_OK) {
        status = get_double(g, "clip.vision.rope.freq_base", 1, EXAONE_LIMIT_THETA, &v->rope_theta, err);
    }
    if (status == EXAONE_OK) {
        status = read_preprocessing(g, v, err);
    }
    if (status) {
        return status;
    }
    v->full = exaone_mem_array((size_t)v->depth, sizeof *v->full);
    if (!v->full) {
        return exaone_fail_memory(err, "the block types", (unsigned long long)v->depth);
    }
    for (int b = 0; b < v->depth; b++) {
        v->full[b] = (b + 1) % period == 0;
    }
    c->has_vision = true;
    return EXAONE_OK;
}

exaone_status exaone_config_read_gguf(const exaone_weights *weights, exaone_config *config, exaone_error *err) {
    const exaone_gguf *g = exaone_weights_gguf(weights), *mmproj = exaone_weights_mmproj(weights);
    exaone_status status = check_architecture(g, "exaone4", err);
    if (status == EXAONE_OK) {
        status = read_text(weights, g, config, err);
    }
    if (status == EXAONE_OK) {
        status = read_tokens(g, config, err);
    }
    if (status == EXAONE_OK && mmproj) {
        status = read_vision(mmproj, config, err);
    }
    exaone_gguf_view generation;
    if (status == EXAONE_OK && exaone_gguf_string(exaone_gguf_find(g, EXAONE_GGUF_GENERATION), &generation)) {
        char where[512];
        snprintf(where, sizeof where, "%s: %s", exaone_gguf_path(g), EXAONE_GGUF_GENERATION);
        status = exaone_config_parse_generation(where, generation.text, generation.n, config, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_config_check(config, exaone_gguf_path(g), mmproj ? exaone_gguf_path(mmproj) : NULL, err);
    }
    return status;
}
