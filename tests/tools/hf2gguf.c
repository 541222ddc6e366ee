/* hf2gguf FOLDER OUT.gguf OUT-mmproj.gguf [--type bf16|f16|f32]: a GGUF pair from a Hugging Face folder, for tests. */
#include <stdio.h>
#include <string.h>

#include "../support/make_gguf.h"

int main(int argc, char **argv) {
    exaone_dtype type = EXAONE_BF16;
    exaone_error err;
    if (argc != 4 && !(argc == 6 && strcmp(argv[4], "--type") == 0)) {
        fprintf(stderr, "usage: hf2gguf FOLDER OUT.gguf OUT-mmproj.gguf [--type bf16|f16|f32]\n");
        return 2;
    }
    if (argc == 6) {
        if (strcmp(argv[5], "f16") == 0) {
            type = EXAONE_F16;
        } else if (strcmp(argv[5], "f32") == 0) {
            type = EXAONE_F32;
        } else if (strcmp(argv[5], "bf16") != 0) {
            fprintf(stderr, "hf2gguf: type %s is not one of bf16, f16, f32\n", argv[5]);
            return 2;
        }
    }
    if (make_gguf(argv[1], argv[2], argv[3], type, &err)) {
        fprintf(stderr, "hf2gguf: %s\n", err.message);
        return 1;
    }
    return 0;
}
