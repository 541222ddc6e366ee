/* The encoder: errors against those of two public quantisers (tests/golden/encode, tools/golden/encode), importance, hostile
 * and extreme values. What is written is read back with exaone_dtype_to_f32, which has tests of its own. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/json.h"
#include "base/rng.h"
#include "quant/encode.h"
#include "../support/fixture.h"

#define ERRORS "tests/golden/encode/errors.json"
#define TINY "models/tiny/model.safetensors"

enum { ROWS = 32, SEED = 45, WIDTH = 512 };

static const exaone_dtype TYPES[] = {
    EXAONE_F32,  EXAONE_F16,  EXAONE_BF16, EXAONE_Q8_0, EXAONE_Q4_0, EXAONE_Q4_1,   EXAONE_Q5_0,   EXAONE_Q5_1,
    EXAONE_Q2_K, EXAONE_Q3_K, EXAONE_Q4_K, EXAONE_Q5_K, EXAONE_Q6_K, EXAONE_IQ4_NL, EXAONE_IQ4_XS, EXAONE_MXFP4,
};
enum { N_TYPES = sizeof TYPES / sizeof *TYPES };

static size_t row_bytes(exaone_dtype type, size_t n) {
    size_t bytes = 0;
    assert_true(exaone_dtype_row_bytes(type, n, &bytes));
    return bytes;
}

/* The exactly sized encoding; free() it. Fails the test when encoding fails. */
static uint8_t *encode(exaone_dtype type, const float *x, size_t rows, size_t n, const float *importance) {
    exaone_error err;
    uint8_t *out = malloc(rows * row_bytes(type, n));
    assert_non_null(out);
    if (exaone_encode_rows(type, x, rows, n, importance, out, &err)) {
        fail_msg("%s", err.message);
    }
    return out;
}

/* Encodes and decodes. */
static void round_trip(exaone_dtype type, const float *x, size_t rows, size_t n, const float *importance, float *back) {
    uint8_t *blocks = encode(type, x, rows, n, importance);
    for (size_t r = 0; r < rows; r++) {
        exaone_dtype_to_f32(type, blocks + r * row_bytes(type, n), n, back + r * n);
    }
    free(blocks);
}

static double squared_error(const float *x, const float *y, size_t rows, size_t n, const float *weights) {
    double e = 0;
    for (size_t i = 0; i < rows * n; i++) {
        double r = (double)x[i] - (double)y[i];
        e += r * r * (weights ? (double)weights[i % n] : 1);
    }
    return e;
}

static double gaussian(uint64_t i) {
    return sqrt(-2 * log(1 - exaone_rng_unit(SEED, 1, i))) * cos(2 * 3.14159265358979323846 * exaone_rng_unit(SEED, 2, i));
}

/* The data of a case by its name: ROWS rows; free() it. */
static float *load_data(const fixture *tiny, const char *name, size_t *n) {
    *n = WIDTH;
    const fixture_tensor *t = NULL;
    if (strcmp(name, "gaussian") != 0 && strcmp(name, "heavy") != 0) {
        t = fixture_get(tiny, name, "BF16");
        *n = (size_t)t->shape[1];
    }
    float *x = malloc(ROWS * *n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < ROWS * *n; i++) {
        if (t) {
            uint16_t bits;
            memcpy(&bits, t->data + 2 * i, 2);
            x[i] = exaone_bf16_to_f32(bits);
        } else {
            double g = gaussian(i);
            x[i] = (float)((name[0] == 'g' ? g : g * g * g) * 0.02);
        }
    }
    return x;
}

static void make_importance(float *w, size_t n) {
    for (size_t i = 0; i < n; i++) {
        w[i] = (float)pow(exaone_rng_unit(SEED, 3, i), 4);
    }
}

static exaone_dtype type_by_name(const char *name) {
    for (size_t k = 0; k < N_TYPES; k++) {
        if (strcmp(exaone_dtype_name(TYPES[k]), name) == 0) {
            return TYPES[k];
        }
    }
    fail_msg("type %s is unknown", name);
    return EXAONE_F32;
}

/* The worst ratio of our error to the lower of the references' over the cases, without and with importance, as measured; a
 * change of the search may not lose more than half a percent of it. Plain types round alike. */
