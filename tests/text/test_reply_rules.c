/* The reply parser beyond the golden cases: each rule where it meets another, what streams early, what a reply may hold.
 * Expected values were worked out from the rules by hand-checked runs of the reference parser in
 * tools/golden/edges/gen_reply.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "exaone/chat.h"

static exaone_reply *start(bool thinking, bool tools) {
    exaone_reply *r = exaone_reply_new(thinking, tools);
    assert_non_null(r);
    return r;
}

static void feed(exaone_reply *r, const char *text, size_t n) {
    exaone_error err = {0};
    if (exaone_reply_feed(r, text, n, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

static char *finish(exaone_reply *r, bool stopped) {
    char *json = NULL;
    assert_int_equal(exaone_reply_finish(r, stopped, NULL), EXAONE_OK);
    assert_int_equal(exaone_reply_to_json(r, &json, NULL), EXAONE_OK);
    exaone_reply_free(r);
    return json;
}

static const struct {
    const char *text;
    bool thinking, tools, stopped;
    const char *want;
} cases[] = {
    {" <think> </think> x ", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"x \", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"<think><think>a</think>b", true, true, true,
     "{\"reasoning_content\": \"<think>a\", \"content\": \"b\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"a<think></think>", true, false, false,
     "{\"reasoning_content\": \"a<think>\", \"content\": null, \"tool_calls\": [], \"finish_reason\": \"length\"}"},
    {"\n<thin", true, true, true,
     "{\"reasoning_content\": \"<thin\", \"content\": null, \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"\n<thin", false, true, false,
     "{\"reasoning_content\": null, \"content\": \"\\n<thin\", \"tool_calls\": [], \"finish_reason\": \"length\"}"},
    {" \n ", false, true, true,
     "{\"reasoning_content\": null, \"content\": \" \\n \", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"x \n", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"x \\n\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"x \n<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> \n", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"x\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {" \n<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> y \n", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"y \\n\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"a <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> \n <tool_call>{\"name\": \"f\", \"arguments\": "
     "{}}</tool_call> b",
     false, true, true,
     "{\"reasoning_content\": null, \"content\": \"a\\nb\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}, "
     "{\"name\": \"f\", \"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"a<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>b<tool_call>{\"name\": \"f\", \"arguments\": "
     "{}}</tool_call>c\n",
     false, true, true,
     "{\"reasoning_content\": null, \"content\": \"a\\nb\\nc\\n\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
     "\"{}\"}, {\"name\": \"f\", \"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"a <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", false, false, true,
     "{\"reasoning_content\": null, \"content\": \"a <tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": "
     "{}}</tool_call>\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", false, true, false,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"length\"}"},
    {"r</think><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call></think>", true, true, true,
     "{\"reasoning_content\": \"r\", \"content\": \"</think>\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"r <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n", true, true, true,
     "{\"reasoning_content\": \"r\", \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"r <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n<tool", true, true, true,
     "{\"reasoning_content\": \"r <tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}</tool_call>\\n<tool\", "
     "\"content\": null, \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"r <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> <tool_call>{\"name\": \"f\", \"arguments\": "
     "{}}</tool_call> x",
     true, true, true,
     "{\"reasoning_content\": \"r <tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}</tool_call> "
     "<tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {}}</tool_call> x\", \"content\": null, \"tool_calls\": [], "
     "\"finish_reason\": \"stop\"}"},
    {"r <tool_call>{}</tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", true, true, true,
     "{\"reasoning_content\": \"r <tool_call>{}</tool_call><tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": "
     "{}}</tool_call>\", \"content\": null, \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"r <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call><tool_call>{\"name\": \"g\"} ", true, true, true,
     "{\"reasoning_content\": \"r\", \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}, "
     "{\"name\": \"g\", \"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"r <tool_call>{\"name\": \"g\"} ", true, true, false,
     "{\"reasoning_content\": \"r <tool_call>{\\\"name\\\": \\\"g\\\"}\", \"content\": null, \"tool_calls\": [], "
     "\"finish_reason\": \"length\"}"},
    {"r <tool_call>{\"name\": \"g\", \"arguments\": \"</think>\"}</tool_call>", true, true, true,
     "{\"reasoning_content\": \"r <tool_call>{\\\"name\\\": \\\"g\\\", \\\"arguments\\\": \\\"\", \"content\": "
     "\"\\\"}</tool_call>\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"</tool_call>\"}}", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {\\\"s\\\": "
     "\\\"</tool_call>\\\"}}\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"</tool_call>\"}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{\\\"s\\\": "
     "\\\"</tool_call>\\\"}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"a\": \"</tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", false,
     true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"name\\\": \\\"f\\\", \\\"a\\\": \\\"</tool_call>\", "
     "\"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"a\": \"</tool_call> <tool_call>{\"b\": \"</tool_call> <tool_call>{\"name\": \"f\", \"arguments\": "
     "{}}</tool_call>",
     false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"a\\\": \\\"</tool_call> <tool_call>{\\\"b\\\": "
     "\\\"</tool_call>\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call> {\"name\": \"f\"} \n</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\"} x</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"name\\\": \\\"f\\\"} x</tool_call>\", \"tool_calls\": "
     "[], \"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\"}</tool_call", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"name\\\": \\\"f\\\"}</tool_call\", \"tool_calls\": [], "
     "\"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\"}</tool_call></tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"</tool_call>\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
     "\"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call><tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call><tool_call><tool_call>{\\\"name\\\": \\\"f\\\", "
     "\\\"arguments\\\": {}}</tool_call>\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": \"{}\"}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": \"[1]\"}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"\\\"[1]\\\"\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": }\"}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
     "\"\\\"{\\\\\\\"a\\\\\\\": }\\\"\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": 0}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"0\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": null, \"parameters\": {\"p\": 1}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"name\": \"g\", \"arguments\": {\"a\": 1, \"a\": 2}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"g\", \"arguments\": \"{\\\"a\\\": "
     "2}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"\\u0000x\"}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"\\u0000x\", \"arguments\": \"{}\"}], "
     "\"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\\\\\", \"arguments\": {\"p\": \"\\\\\\\"</tool_call>\"}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": null, \"tool_calls\": [{\"name\": \"f\\\\\", \"arguments\": \"{\\\"p\\\": "
     "\\\"\\\\\\\\\\\\\\\"</tool_call>\\\"}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"\n\"}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>{\\\"name\\\": \\\"f\\\", \\\"arguments\\\": {\\\"s\\\": "
     "\\\"\\n\\\"}}</tool_call>\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"</tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"</tool_call>\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
     "\"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"<tool_call>", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"<tool_call>\", \"tool_calls\": [], \"finish_reason\": \"stop\"}"},
    {"a\302\240<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\343\200\200", false, true, true,
     "{\"reasoning_content\": null, \"content\": \"a\302\240\\n\343\200\200\", \"tool_calls\": [{\"name\": \"f\", "
     "\"arguments\": \"{}\"}], \"finish_reason\": \"tool_calls\"}"},
    {"r\302\240</think>\343\200\200c", true, true, true,
     "{\"reasoning_content\": \"r\302\240\", \"content\": \"\343\200\200c\", \"tool_calls\": [], \"finish_reason\": "
     "\"stop\"}"},
};

static void test_rules(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = strlen(cases[i].text);
        for (size_t cut = 0; cut <= n + 1; cut++) { /* n + 1: byte by byte */
            exaone_reply *r = start(cases[i].thinking, cases[i].tools);
            for (size_t k = 0; cut > n && k < n; k++) {
                feed(r, cases[i].text + k, 1);
            }
            if (cut <= n) {
                feed(r, cases[i].text, cut);
                feed(r, cases[i].text + cut, n - cut);
            }
            char *json = finish(r, cases[i].stopped);
            if (strcmp(json, cases[i].want) != 0) {
                fail_msg("%s cut at %zu\n  gives    %s\n  expected %s", cases[i].text, cut, json, cases[i].want);
            }
            free(json);
        }
    }
}

