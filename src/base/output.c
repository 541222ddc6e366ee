/* Where a file's new content goes: see output.h. */
#include "base/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    MAX_LINKS = 40, /* as many as Linux follows */
    MAX_NAMES = 100,
    MAX_PID_DIGITS = 9,
    RANDOM_DIGITS = 8,
};

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

/* The process of "BASE.tmp.PID.8 hex digits", 0 for any other name. */
static pid_t writer_of(const char *name, const char *base, size_t n_base) {
    if (strncmp(name, base, n_base) != 0 || strncmp(name + n_base, ".tmp.", 5) != 0) {
        return 0;
    }
    const char *p = name + n_base + 5;
    size_t digits = strspn(p, "0123456789");
    long pid = 0;
    if (digits == 0 || digits > MAX_PID_DIGITS || p[digits] != '.' ||
        strspn(p + digits + 1, "0123456789abcdef") != RANDOM_DIGITS || p[digits + 1 + RANDOM_DIGITS]) {
        return 0;
    }
    for (size_t i = 0; i < digits; i++) {
        pid = 10 * pid + (p[i] - '0');
    }
    return (pid_t)pid;
}

/* The number alone does not tell that a process is dead: it may run on another machine or in another container. Hence the
 * lock, which ends with its holder. Only the user's own regular files go. */
static void remove_if_stale(int dir, const char *name, pid_t writer) {
    if (kill(writer, 0) == 0 || errno != ESRCH) {
        return;
    }
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && flock(fd, LOCK_SH | LOCK_NB) == 0) {
            unlinkat(dir, name, 0);
        }
        close(fd);
    }
}

/* Temporaries for the same path that killed processes left. 0, or ENOMEM; a folder that cannot be listed is no fault. */
static int remove_stale(const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t n_dir = (size_t)(base - path), n_base = strlen(base);
    char *folder = n_dir ? exaone_mem_string(path, n_dir) : exaone_mem_string(".", 1);
    if (!folder) {
        return ENOMEM;
    }
    DIR *d = opendir(folder);
    free(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        pid_t writer = writer_of(e->d_name, base, n_base);
        if (writer > 0) {
            remove_if_stale(dirfd(d), e->d_name, writer);
        }
    }
    if (d) {
        closedir(d);
    }
    return 0;
}

/* A file that was not there before and that no link leads elsewhere. */
static int open_temporary(exaone_output *out) {
    size_t room = strlen(out->path) + 48;
    out->tmp = exaone_mem_array(room, 1);
    if (!out->tmp) {
        return ENOMEM;
    }
    for (int i = 0; i < MAX_NAMES; i++) {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random) {
            break;
        }
        snprintf(out->tmp, room, "%s.tmp.%ld.%08" PRIx32, out->path, (long)getpid(), random);
        out->fd = open(out->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (out->fd >= 0) {
            (void)!flock(out->fd, LOCK_EX | LOCK_NB); /* a file system may have no locks */
            return 0;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return errno;
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
    fault = remove_stale(out->path);
    fault = fault ? fault : open_temporary(out);
    if (fault) {
        return fault;
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
    return fault == ENOMEM ? exaone_fail_memory(err, "a file name", strlen(path) + 48)
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
