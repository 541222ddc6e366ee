/* Text to ids, in four steps, in the reference's order:
 *   1  broken UTF-8 becomes U+FFFD,
 *   2  added tokens are cut out of what may hold them: leftmost, at one place the longest,
 *   3  each stretch between them is brought into NFC and split by the pattern, by itself,
 *   4  each piece is merged. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_pattern.h"
#include "text/unicode.h"

/* Bytes [begin, end) of the repaired text in which added tokens count. */
typedef struct {
    size_t begin, end;
} region;

typedef struct {
    const exaone_tokenizer *tok;
    exaone_buf text; /* all spans, repaired */
    region *trusted; /* ascending, not touching */
    size_t n_trusted, cap_trusted;
    exaone_buf composed; /* one stretch in NFC */
    exaone_bpe bpe;
    exaone_ids ids;
    exaone_encoding *pieces; /* NULL: nobody asked for pieces */
    exaone_buf piece_text;
    size_t cap_pieces;
    exaone_error *err;
} encoder;

static exaone_status fail_text_memory(const encoder *e) {
    return exaone_fail_memory(e->err, "encoding the text", e->text.len);
}

/* ---- step 1 ------------------------------------------------------------------------------------------------------ */

/* Marks the bytes of the repaired text from `begin` to its end as trusted. */
static bool trust(encoder *e, size_t begin) {
    if (begin == e->text.len) {
        return true;
    }
    if (e->n_trusted && e->trusted[e->n_trusted - 1].end == begin) {
        e->trusted[e->n_trusted - 1].end = e->text.len;
        return true;
    }
    if (e->n_trusted == e->cap_trusted) {
        size_t cap = e->cap_trusted * 2 + 8;
        region *grown = exaone_mem_resize(e->trusted, cap, sizeof *grown);
        if (!grown) {
            return false;
        }
        e->trusted = grown;
        e->cap_trusted = cap;
    }
    e->trusted[e->n_trusted++] = (region){begin, e->text.len};
    return true;
}

/* Repairs raw[i .. end), which is trusted or not as a whole; a character that begins there may end behind it and is then not
 * trusted. Returns where to go on, or SIZE_MAX when out of memory. */
static size_t repair_part(encoder *e, const uint8_t *raw, size_t n, size_t i, size_t end, bool trusted) {
    while (i < end) {
        size_t begin = e->text.len, good = exaone_utf8_valid_prefix(raw + i, end - i);
        exaone_buf_append(&e->text, raw + i, good);
        i += good;
        if (trusted && !trust(e, begin)) {
            return SIZE_MAX;
        }
        if (i == end) {
            break;
        }
        uint32_t code;
        size_t len = exaone_utf8_decode(raw + i, n - i, &code);
        begin = e->text.len;
        if (len) {
            exaone_buf_append(&e->text, raw + i, len); /* over the end of the part */
        } else {
            bool cut;
            len = exaone_utf8_broken(raw + i, n - i, &cut);
            exaone_buf_puts(&e->text, "\xef\xbf\xbd");
        }
        i += len;
        if (trusted && i <= end && !trust(e, begin)) {
            return SIZE_MAX;
        }
    }
    return e->text.failed ? SIZE_MAX : i;
}

static exaone_status join_spans(const exaone_text_span *spans, size_t n_spans, uint8_t **raw, size_t *n, exaone_error *err) {
    size_t total = 0;
    for (size_t k = 0; k < n_spans; k++) {
        if (!exaone_size_add(total, spans[k].n, &total) || total > EXAONE_TOKENIZER_MAX_TEXT) {
            return exaone_fail(err, EXAONE_ERR_LIMIT, "the text has more than %zu bytes", EXAONE_TOKENIZER_MAX_TEXT);
        }
    }
    *n = total;
    *raw = n_spans > 1 ? exaone_mem_array(total, 1) : NULL;
    if (n_spans <= 1) {
        return EXAONE_OK;
    }
    if (!*raw) {
        return exaone_fail_memory(err, "the text", total);
    }
    size_t at = 0;
    for (size_t k = 0; k < n_spans; k++) {
        if (spans[k].n) {
            memcpy(*raw + at, spans[k].text, spans[k].n);
            at += spans[k].n;
        }
    }
    return EXAONE_OK;
}

