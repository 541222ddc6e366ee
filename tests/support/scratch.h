/* For tests: an empty folder to write into, removed at the end of the program. Faults end the running test. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stddef.h>

/* The path of NAME in the folder (which is made at the first call); belongs to the helper, valid until the program ends. */
const char *scratch_path(const char *name);
/* Writes a file there, making the folders on the way ("a/b.txt"), and returns its path. */
const char *scratch_write(const char *name, const void *bytes, size_t n);
const char *scratch_write_text(const char *name, const char *text);

#endif
