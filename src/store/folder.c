/* The folder of a store: see folder.h and store.h. */
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/blob.h"

enum { STALE_SECONDS = 3600, SHARD_NAME = 2, FILE_NAME = 62 };

void exaone_store_name(const exaone_store_key *key, char name[EXAONE_STORE_NAME]) {
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < sizeof key->bytes; i++) {
        name[at++] = digits[key->bytes[i] >> 4];
        name[at++] = digits[key->bytes[i] & 15];
        if (i == 0) {
            name[at++] = '/';
        }
    }
    name[at] = 0;
}

/* n bytes from 2 n lower-case digits. */
static bool read_digits(const char *text, size_t n, uint8_t *out) {
    for (size_t i = 0; i < 2 * n; i++) {
        char c = text[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) {
            return false;
        }
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return text[2 * n] == 0;
}

/* ---- walking ---- */

typedef struct {
    exaone_store_file *items;
    size_t n, room;
} file_list;

static bool list_add(file_list *list, const exaone_store_file *file) {
    exaone_store_file *more = exaone_mem_grow(list->items, list->n, &list->room, sizeof *more);
    if (!more) {
        errno = ENOMEM;
        return false;
    }
    list->items = more;
    list->items[list->n++] = *file;
    return true;
}

static DIR *open_folder(int root, const char *name) {
    int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !dir) {
        close(fd);
    }
    return dir;
}

/* One folder of entries; one that went meanwhile, is no folder or, without `all`, cannot be read holds none. */
static bool scan_shard(int root, const char *name, uint8_t first, bool all, file_list *list) {
    DIR *dir = open_folder(root, name);
    if (!dir) {
        bool scarce = errno == ENOMEM || errno == EMFILE || errno == ENFILE;
        return !scarce && !(all && errno == EACCES);
    }
    bool ok = true;
    for (struct dirent *d; ok && (d = readdir(dir)) != NULL;) {
        exaone_store_file file = {.key.bytes[0] = first};
        struct stat st;
        if (strlen(d->d_name) == FILE_NAME && read_digits(d->d_name, FILE_NAME / 2, file.key.bytes + 1) &&
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            file.size = (uint64_t)st.st_size;
            file.used = st.st_mtim;
            ok = list_add(list, &file);
        }
    }
    int error = errno;
    closedir(dir);
    errno = error;
    return ok;
}

bool exaone_store_scan(int root, bool all, exaone_store_file **files, size_t *n) {
    file_list list = {0};
    DIR *dir = open_folder(root, ".");
    bool ok = dir != NULL;
    for (struct dirent *d; ok && (d = readdir(dir)) != NULL;) {
        uint8_t first;
        if (strlen(d->d_name) == SHARD_NAME && read_digits(d->d_name, 1, &first)) {
            ok = scan_shard(root, d->d_name, first, all, &list);
        }
    }
    int error = errno;
    if (dir) {
        closedir(dir);
    }
    if (!ok) {
        free(list.items);
        list = (file_list){0};
    }
    errno = error;
    *files = list.items;
    *n = list.n;
    return ok;
}

/* ---- reading ---- */

/* 0 when n bytes were read, else an errno; -1: the file ended. */
static int read_fully(int fd, void *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (char *)bytes + at, n - at);
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            return -1;
        }
        at += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static bool read_failed(exaone_store_read *out, int result) {
    out->fault = result > 0 ? "it cannot be read" : result < 0 ? "the file is cut" : NULL;
    out->error = result > 0 ? result : 0;
    return result != 0;
}

/* Behind the header: payload into memory, checksum, decoding. Memory for the entry is taken when the checksum is right. */
static void load_payload(int fd, const uint8_t *header, const exaone_blob *blob, exaone_store_want want, void *bytes,
                         exaone_store_read *out) {
    bool raw = blob->encoding == EXAONE_BLOB_RAW;
    uint8_t *payload = raw && want == EXAONE_WANT_EXACT ? bytes : malloc(blob->stored ? (size_t)blob->stored : 1);
    uint8_t *target = want == EXAONE_WANT_EXACT ? bytes : NULL;
    if (!payload) {
        out->error = ENOMEM;
        return;
    }
    if (!read_failed(out, read_fully(fd, payload, (size_t)blob->stored))) {
        out->fault = exaone_blob_check(header, blob, payload);
    }
    if (!out->fault && raw && want == EXAONE_WANT_NEW) {
        out->bytes = payload;
        return;
    }
    if (!out->fault && !raw) {
        target = target ? target : malloc(blob->size ? (size_t)blob->size : 1);
        out->error = target ? 0 : ENOMEM;
        out->fault = target ? exaone_blob_decode(blob, payload, target) : NULL;
    }
    if (payload != bytes) {
        free(payload);
    }
    if (want == EXAONE_WANT_CHECK || (want == EXAONE_WANT_NEW && out->fault)) {
        free(target);
        target = NULL;
    }
    out->bytes = target;
}

