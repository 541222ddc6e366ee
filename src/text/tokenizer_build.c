/* From the spellings in a file to the indexed tokenizer: checks, the byte alphabet, hash tables.
 *
 * The byte alphabet is GPT-2's: printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 and up, in
 * order. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer_internal.h"

enum { MAX_SHOWN = 60 /* bytes of a token in a message */, BATCH = 32, ALPHABET_END = 0x100 + 68 };

/* n < 8 bytes, the first of them in the lowest bits; `behind`: there are 8 bytes before them. */
static inline uint64_t last_bytes(const uint8_t *p, size_t n, bool behind) {
    uint64_t word = 0;
    uint32_t four[2];
    if (n == 0) {
        return 0;
    }
    if (behind) {
        memcpy(&word, p + n - 8, 8);
        return word >> (64 - 8 * n);
    }
    if (n >= 4) { /* twice four, which may overlap */
        memcpy(&four[0], p, 4);
        memcpy(&four[1], p + n - 4, 4);
        return four[0] | (uint64_t)four[1] << (8 * (n - 4));
    }
    return p[0] | (uint64_t)p[n / 2] << (n / 2 * 8) | (uint64_t)p[n - 1] << (8 * (n - 1));
}

uint32_t exaone_text_hash(const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    uint64_t h = (uint64_t)n * 0x9e3779b97f4a7c15u;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = exaone_mix64(h ^ word);
    }
    return (uint32_t)exaone_mix64(h ^ last_bytes(p, n, p != bytes));
}

/* The byte that a character of the alphabet stands for, or -1. */
static int alphabet_byte(uint32_t code) {
    if ((code >= 0x21 && code <= 0x7e) || (code >= 0xa1 && code <= 0xac) || (code >= 0xae && code <= 0xff)) {
        return (int)code;
    }
    if (code >= 0x100 && code < 0x100 + 33) {
        return (int)(code - 0x100); /* 0 .. 0x20 */
    }
    if (code >= 0x100 + 33 && code < 0x100 + 67) {
        return (int)(code - 0x100 - 33 + 0x7f); /* 0x7f .. 0xa0 */
    }
    return code == 0x100 + 67 ? 0xad : -1;
}

/* A table of indices into an array of strings. */
typedef struct {
    uint32_t hash;  /* compared before the string, which lies anywhere in memory */
    uint32_t entry; /* index + 1, 0 = empty */
} string_slot;

typedef struct {
    string_slot *slots;
    uint32_t mask;
} string_table;

static size_t table_size(size_t n) {
    size_t size = 16;
    while (size < 2 * n + 2) {
        size *= 2;
    }
    return size;
}

static bool table_new(size_t n, uint32_t **slots, uint32_t *mask) {
    *slots = exaone_mem_array(table_size(n), sizeof **slots);
    *mask = (uint32_t)(table_size(n) - 1);
    return *slots != NULL;
}

/* memcmp == 0 of a few bytes. */
static inline bool same_bytes(const void *a, const void *b, size_t n) {
    const uint8_t *pa = a, *pb = b;
    uint64_t wa, wb;
    for (; n >= 8; n -= 8, pa += 8, pb += 8) {
        memcpy(&wa, pa, 8);
        memcpy(&wb, pb, 8);
        if (wa != wb) {
            return false;
        }
    }
    return last_bytes(pa, n, pa != a) == last_bytes(pb, n, pb != b);
}

static inline bool same_text(exaone_string_view a, const void *bytes, size_t n) {
    return a.n == n && same_bytes(a.bytes, bytes, n);
}

/* The slot of a spelling, or the empty one where it belongs (with its hash noted); NULL after too many probes. */
static string_slot *find_slot(const string_table *t, const exaone_string_view *all, const void *bytes, size_t n,
                              uint32_t hash) {
    uint32_t at = hash & t->mask;
    for (int k = 0; k < EXAONE_MAX_PROBES; k++, at = (at + 1) & t->mask) {
        string_slot *slot = &t->slots[at];
        if (slot->entry == 0) {
            slot->hash = hash;
            return slot;
        }
        if (slot->hash == hash && same_text(all[slot->entry - 1], bytes, n)) {
            return slot;
        }
    }
    return NULL;
}

