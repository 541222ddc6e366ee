/* Checks of the kernels of quantised weights: rows taken apart, activations of 8 bits, products of integers, and types with
 * scales in other tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "zone.h"

/* ---- rows taken apart ---- */

static void unpack_case(exaone_unpack_fn *fn, exaone_dtype type, size_t n, int fill, zone_place place) {
    const exaone_dtype_info *info = exaone_dtype_get(type);
    size_t group = exaone_blocks_group(type), bytes = n / info->block_elements * info->block_bytes;
    bool has_min = exaone_blocks_have_min(type);
    zone_case(place, "%s, %zu columns", info->name, n);
    uint8_t *blocks = zone_take(bytes, 1, 1);
    for (size_t i = 0; i < bytes; i++) {
        blocks[i] = fill < 0 ? (uint8_t)noise_next() : (uint8_t)fill; /* any bits, scales that are no numbers too */
    }
    zone_seal();
    int8_t *q[2] = {zone_take(n, 1, 1), zone_take(n, 1, 1)};
    float *scale[2] = {zone_floats(n / group), zone_floats(n / group)};
    float *min[2] = {zone_floats(n / group), zone_floats(n / group)};
    fn(blocks, n, q[0], scale[0], min[0]);
    exaone_blocks_unpacker(type)(blocks, n, q[1], scale[1], min[1]);
    for (size_t i = 0; i < n; i++) {
        check_that(q[0][i] == q[1][i], "column %zu: %d instead of %d", i, q[0][i], q[1][i]);
    }
    for (size_t g = 0; g < n / group; g++) {
        check_that(same_bits(scale[0][g], scale[1][g]), "scale %zu: %.9g instead of %.9g", g, (double)scale[0][g],
                   (double)scale[1][g]);
        check_that(same_bits(min[0][g], min[1][g]), has_min ? "min %zu: %.9g instead of %.9g" : "min %zu of a type without",
                   g, (double)min[0][g], (double)min[1][g]);
    }
    zone_check();
}

void check_unpack(const exaone_kernels *k) {
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        exaone_dtype dtype = (exaone_dtype)type;
        zone_case(ZONE_ENDS, "%s", exaone_dtype_get(dtype)->name);
        check_that(!k->unpack[type] == !exaone_blocks_group(dtype), "a function for a type that is none of blocks, or none");
        size_t block = exaone_dtype_get(dtype)->block_elements;
        for (size_t i = 0; k->unpack[type] && i < 60; i++) {
            unpack_case(k->unpack[type], dtype, block * (1 + i % 9),
                        i < 2   ? 0
                        : i < 4 ? 0xff
                                : -1,
                        (zone_place)(i % ZONE_PLACES));
        }
    }
}

/* A row of numbers in groups, of every integer and scales with and without extremes. */
static exaone_q8_weights random_weights(size_t n, size_t group, bool has_min, bool extreme) {
    int8_t *q = zone_take(n, 1, 1);
    float *scale = zone_floats(n / group), *min = has_min ? zone_floats(n / group) : NULL;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int8_t)noise_next();
    }
    for (size_t g = 0; g < n / group; g++) {
        scale[g] = extreme && g % 2 ? check_extremes[noise_next() % check_n_extremes] : noise_unit();
        if (min) {
            min[g] = extreme && g % 3 ? check_extremes[noise_next() % check_n_extremes] : noise_unit();
        }
    }
    return (exaone_q8_weights){q, scale, min, group};
}

void check_unpacked_to_f32(const exaone_kernels *k) {
    for (size_t i = 0; i < 240; i++) {
        size_t n = 32 * (1 + noise_below(19)), group = noise_below(2) ? 16 : 32;
        bool has_min = noise_below(2);
        zone_case(zone_anywhere(), "%zu columns, groups of %zu%s", n, group, has_min ? ", min" : "");
        exaone_q8_weights w = random_weights(n, group, has_min, i % 3 == 0);
        zone_seal();
        float *out = zone_floats(n);
        k->unpacked_to_f32(out, &w, n);
        for (size_t c = 0; c < n; c++) {
            float product = w.scale[c / group] * (float)w.q[c], want = w.min ? product - w.min[c / group] : product;
            check_that(same_bits(out[c], want), "column %zu: %.9g instead of %.9g", c, (double)out[c], (double)want);
        }
        zone_check();
    }
}

