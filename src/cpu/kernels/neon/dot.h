/* dot_q8 of the levels, which differ in one instruction. The file that includes this one defines before it
 *
 *   static inline int32x4_t dot_16(int32x4_t sum, int8x16_t w, int8x16_t x)
 *
 * which adds the 16 products to the four lanes of sum in any way. Integer sums are exact; then lane j of one f32 chain takes
 * the groups j, j + 4, j + 8 ...: the same bits for any number of rows, and at every level that uses this file. */
#ifndef EXAONE_CPU_KERNELS_NEON_DOT_H
#define EXAONE_CPU_KERNELS_NEON_DOT_H

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/neon/lanes.h"

#if defined(__aarch64__)

#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const int8_t *q;
    const float *scale, *sum;
    size_t n, n_scales, n_sums; /* per row */
} rows_of_8_bits;

/* The scales of the activations of `count` groups from g on. */
INLINE float32x4_t scales_of(const float *scale, size_t g, const size_t group, size_t count) {
    if (group == 32) {
        return count < 4 ? exaone_first_lanes(scale + g, count) : vld1q_f32(scale + g);
    }
    float32x2_t two = count < 4 ? vset_lane_f32(scale[g / 2], vdup_n_f32(0), 0) : vld1_f32(scale + g / 2);
    return vzip1q_f32(vcombine_f32(two, two), vcombine_f32(two, two));
}

/* `count` groups from g on, four or fewer (of 16: always an even number). */
INLINE void four_groups(float32x4_t *acc, float32x4_t *taken, rows_of_8_bits x, const exaone_q8_weights *w, size_t g,
                        size_t count, const size_t R, const size_t group) {
    const int8_t *q = w->q + g * group;
    int8x16_t v[8];
    EACH(j, 8) {
        v[j] = j < count * group / 16 ? vld1q_s8(q + 16 * j) : vdupq_n_s8(0);
    }
    float32x4_t scale = count < 4 ? exaone_first_lanes(w->scale + g, count) : vld1q_f32(w->scale + g);
    EACH(r, R) {
        const int8_t *from = x.q + r * x.n + g * group;
        int32x4_t d[4];
        EACH(j, 4) {
            d[j] = vdupq_n_s32(0);
            if (j < count && group == 32) {
                d[j] = dot_16(dot_16(d[j], v[2 * j], vld1q_s8(from + 32 * j)), v[2 * j + 1], vld1q_s8(from + 32 * j + 16));
            } else if (j < count) {
                d[j] = dot_16(d[j], v[j], vld1q_s8(from + 16 * j));
            }
        }
        float32x4_t dot = vcvtq_f32_s32(vpaddq_s32(vpaddq_s32(d[0], d[1]), vpaddq_s32(d[2], d[3])));
        float32x4_t both = vmulq_f32(scale, scales_of(x.scale + r * x.n_scales, g, group, count));
        acc[r] = vfmaq_f32(acc[r], dot, both);
        if (w->min) {
            const float *min = w->min + g, *sum = x.sum + r * x.n_sums + g;
            taken[r] = count < 4 ? vfmaq_f32(taken[r], exaone_first_lanes(min, count), exaone_first_lanes(sum, count))
                                 : vfmaq_f32(taken[r], vld1q_f32(min), vld1q_f32(sum));
        }
    }
}

/* R rows, a constant after inlining: the weights are loaded once for all of them. */
INLINE void dot_rows(float *out, size_t out_stride, const exaone_q8_rows *rows, size_t r0, const exaone_q8_weights *w,
                     size_t n, float bias, const size_t R, const size_t group) {
    size_t n_groups = n / group, n_scales = n / 32;
    rows_of_8_bits x = {rows->q + r0 * n,
                        rows->scale + r0 * n_scales,
                        (group == 16 ? rows->sum_16 : rows->sum_32) + r0 * n_groups,
                        n,
                        n_scales,
                        n_groups};
    float32x4_t acc[4], taken[4];
    EACH(r, R) {
        acc[r] = taken[r] = vdupq_n_f32(0);
    }
    size_t g = 0;
    for (; g + 4 <= n_groups; g += 4) {
        four_groups(acc, taken, x, w, g, 4, R, group);
    }
    if (g < n_groups) {
        four_groups(acc, taken, x, w, g, n_groups - g, R, group);
    }
    EACH(r, R) {
        out[(r0 + r) * out_stride] = exaone_reduce(vsubq_f32(acc[r], taken[r])) + bias;
    }
}

static void dot_q8(float *out, size_t out_stride, const exaone_q8_rows *x, size_t n_rows, const exaone_q8_weights *w,
                   size_t n, float bias) {
    size_t r = 0;
#define ROWS(count)                                             \
    if (w->group == 32) {                                       \
        dot_rows(out, out_stride, x, r, w, n, bias, count, 32); \
    } else {                                                    \
        dot_rows(out, out_stride, x, r, w, n, bias, count, 16); \
    }
    for (; r + 4 <= n_rows; r += 4) {
        ROWS(4)
    }
    for (; r + 2 <= n_rows; r += 2) {
        ROWS(2)
    }
    if (r < n_rows) {
        ROWS(1)
    }
#undef ROWS
}

#endif
#endif
