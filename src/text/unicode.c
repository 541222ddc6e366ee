/* Classes from the generated tables; NFC (Unicode Standard Annex 15) around utf8proc's character data.
 *
 * utf8proc gives the canonical decomposition of one character, its combining class and the composition of one pair. Ordering
 * and the choice of what composes are done here, because utf8proc's own NFC (2.8.0) swallows U+11A7 behind a syllable
 * without a final, and because the reference's data are those of Unicode 9.0: marks and compositions added later do not
 * exist for it. */
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode_tables.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum {
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7, /* one before the first final */
    S_BASE = 0xac00,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28,
    S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

/* Index of the last entry <= key; a[0] <= key. */
static size_t last_not_above(const uint32_t *a, size_t n, uint32_t key) {
    size_t low = 0;
    while (n > 1) {
        size_t half = n / 2;
        if (a[low + half] <= key) {
            low += half;
        }
        n -= half;
    }
    return low;
}

exaone_class exaone_unicode_class(uint32_t code) {
    if (code > 0x10ffff) {
        return EXAONE_CLASS_OTHER;
    }
    if (code - S_BASE < S_COUNT) {
        return EXAONE_CLASS_LETTER;
    }
    return (exaone_class)(class_starts[last_not_above(class_starts, COUNT(class_starts), code << 3 | 7)] & 7);
}

static bool in_list(const uint32_t *a, size_t n, uint32_t code) {
    return code >= a[0] && a[last_not_above(a, n, code)] == code;
}

static bool is_unknown_mark(uint32_t code) {
    if (code < unknown_marks[0]) {
        return false;
    }
    size_t at = last_not_above(unknown_marks, COUNT(unknown_marks), code);
    return at % 2 == 0 || unknown_marks[at] == code; /* first, last, first, last, … */
}

static uint8_t combining_class(uint32_t code) {
    if (code < 0x300) {
        return 0;
    }
    utf8proc_propval_t c = utf8proc_get_property((utf8proc_int32_t)code)->combining_class;
    return c == 0 || is_unknown_mark(code) ? 0 : (uint8_t)c;
}

static bool has_decomposition(uint32_t code) {
    const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)code);
    return p->decomp_type == 0 && p->decomp_seqindex != UINT16_MAX && !in_list(no_compose, COUNT(no_compose), code);
}

/* A character that can neither change under NFC nor join the one before it: a safe place to cut. */
static bool is_safe(uint32_t code) {
    if (code < 0x300 || code - S_BASE < S_COUNT || (code >= 0x4e00 && code < 0xa000)) {
        return true;
    }
    if (code - L_BASE < 0x100) {
        return code - L_BASE < 0x60; /* leading consonants */
    }
    return combining_class(code) == 0 && !has_decomposition(code) && !in_list(backward, COUNT(backward), code);
}

size_t exaone_nfc_prefix(const uint8_t *text, size_t n) {
    size_t safe = 0, i = 0;
    while (i < n) {
        if (text[i] < 0x80) {
            safe = i++;
            continue;
        }
        uint32_t code;
        size_t len = exaone_utf8_decode(text + i, n - i, &code);
        if (len == 0 || !is_safe(code)) {
            return safe;
        }
        safe = i;
        i += len;
    }
    return n;
}

typedef struct {
    uint32_t code;
    uint8_t ccc;
} mark;

typedef struct {
    mark *a;
    size_t n, cap;
} cluster;

static bool push(cluster *c, uint32_t code) {
    mark *grown = exaone_mem_grow(c->a, c->n, &c->cap, sizeof *grown);
    if (!grown) {
        return false;
    }
    c->a = grown;
    c->a[c->n++] = (mark){code, combining_class(code)};
    return true;
}

static bool push_decomposed(cluster *c, uint32_t code) {
    uint32_t s = code - S_BASE;
    if (s < S_COUNT) {
        return push(c, L_BASE + s / (V_COUNT * T_COUNT)) && push(c, V_BASE + s % (V_COUNT * T_COUNT) / T_COUNT) &&
               (s % T_COUNT == 0 || push(c, T_BASE + s % T_COUNT));
    }
    if (!has_decomposition(code)) {
        return push(c, code);
    }
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, parts, COUNT(parts), UTF8PROC_DECOMPOSE, &boundary);
    if (n < 1 || n > (utf8proc_ssize_t)COUNT(parts)) {
        return push(c, code); /* no canonical decomposition is longer than four */
    }
    for (utf8proc_ssize_t k = 0; k < n; k++) {
        if (!push(c, (uint32_t)parts[k])) {
            return false;
        }
    }
    return true;
}

