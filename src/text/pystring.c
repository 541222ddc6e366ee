/* Python string rules: see pystring.h. */
#include "text/pystring.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode.h"

bool exaone_python_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

exaone_slice exaone_python_strip(exaone_slice s) {
    uint32_t code;
    size_t len;
    while (s.n > 0 && (len = exaone_utf8_decode((const uint8_t *)s.text, s.n, &code)) > 0 && exaone_python_space(code)) {
        s.text += len;
        s.n -= len;
    }
    return exaone_python_rstrip(s);
}

exaone_slice exaone_python_rstrip(exaone_slice s) {
    uint32_t code;
    while (s.n > 0) {
        size_t start = s.n - 1;
        while (start > 0 && s.n - start < 4 && ((uint8_t)s.text[start] & 0xc0) == 0x80) {
            start--;
        }
        size_t len = exaone_utf8_decode((const uint8_t *)s.text + start, s.n - start, &code);
        if (len != s.n - start || !exaone_python_space(code)) {
            break;
        }
        s.n = start;
    }
    return s;
}

exaone_slice exaone_python_lstrip_set(exaone_slice s, const char *set) {
    while (s.n > 0 && s.text[0] && strchr(set, s.text[0])) {
        s.text++;
        s.n--;
    }
    return s;
}

size_t exaone_slice_find(exaone_slice s, const char *needle) {
    const char *at = s.n ? memmem(s.text, s.n, needle, strlen(needle)) : NULL;
    return at ? (size_t)(at - s.text) : SIZE_MAX;
}

size_t exaone_slice_rfind(exaone_slice s, exaone_slice needle) {
    for (size_t i = s.n >= needle.n ? s.n - needle.n + 1 : 0; i-- > 0;) {
        if (memcmp(s.text + i, needle.text, needle.n) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* str.isprintable beyond ASCII: no control, format, private, unassigned or separating character. */
static bool printable(uint32_t code) {
    exaone_class known = exaone_unicode_class(code);
    if (known == EXAONE_CLASS_LETTER || known == EXAONE_CLASS_NUMBER || known == EXAONE_CLASS_MARK) {
        return true;
    }
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
    return (c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_SO);
}

static void repr_code(exaone_buf *out, const char *bytes, size_t len, uint32_t code, char quote) {
    static const char named[] = "\n\r\t\\", letter[] = "nrt\\";
    const char *at = code && code < 0x80 ? strchr(named, (int)code) : NULL;
    if (at || code == (uint32_t)quote) {
        exaone_buf_putc(out, '\\');
        exaone_buf_putc(out, at ? letter[at - named] : quote);
    } else if ((code >= 0x20 && code < 0x7f) || (code >= 0x80 && printable(code))) {
        exaone_buf_append(out, bytes, len);
    } else {
        exaone_buf_printf(out, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)code);
    }
}

static void repr_string(exaone_buf *out, const char *text, size_t n) {
    bool single = n && memchr(text, '\'', n), twice = n && memchr(text, '"', n);
    char quote = single && !twice ? '"' : '\'';
    exaone_buf_putc(out, quote);
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code;
        len = exaone_utf8_decode((const uint8_t *)text + i, n - i, &code);
        if (len == 0) { /* not from a JSON reader */
            len = 1;
            code = 0xfffd;
            exaone_buf_puts(out, "\xef\xbf\xbd");
        } else {
            repr_code(out, text + i, len, code, quote);
        }
    }
    exaone_buf_putc(out, quote);
}

static void repr_number(exaone_buf *out, const exaone_json *j) {
    double x;
    if (!exaone_json_is_integer(j) && !exaone_json_double(j, &x)) {
        exaone_buf_puts(out, j->text[0] == '-' ? "-inf" : "inf");
    } else {
        exaone_json_put_python(out, j);
    }
}

static void repr_object(exaone_buf *out, const exaone_json *j) {
    const exaone_json **values = exaone_mem_array(j->len, sizeof *values);
    bool any = false, ok = values && exaone_json_members(j, values);
    exaone_buf_putc(out, '{');
    for (size_t i = 0; ok && i < j->len; i++) {
        if (values[i]) {
            exaone_buf_puts(out, any ? ", " : "");
            repr_string(out, values[i]->key, values[i]->key_len);
            exaone_buf_puts(out, ": ");
            exaone_python_repr(out, values[i]);
            any = true;
        }
    }
    exaone_buf_putc(out, '}');
    if (!ok) {
        out->failed = out->starved = true;
    }
    free(values);
}

void exaone_python_repr(exaone_buf *out, const exaone_json *j) { /* depth is bounded by the JSON reader */
    switch (j->type) {
    case EXAONE_JSON_NULL:
        exaone_buf_puts(out, "None");
        break;
    case EXAONE_JSON_FALSE:
        exaone_buf_puts(out, "False");
        break;
    case EXAONE_JSON_TRUE:
        exaone_buf_puts(out, "True");
        break;
    case EXAONE_JSON_NUMBER:
        repr_number(out, j);
        break;
    case EXAONE_JSON_STRING:
        repr_string(out, j->text, j->len);
        break;
    case EXAONE_JSON_ARRAY:
        exaone_buf_putc(out, '[');
        for (const exaone_json *m = j->first; m; m = m->next) {
            exaone_python_repr(out, m);
            exaone_buf_puts(out, m->next ? ", " : "");
        }
        exaone_buf_putc(out, ']');
        break;
    case EXAONE_JSON_OBJECT:
        repr_object(out, j);
        break;
    }
}
