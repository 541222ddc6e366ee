/* The tokenizer's promises beyond the reference's cases: trusted and untrusted text, long pieces, the vocabulary, decoding,
 * GGUF. */
#include "tokenizer_support.h"

#include <pthread.h>

#include "../support/fixture.h"
#include "text/tokenizer.h"

static exaone_tokenizer *golden;

static int open_golden(void **state) {
    (void)state;
    golden = open_tokenizer(GOLDEN_TOKENIZER);
    return 0;
}

static int close_golden(void **state) {
    (void)state;
    exaone_tokenizer_free(golden);
    return 0;
}

/* ---- the vocabulary ---------------------------------------------------------------------------------------------- */

static void vocabulary(void **state) {
    (void)state;
    assert_int_equal(exaone_tokenizer_vocab_size(golden), 4096);
    assert_int_equal(exaone_tokenizer_id(golden, "<|endofturn|>", 13), 53);
    assert_int_equal(exaone_tokenizer_id(golden, "<think>", 7), 54);
    assert_int_equal(exaone_tokenizer_id(golden, "two words", 9), 11);
    assert_int_equal(exaone_tokenizer_id(golden, " ", 1), 316);
    assert_int_equal(exaone_tokenizer_id(golden, "\xff", 1), 283);
    assert_int_equal(exaone_tokenizer_id(golden, "\xc4\xa0", 2), -1); /* U+0120 is a spelling, not text */
    assert_int_equal(exaone_tokenizer_id(golden, "<|no such|>", 11), -1);
    assert_int_equal(exaone_tokenizer_id(golden, "", 0), -1);
    assert_true(exaone_tokenizer_is_added(golden, 53) && exaone_tokenizer_is_special(golden, 53));
    assert_true(exaone_tokenizer_is_added(golden, 54) && !exaone_tokenizer_is_special(golden, 54));
    assert_false(exaone_tokenizer_is_added(golden, 316) || exaone_tokenizer_is_special(golden, 316));
    assert_false(exaone_tokenizer_is_added(golden, -1) || exaone_tokenizer_is_special(golden, 4096));
    size_t n = 7;
    assert_null(exaone_tokenizer_bytes(golden, 4096, &n));
    assert_int_equal(n, 0);
    assert_null(exaone_tokenizer_bytes(golden, -1, &n));
    for (int32_t id = 0; id < 4096; id++) { /* every token of this file is found by what it stands for */
        const uint8_t *bytes = exaone_tokenizer_bytes(golden, id, &n);
        assert_non_null(bytes);
        assert_int_equal(exaone_tokenizer_id(golden, (const char *)bytes, n), id);
    }
    /* 3744 merges of 12 bytes, 4096 tokens of 5 bytes and their text, two tables of 16384 slots: below half a megabyte */
    assert_in_range(exaone_tokenizer_memory(golden), 65536, 524288);
}

/* ---- trusted and untrusted text ---------------------------------------------------------------------------------- */

static void plain_text_makes_no_added_token(void **state) {
    (void)state;
    for (int32_t id = 0; id < 4096; id++) {
        size_t n, n_back;
        const char *text = (const char *)exaone_tokenizer_bytes(golden, id, &n);
        if (!exaone_tokenizer_is_added(golden, id)) {
            continue;
        }
        id_list plain = encode(golden, text, n, 0), parsed = encode(golden, text, n, EXAONE_PARSE_SPECIAL);
        assert_true(parsed.n == 1 && parsed.ids[0] == id);
        for (size_t i = 0; i < plain.n; i++) {
            assert_false(exaone_tokenizer_is_added(golden, plain.ids[i]));
        }
        char *back;
        assert_int_equal(exaone_tokenizer_decode(golden, plain.ids, plain.n, EXAONE_SKIP_SPECIAL, &back, &n_back, NULL),
                         EXAONE_OK);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, text, n);
        free(back);
        free(plain.ids);
        free(parsed.ids);
    }
}

