/* Pages of KV caches: see kv_pool.h. */
#include "model/kv_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

enum { LARGEST_SLAB = 64 << 20 }; /* bytes: a slab is zeroed at once, in the middle of somebody's decoding */

typedef struct slab {
    struct slab *next;
    uint8_t *data; /*dev*/
    exaone_kv_page pages[];
} slab;

struct exaone_kv_pool {
    exaone_backend *be;
    pthread_mutex_t lock; /* of the lists and the count */
    atomic_size_t references;
    slab *slabs;
    exaone_kv_page *free_pages;
    size_t page_bytes, least, expected, n_pages;
};

exaone_kv_pool *exaone_kv_pool_new(exaone_backend *be, size_t page_bytes, size_t least, size_t expected) {
    exaone_kv_pool *pool = exaone_mem_array(1, sizeof *pool);
    if (!pool || pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool);
        return NULL;
    }
    pool->be = be;
    pool->page_bytes = page_bytes;
    pool->least = least;
    pool->expected = expected;
    atomic_init(&pool->references, 1);
    return pool;
}

exaone_kv_pool *exaone_kv_pool_share(exaone_kv_pool *pool) {
    atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed);
    return pool;
}

void exaone_kv_pool_release(exaone_kv_pool *pool) {
    if (!pool || atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    while (pool->slabs) {
        slab *s = pool->slabs;
        pool->slabs = s->next;
        pool->be->release(pool->be, s->data);
        free(s);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Grows by 1/64 so that the number of slabs stays small, but not beyond what one sequence can need. */
static size_t slab_pages(const exaone_kv_pool *pool) {
    size_t n = pool->n_pages / 64, most = LARGEST_SLAB / pool->page_bytes;
    n = n < most ? n : most;
    n = n > pool->least ? n : pool->least;
    size_t left = pool->expected > pool->n_pages ? pool->expected - pool->n_pages : n;
    return n < left ? n : left;
}

/* Under the lock. */
static bool add_slab(exaone_kv_pool *pool) {
    size_t n = slab_pages(pool), bytes, head;
    if (!exaone_size_mul(n, pool->page_bytes, &bytes) || !exaone_size_mul(n, sizeof(exaone_kv_page), &head)) {
        return false;
    }
    slab *s = exaone_mem_array(1, sizeof *s + head);
    uint8_t *data = s ? pool->be->alloc(pool->be, bytes) : NULL;
    if (!data) {
        free(s);
        return false;
    }
    s->data = data;
    s->next = pool->slabs;
    pool->slabs = s;
    for (size_t i = n; i-- > 0;) {
        atomic_init(&s->pages[i].references, 0);
        s->pages[i].data = data + i * pool->page_bytes;
        s->pages[i].next = pool->free_pages;
        pool->free_pages = &s->pages[i];
    }
    pool->n_pages += n;
    return true;
}

exaone_kv_page *exaone_kv_pool_take(exaone_kv_pool *pool) {
    exaone_kv_page *page = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->free_pages || add_slab(pool)) {
        page = pool->free_pages;
        pool->free_pages = page->next;
        atomic_store_explicit(&page->references, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
    return page;
}

exaone_kv_page *exaone_kv_page_share(exaone_kv_page *page) {
    size_t before = atomic_fetch_add_explicit(&page->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
    return page;
}

void exaone_kv_page_release(exaone_kv_pool *pool, exaone_kv_page *page) {
    if (!page || atomic_fetch_sub_explicit(&page->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    page->next = pool->free_pages;
    pool->free_pages = page;
    pthread_mutex_unlock(&pool->lock);
}

size_t exaone_kv_pool_bytes(exaone_kv_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    size_t bytes = pool->n_pages * pool->page_bytes;
    pthread_mutex_unlock(&pool->lock);
    return bytes;
}
