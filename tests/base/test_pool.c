/* The thread pool: every index is worked on once, by a worker number that exists, whatever the number of threads and however
 * short the jobs; several owners take turns; shares are the same each time; nobody waits for a worker that does not
 * come. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

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

/* ---- pieces ---- */

typedef struct {
    atomic_size_t covered, calls;
    size_t n, grain;
    atomic_bool wrong;
} pieces;

static void count(void *arg, int worker, size_t begin, size_t end) {
    (void)worker;
    pieces *p = arg;
    if (begin % p->grain != 0 || end <= begin || end > p->n || (end != p->n && end % p->grain != 0)) {
        p->wrong = true;
    }
    p->covered += end - begin;
    p->calls++;
}

/* Pieces begin at multiples of the grain, also where the number of grains needs more than 32 bits; and a share is not cut
 * into more than a few pieces: quarters, and halves of what is left of the last ones. */
static void test_pieces(void **state) {
    (void)state;
    static const struct {
        size_t n, grain;
    } cases[] = {{7, 3},           {64, 1}, {100, 7}, {1000, 1000}, {1001, 1000}, {12345, 64}, {(size_t)1 << 33, 1},
                 {SIZE_MAX / 2, 1}};
    exaone_error err;
    exaone_pool *pool;
    assert_int_equal(exaone_pool_new(3, &pool, &err), EXAONE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pieces p = {.n = cases[i].n, .grain = cases[i].grain};
        exaone_pool_run(pool, p.n, p.grain, count, &p);
        assert_int_equal(p.covered, p.n);
        assert_false(p.wrong);
        /* of 31 bits of units: 3 shares of 3 quarters and at most 29 halves, as many again by those who take from others */
        assert_in_range(p.calls, 1, 200);
    }
    exaone_pool_free(pool);
}

/* ---- shares ---- */

enum { SHARES = 4, ROWS = 1000 };

typedef struct {
    atomic_int arrived;
    int by[ROWS];
} shared;

static void stay(void *arg, int worker, size_t begin, size_t end) {
    shared *s = arg;
    if (begin == (size_t)worker * ROWS / SHARES) { /* the first piece of a share: wait until everybody has one */
        s->arrived++;
        while (s->arrived < SHARES) {
        }
    }
    for (size_t i = begin; i < end; i++) {
        s->by[i] = worker;
    }
}

/* Thread k begins with the rows from k / SHARES of all on, each time: here nobody can take from others before everybody has
 * begun with its own. */
static void test_shares(void **state) {
    (void)state;
    exaone_error err;
    exaone_pool *pool;
    assert_int_equal(exaone_pool_new(SHARES, &pool, &err), EXAONE_OK);
    for (int round = 0; round < 20; round++) {
        static shared s;
        s.arrived = 0;
        exaone_pool_run(pool, ROWS, 1, stay, &s);
        for (int k = 0; k < SHARES; k++) {
            assert_int_equal(s.by[k * ROWS / SHARES], k);
        }
    }
    exaone_pool_free(pool);
}

/* ---- a worker that does not come ---- */

static atomic_bool held, release_held;

static void hold(int signal_number) {
    (void)signal_number;
    held = true;
    while (!release_held) {
    }
}

typedef struct {
    pthread_t threads[2];
    atomic_int arrived;
} who;

static void meet(void *arg, int worker, size_t begin, size_t end) {
    (void)end;
    who *w = arg;
    if (begin == (size_t)worker) {
        w->threads[worker] = pthread_self();
        w->arrived++;
        while (w->arrived < 2) {
        }
    }
}

static void note(void *arg, int worker, size_t begin, size_t end) {
    int *by = arg;
    for (size_t i = begin; i < end; i++) {
        by[i] += 1 + worker;
    }
}

