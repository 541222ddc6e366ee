/* `exaone chat`: a conversation with line editing and history (libedit). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "base/error.h"
#include "base/file.h"
#include "editor.h"
#include "prefix.h"
#include "screen.h"

typedef struct {
    ask_options options;
    exaone_engine *engine;
    exaone_session *session;
    cli_prefix_options prefix;
    exaone_cache *cache;
    exaone_chat *chat;
    struct ask_media *held;
    ask_settings settings;
    const char *system;
    cli_list images, videos;   /* of the command line */
    exaone_chat_part *pending; /* images and videos for the next message; their texts are owned */
    size_t n_pending;
    bool media;      /* images or videos were given */
    bool has_system; /* the first message is the system's */
} conversation;

static const char help_text[] = "/image FILE     add an image to the next message\n"
                                "/video FILE     add a video to the next message\n"
                                "/system TEXT    start again with this system message\n"
                                "/think on|off   let the model reason first, or not\n"
                                "/retry          answer the last message again\n"
                                "/undo           forget the last message and its answer\n"
                                "/new            start again (/clear is the same)\n"
                                "/save FILE      write the conversation as JSON\n"
                                "/load FILE      read a conversation\n"
                                "/help           this list\n"
                                "/exit           leave (also Ctrl-D)\n"
                                "//...           a message that starts with a slash\n";

/* What happened, for a person; a pipe gets answers only. */
static void confirm(const char *text) {
    if (isatty(STDIN_FILENO)) {
        printf("(%s)\n", text);
    }
}

static void drop_pending(conversation *c) {
    for (size_t i = 0; i < c->n_pending; i++) {
        free((void *)(uintptr_t)c->pending[i].text);
    }
    free(c->pending);
    c->pending = NULL;
    c->n_pending = 0;
}

static exaone_status keep_reply(conversation *c, const exaone_reply *reply, exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, 256 << 20);
    size_t n;
    const char *text = exaone_reply_content(reply, &n);
    exaone_buf_puts(&b, "{\"role\": \"assistant\", \"content\": ");
    exaone_json_put_string(&b, text, n);
    text = exaone_reply_reasoning(reply, &n);
    exaone_buf_puts(&b, ", \"reasoning_content\": ");
    exaone_json_put_string(&b, text, n);
    exaone_buf_puts(&b, "}");
    exaone_status s = exaone_chat_add_json(c->chat, b.data, b.len, err);
    exaone_buf_release(&b);
    return s;
}

/* Answers the conversation as it stands; its last message is the user's. */
static void answer(conversation *c) {
    exaone_error err = {0};
    char *request = NULL;
    size_t n = 0;
    ask_result r = {0};
    screen v = screen_init();
    cli_interrupted = 0;
    cli_catch_interrupt();
    exaone_status s = exaone_chat_to_json(c->chat, c->settings.thinking, &request, &n, &err);
    if (s == EXAONE_OK) {
        s = ask(c->engine, c->session, request, n, NULL, &c->settings, screen_show, &v, &r, &err);
        exaone_session_save(c->session, false);
    }
    cli_progress_clear(c->settings.progress);
    if (r.reply) {
        screen_end(&v, r.reply);
    }
    if (s == EXAONE_OK) {
        s = keep_reply(c, r.reply, &err);
        r.interrupted ? cli_note("stopped after %zu tokens", r.n_ids) : screen_explain(&r);
    }
    if (s != EXAONE_OK) {
        r.interrupted = cli_interrupted;
        r.interrupted ? cli_note("stopped before the answer") : (void)cli_fail(&err);
        exaone_chat_pop(c->chat);
    }
    cli_interrupted = cli_interrupted == SIGINT ? 0 : cli_interrupted; /* SIGTERM ends the conversation too */
    cli_release_interrupt();
    ask_result_release(&r);
    free(request);
}

/* The preset that fits the message, when none was asked for; what was set by commands stays. */
static void choose_preset(conversation *c, const char *text) {
    ask_settings fresh;
    if (ask_settings_resolve("chat", &c->options, c->engine, c->media, text, false, &fresh) < 0) {
        uint64_t seed = c->settings.sampling.seed;
        c->settings.sampling = fresh.sampling;
        c->settings.sampling.seed = seed;
    }
}

