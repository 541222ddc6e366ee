/* Writing a large file piece by piece: the old file stays until the new one is complete (base/output.h). */
#ifndef EXAONE_WEIGHTS_WRITER_H
#define EXAONE_WEIGHTS_WRITER_H

#include <stdint.h>
#include <stdio.h>

#include "base/output.h"
#include "exaone/status.h"

typedef struct exaone_writer {
    FILE *file;   /* of out.fd */
    char *buffer; /* of file */
    exaone_output out;
    char *path;    /* the caller's spelling */
    uint64_t size; /* bytes written */
    int saved_errno;
} exaone_writer;

EXAONE_MUST_USE exaone_status exaone_writer_open(const char *path, exaone_writer *w, exaone_error *err);
/* A failure is remembered and told by commit. */
void exaone_writer_put(exaone_writer *w, const void *bytes, size_t n);
void exaone_writer_pad(exaone_writer *w, uint64_t alignment); /* zeros up to a multiple */
/* Syncs and closes the file, which keeps its temporary name until commit: so that several files appear together. */
EXAONE_MUST_USE exaone_status exaone_writer_finish(exaone_writer *w, exaone_error *err);
/* Finishes if that was not done, and renames; the writer is closed whatever the result. */
EXAONE_MUST_USE exaone_status exaone_writer_commit(exaone_writer *w, exaone_error *err);
/* The same, but a file that is there by now stays: EXAONE_ERR_ARGUMENT. */
EXAONE_MUST_USE exaone_status exaone_writer_commit_new(exaone_writer *w, exaone_error *err);
void exaone_writer_abort(exaone_writer *w); /* removes the unfinished or uncommitted file; safe on a closed writer */

#endif
