/* Kernels of block types at every level that this machine has: unpacking and f32 values bit for bit, 8-bit rows against
 * their definition, products against an exact sum. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/noise.h"
#include "base/half.h"
#include "base/rng.h"
#include "cpu/kernels/kernels.h"

enum { N = 1024, ROWS = 9 };

static void *need(size_t bytes) {
    void *p = malloc(bytes + 64);
    assert_non_null(p);
    return p;
}

/* Random bytes with the scales made small and finite, so that sums can be compared. */
static void random_blocks(exaone_dtype type, uint8_t *blocks, size_t n) {
    const exaone_dtype_info *info = exaone_dtype_get(type);
    static const struct {
        exaone_dtype type;
        int at[2];
    } SCALES[] = {{EXAONE_Q4_0, {0, -1}}, {EXAONE_Q4_1, {0, 2}},    {EXAONE_Q5_0, {0, -1}},   {EXAONE_Q5_1, {0, 2}},
                  {EXAONE_Q8_0, {0, -1}}, {EXAONE_Q2_K, {80, 82}},  {EXAONE_Q3_K, {108, -1}}, {EXAONE_Q4_K, {0, 2}},
                  {EXAONE_Q5_K, {0, 2}},  {EXAONE_Q6_K, {208, -1}}, {EXAONE_IQ4_NL, {0, -1}}, {EXAONE_IQ4_XS, {0, -1}}};
    for (size_t b = 0; b < n / info->block_elements; b++) {
        uint8_t *p = blocks + b * info->block_bytes;
        for (size_t i = 0; i < info->block_bytes; i++) {
            p[i] = (uint8_t)next();
        }
        if (type == EXAONE_MXFP4) {
            p[0] = (uint8_t)(120 + next() % 8);
        }
        for (size_t s = 0; s < sizeof SCALES / sizeof *SCALES; s++) {
            for (int k = 0; k < 2; k++) {
                if (SCALES[s].type == type && SCALES[s].at[k] >= 0) {
                    uint16_t h = exaone_f32_to_f16(0.01f * (uniform() + 0.1f));
                    memcpy(p + SCALES[s].at[k], &h, 2);
                }
            }
        }
    }
}

typedef struct {
    int8_t q[N];
    float scale[N / 16], min[N / 16];
} unpacked;

static void unpack_row(const exaone_kernels *k, exaone_dtype type, const void *blocks, size_t n, unpacked *u,
                       exaone_q8_weights *w) {
    memset(u, 0x5a, sizeof *u);
    k->unpack[type](blocks, n, u->q, u->scale, u->min);
    *w = (exaone_q8_weights){u->q, u->scale, exaone_blocks_have_min(type) ? u->min : NULL, exaone_blocks_group(type)};
}

static void unpacking(void **state) {
    (void)state;
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        assert_string_equal(exaone_kernels_init(&k, level), level);
        for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
            if (!k.unpack[type]) {
                assert_null(plain.unpack[type]);
                continue;
            }
            const exaone_dtype_info *info = exaone_dtype_get((exaone_dtype)type);
            for (size_t n = info->block_elements; n <= N; n += info->block_elements) {
                size_t bytes = n / info->block_elements * info->block_bytes;
                uint8_t *blocks = need(bytes); /* any bits: the result is only compared */
                for (size_t i = 0; i < bytes; i++) {
                    blocks[i] = (uint8_t)next();
                }
                unpacked a, b;
                exaone_q8_weights wa, wb;
                float va[N], vb[N], table[N];
                unpack_row(&k, (exaone_dtype)type, blocks, n, &a, &wa);
                unpack_row(&plain, (exaone_dtype)type, blocks, n, &b, &wb);
                assert_memory_equal(a.q, b.q, sizeof a.q); /* with the untouched rest */
                k.unpacked_to_f32(va, &wa, n);
                plain.unpacked_to_f32(vb, &wb, n);
                exaone_dtype_to_f32((exaone_dtype)type, blocks, n, table);
                for (size_t i = 0; i < n; i++) {
                    bool nan = isnan(va[i]) && isnan(vb[i]) && isnan(table[i]);
                    assert_true(nan || (exaone_f32_bits(va[i]) == exaone_f32_bits(table[i]) &&
                                        exaone_f32_bits(vb[i]) == exaone_f32_bits(table[i])));
                }
                free(blocks);
            }
        }
    }
}

static void rows_of_8_bits(void **state) {
    (void)state;
    static const float extremes[] = {0, -0.0f, 1e-40f, 0x1p-101f, 0x1p-100f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN};
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (size_t e = 0; e < 40; e++) {
            float x[64], scale[2][2], s16[2][4], s32[2][2];
            int8_t q[2][64];
            for (size_t i = 0; i < 64; i++) {
                x[i] = uniform() * (e % 3 ? 5.0f : 1e-3f);
            }
            if (e < sizeof extremes / sizeof *extremes) {
                x[40] = extremes[e];
                for (size_t i = 0; i < 32; i++) {
                    x[i] = e < 5 ? extremes[e] : x[i];
                }
            }
            k.quantize_q8(q[0], scale[0], s16[0], s32[0], x, 64);
            plain.quantize_q8(q[1], scale[1], s16[1], s32[1], x, 64);
            assert_memory_equal(q[0], q[1], 64);
            for (size_t g = 0; g < 2; g++) {
                bool finite = true;
                int sum = 0;
                for (size_t i = 32 * g; i < 32 * g + 32; i++) {
                    finite = finite && isfinite(x[i]);
                    sum += q[0][i];
                    if (finite && isfinite(scale[0][g])) { /* half a step, and the rounding of the scale */
                        assert_true(fabs((double)x[i] - (double)scale[0][g] * q[0][i]) <=
                                    0.5001 * (double)scale[0][g] + 1e-30);
                    }
                }
                assert_true(finite ? scale[0][g] == scale[1][g] : isnan(scale[0][g]) && isnan(scale[1][g]));
                if (finite) {
                    assert_true(s32[0][g] == scale[0][g] * (float)sum && s32[1][g] == s32[0][g]);
                    assert_true(s16[0][2 * g] == s16[1][2 * g] && s16[0][2 * g + 1] == s16[1][2 * g + 1]);
                }
            }
        }
    }
}

