/* A store's folder as a whole, without opening it: walking, checking, clearing. See store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/blob.h"
#include "store/folder.h"
#include "store/store.h"

static exaone_status folder_failed(const char *dir, exaone_error *err) {
    return exaone_fail(err, errno == ENOMEM ? EXAONE_ERR_MEMORY : EXAONE_ERR_IO, "cache folder %.400s: %s", dir,
                       strerror(errno)); // NOLINT(concurrency-mt-unsafe)
}

/* The header alone. */
static const char *peek(int root, const exaone_store_file *file, uint64_t *size) {
    char name[EXAONE_STORE_NAME];
    uint8_t header[EXAONE_BLOB_HEADER];
    exaone_blob blob;
    exaone_store_name(&file->key, name);
    int fd = openat(root, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, header, sizeof header) : -1;
    if (fd >= 0) {
        close(fd);
    }
    const char *fault = got < 0                        ? "it cannot be read"
                        : got < (ssize_t)sizeof header ? "the file is cut"
                                                       : exaone_blob_read_header(header, file->size, &file->key, &blob);
    *size = fault ? 0 : blob.size;
    return fault;
}

exaone_status exaone_store_walk(const char *dir, bool verify, bool repair, exaone_store_walk_fn *walk, void *ctx,
                                exaone_error *err) {
    int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    exaone_store_file *files = NULL;
    size_t n = 0;
    if (root < 0 || !exaone_store_scan(root, true, &files, &n)) {
        exaone_status status = folder_failed(dir, err);
        if (root >= 0) {
            close(root);
        }
        return status;
    }
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < n && status == EXAONE_OK; i++) {
        exaone_store_entry entry = {.key = files[i].key, .stored = files[i].size, .used = files[i].used.tv_sec};
        entry.fault = peek(root, &files[i], &entry.size);
        exaone_store_read r = {0};
        if (!entry.fault && verify && !exaone_store_load(root, &files[i].key, EXAONE_WANT_CHECK, NULL, 0, false, &r)) {
            if (r.missing) {
                continue;
            }
            entry.fault = r.fault ? r.fault : "it cannot be read";
        }
        if (entry.fault && verify && repair) {
            char name[EXAONE_STORE_NAME];
            exaone_store_name(&files[i].key, name);
            (void)unlinkat(root, name, 0);
        }
        if (walk && !walk(ctx, &entry)) {
            status = exaone_fail(err, EXAONE_ERR_CANCELLED, "cache folder %.400s: stopped", dir);
        }
    }
    if (verify && repair) {
        exaone_store_sweep(root, false);
    }
    free(files);
    close(root);
    return status;
}

exaone_status exaone_store_clear(const char *dir, uint64_t *n_removed, exaone_error *err) {
    int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    exaone_store_file *files = NULL;
    size_t n = 0;
    uint64_t removed = 0;
    bool ok = root >= 0 && exaone_store_scan(root, true, &files, &n);
    int error = ok ? 0 : errno;
    for (size_t i = 0; ok && i < n; i++) {
        char name[EXAONE_STORE_NAME];
        exaone_store_name(&files[i].key, name);
        if (unlinkat(root, name, 0) == 0) {
            removed++;
        } else if (errno != ENOENT) {
            error = errno;
        }
    }
    if (root >= 0) {
        exaone_store_sweep(root, true);
        (void)unlinkat(root, "tmp", AT_REMOVEDIR);
        for (unsigned first = 0; first < 256; first++) { /* those that hold something else stay */
            char shard[3];
            snprintf(shard, sizeof shard, "%02x", first);
            (void)unlinkat(root, shard, AT_REMOVEDIR);
        }
        close(root);
    }
    free(files);
    if (n_removed) {
        *n_removed = removed;
    }
    errno = error;
    return error ? folder_failed(dir, err) : EXAONE_OK;
}
