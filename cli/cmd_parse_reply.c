/* `exaone parse-reply`: a raw reply on standard input to reasoning, content and tool calls. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int parse(bool thinking, bool tools, bool stopped) {
    size_t n;
    char *text = cli_read_all(NULL, (size_t)64 << 20, &n);
    if (!text) {
        return CLI_FAILED;
    }
    int code = CLI_FAILED;
    exaone_error err = {.code = EXAONE_ERR_MEMORY};
    char *json = NULL;
    exaone_reply *reply = exaone_reply_new(thinking, tools);
    if (!reply || exaone_reply_feed(reply, text, n, &err) != EXAONE_OK ||
        exaone_reply_finish(reply, stopped, &err) != EXAONE_OK || exaone_reply_to_json(reply, &json, &err) != EXAONE_OK) {
        cli_fail(&err);
    } else if (cli_write(json, strlen(json)) && cli_write("\n", 1)) {
        code = CLI_OK;
    }
    free(json);
    exaone_reply_free(reply);
    free(text);
    return code;
}

int cmd_parse_reply(int argc, char **argv) {
    bool thinking = true, tools = true;
    const char *finish = "stop";
    const cli_option options[] = {
        {"--no-think", NULL, OPT_NO_FLAG, &thinking, 0, 0, NULL, "the prompt did not end in an open think block"},
        {"--no-tools", NULL, OPT_NO_FLAG, &tools, 0, 0, NULL, "the request declared no tools: tags of calls are plain text"},
        {"--finish", NULL, OPT_TEXT, &finish, 0, 0, "HOW", "stop: by an end token (default); length: cut"},
    };
    cli_command_line line;
    int code = cli_options_parse("parse-reply", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0 && line.n_words) {
        code = cli_usage("parse-reply", "unexpected argument %s: the reply is read from standard input", line.words[0]);
    } else if (code < 0 && strcmp(finish, "stop") != 0 && strcmp(finish, "length") != 0) {
        code = cli_usage("parse-reply", "--finish %s: want stop or length", finish);
    } else if (code < 0) {
        code = parse(thinking, tools, strcmp(finish, "stop") == 0);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
