/* The reply parser: reasoning, content and tool calls of a model's text, for any cut of it (docs/model.md, "Replies").
 *
 * All bytes stay in `raw`; `pos` is the first one not yet decided. Held back until decided: white space at the end of a text
 * (a call behind it drops it), what may become a tag, an open <tool_call> region, and in the reasoning everything from the
 * first <tool_call> on (a </think> makes it a thought, the end of the text perhaps a call).
 *
 * Time is linear: a region that cannot be JSON any more ('<' or '\' outside a string, no '{' first) is given up at once. Of
 * two regions that begin at different places one is outside a string where the other is inside, so that the next closing tag
 * ends one of them; no byte is read by more than a few scans. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "exaone/chat.h"

enum { MAX_RAW = 64 << 20, MAX_OUT = MAX_RAW + (8 << 20), MAX_REGION = 1 << 20, MEMORY_PER_BYTE = 96 };

static const char THINK[] = "<think>", THINK_END[] = "</think>", CALL[] = "<tool_call>", CALL_END[] = "</tool_call>";

typedef enum { START, REASONING, THOUGHT_CALL, CONTENT, REGION, BROKEN, DONE } phase;

/* A text that grows; its trailing white space waits in `held`. */
typedef struct {
    exaone_buf out, held;
    bool trim; /* drop white space until text comes */
    bool join; /* put a newline before that text if there was text before */
} sink;

typedef struct {
    size_t start, scan; /* of the body; next byte to look at */
    size_t close;       /* the first closing tag of all, SIZE_MAX while none was seen */
    bool quoted, opened;
} region;

typedef struct {
    char *name, *arguments;
} call;

struct exaone_reply {
    bool thinking, tools, finished, stopped;
    bool no_memory;
    phase phase;
    exaone_buf raw;
    size_t pos, scan;
    region region;
    sink reasoning, content;
    exaone_buf calls; /* of call */
};

