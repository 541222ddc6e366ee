/* Element types: one table of names, ids and block sizes. Block layouts: docs/model.md 12.7. */
#ifndef EXAONE_TENSOR_DTYPE_H
#define EXAONE_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/tensors.h" /* enum exaone_dtype, exaone_dtype_name */

typedef struct exaone_dtype_info {
    const char *name;
    const char *safetensors_name; /* NULL: a safetensors file cannot hold it */
    int gguf_id;                  /* -1: a GGUF file cannot hold it, or this engine does not know how */
    uint16_t block_elements;      /* elements that are stored together; 1 for plain types */
    uint16_t block_bytes;
} exaone_dtype_info;

const exaone_dtype_info *exaone_dtype_get(exaone_dtype dtype);

/* False when the name or id is not in the table. */
bool exaone_dtype_from_safetensors(const char *name, size_t n, exaone_dtype *out);
bool exaone_dtype_from_gguf(uint32_t id, exaone_dtype *out);

/* Bytes of n elements; false when n is not a multiple of the block or the size does not fit. */
bool exaone_dtype_row_bytes(exaone_dtype dtype, uint64_t n, size_t *bytes);

/* Bytes of a tensor whose innermost dimension is dims[n_dims - 1] (rows hold whole blocks). False: see row_bytes. */
bool exaone_dtype_tensor_bytes(exaone_dtype dtype, size_t n_dims, const uint64_t *dims, size_t *bytes);

/* Sets of types. */
#define EXAONE_DTYPE_BIT(dtype) (UINT64_C(1) << (dtype))
#define EXAONE_DTYPES_FLOAT (EXAONE_DTYPE_BIT(EXAONE_F32) | EXAONE_DTYPE_BIT(EXAONE_F16) | EXAONE_DTYPE_BIT(EXAONE_BF16))

#define EXAONE_DTYPES_BLOCKS                                                                             \
    (EXAONE_DTYPE_BIT(EXAONE_Q4_0) | EXAONE_DTYPE_BIT(EXAONE_Q4_1) | EXAONE_DTYPE_BIT(EXAONE_Q5_0) |     \
     EXAONE_DTYPE_BIT(EXAONE_Q5_1) | EXAONE_DTYPE_BIT(EXAONE_Q8_0) | EXAONE_DTYPE_BIT(EXAONE_Q2_K) |     \
     EXAONE_DTYPE_BIT(EXAONE_Q3_K) | EXAONE_DTYPE_BIT(EXAONE_Q4_K) | EXAONE_DTYPE_BIT(EXAONE_Q5_K) |     \
     EXAONE_DTYPE_BIT(EXAONE_Q6_K) | EXAONE_DTYPE_BIT(EXAONE_IQ4_NL) | EXAONE_DTYPE_BIT(EXAONE_IQ4_XS) | \
     EXAONE_DTYPE_BIT(EXAONE_MXFP4))

/* What a weight matrix may be made of: alone, or with scales from other tensors (tensor/matrix.h). */
#define EXAONE_DTYPES_COMPUTED (EXAONE_DTYPES_FLOAT | EXAONE_DTYPES_BLOCKS)
#define EXAONE_DTYPES_SCALED (EXAONE_DTYPE_BIT(EXAONE_I4) | EXAONE_DTYPE_BIT(EXAONE_F8_E4M3))

/* f32 values of n elements (whole blocks) of a type in EXAONE_DTYPES_FLOAT or EXAONE_DTYPES_BLOCKS. `src` needs no
 * alignment. */
void exaone_dtype_to_f32(exaone_dtype dtype, const void *src, size_t n, float *dst);

#endif
