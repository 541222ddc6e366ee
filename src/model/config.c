/* Configuration: loading by format, the checks that both formats share, and the memory of the KV cache. */
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "model/config_internal.h"
#include "model/quantization.h"

enum { MAX_CONFIG = 4 << 20 }; /* bytes of config.json and generation_config.json; the released ones have 4 KB */

exaone_status exaone_config_check_int(exaone_config_field field, int64_t value, int64_t min, int64_t max, int *out,
                                      exaone_error *err) {
    if (value < min || value > max) {
        if (min == max) {
            return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "%s: %s is %lld, this version computes only %lld", field.path,
                               field.name, (long long)value, (long long)min);
        }
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is %lld, it must be from %lld to %lld", field.path, field.name,
                           (long long)value, (long long)min, (long long)max);
    }
    *out = (int)value;
    return EXAONE_OK;
}

exaone_status exaone_config_check_double(exaone_config_field field, double value, double min, double max, double *out,
                                         exaone_error *err) {
    if (!(value >= min && value <= max)) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is %g, it must be from %g to %g", field.path, field.name, value,
                           min, max);
    }
    *out = value;
    return EXAONE_OK;
}

/* ---- checks across fields ------------------------------------------------------------------------------------------------
 */

static exaone_status check_heads(const char *path, const char *prefix, int heads, int kv, int head_dim, exaone_error *err) {
    if (kv > heads || heads % kv != 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %snum_key_value_heads is %d, it must divide the %d attention heads",
                           path, prefix, kv, heads);
    }
    if (heads / kv > EXAONE_MAX_HEAD_GROUP) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s%d attention heads share a key/value head, the limit is %d", path,
                           prefix, heads / kv, EXAONE_MAX_HEAD_GROUP);
    }
    if (head_dim < 2 || head_dim > EXAONE_MAX_HEAD_DIM || head_dim % 2 != 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: %shead_dim is %d, it must be even and from 2 to %d", path, prefix,
                           head_dim, EXAONE_MAX_HEAD_DIM);
    }
    return EXAONE_OK;
}

static exaone_status check_vision(const exaone_config *c, const char *path, exaone_error *err) {
    const exaone_vision_config *v = &c->vision;
    if (v->hidden_size % v->num_heads != 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: vision hidden_size %d is not a multiple of its %d heads", path,
                           v->hidden_size, v->num_heads);
    }
    int head_dim = v->hidden_size / v->num_heads;
    if (head_dim % 4 != 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL,
                           "%s: vision head size %d is not a multiple of 4 (two halves that turn in pairs)", path, head_dim);
    }
    if (v->window_size < v->patch_size * v->spatial_merge_size) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: vision window_size is %d, it must be at least %d", path,
                           v->window_size, v->patch_size * v->spatial_merge_size);
    }
    if (v->out_hidden_size != c->hidden_size) {
        return exaone_fail(err, EXAONE_ERR_MODEL,
                           "%s: the vision tower gives vectors of %d, the text model's hidden_size is %d", path,
                           v->out_hidden_size, c->hidden_size);
    }
    return check_heads(path, "vision ", v->num_heads, v->num_key_value_heads, head_dim, err);
}

exaone_status exaone_config_check(const exaone_config *c, const char *path, const char *vision_path, exaone_error *err) {
    const struct {
        const char *name;
        int id;
    } ids[] = {
        {"bos_token_id", c->bos_token_id},
        {"pad_token_id", c->pad_token_id},
        {"image_token_id", c->image_token_id},
        {"video_token_id", c->video_token_id},
        {"vision_start_token_id", c->vision_start_token_id},
        {"vision_end_token_id", c->vision_end_token_id},
    };
    exaone_status status = check_heads(path, "", c->num_attention_heads, c->num_key_value_heads, c->head_dim, err);
    for (size_t i = 0; i < sizeof ids / sizeof *ids && status == EXAONE_OK; i++) {
        if (ids[i].id >= c->vocab_size) {
            status = exaone_fail(err, EXAONE_ERR_MODEL, "%s: %s is %d, the vocabulary has %d tokens", path, ids[i].name,
                                 ids[i].id, c->vocab_size);
        }
    }
    for (int i = 0; i < c->n_eos_token_ids && status == EXAONE_OK; i++) {
        if (c->eos_token_ids[i] >= c->vocab_size) {
            status = exaone_fail(err, EXAONE_ERR_MODEL, "%s: eos_token_id is %d, the vocabulary has %d tokens", path,
                                 c->eos_token_ids[i], c->vocab_size);
        }
    }
    return status || !c->has_vision ? status : check_vision(c, vision_path, err);
}

