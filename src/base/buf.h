/* A growable byte buffer with a ceiling.
 *
 * init, append …, then use data[0 .. len) (a NUL stands behind it, not counted), release. An append that fails (out of
 * memory or above `max`) sets `failed`, changes nothing, and makes every later append fail too: check once at the end. */
#ifndef EXAONE_BASE_BUF_H
#define EXAONE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/status.h"

typedef struct exaone_buf {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
    size_t max; /* bytes, without the NUL */
    bool failed;
    bool starved; /* failed because the system refused memory, not because of `max` */
} exaone_buf;

void exaone_buf_init(exaone_buf *b, size_t max);
void exaone_buf_release(exaone_buf *b); /* frees and leaves an empty buffer with the same maximum */
void exaone_buf_clear(exaone_buf *b);   /* len = 0 and failed = false; keeps the memory */
bool exaone_buf_append(exaone_buf *b, const void *bytes, size_t n);
bool exaone_buf_puts(exaone_buf *b, const char *text);
bool exaone_buf_putc(exaone_buf *b, char c);
bool exaone_buf_printf(exaone_buf *b, const char *fmt, ...) EXAONE_PRINTF(2, 3);
/* EXAONE_OK unless an append failed: then EXAONE_ERR_LIMIT ("WHAT is longer than MAX bytes") or _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_buf_check(const exaone_buf *b, const char *what, exaone_error *err);
/* Hands the bytes to the caller (free()); the buffer is empty afterwards. Never NULL unless out of memory. */
char *exaone_buf_take(exaone_buf *b, size_t *len);

#endif
