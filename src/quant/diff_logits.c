/* What two models predict at the same places of a text: see exaone/diff.h. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/diff.h"

typedef struct job {
    const float *a, *b; /* [n, vocab] */
    size_t vocab;
    const int32_t *next;
    exaone_diff_token *out;
} job;

/* ln of the sum of the exponentials, and the first of the largest; NaN when a logit is not finite. */
static double log_sum(const float *x, size_t n, size_t *top) {
    *top = 0;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(x[i]);
        *top = x[i] > x[*top] ? i : *top;
    }
    if (!finite) {
        return NAN;
    }
    double sum = 0, max = (double)x[*top];
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)x[i] - max);
    }
    return max + log(sum);
}

static void compare(void *arg, size_t begin, size_t end) {
    const job *j = arg;
    for (size_t r = begin; r < end; r++) {
        const float *a = j->a + r * j->vocab, *b = j->b + r * j->vocab;
        size_t top_a, top_b;
        double za = log_sum(a, j->vocab, &top_a), zb = log_sum(b, j->vocab, &top_b), kl = 0;
        for (size_t i = 0; i < j->vocab; i++) {
            double la = (double)a[i] - za;
            kl += exp(la) * (la - ((double)b[i] - zb));
        }
        int32_t id = j->next[r];
        j->out[r] = (exaone_diff_token){.kl = kl < 0 ? 0 : kl, /* rounding */
                                        .nll_a = id < 0 ? NAN : za - (double)a[id],
                                        .nll_b = id < 0 ? NAN : zb - (double)b[id],
                                        .same_top = top_a == top_b};
        if (isnan(za) || isnan(zb)) {
            j->out[r].kl = NAN;
        }
    }
}

exaone_status exaone_diff_logits(const float *a, const float *b, size_t n, size_t vocab_size, const int32_t *next,
                                 const exaone_parallel *parallel, exaone_diff_token *out, exaone_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (vocab_size == 0 || (next[i] >= 0 && (size_t)next[i] >= vocab_size)) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "place %zu: token %d is not below vocab_size %zu", i, next[i],
                               vocab_size);
        }
    }
    job j = {a, b, vocab_size, next, out};
    exaone_parallel_run(parallel, n, compare, &j);
    for (size_t i = 0; i < n; i++) {
        if (isnan(out[i].kl)) {
            return exaone_fail(err, EXAONE_ERR_NUMERIC, "place %zu: a logit is not finite", i);
        }
    }
    return EXAONE_OK;
}

static int by_kl(const void *a, const void *b) {
    double x = ((const exaone_diff_token *)a)->kl, y = ((const exaone_diff_token *)b)->kl;
    return x < y ? -1 : x > y;
}

/* The value at rank ceil(p n), from 1. */
static double percentile(const exaone_diff_token *t, size_t n, double p) {
    size_t rank = (size_t)ceil(p * (double)n);
    return t[rank < 1 ? 0 : rank - 1].kl;
}

exaone_diff_summary exaone_diff_summarize(exaone_diff_token *t, size_t n) {
    exaone_diff_summary s = {.n = n};
    if (n == 0) {
        return s;
    }
    double nll_a = 0, nll_b = 0;
    size_t same = 0;
    qsort(t, n, sizeof *t, by_kl);
    for (size_t i = 0; i < n; i++) {
        s.kl_mean += t[i].kl / (double)n;
        same += t[i].same_top;
        if (!isnan(t[i].nll_a)) {
            s.n_predicted++;
            nll_a += t[i].nll_a;
            nll_b += t[i].nll_b;
        }
    }
    s.kl_median = percentile(t, n, 0.5);
    s.kl_99 = percentile(t, n, 0.99);
    s.kl_max = t[n - 1].kl;
    s.top1 = (double)same / (double)n;
    if (s.n_predicted) {
        s.perplexity_a = exp(nll_a / (double)s.n_predicted);
        s.perplexity_b = exp(nll_b / (double)s.n_predicted);
    }
    return s;
}
