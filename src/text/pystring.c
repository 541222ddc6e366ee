/* Python string rules: see pystring.h. */
#include "text/pystring.h"

#include <string.h>

#include "base/utf8.h"

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
    while (s.n > 0) {
        size_t start = s.n - 1;
        while (start > 0 && s.n - start < 4 && ((uint8_t)s.text[start] & 0xc0) == 0x80) {
            start--;
        }
        len = exaone_utf8_decode((const uint8_t *)s.text + start, s.n - start, &code);
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

static void repr_string(exaone_buf *out, const char *text, size_t n) {
    bool single = n && memchr(text, '\'', n), twice = n && memchr(text, '"', n);
    char quote = single && !twice ? '"' : '\'';
    exaone_buf_putc(out, quote);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\\' || c == (unsigned char)quote) {
            exaone_buf_printf(out, "\\%c", c);
        } else if (c == '\n') {
            exaone_buf_puts(out, "\\n");
        } else if (c == '\r') {
            exaone_buf_puts(out, "\\r");
        } else if (c == '\t') {
            exaone_buf_puts(out, "\\t");
        } else if (c < 0x20 || c == 0x7f) {
            exaone_buf_printf(out, "\\x%02x", c);
        } else {
            exaone_buf_putc(out, (char)c);
        }
    }
    exaone_buf_putc(out, quote);
}

void exaone_python_repr(exaone_buf *out, const exaone_json *j) { /* depth is bounded by the JSON reader */
    bool object = j->type == EXAONE_JSON_OBJECT;
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
        exaone_json_put(out, j);
        break;
    case EXAONE_JSON_STRING:
        repr_string(out, j->text, j->len);
        break;
    case EXAONE_JSON_ARRAY:
    case EXAONE_JSON_OBJECT:
        exaone_buf_putc(out, object ? '{' : '[');
        for (const exaone_json *m = j->first; m; m = m->next) {
            if (object) {
                repr_string(out, m->key, m->key_len);
                exaone_buf_puts(out, ": ");
            }
            exaone_python_repr(out, m);
            exaone_buf_puts(out, m->next ? ", " : "");
        }
        exaone_buf_putc(out, object ? '}' : ']');
        break;
    }
}
