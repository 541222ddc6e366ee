/* A sequence: one timeline of tokens with its KV cache, its images and what the draft module needs to go on.
 *
 * State of the draft module (docs/model.md, MTP): entry t of its layer is made of the hidden state of token t and of the
 * embedding of token t + 1, so it comes one token late. Entries 0 .. mtp_length - 1 are in the cache; `tail` keeps the
 * hidden states of the tokens mtp_length .. length - 1, whose entries wait. mtp_length = length with an empty tail means
 * that the token which comes next is the one that the last entry was made with.
 *
 * Evaluation is in step.h. One thread at a time. */
#ifndef EXAONE_ENGINE_SEQUENCE_H
#define EXAONE_ENGINE_SEQUENCE_H

#include "engine/engine_internal.h"
#include "engine/marks.h"

/* One image or video of the timeline. */
typedef struct exaone_medium {
    uint8_t digest[EXAONE_MEDIUM_DIGEST];
    size_t first, n;           /* tokens */
    exaone_features *features; /* held from exaone_sequence_encode until its last token is evaluated; else NULL */
} exaone_medium;

typedef struct exaone_sequence_options {
    size_t n_ctx; /* tokens it may hold, at least 1 */
    size_t chunk; /* most tokens of one forward call, at least 1 */
    bool drafts;  /* keep the state of the draft module; ignored when the model has none */
    exaone_cache_type cache_type_k, cache_type_v;
    size_t mark_bytes; /* of pages that marks may refer to; 0: EXAONE_MARK_BYTES */
} exaone_sequence_options;

enum { EXAONE_TAIL_ROWS = EXAONE_MAX_DRAFT + 1 };

typedef struct exaone_sequence {
    exaone_engine *e;
    exaone_sequence_options options;
    exaone_kv_cache *cache;
    int32_t *ids;         /* [n_ctx]; [0, length) is the timeline, beyond it what was asked for and is not evaluated */
    size_t length;        /* tokens evaluated */
    size_t n_ids;         /* tokens asked for: length <= n_ids <= n_ctx after exaone_sequence_begin */
    size_t reused;        /* tokens that the last exaone_sequence_begin kept */
    exaone_medium *media; /* [n_media] of tokens 0 .. n_ids - 1 */
    size_t n_media;
    bool drafts; /* options.drafts and the model has the module */
    size_t mtp_length;
    float *tail; /*dev*/ /* [EXAONE_TAIL_ROWS, hidden_size] */
    int32_t mtp_next;    /* entry length - 1 is in the cache too, made with this token; -1: it is not */
    float *logits;       /* host [vocab_size] after token length - 1, when has_logits */
    float *spare_logits; /* host [vocab_size] (generate.h) */
    bool has_logits;
    exaone_marks marks; /* places to come back to */
    int32_t pending;    /* a token that ended a step: chosen, not evaluated; -1: none (generate.h) */
    bool pending_stops; /* it is a stop id: appending something else drops it */
} exaone_sequence;

/* Owned by the caller: exaone_sequence_free. Errors: EXAONE_ERR_LIMIT (n_ctx above the model's), _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_sequence_new(exaone_engine *e, const exaone_sequence_options *options,
                                                  exaone_sequence **out, exaone_error *err);
void exaone_sequence_free(exaone_sequence *s); /* NULL is fine */
/* A second timeline that starts as the same; neither sees what the other does from now on. */
EXAONE_MUST_USE exaone_status exaone_sequence_fork(const exaone_sequence *s, exaone_sequence **out, exaone_error *err);

/* Checks the prompt, cuts the timeline back to what it shares with it, and notes the prompt's ids and media: tokens length
 * .. n_ids - 1 wait for evaluation then, at least the last one. A timeline that the prompt goes on from is marked at its
 * end. `digests` [n_media, EXAONE_MEDIUM_DIGEST] are those of the media, NULL: not known yet. On failure the timeline is
 * empty or as it was. */
EXAONE_MUST_USE exaone_status exaone_sequence_begin(exaone_sequence *s, const exaone_prompt *prompt, const uint8_t *digests,
                                                    exaone_error *err);
/* Tokens that exaone_sequence_begin would keep for a prompt of n_ids tokens that shares the first `shared` with it. */
size_t exaone_sequence_reach(const exaone_sequence *s, size_t shared, size_t n_ids);
/* Adds one id that waits for evaluation. EXAONE_ERR_LIMIT when the context is full. */
EXAONE_MUST_USE exaone_status exaone_sequence_add(exaone_sequence *s, int32_t id, exaone_error *err);
/* Encodes the media that tokens t0 .. t1 - 1 need, of the prompt given to exaone_sequence_begin; from the engine's feature
 * cache when it has them. `fn` may be NULL. Errors: EXAONE_ERR_CANCELLED, _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_sequence_encode(exaone_sequence *s, const exaone_prompt *prompt, size_t t0, size_t t1,
                                                     exaone_progress_fn *fn, void *ctx, exaone_error *err);
/* Ends the holds on features of media that are evaluated; all: of every medium. */
void exaone_sequence_drop_features(exaone_sequence *s, bool all);

/* At the end of a prompt: marks the place before its last token. exaone_sequence_begin comes back to it when the rings no
 * longer reach so far, so that a reply that is rendered otherwise later (without its reasoning, say) does not cost the
 * prompt again. */
void exaone_sequence_mark(exaone_sequence *s);
/* After each other forward call of a prompt: marks the place when the mark before is exaone_mark_distance away. */
void exaone_sequence_mark_way(exaone_sequence *s);

/* Cuts back tokens that the last forward call evaluated: n is at least the length before it plus 1. */
void exaone_sequence_take_back(exaone_sequence *s, size_t n);
void exaone_sequence_forget(exaone_sequence *s); /* makes it empty */

#endif