/* ---- activations of 8 bits ---- */

void check_quantize_q8(const exaone_kernels *k) {
    for (size_t i = 0; i < 360; i++) {
        size_t n = 32 * (1 + i % 10);
        zone_case(zone_anywhere(), "%zu values, kind %zu", n, i % 9);
        float *x = zone_floats(n);
        for (size_t e = 0; e < n; e++) { /* halves of steps too: 127 and multiples of 0.5 */
            x[e] = i % 9 == 1   ? (e % 32 ? (float)(int)(noise_next() % 508) * 0.5f - 127 : 127)
                   : i % 9 == 2 ? noise_unit() * 1e-30f
                                : noise_unit() * (i % 3 ? 5 : 1e-3f);
        }
        for (size_t e = 0; i % 9 == 3 && e < 32; e++) { /* a whole group of one extreme */
            x[e] = check_extremes[i / 9 % check_n_extremes];
        }
        if (i % 9 == 4) {
            x[noise_next() % n] = check_extremes[i / 9 % check_n_extremes];
        }
        zone_seal();
        int8_t *q = zone_take(n, 1, 1);
        float *scale = zone_floats(n / 32), *sum_16 = zone_floats(n / 16), *sum_32 = zone_floats(n / 32);
        k->quantize_q8(q, scale, sum_16, sum_32, x, n);
        for (size_t g = 0; g < n / 32; g++) {
            float largest = 0;
            bool finite = true;
            for (size_t e = 32 * g; e < 32 * g + 32; e++) {
                finite = finite && isfinite(x[e]);
                largest = fmaxf(largest, fabsf(x[e]));
            }
            float inverse = finite && largest >= 0x1p-100f ? 127 / largest : 0;
            float want = !finite ? NAN : inverse > 0 ? largest / 127 : 0;
            check_that(same_bits(scale[g], want), "scale %zu: %.9g instead of %.9g", g, (double)scale[g], (double)want);
            int sum[2] = {0, 0};
            for (size_t e = 32 * g; e < 32 * g + 32; e++) {
                int level = finite ? (int)nearbyintf(x[e] * inverse) : 0;
                check_that(q[e] == level && level >= -127, "%.9g becomes %d instead of %d", (double)x[e], q[e], level);
                sum[e / 16 % 2] += level;
            }
            check_that(same_bits(sum_16[2 * g], want * (float)sum[0]) &&
                           same_bits(sum_16[2 * g + 1], want * (float)sum[1]) &&
                           same_bits(sum_32[g], want * (float)(sum[0] + sum[1])),
                       "a sum of group %zu is wrong", g);
        }
        zone_check();
    }
}

/* ---- products of integers ---- */

typedef struct dot_size {
    size_t rows, n, group;
    bool has_min;
} dot_size;

/* The integers at their ends: sums of neighbours must not wrap in 16 bits, in any order of signs. */
static void fill_ends(int8_t *w, int8_t *x, size_t n, size_t kind) {
    static const int8_t WEIGHTS[] = {-128, 127, -127}, ACTIVATIONS[] = {127, -127};
    for (size_t i = 0; i < n; i++) {
        size_t turn = kind / 6 == 0 ? 0 : i >> (kind / 6 - 1); /* all alike; signs change every 1, 2, 4, 8 ... */
        w[i] = kind / 6 && turn % 2 ? (int8_t)(-1 - WEIGHTS[kind % 3]) : WEIGHTS[kind % 3];
        x[i] = kind / 6 && turn % 2 ? (int8_t)-ACTIVATIONS[kind / 3 % 2] : ACTIVATIONS[kind / 3 % 2];
    }
}

/* Exact integers of a group in parts, then f32 over rising groups: at most n / 32 + 10 roundings on a chain of parts, two
 * with mins. `ends`: integers at their ends and scales of 1, so that sums below 2^24 are exact. */
