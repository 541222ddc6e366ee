/* KV cache: page tables, copy on write, cutting back. Pages are in kv_pool.c, checkpoints in kv_checkpoint.c. */
#include "model/kv_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/kv_pool.h"

static size_t pages_for(size_t tokens) {
    return tokens / EXAONE_KV_PAGE + (tokens % EXAONE_KV_PAGE != 0);
}

static bool is_cache_type(exaone_dtype t) {
    return t == EXAONE_F32 || t == EXAONE_F16 || t == EXAONE_BF16 || t == EXAONE_Q8_0;
}

static size_t plus(size_t a, size_t b) {
    size_t sum;
    return exaone_size_add(a, b, &sum) ? sum : SIZE_MAX;
}

/* Bytes of one page of one of the two; false when they do not fit. */
static bool half_page(const exaone_config *config, exaone_dtype type, size_t *bytes) {
    size_t row;
    return exaone_dtype_row_bytes(type, (uint64_t)config->head_dim, &row) &&
           exaone_size_mul(row, (size_t)config->num_key_value_heads * EXAONE_KV_PAGE, bytes);
}

static exaone_status check(const exaone_config *config, const exaone_kv_options *o, exaone_error *err) {
    exaone_dtype types[2] = {o->k_type, o->v_type};
    for (int i = 0; i < 2; i++) {
        if (!is_cache_type(types[i])) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "cache type %d of the %s: want F32, F16, BF16 or Q8_0",
                               (int)types[i], i ? "values" : "keys");
        }
        if (types[i] == EXAONE_Q8_0 && config->head_dim % 32 != 0) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "cache type q8_0 of the %s stores groups of 32 numbers, the model's head_dim is %d",
                               i ? "values" : "keys", config->head_dim);
        }
    }
    return EXAONE_OK;
}

/* The tables of one layer. */
static bool open_layer(exaone_kv_cache *c, size_t l, size_t tokens) {
    size_t pages = pages_for(tokens);
    exaone_kv *kv = &c->layers[l];
    *kv = (exaone_kv){.ring = pages * EXAONE_KV_PAGE, .k_type = c->options.k_type, .v_type = c->options.v_type};
    kv->k_pages = exaone_mem_array(pages, sizeof *kv->k_pages);
    kv->v_pages = exaone_mem_array(pages, sizeof *kv->v_pages);
    c->page[l] = exaone_mem_array(pages, sizeof(exaone_kv_page *));
    c->n_pages[l] = pages;
    return kv->k_pages && kv->v_pages && c->page[l];
}

/* The tables without pages: sizes and options of `like`, or of config when it is NULL. */
static exaone_status open_tables(exaone_kv_cache *c, const exaone_config *config, const exaone_kv_cache *like,
                                 exaone_error *err) {
    size_t n = c->n_layers, total = 0;
    c->layers = exaone_mem_array(n, sizeof *c->layers);
    c->page = exaone_mem_array(n, sizeof *c->page);
    c->n_pages = exaone_mem_array(n, sizeof *c->n_pages);
    c->is_ring = exaone_mem_array(n, sizeof *c->is_ring);
    bool ok = c->layers && c->page && c->n_pages && c->is_ring;
    size_t ring = plus(plus(c->window, c->options.chunk), c->options.slack);
    ring = ring < c->n_ctx ? ring : c->n_ctx;
    for (size_t l = 0; ok && l < n; l++) {
        bool sliding = config && (l >= (size_t)config->num_hidden_layers || config->sliding[l]);
        c->is_ring[l] = like ? like->is_ring[l] : sliding && config->sliding_window > 0;
        ok = open_layer(c, l, c->is_ring[l] ? ring : c->n_ctx);
        total += c->n_pages[l];
    }
    if (ok && !like) {
        for (size_t l = 0; l < n; l++) {
            c->n_full += !c->is_ring[l];
        }
        c->pool = exaone_kv_pool_new(c->be, c->page_bytes, n, total);
    }
    return ok && c->pool
               ? EXAONE_OK
               : exaone_fail_memory(err, "the page tables of the KV cache", n * pages_for(c->n_ctx) * 3 * sizeof(void *));
}

exaone_status exaone_kv_cache_open(exaone_backend *be, const exaone_config *config, const exaone_kv_options *options,
                                   exaone_kv_cache **out, exaone_error *err) {
    *out = NULL;
    exaone_status s = check(config, options, err);
    size_t k_bytes, v_bytes;
    if (s != EXAONE_OK) {
        return s;
    }
    if (!half_page(config, options->k_type, &k_bytes) || !half_page(config, options->v_type, &v_bytes)) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "a page of %d tokens of the KV cache does not fit in memory",
                           (int)EXAONE_KV_PAGE);
    }
    exaone_kv_cache *c = exaone_mem_array(1, sizeof *c);
    if (!c) {
        return exaone_fail_memory(err, "the KV cache", sizeof *c);
    }
    c->be = be;
    c->options = *options;
    c->n_layers = (size_t)config->num_hidden_layers + (size_t)config->num_mtp_layers;
    c->k_bytes = k_bytes;
    c->page_bytes = k_bytes + v_bytes;
    c->n_kv_heads = (size_t)config->num_key_value_heads;
    c->head_dim = (size_t)config->head_dim;
    c->n_ctx = options->n_ctx;
    c->chunk = options->chunk;
    c->window = config->sliding_window > 0 ? (size_t)config->sliding_window : SIZE_MAX / 4;
    s = open_tables(c, config, NULL, err);
    if (s != EXAONE_OK) {
        exaone_kv_cache_free(c);
        return s;
    }
    *out = c;
    return EXAONE_OK;
}

