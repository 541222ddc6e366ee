/* Hostile and foreign tokenizer files: every one is refused with a sentence that names the fault, nothing crashes or hangs.
 */
#include "tokenizer_support.h"

#include <time.h>

#include "../support/fixture.h"
#include "text/tokenizer.h"

static exaone_status parse(const char *json, size_t n, exaone_error *err) {
    exaone_tokenizer *tok = (exaone_tokenizer *)1;
    exaone_status s = exaone_tokenizer_parse(json, n, &tok, err);
    if (s != EXAONE_OK) {
        assert_null(tok);
    }
    exaone_tokenizer_free(tok);
    return s;
}

static void check_refused(const char *json, exaone_status want, const char *part) {
    exaone_error err = {0};
    exaone_status s = parse(json, strlen(json), &err);
    if (s != want || !strstr(err.message, part)) {
        fail_msg("status %d (%s), expected %d (…%s…)", (int)s, err.message, (int)want, part);
    }
}

/* The text with the first `from` (must occur) replaced. */
static char *replaced(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) {
        fail_msg("%s does not occur", from);
        return NULL;
    }
    exaone_buf b;
    exaone_buf_init(&b, 1 << 26);
    exaone_buf_append(&b, text, (size_t)(at - text));
    exaone_buf_puts(&b, to);
    exaone_buf_puts(&b, at + strlen(from));
    return exaone_buf_take(&b, NULL);
}

static void foreign_structure(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *part;
        exaone_status status;
    } cases[] = {
        {"\"type\": \"NFC\"", "\"type\": \"NFKC\"", "normalizer \"NFKC\"", EXAONE_ERR_UNSUPPORTED},
        {"{\"type\": \"NFC\"}", "7", "normalizer", EXAONE_ERR_UNSUPPORTED},
        {"\\\\p{N}|", "\\\\p{N}{1,3}|", "pre_tokenizer pattern", EXAONE_ERR_UNSUPPORTED},
        {"\"Isolated\"", "\"Removed\"", "behavior \"Removed\"", EXAONE_ERR_UNSUPPORTED},
        {"\"invert\": false", "\"invert\": true", "invert", EXAONE_ERR_UNSUPPORTED},
        {"\"use_regex\": false", "\"use_regex\": true", "use_regex", EXAONE_ERR_UNSUPPORTED},
        {", \"use_regex\": false", "", "use_regex", EXAONE_ERR_UNSUPPORTED},
        {"\"add_prefix_space\": false", "\"add_prefix_space\": true", "add_prefix_space", EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"Sequence\"", "\"type\": \"Metaspace\"", "pre_tokenizer \"Metaspace\"", EXAONE_ERR_UNSUPPORTED},
        {"{\"type\": \"Split\"", "{\"type\": \"Digits\"", "pre_tokenizer \"Digits\"", EXAONE_ERR_UNSUPPORTED},
        {"[{\"type\": \"Split\"", "[{}, {\"type\": \"Split\"", "3 steps", EXAONE_ERR_UNSUPPORTED},
        {"\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": {\"type\": \"WordPiece\"}", "decoder \"WordPiece\"",
         EXAONE_ERR_UNSUPPORTED},
        {"\"decoder\": {\"type\": \"ByteLevel\"}", "\"decoder\": null", "decoder", EXAONE_ERR_UNSUPPORTED},
        {"\"decoder\"", "\"post_processor\": {\"type\": \"TemplateProcessing\"}, \"decoder\"", "post_processor",
         EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"BPE\"", "\"type\": \"Unigram\"", "model \"Unigram\"", EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"byte_fallback\": true", "byte_fallback", EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"ignore_merges\": true", "ignore_merges", EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"dropout\": 0.1", "dropout", EXAONE_ERR_UNSUPPORTED},
        {"\"type\": \"BPE\"", "\"type\": \"BPE\", \"end_of_word_suffix\": \"</w>\"", "end_of_word_suffix",
         EXAONE_ERR_UNSUPPORTED},
        {"\"model\"", "\"modell\"", "model is missing", EXAONE_ERR_FORMAT},
        {"\"vocab\"", "\"vokab\"", "model.vocab", EXAONE_ERR_FORMAT},
        {"\"merges\": [", "\"merges\": 3, \"x\": [", "model.merges", EXAONE_ERR_FORMAT},
        {"\"added_tokens\": [", "\"added_tokens\": \"no\", \"x\": [", "added_tokens", EXAONE_ERR_FORMAT},
    };
    char *good = make_json(", \"ab\": 256", "[[\"a\", \"b\"]]", "[]");
    assert_int_equal(parse(good, strlen(good), NULL), EXAONE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *bad = replaced(good, cases[i].from, cases[i].to);
        check_refused(bad, cases[i].status, cases[i].part);
        free(bad);
    }
    free(good);
}

