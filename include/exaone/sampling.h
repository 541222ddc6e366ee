/* Sampling: from the logits of one step to the next token.
 *
 *   exaone_sampling params;
 *   exaone_sampling_preset("general", &params, NULL);
 *   params.seed = 7;
 *   exaone_sampler_new(&params, vocab_size, stop_ids, n_stop_ids, &sampler, &err);
 *   exaone_sampler_prompt(sampler, prompt_ids, n_prompt_ids, &err);
 *   for each step: exaone_sampler_choose(sampler, logits, &id, NULL, &err); exaone_sampler_accept(sampler, id, &err);
 *   exaone_sampler_free(sampler);
 *
 * The processors run in the order of Hugging Face transformers 5.23 (generation/utils.py, generation/logits_process.py):
 *   always:   logit_bias, repetition_penalty, min_new_tokens, presence_penalty, frequency_penalty;
 *   sampling: temperature, top_h, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff.
 * presence_penalty and frequency_penalty are OpenAI's; they stand where transformers puts a caller's own processors.
 * Scores are computed in f32 as there; sums and probabilities that decide what is kept, in f64. */
#ifndef EXAONE_SAMPLING_H
#define EXAONE_SAMPLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_logit_bias {
    int32_t id; /* 0 .. vocab_size-1 */
    float bias; /* added to the token's logit: a finite number, or -INFINITY to forbid the token */
} exaone_logit_bias;

/* Settings of one reply. Names as in generation_config.json and the OpenAI API. The value in brackets switches a setting off
 * and is what exaone_sampling_default gives. */
typedef struct exaone_sampling {
    bool do_sample;        /* [true] false: greedy, the first of the highest scores; temperature to top_h are not used */
    double temperature;    /* [1] scores are divided by it, 1e-6 .. 1e6; 0: greedy */
    int32_t top_k;         /* [0] keep the k highest scores and all that equal the k-th */
    double top_p;          /* [1] drop the least probable tokens while their sum stays <= 1 - top_p; 0 .. 1 */
    double min_p;          /* [0] drop tokens less probable than min_p times the most probable one; 0 .. 1 */
    double typical_p;      /* [1] keep the tokens whose surprise is nearest the entropy until they hold this mass; above 0 */
    double epsilon_cutoff; /* [0] drop tokens less probable than this; below 1 */
    double eta_cutoff;     /* [0] the same with min(eta, sqrt(eta) * exp(-entropy)); below 1 */
    double top_h;          /* [0] of the 100 highest, keep while their share of the entropy stays <= top_h; 0 .. 1 */
    double repetition_penalty;           /* [1] for ids in prompt or reply: positive scores / p, negative * p; 1e-6 .. 1e6 */
    double presence_penalty;             /* [0] subtracted once from ids of the reply, not of the prompt; -1e6 .. 1e6 */
    double frequency_penalty;            /* [0] subtracted once per occurrence in the reply; -1e6 .. 1e6 */
    int32_t min_new_tokens;              /* [0] stop ids are impossible before the reply has so many tokens */
    const exaone_logit_bias *logit_bias; /* [NULL] n_logit_bias entries, added in turn; the sampler copies them */
    size_t n_logit_bias;
    uint64_t seed; /* [0] same seed, same logits, same settings: same tokens, on any machine and thread count */
} exaone_sampling;

/* Everything off, do_sample true, temperature 1. */
EXAONE_API void exaone_sampling_default(exaone_sampling *out);

/* The settings that the model card recommends (seed and everything not named: as by default):
 *   "general"  temperature 1.0, top_p 0.95, presence_penalty 1.5
 *   "ocr"      temperature 0.6, top_p 0.95, presence_penalty 1.5, top_k 20: documents, and Korean input
 *   "text"     temperature 1.0, top_p 0.95
 * EXAONE_ERR_ARGUMENT for another name. Source: LG-AI-EXAONE/EXAONE-4.5 README. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampling_preset(const char *name, exaone_sampling *out, exaone_error *err);

/* EXAONE_ERR_ARGUMENT with field, value and limit when a setting is NaN or out of its range. Token ids are not looked at. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampling_validate(const exaone_sampling *params, exaone_error *err);

/* ---- sampler
 * -------------------------------------------------------------------------------------------------------------- */

