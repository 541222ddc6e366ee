/* The JSON reader and writer: what is accepted and refused, what is kept, how numbers and strings are spelled, hostile
 * input. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/json.h"

enum { MEMORY = 1 << 30 };

static exaone_status parse(const char *text, size_t n, exaone_arena *arena, exaone_json **j, exaone_error *err) {
    exaone_arena_init(arena, MEMORY);
    return exaone_json_parse(text, n, arena, j, err);
}

/* ---- reading ---- */

static void refused(const char *text, size_t n, exaone_status want, const char *part) {
    exaone_arena arena;
    exaone_json *j = (exaone_json *)1;
    exaone_error err = {0};
    exaone_status s = parse(text, n, &arena, &j, &err);
    if (s != want || j || !strstr(err.message, part)) {
        fail_msg("%.60s: status %d, \"%s\", expected %d and \"%s\"", text, (int)s, err.message, (int)want, part);
    }
    exaone_arena_release(&arena);
}

static const struct {
    const char *text, *part;
} broken[] = {
    {"", "the text ends"},
    {" \n ", "line 2 column 2"},
    {"{", "a key in quotes"},
    {"[", "the text ends"},
    {"[1", "',' or ']'"},
    {"[1,", "the text ends"},
    {"[1,]", "a value must stand here"},
    {"[,1]", "a value must stand here"},
    {"[1 2]", "',' or ']'"},
    {"[1}", "',' or ']'"},
    {"{\"a\":1]", "',' or '}'"},
    {"{\"a\":1,}", "a key in quotes"},
    {"{\"a\" 1}", "':' must stand here"},
    {"{\"a\":}", "a value must stand here"},
    {"{a:1}", "a key in quotes"},
    {"{'a':1}", "a key in quotes"},
    {"{1:1}", "a key in quotes"},
    {"1 2", "text behind"},
    {"{} x", "text behind"},
    {"nul", "a value must stand here"},
    {"nulll", "text behind"},
    {"True", "a value must stand here"},
    {"NaN", "a value must stand here"},
    {"Infinity", "a value must stand here"},
    {"-Infinity", "bad number"},
    {"-", "bad number"},
    {"+1", "a value must stand here"},
    {"01", "bad number"},
    {"-01", "bad number"},
    {"1.", "bad number"},
    {".5", "a value must stand here"},
    {"1e", "bad number"},
    {"1e+", "bad number"},
    {"0x10", "text behind"},
    {"\"a", "no end"},
    {"\"a\\\"", "no end"},
    {"\"a\nb\"", "control character"},
    {"\"\\x41\"", "escape"},
    {"\"\\u12\"", "escape"},
    {"\"\\u12g4\"", "escape"},
    {"\"\\ud800\"", "escape"},
    {"\"\\udc00\"", "escape"},
    {"\"\\ud800\\u0041\"", "escape"},
    {"\"\\ud800\\ud800\"", "escape"},
    {"\"\\udc00\\udc00\"", "escape"},
    {"\"\\ud83d\\\"", "no end"},
    {"\"\xff\"", "UTF-8"},
    {"\"\xc0\x80\"", "UTF-8"},
    {"\"\xed\xa0\x80\"", "UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "UTF-8"},
    {"{\"\xff\": 1}", "UTF-8"},
    {"// c\n1", "a value must stand here"},
    {"[1] // c", "text behind"},
    {"\xef\xbb\xbf{}", "a value must stand here"},
    {"[1,\n 2,\n   x]", "line 3 column 4"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        refused(broken[i].text, strlen(broken[i].text), EXAONE_ERR_FORMAT, broken[i].part);
    }
    refused("\"a\0b\"", 5, EXAONE_ERR_FORMAT, "control character");
    refused("1\0", 2, EXAONE_ERR_FORMAT, "text behind");
}

/* What strings may not hold raw, what ends them and what is more than one byte, at every place of strings of every length up
 * to 20: they are read eight bytes at a time. */
static void test_places(void **state) {
    (void)state;
    static const struct {
        const char *raw, *means; /* NULL: refused */
    } parts[] = {{"x", "x"},
                 {"\x7f", "\x7f"},
                 {"\\n", "\n"},
                 {"\\\"", "\""},
                 {"\\\\", "\\"},
                 {"\\u00e9", "\xc3\xa9"},
                 {"\xc3\xa9", "\xc3\xa9"},
                 {"\xed\x95\x9c", "\xed\x95\x9c"},
                 {"\n", NULL},
                 {"\x1f", NULL},
                 {"\x80", NULL},
                 {"\xc3", NULL},
                 {"\\\xc3\xa9", NULL},
                 {"\\", NULL}};
    for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        for (size_t n = 0; n <= 20; n++) {
            for (size_t at = 0; at <= n; at++) {
                char text[64], want[64];
                int size = snprintf(text, sizeof text, "\"%.*s%s%.*s\"", (int)at, "aaaaaaaaaaaaaaaaaaaa", parts[k].raw,
                                    (int)(n - at), "bbbbbbbbbbbbbbbbbbbb");
                char *own = malloc((size_t)size); /* so that sanitizers see a byte too many */
                assert_non_null(own);
                memcpy(own, text, (size_t)size);
                exaone_arena arena;
                exaone_json *j;
                exaone_error err = {0};
                exaone_status s = parse(own, (size_t)size, &arena, &j, &err);
                if (parts[k].means) {
                    int length = snprintf(want, sizeof want, "%.*s%s%.*s", (int)at, "aaaaaaaaaaaaaaaaaaaa", parts[k].means,
                                          (int)(n - at), "bbbbbbbbbbbbbbbbbbbb");
                    assert_int_equal(s, EXAONE_OK);
                    assert_int_equal(j->len, length);
                    assert_memory_equal(j->text, want, (size_t)length);
                } else if (parts[k].raw[0] != '\\' || parts[k].raw[1] != '\0' || at == n) {
                    assert_int_equal(s, EXAONE_ERR_FORMAT);
                } /* a backslash before b is an escape */
                exaone_arena_release(&arena);
                free(own);
            }
        }
    }
}

