/* Tensors on their way into a new file: see stream.h. Memory: one step of encoded rows and one row per thread; what was read
 * of the source is given back to the system after each step. */
#include "quant/stream.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "quant/encode.h"

enum { STEP_ELEMENTS = 1 << 22, COPY_BYTES = 8 << 20, GRAIN_ELEMENTS = 1 << 14 };
static const float F16_MAX = 65504;

/* No value beyond this size can be written in the type: its largest scale times its largest level. 0: there is none. */
static float largest(exaone_dtype type) {
    switch (type) {
    case EXAONE_F16:
        return F16_MAX;
    case EXAONE_BF16:
        return 3.38953139e38F;
    case EXAONE_Q8_0:
        return F16_MAX * 128;
    case EXAONE_Q4_0:
        return F16_MAX * 8;
    case EXAONE_Q5_0:
        return F16_MAX * 16;
    case EXAONE_Q4_1:
        return F16_MAX * 16; /* 15 steps and the minimum */
    case EXAONE_Q5_1:
        return F16_MAX * 32;
    case EXAONE_Q2_K:
        return F16_MAX * 15 * 3;
    case EXAONE_Q3_K:
        return F16_MAX * 32 * 4;
    case EXAONE_Q4_K:
        return F16_MAX * 63 * 15;
    case EXAONE_Q5_K:
        return F16_MAX * 63 * 31;
    case EXAONE_Q6_K:
        return F16_MAX * 128 * 32;
    case EXAONE_IQ4_NL:
        return F16_MAX * 127;
    case EXAONE_IQ4_XS:
        return F16_MAX * 32 * 127;
    case EXAONE_MXFP4:
        return 0x1.8p127F;
    default:
        return 0;
    }
}

/* Rows encoded together; at least one. */
static size_t rows_per_step(const exaone_plan_tensor *t) {
    size_t n = t->columns ? STEP_ELEMENTS / t->columns : 1;
    return n < 1 ? 1 : n < t->rows ? n : t->rows;
}

static bool is_copied(const exaone_plan_tensor *t) {
    return !t->values && !t->scaled && t->slice < 0 && t->type == t->weight.dtype;
}

exaone_status exaone_stream_init(exaone_stream *s, const exaone_plan *plan, int threads,
                                 exaone_quantize_progress_fn *progress, void *ctx, exaone_error *err) {
    *s = (exaone_stream){.progress = progress, .ctx = ctx, .at = {.count = plan->count, .total = plan->source_bytes}};
    for (size_t i = 0; i < plan->count; i++) {
        const exaone_plan_tensor *t = &plan->tensors[i];
        size_t bytes = t->rows ? t->bytes / t->rows * rows_per_step(t) : 0;
        if (!is_copied(t)) {
            s->encoded_bytes = bytes > s->encoded_bytes ? bytes : s->encoded_bytes;
            s->columns = t->columns > s->columns ? t->columns : s->columns;
        }
    }
    exaone_status status = exaone_pool_new(threads, &s->pool, err);
    if (status) {
        return status;
    }
    size_t floats;
    s->encoded = exaone_mem_array(s->encoded_bytes, 1);
    s->rows = exaone_size_mul((size_t)exaone_pool_size(s->pool), s->columns, &floats)
                  ? exaone_mem_array(floats, sizeof *s->rows)
                  : NULL;
    return s->encoded && s->rows ? EXAONE_OK : exaone_fail_memory(err, "encoding", s->encoded_bytes + s->columns * 4);
}

void exaone_stream_release(exaone_stream *s) {
    exaone_pool_free(s->pool);
    free(s->encoded);
    free(s->rows);
    *s = (exaone_stream){0};
}

static exaone_status report(exaone_stream *s, const exaone_plan_tensor *t, exaone_error *err) {
    s->at.tensor = t->name;
    s->at.type = exaone_dtype_name(t->type);
    return !s->progress || s->progress(s->ctx, &s->at)
               ? EXAONE_OK
               : exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped at %s, tensor %zu of %zu", t->name, s->at.index + 1,
                             s->at.count);
}

/* ---- encoding ------------------------------------------------------------------------------------------------------------
 */

typedef struct step {
    exaone_stream *s;
    const exaone_plan_tensor *t;
    size_t first; /* row of the tensor */
    size_t row_bytes;
    pthread_mutex_t lock; /* of what follows */
    exaone_status status;
    size_t failed_row;
    exaone_error err;
    uint64_t n_clamped;
} step;

/* Of the faults in one step the first row's is kept, so that the message does not depend on the threads. */
static void fail_row(step *p, size_t row, const exaone_error *err) {
    pthread_mutex_lock(&p->lock);
    if (p->status == EXAONE_OK || row < p->failed_row) {
        p->status = err->code;
        p->failed_row = row;
        p->err = *err;
    }
    pthread_mutex_unlock(&p->lock);
}

