/* A session: one timeline. Finds the prefix it shares with the new prompt, encodes new images, evaluates the rest in chunks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "engine/engine_internal.h"

enum { CHUNK = EXAONE_PREFILL_CHUNK, DEFAULT_CONTEXT = 32768, MAX_VISION_PATCHES = EXAONE_MAX_VISION_PATCHES, DIGEST = 32 };

/* One image or video that the timeline holds: what it is and where it stands. */
typedef struct {
    uint8_t digest[DIGEST];
    size_t first, n; /* tokens */
} held_media;

struct exaone_session {
    exaone_engine *e;
    exaone_kv_cache *cache;
    exaone_workspace ws;
    size_t n_ctx;
    int32_t *ids; /* [n_ctx]; [0, length) is the timeline */
    size_t length, reused;
    held_media *media; /* [n_media] */
    size_t n_media;
    exaone_row *rows;                      /* [CHUNK] */
    int64_t *positions;                    /* [CHUNK] */
    float *logits_device /*dev*/, *logits; /* [vocab_size] */
    bool has_logits;
};

exaone_status exaone_session_new(exaone_engine *engine, uint64_t n_ctx, exaone_session **out, exaone_error *err) {
    *out = NULL;
    uint64_t limit = (uint64_t)engine->config.max_position_embeddings;
    if (n_ctx == 0) {
        n_ctx = limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
    }
    if (n_ctx > limit) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "context of %llu tokens: the model's limit is %llu",
                           (unsigned long long)n_ctx, (unsigned long long)limit);
    }
    exaone_session *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "a session", sizeof *s);
    }
    s->e = engine;
    s->n_ctx = (size_t)n_ctx;
    size_t vocab = (size_t)engine->config.vocab_size;
    s->ids = exaone_mem_array(s->n_ctx, sizeof *s->ids);
    s->rows = exaone_mem_array(CHUNK, sizeof *s->rows);
    s->positions = exaone_mem_array(CHUNK, sizeof *s->positions);
    s->logits = exaone_mem_array(vocab, sizeof *s->logits);
    s->logits_device = engine->be->alloc(engine->be, vocab * sizeof *s->logits);
    exaone_status status = EXAONE_OK;
    if (!s->ids || !s->rows || !s->positions || !s->logits || !s->logits_device) {
        status = exaone_fail_memory(err, "a session", s->n_ctx * sizeof *s->ids + vocab * sizeof *s->logits);
    }
    if (status == EXAONE_OK) {
        status = exaone_kv_cache_new(engine->be, &engine->config, s->n_ctx, CHUNK, &s->cache, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_workspace_init(&s->ws, &engine->model, CHUNK, 1, err);
    }
    if (status != EXAONE_OK) {
        exaone_session_free(s);
        return status;
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_session_free(exaone_session *s) {
    if (!s) {
        return;
    }
    s->e->be->release(s->e->be, s->logits_device);
    exaone_kv_cache_free(s->cache);
    exaone_workspace_release(&s->ws);
    free(s->ids);
    free(s->media);
    free(s->rows);
    free(s->positions);
    free(s->logits);
    free(s);
}

/* ---- prompts ---- */

static bool is_placeholder(const exaone_session *s, int32_t id) {
    return id == s->e->config.image_token_id || id == s->e->config.video_token_id;
}

static size_t media_tokens(const exaone_session *s, const exaone_pixels *p) {
    size_t merge = (size_t)s->e->config.vision.spatial_merge_size;
    return p->rows / (merge * merge);
}

static void digest_of(const exaone_pixels *p, bool is_video, uint8_t digest[DIGEST]) {
    uint8_t parts[2 * DIGEST + 16];
    uint32_t numbers[4] = {p->grid[0], p->grid[1], p->grid[2], is_video};
    exaone_sha256(p->values, p->rows * p->cols * sizeof *p->values, parts);
    memcpy(parts + DIGEST, numbers, sizeof numbers);
    exaone_sha256(parts, DIGEST + sizeof numbers, digest);
}

/* Checks a prompt and finds where its media stand: held [n_media]. */
static exaone_status place_media(const exaone_session *s, const exaone_prompt *p, held_media *held, exaone_error *err) {
    size_t at = 0;
    for (size_t i = 0; i < p->n_ids; i++) {
        if (p->ids[i] < 0 || p->ids[i] >= s->e->config.vocab_size) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "token %zu: id %d is not in 0 .. %d", i, p->ids[i],
                               s->e->config.vocab_size - 1);
        }
    }
    if (p->n_media > 0 && !s->e->config.has_vision) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "the prompt has an image or video, the model has no vision tower%s",
                           exaone_weights_gguf(s->e->weights) ? " (no mmproj file was given or found)" : "");
    }
    for (size_t m = 0; m < p->n_media; m++) {
        const exaone_pixels *px = p->media[m].pixels;
        int32_t id = p->media[m].is_video ? s->e->config.video_token_id : s->e->config.image_token_id;
        held[m].n = media_tokens(s, px);
        if (px->cols != s->e->model.vision.patch_embed.in_features || held[m].n == 0) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "media %zu: %zu values per patch, the model wants %zu", m, px->cols,
                               s->e->model.vision.patch_embed.in_features);
        }
        while (at < p->n_ids && !is_placeholder(s, p->ids[at])) {
            at++;
        }
        held[m].first = at;
        for (size_t k = 0; k < held[m].n; k++, at++) {
            if (at >= p->n_ids || p->ids[at] != id) {
                return exaone_fail(err, EXAONE_ERR_ARGUMENT, "media %zu fills %zu tokens, its place in the prompt has %zu",
                                   m, held[m].n, k);
            }
        }
        digest_of(px, p->media[m].is_video, held[m].digest);
    }
    for (; p->n_media > 0 && at < p->n_ids; at++) {
        if (is_placeholder(s, p->ids[at])) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "token %zu is an image or video placeholder without an image or video", at);
        }
    }
    return EXAONE_OK;
}

