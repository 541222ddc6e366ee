/* Types with scales in other tensors: whole matrices against the specification exaone_matrix_row_f32, and the products made
 * from them at every level (the kernels by themselves: bench/kernels.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/noise.h"
#include "base/half.h"
#include "cpu/cpu.h"
#include "cpu/kernels/kernels.h"

typedef struct {
    exaone_dtype dtype;
    size_t n_out, n_in, rows, cols; /* rows, cols per scale */
    bool zeros;
} form;

static const form FORMS[] = {
    {EXAONE_I4, 40, 256, 1, 128, false},
    {EXAONE_I4, 21, 256, 1, 128, true},
    {EXAONE_I4, 17, 96, 1, 32, true},
    {EXAONE_I4, 9, 48, 1, 16, true},
    {EXAONE_I4, 7, 100, 1, 100, false},
    {EXAONE_I4, 5, 33, 1, 33, true},
    {EXAONE_F8_E4M3, 200, 300, 128, 128, false},
    {EXAONE_F8_E4M3, 20, 64, 1, 64, false},
    {EXAONE_F8_E4M3, 19, 13, 19, 13, false},
    {EXAONE_F8_E4M3, 33, 70, 5, 7, false},
};

typedef struct {
    exaone_matrix m;
    uint8_t *data;
    float *scales, *bias;
    int32_t *zeros;
} made;

static made make(const form *f, exaone_dtype scale_type) {
    made d = {{.dtype = f->dtype, .out_features = f->n_out, .in_features = f->n_in}, NULL, NULL, NULL, NULL};
    size_t bytes = f->n_out * exaone_matrix_row_bytes(&d.m), stride = (f->n_in + f->cols - 1) / f->cols;
    size_t n_scales = (f->n_out + f->rows - 1) / f->rows * stride, n_zeros = (f->n_out + 7) / 8 * stride;
    d.data = malloc(bytes);
    d.scales = malloc(n_scales * sizeof *d.scales);
    d.bias = malloc(f->n_out * sizeof *d.bias);
    for (size_t i = 0; i < bytes; i++) {
        d.data[i] = (uint8_t)next();
        d.data[i] = f->dtype == EXAONE_F8_E4M3 && (d.data[i] & 0x7f) == 0x7f ? 1 : d.data[i];
    }
    for (size_t i = 0; i < f->n_out; i++) {
        d.bias[i] = uniform();
    }
    for (size_t i = 0; i < n_scales; i++) {
        float x = 0.01f * uniform();
        uint16_t half = scale_type == EXAONE_BF16 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
        if (scale_type == EXAONE_F32) {
            d.scales[i] = x;
        } else {
            memcpy((uint8_t *)d.scales + 2 * i, &half, 2);
        }
    }
    if (f->zeros) {
        d.zeros = malloc(n_zeros * sizeof *d.zeros);
        for (size_t i = 0; i < n_zeros; i++) {
            d.zeros[i] = (int32_t)next(); /* also the bits of rows that there are not */
        }
    }
    d.m.data = d.data;
    d.m.bias = d.bias;
    d.m.scales = (exaone_scales){d.scales, scale_type, f->rows, f->cols, stride, 0, d.zeros};
    return d;
}

static void release(made *d) {
    free(d->data);
    free(d->scales);
    free(d->bias);
    free(d->zeros);
}

/* The definition once more, from row, column and the format's description. */
static float value_of(const made *d, const form *f, size_t r, size_t c) {
    size_t at = r / f->rows * d->m.scales.stride + c / f->cols;
    uint16_t half;
    memcpy(&half, (uint8_t *)d->scales + 2 * at, 2);
    float scale = d->m.scales.dtype == EXAONE_F32    ? d->scales[at]
                  : d->m.scales.dtype == EXAONE_BF16 ? exaone_bf16_to_f32(half)
                                                     : exaone_f16_to_f32(half);
    if (f->dtype == EXAONE_F8_E4M3) {
        uint8_t b = d->data[r * f->n_in + c];
        int e = b >> 3 & 15, m = b & 7;
        double size = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
        return (float)(b & 0x80 ? -size : size) * scale;
    }
    uint32_t word, zero = 8;
    memcpy(&word, d->data + 4 * (r * ((f->n_in + 7) / 8) + c / 8), 4);
    if (d->zeros) {
        zero = (uint32_t)d->zeros[r / 8 * d->m.scales.stride + c / f->cols] >> 4 * (r % 8) & 15;
    }
    return (float)((int)(word >> 4 * (c % 8) & 15) - (int)zero) * scale;
}

static void rows(void **state) {
    (void)state;
    const exaone_dtype types[] = {EXAONE_F32, EXAONE_BF16, EXAONE_F16};
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        const form *f = &FORMS[i];
        made d = make(f, types[i % 3]);
        float out[512];
        for (size_t r = 0; r < f->n_out; r++) {
            exaone_matrix_row_f32(&d.m, r, out);
            for (size_t c = 0; c < f->n_in; c++) {
                assert_true(same(out[c], value_of(&d, f, r, c)));
            }
        }
        for (size_t first = 0; first < f->n_out; first += 3) { /* a range, and a range of a range */
            exaone_matrix part = exaone_matrix_rows(&d.m, first, f->n_out - first);
            size_t second = part.out_features / 2;
            part = exaone_matrix_rows(&part, second, part.out_features - second);
            for (size_t r = 0; r < part.out_features; r++) {
                exaone_matrix_row_f32(&part, r, out);
                assert_true(same(out[f->n_in - 1], value_of(&d, f, first + second + r, f->n_in - 1)));
                assert_true(part.bias[r] == d.bias[first + second + r]);
            }
        }
        release(&d);
    }
}

