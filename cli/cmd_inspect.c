/* `exaone inspect`: what a model holds and how much memory a context needs. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static int inspect(const char *given, const exaone_inspect_options *o) {
    bool built_in;
    const char *path = cli_model_path(given, &built_in);
    if (!path) {
        return CLI_FAILED;
    }
    if (built_in) {
        cli_say("no FILE or DIR given: this is the built-in tiny model");
    }
    exaone_error err = {0};
    char *text = NULL;
    if (exaone_inspect(path, o, &text, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    size_t n = strlen(text);
    bool ok = cli_write(text, n) && (n == 0 || text[n - 1] == '\n' || cli_write("\n", 1));
    free(text);
    return ok ? CLI_OK : CLI_FAILED;
}

int cmd_inspect(int argc, char **argv) {
    const char *model = NULL, *mmproj = NULL;
    int64_t n_ctx = 0;
    bool json = false, tensors = false;
    cli_cache_options cache = {0};
    const cli_option options[] = {
        {"--model", "-m", OPT_TEXT, &model, 0, 0, "PATH", "the same as the argument, or a pulled REPO[:QUANT]"},
        {"--mmproj", NULL, OPT_TEXT, &mmproj, 0, 0, "FILE",
         "GGUF file of the vision tower (default: the one beside the model)"},
        {"--ctx", "-c", OPT_INT, &n_ctx, 1, 1 << 30, "TOKENS",
         "context whose memory is shown (default: the model's longest)"},
        CLI_CACHE_TYPE_OPTIONS(cache),
        {"--tensors", NULL, OPT_FLAG, &tensors, 0, 0, NULL, "list every tensor too"},
        {"--json", NULL, OPT_FLAG, &json, 0, 0, NULL, "for programs; always with the tensors"},
    };
    cli_command_line line;
    int code = cli_options_parse("inspect", options, CLI_COUNT(options), argc, argv, &line);
    exaone_inspect_options o = {.mmproj = mmproj, .n_ctx = (uint64_t)n_ctx, .json = json, .tensors = tensors};
    if (code < 0) {
        code = cli_cache_types("inspect", &cache, &o.cache_type_k, &o.cache_type_v);
    }
    if (code < 0) {
        code = line.n_words > 1 || (line.n_words && model)
                   ? cli_usage("inspect", "unexpected argument %s: one FILE or DIR", line.words[line.n_words - 1])
                   : inspect(line.n_words ? line.words[0] : model, &o);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
