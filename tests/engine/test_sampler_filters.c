/* The sampler's filters against a second, slow implementation that sorts everything, on random vocabularies; the random
 * numbers against published values; the random choice against the distribution. Reference data: test_sampler.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "exaone/sampling.h"

/* ---- the filters against a slow second implementation ---- */

typedef struct token {
    double score, key;
    size_t id;
} token;

static int by_key(const void *a, const void *b) {
    const token *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Collects what is left, with the key ascending, and probabilities. Returns how many. */
static size_t collect(const float *scores, size_t n, token *t, double *p, double *entropy) {
    size_t left = 0;
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (scores[i] != -INFINITY) {
            t[left++] = (token){(double)scores[i], (double)scores[i], i};
            max = fmax(max, (double)scores[i]);
        }
    }
    qsort(t, left, sizeof *t, by_key);
    for (size_t i = 0; i < left; i++) {
        sum += exp(t[i].score - max);
    }
    *entropy = 0;
    for (size_t i = 0; i < left; i++) {
        p[i] = exp(t[i].score - max) / sum;
        *entropy -= p[i] > 0 ? p[i] * log(p[i]) : 0;
    }
    return left;
}

static void slow_top_h(float *scores, size_t left, const token *t, const double *p, double top_h) {
    size_t count = left < 100 ? left : 100;
    double sum = 0, entropy = 0, part = 0;
    for (size_t i = left - count; i < left; i++) {
        sum += p[i];
    }
    for (size_t i = left - count; i < left; i++) {
        entropy -= p[i] / sum * log(p[i] / sum);
    }
    for (size_t i = left; i-- > 0;) {
        bool inside = i >= left - count;
        part -= inside ? p[i] / sum * log(p[i] / sum) : 0;
        if (i + 1 < left && (!inside || part > entropy * top_h)) {
            scores[t[i].id] = -INFINITY;
        }
    }
}

static void slow_typical(float *scores, size_t left, token *t, const double *p, double entropy, double mass) {
    for (size_t i = 0; i < left; i++) {
        t[i].score = p[i];
        t[i].key = fabs(-log(p[i]) - entropy);
    }
    qsort(t, left, sizeof *t, by_key);
    double sum = 0;
    size_t last = 0;
    for (; last + 1 < left && (sum += t[last].score) < mass; last++) {
    }
    for (size_t i = 0; i < left; i++) {
        if (t[i].key > t[last].key) {
            scores[t[i].id] = -INFINITY;
        }
    }
}

static void slow_filter(float *scores, size_t n, const exaone_sampling *s) {
    token *t = malloc(n * sizeof *t);
    double *p = malloc(n * sizeof *p);
    double entropy, sum = 0;
    assert_true(t && p);
    size_t left = collect(scores, n, t, p, &entropy);
    if (s->top_h > 0) {
        slow_top_h(scores, left, t, p, s->top_h);
    }
    left = collect(scores, n, t, p, &entropy);
    for (size_t i = 0; s->top_k > 0 && i < left; i++) {
        if ((size_t)s->top_k < left && t[i].score < t[left - (size_t)s->top_k].score) {
            scores[t[i].id] = -INFINITY;
        }
    }
    left = collect(scores, n, t, p, &entropy);
    for (size_t i = 0; s->top_p < 1 && i + 1 < left && (sum += p[i]) <= 1 - s->top_p; i++) {
        scores[t[i].id] = -INFINITY;
    }
    left = collect(scores, n, t, p, &entropy);
    for (size_t i = 0; i < left; i++) {
        if (p[i] < s->min_p * p[left - 1]) {
            scores[t[i].id] = -INFINITY;
        }
    }
    left = collect(scores, n, t, p, &entropy);
    if (s->typical_p < 1) {
        slow_typical(scores, left, t, p, entropy, s->typical_p);
    }
    left = collect(scores, n, t, p, &entropy);
    for (size_t i = 0; i < left; i++) {
        if (p[i] < s->epsilon_cutoff && t[i].score < t[left - 1].score) {
            scores[t[i].id] = -INFINITY;
        }
    }
    left = collect(scores, n, t, p, &entropy);
    for (size_t i = 0; i < left; i++) {
        if (p[i] < fmin(s->eta_cutoff, sqrt(s->eta_cutoff) * exp(-entropy)) && t[i].score < t[left - 1].score) {
            scores[t[i].id] = -INFINITY;
        }
    }
    free(p);
    free(t);
}

