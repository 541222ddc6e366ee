/* Checkpoints of the sliding layers and the stored form of pages: see kv_cache.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/kv_pool.h"

struct exaone_kv_checkpoint {
    exaone_kv_pool *pool;
    size_t length, page_bytes;
    size_t n_slots, n_pages; /* slot pages per ring layer; references in all */
    exaone_kv_page *pages[]; /* [ring layers, n_slots]; NULL where the cache had none */
};

/* The window before token n: indices first .. n - 1, which are in index pages first_page .. first_page + n_pages - 1. */
typedef struct {
    size_t first, n, first_page, n_pages;
} span;

static span window_before(const exaone_kv_cache *c, size_t n) {
    span s = {.n = n, .first = n + 1 > c->window ? n + 1 - c->window : 0};
    if (s.first < n) {
        s.first_page = s.first / EXAONE_KV_PAGE;
        s.n_pages = (n - 1) / EXAONE_KV_PAGE + 1 - s.first_page;
    }
    return s;
}

/* Slot pages that those index pages are in: two index pages may share one. All rings are equally long. */
static size_t slots_of(const exaone_kv_cache *c, const span *s) {
    for (size_t l = 0; l < c->n_layers; l++) {
        if (c->is_ring[l]) {
            return s->n_pages < c->n_pages[l] ? s->n_pages : c->n_pages[l];
        }
    }
    return 0;
}

static exaone_kv_checkpoint *checkpoint_of(const exaone_kv_cache *c, const span *s, exaone_error *err) {
    size_t slots = slots_of(c, s), n = (c->n_layers - c->n_full) * slots;
    exaone_kv_checkpoint *k = exaone_mem_array(1, sizeof *k + n * sizeof(exaone_kv_page *));
    if (!k) {
        (void)exaone_fail_memory(err, "a checkpoint of the KV cache", sizeof *k + n * sizeof(exaone_kv_page *));
        return NULL;
    }
    k->pool = exaone_kv_pool_share(c->pool);
    k->length = s->n;
    k->page_bytes = c->page_bytes;
    k->n_slots = slots;
    k->n_pages = n;
    return k;
}

exaone_status exaone_kv_checkpoint_take(const exaone_kv_cache *c, size_t n, exaone_kv_checkpoint **out, exaone_error *err) {
    assert(n <= c->length && exaone_kv_cache_can_cut(c, n));
    span s = window_before(c, n);
    exaone_kv_checkpoint *k = checkpoint_of(c, &s, err);
    *out = k;
    if (!k) {
        return EXAONE_ERR_MEMORY;
    }
    size_t at = 0;
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t i = 0; c->is_ring[l] && i < k->n_slots; i++, at++) {
            exaone_kv_page *page = c->page[l][(s.first_page + i) % c->n_pages[l]];
            k->pages[at] = page ? exaone_kv_page_share(page) : NULL;
        }
    }
    return EXAONE_OK;
}

void exaone_kv_checkpoint_restore(exaone_kv_cache *c, const exaone_kv_checkpoint *k) {
    assert(k->pool == c->pool && k->length <= c->n_ctx);
    span s = window_before(c, k->length);
    size_t at = 0;
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t i = 0; c->is_ring[l] && i < k->n_slots; i++, at++) {
            if (k->pages[at]) {
                exaone_kv_cache_put(c, l, (s.first_page + i) % c->n_pages[l], exaone_kv_page_share(k->pages[at]));
            }
        }
    }
    exaone_kv_cache_drop(c, k->length);
    c->oldest = s.first;
}

void exaone_kv_checkpoint_free(exaone_kv_checkpoint *k) {
    if (!k) {
        return;
    }
    for (size_t i = 0; i < k->n_pages; i++) {
        exaone_kv_page_release(k->pool, k->pages[i]);
    }
    exaone_kv_pool_release(k->pool);
    free(k);
}

size_t exaone_kv_checkpoint_length(const exaone_kv_checkpoint *k) {
    return k->length;
}

static size_t count_pages(const exaone_kv_checkpoint *k, bool own) {
    size_t n = 0;
    for (size_t i = 0; i < k->n_pages; i++) {
        n += k->pages[i] && (!own || exaone_kv_page_is_own(k->pages[i]));
    }
    return n;
}

size_t exaone_kv_checkpoint_bytes(const exaone_kv_checkpoint *k) {
    return count_pages(k, false) * k->page_bytes;
}

size_t exaone_kv_checkpoint_own_bytes(const exaone_kv_checkpoint *k) {
    return count_pages(k, true) * k->page_bytes;
}

/* ---- stored form ---- */

size_t exaone_kv_block_bytes(const exaone_kv_cache *c) {
    return c->n_full * c->page_bytes;
}

void exaone_kv_block_read(const exaone_kv_cache *c, size_t block, uint8_t *out) {
    assert((block + 1) * EXAONE_KV_PAGE <= c->length);
    for (size_t l = 0; l < c->n_layers; l++) {
        if (!c->is_ring[l]) {
            c->be->download(c->be, out, c->page[l][block]->data, c->page_bytes);
            out += c->page_bytes;
        }
    }
}

