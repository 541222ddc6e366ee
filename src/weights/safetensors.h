/* Safetensors files: the list of tensors in a file's bytes. Format: safetensors.c. */
#ifndef EXAONE_WEIGHTS_SAFETENSORS_H
#define EXAONE_WEIGHTS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "exaone/status.h"
#include "tensor/dtype.h"

enum { EXAONE_SAFETENSORS_MAX_HEADER = 100 * 1000 * 1000 };

typedef struct exaone_safetensors_entry {
    const char *name; /* NUL-terminated; belongs to the file */
    exaone_dtype dtype;
    size_t n_dims;
    uint64_t dims[EXAONE_TENSOR_MAX_DIMS];
    uint64_t begin; /* offset from the first byte of data */
    size_t bytes;
    const uint8_t *data;
} exaone_safetensors_entry;

typedef struct exaone_safetensors {
    exaone_safetensors_entry *entries; /* [count] in the order of their data */
    size_t count;
    exaone_arena names;
} exaone_safetensors;

/* `bytes` must outlive the result; `path` stands in messages. Errors: EXAONE_ERR_FORMAT, _LIMIT, _MEMORY; *out is empty
 * then. Release with exaone_safetensors_release. */
EXAONE_MUST_USE exaone_status exaone_safetensors_parse(const uint8_t *bytes, size_t size, const char *path,
                                                       exaone_safetensors *out, exaone_error *err);
void exaone_safetensors_release(exaone_safetensors *s); /* safe on an empty one */

#endif
