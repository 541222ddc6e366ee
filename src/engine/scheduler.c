/* The scheduler as callers see it: submitting, cancelling, waiting, numbers. The thread is in scheduler_run.c. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/scheduler_internal.h"

enum {
    DEFAULT_SEQUENCES = 16,
    MAX_SEQUENCES = 256,
    DEFAULT_CONTEXT = 32768,
    MAX_ROWS = 4096,
    DEFAULT_QUEUE = 256,
    MAX_QUEUE = 1 << 16,
    LEAST_CHUNK = 16,
    FIRST_CHUNK = 64
};

double exaone_scheduler_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- options ---- */

static exaone_status fill_options(const exaone_engine *e, exaone_scheduler_options *o, exaone_error *err) {
    uint64_t limit = (uint64_t)e->config.max_position_embeddings;
    o->max_sequences = o->max_sequences ? o->max_sequences : DEFAULT_SEQUENCES;
    if (o->max_sequences > MAX_SEQUENCES) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "max_sequences: %zu is not in 1 .. %d", o->max_sequences,
                           MAX_SEQUENCES);
    }
    o->n_ctx = o->n_ctx ? o->n_ctx : limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
    if (o->n_ctx > limit) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "context of %llu tokens: the model's limit is %llu",
                           (unsigned long long)o->n_ctx, (unsigned long long)limit);
    }
    size_t rows = o->max_sequences > EXAONE_PREFILL_CHUNK ? o->max_sequences : EXAONE_PREFILL_CHUNK;
    o->batch_rows = o->batch_rows ? o->batch_rows : rows;
    if (o->batch_rows < o->max_sequences || o->batch_rows > MAX_ROWS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "batch_rows: %zu is not in %zu (max_sequences) .. %d", o->batch_rows,
                           o->max_sequences, MAX_ROWS);
    }
    o->max_queued = o->max_queued ? o->max_queued : DEFAULT_QUEUE;
    if (o->max_queued > MAX_QUEUE) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "max_queued: %zu is not in 1 .. %d", o->max_queued, MAX_QUEUE);
    }
    o->mark_bytes = o->mark_bytes ? o->mark_bytes : EXAONE_MARK_BYTES;
    o->step_seconds = o->step_seconds == 0 ? 0.2 : o->step_seconds;
    if (!(o->step_seconds > 0 && o->step_seconds <= 3600)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "step_seconds: %g is not above 0 and at most 3600", o->step_seconds);
    }
    if (o->draft > EXAONE_MAX_DRAFT) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "draft: %zu is not in 0 .. %d", o->draft, EXAONE_MAX_DRAFT);
    }
    if (!exaone_cache_type_name(o->cache_type_k) || !exaone_cache_type_name(o->cache_type_v)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "cache types %d and %d: one is not in 0 .. %d", (int)o->cache_type_k,
                           (int)o->cache_type_v, EXAONE_CACHE_TYPE_COUNT - 1);
    }
    return EXAONE_OK;
}

/* ---- the scheduler ---- */

static void release(exaone_scheduler *s) {
    exaone_saver_end(s->saver);
    for (size_t i = 0; s->slots && i < s->options.max_sequences; i++) {
        exaone_prefix_free(s->slots[i].prefix);
        exaone_sequence_free(s->slots[i].seq);
    }
    exaone_prefix_free(s->prefix);
    exaone_step_release(&s->step);
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s->waiting);
    free(s->slots);
    free(s->planned);
    free(s->items);
    free(s->groups);
    free(s->guesses);
    free(s);
}

