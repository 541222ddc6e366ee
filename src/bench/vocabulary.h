/* A made-up tokenizer for models of random weights: 80 control tokens, the 256 bytes, pairs and triples of them, with their
 * merges. It has the size of the real one, and other programs load it. */
#ifndef EXAONE_BENCH_VOCABULARY_H
#define EXAONE_BENCH_VOCABULARY_H

#include "weights/gguf_writer.h"

/* tokenizer.ggml.* of n tokens, at least 336. Errors: EXAONE_ERR_MEMORY. */
EXAONE_MUST_USE exaone_status exaone_vocabulary_put(exaone_gguf_writer *w, size_t n, exaone_error *err);

#endif
