/* Configuration of a Hugging Face folder: config.json and generation_config.json.
 *
 * Fields that are absent have the defaults of the reference's configuration classes (docs/model.md, "Configuration").
 * Spellings that occur: the text part inside text_config or, for text-only models, at the top; rope_theta inside
 * rope_scaling or rope_parameters or beside them; head_dim absent or null; layer_types with an entry for the MTP layer, or
 * missing, then sliding_window_pattern as a period or as letters (L sliding, G full). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/config_internal.h"
#include "model/quantization.h"

/* An object of the file: its members are called PREFIX.NAME in messages. */
typedef struct scope {
    const exaone_json *object;
    const char *path, *prefix; /* prefix: "" or "text_config." */
    exaone_error *err;
} scope;

enum { FIELD_ROOM = 128 };

static const exaone_json *member(const scope *s, const char *name) {
    const exaone_json *j = exaone_json_get(s->object, name);
    return exaone_json_is(j, EXAONE_JSON_NULL) ? NULL : j;
}

static exaone_config_field field_of(const scope *s, const char *name, char room[FIELD_ROOM]) {
    size_t n = strlen(s->prefix), m = strlen(name);
    memcpy(room, s->prefix, n); /* both are constants of this file, shorter than the room */
    memcpy(room + n, name, m + 1);
    return (exaone_config_field){s->path, room};
}

/* absent or null: `other` */
static exaone_status get_int(const scope *s, const char *name, int64_t other, int64_t min, int64_t max, int *out) {
    char room[FIELD_ROOM];
    const exaone_json *j = member(s, name);
    int64_t value = other;
    if (!j) {
        *out = (int)other;
        return EXAONE_OK;
    }
    if (!exaone_json_int(j, &value)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is %s, not an integer from %lld to %lld", s->path, s->prefix,
                           name, exaone_json_shown(j, shown), (long long)min, (long long)max);
    }
    return exaone_config_check_int(field_of(s, name, room), value, min, max, out, s->err);
}

static exaone_status get_double(const scope *s, const char *name, double min, double max, bool *has, double *out) {
    char room[FIELD_ROOM];
    const exaone_json *j = member(s, name);
    double value;
    *has = j != NULL;
    if (!j) {
        return EXAONE_OK;
    }
    if (!exaone_json_is(j, EXAONE_JSON_NUMBER) || !exaone_json_double(j, &value)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is %s, not a finite number from %g to %g", s->path, s->prefix,
                           name, exaone_json_shown(j, shown), min, max);
    }
    return exaone_config_check_double(field_of(s, name, room), value, min, max, out, s->err);
}

static exaone_status get_bool(const scope *s, const char *name, bool *has, bool *out) {
    const exaone_json *j = member(s, name);
    *has = j != NULL;
    if (j && !exaone_json_is(j, EXAONE_JSON_TRUE) && !exaone_json_is(j, EXAONE_JSON_FALSE)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is %s, neither true nor false", s->path, s->prefix, name,
                           exaone_json_shown(j, shown));
    }
    *out = exaone_json_is(j, EXAONE_JSON_TRUE);
    return EXAONE_OK;
}

/* The string `name` must be one of `allowed` (ends with NULL); absent counts as the first. */
static exaone_status check_word(const scope *s, const char *name, const char *const *allowed, const char *what) {
    const exaone_json *j = member(s, name);
    if (!j) {
        return EXAONE_OK;
    }
    for (size_t i = 0; allowed[i]; i++) {
        if (exaone_json_equals(j, allowed[i])) {
            return EXAONE_OK;
        }
    }
    bool is_text = exaone_json_is(j, EXAONE_JSON_STRING);
    return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is %s%.*s%s, %s", s->path, s->prefix, name, is_text ? "\"" : "",
                       is_text ? (int)(j->len < 60 ? j->len : 60) : 11, is_text ? j->text : "not a text",
                       is_text ? "\"" : "", what);
}

typedef struct int_field {
    const char *name;
    int64_t other, min, max;
    int *out;
} int_field;

static exaone_status get_ints(const scope *s, const int_field *fields, size_t n) {
    for (size_t i = 0; i < n; i++) {
        exaone_status status = get_int(s, fields[i].name, fields[i].other, fields[i].min, fields[i].max, fields[i].out);
        if (status) {
            return status;
        }
    }
    return EXAONE_OK;
}

