/* Engine and session: a loaded model, and one timeline of tokens on it.
 *
 * exaone_engine   a loaded model: weights, configuration, tokenizer, thread pool. Immutable after open; may be shared by
 * threads. exaone_session  one timeline with its KV cache. One thread at a time. The engine must outlive it.
 *
 * A prompt is a list of token ids in which each image or video stands as a run of its placeholder id (image_token_id,
 * video_token_id), and the pixels of those images and videos in order. The caller always passes the whole prompt; the
 * session keeps what it can of the one before. */
#ifndef EXAONE_ENGINE_H
#define EXAONE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/imatrix.h"
#include "exaone/media.h"
#include "exaone/parallel.h"
#include "exaone/sampling.h"
#include "exaone/status.h"
#include "exaone/tensors.h"
#include "exaone/text.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_engine exaone_engine;
typedef struct exaone_session exaone_session;

/* Names of the levels of kernels that this machine can run, number i from 0 on: "scalar", "avx2", "avx-vnni", "avx512",
 * "avx512-vnni", "amx", the best last; NULL behind the last. */
EXAONE_API const char *exaone_cpu_level(size_t i);

typedef struct exaone_engine_options {
    const char *mmproj;         /* GGUF file of the vision tower; NULL: the one beside the model, if any */
    const char *cpu_level;      /* a name of exaone_cpu_level; NULL: the best that this machine has */
    int n_threads;              /* 0: one per core; where some are slow, one per fast core; within the CPU quota and 64 */
    exaone_precision precision; /* of activations that meet quantised weights */
    bool numa;                  /* keep threads on memory nodes (thread 0, the one that opens the engine, and those that it
                                   starts, until it closes the engine) and read every weight file there first */
    bool no_tokenizer;          /* do not fail when the model has no tokenizer (exaone_engine_tokenizer gives NULL then) */
    exaone_imatrix *imatrix;    /* counts the inputs of every matrix (imatrix.h); must outlive the engine; NULL: none */
} exaone_engine_options;

/* Opens a Hugging Face folder or a GGUF file. Weights are mapped, not copied. `options` may be NULL.
 * Errors: EXAONE_ERR_IO, _FORMAT, _MODEL, _UNSUPPORTED, _MEMORY. Owned by the caller: exaone_engine_close. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_engine_open(const char *path, const exaone_engine_options *options,
                                                            exaone_engine **out, exaone_error *err);
EXAONE_API void exaone_engine_close(exaone_engine *engine); /* NULL is fine */

/* What the model is: numbers of its configuration that programs need. Belongs to the engine. */
typedef struct exaone_model_info {
    int vocab_size, hidden_size, num_hidden_layers;
    int max_position_embeddings; /* longest context in tokens */
    int image_token_id, video_token_id;
    bool has_vision, has_mtp;
    int eos_token_ids[8]; /* tokens that end a reply */
    int n_eos_token_ids;
    const char *format;    /* "safetensors" or "gguf" */
    const char *cpu_level; /* the kernels in use */
    int n_threads;
    int n_nodes;              /* memory nodes that the threads' cores are on; 1: `numa` changes nothing */
    const char *mmproj;       /* path of the GGUF file of the vision tower, or NULL */
    size_t mmproj_candidates; /* from how many files beside the model it was chosen; 0: it was named */
} exaone_model_info;
EXAONE_API const exaone_model_info *exaone_engine_info(const exaone_engine *engine);

/* Parts of the engine, owned by it. The tokenizer is NULL when the model has none. */
EXAONE_API const exaone_tokenizer *exaone_engine_tokenizer(const exaone_engine *engine);
EXAONE_API const exaone_processor_config *exaone_engine_processor(const exaone_engine *engine);
/* The thread pool for media work (resize). */
EXAONE_API const exaone_parallel *exaone_engine_parallel(const exaone_engine *engine);
/* The chat template in the model's files, or NULL; *n = bytes. */
EXAONE_API const char *exaone_engine_chat_template(const exaone_engine *engine, size_t *n);

/* Sampling defaults from generation_config.json; false where the file does not say. */
typedef struct exaone_generation_defaults {
    bool has_do_sample, do_sample;
    bool has_temperature, has_top_p, has_top_k, has_min_p, has_repetition_penalty, has_presence_penalty;
    double temperature, top_p, min_p, repetition_penalty, presence_penalty;
    int top_k;
} exaone_generation_defaults;
EXAONE_API const exaone_generation_defaults *exaone_engine_generation_defaults(const exaone_engine *engine);

typedef struct exaone_inspect_options {
    const char *mmproj;                           /* as exaone_engine_options */
    uint64_t n_ctx;                               /* context whose memory is shown; 0: the model's longest */
    bool json;                                    /* for programs, with everything; else text for people */
    bool tensors;                                 /* list the tensors in the text too */
    exaone_cache_type cache_type_k, cache_type_v; /* of the context's keys and values */
} exaone_inspect_options;

