/* Quantised Hugging Face folders: the reference's values bit for bit, whole models against their dequantised twins, and
 * files that do not hold what they say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/make_quantised.h"
#include "../support/scratch.h"
#include "base/half.h"
#include "exaone/engine.h"
#include "model/quantization.h"

#define WEIGHTS "tests/golden/edges/weights/"
#define NANO "tests/golden/model/nano/checkpoint"
#define GROUP(targets, arguments) \
    "\"config_groups\": {\"group_0\": {\"targets\": [" targets "], \"weights\": {" arguments "}}}"
#define PACKED(arguments)                                                                                  \
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"quantization_status\": " \
    "\"compressed\", " GROUP("\"Linear\"", "\"type\": \"int\", \"num_bits\": 4, \"strategy\": \"group\", " arguments)
#define FLOAT8(arguments)                                                                 \
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", " GROUP( \
        "\"Linear\"", "\"type\": \"float\", \"num_bits\": 8, " arguments)

static exaone_quantization *parse(const char *json) {
    exaone_error err = {0};
    exaone_arena arena;
    exaone_json *root;
    exaone_quantization *q = NULL;
    exaone_arena_init(&arena, 1 << 20);
    assert_int_equal(exaone_json_parse(json, strlen(json), &arena, &root, &err), EXAONE_OK);
    if (exaone_quantization_parse("config.json", "quantization_config.", root, &q, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    exaone_arena_release(&arena);
    return q;
}

/* ---- the reference's values ----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *file, *name, *config;
    bool bf16; /* also expected_bf16 */
} GOLDEN[] = {
    {WEIGHTS "compressed.safetensors", "sym", PACKED("\"group_size\": 128, \"symmetric\": true") "}", true},
    {WEIGHTS "compressed.safetensors", "asym", PACKED("\"group_size\": 128, \"symmetric\": false") "}", true},
    {WEIGHTS "compressed.safetensors", "asym-odd", PACKED("\"group_size\": 128, \"symmetric\": false") "}", true},
    {WEIGHTS "fp8.safetensors", "block", "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}", false},
    {WEIGHTS "fp8.safetensors", "block-exact", "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}", false},
    {WEIGHTS "fp8.safetensors", "channel", FLOAT8("\"strategy\": \"channel\"") "}", false},
    {WEIGHTS "fp8.safetensors", "tensor", FLOAT8("\"strategy\": \"tensor\"") "}", false},
};

