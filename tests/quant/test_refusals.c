/* Sources that no written file could be read from again: refused before anything is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "../support/make_quantised.h"
#include "../support/scratch.h"
#include "exaone/quantize.h"
#include "quant/imatrix.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"
#include "weights/weights.h"

#define NANO "tests/golden/model/nano/checkpoint"
#define TINY "models/tiny"

static char notes[2048];

static void keep_note(void *ctx, const char *text) {
    (void)ctx;
    size_t at = strlen(notes);
    snprintf(notes + at, sizeof notes - at, "%s\n", text);
}

static void refused(const char *source, exaone_quantize_options o, const char *word) {
    exaone_error err = {0};
    const char *target = scratch_path("refused.gguf");
    o.no_mmproj = o.no_mmproj || !o.mmproj_out;
    exaone_status status = exaone_quantize(source, target, &o, NULL, &err);
    if (status == EXAONE_OK || !strstr(err.message, word)) {
        fail_msg("%s: %d \"%s\", want \"%s\"", source, (int)status, err.message, word);
    }
    assert_int_not_equal(access(target, F_OK), 0);
}

static void written(const char *source, const char *target, exaone_quantize_options o) {
    exaone_error err = {0};
    notes[0] = 0;
    o.note = keep_note;
    o.force = true;
    if (exaone_quantize(source, target, &o, NULL, &err) != EXAONE_OK) {
        fail_msg("%s: %s", source, err.message);
    }
}

/* ---- folders -------------------------------------------------------------------------------------------------------------
 */

/* The nano folder in one file, without the tensor `drop`, with `more` rows added to `grow`, and with a copy of `twice` under
 * the name `again`; each may be NULL. */
static const char *changed(const char *dir, const char *drop, const char *grow, const char *twice, const char *again) {
    exaone_error err = {0};
    exaone_weights *w;
    exaone_tensors *set = exaone_tensors_new();
    char path[64];
    assert_non_null(set);
    assert_int_equal(exaone_weights_open(NANO, NULL, &w, &err), EXAONE_OK);
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        bool wide = grow && strcmp(t.name, grow) == 0;
        t.dims[0] *= wide ? 2 : 1;
        if (!drop || strcmp(t.name, drop) != 0) {
            assert_int_equal(exaone_tensors_add(set, t.name, t.dtype, t.n_dims, t.dims, wide ? NULL : t.data, &err),
                             EXAONE_OK);
        }
        if (twice && strcmp(t.name, twice) == 0) {
            assert_int_equal(exaone_tensors_add(set, again, t.dtype, t.n_dims, t.dims, t.data, &err), EXAONE_OK);
        }
    }
    exaone_weights_close(w);
    size_t n;
    char *config = fixture_read(NANO "/config.json", &n);
    snprintf(path, sizeof path, "%s/config.json", dir);
    scratch_write(path, config, n);
    free(config);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(exaone_tensors_save(set, scratch_path(path), &err), EXAONE_OK);
    exaone_tensors_free(set);
    return scratch_path(dir);
}

static void folders_that_are_no_whole_model(void **state) {
    (void)state;
    const exaone_quantize_options o = {.type = "Q8_0"};
    written(changed("whole", NULL, NULL, NULL, NULL), scratch_path("whole.gguf"), o);
    assert_non_null(strstr(notes, "has no tokenizer"));
    refused(changed("drop", "model.language_model.layers.1.mlp.up_proj.weight", NULL, NULL, NULL), o,
            "layers.1.mlp.up_proj.weight: not in");
    refused(changed("grow", NULL, "model.language_model.layers.0.self_attn.q_proj.weight", NULL, NULL), o,
            "layers.0.self_attn.q_proj.weight: want [");
    refused(changed("norm", NULL, "model.language_model.norm.weight", NULL, NULL), o, "norm.weight: want [");
    const char *blind = changed("blind", "model.visual.merger.ln_q.weight", NULL, NULL, NULL);
    refused(blind, (exaone_quantize_options){.mmproj_out = scratch_path("eyes.gguf")}, "merger.ln_q.weight: not in");
    written(blind, scratch_path("blind.gguf"), (exaone_quantize_options){.no_mmproj = true}); /* what is left out may lack */
}

