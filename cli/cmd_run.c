/* `exaone run`: one prompt, one answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "base/error.h"
#include "base/file.h"
#include "prefix.h"
#include "screen.h"

enum { MAX_PROMPT = 64 << 20 };

typedef struct {
    ask_options ask;
    cli_prefix_options prefix;
    cli_list images, videos;
    const char *prompt, *file, *system, *tools;
    bool json, stats, boxed;
    int64_t samples, logprobs; /* logprobs: -1 = none */
    double load_seconds;
} run_options;

static void put_text(exaone_buf *b, const char *key, const char *text, size_t n) {
    exaone_buf_printf(b, "\"%s\": ", key);
    n ? exaone_json_put_string(b, text, n) : (void)exaone_buf_puts(b, "null");
}

/* content, reasoning_content, tool_calls, finish_reason */
static void put_reply(exaone_buf *b, const ask_result *r) {
    size_t n;
    const char *text = exaone_reply_content(r->reply, &n);
    put_text(b, "content", text, n);
    text = exaone_reply_reasoning(r->reply, &n);
    exaone_buf_puts(b, ", ");
    put_text(b, "reasoning_content", text, n);
    exaone_buf_puts(b, ", \"tool_calls\": [");
    for (size_t i = 0; i < exaone_reply_n_calls(r->reply); i++) {
        exaone_tool_call call = exaone_reply_call(r->reply, i);
        exaone_buf_puts(b, i ? ", {\"name\": " : "{\"name\": ");
        exaone_json_put_string(b, call.name, strlen(call.name));
        exaone_buf_puts(b, ", \"arguments\": ");
        exaone_json_put_string(b, call.arguments, strlen(call.arguments));
        exaone_buf_puts(b, "}");
    }
    exaone_buf_printf(b, "], \"finish_reason\": \"%s\"",
                      r->interrupted ? "interrupted" : exaone_reply_finish_reason(r->reply));
}

static void put_token(exaone_buf *b, const exaone_tokenizer *tok, const exaone_logprob *l) {
    char *text = NULL;
    size_t n = 0;
    exaone_error err;
    bool ok = exaone_tokenizer_decode(tok, &l->id, 1, 0, &text, &n, &err) == EXAONE_OK;
    exaone_buf_printf(b, "{\"id\": %d, ", l->id);
    put_text(b, "token", text, ok ? n : 0);
    exaone_buf_printf(b, ", \"logprob\": %.9g", (double)l->logprob);
    free(text);
}

/* As the OpenAI API: one entry per token, each with the most probable ones at its place. */
static void put_logprobs(exaone_buf *b, const ask_result *r, const exaone_tokenizer *tok) {
    exaone_buf_puts(b, ", \"logprobs\": {\"content\": [");
    for (size_t i = 0; i < r->n_ids; i++) {
        const exaone_logprob *row = r->logprobs + i * (1 + r->n_top);
        exaone_buf_puts(b, i ? ", " : "");
        put_token(b, tok, row);
        exaone_buf_puts(b, ", \"top_logprobs\": [");
        for (size_t k = 1; k <= r->n_top; k++) {
            exaone_buf_puts(b, k > 1 ? ", " : "");
            put_token(b, tok, row + k);
            exaone_buf_puts(b, "}");
        }
        exaone_buf_puts(b, "]}");
    }
    exaone_buf_puts(b, "]}");
}

/* All samples, when there are several. */
static void put_choices(exaone_buf *b, const ask_result *r, const exaone_tokenizer *tok) {
    exaone_buf_puts(b, ", \"choices\": [");
    for (size_t i = 0; i <= r->n_more; i++) {
        const ask_result *one = i ? &r->more[i - 1] : r;
        exaone_buf_printf(b, "%s{\"index\": %zu, ", i ? ", " : "", i);
        put_reply(b, one);
        if (one->logprobs) {
            put_logprobs(b, one, tok);
        }
        exaone_buf_puts(b, "}");
    }
    exaone_buf_puts(b, "]");
}

