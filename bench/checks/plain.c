/* Checks of the kernels of plain types.
 *
 * Bound of a sum of n terms in f32: at most n / 8 + 16 roundings on one lane's chain and in putting lanes together, each at
 * most 2^-24 of the sum of |terms|. The reference is summed in double. */
#include <math.h>
#include <string.h>

#include "checks.h"
#include "zone.h"

typedef enum { F32, BF16, F16 } plain_type;
typedef enum { ORDINARY, LARGE, SUBNORMAL, NOT_A_NUMBER, INFINITE, KINDS } kind;

static const char *const KIND_NAMES[] = {"", ", large", ", subnormal weights", ", with a NaN", ", with an infinity"};

static size_t size_of(plain_type type) {
    return type == F32 ? 4 : 2;
}

static void store(void *w, size_t i, float x, plain_type type, kind how) {
    if (type == F32) {
        float v = how == SUBNORMAL ? exaone_f32_from_bits(noise_next() & 0x807fffff) : x;
        memcpy((float *)w + i, &v, sizeof v);
    } else {
        uint32_t bits = type == BF16 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
        bits = how != SUBNORMAL ? bits : type == BF16 ? noise_next() & 0x807f : noise_next() & 0x83ff;
        uint16_t half = (uint16_t)bits;
        memcpy((uint16_t *)w + i, &half, sizeof half);
    }
}

static float load(const void *w, size_t i, plain_type type) {
    return type == F32    ? ((const float *)w)[i]
           : type == BF16 ? exaone_bf16_to_f32(((const uint16_t *)w)[i])
                          : exaone_f16_to_f32(((const uint16_t *)w)[i]);
}

/* A row of activations. */
static void fill_row(float *x, size_t n, plain_type type, kind how) {
    float scale = how == LARGE ? 1e6f : how == SUBNORMAL && type != F16 ? 1e30f : 1;
    for (size_t i = 0; i < n; i++) {
        x[i] = noise_unit() * scale;
    }
    if (how == NOT_A_NUMBER || how == INFINITE) {
        x[noise_next() % n] = how == INFINITE ? INFINITY : NAN;
    }
}

static void judge(float got, double want, double magnitude, double roundings, bool bad, size_t r, size_t o) {
    if (bad) {
        check_that(!isfinite(got), "row %zu, output %zu: %g of a row that holds no finite number", r, o, (double)got);
    } else {
        check_that(fabs((double)got - want) <= roundings * 0x1p-24 * magnitude + 1e-44,
                   "row %zu, output %zu: %.9g instead of %.9g", r, o, (double)got, want);
    }
}

/* ---- matmul ---- */

static void matmul_case(exaone_kernel_matmul *fn, plain_type type, const size_t size[3], kind how, zone_place place) {
    size_t n_rows = size[0], n_out = size[1], n_in = size[2], bad_row = n_rows / 2;
    size_t x_stride = n_in + noise_below(3), out_stride = n_out + noise_below(4);
    zone_case(place, "%zu rows, %zu outputs, %zu columns%s", n_rows, n_out, n_in, KIND_NAMES[how]);
    size_t n_x = (n_rows - 1) * x_stride + n_in, n_to = (n_rows - 1) * out_stride + n_out;
    float *x = zone_floats(n_x);
    void *w = zone_take(n_out * n_in, size_of(type), size_of(type));
    float *bias = zone_floats(n_out);
    for (size_t r = 0; r < n_rows; r++) {
        fill_row(x + r * x_stride, n_in, type, r == bad_row || how < NOT_A_NUMBER ? how : ORDINARY);
    }
    for (size_t i = 0; i < n_out * n_in; i++) {
        store(w, i, noise_unit(), type, how);
    }
    for (size_t i = 0; i < n_out; i++) {
        bias[i] = noise_unit();
    }
    const float *given = noise_below(3) ? bias : NULL;
    zone_seal();
    float *out = zone_floats(n_to), *alone = zone_floats(n_out > n_rows ? n_out : n_rows);
    float untouched = *out;
    fn(out, out_stride, x, x_stride, n_rows, w, given, n_out, n_in);
    for (size_t r = 0; r < n_rows; r++) {
        bool bad = (how == NOT_A_NUMBER || how == INFINITE) && r == bad_row;
        for (size_t o = 0; o < n_out; o++) {
            double want = given ? (double)given[o] : 0, magnitude = fabs(want);
            for (size_t i = 0; i < n_in; i++) {
                double term = (double)x[r * x_stride + i] * (double)load(w, o * n_in + i, type);
                want += term;
                magnitude += fabs(term);
            }
            judge(out[r * out_stride + o], want, magnitude, (double)n_in / 8 + 16, bad, r, o);
        }
        for (size_t o = n_out; r + 1 < n_rows && o < out_stride; o++) {
            check_that(out[r * out_stride + o] == untouched, "row %zu: it writes between the rows of the result", r);
        }
        fn(alone, n_out, x + r * x_stride, x_stride, 1, w, given, n_out, n_in);
        for (size_t o = 0; o < n_out; o++) {
            check_that(same_bits(alone[o], out[r * out_stride + o]), "row %zu, output %zu: other bits than the row alone", r,
                       o);
        }
    }
    for (size_t o = 0; o < n_out; o += 1 + n_out / 8) {
        const uint8_t *row = (const uint8_t *)w + o * n_in * size_of(type);
        fn(alone, 1, x, x_stride, n_rows, row, given ? given + o : NULL, 1, n_in);
        for (size_t r = 0; r < n_rows; r++) {
            check_that(same_bits(alone[r], out[r * out_stride + o]), "row %zu, output %zu: other bits than the output alone",
                       r, o);
        }
    }
    zone_check();
}

