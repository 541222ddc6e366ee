/* Frame sampling against the reference: every row of tests/golden/edges/video/sampling.json, default and strict. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exaone/video.h"
#include "../support/fixture.h"

static double number(const exaone_json *object, const char *key, double otherwise) {
    const exaone_json *j = exaone_json_get(object, key);
    double x = otherwise;
    if (j && j->type == EXAONE_JSON_NUMBER) {
        assert_true(exaone_json_double(j, &x));
    }
    return x;
}

static exaone_video_options options_of(const exaone_json *row) {
    exaone_video_options o;
    exaone_video_options_init(&o);
    o.has_fps = exaone_json_get(row, "fps") != NULL;
    o.fps = number(row, "fps", 0);
    o.has_num_frames = exaone_json_get(row, "num_frames") != NULL;
    o.num_frames = (int64_t)number(row, "num_frames", 0);
    o.min_frames = (int64_t)number(row, "min_frames", 4);
    o.max_frames = (int64_t)number(row, "max_frames", 768);
    o.temporal_patch_size = (uint32_t)number(row, "temporal_patch_size", 2);
    return o;
}

static bool same_list(const exaone_json *list, const int64_t *indices, size_t n) {
    if (!list || list->len != n) {
        return false;
    }
    size_t i = 0;
    for (const exaone_json *j = list->first; j; j = j->next, i++) {
        int64_t x;
        if (!exaone_json_int(j, &x) || x != indices[i]) {
            return false;
        }
    }
    return true;
}

/* A row with an error: an error too, or, where the reference divides by zero or compares None, all frames. */
static bool error_is_matched(const exaone_json *row, exaone_status status, const int64_t *indices, size_t n) {
    char text[256];
    fixture_string(row, "error", text, sizeof(text));
    if (strncmp(text, "ValueError", 10) == 0) {
        return status == EXAONE_ERR_ARGUMENT;
    }
    if (status) {
        return status == EXAONE_ERR_ARGUMENT;
    }
    for (size_t i = 0; i < n; i++) {
        if (indices[i] != (int64_t)i) {
            return false;
        }
    }
    return n == (size_t)fixture_int(row, "total");
}

static void rows_match(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, "tests/golden/edges/video/sampling.json");
    int n_rows = 0, n_wrong = 0;
    for (const exaone_json *row = exaone_json_get(j.root, "cases")->first; row; row = row->next, n_rows++) {
        exaone_video_options o = options_of(row);
        uint64_t total = (uint64_t)fixture_int(row, "total");
        double source_fps = number(row, "source_fps", NAN);
        const exaone_json *use = exaone_json_get(row, "use");
        bool is_error = exaone_json_get(row, "error") != NULL;
        for (int strict = 0; strict < 2; strict++) {
            int64_t *indices;
            size_t n;
            exaone_error err = {0};
            o.strict_reference = strict;
            exaone_status status = exaone_video_sample(total, source_fps, &o, &indices, &n, &err);
            bool good;
            if (strict && (is_error || use)) {
                good = status == EXAONE_ERR_ARGUMENT && err.message[0];
            } else if (is_error) {
                good = error_is_matched(row, status, indices, n);
            } else {
                good = !status && same_list(use ? use : exaone_json_get(row, "indices"), indices, n);
            }
            if (!good) {
                n_wrong++;
                print_message("row %d (total %d) strict %d: %d frames, %s\n", n_rows, (int)total, strict, (int)n,
                              err.message);
            }
            free(indices);
        }
    }
    fixture_json_close(&j);
    assert_int_equal(n_rows, 220);
    assert_int_equal(n_wrong, 0);
}

static exaone_status sample(uint64_t total, double fps, exaone_video_options *o, size_t *n) {
    int64_t *indices;
    exaone_error err;
    exaone_status status = exaone_video_sample(total, fps, o, &indices, n, &err);
    for (size_t i = 0; i < *n; i++) {
        assert_in_range(indices[i], 0, total - 1);
        assert_true(i == 0 || indices[i] > indices[i - 1]);
    }
    free(indices);
    return status;
}

/* The defect of the reference (one index too many) never comes out, for every (total, n) up to 300. */
static void indices_stay_inside(void **state) {
    (void)state;
    exaone_video_options o;
    exaone_video_options_init(&o);
    o.has_num_frames = true;
    for (uint64_t total = 2; total <= 300; total++) {
        for (o.num_frames = 2; o.num_frames <= (int64_t)total; o.num_frames += 2) {
            size_t n;
            assert_int_equal(sample(total, 0, &o, &n), EXAONE_OK);
            assert_int_equal(n, o.num_frames);
        }
    }
}

static void short_videos_are_kept(void **state) {
    (void)state;
    exaone_video_options o;
    exaone_video_options_init(&o);
    size_t n;
    o.has_fps = true;
    o.fps = 2;
    assert_int_equal(sample(1, 30, &o, &n), EXAONE_OK);
    assert_int_equal(n, 1);
    o.strict_reference = true;
    assert_int_equal(sample(1, 30, &o, &n), EXAONE_ERR_ARGUMENT);
}

static void odd_numbers_are_refused(void **state) {
    (void)state;
    exaone_video_options o;
    size_t n;
    const double bad[] = {-1, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++) {
        exaone_video_options_init(&o);
        o.has_fps = true;
        o.fps = bad[i];
        assert_int_equal(sample(10, 10, &o, &n), EXAONE_ERR_ARGUMENT);
        o.fps = 2;
        assert_int_equal(sample(10, bad[i], &o, &n), EXAONE_ERR_ARGUMENT);
    }
    exaone_video_options_init(&o);
    o.has_num_frames = true;
    o.num_frames = -4;
    assert_int_equal(sample(10, 10, &o, &n), EXAONE_ERR_ARGUMENT);
    o.num_frames = INT64_MAX;
    assert_int_equal(sample(10, 10, &o, &n), EXAONE_ERR_ARGUMENT);
    o.num_frames = 4;
    o.temporal_patch_size = 0;
    assert_int_equal(sample(10, 10, &o, &n), EXAONE_ERR_ARGUMENT);
    exaone_video_options_init(&o);
    assert_int_equal(sample(0, 10, &o, &n), EXAONE_ERR_FORMAT);
    assert_int_equal(sample(UINT64_MAX, 10, &o, &n), EXAONE_ERR_LIMIT);
    o.has_fps = true;
    o.fps = 1e300;
    assert_int_equal(sample(1000, 1e-300, &o, &n), EXAONE_OK); /* infinitely many wanted: max_frames */
    assert_int_equal(n, 768);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match),
        cmocka_unit_test(indices_stay_inside),
        cmocka_unit_test(short_videos_are_kept),
        cmocka_unit_test(odd_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
