/* Timing of kernels: each entry of the table on data in the cache, one thread. */
#ifndef BENCH_CHECKS_SPEED_H
#define BENCH_CHECKS_SPEED_H

#include <stdbool.h>

#include "cpu/kernels/kernels.h"

/* What a kernel is held against: a peak of arithmetic, or the speed of reading memory. */
typedef enum { SPEED_FMA, SPEED_BF16, SPEED_INT8, SPEED_READING } speed_wall;

typedef struct speed {
    const char *kernel;
    char form[48];   /* "Q4_K, 60 rows" */
    double rate;     /* multiply-adds a second; SPEED_READING: bytes a second */
    speed_wall wall; /* bytes: of the stored form of weights, else read and written */
} speed;

typedef void speed_tell(void *ctx, const speed *s);

/* Times every entry that `wanted` wants, each form for about `seconds`. False: no memory. */
bool speed_run(const exaone_kernels *k, bool (*wanted)(void *ctx, const char *kernel), double seconds, speed_tell *tell,
               void *ctx);

#endif
