/* Images against the reference: decoded pixels, resized pixels and pixel values of every file in tests/golden/edges/images,
 * for both back ends. All comparisons are exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/pool.h"
#include "exaone/media.h"
#include "../support/fixture.h"

#define FOLDER "tests/golden/edges/images/"

static fixture tensors;
static fixture_json cases;

static int setup(void **state) {
    (void)state;
    fixture_open(&tensors, FOLDER "images.safetensors");
    fixture_json_open(&cases, FOLDER "images.json");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_close(&tensors);
    fixture_json_close(&cases);
    return 0;
}

static void expect_digest(const exaone_json *c, const char *key, const void *data, size_t n, const char *file) {
    char want[80], got[65];
    fixture_string(c, key, want, sizeof want);
    fixture_sha256(data, n, got);
    if (strcmp(want, got) != 0) {
        fail_msg("%s: %s differs", file, key);
    }
}

static void expect_tensor(const char *file, const char *what, const void *data, size_t n) {
    char name[160];
    snprintf(name, sizeof name, "%.*s/%s", (int)(strrchr(file, '.') - file), file, what);
    const fixture_tensor *t = fixture_find(&tensors, name);
    if (t && (t->bytes != n || memcmp(t->data, data, n) != 0)) {
        fail_msg("%s differs", name);
    }
}

/* Rows i * (n - 1) / 63 without repetitions, columns i * 1175 / 11. */
static size_t expect_sample(const char *file, const char *what, const exaone_pixels *p) {
    char name[160];
    snprintf(name, sizeof name, "%.*s/%s", (int)(strrchr(file, '.') - file), file, what);
    const fixture_tensor *t = fixture_find(&tensors, name);
    if (!t) {
        return 0;
    }
    size_t at = 0, last = SIZE_MAX;
    for (size_t i = 0; i < 64; i++) {
        size_t row = i * (p->rows - 1) / 63;
        for (size_t k = 0; row != last && k < 12; k++, at++) {
            float want;
            assert_true(at * 4 < t->bytes);
            memcpy(&want, t->data + 4 * at, 4);
            if (want != p->values[row * p->cols + k * 1175 / 11]) {
                fail_msg("%s differs at row %zu", name, row);
            }
        }
        last = row;
    }
    assert_int_equal(at * 4, t->bytes);
    return 1;
}

