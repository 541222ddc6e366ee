/* `exaone eval`: perplexity of a text; accuracy over a set of cases (the format of tests/eval/tiny/cases.jsonl). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "base/error.h"

enum { MAX_FILE = 256 << 20, CASE_TOKENS = 160 };

typedef struct {
    cli_model_options model;
    const char *text, *cases;
    int64_t context, max_tokens, only;
    bool json;
} eval_options;

/* ---- perplexity ---- */

/* Sum of the negative log-likelihoods of ids[1 .. n) given those before; one forward call. */
static exaone_status chunk_loss(exaone_engine *e, const int32_t *ids, size_t n, double *sum, exaone_error *err) {
    exaone_tensors *in = exaone_tensors_new(), *out = NULL;
    exaone_status s = in ? EXAONE_OK : exaone_fail_memory(err, "a chunk", n * sizeof *ids);
    static const char *const names[] = {"input_ids", "labels"};
    uint64_t dims[] = {1, n};
    for (size_t k = 0; k < 2 && s == EXAONE_OK; k++) {
        s = exaone_tensors_add(in, names[k], EXAONE_I64, 2, dims, NULL, err);
        int64_t *values = s == EXAONE_OK ? exaone_tensors_get(in, names[k])->data : NULL;
        for (size_t i = 0; values && i < n; i++) {
            values[i] = ids[i];
        }
    }
    if (s == EXAONE_OK) {
        s = exaone_forward(e, in, &(exaone_forward_options){.stages = "loss_mean"}, &out, err);
    }
    const exaone_tensor *loss = s == EXAONE_OK ? exaone_tensors_get(out, "loss_mean") : NULL;
    if (loss) {
        float mean;
        memcpy(&mean, loss->data, sizeof mean);
        *sum += (double)mean * (double)(n - 1);
    }
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    return s;
}

/* Chunks of n_ctx tokens, each by itself; every token but a chunk's first is predicted from those before it. */
static int perplexity(const eval_options *o, exaone_engine *e) {
    exaone_error err = {0};
    size_t n_text, n_ids = 0, limit = (size_t)exaone_engine_info(e)->max_position_embeddings;
    size_t chunk = o->context ? (size_t)o->context : 512;
    chunk = chunk > limit ? limit : chunk;
    int32_t *ids = NULL;
    char *text = cli_read_all(o->text, MAX_FILE, &n_text);
    if (!text) {
        return CLI_FAILED;
    }
    double sum = 0;
    size_t counted = 0;
    exaone_status s = exaone_tokenizer_encode(exaone_engine_tokenizer(e), text, n_text, 0, &ids, &n_ids, &err);
    for (size_t at = 0; s == EXAONE_OK && at + 1 < n_ids && !cli_interrupted; at += chunk) {
        size_t n = n_ids - at < chunk ? n_ids - at : chunk;
        s = chunk_loss(e, ids + at, n, &sum, &err);
        counted += n - 1;
        if (!o->json && s == EXAONE_OK) {
            cli_say("chunk %zu of %zu: perplexity so far %.4f", at / chunk + 1, (n_ids + chunk - 1) / chunk,
                    exp(sum / (double)counted));
        }
    }
    free(ids);
    free(text);
    if (s != EXAONE_OK) {
        return cli_fail(&err);
    }
    if (counted == 0) {
        cli_note("%s: fewer than two tokens", o->text);
        return CLI_FAILED;
    }
    double mean = sum / (double)counted;
    printf(o->json ? "{\"tokens\": %zu, \"predicted\": %zu, \"chunk\": %zu, \"nll\": %.9g, \"perplexity\": %.9g}\n"
                   : "tokens %zu, predicted %zu, chunk %zu, mean nll %.6f, perplexity %.4f\n",
           n_ids, counted, chunk, mean, exp(mean));
    return cli_interrupted ? cli_interrupt_code() : CLI_OK;
}

/* ---- cases ---- */

typedef struct {
    char task[32];
    size_t right, of;
} task_count;

