/* Safetensors files.
 *
 *   u64 n            length of the header, little endian
 *   n bytes          JSON object: NAME -> {"dtype": "BF16", "shape": [a, b], "data_offsets": [begin, end]}, and perhaps
 *                    "__metadata__" -> object of strings, which is not looked at; spaces may pad it
 *   data             offsets count from here; the tensors must cover it without holes and without overlap
 *
 * The rules are those of the format's own library: header at most 100 MB and starting with '{', known dtypes, the byte range
 * equal to the shape's size, ranges that follow each other from 0 to the end of the file, no name twice. */
#include "weights/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

enum {
    MIN_NODE_BYTES = 128 << 10,
    MAX_NODE_BYTES = 64 << 20
}; /* memory for the header's tree; the released model's needs 1 MB */

static exaone_status read_shape(const exaone_json *shape, exaone_safetensors_entry *e, const char *path, exaone_error *err) {
    if (!exaone_json_is(shape, EXAONE_JSON_ARRAY)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: shape is %s, not an array of integers", path, e->name,
                           exaone_json_shown(shape, shown));
    }
    if (shape->len > EXAONE_TENSOR_MAX_DIMS) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s: %s: shape has %zu dimensions, the limit is %d", path, e->name,
                           shape->len, EXAONE_TENSOR_MAX_DIMS);
    }
    for (const exaone_json *d = shape->first; d; d = d->next) {
        int64_t value;
        if (!exaone_json_is_integer(d) || !exaone_json_int(d, &value) || value < 0) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: dimension %zu of the shape is not an integer of at least 0",
                               path, e->name, e->n_dims);
        }
        e->dims[e->n_dims++] = (uint64_t)value;
    }
    return EXAONE_OK;
}

static exaone_status read_entry(const exaone_json *j, exaone_safetensors_entry *e, uint64_t data_size, const char *path,
                                exaone_error *err) {
    const exaone_json *dtype = exaone_json_get(j, "dtype");
    const exaone_json *offsets = exaone_json_get(j, "data_offsets");
    if (!exaone_json_is(dtype, EXAONE_JSON_STRING)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: dtype is missing or no string", path, e->name);
    }
    if (!exaone_dtype_from_safetensors(dtype->text, dtype->len, &e->dtype)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: dtype \"%.*s\" is unknown", path, e->name,
                           (int)(dtype->len < 40 ? dtype->len : 40), dtype->text);
    }
    exaone_status status = read_shape(exaone_json_get(j, "shape"), e, path, err);
    if (status) {
        return status;
    }
    int64_t begin, end;
    if (!exaone_json_is(offsets, EXAONE_JSON_ARRAY) || offsets->len != 2 || !exaone_json_is_integer(offsets->first) ||
        !exaone_json_is_integer(offsets->first->next) || !exaone_json_int(offsets->first, &begin) ||
        !exaone_json_int(offsets->first->next, &end) || begin < 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: data_offsets is not a pair of integers of at least 0", path,
                           e->name);
    }
    if (begin > end || (uint64_t)end > data_size) {
        return exaone_fail(
            err, EXAONE_ERR_FORMAT,
            "%s: %s: data_offsets [%lld, %lld] do not lie in the %llu bytes of data (an incomplete download?)", path,
            e->name, (long long)begin, (long long)end, (unsigned long long)data_size);
    }
    size_t want;
    if (!exaone_dtype_tensor_bytes(e->dtype, e->n_dims, e->dims, &want) || want != (uint64_t)(end - begin)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: data_offsets [%lld, %lld] do not fit its shape and type %s",
                           path, e->name, (long long)begin, (long long)end, exaone_dtype_name(e->dtype));
    }
    e->begin = (uint64_t)begin;
    e->bytes = want;
    return EXAONE_OK;
}

