/* For tests: GGUF pairs made from Hugging Face folders, with the keys and names of the official files (docs/model.md,
 * "GGUF"). */
#ifndef TESTS_MAKE_GGUF_H
#define TESTS_MAKE_GGUF_H

#include "tensor/dtype.h"

/* Writes the text file and, when the model has a vision tower, the mmproj file (mmproj may be NULL: none). Matrices become
 * `type` (F32, F16 or BF16: lossless when it is the stored type), vectors F32, as in the official files. The tokenizer and
 * the chat template go in when the folder has them. */
EXAONE_MUST_USE exaone_status make_gguf(const char *folder, const char *text, const char *mmproj, exaone_dtype type,
                                        exaone_error *err);

#endif