/* A worker kept from its core (by a signal handler that does not return) holds nobody up: the owner does its share too. */
static void test_late(void **state) {
    (void)state;
    exaone_error err;
    exaone_pool *pool;
    assert_int_equal(exaone_pool_new(2, &pool, &err), EXAONE_OK);
    who w = {.arrived = 0};
    exaone_pool_run(pool, 2, 1, meet, &w);
    struct sigaction action = {.sa_handler = hold}, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL); /* the worker has gone to sleep */
    assert_int_equal(pthread_kill(w.threads[1], SIGUSR1), 0);
    while (!held) {
    }
    for (int round = 0; round < 100; round++) {
        int by[ROWS] = {0};
        exaone_pool_run(pool, ROWS, 1, note, by);
        for (size_t i = 0; i < ROWS; i++) {
            assert_int_equal(by[i], 1);
        }
    }
    release_held = true;
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    w.arrived = 0;
    exaone_pool_run(pool, 2, 1, meet, &w); /* and it comes back */
    exaone_pool_free(pool);
}

/* Between jobs the workers fall asleep, and wake for the next. */
static void test_asleep(void **state) {
    (void)state;
    exaone_error err;
    exaone_pool *pool;
    assert_int_equal(exaone_pool_new(2, &pool, &err), EXAONE_OK);
    for (int round = 0; round < 50; round++) {
        nanosleep(&(struct timespec){.tv_nsec = round % 5 * 1000 * 1000}, NULL);
        who w = {.arrived = 0};
        exaone_pool_run(pool, 2, 1, meet, &w); /* returns only if the worker came */
    }
    exaone_pool_free(pool);
}

/* ---- every thread ---- */

static void mark(void *arg, int worker, size_t begin, size_t end) {
    who *w = arg;
    assert_int_equal(begin, worker);
    assert_int_equal(end, worker + 1);
    w->threads[worker] = pthread_self();
    w->arrived++;
}

static void test_each(void **state) {
    (void)state;
    exaone_error err;
    exaone_pool *pool;
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        assert_int_equal(exaone_pool_new(n_threads, &pool, &err), EXAONE_OK);
        for (int round = 0; round < 1000; round++) {
            who w = {.arrived = 0};
            exaone_pool_each(pool, mark, &w);
            assert_int_equal(w.arrived, n_threads);
            assert_true(pthread_equal(w.threads[0], pthread_self()));
            assert_true(n_threads == 1 || !pthread_equal(w.threads[1], pthread_self()));
        }
        exaone_pool_free(pool);
    }
}

/* ---- nodes ---- */

static void affinity(void *arg, int worker, size_t begin, size_t end) {
    (void)begin;
    (void)end;
    cpu_set_t *sets = arg;
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof sets[worker], &sets[worker]), 0);
}

/* Threads stay on the cores of their node, and the first goes back to where it was. The machine may have one core only: then
 * both nodes are that one. */
static void test_nodes(void **state) {
    (void)state;
    exaone_error err;
    exaone_cores here, cores = {.n = 2, .node = {0, 1}, .n_nodes = 2};
    exaone_cores_here(&here);
    cores.cpu[0] = here.cpu[0];
    cores.cpu[1] = here.cpu[here.n - 1];
    cpu_set_t before, after, sets[4];
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof before, &before), 0);
    exaone_pool *pool;
    assert_int_equal(exaone_pool_new_on(4, &cores, &pool, &err), EXAONE_OK);
    exaone_pool_each(pool, affinity, sets);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(CPU_COUNT(&sets[i]), 1);
        assert_true(CPU_ISSET(cores.cpu[i / 2], &sets[i]));
    }
    exaone_pool_free(pool);
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    cores.cpu[0] = cores.cpu[1] = EXAONE_MAX_CPUS - 1; /* no such CPU: threads stay where they are */
    assert_int_equal(exaone_pool_new_on(2, &cores, &pool, &err), EXAONE_OK);
    exaone_pool_each(pool, affinity, sets);
    assert_true(here.n == EXAONE_MAX_CPUS || (CPU_EQUAL(&before, &sets[0]) && CPU_EQUAL(&before, &sets[1])));
    exaone_pool_free(pool);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once),   cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_shares), cmocka_unit_test(test_late),
                                       cmocka_unit_test(test_asleep), cmocka_unit_test(test_each),
                                       cmocka_unit_test(test_nodes),  cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
