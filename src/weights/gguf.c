/* GGUF files.
 *
 *   "GGUF"  u32 version (2, 3)  u64 n_tensors  u64 n_kv
 *   n_kv times      string key, u32 type, value
 *   n_tensors times string name, u32 n_dims, u64 ne[n_dims] (innermost first), u32 type, u64 offset from the start of the
 * data zeros up to a multiple of general.alignment (32 when absent), then the data
 *
 *   string = u64 length, bytes; array = u32 element type, u64 count, elements; types: enum exaone_gguf_type. Little endian.
 *
 * The lists grow as entries are read, so that memory follows what the file holds, not what its counts claim. */
#include "weights/gguf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

enum {
    MAX_KEY = 65535, /* bytes */
    MAX_NAME = 255,  /* bytes of a tensor's name */
    MAX_KV = 65536,  /* key/value pairs */
    MAX_TENSORS = 1 << 17,
    MAX_ALIGNMENT = 65536,
    DEFAULT_ALIGNMENT = 32,
    MIN_KV_BYTES = 14,     /* key of one character, a byte as value */
    MIN_TENSOR_BYTES = 33, /* name of one character, one dimension */
};

struct exaone_gguf {
    exaone_map map; /* empty when parsed from the caller's bytes */
    const uint8_t *bytes;
    size_t size;
    char *path;
    uint32_t version;
    uint64_t alignment;
    size_t data_start;
    exaone_arena arena; /* keys and names */
    exaone_gguf_kv *kv;
    const exaone_gguf_kv **kv_by_name;
    size_t n_kv, cap_kv;
    exaone_gguf_tensor *tensors;
    const exaone_gguf_tensor **tensors_by_name;
    size_t n_tensors, cap_tensors;
};

static const uint8_t TYPE_BYTES[EXAONE_GGUF_TYPE_COUNT] = {
    [EXAONE_GGUF_U8] = 1,  [EXAONE_GGUF_I8] = 1,  [EXAONE_GGUF_U16] = 2, [EXAONE_GGUF_I16] = 2,
    [EXAONE_GGUF_U32] = 4, [EXAONE_GGUF_I32] = 4, [EXAONE_GGUF_F32] = 4, [EXAONE_GGUF_BOOL] = 1,
    [EXAONE_GGUF_U64] = 8, [EXAONE_GGUF_I64] = 8, [EXAONE_GGUF_F64] = 8,
};

/* ---- reading -------------------------------------------------------------------------------------------------------------
 */

typedef struct reader {
    exaone_gguf *g;
    size_t at;
    exaone_error *err;
} reader;

static size_t left(const reader *r) {
    return r->g->size - r->at;
}

static uint64_t little(const uint8_t *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value |= (uint64_t)p[i] << 8 * i;
    }
    return value;
}

static exaone_status read_int(reader *r, size_t n, uint64_t *out, const char *what) {
    if (left(r) < n) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: the file ends at byte %zu, inside %s (an incomplete download?)",
                           r->g->path, r->g->size, what);
    }
    *out = little(r->g->bytes + r->at, n);
    r->at += n;
    return EXAONE_OK;
}

static exaone_status read_u32(reader *r, uint32_t *out, const char *what) {
    uint64_t value = 0;
    exaone_status status = read_int(r, 4, &value, what);
    *out = (uint32_t)value;
    return status;
}

static exaone_status read_view(reader *r, exaone_gguf_view *out, const char *what) {
    uint64_t n = 0;
    exaone_status status = read_int(r, 8, &n, what);
    if (status) {
        return status;
    }
    if (n > left(r)) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s has a length of %llu bytes, but only %zu follow", r->g->path,
                           what, (unsigned long long)n, left(r));
    }
    *out = (exaone_gguf_view){(const char *)r->g->bytes + r->at, (size_t)n};
    r->at += (size_t)n;
    return EXAONE_OK;
}

/* A key or a tensor's name, as a NUL-terminated copy. */
static exaone_status read_name(reader *r, const char **out, size_t max, const char *what) {
    exaone_gguf_view v;
    exaone_status status = read_view(r, &v, what);
    if (status) {
        return status;
    }
    if (v.n == 0 || v.n > max) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s has %zu bytes, 1 to %zu are allowed", r->g->path, what, v.n,
                           max);
    }
    if (memchr(v.text, 0, v.n)) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s holds a NUL", r->g->path, what);
    }
    *out = exaone_arena_string(&r->g->arena, v.text, v.n);
    return *out ? EXAONE_OK : exaone_fail_memory(r->err, what, v.n + 1);
}

