/* GGUF files, versions 2 and 3, little endian: metadata and tensor list. Format: gguf.c.
 *
 * Everything a file says is checked before it is used; opening touches only the header's pages and allocates no more than a
 * fixed multiple of the header's size. Types of tensors that the table of tensor/dtype.h does not know are refused. */
#ifndef EXAONE_WEIGHTS_GGUF_H
#define EXAONE_WEIGHTS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"
#include "tensor/dtype.h"

typedef enum {
    EXAONE_GGUF_U8,
    EXAONE_GGUF_I8,
    EXAONE_GGUF_U16,
    EXAONE_GGUF_I16,
    EXAONE_GGUF_U32,
    EXAONE_GGUF_I32,
    EXAONE_GGUF_F32,
    EXAONE_GGUF_BOOL,
    EXAONE_GGUF_STRING,
    EXAONE_GGUF_ARRAY,
    EXAONE_GGUF_U64,
    EXAONE_GGUF_I64,
    EXAONE_GGUF_F64,
    EXAONE_GGUF_TYPE_COUNT
} exaone_gguf_type;

typedef struct exaone_gguf_view {
    const char *text; /* n bytes of the mapped file, not NUL-terminated, any bytes */
    size_t n;
} exaone_gguf_view;

typedef struct exaone_gguf_kv {
    const char *key; /* NUL-terminated */
    exaone_gguf_type type;
    exaone_gguf_type element; /* of an array */
    uint64_t count;           /* elements of an array; 1 otherwise */
    const uint8_t *data; /* the value's bytes in the file (string: its characters; array: the first element); not aligned */
    size_t bytes;
} exaone_gguf_kv;

typedef struct exaone_gguf_tensor {
    const char *name; /* NUL-terminated */
    exaone_dtype dtype;
    uint32_t n_dims;
    uint64_t ne[4]; /* innermost first; 1 beyond n_dims */
    const uint8_t *data;
    size_t bytes;
} exaone_gguf_tensor;

/* The key of a settings file of a Hugging Face folder that is kept whole, as a string: members for which GGUF has no key.
 * The argument is the file's name. Our own; other programs pass over it. */
#define EXAONE_GGUF_DOCUMENT "exaone.file.%s"
#define EXAONE_GGUF_GENERATION "exaone.file.generation_config.json"

typedef struct exaone_gguf exaone_gguf;

/* Maps and checks a file. Errors: EXAONE_ERR_IO, _FORMAT, _UNSUPPORTED (version, tensor type), _LIMIT, _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_gguf_open(const char *path, exaone_gguf **out, exaone_error *err);
/* The same on bytes that the caller keeps. `name` stands in messages. */
EXAONE_MUST_USE exaone_status exaone_gguf_parse(const uint8_t *bytes, size_t size, const char *name, exaone_gguf **out,
                                                exaone_error *err);
void exaone_gguf_close(exaone_gguf *g); /* NULL is fine */

const char *exaone_gguf_path(const exaone_gguf *g);
size_t exaone_gguf_size(const exaone_gguf *g); /* bytes of the file */
uint32_t exaone_gguf_version(const exaone_gguf *g);
uint64_t exaone_gguf_alignment(const exaone_gguf *g);
size_t exaone_gguf_data_start(const exaone_gguf *g); /* offset of the tensor data in the file */

size_t exaone_gguf_kv_count(const exaone_gguf *g);
const exaone_gguf_kv *exaone_gguf_kv_at(const exaone_gguf *g, size_t i);
const exaone_gguf_kv *exaone_gguf_find(const exaone_gguf *g, const char *key); /* NULL when absent */
size_t exaone_gguf_tensor_count(const exaone_gguf *g);
const exaone_gguf_tensor *exaone_gguf_tensor_at(const exaone_gguf *g, size_t i); /* in the order of the file */
const exaone_gguf_tensor *exaone_gguf_find_tensor(const exaone_gguf *g, const char *name);

/* Values of a kv; false when it is NULL, of another kind, or (int) does not fit. Any integer type gives an int, any integer
 * or float type a double. */
bool exaone_gguf_int(const exaone_gguf_kv *kv, int64_t *out);
bool exaone_gguf_double(const exaone_gguf_kv *kv, double *out);
bool exaone_gguf_bool(const exaone_gguf_kv *kv, bool *out);
bool exaone_gguf_string(const exaone_gguf_kv *kv, exaone_gguf_view *out);
bool exaone_gguf_string_is(const exaone_gguf_kv *kv, const char *text);
/* Elements of a numeric or bool array, i < count. */
bool exaone_gguf_int_at(const exaone_gguf_kv *kv, uint64_t i, int64_t *out);
bool exaone_gguf_double_at(const exaone_gguf_kv *kv, uint64_t i, double *out);
/* All strings of a string array as views into the file: *out [kv->count], one allocation, the caller's (free). */
EXAONE_MUST_USE exaone_status exaone_gguf_strings(const exaone_gguf_kv *kv, exaone_gguf_view **out, exaone_error *err);

#endif
