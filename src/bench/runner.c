/* Measurements of a loaded model: forward calls on a timeline whose past is random numbers. */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench/clock.h"
#include "bench/cost.h"
#include "quant/encode.h"

enum { DEFAULT_CONTEXT = 4096, MAX_BATCH = 65536, MAX_LOGITS = 64, SEED = 45 };

struct exaone_bench {
    exaone_engine *e;
    size_t n_ctx, batch;
    exaone_kv_cache *cache;
    exaone_workspace ws;
    exaone_row *rows;              /* [batch] */
    int64_t *positions;            /* [batch] */
    int32_t *ids;                  /* [batch] */
    float *logits, *h, *x; /*dev*/ /* [MAX_LOGITS, vocab_size], [1, hidden_size] twice */
    uint8_t *page;                 /* [page_bytes] random keys and values */
    size_t context;
};

static exaone_kv_options kv_options(const exaone_bench *b, const exaone_bench_options *o) {
    return (exaone_kv_options){.n_ctx = b->n_ctx,
                               .chunk = b->batch,
                               .k_type = exaone_cache_type_dtype(o->cache_type_k),
                               .v_type = exaone_cache_type_dtype(o->cache_type_v)};
}

static void resolve(const exaone_engine *e, const exaone_bench_options *o, size_t *n_ctx, size_t *batch) {
    size_t limit = (size_t)e->config.max_position_embeddings;
    *n_ctx = o->n_ctx ? o->n_ctx : limit < DEFAULT_CONTEXT ? limit : DEFAULT_CONTEXT;
    *batch = o->batch ? o->batch : EXAONE_PREFILL_CHUNK;
}

uint64_t exaone_bench_bytes(const exaone_engine *e, const exaone_bench_options *options) {
    exaone_bench_options o = options ? *options : (exaone_bench_options){0};
    size_t n_ctx, batch;
    resolve(e, &o, &n_ctx, &batch);
    uint64_t kv = exaone_config_kv_bytes(&e->config, n_ctx, batch, EXAONE_KV_PAGE, exaone_cache_type_dtype(o.cache_type_k),
                                         exaone_cache_type_dtype(o.cache_type_v))
                      .total;
    uint64_t rest = (uint64_t)exaone_workspace_bytes(&e->config, batch) + (uint64_t)MAX_LOGITS * 4 * e->config.vocab_size;
    return kv > UINT64_MAX - rest ? UINT64_MAX : kv + rest;
}

static float random_number(uint32_t stream, size_t i) {
    return (float)(2 * exaone_rng_unit(SEED, stream, i) - 1);
}

/* Half a page: keys or values. */
static exaone_status fill_half(exaone_dtype type, size_t n, size_t head_dim, uint32_t stream, uint8_t *out,
                               exaone_error *err) {
    float *x = exaone_mem_array(n, sizeof *x);
    if (!x) {
        return exaone_fail_memory(err, "random keys", n * sizeof *x);
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = random_number(stream, i);
    }
    exaone_status status = exaone_encode_rows(type, x, n / head_dim, head_dim, NULL, out, err);
    free(x);
    return status;
}

static exaone_status make_page(exaone_bench *b, exaone_error *err) {
    const exaone_kv_cache *c = b->cache;
    size_t n = c->n_kv_heads * c->head_dim * EXAONE_KV_PAGE;
    b->page = exaone_mem_array(c->page_bytes, 1);
    if (!b->page) {
        return exaone_fail_memory(err, "a page of random keys", c->page_bytes);
    }
    exaone_status status = fill_half(c->options.k_type, n, c->head_dim, 1, b->page, err);
    return status ? status : fill_half(c->options.v_type, n, c->head_dim, 2, b->page + c->k_bytes, err);
}

static exaone_status make_buffers(exaone_bench *b, exaone_error *err) {
    exaone_backend *be = b->e->be;
    size_t vocab = (size_t)b->e->config.vocab_size, hidden = (size_t)b->e->config.hidden_size;
    b->rows = exaone_mem_array(b->batch, sizeof *b->rows);
    b->positions = exaone_mem_array(b->batch, sizeof *b->positions);
    b->ids = exaone_mem_array(b->batch, sizeof *b->ids);
    b->logits = be->alloc(be, MAX_LOGITS * vocab * sizeof *b->logits);
    b->h = be->alloc(be, hidden * sizeof *b->h);
    b->x = be->alloc(be, hidden * sizeof *b->x);
    if (!b->rows || !b->positions || !b->ids || !b->logits || !b->h || !b->x) {
        return exaone_fail_memory(err, "the rows of a forward call", MAX_LOGITS * vocab * sizeof *b->logits);
    }
    for (size_t i = 0; i < b->batch; i++) {
        b->ids[i] = (int32_t)(exaone_rng_unit(SEED, 0, i) * (double)vocab);
    }
    return exaone_workspace_init(&b->ws, &b->e->model, b->batch, 1, err);
}

