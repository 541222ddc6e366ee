/* Replies with drafts are lossless: any number of drafts gives the tokens that choosing, accepting and appending one by one
 * gives; roll-back, forks and reuse leave the state that a cold evaluation has.
 *
 * Bound: every kernel gives a row the same bits in any batch, so ids and logits must be equal to the last bit. Micro (random
 * weights) refuses nearly every draft, tiny (trained) takes most of them: both ways of a step are met. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sanitized.h"
#include "base/json.h"
#include "engine/generate.h"
#include "exaone/sampling.h"

enum { MOST = 32, MICRO_VOCAB = 512 };

static exaone_engine *micro, *tiny;

static int open_models(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
    assert_int_equal(exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &micro, &err), EXAONE_OK);
    assert_int_equal(exaone_engine_open("models/tiny", &o, &tiny, &err), EXAONE_OK);
    return 0;
}

static int close_models(void **state) {
    (void)state;
    exaone_engine_close(micro);
    exaone_engine_close(tiny);
    return 0;
}

static exaone_session *open_session(exaone_engine *e, size_t batch, bool draft) {
    exaone_session_options o;
    exaone_session *s;
    exaone_error err = {0};
    exaone_session_options_default(&o);
    o.batch = batch;
    o.draft = draft;
    if (exaone_session_open(e, &o, &s, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return s;
}

static void sync_prompt(exaone_session *s, const exaone_prompt *p) {
    exaone_error err = {0};
    if (exaone_session_sync(s, p, NULL, NULL, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

static exaone_sampler *new_sampler(exaone_engine *e, const exaone_sampling *params, const int32_t *ids, size_t n) {
    const exaone_model_info *info = exaone_engine_info(e);
    exaone_sampler *sampler;
    exaone_error err = {0};
    int32_t ends[8];
    memcpy(ends, info->eos_token_ids, sizeof ends);
    if (exaone_sampler_new(params, (size_t)info->vocab_size, ends, (size_t)info->n_eos_token_ids, &sampler, &err) ||
        exaone_sampler_prompt(sampler, ids, n, &err)) {
        fail_msg("%s", err.message);
    }
    return sampler;
}

static bool is_end(exaone_engine *e, int32_t id) {
    const exaone_model_info *info = exaone_engine_info(e);
    for (int i = 0; i < info->n_eos_token_ids; i++) {
        if (info->eos_token_ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The reply token by token, without exaone_session_generate: what every other way must equal. */
static size_t plain_reply(exaone_session *s, exaone_sampler *sampler, exaone_engine *e, int32_t *out, size_t most) {
    exaone_error err = {0};
    size_t n = 0;
    while (n < most) {
        assert_int_equal(exaone_sampler_choose(sampler, exaone_session_logits(s), &out[n], NULL, &err), EXAONE_OK);
        assert_int_equal(exaone_sampler_accept(sampler, out[n], &err), EXAONE_OK);
        n++;
        if (is_end(e, out[n - 1]) || n == most) {
            break;
        }
        assert_int_equal(exaone_session_append(s, out[n - 1], &err), EXAONE_OK);
    }
    return n;
}

