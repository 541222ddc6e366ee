/* The tokenizer against the reference's (tokenizers 0.23.3): every case of tests/golden/edges/tokenizer, and the prompts of
 * the tiny model's evaluation set. All comparisons are exact: ids and text are discrete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "exaone/text.h"
#include "../support/fixture.h"

#define FOLDER "tests/golden/edges/tokenizer/"

static exaone_tokenizer *open_tokenizer(const char *path) {
    exaone_tokenizer *tok;
    exaone_error err;
    if (exaone_tokenizer_open(path, &tok, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return tok;
}

static void check_text(const char *name, const char *what, const char *have, size_t n, const char *want, size_t n_want) {
    if (n != n_want || memcmp(have, want, n) != 0) {
        fail_msg("%s: %s is \"%.*s\" (%zu bytes), expected \"%.*s\" (%zu bytes)", name, what, (int)n, have, n, (int)n_want,
                 want, n_want);
    }
}

static void check_json_text(const char *name, const char *what, const char *have, size_t n, const exaone_json *want) {
    assert_true(exaone_json_is(want, EXAONE_JSON_STRING));
    check_text(name, what, have, n, want->text, want->len);
}

static int64_t number(const exaone_json *j) {
    int64_t v = 0;
    assert_true(exaone_json_int(j, &v));
    return v;
}

static void check_ids(const char *name, const int32_t *ids, size_t n, const exaone_json *want) {
    size_t i = 0;
    for (const exaone_json *j = want->first; j; j = j->next, i++) {
        if (i < n && ids[i] != number(j)) {
            fail_msg("%s: id %zu is %d, expected %lld", name, i, (int)ids[i], (long long)number(j));
        }
    }
    if (i != n) {
        fail_msg("%s: %zu ids, expected %zu", name, n, i);
    }
}

static char hex_digit(unsigned v) {
    return "0123456789abcdef"[v & 15];
}

static void check_token_bytes(const exaone_tokenizer *tok, const char *name, const int32_t *ids, const exaone_json *want) {
    for (const exaone_json *j = want ? want->first : NULL; j; j = j->next, ids++) {
        size_t n;
        const uint8_t *bytes = exaone_tokenizer_bytes(tok, *ids, &n);
        char hex[1024];
        assert_true(bytes && n * 2 <= sizeof hex);
        for (size_t i = 0; i < n; i++) {
            hex[2 * i] = hex_digit(bytes[i] >> 4);
            hex[2 * i + 1] = hex_digit(bytes[i]);
        }
        check_json_text(name, "bytes", hex, 2 * n, j);
    }
}

static void check_decoded(const exaone_tokenizer *tok, const char *name, const int32_t *ids, size_t n_ids, unsigned flags,
                          const exaone_json *want) {
    char *text;
    size_t n;
    assert_int_equal(exaone_tokenizer_decode(tok, ids, n_ids, flags, &text, &n, NULL), EXAONE_OK);
    check_json_text(name, flags ? "decoded_skip" : "decoded", text, n, want);
    free(text);
}

/* stream may be absent (long texts): then only the joined stream is compared with `decoded`. */
static void check_stream(const exaone_tokenizer *tok, const char *name, const int32_t *ids, size_t n_ids, unsigned flags,
                         const exaone_json *stream, const exaone_json *tail, const exaone_json *decoded) {
    exaone_detokenizer *d;
    assert_int_equal(exaone_detokenizer_new(tok, flags, &d, NULL), EXAONE_OK);
    exaone_buf all;
    exaone_buf_init(&all, 1 << 24);
    const char *text;
    size_t n;
    const exaone_json *j = stream ? stream->first : NULL;
    for (size_t i = 0; i < n_ids; i++) {
        assert_int_equal(exaone_detokenizer_put(d, ids[i], &text, &n, NULL), EXAONE_OK);
        assert_int_equal(exaone_utf8_valid_prefix((const uint8_t *)text, n), n);
        exaone_buf_append(&all, text, n);
        if (stream) {
            check_json_text(name, "stream", text, n, j);
            j = j->next;
        }
    }
    assert_null(j);
    assert_int_equal(exaone_detokenizer_flush(d, &text, &n, NULL), EXAONE_OK);
    if (tail) {
        check_json_text(name, "stream_tail", text, n, tail);
    }
    exaone_buf_append(&all, text, n);
    check_json_text(name, "the joined stream", all.len ? all.data : "", all.len, decoded);
    exaone_buf_release(&all);
    exaone_detokenizer_free(d);
}

