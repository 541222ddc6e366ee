/* The forward door, text part: inputs to rows, rows through the decoder, results back to [B, T, …]. */
#include "engine/forward_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* ---- inputs ---- */

static exaone_status read_matrix(exaone_forward_call *c, const char *name, size_t B, size_t T, int64_t **out) {
    size_t n_dims, dims[8];
    exaone_status s = exaone_forward_ints(c, name, out, &n_dims, dims);
    if (s == EXAONE_OK && *out && (n_dims != 2 || dims[0] != B || dims[1] != T)) {
        free(*out);
        *out = NULL;
        return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: want shape [%zu, %zu]", name, B, T);
    }
    return s;
}

static exaone_status read_shape(exaone_text_run *r, const exaone_text_setting *setting) {
    exaone_forward_call *c = r->c;
    const exaone_tensor *t = exaone_tensors_get(c->in, setting->use_embeds ? "inputs_embeds" : "input_ids");
    size_t n_dims = setting->use_embeds ? 3 : 2;
    if (t->n_dims != n_dims || t->dims[0] == 0 || t->dims[1] == 0 ||
        (setting->use_embeds && (t->dtype != EXAONE_F32 || t->dims[2] != r->H))) {
        return setting->use_embeds
                   ? exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "inputs_embeds: want f32 [batch, tokens, %zu]", r->H)
                   : exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "input_ids: want [batch, tokens]");
    }
    r->B = (size_t)t->dims[0];
    r->T = (size_t)t->dims[1];
    size_t limit = (size_t)c->engine->config.max_position_embeddings;
    if (r->T > limit) {
        return exaone_fail(c->err, EXAONE_ERR_LIMIT, "%zu tokens, the model's context holds %zu", r->T, limit);
    }
    if (r->B > 4096) {
        return exaone_fail(c->err, EXAONE_ERR_LIMIT, "batch: %zu sequences, the limit is 4096", r->B);
    }
    return EXAONE_OK;
}

static exaone_status check_ids(const exaone_text_run *r) {
    for (size_t i = 0; r->ids && i < r->B * r->T; i++) {
        if (r->ids[i] < 0 || r->ids[i] >= (int64_t)r->V) {
            return exaone_fail(r->c->err, EXAONE_ERR_ARGUMENT, "input_ids: id %lld is not in 0 .. %zu", (long long)r->ids[i],
                               r->V - 1);
        }
    }
    return EXAONE_OK;
}

/* Rows of embed_tokens for `n` ids, on the host. */
static exaone_status embed_rows(exaone_text_run *r, const int64_t *ids, size_t n, float *out) {
    exaone_engine *e = r->c->engine;
    int32_t *narrow = exaone_mem_array(n, sizeof *narrow);
    float *device = e->be->alloc(e->be, n * r->H * sizeof *device);
    if (!narrow || !device) {
        free(narrow);
        e->be->release(e->be, device);
        return exaone_fail_memory(r->c->err, "embeddings", n * r->H * sizeof *device);
    }
    for (size_t i = 0; i < n; i++) {
        narrow[i] = (int32_t)ids[i];
    }
    e->be->embed(e->be, device, &e->model.embed_tokens, narrow, n);
    e->be->download(e->be, out, device, n * r->H * sizeof *out);
    free(narrow);
    e->be->release(e->be, device);
    return EXAONE_OK;
}

/* Does token i stand for a feature of this kind? Without ids the embedding row of the placeholder is compared, as the
 * reference does. */
static bool is_placeholder(const exaone_text_run *r, size_t i, int32_t id, const float *id_row) {
    return r->ids ? r->ids[i] == id : memcmp(r->embeds + i * r->H, id_row, r->H * sizeof *id_row) == 0;
}

static exaone_status merge_features(exaone_text_run *r, int32_t id, const float *features, size_t n_features,
                                    const char *what) {
    if (!features) {
        return EXAONE_OK; /* MODEL: without pixels the placeholder ids are ordinary rows of the table */
    }
    float *id_row = exaone_mem_array(r->H, sizeof *id_row);
    if (!id_row) {
        return exaone_fail_memory(r->c->err, "an embedding", r->H * sizeof *id_row);
    }
    int64_t wide = id;
    exaone_status s = embed_rows(r, &wide, 1, id_row);
    size_t n = 0;
    for (size_t i = 0; s == EXAONE_OK && i < r->B * r->T; i++) {
        n += is_placeholder(r, i, id, id_row);
    }
    if (s == EXAONE_OK && n != n_features) {
        s = exaone_fail(r->c->err, EXAONE_ERR_ARGUMENT, "%s: %zu placeholder tokens (id %d) but %zu features", what, n, id,
                        n_features);
    }
    size_t at = 0;
    for (size_t i = 0; s == EXAONE_OK && i < r->B * r->T; i++) {
        if (is_placeholder(r, i, id, id_row)) {
            memcpy(r->embeds + i * r->H, features + at++ * r->H, r->H * sizeof *features);
        }
    }
    free(id_row);
    return s;
}