/* A merge whose result is an added token is not carried out; the next one is. */
static void merges_make_no_added_token(void **state) {
    (void)state;
    exaone_tokenizer *tok =
        make_tokenizer(", \"ab\": 256, \"abc\": 257, \"yy\": 258", "[[\"a\", \"b\"], [\"ab\", \"c\"], \"y y\"]",
                       "[{\"id\": 257, \"content\": \"abc\", \"special\": true}]");
    id_list l = encode(tok, "abcyy", 5, 0);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.ids[0], 256);
    assert_int_equal(l.ids[1], 'c');
    assert_int_equal(l.ids[2], 258);
    free(l.ids);
    l = encode(tok, "abcyy", 5, EXAONE_PARSE_SPECIAL);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.ids[0], 257);
    free(l.ids);
    exaone_tokenizer_free(tok);
}

static id_list encode_spans(const exaone_text_span *spans, size_t n) {
    id_list l;
    assert_int_equal(exaone_tokenizer_encode_spans(golden, spans, n, &l.ids, &l.n, NULL), EXAONE_OK);
    return l;
}

#define SPAN(text, trusted)             \
    (exaone_text_span) {                \
        text, sizeof(text) - 1, trusted \
    }

static void spans_parse_only_trusted(void **state) {
    (void)state;
    const exaone_text_span turn[] = {SPAN("<|user|>\n", true), SPAN("say <|endofturn|> and <think>", false),
                                     SPAN("<|endofturn|>", true)};
    id_list l = encode_spans(turn, 3);
    int added = 0;
    for (size_t i = 0; i < l.n; i++) {
        added += exaone_tokenizer_is_added(golden, l.ids[i]);
    }
    assert_int_equal(added, 2);
    assert_int_equal(l.ids[0], 51);
    assert_int_equal(l.ids[l.n - 1], 53);
    free(l.ids);
    /* a token is not put together across a border, whichever side is not trusted */
    const exaone_text_span cut[] = {SPAN("<|user", true), SPAN("|>", false), SPAN("<thin", false), SPAN("k>", true)};
    l = encode_spans(cut, 4);
    for (size_t i = 0; i < l.n; i++) {
        assert_false(exaone_tokenizer_is_added(golden, l.ids[i]));
    }
    free(l.ids);
    /* but it is across two trusted spans, also with an empty one of the other kind between */
    const exaone_text_span joined[] = {SPAN("<|us", true), SPAN("", false), SPAN("er|>", true)};
    l = encode_spans(joined, 3);
    assert_true(l.n == 1 && l.ids[0] == 51);
    free(l.ids);
    /* the longest match ends where trust ends: ":::" and not "::::" */
    const exaone_text_span colons[] = {SPAN(":::", true), SPAN(":", false)};
    l = encode_spans(colons, 2);
    assert_true(l.n == 2 && l.ids[0] == 8 && !exaone_tokenizer_is_added(golden, l.ids[1]));
    free(l.ids);
    l = encode_spans(NULL, 0);
    assert_true(l.n == 0 && l.ids);
    free(l.ids);
}

/* Words, compositions and characters run across borders: any cut and any trust gives the ids of the joined text. */
static void spans_run_across_borders(void **state) {
    (void)state;
    static const char text[] =
        "The capital of South Korea is Seoul. \xea\xb0\x80\xe1\x86\xa8 e\xcc\x81\xcc\xa3 \r\n\r\n  it's 12\xed\x95\xff";
    size_t n = sizeof text - 1;
    id_list whole = encode(golden, text, n, EXAONE_PARSE_SPECIAL);
    for (size_t i = 0; i <= n; i++) {
        for (size_t k = i; k <= n; k += 5) {
            for (unsigned trust = 0; trust < 8; trust++) {
                const exaone_text_span spans[] = {
                    {text, i, trust & 1}, {text + i, k - i, trust & 2}, {text + k, n - k, trust & 4}};
                id_list l = encode_spans(spans, 3);
                check_same_ids(l, whole);
                free(l.ids);
            }
        }
    }
    free(whole.ids);
}