/* ---- what is decided early goes out early ---- */

static void check_now(const exaone_reply *r, const char *reasoning, const char *content, size_t n_calls) {
    assert_string_equal(exaone_reply_reasoning(r, NULL), reasoning);
    assert_string_equal(exaone_reply_content(r, NULL), content);
    assert_int_equal(exaone_reply_n_calls(r), n_calls);
    assert_string_equal(exaone_reply_finish_reason(r), "");
}

static void say(exaone_reply *r, const char *text) {
    feed(r, text, strlen(text));
}

static void test_early(void **state) {
    (void)state;
    exaone_reply *r = start(true, true);
    say(r, "\n I see a <b>cat </b");
    check_now(r, "I see a <b>cat </b", "", 0);
    say(r, "> \n </thi");
    check_now(r, "I see a <b>cat </b>", "", 0);
    say(r, "s or <tool_c");
    check_now(r, "I see a <b>cat </b> \n </this or", "", 0);
    say(r, "all>{\"name\": \"f\"}</tool_call>\n");
    check_now(r, "I see a <b>cat </b> \n </this or", "", 0); /* a call if the text ends here */
    say(r, "no");
    check_now(r, "I see a <b>cat </b> \n </this or <tool_call>{\"name\": \"f\"}</tool_call>\nno", "", 0);
    say(r, "</think>\n\nLook: <tool_call>{\"na");
    check_now(r, "I see a <b>cat </b> \n </this or <tool_call>{\"name\": \"f\"}</tool_call>\nno", "Look:", 0);
    say(r, "me\": \"f\"}</tool_call> then");
    check_now(r, "I see a <b>cat </b> \n </this or <tool_call>{\"name\": \"f\"}</tool_call>\nno", "Look:\nthen", 1);
    say(r, " <tool_call>[1, ");
    check_now(r, "I see a <b>cat </b> \n </this or <tool_call>{\"name\": \"f\"}</tool_call>\nno",
              "Look:\nthen <tool_call>[1,", 1);
    assert_string_equal(exaone_reply_call(r, 0).name, "f");
    assert_string_equal(exaone_reply_call(r, 0).arguments, "{}");
    assert_string_equal(exaone_reply_call(r, 1).name, "");
    char *json = finish(r, true);
    assert_non_null(strstr(json, "\"content\": \"Look:\\nthen <tool_call>[1, \""));
    free(json);
}

