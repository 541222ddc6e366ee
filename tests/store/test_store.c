/* The block store: what was put comes back or is a miss, whatever happens to the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/scratch.h"
#include "../support/skip.h"
#include "store/blob.h"
#include "store/folder.h"
#include "store/store.h"

typedef struct {
    int count;
    char text[700];
} warnings;

static void note(void *ctx, const char *message) {
    warnings *w = ctx;
    w->count++;
    snprintf(w->text, sizeof w->text, "%s", message);
}

static exaone_store *open_store(const char *dir, uint64_t budget, warnings *w) {
    exaone_store_options options = {.budget = budget, .warn = w ? note : NULL, .warn_ctx = w};
    exaone_store *s = NULL;
    exaone_error err = {0};
    if (exaone_store_open(dir, &options, &s, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return s;
}

static exaone_store_key key_of(uint32_t number) {
    exaone_store_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = (uint8_t)(number >> (8 * (i % 4))) ^ (uint8_t)(i * 37);
    }
    return key;
}

/* Entry `number`: its bytes follow from it. Every second one can be compressed. */
static void fill(uint32_t number, uint8_t *bytes, size_t n) {
    uint32_t x = number * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(number % 2 ? x >> 30 : x >> 24);
    }
}

static void put(exaone_store *s, uint32_t number, size_t n) {
    exaone_store_key key = key_of(number);
    uint8_t *bytes = malloc(n + 1);
    assert_non_null(bytes);
    fill(number, bytes, n);
    assert_true(exaone_store_give(s, &key, bytes, n, EXAONE_STORE_WAIT));
}

/* 1: there with the right bytes; 0: a miss. Wrong bytes fail the test. */
static int got(exaone_store *s, uint32_t number, size_t n) {
    exaone_store_key key = key_of(number);
    uint8_t *want = malloc(n + 1), *have = malloc(n + 1), *taken;
    size_t size;
    assert_non_null(want);
    assert_non_null(have);
    fill(number, want, n);
    int found = exaone_store_get(s, &key, have, n);
    if (found) {
        assert_memory_equal(want, have, n);
        if (exaone_store_take(s, &key, n, &taken, &size)) { /* unless another process removed it just now */
            assert_int_equal(size, n);
            assert_memory_equal(want, taken, n);
        }
        free(taken);
    }
    free(want);
    free(have);
    return found;
}

