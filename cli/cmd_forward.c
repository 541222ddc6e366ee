/* `exaone forward`: the forward door for people without C. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct {
    cli_model_options model;
    const char *in, *out, *stages, *calls, *prefix;
    cli_list drop, map, stop_ids;
    bool mtp, packed, no_stop;
    int64_t greedy, draft, min_new_tokens;
    double repetition, presence, frequency;
} forward_options;

/* "20,1,1,7" */
static int64_t *parse_calls(const char *text, size_t *n) {
    size_t count = 1;
    for (const char *p = text; *p; p++) {
        count += *p == ',';
    }
    int64_t *calls = calloc(count, sizeof *calls);
    char *end = NULL;
    *n = 0;
    for (const char *p = text; calls; p = end + 1) {
        calls[*n] = strtoll(p, &end, 10);
        if (end == p || calls[(*n)++] < 1 || (*end && *end != ',')) {
            free(calls);
            return NULL;
        }
        if (!*end) {
            break;
        }
    }
    return calls;
}

/* Copies the inputs under the names that the library reads: --prefix, --drop, --map. */
static exaone_status select_inputs(const exaone_tensors *file, const forward_options *o, exaone_tensors *in,
                                   exaone_error *err) {
    size_t skip = o->prefix ? strlen(o->prefix) : 0;
    exaone_status s = EXAONE_OK;
    for (size_t m = 0; m < o->map.n && s == EXAONE_OK; m++) {
        const char *equals = strchr(o->map.items[m], '=');
        const exaone_tensor *t = equals ? exaone_tensors_get(file, equals + 1) : NULL;
        char name[128];
        if (!t || (size_t)(equals - o->map.items[m]) >= sizeof name) {
            err->code = EXAONE_ERR_ARGUMENT;
            snprintf(err->message, sizeof err->message, "--map %s: want NAME=TENSOR with a tensor of the input file",
                     o->map.items[m]);
            return EXAONE_ERR_ARGUMENT;
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - o->map.items[m]), o->map.items[m]);
        s = exaone_tensors_add(in, name, t->dtype, t->n_dims, t->dims, t->data, err);
    }
    for (size_t i = 0; i < exaone_tensors_count(file) && s == EXAONE_OK; i++) {
        const exaone_tensor *t = exaone_tensors_at(file, i);
        bool take = !o->prefix || strncmp(t->name, o->prefix, skip) == 0;
        for (size_t d = 0; d < o->drop.n; d++) {
            take = take && strcmp(t->name, o->drop.items[d]) != 0;
        }
        take = take && !exaone_tensors_get(in, t->name + (take ? skip : 0));
        if (take && t->dtype <= EXAONE_BOOL) {
            s = exaone_tensors_add(in, t->name + skip, t->dtype, t->n_dims, t->dims, t->data, err);
        }
    }
    return s;
}

static int forward(const forward_options *o, const exaone_forward_options *f) {
    exaone_error err = {0};
    exaone_tensors *file = NULL, *in = exaone_tensors_new(), *out = NULL;
    exaone_engine *engine = cli_open_engine(&o->model, true);
    if (!engine || !in) {
        engine ? cli_note("out of memory") : (void)0;
        exaone_tensors_free(in);
        exaone_engine_close(engine);
        return CLI_FAILED;
    }
    exaone_status s = exaone_tensors_load(o->in, &file, &err);
    if (s == EXAONE_OK) {
        s = select_inputs(file, o, in, &err);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward(engine, in, f, &out, &err);
    }
    if (s == EXAONE_OK) {
        s = exaone_tensors_save(out, o->out, &err);
    }
    exaone_tensors_free(file);
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(engine);
    if (s != EXAONE_OK && strncmp(err.message, "stages: ", 8) == 0) {
        return cli_usage("forward", "--%s", err.message);
    }
    return s == EXAONE_OK ? CLI_OK : cli_fail(&err);
}

