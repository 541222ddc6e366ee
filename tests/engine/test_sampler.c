/* The sampler against the reference's processors (tests/golden/model: samplers, generate), its settings and its errors.
 * Filters on random vocabularies and the random choice: test_sampler_filters.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/sampling.h"
#include "../support/fixture.h"
#include "../support/sanitized.h"
#include "../support/skip.h"

/* ---- counting and failing allocations ---- */

#if SANITIZED
#define CAN_COUNT 0
static long n_allocations, fail_at;
#else
#define CAN_COUNT 1
static long n_allocations, fail_at; /* fail_at: this allocation from now on fails; 0: none */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *malloc(size_t size) {
    n_allocations++;
    return fail_at > 0 && --fail_at == 0 ? NULL : __libc_malloc(size);
}
void *calloc(size_t n, size_t size) {
    n_allocations++;
    return fail_at > 0 && --fail_at == 0 ? NULL : __libc_calloc(n, size);
}
#endif

/* ---- helpers ---- */

static const char *const models[] = {"micro", "nano"};

static void open_stage(fixture *f, const char *model, const char *stage) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/model/%s/stages/%s.safetensors", model, stage);
    fixture_open(f, path);
}

static void open_summary(fixture_json *j, const char *model, const char *stage) {
    char path[256];
    snprintf(path, sizeof path, "tests/golden/model/%s/stages/%s.json", model, stage);
    fixture_json_open(j, path);
}

/* A copy of a tensor; free() it. */
static float *get_f32(const fixture *f, const char *name, size_t *n) {
    const fixture_tensor *t = fixture_get(f, name, "F32");
    float *x = malloc(t->bytes);
    assert_non_null(x);
    memcpy(x, t->data, t->bytes);
    *n = t->bytes / sizeof *x;
    return x;
}

static int32_t *get_ids(const fixture *f, const char *name, size_t *n) {
    const fixture_tensor *t = fixture_get(f, name, "I64");
    *n = t->bytes / sizeof(int64_t);
    int32_t *ids = malloc(*n * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++) {
        int64_t id;
        memcpy(&id, t->data + i * sizeof id, sizeof id);
        ids[i] = (int32_t)id;
    }
    return ids;
}

static double number(const exaone_json *settings, const char *key, double absent) {
    double x = absent;
    const exaone_json *j = exaone_json_get(settings, key);
    assert_true(!j || exaone_json_double(j, &x));
    return x;
}

/* The settings of a case; a key that this function does not know fails the test. */
static exaone_sampling read_settings(const exaone_json *settings, bool do_sample) {
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.do_sample = do_sample;
    p.temperature = number(settings, "temperature", 1);
    p.top_k = (int32_t)number(settings, "top_k", 0);
    p.top_p = number(settings, "top_p", 1);
    p.min_p = number(settings, "min_p", 0);
    p.typical_p = number(settings, "typical_p", 1);
    p.epsilon_cutoff = number(settings, "epsilon_cutoff", 0);
    p.eta_cutoff = number(settings, "eta_cutoff", 0);
    p.top_h = number(settings, "top_h", 0);
    p.repetition_penalty = number(settings, "repetition_penalty", 1);
    p.presence_penalty = number(settings, "presence_penalty", 0);
    p.min_new_tokens = (int32_t)number(settings, "min_new_tokens", 0);
    static const char *const known[] = {
        "temperature",      "top_k",          "top_p",        "min_p",         "typical_p",
        "epsilon_cutoff",   "eta_cutoff",     "top_h",        "do_sample",     "repetition_penalty",
        "presence_penalty", "min_new_tokens", "eos_token_id", "max_new_tokens"};
    for (const exaone_json *j = settings->first; j; j = j->next) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            found = found || (strlen(known[i]) == j->key_len && memcmp(known[i], j->key, j->key_len) == 0);
        }
        if (!found) {
            fail_msg("unknown setting %.*s", (int)j->key_len, j->key);
        }
    }
    return p;
}

