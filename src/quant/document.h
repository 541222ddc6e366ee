/* A JSON file of a model's folder that may be absent. */
#ifndef EXAONE_QUANT_DOCUMENT_H
#define EXAONE_QUANT_DOCUMENT_H

#include "base/json.h"
#include "exaone/status.h"

typedef struct exaone_document {
    char *text;
    size_t size;
    exaone_arena arena;
    exaone_json *root; /* NULL when the file is not there */
    char *path;
} exaone_document;

/* Reads at most 64 MiB. Errors: EXAONE_ERR_IO, _FORMAT, _LIMIT, _MEMORY. Release also after a failure. */
EXAONE_MUST_USE exaone_status exaone_document_open(const char *folder, const char *name, exaone_document *d,
                                                   exaone_error *err);
void exaone_document_release(exaone_document *d);

#endif
