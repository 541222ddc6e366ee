/* Loading and saving of one sequence: see prefix_cache.h. */
#include "engine/prefix_cache.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "engine/cache_internal.h"

enum { BLOCK = EXAONE_KV_PAGE, DIGEST = 32, LAST_CHECKPOINTS = 2 };
enum { MANIFEST_HEAD = 16, MAX_MANIFEST = 64 << 20 };

struct exaone_prefix {
    exaone_cache *cache;
    uint8_t (*chain)[DIGEST]; /* [max_blocks + 1] h(b) */
    size_t max_blocks;
    size_t hashed;   /* chain[0 .. hashed] is that of the timeline */
    size_t saved;    /* blocks that the store has or will have */
    size_t distance; /* blocks between checkpoints of a long prompt */
    size_t next;     /* block end of the next such checkpoint */
    bool distrust;   /* an entry was broken: others of this timeline are written anew */
    uint8_t *block;  /* [block_bytes] */
    size_t block_bytes;
};

/* With buffers of its own, all else as in `like`. */
static exaone_status new_like(const exaone_prefix *like, exaone_prefix **out, exaone_error *err) {
    exaone_prefix *p = exaone_mem_array(1, sizeof *p);
    *out = NULL;
    if (p) {
        *p = *like;
        p->chain = exaone_mem_array(p->max_blocks + 1, sizeof *p->chain);
        p->block = exaone_mem_array(p->block_bytes, 1);
    }
    if (!p || !p->chain || !p->block) {
        exaone_prefix_free(p);
        return exaone_fail_memory(err, "a prefix cache", like->max_blocks * DIGEST + like->block_bytes);
    }
    *out = p;
    return EXAONE_OK;
}

exaone_status exaone_prefix_new(exaone_cache *cache, const exaone_sequence *s, exaone_prefix **out, exaone_error *err) {
    exaone_prefix first = {.cache = cache,
                           .max_blocks = s->options.n_ctx / BLOCK,
                           .block_bytes = exaone_kv_block_bytes(s->cache),
                           .distance = exaone_mark_distance(s->cache->window) / BLOCK};
    first.next = first.distance;
    exaone_status status = new_like(&first, out, err);
    if (status == EXAONE_OK) {
        status = exaone_prefix_identity(s, (*out)->chain[0], err);
    }
    if (status != EXAONE_OK) {
        exaone_prefix_free(*out);
        *out = NULL;
    }
    return status;
}

exaone_status exaone_prefix_fork(const exaone_prefix *from, exaone_prefix **out, exaone_error *err) {
    exaone_status status = new_like(from, out, err);
    if (status == EXAONE_OK) {
        memcpy((*out)->chain, from->chain, (from->hashed + 1) * sizeof *from->chain);
    }
    return status;
}

void exaone_prefix_free(exaone_prefix *p) {
    if (p) {
        free(p->chain);
        free(p->block);
        free(p);
    }
}

/* ---- keys ---- */

/* Media are in order: *m is the first that begins at block b or later. */
static void hash_block(exaone_prefix *p, const exaone_sequence *s, size_t b, size_t *m) {
    struct {
        uint8_t before[DIGEST];
        int32_t ids[BLOCK];
        struct {
            uint64_t offset, n;
            uint8_t digest[DIGEST];
        } media[BLOCK];
    } text;
    size_t n = 0;
    memcpy(text.before, p->chain[b], DIGEST);
    memcpy(text.ids, s->ids + b * BLOCK, sizeof text.ids);
    for (; *m < s->n_media && s->media[*m].first < (b + 1) * BLOCK; (*m)++) {
        const exaone_medium *medium = &s->media[*m];
        if (medium->first >= b * BLOCK && n < BLOCK) {
            text.media[n].offset = medium->first - b * BLOCK;
            text.media[n].n = medium->n;
            memcpy(text.media[n++].digest, medium->digest, DIGEST);
        }
    }
    exaone_sha256(&text, sizeof text - sizeof text.media + n * sizeof text.media[0], p->chain[b + 1]);
}

