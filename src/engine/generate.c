/* Replies with drafts: one step, the decision about drafts, and the choice of their number. See generate.h. */
#include "engine/generate.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

/* ---- how many drafts ---- */

enum { FIRST_DRAFTS = 3, OPENING = 3, FIRST_PROBE = 16, LAST_PROBE = 512 };
#define FADING 0.99      /* of the counts, per observation */
#define PRIOR 0.8        /* share of drafts that stand, before anything was seen */
#define PRIOR_TRIED 1.0  /* weight of what was known before, in drafts */
#define WORTH 1.03       /* drafts must promise so many times the speed without them */
#define COST_FOLLOWS 0.2 /* share of a new measurement */
#define COST_OUTLIER 1.5 /* times the mean: the machine did something else too */

void exaone_draft_observe(exaone_draft_control *c, size_t drafted, size_t accepted, double seconds) {
    for (size_t i = 0; i < drafted && i <= accepted; i++) {
        c->tried[i] = c->tried[i] * FADING + 1;
        c->stood[i] = c->stood[i] * FADING + (i < accepted);
    }
    c->steps++;
    if (seconds <= 0) {
        return;
    }
    double *cost = &c->cost[drafted];
    uint32_t *n = &c->measured[drafted];
    if (*n == 0) {
        *cost = seconds;
    } else if (*n < 3) { /* first passes may have met a cold cache */
        *cost = seconds < *cost ? seconds : *cost;
    } else {
        double x = seconds < *cost * COST_OUTLIER ? seconds : *cost * COST_OUTLIER;
        *cost += COST_FOLLOWS * (x - *cost);
    }
    *n += *n < UINT32_MAX;
}

/* Seconds of a step with k drafts: measured, or by the least-squares line through what is measured. */
static double cost_of(const exaone_draft_control *c, size_t k) {
    if (c->measured[k]) {
        return c->cost[k];
    }
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = 0; i <= EXAONE_MAX_DRAFT; i++) {
        if (c->measured[i]) {
            double x = (double)i;
            n++;
            sx += x;
            sy += c->cost[i];
            sxx += x * x;
            sxy += x * c->cost[i];
        }
    }
    double spread = n * sxx - sx * sx;
    double slope = spread > 0 ? (n * sxy - sx * sy) / spread : 0.1 * sy / (n > 0 ? n : 1);
    double line = n > 0 ? sy / n + slope * ((double)k - sx / n) : 1;
    double floor = n > 0 ? 0.2 * sy / n : 1;
    return line > floor ? line : floor;
}

/* Tokens per second with k drafts if all of them stood. */
static double most_speed_of(const exaone_draft_control *c, size_t k) {
    return (double)(k + 1) / cost_of(c, k);
}

/* Tokens per second with k drafts. */
static double speed_of(const exaone_draft_control *c, size_t k) {
    double tokens = 1, all = 1, p = 0;
    for (size_t i = 0; i < k; i++) {
        double before = i ? p : PRIOR; /* an untried place is as good as the one before */
        p = (c->stood[i] + PRIOR_TRIED * before) / (c->tried[i] + PRIOR_TRIED);
        all *= p;
        tokens += all;
    }
    return tokens / cost_of(c, k);
}

static size_t best_drafts(const exaone_draft_control *c) {
    size_t best = 0, last = EXAONE_MAX_DRAFT;
    double most = WORTH * speed_of(c, 0);
    for (size_t k = 0; c->cautious && k <= EXAONE_MAX_DRAFT && c->measured[k]; k++) {
        last = k < EXAONE_MAX_DRAFT ? k + 1 : k;
    }
    for (size_t k = 1; k <= last; k++) {
        double speed = speed_of(c, k);
        if (speed > most) {
            most = speed;
            best = k;
        }
    }
    return best;
}

/* A number beside the best: the less often tried one of its neighbours, or no drafts at all when that was not tried. */
static size_t probe(const exaone_draft_control *c, size_t best) {
    if (c->measured[0] < 2) {
        return 0;
    }
    size_t below = best > 0 ? best - 1 : 1, above = best < EXAONE_MAX_DRAFT ? best + 1 : best - 1;
    return c->measured[above] <= c->measured[below] ? above : below;
}

