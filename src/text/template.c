/* The chat template of EXAONE 4.5 as code (docs/model.md, "Chat template"). Text goes into one buffer; each stretch is marked as
 * markup (trusted) or as brought by a message. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "exaone/chat.h"
#include "text/pystring.h"

enum { MAX_MESSAGES = 10000, MAX_TEXT = 256 << 20, MAX_MEDIA = 65536, MEMORY_PER_BYTE = 64 };

typedef struct {
    const exaone_template_options *options;
    exaone_error *err;
    exaone_buf text;
    exaone_buf spans; /* exaone_text_span with text = offset */
    exaone_buf media; /* exaone_media_ref */
    const exaone_json **messages;
    size_t n_messages;
    size_t last_query;
    bool vision_ids, skip_think, failed;
    size_t n_images, n_videos;
} renderer;

static void put(renderer *r, const char *bytes, size_t n, bool trusted) {
    if (n == 0) {
        return;
    }
    size_t n_spans = r->spans.len / sizeof(exaone_text_span);
    exaone_text_span *last = n_spans ? (exaone_text_span *)(void *)r->spans.data + n_spans - 1 : NULL;
    trusted = trusted || r->options->trust_all;
    exaone_buf_append(&r->text, bytes, n);
    if (last && last->trusted == trusted) {
        last->n += n;
        return;
    }
    exaone_text_span span = {.text = NULL, .n = n, .trusted = trusted};
    exaone_buf_append(&r->spans, &span, sizeof span);
}

static void markup(renderer *r, const char *text) {
    put(r, text, strlen(text), true);
}

/* A member of a message; null counts as absent. */
static const exaone_json *member(const exaone_json *m, const char *key) {
    const exaone_json *j = exaone_json_get(m, key);
    return exaone_json_is(j, EXAONE_JSON_NULL) ? NULL : j;
}

static void put_json(renderer *r, const exaone_json *j) {
    exaone_buf b;
    exaone_buf_init(&b, MAX_TEXT);
    exaone_json_put_python(&b, j);
    r->failed = r->failed || b.failed;
    put(r, b.data ? b.data : "", b.len, false);
    exaone_buf_release(&b);
}

/* ---- content ---- */

static bool truthy(const exaone_json *j) {
    double x;
    return j && j->type != EXAONE_JSON_NULL && j->type != EXAONE_JSON_FALSE &&
           !((j->type == EXAONE_JSON_STRING || j->type == EXAONE_JSON_ARRAY || j->type == EXAONE_JSON_OBJECT) && j->len == 0) &&
           !(exaone_json_double(j, &x) && x == 0);
}

static char *source_of(const exaone_json *item) {
    static const char *const keys[] = {"image_url", "video_url", "input_video", "url", "path", "image", "video"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const exaone_json *j = exaone_json_get(item, keys[i]);
        if (exaone_json_is(j, EXAONE_JSON_OBJECT)) {
            j = exaone_json_get(j, "url");
        }
        if (exaone_json_is(j, EXAONE_JSON_STRING) && !(j->len && memchr(j->text, 0, j->len))) {
            return exaone_mem_string(j->text, j->len);
        }
    }
    return NULL;
}

static exaone_status put_media(renderer *r, const exaone_json *item, bool video, size_t message, size_t part) {
    exaone_media_ref ref = {.is_video = video, .message = message, .part = part, .source = source_of(item)};
    size_t number = video ? ++r->n_videos : ++r->n_images;
    if (number > MAX_MEDIA || !exaone_buf_append(&r->media, &ref, sizeof ref)) {
        free(ref.source);
        return exaone_fail(r->err, EXAONE_ERR_LIMIT, "more than %d images or videos in one conversation", MAX_MEDIA);
    }
    if (r->vision_ids) {
        exaone_buf b;
        exaone_buf_init(&b, 64);
        exaone_buf_printf(&b, "%s %zu: ", video ? "Video" : "Picture", number);
        put(r, b.data ? b.data : "", b.len, true);
        exaone_buf_release(&b);
    }
    markup(r, video ? "<vision><|video_pad|></vision>\n" : "<vision><|image_pad|></vision>\n");
    return EXAONE_OK;
}

static void put_item_text(renderer *r, const exaone_json *text) {
    if (!text) {
        return;
    }
    if (text->type == EXAONE_JSON_STRING) {
        put(r, text->text, text->len, false);
        return;
    }
    exaone_buf b; /* what the template's language prints for other types: None, True, 1.0 */
    exaone_buf_init(&b, MAX_TEXT);
    exaone_python_repr(&b, text);
    put(r, b.data ? b.data : "", b.len, false);
    exaone_buf_release(&b);
}

