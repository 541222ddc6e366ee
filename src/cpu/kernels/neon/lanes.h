/* What the kernels share: the 4 lanes of a register as one number, in a fixed order; ends of rows; loops without a loop. */
#ifndef EXAONE_CPU_KERNELS_NEON_LANES_H
#define EXAONE_CPU_KERNELS_NEON_LANES_H

#include <stddef.h>
#include <string.h>

#if defined(__aarch64__)
#include <arm_neon.h>

/* A loop over a number known when it is compiled, at most 8: none is left, so that arrays of registers are registers. */
#define EACH(i, n) _Pragma("GCC unroll 8") for (size_t i = 0; i < (n); i++)

/* The sum of each register's lanes: (0 + 1) + (2 + 3). */
static inline float32x4_t exaone_reduce_4(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
    return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}

static inline float exaone_reduce(float32x4_t v) {
    return vpadds_f32(vget_low_f32(vpaddq_f32(v, v)));
}

/* The first n < 4 lanes, zeros behind them. */
static inline float32x4_t exaone_first_lanes(const float *x, size_t n) {
    float v[4] = {0, 0, 0, 0};
    memcpy(v, x, n * sizeof *v);
    return vld1q_f32(v);
}

static inline void exaone_store_lanes(float *out, float32x4_t x, size_t n) {
    float v[4];
    vst1q_f32(v, x);
    memcpy(out, v, n * sizeof *v);
}

/* Four 16-bit numbers. */
static inline float32x4_t exaone_bf16x4(uint16x4_t h) {
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

static inline float32x4_t exaone_f16x4(uint16x4_t h) {
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

static inline uint16x4_t exaone_first_halves(const uint16_t *x, size_t n) {
    uint16_t v[4] = {0, 0, 0, 0};
    memcpy(v, x, n * sizeof *v);
    return vld1_u16(v);
}

#endif
#endif
