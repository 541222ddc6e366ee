/* Opening a model, a session and a prompt with an image with the Nth allocation failing, for every N: an error, never a
 * crash, nothing leaked. And decoding allocates and frees nothing but, where the timeline goes on to a new page of 64
 * tokens, a slab of pages (docs/sessions.md, "Memory of a session"): the backend's memory is the C library's, so all is
 * counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/sanitized.h"
#include "../support/skip.h"
#include "backend/backend.h"
#include "exaone/engine.h"
#include "exaone/scheduler.h"

static const exaone_engine_options options = {.n_threads = 1, .no_tokenizer = true};

static exaone_status open_model(exaone_engine **e, exaone_error *err) {
    return exaone_engine_open("tests/golden/model/micro/checkpoint", &options, e, err);
}

static exaone_status open_only(exaone_engine *unused, exaone_error *err) {
    (void)unused;
    exaone_engine *e = NULL;
    exaone_status s = open_model(&e, err);
    exaone_engine_close(e);
    return s;
}

static float pixel_values[16 * 1176];

static exaone_status answer(exaone_engine *e, exaone_error *err) {
    exaone_session *session = NULL;
    exaone_pixels pixels = {.values = pixel_values, .rows = 16, .cols = 1176, .grid = {1, 4, 4}};
    exaone_prompt_media media = {&pixels, false};
    int32_t ids[] = {1, 2, 67, 67, 67, 67, 3, 4};
    exaone_prompt prompt = {.ids = ids, .n_ids = 8, .media = &media, .n_media = 1};
    exaone_status s = exaone_session_new(e, 256, &session, err);
    if (s == EXAONE_OK) {
        s = exaone_session_sync(session, &prompt, NULL, NULL, err);
    }
    for (int32_t id = 5; s == EXAONE_OK && id < 8; id++) {
        s = exaone_session_append(session, id, err);
    }
    exaone_session_free(session);
    return s;
}

typedef exaone_status action(exaone_engine *e, exaone_error *err);

/* Fails the 1st, 2nd, … allocation until the action works. */
static void every_failure(action *fn, exaone_engine *e) {
    exaone_error err = {0};
    assert_int_equal(fn(e, &err), EXAONE_OK); /* what the C library keeps after its first use is not counted below */
    for (long n = 1; n < 100000; n++) {
        long before = live;
        memset(&err, 0, sizeof err);
        fail_in = n;
        exaone_status s = fn(e, &err);
        bool reached = fail_in == 0;
        fail_in = 0;
        if (s == EXAONE_OK && !reached) {
            print_message("%ld allocations\n", n - 1);
            assert_true(n > 1);
            return;
        }
        if (live != before || (s != EXAONE_OK && !err.message[0])) {
            fail_msg("allocation %ld: status %d, %ld left, \"%s\"", n, (int)s, live - before, err.message);
        }
    }
    fail_msg("it never worked");
}

static void test_opening(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    every_failure(open_only, NULL);
}

static void test_answering(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    exaone_engine *e = NULL;
    exaone_error err = {0};
    assert_int_equal(open_model(&e, &err), EXAONE_OK);
    every_failure(answer, e);
    exaone_engine_close(e);
}

/* ---- decoding ---- */

enum { PROMPT = 70, CONTEXT = UNLESS_SANITIZED(512, 200), MOST_STREAMS = 4, REPLY = UNLESS_SANITIZED(100, 60) };
enum {
    MOST_SLABS = 2
}; /* at one border: the rest that the formula of the memory still gives, and one for a mark's copies */

static void fill(int32_t *ids, size_t n, int32_t seed) {
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((i * 37 + (size_t)seed * 11 + i * i % 13) % 500);
        ids[i] += ids[i] == 67 || ids[i] == 68 ? 5 : 0;
    }
}

