/* The forward door: greedy generation, and the MTP module with known tokens and as a drafter. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/forward_text.h"
#include "exaone/sampling.h"

/* ---- greedy ---- */

typedef struct {
    exaone_text_run r;
    exaone_sampler **samplers; /* [B] */
    float *row;                /* [V] host: the logits at hand */
    int64_t *ids;              /* [B, N] */
    float *margin;             /* [B, N] */
    float *logits;             /* [B, N, V] or NULL */
    int32_t *stops;
    size_t n_stops, N, n_done;
    bool *ended; /* [B] */
    int64_t *row_of;
} greedy_run;

static exaone_status read_stops(greedy_run *g) {
    const exaone_forward_options *o = g->r.c->options;
    const exaone_config *config = &g->r.c->engine->config;
    size_t n = o->no_stop ? 0 : o->stop_ids ? o->n_stop_ids : (size_t)config->n_eos_token_ids;
    g->stops = exaone_mem_array(n, sizeof *g->stops);
    if (!g->stops) {
        return exaone_fail_memory(g->r.c->err, "stop ids", n * sizeof *g->stops);
    }
    for (size_t i = 0; i < n; i++) {
        g->stops[i] = o->stop_ids ? o->stop_ids[i] : config->eos_token_ids[i];
    }
    g->n_stops = n;
    return EXAONE_OK;
}

static exaone_status new_samplers(greedy_run *g) {
    const exaone_forward_options *o = g->r.c->options;
    exaone_text_run *r = &g->r;
    exaone_sampling params;
    exaone_sampling_default(&params);
    params.do_sample = false;
    params.repetition_penalty = o->repetition_penalty > 0 ? o->repetition_penalty : 1;
    params.presence_penalty = o->presence_penalty;
    params.frequency_penalty = o->frequency_penalty;
    params.min_new_tokens = o->min_new_tokens;
    for (size_t b = 0; b < r->B; b++) {
        exaone_status s = exaone_sampler_new(&params, r->V, g->stops, g->n_stops, &g->samplers[b], r->c->err);
        for (size_t t = 0; s == EXAONE_OK && t < r->T; t++) {
            int32_t id = (int32_t)r->ids[b * r->T + t];
            s = exaone_sampler_prompt(g->samplers[b], &id, 1, r->c->err); /* MODEL: hidden pads count as seen */
        }
        if (s != EXAONE_OK) {
            return s;
        }
    }
    return EXAONE_OK;
}

static bool is_stop(const greedy_run *g, int32_t id) {
    for (size_t i = 0; i < g->n_stops; i++) {
        if (g->stops[i] == id) {
            return true;
        }
    }
    return false;
}

/* Chooses the next id of every sequence from the rows at hand; *all_ended when none goes on. */
static exaone_status choose(greedy_run *g, const int64_t *row_of_last, bool *all_ended) {
    exaone_text_run *r = &g->r;
    exaone_engine *e = r->c->engine;
    *all_ended = true;
    for (size_t b = 0; b < r->B; b++) {
        size_t at = b * g->N + g->n_done;
        if (row_of_last[b] < 0) {
            return exaone_fail(r->c->err, EXAONE_ERR_ARGUMENT, "attention_mask: the last token of sequence %zu is hidden",
                               b);
        }
        const float *logits = g->row;
        e->be->download(e->be, g->row, r->logits + (size_t)row_of_last[b] * r->V, r->V * sizeof *g->row);
        int32_t id;
        exaone_status s = exaone_sampler_choose(g->samplers[b], logits, &id, &g->margin[at], r->c->err);
        if (g->ended[b]) { /* MODEL: an ended sequence goes on with the pad id beside the others */
            id = e->config.pad_token_id >= 0 ? e->config.pad_token_id : 0;
        }
        if (s == EXAONE_OK) {
            s = exaone_sampler_accept(g->samplers[b], id, r->c->err);
        }
        if (s != EXAONE_OK) {
            return s;
        }
        if (g->logits) {
            memcpy(g->logits + at * r->V, logits, r->V * sizeof *logits);
        }
        g->ids[at] = id;
        g->ended[b] = g->ended[b] || is_stop(g, id);
        *all_ended = *all_ended && g->ended[b];
    }
    g->n_done++;
    return EXAONE_OK;
}

