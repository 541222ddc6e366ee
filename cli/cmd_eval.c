/* `exaone eval`: perplexity of a text; accuracy over a set of cases (the format of tests/eval/tiny/cases.jsonl). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "corpus.h"

enum { CASE_TOKENS = 160 };

typedef struct {
    cli_model_options model;
    const char *text, *cases;
    int64_t context, max_tokens, only;
    cli_cache_options cache;
    ask_step_options step;
    exaone_session_options session;
    bool json, parse_special;
} eval_options;

/* ---- perplexity ---- */

/* Sum of the negative log-likelihoods of ids[1 .. n) given those before; one forward call. */
static exaone_status chunk_loss(exaone_engine *e, const int32_t *ids, size_t n, double *sum, exaone_error *err) {
    exaone_tensors *out;
    exaone_status s = cli_forward_ids(e, ids, n, true, &(exaone_forward_options){.stages = "loss_mean"}, &out, err);
    const exaone_tensor *loss = s == EXAONE_OK ? exaone_tensors_get(out, "loss_mean") : NULL;
    if (loss) {
        float mean;
        memcpy(&mean, loss->data, sizeof mean);
        *sum += (double)mean * (double)(n - 1);
        if (!isfinite(mean)) {
            s = exaone_fail(err, EXAONE_ERR_NUMERIC,
                            "the model's predictions hold NaN or infinity: its weights are damaged");
        }
    }
    exaone_tensors_free(out);
    return s;
}

/* Chunks of n_ctx tokens, each by itself; every token but a chunk's first is predicted from those before it. */
static int perplexity(const eval_options *o, exaone_engine *e) {
    exaone_error err = {0};
    cli_text text;
    double sum = 0;
    size_t counted = 0;
    exaone_status s = cli_text_read(&text, o->text, e, o->context, o->parse_special, &err);
    size_t n_chunks = s == EXAONE_OK ? cli_text_chunks(&text) : 0;
    for (size_t i = 0; i < n_chunks && s == EXAONE_OK && !cli_interrupted; i++) {
        size_t n;
        const int32_t *ids = cli_text_chunk(&text, i, &n);
        s = chunk_loss(e, ids, n, &sum, &err);
        counted += n - 1;
        if (!o->json && s == EXAONE_OK) {
            cli_say("chunk %zu of %zu: perplexity so far %.4f", i + 1, n_chunks, exp(sum / (double)counted));
        }
    }
    if (s == EXAONE_OK && counted > 0) {
        double mean = sum / (double)counted;
        printf(o->json ? "{\"tokens\": %zu, \"predicted\": %zu, \"chunk\": %zu, \"nll\": %.9g, \"perplexity\": %.9g}\n"
                       : "tokens %zu, predicted %zu, chunk %zu, mean nll %.6f, perplexity %.4f\n",
               text.n_ids, counted, text.chunk, mean, exp(mean));
    }
    cli_text_release(&text);
    if (s != EXAONE_OK) {
        return cli_fail(&err);
    }
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
    exaone_buf report;
    task_count tasks[64];
    size_t n_tasks, n_cases, n_right, n_same;
    uint64_t verifications, accepted, tokens;
    double seconds;
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
    exaone_buf_printf(b, ", \"reply_seconds\": %.6f, \"correct\": %s, \"matches_reference\": %s}", r->generate_seconds,
                      right ? "true" : "false", same ? "true" : "false");
}

static void add_stats(evaluation *v, const ask_result *r) {
    v->verifications += r->stats.verifications;
    v->accepted += r->stats.accepted;
    v->tokens += r->n_ids;
    v->seconds += r->generate_seconds;
}

static exaone_status run_case(void *ctx, const exaone_json *c, const char *request, size_t n, ask_settings *settings,
                              exaone_error *err) {
    evaluation *v = ctx;
    ask_result r = {0};
    settings->max_tokens = v->o->max_tokens;
    settings->draft = v->o->step.n_draft;
    exaone_status status = ask(v->e, v->session, request, n, c, settings, NULL, NULL, &r, err);
    if (status == EXAONE_OK && !r.interrupted) {
        bool right = judge(c, r.reply), same = same_ids(exaone_json_get(c, "output_ids"), &r);
        const exaone_json *id = exaone_json_get(c, "id");
        put_case(v, id, &r, right, same);
        count(v, exaone_json_get(c, "task"), right);
        add_stats(v, &r);
        v->n_cases++;
        v->n_right += right;
        v->n_same += same;
        cli_progress(isatty(STDERR_FILENO), "%zu cases, %zu right", v->n_cases, v->n_right);
    }
    ask_result_release(&r);
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
        printf("}, \"reply_tokens\": %llu, \"reply_seconds\": %.3f, \"verifications\": %llu, \"accepted_drafts\": %llu}\n",
               (unsigned long long)v->tokens, v->seconds, (unsigned long long)v->verifications,
               (unsigned long long)v->accepted);
        return;
    }
    for (size_t i = 0; i < v->n_tasks; i++) {
        printf("%-12s %4zu of %zu\n", v->tasks[i].task, v->tasks[i].right, v->tasks[i].of);
    }
    printf("%-12s %4zu of %zu; %zu equal the reference's ids\n", "all", v->n_right, v->n_cases, v->n_same);
    cli_say("replies: %llu tokens in %.2f s (%.1f tokens/s)", (unsigned long long)v->tokens, v->seconds,
            (double)v->tokens / (v->seconds + 1e-9));
    if (v->verifications) {
        cli_say("drafts: %.3f tokens per verification", 1 + (double)v->accepted / (double)v->verifications);
    }
}

static int cases(const eval_options *o, exaone_engine *e) {
    evaluation v = {.o = o, .e = e};
    exaone_error err = {0};
    exaone_buf_init(&v.report, CLI_MAX_CORPUS);
    exaone_status s = cli_session_open(e, &o->session, &v.session, &err);
    if (s == EXAONE_OK) {
        s = cli_cases_read(o->cases, o->only, run_case, &v, &err);
    }
    if (s == EXAONE_OK || cli_interrupted) { /* after Ctrl-C: what there is */
        s = EXAONE_OK;
        print_report(&v);
    } else {
        cli_fail(&err);
    }
    exaone_session_free(v.session);
    exaone_buf_release(&v.report);
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
        CLI_CACHE_TYPE_OPTIONS(o.cache),
        ASK_STEP_OPTIONS(o.step),
        {"--max-tokens", "-n", OPT_INT, &o.max_tokens, 1, 1 << 20, "N", "longest reply of a case (default 160)"},
        {"--limit", NULL, OPT_INT, &o.only, 1, 1 << 30, "N", "the first N cases only"},
        {"--parse-special", NULL, OPT_FLAG, &o.parse_special, 0, 0, NULL, "control tokens in the text count as such"},
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
        exaone_session_options_default(&o.session);
        o.session.n_ctx = (uint64_t)o.context;
        code = cli_cache_types("eval", &o.cache, &o.session.cache_type_k, &o.session.cache_type_v);
        code = code < 0 ? ask_step_check("eval", &o.step, &o.session) : code;
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
