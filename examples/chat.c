/* A conversation of several turns: every argument is a question, and each answer stands in the prompt of the next one. The
 * session keeps what two prompts have in common, so that only the new part is computed.
 *
 *   chat models/tiny "2 + 3 = ?" "7 + 9 = ?" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/exaone.h"

static exaone_error err;

static void need(bool done) {
    if (!done) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

/* The most probable tokens up to the end of the turn, as text in answer[room]. */
static void generate(const exaone_engine *engine, exaone_session *session, char *answer, size_t room) {
    const exaone_tokenizer *tok = exaone_engine_tokenizer(engine);
    int32_t best = 0;
    for (size_t n, at = 0;; at += n) {
        const float *logits = exaone_session_logits(session);
        for (int32_t id = best = 0; id < exaone_engine_info(engine)->vocab_size; id++) {
            best = logits[id] > logits[best] ? id : best;
        }
        const uint8_t *bytes = exaone_tokenizer_bytes(tok, best, &n);
        answer[at] = 0;
        if (exaone_tokenizer_is_special(tok, best) || at + n >= room) {
            return;
        }
        memcpy(answer + at, bytes, n);
        need(exaone_session_append(session, best, &err) == EXAONE_OK);
    }
}

int main(int argc, char **argv) {
    exaone_engine *engine = NULL;
    exaone_session *session = NULL;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    need(exaone_session_new(engine, 0, &session, &err) == EXAONE_OK);
    exaone_chat *chat = exaone_chat_new();
    for (int turn = 2; turn < argc; turn++) {
        exaone_rendered text = {0};
        char *json = NULL, answer[4096];
        int32_t *ids = NULL;
        size_t n = 0;
        need(chat &&
             exaone_chat_add(chat, "user", &(exaone_chat_part){EXAONE_PART_IS_TEXT, argv[turn]}, 1, &err) == EXAONE_OK);
        need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
        need(exaone_template_render(json, n, NULL, &text, &err) == EXAONE_OK);
        need(exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), text.spans, text.n_spans, &ids, &n, &err) ==
             EXAONE_OK);
        need(exaone_session_sync(session, &(exaone_prompt){.ids = ids, .n_ids = n}, NULL, NULL, &err) == EXAONE_OK);
        printf("%zu tokens, %zu of them known: ", n, exaone_session_reused(session));
        generate(engine, session, answer, sizeof answer);
        printf("%s\n", answer);
        need(exaone_chat_add(chat, "assistant", &(exaone_chat_part){EXAONE_PART_IS_TEXT, answer}, 1, &err) == EXAONE_OK);
        free(ids);
        exaone_rendered_release(&text);
        free(json);
    }
    exaone_chat_free(chat);
    exaone_session_free(session);
    exaone_engine_close(engine);
    return 0;
}