/* Feeds the ids just chosen: one row per sequence. */
static exaone_status step(greedy_run *g) {
    exaone_text_run *r = &g->r;
    exaone_engine *e = r->c->engine;
    size_t n = 0;
    int32_t *ids = exaone_mem_array(r->B, sizeof *ids);
    if (!ids) {
        return exaone_fail_memory(r->c->err, "ids", r->B * sizeof *ids);
    }
    exaone_status s = EXAONE_OK;
    for (size_t b = 0; s == EXAONE_OK && b < r->B; b++) {
        size_t index = r->T + g->n_done - 1;
        s = exaone_kv_cache_reserve(r->caches[b], index + 1, r->c->err);
        g->row_of[b] = (int64_t)n;
        r->rows[n] = (exaone_row){.sequence = b, .index = index};
        r->row_positions[n] = r->positions[b * r->T + r->T - 1] + (int64_t)g->n_done;
        ids[n++] = (int32_t)g->ids[b * g->N + g->n_done - 1];
        r->caches[b]->length = index + 1;
    }
    if (s == EXAONE_OK) {
        exaone_batch batch = {.rows = r->rows,
                              .positions = r->row_positions,
                              .n_rows = n,
                              .caches = r->caches,
                              .n_sequences = r->B,
                              .key_mask = (const uint8_t *const *)r->key_mask};
        exaone_decoder_embed(&e->model, &r->ws, ids, n);
        exaone_decoder_run(&e->model, &r->ws, &batch, NULL);
        exaone_decoder_logits(&e->model, r->logits, r->ws.hidden, n);
    }
    free(ids);
    return s;
}

static exaone_status put_greedy(greedy_run *g) {
    exaone_forward_call *c = g->r.c;
    size_t B = g->r.B, n = g->n_done;
    for (size_t b = 1; b < B; b++) { /* close the gaps when all ended before N */
        memmove(g->ids + b * n, g->ids + b * g->N, n * sizeof *g->ids);
        memmove(g->margin + b * n, g->margin + b * g->N, n * sizeof *g->margin);
    }
    const size_t *shape = B == 1 ? EXAONE_DIMS(n) : EXAONE_DIMS(B, n);
    exaone_status s = exaone_forward_put_i64(c, "ids", shape, g->ids);
    if (s == EXAONE_OK) {
        s = exaone_forward_put_f32(c, "margin", shape, g->margin);
    }
    if (s == EXAONE_OK && g->logits && B == 1) {
        s = exaone_forward_put_f32(c, "logits", EXAONE_DIMS(n, g->r.V), g->logits);
    }
    return s;
}

static exaone_status greedy_loop(greedy_run *g) {
    exaone_text_run *r = &g->r;
    int64_t *row_of = exaone_mem_array(r->B * r->T, sizeof *row_of);
    exaone_status s = row_of ? EXAONE_OK : exaone_fail_memory(r->c->err, "rows", r->B * r->T * sizeof *row_of);
    if (s == EXAONE_OK) {
        s = exaone_text_run_call(r, 0, r->T, NULL, row_of);
    }
    for (size_t b = 0; s == EXAONE_OK && b < r->B; b++) {
        g->row_of[b] = row_of[b * r->T + r->T - 1];
    }
    free(row_of);
    for (bool all_ended = false; s == EXAONE_OK && !all_ended;) {
        s = choose(g, g->row_of, &all_ended);
        if (all_ended || g->n_done == g->N) {
            break;
        }
        if (s == EXAONE_OK) {
            s = step(g);
        }
    }
    return s == EXAONE_OK ? put_greedy(g) : s;
}

exaone_status exaone_forward_greedy(exaone_forward_call *c) {
    greedy_run g = {.N = (size_t)c->options->greedy};
    if (!exaone_tensors_get(c->in, "input_ids")) {
        return exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "greedy generation needs input_ids");
    }
    exaone_text_setting setting = {.position_ids = "position_ids"};
    exaone_status s = exaone_text_run_init(&g.r, c, &setting, g.N, 0);
    exaone_text_run *r = &g.r;
    if (s == EXAONE_OK) {
        g.samplers = exaone_mem_array(r->B, sizeof(exaone_sampler *));
        g.row = exaone_mem_array(r->V, sizeof *g.row);
        g.ids = exaone_mem_array(r->B * g.N, sizeof *g.ids);
        g.margin = exaone_mem_array(r->B * g.N, sizeof *g.margin);
        g.ended = exaone_mem_array(r->B, sizeof *g.ended);
        g.row_of = exaone_mem_array(r->B, sizeof *g.row_of);
        bool keep = exaone_forward_wants(c->options, "logits");
        g.logits = keep ? exaone_mem_array(r->B * g.N * r->V, sizeof *g.logits) : NULL;
        if (!g.samplers || !g.row || !g.ids || !g.margin || !g.ended || !g.row_of || (keep && !g.logits)) {
            s = exaone_fail_memory(c->err, "generated ids and logits", r->B * g.N * r->V * sizeof *g.logits);
        }
    }
    if (s == EXAONE_OK) {
        s = read_stops(&g);
    }
    if (s == EXAONE_OK) {
        s = new_samplers(&g);
    }
    if (s == EXAONE_OK) {
        s = greedy_loop(&g);
    }
    for (size_t b = 0; g.samplers && b < r->B; b++) {
        exaone_sampler_free(g.samplers[b]);
    }
    free(g.samplers);
    free(g.row);
    free(g.ids);
    free(g.margin);
    free(g.ended);
    free(g.row_of);
    free(g.logits);
    free(g.stops);
    exaone_text_run_release(r);
    return s;
}