static void say(conversation *c, const char *text) {
    exaone_error err = {0};
    c->media = c->media || c->n_pending;
    choose_preset(c, text);
    exaone_chat_part *parts = calloc(c->n_pending + 1, sizeof *parts);
    if (!parts) {
        cli_note("out of memory");
        return;
    }
    for (size_t i = 0; i < c->n_pending; i++) {
        parts[i] = c->pending[i];
    }
    parts[c->n_pending] = (exaone_chat_part){EXAONE_PART_IS_TEXT, text};
    exaone_status s = exaone_chat_add(c->chat, "user", parts, c->n_pending + 1, &err);
    free(parts);
    drop_pending(c);
    if (s != EXAONE_OK) {
        cli_fail(&err);
        return;
    }
    answer(c);
}

/* A file name as typed: spaces around it, quotes, "\\ " and a leading "~/" are taken away. NULL: out of memory. */
static char *file_name(const char *typed) {
    const char *home = getenv("HOME");
    size_t n = strlen(typed);
    while (n && typed[n - 1] == ' ') {
        n--;
    }
    bool quoted = n > 1 && (typed[0] == '"' || typed[0] == '\'') && typed[n - 1] == typed[0];
    typed += quoted;
    n -= quoted ? 2 : 0;
    bool in_home = !quoted && home && n > 1 && typed[0] == '~' && typed[1] == '/';
    size_t room = n + 1 + (in_home ? strlen(home) : 0);
    char *name = malloc(room);
    if (!name) {
        cli_note("out of memory");
        return NULL;
    }
    size_t at = in_home ? (size_t)snprintf(name, room, "%s", home) : 0;
    for (size_t i = in_home; i < n; i++) {
        i += !quoted && typed[i] == '\\' && i + 1 < n && strchr(" \"'\\()&", typed[i + 1]);
        name[at++] = typed[i];
    }
    name[at] = 0;
    return name;
}

static void add_pending(conversation *c, exaone_part_kind kind, const char *path) {
    exaone_error err = {0};
    bool is_video = kind == EXAONE_PART_IS_VIDEO;
    if (!exaone_engine_info(c->engine)->has_vision) {
        cli_note("this model has no vision part: it takes no images or videos");
        return;
    }
    char *source = exaone_source_classify(path) == EXAONE_SOURCE_PATH ? realpath(path, NULL) : NULL; /* survives /save */
    source = source ? source : strdup(path);
    exaone_chat_part *more = source ? realloc(c->pending, (c->n_pending + 1) * sizeof *more) : NULL;
    if (!more) {
        free(source);
        cli_note("out of memory");
        return;
    }
    c->pending = more;
    cli_catch_interrupt();
    exaone_status s = ask_media_read(c->engine, &c->settings, source, is_video, &err);
    cli_interrupted = cli_interrupted == SIGINT ? 0 : cli_interrupted;
    cli_release_interrupt();
    if (s != EXAONE_OK) {
        free(source);
        cli_fail(&err);
        return;
    }
    c->pending[c->n_pending++] = (exaone_chat_part){kind, source};
    printf("(%s goes with the next message)\n", path);
}

static void start_again(conversation *c, const char *system) {
    exaone_error err = {0};
    while (exaone_chat_count(c->chat)) {
        exaone_chat_pop(c->chat);
    }
    exaone_chat_part part = {EXAONE_PART_IS_TEXT, system};
    drop_pending(c);
    c->media = false;
    c->has_system = system && *system && exaone_chat_add(c->chat, "system", &part, 1, &err) == EXAONE_OK;
    if (err.code != EXAONE_OK) {
        cli_fail(&err);
    }
}

static void save(conversation *c, const char *path) {
    exaone_error err = {0};
    char *text = NULL;
    size_t n = 0;
    exaone_status s = exaone_chat_to_json(c->chat, c->settings.thinking, &text, &n, &err);
    if (s == EXAONE_OK) {
        s = exaone_file_write(path, text, n, &err);
    }
    s == EXAONE_OK ? (void)printf("(saved)\n") : (void)cli_fail(&err);
    free(text);
}

static bool first_is_system(const char *json, size_t n) {
    exaone_arena arena;
    exaone_json *root = NULL;
    exaone_arena_init(&arena, (size_t)1 << 30);
    const exaone_json *list =
        exaone_json_parse(json, n, &arena, &root, NULL) == EXAONE_OK ? exaone_json_get(root, "messages") : NULL;
    bool system =
        exaone_json_is(list, EXAONE_JSON_ARRAY) && exaone_json_equals(exaone_json_get(list->first, "role"), "system");
    exaone_arena_release(&arena);
    return system;
}

