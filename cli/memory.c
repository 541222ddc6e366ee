/* The KV cache's options, and the check that a context fits in memory. */
#include <string.h>

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

bool cli_memory_check(const exaone_engine *engine, const exaone_session_options *options) {
    enum { WORTH_SAYING = 1 << 30 }; /* bytes: less is no news */
    exaone_memory_need need;
    exaone_error err = {0};
    if (exaone_session_memory(engine, options, &need, &err) != EXAONE_OK) {
        cli_fail(&err);
        return false;
    }
    uint64_t available = exaone_memory_available();
    if (need.total > available) {
        cli_note("%llu tokens of context need %.2f GB of memory (%.2f GB KV cache, %.2f GB work), this machine has "
                 "%.2f GB left; take less with --ctx, or smaller numbers with --cache-type-k and --cache-type-v",
                 (unsigned long long)need.n_ctx, gigabytes(need.total), gigabytes(need.kv_cache), gigabytes(need.workspace),
                 gigabytes(available));
        return false;
    }
    if (need.total >= WORTH_SAYING) {
        cli_say("context: %llu tokens, up to %.2f GB of memory (%.2f GB KV cache, %.2f GB work) of %.2f GB left",
                (unsigned long long)need.n_ctx, gigabytes(need.total), gigabytes(need.kv_cache), gigabytes(need.workspace),
                gigabytes(available));
    }
    return true;
}
