/* `exaone inspect`: what the files hold, as text or JSON. Reads headers only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/engine_internal.h"

enum { MAX_REPORT = 64 << 20, PREFILL_CHUNK = 256 };

static const char *const part_names[EXAONE_PART_COUNT] = {"text", "vision", "mtp", "other"};

typedef struct {
    exaone_buf b;
    bool json, first;
} report;

/* One number of the configuration under its name. */
static void number(report *r, const char *name, double x, bool integer) {
    if (r->json) {
        exaone_buf_printf(&r->b, "%s\"%s\": ", r->first ? "" : ", ", name);
        if (integer) {
            exaone_buf_printf(&r->b, "%.0f", x);
        } else {
            exaone_json_put_double(&r->b, x);
        }
    } else {
        exaone_buf_printf(&r->b, integer ? "  %-32s %.0f\n" : "  %-32s %g\n", name, x);
    }
    r->first = false;
}

static void flag(report *r, const char *name, bool x) {
    exaone_buf_printf(&r->b, r->json ? "%s\"%s\": %s" : "%s  %-32s %s\n", r->json && !r->first ? ", " : "", name,
                      x ? "true" : "false");
    r->first = false;
}

/* The list of true entries: "3, 7, 11". */
static void indices(report *r, const char *name, const bool *set, int n, bool value) {
    exaone_buf_printf(&r->b, r->json ? "%s\"%s\": [" : "%s  %-32s ", r->json && !r->first ? ", " : "", name);
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (set[i] == value) {
            exaone_buf_printf(&r->b, "%s%d", any ? ", " : "", i);
            any = true;
        }
    }
    exaone_buf_puts(&r->b, r->json ? "]" : any ? "\n" : "none\n");
    r->first = false;
}

static void section(report *r, const char *name, bool close) {
    if (r->json) {
        exaone_buf_printf(&r->b, close ? "}" : ", \"%s\": {", name);
    } else if (!close) {
        exaone_buf_printf(&r->b, "%s\n", name);
    }
    r->first = true;
}

static void text_config(report *r, const exaone_config *c) {
    section(r, "text_config", false);
    const struct {
        const char *name;
        int value;
    } ints[] = {{"vocab_size", c->vocab_size},
                {"hidden_size", c->hidden_size},
                {"intermediate_size", c->intermediate_size},
                {"num_hidden_layers", c->num_hidden_layers},
                {"num_attention_heads", c->num_attention_heads},
                {"num_key_value_heads", c->num_key_value_heads},
                {"head_dim", c->head_dim},
                {"max_position_embeddings", c->max_position_embeddings},
                {"sliding_window", c->sliding_window},
                {"num_nextn_predict_layers", c->num_mtp_layers},
                {"bos_token_id", c->bos_token_id},
                {"pad_token_id", c->pad_token_id},
                {"image_token_id", c->image_token_id},
                {"video_token_id", c->video_token_id}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        number(r, ints[i].name, ints[i].value, true);
    }
    number(r, "rms_norm_eps", c->rms_norm_eps, false);
    number(r, "rope_theta", c->rope.rope_theta, false);
    flag(r, "rope_llama3", c->rope.llama3);
    flag(r, "rope_factors_from_file", c->rope.factors);
    flag(r, "tie_word_embeddings", c->tie_word_embeddings);
    indices(r, "full_attention_layers", c->sliding, c->num_hidden_layers, false);
    section(r, "text_config", true);
}

static void vision_config(report *r, const exaone_vision_config *v) {
    section(r, "vision_config", false);
    const struct {
        const char *name;
        int value;
    } ints[] = {{"depth", v->depth},
                {"hidden_size", v->hidden_size},
                {"intermediate_size", v->intermediate_size},
                {"num_heads", v->num_heads},
                {"num_key_value_heads", v->num_key_value_heads},
                {"patch_size", v->patch_size},
                {"spatial_merge_size", v->spatial_merge_size},
                {"temporal_patch_size", v->temporal_patch_size},
                {"window_size", v->window_size},
                {"out_hidden_size", v->out_hidden_size}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        number(r, ints[i].name, ints[i].value, true);
    }
    number(r, "rms_norm_eps", v->rms_norm_eps, false);
    indices(r, "fullatt_block_indexes", v->full, v->depth, true);
    section(r, "vision_config", true);
}

static void dims(exaone_buf *b, const exaone_weight *w) {
    exaone_buf_putc(b, '[');
    for (size_t d = 0; d < w->n_dims; d++) {
        exaone_buf_printf(b, "%s%llu", d ? ", " : "", (unsigned long long)w->dims[d]);
    }
    exaone_buf_putc(b, ']');
}