static exaone_sampler *make(const exaone_sampling *p, size_t vocab) {
    exaone_sampler *s;
    exaone_error err;
    const int32_t stop = 53;
    assert_int_equal(exaone_sampler_new(p, vocab, &stop, vocab > 53, &s, &err), EXAONE_OK);
    return s;
}

static void accept_all(exaone_sampler *s, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(exaone_sampler_accept(s, ids[i], NULL), EXAONE_OK);
    }
}

/* 0 when the same tokens are removed and scores agree to 1e-6 relative (they are at most three f32 operations away from the
 * logits, each good to 6e-8); else 1 + the first place of disagreement. */
static size_t first_difference(const float *mine, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool removed = mine[i] == -INFINITY;
        if (removed != (want[i] == -INFINITY) || (!removed && !(fabsf(mine[i] - want[i]) <= 1e-6f * fabsf(want[i])))) {
            return i + 1;
        }
    }
    return 0;
}

/* The reference rounds score - max to f32 before the exponential: relative 6e-8 per unit of -log p, and its exp and sum add
 * a few roundings of their own. Twice that. */
static void check_probs(const char *name, const float *scores, const float *want, size_t n) {
    float *probs = malloc(n * sizeof *probs);
    assert_non_null(probs);
    assert_int_equal(exaone_scores_probs(scores, n, probs, NULL), EXAONE_OK);
    for (size_t i = 0; i < n; i++) {
        double bound = want[i] > 0 ? (5e-7 - 1.2e-7 * log((double)want[i])) * (double)want[i] : 0;
        if (!(fabs((double)probs[i] - (double)want[i]) <= bound)) {
            fail_msg("%s: probability %zu is %.9g, not %.9g", name, i, (double)probs[i], (double)want[i]);
        }
    }
    free(probs);
}

/* Scores of one case of samplers.json; free() them. */
static float *process_case(const fixture *f, const char *logits_name, const exaone_sampling *p, bool all_is_prompt,
                           size_t *n) {
    size_t n_ids, n_prompt;
    float *logits = get_f32(f, logits_name, n);
    int32_t *ids = get_ids(f, "input_ids", &n_ids);
    int32_t *prompt_length = get_ids(f, "prompt_length", &n_prompt);
    n_prompt = all_is_prompt ? n_ids : (size_t)prompt_length[0];
    exaone_sampler *s = make(p, *n);
    assert_int_equal(exaone_sampler_prompt(s, ids, n_prompt, NULL), EXAONE_OK);
    accept_all(s, ids + n_prompt, n_ids - n_prompt);
    assert_int_equal(exaone_sampler_process(s, logits, logits, NULL), EXAONE_OK); /* in place */
    exaone_sampler_free(s);
    free(prompt_length);
    free(ids);
    return logits;
}

/* ---- golden ---- */

static void check_case(const fixture *f, const char *prefix, const char *logits, const exaone_json *j) {
    char name[128], tensor[160];
    snprintf(name, sizeof name, "%s%.*s", prefix, (int)j->key_len, j->key);
    exaone_sampling p = read_settings(exaone_json_get(j, "settings"), true);
    size_t n, m;
    float *mine = process_case(f, logits, &p, false, &n);
    snprintf(tensor, sizeof tensor, "%s.scores", name);
    float *want = get_f32(f, tensor, &m);
    assert_int_equal(n, m);
    size_t at = first_difference(mine, want, n);
    if (at) {
        fail_msg("%s: score %zu is %.9g, not %.9g", name, at - 1, (double)mine[at - 1], (double)want[at - 1]);
    }
    free(want);
    snprintf(tensor, sizeof tensor, "%s.probs", name);
    want = get_f32(f, tensor, &m);
    check_probs(name, mine, want, n);
    free(want);
    free(mine);
}

