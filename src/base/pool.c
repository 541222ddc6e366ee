/* Thread pool: see pool.h. One job at a time; `state` tells workers that a new one is there. A worker that comes too late,
 * because another program has its core, finds the job closed: its share was taken by the others, and nobody waits for it.
 *
 * Two pairs of "write mine, then read yours" (all sequentially consistent) keep the sides from missing each other: the owner
 * closes the job and then looks who is busy, a worker says that it is busy and then looks whether the job is open; the owner
 * announces a job and then looks whether anybody sleeps, a worker says that it sleeps and then looks for a job. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

enum { SPINS = 4000, MAX_THREADS = 512, PIECES_PER_SHARE = 4, LINE = 64 };
enum { MAX_UNITS = INT32_MAX };

/* One per thread, on a cache line of its own. */
typedef struct {
    /* what is left of its share in units of the grain: the first in the low half, the end in the high half */
    alignas(LINE) _Atomic uint64_t rest;
    atomic_bool busy; /* looks at the job or works on it */
    exaone_pool *pool;
    pthread_t thread;
    int number;
} worker;

struct exaone_pool {
    int n_threads;
    int n_started; /* worker threads running */
    worker *workers;
    pthread_mutex_t run_lock; /* one job at a time */
    pthread_mutex_t lock;     /* guards sleeping */
    pthread_cond_t wake;
    atomic_bool stop;
    bool bound; /* threads are kept on nodes: the first of them was elsewhere before */
    pthread_t first;
    cpu_set_t before;
    /* What workers read when a job comes, on one cache line. The job is written while it is closed and nobody is busy. */
    alignas(LINE) atomic_uint state; /* counts up when a job opens (then it is odd) and when it closes */
    uint32_t piece;                  /* most units that a thread takes at once */
    bool each;                       /* nobody takes from others */
    size_t n, grain;
    exaone_pool_fn *fn;
    void *arg;
    alignas(LINE) atomic_int sleepers;
};

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline uint64_t units(size_t begin, size_t end) {
    return (uint64_t)end << 32 | (uint64_t)begin;
}

static inline bool is_left(uint64_t rest) {
    return (uint32_t)rest < rest >> 32;
}

/* Units taken from w's share, from its front by the thread itself, from its end by others. Half of the rest at most, so that
 * all threads are done at about the same time. */
static bool take(const exaone_pool *pool, worker *w, bool own, size_t *begin, size_t *end) {
    uint64_t rest = atomic_load_explicit(&w->rest, memory_order_relaxed), left;
    do {
        if (!is_left(rest)) {
            return false;
        }
        size_t first = (uint32_t)rest, last = (size_t)(rest >> 32);
        size_t n = (last - first + 1) / 2 < pool->piece ? (last - first + 1) / 2 : pool->piece;
        *begin = own ? first : last - n;
        *end = own ? first + n : last;
        left = own ? units(*end, last) : units(first, *begin);
    } while (!atomic_compare_exchange_weak_explicit(&w->rest, &rest, left, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void work(exaone_pool *pool, int number) {
    int n = pool->each ? 1 : pool->n_threads;
    for (int i = 0; i < n; i++) { /* its own share first, then those of the next ones */
        int other = number + i < pool->n_threads ? number + i : number + i - pool->n_threads;
        size_t begin, end;
        while (take(pool, &pool->workers[other], i == 0, &begin, &end)) {
            size_t last = end * pool->grain;
            pool->fn(pool->arg, number, begin * pool->grain, last < pool->n ? last : pool->n);
        }
    }
}

/* Waits until something happened since `state` was `seen`; first spinning, then asleep. */
static void await_change(exaone_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->state, memory_order_acquire) != seen) {
            return;
        }
        cpu_relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->state) == seen) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
    worker *w = arg;
    exaone_pool *pool = w->pool;
    unsigned seen = 0, done = 0;
    while (!atomic_load_explicit(&pool->stop, memory_order_acquire)) {
        if (seen % 2 == 1 && seen != done) {
            atomic_store(&w->busy, true); /* before looking again: the owner closes first and looks then */
            done = atomic_load(&pool->state);
            if (done % 2 == 1) {
                work(pool, w->number);
            }
            atomic_store_explicit(&w->busy, false, memory_order_release);
            seen = done;
        }
        await_change(pool, seen);
        seen = atomic_load_explicit(&pool->state, memory_order_acquire);
    }
    return NULL;
}