static void test_tree(void **state) {
    (void)state;
    static const char text[] =
        " {\"a\": [1, -2.5e3, \"x\\u0000y\\ud83d\\ude00\\/\", null, true, false, {}, []], \"b\": {\"a\": 7}, \"a\": 3} ";
    exaone_arena arena;
    exaone_json *j;
    assert_int_equal(parse(text, sizeof text - 1, &arena, &j, NULL), EXAONE_OK);
    assert_int_equal(j->type, EXAONE_JSON_OBJECT);
    assert_int_equal(j->len, 3);
    assert_null(j->key);
    const exaone_json *list = j->first;
    static const exaone_json_type types[] = {EXAONE_JSON_NUMBER, EXAONE_JSON_NUMBER, EXAONE_JSON_STRING, EXAONE_JSON_NULL,
                                             EXAONE_JSON_TRUE,   EXAONE_JSON_FALSE,  EXAONE_JSON_OBJECT, EXAONE_JSON_ARRAY};
    size_t i = 0;
    for (const exaone_json *m = list->first; m; m = m->next, i++) {
        assert_int_equal(m->type, types[i]);
        assert_null(m->key);
    }
    assert_int_equal(i, 8);
    const exaone_json *string = list->first->next->next;
    assert_int_equal(string->len, 8);
    assert_memory_equal(string->text, "x\0y\xf0\x9f\x98\x80/", 8);
    int64_t v = 0;
    assert_true(exaone_json_int(exaone_json_get(j, "a"), &v) && v == 3); /* the last of double keys */
    assert_true(exaone_json_int(exaone_json_get(exaone_json_get(j, "b"), "a"), &v) && v == 7);
    assert_null(exaone_json_get(j, "c"));
    assert_null(exaone_json_get(list, "a"));
    assert_null(exaone_json_get(NULL, "a"));
    assert_false(exaone_json_is(NULL, EXAONE_JSON_NULL));
    assert_false(exaone_json_equals(string, "x"));
    exaone_arena_release(&arena);
}

static void test_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool integer, fits;
        int64_t value;
        double number;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"-0", true, true, 0, 0},
        {"9223372036854775807", true, true, INT64_MAX, 0x1p63},
        {"-9223372036854775808", true, true, INT64_MIN, -0x1p63},
        {"9223372036854775808", true, false, 0, 0x1p63},
        {"-9223372036854775809", true, false, 0, -0x1p63},
        {"1.0", false, true, 1, 1},
        {"1e3", false, true, 1000, 1000},
        {"1.5", false, false, 0, 1.5},
        {"9007199254740992.0", false, true, 9007199254740992, 9007199254740992.0},
        {"1e300", false, false, 0, 1e300},
        {"5e-324", false, false, 0, 5e-324},
        {"0.1", false, false, 0, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        exaone_arena arena;
        exaone_json *j;
        int64_t v = 0;
        double x = 0;
        assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &arena, &j, NULL), EXAONE_OK);
        assert_int_equal(exaone_json_is_integer(j), cases[i].integer);
        assert_int_equal(exaone_json_int(j, &v), cases[i].fits);
        assert_true(v == cases[i].value);
        assert_true(exaone_json_double(j, &x) && x == cases[i].number);
        exaone_arena_release(&arena);
    }
    static const char *const beyond[] = {"1e999", "-1e999", "1e99999999999999999999"};
    for (size_t i = 0; i < 3; i++) {
        exaone_json j = {.type = EXAONE_JSON_NUMBER, .text = beyond[i], .len = strlen(beyond[i])};
        double x;
        int64_t v;
        assert_false(exaone_json_double(&j, &x));
        assert_false(exaone_json_int(&j, &v));
    }
}

