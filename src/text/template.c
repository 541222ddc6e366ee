/* The chat template of EXAONE 4.5 as code (docs/model.md, "Chat template"). Text goes into one buffer; each stretch is
 * marked as markup (trusted) or as brought by a message. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/chat.h"
#include "text/pystring.h"
#include "text/template_request.h"

enum { MAX_TEXT = 256 << 20, MAX_MEDIA = 65536, MEMORY_PER_BYTE = 64, MAX_TREE = 1 << 30 };

typedef struct {
    const exaone_template_options *options;
    const exaone_template_request *request;
    exaone_error *err;
    exaone_buf text;
    exaone_buf spans;        /* exaone_text_span with text = NULL */
    exaone_buf media;        /* exaone_media_ref */
    exaone_buf media_places; /* size_t: where in the text each one's placeholder begins */
    const exaone_json **messages;
    size_t n_messages;
    size_t last_query;
    size_t n_images, n_videos;
} renderer;

/* text[before .. len) is new. */
static void add_span(renderer *r, size_t before, bool trusted) {
    size_t n = r->text.len - before, n_spans = r->spans.len / sizeof(exaone_text_span);
    exaone_text_span *last = n_spans ? (exaone_text_span *)(void *)r->spans.data + n_spans - 1 : NULL;
    trusted = trusted || r->options->trust_all;
    if (n > 0 && last && last->trusted == trusted) {
        last->n += n;
    } else if (n > 0) {
        exaone_text_span span = {.text = NULL, .n = n, .trusted = trusted};
        exaone_buf_append(&r->spans, &span, sizeof span);
    }
}

static void put(renderer *r, const char *bytes, size_t n, bool trusted) {
    size_t before = r->text.len;
    exaone_buf_append(&r->text, bytes, n);
    add_span(r, before, trusted);
}

static void markup(renderer *r, const char *text) {
    put(r, text, strlen(text), true);
}

static void put_json(renderer *r, const exaone_json *j) {
    size_t before = r->text.len;
    exaone_json_put_python(&r->text, j);
    add_span(r, before, false);
}

/* As the template's language prints a value: a text as it is, None, True, 1.0, ['a']; nothing for what is absent. */
static void put_printed(renderer *r, const exaone_json *j) {
    size_t before = r->text.len;
    if (j && j->type == EXAONE_JSON_STRING) {
        exaone_buf_append(&r->text, j->text, j->len);
    } else if (j) {
        exaone_python_repr(&r->text, j);
    }
    add_span(r, before, false);
}

/* ---- content ---- */

/* Where an image or video is: the first of these members that is a text. NULL: none. */
static const exaone_json *source_of(const exaone_json *item) {
    static const char *const keys[] = {"url", "path", "image", "video", "video_url", "input_video"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const exaone_json *j = exaone_json_get(item, keys[i]);
        if (exaone_json_is(j, EXAONE_JSON_OBJECT)) {
            j = exaone_json_get(j, "url");
        }
        if (exaone_json_is(j, EXAONE_JSON_STRING) && !(j->len && memchr(j->text, 0, j->len))) {
            return j;
        }
    }
    return NULL;
}

static exaone_status add_media(renderer *r, const exaone_json *item, bool video, size_t message, size_t part) {
    exaone_media_ref ref = {.is_video = video, .message = message, .part = part};
    const exaone_json *source = source_of(item);
    size_t place = r->text.len;
    if (r->n_images + r->n_videos == MAX_MEDIA) {
        return exaone_fail(r->err, EXAONE_ERR_LIMIT, "more than %d images and videos", MAX_MEDIA);
    }
    ref.source = source ? exaone_mem_string(source->text, source->len) : NULL;
    if ((source && !ref.source) || !exaone_buf_append(&r->media_places, &place, sizeof place) ||
        !exaone_buf_append(&r->media, &ref, sizeof ref)) {
        free(ref.source);
        return exaone_fail_memory(r->err, "the list of images and videos", r->media.len + sizeof ref);
    }
    return EXAONE_OK;
}

static exaone_status put_media(renderer *r, const exaone_json *item, bool video, size_t message, size_t part) {
    exaone_status s = add_media(r, item, video, message, part);
    size_t number = video ? ++r->n_videos : ++r->n_images, before = r->text.len;
    if (s == EXAONE_OK && r->request->add_vision_id) {
        exaone_buf_printf(&r->text, "%s %zu: ", video ? "Video" : "Picture", number);
        add_span(r, before, true);
    }
    markup(r, video ? "<vision><|video_pad|></vision>\n" : "<vision><|image_pad|></vision>\n");
    return s;
}