/* Settings that use every processor of the sampler, or greedy. */
static exaone_sampling settings(bool sampled) {
    static const exaone_logit_bias bias[] = {{100, 2}, {53, 1}};
    exaone_sampling p;
    exaone_sampling_default(&p);
    p.do_sample = sampled;
    if (sampled) {
        p.temperature = 0.8;
        p.top_k = 40;
        p.top_p = 0.95;
        p.min_p = 0.01;
        p.typical_p = 0.99;
        p.repetition_penalty = 1.1;
        p.presence_penalty = 0.5;
        p.frequency_penalty = 0.3;
        p.logit_bias = bias;
        p.n_logit_bias = 2;
    }
    return p;
}

static size_t pages_for(size_t tokens) {
    return (tokens + EXAONE_KV_PAGE - 1) / EXAONE_KV_PAGE;
}

/* A reply to the end of the context. The first step copies the pages that the mark at the prompt's end refers to. */
static void decode(exaone_engine *e, int draft, bool sampled) {
    static const int32_t none = -1;
    exaone_error err = {0};
    exaone_session_options o;
    exaone_session *s;
    exaone_sampler *sampler;
    exaone_sampling params = settings(sampled);
    int32_t ids[PROMPT];
    exaone_prompt prompt = {.ids = ids, .n_ids = PROMPT};
    exaone_session_options_default(&o);
    o.n_ctx = CONTEXT;
    o.batch = 32;
    o.draft = draft != 0;
    fill(ids, PROMPT, 1);
    assert_int_equal(exaone_session_open(e, &o, &s, &err), EXAONE_OK);
    size_t vocab = (size_t)exaone_engine_info(e)->vocab_size;
    assert_int_equal(exaone_sampler_new(&params, vocab, NULL, 0, &sampler, &err), EXAONE_OK);
    assert_int_equal(exaone_sampler_prompt(sampler, ids, PROMPT, &err), EXAONE_OK);
    assert_int_equal(exaone_session_sync(s, &prompt, NULL, NULL, &err), EXAONE_OK);
    exaone_draft_options d = {.n = draft, .stop_ids = &none, .n_stop_ids = 1};
    const exaone_generation_stats *stats = exaone_session_stats(s);
    size_t pages = 0, quiet = 0, slabs = 0;
    for (size_t step = 0; exaone_session_length(s) < CONTEXT; step++) {
        int32_t out[EXAONE_MAX_DRAFT + 1];
        size_t n, before = exaone_session_length(s);
        uint64_t drafted = stats->drafted;
        long calls_before = calls;
        assert_int_equal(exaone_session_generate(s, sampler, &d, out, &n, &err), EXAONE_OK);
        long made = calls - calls_before;
        size_t reached = pages_for(before + 1 + (size_t)(stats->drafted - drafted));
        if (reached <= pages && made != 0) {
            fail_msg("draft %d: %ld calls of the allocator in step %zu, %zu tokens before", draft, made, step, before);
        }
        if (made > 2 * MOST_SLABS) { /* a slab is two allocations: the pages and their counts */
            fail_msg("draft %d: %ld calls of the allocator at the page border behind %zu tokens", draft, made, before);
        }
        quiet += reached <= pages ? n : 0;
        slabs += (size_t)made / 2;
        pages = reached > pages ? reached : pages;
    }
    print_message("draft %d: %zu tokens without a call, %zu slabs\n", draft, quiet, slabs);
    assert_true(quiet > (CONTEXT - PROMPT) * 3 / 4 && slabs > 0);
    exaone_sampler_free(sampler);
    exaone_session_free(s);
}

static void test_decoding(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    static const char *const models[] = {"models/tiny", "tests/golden/model/micro/checkpoint"};
    static const int drafts[] = {0, 1, 3, EXAONE_DRAFT_AUTO};
    for (int m = 0; m < UNLESS_SANITIZED(2, 1); m++) {
        exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
        exaone_engine *e;
        exaone_error err = {0};
        assert_int_equal(exaone_engine_open(models[m], &o, &e, &err), EXAONE_OK);
        for (int i = 0; i < 8; i += UNLESS_SANITIZED(1, 5)) {
            decode(e, drafts[i % 4], i < 4);
        }
        exaone_engine_close(e);
    }
}

