/* State of the CPU backend, shared by its files. */
#ifndef EXAONE_CPU_INTERNAL_H
#define EXAONE_CPU_INTERNAL_H

#include "backend/backend.h"
#include "base/pool.h"
#include "cpu/kernels/kernels.h"

/* Floats of scratch per worker: one packed block of keys and one of values. */
enum { EXAONE_CPU_SCRATCH = 2 * EXAONE_KV_PAGE * EXAONE_MAX_HEAD_DIM };

typedef struct exaone_cpu {
    exaone_backend be;
    exaone_kernels kernels;
    exaone_pool *pool;
    float *scratch; /* [workers, EXAONE_CPU_SCRATCH] */
} exaone_cpu;

void exaone_cpu_store_kv(exaone_backend *be, const exaone_attention *a, const float *k, const float *v);
void exaone_cpu_attention(exaone_backend *be, float *out, const float *q, const exaone_attention *a);
void exaone_cpu_segment_attention(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                                  const exaone_segments *s);

#endif