/* A description of the model: sizes, memory needed for a context, configuration, tensors with type and shape. Works without
 * binding the weights, so also for a model that this version cannot run: then it says why, without memory and configuration.
 * `options` may be NULL. *out is NUL-terminated and belongs to the caller (free). Errors: EXAONE_ERR_IO, _FORMAT, _MODEL,
 * _UNSUPPORTED, _LIMIT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_inspect(const char *path, const exaone_inspect_options *options, char **out,
                                                        exaone_error *err);

/* ---- the reference's forward call ----------------------------------------------------------------------------------------
 */

typedef struct exaone_forward_options {
    const char
        *stages; /* "all", or names and prefixes separated by commas ("logits,layer."); NULL: logits, loss, features */
    const int64_t *calls; /* feed the ids through the cache in calls of these lengths; NULL: one call */
    size_t n_calls;
    bool mtp;    /* the MTP stages instead of the text stages */
    bool packed; /* no cache and no mask: every jump in position_ids starts a new sequence (as the reference does) */
    int greedy;  /* > 0: generate so many ids greedily: `ids`, `margin`, `logits` of each step */
    int draft;   /* with mtp: draft steps, default 3 */
    /* penalties and stops of greedy generation */
    double repetition_penalty, presence_penalty, frequency_penalty; /* 0 = off (for repetition: 0 or 1) */
    int min_new_tokens;
    const int32_t *stop_ids; /* NULL: the model's own */
    size_t n_stop_ids;
    bool no_stop; /* generate all `greedy` tokens whatever they are */
} exaone_forward_options;

/* Runs the model on named tensors and returns named tensors: the inputs and outputs of the reference's classes.
 * Inputs (others are ignored): input_ids [B, T] i64, attention_mask [B, T] i64, position_ids [B, T] i64, inputs_embeds [B,
 * T, H] f32, pixel_values [N, 1176] f32 with image_grid_thw [n, 3] i64, pixel_values_videos with video_grid_thw, labels [B,
 * T] i64 (-100 = ignored), num_items_in_batch [1], logits_to_keep ([1]: the last n; [k]: index; [B, k]: index per row; [B,
 * T] i32 or bool: mask). Outputs: docs/forward.md. An entry of `stages` that names nothing is EXAONE_ERR_ARGUMENT. *out
 * belongs to the caller (exaone_tensors_free). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_forward(exaone_engine *engine, const exaone_tensors *in,
                                                        const exaone_forward_options *options, exaone_tensors **out,
                                                        exaone_error *err);

/* ---- sessions ------------------------------------------------------------------------------------------------------------
 */

/* One image or video of a prompt. */
typedef struct exaone_prompt_media {
    const exaone_pixels *pixels; /* the caller keeps it until the call returns */
    bool is_video;
} exaone_prompt_media;

typedef struct exaone_prompt {
    const int32_t *ids; /* [n_ids], placeholders expanded */
    size_t n_ids;
    const exaone_prompt_media *media; /* [n_media], in the order of their runs in ids */
    size_t n_media;
} exaone_prompt;

/* How far exaone_session_sync is. Each image or video is encoded when its first token is reached; its last report there has
 * done = total. */
typedef struct exaone_progress {
    bool encodes;       /* the vision tower works: done and total count its blocks; else they count prompt tokens */
    size_t medium;      /* which of the prompt's media then, from 0 */
    size_t done, total; /* done <= total */
} exaone_progress;

/* Called between chunks of work; returns false to stop (EXAONE_ERR_CANCELLED). */
typedef bool exaone_progress_fn(void *ctx, const exaone_progress *progress);

typedef struct exaone_session_options {
    uint64_t n_ctx; /* most tokens the session may hold; 0: the model's longest, capped at 32768. The last
                      token of a reply is not held: it may be one more */
    uint64_t batch; /* most prompt tokens of one forward call; 0: 256. Never changes a result. */
    exaone_cache_type cache_type_k, cache_type_v; /* how keys and values are stored */
    bool draft;          /* keep what drafts need (exaone_session_generate); ignored when the model has no draft module */
    uint64_t mark_bytes; /* memory for places to come back to in a long timeline; 0: 2 GiB. Never changes a result. */
} exaone_session_options;

/* The defaults: everything 0, and the cache types that the library recommends. */
EXAONE_API void exaone_session_options_default(exaone_session_options *options);

/* What a session takes once its context is full; weights are not in it (they are mapped) nor are images. */
typedef struct exaone_memory_need {
    uint64_t n_ctx;                             /* tokens */
    uint64_t kv_cache, workspace, marks, total; /* bytes; marks: of one prompt that fills the context */
} exaone_memory_need;
/* `options` may be NULL. Errors: EXAONE_ERR_LIMIT: the sizes wrap. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_memory(const exaone_engine *engine,
                                                               const exaone_session_options *options,
                                                               exaone_memory_need *out, exaone_error *err);
/* Bytes that this machine, or the control group that the process is in, can still give; UINT64_MAX when it does not say. */
EXAONE_API uint64_t exaone_memory_available(void);

