/* What a session will take, and what the machine has. */
#include "engine/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/sequence.h"

enum { DEFAULT_CONTEXT = 32768 };

static uint64_t context(const exaone_config *c, const exaone_session_options *o) {
    uint64_t limit = (uint64_t)c->max_position_embeddings;
    return o->n_ctx ? o->n_ctx : limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
}

static bool drafts(const exaone_config *c, const exaone_session_options *o) {
    return o->draft && c->num_mtp_layers > 0;
}

/* Rows of a forward call. */
static uint64_t rows(const exaone_config *c, const exaone_session_options *o) {
    uint64_t n = o->batch ? o->batch : EXAONE_PREFILL_CHUNK;
    return drafts(c, o) && n < EXAONE_TAIL_ROWS ? EXAONE_TAIL_ROWS : n;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

exaone_kv_bytes exaone_session_kv_bytes(const exaone_config *c, const exaone_session_options *o) {
    uint64_t extra = plus(rows(c, o), drafts(c, o) ? EXAONE_MAX_DRAFT : 0);
    return exaone_config_kv_bytes(c, context(c, o), extra, EXAONE_KV_PAGE, exaone_cache_type_dtype(o->cache_type_k),
                                  exaone_cache_type_dtype(o->cache_type_v));
}

uint64_t exaone_session_workspace_bytes(const exaone_config *c, const exaone_session_options *o) {
    uint64_t n = rows(c, o), logits = drafts(c, o) ? EXAONE_TAIL_ROWS : 1, vocab = (uint64_t)c->vocab_size;
    uint64_t hidden = logits + (drafts(c, o) ? EXAONE_TAIL_ROWS : 0); /* rows of hidden_size */
    hidden = plus(hidden, c->num_mtp_layers > 0 ? times(2, n) : 0);
    uint64_t floats = plus(times(hidden, (uint64_t)c->hidden_size), times(2 * logits + 2, vocab)); /* logits on both sides */
    size_t forward = exaone_workspace_bytes(c, n < SIZE_MAX ? (size_t)n : SIZE_MAX);
    uint64_t bytes = plus(times(plus(floats, context(c, o)), sizeof(float)), times(n, sizeof(exaone_row) + 16));
    return forward == SIZE_MAX ? UINT64_MAX : plus(bytes, forward);
}

/* Pages of the marks that one long prompt leaves; that at its end shares those of the rings. */
static uint64_t marks_bytes(const exaone_config *c, const exaone_session_options *o) {
    if (c->sliding_window <= 0) {
        return 0;
    }
    uint64_t n = (context(c, o) - 1) / exaone_mark_distance((size_t)c->sliding_window);
    exaone_dtype k = exaone_cache_type_dtype(o->cache_type_k), v = exaone_cache_type_dtype(o->cache_type_v);
    exaone_kv_bytes window = exaone_config_kv_bytes(c, context(c, o), 0, EXAONE_KV_PAGE, k, v);
    uint64_t budget = o->mark_bytes ? o->mark_bytes : EXAONE_MARK_BYTES;
    uint64_t bytes = times(n < EXAONE_MAX_MARKS ? n : EXAONE_MAX_MARKS - 1, plus(window.sliding, window.mtp));
    return bytes < budget ? bytes : budget;
}

exaone_status exaone_session_memory(const exaone_engine *engine, const exaone_session_options *options,
                                    exaone_memory_need *out, exaone_error *err) {
    static const exaone_session_options defaults = {0};
    const exaone_session_options *o = options ? options : &defaults;
    *out = (exaone_memory_need){.n_ctx = context(&engine->config, o)};
    out->kv_cache = exaone_session_kv_bytes(&engine->config, o).total;
    out->workspace = exaone_session_workspace_bytes(&engine->config, o);
    out->marks = marks_bytes(&engine->config, o);
    out->total = plus(plus(out->kv_cache, out->workspace), out->marks);
    if (out->total == UINT64_MAX) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the memory of a context of %llu tokens cannot be addressed",
                           (unsigned long long)out->n_ctx);
    }
    return EXAONE_OK;
}

/* The number in a file of one, or behind `name` in one of lines "NAME: N kB"; UINT64_MAX when there is none. */
static uint64_t number_in(const char *path, const char *name, uint64_t unit) {
    FILE *f = fopen(path, "re");
    char line[256], *end;
    size_t skip = strlen(name);
    uint64_t found = UINT64_MAX;
    while (f && found == UINT64_MAX && fgets(line, sizeof line, f)) {
        errno = 0;
        unsigned long long n = strncmp(line, name, skip) == 0 ? strtoull(line + skip, &end, 10) : 0;
        if (strncmp(line, name, skip) == 0 && end != line + skip && errno == 0 && n < UINT64_MAX / unit) {
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
    uint64_t limit = number_in("/sys/fs/cgroup/memory.max", "", 1), used = number_in("/sys/fs/cgroup/memory.current", "", 1);
    uint64_t cached = number_in("/sys/fs/cgroup/memory.stat", "file ", 1); /* given back when memory is short */
    if (limit == UINT64_MAX || used == UINT64_MAX) {
        return machine;
    }
    used = cached != UINT64_MAX ? (cached < used ? used - cached : 0) : used;
    uint64_t left = used < limit ? limit - used : 0;
    return left < machine ? left : machine;
}
