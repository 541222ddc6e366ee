/* Writing GGUF files: see gguf_writer.h. */
#include "weights/gguf_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { ALIGNMENT = 32, VERSION = 3, HEAD_BYTES = 24 };
static const size_t MAX_HEADER = (size_t)1 << 30;

void exaone_gguf_writer_init(exaone_gguf_writer *w) {
    *w = (exaone_gguf_writer){0};
    exaone_buf_init(&w->kvs, MAX_HEADER);
    exaone_buf_init(&w->infos, MAX_HEADER);
}

void exaone_gguf_writer_release(exaone_gguf_writer *w) {
    exaone_buf_release(&w->kvs);
    exaone_buf_release(&w->infos);
    free(w->tensors);
    *w = (exaone_gguf_writer){0};
}

static void put_int(exaone_buf *b, uint64_t value, size_t n) {
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
    exaone_buf_append(b, bytes, n);
}

static void put_view(exaone_buf *b, const char *text, size_t n) {
    put_int(b, n, 8);
    exaone_buf_append(b, text, n);
}

static void put_f32(exaone_buf *b, float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    put_int(b, bits, 4);
}

static void put_key(exaone_gguf_writer *w, const char *key, exaone_gguf_type type) {
    w->n_kv++;
    put_view(&w->kvs, key, strlen(key));
    put_int(&w->kvs, type, 4);
}

static void put_array(exaone_gguf_writer *w, const char *key, exaone_gguf_type element, size_t n) {
    put_key(w, key, EXAONE_GGUF_ARRAY);
    put_int(&w->kvs, element, 4);
    put_int(&w->kvs, n, 8);
}

void exaone_gguf_put_u16(exaone_gguf_writer *w, const char *key, uint16_t value) {
    put_key(w, key, EXAONE_GGUF_U16);
    put_int(&w->kvs, value, 2);
}

void exaone_gguf_put_i32(exaone_gguf_writer *w, const char *key, int32_t value) {
    put_key(w, key, EXAONE_GGUF_I32);
    put_int(&w->kvs, (uint32_t)value, 4);
}

void exaone_gguf_put_u32(exaone_gguf_writer *w, const char *key, uint32_t value) {
    put_key(w, key, EXAONE_GGUF_U32);
    put_int(&w->kvs, value, 4);
}

void exaone_gguf_put_f32(exaone_gguf_writer *w, const char *key, float value) {
    put_key(w, key, EXAONE_GGUF_F32);
    put_f32(&w->kvs, value);
}

void exaone_gguf_put_bool(exaone_gguf_writer *w, const char *key, bool value) {
    put_key(w, key, EXAONE_GGUF_BOOL);
    put_int(&w->kvs, value, 1);
}

void exaone_gguf_put_string(exaone_gguf_writer *w, const char *key, const char *text, size_t n) {
    put_key(w, key, EXAONE_GGUF_STRING);
    put_view(&w->kvs, text, n);
}

void exaone_gguf_put_text(exaone_gguf_writer *w, const char *key, const char *text) {
    exaone_gguf_put_string(w, key, text, strlen(text));
}

void exaone_gguf_put_bools(exaone_gguf_writer *w, const char *key, const bool *values, size_t n) {
    put_array(w, key, EXAONE_GGUF_BOOL, n);
    for (size_t i = 0; i < n; i++) {
        put_int(&w->kvs, values[i], 1);
    }
}

void exaone_gguf_put_i32s(exaone_gguf_writer *w, const char *key, const int32_t *values, size_t n) {
    put_array(w, key, EXAONE_GGUF_I32, n);
    for (size_t i = 0; i < n; i++) {
        put_int(&w->kvs, (uint32_t)values[i], 4);
    }
}

void exaone_gguf_put_f32s(exaone_gguf_writer *w, const char *key, const float *values, size_t n) {
    put_array(w, key, EXAONE_GGUF_F32, n);
    for (size_t i = 0; i < n; i++) {
        put_f32(&w->kvs, values[i]);
    }
}

void exaone_gguf_put_strings(exaone_gguf_writer *w, const char *key, const exaone_gguf_view *values, size_t n) {
    put_array(w, key, EXAONE_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) {
        put_view(&w->kvs, values[i].text, values[i].n);
    }
}

