/* quantization_config of a Hugging Face folder: which linear layers are stored how, and their matrices.
 *
 * Known: quant_method "compressed-tensors" with format pack-quantized (4-bit integers; strategies group, channel) and
 * float-quantized (F8_E4M3; tensor, channel, block); quant_method "fp8" (F8_E4M3 in blocks of weight_block_size, or per
 * tensor). Settings of activations and of the KV cache are read over: this engine computes from the weights alone.
 * Everything else is refused with its name. Layouts: docs/model.md, "Quantised folders". */
#ifndef EXAONE_MODEL_QUANTIZATION_H
#define EXAONE_MODEL_QUANTIZATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "exaone/status.h"
#include "model/config.h"
#include "tensor/matrix.h"
#include "weights/weights.h"

enum { EXAONE_MAX_SCHEMES = 16, EXAONE_MAX_PATTERNS = 4096 };

/* How the weight of a linear layer is stored. */
typedef struct exaone_weight_scheme {
    exaone_dtype dtype;                 /* EXAONE_I4 or EXAONE_F8_E4M3 */
    bool symmetric;                     /* EXAONE_I4: no zero points, 8 stands for 0 */
    int rows_per_scale, cols_per_scale; /* 0: all of them */
    char **targets;                     /* names, "re:" patterns, or class names such as Linear */
    size_t n_targets;
} exaone_weight_scheme;

struct exaone_quantization {
    bool fp8; /* quant_method "fp8": other names of tensors, other rule for `ignore` */
    exaone_weight_scheme schemes[EXAONE_MAX_SCHEMES];
    size_t n_schemes;
    char **ignore; /* modules that are stored as they are */
    size_t n_ignore;
    exaone_arena arena; /* the texts */
};

/* `object` is the value of quantization_config; `path` and `prefix` ("quantization_config.") stand in messages. Errors:
 * EXAONE_ERR_UNSUPPORTED (a layout that is not known, with its name), EXAONE_ERR_MODEL (a value out of range), _MEMORY.
 * Owned by the caller: exaone_quantization_free. */
EXAONE_MUST_USE exaone_status exaone_quantization_parse(const char *path, const char *prefix, const exaone_json *object,
                                                        exaone_quantization **out, exaone_error *err);
void exaone_quantization_free(exaone_quantization *q); /* NULL is fine */

/* The scheme of a module ("model.language_model.layers.0.mlp.up_proj"), as the reference chooses it: NULL when `ignore` has
 * it or no target does; of several targets a name before a pattern before a class, then the first in the alphabet. `other`:
 * a second name of the same module (checkpoints of text-only models say model.layers.N), or NULL. */
const exaone_weight_scheme *exaone_quantization_scheme(const exaone_quantization *q, const char *module, const char *other);

/* The matrix `name` ("….weight") of n_out x n_in in its stored form, from one tensor or several; what the configuration says
 * is quantised and the file has as F32, F16 or BF16 is taken as it is. q may be NULL: nothing is quantised. Data belongs to
 * the weights. Errors: those of exaone_weights_get, and EXAONE_ERR_MODEL when sizes do not fit together.
 * exaone_matrix_row_f32 gives its values. */
EXAONE_MUST_USE exaone_status exaone_quantization_matrix(const exaone_quantization *q, const exaone_weights *weights,
                                                         const char *name, size_t n_out, size_t n_in, exaone_matrix *out,
                                                         exaone_error *err);

/* True for scales, zero points and the like that stand beside a matrix of codes, by the end of the name: no tensors of the
 * model by themselves. Those of activations and of the KV cache are among them. */
bool exaone_quantization_is_part(const char *name);

/* "compressed-tensors: I4 group 128 symmetric" */
void exaone_quantization_describe(const exaone_quantization *q, exaone_buf *out);
/* "I4 group 128", "F8_E4M3" */
void exaone_weight_scheme_describe(const exaone_weight_scheme *scheme, exaone_buf *out);

#endif
