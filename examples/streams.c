/* Several questions at once: one scheduler answers all of them together, each as it would alone.
 *
 *   streams models/tiny "2 + 3 = ?" "7 + 9 = ?" "What is the capital of France?" */
#include <stdio.h>
#include <stdlib.h>

#include "exaone/exaone.h"

static exaone_error err;

static void need(bool done) {
    if (!done) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

typedef struct {
    char text[4096];
    size_t n;
    exaone_detokenizer *detokenizer;
} answer;

/* Called on the scheduler's thread for every token. */
static bool take(void *ctx, exaone_request *request, const exaone_generated *token) {
    answer *a = ctx;
    const char *piece;
    size_t n;
    (void)request;
    if (exaone_detokenizer_put(a->detokenizer, token->id, &piece, &n, NULL) != EXAONE_OK) {
        return false;
    }
    for (size_t i = 0; i < n && a->n + 1 < sizeof a->text; i++) {
        a->text[a->n++] = piece[i];
    }
    return true;
}

int main(int argc, char **argv) {
    static answer answers[8];
    exaone_request *requests[8];
    exaone_engine *engine = NULL;
    exaone_scheduler *scheduler = NULL;
    int n_questions = argc > 2 ? (argc < 10 ? argc - 2 : 8) : 0;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    need(exaone_scheduler_new(engine, NULL, &scheduler, &err) == EXAONE_OK);
    for (int i = 0; i < n_questions; i++) {
        exaone_chat_part question = {EXAONE_PART_IS_TEXT, argv[2 + i]};
        exaone_rendered text = {0};
        char *json = NULL;
        int32_t *ids = NULL;
        size_t n = 0;
        exaone_chat *chat = exaone_chat_new();
        const exaone_tokenizer *tokenizer = exaone_engine_tokenizer(engine);
        need(chat && exaone_chat_add(chat, "user", &question, 1, &err) == EXAONE_OK);
        need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
        need(exaone_template_render(json, n, NULL, &text, &err) == EXAONE_OK);
        need(exaone_tokenizer_encode_spans(tokenizer, text.spans, text.n_spans, &ids, &n, &err) == EXAONE_OK);
        need(exaone_detokenizer_new(tokenizer, EXAONE_SKIP_SPECIAL, &answers[i].detokenizer, &err) == EXAONE_OK);
        exaone_request_params params = {
            .prompt = {.ids = ids, .n_ids = n}, .max_tokens = 256, .on_token = take, .ctx = &answers[i]};
        need(exaone_scheduler_submit(scheduler, &params, &requests[i], &err) == EXAONE_OK);
        free(ids);
        exaone_rendered_release(&text);
        free(json);
        exaone_chat_free(chat);
    }
    for (int i = 0; i < n_questions; i++) {
        exaone_reply reply;
        need(exaone_request_wait(requests[i], &reply, &err) == EXAONE_OK);
        printf("%s -> %s (%zu tokens)\n", argv[2 + i], answers[i].text, reply.n_tokens);
        exaone_request_free(requests[i]);
        exaone_detokenizer_free(answers[i].detokenizer);
    }
    exaone_scheduler_free(scheduler);
    exaone_engine_close(engine);
    return 0;
}
