/* Allocation helpers. Every product of sizes in the library goes through exaone_size_mul. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

bool exaone_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

bool exaone_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

void *exaone_mem_array(size_t n, size_t size) {
    size_t bytes; /* checked here too: sanitizers end the program at calloc's own overflow */
    if (!exaone_size_mul(n, size, &bytes)) {
        return NULL;
    }
    return bytes ? calloc(n, size) : calloc(1, 1);
}

void *exaone_mem_resize(void *old, size_t n, size_t size) {
    size_t bytes;
    if (!exaone_size_mul(n, size, &bytes)) {
        return NULL;
    }
    return realloc(old, bytes ? bytes : 1);
}

void *exaone_mem_grow(void *list, size_t count, size_t *cap, size_t size) {
    if (count < *cap) {
        return list;
    }
    size_t more = *cap ? 2 * *cap : 64;
    void *larger = more > *cap ? exaone_mem_resize(list, more, size) : NULL;
    if (larger) {
        *cap = more;
    }
    return larger;
}

void *exaone_mem_room(size_t n) {
    size_t room, align = n >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : 64;
    if (!exaone_size_add(n ? n : 1, align - 1, &room)) {
        return NULL;
    }
    room &= ~(align - 1);
    void *p = aligned_alloc(align, room);
    if (p && align == HUGE_PAGE) {
        (void)madvise(p, room, MADV_HUGEPAGE); /* a wish; before the first touch, which decides */
    }
    return p;
}

void *exaone_mem_aligned(size_t n, size_t size) {
    size_t bytes;
    if (!exaone_size_mul(n, size, &bytes) || !exaone_size_add(bytes, 64, &bytes)) {
        return NULL;
    }
    void *p = exaone_mem_room(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

char *exaone_mem_string(const char *bytes, size_t n) {
    size_t size;
    if (!exaone_size_add(n, 1, &size)) {
        return NULL;
    }
    char *copy = malloc(size);
    if (copy) {
        if (n) {
            memcpy(copy, bytes, n);
        }
        copy[n] = 0;
    }
    return copy;
}