static void matmul(exaone_kernel_matmul *fn, plain_type type) {
    static const size_t ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33}, OUTS[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33},
                        INS[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 95, 127, 160, 256, 300};
    static const size_t LONG[][3] = {{1, 17, 1176}, {2, 6, 4097}, {7, 5, 5120}, {16, 32, 1024}};
    for (size_t i = 0; i < 400; i++) {
        const size_t size[3] = {ROWS[noise_below(13)], OUTS[noise_below(11)], INS[noise_below(20)]};
        matmul_case(fn, type, size, (kind)noise_below(KINDS), zone_anywhere());
    }
    for (size_t i = 0; i < sizeof LONG / sizeof *LONG; i++) {
        matmul_case(fn, type, LONG[i], (kind)(i % 3), ZONE_ENDS);
    }
}

void check_matmul_f32(const exaone_kernels *k) {
    matmul(k->matmul_f32, F32);
}

void check_matmul_bf16(const exaone_kernels *k) {
    matmul(k->matmul_bf16, BF16);
}

void check_matmul_f16(const exaone_kernels *k) {
    matmul(k->matmul_f16, F16);
}

/* ---- add_product ---- */

typedef void product_fn(float *, size_t, const float *, size_t, size_t, const void *, size_t, size_t, size_t);

/* One chain of `depth` multiply-adds per element. */
static void product_case(product_fn *fn, plain_type type, const size_t size[3], kind how, zone_place place) {
    size_t n_rows = size[0], n = size[1], depth = size[2], bad_row = n_rows / 2;
    size_t a_stride = depth + noise_below(4), b_stride = n + noise_below(3), out_stride = n + noise_below(3);
    zone_case(place, "%zu rows, %zu columns, depth %zu%s", n_rows, n, depth, KIND_NAMES[how]);
    float *a = zone_floats((n_rows - 1) * a_stride + depth);
    void *b = zone_take((depth - 1) * b_stride + n, size_of(type), size_of(type));
    float *before = zone_floats((n_rows - 1) * out_stride + n);
    for (size_t r = 0; r < n_rows; r++) {
        fill_row(a + r * a_stride, depth, type, r == bad_row || how < NOT_A_NUMBER ? how : ORDINARY);
        for (size_t c = 0; c < n; c++) {
            before[r * out_stride + c] = noise_unit();
        }
    }
    for (size_t i = 0; i < (depth - 1) * b_stride + n; i++) {
        store(b, i, noise_unit(), type, how);
    }
    zone_seal();
    size_t n_to = (n_rows - 1) * out_stride + n;
    float *out = zone_floats(n_to), *alone = zone_floats(n > n_rows ? n : n_rows);
    memcpy(out, before, n_to * sizeof *out);
    fn(out, out_stride, a, a_stride, n_rows, b, b_stride, n, depth);
    for (size_t r = 0; r < n_rows; r++) {
        bool bad = how >= NOT_A_NUMBER && r == bad_row;
        for (size_t c = 0; c < n; c++) {
            double want = (double)before[r * out_stride + c], magnitude = fabs(want);
            for (size_t i = 0; i < depth; i++) {
                double term = (double)a[r * a_stride + i] * (double)load(b, i * b_stride + c, type);
                want += term;
                magnitude += fabs(term);
            }
            judge(out[r * out_stride + c], want, magnitude, (double)depth + 1, bad, r, c);
        }
        for (size_t c = n; r + 1 < n_rows && c < out_stride; c++) {
            check_that(same_bits(out[r * out_stride + c], before[r * out_stride + c]),
                       "row %zu: it writes between the rows of the result", r);
        }
        memcpy(alone, before + r * out_stride, n * sizeof *alone);
        fn(alone, n, a + r * a_stride, a_stride, 1, b, b_stride, n, depth);
        for (size_t c = 0; c < n; c++) {
            check_that(same_bits(alone[c], out[r * out_stride + c]), "row %zu, column %zu: other bits than the row alone", r,
                       c);
        }
    }
    for (size_t c = 0; c < n; c += 1 + n / 8) {
        for (size_t r = 0; r < n_rows; r++) {
            alone[r] = before[r * out_stride + c];
        }
        fn(alone, 1, a, a_stride, n_rows, (const uint8_t *)b + c * size_of(type), b_stride, 1, depth);
        for (size_t r = 0; r < n_rows; r++) {
            check_that(same_bits(alone[r], out[r * out_stride + c]), "row %zu, column %zu: other bits than the column alone",
                       r, c);
        }
    }
    zone_check();
}