bool exaone_store_load(int root, const exaone_store_key *key, exaone_store_want want, void *bytes, size_t size, bool touch,
                       exaone_store_read *out) {
    *out = (exaone_store_read){0};
    char name[EXAONE_STORE_NAME];
    exaone_store_name(key, name);
    int fd = openat(root, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        out->missing = errno == ENOENT || errno == ENOTDIR;
        out->error = out->missing ? 0 : errno;
        out->fault = out->missing || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? NULL : "it cannot be opened";
        return false;
    }
    struct stat st;
    uint8_t header[EXAONE_BLOB_HEADER] = {0};
    exaone_blob blob;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        out->fault = "it is no regular file";
    } else {
        out->file_size = (uint64_t)st.st_size;
        if (out->file_size < sizeof header) {
            out->fault = "the file is cut";
        } else if (!read_failed(out, read_fully(fd, header, sizeof header))) {
            out->fault = exaone_blob_read_header(header, out->file_size, key, &blob);
        }
    }
    if (!out->fault) {
        out->size = (size_t)blob.size;
        if ((want == EXAONE_WANT_EXACT && blob.size != size) || (want == EXAONE_WANT_NEW && blob.size > size)) {
            out->fault = "the entry has another size";
        } else {
            load_payload(fd, header, &blob, want, bytes, out);
        }
    }
    if (touch && !out->fault && !out->error) {
        (void)!futimens(fd, NULL);
    }
    close(fd);
    return !out->fault && !out->error;
}

/* ---- writing ---- */

static int write_fully(int fd, const void *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t put = write(fd, (const char *)bytes + at, n - at);
        if (put < 0 && errno != EINTR) {
            return errno;
        }
        at += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* A folder that somebody removed meanwhile is made again. */
static int make_folder(int root, const char *name) {
    return mkdirat(root, name, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int exaone_store_save(int root, const exaone_store_key *key, const void *header, const void *payload, size_t n,
                      unsigned serial) {
    char name[EXAONE_STORE_NAME], shard[SHARD_NAME + 1], tmp[64];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    exaone_store_name(key, name);
    memcpy(shard, name, SHARD_NAME);
    shard[SHARD_NAME] = 0;
    snprintf(tmp, sizeof tmp, "tmp/%ld-%u-%lx%lx", (long)getpid(), serial, (unsigned long)now.tv_sec,
             (unsigned long)now.tv_nsec);
    int fd = openat(root, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) {
        int made = make_folder(root, "tmp");
        fd = made ? -1 : openat(root, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        errno = made ? made : errno;
    }
    if (fd < 0) {
        return errno;
    }
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* says "in work"; without it a sweep may take the file, and the entry is lost */
    int error = write_fully(fd, header, EXAONE_BLOB_HEADER);
    error = error ? error : write_fully(fd, payload, n);
    if (!error && renameat(root, tmp, root, name) != 0) {
        error = errno == ENOENT ? make_folder(root, shard) : errno;
        error = error ? error : renameat(root, tmp, root, name) == 0 ? 0 : errno;
    }
    if (error) {
        (void)unlinkat(root, tmp, 0);
    }
    int closed = close(fd) == 0 ? 0 : errno; /* a late failure: what the checksum is for */
    return error ? error : closed;
}

/* Whether nobody holds the lock; where locks do not work, whether it is old. */
static bool is_stale(int fd) {
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    return errno != EWOULDBLOCK && fstat(fd, &st) == 0 && time(NULL) - st.st_mtim.tv_sec > STALE_SECONDS;
}

void exaone_store_sweep(int root, bool all) {
    DIR *dir = open_folder(root, "tmp");
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] < '0' || d->d_name[0] > '9') {
            continue;
        }
        int fd = all ? -1 : openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (all || (fd >= 0 && is_stale(fd))) {
            (void)unlinkat(dirfd(dir), d->d_name, 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (dir) {
        closedir(dir);
    }
}
