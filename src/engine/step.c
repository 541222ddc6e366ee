/* One forward call over groups of rows, and the draft module's passes. See step.h; formulas: docs/model.md. */
#include "engine/step.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

exaone_status exaone_step_init(exaone_step *st, exaone_engine *e, size_t max_rows, size_t max_sequences, size_t max_logits,
                               exaone_error *err) {
    exaone_backend *be = e->be;
    size_t hidden = (size_t)e->config.hidden_size, vocab = (size_t)e->config.vocab_size;
    bool mtp = e->config.num_mtp_layers > 0;
    *st = (exaone_step){.e = e, .max_rows = max_rows, .max_sequences = max_sequences, .max_logits = max_logits};
    st->rows = exaone_mem_array(max_rows, sizeof *st->rows);
    st->positions = exaone_mem_array(max_rows, sizeof *st->positions);
    st->order = exaone_mem_array(max_rows, sizeof *st->order);
    st->ids = exaone_mem_array(max_rows, sizeof *st->ids);
    st->caches = exaone_mem_array(max_sequences, sizeof(exaone_kv_cache *));
    st->logits = exaone_mem_array(max_logits, vocab * sizeof *st->logits);
    st->logits_device = be->alloc(be, max_logits * vocab * sizeof *st->logits);
    st->wanted = be->alloc(be, max_logits * hidden * sizeof *st->wanted);
    st->inputs = mtp ? be->alloc(be, max_rows * hidden * sizeof *st->inputs) : NULL;
    st->shifted = mtp ? be->alloc(be, max_rows * hidden * sizeof *st->shifted) : NULL;
    bool ok = st->rows && st->positions && st->order && st->ids && st->caches && st->logits && st->logits_device &&
              st->wanted && (!mtp || (st->inputs && st->shifted));
    exaone_status status = ok ? EXAONE_OK
                              : exaone_fail_memory(err, "the rows of a forward call",
                                                   (2 * max_rows + max_logits) * hidden * sizeof(float) +
                                                       2 * max_logits * vocab * sizeof(float));
    if (status == EXAONE_OK) {
        status = exaone_workspace_init(&st->ws, &e->model, max_rows, max_sequences, err);
    }
    if (status != EXAONE_OK) {
        exaone_step_release(st);
    }
    return status;
}

void exaone_step_release(exaone_step *st) {
    if (!st->e) {
        return;
    }
    exaone_backend *be = st->e->be;
    exaone_workspace_release(&st->ws);
    be->release(be, st->inputs);
    be->release(be, st->shifted);
    be->release(be, st->wanted);
    be->release(be, st->logits_device);
    free(st->rows);
    free(st->positions);
    free(st->order);
    free(st->ids);
    free(st->caches);
    free(st->logits);
    *st = (exaone_step){0};
}

static size_t hidden_size(const exaone_step *st) {
    return (size_t)st->e->config.hidden_size;
}

/* to[0 .. n) = rows first .. first + n of from */
static void copy_rows(exaone_step *st, float *to, const float *from, size_t first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        st->order[i] = (int32_t)(first + i);
    }
    if (n > 0) {
        st->e->be->gather_rows(st->e->be, to, from, st->order, n, hidden_size(st));
    }
}

static void set_row(exaone_step *st, size_t row, size_t sequence, size_t index) {
    st->rows[row] = (exaone_row){.sequence = sequence, .index = index};
    st->positions[row] = (int64_t)index;
}

static exaone_batch batch_of(const exaone_step *st, size_t n_rows, size_t n_sequences) {
    return (exaone_batch){
        .rows = st->rows, .positions = st->positions, .n_rows = n_rows, .caches = st->caches, .n_sequences = n_sequences};
}

/* ---- entries of the draft module ---- */

static size_t tail_rows(const exaone_sequence *s) {
    return s->length - s->mtp_length;
}

/* Makes the waiting entries of a sequence whose next token is known, all but the last, which stays as the only row of the
 * tail. */
