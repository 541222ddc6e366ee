/* The option parser: one table per command gives names, ranges and help. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cli_command *command_of(const char *name) {
    for (const cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static void show_help(const char *name, const cli_option *options, size_t n) {
    const cli_command *c = command_of(name);
    printf("%s\n\nUsage: %s\n", c ? c->summary : name, c ? c->synopsis : name);
    if (n) {
        printf("\nOptions:\n");
    }
    for (size_t i = 0; i < n; i++) {
        const cli_option *o = &options[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", o->alias ? o->alias : "", o->alias ? ", " : "    ", o->name,
                 o->argument ? " " : "", o->argument ? o->argument : "");
        printf(strlen(left) <= 30 ? "  %-30s %s\n" : "  %s\n                                 %s\n", left, o->help);
    }
    printf("  %-30s %s\n", "-q, --quiet", "no notes and no progress on standard error, errors only");
    printf("  %-30s %s\n", "-h, --help", "this text");
    if (c && c->details) {
        printf("\n%s\n", c->details);
    }
}

size_t cli_distance(const char *a, const char *b) {
    size_t row[64], m = strlen(b);
    if (m >= 63 || strlen(a) >= 63) {
        return 99;
    }
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1]; i++) {
        size_t before = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

/* The nearest name: one that the word begins or that begins the word goes before few changed letters. */
static int unknown_option(const char *command, const char *word, const cli_option *options, size_t n) {
    const char *near = NULL;
    size_t len = strlen(word), best = len / 3 + 1; /* a third of the letters may be wrong */
    for (size_t i = 0; i < n && len > 2; i++) {
        const char *name = options[i].name;
        bool begins = len > 3 && (strncmp(word, name, len) == 0 || strncmp(word, name, strlen(name)) == 0);
        size_t d = begins ? 0 : cli_distance(word, name);
        if (d < best) {
            best = d;
            near = name;
        }
    }
    return near ? cli_usage(command, "unknown option %s; did you mean %s?", word, near)
                : cli_usage(command, "unknown option %s", word);
}

static int number_fault(const char *command, const cli_option *o, const char *text) {
    return cli_usage(
        command, o->kind == OPT_INT ? "%s %s: want a whole number from %.0f to %.0f" : "%s %s: want a number from %g to %g",
        o->name, text, o->min, o->max);
}

static bool add_item(cli_list *list, const char *item, int order) {
    const char **items = realloc(list->items, (list->n + 1) * sizeof *items);
    if (!items) {
        return false;
    }
    list->items = items;
    int *places = realloc(list->order, (list->n + 1) * sizeof *places);
    if (!places) {
        return false;
    }
    list->order = places;
    items[list->n] = item;
    places[list->n++] = order;
    return true;
}

/* Stores the option's argument; -1 or an exit code. */
static int store(const char *command, const cli_option *o, const char *text, int order) {
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPT_FLAG:
    case OPT_NO_FLAG:
        *(bool *)o->value = o->kind == OPT_FLAG;
        return -1;
    case OPT_INT: {
        long long v = strtoll(text, &end, 10);
        if (end == text || *end || errno || (double)v < o->min || (double)v > o->max) {
            return number_fault(command, o, text);
        }
        *(int64_t *)o->value = v;
        return -1;
    }
    case OPT_DOUBLE: {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v) || v < o->min || v > o->max) {
            return number_fault(command, o, text);
        }
        *(double *)o->value = v;
        return -1;
    }
    case OPT_TEXT:
        *(const char **)o->value = text;
        return -1;
    case OPT_LIST:
        if (!add_item(o->value, text, order)) {
            cli_note("out of memory");
            return CLI_FAILED;
        }
        return -1;
    }
    return -1;
}

static const cli_option *find(const cli_option *options, size_t n, const char *word, size_t len) {
    for (size_t i = 0; i < n; i++) {
        const char *names[] = {options[i].name, options[i].alias};
        for (int k = 0; k < 2; k++) {
            if (names[k] && strlen(names[k]) == len && memcmp(names[k], word, len) == 0) {
                return &options[i];
            }
        }
    }
    return NULL;
}

/* A negative number is a word, not an option. */
static bool is_option(const char *word) {
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9');
}

int cli_options_parse(const char *name, const cli_option *options, size_t n, int argc, char **argv, cli_command_line *line) {
    *line = (cli_command_line){0};
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    if (!words) {
        cli_note("out of memory");
        return CLI_FAILED;
    }
    line->words = words;
    bool only_words = false;
    for (int i = 1, order = 0; i < argc; i++) {
        const char *word = argv[i];
        if (only_words || !is_option(word)) {
            words[line->n_words++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            show_help(name, options, n);
            return CLI_OK;
        }
        const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
        const cli_option *o = find(options, n, word, equals ? (size_t)(equals - word) : strlen(word));
        if (!o && (strcmp(word, "--quiet") == 0 || strcmp(word, "-q") == 0)) {
            cli_quiet = true;
            continue;
        }
        if (!o) {
            return unknown_option(name, word, options, n);
        }
        bool flag = o->kind == OPT_FLAG || o->kind == OPT_NO_FLAG;
        if (flag && equals) {
            return cli_usage(name, "%s takes no value", o->name);
        }
        if (!flag && !equals && i + 1 >= argc) {
            return cli_usage(name, "%s needs a value: %s", o->name, o->argument);
        }
        int code = store(name, o, flag ? NULL : equals ? equals + 1 : argv[++i], order++);
        if (code >= 0) {
            return code;
        }
    }
    return -1;
}

void cli_options_release(const cli_option *options, size_t n, cli_command_line *line) {
    for (size_t i = 0; i < n; i++) {
        if (options[i].kind == OPT_LIST) {
            cli_list *list = options[i].value;
            free(list->items);
            free(list->order);
            *list = (cli_list){0};
        }
    }
    free((void *)(uintptr_t)line->words);
    *line = (cli_command_line){0};
}

bool cli_size_parse(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    uint64_t scale = 1;
    if (*end && end != text) {
        const char *units = "kKmMgGtT", *at = strchr(units, *end);
        if (!at || end[1]) {
            return false;
        }
        for (long i = 0; i <= (at - units) / 2; i++) {
            scale *= 1000;
        }
    }
    if (errno || end == text || text[0] == '-' || n < 1 || n > UINT64_MAX / scale) {
        return false;
    }
    *out = n * scale;
    return true;
}