typedef struct {
    const eval_options *o;
    exaone_engine *e;
    exaone_session *session;
    char *base; /* folder of the cases file */
    exaone_buf report;
    task_count tasks[64];
    size_t n_tasks, n_cases, n_right, n_same;
} evaluation;

typedef struct {
    const char *text;
    size_t n;
} text_view;

static text_view trim(const char *text, size_t n) {
    while (n && strchr(" \t\r\n", text[0])) {
        text++;
        n--;
    }
    while (n && strchr(" \t\r\n", text[n - 1])) {
        n--;
    }
    return (text_view){text, n};
}

static bool same_json(const exaone_json *a, const exaone_json *b) {
    if (!a || !b || a->type != b->type) {
        return a == b;
    }
    if (a->type == EXAONE_JSON_NUMBER) {
        double x, y;
        return exaone_json_double(a, &x) && exaone_json_double(b, &y) && x == y;
    }
    if (a->type == EXAONE_JSON_STRING) {
        return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
    }
    if (a->len != b->len) {
        return false;
    }
    const exaone_json *y = b->first;
    for (const exaone_json *x = a->first; x; x = x->next, y = a->type == EXAONE_JSON_ARRAY ? y->next : y) {
        char key[256];
        if (a->type == EXAONE_JSON_OBJECT) {
            snprintf(key, sizeof key, "%.*s", (int)x->key_len, x->key);
        }
        if (!same_json(x, a->type == EXAONE_JSON_OBJECT ? exaone_json_get(b, key) : y)) {
            return false;
        }
    }
    return true;
}

