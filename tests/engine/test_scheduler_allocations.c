/* A scheduler with a prefix cache, the Nth allocation failing in whichever thread: requests end with an error or the tokens
 * that they have otherwise, nothing is leaked, and the folder is usable afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/scratch.h"
#include "../support/skip.h"
#include "exaone/exaone.h"

enum { PROMPT = 150, REPLY = 12, REQUESTS = 3 };

static exaone_engine *engine;
static int32_t expected[REPLY];

typedef struct {
    exaone_request *request;
    int32_t ids[REPLY];
} asked;

static bool take(void *ctx, exaone_request *request, const exaone_generated *g) {
    asked *a = ctx;
    (void)request;
    a->ids[g->index] = g->id;
    return true;
}

/* Three requests, two of them for the same prompt and one for its beginning and something else. */
static exaone_status submit(exaone_scheduler *s, asked *a, int i, exaone_error *err) {
    int32_t ids[PROMPT];
    static const int32_t none = 0;
    for (int k = 0; k < PROMPT; k++) {
        ids[k] = (k * 37 + 5 + (i == 2 && k > 100)) % 60;
    }
    exaone_request_params p = {
        .prompt = {.ids = ids, .n_ids = PROMPT}, .stop_ids = &none, .max_tokens = REPLY, .on_token = take, .ctx = a};
    return exaone_scheduler_submit(s, &p, &a->request, err);
}

/* Whether everything worked; whatever did must be right. */
static bool use(const char *dir) {
    exaone_error err = {0};
    exaone_cache *cache = NULL;
    exaone_scheduler *s = NULL;
    asked a[REQUESTS] = {0};
    bool ok = exaone_cache_open(dir, NULL, &cache, &err) == EXAONE_OK;
    exaone_scheduler_options o = {.max_sequences = 2, .n_ctx = 256, .cache = cache, .draft = 2};
    ok = ok && exaone_scheduler_new(engine, &o, &s, &err) == EXAONE_OK;
    for (int i = 0; ok && i < REQUESTS; i++) {
        ok = submit(s, &a[i], i, &err) == EXAONE_OK;
    }
    for (int i = 0; i < REQUESTS; i++) {
        bool done = a[i].request && exaone_request_wait(a[i].request, NULL, &err) == EXAONE_OK;
        if (done && i < 2 && expected[0] == 0) {
            memcpy(expected, a[i].ids, sizeof expected);
        }
        if (done && i < 2) {
            assert_memory_equal(a[i].ids, expected, sizeof expected);
        }
        ok = ok && done;
        exaone_request_free(a[i].request);
    }
    exaone_scheduler_free(s);
    exaone_cache_close(cache);
    assert_true(ok || err.message[0]);
    return ok;
}

static void every_failure(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    exaone_error err = {0};
    exaone_cache_summary sum;
    const char *dir = scratch_path("cache");
    long failed = 0;
    assert_true(use(dir) && use(dir));
    for (long n = 1;; n++) {
        if (n % 2) {
            assert_int_equal(exaone_cache_clear(dir, NULL, &err), EXAONE_OK);
        }
        long before = live;
        fail_in = n;
        bool ok = use(dir);
        bool reached = fail_in <= 0;
        fail_in = 0;
        if (live != before) {
            fail_msg("allocation %ld: %ld left", n, live - before);
        }
        assert_int_equal(exaone_cache_inspect(dir, true, &sum, &err), EXAONE_OK);
        assert_int_equal(sum.broken, 0);
        failed += !ok;
        if (!reached) {
            assert_true(ok);
            print_message("%ld allocations, %ld failures\n", n - 1, failed);
            assert_true(failed > 20);
            return;
        }
    }
}

static int open_model(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    return exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &engine, &err) == EXAONE_OK ? 0 : -1;
}

static int close_model(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_failure)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
