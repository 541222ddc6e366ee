/* Block types against values that the format's own package gave, bit for bit: random blocks with extreme scales (0, -0, the
 * smallest and largest subnormal, the smallest normal, 65504; for MXFP4 exponents up to overflow). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "exaone/tensors.h"
#include "tensor/blocks.h"

#define FILE_NAME "tests/golden/edges/weights/blocks.safetensors"

static const exaone_dtype TYPES[] = {
    EXAONE_F16,  EXAONE_BF16, EXAONE_Q8_0, EXAONE_Q4_0, EXAONE_Q4_1,   EXAONE_Q5_0,   EXAONE_Q5_1,  EXAONE_Q2_K,
    EXAONE_Q3_K, EXAONE_Q4_K, EXAONE_Q5_K, EXAONE_Q6_K, EXAONE_IQ4_NL, EXAONE_IQ4_XS, EXAONE_MXFP4,
};
enum { N_TYPES = sizeof TYPES / sizeof *TYPES, N_FLOATS = 2 };

static exaone_tensors *open_file(void) {
    exaone_tensors *t;
    exaone_error err;
    if (exaone_tensors_load(FILE_NAME, &t, &err)) {
        fail_msg("%s", err.message);
    }
    return t;
}

static const exaone_tensor *get(const exaone_tensors *t, exaone_dtype type, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s/%s", exaone_dtype_name(type), name);
    return exaone_tensors_get(t, full);
}

/* The first value that differs in its bits (NaN equals NaN); n: none. */
static size_t first_difference(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!(isnan(a[i]) && isnan(b[i])) && exaone_f32_bits(a[i]) != exaone_f32_bits(b[i])) {
            return i;
        }
    }
    return n;
}

static void values_of_every_type(void **state) {
    (void)state;
    exaone_tensors *t = open_file();
    size_t compared = 0;
    for (size_t k = 0; k < N_TYPES; k++) {
        for (int set = 0; set < 2; set++) {
            const exaone_tensor *blocks = get(t, TYPES[k], set ? "normal/blocks" : "random/blocks");
            const exaone_tensor *values = get(t, TYPES[k], set ? "normal/values" : "random/values");
            if (!blocks || !values) {
                assert_int_equal(set, 1); /* every type has random blocks */
                continue;
            }
            size_t n = (size_t)exaone_tensor_elements(values), bytes;
            assert_true(exaone_dtype_row_bytes(TYPES[k], n, &bytes));
            assert_int_equal(bytes, blocks->bytes);
            float *ours = malloc(n * sizeof *ours);
            uint8_t *odd = malloc(bytes + 1); /* blocks in a file have no alignment */
            assert_non_null(ours);
            assert_non_null(odd);
            memcpy(odd + 1, blocks->data, bytes);
            exaone_dtype_to_f32(TYPES[k], odd + 1, n, ours);
            size_t at = first_difference(ours, values->data, n);
            if (at < n) {
                fail_msg("%s: value %zu is %.9g, want %.9g", exaone_dtype_name(TYPES[k]), at, (double)ours[at],
                         (double)((const float *)values->data)[at]);
            }
            compared += n;
            free(odd);
            free(ours);
        }
    }
    assert_true(compared > 50000);
    exaone_tensors_free(t);
}

/* The comparison sees one bit of any block: flipping it changes a value (or makes or ends a NaN). */
static void every_bit_counts(void **state) {
    (void)state;
    exaone_tensors *t = open_file();
    for (size_t k = N_FLOATS; k < N_TYPES; k++) {
        const exaone_dtype_info *info = exaone_dtype_get(TYPES[k]);
        const exaone_tensor *blocks = get(t, TYPES[k], "random/blocks");
        assert_non_null(blocks);
        size_t n = info->block_elements, at = blocks->bytes - info->block_bytes; /* the last: an ordinary one */
        uint8_t block[256];
        float before[256], after[256];
        memcpy(block, (const uint8_t *)blocks->data + at, info->block_bytes);
        exaone_dtype_to_f32(TYPES[k], block, n, before);
        size_t silent = 0;
        for (size_t bit = 0; bit < 8 * (size_t)info->block_bytes; bit++) {
            block[bit / 8] ^= (uint8_t)(1 << bit % 8);
            exaone_dtype_to_f32(TYPES[k], block, n, after);
            silent += first_difference(before, after, n) == n;
            block[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        /* MXFP4: 0 and -0 share a value, so the sign bit of a zero is silent; a sub-block with scale 0 hides its elements.
         */
        size_t bits = 8 * (size_t)info->block_bytes;
        if (silent > bits / 4) {
            fail_msg("%s: %zu of %zu bits change nothing", exaone_dtype_name(TYPES[k]), silent, bits);
        }
    }
    exaone_tensors_free(t);
}

static void unpacked_form_is_whole(void **state) {
    (void)state;
    exaone_tensors *t = open_file();
    for (size_t k = N_FLOATS; k < N_TYPES; k++) {
        const exaone_tensor *blocks = get(t, TYPES[k], "random/blocks");
        const exaone_tensor *values = get(t, TYPES[k], "random/values");
        size_t n = (size_t)exaone_tensor_elements(values), group = exaone_blocks_group(TYPES[k]);
        assert_true(group == 16 || group == 32);
        int8_t *q = malloc(n);
        float *scale = malloc(n / group * sizeof *scale), *min = calloc(n / group, sizeof *min);
        assert_true(q && scale && min);
        exaone_blocks_unpacker(TYPES[k])(blocks->data, n, q, scale, min);
        for (size_t i = 0; i < n; i++) {
            float product = scale[i / group] * (float)q[i], value = product - min[i / group];
            float want = ((const float *)values->data)[i];
            if (!(isnan(value) && isnan(want)) && exaone_f32_bits(value) != exaone_f32_bits(want)) {
                fail_msg("%s: value %zu", exaone_dtype_name(TYPES[k]), i);
            }
            assert_true(exaone_blocks_have_min(TYPES[k]) || min[i / group] == 0);
        }
        free(q);
        free(scale);
        free(min);
    }
    exaone_tensors_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(unpacked_form_is_whole),
    };
    return cmocka_run_group_tests_name("tensor/test_blocks", tests, NULL, NULL);
}
