/* Rotary tables. Formulas: docs/model.md (text: the llama3 rule; vision: axial). Frequencies, angles, cos and sin are f32,
 * as in the reference: near position 2^18 an f32 angle is coarse, and following it is what makes the numbers equal. */
#ifndef EXAONE_MODEL_ROPE_H
#define EXAONE_MODEL_ROPE_H

#include <stddef.h>
#include <stdint.h>

#include "model/config.h"

/* inv_freq [head_dim / 2] of the sliding layers after the rule of the configuration. */
void exaone_rope_text_frequencies(const exaone_config *config, float *inv_freq);
/* inv_freq [head_dim / 4] of the vision tower: entry k turns pair k with the row and pair k + head_dim/4 with the column. */
void exaone_rope_vision_frequencies(const exaone_config *config, float *inv_freq);

/* cos, sin [n, n_freq] at angle position[r] * inv_freq[i] */
void exaone_rope_table(float *cos_table, float *sin_table, const int64_t *position, size_t n, const float *inv_freq,
                       size_t n_freq);
/* cos, sin [n, 2 * n_freq] for the patches' (row, column) */
void exaone_rope_vision_table(float *cos_table, float *sin_table, const int32_t (*place)[2], size_t n, const float *inv_freq,
                              size_t n_freq);

#endif