static exaone_status prepare(exaone_scheduler *s, exaone_error *err) {
    size_t n = s->options.max_sequences, rows = s->options.batch_rows;
    s->waiting = exaone_mem_array(s->options.max_queued + n, sizeof *s->waiting);
    s->slots = exaone_mem_array(n, sizeof *s->slots);
    s->planned = exaone_mem_array(n, sizeof *s->planned);
    s->items = exaone_mem_array(n, sizeof *s->items);
    s->groups = exaone_mem_array(n, sizeof *s->groups);
    s->guesses = exaone_mem_array(n, sizeof *s->guesses);
    if (!s->waiting || !s->slots || !s->planned || !s->items || !s->groups || !s->guesses) {
        return exaone_fail_memory(err, "the scheduler", (s->options.max_queued + n) * sizeof *s->waiting);
    }
    for (size_t load = 1; load < EXAONE_DRAFT_LOADS; load++) {
        s->draft_control[load].cautious = true;
    }
    s->chunk = (exaone_chunk_control){.least = LEAST_CHUNK, .most = rows, .target = s->options.step_seconds};
    s->chunk.least = rows < LEAST_CHUNK ? rows : LEAST_CHUNK;
    s->chunk.chunk = rows < FIRST_CHUNK ? rows : FIRST_CHUNK;
    s->stats.chunk = s->chunk.chunk;
    size_t drafting = s->drafts ? n * EXAONE_TAIL_ROWS : 0; /* the draft module's first pass */
    exaone_status status =
        exaone_step_init(&s->step, s->e, rows > drafting ? rows : drafting, n, n + (s->drafts ? EXAONE_DRAFT_ROWS : 0), err);
    if (status == EXAONE_OK && s->options.cache) {
        status = exaone_scheduler_sequence(s, &s->slots[0].seq, err);
    }
    if (status == EXAONE_OK && s->options.cache) {
        status = exaone_prefix_new(s->options.cache, s->slots[0].seq, &s->prefix, err);
    }
    if (status == EXAONE_OK && s->options.cache) {
        status = exaone_saver_start(&s->saver, err);
    }
    return status;
}

exaone_status exaone_scheduler_new(exaone_engine *engine, const exaone_scheduler_options *options, exaone_scheduler **out,
                                   exaone_error *err) {
    *out = NULL;
    exaone_scheduler_options o = options ? *options : (exaone_scheduler_options){0};
    exaone_status status = fill_options(engine, &o, err);
    if (status != EXAONE_OK) {
        return status;
    }
    exaone_scheduler *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "the scheduler", sizeof *s);
    }
    s->e = engine;
    s->options = o;
    s->drafts = engine->info.has_mtp && !o.no_draft;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->idle, NULL);
    status = prepare(s, err);
    if (status == EXAONE_OK && pthread_create(&s->thread, NULL, exaone_scheduler_main, s) != 0) {
        status = exaone_fail(err, EXAONE_ERR_MEMORY, "cannot start the scheduler's thread");
    }
    if (status != EXAONE_OK) {
        release(s);
        return status;
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_scheduler_free(exaone_scheduler *s) {
    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    release(s);
}

exaone_status exaone_scheduler_drain(exaone_scheduler *s, exaone_error *err) {
    if (pthread_equal(pthread_self(), s->thread)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "drain: a callback cannot wait for its own scheduler");
    }
    pthread_mutex_lock(&s->lock);
    while (s->unfinished > 0) {
        pthread_cond_wait(&s->idle, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return EXAONE_OK;
}

void exaone_scheduler_get_stats(exaone_scheduler *s, exaone_scheduler_stats *out) {
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    out->queued = s->n_waiting;
    pthread_mutex_unlock(&s->lock);
}

/* ---- requests ---- */

static void request_destroy(exaone_request *r) {
    pthread_cond_destroy(&r->ended);
    pthread_mutex_destroy(&r->lock);
    free((void *)(uintptr_t)r->prompt.ids);
    free((void *)(uintptr_t)r->prompt.media);
    free((void *)(uintptr_t)r->sampling.logit_bias);
    free(r->digests);
    free(r->stop_ids);
    free(r);
}

static exaone_status check_ids(const exaone_scheduler *s, const int32_t *ids, size_t n, const char *what,
                               exaone_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= s->e->config.vocab_size) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s %zu: id %d is not in 0 .. %d", what, i, ids[i],
                               s->e->config.vocab_size - 1);
        }
    }
    return EXAONE_OK;
}