static void put_speculation(exaone_buf *b, const exaone_generation_stats *s) {
    exaone_buf_printf(b,
                      ", \"drafts\": {\"verifications\": %llu, \"drafted\": %llu, \"accepted\": %llu, "
                      "\"passes_without\": %llu, \"tokens_per_verification\": ",
                      (unsigned long long)s->verifications, (unsigned long long)s->drafted, (unsigned long long)s->accepted,
                      (unsigned long long)s->passes);
    s->verifications ? exaone_buf_printf(b, "%.4f", 1 + (double)s->accepted / (double)s->verifications)
                     : (void)exaone_buf_puts(b, "null");
    for (int k = 0; k < 2; k++) {
        exaone_buf_puts(b, k ? "], \"drafted_at\": [" : ", \"accepted_at\": [");
        for (size_t i = 0; i < EXAONE_MAX_DRAFT; i++) {
            exaone_buf_printf(b, "%s%llu", i ? ", " : "", (unsigned long long)(k ? s->drafted_at[i] : s->accepted_at[i]));
        }
    }
    exaone_buf_printf(b, "], \"draft_ms\": %.3f, \"verify_ms\": %.3f, \"pass_ms\": %.3f}", s->draft_seconds * 1e3,
                      s->verify_seconds * 1e3, s->pass_seconds * 1e3);
}

static size_t all_tokens(const ask_result *r) {
    size_t n = r->n_ids;
    for (size_t i = 0; i < r->n_more; i++) {
        n += r->more[i].n_ids;
    }
    return n;
}

static int print_json(const run_options *o, const ask_result *r, const ask_settings *s, const exaone_engine *e) {
    exaone_buf b;
    exaone_buf_init(&b, 256 << 20);
    size_t n, n_ids = all_tokens(r);
    exaone_buf_puts(&b, "{");
    put_reply(&b, r);
    if (r->logprobs) {
        put_logprobs(&b, r, exaone_engine_tokenizer(e));
    }
    if (r->n_more) {
        put_choices(&b, r, exaone_engine_tokenizer(e));
    }
    exaone_buf_printf(&b,
                      ", \"usage\": {\"prompt_tokens\": %zu, \"completion_tokens\": %zu, \"total_tokens\": %zu, "
                      "\"prompt_tokens_details\": {\"cached_tokens\": %zu}}",
                      r->prompt_tokens, n_ids, r->prompt_tokens + n_ids, r->reused_tokens);
    if (o->boxed) {
        size_t begin, end;
        const char *text = exaone_reply_content(r->reply, &n);
        exaone_buf_puts(&b, ", ");
        bool found = exaone_boxed_last(text, n, &begin, &end);
        put_text(&b, "boxed", found ? text + begin : "", found ? end - begin : 0);
    }
    exaone_buf_printf(&b, ", \"timings\": {\"load_ms\": %.3f, \"media_ms\": %.3f, \"vision_ms\": %.3f",
                      o->load_seconds * 1e3, r->media_seconds * 1e3, r->vision_seconds * 1e3);
    exaone_buf_printf(&b, ", \"prompt_ms\": %.3f, \"predicted_ms\": %.3f", r->prompt_seconds * 1e3,
                      r->generate_seconds * 1e3);
    exaone_buf_printf(&b, ", \"prompt_per_second\": %.3f, \"predicted_per_second\": %.3f}",
                      (double)(r->prompt_tokens - r->reused_tokens) / (r->prompt_seconds + 1e-9),
                      (double)r->n_ids / (r->generate_seconds + 1e-9));
    put_speculation(&b, &r->stats);
    exaone_buf_printf(&b, ", \"sampling\": {\"greedy\": %s, \"seed\": ", s->sampling.do_sample ? "false" : "true");
    s->sampling.do_sample ? exaone_buf_printf(&b, "%llu}", (unsigned long long)s->sampling.seed)
                          : exaone_buf_puts(&b, "null}");
    exaone_buf_printf(&b, ", \"cpu\": \"%s\"}\n", exaone_engine_info(e)->cpu_level);
    bool ok = !b.failed && cli_write(b.data, b.len);
    exaone_buf_release(&b);
    return ok ? CLI_OK : CLI_FAILED;
}

/* A line about drafts; nothing when there were none. */
static void print_draft_stats(const exaone_generation_stats *s) {
    char at[EXAONE_MAX_DRAFT * 8] = "";
    size_t n = 0;
    for (size_t i = 0; i < EXAONE_MAX_DRAFT && s->drafted_at[i]; i++) {
        n += (size_t)snprintf(at + n, sizeof at - n, "%s%.0f %%", i ? ", " : "",
                              100.0 * (double)s->accepted_at[i] / (double)s->drafted_at[i]);
    }
    if (s->verifications) {
        cli_note("drafts: %llu of %llu accepted (by place %s); %.3f tokens per verification; %llu verifications in %.0f ms, "
                 "drafting %.0f ms; %llu passes without drafts in %.0f ms",
                 (unsigned long long)s->accepted, (unsigned long long)s->drafted, at,
                 1 + (double)s->accepted / (double)s->verifications, (unsigned long long)s->verifications,
                 s->verify_seconds * 1e3, s->draft_seconds * 1e3, (unsigned long long)s->passes, s->pass_seconds * 1e3);
    }
}

