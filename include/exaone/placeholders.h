/* Placeholders: one <|image_pad|> or <|video_pad|> in the tokenised prompt becomes as many as the picture has tokens.
 * Source: Exaone4_5_Processor of transformers 5.23 (docs/model.md, section "Processor"). */
#ifndef EXAONE_PLACEHOLDERS_H
#define EXAONE_PLACEHOLDERS_H

#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Replaces the k-th image_token_id of ids[n] by image_tokens[k] copies, and the k-th video_token_id by video_tokens[k]
 * copies: one run each, nothing between. *out_ids (free(); [*n_out]) is never NULL on success. A token id of -1 means that
 * the model has none. Errors: ERR_ARGUMENT with both counts when the number of placeholders is not the number of images
 * (videos), or when a count of tokens is 0; ERR_LIMIT when the result would be longer than max_out ids. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_expand_placeholders(const int32_t *ids, size_t n, int32_t image_token_id,
                                                                    const size_t *image_tokens, size_t n_images,
                                                                    int32_t video_token_id, const size_t *video_tokens,
                                                                    size_t n_videos, size_t max_out, int32_t **out_ids,
                                                                    size_t *n_out, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
