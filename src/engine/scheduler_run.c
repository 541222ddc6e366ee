/* The scheduler's thread: who gets a sequence, one forward call per step, what becomes of its logits.
 *
 * While an image is being encoded, which takes long, the encoder asks between its blocks whether it may go on; the steps of
 * the others are made there, so that they wait for one block at most. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/scheduler_internal.h"

/* A fork shares whole pages: below one page there is nothing to share. */
enum { LEAST_FORK = EXAONE_KV_PAGE };

/* ---- the end of a request ---- */

static void set_running(exaone_scheduler *s, int change) {
    pthread_mutex_lock(&s->lock);
    s->stats.running += (size_t)change;
    pthread_mutex_unlock(&s->lock);
}

/* `error` may be NULL. The timeline stays for whoever shares it, except after an error. */
static void finish(exaone_scheduler *s, exaone_slot *slot, exaone_finish how, const exaone_error *error) {
    exaone_request *r = slot->request;
    r->reply.finish = how;
    if (error) {
        r->reply.error = *error;
    }
    if (slot->seq && how == EXAONE_FINISH_ERROR) {
        exaone_sequence_forget(slot->seq);
    } else if (slot->seq) {
        exaone_sequence_drop_features(slot->seq, true);
    }
    exaone_sampler_free(slot->sampler);
    slot->sampler = NULL;
    slot->request = NULL;
    slot->replies = slot->encodes = false;
    slot->last_used = s->step_number;
    set_running(s, -1);
    exaone_request_end(r);
    if (slot->prefix && how != EXAONE_FINISH_ERROR && how != EXAONE_FINISH_CANCELLED) {
        exaone_saver_put(s->saver, slot->prefix, slot->seq);
    }
}

static void finish_cancelled(exaone_scheduler *s, exaone_slot *slot) {
    exaone_error err = {0};
    (void)exaone_fail(&err, EXAONE_ERR_CANCELLED, "cancelled after %zu tokens of the reply", slot->request->reply.n_tokens);
    finish(s, slot, EXAONE_FINISH_CANCELLED, &err);
}

static void end_waiting(exaone_request *r, const char *why) {
    r->reply.finish = EXAONE_FINISH_CANCELLED;
    (void)exaone_fail(&r->reply.error, EXAONE_ERR_CANCELLED, "%s", why);
    exaone_request_end(r);
}

/* Takes entry i out of the queue; with the lock. */
static exaone_request *unqueue(exaone_scheduler *s, size_t i) {
    exaone_request *r = s->waiting[i].request;
    memmove(s->waiting + i, s->waiting + i + 1, (s->n_waiting - i - 1) * sizeof *s->waiting);
    s->n_waiting--;
    return r;
}

