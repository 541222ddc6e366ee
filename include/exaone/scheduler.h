/* The scheduler: many requests on one engine, evaluated together.
 *
 *   exaone_scheduler_new(engine, NULL, &scheduler, &err);
 *   exaone_request_params p = {.prompt = {.ids = ids, .n_ids = n}, .sampling = &settings, .on_token = print_token, .ctx =
 * me}; exaone_scheduler_submit(scheduler, &p, &request, &err); exaone_request_wait(request, &reply, &err);
 *   exaone_request_free(request);
 *   exaone_scheduler_free(scheduler);
 *
 * One thread owns the device and all sequences. In each step it evaluates one batch: a row of every reply that is being
 * written and pieces of the prompts that are being read, so that a long prompt holds nobody up for longer than one piece. A
 * request gets the tokens that it would get alone, whoever else is there: a row's numbers do not depend on its batch.
 *
 * Every function may be called by any thread at any time, callbacks included, except where it says otherwise. Callbacks run
 * on the scheduler's thread: while one runs, nobody gets tokens; so it should hand its data on and return. */
#ifndef EXAONE_SCHEDULER_H
#define EXAONE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/cache.h"
#include "exaone/engine.h"
#include "exaone/sampling.h"
#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_scheduler exaone_scheduler;
typedef struct exaone_request exaone_request;

typedef struct exaone_scheduler_options {
    size_t max_sequences; /* requests evaluated at once, each with a KV cache of its own; 1 .. 256; 0: 16 */
    uint64_t n_ctx;    /* most tokens that are evaluated of a prompt with its reply, whose last token is not; 0: the model's
                          longest, capped at    32768 */
    size_t batch_rows; /* most rows (tokens) of one step, max_sequences .. 4096; 0: 256, or max_sequences if more */
    size_t max_queued; /* requests that may wait for a sequence, at most 65536; 0: 256 */
    double step_seconds; /* a step that somebody waits for his next token in should not take longer, at most 3600; 0: 0.2 */
    exaone_cache_type cache_type_k, cache_type_v; /* of keys and values in the caches */
    size_t draft;        /* tokens guessed per reply and step by the model's draft module; 0: what measures fastest */
    bool no_draft;       /* none, and no memory for them */
    uint64_t mark_bytes; /* memory for places to come back to in the timelines, all together; 0: 2 GiB */
    exaone_cache *cache; /* loads prompts from it and saves to it; must outlive the scheduler; NULL: none */
} exaone_scheduler_options;

/* Starts the thread. `options` may be NULL. The engine must outlive the scheduler. Errors: EXAONE_ERR_ARGUMENT, _LIMIT,
 * _MEMORY; with a cache also _IO and _FORMAT (the model's files). Owned by the caller: exaone_scheduler_free. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_scheduler_new(exaone_engine *engine, const exaone_scheduler_options *options,
                                                              exaone_scheduler **out, exaone_error *err);

/* Cancels what is left, waits until the callbacks have been told and frees the scheduler. Requests stay valid until they are
 * freed. No other call on the scheduler may be going on; must not be called by a callback. NULL is fine. */
EXAONE_API void exaone_scheduler_free(exaone_scheduler *scheduler);

/* Waits until no request waits or runs. Others may go on submitting. EXAONE_ERR_ARGUMENT when a callback calls it. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_scheduler_drain(exaone_scheduler *scheduler, exaone_error *err);

/* ---- requests ------------------------------------------------------------------------------------------------------------
 */

/* One token of a reply. */
typedef struct exaone_generated {
    int32_t id;
    size_t index;        /* tokens of the reply before it */
    bool stops;          /* one of the stop ids: the reply is complete */
    const float *logits; /* [vocab_size] what it was chosen from, before penalties and temperature; valid in the callback */
} exaone_generated;

/* Called for each token in order. Returns false to end the reply here. */
typedef bool exaone_token_fn(void *ctx, exaone_request *request, const exaone_generated *token);

typedef enum exaone_finish {
    EXAONE_FINISH_STOP,      /* a stop id came */
    EXAONE_FINISH_LENGTH,    /* max_tokens, or the context is full */
    EXAONE_FINISH_CALLBACK,  /* on_token returned false */
    EXAONE_FINISH_CANCELLED, /* exaone_request_cancel, exaone_request_free or exaone_scheduler_free */
    EXAONE_FINISH_ERROR,
} exaone_finish;