/* ---- text ----------------------------------------------------------------------------------------------------------------
 */

static exaone_status read_llama3(const scope *s, exaone_rope_config *rope) {
    rope->llama3 = true;
    const struct {
        const char *name;
        double min, max;
        double *out;
    } fields[] = {
        {"factor", 1, 1e6, &rope->factor},
        {"low_freq_factor", 1e-6, 1e6, &rope->low_freq_factor},
        {"high_freq_factor", 1e-6, 1e6, &rope->high_freq_factor},
    };
    for (size_t i = 0; i < 3; i++) {
        bool has;
        exaone_status status = get_double(s, fields[i].name, fields[i].min, fields[i].max, &has, fields[i].out);
        if (status) {
            return status;
        }
        if (!has) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is missing (rope_type llama3 needs it)", s->path,
                               s->prefix, fields[i].name);
        }
    }
    if (rope->high_freq_factor <= rope->low_freq_factor) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %shigh_freq_factor is %g, it must be above low_freq_factor %g",
                           s->path, s->prefix, rope->high_freq_factor, rope->low_freq_factor);
    }
    if (!member(s, "original_max_position_embeddings")) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL,
                           "%s: %soriginal_max_position_embeddings is missing (rope_type llama3 needs it)", s->path,
                           s->prefix);
    }
    return get_int(s, "original_max_position_embeddings", 0, 1, EXAONE_LIMIT_CONTEXT,
                   &rope->original_max_position_embeddings);
}

static exaone_status read_rope(const scope *text, exaone_rope_config *rope) {
    const char *names[] = {"rope_scaling", "rope_parameters"};
    const char *prefixes[] = {"rope_scaling.", "rope_parameters."};
    rope->rope_theta = 10000;
    bool has, found = false, typed = false;
    exaone_status status = get_double(text, "rope_theta", 1, EXAONE_LIMIT_THETA, &has, &rope->rope_theta);
    for (size_t i = 0; i < 2 && status == EXAONE_OK; i++) { /* the first object's theta and type win */
        const exaone_json *object = member(text, names[i]);
        if (!object || (object->type == EXAONE_JSON_OBJECT && object->len == 0)) {
            continue;
        }
        if (!exaone_json_is(object, EXAONE_JSON_OBJECT)) {
            return exaone_fail(text->err, EXAONE_ERR_MODEL, "%s: %s%s is no object", text->path, text->prefix, names[i]);
        }
        scope s = {object, text->path, prefixes[i], text->err};
        double theta, partial = 1;
        status = get_double(&s, "rope_theta", 1, EXAONE_LIMIT_THETA, &has, &theta);
        if (status == EXAONE_OK && has && !found) {
            rope->rope_theta = theta;
            found = true;
        }
        if (status == EXAONE_OK) {
            status = get_double(&s, "partial_rotary_factor", 1, 1, &has, &partial);
        }
        const char *type_name = member(&s, "rope_type") ? "rope_type" : "type";
        const exaone_json *type = member(&s, type_name);
        if (status == EXAONE_OK && type && !typed) {
            typed = true;
            status = exaone_json_equals(type, "llama3")
                         ? read_llama3(&s, rope)
                         : check_word(&s, type_name, (const char *const[]){"default", "llama3", NULL},
                                      "this version computes default and llama3");
        }
    }
    return status;
}

static exaone_status read_layer_types(const scope *s, exaone_config *c) {
    const exaone_json *types = member(s, "layer_types");
    if (!exaone_json_is(types, EXAONE_JSON_ARRAY)) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %slayer_types is no array", s->path, s->prefix);
    }
    if (types->len < (size_t)c->num_hidden_layers) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %slayer_types has %zu entries for %d layers", s->path, s->prefix,
                           types->len, c->num_hidden_layers);
    }
    const exaone_json *t = types->first;
    for (int l = 0; l < c->num_hidden_layers; l++, t = t->next) {
        c->sliding[l] = exaone_json_equals(t, "sliding_attention");
        if (!c->sliding[l] && !exaone_json_equals(t, "full_attention")) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL,
                               "%s: %slayer_types[%d] is neither sliding_attention nor full_attention", s->path, s->prefix,
                               l);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_pattern(const scope *s, exaone_config *c) {
    const exaone_json *letters = member(s, "sliding_window_pattern");
    if (exaone_json_is(letters, EXAONE_JSON_STRING)) {
        if (letters->len == 0) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %ssliding_window_pattern is empty", s->path, s->prefix);
        }
        for (int l = 0; l < c->num_hidden_layers; l++) {
            char letter = letters->text[(size_t)l % letters->len];
            if (letter != 'L' && letter != 'G') {
                return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %ssliding_window_pattern holds '%c', L and G are known",
                                   s->path, s->prefix, letter);
            }
            c->sliding[l] = letter == 'L';
        }
        return EXAONE_OK;
    }
    int period;
    exaone_status status = get_int(s, "sliding_window_pattern", 4, c->sliding_window > 0, 1 << 20, &period);
    for (int l = 0; status == EXAONE_OK && l < c->num_hidden_layers; l++) {
        c->sliding[l] = c->sliding_window > 0 && (l + 1) % period != 0;
    }
    return status;
}

