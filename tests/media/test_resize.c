/* smart_resize against 300 rows of the reference; the resize's own properties (the pixels are compared in test_image.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/pool.h"
#include "exaone/media.h"
#include "../support/fixture.h"

#define TABLE "tests/golden/edges/images/smart_resize.json"

static void smart_resize_table(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, TABLE);
    int64_t factor = fixture_int(j.root, "factor");
    size_t rows = 0, errors = 0;
    for (const exaone_json *row = exaone_json_get(j.root, "cases")->first; row; row = row->next, rows++) {
        int64_t v[6] = {0};
        size_t n = 0;
        bool error = false;
        for (const exaone_json *cell = row->first; cell; cell = cell->next) {
            if (exaone_json_equals(cell, "error")) {
                error = true;
            } else {
                assert_true(n < 6 && exaone_json_int(cell, &v[n]));
                n++;
            }
        }
        uint32_t H = 0, W = 0;
        exaone_error err = {0};
        exaone_status status =
            exaone_smart_resize((uint32_t)v[0], (uint32_t)v[1], v[2], v[3], (uint32_t)factor, &H, &W, &err);
        if (error) {
            assert_int_equal(status, EXAONE_ERR_LIMIT);
            errors++;
        } else {
            assert_int_equal(status, EXAONE_OK);
            if (H != v[4] || W != v[5]) {
                fail_msg("%d x %d: want %d x %d, got %u x %u", (int)v[0], (int)v[1], (int)v[4], (int)v[5], H, W);
            }
        }
    }
    fixture_json_close(&j);
    assert_int_equal(rows, 300);
    assert_true(errors > 0);
}

static void smart_resize_bad_arguments(void **state) {
    (void)state;
    uint32_t H = 7, W = 7;
    exaone_error err = {0};
    assert_int_equal(exaone_smart_resize(0, 5, 3136, 3211264, 28, &H, &W, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_smart_resize(5, 5, 3136, 3211264, 0, &H, &W, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_smart_resize(5, 5, 0, 3211264, 28, &H, &W, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_smart_resize(5, 5, 3136, -1, 28, &H, &W, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_smart_resize(1, 200, INT64_MAX, INT64_MAX, 28, &H, &W, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_smart_resize(UINT32_MAX, UINT32_MAX, 1, INT64_MAX, 28, &H, &W, &err), EXAONE_OK);
    assert_int_equal(H % 28, 0);
    assert_int_equal(exaone_smart_resize(201, 1, 3136, 3211264, 28, &H, &W, &err), EXAONE_ERR_LIMIT);
    assert_string_equal(err.message, "absolute aspect ratio must be smaller than 200, got 201.0");
    assert_int_equal(exaone_smart_resize(200, 1, 3136, 3211264, 28, &H, &W, &err), EXAONE_OK);
}

static uint8_t *noise(size_t n, uint32_t seed) {
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
    return p;
}

/* Serial and three threads, both back ends, sizes that leave odd remainders: the same bytes. */
static void threads_do_not_show(void **state) {
    (void)state;
    static const uint32_t sizes[][4] = {
        {97, 61, 140, 56}, {301, 33, 28, 84}, {5, 7, 56, 28}, {64, 64, 64, 84}, {64, 640, 28, 640}};
    exaone_pool *pool = NULL;
    exaone_error err = {0};
    assert_int_equal(exaone_pool_new(3, &pool, &err), EXAONE_OK);
    exaone_parallel parallel = exaone_pool_parallel(pool);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t *s = sizes[i];
        size_t n = (size_t)3 * s[2] * s[3];
        uint8_t *src = noise((size_t)3 * s[0] * s[1], (uint32_t)i), *a = malloc(n), *b = malloc(n);
        for (int backend = 0; backend < 2; backend++) {
            memset(a, 1, n);
            memset(b, 2, n);
            assert_int_equal(exaone_resize_rgb(src, s[0], s[1], a, s[2], s[3], (exaone_resize_backend)backend, NULL, &err),
                             EXAONE_OK);
            assert_int_equal(
                exaone_resize_rgb(src, s[0], s[1], b, s[2], s[3], (exaone_resize_backend)backend, &parallel, &err),
                EXAONE_OK);
            assert_memory_equal(a, b, n);
        }
        free(src);
        free(a);
        free(b);
    }
    exaone_pool_free(pool);
}

static void transpose(const uint8_t *in, size_t rows, size_t cols, uint8_t *out) {
    for (size_t y = 0; y < rows; y++) {
        for (size_t x = 0; x < cols; x++) {
            memcpy(out + (x * rows + y) * 3, in + (y * cols + x) * 3, 3);
        }
    }
}

/* A row made longer or shorter is what the same samples give as a column: two loops that have nothing in common, of which
 * one reads past what it needs and must stop before the end of the picture. */