static exaone_status check_bools(const reader *r, const exaone_gguf_kv *kv) {
    for (size_t i = 0; i < kv->bytes; i++) {
        if (kv->data[i] > 1) {
            return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: a bool has the value %d, 0 or 1 are allowed", r->g->path,
                               kv->key, kv->data[i]);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_array(reader *r, exaone_gguf_kv *kv) {
    uint32_t element;
    exaone_status status = read_u32(r, &element, kv->key);
    if (status == EXAONE_OK) {
        status = read_int(r, 8, &kv->count, kv->key);
    }
    if (status) {
        return status;
    }
    if (element == EXAONE_GGUF_ARRAY) {
        return exaone_fail(r->err, EXAONE_ERR_UNSUPPORTED, "%s: %s is an array of arrays", r->g->path, kv->key);
    }
    if (element >= EXAONE_GGUF_TYPE_COUNT) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: element type %u is unknown", r->g->path, kv->key, element);
    }
    kv->element = (exaone_gguf_type)element;
    size_t each = element == EXAONE_GGUF_STRING ? 8 : TYPE_BYTES[element];
    if (kv->count > left(r) / each) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: %llu elements do not fit in the %zu bytes that follow",
                           r->g->path, kv->key, (unsigned long long)kv->count, left(r));
    }
    kv->data = r->g->bytes + r->at;
    if (element != EXAONE_GGUF_STRING) {
        kv->bytes = (size_t)kv->count * each;
        r->at += kv->bytes;
        return element == EXAONE_GGUF_BOOL ? check_bools(r, kv) : EXAONE_OK;
    }
    size_t begin = r->at;
    for (uint64_t i = 0; i < kv->count; i++) {
        exaone_gguf_view v;
        status = read_view(r, &v, kv->key);
        if (status) {
            return status;
        }
    }
    kv->bytes = r->at - begin;
    return EXAONE_OK;
}

static exaone_status read_value(reader *r, exaone_gguf_kv *kv) {
    uint32_t type;
    exaone_status status = read_u32(r, &type, kv->key);
    if (status) {
        return status;
    }
    if (type >= EXAONE_GGUF_TYPE_COUNT) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: value type %u is unknown", r->g->path, kv->key, type);
    }
    kv->type = (exaone_gguf_type)type;
    kv->count = 1;
    if (type == EXAONE_GGUF_ARRAY) {
        return read_array(r, kv);
    }
    if (type == EXAONE_GGUF_STRING) {
        exaone_gguf_view v;
        status = read_view(r, &v, kv->key);
        if (status == EXAONE_OK) {
            kv->data = (const uint8_t *)v.text;
            kv->bytes = v.n;
        }
        return status;
    }
    kv->bytes = TYPE_BYTES[type];
    if (left(r) < kv->bytes) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: the file ends at byte %zu, inside %s (an incomplete download?)",
                           r->g->path, r->g->size, kv->key);
    }
    kv->data = r->g->bytes + r->at;
    r->at += kv->bytes;
    return type == EXAONE_GGUF_BOOL ? check_bools(r, kv) : EXAONE_OK;
}

static exaone_status read_kvs(reader *r, uint64_t count) {
    exaone_gguf *g = r->g;
    for (uint64_t i = 0; i < count; i++) {
        exaone_gguf_kv *list = exaone_mem_grow(g->kv, g->n_kv, &g->cap_kv, sizeof *list);
        if (!list) {
            return exaone_fail_memory(r->err, "the metadata", (unsigned long long)g->n_kv * 2 * sizeof *list);
        }
        g->kv = list;
        exaone_gguf_kv kv = {0};
        exaone_status status = read_name(r, &kv.key, MAX_KEY, "a metadata key");
        if (status == EXAONE_OK) {
            status = read_value(r, &kv);
        }
        if (status) {
            return status;
        }
        g->kv[g->n_kv++] = kv;
    }
    return EXAONE_OK;
}

