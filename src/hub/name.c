/* Names: REPO[:QUANT], paths in repositories, revisions, and the folder names of the cache.
 *
 * Rules of repository names: huggingface_hub's validate_repo_id. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "hub/hub_internal.h"

enum { MAX_REPO = 96, MAX_PART = 255, MAX_REVISION = 255 };

void exaone_hub_options_init(exaone_hub_options *options) {
    *options = (exaone_hub_options){.connections = 8,
                                    .retries = 5,
                                    .retry_ms = 1000,
                                    .retry_after_max_s = 300,
                                    .connect_timeout_ms = 10000,
                                    .low_speed_bytes = 1024,
                                    .low_speed_seconds = 20,
                                    .max_redirects = 5,
                                    .chunk_bytes = 8 << 20};
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ORG or NAME. */
static bool is_name(const char *text, size_t n) {
    if (n == 0 || !is_word(text[0]) || !is_word(text[n - 1])) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool pair = i + 1 < n && text[i] == text[i + 1];
        if ((!is_word(text[i]) && text[i] != '-' && text[i] != '.') || (pair && (text[i] == '-' || text[i] == '.'))) {
            return false;
        }
    }
    return n < 4 || memcmp(text + n - 4, ".git", 4) != 0;
}

static bool is_repo(const char *text, size_t n) {
    const char *slash = memchr(text, '/', n);
    return n <= MAX_REPO && slash && is_name(text, (size_t)(slash - text)) &&
           is_name(slash + 1, n - (size_t)(slash - text) - 1);
}

exaone_status exaone_hub_name_parse(const char *text, exaone_hub_name *out, exaone_error *err) {
    *out = (exaone_hub_name){0};
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    if (!is_repo(text, n)) {
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "\"%.200s\" is no name of a model: want ORG/NAME or ORG/NAME:QUANT (letters, digits, '-', '_', '.'; "
            "at most %d characters)",
            text, MAX_REPO);
    }
    memcpy(out->repo, text, n);
    if (colon) {
        size_t quant = strlen(colon + 1);
        if (quant == 0 || quant >= sizeof out->quant || exaone_hub_path_check(colon + 1, quant, NULL)) {
            *out = (exaone_hub_name){0};
            return exaone_fail(
                err, EXAONE_ERR_ARGUMENT,
                "\"%.200s\": behind the ':' stands a type as Q4_K_M, or the path of a .gguf file, of at most %zu "
                "characters",
                text, sizeof out->quant - 1);
        }
        memcpy(out->quant, colon + 1, quant);
    }
    return EXAONE_OK;
}

bool exaone_hub_is_hex(const char *text, size_t len, size_t n) {
    if (len != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

/* NULL, or what is wrong with the path. */
static const char *path_fault(const char *path, size_t n) {
    if (n == 0 || n > EXAONE_HUB_MAX_PATH) {
        return "it is empty or longer than 1024 bytes";
    }
    if (path[0] == '/') {
        return "it is absolute";
    }
    for (size_t i = 0; i < n; i++) {
        bool c1 = i + 1 < n && (unsigned char)path[i] == 0xc2 && (unsigned char)path[i + 1] < 0xa0;
        if (c1 || (unsigned char)path[i] < 0x20 || path[i] == 0x7f || path[i] == '\\') {
            return "it holds a control character or a backslash";
        }
    }
    for (size_t from = 0; from <= n;) {
        const char *slash = memchr(path + from, '/', n - from);
        size_t end = slash ? (size_t)(slash - path) : n, part = end - from;
        if (part == 0 || part > MAX_PART) {
            return "a part of it is empty or longer than 255 bytes";
        }
        if ((part == 1 && path[from] == '.') || (part == 2 && path[from] == '.' && path[from + 1] == '.')) {
            return "it leads out of its folder or to the folder itself";
        }
        from = end + 1;
    }
    return exaone_utf8_valid_prefix((const uint8_t *)path, n) == n ? NULL : "it is not UTF-8";
}

exaone_status exaone_hub_path_check(const char *path, size_t n, exaone_error *err) {
    const char *fault = path_fault(path, n);
    return fault ? exaone_fail(err, EXAONE_ERR_FORMAT, "the file name \"%.*s\" is refused: %s", (int)(n < 200 ? n : 200),
                               path, fault)
                 : EXAONE_OK;
}

exaone_status exaone_hub_revision_check(const char *revision, exaone_error *err) {
    size_t n = strlen(revision);
    const char *fault = n > MAX_REVISION ? "it has more than 255 characters" : path_fault(revision, n);
    return fault ? exaone_fail(err, EXAONE_ERR_ARGUMENT, "the revision \"%.200s\" is refused: %s", revision, fault)
                 : EXAONE_OK;
}

char *exaone_hub_repo_dir(const char *cache, const char *repo) {
    char folder[160];
    const char *slash = strchr(repo, '/');
    snprintf(folder, sizeof folder, "models--%.*s%s%s", slash ? (int)(slash - repo) : (int)strlen(repo), repo,
             slash ? "--" : "", slash ? slash + 1 : "");
    return exaone_hub_path2(cache, folder);
}

bool exaone_hub_repo_of(const char *folder, char out[128]) {
    static const char begin[] = "models--";
    size_t skip = sizeof begin - 1;
    if (strncmp(folder, begin, skip) != 0 || strlen(folder) - skip > MAX_REPO + 1) {
        return false;
    }
    const char *name = folder + skip, *dashes = strstr(name, "--");
    if (dashes) {
        snprintf(out, 128, "%.*s/%s", (int)(dashes - name), name, dashes + 2);
        return is_repo(out, strlen(out));
    }
    snprintf(out, 128, "%s", name);
    return is_name(out, strlen(out));
}
