/* Bump allocation: a list of blocks, the newest first, each twice as large as the one before (64 KiB to 4 MiB). */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ALIGN = 16, FIRST_BLOCK = 64 << 10, LARGEST_BLOCK = 4 << 20 }; /* with header; the largest are huge pages */

struct exaone_arena_block {
    exaone_arena_block *before;
    size_t size, used; /* bytes behind this header */
    _Alignas(ALIGN) unsigned char data[];
};

void exaone_arena_init(exaone_arena *a, size_t max) {
    *a = (exaone_arena){.max = max};
}

void exaone_arena_release(exaone_arena *a) {
    while (a->last) {
        exaone_arena_block *before = a->last->before;
        free(a->last);
        a->last = before;
    }
    a->used = 0;
}

static exaone_arena_block *new_block(exaone_arena *a, size_t need) {
    size_t size = FIRST_BLOCK - sizeof *a->last;
    if (a->last) {
        size_t twice = 2 * (a->last->size + sizeof *a->last);
        size = (a->last->size < LARGEST_BLOCK / 2 ? twice : LARGEST_BLOCK) - sizeof *a->last;
    }
    if (size < need) {
        size = need;
    }
    if (a->used > a->max || need > a->max - a->used) {
        return NULL;
    }
    if (size > a->max - a->used) {
        size = need;
    }
    exaone_arena_block *b = exaone_mem_room(sizeof *b + size);
    if (b) {
        b->before = a->last;
        b->size = size;
        b->used = 0;
        a->last = b;
        a->used += size;
    } else {
        a->starved = true;
    }
    return b;
}

void *exaone_arena_take(exaone_arena *a, size_t n) {
    size_t need;
    if (!exaone_size_add(n, ALIGN - 1, &need)) {
        return NULL;
    }
    need = need < ALIGN ? ALIGN : need & ~(size_t)(ALIGN - 1);
    exaone_arena_block *b = a->last;
    if (!b || b->size - b->used < need) {
        if (need > SIZE_MAX / 2 || !(b = new_block(a, need))) {
            return NULL;
        }
    }
    void *p = b->data + b->used;
    b->used += need;
    return memset(p, 0, need);
}

char *exaone_arena_string(exaone_arena *a, const char *bytes, size_t n) {
    if (n == SIZE_MAX) {
        return NULL;
    }
    char *s = exaone_arena_take(a, n + 1);
    if (s && n) {
        memcpy(s, bytes, n);
    }
    return s;
}
