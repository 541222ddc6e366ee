/* Opening models whose files lack something or hold something else than they should: errors that name it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/make_gguf.h"
#include "../support/scratch.h"
#include "exaone/engine.h"

static void refused(const char *path, const char *words) {
    exaone_engine *engine = NULL;
    exaone_error err = {0};
    exaone_status s = exaone_engine_open(path, &(exaone_engine_options){.n_threads = 1}, &engine, &err);
    exaone_engine_close(engine);
    if (s == EXAONE_OK || !strstr(err.message, words)) {
        fail_msg("status %d, message \"%s\", not \"%s\"", (int)s, err.message, words);
    }
}

/* The tiny model as GGUF with the key's first letter changed: absent for every reader, nothing else moves. */
static void missing_gguf_keys_are_named(void **state) {
    (void)state;
    static const char *const keys[] = {
        "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type",
        "exaone4.nextn_predict_layers",
        "exaone4.attention.sliding_window",
        "exaone4.attention.layer_norm_rms_epsilon",
        "exaone4.rope.freq_base",
    };
    exaone_error err = {0};
    const char *path = scratch_path("keys/whole.gguf");
    scratch_write_text("keys/x", "");
    assert_int_equal(make_gguf("models/tiny", path, NULL, EXAONE_BF16, &err), EXAONE_OK);
    size_t n;
    char *bytes = fixture_read(path, &n);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t length = strlen(keys[i]);
        char *at = memmem(bytes, n, keys[i], length);
        assert_non_null(at);
        *at = '_';
        char words[80];
        strcpy(words, keys[i]);
        strcat(words, " is missing");
        refused(scratch_write("broken.gguf", bytes, n), words);
        *at = keys[i][0];
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_gguf_keys_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
