/* Checks of the kernels of the KV cache's types: the bits of the definition for every 16-bit pattern, for blocks and at
 * lengths with and without tails. */
#include <math.h>
#include <string.h>

#include "checks.h"
#include "zone.h"

enum { GROUP = 32, BLOCK_BYTES = 34, ALL = 65536 };

typedef void to_half_fn(void *, const float *, size_t);
typedef void from_half_fn(float *, const void *, size_t);

static bool is_nan(uint16_t h, bool bf16) {
    return (h & 0x7fff) > (bf16 ? 0x7f80 : 0x7c00);
}

static void to_half_case(to_half_fn *fn, bool bf16, size_t n, size_t first, uint32_t low, zone_place place) {
    zone_case(place, "%zu values from bits %08x on", n, (unsigned)((uint32_t)first << 16 | low));
    float *x = zone_floats(n);
    for (size_t i = 0; i < n; i++) {
        x[i] = exaone_f32_from_bits((uint32_t)(first + i) << 16 | low);
    }
    zone_seal();
    uint16_t *h = zone_take(n, sizeof *h, sizeof *h);
    fn(h, x, n);
    for (size_t i = 0; i < n; i++) {
        uint16_t want = bf16 ? exaone_f32_to_bf16(x[i]) : exaone_f32_to_f16(x[i]);
        check_that(h[i] == want || (isnan(x[i]) && is_nan(h[i], bf16)), "%.9g becomes %04x instead of %04x", (double)x[i],
                   h[i], want); /* any payload of a NaN */
    }
    zone_check();
}

/* Ties, subnormals, what rounds to infinity, NaN: the low 16 bits decide. */
static void to_half(to_half_fn *fn, bool bf16) {
    static const uint32_t LOW[] = {0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x3000, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (size_t i = 0; i < sizeof LOW / sizeof *LOW; i++) {
        to_half_case(fn, bf16, ALL - i, 0, LOW[i], (zone_place)(i % ZONE_PLACES));
    }
    for (size_t n = 1; n < 80; n++) {
        to_half_case(fn, bf16, n, 0x3c00 + 77 * n, 0x8000 - (uint32_t)(n % 3), (zone_place)(n % ZONE_PLACES));
    }
}

void check_f32_to_f16(const exaone_kernels *k) {
    to_half(k->f32_to_f16, false);
}

void check_f32_to_bf16(const exaone_kernels *k) {
    to_half(k->f32_to_bf16, true);
}

static void from_half_case(from_half_fn *fn, bool bf16, size_t n, size_t first, zone_place place) {
    zone_case(place, "%zu values from %04x on", n, (unsigned)first);
    uint16_t *h = zone_take(n, sizeof *h, sizeof *h);
    for (size_t i = 0; i < n; i++) {
        h[i] = (uint16_t)(first + i);
    }
    zone_seal();
    float *x = zone_floats(n);
    fn(x, h, n);
    for (size_t i = 0; i < n; i++) {
        float want = bf16 ? exaone_bf16_to_f32(h[i]) : exaone_f16_to_f32(h[i]);
        check_that(same_bits(x[i], want), "%04x becomes %.9g instead of %.9g", h[i], (double)x[i], (double)want);
    }
    zone_check();
}

static void from_half(from_half_fn *fn, bool bf16) {
    from_half_case(fn, bf16, ALL, 0, ZONE_BEGINS);
    for (size_t n = 1; n < 80; n++) {
        from_half_case(fn, bf16, n, 15000 + 133 * n, (zone_place)(n % ZONE_PLACES));
    }
}

void check_f16_to_f32(const exaone_kernels *k) {
    from_half(k->f16_to_f32, false);
}

void check_bf16_to_f32(const exaone_kernels *k) {
    from_half(k->bf16_to_f32, true);
}

/* The block that kernels.h defines. */
static void block_of(uint8_t *block, const float *x) {
    float most = 0;
    bool nan = false;
    for (size_t i = 0; i < GROUP; i++) {
        nan = nan || isnan(x[i]);
        most = fmaxf(most, fabsf(x[i]));
    }
    uint16_t scale = exaone_f32_to_f16(nan ? NAN : most / 127);
    float d = exaone_f16_to_f32(scale), inverse = d > 0 && isfinite(d) ? 1 / d : 0;
    memcpy(block, &scale, sizeof scale);
    for (size_t i = 0; i < GROUP; i++) {
        float q = inverse > 0 ? nearbyintf(x[i] * inverse) : 0;
        block[2 + i] = (uint8_t)(int8_t)fmaxf(-127, fminf(127, q));
    }
}

void check_f32_to_q8_0(const exaone_kernels *k) {
    static const float BAD[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 400; i++) {
        size_t n = GROUP * (1 + i % 5);
        zone_case((zone_place)(i % ZONE_PLACES), "%zu values, kind %zu", n, i % 8);
        float *x = zone_floats(n);
        for (size_t e = 0; e < n; e++) {
            x[e] = noise_unit() * (i % 8 == 1 ? 1e-7f : i % 8 == 2 ? 9e6f : i % 8 == 3 && e < GROUP ? 0 : 3);
        }
        if (i % 8 == 4) {
            x[noise_next() % n] = check_extremes[noise_next() % check_n_extremes];
        }
        size_t at = noise_next() % n;
        if (i % 8 > 4) {
            x[at] = BAD[i % 8 - 5];
        }
        zone_seal();
        uint8_t *blocks = zone_take(n / GROUP, BLOCK_BYTES, 1), want[BLOCK_BYTES];
        k->f32_to_q8_0(blocks, x, n);
        for (size_t b = 0; b < n / GROUP; b++) {
            uint8_t *got = blocks + b * BLOCK_BYTES;
            uint16_t scale;
            memcpy(&scale, got, sizeof scale);
            block_of(want, x + b * GROUP);
            if (is_nan(scale, false) && isnan(exaone_f16_to_f32((uint16_t)(want[0] | want[1] << 8)))) {
                memcpy(got, want, sizeof scale); /* any payload */
            }
            check_that(memcmp(got, want, sizeof want) == 0, "block %zu differs", b);
        }
        check_that(i % 8 < 5 || !isfinite(exaone_f16_to_f32((uint16_t)(blocks[at / GROUP * BLOCK_BYTES] |
                                                                       blocks[at / GROUP * BLOCK_BYTES + 1] << 8))),
                   "what is no number at %zu does not show in the scale", at);
        zone_check();
    }
}

void check_q8_0_to_f32(const exaone_kernels *k) {
    for (size_t i = 0; i < 200; i++) {
        size_t n = GROUP * (1 + i % 7);
        zone_case((zone_place)(i % ZONE_PLACES), "%zu values", n);
        uint8_t *blocks = zone_take(n / GROUP, BLOCK_BYTES, 1);
        for (size_t b = 0; b < n / GROUP * BLOCK_BYTES; b++) {
            blocks[b] = (uint8_t)noise_next(); /* scales that are no numbers too */
        }
        zone_seal();
        float *x = zone_floats(n);
        k->q8_0_to_f32(x, blocks, n);
        for (size_t e = 0; e < n; e++) {
            const uint8_t *block = blocks + e / GROUP * BLOCK_BYTES;
            float want = exaone_f16_to_f32((uint16_t)(block[0] | block[1] << 8)) * (float)(int8_t)block[2 + e % GROUP];
            check_that(same_bits(x[e], want), "value %zu: %.9g instead of %.9g", e, (double)x[e], (double)want);
        }
        zone_check();
    }
}