/* The calls of the reply against expected.tool_calls: names and arguments. */
static bool calls_right(const exaone_reply *reply, const exaone_json *expected) {
    const exaone_json *want = exaone_json_get(expected, "tool_calls");
    if (!exaone_json_is(want, EXAONE_JSON_ARRAY) || want->len != exaone_reply_n_calls(reply)) {
        return false;
    }
    size_t i = 0;
    for (const exaone_json *w = want->first; w; w = w->next, i++) {
        exaone_tool_call call = exaone_reply_call(reply, i);
        exaone_arena arena;
        exaone_json *arguments;
        exaone_error err;
        exaone_arena_init(&arena, 16 << 20);
        bool ok = exaone_json_parse(call.arguments, strlen(call.arguments), &arena, &arguments, &err) == EXAONE_OK &&
                  exaone_json_equals(exaone_json_get(w, "name"), call.name) &&
                  same_json(arguments, exaone_json_get(w, "arguments"));
        exaone_arena_release(&arena);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool judge(const exaone_json *c, const exaone_reply *reply) {
    const exaone_json *expected = exaone_json_get(c, "expected"), *content = exaone_json_get(expected, "content");
    const exaone_json *check = exaone_json_get(c, "check");
    size_t n, a0, a1, b0, b1;
    const char *got = exaone_reply_content(reply, &n);
    if (exaone_json_equals(check, "tool_call")) {
        return calls_right(reply, expected);
    }
    if (!exaone_json_is(content, EXAONE_JSON_STRING)) {
        return false;
    }
    if (exaone_json_equals(check, "boxed")) {
        bool want = exaone_boxed_last(content->text, content->len, &b0, &b1), have = exaone_boxed_last(got, n, &a0, &a1);
        return want == have && (!want || (a1 - a0 == b1 - b0 && memcmp(got + a0, content->text + b0, a1 - a0) == 0));
    }
    text_view mine = trim(got, n);
    return exaone_reply_n_calls(reply) == 0 && mine.n == content->len && memcmp(mine.text, content->text, mine.n) == 0;
}

static bool same_ids(const exaone_json *want, const ask_result *r) {
    if (!exaone_json_is(want, EXAONE_JSON_ARRAY) || want->len != r->n_ids) {
        return false;
    }
    size_t i = 0;
    for (const exaone_json *w = want->first; w; w = w->next, i++) {
        int64_t id;
        if (!exaone_json_int(w, &id) || id != r->ids[i]) {
            return false;
        }
    }
    return true;
}

static void count(evaluation *v, const exaone_json *task, bool right) {
    char name[32] = "?";
    if (exaone_json_is(task, EXAONE_JSON_STRING)) {
        snprintf(name, sizeof name, "%.*s", (int)task->len, task->text);
    }
    size_t i = 0;
    while (i < v->n_tasks && strcmp(v->tasks[i].task, name) != 0) {
        i++;
    }
    if (i == 64) {
        i = 63;
    }
    if (i == v->n_tasks) {
        snprintf(v->tasks[v->n_tasks++].task, sizeof name, "%s", name);
    }
    v->tasks[i].of++;
    v->tasks[i].right += right;
}

static void put_case(evaluation *v, const exaone_json *id, const ask_result *r, bool right, bool same) {
    exaone_buf *b = &v->report;
    char *text = NULL;
    size_t n = 0;
    exaone_error err;
    exaone_buf_puts(b, v->n_cases ? ", {\"id\": " : "{\"id\": ");
    id ? exaone_json_put(b, id) : (void)exaone_buf_puts(b, "null");
    exaone_buf_puts(b, ", \"output_ids\": [");
    for (size_t i = 0; i < r->n_ids; i++) {
        exaone_buf_printf(b, "%s%d", i ? ", " : "", r->ids[i]);
    }
    exaone_buf_puts(b, "], \"output_text\": ");
    if (exaone_tokenizer_decode(exaone_engine_tokenizer(v->e), r->ids, r->n_ids, 0, &text, &n, &err) == EXAONE_OK) {
        exaone_json_put_string(b, text, n);
    } else {
        exaone_buf_puts(b, "null");
    }
    free(text);
    exaone_buf_printf(b, ", \"correct\": %s, \"matches_reference\": %s}", right ? "true" : "false", same ? "true" : "false");
}

/* The request that the template reads: messages, tools and options of the case. */
static char *request_of(const exaone_json *c, size_t *n) {
    exaone_buf b;
    exaone_buf_init(&b, MAX_FILE);
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

static exaone_status run_case(evaluation *v, const exaone_json *c, exaone_error *err) {
    ask_settings s = {.max_tokens = v->o->max_tokens, .base = v->base, .thinking = true};
    exaone_sampling_default(&s.sampling);
    s.sampling.do_sample = false;
    s.tools = exaone_json_is(exaone_json_get(c, "tools"), EXAONE_JSON_ARRAY);
    size_t n = 0;
    char *request = request_of(c, &n);
    ask_result r = {0};
    if (!request) {
        return exaone_fail_memory(err, "a request", c->len);
    }
    exaone_status status = ask(v->e, v->session, request, n, c, &s, NULL, NULL, &r, err);
    if (status == EXAONE_OK && !r.interrupted) {
        bool right = judge(c, r.reply), same = same_ids(exaone_json_get(c, "output_ids"), &r);
        const exaone_json *id = exaone_json_get(c, "id");
        put_case(v, id, &r, right, same);
        count(v, exaone_json_get(c, "task"), right);
        v->n_cases++;
        v->n_right += right;
        v->n_same += same;
        cli_progress(isatty(STDERR_FILENO), "%zu cases, %zu right", v->n_cases, v->n_right);
    }
    ask_result_release(&r);
    free(request);
    return status;
}

static void print_report(evaluation *v) {
    cli_progress_clear(isatty(STDERR_FILENO));
    if (v->o->json) {
        printf("{\"cases\": [%s], \"accuracy\": {", v->report.data ? v->report.data : "");
        for (size_t i = 0; i < v->n_tasks; i++) {
            exaone_buf name;
            exaone_buf_init(&name, 4096);
            exaone_json_put_string(&name, v->tasks[i].task, strlen(v->tasks[i].task));
            printf("%s%s: [%zu, %zu]", i ? ", " : "", name.data ? name.data : "\"\"", v->tasks[i].right, v->tasks[i].of);
            exaone_buf_release(&name);
        }
        printf("}}\n");
        return;
    }
    for (size_t i = 0; i < v->n_tasks; i++) {
        printf("%-12s %4zu of %zu\n", v->tasks[i].task, v->tasks[i].right, v->tasks[i].of);
    }
    printf("%-12s %4zu of %zu; %zu equal the reference's ids\n", "all", v->n_right, v->n_cases, v->n_same);
}

static int cases(const eval_options *o, exaone_engine *e) {
    evaluation v = {.o = o, .e = e};
    exaone_error err = {0};
    size_t n;
    char *text = cli_read_all(o->cases, MAX_FILE, &n);
    const char *slash = strrchr(o->cases, '/');
    v.base = slash ? strndup(o->cases, (size_t)(slash - o->cases)) : strdup(".");
    exaone_buf_init(&v.report, MAX_FILE);
    exaone_status s = text && v.base ? exaone_session_new(e, (uint64_t)o->context, &v.session, &err) : EXAONE_ERR_IO;
    size_t line = 0;
    for (char *p = text; s == EXAONE_OK && p && p < text + n && !cli_interrupted;) {
        char *end = memchr(p, '\n', (size_t)(text + n - p));
        size_t len = end ? (size_t)(end - p) : (size_t)(text + n - p);
        line++;
        if (len > 0 && (o->only == 0 || (int64_t)line <= o->only)) {
            exaone_arena arena;
            exaone_json *c;
            exaone_arena_init(&arena, len * 64 + 65536);
            s = exaone_json_parse(p, len, &arena, &c, &err);
            if (s == EXAONE_OK) {
                s = run_case(&v, c, &err);
            }
            exaone_arena_release(&arena);
        }
        p = end ? end + 1 : NULL;
    }
    if (s == EXAONE_OK || cli_interrupted) { /* after Ctrl-C: what there is */
        s = EXAONE_OK;
        print_report(&v);
    } else if (text && !v.base) {
        cli_note("out of memory");
    } else if (err.code) {
        cli_note("%s line %zu: %s", o->cases, line, err.message);
    }
    exaone_session_free(v.session);
    exaone_buf_release(&v.report);
    free(v.base);
    free(text);
    return s != EXAONE_OK ? CLI_FAILED : cli_interrupted ? cli_interrupt_code() : CLI_OK;
}

int cmd_eval(int argc, char **argv) {
    eval_options o = {.max_tokens = CASE_TOKENS};
    const cli_option options[] = {
        CLI_MODEL_OPTIONS(o.model),
        {"--text", NULL, OPT_TEXT, &o.text, 0, 0, "FILE", "perplexity of this text"},
        {"--cases", NULL, OPT_TEXT, &o.cases, 0, 0, "FILE", "answer these cases greedily (one JSON object a line)"},
        {"--ctx", "-c", OPT_INT, &o.context, 2, 1 << 30, "N",
         "tokens per chunk of the text (default 512), or context of a case"},
        {"--max-tokens", "-n", OPT_INT, &o.max_tokens, 1, 1 << 20, "N", "longest reply of a case (default 160)"},
        {"--limit", NULL, OPT_INT, &o.only, 1, 1 << 30, "N", "the first N cases only"},
        {"--json", NULL, OPT_FLAG, &o.json, 0, 0, NULL, "one JSON object"},
    };
    enum { N = sizeof options / sizeof options[0] };
    cli_command_line line;
    int code = cli_options_parse("eval", options, N, argc, argv, &line);
    if (code < 0 && (line.n_words || !o.text == !o.cases)) {
        code = cli_usage("eval", "give one of --text FILE and --cases FILE");
    }
    if (code < 0) {
        code = cli_model_check("eval", &o.model);
    }
    if (code < 0) {
        cli_catch_interrupt();
        exaone_engine *e = cli_open_engine(&o.model, false);
        code = !e ? CLI_FAILED : o.text ? perplexity(&o, e) : cases(&o, e);
        exaone_engine_close(e);
    }
    cli_options_release(options, N, &line);
    return code;
}
