/* The string rules of the template's own language that a template's output depends on. */
#ifndef EXAONE_TEXT_PYSTRING_H
#define EXAONE_TEXT_PYSTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

typedef struct exaone_slice {
    const char *text;
    size_t n;
} exaone_slice;

/* White space of Python's str.strip: Unicode's plus U+001C..U+001F. */
bool exaone_python_space(uint32_t code);
exaone_slice exaone_python_strip(exaone_slice s);
exaone_slice exaone_python_rstrip(exaone_slice s);
exaone_slice exaone_python_lstrip_set(exaone_slice s, const char *set); /* leading characters that are in `set` (ASCII) */
/* First or last occurrence of `needle` (NUL-terminated); SIZE_MAX when absent. */
size_t exaone_slice_find(exaone_slice s, const char *needle);
size_t exaone_slice_rfind(exaone_slice s, exaone_slice needle);
/* repr() of a JSON value after json.loads: 'text', True, None, [1, 2.0], {'k': 'v'}. Out of memory sets out->failed. */
void exaone_python_repr(exaone_buf *out, const exaone_json *j);

#endif