static exaone_status check_params(const exaone_scheduler *s, const exaone_request_params *p, exaone_error *err) {
    if (p->prompt.n_ids == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the prompt is empty");
    }
    if (p->prompt.n_ids > s->options.n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the prompt has %zu tokens, the context holds %llu", p->prompt.n_ids,
                           (unsigned long long)s->options.n_ctx);
    }
    if (p->prompt.n_media > p->prompt.n_ids) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%zu images and videos in a prompt of %zu tokens", p->prompt.n_media,
                           p->prompt.n_ids);
    }
    if (p->sampling && exaone_sampling_validate(p->sampling, err) != EXAONE_OK) {
        return EXAONE_ERR_ARGUMENT;
    }
    for (size_t i = 0; p->sampling && i < p->sampling->n_logit_bias; i++) {
        if (check_ids(s, &p->sampling->logit_bias[i].id, 1, "logit_bias", err) != EXAONE_OK) {
            return EXAONE_ERR_ARGUMENT;
        }
    }
    exaone_status status = check_ids(s, p->prompt.ids, p->prompt.n_ids, "token", err);
    return status == EXAONE_OK ? check_ids(s, p->stop_ids, p->stop_ids ? p->n_stop_ids : 0, "stop id", err) : status;
}

/* A copy of n objects (at least room for one), or NULL. */
static void *copy(const void *from, size_t n, size_t size) {
    void *to = exaone_mem_array(n ? n : 1, size);
    if (to && n > 0) {
        memcpy(to, from, n * size);
    }
    return to;
}

static exaone_request *request_make(exaone_scheduler *s, const exaone_request_params *p) {
    exaone_request *r = exaone_mem_array(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    const exaone_model_info *info = &s->e->info;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->ended, NULL);
    r->scheduler = s;
    r->thread = s->thread;
    r->holders = 2;
    r->submitted = exaone_scheduler_clock();
    r->prompt = p->prompt;
    r->prompt.ids = copy(p->prompt.ids, p->prompt.n_ids, sizeof *r->prompt.ids);
    r->prompt.media = copy(p->prompt.media, p->prompt.n_media, sizeof *r->prompt.media);
    r->digests = exaone_mem_array(p->prompt.n_media + 1, EXAONE_MEDIUM_DIGEST);
    exaone_sampling_default(&r->sampling);
    r->sampling.do_sample = false;
    r->sampling = p->sampling ? *p->sampling : r->sampling;
    r->sampling.logit_bias = copy(r->sampling.logit_bias, r->sampling.n_logit_bias, sizeof *r->sampling.logit_bias);
    r->stream = p->stream;
    r->n_stop_ids = p->stop_ids ? p->n_stop_ids : (size_t)info->n_eos_token_ids;
    r->stop_ids = exaone_mem_array(r->n_stop_ids + 1, sizeof *r->stop_ids);
    for (size_t i = 0; r->stop_ids && i < r->n_stop_ids; i++) {
        r->stop_ids[i] = p->stop_ids ? p->stop_ids[i] : info->eos_token_ids[i];
    }
    r->max_tokens = p->max_tokens ? p->max_tokens : SIZE_MAX;
    r->priority = p->priority;
    r->on_token = p->on_token;
    r->on_done = p->on_done;
    r->ctx = p->ctx;
    r->reply.n_prompt = p->prompt.n_ids;
    if (!r->prompt.ids || !r->prompt.media || !r->digests || !r->sampling.logit_bias || !r->stop_ids) {
        request_destroy(r);
        return NULL;
    }
    for (size_t m = 0; m < p->prompt.n_media; m++) {
        exaone_medium_digest(p->prompt.media[m].pixels, p->prompt.media[m].is_video, r->digests + m * EXAONE_MEDIUM_DIGEST);
    }
    r->fingerprint = XXH3_64bits_withSeed(r->prompt.ids, r->prompt.n_ids * sizeof *r->prompt.ids,
                                          XXH3_64bits(r->digests, r->prompt.n_media * EXAONE_MEDIUM_DIGEST));
    return r;
}

