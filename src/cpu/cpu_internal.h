/* State of the CPU backend, shared by its files. */
#ifndef EXAONE_CPU_INTERNAL_H
#define EXAONE_CPU_INTERNAL_H

#include <pthread.h>

#include "backend/backend.h"
#include "base/pool.h"
#include "cpu/kernels/kernels.h"
#include "cpu/online.h"

/* Numbers kept of a call whose contexts are cut into spans (attention.c). */
enum { EXAONE_PARTIAL_FLOATS = 2 << 20 };

typedef struct exaone_cpu {
    exaone_backend be;
    exaone_kernels kernels;
    exaone_pool *pool;
    exaone_attention_scratch *scratch; /* [workers] */
    exaone_precision precision;
    pthread_mutex_t
        shared;      /* of the memory below: one operation at a time uses it, whatever thread of the program it is of */
    float *partials; /* [EXAONE_PARTIAL_FLOATS]: no page of it is there before a long context needs it */
    /* Products with other types than F32, F16 and BF16: memory for rows of up to max_features columns. */
    size_t max_features;
    exaone_q8_rows rows;     /* levels without tiles: [64, max_features] */
    exaone_q8_panel *panels; /* levels with tiles: [max_features / 256, rows of the call, at most EXAONE_CPU_ROWS] */
    struct exaone_tile_scratch *tile_scratch; /* [workers] */
    uint8_t *unpacked;                        /* [workers, unpacked_bytes]: weight rows taken apart, or as f32 */
    size_t unpacked_bytes;
    struct exaone_chain_scratch *chain_scratch; /* [workers], of products of many rows with plain types (matmul_plain.c) */
    /* Products with BF16 matrices of up to max_bf16 columns, where the level has planes (matmul_bf16.c). */
    size_t max_bf16;
    uint16_t *planes;                           /* of 256 rows of max_bf16 columns, or more rows of fewer */
    struct exaone_plane_scratch *plane_scratch; /* [workers] */
} exaone_cpu;

enum { EXAONE_CPU_ROWS = 256 }; /* activations made 8-bit at a time, at most */

bool exaone_cpu_plain_init(exaone_cpu *cpu);  /* false: no memory; released with the rest */
bool exaone_cpu_matmul_init(exaone_cpu *cpu); /* false: no mutex */
void exaone_cpu_matmul_release(exaone_cpu *cpu);
exaone_status exaone_cpu_prepare(exaone_backend *be, size_t max_features, size_t max_bf16, exaone_error *err);
exaone_status exaone_cpu_bf16_prepare(exaone_cpu *cpu, size_t max_bf16, exaone_error *err); /* its part of it */
void exaone_cpu_bf16_release(exaone_cpu *cpu);
void exaone_cpu_embed(exaone_backend *be, float *out, const exaone_matrix *w, const int32_t *ids, size_t n);
void exaone_cpu_matmul(exaone_backend *be, float *out, size_t out_stride, const float *x, const exaone_matrix *w, size_t n);
/* The same by tiles, for the levels that have them and types that become 8-bit; and its memory for rows of n columns, a
 * multiple of 256. */
void exaone_cpu_matmul_tiles(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                             size_t n);
bool exaone_cpu_tiles_reserve(exaone_cpu *cpu, size_t n, size_t workers);
/* The same for w of F32, BF16 or F16. */
void exaone_cpu_matmul_plain(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                             size_t n);
/* For w of BF16 where the level has planes. */
void exaone_cpu_matmul_bf16(exaone_cpu *cpu, float *out, size_t out_stride, const float *x, const exaone_matrix *w,
                            size_t n);

void exaone_cpu_store_kv(exaone_backend *be, const exaone_attention *a, const float *k, const float *v);
void exaone_cpu_attention(exaone_backend *be, float *out, const float *q, const exaone_attention *a);
void exaone_cpu_segment_attention(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                                  const exaone_segments *s);

#endif
