/* GGUF: any bytes give lists whose values and tensors lie in the file, or an error with a message. */
#include <stdint.h>
#include <stdlib.h>

#include "weights/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const exaone_gguf *g, const exaone_gguf_kv *kv, const uint8_t *data, size_t size) {
    int64_t i;
    double d;
    bool b;
    exaone_gguf_view v;
    exaone_gguf_view *views;
    if (exaone_gguf_find(g, kv->key) != kv || kv->data < data || kv->data + kv->bytes > data + size) {
        abort();
    }
    exaone_gguf_int(kv, &i);
    exaone_gguf_double(kv, &d);
    exaone_gguf_bool(kv, &b);
    exaone_gguf_string(kv, &v);
    for (uint64_t n = 0; n < kv->count && n < 1000; n++) {
        exaone_gguf_int_at(kv, n, &i);
        exaone_gguf_double_at(kv, n, &d);
    }
    if (exaone_gguf_strings(kv, &views, NULL) == EXAONE_OK) {
        for (uint64_t n = 0; n < kv->count; n++) {
            const uint8_t *text = (const uint8_t *)views[n].text;
            if (text < data || text + views[n].n > data + size) {
                abort();
            }
        }
        free(views);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_gguf *g;
    exaone_error err = {0};
    if (exaone_gguf_parse(data, size, "FILE", &g, &err)) {
        if (g || !err.message[0]) {
            abort();
        }
        return 0;
    }
    for (size_t i = 0; i < exaone_gguf_kv_count(g); i++) {
        ask(g, exaone_gguf_kv_at(g, i), data, size);
    }
    for (size_t i = 0; i < exaone_gguf_tensor_count(g); i++) {
        const exaone_gguf_tensor *t = exaone_gguf_tensor_at(g, i);
        if (exaone_gguf_find_tensor(g, t->name) != t || t->data < data || t->data + t->bytes > data + size ||
            t->bytes == 0) {
            abort();
        }
    }
    exaone_gguf_close(g);
    return 0;
}
