/* bf16 and f16: the reference's numbers, and every 16-bit pattern there and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/fixture.h"
#include "base/half.h"
#include "tensor/dtype.h"

static uint32_t hex(const exaone_json *j) {
    char text[16] = {0};
    assert_true(exaone_json_is(j, EXAONE_JSON_STRING) && j->len < sizeof text);
    memcpy(text, j->text, j->len);
    return (uint32_t)strtoul(text, NULL, 16);
}

static bool is_nan(uint32_t f32) {
    return (f32 & 0x7fffffff) > 0x7f800000;
}

static void to_half(const exaone_json *root, const char *table, const char *type, uint16_t (*convert)(float),
                    uint16_t infinity) {
    const exaone_json *t = exaone_json_get(root, table);
    const exaone_json *from = exaone_json_get(t, "f32")->first, *to = exaone_json_get(t, type)->first;
    size_t n = 0;
    for (; from && to; from = from->next, to = to->next, n++) {
        uint16_t got = convert(exaone_f32_from_bits(hex(from)));
        if (is_nan(hex(from))) {
            assert_true((got & 0x7fff) > infinity);
        } else {
            assert_int_equal(got, hex(to));
        }
    }
    assert_true(n > 20 && !from && !to);
}

static void the_reference_s_numbers(void **state) {
    (void)state;
    fixture_json doc;
    fixture_json_open(&doc, "tests/golden/edges/weights/numbers.json");
    to_half(doc.root, "f32_to_bf16", "bf16", exaone_f32_to_bf16, 0x7f80);
    to_half(doc.root, "f32_to_f16", "f16", exaone_f32_to_f16, 0x7c00);
    const exaone_json *t = exaone_json_get(doc.root, "f16_to_f32");
    const exaone_json *from = exaone_json_get(t, "f16")->first, *to = exaone_json_get(t, "f32")->first;
    for (; from; from = from->next, to = to->next) {
        assert_int_equal(exaone_f32_bits(exaone_f16_to_f32((uint16_t)hex(from))), hex(to));
    }
    const exaone_json *bits = exaone_json_get(doc.root, "e4m3_bits_f32")->first;
    for (int code = 0; code < 256; code++, bits = bits->next) {
        float value = exaone_e4m3_to_f32((uint8_t)code);
        bool nan = is_nan(hex(bits));
        assert_true(nan ? is_nan(exaone_f32_bits(value)) : exaone_f32_bits(value) == hex(bits));
        assert_int_equal(nan, (code & 0x7f) == 0x7f);
    }
    assert_null(bits);
    fixture_json_close(&doc);
}

/* Both types are exact in f32, so the way back gives the same pattern. */
static void every_pattern(void **state) {
    (void)state;
    static uint8_t bytes[2 * 65536 + 1];
    static float values[65536];
    const exaone_dtype types[2] = {EXAONE_F16, EXAONE_BF16};
    for (uint32_t i = 0; i < 65536; i++) {
        bytes[2 * i + 1] = (uint8_t)i; /* at an odd address */
        bytes[2 * i + 2] = (uint8_t)(i >> 8);
    }
    for (size_t t = 0; t < 2; t++) {
        exaone_dtype_to_f32(types[t], bytes + 1, 65536, values);
        for (uint32_t i = 0; i < 65536; i++) {
            if (is_nan(exaone_f32_bits(values[i]))) {
                assert_true((i & 0x7fff) > (t ? 0x7f80 : 0x7c00));
            } else {
                assert_int_equal(t ? exaone_f32_to_bf16(values[i]) : exaone_f32_to_f16(values[i]), i);
            }
        }
    }
    exaone_dtype_to_f32(EXAONE_F32, values, 0, values);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_reference_s_numbers), cmocka_unit_test(every_pattern)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
