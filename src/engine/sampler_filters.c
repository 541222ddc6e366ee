/* The filters of sampling, on a shrinking set of candidates. What each keeps is defined by Hugging Face transformers 5.23
 * (generation/logits_process.py, one token kept at least); here p_i is the probability of token i among those still
 * possible.
 *
 * Only as much is sorted as a filter needs: the candidates are made a heap (linear), and the highest are taken off one by
 * one. Of tokens with equal scores the higher id counts as more probable, which is what the reference's ascending sort makes
 * of it. */
#include "engine/sampler.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define TOP_H_TOKENS 100 /* the reference looks at no more */

exaone_candidate exaone_candidate_make(float score, uint32_t id) {
    uint32_t bits;
    float x = score + 0.0f; /* -0.0 becomes 0.0 */
    memcpy(&bits, &x, sizeof bits);
    bits ^= (bits >> 31) ? 0xFFFFFFFFu : 0x80000000u;
    return (uint64_t)bits << 32 | id;
}

uint32_t exaone_candidate_id(exaone_candidate c) {
    return (uint32_t)c;
}

float exaone_candidate_score(exaone_candidate c) {
    uint32_t bits = (uint32_t)(c >> 32);
    float x;
    bits ^= (bits >> 31) ? 0x80000000u : 0xFFFFFFFFu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void sift_down(exaone_candidate *heap, size_t n, size_t at) {
    exaone_candidate moving = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && heap[child + 1] > heap[child]) {
            child++;
        }
        if (heap[child] <= moving) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static void make_heap(exaone_candidate *heap, size_t n) {
    for (size_t i = n / 2; i-- > 0;) {
        sift_down(heap, n, i);
    }
}

/* Moves the highest of heap[0 .. n) to heap[n - 1]; heap[0 .. n - 1) is a heap again. */
static exaone_candidate take_highest(exaone_candidate *heap, size_t n) {
    exaone_candidate highest = heap[0];
    heap[0] = heap[n - 1];
    sift_down(heap, n - 1, 0);
    heap[n - 1] = highest;
    return highest;
}

/* Removes all but the last `kept` candidates of the list, which are in ascending order. */
static void keep_last(exaone_candidates *c, size_t kept) {
    size_t removed = c->n - kept;
    for (size_t i = 0; i < removed; i++) {
        c->scores[exaone_candidate_id(c->list[i])] = -INFINITY;
    }
    c->list += removed;
    c->n = kept;
    c->sorted = true;
}

static double highest_score(const exaone_candidates *c) {
    if (c->sorted) {
        return exaone_candidate_score(c->list[c->n - 1]);
    }
    exaone_candidate best = c->list[0];
    for (size_t i = 1; i < c->n; i++) {
        best = c->list[i] > best ? c->list[i] : best;
    }
    return exaone_candidate_score(best);
}

static double weight(exaone_candidate c, double max) {
    return exp((double)exaone_candidate_score(c) - max);
}

static double total_weight(const exaone_candidates *c, double max) {
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        sum += weight(c->list[i], max);
    }
    return sum;
}

/* Entropy of the candidates in nats: log(sum) - sum of w (s - max) / sum, with w = exp(s - max). */
static double entropy_of(const exaone_candidates *c, double max, double sum) {
    double mean = 0;
    for (size_t i = 0; i < c->n; i++) {
        mean += weight(c->list[i], max) * ((double)exaone_candidate_score(c->list[i]) - max);
    }
    return log(sum) - mean / sum;
}

/* Puts the `count` highest at the end of the list in ascending order. */
static void sort_highest(exaone_candidates *c, size_t count) {
    if (c->sorted) {
        return;
    }
    make_heap(c->list, c->n);
    for (size_t i = 0; i < count; i++) {
        take_highest(c->list, c->n - i);
    }
}

/* Of the 100 highest (their probabilities among themselves): as many, from the top, as have together at most top_h of the
 * entropy. */
static void filter_top_h(exaone_candidates *c, double top_h) {
    size_t count = c->n < TOP_H_TOKENS ? c->n : TOP_H_TOKENS;
    sort_highest(c, count);
    keep_last(c, count);
    double max = highest_score(c);
    double sum = total_weight(c, max);
    double part[TOP_H_TOKENS]; /* entropy of the i + 1 highest */
    double entropy = 0;
    for (size_t i = 0; i < count; i++) {
        exaone_candidate token = c->list[count - 1 - i];
        double log_p = (double)exaone_candidate_score(token) - max - log(sum);
        entropy -= exp(log_p) * log_p;
        part[i] = entropy;
    }
    size_t kept = 1;
    while (kept < count && part[kept] <= entropy * top_h) {
        kept++;
    }
    keep_last(c, kept);
}

