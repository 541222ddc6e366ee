/* What a session will take, and what the machine has. */
#include "engine/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { DEFAULT_CONTEXT = 32768 };

uint64_t exaone_session_context(const exaone_config *config, const exaone_session_options *o) {
    uint64_t limit = (uint64_t)config->max_position_embeddings;
    return o->n_ctx ? o->n_ctx : limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
}

uint64_t exaone_session_chunk(const exaone_session_options *o) {
    return o->batch ? o->batch : EXAONE_PREFILL_CHUNK;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

exaone_kv_bytes exaone_session_kv_bytes(const exaone_config *c, const exaone_session_options *o) {
    uint64_t extra = plus(exaone_session_chunk(o), EXAONE_MAX_DRAFT);
    return exaone_config_kv_bytes(c, exaone_session_context(c, o), extra, EXAONE_KV_PAGE,
                                  exaone_cache_type_dtype(o->cache_type_k), exaone_cache_type_dtype(o->cache_type_v));
}

uint64_t exaone_session_workspace_bytes(const exaone_config *c, const exaone_session_options *o) {
    uint64_t n_ctx = exaone_session_context(c, o), chunk = exaone_session_chunk(o), ids;
    uint64_t logits = 2 * (uint64_t)c->vocab_size * sizeof(float); /* on both sides */
    if (__builtin_mul_overflow(n_ctx, (uint64_t)sizeof(int32_t), &ids)) {
        return UINT64_MAX;
    }
    size_t rows = exaone_workspace_bytes(c, (size_t)chunk);
    return rows == SIZE_MAX ? UINT64_MAX : plus(plus(rows, logits), ids);
}

exaone_status exaone_session_memory(const exaone_engine *engine, const exaone_session_options *options,
                                    exaone_memory_need *out, exaone_error *err) {
    static const exaone_session_options defaults = {0};
    const exaone_session_options *o = options ? options : &defaults;
    *out = (exaone_memory_need){.n_ctx = exaone_session_context(&engine->config, o)};
    out->kv_cache = exaone_session_kv_bytes(&engine->config, o).total;
    out->workspace = exaone_session_workspace_bytes(&engine->config, o);
    out->total = plus(out->kv_cache, out->workspace);
    if (out->total == UINT64_MAX) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the memory of a context of %llu tokens cannot be addressed",
                           (unsigned long long)out->n_ctx);
    }
    return EXAONE_OK;
}

/* The number in a file of one, or behind `name` in one of lines "NAME: N kB"; UINT64_MAX when there is none. */
static uint64_t number_in(const char *path, const char *name, uint64_t unit) {
    FILE *f = fopen(path, "re");
    char line[256];
    unsigned long long n = 0;
    uint64_t found = UINT64_MAX;
    while (f && found == UINT64_MAX && fgets(line, sizeof line, f)) {
        size_t skip = name ? strlen(name) : 0;
        if ((!name || strncmp(line, name, skip) == 0) && sscanf(line + skip, "%llu", &n) == 1 && n < UINT64_MAX / unit) {
            found = (uint64_t)n * unit;
        }
    }
    if (f) {
        fclose(f);
    }
    return found;
}

uint64_t exaone_memory_available(void) {
    uint64_t machine = number_in("/proc/meminfo", "MemAvailable:", 1024);
    uint64_t limit = number_in("/sys/fs/cgroup/memory.max", NULL, 1),
             used = number_in("/sys/fs/cgroup/memory.current", NULL, 1);
    uint64_t cached = number_in("/sys/fs/cgroup/memory.stat", "file ", 1); /* given back when memory is short */
    if (limit == UINT64_MAX || used == UINT64_MAX) {
        return machine;
    }
    used = cached != UINT64_MAX ? (cached < used ? used - cached : 0) : used;
    uint64_t left = used < limit ? limit - used : 0;
    return left < machine ? left : machine;
}
