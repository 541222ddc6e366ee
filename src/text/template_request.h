/* The request that the chat template renders, brought into the form that the template sees. */
#ifndef EXAONE_TEXT_TEMPLATE_REQUEST_H
#define EXAONE_TEXT_TEMPLATE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/json.h"
#include "exaone/status.h"

#define EXAONE_TEMPLATE_MAX_MESSAGES 10000

typedef struct exaone_template_request {
    const exaone_json *messages; /* a list of 1 .. EXAONE_TEMPLATE_MAX_MESSAGES objects */
    const exaone_json *tools;    /* a list of objects with at least one; else NULL */
    bool add_generation_prompt, enable_thinking, skip_think, add_vision_id;
    bool continue_final;     /* the text ends behind final_text of the last message ... */
    bool continue_reasoning; /* ... which is its reasoning */
    const exaone_json *final_text;
} exaone_template_request;

/* Stands behind final_text in the tree of `messages` when continue_final is set. */
extern const char exaone_template_mark[];

/* Reads {"messages", "tools", "options"} or {"request_json", "options"} as exaone_template_render describes. The tree lives
 * in `arena`, parts of it in `json`. Errors: EXAONE_ERR_FORMAT, _ARGUMENT, _LIMIT, _MEMORY. */
EXAONE_MUST_USE exaone_status exaone_template_request_read(const char *json, size_t n, exaone_arena *arena,
                                                           exaone_template_request *out, exaone_error *err);

/* A member of a message; null counts as absent. */
const exaone_json *exaone_message_get(const exaone_json *message, const char *key);
/* What the template's language takes for true. */
bool exaone_json_truthy(const exaone_json *j);

#endif
