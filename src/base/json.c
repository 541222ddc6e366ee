/* JSON reader and writer: see json.h. The reader is iterative (a stack of open containers, at most MAX_DEPTH). */
#include "base/json.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { MAX_DEPTH = 128 };

typedef struct {
    const char *text;
    size_t n, i;
    exaone_arena *arena;
    exaone_error *err;
} reader;

static exaone_status fail_at(const reader *r, const char *what) {
    size_t line = 1, start = 0;
    size_t end = r->i < r->n ? r->i : r->n;
    for (size_t k = 0; k < end; k++) {
        if (r->text[k] == '\n') {
            line++;
            start = k + 1;
        }
    }
    return exaone_fail(r->err, EXAONE_ERR_FORMAT, "JSON line %zu column %zu: %s", line, end - start + 1, what);
}

static exaone_status fail_memory(const reader *r) {
    if (r->arena->starved) {
        return exaone_fail_memory(r->err, "JSON", r->arena->used);
    }
    return exaone_fail(r->err, EXAONE_ERR_LIMIT, "JSON: more than %zu bytes of memory needed", r->arena->max);
}

static void skip_space(reader *r) {
    while (r->i < r->n) {
        uint64_t eight;
        if (r->n - r->i >= sizeof eight && (memcpy(&eight, r->text + r->i, sizeof eight), eight == 0x2020202020202020u)) {
            r->i += sizeof eight;
            continue;
        }
        char c = r->text[r->i];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return;
        }
        r->i++;
    }
}

static int hex4(const char *p) {
    int v = 0;
    for (int k = 0; k < 4; k++) {
        char c = p[k];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) {
            return -1;
        }
        v = v << 4 | d;
    }
    return v;
}

/* Reads \uXXXX (and its second half) at text[i], just behind "\u"; advances i; false when malformed. */
static bool read_unicode(reader *r, uint32_t *code) {
    if (r->n - r->i < 4) {
        return false;
    }
    int a = hex4(r->text + r->i);
    if (a < 0) {
        return false;
    }
    r->i += 4;
    *code = (uint32_t)a;
    if (a < 0xd800 || a > 0xdfff) {
        return true;
    }
    if (a > 0xdbff || r->n - r->i < 6 || r->text[r->i] != '\\' || r->text[r->i + 1] != 'u') {
        return false;
    }
    int b = hex4(r->text + r->i + 2);
    if (b < 0xdc00 || b > 0xdfff) {
        return false;
    }
    r->i += 6;
    *code = 0x10000 + ((uint32_t)(a - 0xd800) << 10) + (uint32_t)(b - 0xdc00);
    return true;
}

/* One escape sequence, i behind the backslash; writes to out. */
static bool read_escape(reader *r, char **out) {
    if (r->i >= r->n) {
        return false;
    }
    char c = r->text[r->i++];
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        uint32_t code;
        if (!read_unicode(r, &code)) {
            return false;
        }
        *out += exaone_utf8_encode(code, (uint8_t *)*out);
        return true;
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (!at) {
        return false;
    }
    *(*out)++ = to[at - from];
    return true;
}

