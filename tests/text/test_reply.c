/* The reply parser against tests/golden/edges/reply: each case whole, byte by byte, in the file's own chunks and in every
 * cut into two; texts only ever grow. Comparisons are exact, of `arguments` as JSON values. */
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

/* The value as canonical text: members of objects sorted is not needed, the parser keeps their order. */
static char *canonical(const char *text, size_t n) {
    exaone_arena arena;
    exaone_json *j;
    exaone_buf b;
    exaone_error err;
    exaone_arena_init(&arena, ARENA);
    exaone_buf_init(&b, ARENA);
    if (exaone_json_parse(text, n, &arena, &j, &err) != EXAONE_OK) {
        fail_msg("arguments \"%.*s\": %s", (int)n, text, err.message);
    }
    exaone_json_put(&b, j);
    exaone_arena_release(&arena);
    return exaone_buf_take(&b, NULL);
}

static void check_text(const char *name, const char *what, const char *have, size_t n, const exaone_json *want) {
    size_t n_want = exaone_json_is(want, EXAONE_JSON_STRING) ? want->len : 0;
    if (n != n_want || (n && memcmp(have, want->text, n) != 0)) {
        fail_msg("%s: %s is \"%.*s\", expected \"%.*s\"", name, what, (int)n, have, (int)n_want, n_want ? want->text : "");
    }
}

static void check(const char *name, const exaone_reply *r, const exaone_json *want) {
    size_t n, i = 0;
    const char *text = exaone_reply_reasoning(r, &n);
    check_text(name, "reasoning", text, n, exaone_json_get(want, "reasoning_content"));
    text = exaone_reply_content(r, &n);
    check_text(name, "content", text, n, exaone_json_get(want, "content"));
    text = exaone_reply_finish_reason(r);
    check_text(name, "finish_reason", text, strlen(text), exaone_json_get(want, "finish_reason"));
    const exaone_json *calls = exaone_json_get(want, "tool_calls");
    if (calls->len != exaone_reply_n_calls(r)) {
        fail_msg("%s: %zu calls, expected %zu", name, exaone_reply_n_calls(r), calls->len);
    }
    for (const exaone_json *c = calls->first; c; c = c->next, i++) {
        exaone_tool_call call = exaone_reply_call(r, i);
        const exaone_json *arguments = exaone_json_get(c, "arguments");
        check_text(name, "name", call.name, strlen(call.name), exaone_json_get(c, "name"));
        char *a = canonical(call.arguments, strlen(call.arguments)), *b = canonical(arguments->text, arguments->len);
        assert_string_equal(a, b);
        free(a);
        free(b);
    }
}

/* Feeds the text in pieces whose ends are given; checks that what was handed out stays. */
static void run(const char *name, const exaone_json *c, const size_t *ends, size_t n_ends) {
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
    check(name, r, exaone_json_get(c, "expected"));
    exaone_buf_release(&seen[0]);
    exaone_buf_release(&seen[1]);
    exaone_reply_free(r);
}

static void run_case(const exaone_json *c) {
    char name[128];
    const exaone_json *text = exaone_json_get(c, "text");
    size_t n = text->len, *ends = calloc(n + 1, sizeof *ends);
    fixture_string(c, "name", name, sizeof name);
    run(name, c, &n, 1);
    for (size_t i = 0; i < n; i++) {
        ends[i] = i + 1;
    }
    run(name, c, ends, n);
    for (const exaone_json *chunks = exaone_json_get(c, "chunks")->first; chunks; chunks = chunks->next) {
        size_t k = 0, at = 0;
        for (const exaone_json *j = chunks->first; j; j = j->next) {
            int64_t v = 0;
            assert_true(exaone_json_int(j, &v));
            at += (size_t)v;
            ends[k++] = at;
        }
        run(name, c, ends, k);
    }
    for (size_t i = 0; i <= n; i++) {
        size_t two[2] = {i, n};
        run(name, c, two, 2);
    }
    free(ends);
}

static void test_cases(void **state) {
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
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
