/* Sampling settings: defaults, presets, ranges; and probabilities of scores. */
#include "exaone/sampling.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

void exaone_sampling_default(exaone_sampling *out) {
    *out = (exaone_sampling){
        .do_sample = true,
        .temperature = 1.0,
        .top_p = 1.0,
        .typical_p = 1.0,
        .repetition_penalty = 1.0,
    };
}

exaone_status exaone_sampling_preset(const char *name, exaone_sampling *out, exaone_error *err) {
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.top_p = 0.95;
    if (name && strcmp(name, "general") == 0) {
        p.presence_penalty = 1.5;
    } else if (name && strcmp(name, "ocr") == 0) {
        p.temperature = 0.6;
        p.presence_penalty = 1.5;
        p.top_k = 20;
    } else if (!name || strcmp(name, "text") != 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "preset is \"%s\"; it must be general, ocr or text", name ? name : "");
    }
    *out = p;
    return EXAONE_OK;
}

/* A number in [low, high], or (low, high] or [low, high) when that end is open. NaN is in no range. */
typedef struct range {
    const char *field;
    double value, low, high;
    bool low_open, high_open;
    const char *off; /* said in the message: the value that switches the setting off */
} range;

static exaone_status check_range(const range *r, exaone_error *err) {
    bool above = r->low_open ? r->value > r->low : r->value >= r->low;
    bool below = r->high_open ? r->value < r->high : r->value <= r->high;
    if (above && below) {
        return EXAONE_OK;
    }
    return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is %g; it must be %s %g and %s %g%s", r->field, r->value,
                       r->low_open ? "above" : "at least", r->low, r->high_open ? "below" : "at most", r->high, r->off);
}

exaone_status exaone_sampling_validate(const exaone_sampling *p, exaone_error *err) {
    const range ranges[] = {
        {"temperature", p->temperature, p->temperature == 0 ? 0 : 1e-6, 1e6, false, false, ", or 0 for greedy"},
        {"top_p", p->top_p, 0, 1, false, false, " (1 is off)"},
        {"min_p", p->min_p, 0, 1, false, false, " (0 is off)"},
        {"typical_p", p->typical_p, 0, 1, true, false, " (1 is off)"},
        {"epsilon_cutoff", p->epsilon_cutoff, 0, 1, false, true, " (0 is off)"},
        {"eta_cutoff", p->eta_cutoff, 0, 1, false, true, " (0 is off)"},
        {"top_h", p->top_h, 0, 1, false, false, " (0 is off)"},
        {"repetition_penalty", p->repetition_penalty, 1e-6, 1e6, false, false, " (1 is off)"},
        {"presence_penalty", p->presence_penalty, -1e6, 1e6, false, false, " (0 is off)"},
        {"frequency_penalty", p->frequency_penalty, -1e6, 1e6, false, false, " (0 is off)"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        exaone_status status = check_range(&ranges[i], err);
        if (status) {
            return status;
        }
    }
    if (p->top_k < 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "top_k is %d; it must be at least 0 (0 is off)", p->top_k);
    }
    if (p->min_new_tokens < 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "min_new_tokens is %d; it must be at least 0", p->min_new_tokens);
    }
    if (p->n_logit_bias > 0 && !p->logit_bias) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "logit_bias is NULL, but n_logit_bias is %zu", p->n_logit_bias);
    }
    for (size_t i = 0; i < p->n_logit_bias; i++) {
        float bias = p->logit_bias[i].bias;
        if (!isfinite(bias) && bias != -INFINITY) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "logit_bias of token %d is %g; it must be a finite number, or -infinity to forbid the token",
                               p->logit_bias[i].id, (double)bias);
        }
    }
    return EXAONE_OK;
}

/* *max = the highest score, *sum = sum of exp(score - max) in f64. */
static exaone_status measure(const float *scores, size_t n, double *max, double *sum, exaone_error *err) {
    float top = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (isnan(scores[i]) || scores[i] == INFINITY) {
            return exaone_fail(err, EXAONE_ERR_NUMERIC, "score of token %zu is %g; it must be a number or -infinity", i,
                               (double)scores[i]);
        }
        if (scores[i] > top) {
            top = scores[i];
        }
    }
    if (top == -INFINITY) {
        return exaone_fail(err, EXAONE_ERR_NUMERIC, "all %zu scores are -infinity; one must be a number", n);
    }
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        total += exp((double)scores[i] - (double)top);
    }
    *max = top;
    *sum = total;
    return EXAONE_OK;
}

exaone_status exaone_scores_probs(const float *scores, size_t n, float *probs, exaone_error *err) {
    double max, sum;
    exaone_status status = measure(scores, n, &max, &sum, err);
    if (status) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        probs[i] = (float)(exp((double)scores[i] - max) / sum);
    }
    return EXAONE_OK;
}

exaone_status exaone_scores_logprobs(const float *scores, size_t n, int32_t id, float *of_id, exaone_logprob *top,
                                     size_t n_top, exaone_error *err) {
    size_t limit = n < EXAONE_TOP_LOGPROBS_MAX ? n : EXAONE_TOP_LOGPROBS_MAX;
    if (n_top > limit) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%zu top log-probabilities are asked for; at most %zu are given", n_top,
                           limit);
    }
    if (of_id && (id < 0 || (size_t)id >= n)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "token id is %d; it must be at least 0 and below %zu", id, n);
    }
    double max, sum;
    exaone_status status = measure(scores, n, &max, &sum, err);
    if (status) {
        return status;
    }
    double shift = max + log(sum);
    if (of_id) {
        *of_id = (float)((double)scores[id] - shift);
    }
    size_t held = 0; /* top[0 .. held) holds scores in descending order until the end */
    for (size_t i = 0; i < n && n_top > 0; i++) {
        if (held == n_top && !(scores[i] > top[held - 1].logprob)) {
            continue;
        }
        size_t at = held < n_top ? held++ : held - 1;
        while (at > 0 && top[at - 1].logprob < scores[i]) {
            top[at] = top[at - 1];
            at--;
        }
        top[at] = (exaone_logprob){(int32_t)i, scores[i]};
    }
    for (size_t i = 0; i < held; i++) {
        top[i].logprob = (float)((double)top[i].logprob - shift);
    }
    return EXAONE_OK;
}
