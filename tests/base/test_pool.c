/* The thread pool: every index is worked on once, by a worker number that exists, whatever the number of threads and however
 * short the jobs; several owners take turns. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/pool.h"

enum { MOST = 300 };

typedef struct {
    exaone_pool *pool;
    atomic_int times[MOST];
    atomic_bool wrong;
} job;

static void take(void *arg, int worker, size_t begin, size_t end) {
    job *j = arg;
    if (worker < 0 || worker >= exaone_pool_size(j->pool)) {
        j->wrong = true;
    }
    for (size_t i = begin; i < end; i++) {
        j->times[i]++;
    }
}

/* 2000 jobs of 0 .. MOST - 1 pieces. */
static void *run_many(void *arg) {
    job *j = arg;
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)round * 7 % MOST;
        for (size_t i = 0; i < n; i++) {
            j->times[i] = 0;
        }
        exaone_pool_run(j->pool, n, (size_t)round % 3, take, j);
        for (size_t i = 0; i < n; i++) {
            j->wrong = j->wrong || j->times[i] != 1;
        }
    }
    return NULL;
}

static void test_once(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 9; n_threads += 4) {
        exaone_pool *pool;
        exaone_error err;
        assert_int_equal(exaone_pool_new(n_threads, &pool, &err), EXAONE_OK);
        static job jobs[2];
        pthread_t other;
        jobs[0].pool = jobs[1].pool = pool;
        assert_int_equal(pthread_create(&other, NULL, run_many, &jobs[1]), 0);
        run_many(&jobs[0]);
        pthread_join(other, NULL);
        assert_false(jobs[0].wrong);
        assert_false(jobs[1].wrong);
        exaone_pool_free(pool);
    }
}

static void test_refused(void **state) {
    (void)state;
    exaone_pool *pool;
    exaone_error err;
    assert_int_equal(exaone_pool_new(0, &pool, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_pool_new(513, &pool, &err), EXAONE_ERR_ARGUMENT);
    assert_null(pool);
    exaone_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
