/* The model: weights bound to their places, and the forward passes of vision tower, decoder and MTP module.
 *
 * The forward functions work on rows: row r is token `index` of sequence `sequence`, with a position for the rotation.
 * Prefill is many rows of one sequence, decode one row of many, verification a few of each. Formulas: docs/model.md. */
#ifndef EXAONE_MODEL_MODEL_H
#define EXAONE_MODEL_MODEL_H

#include "backend/backend.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/vision_plan.h"
#include "weights/weights.h"

typedef struct exaone_layer {
    exaone_matrix q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj;
    float *q_norm, *k_norm; /*dev*/                                       /* [head_dim] */
    float *post_attention_layernorm, *post_feedforward_layernorm; /*dev*/ /* [hidden_size] */
    bool rotates; /* sliding layers turn q and k; full ones have no positions at all */
} exaone_layer;

typedef struct exaone_vision_block {
    exaone_matrix q, k, v, proj, gate_proj, up_proj, down_proj; /* q, k, v are row ranges of attn.qkv */
    float *norm1, *norm2; /*dev*/                               /* [vision hidden] */
    bool full;
} exaone_vision_block;

typedef struct exaone_model {
    const exaone_config *config;
    exaone_backend *be;
    exaone_matrix embed_tokens, lm_head;
    exaone_layer *layers; /* [num_hidden_layers] */
    float *norm; /*dev*/  /* [hidden_size] */
    float *inv_freq;      /* host [head_dim / 2] */
    struct {
        exaone_matrix fc;                                         /* [hidden, 2 hidden] */
        float *pre_fc_norm_embedding, *pre_fc_norm_hidden, *norm; /*dev*/
        exaone_layer layer;
    } mtp; /* present when config->num_mtp_layers = 1 */
    struct {
        exaone_matrix patch_embed;   /* [hidden, 3 * 2 * 14 * 14] */
        exaone_vision_block *blocks; /* [depth] */
        float *ln_q;                 /*dev*/
        exaone_matrix mlp_0, mlp_2;
        float *inv_freq; /* host [head_dim / 4] */
    } vision;            /* present when config->has_vision */
    void **owned;        /* device memory to release */
    size_t n_owned, cap_owned;
} exaone_model;

/* Binds every tensor by name, shape and type. `config` and `weights` must outlive the model. */
EXAONE_MUST_USE exaone_status exaone_model_bind(exaone_model *model, const exaone_config *config,
                                                const exaone_weights *weights, exaone_backend *be, exaone_error *err);
void exaone_model_release(exaone_model *model); /* safe after a failed bind */

/* Sees intermediate results: `data` is device memory, valid during the call. */
typedef struct exaone_trace {
    void (*fn)(void *ctx, const char *name, const float *data, size_t n_dims, const size_t *dims);
    void *ctx;
    bool probs;        /* compute attention weights too: layer.N.attn.probs, rows x heads x keys */
    size_t probs_keys; /* keys per row then */
} exaone_trace;

/* Buffers of one decoder call, planned for max_rows rows. */
typedef struct exaone_workspace {
    exaone_backend *be;
    size_t max_rows;
    float *x; /*dev*/                     /* [max_rows, hidden_size] residual stream; inputs go in here */
    float *hidden; /*dev*/                /* [max_rows, hidden_size] after the final norm */
    float *y, *q, *k, *v, *attn;          /*dev*/
    float *gate, *up; /*dev*/             /* [max_rows, intermediate_size] */
    float *cos_table, *sin_table; /*dev*/ /* [max_rows, head_dim / 2] */
    float *fc_input; /*dev*/              /* [max_rows, 2 hidden_size], MTP only */
    float *host_cos, *host_sin;
    exaone_row *rows; /* visibility of the layer at hand */
    exaone_kv *kv;    /* [max_sequences] */
    size_t max_sequences;
} exaone_workspace;

EXAONE_MUST_USE exaone_status exaone_workspace_init(exaone_workspace *ws, const exaone_model *model, size_t max_rows,
                                                    size_t max_sequences, exaone_error *err);
void exaone_workspace_release(exaone_workspace *ws);

/* What exaone_workspace_init takes; SIZE_MAX when that does not fit. */
size_t exaone_workspace_bytes(const exaone_config *config, size_t max_rows);

/* The rows of one call. Room in the caches must have been reserved; at most `chunk` rows per sequence. */
typedef struct exaone_batch {
    const exaone_row *rows;   /* [n_rows]; begin = first index of the row's packed sequence, usually 0 */
    const int64_t *positions; /* [n_rows] */
    size_t n_rows;
    exaone_kv_cache *const *caches; /* [n_sequences] */
    size_t n_sequences;
    const uint8_t *const *key_mask; /* as in exaone_attention */
    size_t blind_keys;              /* as in exaone_attention */
} exaone_batch;

/* ws->x [n, hidden_size] = rows of embed_tokens. */
void exaone_decoder_embed(const exaone_model *model, exaone_workspace *ws, const int32_t *ids, size_t n);
/* All layers and the final norm: ws->x in, ws->hidden out. `trace` may be NULL. */
void exaone_decoder_run(const exaone_model *model, exaone_workspace *ws, const exaone_batch *batch,
                        const exaone_trace *trace);
/* logits [n, vocab_size] (device) of n hidden rows. */
void exaone_decoder_logits(const exaone_model *model, float *logits, const float *hidden, size_t n);
/* MTP: e [n, hidden_size] = embeddings of the next tokens, h [n, hidden_size] = hidden states after the norm; ws->hidden =
 * m. */
void exaone_mtp_run(const exaone_model *model, exaone_workspace *ws, const exaone_batch *batch, const float *e,
                    const float *h, const exaone_trace *trace);
/* The same entries of the MTP layer's cache without what else exaone_mtp_run computes: ws->hidden stays. */
void exaone_mtp_fill(const exaone_model *model, exaone_workspace *ws, const exaone_batch *batch, const float *e,
                     const float *h);

/* exaone_vision_plan_init with the merge and window sizes of a configuration. */
EXAONE_MUST_USE exaone_status exaone_vision_plan_grids(const exaone_vision_config *config, const int64_t (*grids)[3],
                                                       size_t n_grids, exaone_vision_plan *plan, exaone_error *err);

/* Asked several times per block of the vision tower; false stops (EXAONE_ERR_CANCELLED). done of total blocks are ready. */
typedef struct exaone_vision_progress {
    bool (*fn)(void *ctx, size_t done, size_t total);
    void *ctx;
} exaone_vision_progress;

/* pixels [plan->n_patches, 1176] f32 host -> features [plan->n_units, out_hidden_size] device, row-major over (t, h/2, w/2).
 * `trace` and `progress` may be NULL. */
EXAONE_MUST_USE exaone_status exaone_vision_run(const exaone_model *model, const exaone_vision_plan *plan,
                                                const float *pixels, float *features, const exaone_trace *trace,
                                                const exaone_vision_progress *progress, exaone_error *err);

/* Most memory of one exaone_vision_run over n_patches, pixels and features included; SIZE_MAX when that does not fit. */
size_t exaone_vision_bytes(const exaone_config *config, size_t n_patches);

/* Calls trace->fn with a formatted name; nothing when trace is NULL. dims end with a 0. */
void exaone_trace_put(const exaone_trace *trace, const float *data, const size_t *dims, const char *name, ...)
    EXAONE_PRINTF(4, 5);
#define EXAONE_DIMS(...) ((const size_t[]){__VA_ARGS__, 0})

#endif
