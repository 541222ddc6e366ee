/* Classes and NFC as the reference's tokenizer has them, and where a system's libraries differ: Unicode 16.0 against 14.0,
 * U+180E, NFC with the data of Unicode 9.0, U+11A7. */
#include "tokenizer_support.h"

#include "../support/fixture.h"
#include "text/unicode.h"

static fixture_json tables;

static int open_tables(void **state) {
    (void)state;
    fixture_json_open(&tables, "tests/golden/edges/tokenizer/unicode.json");
    return 0;
}

static int close_tables(void **state) {
    (void)state;
    fixture_json_close(&tables);
    return 0;
}

static uint32_t code_of(const exaone_json *j) {
    int64_t v = 0;
    assert_true(exaone_json_int(j, &v) && v >= 0 && v <= 0x10ffff);
    return (uint32_t)v;
}

/* All 1,114,112 code points have the class that unicode.json gives them. */
static void classes(void **state) {
    (void)state;
    uint8_t *want = calloc(0x110000, 1);
    assert_non_null(want);
    static const char *const names[] = {"", "L", "N", "M", "s"};
    for (uint8_t k = 1; k <= 4; k++) {
        for (const exaone_json *r = exaone_json_get(tables.root, names[k])->first; r; r = r->next) {
            memset(want + code_of(r->first), k, code_of(r->first->next) - code_of(r->first) + 1);
        }
    }
    for (uint32_t c = 0; c < 0x110000; c++) {
        if ((uint8_t)exaone_unicode_class(c) != want[c]) {
            fail_msg("U+%04X has class %d, expected %d", c, (int)exaone_unicode_class(c), (int)want[c]);
        }
    }
    free(want);
    assert_int_equal(exaone_unicode_class(0x110000), EXAONE_CLASS_OTHER);
    assert_int_equal(exaone_unicode_class(UINT32_MAX), EXAONE_CLASS_OTHER);
    assert_int_equal(exaone_unicode_class(0x180e), EXAONE_CLASS_OTHER);   /* MONGOLIAN VOWEL SEPARATOR: no white space */
    assert_int_equal(exaone_unicode_class(0x31350), EXAONE_CLASS_LETTER); /* CJK extension H: new in Unicode 15.0 */
    assert_int_equal(exaone_unicode_class(0x10d50), EXAONE_CLASS_LETTER); /* Garay: new in Unicode 16.0 */
    assert_int_equal(exaone_unicode_class(0x10d40), EXAONE_CLASS_NUMBER);
}

typedef struct {
    char text[1024];
    size_t n;
} utf8_text;

static void add(utf8_text *t, uint32_t code) {
    assert_true(t->n + 4 <= sizeof t->text);
    t->n += exaone_utf8_encode(code, (uint8_t *)t->text + t->n);
}

static utf8_text make(size_t n, const uint32_t *codes) {
    utf8_text t = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        add(&t, codes[i]);
    }
    return t;
}

static void check_nfc_text(const utf8_text *text, const utf8_text *want) {
    exaone_buf out;
    exaone_buf_init(&out, 1 << 20);
    assert_true(exaone_nfc((const uint8_t *)text->text, text->n, &out));
    if (out.len != want->n || (out.len > 0 && memcmp(out.data, want->text, out.len) != 0)) {
        for (size_t i = 0; i < text->n; i++) {
            print_error("%02x%s", (unsigned char)text->text[i], i + 1 < text->n ? " " : " -> ");
        }
        for (size_t i = 0; i < out.len; i++) {
            print_error("%02x ", (unsigned char)out.data[i]);
        }
        fail_msg("is not the expected NFC");
    }
    /* the quick test may say "not known", but never "yes" to a text that NFC changes */
    size_t prefix = exaone_nfc_prefix((const uint8_t *)text->text, text->n);
    assert_true(prefix <= text->n && prefix <= want->n && memcmp(text->text, want->text, prefix) == 0);
    assert_true(prefix < text->n || text->n == want->n);
    exaone_buf_release(&out);
}

