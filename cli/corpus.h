/* Texts and cases that models are measured on: shared by eval, imatrix and diff. */
#ifndef EXAONE_CLI_CORPUS_H
#define EXAONE_CLI_CORPUS_H

#include "ask.h"

enum { CLI_MAX_CORPUS = 256 << 20, CLI_CHUNK_TOKENS = 512 };

/* A text as ids, cut into chunks that are evaluated each by itself. */
typedef struct cli_text {
    int32_t *ids; /* [n_ids] */
    size_t n_ids, chunk;
} cli_text;

/* chunk_tokens 0: CLI_CHUNK_TOKENS; at most what the model takes. parse_special: control tokens in the text count as such.
 */
EXAONE_MUST_USE exaone_status cli_text_read(cli_text *t, const char *path, const exaone_engine *e, int64_t chunk_tokens,
                                            bool parse_special, exaone_error *err);
void cli_text_release(cli_text *t);
size_t cli_text_chunks(const cli_text *t);
/* Chunk i < cli_text_chunks: its ids; *n of them. */
const int32_t *cli_text_chunk(const cli_text *t, size_t i, size_t *n);

/* exaone_forward on ids [n], with them as labels too when `labels`. */
EXAONE_MUST_USE exaone_status cli_forward_ids(exaone_engine *e, const int32_t *ids, size_t n, bool labels,
                                              const exaone_forward_options *options, exaone_tensors **out,
                                              exaone_error *err);

/* One case: its JSON, the request for the template, settings of a greedy reply (media are found beside the file). */
typedef exaone_status cli_case_fn(void *ctx, const exaone_json *c, const char *request, size_t n_request,
                                  ask_settings *settings, exaone_error *err);
/* Calls fn for each line of a JSONL file, the first `only` lines (0: all), until one fails or Ctrl-C; the error names file
 * and line. */
EXAONE_MUST_USE exaone_status cli_cases_read(const char *path, int64_t only, cli_case_fn *fn, void *ctx, exaone_error *err);

#endif
