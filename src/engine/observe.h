/* A backend that passes every operation on to another one and counts what its matrices are multiplied with. */
#ifndef EXAONE_ENGINE_OBSERVE_H
#define EXAONE_ENGINE_OBSERVE_H

#include "base/pool.h"
#include "model/model.h"
#include "quant/imatrix.h"

/* *be becomes the new backend, which closes the old one with itself. `im` must outlive it. */
EXAONE_MUST_USE exaone_status exaone_observe(exaone_backend **be, exaone_imatrix *im, exaone_pool *pool, exaone_error *err);
/* Names the matrices of the model that was bound to the observing backend `be`; before this nothing is counted. */
EXAONE_MUST_USE exaone_status exaone_observe_model(exaone_backend *be, const exaone_model *model, exaone_error *err);

#endif
