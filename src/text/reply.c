/* The reply parser: what a model wrote, as reasoning, content and tool calls (docs/model.md, "Replies").
 *
 * One pass over the bytes, independent of how they arrive. All text is kept; positions below are offsets into it.
 *
 *   HEAD: white space and one <think> at the start.
 *
 *   THINK: up to the first </think>. With tools, reasoning is held back from the first <tool_call> on while what follows is
 *   nothing but complete calls, because such calls count if the text ends there.
 *
 *   CONTENT: up to the next <tool_call>.
 *
 *   REGION: behind <tool_call>; held back until it is known to be a call or not.
 *
 *   BROKEN: behind <tool_call>, known to be no call: content up to the first </tool_call>.
 *
 * White space here is space, tab, CR and LF. */
#include "exaone/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/reply_call.h"

enum { MAX_REPLY = 64 << 20 };

static const char think_open[] = "<think>", think_close[] = "</think>", call_open[] = "<tool_call>",
                  call_close[] = "</tool_call>";

/* Text that goes out without the white space at its ends. */
typedef struct {
    exaone_buf out;
    size_t from;    /* text[from ..) has not gone out */
    size_t blank;   /* text[from .. blank) is known to be white space */
    bool lead;      /* white space here is dropped */
    bool separator; /* one newline goes before the next piece */
} sink;

typedef enum { HEAD, THINK, CONTENT, REGION, BROKEN } phase;

/* Calls at the end of thinking that has not been closed. */
typedef enum { NO_TAIL, TAIL_REGION, TAIL_BETWEEN, DEAD_TAIL } tail_phase;

struct exaone_reply {
    bool thinking, tools, finished, stopped;
    phase phase;
    exaone_buf text;
    size_t at;   /* HEAD, CONTENT, BROKEN: text[at ..) is not looked at; THINK: </think> does not begin before */
    size_t open; /* REGION, BROKEN: where <tool_call> begins */
    tail_phase tail;
    size_t tail_at, tail_open; /* as at and open; everything from tail_open on is held back */
    exaone_call_scan scan;
    sink reasoning, content;
    exaone_call_list calls, tail_calls;
};

exaone_reply *exaone_reply_new(bool thinking, bool tools) {
    exaone_reply *r = exaone_mem_array(1, sizeof *r);
    if (r) {
        r->thinking = thinking;
        r->tools = tools;
        exaone_buf_init(&r->text, MAX_REPLY);
        exaone_buf_init(&r->reasoning.out, MAX_REPLY);
        exaone_buf_init(&r->content.out, 2 * (size_t)MAX_REPLY); /* separators */
    }
    return r;
}

void exaone_reply_free(exaone_reply *r) {
    if (r) {
        exaone_buf_release(&r->text);
        exaone_buf_release(&r->reasoning.out);
        exaone_buf_release(&r->content.out);
        exaone_call_list_release(&r->calls);
        exaone_call_list_release(&r->tail_calls);
        free(r);
    }
}

/* ---- text going out ---- */

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void sink_start(sink *s, size_t from, bool lead) {
    s->from = s->blank = from;
    s->lead = lead;
}

/* Lets text[.. end) out, except for white space at its end. */
static void sink_move(const exaone_reply *r, sink *s, size_t end) {
    size_t last = end;
    while (last > s->blank && is_blank(r->text.data[last - 1])) {
        last--;
    }
    if (last <= s->blank) { /* nothing but white space is new */
        s->blank = end > s->blank ? end : s->blank;
        return;
    }
    while (s->lead && is_blank(r->text.data[s->from])) {
        s->from++;
    }
    if (s->separator && s->out.len > 0) {
        exaone_buf_putc(&s->out, '\n');
    }
    s->lead = s->separator = false;
    exaone_buf_append(&s->out, r->text.data + s->from, last - s->from);
    s->from = last;
    s->blank = end;
}