/* How a request ended. */
typedef struct exaone_reply {
    exaone_finish finish;
    exaone_error error;   /* code EXAONE_OK unless finish is _CANCELLED (EXAONE_ERR_CANCELLED) or _ERROR */
    size_t n_prompt;      /* tokens of the prompt */
    size_t n_reused;      /* of them: known from a request before or from the cache */
    size_t n_tokens;      /* tokens given to on_token */
    size_t drafted;       /* guessed ahead, and of them */
    size_t accepted;      /* those that were right */
    double queue_seconds; /* from submission until it got a sequence */
    double first_seconds; /* from submission to the first token; 0: there was none */
    double total_seconds; /* from submission to the end */
} exaone_reply;

/* Called exactly once, after the last on_token. The request may be freed in it. */
typedef void exaone_done_fn(void *ctx, exaone_request *request, const exaone_reply *reply);

typedef struct exaone_request_params {
    exaone_prompt prompt;            /* ids are copied; pixels must stay valid until on_done returns */
    const exaone_sampling *sampling; /* copied with its logit_bias; NULL: greedy */
    uint32_t stream;                 /* random stream of the seed: replies 0, 1, … to one prompt differ; it is read once */
    const int32_t *stop_ids;         /* copied; NULL: the model's own */
    size_t n_stop_ids;               /* 0 with stop_ids not NULL: none */
    size_t max_tokens;               /* of the reply; 0: as many as the context holds */
    int priority;                    /* higher ones leave the queue first and are read first; default 0 */
    exaone_token_fn *on_token;       /* may be NULL */
    exaone_done_fn *on_done;         /* may be NULL */
    void *ctx;
} exaone_request_params;

/* Puts a request into the queue. Errors, after which no callback comes: EXAONE_ERR_LIMIT when the queue is full (counted in
 * the stats) or the prompt longer than the context, EXAONE_ERR_ARGUMENT for a setting or an id out of its range,
 * EXAONE_ERR_CANCELLED when the scheduler is being freed, EXAONE_ERR_MEMORY. *out belongs to the caller:
 * exaone_request_free. It may be told to callbacks before submit returns. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_scheduler_submit(exaone_scheduler *scheduler,
                                                                 const exaone_request_params *params, exaone_request **out,
                                                                 exaone_error *err);

/* Ends the request before the next step: at most the one callback that is being made still comes, then only on_done. Does
 * not wait. Nothing happens when it has ended already. */
EXAONE_API void exaone_request_cancel(exaone_request *request);

/* Waits until on_done has returned. *reply may be NULL. Returns the reply's status with its message. A callback of an
 * unfinished request must not wait: EXAONE_ERR_ARGUMENT. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_request_wait(exaone_request *request, exaone_reply *reply,
                                                             exaone_error *err);

/* Cancels the request if it has not ended, waits until on_done has returned (not when a callback calls it: then on_done may
 * still come) and gives the handle back. NULL is fine. May be called after exaone_scheduler_free. */
EXAONE_API void exaone_request_free(exaone_request *request);

/* ---- numbers -------------------------------------------------------------------------------------------------------------
 */

typedef struct exaone_scheduler_stats {
    uint64_t submitted, refused; /* taken into the queue; turned away because it was full */
    uint64_t finished, cancelled, failed;
    size_t queued, running, most_queued;
    uint64_t steps;       /* forward passes */
    uint64_t prompt_rows; /* rows of prompts evaluated in them */
    uint64_t reply_rows;  /* rows of replies, drafts included */
    uint64_t reused;      /* prompt tokens that needed no evaluation */
    uint64_t tokens;      /* tokens given to callers */
    uint64_t drafted, accepted;
    size_t last_rows, most_rows; /* of the last step; of the largest */
    size_t chunk;                /* prompt rows that a step takes now while replies are being written */
    double busy_seconds;         /* in steps, callbacks not included */
    double tokens_per_second;    /* tokens of replies over the last steps, about two seconds of them */
    double longest_wait;         /* longest step, in seconds, in which a reply was being written */
} exaone_scheduler_stats;

EXAONE_API void exaone_scheduler_get_stats(exaone_scheduler *scheduler, exaone_scheduler_stats *out);

#ifdef __cplusplus
}
#endif
#endif