/* What lies in tables far larger than the caches is fetched for a batch of entries before the first of them is looked at. */
static void fetch_slot(const string_table *t, uint32_t hash) {
    __builtin_prefetch(&t->slots[hash & t->mask]);
}

/* The spelling that a look-up will probably compare with; NULL when it is not soon found. */
static const exaone_string_view *likely(const string_table *t, const exaone_string_view *all, uint32_t hash) {
    for (uint32_t k = 0; k < 4; k++) {
        const string_slot *slot = &t->slots[(hash + k) & t->mask];
        if (slot->entry != 0 && slot->hash == hash) {
            return &all[slot->entry - 1];
        }
    }
    return NULL;
}

typedef struct {
    const exaone_tokenizer_parts *parts;
    exaone_tokenizer *tok;
    string_table spellings;
    exaone_buf joined; /* left and right of a merge */
    exaone_error *err;
} builder;

static exaone_status fail_crafted(const builder *b, const char *what) {
    return exaone_fail(b->err, EXAONE_ERR_FORMAT, "%s: more than %d %s fall on one place of the hash table",
                       b->parts->origin, EXAONE_MAX_PROBES, what);
}

static int shown(exaone_string_view s) {
    return s.n < MAX_SHOWN ? (int)s.n : MAX_SHOWN;
}

static const char *text_of(exaone_string_view s) {
    return s.n ? s.bytes : "";
}

static exaone_status check_sizes(const builder *b) {
    const exaone_tokenizer_parts *p = b->parts;
    if (p->n_tokens < 256 || p->n_tokens > EXAONE_TOKENIZER_MAX_VOCAB) {
        return exaone_fail(b->err, p->n_tokens < 256 ? EXAONE_ERR_FORMAT : EXAONE_ERR_LIMIT,
                           "%s: %zu tokens; a byte-level vocabulary has 256 to %d", p->origin, p->n_tokens,
                           EXAONE_TOKENIZER_MAX_VOCAB);
    }
    if (p->n_merges > 2 * (size_t)EXAONE_TOKENIZER_MAX_VOCAB) {
        return exaone_fail(b->err, EXAONE_ERR_LIMIT, "%s: %zu merges; the limit is %d", p->origin, p->n_merges,
                           2 * EXAONE_TOKENIZER_MAX_VOCAB);
    }
    size_t total = 0, n_added = 0;
    for (size_t id = 0; id < p->n_tokens; id++) {
        size_t n = p->tokens[id].n;
        if (n == 0) {
            return exaone_fail(b->err, EXAONE_ERR_FORMAT, "%s: token %zu is empty", p->origin, id);
        }
        bool added = p->kinds[id] & TOKEN_ADDED;
        if (added && n > EXAONE_TOKENIZER_MAX_ADDED_BYTES) {
            return exaone_fail(b->err, EXAONE_ERR_LIMIT, "%s: added token %zu has %zu bytes; the limit is %d", p->origin, id,
                               n, EXAONE_TOKENIZER_MAX_ADDED_BYTES);
        }
        n_added += added;
        if (!exaone_size_add(total, n, &total) || total > UINT32_MAX) {
            return exaone_fail(b->err, EXAONE_ERR_LIMIT, "%s: the tokens have more than %u bytes together", p->origin,
                               UINT32_MAX);
        }
    }
    if (n_added > EXAONE_TOKENIZER_MAX_ADDED) {
        return exaone_fail(b->err, EXAONE_ERR_LIMIT, "%s: %zu added tokens; the limit is %d", p->origin, n_added,
                           EXAONE_TOKENIZER_MAX_ADDED);
    }
    b->tok->n_added = (uint32_t)n_added;
    b->tok->n_tokens = (uint32_t)p->n_tokens;
    b->tok->bytes = exaone_mem_array(total, 1);
    b->tok->offsets = exaone_mem_array(p->n_tokens + 1, sizeof *b->tok->offsets);
    b->tok->kinds = exaone_mem_array(p->n_tokens, 1);
    b->tok->added = exaone_mem_array(n_added, sizeof *b->tok->added);
    if (!b->tok->bytes || !b->tok->offsets || !b->tok->kinds || !b->tok->added) {
        return exaone_fail_memory(b->err, "the vocabulary", total + p->n_tokens * 5);
    }
    return EXAONE_OK;
}

