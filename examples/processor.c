/* The processor: text and a picture in; token ids, pixel values and the grid out, as the reference's processor gives them.
 *
 *   processor models/tiny examples/media/time.png "What time is it?" */
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
    const char *path = argc > 2 ? argv[2] : "examples/media/time.png";
    exaone_engine *engine = NULL;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    const exaone_pixel_config *config = &exaone_engine_processor(engine)->image;
    exaone_image image = {0};
    exaone_pixels p = {0};
    need(exaone_image_decode_file(path, NULL, &image, &err) == EXAONE_OK);
    need(exaone_preprocess_image(&image, config, exaone_engine_parallel(engine), false, &p, &err) == EXAONE_OK);

    exaone_chat_part parts[] = {{EXAONE_PART_IS_IMAGE, path},
                                {EXAONE_PART_IS_TEXT, argc > 3 ? argv[3] : "What time is it?"}};
    exaone_rendered text = {0};
    char *json = NULL;
    int32_t *short_ids = NULL, *ids = NULL;
    size_t n = 0, tokens = exaone_pixels_tokens(&p, config);
    exaone_chat *chat = exaone_chat_new();
    need(chat && exaone_chat_add(chat, "user", parts, 2, &err) == EXAONE_OK);
    need(exaone_chat_to_json(chat, false, &json, &n, &err) == EXAONE_OK);
    need(exaone_template_render(json, n, NULL, &text, &err) == EXAONE_OK);
    need(exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), text.spans, text.n_spans, &short_ids, &n, &err) ==
         EXAONE_OK);
    printf("text: %zu ids, one of them for the picture\n", n);
    need(exaone_expand_placeholders(short_ids, n, exaone_engine_info(engine)->image_token_id, &tokens, 1, -1, NULL, 0, 32768,
                                    &ids, &n, &err) == EXAONE_OK);
    printf("input_ids [1, %zu], %zu of them for the picture\n", n, tokens);
    printf("pixel_values [%zu, %zu], the first: %.4f\n", p.rows, p.cols, (double)p.values[0]);
    printf("image_grid_thw [1, 3]: %u %u %u\n", p.grid[0], p.grid[1], p.grid[2]);
    free(ids);
    free(short_ids);
    exaone_rendered_release(&text);
    free(json);
    exaone_chat_free(chat);
    exaone_pixels_release(&p);
    exaone_image_release(&image);
    exaone_engine_close(engine);
    return 0;
}
