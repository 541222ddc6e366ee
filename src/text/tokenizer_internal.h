/* Inside the tokenizer: its data, and the builder that both file formats share. */
#ifndef EXAONE_TEXT_TOKENIZER_INTERNAL_H
#define EXAONE_TEXT_TOKENIZER_INTERNAL_H

#include "base/buf.h"
#include "text/tokenizer.h"

enum { TOKEN_ADDED = 1, TOKEN_SPECIAL = 2 };

/* The hash tables use open addressing and are at most half full. Nothing lies further than this from its place: a file for
 * which that fails was made to make it fail, and is refused. */
enum { EXAONE_MAX_PROBES = 1024 };

typedef struct exaone_merge {
    uint32_t left, right, result; /* ids */
} exaone_merge;

struct exaone_tokenizer {
    uint32_t n_tokens;
    bool nfc;
    uint8_t *bytes;         /* what the tokens contribute, in a row */
    uint32_t *offsets;      /* [n_tokens + 1] into bytes */
    uint8_t *kinds;         /* [n_tokens] TOKEN_… */
    uint32_t byte_ids[256]; /* token of each single byte */

    exaone_merge *merges; /* [n_merges]; the index is the rank */
    uint32_t n_merges;
    uint32_t *pair_slots; /* [pair_mask + 1] open addressing: rank + 1, 0 = empty */
    uint32_t pair_mask;

    uint32_t *text_slots; /* [text_mask + 1] open addressing over the tokens' bytes: id + 1, 0 = empty */
    uint32_t text_mask;

    uint32_t *added; /* [n_added] ids, sorted by their bytes */
    uint32_t n_added;
    bool added_first[256]; /* some added token begins with this byte */
};

static inline const uint8_t *exaone_token_bytes(const exaone_tokenizer *tok, uint32_t id, size_t *n) {
    *n = tok->offsets[id + 1] - tok->offsets[id];
    return tok->bytes + tok->offsets[id];
}

/* ---- building (tokenizer_build.c) -------------------------------------------------------------------------------- */

typedef struct exaone_merge_text {
    exaone_string_view left, right; /* spellings in the byte alphabet */
} exaone_merge_text;

/* Splits "left right" at its only space, into the line; false when there is not exactly one, or nothing beside it. */
bool exaone_merge_split(exaone_string_view line, exaone_merge_text *m);

/* What a file says, in one form. Spellings are valid UTF-8: ordinary tokens in the byte alphabet, added ones as plain text.
 */
typedef struct exaone_tokenizer_parts {
    const char *origin; /* "tokenizer.json", "GGUF": for messages */
    size_t n_tokens;
    const exaone_string_view *tokens; /* [n_tokens] */
    const uint8_t *kinds;             /* [n_tokens] TOKEN_… */
    size_t n_merges;
    const exaone_merge_text *merges;
    bool nfc;
} exaone_tokenizer_parts;

/* Checks and indexes the parts; copies what it needs. */
EXAONE_MUST_USE exaone_status exaone_tokenizer_build(const exaone_tokenizer_parts *parts, exaone_tokenizer **out,
                                                     exaone_error *err);

/* ---- merging (tokenizer_bpe.c) ----------------------------------------------------------------------------------- */

/* Scratch memory that grows to the longest piece. */
typedef struct exaone_bpe {
    uint32_t *id, *prev, *next; /* [cap] per byte of the piece */
    uint64_t *heap;             /* [2 * cap] rank << 32 | place */
    size_t cap, n_heap;
} exaone_bpe;

void exaone_bpe_release(exaone_bpe *b);

typedef struct exaone_ids {
    int32_t *a;
    size_t n, cap;
} exaone_ids;

/* The tokens of one piece (n > 0 bytes) are appended to `ids`; false when out of memory. */
bool exaone_bpe_encode(const exaone_tokenizer *tok, exaone_bpe *b, const uint8_t *piece, size_t n, exaone_ids *ids);
bool exaone_ids_reserve(exaone_ids *ids, size_t more);

/* Rank of a pair of ids, or UINT32_MAX. */
uint32_t exaone_merge_rank(const exaone_tokenizer *tok, uint32_t left, uint32_t right);

/* ---- small things ------------------------------------------------------------------------------------------------ */

/* Mixes 64 bits so that every input bit reaches every output bit. */
static inline uint64_t exaone_mix64(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static inline uint32_t exaone_pair_hash(uint32_t left, uint32_t right) {
    return (uint32_t)exaone_mix64((uint64_t)left << 32 | right);
}

uint32_t exaone_text_hash(const void *bytes, size_t n);

/* Appends bytes as valid UTF-8, each maximal broken part as U+FFFD, but stops where a sequence is cut off by the end and
 * could go on. Returns how many bytes were used. Failure shows in out->failed. */
size_t exaone_put_repaired(exaone_buf *out, const uint8_t *bytes, size_t n);

#endif