static size_t drafted_reply(exaone_session *s, exaone_sampler *sampler, exaone_engine *e, int k, int32_t *out, size_t most) {
    exaone_error err = {0};
    size_t n = 0;
    while (n < most && (n == 0 || !is_end(e, out[n - 1]))) {
        exaone_draft_options o = {.n = k, .max_tokens = most - n};
        int32_t ids[EXAONE_MAX_DRAFT + 1];
        size_t given;
        if (exaone_session_generate(s, sampler, &o, ids, &given, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
        assert_true(given >= 1 && given <= most - n && given <= (k < 0 ? EXAONE_MAX_DRAFT : (size_t)k) + 1);
        memcpy(out + n, ids, given * sizeof *ids);
        n += given;
    }
    return n;
}

static void fill(int32_t *ids, size_t n, int32_t seed) {
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((i * 37 + (size_t)seed * 11 + i * i % 13) % 500);
        ids[i] += ids[i] == 67 || ids[i] == 68 ? 5 : 0;
    }
}

/* ---- the evaluation set ---- */

typedef struct {
    int32_t prompt[2048], reply[256];
    size_t n_prompt, n_reply;
} text_case;

static size_t read_ids(const exaone_json *list, int32_t *out, size_t most) {
    size_t n = 0;
    for (const exaone_json *v = list ? list->first : NULL; v; v = v->next, n++) {
        int64_t id;
        assert_true(n < most && exaone_json_int(v, &id));
        out[n] = (int32_t)id;
    }
    return n;
}

/* Calls fn for the cases without images and videos; returns how many. */
static size_t each_case(void (*fn)(const text_case *c, void *ctx), void *ctx) {
    FILE *f = fopen("tests/eval/tiny/cases.jsonl", "r");
    char *line = NULL;
    size_t room = 0, n = 0;
    ssize_t len;
    assert_non_null(f);
    while ((len = getline(&line, &room, f)) > 0) {
        static text_case c;
        exaone_arena arena;
        exaone_json *root;
        exaone_arena_init(&arena, (size_t)1 << 24);
        assert_int_equal(exaone_json_parse(line, (size_t)len, &arena, &root, NULL), EXAONE_OK);
        c.n_prompt = read_ids(exaone_json_get(root, "prompt_ids"), c.prompt, 2048);
        c.n_reply = read_ids(exaone_json_get(root, "output_ids"), c.reply, 256);
        if (!exaone_json_get(root, "image_grid_thw") && !exaone_json_get(root, "video_grid_thw")) {
            if (n % UNLESS_SANITIZED(1, 10) == 0) {
                fn(&c, ctx);
            }
            n++;
        }
        exaone_arena_release(&arena);
    }
    free(line);
    fclose(f);
    return n;
}

static void identical_case(const text_case *c, void *ctx) {
    exaone_session *s = ctx;
    exaone_sampling greedy;
    exaone_prompt p = {.ids = c->prompt, .n_ids = c->n_prompt};
    exaone_sampling_default(&greedy);
    greedy.do_sample = false;
    for (int k = EXAONE_DRAFT_AUTO; k <= EXAONE_MAX_DRAFT; k += UNLESS_SANITIZED(1, 2)) {
        int32_t out[256];
        exaone_sampler *sampler = new_sampler(tiny, &greedy, c->prompt, c->n_prompt);
        sync_prompt(s, &p);
        size_t n = drafted_reply(s, sampler, tiny, k, out, 160);
        assert_int_equal(n, c->n_reply);
        assert_memory_equal(out, c->reply, n * sizeof *out);
        exaone_sampler_free(sampler);
    }
}

/* The reference's own greedy replies to all 84 text cases, for auto and 0 .. 8 drafts. (tests/cli/test_drafts.sh does all
 * 200 cases, images and videos included.) */
static void test_identity(void **state) {
    (void)state;
    exaone_session *s = open_session(tiny, 0, true);
    assert_int_equal(each_case(identical_case, s), 84);
    const exaone_generation_stats *stats = exaone_session_stats(s);
    assert_true(stats->accepted > stats->drafted / 2); /* drafts were really used */
    exaone_session_free(s);
}

/* ---- settings ---- */

static void vary(exaone_sampling *s, int variant) {
    static const exaone_logit_bias bias[] = {{100, 2}, {101, -INFINITY}, {53, 1}};
    exaone_sampling_default(s);
    s->seed = (uint64_t)variant * 7919 + 3;
    s->temperature = variant % 3 == 0 ? 1.0 : variant % 3 == 1 ? 0.7 : 1.6;
    s->top_p = variant % 2 ? 0.9 : 1;
    s->top_k = variant % 4 == 3 ? 12 : 0;
    s->presence_penalty = variant % 5 == 1 ? 1.5 : 0;
    s->frequency_penalty = variant % 5 == 2 ? 0.7 : 0;
    s->repetition_penalty = variant % 5 == 3 ? 1.2 : 1;
    s->min_new_tokens = variant % 4 == 1 ? 20 : 0;
    s->logit_bias = variant % 3 == 1 ? bias : NULL;
    s->n_logit_bias = variant % 3 == 1 ? 3 : 0;
    s->do_sample = variant % 6 != 5;
}

/* Every setting: the same reply with drafts as token by token; and the same state behind it. */
static void test_settings(void **state) {
    (void)state;
    for (int variant = 0; variant < 20; variant += UNLESS_SANITIZED(1, 7)) {
        exaone_engine *e = variant % 2 ? micro : tiny;
        size_t vocab = (size_t)exaone_engine_info(e)->vocab_size;
        int32_t ids[40 + MOST], want[MOST], got[MOST];
        exaone_sampling params;
        vary(&params, variant);
        fill(ids, 40, variant);
        exaone_prompt p = {.ids = ids, .n_ids = 40};
        exaone_session *plain = open_session(e, 0, false), *s = open_session(e, 7, true);
        exaone_sampler *sampler = new_sampler(e, &params, ids, 40);
        sync_prompt(plain, &p);
        size_t n = plain_reply(plain, sampler, e, want, MOST);
        exaone_sampler_free(sampler);
        for (int i = 0; i < 4; i++) { /* every number with eight of the settings */
            int k = (variant * 2 + i * 3) % (EXAONE_MAX_DRAFT + 2) - 1;
            sampler = new_sampler(e, &params, ids, 40);
            sync_prompt(s, &p);
            assert_int_equal(drafted_reply(s, sampler, e, k, got, MOST), n);
            assert_memory_equal(got, want, n * sizeof *got);
            exaone_sampler_free(sampler);
            if (is_end(e, got[n - 1])) { /* a stop id is not in the timeline, however it came */
                assert_int_equal(exaone_session_length(s), exaone_session_length(plain));
                assert_memory_equal(exaone_session_logits(s), exaone_session_logits(plain), vocab * sizeof(float));
            }
        }
        exaone_session_free(plain);
        exaone_session_free(s);
    }
}

/* ---- the state after a step ---- */

/* What the draft module says behind a timeline: its drafts and the last hidden state. */
static void draft_of(exaone_engine *e, exaone_sequence *s, exaone_step *step, int32_t next, int32_t drafts[EXAONE_MAX_DRAFT],
                     float *hidden) {
    exaone_error err = {0};
    exaone_step_drafts d = {.seq = s, .next = next, .n = EXAONE_MAX_DRAFT};
    if (exaone_step_draft(step, &d, 1, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    memcpy(drafts, d.ids, sizeof d.ids);
    memcpy(hidden, step->wanted, (size_t)e->config.hidden_size * sizeof *hidden);
}

static void evaluate(exaone_sequence *s, exaone_step *step, const exaone_prompt *p, size_t batch) {
    exaone_error err = {0};
    assert_int_equal(exaone_sequence_begin(s, p, NULL, &err), EXAONE_OK);
    while (s->length < s->n_ids) {
        size_t left = s->n_ids - s->length;
        exaone_step_group g = {.seq = s, .n = left < batch ? left : batch, .n_logits = left <= batch};
        if (exaone_sequence_encode(s, p, s->length, s->length + g.n, NULL, NULL, &err) != EXAONE_OK ||
            exaone_step_run(step, &g, 1, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
    }
}

static exaone_sequence *new_sequence(exaone_engine *e, size_t chunk) {
    exaone_sequence *s;
    exaone_error err = {0};
    exaone_sequence_options o = {.n_ctx = 512, .chunk = chunk, .drafts = true};
    assert_int_equal(exaone_sequence_new(e, &o, &s, &err), EXAONE_OK);
    return s;
}

/* Drafting ends at a stop id: the drafts up to it are those made without one, and nothing is drafted behind it. */
static void test_drafts_end(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_step step;
    int32_t ids[60], all[EXAONE_MAX_DRAFT];
    float *hidden = malloc((size_t)micro->config.hidden_size * sizeof *hidden);
    fill(ids, 60, 5);
    exaone_prompt p = {.ids = ids, .n_ids = 60};
    assert_non_null(hidden);
    assert_int_equal(exaone_step_init(&step, micro, 300, 1, EXAONE_MAX_DRAFT + 1, &err), EXAONE_OK);
    exaone_sequence *s = new_sequence(micro, 300);
    evaluate(s, &step, &p, 300);
    draft_of(micro, s, &step, 9, all, hidden);
    for (size_t k = 0; k < EXAONE_MAX_DRAFT; k++) {
        size_t first = 0;
        while (all[first] != all[k]) {
            first++;
        }
        exaone_step_drafts d = {.seq = s, .next = 9, .n = EXAONE_MAX_DRAFT, .stop_ids = &all[k], .n_stop_ids = 1};
        assert_int_equal(exaone_step_draft(&step, &d, 1, &err), EXAONE_OK);
        assert_true(d.stops);
        assert_int_equal(d.n, first + 1);
        assert_memory_equal(d.ids, all, d.n * sizeof all[0]);
    }
    exaone_sequence_free(s);
    exaone_step_release(&step);
    free(hidden);
}

/* Logits, drafts and the draft module's hidden state are those of a cold evaluation of the same tokens. */
static void same_as_cold(exaone_engine *e, exaone_sequence *s, exaone_step *step, const exaone_prompt *p) {
    size_t vocab = (size_t)e->config.vocab_size, hidden = (size_t)e->config.hidden_size;
    float *a = malloc(hidden * sizeof *a), *b = malloc(hidden * sizeof *b);
    int32_t mine[EXAONE_MAX_DRAFT], cold_drafts[EXAONE_MAX_DRAFT];
    exaone_sequence *cold = new_sequence(e, 300);
    assert_non_null(a);
    assert_non_null(b);
    evaluate(cold, step, p, 300);
    assert_int_equal(s->length, p->n_ids);
    assert_memory_equal(s->logits, cold->logits, vocab * sizeof(float));
    draft_of(e, s, step, 9, mine, a);
    draft_of(e, cold, step, 9, cold_drafts, b);
    assert_memory_equal(mine, cold_drafts, sizeof mine);
    assert_memory_equal(a, b, hidden * sizeof *a);
    exaone_sequence_free(cold);
    free(a);
    free(b);
}

/* After every step with k drafts, far beyond the window, the caches are those of the tokens that stand. */
static void test_roll_back(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine *models[] = {micro, tiny};
    exaone_sampling greedy;
    exaone_sampling_default(&greedy);
    greedy.do_sample = false;
    greedy.min_new_tokens = 1000;
    for (int m = 0; m < 2; m++) {
        exaone_step step;
        assert_int_equal(exaone_step_init(&step, models[m], 300, 1, EXAONE_TAIL_ROWS, &err), EXAONE_OK);
        for (int k = 0; k <= EXAONE_MAX_DRAFT; k += UNLESS_SANITIZED(1, 4)) {
            int32_t ids[512];
            fill(ids, 70, k);
            exaone_prompt p = {.ids = ids, .n_ids = 70};
            exaone_sequence *s = new_sequence(models[m], 300);
            exaone_generator g = {.step = &step};
            exaone_sampler *sampler = new_sampler(models[m], &greedy, ids, 70);
            evaluate(s, &step, &p, 11);
            for (int i = 0; i < 16; i++) {
                exaone_draft_options o = {.n = i % 7 == 6 ? 0 : k};
                size_t n;
                assert_int_equal(exaone_generate(&g, s, sampler, &o, ids + p.n_ids, &n, &err), EXAONE_OK);
                p.n_ids += n;
                if (i % 5 == 4) {
                    same_as_cold(models[m], s, &step, &p);
                }
            }
            exaone_sampler_free(sampler);
            exaone_sequence_free(s);
        }
        exaone_step_release(&step);
    }
}

static exaone_pixels picture(float seed) {
    exaone_pixels px = {.rows = 16, .cols = 1176, .grid = {1, 4, 4}};
    px.values = malloc(px.rows * px.cols * sizeof *px.values);
    assert_non_null(px.values);
    for (size_t i = 0; i < px.rows * px.cols; i++) {
        px.values[i] = sinf((float)i * 0.37f + seed);
    }
    return px;
}

/* Edits of every kind, with images, in chunks of every kind: what is kept and what is made again agree with a cold run. */
static void test_reuse(void **state) {
    (void)state;
    exaone_error err = {0};
    static const struct {
        size_t n, edit, batch; /* tokens; the token that changes (0: none); chunk */
        int first, second;     /* pictures */
    } turns[] = {{120, 0, 300, 0, 1}, {120, 0, 300, 0, 1}, {119, 0, 3, 0, 1},   {121, 0, 1, 0, 1},   {200, 0, 64, 0, 1},
                 {180, 0, 64, 0, 1},  {200, 199, 5, 0, 1}, {200, 150, 7, 0, 1}, {90, 60, 300, 0, 1}, {90, 0, 300, 0, 2},
                 {90, 0, 2, 3, 2},    {60, 0, 300, 3, 2},  {61, 0, 1, 3, 2},    {300, 2, 300, 3, 2}, {46, 0, 1, 3, 2}};
    exaone_pixels pictures[4];
    exaone_step step;
    exaone_sequence *s = new_sequence(micro, 300);
    int32_t ids[400];
    assert_int_equal(exaone_step_init(&step, micro, 300, 1, EXAONE_TAIL_ROWS, &err), EXAONE_OK);
    for (int i = 0; i < 4; i++) {
        pictures[i] = picture((float)i);
    }
    fill(ids, 400, 4);
    for (int i = 0; i < 4; i++) {
        ids[5 + i] = ids[40 + i] = 67;
    }
    for (size_t t = 0; t < sizeof turns / sizeof turns[0]; t++) {
        ids[turns[t].edit] += turns[t].edit ? 1 : 0;
        exaone_prompt_media media[] = {{&pictures[turns[t].first], false}, {&pictures[turns[t].second], false}};
        exaone_prompt p = {.ids = ids, .n_ids = turns[t].n, .media = media, .n_media = 2};
        evaluate(s, &step, &p, turns[t].batch);
        same_as_cold(micro, s, &step, &p);
    }
    exaone_sequence_free(s);
    exaone_step_release(&step);
    for (int i = 0; i < 4; i++) {
        free(pictures[i].values);
    }
}

/* A reply longer than the rings, then the prompt with something else behind it: the marked place is come back to. */
static void test_marks(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_step step;
    int32_t ids[512];
    exaone_engine *models[] = {micro, tiny};
    for (int m = 0; m < 2; m++) {
        exaone_sequence *s = new_sequence(models[m], 16);
        assert_int_equal(exaone_step_init(&step, models[m], 300, 1, EXAONE_TAIL_ROWS, &err), EXAONE_OK);
        fill(ids, 512, 5);
        for (size_t turn = 0; turn < 3; turn++) {
            exaone_prompt p = {.ids = ids, .n_ids = 60 + 25 * turn};
            evaluate(s, &step, &p, 16);
            assert_int_equal(s->reused, turn ? 60 + 25 * (turn - 1) - 1 : 0); /* all but the last token before the mark */
            exaone_sequence_mark(s);
            same_as_cold(models[m], s, &step, &p);
            p.n_ids += 250;
            evaluate(s, &step, &p, 16);
            assert_false(exaone_kv_cache_can_cut(s->cache, 60));
            for (size_t i = 60 + 25 * turn; i < 512; i++) { /* what is behind this prompt changes */
                ids[i] = (ids[i] + 1) % 60;
            }
        }
        exaone_prompt first = {.ids = ids, .n_ids = 60}; /* back over two marks */
        evaluate(s, &step, &first, 16);
        assert_int_equal(s->reused, 59);
        same_as_cold(models[m], s, &step, &first);
        exaone_sequence_free(s);
        exaone_step_release(&step);
    }
}

/* ---- forks ---- */

static void test_fork(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_sampling params;
    int32_t ids[90], a[MOST], b[MOST], cold_a[MOST], cold_b[MOST];
    fill(ids, 90, 8);
    exaone_prompt p = {.ids = ids, .n_ids = 90};
    for (int k = 0; k <= EXAONE_MAX_DRAFT; k += 4) {
        exaone_session *s = open_session(tiny, 0, true), *fork, *cold = open_session(tiny, 0, true);
        exaone_sampler *samplers[4];
        vary(&params, 2);
        params.min_new_tokens = MOST;
        sync_prompt(s, &p);
        assert_int_equal(exaone_session_fork(s, &fork, &err), EXAONE_OK);
        for (uint32_t i = 0; i < 4; i++) {
            exaone_sampler *origin = new_sampler(tiny, &params, ids, 90);
            assert_int_equal(exaone_sampler_clone(origin, i % 2, &samplers[i], &err), EXAONE_OK);
            exaone_sampler_free(origin);
        }
        size_t half = drafted_reply(s, samplers[0], tiny, k, a, MOST / 2); /* in turn: neither disturbs the other */
        assert_int_equal(drafted_reply(fork, samplers[1], tiny, k, b, MOST), MOST);
        assert_int_equal(half + drafted_reply(s, samplers[0], tiny, k, a + half, MOST - half), MOST);
        sync_prompt(cold, &p);
        assert_int_equal(plain_reply(cold, samplers[2], tiny, cold_a, MOST), MOST);
        sync_prompt(cold, &p);
        assert_int_equal(plain_reply(cold, samplers[3], tiny, cold_b, MOST), MOST);
        assert_memory_equal(a, cold_a, sizeof a);
        assert_memory_equal(b, cold_b, sizeof b);
        assert_memory_not_equal(a, b, sizeof a);
        exaone_session_free(s); /* the origin may go first */
        sync_prompt(fork, &p);
        sync_prompt(cold, &p);
        assert_memory_equal(exaone_session_logits(fork), exaone_session_logits(cold), 1536 * sizeof(float));
        exaone_session_free(fork);
        exaone_session_free(cold);
        for (int i = 0; i < 4; i++) {
            exaone_sampler_free(samplers[i]);
        }
    }
}

/* ---- the distribution ---- */

/* Wilson and Hilferty's normal deviate of a chi-square value: (x / df)^(1/3) is nearly normal. */
static double deviate(double x, double df) {
    return (cbrt(x / df) - (1 - 2 / (9 * df))) / sqrt(2 / (9 * df));
}

/* The first two tokens of N replies with 3 drafts against the exact probabilities, top_k 4 at a temperature that makes them
 * matter: chi-square over the 16 pairs. The bound is the deviate of p = 0.0001 (3.72); the seeds are fixed, so the result is
 * one number for good. Control: against the distribution of another temperature the deviate is far above. */
static void test_distribution(void **state) {
    (void)state;
    enum { N = 2000, K = 4 };
    exaone_error err = {0};
    exaone_sampling params;
    int32_t ids[22];
    fill(ids, 20, 6);
    exaone_prompt p = {.ids = ids, .n_ids = 20};
    exaone_session *s = open_session(micro, 0, true);
    double expected[MICRO_VOCAB] = {0}, wrong[MICRO_VOCAB] = {0}, pair[K][K], bad[K][K], seen[K][K] = {{0}};
    int32_t firsts[K], seconds[K][K];
    float probs[MICRO_VOCAB], flat[MICRO_VOCAB];
    exaone_sampling_default(&params);
    params.top_k = K;
    params.temperature = 0.8;
    for (int level = 0, n = 1; level < 2; level++, n = K) {
        for (int i = 0; i < n; i++) {
            if (level) {
                ids[20] = firsts[i];
            }
            p.n_ids = 20 + (size_t)level;
            sync_prompt(s, &p);
            for (int hot = 0; hot < 2; hot++) {
                exaone_sampling q = params;
                q.temperature = hot ? 0.5 : 0.8;
                exaone_sampler *sampler = new_sampler(micro, &q, ids, 20);
                float *to = hot ? flat : probs;
                assert_int_equal(exaone_sampler_process(sampler, exaone_session_logits(s), to, &err), EXAONE_OK);
                assert_int_equal(exaone_scores_probs(to, MICRO_VOCAB, to, &err), EXAONE_OK);
                exaone_sampler_free(sampler);
            }
            int at = 0;
            for (int id = 0; id < MICRO_VOCAB; id++) {
                if (probs[id] > 0) {
                    assert_true(at < K);
                    if (level) {
                        seconds[i][at] = id;
                        pair[i][at] = expected[firsts[i]] * (double)probs[id];
                        bad[i][at] = wrong[firsts[i]] * (double)flat[id];
                    } else {
                        firsts[at] = id;
                        expected[id] = (double)probs[id];
                        wrong[id] = (double)flat[id];
                    }
                    at++;
                }
            }
            assert_int_equal(at, K);
        }
    }
    p.n_ids = 20;
    for (int r = 0; r < N; r++) {
        int32_t out[2];
        params.seed = (uint64_t)r;
        exaone_sampler *sampler = new_sampler(micro, &params, ids, 20);
        sync_prompt(s, &p);
        exaone_draft_options o = {.n = 3};
        int32_t got[EXAONE_MAX_DRAFT + 1];
        for (size_t n = 0, given; n < 2; n += given) {
            assert_int_equal(exaone_session_generate(s, sampler, &o, got, &given, &err), EXAONE_OK);
            memcpy(out + n, got, (given < 2 - n ? given : 2 - n) * sizeof *out);
        }
        exaone_sampler_free(sampler);
        int i = 0, j = 0;
        while (i < K && firsts[i] != out[0]) {
            i++;
        }
        assert_true(i < K);
        while (j < K && seconds[i][j] != out[1]) {
            j++;
        }
        assert_true(j < K);
        seen[i][j]++;
    }
    double chi = 0, control = 0;
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < K; j++) {
            double d = seen[i][j] - N * pair[i][j], c = seen[i][j] - N * bad[i][j];
            assert_true(N * pair[i][j] > 5); /* else chi-square would not be */
            chi += d * d / (N * pair[i][j]);
            control += c * c / (N * bad[i][j]);
        }
    }
    print_message("chi-square %.2f with 15 degrees of freedom, deviate %.2f; control %.1f\n", chi, deviate(chi, 15),
                  deviate(control, 15));
    assert_true(deviate(chi, 15) < 3.72);
    assert_true(deviate(control, 15) > 3.72);
    exaone_session_free(s);
}

/* ---- the number of drafts ---- */

/* Seconds per token over a long reply on a machine where a pass of k + 1 rows costs 1 + slope k, a draft costs `draft`, and
 * a draft stands with probability p; measurements scatter by 5 % and now and then are three times too long. */
static double simulate(int asked, bool cautious, size_t length, double slope, double draft, double p) {
    exaone_draft_control c = {.cautious = cautious};
    uint64_t r = 88172645463325252u;
    double seconds = 0;
    size_t tokens = 0;
    while (tokens < length) {
        size_t k = exaone_draft_choose(&c, asked, 100), stood = 0;
        double cost = 1 + (slope + draft) * (double)k, unit[EXAONE_MAX_DRAFT + 1];
        for (size_t i = 0; i <= EXAONE_MAX_DRAFT; i++) {
            r ^= r << 13;
            r ^= r >> 7;
            r ^= r << 17;
            unit[i] = (double)(r >> 11) / 9007199254740992.0;
        }
        while (stood < k && unit[stood] < p) {
            stood++;
        }
        double noise = (r & 127) == 5 ? 3 : 0.95 + 0.1 * unit[EXAONE_MAX_DRAFT];
        exaone_draft_observe(&c, k, stood, cost * noise);
        seconds += cost;
        tokens += stood + 1;
    }
    return seconds / (double)tokens;
}

/* Auto is never more than 2 % slower than no drafts, and at most 8 % slower than the best fixed number, whatever passes and
 * drafts cost and however often drafts stand. Control: 3 drafts always are not that good. */
static void test_auto(void **state) {
    (void)state;
    static const double slopes[] = {0.01, 0.05, 0.2, 0.5, 0.9}, chances[] = {0, 0.2, 0.5, 0.7, 0.9, 0.98};
    double worst = 0, worst_fixed = 0;
    for (size_t i = 0; i < 5 * 6 * 2; i++) {
        double slope = slopes[i % 5], p = chances[i / 5 % 6], draft = i < 30 ? 0.04 : 0.12;
        double none = simulate(0, false, 4000, slope, draft, p), best = none;
        worst_fixed = fmax(worst_fixed, simulate(3, false, 4000, slope, draft, p) / none);
        for (int k = 1; k <= EXAONE_MAX_DRAFT; k++) {
            best = fmin(best, simulate(k, false, 4000, slope, draft, p));
        }
        for (int cautious = 0; cautious < 2; cautious++) {
            double seconds = simulate(EXAONE_DRAFT_AUTO, cautious, 4000, slope, draft, p);
            worst = fmax(worst, seconds / none);
            if (seconds > 1.08 * best) {
                fail_msg("slope %g, draft %g, p %g: %g seconds per token, best %g", slope, draft, p, seconds, best);
            }
        }
    }
    /* many replies: a row costs almost as much as the pass, no number of drafts pays, and the replies are short */
    double crowd = simulate(EXAONE_DRAFT_AUTO, true, 100, 1.6, 0.2, 0.9) / simulate(0, false, 100, 1.6, 0.2, 0.9);
    print_message("slowest against no drafts: %.4f; 3 drafts always: %.4f; in a crowd %.4f\n", worst, worst_fixed, crowd);
    assert_true(worst < 1.02);
    assert_true(worst_fixed > 1.02);
    assert_true(crowd < 1.05);
}

/* ---- limits ---- */

static void test_limits(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_session_options o;
    exaone_session *s;
    exaone_sampling greedy;
    int32_t ids[40], out[EXAONE_MAX_DRAFT + 1];
    size_t n, total = 0;
    fill(ids, 40, 1);
    exaone_prompt p = {.ids = ids, .n_ids = 30};
    exaone_sampling_default(&greedy);
    greedy.do_sample = false;
    greedy.min_new_tokens = 1000;
    exaone_session_options_default(&o);
    o.n_ctx = 40;
    o.draft = true;
    assert_int_equal(exaone_session_open(micro, &o, &s, &err), EXAONE_OK);
    exaone_sampler *sampler = new_sampler(micro, &greedy, ids, 30);
    exaone_draft_options d = {.n = 3};
    assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_ERR_ARGUMENT); /* no prompt */
    sync_prompt(s, &p);
    d.n = 9;
    assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_ERR_ARGUMENT);
    d.n = 8;
    exaone_status status = EXAONE_OK;
    while (status == EXAONE_OK) {
        status = exaone_session_generate(s, sampler, &d, out, &n, &err);
        total += n;
    }
    assert_int_equal(status, EXAONE_ERR_LIMIT); /* ten more tokens are evaluated, one more is chosen */
    assert_int_equal(total, 11);
    assert_int_equal(exaone_session_length(s), 40);
    exaone_session_free(s);
    exaone_sampler_free(sampler);
    s = open_session(micro, 0, false);
    sampler = new_sampler(micro, &greedy, ids, 30);
    sync_prompt(s, &p);
    d.n = 1;
    assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_ERR_ARGUMENT); /* opened without */
    d.n = EXAONE_DRAFT_AUTO;
    assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_OK);
    assert_int_equal(n, 1);
    exaone_sampler_free(sampler);
    exaone_session_free(s);
}