/* The k highest, and what equals the lowest of them. */
static void filter_top_k(exaone_candidates *c, size_t k) {
    if (k >= c->n) {
        return;
    }
    sort_highest(c, k);
    size_t kept = k;
    float last = exaone_candidate_score(c->list[c->n - k]);
    while (kept < c->n) {
        exaone_candidate next = c->sorted ? c->list[c->n - 1 - kept] : c->list[0];
        if (exaone_candidate_score(next) < last) {
            break;
        }
        if (!c->sorted) {
            take_highest(c->list, c->n - kept);
        }
        kept++;
    }
    keep_last(c, kept);
}

/* From the top, until what is left has at most 1 - top_p of the probability. */
static void filter_top_p(exaone_candidates *c, double top_p) {
    double max = highest_score(c);
    double left = total_weight(c, max);
    double limit = left * (1.0 - top_p);
    if (c->sorted) {
        size_t dropped = 0;
        double sum = 0;
        while (dropped + 1 < c->n && (sum += weight(c->list[dropped], max)) <= limit) {
            dropped++;
        }
        keep_last(c, c->n - dropped);
        return;
    }
    make_heap(c->list, c->n);
    size_t kept = 0;
    do {
        left -= weight(take_highest(c->list, c->n - kept), max);
        kept++;
    } while (kept < c->n && left > limit);
    keep_last(c, kept);
}

/* Candidates with weight exp(score - max) at least `least`; the highest score stays in any case. */
static void filter_weight(exaone_candidates *c, double max, double least) {
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        exaone_candidate token = c->list[i];
        if (weight(token, max) < least && (double)exaone_candidate_score(token) < max) {
            c->scores[exaone_candidate_id(token)] = -INFINITY;
        } else {
            c->list[kept++] = token;
        }
    }
    c->n = kept;
}

static bool less_typical(const exaone_typical *a, const exaone_typical *b) {
    return a->shift > b->shift;
}

/* As sift_down, with the most typical on top. */
static void typical_sift(exaone_typical *heap, size_t n, size_t at) {
    exaone_typical moving = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && less_typical(&heap[child], &heap[child + 1])) {
            child++;
        }
        if (!less_typical(&moving, &heap[child])) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* shift = | -log p - entropy |. In ascending order of shift the probabilities are summed up to the mass; everything whose
 * shift is not above that of the token that reached it stays. */
static void filter_typical(exaone_candidates *c, double mass) {
    double max = highest_score(c);
    double sum = total_weight(c, max);
    double log_sum = log(sum);
    double entropy = entropy_of(c, max, sum);
    exaone_typical *heap = c->typical;
    for (size_t i = 0; i < c->n; i++) {
        double log_p = (double)exaone_candidate_score(c->list[i]) - max - log_sum;
        heap[i] = (exaone_typical){fabs(-log_p - entropy), (uint32_t)i, 0};
    }
    for (size_t i = c->n / 2; i-- > 0;) {
        typical_sift(heap, c->n, i);
    }
    double reached = 0, threshold = 0;
    for (size_t n = c->n; n > 0 && reached < mass; n--) {
        threshold = heap[0].shift;
        reached += weight(c->list[heap[0].id], max) / sum;
        heap[0] = heap[n - 1];
        typical_sift(heap, n - 1, 0);
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        exaone_candidate token = c->list[i];
        double log_p = (double)exaone_candidate_score(token) - max - log_sum;
        if (fabs(-log_p - entropy) > threshold) {
            c->scores[exaone_candidate_id(token)] = -INFINITY;
        } else {
            c->list[kept++] = token;
        }
    }
    c->n = kept;
}

void exaone_candidates_filter(exaone_candidates *c, const exaone_sampling *params) {
    assert(c->n > 0);
    if (params->top_h > 0) {
        filter_top_h(c, params->top_h);
    }
    if (params->top_k > 0) {
        filter_top_k(c, (size_t)params->top_k);
    }
    if (params->top_p < 1) {
        filter_top_p(c, params->top_p);
    }
    if (params->min_p > 0) {
        filter_weight(c, highest_score(c), params->min_p); /* the highest has weight 1 */
    }
    if (params->typical_p < 1) {
        filter_typical(c, params->typical_p);
    }
    if (params->epsilon_cutoff > 0) {
        double max = highest_score(c);
        filter_weight(c, max, params->epsilon_cutoff * total_weight(c, max));
    }
    if (params->eta_cutoff > 0) {
        double max = highest_score(c);
        double sum = total_weight(c, max);
        double eta = fmin(params->eta_cutoff, sqrt(params->eta_cutoff) * exp(-entropy_of(c, max, sum)));
        filter_weight(c, max, eta * sum);
    }
    assert(c->n > 0);
}
