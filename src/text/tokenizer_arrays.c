/* The tokenizer in a GGUF file: the same vocabulary as arrays. The types of tokens stand for the list of added tokens; NFC
 * and the pattern follow from the name in tokenizer.ggml.pre. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer_internal.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED };
enum { MAX_SHOWN = 60 };

bool exaone_merge_split(exaone_string_view line, exaone_merge_text *m) {
    const char *space = line.n ? memchr(line.bytes, ' ', line.n) : NULL;
    if (!space) {
        return false;
    }
    size_t left = (size_t)(space - line.bytes), right = line.n - left - 1;
    *m = (exaone_merge_text){{line.bytes, left}, {space + 1, right}};
    return left > 0 && right > 0 && !memchr(space + 1, ' ', right);
}

static exaone_status check_name(const char *key, exaone_string_view have, const char *want, exaone_error *err) {
    if (have.n == strlen(want) && memcmp(have.bytes, want, have.n) == 0) {
        return EXAONE_OK;
    }
    return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "GGUF: %s is \"%.*s\"; this tokenizer is \"%s\"", key,
                       have.n < MAX_SHOWN ? (int)have.n : MAX_SHOWN, have.n ? have.bytes : "", want);
}

static exaone_status check_named_ids(const exaone_tokenizer_arrays *a, exaone_error *err) {
    const struct {
        const char *key;
        int64_t id;
    } named[] = {{"bos", a->bos}, {"eos", a->eos}, {"unknown", a->unk}, {"padding", a->pad}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (named[i].id < -1 || (named[i].id >= 0 && (uint64_t)named[i].id >= a->n_tokens)) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "GGUF: tokenizer.ggml.%s_token_id is %lld, but there are %zu tokens",
                               named[i].key, (long long)named[i].id, a->n_tokens);
        }
    }
    return EXAONE_OK;
}

static exaone_status check_utf8(const exaone_tokenizer_arrays *a, exaone_error *err) {
    for (size_t id = 0; id < a->n_tokens; id++) {
        if (exaone_utf8_valid_prefix((const uint8_t *)a->tokens[id].bytes, a->tokens[id].n) != a->tokens[id].n) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "GGUF: token %zu is not valid UTF-8", id);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_types(const exaone_tokenizer_arrays *a, uint8_t *kinds, exaone_error *err) {
    for (size_t id = 0; a->types && id < a->n_tokens; id++) {
        switch (a->types[id]) {
        case TYPE_NORMAL:
        case TYPE_UNUSED:
            break;
        case TYPE_UNKNOWN:
        case TYPE_CONTROL:
            kinds[id] = TOKEN_ADDED | TOKEN_SPECIAL;
            break;
        case TYPE_USER_DEFINED:
            kinds[id] = TOKEN_ADDED;
            break;
        default:
            return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "GGUF: token %zu has type %d; 1 to 5 are supported", id,
                               (int)a->types[id]);
        }
    }
    return EXAONE_OK;
}

exaone_status exaone_tokenizer_from_arrays(const exaone_tokenizer_arrays *a, exaone_tokenizer **out, exaone_error *err) {
    *out = NULL;
    exaone_status s = check_name("tokenizer.ggml.model", a->model, "gpt2", err);
    s = s == EXAONE_OK ? check_name("tokenizer.ggml.pre", a->pre, "exaone-moe", err) : s;
    s = s == EXAONE_OK ? check_named_ids(a, err) : s;
    s = s == EXAONE_OK ? check_utf8(a, err) : s;
    if (s != EXAONE_OK) {
        return s;
    }
    uint8_t *kinds = exaone_mem_array(a->n_tokens, 1);
    exaone_merge_text *merges = exaone_mem_array(a->n_merges, sizeof *merges);
    s = kinds && merges ? read_types(a, kinds, err)
                        : exaone_fail_memory(err, "the vocabulary", (unsigned long long)a->n_merges * sizeof *merges);
    for (size_t rank = 0; s == EXAONE_OK && rank < a->n_merges; rank++) {
        if (!exaone_merge_split(a->merges[rank], &merges[rank])) {
            s = exaone_fail(err, EXAONE_ERR_FORMAT, "GGUF: merge %zu is not two tokens with one space between", rank);
        }
    }
    if (s == EXAONE_OK) {
        exaone_tokenizer_parts parts = {.origin = "GGUF",
                                        .n_tokens = a->n_tokens,
                                        .tokens = a->tokens,
                                        .kinds = kinds,
                                        .n_merges = a->n_merges,
                                        .merges = merges,
                                        .nfc = true};
        s = exaone_tokenizer_build(&parts, out, err);
    }
    free(kinds);
    free(merges);
    return s;
}
