/* Whole products with matrices of plain types at every level: against sums in double for odd sizes, any number of rows,
 * outputs and threads with the same bits, nothing written beside; numbers that are none; the memory of BF16 products.
 *
 * Bound: n/8 + 16 roundings of a chain (bench/checks/plain.c), each at most 2^-24 of the sum of |terms|; the chains of
 * planes have 3 n/32 + 16 and a last one. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/noise.h"
#include "base/half.h"
#include "base/mem.h"
#include "cpu/cpu.h"
#include "cpu/kernels/kernels.h"

enum { MOST_IN = 9000 };
static const float guard = -12345.5f;
static const exaone_dtype types[] = {EXAONE_F32, EXAONE_BF16, EXAONE_F16};

static void *need(size_t n, size_t size) {
    void *p = exaone_mem_aligned(n, size);
    assert_non_null(p);
    return p;
}

/* Stores x as an element of a matrix and returns what is stored. */
static float store(void *w, size_t i, float x, exaone_dtype type) {
    if (type == EXAONE_F32) {
        return ((float *)w)[i] = x;
    }
    uint16_t h = type == EXAONE_BF16 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
    ((uint16_t *)w)[i] = h;
    return type == EXAONE_BF16 ? exaone_bf16_to_f32(h) : exaone_f16_to_f32(h);
}

typedef struct {
    exaone_pool *pool;
    exaone_backend *be;
} machine;

static machine start(const char *level, int threads, size_t max_bf16) {
    exaone_error err = {0};
    machine m;
    assert_int_equal(exaone_pool_new(threads, &m.pool, &err), EXAONE_OK);
    assert_int_equal(exaone_cpu_open(m.pool, level, EXAONE_PRECISION_AUTO, &m.be, &err), EXAONE_OK);
    assert_int_equal(m.be->prepare(m.be, 0, max_bf16, &err), EXAONE_OK);
    return m;
}

static void stop(machine m) {
    m.be->close(m.be);
    exaone_pool_free(m.pool);
}

static float *guarded(size_t n) {
    float *p = need(n, sizeof *p);
    for (size_t i = 0; i < n; i++) {
        p[i] = guard;
    }
    return p;
}

/* m[0] has one thread, m[1] three. */
static void product_case(const machine *m, exaone_dtype type, size_t n_out, size_t n_in, size_t n, float scale) {
    size_t stride = n_out + 3, element = type == EXAONE_F32 ? 4 : 2;
    float *x = need(n * n_in, sizeof *x), *values = need(n_out * n_in, sizeof *values), *bias = need(n_out, sizeof *bias);
    float *out[3] = {guarded(n * stride), guarded(n * stride), guarded(n_out)};
    uint8_t *w = need(n_out * n_in, element);
    for (size_t i = 0; i < n * n_in; i++) {
        x[i] = uniform() * scale;
    }
    for (size_t i = 0; i < n_out * n_in; i++) {
        values[i] = store(w, i, uniform(), type);
    }
    for (size_t i = 0; i < n_out; i++) {
        bias[i] = uniform();
    }
    exaone_matrix matrix = {.dtype = type, .out_features = n_out, .in_features = n_in, .data = w, .bias = bias};
    for (int b = 0; b < 2; b++) {
        m[b].be->matmul(m[b].be, out[b], stride, x, &matrix, n);
    }
    assert_memory_equal(out[0], out[1], n * stride * sizeof(float));
    for (size_t r = 0; r < n; r++) {
        for (size_t o = n_out; o < stride; o++) {
            assert_true(out[0][r * stride + o] == guard);
        }
    }
    for (size_t i = 0; i < 40; i++) {
        size_t r = i * 7919 % n, o = i * 104729 % n_out;
        double sum = bias[o], terms = fabs(sum);
        for (size_t c = 0; c < n_in; c++) {
            double t = (double)x[r * n_in + c] * (double)values[o * n_in + c];
            sum += t;
            terms += fabs(t);
        }
        assert_true(fabs((double)out[0][r * stride + o] - sum) <= ((double)n_in / 8 + 17) * 0x1p-24 * terms);
    }
    /* some rows alone, and a part of the outputs alone, give the same bits */
    for (size_t r = 0; r < n; r += 1 + n / 3) {
        m[0].be->matmul(m[0].be, out[2], n_out, x + r * n_in, &matrix, 1);
        assert_memory_equal(out[2], out[0] + r * stride, n_out * sizeof(float));
    }
    size_t first = n_out / 3;
    matrix.data = w + first * n_in * element;
    matrix.bias = bias + first;
    matrix.out_features = n_out - first - n_out / 5;
    m[1].be->matmul(m[1].be, out[1], stride, x, &matrix, n);
    for (size_t r = 0; r < n; r++) {
        assert_memory_equal(out[1] + r * stride, out[0] + r * stride + first, matrix.out_features * sizeof(float));
    }
    free(x);
    free(values);
    free(bias);
    free(w);
    for (int b = 0; b < 3; b++) {
        free(out[b]);
    }
}