static double uniform(uint64_t *at) {
    return exaone_rng_unit(4533, 1, (*at)++);
}

/* A setting in 30 % of the rounds, else its value for "off". */
static double maybe(uint64_t *at, double low, double high, double off) {
    double x = low + uniform(at) * (high - low);
    return uniform(at) < 0.7 ? off : x;
}

static exaone_sampling random_settings(uint64_t *at) {
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.top_h = maybe(at, 0.05, 1, 0);
    p.top_k = (int32_t)maybe(at, 1, 80, 0);
    p.top_p = maybe(at, 0, 1, 1);
    p.min_p = maybe(at, 0, 0.2, 0);
    p.typical_p = maybe(at, 0.01, 1, 1);
    p.epsilon_cutoff = maybe(at, 0, 0.1, 0);
    p.eta_cutoff = maybe(at, 0, 0.3, 0);
    return p;
}

static exaone_sampler *make(const exaone_sampling *p, size_t vocab) {
    exaone_sampler *s;
    assert_int_equal(exaone_sampler_new(p, vocab, NULL, 0, &s, NULL), EXAONE_OK);
    return s;
}

/* Scores of half of the rounds are multiples of 1/2, so that ties are everywhere. */
static void test_filters_against_slow(void **state) {
    (void)state;
    uint64_t at = 0;
    size_t n_kept = 0, n_all = 0;
    for (int k = 0; k < 2000; k++) {
        size_t n = 1 + (size_t)(uniform(&at) * (k % 10 ? 60 : 3000));
        float *mine = malloc(n * sizeof *mine), *slow = malloc(n * sizeof *slow);
        assert_true(mine && slow);
        for (size_t i = 0; i < n; i++) {
            double x = (uniform(&at) + uniform(&at) + uniform(&at) - 1.5) * 8;
            slow[i] = (float)(k % 2 ? round(x * 2) / 2 : x);
        }
        exaone_sampling p = random_settings(&at);
        exaone_sampler *s = make(&p, n);
        assert_int_equal(exaone_sampler_process(s, slow, mine, NULL), EXAONE_OK);
        slow_filter(slow, n, &p);
        for (size_t i = 0; i < n; i++) {
            if (mine[i] != slow[i]) {
                fail_msg("round %d, %zu tokens: score %zu is %g, not %g (h %g k %d p %g min %g typ %g eps %g eta %g)", k, n,
                         i, (double)mine[i], (double)slow[i], p.top_h, p.top_k, p.top_p, p.min_p, p.typical_p,
                         p.epsilon_cutoff, p.eta_cutoff);
            }
            n_kept += mine[i] != -INFINITY;
            n_all++;
        }
        exaone_sampler_free(s);
        free(slow);
        free(mine);
    }
    /* both outcomes are common, or the comparison says little */
    assert_in_range(n_kept * 100 / n_all, 5, 60);
}

static unsigned kept_of(exaone_sampling p, const float *scores, size_t n) {
    float out[8];
    exaone_sampler *s = make(&p, n);
    assert_int_equal(exaone_sampler_process(s, scores, out, NULL), EXAONE_OK);
    exaone_sampler_free(s);
    unsigned mine = 0;
    for (size_t i = 0; i < n; i++) {
        mine |= (unsigned)(out[i] != -INFINITY) << i;
    }
    return mine;
}