static const struct {
    exaone_dtype type;
    double plain, weighted;
} MEASURED[] = {
    {EXAONE_Q8_0, 0.9827, 0.9198},
    {EXAONE_Q4_0, 0.9383, 0.9170},
    {EXAONE_Q4_1, 0.7981, 0.8712},
    {EXAONE_Q5_0, 0.9268, 0.8903},
    {EXAONE_Q5_1, 0.7777, 0.8640},
    {EXAONE_Q2_K, 0.7576, 0.8656},
    {EXAONE_Q3_K, 0.9341, 0.9155},
    {EXAONE_Q4_K, 0.9486, 0.8652},
    {EXAONE_Q5_K, 0.9024, 0.8253},
    {EXAONE_Q6_K, 0.9047, 0.8181},
    {EXAONE_IQ4_NL, 0.9291, 0.8760},
    {EXAONE_IQ4_XS, 0.9248, 0.8690},
    {EXAONE_MXFP4, 0.9532, 0.9354},
    {EXAONE_F16, 1, 1},
    {EXAONE_BF16, 1, 1},
};

static double measured_ratio(exaone_dtype type, bool weighted) {
    for (size_t k = 0; k < sizeof MEASURED / sizeof *MEASURED; k++) {
        if (MEASURED[k].type == type) {
            return weighted ? MEASURED[k].weighted : MEASURED[k].plain;
        }
    }
    fail_msg("type %s has no measured ratio", exaone_dtype_name(type));
    return 0;
}

/* The bar is the reference's own figure (1e-6: log() and cos() of the generator may differ between C libraries). */
static void errors_at_most_those_of_the_references(void **state) {
    (void)state;
    fixture tiny;
    fixture_json j;
    fixture_open(&tiny, TINY);
    fixture_json_open(&j, ERRORS);
    const exaone_json *cases = exaone_json_get(j.root, "cases");
    size_t count = 0;
    for (const exaone_json *c = cases->first; c; c = c->next) {
        char type_name[16], data_name[96];
        exaone_dtype type = type_by_name(fixture_string(c, "type", type_name, sizeof type_name));
        bool weighted = exaone_json_is(exaone_json_get(c, "importance"), EXAONE_JSON_TRUE);
        size_t n;
        float *x = load_data(&tiny, fixture_string(c, "data", data_name, sizeof data_name), &n);
        float *back = malloc(ROWS * n * sizeof *back), *w = malloc(n * sizeof *w);
        assert_true(back && w);
        make_importance(w, n);
        round_trip(type, x, ROWS, n, weighted ? w : NULL, back);
        double ours = squared_error(x, back, ROWS, n, weighted ? w : NULL);
        double least = HUGE_VAL;
        static const char *const KEYS[] = {"ggml", "gguf"};
        for (int k = 0; k < 2; k++) {
            double theirs;
            const exaone_json *figure = exaone_json_get(c, KEYS[k]);
            if (exaone_json_is(figure, EXAONE_JSON_NULL)) {
                assert_int_equal(k, 1); /* the package does not write every type */
                continue;
            }
            assert_true(exaone_json_double(figure, &theirs));
            least = theirs < least ? theirs : least;
            if (!(ours <= theirs * (1 + 1e-6))) {
                fail_msg("%s, %s, importance %d: error %g, %s has %g", type_name, data_name, weighted, ours, KEYS[k],
                         theirs);
            }
        }
        if (!(ours <= 1.005 * measured_ratio(type, weighted) * least)) {
            fail_msg("%s, %s, importance %d: error %g, %g times the reference's", type_name, data_name, weighted, ours,
                     ours / least);
        }
        if (weighted) {
            round_trip(type, x, ROWS, n, NULL, back);
            double without = squared_error(x, back, ROWS, n, w);
            if (!(ours <= without)) {
                fail_msg("%s, %s: weighted error %g with importance, %g without", type_name, data_name, ours, without);
            }
        }
        free(x);
        free(back);
        free(w);
        count++;
    }
    assert_int_equal(count, 15 * 5 * 2); /* types, data sets, without and with importance */
    fixture_json_close(&j);
    fixture_close(&tiny);
}

