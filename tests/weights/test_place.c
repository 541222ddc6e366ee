/* Shares of matrices by threads cover each page once; placing on nodes that the machine may not have reads all weights and
 * changes none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/error.h"
#include "weights/place.h"

enum { PAGE = 4096 };

static void test_shares(void **state) {
    (void)state;
    static const struct {
        uintptr_t data;
        uint64_t rows, row;
    } cases[] = {{PAGE, 8, PAGE},   {PAGE + 8, 8, PAGE}, {PAGE + 64, 1000, 144}, {PAGE, 1, 100000},
                 {PAGE + 1, 3, 10}, {PAGE, 0, 0},        {PAGE, 153600, 2880},   {PAGE - 1, 2, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        exaone_weight w = {.n_dims = 2, .dims = {cases[k].rows, 256}, .bytes = cases[k].rows * cases[k].row};
        w.data = (const uint8_t *)cases[k].data;
        for (int n_threads = 1; n_threads <= 7; n_threads++) {
            uintptr_t next = cases[k].data / PAGE * PAGE, end = cases[k].data + w.bytes, begin;
            size_t n;
            for (int i = 0; i < n_threads; i++) {
                exaone_weights_share(&w, PAGE, n_threads, i, &begin, &n);
                assert_int_equal(begin, next);
                assert_int_equal(n % PAGE, 0);
                next = begin + n;
                /* to a page the rows that the pool gives thread i: within a row of rows * i / n_threads */
                uint64_t want = cases[k].data + (uint64_t)i * cases[k].rows / (uint64_t)n_threads * cases[k].row;
                assert_true(i == 0 || (begin <= want && want - begin < PAGE + cases[k].row));
            }
            assert_int_equal(next, (end + PAGE - 1) / PAGE * PAGE);
        }
    }
}

/* Of every tensor that was placed: whether all its pages are in memory. */
static bool resident(const exaone_weight *w, size_t page) {
    uintptr_t begin;
    size_t n;
    exaone_weights_share(w, page, 1, 0, &begin, &n);
    unsigned char *in = malloc(n / page);
    assert_non_null(in);
    assert_int_equal(mincore((void *)begin, n, in), 0);
    bool all = true;
    for (size_t i = 0; i < n / page; i++) {
        all = all && (in[i] & 1);
    }
    free(in);
    return all;
}

static void test_place(void **state) {
    (void)state;
    exaone_error err;
    exaone_weights *w;
    exaone_pool *pool;
    exaone_cores here, cores = {.n = 2, .node = {0, 1}, .n_nodes = 2, .node_id = {0, EXAONE_MAX_CPUS - 1}};
    exaone_cores_here(&here);
    cores.cpu[0] = cores.cpu[1] = here.cpu[0];
    assert_int_equal(exaone_weights_open("models/tiny", NULL, &w, &err), EXAONE_OK);
    assert_int_equal(exaone_pool_new_on(3, &cores, &pool, &err), EXAONE_OK);
    exaone_weights_place(w, pool, &cores);
    size_t large = 0;
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        if (t.n_dims > 1 && t.bytes >= 1 << 16) {
            large++;
            assert_true(resident(&t, PAGE));
        }
    }
    assert_in_range(large, 10, SIZE_MAX);
    exaone_pool_free(pool);
    exaone_weights_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
