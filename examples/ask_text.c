/* One question, one answer, printed as it comes. Sampling is greedy here; exaone_sampling_preset gives the model card's.
 *
 *   ask_text models/tiny "7 + 9 = ?" */
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

int main(int argc, char **argv) {
    exaone_engine *engine = NULL;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    const exaone_model_info *info = exaone_engine_info(engine);

    /* conversation -> text -> ids; control tokens count only where the template wrote them */
    exaone_chat_part question = {EXAONE_PART_IS_TEXT, argc > 2 ? argv[2] : "2 + 3 = ?"};
    exaone_rendered text = {0};
    char *json = NULL;
    int32_t *ids = NULL, id = 0;
    size_t n = 0;
    exaone_chat *chat = exaone_chat_new();
    need(chat && exaone_chat_add(chat, "user", &question, 1, &err) == EXAONE_OK);
    need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
    need(exaone_template_render(json, n, NULL, &text, &err) == EXAONE_OK);
    need(exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), text.spans, text.n_spans, &ids, &n, &err) ==
         EXAONE_OK);

    exaone_session *session = NULL;
    exaone_sampler *sampler = NULL;
    exaone_detokenizer *detokenizer = NULL;
    exaone_sampling settings;
    exaone_sampling_default(&settings);
    settings.do_sample = false;
    need(exaone_session_new(engine, 0, &session, &err) == EXAONE_OK);
    need(exaone_sampler_new(&settings, (size_t)info->vocab_size, NULL, 0, &sampler, &err) == EXAONE_OK);
    need(exaone_detokenizer_new(exaone_engine_tokenizer(engine), EXAONE_SKIP_SPECIAL, &detokenizer, &err) == EXAONE_OK);
    need(exaone_session_sync(session, &(exaone_prompt){.ids = ids, .n_ids = n}, NULL, NULL, &err) == EXAONE_OK);
    for (int step = 0; step < 256 && id != info->eos_token_ids[0]; step++) {
        const char *piece;
        need(exaone_sampler_choose(sampler, exaone_session_logits(session), &id, NULL, &err) == EXAONE_OK);
        need(exaone_sampler_accept(sampler, id, &err) == EXAONE_OK);
        need(exaone_detokenizer_put(detokenizer, id, &piece, &n, &err) == EXAONE_OK);
        fwrite(piece, 1, n, stdout);
        need(exaone_session_append(session, id, &err) == EXAONE_OK);
    }
    printf("\n");
    exaone_detokenizer_free(detokenizer);
    exaone_sampler_free(sampler);
    exaone_session_free(session);
    free(ids);
    exaone_rendered_release(&text);
    free(json);
    exaone_chat_free(chat);
    exaone_engine_close(engine);
    return 0;
}
