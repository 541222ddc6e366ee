/* Importance matrices, both formats: any bytes give finite means >= 0 for every name, or an error with a message. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "quant/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_imatrix *im, *sum;
    exaone_error err = {0};
    if (exaone_imatrix_parse(data, size, "FILE", &im, &err)) {
        if (im || !err.message[0]) {
            abort();
        }
        return 0;
    }
    for (size_t i = 0; i < exaone_imatrix_count(im); i++) {
        exaone_imatrix_item item = exaone_imatrix_at(im, i);
        const float *mean = exaone_imatrix_find(im, item.name, item.columns);
        if (!mean || exaone_imatrix_columns(im, item.name) != item.columns) {
            abort();
        }
        for (size_t k = 0; k < item.columns; k++) {
            if (!(mean[k] >= 0) || !isfinite(mean[k])) {
                abort();
            }
        }
    }
    if (exaone_imatrix_new(&sum, &err) == EXAONE_OK) {
        if (exaone_imatrix_merge(sum, im, &err) == EXAONE_OK && exaone_imatrix_count(sum) != exaone_imatrix_count(im)) {
            abort();
        }
        exaone_imatrix_close(sum);
    }
    exaone_imatrix_close(im);
    return 0;
}
