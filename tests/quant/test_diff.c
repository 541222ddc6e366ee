/* Comparing weights and predictions: against sums made here, across kinds of files, with tensors that are missing,
 * differently shaped or not finite. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exaone/diff.h"
#include "exaone/quantize.h"
#include "quant/encode.h"
#include "quant/imatrix.h"
#include "weights/gguf_writer.h"
#include "weights/weights.h"
#include "../support/make_gguf.h"
#include "../support/make_quantised.h"
#include "../support/scratch.h"

#define TINY "models/tiny"
#define NANO "tests/golden/model/nano/checkpoint"

enum { MAX_SEEN = 2048 };

typedef struct {
    exaone_diff_tensor t;
    char name[128];
} seen;

typedef struct {
    seen list[MAX_SEEN];
    size_t n, stop_after; /* 0: never */
    uint64_t last_done;
} collector;

static bool take(void *ctx, const exaone_diff_tensor *t) {
    collector *c = ctx;
    assert_true(c->n < MAX_SEEN);
    c->list[c->n].t = *t;
    snprintf(c->list[c->n++].name, sizeof c->list[0].name, "%s", t->name);
    return c->n != c->stop_after;
}

static bool advance(void *ctx, const char *tensor, uint64_t done, uint64_t total) {
    collector *c = ctx;
    assert_non_null(tensor);
    assert_true(done >= c->last_done && done <= total);
    c->last_done = done;
    return true;
}

static const exaone_diff_tensor *find(const collector *c, const char *name) {
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->list[i].name, name) == 0) {
            return &c->list[i].t;
        }
    }
    fail_msg("%s was not told of", name);
    return NULL;
}

