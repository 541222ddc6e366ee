/* Every kernel of every level that this machine has against plain C: sizes with and without tails, extreme values, guard
 * zones.
 *
 * Bound of a dot product of n terms in f32: n/8 + 8 roundings on one lane's chain, each at most 2^-24 of the sum of |terms|.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/rng.h"
#include "cpu/kernels/kernels.h"

static uint64_t seed = 88172645463325252u;

static float uniform(void) { /* xorshift: -1 .. 1 */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (float)((double)(seed >> 11) * 0x1p-52 - 1.0);
}

enum { GUARD = 16 };
static const float guard_value = -12345.5f;

static float *guarded(size_t n) {
    float *p = malloc((n + 2 * GUARD) * sizeof *p);
    for (size_t i = 0; i < n + 2 * GUARD; i++) {
        p[i] = guard_value;
    }
    return p + GUARD;
}

static void check_guard(float *p, size_t n) {
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(p[-1 - (int)i] == guard_value && p[n + i] == guard_value);
    }
    free(p - GUARD);
}

typedef void matmul_fn(float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t);

static void store(void *w, size_t i, float x, int type) {
    if (type == 0) {
        ((float *)w)[i] = x;
    } else {
        ((uint16_t *)w)[i] = type == 1 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
    }
}

static matmul_fn *entry(const exaone_kernels *k, int type) {
    return type == 0 ? k->matmul_f32 : type == 1 ? k->matmul_bf16 : k->matmul_f16;
}

static void matmul_case(const exaone_kernels *fast, int type, size_t n_rows, size_t n_out, size_t n_in, float scale) {
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    float *x = malloc(n_rows * n_in * sizeof *x + 4), *bias = malloc(n_out * sizeof *bias);
    void *w = malloc(n_out * n_in * 4 + 4);
    float *a = guarded(n_rows * n_out), *b = guarded(n_rows * n_out), *one = guarded(n_out);
    for (size_t i = 0; i < n_rows * n_in; i++) {
        x[i] = uniform() * scale;
    }
    for (size_t i = 0; i < n_out * n_in; i++) {
        store(w, i, uniform(), type);
    }
    for (size_t i = 0; i < n_out; i++) {
        bias[i] = uniform();
    }
    entry(fast, type)(a, n_out, x, n_in, n_rows, w, bias, n_out, n_in);
    entry(&plain, type)(b, n_out, x, n_in, n_rows, w, bias, n_out, n_in);
    double bound = ((double)n_in / 8 + 16) * 0x1p-24 * ((double)n_in * (double)scale + 1);
    for (size_t i = 0; i < n_rows * n_out; i++) {
        assert_true(fabs((double)a[i] - (double)b[i]) <= bound);
    }
    for (size_t r = 0; r < n_rows; r++) { /* a row alone gives the same bits as among others */
        entry(fast, type)(one, n_out, x + r * n_in, n_in, 1, w, bias, n_out, n_in);
        assert_memory_equal(one, a + r * n_out, n_out * sizeof *one);
    }
    check_guard(a, n_rows * n_out);
    check_guard(b, n_rows * n_out);
    check_guard(one, n_out);
    free(x);
    free(w);
    free(bias);
}

static void test_matmul(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},     {1, 5, 7},  {2, 4, 8},  {3, 9, 33}, {5, 6, 160}, {8, 17, 1176},
                                      {1, 64, 4097}, {4, 4, 64}, {6, 8, 48}, {7, 5, 31}, {13, 12, 95}};
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        assert_string_equal(exaone_kernels_init(&k, level), level);
        for (int type = 0; type < 3; type++) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                matmul_case(&k, type, sizes[i][0], sizes[i][1], sizes[i][2], 1.0f);
                matmul_case(&k, type, sizes[i][0], sizes[i][1], sizes[i][2], 1e6f);
            }
        }
    }
}

static void close_to(float a, float b, double relative) {
    assert_true(fabs((double)a - (double)b) <= relative * (fabs((double)b) + 1e-30));
}

static void test_elementwise(void **state) {
    (void)state;
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (size_t n = 1; n < 70; n += n < 20 ? 1 : 7) {
            float x[80], w[80], a[80], b[80], up[80];
            for (size_t i = 0; i < n; i++) {
                x[i] = uniform() * 30;
                w[i] = uniform();
                up[i] = uniform();
            }
            k.rms_norm(a, x, w, n, 1e-5f);
            plain.rms_norm(b, x, w, n, 1e-5f);
            for (size_t i = 0; i < n; i++) {
                close_to(a[i], b[i], 2e-6);
            }
            memcpy(a, x, sizeof a);
            memcpy(b, x, sizeof b);
            k.silu_mul(a, up, n);
            plain.silu_mul(b, up, n);
            for (size_t i = 0; i < n; i++) {
                close_to(a[i], b[i], 1e-6);
            }
            float m1 = n % 2 ? -INFINITY : 25.0f, m2 = m1;
            memcpy(a, x, sizeof a);
            memcpy(b, x, sizeof b);
            a[n / 2] = b[n / 2] = -INFINITY;
            float s1 = k.softmax_exp(a, n, 0.5f, &m1), s2 = plain.softmax_exp(b, n, 0.5f, &m2);
            assert_true(m1 == m2);
            close_to(s1, s2, 3e-6);
            for (size_t i = 0; i < n; i++) {
                close_to(a[i], b[i], 1e-6);
            }
        }
    }
}

