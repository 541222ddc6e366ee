/* The configuration of EXAONE 4.5 33B and the list of its tensors, without a file. Source: docs/model.md. */
#ifndef EXAONE_BENCH_SHAPES_H
#define EXAONE_BENCH_SHAPES_H

#include "model/config.h"
#include "weights/names.h"

/* The released configuration with the first n_layers decoder layers. Owned by the caller: exaone_config_release. Errors:
 * EXAONE_ERR_ARGUMENT (n_layers not 1 .. 64), _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_shapes_config(int n_layers, exaone_config *config, exaone_error *err);

typedef struct exaone_shapes {
    exaone_weight *list;             /* [n] BF16, names of the checkpoint, no data */
    char (*names)[EXAONE_NAME_ROOM]; /* [n] what list names */
    size_t n, cap;
} exaone_shapes;

/* Every tensor of a configuration. Errors: EXAONE_ERR_MEMORY. Release also after a failure. */
EXAONE_MUST_USE exaone_status exaone_shapes_list(const exaone_config *config, exaone_shapes *out, exaone_error *err);
void exaone_shapes_release(exaone_shapes *s);

/* Numbers in the tensors whose name begins with `prefix`. */
uint64_t exaone_shapes_weights(const exaone_shapes *s, const char *prefix);

#endif
