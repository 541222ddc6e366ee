/* For tests: an allocator that counts and can be told to fail, in place of the C library's. Include it in one file of a
 * program; sanitizers bring their own allocator, so HAVE_COUNTER is 0 there and the cases skip. */
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAVE_COUNTER 0
static _Atomic long live __attribute__((unused)), fail_in __attribute__((unused)), calls __attribute__((unused));
#else
#define HAVE_COUNTER 1

static _Atomic long live;                          /* allocations that were not freed */
static _Atomic long fail_in;                       /* > 0: the allocation after fail_in - 1 others fails; 0: none */
static _Atomic long calls __attribute__((unused)); /* of malloc, calloc, realloc, aligned_alloc and free, by any thread */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static bool may(void) {
    calls++;
    if (fail_in > 0 && --fail_in == 0) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

static void *count(void *p) {
    live += p != NULL;
    return p;
}

void *malloc(size_t n) {
    return may() ? count(__libc_malloc(n)) : NULL;
}

void *calloc(size_t n, size_t size) {
    return may() ? count(__libc_calloc(n, size)) : NULL;
}

void *realloc(void *old, size_t n) {
    if (!may()) {
        return NULL;
    }
    void *p = __libc_realloc(old, n);
    live += !old && p;
    return p;
}

void *aligned_alloc(size_t alignment, size_t n) {
    return may() ? count(__libc_memalign(alignment, n)) : NULL;
}

void free(void *p) {
    calls += p != NULL;
    live -= p != NULL;
    __libc_free(p);
}
#endif

#endif