static void rows_are_columns(void **state) {
    (void)state;
    static const uint32_t sizes[][2] = {{1, 2},   {2, 1},    {3, 28},  {4, 5},   {5, 4},    {7, 140}, {28, 27}, {61, 56},
                                        {64, 28}, {100, 99}, {301, 4}, {640, 1}, {999, 28}, {56, 57}, {90, 700}};
    enum { OTHER = 5 };
    exaone_error err = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t n = sizes[i][0], m = sizes[i][1];
        uint8_t *src = noise((size_t)3 * n * OTHER, (uint32_t)i), *turned = malloc((size_t)3 * n * OTHER);
        uint8_t *rows = malloc((size_t)3 * m * OTHER), *columns = malloc((size_t)3 * m * OTHER),
                *back = malloc((size_t)3 * m * OTHER);
        assert_true(turned && rows && columns && back);
        for (size_t k = 0; k < (size_t)3 * n * OTHER && i % 2; k++) {
            src[k] = src[k] < 128 ? 0 : 255; /* sums at both ends */
        }
        transpose(src, OTHER, n, turned);
        for (int backend = 0; backend < 2; backend++) {
            assert_int_equal(exaone_resize_rgb(src, OTHER, n, rows, OTHER, m, (exaone_resize_backend)backend, NULL, &err),
                             EXAONE_OK);
            assert_int_equal(
                exaone_resize_rgb(turned, n, OTHER, columns, m, OTHER, (exaone_resize_backend)backend, NULL, &err),
                EXAONE_OK);
            transpose(columns, m, OTHER, back);
            assert_memory_equal(rows, back, (size_t)3 * m * OTHER);
        }
        free(src);
        free(turned);
        free(rows);
        free(columns);
        free(back);
    }
}

/* A flat picture stays flat: the integer weights of one output sum to 1 within less than half a level of 255. */
static void flat_stays_flat(void **state) {
    (void)state;
    uint8_t src[3 * 37 * 11], dst[3 * 84 * 28];
    exaone_error err = {0};
    for (int level = 0; level < 256; level += 51) {
        memset(src, level, sizeof src);
        for (int backend = 0; backend < 2; backend++) {
            assert_int_equal(exaone_resize_rgb(src, 37, 11, dst, 84, 28, (exaone_resize_backend)backend, NULL, &err),
                             EXAONE_OK);
            for (size_t i = 0; i < sizeof dst; i++) {
                assert_int_equal(dst[i], level);
            }
        }
    }
}

static void bad_sizes_are_refused(void **state) {
    (void)state;
    uint8_t p[3] = {0};
    exaone_error err = {0};
    assert_int_equal(exaone_resize_rgb(p, 0, 1, p, 1, 1, EXAONE_RESIZE_TORCHVISION, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_resize_rgb(p, 1, 1, p, 1, (1u << 24) + 1, EXAONE_RESIZE_PIL, NULL, &err), EXAONE_ERR_ARGUMENT);
}

/* patch_size, temporal_patch_size and merge_size other than the released ones: each value is where the definition says. */
static void patches_follow_their_definition(void **state) {
    (void)state;
    exaone_pixel_config c = exaone_processor_config_default().image;
    c.patch_size = 3;
    c.temporal_patch_size = 3;
    c.merge_size = 3;
    const uint32_t H = 18, W = 27, P = 3, M = 3, T = 3;
    uint8_t *frame[3];
    for (uint32_t f = 0; f < 3; f++) {
        frame[f] = noise((size_t)3 * H * W, f);
    }
    exaone_pixels p;
    exaone_error err = {0};
    assert_int_equal(exaone_pixels_init(&p, 3, H, W, &c, false, &err), EXAONE_OK);
    assert_int_equal(p.rows, 54);
    assert_int_equal(p.cols, 81);
    exaone_patches((const uint8_t *const *)frame, H, W, &c, NULL, p.values);
    size_t row = 0;
    for (uint32_t by = 0; by < H / (P * M); by++) {
        for (uint32_t bx = 0; bx < W / (P * M); bx++) {
            for (uint32_t m = 0; m < M * M; m++, row++) {
                for (uint32_t i = 0; i < p.cols; i++) {
                    uint32_t ch = i / (T * P * P), f = i / (P * P) % T, y = i / P % P, x = i % P;
                    uint32_t Y = (by * M + m / M) * P + y, X = (bx * M + m % M) * P + x;
                    float level = frame[f][(Y * W + X) * 3 + ch];
                    float want = (level - (float)c.mean[ch] * 255.0f) / ((float)c.std[ch] * 255.0f);
                    assert_true(p.values[row * p.cols + i] == want);
                }
            }
        }
    }
    exaone_pixels_release(&p);
    for (uint32_t f = 0; f < 3; f++) {
        free(frame[f]);
    }
    assert_int_equal(exaone_pixels_init(&p, 1, 28, 27, &c, false, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_pixels_init(&p, UINT32_MAX, 4294967292u, 4294967292u, &c, false, &err), EXAONE_ERR_LIMIT);
}

/* Limits that ask for a huge picture are refused before anything of that size is allocated: 10^9 pixels would take 24 GB. */
static void huge_results_are_refused(void **state) {
    (void)state;
    uint8_t rgb[32 * 32 * 3] = {0};
    exaone_image image = {.width = 32, .height = 32, .rgb = rgb};
    exaone_pixel_config c = exaone_processor_config_default().image;
    c.min_pixels = 1000000000;
    c.max_pixels = 2000000000;
    exaone_pixels p;
    exaone_error err = {0};
    assert_int_equal(exaone_preprocess_image(&image, &c, NULL, false, &p, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "= 1001089600 pixels (min_pixels 1000000000"));
    assert_non_null(strstr(err.message, "the limit is 100000000"));
    assert_null(p.values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smart_resize_table),
        cmocka_unit_test(smart_resize_bad_arguments),
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(rows_are_columns),
        cmocka_unit_test(flat_stays_flat),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(patches_follow_their_definition),
        cmocka_unit_test(huge_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