/* Bit 7 of each of eight bytes that is zero; above the lowest one set, others may be set too. */
static inline uint64_t zero_bytes(uint64_t x) {
    return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

/* The same for quotes, backslashes and control characters. */
static inline uint64_t special_bytes(uint64_t x) {
    uint64_t control = (x - 0x2020202020202020u) & ~x & 0x8080808080808080u;
    return zero_bytes(x ^ 0x2222222222222222u) | zero_bytes(x ^ 0x5c5c5c5c5c5c5c5cu) | control;
}

/* Finds the end of the string that starts at i (behind the quote); checks control characters; *escapes = has any, *ascii =
 * has nothing else. */
static bool scan_string(const reader *r, size_t *end, bool *escapes, bool *ascii) {
    uint64_t all = 0;
    *escapes = false;
    for (size_t k = r->i; k < r->n; k++) {
        uint64_t eight, special = 0;
        while (r->n - k >= sizeof eight && (memcpy(&eight, r->text + k, sizeof eight), !(special = special_bytes(eight)))) {
            all |= eight;
            k += sizeof eight;
        }
        if (special) { /* the bytes before the first one */
            unsigned bits = (unsigned)__builtin_ctzll(special) & ~7u;
            all |= eight & (((uint64_t)1 << bits) - 1);
            k += bits / 8;
        } else if (k == r->n) {
            break;
        }
        unsigned char c = (unsigned char)r->text[k];
        all |= c;
        *ascii = !(all & 0x8080808080808080u);
        if (c == '"') {
            *end = k;
            return true;
        }
        if (c < 0x20) {
            return false;
        }
        if (c == '\\') {
            *escapes = true;
            k++;
            all |= k < r->n ? (unsigned char)r->text[k] : 0;
        }
    }
    return false;
}

static exaone_status read_string(reader *r, const char **text, size_t *len) {
    size_t end;
    bool escapes, ascii;
    if (!scan_string(r, &end, &escapes, &ascii)) {
        return fail_at(r, "this string has no end or holds a raw control character");
    }
    size_t raw = end - r->i;
    size_t good = ascii ? raw : exaone_utf8_valid_prefix((const uint8_t *)r->text + r->i, raw);
    if (good < raw) {
        r->i += good;
        return fail_at(r, "invalid UTF-8");
    }
    if (!escapes) {
        *text = r->text + r->i;
        *len = raw;
        r->i = end + 1;
        return EXAONE_OK;
    }
    char *copy = exaone_arena_take(r->arena, raw + 1); /* an escape never grows */
    if (!copy) {
        return fail_memory(r);
    }
    char *out = copy;
    while (r->i < end) {
        if (r->text[r->i] != '\\') {
            *out++ = r->text[r->i++];
            continue;
        }
        r->i++;
        if (!read_escape(r, &out)) {
            return fail_at(r, "bad escape sequence");
        }
    }
    *text = copy;
    *len = (size_t)(out - copy);
    r->i = end + 1;
    return EXAONE_OK;
}

static size_t digits(const reader *r, size_t k) {
    while (k < r->n && r->text[k] >= '0' && r->text[k] <= '9') {
        k++;
    }
    return k;
}

static exaone_status read_number(reader *r, exaone_json *j) {
    size_t k = r->i;
    if (r->text[k] == '-') {
        k++;
    }
    size_t start = k;
    k = digits(r, k);
    bool ok = k > start && (r->text[start] != '0' || k == start + 1);
    if (ok && k < r->n && r->text[k] == '.') {
        size_t from = ++k;
        k = digits(r, k);
        ok = k > from;
    }
    if (ok && k < r->n && (r->text[k] == 'e' || r->text[k] == 'E')) {
        k++;
        if (k < r->n && (r->text[k] == '+' || r->text[k] == '-')) {
            k++;
        }
        size_t from = k;
        k = digits(r, k);
        ok = k > from;
    }
    if (!ok) {
        return fail_at(r, "bad number");
    }
    j->type = EXAONE_JSON_NUMBER;
    j->text = r->text + r->i;
    j->len = k - r->i;
    r->i = k;
    return EXAONE_OK;
}

static bool read_word(reader *r, const char *word) {
    size_t n = strlen(word);
    if (r->n - r->i < n || memcmp(r->text + r->i, word, n) != 0) {
        return false;
    }
    r->i += n;
    return true;
}

/* Reads a scalar or the opening bracket of a container at i. */
static exaone_status read_value(reader *r, exaone_json *j) {
    char c = r->i < r->n ? r->text[r->i] : 0;
    if (c == '"') {
        r->i++;
        j->type = EXAONE_JSON_STRING;
        return read_string(r, &j->text, &j->len);
    }
    if (c == '{' || c == '[') {
        r->i++;
        j->type = c == '{' ? EXAONE_JSON_OBJECT : EXAONE_JSON_ARRAY;
        return EXAONE_OK;
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return read_number(r, j);
    }
    if (read_word(r, "null")) {
        j->type = EXAONE_JSON_NULL;
    } else if (read_word(r, "true")) {
        j->type = EXAONE_JSON_TRUE;
    } else if (read_word(r, "false")) {
        j->type = EXAONE_JSON_FALSE;
    } else {
        return fail_at(r, r->i < r->n ? "a value must stand here" : "the text ends where a value must stand");
    }
    return EXAONE_OK;
}

/* Reads "key" : of an object member. */
static exaone_status read_key(reader *r, exaone_json *j) {
    if (r->i >= r->n || r->text[r->i] != '"') {
        return fail_at(r, "a key in quotes must stand here");
    }
    r->i++;
    size_t len;
    exaone_status s = read_string(r, &j->key, &len);
    if (s != EXAONE_OK) {
        return s;
    }
    if (len > UINT32_MAX) {
        return fail_at(r, "key longer than 4 GiB");
    }
    j->key_len = (uint32_t)len;
    skip_space(r);
    if (r->i >= r->n || r->text[r->i] != ':') {
        return fail_at(r, "':' must stand here");
    }
    r->i++;
    skip_space(r);
    return EXAONE_OK;
}

typedef struct {
    exaone_json *node;
    exaone_json *last; /* newest member */
} open_container;

/* Adds a new node to the container on top (none: the root). */
static exaone_status read_member(reader *r, open_container *top, exaone_json **out) {
    exaone_json *j = exaone_arena_take(r->arena, sizeof *j);
    if (!j) {
        return fail_memory(r);
    }
    if (top && top->node->type == EXAONE_JSON_OBJECT) {
        exaone_status s = read_key(r, j);
        if (s != EXAONE_OK) {
            return s;
        }
    }
    if (top) {
        *(top->last ? &top->last->next : &top->node->first) = j;
        top->last = j;
        top->node->len++;
    }
    *out = j;
    return read_value(r, j);
}

/* Behind a value: consumes closing brackets and a comma. *more = another member follows in the container on top. */
static exaone_status read_after(reader *r, const open_container *stack, int *depth, bool *more) {
    while (*depth > 0) {
        exaone_json *c = stack[*depth - 1].node;
        char close = c->type == EXAONE_JSON_OBJECT ? '}' : ']';
        skip_space(r);
        char at = r->i < r->n ? r->text[r->i] : 0;
        if (at == close) {
            r->i++;
            --*depth;
            continue;
        }
        if (c->len == 0) {
            *more = true; /* just opened */
            return EXAONE_OK;
        }
        if (at != ',') {
            return fail_at(r, close == '}' ? "',' or '}' must stand here" : "',' or ']' must stand here");
        }
        r->i++;
        skip_space(r);
        *more = true;
        return EXAONE_OK;
    }
    *more = false;
    return EXAONE_OK;
}

exaone_status exaone_json_parse(const char *text, size_t n, exaone_arena *arena, exaone_json **out, exaone_error *err) {
    reader r = {.text = text, .n = n, .arena = arena, .err = err};
    open_container stack[MAX_DEPTH];
    int depth = 0;
    *out = NULL;
    exaone_json *root = NULL;
    bool more = true;
    skip_space(&r);
    while (more) {
        exaone_json *j = NULL;
        exaone_status s = read_member(&r, depth ? &stack[depth - 1] : NULL, &j);
        if (s != EXAONE_OK) {
            return s;
        }
        if (!root) {
            root = j;
        }
        if (j->type == EXAONE_JSON_ARRAY || j->type == EXAONE_JSON_OBJECT) {
            if (depth == MAX_DEPTH) {
                return exaone_fail(err, EXAONE_ERR_LIMIT, "JSON nested deeper than %d", MAX_DEPTH);
            }
            stack[depth++] = (open_container){.node = j};
        }
        s = read_after(&r, stack, &depth, &more);
        if (s != EXAONE_OK) {
            return s;
        }
    }
    skip_space(&r);
    if (r.i != n) {
        return fail_at(&r, "text behind the value");
    }
    *out = root;
    return EXAONE_OK;
}

const exaone_json *exaone_json_get(const exaone_json *object, const char *key) {
    if (!exaone_json_is(object, EXAONE_JSON_OBJECT)) {
        return NULL;
    }
    size_t n = strlen(key);
    const exaone_json *found = NULL;
    for (const exaone_json *j = object->first; j; j = j->next) {
        if (j->key_len == n && memcmp(j->key, key, n) == 0) {
            found = j;
        }
    }
    return found;
}

bool exaone_json_is(const exaone_json *j, exaone_json_type type) {
    return j && j->type == type;
}

bool exaone_json_equals(const exaone_json *j, const char *text) {
    size_t n = strlen(text);
    return exaone_json_is(j, EXAONE_JSON_STRING) && j->len == n && memcmp(j->text, text, n) == 0;
}

bool exaone_json_is_integer(const exaone_json *j) {
    if (!exaone_json_is(j, EXAONE_JSON_NUMBER)) {
        return false;
    }
    for (size_t i = 0; i < j->len; i++) {
        if (j->text[i] == '.' || j->text[i] == 'e' || j->text[i] == 'E') {
            return false;
        }
    }
    return true;
}

bool exaone_json_double(const exaone_json *j, double *out) {
    if (!exaone_json_is(j, EXAONE_JSON_NUMBER)) {
        return false;
    }
    char small[64];
    char *copy = j->len < sizeof small ? small : malloc(j->len + 1);
    if (!copy) {
        return false;
    }
    memcpy(copy, j->text, j->len);
    copy[j->len] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* '.' whatever the program's locale is */
    *out = c ? strtod_l(copy, NULL, c) : strtod(copy, NULL);
    if (c) {
        freelocale(c);
    }
    if (copy != small) {
        free(copy);
    }
    return isfinite(*out);
}

bool exaone_json_int(const exaone_json *j, int64_t *out) {
    if (exaone_json_is_integer(j)) {
        bool minus = j->text[0] == '-';
        int64_t v = 0;
        for (size_t i = minus; i < j->len; i++) {
            int d = j->text[i] - '0';
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, minus ? -d : d, &v)) {
                return false;
            }
        }
        *out = v;
        return true;
    }
    double x;
    if (!exaone_json_double(j, &x) || x != floor(x) || fabs(x) > 0x1p53) {
        return false;
    }
    *out = (int64_t)x;
    return true;
}