static exaone_image decode(const char *file, bool strict) {
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s", file);
    exaone_image_options options = {.strict_reference = strict};
    exaone_image image;
    exaone_error err = {0};
    if (exaone_image_decode_file(path, &options, &image, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return image;
}

static int64_t array_int(const exaone_json *c, const char *key, size_t index) {
    const exaone_json *v = exaone_json_get(c, key);
    assert_non_null(v);
    v = v->first;
    for (; index > 0 && v; index--) {
        v = v->next;
    }
    int64_t out = -1;
    assert_true(exaone_json_int(v, &out));
    return out;
}

static bool is_grey16(const char *file) {
    return strncmp(file, "png-gray16", 10) == 0;
}

static void every_file_decodes_like_the_reference(void **state) {
    (void)state;
    size_t n = 0;
    for (const exaone_json *c = exaone_json_get(cases.root, "images")->first; c; c = c->next, n++) {
        char file[128];
        fixture_string(c, "file", file, sizeof file);
        for (int strict = 0; strict < 2; strict++) {
            exaone_image image = decode(file, strict);
            if (strict || !is_grey16(file)) {
                assert_int_equal(image.height, array_int(c, "rgb_size", 0));
                assert_int_equal(image.width, array_int(c, "rgb_size", 1));
                size_t bytes = (size_t)3 * image.width * image.height;
                expect_tensor(file, "rgb", image.rgb, bytes);
                expect_digest(c, "rgb_sha256", image.rgb, bytes, file);
            }
            exaone_image_release(&image);
        }
    }
    assert_int_equal(n, fixture_int(cases.root, "count"));
}

/* The one place where the default leaves the reference: 16-bit grey keeps its high byte, as all other 16-bit types do. */
static void grey16_keeps_the_high_byte(void **state) {
    (void)state;
    exaone_image a = decode("png-gray16.png", false), b = decode("png-gray8.png", false), s = decode("png-gray16.png", true);
    size_t n = (size_t)3 * a.width * a.height;
    assert_int_equal(a.width, b.width);
    assert_int_equal(a.height, b.height);
    assert_memory_equal(a.rgb, b.rgb, n);
    assert_memory_not_equal(a.rgb, s.rgb, n);
    exaone_image t = decode("png-gray16-trns.png", false); /* the same picture with one value made white */
    size_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        if (t.rgb[i] != a.rgb[i]) {
            assert_int_equal(t.rgb[i], 255);
            differ++;
        }
    }
    assert_true(differ > 0 && differ < n / 10);
    exaone_image_release(&a);
    exaone_image_release(&b);
    exaone_image_release(&s);
    exaone_image_release(&t);
}

static void preprocess_case(const exaone_json *c, const char *file, const exaone_image *image, exaone_resize_backend backend,
                            const exaone_parallel *parallel, size_t *samples) {
    static const char *const names[2] = {"torchvision", "pil"};
    exaone_processor_config config = exaone_processor_config_default();
    config.image.min_pixels = fixture_int(cases.root, "min_pixels");
    config.image.max_pixels = fixture_int(cases.root, "max_pixels");
    config.image.backend = backend;
    exaone_pixels p;
    exaone_error err = {0};
    exaone_status status = exaone_preprocess_image(image, &config.image, parallel, true, &p, &err);
    if (exaone_json_get(c, "processor_error")) {
        char text[256];
        assert_int_equal(status, EXAONE_ERR_LIMIT);
        assert_string_equal(err.message, fixture_string(c, "processor_error", text, sizeof text));
        return;
    }
    if (status != EXAONE_OK) {
        fail_msg("%s: %s", file, err.message);
    }
    char key[64];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(p.grid[i], array_int(c, "grid", i));
    }
    assert_int_equal(p.height, array_int(c, "resized_size", 0));
    assert_int_equal(p.width, array_int(c, "resized_size", 1));
    assert_int_equal(exaone_pixels_tokens(&p, &config.image), fixture_int(c, "tokens"));
    snprintf(key, sizeof key, "resized_sha256_%s", names[backend]);
    expect_digest(c, key, p.resized, (size_t)3 * p.height * p.width, file);
    snprintf(key, sizeof key, "resized_%s", names[backend]);
    expect_tensor(file, key, p.resized, (size_t)3 * p.height * p.width);
    snprintf(key, sizeof key, "pixel_values_sha256_%s", names[backend]);
    expect_digest(c, key, p.values, p.rows * p.cols * 4, file);
    snprintf(key, sizeof key, "pixel_values_%s", names[backend]);
    expect_tensor(file, key, p.values, p.rows * p.cols * 4);
    snprintf(key, sizeof key, "sample_%s", names[backend]);
    *samples += expect_sample(file, key, &p);
    exaone_pixels_release(&p);
}

static void every_file_gives_the_reference_pixel_values(void **state) {
    (void)state;
    exaone_pool *pool = NULL;
    exaone_error err = {0};
    assert_int_equal(exaone_pool_new(2, &pool, &err), EXAONE_OK);
    exaone_parallel parallel = exaone_pool_parallel(pool);
    size_t samples = 0;
    for (const exaone_json *c = exaone_json_get(cases.root, "images")->first; c; c = c->next) {
        char file[128];
        fixture_string(c, "file", file, sizeof file);
        exaone_image image = decode(file, true);
        preprocess_case(c, file, &image, EXAONE_RESIZE_TORCHVISION, &parallel, &samples);
        preprocess_case(c, file, &image, EXAONE_RESIZE_PIL, &parallel, &samples);
        exaone_image_release(&image);
    }
    exaone_pool_free(pool);
    assert_true(samples > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_decodes_like_the_reference),
        cmocka_unit_test(grey16_keeps_the_high_byte),
        cmocka_unit_test(every_file_gives_the_reference_pixel_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
