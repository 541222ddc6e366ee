/* Names of tensors: from those of the Hugging Face checkpoint to those of a GGUF pair. */
#ifndef EXAONE_WEIGHTS_NAMES_H
#define EXAONE_WEIGHTS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { EXAONE_NAME_ROOM = 256 };

/* Writes the GGUF name of a checkpoint's tensor; n_main = decoder layers without the MTP layer. *vision: it is in the mmproj
 * file. False when GGUF has no place for it. Table: docs/model.md, "GGUF". */
bool exaone_names_to_gguf(const char *name, size_t n_main, char out[EXAONE_NAME_ROOM], bool *vision);
/* The same for every spelling that checkpoints use (model.layers.N, language_model.model.layers.N, visual.blocks.N …); the
 * first that GGUF has a place for counts. */
bool exaone_names_any_to_gguf(const char *name, size_t n_main, char out[EXAONE_NAME_ROOM], bool *vision);

#endif