/* The next entry from *i on that was cancelled (any: whatever), out of the queue; NULL: there is none. */
static exaone_request *next_cancelled(exaone_scheduler *s, size_t *i, bool any) {
    exaone_request *r = NULL;
    pthread_mutex_lock(&s->lock);
    for (; !r && *i < s->n_waiting; *i += !r) {
        const exaone_request *w = s->waiting[*i].request;
        r = any || atomic_load(&w->cancelled) ? unqueue(s, *i) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void sweep(exaone_scheduler *s) {
    pthread_mutex_lock(&s->lock);
    bool cancels = s->cancels;
    s->cancels = false;
    pthread_mutex_unlock(&s->lock);
    if (!cancels) {
        return;
    }
    exaone_request *r;
    for (size_t i = 0; (r = next_cancelled(s, &i, false)) != NULL;) {
        end_waiting(r, "cancelled while it waited for a sequence");
    }
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        exaone_slot *slot = &s->slots[i];
        if (slot->request && !slot->encodes && atomic_load(&slot->request->cancelled)) {
            finish_cancelled(s, slot);
        }
    }
}

/* ---- giving out sequences ---- */

/* Tokens that a timeline shares with a request's prompt; a token inside a medium counts if the medium is the same. */
static size_t shared_prefix(const exaone_sequence *seq, const exaone_request *r) {
    size_t n = 0, most = seq->length < r->prompt.n_ids ? seq->length : r->prompt.n_ids;
    while (n < most && seq->ids[n] == r->prompt.ids[n]) {
        n++;
    }
    for (size_t m = 0; m < seq->n_media && seq->media[m].first < n; m++) {
        if (m >= r->prompt.n_media ||
            memcmp(seq->media[m].digest, r->digests + m * EXAONE_MEDIUM_DIGEST, EXAONE_MEDIUM_DIGEST) != 0) {
            return seq->media[m].first;
        }
    }
    return n;
}

/* Of them, those that need not be evaluated again. */
static size_t useful_prefix(const exaone_sequence *seq, const exaone_request *r) {
    size_t shared = shared_prefix(seq, r);
    return shared > 0 ? exaone_sequence_reach(seq, shared, r->prompt.n_ids) : 0;
}

exaone_status exaone_scheduler_sequence(const exaone_scheduler *s, exaone_sequence **out, exaone_error *err) {
    exaone_sequence_options o = {
        .n_ctx = (size_t)s->options.n_ctx,
        .chunk = s->options.batch_rows < EXAONE_PREFILL_CHUNK ? s->options.batch_rows : EXAONE_PREFILL_CHUNK,
        .drafts = s->drafts,
        .cache_type_k = s->options.cache_type_k,
        .cache_type_v = s->options.cache_type_v,
        .mark_bytes = (size_t)s->options.mark_bytes,
    };
    return exaone_sequence_new(s->e, &o, out, err);
}

/* The idle slot that a request takes (there is one): the one whose timeline shares most with its prompt, unless that is only
 * the smaller part of a longer timeline, which is forked then; else one that was never used or that was idle longest. */
static exaone_slot *choose_slot(exaone_scheduler *s, const exaone_request *r) {
    exaone_slot *best = NULL, *oldest = NULL, *source = NULL;
    size_t best_shared = 0, source_shared = 0;
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        exaone_slot *slot = &s->slots[i];
        size_t shared = slot->seq ? useful_prefix(slot->seq, r) : 0;
        if (shared > source_shared) {
            source = slot;
            source_shared = shared;
        }
        if (slot->request) {
            continue;
        }
        if (shared > best_shared) {
            best = slot;
            best_shared = shared;
        }
        if (!oldest || !slot->seq || (oldest->seq && slot->last_used < oldest->last_used)) {
            oldest = slot;
        }
    }
    if (best && best_shared == source_shared && (2 * best_shared >= best->seq->length || best == oldest)) {
        return best;
    }
    exaone_sequence *fork = NULL;
    if (source && source != oldest && source_shared >= LEAST_FORK &&
        exaone_sequence_fork(source->seq, &fork, NULL) == EXAONE_OK) {
        exaone_sequence_free(oldest->seq);
        oldest->seq = fork;
    }
    return oldest;
}

static exaone_status make_sampler(exaone_scheduler *s, const exaone_request *r, exaone_sampler **out, exaone_error *err) {
    exaone_sampler *first = NULL;
    exaone_status status =
        exaone_sampler_new(&r->sampling, (size_t)s->e->config.vocab_size, r->stop_ids, r->n_stop_ids, &first, err);
    if (status == EXAONE_OK) {
        status = exaone_sampler_prompt(first, r->prompt.ids, r->prompt.n_ids, err);
    }
    if (status == EXAONE_OK && r->stream == 0) {
        *out = first;
        return EXAONE_OK;
    }
    if (status == EXAONE_OK) {
        status = exaone_sampler_clone(first, r->stream, out, err);
    }
    exaone_sampler_free(first);
    return status;
}