static void next_state(exaone_pool *pool) {
    atomic_fetch_add(&pool->state, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* Keeps a thread on the cores of its node. */
static void bind_thread(pthread_t thread, const exaone_cores *cores, int n_threads, int number) {
    size_t place = exaone_cores_place(cores, n_threads, number);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < cores->n; i++) {
        if (cores->node[i] == cores->node[place]) {
            CPU_SET(cores->cpu[i], &set);
        }
    }
    (void)pthread_setaffinity_np(thread, sizeof set, &set);
}

exaone_status exaone_pool_new(int n_threads, exaone_pool **out, exaone_error *err) {
    return exaone_pool_new_on(n_threads, NULL, out, err);
}

exaone_status exaone_pool_new_on(int n_threads, const exaone_cores *cores, exaone_pool **out, exaone_error *err) {
    *out = NULL;
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "threads: %d is not in 1 .. %d", n_threads, MAX_THREADS);
    }
    exaone_pool *pool = exaone_mem_aligned(1, sizeof *pool);
    worker *workers = exaone_mem_aligned((size_t)n_threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return exaone_fail_memory(err, "the thread pool", (size_t)n_threads * sizeof *workers);
    }
    pool->workers = workers;
    pool->n_threads = n_threads;
    pthread_mutex_init(&pool->run_lock, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int i = 1; i < n_threads; i++) {
        worker *w = &workers[i];
        w->pool = pool;
        w->number = i;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            exaone_pool_free(pool);
            return exaone_fail(err, EXAONE_ERR_MEMORY, "cannot start thread %d of %d", i + 1, n_threads);
        }
        pool->n_started++;
        if (cores) {
            bind_thread(w->thread, cores, n_threads, i);
        }
    }
    if (cores) {
        pool->first = pthread_self();
        pool->bound = pthread_getaffinity_np(pool->first, sizeof pool->before, &pool->before) == 0;
        bind_thread(pool->first, cores, n_threads, 0);
    }
    *out = pool;
    return EXAONE_OK;
}

void exaone_pool_free(exaone_pool *pool) {
    if (!pool) {
        return;
    }
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    next_state(pool);
    for (int i = 1; i <= pool->n_started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    if (pool->bound && pthread_equal(pool->first, pthread_self())) {
        (void)pthread_setaffinity_np(pool->first, sizeof pool->before, &pool->before);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->run_lock);
    free(pool->workers);
    free(pool);
}

bool exaone_pool_is_bound(const exaone_pool *pool) {
    return pool->bound;
}

int exaone_pool_size(const exaone_pool *pool) {
    return pool->n_threads;
}

/* Gives every thread its share: the first n_units % n_threads have one unit more than the others. */
static void open_job(exaone_pool *pool, size_t n, size_t grain) {
    size_t n_units = (n - 1) / grain + 1, n_threads = (size_t)pool->n_threads;
    if (n_units > MAX_UNITS) { /* the grain is at least n / MAX_UNITS then */
        grain *= n_units / MAX_UNITS + 1;
        n_units = (n - 1) / grain + 1;
    }
    size_t share = n_units / n_threads, longer = n_units % n_threads, begin = 0;
    pool->n = n;
    pool->grain = grain;
    pool->piece = share < PIECES_PER_SHARE ? 1 : (uint32_t)(share / PIECES_PER_SHARE);
    for (size_t i = 0; i < n_threads; i++) {
        size_t end = begin + share + (i < longer);
        atomic_store_explicit(&pool->workers[i].rest, units(begin, end), memory_order_relaxed);
        begin = end;
    }
}

static void await_workers(exaone_pool *pool) {
    for (int w = 1; w < pool->n_threads; w++) {
        for (int i = 0; atomic_load(&pool->workers[w].busy); i++) {
            if (i < SPINS) {
                cpu_relax();
            } else {
                sched_yield(); /* a worker lost its core to another program */
            }
        }
    }
}

static void run_job(exaone_pool *pool, size_t n, size_t grain, bool each, exaone_pool_fn *fn, void *arg) {
    open_job(pool, n, grain);
    pool->each = each;
    pool->fn = fn;
    pool->arg = arg;
    next_state(pool);
    work(pool, 0);
    for (int w = 1; w < pool->n_threads && each; w++) {
        while (is_left(atomic_load_explicit(&pool->workers[w].rest, memory_order_relaxed))) {
            sched_yield();
        }
    }
    atomic_fetch_add(&pool->state, 1); /* nobody needs to be woken for this */
    await_workers(pool);
}

void exaone_pool_run(exaone_pool *pool, size_t n, size_t grain, exaone_pool_fn *fn, void *arg) {
    if (n == 0) {
        return;
    }
    pthread_mutex_lock(&pool->run_lock);
    if (grain == 0) {
        grain = 1;
    }
    if (pool->n_threads == 1 || n <= grain) {
        fn(arg, 0, 0, n);
        pthread_mutex_unlock(&pool->run_lock);
        return;
    }
    run_job(pool, n, grain, false, fn, arg);
    pthread_mutex_unlock(&pool->run_lock);
}

void exaone_pool_each(exaone_pool *pool, exaone_pool_fn *fn, void *arg) {
    pthread_mutex_lock(&pool->run_lock);
    run_job(pool, (size_t)pool->n_threads, 1, true, fn, arg);
    pthread_mutex_unlock(&pool->run_lock);
}

typedef struct {
    void (*fn)(void *arg, size_t begin, size_t end);
    void *arg;
} plain_job;

static void plain_call(void *arg, int worker_number, size_t begin, size_t end) {
    (void)worker_number;
    plain_job *job = arg;
    job->fn(job->arg, begin, end);
}

static void parallel_run(void *ctx, size_t n, void (*fn)(void *arg, size_t begin, size_t end), void *arg) {
    plain_job job = {fn, arg};
    exaone_pool_run(ctx, n, 1, plain_call, &job);
}

exaone_parallel exaone_pool_parallel(exaone_pool *pool) {
    return (exaone_parallel){.run = parallel_run, .ctx = pool};
}