/* Writes the bytes that a spelling stands for; a spelling outside the alphabet stands for itself (no merge can reach it).
 * bytes_of [ALPHABET_END]: alphabet_byte. */
static size_t put_bytes(exaone_string_view s, bool added, const int16_t *bytes_of, uint8_t *out) {
    const uint8_t *p = (const uint8_t *)s.bytes;
    size_t n = 0;
    for (size_t i = 0; !added && i < s.n;) { /* the alphabet has sequences of one and two bytes */
        size_t len = p[i] < 0x80 ? 1 : 2;
        uint32_t code = len == 1 ? p[i] : len <= s.n - i ? (uint32_t)(p[i] & 0x3f) << 6 | (p[i + 1] & 0x3f) : ALPHABET_END;
        int byte = code < ALPHABET_END ? bytes_of[code] : -1;
        if (byte < 0) {
            added = true;
            break;
        }
        out[n++] = (uint8_t)byte;
        i += len;
    }
    if (added) {
        memcpy(out, p, s.n);
        n = s.n;
    }
    return n;
}

/* Token `id`: into bytes, offsets, kinds and the table of spellings. */
static exaone_status index_token(builder *b, uint32_t id, uint32_t hash, const int16_t *bytes_of, uint32_t *used,
                                 uint32_t *n_added) {
    const exaone_tokenizer_parts *p = b->parts;
    exaone_tokenizer *tok = b->tok;
    exaone_string_view s = p->tokens[id];
    string_slot *slot = find_slot(&b->spellings, p->tokens, s.bytes, s.n, hash);
    if (!slot) {
        return fail_crafted(b, "tokens");
    }
    if (slot->entry) {
        return exaone_fail(b->err, EXAONE_ERR_FORMAT, "%s: tokens %u and %u are both \"%.*s\"", p->origin, slot->entry - 1,
                           id, shown(s), s.bytes);
    }
    slot->entry = id + 1;
    bool added = p->kinds[id] & TOKEN_ADDED;
    tok->kinds[id] = p->kinds[id];
    tok->offsets[id] = *used;
    *used += (uint32_t)put_bytes(s, added, bytes_of, tok->bytes + *used);
    if (added) {
        tok->added[(*n_added)++] = id;
        tok->added_first[(uint8_t)s.bytes[0]] = true;
    }
    return EXAONE_OK;
}

static exaone_status index_tokens(builder *b) {
    const exaone_tokenizer_parts *p = b->parts;
    exaone_tokenizer *tok = b->tok;
    b->spellings.mask = (uint32_t)(table_size(p->n_tokens) - 1);
    b->spellings.slots = exaone_mem_array(table_size(p->n_tokens), sizeof *b->spellings.slots);
    if (!b->spellings.slots) {
        return exaone_fail_memory(b->err, "the table of tokens", (unsigned long long)p->n_tokens * 16);
    }
    int16_t bytes_of[ALPHABET_END];
    for (uint32_t code = 0; code < ALPHABET_END; code++) {
        bytes_of[code] = (int16_t)alphabet_byte(code);
    }
    uint32_t used = 0, n_added = 0, hash[BATCH];
    exaone_status s = EXAONE_OK;
    for (uint32_t id = 0; id < tok->n_tokens; id += BATCH) {
        uint32_t n = tok->n_tokens - id < BATCH ? tok->n_tokens - id : BATCH;
        for (uint32_t k = 0; k < n; k++) {
            hash[k] = exaone_text_hash(p->tokens[id + k].bytes, p->tokens[id + k].n);
            fetch_slot(&b->spellings, hash[k]);
        }
        for (uint32_t k = 0; k < n && s == EXAONE_OK; k++) {
            s = index_token(b, id + k, hash[k], bytes_of, &used, &n_added);
        }
        if (s != EXAONE_OK) {
            return s;
        }
    }
    tok->offsets[tok->n_tokens] = used;
    return EXAONE_OK;
}

