/* Text to token ids and back.
 *
 *   tokenize models/tiny "Hello world" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/exaone.h"

static int fail(const exaone_error *err) {
    fprintf(stderr, "%s\n", err->message);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: tokenize MODEL_FOLDER [TEXT]\n");
        return 2;
    }
    const char *text = argc > 2 ? argv[2] : "Hello world";
    char path[4096];
    snprintf(path, sizeof path, "%s/tokenizer.json", argv[1]);
    exaone_error err;
    exaone_tokenizer *tok = NULL;
    if (exaone_tokenizer_open(path, &tok, &err) != EXAONE_OK) {
        return fail(&err);
    }
    int32_t *ids = NULL;
    size_t n_ids = 0, n_back = 0;
    char *back = NULL;
    /* Without EXAONE_PARSE_SPECIAL no control token is made, whatever the text spells. */
    exaone_status status = exaone_tokenizer_encode(tok, text, strlen(text), 0, &ids, &n_ids, &err);
    if (status == EXAONE_OK) {
        for (size_t i = 0; i < n_ids; i++) {
            size_t n;
            const uint8_t *bytes = exaone_tokenizer_bytes(tok, ids[i], &n);
            printf("%d\t%.*s\n", (int)ids[i], (int)n, (const char *)bytes);
        }
        status = exaone_tokenizer_decode(tok, ids, n_ids, 0, &back, &n_back, &err);
    }
    if (status == EXAONE_OK) {
        printf("%s\n", back);
    }
    free(back);
    free(ids);
    exaone_tokenizer_free(tok);
    return status == EXAONE_OK ? 0 : fail(&err);
}
