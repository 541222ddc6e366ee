/* Where a file's new content goes. A regular file, or a path where nothing is yet: PATH.tmp.PID.RANDOM beside it, made
 * afresh, locked (flock) and renamed over PATH at the end, so that readers see the old file or the whole new one. Such files
 * of processes that are no more are removed when the same path is opened again. A symbolic link: its target, in the same
 * way; the link stays. A pipe, a device or a name of an open descriptor (/dev/stdout, /dev/fd/N, /proc/…): written through,
 * never replaced. */
#ifndef EXAONE_BASE_OUTPUT_H
#define EXAONE_BASE_OUTPUT_H

#include "exaone/status.h"

typedef struct exaone_output {
    char *path; /* links followed */
    char *tmp;  /* the temporary's name; NULL when the path is written through */
    int fd;     /* open for writing; -1 when closed */
} exaone_output;

/* Opens for writing; `path` is the user's spelling, used in messages. On failure *out holds nothing. */
EXAONE_MUST_USE exaone_status exaone_output_open(const char *path, exaone_output *out, exaone_error *err);
/* Makes the written bytes last: the disk for a file, nothing for a pipe. 0, or an errno. */
int exaone_output_sync(const exaone_output *out);
/* Closes the descriptor if it is open and renames. 0, or an errno (then the temporary is removed). Releases *out. */
int exaone_output_commit(exaone_output *out);
/* The same, but a file that is there by now is never replaced: EEXIST. A pipe or device is written through as ever. */
int exaone_output_commit_new(exaone_output *out);
/* Closes and removes the temporary; what went through a pipe or device cannot be taken back. Releases *out. */
void exaone_output_abort(exaone_output *out);

#endif