static void shorten_tail(exaone_step *st, exaone_sequence *s) {
    size_t n = tail_rows(s) - 1, done = 0;
    st->caches[0] = s->cache;
    while (done < n) {
        size_t piece = n - done < st->max_rows ? n - done : st->max_rows;
        for (size_t i = 0; i < piece; i++) {
            set_row(st, i, 0, s->mtp_length + i);
        }
        exaone_batch batch = batch_of(st, piece, 1);
        exaone_decoder_embed(&st->e->model, &st->ws, s->ids + s->mtp_length + 1, piece);
        copy_rows(st, st->inputs, st->ws.x, 0, piece);
        exaone_mtp_fill(&st->e->model, &st->ws, &batch, st->inputs, s->tail + done * hidden_size(st));
        s->mtp_length += piece;
        done += piece;
    }
    copy_rows(st, st->wanted, s->tail, n, 1);
    copy_rows(st, s->tail, st->wanted, 0, 1);
}

static bool has_media(const exaone_sequence *s, size_t t0, size_t t1) {
    for (size_t m = 0; m < s->n_media; m++) {
        if (s->media[m].first < t1 && s->media[m].first + s->media[m].n > t0) {
            return true;
        }
    }
    return false;
}

/* Whether the rows of a group become entries at once, with the vectors that went into layer 0; else they join the tail. */
static bool fills(const exaone_step_group *g) {
    const exaone_sequence *s = g->seq;
    return s->drafts && ((g->n > 1 && !g->verifies) || has_media(s, s->length, s->length + g->n));
}

static void prepare_tails(exaone_step *st, const exaone_step_group *groups, size_t n_groups) {
    for (size_t i = 0; i < n_groups; i++) {
        exaone_sequence *s = groups[i].seq;
        if (!s->drafts) {
            continue;
        }
        if (s->length > 0 && s->mtp_next >= 0 && s->mtp_next == s->ids[s->length]) {
            s->mtp_length = s->length;
        }
        s->mtp_next = -1;
        if (tail_rows(s) > 1 && (fills(&groups[i]) || tail_rows(s) + groups[i].n > EXAONE_TAIL_ROWS)) {
            shorten_tail(st, s);
        }
    }
}

/* Tokens of a filling group that have an entry before them: its first row has none when nothing waits. */
static size_t first_entry_row(const exaone_sequence *s) {
    return tail_rows(s) == 0 ? 1 : 0;
}

/* Keeps what goes into layer 0 for the groups that fill: the rows one behind the other in inputs. */
static void keep_inputs(exaone_step *st, const exaone_step_group *groups, size_t n_groups) {
    size_t row = 0, to = 0;
    for (size_t i = 0; i < n_groups; row += groups[i++].n) {
        if (fills(&groups[i])) {
            size_t first = first_entry_row(groups[i].seq), n = groups[i].n - first;
            copy_rows(st, st->inputs + to * hidden_size(st), st->ws.x, row + first, n);
            to += n;
        }
    }
}

/* After the decoder: makes the entries of filling groups and renews all tails. */
static void follow(exaone_step *st, const exaone_step_group *groups, size_t n_groups) {
    size_t hidden = hidden_size(st), row = 0, n_rows = 0;
    for (size_t i = 0; i < n_groups; row += groups[i++].n) {
        exaone_sequence *s = groups[i].seq;
        size_t n = groups[i].n;
        st->caches[i] = s->cache;
        if (!s->drafts) {
            continue;
        }
        if (!fills(&groups[i])) {
            assert(tail_rows(s) + n <= EXAONE_TAIL_ROWS);
            copy_rows(st, s->tail + tail_rows(s) * hidden, st->ws.hidden, row, n);
            continue;
        }
        size_t first = first_entry_row(s);
        if (first == 0) {
            copy_rows(st, st->shifted + n_rows * hidden, s->tail, 0, 1);
        }
        copy_rows(st, st->shifted + (n_rows + 1 - first) * hidden, st->ws.hidden, row, n - 1);
        for (size_t k = first; k < n; k++) {
            set_row(st, n_rows++, i, s->length + k - 1);
        }
        copy_rows(st, s->tail, st->ws.hidden, row + n - 1, 1);
        s->mtp_length = s->length + n - 1;
    }
    if (n_rows > 0) {
        exaone_batch batch = batch_of(st, n_rows, n_groups);
        exaone_mtp_fill(&st->e->model, &st->ws, &batch, st->inputs, st->shifted);
    }
}

/* ---- the call ---- */