/* Servers know these two names for videos; the reference prints nothing for them. */
static bool is_video(const renderer *r, const exaone_json *item, const exaone_json *type) {
    return exaone_json_equals(type, "video") ||
           (!r->options->strict_reference &&
            ((exaone_json_equals(type, "video_url") && exaone_json_get(item, "video_url")) ||
             (exaone_json_equals(type, "input_video") && exaone_json_get(item, "input_video"))));
}

/* User content and what follows the same path: a string as it is, or a list of items. */
static exaone_status put_content(renderer *r, const exaone_json *content, size_t message) {
    if (!content || content->type == EXAONE_JSON_OBJECT) {
        return EXAONE_OK; /* the reference walks over an object's keys and prints nothing */
    }
    if (content->type == EXAONE_JSON_STRING) {
        put(r, content->text, content->len, false);
        return EXAONE_OK;
    }
    if (content->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].content is neither text nor a list of items",
                           message);
    }
    size_t part = 0;
    exaone_status s = EXAONE_OK;
    for (const exaone_json *item = content->first; item && s == EXAONE_OK; item = item->next, part++) {
        const exaone_json *type = exaone_json_get(item, "type");
        if (exaone_json_equals(type, "image")) {
            s = put_media(r, item, false, message, part);
        } else if (is_video(r, item, type)) {
            s = put_media(r, item, true, message, part);
        } else {
            put_printed(r, exaone_json_get(item, "text"));
        }
    }
    return s;
}

/* The text items of a list, joined, for places where the template wants a string. */
static void join_text(const exaone_json *list, exaone_buf *out) {
    exaone_buf_init(out, MAX_TEXT);
    for (const exaone_json *item = list->first; item; item = item->next) {
        const exaone_json *text = item->type == EXAONE_JSON_STRING ? item : exaone_json_get(item, "text");
        if (exaone_json_is(text, EXAONE_JSON_STRING)) {
            exaone_buf_append(out, text->text, text->len);
        }
    }
}

static exaone_status put_first_system(renderer *r, const exaone_json *content) {
    exaone_buf b;
    if (!exaone_json_is(content, EXAONE_JSON_ARRAY) || r->options->strict_reference) {
        put_printed(r, content);
        return EXAONE_OK;
    }
    join_text(content, &b);
    exaone_status s = exaone_buf_check(&b, "messages[0].content", r->err);
    put(r, b.data ? b.data : "", b.len, false);
    exaone_buf_release(&b);
    return s;
}

/* ---- assistant turns ---- */

static exaone_status put_call(renderer *r, const exaone_json *call, size_t message) {
    const exaone_json *function = exaone_json_get(call, "function");
    call = function ? function : call;
    const exaone_json *name = exaone_json_get(call, "name"), *arguments = exaone_json_get(call, "arguments");
    arguments = arguments ? arguments : exaone_json_get(call, "parameters");
    if (!arguments) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].tool_calls: arguments or parameters are mandatory",
                           message);
    }
    markup(r, "<tool_call>");
    markup(r, "{\"name\": \"");
    put_printed(r, name); /* MODEL: not escaped */
    markup(r, "\", \"arguments\": ");
    if (arguments->type == EXAONE_JSON_STRING) {
        put(r, arguments->text, arguments->len, false);
    } else {
        put_json(r, arguments);
    }
    markup(r, "}</tool_call>");
    return EXAONE_OK;
}

static exaone_status put_calls(renderer *r, const exaone_json *calls, bool behind_text, size_t message) {
    if (!exaone_json_truthy(calls)) {
        return EXAONE_OK;
    }
    if (calls->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].tool_calls is not a list", message);
    }
    if (behind_text) {
        markup(r, "\n");
    }
    exaone_status s = EXAONE_OK;
    for (const exaone_json *c = calls->first; c && s == EXAONE_OK; c = c->next) {
        s = put_call(r, c, message);
        if (c->next) {
            markup(r, "\n");
        }
    }
    return s;
}