static exaone_status read_layers(const scope *s, exaone_config *c) {
    c->sliding = exaone_mem_array((size_t)c->num_hidden_layers, sizeof *c->sliding);
    if (!c->sliding) {
        return exaone_fail_memory(s->err, "the layer types", (unsigned long long)c->num_hidden_layers);
    }
    if (exaone_json_get(s->object, "sliding_window") && !member(s, "sliding_window")) {
        c->sliding_window = 0;
    } else {
        exaone_status status = get_int(s, "sliding_window", 4096, 1, EXAONE_LIMIT_CONTEXT, &c->sliding_window);
        if (status) {
            return status;
        }
    }
    return member(s, "layer_types") ? read_layer_types(s, c) : read_pattern(s, c);
}

static exaone_status read_mtp(const scope *top, const scope *text, exaone_config *c) {
    const char *names[] = {"num_nextn_predict_layers", "_num_mtp_layers", "num_mtp_layers"};
    const scope *scopes[] = {text, top};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < 3; i++) {
            if (member(scopes[s], names[i])) {
                return get_int(scopes[s], names[i], 1, 0, 1, &c->num_mtp_layers);
            }
        }
    }
    c->num_mtp_layers = 1;
    return EXAONE_OK;
}

/* The tensors of a bias would be left out of every sum. */
static exaone_status refuse_biases(const scope *text) {
    const char *names[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < 2; i++) {
        bool has, bias = false;
        exaone_status status = get_bool(text, names[i], &has, &bias);
        if (status == EXAONE_OK && bias) {
            status = exaone_fail(text->err, EXAONE_ERR_UNSUPPORTED, "%s: %s%s is true, this version computes only false",
                                 text->path, text->prefix, names[i]);
        }
        if (status) {
            return status;
        }
    }
    return EXAONE_OK;
}

