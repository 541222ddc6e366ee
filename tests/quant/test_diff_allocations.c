/* Importance matrices and diff when any allocation fails: an error, nothing kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/scratch.h"
#include "exaone/diff.h"
#include "exaone/engine.h"
#include "quant/imatrix.h"

#define NANO "tests/golden/model/nano/checkpoint"

static char path[300];

typedef exaone_status step_fn(exaone_error *err);

/* Fails the first allocation, then the second … until the step is done. */
static void starve(step_fn *step) {
    if (!HAVE_COUNTER) {
        skip();
    }
    exaone_error err;
    exaone_status s = EXAONE_OK;
    bool reached = true;
    long n;
    assert_int_equal(step(&err), EXAONE_OK); /* what the C library keeps is made */
    long before = live;
    for (n = 1; reached && n < 100000; n++) {
        err = (exaone_error){0};
        fail_in = n;
        s = step(&err);
        reached = fail_in == 0;
        fail_in = 0;
        if (live != before || (s != EXAONE_OK && (!reached || s != EXAONE_ERR_MEMORY || !err.message[0]))) {
            fail_msg("allocation %ld: status %d, \"%s\", %ld kept", n, (int)s, err.message, live - before);
        }
    }
    assert_true(s == EXAONE_OK && n > 10);
}

static exaone_status save(exaone_error *err) {
    exaone_imatrix *im = NULL;
    exaone_imatrix_entry *e;
    exaone_status s = exaone_imatrix_new(&im, err);
    for (int i = 0; s == EXAONE_OK && i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.ffn_up.weight", 2 - i);
        s = exaone_imatrix_slot(im, name, 64, &e, err);
        if (s == EXAONE_OK) {
            e->rows = 2;
            e->sum[3] = 7;
        }
    }
    if (s == EXAONE_OK) {
        s = exaone_imatrix_note(im, "a.txt", 1, 512, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_imatrix_save(im, path, err);
    }
    exaone_imatrix_close(im);
    return s;
}

static exaone_status read_and_merge(exaone_error *err) {
    exaone_imatrix *a = NULL, *b = NULL;
    exaone_status s = exaone_imatrix_new(&a, err);
    if (s == EXAONE_OK) {
        s = exaone_imatrix_open(path, &b, err);
    }
    for (int i = 0; s == EXAONE_OK && i < 2; i++) {
        s = exaone_imatrix_merge(a, b, err);
    }
    exaone_imatrix_close(a);
    exaone_imatrix_close(b);
    return s;
}

static exaone_status compare(exaone_error *err) {
    exaone_diff_options o = {.threads = 1};
    return exaone_diff_weights(NANO, NANO, &o, NULL, err);
}

static exaone_status observe(exaone_error *err) {
    exaone_imatrix *im = NULL;
    exaone_engine *e = NULL;
    exaone_status s = exaone_imatrix_new(&im, err);
    if (s == EXAONE_OK) {
        s = exaone_engine_open(NANO, &(exaone_engine_options){.n_threads = 1, .no_tokenizer = true, .imatrix = im}, &e, err);
    }
    exaone_engine_close(e);
    exaone_imatrix_close(im);
    return s;
}

static void test_saving(void **state) {
    (void)state;
    starve(save);
}

static void test_reading_and_merging(void **state) {
    (void)state;
    starve(read_and_merge);
}

static void test_comparing(void **state) {
    (void)state;
    starve(compare);
}

static void test_observing(void **state) {
    (void)state;
    starve(observe);
}

int main(void) {
    snprintf(path, sizeof path, "%s", scratch_path("im.gguf"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saving),
        cmocka_unit_test(test_reading_and_merging),
        cmocka_unit_test(test_comparing),
        cmocka_unit_test(test_observing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
