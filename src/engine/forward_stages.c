/* The forward door: one text call with its stages, loss, kept logits, and the cached calls. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/forward_text.h"

typedef struct {
    exaone_text_run *r;
    const int64_t *row_of; /* [B, T] */
    float *hidden_states;  /* [L + 1, B, T, H] or NULL */
    int layer;             /* next entry of hidden_states */
} stage_context;

/* out [n, width]: row row_of[i] of `rows` at place i, zeros left where there is none. */
static void spread(const int64_t *row_of, size_t n, const float *rows, size_t width, float *out) {
    for (size_t i = 0; i < n; i++) {
        if (row_of[i] >= 0) {
            memcpy(out + i * width, rows + (size_t)row_of[i] * width, width * sizeof *out);
        }
    }
}

/* rows x heads x keys -> [B, heads, T, keys] */
static void spread_probs(const exaone_text_run *r, const int64_t *row_of, const float *rows, size_t heads, size_t keys,
                         float *out) {
    for (size_t b = 0; b < r->B; b++) {
        for (size_t h = 0; h < heads; h++) {
            for (size_t t = 0; t < r->T; t++) {
                int64_t row = row_of[b * r->T + t];
                if (row >= 0) {
                    memcpy(out + ((b * heads + h) * r->T + t) * keys, rows + ((size_t)row * heads + h) * keys,
                           keys * sizeof *out);
                }
            }
        }
    }
}

/* The number of "layer.N.output", or -1. */
static long output_number(const char *name) {
    if (strncmp(name, "layer.", 6) != 0) {
        return -1;
    }
    char *end;
    long number = strtol(name + 6, &end, 10);
    return strcmp(end, ".output") == 0 ? number : -1;
}

static void keep_hidden(stage_context *sc, const char *name, const float *host) {
    exaone_text_run *r = sc->r;
    long number = output_number(name);
    bool wanted = strcmp(name, "embeddings") == 0 || strcmp(name, "final_norm") == 0 ||
                  (number >= 0 && number < r->c->engine->config.num_hidden_layers - 1); /* MODEL: not the last layer's */
    if (wanted && sc->hidden_states) {
        spread(sc->row_of, r->B * r->T, host, r->H, sc->hidden_states + (size_t)sc->layer++ * r->B * r->T * r->H);
    }
}

static void text_stage(void *ctx, const char *name, const float *data, size_t n_dims, const size_t *dims) {
    stage_context *sc = ctx;
    exaone_text_run *r = sc->r;
    exaone_forward_call *c = r->c;
    bool features = c->image_features || c->video_features;
    bool wanted = exaone_forward_wants(c->options, name) || (features && strcmp(name, "embeddings") == 0);
    if (c->status != EXAONE_OK || (!wanted && !sc->hidden_states)) {
        return;
    }
    size_t width = dims[1] * (n_dims > 2 ? dims[2] : 1), n = dims[0] * width;
    bool probs = n_dims == 3 && strcmp(name + strlen(name) - 5, "probs") == 0;
    float *host = exaone_mem_array(n, sizeof *host), *out = exaone_mem_array(r->B * r->T * width, sizeof *out);
    if (!host || !out) {
        c->status = exaone_fail_memory(c->err, name, n * sizeof *host);
    } else {
        c->engine->be->download(c->engine->be, host, data, n * sizeof *host);
        keep_hidden(sc, name, host);
        if (!wanted) {
            ;
        } else if (strncmp(name, "rope.", 5) == 0) {
            c->status = r->B == 1 ? exaone_forward_put_table(c, name, host, dims[0], dims[1]) : EXAONE_OK;
        } else if (probs) {
            spread_probs(r, sc->row_of, host, dims[1], dims[2], out);
            c->status = exaone_forward_put_f32(c, name, EXAONE_DIMS(r->B, dims[1], r->T, dims[2]), out);
        } else {
            spread(sc->row_of, r->B * r->T, host, width, out);
            const size_t *shape = n_dims == 3 ? EXAONE_DIMS(r->B, r->T, dims[1], dims[2]) : EXAONE_DIMS(r->B, r->T, dims[1]);
            c->status =
                exaone_forward_put_f32(c, features && strcmp(name, "embeddings") == 0 ? "inputs_embeds" : name, shape, out);
        }
    }
    free(host);
    free(out);
}

/* ---- logits_to_keep ---- */