static void product(product_fn *fn, plain_type type) {
    static const size_t ROWS[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 24},
                        COLUMNS[] = {1, 7, 8, 9, 16, 17, 31, 33, 48, 63, 64, 80, 100},
                        DEPTHS[] = {1, 2, 3, 16, 33, 64, 65, 80, 128};
    static const size_t LARGEST[][3] = {{60, 64, 80}, {64, 9, 1}, {8, 200, 33}, {11, 63, 512}, {40, 128, 64}};
    for (size_t i = 0; i < 300; i++) {
        const size_t size[3] = {ROWS[noise_below(11)], COLUMNS[noise_below(13)], DEPTHS[noise_below(9)]};
        product_case(fn, type, size, (kind)noise_below(KINDS), zone_anywhere());
    }
    for (size_t i = 0; i < sizeof LARGEST / sizeof *LARGEST; i++) {
        product_case(fn, type, LARGEST[i], (kind)(i % 3), ZONE_ENDS);
    }
}

void check_add_product_f32(const exaone_kernels *k) {
    product(k->add_product_f32, F32);
}

void check_add_product_f16(const exaone_kernels *k) {
    product(k->add_product_f16, F16);
}

void check_add_product_bf16(const exaone_kernels *k) {
    product(k->add_product_bf16, BF16);
}

/* ---- element by element ---- */

/* Lengths with and without tails. */
static size_t next_length(size_t n) {
    return n < 70 ? n + 1 : n < 600 ? n + 57 : n + 1811;
}

void check_rms_norm(const exaone_kernels *k) {
    for (size_t n = 1; n <= 5120; n = next_length(n)) {
        for (int how = 0; how < 6; how++) {
            zone_case(zone_anywhere(), "%zu values, kind %d", n, how);
            float *x = zone_floats(n), *w = zone_floats(n);
            for (size_t i = 0; i < n; i++) {
                x[i] = noise_unit() * (how == 1 ? 1e4f : how == 2 ? 1e-6f : 3);
                w[i] = noise_unit();
            }
            if (how == 3) {
                x[n / 2] = NAN;
            }
            float eps = how == 5 ? 1 : 1e-5f;
            zone_seal();
            float *out = zone_floats(n), *in_place = zone_floats(n);
            memcpy(in_place, x, n * sizeof *x);
            k->rms_norm(out, x, w, n, eps);
            k->rms_norm(in_place, in_place, w, n, eps);
            double sum = 0, bound = ((double)n / 16 + 16) * 0x1p-24; /* of the root of a sum, and four more roundings */
            for (size_t i = 0; i < n; i++) {
                sum += (double)x[i] * (double)x[i];
            }
            for (size_t i = 0; i < n; i++) {
                double want = (double)w[i] * (double)x[i] / sqrt(sum / (double)n + (double)eps);
                check_that(how == 3 ? isnan(out[i]) : fabs((double)out[i] - want) <= bound * fabs(want) + 1e-44,
                           "value %zu: %.9g instead of %.9g", i, (double)out[i], want);
                check_that(same_bits(out[i], in_place[i]), "value %zu: other bits in place", i);
            }
            zone_check();
        }
    }
}

