/* A scanner for the pattern of EXAONE 4.5's pre-tokenizer.
 *
 * In order, the first alternative that matches wins:
 *   1  (?i:'s|'t|'re|'ve|'m|'ll|'d)                                      contraction
 *   2  [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+                letters, words joined by single spaces
 *   3  \p{N}                                                             one digit
 *   4   ?[^\s\p{L}\p{N}]+[\r\n/]?                                         punctuation, loose marks
 *   5  \s*[\r\n]                                                         white space up to its last line break
 *   6  \s+(?!\S)                                                         white space but for the last character before text
 *   7  \s+
 *
 * By hand and not by PCRE2, for two reasons. Classes: the reference's are of Unicode 16.0 while a system's PCRE2 has those
 * of its own version (14.0 in 10.42, and it counts U+180E as white space). Stack: one match of alternative 2 covers a page
 * of text, on which PCRE2's JIT runs out of its default 32 KiB. Nothing here backtracks further than one character. */
#include "text/tokenizer_pattern.h"

#include <stdbool.h>

#include "base/utf8.h"
#include "text/unicode.h"

const char exaone_pattern_text[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";

typedef struct {
    exaone_class kind;
    size_t len; /* 0: end of the text */
    uint32_t code;
} character;

static character at(const uint8_t *text, size_t n, size_t i) {
    character c = {EXAONE_CLASS_OTHER, 0, 0};
    if (i < n) {
        c.len = exaone_utf8_decode(text + i, n - i, &c.code);
        if (c.len == 0) { /* not valid UTF-8 after all: go on byte by byte */
            c.len = 1;
            c.code = 0xfffd;
        }
        c.kind = exaone_unicode_class(c.code);
    }
    return c;
}

static bool is_letter(character c) {
    return c.len != 0 && c.kind == EXAONE_CLASS_LETTER;
}

static bool is_break(character c) {
    return c.len != 0 && (c.code == '\r' || c.code == '\n');
}

/* [^\s\p{L}\p{N}] */
static bool is_other(character c) {
    return c.len != 0 && (c.kind == EXAONE_CLASS_OTHER || c.kind == EXAONE_CLASS_MARK);
}

/* Alternative 1 at an apostrophe; 0 when it does not match. Under case folding U+017F, the long s, equals s. */
static size_t contraction(const uint8_t *text, size_t n) {
    if (n < 2) {
        return 0;
    }
    uint8_t a = (uint8_t)(text[1] | 0x20), b = n > 2 ? (uint8_t)(text[2] | 0x20) : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return 2;
    }
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) {
        return 3;
    }
    return n > 2 && text[1] == 0xc5 && text[2] == 0xbf ? 3 : 0;
}

/* The group of alternative 2 from the letter at i on; returns its end. */
static size_t letters(const uint8_t *text, size_t n, size_t i) {
    character c = at(text, n, i);
    while (is_letter(c)) {
        i += c.len;
        c = at(text, n, i);
        while (c.len != 0 && c.kind == EXAONE_CLASS_MARK) {
            i += c.len;
            c = at(text, n, i);
        }
        if (c.len != 0 && c.code == ' ') {
            character next = at(text, n, i + 1);
            if (is_letter(next)) {
                i++;
                c = next;
            }
        }
    }
    return i;
}

/* Alternative 4 from the first character of its class on. */
static size_t punctuation(const uint8_t *text, size_t n, size_t i) {
    character c = at(text, n, i);
    while (is_other(c)) {
        i += c.len;
        c = at(text, n, i);
    }
    return is_break(c) ? i + 1 : i; /* a '/' is of the class itself and never left over */
}

/* Alternatives 5 to 7. */
static size_t white_space(const uint8_t *text, size_t n) {
    size_t i = 0, behind_break = 0, last = 0;
    character c = at(text, n, 0);
    while (c.len != 0 && c.kind == EXAONE_CLASS_SPACE) {
        last = i;
        i += c.len;
        if (is_break(c)) {
            behind_break = i;
        }
        c = at(text, n, i);
    }
    if (behind_break) {
        return behind_break;
    }
    return c.len != 0 && last > 0 ? last : i;
}

size_t exaone_pattern_piece(const uint8_t *text, size_t n) {
    character c = at(text, n, 0);
    if (c.code == '\'') {
        size_t len = contraction(text, n);
        if (len) {
            return len;
        }
    }
    if (is_letter(c)) {
        return letters(text, n, 0);
    }
    if (c.kind == EXAONE_CLASS_NUMBER) {
        return c.len;
    }
    character next = at(text, n, c.len);
    if (!is_break(c) && is_letter(next)) {
        return letters(text, n, c.len);
    }
    if (c.code == ' ' && is_other(next)) {
        return punctuation(text, n, 1);
    }
    if (is_other(c)) {
        return punctuation(text, n, 0);
    }
    return white_space(text, n);
}
