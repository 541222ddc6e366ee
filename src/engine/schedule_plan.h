/* The scheduler's decisions as plain functions of plain numbers: who leaves the queue, which rows the next step evaluates,
 * how many rows of prompts a step may take. They know no model and no thread. */
#ifndef EXAONE_ENGINE_SCHEDULE_PLAN_H
#define EXAONE_ENGINE_SCHEDULE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* ---- the queue ---- */

/* A request with a lower priority is overtaken so often at most: then it is next, whatever comes. */
enum { EXAONE_QUEUE_PATIENCE = 16 };

typedef struct exaone_waiting {
    void *request;
    int priority;
    unsigned overtaken; /* by younger ones with a higher priority */
    bool held;          /* it waits for another request that reads the same prompt; nobody overtakes it meanwhile */
} exaone_waiting;

/* Index of the entry that leaves the queue next (w [n] in order of arrival): of those that are not held the oldest of the
 * highest priority, or the oldest whose patience is at its end; n: all are held. Counts for those that it overtakes. The
 * caller removes the entry. */
size_t exaone_queue_next(exaone_waiting *w, size_t n);

/* ---- the rows of a step ---- */

/* A request that has a sequence. */
typedef struct exaone_plan_item {
    int priority;
    size_t prompt; /* rows of its prompt that are not evaluated yet; 0: its reply is being written */
    size_t drafts; /* of a reply: guesses to verify, behind the row of its last token */
    size_t rows;   /* result */
} exaone_plan_item;

typedef struct exaone_plan_limits {
    size_t batch_rows;    /* of the step, at least n */
    size_t sequence_rows; /* of one sequence in a step, at least 1 */
    size_t chunk;         /* of prompts, when a reply is being written too; at least 1 */
} exaone_plan_limits;

/* Sets `rows` of every item and returns their sum, at most batch_rows. In this order:
 *   1. every reply gets its row: nobody who streams ever sits out a step;
 *   2. every prompt gets a row, for the same reason;
 *   3. replies get rows for their guesses, one each in turn, but leave half of what is left to the prompts;
 *   4. prompts share the rest, at most `chunk` rows if there are replies: the highest priority first, all of one priority
 *      alike, so that a short prompt is through after few steps; an eighth is kept for those of lower priority. */
size_t exaone_plan_rows(exaone_plan_item *items, size_t n, const exaone_plan_limits *limits);

/* ---- the size of a chunk ---- */

/* How many prompt rows a step takes while replies are being written, so that it lasts `target` seconds. */
typedef struct exaone_chunk_control {
    size_t least, most, chunk;
    double target;
} exaone_chunk_control;

/* Tells how long a step with `prompt_rows` rows of prompts took in which a reply waited. Too long: shrinks in proportion, to
 * half at most. Clearly below the target with a full chunk: grows by a quarter. */
void exaone_chunk_adapt(exaone_chunk_control *c, size_t prompt_rows, double seconds);

#endif