/* Writes the logits that `keep` selects (docs/forward.md): NULL keeps all. */
static exaone_status put_kept(exaone_text_run *r, const float *logits, const char *keep_name, const char *out_name) {
    exaone_forward_call *c = r->c;
    int64_t *keep = NULL;
    size_t n_dims = 0, dims[8];
    exaone_status s = exaone_forward_ints(c, keep_name, &keep, &n_dims, dims);
    if (s != EXAONE_OK) {
        return s;
    }
    const exaone_tensor *t = exaone_tensors_get(c->in, keep_name);
    bool mask = keep && n_dims == 2 && dims[0] == r->B && dims[1] == r->T && t->dtype != EXAONE_I64;
    size_t per_row = r->T, total = 0, V = r->V;
    float *out = exaone_mem_array(r->B * (keep && !mask && n_dims ? dims[n_dims - 1] + r->T : r->T) * V, sizeof *out);
    if (!out) {
        s = exaone_fail_memory(c->err, out_name, r->B * r->T * V * sizeof *out);
    }
    if (s == EXAONE_OK && keep && !mask) {
        bool last_n = (n_dims == 1 && dims[0] == 1) || n_dims == 0;
        if (n_dims > 2 || (n_dims == 2 && dims[0] != r->B)) {
            s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: want a count, an index, or [%zu, n]", keep_name, r->B);
        } else if (last_n) {
            per_row = keep[0] == 0 || keep[0] > (int64_t)r->T ? r->T : (size_t)keep[0];
            s = keep[0] < 0 ? exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: %lld is negative", keep_name, (long long)keep[0])
                            : s;
        } else {
            per_row = dims[n_dims - 1];
        }
        for (size_t i = 0; s == EXAONE_OK && i < r->B * per_row; i++) {
            size_t b = i / per_row, k = i % per_row;
            int64_t at = last_n ? (int64_t)(r->T - per_row + k) : keep[n_dims == 2 ? i : k];
            if (at < -(int64_t)r->T || at >= (int64_t)r->T) {
                s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: index %lld is outside -%zu .. %zu", keep_name,
                                (long long)at, r->T, r->T - 1);
            } else {
                at = at < 0 ? at + (int64_t)r->T : at;
                memcpy(out + i * V, logits + (b * r->T + (size_t)at) * V, V * sizeof *out);
            }
        }
    } else if (s == EXAONE_OK) {
        for (size_t i = 0; i < r->B * r->T; i++) {
            if (!mask || keep[i]) {
                memcpy(out + total++ * V, logits + i * V, V * sizeof *out);
            }
        }
    }
    if (s == EXAONE_OK && mask && total == 0) {
        s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: the mask keeps nothing", keep_name);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_f32(c, out_name, mask ? EXAONE_DIMS(total, V) : EXAONE_DIMS(r->B, per_row, V), out);
    }
    free(out);
    free(keep);
    return s;
}

/* ---- loss ---- */

static double negative_log_likelihood(const float *logits, size_t V, size_t target) {
    double max = -INFINITY, sum = 0;
    for (size_t v = 0; v < V; v++) {
        max = (double)logits[v] > max ? (double)logits[v] : max;
    }
    for (size_t v = 0; v < V; v++) {
        sum += exp((double)logits[v] - max);
    }
    return log(sum) + max - (double)logits[target];
}

static exaone_status put_scalar(exaone_forward_call *c, const char *name, double x) {
    float f = (float)x;
    return exaone_forward_wants(c->options, name) ? exaone_forward_put_f32(c, name, EXAONE_DIMS(1), &f) : EXAONE_OK;
}

static exaone_status read_labels(exaone_text_run *r, int64_t **labels) {
    size_t n_dims, dims[8];
    exaone_status s = exaone_forward_ints(r->c, "labels", labels, &n_dims, dims);
    if (s == EXAONE_OK && *labels && (n_dims != 2 || dims[0] != r->B || dims[1] != r->T)) {
        free(*labels);
        *labels = NULL;
        return exaone_fail(r->c->err, EXAONE_ERR_ARGUMENT, "labels: want shape [%zu, %zu]", r->B, r->T);
    }
    return s;
}

/* MODEL: logits at t predict label t + 1; -100 is ignored; mean over the rest, or their sum / num_items_in_batch. A row that
 * attention_mask hides counts when the label behind it does (the last pad before a left-padded text). */
