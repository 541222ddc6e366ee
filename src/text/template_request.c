/* What happens to messages before the template sees them, as the reference's processor does it:
 *
 *   members that are null count as absent
 *   an item {"type": "image_url", "image_url": {"url": U} or U} becomes {"type": "image", "url": U}
 *   reasoning_content is the first of reasoning_content, thinking and reasoning that is there
 *   continue_final_message: a mark goes behind the text to continue, and the result is cut at the mark
 *
 * The nodes of the tree are changed in place; they belong to the request. */
#include "text/template_request.h"

#include <string.h>

#include "base/error.h"

const char exaone_template_mark[] = "CONTINUE_FINAL_MESSAGE_TAG ";

const exaone_json *exaone_message_get(const exaone_json *message, const char *key) {
    const exaone_json *j = exaone_json_get(message, key);
    return exaone_json_is(j, EXAONE_JSON_NULL) ? NULL : j;
}

static bool is_zero(const exaone_json *number) { /* without a value: 1e999 is not zero */
    for (size_t i = 0; i < number->len && number->text[i] != 'e' && number->text[i] != 'E'; i++) {
        if (number->text[i] >= '1' && number->text[i] <= '9') {
            double x;
            return exaone_json_double(number, &x) && x == 0;
        }
    }
    return true;
}

bool exaone_json_truthy(const exaone_json *j) {
    if (!j || j->type == EXAONE_JSON_NULL || j->type == EXAONE_JSON_FALSE) {
        return false;
    }
    return j->type == EXAONE_JSON_TRUE || (j->type == EXAONE_JSON_NUMBER ? !is_zero(j) : j->len > 0);
}

/* ---- messages ---- */

static exaone_json *new_node(exaone_arena *arena, exaone_json_type type, const char *key) {
    exaone_json *j = exaone_arena_take(arena, sizeof *j);
    if (j) {
        j->type = type;
        j->key = key;
        j->key_len = (uint32_t)strlen(key);
    }
    return j;
}

static exaone_status no_memory(const exaone_arena *arena, exaone_error *err) {
    if (arena->starved) {
        return exaone_fail_memory(err, "the request", sizeof(exaone_json));
    }
    return exaone_fail(err, EXAONE_ERR_LIMIT, "the request needs more than %zu bytes of memory", arena->max);
}

/* Turns an image_url item into an image item; leaves others alone. */
static exaone_status convert_item(exaone_json *item, exaone_arena *arena, exaone_error *err) {
    const exaone_json *from = exaone_json_get(item, "image_url");
    if (!from || !exaone_json_equals(exaone_json_get(item, "type"), "image_url")) {
        return EXAONE_OK;
    }
    exaone_json *type = new_node(arena, EXAONE_JSON_STRING, "type"), *url = new_node(arena, EXAONE_JSON_STRING, "url");
    if (!type || !url) {
        return no_memory(arena, err);
    }
    type->text = "image";
    type->len = strlen(type->text);
    type->next = url;
    url->text = "";
    if (from->type == EXAONE_JSON_OBJECT) {
        from = exaone_json_get(from, "url");
    }
    if (from) {
        exaone_json named = *url;
        *url = *from;
        url->key = named.key;
        url->key_len = named.key_len;
        url->next = NULL;
    }
    item->first = type;
    item->len = 2;
    return EXAONE_OK;
}

static exaone_status convert_message(exaone_json *message, size_t index, exaone_arena *arena, exaone_error *err) {
    if (message->type != EXAONE_JSON_OBJECT) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "messages[%zu] is not an object", index);
    }
    exaone_status s = EXAONE_OK;
    const exaone_json *content = exaone_json_get(message, "content");
    for (exaone_json *item = exaone_json_is(content, EXAONE_JSON_ARRAY) ? content->first : NULL; item && s == EXAONE_OK;
         item = item->next) {
        s = convert_item(item, arena, err);
    }
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    const exaone_json *reasoning = NULL;
    for (size_t i = 0; i < 3 && !reasoning; i++) {
        reasoning = exaone_message_get(message, names[i]);
    }
    if (s != EXAONE_OK || !reasoning || reasoning == exaone_json_get(message, names[0])) {
        return s;
    }
    exaone_json *copy = exaone_arena_take(arena, sizeof *copy), **end = &message->first;
    if (!copy) {
        return no_memory(arena, err);
    }
    while (*end) {
        end = &(*end)->next;
    }
    *copy = *reasoning;
    copy->key = names[0];
    copy->key_len = (uint32_t)strlen(names[0]);
    copy->next = NULL;
    *end = copy; /* the last of double keys counts: a null before it does not matter */
    message->len++;
    return EXAONE_OK;
}

static exaone_status read_messages(const exaone_json *request, exaone_arena *arena, exaone_template_request *out,
                                   exaone_error *err) {
    const exaone_json *list = exaone_json_get(request, "messages");
    if (!exaone_json_is(list, EXAONE_JSON_ARRAY) || list->len == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "messages is not a list of at least one message");
    }
    if (list->len > EXAONE_TEMPLATE_MAX_MESSAGES) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%zu messages, the limit is %d", list->len, EXAONE_TEMPLATE_MAX_MESSAGES);
    }
    exaone_status s = EXAONE_OK;
    size_t i = 0;
    for (exaone_json *m = list->first; m && s == EXAONE_OK; m = m->next) {
        s = convert_message(m, i++, arena, err);
    }
    out->messages = list;
    return s;
}

