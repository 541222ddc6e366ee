/* Files: read-only mapping, bounded reading, atomic writing. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/output.h"

enum { HUGE_PAGE = 2 << 20 };

/* Opens a regular file; *size is its length. -1 with the message written on failure. */
static int open_regular(const char *path, size_t *size, exaone_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        exaone_fail(err, EXAONE_ERR_IO, "cannot open %s: %s", path, strerror(errno));
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        exaone_fail(err, EXAONE_ERR_IO, "cannot stat %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        exaone_fail(err, EXAONE_ERR_IO, "%s is not a regular file", path);
    } else {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

/* What a clone leaves instead of a large file when Git LFS did not fetch it:
 * https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
static exaone_status refuse_pointer(const char *path, const void *bytes, size_t n, exaone_error *err) {
    static const char first[] = "version https://git-lfs.github.com/spec/v1\n";
    if (n < sizeof first - 1 || n >= 1024 || memcmp(bytes, first, sizeof first - 1) != 0 ||
        !memmem(bytes, n, "\noid sha256:", 12)) {
        return EXAONE_OK;
    }
    return exaone_fail(err, EXAONE_ERR_FORMAT,
                       "%s is a Git LFS pointer of %zu bytes, not the file; `git lfs pull` fetches it", path, n);
}

/* Large files lie at a multiple of the size of huge pages, and such pages are asked for: 1 GB of weights in pages of 4 KB
 * needs 262,144 entries of page tables, which is felt when it is read as fast as memory can. The system does what it can:
 * what it reads from the disk from now on, on file systems with large folios. */
static void *map_file(int fd, size_t size) {
    if (size < 2 * (size_t)HUGE_PAGE || size > SIZE_MAX - HUGE_PAGE) {
        return mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    }
    uint8_t *room = mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        return mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (size + page - 1) / page * page;
    uint8_t *p = room + (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
    if (mmap(p, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        int cause = errno;
        munmap(room, size + HUGE_PAGE);
        errno = cause;
        return MAP_FAILED;
    }
    if (p > room) {
        munmap(room, (size_t)(p - room));
    }
    size_t end = (size + HUGE_PAGE + page - 1) / page * page;
    if (p + used < room + end) {
        munmap(p + used, (size_t)(room + end - p) - used);
    }
    (void)madvise(p, size, MADV_HUGEPAGE); /* a wish */
    return p;
}

exaone_status exaone_map_open(const char *path, exaone_map *map, exaone_error *err) {
    *map = (exaone_map){0};
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) {
        return EXAONE_ERR_IO;
    }
    if (size > 0) {
        void *p = map_file(fd, size);
        if (p == MAP_FAILED) {
            close(fd);
            return exaone_fail(err, EXAONE_ERR_IO, "cannot map %s (%zu bytes): %s", path, size, strerror(errno));
        }
        map->data = p;
        map->size = size;
    }
    close(fd);
    exaone_status status = refuse_pointer(path, map->data, map->size, err);
    if (status != EXAONE_OK) {
        exaone_map_close(map);
    }
    return status;
}

void exaone_map_forget(const void *bytes, size_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)bytes + page - 1) / page * page, end = ((uintptr_t)bytes + n) / page * page;
    if (begin < end) {
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}

void exaone_map_close(exaone_map *map) {
    if (map->data) {
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    *map = (exaone_map){0};
}

exaone_status exaone_file_read(const char *path, size_t max, char **out, size_t *size, exaone_error *err) {
    *out = NULL;
    *size = 0;
    size_t want;
    int fd = open_regular(path, &want, err);
    if (fd < 0) {
        return EXAONE_ERR_IO;
    }
    if (want > max) {
        close(fd);
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s has %zu bytes, the limit is %zu", path, want, max);
    }
    char *data = exaone_mem_room(want + 1);
    if (!data) {
        close(fd);
        return exaone_fail_memory(err, path, want);
    }
    size_t got = 0;
    while (got < want) {
        ssize_t n = read(fd, data + got, want - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    if (got < want) {
        free(data);
        return exaone_fail(err, EXAONE_ERR_IO, "%s: read %zu of %zu bytes", path, got, want);
    }
    exaone_status status = refuse_pointer(path, data, got, err);
    if (status != EXAONE_OK) {
        free(data);
        return status;
    }
    data[got] = 0;
    *out = data;
    *size = got;
    return EXAONE_OK;
}

static bool write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

exaone_status exaone_file_write(const char *path, const void *bytes, size_t size, exaone_error *err) {
    exaone_output out;
    exaone_status status = exaone_output_open(path, &out, err);
    if (status) {
        return status;
    }
    int fault = write_all(out.fd, bytes, size) ? exaone_output_sync(&out) : errno ? errno : EIO;
    if (fault) {
        exaone_output_abort(&out);
    } else {
        fault = exaone_output_commit(&out);
    }
    return fault ? exaone_fail(err, EXAONE_ERR_IO, "cannot write %s: %s", path, strerror(fault)) : EXAONE_OK;
}

bool exaone_file_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool exaone_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool exaone_path_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

char *exaone_path_join(const char *dir, const char *name) {
    size_t n = strlen(dir);
    size_t room = n + strlen(name) + 2;
    char *path = malloc(room);
    if (path) {
        snprintf(path, room, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
    }
    return path;
}
