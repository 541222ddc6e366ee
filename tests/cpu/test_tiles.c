/* Products by tiles, at every level that has them: activations, tiles and sums against their definitions; and whole products
 * with quantised matrices at every level: odd sizes, any number of rows and threads, nothing written beside. */
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

/* Calls fn with each level that has tiles. */
static void each_level(void (*fn)(const exaone_kernels *k)) {
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        exaone_kernels k;
        assert_string_equal(exaone_kernels_init(&k, level), level);
        if (k.dot_tiles) {
            fn(&k);
        }
    }
}

/* ---- kernels -------------------------------------------------------------------------------------------------------------
 */

static void panels_of(const exaone_kernels *k) {
    static const float extremes[] = {0, -0.0f, 1e-40f, 0x1p-101f, 0x1p-100f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN};
    enum { N = 288, STRIDE = 3 }; /* the second panel holds one group */
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    exaone_q8_panel *p = need(2 * STRIDE, sizeof *p);
    for (size_t e = 0; e < 40; e++) {
        float x[N], scale[N / 32], s16[N / 16], s32[N / 32];
        int8_t q[N];
        for (size_t i = 0; i < N; i++) {
            x[i] = uniform() * (e % 3 ? 5.0f : 1e-3f);
        }
        for (size_t i = 0; i < 32 && e < sizeof extremes / sizeof *extremes; i++) {
            x[100] = x[N - 1] = extremes[e];
            x[i] = e < 5 ? extremes[e] : x[i];
        }
        plain.quantize_q8(q, scale, s16, s32, x, N);
        for (size_t group = 16; group <= 32; group += 16) {
            for (int offset = 0; offset <= 128; offset += 32) {
                memset(p, 0x5a, 2 * STRIDE * sizeof *p);
                k->panels_q8(p, STRIDE, x, N, group, offset);
                for (size_t i = 0; i < N; i++) {
                    assert_int_equal(p[i / 256 * STRIDE].q[i % 256], q[i]);
                    assert_true(same(p[i / 256 * STRIDE].scale[i % 256 / 32], scale[i / 32]));
                }
                for (size_t g = 0; g < N / group; g++) {
                    const exaone_q8_panel *at = p + g * group / 256 * STRIDE;
                    size_t in = g % (256 / group);
                    int sum = 0;
                    for (size_t i = 0; i < group; i++) {
                        sum += q[g * group + i];
                    }
                    float want = group == 16 ? s16[g] : s32[g];
                    assert_true(offset ? at->of.start[in] == k->tile_start - offset * sum : same(at->of.sum[in], want));
                }
                assert_int_equal(p[STRIDE].q[32], 0x5a); /* nothing beside */
                assert_int_equal(p[1].q[0], 0x5a);
                assert_int_equal(p[STRIDE - 1].of.start[0], 0x5a5a5a5a);
            }
        }
    }
    free(p);
}

static void panels(void **state) {
    (void)state;
    each_level(panels_of);
}

/* Element c of output o: the same product and min as plain C gives; scales may differ by a power of two with the integers.
 */
static void compare_tile(const exaone_q8_tile *t, int offset, int bits, size_t o, const exaone_q8_weights *w, size_t n) {
    for (size_t c = 0; c < n; c++) {
        assert_true(t->q[c / 4][4 * o + c % 4] < 1 << bits);
        size_t g = c / w->group;
        float got = t->scale[g][o] * (float)(t->q[c / 4][4 * o + c % 4] - offset);
        assert_true(same(got, w->scale[g] * (float)w->q[c]) || (got == 0 && w->q[c] == 0));
        if (w->min) {
            assert_true(offset == 0 && same(t->min[g][o], w->min[g]));
        }
    }
}

