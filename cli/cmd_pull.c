/* `exaone pull`: fetches a model into the cache of the Hugging Face hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "hub.h"

enum { LINE_MS = 30000, BAR = 10 };

typedef struct meter {
    bool terminal;
    int64_t started_ms, sample_ms, line_ms; /* line: the last one that was written into a file */
    uint64_t sample_bytes;
    double rate; /* bytes per second, smoothed; 0: not known yet */
    bool said_locked;
} meter;

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void measure(meter *m, uint64_t received) {
    int64_t now = now_ms(), ms = now - m->sample_ms;
    if (ms >= 1000 || (m->rate <= 0 && ms >= 400 && received)) {
        double rate = (double)(received - m->sample_bytes) * 1000 / (double)ms;
        m->rate = m->rate > 0 ? 0.7 * m->rate + 0.3 * rate : rate;
        m->sample_ms = now;
        m->sample_bytes = received;
    }
}

static void time_left(const meter *m, uint64_t bytes, char out[32]) {
    double s = m->rate > 0 ? (double)bytes / m->rate : -1;
    if (s < 0 || s > 359999) {
        snprintf(out, 32, "-:--");
    } else if (s >= 3600) {
        snprintf(out, 32, "%d:%02d:%02d", (int)s / 3600, (int)s / 60 % 60, (int)s % 60);
    } else {
        snprintf(out, 32, "%d:%02d", (int)s / 60, (int)s % 60);
    }
}

static void show_bar(const meter *m, const exaone_hub_progress *p, const char *verb) {
    char done[32], total[32], rate[32], left[32], bar[BAR + 1];
    int percent = p->total_bytes ? (int)((double)p->total_done * 100 / (double)p->total_bytes) : 100;
    for (int i = 0; i < BAR; i++) {
        bar[i] = i * 100 < percent * BAR ? '#' : '.';
    }
    bar[BAR] = 0;
    time_left(m, p->total_bytes - p->total_done, left);
    cli_progress(true, "%s[%s] %d%% %s of %s, %s/s, %s left  %s", verb, bar, percent, cli_hub_size(p->total_done, done),
                 cli_hub_size(p->total_bytes, total), cli_hub_size((unsigned long long)m->rate, rate), left, p->file);
}

static void show_line(meter *m, const exaone_hub_progress *p) {
    char done[32], total[32], rate[32], left[32];
    int64_t now = now_ms();
    if (now - m->line_ms >= LINE_MS) {
        m->line_ms = now;
        time_left(m, p->total_bytes - p->total_done, left);
        cli_say("%s: %s of %s, %s/s, %s left", p->file, cli_hub_size(p->total_done, done),
                cli_hub_size(p->total_bytes, total), cli_hub_size((unsigned long long)m->rate, rate), left);
    }
}

static void on_progress(void *arg, const exaone_hub_progress *p) {
    meter *m = arg;
    measure(m, p->received);
    switch (p->phase) {
    case EXAONE_HUB_WAITING:
        cli_progress(m->terminal, "%s; next attempt in %d s", p->reason ? p->reason : "waiting", (p->wait_ms + 999) / 1000);
        break;
    case EXAONE_HUB_LOCKED:
        if (!m->said_locked) {
            cli_say("another process is downloading %s; waiting for it", p->file);
        }
        m->said_locked = true;
        break;
    case EXAONE_HUB_CHECKING:
    case EXAONE_HUB_FETCHING:
        if (m->terminal) {
            show_bar(m, p, p->phase == EXAONE_HUB_CHECKING ? "checking: " : "");
        } else {
            show_line(m, p);
        }
        break;
    case EXAONE_HUB_LISTING:
        cli_progress(m->terminal, "asking for the list of files");
        break;
    }
}

static bool is_url(const char *text) {
    return strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0;
}

