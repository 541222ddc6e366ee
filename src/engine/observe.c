/* Counting activations: see observe.h. Sums are f64 and do not depend on the number of threads: each column is added up by
 * one thread, row after row. Matrices are known by where their data lies, so the model code needs no names. */
#include "engine/observe.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { ROWS_AT_ONCE = 32, COLUMN_GRAIN = 512 };

typedef struct watched {
    const void *data; /* of the matrix */
    exaone_imatrix_entry *entry;
} watched;

typedef struct observer {
    exaone_backend be; /* first: the functions get a pointer to it */
    exaone_backend *inner;
    exaone_imatrix *im;
    exaone_pool *pool;
    pthread_mutex_t lock; /* of the sums and of `rows`: several threads may share an engine */
    watched *list;        /* [count], sorted by data */
    size_t count, cap;
    float *rows; /* [ROWS_AT_ONCE, widest] */
} observer;

static observer *self(exaone_backend *be) {
    return (observer *)be;
}

#define INNER exaone_backend *inner = self(be)->inner

/* ---- counting ------------------------------------------------------------------------------------------------------------
 */

typedef struct addition {
    const float *x; /* [n, columns] host */
    size_t n, columns;
    double *sum;
} addition;

static void add_columns(void *arg, int worker, size_t begin, size_t end) {
    addition *a = arg;
    (void)worker;
    for (size_t r = 0; r < a->n; r++) {
        const float *x = a->x + r * a->columns;
        for (size_t i = begin; i < end; i++) {
            a->sum[i] += (double)x[i] * (double)x[i];
        }
    }
}

static int by_data(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const watched *)a)->data, y = (uintptr_t)((const watched *)b)->data;
    return x < y ? -1 : x > y;
}

static void count_rows(observer *o, const exaone_matrix *w, const float *x, size_t n) {
    watched key = {.data = w->data};
    const watched *found = o->count ? bsearch(&key, o->list, o->count, sizeof key, by_data) : NULL;
    if (!found || found->entry->n != w->in_features) {
        return;
    }
    pthread_mutex_lock(&o->lock);
    for (size_t at = 0; at < n; at += ROWS_AT_ONCE) {
        size_t part = n - at < ROWS_AT_ONCE ? n - at : ROWS_AT_ONCE, columns = w->in_features;
        o->inner->download(o->inner, o->rows, x + at * columns, part * columns * sizeof *x);
        addition a = {o->rows, part, columns, found->entry->sum};
        exaone_pool_run(o->pool, columns, COLUMN_GRAIN, add_columns, &a);
    }
    found->entry->rows += (double)n;
    pthread_mutex_unlock(&o->lock);
}

static void matmul(exaone_backend *be, float *out, size_t out_stride, const float *x, const exaone_matrix *w, size_t n) {
    INNER;
    count_rows(self(be), w, x, n);
    inner->matmul(inner, out, out_stride, x, w, n);
}

/* ---- passing on ----------------------------------------------------------------------------------------------------------
 */

static void close_both(exaone_backend *be) {
    observer *o = self(be);
    o->inner->close(o->inner);
    pthread_mutex_destroy(&o->lock);
    free(o->list);
    free(o->rows);
    free(o);
}

static void *alloc(exaone_backend *be, size_t bytes) {
    INNER;
    return inner->alloc(inner, bytes);
}

static void release(exaone_backend *be, void *device) {
    INNER;
    inner->release(inner, device);
}

static void upload(exaone_backend *be, void *device, const void *host, size_t bytes) {
    INNER;
    inner->upload(inner, device, host, bytes);
}

static void download(exaone_backend *be, void *host, const void *device, size_t bytes) {
    INNER;
    inner->download(inner, host, device, bytes);
}

static void copy(exaone_backend *be, void *device, const void *from, size_t bytes) {
    INNER;
    inner->copy(inner, device, from, bytes);
}

