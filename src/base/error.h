/* Writing error messages. The place that detects a fault writes the sentence; callers may put context in front. */
#ifndef EXAONE_BASE_ERROR_H
#define EXAONE_BASE_ERROR_H

#include "exaone/status.h"

/* Stores code and message in `err` (may be NULL) and returns `code`. Control characters and broken UTF-8 that come in
 * through %s are replaced by '?', so that a hostile file cannot drive a terminal. Longer messages are cut. */
exaone_status exaone_fail(exaone_error *err, exaone_status code, const char *fmt, ...) EXAONE_PRINTF(3, 4);

/* Puts "context: " in front of the message already in `err` and returns its code. `err` may be NULL: returns `code`. */
exaone_status exaone_fail_context(exaone_error *err, exaone_status code, const char *fmt, ...) EXAONE_PRINTF(3, 4);

/* For allocation failures: "out of memory: WHAT needs BYTES bytes". */
exaone_status exaone_fail_memory(exaone_error *err, const char *what, unsigned long long bytes);

/* Leaves the function with the status of `call` unless that is EXAONE_OK. */
#define EXAONE_TRY(call)                   \
    do {                                   \
        exaone_status try_status = (call); \
        if (try_status != EXAONE_OK) {     \
            return try_status;             \
        }                                  \
    } while (0)

#endif
