/* Checks of the kernels of BF16 matrices by planes: activations as three bf16 numbers, weights brought together, and their
 * products. */
#include <math.h>
#include <string.h>

#include "checks.h"
#include "zone.h"

enum { LINE = 64, STEP = EXAONE_PLANE_STEP, TILE = EXAONE_PLANE_ROWS, PAIR = EXAONE_PLANE_OUTPUTS };

static size_t steps_of(size_t n) {
    return (n + STEP - 1) / STEP;
}

/* Place of a number among the planes of a tile. */
static size_t place(size_t width, size_t row, size_t column, size_t plane) {
    size_t pair = column % STEP / 2;
    return (((column / STEP * EXAONE_PLANES + plane) * (STEP / 2) + pair) * width + row) * 2 + column % 2;
}

static size_t width_of(size_t rows, size_t i) {
    size_t width = TILE;
    while (i % 2 && width / 2 >= rows) {
        width /= 2;
    }
    return width;
}

void check_planes_split(const exaone_kernels *k) {
    for (size_t i = 0; i < 400; i++) {
        size_t rows = 1 + i % TILE, width = width_of(rows, i / TILE), n = 1 + i * 7 % 100, stride = n + i % 4;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu rows in a width of %zu, %zu columns", rows, width, n);
        float *x = zone_floats((rows - 1) * stride + n);
        for (size_t e = 0; e < (rows - 1) * stride + n; e++) {
            x[e] = i % 5 == 4 && e % 3 == 0 ? check_extremes[(i + e) % check_n_extremes] : noise_unit() * 100;
        }
        zone_seal();
        size_t size = steps_of(n) * STEP * EXAONE_PLANES * width;
        uint16_t *p = zone_take(size, sizeof *p, LINE);
        k->planes_split(p, x, stride, rows, width, n);
        for (size_t r = 0; r < width; r++) {
            for (size_t c = 0; c < steps_of(n) * STEP; c++) {
                float part[EXAONE_PLANES], want = r < rows && c < n ? x[r * stride + c] : 0;
                for (size_t l = 0; l < EXAONE_PLANES; l++) {
                    part[l] = exaone_bf16_to_f32(p[place(width, r, c, l)]);
                }
                bool finite = isfinite(want), exact = fabsf(part[0] + (part[1] + part[2]) - want) <= 0x1p-133f;
                check_that(finite ? exact : part[1] == 0 && part[2] == 0 && (isnan(want) ? isnan(part[0]) : part[0] == want),
                           "row %zu, column %zu: %.9g becomes %g + %g + %g", r, c, (double)want, (double)part[0],
                           (double)part[1], (double)part[2]);
            }
        }
        zone_check();
    }
}

void check_planes_weights(const exaone_kernels *k) {
    for (size_t i = 0; i < 300; i++) {
        size_t n_out = 1 + i % PAIR, n = 1 + i * 11 % 150, stride = n + i % 3;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu outputs, %zu columns", n_out, n);
        uint16_t *w = zone_take((n_out - 1) * stride + n, sizeof *w, sizeof *w);
        for (size_t e = 0; e < (n_out - 1) * stride + n; e++) {
            w[e] = exaone_f32_to_bf16(noise_unit());
        }
        zone_seal();
        uint16_t *to = zone_take(PAIR * exaone_plane_stride(n), sizeof *to, LINE);
        k->planes_weights(to, w, stride, n_out, n);
        for (size_t o = 0; o < PAIR; o++) {
            for (size_t c = 0; c < steps_of(n) * STEP; c++) {
                uint16_t want = o < n_out && c < n ? w[o * stride + c] : 0;
                check_that(to[o * exaone_plane_stride(n) + c] == want, "output %zu, column %zu", o, c);
            }
        }
        zone_check();
    }
}

/* Place of a sum. */
static size_t sum_place(size_t pairs, size_t r, size_t o) {
    size_t tile = (r / PAIR * pairs + o / PAIR) * 4 + r % PAIR / TILE * 2 + o % PAIR / TILE;
    return (tile * TILE + o % TILE) * TILE + r % TILE;
}

static float bf16_noise(uint16_t *to) {
    *to = exaone_f32_to_bf16(noise_unit());
    return exaone_bf16_to_f32(*to);
}

typedef struct {
    size_t rows, width, stride, size; /* of planes: numbers of 16 rows, columns with those that fill up a step */
    float x[70][128][EXAONE_PLANES], w[2 * PAIR][128];
    uint16_t *planes;
} product;

static product *planes_of(size_t rows, size_t n) {
    static product p;
    p.rows = rows;
    p.width = width_of(rows, 1);
    p.size = steps_of(n) * STEP;
    p.stride = p.size * EXAONE_PLANES * p.width;
    size_t numbers = (rows + TILE - 1) / TILE * p.stride;
    p.planes = zone_take(numbers, sizeof *p.planes, LINE);
    memset(p.planes, 0, numbers * sizeof *p.planes);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < n * EXAONE_PLANES; c++) {
            size_t column = c / EXAONE_PLANES, l = c % EXAONE_PLANES;
            p.x[r][column][l] = bf16_noise(p.planes + r / TILE * p.stride + place(p.width, r % TILE, column, l));
        }
    }
    return &p;
}

