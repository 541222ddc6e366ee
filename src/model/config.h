/* The configuration of a model: one validated struct for Hugging Face folders and GGUF files.
 *
 * After exaone_config_load every number is in its range and the numbers fit together (heads divide, ids are inside the
 * vocabulary, sizes multiply without wrapping): the rest of the engine relies on it. Fields have the names of the
 * reference's config. */
#ifndef EXAONE_MODEL_CONFIG_H
#define EXAONE_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"
#include "weights/weights.h"

enum { EXAONE_MAX_EOS = 8, EXAONE_MAX_LAYERS = 1024 };

typedef struct exaone_rope_config {
    double rope_theta;
    bool llama3; /* false: frequencies as they are */
    double factor, low_freq_factor, high_freq_factor;
    int original_max_position_embeddings;
    float *factors; /* [head_dim / 2] divisors of the frequencies (GGUF rope_freqs), instead of the llama3 rule; or NULL */
} exaone_rope_config;

typedef struct exaone_vision_config {
    int depth, hidden_size, intermediate_size, num_heads, num_key_value_heads;
    int in_channels, patch_size, spatial_merge_size, temporal_patch_size;
    int window_size; /* pixels; at least patch_size * spatial_merge_size; the window is floor(window_size / that) units wide
                      */
    int out_hidden_size; /* = hidden_size of the text model */
    bool *full;          /* [depth] true: the block attends within whole frames, false: within windows */
    double rms_norm_eps, rope_theta;
    /* What an mmproj file says of preprocessing. */
    bool has_pixel_limits, has_normalization;
    int64_t min_pixels, max_pixels;
    double image_mean[3], image_std[3];
} exaone_vision_config;

/* generation_config.json; has_* is false where the file does not say. */
typedef struct exaone_generation_config {
    bool has_do_sample, do_sample;
    bool has_temperature, has_top_p, has_top_k, has_min_p, has_repetition_penalty, has_presence_penalty;
    bool has_max_length, has_max_new_tokens;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty;
    int top_k;
    int64_t max_length, max_new_tokens;
} exaone_generation_config;

typedef struct exaone_quantization exaone_quantization; /* model/quantization.h */

typedef struct exaone_config {
    int vocab_size, hidden_size, intermediate_size;
    int num_hidden_layers; /* without the MTP layer */
    int num_attention_heads, num_key_value_heads, head_dim;
    int max_position_embeddings;
    int sliding_window; /* tokens, itself included; 0: none, then every layer rotates and sees all */
    bool *sliding;      /* [num_hidden_layers] */
    double rms_norm_eps;
    exaone_rope_config rope;
    bool tie_word_embeddings; /* lm_head.weight is embed_tokens.weight */
    int num_mtp_layers;       /* 0 or 1: what the configuration announces and the files hold */
    bool has_vision;
    exaone_vision_config vision;
    int bos_token_id, pad_token_id;                                                 /* -1: none */
    int eos_token_ids[EXAONE_MAX_EOS], n_eos_token_ids;                             /* tokens that end a reply */
    int image_token_id, video_token_id, vision_start_token_id, vision_end_token_id; /* -1: none */
    exaone_generation_config generation;
    exaone_quantization *quantization; /* Hugging Face folders; NULL: tensors are what their type says */
} exaone_config;

/* Reads config.json and generation_config.json of the folder, or the metadata of the GGUF files. Errors: EXAONE_ERR_IO,
 * _FORMAT, _MODEL (another model, a value out of range: field, value, limit), _UNSUPPORTED (layouts of
 * quantised checkpoints that are not known, other rope types), _MEMORY. On failure *config is empty. Owned by the caller:
 * exaone_config_release. */
EXAONE_MUST_USE exaone_status exaone_config_load(const exaone_weights *weights, exaone_config *config, exaone_error *err);
void exaone_config_release(exaone_config *config); /* safe on an empty or released one */

/* A generation_config.json over *config. Errors: EXAONE_ERR_FORMAT, _MODEL, _MEMORY; *config is partly changed then. */
EXAONE_MUST_USE exaone_status exaone_config_parse_generation(const char *path, const char *json, size_t n,
                                                             exaone_config *config, exaone_error *err);
/* From JSON texts; `generation` may be NULL. num_mtp_layers is what the text announces, 1 when it does not say. `path` and
 * `generation_path` stand in messages. */
EXAONE_MUST_USE exaone_status exaone_config_parse(const char *path, const char *json, size_t n, const char *generation_path,
                                                  const char *generation, size_t n_generation, exaone_config *config,
                                                  exaone_error *err);

/* Bytes of the KV cache of one sequence of n_ctx tokens, in pages of `page` tokens:
 *
 *   full layers, each   ceil(n_ctx / page) pages
 *   sliding ones, MTP   ceil(min(n_ctx, sliding_window + extra) / page) pages, extra = chunk and slack (kv_cache.h)
 *   a page              page * num_key_value_heads * (bytes of head_dim numbers of k_type + of v_type)
 *
 * UINT64_MAX when it does not fit, or when head_dim is no multiple of a type's block. */
typedef struct exaone_kv_bytes {
    uint64_t full, sliding, mtp, total;
} exaone_kv_bytes;
exaone_kv_bytes exaone_config_kv_bytes(const exaone_config *config, uint64_t n_ctx, uint64_t extra, uint64_t page,
                                       exaone_dtype k_type, exaone_dtype v_type);

#endif
