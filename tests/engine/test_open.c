/* Opening models whose files lack something or hold something else than they should: errors that name it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* A folder made of links to the tiny model's files, but for NAME; returns the path of NAME in it. */
static const char *folder_without(const char *folder, const char *name) {
    static const char *const files[] = {
        "config.json",    "generation_config.json", "preprocessor_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",  "chat_template.jinja",      "model.safetensors.index.json"};
    char cwd[400], to[800], local[200];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(local, sizeof local, "%s/x", folder);
    scratch_write_text(local, "");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(to, sizeof to, "%s/models/tiny/%s", cwd, files[i]);
        snprintf(local, sizeof local, "%s/%s", folder, files[i]);
        if (strcmp(files[i], name) != 0 && access(to, R_OK) == 0) {
            assert_int_equal(symlink(to, scratch_path(local)), 0);
        }
    }
    snprintf(local, sizeof local, "%s/%s", folder, name);
    return scratch_path(local);
}

/* Only absence is absence: a pipe, a folder or a link to nothing in the place of an optional file is an error. */
static void optional_files_are_files(void **state) {
    (void)state;
    static const char *const names[] = {"generation_config.json", "preprocessor_config.json",
                                        "video_preprocessor_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[40];
        for (int kind = 0; kind < 3; kind++) {
            snprintf(folder, sizeof folder, "optional-%zu-%d", i, kind);
            const char *path = folder_without(folder, names[i]);
            assert_int_equal(kind == 0 ? mkfifo(path, 0600) : kind == 1 ? mkdir(path, 0700) : symlink("nowhere", path), 0);
            refused(scratch_path(folder), names[i]);
        }
        snprintf(folder, sizeof folder, "optional-%zu", i);
        (void)folder_without(folder, names[i]);
        exaone_engine *engine;
        exaone_error err = {0};
        if (exaone_engine_open(scratch_path(folder), &(exaone_engine_options){.n_threads = 1}, &engine, &err) != EXAONE_OK) {
            fail_msg("without %s: %s", names[i], err.message);
        }
        exaone_engine_close(engine);
    }
}

static void other_patches_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } cases[] = {
        {"preprocessor_config.json", "{\"patch_size\": 16}", "patch_size is 16 for images (preprocessor_config.json or"},
        {"preprocessor_config.json", "{\"merge_size\": 3}", "merge_size is 3 for images"},
        {"video_preprocessor_config.json", "{\"temporal_patch_size\": 4}",
         "temporal_patch_size is 4 for videos (video_preprocessor_config.json or processor_config.json), the vision tower "
         "has 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[40], file[80];
        snprintf(folder, sizeof folder, "patches-%zu", i);
        (void)folder_without(folder, cases[i].name);
        snprintf(file, sizeof file, "%s/%s", folder, cases[i].name);
        scratch_write_text(file, cases[i].text);
        refused(scratch_path(folder), cases[i].words);
    }
}

static void a_broken_tokenizer_is_named_with_its_path(void **state) {
    (void)state;
    (void)folder_without("broken-tokenizer", "tokenizer.json");
    scratch_write_text("broken-tokenizer/tokenizer.json", "{}");
    refused(scratch_path("broken-tokenizer"), "/broken-tokenizer/tokenizer.json: model is missing");
    scratch_write_text("broken-tokenizer/tokenizer.json", "[");
    refused(scratch_path("broken-tokenizer"), "/broken-tokenizer/tokenizer.json: ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_gguf_keys_are_named),
        cmocka_unit_test(optional_files_are_files),
        cmocka_unit_test(other_patches_are_refused),
        cmocka_unit_test(a_broken_tokenizer_is_named_with_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