/* Fills a row of WIDTH values and expects a relative error of each value of at most `bound` (absolute for 0). */
static void expect_row(const float *x, const float *importance, double bound, double mxfp4_bound) {
    for (size_t k = 0; k < N_TYPES; k++) {
        float back[WIDTH];
        round_trip(TYPES[k], x, 1, WIDTH, importance, back);
        double limit = TYPES[k] == EXAONE_MXFP4 ? mxfp4_bound : bound;
        for (size_t i = 0; i < WIDTH; i++) {
            if (!(fabs((double)back[i] - (double)x[i]) <= limit * fabs((double)x[i]))) {
                fail_msg("%s: %g became %g", exaone_dtype_name(TYPES[k]), (double)x[i], (double)back[i]);
            }
        }
    }
}

static void fill(float *x, float value) {
    for (size_t i = 0; i < WIDTH; i++) {
        x[i] = value;
    }
}

static void zeros_stay_zero(void **state) {
    (void)state;
    float x[WIDTH], w[WIDTH];
    fill(x, 0);
    fill(w, 0);
    expect_row(x, NULL, 0, 0);
    expect_row(x, w, 0, 0);
    fill(x, -0.0f);
    expect_row(x, NULL, 0, 0);
}

/* One value needs no levels between: what remains is the rounding of an f16 scale (2^-11), twice for the types whose scale
 * and minimum both round; of MXFP4 the gap between its values 4 and 6 (1/5). */
static void constant_rows(void **state) {
    (void)state;
    static const float values[] = {1, -1, 0.0371f, -0.0371f, 12345, -12345, 65504, -65504};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        float x[WIDTH];
        fill(x, values[v]);
        expect_row(x, NULL, 0x1p-9, 0.2);
    }
}

/* Values far below the smallest f16 scale (2^-24) become 0 or stay of their size: nothing may grow beyond that scale. */
static void tiny_values(void **state) {
    (void)state;
    static const float values[] = {1e-45f, -1e-45f, 1e-40f, 3e-38f, -1e-20f, 1e-12f};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (size_t k = 0; k < N_TYPES; k++) {
            float x[WIDTH], back[WIDTH];
            for (size_t i = 0; i < WIDTH; i++) {
                x[i] = i % 3 ? values[v] : -values[v] * 0.3f;
            }
            round_trip(TYPES[k], x, 1, WIDTH, NULL, back);
            for (size_t i = 0; i < WIDTH; i++) {
                assert_true(fabsf(back[i]) <= 0x1p-24f);
            }
        }
    }
}

static bool has_minimum(exaone_dtype type) {
    return type == EXAONE_Q4_1 || type == EXAONE_Q5_1 || type == EXAONE_Q2_K || type == EXAONE_Q4_K || type == EXAONE_Q5_K;
}

/* Scales stop at 65504 and nothing becomes infinite; below 65504 the range is no limit. */
static void huge_values(void **state) {
    (void)state;
    static const float values[] = {65504, 65520, 1e6f, 1e7f, 1e9f, 1e20f, 1e30f, FLT_MAX};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (size_t k = 0; k < N_TYPES; k++) {
            float x[WIDTH], back[WIDTH];
            for (size_t i = 0; i < WIDTH; i++) {
                x[i] = (i % 2 ? values[v] : -values[v]) * (i % 5 ? 1 : 0.25f);
            }
            round_trip(TYPES[k], x, 1, WIDTH, NULL, back);
            for (size_t i = 0; i < WIDTH; i++) {
                assert_true(isfinite(back[i]));
                if (i % 5 && (values[v] < 65536 || !has_minimum(TYPES[k]))) {
                    /* the large ones keep their sign and at least half of what an f16 can say */
                    if ((back[i] < 0) != (x[i] < 0) || fabsf(back[i]) < 32752) {
                        fail_msg("%s: %g became %g", exaone_dtype_name(TYPES[k]), (double)x[i], (double)back[i]);
                    }
                    assert_true(fabsf(back[i]) <= 1.5f * fabsf(x[i]) || values[v] > 1e38f);
                }
            }
        }
    }
    float plain[2] = {FLT_MAX, -FLT_MAX}, back[2];
    round_trip(EXAONE_F16, plain, 1, 2, NULL, back);
    assert_true(back[0] == 65504 && back[1] == -65504);
    round_trip(EXAONE_BF16, plain, 1, 2, NULL, back);
    assert_true(back[0] == 0x1.fep127f && back[1] == -0x1.fep127f);
}

