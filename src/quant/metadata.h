/* The metadata of a new GGUF pair: made from a Hugging Face folder, or copied from GGUF files. Keys: docs/model.md, "GGUF".
 */
#ifndef EXAONE_QUANT_METADATA_H
#define EXAONE_QUANT_METADATA_H

#include "model/config.h"
#include "weights/gguf_writer.h"

/* Of the text file: architecture, shape, tokenizer.json and chat_template.jinja (left out when the folder has none). `name`
 * becomes general.name. Errors: EXAONE_ERR_IO, _FORMAT, _MODEL (a tokenizer of another kind, an id outside the vocabulary),
 * _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_metadata_text(exaone_gguf_writer *w, const exaone_config *config, const char *folder,
                                                   const char *name, uint32_t file_type, exaone_error *err);

/* Of the mmproj file. Errors: those, and _MODEL when the full-attention blocks have no period, which is how GGUF says it. */
EXAONE_MUST_USE exaone_status exaone_metadata_vision(exaone_gguf_writer *w, const exaone_config *config, const char *folder,
                                                     uint32_t file_type, exaone_error *err);

/* Every entry of `from` but those of its pieces and its alignment; general.file_type becomes *file_type unless that is NULL.
 */
void exaone_metadata_copy(exaone_gguf_writer *w, const exaone_gguf *from, const uint32_t *file_type);

/* tokenizer.ggml.*, for exaone_metadata_text. */
EXAONE_MUST_USE exaone_status exaone_metadata_tokenizer(exaone_gguf_writer *w, const exaone_config *config,
                                                        const char *folder, exaone_error *err);

#endif
