/* Which names mean the same file: see place.h. By device and number where the file is there; otherwise by the real path of
 * its folder and its last part, with symbolic links followed step by step as the writer follows them. */
#include "quant/place.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_LINKS = 40 };

static bool same_stat(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The folder of `path` ("." for a plain name). False when it is too long. */
static bool folder_of(const char *path, char folder[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;
    return snprintf(folder, PATH_MAX, "%.*s", (int)(n < PATH_MAX ? n : 0), slash ? path : ".") > 0;
}

/* The name that a new file at `path` gets: the real folder and the last part. False when there is no such folder. */
static bool real_place(const char *path, char out[PATH_MAX]) {
    char at[PATH_MAX], folder[PATH_MAX], real[PATH_MAX], target[PATH_MAX];
    if (snprintf(at, sizeof at, "%s", path) >= (int)sizeof at) {
        return false;
    }
    for (int i = 0; i < MAX_LINKS; i++) {
        const char *slash = strrchr(at, '/'), *name = slash ? slash + 1 : at;
        if (!folder_of(at, folder) || !realpath(folder, real) ||
            snprintf(out, PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) >= PATH_MAX) {
            return false;
        }
        ssize_t n = readlink(out, target, sizeof target - 1);
        if (n <= 0) {
            return true;
        }
        target[n] = 0;
        int length = target[0] == '/' ? snprintf(at, sizeof at, "%s", target)
                                      : snprintf(at, sizeof at, "%s/%s", strcmp(real, "/") == 0 ? "" : real, target);
        if (length >= (int)sizeof at) {
            return false;
        }
    }
    return false;
}

bool exaone_place_same(const char *a, const char *b) {
    struct stat x, y;
    char p[PATH_MAX], q[PATH_MAX];
    if (strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && same_stat(&x, &y))) {
        return true;
    }
    return real_place(a, p) && real_place(b, q) && strcmp(p, q) == 0;
}

static bool is_file(const char *path, const struct stat *which) {
    struct stat st;
    return path && stat(path, &st) == 0 && same_stat(&st, which);
}

/* True when a folder's listing leads to the file, also over a link, under a name that is not NAME.gguf. */
static bool is_in_folder(const char *folder, const struct stat *which) {
    DIR *d = opendir(folder);
    bool found = false;
    const struct dirent *e;
    while (d && !found && (e = readdir(d))) {
        size_t n = strlen(e->d_name);
        if (n > 5 && strcasecmp(e->d_name + n - 5, ".gguf") == 0) {
            continue;
        }
        char *path = exaone_path_join(folder, e->d_name);
        found = is_file(path, which);
        free(path);
    }
    if (d) {
        closedir(d);
    }
    return found;
}

const char *exaone_place_role(const exaone_weights *weights, const char *source, const char *imatrix, const char *path) {
    struct stat which;
    if (stat(path, &which) != 0) {
        return NULL;
    }
    bool found = is_file(source, &which);
    for (size_t i = 0; exaone_weights_path(weights, i) && !found; i++) {
        found = is_file(exaone_weights_path(weights, i), &which);
    }
    if (found) {
        return "the source";
    }
    if (is_file(imatrix, &which)) {
        return "the importance matrix";
    }
    bool folder = exaone_weights_get_format(weights) != EXAONE_WEIGHTS_GGUF;
    return folder && is_in_folder(exaone_weights_dir(weights), &which) ? "a file of the source" : NULL;
}