exaone_status exaone_bench_open(exaone_engine *e, const exaone_bench_options *options, exaone_bench **out,
                                exaone_error *err) {
    exaone_bench_options o = options ? *options : (exaone_bench_options){0};
    *out = NULL;
    exaone_bench *b = exaone_mem_array(1, sizeof *b);
    if (!b) {
        return exaone_fail_memory(err, "a measurement", sizeof *b);
    }
    b->e = e;
    resolve(e, &o, &b->n_ctx, &b->batch);
    exaone_status status = EXAONE_OK;
    if (b->n_ctx > (size_t)e->config.max_position_embeddings || b->batch > MAX_BATCH) {
        status = exaone_fail(err, EXAONE_ERR_LIMIT, "context of %zu tokens in calls of %zu: the limits are %d and %d",
                             b->n_ctx, b->batch, e->config.max_position_embeddings, MAX_BATCH);
    }
    if (status == EXAONE_OK) {
        exaone_kv_options kv = kv_options(b, &o);
        status = exaone_kv_cache_open(e->be, &e->config, &kv, &b->cache, err);
    }
    if (status == EXAONE_OK) {
        status = make_page(b, err);
    }
    if (status == EXAONE_OK) {
        status = make_buffers(b, err);
    }
    if (status != EXAONE_OK) {
        exaone_bench_close(b);
        return status;
    }
    *out = b;
    return EXAONE_OK;
}

void exaone_bench_close(exaone_bench *b) {
    if (!b) {
        return;
    }
    exaone_backend *be = b->e->be;
    exaone_workspace_release(&b->ws);
    exaone_kv_cache_free(b->cache);
    be->release(be, b->logits);
    be->release(be, b->h);
    be->release(be, b->x);
    free(b->rows);
    free(b->positions);
    free(b->ids);
    free(b->page);
    free(b);
}

exaone_status exaone_bench_context(exaone_bench *b, size_t n, exaone_error *err) {
    exaone_kv_cache *c = b->cache;
    exaone_backend *be = b->e->be;
    exaone_kv_cache_truncate(c, 0);
    exaone_status status = exaone_kv_cache_reserve(c, n, err);
    for (size_t l = 0; l < c->n_layers && status == EXAONE_OK; l++) {
        for (size_t p = 0; p < c->n_pages[l]; p++) {
            if (c->page[l][p]) {
                be->upload(be, c->layers[l].k_pages[p], b->page, c->k_bytes);
                be->upload(be, c->layers[l].v_pages[p], b->page + c->k_bytes, c->page_bytes - c->k_bytes);
            }
        }
    }
    if (status == EXAONE_OK) {
        c->length = b->context = n;
    }
    return status;
}

/* A call for n rows at the timeline's end. */
static exaone_batch batch_at(exaone_bench *b, size_t index, size_t n) {
    for (size_t i = 0; i < n; i++) {
        b->rows[i] = (exaone_row){.sequence = 0, .index = index + i};
        b->positions[i] = (int64_t)(index + i);
    }
    return (exaone_batch){.rows = b->rows, .positions = b->positions, .n_rows = n, .caches = &b->cache, .n_sequences = 1};
}

static size_t window_of(const exaone_bench *b, size_t layer) {
    return b->cache->is_ring[layer] ? b->cache->window : 0;
}

static void count_rows(const exaone_bench *b, size_t rows, size_t n_logits, exaone_bench_pass *out) {
    const exaone_model *m = &b->e->model;
    double calls = (double)((rows + b->batch - 1) / b->batch);
    for (int l = 0; l < b->e->config.num_hidden_layers; l++) {
        exaone_cost_layer(&out->layers, b->e, &m->layers[l], (double)rows, calls);
        exaone_cost_attention(&out->layers, b->e, &b->cache->layers[l], b->context, rows, b->batch, window_of(b, (size_t)l));
    }
    if (n_logits > 0) {
        exaone_cost_matrix(&out->fixed, b->e, &m->lm_head, (double)n_logits, 1);
    }
}

exaone_status exaone_bench_rows(exaone_bench *b, size_t rows, size_t n_logits, exaone_bench_stop_fn *stop, void *ctx,
                                exaone_bench_pass *out, exaone_error *err) {
    const exaone_model *m = &b->e->model;
    size_t hidden = (size_t)b->e->config.hidden_size, last = 0;
    *out = (exaone_bench_pass){0};
    if (rows == 0 || n_logits > MAX_LOGITS || n_logits > rows || n_logits > b->batch) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%zu rows with %zu logits: 1 row at least, and 0 to %d logits", rows,
                           n_logits, MAX_LOGITS);
    }
    exaone_status status = exaone_kv_cache_reserve(b->cache, b->context + rows, err);
    double begin = exaone_clock();
    for (size_t done = 0; done < rows && status == EXAONE_OK; done += last) {
        last = rows - done < b->batch ? rows - done : b->batch;
        exaone_batch batch = batch_at(b, b->context + done, last);
        exaone_decoder_embed(m, &b->ws, b->ids, last);
        exaone_decoder_run(m, &b->ws, &batch, NULL);
        if (stop && stop(ctx)) {
            status = exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped after %zu of %zu rows", done + last, rows);
        }
    }
    out->layer_seconds = exaone_clock() - begin;
    if (status == EXAONE_OK && n_logits > 0) {
        size_t n = n_logits < last ? n_logits : last; /* a last call shorter than that gives what it has */
        exaone_decoder_logits(m, b->logits, b->ws.hidden + (last - n) * hidden, n);
        out->fixed_seconds = exaone_clock() - begin - out->layer_seconds;
        n_logits = n;
    }
    b->cache->length = b->context; /* what the rows wrote is as random as what was there */
    count_rows(b, rows, n_logits, out);
    return status;
}

