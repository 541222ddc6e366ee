/* The KV cache's options, the check that a context fits in memory, and what the process has there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli.h"

static int one_type(const char *command, const char *option, const char *name, exaone_cache_type *out) {
    *out = EXAONE_CACHE_DEFAULT;
    if (name && !exaone_cache_type_from_name(name, out)) {
        return cli_usage(command, "%s %s: want f32, f16, bf16 or q8_0", option, name);
    }
    return -1;
}

int cli_cache_types(const char *command, const cli_cache_options *o, exaone_cache_type *k, exaone_cache_type *v) {
    int code = one_type(command, "--cache-type-k", o->type_k, k);
    return code < 0 ? one_type(command, "--cache-type-v", o->type_v, v) : code;
}

static double gigabytes(uint64_t bytes) {
    return (double)bytes / 1e9;
}

exaone_status cli_session_open(exaone_engine *engine, const exaone_session_options *options, exaone_session **out,
                               exaone_error *err) {
    enum { WORTH_SAYING = 1 << 30 }; /* bytes: less is no news */
    exaone_memory_need need;
    uint64_t available = exaone_memory_available(), limit = (uint64_t)exaone_engine_info(engine)->max_position_embeddings;
    *out = NULL;
    exaone_status s = exaone_session_memory(engine, options, &need, err);
    if (s != EXAONE_OK || need.n_ctx > limit) { /* the second has a message of its own */
        return s != EXAONE_OK ? s : exaone_session_open(engine, options, out, err);
    }
    if (need.total > available) {
        return exaone_fail(
            err, EXAONE_ERR_LIMIT,
            "a context of %llu tokens needs %.2f GB of memory (%.2f GB KV cache, %.2f GB marks, %.2f GB work), this "
            "machine has %.2f GB left; take less with --ctx, or smaller types with --cache-type-k and --cache-type-v",
            (unsigned long long)need.n_ctx, gigabytes(need.total), gigabytes(need.kv_cache), gigabytes(need.marks),
            gigabytes(need.workspace), gigabytes(available));
    }
    if (need.total >= WORTH_SAYING) {
        cli_say(
            "context: %llu tokens, up to %.2f GB of memory (%.2f GB KV cache, %.2f GB marks, %.2f GB work) of %.2f GB left",
            (unsigned long long)need.n_ctx, gigabytes(need.total), gigabytes(need.kv_cache), gigabytes(need.marks),
            gigabytes(need.workspace), gigabytes(available));
    }
    return exaone_session_open(engine, options, out, err);
}

/* N of a line "NAME: N kB", in bytes; 0 for other lines. */
static uint64_t bytes_in(const char *line, const char *name) {
    size_t n = strlen(name);
    return strncmp(line, name, n) == 0 ? (uint64_t)strtoull(line + n, NULL, 10) * 1024 : 0;
}

bool cli_pages(uint64_t *resident, uint64_t *huge) {
    FILE *f = fopen("/proc/self/smaps_rollup", "re"); /* Linux: Documentation/filesystems/proc.rst */
    char line[256];
    *resident = *huge = 0;
    while (f && fgets(line, sizeof line, f)) {
        *resident += bytes_in(line, "Rss:");
        *huge += bytes_in(line, "AnonHugePages:") + bytes_in(line, "ShmemPmdMapped:") + bytes_in(line, "FilePmdMapped:");
    }
    if (f) {
        fclose(f);
    }
    return *resident > 0;
}
