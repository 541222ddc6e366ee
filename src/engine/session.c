/* A session: one sequence with buffers of its own. The work is in sequence.c, step.c and generate.c. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/generate.h"
#include "engine/prefix_cache.h"
#include "engine/sampler.h"

enum { DEFAULT_CONTEXT = 32768, MAX_BATCH = 65536 };

struct exaone_session {
    exaone_engine *e;
    exaone_session_options options; /* as resolved */
    exaone_sequence *seq;
    exaone_step step;
    exaone_generator generator;
    exaone_prefix *prefix; /* NULL: nothing is kept on disk */
};

void exaone_session_options_default(exaone_session_options *options) {
    *options = (exaone_session_options){0};
}

static exaone_status resolve(const exaone_engine *e, exaone_session_options *o, exaone_error *err) {
    uint64_t limit = (uint64_t)e->config.max_position_embeddings;
    o->n_ctx = o->n_ctx ? o->n_ctx : limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
    o->batch = o->batch ? o->batch : EXAONE_PREFILL_CHUNK;
    if (o->n_ctx > limit) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "context of %llu tokens: the model's limit is %llu",
                           (unsigned long long)o->n_ctx, (unsigned long long)limit);
    }
    if (o->batch > MAX_BATCH) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "batch of %llu tokens: it must be 1 to %d",
                           (unsigned long long)o->batch, MAX_BATCH);
    }
    o->draft = o->draft && e->config.num_mtp_layers > 0;
    return EXAONE_OK;
}

/* A session without a sequence. */
static exaone_status open_empty(exaone_engine *e, const exaone_session_options *o, exaone_session **out, exaone_error *err) {
    exaone_session *s = exaone_mem_array(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return exaone_fail_memory(err, "a session", sizeof *s);
    }
    s->e = e;
    s->options = *o;
    s->generator.step = &s->step;
    size_t rows = o->draft && o->batch < EXAONE_TAIL_ROWS ? EXAONE_TAIL_ROWS : (size_t)o->batch;
    exaone_status status = exaone_step_init(&s->step, e, rows, 1, o->draft ? EXAONE_TAIL_ROWS : 1, err);
    if (status != EXAONE_OK) {
        free(s);
        return status;
    }
    *out = s;
    return EXAONE_OK;
}

exaone_status exaone_session_open(exaone_engine *e, const exaone_session_options *options, exaone_session **out,
                                  exaone_error *err) {
    exaone_session_options o;
    *out = NULL;
    exaone_session_options_default(&o);
    o = options ? *options : o;
    exaone_status status = resolve(e, &o, err);
    exaone_session *s = NULL;
    if (status == EXAONE_OK) {
        status = open_empty(e, &o, &s, err);
    }
    if (status == EXAONE_OK) {
        exaone_sequence_options q = {.n_ctx = (size_t)o.n_ctx,
                                     .chunk = s->step.max_rows,
                                     .drafts = o.draft,
                                     .cache_type_k = o.cache_type_k,
                                     .cache_type_v = o.cache_type_v,
                                     .mark_bytes = (size_t)o.mark_bytes};
        status = exaone_sequence_new(e, &q, &s->seq, err);
    }
    if (status != EXAONE_OK) {
        exaone_session_free(s);
        return status;
    }
    *out = s;
    return EXAONE_OK;
}

exaone_status exaone_session_new(exaone_engine *e, uint64_t n_ctx, exaone_session **out, exaone_error *err) {
    exaone_session_options o;
    exaone_session_options_default(&o);
    o.n_ctx = n_ctx;
    return exaone_session_open(e, &o, out, err);
}

exaone_status exaone_session_fork(const exaone_session *from, exaone_session **out, exaone_error *err) {
    exaone_session *s;
    exaone_status status = open_empty(from->e, &from->options, &s, err);
    *out = NULL;
    if (status != EXAONE_OK) {
        return status;
    }
    status = exaone_sequence_fork(from->seq, &s->seq, err);
    if (status == EXAONE_OK && from->prefix) {
        status = exaone_prefix_fork(from->prefix, &s->prefix, err);
    }
    if (status != EXAONE_OK) {
        exaone_session_free(s);
        return status;
    }
    s->generator.control = from->generator.control;
    *out = s;
    return EXAONE_OK;
}

void exaone_session_free(exaone_session *s) {
    if (s) {
        exaone_prefix_free(s->prefix);
        exaone_sequence_free(s->seq);
        exaone_step_release(&s->step);
        free(s);
    }
}