static void tensors(report *r, const exaone_weights *w, uint64_t part_bytes[EXAONE_PART_COUNT]) {
    size_t n = exaone_weights_count(w);
    exaone_buf_puts(&r->b, r->json ? ", \"tensors\": [" : "tensors\n");
    for (size_t i = 0; i < n; i++) {
        exaone_weight t = exaone_weights_at(w, i);
        part_bytes[t.part] += t.bytes;
        if (r->json) {
            exaone_buf_puts(&r->b, i ? ", {\"name\": " : "{\"name\": ");
            exaone_json_put_string(&r->b, t.name, strlen(t.name));
            exaone_buf_printf(&r->b, ", \"dtype\": \"%s\", \"shape\": ", exaone_dtype_name(t.dtype));
            dims(&r->b, &t);
            exaone_buf_printf(&r->b, ", \"bytes\": %zu, \"part\": \"%s\"}", t.bytes, part_names[t.part]);
        } else {
            exaone_buf_printf(&r->b, "  %-64s %-6s ", t.name, exaone_dtype_name(t.dtype));
            dims(&r->b, &t);
            exaone_buf_putc(&r->b, '\n');
        }
    }
    exaone_buf_puts(&r->b, r->json ? "]" : "");
}

static void sizes(report *r, const exaone_config *c, const exaone_weights *w, uint64_t n_ctx,
                  const uint64_t part_bytes[EXAONE_PART_COUNT]) {
    uint64_t weights = 0;
    section(r, "bytes", false);
    for (int p = 0; p < EXAONE_PART_COUNT; p++) {
        number(r, part_names[p], (double)part_bytes[p], true);
        weights += part_bytes[p];
    }
    number(r, "files", (double)exaone_weights_mapped_bytes(w), true);
    section(r, "bytes", true);
    exaone_kv_bytes kv = exaone_config_kv_bytes(c, n_ctx, PREFILL_CHUNK, EXAONE_KV_PAGE, sizeof(float));
    section(r, "memory", false);
    number(r, "context_tokens", (double)n_ctx, true);
    number(r, "weights_bytes", (double)weights, true);
    number(r, "kv_cache_bytes", (double)kv.total, true);
    number(r, "kv_cache_full_layers_bytes", (double)kv.full, true);
    number(r, "kv_cache_sliding_layers_bytes", (double)kv.sliding, true);
    number(r, "total_bytes", (double)weights + (double)kv.total, true);
    section(r, "memory", true);
}

exaone_status exaone_inspect(const char *path, const char *mmproj, uint64_t n_ctx, bool json, char **out,
                             exaone_error *err) {
    *out = NULL;
    exaone_weights *w = NULL;
    exaone_config c = {0};
    exaone_status s = exaone_weights_open(path, mmproj, &w, err);
    if (s == EXAONE_OK) {
        s = exaone_config_load(w, &c, err);
    }
    if (s != EXAONE_OK) {
        exaone_weights_close(w);
        return s;
    }
    report r = {.json = json};
    uint64_t part_bytes[EXAONE_PART_COUNT] = {0};
    exaone_buf_init(&r.b, MAX_REPORT);
    const char *format = exaone_weights_get_format(w) == EXAONE_WEIGHTS_GGUF ? "gguf" : "safetensors";
    const char *projector = exaone_weights_mmproj_path(w);
    exaone_buf_puts(&r.b, json ? "{\"path\": " : "path    ");
    if (json) {
        exaone_json_put_string(&r.b, path, strlen(path));
        exaone_buf_printf(&r.b, ", \"format\": \"%s\"", format);
        exaone_buf_puts(&r.b, ", \"mmproj\": ");
        projector ? exaone_json_put_string(&r.b, projector, strlen(projector)) : (void)exaone_buf_puts(&r.b, "null");
    } else {
        exaone_buf_printf(&r.b, "%s\nformat  %s\n", path, format);
        projector ? (void)exaone_buf_printf(&r.b, "mmproj  %s\n", projector) : (void)0;
    }
    text_config(&r, &c);
    if (c.has_vision) {
        vision_config(&r, &c.vision);
    }
    tensors(&r, w, part_bytes);
    sizes(&r, &c, w, n_ctx ? n_ctx : (uint64_t)c.max_position_embeddings, part_bytes);
    exaone_buf_puts(&r.b, json ? "}\n" : "");
    if (r.b.failed) {
        s = exaone_fail(err, EXAONE_ERR_LIMIT, "the description is longer than %d bytes", (int)MAX_REPORT);
        exaone_buf_release(&r.b);
    } else {
        *out = exaone_buf_take(&r.b, NULL);
        s = *out ? EXAONE_OK : exaone_fail_memory(err, "the description", 1);
    }
    exaone_config_release(&c);
    exaone_weights_close(w);
    return s;
}
