/* Configuration: config.json, a zero byte, generation_config.json; or a GGUF file. Any bytes give numbers that fit together,
 * or an error with a message. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/config.h"
#include "model/quantization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rest of the engine relies on. */
static void check(const exaone_config *c) {
    int n_sliding = 0;
    for (int l = 0; l < c->num_hidden_layers; l++) {
        n_sliding += c->sliding[l];
    }
    if (c->num_hidden_layers < 1 || c->num_hidden_layers > EXAONE_MAX_LAYERS || n_sliding > c->num_hidden_layers ||
        c->num_attention_heads % c->num_key_value_heads != 0 || c->head_dim % 2 != 0 || c->head_dim < 2 ||
        c->hidden_size < 1 || c->vocab_size < 1 || !(c->rms_norm_eps >= 0) || !(c->rope.rope_theta >= 1) ||
        c->n_eos_token_ids > EXAONE_MAX_EOS) {
        abort();
    }
    for (int i = 0; i < c->n_eos_token_ids; i++) {
        if (c->eos_token_ids[i] < 0 || c->eos_token_ids[i] >= c->vocab_size) {
            abort();
        }
    }
    if (c->image_token_id >= c->vocab_size || c->video_token_id >= c->vocab_size) {
        abort();
    }
    for (int b = 0; c->has_vision && b < c->vision.depth; b++) {
        n_sliding += c->vision.full[b];
    }
    if (c->has_vision && (c->vision.hidden_size % c->vision.num_heads != 0 || c->vision.out_hidden_size != c->hidden_size)) {
        abort();
    }
    exaone_config_kv_bytes(c, UINT64_MAX / 2, 512, 64, EXAONE_Q8_0, EXAONE_F32);
    if (c->quantization) {
        const exaone_weight_scheme *s = exaone_quantization_scheme(
            c->quantization, "model.language_model.layers.3.mlp.up_proj", "model.layers.3.mlp.up_proj");
        if (s && (s->rows_per_scale < 0 || s->cols_per_scale < 0 || (s->dtype == EXAONE_I4 && s->cols_per_scale % 8 != 0))) {
            abort();
        }
    }
}

static exaone_status load_gguf(const uint8_t *data, size_t size, exaone_config *c, exaone_error *err) {
    char path[64];
    int fd = memfd_create("model", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    exaone_weights *w;
    *c = (exaone_config){0};
    exaone_status status = exaone_weights_open(path, NULL, &w, err);
    if (status == EXAONE_OK) {
        status = exaone_config_load(w, c, err);
    }
    exaone_weights_close(w);
    close(fd);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_config c;
    exaone_error err = {0};
    exaone_status status;
    if (size > 4 && memcmp(data, "GGUF", 4) == 0) {
        status = load_gguf(data, size, &c, &err);
    } else {
        const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
        size_t n = zero ? (size_t)(zero - data) : size;
        status = exaone_config_parse("config.json", (const char *)data, n, "generation_config.json",
                                     (const char *)(zero ? zero + 1 : NULL), zero ? size - n - 1 : 0, &c, &err);
    }
    if (status) {
        if (c.sliding || c.rope.factors || c.vision.full || c.quantization || !err.message[0]) {
            abort();
        }
        return 0;
    }
    check(&c);
    exaone_config_release(&c);
    return 0;
}