static exaone_status read_text(const scope *top, const scope *text, exaone_config *c) {
    exaone_status status = check_word(text, "hidden_act", (const char *const[]){"silu", NULL}, "this version computes silu");
    if (status == EXAONE_OK) {
        status = refuse_biases(text);
    }
    if (status) {
        return status;
    }
    const scope *vocab = member(text, "vocab_size") ? text : top;
    const int_field fields[] = {
        {"hidden_size", 4096, 1, EXAONE_LIMIT_SIZE, &c->hidden_size},
        {"intermediate_size", 16384, 1, EXAONE_LIMIT_WIDE, &c->intermediate_size},
        {"num_hidden_layers", 32, 1, EXAONE_MAX_LAYERS, &c->num_hidden_layers},
        {"num_attention_heads", 32, 1, EXAONE_LIMIT_HEADS, &c->num_attention_heads},
        {"num_key_value_heads", 32, 1, EXAONE_LIMIT_HEADS, &c->num_key_value_heads},
        {"max_position_embeddings", 2048, 1, EXAONE_LIMIT_CONTEXT, &c->max_position_embeddings},
        {"bos_token_id", 0, 0, EXAONE_LIMIT_VOCAB, &c->bos_token_id},
        {"pad_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &c->pad_token_id},
    };
    status = get_int(vocab, "vocab_size", 102400, 1, EXAONE_LIMIT_VOCAB, &c->vocab_size);
    if (status == EXAONE_OK) {
        status = get_ints(text, fields, sizeof fields / sizeof *fields);
    }
    c->rms_norm_eps = 1e-5;
    bool has;
    if (status == EXAONE_OK) {
        status = get_double(text, "rms_norm_eps", 0, EXAONE_LIMIT_EPS, &has, &c->rms_norm_eps);
    }
    if (status == EXAONE_OK && !member(text, "head_dim") && c->hidden_size % c->num_attention_heads != 0) {
        status = exaone_fail(text->err, EXAONE_ERR_MODEL, "%s: %shidden_size %d is not a multiple of the %d attention heads",
                             text->path, text->prefix, c->hidden_size, c->num_attention_heads);
    }
    if (status == EXAONE_OK) {
        status = get_int(text, "head_dim", c->hidden_size / c->num_attention_heads, 1, EXAONE_LIMIT_SIZE, &c->head_dim);
    }
    if (status == EXAONE_OK) {
        status = read_layers(text, c);
    }
    if (status == EXAONE_OK) {
        status = read_rope(text, &c->rope);
    }
    if (status == EXAONE_OK) {
        status =
            get_bool(member(top, "tie_word_embeddings") ? top : text, "tie_word_embeddings", &has, &c->tie_word_embeddings);
    }
    return status ? status : read_mtp(top, text, c);
}

/* ---- vision --------------------------------------------------------------------------------------------------------------
 */

static exaone_status read_full_blocks(const scope *s, exaone_vision_config *v) {
    v->full = exaone_mem_array((size_t)v->depth, sizeof *v->full);
    if (!v->full) {
        return exaone_fail_memory(s->err, "the block types", (unsigned long long)v->depth);
    }
    const exaone_json *list = member(s, "fullatt_block_indexes");
    if (!list) {
        for (int b = 7; b < v->depth && b < 32; b += 8) {
            v->full[b] = true;
        }
        return EXAONE_OK;
    }
    if (!exaone_json_is(list, EXAONE_JSON_ARRAY)) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %sfullatt_block_indexes is no array", s->path, s->prefix);
    }
    for (const exaone_json *j = list->first; j; j = j->next) {
        int64_t block;
        if (!exaone_json_int(j, &block) || block < 0) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL,
                               "%s: %sfullatt_block_indexes holds something else than integers from 0", s->path, s->prefix);
        }
        if (block < v->depth) {
            v->full[block] = true;
        }
    }
    return EXAONE_OK;
}

static exaone_status read_vision(const scope *top, const exaone_json *object, exaone_config *c) {
    if (!exaone_json_is(object, EXAONE_JSON_OBJECT)) {
        return exaone_fail(top->err, EXAONE_ERR_MODEL, "%s: vision_config is no object", top->path);
    }
    scope s = {object, top->path, "vision_config.", top->err};
    exaone_vision_config *v = &c->vision;
    c->has_vision = true;
    exaone_status status = check_word(&s, "model_type", (const char *const[]){"exaone4_5_vision", "exaone4_vl_vision", NULL},
                                      "this version computes exaone4_5_vision");
    if (status == EXAONE_OK) {
        status = check_word(&s, "hidden_act", (const char *const[]){"silu", NULL}, "this version computes silu");
    }
    const int_field fields[] = {
        {"depth", 32, 1, EXAONE_MAX_LAYERS, &v->depth},
        {"hidden_size", 3584, 1, EXAONE_LIMIT_SIZE, &v->hidden_size},
        {"intermediate_size", 3420, 1, EXAONE_LIMIT_WIDE, &v->intermediate_size},
        {"num_heads", 16, 1, EXAONE_LIMIT_HEADS, &v->num_heads},
        {"num_key_value_heads", 8, 1, EXAONE_LIMIT_HEADS, &v->num_key_value_heads},
        {"in_channels", 3, 3, 3, &v->in_channels},
        {"patch_size", 14, 14, 14, &v->patch_size},
        {"spatial_merge_size", 2, 2, 2, &v->spatial_merge_size},
        {"temporal_patch_size", 2, 2, 2, &v->temporal_patch_size},
        {"window_size", 112, 1, 1 << 16, &v->window_size},
        {"out_hidden_size", 3584, 1, EXAONE_LIMIT_SIZE, &v->out_hidden_size},
    };
    if (status == EXAONE_OK) {
        status = get_ints(&s, fields, sizeof fields / sizeof *fields);
    }
    if (status == EXAONE_OK) {
        status = read_full_blocks(&s, v);
    }
    v->rms_norm_eps = 1e-6; /* MODEL: fixed in the reference's code, and not the text model's */
    v->rope_theta = 10000;
    const exaone_json *rope = member(&s, "rope_parameters");
    if (status == EXAONE_OK && rope) {
        bool has;
        scope r = {rope, s.path, "vision_config.rope_parameters.", s.err};
        status = get_double(&r, "rope_theta", 1, EXAONE_LIMIT_THETA, &has, &v->rope_theta);
    }
    const int_field ids[] = {
        {"image_token_id", EXAONE_DEFAULT_IMAGE_TOKEN, 0, EXAONE_LIMIT_VOCAB, &c->image_token_id},
        {"video_token_id", EXAONE_DEFAULT_VIDEO_TOKEN, 0, EXAONE_LIMIT_VOCAB, &c->video_token_id},
        {"vision_start_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &c->vision_start_token_id},
        {"vision_end_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &c->vision_end_token_id},
    };
    return status ? status : get_ints(top, ids, sizeof ids / sizeof *ids);
}

/* ---- generation_config.json ----------------------------------------------------------------------------------------------
 */

/* An id or a list of ids. */
static exaone_status read_eos(const scope *s, exaone_config *c) {
    const exaone_json *j = member(s, "eos_token_id");
    c->n_eos_token_ids = 0;
    if (!exaone_json_is(j, EXAONE_JSON_ARRAY)) {
        int id;
        exaone_status status = get_int(s, "eos_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &id);
        if (status == EXAONE_OK && id >= 0) {
            c->eos_token_ids[c->n_eos_token_ids++] = id;
        }
        return status;
    }
    if (j->len > EXAONE_MAX_EOS) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %seos_token_id lists %zu ids, the limit is %d", s->path, s->prefix,
                           j->len, EXAONE_MAX_EOS);
    }
    for (const exaone_json *e = j->first; e; e = e->next) {
        int64_t id;
        if (!exaone_json_int(e, &id) || id < 0 || id > EXAONE_LIMIT_VOCAB) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %seos_token_id lists something else than token ids", s->path,
                               s->prefix);
        }
        c->eos_token_ids[c->n_eos_token_ids++] = (int)id;
    }
    return EXAONE_OK;
}