/* Lets held white space out too, unless it belongs to the beginning of a piece. */
static void sink_flush(const exaone_reply *r, sink *s, size_t end) {
    sink_move(r, s, end);
    if (!s->lead && s->from < end) {
        exaone_buf_append(&s->out, r->text.data + s->from, end - s->from);
    }
    sink_start(s, end, s->lead);
}

/* ---- looking for tags ---- */

/* Offset of `tag` in text[from ..), or SIZE_MAX; then *safe = how far the text surely holds no beginning of it. */
static size_t find_tag(const exaone_reply *r, size_t from, const char *tag, size_t *safe) {
    size_t n = strlen(tag), end = r->text.len;
    const char *text = r->text.data;
    const char *at = end > from ? memmem(text + from, end - from, tag, n) : NULL;
    if (at) {
        return *safe = (size_t)(at - text);
    }
    size_t k = end - from < n - 1 ? from : end - (n - 1);
    while (k < end && memcmp(text + k, tag, end - k) != 0) {
        k++;
    }
    *safe = k;
    return SIZE_MAX;
}

/* Whether `tag` stands at `at`: 1 yes, 0 no, -1 the text ends inside it. */
static int tag_at(const exaone_reply *r, size_t at, const char *tag) {
    size_t n = strlen(tag), have = r->text.len - at;
    if (memcmp(r->text.data + at, tag, have < n ? have : n) != 0) {
        return 0;
    }
    return have < n ? -1 : 1;
}

/* ---- phases ---- */

static void start_content(exaone_reply *r, size_t at, bool lead) {
    r->phase = CONTENT;
    r->at = at;
    sink_start(&r->content, at, lead);
}

/* False: more text is needed. */
static bool step_head(exaone_reply *r, bool final) {
    while (r->at < r->text.len && is_blank(r->text.data[r->at])) {
        r->at++;
    }
    int open = tag_at(r, r->at, think_open);
    if (open < 0 && !final) {
        return false;
    }
    if (open > 0 || r->thinking) {
        r->phase = THINK;
        r->at += open > 0 ? sizeof think_open - 1 : 0;
        r->tail_at = r->at;
        sink_start(&r->reasoning, r->at, true);
    } else {
        start_content(r, 0, false);
    }
    return true;
}

/* Follows the calls at the end of open thinking as far as the text goes. */
static exaone_status step_tail(exaone_reply *r, exaone_error *err) {
    exaone_status s = EXAONE_OK;
    while (s == EXAONE_OK && r->tools && r->tail != DEAD_TAIL) {
        if (r->tail == NO_TAIL) {
            size_t found = find_tag(r, r->tail_at, call_open, &r->tail_at);
            if (found == SIZE_MAX) {
                break;
            }
            r->tail_open = found;
        }
        if (r->tail == TAIL_BETWEEN) {
            while (r->tail_at < r->text.len && is_blank(r->text.data[r->tail_at])) {
                r->tail_at++;
            }
            int open = tag_at(r, r->tail_at, call_open);
            if (open <= 0) {
                r->tail = open < 0 ? TAIL_BETWEEN : DEAD_TAIL;
                break;
            }
        }
        if (r->tail != TAIL_REGION) {
            r->tail = TAIL_REGION;
            exaone_call_scan_start(&r->scan, r->tail_at + sizeof call_open - 1);
        }
        exaone_call_verdict v = EXAONE_CALL_OPEN;
        s = exaone_call_scan_step(&r->scan, r->text.data, r->text.len, &r->tail_calls, &v, err);
        if (v == EXAONE_CALL_OPEN) {
            break;
        }
        r->tail = v == EXAONE_CALL_YES ? TAIL_BETWEEN : DEAD_TAIL;
        r->tail_at = r->scan.at;
    }
    return s;
}

