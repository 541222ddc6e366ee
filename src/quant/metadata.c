/* The metadata of a new GGUF pair: see metadata.h. */
#include "quant/metadata.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "exaone/media.h"
#include "quant/document.h"

enum { QUANTIZATION_VERSION = 2, NOMINAL_IMAGE = 560 };

static void put_int(exaone_gguf_writer *w, const char *key, int value) {
    exaone_gguf_put_u32(w, key, (uint32_t)value);
}

static void put_text_shape(exaone_gguf_writer *w, const exaone_config *c) {
    int blocks = c->num_hidden_layers + c->num_mtp_layers;
    put_int(w, "exaone4.block_count", blocks);
    if (c->num_mtp_layers) {
        put_int(w, "exaone4.nextn_predict_layers", c->num_mtp_layers);
    }
    put_int(w, "exaone4.context_length", c->max_position_embeddings);
    put_int(w, "exaone4.embedding_length", c->hidden_size);
    put_int(w, "exaone4.feed_forward_length", c->intermediate_size);
    put_int(w, "exaone4.vocab_size", c->vocab_size);
    put_int(w, "exaone4.attention.head_count", c->num_attention_heads);
    put_int(w, "exaone4.attention.head_count_kv", c->num_key_value_heads);
    exaone_gguf_put_f32(w, "exaone4.attention.layer_norm_rms_epsilon", (float)c->rms_norm_eps);
    if (c->sliding_window > 0) {
        put_int(w, "exaone4.attention.sliding_window", c->sliding_window);
    }
    bool pattern[EXAONE_MAX_LAYERS + 1];
    memcpy(pattern, c->sliding, (size_t)c->num_hidden_layers * sizeof *pattern);
    pattern[c->num_hidden_layers] = true;
    exaone_gguf_put_bools(w, "exaone4.attention.sliding_window_pattern", pattern, (size_t)blocks);
    exaone_gguf_put_f32(w, "exaone4.rope.freq_base", (float)c->rope.rope_theta);
    put_int(w, "exaone4.attention.key_length", c->head_dim);
    put_int(w, "exaone4.attention.value_length", c->head_dim);
    put_int(w, "exaone4.rope.dimension_count", c->head_dim);
}

/* A settings file of the folder as a string: GGUF has keys of its own for a few of its members only. Other programs pass
 * over keys that they do not know. */
static exaone_status put_document(exaone_gguf_writer *w, const char *folder, const char *name, exaone_error *err) {
    char key[64];
    snprintf(key, sizeof key, EXAONE_GGUF_DOCUMENT, name);
    exaone_document d;
    exaone_status status = exaone_document_open(folder, name, &d, err);
    if (status == EXAONE_OK && d.root) {
        exaone_gguf_put_string(w, key, d.text, d.size);
    }
    exaone_document_release(&d);
    return status;
}

exaone_status exaone_metadata_text(exaone_gguf_writer *w, const exaone_config *config, const char *folder, const char *name,
                                   uint32_t file_type, exaone_error *err) {
    exaone_gguf_put_text(w, "general.architecture", "exaone4");
    exaone_gguf_put_text(w, "general.type", "model");
    exaone_gguf_put_text(w, "general.name", name);
    exaone_gguf_put_u32(w, "general.file_type", file_type);
    exaone_gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    put_text_shape(w, config);
    exaone_status status = put_document(w, folder, "generation_config.json", err);
    return status == EXAONE_OK ? exaone_metadata_tokenizer(w, config, folder, err) : status;
}

/* The only period that says which blocks are full; 0 when there is none. */
static int full_period(const exaone_vision_config *v) {
    for (int period = 1; period <= v->depth; period++) {
        bool same = true;
        for (int b = 0; b < v->depth && same; b++) {
            same = v->full[b] == ((b + 1) % period == 0);
        }
        if (same) {
            return period;
        }
    }
    return 0;
}

static void read_triple(const exaone_json *j, float out[3]) {
    double values[3];
    const exaone_json *at = exaone_json_is(j, EXAONE_JSON_ARRAY) && j->len == 3 ? j->first : NULL;
    for (int i = 0; i < 3; i++, at = at->next) {
        if (!at || !exaone_json_double(at, &values[i])) {
            return;
        }
    }
    for (int i = 0; i < 3; i++) {
        out[i] = (float)values[i];
    }
}

