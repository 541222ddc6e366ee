/* Memory of the converter: what it takes at most, and what happens when it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/failing_malloc.h"
#include "../support/sanitized.h"
#include "../support/fixture.h"
#include "../support/scratch.h"
#include "../support/skip.h"
#include "exaone/quantize.h"
#include "exaone/tensors.h"
#include "weights/weights.h"

#define NANO "tests/golden/model/nano/checkpoint"

#if HAVE_COUNTER
/* The nano model with another size of vocabulary, as a folder. */
static const char *wide_model(const char *folder, int vocab) {
    char path[64];
    exaone_error err = {0};
    exaone_weights *w;
    exaone_tensors *set = exaone_tensors_new();
    assert_int_equal(exaone_weights_open(NANO, NULL, &w, &err), EXAONE_OK);
    assert_non_null(set);
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        bool wide = strstr(t.name, "embed_tokens") || strcmp(t.name, "lm_head.weight") == 0;
        if (wide) {
            t.dims[0] = (uint64_t)vocab;
        }
        assert_int_equal(exaone_tensors_add(set, t.name, t.dtype, t.n_dims, t.dims, wide ? NULL : t.data, &err), EXAONE_OK);
    }
    exaone_weights_close(w);
    snprintf(path, sizeof path, "%s/x", folder);
    scratch_write_text(path, "");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(exaone_tensors_save(set, scratch_path(path), &err), EXAONE_OK);
    exaone_tensors_free(set);
    size_t n;
    char *config = fixture_read(NANO "/config.json", &n), *text = calloc(n + 64, 1), *at = config;
    assert_non_null(text);
    for (char *found; (found = strstr(at, "\"vocab_size\": "));) {
        strncat(text, at, (size_t)(found - at));
        char *end;
        (void)strtol(found + 14, &end, 10);
        snprintf(text + strlen(text), 32, "\"vocab_size\": %d", vocab);
        at = end;
    }
    strcat(text, at);
    snprintf(path, sizeof path, "%s/config.json", folder);
    scratch_write_text(path, text);
    free(config);
    free(text);
    return scratch_path(folder);
}
#endif

/* Every allocation of a conversion fails once: an error, nothing lost, no file. */
static void every_refused_allocation_is_an_error(void **state) {
    (void)state;
#if HAVE_COUNTER
    const char *source = wide_model("fail", 2048); /* room for the tiny model's tokens */
    static const char *const files[] = {"tokenizer.json", "generation_config.json"};
    for (size_t i = 0; i < 2; i++) {
        char from[64], to[64];
        size_t n;
        snprintf(from, sizeof from, "models/tiny/%s", files[i]);
        snprintf(to, sizeof to, "fail/%s", files[i]);
        char *bytes = fixture_read(from, &n);
        scratch_write(to, bytes, n);
        free(bytes);
    }
    const char *target = scratch_path("out.gguf"), *eyes = scratch_path("eyes.gguf");
    exaone_quantize_options o = {.type = "Q4_0", .mmproj_out = eyes, .threads = 1, .split_size = 1000000};
    exaone_status status = EXAONE_ERR_MEMORY;
    long n = 1, failed = 0;
    for (; status != EXAONE_OK && n < 5000; n++) {
        exaone_error err = {0};
        long before = live;
        fail_in = n;
        status = exaone_quantize(source, target, &o, NULL, &err);
        bool reached = fail_in == 0;
        fail_in = 0;
        if (live != before) {
            fail_msg("allocation %ld: %ld are lost", n, live - before);
        }
        if (status == EXAONE_OK) {
            assert_false(reached); /* no refused allocation goes unnoticed */
            break;
        }
        failed += status == EXAONE_ERR_MEMORY;
        assert_true(err.code == status && err.message[0] != 0);
        assert_int_not_equal(access(eyes, F_OK), 0);
    }
    assert_int_equal(status, EXAONE_OK);
    assert_true(n > 60 && failed == n - 1);
#else
    TEST_SKIP("sanitizers bring their own allocator");
#endif
}

/* The bound is the largest tensor twice (here 2 * 51 MB) and 256 MiB. What is held at once is far less: one step of 16 MiB
 * at most in each form, and the pages of the source that were just read. */
static void memory_does_not_grow_with_the_model(void **state) {
    (void)state;
#if !SANITIZED
    const char *source = wide_model("large", 200000), *target = scratch_path("large.gguf");
    static const char *const types[] = {"BF16", "Q8_0", "F32"};
    for (size_t i = 0; i < 3; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            exaone_quantize_options o = {.type = types[i], .no_mmproj = true, .force = true, .threads = 2};
            _exit(exaone_quantize(source, target, &o, NULL, NULL) == EXAONE_OK ? 0 : 1);
        }
        int result;
        struct rusage usage;
        assert_int_equal(wait4(child, &result, 0, &usage), child);
        assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
        print_message("%s: peak %ld KiB\n", types[i], usage.ru_maxrss);
        assert_true(usage.ru_maxrss < 96 * 1024);
    }
#else
    TEST_SKIP("sanitizers keep memory of their own");
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refused_allocation_is_an_error),
        cmocka_unit_test(memory_does_not_grow_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
