/* The feature cache: what was used longest ago goes first, the budget holds, what is in use stays valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_internal.h"

enum { BYTES = 1024 };

static exaone_engine *engine;

static void name(uint8_t digest[EXAONE_MEDIUM_DIGEST], int n) {
    memset(digest, n, EXAONE_MEDIUM_DIGEST);
}

static void put(exaone_feature_cache *c, int n, size_t bytes) {
    uint8_t digest[EXAONE_MEDIUM_DIGEST];
    exaone_features *f;
    exaone_error err = {0};
    name(digest, n);
    assert_int_equal(exaone_feature_cache_make(c, bytes, digest, &f, &err), EXAONE_OK);
    f->values[0] = (float)n;
    exaone_feature_cache_keep(c, f);
    exaone_feature_cache_drop(c, f);
}

static bool has(exaone_feature_cache *c, int n) {
    uint8_t digest[EXAONE_MEDIUM_DIGEST];
    name(digest, n);
    exaone_features *f = exaone_feature_cache_find(c, digest);
    bool found = f != NULL;
    assert_true(!f || f->values[0] == (float)n);
    exaone_feature_cache_drop(c, f);
    return found;
}

static void test_order(void **state) {
    (void)state;
    exaone_feature_cache c;
    exaone_error err = {0};
    assert_int_equal(exaone_feature_cache_init(&c, engine->be, 3 * BYTES, &err), EXAONE_OK);
    put(&c, 1, BYTES);
    put(&c, 2, BYTES);
    put(&c, 3, BYTES);
    assert_true(has(&c, 1)); /* 2 is the oldest now */
    put(&c, 4, BYTES);
    assert_false(has(&c, 2));
    assert_true(has(&c, 3) && has(&c, 1) && has(&c, 4));
    put(&c, 4, BYTES); /* twice the same is kept once */
    assert_int_equal(c.bytes, 3 * BYTES);
    put(&c, 5, 4 * BYTES); /* larger than the budget: not kept, nothing goes for it */
    assert_false(has(&c, 5));
    assert_int_equal(c.bytes, 3 * BYTES);
    put(&c, 6, 3 * BYTES);
    assert_true(has(&c, 6));
    assert_false(has(&c, 1) || has(&c, 3) || has(&c, 4));
    exaone_feature_cache_release(&c);
}

static void test_use(void **state) {
    (void)state;
    exaone_feature_cache c;
    exaone_error err = {0};
    uint8_t digest[EXAONE_MEDIUM_DIGEST];
    assert_int_equal(exaone_feature_cache_init(&c, engine->be, BYTES, &err), EXAONE_OK);
    put(&c, 1, BYTES);
    name(digest, 1);
    exaone_features *f = exaone_feature_cache_find(&c, digest), *again = exaone_feature_cache_hold(&c, f);
    put(&c, 2, BYTES);
    assert_false(has(&c, 1));
    exaone_feature_cache_drop(&c, f);
    assert_true(again->values[0] == 1); /* gone from the cache, valid for its holder */
    exaone_feature_cache_drop(&c, again);
    exaone_feature_cache_release(&c);
    exaone_feature_cache_release(&c); /* harmless */
}

static int open_micro(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    return exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &engine, &err) != EXAONE_OK;
}

static int close_micro(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_use)};
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