/* Tokens that the live timeline and the prompt share. A token inside a medium is shared only if the medium is the same. */
static size_t common_prefix(const exaone_session *s, const exaone_prompt *p, const held_media *held) {
    size_t n = 0;
    while (n < s->length && n < p->n_ids && s->ids[n] == p->ids[n]) {
        n++;
    }
    for (size_t m = 0; m < s->n_media || m < p->n_media; m++) {
        bool same = m < s->n_media && m < p->n_media && s->media[m].first == held[m].first && s->media[m].n == held[m].n &&
                    memcmp(s->media[m].digest, held[m].digest, DIGEST) == 0;
        size_t first = m < p->n_media ? held[m].first : s->media[m].first;
        if (m < s->n_media && s->media[m].first < first) {
            first = s->media[m].first;
        }
        if (!same) {
            return n < first ? n : first;
        }
    }
    return n;
}

/* ---- evaluation ---- */

/* Who wants to know how far the work is. */
typedef struct {
    exaone_progress_fn *fn;
    void *ctx;
    size_t medium, group, n_groups; /* of the vision tower */
} reporter;

/* The tower's blocks, over all frame groups of the medium. */
static bool report_blocks(void *ctx, size_t done, size_t total) {
    const reporter *r = ctx;
    exaone_progress p = {
        .encodes = true, .medium = r->medium, .done = r->group * total + done, .total = r->n_groups * total};
    return r->fn(r->ctx, &p);
}

static bool report_tokens(const reporter *r, size_t done, size_t total) {
    return !r->fn || r->fn(r->ctx, &(exaone_progress){.done = done, .total = total});
}