/* What the callbacks of the streams see, all on the scheduler's thread. */
typedef struct {
    size_t tokens[MOST_STREAMS], counted;
    long first, last; /* calls of the allocator when the counting began, and when it ended; < 0: not yet */
} watch;

typedef struct {
    watch *w;
    size_t stream;
} watched;

/* Counting begins when every stream is past its first tokens and ends before the first one comes to a new page. */
static bool watch_token(void *ctx, exaone_request *r, const exaone_generated *t) {
    (void)r;
    watched *me = ctx;
    watch *w = me->w;
    size_t least = SIZE_MAX, most = 0;
    w->tokens[me->stream] = t->index + 1;
    for (size_t i = 0; i < MOST_STREAMS; i++) {
        least = w->tokens[i] < least ? w->tokens[i] : least;
        most = w->tokens[i] > most ? w->tokens[i] : most;
    }
    if (w->first < 0 && least > EXAONE_MAX_DRAFT + 1) {
        w->first = calls;
        w->counted = 0;
    }
    if (w->first >= 0 && most + PROMPT + EXAONE_MAX_DRAFT + 1 <= pages_for(PROMPT) * EXAONE_KV_PAGE) {
        w->last = calls;
        w->counted++;
    }
    return true;
}

static void test_streams(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    static const int32_t none = -1;
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
    exaone_engine *e;
    exaone_error err = {0};
    assert_int_equal(exaone_engine_open("models/tiny", &o, &e, &err), EXAONE_OK);
    for (int i = 0; i < 5; i += UNLESS_SANITIZED(1, 4)) {
        static const size_t drafts[] = {0, 1, 3, 0, 3};
        exaone_scheduler_options so = {.max_sequences = MOST_STREAMS, .n_ctx = 256, .draft = drafts[i], .no_draft = i == 0};
        exaone_scheduler *s;
        exaone_request *requests[MOST_STREAMS];
        watch w = {.first = -1, .last = -1};
        watched streams[MOST_STREAMS];
        int32_t ids[MOST_STREAMS][PROMPT];
        exaone_sampling params = settings(i == 4);
        assert_int_equal(exaone_scheduler_new(e, &so, &s, &err), EXAONE_OK);
        for (size_t k = 0; k < MOST_STREAMS; k++) {
            fill(ids[k], PROMPT, (int32_t)k + 2);
            streams[k] = (watched){&w, k};
            exaone_request_params p = {.prompt = {.ids = ids[k], .n_ids = PROMPT},
                                       .sampling = &params,
                                       .stream = (uint32_t)k,
                                       .stop_ids = &none,
                                       .max_tokens = REPLY,
                                       .on_token = watch_token,
                                       .ctx = &streams[k]};
            assert_int_equal(exaone_scheduler_submit(s, &p, &requests[k], &err), EXAONE_OK);
        }
        for (size_t k = 0; k < MOST_STREAMS; k++) {
            exaone_reply reply;
            assert_int_equal(exaone_request_wait(requests[k], &reply, &err), EXAONE_OK);
            assert_int_equal(reply.n_tokens, REPLY);
        }
        print_message("streams, draft %zu: %zu tokens, %ld calls of the allocator\n", drafts[i], w.counted,
                      w.last - w.first);
        assert_true(w.counted >= 40);
        assert_int_equal(w.last, w.first);
        for (size_t k = 0; k < MOST_STREAMS; k++) {
            exaone_request_free(requests[k]);
        }
        exaone_scheduler_free(s);
    }
    exaone_engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_opening), cmocka_unit_test(test_answering),
                                       cmocka_unit_test(test_decoding), cmocka_unit_test(test_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