static char *path_of(const char *dir, uint32_t number) {
    static char path[600];
    char name[EXAONE_STORE_NAME];
    exaone_store_key key = key_of(number);
    exaone_store_name(&key, name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void remove_tree(const char *path) {
    char command[700];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);
    assert_int_equal(system(command), 0);
}

static const char *fresh(const char *name) {
    const char *dir = scratch_path(name);
    remove_tree(dir);
    return dir;
}

static size_t count_files(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static unsigned mode_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void comes_back(void **state) {
    (void)state;
    const char *dir = fresh("deep/er/back");
    warnings w = {0};
    static const size_t sizes[] = {0, 1, 71, 72, 1000, 65536, 3000001};
    exaone_store *s = open_store(dir, 0, &w);
    for (uint32_t i = 0; i < 14; i++) {
        put(s, i, sizes[i % 7]);
        exaone_store_key key = key_of(i);
        assert_true(exaone_store_knows(s, &key));
    }
    exaone_store_flush(s);
    for (uint32_t i = 0; i < 14; i++) {
        assert_true(got(s, i, sizes[i % 7]));
    }
    assert_false(got(s, 99, 5));
    exaone_store_stats stats = exaone_store_get_stats(s);
    assert_int_equal(stats.written, 14);
    assert_int_equal(stats.faults, 0);
    assert_true(stats.bytes_written < stats.bytes_in); /* odd numbers have two random bits per byte */
    put(s, 3, sizes[3]);
    exaone_store_flush(s);
    assert_int_equal(exaone_store_get_stats(s).known, 1);
    exaone_store_close(s);
    assert_int_equal(mode_of(dir), 0700);
    assert_int_equal(mode_of(path_of(dir, 4)), 0600);
    assert_int_equal(count_files(scratch_path("deep/er/back/tmp")), 0);

    s = open_store(dir, 0, &w); /* another time */
    for (uint32_t i = 0; i < 14; i++) {
        assert_true(got(s, i, sizes[i % 7]));
    }
    exaone_store_close(s);
    assert_int_equal(w.count, 0);
}

/* The file of an entry, changed by the caller and written back before each try. */
typedef struct {
    char path[600];
    uint8_t bytes[512];
    size_t n;
} small_file;

static void load_small(small_file *f, const char *dir, uint32_t number) {
    snprintf(f->path, sizeof f->path, "%s", path_of(dir, number));
    FILE *in = fopen(f->path, "rb");
    assert_non_null(in);
    f->n = fread(f->bytes, 1, sizeof f->bytes, in);
    fclose(in);
}

static void store_small(const small_file *f, const uint8_t *bytes, size_t n) {
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* Entry 2 is raw, entry 3 compressed: 150 bytes each. */
static void cut_anywhere_is_a_miss(void **state) {
    (void)state;
    const char *dir = fresh("cut");
    exaone_store *s = open_store(dir, 0, NULL);
    put(s, 2, 150);
    put(s, 3, 150);
    exaone_store_close(s);
    for (uint32_t number = 2; number <= 3; number++) {
        small_file f;
        load_small(&f, dir, number);
        assert_true(f.n > EXAONE_BLOB_HEADER && f.n < sizeof f.bytes);
        for (size_t n = 0; n < f.n; n++) {
            warnings w = {0};
            store_small(&f, f.bytes, n);
            s = open_store(dir, 0, &w);
            assert_false(got(s, number, 150));
            assert_int_equal(w.count, 1);
            assert_false(got(s, number, 150));
            assert_int_equal(access(f.path, F_OK), -1); /* a broken entry makes room for a new one */
            exaone_store_close(s);
            assert_int_equal(w.count, 1);
        }
        f.bytes[f.n] = 0;
        store_small(&f, f.bytes, f.n + 1); /* one byte too many */
        s = open_store(dir, 0, NULL);
        assert_false(got(s, number, 150));
        store_small(&f, f.bytes, f.n);
        assert_true(got(s, number, 150));
        exaone_store_close(s);
    }
}

static void flipped_bits_are_a_miss(void **state) {
    (void)state;
    const char *dir = fresh("flip");
    exaone_store *s = open_store(dir, 0, NULL);
    put(s, 2, 150);
    put(s, 3, 150);
    exaone_store_flush(s);
    for (uint32_t number = 2; number <= 3; number++) {
        small_file f;
        load_small(&f, dir, number);
        for (size_t bit = 0; bit < 8 * f.n; bit++) {
            f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            store_small(&f, f.bytes, f.n);
            assert_false(got(s, number, 150));
            f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        store_small(&f, f.bytes, f.n);
        assert_true(got(s, number, 150));
    }
    exaone_store_close(s);
}

/* A header that is right in itself but tells of another version or another key is refused, as is a size not asked for. */
static void another_version_key_or_size(void **state) {
    (void)state;
    const char *dir = fresh("foreign");
    warnings w = {0};
    exaone_store *s = open_store(dir, 0, &w);
    put(s, 2, 150);
    put(s, 4, 150);
    exaone_store_flush(s);
    small_file f, g;
    load_small(&f, dir, 2);
    load_small(&g, dir, 4);
    store_small(&f, g.bytes, g.n);
    assert_false(got(s, 2, 150));
    assert_non_null(strstr(w.text, "another one"));
    f.bytes[8] = 2;
    store_small(&f, f.bytes, f.n);
    exaone_store_close(s);
    s = open_store(dir, 0, &w);
    assert_false(got(s, 2, 150));
    assert_non_null(strstr(w.text, "another version"));
    exaone_store_close(s);
    s = open_store(dir, 0, &w);
    assert_false(got(s, 4, 149));
    assert_int_equal(w.count, 3);
    exaone_store_close(s);
    s = open_store(dir, 0, &w);
    put(s, 2, 150); /* it can be written anew */
    exaone_store_flush(s);
    assert_true(got(s, 2, 150));
    exaone_store_close(s);
}

/* Folders, pipes and links where an entry should be. */
static void no_regular_file(void **state) {
    (void)state;
    const char *dir = fresh("kinds");
    warnings w = {0};
    exaone_store *s = open_store(dir, 0, &w);
    put(s, 2, 150);
    exaone_store_flush(s);
    char path[600];
    snprintf(path, sizeof path, "%s", path_of(dir, 2));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(got(s, 2, 150)); /* and does not wait for a writer */
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(got(s, 2, 150));
    rmdir(path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_false(got(s, 2, 150));
    exaone_store_close(s);
    assert_int_equal(w.count, 1);
}

static void budget_removes_what_was_used_longest_ago(void **state) {
    (void)state;
    const char *dir = fresh("budget");
    warnings w = {0};
    enum { EACH = 10000, FIT = 20 };
    const uint64_t budget = FIT * (EACH + EXAONE_BLOB_HEADER);
    exaone_store *s = open_store(dir, budget, &w);
    for (uint32_t i = 0; i < FIT; i++) {
        put(s, 2 * i, EACH); /* raw */
        exaone_store_flush(s);
    }
    assert_true(got(s, 0, EACH)); /* now the latest */
    for (uint32_t i = FIT; i < FIT + 5; i++) {
        put(s, 2 * i, EACH);
    }
    exaone_store_flush(s);
    assert_true(got(s, 0, EACH));
    assert_false(got(s, 2, EACH));
    assert_true(got(s, 2 * (FIT + 4), EACH));
    put(s, 1000, (size_t)budget + 1); /* larger than the whole budget: not written */
    exaone_store_flush(s);
    assert_false(got(s, 1000, (size_t)budget + 1));
    exaone_store_close(s);

    uint64_t total = 0;
    exaone_store_file *files;
    size_t n;
    int root = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(exaone_store_scan(root, true, &files, &n));
    close(root);
    for (size_t i = 0; i < n; i++) {
        total += files[i].size;
    }
    free(files);
    assert_true(total <= budget);
    s = open_store(dir, budget / 4, &w); /* a smaller budget is kept from the start */
    exaone_store_close(s);
    root = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(exaone_store_scan(root, true, &files, &n));
    close(root);
    free(files);
    assert_true(n >= 3 && n <= FIT / 4);
    assert_int_equal(w.count, 0);
}

static void stale_temporaries_go(void **state) {
    (void)state;
    const char *dir = fresh("stale");
    exaone_store *s = open_store(dir, 0, NULL);
    put(s, 2, 150);
    exaone_store_close(s);
    scratch_write_text("stale/tmp/4711-0-1", "half");
    scratch_write_text("stale/tmp/note", "somebody's own");
    int held = open(scratch_write_text("stale/tmp/4711-1-1", "in work"), O_RDONLY);
    assert_true(held >= 0);
    assert_int_equal(flock(held, LOCK_EX), 0);
    exaone_store_close(open_store(dir, 0, NULL));
    assert_int_equal(count_files(scratch_path("stale/tmp")), 2);
    close(held); /* its writer ended */
    exaone_store_close(open_store(dir, 0, NULL));
    assert_int_equal(count_files(scratch_path("stale/tmp")), 1);
    assert_int_equal(count_files(scratch_path("stale")), 2);
}

/* Nothing can be written: the program goes on, one warning. */
static void read_only_folder(void **state) {
    (void)state;
    if (geteuid() != 0) {
        TEST_SKIP("needs to change the user");
    }
    const char *dir = fresh("ro");
    exaone_store *s = open_store(dir, 0, NULL);
    put(s, 2, 150);
    exaone_store_close(s);
    char command[700];
    for (const char *up = dir; *up; up++) { /* the scratch folder is the user's own: let others look into it */
        if (*up == '/' && up != dir) {
            snprintf(command, sizeof command, "%.*s", (int)(up - dir), dir);
            struct stat st;
            if (stat(command, &st) == 0) {
                (void)!chmod(command, st.st_mode | 0111);
            }
        }
    }
    snprintf(command, sizeof command, "chmod -R a+rX '%s'", dir);
    assert_int_equal(system(command), 0);
    char half[600]; /* its folder can be read, the one of the entry cannot */
    snprintf(half, sizeof half, "%s", fresh("half"));
    s = open_store(half, 0, NULL);
    put(s, 2, 150);
    exaone_store_close(s);
    assert_int_equal(chmod(half, 0755), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        warnings w = {0};
        exaone_error err = {0};
        exaone_store_options options = {.warn = note, .warn_ctx = &w};
        if (setuid(65534) != 0 || access(dir, R_OK | X_OK) != 0) {
            _exit(77);
        }
        if (exaone_store_open(dir, &options, &s, &err) != EXAONE_OK) {
            _exit(1);
        }
        uint8_t have[150], want[150];
        exaone_store_key key = key_of(2), other = key_of(4);
        fill(2, want, 150);
        bool ok = exaone_store_get(s, &key, have, 150) && memcmp(have, want, 150) == 0 &&
                  !exaone_store_put(s, &other, want, 150, EXAONE_STORE_WAIT) && w.count == 1;
        exaone_store_close(s);
        ok = ok && exaone_store_walk(half, false, false, NULL, NULL, &err) == EXAONE_ERR_IO &&
             exaone_store_clear(half, NULL, &err) == EXAONE_ERR_IO;
        _exit(ok && w.count == 1 ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        TEST_SKIP("another user cannot look into the scratch folder");
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Files may not grow beyond 2000 bytes: as on a full disk, writing fails in the middle. */
static void full_disk(void **state) {
    (void)state;
    const char *dir = fresh("full");
    struct rlimit old, tight = {.rlim_cur = 2000};
    getrlimit(RLIMIT_FSIZE, &old);
    tight.rlim_max = old.rlim_max;
    warnings w = {0};
    exaone_store *s = open_store(dir, 0, &w);
    put(s, 2, 1000);
    exaone_store_flush(s);
    setrlimit(RLIMIT_FSIZE, &tight);
    put(s, 4, 5000);
    exaone_store_flush(s);
    exaone_store_key key = key_of(6);
    bool accepted = exaone_store_put(s, &key, "x", 1, EXAONE_STORE_DROP); /* writing pauses */
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(accepted);
    assert_true(got(s, 2, 1000));
    assert_false(got(s, 4, 5000));
    exaone_store_close(s);
    assert_int_equal(w.count, 1);
    assert_non_null(strstr(w.text, "nothing can be written there"));
    assert_int_equal(count_files(scratch_path("full/tmp")), 0);
}

/* The folder goes away under an open store, or is cleared. */
static void removed_meanwhile(void **state) {
    (void)state;
    const char *dir = fresh("gone");
    warnings w = {0};
    uint64_t n;
    exaone_store *s = open_store(dir, 0, &w);
    put(s, 2, 1000);
    put(s, 4, 1000);
    exaone_store_flush(s);
    scratch_write_text("gone/mine.txt", "stays");
    assert_int_equal(exaone_store_clear(dir, &n, NULL), EXAONE_OK);
    assert_int_equal(n, 2);
    assert_int_equal(count_files(dir), 1);
    assert_false(got(s, 2, 1000));
    put(s, 2, 1000); /* the folders are made again */
    exaone_store_flush(s);
    assert_true(got(s, 2, 1000));
    assert_int_equal(w.count, 0);
    remove_tree(dir);
    put(s, 4, 1000);
    exaone_store_flush(s);
    assert_false(got(s, 4, 1000));
    exaone_store_close(s);
}

typedef struct {
    uint64_t entries, broken;
} walked;

static bool count_entry(void *ctx, const exaone_store_entry *e) {
    walked *w = ctx;
    w->entries++;
    w->broken += e->fault != NULL;
    return true;
}

static void verify_finds_and_removes(void **state) {
    (void)state;
    const char *dir = fresh("verify");
    exaone_store *s = open_store(dir, 0, NULL);
    for (uint32_t i = 0; i < 6; i++) {
        put(s, i, 150);
    }
    exaone_store_close(s);
    small_file f;
    load_small(&f, dir, 1);
    f.bytes[f.n - 1] ^= 1;
    store_small(&f, f.bytes, f.n);
    load_small(&f, dir, 2);
    store_small(&f, f.bytes, 80);
    walked w = {0};
    assert_int_equal(exaone_store_walk(dir, false, false, count_entry, &w, NULL), EXAONE_OK);
    assert_int_equal(w.entries, 6);
    assert_int_equal(w.broken, 1); /* a changed byte shows when it is read */
    w = (walked){0};
    assert_int_equal(exaone_store_walk(dir, true, true, count_entry, &w, NULL), EXAONE_OK);
    assert_int_equal(w.broken, 2);
    w = (walked){0};
    assert_int_equal(exaone_store_walk(dir, true, true, count_entry, &w, NULL), EXAONE_OK);
    assert_int_equal(w.entries, 4);
    assert_int_equal(w.broken, 0);
    exaone_error err = {0};
    assert_int_equal(exaone_store_walk(scratch_path("nowhere"), true, true, count_entry, &w, &err), EXAONE_ERR_IO);
    assert_true(err.message[0]);
}

/* The queue is full: a put that may not wait is dropped at once, one that waits gets through. */
static void full_queue_drops(void **state) {
    (void)state;
    const char *dir = fresh("queue");
    exaone_store_options options = {.queue_budget = 1 << 20};
    exaone_store *s;
    assert_int_equal(exaone_store_open(dir, &options, &s, NULL), EXAONE_OK);
    size_t n = 64 << 20; /* one entry may be larger than the queue; this one keeps the writer busy */
    uint8_t *bytes = calloc(n, 1);
    assert_non_null(bytes);
    exaone_store_key large = key_of(1), small = key_of(2);
    assert_true(exaone_store_give(s, &large, bytes, n, EXAONE_STORE_DROP));
    assert_false(exaone_store_put(s, &small, "x", 1, EXAONE_STORE_DROP));
    assert_true(exaone_store_put(s, &large, "x", 1, EXAONE_STORE_DROP)); /* waits already */
    assert_true(exaone_store_put(s, &small, "x", 1, EXAONE_STORE_WAIT));
    exaone_store_flush(s);
    exaone_store_stats stats = exaone_store_get_stats(s);
    assert_int_equal(stats.dropped, 1);
    assert_int_equal(stats.written, 2);
    assert_true(exaone_store_has(s, &large) && exaone_store_has(s, &small));
    exaone_store_close(s);
}

/* Two processes write and read the same entries, under a budget that removes them all the time. */
static void two_processes_share(void **state) {
    (void)state;
#if defined(__SANITIZE_THREAD__)
    TEST_SKIP("the thread sanitizer cannot follow fork()");
#endif
    const char *dir = fresh("two");
    fflush(NULL);
    pid_t children[2];
    for (int c = 0; c < 2; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            warnings w = {0};
            exaone_store *s = open_store(dir, 300000, &w);
            for (uint32_t i = 0; i < 600; i++) {
                uint32_t number = (i * (c ? 7 : 11)) % 60;
                if (!got(s, number, 9000)) {
                    put(s, number, 9000);
                }
            }
            exaone_store_close(s);
            if (w.count) {
                fprintf(stderr, "%s\n", w.text);
            }
            _exit(w.count ? 1 : 0);
        }
    }
    for (int c = 0; c < 2; c++) {
        int status;
        assert_int_equal(waitpid(children[c], &status, 0), children[c]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    walked w = {0};
    assert_int_equal(exaone_store_walk(dir, true, true, count_entry, &w, NULL), EXAONE_OK);
    assert_true(w.entries > 10);
    assert_int_equal(w.broken, 0);
}

typedef struct {
    exaone_store *s;
    uint32_t start;
    int wrong;
} worker;

static void *work(void *ctx) {
    worker *w = ctx;
    uint8_t want[5000], have[5000];
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t number = (w->start + i * 13) % 40;
        exaone_store_key key = key_of(number);
        fill(number, want, sizeof want);
        if (exaone_store_get(w->s, &key, have, sizeof have)) {
            w->wrong += memcmp(want, have, sizeof have) != 0;
        } else {
            exaone_store_put(w->s, &key, want, sizeof want, i % 2 ? EXAONE_STORE_WAIT : EXAONE_STORE_DROP);
        }
    }
    return NULL;
}

static void threads_share_a_store(void **state) {
    (void)state;
    exaone_store *s = open_store(fresh("threads"), 100000, NULL);
    worker workers[4];
    pthread_t threads[4];
    for (uint32_t i = 0; i < 4; i++) {
        workers[i] = (worker){.s = s, .start = i * 10};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    exaone_store_close(s);
}

static void open_failures(void **state) {
    (void)state;
    exaone_store *s;
    exaone_error err = {0};
    assert_int_equal(exaone_store_open("", NULL, &s, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_store_open(scratch_write_text("file", "x"), NULL, &s, &err), EXAONE_ERR_IO);
    assert_null(s);
    assert_true(err.message[0]);
    assert_int_equal(exaone_store_open("/proc/nothing/here", NULL, &s, &err), EXAONE_ERR_IO);
    exaone_store_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(cut_anywhere_is_a_miss),
        cmocka_unit_test(flipped_bits_are_a_miss),
        cmocka_unit_test(another_version_key_or_size),
        cmocka_unit_test(no_regular_file),
        cmocka_unit_test(budget_removes_what_was_used_longest_ago),
        cmocka_unit_test(stale_temporaries_go),
        cmocka_unit_test(read_only_folder),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(removed_meanwhile),
        cmocka_unit_test(verify_finds_and_removes),
        cmocka_unit_test(full_queue_drops),
        cmocka_unit_test(two_processes_share),
        cmocka_unit_test(threads_share_a_store),
        cmocka_unit_test(open_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
