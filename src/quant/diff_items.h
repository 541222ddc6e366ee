/* The tensors of a model by GGUF name and as numbers, whatever kind of file they are in. */
#ifndef EXAONE_QUANT_DIFF_ITEMS_H
#define EXAONE_QUANT_DIFF_ITEMS_H

#include "model/config.h"
#include "tensor/matrix.h"
#include "weights/names.h"
#include "weights/weights.h"

typedef struct exaone_diff_item {
    char name[EXAONE_NAME_ROOM]; /* GGUF; its own when GGUF has no place for it */
    exaone_dtype dtype;
    size_t n_dims;
    uint64_t dims[EXAONE_TENSOR_MAX_DIMS]; /* outermost first */
    uint64_t elements, bytes;
    const uint8_t *data;
    size_t columns;       /* innermost dimension; 196 for a slice; at least 1 */
    int slice;            /* 0, 1: this half of each pair of patches of a joined patch embedding; -1: all */
    bool scaled;          /* `matrix` holds it */
    exaone_matrix matrix; /* data with scales in other tensors */
    bool seen;            /* for the caller */
} exaone_diff_item;

typedef struct exaone_diff_model {
    exaone_weights *weights;
    exaone_config config; /* loaded when something is scaled */
    bool has_config;
    exaone_diff_item *items; /* [count] in the order of the files */
    size_t count;
    exaone_diff_item **by_name; /* [count] sorted */
} exaone_diff_model;

/* Errors: those of exaone_weights_open and, with scaled matrices, of exaone_config_load. Release also after a failure. */
EXAONE_MUST_USE exaone_status exaone_diff_model_open(exaone_diff_model *m, const char *path, const char *mmproj,
                                                     exaone_error *err);
void exaone_diff_model_release(exaone_diff_model *m);
exaone_diff_item *exaone_diff_model_find(const exaone_diff_model *m, const char *name); /* NULL when absent */

/* True when the values can be had. */
bool exaone_diff_item_readable(const exaone_diff_item *item);
/* Elements that one read should begin and end with: `first` below is a multiple of it. Scaled: a row. */
size_t exaone_diff_item_run(const exaone_diff_item *item);
/* Values first .. first + n as f32; n is a multiple of the run or ends with the tensor. */
void exaone_diff_item_read(const exaone_diff_item *item, size_t first, size_t n, float *out);
/* These values will not be read again: the system may take back the file's pages. */
void exaone_diff_item_forget(const exaone_diff_item *item, size_t first, size_t n);

#endif