#define CODES(...)       \
    (const uint32_t[]) { \
        __VA_ARGS__      \
    }
#define N_CODES(...) (sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
#define MAKE(...) make(N_CODES(__VA_ARGS__), CODES(__VA_ARGS__))

static void check_nfc(utf8_text text, utf8_text want) {
    check_nfc_text(&text, &want);
    check_nfc_text(&want, &want); /* NFC of NFC changes nothing */
}

static void nfc_rules(void **state) {
    (void)state;
    check_nfc(MAKE('e', 0x301), MAKE(0xe9));
    check_nfc(MAKE('s', 0x307, 0x323), MAKE(0x1e69));    /* ordered, then composed twice */
    check_nfc(MAKE(0x1e0b, 0x323), MAKE(0x1e0d, 0x307)); /* a composed letter is taken apart first */
    check_nfc(MAKE('a', 0x5ae, 0x300, 0x315), MAKE(0xe0, 0x5ae, 0x315));
    check_nfc(MAKE('a', 0x301, 0x300), MAKE(0xe1, 0x300));       /* the same class blocks */
    check_nfc(MAKE('a', 0x34f, 0x301), MAKE('a', 0x34f, 0x301)); /* a starter between blocks */
    check_nfc(MAKE(0x344), MAKE(0x308, 0x301));                  /* exclusions and singletons */
    check_nfc(MAKE(0x958), MAKE(0x915, 0x93c));
    check_nfc(MAKE(0x2126, 0x212a), MAKE(0x3a9, 'K'));
    check_nfc(MAKE(0x9c7, 0x9be), MAKE(0x9cb)); /* a starter that composes backward */
    check_nfc(MAKE(0xf71, 0xf73, 0xf72), MAKE(0xf71, 0xf71, 0xf72, 0xf72));
    check_nfc(MAKE(0x1100, 0x1161, 0x11a8), MAKE(0xac01));
    check_nfc(MAKE(0xac00, 0x11a8), MAKE(0xac01));
    check_nfc(MAKE(0xac01, 0x11a8), MAKE(0xac01, 0x11a8));
    check_nfc(MAKE(0x1100, 0x300, 0x1161), MAKE(0x1100, 0x300, 0x1161));
    check_nfc(MAKE(0x2f800), MAKE(0x4e3d));
    utf8_text empty = {.n = 0};
    check_nfc(empty, empty);
}

/* utf8proc 2.8.0 swallows U+11A7, which is no final consonant, behind a syllable. */
static void nfc_11a7(void **state) {
    (void)state;
    check_nfc(MAKE(0xac00, 0x11a7), MAKE(0xac00, 0x11a7));
    check_nfc(MAKE(0x1100, 0x1161, 0x11a7), MAKE(0xac00, 0x11a7));
    check_nfc(MAKE(0xac00, 0x11a7, 0x11a8), MAKE(0xac00, 0x11a7, 0x11a8));
    check_nfc(MAKE(0xac00, 0x11c3), MAKE(0xac00, 0x11c3));
}

/* Marks that came after Unicode 9.0 stay where they are, and nothing is ordered or composed across them. */
static void nfc_unknown_marks(void **state) {
    (void)state;
    size_t count = 0;
    for (const exaone_json *r = exaone_json_get(tables.root, "nfc_unknown_marks")->first; r; r = r->next) {
        for (uint32_t c = code_of(r->first); c <= code_of(r->first->next); c++, count++) {
            check_nfc(MAKE('a', 0x315, c, 0x301), MAKE('a', 0x315, c, 0x301));
            check_nfc(MAKE('e', c, 0x301), MAKE('e', c, 0x301));
            check_nfc(MAKE('e', 0x301, c), MAKE(0xe9, c));
        }
    }
    assert_int_equal(count, 188);
}

