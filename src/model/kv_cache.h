/* The KV cache of one sequence: for each layer pages of keys and values.
 *
 *   full layer     pages are added as the sequence grows, up to n_ctx tokens
 *   sliding layer  a ring of sliding_window + chunk + slack slots: a forward call of at most `chunk` new tokens writes all
 * its keys before it reads, its first row still needs the window - 1 keys before it, and `slack` more tokens may be taken
 * back MTP layer      sliding, the last one in the array
 *
 * A page holds EXAONE_KV_PAGE keys and as many values of one layer. Pages are counted references into a pool: a fork shares
 * them, a checkpoint of the sliding layers is a set of them, and reserving room copies a shared page before it is written.
 * What the sequence holds is tokens 0 .. length - 1 in full layers and, in sliding ones, indices from `oldest` on.
 *
 * Threads: one thread at a time for a cache and its checkpoints; forks of one cache may live in several threads. */
#ifndef EXAONE_MODEL_KV_CACHE_H
#define EXAONE_MODEL_KV_CACHE_H

#include "backend/backend.h"
#include "model/config.h"

typedef struct exaone_kv_page exaone_kv_page; /* one counted page */
typedef struct exaone_kv_pool exaone_kv_pool; /* where pages come from: slabs and a free list, shared by forks */

typedef struct exaone_kv_options {
    size_t n_ctx;                /* most tokens */
    size_t chunk;                /* most new tokens of one forward call */
    size_t slack;                /* tokens behind a chunk that can still be taken back (drafts) */
    exaone_dtype k_type, v_type; /* EXAONE_F32, _F16, _BF16, or _Q8_0 (head_dim a multiple of 32 then) */
} exaone_kv_options;

typedef struct exaone_kv_cache {
    exaone_backend *be;
    exaone_kv *layers;      /* [n_layers] */
    exaone_kv_page ***page; /* [n_layers][pages of the layer], NULL where there is none yet */
    size_t *n_pages;        /* [n_layers] length of the tables */
    bool *is_ring;          /* [n_layers] */
    size_t n_layers;        /* num_hidden_layers + MTP layers */
    size_t n_full;          /* layers that are no rings */
    exaone_kv_pool *pool;
    exaone_kv_options options;
    size_t page_bytes, k_bytes; /* of one page: keys first, then values */
    size_t n_kv_heads, head_dim;
    size_t n_ctx, chunk, window;
    size_t length; /* tokens stored; kept by the caller */
    size_t oldest; /* sliding layers: lower indices have been overwritten */
} exaone_kv_cache;

/* Owned by the caller: exaone_kv_cache_free. Errors: EXAONE_ERR_MEMORY, _ARGUMENT (a type that is no cache type, q8_0 with a
 * head_dim that is no multiple of 32). */
EXAONE_MUST_USE exaone_status exaone_kv_cache_open(exaone_backend *be, const exaone_config *config,
                                                   const exaone_kv_options *options, exaone_kv_cache **out,
                                                   exaone_error *err);
/* The same with f32 and no slack. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_new(exaone_backend *be, const exaone_config *config, size_t n_ctx,
                                                  size_t chunk, exaone_kv_cache **out, exaone_error *err);
void exaone_kv_cache_free(exaone_kv_cache *cache); /* NULL is fine */

/* A cache of the same contents that shares all pages; both may go on by themselves. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_fork(const exaone_kv_cache *cache, exaone_kv_cache **out, exaone_error *err);

/* Makes the slots of tokens length .. n-1 writable (new pages; a copy of each shared page); n above n_ctx is an error with
 * both counts. What is stored stays. Every write of store_kv must have been reserved. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_reserve(exaone_kv_cache *cache, size_t n, exaone_error *err);
/* The same for tokens begin .. n-1, begin <= length: for the MTP layer, whose rows may lag behind the others. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_reserve_from(exaone_kv_cache *cache, size_t begin, size_t n,
                                                           exaone_error *err);

/* Whether the sequence can be cut back to n <= length: the rings still hold the window before n. Always for n = 0 and for
 * n >= length - chunk - slack after writing forward. */
