/* kill -9 at 200 random moments while a process writes: no wrong entry, no broken entry, and the folder goes on working. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/scratch.h"
#include "store/store.h"

enum { KILLS = 200, NUMBERS = 400, MOST = 60000 };

static int warned;

static void note(void *ctx, const char *message) {
    (void)ctx;
    print_message("%s\n", message);
    warned++;
}

static size_t size_of(uint32_t number) {
    return 1 + number * 7919u % MOST;
}

static void fill(uint32_t number, exaone_store_key *key, uint8_t *bytes) {
    uint32_t x = number * 2654435761u + 1;
    memset(key, (int)(number % 251), sizeof *key);
    memcpy(key->bytes, &number, sizeof number);
    for (size_t i = 0; i < size_of(number); i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(number % 3 ? x >> 24 : x >> 30);
    }
}

static exaone_store *open_store(const char *dir) {
    exaone_store *s = NULL;
    exaone_store_options options = {.warn = note, .budget = NUMBERS * MOST / 4}; /* entries are removed as well */
    return exaone_store_open(dir, &options, &s, NULL) == EXAONE_OK ? s : NULL;
}

/* Reads or writes entries for ever. A wrong byte ends it with a code of its own. */
static void use(const char *dir, uint32_t seed) {
    exaone_store *s = open_store(dir);
    uint8_t *want = malloc(MOST), *have = malloc(MOST);
    for (uint32_t x = seed; s && want && have;) {
        exaone_store_key key;
        x = x * 1664525u + 1013904223u;
        uint32_t number = (x >> 8) % NUMBERS;
        fill(number, &key, want);
        if (!exaone_store_get(s, &key, have, size_of(number))) {
            exaone_store_put(s, &key, want, size_of(number), EXAONE_STORE_WAIT);
        } else if (memcmp(want, have, size_of(number)) != 0) {
            _exit(3);
        }
        if (warned) {
            _exit(4);
        }
    }
    _exit(5);
}

static bool count_entry(void *ctx, const exaone_store_entry *e) {
    size_t *counts = ctx;
    counts[0]++;
    counts[1] += e->fault != NULL;
    return true;
}

static size_t temporaries(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static void killed_at_any_moment(void **state) {
    (void)state;
    const char *dir = scratch_path("store");
    size_t cut_short = 0;
    uint32_t x = 12345;
    for (uint32_t i = 0; i < KILLS || (cut_short == 0 && i < 5 * KILLS); i++) {
        pid_t child = fork();
        if (child == 0) {
            use(dir, i * 7u + 1);
        }
        x = x * 1664525u + 1013904223u;
        nanosleep(&(struct timespec){.tv_nsec = 500000 + (x >> 8) % 15000000}, NULL);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* else it found a wrong or broken entry */
        cut_short += temporaries(scratch_path("store/tmp")) > 0;
    }
    size_t counts[2] = {0};
    assert_int_equal(exaone_store_walk(dir, true, false, count_entry, counts, NULL), EXAONE_OK);
    assert_true(counts[0] > 50);
    assert_int_equal(counts[1], 0);
    print_message("%zu entries, all whole; %zu kills left a temporary\n", counts[0], cut_short);
    assert_true(cut_short > 0); /* the kills did hit writing */

    exaone_store *s = open_store(dir); /* used again */
    assert_non_null(s);
    uint8_t *want = malloc(MOST), *have = malloc(MOST);
    assert_true(want && have);
    exaone_store_key key;
    for (uint32_t number = 0; number < NUMBERS; number++) {
        fill(number, &key, want);
        if (exaone_store_get(s, &key, have, size_of(number))) {
            assert_memory_equal(want, have, size_of(number));
        }
    }
    fill(NUMBERS, &key, want);
    assert_true(exaone_store_put(s, &key, want, size_of(NUMBERS), EXAONE_STORE_WAIT));
    exaone_store_flush(s);
    assert_true(exaone_store_get(s, &key, have, size_of(NUMBERS)));
    exaone_store_close(s);
    assert_int_equal(temporaries(scratch_path("store/tmp")), 0);
    assert_int_equal(warned, 0);
    free(want);
    free(have);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_at_any_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