static exaone_status read_embeds(exaone_text_run *r, const exaone_text_setting *setting) {
    exaone_forward_call *c = r->c;
    r->embeds = exaone_mem_array(r->B * r->T * r->H, sizeof *r->embeds);
    if (!r->embeds) {
        return exaone_fail_memory(c->err, "embeddings", r->B * r->T * r->H * sizeof *r->embeds);
    }
    exaone_status s = EXAONE_OK;
    if (setting->use_embeds) {
        memcpy(r->embeds, exaone_tensors_get(c->in, "inputs_embeds")->data, r->B * r->T * r->H * sizeof *r->embeds);
    } else {
        s = embed_rows(r, r->ids, r->B * r->T, r->embeds);
    }
    if (s == EXAONE_OK) {
        s = merge_features(r, c->engine->config.image_token_id, c->image_features, c->n_image_features, "images");
    }
    if (s == EXAONE_OK) {
        s = merge_features(r, c->engine->config.video_token_id, c->video_features, c->n_video_features, "videos");
    }
    return s;
}

static exaone_status read_positions(exaone_text_run *r, const exaone_text_setting *setting) {
    exaone_status s = EXAONE_OK;
    const exaone_tensor *given_ids = setting->position_ids ? exaone_tensors_get(r->c->in, setting->position_ids) : NULL;
    if (given_ids && r->B > 1 && given_ids->n_dims == 2 && given_ids->dims[0] == 1) { /* one row for all sequences */
        s = read_matrix(r->c, setting->position_ids, 1, r->T, &r->positions);
        int64_t *all = s == EXAONE_OK ? exaone_mem_array(r->B * r->T, sizeof *all) : NULL;
        for (size_t b = 0; all && b < r->B; b++) {
            memcpy(all + b * r->T, r->positions, r->T * sizeof *all);
        }
        free(r->positions);
        r->positions = all;
        s = s == EXAONE_OK && !all ? exaone_fail_memory(r->c->err, "position_ids", r->B * r->T * sizeof *all) : s;
    } else if (given_ids) {
        s = read_matrix(r->c, setting->position_ids, r->B, r->T, &r->positions);
    }
    bool given = r->positions;
    if (s == EXAONE_OK && !given) {
        r->positions = exaone_mem_array(r->B * r->T, sizeof *r->positions);
    }
    r->start = exaone_mem_array(r->B * r->T, sizeof *r->start);
    if (s == EXAONE_OK && (!r->positions || !r->start)) {
        s = exaone_fail_memory(r->c->err, "position_ids", r->B * r->T * sizeof *r->positions);
    }
    for (size_t i = 0; s == EXAONE_OK && i < r->B * r->T; i++) {
        size_t t = i % r->T;
        if (!given) {
            r->positions[i] = (int64_t)t;
        } else if (r->positions[i] < 0 || r->positions[i] > INT32_MAX) {
            s = exaone_fail(r->c->err, EXAONE_ERR_ARGUMENT, "position_ids: %lld is not in 0 .. 2147483647",
                            (long long)r->positions[i]);
        }
        bool jump = setting->packed && t > 0 && r->positions[i] != r->positions[i - 1] + 1;
        r->start[i] = t == 0 ? 0 : jump ? t : r->start[i - 1];
    }
    return s;
}

static exaone_status read_mask(exaone_text_run *r, size_t capacity) {
    exaone_status s = read_matrix(r->c, "attention_mask", r->B, r->T, &r->mask);
    if (s != EXAONE_OK || !r->mask) {
        return s;
    }
    r->key_mask = exaone_mem_array(r->B, sizeof *r->key_mask);
    for (size_t b = 0; r->key_mask && b < r->B; b++) {
        r->key_mask[b] = exaone_mem_array(capacity, 1);
        if (!r->key_mask[b]) {
            return exaone_fail_memory(r->c->err, "attention_mask", capacity);
        }
        for (size_t t = 0; t < capacity; t++) {
            r->key_mask[b][t] = t >= r->T || r->mask[b * r->T + t] != 0;
        }
    }
    return r->key_mask ? EXAONE_OK : exaone_fail_memory(r->c->err, "attention_mask", r->B * sizeof *r->key_mask);
}

