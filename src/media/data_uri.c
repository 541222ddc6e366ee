/* Data URIs (RFC 2397) with base64 (RFC 4648 sections 4 and 5) or percent-encoded data. Two passes over the text: the first
 * counts and judges, so that the limit is applied before memory is taken; the second writes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/source.h"

enum { SPACE = 64, PAD = 65, BAD = 66 }; /* beside the values 0..63 */
enum { SLACK = 4096 };

/* Value 0..63 of a base64 character, or SPACE, PAD, BAD. */
static unsigned base64_value(unsigned c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    switch (c) {
    case '+':
    case '-':
        return 62;
    case '/':
    case '_':
        return 63;
    case '=':
        return PAD;
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case '\f':
        return SPACE;
    default:
        return BAD;
    }
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The data part, read byte by byte with %XX taken as one byte. */
typedef struct {
    const char *text;
    size_t len, pos;
    bool broken; /* a '%' without two hex digits; pos stands on it */
} reader;

static bool next_byte(reader *r, uint8_t *byte) {
    if (r->pos >= r->len) {
        return false;
    }
    char c = r->text[r->pos];
    if (c != '%') {
        *byte = (uint8_t)c;
        r->pos++;
        return true;
    }
    int high = r->len - r->pos > 2 ? hex_value(r->text[r->pos + 1]) : -1;
    int low = high >= 0 ? hex_value(r->text[r->pos + 2]) : -1;
    if (low < 0) {
        r->broken = true;
        return false;
    }
    *byte = (uint8_t)(high << 4 | low);
    r->pos += 3;
    return true;
}

static exaone_status broken_percent(const reader *r, size_t offset, exaone_error *err) {
    return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: the '%%' at character %zu is not followed by two hex digits",
                       offset + r->pos);
}

/* First pass over base64: *size = bytes it decodes to. */
static exaone_status measure_base64(reader r, size_t offset, size_t *size, exaone_error *err) {
    size_t n_values = 0, n_pad = 0;
    uint8_t c;
    size_t at = r.pos;
    while (next_byte(&r, &c)) {
        unsigned v = base64_value(c);
        if (v == BAD) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: character %zu (byte 0x%02x) is not base64", offset + at,
                               c);
        }
        if (v == PAD) {
            n_pad++;
        } else if (v != SPACE) {
            if (n_pad > 0) {
                return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: base64 goes on behind its padding at character %zu",
                                   offset + at);
            }
            n_values++;
        }
        at = r.pos;
    }
    if (r.broken) {
        return broken_percent(&r, offset, err);
    }
    size_t rest = n_values % 4;
    if (rest == 1) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: %zu base64 characters do not make whole bytes", n_values);
    }
    if (n_pad > 0 && n_pad != (4 - rest) % 4) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: %zu base64 characters have %zu of padding, not %zu", n_values,
                           n_pad, (4 - rest) % 4);
    }
    *size = n_values / 4 * 3 + (rest > 0 ? rest - 1 : 0);
    return EXAONE_OK;
}

static exaone_status measure_percent(reader r, size_t offset, size_t *size, exaone_error *err) {
    size_t n = 0;
    uint8_t c;
    while (next_byte(&r, &c)) {
        n++;
    }
    *size = n;
    return r.broken ? broken_percent(&r, offset, err) : EXAONE_OK;
}

static void decode_base64(reader r, uint8_t *out) {
    uint32_t bits = 0;
    int n_bits = 0;
    uint8_t c;
    while (next_byte(&r, &c)) {
        unsigned v = base64_value(c);
        if (v < 64) {
            bits = (bits << 6 | v) & 0xffff;
            n_bits += 6;
            if (n_bits >= 8) {
                n_bits -= 8;
                *out++ = (uint8_t)(bits >> n_bits);
            }
        }
    }
}

static void decode_percent(reader r, uint8_t *out) {
    while (next_byte(&r, out)) {
        out++;
    }
}

/* Does text[0 .. n) end in ";base64" (any case, spaces around it)? */
static bool ends_in_base64(const char *text, size_t n) {
    while (n > 0 && text[n - 1] == ' ') {
        n--;
    }
    if (n < 6 || strncasecmp(text + n - 6, "base64", 6) != 0) {
        return false;
    }
    n -= 6;
    while (n > 0 && text[n - 1] == ' ') {
        n--;
    }
    return n > 0 && text[n - 1] == ';';
}

exaone_status exaone_data_uri_decode(const char *uri, size_t len, size_t max_bytes, uint8_t **bytes, size_t *n,
                                     exaone_error *err) {
    *bytes = NULL;
    *n = 0;
    if (len < 5 || strncasecmp(uri, "data:", 5) != 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: it does not begin with \"data:\"");
    }
    const char *comma = memchr(uri + 5, ',', len - 5);
    if (!comma) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "data URI: no comma in %zu characters", len);
    }
    size_t offset = (size_t)(comma + 1 - uri);
    bool base64 = ends_in_base64(uri + 5, offset - 6);
    reader r = {.text = comma + 1, .len = len - offset};
    /* Far more text than the limit allows is not even read: base64 is 4/3 of its bytes and some line ends, %XX is 3 for 1.
     */
    if (r.len / (base64 ? 2 : 3) > (max_bytes < SIZE_MAX - SLACK ? max_bytes + SLACK : max_bytes)) {
        return exaone_fail(err, EXAONE_ERR_LIMIT,
                           "data URI: %zu characters are more than the limit of %zu bytes of data can fill", r.len,
                           max_bytes);
    }
    size_t size = 0;
    exaone_status status = base64 ? measure_base64(r, offset, &size, err) : measure_percent(r, offset, &size, err);
    if (status) {
        return status;
    }
    if (size > max_bytes) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "data URI: %zu bytes of data are more than the limit of %zu", size,
                           max_bytes);
    }
    uint8_t *out = exaone_mem_array(size < SIZE_MAX ? size + 1 : size, 1);
    if (!out) {
        return exaone_fail_memory(err, "the data of a data URI", size);
    }
    (base64 ? decode_base64 : decode_percent)(r, out);
    *bytes = out;
    *n = size;
    return EXAONE_OK;
}