static exaone_status read_generation(const scope *s, exaone_config *c) {
    exaone_generation_config *g = &c->generation;
    const struct {
        const char *name;
        double min, max;
        bool *has;
        double *out;
    } numbers[] = {
        {"temperature", 0, 1e6, &g->has_temperature, &g->temperature},
        {"top_p", 0, 1, &g->has_top_p, &g->top_p},
        {"min_p", 0, 1, &g->has_min_p, &g->min_p},
        {"repetition_penalty", 1e-6, 1e6, &g->has_repetition_penalty, &g->repetition_penalty},
        {"presence_penalty", -1e6, 1e6, &g->has_presence_penalty, &g->presence_penalty},
    };
    exaone_status status = get_bool(s, "do_sample", &g->has_do_sample, &g->do_sample);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == EXAONE_OK; i++) {
        status = get_double(s, numbers[i].name, numbers[i].min, numbers[i].max, numbers[i].has, numbers[i].out);
    }
    int max_length = 0, max_new_tokens = 0, pad = -1, bos = -1;
    const int_field fields[] = {
        {"top_k", 0, 0, EXAONE_LIMIT_VOCAB, &g->top_k},       {"max_length", 0, 1, INT32_MAX, &max_length},
        {"max_new_tokens", 0, 1, INT32_MAX, &max_new_tokens}, {"pad_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &pad},
        {"bos_token_id", -1, 0, EXAONE_LIMIT_VOCAB, &bos},
    };
    if (status == EXAONE_OK) {
        status = get_ints(s, fields, sizeof fields / sizeof *fields);
    }
    if (status) {
        return status;
    }
    g->has_top_k = member(s, "top_k") != NULL;
    g->has_max_length = member(s, "max_length") != NULL;
    g->has_max_new_tokens = member(s, "max_new_tokens") != NULL;
    g->max_length = max_length;
    g->max_new_tokens = max_new_tokens;
    c->pad_token_id = pad >= 0 ? pad : c->pad_token_id;
    c->bos_token_id = bos >= 0 ? bos : c->bos_token_id;
    return member(s, "eos_token_id") ? read_eos(s, c) : EXAONE_OK;
}

/* ---- whole files ---------------------------------------------------------------------------------------------------------
 */