/* a [rows, depth] with its own stride, b [depth, n]: against plain C, each row alone with the same bits, nothing beside. */
typedef void product_fn(float *, size_t, const float *, size_t, size_t, const void *, size_t, size_t, size_t);

static product_fn *product(const exaone_kernels *k, int type) {
    return type == 0 ? k->add_product_f32 : type == 1 ? k->add_product_bf16 : k->add_product_f16;
}

static void product_case(const exaone_kernels *fast, int type, size_t n_rows, size_t n, size_t depth, float scale) {
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    size_t a_stride = depth + 3, b_stride = n + 5, out_stride = n + 2, n_out = n_rows * out_stride;
    float *a = malloc(n_rows * a_stride * sizeof *a), *b = malloc(depth * b_stride * sizeof *b);
    float *x = guarded(n_out), *y = guarded(n_out), *one = guarded(n);
    for (size_t i = 0; i < n_rows * a_stride; i++) {
        a[i] = uniform() * scale;
    }
    for (size_t i = 0; i < depth * b_stride; i++) {
        store(b, i, uniform(), type);
    }
    for (size_t i = 0; i < n_out; i++) {
        x[i] = y[i] = uniform();
    }
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(one, x + r * out_stride, n * sizeof *one);
        product(fast, type)(one, n, a + r * a_stride, a_stride, 1, b, b_stride, n, depth);
        memcpy(y + r * out_stride, one, n * sizeof *one);
    }
    product(fast, type)(x, out_stride, a, a_stride, n_rows, b, b_stride, n, depth);
    assert_memory_equal(x, y, n_out * sizeof *x); /* gaps too */
    memset(y, 0, n_out * sizeof *y);
    memset(x, 0, n_out * sizeof *x);
    product(fast, type)(x, out_stride, a, a_stride, n_rows, b, b_stride, n, depth);
    product(&plain, type)(y, out_stride, a, a_stride, n_rows, b, b_stride, n, depth);
    for (size_t i = 0; i < n_out; i++) { /* a chain of `depth` roundings */
        assert_true(fabs((double)x[i] - (double)y[i]) <= ((double)depth + 1) * 0x1p-24 * (double)depth * (double)scale);
    }
    check_guard(x, n_out);
    check_guard(y, n_out);
    check_guard(one, n);
    free(a);
    free(b);
}

static void test_add_product(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},   {1, 64, 64},  {2, 7, 3},    {3, 16, 80},  {4, 17, 128},
                                      {5, 33, 64}, {6, 48, 65},  {7, 64, 128}, {13, 80, 64}, {60, 64, 80},
                                      {64, 9, 1},  {8, 200, 33}, {11, 63, 512}};
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        assert_string_equal(exaone_kernels_init(&k, level), level);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int type = 0; type < 3; type++) {
                product_case(&k, type, sizes[i][0], sizes[i][1], sizes[i][2], 1);
                product_case(&k, type, sizes[i][0], sizes[i][1], sizes[i][2], 1e6f);
            }
        }
    }
}

static void test_transpose(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (size_t n_rows = 1; n_rows <= 64; n_rows += n_rows < 20 ? 1 : 11) {
            for (size_t n = 1; n < 130; n += n < 20 ? 1 : 31) {
                float *x = malloc(n_rows * (n + 1) * sizeof *x), *out = guarded(n * 64);
                for (size_t i = 0; i < n_rows * (n + 1); i++) {
                    x[i] = uniform();
                }
                k.transpose(out, 64, x, n + 1, n_rows, n);
                for (size_t i = 0; i < n * 64; i++) {
                    assert_true(out[i] == (i % 64 < n_rows ? x[i % 64 * (n + 1) + i / 64] : guard_value));
                }
                check_guard(out, n * 64);
                free(x);
            }
        }
    }
}