static void read_row(const exaone_plan_tensor *t, size_t row, float *to) {
    if (t->values) {
        memcpy(to, t->values + row * t->columns, t->columns * sizeof *to);
        return;
    }
    if (t->scaled) {
        exaone_matrix_row_f32(&t->matrix, row, to);
        return;
    }
    size_t stored = t->slice < 0 ? row : 2 * row + (size_t)t->slice, bytes = 0;
    (void)exaone_dtype_row_bytes(t->weight.dtype, t->columns, &bytes); /* a whole number of blocks: the file was checked */
    exaone_dtype_to_f32(t->weight.dtype, t->weight.data + stored * bytes, t->columns, to);
}

static bool check_row(step *p, size_t row, const float *x) {
    const exaone_plan_tensor *t = p->t;
    float limit = largest(t->type);
    uint64_t beyond = 0;
    for (size_t i = 0; i < t->columns; i++) {
        if (!isfinite(x[i])) {
            exaone_error err = {0};
            exaone_fail(&err, EXAONE_ERR_ARGUMENT, "%s: %s: row %zu, column %zu is %g, which %s cannot hold",
                        t->weight.file ? t->weight.file : "made", t->weight.name ? t->weight.name : t->name, row, i,
                        (double)x[i], exaone_dtype_name(t->type));
            fail_row(p, row, &err);
            return false;
        }
        beyond += limit > 0 && fabsf(x[i]) > limit;
    }
    if (beyond > 0) {
        pthread_mutex_lock(&p->lock);
        p->n_clamped += beyond;
        pthread_mutex_unlock(&p->lock);
    }
    return true;
}

static void encode_rows(void *arg, int worker, size_t begin, size_t end) {
    step *p = arg;
    const exaone_plan_tensor *t = p->t;
    float *x = p->s->rows + (size_t)worker * p->s->columns;
    for (size_t i = begin; i < end; i++) {
        exaone_error err = {0};
        read_row(t, p->first + i, x);
        if (!check_row(p, p->first + i, x)) {
            return;
        }
        if (exaone_encode_rows(t->type, x, 1, t->columns, t->importance, p->s->encoded + i * p->row_bytes, &err)) {
            exaone_fail_context(&err, err.code, "%s, row %zu", t->name, p->first + i);
            fail_row(p, p->first + i, &err);
            return;
        }
    }
}

static exaone_status encode(exaone_stream *s, const exaone_plan_tensor *t, exaone_writer *out, exaone_error *err) {
    size_t each = rows_per_step(t), grain = GRAIN_ELEMENTS / t->columns, source_row = 0;
    step p = {.s = s, .t = t, .row_bytes = t->bytes / t->rows, .lock = PTHREAD_MUTEX_INITIALIZER};
    if (t->scaled) {
        source_row = t->weight.bytes / t->rows;
    } else if (!t->values) {
        (void)exaone_dtype_row_bytes(t->weight.dtype, t->columns, &source_row);
    }
    exaone_status status = EXAONE_OK;
    for (p.first = 0; p.first < t->rows && status == EXAONE_OK; p.first += each) {
        size_t n = t->rows - p.first < each ? t->rows - p.first : each;
        exaone_pool_run(s->pool, n, grain ? grain : 1, encode_rows, &p);
        if (p.status) {
            status = p.status;
            if (err) {
                *err = p.err;
            }
            break;
        }
        exaone_writer_put(out, s->encoded, n * p.row_bytes);
        if (!t->values) {
            size_t scale = t->slice < 0 ? 1 : 2;
            exaone_map_forget(t->weight.data + p.first * source_row * scale, n * source_row * scale);
            s->at.done += n * source_row;
        }
        status = report(s, t, err);
    }
    *(t->type == EXAONE_F16 ? &s->n_clamped : &s->n_clamped_blocks) += p.n_clamped;
    s->clamped = p.n_clamped > 0 && t->type != EXAONE_F16 && !s->clamped ? t : s->clamped;
    pthread_mutex_destroy(&p.lock);
    return status;
}

static exaone_status copy(exaone_stream *s, const exaone_plan_tensor *t, exaone_writer *out, exaone_error *err) {
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < t->bytes && status == EXAONE_OK; i += COPY_BYTES) {
        size_t n = t->bytes - i < COPY_BYTES ? t->bytes - i : COPY_BYTES;
        exaone_writer_put(out, t->weight.data + i, n);
        exaone_map_forget(t->weight.data + i, n);
        s->at.done += n;
        status = report(s, t, err);
    }
    return status;
}

exaone_status exaone_stream_tensor(exaone_stream *s, const exaone_plan_tensor *t, exaone_writer *out, exaone_error *err) {
    if (out->saved_errno) { /* the writer tells it; going on would only take time */
        return exaone_writer_finish(out, err);
    }
    exaone_status status = EXAONE_OK;
    if (t->bytes > 0) {
        status = is_copied(t) ? copy(s, t, out, err) : encode(s, t, out, err);
    }
    s->at.index++;
    return status;
}
