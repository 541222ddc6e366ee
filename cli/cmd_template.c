/* `exaone template`: a conversation as JSON on standard input to the text that the model reads. */
#include <stdlib.h>

#include "cli.h"

static int render(const exaone_template_options *options) {
    size_t n;
    char *json = cli_read_all(NULL, (size_t)256 << 20, &n);
    if (!json) {
        return CLI_FAILED;
    }
    exaone_rendered r = {0};
    exaone_error err = {0};
    int code = CLI_FAILED;
    if (exaone_template_render(json, n, options, &r, &err) != EXAONE_OK) {
        code = cli_fail(&err);
    } else if (cli_write(r.text, r.n)) {
        code = CLI_OK;
    }
    exaone_rendered_release(&r);
    free(json);
    return code;
}

int cmd_template(int argc, char **argv) {
    exaone_template_options o = {.strict_reference = true}; /* this command shows the reference's text, oddities included */
    const cli_option options[] = {
        {"--strict-reference", NULL, OPT_FLAG, &o.strict_reference, 0, 0, NULL,
         "render exactly as the reference (the default here)"},
        {"--join-lists", NULL, OPT_NO_FLAG, &o.strict_reference, 0, 0, NULL,
         "as run and chat do: the text items of a list in a first system or an assistant message are joined"},
    };
    cli_command_line line;
    int code = cli_options_parse("template", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = line.n_words
                   ? cli_usage("template", "unexpected argument %s: the JSON is read from standard input", line.words[0])
                   : render(&o);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
