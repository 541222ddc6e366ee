/* Marks: a long timeline that is cut back, at any place and after a reply, goes on from the nearest mark; their number and
 * bytes stay within limits, and the ones of most worth stay.
 *
 * Bound: what is come back to are the bytes that were computed, and a row has the same bits in any group: equal to the last
 * bit. Places: the rings of the micro checkpoint (window 8) with chunks of 256 reach back 272 tokens; marks are 4096 apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model_variant.h"
#include "engine/marks.h"
#include "engine/step.h"
#include "exaone/exaone.h"

enum { MOST = 8700, REPLY = 24, VOCAB = 512 };

static exaone_engine *engine;
static int32_t ids[MOST];

static int open_micro(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    if (exaone_engine_open(model_variant("tests/golden/model/micro/checkpoint", "micro", "max_position_embeddings", 16384),
                           &o, &engine, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return 0;
}

static int close_micro(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

static int fill(void **state) {
    (void)state;
    for (size_t i = 0; i < MOST; i++) {
        ids[i] = (int32_t)(100 + (i * 7919 + i * i * 31) % 400);
    }
    return 0;
}

static exaone_session *new_session(const exaone_session_options *o) {
    exaone_session *s;
    exaone_error err = {0};
    assert_int_equal(exaone_session_open(engine, o, &s, &err), EXAONE_OK);
    return s;
}

static void sync_to(exaone_session *s, size_t n) {
    exaone_error err = {0};
    exaone_prompt p = {.ids = ids, .n_ids = n};
    if (exaone_session_sync(s, &p, NULL, NULL, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

/* A reply of REPLY tokens with drafts. */
static void reply(exaone_session *s, size_t n, int32_t *out) {
    exaone_error err = {0};
    exaone_sampling sampling;
    exaone_sampler *sampler;
    static const int32_t none = 0;
    exaone_sampling_default(&sampling);
    sampling.do_sample = false;
    assert_int_equal(exaone_sampler_new(&sampling, VOCAB, NULL, 0, &sampler, &err), EXAONE_OK);
    assert_int_equal(exaone_sampler_prompt(sampler, ids, n, &err), EXAONE_OK);
    for (size_t i = 0, got; i < REPLY; i += got) {
        exaone_draft_options draft = {.n = 3, .max_tokens = REPLY - i, .stop_ids = &none};
        assert_int_equal(exaone_session_generate(s, sampler, &draft, out + i, &got, &err), EXAONE_OK);
    }
    exaone_sampler_free(sampler);
}

/* The timeline is that of a session which read the prompt at once: logits, and what the draft module makes of it. */
static void same_as_cold(exaone_session *s, const exaone_session_options *o, size_t n) {
    int32_t warm_ids[REPLY + EXAONE_MAX_DRAFT], cold_ids[REPLY + EXAONE_MAX_DRAFT];
    exaone_session *cold = new_session(o);
    sync_to(cold, n);
    assert_int_equal(exaone_session_length(s), n);
    assert_memory_equal(exaone_session_logits(s), exaone_session_logits(cold), VOCAB * sizeof(float));
    exaone_session_reset_stats(s);
    reply(s, n, warm_ids);
    reply(cold, n, cold_ids);
    assert_memory_equal(warm_ids, cold_ids, REPLY * sizeof warm_ids[0]);
    assert_int_equal(exaone_session_stats(s)->drafted, exaone_session_stats(cold)->drafted);
    assert_int_equal(exaone_session_stats(s)->accepted, exaone_session_stats(cold)->accepted);
    exaone_session_free(cold);
}

/* Edits in the middle of a prompt of a thousand windows. */
static void cuts_in_the_middle(void **state) {
    (void)state;
    exaone_session_options o = {.draft = true};
    exaone_session *s = new_session(&o), *fork;
    exaone_error err = {0};
    sync_to(s, MOST);
    assert_int_equal(exaone_session_fork(s, &fork, &err), EXAONE_OK);
    static const struct {
        size_t edit, n, reused;
    } turns[] = {{8300, MOST, 8191}, {4200, 4300, 4095}, {4096, 4400, 4095}, {100, 300, 0}};
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        ids[turns[i].edit] ^= 1;
        sync_to(s, turns[i].n);
        assert_int_equal(exaone_session_reused(s), turns[i].reused);
        same_as_cold(s, &o, turns[i].n);
    }
    exaone_session_free(s);
    (void)fill(NULL);
    ids[5000] ^= 1; /* a fork comes back to the same places, also when the other is gone */
    sync_to(fork, 5100);
    assert_int_equal(exaone_session_reused(fork), 4095);
    same_as_cold(fork, &o, 5100);
    exaone_session_free(fork);
}