static bool is_white(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void sink_put(sink *s, const char *p, size_t n) {
    size_t begin = 0, end = n;
    while (end > 0 && is_white(p[end - 1])) {
        end--;
    }
    if (end > 0) {
        while (s->trim && is_white(p[begin])) {
            begin++;
        }
        if (s->join && s->out.len) {
            exaone_buf_putc(&s->out, '\n');
        }
        exaone_buf_append(&s->out, s->held.data ? s->held.data : "", s->held.len);
        exaone_buf_clear(&s->held);
        exaone_buf_append(&s->out, p + begin, end - begin);
        s->trim = s->join = false;
    }
    if (!s->trim && end < n) {
        exaone_buf_append(&s->held, p + end, n - end);
    }
}

static void sink_flush(sink *s) {
    exaone_buf_append(&s->out, s->held.data ? s->held.data : "", s->held.len);
    exaone_buf_clear(&s->held);
}

/* Passes raw[pos .. end) on. */
static void emit(exaone_reply *r, sink *s, size_t end) {
    if (end > r->pos) {
        sink_put(s, r->raw.data + r->pos, end - r->pos);
        r->pos = end;
    }
}

/* Whether `tag` stands at `at`; *cut: the text ends inside it. */
static bool tag_at(const exaone_reply *r, size_t at, const char *tag, bool *cut) {
    size_t n = strlen(tag), left = r->raw.len - at;
    *cut = left < n && (left == 0 || memcmp(r->raw.data + at, tag, left) == 0);
    return left >= n && memcmp(r->raw.data + at, tag, n) == 0;
}

/* The first of two tags (b may be NULL) from `from` on: true and its place. Else *at is where the text may begin one. */
static bool find_tag(const exaone_reply *r, size_t from, const char *a, const char *b, size_t *at, const char **which) {
    size_t i = from;
    while (i < r->raw.len) {
        const char *p = memchr(r->raw.data + i, '<', r->raw.len - i);
        if (!p) {
            break;
        }
        i = (size_t)(p - r->raw.data);
        bool cut_a, cut_b = false;
        bool is_a = tag_at(r, i, a, &cut_a);
        if (is_a || (b && tag_at(r, i, b, &cut_b))) {
            *at = i;
            *which = is_a ? a : b;
            return true;
        }
        if (cut_a || cut_b) {
            *at = i;
            return false;
        }
        i++;
    }
    *at = r->raw.len;
    return false;
}

/* ---- calls ---- */

/* The arguments as JSON text: a string that holds an object is unwrapped. */
static char *arguments_text(const exaone_json *j, bool *no_memory) {
    exaone_buf b;
    exaone_arena arena;
    exaone_json *inner = NULL;
    exaone_buf_init(&b, MAX_OUT);
    bool none = !j || j->type == EXAONE_JSON_NULL, text = !none && j->type == EXAONE_JSON_STRING;
    exaone_arena_init(&arena, text ? j->len * MEMORY_PER_BYTE + (1 << 16) : 1);
    if (none) {
        exaone_buf_puts(&b, "{}");
    } else if (text && exaone_json_parse(j->text, j->len, &arena, &inner, NULL) == EXAONE_OK &&
               exaone_json_is(inner, EXAONE_JSON_OBJECT)) {
        exaone_json_put(&b, inner);
    } else {
        exaone_json_put(&b, j);
    }
    exaone_arena_release(&arena);
    char *out = b.failed ? NULL : exaone_buf_take(&b, NULL);
    exaone_buf_release(&b);
    *no_memory = *no_memory || !out;
    return out;
}

/* Reads text as one call: true and the call (the caller's), or false. */
static bool read_call(exaone_reply *r, const char *text, size_t n, call *out) {
    exaone_arena arena;
    exaone_json *j;
    bool ok = false;
    exaone_arena_init(&arena, n * MEMORY_PER_BYTE + (1 << 16));
    if (exaone_json_parse(text, n, &arena, &j, NULL) == EXAONE_OK) {
        const exaone_json *name = exaone_json_get(j, "name"), *arguments = exaone_json_get(j, "arguments");
        arguments = arguments ? arguments : exaone_json_get(j, "parameters");
        if (exaone_json_is(name, EXAONE_JSON_STRING) && name->len && !memchr(name->text, 0, name->len)) {
            out->name = exaone_mem_string(name->text, name->len);
            out->arguments = arguments_text(arguments, &r->no_memory);
            ok = out->name && out->arguments;
            r->no_memory = r->no_memory || !ok;
        }
    }
    exaone_arena_release(&arena);
    if (!ok && r->no_memory) {
        free(out->name);
        free(out->arguments);
    }
    return ok;
}

static void add_call(exaone_reply *r, call *c) {
    if (!exaone_buf_append(&r->calls, c, sizeof *c)) {
        free(c->name);
        free(c->arguments);
        r->no_memory = true;
    }
}

static void region_open(region *g, size_t start) {
    *g = (region){.start = start, .scan = start, .close = SIZE_MAX};
}

typedef enum { OPEN, IS_CALL, IS_TEXT } region_state;

/* At a '<' of the body. */
static region_state region_angle(exaone_reply *r, region *g, bool final, call *c) {
    bool cut;
    bool closes = tag_at(r, g->scan, CALL_END, &cut);
    if (closes && g->close == SIZE_MAX) {
        g->close = g->scan;
    }
    if (cut && !final) {
        return OPEN;
    }
    if (!g->quoted) {
        return closes && read_call(r, r->raw.data + g->start, g->scan - g->start, c) ? IS_CALL : IS_TEXT;
    }
    g->scan++;
    return OPEN;
}

/* Continues to read a region. IS_CALL: *c is the call and g->scan its closing tag (or the end of the text). IS_TEXT: the
 * region is text up to g->close, or up to the first closing tag still to come. final: the text ends here. */
static region_state region_read(exaone_reply *r, region *g, bool final, call *c) {
    *c = (call){0};
    while (g->scan < r->raw.len) {
        char x = r->raw.data[g->scan];
        if (g->scan - g->start > MAX_REGION) {
            return IS_TEXT;
        }
        if (x == '<') {
            size_t at = g->scan;
            region_state s = region_angle(r, g, final, c);
            if (s != OPEN || g->scan == at) {
                return s;
            }
            continue;
        }
        if (g->quoted && x == '\\') {
            if (g->scan + 1 == r->raw.len) {
                break; /* the escaped byte is still to come */
            }
            g->scan +=
                r->raw.data[g->scan + 1] == '<' ? 1 : 2; /* '\<' is no JSON; the tag behind it counts as the first one */
            if (r->raw.data[g->scan] == '<' && r->raw.data[g->scan - 1] == '\\') {
                bool cut;
                if (tag_at(r, g->scan, CALL_END, &cut) || cut) {
                    return IS_TEXT;
                }
            }
            continue;
        }
        if (x == '"') {
            g->quoted = !g->quoted;
        }
        if (!g->quoted && (x == '\\' || (!g->opened && !is_white(x) && x != '{'))) {
            return IS_TEXT;
        }
        if (g->quoted && !g->opened) {
            return IS_TEXT;
        }
        g->opened = g->opened || x == '{';
        g->scan++;
    }
    if (!final) {
        return OPEN;
    }
    return g->close == SIZE_MAX && r->stopped && read_call(r, r->raw.data + g->start, r->raw.len - g->start, c) ? IS_CALL
                                                                                                                : IS_TEXT;
}

/* ---- phases: each returns whether another step may follow ---- */

static bool step_start(exaone_reply *r, bool final) {
    while (r->scan < r->raw.len && is_white(r->raw.data[r->scan])) {
        r->scan++;
    }
    bool cut = false, tag = tag_at(r, r->scan, THINK, &cut);
    if (!tag && cut && !final) {
        return false;
    }
    r->reasoning.trim = true;
    if (tag) {
        r->pos = r->scan + strlen(THINK);
    }
    r->phase = tag || r->thinking ? REASONING : CONTENT;
    return true;
}

static void end_reasoning(exaone_reply *r, size_t at) {
    emit(r, &r->reasoning, at);
    exaone_buf_clear(&r->reasoning.held);
    r->pos = at + strlen(THINK_END);
    r->content.trim = true;
    r->phase = CONTENT;
}

static bool step_reasoning(exaone_reply *r, bool final) {
    size_t at;
    const char *which;
    if (find_tag(r, r->pos, THINK_END, r->tools ? CALL : NULL, &at, &which)) {
        if (which == THINK_END) {
            end_reasoning(r, at);
        } else {
            emit(r, &r->reasoning, at);
            r->scan = at;
            r->phase = THOUGHT_CALL;
        }
        return true;
    }
    emit(r, &r->reasoning, final ? r->raw.len : at);
    return false;
}

/* At the end of unclosed reasoning: a run of calls up to the end, or false and nothing is changed. */
static bool take_thought_calls(exaone_reply *r) {
    size_t at = r->pos, n = r->calls.len;
    bool ok = true, cut;
    while (ok && at < r->raw.len && tag_at(r, at, CALL, &cut)) {
        region g;
        call c;
        region_open(&g, at + strlen(CALL));
        ok = region_read(r, &g, true, &c) == IS_CALL;
        if (ok) {
            add_call(r, &c);
            at = g.scan < r->raw.len ? g.scan + strlen(CALL_END) : r->raw.len;
        }
        while (ok && at < r->raw.len && is_white(r->raw.data[at])) {
            at++;
        }
    }
    if (ok && at == r->raw.len) {
        r->pos = at;
        return true;
    }
    while (r->calls.len > n) {
        call *c = (call *)(void *)(r->calls.data + r->calls.len) - 1;
        free(c->name);
        free(c->arguments);
        r->calls.len -= sizeof *c;
    }
    return false;
}

static bool step_thought_call(exaone_reply *r, bool final) {
    size_t at;
    const char *which;
    if (find_tag(r, r->scan, THINK_END, NULL, &at, &which)) {
        end_reasoning(r, at);
        return true;
    }
    r->scan = at;
    if (final && !(r->stopped && take_thought_calls(r))) {
        emit(r, &r->reasoning, r->raw.len);
    }
    return false;
}

static bool step_content(exaone_reply *r, bool final) {
    size_t at = r->raw.len;
    const char *which;
    if (r->tools && find_tag(r, r->pos, CALL, NULL, &at, &which)) {
        emit(r, &r->content, at);
        region_open(&r->region, at + strlen(CALL));
        r->phase = REGION;
        return true;
    }
    emit(r, &r->content, final ? r->raw.len : at);
    return false;
}

static bool step_region(exaone_reply *r, bool final) {
    call c;
    region *g = &r->region;
    region_state s = region_read(r, g, final, &c);
    if (s == OPEN) {
        return false;
    }
    if (s == IS_CALL) {
        add_call(r, &c);
        r->pos = g->scan < r->raw.len ? g->scan + strlen(CALL_END) : r->raw.len;
        exaone_buf_clear(&r->content.held);
        r->content.trim = r->content.join = true;
        r->phase = CONTENT;
    } else if (g->close != SIZE_MAX) {
        emit(r, &r->content, g->close + strlen(CALL_END));
        r->phase = CONTENT;
    } else {
        emit(r, &r->content, g->scan);
        r->phase = BROKEN;
    }
    return true;
}

static bool step_broken(exaone_reply *r, bool final) {
    size_t at;
    const char *which;
    if (find_tag(r, r->pos, CALL_END, NULL, &at, &which)) {
        emit(r, &r->content, at + strlen(CALL_END));
        r->phase = CONTENT;
        return true;
    }
    emit(r, &r->content, final ? r->raw.len : at);
    return false;
}

static exaone_status advance(exaone_reply *r, bool final, exaone_error *err) {
    static bool (*const steps[])(exaone_reply *, bool) = {step_start,   step_reasoning, step_thought_call,
                                                          step_content, step_region,    step_broken};
    while (r->phase != DONE && steps[r->phase](r, final)) {
    }
    if (r->no_memory || r->reasoning.out.failed || r->reasoning.held.failed || r->content.out.failed ||
        r->content.held.failed) {
        r->no_memory = true;
        return exaone_fail_memory(err, "a reply", r->raw.len);
    }
    return EXAONE_OK;
}

/* ---- the interface ---- */

exaone_reply *exaone_reply_new(bool thinking, bool tools) {
    exaone_reply *r = exaone_mem_array(1, sizeof *r);
    if (r) {
        r->thinking = thinking;
        r->tools = tools;
        exaone_buf_init(&r->raw, MAX_RAW);
        exaone_buf_init(&r->reasoning.out, MAX_OUT);
        exaone_buf_init(&r->reasoning.held, MAX_OUT);
        exaone_buf_init(&r->content.out, MAX_OUT);
        exaone_buf_init(&r->content.held, MAX_OUT);
        exaone_buf_init(&r->calls, MAX_OUT);
    }
    return r;
}

void exaone_reply_free(exaone_reply *r) {
    if (!r) {
        return;
    }
    for (size_t i = 0; i < exaone_reply_n_calls(r); i++) {
        call *c = (call *)(void *)r->calls.data + i;
        free(c->name);
        free(c->arguments);
    }
    exaone_buf_release(&r->raw);
    exaone_buf_release(&r->reasoning.out);
    exaone_buf_release(&r->reasoning.held);
    exaone_buf_release(&r->content.out);
    exaone_buf_release(&r->content.held);
    exaone_buf_release(&r->calls);
    free(r);
}

exaone_status exaone_reply_feed(exaone_reply *r, const char *bytes, size_t n, exaone_error *err) {
    if (r->finished) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "a reply of %zu bytes is finished and takes no more text", r->raw.len);
    }
    if (n > MAX_RAW - r->raw.len) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "a reply of %zu bytes and %zu more, the limit is %d", r->raw.len, n,
                           MAX_RAW);
    }
    if (r->no_memory || !exaone_buf_append(&r->raw, bytes, n)) {
        return exaone_fail_memory(err, "a reply", r->raw.len + n);
    }
    return n ? advance(r, false, err) : EXAONE_OK;
}