/* f32: the result of a F32 matrix of the same values, bit for bit. 8-bit: half a step per activation, plus the rounding of
 * f32 sums (see bench/checks/eight_bit.c). */
static void products(void **state) {
    (void)state;
    exaone_error err = {0};
    enum { ROWS = 70 }; /* more than are rounded at a time */
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        for (int precision = 0; precision < 2; precision++) {
            exaone_pool *pool;
            exaone_backend *be;
            assert_int_equal(exaone_pool_new(2, &pool, &err), EXAONE_OK);
            assert_int_equal(exaone_cpu_open(pool, level, (exaone_precision)precision, &be, &err), EXAONE_OK);
            assert_int_equal(be->prepare(be, 300, 0, &err), EXAONE_OK);
            for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
                const form *f = &FORMS[i];
                made d = make(f, EXAONE_F32);
                float *values = malloc(f->n_out * f->n_in * sizeof *values), *x = malloc(ROWS * f->n_in * sizeof *x);
                float *got = malloc(ROWS * f->n_out * sizeof *got), *want = malloc(ROWS * f->n_out * sizeof *want);
                for (size_t r = 0; r < f->n_out; r++) {
                    exaone_matrix_row_f32(&d.m, r, values + r * f->n_in);
                }
                for (size_t k = 0; k < ROWS * f->n_in; k++) {
                    x[k] = uniform();
                }
                exaone_matrix plain = {.dtype = EXAONE_F32, f->n_out, f->n_in, values, d.bias, {0}};
                be->matmul(be, want, f->n_out, x, &plain, ROWS);
                be->matmul(be, got, f->n_out, x, &d.m, ROWS);
                bool exact = precision == EXAONE_PRECISION_F32 || f->dtype == EXAONE_F8_E4M3 || f->n_in % 32 || f->cols % 32;
                for (size_t r = 0; r < ROWS; r++) {
                    for (size_t o = 0; o < f->n_out; o++) {
                        float a = got[r * f->n_out + o], b = want[r * f->n_out + o];
                        double magnitude = 0;
                        for (size_t c = 0; c < f->n_in; c++) {
                            magnitude += fabs((double)values[o * f->n_in + c]);
                        }
                        assert_true(exact ? same(a, b) : fabs((double)a - (double)b) <= magnitude * (0.51 / 127 + 1e-5));
                    }
                }
                be->matmul(be, want, f->n_out, x + 5 * f->n_in, &d.m, 1);
                assert_memory_equal(want, got + 5 * f->n_out, f->n_out * sizeof *got); /* alone as among others */
                int32_t ids[] = {(int32_t)f->n_out - 1, 0};
                be->embed(be, got, &d.m, ids, 2);
                assert_memory_equal(got, values + (f->n_out - 1) * f->n_in, f->n_in * sizeof *got);
                free(values);
                free(x);
                free(got);
                free(want);
                release(&d);
            }
            be->close(be);
            exaone_pool_free(pool);
        }
    }
}

/* A scale that is no number shows in the product, at both precisions, also where the integers are zero. */
static void scales_that_are_no_numbers(void **state) {
    (void)state;
    exaone_error err = {0};
    const float bad[] = {NAN, INFINITY, 0};
    for (int precision = 0; precision < 2; precision++) {
        exaone_pool *pool;
        exaone_backend *be;
        assert_int_equal(exaone_pool_new(1, &pool, &err), EXAONE_OK);
        assert_int_equal(exaone_cpu_open(pool, NULL, (exaone_precision)precision, &be, &err), EXAONE_OK);
        assert_int_equal(be->prepare(be, 64, 0, &err), EXAONE_OK);
        for (size_t b = 0; b < 3; b++) {
            uint32_t words[2][8];
            float scale[2] = {bad[b], 1}, x[64], out[2];
            memset(words, 0x77, sizeof words); /* -1 */
            for (size_t i = 0; i < 64; i++) {
                x[i] = 1;
            }
            exaone_matrix m = {.dtype = EXAONE_I4, .out_features = 2, .in_features = 64, .data = words};
            m.scales = (exaone_scales){scale, EXAONE_F32, 1, 64, 1, 0, NULL};
            be->matmul(be, out, 2, x, &m, 1);
            assert_true(b == 2 ? out[0] == 0 : !isfinite(out[0]));
            assert_true(fabsf(out[1] + 64) < 0.01f);
            uint8_t f8[64];
            memset(f8, b == 1 ? 0x38 : 0, sizeof f8);
            m.dtype = EXAONE_F8_E4M3;
            m.data = f8;
            m.out_features = 1;
            be->matmul(be, out, 1, x, &m, 1);
            assert_true(b == 2 ? out[0] == 0 : !isfinite(out[0]));
        }
        be->close(be);
        exaone_pool_free(pool);
    }
}

int main(void) {
    seed = 7;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(products),
        cmocka_unit_test(scales_that_are_no_numbers),
    };
    return cmocka_run_group_tests_name("cpu/test_scaled", tests, NULL, NULL);
}
