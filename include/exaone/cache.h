/* The prefix cache: what sessions have evaluated, kept in a folder, so that a prompt met again after a restart is not
 * evaluated again.
 *
 * Entries are found by a chain of hashes of the model, the precision, the kernels, the cache types, the tokens and the
 * images' content: a hit gives the very numbers that evaluation would give. Several processes may share a folder. Whatever
 * is wrong with it (cut, changed or foreign files, a full or read-only disk) is a miss and one warning, never an error. */
#ifndef EXAONE_CACHE_H
#define EXAONE_CACHE_H

#include "exaone/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_cache exaone_cache;

typedef struct exaone_cache_options {
    uint64_t budget; /* bytes on disk; 0: 4 GiB. Entries used longest ago go first. */
    /* Told once per open cache, at the first fault; may come from another thread. `message` is one sentence. */
    void (*warn)(void *ctx, const char *message);
    void *warn_ctx;
} exaone_cache_options;

/* Opens a folder, making it when it is not there (mode 0700). `options` may be NULL. Errors: EXAONE_ERR_IO, _MEMORY. Owned
 * by the caller: exaone_cache_close, after the sessions and schedulers that use it. Any number of them, on any engines, may
 * share it. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_cache_open(const char *dir, const exaone_cache_options *options,
                                                           exaone_cache **out, exaone_error *err);
/* Waits until everything is written. NULL is fine. */
EXAONE_API void exaone_cache_close(exaone_cache *cache);

/* Lets a session load from and save to a cache (NULL: no longer). The cache must outlive the session and its forks. A
 * scheduler takes one with its options. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_set_cache(exaone_session *session, exaone_cache *cache,
                                                                  exaone_error *err);
/* Saves the timeline as it stands, so that a later session can continue from its end: at the end of a turn. What is there
 * already is not written again. Returns at once, the writing happens on another thread; with `wait` it is not cut short when
 * the disk is slow. */
EXAONE_API void exaone_session_save(exaone_session *session, bool wait);

typedef struct exaone_cache_stats {
    uint64_t tokens_loaded, bytes_read; /* bytes as stored */
    uint64_t entries_written, bytes_in, bytes_written, entries_dropped, entries_evicted, faults;
} exaone_cache_stats;
EXAONE_API void exaone_cache_get_stats(exaone_cache *cache, exaone_cache_stats *stats);

/* ---- a folder as a whole ---- */

typedef struct exaone_cache_summary {
    uint64_t entries, stored, size; /* files, their bytes, bytes of what they hold */
    uint64_t broken;                /* entries that are cut, changed or of another version */
    int64_t oldest, newest;         /* seconds since 1970 of last uses; 0 when empty */
} exaone_cache_summary;

/* Looks at every entry, with `verify` reads each whole and compares checksums, and removes broken ones. A folder that is not
 * there is empty. Errors: EXAONE_ERR_IO, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_cache_inspect(const char *dir, bool verify, exaone_cache_summary *out,
                                                              exaone_error *err);
/* Removes every entry; files that are not the cache's stay. *n = entries removed (may be NULL). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_cache_clear(const char *dir, uint64_t *n, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
