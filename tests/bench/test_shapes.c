/* The synthetic 33B against the numbers of docs/model.md (overview: the released index's), its files against the engine, and
 * the machine's figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bench/shapes.h"
#include "exaone/bench.h"

static exaone_shapes list_of(int n_layers) {
    exaone_config config;
    exaone_shapes shapes;
    exaone_error err;
    assert_int_equal(exaone_shapes_config(n_layers, &config, &err), EXAONE_OK);
    assert_int_equal(exaone_shapes_list(&config, &shapes, &err), EXAONE_OK);
    exaone_config_release(&config);
    return shapes;
}

static void counts(void **state) {
    (void)state;
    exaone_shapes s = list_of(64);
    assert_int_equal(exaone_shapes_weights(&s, "model.language_model.embed_tokens."), 786432000);
    assert_int_equal(exaone_shapes_weights(&s, "lm_head."), 786432000);
    assert_int_equal(exaone_shapes_weights(&s, "model.language_model.layers.0."), 483666176);
    assert_int_equal(exaone_shapes_weights(&s, "model.language_model.layers."), 30954635264);
    assert_int_equal(exaone_shapes_weights(&s, "model.language_model.norm."), 5120);
    assert_int_equal(exaone_shapes_weights(&s, "model.visual."), 1286482944);
    assert_int_equal(exaone_shapes_weights(&s, "mtp."), 536110336);
    assert_int_equal(exaone_shapes_weights(&s, ""), 34350097664);
    exaone_shapes_release(&s);
    s = list_of(3);
    assert_int_equal(exaone_shapes_weights(&s, ""), 34350097664 - 61 * 483666176ull);
    exaone_shapes_release(&s);
}

static void sizes(void **state) {
    (void)state;
    exaone_synthetic_size all, four;
    exaone_error err;
    assert_int_equal(exaone_synthetic_measure(NULL, &all, &err), EXAONE_OK);
    assert_int_equal(exaone_synthetic_measure(&(exaone_synthetic_options){.layers = 4}, &four, &err), EXAONE_OK);
    assert_int_equal(all.layers, 64);
    assert_int_equal(four.text_bytes_64, all.text_bytes);
    assert_int_equal(four.mmproj_bytes, all.mmproj_bytes);
    /* Q4_K_M: 4.85 bits a weight for text and MTP; the vision tower is BF16 */
    assert_true(all.text_bytes > 19000000000 && all.text_bytes < 21000000000);
    assert_true(all.mmproj_bytes > 2 * 1286482944ull && all.mmproj_bytes < 2 * 1286482944ull + 8000000);
    /* BF16: 2 bytes a weight, norms F32; the tokenizer and the header take some megabytes */
    assert_int_equal(exaone_synthetic_measure(&(exaone_synthetic_options){.type = "bf16"}, &all, &err), EXAONE_OK);
    uint64_t plain = 2 * (34350097664 - 1286482944);
    assert_true(all.text_bytes > plain && all.text_bytes < plain + 20000000);
}

