/* Writing weights: f32 rows become blocks of a GGUF type with the least weighted squared error that a bounded search finds.
 * Method and measurements: docs/quantisation.md, "How each type is written"; layouts: docs/model.md, "GGUF". */
#ifndef EXAONE_QUANT_ENCODE_H
#define EXAONE_QUANT_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/status.h"
#include "tensor/dtype.h"

/* True for the types that exaone_encode_rows writes: F32, F16, BF16 and every block format of GGUF that dtype.h lists. */
bool exaone_encode_supported(exaone_dtype dtype);

/* Encodes n_rows rows of n values each into `out`, which holds n_rows * exaone_dtype_row_bytes(dtype, n) bytes and needs no
 * alignment. importance [n], each finite and >= 0, weighs the squared error of a column; NULL weighs all alike. Equal input
 * gives equal bytes; rows do not depend on each other, so callers may spread them over threads.
 * Values beyond what the scales of a type can express are clamped to the largest that they can; F16 clamps to +-65504.
 * Errors: EXAONE_ERR_ARGUMENT (dtype is not written, n is not a multiple of the block; with row, column and value: a value
 * that is NaN or infinite; with column and value: an importance that is NaN, infinite or negative). `out` is undefined then.
 */
EXAONE_MUST_USE exaone_status exaone_encode_rows(exaone_dtype dtype, const float *x, size_t n_rows, size_t n,
                                                 const float *importance, void *out, exaone_error *err);

#endif