static void values_of_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof GOLDEN / sizeof *GOLDEN; i++) {
        fixture f;
        char name[64];
        exaone_error err = {0};
        exaone_weights *w;
        exaone_matrix m;
        exaone_quantization *q = parse(GOLDEN[i].config);
        fixture_open(&f, GOLDEN[i].file);
        snprintf(name, sizeof name, "%s.expected_f32", GOLDEN[i].name);
        const fixture_tensor *want = fixture_get(&f, name, "F32");
        size_t n_out = (size_t)want->shape[0], n_in = (size_t)want->shape[1];
        assert_int_equal(exaone_weights_open(GOLDEN[i].file, NULL, &w, &err), EXAONE_OK);
        snprintf(name, sizeof name, "%s.weight", GOLDEN[i].name);
        if (exaone_quantization_matrix(q, w, name, n_out, n_in, &m, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
        snprintf(name, sizeof name, "%s.expected_bf16", GOLDEN[i].name);
        const fixture_tensor *rounded = GOLDEN[i].bf16 ? fixture_get(&f, name, "BF16") : NULL;
        float *row = malloc(n_in * sizeof *row);
        for (size_t r = 0; r < n_out; r++) {
            exaone_matrix_row_f32(&m, r, row);
            assert_memory_equal(row, want->data + r * n_in * sizeof *row, n_in * sizeof *row);
            for (size_t c = 0; rounded && c < n_in; c++) {
                uint16_t bits;
                memcpy(&bits, rounded->data + 2 * (r * n_in + c), 2);
                assert_int_equal(exaone_f32_to_bf16(row[c]), bits);
            }
        }
        free(row);
        exaone_weights_close(w);
        exaone_quantization_free(q);
        fixture_close(&f);
    }
}

/* ---- whole models --------------------------------------------------------------------------------------------------------
 */

#define IGNORE_AWQ "\"ignore\": [\"lm_head\", \"re:.*visual.*\", \"re:^mtp\\\\.(fc|layers)\\\\b\", \"re:.*down_proj$\"]}"

static const quantised_form FORMS[] = {
    {EXAONE_I4,
     false,
     1,
     128,
     EXAONE_BF16,
     false,
     {"lm_head", "visual", "mtp", "down_proj"},
     PACKED("\"group_size\": 128, \"symmetric\": true") ", " IGNORE_AWQ},
    {EXAONE_I4,
     true,
     1,
     128,
     EXAONE_BF16,
     false,
     {"lm_head", "visual", "mtp", "down_proj"},
     PACKED("\"group_size\": 128, \"symmetric\": false") ", " IGNORE_AWQ},
    {EXAONE_I4,
     true,
     1,
     32,
     EXAONE_F16,
     false,
     {"lm_head", "visual"},
     PACKED("\"group_size\": 32, \"symmetric\": false") ", \"ignore\": [\"lm_head\", \"re:model\\\\.visual\\\\..*\"]}"},
    {EXAONE_I4, true, 1, 16, EXAONE_F32, false, {NULL}, PACKED("\"group_size\": 16, \"symmetric\": false") "}"},
    {EXAONE_F8_E4M3,
     false,
     128,
     128,
     EXAONE_F32,
     true,
     {"lm_head", "visual"},
     "{\"quant_method\": \"fp8\", \"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\", \"weight_block_size\": [128, 128], "
     "\"modules_to_not_convert\": [\"lm_head\", \"model.visual\"]}"},
    {EXAONE_F8_E4M3,
     false,
     40,
     28,
     EXAONE_F32,
     true,
     {NULL},
     "{\"quant_method\": \"fp8\", \"weight_block_size\": [40, 28]}"},
    {EXAONE_F8_E4M3, false, 1, 0, EXAONE_BF16, false, {NULL}, FLOAT8("\"strategy\": \"channel\"") "}"},
    {EXAONE_F8_E4M3, false, 0, 0, EXAONE_F32, false, {NULL}, FLOAT8("\"strategy\": \"tensor\"") "}"},
    {EXAONE_F8_E4M3,
     false,
     64,
     48,
     EXAONE_BF16,
     false,
     {"lm_head"},
     FLOAT8("\"strategy\": \"block\", \"block_structure\": [64, 48]") ", \"ignore\": [\"lm_head\"]}"},
};

static exaone_tensors *run(const char *folder, exaone_precision precision, bool mtp) {
    exaone_error err = {0};
    exaone_engine *e;
    exaone_tensors *in, *out = NULL;
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true, .precision = precision};
    exaone_forward_options f = {.stages = mtp ? "all" : "logits", .mtp = mtp};
    const char *stage = mtp ? "tests/golden/model/nano/stages/mtp.safetensors"
                            : "tests/golden/model/nano/stages/multimodal_image_video.safetensors";
    if (exaone_engine_open(scratch_path(folder), &o, &e, &err) != EXAONE_OK ||
        exaone_tensors_load(stage, &in, &err) != EXAONE_OK || exaone_forward(e, in, &f, &out, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    exaone_tensors_free(in);
    exaone_engine_close(e);
    return out;
}

/* Relative L2 over all F32 results of two runs; frees them. */
static double distance(exaone_tensors *a, exaone_tensors *b) {
    double difference = 0, norm = 0;
    assert_true(exaone_tensors_count(a) > 0 && exaone_tensors_count(a) == exaone_tensors_count(b));
    for (size_t t = 0; t < exaone_tensors_count(a); t++) {
        const exaone_tensor *x = exaone_tensors_at(a, t), *y = exaone_tensors_get(b, x->name);
        assert_true(y && x->bytes == y->bytes);
        for (uint64_t i = 0; x->dtype == EXAONE_F32 && i < exaone_tensor_elements(x); i++) {
            double u = (double)((const float *)x->data)[i], v = (double)((const float *)y->data)[i];
            difference += (u - v) * (u - v);
            norm += v * v;
        }
    }
    exaone_tensors_free(a);
    exaone_tensors_free(b);
    return sqrt(difference / norm);
}

/* Changes one scale of layer 1 to `factor` times itself. */
static void change_scale(const char *folder, const quantised_form *f, float factor) {
    exaone_tensors *set = quantised_load(folder);
    const exaone_tensor *t = exaone_tensors_get(set, f->fp8 ? "model.language_model.layers.1.mlp.gate_proj.weight_scale_inv"
                                                            : "model.language_model.layers.1.mlp.gate_proj.weight_scale");
    assert_non_null(t);
    float x;
    exaone_dtype_to_f32(t->dtype, t->data, 1, &x);
    x *= factor;
    uint16_t half = t->dtype == EXAONE_BF16 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
    memcpy(t->data, t->dtype == EXAONE_F32 ? (const void *)&x : (const void *)&half, t->dtype == EXAONE_F32 ? 4 : 2);
    quantised_save(set, folder);
}

/* f32: the same kernels get the same values; 1e-5 is what the project allows. 8 bits: a random error of half a step in 127
 * per activation (uniform: 0.29 / 127 of the largest of 32, about 0.1 % to 0.5 % of the typical one) in each of some 30
 * products one after the other, growing with the root of their number: below 5 %. FP8 has no 8-bit activations. A changed
 * scale moves the result by more than 1e-4, ten times the bound (of gate_proj: a factor on the others is taken away by the
 * norm behind them). */
static void models(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        const quantised_form *f = &FORMS[i];
        make_quantised(NANO, f, "q", "twin");
        double exact = distance(run("q", EXAONE_PRECISION_F32, false), run("twin", EXAONE_PRECISION_F32, false));
        double mtp = distance(run("q", EXAONE_PRECISION_F32, true), run("twin", EXAONE_PRECISION_F32, true));
        double fast = distance(run("q", EXAONE_PRECISION_AUTO, false), run("twin", EXAONE_PRECISION_AUTO, false));
        change_scale("q", f, 1.5f);
        double changed = distance(run("q", EXAONE_PRECISION_F32, false), run("twin", EXAONE_PRECISION_F32, false));
        print_message("form %zu: f32 %.2g, mtp %.2g, auto %.2g, a scale changed %.2g\n", i, exact, mtp, fast, changed);
        assert_true(exact <= 1e-5 && mtp <= 1e-5);
        assert_true(fast <= (f->dtype == EXAONE_I4 ? 0.05 : 1e-5));
        assert_true(changed > 1e-4);
        change_scale("q", f, NAN);
        exaone_tensors *out = run("q", EXAONE_PRECISION_AUTO, false);
        const exaone_tensor *logits = exaone_tensors_get(out, "logits");
        assert_true(isnan(((const float *)logits->data)[exaone_tensor_elements(logits) - 1]));
        exaone_tensors_free(out);
    }
}

/* ---- files that do not hold what they say --------------------------------------------------------------------------------
 */

static void cannot_open(const char *folder, const char *words, exaone_status status) {
    exaone_error err = {0};
    exaone_engine *e = NULL;
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    exaone_status got = exaone_engine_open(scratch_path(folder), &o, &e, &err);
    if (got != status || !strstr(err.message, words)) {
        fail_msg("want %d \"%s\", got %d \"%s\"", (int)status, words, (int)got, err.message);
    }
    assert_null(e);
}

#define UP "model.language_model.layers.2.mlp.up_proj."

/* Puts a tensor of zeros of another shape or type in the place of `part` (n_dims 9: leaves it out). */
static void replace(const char *from, const char *to, const char *part, exaone_dtype type, size_t n_dims, uint64_t a,
                    uint64_t b) {
    char name[128];
    exaone_error err = {0};
    exaone_tensors *set = quantised_load(from), *out = exaone_tensors_new();
    snprintf(name, sizeof name, UP "%s", part);
    for (size_t i = 0; i < exaone_tensors_count(set); i++) {
        const exaone_tensor *t = exaone_tensors_at(set, i);
        bool this_one = strcmp(t->name, name) == 0;
        if (!this_one) {
            assert_int_equal(exaone_tensors_add(out, t->name, t->dtype, t->n_dims, t->dims, t->data, &err), EXAONE_OK);
        } else if (n_dims < 9) {
            assert_int_equal(exaone_tensors_add(out, name, type, n_dims, (uint64_t[]){a, b}, NULL, &err), EXAONE_OK);
        }
    }
    exaone_tensors_free(set);
    quantised_save(out, to);
}

static void files_that_lie(void **state) {
    (void)state;
    static const struct {
        const char *part;
        exaone_dtype type;
        size_t n_dims;
        uint64_t a, b;
        const char *words;
        exaone_status status;
    } cases[] = {
        {"weight_packed", EXAONE_I32, 9, 0, 0, "up_proj.weight_packed: not in ", EXAONE_ERR_MODEL},
        {"weight_packed", EXAONE_I32, 2, 96, 15, "up_proj.weight_packed: want [96, 16], ", EXAONE_ERR_MODEL},
        {"weight_packed", EXAONE_I16, 2, 96, 16, "has it as I16", EXAONE_ERR_UNSUPPORTED},
        {"weight_scale", EXAONE_F16, 9, 0, 0, "up_proj.weight_scale: not in ", EXAONE_ERR_MODEL},
        {"weight_scale", EXAONE_F16, 2, 96, 5, "up_proj.weight_scale: want [96, 4], ", EXAONE_ERR_MODEL},
        {"weight_scale", EXAONE_F16, 1, 96 * 4, 0, "up_proj.weight_scale: want [96, 4], ", EXAONE_ERR_MODEL},
        {"weight_scale", EXAONE_I32, 2, 96, 4, "has it as I32", EXAONE_ERR_UNSUPPORTED},
        {"weight_shape", EXAONE_I64, 9, 0, 0, "up_proj.weight_shape: not in ", EXAONE_ERR_MODEL},
        {"weight_shape", EXAONE_I64, 1, 2, 0, "weight_shape: it says [0, 0], the matrix is [96, 128]", EXAONE_ERR_MODEL},
        {"weight_shape", EXAONE_I64, 1, 3, 0, "weight_shape: want [2], ", EXAONE_ERR_MODEL},
        {"weight_shape", EXAONE_I32, 1, 2, 0, "has it as I32", EXAONE_ERR_UNSUPPORTED},
        {"weight_zero_point", EXAONE_I32, 9, 0, 0, "up_proj.weight_zero_point: not in ", EXAONE_ERR_MODEL},
        {"weight_zero_point", EXAONE_I32, 2, 96, 4, "weight_zero_point: want [12, 4], ", EXAONE_ERR_MODEL},
        {"weight_zero_point", EXAONE_I8, 2, 12, 4, "has it as I8", EXAONE_ERR_UNSUPPORTED},
    };
    make_quantised(NANO, &FORMS[2], "whole", "unused");
    make_quantised(NANO, &FORMS[2], "broken", "unused");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        replace("whole", "broken", cases[i].part, cases[i].type, cases[i].n_dims, cases[i].a, cases[i].b);
        cannot_open("broken", cases[i].words, cases[i].status);
    }
    static const struct {
        const char *part;
        uint64_t a, b;
        size_t n_dims;
        const char *words;
    } f8[] = {
        {"weight_scale", 0, 0, 9, "up_proj.weight_scale: not in "},
        {"weight_scale", 95, 1, 2, "up_proj.weight_scale: want [96, 1], "},
        {"weight_scale", 1, 0, 1, "up_proj.weight_scale: want [96, 1], "},
        {"weight", 96, 127, 2, "up_proj.weight: want [96, 128], "},
    };
    make_quantised(NANO, &FORMS[6], "whole", "unused");
    make_quantised(NANO, &FORMS[6], "broken", "unused");
    for (size_t i = 0; i < sizeof f8 / sizeof *f8; i++) {
        exaone_dtype type = strcmp(f8[i].part, "weight") == 0 ? EXAONE_F8_E4M3 : EXAONE_BF16;
        replace("whole", "broken", f8[i].part, type, f8[i].n_dims, f8[i].a, f8[i].b);
        cannot_open("broken", f8[i].words, EXAONE_ERR_MODEL);
    }
    replace("whole", "broken", "weight_scale", EXAONE_BF16, 1, 96, 0); /* as many numbers: the same scales */
    exaone_tensors_free(run("broken", EXAONE_PRECISION_AUTO, false));
}

