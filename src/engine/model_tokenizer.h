/* The tokenizer of a model: from tokenizer.json of a folder or the entries tokenizer.ggml.* of a GGUF file. */
#ifndef EXAONE_ENGINE_MODEL_TOKENIZER_H
#define EXAONE_ENGINE_MODEL_TOKENIZER_H

#include "exaone/text.h"
#include "weights/weights.h"

/* *out: exaone_tokenizer_free. `may_lack`: without tokenizer.json or tokenizer.ggml.tokens *out is NULL and the status OK.
 * Errors: those of exaone_tokenizer_open, EXAONE_ERR_FORMAT (an entry is missing or of another kind), _MODEL (more tokens
 * than vocab_size). */
EXAONE_MUST_USE exaone_status exaone_model_tokenizer(const exaone_weights *weights, int vocab_size, bool may_lack,
                                                     exaone_tokenizer **out, exaone_error *err);

#endif