static void start(exaone_scheduler *s, exaone_request *r) {
    exaone_error err = {0};
    exaone_slot *slot = choose_slot(s, r);
    slot->request = r;
    r->reply.queue_seconds = exaone_scheduler_clock() - r->submitted;
    exaone_status status = slot->seq ? EXAONE_OK : exaone_scheduler_sequence(s, &slot->seq, &err);
    if (status == EXAONE_OK) {
        status = make_sampler(s, r, &slot->sampler, &err);
    }
    if (status == EXAONE_OK) {
        status = exaone_sequence_begin(slot->seq, &r->prompt, r->digests, &err);
    }
    if (status != EXAONE_OK) {
        finish(s, slot, EXAONE_FINISH_ERROR, &err);
        return;
    }
    if (s->prefix && !slot->prefix && exaone_prefix_fork(s->prefix, &slot->prefix, &err) != EXAONE_OK) {
        slot->prefix = NULL; /* no memory for it: the request is read without */
    }
    if (slot->prefix) {
        exaone_prefix_load(slot->prefix, slot->seq);
    }
    r->reply.n_reused = slot->seq->reused;
    pthread_mutex_lock(&s->lock);
    s->stats.reused += slot->seq->reused;
    pthread_mutex_unlock(&s->lock);
}

/* Whether the request's prompt is being read for another one that is no less urgent: it waits for that, to go on in a fork.
 * Equal fingerprints of prompts that differ cost time and nothing else. */
static bool is_being_read(const exaone_scheduler *s, const exaone_request *r) {
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        const exaone_request *reader = s->slots[i].replies ? NULL : s->slots[i].request;
        if (reader && reader->fingerprint == r->fingerprint && reader->priority >= r->priority &&
            r->prompt.n_ids > LEAST_FORK) {
            return true;
        }
    }
    return false;
}

