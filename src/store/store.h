/* A folder of blobs by 32-byte key: a cache that several processes share and that knows nothing of what it holds.
 *
 *   DIR/FF/KKKK…KK       one entry, FF the first byte of its key, K the rest of it, hexadecimal; format: blob.h
 *   DIR/tmp/NAME         entries being written, each locked (flock) by its writer; those without a lock are removed
 *
 * An entry appears by rename, whole or not at all, and is never changed afterwards. Its modification time is the time of its
 * last use: when the folder outgrows the budget, the entries used longest ago go. There is no index that could be wrong:
 * what is there is found by reading the folders. The folder has mode 0700, files 0600.
 *
 * A cache may fail at any time: an entry that is cut, changed, of another version or unreadable is a miss and is removed, a
 * full or read-only disk ends writing. The first such fault of an open store is told through `warn`, none is an error. */
#ifndef EXAONE_STORE_STORE_H
#define EXAONE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

typedef struct exaone_store exaone_store;

enum { EXAONE_STORE_MAX_ENTRY = 1 << 30 }; /* bytes */

typedef struct exaone_store_key {
    uint8_t bytes[32];
} exaone_store_key;

/* Told once per open store, from the thread that met the fault; `message` is one sentence. */
typedef void exaone_store_warn_fn(void *ctx, const char *message);

typedef struct exaone_store_options {
    uint64_t budget;     /* bytes of all entries on disk; 0: 4 GiB */
    size_t queue_budget; /* bytes that may wait for the writer; 0: 64 MiB */
    bool read_only;      /* writes and removes nothing */
    exaone_store_warn_fn *warn;
    void *warn_ctx;
} exaone_store_options;

/* Opens a folder, making it (and its parents) when it is not there, and starts the writer thread. `options` may be NULL.
 * Errors: _IO when the folder cannot be made or read, _ARGUMENT, _MEMORY. Owned by the caller: exaone_store_close. A folder
 * that can be read only is opened with a warning. All calls below may come from any thread. */
EXAONE_MUST_USE exaone_status exaone_store_open(const char *dir, const exaone_store_options *options, exaone_store **out,
                                                exaone_error *err);
/* Writes what waits, then ends the writer and frees. NULL is fine. */
void exaone_store_close(exaone_store *store);

/* Whether an entry of that key is there (it may still turn out to be broken, or go). */
bool exaone_store_has(exaone_store *store, const exaone_store_key *key);
/* Whether it is there or waits to be written. */
bool exaone_store_knows(exaone_store *store, const exaone_store_key *key);

/* Removes an entry if it is there. */
void exaone_store_remove(exaone_store *store, const exaone_store_key *key);

/* Reads an entry of exactly n bytes into `bytes`. False: a miss (then `bytes` holds anything). */
bool exaone_store_get(exaone_store *store, const exaone_store_key *key, void *bytes, size_t n);
/* Reads an entry of at most `max` bytes; *bytes belongs to the caller (free). */
bool exaone_store_take(exaone_store *store, const exaone_store_key *key, size_t max, uint8_t **bytes, size_t *n);

typedef enum exaone_store_wait {
    EXAONE_STORE_DROP, /* never blocks: the entry is dropped when the queue is full */
    EXAONE_STORE_WAIT, /* waits for room */
} exaone_store_wait;

/* Hands an entry to the writer, which writes it soon: the bytes are copied. One that is there already is left as it is.
 * False: dropped (the queue is full, no memory, or writing has ended after a fault). */
bool exaone_store_put(exaone_store *store, const exaone_store_key *key, const void *bytes, size_t n, exaone_store_wait wait);
/* The same with bytes of malloc, which the store frees in any case. */
bool exaone_store_give(exaone_store *store, const exaone_store_key *key, void *bytes, size_t n, exaone_store_wait wait);
/* Waits until nothing waits to be written. */
void exaone_store_flush(exaone_store *store);

typedef struct exaone_store_stats {
    uint64_t hits, misses, bytes_read; /* bytes as stored */
    uint64_t written, known, dropped;  /* entries put; `known` were there already */
    uint64_t bytes_in, bytes_written;  /* of written entries: as given, as stored */
    uint64_t evicted, faults;          /* entries removed for the budget; faults met */
} exaone_store_stats;
exaone_store_stats exaone_store_get_stats(exaone_store *store);

/* ---- a folder as a whole; nothing needs to be open ---- */

typedef struct exaone_store_entry {
    exaone_store_key key;
    uint64_t stored;   /* bytes of the file */
    uint64_t size;     /* bytes of the entry as given; 0 when the header is broken */
    int64_t used;      /* seconds since 1970 of the last use */
    const char *fault; /* why it is broken, a static text; NULL: it is whole (as far as was looked) */
} exaone_store_entry;

/* Called for each entry; false ends the walk. */
typedef bool exaone_store_walk_fn(void *ctx, const exaone_store_entry *entry);

/* Visits every entry of a folder, in no order; with `verify` each is read whole and its checksum compared, and broken ones
 * are removed when `repair`. Errors: _IO when the folder cannot be read, _CANCELLED when `walk` ended it, _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_store_walk(const char *dir, bool verify, bool repair, exaone_store_walk_fn *walk,
                                                void *ctx, exaone_error *err);
/* Removes every entry and temporary, and the folders of a store; other files stay. *n = entries removed (may be NULL). */
EXAONE_MUST_USE exaone_status exaone_store_clear(const char *dir, uint64_t *n, exaone_error *err);

#endif
