/* Opening, configuring, reading and writing with the Nth allocation failing, for every N: an error, never a crash, nothing
 * leaked.
 *
 * This program replaces the C library's allocator by one that counts and can be told to fail; sanitizers bring their own, so
 * the cases skip there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/make_gguf.h"
#include "../support/scratch.h"
#include "exaone/tensors.h"
#include "model/config.h"
#include "weights/weights.h"

typedef exaone_status action(void *ctx, exaone_error *err);

static exaone_status open_and_configure(void *ctx, exaone_error *err) {
    const char *const *paths = ctx;
    exaone_weights *w;
    exaone_status status = exaone_weights_open(paths[0], paths[1], &w, err);
    if (status == EXAONE_OK) {
        exaone_config c;
        status = exaone_config_load(w, &c, err);
        exaone_config_release(&c);
        exaone_weight t;
        if (status == EXAONE_OK &&
            exaone_weights_has(w, "model.language_model.odd")) { /* copied because it is not aligned */
            status =
                exaone_weights_get(w, "model.language_model.odd", EXAONE_DTYPES_FLOAT, 1, (const uint64_t[]){2}, &t, err);
        }
    }
    exaone_weights_close(w);
    return status;
}

static exaone_status load_and_save(void *ctx, exaone_error *err) {
    const char *const *paths = ctx;
    exaone_tensors *set;
    exaone_status status = exaone_tensors_load(paths[0], &set, err);
    if (status == EXAONE_OK) {
        status = exaone_tensors_add(set, "another", EXAONE_F32, 1, (const uint64_t[]){3}, NULL, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_tensors_save(set, paths[1], err);
    }
    exaone_tensors_free(set);
    return status;
}

static exaone_status convert(void *ctx, exaone_error *err) {
    const char *const *paths = ctx;
    return make_gguf(paths[0], paths[1], paths[2], EXAONE_BF16, err);
}

/* Fails the 1st, 2nd, … allocation until the action needs fewer. */
static void fail_each(action *run, void *ctx) {
    if (!HAVE_COUNTER) {
        printf("skip: the sanitizer has its own allocator\n");
        skip();
    }
    exaone_error err = {0};
    assert_int_equal(run(ctx, &err), EXAONE_OK); /* first with all memory: what the C library keeps is allocated now */
    long n;
    for (n = 1; n < 100000; n++) {
        long before = live;
        err = (exaone_error){0};
        fail_in = n;
        exaone_status status = run(ctx, &err);
        bool failed = fail_in == 0;
        fail_in = 0;
        assert_int_equal(live, before);
        if (!failed) {
            assert_int_equal(status, EXAONE_OK);
            break;
        }
        if (status != EXAONE_OK) { /* an allocation that the C library can do without may fail unnoticed */
            assert_true(err.code == status && err.message[0]);
        }
    }
    assert_in_range(n, 10, 99999);
}

static void opening_a_folder(void **state) {
    (void)state;
    const char *paths[2] = {"tests/golden/model/nano/checkpoint", NULL};
    fail_each(open_and_configure, paths);
}

static void opening_a_gguf_pair(void **state) {
    (void)state;
    const char *paths[3] = {"models/tiny", scratch_path("tiny.gguf"), scratch_path("tiny-mmproj.gguf")};
    exaone_error err = {0};
    assert_int_equal(make_gguf(paths[0], paths[1], paths[2], EXAONE_BF16, &err), EXAONE_OK);
    const char *open[2] = {paths[1], NULL}; /* the mmproj file is looked for */
    fail_each(open_and_configure, open);
}

static void opening_an_unaligned_file(void **state) {
    (void)state;
    static const char header[] = "{\"model.odd\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                                 "\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    char bytes[8 + sizeof header - 1 + 9] = {(char)(sizeof header - 1)};
    memcpy(bytes + 8, header, sizeof header - 1);
    const char *paths[2] = {scratch_write("odd/model.safetensors", bytes, sizeof bytes), NULL};
    scratch_write_text("odd/config.json", "{\"model_type\": \"exaone4\"}");
    fail_each(open_and_configure, paths);
}

static void reading_and_writing_tensors(void **state) {
    (void)state;
    const char *paths[2] = {"tests/golden/model/nano/stages/loss.safetensors", scratch_path("out.safetensors")};
    fail_each(load_and_save, paths);
}

static void writing_a_gguf_pair(void **state) {
    (void)state;
    const char *paths[3] = {"tests/golden/model/nano/checkpoint", scratch_path("made.gguf"), scratch_path("made.mm")};
    fail_each(convert, paths);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_a_folder),          cmocka_unit_test(opening_a_gguf_pair),
        cmocka_unit_test(opening_an_unaligned_file), cmocka_unit_test(reading_and_writing_tensors),
        cmocka_unit_test(writing_a_gguf_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