static exaone_status repair(encoder *e, const exaone_text_span *spans, size_t n_spans) {
    uint8_t *joined = NULL;
    size_t n = 0;
    exaone_status s = join_spans(spans, n_spans, &joined, &n, e->err);
    if (s != EXAONE_OK) {
        return s;
    }
    const uint8_t *raw = joined ? joined : n ? (const uint8_t *)spans[0].text : NULL;
    size_t i = 0, end = 0;
    for (size_t k = 0; k < n_spans && i != SIZE_MAX;) {
        bool trusted = spans[k].trusted;
        for (; k < n_spans && (spans[k].trusted == trusted || spans[k].n == 0); k++) {
            end += spans[k].n;
        }
        if (i < end) {
            i = repair_part(e, raw, n, i, end, trusted);
        }
    }
    free(joined);
    return i == SIZE_MAX ? fail_text_memory(e) : EXAONE_OK;
}

/* ---- step 2 ------------------------------------------------------------------------------------------------------ */

/* The first of added[low .. high) whose byte `depth` is not below `byte`; a token that ends before counts as below. */
static uint32_t lower(const exaone_tokenizer *tok, uint32_t low, uint32_t high, size_t depth, unsigned byte) {
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        size_t n;
        const uint8_t *b = exaone_token_bytes(tok, tok->added[mid], &n);
        if (n <= depth || b[depth] < byte) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool has_byte(const exaone_tokenizer *tok, uint32_t at, size_t depth, uint8_t byte) {
    size_t n;
    const uint8_t *b = exaone_token_bytes(tok, tok->added[at], &n);
    return n > depth && b[depth] == byte;
}

/* The longest added token at text[0 .. n): narrows the sorted list byte by byte. Tokens have a greatest length, so this is
 * bounded. Returns its length, 0 for none. */
static size_t match_added(const exaone_tokenizer *tok, const uint8_t *text, size_t n, uint32_t *id) {
    if (!tok->added_first[text[0]]) {
        return 0;
    }
    uint32_t low = 0, high = tok->n_added;
    size_t found = 0;
    for (size_t depth = 0; depth < n && low < high; depth++) {
        if (!has_byte(tok, low, depth, text[depth]) || !has_byte(tok, high - 1, depth, text[depth])) {
            low = lower(tok, low, high, depth, text[depth]);
            high = lower(tok, low, high, depth, text[depth] + 1u);
        }
        size_t len;
        if (low < high && (exaone_token_bytes(tok, tok->added[low], &len), len == depth + 1)) {
            found = len;
            *id = tok->added[low];
        }
    }
    return found;
}

/* ---- steps 3 and 4 ----------------------------------------------------------------------------------------------- */

/* Notes a piece of n bytes whose tokens are those from first_id on. */
static bool note_piece(encoder *e, const uint8_t *text, size_t n, size_t first_id, bool added) {
    exaone_encoding *p = e->pieces;
    if (!p) {
        return true;
    }
    if (p->n_pieces == e->cap_pieces) {
        size_t cap = e->cap_pieces * 2 + 16;
        exaone_piece *grown = exaone_mem_resize(p->pieces, cap, sizeof *grown);
        if (!grown) {
            return false;
        }
        p->pieces = grown;
        e->cap_pieces = cap;
    }
    size_t begin = e->piece_text.len;
    if (!exaone_buf_append(&e->piece_text, text, n)) {
        return false;
    }
    p->pieces[p->n_pieces++] = (exaone_piece){begin, begin + n, first_id, e->ids.n - first_id, added};
    return true;
}

static exaone_status encode_stretch(encoder *e, const uint8_t *text, size_t n) {
    if (e->tok->nfc && exaone_nfc_prefix(text, n) != n) {
        exaone_buf_clear(&e->composed);
        if (!exaone_nfc(text, n, &e->composed)) {
            return fail_text_memory(e);
        }
        text = (const uint8_t *)e->composed.data;
        n = e->composed.len;
    }
    while (n > 0) {
        size_t len = exaone_pattern_piece(text, n), first = e->ids.n;
        if (!exaone_bpe_encode(e->tok, &e->bpe, text, len, &e->ids) || !note_piece(e, text, len, first, false)) {
            return fail_text_memory(e);
        }
        text += len;
        n -= len;
    }
    return EXAONE_OK;
}

static exaone_status encode_added(encoder *e, const uint8_t *text, size_t n, uint32_t id) {
    if (!exaone_ids_reserve(&e->ids, 1)) {
        return fail_text_memory(e);
    }
    e->ids.a[e->ids.n++] = (int32_t)id;
    return note_piece(e, text, n, e->ids.n - 1, true) ? EXAONE_OK : fail_text_memory(e);
}

static exaone_status encode_all(encoder *e) {
    const uint8_t *text = (const uint8_t *)e->text.data;
    size_t done = 0;
    exaone_status s = EXAONE_OK;
    for (size_t k = 0; k < e->n_trusted; k++) {
        for (size_t i = e->trusted[k].begin; i < e->trusted[k].end;) {
            uint32_t id = 0;
            size_t len = match_added(e->tok, text + i, e->trusted[k].end - i, &id);
            if (len == 0) {
                i++;
                continue;
            }
            s = encode_stretch(e, text + done, i - done);
            s = s == EXAONE_OK ? encode_added(e, text + i, len, id) : s;
            if (s != EXAONE_OK) {
                return s;
            }
            i += len;
            done = i;
        }
    }
    return encode_stretch(e, text + done, e->text.len - done);
}

static exaone_status finish(encoder *e, int32_t **ids, size_t *n_ids) {
    if (!exaone_ids_reserve(&e->ids, 1)) { /* never NULL */
        return fail_text_memory(e);
    }
    if (e->pieces) {
        e->pieces->text = exaone_buf_take(&e->piece_text, &e->pieces->n_text);
        if (!e->pieces->text) {
            return fail_text_memory(e);
        }
    }
    *ids = e->ids.a;
    *n_ids = e->ids.n;
    e->ids = (exaone_ids){0};
    return EXAONE_OK;
}

static exaone_status encode(const exaone_tokenizer *tok, const exaone_text_span *spans, size_t n_spans,
                            exaone_encoding *pieces, int32_t **ids, size_t *n_ids, exaone_error *err) {
    encoder e = {.tok = tok, .pieces = pieces, .err = err};
    *ids = NULL;
    *n_ids = 0;
    exaone_buf_init(&e.text, 3 * EXAONE_TOKENIZER_MAX_TEXT);
    exaone_buf_init(&e.composed, 9 * EXAONE_TOKENIZER_MAX_TEXT);
    exaone_buf_init(&e.piece_text, 9 * EXAONE_TOKENIZER_MAX_TEXT);
    exaone_status s = repair(&e, spans, n_spans);
    s = s == EXAONE_OK && e.text.len ? encode_all(&e) : s;
    s = s == EXAONE_OK ? finish(&e, ids, n_ids) : s;
    free(e.trusted);
    free(e.ids.a);
    exaone_bpe_release(&e.bpe);
    exaone_buf_release(&e.text);
    exaone_buf_release(&e.composed);
    exaone_buf_release(&e.piece_text);
    return s;
}

exaone_status exaone_tokenizer_encode(const exaone_tokenizer *tok, const char *text, size_t n, unsigned flags, int32_t **ids,
                                      size_t *n_ids, exaone_error *err) {
    exaone_text_span span = {text, n, flags & EXAONE_PARSE_SPECIAL};
    return encode(tok, &span, 1, NULL, ids, n_ids, err);
}

exaone_status exaone_tokenizer_encode_spans(const exaone_tokenizer *tok, const exaone_text_span *spans, size_t n_spans,
                                            int32_t **ids, size_t *n_ids, exaone_error *err) {
    return encode(tok, spans, n_spans, NULL, ids, n_ids, err);
}

exaone_status exaone_tokenizer_encode_pieces(const exaone_tokenizer *tok, const char *text, size_t n, unsigned flags,
                                             exaone_encoding *out, exaone_error *err) {
    *out = (exaone_encoding){0};
    exaone_text_span span = {text, n, flags & EXAONE_PARSE_SPECIAL};
    exaone_status s = encode(tok, &span, 1, out, &out->ids, &out->n_ids, err);
    if (s != EXAONE_OK) {
        exaone_encoding_release(out);
    }
    return s;
}

void exaone_encoding_release(exaone_encoding *e) {
    if (e) {
        free(e->ids);
        free(e->text);
        free(e->pieces);
        *e = (exaone_encoding){0};
    }
}