/* Extreme settings on easy scores; the last token is never removed. */
static void test_extremes(void **state) {
    (void)state;
    const float scores[6] = {1, 3, 2, 3, -100, -0.0f};
    exaone_sampling p;
    for (int k = 0; k < 7; k++) {
        exaone_sampling_default(&p);
        static const unsigned kept[] = {0x08, 0x0A, 0x0A, 0x0A, 0x0A, 0x2F, 0x3F}; /* bit i = token i */
        p.top_p = k == 0 ? 0 : 1;
        p.top_k = k == 1 ? 1 : k == 5 ? 5 : k == 6 ? INT32_MAX : 0;
        p.min_p = k == 2 ? 1 : 0;
        p.epsilon_cutoff = k == 3 ? 0.999 : 0;
        p.eta_cutoff = k == 4 ? 0.999 : 0;
        assert_int_equal(kept_of(p, scores, 6), kept[k]);
    }
}

/* Thresholds that are met exactly, in numbers that f64 holds exactly. */
static void test_exact_thresholds(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_sampling_default(&p);
    const float equal[4] = {1, 1, 1, 1}, zeros[3] = {-0.0f, 0, -1}, five[5] = {-3, 1, 1, 1, 1};
    p.top_p = 0.5; /* a sum of exactly 1 - top_p is dropped, of equal tokens the lower ids */
    assert_int_equal(kept_of(p, equal, 4), 0xC);
    p.top_k = 4; /* the same behind a filter that sorts */
    assert_int_equal(kept_of(p, five, 5), 0x18);
    exaone_sampling_default(&p);
    p.top_h = 1; /* the whole entropy is kept */
    assert_int_equal(kept_of(p, five, 5), 0x1F);
    exaone_sampling_default(&p);
    p.top_k = 1; /* 0.0 equals -0.0 */
    assert_int_equal(kept_of(p, zeros, 3), 3);
    p.top_k = 0;
    p.top_p = 0.5;
    assert_int_equal(kept_of(p, (float[2]){0, -0.0f}, 2), 2);
}

/* ---- random numbers ---- */

/* Known answers of the authors' library Random123 (kat_vectors, philox4x32 10). */
static void test_philox(void **state) {
    (void)state;
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        exaone_rng_philox(known[i], known[i] + 4, out);
        assert_memory_equal(out, known[i] + 6, sizeof out);
    }
    double low = 1, high = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        double u = exaone_rng_unit(1, 2, i);
        low = fmin(low, u);
        high = fmax(high, u);
    }
    assert_true(low >= 0 && low < 1e-3 && high < 1 && high > 0.999);
}

enum { TOKENS = 12, DRAWS = 40000 };
static const float some_logits[TOKENS] = {0.5f, -1, 2, 1.5f, 0, -2, 1, 0.25f, -0.5f, 1.75f, -3, 0.75f};

