/* The `exaone` program: commands, one table-driven option parser, messages. */
#ifndef EXAONE_CLI_H
#define EXAONE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "exaone/exaone.h"

#define CLI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 };

/* ---- options ---- */

typedef enum { OPT_FLAG, OPT_NO_FLAG, OPT_INT, OPT_DOUBLE, OPT_TEXT, OPT_LIST } cli_kind;

typedef struct cli_list {
    const char **items; /* in the order given; freed by cli_options_release */
    int *order;         /* place of each among all list options of the command line */
    size_t n;
} cli_list;

/* One option. `value` points to bool (flags: OPT_FLAG sets true, OPT_NO_FLAG false), int64_t, double, const char *, or
 * cli_list. */
typedef struct cli_option {
    const char *name;  /* "--temp"; shown first */
    const char *alias; /* "-t" or NULL */
    cli_kind kind;
    void *value;
    double min, max;      /* OPT_INT, OPT_DOUBLE: the range, both ends allowed */
    const char *argument; /* "N", "FILE": shown in the help; NULL for flags */
    const char *help;
} cli_option;

typedef struct cli_command_line {
    const char *const *words; /* arguments that are no options */
    size_t n_words;
} cli_command_line;

typedef struct cli_command {
    const char *name;
    const char *synopsis;              /* "exaone tokenize [options] < TEXT" */
    const char *summary;               /* one line for `exaone help` */
    const char *details;               /* paragraphs and an example for `exaone NAME --help`; may be NULL */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns an exit code */
} cli_command;

/* The commands, in the order of the help; ends with name NULL. */
extern const cli_command cli_commands[];

/* Parses argv[1 ..] of command `name` against `options` (n of them). Returns -1 when the command should go on, else the exit
 * code to return (help was shown: CLI_OK; a fault was named: CLI_USAGE). Words that are no options are collected in *line
 * (release with cli_options_release, also after a fault). */
int cli_options_parse(const char *name, const cli_option *options, size_t n, int argc, char **argv, cli_command_line *line);
/* "4G", "500M", "20000": decimal multiples; false for anything else. */
bool cli_size_parse(const char *text, uint64_t *out);
/* Edit distance of two words, for "did you mean"; 99 for long ones. */
size_t cli_distance(const char *a, const char *b);
void cli_options_release(const cli_option *options, size_t n, cli_command_line *line);

/* ---- messages and files ---- */

int cli_fail(const exaone_error *err); /* "exaone: MESSAGE" on standard error; CLI_FAILED */
int cli_usage(const char *command, const char *fmt, ...) EXAONE_PRINTF(2, 3); /* the same and a hint at --help; CLI_USAGE */
void cli_note(const char *fmt, ...) EXAONE_PRINTF(1, 2);                      /* one line on standard error */
void cli_say(const char *fmt, ...) EXAONE_PRINTF(1, 2);                       /* the same, but nothing with --quiet */
extern bool cli_quiet;                                                        /* --quiet was given: no notes, no progress */
/* Progress on standard error: a line, cut at the terminal's width, that the next one replaces and
 * clear removes. Nothing when `show` is false or the terminal is a dumb one. */
void cli_progress(bool show, const char *fmt, ...) EXAONE_PRINTF(2, 3);
void cli_progress_clear(bool show);
void cli_progress_end(void); /* removes what is shown, before a message */
/* Appends a text whose control characters (C1 too) and broken bytes became '?'. */
void cli_put_plain(exaone_buf *b, const char *text);
/* Is this "-", a pipe or a device? */
bool cli_input_is_stream(const char *path);
/* All of standard input (NULL or "-"), of a file or of a pipe; at most `max` bytes; *out ends with a NUL and is the caller's
 * (free). Errors: EXAONE_ERR_IO, _LIMIT, _MEMORY. */
EXAONE_MUST_USE exaone_status cli_input_read(const char *path_or_null, size_t max, char **out, size_t *n, exaone_error *err);
/* The same; NULL with the message printed on failure. */
char *cli_read_all(const char *path_or_null, size_t max, size_t *n);
/* Colours: on a terminal, without NO_COLOR (https://no-color.org) and not on a dumb one. */
bool cli_color(void);
/* Writes to standard output; false (message printed) when it fails. */
bool cli_write(const char *bytes, size_t n);

/* ---- model ---- */

typedef struct cli_model_options {
    const char *model, *mmproj, *cpu;
    const char *precision; /* "f32", "auto" or NULL: auto */
    int64_t threads;
    bool numa;
    exaone_imatrix *imatrix; /* no option: counts what the engine computes; NULL: none */
} cli_model_options;

