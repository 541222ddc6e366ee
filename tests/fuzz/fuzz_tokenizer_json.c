/* tokenizer.json: any bytes are refused or give a tokenizer that encodes, and decodes what it encoded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const exaone_tokenizer *tok, const char *text, size_t n, unsigned flags) {
    int32_t *ids;
    size_t n_ids, n_back;
    char *back;
    if (exaone_tokenizer_encode(tok, text, n, flags, &ids, &n_ids, NULL) != EXAONE_OK) {
        abort();
    }
    if (exaone_tokenizer_decode(tok, ids, n_ids, 0, &back, &n_back, NULL) != EXAONE_OK || n_back != n ||
        memcmp(back, text, n) != 0) {
        abort();
    }
    free(back);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_tokenizer *tok;
    exaone_error err = {0};
    if (exaone_tokenizer_parse(data, size, &tok, &err) != EXAONE_OK) {
        if (tok || !err.message[0]) {
            abort();
        }
        return 0;
    }
    static const char text[] = "ab abab <x><x>> it's  12\r\n\xed\x95\x9c\xea\xb8\x80";
    round_trip(tok, text, sizeof text - 1, 0);
    round_trip(tok, text, sizeof text - 1, EXAONE_PARSE_SPECIAL);
    for (int32_t id = 0; id < exaone_tokenizer_vocab_size(tok); id++) {
        size_t n;
        const uint8_t *bytes = exaone_tokenizer_bytes(tok, id, &n);
        if (!bytes || n == 0 || exaone_tokenizer_id(tok, (const char *)bytes, n) < 0) {
            abort();
        }
    }
    exaone_tokenizer_free(tok);
    return 0;
}
