/* Importance matrices: how strongly each input column of each weight matrix is used, for quantisers.
 *
 *   exaone_imatrix *im;
 *   exaone_imatrix_new(&im, &err);
 *   exaone_engine_options o = {.imatrix = im};
 *   exaone_engine_open(path, &o, &engine, &err);      everything that this engine computes is counted
 *   … exaone_forward, exaone_session_sync …
 *   exaone_imatrix_save(im, "imatrix.gguf", &err);
 *
 * Per matrix and column i: the sum of x[i]^2 over all rows x that the matrix was multiplied with, and the number of rows.
 * What is covered, and the file: docs/quantisation.md, "Importance matrix". Names are those of GGUF tensors. */
#ifndef EXAONE_IMATRIX_H
#define EXAONE_IMATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_imatrix exaone_imatrix;

/* An empty one. Owned by the caller: exaone_imatrix_close, after the engines that fill it. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_imatrix_new(exaone_imatrix **out, exaone_error *err);
/* Reads a file: GGUF (general.type "imatrix") or the older .dat. Errors: EXAONE_ERR_IO, _FORMAT (with tensor, column and
 * value), _UNSUPPORTED (several matrices under one name), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_imatrix_open(const char *path, exaone_imatrix **out, exaone_error *err);
EXAONE_API void exaone_imatrix_close(exaone_imatrix *im); /* NULL is fine */

/* Adds sums, rows, datasets and chunks of `other`. Errors: EXAONE_ERR_ARGUMENT when a matrix has another number of columns
 * (then `im` is unchanged), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_imatrix_merge(exaone_imatrix *im, const exaone_imatrix *other,
                                                              exaone_error *err);
/* Notes where the rows came from: the name of a text or image, and how many pieces of how many tokens (0: as before). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_imatrix_note(exaone_imatrix *im, const char *dataset, uint32_t chunks,
                                                             uint32_t chunk_size, exaone_error *err);
/* Writes matrices that saw at least one row, by name. The file appears when it is complete. Errors: EXAONE_ERR_NUMERIC when
 * a sum is not finite, _ARGUMENT when no matrix saw a row, _IO, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_imatrix_save(const exaone_imatrix *im, const char *path, exaone_error *err);

/* The i-th matrix. `name` belongs to the imatrix. */
typedef struct exaone_imatrix_item {
    const char *name; /* GGUF, as blk.0.attn_q.weight */
    size_t columns;
    double rows; /* seen so far */
} exaone_imatrix_item;
EXAONE_API size_t exaone_imatrix_count(const exaone_imatrix *im);
EXAONE_API exaone_imatrix_item exaone_imatrix_at(const exaone_imatrix *im, size_t i); /* i < count */

#ifdef __cplusplus
}
#endif
#endif