/* Overwrites the rows of ws.x that belong to images: the group's tokens start at row `row`. */
static void place_features(exaone_step *st, const exaone_step_group *g, size_t row) {
    const exaone_sequence *s = g->seq;
    exaone_backend *be = st->e->be;
    for (size_t m = 0; m < s->n_media; m++) {
        const exaone_medium *held = &s->media[m];
        size_t t0 = s->length, t1 = t0 + g->n;
        size_t a = held->first > t0 ? held->first : t0, b = held->first + held->n < t1 ? held->first + held->n : t1;
        if (a >= b) {
            continue;
        }
        assert(held->features);
        for (size_t i = a; i < b; i++) {
            st->order[i - a] = (int32_t)(row + i - t0);
        }
        be->scatter_rows(be, st->ws.x, held->features->values + (a - held->first) * hidden_size(st), st->order, b - a,
                         hidden_size(st));
    }
}

/* Room up to token n; waiting entries of the draft module are written too. */
static exaone_status reserve(const exaone_sequence *s, size_t n, exaone_error *err) {
    size_t begin = s->drafts && s->mtp_length < s->length ? s->mtp_length : s->length;
    return exaone_kv_cache_reserve_from(s->cache, begin, n, err);
}

static void want_logits(exaone_step *st, exaone_step_group *groups, size_t n_groups) {
    exaone_backend *be = st->e->be;
    size_t vocab = (size_t)st->e->config.vocab_size, row = 0, n = 0;
    for (size_t i = 0; i < n_groups; i++) {
        row += groups[i].n;
        for (size_t k = 0; k < groups[i].n_logits; k++) {
            st->order[n++] = (int32_t)(row - groups[i].n_logits + k);
        }
    }
    if (n == 0) {
        return;
    }
    be->gather_rows(be, st->wanted, st->ws.hidden, st->order, n, hidden_size(st));
    exaone_decoder_logits(&st->e->model, st->logits_device, st->wanted, n);
    be->download(be, st->logits, st->logits_device, n * vocab * sizeof *st->logits);
}

exaone_status exaone_step_run(exaone_step *st, exaone_step_group *groups, size_t n_groups, exaone_error *err) {
    size_t n_rows = 0, n_logits = 0, vocab = (size_t)st->e->config.vocab_size;
    assert(n_groups > 0 && n_groups <= st->max_sequences);
    for (size_t i = 0; i < n_groups; i++) {
        exaone_status status = reserve(groups[i].seq, groups[i].seq->length + groups[i].n, err);
        if (status != EXAONE_OK) {
            return status;
        }
        n_rows += groups[i].n;
        n_logits += groups[i].n_logits;
    }
    assert(n_rows <= st->max_rows && n_logits <= st->max_logits);
    prepare_tails(st, groups, n_groups);
    size_t row = 0;
    for (size_t i = 0; i < n_groups; i++) {
        const exaone_sequence *s = groups[i].seq;
        assert(groups[i].n > 0 && s->length + groups[i].n <= s->n_ids && groups[i].n_logits <= groups[i].n);
        st->caches[i] = s->cache;
        for (size_t k = 0; k < groups[i].n; k++, row++) {
            set_row(st, row, i, s->length + k);
            st->ids[row] = s->ids[s->length + k];
        }
    }
    exaone_batch batch = batch_of(st, n_rows, n_groups);
    exaone_decoder_embed(&st->e->model, &st->ws, st->ids, n_rows);
    row = 0;
    for (size_t i = 0; i < n_groups; row += groups[i++].n) {
        place_features(st, &groups[i], row);
    }
    keep_inputs(st, groups, n_groups);
    exaone_decoder_run(&st->e->model, &st->ws, &batch, NULL);
    want_logits(st, groups, n_groups);
    follow(st, groups, n_groups);
    const float *at = st->logits;
    for (size_t i = 0; i < n_groups; i++) {
        exaone_sequence *s = groups[i].seq;
        s->length += groups[i].n;
        s->cache->length = s->length;
        s->has_logits = groups[i].n_logits > 0;
        groups[i].logits = at;
        at += groups[i].n_logits * vocab;
        if (s->has_logits) {
            memcpy(s->logits, at - vocab, vocab * sizeof *at);
        }
        exaone_sequence_drop_features(s, false);
    }
    return EXAONE_OK;
}

/* ---- drafts ---- */

static int32_t first_maximum(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = x[i] > x[best] ? i : best;
    }
    return (int32_t)best;
}

