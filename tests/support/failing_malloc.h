/* For tests: an allocator that counts and can be told to fail, in place of the C library's. Include it in one file of a
 * program. Under the address sanitizer it stands before the sanitizer's own allocator, so that what is done with memory on
 * the ways out of a failure is checked too; under the thread sanitizer HAVE_COUNTER is 0 and the cases skip. */
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_THREAD__) || defined(__clang__)
#define HAVE_COUNTER 0
static _Atomic long live __attribute__((unused)), fail_in __attribute__((unused)), calls __attribute__((unused));
#else
#define HAVE_COUNTER 1

static _Atomic long live;                          /* allocations that were not freed */
static _Atomic long fail_in;                       /* > 0: the allocation after fail_in - 1 others fails; 0: none */
static _Atomic long calls __attribute__((unused)); /* of malloc, calloc, realloc, aligned_alloc and free, by any thread */

/* These functions run before the sanitizer is ready to check them. */
#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#define UNCHECKED __attribute__((no_sanitize_address))
#else
#define REAL(name) __libc_##name
#define UNCHECKED
#endif

void *REAL(malloc)(size_t n);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *old, size_t n);
void *REAL(memalign)(size_t alignment, size_t n);
void REAL(free)(void *p);

UNCHECKED static bool may(void) {
    calls++;
    if (fail_in > 0 && --fail_in == 0) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

UNCHECKED static void *count(void *p) {
    live += p != NULL;
    return p;
}

UNCHECKED void *malloc(size_t n) {
    return may() ? count(REAL(malloc)(n)) : NULL;
}

UNCHECKED void *calloc(size_t n, size_t size) {
    return may() ? count(REAL(calloc)(n, size)) : NULL;
}

UNCHECKED void *realloc(void *old, size_t n) {
    if (!may()) {
        return NULL;
    }
    void *p = REAL(realloc)(old, n);
    live += !old && p;
    return p;
}

UNCHECKED void *aligned_alloc(size_t alignment, size_t n) {
    return may() ? count(REAL(memalign)(alignment, n)) : NULL;
}

UNCHECKED void free(void *p) {
    calls += p != NULL;
    live -= p != NULL;
    REAL(free)(p);
}
#endif

#endif