/* ---- writing ---- */

static void rewritten(const char *text, size_t n, const char *want, bool python) {
    exaone_arena arena;
    exaone_json *j;
    exaone_error err = {0};
    exaone_buf b;
    exaone_buf_init(&b, MEMORY);
    if (parse(text, n, &arena, &j, &err) != EXAONE_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    python ? exaone_json_put_python(&b, j) : exaone_json_put(&b, j);
    assert_false(b.failed);
    assert_string_equal(b.data, want);
    exaone_buf_release(&b);
    exaone_arena_release(&arena);
}

static void test_writing(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"[1,2,{\"a\":null,\"b\":[]}]", "[1, 2, {\"a\": null, \"b\": []}]"},
        {"{}", "{}"},
        {"[1.10, 1E5, 1e+2, -0, -0.0, 1.0e-7, 3.0, 123e-2, 1e16, 123456789012345678901234567890]",
         "[1.1, 100000.0, 100.0, 0, -0.0, 1e-07, 3.0, 1.23, 1e+16, 123456789012345678901234567890]"},
        {"{\"a\":1,\"b\":2,\"a\":3,\"c\":{\"x\":1,\"x\":2}}", "{\"a\": 3, \"b\": 2, \"c\": {\"x\": 2}}"},
        {"{\"a\":1,\"a\":2,\"a\":{\"a\":1}}", "{\"a\": {\"a\": 1}}"},
        {"{\"\":1,\"\\u0000\":2,\"\":3}", "{\"\": 3, \"\\u0000\": 2}"},
        {"\"\\u0000\\u001f\\u007f\\u2028\\b\\f\\n\\r\\t\\\"\\\\\\/\\ud55c\"",
         "\"\\u0000\\u001f\x7f\xe2\x80\xa8\\b\\f\\n\\r\\t\\\"\\\\/\xed\x95\x9c\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rewritten(cases[i].text, strlen(cases[i].text), cases[i].want, false);
        rewritten(cases[i].text, strlen(cases[i].text), cases[i].want, true);
    }
    rewritten("[1e400,-1e400]", 14, "[Infinity, -Infinity]", true);
    rewritten("[1e400,-1e400]", 14, "[1e400, -1e400]", false);
}

/* Broken UTF-8 becomes U+FFFD, one for each maximal broken part, so that what is written can be read. */
static void test_broken_text(void **state) {
    (void)state;
    static const char text[] = {'a', '\xff', 'b', '\xe2', '\x82', '"', '\xf0', '\x9f', '\x98', '\x80', '\xc3'};
    exaone_buf b;
    exaone_buf_init(&b, 1000);
    exaone_json_put_string(&b, text, sizeof text);
    assert_string_equal(b.data, "\"a\xef\xbf\xbd"
                                "b\xef\xbf\xbd\\\"\xf0\x9f\x98\x80\xef\xbf\xbd\"");
    exaone_buf_release(&b);
}

static void check_double(double x, const char *want) {
    exaone_buf b;
    exaone_buf_init(&b, 100);
    exaone_json_put_double(&b, x);
    if (strcmp(b.data, want) != 0) {
        fail_msg("%a is written %s, expected %s", x, b.data, want);
    }
    exaone_buf_release(&b);
}

/* What Python's repr gives. */
static void test_doubles(void **state) {
    (void)state;
    check_double(0.0, "0.0");
    check_double(-0.0, "-0.0");
    check_double(1.0, "1.0");
    check_double(0.1, "0.1");
    check_double(0.30000000000000004, "0.30000000000000004");
    check_double(1e15, "1000000000000000.0");
    check_double(1e16, "1e+16");
    check_double(123456789012345680.0, "1.2345678901234568e+17");
    check_double(0.0001, "0.0001");
    check_double(0.00001, "1e-05");
    check_double(0.000123, "0.000123");
    check_double(1.5e300, "1.5e+300");
    check_double(DBL_MAX, "1.7976931348623157e+308");
    check_double(DBL_MIN, "2.2250738585072014e-308");
    check_double(5e-324, "5e-324");
    check_double(1.5e-323, "1.5e-323");
    check_double(2.225073858507201e-308, "2.225073858507201e-308");
    check_double(0x1p-44, "5.684341886080802e-14"); /* the nearest 16 digits, …8015, read back as another number */
    check_double(-0x1p-24, "-5.960464477539063e-08");
    check_double(0x1p976, "6.386688990511104e+293");
    check_double(9007199254740993.0, "9007199254740992.0");
    check_double(9.5367431640625e-07, "9.5367431640625e-07");
    check_double(NAN, "null");
    check_double(INFINITY, "null");
}