static void refusals(void **state) {
    (void)state;
    exaone_synthetic_size size;
    exaone_error err = {0};
    assert_int_equal(exaone_synthetic_measure(&(exaone_synthetic_options){.type = "Q9"}, &size, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "Q4_K_M"));
    assert_int_equal(exaone_synthetic_measure(&(exaone_synthetic_options){.layers = 65}, &size, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "65"));
    assert_int_equal(exaone_synthetic_measure(&(exaone_synthetic_options){.layers = -1}, &size, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_synthetic_write(NULL, "models/tiny/config.json", NULL, false, &err), EXAONE_ERR_ARGUMENT);
    double rate;
    assert_int_equal(exaone_bench_peak_run(1000, 1, 0.001, &rate, &err), EXAONE_ERR_ARGUMENT);
}

/* Every level of kernels has an int8 and an FMA peak that it may use, and none is allowed more than a higher one. */
static void peaks(void **state) {
    (void)state;
    size_t before = 0, n = 0;
    exaone_peak peak;
    for (; exaone_bench_peak(n, &peak); n++) {
        double rate = 0;
        exaone_error err;
        assert_int_equal(exaone_bench_peak_run(n, 1, 0.005, &rate, &err), EXAONE_OK);
        assert_true(rate > 0);
    }
    for (size_t i = 0; exaone_cpu_level(i); i++) {
        size_t usable = 0, kinds[3] = {0};
        for (size_t k = 0; k < n; k++) {
            exaone_bench_peak(k, &peak);
            bool within = exaone_bench_peak_within(&peak, exaone_cpu_level(i));
            usable += within;
            kinds[peak.kind] += within;
        }
        assert_true(usable >= before && kinds[EXAONE_PEAK_FMA] > 0 && kinds[EXAONE_PEAK_INT8] > 0);
        before = usable;
    }
}

static void bandwidth(void **state) {
    (void)state;
    double rate = 0;
    exaone_error err;
    assert_int_equal(exaone_bench_bandwidth(3000000, 2, 0.01, &rate, &err), EXAONE_OK);
    assert_true(rate > 1e6);
}

/* ---- the tiny model ---- */

static exaone_engine *open_tiny(void) {
    exaone_engine *e;
    exaone_error err;
    assert_int_equal(exaone_engine_open("models/tiny", &(exaone_engine_options){.n_threads = 2}, &e, &err), EXAONE_OK);
    return e;
}

static void passes(void **state) {
    (void)state;
    exaone_engine *e = open_tiny();
    exaone_bench *b;
    exaone_error err = {0};
    exaone_bench_pass p, q;
    assert_int_equal(exaone_bench_open(e, &(exaone_bench_options){.n_ctx = 600, .batch = 64}, &b, &err), EXAONE_OK);
    assert_int_equal(exaone_bench_rows(b, 1, 1, NULL, NULL, &p, &err), EXAONE_OK);
    /* models/tiny/config.json: 8 layers of 2 * 256 * 256 (q, o) + 2 * 128 * 256 (k, v) + 3 * 512 * 256 (mlp) in BF16 */
    assert_true(p.layers.weight_bytes == 2.0 * 8 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256));
    assert_true(p.fixed.weight_bytes == 2.0 * 1536 * 256 && p.fixed.bf16_macs == 1536.0 * 256);
    assert_true(p.layers.bf16_macs == p.layers.weight_bytes / 2 && p.layers.int8_macs == 0);
    /* twice the rows in two calls: weights twice, multiply-adds twice */
    assert_int_equal(exaone_bench_rows(b, 128, 1, NULL, NULL, &q, &err), EXAONE_OK);
    assert_true(q.layers.weight_bytes == 2 * p.layers.weight_bytes && q.layers.bf16_macs == 128 * p.layers.bf16_macs);
    /* behind 512 tokens a full layer (2 of 8) reads 513 keys, a sliding one its window of 64 */
    assert_int_equal(exaone_bench_context(b, 512, &err), EXAONE_OK);
    assert_int_equal(exaone_bench_rows(b, 1, 1, NULL, NULL, &q, &err), EXAONE_OK);
    assert_true(q.layers.kv_bytes == p.layers.kv_bytes / 8 * (2 * 513 + 6 * 64));
    assert_true(q.layer_seconds > 0 && q.fixed_seconds > 0);
    /* the timeline stays: the same again fits, and so does what is left of it */
    assert_int_equal(exaone_bench_rows(b, 88, 1, NULL, NULL, &q, &err), EXAONE_OK);
    assert_int_equal(exaone_bench_rows(b, 89, 1, NULL, NULL, &q, &err), EXAONE_ERR_LIMIT);
    assert_int_equal(exaone_bench_rows(b, 0, 0, NULL, NULL, &q, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_bench_draft(b, &q, &err), EXAONE_OK);
    assert_true(q.fixed.bf16_macs > p.fixed.bf16_macs && q.fixed_seconds > 0);
    exaone_bench_close(b);
    exaone_engine_close(e);
}

static bool at_once(void *ctx) {
    ++*(int *)ctx;
    return true;
}

static void pictures(void **state) {
    (void)state;
    exaone_engine *e = open_tiny();
    exaone_error err = {0};
    exaone_bench_pass small, video;
    size_t patches;
    int asked = 0;
    assert_int_equal(exaone_bench_vision(e, 1, 112, 112, NULL, NULL, &patches, &small, &err), EXAONE_OK);
    assert_int_equal(patches, 64);
    /* four frames are two pairs, which neither windows nor frames mix */
    assert_int_equal(exaone_bench_vision(e, 4, 112, 112, NULL, NULL, &patches, &video, &err), EXAONE_OK);
    assert_int_equal(patches, 128);
    assert_true(video.fixed.bf16_macs == 2 * small.fixed.bf16_macs && video.fixed.fma_macs == 2 * small.fixed.fma_macs);
    assert_int_equal(exaone_bench_vision(e, 1, 113, 112, NULL, NULL, &patches, &small, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_bench_vision(e, 1, 112, 112, at_once, &asked, &patches, &small, &err), EXAONE_ERR_CANCELLED);
    assert_int_equal(asked, 1);
    exaone_engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(sizes),     cmocka_unit_test(refusals), cmocka_unit_test(peaks),
        cmocka_unit_test(passes), cmocka_unit_test(bandwidth), cmocka_unit_test(pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
