/* Whether weights are a whole model, by the same rules as binding them. */
#ifndef EXAONE_MODEL_BINDING_H
#define EXAONE_MODEL_BINDING_H

#include "model/config.h"
#include "weights/weights.h"

/* Asks for every tensor that exaone_model_bind asks for, by name and shape, and in quantised folders for the scales; nothing
 * is copied, and the types of tensors that are no matrix of codes do not count. `vision` false leaves the tower out. Errors:
 * those of exaone_weights_find and exaone_quantization_matrix, and EXAONE_ERR_UNSUPPORTED (heads beyond the kernels). */
EXAONE_MUST_USE exaone_status exaone_model_check(const exaone_config *config, const exaone_weights *weights, bool vision,
                                                 exaone_error *err);

#endif
