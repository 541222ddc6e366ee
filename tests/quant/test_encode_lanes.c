/* The eight-candidate sums: against plain double sums, and AVX2 against the plain instruction set bit for bit. The source is
 * included under other names to reach both variants. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define exaone_encode_lanes_scale_gains test_scale_gains
#define exaone_encode_lanes_affine_gains test_affine_gains
#define exaone_encode_lanes_scale_errors test_scale_errors
#define exaone_encode_lanes_affine_errors test_affine_errors
#include "../../src/quant/encode_lanes.c"

#include "../support/skip.h"
#include "base/rng.h"

typedef struct inputs {
    float x[32], w[32], id[8], d[8], m[8];
} inputs;

static void make_inputs(inputs *in, uint64_t seed) {
    for (uint64_t i = 0; i < 32; i++) {
        in->x[i] = (float)(exaone_rng_unit(seed, 0, i) * 2 - 1);
        in->w[i] = (float)exaone_rng_unit(seed, 1, i);
    }
    for (uint64_t k = 0; k < 8; k++) {
        in->id[k] = (float)(exaone_rng_unit(seed, 2, k) * 24 - 12);
        in->d[k] = 1 / in->id[k];
        in->m[k] = (float)exaone_rng_unit(seed, 3, k);
    }
}

static double level(double v, double lo, double hi) {
    return nearbyint(v < lo ? lo : v > hi ? hi : v);
}

/* 32 terms of at most 15^2 in f32: 32 * 225 * 2^-24 = 4e-4 at worst; a wrong level would change a sum by far more. */
static void sums_are_those_of_the_definition(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        inputs in;
        make_inputs(&in, seed);
        int n = seed % 2 ? 16 : 32;
        float qq[8], qx[8], e[8], q1[8], aqq[8], aqx[8], ae[8];
        test_scale_gains(n, in.x, in.w, -8, 7, in.id, qq, qx);
        test_scale_errors(n, in.x, in.w, -8, 7, in.id, in.d, e);
        test_affine_gains(n, in.x, in.w, 15, in.id, in.m, q1, aqq, aqx);
        test_affine_errors(n, in.x, in.w, 15, in.id, in.d, in.m, ae);
        for (int k = 0; k < 8; k++) {
            double want[7] = {0};
            for (int i = 0; i < n; i++) {
                double x = (double)in.x[i], w = (double)in.w[i];
                double q = level((double)(in.x[i] * in.id[k]), -8, 7),
                       a = level((double)((in.x[i] + in.m[k]) * in.id[k]), 0, 15);
                double r = x - (double)in.d[k] * q, s = x - ((double)in.d[k] * a - (double)in.m[k]);
                double terms[7] = {w * q * q, w * q * x, w * r * r, w * a, w * a * a, w * a * x, w * s * s};
                for (int t = 0; t < 7; t++) {
                    want[t] += terms[t];
                }
            }
            float got[7] = {qq[k], qx[k], e[k], q1[k], aqq[k], aqx[k], ae[k]};
            for (int t = 0; t < 7; t++) {
                assert_true(fabs((double)got[t] - want[t]) <= 4e-4);
            }
        }
    }
}

static void avx2_gives_the_same_bits(void **state) {
    (void)state;
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2")) {
        TEST_SKIP("the processor has no AVX2");
    }
    for (uint64_t seed = 0; seed < 200; seed++) {
        inputs in;
        make_inputs(&in, seed);
        int n = seed % 2 ? 16 : 32;
        float a[7][8], b[7][8];
        scale_gains_plain(n, in.x, in.w, -8, 7, in.id, a[0], a[1]);
        scale_gains_avx2(n, in.x, in.w, -8, 7, in.id, b[0], b[1]);
        scale_errors_plain(n, in.x, in.w, -8, 7, in.id, in.d, a[2]);
        scale_errors_avx2(n, in.x, in.w, -8, 7, in.id, in.d, b[2]);
        affine_gains_plain(n, in.x, in.w, 15, in.id, in.m, a[3], a[4], a[5]);
        affine_gains_avx2(n, in.x, in.w, 15, in.id, in.m, b[3], b[4], b[5]);
        affine_errors_plain(n, in.x, in.w, 15, in.id, in.d, in.m, a[6]);
        affine_errors_avx2(n, in.x, in.w, 15, in.id, in.d, in.m, b[6]);
        assert_memory_equal(a, b, sizeof a);
    }
#else
    TEST_SKIP("no other variant for this processor");
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_definition),
        cmocka_unit_test(avx2_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