/* User content and what follows the same path: a string as it is, or a list of items. */
static exaone_status put_content(renderer *r, const exaone_json *content, size_t message) {
    if (!content) {
        return EXAONE_OK;
    }
    if (content->type == EXAONE_JSON_STRING) {
        put(r, content->text, content->len, false);
        return EXAONE_OK;
    }
    if (content->type == EXAONE_JSON_OBJECT) {
        return EXAONE_OK; /* the reference walks over its keys and prints nothing */
    }
    if (content->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].content is neither text nor a list of items", message);
    }
    size_t part = 0;
    for (const exaone_json *item = content->first; item; item = item->next, part++) {
        const exaone_json *type = exaone_json_get(item, "type");
        bool image = exaone_json_equals(type, "image") || exaone_json_equals(type, "image_url");
        bool video = exaone_json_equals(type, "video") || exaone_json_equals(type, "video_url") || exaone_json_equals(type, "input_video");
        if (image || video) {
            exaone_status s = put_media(r, item, video, message, part);
            if (s != EXAONE_OK) {
                return s;
            }
        } else if (item->type == EXAONE_JSON_OBJECT) {
            put_item_text(r, exaone_json_get(item, "text"));
        }
    }
    return EXAONE_OK;
}

/* The text items of a list, joined, for places where the template wants a string. */
static bool join_text(renderer *r, const exaone_json *list, exaone_buf *out) {
    exaone_buf_init(out, MAX_TEXT);
    for (const exaone_json *item = list->first; item; item = item->next) {
        const exaone_json *text = item->type == EXAONE_JSON_STRING ? item : exaone_json_get(item, "text");
        if (exaone_json_is(text, EXAONE_JSON_STRING)) {
            exaone_buf_append(out, text->text, text->len);
        }
    }
    r->failed = r->failed || out->failed;
    return !out->failed;
}

static void put_first_system(renderer *r, const exaone_json *content) {
    if (content && content->type == EXAONE_JSON_ARRAY && !r->options->strict_reference) {
        exaone_buf b;
        if (join_text(r, content, &b)) {
            put(r, b.data ? b.data : "", b.len, false);
        }
        exaone_buf_release(&b);
    } else {
        put_item_text(r, content);
    }
}

/* ---- assistant turns ---- */

static exaone_status put_call(renderer *r, const exaone_json *call, size_t message) {
    const exaone_json *function = exaone_json_get(call, "function");
    call = truthy(function) ? function : call;
    const exaone_json *name = exaone_json_get(call, "name"), *arguments = exaone_json_get(call, "arguments");
    arguments = arguments ? arguments : exaone_json_get(call, "parameters");
    if (!arguments) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].tool_calls: arguments or parameters are mandatory", message);
    }
    markup(r, "<tool_call>");
    put(r, "{\"name\": \"", 10, false);
    put_item_text(r, name);
    put(r, "\", \"arguments\": ", 16, false);
    if (arguments->type == EXAONE_JSON_STRING) {
        put(r, arguments->text, arguments->len, false);
    } else {
        put_json(r, arguments);
    }
    put(r, "}", 1, false);
    markup(r, "</tool_call>");
    return EXAONE_OK;
}

/* Splits content at </think> when there is no reasoning_content. */
static void split_reasoning(exaone_slice whole, const exaone_json *given, exaone_slice *reasoning, exaone_slice *content) {
    *content = whole;
    *reasoning = (exaone_slice){"", 0};
    if (given) {
        *reasoning = (exaone_slice){given->text, given->len};
    } else if (exaone_slice_find(whole, "</think>") != SIZE_MAX) {
        size_t first = exaone_slice_find(whole, "</think>"), last = exaone_slice_rfind(whole, (exaone_slice){"</think>", 8});
        *reasoning = exaone_python_lstrip_set((exaone_slice){whole.text, first}, "<think>");
        *content = (exaone_slice){whole.text + last + 8, whole.n - last - 8};
    }
    *reasoning = exaone_python_strip(*reasoning);
    *content = exaone_python_strip(*content);
}

