/* What the levels with tiles (kernels.h) share: activations as panels, weights turned, the chain of an output.
 *
 * Lanes are outputs. The sum of an output is one chain over rising groups,
 *
 *   acc = fma(scale * dot, x_scale, acc);  acc = fma(-min, x_sum, acc)
 *
 * dot being exact: the same bits for any number of rows, and at every level that uses this file. */
#ifndef EXAONE_CPU_KERNELS_NEON_TILES_H
#define EXAONE_CPU_KERNELS_NEON_TILES_H

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/neon/lanes.h"
#include "cpu/kernels/neon/quantize.h"

#if defined(__aarch64__)

enum { TILE_VECTORS = EXAONE_TILE_OUTPUTS / 4 };

/* Asks for four rows of later weights: spread over a product, they come while it computes. */
static inline void fetch_rows(const exaone_q8_fetch *f, size_t first) {
    const uint8_t *p = f->rows + first * f->stride;
    for (size_t r = 0; r < 4 && p < f->end; r++, p += f->stride) {
        for (size_t i = 0; i < f->bytes; i += 64) {
            __builtin_prefetch(p + i, 0, 2);
        }
    }
}

/* Vector v of the outputs of a row takes group g. */
static inline void take_group(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w, size_t v, size_t g,
                              int32x4_t dot, size_t group, int offset) {
    float32x4_t total = vld1q_f32(acc + 4 * v);
    float32x4_t product = vmulq_f32(vcvtq_f32_s32(dot), vld1q_f32(w->scale[g] + 4 * v));
    total = vfmaq_n_f32(total, product, x->scale[group == 16 ? g / 2 : g]);
    if (!offset) {
        total = vfmsq_n_f32(total, vld1q_f32(w->min[g] + 4 * v), x->of.sum[g]);
    }
    vst1q_f32(acc + 4 * v, total);
}

#endif
#endif
