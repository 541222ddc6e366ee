/* The insides of an open cache folder. */
#ifndef EXAONE_ENGINE_CACHE_INTERNAL_H
#define EXAONE_ENGINE_CACHE_INTERNAL_H

#include <pthread.h>

#include "exaone/cache.h"
#include "store/store.h"

struct exaone_cache {
    exaone_store *store;
    uint64_t budget;
    pthread_mutex_t lock;
    uint64_t tokens_loaded;
};

void exaone_cache_count_loaded(exaone_cache *cache, size_t tokens);

#endif
