/* The reply parser against tests/golden/edges/reply: every case whole, byte by byte, in its own chunks and at every single
 * cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "exaone/chat.h"

static bool same(const exaone_json *a, const exaone_json *b) {
    if (!a || !b || a->type != b->type || a->len != b->len) {
        double x, y; /* numbers may be spelled in another way */
        return a && b && exaone_json_double(a, &x) && exaone_json_double(b, &y) && x == y;
    }
    if (a->type == EXAONE_JSON_NUMBER || a->type == EXAONE_JSON_STRING) {
        double x, y;
        return memcmp(a->text, b->text, a->len) == 0 || (exaone_json_double(a, &x) && exaone_json_double(b, &y) && x == y);
    }
    const exaone_json *y = b->first;
    for (const exaone_json *x = a->first; x; x = x->next, y = y->next) {
        if (x->key_len != y->key_len || (x->key && memcmp(x->key, y->key, x->key_len) != 0) || !same(x, y)) {
            return false;
        }
    }
    return true;
}

/* `text` as JSON equals the value that the string `want` spells. */
static bool same_arguments(const char *text, const exaone_json *want) {
    exaone_arena arena;
    exaone_json *a, *b;
    exaone_arena_init(&arena, 64 << 20);
    bool ok = exaone_json_parse(text, strlen(text), &arena, &a, NULL) == EXAONE_OK;
    if (ok && want->type == EXAONE_JSON_STRING) {
        ok = exaone_json_parse(want->text, want->len, &arena, &b, NULL) == EXAONE_OK && same(a, b);
    } else if (ok) {
        ok = same(a, want);
    }
    exaone_arena_release(&arena);
    return ok;
}

static bool text_is(const exaone_json *want, const char *got, size_t n) {
    return exaone_json_is(want, EXAONE_JSON_NULL)
               ? n == 0
               : exaone_json_is(want, EXAONE_JSON_STRING) && want->len == n && memcmp(want->text, got, n) == 0;
}

typedef struct {
    const exaone_json *c, *text;
    size_t grown_reasoning, grown_content;
} one;

static exaone_reply *start(const one *o) {
    exaone_reply *r = exaone_reply_new(exaone_json_is(exaone_json_get(o->c, "thinking"), EXAONE_JSON_TRUE),
                                       exaone_json_is(exaone_json_get(o->c, "tools"), EXAONE_JSON_TRUE));
    assert_non_null(r);
    return r;
}

static void feed(exaone_reply *r, const char *bytes, size_t n) {
    exaone_error err = {0};
    assert_int_equal(exaone_reply_feed(r, bytes, n, &err), EXAONE_OK);
}

/* Ends the reply, compares with the expectation, frees it. */
static void end(exaone_reply *r, const one *o, const char *how) {
    exaone_error err = {0};
    const exaone_json *e = exaone_json_get(o->c, "expected"), *calls = exaone_json_get(e, "tool_calls"),
                      *call = calls->first;
    assert_int_equal(exaone_reply_finish(r, exaone_json_equals(exaone_json_get(o->c, "finish"), "stop"), &err), EXAONE_OK);
    size_t n_reasoning, n_content;
    const char *reasoning = exaone_reply_reasoning(r, &n_reasoning), *content = exaone_reply_content(r, &n_content);
    bool ok = text_is(exaone_json_get(e, "reasoning_content"), reasoning, n_reasoning) &&
              text_is(exaone_json_get(e, "content"), content, n_content) && calls->len == exaone_reply_n_calls(r) &&
              exaone_json_equals(exaone_json_get(e, "finish_reason"), exaone_reply_finish_reason(r));
    for (size_t i = 0; ok && i < calls->len; i++, call = call->next) {
        exaone_tool_call got = exaone_reply_call(r, i);
        ok = exaone_json_equals(exaone_json_get(call, "name"), got.name) &&
             same_arguments(got.arguments, exaone_json_get(call, "arguments"));
    }
    if (!ok) {
        char *json = NULL, name[128];
        assert_int_equal(exaone_reply_to_json(r, &json, &err), EXAONE_OK);
        fail_msg("%s (%s): got %s", fixture_string(o->c, "name", name, sizeof name), how, json);
    }
    exaone_reply_free(r);
}

static void every_cut(const one *o) {
    const char *t = o->text->text;
    size_t n = o->text->len;
    exaone_reply *r = start(o);
    feed(r, t, n);
    end(r, o, "whole");
    r = start(o);
    for (size_t i = 0; i < n; i++) {
        feed(r, t + i, 1);
    }
    end(r, o, "byte by byte");
    for (size_t cut = 0; cut <= n; cut++) {
        r = start(o);
        feed(r, t, cut);
        feed(r, t + cut, n - cut);
        end(r, o, "one cut");
    }
    for (const exaone_json *list = exaone_json_get(o->c, "chunks")->first; list; list = list->next) {
        size_t at = 0;
        r = start(o);
        for (const exaone_json *size = list->first; size; size = size->next) {
            int64_t bytes = 0;
            assert_true(exaone_json_int(size, &bytes) && at + (size_t)bytes <= n);
            feed(r, t + at, (size_t)bytes);
            at += (size_t)bytes;
        }
        assert_int_equal(at, n);
        end(r, o, "chunks");
    }
}

static void test_cases(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, "tests/golden/edges/reply/reply_cases.json");
    size_t n = 0;
    for (const exaone_json *c = exaone_json_get(j.root, "cases")->first; c; c = c->next, n++) {
        one o = {.c = c, .text = exaone_json_get(c, "text")};
        every_cut(&o);
    }
    assert_int_equal(n, 96);
    fixture_json_close(&j);
}

/* The comparison can fail: with one setting of the request or the end changed, many cases must come out differently. The
 * counts are those of the reference parser on this file. */
static void test_control(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, "tests/golden/edges/reply/reply_cases.json");
    size_t differ[3] = {0};
    for (const exaone_json *c = exaone_json_get(j.root, "cases")->first; c; c = c->next) {
        bool set[3] = {exaone_json_is(exaone_json_get(c, "thinking"), EXAONE_JSON_TRUE),
                       exaone_json_is(exaone_json_get(c, "tools"), EXAONE_JSON_TRUE),
                       exaone_json_equals(exaone_json_get(c, "finish"), "stop")};
        const exaone_json *text = exaone_json_get(c, "text");
        char *json[4];
        for (size_t i = 0; i < 4; i++) {
            exaone_reply *r = exaone_reply_new(set[0] != (i == 0), set[1] != (i == 1));
            feed(r, text->text, text->len);
            assert_int_equal(exaone_reply_finish(r, set[2] != (i == 2), NULL), EXAONE_OK);
            assert_int_equal(exaone_reply_to_json(r, &json[i], NULL), EXAONE_OK);
            exaone_reply_free(r);
        }
        for (size_t i = 0; i < 4; i++) {
            if (i < 3) {
                differ[i] += strcmp(json[i], json[3]) != 0;
            }
            free(json[i]);
        }
    }
    assert_int_equal(differ[0], 88);
    assert_int_equal(differ[1], 40);
    assert_int_equal(differ[2], 96);
    fixture_json_close(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_control)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