/* Every double reads back as itself, whatever its bits. */
static void test_doubles_read_back(void **state) {
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double x, y;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x)) {
            continue;
        }
        exaone_buf b;
        exaone_buf_init(&b, 100);
        exaone_json_put_double(&b, x);
        exaone_json j = {.type = EXAONE_JSON_NUMBER, .text = b.data, .len = b.len};
        assert_true(exaone_json_double(&j, &y) && y == x);
        assert_in_range(b.len, 3, 24);
        exaone_buf_release(&b);
    }
}

/* ---- hostile input ---- */

static char *repeated(const char *unit, size_t times) {
    size_t n = strlen(unit);
    char *text = malloc(n * times + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++) {
        memcpy(text + i * n, unit, n);
    }
    text[n * times] = 0;
    return text;
}

static void test_depth(void **state) {
    (void)state;
    static const char *const open[] = {"[", "{\"a\":", "[{\"a\":"};
    for (size_t i = 0; i < 3; i++) {
        char *text = repeated(open[i], 100000);
        refused(text, strlen(text), EXAONE_ERR_LIMIT, "128");
        free(text);
    }
    char text[257];
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    text[256] = 0;
    rewritten(text, 256, text, false);
    refused("[[", 2, EXAONE_ERR_FORMAT, "the text ends");
}

static void test_memory_limit(void **state) {
    (void)state;
    char *text = repeated("[],", 100000);
    exaone_arena arena;
    exaone_json *j;
    exaone_error err = {0};
    exaone_buf b;
    exaone_buf_init(&b, MEMORY);
    exaone_buf_printf(&b, "[%s[]]", text);
    exaone_arena_init(&arena, 100000);
    assert_int_equal(exaone_json_parse(b.data, b.len, &arena, &j, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "100000"));
    assert_true(arena.used <= 100000 && !arena.starved);
    exaone_arena_release(&arena);
    exaone_buf_release(&b);
    free(text);
}

/* An object of 200,000 keys, half of them double, in well below the minutes that comparing every pair takes (2 * 10^10
 * steps). */
static void test_many_keys(void **state) {
    (void)state;
    enum { N = 200000 };
    exaone_buf b, out;
    exaone_buf_init(&b, MEMORY);
    exaone_buf_init(&out, MEMORY);
    for (int i = 0; i < N; i++) {
        exaone_buf_printf(&b, "%s\"k%d\":%d", i ? "," : "{", i % (N / 2), i);
    }
    exaone_buf_putc(&b, '}');
    exaone_arena arena;
    exaone_json *j;
    assert_int_equal(parse(b.data, b.len, &arena, &j, NULL), EXAONE_OK);
    clock_t start = clock();
    exaone_json_put(&out, j);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    assert_memory_equal(out.data, "{\"k0\": 100000, \"k1\": 100001, ", 29);
    size_t commas = 0;
    for (size_t i = 0; i < out.len; i++) {
        commas += out.data[i] == ',';
    }
    assert_int_equal(commas, N / 2 - 1);
    exaone_buf_release(&b);
    exaone_buf_release(&out);
    exaone_arena_release(&arena);
}

/* 10 MB of one hostile kind each: an answer within seconds. */
static void test_long(void **state) {
    (void)state;
    static const char *const units[] = {"\\u0041", "9", "1.5,", "\"\",", "\xed\x95\x9c", " ", "{\"a\":1},", "\\"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        char *text = repeated(units[i], 10000000 / strlen(units[i]));
        size_t n = strlen(text);
        char *whole = malloc(n + 3);
        static const char around[][2] = {{'"', '"'}, {'[', ']'}};
        for (size_t k = 0; k < 2; k++) {
            whole[0] = around[k][0];
            memcpy(whole + 1, text, n);
            whole[n + 1] = around[k][1];
            exaone_arena arena;
            exaone_json *j;
            exaone_error err = {0};
            clock_t start = clock();
            exaone_status s = parse(whole, n + 2, &arena, &j, &err);
            assert_true(s == EXAONE_OK || err.message[0]);
            exaone_arena_release(&arena);
            assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
        }
        free(whole);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_tree),
        cmocka_unit_test(test_places),    cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_writing),   cmocka_unit_test(test_broken_text),
        cmocka_unit_test(test_doubles),   cmocka_unit_test(test_doubles_read_back),
        cmocka_unit_test(test_depth),     cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_many_keys), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
