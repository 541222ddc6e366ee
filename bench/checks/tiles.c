/* Checks of the kernels whose lanes are outputs: panels of activations, tiles of weights, and their products. */
#include <math.h>
#include <string.h>

#include "checks.h"
#include "zone.h"

enum { LINE = 64 }; /* alignment of tiles and panels */

/* ---- activations ---- */

static void panels_case(const exaone_kernels *k, size_t i) {
    size_t n = 32 * (1 + noise_below(20)), panels = (n + 255) / 256, stride = 1 + noise_below(3);
    size_t group = noise_below(2) ? 16 : 32;
    int offset = (int)noise_below(5) * 32;
    zone_case(zone_anywhere(), "%zu values, groups of %zu, offset %d, kind %zu", n, group, offset, i % 7);
    float *x = zone_floats(n);
    for (size_t e = 0; e < n; e++) {
        x[e] = noise_unit() * (i % 7 == 1 ? 1e-30f : i % 7 == 2 ? 1e-3f : 5);
    }
    for (size_t e = 0; i % 7 == 3 && e < 32; e++) {
        x[e] = check_extremes[i / 7 % check_n_extremes];
    }
    if (i % 7 == 4) {
        x[noise_next() % n] = check_extremes[i / 7 % check_n_extremes];
    }
    zone_seal();
    int8_t *q = zone_take(n, 1, 1);
    float *scale = zone_floats(n / 32), *sum_16 = zone_floats(n / 16), *sum_32 = zone_floats(n / 32);
    exaone_kernels plain;
    exaone_kernels_init(&plain, "scalar");
    plain.quantize_q8(q, scale, sum_16, sum_32, x, n); /* what its own check holds */
    exaone_q8_panel *p = zone_take((panels - 1) * stride + 1, sizeof *p, LINE), untouched = *p;
    k->panels_q8(p, stride, x, n, group, offset);
    for (size_t e = 0; e < n; e++) {
        const exaone_q8_panel *at = p + e / 256 * stride;
        check_that(at->q[e % 256] == q[e], "value %zu: %.9g becomes %d instead of %d", e, (double)x[e], at->q[e % 256],
                   q[e]);
        check_that(same_bits(at->scale[e % 256 / 32], scale[e / 32]), "the scale of value %zu is %.9g instead of %.9g", e,
                   (double)at->scale[e % 256 / 32], (double)scale[e / 32]);
    }
    for (size_t g = 0; g < n / group; g++) {
        const exaone_q8_panel *at = p + g * group / 256 * stride;
        size_t in = g % (256 / group);
        int sum = 0;
        for (size_t e = g * group; e < (g + 1) * group; e++) {
            sum += q[e];
        }
        float want = group == 16 ? sum_16[g] : sum_32[g];
        check_that(offset ? at->of.start[in] == k->tile_start - offset * sum : same_bits(at->of.sum[in], want),
                   "the sum of group %zu", g);
    }
    for (size_t b = 0; b + 1 < panels; b++) {
        for (size_t s = 1; s < stride; s++) {
            check_that(memcmp(p + b * stride + s, &untouched, sizeof untouched) == 0, "it writes between the panels");
        }
    }
    zone_check();
}

void check_panels_q8(const exaone_kernels *k) {
    for (size_t i = 0; i < 420; i++) {
        panels_case(k, i);
    }
}

/* ---- weights ---- */

/* Row o of a tile against the row taken apart: the same products and mins; scales may differ by a power of two with the
 * integers. Nothing behind column n. */
static void compare_tile(const exaone_q8_tile *t, int offset, int bits, size_t o, const exaone_q8_weights *w, size_t n) {
    for (size_t c = 0; c < n; c++) {
        check_that(t->q[c / 4][4 * o + c % 4] >> bits == 0, "row %zu, column %zu: more than %d bits", o, c, bits);
        size_t g = c / w->group;
        check_that(isnan(t->scale[g][o]) || exaone_f32_bits(t->scale[g][o]) % 4 == 0,
                   "row %zu, scale %zu: more than 22 bits", o, g);
        float got = t->scale[g][o] * (float)(t->q[c / 4][4 * o + c % 4] - offset), want = w->scale[g] * (float)w->q[c];
        check_that(same_bits(got, want) || (got == 0 && w->q[c] == 0), "row %zu, column %zu: %.9g instead of %.9g", o, c,
                   (double)got, (double)want);
        check_that(!w->min || (offset == 0 && same_bits(t->min[g][o], w->min[g])), "row %zu, column %zu: min %.9g", o, c,
                   (double)t->min[g][o]);
    }
    for (size_t c = n; c < 256; c++) {
        check_that(t->q[c / 4][4 * o + c % 4] == 0x5a, "row %zu: it writes behind column %zu", o, n);
    }
}