/* outputs, columns, rows */
static void products(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},       {5, 7, 2},      {16, 31, 3},   {33, 32, 5},    {31, 33, 16},
                                      {70, 255, 17},   {64, 1176, 33}, {300, 96, 47}, {513, 257, 31}, {40, 600, 70},
                                      {96, 2049, 260}, {9, 40, 700},   {3, 9000, 90}, {40, 4097, 1},  {20, 4100, 13}};
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        machine m[2] = {start(level, 1, MOST_IN), start(level, 3, MOST_IN)};
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                if (rung > 0 || sizes[i][0] * sizes[i][1] * sizes[i][2] < 4000000) { /* plain C is slow */
                    product_case(m, types[t], sizes[i][0], sizes[i][1], sizes[i][2], i % 2 ? 1.0f : 1e6f);
                }
            }
        }
        stop(m[0]);
        stop(m[1]);
    }
}

/* More rows than the planes of the widest matrix hold at a time. */
static void narrow_memory(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 1; (level = exaone_kernels_level(rung)); rung++) {
        machine m[2] = {start(level, 1, 96), start(level, 3, 96)};
        product_case(m, EXAONE_BF16, 37, 96, 600, 1.0f);
        product_case(m, EXAONE_BF16, 37, 40, 600, 1.0f);
        stop(m[0]);
        stop(m[1]);
    }
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* One number of a row, or one weight, is odd: what plain C makes of it, the other levels make of it. */
static void odd_numbers(void **state) {
    (void)state;
    enum { IN = 70, OUT = 35, ROWS = 20 };
    const float odd[] = {INFINITY,
                         -INFINITY,
                         NAN,
                         from_bits(0x7f800001),
                         from_bits(0xff801000),
                         FLT_MAX,
                         -FLT_MAX,
                         from_bits(0x7f7f8000),
                         0x1p-149f,
                         -0x1p-130f,
                         0x1p-126f,
                         0.0f,
                         -0.0f};
    const size_t n_odd = sizeof odd / sizeof *odd;
    static float x[ROWS][IN], w[OUT][IN], out[2][ROWS][OUT];
    static uint16_t stored[OUT][IN];
    machine plain = start("scalar", 1, IN);
    const char *level;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t c = 0; c < IN; c++) {
                x[r][c] = (float)(c % 3) * 0.25f;
            }
            x[r][r * 3 % IN] = r < n_odd ? odd[r] : 1;
        }
        for (size_t o = 0; o < OUT; o++) {
            for (size_t c = 0; c < IN; c++) {
                w[o][c] = o % 3 == 0 ? 0 : o % 3 == 1 ? 0.5f : -1;
            }
            w[o][o * 5 % IN] = o < n_odd ? odd[o] : 1;
            for (size_t c = 0; c < IN; c++) {
                store(types[t] == EXAONE_F32 ? (void *)w : (void *)stored, o * IN + c, w[o][c], types[t]);
            }
        }
        exaone_matrix matrix = {.dtype = types[t], .out_features = OUT, .in_features = IN};
        matrix.data = types[t] == EXAONE_F32 ? (const void *)w : (const void *)stored;
        plain.be->matmul(plain.be, out[0][0], OUT, x[0], &matrix, ROWS);
        for (size_t rung = 1; (level = exaone_kernels_level(rung)); rung++) {
            machine m = start(level, 1, IN);
            m.be->matmul(m.be, out[1][0], OUT, x[0], &matrix, ROWS);
            for (size_t r = 0; r < ROWS; r++) {
                for (size_t o = 0; o < OUT; o++) {
                    float a = out[0][r][o], b = out[1][r][o];
                    /* a sum of numbers near the largest may pass it by a rounding or not */
                    bool alike = isnan(a)               ? isnan(b)
                                 : isinf(a) || isinf(b) ? a == b
                                                        : fabsf(a - b) <= 1e-5f * fabsf(a) + 1e-30f;
                    if (!alike) {
                        fail_msg("%s, type %d, row %zu, output %zu: %g instead of %g", level, (int)types[t], r, o, (double)b,
                                 (double)a);
                    }
                }
            }
            stop(m);
        }
    }
    stop(plain);
}

int main(void) {
    seed = 5;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(narrow_memory),
        cmocka_unit_test(odd_numbers),
    };
    return cmocka_run_group_tests_name("cpu/test_plain", tests, NULL, NULL);
}
