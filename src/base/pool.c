/* Thread pool: see pool.h. One job at a time; `generation` tells workers that a new one is there. A worker that comes too
 * late, because another program has its core, finds the job closed: nobody waits for it. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

enum { SPINS = 4000, MAX_THREADS = 512, MAX_DEFAULT_THREADS = 64, CHUNKS_PER_THREAD = 4 };

typedef struct {
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
    atomic_uint generation;
    atomic_int inside; /* workers that look at the job or work on it */
    atomic_bool open;  /* there is a job to take part in */
    atomic_bool stop;
    /* the job: written while it is closed and nobody is inside */
    size_t n, chunk;
    atomic_size_t next;
    exaone_pool_fn *fn;
    void *arg;
};

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void work(exaone_pool *pool, int number) {
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&pool->next, pool->chunk, memory_order_relaxed);
        if (begin >= pool->n) {
            return;
        }
        size_t end = pool->n - begin < pool->chunk ? pool->n : begin + pool->chunk;
        pool->fn(pool->arg, number, begin, end);
    }
}

static void *worker_main(void *arg) {
    worker *w = arg;
    exaone_pool *pool = w->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&pool->generation, memory_order_acquire) == seen; i++) {
            cpu_relax();
        }
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen) {
            pthread_mutex_lock(&pool->lock);
            while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen) {
                pthread_cond_wait(&pool->wake, &pool->lock);
            }
            pthread_mutex_unlock(&pool->lock);
        }
        seen = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (atomic_load_explicit(&pool->stop, memory_order_acquire)) {
            return NULL;
        }
        atomic_fetch_add(&pool->inside, 1); /* before looking: the owner closes first and counts then */
        if (atomic_load(&pool->open)) {
            work(pool, w->number);
        }
        atomic_fetch_sub(&pool->inside, 1);
    }
}

static void next_generation(exaone_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

exaone_status exaone_pool_new(int n_threads, exaone_pool **out, exaone_error *err) {
    *out = NULL;
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "threads: %d is not in 1 .. %d", n_threads, MAX_THREADS);
    }
    exaone_pool *pool = exaone_mem_array(1, sizeof *pool);
    worker *workers = exaone_mem_array((size_t)n_threads, sizeof *workers);
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
        worker *w = &workers[pool->n_started];
        *w = (worker){.pool = pool, .number = i};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            exaone_pool_free(pool);
            return exaone_fail(err, EXAONE_ERR_MEMORY, "cannot start thread %d of %d", i + 1, n_threads);
        }
        pool->n_started++;
    }
    *out = pool;
    return EXAONE_OK;
}

void exaone_pool_free(exaone_pool *pool) {
    if (!pool) {
        return;
    }
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    next_generation(pool);
    for (int i = 0; i < pool->n_started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->run_lock);
    free(pool->workers);
    free(pool);
}

int exaone_pool_cores(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > MAX_DEFAULT_THREADS ? MAX_DEFAULT_THREADS : n;
}

int exaone_pool_size(const exaone_pool *pool) {
    return pool->n_threads;
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
    size_t chunk = n / ((size_t)pool->n_threads * CHUNKS_PER_THREAD);
    chunk = chunk < grain ? grain : (chunk + grain - 1) / grain * grain;
    pool->n = n;
    pool->chunk = chunk;
    pool->fn = fn;
    pool->arg = arg;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store(&pool->open, true);
    next_generation(pool);
    work(pool, 0);
    atomic_store(&pool->open, false);
    for (int i = 0; atomic_load(&pool->inside) > 0; i++) {
        if (i < SPINS) {
            cpu_relax();
        } else {
            sched_yield(); /* a worker lost its core to another program */
        }
    }
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
