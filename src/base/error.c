/* Error messages: formatting, context and cleaning of what a hostile file put into a name. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *exaone_status_text(exaone_status status) {
    switch (status) {
#define CASE(name, number, text) \
    case EXAONE_##name:          \
        return text;
        EXAONE_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown status";
}

/* Replaces control characters and invalid UTF-8 in place; cuts a sequence that the buffer's end split. */
static void clean_message(char *text) {
    size_t n = strlen(text);
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = exaone_utf8_decode((const uint8_t *)text + i, n - i, &code);
        if (len == 0) {
            text[out++] = '?';
            i++;
            continue;
        }
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            text[out++] = '?';
        } else {
            memmove(text + out, text + i, len);
            out += len;
        }
        i += len;
    }
    text[out] = 0;
}

exaone_status exaone_fail(exaone_error *err, exaone_status code, const char *fmt, ...) {
    if (err) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(err->message, sizeof err->message, fmt, args);
        va_end(args);
        clean_message(err->message);
        err->code = code;
    }
    return code;
}

exaone_status exaone_fail_context(exaone_error *err, exaone_status code, const char *fmt, ...) {
    if (!err) {
        return code;
    }
    char context[sizeof err->message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    char joined[2 * sizeof err->message + 4];
    snprintf(joined, sizeof joined, "%s: %s", context, err->message);
    joined[sizeof err->message - 1] = 0;
    memcpy(err->message, joined, strlen(joined) + 1);
    clean_message(err->message);
    return code;
}

exaone_status exaone_fail_memory(exaone_error *err, const char *what, unsigned long long bytes) {
    return exaone_fail(err, EXAONE_ERR_MEMORY, "out of memory: %s needs %llu bytes", what, bytes);
}