/* What is appended behind a token that max_tokens made the last comes behind it; a stop id gives way; and a sampler of
 * another vocabulary is refused. */
static void test_append_behind(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_sampling greedy;
    int32_t ids[40], out[EXAONE_MAX_DRAFT + 1];
    size_t n, bytes = (size_t)micro->config.vocab_size * sizeof(float);
    fill(ids, 40, 1);
    exaone_prompt p = {.ids = ids, .n_ids = 30};
    exaone_sampling_default(&greedy);
    greedy.do_sample = false;
    for (int stops = 0; stops < 2; stops++) {
        exaone_session *s = open_session(micro, 0, true), *cold = open_session(micro, 0, true);
        exaone_sampler *sampler = new_sampler(micro, &greedy, ids, 30);
        sync_prompt(s, &p);
        exaone_draft_options d = {.max_tokens = 1, .stop_ids = ids};
        assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_OK);
        ids[30] = out[0];
        if (stops) {
            exaone_sampler_free(sampler);
            sampler = new_sampler(micro, &greedy, ids, 30);
            sync_prompt(s, &p);
            d = (exaone_draft_options){.stop_ids = out, .n_stop_ids = 1};
            assert_int_equal(exaone_session_generate(s, sampler, &d, ids + 35, &n, &err), EXAONE_OK);
        }
        assert_int_equal(n, 1);
        assert_int_equal(exaone_session_append(s, ids[31], &err), EXAONE_OK);
        sync_prompt(cold, &p);
        assert_int_equal(stops ? EXAONE_OK : exaone_session_append(cold, out[0], &err), EXAONE_OK);
        assert_int_equal(exaone_session_append(cold, ids[31], &err), EXAONE_OK);
        assert_int_equal(exaone_session_length(s), stops ? 31 : 32);
        assert_memory_equal(exaone_session_logits(s), exaone_session_logits(cold), bytes);
        exaone_sampler_free(sampler);
        assert_int_equal(exaone_sampler_new(&greedy, 100000, NULL, 0, &sampler, &err), EXAONE_OK);
        assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_ERR_ARGUMENT);
        exaone_sampler_free(sampler);
        exaone_session_free(s);
        exaone_session_free(cold);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_behind), cmocka_unit_test(test_drafts_end), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_auto),          cmocka_unit_test(test_marks),      cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_roll_back),     cmocka_unit_test(test_reuse),      cmocka_unit_test(test_settings),
        cmocka_unit_test(test_fork),          cmocka_unit_test(test_identity),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
