/* Where a file's new content goes: see output.h. */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum { MAX_LINKS = 40 }; /* as many as Linux follows */

static void release(exaone_output *out) {
    free(out->path);
    free(out->tmp);
    *out = (exaone_output){.fd = -1};
}

/* Names of descriptors this process has open: replacing the file behind them would leave the descriptor at the old one. */
static bool names_descriptor(const char *path) {
    return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/proc/", 6) == 0;
}

/* The path that the symbolic link `path` leads to in one step, allocated; NULL with errno when there is none. */
static char *link_target(const char *path) {
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target);
    if (n <= 0 || (size_t)n == sizeof target) {
        errno = n < 0 ? errno : ENAMETOOLONG;
        return NULL;
    }
    const char *slash = target[0] == '/' ? NULL : strrchr(path, '/');
    size_t before = slash ? (size_t)(slash + 1 - path) : 0;
    char *whole = exaone_mem_array(before + (size_t)n + 1, 1);
    if (whole) {
        memcpy(whole, path, before);
        memcpy(whole + before, target, (size_t)n);
    } else {
        errno = ENOMEM;
    }
    return whole;
}

/* Follows links from out->path on, also to a target that does not exist yet: *exists, *st. 0, or an errno. */
static int follow_links(exaone_output *out, bool *exists, struct stat *st) {
    for (int i = 0; i < MAX_LINKS; i++) {
        *exists = lstat(out->path, st) == 0;
        if (!*exists || !S_ISLNK(st->st_mode) || names_descriptor(out->path)) {
            return 0;
        }
        char *next = link_target(out->path);
        if (!next) {
            return errno;
        }
        free(out->path);
        out->path = next;
    }
    return ELOOP;
}

static int open_output(exaone_output *out) {
    struct stat st = {0};
    bool exists = false;
    int fault = follow_links(out, &exists, &st);
    if (fault) {
        return fault;
    }
    if (exists && (!S_ISREG(st.st_mode) || names_descriptor(out->path))) {
        out->fd = open(out->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return out->fd < 0 ? errno : 0;
    }
    size_t room = strlen(out->path) + 32;
    out->tmp = exaone_mem_array(room, 1);
    if (!out->tmp) {
        return ENOMEM;
    }
    snprintf(out->tmp, room, "%s.tmp.%ld", out->path, (long)getpid());
    out->fd = open(out->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->fd < 0) {
        return errno;
    }
    if (exists) {
        (void)!fchmod(out->fd, st.st_mode & 0777); /* the replaced file's rights; a file system may have none */
    }
    return 0;
}

exaone_status exaone_output_open(const char *path, exaone_output *out, exaone_error *err) {
    *out = (exaone_output){.fd = -1, .path = exaone_mem_string(path, strlen(path))};
    int fault = out->path ? open_output(out) : ENOMEM;
    if (fault == 0) {
        return EXAONE_OK;
    }
    release(out);
    return fault == ENOMEM ? exaone_fail_memory(err, "a file name", strlen(path) + 32)
                           : exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", path, strerror(fault));
}

int exaone_output_sync(const exaone_output *out) {
    return out->tmp && fsync(out->fd) != 0 ? errno : 0;
}

/* For file systems that cannot rename without replacing: a second name, or, where files have but one, a rename over an
 * empty file that only we can have made. */
static int place_new(const char *tmp, const char *path) {
    if (link(tmp, path) == 0) {
        unlink(tmp);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) {
        return errno;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    close(fd);
    int fault = rename(tmp, path) == 0 ? 0 : errno;
    if (fault) {
        unlink(path);
    }
    return fault;
}

static int place(const char *tmp, const char *path, bool replace) {
    if (replace) {
        return rename(tmp, path) == 0 ? 0 : errno;
    }
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    return errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP ? place_new(tmp, path) : errno;
}

static int commit(exaone_output *out, bool replace) {
    int fault = out->fd >= 0 && close(out->fd) != 0 ? errno : 0;
    if (fault == 0 && out->tmp) {
        fault = place(out->tmp, out->path, replace);
    }
    if (fault && out->tmp) {
        unlink(out->tmp);
    }
    release(out);
    return fault;
}

int exaone_output_commit(exaone_output *out) {
    return commit(out, true);
}

int exaone_output_commit_new(exaone_output *out) {
    return commit(out, false);
}

void exaone_output_abort(exaone_output *out) {
    if (out->fd >= 0) {
        close(out->fd);
    }
    if (out->tmp) {
        unlink(out->tmp);
    }
    release(out);
}
