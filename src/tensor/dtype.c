/* Element types: the table behind dtype.h. Block sizes and ids: the GGUF format; names: the safetensors format. */
#include "tensor/dtype.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "tensor/blocks.h"

static const exaone_dtype_info TABLE[EXAONE_DTYPE_COUNT] = {
    [EXAONE_F32] = {"F32", "F32", 0, 1, 4},
    [EXAONE_F16] = {"F16", "F16", 1, 1, 2},
    [EXAONE_BF16] = {"BF16", "BF16", 30, 1, 2},
    [EXAONE_F64] = {"F64", "F64", 28, 1, 8},
    [EXAONE_I64] = {"I64", "I64", 27, 1, 8},
    [EXAONE_I32] = {"I32", "I32", 26, 1, 4},
    [EXAONE_I16] = {"I16", "I16", 25, 1, 2},
    [EXAONE_I8] = {"I8", "I8", 24, 1, 1},
    [EXAONE_U64] = {"U64", "U64", -1, 1, 8},
    [EXAONE_U32] = {"U32", "U32", -1, 1, 4},
    [EXAONE_U16] = {"U16", "U16", -1, 1, 2},
    [EXAONE_U8] = {"U8", "U8", -1, 1, 1},
    [EXAONE_BOOL] = {"BOOL", "BOOL", -1, 1, 1},
    [EXAONE_F8_E4M3] = {"F8_E4M3", "F8_E4M3", -1, 1, 1},
    [EXAONE_F8_E5M2] = {"F8_E5M2", "F8_E5M2", -1, 1, 1},
    [EXAONE_Q4_0] = {"Q4_0", NULL, 2, 32, 18},
    [EXAONE_Q4_1] = {"Q4_1", NULL, 3, 32, 20},
    [EXAONE_Q5_0] = {"Q5_0", NULL, 6, 32, 22},
    [EXAONE_Q5_1] = {"Q5_1", NULL, 7, 32, 24},
    [EXAONE_Q8_0] = {"Q8_0", NULL, 8, 32, 34},
    [EXAONE_Q2_K] = {"Q2_K", NULL, 10, 256, 84},
    [EXAONE_Q3_K] = {"Q3_K", NULL, 11, 256, 110},
    [EXAONE_Q4_K] = {"Q4_K", NULL, 12, 256, 144},
    [EXAONE_Q5_K] = {"Q5_K", NULL, 13, 256, 176},
    [EXAONE_Q6_K] = {"Q6_K", NULL, 14, 256, 210},
    [EXAONE_IQ4_NL] = {"IQ4_NL", NULL, 20, 32, 18},
    [EXAONE_IQ4_XS] = {"IQ4_XS", NULL, 23, 256, 136},
    [EXAONE_MXFP4] = {"MXFP4", NULL, 39, 32, 17},
    [EXAONE_I4] = {"I4", NULL, -1, 8, 4},
};

const exaone_dtype_info *exaone_dtype_get(exaone_dtype dtype) {
    assert((unsigned)dtype < EXAONE_DTYPE_COUNT);
    return &TABLE[dtype];
}

const char *exaone_dtype_name(exaone_dtype dtype) {
    return (unsigned)dtype < EXAONE_DTYPE_COUNT ? TABLE[dtype].name : "unknown";
}

bool exaone_dtype_from_safetensors(const char *name, size_t n, exaone_dtype *out) {
    for (int i = 0; i < EXAONE_DTYPE_COUNT; i++) {
        const char *known = TABLE[i].safetensors_name;
        if (known && strlen(known) == n && memcmp(known, name, n) == 0) {
            *out = (exaone_dtype)i;
            return true;
        }
    }
    return false;
}

bool exaone_dtype_from_gguf(uint32_t id, exaone_dtype *out) {
    for (int i = 0; i < EXAONE_DTYPE_COUNT; i++) {
        if (TABLE[i].gguf_id >= 0 && (uint32_t)TABLE[i].gguf_id == id) {
            *out = (exaone_dtype)i;
            return true;
        }
    }
    return false;
}

bool exaone_dtype_row_bytes(exaone_dtype dtype, uint64_t n, size_t *bytes) {
    const exaone_dtype_info *info = exaone_dtype_get(dtype);
    if (n % info->block_elements != 0 || n / info->block_elements > SIZE_MAX) {
        return false;
    }
    return exaone_size_mul((size_t)(n / info->block_elements), info->block_bytes, bytes);
}

bool exaone_dtype_tensor_bytes(exaone_dtype dtype, size_t n_dims, const uint64_t *dims, size_t *bytes) {
    size_t total;
    if (!exaone_dtype_row_bytes(dtype, n_dims ? dims[n_dims - 1] : 1, &total)) {
        return false;
    }
    /* A zero among the dims must not hide a product of the others that wraps. */
    size_t elements = 1;
    for (size_t i = 0; i < n_dims; i++) {
        if (dims[i] > SIZE_MAX || (dims[i] && !exaone_size_mul(elements, (size_t)dims[i], &elements))) {
            return false;
        }
    }
    for (size_t i = 0; i + 1 < n_dims; i++) {
        if (!exaone_size_mul(total, (size_t)dims[i], &total)) {
            return false;
        }
    }
    *bytes = total;
    return true;
}

/* Products from left to right, as the format defines its values. */
static void blocks_to_f32(exaone_dtype dtype, const uint8_t *src, size_t n, float *dst) {
    const exaone_dtype_info *info = exaone_dtype_get(dtype);
    exaone_unpack_fn *unpack = exaone_blocks_unpacker(dtype);
    size_t block = info->block_elements, group = exaone_blocks_group(dtype);
    assert(n % block == 0);
    int8_t q[256];
    float scale[16], min[16] = {0};
    for (size_t at = 0; at < n; at += block, src += info->block_bytes) {
        unpack(src, block, q, scale, min);
        for (size_t e = 0; e < block; e++) {
            float product = scale[e / group] * (float)q[e];
            dst[at + e] = product - min[e / group];
        }
    }
}

void exaone_dtype_to_f32(exaone_dtype dtype, const void *src, size_t n, float *dst) {
    if (EXAONE_DTYPE_BIT(dtype) & EXAONE_DTYPES_BLOCKS) {
        blocks_to_f32(dtype, src, n, dst);
        return;
    }
    assert(EXAONE_DTYPE_BIT(dtype) & EXAONE_DTYPES_FLOAT);
    if (dtype == EXAONE_F32) {
        if (n > 0) {
            memcpy(dst, src, n * sizeof *dst);
        }
        return;
    }
    const uint8_t *bytes = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, 2);
        dst[i] = dtype == EXAONE_BF16 ? exaone_bf16_to_f32(half) : exaone_f16_to_f32(half);
    }
}
