/* `exaone quantize`: a model as GGUF files of a smaller type. */
#include "quantize.h"

int cmd_quantize(int argc, char **argv) {
    cli_quantize_options o = {0};
    const cli_option options[] = {
        {"--type", NULL, OPT_TEXT, &o.type, 0, 0, "T", "type of the text file, as Q4_K_M; below is the list"},
        {"--tensor-type", NULL, OPT_LIST, &o.tensor_types, 0, 0, "PATTERN=T",
         "type of tensors by GGUF name; the first that matches counts (repeatable)"},
        {"--mmproj-type", NULL, OPT_TEXT, &o.mmproj_type, 0, 0, "T",
         "F32, F16, BF16 or Q8_0 (default: BF16; F16 for an F16 source)"},
        {"--imatrix", NULL, OPT_TEXT, &o.imatrix, 0, 0, "FILE", "importance matrix: weighs the error per column"},
        CLI_QUANTIZE_OPTIONS(o),
    };
    cli_command_line line;
    int code = cli_options_parse("quantize", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = o.type ? cli_quantize("quantize", &o, &line)
                      : cli_usage("quantize", "--type is needed; `exaone convert` keeps the types");
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
