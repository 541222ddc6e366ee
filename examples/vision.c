/* The vision model alone: a picture becomes feature vectors, one for each of its tokens.
 *
 *   vision models/tiny examples/media/time.png */
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
    exaone_image image = {0};
    exaone_pixels p = {0};
    const exaone_pixel_config *config = &exaone_engine_processor(engine)->image;
    need(exaone_image_decode_file(argc > 2 ? argv[2] : "examples/media/time.png", NULL, &image, &err) == EXAONE_OK);
    need(exaone_preprocess_image(&image, config, exaone_engine_parallel(engine), false, &p, &err) == EXAONE_OK);

    const uint64_t shape[] = {p.rows, p.cols}, one_grid[] = {1, 3};
    const int64_t grid[] = {p.grid[0], p.grid[1], p.grid[2]};
    exaone_tensors *out = NULL, *in = exaone_tensors_new();
    need(in && exaone_tensors_add(in, "pixel_values", EXAONE_F32, 2, shape, p.values, &err) == EXAONE_OK);
    need(exaone_tensors_add(in, "image_grid_thw", EXAONE_I64, 2, one_grid, grid, &err) == EXAONE_OK);
    need(exaone_forward(engine, in, NULL, &out, &err) == EXAONE_OK);
    const exaone_tensor *t = exaone_tensors_get(out, "features.0"); /* [tokens, hidden_size of the text model] f32 */
    const float *x = t->data;
    printf("%llu tokens of %llu numbers, the first: %.4f %.4f %.4f\n", (unsigned long long)t->dims[0],
           (unsigned long long)t->dims[1], (double)x[0], (double)x[1], (double)x[2]);
    exaone_tensors_free(out);
    exaone_tensors_free(in);
    exaone_pixels_release(&p);
    exaone_image_release(&image);
    exaone_engine_close(engine);
    return 0;
}
