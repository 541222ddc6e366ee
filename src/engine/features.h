/* Features of images and videos, kept so that a picture met again is not encoded again: one cache per engine, least recently
 * used entries go first when the byte budget is exceeded. An entry in use stays valid whatever the cache does. Any thread.
 */
#ifndef EXAONE_ENGINE_FEATURES_H
#define EXAONE_ENGINE_FEATURES_H

#include <pthread.h>

#include "backend/backend.h"
#include "exaone/media.h"

enum { EXAONE_MEDIUM_DIGEST = 32 };

typedef struct exaone_features {
    float *values; /*dev*/ /* [tokens, out_hidden_size] */
    size_t bytes;
    uint8_t digest[EXAONE_MEDIUM_DIGEST];
    size_t users; /* holders, the cache not counted */
    bool kept;    /* in the cache's list */
    struct exaone_features *older, *newer;
} exaone_features;

typedef struct exaone_feature_cache {
    exaone_backend *be;
    pthread_mutex_t lock;
    exaone_features *newest, *oldest;
    size_t bytes, budget;
    uint64_t hits, misses;
} exaone_feature_cache;

EXAONE_MUST_USE exaone_status exaone_feature_cache_init(exaone_feature_cache *cache, exaone_backend *be, size_t budget,
                                                        exaone_error *err);
void exaone_feature_cache_release(exaone_feature_cache *cache); /* no entry may be in use; safe on a zeroed cache */

/* What a medium is: SHA-256 over pixels, grid and kind. */
void exaone_medium_digest(const exaone_pixels *pixels, bool is_video, uint8_t digest[EXAONE_MEDIUM_DIGEST]);

/* The entry of a digest, now held by the caller, or NULL. */
exaone_features *exaone_feature_cache_find(exaone_feature_cache *cache, const uint8_t digest[EXAONE_MEDIUM_DIGEST]);
/* A new entry with zeroed values, held by the caller and not in the cache yet. */
EXAONE_MUST_USE exaone_status exaone_feature_cache_make(exaone_feature_cache *cache, size_t bytes,
                                                        const uint8_t digest[EXAONE_MEDIUM_DIGEST], exaone_features **out,
                                                        exaone_error *err);
/* Puts a held entry that is complete now into the cache, unless it is larger than the budget or already there. */
void exaone_feature_cache_keep(exaone_feature_cache *cache, exaone_features *f);
/* Ends a hold; NULL is fine. */
void exaone_feature_cache_drop(exaone_feature_cache *cache, exaone_features *f);
exaone_features *exaone_feature_cache_hold(exaone_feature_cache *cache, exaone_features *f); /* one more holder */

#endif
