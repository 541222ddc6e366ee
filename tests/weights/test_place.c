/* Shares of matrices by threads cover each page once; placing on nodes that the machine may not have reads what is large. */
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
            assert_int_equal(next, end / PAGE * PAGE);
        }
    }
}

/* How many of n pages are in memory. */
static size_t resident(const uint8_t *data, size_t n) {
    unsigned char *in = malloc(n);
    assert_non_null(in);
    assert_int_equal(mincore((void *)(uintptr_t)data, n * PAGE, in), 0);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += in[i] & 1;
    }
    free(in);
    return count;
}

/* Two matrices in memory that nobody has touched, of which one is too small; nodes that the machine may not have. */
static void test_place(void **state) {
    (void)state;
    enum { LARGE = 20 << 20, SMALL = 4 << 20, HUGE_PAGE = 2 << 20 };
    exaone_error err;
    exaone_weights *w;
    exaone_pool *pool;
    exaone_cores here, cores = {.n = 2, .node = {0, 1}, .n_nodes = 2, .node_id = {0, EXAONE_MAX_CPUS - 1}};
    exaone_cores_here(&here);
    cores.cpu[0] = cores.cpu[1] = here.cpu[0];
    uint8_t *room = mmap(NULL, LARGE + SMALL + HUGE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(room != MAP_FAILED);
    uint8_t *data = room + (HUGE_PAGE - (uintptr_t)room % HUGE_PAGE) % HUGE_PAGE;
    const exaone_weight list[] = {{"a", EXAONE_F32, 2, {5, LARGE / 20}, data, LARGE, "made up", EXAONE_PART_TEXT},
                                  {"b", EXAONE_F32, 2, {4, SMALL / 16}, data + LARGE, SMALL, "made up", EXAONE_PART_TEXT}};
    assert_int_equal(exaone_weights_declare(list, 2, &w, &err), EXAONE_OK);
    assert_int_equal(exaone_pool_new_on(3, &cores, &pool, &err), EXAONE_OK);
    assert_int_equal(resident(data, (LARGE + SMALL) / PAGE), 0);
    exaone_weights_place(w, pool, &cores);
    assert_int_equal(resident(data, LARGE / PAGE), LARGE / PAGE);
    assert_int_equal(resident(data + LARGE, SMALL / PAGE), 0);
    exaone_pool_free(pool);
    exaone_weights_close(w);
    munmap(room, LARGE + SMALL + HUGE_PAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
