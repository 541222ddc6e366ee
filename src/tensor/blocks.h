/* Block types of GGUF files taken apart. Every one of them stores 8-bit (or shorter) integers with a scale, and some of them
 * an offset, per group of 16 or 32 elements:
 *
 *   value[i] = scale[i / group] * q[i] - min[i / group]
 *
 * computed in f32 from left to right, which is how the format defines its values. One function per type produces q, scale
 * and min; the f32 values, the products with f32 activations and those with 8-bit activations all start from them. Layouts:
 * docs/model.md 12.7. */
#ifndef EXAONE_TENSOR_BLOCKS_H
#define EXAONE_TENSOR_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

/* Elements that share a scale: 16 or 32; 0: not a block type. */
size_t exaone_blocks_group(exaone_dtype dtype);
/* Whether min can be other than zero. */
bool exaone_blocks_have_min(exaone_dtype dtype);

/* n elements (a multiple of the block) from `blocks` (any alignment): q [n], scale [n / group], and min [n / group], which
 * is left alone when the type has none. */
typedef void exaone_unpack_fn(const void *blocks, size_t n, int8_t *q, float *scale, float *min);
/* The function of a block type in plain C: the specification. */
exaone_unpack_fn *exaone_blocks_unpacker(exaone_dtype dtype);

/* The non-linear 4-bit values of IQ4_NL and IQ4_XS, and twice the E2M1 values of MXFP4. */
extern const int8_t exaone_iq4_values[16];
extern const int8_t exaone_mxfp4_values[16];

#endif
