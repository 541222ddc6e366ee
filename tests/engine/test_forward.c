/* The forward door with inputs that the fixtures of tests/golden/model do not hold: left-padded loss, images beside videos,
 * other element types, settings that contradict each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exaone/engine.h"

enum { B = 3, T = 20 };

static exaone_engine *engine;

static int open_micro(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
    assert_int_equal(exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &engine, &err), EXAONE_OK);
    return 0;
}

static int close_micro(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

static void add(exaone_tensors *set, const char *name, exaone_dtype dtype, uint64_t rows, uint64_t cols, const void *data) {
    exaone_error err = {0};
    if (exaone_tensors_add(set, name, dtype, 2, (const uint64_t[]){rows, cols}, data, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

static exaone_tensors *run(const exaone_tensors *in, const exaone_forward_options *options) {
    exaone_tensors *out;
    exaone_error err = {0};
    if (exaone_forward(engine, in, options, &out, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return out;
}

static void refused(const exaone_tensors *in, const exaone_forward_options *options, const char *word) {
    exaone_tensors *out = NULL;
    exaone_error err = {0};
    assert_int_equal(exaone_forward(engine, in, options, &out, &err), EXAONE_ERR_ARGUMENT);
    assert_null(out);
    if (!strstr(err.message, word)) {
        fail_msg("\"%s\" does not hold \"%s\"", err.message, word);
    }
}

static const float *floats(const exaone_tensors *set, const char *name) {
    const exaone_tensor *t = exaone_tensors_get(set, name);
    if (!t || t->dtype != EXAONE_F32) {
        fail_msg("no f32 tensor %s", name);
    }
    return t->data;
}

/* Rows with 0, 5 and 11 pads in front; the labels are the ids, -100 on the pads. */
static exaone_tensors *padded(void) {
    int64_t ids[B][T], mask[B][T], labels[B][T];
    static const int pads[B] = {0, 5, 11};
    for (int b = 0; b < B; b++) {
        for (int t = 0; t < T; t++) {
            mask[b][t] = t >= pads[b];
            ids[b][t] = mask[b][t] ? (37 * t + 11 * b) % 400 + 100 : 0;
            labels[b][t] = mask[b][t] ? ids[b][t] : -100;
        }
    }
    exaone_tensors *in = exaone_tensors_new();
    add(in, "input_ids", EXAONE_I64, B, T, ids);
    add(in, "attention_mask", EXAONE_I64, B, T, mask);
    add(in, "labels", EXAONE_I64, B, T, labels);
    return in;
}

/* The numbers come from an independent model in f64 (numpy), whose fully masked rows average over all keys, as the
 * reference's do. f32 against f64 differs by 1e-6 here; leaving the hidden rows out gives 11.318746, taking them as
 * zeros 10.9 or less. */
static void hidden_rows_count_in_the_loss(void **state) {
    (void)state;
    exaone_tensors *in = padded();
    exaone_tensors *out = run(in, &(exaone_forward_options){.stages = "loss,nll,logits"});
    assert_true(fabs((double)floats(out, "loss")[0] - 11.44020918) < 2e-5);
    const float *nll = floats(out, "nll");
    assert_true(fabs((double)nll[1 * (T - 1) + 4] - 14.26826686) < 5e-5);
    assert_true(fabs((double)nll[2 * (T - 1) + 10] - 13.59214791) < 5e-5);
    exaone_tensors_free(out);
    exaone_tensors_free(in);
}

/* With labels the hidden rows are computed too: nothing else may change by it, not by one bit. */
static void labels_change_no_logits(void **state) {
    (void)state;
    exaone_tensors *with = padded(), *without = exaone_tensors_new();
    for (size_t i = 0; i < 2; i++) {
        const exaone_tensor *t = exaone_tensors_at(with, i);
        add(without, t->name, t->dtype, B, T, t->data);
    }
    exaone_forward_options o = {.stages = "logits"};
    exaone_tensors *a = run(with, &o), *b = run(without, &o);
    assert_memory_equal(floats(a, "logits"), floats(b, "logits"), B * T * 512 * sizeof(float));
    exaone_tensors_free(a);
    exaone_tensors_free(b);
    exaone_tensors_free(with);
    exaone_tensors_free(without);
}