/* ---- MTP ---- */

typedef struct {
    exaone_forward_call *c;
    const char *group; /* "forced" */
} mtp_stage;

static void put_mtp_stage(void *ctx, const char *name, const float *data, size_t n_dims, const size_t *dims) {
    mtp_stage *m = ctx;
    exaone_forward_call *c = m->c;
    char full[64];
    snprintf(full, sizeof full, "%s.%s", m->group, name);
    if (c->status != EXAONE_OK || n_dims != 2 || !exaone_forward_wants(c->options, full)) {
        return;
    }
    float *host = exaone_mem_array(dims[0] * dims[1], sizeof *host);
    if (!host) {
        c->status = exaone_fail_memory(c->err, full, dims[0] * dims[1] * sizeof *host);
        return;
    }
    c->engine->be->download(c->engine->be, host, data, dims[0] * dims[1] * sizeof *host);
    c->status = exaone_forward_put_f32(c, full, EXAONE_DIMS(1, dims[0], dims[1]), host);
    free(host);
}

/* The first of the largest; *margin = how far the next one is below it (0 when there is no other). */
static size_t argmax(const float *x, size_t n, float *margin) {
    size_t best = 0;
    float second = -INFINITY;
    for (size_t i = 1; i < n; i++) {
        if (x[i] > x[best]) {
            second = x[best];
            best = i;
        } else if (x[i] > second) {
            second = x[i];
        }
    }
    *margin = n > 1 ? x[best] - second : 0;
    return best;
}

typedef struct {
    exaone_text_run r;
    exaone_workspace ws;
    float *e, *h; /*dev*/  /* [T, H]: embeddings of the next tokens, hidden states of the target */
    float *logits; /*dev*/ /* [T, V] */
    float *host;           /* [T, V] */
} mtp_run;

static void mtp_rows(mtp_run *m, size_t first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        m->r.rows[i] = (exaone_row){.sequence = 0, .index = first + i};
        m->r.row_positions[i] = (int64_t)(first + i);
    }
}

static exaone_batch mtp_batch(mtp_run *m, size_t n) {
    return (exaone_batch){
        .rows = m->r.rows, .positions = m->r.row_positions, .n_rows = n, .caches = m->r.caches, .n_sequences = 1};
}

/* Entries t = 0 .. T-2: (h_t, token t+1). */
static exaone_status mtp_forced(mtp_run *m) {
    exaone_forward_call *c = m->r.c;
    exaone_engine *e = c->engine;
    size_t T = m->r.T, H = m->r.H, V = m->r.V;
    if (T < 2) {
        return EXAONE_OK;
    }
    e->be->upload(e->be, m->e, m->r.embeds + H, (T - 1) * H * sizeof(float)); /* MODEL: what the target saw at t + 1 */
    mtp_rows(m, 0, T - 1);
    exaone_batch batch = mtp_batch(m, T - 1);
    mtp_stage stage = {c, "forced"};
    exaone_trace trace = {.fn = put_mtp_stage, .ctx = &stage};
    exaone_mtp_run(&e->model, &m->ws, &batch, m->e, m->h, &trace);
    if (c->status == EXAONE_OK && exaone_forward_wants(c->options, "forced.logits")) {
        exaone_decoder_logits(&e->model, m->logits, m->ws.hidden, T - 1);
        e->be->download(e->be, m->host, m->logits, (T - 1) * V * sizeof(float));
        c->status = exaone_forward_put_f32(c, "forced.logits", EXAONE_DIMS(1, T - 1, V), m->host);
    }
    return c->status;
}