static int check_and_run(forward_options *o) {
    if (!o->in || !o->out) {
        return cli_usage("forward", "--in and --out are needed");
    }
    int32_t stops[32];
    if (o->stop_ids.n > 32) {
        return cli_usage("forward", "--stop-id: at most 32");
    }
    for (size_t i = 0; i < o->stop_ids.n; i++) {
        char *end;
        long v = strtol(o->stop_ids.items[i], &end, 10);
        if (*end || end == o->stop_ids.items[i] || v < 0 || v > INT32_MAX) {
            return cli_usage("forward", "--stop-id %s: want a token id", o->stop_ids.items[i]);
        }
        stops[i] = (int32_t)v;
    }
    exaone_forward_options f = {
        .stages = o->stages,
        .mtp = o->mtp,
        .packed = o->packed,
        .greedy = (int)o->greedy,
        .draft = (int)o->draft,
        .repetition_penalty = o->repetition,
        .presence_penalty = o->presence,
        .frequency_penalty = o->frequency,
        .min_new_tokens = (int)o->min_new_tokens,
        .stop_ids = o->stop_ids.n ? stops : NULL,
        .n_stop_ids = o->stop_ids.n,
        .no_stop = o->no_stop,
    };
    int64_t *calls = NULL;
    if (o->calls) {
        calls = parse_calls(o->calls, &f.n_calls);
        if (!calls) {
            return cli_usage("forward", "--calls %s: want lengths separated by commas, as 20,1,1,7", o->calls);
        }
        f.calls = calls;
    }
    int code = forward(o, &f);
    free(calls);
    return code;
}

int cmd_forward(int argc, char **argv) {
    forward_options o = {.model.precision = "f32"}; /* the reference mode */
    const cli_option options[] = {
        CLI_MODEL_OPTIONS(o.model),
        {"--in", NULL, OPT_TEXT, &o.in, 0, 0, "FILE", "safetensors file with the inputs"},
        {"--out", NULL, OPT_TEXT, &o.out, 0, 0, "FILE", "safetensors file to write"},
        {"--stages", NULL, OPT_TEXT, &o.stages, 0, 0, "LIST", "all, or names and prefixes: logits,layer.,final_norm"},
        {"--calls", NULL, OPT_TEXT, &o.calls, 0, 0, "LIST", "feed the ids through the cache in calls of these lengths"},
        {"--mtp", NULL, OPT_FLAG, &o.mtp, 0, 0, NULL, "the MTP stages"},
        {"--draft", NULL, OPT_INT, &o.draft, 1, 64, "N", "with --mtp: draft steps (default 3)"},
        {"--packed", NULL, OPT_FLAG, &o.packed, 0, 0, NULL, "every jump in position_ids starts a new sequence"},
        {"--greedy", NULL, OPT_INT, &o.greedy, 1, 1 << 20, "N", "generate N ids greedily: ids, margin, logits"},
        {"--repetition-penalty", NULL, OPT_DOUBLE, &o.repetition, 1e-6, 1e6, "X", "with --greedy"},
        {"--presence-penalty", NULL, OPT_DOUBLE, &o.presence, -1e6, 1e6, "X", "with --greedy"},
        {"--frequency-penalty", NULL, OPT_DOUBLE, &o.frequency, -1e6, 1e6, "X", "with --greedy"},
        {"--min-new-tokens", NULL, OPT_INT, &o.min_new_tokens, 0, 1 << 20, "N", "with --greedy: no stop before"},
        {"--stop-id", NULL, OPT_LIST, &o.stop_ids, 0, 0, "ID",
         "with --greedy: a token that ends (repeatable; default: the model's)"},
        {"--no-stop", NULL, OPT_FLAG, &o.no_stop, 0, 0, NULL, "with --greedy: never end before N"},
        {"--prefix", NULL, OPT_TEXT, &o.prefix, 0, 0, "P", "read input NAME from tensor P+NAME"},
        {"--map", NULL, OPT_LIST, &o.map, 0, 0, "NAME=TENSOR", "read input NAME from this tensor (repeatable)"},
        {"--drop", NULL, OPT_LIST, &o.drop, 0, 0, "NAME", "ignore this tensor of the input file (repeatable)"},
    };
    enum { N = sizeof options / sizeof options[0] };
    cli_command_line line;
    int code = cli_options_parse("forward", options, N, argc, argv, &line);
    if (code < 0) {
        code = line.n_words ? cli_usage("forward", "unexpected argument %s", line.words[0])
                            : cli_model_check("forward", &o.model);
    }
    if (code < 0) {
        code = check_and_run(&o);
    }
    cli_options_release(options, N, &line);
    return code;
}
