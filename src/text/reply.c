/* The reply parser (docs/model.md, "Replies"): raw text to reasoning, content and tool calls.
 *
 * All bytes are kept; `pos` is how far they are decided. A phase consumes what no later byte can change and holds back the rest:
 * trailing white space, the beginning of a tag, an open tool call. So the result is the same for any cut of the stream. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "exaone/chat.h"
#include "text/pystring.h"

enum { MAX_TEXT = 64 << 20, MAX_REGION = 1 << 20, MAX_CALLS = 4096, MEMORY_PER_BYTE = 64 };

static const char think_open[] = "<think>", think_close[] = "</think>", call_open[] = "<tool_call>", call_close[] = "</tool_call>";

typedef enum { START, REASONING, CONTENT } reply_phase;

typedef struct {
    char *name, *arguments;
} parsed_call;

struct exaone_reply {
    bool thinking, tools, finished, stopped;
    reply_phase phase;
    exaone_buf raw, reasoning, content;
    size_t pos;        /* raw bytes decided */
    size_t searched;   /* where the search for what decides next may go on */
    bool held_call;    /* in the reasoning: a <tool_call> stands at pos, all waits for </think> or the end */
    bool after_call;   /* in the content: the text before pos is a call; white space is skipped */
    bool skip_space;   /* skip white space at pos, it is at the edge of a stretch */
    parsed_call *calls;
    size_t n_calls, cap_calls;
    bool failed; /* out of memory or above a limit */
};

exaone_reply *exaone_reply_new(bool thinking, bool tools) {
    exaone_reply *r = exaone_mem_array(1, sizeof *r);
    if (r) {
        r->thinking = thinking;
        r->tools = tools;
        exaone_buf_init(&r->raw, MAX_TEXT);
        exaone_buf_init(&r->reasoning, MAX_TEXT);
        exaone_buf_init(&r->content, 2 * MAX_TEXT);
    }
    return r;
}

void exaone_reply_free(exaone_reply *r) {
    if (r) {
        for (size_t i = 0; i < r->n_calls; i++) {
            free(r->calls[i].name);
            free(r->calls[i].arguments);
        }
        free(r->calls);
        exaone_buf_release(&r->raw);
        exaone_buf_release(&r->reasoning);
        exaone_buf_release(&r->content);
        free(r);
    }
}

/* ---- pieces ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_space_from(const exaone_reply *r, size_t at) {
    while (at < r->raw.len && is_space(r->raw.data[at])) {
        at++;
    }
    return at;
}

static size_t find_from(const exaone_reply *r, size_t from, const char *tag) {
    if (from >= r->raw.len) {
        return SIZE_MAX;
    }
    size_t at = exaone_slice_find((exaone_slice){r->raw.data + from, r->raw.len - from}, tag);
    return at == SIZE_MAX ? SIZE_MAX : from + at;
}

/* Does the text at `at` begin with the tag? 1 yes, 0 no, -1 it may when more comes. */
static int begins(const exaone_reply *r, size_t at, const char *tag) {
    size_t n = strlen(tag), have = r->raw.len - at;
    if (memcmp(r->raw.data + at, tag, have < n ? have : n) != 0) {
        return 0;
    }
    return have >= n ? 1 : -1;
}

/* Where the longest tail of the text begins that may still grow into the tag (at or behind `from`); raw.len when none. */
static size_t partial_tag(const exaone_reply *r, size_t from, const char *tag) {
    size_t n = strlen(tag), start = r->raw.len > n - 1 ? r->raw.len - (n - 1) : 0;
    for (size_t at = start > from ? start : from; at < r->raw.len; at++) {
        if (begins(r, at, tag) != 0) {
            return at;
        }
    }
    return r->raw.len;
}

static size_t before_space(const exaone_reply *r, size_t from, size_t end) {
    while (end > from && is_space(r->raw.data[end - 1])) {
        end--;
    }
    return end;
}

/* ---- calls ---- */

static char *print_json(const exaone_json *j) {
    exaone_buf b;
    exaone_buf_init(&b, MAX_TEXT);
    exaone_json_put(&b, j);
    if (b.failed) {
        exaone_buf_release(&b);
        return NULL;
    }
    return exaone_buf_take(&b, NULL);
}

