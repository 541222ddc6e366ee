/* Every stage of the model against the reference's numbers: tests/golden/model, through the same door that users have.
 *
 * Bound: relative L2 of a tensor at most 3 times the distance that the reference's own f32 run has to its f64 run
 * (stages/precision.json), because an engine that sums in another order makes rounding errors of the same size, not larger
 * ones. Tensors without such a distance are tables or integers: integers must be equal, tables within 1e-7. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "exaone/engine.h"
#include "../support/make_gguf.h"

static exaone_engine *engine;
static const char *set_name;
static exaone_arena arena;
static char *precision_text;
static exaone_json *precision;

static void open_set(const char *name, const char *level, bool gguf) {
    exaone_error err = {0};
    char path[128], text[] = "/tmp/exaone-golden-XXXXXX", mmproj[64];
    set_name = name;
    snprintf(path, sizeof path, "tests/golden/model/%s/checkpoint", name);
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true, .cpu_level = level};
    if (gguf) { /* the same weights as a pair of GGUF files, which may be unlinked once they are mapped */
        int fd = mkstemp(text);
        assert_true(fd >= 0);
        close(fd);
        snprintf(mmproj, sizeof mmproj, "%s-mmproj.gguf", text);
        if (make_gguf(path, text, mmproj, EXAONE_BF16, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
        snprintf(path, sizeof path, "%s", text);
        o.mmproj = mmproj;
    }
    exaone_status s = exaone_engine_open(path, &o, &engine, &err);
    if (gguf) {
        unlink(text);
        unlink(mmproj);
    }
    if (s != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    size_t n;
    snprintf(path, sizeof path, "tests/golden/model/%s/stages/precision.json", name);
    assert_int_equal(exaone_file_read(path, 1 << 20, &precision_text, &n, &err), EXAONE_OK);
    exaone_arena_init(&arena, 16 << 20);
    assert_int_equal(exaone_json_parse(precision_text, n, &arena, &precision, &err), EXAONE_OK);
}

static int open_micro(void **state) {
    (void)state;
    open_set("micro", NULL, false);
    return 0;
}

static int open_nano(void **state) {
    (void)state;
    open_set("nano", NULL, false);
    return 0;
}

static int open_micro_scalar(void **state) {
    (void)state;
    open_set("micro", "scalar", false);
    return 0;
}

/* The level below the best of this machine, where that is not plain C. */
static int open_nano_below(void **state) {
    (void)state;
    size_t n = 0;
    while (exaone_cpu_level(n)) {
        n++;
    }
    open_set("nano", exaone_cpu_level(n > 2 ? n - 2 : n - 1), false);
    return 0;
}

static int open_micro_gguf(void **state) {
    (void)state;
    open_set("micro", NULL, true);
    return 0;
}

static int open_nano_gguf(void **state) {
    (void)state;
    open_set("nano", NULL, true);
    return 0;
}

static int close_set(void **state) {
    (void)state;
    exaone_engine_close(engine);
    engine = NULL;
    exaone_arena_release(&arena);
    free(precision_text);
    return 0;
}

static exaone_tensors *load(const char *stage) {
    exaone_error err = {0};
    char path[128];
    exaone_tensors *t;
    snprintf(path, sizeof path, "tests/golden/model/%s/stages/%s.safetensors", set_name, stage);
    if (exaone_tensors_load(path, &t, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return t;
}

static double bound_of(const char *stage, const char *name) {
    const exaone_json *entry = exaone_json_get(exaone_json_get(precision, stage), name);
    double x = 0;
    exaone_json_double(exaone_json_get(exaone_json_get(entry, "fp64"), "rel_l2"), &x);
    return x > 0 ? 3 * x : 1e-7;
}

static double relative_l2(const exaone_tensor *got, const exaone_tensor *want) {
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < exaone_tensor_elements(want); i++) {
        double a = (double)((const float *)got->data)[i], b = (double)((const float *)want->data)[i];
        if (!isfinite(a)) {
            return INFINITY;
        }
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

/* Compares result `name` with fixture tensor `want_name`; prints the figure; counts. */
static int compare(const exaone_tensors *out, const exaone_tensors *fixture, const char *stage, const char *name,
                   const char *want_name) {
    const exaone_tensor *got = exaone_tensors_get(out, name), *want = exaone_tensors_get(fixture, want_name);
    if (!got || !want) {
        print_error("%s %s: %s is missing\n", stage, want_name, got ? "the fixture" : "the result");
        return 1;
    }
    if (exaone_tensor_elements(got) != exaone_tensor_elements(want) || got->dtype != want->dtype) {
        print_error("%s %s: %llu values, the reference has %llu\n", stage, want_name,
                    (unsigned long long)exaone_tensor_elements(got), (unsigned long long)exaone_tensor_elements(want));
        return 1;
    }
    if (want->dtype != EXAONE_F32) {
        bool same = memcmp(got->data, want->data, want->bytes) == 0;
        if (!same) {
            print_error("%s %s: integers differ\n", stage, want_name);
        }
        return !same;
    }
    double distance = relative_l2(got, want), bound = bound_of(stage, want_name);
    if (!(distance <= bound)) {
        print_error("%s %s %s: L2 %.3g above %.3g\n", set_name, stage, want_name, distance, bound);
        return 1;
    }
    return 0;
}

static exaone_tensors *forward(const exaone_tensors *in, const exaone_forward_options *options) {
    exaone_error err = {0};
    exaone_tensors *out = NULL;
    if (exaone_forward(engine, in, options, &out, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return out;
}

/* Is a fixture tensor an input (not to be compared)? */
static bool is_input(const char *name) {
    static const char *const inputs[] = {"input_ids",    "attention_mask",     "position_ids",   "inputs_embeds",
                                         "labels",       "num_items_in_batch", "keep_last",      "keep_index",
                                         "calls",        "pixel_values",       "image_grid_thw", "pixel_values_videos",
                                         "keep_mask_2d", "keep_index_2d",      "video_grid_thw"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        if (strcmp(name, inputs[i]) == 0) {
            return true;
        }
    }
    return dot && (strcmp(dot, ".rgb") == 0 || strcmp(dot, ".frames") == 0 || strcmp(dot, ".position_ids") == 0);
}

static void check_stage(const char *stage, bool mtp) {
    exaone_tensors *fixture = load(stage);
    exaone_forward_options o = {.stages = "all", .mtp = mtp};
    exaone_tensors *out = forward(fixture, &o);
    int bad = 0, n = 0;
    bool text = exaone_tensors_get(fixture, "input_ids");
    for (size_t i = 0; i < exaone_tensors_count(fixture); i++) {
        const char *name = exaone_tensors_at(fixture, i)->name;
        /* the vision fixtures' position_ids and multimodal's inputs_embeds are results */
        bool result = (!text && strcmp(name, "position_ids") == 0) ||
                      (strcmp(name, "inputs_embeds") == 0 && exaone_tensors_get(fixture, "pixel_values"));
        if (result || !is_input(name)) {
            bad += compare(out, fixture, stage, name, name);
            n++;
        }
    }
    exaone_tensors_free(out);
    exaone_tensors_free(fixture);
    print_message("%s %s: %d tensors, %d bad\n", set_name, stage, n, bad);
    assert_true(n > 0);
    assert_int_equal(bad, 0);
}

static void test_vision(void **state) {
    (void)state;
    static const char *const micro[] = {"vision_1x8x8", "vision_1x12x10", "vision_2x8x10_video", "vision_two_images",
                                        "vision_1x20x2_tall"};
    if (strcmp(set_name, "nano") == 0) {
        check_stage("vision_1x2x10", false);
        return;
    }
    for (size_t i = 0; i < sizeof micro / sizeof micro[0]; i++) {
        check_stage(micro[i], false);
    }
}

static void test_text(void **state) {
    (void)state;
    check_stage("text", false);
}

static void test_batch(void **state) {
    (void)state;
    check_stage("batch", false);
}

static void test_positions(void **state) {
    (void)state;
    check_stage("positions", false);
}

static void test_loss(void **state) {
    (void)state;
    check_stage("loss", false);
}

static void test_cache(void **state) {
    (void)state;
    check_stage("cache", false);
}

static void test_multimodal(void **state) {
    (void)state;
    check_stage("multimodal_image_video", false);
    if (strcmp(set_name, "micro") == 0) {
        check_stage("multimodal_video_two_images", false);
    }
}

static void test_mtp(void **state) {
    (void)state;
    check_stage("mtp", true);
    check_stage("mtp_multimodal", true);
}

/* The last rows of each call over a long sequence. */
static void test_long(void **state) {
    (void)state;
    exaone_tensors *fixture = load("long");
    exaone_forward_options o = {.stages = "all"};
    exaone_tensors *out = forward(fixture, &o), *tail = exaone_tensors_new();
    exaone_error err = {0};
    int bad = 0;
    uint64_t n_calls = exaone_tensors_get(fixture, "calls")->dims[0];
    for (uint64_t k = 0; k < n_calls; k++) {
        char name[40];
        snprintf(name, sizeof name, "call.%llu.logits", (unsigned long long)k);
        const exaone_tensor *got = exaone_tensors_get(out, name), *want = exaone_tensors_get(fixture, name);
        assert_non_null(got);
        assert_non_null(want);
        uint64_t skip = (got->dims[1] - want->dims[1]) * got->dims[2];
        assert_int_equal(exaone_tensors_add(tail, name, EXAONE_F32, 3, want->dims, (const float *)got->data + skip, &err),
                         EXAONE_OK);
        bad += compare(tail, fixture, "long", name, name);
    }
    exaone_tensors_free(tail);
    exaone_tensors_free(out);
    exaone_tensors_free(fixture);
    assert_int_equal(bad, 0);
}

/* ---- generation ---- */

static exaone_tensors *pick(const exaone_tensors *from, const char *prefix) {
    exaone_tensors *to = exaone_tensors_new();
    exaone_error err = {0};
    for (size_t i = 0; i < exaone_tensors_count(from); i++) {
        const exaone_tensor *t = exaone_tensors_at(from, i);
        if (strncmp(t->name, prefix, strlen(prefix)) == 0) {
            const char *name = t->name + strlen(prefix);
            assert_int_equal(exaone_tensors_add(to, name, t->dtype, t->n_dims, t->dims, t->data, &err), EXAONE_OK);
        }
    }
    return to;
}

static double number(const exaone_json *settings, const char *key) {
    double x = 0;
    exaone_json_double(exaone_json_get(settings, key), &x);
    return x;
}

static void generate_case(const exaone_tensors *fixture, const char *name, size_t name_len, const exaone_json *c) {
    const exaone_json *prompt = exaone_json_get(c, "prompt"), *settings = exaone_json_get(c, "settings");
    char prefix[64], key[96];
    assert_true(exaone_json_is(prompt, EXAONE_JSON_STRING));
    snprintf(prefix, sizeof prefix, "%.*s", (int)prompt->len, prompt->text);
    char *dot = strstr(prefix, "input_ids");
    if (dot) {
        *dot = 0;
    } else {
        strcat(prefix, ".");
    }
    exaone_tensors *in = pick(fixture, prefix);
    int32_t stops[8];
    size_t n_stops = 0;
    const exaone_json *eos = exaone_json_get(settings, "eos_token_id");
    for (const exaone_json *e = exaone_json_is(eos, EXAONE_JSON_ARRAY) ? eos->first : eos; e && n_stops < 8; e = e->next) {
        int64_t id = -1;
        if (exaone_json_int(e, &id)) {
            stops[n_stops++] = (int32_t)id;
        }
        if (e == eos) {
            break;
        }
    }
    exaone_forward_options o = {
        .stages = "all",
        .greedy = (int)number(settings, "max_new_tokens"),
        .repetition_penalty = number(settings, "repetition_penalty"),
        .presence_penalty = number(settings, "presence_penalty"),
        .min_new_tokens = (int)number(settings, "min_new_tokens"),
        .stop_ids = n_stops ? stops : NULL,
        .n_stop_ids = n_stops,
    };
    exaone_tensors *out = forward(in, &o);
    static const char *const results[] = {"ids", "margin", "logits"};
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%.*s.%s", (int)name_len, name, results[i]);
        const exaone_tensor *want = exaone_tensors_get(fixture, key), *got = exaone_tensors_get(out, results[i]);
        if (!want) {
            continue;
        }
        assert_non_null(got);
        assert_int_equal(exaone_tensor_elements(got), exaone_tensor_elements(want));
        if (i == 0) {
            assert_memory_equal(got->data, want->data, want->bytes);
        } else { /* margins are differences of logits: their noise is absolute, 1e-4 for logits of rms 3 */
            for (uint64_t k = 0; k < exaone_tensor_elements(want); k++) {
                double d = fabs((double)((float *)got->data)[k] - (double)((float *)want->data)[k]);
                if (!(d < 2e-4)) {
                    fail_msg("%s at %llu: %g, the reference has %g", key, (unsigned long long)k,
                             (double)((float *)got->data)[k], (double)((float *)want->data)[k]);
                }
            }
        }
    }
    exaone_tensors_free(out);
    exaone_tensors_free(in);
}

static void test_generate(void **state) {
    (void)state;
    exaone_tensors *fixture = load("generate");
    exaone_error err = {0};
    char path[128], *text;
    size_t n, cases = 0;
    snprintf(path, sizeof path, "tests/golden/model/%s/stages/generate.json", set_name);
    assert_int_equal(exaone_file_read(path, 1 << 20, &text, &n, &err), EXAONE_OK);
    exaone_arena a;
    exaone_arena_init(&a, 16 << 20);
    exaone_json *root;
    assert_int_equal(exaone_json_parse(text, n, &a, &root, &err), EXAONE_OK);
    for (const exaone_json *c = root->first; c; c = c->next) {
        if (exaone_json_get(c, "prompt")) {
            generate_case(fixture, c->key, c->key_len, c);
            cases++;
        }
    }
    assert_true(cases >= 4);
    exaone_arena_release(&a);
    free(text);
    exaone_tensors_free(fixture);
}

/* Inputs that hold nothing, or a single value without a dimension. */
static void test_odd_inputs(void **state) {
    (void)state;
    static const char *const names[] = {"calls",          "logits_to_keep", "num_items_in_batch",
                                        "attention_mask", "labels",         "position_ids"};
    int64_t ids[4] = {1, 2, 3, 4}, one = 4;
    uint64_t shape[2] = {1, 4}, none[1] = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int empty = 0; empty < 2; empty++) {
            exaone_error err = {0};
            exaone_tensors *in = exaone_tensors_new(), *out = NULL;
            exaone_forward_options o = {.stages = "all"};
            assert_int_equal(exaone_tensors_add(in, "input_ids", EXAONE_I64, 2, shape, ids, &err), EXAONE_OK);
            if (strcmp(names[i], "num_items_in_batch") == 0) { /* is read only beside labels */
                assert_int_equal(exaone_tensors_add(in, "labels", EXAONE_I64, 2, shape, ids, &err), EXAONE_OK);
            }
            assert_int_equal(exaone_tensors_add(in, names[i], EXAONE_I64, empty ? 1 : 0, none, &one, &err), EXAONE_OK);
            exaone_status s = exaone_forward(engine, in, &o, &out, &err);
            if (empty) {
                assert_int_equal(s, EXAONE_ERR_ARGUMENT);
                assert_non_null(strstr(err.message, names[i]));
            } else if (i < 3) { /* a count: the same as [1] */
                assert_int_equal(s, EXAONE_OK);
            } else {
                assert_int_equal(s, EXAONE_ERR_ARGUMENT);
            }
            exaone_tensors_free(out);
            exaone_tensors_free(in);
        }
    }
}

#define STAGES(open)                                                       \
    cmocka_unit_test_setup_teardown(test_vision, open, close_set),         \
        cmocka_unit_test_setup_teardown(test_text, open, close_set),       \
        cmocka_unit_test_setup_teardown(test_batch, open, close_set),      \
        cmocka_unit_test_setup_teardown(test_positions, open, close_set),  \
        cmocka_unit_test_setup_teardown(test_loss, open, close_set),       \
        cmocka_unit_test_setup_teardown(test_cache, open, close_set),      \
        cmocka_unit_test_setup_teardown(test_long, open, close_set),       \
        cmocka_unit_test_setup_teardown(test_multimodal, open, close_set), \
        cmocka_unit_test_setup_teardown(test_mtp, open, close_set),        \
        cmocka_unit_test_setup_teardown(test_generate, open, close_set)

int main(void) {
    const struct CMUnitTest tests[] = {STAGES(open_micro),
                                       STAGES(open_nano),
                                       STAGES(open_micro_scalar),
                                       STAGES(open_micro_gguf),
                                       STAGES(open_nano_below),
                                       STAGES(open_nano_gguf),
                                       cmocka_unit_test_setup_teardown(test_odd_inputs, open_micro, close_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
