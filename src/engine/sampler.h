/* Inside the sampler: the set of tokens still possible, and the filters that shrink it. The object is in sampler.c, the
 * settings in sampling.c, the filters in sampler_filters.c. */
#ifndef EXAONE_ENGINE_SAMPLER_H
#define EXAONE_ENGINE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/sampling.h"

/* One token as a number that orders tokens: by score, then by id (0.0 and -0.0 are equal). */
typedef uint64_t exaone_candidate;

/* A token and how far its surprise is from the entropy (typical_p). */
typedef struct exaone_typical {
    double shift;
    uint32_t id;
    uint32_t unused;
} exaone_typical;

typedef struct exaone_candidates {
    float *scores;          /* [vocab_size]; a filter that removes a token sets its score to -INFINITY */
    exaone_candidate *list; /* [n] possible tokens; ascending when sorted, else in any order */
    size_t n;               /* at least 1 */
    bool sorted;
    exaone_typical *typical; /* [vocab_size] scratch; NULL when typical_p is off */
} exaone_candidates;

size_t exaone_sampler_vocab_size(const exaone_sampler *sampler);

exaone_candidate exaone_candidate_make(float score, uint32_t id);
uint32_t exaone_candidate_id(exaone_candidate c);
float exaone_candidate_score(exaone_candidate c);

/* Runs top_h, top_k, top_p, min_p, typical_p, epsilon_cutoff and eta_cutoff as `params` says. Never removes the last token.
 */
void exaone_candidates_filter(exaone_candidates *c, const exaone_sampling *params);

#endif