/* Chi-square statistic of DRAWS choices against the probabilities at `temperature` (11 degrees of freedom). */
static double chi_square(exaone_sampler *s, double temperature) {
    float scores[TOKENS], probs[TOKENS];
    double counts[TOKENS] = {0}, sum = 0;
    for (int i = 0; i < DRAWS; i++) {
        int32_t id;
        assert_int_equal(exaone_sampler_choose(s, some_logits, &id, NULL, NULL), EXAONE_OK);
        assert_int_equal(exaone_sampler_accept(s, id, NULL), EXAONE_OK);
        counts[id]++;
    }
    for (int i = 0; i < TOKENS; i++) {
        scores[i] = (float)((double)some_logits[i] / temperature);
    }
    assert_int_equal(exaone_scores_probs(scores, TOKENS, probs, NULL), EXAONE_OK);
    for (int i = 0; i < TOKENS; i++) {
        double expected = DRAWS * (double)probs[i]; /* the smallest is 45 */
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return sum;
}

/* A fair sampler passes 24.72 in 1 of 100 seeds and 31.26 in 1 of 1000 (chi-square, 11 degrees of freedom). The seeds are
 * fixed: every one of 20 must stay below 31.26 (all of them would by chance in 98 %), and the mean of 20 must be within 11
 * +- 3.1 (the mean of 20 has a deviation of sqrt(22 / 20) = 1.05: three of them). Expecting temperature 1.05 instead must
 * fail. */
static void test_distribution(void **state) {
    (void)state;
    double mean = 0;
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.temperature = 0.8;
    for (uint64_t seed = 0; seed < 20; seed++) {
        p.seed = seed;
        exaone_sampler *s = make(&p, TOKENS);
        double x = chi_square(s, 0.8);
        assert_true(x < 31.26);
        mean += x / 20;
        exaone_sampler_free(s);
    }
    assert_true(fabs(mean - 11) < 3.1);
    exaone_sampler *s = make(&p, TOKENS);
    assert_true(chi_square(s, 0.84) > 31.26);
    exaone_sampler_free(s);
}

/* The same seed gives the same reply; asking twice changes nothing; a clone with the stream 0 goes on alike, another stream
 * and another seed do not. */
static void test_seeds_and_clones(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.seed = 0x123456789abcdefull;
    exaone_sampler *a = make(&p, TOKENS), *b = make(&p, TOKENS);
    p.seed++;
    exaone_sampler *other = make(&p, TOKENS), *clones[2] = {NULL, NULL};
    int differs[3] = {0, 0, 0};
    for (int i = 0; i < 400; i++) {
        if (i == 100) {
            assert_int_equal(exaone_sampler_clone(a, 0, &clones[0], NULL), EXAONE_OK);
            assert_int_equal(exaone_sampler_clone(a, 1, &clones[1], NULL), EXAONE_OK);
            assert_int_equal(exaone_sampler_n_generated(clones[1]), 100);
        }
        exaone_sampler *all[] = {a, b, other, clones[0], clones[1]};
        int32_t ids[5] = {0};
        for (int k = 0; k < (i < 100 ? 3 : 5); k++) {
            int32_t again;
            assert_int_equal(exaone_sampler_choose(all[k], some_logits, &ids[k], NULL, NULL), EXAONE_OK);
            assert_int_equal(exaone_sampler_choose(all[k], some_logits, &again, NULL, NULL), EXAONE_OK);
            assert_int_equal(ids[k], again);
            assert_int_equal(exaone_sampler_accept(all[k], ids[k], NULL), EXAONE_OK);
        }
        assert_int_equal(ids[0], ids[1]);
        assert_true(i < 100 || ids[0] == ids[3]);
        differs[0] += ids[0] != ids[2];
        differs[1] += i >= 100 && ids[0] != ids[4];
    }
    /* two independent draws agree with probability sum of p^2 = 0.15: 400 * 0.85 = 340 and 300 * 0.85 = 255 differences */
    assert_in_range(differs[0], 300, 380);
    assert_in_range(differs[1], 220, 290);
    exaone_sampler_free(clones[1]);
    exaone_sampler_free(clones[0]);
    exaone_sampler_free(other);
    exaone_sampler_free(b);
    exaone_sampler_free(a);
}

/* A clone carries the history: penalties of its prompt and reply. */
static void test_clone_history(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_sampling_default(&p);
    const exaone_logit_bias bias = {6, 2};
    p.repetition_penalty = 1.5;
    p.frequency_penalty = 0.5;
    p.typical_p = 0.9;
    p.logit_bias = &bias;
    p.n_logit_bias = 1;
    const int32_t prompt[] = {2, 4}, reply[] = {3, 3, 4};
    exaone_sampler *a = make(&p, TOKENS), *b;
    assert_int_equal(exaone_sampler_prompt(a, prompt, 2, NULL), EXAONE_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(exaone_sampler_accept(a, reply[i], NULL), EXAONE_OK);
    }
    float of_a[TOKENS], of_b[TOKENS];
    assert_int_equal(exaone_sampler_process(a, some_logits, of_a, NULL), EXAONE_OK);
    assert_int_equal(exaone_sampler_clone(a, 9, &b, NULL), EXAONE_OK);
    assert_int_equal(exaone_sampler_accept(a, 2, NULL), EXAONE_OK); /* no longer the clone's business */
    exaone_sampler_free(a);
    assert_int_equal(exaone_sampler_process(b, some_logits, of_b, NULL), EXAONE_OK);
    assert_memory_equal(of_a, of_b, sizeof of_a);
    exaone_sampler_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_against_slow), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_exact_thresholds),     cmocka_unit_test(test_philox),
        cmocka_unit_test(test_distribution),         cmocka_unit_test(test_seeds_and_clones),
        cmocka_unit_test(test_clone_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