/* One image of 2 x 4 patches and one video of 2 x 4 x 4. */
static exaone_tensors *pixels(bool image, bool video) {
    float *x = calloc(40 * 1176, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < 40 * 1176; i++) {
        x[i] = (float)(i * 7 % 101) / 50.0f - 1;
    }
    exaone_tensors *in = exaone_tensors_new();
    if (image) {
        add(in, "pixel_values", EXAONE_F32, 8, 1176, x);
        add(in, "image_grid_thw", EXAONE_I64, 1, 3, (const int64_t[]){1, 2, 4});
    }
    if (video) {
        add(in, "pixel_values_videos", EXAONE_F32, 32, 1176, x + 8 * 1176);
        add(in, "video_grid_thw", EXAONE_I64, 1, 3, (const int64_t[]){2, 4, 4});
    }
    free(x);
    return in;
}

static void same_stage(const exaone_tensors *set, const char *name, const exaone_tensors *other, const char *other_name) {
    const exaone_tensor *a = exaone_tensors_get(set, name), *b = exaone_tensors_get(other, other_name);
    if (!a || !b) {
        fail_msg("no tensor %s or %s", name, other_name);
        return;
    }
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

static void images_beside_videos(void **state) {
    (void)state;
    exaone_tensors *in[3] = {pixels(true, true), pixels(true, false), pixels(false, true)}, *out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = run(in[i], &(exaone_forward_options){.stages = "all"});
    }
    static const char *const names[] = {"position_ids", "cu_seqlens", "window_index",  "rope.cos",
                                        "patch_embed",  "features.0", "block.0.output"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char video[64];
        snprintf(video, sizeof video, "video.%s", names[i]);
        same_stage(out[0], names[i], out[1], names[i]);
        same_stage(out[0], video, out[2], names[i]);
    }
    exaone_tensors *chosen = run(in[0], &(exaone_forward_options){.stages = "video.features.0"});
    assert_non_null(exaone_tensors_get(chosen, "video.features.0"));
    exaone_tensors *plain = run(in[0], NULL);
    assert_non_null(exaone_tensors_get(plain, "features.0"));
    assert_non_null(exaone_tensors_get(plain, "video.features.0"));
    exaone_tensors_free(chosen);
    exaone_tensors_free(plain);
    for (int i = 0; i < 3; i++) {
        exaone_tensors_free(in[i]);
        exaone_tensors_free(out[i]);
    }
}

/* Each option alone works (tests/cli/test_forward.sh); two that exclude each other are named. */
static void contradictions_are_refused(void **state) {
    (void)state;
    exaone_tensors *in = padded();
    const int64_t calls[2] = {5, 5}, whole[2] = {5, 15};
    refused(in, &(exaone_forward_options){.mtp = true, .greedy = 3}, "mtp and greedy");
    refused(in, &(exaone_forward_options){.calls = whole, .n_calls = 2, .greedy = 3}, "greedy and calls");
    refused(in, &(exaone_forward_options){.calls = whole, .n_calls = 2, .mtp = true}, "mtp and calls");
    refused(in, &(exaone_forward_options){.calls = calls, .n_calls = 2}, "10 of the 20 tokens");
    refused(in, &(exaone_forward_options){.packed = true}, "attention_mask");
    refused(in, &(exaone_forward_options){.packed = true, .calls = whole, .n_calls = 2}, "packed");
    exaone_tensors_free(run(in, &(exaone_forward_options){.calls = whole, .n_calls = 2}));
    exaone_tensors_free(in);
}