/* The model's path: -m, EXAONE_MODEL, or the built-in one (then *built_in is true). The first two may also name a model in
 * the Hugging Face cache, REPO[:QUANT]. Static or argv memory; NULL: not found, said. */
const char *cli_model_path(const char *given, bool *built_in);
/* --cpu and --precision name what exists? Returns -1, or an exit code with the message printed. */
int cli_model_check(const char *command, const cli_model_options *o);
/* Opens the engine; NULL with the message printed on failure. Says on standard error when the built-in model is used. */
exaone_engine *cli_open_engine(const cli_model_options *o, bool no_tokenizer);
/* Says it when --numa changes nothing on this machine. */
void cli_say_numa(const cli_model_options *o, const exaone_model_info *info);
/* The tokenizer of --tokenizer FILE (tokenizer.json, a model folder or a GGUF file), else of the model. Close also after a
 * failure. */
typedef struct cli_tokenizer {
    const exaone_tokenizer *tok;
    exaone_tokenizer *own;
    exaone_engine *engine;
} cli_tokenizer;
bool cli_tokenizer_open(const char *file, const char *model, cli_tokenizer *t); /* false: the message was printed */
void cli_tokenizer_close(cli_tokenizer *t);

/* Options -m, --mmproj, --cpu, --precision, -t for a table. */
#define CLI_MODEL_OPTIONS(o)                                                                                                  \
    {"--model", "-m", OPT_TEXT, &(o).model,                                                                                   \
     0,         0,    "PATH",   "folder, GGUF file or pulled REPO[:QUANT] (default: EXAONE_MODEL, or the tiny model)"},       \
        {"--mmproj", NULL, OPT_TEXT, &(o).mmproj,                                                                             \
         0,          0,    "FILE",   "GGUF file of the vision tower (default: the one beside the model)"},                    \
        {"--cpu",  NULL,                                                                                                      \
         OPT_TEXT, &(o).cpu,                                                                                                  \
         0,        0,                                                                                                         \
         "LEVEL",  "kernels to use: scalar, avx2, avx-vnni, avx512, avx512-vnni, amx (default: the best here)"},              \
        {"--precision",                                                                                                       \
         NULL,                                                                                                                \
         OPT_TEXT,                                                                                                            \
         &(o).precision,                                                                                                      \
         0,                                                                                                                   \
         0,                                                                                                                   \
         "P",                                                                                                                 \
         "activations that meet quantised weights: auto (8 bits) or f32"},                                                    \
        {"--numa", NULL, OPT_FLAG, &(o).numa, 0, 0, NULL, "keep threads and weights on the memory nodes of a large machine"}, \
    {                                                                                                                         \
        "--threads", "-t", OPT_INT, &(o).threads, 1, 512, "N", "threads (default: one per fast core)"                         \
    }

/* ---- KV cache ---- */

typedef struct cli_cache_options {
    const char *type_k, *type_v; /* NULL: the library's choice */
} cli_cache_options;

#define CLI_CACHE_TYPE_OPTIONS(o)                                                                                           \
    {"--cache-type-k", NULL, OPT_TEXT, &(o).type_k, 0, 0, "TYPE", "how keys are kept: f32, f16, bf16, q8_0 (default f16)"}, \
    {                                                                                                                       \
        "--cache-type-v", NULL, OPT_TEXT, &(o).type_v, 0, 0, "TYPE", "how values are kept, likewise"                        \
    }

/* The types that are meant. Returns -1, or an exit code with the message printed. */
int cli_cache_types(const char *command, const cli_cache_options *o, exaone_cache_type *k, exaone_cache_type *v);
/* exaone_session_open after a check that the machine can hold a full context; says what it takes when that is much. */
EXAONE_MUST_USE exaone_status cli_session_open(exaone_engine *engine, const exaone_session_options *options,
                                               exaone_session **out, exaone_error *err);

/* Bytes of the process that are in memory, and those of them in huge pages (weights, caches, work). False: not known. */
bool cli_pages(uint64_t *resident, uint64_t *huge);

/* The signal's number after Ctrl-C, SIGTERM or SIGHUP, from cli_catch_interrupt on; the second one ends the process. */
extern volatile int cli_interrupted;
void cli_catch_interrupt(void);
void cli_release_interrupt(void); /* back to the system's way */
int cli_interrupt_code(void);     /* exit code: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP */

/* ---- commands ---- */
int cmd_run(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_forward(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_template(int argc, char **argv);
int cmd_parse_reply(int argc, char **argv);
int cmd_preprocess(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_imatrix(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
