/* One timeline: what it holds, what it shares with a new prompt, and the encoding of its images. See sequence.h. */
#include "engine/sequence.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* A sequence without a cache. */
static exaone_status new_empty(exaone_engine *e, const exaone_sequence_options *o, exaone_sequence **out,
                               exaone_error *err) {
    size_t vocab = (size_t)e->config.vocab_size;
    *out = NULL;
    exaone_sequence *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "a sequence", sizeof *s);
    }
    s->e = e;
    s->options = *o;
    s->drafts = o->drafts && e->config.num_mtp_layers > 0;
    s->pending = s->mtp_next = -1;
    size_t tail = EXAONE_TAIL_ROWS * (size_t)e->config.hidden_size * sizeof *s->tail;
    s->ids = exaone_mem_array(o->n_ctx, sizeof *s->ids);
    s->logits = exaone_mem_array(vocab, sizeof *s->logits);
    s->spare_logits = exaone_mem_array(vocab, sizeof *s->logits);
    s->tail = s->drafts ? e->be->alloc(e->be, tail) : NULL;
    if (!s->ids || !s->logits || !s->spare_logits || (s->drafts && !s->tail)) {
        exaone_sequence_free(s);
        return exaone_fail_memory(err, "a sequence", o->n_ctx * sizeof *s->ids + 2 * vocab * sizeof *s->logits + tail);
    }
    *out = s;
    return EXAONE_OK;
}

