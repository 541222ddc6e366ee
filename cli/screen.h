/* The reply on standard output while it grows. */
#ifndef EXAONE_CLI_SCREEN_H
#define EXAONE_CLI_SCREEN_H

#include "ask.h"

/* On a terminal the reasoning is shown too, dimmed, and control characters of the reply are left out; elsewhere only the
 * answer. */
typedef struct screen {
    bool terminal, color;
    bool reasoned, answered; /* something of it was shown */
    char last;               /* last byte shown */
    bool failed;             /* standard output could not be written */
} screen;

screen screen_init(void);
/* An ask_delta_fn with a screen as ctx. */
void screen_show(void *ctx, const char *reasoning, size_t n_reasoning, const char *content, size_t n_content);
/* Tool calls, one JSON object a line, and the last line break. */
void screen_end(screen *s, const exaone_reply *reply);
/* A line on standard error when the reply was cut, or is empty although it ended. */
void screen_explain(const ask_result *r);

#endif