static void print_stats(const run_options *o, const ask_result *r, const exaone_engine *e) {
    const exaone_model_info *i = exaone_engine_info(e);
    double p = (double)(r->prompt_tokens - r->reused_tokens), n = (double)r->n_ids;
    cli_note(
        "load %.0f ms; media %.0f ms; vision %.0f ms; prompt %zu tokens in %.0f ms (%.1f tokens/s); reply %zu tokens in "
        "%.0f ms (%.1f tokens/s); %s, %d threads",
        o->load_seconds * 1e3, r->media_seconds * 1e3, r->vision_seconds * 1e3, r->prompt_tokens, r->prompt_seconds * 1e3,
        p / (r->prompt_seconds + 1e-9), r->n_ids, r->generate_seconds * 1e3, n / (r->generate_seconds + 1e-9), i->cpu_level,
        i->n_threads);
    print_draft_stats(&r->stats);
    uint64_t resident, huge;
    if (cli_pages(&resident, &huge)) {
        cli_note("memory: %.2f GB resident, weights included, %.2f GB of it in huge pages", (double)resident / 1e9,
                 (double)huge / 1e9);
    }
}

/* The other samples, each behind a line that says which. */
static void print_more(const ask_result *r, screen *view) {
    for (size_t i = 0; i < r->n_more; i++) {
        const ask_result *one = &r->more[i];
        size_t n_reasoning, n_content;
        const char *reasoning = exaone_reply_reasoning(one->reply, &n_reasoning);
        const char *content = exaone_reply_content(one->reply, &n_content);
        bool failed = printf("--- sample %zu of %zu\n", i + 2, r->n_more + 1) < 0 || view->failed;
        *view = screen_init();
        view->failed = failed;
        screen_show(view, reasoning, n_reasoning, content, n_content);
        screen_end(view, one->reply);
    }
}