/* Evaluates what waits, in chunks. */
static exaone_status evaluate(exaone_session *s, const exaone_prompt *p, exaone_progress_fn *fn, void *ctx,
                              exaone_error *err) {
    exaone_sequence *seq = s->seq;
    while (seq->length < seq->n_ids) {
        size_t left = seq->n_ids - seq->length, n = left < s->options.batch ? left : (size_t)s->options.batch;
        if (fn && !fn(ctx, &(exaone_progress){.done = seq->length, .total = seq->n_ids})) {
            return exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped after %zu of %zu prompt tokens", seq->length, seq->n_ids);
        }
        exaone_status status = exaone_sequence_encode(seq, p, seq->length, seq->length + n, fn, ctx, err);
        if (status == EXAONE_OK) {
            exaone_step_group group = {.seq = seq, .n = n, .n_logits = n == left};
            status = exaone_step_run(&s->step, &group, 1, err);
        }
        if (status != EXAONE_OK) {
            return status;
        }
        exaone_sequence_mark_way(seq);
        if (s->prefix) {
            exaone_prefix_note(s->prefix, seq);
        }
    }
    exaone_sequence_mark(seq);
    if (s->prefix) {
        exaone_prefix_save(s->prefix, seq, false);
    }
    if (fn) {
        (void)fn(ctx, &(exaone_progress){.done = seq->length, .total = seq->length}); /* done: too late to stop */
    }
    return EXAONE_OK;
}

exaone_status exaone_session_sync(exaone_session *s, const exaone_prompt *p, exaone_progress_fn *progress, void *ctx,
                                  exaone_error *err) {
    exaone_status status = exaone_sequence_begin(s->seq, p, NULL, err);
    if (status == EXAONE_OK) {
        if (s->prefix) {
            exaone_prefix_load(s->prefix, s->seq);
        }
        status = evaluate(s, p, progress, ctx, err);
        if (status != EXAONE_OK) {
            exaone_sequence_forget(s->seq);
        }
    }
    return status;
}

exaone_status exaone_session_append(exaone_session *s, int32_t id, exaone_error *err) {
    exaone_sequence *seq = s->seq;
    if (seq->length == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "append: the session holds no prompt yet");
    }
    if (id < 0 || id >= s->e->config.vocab_size) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "append: id %d is not in 0 .. %d", id, s->e->config.vocab_size - 1);
    }
    exaone_status status = EXAONE_OK;
    if (seq->pending >= 0 && !seq->pending_stops) { /* a limit on the reply does not take a token out of the timeline */
        status = exaone_generate_take_pending(&s->generator, seq, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_sequence_add(seq, id, err);
    }
    if (status == EXAONE_OK) {
        exaone_step_group group = {.seq = seq, .n = 1, .n_logits = 1};
        status = exaone_step_run(&s->step, &group, 1, err);
        seq->n_ids = seq->length;
        seq->pending = -1;
    }
    return status;
}

exaone_status exaone_session_generate(exaone_session *s, exaone_sampler *sampler, const exaone_draft_options *options,
                                      int32_t *ids, size_t *n, exaone_error *err) {
    *n = 0;
    if (!s->seq->has_logits) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "generate: the session holds no prompt yet");
    }
    int asked = options ? options->n : 0;
    if (asked != EXAONE_DRAFT_AUTO && (asked < 0 || asked > EXAONE_MAX_DRAFT)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "generate: %d drafts; it must be 0 to %d", asked, EXAONE_MAX_DRAFT);
    }
    if (asked > 0 && !s->seq->drafts) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "generate: %d drafts asked of %s", asked,
                           s->e->config.num_mtp_layers > 0 ? "a session that was opened without `draft`"
                                                           : "a model without a draft module");
    }
    if (exaone_sampler_vocab_size(sampler) != (size_t)s->e->config.vocab_size) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "generate: the sampler was made for %zu tokens, the model has %d",
                           exaone_sampler_vocab_size(sampler), s->e->config.vocab_size);
    }
    return exaone_generate(&s->generator, s->seq, sampler, options, ids, n, err);
}

const float *exaone_session_step_logits(const exaone_session *s, size_t i) {
    return i == 0 ? s->generator.first_logits : s->step.logits + (i - 1) * (size_t)s->e->config.vocab_size;
}

const exaone_generation_stats *exaone_session_stats(const exaone_session *s) {
    return &s->generator.stats;
}

void exaone_session_reset_stats(exaone_session *s) {
    s->generator.stats = (exaone_generation_stats){0};
}

const float *exaone_session_logits(const exaone_session *s) {
    return s->seq->has_logits ? s->seq->logits : NULL;
}

size_t exaone_session_length(const exaone_session *s) {
    return s->seq->length;
}

size_t exaone_session_reused(const exaone_session *s) {
    return s->seq->reused;
}

exaone_status exaone_session_set_cache(exaone_session *s, exaone_cache *cache, exaone_error *err) {
    exaone_prefix_free(s->prefix);
    s->prefix = NULL;
    return cache ? exaone_prefix_new(cache, s->seq, &s->prefix, err) : EXAONE_OK;
}

void exaone_session_save(exaone_session *s, bool wait) {
    if (s->prefix && s->seq->length > 0) {
        exaone_prefix_save(s->prefix, s->seq, wait);
    }
}
