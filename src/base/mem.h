/* Memory: allocation with wrap-checked sizes. Everything is zeroed and freed by free(). */
#ifndef EXAONE_BASE_MEM_H
#define EXAONE_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b, or a + b; false when the result does not fit (then *out is untouched). */
bool exaone_size_mul(size_t a, size_t b, size_t *out);
bool exaone_size_add(size_t a, size_t b, size_t *out);

/* Room for n objects of `size` bytes, zeroed. NULL when out of memory or when n * size wraps. n = 0 gives a valid pointer.
 */
void *exaone_mem_array(size_t n, size_t size);

/* Grows or shrinks an array to n objects; new bytes are not zeroed. NULL on failure: the old array stays valid. */
void *exaone_mem_resize(void *old, size_t n, size_t size);

/* Room for one more object in a list of `count` objects with room for *cap: the list, moved and *cap doubled when it was
 * full. NULL on failure: the old list and *cap stay valid. */
void *exaone_mem_grow(void *list, size_t count, size_t *cap, size_t size);

/* n bytes aligned to 64, not zeroed; freed by free(). From 4 MB on in huge pages where the system has them. */
void *exaone_mem_room(size_t n);
/* n objects likewise, zeroed. */
void *exaone_mem_aligned(size_t n, size_t size);

/* A NUL-terminated copy of n bytes. */
char *exaone_mem_string(const char *bytes, size_t n);

#endif