static exaone_status read_tensor(reader *r, exaone_gguf_tensor *t, uint64_t *offset) {
    const char *path = r->g->path;
    uint32_t type = 0;
    exaone_status status = read_name(r, &t->name, MAX_NAME, "a tensor's name");
    if (status == EXAONE_OK) {
        status = read_u32(r, &t->n_dims, t->name);
    }
    if (status) {
        return status;
    }
    if (t->n_dims < 1 || t->n_dims > 4) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s has %u dimensions, 1 to 4 are allowed", path, t->name,
                           t->n_dims);
    }
    uint64_t dims[4]; /* outermost first */
    for (uint32_t d = 0; d < 4; d++) {
        t->ne[d] = 1;
    }
    for (uint32_t d = 0; d < t->n_dims; d++) {
        status = read_int(r, 8, &t->ne[d], t->name);
        if (status) {
            return status;
        }
        if (t->ne[d] == 0 || t->ne[d] > INT64_MAX) {
            return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: dimension %u is %lld, at least 1 is needed", path,
                               t->name, d, (long long)t->ne[d]);
        }
        dims[t->n_dims - 1 - d] = t->ne[d];
    }
    status = read_u32(r, &type, t->name);
    if (status == EXAONE_OK) {
        status = read_int(r, 8, offset, t->name);
    }
    if (status) {
        return status;
    }
    if (!exaone_dtype_from_gguf(type, &t->dtype)) {
        return exaone_fail(r->err, EXAONE_ERR_UNSUPPORTED, "%s: %s has tensor type %u, which this version does not know",
                           path, t->name, type);
    }
    unsigned block = exaone_dtype_get(t->dtype)->block_elements;
    if (t->ne[0] % block != 0) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: rows of %llu elements are not whole blocks of %u (%s)", path,
                           t->name, (unsigned long long)t->ne[0], block, exaone_dtype_name(t->dtype));
    }
    if (!exaone_dtype_tensor_bytes(t->dtype, t->n_dims, dims, &t->bytes)) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: the product of its dimensions does not fit", path, t->name);
    }
    return EXAONE_OK;
}

static exaone_status read_tensors(reader *r, uint64_t count) {
    exaone_gguf *g = r->g;
    for (uint64_t i = 0; i < count; i++) {
        exaone_gguf_tensor *list = exaone_mem_grow(g->tensors, g->n_tensors, &g->cap_tensors, sizeof *list);
        if (!list) {
            return exaone_fail_memory(r->err, "the tensor list", (unsigned long long)g->n_tensors * 2 * sizeof *list);
        }
        g->tensors = list;
        exaone_gguf_tensor t = {0};
        uint64_t offset = 0;
        exaone_status status = read_tensor(r, &t, &offset);
        if (status) {
            return status;
        }
        if (offset % g->alignment != 0) {
            return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %s: offset %llu is not a multiple of the alignment %llu",
                               g->path, t.name, (unsigned long long)offset, (unsigned long long)g->alignment);
        }
        if (offset > g->size ||
            t.bytes > g->size - (size_t)offset) { /* a first bound; where the data begins is not known yet */
            return exaone_fail(
                r->err, EXAONE_ERR_FORMAT,
                "%s: %s: %zu bytes at offset %llu lie outside the file of %zu bytes (an incomplete download?)", g->path,
                t.name, t.bytes, (unsigned long long)offset, g->size);
        }
        t.data = g->bytes + (size_t)offset;
        g->tensors[g->n_tensors++] = t;
    }
    return EXAONE_OK;
}

/* ---- checks over the whole lists -----------------------------------------------------------------------------------------
 */

static int kv_order(const void *a, const void *b) {
    return strcmp((*(const exaone_gguf_kv *const *)a)->key, (*(const exaone_gguf_kv *const *)b)->key);
}

static int tensor_order(const void *a, const void *b) {
    return strcmp((*(const exaone_gguf_tensor *const *)a)->name, (*(const exaone_gguf_tensor *const *)b)->name);
}

static int tensor_place(const void *a, const void *b) {
    const uint8_t *x = (*(const exaone_gguf_tensor *const *)a)->data, *y = (*(const exaone_gguf_tensor *const *)b)->data;
    return x < y ? -1 : x > y;
}

static exaone_status index_kvs(exaone_gguf *g, exaone_error *err) {
    g->kv_by_name = exaone_mem_array(g->n_kv, sizeof *g->kv_by_name);
    if (!g->kv_by_name) {
        return exaone_fail_memory(err, "the metadata", (unsigned long long)g->n_kv * sizeof *g->kv_by_name);
    }
    for (size_t i = 0; i < g->n_kv; i++) {
        g->kv_by_name[i] = &g->kv[i];
    }
    qsort(g->kv_by_name, g->n_kv, sizeof *g->kv_by_name, kv_order);
    for (size_t i = 1; i < g->n_kv; i++) {
        if (strcmp(g->kv_by_name[i - 1]->key, g->kv_by_name[i]->key) == 0) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the key %s is there twice", g->path, g->kv_by_name[i]->key);
        }
    }
    return EXAONE_OK;
}