/* The next request that gets a sequence, out of the queue; NULL: none now. */
static exaone_request *next_request(exaone_scheduler *s) {
    exaone_request *r = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->stats.running < s->options.max_sequences && !s->stopping) {
        for (size_t i = 0; i < s->n_waiting; i++) {
            s->waiting[i].held = is_being_read(s, s->waiting[i].request);
        }
        size_t next = exaone_queue_next(s->waiting, s->n_waiting);
        r = next < s->n_waiting ? unqueue(s, next) : NULL;
        s->stats.running += r != NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void admit(exaone_scheduler *s) {
    exaone_request *r;
    while ((r = next_request(s)) != NULL) {
        start(s, r);
    }
}

/* ---- tokens ---- */

/* Gives a token to the caller; false: the request has ended. */
static bool deliver(exaone_scheduler *s, exaone_slot *slot, int32_t id, const float *logits) {
    exaone_request *r = slot->request;
    if (atomic_load(&r->cancelled)) {
        finish_cancelled(s, slot);
        return false;
    }
    exaone_generated g = {
        .id = id, .index = r->reply.n_tokens, .stops = exaone_step_holds(r->stop_ids, r->n_stop_ids, id), .logits = logits};
    if (r->reply.n_tokens++ == 0) {
        r->reply.first_seconds = exaone_scheduler_clock() - r->submitted;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.tokens++;
    pthread_mutex_unlock(&s->lock);
    s->rate_tokens++;
    bool goes_on = !r->on_token || r->on_token(r->ctx, r, &g);
    if (g.stops) {
        finish(s, slot, EXAONE_FINISH_STOP, NULL);
    } else if (!goes_on) {
        finish(s, slot, EXAONE_FINISH_CALLBACK, NULL);
    } else if (r->reply.n_tokens >= r->max_tokens) {
        finish(s, slot, EXAONE_FINISH_LENGTH, NULL);
    }
    return slot->request != NULL;
}

/* Chooses what comes after the timeline and gives it out; it is evaluated in the next step. */
static void choose_next(exaone_scheduler *s, exaone_slot *slot, const float *logits) {
    exaone_error err = {0};
    int32_t id = 0;
    exaone_status status = exaone_sampler_choose(slot->sampler, logits, &id, NULL, &err);
    if (status == EXAONE_OK) {
        status = exaone_sampler_accept(slot->sampler, id, &err);
    }
    if (status != EXAONE_OK) {
        finish(s, slot, EXAONE_FINISH_ERROR, &err);
        return;
    }
    slot->next = id;
    slot->replies = true;
    if (deliver(s, slot, id, logits) && slot->seq->length >= slot->seq->options.n_ctx) {
        finish(s, slot, EXAONE_FINISH_LENGTH, NULL);
    }
}

/* Decides about the drafts of a step. Logits that are no numbers end the list; choosing from them reports it. */
static void take_verified(exaone_scheduler *s, exaone_slot *slot, const float *logits) {
    exaone_request *r = slot->request;
    exaone_draft_options stops = {.stop_ids = r->stop_ids, .n_stop_ids = r->n_stop_ids};
    int32_t ids[EXAONE_MAX_DRAFT];
    size_t n = 0, vocab = (size_t)s->e->config.vocab_size;
    exaone_generate_verify(slot->seq, slot->sampler, slot->drafts, slot->n_drafts, slot->n_rows, logits, &stops, ids, &n);
    slot->n_accepted = n;
    r->reply.drafted += slot->n_drafts;
    r->reply.accepted += n;
    pthread_mutex_lock(&s->lock);
    s->stats.drafted += slot->n_drafts;
    s->stats.accepted += n;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        if (!deliver(s, slot, ids[i], logits + i * vocab)) {
            return;
        }
    }
    choose_next(s, slot, slot->seq->logits);
}

/* ---- one step ---- */

/* The first medium without features among the next tokens of a prompt, or NULL. */
static const exaone_medium *missing_medium(const exaone_slot *slot) {
    const exaone_sequence *seq = slot->seq;
    size_t end = seq->n_ids - seq->length < seq->options.chunk ? seq->n_ids : seq->length + seq->options.chunk;
    for (size_t m = 0; m < seq->n_media; m++) {
        const exaone_medium *medium = &seq->media[m];
        if (!medium->features && medium->first < end && medium->first + medium->n > seq->length) {
            return medium;
        }
    }
    return NULL;
}

/* Rows of the prompt that could be evaluated now. */
static size_t ready_rows(const exaone_slot *slot) {
    const exaone_medium *missing = missing_medium(slot);
    size_t end = !missing ? slot->seq->n_ids : missing->first > slot->seq->length ? missing->first : slot->seq->length;
    return end - slot->seq->length;
}

static exaone_draft_control *control_of(exaone_scheduler *s, size_t replies) {
    size_t load = 0;
    while (((size_t)1 << load) < replies && load + 1 < EXAONE_DRAFT_LOADS) {
        load++;
    }
    return &s->draft_control[load];
}

/* Guesses that a reply may use: the rest of the reply and of the context is the limit. */
static size_t draft_room(const exaone_slot *slot) {
    const exaone_request *r = slot->request;
    size_t context = slot->seq->options.n_ctx - slot->seq->length - 1, reply = r->max_tokens - r->reply.n_tokens - 1;
    size_t room = context < reply ? context : reply;
    return room < EXAONE_MAX_DRAFT ? room : EXAONE_MAX_DRAFT;
}

/* Lists who takes part in the step and how many rows he gets; returns how many take part. */
static size_t plan(exaone_scheduler *s, size_t *replies) {
    size_t n = 0;
    *replies = 0;
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        exaone_slot *slot = &s->slots[i];
        size_t prompt = slot->request && !slot->encodes && !slot->replies ? ready_rows(slot) : 0;
        if (slot->request && !slot->encodes && (slot->replies || prompt > 0)) {
            s->items[n] = (exaone_plan_item){.priority = slot->request->priority, .prompt = prompt};
            s->planned[n++] = slot;
            *replies += slot->replies;
        }
    }
    if (n == 0) {
        return 0;
    }
    size_t room = s->drafts && *replies > 0 ? EXAONE_DRAFT_ROWS / *replies : 0;
    room = room < EXAONE_MAX_DRAFT ? room : EXAONE_MAX_DRAFT;
    int asked = s->options.draft ? (int)s->options.draft : EXAONE_DRAFT_AUTO;
    size_t drafts = room > 0 ? exaone_draft_choose(control_of(s, *replies), asked, room) : 0;
    for (size_t i = 0; i < n; i++) {
        size_t most = s->planned[i]->replies && drafts > 0 ? draft_room(s->planned[i]) : 0;
        s->items[i].drafts = drafts < most ? drafts : most;
    }
    exaone_plan_limits limits = {.batch_rows = s->options.batch_rows,
                                 .sequence_rows = s->options.batch_rows < EXAONE_PREFILL_CHUNK ? s->options.batch_rows
                                                                                               : EXAONE_PREFILL_CHUNK,
                                 .chunk = s->chunk.chunk};
    (void)exaone_plan_rows(s->items, n, &limits);
    return n;
}

