/* The KV cache of one sequence: for each layer pages of keys and values.
 *
 *   full layer     pages are added as the sequence grows, up to n_ctx tokens
 *   sliding layer  a ring of sliding_window + chunk slots: a forward call of at most `chunk` new tokens writes all its keys
 * before it reads, and its first row still needs the window - 1 keys before it MTP layer      sliding, the last one in the
 * array
 */
#ifndef EXAONE_MODEL_KV_CACHE_H
#define EXAONE_MODEL_KV_CACHE_H

#include "backend/backend.h"
#include "model/config.h"

typedef struct exaone_kv_cache {
    exaone_backend *be;
    exaone_kv *layers; /* [n_layers] */
    size_t *n_pages;   /* [n_layers] pages allocated */
    bool *is_ring;     /* [n_layers] */
    size_t n_layers;   /* num_hidden_layers + MTP layers */
    size_t page_floats;
    size_t n_ctx, chunk, window;
    size_t length; /* tokens stored; kept by the caller */
} exaone_kv_cache;

/* chunk = most new tokens of one forward call. Owned by the caller: exaone_kv_cache_free. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_new(exaone_backend *be, const exaone_config *config, size_t n_ctx,
                                                  size_t chunk, exaone_kv_cache **out, exaone_error *err);
void exaone_kv_cache_free(exaone_kv_cache *cache);

/* Makes room for tokens 0 .. n-1; n above n_ctx is an error with both counts. What is stored stays. */
EXAONE_MUST_USE exaone_status exaone_kv_cache_reserve(exaone_kv_cache *cache, size_t n, exaone_error *err);

/* Whether a sequence of `length` tokens can be cut back to n: the rings still hold the window before n. */
bool exaone_kv_cache_can_cut(const exaone_kv_cache *cache, size_t n);

/* First index that row `index` sees in a layer. */
static inline size_t exaone_kv_first_visible(const exaone_kv_cache *cache, size_t layer, size_t index) {
    return cache->is_ring[layer] && index + 1 > cache->window ? index + 1 - cache->window : 0;
}

#endif
