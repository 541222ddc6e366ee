/* What goes into a new GGUF pair: every tensor with its name, shape, type and where its values come from. */
#ifndef EXAONE_QUANT_PLAN_H
#define EXAONE_QUANT_PLAN_H

#include "model/config.h"
#include "quant/imatrix.h"
#include "quant/recipe.h"
#include "tensor/matrix.h"
#include "weights/names.h"
#include "weights/weights.h"

typedef struct exaone_plan_tensor {
    char name[EXAONE_NAME_ROOM]; /* GGUF */
    exaone_weight weight;        /* the source; data NULL when `values` is used */
    const float *values;         /* [rows * columns] made here (rope_freqs), or NULL */
    bool scaled;                 /* `matrix` gives the rows: codes and scales in several tensors; `weight` has the codes */
    exaone_matrix matrix;
    int slice; /* 0, 1: this half of each pair of 14x14 patches of the joined patch embedding; -1: all */
    exaone_dtype type;
    bool fallback; /* the wanted type does not fit the rows */
    bool vision;   /* in the mmproj file */
    uint32_t n_dims;
    uint64_t ne[4];          /* innermost first */
    size_t rows, columns;    /* as they are encoded: columns = ne[0], but 196 for a slice */
    size_t bytes;            /* in the new file */
    const float *importance; /* [columns] or NULL */
} exaone_plan_tensor;

typedef struct exaone_plan {
    exaone_plan_tensor *tensors; /* [count] in the order of the files */
    size_t count;
    float *rope_factors;                      /* [head_dim / 2] or NULL */
    size_t n_fallbacks, n_weighted;           /* n_weighted: tensors with an importance */
    uint64_t source_bytes;                    /* of all tensors */
    exaone_dtype main_type, vision_main_type; /* of the most bytes in matrices (the patch embedding has four dimensions);
                                                 EXAONE_DTYPE_COUNT: there are none */
} exaone_plan;

/* What is asked for. Recipes: NULL keeps each tensor's type. */
typedef struct exaone_plan_wish {
    const exaone_recipe *text, *vision;
    const exaone_quantize_override *overrides;
    size_t n_overrides;
    const exaone_imatrix *imatrix; /* NULL: all columns weigh alike */
    bool no_vision;
    exaone_quantize_note_fn *note;
    void *ctx;
} exaone_plan_wish;

/* `weights` must outlive the plan. Errors: EXAONE_ERR_MODEL (a tensor without a place in GGUF), _UNSUPPORTED (a source type
 * that cannot be read), _ARGUMENT (an override with an unknown type or that matches nothing), _MEMORY. Release also after a
 * failure. */
EXAONE_MUST_USE exaone_status exaone_plan_make(const exaone_weights *weights, const exaone_config *config,
                                               const exaone_plan_wish *wish, exaone_plan *plan, exaone_error *err);
void exaone_plan_release(exaone_plan *plan);

#endif