/* Under the scheduler's lock. Idle sequences do not count against the queue: who comes first gets them at once. */
static exaone_status enqueue(exaone_scheduler *s, exaone_request *r, exaone_error *err) {
    size_t room = s->options.max_queued + s->options.max_sequences - s->stats.running;
    if (s->stopping) {
        return exaone_fail(err, EXAONE_ERR_CANCELLED, "the scheduler is being closed");
    }
    if (s->n_waiting >= room) {
        s->stats.refused++;
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the queue is full: %zu requests wait, its limit is %zu", s->n_waiting,
                           s->options.max_queued);
    }
    s->waiting[s->n_waiting++] = (exaone_waiting){.request = r, .priority = r->priority};
    s->unfinished++;
    s->stats.submitted++;
    s->stats.most_queued = s->n_waiting > s->stats.most_queued ? s->n_waiting : s->stats.most_queued;
    pthread_cond_signal(&s->work);
    return EXAONE_OK;
}

exaone_status exaone_scheduler_submit(exaone_scheduler *s, const exaone_request_params *p, exaone_request **out,
                                      exaone_error *err) {
    *out = NULL;
    exaone_status status = check_params(s, p, err);
    if (status != EXAONE_OK) {
        return status;
    }
    exaone_request *r = request_make(s, p);
    if (!r) {
        return exaone_fail_memory(err, "a request", p->prompt.n_ids * sizeof *p->prompt.ids);
    }
    *out = r;
    pthread_mutex_lock(&s->lock);
    status = enqueue(s, r, err);
    pthread_mutex_unlock(&s->lock);
    if (status != EXAONE_OK) {
        *out = NULL;
        request_destroy(r);
    }
    return status;
}

/* With the request's lock. */
static void cancel(exaone_request *r) {
    if (!r->done && !atomic_load(&r->cancelled)) {
        exaone_scheduler *s = r->scheduler;
        atomic_store(&r->cancelled, true);
        pthread_mutex_lock(&s->lock);
        s->cancels = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
    }
}

void exaone_request_cancel(exaone_request *r) {
    pthread_mutex_lock(&r->lock);
    cancel(r);
    pthread_mutex_unlock(&r->lock);
}

exaone_status exaone_request_wait(exaone_request *r, exaone_reply *reply, exaone_error *err) {
    pthread_mutex_lock(&r->lock);
    bool callback = !r->done && pthread_equal(pthread_self(), r->thread);
    while (!r->done && !callback) {
        pthread_cond_wait(&r->ended, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    if (callback) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "wait: a callback cannot wait for a request that has not ended");
    }
    if (reply) {
        *reply = r->reply;
    }
    if (r->reply.error.code != EXAONE_OK && err) {
        *err = r->reply.error;
    }
    return r->reply.error.code;
}

/* With the request's lock, which it gives back. */
static void drop(exaone_request *r) {
    unsigned left = --r->holders;
    pthread_mutex_unlock(&r->lock);
    if (left == 0) {
        request_destroy(r);
    }
}

void exaone_request_free(exaone_request *r) {
    if (!r) {
        return;
    }
    pthread_mutex_lock(&r->lock);
    cancel(r);
    while (!r->done && !pthread_equal(pthread_self(), r->thread)) {
        pthread_cond_wait(&r->ended, &r->lock);
    }
    drop(r);
}

void exaone_request_end(exaone_request *r) {
    exaone_scheduler *s = r->scheduler;
    exaone_finish finish = r->reply.finish;
    r->reply.total_seconds = exaone_scheduler_clock() - r->submitted;
    pthread_mutex_lock(&s->lock);
    s->stats.finished += finish != EXAONE_FINISH_CANCELLED && finish != EXAONE_FINISH_ERROR;
    s->stats.cancelled += finish == EXAONE_FINISH_CANCELLED;
    s->stats.failed += finish == EXAONE_FINISH_ERROR;
    pthread_mutex_unlock(&s->lock);
    if (r->on_done) {
        r->on_done(r->ctx, r, &r->reply);
    }
    pthread_mutex_lock(&r->lock);
    r->done = true;
    pthread_cond_broadcast(&r->ended);
    drop(r);
    pthread_mutex_lock(&s->lock);
    if (--s->unfinished == 0) {
        pthread_cond_broadcast(&s->idle);
    }
    pthread_mutex_unlock(&s->lock);
}