/* Makes the guesses that the plan has rows for. Without memory for them there are none. */
static void make_drafts(exaone_scheduler *s, size_t n) {
    size_t n_guesses = 0;
    for (size_t i = 0; i < n; i++) {
        exaone_slot *slot = s->planned[i];
        slot->n_drafts = slot->n_accepted = 0;
        slot->n_rows = 1;
        if (slot->replies && s->items[i].rows > 1) {
            exaone_step_drafts *d = &s->guesses[n_guesses++];
            *d = (exaone_step_drafts){.seq = slot->seq, .next = slot->next, .n = s->items[i].rows - 1};
            d->stop_ids = slot->request->stop_ids;
            d->n_stop_ids = slot->request->n_stop_ids;
        }
    }
    if (n_guesses == 0 || exaone_step_draft(&s->step, s->guesses, n_guesses, NULL) != EXAONE_OK) {
        return;
    }
    for (size_t i = 0, g = 0; i < n; i++) {
        if (g < n_guesses && s->guesses[g].seq == s->planned[i]->seq) {
            s->planned[i]->n_drafts = s->guesses[g].n;
            s->planned[i]->n_rows = s->guesses[g].n + !s->guesses[g].stops;
            memcpy(s->planned[i]->drafts, s->guesses[g].ids, s->guesses[g].n * sizeof s->guesses[g].ids[0]);
            g++;
        }
    }
}

/* The tokens of a slot as a group of the forward call. */
static exaone_status make_group(const exaone_plan_item *item, exaone_slot *slot, exaone_step_group *group,
                                exaone_error *err) {
    *group = (exaone_step_group){.seq = slot->seq};
    if (!slot->replies) {
        group->n = item->rows;
        group->n_logits = slot->seq->length + group->n == slot->request->prompt.n_ids;
        return EXAONE_OK;
    }
    exaone_status status = exaone_sequence_add(slot->seq, slot->next, err);
    for (size_t i = 0; status == EXAONE_OK && i + 1 < slot->n_rows; i++) {
        status = exaone_sequence_add(slot->seq, slot->drafts[i], err);
    }
    group->n = group->n_logits = slot->n_rows;
    group->verifies = slot->n_rows > 1;
    return status;
}

/* The marks of all timelines share a budget: those of the one that was idle longest go first, then, among those that are in
 * use, one by one where they take most. */
static void limit_marks(exaone_scheduler *s) {
    for (;;) {
        exaone_slot *idle = NULL, *most = NULL;
        size_t bytes = 0, most_bytes = 0;
        for (size_t i = 0; i < s->options.max_sequences; i++) {
            exaone_slot *slot = &s->slots[i];
            size_t own = slot->seq ? exaone_marks_bytes(&slot->seq->marks, slot->seq->cache) : 0;
            bytes += own;
            if (own > most_bytes) {
                most = slot;
                most_bytes = own;
            }
            if (own > 0 && !slot->request && (!idle || slot->last_used < idle->last_used)) {
                idle = slot;
            }
        }
        if (!most || bytes <= s->options.mark_bytes) {
            return;
        }
        if (idle) {
            exaone_marks_clear(&idle->seq->marks);
        } else {
            exaone_marks_drop_one(&most->seq->marks);
        }
    }
}

