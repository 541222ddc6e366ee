/* An open store: the writer thread and its queue, the budget, the one warning. See store.h. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/blob.h"
#include "store/folder.h"

enum { PAUSE_SECONDS = 60 }; /* after a fault of the disk nothing is written for so long */
static const uint64_t default_budget = (uint64_t)4 << 30;
static const size_t default_queue = (size_t)64 << 20;

typedef struct job {
    struct job *next;
    exaone_store_key key;
    void *bytes; /* owned */
    size_t n;
} job;

struct exaone_store {
    int root;
    char *dir; /* as the user spells it, for messages */
    exaone_store_options options;
    pthread_t writer;
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t work;     /* a job came, or the end */
    pthread_cond_t progress; /* a job is done */
    job *first, **last;
    const job *current; /* being written */
    size_t queued;      /* bytes of jobs, the current one included */
    bool stop, warned;
    time_t paused_until; /* seconds of the clock that only goes forward; 0: not paused */
    exaone_store_stats stats;
    /* the writer's own */
    uint64_t total;      /* bytes of entries as far as known */
    uint64_t since_scan; /* bytes written since the folder was read */
    void *compressor;
    uint8_t *scratch;
    size_t scratch_size;
    unsigned serial;
};

static time_t seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* Counts a fault and tells of the first. `error` is an errno or 0. */
static void fault(exaone_store *s, const char *what, const char *reason, int error) {
    char text[640], cause[128] = "";
    pthread_mutex_lock(&s->lock);
    bool first = !s->warned;
    s->warned = true;
    s->stats.faults++;
    pthread_mutex_unlock(&s->lock);
    if (first && s->options.warn) {
        if (error) {
            snprintf(cause, sizeof cause, ": %s", strerror(error)); // NOLINT(concurrency-mt-unsafe)
        }
        snprintf(text, sizeof text, "cache folder %.400s: %s%s%s", s->dir, what, reason, cause);
        s->options.warn(s->options.warn_ctx, text);
    }
}

/* ---- the writer ---- */

static int older_first(const void *a, const void *b) {
    const struct timespec *x = &((const exaone_store_file *)a)->used, *y = &((const exaone_store_file *)b)->used;
    return x->tv_sec != y->tv_sec     ? (x->tv_sec < y->tv_sec ? -1 : 1)
           : x->tv_nsec != y->tv_nsec ? (x->tv_nsec < y->tv_nsec ? -1 : 1)
                                      : 0;
}

/* Reads the folder, then removes the entries used longest ago until nine tenths of the budget are left, if it is exceeded.
 */
static void keep_budget(exaone_store *s) {
    exaone_store_file *files;
    size_t n;
    s->since_scan = 0;
    if (!exaone_store_scan(s->root, false, &files, &n)) {
        fault(s, "it cannot be read", "", errno);
        return;
    }
    s->total = 0;
    for (size_t i = 0; i < n; i++) {
        s->total += files[i].size;
    }
    uint64_t removed = 0;
    if (s->total > s->options.budget) {
        qsort(files, n, sizeof *files, older_first);
        for (size_t i = 0; i < n && s->total > s->options.budget - s->options.budget / 10; i++) {
            char name[EXAONE_STORE_NAME];
            exaone_store_name(&files[i].key, name);
            if (unlinkat(s->root, name, 0) == 0) {
                removed++;
            } else if (errno != ENOENT) { /* gone already: another process keeps the budget too */
                fault(s, "an entry cannot be removed", "", errno);
                break;
            }
            s->total -= files[i].size;
        }
    }
    free(files);
    pthread_mutex_lock(&s->lock);
    s->stats.evicted += removed;
    pthread_mutex_unlock(&s->lock);
}

/* The entry as it goes to disk: *payload, compressed when that pays. */
static exaone_blob encode(exaone_store *s, const job *j, const void **payload) {
    exaone_blob blob = {.key = j->key, .size = j->n, .stored = j->n, .encoding = EXAONE_BLOB_RAW};
    *payload = j->bytes;
    if (s->scratch_size < j->n) {
        free(s->scratch);
        s->scratch = malloc(j->n);
        s->scratch_size = s->scratch ? j->n : 0;
    }
    size_t packed = s->scratch ? exaone_blob_compress(&s->compressor, j->bytes, j->n, s->scratch, j->n) : 0;
    if (packed) {
        blob.encoding = EXAONE_BLOB_ZSTD;
        blob.stored = packed;
        *payload = s->scratch;
    }
    return blob;
}

