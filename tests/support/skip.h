/* For tests: a case that cannot run here says why, and tests/run.sh prints it. */
#ifndef TESTS_SKIP_H
#define TESTS_SKIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Ends the running case as skipped. `reason` is a string literal of one line. */
#define TEST_SKIP(reason)                       \
    do {                                        \
        print_message("skip: %s\n", "" reason); \
        skip();                                 \
    } while (0)

#endif
