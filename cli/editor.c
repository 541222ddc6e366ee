/* Lines from a person at a terminal: see editor.h. */
#include "editor.h"

#include <editline/readline.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static const char *const *command_words;

/* $XDG_STATE_HOME/exaone/history or ~/.local/state/exaone/history; false when there is no home. */
static bool history_path(char *path, size_t size) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (!(state && *state) && !(home && *home)) {
        return false;
    }
    int n =
        state && *state ? snprintf(path, size, "%s/exaone", state) : snprintf(path, size, "%s/.local/state/exaone", home);
    if (n < 0 || (size_t)n + 10 >= size) {
        return false;
    }
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            mkdir(path, 0700);
            *p = '/';
        }
    }
    mkdir(path, 0700);
    size_t end = strlen(path);
    snprintf(path + end, size - end, "/history");
    return true;
}

/* libedit takes characters by the locale; in one that is not UTF-8 it would drop all but ASCII. */
static void want_utf8(void) {
    static const char *const names[] = {"", "C.UTF-8", "C.utf8", "en_US.UTF-8"};
    for (size_t i = 0; i < CLI_COUNT(names); i++) {
        if (setlocale(LC_CTYPE, names[i]) && strcasecmp(nl_langinfo(CODESET), "UTF-8") == 0) {
            return;
        }
    }
    cli_note("no UTF-8 locale on this system: only ASCII can be typed here");
}

static char *next_command(const char *text, int state) {
    static size_t at;
    at = state ? at : 0;
    while (command_words[at]) {
        const char *word = command_words[at++];
        if (strncmp(word, text, strlen(text)) == 0) {
            return strdup(word);
        }
    }
    return NULL;
}

/* Behind a command: files, which is what readline does by itself. Elsewhere nothing: it is a question. */
static char **complete(const char *text, int start, int end) {
    (void)end;
    bool is_command = rl_line_buffer[0] == '/';
    rl_attempted_completion_over = !is_command || start == 0;
    return is_command && start == 0 ? rl_completion_matches(text, next_command) : NULL;
}

/* At the prompt nothing is to be lost: the history is written line by line. */
static void leave(int number) {
    ssize_t n = write(STDOUT_FILENO, "\n", 1);
    (void)n;
    _exit(128 + number);
}

void editor_start(editor *e, const char *const *commands) {
    want_utf8();
    command_words = commands;
    rl_readline_name = "exaone";
    rl_completer_word_break_characters = " \t\n";
    rl_attempted_completion_function = complete;
    using_history();
    stifle_history(1000);
    e->keep = history_path(e->path, sizeof e->path);
    if (e->keep) {
        read_history(e->path);
    }
}

char *editor_read(editor *e, const char *prompt) {
    struct sigaction a = {.sa_handler = leave}, before;
    sigaction(SIGINT, &a, &before);
    char *line = readline(prompt);
    sigaction(SIGINT, &before, NULL);
    if (line && line[0]) {
        add_history(line);
        e->keep = e->keep && write_history(e->path) == 0;
    }
    return line;
}
