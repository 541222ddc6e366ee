/* Rotary tables: see rope.h. The order of f32 operations follows the reference's. */
#include "model/rope.h"

#include <math.h>

/* 1 / theta^(2i / dim) */
static float base_frequency(double theta, size_t i, size_t dim) {
    return 1.0f / powf((float)theta, (float)(2 * i) / (float)dim);
}

/* The llama3 rule: long wavelengths are divided by `factor`, short ones kept, those between blended. */
static float llama3(const exaone_rope_config *r, float f) {
    float factor = (float)r->factor, low = (float)r->low_freq_factor, high = (float)r->high_freq_factor;
    float original = (float)r->original_max_position_embeddings;
    float wavelength = (float)(2 * 3.14159265358979323846) / f;
    if (wavelength < original / high) {
        return f;
    }
    if (wavelength > original / low) {
        return f / factor;
    }
    float smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * (f / factor) + smooth * f;
}

void exaone_rope_text_frequencies(const exaone_config *config, float *inv_freq) {
    size_t half = (size_t)config->head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        float f = base_frequency(config->rope.rope_theta, i, (size_t)config->head_dim);
        if (config->rope.factors) { /* MODEL: GGUF rope_freqs replace the rule, and divide */
            inv_freq[i] = f / config->rope.factors[i];
        } else {
            inv_freq[i] = config->rope.llama3 ? llama3(&config->rope, f) : f;
        }
    }
}

void exaone_rope_vision_frequencies(const exaone_config *config, float *inv_freq) {
    size_t dim = (size_t)(config->vision.hidden_size / config->vision.num_heads) / 2;
    for (size_t k = 0; k < dim / 2; k++) {
        inv_freq[k] = base_frequency(config->vision.rope_theta, k, dim);
    }
}

void exaone_rope_table(float *cos_table, float *sin_table, const int64_t *position, size_t n, const float *inv_freq,
                       size_t n_freq) {
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < n_freq; i++) {
            float angle = (float)position[r] * inv_freq[i]; /* MODEL: an f32 product */
            cos_table[r * n_freq + i] = cosf(angle);
            sin_table[r * n_freq + i] = sinf(angle);
        }
    }
}

void exaone_rope_vision_table(float *cos_table, float *sin_table, const int32_t (*place)[2], size_t n, const float *inv_freq,
                              size_t n_freq) {
    for (size_t r = 0; r < n; r++) {
        for (size_t axis = 0; axis < 2; axis++) { /* MODEL: the first half turns with the row, the second with the column */
            size_t at = (2 * r + axis) * n_freq;
            int64_t where = place[r][axis];
            exaone_rope_table(cos_table + at, sin_table + at, &where, 1, inv_freq, n_freq);
        }
    }
}
