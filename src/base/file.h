/* Files: read-only mapping, bounded reading, atomic writing. */
#ifndef EXAONE_BASE_FILE_H
#define EXAONE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

typedef struct exaone_map {
    const uint8_t *data; /* [size]; NULL when size = 0 */
    size_t size;
} exaone_map;

/* Maps a regular file read-only. Directories, devices and pipes are refused, Git LFS pointers too (_FORMAT). On failure *map
 * is empty. */
EXAONE_MUST_USE exaone_status exaone_map_open(const char *path, exaone_map *map, exaone_error *err);
void exaone_map_close(exaone_map *map); /* safe on an empty map */
/* Tells the system that these bytes of a map will not be read again soon: they stop counting as this process's memory, and
 * are read from the file anew when they are needed after all. */
void exaone_map_forget(const void *bytes, size_t n);

/* Reads a whole regular file of at most `max` bytes, no Git LFS pointer; *out is NUL-terminated behind *size and belongs to
 * the caller (free).
 */
EXAONE_MUST_USE exaone_status exaone_file_read(const char *path, size_t max, char **out, size_t *size, exaone_error *err);

/* Writes a whole file, by the rules of output.h: the old file or the new one, never half. */
EXAONE_MUST_USE exaone_status exaone_file_write(const char *path, const void *bytes, size_t size, exaone_error *err);

bool exaone_file_is_dir(const char *path);
bool exaone_file_exists(const char *path); /* a regular file, or a link to one */
/* Anything of that name, a link to nothing too: an optional file that is there must be read, or be an error. */
bool exaone_path_exists(const char *path);

/* "dir/name", allocated (free); NULL when out of memory. */
char *exaone_path_join(const char *dir, const char *name);

#endif
