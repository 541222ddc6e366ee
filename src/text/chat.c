/* Messages collected by a program: each is kept as the JSON text of one object. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "exaone/chat.h"

enum { MAX_BYTES = 256 << 20, MAX_MESSAGES = 10000, TREE_PER_BYTE = 64, MAX_TREE = 1 << 30 };

struct exaone_chat {
    char **messages; /* [n] NUL-terminated JSON objects */
    size_t n, cap;
    size_t bytes; /* of all messages */
    char *tools;  /* JSON array or NULL */
};

exaone_chat *exaone_chat_new(void) {
    return exaone_mem_array(1, sizeof(exaone_chat));
}

static void release(exaone_chat *c) {
    while (c->n > 0) {
        free(c->messages[--c->n]);
    }
    free(c->messages);
    free(c->tools);
}

void exaone_chat_free(exaone_chat *c) {
    if (c) {
        release(c);
        free(c);
    }
}

size_t exaone_chat_count(const exaone_chat *c) {
    return c->n;
}

void exaone_chat_pop(exaone_chat *c) {
    if (c->n > 0) {
        c->n--;
        c->bytes -= strlen(c->messages[c->n]);
        free(c->messages[c->n]);
    }
}

/* Takes the text in `b`, whatever happens. */
static exaone_status push(exaone_chat *c, exaone_buf *b, exaone_error *err) {
    exaone_status s = exaone_buf_check(b, "the message", err);
    if (s != EXAONE_OK) {
        exaone_buf_release(b);
        return s;
    }
    if (b->len > MAX_BYTES - c->bytes) {
        s = exaone_fail(err, EXAONE_ERR_LIMIT, "the conversation is longer than %d bytes", MAX_BYTES);
    } else if (c->n >= MAX_MESSAGES) {
        s = exaone_fail(err, EXAONE_ERR_LIMIT, "more than %d messages", MAX_MESSAGES);
    } else {
        char **more = exaone_mem_grow(c->messages, c->n, &c->cap, sizeof *more);
        s = more ? EXAONE_OK : exaone_fail_memory(err, "messages", 2 * c->cap * sizeof *more);
        c->messages = more ? more : c->messages;
    }
    size_t bytes = 0;
    char *text = s == EXAONE_OK ? exaone_buf_take(b, &bytes) : NULL;
    if (text) {
        c->messages[c->n++] = text;
        c->bytes += bytes;
    } else if (s == EXAONE_OK) {
        s = exaone_fail_memory(err, "a message", bytes);
    }
    exaone_buf_release(b);
    return s;
}

static exaone_status put_part(exaone_buf *b, const exaone_chat_part *part, exaone_error *err) {
    static const char *const types[] = {"text", "image", "video"}, *const keys[] = {"text", "path", "path"};
    size_t n = strlen(part->text);
    if (part->kind != EXAONE_PART_IS_TEXT && exaone_utf8_valid_prefix((const uint8_t *)part->text, n) < n) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the path of the %s is not valid UTF-8: %s", types[part->kind],
                           part->text);
    }
    exaone_buf_printf(b, "{\"type\": \"%s\", \"%s\": ", types[part->kind], keys[part->kind]);
    exaone_json_put_string(b, part->text, n);
    exaone_buf_putc(b, '}');
    return EXAONE_OK;
}

exaone_status exaone_chat_add(exaone_chat *c, const char *role, const exaone_chat_part *parts, size_t n_parts,
                              exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, MAX_BYTES);
    exaone_buf_puts(&b, "{\"role\": ");
    exaone_json_put_string(&b, role, strlen(role));
    exaone_buf_puts(&b, ", \"content\": ");
    exaone_status s = EXAONE_OK;
    if (n_parts == 1 && parts[0].kind == EXAONE_PART_IS_TEXT) {
        exaone_json_put_string(&b, parts[0].text, strlen(parts[0].text));
    } else {
        exaone_buf_putc(&b, '[');
        for (size_t i = 0; i < n_parts && s == EXAONE_OK; i++) {
            exaone_buf_puts(&b, i ? ", " : "");
            s = put_part(&b, &parts[i], err);
        }
        exaone_buf_putc(&b, ']');
    }
    exaone_buf_putc(&b, '}');
    if (s == EXAONE_OK) {
        s = push(c, &b, err);
    }
    exaone_buf_release(&b);
    return s;
}