static void tile_case(const exaone_kernels *k, exaone_dtype type, size_t n, bool own, zone_place place) {
    const exaone_dtype_info *info = exaone_dtype_get(type);
    size_t bytes = n / info->block_elements * info->block_bytes, stride = bytes + noise_next() % 7;
    zone_case(place, "%s, %zu columns", info->name, n);
    uint8_t *rows = zone_take(15 * stride + bytes, 1, 1);
    for (size_t i = 0; i < 15 * stride + bytes; i++) {
        rows[i] = (uint8_t)noise_next(); /* any bits, scales that are no numbers too */
    }
    int8_t *q = zone_take(16, 256, 1);
    float *scale = zone_floats(16 * 16), *min = zone_floats(16 * 16);
    bool has_min = exaone_blocks_have_min(type);
    for (size_t r = 0; r < 16; r++) {
        exaone_blocks_unpacker(type)(rows + r * stride, n, q + 256 * r, scale + 16 * r, min + 16 * r);
    }
    zone_seal();
    exaone_q8_tile *t = zone_take(1, sizeof *t, LINE);
    exaone_q8_weights all = {q, scale, has_min ? min : NULL, exaone_blocks_group(type)};
    if (own) {
        k->unpack_tile[type](t, rows, stride, n);
    } else {
        k->interleave(t, &all, n);
    }
    for (size_t r = 0; r < 16; r++) {
        exaone_q8_weights one = {q + 256 * r, scale + 16 * r, has_min ? min + 16 * r : NULL, all.group};
        compare_tile(t, own ? k->tile_offset[type] : has_min ? 0 : 128, own ? k->tile_bits[type] : 8, r, &one, n);
    }
    zone_check();
}

static void each_tile(const exaone_kernels *k, bool own) {
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        exaone_dtype dtype = (exaone_dtype)type;
        zone_case(ZONE_ENDS, "%s", exaone_dtype_get(dtype)->name);
        check_that(!k->unpack_tile[type] || exaone_blocks_group(dtype), "a function for a type that is none of blocks");
        size_t block = exaone_dtype_get(dtype)->block_elements;
        if (!exaone_blocks_group(dtype) || (own && !k->unpack_tile[type])) {
            continue;
        }
        for (size_t i = 0; i < 24; i++) {
            tile_case(k, dtype, block * (1 + noise_below(256 / block)), own, zone_anywhere());
        }
    }
}

void check_interleave(const exaone_kernels *k) {
    each_tile(k, false);
}

void check_unpack_tile(const exaone_kernels *k) {
    each_tile(k, true);
}

/* The bits that a tile and its product give. */
static void one_row_case(const exaone_kernels *k, exaone_dtype type, size_t n, zone_place place) {
    const exaone_dtype_info *info = exaone_dtype_get(type);
    size_t bytes = n / info->block_elements * info->block_bytes, stride = bytes + noise_below(7);
    size_t group = exaone_blocks_group(type);
    int offset = k->tile_offset[type];
    zone_case(place, "%s, %zu columns", info->name, n);
    uint8_t *rows = zone_take(15 * stride + bytes, 1, 1);
    for (size_t i = 0; i < 15 * stride + bytes; i++) {
        rows[i] = (uint8_t)noise_next(); /* any bits, scales that are no numbers too */
    }
    float *x = zone_floats(n), before[2 * EXAONE_TILE_OUTPUTS];
    for (size_t i = 0; i < n; i++) {
        x[i] = noise_unit();
    }
    exaone_q8_panel *panel = zone_take(1, sizeof *panel, LINE);
    exaone_q8_tile *t = zone_take(2, sizeof *t, LINE);
    k->panels_q8(panel, 1, x, n, group, offset);
    k->unpack_tile[type](t, rows, stride, n);
    t[1] = t[0];
    zone_seal();
    float *acc = zone_floats(EXAONE_TILE_OUTPUTS);
    for (size_t i = 0; i < EXAONE_TILE_OUTPUTS; i++) {
        acc[i] = before[i] = before[EXAONE_TILE_OUTPUTS + i] = noise_unit();
    }
    exaone_q8_fetch next = {rows, rows + 9 * stride, stride, 130}; /* may ask for more than there is */
    k->one_row[type](acc, panel, rows, stride, n, &next);
    k->dot_tiles(before, panel, 1, t, n, group, offset, k->tile_bits[type], NULL);
    for (size_t i = 0; i < EXAONE_TILE_OUTPUTS; i++) {
        check_that(same_bits(acc[i], before[i]), "output %zu: %.9g instead of %.9g", i, (double)acc[i], (double)before[i]);
    }
    zone_check();
}

