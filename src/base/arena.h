/* Bump allocation with a ceiling: many small objects that live and die together. */
#ifndef EXAONE_BASE_ARENA_H
#define EXAONE_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct exaone_arena_block exaone_arena_block;

typedef struct exaone_arena {
    exaone_arena_block *last;
    size_t used; /* bytes taken from the system so far */
    size_t max;
    bool starved; /* the system refused memory (above the ceiling it is not asked) */
} exaone_arena;

void exaone_arena_init(exaone_arena *a, size_t max);
void exaone_arena_release(exaone_arena *a); /* frees every object */

/* n zeroed bytes aligned to 16; NULL when out of memory or above the ceiling. */
void *exaone_arena_take(exaone_arena *a, size_t n);
/* A NUL-terminated copy. */
char *exaone_arena_string(exaone_arena *a, const char *bytes, size_t n);

#endif
