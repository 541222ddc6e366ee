/* The prefix cache with the Nth allocation failing, by whichever thread, for every N, while it is written and while it is
 * read: an error or the very logits of a session without a cache, nothing leaked, and the folder is usable afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/sanitized.h"
#include "../support/scratch.h"
#include "../support/skip.h"
#include "exaone/cache.h"

enum { VOCAB = 512, PROMPT = 150, BLOCKS = 2 };

static exaone_engine *engine;
static float cold[2][VOCAB]; /* behind the prompt and behind one token more */

static int open_model(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    assert_int_equal(exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &engine, &err), EXAONE_OK);
    return 0;
}

static int close_model(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

static exaone_status turn(exaone_session *s, float logits[2][VOCAB], exaone_error *err) {
    int32_t ids[PROMPT];
    exaone_prompt prompt = {.ids = ids, .n_ids = PROMPT};
    for (int i = 0; i < PROMPT; i++) {
        ids[i] = (i * 37 + 5) % 60;
    }
    exaone_status status = exaone_session_sync(s, &prompt, NULL, NULL, err);
    if (status == EXAONE_OK) {
        memcpy(logits[0], exaone_session_logits(s), sizeof logits[0]);
        status = exaone_session_append(s, 9, err);
    }
    if (status == EXAONE_OK) {
        memcpy(logits[1], exaone_session_logits(s), sizeof logits[1]);
        exaone_session_save(s, true);
    }
    return status;
}

/* One process of a user: opens the folder (NULL: none), answers, closes. *reused: tokens that were loaded. */
static exaone_status use(const char *dir, float logits[2][VOCAB], size_t *reused, exaone_error *err) {
    exaone_session *s = NULL;
    exaone_cache *cache = NULL;
    exaone_session_options options = {.n_ctx = 256, .batch = 64, .draft = true};
    exaone_status status = dir ? exaone_cache_open(dir, NULL, &cache, err) : EXAONE_OK;
    status = status == EXAONE_OK ? exaone_session_open(engine, &options, &s, err) : status;
    status = status == EXAONE_OK ? exaone_session_set_cache(s, cache, err) : status;
    status = status == EXAONE_OK ? turn(s, logits, err) : status;
    *reused = status == EXAONE_OK ? exaone_session_reused(s) : 0;
    exaone_session_free(s);
    exaone_cache_close(cache);
    return status;
}

/* `empty`: the folder is emptied before each try, so that the entries are written in it; else they are read. */
static void every_failure(const char *name, bool empty) {
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    const char *dir = scratch_path(name);
    exaone_error err = {0};
    exaone_cache_summary sum;
    size_t reused, less = 0; /* answers with less from the folder than is in it */
    float logits[2][VOCAB];
    assert_int_equal(use(NULL, cold, &reused, &err), EXAONE_OK);
    for (int i = 0; i < 2; i++) { /* what the C library keeps after its first use is not counted below */
        assert_int_equal(use(dir, logits, &reused, &err), EXAONE_OK);
        assert_memory_equal(logits, cold, sizeof cold);
    }
    assert_int_equal(reused, BLOCKS * 64 - 1);
    for (long n = 1; n < 100000; n++) {
        if (empty) {
            assert_int_equal(exaone_cache_clear(dir, NULL, &err), EXAONE_OK);
        }
        long before = live;
        memset(&err, 0, sizeof err);
        fail_in = n;
        exaone_status status = use(dir, logits, &reused, &err);
        bool reached = fail_in <= 0;
        fail_in = 0;
        if (live != before || (status != EXAONE_OK && !err.message[0])) {
            fail_msg("allocation %ld: status %d, %ld left, \"%s\"", n, (int)status, live - before, err.message);
        }
        if (status == EXAONE_OK) {
            assert_memory_equal(logits, cold, sizeof cold);
            less += reused < (empty ? 0 : BLOCKS * 64 - 1);
        }
        assert_int_equal(exaone_cache_inspect(dir, true, &sum, &err), EXAONE_OK);
        assert_int_equal(sum.broken, 0);
        if (!reached) {
            print_message("%ld allocations, %zu loaded less\n", n - 1, less);
            assert_int_equal(status, EXAONE_OK);
            assert_int_equal(reused, empty ? 0 : BLOCKS * 64 - 1);
            assert_true(n > 50 && (empty || less > 0));
            return;
        }
        if (n % UNLESS_SANITIZED(1, 8) != 0) {
            continue;
        }
        assert_int_equal(use(dir, logits, &reused, &err), EXAONE_OK); /* with what is there, which it makes whole */
        assert_memory_equal(logits, cold, sizeof cold);
    }
    fail_msg("it never worked");
}

static void writing(void **state) {
    (void)state;
    every_failure("writing", true);
}

static void reading(void **state) {
    (void)state;
    every_failure("reading", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writing), cmocka_unit_test(reading)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