/* Whether the entry is there; then this is a use of it. */
static bool touch(exaone_store *s, const exaone_store_key *key) {
    char name[EXAONE_STORE_NAME];
    exaone_store_name(key, name);
    return utimensat(s->root, name, NULL, AT_SYMLINK_NOFOLLOW) == 0 ||
           (errno != ENOENT && errno != ENOTDIR && faccessat(s->root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

static void write_job(exaone_store *s, const job *j) {
    uint64_t size = 0;
    bool there = touch(s, &j->key);
    int error = 0;
    if (!there && j->n + EXAONE_BLOB_HEADER <= s->options.budget) {
        const void *payload;
        uint8_t header[EXAONE_BLOB_HEADER];
        exaone_blob blob = encode(s, j, &payload);
        exaone_blob_write_header(&blob, payload, header);
        error = exaone_store_save(s->root, &j->key, header, payload, (size_t)blob.stored, s->serial++);
        size = error ? 0 : blob.stored + sizeof header;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.known += there;
    s->stats.written += size > 0;
    s->stats.dropped += !there && size == 0;
    s->stats.bytes_in += size ? j->n : 0;
    s->stats.bytes_written += size;
    if (error && error != ENOENT) {
        s->paused_until = seconds() + PAUSE_SECONDS;
    }
    pthread_mutex_unlock(&s->lock);
    if (error && error != ENOENT) { /* ENOENT: the folder was cleared meanwhile */
        fault(s, "nothing can be written there", "", error);
    }
    s->total += size;
    s->since_scan += size;
    if (s->total > s->options.budget || s->since_scan > s->options.budget / 8) {
        keep_budget(s);
    }
}

static void *write_jobs(void *ctx) {
    exaone_store *s = ctx;
    if (!s->options.read_only) {
        exaone_store_sweep(s->root, false);
        keep_budget(s);
    }
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->first && !s->stop) {
            pthread_cond_wait(&s->work, &s->lock);
        }
        job *j = s->first;
        if (!j) {
            break;
        }
        s->current = j;
        s->first = j->next;
        s->last = s->first ? s->last : &s->first;
        bool paused = s->paused_until && seconds() < s->paused_until;
        s->stats.dropped += paused;
        pthread_mutex_unlock(&s->lock);
        if (!paused) {
            write_job(s, j);
        }
        pthread_mutex_lock(&s->lock);
        s->queued -= j->n;
        s->current = NULL;
        pthread_cond_broadcast(&s->progress);
        free(j->bytes);
        free(j);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening ---- */

/* mkdir -p; the last folder gets mode 0700, those above it too when they are new. */
static int make_folders(const char *dir) {
    char *path = exaone_mem_string(dir, strlen(dir));
    if (!path) {
        return ENOMEM;
    }
    int error = 0;
    for (char *p = path + 1; !error && *p; p++) {
        if (*p == '/') {
            *p = 0;
            error = mkdir(path, 0700) == 0 || exaone_file_is_dir(path) ? 0 : errno;
            *p = '/';
        }
    }
    error = error || mkdir(path, 0700) == 0 || exaone_file_is_dir(path) ? error : errno;
    free(path);
    return error;
}

static bool start_writer(exaone_store *s) {
    sigset_t all, old; /* signals are the program's; SIGXFSZ must not end it */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = pthread_create(&s->writer, NULL, write_jobs, s) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ok;
}

exaone_status exaone_store_open(const char *dir, const exaone_store_options *options, exaone_store **out,
                                exaone_error *err) {
    *out = NULL;
    if (!*dir) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the name of the cache folder is empty");
    }
    int error = options && options->read_only ? 0 : make_folders(dir);
    int root = error ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        error = error ? error : errno;
        return exaone_fail(err, error == ENOMEM ? EXAONE_ERR_MEMORY : EXAONE_ERR_IO, "cache folder %.400s: %s", dir,
                           strerror(error)); // NOLINT(concurrency-mt-unsafe)
    }
    exaone_store *s = exaone_mem_array(1, sizeof *s);
    char *name = exaone_mem_string(dir, strlen(dir));
    if (!s || !name) {
        free(s);
        free(name);
        close(root);
        return exaone_fail_memory(err, "a cache folder", sizeof *s);
    }
    s->root = root;
    s->dir = name;
    s->options = options ? *options : (exaone_store_options){0};
    s->options.budget = s->options.budget ? s->options.budget : default_budget;
    s->options.queue_budget = s->options.queue_budget ? s->options.queue_budget : default_queue;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->progress, NULL);
    if (!s->options.read_only && faccessat(root, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        s->options.read_only = true;
        fault(s, "nothing can be written there", "", errno);
    }
    if (!start_writer(s)) {
        s->stop = true;
        close(root);
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->work);
        pthread_cond_destroy(&s->progress);
        free(s->dir);
        free(s);
        return exaone_fail(err, EXAONE_ERR_MEMORY, "cache folder %.400s: no thread can be started", dir);
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_store_close(exaone_store *s) {
    if (!s) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
    exaone_blob_compressor_free(s->compressor);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->progress);
    close(s->root);
    free(s->scratch);
    free(s->dir);
    free(s);
}

/* ---- reading ---- */

bool exaone_store_has(exaone_store *s, const exaone_store_key *key) {
    char name[EXAONE_STORE_NAME];
    exaone_store_name(key, name);
    return faccessat(s->root, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void exaone_store_remove(exaone_store *s, const exaone_store_key *key) {
    char name[EXAONE_STORE_NAME];
    exaone_store_name(key, name);
    if (!s->options.read_only) {
        (void)unlinkat(s->root, name, 0);
    }
}

/* With the lock held. */
static bool waits(const exaone_store *s, const exaone_store_key *key) {
    bool found = s->current && memcmp(&s->current->key, key, sizeof *key) == 0;
    for (const job *j = s->first; j && !found; j = j->next) {
        found = memcmp(&j->key, key, sizeof *key) == 0;
    }
    return found;
}

bool exaone_store_knows(exaone_store *s, const exaone_store_key *key) {
    pthread_mutex_lock(&s->lock);
    bool found = waits(s, key);
    pthread_mutex_unlock(&s->lock);
    return found || exaone_store_has(s, key);
}

static bool load(exaone_store *s, const exaone_store_key *key, exaone_store_want want, void *bytes, size_t size,
                 exaone_store_read *r) {
    bool ok = exaone_store_load(s->root, key, want, bytes, size, !s->options.read_only, r);
    pthread_mutex_lock(&s->lock);
    s->stats.hits += ok;
    s->stats.misses += !ok;
    s->stats.bytes_read += ok ? r->file_size : 0;
    pthread_mutex_unlock(&s->lock);
    if (r->fault) {
        char name[EXAONE_STORE_NAME], what[128];
        exaone_store_name(key, name);
        exaone_store_remove(s, key);
        snprintf(what, sizeof what, "entry %.18s... is not used: ", name);
        fault(s, what, r->fault, r->error);
    } else if (r->error) {
        fault(s, "an entry cannot be read", "", r->error);
    }
    return ok;
}

bool exaone_store_get(exaone_store *s, const exaone_store_key *key, void *bytes, size_t n) {
    exaone_store_read r;
    return load(s, key, EXAONE_WANT_EXACT, bytes, n, &r);
}

bool exaone_store_take(exaone_store *s, const exaone_store_key *key, size_t max, uint8_t **bytes, size_t *n) {
    exaone_store_read r;
    bool ok = load(s, key, EXAONE_WANT_NEW, NULL, max, &r);
    *bytes = ok ? r.bytes : NULL;
    *n = ok ? r.size : 0;
    return ok;
}

/* ---- writing ---- */

bool exaone_store_give(exaone_store *s, const exaone_store_key *key, void *bytes, size_t n, exaone_store_wait wait) {
    job *j = malloc(sizeof *j);
    bool accepted = false, known = false;
    pthread_mutex_lock(&s->lock);
    if (j && n <= EXAONE_STORE_MAX_ENTRY && !s->options.read_only) {
        bool paused = s->paused_until && seconds() < s->paused_until;
        known = waits(s, key);
        while (!known && !paused && wait == EXAONE_STORE_WAIT && s->queued && s->queued + n > s->options.queue_budget) {
            pthread_cond_wait(&s->progress, &s->lock);
            paused = s->paused_until && seconds() < s->paused_until;
        }
        accepted = !known && !paused && (s->queued == 0 || s->queued + n <= s->options.queue_budget);
    }
    if (accepted) {
        *j = (job){.key = *key, .bytes = bytes, .n = n};
        *s->last = j;
        s->last = &j->next;
        s->queued += n;
        pthread_cond_signal(&s->work);
    }
    s->stats.dropped += !accepted && !known;
    pthread_mutex_unlock(&s->lock);
    if (!accepted) {
        free(j);
        free(bytes);
    }
    return accepted || known;
}

bool exaone_store_put(exaone_store *s, const exaone_store_key *key, const void *bytes, size_t n, exaone_store_wait wait) {
    void *copy = n <= EXAONE_STORE_MAX_ENTRY ? malloc(n ? n : 1) : NULL;
    if (!copy) {
        pthread_mutex_lock(&s->lock);
        s->stats.dropped++;
        pthread_mutex_unlock(&s->lock);
        return false;
    }
    memcpy(copy, n ? bytes : copy, n);
    return exaone_store_give(s, key, copy, n, wait);
}

void exaone_store_flush(exaone_store *s) {
    pthread_mutex_lock(&s->lock);
    while (s->first || s->current) {
        pthread_cond_wait(&s->progress, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

exaone_store_stats exaone_store_get_stats(exaone_store *s) {
    pthread_mutex_lock(&s->lock);
    exaone_store_stats stats = s->stats;
    pthread_mutex_unlock(&s->lock);
    return stats;
}
