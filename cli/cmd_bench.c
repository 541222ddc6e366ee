/* `exaone bench`: how fast the machine is, how fast a model runs on it, and what lies between the two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cores.h"
#include "bench.h"

enum { ALL_LAYERS = EXAONE_SYNTHETIC_LAYERS, MOST_ROWS = 2048 };

typedef struct bench_options {
    cli_model_options model;
    cli_cache_options cache;
    exaone_cache_type k, v;
    const char *synthetic, *write, *mmproj_out, *only;
    int64_t layers, runs, seconds, batch;
    bool json, csv, force;
    char type[32]; /* behind 33b: */
} bench_options;

typedef struct bench {
    const bench_options *o;
    const char *path; /* of the model, and of its vision tower or NULL */
    const char *mmproj;
    exaone_engine *e;
    exaone_bench *b;
    bench_result r;
    bench_item items[BENCH_MAX_ITEMS];
    double begin;
} bench;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool interrupted(void *ctx) {
    (void)ctx;
    return cli_interrupted != 0;
}

/* ---- what is measured ---- */

static bench_item *add(bench *b, const char *group, bench_kind kind) {
    bench_item *item = &b->items[b->r.n_items++];
    item->group = group;
    item->kind = kind;
    return item;
}

static void add_rows(bench *b, const char *group, size_t rows, size_t context) {
    bench_item *item = add(b, group, BENCH_ROWS);
    bool prefill = rows >= 32;
    item->rows = rows;
    item->logits = prefill ? 1 : rows;
    item->context = context;
    item->units = rows;
    item->unit = "tokens/s";
    const char *what = rows == 1 ? "decode" : prefill ? "prefill" : "pass";
    char number[24] = "", behind[32] = "";
    unsigned thousands = (unsigned)(context / 1024);
    if (rows > 1) {
        snprintf(number, sizeof number, "-%zu", rows);
    }
    if (context > 0) {
        snprintf(behind, sizeof behind, " behind %uK", thousands);
        snprintf(item->name, sizeof item->name, "%.8s%.8s-at-%uK", what, number, thousands);
    } else {
        snprintf(item->name, sizeof item->name, "%.8s%.8s", what, number);
    }
    snprintf(item->text, sizeof item->text, "%.8s, %zu row%s%s", what, rows, rows > 1 ? "s" : "", behind);
}

static void add_vision(bench *b, const char *group, size_t frames, size_t side) {
    bench_item *item = add(b, group, BENCH_VISION);
    item->frames = frames;
    item->height = item->width = side;
    item->unit = "patches/s";
    if (frames > 1) {
        snprintf(item->name, sizeof item->name, "video-%zu", frames);
        snprintf(item->text, sizeof item->text, "video, %zu frames of %zu x %zu", frames, side, side);
    } else {
        snprintf(item->name, sizeof item->name, "image-%zu", side);
        snprintf(item->text, sizeof item->text, "image, %zu x %zu", side, side);
    }
}

/* In the order in which they are measured: quick ones first, so that little time gives most of the table. */
static void list_items(bench *b) {
    static const size_t passes[] = {2, 3, 4, 8, 16}, prefills[] = {32, 128, 512, MOST_ROWS};
    static const size_t contexts[] = {4096, 32768, 131072}, images[] = {448, 896, 1344};
    bench_item *item = add(b, "load", BENCH_LOAD);
    snprintf(item->name, sizeof item->name, "load");
    snprintf(item->text, sizeof item->text, "load");
    add_rows(b, "decode", 1, 0);
    for (size_t i = 0; i < CLI_COUNT(passes); i++) {
        add_rows(b, "pass", passes[i], 0);
    }
    item = add(b, "draft", BENCH_DRAFT);
    snprintf(item->name, sizeof item->name, "draft");
    snprintf(item->text, sizeof item->text, "draft step");
    for (size_t i = 0; i < CLI_COUNT(prefills); i++) {
        add_rows(b, "prefill", prefills[i], 0);
    }
    for (size_t i = 0; i < CLI_COUNT(contexts); i++) {
        add_rows(b, "context", 1, contexts[i]);
        add_rows(b, "context", 256, contexts[i]);
    }
    for (size_t i = 0; i < CLI_COUNT(images); i++) {
        add_vision(b, "image", 1, images[i]);
    }
    add_vision(b, "video", 16, 448);
}