/* Splits content at </think> when there is no reasoning of its own. */
static void split_reasoning(exaone_slice whole, const exaone_slice *given, exaone_slice *reasoning, exaone_slice *content) {
    static const exaone_slice tag = {"</think>", 8};
    *content = whole;
    *reasoning = (exaone_slice){"", 0};
    size_t first = given ? SIZE_MAX : exaone_slice_find(whole, tag.text);
    if (given) {
        *reasoning = *given;
    } else if (first != SIZE_MAX) {
        size_t behind = exaone_slice_rfind(whole, tag) + tag.n;
        *reasoning = exaone_python_lstrip_set((exaone_slice){whole.text, first}, "<think>"); /* MODEL: a set of letters */
        *content = (exaone_slice){whole.text + behind, whole.n - behind};
    }
    *reasoning = exaone_python_strip(*reasoning);
    *content = exaone_python_strip(*content);
}

/* The text of an assistant's member: what counts as false is empty; lists are joined into `joined` (the caller releases it).
 */
static exaone_status assistant_text(renderer *r, const exaone_json *m, const char *key, size_t index, exaone_buf *joined,
                                    exaone_slice *out) {
    const exaone_json *j = exaone_message_get(m, key);
    *out = (exaone_slice){"", 0};
    if (!exaone_json_truthy(j)) {
        return EXAONE_OK;
    }
    if (j->type == EXAONE_JSON_STRING) {
        *out = (exaone_slice){j->text, j->len};
        return EXAONE_OK;
    }
    if (j->type != EXAONE_JSON_ARRAY || r->options->strict_reference) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu].%s of an assistant is not text", index, key);
    }
    join_text(j, joined);
    *out = (exaone_slice){joined->data ? joined->data : "", joined->len};
    return exaone_buf_check(joined, key, r->err);
}

static exaone_status put_assistant(renderer *r, const exaone_json *m, size_t index) {
    exaone_buf joined[2] = {0};
    exaone_slice whole, given, reasoning, content;
    exaone_status s = assistant_text(r, m, "content", index, &joined[0], &whole);
    if (s == EXAONE_OK) {
        s = assistant_text(r, m, "reasoning_content", index, &joined[1], &given);
    }
    if (s == EXAONE_OK) {
        split_reasoning(whole, given.n ? &given : NULL, &reasoning, &content);
        if (index <= r->last_query || r->request->skip_think) { /* MODEL: thoughts before the last question are dropped */
            reasoning.n = 0;
        }
        markup(r, "<think>\n");
        put(r, reasoning.text, reasoning.n, false);
        markup(r, "\n</think>\n\n");
        put(r, content.text, content.n, false);
        s = put_calls(r, exaone_message_get(m, "tool_calls"), content.n > 0, index);
    }
    exaone_buf_release(&joined[0]);
    exaone_buf_release(&joined[1]);
    return s;
}

/* ---- turns ---- */

static bool has_role(const renderer *r, size_t i, const char *role) {
    return i < r->n_messages && exaone_json_equals(exaone_message_get(r->messages[i], "role"), role);
}

static void put_tool_result(renderer *r, size_t i) {
    const exaone_json *content = exaone_message_get(r->messages[i], "content");
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
    const exaone_json *m = r->messages[i], *role = exaone_message_get(m, "role");
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
                s = put_first_system(r, exaone_message_get(m, "content"));
            } else {
                s = put_content(r, exaone_message_get(m, "content"), i);
            }
            markup(r, "<|endofturn|>\n");
            return s;
        }
    }
    char name[65] = "";
    if (exaone_json_is(role, EXAONE_JSON_STRING) && role->len) {
        memcpy(name, role->text, role->len < 64 ? role->len : 64);
    }
    return exaone_fail(r->err, EXAONE_ERR_ARGUMENT, "messages[%zu]: Unknown role: %s", i, name);
}

static void put_tools(renderer *r) {
    if (r->request->tools) {
        markup(r, "<|tool_declare|>\n# Tools\n");
        for (const exaone_json *t = r->request->tools->first; t; t = t->next) {
            markup(r, "<tool>");
            put_json(r, t);
            markup(r, "</tool>\n");
        }
        markup(r, "<|endofturn|>\n");
    }
}

/* ---- the whole ---- */

static exaone_status list_messages(renderer *r) {
    size_t n = r->request->messages->len;
    r->messages = exaone_mem_array(n, sizeof *r->messages);
    if (!r->messages) {
        return exaone_fail_memory(r->err, "messages", n * sizeof *r->messages);
    }
    r->last_query = n - 1;
    for (const exaone_json *m = r->request->messages->first; m; m = m->next) {
        r->messages[r->n_messages++] = m;
        if (has_role(r, r->n_messages - 1, "user") && exaone_json_is(exaone_json_get(m, "content"), EXAONE_JSON_STRING)) {
            r->last_query = r->n_messages - 1; /* MODEL: turns with a list, so every image turn, do not count */
        }
    }
    return EXAONE_OK;
}

