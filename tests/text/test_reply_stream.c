/* The reply parser as a stream: what was handed out stays and only grows, the limit, the JSON form, hostile text in linear
 * time. Texts from tests/golden/edges/reply; their results are checked in test_reply.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "base/buf.h"
#include "base/json.h"
#include "exaone/chat.h"

enum { ARENA = 1 << 22 };

/* Feeds the text in pieces whose ends are given; checks that what was handed out stays. */
static void run(const exaone_json *c, const size_t *ends, size_t n_ends) {
    const exaone_json *text = exaone_json_get(c, "text");
    exaone_reply *r = exaone_reply_new(exaone_json_is(exaone_json_get(c, "thinking"), EXAONE_JSON_TRUE),
                                       exaone_json_is(exaone_json_get(c, "tools"), EXAONE_JSON_TRUE));
    assert_non_null(r);
    exaone_buf seen[2];
    exaone_buf_init(&seen[0], ARENA);
    exaone_buf_init(&seen[1], ARENA);
    size_t at = 0;
    for (size_t i = 0; i <= n_ends; i++) {
        if (i < n_ends) {
            assert_int_equal(exaone_reply_feed(r, text->text + at, ends[i] - at, NULL), EXAONE_OK);
            at = ends[i];
        } else {
            assert_int_equal(exaone_reply_finish(r, exaone_json_equals(exaone_json_get(c, "finish"), "stop"), NULL),
                             EXAONE_OK);
        }
        for (int k = 0; k < 2; k++) {
            size_t n;
            const char *now = k ? exaone_reply_content(r, &n) : exaone_reply_reasoning(r, &n);
            assert_true(n >= seen[k].len && (seen[k].len == 0 || memcmp(now, seen[k].data, seen[k].len) == 0));
            exaone_buf_append(&seen[k], now + seen[k].len, n - seen[k].len);
        }
    }
    assert_int_equal(at, text->len);
    exaone_buf_release(&seen[0]);
    exaone_buf_release(&seen[1]);
    exaone_reply_free(r);
}

static void run_case(const exaone_json *c) {
    const exaone_json *text = exaone_json_get(c, "text");
    size_t n = text->len, *ends = calloc(n + 1, sizeof *ends);
    run(c, &n, 1);
    for (size_t i = 0; i < n; i++) {
        ends[i] = i + 1;
    }
    run(c, ends, n);
    free(ends);
}

static void test_growth(void **state) {
    (void)state;
    fixture_json j;
    size_t n = 0;
    fixture_json_open(&j, "tests/golden/edges/reply/reply_cases.json");
    for (const exaone_json *c = exaone_json_get(j.root, "cases")->first; c; c = c->next, n++) {
        run_case(c);
    }
    assert_int_equal(n, 96);
    fixture_json_close(&j);
}

static void test_json(void **state) {
    (void)state;
    static const char text[] = "r</think>c <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"x\"}}</tool_call>";
    exaone_reply *r = exaone_reply_new(true, true);
    char *json;
    assert_int_equal(exaone_reply_feed(r, text, sizeof text - 1, NULL), EXAONE_OK);
    assert_int_equal(exaone_reply_finish(r, true, NULL), EXAONE_OK);
    assert_int_equal(exaone_reply_to_json(r, &json, NULL), EXAONE_OK);
    assert_string_equal(
        json, "{\"reasoning_content\": \"r\", \"content\": \"c\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
              "\"{\\\"a\\\": \\\"x\\\"}\"}], \"finish_reason\": \"tool_calls\"}");
    free(json);
    exaone_error err;
    assert_int_equal(exaone_reply_feed(r, "x", 1, &err), EXAONE_ERR_ARGUMENT);
    exaone_reply_free(r);
    exaone_reply_free(NULL);
}

static void test_limit(void **state) {
    (void)state;
    enum { PIECE = 1 << 20 };
    char *piece = malloc(PIECE);
    memset(piece, 'a', PIECE);
    exaone_reply *r = exaone_reply_new(false, true);
    exaone_error err;
    for (int i = 0; i < 64; i++) {
        assert_int_equal(exaone_reply_feed(r, piece, PIECE, &err), EXAONE_OK);
    }
    assert_int_equal(exaone_reply_feed(r, piece, 1, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "67108864"));
    exaone_reply_free(r);
    free(piece);
}

/* 2 MB of what makes a naive parser read the rest again and again, fed in small pieces. Linear work takes well below a
 * second of processor time even under a sanitizer; quadratic work, 10^12 steps, would take minutes. */
static void test_hostile(void **state) {
    (void)state;
    static const char *const units[] = {
        "<tool_call>",
        "</tool_call>",
        "<tool_call>{\"</tool_call>\"",
        "<tool_call>{\"\\\"</tool_call>",
        " ",
        "<think>",
        "</think",
        "<",
        "<tool_call>{",
        "<tool_call>{\"a\": \"</tool_call>",
        "<tool_call>{}</tool_call>",
        "{\"",
        "\\\"",
    };
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        for (int thinking = 0; thinking < 2; thinking++) {
            exaone_reply *r = exaone_reply_new(thinking, true);
            size_t n = strlen(units[u]), total = 0;
            clock_t start = clock();
            while (total < 2000000) {
                assert_int_equal(exaone_reply_feed(r, units[u], n, NULL), EXAONE_OK);
                total += n;
            }
            assert_int_equal(exaone_reply_finish(r, true, NULL), EXAONE_OK);
            assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
            exaone_reply_free(r);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
