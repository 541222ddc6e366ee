/* Which model, and opening it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli.h"
#include "hub.h"

/* The tiny model beside the program: ../models/tiny from a build folder, ../share/exaone/models/tiny when installed. */
static const char *built_in_path(void) {
    static char path[4200];
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    static const char *const places[] = {"../models/tiny", "../share/exaone/models/tiny"};
    if (n > 0) {
        self[n] = 0;
        char *slash = strrchr(self, '/');
        *(slash ? slash + 1 : self) = 0;
        for (size_t i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "%s%s", self, places[i]);
            if (exaone_file_is_dir(path)) {
                return path;
            }
        }
    }
#ifdef EXAONE_DATADIR
    snprintf(path, sizeof path, "%s/models/tiny", EXAONE_DATADIR);
    if (exaone_file_is_dir(path)) {
        return path;
    }
#endif
    return NULL;
}

const char *cli_model_path(const char *given, bool *built_in) {
    *built_in = false;
    if (given && !*given) {
        cli_note("the path of the model is empty");
        return NULL;
    }
    if (given) {
        return cli_hub_model(given);
    }
    const char *environment = getenv("EXAONE_MODEL");
    if (environment && environment[0]) {
        return cli_hub_model(environment);
    }
    const char *path = built_in_path();
    *built_in = path;
    if (!path) {
        cli_note("no model: give -m PATH or set EXAONE_MODEL (the built-in tiny model was not found beside the program)");
    }
    return path;
}

static void say_built_in(void) {
    cli_say("using the built-in tiny model, a toy; for the 33B: exaone pull, then -m with its name");
}

int cli_model_check(const char *command, const cli_model_options *o) {
    static const char *const precisions[] = {"auto", "f32"};
    if (o->model && !*o->model) {
        return cli_usage(command, "--model: the path is empty");
    }
    size_t n = 0;
    bool known = !o->cpu;
    for (; exaone_cpu_level(n); n++) {
        known = known || strcmp(o->cpu, exaone_cpu_level(n)) == 0;
    }
    if (!known) {
        return cli_usage(command, "--cpu %s: this machine runs none of that name, but every level from %s to %s", o->cpu,
                         exaone_cpu_level(0), exaone_cpu_level(n - 1));
    }
    if (o->precision && strcmp(o->precision, precisions[0]) != 0 && strcmp(o->precision, precisions[1]) != 0) {
        return cli_usage(command, "--precision %s: want %s or %s", o->precision, precisions[0], precisions[1]);
    }
    return -1;
}

void cli_say_numa(const cli_model_options *o, const exaone_model_info *info) {
    if (o->numa && info->n_nodes < 2) {
        cli_say("--numa does nothing: the cores that this process may use are on one memory node");
    }
}

exaone_engine *cli_open_engine(const cli_model_options *o, bool no_tokenizer) {
    bool built_in;
    const char *path = cli_model_path(o->model, &built_in);
    if (!path) {
        return NULL;
    }
    if (built_in) {
        say_built_in();
    }
    const char *p = o->precision ? o->precision : "auto";
    exaone_engine_options options = {.precision = strcmp(p, "f32") == 0 ? EXAONE_PRECISION_F32 : EXAONE_PRECISION_AUTO,
                                     .mmproj = o->mmproj,
                                     .cpu_level = o->cpu,
                                     .n_threads = (int)o->threads,
                                     .numa = o->numa,
                                     .no_tokenizer = no_tokenizer,
                                     .imatrix = o->imatrix};
    exaone_engine *engine = NULL;
    exaone_error err = {0};
    if (exaone_engine_open(path, &options, &engine, &err) != EXAONE_OK) {
        cli_fail(&err);
        return NULL;
    }
    const exaone_model_info *info = exaone_engine_info(engine);
    cli_say_numa(o, info);
    if (info->mmproj && info->mmproj_candidates > 1) {
        cli_say("vision tower: %s, chosen from %zu mmproj files beside the model; --mmproj FILE takes another", info->mmproj,
                info->mmproj_candidates);
    }
    size_t n;
    char hex[65] = "";
    const char *text = exaone_engine_chat_template(engine, &n);
    if (text && !no_tokenizer && !exaone_template_identify(text, n, hex)) {
        cli_say("the model file's chat template is unknown (sha256 %.16s...); the built-in EXAONE 4.5 template is used",
                hex);
    }
    return engine;
}

bool cli_tokenizer_open(const char *file, const char *model, cli_tokenizer *t) {
    *t = (cli_tokenizer){0};
    bool built_in = false;
    const char *path = file ? file : cli_model_path(model, &built_in);
    if (!path) {
        return false;
    }
    if (built_in) {
        say_built_in();
    }
    exaone_error err = {0};
    exaone_status status;
    size_t n = strlen(path);
    if (exaone_file_is_dir(path)) {
        char *inside = exaone_path_join(path, "tokenizer.json");
        status = inside ? exaone_tokenizer_open(inside, &t->own, &err) : EXAONE_ERR_MEMORY;
        free(inside);
    } else if (!file || (n > 5 && strcmp(path + n - 5, ".gguf") == 0)) {
        status = exaone_engine_open(path, &(exaone_engine_options){.n_threads = 1}, &t->engine, &err);
    } else {
        status = exaone_tokenizer_open(path, &t->own, &err);
    }
    if (status != EXAONE_OK) {
        err.code = status;
        cli_fail(&err);
        return false;
    }
    t->tok = t->own ? t->own : exaone_engine_tokenizer(t->engine);
    if (!t->tok) {
        cli_note("%s has no tokenizer", path);
    }
    return t->tok;
}

void cli_tokenizer_close(cli_tokenizer *t) {
    exaone_tokenizer_free(t->own);
    exaone_engine_close(t->engine);
    *t = (cli_tokenizer){0};
}
