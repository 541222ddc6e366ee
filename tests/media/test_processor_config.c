/* Processor settings: defaults, the files' spellings, refusals by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "exaone/media.h"

static exaone_status parse(const char *json, exaone_processor_file kind, exaone_processor_config *c, exaone_error *err) {
    *c = exaone_processor_config_default();
    return exaone_processor_config_parse(json, strlen(json), kind, c, err);
}

static void defaults_are_the_released_ones(void **state) {
    (void)state;
    exaone_processor_config c = exaone_processor_config_default();
    exaone_error err = {0};
    assert_int_equal(exaone_processor_config_check(&c, &err), EXAONE_OK);
    assert_int_equal(c.image.min_pixels, 3136);
    assert_int_equal(c.image.max_pixels, 3211264);
    assert_int_equal(c.video.min_pixels, 100352);
    assert_int_equal(c.video.max_pixels, 602112);
    assert_int_equal(c.image.backend, EXAONE_RESIZE_TORCHVISION);
    assert_false(c.do_sample_frames);
}

static void all_spellings_are_read(void **state) {
    (void)state;
    exaone_processor_config c;
    exaone_error err = {0};
    assert_int_equal(parse("{\"min_pixels\": 784, \"max_pixels\": 7840}", EXAONE_PROCESSOR_IMAGE, &c, &err), EXAONE_OK);
    assert_int_equal(c.image.min_pixels, 784);
    assert_int_equal(c.image.max_pixels, 7840);
    assert_int_equal(c.video.max_pixels, 602112);
    assert_int_equal(
        parse("{\"size\": {\"shortest_edge\": 100, \"longest_edge\": 200}, \"min_pixels\": 784, \"crop_size\": null}",
              EXAONE_PROCESSOR_IMAGE, &c, &err),
        EXAONE_OK);
    assert_int_equal(c.image.min_pixels, 100);
    assert_int_equal(c.image.max_pixels, 200);
    assert_int_equal(parse("{\"size\": {\"min_pixels\": 5, \"max_pixels\": 6}}", EXAONE_PROCESSOR_IMAGE, &c, &err),
                     EXAONE_OK);
    assert_int_equal(c.image.max_pixels, 6);
    assert_int_equal(
        parse("{\"image_mean\": [0.5, 0.25, 0], \"image_std\": [1, 2, 3.5], \"patch_size\": 16, \"merge_size\": 1,"
              " \"temporal_patch_size\": 4, \"rescale_factor\": 0.5, \"resample\": 3, \"do_resize\": true}",
              EXAONE_PROCESSOR_IMAGE, &c, &err),
        EXAONE_OK);
    assert_true(c.image.mean[1] == 0.25 && c.image.std[2] == 3.5 && c.image.rescale_factor == 0.5);
    assert_int_equal(c.image.patch_size * 100 + c.image.merge_size * 10 + c.image.temporal_patch_size, 1614);
    assert_int_equal(
        parse("{\"image_processor\": {\"max_pixels\": 9999}, \"video_processor\": {\"fps\": 2.5, \"num_frames\": null,"
              " \"max_frames\": 32, \"do_sample_frames\": true, \"size\": {\"longest_edge\": 4000}}}",
              EXAONE_PROCESSOR_BOTH, &c, &err),
        EXAONE_OK);
    assert_int_equal(c.image.max_pixels, 9999);
    assert_int_equal(c.video.max_pixels, 4000);
    assert_true(c.fps == 2.5 && c.do_sample_frames && c.max_frames == 32 && c.num_frames == 0);
}

static void expect_refusal(const char *json, exaone_status status, const char *name) {
    exaone_processor_config c, before = exaone_processor_config_default();
    exaone_error err = {0};
    exaone_status got = parse(json, EXAONE_PROCESSOR_VIDEO, &c, &err);
    if (got != status || !strstr(err.message, name) || err.code != status) {
        fail_msg("%s: %d, %s", json, (int)got, err.message);
    }
    assert_true(c.video.max_pixels == before.video.max_pixels && c.video.patch_size == before.video.patch_size);
}

static void refusals_name_the_setting(void **state) {
    (void)state;
    expect_refusal("{\"do_resize\": false}", EXAONE_ERR_UNSUPPORTED, "do_resize");
    expect_refusal("{\"do_normalize\": false}", EXAONE_ERR_UNSUPPORTED, "do_normalize");
    expect_refusal("{\"do_rescale\": false, \"max_pixels\": 5}", EXAONE_ERR_UNSUPPORTED, "do_rescale");
    expect_refusal("{\"max_pixels\": 5, \"resample\": 2}", EXAONE_ERR_UNSUPPORTED, "resample 2");
    expect_refusal("{\"resample\": {}}", EXAONE_ERR_UNSUPPORTED, "resample");
    expect_refusal("{\"size\": {\"height\": 5, \"width\": 6}}", EXAONE_ERR_UNSUPPORTED, "height");
    expect_refusal("{\"size\": 448}", EXAONE_ERR_FORMAT, "size");
    expect_refusal("{\"patch_size\": 0}", EXAONE_ERR_FORMAT, "patch_size");
    expect_refusal("{\"patch_size\": 1e9}", EXAONE_ERR_FORMAT, "patch_size");
    expect_refusal("{\"merge_size\": \"2\"}", EXAONE_ERR_FORMAT, "merge_size");
    expect_refusal("{\"image_mean\": [0.5, 0.5]}", EXAONE_ERR_FORMAT, "image_mean");
    expect_refusal("{\"image_std\": [0.5, 0, 0.5]}", EXAONE_ERR_FORMAT, "std 0");
    expect_refusal("{\"image_std\": [0.5, \"a\", 0.5]}", EXAONE_ERR_FORMAT, "image_std[1]");
    expect_refusal("{\"rescale_factor\": 0}", EXAONE_ERR_FORMAT, "rescale_factor");
    expect_refusal("{\"min_pixels\": -1}", EXAONE_ERR_FORMAT, "-1");
    expect_refusal("{\"max_pixels\": 1e18}", EXAONE_ERR_FORMAT, "pixel");
    expect_refusal("{\"fps\": -2}", EXAONE_ERR_FORMAT, "fps");
    expect_refusal("{\"max_frames\": 2}", EXAONE_ERR_FORMAT, "max_frames");
    expect_refusal("{\"do_sample_frames\": 1}", EXAONE_ERR_FORMAT, "do_sample_frames");
    expect_refusal("[]", EXAONE_ERR_FORMAT, "object");
    expect_refusal("{", EXAONE_ERR_FORMAT, "line 1");
}

static void a_folder_without_files_gives_defaults(void **state) {
    (void)state;
    exaone_processor_config c, d = exaone_processor_config_default();
    exaone_error err = {0};
    memset(&c, 0, sizeof c);
    assert_int_equal(exaone_processor_config_load("tests/golden", &c, &err), EXAONE_OK);
    assert_int_equal(c.image.max_pixels, d.image.max_pixels);
    assert_int_equal(c.max_frames, 768);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_released_ones),
        cmocka_unit_test(all_spellings_are_read),
        cmocka_unit_test(refusals_name_the_setting),
        cmocka_unit_test(a_folder_without_files_gives_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
