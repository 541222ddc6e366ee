/* The feature cache: a list in the order of last use, under one lock. See features.h. */
#include "engine/features.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sha256.h"

exaone_status exaone_feature_cache_init(exaone_feature_cache *c, exaone_backend *be, size_t budget, exaone_error *err) {
    *c = (exaone_feature_cache){.be = be, .budget = budget};
    int fault = pthread_mutex_init(&c->lock, NULL);
    if (fault != 0) {
        c->be = NULL;
        return exaone_fail(err, EXAONE_ERR_MEMORY, "the lock of the feature cache: %s", strerror(fault));
    }
    return EXAONE_OK;
}

static void destroy(exaone_feature_cache *c, exaone_features *f) {
    c->be->release(c->be, f->values);
    free(f);
}

static void unlink_entry(exaone_feature_cache *c, exaone_features *f) {
    *(f->newer ? &f->newer->older : &c->newest) = f->older;
    *(f->older ? &f->older->newer : &c->oldest) = f->newer;
    f->older = f->newer = NULL;
    f->kept = false;
    c->bytes -= f->bytes;
}

static void link_newest(exaone_feature_cache *c, exaone_features *f) {
    f->older = c->newest;
    f->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = f;
    c->newest = f;
    f->kept = true;
    c->bytes += f->bytes;
}

void exaone_feature_cache_release(exaone_feature_cache *c) {
    if (!c->be) {
        return;
    }
    while (c->newest) {
        exaone_features *f = c->newest;
        unlink_entry(c, f);
        destroy(c, f);
    }
    pthread_mutex_destroy(&c->lock);
    *c = (exaone_feature_cache){0};
}

void exaone_medium_digest(const exaone_pixels *p, bool is_video, uint8_t digest[EXAONE_MEDIUM_DIGEST]) {
    uint8_t parts[EXAONE_MEDIUM_DIGEST + 4 * sizeof(uint32_t)];
    uint32_t numbers[4] = {p->grid[0], p->grid[1], p->grid[2], is_video};
    exaone_sha256(p->values, p->rows * p->cols * sizeof *p->values, parts);
    memcpy(parts + EXAONE_MEDIUM_DIGEST, numbers, sizeof numbers);
    exaone_sha256(parts, sizeof parts, digest);
}

static exaone_features *lookup(const exaone_feature_cache *c, const uint8_t digest[EXAONE_MEDIUM_DIGEST]) {
    exaone_features *f = c->newest;
    while (f && memcmp(f->digest, digest, EXAONE_MEDIUM_DIGEST) != 0) {
        f = f->older;
    }
    return f;
}

exaone_features *exaone_feature_cache_find(exaone_feature_cache *c, const uint8_t digest[EXAONE_MEDIUM_DIGEST]) {
    pthread_mutex_lock(&c->lock);
    exaone_features *f = lookup(c, digest);
    if (f) {
        unlink_entry(c, f);
        link_newest(c, f);
        f->users++;
        c->hits++;
    } else {
        c->misses++;
    }
    pthread_mutex_unlock(&c->lock);
    return f;
}

exaone_status exaone_feature_cache_make(exaone_feature_cache *c, size_t bytes, const uint8_t digest[EXAONE_MEDIUM_DIGEST],
                                        exaone_features **out, exaone_error *err) {
    exaone_features *f = exaone_mem_array(1, sizeof *f);
    *out = NULL;
    if (f) {
        f->values = c->be->alloc(c->be, bytes);
    }
    if (!f || !f->values) {
        free(f);
        return exaone_fail_memory(err, "image features", bytes);
    }
    f->bytes = bytes;
    f->users = 1;
    memcpy(f->digest, digest, EXAONE_MEDIUM_DIGEST);
    *out = f;
    return EXAONE_OK;
}

void exaone_feature_cache_keep(exaone_feature_cache *c, exaone_features *f) {
    pthread_mutex_lock(&c->lock);
    if (f->bytes <= c->budget && !f->kept && !lookup(c, f->digest)) {
        link_newest(c, f);
        while (c->bytes > c->budget) { /* ends: the new entry alone fits */
            exaone_features *last = c->oldest;
            unlink_entry(c, last);
            if (last->users == 0) {
                destroy(c, last);
            }
        }
    }
    pthread_mutex_unlock(&c->lock);
}

void exaone_feature_cache_drop(exaone_feature_cache *c, exaone_features *f) {
    if (!f) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    bool unused = --f->users == 0 && !f->kept;
    pthread_mutex_unlock(&c->lock);
    if (unused) {
        destroy(c, f);
    }
}

exaone_features *exaone_feature_cache_hold(exaone_feature_cache *c, exaone_features *f) {
    if (f) {
        pthread_mutex_lock(&c->lock);
        f->users++;
        pthread_mutex_unlock(&c->lock);
    }
    return f;
}