size_t exaone_draft_choose(exaone_draft_control *c, int asked, size_t room) {
    size_t k;
    if (asked >= 0) {
        k = (size_t)asked;
    } else if (c->steps < OPENING) {
        k = c->cautious ? 0 : FIRST_DRAFTS;
        c->next_probe = OPENING;
        c->probe_distance = FIRST_PROBE / 4;
    } else {
        k = best_drafts(c);
        if (k != c->last_best) {
            c->last_best = k;
            c->probe_distance = c->probe_distance > FIRST_PROBE ? FIRST_PROBE : c->probe_distance;
        }
        bool due = c->steps >= c->next_probe;
        size_t other = due ? probe(c, k) : 0;
        if (due && c->measured[other] > 1 && c->probe_distance < LAST_PROBE && most_speed_of(c, other) < speed_of(c, k)) {
            c->probe_distance = LAST_PROBE;
            c->next_probe = c->steps + LAST_PROBE;
        } else if (due) {
            c->probe_distance = c->probe_distance * 2 < LAST_PROBE ? c->probe_distance * 2 : LAST_PROBE;
            c->next_probe = c->steps + c->probe_distance;
            k = other;
        }
    }
    return k < room ? k : room;
}

/* ---- the decision ---- */

static const int32_t *stop_ids(const exaone_engine *e, const exaone_draft_options *o, size_t *n) {
    bool own = o && o->stop_ids;
    *n = own ? o->n_stop_ids : (size_t)e->info.n_eos_token_ids;
    return own ? o->stop_ids : e->info.eos_token_ids;
}

bool exaone_generate_stops(const exaone_engine *e, const exaone_draft_options *o, int32_t id) {
    size_t n;
    const int32_t *ids = stop_ids(e, o, &n);
    return exaone_step_holds(ids, n, id);
}

void exaone_generate_verify(exaone_sequence *seq, exaone_sampler *sampler, const int32_t *drafts, size_t n, size_t n_rows,
                            const float *logits, const exaone_draft_options *options, int32_t *out, size_t *n_out) {
    size_t vocab = (size_t)seq->e->config.vocab_size, before = seq->length - n_rows, i = 0;
    bool stops = false;
    *n_out = 0;
    while (i < n && !stops) {
        int32_t id;
        exaone_error fault; /* the next step meets it again and reports it */
        if (exaone_sampler_choose(sampler, logits + i * vocab, &id, NULL, &fault) != EXAONE_OK || id != drafts[i] ||
            exaone_sampler_accept(sampler, id, &fault) != EXAONE_OK) {
            break;
        }
        out[(*n_out)++] = id;
        stops = exaone_generate_stops(seq->e, options, id);
        i += !stops;
        seq->pending = stops ? id : -1;
        seq->pending_stops = stops;
    }
    exaone_sequence_take_back(seq, before + 1 + i);
    if (i < n) {
        memcpy(seq->logits, logits + i * vocab, vocab * sizeof *logits);
    }
}

/* ---- one step ---- */

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

exaone_status exaone_generate_take_pending(exaone_generator *g, exaone_sequence *seq, exaone_error *err) {
    if (seq->pending < 0) {
        return EXAONE_OK;
    }
    exaone_status status = exaone_sequence_add(seq, seq->pending, err);
    if (status == EXAONE_OK) {
        exaone_step_group group = {.seq = seq, .n = 1, .n_logits = 1};
        status = exaone_step_run(g->step, &group, 1, err);
        if (status != EXAONE_OK) {
            seq->n_ids = seq->length;
        }
    }
    seq->pending = status == EXAONE_OK ? -1 : seq->pending;
    return status;
}

