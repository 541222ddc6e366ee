/* One question about a picture: pixels, placeholders, and the most probable tokens one after the other.
 *
 *   ask_image models/tiny examples/media/time.png "What time is it?" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/exaone.h"

/* The picture's pixel values, as the model's processor files ask. */
static exaone_status load_image(const exaone_engine *engine, const char *path, exaone_pixels *pixels, exaone_error *err) {
    exaone_image image = {0};
    exaone_status s = exaone_image_decode_file(path, NULL, &image, err);
    if (s == EXAONE_OK) {
        s = exaone_preprocess_image(&image, &exaone_engine_processor(engine)->image, exaone_engine_parallel(engine), false,
                                    pixels, err);
    }
    exaone_image_release(&image);
    return s;
}

/* Picture and question -> prompt text with one placeholder -> ids with one placeholder per token of the picture. */
static exaone_status make_prompt(const exaone_engine *engine, const char *path, const char *question, size_t image_tokens,
                                 int32_t **out, size_t *n_out, exaone_error *err) {
    exaone_chat_part parts[] = {{EXAONE_PART_IS_IMAGE, path}, {EXAONE_PART_IS_TEXT, question}};
    exaone_rendered prompt = {0};
    char *json = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    exaone_chat *chat = exaone_chat_new();
    exaone_status s = chat ? exaone_chat_add(chat, "user", parts, 2, err) : EXAONE_ERR_MEMORY;
    s = s == EXAONE_OK ? exaone_chat_to_json(chat, false, &json, &n, err) : s;
    s = s == EXAONE_OK ? exaone_template_render(json, n, NULL, &prompt, err) : s;
    if (s == EXAONE_OK) {
        s = exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), prompt.spans, prompt.n_spans, &ids, &n, err);
    }
    if (s == EXAONE_OK) {
        s = exaone_expand_placeholders(ids, n, exaone_engine_info(engine)->image_token_id, &image_tokens, 1, -1, NULL, 0,
                                       32768, out, n_out, err);
    }
    free(ids);
    free(json);
    exaone_rendered_release(&prompt);
    exaone_chat_free(chat);
    return s;
}

static exaone_status answer(exaone_engine *engine, const exaone_prompt *prompt, exaone_error *err) {
    const exaone_model_info *info = exaone_engine_info(engine);
    exaone_session *session = NULL;
    exaone_status s = exaone_session_new(engine, 0, &session, err);
    s = s == EXAONE_OK ? exaone_session_sync(session, prompt, NULL, NULL, err) : s;
    for (int step = 0; step < 64 && s == EXAONE_OK; step++) {
        const float *logits = exaone_session_logits(session);
        int32_t best = 0;
        for (int32_t id = 1; id < info->vocab_size; id++) {
            best = logits[id] > logits[best] ? id : best;
        }
        if (exaone_tokenizer_is_special(exaone_engine_tokenizer(engine), best)) {
            break; /* <|endofturn|> */
        }
        size_t n;
        const uint8_t *bytes = exaone_tokenizer_bytes(exaone_engine_tokenizer(engine), best, &n);
        fwrite(bytes, 1, n, stdout);
        s = exaone_session_append(session, best, err);
    }
    exaone_session_free(session);
    return s;
}

int main(int argc, char **argv) {
    const char *path = argc > 2 ? argv[2] : "examples/media/time.png", *question = argc > 3 ? argv[3] : "What time is it?";
    exaone_error err = {EXAONE_ERR_MEMORY, "out of memory"};
    exaone_engine *engine = NULL;
    exaone_pixels pixels = {0};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    exaone_status s = exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err);
    s = s == EXAONE_OK ? load_image(engine, path, &pixels, &err) : s;
    if (s == EXAONE_OK) {
        size_t tokens = exaone_pixels_tokens(&pixels, &exaone_engine_processor(engine)->image);
        s = make_prompt(engine, path, question, tokens, &ids, &n_ids, &err);
    }
    if (s == EXAONE_OK) {
        exaone_prompt_media media = {&pixels, false};
        exaone_prompt prompt = {ids, n_ids, &media, 1};
        s = answer(engine, &prompt, &err);
        printf("\n");
    }
    if (s != EXAONE_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
    free(ids);
    exaone_pixels_release(&pixels);
    exaone_engine_close(engine);
    return s == EXAONE_OK ? 0 : 1;
}
