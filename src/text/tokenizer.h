/* Tokenizer from the arrays of a GGUF file: what the container's reader hands over. */
#ifndef EXAONE_TEXT_TOKENIZER_H
#define EXAONE_TEXT_TOKENIZER_H

#include "exaone/text.h"

typedef struct exaone_string_view {
    const char *bytes; /* [n], not NUL-terminated; NULL when n = 0 */
    size_t n;
} exaone_string_view;

/* Nothing here is trusted, and nothing needs to outlive the call. */
typedef struct exaone_tokenizer_arrays {
    exaone_string_view model;         /* tokenizer.ggml.model: must be "gpt2" */
    exaone_string_view pre;           /* tokenizer.ggml.pre: must be "exaone-moe" */
    size_t n_tokens;                  /* >= 1 */
    const exaone_string_view *tokens; /* [n_tokens] ordinary tokens in the byte alphabet, added ones as plain text */
    const int32_t *types; /* [n_tokens] 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused; NULL: all normal */
    size_t n_merges;
    const exaone_string_view *merges; /* [n_merges] "left right"; an inner space is spelled U+0120 */
    int64_t bos, eos, unk, pad;       /* ids, or -1 when the file does not say: checked against n_tokens, not kept */
} exaone_tokenizer_arrays;

/* Errors: EXAONE_ERR_FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY. Owned by the caller: exaone_tokenizer_free. */
EXAONE_MUST_USE exaone_status exaone_tokenizer_from_arrays(const exaone_tokenizer_arrays *arrays, exaone_tokenizer **out,
                                                           exaone_error *err);

#endif
