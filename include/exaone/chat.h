/* Conversations: from messages to the text the model reads, and from the text it writes to reasoning, content and tool
 * calls.
 *
 *   exaone_chat      messages collected by a program, as JSON
 *   exaone_template  the chat template of EXAONE 4.5, built in (docs/model.md, "Chat template"); no template language is run
 *   exaone_reply     the reply parser: one state machine over the stream, the same result for any cut of it
 */
#ifndef EXAONE_CHAT_H
#define EXAONE_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"
#include "exaone/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- template ------------------------------------------------------------------------------------------------------------
 */

typedef struct exaone_template_options {
    bool strict_reference; /* a list as first system message prints as Python prints it, as assistant content it fails, and
                              video_url and input_video items print nothing; default: text items are joined, such videos are
                              videos */
    bool trust_all;        /* control tokens spelled in messages count as such */
} exaone_template_options;

/* An image or video of the conversation, in the order of its placeholder. */
typedef struct exaone_media_ref {
    bool is_video;
    size_t message, part; /* messages[message].content[part] */
    char *source;         /* its url, path, image or video member; NULL when it has none */
} exaone_media_ref;

/* A rendered prompt. Zeroed = empty. */
typedef struct exaone_rendered {
    char *text; /* [n] bytes and one NUL; may hold NULs */
    size_t n;
    exaone_text_span *spans; /* [n_spans] cover text; trusted: the template's markup; not: what messages and tools brought */
    size_t n_spans;
    exaone_media_ref *media; /* [n_media] */
    size_t n_media;
    bool thinking; /* the text ends inside an open think block: the reply starts with reasoning */
} exaone_rendered;

EXAONE_API void exaone_rendered_release(exaone_rendered *r); /* frees and empties */

/* Renders {"messages": […], "tools": […], "options": {add_generation_prompt, enable_thinking, skip_think, add_vision_id,
 * continue_final_message}}, or {"request_json": "the same as text", "options": …}, as the reference's processor does: null
 * members of messages count as absent, `thinking` and `reasoning` stand for reasoning_content, image_url items for images;
 * other members and options are ignored. `options` may be NULL. Time and memory are linear in n. Errors: EXAONE_ERR_FORMAT
 * (no JSON), _ARGUMENT (unknown role, missing arguments, no messages …), _LIMIT (10,000 messages, 65,536 images and videos,
 * nesting of 128, 256 MiB of request or text, 1 GiB of tree), _MEMORY. On failure *out is empty. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_template_render(const char *json, size_t n,
                                                                const exaone_template_options *options, exaone_rendered *out,
                                                                exaone_error *err);

/* Name of the known template that these bytes are (by SHA-256, with or without a final newline), or NULL; hex gets the
 * digest of the bytes, 64 digits and a NUL. */
EXAONE_API const char *exaone_template_identify(const char *bytes, size_t n, char hex[65]);

/* ---- messages ------------------------------------------------------------------------------------------------------------
 */

typedef struct exaone_chat exaone_chat;

typedef enum { EXAONE_PART_IS_TEXT, EXAONE_PART_IS_IMAGE, EXAONE_PART_IS_VIDEO } exaone_part_kind;
typedef struct exaone_chat_part {
    exaone_part_kind kind;
    const char *text; /* the text, or where the image or video is */
} exaone_chat_part;

EXAONE_API exaone_chat *exaone_chat_new(void); /* NULL: out of memory. Owned by the caller: exaone_chat_free */
EXAONE_API void exaone_chat_free(exaone_chat *chat);
/* One message; a single text part becomes a plain string, which the template treats differently from a list. Broken UTF-8 in
 * a text becomes U+FFFD; in a path it is refused. Limits: 10,000 messages, 256 MiB. On an error the conversation stays as it
 * was; this holds for all functions below. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_chat_add(exaone_chat *chat, const char *role, const exaone_chat_part *parts,
                                                         size_t n_parts, exaone_error *err);
/* A message as a JSON object; checked to be one. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_chat_add_json(exaone_chat *chat, const char *json, size_t n,
                                                              exaone_error *err);
/* All messages of {"messages": […]}, replacing the ones there are. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_chat_load(exaone_chat *chat, const char *json, size_t n, exaone_error *err);
/* A JSON array of tool objects; NULL: none. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_chat_set_tools(exaone_chat *chat, const char *json, size_t n,
                                                               exaone_error *err);
EXAONE_API size_t exaone_chat_count(const exaone_chat *chat);
EXAONE_API void exaone_chat_pop(exaone_chat *chat); /* removes the last message; nothing when there is none */
/* The request that exaone_template_render takes, with a generation prompt. *out is the caller's (free). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_chat_to_json(const exaone_chat *chat, bool thinking, char **out, size_t *n,
                                                             exaone_error *err);

/* ---- replies -------------------------------------------------------------------------------------------------------------
 */

typedef struct exaone_reply exaone_reply;

typedef struct exaone_tool_call {
    const char *name;           /* NUL-terminated */
    const char *arguments;      /* JSON text, NUL-terminated */
    size_t n_name, n_arguments; /* bytes; a name may hold NULs */
} exaone_tool_call;

/* thinking: the prompt ended in an open think block; tools: the request declared tools. NULL: out of memory. */
EXAONE_API exaone_reply *exaone_reply_new(bool thinking, bool tools);
EXAONE_API void exaone_reply_free(exaone_reply *reply);
/* Feeds any number of bytes; cuts may fall anywhere. Memory and time are linear in the text. Errors: EXAONE_ERR_ARGUMENT
 * (after finish), _LIMIT (64 MiB in all; nothing was fed), _MEMORY (the reply is then only good for free). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_reply_feed(exaone_reply *reply, const char *bytes, size_t n,
                                                           exaone_error *err);
/* Ends the text. stopped: by an end token (else by a length limit). A second call changes nothing. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_reply_finish(exaone_reply *reply, bool stopped, exaone_error *err);
/* What is decided so far. It only grows: for streaming, send what lies behind the length sent before, and the calls from the
 * number sent before on. Held back are white space at the end, what may become a tag, and open tool calls. NUL-terminated,
 * never NULL, valid until the next feed or finish; n may be NULL. */
EXAONE_API const char *exaone_reply_reasoning(const exaone_reply *reply, size_t *n);
EXAONE_API const char *exaone_reply_content(const exaone_reply *reply, size_t *n);
EXAONE_API size_t exaone_reply_n_calls(const exaone_reply *reply);
/* Its strings belong to the reply. */
EXAONE_API exaone_tool_call exaone_reply_call(const exaone_reply *reply, size_t i);
/* "stop", "length" or "tool_calls"; "" before finish. */
EXAONE_API const char *exaone_reply_finish_reason(const exaone_reply *reply);
/* {"reasoning_content", "content", "tool_calls": [{"name", "arguments"}], "finish_reason"}; empty texts are null, arguments
 * a string that holds JSON. Always valid JSON: broken UTF-8 becomes U+FFFD. *out is the caller's (free). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_reply_to_json(const exaone_reply *reply, char **out, exaone_error *err);

/* ---- \boxed{} ------------------------------------------------------------------------------------------------------------
 */

/* What to add to a question so that the answer can be found. */
EXAONE_API const char *exaone_boxed_request(void);
/* Content text[*begin .. *end) of the last \boxed{…} that closes (braces balanced, \{ and \} not counted); false: none. */
EXAONE_API bool exaone_boxed_last(const char *text, size_t n, size_t *begin, size_t *end);

#ifdef __cplusplus
}
#endif
#endif
