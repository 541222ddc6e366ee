/* The forward door: named tensors in, named tensors out (exaone_forward in engine.h; names: docs/forward.md). */
#include "engine/forward_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/forward_text.h"
#include "tensor/dtype.h"

static bool matches(const char *pattern, size_t n, const char *name) {
    if (n == 3 && memcmp(pattern, "all", 3) == 0) {
        return true;
    }
    if (n == 10 && memcmp(pattern, "attentions", 10) == 0) {
        size_t len = strlen(name);
        return len > 6 && strcmp(name + len - 6, ".probs") == 0;
    }
    if (n > 0 && pattern[n - 1] == '*') {
        return strncmp(name, pattern, n - 1) == 0;
    }
    return (n > 0 && pattern[n - 1] == '.' && strncmp(name, pattern, n) == 0) ||
           (strlen(name) == n && memcmp(name, pattern, n) == 0);
}

bool exaone_forward_wants(const exaone_forward_options *options, const char *name) {
    const char *list = options && options->stages ? options->stages : "logits,loss*,nll,features.*,forced.logits,draft.*";
    while (*list) {
        size_t n = strcspn(list, ",");
        if (matches(list, n, name)) {
            return true;
        }
        list += n + (list[n] == ',');
    }
    return false;
}

/* Names that a call may give, with 0 for every number: a list may ask for them also where this call has none of them. */
static const char *const stage_names[] = {"logits",
                                          "loss",
                                          "loss_mean",
                                          "loss_row0",
                                          "loss_num_items",
                                          "nll",
                                          "hidden_states",
                                          "final_norm",
                                          "embeddings",
                                          "inputs_embeds",
                                          "image_features",
                                          "video_features",
                                          "rope.inv_freq",
                                          "rope.cos",
                                          "rope.sin",
                                          "layer.0.attn.q",
                                          "layer.0.attn.k",
                                          "layer.0.attn.v",
                                          "layer.0.attn.probs",
                                          "layer.0.attn.output",
                                          "layer.0.attn.normed",
                                          "layer.0.mlp.output",
                                          "layer.0.mlp.normed",
                                          "layer.0.output",
                                          "patch_embed",
                                          "block.0.attn.q",
                                          "block.0.attn.k",
                                          "block.0.attn.v",
                                          "block.0.attn.output",
                                          "block.0.output",
                                          "merger.ln_q",
                                          "merger.gelu",
                                          "merger.output",
                                          "features.0",
                                          "position_ids",
                                          "window_index",
                                          "cu_window_seqlens",
                                          "cu_seqlens",
                                          "call.0.logits",
                                          "forced.fc_input",
                                          "forced.fc_output",
                                          "forced.layer_output",
                                          "forced.hidden",
                                          "forced.logits",
                                          "draft.tokens",
                                          "draft.hidden",
                                          "draft.logits",
                                          "draft.margin",
                                          "ids",
                                          "margin",
                                          "inputs_embeds.logits"};

/* Every entry of the list must name a result of this call or be a known name. */
static exaone_status check_stages(const exaone_forward_call *c) {
    const char *list = c->options->stages;
    size_t n;
    for (; list && *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        bool found = n == 10 && memcmp(list, "attentions", 10) == 0;
        for (size_t i = 0; !found && i < exaone_tensors_count(c->out); i++) {
            found = matches(list, n, exaone_tensors_at(c->out, i)->name);
        }
        for (size_t i = 0; !found && i < sizeof stage_names / sizeof stage_names[0]; i++) {
            found = matches(list, n, stage_names[i]);
        }
        if (!found) {
            return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "stages: no stage of this call is named \"%.*s\"",
                               n < 100 ? (int)n : 100, list);
        }
    }
    return EXAONE_OK;
}

static exaone_status put(exaone_forward_call *c, const char *name, exaone_dtype dtype, const size_t *dims,
                         const void *data) {
    uint64_t shape[8];
    size_t n_dims = 0;
    for (; dims[n_dims]; n_dims++) {
        shape[n_dims] = dims[n_dims];
    }
    return exaone_tensors_add(c->out, name, dtype, n_dims, shape, data, c->err);
}

exaone_status exaone_forward_put_f32(exaone_forward_call *c, const char *name, const size_t *dims, const float *data) {
    return put(c, name, EXAONE_F32, dims, data);
}

