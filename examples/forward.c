/* The reference's forward call: named tensors in, named tensors out.
 *
 *   forward models/tiny */
#include <stdio.h>

#include "exaone/exaone.h"

static int fail(const exaone_error *err) {
    fprintf(stderr, "%s\n", err->message);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: forward MODEL\n");
        return 2;
    }
    exaone_error err;
    exaone_engine *engine = NULL;
    if (exaone_engine_open(argv[1], NULL, &engine, &err) != EXAONE_OK) {
        return fail(&err);
    }
    const int64_t ids[] = {5, 6, 7, 8};
    const uint64_t dims[] = {1, 4}; /* batch, length */
    exaone_tensors *out = NULL, *in = exaone_tensors_new();
    if (!in) {
        exaone_engine_close(engine);
        return 1;
    }
    exaone_forward_options options = {.stages = "logits"};
    exaone_status status = exaone_tensors_add(in, "input_ids", EXAONE_I64, 2, dims, ids, &err);
    if (status == EXAONE_OK) {
        status = exaone_forward(engine, in, &options, &out, &err);
    }
    if (status == EXAONE_OK) {
        const exaone_tensor *logits = exaone_tensors_get(out, "logits"); /* [1, 4, vocab_size] f32 */
        size_t vocab = (size_t)logits->dims[2];
        const float *values = logits->data;
        for (size_t t = 0; t < 4; t++) {
            size_t best = 0;
            for (size_t v = 1; v < vocab; v++) {
                best = values[t * vocab + v] > values[t * vocab + best] ? v : best;
            }
            printf("after token %lld: %zu, logit %.4f\n", (long long)ids[t], best, (double)values[t * vocab + best]);
        }
    }
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(engine);
    return status == EXAONE_OK ? 0 : fail(&err);
}
