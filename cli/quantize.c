/* Writing GGUF files: what `quantize` and `convert` share. */
#include "quantize.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hub.h"

enum { BAR = 10, NAME_WIDTH = 26 };

typedef struct progress {
    bool show;
    double begin, shown; /* seconds */
} progress;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool show_progress(void *ctx, const exaone_quantize_progress *p) {
    progress *s = ctx;
    double t = now(), spent = t - s->begin;
    if (s->show && (t - s->shown >= 0.1 || p->done == p->total)) {
        s->shown = t;
        double part = p->total ? (double)p->done / (double)p->total : 1, rate = spent > 0 ? (double)p->done / spent : 0;
        unsigned left = rate > 0 ? (unsigned)((double)(p->total - p->done) / rate + 0.5) : 0;
        int bar = (int)(part * BAR);
        cli_progress(true, "[%.*s%*s] %3.0f %% %.1f MB/s %u:%02u:%02u left %.*s %s", bar, "####################", BAR - bar,
                     "", 100 * part, rate / 1e6, left / 3600, left / 60 % 60, left % 60, NAME_WIDTH, p->tensor, p->type);
    }
    return !cli_interrupted;
}

static void show_note(void *ctx, const char *text) {
    cli_progress_clear(((progress *)ctx)->show);
    cli_say("%s", text);
}

/* Cuts "PATTERN=T" items at their last '='. *out and each pattern: free. */
static bool parse_overrides(const cli_list *list, exaone_quantize_override **out, size_t *bad) {
    *out = calloc(list->n + 1, sizeof **out);
    for (size_t i = 0; i < list->n && *out; i++) {
        const char *equals = strrchr(list->items[i], '=');
        *bad = i;
        if (!equals || equals == list->items[i] || !equals[1]) {
            return false;
        }
        (*out)[i].pattern = strndup(list->items[i], (size_t)(equals - list->items[i]));
        (*out)[i].type = equals + 1;
    }
    return true;
}

static void show_report(const char *target, const exaone_quantize_report *r, double seconds) {
    printf("%s: %.1f MB, %.3f bits per weight", r->text_path[0] ? r->text_path : target, (double)r->text_bytes / 1e6,
           r->bits_per_weight);
    if (r->n_pieces > 1) {
        printf(" in %zu pieces", r->n_pieces);
    }
    printf("\n");
    if (r->mmproj_bytes) {
        printf("%s: %.1f MB\n", r->mmproj_path, (double)r->mmproj_bytes / 1e6);
    }
    cli_say("%zu tensors, %.1f MB read in %.1f s: %.1f MB/s", r->n_tensors, (double)r->source_bytes / 1e6, seconds,
            (double)r->source_bytes / 1e6 / (seconds > 1e-3 ? seconds : 1e-3));
}

static int write_model(const cli_quantize_options *o, const char *source, const char *target,
                       const exaone_quantize_options *parsed) {
    progress p = {.show = isatty(STDERR_FILENO), .begin = now()};
    exaone_quantize_options options = *parsed;
    options.type = o->type;
    options.mmproj_source = o->mmproj;
    options.mmproj_out = o->mmproj_out;
    options.imatrix = o->imatrix;
    options.mmproj_type = o->mmproj_type;
    options.n_overrides = o->tensor_types.n;
    options.no_mmproj = o->no_mmproj;
    options.force = o->force;
    options.threads = (int)o->threads;
    options.progress = show_progress;
    options.note = show_note;
    options.ctx = &p;
    exaone_quantize_report report;
    exaone_error err = {0};
    cli_catch_interrupt();
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone must not leave temporaries behind */
    exaone_status status = exaone_quantize(source, target, &options, &report, &err);
    cli_progress_clear(p.show);
    if (status == EXAONE_ERR_CANCELLED) {
        cli_note("%s; nothing was written", err.message);
        return cli_interrupt_code();
    }
    if (status) {
        return cli_fail(&err);
    }
    show_report(target, &report, now() - p.begin);
    return CLI_OK;
}

int cli_quantize(const char *command, const cli_quantize_options *o, const cli_command_line *line) {
    if (line->n_words != 2) {
        return cli_usage(command, "want a source and a target, got %zu words", line->n_words);
    }
    exaone_quantize_options options = {0};
    if (o->split_size && !cli_size_parse(o->split_size, &options.split_size)) {
        return cli_usage(command, "--split-size %s: want a number of bytes, as 500M or 4G", o->split_size);
    }
    if (o->no_mmproj && o->mmproj_out) {
        return cli_usage(command, "--no-mmproj and --mmproj-out contradict each other");
    }
    exaone_quantize_override *overrides;
    size_t bad = 0;
    int code;
    if (!parse_overrides(&o->tensor_types, &overrides, &bad)) {
        code = cli_usage(command, "--tensor-type %s: want PATTERN=TYPE, as blk.*.attn_v.weight=Q8_0",
                         o->tensor_types.items[bad]);
    } else if (!overrides) {
        cli_note("out of memory");
        code = CLI_FAILED;
    } else {
        options.overrides = overrides;
        const char *source = cli_hub_model(line->words[0]);
        code = source ? write_model(o, source, line->words[1], &options) : CLI_FAILED;
    }
    for (size_t i = 0; i < o->tensor_types.n && overrides; i++) {
        free((void *)(uintptr_t)overrides[i].pattern);
    }
    free(overrides);
    return code;
}