/* The cache's types: the bits of plain C for every 16-bit pattern and for blocks, at lengths with and without tails. */
static void test_cached(void **state) {
    (void)state;
    enum { ALL = 65536 };
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    uint16_t *x = malloc(ALL * sizeof *x);
    float *a = guarded(ALL), *b = guarded(ALL);
    for (size_t i = 0; i < ALL; i++) {
        x[i] = (uint16_t)i;
    }
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (int type = 0; type < 2; type++) {
            (type ? k.bf16_to_f32 : k.f16_to_f32)(a, x, ALL);
            (type ? plain.bf16_to_f32 : plain.f16_to_f32)(b, x, ALL);
            for (size_t i = 0; i < ALL; i++) {
                assert_true(memcmp(&a[i], &b[i], sizeof *a) == 0 || (isnan(a[i]) && isnan(b[i])));
            }
            for (size_t n = 1; n < 40; n++) {
                float *tail = guarded(n);
                (type ? k.bf16_to_f32 : k.f16_to_f32)(tail, x + 15000, n);
                assert_memory_equal(tail, b + 15000, n * sizeof *tail);
                check_guard(tail, n);
            }
        }
        uint8_t blocks[2][3 * 34];
        float y[96];
        for (int round = 0; round < 50; round++) {
            for (size_t i = 0; i < 96; i++) {
                y[i] = uniform() * (i / 32 == 1 && round % 5 == 0 ? 0 : 3);
            }
            k.f32_to_q8_0(blocks[0], y, 96);
            plain.f32_to_q8_0(blocks[1], y, 96);
            assert_memory_equal(blocks[0], blocks[1], sizeof blocks[0]);
            k.q8_0_to_f32(a, blocks[0], 96);
            plain.q8_0_to_f32(b, blocks[0], 96);
            assert_memory_equal(a, b, 96 * sizeof *a);
            for (int bad = 0; bad < 3; bad++) { /* what is no number shows in the scale, wherever it stands */
                static const float BAD[] = {NAN, INFINITY, -INFINITY};
                uint16_t scale;
                memcpy(a, y, 32 * sizeof *a);
                a[round % 32] = BAD[bad];
                k.f32_to_q8_0(blocks[0], a, 32);
                memcpy(&scale, blocks[0], sizeof scale);
                float d = exaone_f16_to_f32(scale);
                assert_true(bad ? isinf(d) : isnan(d));
            }
        }
    }
    check_guard(a, ALL);
    check_guard(b, ALL);
    free(x);
}

/* From f32 to the cache's 16-bit types: ties, subnormals, what rounds to infinity, NaN. */
static void test_rounding(void **state) {
    (void)state;
    enum { ALL = 65536 };
    static const uint32_t LOW[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff};
    float *x = malloc(ALL * sizeof *x);
    uint16_t *h = malloc(ALL * sizeof *h);
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (size_t low = 0; low < sizeof LOW / sizeof *LOW; low++) {
            for (size_t i = 0; i < ALL; i++) {
                x[i] = exaone_f32_from_bits((uint32_t)i << 16 | LOW[low]);
            }
            for (int type = 0; type < 2; type++) {
                (type ? k.f32_to_bf16 : k.f32_to_f16)(h, x, ALL - low);
                for (size_t i = 0; i < ALL - low; i++) {
                    uint16_t want = type ? exaone_f32_to_bf16(x[i]) : exaone_f32_to_f16(x[i]);
                    bool nan = (h[i] & 0x7fff) > (type ? 0x7f80 : 0x7c00); /* any payload */
                    assert_true(h[i] == want || (isnan(x[i]) && nan));
                }
            }
        }
    }
    free(x);
    free(h);
}

static void test_softmax_of_nothing(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        float x[9], m = -INFINITY;
        for (int i = 0; i < 9; i++) {
            x[i] = -INFINITY;
        }
        assert_true(k.softmax_exp(x, 9, 1, &m) == 0 && m == -INFINITY);
        for (int i = 0; i < 9; i++) {
            assert_true(x[i] == 0);
        }
    }
}

/* A NaN among the scores, or nothing else: the sum is NaN, whichever lane it is in. */
static void test_softmax_keeps_nan(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (int at = 0; at < 20; at++) {
            for (int rest = 0; rest < 2; rest++) {
                float x[19], m = rest ? -INFINITY : 1;
                for (int i = 0; i < 19; i++) {
                    x[i] = i == at || at == 19 ? NAN : rest ? -INFINITY : (float)i;
                }
                assert_true(isnan(k.softmax_exp(x, 19, 0.5f, &m)));
                assert_true(at == 19 || isnan(x[at]));
            }
        }
    }
}

static void test_silu_extremes(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        float g[8] = {-1e30f, 1e30f, -200, 200, 0, -0.0f, FLT_MIN, NAN}, up[8] = {1, 1, 1, 1, 1, 1, 1, 1};
        k.silu_mul(g, up, 8);
        assert_true(g[0] == 0 && g[1] == 1e30f && fabsf(g[2]) < 1e-30f && g[3] == 200 && g[4] == 0 && isnan(g[7]));
    }
}

static void test_unknown_level(void **state) {
    (void)state;
    exaone_kernels k;
    assert_null(exaone_kernels_init(&k, "avx9"));
    assert_non_null(exaone_kernels_init(&k, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_matmul),
                                       cmocka_unit_test(test_add_product),
                                       cmocka_unit_test(test_transpose),
                                       cmocka_unit_test(test_cached),
                                       cmocka_unit_test(test_rounding),
                                       cmocka_unit_test(test_elementwise),
                                       cmocka_unit_test(test_softmax_of_nothing),
                                       cmocka_unit_test(test_softmax_keeps_nan),
                                       cmocka_unit_test(test_silu_extremes),
                                       cmocka_unit_test(test_unknown_level)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
