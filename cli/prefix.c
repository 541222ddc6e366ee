/* The prefix cache on disk: see prefix.h. */
#include "prefix.h"

#include <stdio.h>
#include <stdlib.h>

#include "hub.h"

int cli_prefix_check(const char *command, const cli_prefix_options *o) {
    uint64_t bytes;
    if (o->off && (o->dir || o->budget)) {
        return cli_usage(command, "--no-cache and %s exclude each other", o->dir ? "--cache-dir" : "--cache-budget");
    }
    if (o->dir && !*o->dir) {
        return cli_usage(command, "--cache-dir: the name is empty");
    }
    if (o->budget && !cli_size_parse(o->budget, &bytes)) {
        return cli_usage(command, "--cache-budget %s: want a number of bytes, as 500M or 20G", o->budget);
    }
    return -1;
}

const char *cli_prefix_folder(void) {
    static char path[4200];
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (xdg && xdg[0] == '/') { /* other values are to be ignored, says the specification */
        n = snprintf(path, sizeof path, "%s/exaone/prefix", xdg);
    } else if (home && *home) {
        n = snprintf(path, sizeof path, "%s/.cache/exaone/prefix", home);
    }
    return n > 0 && (size_t)n < sizeof path ? path : NULL;
}

/* From any thread. */
static void warn(void *ctx, const char *message) {
    (void)ctx;
    cli_note("%s", message);
}

exaone_cache *cli_prefix_attach(const cli_prefix_options *o, bool by_default, exaone_session *session) {
    const char *dir = o->dir ? o->dir : by_default && !o->off ? cli_prefix_folder() : NULL;
    exaone_cache_options options = {.warn = warn};
    exaone_cache *cache = NULL;
    exaone_error err = {0};
    if (!dir || (o->budget && !cli_size_parse(o->budget, &options.budget))) {
        return NULL;
    }
    exaone_status status = exaone_cache_open(dir, &options, &cache, &err);
    if (status == EXAONE_OK) {
        status = exaone_session_set_cache(session, cache, &err);
    }
    if (status != EXAONE_OK) {
        exaone_cache_close(cache);
        cli_note("going on without a cache: %s", err.message);
        return NULL;
    }
    if (!o->dir) {
        char size[32];
        cli_say("conversations are cached in %s, at most %s; --no-cache keeps nothing", dir,
                cli_hub_size(options.budget ? options.budget : (uint64_t)4 << 30, size));
    }
    return cache;
}