static exaone_status step_think(exaone_reply *r, bool *more, exaone_error *err) {
    size_t safe, found = find_tag(r, r->at, think_close, &safe);
    r->at = safe;
    if (found != SIZE_MAX) {
        sink_move(r, &r->reasoning, found);
        exaone_call_list_release(&r->tail_calls);
        start_content(r, found + sizeof think_close - 1, true);
        *more = true;
        return EXAONE_OK;
    }
    *more = false;
    exaone_status s = step_tail(r, err);
    if (r->tools && r->tail != DEAD_TAIL) {
        size_t held = r->tail == NO_TAIL ? r->tail_at : r->tail_open;
        safe = held < safe ? held : safe;
    }
    sink_move(r, &r->reasoning, safe);
    return s;
}

static bool step_content(exaone_reply *r) {
    if (!r->tools) {
        r->at = r->text.len;
        sink_move(r, &r->content, r->at);
        return false;
    }
    size_t found = find_tag(r, r->at, call_open, &r->at);
    sink_move(r, &r->content, r->at);
    if (found != SIZE_MAX) {
        r->phase = REGION;
        r->open = found;
        exaone_call_scan_start(&r->scan, found + sizeof call_open - 1);
    }
    return found != SIZE_MAX;
}

static exaone_status step_region(exaone_reply *r, bool *more, exaone_error *err) {
    exaone_call_verdict v = EXAONE_CALL_OPEN;
    exaone_status s = exaone_call_scan_step(&r->scan, r->text.data, r->text.len, &r->calls, &v, err);
    *more = s == EXAONE_OK && v != EXAONE_CALL_OPEN;
    if (v == EXAONE_CALL_YES) {
        start_content(r, r->scan.at, true);
        r->content.separator = true;
    } else if (v == EXAONE_CALL_NO) {
        r->phase = BROKEN;
        r->at = r->open + sizeof call_open - 1;
    }
    return s;
}

static bool step_broken(exaone_reply *r) {
    size_t found = find_tag(r, r->at, call_close, &r->at);
    if (found != SIZE_MAX) {
        r->phase = CONTENT;
        r->at = found + sizeof call_close - 1;
    }
    sink_move(r, &r->content, r->at);
    return found != SIZE_MAX;
}

static exaone_status advance(exaone_reply *r, bool final, exaone_error *err) {
    exaone_status s = EXAONE_OK;
    bool more = r->text.len > 0;
    while (more && s == EXAONE_OK) {
        switch (r->phase) {
        case HEAD:
            more = step_head(r, final);
            break;
        case THINK:
            s = step_think(r, &more, err);
            break;
        case CONTENT:
            more = step_content(r);
            break;
        case REGION:
            s = step_region(r, &more, err);
            break;
        case BROKEN:
            more = step_broken(r);
            break;
        }
    }
    if (s == EXAONE_OK && (r->reasoning.out.failed || r->content.out.failed)) {
        s = exaone_fail_memory(err, "the reply", r->text.len);
    }
    return s;
}

exaone_status exaone_reply_feed(exaone_reply *r, const char *bytes, size_t n, exaone_error *err) {
    if (r->finished) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the reply has ended already");
    }
    if (n > MAX_REPLY - r->text.len) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the reply has more than %d bytes", MAX_REPLY);
    }
    if (!exaone_buf_append(&r->text, bytes, n)) {
        return exaone_fail_memory(err, "the reply", r->text.len + n);
    }
    return advance(r, false, err);
}

/* ---- the end ---- */

/* Thinking that never closed: calls behind it count when nothing else follows. */
static exaone_status finish_think(exaone_reply *r, exaone_error *err) {
    exaone_status s = EXAONE_OK;
    bool calls = r->tools && r->stopped && (r->tail == TAIL_REGION || r->tail == TAIL_BETWEEN);
    if (calls && r->tail == TAIL_REGION) {
        s = exaone_call_scan_end(&r->scan, r->text.data, r->text.len, &r->tail_calls, &calls, err);
    } else if (calls) {
        calls = r->tail_at == r->text.len;
    }
    sink_move(r, &r->reasoning, calls ? r->tail_open : r->text.len);
    if (calls && s == EXAONE_OK) {
        r->calls = r->tail_calls;
        r->tail_calls = (exaone_call_list){0};
    }
    return s;
}