static exaone_status prepare(exaone_backend *be, size_t max_features, size_t max_bf16, exaone_error *err) {
    INNER;
    return inner->prepare(inner, max_features, max_bf16, err);
}

static void embed(exaone_backend *be, float *out, const exaone_matrix *w, const int32_t *ids, size_t n) {
    INNER;
    inner->embed(inner, out, w, ids, n);
}

static void rms_norm(exaone_backend *be, float *out, size_t out_stride, const float *x, size_t x_stride, const float *w,
                     size_t n, size_t n_cols, float eps) {
    INNER;
    inner->rms_norm(inner, out, out_stride, x, x_stride, w, n, n_cols, eps);
}

static void add(exaone_backend *be, float *x, const float *y, size_t n, size_t n_cols) {
    INNER;
    inner->add(inner, x, y, n, n_cols);
}

static void rope(exaone_backend *be, float *x, size_t stride, const float *cos, const float *sin, size_t n, size_t n_heads,
                 size_t head_dim) {
    INNER;
    inner->rope(inner, x, stride, cos, sin, n, n_heads, head_dim);
}

static void silu_mul(exaone_backend *be, float *gate, const float *up, size_t n, size_t n_cols) {
    INNER;
    inner->silu_mul(inner, gate, up, n, n_cols);
}

static void gelu_erf(exaone_backend *be, float *x, size_t n) {
    INNER;
    inner->gelu_erf(inner, x, n);
}

static void gather_rows(exaone_backend *be, float *out, const float *x, const int32_t *order, size_t n, size_t n_cols) {
    INNER;
    inner->gather_rows(inner, out, x, order, n, n_cols);
}

static void scatter_rows(exaone_backend *be, float *x, const float *y, const int32_t *order, size_t n, size_t n_cols) {
    INNER;
    inner->scatter_rows(inner, x, y, order, n, n_cols);
}

static void store_kv(exaone_backend *be, const exaone_attention *a, const float *k, const float *v) {
    INNER;
    inner->store_kv(inner, a, k, v);
}

static void attention(exaone_backend *be, float *out, const float *q, const exaone_attention *a) {
    INNER;
    inner->attention(inner, out, q, a);
}

static void segment_attention(exaone_backend *be, float *out, const float *q, const float *k, const float *v,
                              const exaone_segments *s) {
    INNER;
    inner->segment_attention(inner, out, q, k, v, s);
}

exaone_status exaone_observe(exaone_backend **be, exaone_imatrix *im, exaone_pool *pool, exaone_error *err) {
    observer *o = exaone_mem_array(1, sizeof *o);
    if (!o) {
        return exaone_fail_memory(err, "the observer", sizeof *o);
    }
    if (pthread_mutex_init(&o->lock, NULL) != 0) {
        free(o);
        return exaone_fail(err, EXAONE_ERR_MEMORY, "the observer's lock cannot be made");
    }
    o->inner = *be;
    o->im = im;
    o->pool = pool;
    o->be = (exaone_backend){.name = (*be)->name,
                             .state = o,
                             .close = close_both,
                             .alloc = alloc,
                             .release = release,
                             .upload = upload,
                             .download = download,
                             .copy = copy,
                             .prepare = prepare,
                             .embed = embed,
                             .matmul = matmul,
                             .rms_norm = rms_norm,
                             .add = add,
                             .rope = rope,
                             .silu_mul = silu_mul,
                             .gelu_erf = gelu_erf,
                             .gather_rows = gather_rows,
                             .scatter_rows = scatter_rows,
                             .store_kv = store_kv,
                             .attention = attention,
                             .segment_attention = segment_attention};
    *be = &o->be;
    return EXAONE_OK;
}

/* ---- names ---------------------------------------------------------------------------------------------------------------
 */

static exaone_status watch(observer *o, const exaone_matrix *m, exaone_error *err, const char *fmt, ...) EXAONE_PRINTF(4, 5);

