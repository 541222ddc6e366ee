/* Stop texts: a stream of text is passed on until one of them appears; no part of a stop text is ever let through. */
#ifndef EXAONE_CLI_STOP_H
#define EXAONE_CLI_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/status.h"

typedef struct cli_stopper cli_stopper;

/* stops [n] must outlive the stopper; empty ones are refused (EXAONE_ERR_ARGUMENT). */
EXAONE_MUST_USE exaone_status cli_stopper_new(const char *const *stops, size_t n, cli_stopper **out, exaone_error *err);
void cli_stopper_free(cli_stopper *s); /* NULL is fine */
/* *out [*n_out] is what may be shown now; valid until the next call. After a hit nothing comes any more. */
EXAONE_MUST_USE exaone_status cli_stopper_feed(cli_stopper *s, const char *text, size_t n, const char **out, size_t *n_out,
                                               exaone_error *err);
bool cli_stopper_hit(const cli_stopper *s);
/* At the end of the stream: what was held back as a possible beginning. */
const char *cli_stopper_rest(const cli_stopper *s, size_t *n);

#endif