/* The arguments as JSON text: an object or what stands there; null and absence are {}; a string that holds an object is unwrapped. */
static char *print_arguments(const exaone_json *call, exaone_arena *arena) {
    const exaone_json *a = exaone_json_get(call, "arguments");
    a = a ? a : exaone_json_get(call, "parameters");
    if (!a || a->type == EXAONE_JSON_NULL) {
        return exaone_mem_string("{}", 2);
    }
    exaone_json *inner = NULL;
    if (a->type == EXAONE_JSON_STRING && exaone_json_parse(a->text, a->len, arena, &inner, NULL) == EXAONE_OK &&
        inner->type == EXAONE_JSON_OBJECT) {
        a = inner;
    }
    return print_json(a);
}

/* Reads a call from text[0 .. n). 1 yes (*out owns its strings), 0 no, -1 out of memory. `out` may be NULL: only asks. */
static int parse_call(const char *text, size_t n, parsed_call *out) {
    exaone_arena arena;
    exaone_json *j = NULL;
    if (n > MAX_REGION) {
        return 0;
    }
    exaone_arena_init(&arena, 2 * n * MEMORY_PER_BYTE + 65536);
    int result = 0;
    if (exaone_json_parse(text, n, &arena, &j, NULL) == EXAONE_OK && j->type == EXAONE_JSON_OBJECT) {
        const exaone_json *name = exaone_json_get(j, "name");
        result = exaone_json_is(name, EXAONE_JSON_STRING) && name->len > 0 && !memchr(name->text, 0, name->len);
        if (result && out) {
            *out = (parsed_call){exaone_mem_string(name->text, name->len), print_arguments(j, &arena)};
            if (!out->name || !out->arguments) {
                free(out->name);
                free(out->arguments);
                result = -1;
            }
        }
    }
    exaone_arena_release(&arena);
    return result;
}

static void keep_call(exaone_reply *r, parsed_call call) {
    if (r->n_calls == r->cap_calls) {
        size_t cap = r->cap_calls ? 2 * r->cap_calls : 4;
        parsed_call *more = cap <= MAX_CALLS ? exaone_mem_resize(r->calls, cap, sizeof *more) : NULL;
        if (!more) {
            free(call.name);
            free(call.arguments);
            r->failed = true;
            return;
        }
        r->calls = more;
        r->cap_calls = cap;
    }
    r->calls[r->n_calls++] = call;
}

/* A region that opens at `at` (the '<' of <tool_call>). What closes it: */
typedef struct {
    bool decided; /* false: more text is needed */
    bool is_call;
    size_t end; /* behind the closing tag */
    size_t body, body_len;
} region;

/* The first </tool_call> outside a JSON string, or SIZE_MAX; *first = the first one at all. */
static size_t close_outside_string(const exaone_reply *r, size_t body, size_t end, size_t *first) {
    bool string = false;
    *first = SIZE_MAX;
    for (size_t i = body; i < end; i++) {
        char c = r->raw.data[i];
        if (c == '<' && begins(r, i, call_close) == 1) {
            *first = *first == SIZE_MAX ? i : *first;
            if (!string) {
                return i;
            }
        }
        if (c == '"') {
            string = !string;
        } else if (c == '\\' && string) {
            i++;
        }
    }
    return SIZE_MAX;
}

static region close_region(const exaone_reply *r, size_t at, bool final, bool stopped) {
    region g = {.body = at + strlen(call_open)};
    size_t end = r->raw.len, first, tag = strlen(call_close);
    bool too_long = end - g.body > MAX_REGION;
    end = too_long ? g.body + MAX_REGION : end;
    size_t outside = close_outside_string(r, g.body, end, &first);
    if (outside != SIZE_MAX && parse_call(r->raw.data + g.body, outside - g.body, NULL) == 1) {
        return (region){.decided = true, .is_call = true, .end = outside + tag, .body = g.body, .body_len = outside - g.body};
    }
    if (outside == SIZE_MAX && !final && !too_long) {
        return g; /* the string may still end, or the tag come */
    }
    if (first == SIZE_MAX && final && stopped && parse_call(r->raw.data + g.body, end - g.body, NULL) == 1) {
        return (region){.decided = true, .is_call = true, .end = r->raw.len, .body = g.body, .body_len = r->raw.len - g.body};
    }
    g.decided = true; /* no call: closed at the first tag at all, or (nothing closes it) everything is text */
    g.end = first != SIZE_MAX ? first + tag : end;
    return g;
}

/* ---- phases; each returns true when it moved on ---- */