exaone_status exaone_forward_put_i64(exaone_forward_call *c, const char *name, const size_t *dims, const int64_t *data) {
    return put(c, name, EXAONE_I64, dims, data);
}

exaone_status exaone_forward_put_i32(exaone_forward_call *c, const char *name, const size_t *dims, const int32_t *data) {
    return put(c, name, EXAONE_I32, dims, data);
}

exaone_status exaone_forward_put_table(exaone_forward_call *c, const char *name, const float *half_table, size_t n,
                                       size_t half) {
    float *full = exaone_mem_array(n * half * 2, sizeof *full);
    if (!full) {
        return exaone_fail_memory(c->err, name, n * half * 2 * sizeof *full);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(full + 2 * i * half, half_table + i * half, half * sizeof *full);
        memcpy(full + (2 * i + 1) * half, half_table + i * half, half * sizeof *full);
    }
    exaone_status s = exaone_forward_put_f32(c, name, EXAONE_DIMS(n, 2 * half), full);
    free(full);
    return s;
}

/* Element i of an integer tensor; false for other types. */
static bool int_at(const exaone_tensor *t, size_t i, int64_t *out) {
    switch (t->dtype) {
    case EXAONE_I64:
        *out = ((const int64_t *)t->data)[i];
        return true;
    case EXAONE_I32:
        *out = ((const int32_t *)t->data)[i];
        return true;
    case EXAONE_U32:
        *out = ((const uint32_t *)t->data)[i];
        return true;
    case EXAONE_I16:
        *out = ((const int16_t *)t->data)[i];
        return true;
    case EXAONE_U16:
        *out = ((const uint16_t *)t->data)[i];
        return true;
    case EXAONE_I8:
        *out = ((const int8_t *)t->data)[i];
        return true;
    case EXAONE_U8:
    case EXAONE_BOOL:
        *out = ((const uint8_t *)t->data)[i];
        return true;
    default:
        return false;
    }
}

/* The two inputs that the reference takes as floats too: whole numbers then. */
static bool whole_at(const exaone_tensor *t, size_t i, int64_t *out) {
    bool may = strcmp(t->name, "attention_mask") == 0 || strcmp(t->name, "num_items_in_batch") == 0;
    double x = 0.5;
    if (may && t->dtype == EXAONE_F64) {
        x = ((const double *)t->data)[i];
    } else if (may && exaone_forward_is_float(t->dtype)) {
        float f;
        exaone_dtype_to_f32(t->dtype, (const uint8_t *)t->data + i * (t->dtype == EXAONE_F32 ? 4 : 2), 1, &f);
        x = (double)f;
    }
    if (!(fabs(x) <= 9007199254740992.0) || x != floor(x)) { /* 2^53 */
        return false;
    }
    *out = (int64_t)x;
    return true;
}

bool exaone_forward_is_float(exaone_dtype dtype) {
    return dtype == EXAONE_F32 || dtype == EXAONE_F16 || dtype == EXAONE_BF16;
}

exaone_status exaone_forward_ints(exaone_forward_call *c, const char *name, int64_t **out, size_t *n_dims, size_t dims[8]) {
    *out = NULL;
    const exaone_tensor *t = exaone_tensors_get(c->in, name);
    if (!t) {
        return EXAONE_OK;
    }
    size_t n = (size_t)exaone_tensor_elements(t);
    if (n == 0) {
        return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s is empty", name);
    }
    *n_dims = t->n_dims ? t->n_dims : 1; /* a single value counts as [1] */
    dims[0] = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        dims[i] = (size_t)t->dims[i];
    }
    int64_t *v = exaone_mem_array(n, sizeof *v);
    if (!v) {
        return exaone_fail_memory(c->err, name, n * sizeof *v);
    }
    for (size_t i = 0; i < n; i++) {
        if (!int_at(t, i, &v[i]) && !whole_at(t, i, &v[i])) {
            free(v);
            return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: want integers, the file has %s", name,
                               exaone_dtype_name(t->dtype));
        }
    }
    *out = v;
    return EXAONE_OK;
}

/* The fixtures of one folder keep several settings beside each other: NAME.position_ids gives NAME.logits (plain) and
 * NAME.logits_packed. */