/* A question behind a reply is asked otherwise: only the question is read. */
static void ends_of_turns(void **state) {
    (void)state;
    for (int draft = 0; draft < 2; draft++) {
        exaone_session_options o = {.draft = draft};
        exaone_session *s = new_session(&o);
        exaone_error err = {0};
        sync_to(s, 500);
        for (size_t i = 500; i < 900; i++) { /* one by one: the draft module lags behind */
            assert_int_equal(exaone_session_append(s, ids[i], &err), EXAONE_OK);
        }
        sync_to(s, 1400);
        assert_int_equal(exaone_session_reused(s), 900);
        for (size_t i = 900; i < 1400; i++) {
            ids[i] ^= 1;
        }
        sync_to(s, 1400);
        if (draft) {
            size_t reused = exaone_session_reused(s);
            assert_true(reused <= 899 && reused >= 899 - EXAONE_TAIL_ROWS);
            same_as_cold(s, &o, 1400);
        } else {
            assert_int_equal(exaone_session_reused(s), 899);
        }
        ids[600] ^= 1; /* in the reply: back to the end of the first prompt */
        sync_to(s, 1400);
        assert_int_equal(exaone_session_reused(s), 499);
        exaone_session_free(s);
        (void)fill(NULL);
    }
}

/* Evaluates a prompt in chunks of 16. */
static void evaluate(exaone_sequence *s, exaone_step *step, size_t n) {
    exaone_error err = {0};
    exaone_prompt p = {.ids = ids, .n_ids = n};
    assert_int_equal(exaone_sequence_begin(s, &p, NULL, &err), EXAONE_OK);
    while (s->length < n) {
        size_t rows = n - s->length < 16 ? n - s->length : 16;
        exaone_step_group group = {.seq = s, .n = rows, .n_logits = s->length + rows == n};
        assert_int_equal(exaone_step_run(step, &group, 1, &err), EXAONE_OK);
    }
}

static exaone_sequence *new_sequence(void) {
    exaone_error err = {0};
    exaone_sequence *s;
    exaone_sequence_options o = {.n_ctx = 512, .chunk = 16, .drafts = true};
    assert_int_equal(exaone_sequence_new(engine, &o, &s, &err), EXAONE_OK);
    return s;
}

/* The hidden state of a second draft: what is in the draft module's window goes into it. */
static void draft(exaone_sequence *s, exaone_step *step, float *hidden) {
    exaone_error err = {0};
    exaone_step_drafts d = {.seq = s, .next = 7, .n = 2};
    assert_int_equal(exaone_step_draft(step, &d, 1, &err), EXAONE_OK);
    memcpy(hidden, step->wanted, (size_t)engine->config.hidden_size * sizeof *hidden);
}

/* A mark where the draft module lags behind, in each state of its tail. */
static void lagging_drafts(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_step step;
    static float warm[1024], cold[1024];
    size_t hidden = (size_t)engine->config.hidden_size;
    assert_true(hidden <= 1024);
    assert_int_equal(exaone_step_init(&step, engine, 16, 1, EXAONE_TAIL_ROWS, &err), EXAONE_OK);
    for (size_t end = 81; end < 81 + 2 * EXAONE_TAIL_ROWS; end++) {
        exaone_sequence *s = new_sequence(), *fresh = new_sequence();
        evaluate(s, &step, 80);
        while (s->length < end) {
            exaone_step_group group = {.seq = s, .n = 1, .n_logits = 1};
            assert_int_equal(exaone_sequence_add(s, ids[s->length], &err), EXAONE_OK);
            assert_int_equal(exaone_step_run(&step, &group, 1, &err), EXAONE_OK);
        }
        size_t had = s->mtp_length < end - 1 ? s->mtp_length : end - 1;
        evaluate(s, &step, end + 200);
        ids[end] ^= 1;
        evaluate(s, &step, end + 1);
        assert_int_equal(s->reused, had);
        evaluate(fresh, &step, end + 1);
        assert_memory_equal(s->logits, fresh->logits, VOCAB * sizeof *s->logits);
        draft(s, &step, warm);
        draft(fresh, &step, cold);
        assert_memory_equal(warm, cold, hidden * sizeof *warm);
        exaone_sequence_free(s);
        exaone_sequence_free(fresh);
    }
    exaone_step_release(&step);
}

