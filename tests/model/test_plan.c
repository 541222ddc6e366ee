/* Host arithmetic: window order and segments of the vision tower, rotary frequencies, cache visibility. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kv_cache.h"
#include "model/rope.h"
#include "model/vision_plan.h"

static exaone_vision_plan plan_of(int64_t t, int64_t h, int64_t w) {
    exaone_vision_plan p;
    exaone_error err = {0};
    int64_t grid[1][3] = {{t, h, w}};
    assert_int_equal(exaone_vision_plan_init(&p, (const int64_t(*)[3])grid, 1, 2, 4, &err), EXAONE_OK);
    return p;
}

static void expect(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want) {
    assert_int_equal(n_got, n_want);
    assert_memory_equal(got, want, n_want * sizeof *want);
}
#define EXPECT(got, n, ...)                                 \
    do {                                                    \
        const int32_t want[] = {__VA_ARGS__};               \
        expect(got, n, want, sizeof want / sizeof want[0]); \
    } while (0)

/* The worked examples of docs/model.md. */
static void test_windows(void **state) {
    (void)state;
    exaone_vision_plan p = plan_of(1, 12, 10);
    EXPECT(p.window_index, p.n_units, 0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18, 4, 9, 14, 19, 20, 21, 22, 23,
           25, 26, 27, 28, 24, 29);
    EXPECT(p.window_bounds, p.n_windows + 1, 0, 64, 80, 112, 120);
    EXPECT(p.frame_bounds, p.n_frames + 1, 0, 120);
    for (size_t i = 0; i < p.n_units; i++) {
        assert_int_equal(p.window_index[p.inverse[i]], i);
    }
    exaone_vision_plan_release(&p);
    p = plan_of(2, 8, 10);
    EXPECT(p.window_bounds, p.n_windows + 1, 0, 64, 80, 144, 160);
    EXPECT(p.frame_bounds, p.n_frames + 1, 0, 80, 160);
    assert_int_equal(p.window_index[20], 20);
    exaone_vision_plan_release(&p);
    p = plan_of(1, 8, 8);
    EXPECT(p.window_bounds, p.n_windows + 1, 0, 64);
    assert_int_equal(p.place[3][0], 1); /* merge-block order: the fourth patch is row 1, column 1 */
    assert_int_equal(p.place[3][1], 1);
    assert_int_equal(p.place[4][0], 0);
    assert_int_equal(p.place[4][1], 2);
    exaone_vision_plan_release(&p);
}

static void test_bad_grids(void **state) {
    (void)state;
    static const int64_t grids[][3] = {{0, 8, 8},        {1, 7, 8}, {1, 8, 3}, {-1, 8, 8}, {1, 1 << 20, 1 << 20},
                                       {INT64_MAX, 2, 2}};
    for (size_t i = 0; i < sizeof grids / sizeof grids[0]; i++) {
        exaone_vision_plan p;
        exaone_error err = {0};
        assert_int_not_equal(exaone_vision_plan_init(&p, &grids[i], 1, 2, 4, &err), EXAONE_OK);
        assert_true(strlen(err.message) > 0);
        exaone_vision_plan_release(&p);
    }
}

/* The released configuration: the derived values of docs/model.md (f64), which the f32 table meets within 3e-7. */
static void test_frequencies(void **state) {
    (void)state;
    exaone_config c = {.head_dim = 128};
    c.rope = (exaone_rope_config){.rope_theta = 1e6,
                                  .llama3 = true,
                                  .factor = 16,
                                  .low_freq_factor = 1,
                                  .high_freq_factor = 4,
                                  .original_max_position_embeddings = 8192};
    float f[64];
    exaone_rope_text_frequencies(&c, f);
    static const struct {
        int i;
        double f;
    } want[] = {{0, 1},
                {26, 3.651741273e-3},
                {27, 2.792574273e-3},
                {31, 3.171880715e-4},
                {32, 1.574366543e-4},
                {33, 6.312133240e-5},
                {34, 4.058635197e-5},
                {63, 7.755861005e-8}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        assert_true(fabs((double)f[want[i].i] / want[i].f - 1) < 4e-7);
    }
    float factors[64], g[64]; /* the GGUF factors divide: dividing by f / f' must give the same table */
    c.rope.llama3 = false;
    exaone_rope_text_frequencies(&c, g);
    for (int i = 0; i < 64; i++) {
        factors[i] = g[i] / f[i];
    }
    c.rope.factors = factors;
    exaone_rope_text_frequencies(&c, g);
    for (int i = 0; i < 64; i++) {
        assert_true(fabs((double)g[i] / (double)f[i] - 1) < 2e-7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_windows), cmocka_unit_test(test_bad_grids),
                                       cmocka_unit_test(test_frequencies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