static exaone_status read_tools(const exaone_json *request, exaone_template_request *out, exaone_error *err) {
    const exaone_json *tools = exaone_json_get(request, "tools");
    if (!exaone_json_truthy(tools)) {
        return EXAONE_OK;
    }
    if (tools->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "tools is not a list");
    }
    size_t i = 0;
    for (const exaone_json *t = tools->first; t; t = t->next, i++) {
        if (t->type != EXAONE_JSON_OBJECT) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "tools[%zu] is not an object", i);
        }
    }
    out->tools = tools;
    return EXAONE_OK;
}

/* ---- continuing the last message ---- */

/* The node whose text is continued: the member itself, or the last item of a list that has a text. */
static exaone_json *text_to_continue(exaone_json *member) {
    exaone_json *found = exaone_json_is(member, EXAONE_JSON_STRING) ? member : NULL;
    for (exaone_json *item = exaone_json_is(member, EXAONE_JSON_ARRAY) ? member->first : NULL; item; item = item->next) {
        for (exaone_json *m = exaone_json_is(item, EXAONE_JSON_OBJECT) ? item->first : NULL; m; m = m->next) {
            if (m->key_len == 4 && memcmp(m->key, "text", 4) == 0) {
                found = m;
            }
        }
    }
    return exaone_json_is(found, EXAONE_JSON_STRING) ? found : NULL;
}

static exaone_json *last_member(const exaone_json *message, const char *key) {
    exaone_json *found = NULL;
    for (exaone_json *m = message->first; m; m = m->next) {
        if (m->key_len == strlen(key) && memcmp(m->key, key, m->key_len) == 0) {
            found = m;
        }
    }
    return found;
}

/* Only the texts that the template prints can be continued: content, and the reasoning under any of its names. */
static exaone_status mark_final(const exaone_json *how, exaone_arena *arena, exaone_template_request *out,
                                exaone_error *err) {
    const exaone_json *last = out->messages->first;
    while (last->next) {
        last = last->next;
    }
    out->continue_reasoning = exaone_json_equals(how, "reasoning_content") || exaone_json_equals(how, "thinking") ||
                              exaone_json_equals(how, "reasoning");
    bool content = how->type != EXAONE_JSON_STRING || exaone_json_equals(how, "content");
    exaone_json *text = NULL;
    if (content || out->continue_reasoning) {
        text = text_to_continue(last_member(last, content ? "content" : "reasoning_content"));
    }
    if (!content && text && how->len != 17) { /* another name must hold the same text */
        bool thinking = exaone_json_equals(how, "thinking");
        const exaone_json *named = exaone_message_get(last, thinking ? "thinking" : "reasoning");
        named = !named && thinking ? text : named; /* the reference fills it */
        bool same = exaone_json_is(named, EXAONE_JSON_STRING) && named->len == text->len &&
                    (text->len == 0 || memcmp(named->text, text->text, text->len) == 0);
        text = same ? text : NULL;
    }
    if (!text) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "continue_final_message: the last message has no such text to continue");
    }
    size_t mark = strlen(exaone_template_mark);
    char *marked = exaone_arena_take(arena, text->len + mark);
    exaone_json *original = exaone_arena_take(arena, sizeof *original);
    if (!marked || !original) {
        return no_memory(arena, err);
    }
    *original = *text;
    if (text->len) {
        memcpy(marked, text->text, text->len);
    }
    memcpy(marked + text->len, exaone_template_mark, mark);
    text->text = marked;
    text->len += mark;
    out->final_text = original;
    out->continue_final = true;
    return EXAONE_OK;
}

/* ---- the whole ---- */

static exaone_status parse(const char *json, size_t n, exaone_arena *arena, const exaone_json **request,
                           const exaone_json **options, exaone_error *err) {
    exaone_json *root, *inner;
    exaone_status s = exaone_json_parse(json, n, arena, &root, err);
    if (s != EXAONE_OK) {
        return s;
    }
    *request = root;
    *options = exaone_json_get(root, "options");
    const exaone_json *text = exaone_json_get(root, "request_json");
    if (exaone_json_is(text, EXAONE_JSON_STRING)) {
        s = exaone_json_parse(text->text, text->len, arena, &inner, err);
        if (s != EXAONE_OK) {
            return exaone_fail_context(err, s, "request_json");
        }
        const exaone_json *own = exaone_json_get(inner, "options");
        *options = own ? own : *options;
        *request = inner;
    }
    if ((*request)->type != EXAONE_JSON_OBJECT) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the request is not a JSON object");
    }
    return EXAONE_OK;
}

exaone_status exaone_template_request_read(const char *json, size_t n, exaone_arena *arena, exaone_template_request *out,
                                           exaone_error *err) {
    const exaone_json *request, *options;
    *out = (exaone_template_request){0};
    exaone_status s = parse(json, n, arena, &request, &options, err);
    if (s != EXAONE_OK) {
        return s;
    }
    const exaone_json *thinking = exaone_json_get(options, "enable_thinking");
    const exaone_json *final = exaone_json_get(options, "continue_final_message");
    out->enable_thinking = !thinking || thinking->type == EXAONE_JSON_TRUE; /* MODEL: null and 1 turn it off */
    out->add_generation_prompt = exaone_json_truthy(exaone_json_get(options, "add_generation_prompt"));
    out->skip_think = exaone_json_truthy(exaone_json_get(options, "skip_think"));
    out->add_vision_id = exaone_json_truthy(exaone_json_get(options, "add_vision_id"));
    if (out->add_generation_prompt && exaone_json_truthy(final)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "add_generation_prompt and continue_final_message exclude each other");
    }
    s = read_messages(request, arena, out, err);
    if (s == EXAONE_OK) {
        s = read_tools(request, out, err);
    }
    if (s == EXAONE_OK && exaone_json_truthy(final)) {
        s = mark_final(final, arena, out, err);
    }
    return s;
}
