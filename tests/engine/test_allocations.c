/* Opening a model, a session and a prompt with an image with the Nth allocation failing, for every N: an error, never a
 * crash, nothing leaked; and decoding a token allocates nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/skip.h"
#include "exaone/engine.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_opening), cmocka_unit_test(test_answering)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
