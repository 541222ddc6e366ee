/* Safetensors: any bytes give a list whose tensors lie in the file, or an error with a message. */
#include <stdint.h>
#include <stdlib.h>

#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_safetensors s;
    exaone_error err = {0};
    if (exaone_safetensors_parse(data, size, "FILE", &s, &err)) {
        if (s.entries || !err.message[0]) {
            abort();
        }
        return 0;
    }
    uint64_t total = 0;
    for (size_t i = 0; i < s.count; i++) {
        const exaone_safetensors_entry *e = &s.entries[i];
        size_t bytes;
        if (!exaone_dtype_tensor_bytes(e->dtype, e->n_dims, e->dims, &bytes) || bytes != e->bytes || e->data < data ||
            e->data + e->bytes > data + size) {
            abort();
        }
        total += bytes;
    }
    if (total > size) {
        abort();
    }
    exaone_safetensors_release(&s);
    return 0;
}
