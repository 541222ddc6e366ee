/* For the tokenizer's tests: opening, encoding, and small tokenizer.json files made to measure. */
#ifndef TESTS_TEXT_TOKENIZER_SUPPORT_H
#define TESTS_TEXT_TOKENIZER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "exaone/text.h"
#include "text/tokenizer_pattern.h"

#define GOLDEN_TOKENIZER "tests/golden/edges/tokenizer/tokenizer.json"

static inline exaone_tokenizer *open_tokenizer(const char *path) {
    exaone_tokenizer *tok;
    exaone_error err;
    if (exaone_tokenizer_open(path, &tok, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return tok;
}

typedef struct {
    int32_t *ids;
    size_t n;
} id_list;

static inline id_list encode(const exaone_tokenizer *tok, const char *text, size_t n, unsigned flags) {
    id_list l;
    exaone_error err;
    if (exaone_tokenizer_encode(tok, text, n, flags, &l.ids, &l.n, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return l;
}

static inline void check_same_ids(id_list a, id_list b) {
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
}

/* The character of the byte alphabet for a byte, as UTF-8 with a NUL. */
static inline void spell_byte(int byte, char out[5]) {
    uint32_t code = (uint32_t)byte, others = 0x100;
    for (int b = 0; b <= byte; b++) {
        bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (!printable && b == byte) {
            code = others;
        }
        others += !printable;
    }
    out[exaone_utf8_encode(code, (uint8_t *)out)] = 0;
}

/* A tokenizer.json whose vocabulary is the 256 bytes (id = byte) and then `more_vocab` (", \"ab\": 256"), with these merges
 * and added tokens ("[...]"). free() it. */
static inline char *make_json(const char *more_vocab, const char *merges, const char *added) {
    exaone_buf b;
    exaone_buf_init(&b, 1 << 26);
    exaone_buf_printf(
        &b, "{\"added_tokens\": %s, \"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"Sequence\", ",
        added);
    exaone_buf_puts(&b, "\"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    exaone_json_put_string(&b, exaone_pattern_text, strlen(exaone_pattern_text));
    exaone_buf_puts(
        &b, "}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
            "\"use_regex\": false}]}, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int k = 0; k < 256; k++) {
        char c[5];
        spell_byte(k, c);
        exaone_buf_puts(&b, k ? ", " : "");
        exaone_json_put_string(&b, c, strlen(c));
        exaone_buf_printf(&b, ": %d", k);
    }
    exaone_buf_printf(&b, "%s}, \"merges\": %s}}", more_vocab, merges);
    assert_false(b.failed);
    return exaone_buf_take(&b, NULL);
}

static inline exaone_tokenizer *make_tokenizer(const char *more_vocab, const char *merges, const char *added) {
    char *json = make_json(more_vocab, merges, added);
    exaone_tokenizer *tok;
    exaone_error err;
    if (exaone_tokenizer_parse(json, strlen(json), &tok, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    free(json);
    return tok;
}

#endif