static void dot_case(const exaone_kernels *k, dot_size s, int ends, zone_place place) {
    zone_case(place, "%zu rows, %zu columns, groups of %zu%s%s", s.rows, s.n, s.group, s.has_min ? ", min" : "",
              ends >= 0 ? ", integers at their ends" : "");
    size_t n = s.n, groups = n / 32;
    exaone_q8_weights w = random_weights(n, s.group, s.has_min, false);
    exaone_q8_rows x = {zone_take(s.rows * n, 1, 1), zone_floats(s.rows * groups), zone_floats(2 * s.rows * groups),
                        zone_floats(s.rows * groups)};
    for (size_t i = 0; i < s.rows * n; i++) {
        x.q[i] = (int8_t)((int)(noise_next() % 255) - 127);
    }
    for (size_t r = 0; r < s.rows && ends >= 0; r++) {
        fill_ends((int8_t *)(uintptr_t)w.q, x.q + r * n, n, (size_t)ends);
    }
    for (size_t g = 0; g < n / s.group && ends >= 0; g++) {
        ((float *)(uintptr_t)w.scale)[g] = 1;
    }
    for (size_t i = 0; i < s.rows * groups; i++) {
        int sum[2] = {0, 0};
        for (size_t e = 0; e < 32; e++) {
            sum[e / 16] += x.q[32 * i + e];
        }
        x.scale[i] = ends >= 0 ? 1 : noise_unit() * (i % 7 ? 1 : 1e4f);
        x.sum_16[2 * i] = x.scale[i] * (float)sum[0];
        x.sum_16[2 * i + 1] = x.scale[i] * (float)sum[1];
        x.sum_32[i] = x.scale[i] * (float)(sum[0] + sum[1]);
    }
    size_t bad_row = ends < 0 && s.rows > 2 ? s.rows / 2 : s.rows;
    for (size_t r = bad_row; r < s.rows && r == bad_row; r++) { /* a row whose group holds no finite number */
        size_t at = noise_next() % groups;
        memset(x.q + r * n + 32 * at, 0, 32);
        x.scale[r * groups + at] = x.sum_32[r * groups + at] = NAN;
        x.sum_16[2 * (r * groups + at)] = x.sum_16[2 * (r * groups + at) + 1] = NAN;
    }
    zone_seal();
    size_t stride = 1 + noise_below(3);
    float *out = zone_floats((s.rows - 1) * stride + 1), alone, bias = ends >= 0 ? 0 : 0.25f, untouched = *out;
    k->dot_q8(out, stride, &x, s.rows, &w, n, bias);
    for (size_t r = 0; r < s.rows; r++) {
        double want = (double)bias, magnitude = fabs(want);
        for (size_t g = 0; g < n / s.group; g++) {
            int dot = 0, sum = 0, size = 0, size_sum = 0;
            for (size_t i = g * s.group; i < (g + 1) * s.group; i++) {
                dot += w.q[i] * x.q[r * n + i];
                sum += x.q[r * n + i];
                size += abs(w.q[i] * x.q[r * n + i]);
                size_sum += abs(x.q[r * n + i]);
            }
            double scale = (double)x.scale[r * groups + g * s.group / 32], a = scale * (double)w.scale[g] * dot;
            double min = w.min ? scale * (double)w.min[g] : 0;
            want += a - min * sum;
            magnitude += fabs(scale * (double)w.scale[g]) * size + fabs(min) * size_sum;
        }
        double got = (double)out[r * stride], bound = 2 * ((double)n / 32 + 10) * 0x1p-24 * magnitude;
        bound = ends >= 0 && !w.min && magnitude < 0x1p24 ? 0 : bound;
        check_that(r == bad_row ? isnan(got) : fabs(got - want) <= bound, "row %zu: %.9g instead of %.9g", r, got, want);
        for (size_t i = 1; r + 1 < s.rows && i < stride; i++) {
            check_that(out[r * stride + i] == untouched, "row %zu: it writes between the results", r);
        }
        exaone_q8_rows one = {x.q + r * n, x.scale + r * groups, x.sum_16 + 2 * r * groups, x.sum_32 + r * groups};
        k->dot_q8(&alone, 1, &one, 1, &w, n, bias);
        check_that(same_bits(alone, out[r * stride]), "row %zu: other bits than the row alone", r);
    }
    zone_check();
}

