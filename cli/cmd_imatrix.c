/* `exaone imatrix`: which columns of the weight matrices matter, from texts, cases and images. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus.h"

enum { REPLY_TOKENS = 64 };

typedef struct {
    cli_model_options model;
    cli_list texts, cases, images, in_files;
    const char *out, *prompt;
    int64_t chunk, max_chunks, max_tokens, only;
    bool parse_special;
    cli_media_options media;
} imatrix_options;

typedef struct {
    const imatrix_options *o;
    exaone_engine *e;
    exaone_imatrix *im;
    exaone_session *session;
    size_t n_cases;
    exaone_error err;
} collection;

static bool show(void) {
    return isatty(STDERR_FILENO);
}

/* One forward call covers decoder, output matrix and, where there is one, the MTP block. */
static exaone_status add_text(collection *c, const char *path) {
    bool mtp = exaone_engine_info(c->e)->has_mtp;
    exaone_forward_options options = {.stages = mtp ? "draft.margin" : "loss_mean", .mtp = mtp, .draft = 1};
    cli_text text;
    exaone_status s = cli_text_read(&text, path, c->e, c->o->chunk, c->o->parse_special, &c->err);
    size_t n_chunks = s == EXAONE_OK ? cli_text_chunks(&text) : 0;
    if (c->o->max_chunks && n_chunks > (size_t)c->o->max_chunks) {
        n_chunks = (size_t)c->o->max_chunks;
    }
    double begin = cli_seconds();
    for (size_t i = 0; i < n_chunks && s == EXAONE_OK && !cli_interrupted; i++) {
        size_t n;
        const int32_t *ids = cli_text_chunk(&text, i, &n);
        exaone_tensors *out;
        double spent = cli_seconds() - begin;
        char left[32] = "";
        if (i) {
            snprintf(left, sizeof left, ", %.0f s left", spent / (double)i * (double)(n_chunks - i));
        }
        cli_progress(show(), "%s: chunk %zu of %zu%s", path, i + 1, n_chunks, left);
        s = cli_forward_ids(c->e, ids, n, !mtp, &options, &out, &c->err);
        exaone_tensors_free(out);
    }
    if (s == EXAONE_OK) {
        s = exaone_imatrix_note(c->im, path, (uint32_t)n_chunks, (uint32_t)text.chunk, &c->err);
    }
    cli_progress_clear(show());
    cli_text_release(&text);
    return s;
}

static exaone_status add_case(void *ctx, const exaone_json *json, const char *request, size_t n, ask_settings *settings,
                              exaone_error *err) {
    collection *c = ctx;
    ask_result r = {0};
    settings->max_tokens = c->o->max_tokens;
    settings->media = c->o->media;
    cli_progress(show(), "%zu cases", c->n_cases);
    exaone_status s = ask(c->e, c->session, request, n, json, settings, NULL, NULL, &r, err);
    c->n_cases += s == EXAONE_OK;
    ask_result_release(&r);
    return s == EXAONE_OK ? exaone_imatrix_note(c->im, NULL, 1, 0, err) : s;
}

static exaone_status add_cases(collection *c, const char *path) {
    exaone_status s = cli_cases_read(path, c->o->only, add_case, c, &c->err);
    cli_progress_clear(show());
    return s == EXAONE_OK ? exaone_imatrix_note(c->im, path, 0, 0, &c->err) : s;
}

/* An image with the prompt, answered greedily. */
static exaone_status add_image(collection *c, const char *path) {
    exaone_chat_part parts[] = {{EXAONE_PART_IS_IMAGE, path}, {EXAONE_PART_IS_TEXT, c->o->prompt}};
    exaone_chat *chat = exaone_chat_new();
    char *request = NULL;
    ask_settings settings = {.max_tokens = c->o->max_tokens, .media = c->o->media, .progress = show()};
    ask_result r = {0};
    size_t n = 0;
    exaone_sampling_default(&settings.sampling);
    settings.sampling.do_sample = false;
    exaone_status s = chat ? exaone_chat_add(chat, "user", parts, 2, &c->err) : EXAONE_ERR_MEMORY;
    if (s == EXAONE_OK) {
        s = exaone_chat_to_json(chat, false, &request, &n, &c->err);
    }
    if (s == EXAONE_OK) {
        s = ask(c->e, c->session, request, n, NULL, &settings, NULL, NULL, &r, &c->err);
    }
    if (s == EXAONE_OK) {
        s = exaone_imatrix_note(c->im, path, 1, 0, &c->err);
    }
    c->err.code = s;
    ask_result_release(&r);
    free(request);
    exaone_chat_free(chat);
    return s;
}

static exaone_status merge_file(collection *c, const char *path) {
    exaone_imatrix *other;
    exaone_status s = exaone_imatrix_open(path, &other, &c->err);
    if (s == EXAONE_OK) {
        s = exaone_imatrix_merge(c->im, other, &c->err);
        exaone_imatrix_close(other);
    }
    return s;
}

