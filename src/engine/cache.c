/* The public face of the prefix cache's folder: see exaone/cache.h. */
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/cache_internal.h"

static const uint64_t default_budget = (uint64_t)4 << 30;
static const size_t queue_budget = (size_t)1 << 30; /* the checkpoint of a large model is most of that */

exaone_status exaone_cache_open(const char *dir, const exaone_cache_options *options, exaone_cache **out,
                                exaone_error *err) {
    *out = NULL;
    exaone_cache *c = exaone_mem_array(1, sizeof *c);
    if (!c) {
        return exaone_fail_memory(err, "the prefix cache", sizeof *c);
    }
    c->budget = options && options->budget ? options->budget : default_budget;
    exaone_store_options o = {.budget = c->budget,
                              .queue_budget = queue_budget,
                              .warn = options ? options->warn : NULL,
                              .warn_ctx = options ? options->warn_ctx : NULL};
    exaone_status status = exaone_store_open(dir, &o, &c->store, err);
    if (status != EXAONE_OK) {
        free(c);
        return status;
    }
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return EXAONE_OK;
}

void exaone_cache_close(exaone_cache *c) {
    if (c) {
        exaone_store_close(c->store);
        pthread_mutex_destroy(&c->lock);
        free(c);
    }
}

void exaone_cache_count_loaded(exaone_cache *c, size_t tokens) {
    pthread_mutex_lock(&c->lock);
    c->tokens_loaded += tokens;
    pthread_mutex_unlock(&c->lock);
}

void exaone_cache_get_stats(exaone_cache *c, exaone_cache_stats *stats) {
    exaone_store_stats s = exaone_store_get_stats(c->store);
    pthread_mutex_lock(&c->lock);
    *stats = (exaone_cache_stats){.tokens_loaded = c->tokens_loaded,
                                  .bytes_read = s.bytes_read,
                                  .entries_written = s.written,
                                  .bytes_in = s.bytes_in,
                                  .bytes_written = s.bytes_written,
                                  .entries_dropped = s.dropped,
                                  .entries_evicted = s.evicted,
                                  .faults = s.faults};
    pthread_mutex_unlock(&c->lock);
}

static bool add_entry(void *ctx, const exaone_store_entry *e) {
    exaone_cache_summary *sum = ctx;
    sum->entries++;
    sum->stored += e->stored;
    sum->size += e->size;
    sum->broken += e->fault != NULL;
    sum->oldest = sum->entries == 1 || e->used < sum->oldest ? e->used : sum->oldest;
    sum->newest = sum->entries == 1 || e->used > sum->newest ? e->used : sum->newest;
    return true;
}

exaone_status exaone_cache_inspect(const char *dir, bool verify, exaone_cache_summary *out, exaone_error *err) {
    *out = (exaone_cache_summary){0};
    return exaone_path_exists(dir) ? exaone_store_walk(dir, verify, verify, add_entry, out, err) : EXAONE_OK;
}

exaone_status exaone_cache_clear(const char *dir, uint64_t *n, exaone_error *err) {
    if (n) {
        *n = 0;
    }
    return exaone_path_exists(dir) ? exaone_store_clear(dir, n, err) : EXAONE_OK;
}
