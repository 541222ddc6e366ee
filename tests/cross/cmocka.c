/* The few functions of <cmocka.h> that the kernel tests call, for processors whose cmocka library is not installed here: one
 * case after the other, results as lines of TAP. A case ends at its first failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static jmp_buf end_of_case;

static void failed(const char *file, int line, const char *what) {
    printf("# %s:%d: %s\n", file, line, what);
    longjmp(end_of_case, 1);
}

void print_error(const char *const format, ...) {
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    va_end(args);
}

void _fail(const char *const file, const int line) {
    failed(file, line, "it says so");
}

void _assert_true(const LargestIntegralType result, const char *const expression, const char *const file, const int line) {
    if (!result) {
        failed(file, line, expression);
    }
}

void _assert_int_equal(const LargestIntegralType a, const LargestIntegralType b, const char *const file, const int line) {
    if (a != b) {
        failed(file, line, "two integers differ");
    }
}

void _assert_string_equal(const char *const a, const char *const b, const char *const file, const int line) {
    if (strcmp(a, b) != 0) {
        failed(file, line, "two strings differ");
    }
}

void _assert_memory_equal(const void *const a, const void *const b, const size_t size, const char *const file,
                          const int line) {
    if (memcmp(a, b, size) != 0) {
        failed(file, line, "two pieces of memory differ");
    }
}

int _cmocka_run_group_tests(const char *group_name, const struct CMUnitTest *const tests, const size_t num_tests,
                            CMFixtureFunction group_setup, CMFixtureFunction group_teardown) {
    volatile int failures = 0;
    if (group_setup || group_teardown) {
        printf("# %s: groups with a setup are not supported\n", group_name);
        return 1;
    }
    printf("1..%zu\n", num_tests);
    for (volatile size_t i = 0; i < num_tests; i++) {
        void *state = tests[i].initial_state;
        if (setjmp(end_of_case) == 0) {
            tests[i].test_func(&state);
            printf("ok %zu - %s\n", i + 1, tests[i].name);
        } else {
            printf("not ok %zu - %s\n", i + 1, tests[i].name);
            failures++;
        }
        fflush(stdout);
    }
    return failures;
}
