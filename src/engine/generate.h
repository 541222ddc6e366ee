/* Replies with drafts: choosing how many, and deciding which stand. Lossless: a draft stands iff it equals what the sampler
 * chooses from the model's own logits at its place, and that choice depends on seed, stream and number of tokens alone. */
#ifndef EXAONE_ENGINE_GENERATE_H
#define EXAONE_ENGINE_GENERATE_H

#include "engine/step.h"
#include "exaone/sampling.h"

/* What is known for choosing the number of drafts: how often drafts stand, by place, and what passes cost. Zeroed = nothing.
 * The number k is chosen that gives most tokens per second: (1 + p1 + p1 p2 + … + p1 … pk) / (cost of k drafts and of a pass
 * of k + 1 rows). Numbers that were not tried are judged by the line through those that were; now and then a neighbour of
 * the best is tried again, the more seldom the longer nothing changes, and very seldom when it would be slower even if all
 * of its drafts stood. */
typedef struct exaone_draft_control {
    double stood[EXAONE_MAX_DRAFT], tried[EXAONE_MAX_DRAFT]; /* fading counts by place; tried: the drafts before it stood */
    double cost[EXAONE_MAX_DRAFT + 1];                       /* seconds of a step with k drafts */
    uint32_t measured[EXAONE_MAX_DRAFT + 1];                 /* how often */
    uint64_t steps, next_probe, probe_distance;
    size_t last_best;
    bool cautious; /* begins without drafts and tries one more at a time: for steps of many replies, where rows cost most */
} exaone_draft_control;

/* Drafts for the next step, at most `room`: `asked`, or with EXAONE_DRAFT_AUTO what seems fastest. */
size_t exaone_draft_choose(exaone_draft_control *control, int asked, size_t room);
/* Tells what a step with `drafted` drafts gave and how long it took; seconds 0: nothing about the time. */
void exaone_draft_observe(exaone_draft_control *control, size_t drafted, size_t accepted, double seconds);

/* Decides about verified drafts: the last n_rows tokens of the timeline are a token that the sampler has accepted and the
 * drafts behind it, all n of them (n_rows n + 1) or all but a stop id at their end (n_rows n); logits [n_rows, vocab_size]
 * are theirs. Drafts that stand go to the sampler and to out [n], *n_out of them. The timeline is cut back to what stands
 * and its logits are those of its last token. A stop id ends the list: it is the sequence's pending token then and not in
 * the timeline. */
void exaone_generate_verify(exaone_sequence *seq, exaone_sampler *sampler, const int32_t *drafts, size_t n, size_t n_rows,
                            const float *logits, const exaone_draft_options *options, int32_t *out, size_t *n_out);
/* Whether an id ends a reply: one of the options or, when they name none, of the model. */
bool exaone_generate_stops(const exaone_engine *e, const exaone_draft_options *options, int32_t id);

/* One step of a reply for one sequence: exaone_session_generate. */
typedef struct exaone_generator {
    exaone_step *step;
    exaone_draft_control control;
    exaone_generation_stats stats;
    const float *first_logits; /* [vocab_size] what the step's first token was chosen from */
} exaone_generator;
/* Evaluates the token that ended the step before, if there is one. */
EXAONE_MUST_USE exaone_status exaone_generate_take_pending(exaone_generator *g, exaone_sequence *seq, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_generate(exaone_generator *g, exaone_sequence *seq, exaone_sampler *sampler,
                                              const exaone_draft_options *options, int32_t *ids, size_t *n,
                                              exaone_error *err);

#endif
