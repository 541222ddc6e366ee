/* The sampler object: ids seen, the processors that look at them, and the choice. Order and meaning of the processors:
 * exaone/sampling.h. */
#include "engine/sampler.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"

#define IN_PROMPT 0x80000000u /* in counts; the other bits count the token's occurrences in the reply */
#define COUNT_MASK 0x7FFFFFFFu

struct exaone_sampler {
    exaone_sampling params; /* logit_bias points to bias */
    exaone_logit_bias *bias;
    size_t vocab_size;
    int32_t *stop_ids; /* [n_stop_ids] */
    size_t n_stop_ids;
    uint32_t *counts; /* [vocab_size] */
    uint32_t *seen;   /* [vocab_size], the first n_seen: ids whose count is not 0, in order of their first appearance */
    size_t n_seen;
    size_t n_generated;
    uint32_t stream;
    float *scores;           /* [vocab_size] scratch of choose */
    exaone_candidate *list;  /* [vocab_size] scratch of the filters */
    exaone_typical *typical; /* [vocab_size] the same; NULL when typical_p is off */
};

static exaone_status check_id(const char *what, int32_t id, size_t vocab_size, exaone_error *err) {
    if (id < 0 || (size_t)id >= vocab_size) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "%s is token %d; it must be at least 0 and below the vocabulary size %zu", what, id, vocab_size);
    }
    return EXAONE_OK;
}

static exaone_status check_new(const exaone_sampling *params, size_t vocab_size, const int32_t *stop_ids, size_t n_stop_ids,
                               exaone_error *err) {
    exaone_status status = exaone_sampling_validate(params, err);
    if (status) {
        return status;
    }
    if (vocab_size < 1 || vocab_size > INT32_MAX) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "vocabulary size is %zu; it must be 1 to %d", vocab_size, INT32_MAX);
    }
    for (size_t i = 0; i < n_stop_ids && !status; i++) {
        status = check_id("a stop id", stop_ids[i], vocab_size, err);
    }
    for (size_t i = 0; i < params->n_logit_bias && !status; i++) {
        status = check_id("an entry of logit_bias", params->logit_bias[i].id, vocab_size, err);
    }
    return status;
}

size_t exaone_sampler_vocab_size(const exaone_sampler *s) {
    return s->vocab_size;
}

