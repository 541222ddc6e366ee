/* Importance matrices: sums against stages of the model that are the same numbers, files, merging, hostile files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exaone/engine.h"
#include "quant/imatrix.h"
#include "weights/gguf_writer.h"
#include "../support/scratch.h"

#define NANO "tests/golden/model/nano/checkpoint"

enum { TOKENS = 24, PATCHES = 16 };

/* ---- what the model's matrices see ---------------------------------------------------------------------------------------
 */

static exaone_engine *open_nano(exaone_imatrix *im, int threads) {
    exaone_error err = {0};
    exaone_engine *e;
    exaone_engine_options o = {.n_threads = threads, .no_tokenizer = true, .imatrix = im};
    if (exaone_engine_open(NANO, &o, &e, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return e;
}

static exaone_tensors *forward(exaone_engine *e, exaone_tensors *in, const exaone_forward_options *o) {
    exaone_error err = {0};
    exaone_tensors *out;
    if (exaone_forward(e, in, o, &out, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return out;
}

static exaone_tensors *text_input(void) {
    exaone_error err = {0};
    exaone_tensors *in = exaone_tensors_new();
    assert_non_null(in);
    assert_int_equal(exaone_tensors_add(in, "input_ids", EXAONE_I64, 2, (uint64_t[]){1, TOKENS}, NULL, &err), EXAONE_OK);
    int64_t *ids = exaone_tensors_get(in, "input_ids")->data;
    for (int64_t i = 0; i < TOKENS; i++) {
        ids[i] = 5 + i * 7 % 60;
    }
    return in;
}

/* The matrix's mean squares against those of a stage's rows of n columns. The bound: the sums are f64 of the same f32
 * values, so only the two roundings to f32 differ. */
static void check_rows(const exaone_imatrix *im, const char *name, const exaone_tensors *out, const char *stage, size_t n) {
    const exaone_tensor *t = exaone_tensors_get(out, stage);
    assert_non_null(t);
    const float *mean = exaone_imatrix_find(im, name, n), *x = t->data;
    size_t rows = (size_t)exaone_tensor_elements(t) / n;
    if (!mean) {
        fail_msg("%s saw no row of %zu columns (it has %zu)", name, n, exaone_imatrix_columns(im, name));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) {
            sum += (double)x[r * n + i] * (double)x[r * n + i];
        }
        if (!(fabs((double)mean[i] - sum / (double)rows) <= 1e-6 * sum / (double)rows)) {
            fail_msg("%s column %zu: %.9g, the rows of %s give %.9g", name, i, (double)mean[i], stage, sum / (double)rows);
        }
    }
}

static size_t hidden_size(const exaone_engine *e) {
    return (size_t)exaone_engine_info(e)->hidden_size;
}

static void test_text_matrices_see_the_stages(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *im;
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    exaone_engine *e = open_nano(im, 2);
    exaone_tensors *in = text_input();
    exaone_tensors *out = forward(e, in, &(exaone_forward_options){.stages = "embeddings,inputs_embeds,layer.,final_norm"});
    size_t h = hidden_size(e);
    const char *first = exaone_tensors_get(out, "inputs_embeds") ? "inputs_embeds" : "embeddings";
    check_rows(im, "blk.0.attn_q.weight", out, first, h);
    check_rows(im, "blk.0.attn_k.weight", out, first, h);
    check_rows(im, "blk.0.attn_v.weight", out, first, h);
    check_rows(im, "blk.1.attn_q.weight", out, "layer.0.output", h);
    check_rows(im, exaone_imatrix_columns(im, "output.weight") ? "output.weight" : "token_embd.weight", out, "final_norm",
               h);
    assert_null(exaone_imatrix_find(im, "v.blk.0.attn_qkv.weight", exaone_imatrix_columns(im, "v.blk.0.attn_qkv.weight")));
    for (size_t i = 0; i < exaone_imatrix_count(im); i++) {
        exaone_imatrix_item item = exaone_imatrix_at(im, i);
        assert_true(item.rows == 0 || item.rows == TOKENS);
    }
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(e);
    exaone_imatrix_close(im);
}

static void test_mtp_matrices_see_the_stages(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *im;
    char name[64];
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    exaone_engine *e = open_nano(im, 1);
    assert_true(exaone_engine_info(e)->has_mtp);
    exaone_tensors *in = text_input();
    exaone_tensors *out = forward(e, in, &(exaone_forward_options){.stages = "forced.*", .mtp = true, .draft = 1});
    /* one more row than the stage holds: the draft; the sums can only be larger by its squares */
    size_t h = hidden_size(e);
    snprintf(name, sizeof name, "blk.%d.nextn.eh_proj.weight", exaone_engine_info(e)->num_hidden_layers);
    const float *mean = exaone_imatrix_find(im, name, 2 * h);
    const exaone_tensor *t = exaone_tensors_get(out, "forced.fc_input");
    assert_non_null(mean);
    assert_non_null(t);
    const float *x = t->data;
    for (size_t i = 0; i < 2 * h; i++) {
        double sum = 0;
        for (size_t r = 0; r + 1 < TOKENS; r++) {
            sum += (double)x[r * 2 * h + i] * (double)x[r * 2 * h + i];
        }
        assert_true((double)mean[i] * TOKENS >= sum * (1 - 1e-6));
    }
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(e);
    exaone_imatrix_close(im);
}

static void test_vision_matrices_see_the_stages(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *im;
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    exaone_engine *e = open_nano(im, 2);
    exaone_tensors *in = exaone_tensors_new();
    assert_int_equal(exaone_tensors_add(in, "pixel_values", EXAONE_F32, 2, (uint64_t[]){PATCHES, 1176}, NULL, &err),
                     EXAONE_OK);
    assert_int_equal(exaone_tensors_add(in, "image_grid_thw", EXAONE_I64, 2, (uint64_t[]){1, 3}, (int64_t[]){1, 4, 4}, &err),
                     EXAONE_OK);
    float *pixels = exaone_tensors_get(in, "pixel_values")->data;
    for (size_t i = 0; i < PATCHES * 1176; i++) {
        pixels[i] = (float)sin((double)i);
    }
    exaone_tensors *out = forward(e, in, &(exaone_forward_options){.stages = "merger."});
    check_rows(im, "mm.0.weight", out, "merger.ln_q", exaone_imatrix_columns(im, "mm.0.weight"));
    check_rows(im, "mm.2.weight", out, "merger.gelu", exaone_imatrix_columns(im, "mm.2.weight"));
    assert_non_null(
        exaone_imatrix_find(im, "v.blk.0.attn_qkv.weight", exaone_imatrix_columns(im, "v.blk.0.attn_qkv.weight")));
    assert_null(exaone_imatrix_find(im, "blk.0.attn_q.weight", hidden_size(e)));
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(e);
    exaone_imatrix_close(im);
}

/* The observer changes no result, and its sums do not depend on the threads. */
static void test_results_stay_and_threads_do_not_show(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *one, *three;
    assert_int_equal(exaone_imatrix_new(&one, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_new(&three, &err), EXAONE_OK);
    exaone_engine *engines[] = {open_nano(NULL, 1), open_nano(one, 1), open_nano(three, 3)};
    exaone_tensors *in = text_input(), *out[3];
    for (size_t i = 0; i < 3; i++) {
        out[i] = forward(engines[i], in, &(exaone_forward_options){.stages = "logits"});
        const exaone_tensor *a = exaone_tensors_get(out[0], "logits"), *b = exaone_tensors_get(out[i], "logits");
        assert_memory_equal(a->data, b->data, (size_t)exaone_tensor_elements(a) * sizeof(float));
    }
    for (size_t i = 0; i < exaone_imatrix_count(one); i++) {
        exaone_imatrix_item item = exaone_imatrix_at(one, i);
        const float *a = exaone_imatrix_find(one, item.name, item.columns);
        const float *b = exaone_imatrix_find(three, item.name, item.columns);
        assert_int_equal(!a, !b);
        if (a) {
            assert_memory_equal(a, b, item.columns * sizeof *a);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        exaone_tensors_free(out[i]);
        exaone_engine_close(engines[i]);
    }
    exaone_tensors_free(in);
    exaone_imatrix_close(one);
    exaone_imatrix_close(three);
}

/* ---- files and merging ---------------------------------------------------------------------------------------------------
 */

static exaone_imatrix *make(const char *name, size_t n, double scale, double rows) {
    exaone_error err = {0};
    exaone_imatrix *im;
    exaone_imatrix_entry *e;
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_slot(im, name, n, &e, &err), EXAONE_OK);
    for (size_t i = 0; i < n; i++) {
        e->sum[i] = scale * (double)(i + 1);
    }
    e->rows = rows;
    return im;
}

static void test_round_trip(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *im = make("blk.0.ffn_up.weight", 8, 2, 4), *back;
    exaone_imatrix_entry *empty;
    assert_int_equal(exaone_imatrix_slot(im, "blk.0.attn_q.weight", 4, &empty, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_note(im, "a.txt", 3, 512, &err), EXAONE_OK);
    const char *path = scratch_path("im.gguf");
    assert_int_equal(exaone_imatrix_save(im, path, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_open(path, &back, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_count(back), 1); /* what saw nothing is not written */
    const float *mean = exaone_imatrix_find(back, "blk.0.ffn_up.weight", 8);
    assert_non_null(mean);
    for (size_t i = 0; i < 8; i++) {
        assert_true(mean[i] == (float)(i + 1) / 2);
    }
    assert_null(exaone_imatrix_find(back, "blk.0.ffn_up.weight", 7));
    assert_null(exaone_imatrix_find(back, "blk.0.attn_q.weight", 4));
    exaone_imatrix_close(back);

    exaone_gguf *g;
    int64_t chunks = 0, size = 0;
    assert_int_equal(exaone_gguf_open(path, &g, &err), EXAONE_OK);
    assert_true(exaone_gguf_string_is(exaone_gguf_find(g, "general.type"), "imatrix"));
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "imatrix.chunk_count"), &chunks));
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "imatrix.chunk_size"), &size));
    assert_int_equal(chunks, 3);
    assert_int_equal(size, 512);
    const exaone_gguf_tensor *counts = exaone_gguf_find_tensor(g, "blk.0.ffn_up.weight.counts");
    const exaone_gguf_tensor *sums = exaone_gguf_find_tensor(g, "blk.0.ffn_up.weight.in_sum2");
    assert_non_null(counts);
    assert_non_null(sums);
    assert_true(counts->bytes == 4 && sums->bytes == 32 && sums->ne[0] == 8);
    exaone_gguf_close(g);
    exaone_imatrix_close(im);
}

static void test_merging_adds(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *a = make("blk.0.ffn_up.weight", 4, 1, 2), *b = make("blk.0.ffn_up.weight", 4, 5, 4);
    exaone_imatrix *c = make("blk.9.ffn_up.weight", 4, 3, 3), *other = make("blk.0.ffn_up.weight", 5, 1, 1);
    assert_int_equal(exaone_imatrix_merge(a, b, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_merge(a, c, &err), EXAONE_OK);
    const float *mean = exaone_imatrix_find(a, "blk.0.ffn_up.weight", 4);
    assert_non_null(mean);
    for (size_t i = 0; i < 4; i++) {
        assert_true(mean[i] == (float)(i + 1)); /* (1 + 5) (i + 1) over 6 rows */
    }
    assert_non_null(exaone_imatrix_find(a, "blk.9.ffn_up.weight", 4));
    assert_int_equal(exaone_imatrix_merge(a, other, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "blk.0.ffn_up.weight: 4 columns here, 5"));
    exaone_imatrix_close(a);
    exaone_imatrix_close(b);
    exaone_imatrix_close(c);
    exaone_imatrix_close(other);
}

static void test_saving_refuses(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_imatrix *nan = make("x", 4, NAN, 2), *empty = make("x", 4, 1, 0);
    const char *path = scratch_path("refused.gguf");
    assert_int_equal(exaone_imatrix_save(nan, path, &err), EXAONE_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "x: the squares in column 0"));
    assert_int_equal(exaone_imatrix_save(empty, path, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "none of the 1 matrices"));
    FILE *f = fopen(path, "rb");
    assert_null(f);
    exaone_imatrix_close(nan);
    exaone_imatrix_close(empty);
}

/* ---- hostile files -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const float *values;
    size_t n;
} floats;

static exaone_status put_floats(void *ctx, exaone_writer *out, exaone_error *err) {
    const floats *f = ctx;
    (void)err;
    exaone_writer_put(out, f->values, f->n * sizeof(float));
    return EXAONE_OK;
}

/* A file with sums [n_sums] and counts [n_counts] under these names; NULL leaves one out. */
static const char *write_file(const char *type, const char *sums_name, floats *sums, const char *counts_name,
                              floats *counts) {
    exaone_error err = {0};
    exaone_gguf_writer w;
    const char *path = scratch_path("hostile.gguf");
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.type", type);
    if (sums_name) {
        exaone_gguf_put_tensor(&w, sums_name, EXAONE_F32, 1, (uint64_t[]){sums->n}, put_floats, sums);
    }
    if (counts_name) {
        exaone_gguf_put_tensor(&w, counts_name, EXAONE_F32, 2, (uint64_t[]){1, counts->n}, put_floats, counts);
    }
    assert_int_equal(exaone_gguf_writer_save(&w, path, &err), EXAONE_OK);
    exaone_gguf_writer_release(&w);
    return path;
}

static void refuses(const char *path, exaone_status code, const char *words) {
    exaone_error err = {0};
    exaone_imatrix *im;
    exaone_status s = exaone_imatrix_open(path, &im, &err);
    if (s != code || im || !strstr(err.message, words)) {
        fail_msg("want %d and \"%s\", got %d: %s", (int)code, words, (int)s, err.message);
    }
}

static void test_hostile_gguf(void **state) {
    (void)state;
    float good[] = {1, 2, 0}, one[] = {3}, bad[] = {NAN, -1, INFINITY}, zero[] = {0}, two[] = {3, 3};
    floats sums = {good, 3}, count = {one, 1};
    exaone_error err = {0};
    exaone_imatrix *im;
    assert_int_equal(exaone_imatrix_open(write_file("imatrix", "w.in_sum2", &sums, "w.counts", &count), &im, &err),
                     EXAONE_OK);
    exaone_imatrix_close(im); /* the control */
    refuses(write_file("model", "w.in_sum2", &sums, "w.counts", &count), EXAONE_ERR_FORMAT, "general.type is \"model\"");
    refuses(write_file("imatrix", "w.in_sum2", &sums, NULL, NULL), EXAONE_ERR_FORMAT, "w.in_sum2 has no w.counts");
    refuses(write_file("imatrix", NULL, NULL, "w.counts", &count), EXAONE_ERR_FORMAT, "no tensor NAME.in_sum2");
    for (size_t i = 0; i < 3; i++) {
        float values[] = {1, bad[i], 2};
        floats f = {values, 3}, c = {&bad[i], 1};
        refuses(write_file("imatrix", "w.in_sum2", &f, "w.counts", &count), EXAONE_ERR_FORMAT, "w: column 1 is ");
        refuses(write_file("imatrix", "w.in_sum2", &sums, "w.counts", &c), EXAONE_ERR_FORMAT, "w.counts counts ");
    }
    refuses(write_file("imatrix", "w.in_sum2", &sums, "w.counts", &(floats){zero, 1}), EXAONE_ERR_FORMAT, "counts 0 rows");
    refuses(write_file("imatrix", "w.in_sum2", &sums, "w.counts", &(floats){two, 2}), EXAONE_ERR_UNSUPPORTED, "2 counts");
}

/* The older format, byte by byte. */
static size_t legacy(uint8_t *out, int32_t entries, int32_t len, const char *name, int32_t calls, int32_t n, float value) {
    size_t at = 0;
    const int32_t head[] = {entries, len};
    memcpy(out, head, 8);
    at = 8;
    memcpy(out + at, name, strlen(name));
    at += strlen(name);
    memcpy(out + at, &calls, 4);
    memcpy(out + at + 4, &n, 4);
    at += 8;
    for (int i = 0; i < 4; i++, at += 4) {
        memcpy(out + at, &value, 4);
    }
    return at;
}

static void test_legacy(void **state) {
    (void)state;
    uint8_t bytes[256];
    exaone_error err = {0};
    exaone_imatrix *im;
    size_t n = legacy(bytes, 1, 1, "w", 2, 4, 6);
    const char *path = scratch_write("old.dat", bytes, n);
    assert_int_equal(exaone_imatrix_open(path, &im, &err), EXAONE_OK);
    const float *mean = exaone_imatrix_find(im, "w", 4);
    assert_non_null(mean);
    assert_true(mean[0] == 3 && mean[3] == 3); /* 6 over 2 calls */
    exaone_imatrix_close(im);
    static const struct {
        int32_t entries, len, calls, n;
        float value;
        const char *words;
    } cases[] = {{0, 1, 2, 4, 1, "0 entries"},
                 {-1, 1, 2, 4, 1, "-1 entries"},
                 {1000000, 1, 2, 4, 1, "1000000 entries"},
                 {1, 0, 2, 4, 1, "no name"},
                 {1, -5, 2, 4, 1, "no name"},
                 {1, 1 << 30, 2, 4, 1, "no name"},
                 {1, 1, 0, 4, 1, "0 calls"},
                 {1, 1, 2, 1 << 30, 1, "1073741824 values"},
                 {1, 1, 2, -4, 1, "-4 values"},
                 {1, 1, 2, 5, 1, "5 values"},
                 {1, 1, 2, 4, -1, "column 0 is -1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        n = legacy(bytes, cases[i].entries, cases[i].len, "w", cases[i].calls, cases[i].n, cases[i].value);
        refuses(scratch_write("old.dat", bytes, n), EXAONE_ERR_FORMAT, cases[i].words);
    }
    size_t one = legacy(bytes, 2, 1, "w", 2, 4, 6), second = one - 4; /* the same entry again */
    memmove(bytes + one, bytes + 4, second);
    refuses(scratch_write("old.dat", bytes, one + second), EXAONE_ERR_FORMAT, "w is there twice");
    refuses(scratch_write("old.dat", "", 0), EXAONE_ERR_FORMAT, "0 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_matrices_see_the_stages),
        cmocka_unit_test(test_mtp_matrices_see_the_stages),
        cmocka_unit_test(test_vision_matrices_see_the_stages),
        cmocka_unit_test(test_results_stay_and_threads_do_not_show),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_merging_adds),
        cmocka_unit_test(test_saving_refuses),
        cmocka_unit_test(test_hostile_gguf),
        cmocka_unit_test(test_legacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