/* ---- what a reply may hold ---- */

static void test_contents(void **state) {
    (void)state;
    exaone_reply *r = start(false, true);
    say(r, "<tool_call>{\"name\": \"a\\u0000b\", \"arguments\": {\"x\": 1e999, \"y\": 12345678901234567890}}</tool_call>");
    exaone_tool_call call = exaone_reply_call(r, 0);
    assert_int_equal(call.n_name, 3);
    assert_memory_equal(call.name, "a\0b", 4);
    assert_string_equal(call.arguments, "{\"x\": 1e999, \"y\": 12345678901234567890}"); /* valid JSON, no digit lost */
    assert_int_equal(call.n_arguments, strlen(call.arguments));
    char *json = finish(r, true);
    assert_non_null(strstr(json, "\"name\": \"a\\u0000b\""));
    free(json);

    static const char broken[] = "a\0b\xff\xf0\x9f <tool_call>{\"name\": \"\xff\"}</tool_call>"; /* no call: not JSON */
    r = start(false, true);
    feed(r, broken, sizeof broken - 1);
    size_t n;
    assert_memory_equal(exaone_reply_content(r, &n), broken, sizeof broken - 1);
    assert_int_equal(n, sizeof broken - 1);
    json = finish(r, true);
    assert_int_equal(exaone_utf8_valid_prefix((const uint8_t *)json, strlen(json)), strlen(json));
    free(json);
}