/* f32 sums over N / 8 groups on 8 lanes and one reduction: at most N / 32 + 8 roundings of at most 2^-24 of the sum of
 * magnitudes, twice with mins. */
static void products(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
            const exaone_dtype_info *info = exaone_dtype_get((exaone_dtype)type);
            for (size_t n = info->block_elements; k.unpack[type] && n <= N; n = n < 256 ? n + 32 : n + 256) {
                if (n % info->block_elements) {
                    continue;
                }
                uint8_t *blocks = need(n / info->block_elements * info->block_bytes);
                float *x = need(ROWS * n * sizeof *x), *values = need(n * sizeof *values);
                random_blocks((exaone_dtype)type, blocks, n);
                exaone_dtype_to_f32((exaone_dtype)type, blocks, n, values);
                exaone_q8_rows rows = {need(ROWS * n), need(ROWS * n / 8), need(ROWS * n / 4), need(ROWS * n / 8)};
                for (size_t r = 0; r < ROWS; r++) {
                    for (size_t i = 0; i < n; i++) {
                        x[r * n + i] = uniform() * (r == 3 ? 1e4f : 1.0f);
                    }
                    k.quantize_q8(rows.q + r * n, rows.scale + r * n / 32, rows.sum_16 + r * n / 16,
                                  rows.sum_32 + r * n / 32, x + r * n, n);
                }
                unpacked u;
                exaone_q8_weights w;
                unpack_row(&k, (exaone_dtype)type, blocks, n, &u, &w);
                float out[3 * ROWS];
                for (size_t i = 0; i < 3 * ROWS; i++) {
                    out[i] = -7;
                }
                k.dot_q8(out, 3, &rows, ROWS, &w, n, 0.25f);
                for (size_t r = 0; r < ROWS; r++) {
                    double want = 0.25, magnitude = 0.25, exact = 0.25, step = 0;
                    for (size_t i = 0; i < n; i++) {
                        double scale = (double)rows.scale[r * n / 32 + i / 32], quantised = scale * rows.q[r * n + i];
                        double v = (double)u.scale[i / w.group] * u.q[i], m = w.min ? (double)w.min[i / w.group] : 0;
                        want += quantised * (v - m);
                        magnitude += fabs(quantised) * (fabs(v) + fabs(m));
                        exact += (double)x[r * n + i] * (double)values[i];
                        step += 0.51 * scale * fabs((double)values[i]);
                    }
                    double got = (double)out[3 * r];
                    assert_true(fabs(got - want) <= 2 * ((double)n / 32 + 10) * 0x1p-24 * magnitude);
                    assert_true(fabs(got - exact) <= step + 1e-5 * magnitude); /* half a step per activation */
                    assert_true(out[3 * r + 1] == -7 && out[3 * r + 2] == -7);
                    exaone_q8_rows one = {rows.q + r * n, rows.scale + r * n / 32, rows.sum_16 + r * n / 16,
                                          rows.sum_32 + r * n / 32};
                    float alone;
                    k.dot_q8(&alone, 1, &one, 1, &w, n, 0.25f);
                    assert_memory_equal(&alone, &out[3 * r], sizeof alone); /* the same bits as among others */
                }
                free(blocks);
                free(x);
                free(values);
                free(rows.q);
                free(rows.scale);
                free(rows.sum_16);
                free(rows.sum_32);
            }
        }
    }
}

/* The largest integers: -128 x -127 in every place must not wrap in 16 bits. */
static void largest_integers(void **state) {
    (void)state;
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        exaone_kernels_init(&k, level);
        for (int sign = -1; sign <= 1; sign += 2) {
            int8_t w[64], x[64];
            float ones[4] = {1, 1, 1, 1}, sums[4] = {0}, out;
            memset(w, -128, sizeof w);
            memset(x, 127 * sign, sizeof x);
            for (size_t group = 16; group <= 32; group += 16) {
                exaone_q8_rows rows = {x, ones, sums, sums};
                exaone_q8_weights weights = {w, ones, NULL, group};
                k.dot_q8(&out, 1, &rows, 1, &weights, 64, 0);
                assert_true(out == -128.0f * 127 * 64 * (float)sign);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacking),
        cmocka_unit_test(rows_of_8_bits),
        cmocka_unit_test(products),
        cmocka_unit_test(largest_integers),
    };
    return cmocka_run_group_tests_name("cpu/test_blocks", tests, NULL, NULL);
}