static exaone_status put_assistant(renderer *r, const exaone_json *m, size_t index) {
    const exaone_json *content = member(m, "content"), *given = member(m, "reasoning_content");
    given = given ? given : member(m, "thinking");
    given = given ? given : member(m, "reasoning");
    exaone_buf joined = {0};
    exaone_slice whole = {"", 0}, reasoning, rest;
    if (content && content->type == EXAONE_JSON_ARRAY && !r->options->strict_reference) {
        if (!join_text(r, content, &joined)) {
            exaone_buf_release(&joined);
            return EXAONE_OK; /* r->failed says it */
        }
        whole = (exaone_slice){joined.data ? joined.data : "", joined.len};
    } else if (content && content->type == EXAONE_JSON_STRING) {
        whole = (exaone_slice){content->text, content->len};
    } else if (content) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].content of an assistant is not text", index);
    }
    given = exaone_json_is(given, EXAONE_JSON_STRING) && given->len ? given : NULL;
    split_reasoning(whole, given, &reasoning, &rest);
    if (index <= r->last_query || r->skip_think) { /* MODEL: thoughts before the last question are dropped */
        reasoning.n = 0;
    }
    markup(r, "<think>\n");
    put(r, reasoning.text, reasoning.n, false);
    markup(r, "\n</think>\n\n");
    put(r, rest.text, rest.n, false);
    const exaone_json *calls = member(m, "tool_calls");
    exaone_status s = EXAONE_OK;
    if (exaone_json_is(calls, EXAONE_JSON_ARRAY) && calls->len) {
        if (rest.n) {
            markup(r, "\n");
        }
        for (const exaone_json *c = calls->first; c && s == EXAONE_OK; c = c->next) {
            s = put_call(r, c, index);
            if (c->next) {
                markup(r, "\n");
            }
        }
    }
    exaone_buf_release(&joined);
    return s;
}

/* ---- turns ---- */

static bool has_role(const renderer *r, size_t i, const char *role) {
    return i < r->n_messages && exaone_json_equals(member(r->messages[i], "role"), role);
}

static void put_tool_result(renderer *r, size_t i) {
    const exaone_json *content = member(r->messages[i], "content");
    if (i == 0 || !has_role(r, i - 1, "tool")) {
        markup(r, "<|tool|>\n");
    }
    if (content) {
        markup(r, "<tool_result>");
        if (content->type == EXAONE_JSON_STRING) {
            put(r, content->text, content->len, false);
        } else {
            put_json(r, content);
        }
        markup(r, "</tool_result>");
    }
    markup(r, has_role(r, i + 1, "tool") ? "\n" : "<|endofturn|>\n");
}

static exaone_status put_turn(renderer *r, size_t i) {
    const exaone_json *m = r->messages[i], *role = member(m, "role");
    static const char *const plain[] = {"user", "system", "tool_declare"};
    exaone_status s;
    if (has_role(r, i, "assistant")) {
        markup(r, "<|assistant|>\n");
        s = put_assistant(r, m, i);
        markup(r, "<|endofturn|>\n");
        return s;
    }
    if (has_role(r, i, "tool")) {
        put_tool_result(r, i);
        return EXAONE_OK;
    }
    for (size_t k = 0; k < sizeof plain / sizeof plain[0]; k++) {
        if (has_role(r, i, plain[k])) {
            markup(r, "<|");
            markup(r, plain[k]);
            markup(r, "|>\n");
            if (i == 0 && k == 1) {
                put_first_system(r, member(m, "content"));
                s = EXAONE_OK;
            } else {
                s = put_content(r, member(m, "content"), i);
            }
            markup(r, "<|endofturn|>\n");
            return s;
        }
    }
    return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu]: Unknown role: %.*s", i,
                       exaone_json_is(role, EXAONE_JSON_STRING) ? (int)(role->len < 64 ? role->len : 64) : 0,
                       exaone_json_is(role, EXAONE_JSON_STRING) ? role->text : "");
}

static exaone_status put_tools(renderer *r, const exaone_json *tools) {
    if (!truthy(tools)) {
        return EXAONE_OK;
    }
    if (tools->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "tools is not a list");
    }
    markup(r, "<|tool_declare|>\n# Tools\n");
    size_t i = 0;
    for (const exaone_json *t = tools->first; t; t = t->next, i++) {
        if (t->type != EXAONE_JSON_OBJECT) {
            return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "tools[%zu] is not an object", i);
        }
        markup(r, "<tool>");
        put_json(r, t);
        markup(r, "</tool>\n");
    }
    markup(r, "<|endofturn|>\n");
    return EXAONE_OK;
}

