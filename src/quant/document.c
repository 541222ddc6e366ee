/* A JSON file of a model's folder: see document.h. */
#include "quant/document.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

static const size_t MAX_BYTES = (size_t)64 << 20, MAX_TREE = (size_t)512 << 20;

exaone_status exaone_document_open(const char *folder, const char *name, exaone_document *d, exaone_error *err) {
    *d = (exaone_document){0};
    exaone_arena_init(&d->arena, MAX_TREE);
    d->path = exaone_path_join(folder, name);
    if (!d->path) {
        return exaone_fail_memory(err, name, strlen(folder) + strlen(name) + 2);
    }
    if (!exaone_path_exists(d->path)) {
        return EXAONE_OK;
    }
    exaone_status status = exaone_file_read(d->path, MAX_BYTES, &d->text, &d->size, err);
    if (status == EXAONE_OK) {
        status = exaone_json_parse(d->text, d->size, &d->arena, &d->root, err);
        status = status ? exaone_fail_context(err, status, "%s", d->path) : EXAONE_OK;
    }
    return status;
}

void exaone_document_release(exaone_document *d) {
    exaone_arena_release(&d->arena);
    free(d->text);
    free(d->path);
    *d = (exaone_document){0};
}