static exaone_status allocate(exaone_text_run *r, size_t chunk) {
    exaone_engine *e = r->c->engine;
    r->max_rows = r->B * chunk;
    r->caches = exaone_mem_array(r->B, sizeof(exaone_kv_cache *));
    r->rows = exaone_mem_array(r->max_rows, sizeof *r->rows);
    r->row_positions = exaone_mem_array(r->max_rows, sizeof *r->row_positions);
    size_t bytes = r->max_rows * r->V * sizeof *r->logits;
    r->logits = e->be->alloc(e->be, bytes);
    if (!r->caches || !r->rows || !r->row_positions || !r->logits) {
        return exaone_fail_memory(r->c->err, "logits", bytes);
    }
    for (size_t b = 0; b < r->B; b++) {
        exaone_status s = exaone_kv_cache_new(e->be, &e->config, r->capacity, chunk, &r->caches[b], r->c->err);
        if (s != EXAONE_OK) {
            return s;
        }
    }
    return exaone_workspace_init(&r->ws, &e->model, r->max_rows, r->B, r->c->err);
}

exaone_status exaone_text_run_init(exaone_text_run *r, exaone_forward_call *c, const exaone_text_setting *setting,
                                   size_t extra, size_t chunk) {
    *r = (exaone_text_run){.c = c, .H = (size_t)c->engine->config.hidden_size, .V = (size_t)c->engine->config.vocab_size};
    exaone_status s = read_shape(r, setting);
    if (s == EXAONE_OK && !setting->use_embeds) {
        s = read_matrix(c, "input_ids", r->B, r->T, &r->ids);
        s = s == EXAONE_OK ? check_ids(r) : s;
    }
    r->capacity = r->T + extra;
    if (s == EXAONE_OK) {
        s = read_embeds(r, setting);
    }
    if (s == EXAONE_OK) {
        s = read_positions(r, setting);
    }
    if (s == EXAONE_OK) {
        s = read_mask(r, r->capacity);
    }
    return s == EXAONE_OK ? allocate(r, chunk ? chunk : r->T) : s;
}

void exaone_text_run_release(exaone_text_run *r) {
    for (size_t b = 0; b < r->B; b++) {
        if (r->caches) {
            exaone_kv_cache_free(r->caches[b]);
        }
        if (r->key_mask) {
            free(r->key_mask[b]);
        }
    }
    free(r->caches);
    free(r->key_mask);
    free(r->ids);
    free(r->mask);
    free(r->positions);
    free(r->embeds);
    free(r->start);
    free(r->rows);
    free(r->row_positions);
    exaone_workspace_release(&r->ws);
    r->c->engine->be->release(r->c->engine->be, r->logits);
}

/* ---- one call ---- */

exaone_status exaone_text_run_call(exaone_text_run *r, size_t t0, size_t t1, const exaone_trace *trace, int64_t *row_of) {
    exaone_engine *e = r->c->engine;
    size_t n = 0;
    for (size_t b = 0; b < r->B; b++) {
        exaone_status s = exaone_kv_cache_reserve(r->caches[b], t1, r->c->err);
        if (s != EXAONE_OK) {
            return s;
        }
        for (size_t t = t0; t < t1; t++) {
            size_t i = b * r->T + t;
            bool live = !r->mask || r->mask[i];
            row_of[b * (t1 - t0) + t - t0] = live ? (int64_t)n : -1;
            if (live || r->hidden_rows) {
                r->rows[n] = (exaone_row){.sequence = b, .index = t, .begin = r->start[i]};
                r->row_positions[n] = r->positions[i];
                e->be->upload(e->be, r->ws.x + n * r->H, r->embeds + i * r->H, r->H * sizeof(float));
                n++;
            }
        }
        r->caches[b]->length = t1;
    }
    if (n == 0) {
        return EXAONE_OK;
    }
    exaone_batch batch = {
        .rows = r->rows,
        .positions = r->row_positions,
        .n_rows = n,
        .caches = r->caches,
        .n_sequences = r->B,
        .key_mask = (const uint8_t *const *)r->key_mask,
        .blind_keys = r->hidden_rows ? t1 : 0,
    };
    exaone_decoder_run(&e->model, &r->ws, &batch, trace);
    exaone_decoder_logits(&e->model, r->logits, r->ws.hidden, n);
    return EXAONE_OK;
}
