/* A growable byte buffer with a ceiling. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void exaone_buf_init(exaone_buf *b, size_t max) {
    *b = (exaone_buf){.max = max};
}

void exaone_buf_release(exaone_buf *b) {
    free(b->data);
    *b = (exaone_buf){.max = b->max};
}

void exaone_buf_clear(exaone_buf *b) {
    b->len = 0;
    b->failed = b->starved = false;
    if (b->data) {
        b->data[0] = 0;
    }
}

static bool reserve(exaone_buf *b, size_t more) {
    size_t need;
    if (b->failed || !exaone_size_add(b->len, more, &need) || need > b->max) {
        b->failed = true;
        return false;
    }
    if (need < b->cap) {
        return true;
    }
    size_t cap = b->cap ? b->cap : 64;
    while (cap <= need) {
        cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
    }
    char *data = exaone_mem_resize(b->data, cap, 1);
    if (!data) {
        b->failed = b->starved = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

bool exaone_buf_append(exaone_buf *b, const void *bytes, size_t n) {
    if (!reserve(b, n)) {
        return false;
    }
    if (n) {
        memcpy(b->data + b->len, bytes, n);
    }
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool exaone_buf_puts(exaone_buf *b, const char *text) {
    return exaone_buf_append(b, text, strlen(text));
}

bool exaone_buf_putc(exaone_buf *b, char c) {
    return exaone_buf_append(b, &c, 1);
}

bool exaone_buf_printf(exaone_buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        return false;
    }
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return true;
}

exaone_status exaone_buf_check(const exaone_buf *b, const char *what, exaone_error *err) {
    if (!b->failed) {
        return EXAONE_OK;
    }
    if (b->starved) {
        return exaone_fail_memory(err, what, b->len);
    }
    return exaone_fail(err, EXAONE_ERR_LIMIT, "%s is longer than %zu bytes", what, b->max);
}

char *exaone_buf_take(exaone_buf *b, size_t *len) {
    char *data = b->data ? b->data : exaone_mem_string("", 0);
    if (len) {
        *len = b->len;
    }
    *b = (exaone_buf){.max = b->max};
    return data;
}
