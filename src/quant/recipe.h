/* Which type each tensor of a file gets: the mixes behind names like Q4_K_M, overrides, and what is written when a row is
 * not a multiple of the block. Rules and their source: docs/quantisation.md, "Types of files". */
#ifndef EXAONE_QUANT_RECIPE_H
#define EXAONE_QUANT_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/quantize.h"
#include "tensor/dtype.h"

typedef struct exaone_recipe {
    const char *name;
    uint32_t file_type; /* general.file_type */
    exaone_dtype base;  /* of every matrix that no rule names */
} exaone_recipe;

/* NULL when the name is unknown (case does not matter). */
const exaone_recipe *exaone_recipe_find(const char *name);
/* The recipe whose matrices are all of this plain type (F32, F16, BF16, Q8_0); NULL for others. */
const exaone_recipe *exaone_recipe_plain(exaone_dtype dtype);

/* What the rules look at. */
typedef struct exaone_recipe_model {
    size_t n_blocks; /* the MTP block included */
    int heads, kv_heads;
    bool tied;       /* no output.weight: the embedding is the output too */
    bool importance; /* columns are weighted */
} exaone_recipe_model;

/* The type of tensor `name` (GGUF) with n_dims dimensions and rows of n values, before overrides and fallback. */
exaone_dtype exaone_recipe_choose(const exaone_recipe *r, const exaone_recipe_model *model, const char *name, size_t n_dims);

/* `wanted`, or what takes its place for rows of n values: a type of about the same size with a smaller block, else F16. */
exaone_dtype exaone_recipe_fit(exaone_dtype wanted, uint64_t n);

/* A type of single tensors by name (case does not matter). */
bool exaone_recipe_tensor_type(const char *name, exaone_dtype *out);

/* Shell pattern: *, ?, [abc], [a-z], [!abc]; everything else stands for itself. Time: at most name times pattern. */
bool exaone_recipe_matches(const char *pattern, const char *name);

#endif
