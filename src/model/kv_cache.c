/* KV cache pages: see kv_cache.h. */
#include "model/kv_cache.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

static size_t pages_for(size_t tokens) {
    return (tokens + EXAONE_KV_PAGE - 1) / EXAONE_KV_PAGE;
}

exaone_status exaone_kv_cache_new(exaone_backend *be, const exaone_config *config, size_t n_ctx, size_t chunk,
                                  exaone_kv_cache **out, exaone_error *err) {
    *out = NULL;
    exaone_kv_cache *c = exaone_mem_array(1, sizeof *c);
    if (!c) {
        return exaone_fail_memory(err, "the KV cache", sizeof *c);
    }
    c->be = be;
    c->n_layers = (size_t)config->num_hidden_layers + (size_t)config->num_mtp_layers;
    c->page_floats = (size_t)config->num_key_value_heads * EXAONE_KV_PAGE * (size_t)config->head_dim;
    c->n_ctx = n_ctx;
    c->chunk = chunk;
    c->window = config->sliding_window > 0 ? (size_t)config->sliding_window : SIZE_MAX / 4;
    c->layers = exaone_mem_array(c->n_layers, sizeof *c->layers);
    c->n_pages = exaone_mem_array(c->n_layers, sizeof *c->n_pages);
    c->is_ring = exaone_mem_array(c->n_layers, sizeof *c->is_ring);
    bool ok = c->layers && c->n_pages && c->is_ring;
    for (size_t l = 0; ok && l < c->n_layers; l++) {
        bool sliding = l >= (size_t)config->num_hidden_layers || config->sliding[l];
        c->is_ring[l] = sliding && config->sliding_window > 0;
        size_t tokens = c->is_ring[l] && c->window + chunk < n_ctx ? c->window + chunk : n_ctx;
        size_t pages = pages_for(tokens);
        c->layers[l].ring = pages * EXAONE_KV_PAGE;
        c->layers[l].k_pages = exaone_mem_array(pages, sizeof *c->layers[l].k_pages);
        c->layers[l].v_pages = exaone_mem_array(pages, sizeof *c->layers[l].v_pages);
        ok = c->layers[l].k_pages && c->layers[l].v_pages;
    }
    if (!ok) {
        exaone_kv_cache_free(c);
        return exaone_fail_memory(err, "the page tables of the KV cache",
                                  c->n_layers * pages_for(n_ctx) * 2 * sizeof(void *));
    }
    *out = c;
    return EXAONE_OK;
}

void exaone_kv_cache_free(exaone_kv_cache *c) {
    if (!c) {
        return;
    }
    for (size_t l = 0; c->layers && c->n_pages && l < c->n_layers; l++) {
        for (size_t p = 0; p < c->n_pages[l]; p++) {
            c->be->release(c->be, c->layers[l].k_pages[p]);
            c->be->release(c->be, c->layers[l].v_pages[p]);
        }
        free(c->layers[l].k_pages);
        free(c->layers[l].v_pages);
    }
    free(c->layers);
    free(c->n_pages);
    free(c->is_ring);
    free(c);
}

exaone_status exaone_kv_cache_reserve(exaone_kv_cache *c, size_t n, exaone_error *err) {
    if (n > c->n_ctx) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the sequence needs %zu tokens, the context holds %zu", n, c->n_ctx);
    }
    for (size_t l = 0; l < c->n_layers; l++) {
        exaone_kv *kv = &c->layers[l];
        size_t want = pages_for(n < kv->ring ? n : kv->ring);
        for (; c->n_pages[l] < want; c->n_pages[l]++) {
            float *k = c->be->alloc(c->be, c->page_floats * sizeof *k);
            float *v = c->be->alloc(c->be, c->page_floats * sizeof *v);
            if (!k || !v) {
                c->be->release(c->be, k);
                c->be->release(c->be, v);
                return exaone_fail_memory(err, "a page of the KV cache", 2 * c->page_floats * sizeof *k);
            }
            kv->k_pages[c->n_pages[l]] = k;
            kv->v_pages[c->n_pages[l]] = v;
        }
    }
    return EXAONE_OK;
}

bool exaone_kv_cache_can_cut(const exaone_kv_cache *c, size_t n) {
    if (n >= c->length) {
        return n == c->length;
    }
    for (size_t l = 0; l < c->n_layers; l++) {
        size_t first = exaone_kv_first_visible(c, l, n); /* the next row will be n */
        if (n > 0 && first + c->layers[l].ring < c->length) {
            return false;
        }
    }
    return true;
}