/* Canonical ordering of a run of marks: a stable counting sort by class. */
static bool order_marks(mark *a, size_t n) {
    if (n < 16) {
        for (size_t i = 1; i < n; i++) {
            mark m = a[i];
            size_t k = i;
            for (; k > 0 && a[k - 1].ccc > m.ccc; k--) {
                a[k] = a[k - 1];
            }
            a[k] = m;
        }
        return true;
    }
    mark *copy = exaone_mem_array(n, sizeof *copy);
    if (!copy) {
        return false;
    }
    memcpy(copy, a, n * sizeof *a);
    size_t at[257] = {0};
    for (size_t i = 0; i < n; i++) {
        at[copy[i].ccc + 1]++;
    }
    for (size_t k = 1; k < COUNT(at); k++) {
        at[k] += at[k - 1];
    }
    for (size_t i = 0; i < n; i++) {
        a[at[copy[i].ccc]++] = copy[i];
    }
    free(copy);
    return true;
}

/* The primary composite of a pair, or 0. */
static uint32_t compose_pair(uint32_t a, uint32_t b) {
    if (a - L_BASE < L_COUNT && b - V_BASE < V_COUNT) {
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    }
    if (a - S_BASE < S_COUNT) {
        bool final = (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT;
        return final ? a + (b - T_BASE) : 0;
    }
    if (b - L_BASE < 0x100 || (combining_class(b) == 0 && !in_list(backward, COUNT(backward), b))) {
        return 0;
    }
    utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};
    if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1) {
        return 0;
    }
    uint32_t c = (uint32_t)pair[0];
    return in_list(no_compose, COUNT(no_compose), c) ? 0 : c;
}

static bool order_cluster(mark *a, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && a[end].ccc != 0) {
            end++;
        }
        if (end > i && !order_marks(a + i, end - i)) {
            return false;
        }
        i = end + 1;
    }
    return true;
}

/* Orders and composes the first n characters of the cluster, appends them to out and takes them away. */
static bool flush(cluster *c, size_t n, exaone_buf *out) {
    if (!order_cluster(c->a, n)) {
        return false;
    }
    size_t kept = 0, starter = SIZE_MAX; /* characters kept so far; index of the last starter among them */
    for (size_t i = 0; i < n; i++) {
        mark m = c->a[i];
        /* blocked: something of the same or a higher class (or another starter) stands between */
        bool next_to = starter != SIZE_MAX && starter + 1 == kept;
        bool open = starter != SIZE_MAX && (next_to || c->a[kept - 1].ccc < m.ccc);
        uint32_t joined = open ? compose_pair(c->a[starter].code, m.code) : 0;
        if (joined) {
            c->a[starter].code = joined;
            continue;
        }
        if (m.ccc == 0) {
            starter = kept;
        }
        c->a[kept++] = m;
    }
    for (size_t i = 0; i < kept; i++) {
        uint8_t bytes[4];
        if (!exaone_buf_append(out, bytes, exaone_utf8_encode(c->a[i].code, bytes))) {
            return false;
        }
    }
    memmove(c->a, c->a + n, (c->n - n) * sizeof *c->a);
    c->n -= n;
    return true;
}

/* Nothing before this (decomposed) character can compose with it or be reordered across it. */
static bool is_border(const mark *m) {
    return m->ccc == 0 && (m->code - L_BASE >= 0x100 || m->code - L_BASE < L_COUNT) &&
           !in_list(backward, COUNT(backward), m->code);
}

/* One stretch that is not known to be in NFC, from a safe place up to the next; *used = its length. */
static bool compose_stretch(const uint8_t *text, size_t n, cluster *c, exaone_buf *out, size_t *used) {
    size_t i = 0;
    while (i < n) {
        uint32_t code;
        size_t len = exaone_utf8_decode(text + i, n - i, &code);
        if (len == 0 || (i > 0 && is_safe(code))) {
            break;
        }
        size_t before = c->n;
        if (!push_decomposed(c, code)) {
            return false;
        }
        /* a long run of decomposable characters is worked off in parts */
        if (before >= 64 && is_border(&c->a[before]) && !flush(c, before, out)) {
            return false;
        }
        i += len;
    }
    *used = i;
    return c->n == 0 || flush(c, c->n, out);
}

bool exaone_nfc(const uint8_t *text, size_t n, exaone_buf *out) {
    cluster c = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < n;) {
        size_t good = exaone_nfc_prefix(text + i, n - i), used = 0;
        ok = exaone_buf_append(out, text + i, good);
        i += good;
        if (ok && i < n) {
            ok = compose_stretch(text + i, n - i, &c, out, &used);
            i += used;
        }
    }
    free(c.a);
    return ok;
}
