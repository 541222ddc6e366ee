/* Opening a model: files, configuration, tokenizer, processor, thread pool, backend, binding. The only place that names a
 * backend. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "cpu/cpu.h"
#include "engine/engine_internal.h"
#include "engine/model_tokenizer.h"
#include "engine/observe.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"
#include "weights/place.h"

enum { MAX_TEMPLATE_BYTES = 1 << 20 };

static exaone_string_view view(const exaone_gguf *g, const char *key) {
    exaone_gguf_view v;
    return exaone_gguf_string(exaone_gguf_find(g, key), &v) ? (exaone_string_view){v.text, v.n}
                                                            : (exaone_string_view){NULL, 0};
}

/* The template in GGUF metadata, chat_template.jinja, or the member of tokenizer_config.json is only compared, never run. */
static exaone_status read_template(exaone_engine *e, exaone_error *err) {
    const exaone_gguf *g = exaone_weights_gguf(e->weights);
    if (g) {
        exaone_string_view v = view(g, "tokenizer.chat_template");
        if (v.bytes && v.n <= MAX_TEMPLATE_BYTES) {
            e->chat_template = exaone_mem_string(v.bytes, v.n);
            e->chat_template_len = v.n;
            return e->chat_template ? EXAONE_OK : exaone_fail_memory(err, "the chat template", v.n);
        }
        return EXAONE_OK;
    }
    char *path = exaone_path_join(exaone_weights_dir(e->weights), "chat_template.jinja");
    if (!path) {
        return exaone_fail_memory(err, "a path", 1);
    }
    exaone_status s = EXAONE_OK;
    if (exaone_path_exists(path)) {
        s = exaone_file_read(path, MAX_TEMPLATE_BYTES, &e->chat_template, &e->chat_template_len, err);
    }
    free(path);
    return s;
}

/* Settings files that the mmproj file was given whole. */
static exaone_status read_processor_documents(exaone_engine *e, exaone_error *err) {
    const exaone_gguf *g = exaone_weights_mmproj(e->weights);
    exaone_status s = exaone_processor_config_check(&e->processor, err);
    for (int kind = 0; g && kind < EXAONE_PROCESSOR_FILES && s == EXAONE_OK; kind++) {
        char key[64];
        snprintf(key, sizeof key, EXAONE_GGUF_DOCUMENT, exaone_processor_file_name((exaone_processor_file)kind));
        exaone_string_view text = view(g, key);
        if (text.bytes) {
            s = exaone_processor_config_parse(text.bytes, text.n, (exaone_processor_file)kind, &e->processor, err);
            s = s == EXAONE_OK ? s : exaone_fail_context(err, s, "%s: %s", exaone_gguf_path(g), key);
        }
    }
    return s;
}

/* The processor must cut the patches that the vision tower reads. */
static exaone_status compare_patches(const exaone_engine *e, exaone_error *err) {
    const exaone_vision_config *v = &e->config.vision;
    const exaone_pixel_config *kinds[] = {&e->processor.image, &e->processor.video};
    for (size_t i = 0; i < 2 && e->config.has_vision; i++) {
        const struct {
            const char *name;
            uint32_t is;
            int want;
        } sizes[] = {{"patch_size", kinds[i]->patch_size, v->patch_size},
                     {"merge_size", kinds[i]->merge_size, v->spatial_merge_size},
                     {"temporal_patch_size", kinds[i]->temporal_patch_size, v->temporal_patch_size}};
        for (size_t k = 0; k < 3; k++) {
            if (sizes[k].is != (uint32_t)sizes[k].want) {
                return exaone_fail(
                    err, EXAONE_ERR_MODEL, "%s: %s is %u for %s (%s or processor_config.json), the vision tower has %d",
                    exaone_weights_dir(e->weights), sizes[k].name, sizes[k].is, i ? "videos" : "images",
                    exaone_processor_file_name(i ? EXAONE_PROCESSOR_VIDEO : EXAONE_PROCESSOR_IMAGE), sizes[k].want);
            }
        }
    }
    return EXAONE_OK;
}

static exaone_status read_processor(exaone_engine *e, exaone_error *err) {
    if (!exaone_weights_gguf(e->weights)) {
        return exaone_processor_config_load(exaone_weights_dir(e->weights), &e->processor, err);
    }
    e->processor = exaone_processor_config_default();
    const exaone_vision_config *v = &e->config.vision;
    exaone_pixel_config *kinds[] = {&e->processor.image, &e->processor.video};
    for (size_t i = 0; e->config.has_vision && i < 2; i++) {
        exaone_pixel_config *p = kinds[i];
        p->patch_size = (uint32_t)v->patch_size;
        p->merge_size = (uint32_t)v->spatial_merge_size;
        p->temporal_patch_size = (uint32_t)v->temporal_patch_size;
        if (v->has_pixel_limits && i == 0) {
            p->min_pixels = v->min_pixels;
            p->max_pixels = v->max_pixels;
        }
        if (v->has_normalization) {
            memcpy(p->mean, v->image_mean, sizeof p->mean);
            memcpy(p->std, v->image_std, sizeof p->std);
        }
    }
    return read_processor_documents(e, err);
}

