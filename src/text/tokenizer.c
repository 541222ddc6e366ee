/* The tokenizer as an object: its vocabulary, and its end. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_internal.h"

void exaone_tokenizer_free(exaone_tokenizer *tok) {
    if (!tok) {
        return;
    }
    free(tok->bytes);
    free(tok->offsets);
    free(tok->kinds);
    free(tok->merges);
    free(tok->pair_slots);
    free(tok->text_slots);
    free(tok->added);
    free(tok);
}

int32_t exaone_tokenizer_vocab_size(const exaone_tokenizer *tok) {
    return (int32_t)tok->n_tokens;
}

int32_t exaone_tokenizer_id(const exaone_tokenizer *tok, const char *bytes, size_t n) {
    if (n == 0) {
        return -1;
    }
    uint32_t slot = exaone_text_hash(bytes, n) & tok->text_mask;
    for (int k = 0; k < EXAONE_MAX_PROBES; k++, slot = (slot + 1) & tok->text_mask) {
        uint32_t entry = tok->text_slots[slot];
        if (entry == 0) {
            break;
        }
        size_t have;
        const uint8_t *token = exaone_token_bytes(tok, entry - 1, &have);
        if (have == n && memcmp(token, bytes, n) == 0) {
            return (int32_t)(entry - 1);
        }
    }
    return -1;
}

static bool is_id(const exaone_tokenizer *tok, int32_t id) {
    return id >= 0 && (uint32_t)id < tok->n_tokens;
}

const uint8_t *exaone_tokenizer_bytes(const exaone_tokenizer *tok, int32_t id, size_t *n) {
    if (!is_id(tok, id)) {
        *n = 0;
        return NULL;
    }
    return exaone_token_bytes(tok, (uint32_t)id, n);
}

bool exaone_tokenizer_is_added(const exaone_tokenizer *tok, int32_t id) {
    return is_id(tok, id) && tok->kinds[id] & TOKEN_ADDED;
}

bool exaone_tokenizer_is_special(const exaone_tokenizer *tok, int32_t id) {
    return is_id(tok, id) && tok->kinds[id] & TOKEN_SPECIAL;
}

size_t exaone_tokenizer_memory(const exaone_tokenizer *tok) {
    size_t n = sizeof *tok + tok->offsets[tok->n_tokens];
    n += tok->n_tokens * (sizeof *tok->kinds + sizeof *tok->offsets) + sizeof *tok->offsets;
    n += tok->n_merges * sizeof *tok->merges + tok->n_added * sizeof *tok->added;
    return n + ((size_t)tok->pair_mask + 1 + tok->text_mask + 1) * sizeof(uint32_t);
}