/* Compositions that came after Unicode 9.0 neither happen nor are undone. */
static void nfc_newer_compositions(void **state) {
    (void)state;
    size_t count = 0;
    for (const exaone_json *r = exaone_json_get(tables.root, "nfc_no_compose")->first; r; r = r->next, count++) {
        uint32_t whole = code_of(r->first), a = code_of(r->first->next->first), b = code_of(r->first->next->first->next);
        check_nfc(MAKE(whole), MAKE(whole));
        check_nfc(MAKE(a, b), MAKE(a, b));
    }
    assert_int_equal(count, 21);
}

/* Long runs are worked off in parts: k copies give k times the NFC of one. */
static void nfc_long_runs(void **state) {
    (void)state;
    const struct {
        utf8_text from, to;
    } unit[] = {{MAKE(0x958), MAKE(0x915, 0x93c)},
                {MAKE(0x1100, 0x1161), MAKE(0xac00)},
                {MAKE(0x1e0b, 0x323), MAKE(0x1e0d, 0x307)},
                {MAKE(0x2126), MAKE(0x3a9)},
                {MAKE(0x9c7, 0x9be), MAKE(0x9cb)}};
    for (size_t k = 0; k < sizeof unit / sizeof unit[0]; k++) {
        utf8_text from = {.n = 0}, to = {.n = 0};
        for (int i = 0; i < 150; i++) {
            memcpy(from.text + from.n, unit[k].from.text, unit[k].from.n);
            from.n += unit[k].from.n;
            memcpy(to.text + to.n, unit[k].to.text, unit[k].to.n);
            to.n += unit[k].to.n;
        }
        check_nfc(from, to);
    }
}

/* ---- the pattern ------------------------------------------------------------------------------------------------- */

/* `want` has the same text with '|' between pieces ('|' itself does not occur). */
static void check_pieces(const char *want) {
    char text[256];
    size_t n = 0;
    for (const char *p = want; *p; p++) {
        if (*p != '|') {
            text[n++] = *p;
        }
    }
    size_t at = 0;
    for (const char *p = want; *p;) {
        size_t len = strcspn(p, "|"), have = exaone_pattern_piece((const uint8_t *)text + at, n - at);
        if (have != len) {
            fail_msg("\"%s\": the piece at byte %zu has %zu bytes, expected %zu", want, at, have, len);
        }
        at += len;
        p += len + (p[len] == '|');
    }
}

static void pattern(void **state) {
    (void)state;
    static const char *const cases[] = {
        "a b cd",                 /* single spaces join */
        "a| | b",                 /* two do not */
        "'s|a",                   /* a contraction ends the piece though a letter follows */
        "don|'t| go",             /* what is left of a run begins with its space */
        "I|'LL|'Ve|'\xc5\xbf|'x", /* any case; U+017F; 'x is an apostrophe leading a letter */
        "(abc|)",                 /* one character may lead a run */
        "((|abc|)\n|\n|x",        /* but not two, and no line break */
        "1|2|3|a b|4",
        " !!\n|\n", /* one line break belongs to punctuation */
        "a|//\n|\r|b",
        "  \n \n|   | x", /* up to the last line break; then all but the space that leads x */
        "\t|\tx",
        "\t|\t|1",
        " \xe3\x80\x80",               /* white space at the end is one piece */
        "e\xcc\x81\xcc\x81 e\xcc\x81", /* marks follow letters */
        "!\xcc\x81|1|\xcc\x81|2",      /* elsewhere they are punctuation */
        "\xcc\x81\x61",                /* but one may lead a run */
        "\xe1\xa0\x8e\x61",            /* U+180E leads like punctuation */
        " \xe1\xa0\x8e\xe1\xa0\x8e",   /* and is no white space */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_pieces(cases[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(nfc_rules),
        cmocka_unit_test(nfc_11a7),
        cmocka_unit_test(nfc_unknown_marks),
        cmocka_unit_test(nfc_newer_compositions),
        cmocka_unit_test(nfc_long_runs),
        cmocka_unit_test(pattern),
    };
    return cmocka_run_group_tests(tests, open_tables, close_tables);
}
