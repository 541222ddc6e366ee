/* Writing a large file piece by piece: see writer.h. */
#include "weights/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

static void release(exaone_writer *w) {
    if (w->file) {
        fclose(w->file);
    }
    free(w->path);
    free(w->tmp);
    *w = (exaone_writer){0};
}

exaone_status exaone_writer_open(const char *path, exaone_writer *w, exaone_error *err) {
    *w = (exaone_writer){0};
    size_t room = strlen(path) + 32;
    w->path = exaone_mem_string(path, strlen(path));
    w->tmp = exaone_mem_array(room, 1);
    if (!w->path || !w->tmp) {
        release(w);
        return exaone_fail_memory(err, "a file name", room);
    }
    snprintf(w->tmp, room, "%s.tmp.%ld", path, (long)getpid());
    int fd = open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0) {
        w->file = fdopen(fd, "wb");
        if (!w->file) {
            close(fd);
            unlink(w->tmp);
        }
    }
    if (!w->file) {
        int saved = errno;
        release(w);
        return exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", path, strerror(saved));
    }
    return EXAONE_OK;
}

void exaone_writer_put(exaone_writer *w, const void *bytes, size_t n) {
    if (n == 0 || w->saved_errno) {
        return;
    }
    if (fwrite(bytes, 1, n, w->file) != n) {
        w->saved_errno = errno ? errno : EIO;
    }
    w->size += n;
}

void exaone_writer_pad(exaone_writer *w, uint64_t alignment) {
    static const char zeros[64];
    uint64_t rest = w->size % alignment ? alignment - w->size % alignment : 0;
    while (rest > 0) {
        size_t n = rest < sizeof zeros ? (size_t)rest : sizeof zeros;
        exaone_writer_put(w, zeros, n);
        rest -= n;
    }
}

exaone_status exaone_writer_finish(exaone_writer *w, exaone_error *err) {
    if (w->file) {
        if (!w->saved_errno && (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0)) {
            w->saved_errno = errno;
        }
        if (fclose(w->file) != 0 && !w->saved_errno) {
            w->saved_errno = errno;
        }
        w->file = NULL;
    }
    return w->saved_errno ? exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", w->path, strerror(w->saved_errno))
                          : EXAONE_OK;
}

exaone_status exaone_writer_commit(exaone_writer *w, exaone_error *err) {
    exaone_status status = exaone_writer_finish(w, err);
    if (status == EXAONE_OK && rename(w->tmp, w->path) != 0) {
        status = exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", w->path, strerror(errno));
    }
    if (status) {
        unlink(w->tmp);
    }
    release(w);
    return status;
}

void exaone_writer_abort(exaone_writer *w) {
    if (w->tmp) {
        unlink(w->tmp);
    }
    release(w);
}
