/* Named host tensors: see exaone/tensors.h. File format: safetensors.c. */
#include "exaone/tensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tensor/dtype.h"
#include "weights/safetensors.h"
#include "weights/writer.h"

struct exaone_tensors {
    exaone_tensor *items; /* [count]; names and data are owned */
    size_t count, cap;
};

exaone_tensors *exaone_tensors_new(void) {
    return exaone_mem_array(1, sizeof(exaone_tensors));
}

void exaone_tensors_free(exaone_tensors *set) {
    if (!set) {
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        free((void *)(uintptr_t)set->items[i].name);
        free(set->items[i].data);
    }
    free(set->items);
    free(set);
}

/* Adds without looking for the name. */
static exaone_status append(exaone_tensors *set, const char *name, exaone_dtype dtype, size_t n_dims, const uint64_t *dims,
                            const void *data, size_t bytes, exaone_error *err) {
    exaone_tensor *items = exaone_mem_grow(set->items, set->count, &set->cap, sizeof *items);
    if (!items) {
        return exaone_fail_memory(err, "the list of tensors", 2 * set->cap * sizeof *items);
    }
    set->items = items;
    char *own_name = exaone_mem_string(name, strlen(name));
    void *own_data = exaone_mem_aligned(bytes, 1);
    if (!own_name || !own_data) {
        free(own_name);
        free(own_data);
        return exaone_fail_memory(err, name, bytes);
    }
    exaone_tensor *t = &set->items[set->count++];
    *t = (exaone_tensor){.name = own_name, .dtype = dtype, .n_dims = n_dims, .data = own_data, .bytes = bytes};
    if (n_dims > 0) {
        memcpy(t->dims, dims, n_dims * sizeof *dims);
    }
    if (data && bytes > 0) {
        memcpy(own_data, data, bytes);
    }
    return EXAONE_OK;
}

exaone_status exaone_tensors_add(exaone_tensors *set, const char *name, exaone_dtype dtype, size_t n_dims,
                                 const uint64_t *dims, const void *data, exaone_error *err) {
    if (!name || !name[0] || strcmp(name, "__metadata__") == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "a tensor cannot have the name \"%s\"", name ? name : "");
    }
    if (exaone_tensors_get(set, name)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "there is a tensor %s already", name);
    }
    if ((unsigned)dtype >= EXAONE_DTYPE_COUNT || !exaone_dtype_get(dtype)->safetensors_name) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: a set of tensors cannot hold the type %s", name,
                           exaone_dtype_name(dtype));
    }
    if (n_dims > EXAONE_TENSOR_MAX_DIMS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: %zu dimensions, the limit is %d", name, n_dims,
                           EXAONE_TENSOR_MAX_DIMS);
    }
    size_t bytes;
    if (!exaone_dtype_tensor_bytes(dtype, n_dims, dims, &bytes)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: the product of its dimensions does not fit", name);
    }
    return append(set, name, dtype, n_dims, dims, data, bytes, err);
}

size_t exaone_tensors_count(const exaone_tensors *set) {
    return set->count;
}

const exaone_tensor *exaone_tensors_at(const exaone_tensors *set, size_t i) {
    return i < set->count ? &set->items[i] : NULL;
}

const exaone_tensor *exaone_tensors_get(const exaone_tensors *set, const char *name) {
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->items[i].name, name) == 0) {
            return &set->items[i];
        }
    }
    return NULL;
}

uint64_t exaone_tensor_elements(const exaone_tensor *t) {
    return t->bytes / exaone_dtype_get(t->dtype)->block_bytes;
}

exaone_status exaone_tensors_load(const char *path, exaone_tensors **out, exaone_error *err) {
    *out = NULL;
    exaone_map map;
    exaone_status status = exaone_map_open(path, &map, err);
    if (status) {
        return status;
    }
    exaone_safetensors file = {0};
    exaone_tensors *set = exaone_tensors_new();
    if (!set) {
        status = exaone_fail_memory(err, "a set of tensors", sizeof *set);
    } else {
        status = exaone_safetensors_parse(map.data, map.size, path, &file, err);
    }
    for (size_t i = 0; status == EXAONE_OK && i < file.count; i++) {
        const exaone_safetensors_entry *e = &file.entries[i];
        status = append(set, e->name, e->dtype, e->n_dims, e->dims, e->data, e->bytes, err);
    }
    exaone_safetensors_release(&file);
    exaone_map_close(&map);
    if (status) {
        exaone_tensors_free(set);
    } else {
        *out = set;
    }
    return status;
}

static int by_width_and_name(const void *a, const void *b) {
    const exaone_tensor *x = *(const exaone_tensor *const *)a, *y = *(const exaone_tensor *const *)b;
    int wx = exaone_dtype_get(x->dtype)->block_bytes, wy = exaone_dtype_get(y->dtype)->block_bytes;
    return wx != wy ? wy - wx : strcmp(x->name, y->name);
}

static void put_header(exaone_buf *header, const exaone_tensor *const *order, size_t count) {
    uint64_t at = 0;
    exaone_buf_putc(header, '{');
    for (size_t i = 0; i < count; i++) {
        const exaone_tensor *t = order[i];
        if (i > 0) {
            exaone_buf_putc(header, ',');
        }
        exaone_json_put_string(header, t->name, strlen(t->name));
        exaone_buf_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", exaone_dtype_get(t->dtype)->safetensors_name);
        for (size_t d = 0; d < t->n_dims; d++) {
            exaone_buf_printf(header, "%s%llu", d ? "," : "", (unsigned long long)t->dims[d]);
        }
        exaone_buf_printf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                          (unsigned long long)(at + t->bytes));
        at += t->bytes;
    }
    exaone_buf_putc(header, '}');
    while (header->len % 8 != 0 && !header->failed) {
        exaone_buf_putc(header, ' ');
    }
}

exaone_status exaone_tensors_save(const exaone_tensors *set, const char *path, exaone_error *err) {
    const exaone_tensor **order = exaone_mem_array(set->count, sizeof *order);
    if (!order) {
        return exaone_fail_memory(err, "the order of tensors", (unsigned long long)set->count * sizeof *order);
    }
    for (size_t i = 0; i < set->count; i++) {
        order[i] = &set->items[i];
    }
    qsort(order, set->count, sizeof *order, by_width_and_name);
    exaone_buf header;
    exaone_buf_init(&header, EXAONE_SAFETENSORS_MAX_HEADER);
    put_header(&header, order, set->count);
    exaone_writer w = {0};
    exaone_status status;
    if (header.failed) {
        status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s: the header would be above %d bytes, or memory is short", path,
                             EXAONE_SAFETENSORS_MAX_HEADER);
    } else {
        status = exaone_writer_open(path, &w, err);
    }
    if (status == EXAONE_OK) {
        uint8_t length[8];
        for (int i = 0; i < 8; i++) {
            length[i] = (uint8_t)((uint64_t)header.len >> 8 * i);
        }
        exaone_writer_put(&w, length, sizeof length);
        exaone_writer_put(&w, header.data, header.len);
        for (size_t i = 0; i < set->count; i++) {
            exaone_writer_put(&w, order[i]->data, order[i]->bytes);
        }
        status = exaone_writer_commit(&w, err);
    }
    exaone_buf_release(&header);
    free(order);
    return status;
}