void check_one_row(const exaone_kernels *k) {
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        size_t block = exaone_dtype_get((exaone_dtype)type)->block_elements;
        for (size_t i = 0; k->one_row[type] && i < 24; i++) {
            one_row_case(k, (exaone_dtype)type, block * (1 + noise_below(256 / block)), zone_anywhere());
        }
    }
}

void check_unpack_tile_i4(const exaone_kernels *k) {
    for (size_t i = 0; i < 48; i++) {
        size_t n = 32 * (1 + i % 8), stride = n / 2 + i % 5;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu columns", n);
        uint8_t *zero = zone_take(n / 32, 16, 1), *rows = zone_take(15 * stride + n / 2, 1, 1);
        for (size_t b = 0; b < 15 * stride + n / 2; b++) {
            rows[b] = (uint8_t)noise_next();
        }
        for (size_t b = 0; b < n / 2; b++) {
            zero[b] = (uint8_t)(noise_next() % 16);
        }
        zone_seal();
        exaone_q8_tile *t = zone_take(1, sizeof *t, LINE);
        k->unpack_tile_i4(t, rows, stride, n, zero);
        for (size_t e = 0; e < 16 * 256; e++) {
            size_t r = e / 256, c = e % 256;
            int got = t->q[c / 4][4 * r + c % 4], u = c < n ? rows[r * stride + c / 2] >> (c % 2 ? 4 : 0) & 15 : 0;
            int want = c < n ? u - zero[c / 32 * 16 + r] + k->tile_offset[EXAONE_I4] : 0x5a;
            check_that(got == want, "row %zu, column %zu: %d instead of %d", r, c, got, want);
            check_that(c >= n || got >> k->tile_bits[EXAONE_I4] == 0, "row %zu, column %zu: too many bits", r, c);
        }
        zone_check();
    }
}

/* ---- products ---- */

typedef struct dot_size {
    size_t rows, n, group;
    int offset, bits;
} dot_size;

/* ends: weights 0 and 2^bits - 1 (the first tile and the second, or in turn) times -127 and 127, scales of 1. */
static void fill(const exaone_kernels *k, exaone_q8_tile *w, exaone_q8_panel *x, dot_size s, int ends) {
    uint8_t most = (uint8_t)((1U << s.bits) - 1);
    for (size_t i = 0; i < 2 * sizeof w->q; i++) {
        size_t tile = i / sizeof w->q, column = i % sizeof w->q / 64 * 4 + i % 4;
        size_t turn = ends > 0 ? column >> (ends - 1) : tile;
        w[tile].q[i % sizeof w->q / 64][i % 64] = ends < 0 ? (uint8_t)noise_next() & most : turn % 2 ? most : 0;
    }
    for (size_t i = 0; i < 512; i++) {
        w[i / 256].scale[i % 256 / 16][i % 16] = ends < 0 ? (float)(int)(noise_unit() * 0x1p21f) * 0x1p-21f : 1;
        w[i / 256].min[i % 256 / 16][i % 16] = ends < 0 ? noise_unit() : 0;
    }
    for (size_t r = 0; r < s.rows; r++) {
        for (size_t i = 0; i < 256; i++) {
            size_t turn = ends > 0 ? (i >> (ends - 1)) + r : r;
            x[r].q[i] = (int8_t)(ends < 0 ? (int)(noise_next() % 255) - 127 : turn % 2 ? 127 : -127);
        }
        for (size_t b = 0; b < 8; b++) {
            x[r].scale[b] = ends < 0 ? noise_unit() : 1;
        }
        for (size_t g = 0; g < s.n / s.group; g++) {
            int sum = 0;
            for (size_t i = 0; i < s.group; i++) {
                sum += x[r].q[g * s.group + i];
            }
            if (s.offset) {
                x[r].of.start[g] = k->tile_start - s.offset * sum;
            } else {
                x[r].of.sum[g] = x[r].scale[g * s.group / 32] * (float)sum;
            }
        }
    }
}