static void one_name_twice(void **state) {
    (void)state;
    const exaone_quantize_options o = {.type = "Q8_0"};
    refused(changed("alias", NULL, NULL, "model.language_model.norm.weight", "model.norm.weight"), o,
            "both stand for output_norm.weight");
    const quantised_form form = {.dtype = EXAONE_I4,
                                 .rows = 1,
                                 .cols = 32,
                                 .scale_dtype = EXAONE_BF16,
                                 .config =
                                     "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", "
                                     "\"config_groups\": {\"g\": {\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 4, "
                                     "\"type\": \"int\", \"strategy\": \"group\", \"group_size\": 32}}}}"};
    make_quantised(NANO, &form, "packed", "twin");
    exaone_error err = {0};
    exaone_tensors *set = quantised_load("packed"), *plain;
    const char *module = "model.language_model.layers.0.self_attn.q_proj";
    char name[128];
    snprintf(name, sizeof name, "%s.input_global_scale", module); /* of activations: nothing of the model */
    assert_int_equal(exaone_tensors_add(set, name, EXAONE_F32, 1, (const uint64_t[]){1}, NULL, &err), EXAONE_OK);
    quantised_save(set, "packed");
    written(scratch_path("packed"), scratch_path("packed.gguf"), (exaone_quantize_options){.no_mmproj = true});
    set = quantised_load("packed");
    plain = quantised_load("twin");
    snprintf(name, sizeof name, "%s.weight", module);
    const exaone_tensor *t = exaone_tensors_get(plain, name);
    assert_int_equal(exaone_tensors_add(set, t->name, t->dtype, t->n_dims, t->dims, t->data, &err), EXAONE_OK);
    exaone_tensors_free(plain);
    quantised_save(set, "packed");
    refused(scratch_path("packed"), o, "both stand for blk.0.attn_q.weight");
}

static void scales_that_the_configuration_does_not_describe(void **state) {
    (void)state;
    const quantised_form form = {
        .dtype = EXAONE_F8_E4M3, .rows = 1, .scale_dtype = EXAONE_F32, .fp8 = true, .config = "{\"quant_method\": \"fp8\"}"};
    make_quantised(NANO, &form, "rows", "rows-twin");
    refused(scratch_path("rows"), (exaone_quantize_options){.type = "BF16"},
            "quantization_config describes 1 scale for a whole matrix: ");
}

/* ---- GGUF files ----------------------------------------------------------------------------------------------------------
 */

typedef struct change {
    const char *no_key;    /* entries that begin so are left out */
    const char *text_key;  /* this entry becomes "other" */
    const char *no_tensor; /* left out */
    const char *flat;      /* gets one row less, or one dimension more when `deep` */
    bool deep;
    const char *blocks; /* written as Q8_0 */
} change;

static exaone_status put_bytes(void *ctx, exaone_writer *out, exaone_error *err) {
    const exaone_gguf_tensor *t = ctx;
    (void)err;
    if (t->dtype == EXAONE_Q8_0 && t->n_dims == 1) { /* blocks of zeros */
        for (uint64_t i = 0; i < t->ne[0] / 32; i++) {
            static const char zeros[34];
            exaone_writer_put(out, zeros, sizeof zeros);
        }
        return EXAONE_OK;
    }
    size_t rows = 1, bytes;
    for (uint32_t d = 1; d < t->n_dims; d++) {
        rows *= (size_t)t->ne[d];
    }
    assert_true(exaone_dtype_row_bytes(t->dtype, (size_t)t->ne[0], &bytes));
    exaone_writer_put(out, t->data, rows * bytes);
    return EXAONE_OK;
}

