/* Standard input, files and pipes, read whole up to a limit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "cli.h"

bool cli_input_is_stream(const char *path) {
    struct stat st;
    return strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

exaone_status cli_input_read(const char *path, size_t max, char **out, size_t *n, exaone_error *err) {
    bool standard = !path || strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    *out = NULL;
    *n = 0;
    if (!standard && !cli_input_is_stream(path)) {
        return exaone_file_read(path, max, out, n, err);
    }
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) {
        return exaone_fail(err, EXAONE_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    }
    exaone_buf b;
    exaone_buf_init(&b, max);
    char part[65536];
    size_t got;
    exaone_status status = EXAONE_OK;
    while ((got = fread(part, 1, sizeof part, file)) > 0 && exaone_buf_append(&b, part, got)) {
    }
    if (b.failed) {
        status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s is longer than %zu bytes", name, max);
    } else if (ferror(file)) {
        status = exaone_fail(err, EXAONE_ERR_IO, "%s cannot be read: %s", name, strerror(errno));
    }
    if (!standard) {
        fclose(file);
    }
    *out = status == EXAONE_OK ? exaone_buf_take(&b, n) : NULL;
    if (status == EXAONE_OK && !*out) {
        status = exaone_fail_memory(err, name, b.len);
    }
    exaone_buf_release(&b);
    return status;
}

char *cli_read_all(const char *path, size_t max, size_t *n) {
    exaone_error err = {0};
    char *text;
    if (cli_input_read(path, max, &text, n, &err) != EXAONE_OK) {
        cli_fail(&err);
    }
    return text;
}