/* The settings, the ids seen so far and scratch memory (about 20 bytes per vocabulary entry, 36 with typical_p). One thread
 * at a time. Only new and clone allocate. */
typedef struct exaone_sampler exaone_sampler;

/* Validates and copies `params`. stop_ids (NULL with n = 0) are what min_new_tokens forbids. Every id must be in
 * 0 .. vocab_size-1. Errors: EXAONE_ERR_ARGUMENT, _MEMORY. Owned by the caller: exaone_sampler_free. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_new(const exaone_sampling *params, size_t vocab_size,
                                                            const int32_t *stop_ids, size_t n_stop_ids, exaone_sampler **out,
                                                            exaone_error *err);
EXAONE_API void exaone_sampler_free(exaone_sampler *sampler); /* NULL is fine */

/* A copy with the same history that goes on by itself. `stream` picks its random numbers: samplers of one seed with
 * different streams are independent; new gives stream 0. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_clone(const exaone_sampler *sampler, uint32_t stream,
                                                              exaone_sampler **out, exaone_error *err);

/* Tells the ids of the prompt (placeholders of images included, padding left out); may be called several times.
 * EXAONE_ERR_ARGUMENT for an id outside the vocabulary: then none of the call's ids counts. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_prompt(exaone_sampler *sampler, const int32_t *ids, size_t n,
                                                               exaone_error *err);
/* Tells one generated token: penalties see it, and the random numbers move on by one step. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_accept(exaone_sampler *sampler, int32_t id, exaone_error *err);
EXAONE_API size_t exaone_sampler_n_generated(const exaone_sampler *sampler); /* tokens accepted */

/* logits [vocab_size] f32 -> scores [vocab_size] f32 after all processors, -INFINITY = removed. The two may be the same
 * array. Errors: EXAONE_ERR_NUMERIC when a logit, or a score on the way, is NaN or infinite (naming the token);
 * EXAONE_ERR_ARGUMENT when bias and min_new_tokens leave no token. On failure `scores` is undefined. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_process(exaone_sampler *sampler, const float *logits, float *scores,
                                                                exaone_error *err);

/* Processes the logits and picks: the first maximum when greedy, else by the inverse of the cumulative distribution at a
 * random number that depends on seed, stream and number of accepted tokens alone; so asking twice gives the same answer.
 * *margin (may be NULL): best minus second-best processed score, INFINITY when only one token is left. Errors as process. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_sampler_choose(exaone_sampler *sampler, const float *logits, int32_t *id,
                                                               float *margin, exaone_error *err);

/* ---- probabilities
 * -------------------------------------------------------------------------------------------------------- */

/* scores [n] f32 -> probs [n] f32: softmax, computed in f64; -INFINITY gives 0. May be the same array.
 * EXAONE_ERR_NUMERIC for NaN, +INFINITY or when every score is -INFINITY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_scores_probs(const float *scores, size_t n, float *probs, exaone_error *err);

typedef struct exaone_logprob {
    int32_t id;
    float logprob; /* natural logarithm */
} exaone_logprob;

/* Log-probabilities under softmax(scores [n]): top [n_top] gets the n_top most probable tokens, most probable first and of
 * equal ones the lower id first; *of_id (may be NULL) that of token `id` (not looked at when of_id is NULL). n_top is at
 * most n and at most EXAONE_TOP_LOGPROBS_MAX (EXAONE_ERR_ARGUMENT). Errors else as exaone_scores_probs. Allocates nothing.
 */
#define EXAONE_TOP_LOGPROBS_MAX 128
EXAONE_API EXAONE_MUST_USE exaone_status exaone_scores_logprobs(const float *scores, size_t n, int32_t id, float *of_id,
                                                                exaone_logprob *top, size_t n_top, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