/* Bytes that need no escape; each broken part of UTF-8 as U+FFFD. */
static void put_plain(exaone_buf *out, const char *bytes, size_t n) {
    while (n > 0) {
        size_t good = exaone_utf8_valid_prefix((const uint8_t *)bytes, n);
        exaone_buf_append(out, bytes, good);
        bytes += good;
        n -= good;
        if (n > 0) {
            bool cut;
            size_t broken = exaone_utf8_broken((const uint8_t *)bytes, n, &cut);
            exaone_buf_puts(out, "\xef\xbf\xbd");
            bytes += broken;
            n -= broken;
        }
    }
}

void exaone_json_put_string(exaone_buf *out, const char *bytes, size_t n) {
    exaone_buf_putc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        put_plain(out, bytes + from, i - from);
        from = i + 1;
        static const char named[] = "\b\f\n\r\t\"\\", letter[] = "bfnrt\"\\";
        const char *at = c ? strchr(named, c) : NULL;
        if (at) {
            exaone_buf_putc(out, '\\');
            exaone_buf_putc(out, letter[at - named]);
        } else {
            exaone_buf_printf(out, "\\u%04x", c);
        }
    }
    put_plain(out, bytes + from, n - from);
    exaone_buf_putc(out, '"');
}

/* x > 0 rounded to n digits: digits[0 .. n) without a point, value = 0.d0d1d2… * 10^*point. */
static void rounded_digits(double x, int n, char digits_out[20], int *point) {
    char text[48];
    snprintf(text, sizeof text, "%.*e", n - 1, x);
    int k = 0;
    char *p = text;
    for (; *p && *p != 'e'; p++) { /* whatever the locale's decimal point is */
        if (*p >= '0' && *p <= '9' && k < n) {
            digits_out[k++] = *p;
        }
    }
    *point = *p ? (int)strtol(p + 1, NULL, 10) + 1 : 0;
}