static void accepted_variants(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"{\"type\": \"NFC\"}", "null"},
        {"{\"type\": \"NFC\"}", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}]}"},
        {"\"type\": \"BPE\"",
         "\"dropout\": 0.0, \"unk_token\": null, \"continuing_subword_prefix\": \"\", \"fuse_unk\": false"},
        {"\"decoder\"", "\"post_processor\": {\"type\": \"ByteLevel\", \"trim_offsets\": false}, \"decoder\""},
        {"\"decoder\"", "\"truncation\": {\"max_length\": 1}, \"padding\": {}, \"decoder\""},
        {"[[\"a\", \"b\"]]", "[\"a b\"]"},
        {"[[\"a\", \"b\"]]", "[[\"a\", \"b\"], [\"a\", \"b\"]]"},
        {"\"added_tokens\": []", "\"added_tokens\": null"},
        {"\"added_tokens\": []",
         "\"added_tokens\": [{\"id\": 256, \"content\": \"ab\"}, {\"id\": 256, \"content\": \"ab\"}]"},
    };
    char *good = make_json(", \"ab\": 256", "[[\"a\", \"b\"]]", "[]");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *other = replaced(good, cases[i].from, cases[i].to);
        exaone_error err;
        if (parse(other, strlen(other), &err) != EXAONE_OK) {
            fail_msg("%s: %s", cases[i].to, err.message);
        }
        free(other);
    }
    free(good);
}

/* Without a normalizer nothing is composed. */
static void no_normalizer(void **state) {
    (void)state;
    char *nfc = make_json("", "[]", "[]"), *none = replaced(nfc, "{\"type\": \"NFC\"}", "null");
    const char *const files[] = {nfc, none};
    const size_t want[] = {2, 3};
    for (int i = 0; i < 2; i++) {
        exaone_tokenizer *tok;
        assert_int_equal(exaone_tokenizer_parse(files[i], strlen(files[i]), &tok, NULL), EXAONE_OK);
        id_list l = encode(tok, "e\xcc\x81", 3, 0);
        assert_int_equal(l.n, want[i]);
        free(l.ids);
        exaone_tokenizer_free(tok);
    }
    free(none);
    free(nfc);
}

