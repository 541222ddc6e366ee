/* One forward call for tokens of one or many sequences: a prompt's chunk, one row of a reply, the rows that verify drafts,
 * in any mix. A row's numbers do not depend on the rows beside it.
 *
 * Use: exaone_step_init once; then fill groups and call exaone_step_run. Nothing is allocated after init but pages of KV
 * caches. One thread. */
#ifndef EXAONE_ENGINE_STEP_H
#define EXAONE_ENGINE_STEP_H

#include "engine/sequence.h"

typedef struct exaone_step {
    exaone_engine *e;
    exaone_workspace ws;
    size_t max_rows, max_sequences, max_logits;
    exaone_row *rows;             /* [max_rows] */
    int64_t *positions;           /* [max_rows] */
    int32_t *order;               /* [max_rows] */
    exaone_kv_cache **caches;     /* [max_sequences] */
    float *inputs; /*dev*/        /* [max_rows, hidden_size] what went into layer 0; NULL without a draft module */
    float *shifted; /*dev*/       /* [max_rows, hidden_size] hidden states for the draft module's entries; the same */
    float *logits_device; /*dev*/ /* [max_logits, vocab_size] */
    float *wanted; /*dev*/        /* [max_logits, hidden_size] rows whose logits are asked for */
    float *logits;                /* host [max_logits, vocab_size] */
    int32_t *ids;                 /* [max_rows] */
} exaone_step;

/* max_rows: all rows of a call, at least 1; max_logits: all rows with logits of a call. */
EXAONE_MUST_USE exaone_status exaone_step_init(exaone_step *step, exaone_engine *e, size_t max_rows, size_t max_sequences,
                                               size_t max_logits, exaone_error *err);
void exaone_step_release(exaone_step *step); /* safe after a failed init and on a zeroed step */

/* The next n tokens of one sequence. Each sequence stands in one group at most. Features of media among the tokens must have
 * been made (exaone_sequence_encode). */
typedef struct exaone_step_group {
    exaone_sequence *seq;
    size_t n;            /* tokens ids[length] .. ids[length + n - 1]; at most the sequence's chunk */
    size_t n_logits;     /* logits of the last n_logits of them are wanted; 0: none */
    bool verifies;       /* the tokens after the first are drafts and may be taken back: n is at most EXAONE_TAIL_ROWS */
    const float *logits; /* out: host [n_logits, vocab_size], valid until the next call */
} exaone_step_group;

/* Evaluates the groups; lengths, draft state, media holds and, with n_logits > 0, the sequence's logits (those of its last
 * token) follow. Errors: EXAONE_ERR_LIMIT, _MEMORY before anything is changed. */
EXAONE_MUST_USE exaone_status exaone_step_run(exaone_step *step, exaone_step_group *groups, size_t n_groups,
                                              exaone_error *err);

/* Drafts for one sequence: what the draft module thinks comes after `next`, the token chosen to come after the timeline. */
typedef struct exaone_step_drafts {
    exaone_sequence *seq; /* with seq->drafts */
    int32_t next;
    size_t n;                /* drafts wanted, 1 .. EXAONE_MAX_DRAFT; out: drafts made */
    const int32_t *stop_ids; /* [n_stop_ids] a draft of these is the last: nothing comes behind it */
    size_t n_stop_ids;
    int32_t ids[EXAONE_MAX_DRAFT]; /* out */
    bool stops;                    /* out: the last is one of stop_ids */
} exaone_step_drafts;

/* Whether a list of ids holds one. */
static inline bool exaone_step_holds(const int32_t *ids, size_t n, int32_t id) {
    while (n > 0 && ids[n - 1] != id) {
        n--;
    }
    return n > 0;
}

/* Runs the draft module for all sequences together: one pass per draft. Timelines and logits stay as they are. The rows of
 * the first pass (each sequence's waiting entries) must fit max_rows, the sequences max_logits. */
EXAONE_MUST_USE exaone_status exaone_step_draft(exaone_step *step, exaone_step_drafts *drafts, size_t n_drafts,
                                                exaone_error *err);

#endif