/* `options` may be NULL. Errors: EXAONE_ERR_ARGUMENT, _LIMIT, _MEMORY. Owned by the caller: exaone_session_free. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_open(exaone_engine *engine, const exaone_session_options *options,
                                                             exaone_session **out, exaone_error *err);
/* exaone_session_open with the defaults but for n_ctx. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_new(exaone_engine *engine, uint64_t n_ctx, exaone_session **out,
                                                            exaone_error *err);
/* A second session whose timeline starts as this one's, sharing its memory until one of them changes it, and its cache
 * (cache.h) if it has one. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_fork(const exaone_session *session, exaone_session **out,
                                                             exaone_error *err);
EXAONE_API void exaone_session_free(exaone_session *session); /* NULL is fine */

/* Makes the session's timeline equal to the prompt: keeps the common prefix, evaluates the rest, leaves the logits of the
 * last token. n_ids >= 1. A prompt that is refused (EXAONE_ERR_ARGUMENT,
 * _LIMIT) changes nothing; after another failure the session is empty but usable. `progress` may be NULL. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_sync(exaone_session *session, const exaone_prompt *prompt,
                                                             exaone_progress_fn *progress, void *ctx, exaone_error *err);
/* Appends one token and evaluates it. A stop id that ended the step before is dropped, a token that max_tokens made the last
 * is evaluated first. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_append(exaone_session *session, int32_t id, exaone_error *err);
/* Logits after the last token: [vocab_size] f32, valid until the next call; NULL before the first sync. */
EXAONE_API const float *exaone_session_logits(const exaone_session *session);
EXAONE_API size_t exaone_session_length(const exaone_session *session); /* tokens held */
EXAONE_API size_t exaone_session_reused(const exaone_session *session); /* tokens that the last sync kept */

/* ---- replies ---- */

enum { EXAONE_MAX_DRAFT = 8, EXAONE_DRAFT_AUTO = -1 };

typedef struct exaone_draft_options {
    int n;             /* tokens drafted per step: 0 .. EXAONE_MAX_DRAFT, or EXAONE_DRAFT_AUTO: what measures fastest */
    size_t max_tokens; /* most tokens this step may give; 0: no limit */
    const int32_t *stop_ids; /* [n_stop_ids] tokens that end a reply; NULL: the model's own */
    size_t n_stop_ids;
} exaone_draft_options;

/* One step of a reply: chooses the next token with the sampler, drafts more with the model's draft module, verifies them in
 * one pass and gives the 1 .. n + 1 tokens that stand; the sampler has accepted them. The tokens are those that choose,
 * accept and append would give one by one, with any sampler settings and any number of drafts: a draft stands only when it
 * equals the sampler's choice at its place. The sampler must have been told the prompt. A stop id ends the step; it and a
 * token that max_tokens makes the last are not evaluated before a next call wants them.
 * ids [EXAONE_MAX_DRAFT + 1], *n of them set. `options` may be NULL: no drafts. Errors: EXAONE_ERR_ARGUMENT (no prompt; n
 * out of range; drafts asked of a session opened without), _LIMIT (the context is full: no token was chosen), _NUMERIC. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_session_generate(exaone_session *session, exaone_sampler *sampler,
                                                                 const exaone_draft_options *options, int32_t *ids,
                                                                 size_t *n, exaone_error *err);
/* Logits that token i of the last step was chosen from, before the sampler's processors: [vocab_size], valid until the next
 * call; i below the step's number of tokens. */
EXAONE_API const float *exaone_session_step_logits(const exaone_session *session, size_t i);

/* What drafts did since the session was opened or the numbers were reset. */
typedef struct exaone_generation_stats {
    uint64_t tokens;                                    /* given by exaone_session_generate */
    uint64_t verifications;                             /* passes that had drafts to verify */
    uint64_t drafted, accepted;                         /* draft tokens */
    uint64_t drafted_at[EXAONE_MAX_DRAFT];              /* how often a step had a draft at this place */
    uint64_t accepted_at[EXAONE_MAX_DRAFT];             /* how often it stood */
    uint64_t passes;                                    /* passes of one token, without drafts */
    double draft_seconds, verify_seconds, pass_seconds; /* in the draft module; in verifications; in passes */
} exaone_generation_stats;
/* Tokens per verification, counting the one that the model itself adds: 1 + accepted / verifications. */
EXAONE_API const exaone_generation_stats *exaone_session_stats(const exaone_session *session);
EXAONE_API void exaone_session_reset_stats(exaone_session *session);

#ifdef __cplusplus
}
#endif
#endif
