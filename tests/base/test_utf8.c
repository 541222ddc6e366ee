/* Checking UTF-8 eight bytes at a time gives what decoding one character after the other gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* One by one, by the decoder alone (Unicode 3.9, table 3-7). */
static size_t valid_prefix(const uint8_t *bytes, size_t n) {
    size_t i = 0;
    for (size_t len; i < n; i += len) {
        uint32_t code;
        len = exaone_utf8_decode(bytes + i, n - i, &code);
        if (len == 0) {
            break;
        }
    }
    return i;
}

/* Some numbers. */
static uint32_t next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Bytes at the edges of every rule. */
static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xd0,
                                0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};

static void check(const uint8_t *bytes, size_t n) {
    uint8_t *own = malloc(n ? n : 1); /* so that sanitizers see a byte too many */
    assert_non_null(own);
    memcpy(own, bytes, n);
    assert_int_equal(exaone_utf8_valid_prefix(own, n), valid_prefix(own, n));
    free(own);
}

/* Every pair of such bytes at every place of a text of one- or two-byte characters. */
static void test_pairs(void **state) {
    (void)state;
    for (int two = 0; two < 2; two++) {
        uint8_t text[24];
        for (size_t i = 0; i < sizeof text; i++) {
            text[i] = !two ? 'a' : i % 2 ? 0x80 + (uint8_t)i : 0xc4;
        }
        for (size_t at = 0; at + 1 < sizeof text; at++) {
            for (size_t a = 0; a < sizeof edges; a++) {
                for (size_t b = 0; b < sizeof edges; b++) {
                    uint8_t changed[sizeof text];
                    memcpy(changed, text, sizeof text);
                    changed[at] = edges[a];
                    changed[at + 1] = edges[b];
                    check(changed, sizeof changed);
                    check(changed, at + 2);
                }
            }
        }
    }
}

/* Mostly valid texts of characters of all lengths, cut anywhere, one byte changed in half of them. */
static void test_mixed(void **state) {
    (void)state;
    uint32_t rng = 7;
    for (int round = 0; round < 20000; round++) {
        uint8_t text[64];
        size_t n = 0;
        while (n + 4 <= sizeof text) {
            static const uint32_t codes[] = {0x20, 0x7e, 0x80, 0x120, 0x7ff, 0x800, 0xac00, 0xffff, 0x10000, 0x10ffff};
            size_t kind = next(&rng) % 16;
            n += exaone_utf8_encode(codes[kind < 10 ? kind : kind % 4], text + n);
        }
        n -= next(&rng) % 24;
        if (round % 2) {
            text[next(&rng) % n] = edges[next(&rng) % sizeof edges];
        }
        check(text, n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs), cmocka_unit_test(test_mixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
