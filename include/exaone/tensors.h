/* Named host tensors: what goes into and comes out of exaone_forward, and safetensors files of them.
 *
 *   exaone_tensors *in;
 *   exaone_tensors_load("in.safetensors", &in, &err)
 *   const exaone_tensor *ids = exaone_tensors_get(in, "input_ids");     ids->dtype, ids->dims, ids->data
 *   exaone_tensors_add(out, "logits", EXAONE_F32, 3, dims, values, &err)
 *   exaone_tensors_save(out, "out.safetensors", &err)
 *   exaone_tensors_free(in)
 *
 * Data is little endian and row-major; every tensor's data is aligned to 64 bytes. */
#ifndef EXAONE_TENSORS_H
#define EXAONE_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Element types: those of safetensors first, then the block formats of GGUF and the packed integers of quantised Hugging
 * Face folders (which a set of tensors cannot hold). */
typedef enum exaone_dtype {
    EXAONE_F32,
    EXAONE_F16,
    EXAONE_BF16,
    EXAONE_F64,
    EXAONE_I64,
    EXAONE_I32,
    EXAONE_I16,
    EXAONE_I8,
    EXAONE_U64,
    EXAONE_U32,
    EXAONE_U16,
    EXAONE_U8,
    EXAONE_BOOL,
    EXAONE_F8_E4M3,
    EXAONE_F8_E5M2,
    EXAONE_Q4_0,
    EXAONE_Q4_1,
    EXAONE_Q5_0,
    EXAONE_Q5_1,
    EXAONE_Q8_0,
    EXAONE_Q2_K,
    EXAONE_Q3_K,
    EXAONE_Q4_K,
    EXAONE_Q5_K,
    EXAONE_Q6_K,
    EXAONE_IQ4_NL,
    EXAONE_IQ4_XS,
    EXAONE_MXFP4,
    EXAONE_I4, /* 8 unsigned 4-bit integers in 4 bytes; scales and zero points are in other tensors */
    EXAONE_DTYPE_COUNT
} exaone_dtype;

/* What products with quantised matrices (block formats, I4) take as activations; other matrices (F8_E4M3 too) always take
 * f32. */
typedef enum exaone_precision {
    EXAONE_PRECISION_AUTO, /* rows rounded to 8 bits per group of 32 elements: integer arithmetic, fast */
    EXAONE_PRECISION_F32   /* f32: the result that a file of the dequantised values would give */
} exaone_precision;

/* How a session stores the keys or the values of its cache. */
typedef enum exaone_cache_type {
    EXAONE_CACHE_DEFAULT, /* the engine's choice: F16 */
    EXAONE_CACHE_F32,     /* exact: what exaone_forward computes with */
    EXAONE_CACHE_F16,
    EXAONE_CACHE_BF16,
    EXAONE_CACHE_Q8_0, /* 8 bits in groups of 32, one f16 scale each */
    EXAONE_CACHE_TYPE_COUNT
} exaone_cache_type;

enum { EXAONE_TENSOR_MAX_DIMS = 8 };

typedef struct exaone_tensor {
    const char *name; /* NUL-terminated */
    exaone_dtype dtype;
    size_t n_dims; /* 0: a single value */
    uint64_t dims[EXAONE_TENSOR_MAX_DIMS];
    void *data; /* [bytes]; belongs to the set */
    size_t bytes;
} exaone_tensor;

typedef struct exaone_tensors exaone_tensors;

/* The name that safetensors files use ("F32", "BF16", "Q4_K" for block formats); never NULL for a value of the enum. */
EXAONE_API const char *exaone_dtype_name(exaone_dtype dtype);

/* "f32", "f16", "bf16", "q8_0"; the default's name is that of the type it means. NULL for other values. */
EXAONE_API const char *exaone_cache_type_name(exaone_cache_type type);
/* False when the name is none of them; *out is untouched then. */
EXAONE_API bool exaone_cache_type_from_name(const char *name, exaone_cache_type *out);
/* The element type; the default gives the one it means. EXAONE_DTYPE_COUNT for a value outside the enum. */
EXAONE_API exaone_dtype exaone_cache_type_dtype(exaone_cache_type type);

/* An empty set; NULL when out of memory. Owned by the caller: exaone_tensors_free. */
EXAONE_API exaone_tensors *exaone_tensors_new(void);
EXAONE_API void exaone_tensors_free(exaone_tensors *set); /* NULL is fine */

/* Adds a copy of `data`, or zeros when data is NULL. Errors: EXAONE_ERR_ARGUMENT (the name is empty or taken, more than 8
 * dims, a block format, a size that does not fit), EXAONE_ERR_MEMORY; the set is unchanged then. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tensors_add(exaone_tensors *set, const char *name, exaone_dtype dtype,
                                                            size_t n_dims, const uint64_t *dims, const void *data,
                                                            exaone_error *err);

/* In the order of adding; of a loaded file: in the order of its data. */
EXAONE_API size_t exaone_tensors_count(const exaone_tensors *set);
EXAONE_API const exaone_tensor *exaone_tensors_at(const exaone_tensors *set, size_t i); /* i < count */
/* NULL when there is no tensor of that name. Valid until the set changes. */
EXAONE_API const exaone_tensor *exaone_tensors_get(const exaone_tensors *set, const char *name);
/* Elements: the product of the dims. */
EXAONE_API uint64_t exaone_tensor_elements(const exaone_tensor *t);

/* Reads every tensor of a safetensors file. Errors: EXAONE_ERR_IO, _FORMAT (with the tensor, the value and the limit),
 * _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tensors_load(const char *path, exaone_tensors **out, exaone_error *err);

/* Writes a safetensors file: wider types first, then by name, so that equal sets give equal files and all data is aligned.
 * The old file stays until the new one is complete; a symbolic link stays one and its target is written; a pipe or device is
 * written through. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tensors_save(const exaone_tensors *set, const char *path, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