/* Is a word of the list a group's or an item's name? */
static bool listed(const char *list, const char *group, const char *name) {
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t n = strcspn(at, ",");
        if ((strlen(name) == n && strncmp(at, name, n) == 0) || (strlen(group) == n && strncmp(at, group, n) == 0)) {
            return true;
        }
    }
    return false;
}

/* Leaves out what --only does not name. -1, or an exit code when it names something else. */
static int choose_items(bench *b, const char *only) {
    for (const char *at = only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t n = strcspn(at, ",");
        char word[64];
        bool known = false;
        snprintf(word, sizeof word, "%.*s", (int)(n < 60 ? n : 60), at);
        for (size_t i = 0; i < b->r.n_items && !known; i++) {
            known = strcmp(word, b->items[i].name) == 0 || strcmp(word, b->items[i].group) == 0;
        }
        if (!known && strcmp(word, "machine") != 0) {
            return cli_usage("bench",
                             "--only %s: want machine, decode, pass, prefill, context, draft, image, video, load, or "
                             "names as prefill-512, decode-at-32K, image-896",
                             word);
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < b->r.n_items; i++) {
        if (!only || listed(only, b->items[i].group, b->items[i].name)) {
            b->items[n++] = b->items[i];
        }
    }
    b->r.n_items = n;
    return -1;
}

/* ---- the model ---- */

static void read_options(bench *b, exaone_engine_options *out) {
    const cli_model_options *m = &b->o->model;
    *out = (exaone_engine_options){.mmproj = b->mmproj,
                                   .cpu_level = m->cpu,
                                   .n_threads = (int)m->threads,
                                   .numa = m->numa,
                                   .no_tokenizer = true,
                                   .precision = m->precision && strcmp(m->precision, "f32") == 0 ? EXAONE_PRECISION_F32
                                                                                                 : EXAONE_PRECISION_AUTO};
}

static bool open_engine(bench *b, exaone_engine **out, double *seconds) {
    exaone_engine_options options;
    exaone_error err = {0};
    read_options(b, &options);
    double begin = now();
    if (exaone_engine_open(b->path, &options, out, &err) != EXAONE_OK) {
        cli_fail(&err);
        return false;
    }
    *seconds = now() - begin;
    return true;
}

/* Room for the longest context that memory allows; longer ones get a reason. */
static bool open_bench(bench *b) {
    uint64_t available = exaone_memory_available();
    uint64_t limit = (uint64_t)exaone_engine_info(b->e)->max_position_embeddings;
    exaone_bench_options options = {.batch = (size_t)b->o->batch, .cache_type_k = b->o->k, .cache_type_v = b->o->v};
    exaone_error err = {0};
    size_t most = 0;
    for (size_t i = 0; i < b->r.n_items; i++) {
        bench_item *item = &b->items[i];
        size_t n = item->kind == BENCH_ROWS ? item->context + item->rows : item->kind == BENCH_DRAFT ? 1 : 0;
        options.n_ctx = n;
        if (n > limit) {
            item->why_not = "the model's context is shorter";
        } else if (n > 0 && exaone_bench_bytes(b->e, &options) > available) {
            item->why_not = "there is too little memory for the context";
        } else if (n > most) {
            most = n;
        }
    }
    options.n_ctx = most;
    if (most > 0 && exaone_bench_open(b->e, &options, &b->b, &err) != EXAONE_OK) {
        cli_fail(&err);
        return false;
    }
    return true;
}

/* ---- runs ---- */

static exaone_status run_item(bench *b, bench_item *item, exaone_error *err) {
    exaone_status s = EXAONE_OK;
    exaone_bench_pass pass = {0};
    if (item->kind == BENCH_ROWS || item->kind == BENCH_DRAFT) {
        s = exaone_bench_context(b->b, item->context, err);
    }
    if (s != EXAONE_OK) {
        return s;
    }
    if (item->kind == BENCH_ROWS) {
        s = exaone_bench_rows(b->b, item->rows, item->logits, interrupted, NULL, &pass, err);
    } else if (item->kind == BENCH_DRAFT) {
        s = exaone_bench_draft(b->b, &pass, err);
    } else if (item->kind == BENCH_VISION) {
        s = exaone_bench_vision(b->e, item->frames, item->height, item->width, interrupted, NULL, &item->units, &pass, err);
    } else {
        exaone_engine *second = NULL;
        if (!open_engine(b, &second, &pass.fixed_seconds)) {
            return EXAONE_ERR_IO;
        }
        exaone_engine_close(second);
    }
    if (s == EXAONE_OK) {
        item->pass = pass;
        item->layer[item->n] = pass.layer_seconds;
        item->fixed[item->n++] = pass.fixed_seconds;
        item->spent += pass.layer_seconds + pass.fixed_seconds;
    }
    return s;
}

/* A first pass that does not count: it brings the weights into memory. */
static exaone_status warm_up(bench *b, exaone_error *err) {
    exaone_bench_pass pass;
    cli_progress(isatty(STDERR_FILENO), "warming up");
    exaone_status s = exaone_bench_context(b->b, 0, err);
    return s ? s : exaone_bench_rows(b->b, 1, 1, interrupted, NULL, &pass, err);
}

static double work_of(const bench_item *item) {
    return item->kind == BENCH_ROWS ? (double)item->rows : (double)(item->frames * item->height * item->width);
}

/* Seconds of the next run: as the last one's, else in proportion to another of the group; 0: who knows. */
static double expected(const bench *b, const bench_item *item) {
    const bench_item *like = item->n ? item : NULL;
    for (size_t i = 0; i < b->r.n_items && !like; i++) {
        const bench_item *other = &b->items[i];
        like = other->n && other->kind == item->kind && strcmp(other->group, item->group) == 0 ? other : NULL;
    }
    if (!like) {
        return 0;
    }
    double each = like->spent / (double)like->n;
    return like == item || item->kind == BENCH_DRAFT || item->kind == BENCH_LOAD ? each
                                                                                 : each * work_of(item) / work_of(like);
}

/* Rounds over all items: a slow spell of the machine then meets each of them. */
static bool run_all(bench *b) {
    exaone_error err = {0};
    exaone_status s = b->b ? warm_up(b, &err) : EXAONE_OK;
    for (int64_t run = 0; run < b->o->runs && s == EXAONE_OK; run++) {
        cli_progress(isatty(STDERR_FILENO), "run %d of %d: the machine", (int)run + 1, (int)b->o->runs);
        if (run == 0 || b->begin + (double)b->o->seconds > now()) {
            if (!bench_machine_measure(&b->r.machine, exaone_engine_info(b->e)->n_threads)) {
                return false;
            }
        }
        for (size_t i = 0; i < b->r.n_items && s == EXAONE_OK && !cli_interrupted; i++) {
            bench_item *item = &b->items[i];
            double left = (double)b->o->seconds - (now() - b->begin);
            if (item->why_not || left <= 0 || left < expected(b, item)) {
                continue;
            }
            cli_progress(isatty(STDERR_FILENO), "run %d of %d: %s", (int)run + 1, (int)b->o->runs, item->text);
            s = run_item(b, item, &err);
            if (s == EXAONE_ERR_MODEL) {
                item->why_not =
                    item->kind == BENCH_VISION ? "the model has no vision tower" : "the model has no draft module";
                s = EXAONE_OK;
            }
        }
    }
    cli_progress_clear(isatty(STDERR_FILENO));
    if (s != EXAONE_OK && s != EXAONE_ERR_CANCELLED) {
        cli_fail(&err);
        return false;
    }
    return true;
}

static int measure(bench *b) {
    double seconds;
    const exaone_model_info *info;
    if (!open_engine(b, &b->e, &seconds)) {
        return CLI_FAILED;
    }
    info = exaone_engine_info(b->e);
    cli_say_numa(&b->o->model, info);
    b->r.cpu_level = info->cpu_level;
    b->r.layers = info->num_hidden_layers;
    b->r.full_layers = b->r.synthetic ? ALL_LAYERS : b->r.layers;
    b->r.cache_k = exaone_cache_type_name(b->o->k);
    b->r.cache_v = exaone_cache_type_name(b->o->v);
    int code = open_bench(b) && run_all(b) ? CLI_OK : CLI_FAILED;
    (void)cli_pages(&b->r.resident, &b->r.huge);
    b->r.seconds = now() - b->begin;
    b->r.interrupted = cli_interrupted != 0;
    if (code == CLI_OK) {
        code = bench_report(&b->r, b->o->json ? BENCH_JSON : b->o->csv ? BENCH_CSV : BENCH_TABLE) ? CLI_OK : CLI_FAILED;
    }
    exaone_bench_close(b->b);
    exaone_engine_close(b->e);
    return code == CLI_OK && cli_interrupted ? cli_interrupt_code() : code;
}

/* ---- random weights ---- */

/* Measures, says and checks the memory; false with the message printed. */
static bool room_for(const bench_options *o, const exaone_synthetic_options *s, exaone_synthetic_size *size) {
    enum { WORK = 512 << 20 }; /* bytes beside the weights: activations, the memory that is read for the bandwidth */
    exaone_error err = {0};
    if (exaone_synthetic_measure(s, size, &err) != EXAONE_OK) {
        cli_fail(&err);
        return false;
    }
    uint64_t need = size->text_bytes + size->mmproj_bytes + WORK, available = exaone_memory_available();
    if (!o->write && need > available) {
        cli_note(
            "%d layers of the 33B as %s need %.1f GB of memory (%.1f GB text, %.1f GB vision, 0.5 GB work), this machine "
            "has %.1f GB left; take fewer with --layers",
            size->layers, s->type, (double)need / 1e9, (double)size->text_bytes / 1e9, (double)size->mmproj_bytes / 1e9,
            (double)available / 1e9);
        return false;
    }
    cli_say("random weights: %d of %d layers as %s, %.2f GB text and %.2f GB vision%s", size->layers, ALL_LAYERS, s->type,
            (double)size->text_bytes / 1e9, (double)size->mmproj_bytes / 1e9, o->write ? "" : " in memory");
    if (size->layers < ALL_LAYERS) {
        cli_say("all %d layers take %.1f GB", ALL_LAYERS, (double)(size->text_bytes_64 + size->mmproj_bytes) / 1e9);
    }
    return true;
}

/* text.gguf -> text-mmproj.gguf beside it */
static bool name_mmproj(const bench_options *o, char *out, size_t room) {
    size_t n = strlen(o->write);
    n -= n > 5 && strcmp(o->write + n - 5, ".gguf") == 0 ? 5 : 0;
    return o->mmproj_out ? snprintf(out, room, "%s", o->mmproj_out) < (int)room
                         : snprintf(out, room, "%.*s-mmproj.gguf", (int)n, o->write) < (int)room;
}

static int write_files(const bench_options *o, const exaone_synthetic_options *s) {
    exaone_error err = {0};
    char mmproj[4200];
    if (!name_mmproj(o, mmproj, sizeof mmproj)) {
        return cli_usage("bench", "--write-gguf: the name has more than %zu characters", sizeof mmproj);
    }
    exaone_status status = exaone_synthetic_write(s, o->write, mmproj, o->force, &err);
    if (status != EXAONE_OK) {
        return status == EXAONE_ERR_CANCELLED ? cli_interrupt_code() : cli_fail(&err);
    }
    cli_say("wrote %s and %s", o->write, mmproj);
    return CLI_OK;
}

/* Is a picture or video among the items, or loading, which has both files? */
static bool needs_vision(const bench *b) {
    bool needs = b->o->write != NULL;
    for (size_t i = 0; i < b->r.n_items; i++) {
        needs = needs || b->items[i].kind == BENCH_VISION || b->items[i].kind == BENCH_LOAD;
    }
    return needs;
}

static int run_synthetic(bench *b) {
    const bench_options *o = b->o;
    exaone_synthetic_options s = {
        .type = o->type, .layers = (int)o->layers, .no_vision = !needs_vision(b), .stop = interrupted};
    exaone_error err = {0};
    exaone_synthetic *made;
    if (!room_for(o, &s, &b->r.size)) {
        return CLI_FAILED;
    }
    if (o->write) {
        return write_files(o, &s);
    }
    cli_progress(isatty(STDERR_FILENO), "making random weights");
    exaone_status status = exaone_synthetic_open(&s, &made, &err);
    if (status != EXAONE_OK) {
        return status == EXAONE_ERR_CANCELLED ? cli_interrupt_code() : cli_fail(&err);
    }
    b->path = exaone_synthetic_path(made);
    b->mmproj = exaone_synthetic_mmproj(made);
    b->r.synthetic = true;
    snprintf(b->r.model, sizeof b->r.model, "33b:%s", o->type);
    b->begin = now();
    int code = measure(b);
    exaone_synthetic_close(made);
    return code;
}

/* Without a model: what --only machine wants. */
static int run_machine(bench *b) {
    size_t n = 0;
    while (exaone_cpu_level(n)) {
        n++;
    }
    b->begin = now();
    b->r.cpu_level = b->o->model.cpu ? b->o->model.cpu : exaone_cpu_level(n - 1);
    b->r.cache_k = exaone_cache_type_name(b->o->k);
    b->r.cache_v = exaone_cache_type_name(b->o->v);
    for (int64_t run = 0; run < b->o->runs && !cli_interrupted; run++) {
        if (!bench_machine_measure(&b->r.machine, b->o->model.threads ? (int)b->o->model.threads : exaone_cores_default())) {
            return CLI_FAILED;
        }
    }
    b->r.seconds = now() - b->begin;
    b->r.interrupted = cli_interrupted != 0;
    if (!bench_report(&b->r, b->o->json ? BENCH_JSON : b->o->csv ? BENCH_CSV : BENCH_TABLE)) {
        return CLI_FAILED;
    }
    return cli_interrupted ? cli_interrupt_code() : CLI_OK;
}

static int run_model(bench *b) {
    bool built_in;
    b->path = cli_model_path(b->o->model.model, &built_in);
    if (!b->path) {
        return CLI_FAILED;
    }
    b->mmproj = b->o->model.mmproj;
    snprintf(b->r.model, sizeof b->r.model, "%s", b->path);
    if (built_in) {
        cli_say("using the built-in tiny model; for the 33B's shapes without a download: --synthetic 33b");
    }
    b->begin = now();
    return measure(b);
}

/* ---- the command ---- */

static int check_synthetic(bench_options *o) {
    const char *type = strncmp(o->synthetic, "33b:", 4) == 0 ? o->synthetic + 4 : "Q4_K_M";
    bool known = false;
    if (strcmp(o->synthetic, "33b") != 0 && strncmp(o->synthetic, "33b:", 4) != 0) {
        return cli_usage("bench", "--synthetic %s: want 33b or 33b:TYPE", o->synthetic);
    }
    for (size_t i = 0; exaone_quantize_types(i) && !known; i++) {
        known = strcasecmp(type, exaone_quantize_types(i)) == 0;
        type = known ? exaone_quantize_types(i) : type;
    }
    if (!known) {
        return cli_usage("bench", "--synthetic 33b:%s: no such type; `exaone quantize --help` lists them", type);
    }
    if (o->model.model || o->model.mmproj) {
        return cli_usage("bench", "--synthetic makes a model, so --model and --mmproj cannot be given too");
    }
    snprintf(o->type, sizeof o->type, "%s", type);
    return -1;
}

static int check(bench_options *o, const cli_command_line *line) {
    if (line->n_words) {
        return cli_usage("bench", "unexpected argument %s", line->words[0]);
    }
    if (o->json && o->csv) {
        return cli_usage("bench", "give one of --json and --csv");
    }
    if (!o->synthetic && (o->layers || o->write)) {
        return cli_usage("bench", "%s belongs to --synthetic", o->layers ? "--layers" : "--write-gguf");
    }
    if ((o->mmproj_out || o->force) && !o->write) {
        return cli_usage("bench", "%s belongs to --write-gguf", o->mmproj_out ? "--mmproj-out" : "--force");
    }
    int code = o->synthetic ? check_synthetic(o) : -1;
    code = code < 0 ? cli_model_check("bench", &o->model) : code;
    return code < 0 ? cli_cache_types("bench", &o->cache, &o->k, &o->v) : code;
}

int cmd_bench(int argc, char **argv) {
    bench_options o = {.runs = 5, .seconds = 600};
    const cli_option table[] = {
        CLI_MODEL_OPTIONS(o.model),
        {"--synthetic", NULL, OPT_TEXT, &o.synthetic, 0, 0, "33b[:TYPE]",
         "random weights of the 33B's shapes, made in memory (default type Q4_K_M)"},
        {"--layers", NULL, OPT_INT, &o.layers, 1, ALL_LAYERS, "N",
         "of its 64 decoder layers only N; results are scaled to 64"},
        {"--write-gguf", NULL, OPT_TEXT, &o.write, 0, 0, "FILE", "write the random weights instead of measuring"},
        {"--mmproj-out", NULL, OPT_TEXT, &o.mmproj_out, 0, 0, "FILE", "their vision tower (default: FILE-mmproj.gguf)"},
        {"--force", NULL, OPT_FLAG, &o.force, 0, 0, NULL, "replace files that are there"},
        {"--only", NULL, OPT_TEXT, &o.only, 0, 0, "LIST", "what to measure, separated by commas; below is the list"},
        {"--runs", NULL, OPT_INT, &o.runs, 1, BENCH_MAX_RUNS, "N", "runs of each, in turn (default 5)"},
        {"--max-seconds", NULL, OPT_INT, &o.seconds, 1, 1 << 30, "S", "begin no run after S seconds (default 600)"},
        {"--batch", NULL, OPT_INT, &o.batch, 1, 65536, "N", "most rows of one forward call (default 256)"},
        CLI_CACHE_TYPE_OPTIONS(o.cache),
        {"--json", NULL, OPT_FLAG, &o.json, 0, 0, NULL, "one JSON object with every run"},
        {"--csv", NULL, OPT_FLAG, &o.csv, 0, 0, NULL, "a table for spreadsheets"},
    };
    cli_command_line line;
    int code = cli_options_parse("bench", table, CLI_COUNT(table), argc, argv, &line);
    code = code < 0 ? check(&o, &line) : code;
    if (code < 0) {
        bench *b = calloc(1, sizeof *b);
        if (b) {
            b->o = &o;
            b->r.items = b->items;
            list_items(b);
            code = choose_items(b, o.only);
            if (code < 0) {
                cli_catch_interrupt();
                code = b->r.n_items == 0 ? run_machine(b) : o.synthetic ? run_synthetic(b) : run_model(b);
            }
            free(b);
        } else {
            cli_note("no memory for the results");
            code = CLI_FAILED;
        }
    }
    cli_options_release(table, CLI_COUNT(table), &line);
    return code;
}