exaone_status exaone_kv_block_write(exaone_kv_cache *c, size_t block, const uint8_t *in, exaone_error *err) {
    if (block >= c->n_ctx / EXAONE_KV_PAGE) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "block %zu of the KV cache: the context holds %zu tokens", block,
                           c->n_ctx);
    }
    for (size_t l = 0; l < c->n_layers; l++) {
        if (c->is_ring[l]) {
            continue;
        }
        exaone_status s = exaone_kv_cache_own(c, l, block, err);
        if (s != EXAONE_OK) {
            return s;
        }
        c->be->upload(c->be, c->page[l][block]->data, in, c->page_bytes);
        in += c->page_bytes;
    }
    return EXAONE_OK;
}

size_t exaone_kv_checkpoint_stored_bytes(const exaone_kv_cache *c, size_t n) {
    span s = window_before(c, n);
    return (c->n_layers - c->n_full) * s.n_pages * c->page_bytes;
}

/* Bytes of a page that tokens of the window fill, given to fn per head as offset and length. */
typedef struct {
    const exaone_kv_cache *c;
    exaone_kv_page *page;
    uint8_t *out;      /* reads */
    const uint8_t *in; /* writes */
} page_copy;

static void copy_bytes(const page_copy *p, size_t at, size_t n) {
    if (p->out) {
        p->c->be->download(p->c->be, p->out + at, p->page->data + at, n);
    } else {
        p->c->be->upload(p->c->be, p->page->data + at, p->in + at, n);
    }
}

static void copy_window(const page_copy *p, const span *s, size_t index_page) {
    size_t start = index_page * EXAONE_KV_PAGE, lo = s->first > start ? s->first - start : 0;
    size_t hi = s->n - start < EXAONE_KV_PAGE ? s->n - start : EXAONE_KV_PAGE, base = 0;
    const exaone_kv_cache *c = p->c;
    size_t half[2] = {c->k_bytes, c->page_bytes - c->k_bytes};
    for (int part = 0; part < 2; part++) {
        bool columns = part == 0 && c->layers[0].k_type != EXAONE_Q8_0 && hi - lo < EXAONE_KV_PAGE;
        /* runs of EXAONE_KV_PAGE units: a head's rows, or the places of one number of all rows (backend.h) */
        size_t runs = columns ? c->n_kv_heads * c->head_dim : c->n_kv_heads, run = half[part] / runs;
        for (size_t i = 0; i < runs; i++) {
            copy_bytes(p, base + i * run + lo * (run / EXAONE_KV_PAGE), (hi - lo) * (run / EXAONE_KV_PAGE));
        }
        base += half[part];
    }
}

void exaone_kv_checkpoint_read(const exaone_kv_cache *c, const exaone_kv_checkpoint *k, uint8_t *out) {
    span s = window_before(c, k->length);
    memset(out, 0, exaone_kv_checkpoint_stored_bytes(c, k->length));
    size_t layer = 0;
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t i = 0; c->is_ring[l] && i < s.n_pages; i++, out += c->page_bytes) {
            page_copy p = {.c = c, .page = k->pages[layer * k->n_slots + i % k->n_slots], .out = out};
            if (p.page) { /* rows that nobody wrote (the MTP layer may lag) stay zero */
                copy_window(&p, &s, s.first_page + i);
            }
        }
        layer += c->is_ring[l];
    }
}

exaone_status exaone_kv_checkpoint_load(exaone_kv_cache *c, size_t n, const uint8_t *in, size_t n_bytes,
                                        exaone_kv_checkpoint **out, exaone_error *err) {
    *out = NULL;
    if (n > c->n_ctx || n_bytes != exaone_kv_checkpoint_stored_bytes(c, n)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "a stored checkpoint of %zu tokens has %zu bytes, this cache wants %zu",
                           n, n_bytes, n > c->n_ctx ? 0 : exaone_kv_checkpoint_stored_bytes(c, n));
    }
    span s = window_before(c, n);
    exaone_kv_checkpoint *k = checkpoint_of(c, &s, err);
    if (!k) {
        return EXAONE_ERR_MEMORY;
    }
    for (size_t i = 0; i < k->n_pages; i++) {
        k->pages[i] = exaone_kv_pool_take(c->pool);
        if (!k->pages[i]) {
            exaone_kv_checkpoint_free(k);
            return exaone_fail_memory(err, "a page of the KV cache", c->page_bytes);
        }
    }
    for (size_t layer = 0; layer < c->n_layers - c->n_full; layer++) {
        for (size_t i = 0; i < s.n_pages; i++, in += c->page_bytes) {
            page_copy p = {.c = c, .page = k->pages[layer * k->n_slots + i % k->n_slots], .in = in};
            copy_window(&p, &s, s.first_page + i);
        }
    }
    *out = k;
    return EXAONE_OK;
}