/* One chain per output: for each group of 32 at most 2 roundings of a partial sum, 1 of its sum and 2 of mins, each at most
 * 2^-24 of the sum of magnitudes so far. At the ends sums are integers below 2^24: exact. */
static void dot_case(const exaone_kernels *k, dot_size s, int ends, zone_place place) {
    zone_case(place, "%zu rows, %zu columns, groups of %zu, offset %d, %d bits%s", s.rows, s.n, s.group, s.offset, s.bits,
              ends >= 0 ? ", integers at their ends" : "");
    exaone_q8_tile *w = zone_take(2, sizeof *w, LINE);
    exaone_q8_panel *x = zone_take(s.rows, sizeof *x, LINE);
    float *before = zone_floats(32 * s.rows);
    uint8_t *later = zone_take(39 * 64, 1, 64);
    fill(k, w, x, s, ends);
    for (size_t i = 0; i < 32 * s.rows; i++) {
        before[i] = ends < 0 ? noise_unit() : 0;
    }
    size_t bad_row = ends < 0 && s.rows > 2 ? s.rows / 2 : s.rows;
    if (bad_row < s.rows) {
        x[bad_row].scale[noise_next() % (s.n / 32)] = NAN;
    }
    zone_seal();
    float *acc = zone_take(32 * s.rows, sizeof *acc, LINE), *alone = zone_take(32, sizeof *acc, LINE);
    memcpy(acc, before, 32 * s.rows * sizeof *acc);
    exaone_q8_fetch fetch = {later, later + 39 * 64, 64, 130}; /* may ask for more than there is */
    k->dot_tiles(acc, x, s.rows, w, s.n, s.group, s.offset, s.bits, &fetch);
    for (size_t r = 0; r < s.rows; r++) {
        for (size_t o = 0; o < 32; o++) {
            double want = (double)before[32 * r + o], magnitude = fabs(want);
            const exaone_q8_tile *t = w + o / 16;
            for (size_t g = 0; g < s.n / s.group; g++) {
                int dot = 0, sum = 0;
                for (size_t c = g * s.group; c < (g + 1) * s.group; c++) {
                    dot += x[r].q[c] * (t->q[c / 4][o % 16 * 4 + c % 4] - s.offset);
                    sum += x[r].q[c];
                }
                double xs = (double)x[r].scale[g * s.group / 32], a = xs * (double)t->scale[g][o % 16] * dot;
                double b = s.offset ? 0 : xs * (double)t->min[g][o % 16] * sum;
                want += a - b;
                magnitude += fabs(a) + fabs(b);
            }
            double got = (double)acc[32 * r + o], bound = ends < 0 ? 5 * ((double)s.n / 32 + 1) * 0x1p-24 * magnitude : 0;
            check_that(r == bad_row ? isnan(got) : fabs(got - want) <= bound, "row %zu, output %zu: %.9g instead of %.9g", r,
                       o, got, want);
        }
        memcpy(alone, before + 32 * r, 32 * sizeof *alone);
        k->dot_tiles(alone, x + r, 1, w, s.n, s.group, s.offset, s.bits, NULL);
        for (size_t o = 0; o < 32; o++) {
            check_that(same_bits(alone[o], acc[32 * r + o]), "row %zu, output %zu: other bits than the row alone", r, o);
        }
    }
    zone_check();
}

/* At most as many bits as keep q - offset below 128. */
static int bits_within(int bits, int offset) {
    return offset == 64 && bits == 8 ? 7 : bits;
}

void check_dot_tiles(const exaone_kernels *k) {
    static const size_t ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 24, 31, 32, 33, 40, 64, 70};
    if (k->tiles_begin) {
        k->tiles_begin();
    }
    for (int i = 0; i < 900; i++) { /* every third at the ends */
        int offset = (int)noise_below(3) * 64, bits = bits_within(4 + (int)noise_below(5), offset);
        size_t n = noise_below(2) ? 256 : 32 * (1 + noise_below(8));
        dot_size s = {ROWS[noise_below(22)], n, noise_below(2) ? 16 : 32, offset, bits};
        dot_case(k, s, i % 3 ? -1 : i / 3 % 6, zone_anywhere());
    }
    if (k->tiles_end) {
        k->tiles_end();
    }
}
