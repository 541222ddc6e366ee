/* One question, answered greedily and printed as it comes.
 *
 *   ask_text models/tiny "2 + 3 = ?" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/exaone.h"

enum { MAX_TOKENS = 64 };

/* Question -> conversation -> rendered prompt -> ids. */
static exaone_status make_prompt(const exaone_engine *engine, const char *question, int32_t **ids, size_t *n,
                                 exaone_error *err) {
    exaone_chat_part part = {EXAONE_PART_IS_TEXT, question};
    exaone_rendered prompt = {0};
    char *json = NULL;
    size_t n_json = 0;
    exaone_chat *chat = exaone_chat_new();
    exaone_status s = chat ? exaone_chat_add(chat, "user", &part, 1, err) : EXAONE_ERR_MEMORY;
    if (s == EXAONE_OK) {
        s = exaone_chat_to_json(chat, false, &json, &n_json, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_template_render(json, n_json, NULL, &prompt, err);
    }
    if (s == EXAONE_OK) { /* spans: control tokens count only where the template wrote them */
        s = exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), prompt.spans, prompt.n_spans, ids, n, err);
    }
    exaone_rendered_release(&prompt);
    free(json);
    exaone_chat_free(chat);
    return s;
}

static exaone_status generate(exaone_engine *engine, exaone_session *session, exaone_sampler *sampler,
                              exaone_detokenizer *text, exaone_error *err) {
    const exaone_model_info *info = exaone_engine_info(engine);
    for (int step = 0; step < MAX_TOKENS; step++) {
        int32_t id;
        const char *piece;
        size_t n;
        exaone_status s = exaone_sampler_choose(sampler, exaone_session_logits(session), &id, NULL, err);
        for (int k = 0; k < info->n_eos_token_ids && s == EXAONE_OK; k++) {
            if (id == info->eos_token_ids[k]) {
                return EXAONE_OK;
            }
        }
        s = s == EXAONE_OK ? exaone_sampler_accept(sampler, id, err) : s;
        s = s == EXAONE_OK ? exaone_detokenizer_put(text, id, &piece, &n, err) : s;
        if (s == EXAONE_OK) {
            fwrite(piece, 1, n, stdout);
            s = exaone_session_append(session, id, err);
        }
        if (s != EXAONE_OK) {
            return s;
        }
    }
    return EXAONE_OK;
}

int main(int argc, char **argv) {
    exaone_error err = {EXAONE_ERR_MEMORY, "out of memory"};
    exaone_engine *engine = NULL;
    exaone_session *session = NULL;
    exaone_sampler *sampler = NULL;
    exaone_detokenizer *text = NULL;
    exaone_prompt prompt = {0};
    int32_t *ids = NULL;
    exaone_sampling greedy;
    exaone_sampling_default(&greedy);
    greedy.do_sample = false;
    exaone_status s = exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err);
    if (s == EXAONE_OK) {
        s = make_prompt(engine, argc > 2 ? argv[2] : "2 + 3 = ?", &ids, &prompt.n_ids, &err);
    }
    prompt.ids = ids;
    s = s == EXAONE_OK ? exaone_session_new(engine, 0, &session, &err) : s;
    s = s == EXAONE_OK ? exaone_session_sync(session, &prompt, NULL, NULL, &err) : s;
    if (s == EXAONE_OK) {
        s = exaone_sampler_new(&greedy, (size_t)exaone_engine_info(engine)->vocab_size, NULL, 0, &sampler, &err);
    }
    s = s == EXAONE_OK ? exaone_detokenizer_new(exaone_engine_tokenizer(engine), EXAONE_SKIP_SPECIAL, &text, &err) : s;
    s = s == EXAONE_OK ? generate(engine, session, sampler, text, &err) : s;
    printf("\n");
    if (s != EXAONE_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    exaone_detokenizer_free(text);
    exaone_sampler_free(sampler);
    exaone_session_free(session);
    free(ids);
    exaone_engine_close(engine);
    return s == EXAONE_OK ? 0 : 1;
}