static void cut_at(renderer *r, size_t end) {
    size_t start = 0, keep = 0, n_spans = r->spans.len / sizeof(exaone_text_span);
    exaone_text_span *spans = (exaone_text_span *)(void *)r->spans.data;
    while (keep < n_spans && start < end) {
        spans[keep].n = end - start < spans[keep].n ? end - start : spans[keep].n;
        start += spans[keep++].n;
    }
    r->spans.len = keep * sizeof *spans;
    r->text.len = end;
    size_t n_media = r->media.len / sizeof(exaone_media_ref);
    const size_t *places = (const size_t *)(void *)r->media_places.data;
    while (n_media > 0 && places[n_media - 1] >= end) {
        free(((exaone_media_ref *)(void *)r->media.data)[--n_media].source);
    }
    r->media.len = n_media * sizeof(exaone_media_ref);
}

/* Ends the text at the mark behind the last message's text. Where the template has trimmed the mark's own space, the text's
 * white space goes too. */
static exaone_status cut_final(renderer *r) {
    const exaone_json *final = r->request->final_text;
    exaone_slice text = {r->text.data, r->text.len}, want = exaone_python_strip((exaone_slice){final->text, final->len});
    exaone_slice mark = {exaone_template_mark, strlen(exaone_template_mark) - 1};
    size_t at = exaone_slice_rfind(text, mark);
    if (at == SIZE_MAX || (want.n && !memmem(text.text, text.n, want.text, want.n))) {
        return exaone_fail(r->err, EXAONE_ERR_ARGUMENT,
                           "continue_final_message: the template does not print the last message's text as it is");
    }
    bool trimmed = at + mark.n >= text.n || text.text[at + mark.n] != ' ';
    text.n = at;
    cut_at(r, trimmed ? exaone_python_rstrip(text).n : at);
    return EXAONE_OK;
}

static exaone_status render(renderer *r, bool *thinking) {
    exaone_status s = list_messages(r);
    if (s == EXAONE_OK) {
        put_tools(r);
    }
    for (size_t i = 0; s == EXAONE_OK && i < r->n_messages && !r->text.failed; i++) {
        s = put_turn(r, i);
    }
    if (s == EXAONE_OK && r->request->add_generation_prompt) {
        markup(r, "<|assistant|>\n");
        markup(r, r->request->enable_thinking ? "<think>\n" : "<think>\n\n</think>\n\n");
        *thinking = r->request->enable_thinking;
    }
    if (s == EXAONE_OK) {
        s = exaone_buf_check(&r->text, "the rendered text", r->err);
    }
    if (s == EXAONE_OK) {
        s = exaone_buf_check(&r->spans, "the list of spans", r->err);
    }
    if (s == EXAONE_OK && r->request->continue_final) {
        s = cut_final(r);
        *thinking = r->request->continue_reasoning;
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

exaone_status exaone_template_render(const char *json, size_t n, const exaone_template_options *options,
                                     exaone_rendered *out, exaone_error *err) {
    static const exaone_template_options defaults = {0};
    *out = (exaone_rendered){0};
    if (n > MAX_TEXT) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the request has %zu bytes, the limit is %d", n, MAX_TEXT);
    }
    exaone_template_request request;
    renderer r = {.options = options ? options : &defaults, .request = &request, .err = err};
    exaone_arena arena;
    exaone_arena_init(&arena, n < MAX_TREE / MEMORY_PER_BYTE ? n * MEMORY_PER_BYTE + (1 << 16) : MAX_TREE);
    exaone_buf_init(&r.text, MAX_TEXT);
    exaone_buf_init(&r.spans, SIZE_MAX / 2);
    exaone_buf_init(&r.media, SIZE_MAX / 2);
    exaone_buf_init(&r.media_places, SIZE_MAX / 2);
    exaone_status s = exaone_template_request_read(json, n, &arena, &request, err);
    if (s == EXAONE_OK) {
        s = render(&r, &out->thinking);
    }
    hand_over(&r, out);
    if (s == EXAONE_OK && (!out->text || !out->spans || !out->media)) {
        s = exaone_fail_memory(err, "the rendered text", 1);
    }
    if (s != EXAONE_OK) {
        exaone_rendered_release(out);
    }
    free(r.messages);
    exaone_buf_release(&r.media_places);
    exaone_arena_release(&arena);
    return s;
}