exaone_status exaone_sequence_new(exaone_engine *e, const exaone_sequence_options *o, exaone_sequence **out,
                                  exaone_error *err) {
    *out = NULL;
    size_t limit = (size_t)e->config.max_position_embeddings;
    if (o->n_ctx > limit) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "context of %zu tokens: the model's limit is %zu", o->n_ctx, limit);
    }
    assert(o->n_ctx > 0 && o->chunk > 0);
    exaone_sequence *s;
    exaone_status status = new_empty(e, o, &s, err);
    if (status == EXAONE_OK) {
        exaone_kv_options kv = {.n_ctx = o->n_ctx,
                                .chunk = o->chunk,
                                .slack = s->drafts ? EXAONE_MAX_DRAFT : 0,
                                .k_type = exaone_cache_type_dtype(o->cache_type_k),
                                .v_type = exaone_cache_type_dtype(o->cache_type_v)};
        status = exaone_kv_cache_open(e->be, &e->config, &kv, &s->cache, err);
    }
    if (status != EXAONE_OK) {
        exaone_sequence_free(s);
        return status;
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_sequence_drop_features(exaone_sequence *s, bool all) {
    for (size_t m = 0; m < s->n_media; m++) {
        if (all || s->media[m].first + s->media[m].n <= s->length) {
            exaone_feature_cache_drop(&s->e->features, s->media[m].features);
            s->media[m].features = NULL;
        }
    }
}

static void drop_media(exaone_sequence *s) {
    exaone_sequence_drop_features(s, true);
    free(s->media);
    s->media = NULL;
    s->n_media = 0;
}

/* The draft module may lag behind: what it has not is not there to come back to. */
static void mark_here(exaone_sequence *s, bool is_end) {
    size_t n = s->length > 0 ? s->length - 1 : 0;
    n = s->drafts && s->mtp_length < n ? s->mtp_length : n;
    exaone_marks_add(&s->marks, s->cache, n, is_end, s->options.mark_bytes ? s->options.mark_bytes : EXAONE_MARK_BYTES);
}

void exaone_sequence_mark(exaone_sequence *s) {
    exaone_error unused;
    mark_here(s, true);
    /* the pages that the reply begins with are copied now and not at its first tokens */
    size_t begin = s->drafts && s->mtp_length < s->length ? s->mtp_length : s->length;
    size_t ahead = s->options.n_ctx - s->length < EXAONE_TAIL_ROWS ? s->options.n_ctx : s->length + EXAONE_TAIL_ROWS;
    if (s->marks.n > 0 && exaone_kv_cache_reserve_from(s->cache, begin, ahead, &unused) != EXAONE_OK) {
        return; /* who needs the room asks again and reports it */
    }
}

void exaone_sequence_mark_way(exaone_sequence *s) {
    const exaone_kv_checkpoint *last = exaone_marks_find(&s->marks, s->length);
    if (s->length - (last ? exaone_kv_checkpoint_length(last) : 0) >= exaone_mark_distance(s->cache->window)) {
        mark_here(s, false);
    }
}

void exaone_sequence_free(exaone_sequence *s) {
    if (!s) {
        return;
    }
    exaone_marks_clear(&s->marks);
    drop_media(s);
    s->e->be->release(s->e->be, s->tail);
    exaone_kv_cache_free(s->cache);
    free(s->ids);
    free(s->logits);
    free(s->spare_logits);
    free(s);
}

exaone_status exaone_sequence_fork(const exaone_sequence *from, exaone_sequence **out, exaone_error *err) {
    exaone_sequence *s;
    exaone_backend *be = from->e->be;
    size_t hidden = (size_t)from->e->config.hidden_size, vocab = (size_t)from->e->config.vocab_size;
    exaone_status status = new_empty(from->e, &from->options, &s, err);
    *out = NULL;
    if (status != EXAONE_OK) {
        return status;
    }
    s->media = exaone_mem_array(from->n_media, sizeof *s->media);
    status = s->media ? exaone_kv_cache_fork(from->cache, &s->cache, err)
                      : exaone_fail_memory(err, "the media list", from->n_media * sizeof *s->media);
    if (status != EXAONE_OK) {
        exaone_sequence_free(s);
        return status;
    }
    s->n_media = from->n_media;
    for (size_t m = 0; m < s->n_media; m++) {
        s->media[m] = from->media[m];
        exaone_feature_cache_hold(&s->e->features, s->media[m].features);
    }
    memcpy(s->ids, from->ids, from->n_ids * sizeof *s->ids);
    memcpy(s->logits, from->logits, vocab * sizeof *s->logits);
    if (s->drafts) {
        be->copy(be, s->tail, from->tail, EXAONE_TAIL_ROWS * hidden * sizeof *s->tail);
    }
    s->length = from->length;
    s->n_ids = from->n_ids;
    s->reused = from->reused;
    s->mtp_length = from->mtp_length;
    s->has_logits = from->has_logits;
    s->pending = from->pending;
    s->pending_stops = from->pending_stops;
    exaone_marks_share(&s->marks, &from->marks);
    *out = s;
    return EXAONE_OK;
}

void exaone_sequence_forget(exaone_sequence *s) {
    drop_media(s);
    exaone_marks_clear(&s->marks);
    s->length = s->n_ids = s->mtp_length = 0;
    exaone_kv_cache_truncate(s->cache, 0);
    s->has_logits = false;
    s->pending = s->mtp_next = -1;
}

void exaone_sequence_take_back(exaone_sequence *s, size_t n) {
    assert(n <= s->length && n >= s->mtp_length);
    s->length = s->n_ids = n;
    exaone_kv_cache_truncate(s->cache, n);
}

/* ---- prompts ---- */

static bool is_placeholder(const exaone_sequence *s, int32_t id) {
    return id == s->e->config.image_token_id || id == s->e->config.video_token_id;
}

static size_t media_tokens(const exaone_sequence *s, const exaone_pixels *p) {
    size_t merge = (size_t)s->e->config.vision.spatial_merge_size;
    return p->rows / (merge * merge);
}

/* Checks a prompt and finds where its media stand: held [n_media]. */
static exaone_status place_media(const exaone_sequence *s, const exaone_prompt *p, const uint8_t *digests,
                                 exaone_medium *held, exaone_error *err) {
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
        if (digests) {
            memcpy(held[m].digest, digests + m * EXAONE_MEDIUM_DIGEST, EXAONE_MEDIUM_DIGEST);
        } else {
            exaone_medium_digest(px, p->media[m].is_video, held[m].digest);
        }
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
static size_t common_prefix(const exaone_sequence *s, const exaone_prompt *p, const exaone_medium *held) {
    size_t n = 0;
    while (n < s->length && n < p->n_ids && s->ids[n] == p->ids[n]) {
        n++;
    }
    for (size_t m = 0; m < s->n_media || m < p->n_media; m++) {
        bool same = m < s->n_media && m < p->n_media && s->media[m].first == held[m].first && s->media[m].n == held[m].n &&
                    memcmp(s->media[m].digest, held[m].digest, EXAONE_MEDIUM_DIGEST) == 0;
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

/* Where evaluation can go on when `shared` tokens of n_ids stay the same; *mark: what to come back to there, NULL: a cut. */
static size_t reach(const exaone_sequence *s, size_t shared, size_t n_ids, const exaone_kv_checkpoint **mark) {
    size_t keep = shared == n_ids ? shared - 1 : shared; /* the last token is evaluated again for its logits */
    bool exact = keep == s->length || keep > s->mtp_length || !s->drafts;
    if (!exact && keep == shared && keep > 0) {
        keep--; /* the hidden state of token keep - 1 is not kept: it is evaluated again */
    }
    *mark = NULL;
    if (exaone_kv_cache_can_cut(s->cache, keep)) {
        return keep;
    }
    *mark = exaone_marks_find(&s->marks, keep < shared ? keep : shared - 1);
    return *mark ? exaone_kv_checkpoint_length(*mark) : 0;
}

size_t exaone_sequence_reach(const exaone_sequence *s, size_t shared, size_t n_ids) {
    const exaone_kv_checkpoint *mark;
    return reach(s, shared, n_ids, &mark);
}

/* Cuts the timeline back so that evaluation can go on behind it. */
static void cut_back(exaone_sequence *s, size_t shared, size_t n_ids) {
    const exaone_kv_checkpoint *mark;
    size_t keep = reach(s, shared, n_ids, &mark);
    if (mark) {
        exaone_kv_checkpoint_restore(s->cache, mark);
        s->mtp_length = keep; /* token keep is shared: so is the entry before it */
    } else {
        if (keep <= s->mtp_length && keep < s->length) {
            s->mtp_length = keep; /* entry keep - 1 was made with token keep, which stays the same */
        }
        exaone_kv_cache_truncate(s->cache, keep);
    }
    s->length = keep;
    exaone_marks_drop_behind(&s->marks, keep); /* they stand for other tokens now */
}

exaone_status exaone_sequence_begin(exaone_sequence *s, const exaone_prompt *p, const uint8_t *digests, exaone_error *err) {
    if (p->n_ids == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the prompt is empty");
    }
    if (p->n_ids > s->options.n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the prompt has %zu tokens, the context holds %zu", p->n_ids,
                           s->options.n_ctx);
    }
    exaone_medium *held = exaone_mem_array(p->n_media, sizeof *held);
    if (!held) {
        return exaone_fail_memory(err, "the media list", p->n_media * sizeof *held);
    }
    exaone_status status = place_media(s, p, digests, held, err);
    if (status != EXAONE_OK) {
        free(held);
        return status;
    }
    size_t shared = common_prefix(s, p, held);
    if (shared == s->length && shared < p->n_ids) {
        mark_here(s, false); /* the end of a turn */
    }
    cut_back(s, shared, p->n_ids);
    drop_media(s);
    s->media = held;
    s->n_media = p->n_media;
    memcpy(s->ids + s->length, p->ids + s->length, (p->n_ids - s->length) * sizeof *s->ids);
    s->n_ids = p->n_ids;
    s->reused = s->length;
    s->has_logits = false;
    s->pending = s->mtp_next = -1;
    return EXAONE_OK;
}

exaone_status exaone_sequence_add(exaone_sequence *s, int32_t id, exaone_error *err) {
    if (s->n_ids >= s->options.n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the context is full: token %zu of %zu", s->n_ids + 1, s->options.n_ctx);
    }
    s->ids[s->n_ids++] = id;
    return EXAONE_OK;
}

/* ---- images ---- */

/* Who wants to know how far the vision tower is. */
typedef struct {
    exaone_progress_fn *fn;
    void *ctx;
    size_t medium, group, n_groups;
} reporter;

/* The tower's blocks, over all frame groups of the medium. */
static bool report_blocks(void *ctx, size_t done, size_t total) {
    const reporter *r = ctx;
    exaone_progress p = {
        .encodes = true, .medium = r->medium, .done = r->group * total + done, .total = r->n_groups * total};
    return r->fn(r->ctx, &p);
}

/* Features of one medium [tokens, out_hidden_size], encoded frame group by frame group. */
static exaone_status encode(exaone_engine *e, const exaone_pixels *px, size_t tokens, reporter *r, float *features,
                            exaone_error *err) {
    size_t out = (size_t)e->config.vision.out_hidden_size, per_frame = px->rows / px->grid[0];
    size_t group = per_frame >= EXAONE_MAX_VISION_PATCHES ? 1 : EXAONE_MAX_VISION_PATCHES / per_frame;
    exaone_vision_progress progress = {.fn = report_blocks, .ctx = r};
    exaone_status status = EXAONE_OK;
    r->n_groups = (px->grid[0] + group - 1) / group;
    for (size_t t = 0; status == EXAONE_OK && t < px->grid[0]; t += group) {
        size_t n = px->grid[0] - t < group ? px->grid[0] - t : group;
        int64_t grid[1][3] = {{(int64_t)n, px->grid[1], px->grid[2]}};
        exaone_vision_plan plan;
        status = exaone_vision_plan_grids(&e->config.vision, (const int64_t(*)[3])grid, 1, &plan, err);
        r->group = t / group;
        if (status == EXAONE_OK) {
            float *to = features + t * (tokens / px->grid[0]) * out;
            const float *from = px->values + t * per_frame * px->cols;
            status = exaone_vision_run(&e->model, &plan, from, to, NULL, r->fn ? &progress : NULL, err);
        }
        exaone_vision_plan_release(&plan);
    }
    return status;
}

exaone_status exaone_sequence_encode(exaone_sequence *s, const exaone_prompt *p, size_t t0, size_t t1,
                                     exaone_progress_fn *fn, void *ctx, exaone_error *err) {
    exaone_feature_cache *cache = &s->e->features;
    size_t width = (size_t)s->e->config.vision.out_hidden_size;
    reporter r = {.fn = fn, .ctx = ctx};
    for (size_t m = 0; m < s->n_media; m++) {
        exaone_medium *held = &s->media[m];
        if (held->features || held->first >= t1 || held->first + held->n <= t0) {
            continue;
        }
        held->features = exaone_feature_cache_find(cache, held->digest);
        if (held->features) {
            continue;
        }
        exaone_features *f;
        exaone_status status = exaone_feature_cache_make(cache, held->n * width * sizeof(float), held->digest, &f, err);
        if (status != EXAONE_OK) {
            return status;
        }
        r.medium = m;
        status = encode(s->e, p->media[m].pixels, held->n, &r, f->values, err);
        if (status != EXAONE_OK) {
            exaone_feature_cache_drop(cache, f);
            return status;
        }
        exaone_feature_cache_keep(cache, f);
        held->features = f;
    }
    return EXAONE_OK;
}