void check_dot_q8(const exaone_kernels *k) {
    for (size_t i = 0; i < 320; i++) {
        dot_size s = {1 + noise_below(11), 32 * (1 + noise_below(23)), noise_below(2) ? 16 : 32, noise_below(2)};
        dot_case(k, s, -1, zone_anywhere());
    }
    for (int ends = 0; ends < 36; ends++) {
        for (int form = 0; form < 4; form++) {
            dot_case(k, (dot_size){1 + (size_t)ends % 5, 256, form % 2 ? 16 : 32, form / 2}, ends, ZONE_ENDS);
            dot_case(k, (dot_size){1, 27392, form % 2 ? 16 : 32, form / 2}, ends, ZONE_ODD);
        }
    }
}

/* ---- types with scales in other tensors ---- */

enum { MOST_RUN = 400 };

static size_t next_run(size_t n) {
    return n < 80 ? n + 1 : n + 55;
}

static const float SCALES[] = {1, 0, -0.0f, -0.37f, 1e-38f, 1e-42f, 3e38f, INFINITY, NAN, 0.0123f};
enum { N_SCALES = sizeof SCALES / sizeof *SCALES };

static uint8_t *random_bytes(size_t n) {
    uint8_t *p = zone_take(n, 1, 1);
    for (size_t i = 0; i < n; i++) {
        p[i] = n >= 256 ? (uint8_t)i : (uint8_t)noise_next();
    }
    zone_seal();
    return p;
}

static int u4_at(const uint8_t *bytes, size_t i) {
    return bytes[i / 2] >> (i % 2 ? 4 : 0) & 15;
}

void check_unpack_i4(const exaone_kernels *k) {
    for (size_t n = 0; n <= MOST_RUN; n = next_run(n)) {
        for (int zero = 0; zero < 16; zero++) {
            zone_case((zone_place)(zero % ZONE_PLACES), "%zu columns, zero point %d", n, zero);
            const uint8_t *bytes = random_bytes((n + 1) / 2);
            int8_t *q = zone_take(n, 1, 1);
            k->unpack_i4(q, bytes, n, zero);
            for (size_t i = 0; i < n; i++) {
                check_that(q[i] == u4_at(bytes, i) - zero, "column %zu: %d instead of %d", i, q[i], u4_at(bytes, i) - zero);
            }
            zone_check();
        }
    }
}

void check_i4_to_f32(const exaone_kernels *k) {
    for (size_t n = 0; n <= MOST_RUN; n = next_run(n)) {
        for (size_t s = 0; s < N_SCALES; s++) {
            int zero = (int)(s + n) % 16;
            zone_case((zone_place)(s % ZONE_PLACES), "%zu columns, scale %g", n, (double)SCALES[s]);
            const uint8_t *bytes = random_bytes((n + 1) / 2);
            float *out = zone_floats(n);
            k->i4_to_f32(out, bytes, n, zero, SCALES[s]);
            for (size_t i = 0; i < n; i++) {
                float want = (float)(u4_at(bytes, i) - zero) * SCALES[s];
                check_that(same_bits(out[i], want), "column %zu: %.9g instead of %.9g", i, (double)out[i], (double)want);
            }
            zone_check();
        }
    }
}

void check_e4m3_to_f32(const exaone_kernels *k) {
    for (size_t n = 0; n <= MOST_RUN; n = next_run(n)) {
        for (size_t s = 0; s < N_SCALES; s++) {
            zone_case((zone_place)(s % ZONE_PLACES), "%zu columns, scale %g", n, (double)SCALES[s]);
            const uint8_t *bytes = random_bytes(n);
            float *out = zone_floats(n);
            k->e4m3_to_f32(out, bytes, n, SCALES[s]);
            for (size_t i = 0; i < n; i++) {
                float want = exaone_e4m3_to_f32(bytes[i]) * SCALES[s];
                check_that(same_bits(out[i], want), "column %zu: %.9g instead of %.9g", i, (double)out[i], (double)want);
            }
            zone_check();
        }
    }
}