/* Makes chain[0 .. blocks] that of the sequence's tokens. */
static void hash_to(exaone_prefix *p, const exaone_sequence *s, size_t blocks) {
    size_t m = 0;
    for (; p->hashed < blocks; p->hashed++) {
        hash_block(p, s, p->hashed, &m);
    }
}

typedef enum { KEY_BLOCK, KEY_CHECKPOINT, KEY_DRAFT_CHECKPOINT } key_kind;

static exaone_store_key key_of(const exaone_prefix *p, key_kind kind, size_t n) {
    uint8_t text[DIGEST + 1];
    exaone_store_key key = {0};
    memcpy(text, p->chain[n], DIGEST);
    text[DIGEST] = (uint8_t)kind;
    exaone_sha256(text, sizeof text, key.bytes);
    return key;
}

static exaone_store_key block_key(const exaone_prefix *p, size_t b) {
    return key_of(p, KEY_BLOCK, b + 1);
}

/* Of bytes that the model computed: two hashes of 128 bits with seeds that follow from the identity. */
static exaone_store_key piece_key(const exaone_prefix *p, const uint8_t *bytes, size_t n) {
    exaone_store_key key = {0};
    for (size_t half = 0; half < 2; half++) {
        uint64_t seed;
        memcpy(&seed, p->chain[0] + half * sizeof seed, sizeof seed);
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes, n, seed));
        memcpy(key.bytes + half * sizeof canonical, &canonical, sizeof canonical);
    }
    return key;
}

/* Whether an entry need not be written. */
static bool is_kept(const exaone_prefix *p, const exaone_store_key *key) {
    if (p->distrust) {
        exaone_store_remove(p->cache->store, key);
        return false;
    }
    return exaone_store_knows(p->cache->store, key);
}

/* ---- checkpoints: a list of pieces ---- */

/* The stored form of a checkpoint is [ring layers][pages][page_bytes]; a piece is one page of all layers. */
typedef struct {
    size_t layers, pages, page_bytes, bytes; /* bytes in all */
    size_t token;                            /* the window before it */
} checkpoint_shape;

static checkpoint_shape shape_of(const exaone_sequence *s, size_t k) {
    const exaone_kv_cache *c = s->cache;
    checkpoint_shape shape = {.layers = c->n_layers - c->n_full, .page_bytes = c->page_bytes, .token = k * BLOCK - 1};
    shape.bytes = exaone_kv_checkpoint_stored_bytes(c, shape.token);
    shape.pages = shape.layers ? shape.bytes / (shape.layers * shape.page_bytes) : 0;
    return shape;
}

static void copy_piece(const checkpoint_shape *shape, uint8_t *stored, uint8_t *piece, size_t page, bool into_piece) {
    for (size_t l = 0; l < shape->layers; l++) {
        uint8_t *in_stored = stored + (l * shape->pages + page) * shape->page_bytes;
        uint8_t *in_piece = piece + l * shape->page_bytes;
        memcpy(into_piece ? in_piece : in_stored, into_piece ? in_stored : in_piece, shape->page_bytes);
    }
}

