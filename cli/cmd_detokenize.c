/* `exaone detokenize`: token ids, as arguments or on standard input, to their text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"

typedef struct id_list {
    int32_t *ids;
    size_t n, capacity;
} id_list;

/* Reads ids separated by white space, commas or brackets; -1 or an exit code. */
static int add_ids(id_list *list, const char *text) {
    static const char separators[] = " \t\r\n,[]";
    for (const char *p = text + strspn(text, separators); *p; p += strspn(p, separators)) {
        char *end;
        errno = 0;
        long long id = strtoll(p, &end, 10);
        if (end == p || errno || id < 0 || id > INT32_MAX || (*end && !strchr(separators, *end))) {
            return cli_usage("detokenize", "%.*s: want a token id, a whole number from 0 to %d", (int)strcspn(p, separators),
                             p, INT32_MAX);
        }
        if (list->n == list->capacity) {
            size_t capacity = list->capacity ? 2 * list->capacity : 64;
            int32_t *more = exaone_mem_resize(list->ids, capacity, sizeof *more);
            if (!more) {
                cli_note("out of memory");
                return CLI_FAILED;
            }
            list->ids = more;
            list->capacity = capacity;
        }
        list->ids[list->n++] = (int32_t)id;
        p = end;
    }
    return -1;
}

static int read_ids(id_list *list, const cli_command_line *line) {
    int code = -1;
    if (line->n_words == 0 && isatty(STDIN_FILENO)) {
        return cli_usage("detokenize", "no ids: give them as arguments or on standard input");
    }
    for (size_t i = 0; i < line->n_words && code < 0; i++) {
        code = add_ids(list, line->words[i]);
    }
    if (line->n_words == 0) {
        size_t n;
        char *text = cli_read_all(NULL, (size_t)1 << 30, &n);
        code = text ? add_ids(list, text) : CLI_FAILED;
        free(text);
    }
    return code;
}

static int detokenize(const char *tokenizer, const char *model, bool skip_special, const id_list *list) {
    cli_tokenizer t;
    int code = CLI_FAILED;
    if (cli_tokenizer_open(tokenizer, model, &t)) {
        exaone_error err = {0};
        char *text = NULL;
        size_t n;
        if (exaone_tokenizer_decode(t.tok, list->ids, list->n, skip_special ? EXAONE_SKIP_SPECIAL : 0, &text, &n, &err) ==
            EXAONE_OK) {
            code = cli_write(text, n) && (!isatty(STDOUT_FILENO) || cli_write("\n", 1)) ? CLI_OK : CLI_FAILED;
        } else {
            code = cli_fail(&err);
        }
        free(text);
    }
    cli_tokenizer_close(&t);
    return code;
}

int cmd_detokenize(int argc, char **argv) {
    const char *tokenizer = NULL, *model = NULL;
    bool skip_special = false;
    const cli_option options[] = {
        {"--tokenizer", NULL, OPT_TEXT, &tokenizer, 0, 0, "FILE", "tokenizer.json, model folder or GGUF file"},
        {"--model", "-m", OPT_TEXT, &model, 0, 0, "PATH",
         "use this model's tokenizer (default: EXAONE_MODEL, or the built-in one)"},
        {"--skip-special", NULL, OPT_FLAG, &skip_special, 0, 0, NULL, "leave special tokens out"},
    };
    cli_command_line line;
    id_list list = {0};
    int code = cli_options_parse("detokenize", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = read_ids(&list, &line);
    }
    if (code < 0) {
        code = detokenize(tokenizer, model, skip_special, &list);
    }
    free(list.ids);
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