/* Logits of n rows of ws.hidden, and what they make of draft number `k` of the sequences that want so many. */
static void choose_drafts(exaone_step *st, exaone_step_drafts *d, size_t n_drafts, size_t k) {
    exaone_backend *be = st->e->be;
    size_t vocab = (size_t)st->e->config.vocab_size, n = 0;
    for (size_t i = 0; i < n_drafts; i++) {
        n += d[i].n > k;
    }
    exaone_decoder_logits(&st->e->model, st->logits_device, st->wanted, n);
    be->download(be, st->logits, st->logits_device, n * vocab * sizeof *st->logits);
    n = 0;
    for (size_t i = 0; i < n_drafts; i++) {
        if (d[i].n > k) {
            d[i].ids[k] = first_maximum(st->logits + n++ * vocab, vocab);
            d[i].stops = exaone_step_holds(d[i].stop_ids, d[i].n_stop_ids, d[i].ids[k]);
            d[i].n = d[i].stops ? k + 1 : d[i].n;
        }
    }
}

/* The first pass: the waiting entries of every sequence; the last of each has the chosen token as its next. */
static void draft_first(exaone_step *st, exaone_step_drafts *d, size_t n_drafts) {
    exaone_backend *be = st->e->be;
    size_t hidden = hidden_size(st), n = 0;
    for (size_t i = 0; i < n_drafts; i++) {
        exaone_sequence *s = d[i].seq;
        size_t waiting = tail_rows(s);
        assert(waiting >= 1 && n + waiting <= st->max_rows);
        copy_rows(st, st->shifted + n * hidden, s->tail, 0, waiting);
        for (size_t k = 0; k < waiting; k++, n++) {
            st->ids[n] = k + 1 < waiting ? s->ids[s->mtp_length + k + 1] : d[i].next;
            set_row(st, n, i, s->mtp_length + k);
        }
        s->mtp_next = d[i].next;
    }
    exaone_batch batch = batch_of(st, n, n_drafts);
    exaone_decoder_embed(&st->e->model, &st->ws, st->ids, n);
    copy_rows(st, st->inputs, st->ws.x, 0, n);
    exaone_mtp_run(&st->e->model, &st->ws, &batch, st->inputs, st->shifted, NULL);
    n = 0;
    for (size_t i = 0; i < n_drafts; i++) {
        n += tail_rows(d[i].seq);
        st->order[i] = (int32_t)(n - 1);
    }
    be->gather_rows(be, st->wanted, st->ws.hidden, st->order, n_drafts, hidden);
    choose_drafts(st, d, n_drafts, 0);
}

/* Draft k + 1 of the sequences that want one; false when none does. Their rows stand in `wanted`, from the pass before. */
static bool draft_next(exaone_step *st, exaone_step_drafts *d, size_t n_drafts, size_t k) {
    exaone_backend *be = st->e->be;
    size_t n = 0, from = 0;
    for (size_t i = 0; i < n_drafts; i++) {
        if (d[i].n > k) {
            st->order[n] = (int32_t)from;
            st->ids[n] = d[i].ids[k - 1];
            set_row(st, n++, i, d[i].seq->length - 1 + k);
        }
        from += d[i].n > k - 1;
    }
    if (n == 0) {
        return false;
    }
    be->gather_rows(be, st->shifted, st->wanted, st->order, n, hidden_size(st));
    exaone_batch batch = batch_of(st, n, n_drafts);
    exaone_decoder_embed(&st->e->model, &st->ws, st->ids, n);
    copy_rows(st, st->inputs, st->ws.x, 0, n);
    exaone_mtp_run(&st->e->model, &st->ws, &batch, st->inputs, st->shifted, NULL);
    copy_rows(st, st->wanted, st->ws.hidden, 0, n);
    choose_drafts(st, d, n_drafts, k);
    return true;
}

exaone_status exaone_step_draft(exaone_step *st, exaone_step_drafts *d, size_t n_drafts, exaone_error *err) {
    assert(n_drafts > 0 && n_drafts <= st->max_sequences && n_drafts <= st->max_logits);
    for (size_t i = 0; i < n_drafts; i++) {
        assert(d[i].seq->drafts && d[i].n >= 1 && d[i].n <= EXAONE_MAX_DRAFT);
        exaone_status status = reserve(d[i].seq, d[i].seq->length + d[i].n, err);
        if (status != EXAONE_OK) {
            return status;
        }
        d[i].stops = false;
        st->caches[i] = d[i].seq->cache;
    }
    draft_first(st, d, n_drafts);
    for (size_t k = 1; draft_next(st, d, n_drafts, k);) {
        k++;
    }
    return EXAONE_OK;
}
