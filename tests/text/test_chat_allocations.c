/* Template, conversation and reply parser with the Nth allocation failing, for every N: EXAONE_ERR_MEMORY and a message,
 * never a crash, nothing leaked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/skip.h"
#include "exaone/chat.h"

static exaone_status render(exaone_error *err) {
    static const char request[] =
        "{\"messages\": [{\"role\": \"system\", \"content\": [{\"type\": \"text\", \"text\": \"s\"}]}, {\"role\": \"user\", "
        "\"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"a.png\"}}, {\"type\": \"text\", \"text\": "
        "{\"k\": 1}}]}, "
        "{\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"<think>r</think>c\"}], \"thinking\": "
        "\"t\", "
        "\"tool_calls\": [{\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": [1.5, \"\\u0041\"], \"c\": 1, \"d\": 1, \"e\": "
        "1, "
        "\"f\": 1, \"g\": 1, \"h\": 1, \"i\": 1, \"j\": 1, \"k\": 1, \"l\": 1, \"m\": 1, \"n\": 1, \"o\": 1, \"p\": 1, "
        "\"q\": 1}}]}, "
        "{\"role\": \"assistant\", \"content\": \"end \"}], \"tools\": [{\"name\": \"f\"}], "
        "\"options\": {\"add_vision_id\": true, \"continue_final_message\": true}}";
    exaone_rendered r;
    exaone_status s = exaone_template_render(request, sizeof request - 1, NULL, &r, err);
    assert_true(s == EXAONE_OK || (!r.text && !r.spans && !r.media));
    exaone_rendered_release(&r);
    return s;
}

static exaone_status talk(exaone_error *err) {
    exaone_chat *c = exaone_chat_new();
    if (!c) {
        snprintf(err->message, sizeof err->message, "no conversation");
        return EXAONE_ERR_MEMORY;
    }
    const exaone_chat_part parts[] = {{EXAONE_PART_IS_IMAGE, "a.png"}, {EXAONE_PART_IS_TEXT, "what?"}};
    exaone_status s = exaone_chat_add(c, "user", parts, 2, err);
    char *json = NULL;
    size_t n = 0;
    if (s == EXAONE_OK) {
        s = exaone_chat_add_json(c, "{\"role\": \"assistant\"}", 21, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_chat_set_tools(c, "[{}]", 4, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_chat_to_json(c, true, &json, &n, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_chat_load(c, json, n, err);
        assert_int_equal(exaone_chat_count(c), 2); /* also when it failed */
    }
    free(json);
    exaone_chat_free(c);
    return s;
}

static exaone_status read_reply(exaone_error *err) {
    static const char text[] = "r</think>c <tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call>\nd"
                               "<tool_call>{\"name\": \"g\", \"arguments\": \"{\\\"x\\\": 2}\"}</tool_call><tool_call>{";
    exaone_reply *r = exaone_reply_new(true, true);
    if (!r) {
        snprintf(err->message, sizeof err->message, "no reply");
        return EXAONE_ERR_MEMORY;
    }
    exaone_status s = EXAONE_OK;
    for (size_t i = 0; i < sizeof text - 1 && s == EXAONE_OK; i += 7) {
        s = exaone_reply_feed(r, text + i, sizeof text - 1 - i < 7 ? sizeof text - 1 - i : 7, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_reply_finish(r, true, err);
    }
    char *json = NULL;
    if (s == EXAONE_OK) {
        s = exaone_reply_to_json(r, &json, err);
    }
    if (s == EXAONE_OK) {
        assert_string_equal(
            json, "{\"reasoning_content\": \"r\", \"content\": \"c\\nd\\n<tool_call>{\", \"tool_calls\": [{\"name\": \"f\", "
                  "\"arguments\": \"{\\\"a\\\": 1}\"}, {\"name\": \"g\", \"arguments\": \"{\\\"x\\\": 2}\"}], "
                  "\"finish_reason\": \"tool_calls\"}");
    }
    free(json);
    exaone_reply_free(r);
    return s;
}

typedef exaone_status action(exaone_error *err);

static void every_failure(action *fn) {
    exaone_error err = {0};
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    assert_int_equal(fn(&err), EXAONE_OK);
    for (long n = 1; n < 100000; n++) {
        long before = live;
        memset(&err, 0, sizeof err);
        fail_in = n;
        exaone_status s = fn(&err);
        bool reached = fail_in == 0;
        fail_in = 0;
        if (s == EXAONE_OK && !reached) {
            print_message("%ld allocations\n", n - 1);
            assert_true(n > 5);
            return;
        }
        if (live != before || s != EXAONE_ERR_MEMORY || !err.message[0]) {
            fail_msg("allocation %ld: status %d, %ld left, \"%s\"", n, (int)s, live - before, err.message);
        }
    }
    fail_msg("it never worked");
}

static void test_render(void **state) {
    (void)state;
    every_failure(render);
}

static void test_talk(void **state) {
    (void)state;
    every_failure(talk);
}

static void test_reply(void **state) {
    (void)state;
    every_failure(read_reply);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_render), cmocka_unit_test(test_talk),
                                       cmocka_unit_test(test_reply)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