exaone_status exaone_bench_draft(exaone_bench *b, exaone_bench_pass *out, exaone_error *err) {
    const exaone_model *m = &b->e->model;
    *out = (exaone_bench_pass){0};
    if (b->e->config.num_mtp_layers == 0) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "the model has no draft module: %d MTP layers",
                           b->e->config.num_mtp_layers);
    }
    exaone_status status = exaone_kv_cache_reserve(b->cache, b->context + 1, err);
    if (status != EXAONE_OK) {
        return status;
    }
    size_t layer = (size_t)b->e->config.num_hidden_layers;
    exaone_batch batch = batch_at(b, b->context, 1);
    double begin = exaone_clock();
    exaone_decoder_embed(m, &b->ws, b->ids, 1);
    b->e->be->copy(b->e->be, b->x, b->ws.x, (size_t)b->e->config.hidden_size * sizeof *b->x);
    exaone_mtp_run(m, &b->ws, &batch, b->x, b->h, NULL);
    exaone_decoder_logits(m, b->logits, b->ws.hidden, 1);
    out->fixed_seconds = exaone_clock() - begin;
    exaone_cost_matrix(&out->fixed, b->e, &m->mtp.fc, 1, 1);
    exaone_cost_layer(&out->fixed, b->e, &m->mtp.layer, 1, 1);
    exaone_cost_attention(&out->fixed, b->e, &b->cache->layers[layer], b->context, 1, 1, window_of(b, layer));
    exaone_cost_matrix(&out->fixed, b->e, &m->lm_head, 1, 1);
    return EXAONE_OK;
}

/* ---- vision ---- */

typedef struct stopper {
    exaone_bench_stop_fn *stop;
    void *ctx;
} stopper;

static bool go_on(void *ctx, size_t done, size_t total) {
    const stopper *s = ctx;
    (void)done;
    (void)total;
    return !s->stop || !s->stop(s->ctx);
}

static exaone_status encode(exaone_engine *e, const exaone_vision_plan *plan, stopper *s, exaone_bench_pass *out,
                            exaone_error *err) {
    size_t in = e->model.vision.patch_embed.in_features, width = (size_t)e->config.vision.out_hidden_size;
    float *pixels = exaone_mem_array(plan->n_patches, in * sizeof *pixels);
    float *features = e->be->alloc(e->be, plan->n_units * width * sizeof *features);
    exaone_status status = EXAONE_OK;
    if (!pixels || !features) {
        status = exaone_fail_memory(err, "random pixels", plan->n_patches * in * sizeof *pixels);
    }
    for (size_t i = 0; status == EXAONE_OK && i < plan->n_patches * in; i++) {
        pixels[i] = (float)(i * 2654435761u % 65536) / 32768.0f - 1.0f;
    }
    if (status == EXAONE_OK) {
        const exaone_vision_progress progress = {go_on, s};
        double begin = exaone_clock();
        status = exaone_vision_run(&e->model, plan, pixels, features, NULL, &progress, err);
        out->fixed_seconds = exaone_clock() - begin;
    }
    free(pixels);
    e->be->release(e->be, features);
    return status;
}

exaone_status exaone_bench_vision(exaone_engine *e, size_t frames, size_t height, size_t width, exaone_bench_stop_fn *stop,
                                  void *ctx, size_t *patches, exaone_bench_pass *out, exaone_error *err) {
    const exaone_vision_config *v = &e->config.vision;
    *out = (exaone_bench_pass){0};
    *patches = 0;
    if (!e->config.has_vision) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "the model has no vision tower");
    }
    size_t temporal = (size_t)v->temporal_patch_size, side = (size_t)v->patch_size;
    if (frames == 0 || frames > 1024 || height > 65536 || width > 65536 || height % side || width % side) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%zu frames of %zu x %zu: 1 to 1024 of whole patches of %zu pixels",
                           frames, height, width, side);
    }
    int64_t grid[1][3] = {
        {(int64_t)((frames + temporal - 1) / temporal), (int64_t)(height / side), (int64_t)(width / side)}};
    exaone_vision_plan plan = {0};
    stopper s = {stop, ctx};
    exaone_status status = exaone_vision_plan_grids(v, (const int64_t(*)[3])grid, 1, &plan, err);
    if (status == EXAONE_OK) {
        *patches = plan.n_patches;
        exaone_cost_vision(&out->fixed, e, &plan);
        status = encode(e, &plan, &s, out, err);
    }
    exaone_vision_plan_release(&plan);
    return status;
}