/* What may be done with the model, and where that is written. */
static void tell_license(const exaone_hub_plan *plan, const exaone_hub_options *o) {
    const char *site = o->endpoint ? o->endpoint : EXAONE_HUB_ENDPOINT;
    bool link = is_url(plan->license_link);
    bool exaone = strncasecmp(plan->name.repo, "LGAI-EXAONE/", 12) == 0 || strncasecmp(plan->license, "exaone", 6) == 0;
    cli_say("licence: %s%s; read it at %s%s%s", plan->license[0] ? plan->license : "not named by its page",
            exaone ? " (LG's terms: research and other non-commercial use only)" : "", link ? plan->license_link : site,
            link ? "" : "/", link ? "" : plan->name.repo);
}

static void tell_plan(const exaone_hub_plan *plan) {
    char size[32], rest[32];
    cli_say("%s%s%s at %.12s: %zu file%s, %s; %s to fetch", plan->name.repo, plan->name.quant[0] ? ":" : "",
            plan->name.quant, plan->commit, plan->n_files, plan->n_files == 1 ? "" : "s",
            cli_hub_size(plan->total_bytes, size), cli_hub_size(plan->fetch_bytes, rest));
}

/* Size and name of each file, for --dry-run. */
static void print_files(const exaone_hub_plan *plan) {
    char size[32];
    for (size_t i = 0; i < plan->n_files; i++) {
        const exaone_hub_file *f = &plan->files[i];
        const char *state = f->have == f->size ? "  (there)" : f->have ? "  (begun)" : "";
        printf("%10s  %s%s\n", cli_hub_size(f->size, size), f->path, state);
    }
}

static int pull(const char *text, cli_hub *hub, bool dry_run, meter *m) {
    exaone_hub_name name;
    exaone_hub_plan plan = {0};
    exaone_error err = {0};
    if (exaone_hub_name_parse(text, &name, &err) != EXAONE_OK) {
        cli_fail(&err);
        return CLI_USAGE;
    }
    cli_catch_interrupt();
    exaone_status status = exaone_hub_plan_make(&name, &hub->options, &plan, &err);
    if (!status && plan.n_files) {
        tell_plan(&plan);
        if (plan.fetch_bytes || dry_run) {
            tell_license(&plan, &hub->options);
        }
    }
    m->started_ms = m->sample_ms = m->line_ms = now_ms();
    if (!status && !dry_run) {
        status = exaone_hub_plan_fetch(&plan, &hub->options, &err);
    }
    cli_progress_clear(m->terminal);
    int code = CLI_OK;
    if (status) {
        cli_fail(&err);
        code = status == EXAONE_ERR_CANCELLED ? cli_interrupt_code() : CLI_FAILED;
    } else if (dry_run) {
        print_files(&plan);
    } else {
        code = cli_write(plan.model, strlen(plan.model)) && cli_write("\n", 1) ? CLI_OK : CLI_FAILED;
    }
    exaone_hub_plan_free(&plan);
    return code;
}

int cmd_pull(int argc, char **argv) {
    const char *revision = NULL, *mmproj = NULL;
    bool dry_run = false;
    int64_t connections = 8;
    const cli_option options[] = {
        {"--revision", NULL, OPT_TEXT, &revision, 0, 0, "REV", "branch, tag or commit (default: main)"},
        {"--mmproj", NULL, OPT_TEXT, &mmproj, 0, 0, "TYPE",
         "vision tower to fetch with a GGUF file: BF16, F16 ..., or none (default: BF16, else F16)"},
        {"--connections", NULL, OPT_INT, &connections, 1, 32, "N", "parallel connections for one file (default: 8)"},
        {"--dry-run", NULL, OPT_FLAG, &dry_run, 0, 0, NULL, "show what would be fetched"},
    };
    cli_command_line line;
    int code = cli_options_parse("pull", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0 && line.n_words > 1) {
        code = cli_usage("pull", "unexpected argument %s: one REPO[:QUANT]", line.words[1]);
    }
    if (code < 0) {
        cli_hub hub;
        meter m = {.terminal = isatty(STDERR_FILENO)};
        code = CLI_FAILED;
        if (cli_hub_init(&hub)) {
            hub.options.revision = revision;
            hub.options.mmproj = mmproj;
            hub.options.connections = (int)connections;
            hub.options.progress = on_progress;
            hub.options.progress_arg = &m;
            code = pull(line.n_words ? line.words[0] : EXAONE_HUB_DEFAULT, &hub, dry_run, &m);
        }
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