static exaone_status collect(collection *c) {
    const imatrix_options *o = c->o;
    const struct {
        const cli_list *list;
        exaone_status (*fn)(collection *, const char *);
    } sources[] = {{&o->texts, add_text}, {&o->cases, add_cases}, {&o->images, add_image}};
    exaone_status s = EXAONE_OK;
    if (o->cases.n || o->images.n) {
        s = exaone_session_new(c->e, 0, &c->session, &c->err);
    }
    for (size_t k = 0; k < CLI_COUNT(sources); k++) {
        for (size_t i = 0; i < sources[k].list->n && s == EXAONE_OK && !cli_interrupted; i++) {
            s = sources[k].fn(c, sources[k].list->items[i]);
        }
    }
    return s;
}

/* What no row has reached: the quantiser weighs its columns alike. Returns how many matrices the file has. */
static size_t tell_coverage(const exaone_imatrix *im) {
    size_t empty = 0;
    double rows = 0;
    for (size_t i = 0; i < exaone_imatrix_count(im); i++) {
        exaone_imatrix_item item = exaone_imatrix_at(im, i);
        empty += !(item.rows > 0);
        rows = item.rows > rows ? item.rows : rows;
        if (!(item.rows > 0) && empty <= 3) {
            cli_say("%s has seen nothing and is left out%s", item.name, empty == 3 ? " (others may follow)" : "");
        }
    }
    cli_say("%zu matrices, up to %.0f rows; %zu left out%s", exaone_imatrix_count(im) - empty, rows, empty,
            empty ? " (the vision tower needs --image or --cases, the MTP block --text)" : "");
    return exaone_imatrix_count(im) - empty;
}

static int imatrix(const imatrix_options *o) {
    collection c = {.o = o};
    exaone_status s = exaone_imatrix_new(&c.im, &c.err);
    bool computes = o->texts.n || o->cases.n || o->images.n;
    for (size_t i = 0; i < o->in_files.n && s == EXAONE_OK; i++) {
        s = merge_file(&c, o->in_files.items[i]);
    }
    if (s == EXAONE_OK && computes) {
        cli_model_options model = o->model;
        model.imatrix = c.im;
        c.e = cli_open_engine(&model, false);
        if (!c.e) {
            exaone_imatrix_close(c.im);
            return CLI_FAILED;
        }
        s = collect(&c);
    }
    int code = CLI_OK;
    if (cli_interrupted) {
        cli_note("stopped; nothing was written");
        code = cli_interrupt_code();
    } else {
        if (s == EXAONE_OK) {
            s = exaone_imatrix_save(c.im, o->out, &c.err);
        }
        code = s == EXAONE_OK ? CLI_OK : cli_fail(&c.err);
    }
    if (code == CLI_OK) {
        printf("%s: %zu matrices\n", o->out, tell_coverage(c.im));
    }
    exaone_session_free(c.session);
    exaone_engine_close(c.e);
    exaone_imatrix_close(c.im);
    return code;
}

int cmd_imatrix(int argc, char **argv) {
    imatrix_options o = {.max_tokens = REPLY_TOKENS, .prompt = "Describe the image and transcribe its text."};
    const cli_option options[] = {
        CLI_MODEL_OPTIONS(o.model),
        {"--text", NULL, OPT_LIST, &o.texts, 0, 0, "FILE", "read this text in chunks (repeatable)"},
        {"--cases", NULL, OPT_LIST, &o.cases, 0, 0, "FILE", "answer these cases, one JSON object a line (repeatable)"},
        {"--image", NULL, OPT_LIST, &o.images, 0, 0, "FILE", "look at this image and answer --prompt (repeatable)"},
        {"--in-file", NULL, OPT_LIST, &o.in_files, 0, 0, "FILE", "add an importance matrix made before (repeatable)"},
        {"--out", "-o", OPT_TEXT, &o.out, 0, 0, "FILE", "where the matrix goes"},
        {"--prompt", "-p", OPT_TEXT, &o.prompt, 0, 0, "TEXT", "question about each image"},
        {"--ctx", "-c", OPT_INT, &o.chunk, 2, 1 << 30, "N", "tokens per chunk of a text (default 512)"},
        {"--chunks", NULL, OPT_INT, &o.max_chunks, 1, 1 << 30, "N", "the first N chunks of each text"},
        {"--parse-special", NULL, OPT_FLAG, &o.parse_special, 0, 0, NULL, "control tokens in a text count as such"},
        {"--max-tokens", "-n", OPT_INT, &o.max_tokens, 1, 1 << 20, "N", "longest reply, which counts too (default 64)"},
        {"--limit", NULL, OPT_INT, &o.only, 1, 1 << 30, "N", "the first N cases of each file"},
        CLI_MEDIA_OPTIONS(o.media),
    };
    cli_command_line line;
    int code = cli_options_parse("imatrix", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0 && line.n_words) {
        code = cli_usage("imatrix", "%s is no option; texts are given with --text", line.words[0]);
    }
    if (code < 0 && (!o.out || !*o.out)) {
        code = cli_usage("imatrix", "give -o FILE");
    }
    if (code < 0 && !o.texts.n && !o.cases.n && !o.images.n && !o.in_files.n) {
        code = cli_usage("imatrix", "give --text, --cases, --image or --in-file");
    }
    if (code < 0) {
        code = cli_model_check("imatrix", &o.model);
    }
    if (code < 0) {
        code = cli_media_check("imatrix", &o.media);
    }
    if (code < 0) {
        cli_catch_interrupt();
        code = imatrix(&o);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
