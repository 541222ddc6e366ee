/* Whole products with quantised matrices at every level: odd sizes, any number of rows and threads, nothing written beside,
 * the same bits at all levels with tiles (the kernels by themselves: bench/kernels.c). */
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

static void *need(size_t n, size_t size) {
    void *p = exaone_mem_aligned(n, size);
    assert_non_null(p);
    return p;
}

/* Random bytes with f16 scales of about 0.01 where the type keeps them. */
static void random_blocks(exaone_dtype type, uint8_t *blocks, size_t n) {
    static const int8_t AT[EXAONE_DTYPE_COUNT][2] = {
        [EXAONE_Q4_0] = {0, -1}, [EXAONE_Q4_1] = {0, 2},    [EXAONE_Q5_0] = {0, -1},   [EXAONE_Q5_1] = {0, 2},
        [EXAONE_Q8_0] = {0, -1}, [EXAONE_Q2_K] = {80, 82},  [EXAONE_Q3_K] = {108, -1}, [EXAONE_Q4_K] = {0, 2},
        [EXAONE_Q5_K] = {0, 2},  [EXAONE_IQ4_NL] = {0, -1}, [EXAONE_IQ4_XS] = {0, -1},
    };
    const exaone_dtype_info *info = exaone_dtype_get(type);
    for (size_t b = 0; b < n / info->block_elements; b++) {
        uint8_t *p = blocks + b * info->block_bytes;
        for (size_t i = 0; i < info->block_bytes; i++) {
            p[i] = (uint8_t)next();
        }
        uint16_t h[2] = {exaone_f32_to_f16(0.01f * (uniform() + 0.1f)), exaone_f32_to_f16(0.01f * (uniform() + 0.1f))};
        if (type == EXAONE_MXFP4) {
            p[0] = (uint8_t)(120 + next() % 8);
        } else if (type == EXAONE_Q6_K) {
            memcpy(p + 208, h, 2);
        } else {
            memcpy(p + AT[type][0], h, 2);
            if (AT[type][1] >= 0) {
                memcpy(p + AT[type][1], h + 1, 2);
            }
        }
    }
}

enum { MOST_ROWS = 270 }; /* more than are rounded at a time */

/* Half a step per activation (x is within 1: 1 / 254), and rounding as in bench/checks/tiles.c. */
static void compare_product(const exaone_matrix *m, const float *x, const float *out, size_t out_stride, size_t n) {
    float *values = need(m->in_features, sizeof *values);
    for (size_t o = 0; o < m->out_features; o++) {
        exaone_matrix_row_f32(m, o, values);
        double magnitude = 0;
        for (size_t c = 0; c < m->in_features; c++) {
            magnitude += fabs((double)values[c]);
        }
        for (size_t r = 0; r < n; r++) {
            double want = m->bias ? (double)m->bias[o] : 0;
            for (size_t c = 0; c < m->in_features; c++) {
                want += (double)x[r * m->in_features + c] * (double)values[c];
            }
            assert_true(fabs((double)out[r * out_stride + o] - want) <= magnitude * (0.51 / 127) + 1e-4);
        }
    }
    free(values);
}

static void matrix_case(exaone_backend *const be[2], exaone_dtype type, size_t n_out, size_t n_in, size_t n) {
    exaone_matrix m = {.dtype = type, .out_features = n_out, .in_features = n_in};
    size_t row = exaone_matrix_row_bytes(&m), stride = n_out + 3;
    uint8_t *blocks = malloc(n_out * row);
    float *bias = need(n_out, sizeof *bias), *x = need(n * n_in, sizeof *x), *alone = need(n_out, sizeof *alone);
    float *out[2] = {need(n * stride, sizeof **out), need(n * stride, sizeof **out)};
    random_blocks(type, blocks, n_out * n_in);
    m.data = blocks;
    m.bias = n_out % 2 ? bias : NULL;
    for (size_t i = 0; i < n_out; i++) {
        bias[i] = uniform();
    }
    for (size_t i = 0; i < n * n_in; i++) {
        x[i] = uniform();
    }
    for (int b = 0; b < 2; b++) {
        for (size_t i = 0; i < n * stride; i++) {
            out[b][i] = -7;
        }
        be[b]->matmul(be[b], out[b], stride, x, &m, n);
    }
    assert_memory_equal(out[0], out[1], n * stride * sizeof **out); /* one thread or three */
    for (size_t r = 0; r < n; r++) {
        for (size_t i = n_out; i < stride; i++) {
            assert_true(out[0][r * stride + i] == -7);
        }
        if (r % 37 == 0 || r + 1 == n) {
            be[0]->matmul(be[0], alone, n_out, x + r * n_in, &m, 1);
            assert_memory_equal(alone, out[0] + r * stride, n_out * sizeof *alone);
        }
    }
    compare_product(&m, x, out[0], stride, n < 5 ? n : 5);
    if (n_out > 16) { /* the same rows as another matrix: a row's bits do not depend on its place */
        exaone_matrix part = exaone_matrix_rows(&m, 5, n_out - 5);
        be[0]->matmul(be[0], alone, n_out, x, &part, 1);
        assert_memory_equal(alone, out[0] + 5, (n_out - 5) * sizeof *alone);
    }
    free(blocks);
    free(bias);
    free(x);
    free(alone);
    free(out[0]);
    free(out[1]);
}