static bool reads_back(double x, const char *digits_in, int n, int point) {
    char text[48];
    snprintf(text, sizeof text, "%.*se%d", n, digits_in, point - n);
    return strtod(text, NULL) == x;
}

/* The digits plus one in the last place; false when that needs one more digit. */
static bool next_digits(char *digits_io, int n) {
    for (int k = n; k-- > 0;) {
        if (digits_io[k] != '9') {
            digits_io[k]++;
            return true;
        }
        digits_io[k] = '0';
    }
    return false;
}

/* The shortest digits that read back as x > 0. What 15 digits can tell apart they tell; below the normal numbers fewer do.
 * At a power of two the numbers above lie wider apart than those below, so that the decimal above the nearest may be the
 * one. */
static int shortest_digits(double x, char digits_out[20], int *point) {
    int exponent, n = x < DBL_MIN ? 1 : 15;
    bool power = frexp(x, &exponent) == 0.5;
    for (; n < 17; n++) {
        rounded_digits(x, n, digits_out, point);
        if (reads_back(x, digits_out, n, *point) ||
            (power && next_digits(digits_out, n) && reads_back(x, digits_out, n, *point))) {
            break;
        }
    }
    if (n == 17) {
        rounded_digits(x, n, digits_out, point);
    }
    while (n > 1 && digits_out[n - 1] == '0') {
        n--;
    }
    return n;
}