/* An outlier among small values, and signed zeros. */
static void mixed_sizes(void **state) {
    (void)state;
    for (size_t k = 0; k < N_TYPES; k++) {
        float x[WIDTH], back[WIDTH];
        for (size_t i = 0; i < WIDTH; i++) {
            x[i] = i % 7 ? 1e-3f * (float)(i % 11) : -0.0f;
        }
        x[100] = 60000;
        x[300] = -1e-30f;
        round_trip(TYPES[k], x, 1, WIDTH, NULL, back);
        assert_true(fabsf(back[100] - 60000) <= (TYPES[k] == EXAONE_MXFP4 ? 0.2f : 0x1p-8f) * 60000);
        for (size_t i = 0; i < WIDTH; i++) {
            assert_true(isfinite(back[i]));
        }
    }
}

/* Columns without weight do not disturb the others: an outlier there costs the others nothing, and still comes out finite.
 * The bound: the error of the same row without the outliers, times 1.02 for the search's other path. */
static void importance_of_zero(void **state) {
    (void)state;
    for (size_t k = 0; k < N_TYPES; k++) {
        float x[WIDTH], calm[WIDTH], w[WIDTH], back[WIDTH];
        for (size_t i = 0; i < WIDTH; i++) {
            calm[i] = x[i] = (float)gaussian(i);
            w[i] = 1;
            if (i % 37 == 5) {
                x[i] = 100;
                calm[i] = 0;
                w[i] = 0;
            }
        }
        round_trip(TYPES[k], x, 1, WIDTH, w, back);
        double e = squared_error(x, back, 1, WIDTH, w);
        assert_true(isfinite(back[5]) && back[5] >= 0);
        round_trip(TYPES[k], calm, 1, WIDTH, w, back);
        double calm_e = squared_error(calm, back, 1, WIDTH, w);
        if (!(e <= 1.02 * calm_e + 0.02)) { /* 100 weighs 2^-20 in each block: 0.01 each at most, seven blocks */
            fail_msg("%s: error %g with outliers that weigh nothing, %g without", exaone_dtype_name(TYPES[k]), e, calm_e);
        }
    }
}

/* Also where it matters in few columns, and where the f16 scales are so small that they are coarse. */
static void importance_never_costs(void **state) {
    (void)state;
    static const float sizes[] = {1, 1e-3f, 1e-4f, 1e-5f};
    float x[4 * WIDTH], back[4 * WIDTH], w[WIDTH];
    for (size_t v = 0; v < 4; v++) {
        for (size_t i = 0; i < 4 * WIDTH; i++) {
            x[i] = (float)gaussian(i) * sizes[v];
        }
        for (int kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < WIDTH; i++) {
                double u = exaone_rng_unit(SEED, 4, i);
                w[i] = (float)(kind == 0 ? u < 0.5 : kind == 1 ? u < 0.03 : kind == 2 ? 1 + 1e4 * (u < 0.03) : pow(u, 16));
            }
            for (size_t k = 0; k < N_TYPES; k++) {
                round_trip(TYPES[k], x, 4, WIDTH, w, back);
                double with = squared_error(x, back, 4, WIDTH, w);
                round_trip(TYPES[k], x, 4, WIDTH, NULL, back);
                double without = squared_error(x, back, 4, WIDTH, w);
                if (!(with <= without)) {
                    fail_msg("%s, size %g, importance %d: weighted error %g, %g without importance",
                             exaone_dtype_name(TYPES[k]), (double)sizes[v], kind, with, without);
                }
            }
        }
    }
}

/* No importance, importance of zeros and any constant importance are the same. */
static void equal_importance_changes_nothing(void **state) {
    (void)state;
    static const float constants[] = {0, 1, 1e-40f, 3e-5f, 7e30f};
    float x[2 * WIDTH], w[WIDTH];
    for (size_t i = 0; i < 2 * WIDTH; i++) {
        x[i] = (float)gaussian(i);
    }
    for (size_t k = 0; k < N_TYPES; k++) {
        uint8_t *plain = encode(TYPES[k], x, 2, WIDTH, NULL);
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            fill(w, constants[c]);
            uint8_t *with = encode(TYPES[k], x, 2, WIDTH, w);
            assert_memory_equal(plain, with, 2 * row_bytes(TYPES[k], WIDTH));
            free(with);
        }
        /* rows are independent */
        uint8_t *second = encode(TYPES[k], x + WIDTH, 1, WIDTH, NULL);
        assert_memory_equal(plain + row_bytes(TYPES[k], WIDTH), second, row_bytes(TYPES[k], WIDTH));
        free(second);
        free(plain);
    }
}