static exaone_status watch(observer *o, const exaone_matrix *m, exaone_error *err, const char *fmt, ...) {
    char name[96];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    watched *more = exaone_mem_grow(o->list, o->count, &o->cap, sizeof *more);
    if (!more) {
        return exaone_fail_memory(err, "the list of matrices", 2 * o->cap * sizeof *more);
    }
    o->list = more;
    watched *w = &o->list[o->count];
    w->data = m->data;
    exaone_status s = exaone_imatrix_slot(o->im, name, m->in_features, &w->entry, err);
    o->count += s == EXAONE_OK;
    return s;
}

static exaone_status watch_layer(observer *o, const exaone_layer *l, int number, exaone_error *err) {
    EXAONE_TRY(watch(o, &l->q_proj, err, "blk.%d.attn_q.weight", number));
    EXAONE_TRY(watch(o, &l->k_proj, err, "blk.%d.attn_k.weight", number));
    EXAONE_TRY(watch(o, &l->v_proj, err, "blk.%d.attn_v.weight", number));
    EXAONE_TRY(watch(o, &l->o_proj, err, "blk.%d.attn_output.weight", number));
    EXAONE_TRY(watch(o, &l->gate_proj, err, "blk.%d.ffn_gate.weight", number));
    EXAONE_TRY(watch(o, &l->up_proj, err, "blk.%d.ffn_up.weight", number));
    return watch(o, &l->down_proj, err, "blk.%d.ffn_down.weight", number);
}

/* q, k and v are rows of one matrix with one input: counted at q, whose data comes first. */
static exaone_status watch_block(observer *o, const exaone_vision_block *b, int number, exaone_error *err) {
    EXAONE_TRY(watch(o, &b->q, err, "v.blk.%d.attn_qkv.weight", number));
    EXAONE_TRY(watch(o, &b->proj, err, "v.blk.%d.attn_out.weight", number));
    EXAONE_TRY(watch(o, &b->gate_proj, err, "v.blk.%d.ffn_gate.weight", number));
    EXAONE_TRY(watch(o, &b->up_proj, err, "v.blk.%d.ffn_up.weight", number));
    return watch(o, &b->down_proj, err, "v.blk.%d.ffn_down.weight", number);
}

exaone_status exaone_observe_model(exaone_backend *be, const exaone_model *m, exaone_error *err) {
    observer *o = self(be);
    const exaone_config *c = m->config;
    EXAONE_TRY(watch(o, &m->lm_head, err, c->tie_word_embeddings ? "token_embd.weight" : "output.weight"));
    for (int l = 0; l < c->num_hidden_layers; l++) {
        EXAONE_TRY(watch_layer(o, &m->layers[l], l, err));
    }
    if (c->num_mtp_layers > 0) {
        EXAONE_TRY(watch(o, &m->mtp.fc, err, "blk.%d.nextn.eh_proj.weight", c->num_hidden_layers));
        EXAONE_TRY(watch_layer(o, &m->mtp.layer, c->num_hidden_layers, err));
    }
    for (int b = 0; c->has_vision && b < c->vision.depth; b++) {
        EXAONE_TRY(watch_block(o, &m->vision.blocks[b], b, err));
    }
    if (c->has_vision) {
        EXAONE_TRY(watch(o, &m->vision.mlp_0, err, "mm.0.weight"));
        EXAONE_TRY(watch(o, &m->vision.mlp_2, err, "mm.2.weight"));
    }
    size_t widest = 1, floats = 0;
    for (size_t i = 0; i < o->count; i++) {
        widest = o->list[i].entry->n > widest ? o->list[i].entry->n : widest;
    }
    o->rows = exaone_size_mul(widest, ROWS_AT_ONCE, &floats) ? exaone_mem_array(floats, sizeof *o->rows) : NULL;
    if (!o->rows) {
        o->count = 0;
        return exaone_fail_memory(err, "rows of activations", floats * sizeof *o->rows);
    }
    qsort(o->list, o->count, sizeof *o->list, by_data);
    return EXAONE_OK;
}