static exaone_status put_loss(exaone_text_run *r, const float *logits) {
    exaone_forward_call *c = r->c;
    int64_t *labels, *items = NULL;
    size_t n_dims, dims[8];
    exaone_status s = read_labels(r, &labels);
    if (s != EXAONE_OK || !labels) {
        return s;
    }
    s = exaone_forward_ints(c, "num_items_in_batch", &items, &n_dims, dims);
    size_t per_row = r->T - 1, n = 0, n_first = 0;
    float *nll = exaone_mem_array(r->B * per_row, sizeof *nll);
    double sum = 0, first = 0;
    if (s == EXAONE_OK && !nll) {
        s = exaone_fail_memory(c->err, "nll", r->B * per_row * sizeof *nll);
    }
    for (size_t i = 0; s == EXAONE_OK && i < r->B * per_row; i++) {
        size_t b = i / per_row, t = i % per_row;
        int64_t label = labels[b * r->T + t + 1];
        if (label == -100) {
            continue;
        }
        if (label < 0 || label >= (int64_t)r->V) {
            s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "labels: %lld is neither -100 nor in 0 .. %zu", (long long)label,
                            r->V - 1);
            break;
        }
        double x = negative_log_likelihood(logits + (b * r->T + t) * r->V, r->V, (size_t)label);
        nll[i] = (float)x;
        sum += x;
        n++;
        first += b == 0 ? x : 0;
        n_first += b == 0;
    }
    if (s == EXAONE_OK && items && items[0] < 1) {
        s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "num_items_in_batch: %lld is not positive", (long long)items[0]);
    }
    if (s == EXAONE_OK) {
        s = put_scalar(c, "loss", items ? sum / (double)items[0] : sum / (double)n);
    }
    if (s == EXAONE_OK) {
        s = put_scalar(c, "loss_mean", sum / (double)n);
    }
    if (s == EXAONE_OK) {
        s = put_scalar(c, "loss_row0", first / (double)n_first);
    }
    if (s == EXAONE_OK && items) {
        s = put_scalar(c, "loss_num_items", sum / (double)items[0]);
    }
    if (s == EXAONE_OK && per_row > 0 && exaone_forward_wants(c->options, "nll")) {
        s = exaone_forward_put_f32(c, "nll", EXAONE_DIMS(r->B, per_row), nll);
    }
    free(nll);
    free(labels);
    free(items);
    return s;
}

/* ---- the call ---- */

static exaone_status put_all_logits(exaone_text_run *r, const int64_t *row_of, const exaone_text_setting *setting) {
    exaone_forward_call *c = r->c;
    size_t n = r->B * r->T;
    float *rows = exaone_mem_array(r->max_rows * r->V, sizeof *rows), *logits = exaone_mem_array(n * r->V, sizeof *logits);
    exaone_status s = EXAONE_OK;
    if (!rows || !logits) {
        s = exaone_fail_memory(c->err, "logits", n * r->V * sizeof *logits);
    } else {
        c->engine->be->download(c->engine->be, rows, r->logits, r->max_rows * r->V * sizeof *rows);
        spread(row_of, n, rows, r->V, logits);
    }
    bool keep = setting->stages && exaone_tensors_get(c->in, "logits_to_keep");
    if (s == EXAONE_OK && exaone_forward_wants(c->options, "logits")) {
        s = put_kept(r, logits, keep ? "logits_to_keep" : "", setting->logits_name);
    }
    for (size_t i = 0; s == EXAONE_OK && setting->stages && i < exaone_tensors_count(c->in); i++) {
        const exaone_tensor *t = exaone_tensors_at(c->in, i); /* keep_last, keep_index, …: several forms beside each other */
        const char *name = t->name;
        char out_name[64];
        if (strncmp(name, "keep_", 5) == 0 && strlen(name) < 48 && t->dtype != EXAONE_F32) {
            snprintf(out_name, sizeof out_name, "%s.logits", name);
            s = put_kept(r, logits, name, out_name);
        }
    }
    if (s == EXAONE_OK && setting->stages) {
        s = put_loss(r, r->hidden_rows ? rows : logits);
    }
    free(rows);
    free(logits);
    return s;
}

static exaone_status run_whole(exaone_text_run *r, const exaone_text_setting *setting) {
    exaone_forward_call *c = r->c;
    size_t layers = (size_t)c->engine->config.num_hidden_layers;
    int64_t *row_of = exaone_mem_array(r->B * r->T, sizeof *row_of);
    stage_context sc = {.r = r, .row_of = row_of};
    exaone_status s = row_of ? EXAONE_OK : exaone_fail_memory(c->err, "rows", r->B * r->T * sizeof *row_of);
    if (s == EXAONE_OK && setting->stages && exaone_forward_wants(c->options, "hidden_states")) {
        sc.hidden_states = exaone_mem_array((layers + 1) * r->B * r->T * r->H, sizeof *sc.hidden_states);
        s = sc.hidden_states ? EXAONE_OK
                             : exaone_fail_memory(c->err, "hidden_states", (layers + 1) * r->B * r->T * r->H * 4);
    }
    if (s == EXAONE_OK) {
        exaone_trace trace = {.fn = text_stage, .ctx = &sc, .probs_keys = r->T};
        for (size_t l = 0; l < layers; l++) {
            char name[40];
            snprintf(name, sizeof name, "layer.%zu.attn.probs", l);
            trace.probs = trace.probs || exaone_forward_wants(c->options, name);
        }
        s = exaone_text_run_call(r, 0, r->T, setting->stages ? &trace : NULL, row_of);
    }
    if (s == EXAONE_OK && setting->stages) {
        s = c->status;
    }
    if (s == EXAONE_OK && sc.hidden_states) {
        const size_t *shape = r->B == 1 ? EXAONE_DIMS(layers + 1, r->T, r->H) : EXAONE_DIMS(layers + 1, r->B, r->T, r->H);
        s = exaone_forward_put_f32(c, "hidden_states", shape, sc.hidden_states);
    }
    if (s == EXAONE_OK && setting->stages && exaone_forward_wants(c->options, "rope.inv_freq")) {
        s = exaone_forward_put_f32(c, "rope.inv_freq", EXAONE_DIMS((size_t)c->engine->config.head_dim / 2),
                                   c->engine->model.inv_freq);
    }
    if (s == EXAONE_OK && setting->stages && c->image_features && exaone_forward_wants(c->options, "image_features")) {
        s = exaone_forward_put_f32(c, "image_features", EXAONE_DIMS(c->n_image_features, r->H), c->image_features);
    }
    if (s == EXAONE_OK && setting->stages && c->video_features && exaone_forward_wants(c->options, "video_features")) {
        s = exaone_forward_put_f32(c, "video_features", EXAONE_DIMS(c->n_video_features, r->H), c->video_features);
    }
    if (s == EXAONE_OK) {
        s = put_all_logits(r, row_of, setting);
    }
    free(sc.hidden_states);
    free(row_of);
    return s;
}

