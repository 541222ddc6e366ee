/* JSON: any bytes give a document or an error with a message; what the writer makes of a document reads back and, written
 * again, is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 << 20 };

static bool write_again(const char *text, size_t n, exaone_buf *out, exaone_error *err) {
    exaone_arena arena;
    exaone_json *j;
    exaone_arena_init(&arena, MEMORY);
    bool ok = exaone_json_parse(text, n, &arena, &j, err) == EXAONE_OK;
    if (ok) {
        exaone_json_put(out, j);
    }
    exaone_arena_release(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_buf first, second;
    exaone_error err = {0};
    exaone_buf_init(&first, MEMORY);
    exaone_buf_init(&second, MEMORY);
    if (!write_again((const char *)data, size, &first, &err)) {
        if (!err.message[0]) {
            abort();
        }
        return 0;
    }
    if (first.failed || !write_again(first.data, first.len, &second, &err) || first.len != second.len ||
        memcmp(first.data, second.data, first.len) != 0) {
        abort();
    }
    exaone_buf_release(&first);
    exaone_buf_release(&second);
    return 0;
}
