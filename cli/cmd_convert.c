/* `exaone convert`: a model as GGUF files without a change of types. */
#include "quantize.h"

int cmd_convert(int argc, char **argv) {
    cli_quantize_options o = {0};
    const cli_option options[] = {CLI_QUANTIZE_OPTIONS(o)};
    cli_command_line line;
    int code = cli_options_parse("convert", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = cli_quantize("convert", &o, &line);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
