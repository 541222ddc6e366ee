/* Counted pages of KV caches: taken from the backend in slabs, kept in a free list, shared by forks and checkpoints. May be
 * used by several threads. */
#ifndef EXAONE_MODEL_KV_POOL_H
#define EXAONE_MODEL_KV_POOL_H

#include <stdatomic.h>

#include "model/kv_cache.h"

struct exaone_kv_page {
    atomic_size_t references;
    uint8_t *data; /*dev*/ /* [page_bytes] */
    exaone_kv_page *next;  /* in the free list */
};

/* Slabs have at least `least` pages; up to `expected` pages in all no more than those are taken. The caller holds one
 * reference; NULL when out of memory. */
exaone_kv_pool *exaone_kv_pool_new(exaone_backend *be, size_t page_bytes, size_t least, size_t expected);
exaone_kv_pool *exaone_kv_pool_share(exaone_kv_pool *pool);
void exaone_kv_pool_release(exaone_kv_pool *pool); /* the last reference frees it; no page may be in use then */

/* A page with one reference, of any contents; NULL when out of memory. */
exaone_kv_page *exaone_kv_pool_take(exaone_kv_pool *pool);
exaone_kv_page *exaone_kv_page_share(exaone_kv_page *page);
void exaone_kv_page_release(exaone_kv_pool *pool, exaone_kv_page *page); /* NULL is fine */

/* Whether nobody else refers to the page. */
static inline bool exaone_kv_page_is_own(exaone_kv_page *page) {
    return atomic_load_explicit(&page->references, memory_order_acquire) == 1;
}

/* ---- of kv_cache.c, for the files beside it ---- */

/* Puts a page with its reference (or NULL) into slot page p of layer l; the one before is released. */
void exaone_kv_cache_put(exaone_kv_cache *cache, size_t l, size_t p, exaone_kv_page *page);
/* Makes slot page p of layer l there and nobody else's. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_own(exaone_kv_cache *cache, size_t l, size_t p, exaone_error *err);

/* Sets length to n and gives pages of full layers behind it back. */
void exaone_kv_cache_drop(exaone_kv_cache *cache, size_t n);

#endif