static void tiles_of(const exaone_kernels *k) {
    exaone_q8_tile *t = need(1, sizeof *t);
    int8_t *q = need(16, 256);
    float *scale = need(16 * 16, sizeof *scale), *min = need(16 * 16, sizeof *min);
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        exaone_dtype dtype = (exaone_dtype)type;
        const exaone_dtype_info *info = exaone_dtype_get(dtype);
        if (!exaone_blocks_group(dtype)) {
            assert_null(k->unpack_tile[type]);
            continue;
        }
        for (size_t n = info->block_elements; n <= 256; n += info->block_elements) {
            size_t bytes = n / info->block_elements * info->block_bytes, stride = bytes + n % 7;
            uint8_t *rows =
                malloc(15 * stride + bytes); /* no byte more than needed: the sanitizer sees reads behind the end */
            for (size_t i = 0; i < 15 * stride + bytes; i++) {
                rows[i] = (uint8_t)next(); /* any bits, NaN scales too */
            }
            exaone_q8_weights all = {q, scale, exaone_blocks_have_min(dtype) ? min : NULL, exaone_blocks_group(dtype)};
            for (size_t r = 0; r < 16; r++) {
                exaone_blocks_unpacker(dtype)(rows + r * stride, n, q + 256 * r, scale + 16 * r, min + 16 * r);
            }
            for (int special = 0; special < 2; special++) {
                if (special && !k->unpack_tile[type]) {
                    continue;
                }
                memset(t, 0x5a, sizeof *t);
                if (special) {
                    k->unpack_tile[type](t, rows, stride, n);
                } else {
                    k->interleave(t, &all, n);
                }
                int offset = special ? k->tile_offset[type] : all.min ? 0 : 128, bits = special ? k->tile_bits[type] : 8;
                for (size_t r = 0; r < 16; r++) {
                    exaone_q8_weights one = {q + 256 * r, scale + 16 * r, all.min ? min + 16 * r : NULL, all.group};
                    compare_tile(t, offset, bits, r, &one, n);
                }
                assert_true(n == 256 || t->q[n / 4][0] == 0x5a);
            }
            free(rows);
        }
    }
    free(t);
    free(q);
    free(scale);
    free(min);
}

static void tiles_of_i4(const exaone_kernels *k) {
    if (!k->unpack_tile_i4) {
        return;
    }
    exaone_q8_tile *t = need(1, sizeof *t);
    for (size_t n = 32; n <= 256; n += 32) {
        size_t stride = n / 2 + n % 5;
        uint8_t zero[8 * 16], *rows = malloc(15 * stride + n / 2);
        for (size_t i = 0; i < 15 * stride + n / 2; i++) {
            rows[i] = (uint8_t)next();
        }
        for (size_t i = 0; i < sizeof zero; i++) {
            zero[i] = (uint8_t)(next() % 16);
        }
        memset(t, 0x5a, sizeof *t);
        k->unpack_tile_i4(t, rows, stride, n, zero);
        for (size_t r = 0; r < 16; r++) {
            for (size_t c = 0; c < n; c++) {
                int u = rows[r * stride + c / 2] >> (c % 2 ? 4 : 0) & 15;
                uint8_t q = t->q[c / 4][4 * r + c % 4];
                assert_int_equal(q - k->tile_offset[EXAONE_I4], u - zero[c / 32 * 16 + r]);
                assert_true(q < 1 << k->tile_bits[EXAONE_I4]);
            }
        }
        assert_true(n == 256 || t->q[n / 4][0] == 0x5a);
        free(rows);
    }
    free(t);
}

static void tiles(void **state) {
    (void)state;
    each_level(tiles_of);
    each_level(tiles_of_i4);
}

/* One chain per output: for each group of 32, at most 2 roundings of a partial dot, 1 of its sum and 2 of mins, each at most
 * 2^-24 of the sum of magnitudes so far. */
