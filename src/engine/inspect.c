/* `exaone inspect`: what the files hold, as text or JSON. Reads headers only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/engine_internal.h"
#include "engine/memory.h"
#include "model/quantization.h"

enum { MAX_REPORT = 64 << 20 };

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

/* A size: in text also as people say it. */
static void size(report *r, const char *name, uint64_t bytes) {
    double x = (double)bytes;
    if (r->json) {
        number(r, name, x, true);
    } else {
        exaone_buf_printf(&r->b, x >= 1e8 ? "  %-32s %.0f  (%.2f GB)\n" : "  %-32s %.0f  (%.2f MB)\n", name, x,
                          x / (x >= 1e8 ? 1e9 : 1e6));
    }
}

static void flag(report *r, const char *name, bool x) {
    exaone_buf_printf(&r->b, r->json ? "%s\"%s\": %s" : "%s  %-32s %s\n", r->json && !r->first ? ", " : "", name,
                      x ? "true" : "false");
    r->first = false;
}

/* A word that needs no escapes. */
static void text(report *r, const char *name, const char *word) {
    exaone_buf_printf(&r->b, r->json ? "%s\"%s\": \"%s\"" : "%s  %-32s %s\n", r->json && !r->first ? ", " : "", name, word);
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

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What a tensor of a quantised folder holds: 4-bit integers that lie 8 in an I32. */
static bool is_packed(const exaone_config *c, const exaone_weight *t) {
    return c && c->quantization && t->dtype == EXAONE_I32 && t->n_dims == 2 && ends_with(t->name, ".weight_packed");
}

/* Its type, and the shape of its matrix. */
static void unpacked(const exaone_config *c, const exaone_weights *w, exaone_weight *t, exaone_buf *type) {
    char module[224], shape_name[256];
    uint64_t two = 2;
    exaone_weight shape;
    exaone_error unused;
    int64_t said[2] = {0, 0};
    size_t n = strlen(t->name) - strlen(".weight_packed");
    snprintf(module, sizeof module, "%.*s", (int)(n < 200 ? n : 200), t->name);
    snprintf(shape_name, sizeof shape_name, "%s.weight_shape", module);
    t->dims[1] = t->dims[1] < UINT64_MAX / 8 ? t->dims[1] * 8 : t->dims[1];
    exaone_status s = exaone_weights_get(w, shape_name, EXAONE_DTYPE_BIT(EXAONE_I64), 1, &two, &shape, &unused);
    if (s == EXAONE_OK) {
        memcpy(said, shape.data, sizeof said);
    }
    if (said[1] > 0 && (uint64_t)said[1] <= t->dims[1] && (uint64_t)said[1] + 7 >= t->dims[1]) {
        t->dims[1] = (uint64_t)said[1]; /* the last word may have room left */
    }
    const exaone_weight_scheme *scheme = exaone_quantization_scheme(c->quantization, module, NULL);
    if (scheme) {
        exaone_weight_scheme_describe(scheme, type);
    } else {
        exaone_buf_puts(type, "I4");
    }
}

static void tensors(report *r, const exaone_config *c, const exaone_weights *w) {
    size_t n = exaone_weights_count(w);
    exaone_buf_puts(&r->b, r->json ? ", \"tensors\": [" : "tensors\n");
    for (size_t i = 0; i < n; i++) {
        exaone_weight t = exaone_weights_at(w, i);
        exaone_buf type;
        exaone_buf_init(&type, 64);
        is_packed(c, &t) ? unpacked(c, w, &t, &type) : (void)exaone_buf_puts(&type, exaone_dtype_name(t.dtype));
        exaone_buf_putc(&type, 0);
        const char *type_name = type.failed ? "" : type.data;
        r->b.failed = r->b.failed || type.failed;
        if (r->json) {
            exaone_buf_puts(&r->b, i ? ", {\"name\": " : "{\"name\": ");
            exaone_json_put_string(&r->b, t.name, strlen(t.name));
            exaone_buf_printf(&r->b, ", \"dtype\": \"%s\", \"shape\": ", type_name);
            dims(&r->b, &t);
            exaone_buf_printf(&r->b, ", \"bytes\": %zu, \"part\": \"%s\"}", t.bytes, part_names[t.part]);
        } else {
            exaone_buf_printf(&r->b, "  %-64s %-6s ", t.name, type_name);
            dims(&r->b, &t);
            exaone_buf_putc(&r->b, '\n');
        }
        exaone_buf_release(&type);
    }
    exaone_buf_puts(&r->b, r->json ? "]" : "");
}

/* What a model takes: files, and memory for a context. Rows named *_bytes of "memory" add up to total_bytes. */
typedef struct {
    uint64_t part[EXAONE_PART_COUNT], weights, files, n_ctx, workspace, vision, total;
    exaone_kv_bytes kv;
    exaone_cache_type k_type, v_type;
    size_t n_tensors;
    char types[256]; /* "BF16 300, F32 12" */
} model_sizes;

/* The types of the tensors with their counts, in order of appearance. */
static void count_types(const exaone_config *c, const exaone_weights *w, char *out, size_t room) {
    enum { MAX_TYPES = 16 };
    exaone_dtype seen[MAX_TYPES];
    size_t count[MAX_TYPES] = {0}, n = 0, at = 0;
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        exaone_dtype dtype = is_packed(c, &t) ? EXAONE_I4 : t.dtype;
        size_t k = 0;
        while (k < n && seen[k] != dtype) {
            k++;
        }
        if (k == n && n < MAX_TYPES) {
            seen[n++] = dtype;
        }
        count[k < n ? k : n - 1]++;
    }
    out[0] = 0;
    for (size_t k = 0; k < n && at < room; k++) {
        at += (size_t)snprintf(out + at, room - at, "%s%s %zu", k ? ", " : "", exaone_dtype_name(seen[k]), count[k]);
    }
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Without a configuration (`c` NULL): the weights only. */
static void measure(const exaone_config *c, const exaone_weights *w, const exaone_inspect_options *o, model_sizes *m) {
    *m = (model_sizes){.files = exaone_weights_mapped_bytes(w), .n_tensors = exaone_weights_count(w)};
    m->k_type = o->cache_type_k;
    m->v_type = o->cache_type_v;
    for (size_t i = 0; i < m->n_tensors; i++) {
        exaone_weight t = exaone_weights_at(w, i);
        m->part[t.part] += t.bytes;
        m->weights += t.bytes;
    }
    count_types(c, w, m->types, sizeof m->types);
    if (!c) {
        return;
    }
    m->n_ctx = o->n_ctx ? o->n_ctx : (uint64_t)c->max_position_embeddings;
    exaone_session_options session = {.n_ctx = m->n_ctx, .draft = true};
    session.cache_type_k = m->k_type;
    session.cache_type_v = m->v_type;
    m->kv = exaone_session_kv_bytes(c, &session);
    m->workspace = exaone_session_workspace_bytes(c, &session);
    m->vision = c->has_vision ? exaone_vision_bytes(c, EXAONE_MAX_VISION_PATCHES) : 0;
    m->total = sum(sum(m->weights, m->kv.total), sum(m->workspace, m->vision));
}

static void summary(report *r, const exaone_config *c, const model_sizes *m) {
    exaone_buf_printf(&r->b, "%zu tensors (%s), %.2f GB in the files; %d layers%s%s\n", m->n_tensors, m->types,
                      (double)m->files / 1e9, c->num_hidden_layers, c->has_vision ? ", vision tower" : ", no vision tower",
                      c->num_mtp_layers > 0 ? ", MTP module" : "");
    exaone_buf_printf(&r->b,
                      "about %.2f GB of memory for %llu tokens of context and the largest image, %.2f GB of it weights\n",
                      (double)m->total / 1e9, (unsigned long long)m->n_ctx, (double)m->weights / 1e9);
    if (m->n_ctx > (uint64_t)c->max_position_embeddings) {
        exaone_buf_printf(&r->b, "%llu tokens are more than the model's limit of %d\n", (unsigned long long)m->n_ctx,
                          c->max_position_embeddings);
    }
}

static void sizes(report *r, const model_sizes *m) {
    section(r, "bytes", false);
    for (int p = 0; p < EXAONE_PART_COUNT; p++) {
        size(r, part_names[p], m->part[p]);
    }
    size(r, "files", m->files);
    section(r, "bytes", true);
    if (m->n_ctx == 0) {
        return;
    }
    section(r, "memory", false);
    number(r, "context_tokens", (double)m->n_ctx, true);
    text(r, "cache_type_k", exaone_cache_type_name(m->k_type));
    text(r, "cache_type_v", exaone_cache_type_name(m->v_type));
    size(r, "weights_bytes", m->weights);
    size(r, "kv_cache_full_layers_bytes", m->kv.full);
    size(r, "kv_cache_sliding_layers_bytes", m->kv.sliding);
    size(r, "kv_cache_mtp_bytes", m->kv.mtp);
    size(r, "kv_cache_bytes", m->kv.total);
    size(r, "workspace_bytes", m->workspace);
    size(r, "vision_bytes", m->vision);
    size(r, "total_bytes", m->total);
    section(r, "memory", true);
}

/* With a `fault` instead of a configuration: what can be said of a model that is not run. */
static void describe(report *r, const char *path, const exaone_config *c, const char *fault, const exaone_weights *w,
                     const exaone_inspect_options *o) {
    const char *format = exaone_weights_get_format(w) == EXAONE_WEIGHTS_GGUF ? "gguf" : "safetensors";
    const char *projector = exaone_weights_mmproj_path(w);
    model_sizes m;
    measure(c, w, o, &m);
    exaone_buf_puts(&r->b, r->json ? "{\"path\": " : "path    ");
    if (r->json) {
        exaone_json_put_string(&r->b, path, strlen(path));
        exaone_buf_printf(&r->b, ", \"format\": \"%s\"", format);
        exaone_buf_puts(&r->b, ", \"mmproj\": ");
        projector ? exaone_json_put_string(&r->b, projector, strlen(projector)) : (void)exaone_buf_puts(&r->b, "null");
        if (c && c->quantization) {
            exaone_buf_puts(&r->b, ", \"quantization\": \"");
            exaone_quantization_describe(c->quantization, &r->b);
            exaone_buf_putc(&r->b, '"');
        }
        if (fault) {
            exaone_buf_puts(&r->b, ", \"cannot_run\": ");
            exaone_json_put_string(&r->b, fault, strlen(fault));
        }
    } else {
        exaone_buf_printf(&r->b, "%s\nformat  %s\n", path, format);
        projector ? (void)exaone_buf_printf(&r->b, "mmproj  %s\n", projector) : (void)0;
        if (c && c->quantization) {
            exaone_buf_puts(&r->b, "stored  ");
            exaone_quantization_describe(c->quantization, &r->b);
            exaone_buf_putc(&r->b, '\n');
        }
        c ? summary(r, c, &m)
          : (void)exaone_buf_printf(&r->b, "%zu tensors (%s), %.2f GB in the files\ncannot be run by this version: %s\n",
                                    m.n_tensors, m.types, (double)m.files / 1e9, fault);
        sizes(r, &m);
    }
    if (c) {
        text_config(r, c);
    }
    if (c && c->has_vision) {
        vision_config(r, &c->vision);
    }
    if (r->json || o->tensors) {
        tensors(r, c, w);
    }
    if (r->json) {
        sizes(r, &m);
        exaone_buf_puts(&r->b, "}\n");
    }
}

exaone_status exaone_inspect(const char *path, const exaone_inspect_options *options, char **out, exaone_error *err) {
    static const exaone_inspect_options defaults = {0};
    const exaone_inspect_options *o = options ? options : &defaults;
    *out = NULL;
    exaone_weights *w = NULL;
    exaone_config c = {0};
    exaone_error fault = {0};
    if (!exaone_cache_type_name(o->cache_type_k) || !exaone_cache_type_name(o->cache_type_v)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "cache types %d and %d: one is not in 0 .. %d", (int)o->cache_type_k,
                           (int)o->cache_type_v, EXAONE_CACHE_TYPE_COUNT - 1);
    }
    exaone_status s = exaone_weights_open(path, o->mmproj, &w, err);
    if (s != EXAONE_OK) {
        return s;
    }
    s = exaone_config_load(w, &c, &fault);
    if (s != EXAONE_OK && s != EXAONE_ERR_UNSUPPORTED) { /* what is unsupported can be described */
        exaone_weights_close(w);
        return exaone_fail(err, s, "%s", fault.message);
    }
    report r = {.json = o->json};
    exaone_buf_init(&r.b, MAX_REPORT);
    describe(&r, path, s == EXAONE_OK ? &c : NULL, s == EXAONE_OK ? NULL : fault.message, w, o);
    s = EXAONE_OK;
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