/* A call nested deeper than the JSON reader's 128 stays text; so does an endless one. Neither takes long. */
static void test_long_calls(void **state) {
    (void)state;
    enum { N = 100000 };
    clock_t begin = clock();
    exaone_reply *r = start(false, true);
    say(r, "<tool_call>{\"name\": \"f\", \"arguments\": ");
    for (int i = 0; i < N; i++) {
        feed(r, "[", 1);
    }
    for (int i = 0; i < N; i++) {
        feed(r, "]", 1);
    }
    say(r, "}</tool_call>");
    assert_int_equal(exaone_reply_n_calls(r), 0);
    free(finish(r, true));

    r = start(false, true);
    say(r, "<tool_call>{\"name\": \"f\", \"arguments\": {\"text\": \"");
    for (int i = 0; i < 10 * N; i++) {
        feed(r, "0123456789", 10);
    }
    size_t n;
    exaone_reply_content(r, &n);
    assert_int_equal(n, 0);
    say(r, "\"}}</tool_call>");
    assert_int_equal(exaone_reply_n_calls(r), 1);
    assert_int_equal(exaone_reply_call(r, 0).n_arguments, 100 * N + strlen("{\"text\": \"\"}"));
    free(finish(r, true));

    r = start(true, true);
    for (int i = 0; i < N; i++) {
        say(r, "<tool_call>{\"name\": \"f\"}</tool_call> ");
    }
    assert_int_equal(exaone_reply_n_calls(r), 0);
    assert_int_equal(exaone_reply_finish(r, true, NULL), EXAONE_OK);
    assert_int_equal(exaone_reply_n_calls(r), N);
    exaone_reply_free(r);
    /* some 60 million steps; a parser that looks at an open region again for each piece takes more than 10^12 */
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 30);
}

/* ---- \boxed{} ---- */

static void test_boxed(void **state) {
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: none */
    } boxes[] = {
        {"\\boxed{42}", "42"},
        {"a \\boxed{1} b \\boxed{2} c", "2"},
        {"\\boxed{\\frac{1}{2}} }", "\\frac{1}{2}"},
        {"\\boxed{1} \\boxed{2", "1"},
        {"\\boxed{open \\boxed{7} x", "7"},
        {"\\boxed{\\boxed{3}}", "3"},
        {"} } \\boxed{5} { {", "5"},
        {"\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"},
        {"\\boxed{a\\\\}b}", "a\\\\"}, /* an escaped backslash, then a brace */
        {"\\boxed{\\}", NULL},
        {"\\boxed{}", ""},
        {"boxed{1}", NULL},
        {"\\boxed 1", NULL},
        {"\\boxed{", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        size_t begin = 0, end = 0;
        bool found = exaone_boxed_last(boxes[i].text, strlen(boxes[i].text), &begin, &end);
        if (found != (boxes[i].want != NULL) ||
            (found &&
             (end - begin != strlen(boxes[i].want) || memcmp(boxes[i].text + begin, boxes[i].want, end - begin) != 0))) {
            fail_msg("%s: [%zu, %zu), expected %s", boxes[i].text, begin, end, boxes[i].want ? boxes[i].want : "none");
        }
    }
    size_t begin, end;
    assert_true(exaone_boxed_last(exaone_boxed_request(), strlen(exaone_boxed_request()), &begin, &end));
    exaone_buf b;
    exaone_buf_init(&b, 1 << 26);
    for (int i = 0; i < 1000000; i++) {
        exaone_buf_puts(&b, i % 2 ? "\\boxed{" : "\\\\\\");
    }
    clock_t from = clock();
    assert_false(exaone_boxed_last(b.data, b.len, &begin, &end));
    assert_true((double)(clock() - from) / CLOCKS_PER_SEC < 5); /* 10 MB; quadratic is hours */
    exaone_buf_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_early),
                                       cmocka_unit_test(test_contents), cmocka_unit_test(test_long_calls),
                                       cmocka_unit_test(test_boxed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
