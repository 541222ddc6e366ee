/* Quantised Hugging Face folders as sources: the file holds what their matrices mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../support/make_quantised.h"
#include "../support/scratch.h"
#include "exaone/quantize.h"
#include "weights/gguf.h"

#define NANO "tests/golden/model/nano/checkpoint"
#define LINEAR "\"targets\": [\"Linear\"], "
#define PACKED                                                                                                       \
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": {\"g\": {" LINEAR \
    "\"weights\": {\"num_bits\": 4, \"type\": \"int\", \"strategy\": \"group\", \"group_size\": 32, \"symmetric\": %s}}}}"

static void keep_note(void *ctx, const char *text) {
    if (!strstr(text, "has no tokenizer")) { /* as the nano folder */
        snprintf(ctx, 1024, "%s", text);
    }
}

static exaone_gguf *converted(const char *source, const char *name, const char *type, char *note) {
    exaone_error err = {0};
    exaone_quantize_options o = {.type = type, .no_mmproj = true, .note = keep_note, .ctx = note};
    if (exaone_quantize(scratch_path(source), scratch_path(name), &o, NULL, &err) != EXAONE_OK) {
        fail_msg("%s: %s", source, err.message);
    }
    exaone_gguf *g;
    assert_int_equal(exaone_gguf_open(scratch_path(name), &g, &err), EXAONE_OK);
    return g;
}

static void a_folder_gives_what_its_twin_of_plain_values_gives(void **state) {
    (void)state;
    static char symmetric[512], asymmetric[512];
    snprintf(symmetric, sizeof symmetric, PACKED, "true");
    snprintf(asymmetric, sizeof asymmetric, PACKED, "false");
    const quantised_form forms[] = {
        {.dtype = EXAONE_I4, .rows = 1, .cols = 32, .scale_dtype = EXAONE_BF16, .config = symmetric},
        {.dtype = EXAONE_I4, .asymmetric = true, .rows = 1, .cols = 32, .scale_dtype = EXAONE_BF16, .config = asymmetric},
        {.dtype = EXAONE_F8_E4M3,
         .rows = 128,
         .cols = 128,
         .scale_dtype = EXAONE_F32,
         .fp8 = true,
         .config = "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char q[32], twin[32], a[48], b[48], note[1024] = "", unused[1024] = "";
        snprintf(q, sizeof q, "q%zu", i);
        snprintf(twin, sizeof twin, "twin%zu", i);
        make_quantised(NANO, &forms[i], q, twin);
        for (int bf16 = 0; bf16 < 2; bf16++) {
            snprintf(a, sizeof a, "a%zu%d.gguf", i, bf16);
            snprintf(b, sizeof b, "b%zu%d.gguf", i, bf16);
            exaone_gguf *x = converted(q, a, bf16 ? "BF16" : "F32", note),
                        *y = converted(twin, b, bf16 ? "BF16" : "F32", unused);
            assert_non_null(strstr(note, "are quantised already"));
            assert_string_equal(unused, "");
            assert_int_equal(exaone_gguf_tensor_count(x), exaone_gguf_tensor_count(y));
            for (size_t k = 0; k < exaone_gguf_tensor_count(x); k++) {
                const exaone_gguf_tensor *t = exaone_gguf_tensor_at(x, k), *u = exaone_gguf_tensor_at(y, k);
                assert_string_equal(t->name, u->name);
                assert_int_equal(t->dtype, u->dtype);
                assert_int_equal(t->bytes, u->bytes);
                if (memcmp(t->data, u->data, t->bytes) != 0) {
                    fail_msg("form %zu: %s differs", i, t->name);
                }
            }
            exaone_gguf_close(x);
            exaone_gguf_close(y);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_gives_what_its_twin_of_plain_values_gives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