/* Features of one medium [tokens, out_hidden_size], encoded frame group by frame group. */
static exaone_status encode(exaone_session *s, const exaone_pixels *px, reporter *r, float **features, exaone_error *err) {
    exaone_engine *e = s->e;
    size_t out = (size_t)e->config.vision.out_hidden_size, tokens = media_tokens(s, px);
    size_t per_frame = px->rows / px->grid[0];
    size_t group = per_frame >= MAX_VISION_PATCHES ? 1 : MAX_VISION_PATCHES / per_frame;
    exaone_vision_progress progress = {.fn = report_blocks, .ctx = r};
    *features = e->be->alloc(e->be, tokens * out * sizeof **features);
    if (!*features) {
        return exaone_fail_memory(err, "image features", tokens * out * sizeof **features);
    }
    r->n_groups = (px->grid[0] + group - 1) / group;
    for (size_t t = 0; t < px->grid[0]; t += group) {
        size_t n = px->grid[0] - t < group ? px->grid[0] - t : group;
        int64_t grid[1][3] = {{(int64_t)n, px->grid[1], px->grid[2]}};
        exaone_vision_plan plan;
        exaone_status status = exaone_vision_plan_grids(&e->config.vision, (const int64_t(*)[3])grid, 1, &plan, err);
        r->group = t / group;
        if (status == EXAONE_OK) {
            float *to = *features + t * (tokens / px->grid[0]) * out;
            const float *from = px->values + t * per_frame * px->cols;
            status = exaone_vision_run(&e->model, &plan, from, to, NULL, r->fn ? &progress : NULL, err);
        }
        exaone_vision_plan_release(&plan);
        if (status != EXAONE_OK) {
            e->be->release(e->be, *features);
            *features = NULL;
            return status;
        }
    }
    return EXAONE_OK;
}

/* Overwrites rows of ws->x that belong to a medium; tokens t0 .. t1 are in rows 0 … */
static void place_features(exaone_session *s, const held_media *m, const float *features, size_t t0, size_t t1) {
    size_t a = m->first > t0 ? m->first : t0, b = m->first + m->n < t1 ? m->first + m->n : t1;
    size_t hidden = (size_t)s->e->config.hidden_size;
    exaone_backend *be = s->e->be;
    int32_t order[CHUNK];
    if (a >= b) {
        return;
    }
    for (size_t i = a; i < b; i++) {
        order[i - a] = (int32_t)(i - t0);
    }
    be->scatter_rows(be, s->ws.x, features + (a - m->first) * hidden, order, b - a, hidden);
}

/* Runs ws->x rows as tokens t0 .. t1 and leaves the logits of the last one when asked. */
static exaone_status run_rows(exaone_session *s, size_t t0, size_t t1, bool want_logits, exaone_error *err) {
    exaone_engine *e = s->e;
    size_t n = t1 - t0, hidden = (size_t)e->config.hidden_size, vocab = (size_t)e->config.vocab_size;
    exaone_status status = exaone_kv_cache_reserve(s->cache, t1, err);
    if (status != EXAONE_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        s->rows[i] = (exaone_row){.index = t0 + i};
        s->positions[i] = (int64_t)(t0 + i);
    }
    exaone_kv_cache *caches[1] = {s->cache};
    exaone_batch batch = {.rows = s->rows, .positions = s->positions, .n_rows = n, .caches = caches, .n_sequences = 1};
    exaone_decoder_run(&e->model, &s->ws, &batch, NULL);
    s->cache->length = t1;
    s->length = t1;
    s->has_logits = want_logits;
    if (want_logits) {
        exaone_decoder_logits(&e->model, s->logits_device, s->ws.hidden + (n - 1) * hidden, 1);
        e->be->download(e->be, s->logits, s->logits_device, vocab * sizeof *s->logits);
    }
    return EXAONE_OK;
}

