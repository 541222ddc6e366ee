/* `exaone rm`: takes a model out of the cache of the Hugging Face hub. */
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "hub.h"

/* The answer to a question on standard error; only y and yes agree. */
static bool agreed(void) {
    char answer[16] = "";
    if (!fgets(answer, sizeof answer, stdin)) {
        return false;
    }
    return (answer[0] | 32) == 'y' && (answer[1] == '\n' || ((answer[1] | 32) == 'e' && (answer[2] | 32) == 's'));
}

static int remove_model(const char *text, bool yes) {
    exaone_hub_name name;
    exaone_hub_removal what;
    exaone_error err = {0};
    cli_hub hub;
    char size[32];
    if (exaone_hub_name_parse(text, &name, &err) != EXAONE_OK) {
        cli_fail(&err);
        return CLI_USAGE;
    }
    if (!cli_hub_init(&hub)) {
        return CLI_FAILED;
    }
    if (exaone_hub_remove(&name, hub.cache, true, &what, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    cli_hub_size(what.bytes, size);
    if (!yes && !isatty(STDIN_FILENO)) {
        cli_note("%s (%s) is not removed: standard input is no terminal to ask at; --yes removes it", text, size);
        return CLI_FAILED;
    }
    if (!yes) {
        fprintf(stderr, "Remove %s%s (%s) from %s? [y/N] ", text,
                what.whole_repo && name.quant[0] ? ", the last of its kind," : "", size, hub.cache);
        if (!agreed()) {
            cli_note("nothing was removed");
            return CLI_FAILED;
        }
    }
    if (exaone_hub_remove(&name, hub.cache, false, &what, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    cli_say("removed %s%s: %s are free", text, what.whole_repo ? " and all else of the repository" : "", size);
    return CLI_OK;
}

int cmd_rm(int argc, char **argv) {
    bool yes = false;
    const cli_option options[] = {
        {"--yes", "-y", OPT_FLAG, &yes, 0, 0, NULL, "do not ask"},
    };
    cli_command_line line;
    int code = cli_options_parse("rm", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0 && line.n_words != 1) {
        code = line.n_words ? cli_usage("rm", "unexpected argument %s: one REPO[:QUANT]", line.words[1])
                            : cli_usage("rm", "no REPO[:QUANT] is given; `exaone list` shows them");
    }
    if (code < 0) {
        code = remove_model(line.words[0], yes);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