static void load(conversation *c, const char *path) {
    exaone_error err = {0};
    size_t n;
    char *text = cli_read_all(path, 256 << 20, &n);
    exaone_status s = text ? exaone_chat_load(c->chat, text, n, &err) : EXAONE_ERR_IO;
    if (text && s != EXAONE_OK) {
        (void)exaone_fail_context(&err, s, "%.200s", path);
        cli_fail(&err);
    } else if (text) {
        c->has_system = first_is_system(text, n);
        printf("(%zu messages)\n", exaone_chat_count(c->chat));
    }
    free(text);
}

/* Removes the last question and what came after it; the question itself too when `question`. */
static void undo(conversation *c, bool question) {
    size_t floor = c->has_system ? 1 : 0;
    if (exaone_chat_count(c->chat) < floor + 2) {
        cli_note("nothing to %s", question ? "undo" : "retry");
        return;
    }
    exaone_chat_pop(c->chat);
    if (question) {
        exaone_chat_pop(c->chat);
        confirm("the last message and its answer are forgotten");
    } else {
        c->settings.sampling.seed++;
        answer(c);
    }
}

typedef enum { TAKES_NOTHING, TAKES_TEXT, TAKES_FILE } argument_kind;

static void do_image(conversation *c, const char *argument) {
    add_pending(c, EXAONE_PART_IS_IMAGE, argument);
}

static void do_video(conversation *c, const char *argument) {
    add_pending(c, EXAONE_PART_IS_VIDEO, argument);
}

static void do_system(conversation *c, const char *argument) {
    start_again(c, argument);
    confirm(*argument ? "started again with this system message" : "started again without a system message");
}

static void do_new(conversation *c, const char *argument) {
    (void)argument;
    start_again(c, c->system);
    confirm("started again");
}

static void do_think(conversation *c, const char *argument) {
    if (strcmp(argument, "on") != 0 && strcmp(argument, "off") != 0) {
        cli_note("/think takes on or off");
        return;
    }
    c->settings.thinking = strcmp(argument, "on") == 0;
    confirm(c->settings.thinking ? "the model reasons first" : "the model answers at once");
}

static void do_retry(conversation *c, const char *argument) {
    (void)argument;
    undo(c, false);
}

static void do_undo(conversation *c, const char *argument) {
    (void)argument;
    undo(c, true);
}

static void do_help(conversation *c, const char *argument) {
    (void)c;
    (void)argument;
    fputs(help_text, stdout);
}

static const struct {
    const char *name;
    void (*run)(conversation *c, const char *argument); /* NULL: leaves */
    argument_kind takes;
} chat_commands[] = {
    {"/image", do_image, TAKES_FILE}, {"/video", do_video, TAKES_FILE},    {"/system", do_system, TAKES_TEXT},
    {"/think", do_think, TAKES_TEXT}, {"/retry", do_retry, TAKES_NOTHING}, {"/undo", do_undo, TAKES_NOTHING},
    {"/new", do_new, TAKES_NOTHING},  {"/clear", do_new, TAKES_NOTHING},   {"/save", save, TAKES_FILE},
    {"/load", load, TAKES_FILE},      {"/help", do_help, TAKES_NOTHING},   {"/exit", NULL, TAKES_NOTHING},
    {"/quit", NULL, TAKES_NOTHING}};

static void unknown_command(const char *word) {
    const char *near = NULL;
    size_t best = 3;
    for (size_t i = 0; i < CLI_COUNT(chat_commands); i++) {
        size_t d = cli_distance(word, chat_commands[i].name);
        if (d < best) {
            best = d;
            near = chat_commands[i].name;
        }
    }
    cli_note(near ? "%.40s: no such command; did you mean %s?"
                  : "%.40s: no such command; /help lists them, // sends a line that starts with a slash%s",
             word, near ? near : "");
}

