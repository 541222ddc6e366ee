/* For tests: quantised Hugging Face folders made from a plain one, and their twins of dequantised values. */
#ifndef TESTS_MAKE_QUANTISED_H
#define TESTS_MAKE_QUANTISED_H

#include <stdbool.h>

#include "exaone/tensors.h"

typedef struct quantised_form {
    exaone_dtype dtype;       /* EXAONE_I4 or EXAONE_F8_E4M3 */
    bool asymmetric;          /* I4: with zero points */
    int rows, cols;           /* per scale; 0: all */
    exaone_dtype scale_dtype; /* F32, F16, BF16 */
    bool fp8;                 /* quant_method "fp8": weight_scale_inv */
    const char *skip[8];      /* parts of names of matrices that stay as they are; NULL-terminated */
    const char *config;       /* the value of quantization_config */
} quantised_form;

/* Writes folder/{config.json,generation_config.json,model.safetensors} with the linear layers of `source` quantised, and
 * twin/… where the same layers are F32 tensors of the dequantised values. Matrices that are no linear layers, and those that
 * `skip` names, stay as they are in both. Faults end the running test. */
void make_quantised(const char *source, const quantised_form *form, const char *folder, const char *twin);

/* A quantised folder's tensors, to be changed and written back. */
exaone_tensors *quantised_load(const char *folder);
void quantised_save(exaone_tensors *set, const char *folder); /* frees the set */

#endif