static exaone_status read_messages(renderer *r, const exaone_json *messages) {
    if (!exaone_json_is(messages, EXAONE_JSON_ARRAY) || messages->len == 0) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages must be a list of at least one message");
    }
    if (messages->len > MAX_MESSAGES) {
        return exaone_fail(r->err, EXAONE_ERR_LIMIT, "messages: %zu, the limit is %d", messages->len, MAX_MESSAGES);
    }
    r->messages = exaone_mem_array(messages->len, sizeof *r->messages);
    if (!r->messages) {
        return exaone_fail_memory(r->err, "messages", messages->len * sizeof *r->messages);
    }
    r->last_query = messages->len - 1;
    for (const exaone_json *m = messages->first; m; m = m->next) {
        if (m->type != EXAONE_JSON_OBJECT) {
            return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu] is not an object", r->n_messages);
        }
        r->messages[r->n_messages++] = m;
        if (has_role(r, r->n_messages - 1, "user") && exaone_json_is(member(m, "content"), EXAONE_JSON_STRING)) {
            r->last_query = r->n_messages - 1; /* MODEL: turns with a list, so every image turn, do not count */
        }
    }
    return EXAONE_OK;
}

/* Ends the text behind the last message's own text, white space trimmed. */
static exaone_status cut_final(renderer *r, const exaone_json *how) {
    const exaone_json *last = r->messages[r->n_messages - 1], *field = NULL;
    char name[64] = "content";
    if (how->type == EXAONE_JSON_STRING && how->len < sizeof name) {
        memcpy(name, how->text, how->len);
        name[how->len] = 0;
    }
    field = member(last, name);
    if (exaone_json_is(field, EXAONE_JSON_ARRAY)) {
        const exaone_json *text = NULL;
        for (const exaone_json *item = field->first; item; item = item->next) {
            text = exaone_json_get(item, "text") ? exaone_json_get(item, "text") : text;
        }
        field = text;
    }
    exaone_slice want = field && field->type == EXAONE_JSON_STRING ? exaone_python_strip((exaone_slice){field->text, field->len})
                                                                  : (exaone_slice){"", 0};
    size_t at = field ? exaone_slice_rfind((exaone_slice){r->text.data, r->text.len}, want) : SIZE_MAX;
    if (at == SIZE_MAX) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "continue_final_message: the final message's %s is not in the text", name);
    }
    size_t end = at + want.n, start = 0, n_spans = r->spans.len / sizeof(exaone_text_span), keep = 0;
    exaone_text_span *spans = (exaone_text_span *)(void *)r->spans.data;
    while (keep < n_spans && start < end) {
        spans[keep].n = end - start < spans[keep].n ? end - start : spans[keep].n;
        start += spans[keep++].n;
    }
    r->spans.len = keep * sizeof *spans;
    r->text.len = end;
    return EXAONE_OK;
}

static exaone_status render(renderer *r, const exaone_json *request, bool *thinking) {
    const exaone_json *o = exaone_json_get(request, "options");
    const exaone_json *enable = exaone_json_get(o, "enable_thinking"), *final = member(o, "continue_final_message");
    bool prompt = truthy(exaone_json_get(o, "add_generation_prompt"));
    r->vision_ids = truthy(exaone_json_get(o, "add_vision_id"));
    r->skip_think = exaone_json_is(exaone_json_get(o, "skip_think"), EXAONE_JSON_TRUE);
    if (prompt && truthy(final)) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "add_generation_prompt and continue_final_message exclude each other");
    }
    exaone_status s = read_messages(r, exaone_json_get(request, "messages"));
    if (s == EXAONE_OK) {
        s = put_tools(r, exaone_json_get(request, "tools"));
    }
    for (size_t i = 0; s == EXAONE_OK && i < r->n_messages; i++) {
        s = put_turn(r, i);
    }
    if (s == EXAONE_OK && prompt) {
        *thinking = !enable || enable->type == EXAONE_JSON_TRUE;
        markup(r, "<|assistant|>\n");
        markup(r, *thinking ? "<think>\n" : "<think>\n\n</think>\n\n");
    }
    if (s == EXAONE_OK && truthy(final)) {
        s = cut_final(r, final);
    }
    if (s == EXAONE_OK && (r->failed || r->text.failed || r->spans.failed || r->media.failed)) {
        s = exaone_fail(r->err, EXAONE_ERR_LIMIT, "the rendered conversation is longer than %d bytes, or memory is out", MAX_TEXT);
    }
    return s;
}