exaone_status exaone_sampler_new(const exaone_sampling *params, size_t vocab_size, const int32_t *stop_ids,
                                 size_t n_stop_ids, exaone_sampler **out, exaone_error *err) {
    *out = NULL;
    exaone_status status = check_new(params, vocab_size, stop_ids, n_stop_ids, err);
    if (status) {
        return status;
    }
    exaone_sampler *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "a sampler", sizeof *s);
    }
    s->vocab_size = vocab_size;
    s->params = *params;
    s->n_stop_ids = n_stop_ids;
    s->bias = exaone_mem_array(params->n_logit_bias, sizeof *s->bias);
    s->stop_ids = exaone_mem_array(n_stop_ids, sizeof *s->stop_ids);
    s->counts = exaone_mem_array(vocab_size, sizeof *s->counts);
    s->seen = exaone_mem_array(vocab_size, sizeof *s->seen);
    s->scores = exaone_mem_array(vocab_size, sizeof *s->scores);
    s->list = exaone_mem_array(vocab_size, sizeof *s->list);
    bool typical = params->typical_p < 1;
    s->typical = typical ? exaone_mem_array(vocab_size, sizeof *s->typical) : NULL;
    if (!s->bias || !s->stop_ids || !s->counts || !s->seen || !s->scores || !s->list || (typical && !s->typical)) {
        exaone_sampler_free(s);
        return exaone_fail_memory(err, "a sampler's tables", 36ull * vocab_size);
    }
    if (params->n_logit_bias > 0) {
        memcpy(s->bias, params->logit_bias, params->n_logit_bias * sizeof *s->bias);
    }
    s->params.logit_bias = s->bias;
    if (n_stop_ids > 0) {
        memcpy(s->stop_ids, stop_ids, n_stop_ids * sizeof *s->stop_ids);
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_sampler_free(exaone_sampler *s) {
    if (!s) {
        return;
    }
    free(s->bias);
    free(s->stop_ids);
    free(s->counts);
    free(s->seen);
    free(s->scores);
    free(s->list);
    free(s->typical);
    free(s);
}

exaone_status exaone_sampler_clone(const exaone_sampler *s, uint32_t stream, exaone_sampler **out, exaone_error *err) {
    exaone_status status = exaone_sampler_new(&s->params, s->vocab_size, s->stop_ids, s->n_stop_ids, out, err);
    if (status) {
        return status;
    }
    exaone_sampler *copy = *out;
    memcpy(copy->counts, s->counts, s->vocab_size * sizeof *s->counts);
    memcpy(copy->seen, s->seen, s->n_seen * sizeof *s->seen);
    copy->n_seen = s->n_seen;
    copy->n_generated = s->n_generated;
    copy->stream = stream;
    return EXAONE_OK;
}

static void note(exaone_sampler *s, int32_t id, bool prompt) {
    uint32_t *count = &s->counts[id];
    if (*count == 0) {
        s->seen[s->n_seen++] = (uint32_t)id;
    }
    if (prompt) {
        *count |= IN_PROMPT;
    } else if ((*count & COUNT_MASK) < COUNT_MASK) {
        ++*count;
    }
}

exaone_status exaone_sampler_prompt(exaone_sampler *s, const int32_t *ids, size_t n, exaone_error *err) {
    for (size_t i = 0; i < n; i++) {
        exaone_status status = check_id("an id of the prompt", ids[i], s->vocab_size, err);
        if (status) {
            return status;
        }
    }
    for (size_t i = 0; i < n; i++) {
        note(s, ids[i], true);
    }
    return EXAONE_OK;
}

exaone_status exaone_sampler_accept(exaone_sampler *s, int32_t id, exaone_error *err) {
    exaone_status status = check_id("the accepted id", id, s->vocab_size, err);
    if (!status) {
        note(s, id, false);
        s->n_generated++;
    }
    return status;
}

size_t exaone_sampler_n_generated(const exaone_sampler *s) {
    return s->n_generated;
}

static void add_bias(const exaone_sampler *s, float *scores) {
    for (size_t i = 0; i < s->params.n_logit_bias; i++) {
        scores[s->bias[i].id] += s->bias[i].bias;
    }
}

static void penalise_repetition(const exaone_sampler *s, float *scores) {
    float penalty = (float)s->params.repetition_penalty;
    for (size_t i = 0; i < s->n_seen; i++) {
        float *x = &scores[s->seen[i]];
        *x = *x < 0 ? *x * penalty : *x / penalty;
    }
}

static void penalise_reply(const exaone_sampler *s, float *scores) {
    float presence = (float)s->params.presence_penalty;
    float frequency = (float)s->params.frequency_penalty;
    for (size_t i = 0; i < s->n_seen; i++) {
        uint32_t count = s->counts[s->seen[i]] & COUNT_MASK;
        if (count > 0) {
            float *x = &scores[s->seen[i]];
            *x -= presence;
            *x -= frequency * (float)count;
        }
    }
}

static bool is_greedy(const exaone_sampler *s) {
    return !s->params.do_sample || s->params.temperature == 0;
}

/* The processors that come before the filters. */
static void process_scores(const exaone_sampler *s, float *scores) {
    const exaone_sampling *p = &s->params;
    add_bias(s, scores);
    if (p->repetition_penalty != 1) {
        penalise_repetition(s, scores);
    }
    if (s->n_generated < (size_t)p->min_new_tokens) {
        for (size_t i = 0; i < s->n_stop_ids; i++) {
            scores[s->stop_ids[i]] = -INFINITY;
        }
    }
    if (p->presence_penalty != 0 || p->frequency_penalty != 0) {
        penalise_reply(s, scores);
    }
    if (!is_greedy(s) && p->temperature != 1) {
        float temperature = (float)p->temperature;
        for (size_t i = 0; i < s->vocab_size; i++) {
            scores[i] /= temperature;
        }
    }
}

exaone_status exaone_sampler_process(exaone_sampler *s, const float *logits, float *scores, exaone_error *err) {
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (!isfinite(logits[i])) {
            return exaone_fail(err, EXAONE_ERR_NUMERIC, "logit of token %zu is %g; the model's numbers must be finite", i,
                               (double)logits[i]);
        }
    }
    memmove(scores, logits, s->vocab_size * sizeof *scores);
    process_scores(s, scores);
    exaone_candidates c = {.scores = scores, .list = s->list, .typical = s->typical};
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (scores[i] == INFINITY) {
            return exaone_fail(err, EXAONE_ERR_NUMERIC, "score of token %zu is infinite after penalties and temperature", i);
        }
        if (scores[i] != -INFINITY) {
            c.list[c.n++] = exaone_candidate_make(scores[i], (uint32_t)i);
        }
    }
    if (c.n == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "no token is left: logit_bias and min_new_tokens forbid all %zu",
                           s->vocab_size);
    }
    if (!is_greedy(s)) {
        exaone_candidates_filter(&c, &s->params);
    }
    return EXAONE_OK;
}

/* The id at which the cumulative distribution over ids in ascending order passes a random number. */
static int32_t draw(const exaone_sampler *s, double max) {
    double sum = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        sum += exp((double)s->scores[i] - max);
    }
    double target = exaone_rng_unit(s->params.seed, s->stream, s->n_generated) * sum;
    double passed = 0;
    size_t last = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        double w = exp((double)s->scores[i] - max);
        if (w > 0) {
            last = i;
            passed += w;
            if (passed > target) {
                break;
            }
        }
    }
    return (int32_t)last;
}

exaone_status exaone_sampler_choose(exaone_sampler *s, const float *logits, int32_t *id, float *margin, exaone_error *err) {
    exaone_status status = exaone_sampler_process(s, logits, s->scores, err);
    if (status) {
        return status;
    }
    float best = -INFINITY, second = -INFINITY;
    size_t at = 0;
    for (size_t i = 0; i < s->vocab_size; i++) {
        float x = s->scores[i];
        if (x > best) {
            second = best;
            best = x;
            at = i;
        } else if (x > second) {
            second = x;
        }
    }
    if (margin) {
        *margin = best - second;
    }
    *id = is_greedy(s) ? (int32_t)at : draw(s, best);
    return EXAONE_OK;
}