static void test_golden_cases(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        fixture f;
        fixture_json summary;
        open_stage(&f, models[m], "samplers");
        open_summary(&summary, models[m], "samplers");
        int cases = 0, tied = 0;
        for (const exaone_json *j = summary.root->first; j; j = j->next) {
            char tensor[160];
            check_case(&f, "", "logits", j);
            cases++;
            snprintf(tensor, sizeof tensor, "tied.%.*s.scores", (int)j->key_len, j->key);
            if (fixture_find(&f, tensor)) {
                check_case(&f, "tied.", "tied_logits", j);
                tied++;
            }
        }
        assert_int_equal(cases, 26);
        assert_int_equal(tied, 2);
        fixture_json_close(&summary);
        fixture_close(&f);
    }
}

/* Each mistake must move the named case. */
static void test_golden_controls(void **state) {
    (void)state;
    fixture f;
    open_stage(&f, "micro", "samplers");
    static const struct {
        const char *name;
        exaone_sampling wrong;
        bool all_is_prompt;
    } mistakes[] = {
        {"presence", {.repetition_penalty = 1, .presence_penalty = 1.5}, true},   /* prompt and reply confused */
        {"presence", {.repetition_penalty = 1, .frequency_penalty = 1.5}, false}, /* per occurrence */
        {"repetition", {.repetition_penalty = 1 / 1.3}, false},
        {"temperature_0_6", {.repetition_penalty = 1, .temperature = 1 / 0.6}, false},
        {"top_k_20", {.repetition_penalty = 1, .top_k = 21}, false},
        {"top_p_0_5", {.repetition_penalty = 1, .top_p = 0.45}, false},
        {"min_p_0_05", {.repetition_penalty = 1, .epsilon_cutoff = 0.05}, false}, /* not relative to the highest */
        {"epsilon_cutoff_0_003", {.repetition_penalty = 1, .eta_cutoff = 0.003}, false},
        {"typical_p_0_2", {.repetition_penalty = 1, .top_p = 0.2}, false},
        {"top_h_0_4", {.repetition_penalty = 1, .top_p = 0.4}, false},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        exaone_sampling p = mistakes[i].wrong;
        p.do_sample = true;
        p.temperature = p.temperature > 0 ? p.temperature : 1;
        p.top_p = p.top_p > 0 ? p.top_p : 1;
        p.typical_p = 1;
        char tensor[160];
        size_t n, m;
        float *mine = process_case(&f, "logits", &p, mistakes[i].all_is_prompt, &n);
        snprintf(tensor, sizeof tensor, "%s.scores", mistakes[i].name);
        float *want = get_f32(&f, tensor, &m);
        if (!first_difference(mine, want, n)) {
            fail_msg("mistake %zu does not show in %s", i, mistakes[i].name);
        }
        free(want);
        free(mine);
    }
    fixture_close(&f);
}

/* Feeds the raw logits of every step of a case of generate.json. Returns the first step at which the id or the margin is not
 * the reference's, or *n_steps. Margins are differences of two scores of size 10 with an f32 rounding each: 4e-6. */
static size_t generate_case(const fixture *f, const exaone_json *j, const exaone_sampling *p, size_t *n_steps) {
    char name[128], tensor[160];
    size_t n_logits, n_prompt, n_margin;
    snprintf(name, sizeof name, "%.*s", (int)j->key_len, j->key);
    snprintf(tensor, sizeof tensor, "%s.logits", name);
    float *logits = get_f32(f, tensor, &n_logits);
    snprintf(tensor, sizeof tensor, "%s.ids", name);
    int32_t *ids = get_ids(f, tensor, n_steps);
    snprintf(tensor, sizeof tensor, "%s.margin", name);
    float *margins = get_f32(f, tensor, &n_margin);
    int32_t *prompt = get_ids(f, fixture_string(j, "prompt", name, sizeof name), &n_prompt);
    size_t vocab = n_logits / *n_steps, step = 0;
    exaone_sampler *s = make(p, vocab);
    assert_int_equal(exaone_sampler_prompt(s, prompt, n_prompt, NULL), EXAONE_OK);
    for (; step < *n_steps; step++) {
        int32_t id;
        float margin;
        assert_int_equal(exaone_sampler_choose(s, logits + step * vocab, &id, &margin, NULL), EXAONE_OK);
        if (id != ids[step] || !(fabsf(margin - margins[step]) <= 4e-6f)) {
            break;
        }
        accept_all(s, &id, 1);
    }
    assert_int_equal(exaone_sampler_n_generated(s), step);
    exaone_sampler_free(s);
    free(prompt);
    free(margins);
    free(ids);
    free(logits);
    return step;
}