static void fill_info(exaone_engine *e, const exaone_cores *cores) {
    const exaone_config *c = &e->config;
    exaone_model_info *i = &e->info;
    *i = (exaone_model_info){
        .vocab_size = c->vocab_size,
        .hidden_size = c->hidden_size,
        .num_hidden_layers = c->num_hidden_layers,
        .max_position_embeddings = c->max_position_embeddings,
        .image_token_id = c->image_token_id,
        .video_token_id = c->video_token_id,
        .has_vision = c->has_vision,
        .has_mtp = c->num_mtp_layers > 0,
        .n_eos_token_ids = c->n_eos_token_ids,
        .format = exaone_weights_get_format(e->weights) == EXAONE_WEIGHTS_GGUF ? "gguf" : "safetensors",
        .cpu_level = e->be->name,
        .mmproj = exaone_weights_mmproj_path(e->weights),
        .mmproj_candidates = exaone_weights_mmproj_candidates(e->weights),
        .n_threads = exaone_pool_size(e->pool),
        .n_nodes = (int)cores->n_nodes,
    };
    memcpy(i->eos_token_ids, c->eos_token_ids, sizeof i->eos_token_ids);
    const exaone_generation_config *g = &c->generation;
    e->defaults = (exaone_generation_defaults){
        .has_do_sample = g->has_do_sample,
        .do_sample = g->do_sample,
        .has_temperature = g->has_temperature,
        .has_top_p = g->has_top_p,
        .has_top_k = g->has_top_k,
        .has_min_p = g->has_min_p,
        .has_repetition_penalty = g->has_repetition_penalty,
        .has_presence_penalty = g->has_presence_penalty,
        .temperature = g->temperature,
        .top_p = g->top_p,
        .min_p = g->min_p,
        .repetition_penalty = g->repetition_penalty,
        .presence_penalty = g->presence_penalty,
        .top_k = g->top_k,
    };
}

static exaone_status open_parts(exaone_engine *e, const char *path, const exaone_engine_options *o, exaone_error *err) {
    exaone_status s = exaone_weights_open(path, o->mmproj, &e->weights, err);
    if (s == EXAONE_OK) {
        s = exaone_config_load(e->weights, &e->config, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_model_tokenizer(e->weights, e->config.vocab_size, o->no_tokenizer, &e->tokenizer, err);
    }
    if (s == EXAONE_OK) {
        s = read_template(e, err);
    }
    if (s == EXAONE_OK) {
        s = read_processor(e, err);
    }
    if (s == EXAONE_OK) {
        s = compare_patches(e, err);
    }
    exaone_cores cores;
    exaone_cores_here(&cores);
    bool numa = o->numa && cores.n_nodes > 1;
    if (s == EXAONE_OK) {
        int n_threads = o->n_threads > 0 ? o->n_threads : exaone_cores_threads(&cores);
        s = exaone_pool_new_on(n_threads, numa ? &cores : NULL, &e->pool, err);
    }
    if (s == EXAONE_OK && numa) {
        exaone_weights_place(e->weights, e->pool, &cores);
    }
    if (s == EXAONE_OK) {
        e->parallel = exaone_pool_parallel(e->pool);
        e->precision = o->precision;
        s = exaone_cpu_open(e->pool, o->cpu_level, o->precision, &e->be, err);
    }
    if (s == EXAONE_OK && o->imatrix) {
        s = exaone_observe(&e->be, o->imatrix, e->pool, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_model_bind(&e->model, &e->config, e->weights, e->be, err);
    }
    if (s == EXAONE_OK && o->imatrix) {
        s = exaone_observe_model(e->be, &e->model, err);
    }
    if (s == EXAONE_OK) { /* who counts inputs wants every picture encoded */
        s = exaone_feature_cache_init(&e->features, e->be, o->imatrix ? 0 : EXAONE_FEATURE_BUDGET, err);
    }
    if (s == EXAONE_OK) {
        fill_info(e, &cores);
    }
    return s;
}

const char *exaone_cpu_level(size_t i) {
    return exaone_cpu_level_name(i);
}

exaone_status exaone_engine_open(const char *path, const exaone_engine_options *options, exaone_engine **out,
                                 exaone_error *err) {
    static const exaone_engine_options defaults = {0};
    *out = NULL;
    exaone_engine *e = exaone_mem_array(1, sizeof *e);
    if (!e) {
        return exaone_fail_memory(err, "the engine", sizeof *e);
    }
    exaone_status s = open_parts(e, path, options ? options : &defaults, err);
    if (s != EXAONE_OK) {
        exaone_engine_close(e);
        return s;
    }
    *out = e;
    return EXAONE_OK;
}

void exaone_engine_close(exaone_engine *e) {
    if (!e) {
        return;
    }
    if (e->be) {
        exaone_feature_cache_release(&e->features);
        exaone_model_release(&e->model);
        e->be->close(e->be);
    }
    exaone_pool_free(e->pool);
    exaone_tokenizer_free(e->tokenizer);
    exaone_config_release(&e->config);
    exaone_weights_close(e->weights);
    free(e->chat_template);
    free(e);
}

const exaone_model_info *exaone_engine_info(const exaone_engine *e) {
    return &e->info;
}

const exaone_tokenizer *exaone_engine_tokenizer(const exaone_engine *e) {
    return e->tokenizer;
}

const exaone_processor_config *exaone_engine_processor(const exaone_engine *e) {
    return &e->processor;
}

const exaone_parallel *exaone_engine_parallel(const exaone_engine *e) {
    return &e->parallel;
}

const char *exaone_engine_chat_template(const exaone_engine *e, size_t *n) {
    *n = e->chat_template_len;
    return e->chat_template;
}

const exaone_generation_defaults *exaone_engine_generation_defaults(const exaone_engine *e) {
    return &e->defaults;
}