/* The configuration of one folder on the tensors of another. */
static void configurations_that_lie(void **state) {
    (void)state;
    quantised_form form = FORMS[2];
    static const struct {
        const char *config, *words;
        exaone_status status;
    } cases[] = {
        {PACKED("\"group_size\": 24, \"symmetric\": true") "}", "groups of 24 do not divide its 128 columns",
         EXAONE_ERR_MODEL},
        {PACKED("\"group_size\": 1048576") "}", "groups of 1048576 do not divide its 128 columns", EXAONE_ERR_MODEL},
        {PACKED("\"group_size\": 64") "}", "weight_scale: want [128, 2], ", EXAONE_ERR_MODEL},
        {PACKED("\"group_size\": 32") ", \"ignore\": [\"re:.*q_proj\"]}", "q_proj.weight: not in ", EXAONE_ERR_MODEL},
        {FLOAT8("\"strategy\": \"tensor\"") "}", "q_proj.weight: not in ", EXAONE_ERR_MODEL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        form.config = cases[i].config;
        make_quantised(NANO, &form, "lie", "unused");
        cannot_open("lie", cases[i].words, cases[i].status);
    }
    form = FORMS[6]; /* FP8 that the configuration does not speak of */
    form.config = FLOAT8("\"strategy\": \"channel\"") ", \"ignore\": [\"Linear\"]}";
    make_quantised(NANO, &form, "lie", "unused");
    cannot_open("lie", "has it as F8_E4M3", EXAONE_ERR_UNSUPPORTED);
    form = FORMS[4]; /* what is quantised by the configuration and plain in the file is taken as it is */
    form.config = "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}";
    make_quantised(NANO, &form, "mixed", "twin");
    assert_true(distance(run("mixed", EXAONE_PRECISION_AUTO, false), run("twin", EXAONE_PRECISION_AUTO, false)) <= 1e-5);
}

/* What `exaone inspect` says of such folders. */
static void descriptions(void **state) {
    (void)state;
    static const struct {
        size_t form;
        const char *text, *json;
    } cases[] = {
        {2, "stored  compressed-tensors: I4 group 32 asymmetric\n",
         "layers.0.mlp.down_proj.weight_packed\", \"dtype\": \"I4 group 32\", \"shape\": [128, 96], \"bytes\": 6144"},
        {4, "stored  fp8: F8_E4M3 block 128x128\n",
         "layers.0.mlp.down_proj.weight\", \"dtype\": \"F8_E4M3\", \"shape\": [128, 96], \"bytes\": 12288"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_quantised(NANO, &FORMS[cases[i].form], "q", "twin");
        for (int json = 0; json < 2; json++) {
            exaone_error err = {0};
            exaone_inspect_options o = {.json = json};
            char *text;
            if (exaone_inspect(scratch_path("q"), &o, &text, &err) != EXAONE_OK) {
                fail_msg("%s", err.message);
            }
            if (!strstr(text, json ? cases[i].json : cases[i].text)) {
                fail_msg("%s", text);
            }
            free(text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_reference), cmocka_unit_test(models),       cmocka_unit_test(files_that_lie),
        cmocka_unit_test(configurations_that_lie), cmocka_unit_test(descriptions),
    };
    return cmocka_run_group_tests_name("model/test_quantised", tests, NULL, NULL);
}