/* A field that is null when it equals another. */
static const exaone_json *field_or(const exaone_json *c, const char *key, const exaone_json *otherwise) {
    const exaone_json *j = exaone_json_get(c, key);
    return exaone_json_is(j, EXAONE_JSON_STRING) ? j : otherwise;
}

static void check_pieces(const char *name, const exaone_encoding *e, const exaone_json *c) {
    const exaone_json *text = exaone_json_get(c, "pieces"), *bytes = exaone_json_get(c, "piece_bytes");
    assert_int_equal(e->n_pieces, bytes->len);
    const exaone_json *t = text ? text->first : NULL, *b = bytes->first;
    size_t at = 0, id = 0;
    for (size_t i = 0; i < e->n_pieces; i++, b = b->next) {
        const exaone_piece *p = &e->pieces[i];
        assert_int_equal(p->begin, at);
        assert_int_equal(p->first_id, id);
        assert_int_equal(p->end - p->begin, number(b));
        assert_true(p->n_ids > 0);
        if (text) {
            check_json_text(name, "piece", e->text + p->begin, p->end - p->begin, t);
            t = t->next;
        }
        at = p->end;
        id += p->n_ids;
    }
    assert_int_equal(at, e->n_text);
    assert_int_equal(id, e->n_ids);
}