/* After rows of a prompt. */
static void take_prompt(exaone_scheduler *s, exaone_slot *slot, bool is_whole) {
    if (is_whole && slot->prefix) { /* before the mark, which copies the pages that are written next */
        exaone_saver_put(s->saver, slot->prefix, slot->seq);
    } else if (slot->prefix) {
        exaone_prefix_note(slot->prefix, slot->seq);
    }
    if (is_whole) {
        exaone_sequence_mark(slot->seq);
    } else {
        exaone_sequence_mark_way(slot->seq);
    }
    limit_marks(s);
}

static void take_result(exaone_scheduler *s, exaone_slot *slot, const exaone_step_group *group) {
    if (!slot->replies) {
        take_prompt(s, slot, group->n_logits > 0);
    }
    if (slot->replies && slot->n_drafts > 0) {
        take_verified(s, slot, group->logits);
    } else if (group->n_logits > 0) {
        choose_next(s, slot, group->logits);
    }
}

/* Idle timelines and marks are only there to be met again: they go when memory is short. */
static void forget_idle(exaone_scheduler *s) {
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        exaone_slot *slot = &s->slots[i];
        if (slot->seq && slot->request) {
            exaone_marks_clear(&slot->seq->marks);
        } else {
            exaone_sequence_free(slot->seq);
            slot->seq = NULL;
        }
    }
}

/* The call of all together failed, before anything was changed: one by one, so that the fault ends only whom it concerns. */
static void run_each(exaone_scheduler *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        exaone_error err = {0};
        if (exaone_step_run(&s->step, &s->groups[i], 1, &err) != EXAONE_OK) {
            finish(s, s->planned[i], EXAONE_FINISH_ERROR, &err);
        } else {
            take_result(s, s->planned[i], &s->groups[i]);
        }
    }
}

typedef struct {
    size_t replies, prompt_rows, reply_rows;
    double seconds;
} measured;

/* What a step teaches: the size of chunks, the worth of drafts, the numbers for callers. */
static void learn(exaone_scheduler *s, size_t n, const measured *m) {
    double now = exaone_scheduler_clock(), since = now - s->last_end;
    if (m->replies > 0) {
        exaone_chunk_adapt(&s->chunk, m->prompt_rows, m->seconds);
    }
    if (m->prompt_rows == 0 && s->drafts &&
        n > 0) { /* rows of prompts would blur the costs; one reply in turn speaks for all */
        const exaone_slot *slot = s->planned[s->step_number % n];
        exaone_draft_observe(control_of(s, m->replies), slot->n_drafts, slot->n_accepted,
                             slot->n_rows == slot->n_drafts + 1 ? m->seconds : 0);
    }
    s->rate_tokens /= 1 + since / 2;
    s->rate_seconds = (s->rate_seconds + since) / (1 + since / 2);
    s->last_step = m->seconds;
    s->last_end = now;
    s->step_number++;
    size_t rows = m->prompt_rows + m->reply_rows;
    pthread_mutex_lock(&s->lock);
    exaone_scheduler_stats *st = &s->stats;
    st->steps++;
    st->prompt_rows += m->prompt_rows;
    st->reply_rows += m->reply_rows;
    st->last_rows = rows;
    st->most_rows = rows > st->most_rows ? rows : st->most_rows;
    st->chunk = s->chunk.chunk;
    st->busy_seconds += m->seconds;
    st->tokens_per_second = s->rate_seconds > 0 ? s->rate_tokens / s->rate_seconds : 0;
    st->longest_wait = m->replies > 0 && m->seconds > st->longest_wait ? m->seconds : st->longest_wait;
    pthread_mutex_unlock(&s->lock);
}

