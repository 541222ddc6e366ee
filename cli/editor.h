/* Lines from a person at a terminal: editing, history, completion (libedit). */
#ifndef EXAONE_CLI_EDITOR_H
#define EXAONE_CLI_EDITOR_H

#include <stdbool.h>

typedef struct editor {
    bool keep; /* the history goes to `path` */
    char path[4096];
} editor;

/* Prepares the terminal. commands: NULL-terminated list that Tab completes at the start of a line; behind one of them,
 * files. */
void editor_start(editor *e, const char *const *commands);
/* The next line without its end; NULL at the end of input. free() it. Ctrl-C ends the program with a line break. */
char *editor_read(editor *e, const char *prompt);

#endif
