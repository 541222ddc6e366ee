/* Comparing two models: their weights tensor by tensor, and their predictions.
 *
 * Weight files may be of any kind and of two kinds (Hugging Face folder, GGUF with or without mmproj); names are matched as
 * in docs/model.md, "GGUF". Values are compared as f32; sums are f64 and do not depend on the number of threads. */
#ifndef EXAONE_DIFF_H
#define EXAONE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/imatrix.h"
#include "exaone/parallel.h"
#include "exaone/status.h"
#include "exaone/tensors.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exaone_diff_kind {
    EXAONE_DIFF_COMPARED,
    EXAONE_DIFF_ONLY_A, /* absent in B */
    EXAONE_DIFF_ONLY_B,
    EXAONE_DIFF_SHAPE, /* both have it, with different shapes */
    EXAONE_DIFF_TYPE   /* a type that is not read as numbers */
} exaone_diff_kind;

/* One tensor; the pointers are valid during the call. Dimensions are outermost first. A patch embedding is compared as its
 * two temporal slices; a matrix with scales in other tensors counts with them. */
typedef struct exaone_diff_tensor {
    const char *name; /* of the GGUF tensor; without a place in GGUF its own */
    exaone_diff_kind kind;
    exaone_dtype type_a, type_b; /* EXAONE_DTYPE_COUNT where absent */
    size_t n_dims_a, n_dims_b;
    uint64_t dims_a[EXAONE_TENSOR_MAX_DIMS], dims_b[EXAONE_TENSOR_MAX_DIMS];
    uint64_t bytes_a, bytes_b;
    uint64_t elements;
    double relative; /* |b - a| / |a|, Euclidean; 0 when both are zero, infinite when only a is */
    double max_abs;  /* largest |b - a| */
    double weighted; /* as relative, with the squares weighted by the importance of their columns; -1: no importance */
    double square, reference; /* sums of (b - a)^2 and a^2 */
    uint64_t not_finite;      /* elements that are not finite on one side, and not equal; left out of the sums */
} exaone_diff_tensor;

/* Called in the order of A's files, then what only B has; false stops (EXAONE_ERR_CANCELLED). */
typedef bool exaone_diff_fn(void *ctx, const exaone_diff_tensor *tensor);
/* Bytes of A read so far; false stops. */
typedef bool exaone_diff_progress_fn(void *ctx, const char *tensor, uint64_t done, uint64_t total);

typedef struct exaone_diff_options {
    const char *mmproj_a, *mmproj_b; /* as exaone_engine_options */
    const exaone_imatrix *imatrix;   /* weights of `weighted`; NULL: none */
    int threads;                     /* 0: as exaone_engine_options */
    exaone_diff_fn *tensor;          /* NULL: none */
    exaone_diff_progress_fn *progress;
    void *ctx; /* of both */
} exaone_diff_options;

typedef struct exaone_diff_report {
    size_t n_compared, n_equal; /* equal: no element differs */
    size_t n_only_a, n_only_b, n_shape, n_type;
    uint64_t elements, not_finite;
    uint64_t bytes_a, bytes_b; /* of the compared tensors */
    double relative, max_abs;  /* over all compared tensors together */
    double weighted;           /* over those with importance; -1: none */
} exaone_diff_report;

/* Reads one tensor after the other; each page of the files is given back after use. `report` may be NULL. Errors:
 * EXAONE_ERR_IO, _FORMAT, _MODEL, _MEMORY, _CANCELLED. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_diff_weights(const char *a, const char *b,
                                                             const exaone_diff_options *options, exaone_diff_report *report,
                                                             exaone_error *err);

/* One place of a text: what model B predicts there against model A. */
typedef struct exaone_diff_token {
    double kl;           /* sum p_a (ln p_a - ln p_b) */
    double nll_a, nll_b; /* -ln of the probability of the token that follows; NaN when there is none */
    bool same_top;       /* both find the same token likeliest (the first of equal ones) */
} exaone_diff_token;

/* Logits a and b [n, vocab_size] f32; next [n] = the token that follows each place, or -1. out [n]. `parallel` may be NULL.
 * Errors: EXAONE_ERR_NUMERIC with the place when a logit is not finite; EXAONE_ERR_ARGUMENT when a token is not below
 * vocab_size. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_diff_logits(const float *a, const float *b, size_t n, size_t vocab_size,
                                                            const int32_t *next, const exaone_parallel *parallel,
                                                            exaone_diff_token *out, exaone_error *err);

typedef struct exaone_diff_summary {
    size_t n, n_predicted;                    /* places; those with a token that follows */
    double kl_mean, kl_median, kl_99, kl_max; /* percentiles: the value at rank ceil(p n) */
    double top1;                              /* part of the places with the same top token */
    double perplexity_a, perplexity_b;
} exaone_diff_summary;

/* Reorders the tokens. n = 0 gives zeros. */
EXAONE_API exaone_diff_summary exaone_diff_summarize(exaone_diff_token *tokens, size_t n);

#ifdef __cplusplus
}
#endif
#endif