exaone_status exaone_reply_finish(exaone_reply *r, bool stopped, exaone_error *err) {
    if (r->finished) {
        return EXAONE_OK;
    }
    r->finished = true;
    r->stopped = stopped;
    if (r->no_memory) {
        return exaone_fail_memory(err, "a reply", r->raw.len);
    }
    exaone_status s = advance(r, true, err);
    sink_flush(&r->content);
    exaone_buf_release(&r->reasoning.held);
    r->phase = DONE;
    if (s == EXAONE_OK && r->content.out.failed) {
        s = exaone_fail_memory(err, "a reply", r->raw.len);
    }
    return s;
}

static const char *text_of(const exaone_buf *b, size_t *n) {
    if (n) {
        *n = b->len;
    }
    return b->data ? b->data : "";
}

const char *exaone_reply_reasoning(const exaone_reply *r, size_t *n) {
    return text_of(&r->reasoning.out, n);
}

const char *exaone_reply_content(const exaone_reply *r, size_t *n) {
    return text_of(&r->content.out, n);
}

size_t exaone_reply_n_calls(const exaone_reply *r) {
    return r->calls.len / sizeof(call);
}

exaone_tool_call exaone_reply_call(const exaone_reply *r, size_t i) {
    const call *c = (const call *)(const void *)r->calls.data + i;
    return (exaone_tool_call){.name = c->name, .arguments = c->arguments};
}

