/* What `quantize` and `convert` share: options, progress, the last line. */
#ifndef EXAONE_CLI_QUANTIZE_H
#define EXAONE_CLI_QUANTIZE_H

#include "cli.h"

typedef struct cli_quantize_options {
    const char *type; /* NULL: keep */
    const char *mmproj, *mmproj_out, *mmproj_type, *split_size, *imatrix;
    cli_list tensor_types; /* "PATTERN=T" */
    bool no_mmproj, force;
    int64_t threads;
} cli_quantize_options;

/* Six entries of an option table. */
#define CLI_QUANTIZE_OPTIONS(o)                                                                                            \
    {"--mmproj", NULL, OPT_TEXT, &(o).mmproj, 0, 0, "FILE", "vision tower of a GGUF source (default: the one beside it)"}, \
        {"--mmproj-out", NULL, OPT_TEXT, &(o).mmproj_out, 0, 0, "FILE", "where the vision tower goes"},                    \
        {"--no-mmproj", NULL, OPT_FLAG, &(o).no_mmproj, 0, 0, NULL, "leave the vision tower out"},                         \
        {"--split-size", NULL, OPT_TEXT, &(o).split_size, 0, 0, "SIZE", "bytes of tensors in a piece, as 500M or 4G"},     \
        {"--force", "-f", OPT_FLAG, &(o).force, 0, 0, NULL, "replace files that are there"}, {                             \
        "--threads", "-t", OPT_INT, &(o).threads, 1, 512, "N", "threads (default: one per fast core)"                      \
    }

int cli_quantize(const char *command, const cli_quantize_options *o, const cli_command_line *line);

#endif