/* ---- which marks stay ---- */

static exaone_kv_cache *new_cache(void) {
    exaone_kv_cache *c;
    exaone_error err = {0};
    exaone_kv_options o = {.n_ctx = 32768, .chunk = 256, .slack = 8, .k_type = EXAONE_F16, .v_type = EXAONE_F16};
    assert_int_equal(exaone_kv_cache_open(engine->be, &engine->config, &o, &c, &err), EXAONE_OK);
    return c;
}

static void go_to(exaone_kv_cache *c, size_t n) {
    exaone_error err = {0};
    while (c->length < n) {
        size_t next = n - c->length < 256 ? n : c->length + 256;
        assert_int_equal(exaone_kv_cache_reserve(c, next, &err), EXAONE_OK);
        c->length = next;
    }
}

static size_t place(const exaone_marks *m, size_t n) {
    const exaone_kv_checkpoint *k = exaone_marks_find(m, n);
    return k ? exaone_kv_checkpoint_length(k) : 0;
}

static void thinning(void **state) {
    (void)state;
    exaone_kv_cache *c = new_cache();
    exaone_marks m = {0};
    for (size_t n = 256; n <= 25600; n += 256) {
        go_to(c, n);
        exaone_marks_add(&m, c, n, n == 512, EXAONE_MARK_BYTES);
        assert_true(m.n <= EXAONE_MAX_MARKS);
        assert_int_equal(place(&m, n), n);
        assert_int_equal(place(&m, 700), n >= 512 ? 512 : 256); /* the newest end of a prompt */
    }
    assert_int_equal(m.n, EXAONE_MAX_MARKS);
    for (size_t n = 1; n < 25600; n++) { /* dense at the end, sparse far back */
        assert_true(n - place(&m, n) <= 256 + (25600 - n) / 2);
    }
    exaone_marks_drop_behind(&m, 512);
    assert_int_equal(place(&m, 25600), 512);
    exaone_marks_clear(&m);
    exaone_kv_cache_free(c);
}

static void budget(void **state) {
    (void)state;
    exaone_kv_cache *c = new_cache();
    exaone_marks m = {0};
    go_to(c, 1024);
    exaone_marks_add(&m, c, 1024, true, EXAONE_MARK_BYTES);
    size_t one = exaone_marks_bytes(&m, c);
    assert_int_equal(one, (c->n_layers - c->n_full) * c->page_bytes); /* its window is in one page */
    exaone_marks_add(&m, c, 1023, true, EXAONE_MARK_BYTES);           /* the one behind gives way */
    assert_int_equal(m.n, 1);
    go_to(c, 1030);
    exaone_marks_add(&m, c, 1030, true, EXAONE_MARK_BYTES);
    assert_int_equal(exaone_marks_bytes(&m, c), 3 * one); /* 1023 in one page, 1030 in two: the last was written between */
    for (size_t n = 1280; n <= 10240; n += 256) {
        go_to(c, n);
        exaone_marks_add(&m, c, n, false, 3 * one);
        assert_true(exaone_marks_bytes(&m, c) <= 3 * one);
        assert_int_equal(place(&m, n), n);
        assert_int_equal(place(&m, 1100), 1030); /* the newest end of a prompt stays */
    }
    go_to(c, 10400);
    exaone_marks_add(&m, c, 10368, true, one);
    assert_int_equal(m.n, 1);
    assert_int_equal(place(&m, 10400), 10368); /* a newer end */
    exaone_marks_add(&m, c, 10400, false, 2 * one);
    assert_int_equal(m.n, 2);
    exaone_marks_drop_one(&m); /* the end goes last */
    assert_int_equal(place(&m, 10400), 10368);
    exaone_marks_add(&m, c, 10390, true, one - 1);
    assert_int_equal(m.n, 0);
    exaone_kv_cache_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cuts_in_the_middle, fill),
        cmocka_unit_test_setup(ends_of_turns, fill),
        cmocka_unit_test_setup(lagging_drafts, fill),
        cmocka_unit_test(thinning),
        cmocka_unit_test(budget),
    };
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
