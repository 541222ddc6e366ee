/* The scheduler's insides: scheduler.c is what callers see (queue, handles, numbers), scheduler_run.c the thread.
 *
 * Locks: a request's lock may be held when the scheduler's is taken, never the other way round; no lock is held in a
 * callback or a forward pass. Fields without a note are set before the thread can see them and never change. */
#ifndef EXAONE_ENGINE_SCHEDULER_INTERNAL_H
#define EXAONE_ENGINE_SCHEDULER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/background_save.h"
#include "engine/generate.h"
#include "engine/schedule_plan.h"
#include "exaone/scheduler.h"

struct exaone_request {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* with lock: done has become true */
    exaone_scheduler *scheduler;
    unsigned holders;      /* lock: the caller and the scheduler */
    bool done;             /* lock: on_done has returned, the scheduler may be gone */
    atomic_bool cancelled; /* written under lock */
    exaone_reply reply;    /* the thread's until done */
    pthread_t thread;      /* the scheduler's */
    double submitted;      /* on the monotonic clock, as all times here */
    exaone_prompt prompt;  /* ids and media are copies, pixels the caller's */
    uint8_t *digests;      /* [n_media, EXAONE_MEDIUM_DIGEST] */
    uint64_t fingerprint;  /* of ids and digests: equal prompts have the same */
    exaone_sampling sampling;
    uint32_t stream;
    int32_t *stop_ids; /* [n_stop_ids] */
    size_t n_stop_ids, max_tokens;
    int priority;
    exaone_token_fn *on_token;
    exaone_done_fn *on_done;
    void *ctx;
};

/* One sequence and who has it. The thread's alone. */
typedef struct exaone_slot {
    exaone_sequence *seq;    /* NULL until it is first used */
    exaone_request *request; /* NULL: idle; the timeline waits for somebody who shares it */
    exaone_prefix *prefix;   /* of the sequence; NULL: nothing is kept on disk */
    exaone_sampler *sampler; /* of the request */
    bool replies;            /* the prompt is evaluated; `next` is chosen and not evaluated */
    bool encodes;            /* its media are being encoded: no rows for now */
    int32_t next;
    int32_t drafts[EXAONE_MAX_DRAFT]; /* of this step */
    size_t n_drafts, n_accepted;
    size_t n_rows;      /* evaluated in this step: next and the drafts, without a stop id at their end */
    uint64_t last_used; /* step number */
} exaone_slot;

enum { EXAONE_DRAFT_ROWS = 32, EXAONE_DRAFT_LOADS = 9 };

struct exaone_scheduler {
    exaone_engine *e;
    exaone_scheduler_options options; /* defaults filled in */
    bool drafts;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t work;          /* lock: something for the thread to do */
    pthread_cond_t idle;          /* lock: unfinished has become 0 */
    exaone_waiting *waiting;      /* lock [max_queued + max_sequences], in order of arrival */
    size_t n_waiting;             /* lock */
    size_t unfinished;            /* lock: requests that have not ended */
    bool cancels, stopping;       /* lock: some request was cancelled; no more submissions */
    exaone_scheduler_stats stats; /* lock */

    /* the thread's */
    exaone_step step;
    exaone_prefix *prefix;                                  /* what those of the slots are forked of; NULL: no cache */
    exaone_saver *saver;                                    /* with prefix */
    exaone_slot *slots;                                     /* [max_sequences] */
    exaone_slot **planned;                                  /* [max_sequences] of this step */
    exaone_plan_item *items;                                /* [max_sequences] */
    exaone_step_group *groups;                              /* [max_sequences] */
    exaone_step_drafts *guesses;                            /* [max_sequences] */
    exaone_draft_control draft_control[EXAONE_DRAFT_LOADS]; /* by the number of replies: 1, 2, 3-4, 5-8, … */
    exaone_chunk_control chunk;
    size_t n_encodes; /* encodes under way: 0 or 1 */
    uint64_t step_number;
    double last_step, last_end;       /* seconds that the last step took; when it ended */
    double rate_tokens, rate_seconds; /* fading sums */
};

EXAONE_MUST_USE exaone_status exaone_scheduler_sequence(const exaone_scheduler *s, exaone_sequence **out, exaone_error *err);
void *exaone_scheduler_main(void *scheduler);
double exaone_scheduler_clock(void); /* monotonic seconds */
/* Tells on_done, wakes who waits and ends the scheduler's hold. The caller filled reply.finish and reply.error. */
void exaone_request_end(exaone_request *request);

#endif