static void hand_over(renderer *r, exaone_rendered *out) {
    size_t bytes, offset = 0;
    out->n_spans = r->spans.len / sizeof *out->spans;
    out->n_media = r->media.len / sizeof *out->media;
    out->text = exaone_buf_take(&r->text, &out->n);
    out->spans = (exaone_text_span *)(void *)exaone_buf_take(&r->spans, &bytes);
    out->media = (exaone_media_ref *)(void *)exaone_buf_take(&r->media, &bytes);
    if (!out->text || !out->spans || !out->media) {
        out->n_spans = out->spans ? out->n_spans : 0;
        out->n_media = out->media ? out->n_media : 0;
        return;
    }
    out->text[out->n] = 0;
    for (size_t i = 0; i < out->n_spans; i++) {
        out->spans[i].text = out->text + offset;
        offset += out->spans[i].n;
    }
}

void exaone_rendered_release(exaone_rendered *out) {
    if (out) {
        for (size_t i = 0; i < out->n_media; i++) {
            free(out->media[i].source);
        }
        free(out->text);
        free(out->spans);
        free(out->media);
        *out = (exaone_rendered){0};
    }
}

static exaone_status parse_request(const char *json, size_t n, exaone_arena *arena, exaone_json **request, exaone_error *err) {
    exaone_status s = exaone_json_parse(json, n, arena, request, err);
    if (s != EXAONE_OK) {
        return s;
    }
    const exaone_json *inner = exaone_json_get(*request, "request_json"), *outer = *request;
    if (exaone_json_is(inner, EXAONE_JSON_STRING)) {
        s = exaone_json_parse(inner->text, inner->len, arena, request, err);
        const exaone_json *options = exaone_json_get(outer, "options");
        if (s == EXAONE_OK && options && (*request)->type == EXAONE_JSON_OBJECT && !exaone_json_get(*request, "options")) {
            exaone_json *copy = exaone_arena_take(arena, sizeof *copy);
            if (!copy) {
                return exaone_fail_memory(err, "the request", sizeof *copy);
            }
            *copy = *options;
            copy->next = (*request)->first;
            (*request)->first = copy;
        }
    }
    if (s == EXAONE_OK && (*request)->type != EXAONE_JSON_OBJECT) {
        s = exaone_fail(err, EXAONE_ERR_ARGUMENT, "the request is not a JSON object");
    }
    return s;
}

exaone_status exaone_template_render(const char *json, size_t n, const exaone_template_options *options, exaone_rendered *out,
                                     exaone_error *err) {
    static const exaone_template_options defaults = {0};
    *out = (exaone_rendered){0};
    if (n > MAX_TEXT) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the request has %zu bytes, the limit is %d", n, MAX_TEXT);
    }
    renderer r = {.options = options ? options : &defaults, .err = err};
    exaone_arena arena;
    exaone_json *request;
    exaone_arena_init(&arena, n * MEMORY_PER_BYTE + (1 << 16));
    exaone_buf_init(&r.text, MAX_TEXT);
    exaone_buf_init(&r.spans, MAX_TEXT);
    exaone_buf_init(&r.media, MAX_TEXT);
    exaone_status s = parse_request(json, n, &arena, &request, err);
    if (s == EXAONE_OK) {
        s = render(&r, request, &out->thinking);
    }
    hand_over(&r, out);
    if (s == EXAONE_OK && (!out->text || !out->spans || !out->media)) {
        s = exaone_fail_memory(err, "the rendered text", 1);
    }
    if (s != EXAONE_OK) {
        exaone_rendered_release(out);
    }
    free(r.messages);
    exaone_arena_release(&arena);
    return s;
}

const char *exaone_template_identify(const char *bytes, size_t n, char hex[65]) {
    static const struct {
        const char *sha256, *name;
    } known[] = {{"e4ece7acc79ba82121d4d57791fb7ecb796e39185087197377da5d2286bec0e5", "EXAONE 4.5"},
                 {"9385ea8c4336911441233d88fdedb8ddd28004887688c5ca11885f7f9a1ae461", "EXAONE 4.5, the tiny model's"}};
    static const char digit[] = "0123456789abcdef";
    const char *name = NULL;
    char *copy = exaone_mem_string(bytes, n); /* its NUL becomes the final newline that some copies lack */
    for (size_t extra = 0; copy && extra < 2 && !name; extra++) {
        uint8_t d[32];
        copy[n] = '\n';
        exaone_sha256(copy, n + (extra ? 1 : 0), d);
        char text[65];
        for (size_t i = 0; i < 32; i++) {
            text[2 * i] = digit[d[i] >> 4];
            text[2 * i + 1] = digit[d[i] & 15];
        }
        text[64] = 0;
        if (extra == 0) {
            memcpy(hex, text, 65);
        }
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            name = strcmp(known[i].sha256, text) == 0 ? known[i].name : name;
        }
    }
    free(copy);
    return name;
}