bool exaone_kv_cache_can_cut(const exaone_kv_cache *cache, size_t n);
/* Cuts back to n (exaone_kv_cache_can_cut); pages of full layers behind it go back to the pool. */
void exaone_kv_cache_truncate(exaone_kv_cache *cache, size_t n);

/* Bytes of pages that the cache refers to (each page once, shared or not), and of those that no other cache or checkpoint
 * refers to. */
size_t exaone_kv_cache_bytes(const exaone_kv_cache *cache);
size_t exaone_kv_cache_own_bytes(const exaone_kv_cache *cache);
/* Bytes that the pool of the cache and its forks took from the backend. */
size_t exaone_kv_pool_bytes(exaone_kv_pool *pool);

/* ---- checkpoints: the sliding layers at a length ---- */

/* References to the ring pages that hold the window before `length`; independent of the cache that it was taken of, which
 * may be freed first. It can be restored to that cache, its forks, and caches that share their pool. */
typedef struct exaone_kv_checkpoint exaone_kv_checkpoint;

/* At n <= length (exaone_kv_cache_can_cut(n)). */
EXAONE_MUST_USE exaone_status exaone_kv_checkpoint_take(const exaone_kv_cache *cache, size_t n, exaone_kv_checkpoint **out,
                                                        exaone_error *err);
/* Sets length to that of the checkpoint and puts its pages in the rings; the full layers must hold that many tokens (the
 * same ones) or be filled with exaone_kv_block_write. No allocation. */
void exaone_kv_checkpoint_restore(exaone_kv_cache *cache, const exaone_kv_checkpoint *checkpoint);
void exaone_kv_checkpoint_free(exaone_kv_checkpoint *checkpoint); /* NULL is fine */
size_t exaone_kv_checkpoint_length(const exaone_kv_checkpoint *checkpoint);
size_t exaone_kv_checkpoint_bytes(const exaone_kv_checkpoint *checkpoint);     /* of the pages referred to */
size_t exaone_kv_checkpoint_own_bytes(const exaone_kv_checkpoint *checkpoint); /* of those that nobody else refers to */

/* ---- bytes for storage: the stored form of pages, the same on every machine of one byte order ---- */

/* Tokens 64 b .. 64 b + 63 of all full layers, in layer order: per layer the keys then the values of a page. Reading needs
 * 64 (b + 1) <= length. Writing makes the pages writable first and leaves `length` alone. With sliding_window = 0 the MTP
 * layer is a full one too and may lag behind `length`. */
size_t exaone_kv_block_bytes(const exaone_kv_cache *cache); /* 0: no full layer */
void exaone_kv_block_read(const exaone_kv_cache *cache, size_t block, uint8_t *out);
EXAONE_MUST_USE exaone_status exaone_kv_block_write(exaone_kv_cache *cache, size_t block, const uint8_t *in,
                                                    exaone_error *err);

/* A checkpoint as bytes: per ring layer the pages that hold the window before n, slots of other tokens zero. */
size_t exaone_kv_checkpoint_stored_bytes(const exaone_kv_cache *cache, size_t n);
void exaone_kv_checkpoint_read(const exaone_kv_cache *cache, const exaone_kv_checkpoint *checkpoint, uint8_t *out);
/* n_bytes other than stored_bytes(n), or n above n_ctx: EXAONE_ERR_FORMAT. */
EXAONE_MUST_USE exaone_status exaone_kv_checkpoint_load(exaone_kv_cache *cache, size_t n, const uint8_t *in, size_t n_bytes,
                                                        exaone_kv_checkpoint **out, exaone_error *err);

/* First index that row `index` sees in a layer. */
static inline size_t exaone_kv_first_visible(const exaone_kv_cache *cache, size_t layer, size_t index) {
    return cache->is_ring[layer] && index + 1 > cache->window ? index + 1 - cache->window : 0;
}

#endif
