/* Copies of models with another configuration: see model_variant.h. */
#include "model_variant.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "scratch.h"

static void write_config(const char *source, const char *name, const char *key, long value) {
    char path[512], quoted[128];
    snprintf(path, sizeof path, "%s/config.json", source);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    size_t size;
    char *config = fixture_read(path, &size), *at = strstr(config, quoted), *changed = malloc(size + 64);
    if (!at || !changed) {
        fail_msg("%s has no %s", path, quoted);
        return;
    }
    at += strlen(quoted);
    size_t before = (size_t)(at - config);
    int n = snprintf(changed, size + 64, "%.*s %ld%s", (int)before, config, value, at + 1 + strspn(at + 1, "0123456789"));
    snprintf(path, sizeof path, "%s/config.json", name);
    scratch_write(path, changed, (size_t)n);
    free(changed);
    free(config);
}

const char *model_variant(const char *source, const char *name, const char *key, long value) {
    write_config(source, name, key, value);
    const char *folder = scratch_path(name);
    char *root = realpath(source, NULL);
    DIR *d = root ? opendir(root) : NULL;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char from[1024], to[1024];
        if (e->d_name[0] != '.' && strcmp(e->d_name, "config.json") != 0) {
            snprintf(from, sizeof from, "%s/%s", root, e->d_name);
            snprintf(to, sizeof to, "%s/%s", folder, e->d_name);
            assert_int_equal(symlink(from, to), 0);
        }
    }
    closedir(d);
    free(root);
    return folder;
}