static int print_plain(const run_options *o, const ask_result *r, screen *view) {
    screen_end(view, r->reply);
    print_more(r, view);
    size_t n, begin, end;
    const char *content = exaone_reply_content(r->reply, &n);
    if (o->boxed && exaone_boxed_last(content, n, &begin, &end)) {
        view->failed =
            fwrite(content + begin, 1, end - begin, stdout) != end - begin || putchar('\n') == EOF || view->failed;
    } else if (o->boxed) {
        cli_note("the reply holds no \\boxed{} answer");
    }
    screen_explain(r);
    if (fflush(stdout) != 0 || view->failed) {
        cli_note("cannot write to standard output");
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* Items in the order of the command line, then the question. */
static exaone_status build_chat(exaone_chat *chat, const run_options *o, const char *prompt, exaone_error *err) {
    size_t n = o->images.n + o->videos.n, i = 0, v = 0;
    exaone_chat_part *parts = calloc(n + 1, sizeof *parts);
    char *question = NULL;
    if (!parts) {
        return exaone_fail_memory(err, "the message", (n + 1) * sizeof *parts);
    }
    for (size_t k = 0; k < n; k++) {
        bool image = v >= o->videos.n || (i < o->images.n && o->images.order[i] < o->videos.order[v]);
        parts[k] = image ? (exaone_chat_part){EXAONE_PART_IS_IMAGE, o->images.items[i]}
                         : (exaone_chat_part){EXAONE_PART_IS_VIDEO, o->videos.items[v]};
        image ? i++ : v++;
    }
    if (o->boxed) {
        size_t room = strlen(prompt) + strlen(exaone_boxed_request()) + 2;
        question = malloc(room);
        if (!question) {
            free(parts);
            return exaone_fail_memory(err, "the message", room);
        }
        snprintf(question, room, "%s\n%s", prompt, exaone_boxed_request());
    }
    parts[n] = (exaone_chat_part){EXAONE_PART_IS_TEXT, question ? question : prompt};
    exaone_status s = EXAONE_OK;
    if (o->system) {
        exaone_chat_part system = {EXAONE_PART_IS_TEXT, o->system};
        s = exaone_chat_add(chat, "system", &system, 1, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_chat_add(chat, "user", parts, n + 1, err);
    }
    free(parts);
    free(question);
    return s;
}

static exaone_status add_tools(exaone_chat *chat, const char *path, exaone_error *err) {
    size_t n;
    char *text = NULL;
    exaone_status s = cli_input_read(path, 16 << 20, &text, &n, err);
    if (s == EXAONE_OK) {
        s = exaone_chat_set_tools(chat, text, n, err);
        s = s == EXAONE_OK ? s : exaone_fail_context(err, s, "%.200s", path);
    }
    free(text);
    return s;
}

static int answer(const run_options *o, const char *prompt, exaone_engine *e, ask_settings *settings) {
    exaone_error err = {0};
    exaone_chat *chat = exaone_chat_new();
    exaone_session *session = NULL;
    exaone_cache *cache = NULL;
    char *request = NULL;
    size_t n = 0;
    ask_result r = {0};
    screen view = screen_init();
    settings->progress = isatty(STDERR_FILENO);
    settings->tools = o->tools;
    settings->samples = (size_t)o->samples;
    settings->want_logprobs = o->logprobs >= 0;
    settings->logprobs = o->logprobs > 0 ? (size_t)o->logprobs : 0;
    exaone_status s = chat ? build_chat(chat, o, prompt, &err) : exaone_fail_memory(&err, "the conversation", 64);
    if (s == EXAONE_OK && o->tools) {
        s = add_tools(chat, o->tools, &err);
    }
    if (s == EXAONE_OK) {
        s = exaone_chat_to_json(chat, settings->thinking, &request, &n, &err);
    }
    if (s == EXAONE_OK) {
        s = cli_session_open(e, &o->ask.session, &session, &err);
    }
    if (s == EXAONE_OK) {
        cache = cli_prefix_attach(&o->prefix, false, session);
        s = ask(e, session, request, n, NULL, settings, o->json ? NULL : screen_show, &view, &r, &err);
    }
    int code = s == EXAONE_OK ? (o->json ? print_json(o, &r, settings, e) : print_plain(o, &r, &view)) : CLI_FAILED;
    if (s == EXAONE_ERR_CANCELLED || r.interrupted) {
        code = cli_interrupt_code();
    } else if (s != EXAONE_OK) {
        cli_fail(&err);
    }
    if (o->stats && r.reply) {
        print_stats(o, &r, e);
    }
    ask_result_release(&r);
    if (cache) {
        exaone_session_save(session, true);
    }
    exaone_session_free(session);
    exaone_cache_close(cache);
    exaone_chat_free(chat);
    free(request);
    return code;
}

/* Standard input can be read once. -1, or an exit code with the message printed. */
static int check_inputs(const run_options *o, bool prompt_from_stdin) {
    const cli_list *lists[] = {&o->images, &o->videos};
    const char *first = prompt_from_stdin ? "the prompt" : o->tools && strcmp(o->tools, "-") == 0 ? "--tools -" : NULL;
    if (prompt_from_stdin && o->tools && strcmp(o->tools, "-") == 0) {
        return cli_usage("run", "the prompt and --tools - both want standard input; give the prompt as an argument");
    }
    for (size_t k = 0; k < 2; k++) {
        const char *name = k ? "--video" : "--image";
        for (size_t i = 0; i < lists[k]->n; i++) {
            const char *item = lists[k]->items[i];
            if (!*item) {
                return cli_usage("run", "%s: the file name is empty", name);
            }
            if (strcmp(item, "-") == 0 && first) {
                return cli_usage("run", "%s and %s - both want standard input%s", first, name,
                                 prompt_from_stdin ? "; give the prompt as an argument" : "");
            }
            first = strcmp(item, "-") == 0 ? (k ? "--video -" : "--image -") : first;
        }
    }
    return -1;
}

/* The prompt from its argument, -p, -f or standard input. free() it. */
static char *read_prompt(const run_options *o, const cli_command_line *line, int *code) {
    const char *text = o->prompt ? o->prompt : line->n_words ? line->words[0] : NULL;
    *code = CLI_FAILED;
    if (line->n_words > 1 || (line->n_words && o->prompt) || (text && o->file)) {
        *code = cli_usage("run", "more than one prompt: quote it, or give one of PROMPT, -p and -f");
        return NULL;
    }
    text = text && !o->prompt && strcmp(text, "-") == 0 ? NULL : text; /* `exaone run -` */
    int fault = check_inputs(o, !text && (!o->file || strcmp(o->file, "-") == 0));
    if (fault >= 0) {
        *code = fault;
        return NULL;
    }
    size_t n = 0;
    char *prompt = text ? strdup(text) : NULL;
    if (text && !prompt) {
        cli_note("out of memory");
        return NULL;
    }
    if (!text && !o->file && !line->n_words && isatty(STDIN_FILENO)) {
        *code = cli_usage("run", "no prompt: give it as an argument, with -p, -f FILE or on standard input");
        return NULL;
    }
    if (!text) {
        prompt = cli_read_all(o->file, MAX_PROMPT, &n);
        if (prompt && strlen(prompt) != n) {
            cli_note("the prompt holds a NUL byte at offset %zu", strlen(prompt));
            free(prompt);
            return NULL;
        }
        while (prompt && n &&
               (prompt[n - 1] == '\n' || prompt[n - 1] == '\r')) { /* the line's end is not part of the question */
            prompt[--n] = 0;
        }
    }
    if (prompt && !prompt[0] && !o->images.n && !o->videos.n) {
        free(prompt);
        *code = cli_usage("run", "the prompt is empty");
        return NULL;
    }
    return prompt;
}

static int run(run_options *o, const cli_command_line *line) {
    int code;
    char *prompt = read_prompt(o, line, &code);
    if (!prompt) {
        return code;
    }
    bool progress = isatty(STDERR_FILENO);
    double start = cli_seconds();
    cli_progress(progress, "loading the model");
    exaone_engine *e = cli_open_engine(&o->ask.model, false);
    o->load_seconds = cli_seconds() - start;
    cli_progress_clear(progress);
    ask_settings settings;
    code = CLI_FAILED;
    if (e) {
        cli_catch_interrupt();
        code = ask_settings_resolve("run", &o->ask, e, o->images.n + o->videos.n > 0, prompt, true, &settings);
        code = code < 0 ? answer(o, prompt, e, &settings) : code;
    }
    exaone_engine_close(e);
    free(prompt);
    return code;
}

int cmd_run(int argc, char **argv) {
    run_options o = {.samples = 1, .logprobs = -1};
    ask_options_init(&o.ask);
    const cli_option options[] = {
        {"--image", NULL, OPT_LIST, &o.images, 0, 0, "FILE", "an image: file, data URI or URL (repeatable)"},
        {"--video", NULL, OPT_LIST, &o.videos, 0, 0, "FILE", "a video (repeatable)"},
        {"--prompt", "-p", OPT_TEXT, &o.prompt, 0, 0, "TEXT", "the prompt"},
        {"--file", "-f", OPT_TEXT, &o.file, 0, 0, "FILE", "read the prompt from a file"},
        {"--system", NULL, OPT_TEXT, &o.system, 0, 0, "TEXT", "system message"},
        {"--tools", NULL, OPT_TEXT, &o.tools, 0, 0, "FILE", "JSON list of tools that the model may call"},
        {"--boxed", NULL, OPT_FLAG, &o.boxed, 0, 0, NULL, "ask for the answer in \\boxed{} and print it last"},
        {"--json", NULL, OPT_FLAG, &o.json, 0, 0, NULL, "one JSON object instead of streamed text"},
        {"--samples", NULL, OPT_INT, &o.samples, 1, 256, "N", "so many replies to the one prompt (default 1)"},
        {"--logprobs", NULL, OPT_INT, &o.logprobs, 0, 20, "N",
         "with --json: the probability of each token and of the N most probable ones"},
        {"--stats", NULL, OPT_FLAG, &o.stats, 0, 0, NULL, "speed and drafts on standard error"},
        CLI_PREFIX_OPTIONS(o.prefix, "default: nowhere"),
        ASK_OPTIONS(o.ask),
    };
    enum { N = sizeof options / sizeof options[0] };
    cli_command_line line;
    int code = cli_options_parse("run", options, N, argc, argv, &line);
    if (code < 0) {
        code = ask_options_check("run", &o.ask);
    }
    if (code < 0 && o.logprobs >= 0 && !o.json) {
        code = cli_usage("run", "--logprobs %lld: the probabilities are part of --json", (long long)o.logprobs);
    }
    if (code < 0 && o.samples > 1 && o.boxed && !o.json) {
        code = cli_usage("run", "--samples %lld and --boxed go together with --json only", (long long)o.samples);
    }
    if (code < 0) {
        code = cli_prefix_check("run", &o.prefix);
    }
    if (code < 0) {
        code = run(&o, &line);
    }
    cli_options_release(options, N, &line);
    return code;
}