/* Evaluates ids [n] (the chosen token and drafts) in one pass. */
static exaone_status evaluate(exaone_generator *g, exaone_sequence *seq, const int32_t *ids, size_t n,
                              exaone_step_group *group, exaone_error *err) {
    float *before = seq->logits; /* kept for exaone_session_step_logits */
    seq->logits = seq->spare_logits;
    seq->spare_logits = before;
    memcpy(seq->ids + seq->length, ids, n * sizeof *ids);
    seq->n_ids = seq->length + n;
    *group = (exaone_step_group){.seq = seq, .n = n, .n_logits = n, .verifies = n > 1};
    exaone_status status = exaone_step_run(g->step, group, 1, err);
    if (status != EXAONE_OK) {
        seq->spare_logits = seq->logits;
        seq->logits = before;
        seq->n_ids = seq->length;
    }
    return status;
}

/* At most d->n drafts behind ids[0] go to ids + 1. */
static exaone_status draft(exaone_generator *g, exaone_step_drafts *d, const exaone_draft_options *o, int32_t *ids,
                           exaone_error *err) {
    d->next = ids[0];
    d->stop_ids = stop_ids(d->seq->e, o, &d->n_stop_ids);
    exaone_status status = d->n ? exaone_step_draft(g->step, d, 1, err) : EXAONE_OK;
    memcpy(ids + 1, d->ids, d->n * sizeof *ids);
    return status;
}

static void count(exaone_generation_stats *s, size_t k, size_t stood, double drafting, double passing) {
    s->verifications += k > 0;
    s->passes += k == 0;
    s->drafted += k;
    s->accepted += stood;
    s->draft_seconds += drafting;
    *(k ? &s->verify_seconds : &s->pass_seconds) += passing;
    for (size_t i = 0; i < k; i++) {
        s->drafted_at[i]++;
        s->accepted_at[i] += i < stood;
    }
}

exaone_status exaone_generate(exaone_generator *g, exaone_sequence *seq, exaone_sampler *sampler,
                              const exaone_draft_options *options, int32_t *ids, size_t *n, exaone_error *err) {
    static const exaone_draft_options plain = {0};
    const exaone_draft_options *o = options ? options : &plain;
    *n = 0;
    int32_t row[EXAONE_MAX_DRAFT + 1];
    exaone_status status = exaone_generate_take_pending(g, seq, err);
    if (status == EXAONE_OK) {
        status = exaone_sampler_choose(sampler, seq->logits, &row[0], NULL, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_sampler_accept(sampler, row[0], err);
    }
    if (status != EXAONE_OK) {
        return status;
    }
    ids[(*n)++] = row[0];
    g->stats.tokens++;
    g->first_logits = seq->logits;
    size_t room = seq->options.n_ctx - seq->length;
    seq->pending_stops = exaone_generate_stops(seq->e, o, row[0]);
    if (seq->pending_stops || o->max_tokens == 1 || room == 0) {
        seq->pending = row[0];
        return EXAONE_OK;
    }
    room = o->max_tokens && o->max_tokens < room ? o->max_tokens : room;
    exaone_step_drafts d = {.seq = seq, .n = seq->drafts ? exaone_draft_choose(&g->control, o->n, room - 1) : 0};
    double t0 = seconds_now();
    status = draft(g, &d, o, row, err);
    double t1 = seconds_now();
    exaone_step_group group;
    size_t k = d.n, n_rows = d.stops ? k : k + 1; /* what would come behind a stop id is not asked for */
    if (status == EXAONE_OK) {
        status = evaluate(g, seq, row, n_rows, &group, err);
    }
    if (status != EXAONE_OK) { /* the token stands: who goes on evaluates it first */
        seq->pending = row[0];
        return EXAONE_OK;
    }
    g->first_logits = seq->spare_logits;
    double t2 = seconds_now();
    size_t stood = 0;
    exaone_generate_verify(seq, sampler, row + 1, k, n_rows, group.logits, o, ids + 1, &stood);
    *n += stood;
    g->stats.tokens += stood;
    count(&g->stats, k, stood, t1 - t0, t2 - t1);
    exaone_draft_observe(&g->control, k, stood, d.stops ? 0 : t2 - t0);
    return EXAONE_OK;
}