static unsigned from_hex(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The text of a case: its bytes when it is not valid UTF-8. */
static char *case_text(const exaone_json *c, size_t *n) {
    const exaone_json *hex = exaone_json_get(c, "raw_hex"), *text = exaone_json_get(c, "text");
    char *raw = malloc(text->len + (hex ? hex->len : 0) + 1);
    assert_non_null(raw);
    if (!hex) {
        memcpy(raw, text->text, *n = text->len);
        return raw;
    }
    *n = hex->len / 2;
    for (size_t i = 0; i < *n; i++) {
        raw[i] = (char)(from_hex(hex->text[2 * i]) << 4 | from_hex(hex->text[2 * i + 1]));
    }
    return raw;
}

/* Cutting the text into trusted spans anywhere, even inside a character, changes nothing. */
static void check_cut(const exaone_tokenizer *tok, const char *name, const char *text, size_t n, const exaone_json *want) {
    for (size_t step = 1; step <= 7; step += 3) {
        size_t count = n / step + 1;
        exaone_text_span *spans = calloc(count, sizeof *spans);
        assert_non_null(spans);
        for (size_t i = 0, at = 0; i < count; i++, at += step) {
            spans[i] = (exaone_text_span){text + at, at + step < n ? step : n - at, true};
        }
        int32_t *ids;
        size_t n_ids;
        assert_int_equal(exaone_tokenizer_encode_spans(tok, spans, count, &ids, &n_ids, NULL), EXAONE_OK);
        check_ids(name, ids, n_ids, want);
        free(ids);
        free(spans);
    }
}

static void check_case(const exaone_tokenizer *tok, const exaone_json *c) {
    char name[256];
    fixture_string(c, "name", name, sizeof name);
    size_t n;
    char *text = case_text(c, &n);
    const exaone_json *want = exaone_json_get(c, "ids");
    exaone_encoding e;
    assert_int_equal(exaone_tokenizer_encode_pieces(tok, text, n, EXAONE_PARSE_SPECIAL, &e, NULL), EXAONE_OK);
    check_ids(name, e.ids, e.n_ids, want);
    check_pieces(name, &e, c);
    check_cut(tok, name, text, n, want);
    int32_t *ids;
    size_t n_ids;
    assert_int_equal(exaone_tokenizer_encode(tok, text, n, EXAONE_PARSE_SPECIAL, &ids, &n_ids, NULL), EXAONE_OK);
    check_ids(name, ids, n_ids, want);
    const exaone_json *decoded = field_or(c, "decoded", exaone_json_get(c, "text"));
    const exaone_json *skipped = field_or(c, "decoded_skip", decoded);
    check_token_bytes(tok, name, ids, exaone_json_get(c, "bytes"));
    check_decoded(tok, name, ids, n_ids, 0, decoded);
    check_decoded(tok, name, ids, n_ids, EXAONE_SKIP_SPECIAL, skipped);
    check_stream(tok, name, ids, n_ids, 0, exaone_json_get(c, "stream"), exaone_json_get(c, "stream_tail"), decoded);
    check_stream(tok, name, ids, n_ids, EXAONE_SKIP_SPECIAL, NULL, NULL, skipped);
    free(ids);
    free(text);
    exaone_encoding_release(&e);
}

static void golden_cases(void **state) {
    (void)state;
    exaone_tokenizer *tok = open_tokenizer(FOLDER "tokenizer.json");
    fixture_json file;
    fixture_json_open(&file, FOLDER "cases.json");
    int count = 0;
    for (const exaone_json *c = exaone_json_get(file.root, "cases")->first; c; c = c->next, count++) {
        check_case(tok, c);
    }
    assert_int_equal(count, fixture_int(file.root, "count"));
    assert_true(count >= 546);
    fixture_json_close(&file);
    exaone_tokenizer_free(tok);
}

static void golden_ids(void **state) {
    (void)state;
    exaone_tokenizer *tok = open_tokenizer(FOLDER "tokenizer.json");
    fixture_json file;
    fixture_json_open(&file, FOLDER "id_cases.json");
    int count = 0;
    for (const exaone_json *c = exaone_json_get(file.root, "cases")->first; c; c = c->next, count++) {
        char name[256];
        fixture_string(c, "name", name, sizeof name);
        int32_t ids[64];
        size_t n = 0;
        for (const exaone_json *j = exaone_json_get(c, "ids")->first; j; j = j->next) {
            assert_true(n < 64);
            ids[n++] = (int32_t)number(j);
        }
        const exaone_json *decoded = exaone_json_get(c, "decoded"), *skipped = field_or(c, "decoded_skip", decoded);
        check_token_bytes(tok, name, ids, exaone_json_get(c, "bytes"));
        check_decoded(tok, name, ids, n, 0, decoded);
        check_decoded(tok, name, ids, n, EXAONE_SKIP_SPECIAL, skipped);
        check_stream(tok, name, ids, n, 0, exaone_json_get(c, "stream"), exaone_json_get(c, "stream_tail"), decoded);
        check_stream(tok, name, ids, n, EXAONE_SKIP_SPECIAL, NULL, NULL, skipped);
    }
    assert_int_equal(count, fixture_int(file.root, "count"));
    assert_true(count >= 15);
    fixture_json_close(&file);
    exaone_tokenizer_free(tok);
}

/* prompt_ids has a run of the placeholder's id where prompt_text has one placeholder. */
static size_t collapse(const exaone_json *list, int32_t image, int32_t video, int32_t *out) {
    size_t n = 0;
    for (const exaone_json *j = list->first; j; j = j->next) {
        int32_t id = (int32_t)number(j);
        if (n == 0 || out[n - 1] != id || (id != image && id != video)) {
            out[n++] = id;
        }
    }
    return n;
}

static void tiny_prompts(void **state) {
    (void)state;
    exaone_tokenizer *tok = open_tokenizer("models/tiny/tokenizer.json");
    int32_t image = exaone_tokenizer_id(tok, "<|image_pad|>", 13), video = exaone_tokenizer_id(tok, "<|video_pad|>", 13);
    assert_true(image >= 0 && video >= 0);
    size_t size;
    char *lines = fixture_read("tests/eval/tiny/cases.jsonl", &size), *line = lines;
    int count = 0;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        exaone_arena arena;
        exaone_arena_init(&arena, 1 << 24);
        exaone_json *c;
        assert_int_equal(exaone_json_parse(line, (size_t)(end - line), &arena, &c, NULL), EXAONE_OK);
        const exaone_json *text = exaone_json_get(c, "prompt_text"), *want = exaone_json_get(c, "prompt_ids");
        int32_t *expected = calloc(want->len + 1, sizeof *expected), *ids;
        assert_non_null(expected);
        size_t n_expected = collapse(want, image, video, expected), n_ids;
        assert_int_equal(exaone_tokenizer_encode(tok, text->text, text->len, EXAONE_PARSE_SPECIAL, &ids, &n_ids, NULL),
                         EXAONE_OK);
        assert_int_equal(n_ids, n_expected);
        assert_memory_equal(ids, expected, n_ids * sizeof *ids);
        const exaone_json *reply = exaone_json_get(c, "output_ids");
        int32_t *out = calloc(reply->len + 1, sizeof *out);
        assert_non_null(out);
        check_decoded(tok, "output", out, collapse(reply, -1, -1, out), 0, exaone_json_get(c, "output_text"));
        free(out);
        free(expected);
        free(ids);
        exaone_arena_release(&arena);
        count++;
    }
    assert_int_equal(count, 200);
    free(lines);
    exaone_tokenizer_free(tok);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases),
        cmocka_unit_test(golden_ids),
        cmocka_unit_test(tiny_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
