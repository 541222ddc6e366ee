/* For tests of kernels: numbers that look random and are the same in every run; a test may begin with another seed.
 * And whether two numbers are the same bits, any NaN being one. */
#ifndef TESTS_NOISE_H
#define TESTS_NOISE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/half.h"

static uint64_t seed = 42;

static inline uint32_t next(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

/* -1 .. 1 */
static inline float uniform(void) {
    return (float)((double)next() * 0x1p-31 - 1.0);
}

static inline bool same(float a, float b) {
    return (isnan(a) && isnan(b)) || exaone_f32_bits(a) == exaone_f32_bits(b);
}

#endif