static bool advance_start(exaone_reply *r, bool final) {
    size_t at = skip_space_from(r, r->pos);
    int opens = at < r->raw.len ? begins(r, at, think_open) : -1;
    if (opens < 0 && !final) {
        return false;
    }
    if (opens == 1) {
        r->pos = at + strlen(think_open);
        r->phase = REASONING;
        r->skip_space = true;
    } else if (r->thinking) {
        r->phase = REASONING;
        r->skip_space = true;
    } else {
        r->phase = CONTENT;
    }
    r->searched = r->pos;
    return true;
}

static void put(exaone_buf *to, const exaone_reply *r, size_t from, size_t end) {
    exaone_buf_append(to, r->raw.data + from, end - from);
}

/* At the end inside the reasoning: a run of complete calls at the very end, only white space between and behind, are calls. */
static void calls_at_end(exaone_reply *r) {
    size_t tries = 0;
    for (size_t at = find_from(r, r->pos, call_open); at != SIZE_MAX && tries < 256; at = find_from(r, at + 1, call_open), tries++) {
        size_t k = at;
        size_t n = 0;
        while (k < r->raw.len && begins(r, k, call_open) == 1) {
            region g = close_region(r, k, true, false);
            if (!g.is_call) {
                break;
            }
            n++;
            k = skip_space_from(r, g.end);
        }
        if (n == 0 || k < r->raw.len) {
            continue;
        }
        put(&r->reasoning, r, r->pos, before_space(r, r->pos, at));
        for (k = at; k < r->raw.len;) {
            region g = close_region(r, k, true, false);
            parsed_call call;
            if (parse_call(r->raw.data + g.body, g.body_len, &call) == 1) {
                keep_call(r, call);
            } else {
                r->failed = true;
            }
            k = skip_space_from(r, g.end);
        }
        r->pos = r->raw.len;
        return;
    }
}

static bool advance_reasoning(exaone_reply *r, bool final) {
    if (r->skip_space) {
        r->pos = skip_space_from(r, r->pos);
        r->skip_space = r->pos == r->raw.len;
        r->searched = r->searched > r->pos ? r->searched : r->pos;
    }
    size_t close = find_from(r, r->searched, think_close);
    if (close != SIZE_MAX) {
        put(&r->reasoning, r, r->pos, before_space(r, r->pos, close));
        r->pos = close + strlen(think_close);
        r->searched = r->pos;
        r->phase = CONTENT;
        r->skip_space = true;
        return true;
    }
    if (r->tools && !r->held_call) {
        size_t call = find_from(r, r->searched, call_open);
        if (call != SIZE_MAX) {
            size_t end = before_space(r, r->pos, call);
            put(&r->reasoning, r, r->pos, end);
            r->pos = end;
            r->held_call = true;
        }
    }
    if (final) {
        if (r->tools && r->stopped) {
            calls_at_end(r);
        }
        put(&r->reasoning, r, r->pos, before_space(r, r->pos, r->raw.len));
        r->pos = r->raw.len;
        return false;
    }
    size_t tail = partial_tag(r, r->searched, think_close);
    r->searched = tail;
    if (!r->held_call) {
        size_t call_tail = r->tools ? partial_tag(r, r->pos, call_open) : r->raw.len;
        size_t end = before_space(r, r->pos, tail < call_tail ? tail : call_tail);
        put(&r->reasoning, r, r->pos, end);
        r->pos = end;
        r->searched = tail < call_tail ? tail : call_tail;
    }
    return false;
}

/* Content text from .. end: the white space rules around calls. */
static void put_content(exaone_reply *r, size_t from, size_t end) {
    if (from >= end) {
        return;
    }
    if (r->after_call) {
        if (r->content.len > 0) {
            exaone_buf_putc(&r->content, '\n');
        }
        r->after_call = false;
    }
    put(&r->content, r, from, end);
}

