/* Replies: any bytes, cut anywhere, give the same texts and calls as the whole; what was handed out only grows.
 * First byte: thinking, tools, stopped, and the piece length. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static exaone_reply *run(uint8_t how, const char *text, size_t n, size_t piece) {
    exaone_reply *r = exaone_reply_new(how & 1, how & 2);
    size_t before = 0, now, calls = 0;
    exaone_error err;
    for (size_t at = 0; r && at < n; at += piece) {
        size_t take = n - at < piece ? n - at : piece;
        if (exaone_reply_feed(r, text + at, take, &err) != EXAONE_OK) {
            abort();
        }
        exaone_reply_content(r, &now);
        if (now < before || exaone_reply_n_calls(r) < calls) {
            abort();
        }
        before = now;
        calls = exaone_reply_n_calls(r);
    }
    if (!r || exaone_reply_finish(r, how & 4, &err) != EXAONE_OK) {
        abort();
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    exaone_reply *whole = run(data[0], text, size - 1, size), *cut = run(data[0], text, size - 1, 1 + (data[0] >> 3));
    char *a, *b;
    exaone_error err;
    if (exaone_reply_to_json(whole, &a, &err) != EXAONE_OK || exaone_reply_to_json(cut, &b, &err) != EXAONE_OK ||
        strcmp(a, b) != 0) {
        abort();
    }
    free(a);
    free(b);
    exaone_reply_free(whole);
    exaone_reply_free(cut);
    return 0;
}