static void bad_vocabularies(void **state) {
    (void)state;
    static const struct {
        const char *vocab, *merges, *added, *part;
        exaone_status status;
    } cases[] = {
        {", \"x y\": -1", "[]", "[]", "whole number", EXAONE_ERR_FORMAT},
        {", \"x y\": 256.5", "[]", "[]", "whole number", EXAONE_ERR_FORMAT},
        {", \"x y\": \"256\"", "[]", "[]", "whole number", EXAONE_ERR_FORMAT},
        {", \"x y\": 1e300", "[]", "[]", "whole number", EXAONE_ERR_FORMAT},
        {", \"x y\": 18446744073709551616", "[]", "[]", "whole number", EXAONE_ERR_FORMAT},
        {", \"x y\": 4294967296", "[]", "[]", "4294967296", EXAONE_ERR_FORMAT},
        {", \"x y\": 257", "[]", "[]", "257 entries", EXAONE_ERR_FORMAT},
        {", \"x y\": 257", "[]", "[{\"id\": 257, \"content\": \"x y\"}]", "id 256", EXAONE_ERR_FORMAT},
        {", \"x y\": 65", "[]", "[]", "id 65", EXAONE_ERR_FORMAT},
        {", \"x\": 256", "[]", "[]", "both \"x\"", EXAONE_ERR_FORMAT},
        {", \"\": 256", "[]", "[]", "256 is empty", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 256, \"content\": \"\"}]", "no content", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 256}]", "no content", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"content\": \"<q>\"}]", "whole number", EXAONE_ERR_FORMAT},
        {"", "[]", "[7]", "no content", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 256, \"content\": \"A\"}]", "both \"A\"", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 233, \"content\": \"\u00e9\"}]", "byte 0xe9", EXAONE_ERR_UNSUPPORTED},
        {"", "[]", "[{\"id\": 65, \"content\": \"<q>\"}]", "id 65", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 256, \"content\": \"<q>\", \"special\": 1}]", "special", EXAONE_ERR_FORMAT},
        {"", "[]", "[{\"id\": 256, \"content\": \"<q>\", \"normalized\": true}]", "normalized", EXAONE_ERR_UNSUPPORTED},
        {"", "[]", "[{\"id\": 256, \"content\": \"<q>\", \"lstrip\": true}]", "lstrip", EXAONE_ERR_UNSUPPORTED},
        {"", "[]", "[{\"id\": 256, \"content\": \"<q>\", \"rstrip\": true}]", "rstrip", EXAONE_ERR_UNSUPPORTED},
        {"", "[]", "[{\"id\": 256, \"content\": \"<q>\", \"single_word\": true}]", "single_word", EXAONE_ERR_UNSUPPORTED},
        {", \"ab\": 256", "[[\"zz\", \"b\"]]", "[]", "merge 0: its left side \"zz\"", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"a\", \"b\"], [\"a\", \"zz\"]]", "[]", "merge 1: its right side \"zz\"", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"b\", \"a\"]]", "[]", "merge 0: its result \"ba\"", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"\", \"ab\"]]", "[]", "left side \"\"", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"a\"]]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"a\", \"b\", \"c\"]]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[[\"a\", 5]]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[\"ab\"]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[\"a  b\"]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[\" b\"]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
        {", \"ab\": 256", "[null]", "[]", "merge 0 is not a pair", EXAONE_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *json = make_json(cases[i].vocab, cases[i].merges, cases[i].added);
        check_refused(json, cases[i].status, cases[i].part);
        free(json);
    }
    /* one of the 256 bytes is missing: its place is taken by something else */
    char *good = make_json("", "[]", "[]"), *bad = replaced(good, "\"A\": 65", "\"AA\": 65");
    check_refused(bad, EXAONE_ERR_FORMAT, "byte 0x41");
    free(bad);
    free(good);
}

static void limits(void **state) {
    (void)state;
    exaone_buf b;
    exaone_buf_init(&b, 1 << 20);
    exaone_buf_puts(&b, "[{\"id\": 256, \"content\": \"");
    for (int i = 0; i <= EXAONE_TOKENIZER_MAX_ADDED_BYTES; i++) {
        exaone_buf_puts(&b, "x");
    }
    exaone_buf_puts(&b, "\"}]");
    char *json = make_json("", "[]", b.data);
    check_refused(json, EXAONE_ERR_LIMIT, "257 bytes");
    free(json);
    exaone_buf_release(&b);
    exaone_error err;
    char byte = '{'; /* refused before anything is read */
    assert_int_equal(parse(&byte, EXAONE_TOKENIZER_MAX_FILE + 1, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "67108864"));
}

static void no_tokenizer_at_all(void **state) {
    (void)state;
    check_refused("", EXAONE_ERR_FORMAT, "tokenizer.json");
    check_refused("[]", EXAONE_ERR_FORMAT, "not a JSON object");
    check_refused("{}", EXAONE_ERR_FORMAT, "model is missing");
    check_refused("null", EXAONE_ERR_FORMAT, "not a JSON object");
    check_refused("{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", EXAONE_ERR_UNSUPPORTED,
                  "pre_tokenizer");
    char *good = make_json("", "[]", "[]"), *vocab = strstr(good, "\"vocab\": {"), *end = strstr(vocab, "}, \"merges\"");
    memmove(vocab + strlen("\"vocab\": {"), end, strlen(end) + 1);
    check_refused(good, EXAONE_ERR_FORMAT, "0 tokens");
    free(good);
    enum { DEEP = 100000 };
    char *deep = malloc(DEEP + 1);
    assert_non_null(deep);
    memset(deep, '[', DEEP);
    deep[DEEP] = 0;
    check_refused(deep, EXAONE_ERR_LIMIT, "nested deeper than 128");
    free(deep);
    exaone_tokenizer *tok;
    exaone_error err;
    assert_int_equal(exaone_tokenizer_open("tests/golden/no such file", &tok, &err), EXAONE_ERR_IO);
    assert_null(tok);
}

