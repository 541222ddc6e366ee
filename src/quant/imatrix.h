/* The inside of an importance matrix: filled by src/engine/observe.c, read by the quantiser and by diff. Files: imatrix.c.
 */
#ifndef EXAONE_QUANT_IMATRIX_H
#define EXAONE_QUANT_IMATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "exaone/imatrix.h"

typedef struct exaone_imatrix_entry {
    char *name; /* GGUF, without .in_sum2 */
    size_t n;
    double *sum; /* [n] of squares */
    float *mean; /* [n], see exaone_imatrix_find */
    double rows;
} exaone_imatrix_entry;

/* The same as exaone_imatrix_open on bytes that are not kept; `name` stands in messages. */
EXAONE_MUST_USE exaone_status exaone_imatrix_parse(const uint8_t *bytes, size_t size, const char *name, exaone_imatrix **out,
                                                   exaone_error *err);

/* Mean squares [n] of the columns of a GGUF tensor, each finite and >= 0; NULL when the tensor is absent, saw no row, or has
 * another number of columns (exaone_imatrix_columns tells). Valid until the next call for this tensor or until close. Not
 * for two threads at a time. */
const float *exaone_imatrix_find(const exaone_imatrix *im, const char *gguf_name, size_t n);
size_t exaone_imatrix_columns(const exaone_imatrix *im, const char *gguf_name); /* 0: absent */

/* The entry `name` of n columns, made when it is new; stays where it is until close. Errors: EXAONE_ERR_ARGUMENT (another
 * number of columns), _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_imatrix_slot(exaone_imatrix *im, const char *name, size_t n, exaone_imatrix_entry **out,
                                                  exaone_error *err);

#endif
