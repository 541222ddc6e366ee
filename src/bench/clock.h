/* Seconds that pass, from no particular time on. */
#ifndef EXAONE_BENCH_CLOCK_H
#define EXAONE_BENCH_CLOCK_H

#include <time.h>

static inline double exaone_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
