/* Texts and cases: see corpus.h. */
#include "corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- texts ---- */

exaone_status cli_text_read(cli_text *t, const char *path, const exaone_engine *e, int64_t chunk_tokens, bool parse_special,
                            exaone_error *err) {
    *t = (cli_text){.chunk = chunk_tokens ? (size_t)chunk_tokens : CLI_CHUNK_TOKENS};
    size_t limit = (size_t)exaone_engine_info(e)->max_position_embeddings, n_text;
    t->chunk = t->chunk > limit ? limit : t->chunk;
    char *text;
    exaone_status s = cli_input_read(path, CLI_MAX_CORPUS, &text, &n_text, err);
    if (s == EXAONE_OK) {
        s = exaone_tokenizer_encode(exaone_engine_tokenizer(e), text, n_text, parse_special ? EXAONE_PARSE_SPECIAL : 0,
                                    &t->ids, &t->n_ids, err);
    }
    if (s == EXAONE_OK && t->n_ids < 2) {
        s = exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: fewer than two tokens", path);
    }
    free(text);
    return s;
}

void cli_text_release(cli_text *t) {
    free(t->ids);
    *t = (cli_text){0};
}

/* A last chunk of one token predicts nothing and is left out. */
size_t cli_text_chunks(const cli_text *t) {
    return t->n_ids < 2 ? 0 : (t->n_ids - 2) / t->chunk + 1;
}

const int32_t *cli_text_chunk(const cli_text *t, size_t i, size_t *n) {
    size_t at = i * t->chunk;
    *n = t->n_ids - at < t->chunk ? t->n_ids - at : t->chunk;
    return t->ids + at;
}

exaone_status cli_forward_ids(exaone_engine *e, const int32_t *ids, size_t n, bool labels,
                              const exaone_forward_options *options, exaone_tensors **out, exaone_error *err) {
    static const char *const names[] = {"input_ids", "labels"};
    exaone_tensors *in = exaone_tensors_new();
    *out = NULL;
    exaone_status s = in ? EXAONE_OK : exaone_fail_memory(err, "a chunk", n * sizeof *ids);
    uint64_t dims[] = {1, n};
    for (size_t k = 0; k < 1 + (size_t)labels && s == EXAONE_OK; k++) {
        s = exaone_tensors_add(in, names[k], EXAONE_I64, 2, dims, NULL, err);
        int64_t *values = s == EXAONE_OK ? exaone_tensors_get(in, names[k])->data : NULL;
        for (size_t i = 0; values && i < n; i++) {
            values[i] = ids[i];
        }
    }
    if (s == EXAONE_OK) {
        s = exaone_forward(e, in, options, out, err);
    }
    exaone_tensors_free(in);
    return s;
}

/* ---- cases ---- */

/* The request that the template reads: messages, tools and options of the case. */
static char *request_of(const exaone_json *c, size_t *n) {
    exaone_buf b;
    exaone_buf_init(&b, CLI_MAX_CORPUS);
    const exaone_json *messages = exaone_json_get(c, "messages"), *tools = exaone_json_get(c, "tools");
    exaone_buf_puts(&b, "{\"messages\": ");
    messages ? exaone_json_put(&b, messages) : (void)exaone_buf_puts(&b, "[]");
    if (exaone_json_is(tools, EXAONE_JSON_ARRAY)) {
        exaone_buf_puts(&b, ", \"tools\": ");
        exaone_json_put(&b, tools);
    }
    bool off = exaone_json_is(exaone_json_get(c, "enable_thinking"), EXAONE_JSON_FALSE);
    exaone_buf_printf(&b, ", \"options\": {\"add_generation_prompt\": true, \"enable_thinking\": %s}}",
                      off ? "false" : "true");
    return b.failed ? (exaone_buf_release(&b), NULL) : exaone_buf_take(&b, n);
}

static exaone_status run_line(const char *line, size_t len, const char *base, cli_case_fn *fn, void *ctx,
                              exaone_error *err) {
    exaone_arena arena;
    exaone_json *c;
    exaone_arena_init(&arena, len * 64 + 65536);
    exaone_status s = exaone_json_parse(line, len, &arena, &c, err);
    if (s == EXAONE_OK) {
        ask_settings settings = {.base = base, .thinking = true};
        exaone_sampling_default(&settings.sampling);
        settings.sampling.do_sample = false;
        settings.tools = exaone_json_is(exaone_json_get(c, "tools"), EXAONE_JSON_ARRAY);
        size_t n = 0;
        char *request = request_of(c, &n);
        s = request ? fn(ctx, c, request, n, &settings, err) : exaone_fail_memory(err, "a request", c->len);
        free(request);
    }
    exaone_arena_release(&arena);
    return s;
}

exaone_status cli_cases_read(const char *path, int64_t only, cli_case_fn *fn, void *ctx, exaone_error *err) {
    size_t n = 0, line = 0;
    char *text;
    exaone_status s = cli_input_read(path, CLI_MAX_CORPUS, &text, &n, err);
    if (s != EXAONE_OK) {
        return s;
    }
    const char *slash = strrchr(path, '/');
    char *base = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    if (!base) {
        s = exaone_fail_memory(err, "a path", strlen(path));
    }
    for (char *p = text; s == EXAONE_OK && p && p < text + n && !cli_interrupted;) {
        char *end = memchr(p, '\n', (size_t)(text + n - p));
        size_t len = end ? (size_t)(end - p) : (size_t)(text + n - p);
        line++;
        if (len > 0 && (only == 0 || (int64_t)line <= only)) {
            s = run_line(p, len, base, fn, ctx, err);
            if (s != EXAONE_OK) {
                exaone_fail_context(err, s, "%s line %zu", path, line);
            }
        }
        p = end ? end + 1 : NULL;
    }
    free(base);
    free(text);
    return s;
}