/* At the top, or in text_config. */
static exaone_status read_quantization(const scope *s, exaone_config *c) {
    const char *names[] = {"quantization_config", "compression_config"};
    for (size_t i = 0; i < 2 && !c->quantization; i++) {
        const exaone_json *q = member(s, names[i]);
        if (q) {
            char prefix[FIELD_ROOM];
            snprintf(prefix, sizeof prefix, "%s%s.", s->prefix, names[i]);
            exaone_status status = exaone_quantization_parse(s->path, prefix, q, &c->quantization, s->err);
            if (status) {
                return status;
            }
        }
    }
    return EXAONE_OK;
}

static exaone_status read_config(const scope *top, exaone_config *c) {
    static const char *const text_types[] = {"exaone4_5_text", "exaone4", "exaone4_vl_text", NULL};
    const exaone_json *type = member(top, "model_type"), *object = member(top, "text_config");
    bool whole = exaone_json_equals(type, "exaone4_5") || exaone_json_equals(type, "exaone4_vl");
    if (!type) {
        return exaone_fail(top->err, EXAONE_ERR_MODEL, "%s: model_type is missing; this engine runs exaone4_5", top->path);
    }
    scope text = *top;
    exaone_status status = EXAONE_OK;
    if (whole) {
        if (!exaone_json_is(object, EXAONE_JSON_OBJECT)) {
            return exaone_fail(top->err, EXAONE_ERR_MODEL, "%s: text_config is missing or no object", top->path);
        }
        text = (scope){object, top->path, "text_config.", top->err};
    }
    status = check_word(&text, "model_type", text_types, "this engine runs exaone4_5 and its text model exaone4");
    if (status == EXAONE_OK) {
        status = read_quantization(top, c);
    }
    if (status == EXAONE_OK && whole) {
        status = read_quantization(&text, c);
    }
    if (status == EXAONE_OK) {
        status = read_text(top, &text, c);
    }
    if (status == EXAONE_OK) { /* the reference's class has 2 where the file says nothing */
        c->eos_token_ids[0] = 2;
        c->n_eos_token_ids = 1;
        bool said = exaone_json_get(text.object, "eos_token_id") || exaone_json_get(top->object, "eos_token_id");
        status = said ? read_eos(exaone_json_get(text.object, "eos_token_id") ? &text : top, c) : EXAONE_OK;
    }
    const exaone_json *vision = whole ? member(top, "vision_config") : NULL;
    return status || !vision ? status : read_vision(top, vision, c);
}

/* Parses a text into an object; the arena must be released whatever the result. */
static exaone_status parse_object(const char *path, const char *json, size_t n, exaone_arena *arena, scope *out,
                                  exaone_error *err) {
    exaone_json *root;
    exaone_arena_init(arena, n * 48 + (64 << 10));
    exaone_status status = exaone_json_parse(json, n, arena, &root, err);
    if (status) {
        return exaone_fail_context(err, status, "%s", path);
    }
    if (root->type != EXAONE_JSON_OBJECT) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: not a JSON object", path);
    }
    *out = (scope){root, path, "", err};
    return EXAONE_OK;
}

exaone_status exaone_config_parse_generation(const char *path, const char *json, size_t n, exaone_config *config,
                                             exaone_error *err) {
    exaone_arena arena;
    scope s;
    exaone_status status = parse_object(path, json, n, &arena, &s, err);
    if (status == EXAONE_OK) {
        status = read_generation(&s, config);
    }
    exaone_arena_release(&arena);
    return status;
}

exaone_status exaone_config_parse(const char *path, const char *json, size_t n, const char *generation_path,
                                  const char *generation, size_t n_generation, exaone_config *config, exaone_error *err) {
    *config = (exaone_config){.bos_token_id = -1,
                              .pad_token_id = -1,
                              .image_token_id = -1,
                              .video_token_id = -1,
                              .vision_start_token_id = -1,
                              .vision_end_token_id = -1};
    exaone_arena arena;
    scope s;
    exaone_status status = parse_object(path, json, n, &arena, &s, err);
    if (status == EXAONE_OK) {
        status = read_config(&s, config);
    }
    exaone_arena_release(&arena);
    if (status == EXAONE_OK && generation) {
        status = exaone_config_parse_generation(generation_path, generation, n_generation, config, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_config_check(config, path, path, err);
    }
    if (status) {
        exaone_config_release(config);
    }
    return status;
}