/* ---- loading -------------------------------------------------------------------------------------------------------------
 */

static exaone_status load_folder(const exaone_weights *w, exaone_config *config, exaone_error *err) {
    char *path = exaone_path_join(exaone_weights_dir(w), "config.json");
    char *generation_path = exaone_path_join(exaone_weights_dir(w), "generation_config.json");
    char *json = NULL, *generation = NULL;
    size_t n = 0, n_generation = 0;
    exaone_status status = EXAONE_OK;
    if (!path || !generation_path) {
        status = exaone_fail_memory(err, "a file name", strlen(exaone_weights_dir(w)) + 32);
    } else {
        status = exaone_file_read(path, MAX_CONFIG, &json, &n, err);
    }
    if (status == EXAONE_OK && exaone_path_exists(generation_path)) {
        status = exaone_file_read(generation_path, MAX_CONFIG, &generation, &n_generation, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_config_parse(path, json, n, generation_path, generation, n_generation, config, err);
    }
    free(path);
    free(generation_path);
    free(json);
    free(generation);
    return status;
}

exaone_status exaone_config_load(const exaone_weights *w, exaone_config *config, exaone_error *err) {
    *config = (exaone_config){0};
    if (exaone_weights_get_format(w) == EXAONE_WEIGHTS_GGUF) {
        exaone_status status = exaone_config_read_gguf(w, config, err);
        if (status) {
            exaone_config_release(config);
            return status;
        }
    } else {
        exaone_status status = load_folder(w, config, err);
        if (status) {
            return status;
        }
    }
    bool has_mtp = false; /* checkpoints written by the reference announce the module and leave it out */
    for (size_t i = 0; i < exaone_weights_count(w) && !has_mtp; i++) {
        has_mtp = exaone_weights_at(w, i).part == EXAONE_PART_MTP;
    }
    config->num_mtp_layers = has_mtp ? config->num_mtp_layers : 0;
    return EXAONE_OK;
}

void exaone_config_release(exaone_config *config) {
    free(config->sliding);
    free(config->rope.factors);
    free(config->vision.full);
    exaone_quantization_free(config->quantization);
    *config = (exaone_config){0};
}

/* ---- memory --------------------------------------------------------------------------------------------------------------
 */

static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

exaone_kv_bytes exaone_config_kv_bytes(const exaone_config *config, uint64_t n_ctx, uint64_t extra, uint64_t page,
                                       exaone_dtype k_type, exaone_dtype v_type) {
    uint64_t window = config->sliding_window > 0 ? plus((uint64_t)config->sliding_window, extra) : UINT64_MAX;
    uint64_t ring = window < n_ctx ? window : n_ctx;
    size_t k = 0, v = 0;
    bool fits = exaone_dtype_row_bytes(k_type, (uint64_t)config->head_dim, &k) &&
                exaone_dtype_row_bytes(v_type, (uint64_t)config->head_dim, &v);
    uint64_t row = fits ? plus(k, v) : UINT64_MAX;
    uint64_t per_page = times(times(row, page), (uint64_t)config->num_key_value_heads);
    uint64_t whole = times(n_ctx / page + (n_ctx % page != 0), per_page);
    uint64_t part = times(ring / page + (ring % page != 0), per_page);
    uint64_t n_sliding = 0;
    for (int l = 0; l < config->num_hidden_layers; l++) {
        n_sliding += config->sliding[l] && config->sliding_window > 0;
    }
    exaone_kv_bytes bytes = {.full = times((uint64_t)config->num_hidden_layers - n_sliding, whole),
                             .sliding = times(n_sliding, part),
                             .mtp = times((uint64_t)config->num_mtp_layers, part)};
    bytes.total = plus(plus(bytes.full, bytes.sliding), bytes.mtp);
    return bytes;
}
