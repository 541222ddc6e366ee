/* What a model's numbers depend on besides the prompt, as one hash. See prefix_cache.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "engine/prefix_cache.h"
#include "exaone/version.h"

enum { MAX_TEXT = 256 << 20, MAX_CONFIG = 64 << 20, SAMPLE = 64 };

static void put_rope(exaone_buf *b, const exaone_rope_config *r, int head_dim) {
    exaone_buf_printf(b, "rope %a %d %a %a %a %d\n", r->rope_theta, r->llama3, r->factor, r->low_freq_factor,
                      r->high_freq_factor, r->original_max_position_embeddings);
    if (r->factors) {
        exaone_buf_append(b, r->factors, (size_t)(head_dim / 2) * sizeof *r->factors);
    }
}

static void put_config(exaone_buf *b, const exaone_config *c) {
    exaone_buf_printf(b, "text %d %d %d %d %d %d %d %d %d %a %d %d\n", c->vocab_size, c->hidden_size, c->intermediate_size,
                      c->num_hidden_layers, c->num_attention_heads, c->num_key_value_heads, c->head_dim,
                      c->max_position_embeddings, c->sliding_window, c->rms_norm_eps, c->tie_word_embeddings,
                      c->num_mtp_layers);
    for (int l = 0; l < c->num_hidden_layers; l++) {
        exaone_buf_putc(b, c->sliding[l] ? 'S' : 'F');
    }
    put_rope(b, &c->rope, c->head_dim);
    exaone_buf_printf(b, "ids %d %d\n", c->image_token_id, c->video_token_id);
    if (c->has_vision) {
        const exaone_vision_config *v = &c->vision;
        exaone_buf_printf(b, "vision %d %d %d %d %d %d %d %d %d %d %d %a %a\n", v->depth, v->hidden_size,
                          v->intermediate_size, v->num_heads, v->num_key_value_heads, v->in_channels, v->patch_size,
                          v->spatial_merge_size, v->temporal_patch_size, v->window_size, v->out_hidden_size, v->rms_norm_eps,
                          v->rope_theta);
        for (int l = 0; l < v->depth; l++) {
            exaone_buf_putc(b, v->full[l] ? 'F' : 'W');
        }
    }
}

/* Quantised folders say in config.json how their numbers are meant. */
static exaone_status put_config_file(exaone_buf *b, const exaone_weights *w, exaone_error *err) {
    if (exaone_weights_gguf(w)) {
        return EXAONE_OK;
    }
    char *path = exaone_path_join(exaone_weights_dir(w), "config.json"), *text = NULL;
    size_t n = 0;
    exaone_status status = path ? exaone_file_read(path, MAX_CONFIG, &text, &n, err)
                                : exaone_fail_memory(err, "a path", strlen(exaone_weights_dir(w)) + sizeof "/config.json");
    if (status == EXAONE_OK) {
        uint8_t digest[32];
        exaone_sha256(text, n, digest);
        exaone_buf_append(b, digest, sizeof digest);
    }
    free(text);
    free(path);
    return status;
}

/* Names, types, shapes, and a few bytes of each tensor; size and time of each file. */
static void put_weights(exaone_buf *b, const exaone_weights *w) {
    const char *file = NULL;
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        struct stat st;
        if ((!file || strcmp(file, t.file) != 0) && stat(t.file, &st) == 0) {
            exaone_buf_printf(b, "file %lld %lld.%09ld\n", (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                              st.st_mtim.tv_nsec);
        }
        file = t.file;
        exaone_buf_printf(b, "%s %d %zu", t.name, (int)t.dtype, t.n_dims);
        for (size_t d = 0; d < t.n_dims; d++) {
            exaone_buf_printf(b, " %llu", (unsigned long long)t.dims[d]);
        }
        exaone_buf_printf(b, " %zu\n", t.bytes);
        size_t n = t.bytes < SAMPLE ? t.bytes : SAMPLE;
        for (size_t k = 0; k < 3 && t.data; k++) {
            exaone_buf_append(b, t.data + (t.bytes - n) / 2 * k, n);
        }
    }
}

exaone_status exaone_prefix_identity(const exaone_sequence *s, uint8_t identity[32], exaone_error *err) {
    const exaone_engine *e = s->e;
    exaone_buf b;
    exaone_buf_init(&b, MAX_TEXT);
    exaone_buf_printf(&b, "prefix 2, exaone %s, %s, precision %d, page %d, window %zu\n", exaone_version(), e->be->name,
                      (int)e->precision, EXAONE_KV_PAGE, s->cache->window);
    exaone_buf_printf(&b, "cache %d %d, %zu bytes\n", (int)s->cache->options.k_type, (int)s->cache->options.v_type,
                      s->cache->page_bytes);
    put_config(&b, &e->config);
    exaone_status status = put_config_file(&b, e->weights, err);
    put_weights(&b, e->weights);
    if (status == EXAONE_OK) {
        status = exaone_buf_check(&b, "the description of the model", err);
    }
    if (status == EXAONE_OK) {
        exaone_sha256(b.data, b.len, identity);
    }
    exaone_buf_release(&b);
    return status;
}
