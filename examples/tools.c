/* Tools: the prompt that offers a function to the model, and the parser that finds the calls in what the model writes.
 *
 *   tools */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/exaone.h"

static const char declared[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"add\", \"description\": \"Adds two numbers.\", \"parameters\": "
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"number\"}, \"b\": {\"type\": \"number\"}}}}}]";
/* What a model may write; it comes in pieces that are cut anywhere. */
static const char *const pieces[] = {"I will add them.\n<tool", "_call>{\"name\": \"add\", \"argum",
                                     "ents\": {\"a\": 2, \"b\": 3}}", "</tool_call>"};

static exaone_error err;

static void need(bool done) {
    if (!done) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

int main(void) {
    exaone_rendered prompt = {0};
    char *json = NULL;
    size_t n = 0;
    exaone_chat *chat = exaone_chat_new();
    exaone_reply *reply = exaone_reply_new(false, true);
    need(chat && reply && exaone_chat_set_tools(chat, declared, strlen(declared), &err) == EXAONE_OK);
    need(exaone_chat_add(chat, "user", &(exaone_chat_part){EXAONE_PART_IS_TEXT, "2 + 3 = ?"}, 1, &err) == EXAONE_OK);
    need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
    need(exaone_template_render(json, n, NULL, &prompt, &err) == EXAONE_OK);
    printf("%s\n", prompt.text);

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        need(exaone_reply_feed(reply, pieces[i], strlen(pieces[i]), &err) == EXAONE_OK);
    }
    need(exaone_reply_finish(reply, true, &err) == EXAONE_OK);
    printf("content: %s\n", exaone_reply_content(reply, NULL));
    for (size_t i = 0; i < exaone_reply_n_calls(reply); i++) {
        exaone_tool_call call = exaone_reply_call(reply, i);
        printf("call: %s(%s)\n", call.name, call.arguments);
    }
    printf("finish reason: %s\n", exaone_reply_finish_reason(reply));
    exaone_reply_free(reply);
    exaone_rendered_release(&prompt);
    free(json);
    exaone_chat_free(chat);
    return 0;
}