static exaone_diff_report diff(const char *a, const char *b, const exaone_imatrix *im, int threads, collector *c) {
    exaone_error err = {0};
    exaone_diff_report r;
    *c = (collector){0};
    exaone_diff_options o = {.imatrix = im, .threads = threads, .tensor = take, .progress = advance, .ctx = c};
    if (exaone_diff_weights(a, b, &o, &r, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return r;
}

/* ---- files made here -----------------------------------------------------------------------------------------------------
 */

typedef struct {
    const char *name;
    exaone_dtype type;
    uint32_t n_dims;
    uint64_t ne[2];
    const float *values;
} made;

static exaone_status put_values(void *ctx, exaone_writer *out, exaone_error *err) {
    const made *m = ctx;
    size_t n = (size_t)m->ne[0], rows = m->n_dims > 1 ? (size_t)m->ne[1] : 1, bytes;
    assert_true(exaone_dtype_row_bytes(m->type, n, &bytes));
    uint8_t *blocks = malloc(bytes * rows);
    assert_non_null(blocks);
    if (m->type == EXAONE_F32) { /* as it is, NaN too */
        memcpy(blocks, m->values, bytes * rows);
    } else {
        assert_int_equal(exaone_encode_rows(m->type, m->values, rows, n, NULL, blocks, err), EXAONE_OK);
    }
    exaone_writer_put(out, blocks, bytes * rows);
    free(blocks);
    return EXAONE_OK;
}

static const char *write_gguf(const char *file, made *tensors, size_t n) {
    exaone_error err = {0};
    exaone_gguf_writer w;
    const char *path = scratch_path(file);
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.architecture", "exaone4");
    for (size_t i = 0; i < n; i++) {
        exaone_gguf_put_tensor(&w, tensors[i].name, tensors[i].type, tensors[i].n_dims, tensors[i].ne, put_values,
                               &tensors[i]);
    }
    if (exaone_gguf_writer_save(&w, path, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    exaone_gguf_writer_release(&w);
    return path;
}

/* ---- weights -------------------------------------------------------------------------------------------------------------
 */

static void test_errors_are_those_of_a_direct_sum(void **state) {
    (void)state;
    enum { N = 512, ROWS = 300 }; /* more than one run */
    float *x = malloc(N * ROWS * sizeof *x), *y = malloc(N * ROWS * sizeof *y), importance[N];
    assert_non_null(x);
    assert_non_null(y);
    double square = 0, reference = 0, weighted = 0, weighted_reference = 0, max = 0;
    for (size_t i = 0; i < N; i++) {
        importance[i] = (float)(i % 7);
    }
    for (size_t i = 0; i < N * ROWS; i++) {
        x[i] = (float)sin((double)i);
        y[i] = x[i] + 0.01F * (float)cos((double)i * 3) * (float)(i % N) / N;
        double d = (double)y[i] - (double)x[i], w = (double)importance[i % N];
        square += d * d;
        reference += (double)x[i] * (double)x[i];
        weighted += w * d * d;
        weighted_reference += w * (double)x[i] * (double)x[i];
        max = fabs(d) > max ? fabs(d) : max;
    }
    exaone_error err = {0};
    exaone_imatrix *im;
    exaone_imatrix_entry *e;
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_slot(im, "blk.0.ffn_up.weight", N, &e, &err), EXAONE_OK);
    for (size_t i = 0; i < N; i++) {
        e->sum[i] = 3 * (double)importance[i];
    }
    e->rows = 3;
    made a = {"blk.0.ffn_up.weight", EXAONE_F32, 2, {N, ROWS}, x}, b = a;
    b.values = y;
    const char *first = write_gguf("a.gguf", &a, 1), *second = write_gguf("b.gguf", &b, 1);
    collector c;
    exaone_diff_report r = diff(first, second, im, 2, &c);
    const exaone_diff_tensor *t = find(&c, "blk.0.ffn_up.weight");
    /* the sums here run in another order: 150,000 terms of f64, relative 1e-12 at most */
    assert_true(fabs(t->relative - sqrt(square / reference)) <= 1e-12);
    assert_true(fabs(t->weighted - sqrt(weighted / weighted_reference)) <= 1e-12);
    assert_true(t->max_abs == max && t->elements == N * ROWS && t->kind == EXAONE_DIFF_COMPARED);
    assert_true(r.n_compared == 1 && r.n_equal == 0 && r.relative == t->relative && r.weighted == t->weighted);
    /* with other threads the same bits; the other way round other references; against itself nothing */
    collector one;
    exaone_diff_report serial = diff(first, second, im, 1, &one);
    assert_memory_equal(&serial, &r, sizeof r);
    assert_true(diff(second, first, NULL, 2, &c).relative != r.relative);
    exaone_diff_report same = diff(first, first, im, 2, &c);
    assert_true(same.n_equal == 1 && same.relative == 0 && same.max_abs == 0 && same.weighted == 0);
    exaone_imatrix_close(im);
    free(x);
    free(y);
}

static void test_missing_shapes_and_nan(void **state) {
    (void)state;
    float x[512], nan[512];
    for (size_t i = 0; i < 512; i++) {
        x[i] = nan[i] = (float)i;
    }
    nan[0] = NAN;
    nan[511] = INFINITY;
    made a[] = {{"blk.0.attn_q.weight", EXAONE_F32, 2, {256, 2}, x},
                {"blk.0.attn_k.weight", EXAONE_F32, 2, {256, 2}, x},
                {"blk.0.attn_v.weight", EXAONE_F32, 2, {256, 2}, nan},
                {"blk.0.ffn_up.weight", EXAONE_F32, 2, {256, 2}, nan}};
    made b[] = {{"blk.0.attn_k.weight", EXAONE_F32, 2, {128, 4}, x},
                {"blk.0.attn_v.weight", EXAONE_F32, 2, {256, 2}, x},
                {"blk.0.ffn_up.weight", EXAONE_F32, 2, {256, 2}, nan},
                {"blk.0.ffn_down.weight", EXAONE_F32, 1, {512, 1}, x}};
    collector c;
    exaone_diff_report r = diff(write_gguf("a.gguf", a, 4), write_gguf("b.gguf", b, 4), NULL, 1, &c);
    assert_int_equal(c.n, 5);
    assert_int_equal(find(&c, "blk.0.attn_q.weight")->kind, EXAONE_DIFF_ONLY_A);
    assert_int_equal(find(&c, "blk.0.ffn_down.weight")->kind, EXAONE_DIFF_ONLY_B);
    const exaone_diff_tensor *t = find(&c, "blk.0.attn_k.weight");
    assert_true(t->kind == EXAONE_DIFF_SHAPE && t->dims_a[0] == 2 && t->dims_b[0] == 4);
    t = find(&c, "blk.0.attn_v.weight");
    assert_true(t->kind == EXAONE_DIFF_COMPARED && t->not_finite == 2 && t->relative == 0);
    assert_true(find(&c, "blk.0.ffn_up.weight")->not_finite == 0); /* the same NaN on both sides */
    assert_true(r.n_compared == 2 && r.n_equal == 1 && r.n_only_a == 1 && r.n_only_b == 1 && r.n_shape == 1);
    assert_true(r.not_finite == 2 && r.weighted == -1);
}

/* A Hugging Face folder and its GGUF pair hold the same numbers under other names, the patch embedding in two slices. */
static void check_folder_against_gguf(const char *folder) {
    exaone_error err = {0};
    char text[300], mmproj[300];
    snprintf(text, sizeof text, "%s", scratch_path("pair/model.gguf"));
    (void)scratch_write_text("pair/x", "");
    snprintf(mmproj, sizeof mmproj, "%s", scratch_path("pair/mmproj-model.gguf"));
    if (make_gguf(folder, text, mmproj, EXAONE_BF16, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    collector c;
    for (int way = 0; way < 2; way++) {
        exaone_diff_report r = diff(way ? text : folder, way ? folder : text, NULL, 2, &c);
        assert_int_equal(r.n_compared, r.n_equal);
        assert_true(r.n_compared > 20 && r.n_shape == 0 && r.n_type == 0);
        for (size_t i = 0; i < c.n; i++) { /* only GGUF has the factors of the rotation */
            if (c.list[i].t.kind != EXAONE_DIFF_COMPARED && strcmp(c.list[i].name, "rope_freqs.weight") != 0) {
                fail_msg("%s: %d", c.list[i].name, (int)c.list[i].t.kind);
            }
        }
        assert_int_equal(find(&c, "v.patch_embd.weight.1")->kind, EXAONE_DIFF_COMPARED);
    }
}

static void test_folders_against_gguf_pairs(void **state) {
    (void)state;
    check_folder_against_gguf(NANO);
    check_folder_against_gguf(TINY);
}

/* A quantised file against the folder it was made from. */
static void test_quantised_file(void **state) {
    (void)state;
    exaone_error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s", scratch_path("q4.gguf"));
    exaone_quantize_options o = {.type = "Q4_K_M", .no_mmproj = true, .threads = 2, .force = true};
    if (exaone_quantize(TINY, path, &o, NULL, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    collector c;
    exaone_diff_report r = diff(TINY, path, NULL, 2, &c);
    const exaone_diff_tensor *t = find(&c, "blk.0.attn_q.weight");
    assert_true(t->type_a == EXAONE_BF16 && t->type_b == EXAONE_Q4_K && t->bytes_b < t->bytes_a / 3);
    /* a 4-bit grid over Gaussian weights has a relative error near 0.07; 0 would mean nothing was compared */
    assert_true(t->relative > 0.04 && t->relative < 0.1);
    assert_true(r.n_only_a > 0 && r.n_shape == 0); /* the vision tower was left out */
}

/* Packed integers and 8-bit floats with their scales are the values of the twin, bit for bit. */
static void test_quantised_folders(void **state) {
    (void)state;
    static const quantised_form forms[] = {
        {EXAONE_I4,
         true,
         1,
         32,
         EXAONE_F16,
         false,
         {"lm_head", "visual"},
         "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": {\"group_0\": "
         "{\"targets\": "
         "[\"Linear\"], \"weights\": {\"num_bits\": 4, \"type\": \"int\", \"strategy\": \"group\", \"group_size\": 32, "
         "\"symmetric\": false}}}, \"ignore\": [\"lm_head\", \"re:model\\\\.visual\\\\..*\"]}"},
        {EXAONE_F8_E4M3,
         false,
         128,
         128,
         EXAONE_F32,
         true,
         {"lm_head", "visual"},
         "{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128], \"modules_to_not_convert\": [\"lm_head\", "
         "\"model.visual\"]}"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char folder[300], twin[300];
        make_quantised(NANO, &forms[i], "quantised", "twin");
        snprintf(folder, sizeof folder, "%s", scratch_path("quantised"));
        snprintf(twin, sizeof twin, "%s", scratch_path("twin"));
        collector c;
        exaone_diff_report r = diff(twin, folder, NULL, 2, &c);
        assert_true(r.n_compared > 20 && r.n_compared == r.n_equal);
        assert_true(r.n_only_a == 0 && r.n_only_b == 0 && r.n_shape == 0 && r.n_type == 0); /* scales are no tensors */
        assert_int_equal(find(&c, "blk.0.attn_q.weight")->type_b, forms[i].dtype);
        r = diff(NANO, folder, NULL, 2, &c); /* the control: the values before */
        assert_true(find(&c, "blk.0.attn_q.weight")->relative > 1e-3 && r.n_equal < r.n_compared);
    }
}

static void test_stopping_and_failing(void **state) {
    (void)state;
    exaone_error err = {0};
    static collector c;
    c = (collector){.stop_after = 3};
    exaone_diff_options o = {.tensor = take, .ctx = &c, .threads = 1};
    assert_int_equal(exaone_diff_weights(TINY, TINY, &o, NULL, &err), EXAONE_ERR_CANCELLED);
    assert_int_equal(c.n, 3);
    assert_non_null(strstr(err.message, "stopped at "));
    assert_int_equal(exaone_diff_weights(TINY, "/nowhere", NULL, NULL, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_diff_weights("/nowhere", TINY, NULL, NULL, &err), EXAONE_ERR_IO);
}

/* ---- predictions ---------------------------------------------------------------------------------------------------------
 */

static void test_logits(void **state) {
    (void)state;
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = 1/2 ln 2 - 1/4 ln 2 = ln 2 / 4; scale-free: b is shifted by 100 */
    const float l2 = 0.6931471805599453F;
    const float a[] = {l2, 0, 0, l2, 0, 0}, b[] = {100, 100 + l2, 100, l2, 0, 0};
    exaone_diff_token out[2];
    exaone_error err = {0};
    assert_int_equal(exaone_diff_logits(a, b, 2, 3, (int32_t[]){0, -1}, NULL, out, &err), EXAONE_OK);
    assert_true(fabs(out[0].kl - log(2) / 4) < 1e-5); /* 100 + ln 2 has 17 bits behind the point */
    assert_true(fabs(out[0].nll_a - log(2)) < 1e-6 && fabs(out[0].nll_b - log(4)) < 1e-5);
    assert_true(!out[0].same_top && out[1].same_top && out[1].kl == 0 && isnan(out[1].nll_a));
    exaone_diff_summary s = exaone_diff_summarize(out, 2);
    assert_true(s.n == 2 && s.n_predicted == 1 && s.top1 == 0.5);
    assert_true(fabs(s.perplexity_a - 2) < 1e-5 && fabs(s.perplexity_b - 4) < 1e-4);
    assert_true(fabs(s.kl_mean - log(2) / 8) < 1e-5 && s.kl_median == 0 && s.kl_99 == s.kl_max && s.kl_max > 0.1);
    const float bad[] = {0, NAN, 0, 0, INFINITY, 0};
    assert_int_equal(exaone_diff_logits(a, bad, 2, 3, (int32_t[]){0, 0}, NULL, out, &err), EXAONE_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "place 0"));
    assert_int_equal(exaone_diff_logits(bad + 3, a, 1, 3, (int32_t[]){0}, NULL, out, &err), EXAONE_ERR_NUMERIC);
    assert_int_equal(exaone_diff_logits(a, b, 2, 3, (int32_t[]){0, 3}, NULL, out, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "token 3"));
    assert_int_equal(exaone_diff_summarize(out, 0).n, 0);
}

static void test_percentiles(void **state) {
    (void)state;
    exaone_diff_token t[200];
    for (size_t i = 0; i < 200; i++) { /* 200 .. 1 */
        t[i] = (exaone_diff_token){.kl = (double)(200 - i), .nll_a = 1, .nll_b = 2, .same_top = i < 50};
    }
    exaone_diff_summary s = exaone_diff_summarize(t, 200);
    assert_true(s.kl_median == 100 && s.kl_99 == 198 && s.kl_max == 200 && fabs(s.kl_mean - 100.5) < 1e-9);
    assert_true(s.top1 == 0.25 && fabs(s.perplexity_b / s.perplexity_a - exp(1)) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_are_those_of_a_direct_sum),
        cmocka_unit_test(test_missing_shapes_and_nan),
        cmocka_unit_test(test_folders_against_gguf_pairs),
        cmocka_unit_test(test_quantised_file),
        cmocka_unit_test(test_quantised_folders),
        cmocka_unit_test(test_stopping_and_failing),
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