static void matrices(void **state) {
    (void)state;
    static const size_t OUTPUTS[] = {1, 15, 16, 17, 32, 33, 100}, COLUMNS[] = {1, 3, 8, 9, 17},
                        ROWS[] = {1, 2, 7, 13, MOST_ROWS};
    exaone_error err = {0};
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_pool *pools[2];
        exaone_backend *be[2];
        for (int b = 0; b < 2; b++) {
            assert_int_equal(exaone_pool_new(1 + 2 * b, &pools[b], &err), EXAONE_OK);
            assert_int_equal(exaone_cpu_open(pools[b], level, EXAONE_PRECISION_AUTO, &be[b], &err), EXAONE_OK);
            assert_int_equal(be[b]->prepare(be[b], 768, 0, &err), EXAONE_OK);
        }
        for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
            if (!exaone_blocks_group((exaone_dtype)type)) {
                continue;
            }
            bool super = exaone_dtype_get((exaone_dtype)type)->block_elements == 256;
            for (size_t i = 0; i < 35; i++) {
                size_t n_in = super ? 256 * (1 + i % 3) : 32 * COLUMNS[i % 5];
                size_t n = ROWS[(i + i / 7) % 5], n_out = OUTPUTS[i % 7];
                if (n < MOST_ROWS || rung > 0) { /* plain C is slow */
                    matrix_case(be, (exaone_dtype)type, n_out, n_in, n);
                }
            }
        }
        for (int b = 0; b < 2; b++) {
            be[b]->close(be[b]);
            exaone_pool_free(pools[b]);
        }
    }
}

/* Every level with tiles gives a product the same bits: the chain of an output is one for a family of processors. */
static void levels_agree(void **state) {
    (void)state;
    enum { N_OUT = 40, N_IN = 512, N = 19 };
    float *x = need(N * N_IN, sizeof *x);
    for (size_t i = 0; i < N * N_IN; i++) {
        x[i] = uniform();
    }
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        if (!exaone_blocks_group((exaone_dtype)type)) {
            continue;
        }
        exaone_matrix m = {.dtype = (exaone_dtype)type, .out_features = N_OUT, .in_features = N_IN};
        uint8_t *blocks = need(N_OUT * N_IN, sizeof(float));
        random_blocks((exaone_dtype)type, blocks, N_OUT * N_IN);
        m.data = blocks;
        float *first = NULL;
        const char *level;
        for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
            exaone_error err = {0};
            exaone_kernels k;
            exaone_pool *pool;
            exaone_backend *be;
            assert_string_equal(exaone_kernels_init(&k, level), level);
            if (!k.dot_tiles) {
                continue;
            }
            assert_int_equal(exaone_pool_new(1, &pool, &err), EXAONE_OK);
            assert_int_equal(exaone_cpu_open(pool, level, EXAONE_PRECISION_AUTO, &be, &err), EXAONE_OK);
            assert_int_equal(be->prepare(be, N_IN, 0, &err), EXAONE_OK);
            float *out = need(N * N_OUT, sizeof *out);
            be->matmul(be, out, N_OUT, x, &m, N);
            if (first) {
                assert_memory_equal(first, out, N * N_OUT * sizeof *out);
                free(out);
            } else {
                first = out;
            }
            be->close(be);
            exaone_pool_free(pool);
        }
        free(first);
        free(blocks);
    }
    free(x);
}

int main(void) {
    seed = 11;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrices),
        cmocka_unit_test(levels_agree),
    };
    return cmocka_run_group_tests_name("cpu/test_tiles", tests, NULL, NULL);
}
