/* `exaone tokenize`: bytes on standard input to {"ids": […], "pieces": […]}. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli.h"

static int print_encoding(const exaone_encoding *e) {
    exaone_buf out;
    exaone_buf_init(&out, SIZE_MAX / 2);
    exaone_buf_puts(&out, "{\"ids\": [");
    for (size_t i = 0; i < e->n_ids; i++) {
        exaone_buf_printf(&out, i ? ", %d" : "%d", (int)e->ids[i]);
    }
    exaone_buf_puts(&out, "], \"pieces\": [");
    for (size_t i = 0; i < e->n_pieces; i++) {
        exaone_buf_puts(&out, i ? ", " : "");
        exaone_json_put_string(&out, e->text + e->pieces[i].begin, e->pieces[i].end - e->pieces[i].begin);
    }
    exaone_buf_puts(&out, "]}\n");
    int code = CLI_FAILED;
    if (out.failed) {
        cli_note("out of memory");
    } else if (cli_write(out.data, out.len)) {
        code = CLI_OK;
    }
    exaone_buf_release(&out);
    return code;
}

static int tokenize(const char *tokenizer, const char *model, bool parse_special) {
    cli_tokenizer t;
    size_t n;
    char *text = NULL;
    int code = CLI_FAILED;
    if (cli_tokenizer_open(tokenizer, model, &t) && (text = cli_read_all(NULL, EXAONE_TOKENIZER_MAX_TEXT, &n)) != NULL) {
        exaone_error err = {0};
        exaone_encoding e = {0};
        if (exaone_tokenizer_encode_pieces(t.tok, text, n, parse_special ? EXAONE_PARSE_SPECIAL : 0, &e, &err) ==
            EXAONE_OK) {
            code = print_encoding(&e);
        } else {
            code = cli_fail(&err);
        }
        exaone_encoding_release(&e);
    }
    free(text);
    cli_tokenizer_close(&t);
    return code;
}

int cmd_tokenize(int argc, char **argv) {
    const char *tokenizer = NULL, *model = NULL;
    bool parse_special = false;
    const cli_option options[] = {
        {"--tokenizer", NULL, OPT_TEXT, &tokenizer, 0, 0, "FILE", "tokenizer.json, model folder or GGUF file"},
        {"--model", "-m", OPT_TEXT, &model, 0, 0, "PATH",
         "use this model's tokenizer (default: EXAONE_MODEL, or the built-in one)"},
        {"--parse-special", NULL, OPT_FLAG, &parse_special, 0, 0, NULL, "control tokens spelled in the text count as such"},
    };
    cli_command_line line;
    int code = cli_options_parse("tokenize", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = line.n_words
                   ? cli_usage("tokenize", "unexpected argument %s: the text is read from standard input", line.words[0])
                   : tokenize(tokenizer, model, parse_special);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