/* Scaling by a power of two scales the result, as long as the f16 scales are normal. */
static void powers_of_two_change_nothing(void **state) {
    (void)state;
    float x[WIDTH], y[WIDTH], a[WIDTH], b[WIDTH];
    for (size_t i = 0; i < WIDTH; i++) {
        x[i] = (float)gaussian(i) * 4;
        y[i] = x[i] * 64;
    }
    for (size_t k = 0; k < N_TYPES; k++) {
        round_trip(TYPES[k], x, 1, WIDTH, NULL, a);
        round_trip(TYPES[k], y, 1, WIDTH, NULL, b);
        for (size_t i = 0; i < WIDTH; i++) {
            assert_true(a[i] * 64 == b[i]);
        }
    }
}

static void expect_message(exaone_dtype type, const float *x, size_t rows, size_t n, const float *w, const char *message) {
    static uint8_t out[4 * WIDTH * 4];
    exaone_error err = {0};
    assert_int_equal(exaone_encode_rows(type, x, rows, n, w, out, &err), EXAONE_ERR_ARGUMENT);
    assert_string_equal(err.message, message);
    assert_int_equal(exaone_encode_rows(type, x, rows, n, w, out, NULL), EXAONE_ERR_ARGUMENT);
}

static void refusals(void **state) {
    (void)state;
    float x[2 * WIDTH] = {0}, w[WIDTH] = {0};
    for (size_t k = 0; k < N_TYPES; k++) {
        char message[128];
        assert_true(exaone_encode_supported(TYPES[k]));
        x[WIDTH + 77] = NAN;
        snprintf(message, sizeof message, "row 1, column 77 is nan, which %s cannot hold", exaone_dtype_name(TYPES[k]));
        expect_message(TYPES[k], x, 2, WIDTH, NULL, message);
        x[WIDTH + 77] = -INFINITY;
        snprintf(message, sizeof message, "row 1, column 77 is -inf, which %s cannot hold", exaone_dtype_name(TYPES[k]));
        expect_message(TYPES[k], x, 2, WIDTH, w, message);
        x[WIDTH + 77] = 0;
    }
    static const float bad[] = {NAN, INFINITY, -1};
    static const char *const words[] = {"nan", "inf", "-1"};
    for (int i = 0; i < 3; i++) {
        char message[128];
        w[9] = bad[i];
        snprintf(message, sizeof message, "the importance of column 9 is %s, which is not a finite number >= 0", words[i]);
        expect_message(EXAONE_Q4_K, x, 1, WIDTH, w, message);
    }
    expect_message(EXAONE_Q4_K, x, 1, 128, NULL,
                   "rows of 128 values cannot be written as Q4_K, whose blocks hold 256 values");
    expect_message(EXAONE_Q8_0, x, 1, 31, NULL, "rows of 31 values cannot be written as Q8_0, whose blocks hold 32 values");
    expect_message(EXAONE_I32, x, 1, 32, NULL, "weights cannot be written as type I32");
    assert_false(exaone_encode_supported(EXAONE_BOOL));
    assert_int_equal(exaone_encode_rows(EXAONE_Q4_K, x, 0, WIDTH, NULL, NULL, NULL), EXAONE_OK); /* no rows */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_at_most_those_of_the_references),
        cmocka_unit_test(zeros_stay_zero),
        cmocka_unit_test(constant_rows),
        cmocka_unit_test(tiny_values),
        cmocka_unit_test(huge_values),
        cmocka_unit_test(mixed_sizes),
        cmocka_unit_test(importance_of_zero),
        cmocka_unit_test(importance_never_costs),
        cmocka_unit_test(equal_importance_changes_nothing),
        cmocka_unit_test(powers_of_two_change_nothing),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