static exaone_status parse(const char *json, size_t n, exaone_arena *arena, exaone_json **out, exaone_error *err) {
    exaone_arena_init(arena, n < MAX_TREE / TREE_PER_BYTE ? n * TREE_PER_BYTE + 4096 : MAX_TREE);
    if (n > MAX_BYTES) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%zu bytes of JSON, the limit is %d", n, MAX_BYTES);
    }
    return exaone_json_parse(json, n, arena, out, err);
}

exaone_status exaone_chat_add_json(exaone_chat *c, const char *json, size_t n, exaone_error *err) {
    exaone_arena arena;
    exaone_json *j;
    exaone_buf b;
    exaone_buf_init(&b, MAX_BYTES);
    exaone_status s = parse(json, n, &arena, &j, err);
    if (s == EXAONE_OK && j->type != EXAONE_JSON_OBJECT) {
        s = exaone_fail(err, EXAONE_ERR_ARGUMENT, "the message is not a JSON object");
    }
    if (s == EXAONE_OK) {
        exaone_buf_append(&b, json, n);
        s = push(c, &b, err);
    }
    exaone_buf_release(&b);
    exaone_arena_release(&arena);
    return s;
}

exaone_status exaone_chat_load(exaone_chat *c, const char *json, size_t n, exaone_error *err) {
    exaone_arena arena;
    exaone_json *root;
    exaone_chat loaded = {0};
    exaone_status s = parse(json, n, &arena, &root, err);
    const exaone_json *list = s == EXAONE_OK ? exaone_json_get(root, "messages") : NULL;
    if (s == EXAONE_OK && !exaone_json_is(list, EXAONE_JSON_ARRAY)) {
        s = exaone_fail(err, EXAONE_ERR_FORMAT, "the file has no list of messages");
    }
    for (const exaone_json *m = list ? list->first : NULL; m && s == EXAONE_OK; m = m->next) {
        exaone_buf b;
        exaone_buf_init(&b, MAX_BYTES);
        exaone_json_put(&b, m);
        s = m->type == EXAONE_JSON_OBJECT ? push(&loaded, &b, err)
                                          : exaone_fail(err, EXAONE_ERR_FORMAT, "messages[%zu] is not an object", loaded.n);
        exaone_buf_release(&b);
    }
    if (s == EXAONE_OK) { /* on an error the conversation stays as it was */
        exaone_chat old = *c;
        *c = loaded;
        c->tools = old.tools;
        old.tools = NULL;
        loaded = old;
    }
    release(&loaded);
    exaone_arena_release(&arena);
    return s;
}

exaone_status exaone_chat_set_tools(exaone_chat *c, const char *json, size_t n, exaone_error *err) {
    char *copy = NULL;
    if (json) {
        exaone_arena arena;
        exaone_json *j;
        exaone_status s = parse(json, n, &arena, &j, err);
        if (s == EXAONE_OK && j->type != EXAONE_JSON_ARRAY) {
            s = exaone_fail(err, EXAONE_ERR_ARGUMENT, "tools is not a JSON list");
        }
        exaone_arena_release(&arena);
        if (s != EXAONE_OK) {
            return s;
        }
        copy = exaone_mem_string(json, n);
        if (!copy) {
            return exaone_fail_memory(err, "tools", n);
        }
    }
    free(c->tools);
    c->tools = copy;
    return EXAONE_OK;
}

exaone_status exaone_chat_to_json(const exaone_chat *c, bool thinking, char **out, size_t *n, exaone_error *err) {
    exaone_buf b;
    exaone_buf_init(&b, MAX_BYTES);
    *out = NULL;
    exaone_buf_puts(&b, "{\"messages\": [");
    for (size_t i = 0; i < c->n; i++) {
        exaone_buf_puts(&b, i ? ", " : "");
        exaone_buf_puts(&b, c->messages[i]);
    }
    exaone_buf_puts(&b, "]");
    if (c->tools) {
        exaone_buf_puts(&b, ", \"tools\": ");
        exaone_buf_puts(&b, c->tools);
    }
    exaone_buf_printf(&b, ", \"options\": {\"add_generation_prompt\": true, \"enable_thinking\": %s}}",
                      thinking ? "true" : "false");
    exaone_status s = exaone_buf_check(&b, "the conversation", err);
    if (s == EXAONE_OK) {
        *out = exaone_buf_take(&b, n);
        s = *out ? EXAONE_OK : exaone_fail_memory(err, "the conversation", 1);
    }
    exaone_buf_release(&b);
    return s;
}
