/* Writing a large file piece by piece: see writer.h. */
#include "weights/writer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Written in steps of two huge pages: file systems with large folios then keep what was written in huge pages, and it is
 * mapped so (base/file.c). */
enum { BUFFER = 4 << 20 };

static void release(exaone_writer *w) {
    free(w->path);
    free(w->buffer);
    *w = (exaone_writer){.out.fd = -1};
}

exaone_status exaone_writer_open(const char *path, exaone_writer *w, exaone_error *err) {
    *w = (exaone_writer){.out.fd = -1, .path = exaone_mem_string(path, strlen(path)), .buffer = exaone_mem_room(BUFFER)};
    if (!w->path || !w->buffer) {
        release(w);
        return exaone_fail_memory(err, "writing a file", BUFFER);
    }
    exaone_status status = exaone_output_open(path, &w->out, err);
    if (status) {
        release(w);
        return status;
    }
    w->file = fdopen(w->out.fd, "wb");
    if (!w->file) {
        int saved = errno;
        exaone_output_abort(&w->out);
        release(w);
        return exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", path, strerror(saved));
    }
    (void)setvbuf(w->file, w->buffer, _IOFBF, BUFFER);
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
        if (!w->saved_errno && fflush(w->file) != 0) {
            w->saved_errno = errno;
        }
        if (!w->saved_errno) {
            w->saved_errno = exaone_output_sync(&w->out);
        }
        if (fclose(w->file) != 0 && !w->saved_errno) {
            w->saved_errno = errno;
        }
        w->file = NULL;
        w->out.fd = -1;
    }
    return w->saved_errno ? exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", w->path, strerror(w->saved_errno))
                          : EXAONE_OK;
}

static exaone_status commit(exaone_writer *w, bool replace, exaone_error *err) {
    exaone_status status = exaone_writer_finish(w, err);
    if (status) {
        exaone_writer_abort(w);
        return status;
    }
    int fault = replace ? exaone_output_commit(&w->out) : exaone_output_commit_new(&w->out);
    if (fault == EEXIST && !replace) {
        status = exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s has come to be there in the meantime and is kept", w->path);
    } else if (fault) {
        status = exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", w->path, strerror(fault));
    }
    release(w);
    return status;
}

exaone_status exaone_writer_commit(exaone_writer *w, exaone_error *err) {
    return commit(w, true, err);
}

exaone_status exaone_writer_commit_new(exaone_writer *w, exaone_error *err) {
    return commit(w, false, err);
}

void exaone_writer_abort(exaone_writer *w) {
    if (!w->path) {
        return;
    }
    if (w->file) {
        fclose(w->file);
        w->out.fd = -1;
    }
    exaone_output_abort(&w->out);
    release(w);
}