static exaone_status position_variants(exaone_forward_call *c) {
    size_t n = exaone_tensors_count(c->in);
    for (size_t i = 0; i < n; i++) {
        const exaone_tensor *t = exaone_tensors_at(c->in, i);
        const char *dot = strrchr(t->name, '.');
        if (!dot || strcmp(dot, ".position_ids") != 0 || dot - t->name > 40) {
            continue;
        }
        for (int packed = 0; packed < 2; packed++) {
            char name[64];
            snprintf(name, sizeof name, "%.*s.logits%s", (int)(dot - t->name), t->name, packed ? "_packed" : "");
            exaone_text_setting setting = {.position_ids = t->name, .logits_name = name, .packed = packed};
            exaone_status s = exaone_forward_text(c, &setting);
            if (s != EXAONE_OK) {
                return s;
            }
        }
    }
    return EXAONE_OK;
}

static exaone_status check_options(const exaone_forward_call *c) {
    const exaone_forward_options *o = c->options;
    bool mask = exaone_tensors_get(c->in, "attention_mask");
    const char *pair = o->mtp && o->greedy > 0       ? "mtp and greedy"
                       : o->greedy > 0 && o->n_calls ? "greedy and calls"
                       : o->mtp && o->n_calls        ? "mtp and calls"
                       : o->packed && o->n_calls     ? "packed and calls"
                       : o->packed && o->greedy > 0  ? "packed and greedy"
                       : o->packed && o->mtp         ? "packed and mtp"
                       : o->packed && mask           ? "packed and attention_mask"
                                                     : NULL;
    return pair ? exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s exclude each other: give one of the two", pair) : EXAONE_OK;
}

static exaone_status text_calls(exaone_forward_call *c) {
    bool ids = exaone_tensors_get(c->in, "input_ids"), embeds = exaone_tensors_get(c->in, "inputs_embeds");
    exaone_status s = EXAONE_OK;
    if (c->options->greedy > 0) {
        return exaone_forward_greedy(c);
    }
    if (c->options->mtp) {
        return exaone_forward_mtp(c);
    }
    if (ids) {
        exaone_text_setting setting = {
            .position_ids = "position_ids", .logits_name = "logits", .stages = true, .packed = c->options->packed};
        s = exaone_forward_text(c, &setting);
        if (s == EXAONE_OK) {
            s = position_variants(c);
        }
    }
    if (s == EXAONE_OK && embeds && !(ids && (c->image_features || c->video_features))) {
        exaone_text_setting setting = {.position_ids = "position_ids",
                                       .use_embeds = true,
                                       .stages = !ids,
                                       .logits_name = ids ? "inputs_embeds.logits" : "logits"};
        s = exaone_forward_text(c, &setting);
    }
    return s;
}

exaone_status exaone_forward(exaone_engine *engine, const exaone_tensors *in, const exaone_forward_options *options,
                             exaone_tensors **out, exaone_error *err) {
    static const exaone_forward_options defaults = {0};
    *out = NULL;
    exaone_forward_call c = {.engine = engine, .in = in, .options = options ? options : &defaults, .err = err};
    c.out = exaone_tensors_new();
    if (!c.out) {
        return exaone_fail_memory(err, "the results", sizeof c);
    }
    bool text = exaone_tensors_get(in, "input_ids") || exaone_tensors_get(in, "inputs_embeds");
    bool pixels = exaone_tensors_get(in, "pixel_values") || exaone_tensors_get(in, "pixel_values_videos");
    exaone_status s = EXAONE_OK;
    if (!text && !pixels) {
        s = exaone_fail(err, EXAONE_ERR_ARGUMENT,
                        "nothing to compute: give input_ids, inputs_embeds, pixel_values or pixel_values_videos");
    }
    if (s == EXAONE_OK) {
        s = check_options(&c);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_vision(&c, !text);
    }
    if (s == EXAONE_OK && text) {
        s = text_calls(&c);
    }
    free(c.image_features);
    free(c.video_features);
    if (s == EXAONE_OK) {
        s = check_stages(&c);
    }
    if (s == EXAONE_OK) {
        *out = c.out;
    } else {
        exaone_tensors_free(c.out);
    }
    return s;
}