static void dot_case(const exaone_kernels *k, size_t n_rows, size_t n, size_t group, int offset, int bits, bool largest) {
    const uint32_t most = (1U << bits) - 1;
    exaone_q8_tile *w = need(2, sizeof *w);
    exaone_q8_panel *x = need(n_rows, sizeof *x);
    float *acc = need(32 * (n_rows + 1), sizeof *acc), *before = need(32 * n_rows, sizeof *acc);
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < sizeof w->q; i++) {
            w[t].q[i / 64][i % 64] = (uint8_t)((largest ? (uint32_t)t * 255 : next()) & most);
        }
        for (size_t i = 0; i < 256; i++) {
            w[t].scale[i / 16][i % 16] = largest ? 1 : (float)(int)(uniform() * 0x1p21f) * 0x1p-21f;
            w[t].min[i / 16][i % 16] = largest ? 0 : uniform();
        }
    }
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t i = 0; i < 256; i++) {
            x[r].q[i] = (int8_t)(largest ? (r & 1 ? 127 : -127) : (int)(next() % 255) - 127);
        }
        for (size_t b = 0; b < 8; b++) {
            x[r].scale[b] = largest ? 1 : uniform();
        }
        for (size_t g = 0; g < n / group; g++) {
            int sum = 0;
            for (size_t i = 0; i < group; i++) {
                sum += x[r].q[g * group + i];
            }
            if (offset) {
                x[r].of.start[g] = k->tile_start - offset * sum;
            } else {
                x[r].of.sum[g] = x[r].scale[g * group / 32] * (float)sum;
            }
        }
    }
    for (size_t i = 0; i < 32 * n_rows; i++) {
        acc[i] = before[i] = largest ? 0 : uniform();
    }
    acc[32 * n_rows] = -7;
    uint8_t *later = need(40, 64);
    exaone_q8_fetch fetch = {later, later + 39 * 64, 64, 130}; /* may ask for more than there is */
    k->dot_tiles(acc, x, n_rows, w, n, group, offset, bits, &fetch);
    for (size_t r = 0; r < n_rows; r++) {
        for (size_t o = 0; o < 32; o++) {
            double want = (double)before[32 * r + o], magnitude = fabs(want);
            const exaone_q8_tile *t = w + o / 16;
            for (size_t g = 0; g < n / group; g++) {
                double xs = (double)x[r].scale[g * group / 32], dot = 0, sum = 0;
                for (size_t c = g * group; c < (g + 1) * group; c++) {
                    dot += x[r].q[c] * (t->q[c / 4][o % 16 * 4 + c % 4] - offset);
                    sum += x[r].q[c];
                }
                double a = xs * (double)t->scale[g][o % 16] * dot, b = offset ? 0 : xs * (double)t->min[g][o % 16] * sum;
                want += a - b;
                magnitude += fabs(a) + fabs(b);
            }
            double got = (double)acc[32 * r + o];
            assert_true(fabs(got - want) <= (largest ? 0 : 5 * ((double)n / 32 + 1) * 0x1p-24 * magnitude));
        }
        float alone[32];
        memcpy(alone, before + 32 * r, sizeof alone);
        k->dot_tiles(alone, x + r, 1, w, n, group, offset, bits, NULL);
        assert_memory_equal(alone, acc + 32 * r, sizeof alone); /* the same bits as among others */
    }
    assert_true(acc[32 * n_rows] == -7);
    free(w);
    free(x);
    free(acc);
    free(before);
    free(later);
}

static void dots_of(const exaone_kernels *k) {
    for (size_t n_rows = 1; n_rows <= 40; n_rows += n_rows < 20 ? 1 : 7) {
        for (size_t n = 32; n <= 256; n += n < 64 ? 32 : 96) {
            for (size_t group = 16; group <= 32; group += 16) {
                for (int i = 0; i < 15; i++) {
                    int offset = i / 5 * 64, bits = offset == 64 && i % 5 == 4 ? 7 : 4 + i % 5;
                    dot_case(k, n_rows, n, group, offset, bits, false);
                    dot_case(k, n_rows, n, group, offset, bits, true); /* sums of less than 2^24: exact */
                }
            }
        }
    }
}

static void dots(void **state) {
    (void)state;
    each_level(dots_of);
}

/* ---- matrices ------------------------------------------------------------------------------------------------------------
 */

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

/* Half a step per activation (x is within 1: 1 / 254), and rounding as in dot_case. */
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
        cmocka_unit_test(panels),   cmocka_unit_test(tiles),        cmocka_unit_test(dots),
        cmocka_unit_test(matrices), cmocka_unit_test(levels_agree),
    };
    return cmocka_run_group_tests_name("cpu/test_tiles", tests, NULL, NULL);
}