/* Places the tensors behind the header: all inside the file, none over another; names only once. */
static exaone_status index_tensors(exaone_gguf *g, exaone_error *err) {
    g->tensors_by_name = exaone_mem_array(g->n_tensors, sizeof *g->tensors_by_name);
    if (!g->tensors_by_name) {
        return exaone_fail_memory(err, "the tensor list", (unsigned long long)g->n_tensors * sizeof *g->tensors_by_name);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        exaone_gguf_tensor *t = &g->tensors[i];
        size_t offset = (size_t)(t->data - g->bytes);
        if (g->data_start > g->size || offset > g->size - g->data_start || t->bytes > g->size - g->data_start - offset) {
            return exaone_fail(err, EXAONE_ERR_FORMAT,
                               "%s: %s: %zu bytes at offset %zu of the data lie outside the file of %zu bytes", g->path,
                               t->name, t->bytes, offset, g->size);
        }
        t->data += g->data_start;
        g->tensors_by_name[i] = t;
    }
    qsort(g->tensors_by_name, g->n_tensors, sizeof *g->tensors_by_name, tensor_place);
    for (size_t i = 1; i < g->n_tensors; i++) {
        const exaone_gguf_tensor *before = g->tensors_by_name[i - 1], *t = g->tensors_by_name[i];
        if ((size_t)(t->data - before->data) < before->bytes) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the data of %s and %s overlap", g->path, before->name, t->name);
        }
    }
    qsort(g->tensors_by_name, g->n_tensors, sizeof *g->tensors_by_name, tensor_order);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if (strcmp(g->tensors_by_name[i - 1]->name, g->tensors_by_name[i]->name) == 0) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the tensor %s is listed twice", g->path,
                               g->tensors_by_name[i]->name);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_alignment(exaone_gguf *g, exaone_error *err) {
    g->alignment = DEFAULT_ALIGNMENT;
    const exaone_gguf_kv *kv = exaone_gguf_find(g, "general.alignment");
    if (!kv) {
        return EXAONE_OK;
    }
    if (kv->type != EXAONE_GGUF_U32) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: general.alignment has value type %d, it must be a u32", g->path,
                           (int)kv->type);
    }
    uint64_t value = little(kv->data, 4);
    if (value < 8 || value > MAX_ALIGNMENT || (value & (value - 1)) != 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: general.alignment is %llu, it must be a power of two from 8 to %d",
                           g->path, (unsigned long long)value, MAX_ALIGNMENT);
    }
    g->alignment = value;
    return EXAONE_OK;
}

static exaone_status read_counts(reader *r, uint64_t *n_tensors, uint64_t *n_kv) {
    exaone_gguf *g = r->g;
    if (g->size < 4 || memcmp(g->bytes, "GGUF", 4) != 0) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s is no GGUF file: it %s", g->path,
                           g->size < 4 ? "has fewer than 4 bytes" : "does not begin with \"GGUF\"");
    }
    r->at = 4;
    exaone_status status = read_u32(r, &g->version, "the version");
    if (status) {
        return status;
    }
    if (g->version != 2 && g->version != 3) {
        bool swapped = g->version == 0x02000000 || g->version == 0x03000000;
        return exaone_fail(r->err, EXAONE_ERR_UNSUPPORTED, "%s: GGUF version %u%s, versions 2 and 3 are read", g->path,
                           g->version, swapped ? " (a big-endian file)" : "");
    }
    status = read_int(r, 8, n_tensors, "the tensor count");
    if (status == EXAONE_OK) {
        status = read_int(r, 8, n_kv, "the metadata count");
    }
    if (status) {
        return status;
    }
    if (*n_kv > MAX_KV || *n_kv > left(r) / MIN_KV_BYTES) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT,
                           "%s: %llu metadata entries; a file of %zu bytes can hold %zu, the limit is %d", g->path,
                           (unsigned long long)*n_kv, g->size, left(r) / MIN_KV_BYTES, MAX_KV);
    }
    if (*n_tensors > MAX_TENSORS || *n_tensors > left(r) / MIN_TENSOR_BYTES) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "%s: %llu tensors; a file of %zu bytes can hold %zu, the limit is %d",
                           g->path, (unsigned long long)*n_tensors, g->size, left(r) / MIN_TENSOR_BYTES, MAX_TENSORS);
    }
    return EXAONE_OK;
}

