/* A weight matrix in its stored form, with the scales that some formats keep in tensors of their own.
 *
 *   EXAONE_I4         u = 4 bits of a row of 32-bit words, column 8j + i in bits 4i .. 4i + 3 of word j
 *                     value = (u - z) * scale, z = 8 or the zero point of the row and group, the difference exact
 *   EXAONE_F8_E4M3    value = e4m3 * scale
 *
 * each product rounded once to f32. Other types need no scales. Layouts: docs/model.md, "Quantised folders". */
#ifndef EXAONE_TENSOR_MATRIX_H
#define EXAONE_TENSOR_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

/* A grid of scales: element (r, c) has the scale [(first_row + r) / rows_per_scale, c / cols_per_scale]. */
typedef struct exaone_scales {
    const void *data; /*dev*/ /* [.., stride] of dtype; NULL: the matrix has none */
    exaone_dtype dtype;       /* F32, F16 or BF16 */
    size_t rows_per_scale, cols_per_scale;
    size_t stride;                      /* scales in a row of the grid */
    size_t first_row;                   /* place of row 0 in the tensor that the grid belongs to */
    const int32_t *zero_points; /*dev*/ /* [.., stride] words, row 8j + i in bits 4i .. 4i + 3 of word j; or NULL: 8 */
} exaone_scales;

/* A weight matrix in its stored form: y = W x (+ bias). Types: EXAONE_DTYPES_COMPUTED, EXAONE_DTYPES_SCALED. */
typedef struct exaone_matrix {
    exaone_dtype dtype;
    size_t out_features, in_features;
    const void *data; /*dev*/  /* [out_features, in_features] dtype */
    const float *bias; /*dev*/ /* [out_features] f32 or NULL */
    exaone_scales scales;      /* of the types in EXAONE_DTYPES_SCALED */
} exaone_matrix;

static inline bool exaone_matrix_is_scaled(const exaone_matrix *w) {
    return (EXAONE_DTYPE_BIT(w->dtype) & EXAONE_DTYPES_SCALED) != 0;
}

/* Bytes from one row to the next. in_features is a multiple of the type's block (EXAONE_I4: any number). */
size_t exaone_matrix_row_bytes(const exaone_matrix *m);

/* Rows first .. first + n of a matrix, with their scales and bias. */
exaone_matrix exaone_matrix_rows(const exaone_matrix *m, size_t first, size_t n);

/* out [in_features] = the values of row `row`: plain C, the specification of every other way to get them. */
void exaone_matrix_row_f32(const exaone_matrix *m, size_t row, float *out);

/* Scales and zero points of columns first * cols_per_scale on of a row: n of each. */
void exaone_matrix_scales(const exaone_matrix *m, size_t row, size_t first, size_t n, float *scale, uint8_t *zero);

#endif
