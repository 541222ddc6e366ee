/* The progress line on standard error, and texts of strangers on a terminal: no control characters, no longer than a line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum { MAX_LINE = 1024, USUAL_WIDTH = 80 };

static bool shown; /* the cursor stands behind a progress line */

/* Length of the character at `p`; 0 for one that is not shown: a control character, C1 too, or a byte that begins none. */
static size_t visible(const char *p) {
    unsigned char c = (unsigned char)p[0];
    if (c < 0x80) {
        return c >= 0x20 && c != 0x7f;
    }
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return c == 0xc2 && (unsigned char)p[1] < 0xa0 ? 0 : n;
}

void cli_put_plain(exaone_buf *b, const char *text) {
    while (*text) {
        size_t n = visible(text);
        exaone_buf_append(b, n ? text : "?", n ? n : 1);
        text += n ? n : 1;
    }
}

/* Characters of three bytes and more count as two columns, which Korean ones need. */
static void put_cut(const char *text, size_t columns) {
    for (size_t n; *text; text += n ? n : 1) {
        n = visible(text);
        size_t wide = n > 2 ? 2 : 1;
        if (n && wide > columns) {
            return;
        }
        if (n) {
            fwrite(text, 1, n, stderr);
            columns -= wide;
        }
    }
}

static size_t width(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : USUAL_WIDTH;
}

void cli_progress(bool show, const char *fmt, ...) {
    const char *term = getenv("TERM");
    if (!show || cli_quiet || (term && strcmp(term, "dumb") == 0)) {
        return;
    }
    char line[MAX_LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    fputs("\r\033[K", stderr);
    put_cut(line, width() - 1);
    fflush(stderr);
    shown = true;
}

void cli_progress_end(void) {
    fputs(shown ? "\r\033[K" : "", stderr);
    shown = false;
}

void cli_progress_clear(bool show) {
    if (show) {
        cli_progress_end();
        fflush(stderr);
    }
}
