/* Entry of the encoder: checks, the plain types, and the walk over blocks. */
#include "quant/encode.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "quant/encode_search.h"

bool exaone_encode_supported(exaone_dtype dtype) {
    return dtype == EXAONE_F32 || dtype == EXAONE_F16 || dtype == EXAONE_BF16 ||
           (dtype >= EXAONE_Q4_0 && dtype <= EXAONE_MXFP4);
}

/* True when all n values are finite; else their index is in *at. */
static bool all_finite(const float *x, size_t n, size_t *at) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad |= (uint32_t)((exaone_f32_bits(x[i]) & 0x7f800000) == 0x7f800000);
    }
    if (!bad) {
        return true;
    }
    for (*at = 0; isfinite(x[*at]); ++*at) {
    }
    return false;
}

static exaone_status check(exaone_dtype dtype, const float *x, size_t n_rows, size_t n, const float *importance,
                           exaone_error *err) {
    if (!exaone_encode_supported(dtype)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "weights cannot be written as type %s", exaone_dtype_name(dtype));
    }
    unsigned block = exaone_dtype_get(dtype)->block_elements;
    if (n % block) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "rows of %zu values cannot be written as %s, whose blocks hold %u values", n,
                           exaone_dtype_name(dtype), block);
    }
    for (size_t i = 0; importance && i < n; i++) {
        if (!(importance[i] >= 0 && isfinite(importance[i]))) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "the importance of column %zu is %g, which is not a finite number >= 0", i,
                               (double)importance[i]);
        }
    }
    for (size_t row = 0; row < n_rows; row++) {
        size_t column = 0;
        if (!all_finite(x + row * n, n, &column)) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "row %zu, column %zu is %g, which %s cannot hold", row, column,
                               (double)x[row * n + column], exaone_dtype_name(dtype));
        }
    }
    return EXAONE_OK;
}

/* Round to nearest even; what would become infinite becomes the largest finite number. */
static void encode_plain(exaone_dtype dtype, const float *x, size_t n, uint8_t *out) {
    if (dtype == EXAONE_F32) {
        memcpy(out, x, n * sizeof *x);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = dtype == EXAONE_F16 ? exaone_f32_to_f16(x[i]) : exaone_f32_to_bf16(x[i]);
        uint16_t infinite = dtype == EXAONE_F16 ? 0x7c00 : 0x7f80;
        h = (uint16_t)(h - ((h & 0x7fff) == infinite));
        memcpy(out + 2 * i, &h, 2);
    }
}

static void encode_row(exaone_dtype dtype, const float *x, size_t n, const float *importance, const float *nearest,
                       uint8_t *out) {
    const exaone_dtype_info *info = exaone_dtype_get(dtype);
    for (size_t i = 0; i < n; i += info->block_elements) {
        exaone_encode_block b;
        exaone_encode_block_load(&b, info->block_elements, x + i, importance ? importance + i : NULL);
        if (info->block_elements == EXAONE_ENCODE_SUPER) {
            exaone_encode_super((int)dtype, &b, nearest, out);
        } else {
            exaone_encode_simple((int)dtype, &b, nearest, out);
        }
        out += info->block_bytes;
    }
}

exaone_status exaone_encode_rows(exaone_dtype dtype, const float *x, size_t n_rows, size_t n, const float *importance,
                                 void *out, exaone_error *err) {
    exaone_status status = check(dtype, x, n_rows, n, importance, err);
    if (status) {
        return status;
    }
    if (exaone_dtype_get(dtype)->block_elements == 1) {
        encode_plain(dtype, x, n_rows * n, out);
        return EXAONE_OK;
    }
    float nearest[EXAONE_ENCODE_NEAREST_SIZE];
    exaone_encode_iq4_table(nearest);
    size_t row_bytes = 0;
    (void)exaone_dtype_row_bytes(dtype, n, &row_bytes);
    for (size_t row = 0; row < n_rows; row++) {
        encode_row(dtype, x + row * n, n, importance, nearest, (uint8_t *)out + row * row_bytes);
    }
    return EXAONE_OK;
}