static void put_number(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* The pieces of a stored checkpoint, then the list of them. */
static bool put_pieces(exaone_prefix *p, const checkpoint_shape *shape, uint8_t *stored, const exaone_store_key *key,
                       exaone_store_wait wait) {
    size_t piece_bytes = shape->layers * shape->page_bytes, n = MANIFEST_HEAD + shape->pages * DIGEST;
    uint8_t *manifest = malloc(n);
    bool ok = manifest != NULL;
    for (size_t i = 0; ok && i < shape->pages; i++) {
        uint8_t *piece = malloc(piece_bytes ? piece_bytes : 1);
        ok = piece != NULL;
        if (ok) {
            copy_piece(shape, stored, piece, i, true);
            exaone_store_key k = piece_key(p, piece, piece_bytes);
            memcpy(manifest + MANIFEST_HEAD + i * DIGEST, k.bytes, DIGEST);
            if (is_kept(p, &k)) {
                free(piece);
            } else {
                ok = exaone_store_give(p->cache->store, &k, piece, piece_bytes, wait);
            }
        }
    }
    if (!ok) {
        free(manifest);
        return false;
    }
    put_number(manifest, shape->pages);
    put_number(manifest + 8, piece_bytes);
    return exaone_store_give(p->cache->store, key, manifest, n, wait);
}

/* Checkpoint k of the sequence as it stands, when its rings still hold it. */
static bool save_checkpoint(exaone_prefix *p, const exaone_sequence *s, size_t k, exaone_store_wait wait) {
    checkpoint_shape shape = shape_of(s, k);
    exaone_store_key key = key_of(p, s->drafts ? KEY_DRAFT_CHECKPOINT : KEY_CHECKPOINT, k);
    if ((s->drafts && s->mtp_length < shape.token) || !exaone_kv_cache_can_cut(s->cache, shape.token)) {
        return false;
    }
    if (is_kept(p, &key)) {
        return true;
    }
    exaone_kv_checkpoint *checkpoint;
    exaone_error ignored;
    uint8_t *stored = malloc(shape.bytes ? shape.bytes : 1);
    bool ok = stored && exaone_kv_checkpoint_take(s->cache, shape.token, &checkpoint, &ignored) == EXAONE_OK;
    if (ok) {
        exaone_kv_checkpoint_read(s->cache, checkpoint, stored);
        exaone_kv_checkpoint_free(checkpoint);
        ok = put_pieces(p, &shape, stored, &key, wait);
    }
    free(stored);
    return ok;
}

/* Checkpoint k from the store; NULL: a miss. */
static exaone_kv_checkpoint *load_checkpoint(exaone_prefix *p, exaone_sequence *s, size_t k) {
    checkpoint_shape shape = shape_of(s, k);
    size_t piece_bytes = shape.layers * shape.page_bytes, n = 0;
    exaone_store_key key = key_of(p, KEY_DRAFT_CHECKPOINT, k);
    uint8_t *manifest = NULL, *stored = NULL, *piece = NULL, head[MANIFEST_HEAD];
    bool ok = exaone_store_has(p->cache->store, &key);
    if (!ok && !s->drafts) {
        key = key_of(p, KEY_CHECKPOINT, k);
        ok = exaone_store_has(p->cache->store, &key);
    }
    ok = ok && exaone_store_take(p->cache->store, &key, MAX_MANIFEST, &manifest, &n);
    put_number(head, shape.pages);
    put_number(head + 8, piece_bytes);
    ok = ok && n == MANIFEST_HEAD + shape.pages * DIGEST && memcmp(head, manifest, MANIFEST_HEAD) == 0;
    if (ok) {
        stored = malloc(shape.bytes ? shape.bytes : 1);
        piece = malloc(piece_bytes ? piece_bytes : 1);
        ok = stored && piece;
    }
    for (size_t i = 0; ok && i < shape.pages; i++) {
        exaone_store_key k_i;
        memcpy(k_i.bytes, manifest + MANIFEST_HEAD + i * DIGEST, DIGEST);
        ok = exaone_store_get(p->cache->store, &k_i, piece, piece_bytes);
        if (ok) {
            copy_piece(&shape, stored, piece, i, false);
        }
    }
    if (!ok) {
        exaone_store_remove(p->cache->store, &key);
    }
    exaone_kv_checkpoint *checkpoint = NULL;
    exaone_error ignored;
    if (ok && exaone_kv_checkpoint_load(s->cache, shape.token, stored, shape.bytes, &checkpoint, &ignored) != EXAONE_OK) {
        checkpoint = NULL;
    }
    free(manifest);
    free(stored);
    free(piece);
    return checkpoint;
}

/* ---- loading ---- */

static bool has_checkpoint(const exaone_prefix *p, const exaone_sequence *s, size_t k) {
    exaone_store_key key = key_of(p, KEY_DRAFT_CHECKPOINT, k);
    if (exaone_store_has(p->cache->store, &key)) {
        return true;
    }
    key = key_of(p, KEY_CHECKPOINT, k);
    return !s->drafts && exaone_store_has(p->cache->store, &key);
}

/* How many blocks from the start are in the store; those of the live timeline count as there. */
static size_t count_blocks(const exaone_prefix *p, const exaone_sequence *s, size_t most) {
    size_t b = s->length / BLOCK;
    for (; b < most && p->block_bytes; b++) {
        exaone_store_key key = block_key(p, b);
        if (!exaone_store_has(p->cache->store, &key)) {
            return b;
        }
    }
    return p->block_bytes ? b : most;
}

/* Fills the full layers with blocks up to k; the number of blocks that are there then. */
static size_t load_blocks(exaone_prefix *p, exaone_sequence *s, size_t *from, size_t k) {
    exaone_error ignored;
    for (; *from < k && p->block_bytes; (*from)++) {
        exaone_store_key key = block_key(p, *from);
        if (!exaone_store_get(p->cache->store, &key, p->block, p->block_bytes) ||
            exaone_kv_block_write(s->cache, *from, p->block, &ignored) != EXAONE_OK) {
            return *from;
        }
    }
    return k;
}

void exaone_prefix_load(exaone_prefix *p, exaone_sequence *s) {
    size_t most = s->n_ids / BLOCK < p->max_blocks ? s->n_ids / BLOCK : p->max_blocks, from = s->length / BLOCK;
    uint64_t faults = exaone_store_get_stats(p->cache->store).faults;
    p->hashed = 0;
    p->saved = 0;
    p->next = p->distance;
    hash_to(p, s, most);
    size_t k = count_blocks(p, s, most);
    for (; k > 0 && k * BLOCK >= s->length + BLOCK; k--) { /* less is not worth the reading */
        if (!has_checkpoint(p, s, k)) {
            continue;
        }
        exaone_kv_checkpoint *checkpoint = load_checkpoint(p, s, k);
        size_t there = checkpoint ? load_blocks(p, s, &from, k) : k;
        if (checkpoint && there == k) {
            size_t before = s->length;
            exaone_kv_checkpoint_restore(s->cache, checkpoint);
            exaone_kv_checkpoint_free(checkpoint);
            s->length = s->mtp_length = s->reused = k * BLOCK - 1;
            exaone_cache_count_loaded(p->cache, s->length - before);
            break;
        }
        exaone_kv_checkpoint_free(checkpoint);
        k = there < k ? there + 1 : k; /* a block was broken: only shorter ones remain */
    }
    p->next = (s->length / BLOCK / p->distance + 1) * p->distance;
    p->distrust = exaone_store_get_stats(p->cache->store).faults > faults;
}

/* ---- saving ---- */

/* Complete blocks of the timeline that one timeline may have in the store: three quarters of the budget, so that its
 * beginning stays when it is longer than that. */
static size_t blocks_of(const exaone_prefix *p, const exaone_sequence *s) {
    size_t n = s->length / BLOCK;
    uint64_t fit = p->block_bytes ? p->cache->budget / 4 * 3 / p->block_bytes : n;
    n = n < p->max_blocks ? n : p->max_blocks;
    return n < fit ? n : (size_t)fit;
}

/* Blocks up to n; false: one was dropped, a later call tries again. */
static bool save_blocks(exaone_prefix *p, const exaone_sequence *s, size_t n, exaone_store_wait wait) {
    hash_to(p, s, n);
    for (; p->saved < n && p->block_bytes; p->saved++) {
        exaone_store_key key = block_key(p, p->saved);
        if (!is_kept(p, &key)) {
            exaone_kv_block_read(s->cache, p->saved, p->block);
            if (!exaone_store_put(p->cache->store, &key, p->block, p->block_bytes, wait)) {
                return false;
            }
        }
    }
    return true;
}

void exaone_prefix_note(exaone_prefix *p, const exaone_sequence *s) {
    size_t n = blocks_of(p, s);
    if (save_blocks(p, s, n, EXAONE_STORE_DROP) && n >= p->next && save_checkpoint(p, s, n, EXAONE_STORE_DROP)) {
        p->next = (n / p->distance + 1) * p->distance;
    }
}

void exaone_prefix_save(exaone_prefix *p, const exaone_sequence *s, bool wait) {
    exaone_store_wait how = wait ? EXAONE_STORE_WAIT : EXAONE_STORE_DROP;
    size_t n = blocks_of(p, s);
    if (save_blocks(p, s, n, how)) {
        for (size_t i = 0; i < LAST_CHECKPOINTS && i < n; i++) {
            (void)save_checkpoint(p, s, n - i, how);
        }
    }
}
