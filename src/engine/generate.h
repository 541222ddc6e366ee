/* Replies with drafts: choosing how many, and deciding which stand. Lossless: a draft stands iff it equals what the sampler
 * chooses from the model's own logits at its place, and that choice depends on seed, stream and number of tokens alone. */
#ifndef EXAONE_ENGINE_GENERATE_H
#define EXAONE_ENGINE_GENERATE_H

#include "engine/step.h"
#include "exaone/sampling.h"

/* Running knowledge for choosing the number of drafts. Zeroed = nothing known. */
typedef struct exaone_draft_control {
    double taken[EXAONE_MAX_DRAFT], tried[EXAONE_MAX_DRAFT]; /* per position, fading */
    double verify_cost[EXAONE_MAX_DRAFT + 1];                /* seconds of a pass of k + 1 rows; 0: not measured */
    double draft_cost[EXAONE_MAX_DRAFT + 1];                 /* seconds of k drafts */
    uint32_t n_measured[EXAONE_MAX_DRAFT + 1];
    uint64_t steps, tokens;
    uint64_t probe_at;
} exaone_draft_control;

/* Drafts for the next step: `options` asks for a number or EXAONE_DRAFT_AUTO; never more than `room`. */
size_t exaone_draft_choose(exaone_draft_control *control, int asked, size_t room);
/* Tells what a step took and gave. */
void exaone_draft_observe(exaone_draft_control *control, size_t drafted, size_t accepted, double draft_seconds,
                          double verify_seconds);

/* Decides about verified drafts: the group's first token is `next`, then n drafts; logits [n + 1, vocab_size] of them.
 * Accepted ids go to the sampler and to out [n]; *n_out of them. The timeline is cut back to what stands, its logits are
 * those of the last token that stands, draft state follows. *ended: the last id in out is a stop id; it is not in the
 * timeline. */
EXAONE_MUST_USE exaone_status exaone_generate_verify(exaone_sequence *seq, exaone_sampler *sampler, const int32_t *drafts,
                                                     size_t n, const float *logits, const int32_t *stop_ids,
                                                     size_t n_stop_ids, int32_t *out, size_t *n_out, bool *ended,
                                                     exaone_error *err);

/* One step of a reply for one sequence: exaone_session_generate. ids [EXAONE_MAX_DRAFT + 1]. */
EXAONE_MUST_USE exaone_status exaone_generate(exaone_step *step, exaone_sequence *seq, exaone_draft_control *control,
                                              exaone_sampler *sampler, const exaone_draft_options *options, int32_t *ids,
                                              size_t *n, exaone_generation_stats *stats, exaone_error *err);

#endif