/* Every spelling of the same inputs gives the same bits. */
static void other_element_types(void **state) {
    (void)state;
    exaone_tensors *wide = padded(), *narrow = exaone_tensors_new();
    int16_t ids[B][T];
    float mask[B][T], items = 7;
    int64_t positions[B][T], seven = 7;
    const int64_t *wide_ids = exaone_tensors_get(wide, "input_ids")->data;
    const int64_t *wide_mask = exaone_tensors_get(wide, "attention_mask")->data;
    for (int i = 0; i < B * T; i++) {
        ids[i / T][i % T] = (int16_t)wide_ids[i];
        mask[i / T][i % T] = (float)wide_mask[i];
        positions[i / T][i % T] = i % T + 3;
    }
    add(narrow, "input_ids", EXAONE_I16, B, T, ids);
    add(narrow, "attention_mask", EXAONE_F32, B, T, mask);
    add(narrow, "labels", EXAONE_I64, B, T, exaone_tensors_get(wide, "labels")->data);
    add(narrow, "position_ids", EXAONE_I64, 1, T, positions);
    add(narrow, "num_items_in_batch", EXAONE_F32, 1, 1, &items);
    add(wide, "position_ids", EXAONE_I64, B, T, positions);
    add(wide, "num_items_in_batch", EXAONE_I64, 1, 1, &seven);
    exaone_tensors *a = run(wide, NULL), *b = run(narrow, NULL);
    same_stage(a, "logits", b, "logits");
    same_stage(a, "loss", b, "loss");
    exaone_tensors_free(a);
    exaone_tensors_free(b);
    exaone_tensors_free(wide);
    exaone_tensors_free(narrow);

    exaone_tensors *half = exaone_tensors_new(), *full = exaone_tensors_new();
    uint16_t *x = calloc(8 * 1176, sizeof *x);
    float *y = calloc(8 * 1176, sizeof *y);
    assert_true(x && y);
    for (size_t i = 0; i < 8 * 1176; i++) {
        uint32_t bits = (uint32_t)(x[i] = (uint16_t)(0x3f00 + i % 128)) << 16; /* bf16: 0.5 .. 1 */
        memcpy(&y[i], &bits, sizeof bits);
    }
    add(half, "pixel_values", EXAONE_BF16, 8, 1176, x);
    add(half, "image_grid_thw", EXAONE_I32, 1, 3, (const int32_t[]){1, 2, 4});
    add(full, "pixel_values", EXAONE_F32, 8, 1176, y);
    add(full, "image_grid_thw", EXAONE_I64, 1, 3, (const int64_t[]){1, 2, 4});
    free(x);
    free(y);
    a = run(half, NULL);
    b = run(full, NULL);
    same_stage(a, "features.0", b, "features.0");
    exaone_tensors_free(a);
    exaone_tensors_free(b);
    exaone_tensors_free(half);
    exaone_tensors_free(full);
}

/* The pad id is punished like any id of the prompt: with another pad id, other ids come out where that id would be chosen.
 */
static void pads_count_for_the_repetition_penalty(void **state) {
    (void)state;
    exaone_tensors *in = padded();
    exaone_forward_options o = {.greedy = 1, .stages = "ids", .no_stop = true};
    exaone_tensors *free_run = run(in, &o);
    int64_t chosen[B];
    memcpy(chosen, exaone_tensors_get(free_run, "ids")->data, sizeof chosen);
    exaone_tensors_free(free_run);
    int64_t *ids = exaone_tensors_get(in, "input_ids")->data;
    ids[2 * T] = chosen[2]; /* a hidden place: changes no logits, only what counts as seen */
    o.repetition_penalty = 1e6;
    exaone_tensors *punished = run(in, &o);
    assert_int_not_equal(((const int64_t *)exaone_tensors_get(punished, "ids")->data)[2], chosen[2]);
    exaone_tensors_free(punished);
    exaone_tensors_free(in);
}

static void messages_show_what_was_given(void **state) {
    (void)state;
    exaone_tensors *in = padded();
    exaone_error err = {0};
    const int64_t keep[2] = {0, -21};
    assert_int_equal(exaone_tensors_add(in, "logits_to_keep", EXAONE_I64, 1, (const uint64_t[]){2}, keep, &err), EXAONE_OK);
    refused(in, NULL, "logits_to_keep: index -21 is outside -20 .. 19");
    exaone_tensors_free(in);
    in = exaone_tensors_new();
    float x[1176] = {0};
    add(in, "pixel_values", EXAONE_F32, 1, 1176, x);
    add(in, "image_grid_thw", EXAONE_I64, 1, 3, (const int64_t[]){1073741824, 2, 2});
    exaone_tensors *out = NULL;
    assert_int_equal(exaone_forward(engine, in, NULL, &out, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "[1073741824, 2, 2] is more than"));
    exaone_tensors_free(in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hidden_rows_count_in_the_loss),
        cmocka_unit_test(labels_change_no_logits),
        cmocka_unit_test(images_beside_videos),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(other_element_types),
        cmocka_unit_test(messages_show_what_was_given),
        cmocka_unit_test(pads_count_for_the_repetition_penalty),
    };
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
