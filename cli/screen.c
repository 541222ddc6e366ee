/* The reply on standard output while it grows. */
#include "screen.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

screen screen_init(void) {
    return (screen){.terminal = isatty(STDOUT_FILENO), .color = cli_color()};
}

static void put_byte(screen *s, char c) {
    s->failed = putchar(c) == EOF || s->failed;
    s->last = c;
}

static void put(screen *s, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)text[i + 1] < 0xa0;
        if (s->terminal && c1) {
            i++;
        } else if (!s->terminal || c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f)) {
            put_byte(s, text[i]);
        }
    }
}

void screen_show(void *ctx, const char *reasoning, size_t n_reasoning, const char *content, size_t n_content) {
    screen *s = ctx;
    if (s->terminal && n_reasoning) {
        fputs(s->color ? "\033[2m" : "", stdout);
        put(s, reasoning, n_reasoning);
        fputs(s->color ? "\033[0m" : "", stdout);
        s->reasoned = true;
    }
    if (n_content) {
        put(s, "\n\n", s->reasoned && !s->answered ? 2 : 0);
        put(s, content, n_content);
        s->answered = true;
    }
    s->failed = fflush(stdout) != 0 || s->failed;
}

void screen_end(screen *s, const exaone_reply *reply) {
    if (s->last && s->last != '\n') {
        put_byte(s, '\n');
    }
    for (size_t i = 0; i < exaone_reply_n_calls(reply); i++) {
        exaone_tool_call call = exaone_reply_call(reply, i);
        exaone_buf b;
        exaone_buf_init(&b, SIZE_MAX / 2);
        exaone_buf_puts(&b, "{\"name\": ");
        exaone_json_put_string(&b, call.name, strlen(call.name));
        exaone_buf_puts(&b, ", \"arguments\": ");
        exaone_buf_puts(&b, call.arguments);
        exaone_buf_puts(&b, "}\n");
        s->failed = b.failed || s->failed;
        put(s, b.data, b.failed ? 0 : b.len);
        exaone_buf_release(&b);
    }
    s->failed = fflush(stdout) != 0 || s->failed;
}

void screen_explain(const ask_result *r) {
    size_t n_content, n_reasoning;
    exaone_reply_content(r->reply, &n_content);
    exaone_reply_reasoning(r->reply, &n_reasoning);
    if (r->interrupted) {
        return;
    }
    if (!r->stopped) {
        cli_note("the reply was cut at %zu tokens%s; -n and --ctx set the limit", r->n_ids,
                 n_content ? "" : ", before the reasoning ended");
    } else if (n_content == 0 && exaone_reply_n_calls(r->reply) == 0) {
        cli_note("the reply is empty (%s)",
                 r->stop_text  ? (n_reasoning ? "a --stop text came up in the reasoning" : "it began with a --stop text")
                 : n_reasoning ? "the model ended it after the reasoning"
                               : "the model ended it at once");
    }
}
