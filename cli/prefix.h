/* The prefix cache on disk: its folder, the options of run and chat. */
#ifndef EXAONE_CLI_PREFIX_H
#define EXAONE_CLI_PREFIX_H

#include "cli.h"

typedef struct cli_prefix_options {
    const char *dir, *budget; /* NULL: not given */
    bool off;
} cli_prefix_options;

#define CLI_PREFIX_OPTIONS(o, where)                                                                                   \
    {"--cache-dir", NULL, OPT_TEXT, &(o).dir, 0, 0, "DIR", "keep what is evaluated there for other runs (" where ")"}, \
        {"--cache-budget",                                                                                             \
         NULL,                                                                                                         \
         OPT_TEXT,                                                                                                     \
         &(o).budget,                                                                                                  \
         0,                                                                                                            \
         0,                                                                                                            \
         "SIZE",                                                                                                       \
         "most bytes in that folder, as 500M or 20G (default 4 GiB)"},                                                 \
    {                                                                                                                  \
        "--no-cache", NULL, OPT_FLAG, &(o).off, 0, 0, NULL, "keep nothing"                                             \
    }

/* Options that exclude each other, a size that is none. Returns -1, or an exit code with the message printed. */
int cli_prefix_check(const char *command, const cli_prefix_options *o);

/* Where the cache is unless --cache-dir says otherwise: XDG_CACHE_HOME/exaone/prefix or ~/.cache/exaone/prefix. Static; NULL
 * when there is no home. */
const char *cli_prefix_folder(void);

/* Opens the cache and lets the session use it. NULL: no cache (it was not asked for, or cannot be opened, which is said).
 * by_default: also without --cache-dir, in the folder above. Close with exaone_cache_close after the session. */
exaone_cache *cli_prefix_attach(const cli_prefix_options *o, bool by_default, exaone_session *session);

#endif
