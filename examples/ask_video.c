/* One question about a video: frames two times a second, a placeholder for each of their tokens, and the most probable
 * tokens one by one.
 *
 *   ask_video models/tiny examples/media/moving-circle.mp4 "Which way does the circle move?" */
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
    const char *path = argc > 2 ? argv[2] : "examples/media/moving-circle.mp4";
    const char *question = argc > 3 ? argv[3] : "Which way does the circle move?";
    exaone_engine *engine = NULL;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    const exaone_model_info *info = exaone_engine_info(engine);
    const exaone_tokenizer *tok = exaone_engine_tokenizer(engine);

    exaone_pixels pixels = {0};
    exaone_video_options options;
    exaone_video_options_init(&options);
    options.fps = 2;
    const exaone_pixel_config *config = &exaone_engine_processor(engine)->video;
    need(exaone_preprocess_video(&(exaone_video_source){.path = path}, &options, config, exaone_engine_parallel(engine),
                                 false, &pixels, NULL, &err) == EXAONE_OK);

    exaone_chat_part parts[] = {{EXAONE_PART_IS_VIDEO, path}, {EXAONE_PART_IS_TEXT, question}};
    exaone_rendered text = {0};
    char *json = NULL;
    int32_t *short_ids = NULL, *ids = NULL, best = 0;
    size_t n = 0, tokens = exaone_pixels_tokens(&pixels, config);
    exaone_chat *chat = exaone_chat_new();
    need(chat && exaone_chat_add(chat, "user", parts, 2, &err) == EXAONE_OK);
    need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
    need(exaone_template_render(json, n, NULL, &text, &err) == EXAONE_OK);
    need(exaone_tokenizer_encode_spans(tok, text.spans, text.n_spans, &short_ids, &n, &err) == EXAONE_OK);
    need(exaone_expand_placeholders(short_ids, n, -1, NULL, 0, info->video_token_id, &tokens, 1, 32768, &ids, &n, &err) ==
         EXAONE_OK);

    exaone_session *session = NULL;
    exaone_prompt prompt = {ids, n, &(exaone_prompt_media){&pixels, true}, 1};
    need(exaone_session_new(engine, 0, &session, &err) == EXAONE_OK);
    need(exaone_session_sync(session, &prompt, NULL, NULL, &err) == EXAONE_OK);
    for (int step = 0; step < 256; step++) {
        const float *logits = exaone_session_logits(session);
        for (int32_t id = best = 0; id < info->vocab_size; id++) {
            best = logits[id] > logits[best] ? id : best;
        }
        if (exaone_tokenizer_is_special(tok, best)) { /* <|endofturn|> */
            break;
        }
        const uint8_t *bytes = exaone_tokenizer_bytes(tok, best, &n);
        fwrite(bytes, 1, n, stdout);
        need(exaone_session_append(session, best, &err) == EXAONE_OK);
    }
    printf("\n");
    exaone_session_free(session);
    free(ids);
    free(short_ids);
    exaone_rendered_release(&text);
    free(json);
    exaone_chat_free(chat);
    exaone_pixels_release(&pixels);
    exaone_engine_close(engine);
    return 0;
}
