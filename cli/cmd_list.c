/* `exaone list`: the models in the cache of the Hugging Face hub. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli.h"
#include "hub.h"

enum { MAX_TEXT = 64 << 20 };

static void put_member(exaone_buf *b, const char *name, const char *value) {
    exaone_buf_printf(b, "\"%s\": ", name);
    if (value) {
        exaone_json_put_string(b, value, strlen(value));
    } else {
        exaone_buf_puts(b, "null");
    }
    exaone_buf_puts(b, ", ");
}

static void put_json(exaone_buf *b, const exaone_hub_list *list) {
    exaone_buf_puts(b, "[");
    for (size_t i = 0; i < list->n; i++) {
        const exaone_hub_entry *e = &list->entries[i];
        exaone_buf_puts(b, i ? ",\n {" : "{");
        put_member(b, "repo", e->repo);
        put_member(b, "quant", e->quant[0] ? e->quant : NULL);
        put_member(b, "path", e->path);
        put_member(b, "mmproj", e->mmproj);
        put_member(b, "commit", e->commit);
        exaone_buf_printf(b, "\"files\": %zu, \"missing\": %llu, \"size\": %llu}", e->n_files,
                          (unsigned long long)e->missing, (unsigned long long)e->size);
    }
    exaone_buf_puts(b, "]\n");
}

/* "Q4_K_M", or "3 files" for a folder. */
static void kind_of(const exaone_hub_entry *e, char out[96]) {
    if (e->quant[0]) {
        snprintf(out, 96, "%s%s", e->quant, e->missing ? " (in part)" : "");
    } else {
        snprintf(out, 96, "%zu file%s%s", e->n_files, e->n_files == 1 ? "" : "s", e->missing ? " (in part)" : "");
    }
}

static void put_table(exaone_buf *b, const exaone_hub_list *list) {
    size_t repo = 4, kind = 5;
    char text[96], size[32];
    for (size_t i = 0; i < list->n; i++) {
        kind_of(&list->entries[i], text);
        repo = strlen(list->entries[i].repo) > repo ? strlen(list->entries[i].repo) : repo;
        kind = strlen(text) > kind ? strlen(text) : kind;
    }
    if (list->n) {
        exaone_buf_printf(b, "%-*s  %-*s  %8s  %s\n", (int)repo, "REPO", (int)kind, "QUANT", "SIZE", "PATH");
    }
    for (size_t i = 0; i < list->n; i++) {
        const exaone_hub_entry *e = &list->entries[i];
        kind_of(e, text);
        exaone_buf_printf(b, "%-*s  ", (int)repo, e->repo);
        size_t before = b->len;
        cli_put_plain(b, text);
        exaone_buf_printf(b, "%*s  %8s  ", (int)(kind > b->len - before ? kind - (b->len - before) : 0), "",
                          cli_hub_size(e->size, size));
        cli_put_plain(b, e->path);
        exaone_buf_puts(b, "\n");
    }
}

static int list_models(bool json) {
    cli_hub hub;
    exaone_hub_list list;
    exaone_error err = {0};
    if (!cli_hub_init(&hub)) {
        return CLI_FAILED;
    }
    if (exaone_hub_scan(hub.cache, &list, &err) != EXAONE_OK) {
        exaone_hub_list_free(&list);
        return cli_fail(&err);
    }
    exaone_buf b;
    exaone_buf_init(&b, MAX_TEXT);
    if (json) {
        put_json(&b, &list);
    } else {
        put_table(&b, &list);
    }
    if (!json && list.n == 0) {
        cli_say("no models in %s; `exaone pull` fetches %s", hub.cache, EXAONE_HUB_DEFAULT);
    }
    if (!json && list.n_incomplete) {
        char size[32];
        cli_say("unfinished files: %zu, %s; the same `exaone pull` continues them", list.n_incomplete,
                cli_hub_size(list.incomplete_bytes, size));
    }
    int code = CLI_FAILED;
    if (b.failed) {
        cli_note("out of memory, or the list is longer than %d bytes", MAX_TEXT);
    } else {
        code = b.len == 0 || cli_write(b.data, b.len) ? CLI_OK : CLI_FAILED;
    }
    exaone_buf_release(&b);
    exaone_hub_list_free(&list);
    return code;
}

int cmd_list(int argc, char **argv) {
    bool json = false;
    const cli_option options[] = {
        {"--json", NULL, OPT_FLAG, &json, 0, 0, NULL, "for programs"},
    };
    cli_command_line line;
    int code = cli_options_parse("list", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = line.n_words ? cli_usage("list", "unexpected argument %s", line.words[0]) : list_models(json);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
