/* "Run this over many indices, perhaps on several threads": the one thing that media and kernels need from a thread pool. */
#ifndef EXAONE_PARALLEL_H
#define EXAONE_PARALLEL_H

#include <stddef.h>

/* Calls fn(arg, begin, end) for ranges that cover 0 .. n-1 exactly once, and returns when all are done. The ranges may run
 * at the same time; fn must compute each index from that index alone, so that results do not depend on the split. */
typedef struct exaone_parallel {
    void (*run)(void *ctx, size_t n, void (*fn)(void *arg, size_t begin, size_t end), void *arg);
    void *ctx;
} exaone_parallel;

/* `p` may be NULL: serial. */
static inline void exaone_parallel_run(const exaone_parallel *p, size_t n, void (*fn)(void *arg, size_t begin, size_t end),
                                       void *arg) {
    if (p && p->run) {
        p->run(p->ctx, n, fn, arg);
    } else if (n > 0) {
        fn(arg, 0, n);
    }
}

#endif
