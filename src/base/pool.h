/* A thread pool: the calling thread and n - 1 workers split a range of indices.
 *
 * The range is cut into one share per thread, always the same for the same n, so a thread meets the same rows of weights
 * again in every pass; a thread that is done takes from what the others have left, so an interrupted core does not hold them
 * up. Because every index is computed by itself, the split never shows in a result. Workers spin for some microseconds
 * between jobs (a decode step is hundreds of small jobs) and then sleep; nobody makes a system call while all are awake.
 * Several threads may call run at the same time: they take turns. */
#ifndef EXAONE_BASE_POOL_H
#define EXAONE_BASE_POOL_H

#include "base/cores.h"
#include <stdbool.h>

#include "base/parallel.h"
#include "exaone/status.h"

typedef struct exaone_pool exaone_pool;

/* n_threads counts the caller: 1 starts no thread. Owned by the caller: exaone_pool_free. */
EXAONE_MUST_USE exaone_status exaone_pool_new(int n_threads, exaone_pool **out, exaone_error *err);
/* The same with each thread kept on the cores of one memory node, thread i on that of core exaone_cores_place(cores, n, i).
 * The calling thread, which is thread 0, stays so until the pool is freed by it; threads that it starts inherit that. What
 * the system refuses is left as it was. */
EXAONE_MUST_USE exaone_status exaone_pool_new_on(int n_threads, const exaone_cores *cores, exaone_pool **out,
                                                 exaone_error *err);
void exaone_pool_free(exaone_pool *pool); /* NULL is fine; no run may be going on */
int exaone_pool_size(const exaone_pool *pool);
/* Whether threads are kept on memory nodes: then work should keep to the shares of neighbouring indices. */
bool exaone_pool_is_bound(const exaone_pool *pool);

/* fn(arg, worker, begin, end), worker in 0 .. size-1: two calls with the same worker number never overlap (scratch memory).
 */
typedef void exaone_pool_fn(void *arg, int worker, size_t begin, size_t end);

/* Covers 0 .. n-1 in pieces that begin at multiples of `grain`, all but the last at least so long. */
void exaone_pool_run(exaone_pool *pool, size_t n, size_t grain, exaone_pool_fn *fn, void *arg);

/* Calls fn(arg, i, i, i + 1) on every thread i, each on its own whatever the others do, and waits for all. */
void exaone_pool_each(exaone_pool *pool, exaone_pool_fn *fn, void *arg);

/* The pool as an exaone_parallel; valid as long as the pool. */
exaone_parallel exaone_pool_parallel(exaone_pool *pool);

#endif