/* A real file cut anywhere is no tokenizer. */
static void cut_files(void **state) {
    (void)state;
    size_t n;
    char *text = fixture_read("models/tiny/tokenizer.json", &n);
    while (n > 0 && text[n - 1] != '}') {
        n--;
    }
    assert_int_equal(parse(text, n, NULL), EXAONE_OK);
    for (size_t cut = 0; cut < n; cut += cut < 1500 || cut + 300 > n ? 1 : 331) {
        char *part = malloc(cut + 1); /* of its own size: a read too far shows under ASan */
        assert_non_null(part);
        memcpy(part, text, cut);
        assert_int_equal(parse(part, cut, NULL), EXAONE_ERR_FORMAT);
        free(part);
    }
    free(text);
}

/* Spells number k of all words of n letters a to z. */
static const char *word(size_t k, int n, char out[8]) {
    out[n] = 0;
    while (n-- > 0) {
        out[n] = (char)('a' + k % 26);
        k /= 26;
    }
    return out;
}

/* A file of the released size, 153,600 tokens of which 362 added, and 152,982 merges, with the released indentation. It must
 * open; how long that took is printed (a bound would depend on the machine). */
static void released_size(void **state) {
    (void)state;
    enum { N_ADDED = 362, N_MERGES = 152982 };
    exaone_buf vocab, merges, added;
    exaone_buf_init(&vocab, 1 << 26);
    exaone_buf_init(&merges, 1 << 26);
    exaone_buf_init(&added, 1 << 26);
    exaone_buf_puts(&merges, "[");
    exaone_buf_puts(&added, "[");
    size_t done = 0;
    for (int n = 2, k = 0; done < N_MERGES; n++, k = 0) { /* all words of 2 letters, of 3, then the first of 4 */
        for (int all = n == 2 ? 676 : n == 3 ? 17576 : 456976; k < all && done < N_MERGES; k++, done++) {
            char whole[8], left[8];
            word((size_t)k, n, whole);
            word((size_t)k / 26, n - 1, left);
            exaone_buf_printf(&vocab, ",\n      \"%s\": %zu", whole, 256 + done);
            exaone_buf_printf(&merges, "%s\n      [\n        \"%s\",\n        \"%c\"\n      ]", done ? "," : "", left,
                              whole[n - 1]);
        }
    }
    exaone_buf_puts(&merges, "]");
    for (int i = 0; i < N_ADDED; i++) {
        exaone_buf_printf(&added, "%s{\"id\": %d, \"content\": \"<|%d|>\"}", i ? ", " : "", 256 + N_MERGES + i, i);
    }
    exaone_buf_puts(&added, "]");
    char *json = make_json(vocab.data, merges.data, added.data);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    exaone_tokenizer *tok;
    assert_int_equal(exaone_tokenizer_parse(json, strlen(json), &tok, NULL), EXAONE_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    print_message("opened in %.0f ms\n",
                  (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
    assert_int_equal(exaone_tokenizer_vocab_size(tok), 153600);
    id_list l = encode(tok, "zzz<|361|>", 10, EXAONE_PARSE_SPECIAL);
    assert_true(l.n == 2 && l.ids[0] == 256 + 676 + 17575 && l.ids[1] == 153599);
    free(l.ids);
    exaone_tokenizer_free(tok);
    free(json);
    exaone_buf_release(&vocab);
    exaone_buf_release(&merges);
    exaone_buf_release(&added);
}

/* ---- GGUF -------------------------------------------------------------------------------------------------------- */

enum { N_TOKENS = 258 };

typedef struct {
    char spelled[256][5];
    exaone_string_view tokens[N_TOKENS];
    int32_t types[N_TOKENS];
    exaone_string_view merges[1];
    exaone_tokenizer_arrays a;
} gguf;

static void make_gguf(gguf *g) {
    for (int k = 0; k < 256; k++) {
        spell_byte(k, g->spelled[k]);
        g->tokens[k] = (exaone_string_view){g->spelled[k], strlen(g->spelled[k])};
        g->types[k] = 1;
    }
    g->tokens[256] = (exaone_string_view){"ab", 2};
    g->types[256] = 1;
    g->tokens[257] = (exaone_string_view){"<x>", 3};
    g->types[257] = 3;
    g->merges[0] = (exaone_string_view){"a b", 3};
    g->a = (exaone_tokenizer_arrays){.model = {"gpt2", 4},
                                     .pre = {"exaone-moe", 10},
                                     .n_tokens = N_TOKENS,
                                     .tokens = g->tokens,
                                     .types = g->types,
                                     .n_merges = 1,
                                     .merges = g->merges,
                                     .bos = 1,
                                     .eos = 257,
                                     .unk = -1,
                                     .pad = 0};
}

static void check_gguf(const gguf *g, exaone_status want, const char *part) {
    exaone_tokenizer *tok;
    exaone_error err = {0};
    exaone_status s = exaone_tokenizer_from_arrays(&g->a, &tok, &err);
    if (s != want || !strstr(err.message, part)) {
        fail_msg("status %d (%s), expected %d (…%s…)", (int)s, err.message, (int)want, part);
    }
    exaone_tokenizer_free(tok);
}

static void gguf_arrays(void **state) {
    (void)state;
    gguf g;
    make_gguf(&g);
    check_gguf(&g, EXAONE_OK, "");
    g.a.types = NULL;
    check_gguf(&g, EXAONE_OK, "");
    g.a.model = (exaone_string_view){"llama", 5};
    check_gguf(&g, EXAONE_ERR_UNSUPPORTED, "tokenizer.ggml.model is \"llama\"");
    make_gguf(&g);
    g.a.pre = (exaone_string_view){NULL, 0};
    check_gguf(&g, EXAONE_ERR_UNSUPPORTED, "tokenizer.ggml.pre is \"\"");
    make_gguf(&g);
    g.a.eos = N_TOKENS;
    check_gguf(&g, EXAONE_ERR_FORMAT, "eos_token_id is 258");
    make_gguf(&g);
    g.a.pad = -2;
    check_gguf(&g, EXAONE_ERR_FORMAT, "padding_token_id is -2");
    make_gguf(&g);
    g.a.n_tokens = 0;
    g.a.bos = g.a.eos = g.a.pad = -1;
    check_gguf(&g, EXAONE_ERR_FORMAT, "0 tokens");
    make_gguf(&g);
    g.types[7] = 6;
    check_gguf(&g, EXAONE_ERR_UNSUPPORTED, "token 7 has type 6");
    make_gguf(&g);
    g.types[7] = INT32_MIN;
    check_gguf(&g, EXAONE_ERR_UNSUPPORTED, "token 7 has type");
    make_gguf(&g);
    g.tokens[256] = (exaone_string_view){"a\xff", 2};
    check_gguf(&g, EXAONE_ERR_FORMAT, "256 is not valid UTF-8");
    make_gguf(&g);
    g.tokens[256] = (exaone_string_view){"<x>", 3};
    check_gguf(&g, EXAONE_ERR_FORMAT, "256 and 257");
    make_gguf(&g);
    g.tokens[256] = (exaone_string_view){NULL, 0};
    check_gguf(&g, EXAONE_ERR_FORMAT, "256 is empty");
    make_gguf(&g);
    g.tokens[65] = (exaone_string_view){"<0x-1>", 6};
    check_gguf(&g, EXAONE_ERR_FORMAT, "byte 0x41");
    static const char *const merges[] = {"ab", "a  b", " b", "a ", "", "a b c"};
    for (size_t i = 0; i < sizeof merges / sizeof merges[0]; i++) {
        make_gguf(&g);
        g.merges[0] = (exaone_string_view){merges[i], strlen(merges[i])};
        check_gguf(&g, EXAONE_ERR_FORMAT, "merge 0");
    }
    make_gguf(&g);
    g.merges[0] = (exaone_string_view){"a z", 3};
    check_gguf(&g, EXAONE_ERR_FORMAT, "\"az\" is not in the vocabulary");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_structure),
        cmocka_unit_test(accepted_variants),
        cmocka_unit_test(no_normalizer),
        cmocka_unit_test(bad_vocabularies),
        cmocka_unit_test(limits),
        cmocka_unit_test(no_tokenizer_at_all),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(released_size),
        cmocka_unit_test(gguf_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