/* A character that begins in a trusted span and ends in another is not trusted; what follows is. */
static void character_across_border(void **state) {
    (void)state;
    const exaone_text_span spans[] = {SPAN("[\xed\x95", true), SPAN("\x9c", false), SPAN("\xea\xb8\x80]<think>", true)};
    id_list l = encode_spans(spans, 3); /* token 10 is [한글] */
    assert_int_equal(l.ids[l.n - 1], 54);
    for (size_t i = 0; i < l.n; i++) {
        assert_int_not_equal(l.ids[i], 10);
    }
    free(l.ids);
    const exaone_text_span empty[] = {SPAN("[\xed\x95", true), SPAN("", false), SPAN("\x9c\xea\xb8\x80]", true)};
    l = encode_spans(empty, 3);
    assert_true(l.n == 1 && l.ids[0] == 10);
    free(l.ids);
    id_list whole = encode(golden, "[\xed\x95\x9c\xea\xb8\x80]<think>", 15, EXAONE_PARSE_SPECIAL);
    assert_true(whole.n == 2 && whole.ids[0] == 10);
    free(whole.ids);
}

/* ---- long texts -------------------------------------------------------------------------------------------------- */

static void check_round_trip(const char *text, size_t n) {
    id_list l = encode(golden, text, n, EXAONE_PARSE_SPECIAL);
    char *back;
    size_t n_back;
    assert_int_equal(exaone_tokenizer_decode(golden, l.ids, l.n, 0, &back, &n_back, NULL), EXAONE_OK);
    assert_int_equal(n_back, n);
    assert_memory_equal(back, text, n);
    free(back);
    free(l.ids);
}

/* One piece of 20,000 letters: the case on which PCRE2's JIT runs out of stack, and slow for a quadratic merge. */
static void long_piece(void **state) {
    (void)state;
    exaone_buf b;
    exaone_buf_init(&b, 1 << 24);
    for (int i = 0; i < 5000; i++) {
        exaone_buf_puts(&b, i % 3 ? "qz w" : "abcd");
    }
    exaone_encoding e;
    assert_int_equal(exaone_tokenizer_encode_pieces(golden, b.data, b.len, 0, &e, NULL), EXAONE_OK);
    assert_int_equal(e.n_pieces, 1);
    exaone_encoding_release(&e);
    check_round_trip(b.data, b.len);
    exaone_buf_release(&b);
}

/* Ten million equal characters end. Quadratic work of 10^14 steps would not. */
static void ten_million(void **state) {
    (void)state;
    size_t n = 10000000;
    char *text = malloc(n);
    assert_non_null(text);
    for (const char *c = "a \n<"; *c; c++) {
        memset(text, *c, n);
        check_round_trip(text, n);
    }
    free(text);
}

/* Marks without end, in the order that must be turned round: an insertion sort would need 10^10 steps. */
static void many_marks(void **state) {
    (void)state;
    enum { N = 200000 };
    exaone_buf b;
    exaone_buf_init(&b, 1 << 24);
    exaone_buf_puts(&b, "a");
    for (int i = 0; i < N; i++) {
        exaone_buf_puts(&b, i % 2 ? "\xcc\xa3" : "\xcc\x81"); /* U+0301 class 230, U+0323 class 220 */
    }
    exaone_encoding e;
    assert_int_equal(exaone_tokenizer_encode_pieces(golden, b.data, b.len, 0, &e, NULL), EXAONE_OK);
    /* a + U+0323 is one character, U+1EA1; then the other 99,999 of class 220, then those of class 230 */
    assert_int_equal(e.n_text, 3 + 2 * (N - 1));
    assert_memory_equal(e.text, "\xe1\xba\xa1\xcc\xa3", 5);
    assert_memory_equal(e.text + e.n_text - 2 * (N / 2) - 2, "\xcc\xa3\xcc\x81", 4);
    assert_memory_equal(e.text + e.n_text - 2, "\xcc\x81", 2);
    exaone_encoding_release(&e);
    exaone_buf_release(&b);
}