/* One pass after the other over the cache: call.K.logits [B, n, V]. */
static exaone_status run_calls(exaone_text_run *r, const int64_t *calls, size_t n_calls) {
    exaone_forward_call *c = r->c;
    size_t t0 = 0;
    for (size_t k = 0; k < n_calls; k++) {
        size_t n = (size_t)calls[k];
        int64_t *row_of = exaone_mem_array(r->B * n, sizeof *row_of);
        float *rows = exaone_mem_array(r->max_rows * r->V, sizeof *rows),
              *out = exaone_mem_array(r->B * n * r->V, sizeof *out);
        exaone_status s = row_of && rows && out ? EXAONE_OK : exaone_fail_memory(c->err, "logits", r->max_rows * r->V * 4);
        if (s == EXAONE_OK) {
            s = exaone_text_run_call(r, t0, t0 + n, NULL, row_of);
        }
        if (s == EXAONE_OK) {
            c->engine->be->download(c->engine->be, rows, r->logits, r->max_rows * r->V * sizeof *rows);
            spread(row_of, r->B * n, rows, r->V, out);
            char name[40];
            snprintf(name, sizeof name, "call.%zu.logits", k);
            s = exaone_forward_put_f32(c, name, EXAONE_DIMS(r->B, n, r->V), out);
        }
        free(row_of);
        free(rows);
        free(out);
        if (s != EXAONE_OK) {
            return s;
        }
        t0 += n;
    }
    return EXAONE_OK;
}

static exaone_status check_calls(exaone_forward_call *c, const int64_t *calls, size_t n, size_t T, size_t *longest) {
    int64_t total = 0;
    *longest = 1;
    for (size_t k = 0; k < n; k++) {
        if (calls[k] < 1 || calls[k] > (int64_t)T - total) {
            return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "calls: length %lld at place %zu does not fit %zu tokens",
                               (long long)calls[k], k, T);
        }
        total += calls[k];
        *longest = (size_t)calls[k] > *longest ? (size_t)calls[k] : *longest;
    }
    if (total < (int64_t)T) {
        return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "calls: the lengths take %lld of the %zu tokens, they must take all",
                           (long long)total, T);
    }
    return EXAONE_OK;
}

exaone_status exaone_forward_text(exaone_forward_call *c, const exaone_text_setting *setting) {
    const int64_t *calls = c->options->calls;
    size_t n_calls = c->options->n_calls, longest = 0, n_dims, dims[8];
    int64_t *from_file = NULL;
    exaone_status s = EXAONE_OK;
    if (!calls && setting->stages) {
        s = exaone_forward_ints(c, "calls", &from_file, &n_dims, dims);
        calls = from_file;
        n_calls = from_file ? dims[0] : 0;
    }
    const exaone_tensor *t = exaone_tensors_get(c->in, setting->use_embeds ? "inputs_embeds" : "input_ids");
    if (s == EXAONE_OK && calls) {
        s = check_calls(c, calls, n_calls, t->n_dims > 1 ? (size_t)t->dims[1] : 0, &longest);
    }
    if (s == EXAONE_OK) {
        exaone_text_run r;
        s = exaone_text_run_init(&r, c, setting, 0, longest);
        if (s == EXAONE_OK) {
            r.hidden_rows = !calls && setting->stages && r.mask && exaone_tensors_get(c->in, "labels");
            s = calls && setting->stages ? run_calls(&r, calls, n_calls) : run_whole(&r, setting);
        }
        exaone_text_run_release(&r);
    }
    free(from_file);
    return s;
}
