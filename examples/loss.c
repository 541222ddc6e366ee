/* The loss of a text: how well the model predicts each token from those before it.
 *
 *   loss models/tiny "2 + 3 = 5" */
#include <math.h>
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

int main(int argc, char **argv) {
    exaone_engine *engine = NULL;
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", NULL, &engine, &err) == EXAONE_OK);
    const char *text = argc > 2 ? argv[2] : "2 + 3 = 5";
    const exaone_text_span span = {.text = text, .n = strlen(text)};
    int32_t *ids = NULL;
    size_t n = 0;
    need(exaone_tokenizer_encode_spans(exaone_engine_tokenizer(engine), &span, 1, &ids, &n, &err) == EXAONE_OK);

    const uint64_t dims[] = {1, n}; /* batch, length; labels are not shifted, -100 would leave a token out */
    exaone_tensors *out = NULL, *in = exaone_tensors_new();
    need(in && exaone_tensors_add(in, "input_ids", EXAONE_I32, 2, dims, ids, &err) == EXAONE_OK);
    need(exaone_tensors_add(in, "labels", EXAONE_I32, 2, dims, ids, &err) == EXAONE_OK);
    need(exaone_forward(engine, in, &(exaone_forward_options){.stages = "loss,nll"}, &out, &err) == EXAONE_OK);
    const float *loss = exaone_tensors_get(out, "loss")->data, *nll = exaone_tensors_get(out, "nll")->data;
    for (size_t i = 0; i + 1 < n; i++) {
        size_t length;
        const uint8_t *bytes = exaone_tokenizer_bytes(exaone_engine_tokenizer(engine), ids[i + 1], &length);
        printf("%8.4f  %.*s\n", (double)nll[i], (int)length, (const char *)bytes);
    }
    printf("loss %.4f, perplexity %.4f\n", (double)loss[0], exp((double)loss[0]));
    exaone_tensors_free(out);
    exaone_tensors_free(in);
    free(ids);
    exaone_engine_close(engine);
    return 0;
}