/* Steps k = 0, 1, …: entry T-1+k with the token chosen last and, after the first, m instead of h. */
static exaone_status mtp_draft(mtp_run *m, size_t steps, size_t first_token) {
    exaone_forward_call *c = m->r.c;
    exaone_engine *e = c->engine;
    size_t T = m->r.T, H = m->r.H, V = m->r.V, token = first_token;
    int64_t *tokens = exaone_mem_array(steps + 1, sizeof *tokens);
    float *hidden = exaone_mem_array(steps * H, sizeof *hidden), *logits = exaone_mem_array(steps * V, sizeof *logits);
    float *margin = exaone_mem_array(steps, sizeof *margin);
    exaone_status s = tokens && hidden && logits && margin ? EXAONE_OK : exaone_fail_memory(c->err, "drafts", steps * V * 4);
    const float *h = m->h + (T - 1) * H;
    for (size_t k = 0; s == EXAONE_OK && k < steps; k++) {
        int32_t id = (int32_t)token;
        tokens[k] = id;
        e->be->embed(e->be, m->e, &e->model.embed_tokens, &id, 1);
        mtp_rows(m, T - 1 + k, 1);
        exaone_batch batch = mtp_batch(m, 1);
        exaone_mtp_run(&e->model, &m->ws, &batch, m->e, h, NULL);
        exaone_decoder_logits(&e->model, m->logits, m->ws.hidden, 1);
        e->be->download(e->be, hidden + k * H, m->ws.hidden, H * sizeof *hidden);
        e->be->download(e->be, logits + k * V, m->logits, V * sizeof *logits);
        e->be->upload(e->be, m->h, hidden + k * H, H * sizeof *hidden);
        h = m->h;
        token = argmax(logits + k * V, V, &margin[k]);
    }
    if (s == EXAONE_OK) {
        tokens[steps] = (int64_t)token;
        s = exaone_forward_put_i64(c, "draft.tokens", EXAONE_DIMS(steps + 1), tokens);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_f32(c, "draft.hidden", EXAONE_DIMS(1, steps, H), hidden);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_f32(c, "draft.logits", EXAONE_DIMS(1, steps, V), logits);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_f32(c, "draft.margin", EXAONE_DIMS(steps), margin);
    }
    free(tokens);
    free(hidden);
    free(logits);
    free(margin);
    return s;
}

static exaone_status mtp_run_all(mtp_run *m, size_t steps) {
    exaone_forward_call *c = m->r.c;
    exaone_engine *e = c->engine;
    size_t T = m->r.T, H = m->r.H, V = m->r.V;
    int64_t *row_of = exaone_mem_array(T, sizeof *row_of);
    if (!row_of) {
        return exaone_fail_memory(c->err, "rows", T * sizeof *row_of);
    }
    exaone_status s = exaone_text_run_call(&m->r, 0, T, NULL, row_of);
    free(row_of);
    if (s != EXAONE_OK) {
        return s;
    }
    e->be->download(e->be, m->host, m->r.ws.hidden, T * H * sizeof(float));
    e->be->upload(e->be, m->h, m->host, T * H * sizeof(float));
    e->be->download(e->be, m->host, m->r.logits, T * V * sizeof(float));
    float margin;
    size_t first = argmax(m->host + (T - 1) * V, V, &margin);
    s = exaone_kv_cache_reserve(m->r.caches[0], T + steps, c->err);
    if (s == EXAONE_OK) {
        s = mtp_forced(m);
    }
    return s == EXAONE_OK ? mtp_draft(m, steps, first) : s;
}

exaone_status exaone_forward_mtp(exaone_forward_call *c) {
    exaone_engine *e = c->engine;
    size_t steps = c->options->draft > 0 ? (size_t)c->options->draft : 3;
    if (e->config.num_mtp_layers == 0) {
        return exaone_fail(c->err, EXAONE_ERR_MODEL, "the model has no MTP module (no mtp.* tensors)");
    }
    exaone_text_setting setting = {.position_ids = NULL, .use_embeds = !exaone_tensors_get(c->in, "input_ids")};
    mtp_run m = {0};
    exaone_status s = exaone_text_run_init(&m.r, c, &setting, steps, 0);
    size_t T = m.r.T, H = m.r.H, V = m.r.V, wide = H > V ? H : V;
    if (s == EXAONE_OK && (m.r.B != 1 || m.r.mask)) {
        s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "mtp: want one sequence without attention_mask, got a batch of %zu",
                        m.r.B);
    }
    if (s == EXAONE_OK) {
        s = exaone_workspace_init(&m.ws, &e->model, T, 1, c->err);
    }
    if (s == EXAONE_OK) {
        m.e = e->be->alloc(e->be, T * H * sizeof(float));
        m.h = e->be->alloc(e->be, T * H * sizeof(float));
        m.logits = e->be->alloc(e->be, T * V * sizeof(float));
        m.host = exaone_mem_array(T * wide, sizeof *m.host);
        s = m.e && m.h && m.logits && m.host ? mtp_run_all(&m, steps)
                                             : exaone_fail_memory(c->err, "MTP states", T * wide * 8);
    }
    e->be->release(e->be, m.e);
    e->be->release(e->be, m.h);
    e->be->release(e->be, m.logits);
    free(m.host);
    exaone_workspace_release(&m.ws);
    exaone_text_run_release(&m.r);
    return s;
}
