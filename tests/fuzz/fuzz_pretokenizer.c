/* Any bytes as a text: pieces cover it, its ids decode to it, spans and the stream agree. The first byte chooses cuts and
 * flags. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "exaone/text.h"
#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static exaone_tokenizer *tok;

static void demand(bool condition) {
    if (!condition) {
        abort();
    }
}

static void check_pieces(const exaone_encoding *e) {
    size_t at = 0, id = 0;
    for (size_t i = 0; i < e->n_pieces; i++) {
        const exaone_piece *p = &e->pieces[i];
        demand(p->begin == at && p->end > at && p->first_id == id && p->n_ids > 0);
        size_t bytes = 0, n;
        for (size_t k = 0; k < p->n_ids; k++) {
            demand(exaone_tokenizer_bytes(tok, e->ids[id + k], &n) != NULL);
            bytes += n;
        }
        demand(bytes == p->end - p->begin);
        demand(p->added == exaone_tokenizer_is_added(tok, e->ids[id]));
        at = p->end;
        id += p->n_ids;
    }
    demand(at == e->n_text && id == e->n_ids);
}

static void check_decode(const exaone_encoding *e, unsigned flags) {
    char *text;
    size_t n, at = 0;
    demand(exaone_tokenizer_decode(tok, e->ids, e->n_ids, flags, &text, &n, NULL) == EXAONE_OK);
    demand(flags || (n == e->n_text && memcmp(text, e->text, n) == 0));
    exaone_detokenizer *d;
    demand(exaone_detokenizer_new(tok, flags, &d, NULL) == EXAONE_OK);
    for (size_t i = 0; i <= e->n_ids; i++) {
        const char *part;
        size_t len;
        exaone_status s = i < e->n_ids ? exaone_detokenizer_put(d, e->ids[i], &part, &len, NULL)
                                       : exaone_detokenizer_flush(d, &part, &len, NULL);
        demand(s == EXAONE_OK && len <= n - at && memcmp(part, text + at, len) == 0);
        demand(exaone_utf8_valid_prefix((const uint8_t *)part, len) == len);
        at += len;
    }
    demand(at == n);
    exaone_detokenizer_free(d);
    free(text);
}

static void check_spans(const uint8_t *data, size_t size, uint8_t choice, const exaone_encoding *e, bool trusted) {
    size_t cut = size ? choice % (size + 1) : 0;
    const exaone_text_span spans[] = {{(const char *)data, cut, trusted}, {(const char *)data + cut, size - cut, trusted}};
    int32_t *ids;
    size_t n;
    demand(exaone_tokenizer_encode_spans(tok, spans, 2, &ids, &n, NULL) == EXAONE_OK);
    demand(n == e->n_ids && memcmp(ids, e->ids, n * sizeof *ids) == 0);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tok && exaone_tokenizer_open("models/tiny/tokenizer.json", &tok, NULL) != EXAONE_OK) {
        abort(); /* run from the root of the repository */
    }
    uint8_t choice = size ? data[0] : 0;
    data += size > 0;
    size -= size > 0;
    for (unsigned flags = 0; flags <= EXAONE_PARSE_SPECIAL; flags++) {
        exaone_encoding e;
        demand(exaone_tokenizer_encode_pieces(tok, (const char *)data, size, flags, &e, NULL) == EXAONE_OK);
        check_pieces(&e);
        check_decode(&e, 0);
        check_decode(&e, EXAONE_SKIP_SPECIAL);
        check_spans(data, size, choice, &e, flags == EXAONE_PARSE_SPECIAL);
        if (flags == 0) { /* one stretch: the text is NFC, and NFC again is the same */
            exaone_buf again;
            exaone_buf_init(&again, SIZE_MAX / 4);
            demand(exaone_nfc((const uint8_t *)e.text, e.n_text, &again));
            demand(again.len == e.n_text && (again.len == 0 || memcmp(again.data, e.text, again.len) == 0));
            exaone_buf_release(&again);
        }
        exaone_encoding_release(&e);
    }
    return 0;
}