static int by_place(const void *a, const void *b) {
    const exaone_safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    if (x->bytes != y->bytes) { /* empty tensors go before the one that starts at the same place */
        return x->bytes < y->bytes ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static exaone_status check_names(const exaone_safetensors *s, const char *path, exaone_error *err) {
    const char **names = exaone_mem_array(s->count, sizeof *names);
    if (!names) {
        return exaone_fail_memory(err, "the names of tensors", s->count * sizeof *names);
    }
    for (size_t i = 0; i < s->count; i++) {
        names[i] = s->entries[i].name;
    }
    qsort(names, s->count, sizeof *names, by_name);
    exaone_status status = EXAONE_OK;
    for (size_t i = 1; i < s->count && status == EXAONE_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: tensor %s is listed twice", path, names[i]);
        }
    }
    free(names);
    return status;
}

/* The ranges must follow each other from 0 to the end. */
static exaone_status check_cover(exaone_safetensors *s, const uint8_t *data, uint64_t data_size, const char *path,
                                 exaone_error *err) {
    qsort(s->entries, s->count, sizeof *s->entries, by_place);
    uint64_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        exaone_safetensors_entry *e = &s->entries[i];
        if (e->begin != at) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: its data begins at %llu, %s at %llu", path, e->name,
                               (unsigned long long)e->begin,
                               e->begin < at ? "inside a tensor that ends" : "behind a hole that begins",
                               (unsigned long long)at);
        }
        e->data = data + e->begin;
        at += e->bytes;
    }
    if (at != data_size) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: the tensors end at byte %llu of the data, the file has %llu bytes of it", path,
                           (unsigned long long)at, (unsigned long long)data_size);
    }
    return EXAONE_OK;
}

static exaone_status read_entries(const exaone_json *root, exaone_safetensors *s, const uint8_t *data, uint64_t data_size,
                                  const char *path, exaone_error *err) {
    s->entries = exaone_mem_array(root->len, sizeof *s->entries);
    if (!s->entries) {
        return exaone_fail_memory(err, path, root->len * sizeof *s->entries);
    }
    for (const exaone_json *j = root->first; j; j = j->next) {
        if (j->key_len == 12 && memcmp(j->key, "__metadata__", 12) == 0) {
            continue;
        }
        if (j->key_len == 0 || memchr(j->key, 0, j->key_len)) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: a tensor's name is empty or holds a NUL", path);
        }
        exaone_safetensors_entry *e = &s->entries[s->count];
        e->name = exaone_arena_string(&s->names, j->key, j->key_len);
        if (!e->name) {
            return exaone_fail_memory(err, "the names of tensors", j->key_len + 1);
        }
        if (!exaone_json_is(j, EXAONE_JSON_OBJECT)) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: the entry is no object", path, e->name);
        }
        exaone_status status = read_entry(j, e, data_size, path, err);
        if (status) {
            return status;
        }
        s->count++;
    }
    exaone_status status = check_names(s, path, err);
    return status ? status : check_cover(s, data, data_size, path, err);
}

exaone_status exaone_safetensors_parse(const uint8_t *bytes, size_t size, const char *path, exaone_safetensors *out,
                                       exaone_error *err) {
    *out = (exaone_safetensors){0};
    exaone_arena_init(&out->names, EXAONE_SAFETENSORS_MAX_HEADER * (size_t)2);
    if (size < 8) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s is no safetensors file: it has %zu bytes, the header's length alone takes 8", path, size);
    }
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) {
        n |= (uint64_t)bytes[i] << 8 * i;
    }
    if (n > EXAONE_SAFETENSORS_MAX_HEADER) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s: the header's length is %llu bytes, the limit is %d", path,
                           (unsigned long long)n, EXAONE_SAFETENSORS_MAX_HEADER);
    }
    if (n > size - 8) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: the header's length is %llu bytes, but only %zu follow (an incomplete download?)", path,
                           (unsigned long long)n, size - 8);
    }
    if (n == 0 || bytes[8] != '{') {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the header does not begin with '{'", path);
    }
    exaone_arena nodes;
    size_t budget = (size_t)n * 16 + MIN_NODE_BYTES; /* nodes of the densest correct header take 14 bytes per character */
    exaone_arena_init(&nodes, budget < MAX_NODE_BYTES ? budget : MAX_NODE_BYTES);
    exaone_json *root;
    exaone_status status = exaone_json_parse((const char *)bytes + 8, (size_t)n, &nodes, &root, err);
    if (status) {
        status = exaone_fail_context(err, status, "%s: the header", path);
    } else if (root->type != EXAONE_JSON_OBJECT) {
        status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the header is no JSON object", path);
    } else {
        status = read_entries(root, out, bytes + 8 + n, size - 8 - n, path, err);
    }
    exaone_arena_release(&nodes);
    if (status) {
        exaone_safetensors_release(out);
    }
    return status;
}

void exaone_safetensors_release(exaone_safetensors *s) {
    free(s->entries);
    exaone_arena_release(&s->names);
    *s = (exaone_safetensors){0};
}
