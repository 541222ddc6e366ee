/* Where files are: whether two names mean the same file, and which files a conversion reads and so must not replace. */
#ifndef EXAONE_QUANT_PLACE_H
#define EXAONE_QUANT_PLACE_H

#include <stdbool.h>

#include "weights/weights.h"

/* True when both names lead to one file, or to the same free name in one folder: "a/b.gguf", "./a/../a/b.gguf", links. */
bool exaone_place_same(const char *a, const char *b);

/* What `path` is to the conversion: "the source", "the importance matrix", …; NULL when it is not read or not there. Read
 * are the weight files, the source by its own name, `imatrix` (may be NULL) and every file of a Hugging Face folder but GGUF
 * files. */
const char *exaone_place_role(const exaone_weights *weights, const char *source, const char *imatrix, const char *path);

#endif