void exaone_gguf_put_kv(exaone_gguf_writer *w, const exaone_gguf_kv *kv) {
    if (kv->type == EXAONE_GGUF_ARRAY) {
        put_array(w, kv->key, kv->element, (size_t)kv->count);
        exaone_buf_append(&w->kvs, kv->data, kv->bytes);
    } else if (kv->type == EXAONE_GGUF_STRING) {
        exaone_gguf_put_string(w, kv->key, (const char *)kv->data, kv->bytes);
    } else {
        put_key(w, kv->key, kv->type);
        exaone_buf_append(&w->kvs, kv->data, kv->bytes);
    }
}

void exaone_gguf_put_tensor(exaone_gguf_writer *w, const char *name, exaone_dtype dtype, uint32_t n_dims, const uint64_t *ne,
                            exaone_gguf_source *source, void *ctx) {
    uint64_t dims[4];
    exaone_gguf_out_tensor t = {.source = source, .ctx = ctx};
    int id = exaone_dtype_get(dtype)->gguf_id;
    for (uint32_t d = 0; d < n_dims && d < 4; d++) {
        dims[d] = ne[n_dims - 1 - d];
    }
    if (n_dims < 1 || n_dims > 4 || id < 0 || strlen(name) >= sizeof t.name ||
        !exaone_dtype_tensor_bytes(dtype, n_dims, dims, &t.bytes)) {
        w->failed = true;
        return;
    }
    memcpy(t.name, name, strlen(name) + 1);
    exaone_gguf_out_tensor *tensors = exaone_mem_grow(w->tensors, (size_t)w->n_tensors, &w->cap, sizeof *tensors);
    if (!tensors) {
        w->kvs.failed = true;
        return;
    }
    w->tensors = tensors;
    w->tensors[w->n_tensors++] = t;
    put_view(&w->infos, name, strlen(name));
    put_int(&w->infos, n_dims, 4);
    for (uint32_t d = 0; d < n_dims; d++) {
        put_int(&w->infos, ne[d], 8);
    }
    put_int(&w->infos, (uint32_t)id, 4);
    put_int(&w->infos, w->offset, 8);
    w->offset += (t.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

uint64_t exaone_gguf_writer_bytes(const exaone_gguf_writer *w) {
    uint64_t head = HEAD_BYTES + w->kvs.len + w->infos.len;
    return (head + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + w->offset;
}

static exaone_status write_tensors(exaone_gguf_writer *w, exaone_writer *out, exaone_error *err) {
    for (size_t i = 0; i < w->n_tensors; i++) {
        exaone_gguf_out_tensor *t = &w->tensors[i];
        uint64_t begin = out->size;
        exaone_status status = t->source(t->ctx, out, err);
        if (status) {
            return status;
        }
        if (out->size - begin != t->bytes) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: %s gave %llu bytes, its shape has %zu", out->path, t->name,
                               (unsigned long long)(out->size - begin), t->bytes);
        }
        exaone_writer_pad(out, ALIGNMENT);
    }
    return EXAONE_OK;
}

exaone_status exaone_gguf_writer_write(exaone_gguf_writer *w, exaone_writer *out, exaone_error *err) {
    if (w->failed) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: a tensor has a shape, type or name that GGUF cannot hold",
                           out->path);
    }
    exaone_buf head;
    exaone_buf_init(&head, HEAD_BYTES);
    exaone_buf_append(&head, "GGUF", 4);
    put_int(&head, VERSION, 4);
    put_int(&head, w->n_tensors, 8);
    put_int(&head, w->n_kv, 8);
    exaone_status status = EXAONE_OK;
    if (head.failed || w->kvs.failed || w->infos.failed) {
        status = exaone_fail_memory(err, out->path, w->kvs.len + w->infos.len);
    } else {
        exaone_writer_put(out, head.data, head.len);
        exaone_writer_put(out, w->kvs.data, w->kvs.len);
        exaone_writer_put(out, w->infos.data, w->infos.len);
        exaone_writer_pad(out, ALIGNMENT);
        status = write_tensors(w, out, err);
    }
    exaone_buf_release(&head);
    return status;
}

exaone_status exaone_gguf_writer_save(exaone_gguf_writer *w, const char *path, exaone_error *err) {
    exaone_writer out;
    exaone_status status = exaone_writer_open(path, &out, err);
    if (status) {
        return status;
    }
    status = exaone_gguf_writer_write(w, &out, err);
    if (status) {
        exaone_writer_abort(&out);
        return status;
    }
    return exaone_writer_commit(&out, err);
}