/* One forward call. False: there was nothing to do. */
static bool step(exaone_scheduler *s) {
    measured m = {0};
    size_t n = plan(s, &m.replies), n_groups = 0;
    if (n == 0) {
        return false;
    }
    double begin = exaone_scheduler_clock();
    make_drafts(s, n);
    for (size_t i = 0; i < n; i++) {
        exaone_error err = {0};
        exaone_slot *slot = s->planned[i];
        if (make_group(&s->items[i], slot, &s->groups[n_groups], &err) != EXAONE_OK) {
            finish(s, slot, EXAONE_FINISH_ERROR, &err);
            continue;
        }
        *(slot->replies ? &m.reply_rows : &m.prompt_rows) += s->groups[n_groups].n;
        s->planned[n_groups++] = slot;
    }
    exaone_status status = n_groups > 0 ? exaone_step_run(&s->step, s->groups, n_groups, NULL) : EXAONE_OK;
    if (status == EXAONE_ERR_MEMORY) {
        forget_idle(s);
        status = exaone_step_run(&s->step, s->groups, n_groups, NULL);
    }
    m.seconds = exaone_scheduler_clock() - begin;
    if (status != EXAONE_OK) {
        run_each(s, n_groups);
    }
    for (size_t i = 0; status == EXAONE_OK && i < n_groups; i++) {
        take_result(s, s->planned[i], &s->groups[i]);
    }
    learn(s, n_groups, &m);
    return true;
}

/* ---- media ---- */

typedef struct {
    exaone_scheduler *s;
    exaone_slot *slot;
} encoding;

static bool is_stopping(exaone_scheduler *s) {
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

/* Between blocks of the vision tower. The others get half of the time. */
static bool between_blocks(void *ctx, const exaone_progress *progress) {
    const encoding *e = ctx;
    exaone_scheduler *s = e->s;
    (void)progress;
    if (is_stopping(s) || atomic_load(&e->slot->request->cancelled)) {
        return false;
    }
    if (exaone_scheduler_clock() - s->last_end >= s->last_step) {
        sweep(s);
        admit(s);
        (void)step(s);
    }
    return true;
}

/* Encodes what the next rows of one prompt need: of the highest priority, the oldest of them. False: nobody needs any. */
static bool encode_one(exaone_scheduler *s) {
    exaone_slot *next = NULL;
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        exaone_slot *slot = &s->slots[i];
        if (slot->request && !slot->replies && missing_medium(slot) &&
            (!next || slot->request->priority > next->request->priority ||
             (slot->request->priority == next->request->priority && slot->request->submitted < next->request->submitted))) {
            next = slot;
        }
    }
    if (!next) {
        return false;
    }
    exaone_error err = {0};
    exaone_sequence *seq = next->seq;
    encoding e = {s, next};
    size_t end = seq->n_ids - seq->length < seq->options.chunk ? seq->n_ids : seq->length + seq->options.chunk;
    next->encodes = true;
    exaone_status status = exaone_sequence_encode(seq, &next->request->prompt, seq->length, end, between_blocks, &e, &err);
    next->encodes = false;
    if (atomic_load(&next->request->cancelled) || status == EXAONE_ERR_CANCELLED) {
        finish_cancelled(s, next);
    } else if (status != EXAONE_OK) {
        finish(s, next, EXAONE_FINISH_ERROR, &err);
    }
    return true;
}

/* ---- the thread ---- */

/* Waits for work; false: the scheduler is being freed. */
static bool wait_for_work(exaone_scheduler *s) {
    pthread_mutex_lock(&s->lock);
    while (s->n_waiting == 0 && s->stats.running == 0 && !s->stopping) {
        pthread_cond_wait(&s->work, &s->lock);
        s->last_end = exaone_scheduler_clock();
    }
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return !stopping;
}

void *exaone_scheduler_main(void *arg) {
    exaone_scheduler *s = arg;
    while (wait_for_work(s)) {
        sweep(s);
        admit(s);
        bool encoded = encode_one(s);
        bool stepped = step(s);
        assert(encoded || stepped || s->stats.running == 0);
        (void)encoded;
        (void)stepped;
    }
    exaone_request *r;
    for (size_t i = 0; (r = next_cancelled(s, &i, true)) != NULL;) {
        end_waiting(r, "the scheduler was closed before it had a sequence");
    }
    for (size_t i = 0; i < s->options.max_sequences; i++) {
        if (s->slots[i].request) {
            finish_cancelled(s, &s->slots[i]);
        }
    }
    return NULL;
}