/* MODEL: without preprocessor_config.json the values of the release. */
static exaone_status put_preprocessing(exaone_gguf_writer *w, const char *folder, exaone_error *err) {
    float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f}, std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    int64_t least = 3136, most = 3211264;
    exaone_document d;
    exaone_status status = exaone_document_open(folder, "preprocessor_config.json", &d, err);
    if (status == EXAONE_OK && d.root) {
        const exaone_json *size = exaone_json_get(d.root, "size");
        (void)(exaone_json_int(exaone_json_get(size, "shortest_edge"), &least) ||
               exaone_json_int(exaone_json_get(d.root, "min_pixels"), &least));
        (void)(exaone_json_int(exaone_json_get(size, "longest_edge"), &most) ||
               exaone_json_int(exaone_json_get(d.root, "max_pixels"), &most));
        read_triple(exaone_json_get(d.root, "image_mean"), mean);
        read_triple(exaone_json_get(d.root, "image_std"), std);
        if (least < 1 || most < least || most > INT32_MAX) {
            status =
                exaone_fail(err, EXAONE_ERR_MODEL, "%s: images from %lld to %lld pixels; 1 to %d, in order, are allowed",
                            d.path, (long long)least, (long long)most, INT32_MAX);
        }
    }
    exaone_document_release(&d);
    put_int(w, "clip.vision.image_size", NOMINAL_IMAGE);
    exaone_gguf_put_u32(w, "clip.vision.image_min_pixels", (uint32_t)least);
    exaone_gguf_put_u32(w, "clip.vision.image_max_pixels", (uint32_t)most);
    exaone_gguf_put_f32s(w, "clip.vision.image_mean", mean, 3);
    exaone_gguf_put_f32s(w, "clip.vision.image_std", std, 3);
    return status;
}

exaone_status exaone_metadata_vision(exaone_gguf_writer *w, const exaone_config *config, const char *folder,
                                     uint32_t file_type, exaone_error *err) {
    const exaone_vision_config *v = &config->vision;
    int period = full_period(v);
    if (period == 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL,
                           "%s: the vision blocks with full attention have no period, so GGUF cannot say which they are",
                           folder);
    }
    exaone_gguf_put_text(w, "general.architecture", "clip");
    exaone_gguf_put_text(w, "general.type", "mmproj");
    exaone_gguf_put_u32(w, "general.file_type", file_type);
    exaone_gguf_put_bool(w, "clip.has_vision_encoder", true);
    exaone_gguf_put_bool(w, "clip.use_silu", true);
    exaone_gguf_put_text(w, "clip.projector_type", "exaone4_5");
    put_int(w, "clip.vision.projection_dim", v->out_hidden_size);
    put_int(w, "clip.vision.embedding_length", v->hidden_size);
    put_int(w, "clip.vision.feed_forward_length", v->intermediate_size);
    put_int(w, "clip.vision.block_count", v->depth);
    put_int(w, "clip.vision.attention.head_count", v->num_heads);
    put_int(w, "clip.vision.attention.head_count_kv", v->num_key_value_heads);
    put_int(w, "clip.vision.patch_size", v->patch_size);
    put_int(w, "clip.vision.window_size", v->window_size);
    put_int(w, "clip.vision.n_wa_pattern", period);
    put_int(w, "clip.vision.spatial_merge_size", v->spatial_merge_size);
    exaone_gguf_put_f32(w, "clip.vision.attention.layer_norm_epsilon", (float)v->rms_norm_eps);
    exaone_status status = put_preprocessing(w, folder, err);
    for (int kind = 0; kind < EXAONE_PROCESSOR_FILES && status == EXAONE_OK; kind++) {
        status = put_document(w, folder, exaone_processor_file_name((exaone_processor_file)kind), err);
    }
    return status;
}

void exaone_metadata_copy(exaone_gguf_writer *w, const exaone_gguf *from, const uint32_t *file_type) {
    bool typed = false;
    for (size_t i = 0; i < exaone_gguf_kv_count(from); i++) {
        const exaone_gguf_kv *kv = exaone_gguf_kv_at(from, i);
        if (strncmp(kv->key, "split.", 6) == 0 || strcmp(kv->key, "general.alignment") == 0) {
            continue;
        }
        if (file_type && strcmp(kv->key, "general.file_type") == 0) {
            exaone_gguf_put_u32(w, kv->key, *file_type);
            typed = true;
        } else {
            exaone_gguf_put_kv(w, kv);
        }
    }
    if (file_type && !typed) {
        exaone_gguf_put_u32(w, "general.file_type", *file_type);
    }
    if (file_type && !exaone_gguf_find(from, "general.quantization_version")) {
        exaone_gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    }
}
