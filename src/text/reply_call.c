/* Tool calls in a reply: see reply_call.h.
 *
 * A call is a JSON object with a non-empty string `name`; its arguments are `arguments`, else `parameters`, else {}; null
 * counts as
 * {}; a string that holds a JSON object is unwrapped, any other value stays as it is.
 *
 * The scanner follows strings and brackets only. That is enough to find the closing tag, which is the first one outside a
 * string, and to keep many regions in one text linear: two regions that overlap disagree on what is quoted, so a tag that
 * both take for part of a string cannot follow, and a third region never starts before one of them is decided. */
#include "text/reply_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_TREE = 256 << 20, TREE_PER_BYTE = 64 };

static const char call_close[] = "</tool_call>";

void exaone_call_list_release(exaone_call_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        free((char *)(uintptr_t)list->items[i].name);
        free((char *)(uintptr_t)list->items[i].arguments);
    }
    free(list->items);
    *list = (exaone_call_list){0};
}

static exaone_status add_call(exaone_call_list *list, char *name, size_t n_name, exaone_buf *arguments, exaone_error *err) {
    exaone_tool_call *more = exaone_mem_grow(list->items, list->n, &list->cap, sizeof *more);
    if (!more) {
        return exaone_fail_memory(err, "tool calls", 2 * list->cap * sizeof *more);
    }
    list->items = more;
    size_t n_arguments;
    char *text = arguments->failed ? NULL : exaone_buf_take(arguments, &n_arguments);
    if (!text || !name) {
        free(text);
        return exaone_fail_memory(err, "a tool call", arguments->len + n_name);
    }
    list->items[list->n++] =
        (exaone_tool_call){.name = name, .arguments = text, .n_name = n_name, .n_arguments = n_arguments};
    return EXAONE_OK;
}

/* Whether a text is a JSON object. */
static exaone_status holds_object(const exaone_json *string, bool *yes, exaone_error *err) {
    exaone_arena arena;
    exaone_json *j;
    exaone_arena_init(&arena, MAX_TREE);
    exaone_status s = exaone_json_parse(string->text, string->len, &arena, &j, err);
    *yes = s == EXAONE_OK && j->type == EXAONE_JSON_OBJECT;
    exaone_arena_release(&arena);
    return s == EXAONE_ERR_MEMORY ? s : EXAONE_OK;
}

static exaone_status take_call(const exaone_json *j, exaone_call_list *calls, exaone_error *err) {
    const exaone_json *name = exaone_json_get(j, "name"), *arguments = exaone_json_get(j, "arguments");
    arguments = arguments ? arguments : exaone_json_get(j, "parameters");
    bool object = false;
    exaone_status s = EXAONE_OK;
    if (exaone_json_is(arguments, EXAONE_JSON_STRING)) {
        s = holds_object(arguments, &object, err);
    }
    exaone_buf b;
    exaone_buf_init(&b, MAX_TREE);
    if (!arguments || arguments->type == EXAONE_JSON_NULL) {
        exaone_buf_puts(&b, "{}");
    } else if (object) {
        exaone_buf_append(&b, arguments->text, arguments->len);
    } else {
        exaone_json_put(&b, arguments);
    }
    char *copy = exaone_mem_string(name->text, name->len);
    if (s == EXAONE_OK) {
        s = add_call(calls, copy, name->len, &b, err);
    }
    if (s != EXAONE_OK) {
        free(copy);
    }
    exaone_buf_release(&b);
    return s;
}

/* Adds text[0 .. n) when it is a call. */
static exaone_status read_call(const char *text, size_t n, exaone_call_list *calls, bool *call, exaone_error *err) {
    exaone_arena arena;
    exaone_json *j;
    *call = false;
    exaone_arena_init(&arena, n > MAX_TREE / TREE_PER_BYTE ? MAX_TREE : n * TREE_PER_BYTE + 4096);
    exaone_status s = exaone_json_parse(text, n, &arena, &j, err);
    if (s == EXAONE_OK) {
        const exaone_json *name = exaone_json_get(j, "name");
        *call = exaone_json_is(name, EXAONE_JSON_STRING) && name->len > 0;
        s = *call ? take_call(j, calls, err) : EXAONE_OK;
    } else if (s != EXAONE_ERR_MEMORY) {
        s = EXAONE_OK; /* no JSON: no call */
    }
    exaone_arena_release(&arena);
    return s;
}

/* ---- scanner ---- */

void exaone_call_scan_start(exaone_call_scan *scan, size_t begin) {
    *scan = (exaone_call_scan){.begin = begin, .at = begin};
}

/* One byte inside a string; false: the text ends inside an escape. */
static bool scan_quoted(exaone_call_scan *scan, const char *text, size_t n) {
    if (text[scan->at] == '\\') {
        if (n - scan->at < 2) {
            return false;
        }
        scan->at++;
    } else if (text[scan->at] == '"') {
        scan->quoted = false;
    }
    scan->at++;
    return true;
}

/* One byte outside strings, not '<'; false: this cannot be one JSON object. */
static bool scan_plain(exaone_call_scan *scan, char c) {
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
    scan->at++;
    if (blank) {
        return true;
    }
    if (scan->closed || (scan->depth == 0 && c != '{')) {
        return false;
    }
    if (c == '{' || c == '[') {
        scan->depth++;
    } else if (c == '}' || c == ']') {
        scan->closed = --scan->depth == 0;
    } else if (c == '"') {
        scan->quoted = true;
    } else {
        return c && strchr(",:-+.0123456789eEtrufalsn", c);
    }
    return true;
}

exaone_status exaone_call_scan_step(exaone_call_scan *scan, const char *text, size_t n, exaone_call_list *calls,
                                    exaone_call_verdict *verdict, exaone_error *err) {
    *verdict = EXAONE_CALL_OPEN;
    while (scan->at < n) {
        if (scan->quoted) {
            if (!scan_quoted(scan, text, n)) {
                return EXAONE_OK;
            }
        } else if (text[scan->at] == '<') {
            size_t tag = sizeof call_close - 1, have = n - scan->at < tag ? n - scan->at : tag;
            bool same = memcmp(text + scan->at, call_close, have) == 0, call = false;
            if (same && have < tag) {
                return EXAONE_OK;
            }
            exaone_status s = EXAONE_OK;
            if (same && scan->closed) {
                s = read_call(text + scan->begin, scan->at - scan->begin, calls, &call, err);
            }
            scan->at += call ? tag : 0;
            *verdict = s != EXAONE_OK ? EXAONE_CALL_OPEN : call ? EXAONE_CALL_YES : EXAONE_CALL_NO;
            return s;
        } else if (!scan_plain(scan, text[scan->at])) {
            *verdict = EXAONE_CALL_NO;
            return EXAONE_OK;
        }
    }
    return EXAONE_OK;
}

exaone_status exaone_call_scan_end(const exaone_call_scan *scan, const char *text, size_t n, exaone_call_list *calls,
                                   bool *call, exaone_error *err) {
    *call = false;
    if (!scan->closed || memmem(text + scan->begin, n - scan->begin, call_close, sizeof call_close - 1)) {
        return EXAONE_OK; /* cut JSON, or a region that a tag inside a string closes */
    }
    return read_call(text + scan->begin, n - scan->begin, calls, call, err);
}