static exaone_status finish_region(exaone_reply *r, exaone_error *err) {
    bool call = false;
    exaone_status s = EXAONE_OK;
    if (r->stopped) {
        s = exaone_call_scan_end(&r->scan, r->text.data, r->text.len, &r->calls, &call, err);
    }
    if (call) {
        start_content(r, r->text.len, true);
        return s;
    }
    r->phase = BROKEN;
    r->at = r->open + sizeof call_open - 1;
    return s == EXAONE_OK ? advance(r, true, err) : s; /* a closing tag inside a string ends the region after all */
}

exaone_status exaone_reply_finish(exaone_reply *r, bool stopped, exaone_error *err) {
    if (r->finished) {
        return EXAONE_OK;
    }
    r->finished = true;
    r->stopped = stopped;
    exaone_status s = advance(r, true, err);
    if (s == EXAONE_OK && r->phase == THINK) {
        s = finish_think(r, err);
    }
    while (s == EXAONE_OK && r->phase == REGION) { /* each round ends one region, and content may open the next */
        s = finish_region(r, err);
    }
    if (s == EXAONE_OK && r->phase >= CONTENT) {
        sink_flush(r, &r->content, r->text.len);
    }
    if (s == EXAONE_OK && (r->reasoning.out.failed || r->content.out.failed)) {
        s = exaone_fail_memory(err, "the reply", r->text.len);
    }
    return s;
}

/* ---- results ---- */

static const char *result_text(const exaone_buf *b, size_t *n) {
    if (n) {
        *n = b->len;
    }
    return b->data ? b->data : "";
}

const char *exaone_reply_reasoning(const exaone_reply *r, size_t *n) {
    return result_text(&r->reasoning.out, n);
}

const char *exaone_reply_content(const exaone_reply *r, size_t *n) {
    return result_text(&r->content.out, n);
}

size_t exaone_reply_n_calls(const exaone_reply *r) {
    return r->calls.n;
}

exaone_tool_call exaone_reply_call(const exaone_reply *r, size_t i) {
    return i < r->calls.n ? r->calls.items[i] : (exaone_tool_call){.name = "", .arguments = "{}", .n_arguments = 2};
}

const char *exaone_reply_finish_reason(const exaone_reply *r) {
    return !r->finished ? "" : !r->stopped ? "length" : r->calls.n ? "tool_calls" : "stop";
}

static void put_text(exaone_buf *out, const exaone_buf *text) {
    if (text->len) {
        exaone_json_put_string(out, text->data, text->len);
    } else {
        exaone_buf_puts(out, "null");
    }
}

exaone_status exaone_reply_to_json(const exaone_reply *r, char **out, exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, 16 * (size_t)MAX_REPLY); /* an escape has at most six bytes for one */
    exaone_buf_puts(&b, "{\"reasoning_content\": ");
    put_text(&b, &r->reasoning.out);
    exaone_buf_puts(&b, ", \"content\": ");
    put_text(&b, &r->content.out);
    exaone_buf_puts(&b, ", \"tool_calls\": [");
    for (size_t i = 0; i < r->calls.n; i++) {
        const exaone_tool_call *c = &r->calls.items[i];
        exaone_buf_puts(&b, i ? ", {\"name\": " : "{\"name\": ");
        exaone_json_put_string(&b, c->name, c->n_name);
        exaone_buf_puts(&b, ", \"arguments\": ");
        exaone_json_put_string(&b, c->arguments, c->n_arguments);
        exaone_buf_putc(&b, '}');
    }
    exaone_buf_printf(&b, "], \"finish_reason\": \"%s\"}", exaone_reply_finish_reason(r));
    *out = NULL;
    exaone_status s = exaone_buf_check(&b, "the reply as JSON", err);
    if (s == EXAONE_OK) {
        *out = exaone_buf_take(&b, NULL);
        s = *out ? EXAONE_OK : exaone_fail_memory(err, "the reply as JSON", 1);
    }
    exaone_buf_release(&b);
    return s;
}