exaone_status exaone_kv_cache_new(exaone_backend *be, const exaone_config *config, size_t n_ctx, size_t chunk,
                                  exaone_kv_cache **out, exaone_error *err) {
    exaone_kv_options o = {.n_ctx = n_ctx, .chunk = chunk, .k_type = EXAONE_F32, .v_type = EXAONE_F32};
    return exaone_kv_cache_open(be, config, &o, out, err);
}

void exaone_kv_cache_put(exaone_kv_cache *c, size_t l, size_t p, exaone_kv_page *page) {
    exaone_kv_page_release(c->pool, c->page[l][p]);
    c->page[l][p] = page;
    c->layers[l].k_pages[p] = page ? page->data : NULL;
    c->layers[l].v_pages[p] = page ? page->data + c->k_bytes : NULL;
}

exaone_status exaone_kv_cache_fork(const exaone_kv_cache *c, exaone_kv_cache **out, exaone_error *err) {
    *out = NULL;
    exaone_kv_cache *f = exaone_mem_array(1, sizeof *f);
    if (!f) {
        return exaone_fail_memory(err, "the KV cache", sizeof *f);
    }
    *f = *c;
    f->pool = exaone_kv_pool_share(c->pool);
    f->layers = NULL;
    f->page = NULL;
    f->n_pages = NULL;
    f->is_ring = NULL;
    exaone_status s = open_tables(f, NULL, c, err);
    if (s != EXAONE_OK) {
        exaone_kv_cache_free(f);
        return s;
    }
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t p = 0; p < c->n_pages[l]; p++) {
            if (c->page[l][p]) {
                exaone_kv_cache_put(f, l, p, exaone_kv_page_share(c->page[l][p]));
            }
        }
    }
    *out = f;
    return EXAONE_OK;
}

void exaone_kv_cache_free(exaone_kv_cache *c) {
    if (!c) {
        return;
    }
    for (size_t l = 0; c->layers && c->page && c->n_pages && l < c->n_layers; l++) {
        for (size_t p = 0; c->page[l] && p < c->n_pages[l]; p++) {
            exaone_kv_page_release(c->pool, c->page[l][p]);
        }
        free(c->layers[l].k_pages);
        free(c->layers[l].v_pages);
        free(c->page[l]);
    }
    exaone_kv_pool_release(c->pool);
    free(c->layers);
    free(c->page);
    free(c->n_pages);
    free(c->is_ring);
    free(c);
}

exaone_status exaone_kv_cache_own(exaone_kv_cache *c, size_t l, size_t p, exaone_error *err) {
    exaone_kv_page *old = c->page[l][p];
    if (old && exaone_kv_page_is_own(old)) {
        return EXAONE_OK;
    }
    exaone_kv_page *page = exaone_kv_pool_take(c->pool);
    if (!page) {
        return exaone_fail_memory(err, "a page of the KV cache", c->page_bytes);
    }
    if (old) {
        c->be->copy(c->be, page->data, old->data, c->page_bytes);
    }
    exaone_kv_cache_put(c, l, p, page);
    return EXAONE_OK;
}

exaone_status exaone_kv_cache_reserve_from(exaone_kv_cache *c, size_t begin, size_t n, exaone_error *err) {
    assert(begin <= c->length);
    if (n > c->n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the sequence needs %zu tokens, the context holds %zu", n, c->n_ctx);
    }
    if (c->length == 0) {
        c->oldest = 0;
    }
    for (size_t l = 0; begin < n && l < c->n_layers; l++) {
        size_t ring = c->layers[l].ring, first = n - begin > ring ? n - ring : begin;
        for (size_t p = first / EXAONE_KV_PAGE; p <= (n - 1) / EXAONE_KV_PAGE; p++) {
            exaone_status s = exaone_kv_cache_own(c, l, p % c->n_pages[l], err);
            if (s != EXAONE_OK) {
                return s;
            }
        }
        if (c->is_ring[l] && n > ring && n - ring > c->oldest) {
            c->oldest = n - ring;
        }
    }
    return EXAONE_OK;
}

exaone_status exaone_kv_cache_reserve(exaone_kv_cache *c, size_t n, exaone_error *err) {
    return exaone_kv_cache_reserve_from(c, c->length, n, err);
}

bool exaone_kv_cache_can_cut(const exaone_kv_cache *c, size_t n) {
    if (n == 0 || n >= c->length) {
        return n == 0 || n == c->length;
    }
    for (size_t l = 0; l < c->n_layers; l++) {
        if (c->is_ring[l] && exaone_kv_first_visible(c, l, n) < c->oldest) { /* the next row will be n */
            return false;
        }
    }
    return true;
}

void exaone_kv_cache_drop(exaone_kv_cache *c, size_t n) {
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t p = pages_for(n); !c->is_ring[l] && p < c->n_pages[l] && c->page[l][p]; p++) {
            exaone_kv_cache_put(c, l, p, NULL);
        }
    }
    c->length = n;
}

void exaone_kv_cache_truncate(exaone_kv_cache *c, size_t n) {
    assert(exaone_kv_cache_can_cut(c, n));
    exaone_kv_cache_drop(c, n);
    c->oldest = n ? c->oldest : 0;
}

static size_t count_pages(const exaone_kv_cache *c, bool own) {
    size_t n = 0;
    for (size_t l = 0; l < c->n_layers; l++) {
        for (size_t p = 0; p < c->n_pages[l]; p++) {
            n += c->page[l][p] && (!own || exaone_kv_page_is_own(c->page[l][p]));
        }
    }
    return n;
}

size_t exaone_kv_cache_bytes(const exaone_kv_cache *c) {
    return count_pages(c, false) * c->page_bytes;
}

size_t exaone_kv_cache_own_bytes(const exaone_kv_cache *c) {
    return count_pages(c, true) * c->page_bytes;
}