static exaone_status find_byte_tokens(builder *b) {
    bool seen[256] = {false};
    for (uint32_t code = 0x21; code < ALPHABET_END; code++) {
        int byte = alphabet_byte(code);
        uint8_t spelled[4];
        size_t n = byte < 0 ? 0 : exaone_utf8_encode(code, spelled);
        if (n == 0) {
            continue;
        }
        const string_slot *slot = find_slot(&b->spellings, b->parts->tokens, spelled, n, exaone_text_hash(spelled, n));
        if (slot && slot->entry) {
            b->tok->byte_ids[byte] = slot->entry - 1;
            seen[byte] = true;
        }
    }
    for (int k = 0; k < 256; k++) {
        if (!seen[k]) {
            return exaone_fail(b->err, EXAONE_ERR_FORMAT, "%s: no token stands for the single byte 0x%02x", b->parts->origin,
                               k);
        }
        if (b->tok->kinds[b->tok->byte_ids[k]] & TOKEN_ADDED) { /* plain text could not do without it */
            return exaone_fail(b->err, EXAONE_ERR_UNSUPPORTED,
                               "%s: token %u stands for the byte 0x%02x and is an added token too", b->parts->origin,
                               b->tok->byte_ids[k], k);
        }
    }
    return EXAONE_OK;
}

/* The id of a spelling that merge `rank` names, or a failure. */
static exaone_status merge_id(const builder *b, size_t rank, const char *role, exaone_string_view s, uint32_t hash,
                              uint32_t *id) {
    const string_slot *slot = find_slot(&b->spellings, b->parts->tokens, text_of(s), s.n, hash);
    if (!slot || slot->entry == 0) {
        return exaone_fail(b->err, EXAONE_ERR_FORMAT, "%s: merge %zu: its %s \"%.*s\" is not in the vocabulary",
                           b->parts->origin, rank, role, shown(s), text_of(s));
    }
    *id = slot->entry - 1;
    return EXAONE_OK;
}

/* Puts merge `rank` into the table; of the same pair twice the later one counts, as in the reference. */
static bool put_pair(exaone_tokenizer *tok, uint32_t rank) {
    const exaone_merge *m = &tok->merges[rank];
    uint32_t slot = exaone_pair_hash(m->left, m->right) & tok->pair_mask;
    for (int k = 0; k < EXAONE_MAX_PROBES; k++, slot = (slot + 1) & tok->pair_mask) {
        uint32_t entry = tok->pair_slots[slot];
        if (entry == 0 || (tok->merges[entry - 1].left == m->left && tok->merges[entry - 1].right == m->right)) {
            tok->pair_slots[slot] = rank + 1;
            return true;
        }
    }
    return false;
}

/* Whether token `id` is left and right put together. */
static bool is_joined(const builder *b, uint32_t id, const exaone_merge_text *m) {
    if (id >= b->tok->n_tokens) {
        return false;
    }
    exaone_string_view have = b->parts->tokens[id];
    return have.n == m->left.n + m->right.n && same_bytes(have.bytes, text_of(m->left), m->left.n) &&
           same_bytes(have.bytes + m->left.n, text_of(m->right), m->right.n);
}

