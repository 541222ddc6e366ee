/* Attention over the cache against its formula in double: contexts of several spans, rings, many sequences, cache types, and
 * the same bits for any number of threads, any company and any tile. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/rng.h"
#include "cpu/cpu.h"
#include "cpu/kernels/kernels.h"

enum { HEADS = 10, KV_HEADS = 2, HEAD_DIM = 48, N = 9000, RING = (N + 63) / 64 * 64, BYTES = 4 * KV_HEADS * 64 * HEAD_DIM };

static uint64_t seed = 1;

static float uniform(void) {
    return (float)(2 * exaone_rng_unit(7, 0, seed++) - 1);
}

/* One sequence of n tokens whose keys and values are all stored. */
typedef struct {
    size_t n;
    float *k, *v; /* [n, KV_HEADS, HEAD_DIM] */
    void **pages; /* keys, then values */
    exaone_kv kv;
} timeline;

static void fill(exaone_backend *be, timeline *t, size_t n, exaone_dtype type) {
    size_t n_pages = (n + 63) / 64, width = KV_HEADS * HEAD_DIM;
    t->n = n;
    t->k = malloc(n * width * sizeof *t->k);
    t->v = malloc(n * width * sizeof *t->v);
    t->pages = malloc(2 * n_pages * sizeof *t->pages);
    for (size_t i = 0; i < 2 * n_pages; i++) {
        t->pages[i] = be->alloc(be, BYTES);
    }
    for (size_t i = 0; i < n * width; i++) {
        t->k[i] = uniform() * 2;
        t->v[i] = uniform();
    }
    t->kv = (exaone_kv){t->pages, t->pages + n_pages, n_pages * 64, type, type};
    exaone_row *rows = malloc(n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = (exaone_row){0, i, 0};
    }
    exaone_attention a = {.rows = rows, .n_rows = n, .kv = &t->kv, .num_key_value_heads = KV_HEADS, .head_dim = HEAD_DIM};
    be->store_kv(be, &a, t->k, t->v);
    free(rows);
}

static void empty(exaone_backend *be, timeline *t) {
    for (size_t i = 0; i < 2 * ((t->n + 63) / 64); i++) {
        be->release(be, t->pages[i]);
    }
    free(t->pages);
    free(t->k);
    free(t->v);
}

static double formula(const timeline *t, const float *q, const exaone_row *row, size_t head, double scale, size_t d) {
    size_t kv_head = head / (HEADS / KV_HEADS);
    double sum = 0, out = 0, top = -INFINITY;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t j = row->begin; j <= row->index; j++) {
            double s = 0;
            for (size_t i = 0; i < HEAD_DIM; i++) {
                s += (double)q[i] * (double)t->k[(j * KV_HEADS + kv_head) * HEAD_DIM + i];
            }
            s *= scale;
            if (pass == 0) {
                top = s > top ? s : top;
            } else {
                sum += exp(s - top);
                out += exp(s - top) * (double)t->v[(j * KV_HEADS + kv_head) * HEAD_DIM + d];
            }
        }
    }
    return out / sum;
}

enum { ROWS = 23 };

static const exaone_row rows[ROWS] = {
    /* a chunk at the end of a long sequence, whose rows see different beginnings, then rows of other sequences */
    {0, 8990, 0},    {0, 8991, 0},    {0, 8992, 0},    {0, 8993, 0},    {0, 8994, 0},   {0, 8995, 0},
    {0, 8996, 4000}, {0, 8997, 4097}, {0, 8998, 8192}, {0, 8999, 8191}, {1, 70, 0},     {1, 71, 8},
    {1, 72, 72},     {2, 0, 0},       {0, 4095, 0},    {0, 4096, 0},    {0, 4097, 1},   {0, 63, 0},
    {0, 64, 0},      {0, 65, 2},      {2, 1, 0},       {0, 8999, 0},    {0, 8191, 4096}};

static void run(const char *level, int n_threads, exaone_dtype type, const float *q, float *out, size_t first, size_t n,
                double bound) {
    exaone_pool *pool;
    exaone_backend *be;
    exaone_error err;
    assert_int_equal(exaone_pool_new(n_threads, &pool, &err), EXAONE_OK);
    assert_int_equal(exaone_cpu_open(pool, level, EXAONE_PRECISION_AUTO, &be, &err), EXAONE_OK);
    timeline t[3];
    exaone_kv kv[3];
    seed = 1;
    static const size_t lengths[3] = {N, 73, 2};
    for (size_t i = 0; i < 3; i++) {
        fill(be, &t[i], lengths[i], type);
        kv[i] = t[i].kv;
    }
    exaone_attention a = {.rows = rows + first, .n_rows = n, .kv = kv, .num_attention_heads = HEADS};
    a.num_key_value_heads = KV_HEADS;
    a.head_dim = HEAD_DIM;
    a.scale = 0.2f;
    be->attention(be, out, q + first * HEADS * HEAD_DIM, &a);
    for (size_t r = 0; bound > 0 && r < n; r++) {
        for (size_t h = 0; h < HEADS; h += 3) {
            for (size_t d = 0; d < HEAD_DIM; d += 13) {
                size_t at = (r * HEADS + h) * HEAD_DIM;
                double want = formula(&t[a.rows[r].sequence], q + (first + r) * HEADS * HEAD_DIM + h * HEAD_DIM, &a.rows[r],
                                      h, (double)a.scale, d);
                assert_true(fabs((double)out[at + d] - want) <= bound);
            }
        }
    }
    for (size_t i = 0; i < 3; i++) {
        empty(be, &t[i]);
    }
    be->close(be);
    exaone_pool_free(pool);
}

static void test_attention(void **state) {
    (void)state;
    enum { FLOATS = ROWS * HEADS * HEAD_DIM };
    static float q[FLOATS], all[FLOATS], other[FLOATS];
    seed = 1000000;
    for (size_t i = 0; i < FLOATS; i++) {
        q[i] = uniform() * 3;
    }
    const char *level;
    for (size_t rung = 0; (level = exaone_kernels_level(rung)); rung++) {
        /* |v| <= 1; scores below 0.2 * 48 * 6, an error of 48 roundings in each moves a share by less than 2e-4 */
        run(level, 1, EXAONE_F32, q, all, 0, ROWS, 2e-5);
        for (int n_threads = 2; n_threads < 40; n_threads *= 4) { /* with and without spans of their own */
            memset(other, 0, sizeof other);
            run(level, n_threads, EXAONE_F32, q, other, 0, ROWS, 0);
            assert_memory_equal(all, other, sizeof all);
        }
        for (size_t r = 0; r < ROWS; r += rung == 0 ? 5 : 1) {
            run(level, r % 2 ? 8 : 1, EXAONE_F32, q, other, r, 1, 0);
            assert_memory_equal(all + r * HEADS * HEAD_DIM, other, HEADS * HEAD_DIM * sizeof *all);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
