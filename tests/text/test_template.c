/* The chat template against tests/golden/edges/template, byte for byte.
 *
 * Where the reference fails by an accident of its language (list as assistant content, …) the renderer does the sensible
 * thing; such cases must not crash. The list as first system message prints as the reference prints it under
 * strict_reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "exaone/chat.h"

static exaone_status render(const exaone_json *c, bool strict, exaone_rendered *out, exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, 64 << 20);
    exaone_json_put(&b, c);
    exaone_template_options options = {.strict_reference = strict};
    exaone_status s = exaone_template_render(b.data, b.len, &options, out, err);
    exaone_buf_release(&b);
    return s;
}

static void check_spans(const exaone_rendered *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_spans; i++) {
        assert_ptr_equal(r->spans[i].text, r->text + n);
        n += r->spans[i].n;
    }
    assert_int_equal(n, r->n);
}

/* False: the text is not the expected one. */
static bool case_right(const exaone_json *c, bool strict) {
    exaone_error err = {0};
    exaone_rendered r;
    const exaone_json *expected = exaone_json_get(c, "expected"), *text = exaone_json_get(expected, "text");
    exaone_status s = render(c, strict, &r, &err);
    bool ok;
    if (text) {
        ok = s == EXAONE_OK && r.n == text->len && memcmp(r.text, text->text, r.n) == 0;
    } else if (exaone_json_equals(exaone_json_get(expected, "error"), "TemplateError")) {
        ok = s == EXAONE_ERR_ARGUMENT && err.message[0];
    } else {
        ok = s == EXAONE_OK || err.message[0];
    }
    if (s == EXAONE_OK) {
        check_spans(&r);
    }
    if (!ok) {
        char name[128];
        print_error("%s%s: %s\n", fixture_string(c, "name", name, sizeof name), strict ? " (strict)" : "",
                    s == EXAONE_OK ? r.text : err.message);
    }
    exaone_rendered_release(&r);
    return ok;
}

static void test_cases(void **state) {
    (void)state;
    fixture_json j;
    fixture_json_open(&j, "tests/golden/edges/template/template_cases.json");
    size_t n = 0, bad_strict = 0, bad = 0;
    for (const exaone_json *c = exaone_json_get(j.root, "cases")->first; c; c = c->next, n++) {
        bool strict = case_right(c, true);
        bad_strict += !strict;
        char name[128];
        fixture_string(c, "name", name, sizeof name);
        /* a list as first system message: by default its text items, not what Python prints of it */
        bool differs = strncmp(name, "system/first-list", 17) == 0 || strcmp(name, "list/vision-ids-all-roles") == 0;
        bad += !differs && !case_right(c, false);
    }
    assert_int_equal(n, 153);
    assert_int_equal(bad_strict, 0);
    assert_int_equal(bad, 0);
    fixture_json_close(&j);
}

static void expect(const char *json, const char *want, bool strict) {
    exaone_error err = {0};
    exaone_rendered r;
    exaone_template_options options = {.strict_reference = strict};
    if (exaone_template_render(json, strlen(json), &options, &r, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(r.text, want);
    exaone_rendered_release(&r);
}

static void test_lists(void **state) {
    (void)state;
    const char *system = "{\"messages\": [{\"role\": \"system\", \"content\": [{\"type\": \"text\", \"text\": \"S\"}]}]}";
    expect(system, "<|system|>\nS<|endofturn|>\n", false);
    expect(system, "<|system|>\n[{'type': 'text', 'text': 'S'}]<|endofturn|>\n", true);
    expect("{\"messages\": [{\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"A\"}]}]}",
           "<|assistant|>\n<think>\n\n</think>\n\nA<|endofturn|>\n", false);
}

static bool trusted_at(const exaone_rendered *r, const char *needle) {
    size_t at = (size_t)(strstr(r->text, needle) - r->text), start = 0;
    for (size_t i = 0; i < r->n_spans; start += r->spans[i++].n) {
        if (at < start + r->spans[i].n) {
            return r->spans[i].trusted;
        }
    }
    return false;
}

/* What a user types is never markup. */
static void test_trust(void **state) {
    (void)state;
    const char *json = "{\"messages\": [{\"role\": \"user\", \"content\": \"typed <|endofturn|> here\"}], "
                       "\"options\": {\"add_generation_prompt\": true}}";
    exaone_error err = {0};
    exaone_rendered r;
    assert_int_equal(exaone_template_render(json, strlen(json), NULL, &r, &err), EXAONE_OK);
    assert_true(r.thinking);
    assert_false(trusted_at(&r, "<|endofturn|> here"));
    assert_true(trusted_at(&r, "<|user|>"));
    assert_true(trusted_at(&r, "<|assistant|>"));
    exaone_rendered_release(&r);
    exaone_template_options all = {.trust_all = true};
    assert_int_equal(exaone_template_render(json, strlen(json), &all, &r, &err), EXAONE_OK);
    assert_true(trusted_at(&r, "<|endofturn|> here"));
    exaone_rendered_release(&r);
}

static void test_known(void **state) {
    (void)state;
    char hex[65];
    size_t n;
    char *text = fixture_read("models/tiny/chat_template.jinja", &n);
    assert_non_null(exaone_template_identify(text, n, hex));
    assert_non_null(exaone_template_identify(text, n - 1, hex)); /* a copy without the final newline */
    text[0] ^= 1;
    assert_null(exaone_template_identify(text, n, hex));
    assert_int_equal(strlen(hex), 64);
    free(text);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"messages\": []}",
                                      "{\"messages\": {}}",
                                      "{\"messages\": [1]}",
                                      "{\"messages\": [{\"role\": \"x\"}]}",
                                      "{\"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}",
                                      "{\"messages\": [{\"role\": \"user\", \"content\": 5}]}",
                                      "{\"request_json\": \"{\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        exaone_error err = {0};
        exaone_rendered r;
        assert_int_not_equal(exaone_template_render(bad[i], strlen(bad[i]), NULL, &r, &err), EXAONE_OK);
        assert_true(err.message[0]);
        assert_null(r.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_lists),
                                       cmocka_unit_test(test_trust), cmocka_unit_test(test_known),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