void exaone_json_put_double(exaone_buf *out, double x) {
    if (!isfinite(x)) {
        exaone_buf_puts(out, "null");
        return;
    }
    if (signbit(x)) {
        exaone_buf_putc(out, '-');
        x = -x;
    }
    if (x == 0) {
        exaone_buf_puts(out, "0.0");
        return;
    }
    char d[20];
    int point, n = shortest_digits(x, d, &point);
    if (point > 16 || point < -3) { /* exponent form: 1e+16, 1.5e-05 */
        exaone_buf_putc(out, d[0]);
        if (n > 1) {
            exaone_buf_putc(out, '.');
            exaone_buf_append(out, d + 1, (size_t)n - 1);
        }
        exaone_buf_printf(out, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
    } else if (point <= 0) {
        exaone_buf_puts(out, "0.");
        for (int i = point; i < 0; i++) {
            exaone_buf_putc(out, '0');
        }
        exaone_buf_append(out, d, (size_t)n);
    } else {
        for (int i = 0; i < point; i++) {
            exaone_buf_putc(out, i < n ? d[i] : '0');
        }
        exaone_buf_putc(out, '.');
        if (n > point) {
            exaone_buf_append(out, d + point, (size_t)(n - point));
        } else {
            exaone_buf_putc(out, '0');
        }
    }
}

/* `python`: as Python's json.dumps, which prints numbers beyond the doubles as Infinity; else they keep their spelling. */
static void put_number(exaone_buf *out, const exaone_json *j, bool python) {
    if (exaone_json_is_integer(j)) {
        bool minus_zero = j->len == 2 && j->text[0] == '-' && j->text[1] == '0';
        exaone_buf_append(out, minus_zero ? "0" : j->text, minus_zero ? 1 : j->len);
        return;
    }
    double x;
    if (exaone_json_double(j, &x)) {
        exaone_json_put_double(out, x);
    } else if (python) {
        exaone_buf_puts(out, j->text[0] == '-' ? "-Infinity" : "Infinity");
    } else {
        exaone_buf_append(out, j->text, j->len);
    }
}

static int compare_keys(const exaone_json *a, const exaone_json *b) {
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = n ? memcmp(a->key, b->key, n) : 0;
    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

typedef struct {
    const exaone_json *member;
    size_t place;
} placed_member;

static int compare_placed(const void *a, const void *b) {
    const placed_member *x = a, *y = b;
    int order = compare_keys(x->member, y->member);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

bool exaone_json_members(const exaone_json *object, const exaone_json **values) {
    bool doubles = false;
    size_t n = 0;
    for (const exaone_json *m = object->first; m; m = m->next) {
        values[n++] = m;
    }
    if (n < 2) {
        return true;
    }
    placed_member *sorted = exaone_mem_array(n, sizeof *sorted);
    if (!sorted) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (placed_member){.member = values[i], .place = i};
    }
    qsort(sorted, n, sizeof *sorted, compare_placed);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && compare_keys(sorted[i].member, sorted[k].member) == 0; k++) {
            values[sorted[k].place] = NULL;
            doubles = true;
        }
        if (doubles) {
            values[sorted[i].place] = sorted[k - 1].member;
        }
    }
    free(sorted);
    return true;
}