const char *exaone_reply_finish_reason(const exaone_reply *r) {
    return !r->finished || !r->stopped ? "length" : r->calls.len ? "tool_calls" : "stop";
}

static void put_text(exaone_buf *b, const char *key, const exaone_buf *text) {
    exaone_buf_printf(b, "\"%s\": ", key);
    if (text->len) {
        exaone_json_put_string(b, text->data, text->len);
    } else {
        exaone_buf_puts(b, "null");
    }
}

exaone_status exaone_reply_to_json(const exaone_reply *r, char **out, exaone_error *err) {
    exaone_buf b;
    *out = NULL;
    exaone_buf_init(&b, (size_t)MAX_OUT * 8);
    exaone_buf_puts(&b, "{");
    put_text(&b, "reasoning_content", &r->reasoning.out);
    exaone_buf_puts(&b, ", ");
    put_text(&b, "content", &r->content.out);
    exaone_buf_puts(&b, ", \"tool_calls\": [");
    for (size_t i = 0; i < exaone_reply_n_calls(r); i++) {
        exaone_tool_call c = exaone_reply_call(r, i);
        exaone_buf_puts(&b, i ? ", {\"name\": " : "{\"name\": ");
        exaone_json_put_string(&b, c.name, strlen(c.name));
        exaone_buf_puts(&b, ", \"arguments\": ");
        exaone_json_put_string(&b, c.arguments, strlen(c.arguments));
        exaone_buf_puts(&b, "}");
    }
    exaone_buf_printf(&b, "], \"finish_reason\": \"%s\"}", exaone_reply_finish_reason(r));
    if (!b.failed) {
        *out = exaone_buf_take(&b, NULL);
    }
    exaone_buf_release(&b);
    return *out ? EXAONE_OK : exaone_fail_memory(err, "a reply as JSON", r->raw.len);
}
