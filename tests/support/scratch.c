/* A folder for the files of tests: see scratch.h. */
#include "scratch.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[256];
static char *paths[4096];
static size_t n_paths;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void remove_all(void) {
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < n_paths; i++) {
        free(paths[i]);
    }
}

const char *scratch_path(const char *name) {
    if (!folder[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/exaone-test-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
        if (!mkdtemp(folder)) {
            fail_msg("cannot make a folder %s", folder);
        }
        atexit(remove_all);
    }
    size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (!path || n_paths == sizeof paths / sizeof *paths) {
        fail_msg("no room for the path of %s", name);
        return NULL;
    }
    snprintf(path, room, "%s/%s", folder, name);
    paths[n_paths++] = path;
    return path;
}

const char *scratch_write(const char *name, const void *bytes, size_t n) {
    const char *path = scratch_path(name);
    char *part = strdup(path);
    for (char *slash = part ? strchr(part + strlen(folder) + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(part, 0777);
        *slash = '/';
    }
    free(part);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
        fail_msg("cannot write %s", path);
    }
    return path;
}

const char *scratch_write_text(const char *name, const char *text) {
    return scratch_write(name, text, strlen(text));
}