static void put_value(exaone_buf *out, const exaone_json *j, bool python);

static void put_object(exaone_buf *out, const exaone_json *j, bool python) {
    enum { FEW = 16 };
    const exaone_json *few[FEW], **values = j->len <= FEW ? few : exaone_mem_array(j->len, sizeof *values);
    bool any = false, ok = values && exaone_json_members(j, values);
    exaone_buf_putc(out, '{');
    for (size_t i = 0; ok && i < j->len; i++) {
        if (values[i]) {
            exaone_buf_puts(out, any ? ", " : "");
            exaone_json_put_string(out, values[i]->key, values[i]->key_len);
            exaone_buf_puts(out, ": ");
            put_value(out, values[i], python);
            any = true;
        }
    }
    exaone_buf_putc(out, '}');
    if (!ok) {
        out->failed = out->starved = true;
    }
    if (values != few) {
        free(values);
    }
}

static void put_value(exaone_buf *out, const exaone_json *j,
                      bool python) { /* recursion is bounded by the reader's MAX_DEPTH */
    switch (j->type) {
    case EXAONE_JSON_NULL:
        exaone_buf_puts(out, "null");
        break;
    case EXAONE_JSON_FALSE:
        exaone_buf_puts(out, "false");
        break;
    case EXAONE_JSON_TRUE:
        exaone_buf_puts(out, "true");
        break;
    case EXAONE_JSON_NUMBER:
        put_number(out, j, python);
        break;
    case EXAONE_JSON_STRING:
        exaone_json_put_string(out, j->text, j->len);
        break;
    case EXAONE_JSON_ARRAY:
        exaone_buf_putc(out, '[');
        for (const exaone_json *m = j->first; m; m = m->next) {
            put_value(out, m, python);
            exaone_buf_puts(out, m->next ? ", " : "");
        }
        exaone_buf_putc(out, ']');
        break;
    case EXAONE_JSON_OBJECT:
        put_object(out, j, python);
        break;
    }
}

void exaone_json_put(exaone_buf *out, const exaone_json *j) {
    put_value(out, j, false);
}

void exaone_json_put_python(exaone_buf *out, const exaone_json *j) {
    put_value(out, j, true);
}

const char *exaone_json_shown(const exaone_json *j, char room[EXAONE_JSON_SHOWN]) {
    enum { MOST = 40 };
    static const char *const words[] = {[EXAONE_JSON_NULL] = "null",
                                        [EXAONE_JSON_FALSE] = "false",
                                        [EXAONE_JSON_TRUE] = "true",
                                        [EXAONE_JSON_ARRAY] = "an array",
                                        [EXAONE_JSON_OBJECT] = "an object"};
    bool text = exaone_json_is(j, EXAONE_JSON_STRING);
    if (!j || (!text && j->type != EXAONE_JSON_NUMBER)) {
        snprintf(room, EXAONE_JSON_SHOWN, "%s", j ? words[j->type] : "missing");
        return room;
    }
    size_t n = j->len < MOST ? j->len : MOST;
    while (n < j->len && n > 0 && ((unsigned char)j->text[n] & 0xc0) == 0x80) {
        n--; /* not inside a character */
    }
    snprintf(room, EXAONE_JSON_SHOWN, "%s%.*s%s%s", text ? "\"" : "", (int)n, j->text, n < j->len ? "..." : "",
             text ? "\"" : "");
    for (char *c = room; *c; c++) {
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    }
    return room;
}