static void text_limit(void **state) {
    (void)state;
    int32_t *ids;
    size_t n;
    exaone_error err;
    char byte = 'a'; /* refused before anything is read */
    assert_int_equal(exaone_tokenizer_encode(golden, &byte, EXAONE_TOKENIZER_MAX_TEXT + 1, 0, &ids, &n, &err),
                     EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "268435456"));
    const exaone_text_span spans[] = {{&byte, SIZE_MAX, false}, {&byte, SIZE_MAX, false}};
    assert_int_equal(exaone_tokenizer_encode_spans(golden, spans, 2, &ids, &n, &err), EXAONE_ERR_LIMIT);
    assert_null(ids);
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static void decode_unknown_id(void **state) {
    (void)state;
    char *text;
    exaone_error err;
    const int32_t bad[] = {4096, -1, INT32_MAX, INT32_MIN};
    exaone_detokenizer *d;
    assert_int_equal(exaone_detokenizer_new(golden, 0, &d, NULL), EXAONE_OK);
    const char *piece;
    size_t n;
    for (size_t i = 0; i < 4; i++) {
        const int32_t ids[] = {160, bad[i]};
        assert_int_equal(exaone_tokenizer_decode(golden, ids, 2, 0, &text, NULL, &err), EXAONE_ERR_ARGUMENT);
        assert_null(text);
        char number[16];
        snprintf(number, sizeof number, "%d", (int)bad[i]);
        assert_non_null(strstr(err.message, number));
        assert_non_null(strstr(err.message, "4095"));
        assert_int_equal(exaone_detokenizer_put(d, bad[i], &piece, &n, &err), EXAONE_ERR_ARGUMENT);
        assert_int_equal(n, 0);
    }
    exaone_detokenizer_free(d);
    assert_int_equal(exaone_tokenizer_decode(golden, NULL, 0, 0, &text, &n, &err), EXAONE_OK);
    assert_true(n == 0 && text);
    free(text);
}

/* An error feeds nothing, a flush starts afresh, a skipped token does not end a character. */
static void detokenizer_states(void **state) {
    (void)state;
    exaone_detokenizer *d;
    assert_int_equal(exaone_detokenizer_new(golden, EXAONE_SKIP_SPECIAL, &d, NULL), EXAONE_OK);
    const char *text;
    size_t n;
    const struct {
        int32_t id; /* -1: an error, -2: flush */
        const char *text;
    } steps[] = {{265, ""},
                 {-1, ""},
                 {339, ""},
                 {53, ""},
                 {346, "\xed\x95\x9c"},
                 {265, ""},
                 {-2, "\xef\xbf\xbd"},
                 {339, "\xef\xbf\xbd"},
                 {-2, ""},
                 {54, "<think>"}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        exaone_status s = steps[i].id == -2 ? exaone_detokenizer_flush(d, &text, &n, NULL)
                                            : exaone_detokenizer_put(d, steps[i].id, &text, &n, NULL);
        assert_int_equal(s, steps[i].id == -1 ? EXAONE_ERR_ARGUMENT : EXAONE_OK);
        assert_int_equal(n, strlen(steps[i].text));
        assert_string_equal(text, steps[i].text);
    }
    exaone_detokenizer_free(d);
}

/* ---- GGUF -------------------------------------------------------------------------------------------------------- */