static bool advance_content(exaone_reply *r, bool final) {
    if (r->skip_space) {
        r->pos = skip_space_from(r, r->pos);
        r->skip_space = r->pos == r->raw.len;
        r->searched = r->searched > r->pos ? r->searched : r->pos;
        if (r->skip_space) {
            return false;
        }
    }
    if (!r->tools) {
        put_content(r, r->pos, r->raw.len);
        r->pos = r->raw.len;
        return false;
    }
    size_t open = find_from(r, r->searched, call_open);
    if (open == SIZE_MAX) {
        size_t tail = final ? r->raw.len : partial_tag(r, r->searched, call_open);
        size_t end = final ? r->raw.len : before_space(r, r->pos, tail);
        put_content(r, r->pos, end);
        r->pos = end;
        r->searched = tail;
        return false;
    }
    size_t edge = before_space(r, r->pos, open);
    put_content(r, r->pos, edge);
    r->pos = edge;
    region g = close_region(r, open, final, r->stopped);
    if (!g.decided) {
        r->searched = open;
        return false;
    }
    parsed_call call;
    int parsed = g.is_call ? parse_call(r->raw.data + g.body, g.body_len, &call) : 0;
    if (parsed < 0) {
        r->failed = true;
    } else if (parsed) {
        keep_call(r, call);
        r->pos = g.end;
        r->after_call = true;
        r->skip_space = true;
    } else {
        put_content(r, r->pos, g.end);
        r->pos = g.end;
    }
    r->searched = g.end;
    return g.end < r->raw.len || final;
}

static void advance(exaone_reply *r, bool final) {
    for (bool moved = true; moved && !r->failed;) {
        size_t before = r->pos;
        reply_phase phase = r->phase;
        moved = phase == START ? advance_start(r, final) : phase == REASONING ? advance_reasoning(r, final) : advance_content(r, final);
        moved = moved && (r->pos > before || r->phase != phase);
        r->failed = r->failed || r->reasoning.failed || r->content.failed;
    }
}

exaone_status exaone_reply_feed(exaone_reply *r, const char *bytes, size_t n, exaone_error *err) {
    if (r->finished) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the reply is finished");
    }
    if (!exaone_buf_append(&r->raw, bytes, n)) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the reply is longer than %d bytes, or memory is out", MAX_TEXT);
    }
    advance(r, false);
    return r->failed ? exaone_fail(err, EXAONE_ERR_LIMIT, "the reply has more than %d tool calls, or memory is out", MAX_CALLS) : EXAONE_OK;
}

exaone_status exaone_reply_finish(exaone_reply *r, bool stopped, exaone_error *err) {
    if (r->finished) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the reply is finished");
    }
    r->finished = true;
    r->stopped = stopped;
    advance(r, true);
    return r->failed ? exaone_fail(err, EXAONE_ERR_LIMIT, "the reply has more than %d tool calls, or memory is out", MAX_CALLS) : EXAONE_OK;
}

const char *exaone_reply_reasoning(const exaone_reply *r, size_t *n) {
    *n = r->reasoning.len;
    return r->reasoning.data ? r->reasoning.data : "";
}

const char *exaone_reply_content(const exaone_reply *r, size_t *n) {
    *n = r->content.len;
    return r->content.data ? r->content.data : "";
}

size_t exaone_reply_n_calls(const exaone_reply *r) {
    return r->n_calls;
}

exaone_tool_call exaone_reply_call(const exaone_reply *r, size_t i) {
    return (exaone_tool_call){r->calls[i].name, r->calls[i].arguments};
}

const char *exaone_reply_finish_reason(const exaone_reply *r) {
    return !r->stopped ? "length" : r->n_calls ? "tool_calls" : "stop";
}

static void put_text(exaone_buf *b, const char *key, const exaone_buf *text) {
    exaone_buf_printf(b, "\"%s\": ", key);
    text->len ? exaone_json_put_string(b, text->data, text->len) : (void)exaone_buf_puts(b, "null");
}

exaone_status exaone_reply_to_json(const exaone_reply *r, char **out, exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, (size_t)8 * MAX_TEXT);
    exaone_buf_puts(&b, "{");
    put_text(&b, "reasoning_content", &r->reasoning);
    exaone_buf_puts(&b, ", ");
    put_text(&b, "content", &r->content);
    exaone_buf_puts(&b, ", \"tool_calls\": [");
    for (size_t i = 0; i < r->n_calls; i++) {
        exaone_buf_puts(&b, i ? ", {\"name\": " : "{\"name\": ");
        exaone_json_put_string(&b, r->calls[i].name, strlen(r->calls[i].name));
        exaone_buf_puts(&b, ", \"arguments\": ");
        exaone_json_put_string(&b, r->calls[i].arguments, strlen(r->calls[i].arguments));
        exaone_buf_puts(&b, "}");
    }
    exaone_buf_printf(&b, "], \"finish_reason\": \"%s\"}", exaone_reply_finish_reason(r));
    *out = b.failed ? NULL : exaone_buf_take(&b, NULL);
    exaone_buf_release(&b);
    return *out ? EXAONE_OK : exaone_fail_memory(err, "the reply as JSON", r->raw.len);
}
