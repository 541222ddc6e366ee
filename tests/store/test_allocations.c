/* The block store with the Nth allocation failing, by whichever thread, for every N: an entry comes back with its own bytes
 * or is a miss, nothing is leaked, and the folder is usable afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/failing_malloc.h"
#include "../support/scratch.h"
#include "../support/skip.h"
#include "store/store.h"

enum { ENTRIES = 6, LARGEST = 20000 };

static exaone_store_key key_of(uint32_t number) {
    exaone_store_key key;
    for (size_t i = 0; i < sizeof key.bytes; i++) {
        key.bytes[i] = (uint8_t)(number * 151 + i * 37);
    }
    return key;
}

/* Entry `number`: every second one can be compressed. */
static size_t fill(uint32_t number, uint8_t *bytes) {
    size_t n = LARGEST - number * 3000;
    uint32_t x = number * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(number % 2 ? x >> 30 : x >> 24);
    }
    return n;
}

static bool count_broken(void *ctx, const exaone_store_entry *entry) {
    *(size_t *)ctx += entry->fault != NULL;
    return true;
}

/* Reads every entry in both ways; returns how many answers were a hit. Wrong bytes end the test. */
static size_t read_all(exaone_store *s) {
    static uint8_t want[LARGEST], have[LARGEST];
    size_t hits = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        exaone_store_key key = key_of(i);
        uint8_t *taken;
        size_t n = fill(i, want), size;
        if (exaone_store_get(s, &key, have, n)) {
            assert_memory_equal(have, want, n);
            hits++;
        }
        if (exaone_store_take(s, &key, LARGEST, &taken, &size)) {
            assert_int_equal(size, n);
            assert_memory_equal(taken, want, n);
            hits++;
        }
        free(taken);
    }
    return hits;
}

static void put_all(exaone_store *s) {
    static uint8_t bytes[LARGEST];
    for (uint32_t i = 0; i < ENTRIES; i++) {
        exaone_store_key key = key_of(i);
        size_t n = fill(i, bytes);
        (void)exaone_store_put(s, &key, bytes, n, EXAONE_STORE_WAIT);
    }
    exaone_store_flush(s);
}

/* Everything a store does. The number of hits; an error of a function that reports one is EXAONE_ERR_MEMORY with a message,
 * or, where the C library says no more, EXAONE_ERR_IO. */
static size_t use(const char *dir) {
    exaone_store *s = NULL;
    exaone_error err = {0};
    exaone_store_options options = {.budget = 1 << 20};
    size_t hits = 0, broken = 0;
    exaone_status status = exaone_store_open(dir, &options, &s, &err);
    if (status == EXAONE_OK) {
        put_all(s);
        hits = read_all(s);
    } else {
        assert_null(s);
        assert_true((status == EXAONE_ERR_MEMORY || status == EXAONE_ERR_IO) && err.message[0]);
    }
    exaone_store_close(s);
    status = exaone_store_walk(dir, true, true, count_broken, &broken, &err);
    assert_true(status == EXAONE_OK || ((status == EXAONE_ERR_MEMORY || status == EXAONE_ERR_IO) && err.message[0]));
    return hits;
}

static void every_failure(const char *name, bool empty) {
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    const char *dir = scratch_path(name);
    exaone_error err = {0};
    assert_int_equal(use(dir), 2 * ENTRIES); /* what the C library keeps after its first use is not counted below */
    for (long n = 1; n < 10000; n++) {
        uint64_t removed;
        if (empty) {
            assert_int_equal(exaone_store_clear(dir, &removed, &err), EXAONE_OK);
        }
        long before = live;
        fail_in = n;
        size_t hits = use(dir);
        bool reached = fail_in <= 0;
        fail_in = 0;
        if (live != before) {
            fail_msg("allocation %ld: %ld left", n, live - before);
        }
        assert_int_equal(use(dir), 2 * ENTRIES);
        if (!reached) {
            print_message("%ld allocations\n", n - 1);
            assert_int_equal(hits, 2 * ENTRIES);
            assert_true(n > 10);
            return;
        }
    }
    fail_msg("it never worked");
}

static void writing(void **state) {
    (void)state;
    every_failure("writing", true);
}

static void reading(void **state) {
    (void)state;
    every_failure("reading", false);
}

static void clearing(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer has its own allocator");
    }
    const char *dir = scratch_path("clearing");
    exaone_error err = {0};
    uint64_t removed;
    for (long n = 1; n < 10000; n++) {
        assert_int_equal(use(dir), 2 * ENTRIES);
        long before = live;
        fail_in = n;
        exaone_status status = exaone_store_clear(dir, &removed, &err);
        bool reached = fail_in <= 0;
        fail_in = 0;
        assert_int_equal(live, before);
        if (!reached) {
            print_message("%ld allocations\n", n - 1);
            assert_int_equal(status, EXAONE_OK);
            assert_int_equal(removed, ENTRIES);
            return;
        }
    }
    fail_msg("it never worked");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(writing), cmocka_unit_test(reading), cmocka_unit_test(clearing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