/* The ids of merge `rank`; hash: of its sides. */
static exaone_status find_merge(builder *b, uint32_t rank, const uint32_t hash[2], uint32_t *guess) {
    const exaone_merge_text *text = &b->parts->merges[rank];
    exaone_merge *m = &b->tok->merges[rank];
    exaone_status s = merge_id(b, rank, "left side", text->left, hash[0], &m->left);
    s = s == EXAONE_OK ? merge_id(b, rank, "right side", text->right, hash[1], &m->right) : s;
    if (s == EXAONE_OK && is_joined(b, *guess, text)) {
        m->result = *guess;
    } else if (s == EXAONE_OK) {
        exaone_buf_clear(&b->joined);
        exaone_buf_append(&b->joined, text->left.bytes, text->left.n);
        if (!exaone_buf_append(&b->joined, text->right.bytes, text->right.n)) {
            return exaone_fail_memory(b->err, "a merge", text->left.n + text->right.n);
        }
        exaone_string_view both = {b->joined.data, b->joined.len};
        s = merge_id(b, rank, "result", both, exaone_text_hash(both.bytes, both.n), &m->result);
    }
    *guess = s == EXAONE_OK ? m->result + 1 : 0; /* training numbers tokens as it merges: spares a look-up */
    return s;
}

/* Merges rank .. rank + n - 1, in steps that each fetch what the next one looks at. */
static exaone_status index_batch(builder *b, uint32_t rank, uint32_t n, uint32_t *guess) {
    const exaone_merge_text *merges = b->parts->merges + rank;
    const exaone_string_view *found[2 * BATCH];
    exaone_tokenizer *tok = b->tok;
    uint32_t hash[2 * BATCH];
    for (uint32_t k = 0; k < 2 * n; k++) {
        exaone_string_view side = k % 2 ? merges[k / 2].right : merges[k / 2].left;
        hash[k] = exaone_text_hash(text_of(side), side.n);
        fetch_slot(&b->spellings, hash[k]);
    }
    for (uint32_t k = 0; k < 2 * n; k++) {
        found[k] = likely(&b->spellings, b->parts->tokens, hash[k]);
        __builtin_prefetch(found[k]);
    }
    for (uint32_t k = 0; k < 2 * n; k++) {
        if (found[k]) {
            __builtin_prefetch(found[k]->bytes);
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        exaone_status s = find_merge(b, rank + k, hash + 2 * (size_t)k, guess);
        if (s != EXAONE_OK) {
            return s;
        }
        const exaone_merge *m = &tok->merges[rank + k];
        __builtin_prefetch(&tok->pair_slots[exaone_pair_hash(m->left, m->right) & tok->pair_mask], 1);
    }
    for (uint32_t k = 0; k < n; k++) {
        /* An added token is never put together from parts. The released tokenizer has no such merge. */
        if (!(tok->kinds[tok->merges[rank + k].result] & TOKEN_ADDED) && !put_pair(tok, rank + k)) {
            return fail_crafted(b, "merges");
        }
    }
    return EXAONE_OK;
}

static exaone_status index_merges(builder *b) {
    const exaone_tokenizer_parts *p = b->parts;
    exaone_tokenizer *tok = b->tok;
    tok->n_merges = (uint32_t)p->n_merges;
    tok->merges = exaone_mem_array(p->n_merges, sizeof *tok->merges);
    if (!tok->merges || !table_new(p->n_merges, &tok->pair_slots, &tok->pair_mask)) {
        return exaone_fail_memory(b->err, "the merges", (unsigned long long)p->n_merges * 28);
    }
    uint32_t guess = UINT32_MAX;
    exaone_status s = EXAONE_OK;
    for (uint32_t rank = 0; rank < tok->n_merges && s == EXAONE_OK; rank += BATCH) {
        s = index_batch(b, rank, tok->n_merges - rank < BATCH ? tok->n_merges - rank : BATCH, &guess);
    }
    return s;
}

static bool put_text(exaone_tokenizer *tok, uint32_t id, uint32_t hash) {
    size_t n, other;
    const uint8_t *bytes = exaone_token_bytes(tok, id, &n);
    uint32_t slot = hash & tok->text_mask;
    for (int k = 0; k < EXAONE_MAX_PROBES; k++, slot = (slot + 1) & tok->text_mask) {
        uint32_t entry = tok->text_slots[slot];
        if (entry == 0) {
            tok->text_slots[slot] = id + 1;
            return true;
        }
        const uint8_t *have = exaone_token_bytes(tok, entry - 1, &other);
        if (other == n && same_bytes(have, bytes, n)) {
            return true; /* the first one stays */
        }
    }
    return false;
}

/* The table from bytes to ids, added tokens first. */
static exaone_status index_texts(builder *b) {
    exaone_tokenizer *tok = b->tok;
    if (!table_new(tok->n_tokens, &tok->text_slots, &tok->text_mask)) {
        return exaone_fail_memory(b->err, "the table of tokens", (unsigned long long)tok->n_tokens * 16);
    }
    bool fits = true;
    for (uint32_t i = 0; i < tok->n_added && fits; i++) {
        size_t n;
        const uint8_t *bytes = exaone_token_bytes(tok, tok->added[i], &n);
        fits = put_text(tok, tok->added[i], exaone_text_hash(bytes, n));
    }
    for (uint32_t id = 0; id < tok->n_tokens && fits; id += BATCH) {
        uint32_t n = tok->n_tokens - id < BATCH ? tok->n_tokens - id : BATCH, hash[BATCH];
        for (uint32_t k = 0; k < n; k++) {
            size_t size;
            const uint8_t *bytes = exaone_token_bytes(tok, id + k, &size);
            hash[k] = exaone_text_hash(bytes, size);
            __builtin_prefetch(&tok->text_slots[hash[k] & tok->text_mask], 1);
        }
        for (uint32_t k = 0; k < n && fits; k++) {
            fits = tok->kinds[id + k] & TOKEN_ADDED || put_text(tok, id + k, hash[k]);
        }
    }
    return fits ? EXAONE_OK : fail_crafted(b, "tokens");
}

static int by_bytes(const void *a, const void *b, void *arg) {
    size_t na, nb;
    const uint8_t *pa = exaone_token_bytes(arg, *(const uint32_t *)a, &na);
    const uint8_t *pb = exaone_token_bytes(arg, *(const uint32_t *)b, &nb);
    int order = memcmp(pa, pb, na < nb ? na : nb);
    return order ? order : (na > nb) - (na < nb);
}

exaone_status exaone_tokenizer_build(const exaone_tokenizer_parts *parts, exaone_tokenizer **out, exaone_error *err) {
    *out = NULL;
    builder b = {.parts = parts, .tok = exaone_mem_array(1, sizeof *b.tok), .err = err};
    if (!b.tok) {
        return exaone_fail_memory(err, "the tokenizer", sizeof *b.tok);
    }
    exaone_buf_init(&b.joined, SIZE_MAX / 4);
    b.tok->nfc = parts->nfc;
    exaone_status s = check_sizes(&b);
    s = s == EXAONE_OK ? index_tokens(&b) : s;
    s = s == EXAONE_OK ? find_byte_tokens(&b) : s;
    s = s == EXAONE_OK ? index_merges(&b) : s;
    s = s == EXAONE_OK ? index_texts(&b) : s;
    free(b.spellings.slots);
    exaone_buf_release(&b.joined);
    if (s != EXAONE_OK) {
        exaone_tokenizer_free(b.tok);
        return s;
    }
    qsort_r(b.tok->added, b.tok->n_added, sizeof *b.tok->added, by_bytes, b.tok);
    *out = b.tok;
    return EXAONE_OK;
}