static const char *changed_gguf(const char *from, const char *to, change c) {
    enum { MAX = 256 };
    static exaone_gguf_tensor tensors[MAX];
    exaone_error err = {0};
    exaone_gguf *g;
    exaone_gguf_writer w;
    assert_int_equal(exaone_gguf_open(from, &g, &err), EXAONE_OK);
    exaone_gguf_writer_init(&w);
    for (size_t i = 0; i < exaone_gguf_kv_count(g); i++) {
        const exaone_gguf_kv *kv = exaone_gguf_kv_at(g, i);
        if (c.text_key && strcmp(kv->key, c.text_key) == 0) {
            exaone_gguf_put_text(&w, kv->key, "other");
        } else if (!c.no_key || strncmp(kv->key, c.no_key, strlen(c.no_key)) != 0) {
            exaone_gguf_put_kv(&w, kv);
        }
    }
    assert_true(exaone_gguf_tensor_count(g) < MAX);
    for (size_t i = 0; i < exaone_gguf_tensor_count(g); i++) {
        exaone_gguf_tensor *t = &tensors[i];
        *t = *exaone_gguf_tensor_at(g, i);
        if (c.no_tensor && strcmp(t->name, c.no_tensor) == 0) {
            continue;
        }
        if (c.flat && strcmp(t->name, c.flat) == 0) {
            t->ne[1] = c.deep ? t->ne[1] / 2 : t->ne[1] - 1;
            t->ne[2] = 2;
            t->n_dims = c.deep ? 3 : 2;
        }
        t->dtype = c.blocks && strcmp(t->name, c.blocks) == 0 ? EXAONE_Q8_0 : t->dtype;
        exaone_gguf_put_tensor(&w, t->name, t->dtype, t->n_dims, t->ne, put_bytes, t);
    }
    const char *path = scratch_path(to);
    if (exaone_gguf_writer_save(&w, path, &err) != EXAONE_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    exaone_gguf_writer_release(&w);
    exaone_gguf_close(g);
    return path;
}

static void gguf_files_that_are_no_whole_model(void **state) {
    (void)state;
    const char *good = scratch_path("good.gguf"), *bad = "bad.gguf";
    const exaone_quantize_options o = {.type = "Q8_0"};
    written(TINY, good, (exaone_quantize_options){.no_mmproj = true});
    assert_string_equal(notes, "");
    const struct {
        change c;
        const char *word;
    } cases[] = {
        {{.flat = "blk.0.attn_q.weight"}, "self_attn.q_proj.weight: want ["},
        {{.flat = "blk.0.attn_q.weight", .deep = true}, "self_attn.q_proj.weight: want ["},
        {{.no_tensor = "blk.2.ffn_up.weight"}, "as blk.2.ffn_up.weight"},
        {{.no_tensor = "output_norm.weight"}, "as output_norm.weight"},
        {{.no_tensor = "blk.8.nextn.enorm.weight"}, "as blk.8.nextn.enorm.weight"},
        {{.no_key = "tokenizer.ggml.merges"}, "tokenizer.ggml.merges is missing"},
        {{.no_key = "tokenizer.ggml.tokens"}, "tokenizer.ggml.tokens is missing"},
        {{.text_key = "tokenizer.ggml.pre"}, "tokenizer.ggml.pre is \"other\""},
        {{.text_key = "tokenizer.ggml.model"}, "tokenizer.ggml.model is \"other\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = changed_gguf(good, bad, cases[i].c);
        refused(path, o, cases[i].word);
        refused(path, (exaone_quantize_options){0}, cases[i].word);
    }
    written(changed_gguf(good, bad, (change){.no_key = "tokenizer."}), scratch_path("ids.gguf"), o);
    assert_non_null(strstr(notes, "bad.gguf has no tokenizer"));
}

/* Norms in blocks are refused when a model runs; the copy has them as numbers. */
static void norms_in_blocks_are_decoded(void **state) {
    (void)state;
    const char *good = scratch_path("good.gguf");
    written(TINY, good, (exaone_quantize_options){.no_mmproj = true});
    const char *path = changed_gguf(good, "norm.gguf", (change){.blocks = "output_norm.weight"});
    const char *const types[] = {NULL, "Q8_0"};
    for (size_t i = 0; i < 2; i++) {
        written(path, scratch_path("decoded.gguf"), (exaone_quantize_options){.type = types[i], .no_mmproj = true});
        assert_non_null(strstr(notes, "1 norms and biases are in blocks"));
        exaone_gguf *g;
        exaone_error err = {0};
        assert_int_equal(exaone_gguf_open(scratch_path("decoded.gguf"), &g, &err), EXAONE_OK);
        assert_int_equal(exaone_gguf_find_tensor(g, "output_norm.weight")->dtype, EXAONE_F32);
        exaone_gguf_close(g);
    }
}

/* ---- options -------------------------------------------------------------------------------------------------------------
 */

static const char *matrix_of(const char *tensor, size_t columns) {
    exaone_error err = {0};
    exaone_imatrix *im;
    exaone_imatrix_entry *e;
    const char *path = scratch_path("matrix.gguf");
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_slot(im, tensor, columns, &e, &err), EXAONE_OK);
    for (size_t i = 0; i < columns; i++) {
        e->sum[i] = 1;
    }
    e->rows = 1;
    assert_int_equal(exaone_imatrix_save(im, path, &err), EXAONE_OK);
    exaone_imatrix_close(im);
    return path;
}

static void importance_matrices_of_other_models(void **state) {
    (void)state;
    exaone_quantize_options o = {.type = "IQ4_XS", .no_mmproj = true};
    o.imatrix = matrix_of("blk.77.attn_q.weight", 256);
    refused(TINY, o, "the importance matrix has none of the 66 matrices");
    o.imatrix = matrix_of("blk.0.attn_q.weight", 128);
    refused(TINY, o, "blk.0.attn_q.weight has 256 columns, but 128 in the importance matrix");
    o.imatrix = matrix_of("blk.0.attn_q.weight", 256);
    written(TINY, scratch_path("weighed.gguf"), o);
    assert_non_null(strstr(notes, "for 1 of the "));
}

static void both_slices_of_the_patches_have_one_type(void **state) {
    (void)state;
    const char *const patterns[] = {"v.patch_embd.weight", "v.patch_embd.weight.1", "v.patch*"};
    for (size_t i = 0; i < 3; i++) {
        const exaone_quantize_override o = {patterns[i], "Q8_0"};
        written(TINY, scratch_path("patches.gguf"),
                (exaone_quantize_options){.overrides = &o, .n_overrides = 1, .mmproj_out = scratch_path("patch-eyes.gguf")});
        exaone_gguf *g;
        exaone_error err = {0};
        assert_int_equal(exaone_gguf_open(scratch_path("patch-eyes.gguf"), &g, &err), EXAONE_OK);
        for (int slice = 0; slice < 2; slice++) { /* rows of 14: no block fits */
            const char *name = slice ? "v.patch_embd.weight.1" : "v.patch_embd.weight";
            assert_int_equal(exaone_gguf_find_tensor(g, name)->dtype, EXAONE_F16);
        }
        exaone_gguf_close(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_that_are_no_whole_model),
        cmocka_unit_test(one_name_twice),
        cmocka_unit_test(scales_that_the_configuration_does_not_describe),
        cmocka_unit_test(gguf_files_that_are_no_whole_model),
        cmocka_unit_test(norms_in_blocks_are_decoded),
        cmocka_unit_test(importance_matrices_of_other_models),
        cmocka_unit_test(both_slices_of_the_patches_have_one_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
