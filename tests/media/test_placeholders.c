/* Placeholder expansion: tests/golden/edges/images/processor_cases.json (text with placeholders and picture sizes ->
 * input_ids, grids, or the error for wrong counts), then odd arguments. The pictures of the cases are black; only their
 * sizes matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "exaone/media.h"
#include "exaone/placeholders.h"
#include "exaone/text.h"
#include "exaone/video.h"

enum { MAX_MEDIA = 8, IMAGE_PAD = 67, VIDEO_PAD = 68 };

/* A JSON list of lists of integers to rows of 3, short rows filled from the right; returns the number of rows. */
static size_t rows_of(const exaone_json *list, int64_t out[MAX_MEDIA][3]) {
    size_t n = 0;
    for (const exaone_json *row = list ? list->first : NULL; row; row = row->next, n++) {
        assert_true(n < MAX_MEDIA && row->len <= 3);
        size_t i = 3 - row->len;
        out[n][0] = 1;
        for (const exaone_json *x = row->first; x; x = x->next) {
            assert_true(exaone_json_int(x, &out[n][i++]));
        }
    }
    return n;
}

typedef struct {
    size_t n, tokens[MAX_MEDIA];
    uint32_t grid[MAX_MEDIA][3];
} media;

/* Preprocesses black pictures or videos of the sizes [t, h, w]. */
static exaone_status preprocess(int64_t sizes[MAX_MEDIA][3], size_t n, bool video, media *out, exaone_error *err) {
    exaone_processor_config config = exaone_processor_config_default();
    config.video.min_pixels = 3136;
    config.video.max_pixels = 50176;
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        size_t frames = (size_t)sizes[i][0], h = (size_t)sizes[i][1], w = (size_t)sizes[i][2];
        uint8_t *black = calloc(h * w, 3);
        exaone_image images[16];
        assert_true(frames <= 16);
        for (size_t k = 0; k < frames; k++) {
            images[k] = (exaone_image){.width = (uint32_t)w, .height = (uint32_t)h, .rgb = black};
        }
        exaone_pixels p;
        exaone_video_source source = {.frames = images, .n_frames = frames};
        exaone_status status = video ? exaone_preprocess_video(&source, NULL, &config.video, NULL, false, &p, NULL, err)
                                     : exaone_preprocess_image(images, &config.image, NULL, false, &p, err);
        free(black);
        if (status) {
            return status;
        }
        memcpy(out->grid[i], p.grid, sizeof(p.grid));
        out->tokens[i] = exaone_pixels_tokens(&p, &config.image);
        exaone_pixels_release(&p);
    }
    return EXAONE_OK;
}

static void check_grids(const exaone_json *c, const char *key, const media *m) {
    int64_t want[MAX_MEDIA][3];
    assert_int_equal(rows_of(exaone_json_get(c, key), want), m->n);
    for (size_t i = 0; i < m->n; i++) {
        for (int k = 0; k < 3; k++) {
            assert_int_equal(m->grid[i][k], want[i][k]);
        }
    }
}