static void test_golden_generate(void **state) {
    (void)state;
    for (int m = 0; m < 2; m++) {
        fixture f;
        fixture_json summary;
        open_stage(&f, models[m], "generate");
        open_summary(&summary, models[m], "generate");
        int checked = 0;
        for (const exaone_json *j = summary.root->first; j; j = j->next) {
            char tensor[160];
            snprintf(tensor, sizeof tensor, "%.*s.logits", (int)j->key_len, j->key);
            if (fixture_find(&f, tensor)) { /* the batch has none */
                exaone_sampling p = read_settings(exaone_json_get(j, "settings"), false);
                size_t n_steps, right = generate_case(&f, j, &p, &n_steps);
                if (right != n_steps) {
                    fail_msg("%s %s differs at step %zu", models[m], tensor, right);
                }
                checked++;
            }
        }
        assert_int_equal(checked, 9);
        fixture_json_close(&summary);
        fixture_close(&f);
    }
}

/* Leaving a penalty or min_new_tokens out must show. */
static void test_golden_generate_controls(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int part;
    } cases[] = {{"text_repetition", 0},
                 {"text_presence", 1},
                 {"text_penalties", 0},
                 {"text_penalties", 1},
                 {"eos_min_new_tokens", 2}};
    fixture f;
    fixture_json summary;
    open_stage(&f, "micro", "generate");
    open_summary(&summary, "micro", "generate");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const exaone_json *j = exaone_json_get(summary.root, cases[i].name);
        exaone_sampling p = read_settings(exaone_json_get(j, "settings"), false);
        p.repetition_penalty = cases[i].part == 0 ? 1 : p.repetition_penalty;
        p.presence_penalty = cases[i].part == 1 ? 0 : p.presence_penalty;
        p.min_new_tokens = cases[i].part == 2 ? 0 : p.min_new_tokens;
        size_t n_steps;
        assert_true(generate_case(&f, j, &p, &n_steps) < n_steps);
    }
    fixture_json_close(&summary);
    fixture_close(&f);
}

/* ---- settings ---- */