static void check_sums(const product *p, const float *acc, size_t pairs, size_t n_out, size_t n, double start) {
    for (size_t r = 0; r < p->rows; r++) {
        for (size_t o = 0; o < n_out; o++) {
            double sum = start, terms = sum;
            for (size_t c = 0; c < n * EXAONE_PLANES; c++) {
                double t = (double)p->x[r][c / EXAONE_PLANES][c % EXAONE_PLANES] * (double)p->w[o][c / EXAONE_PLANES];
                sum += t;
                terms += fabs(t);
            }
            double got = (double)acc[sum_place(pairs, r, o)];
            check_that(fabs(got - sum) <= (3 * (double)p->size / STEP + 17) * 0x1p-24 * terms,
                       "row %zu, output %zu: %.9g instead of %.9g", r, o, got, sum);
        }
    }
}

static float *sums_of(size_t rows, size_t pairs) {
    size_t sums = (rows + PAIR - 1) / PAIR * pairs * 4 * TILE * TILE;
    float *acc = zone_take(sums, sizeof *acc, LINE);
    for (size_t e = 0; e < sums; e++) {
        acc[e] = 3;
    }
    return acc;
}

void check_planes_dot(const exaone_kernels *k) {
    for (size_t i = 0; i < 120; i++) {
        size_t rows = 1 + i * 5 % 70, pairs = 1 + i % 2, n = 1 + i * 13 % 128, stride = exaone_plane_stride(n);
        bool first = i % 3 != 0;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu rows, %zu outputs, %zu columns", rows, pairs * PAIR, n);
        product *p = planes_of(rows, n);
        uint16_t *weights = zone_take(pairs * PAIR * stride, sizeof *weights, LINE);
        memset(weights, 0, pairs * PAIR * stride * sizeof *weights);
        for (size_t o = 0; o < pairs * PAIR; o++) {
            for (size_t c = 0; c < n; c++) {
                p->w[o][c] = bf16_noise(weights + o * stride + c);
            }
        }
        zone_seal();
        float *acc = sums_of(rows, pairs);
        exaone_plane_fetch next = {weights, n, PAIR};
        k->planes_dot(acc, p->planes, p->stride, rows, p->width, weights, pairs, n, first, i % 4 ? NULL : &next);
        check_sums(p, acc, pairs, pairs * PAIR, n, first ? 0 : 3);
        zone_check();
    }
}

void check_planes_straight(const exaone_kernels *k) {
    for (size_t i = 0; i < 300; i++) {
        size_t rows = 1 + i * 5 % PAIR, n_out = 1 + i * 7 % (2 * PAIR), n = 1 + i * 13 % 128, stride = n + i % 3;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu rows, %zu outputs, %zu columns", rows, n_out, n);
        product *p = planes_of(rows, n);
        uint16_t *weights = zone_take((n_out - 1) * stride + n, sizeof *weights, sizeof *weights);
        for (size_t o = 0; o < n_out; o++) {
            for (size_t c = 0; c < (o + 1 < n_out ? stride : n); c++) {
                float value = bf16_noise(weights + o * stride + c);
                p->w[o][c < n ? c : n - 1] = c < n ? value : p->w[o][n - 1];
            }
        }
        zone_seal();
        size_t pairs = (n_out + PAIR - 1) / PAIR;
        float *acc = sums_of(rows, pairs);
        k->planes_straight(acc, p->planes, p->stride, rows, p->width, weights, stride, n_out, n);
        check_sums(p, acc, pairs, n_out, n, 0);
        zone_check();
    }
}

void check_planes_out(const exaone_kernels *k) {
    for (size_t i = 0; i < 300; i++) {
        size_t rows = 1 + i * 5 % 70, n_out = 1 + i * 7 % 90, pairs = (n_out + PAIR - 1) / PAIR, stride = n_out + i % 5;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu rows, %zu outputs", rows, n_out);
        size_t sums = (rows + PAIR - 1) / PAIR * pairs * 4 * TILE * TILE;
        float *acc = zone_take(sums, sizeof *acc, LINE), *bias = zone_floats(n_out);
        for (size_t e = 0; e < sums; e++) {
            acc[e] = noise_unit();
        }
        if (i % 3 == 0) {
            acc[sum_place(pairs, i % rows, i % n_out)] = i % 2 ? INFINITY : NAN;
        }
        for (size_t o = 0; o < n_out; o++) {
            bias[o] = noise_unit();
        }
        zone_seal();
        float *out = zone_floats((rows - 1) * stride + n_out), untouched = *out;
        bool finite = k->planes_out(out, stride, acc, rows, i % 2 ? bias : NULL, n_out);
        check_that(finite == (i % 3 != 0), "it says that %s", finite ? "all are finite" : "one is not");
        for (size_t r = 0; r < rows; r++) {
            for (size_t o = 0; o < n_out; o++) {
                float want = acc[sum_place(pairs, r, o)] + (i % 2 ? bias[o] : 0);
                check_that(same_bits(out[r * stride + o], want), "row %zu, output %zu", r, o);
            }
            for (size_t o = n_out; r + 1 < rows && o < stride; o++) {
                check_that(same_bits(out[r * stride + o], untouched), "it writes behind row %zu", r);
            }
        }
        zone_check();
    }
}
