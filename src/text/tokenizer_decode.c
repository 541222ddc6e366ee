/* Ids to text: the tokens' bytes in a row, with U+FFFD for what is no UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer_internal.h"

static const char replacement[] = "\xef\xbf\xbd";

size_t exaone_put_repaired(exaone_buf *out, const uint8_t *bytes, size_t n) {
    size_t i = 0;
    while (i < n) {
        size_t good = exaone_utf8_valid_prefix(bytes + i, n - i);
        exaone_buf_append(out, bytes + i, good);
        i += good;
        if (i == n) {
            break;
        }
        bool cut;
        size_t len = exaone_utf8_broken(bytes + i, n - i, &cut);
        /* The first two bytes of a surrogate are known to be broken, but wait for the third: so does the reference's
         * decoder. */
        if (cut || (n - i == 2 && bytes[i] == 0xed && bytes[i + 1] >= 0xa0 && bytes[i + 1] <= 0xbf)) {
            break;
        }
        exaone_buf_puts(out, replacement);
        i += len;
    }
    return i;
}

/* The same at the end of a text: nothing can go on. */
static void put_rest(exaone_buf *out, const uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n;) {
        bool cut;
        exaone_buf_puts(out, replacement);
        i += exaone_utf8_broken(bytes + i, n - i, &cut);
    }
}

static exaone_status fail_id(const exaone_tokenizer *tok, int32_t id, exaone_error *err) {
    return exaone_fail(err, EXAONE_ERR_ARGUMENT, "id %d is no token; the vocabulary has ids 0 to %u", (int)id,
                       tok->n_tokens - 1);
}

static exaone_status fail_text(size_t n, exaone_error *err) {
    if (n > EXAONE_TOKENIZER_MAX_TEXT) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the decoded text has more than %zu bytes", EXAONE_TOKENIZER_MAX_TEXT);
    }
    return exaone_fail_memory(err, "the decoded text", n);
}

exaone_status exaone_tokenizer_decode(const exaone_tokenizer *tok, const int32_t *ids, size_t n_ids, unsigned flags,
                                      char **text, size_t *n, exaone_error *err) {
    *text = NULL;
    exaone_buf raw, out;
    exaone_buf_init(&raw, EXAONE_TOKENIZER_MAX_TEXT);
    exaone_buf_init(&out, 3 * EXAONE_TOKENIZER_MAX_TEXT);
    exaone_status s = EXAONE_OK;
    size_t total = 0;
    for (size_t i = 0; s == EXAONE_OK && i < n_ids; i++) {
        size_t len;
        const uint8_t *bytes = exaone_tokenizer_bytes(tok, ids[i], &len);
        if (!bytes) {
            s = fail_id(tok, ids[i], err);
        } else if (!((flags & EXAONE_SKIP_SPECIAL) && (tok->kinds[ids[i]] & TOKEN_SPECIAL))) {
            total += len;
            s = exaone_buf_append(&raw, bytes, len) ? EXAONE_OK : fail_text(total, err);
        }
    }
    if (s == EXAONE_OK) {
        const uint8_t *bytes = (const uint8_t *)raw.data;
        size_t used = exaone_put_repaired(&out, bytes, raw.len);
        if (used < raw.len) {
            put_rest(&out, bytes + used, raw.len - used);
        }
        s = out.failed || !(*text = exaone_buf_take(&out, n)) ? fail_text(0, err) : EXAONE_OK;
    }
    exaone_buf_release(&raw);
    exaone_buf_release(&out);
    return s;
}

struct exaone_detokenizer {
    const exaone_tokenizer *tok;
    unsigned flags;
    exaone_buf raw; /* bytes held back; during a put also the token's */
    exaone_buf out;
};

exaone_status exaone_detokenizer_new(const exaone_tokenizer *tok, unsigned flags, exaone_detokenizer **out,
                                     exaone_error *err) {
    exaone_detokenizer *d = exaone_mem_array(1, sizeof *d);
    *out = d;
    if (!d) {
        return exaone_fail_memory(err, "the detokenizer", sizeof *d);
    }
    d->tok = tok;
    d->flags = flags;
    exaone_buf_init(&d->raw, EXAONE_TOKENIZER_MAX_TEXT);
    exaone_buf_init(&d->out, 3 * EXAONE_TOKENIZER_MAX_TEXT);
    return EXAONE_OK;
}

void exaone_detokenizer_free(exaone_detokenizer *d) {
    if (d) {
        exaone_buf_release(&d->raw);
        exaone_buf_release(&d->out);
        free(d);
    }
}

static void give(exaone_detokenizer *d, const char **text, size_t *n) {
    *text = d->out.len ? d->out.data : "";
    *n = d->out.len;
}

exaone_status exaone_detokenizer_put(exaone_detokenizer *d, int32_t id, const char **text, size_t *n, exaone_error *err) {
    exaone_buf_clear(&d->out);
    give(d, text, n);
    size_t len, held = d->raw.len;
    const uint8_t *bytes = exaone_tokenizer_bytes(d->tok, id, &len);
    if (!bytes) {
        return fail_id(d->tok, id, err);
    }
    if ((d->flags & EXAONE_SKIP_SPECIAL) && (d->tok->kinds[id] & TOKEN_SPECIAL)) {
        return EXAONE_OK;
    }
    exaone_buf_append(&d->raw, bytes, len);
    size_t used = d->raw.failed ? 0 : exaone_put_repaired(&d->out, (const uint8_t *)d->raw.data, d->raw.len);
    if (d->raw.failed || d->out.failed) {
        exaone_buf_clear(&d->out);
        d->raw.len = held;
        d->raw.failed = false;
        return fail_text(len, err);
    }
    size_t rest = d->raw.len - used;
    memmove(d->raw.data, d->raw.data + used, rest);
    d->raw.len = rest;
    give(d, text, n);
    return EXAONE_OK;
}

exaone_status exaone_detokenizer_flush(exaone_detokenizer *d, const char **text, size_t *n, exaone_error *err) {
    exaone_buf_clear(&d->out);
    give(d, text, n);
    put_rest(&d->out, (const uint8_t *)d->raw.data, d->raw.len);
    if (d->out.failed) {
        exaone_buf_clear(&d->out);
        return fail_text(0, err);
    }
    exaone_buf_clear(&d->raw);
    give(d, text, n);
    return EXAONE_OK;
}