/* Evaluates tokens from .. n_ids; features [n_media] are made when the first of their tokens is needed. */
static exaone_status evaluate(exaone_session *s, const exaone_prompt *p, const held_media *held, float **features,
                              size_t from, reporter *r, exaone_error *err) {
    for (size_t t0 = from; t0 < p->n_ids;) {
        size_t t1 = p->n_ids - t0 < CHUNK ? p->n_ids : t0 + CHUNK;
        if (!report_tokens(r, t0, p->n_ids)) {
            return exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped after %zu of %zu prompt tokens", t0, p->n_ids);
        }
        for (size_t m = 0; m < p->n_media; m++) {
            bool needed = held[m].first < t1 && held[m].first + held[m].n > t0;
            r->medium = m;
            exaone_status status = needed && !features[m] ? encode(s, p->media[m].pixels, r, &features[m], err) : EXAONE_OK;
            if (status != EXAONE_OK) {
                return status;
            }
        }
        memcpy(s->ids + t0, p->ids + t0, (t1 - t0) * sizeof *s->ids);
        exaone_decoder_embed(&s->e->model, &s->ws, p->ids + t0, t1 - t0);
        for (size_t m = 0; m < p->n_media; m++) {
            if (features[m]) {
                place_features(s, &held[m], features[m], t0, t1);
            }
        }
        exaone_status status = run_rows(s, t0, t1, t1 == p->n_ids, err);
        if (status != EXAONE_OK) {
            return status;
        }
        t0 = t1;
    }
    (void)report_tokens(r, p->n_ids, p->n_ids); /* done: too late to stop */
    return EXAONE_OK;
}

static void forget(exaone_session *s) {
    s->length = 0;
    s->cache->length = 0;
    s->has_logits = false;
    free(s->media);
    s->media = NULL;
    s->n_media = 0;
}

exaone_status exaone_session_sync(exaone_session *s, const exaone_prompt *p, exaone_progress_fn *progress, void *ctx,
                                  exaone_error *err) {
    if (p->n_ids == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the prompt is empty");
    }
    if (p->n_ids > s->n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the prompt has %zu tokens, the context holds %zu", p->n_ids, s->n_ctx);
    }
    held_media *held = exaone_mem_array(p->n_media, sizeof *held);
    float **features = exaone_mem_array(p->n_media, sizeof(float *));
    exaone_status status =
        held && features ? place_media(s, p, held, err) : exaone_fail_memory(err, "the media list", p->n_media * 64);
    if (status == EXAONE_OK) {
        size_t keep = common_prefix(s, p, held);
        keep = keep == p->n_ids ? keep - 1 : keep; /* the last token is evaluated again for its logits */
        if (!exaone_kv_cache_can_cut(s->cache, keep)) {
            keep = 0; /* the rings no longer hold the window before that place */
        }
        forget(s);
        s->length = keep;
        s->cache->length = keep;
        s->reused = keep;
        reporter r = {.fn = progress, .ctx = ctx};
        status = evaluate(s, p, held, features, keep, &r, err);
        if (status == EXAONE_OK) {
            s->media = held;
            s->n_media = p->n_media;
            held = NULL;
        } else {
            forget(s);
        }
    }
    for (size_t m = 0; features && m < p->n_media; m++) {
        s->e->be->release(s->e->be, features[m]);
    }
    free(features);
    free(held);
    return status;
}

exaone_status exaone_session_append(exaone_session *s, int32_t id, exaone_error *err) {
    if (s->length == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "append: the session holds no prompt yet");
    }
    if (id < 0 || id >= s->e->config.vocab_size) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "append: id %d is not in 0 .. %d", id, s->e->config.vocab_size - 1);
    }
    if (s->length >= s->n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the context is full: token %zu of %zu", s->length + 1, s->n_ctx);
    }
    s->ids[s->length] = id;
    exaone_decoder_embed(&s->e->model, &s->ws, &id, 1);
    return run_rows(s, s->length, s->length + 1, true, err);
}

const float *exaone_session_logits(const exaone_session *s) {
    return s->has_logits ? s->logits : NULL;
}

size_t exaone_session_length(const exaone_session *s) {
    return s->length;
}

size_t exaone_session_reused(const exaone_session *s) {
    return s->reused;
}
