/* Tensors on their way from a mapped file into a new one: some megabytes at a time, rows spread over threads. */
#ifndef EXAONE_QUANT_STREAM_H
#define EXAONE_QUANT_STREAM_H

#include "base/pool.h"
#include "quant/plan.h"
#include "weights/writer.h"

typedef struct exaone_stream {
    exaone_pool *pool;
    uint8_t *encoded; /* [encoded_bytes]: the rows of one step */
    float *rows;      /* [threads][columns]: what each thread has in work */
    size_t encoded_bytes, columns;
    exaone_quantize_progress_fn *progress; /* NULL: none */
    void *ctx;
    exaone_quantize_progress at;
    uint64_t n_clamped, n_clamped_blocks; /* values beyond what F16, what another type holds */
    const exaone_plan_tensor *clamped;    /* the first of the others; belongs to the plan */
} exaone_stream;

/* Room for every tensor of the plan. Errors: EXAONE_ERR_MEMORY, _LIMIT. Release also after a failure. */
EXAONE_MUST_USE exaone_status exaone_stream_init(exaone_stream *s, const exaone_plan *plan, int threads,
                                                 exaone_quantize_progress_fn *progress, void *ctx, exaone_error *err);
void exaone_stream_release(exaone_stream *s);

/* Writes one tensor. Errors: EXAONE_ERR_ARGUMENT (a value that is not finite: tensor, row, column), _CANCELLED. A fault of
 * the disk is told by the writer. */
EXAONE_MUST_USE exaone_status exaone_stream_tensor(exaone_stream *s, const exaone_plan_tensor *t, exaone_writer *out,
                                                   exaone_error *err);

#endif