/* g / (1 + e^-g) * up: the error of e^-g, and two roundings more. */
void check_silu_mul(const exaone_kernels *k) {
    static const float ENDS[][2] = {{-1e30f, 0}, {1e30f, 1e30f}, {-200, 0}, {200, 200},
                                    {0, 0},      {-0.0f, 0},     {-88, 0},  {1e-42f, 5e-43f}};
    for (size_t n = 1; n <= 2500; n = next_length(n)) {
        for (int how = 0; how < 3; how++) {
            zone_case((zone_place)how, "%zu values", n);
            float *up = zone_floats(n), *g = zone_floats(n);
            for (size_t i = 0; i < n; i++) {
                up[i] = noise_unit();
                g[i] = noise_unit() * (i % 3 ? 5 : 40);
            }
            zone_seal();
            float *out = zone_floats(n);
            memcpy(out, g, n * sizeof *g);
            k->silu_mul(out, up, n);
            for (size_t i = 0; i < n; i++) {
                double want = (double)g[i] / (1 + exp(-(double)g[i])) * (double)up[i];
                check_that(fabs((double)out[i] - want) <= 1e-6 * fabs(want) + 1e-44, "value %zu: %.9g instead of %.9g", i,
                           (double)out[i], want);
            }
            for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
                float one = 1;
                out[i % n] = ENDS[i][0];
                k->silu_mul(out + i % n, &one, 1);
                check_that(fabs((double)out[i % n] - (double)ENDS[i][1]) <= 1e-6 * fabs((double)ENDS[i][1]) + 1e-35,
                           "%g becomes %g", (double)ENDS[i][0], (double)out[i % n]);
            }
            memcpy(out, g, n * sizeof *g);
            out[n / 2] = NAN;
            k->silu_mul(out, up, n);
            check_that(isnan(out[n / 2]), "a NaN at %zu becomes %g", n / 2, (double)out[n / 2]);
            zone_check();
        }
    }
}

static void softmax_case(const exaone_kernels *k, size_t n, int how) {
    enum { USUAL, NOTHING, NANS, LOW };
    zone_case(zone_anywhere(), "%zu scores, kind %d", n, how);
    float *x = zone_floats(n), before = how == USUAL && noise_below(2) ? 12 : -INFINITY, m = before, scale = 0.5f;
    for (size_t i = 0; i < n; i++) {
        x[i] = how == NOTHING ? -INFINITY : noise_unit() * (how == LOW ? 3e4f : 30);
    }
    if (how == USUAL && n > 1) {
        x[noise_next() % n] = -INFINITY;
    } else if (how == NANS) {
        x[noise_next() % n] = NAN;
    }
    zone_seal();
    float *out = zone_floats(n);
    memcpy(out, x, n * sizeof *x);
    float sum = k->softmax_exp(out, n, scale, &m);
    float largest = before;
    double want_sum = 0, bound = ((double)n / 8 + 16) * 0x1p-24 + 1e-6;
    for (size_t i = 0; i < n; i++) {
        largest = x[i] * scale > largest ? x[i] * scale : largest;
    }
    check_that(same_bits(m, largest), "the largest score is %.9g instead of %.9g", (double)m, (double)largest);
    for (size_t i = 0; i < n; i++) {
        double want = largest == -INFINITY ? 0 : exp((double)(x[i] * scale - largest));
        want_sum += want;
        check_that(isnan(x[i]) ? isnan(out[i]) : fabs((double)out[i] - want) <= 1e-6 * want + 1e-37,
                   "score %zu: %.9g instead of %.9g", i, (double)out[i], want);
    }
    check_that(how == NANS ? isnan(sum) : fabs((double)sum - want_sum) <= bound * want_sum + 1e-37,
               "the sum is %.9g instead of %.9g", (double)sum, want_sum);
    zone_check();
}