/* A line that starts with '/'. False: leave. */
static bool command(conversation *c, char *line) {
    char *argument = line + strcspn(line, " ");
    if (*argument) {
        *argument++ = 0;
    }
    argument += strspn(argument, " ");
    for (size_t i = 0; i < CLI_COUNT(chat_commands); i++) {
        if (strcmp(line, chat_commands[i].name) != 0) {
            continue;
        }
        if (!chat_commands[i].run) {
            return false;
        }
        char *name = chat_commands[i].takes == TAKES_FILE ? file_name(argument) : NULL;
        if (chat_commands[i].takes == TAKES_NOTHING && *argument) {
            cli_note("%s takes nothing behind it", line);
        } else if (chat_commands[i].takes == TAKES_FILE && name && !*name) {
            cli_note("%s needs a file name", line);
        } else if (chat_commands[i].takes != TAKES_FILE || name) {
            chat_commands[i].run(c, name ? name : argument);
        }
        free(name);
        return true;
    }
    unknown_command(line);
    return true;
}

static const char *const command_words[] = {"/image", "/video", "/system", "/think", "/retry", "/undo", "/clear",
                                            "/new",   "/save",  "/load",   "/help",  "/exit",  NULL};

/* The commands and messages until the end; the exit code. */
static int loop(conversation *c) {
    editor e = {0};
    bool terminal = isatty(STDIN_FILENO), going = true;
    char *plain = NULL;
    size_t room = 0;
    if (terminal) {
        editor_start(&e, command_words);
    }
    while (going && !cli_interrupted) {
        char *line = terminal ? editor_read(&e, "> ") : (getline(&plain, &room, stdin) >= 0 ? strdup(plain) : NULL);
        if (!line) {
            break;
        }
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '/' && line[1] != '/') {
            going = command(c, line);
        } else if (line[0]) {
            say(c, line[0] == '/' ? line + 1 : line);
        }
        free(line);
    }
    free(plain);
    return cli_interrupted ? cli_interrupt_code() : CLI_OK;
}

static int chat(conversation *c) {
    exaone_error err = {0};
    c->engine = cli_open_engine(&c->options.model, false);
    if (!c->engine) {
        return CLI_FAILED;
    }
    int code = ask_settings_resolve("chat", &c->options, c->engine, false, NULL, true, &c->settings);
    if (code >= 0) {
        return code;
    }
    c->chat = exaone_chat_new();
    c->held = ask_media_new();
    c->settings.progress = isatty(STDERR_FILENO);
    c->settings.held = c->held;
    if (!c->chat || !c->held) {
        cli_note("out of memory");
        return CLI_FAILED;
    }
    if (cli_session_open(c->engine, &c->options.session, &c->session, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    c->cache = cli_prefix_attach(&c->prefix, true, c->session);
    start_again(c, c->system);
    for (size_t i = 0; i < c->images.n; i++) {
        add_pending(c, EXAONE_PART_IS_IMAGE, c->images.items[i]);
    }
    for (size_t i = 0; i < c->videos.n; i++) {
        add_pending(c, EXAONE_PART_IS_VIDEO, c->videos.items[i]);
    }
    if (isatty(STDIN_FILENO)) {
        printf("/image FILE adds an image, /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.\n");
    }
    return loop(c);
}

int cmd_chat(int argc, char **argv) {
    conversation c = {0};
    ask_options_init(&c.options);
    const cli_option options[] = {
        {"--system", NULL, OPT_TEXT, &c.system, 0, 0, "TEXT", "system message"},
        {"--image", NULL, OPT_LIST, &c.images, 0, 0, "FILE", "an image of the first message; /image inside (repeatable)"},
        {"--video", NULL, OPT_LIST, &c.videos, 0, 0, "FILE", "a video of the first message; /video inside (repeatable)"},
        CLI_PREFIX_OPTIONS(c.prefix, "default: XDG_CACHE_HOME/exaone/prefix"),
        ASK_OPTIONS(c.options),
    };
    enum { N = sizeof options / sizeof options[0] };
    cli_command_line line;
    int code = cli_options_parse("chat", options, N, argc, argv, &line);
    if (code < 0) {
        code = line.n_words
                   ? cli_usage("chat", "unexpected argument %s; messages are typed inside, `exaone run` takes one prompt",
                               line.words[0])
                   : ask_options_check("chat", &c.options);
    }
    if (code < 0) {
        code = cli_prefix_check("chat", &c.prefix);
    }
    if (code < 0) {
        code = chat(&c);
    }
    drop_pending(&c);
    exaone_chat_free(c.chat);
    if (c.cache) {
        exaone_session_save(c.session, true);
    }
    exaone_session_free(c.session);
    exaone_cache_close(c.cache);
    ask_media_free(c.held);
    exaone_engine_close(c.engine);
    cli_options_release(options, N, &line);
    return code;
}