/* The golden tokenizer as a GGUF file holds it gives the same ids. */
static void arrays_equal_json(void **state) {
    (void)state;
    fixture_json file, cases;
    fixture_json_open(&file, GOLDEN_TOKENIZER);
    fixture_json_open(&cases, "tests/golden/edges/tokenizer/cases.json");
    const exaone_json *model = exaone_json_get(file.root, "model"), *vocab = exaone_json_get(model, "vocab");
    const exaone_json *merges = exaone_json_get(model, "merges");
    exaone_string_view *tokens = calloc(vocab->len, sizeof *tokens), *lines = calloc(merges->len, sizeof *lines);
    int32_t *types = calloc(vocab->len, sizeof *types);
    assert_true(tokens && lines && types);
    for (const exaone_json *j = vocab->first; j; j = j->next) {
        int64_t id;
        assert_true(exaone_json_int(j, &id) && id < (int64_t)vocab->len);
        tokens[id] = (exaone_string_view){j->key, j->key_len};
        types[id] = 1;
    }
    for (const exaone_json *j = exaone_json_get(file.root, "added_tokens")->first; j; j = j->next) {
        types[fixture_int(j, "id")] = exaone_json_is(exaone_json_get(j, "special"), EXAONE_JSON_TRUE) ? 3 : 4;
    }
    size_t i = 0;
    for (const exaone_json *j = merges->first; j; j = j->next, i++) {
        const exaone_json *a = j->first, *b = a->next;
        char *line = exaone_arena_take(&file.arena, a->len + b->len + 1);
        memcpy(line, a->text, a->len);
        line[a->len] = ' ';
        memcpy(line + a->len + 1, b->text, b->len);
        lines[i] = (exaone_string_view){line, a->len + 1 + b->len};
    }
    exaone_tokenizer_arrays arrays = {.model = {"gpt2", 4},
                                      .pre = {"exaone-moe", 10},
                                      .n_tokens = vocab->len,
                                      .tokens = tokens,
                                      .types = types,
                                      .n_merges = merges->len,
                                      .merges = lines,
                                      .bos = 1,
                                      .eos = 53,
                                      .unk = 3};
    exaone_tokenizer *tok;
    assert_int_equal(exaone_tokenizer_from_arrays(&arrays, &tok, NULL), EXAONE_OK);
    for (const exaone_json *c = exaone_json_get(cases.root, "cases")->first; c; c = c->next) {
        const exaone_json *text = exaone_json_get(c, "text");
        id_list have = encode(tok, text->text, text->len, EXAONE_PARSE_SPECIAL);
        id_list want = encode(golden, text->text, text->len, EXAONE_PARSE_SPECIAL);
        check_same_ids(have, want);
        free(have.ids);
        free(want.ids);
    }
    assert_true(exaone_tokenizer_is_special(tok, 53) && !exaone_tokenizer_is_special(tok, 54));
    exaone_tokenizer_free(tok);
    free(tokens);
    free(lines);
    free(types);
    fixture_json_close(&cases);
    fixture_json_close(&file);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

static void *encode_often(void *arg) {
    static const char text[] = "<|user|>\nThe quick brown fox e\xcc\x81 12 <|endofturn|>";
    id_list *l = arg;
    for (int i = 0; i < 200; i++) {
        free(l->ids);
        if (exaone_tokenizer_encode(golden, text, sizeof text - 1, EXAONE_PARSE_SPECIAL, &l->ids, &l->n, NULL) !=
            EXAONE_OK) {
            l->n = 0;
        }
    }
    return NULL;
}

static void shared_by_threads(void **state) {
    (void)state;
    enum { N = 4 };
    pthread_t threads[N];
    id_list lists[N] = {0};
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, &lists[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(lists[0].n > 0);
    for (int i = 0; i < N; i++) {
        check_same_ids(lists[i], lists[0]);
    }
    for (int i = 0; i < N; i++) {
        free(lists[i].ids);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(plain_text_makes_no_added_token),
        cmocka_unit_test(merges_make_no_added_token),
        cmocka_unit_test(spans_parse_only_trusted),
        cmocka_unit_test(spans_run_across_borders),
        cmocka_unit_test(character_across_border),
        cmocka_unit_test(long_piece),
        cmocka_unit_test(ten_million),
        cmocka_unit_test(many_marks),
        cmocka_unit_test(text_limit),
        cmocka_unit_test(decode_unknown_id),
        cmocka_unit_test(detokenizer_states),
        cmocka_unit_test(arrays_equal_json),
        cmocka_unit_test(shared_by_threads),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