static void check_case(const exaone_json *c, const exaone_tokenizer *tok) {
    char name[64], *text = malloc(65536), error[512];
    fixture_string(c, "name", name, sizeof(name));
    fixture_string(c, "text", text, 65536);
    int64_t sizes[MAX_MEDIA][3];
    media images, videos;
    exaone_error err = {0};
    int32_t *ids = NULL, *out = NULL;
    size_t n_ids = 0, n_out = 0;
    exaone_status status = preprocess(sizes, rows_of(exaone_json_get(c, "images"), sizes), false, &images, &err);
    if (!status) {
        status = preprocess(sizes, rows_of(exaone_json_get(c, "videos"), sizes), true, &videos, &err);
    }
    if (!status) {
        assert_int_equal(exaone_tokenizer_encode(tok, text, strlen(text), EXAONE_PARSE_SPECIAL, &ids, &n_ids, &err),
                         EXAONE_OK);
        status = exaone_expand_placeholders(ids, n_ids, IMAGE_PAD, images.tokens, images.n, VIDEO_PAD, videos.tokens,
                                            videos.n, 1000, &out, &n_out, &err);
    }
    if (exaone_json_get(c, "error")) {
        fixture_string(c, "error", error, sizeof(error));
        assert_int_not_equal(status, EXAONE_OK);
        /* "... Found total 2 <|image_pad|> tokens and 1 images." and the like: the same counts in the same words */
        const char *counts = strstr(error, "ound ");
        if (counts) {
            error[strlen(error) - 1] = 0;
            assert_non_null(strstr(err.message, counts));
        } else {
            assert_non_null(strstr(error, "aspect ratio"));
        }
    } else {
        if (status) {
            fail_msg("%s: %s", name, err.message);
        }
        const exaone_json *want = exaone_json_get(c, "input_ids");
        assert_int_equal(n_out, want->len);
        size_t i = 0;
        for (const exaone_json *x = want->first; x; x = x->next, i++) {
            int64_t id;
            assert_true(exaone_json_int(x, &id));
            assert_int_equal(out[i], id);
        }
        check_grids(c, "image_grid_thw", &images);
        check_grids(c, "video_grid_thw", &videos);
    }
    free(out);
    free(ids);
    free(text);
}

static void cases_match(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, "tests/golden/edges/images/processor_cases.json");
    exaone_tokenizer *tok;
    exaone_error err;
    if (exaone_tokenizer_open("tests/golden/edges/tokenizer/tokenizer.json", &tok, &err)) {
        fail_msg("%s", err.message);
    }
    int n = 0;
    for (const exaone_json *c = exaone_json_get(j.root, "cases")->first; c; c = c->next, n++) {
        check_case(c, tok);
    }
    assert_int_equal(n, 15);
    exaone_tokenizer_free(tok);
    fixture_json_close(&j);
}

static void runs_are_in_order(void **state) {
    (void)state;
    const int32_t ids[] = {1, 67, 68, 67, 2};
    const size_t images[] = {3, 1}, videos[] = {2};
    const int32_t want[] = {1, 67, 67, 67, 68, 68, 67, 2};
    int32_t *out;
    size_t n;
    exaone_error err;
    assert_int_equal(exaone_expand_placeholders(ids, 5, 67, images, 2, 68, videos, 1, 8, &out, &n, &err), EXAONE_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(out, want, sizeof(want));
    free(out);
    assert_int_equal(exaone_expand_placeholders(ids, 5, 67, images, 2, 68, videos, 1, 7, &out, &n, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "8 tokens"));
    assert_null(out);
}

static void odd_arguments(void **state) {
    (void)state;
    const int32_t ids[] = {1, 67, 67};
    const size_t zero[] = {0, 1}, huge[] = {SIZE_MAX, SIZE_MAX};
    int32_t *out;
    size_t n;
    exaone_error err;
    assert_int_equal(exaone_expand_placeholders(ids, 3, 67, zero, 2, 68, NULL, 0, 100, &out, &n, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_expand_placeholders(ids, 3, 67, huge, 2, 68, NULL, 0, 100, &out, &n, &err), EXAONE_ERR_LIMIT);
    assert_int_equal(exaone_expand_placeholders(ids, 3, 67, huge, 2, 68, NULL, 0, SIZE_MAX, &out, &n, &err),
                     EXAONE_ERR_MEMORY);
    assert_int_equal(exaone_expand_placeholders(NULL, 0, -1, NULL, 0, -1, NULL, 0, 0, &out, &n, &err), EXAONE_OK);
    assert_non_null(out);
    assert_int_equal(n, 0);
    free(out);
    /* a model without videos: the id -1 is no placeholder */
    const int32_t minus[] = {-1, -1};
    assert_int_equal(exaone_expand_placeholders(minus, 2, -1, NULL, 0, -1, NULL, 0, 2, &out, &n, &err), EXAONE_OK);
    assert_int_equal(n, 2);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_match),
        cmocka_unit_test(runs_are_in_order),
        cmocka_unit_test(odd_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