static exaone_status read_file(exaone_gguf *g, exaone_error *err) {
    reader r = {.g = g, .err = err};
    uint64_t n_tensors = 0, n_kv = 0;
    exaone_status status = read_counts(&r, &n_tensors, &n_kv);
    if (status == EXAONE_OK) {
        status = read_kvs(&r, n_kv);
    }
    if (status == EXAONE_OK) {
        status = index_kvs(g, err);
    }
    if (status == EXAONE_OK) {
        status = read_alignment(g, err);
    }
    if (status == EXAONE_OK) {
        status = read_tensors(&r, n_tensors);
    }
    if (status) {
        return status;
    }
    g->data_start = (r.at + (size_t)g->alignment - 1) & ~((size_t)g->alignment - 1);
    return index_tensors(g, err);
}

/* Takes the map over, whatever the result. */
static exaone_status open_bytes(exaone_map map, const uint8_t *bytes, size_t size, const char *path, exaone_gguf **out,
                                exaone_error *err) {
    *out = NULL;
    exaone_gguf *g = exaone_mem_array(1, sizeof *g);
    if (!g) {
        exaone_map_close(&map);
        return exaone_fail_memory(err, path, sizeof *g);
    }
    g->map = map;
    g->bytes = bytes;
    g->size = size;
    exaone_arena_init(&g->arena, SIZE_MAX / 2); /* bounded by the file: every string in it was in the file, once */
    g->path = exaone_mem_string(path, strlen(path));
    exaone_status status = g->path ? read_file(g, err) : exaone_fail_memory(err, path, strlen(path) + 1);
    if (status) {
        exaone_gguf_close(g);
        return status;
    }
    *out = g;
    return EXAONE_OK;
}

exaone_status exaone_gguf_open(const char *path, exaone_gguf **out, exaone_error *err) {
    *out = NULL;
    exaone_map map;
    exaone_status status = exaone_map_open(path, &map, err);
    return status ? status : open_bytes(map, map.data, map.size, path, out, err);
}

exaone_status exaone_gguf_parse(const uint8_t *bytes, size_t size, const char *name, exaone_gguf **out, exaone_error *err) {
    return open_bytes((exaone_map){0}, bytes, size, name, out, err);
}

void exaone_gguf_close(exaone_gguf *g) {
    if (!g) {
        return;
    }
    free(g->kv);
    free(g->kv_by_name);
    free(g->tensors);
    free(g->tensors_by_name);
    free(g->path);
    exaone_arena_release(&g->arena);
    exaone_map_close(&g->map);
    free(g);
}

/* ---- asking --------------------------------------------------------------------------------------------------------------
 */

const char *exaone_gguf_path(const exaone_gguf *g) {
    return g->path;
}

size_t exaone_gguf_size(const exaone_gguf *g) {
    return g->size;
}

uint32_t exaone_gguf_version(const exaone_gguf *g) {
    return g->version;
}

uint64_t exaone_gguf_alignment(const exaone_gguf *g) {
    return g->alignment;
}

size_t exaone_gguf_data_start(const exaone_gguf *g) {
    return g->data_start;
}

size_t exaone_gguf_kv_count(const exaone_gguf *g) {
    return g->n_kv;
}

const exaone_gguf_kv *exaone_gguf_kv_at(const exaone_gguf *g, size_t i) {
    assert(i < g->n_kv);
    return &g->kv[i];
}

const exaone_gguf_kv *exaone_gguf_find(const exaone_gguf *g, const char *key) {
    exaone_gguf_kv wanted = {.key = key};
    const exaone_gguf_kv *p = &wanted;
    const exaone_gguf_kv **found = bsearch(&p, g->kv_by_name, g->n_kv, sizeof *g->kv_by_name, kv_order);
    return found ? *found : NULL;
}

size_t exaone_gguf_tensor_count(const exaone_gguf *g) {
    return g->n_tensors;
}

const exaone_gguf_tensor *exaone_gguf_tensor_at(const exaone_gguf *g, size_t i) {
    assert(i < g->n_tensors);
    return &g->tensors[i];
}

const exaone_gguf_tensor *exaone_gguf_find_tensor(const exaone_gguf *g, const char *name) {
    exaone_gguf_tensor wanted = {.name = name};
    const exaone_gguf_tensor *p = &wanted;
    const exaone_gguf_tensor **found =
        bsearch(&p, g->tensors_by_name, g->n_tensors, sizeof *g->tensors_by_name, tensor_order);
    return found ? *found : NULL;
}