static void test_presets(void **state) {
    (void)state;
    exaone_sampling p;
    assert_int_equal(exaone_sampling_preset("general", &p, NULL), EXAONE_OK);
    assert_true(p.do_sample && p.temperature == 1.0 && p.top_p == 0.95 && p.presence_penalty == 1.5 && p.top_k == 0);
    assert_int_equal(exaone_sampling_preset("ocr", &p, NULL), EXAONE_OK);
    assert_true(p.do_sample && p.temperature == 0.6 && p.top_p == 0.95 && p.presence_penalty == 1.5 && p.top_k == 20);
    assert_int_equal(exaone_sampling_preset("text", &p, NULL), EXAONE_OK);
    assert_true(p.do_sample && p.temperature == 1.0 && p.top_p == 0.95 && p.presence_penalty == 0 && p.top_k == 0);
    exaone_error err;
    assert_int_equal(exaone_sampling_preset("", &p, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_sampling_preset(NULL, &p, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_sampling_preset("OCR", &p, &err), EXAONE_ERR_ARGUMENT);
    assert_string_equal(err.message, "preset is \"OCR\"; it must be general, ocr or text");
}

/* Every number of the settings with its last good values and its first bad ones. */
static void test_ranges(void **state) {
    (void)state;
    static const struct {
        const char *field;
        size_t offset;
        double good[2], bad[2];
    } cases[] = {
        {"temperature", offsetof(exaone_sampling, temperature), {0, 1e6}, {-1e-9, 1.1e6}},
        {"temperature", offsetof(exaone_sampling, temperature), {1e-6, 1}, {9e-7, (double)INFINITY}},
        {"top_p", offsetof(exaone_sampling, top_p), {0, 1}, {-0.01, 1.01}},
        {"min_p", offsetof(exaone_sampling, min_p), {0, 1}, {-0.01, 1.01}},
        {"typical_p", offsetof(exaone_sampling, typical_p), {1e-9, 1}, {0, 1.01}},
        {"epsilon_cutoff", offsetof(exaone_sampling, epsilon_cutoff), {0, 0.999}, {-0.01, 1}},
        {"eta_cutoff", offsetof(exaone_sampling, eta_cutoff), {0, 0.999}, {-0.01, 1}},
        {"top_h", offsetof(exaone_sampling, top_h), {0, 1}, {-0.01, 1.01}},
        {"repetition_penalty", offsetof(exaone_sampling, repetition_penalty), {1e-6, 1e6}, {0, 1.1e6}},
        {"presence_penalty", offsetof(exaone_sampling, presence_penalty), {-1e6, 1e6}, {-1.1e6, (double)INFINITY}},
        {"frequency_penalty", offsetof(exaone_sampling, frequency_penalty), {-1e6, 1e6}, {(double)-INFINITY, 1.1e6}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int k = 0; k < 5; k++) {
            exaone_sampling p;
            exaone_error err;
            exaone_sampling_default(&p);
            double x = k < 2 ? cases[i].good[k] : k < 4 ? cases[i].bad[k - 2] : (double)NAN;
            memcpy((char *)&p + cases[i].offset, &x, sizeof x);
            assert_int_equal(exaone_sampling_validate(&p, &err), k < 2 ? EXAONE_OK : EXAONE_ERR_ARGUMENT);
            assert_true(k < 2 || strncmp(err.message, cases[i].field, strlen(cases[i].field)) == 0);
        }
    }
    exaone_sampling p;
    exaone_error err;
    exaone_sampling_default(&p);
    p.top_p = 1.5;
    assert_int_equal(exaone_sampling_validate(&p, &err), EXAONE_ERR_ARGUMENT);
    assert_string_equal(err.message, "top_p is 1.5; it must be at least 0 and at most 1 (1 is off)");
    exaone_sampling_default(&p);
    p.top_k = -1;
    assert_int_equal(exaone_sampling_validate(&p, &err), EXAONE_ERR_ARGUMENT);
    exaone_sampling_default(&p);
    p.min_new_tokens = -1;
    assert_int_equal(exaone_sampling_validate(&p, &err), EXAONE_ERR_ARGUMENT);
    exaone_sampling_default(&p);
    p.n_logit_bias = 1;
    assert_int_equal(exaone_sampling_validate(&p, &err), EXAONE_ERR_ARGUMENT);
    const exaone_logit_bias bad[] = {{3, NAN}, {3, INFINITY}};
    for (int i = 0; i < 2; i++) {
        p.logit_bias = &bad[i];
        assert_int_equal(exaone_sampling_validate(&p, &err), EXAONE_ERR_ARGUMENT);
        assert_non_null(strstr(err.message, "token 3"));
    }
}

static void test_bad_ids(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_error err;
    exaone_sampler *s;
    const int32_t ids[] = {-1, 10, INT32_MIN, INT32_MAX};
    exaone_sampling_default(&p);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(exaone_sampler_new(&p, 10, &ids[i], 1, &s, &err), EXAONE_ERR_ARGUMENT);
        assert_null(s);
        exaone_logit_bias bias = {ids[i], 1};
        exaone_sampling q = p;
        q.logit_bias = &bias;
        q.n_logit_bias = 1;
        assert_int_equal(exaone_sampler_new(&q, 10, NULL, 0, &s, &err), EXAONE_ERR_ARGUMENT);
    }
    assert_int_equal(exaone_sampler_new(&p, 0, NULL, 0, &s, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_sampler_new(&p, SIZE_MAX, NULL, 0, &s, &err), EXAONE_ERR_ARGUMENT);
    s = make(&p, 10);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(exaone_sampler_accept(s, ids[i], &err), EXAONE_ERR_ARGUMENT);
        assert_int_equal(exaone_sampler_prompt(s, &ids[i], 1, &err), EXAONE_ERR_ARGUMENT);
    }
    assert_int_equal(exaone_sampler_n_generated(s), 0);
    exaone_sampler_free(s);
}

/* ---- processors beyond the golden cases ---- */

static const float ramp[8] = {4, -3, 2, 1, 0, -1, -2, 5};

static void process_ramp(exaone_sampling p, const int32_t *prompt, size_t n_prompt, const int32_t *reply, size_t n_reply,
                         float out[8]) {
    exaone_sampler *s;
    const int32_t stops[] = {7, 0};
    assert_int_equal(exaone_sampler_new(&p, 8, stops, 2, &s, NULL), EXAONE_OK);
    assert_int_equal(exaone_sampler_prompt(s, prompt, n_prompt, NULL), EXAONE_OK);
    accept_all(s, reply, n_reply);
    assert_int_equal(exaone_sampler_process(s, ramp, out, NULL), EXAONE_OK);
    exaone_sampler_free(s);
}

static void assert_scores(const float *mine, const float *want) {
    for (int i = 0; i < 8; i++) {
        if (mine[i] != want[i]) {
            fail_msg("score %d is %g, not %g", i, (double)mine[i], (double)want[i]);
        }
    }
}

static void test_penalties(void **state) {
    (void)state;
    const int32_t prompt[] = {0, 1, 0}, reply[] = {2, 3, 2, 1};
    float out[8];
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.do_sample = false;
    p.presence_penalty = 0.5; /* the reply's ids, once, whether or not the prompt has them */
    process_ramp(p, prompt, 3, reply, 4, out);
    assert_scores(out, (float[8]){4, -3.5f, 1.5f, 0.5f, 0, -1, -2, 5});
    p.frequency_penalty = 0.25;
    process_ramp(p, prompt, 3, reply, 4, out);
    assert_scores(out, (float[8]){4, -3.75f, 1, 0.25f, 0, -1, -2, 5});
    p.presence_penalty = p.frequency_penalty = 0;
    p.repetition_penalty = 2; /* prompt and reply, once each */
    process_ramp(p, prompt, 3, reply, 4, out);
    assert_scores(out, (float[8]){2, -6, 1, 0.5f, 0, -1, -2, 5});
    p.repetition_penalty = 1;
    p.min_new_tokens = 5;
    process_ramp(p, prompt, 3, reply, 4, out);
    assert_scores(out, (float[8]){-INFINITY, -3, 2, 1, 0, -1, -2, -INFINITY});
    p.min_new_tokens = 4;
    process_ramp(p, prompt, 3, reply, 4, out);
    assert_scores(out, ramp);
    /* bias comes before the repetition penalty: (-3 + 5) / 2, not -3 * 2 + 5 */
    const exaone_logit_bias bias[] = {{1, 5}, {7, -INFINITY}, {6, 1}, {6, 1}};
    p.repetition_penalty = 2;
    p.logit_bias = bias;
    p.n_logit_bias = 4;
    process_ramp(p, prompt, 2, NULL, 0, out);
    assert_scores(out, (float[8]){-INFINITY, 1, 2, 1, 0, -1, 0, -INFINITY});
}

/* Greedy must take the raw order of scores: temperature and filters are for sampling. */
static void test_greedy(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.temperature = 0;
    p.top_k = 3;
    p.epsilon_cutoff = 0.9;
    const float tied[4] = {-1, 2.5f, 2.5f, 0};
    exaone_sampler *s = make(&p, 4);
    float out[4], margin;
    int32_t id;
    assert_int_equal(exaone_sampler_process(s, tied, out, NULL), EXAONE_OK);
    assert_memory_equal(out, tied, sizeof out);
    assert_int_equal(exaone_sampler_choose(s, tied, &id, &margin, NULL), EXAONE_OK);
    assert_int_equal(id, 1);
    assert_true(margin == 0);
    exaone_sampler_free(s);
    s = make(&p, 1);
    assert_int_equal(exaone_sampler_choose(s, tied, &id, &margin, NULL), EXAONE_OK);
    assert_int_equal(id, 0);
    assert_true(margin == INFINITY);
    exaone_sampler_free(s);
}

static void test_bad_numbers(void **state) {
    (void)state;
    exaone_sampling p;
    exaone_error err;
    exaone_sampling_default(&p);
    exaone_sampler *s = make(&p, 8);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 3; k++) {
        float logits[8], out[8];
        int32_t id;
        memcpy(logits, ramp, sizeof logits);
        logits[6] = bad[k];
        assert_int_equal(exaone_sampler_process(s, logits, out, &err), EXAONE_ERR_NUMERIC);
        assert_non_null(strstr(err.message, "token 6"));
        assert_int_equal(exaone_sampler_choose(s, logits, &id, NULL, &err), EXAONE_ERR_NUMERIC);
    }
    exaone_sampler_free(s);
    /* finite logits that a setting makes infinite */
    p.temperature = 0.5;
    s = make(&p, 2);
    const float large[2] = {0, 3e38f};
    float out[2];
    assert_int_equal(exaone_sampler_process(s, large, out, &err), EXAONE_ERR_NUMERIC);
    assert_string_equal(err.message, "score of token 1 is infinite after penalties and temperature");
    exaone_sampler_free(s);
    /* nothing left */
    const exaone_logit_bias ban[] = {{0, -INFINITY}, {1, -INFINITY}};
    p.logit_bias = ban;
    p.n_logit_bias = 2;
    s = make(&p, 2);
    int32_t id;
    assert_int_equal(exaone_sampler_choose(s, ramp, &id, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_string_equal(err.message, "no token is left: logit_bias and min_new_tokens forbid all 2");
    exaone_sampler_free(s);
}

/* ---- probabilities ---- */

static void test_logprobs(void **state) {
    (void)state;
    enum { N = 300 };
    float scores[N], probs[N], of_id;
    exaone_logprob top[EXAONE_TOP_LOGPROBS_MAX];
    for (int i = 0; i < N; i++) {
        scores[i] = (float)((i * 7919) % 97) / 10; /* each value three or four times */
    }
    scores[5] = -INFINITY;
    assert_int_equal(exaone_scores_probs(scores, N, probs, NULL), EXAONE_OK);
    for (size_t n_top = 0; n_top <= EXAONE_TOP_LOGPROBS_MAX; n_top += 16) {
        assert_int_equal(exaone_scores_logprobs(scores, N, 17, &of_id, top, n_top, NULL), EXAONE_OK);
        assert_true(fabs(exp((double)of_id) - (double)probs[17]) < 1e-6 * (double)probs[17] + 1e-9);
        for (size_t k = 0; k < n_top; k++) {
            size_t above = 0; /* tokens that belong before this one */
            for (int i = 0; i < N; i++) {
                above += scores[i] > scores[top[k].id] || (scores[i] == scores[top[k].id] && i < top[k].id);
            }
            assert_int_equal(above, k);
            assert_true(fabs(exp((double)top[k].logprob) - (double)probs[top[k].id]) < 1e-6 * (double)probs[top[k].id]);
        }
    }
    assert_int_equal(exaone_scores_logprobs(scores, N, 5, &of_id, NULL, 0, NULL), EXAONE_OK);
    assert_true(of_id == -INFINITY);
    assert_int_equal(exaone_scores_logprobs(scores, N, -1, NULL, top, 3, NULL), EXAONE_OK); /* id is not looked at */
    exaone_error err;
    assert_int_equal(exaone_scores_logprobs(scores, N, N, &of_id, top, 3, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_scores_logprobs(scores, N, -1, &of_id, top, 3, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_scores_logprobs(scores, N, 0, &of_id, top, 129, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_scores_logprobs(scores, 2, 0, &of_id, top, 3, &err), EXAONE_ERR_ARGUMENT);
    scores[299] = NAN;
    assert_int_equal(exaone_scores_logprobs(scores, N, 0, &of_id, top, 3, &err), EXAONE_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "token 299"));
    scores[299] = INFINITY;
    assert_int_equal(exaone_scores_probs(scores, N, probs, &err), EXAONE_ERR_NUMERIC);
    scores[0] = scores[1] = -INFINITY;
    assert_int_equal(exaone_scores_probs(scores, 2, probs, &err), EXAONE_ERR_NUMERIC);
    assert_int_equal(exaone_scores_probs(scores, 0, probs, &err), EXAONE_ERR_NUMERIC);
}

/* ---- memory ---- */

static void all_on(exaone_sampling *p, const exaone_logit_bias *bias) {
    exaone_sampling_default(p);
    p->temperature = 0.9;
    p->top_h = 0.99;
    p->top_k = 50;
    p->top_p = 0.99;
    p->min_p = 1e-6;
    p->typical_p = 0.99;
    p->epsilon_cutoff = p->eta_cutoff = 1e-6;
    p->repetition_penalty = 1.1;
    p->presence_penalty = p->frequency_penalty = 0.1;
    p->logit_bias = bias;
    p->n_logit_bias = 1;
}

static void test_steps_allocate_nothing(void **state) {
    (void)state;
    if (!CAN_COUNT) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    exaone_sampling p;
    const exaone_logit_bias bias = {1, 1};
    all_on(&p, &bias);
    exaone_sampler *s = make(&p, 8);
    exaone_logprob top[3];
    float of_id;
    int32_t id;
    long before = n_allocations;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(exaone_sampler_choose(s, ramp, &id, NULL, NULL), EXAONE_OK);
        accept_all(s, &id, 1);
        assert_int_equal(exaone_scores_logprobs(ramp, 8, id, &of_id, top, 3, NULL), EXAONE_OK);
    }
    assert_int_equal(n_allocations, before);
    exaone_sampler_free(s);
    assert_true(n_allocations > 0);
}

static void test_failing_allocations(void **state) {
    (void)state;
    if (!CAN_COUNT) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    exaone_sampling p;
    const exaone_logit_bias bias = {1, 1};
    all_on(&p, &bias);
    const int32_t stop = 3;
    int failures = 0;
    exaone_status status;
    do {
        exaone_sampler *s = NULL, *copy = NULL;
        exaone_error err;
        fail_at = failures + 1;
        status = exaone_sampler_new(&p, 8, &stop, 1, &s, &err);
        if (!status) {
            status = exaone_sampler_clone(s, 1, &copy, &err);
        }
        fail_at = 0;
        assert_true(status == EXAONE_OK || (status == EXAONE_ERR_MEMORY && !copy));
        exaone_sampler_free(copy);
        exaone_sampler_free(s);
        failures += status != EXAONE_OK;
    } while (status);
    assert_int_equal(failures, 16); /* the object and seven tables, twice */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_cases),
        cmocka_unit_test(test_golden_controls),
        cmocka_unit_test(test_golden_generate),
        cmocka_unit_test(test_golden_generate_controls),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_bad_ids),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_bad_numbers),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_steps_allocate_nothing),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