void check_softmax_exp(const exaone_kernels *k) {
    for (size_t n = 1; n <= 5000; n = next_length(n)) {
        for (int how = 0; how < 4; how++) {
            softmax_case(k, n, how);
        }
    }
    for (size_t at = 0; at < 20; at++) { /* a NaN in any lane, alone or among scores of nothing */
        float x[19], m = -INFINITY;
        zone_case(ZONE_ENDS, "19 scores of nothing, a NaN at %zu", at);
        for (size_t i = 0; i < 19; i++) {
            x[i] = i == at || at == 19 ? NAN : -INFINITY;
        }
        check_that(isnan(k->softmax_exp(x, 19, 0.5f, &m)) && (at == 19 || isnan(x[at])), "the NaN is lost");
    }
}

void check_transpose(const exaone_kernels *k) {
    for (size_t n_rows = 1; n_rows <= 64; n_rows += n_rows < 20 ? 1 : 11) {
        for (size_t n = 1; n < 130; n += n < 20 ? 1 : 31) {
            size_t stride = n + noise_below(3), out_stride = n_rows + noise_below(3);
            zone_case(zone_anywhere(), "%zu x %zu", n_rows, n);
            float *x = zone_floats((n_rows - 1) * stride + n);
            for (size_t i = 0; i < (n_rows - 1) * stride + n; i++) {
                uint32_t bits = noise_next();
                memcpy(x + i, &bits, sizeof bits);
            }
            zone_seal();
            size_t n_to = (n - 1) * out_stride + n_rows;
            float *out = zone_floats(n_to), untouched = *out;
            k->transpose(out, out_stride, x, stride, n_rows, n);
            for (size_t i = 0; i < n_to; i++) {
                size_t r = i % out_stride, c = i / out_stride;
                check_that(memcmp(out + i, r < n_rows ? x + r * stride + c : &untouched, sizeof *out) == 0,
                           "row %zu, column %zu is wrong", r, c);
            }
            zone_check();
        }
    }
}

/* ---- blocks of columns ---- */

/* Two blocks give the bits of matmul_f32 of the whole. */
void check_chains_add(const exaone_kernels *k) {
    enum { STRIDE = EXAONE_CHAIN_STRIDE, COLUMNS = EXAONE_CHAIN_COLUMNS, LINE = 64 };
    for (size_t i = 0; i < 150; i++) {
        size_t n_rows = 6 * (1 + i % 3), n_out = 4 * (1 + i % 5), acc_stride = n_out + 16 * (i % 2),
               n = 1 + i * 37 % COLUMNS;
        size_t all = COLUMNS + n, padded = (n + 15) / 16 * 16;
        zone_case((zone_place)(i % ZONE_PLACES), "%zu rows, %zu outputs, %zu columns", n_rows, n_out, all);
        float *x = zone_floats(n_rows * all), *w = zone_floats(n_out * all), *blocks[2][2];
        for (int b = 0; b < 2; b++) {
            blocks[b][0] = zone_take(n_rows * STRIDE, sizeof(float), LINE);
            blocks[b][1] = zone_take(n_out * STRIDE, sizeof(float), LINE);
            for (int side = 0; side < 2; side++) {
                size_t rows = side ? n_out : n_rows;
                memset(blocks[b][side], 0, rows * STRIDE * sizeof(float));
                for (size_t e = 0; e < rows * (b ? n : COLUMNS); e++) {
                    size_t r = e % rows, c = e / rows;
                    float v = noise_unit();
                    (side ? w : x)[r * all + (b ? COLUMNS : 0) + c] = v;
                    blocks[b][side][r * STRIDE + c] = v;
                }
            }
        }
        zone_seal();
        float *acc = zone_take((n_rows - 1) * acc_stride + n_out, sizeof *acc, LINE), *want = zone_floats(n_rows * n_out);
        k->chains_add(acc, acc_stride, blocks[0][0], blocks[0][1], n_rows, n_out, COLUMNS, true);
        k->chains_add(acc, acc_stride, blocks[1][0], blocks[1][1], n_rows, n_out, padded, false);
        k->matmul_f32(want, n_out, x, all, n_rows, w, NULL, n_out, all);
        for (size_t r = 0; r < n_rows; r++) {
            for (size_t o = 0; o < n_out; o++) {
                check_that(same_bits(acc[r * acc_stride + o], want[r * n_out + o]),
                           "row %zu, output %zu: %.9g instead of %.9g", r, o, (double)acc[r * acc_stride + o],
                           (double)want[r * n_out + o]);
            }
        }
        zone_check();
    }
}
