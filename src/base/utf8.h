/* UTF-8: decoding, encoding, checking. Overlong forms, surrogates and values above U+10FFFF are invalid. */
#ifndef EXAONE_BASE_UTF8_H
#define EXAONE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one code point from bytes[0 .. n). Returns its length 1..4, or 0 when n = 0 or the bytes are invalid or cut. */
size_t exaone_utf8_decode(const uint8_t *bytes, size_t n, uint32_t *code);

/* Writes 1..4 bytes; `code` must be a scalar value (checked: 0 is returned otherwise). */
size_t exaone_utf8_encode(uint32_t code, uint8_t out[4]);

/* Offset of the first invalid byte, or n when all is valid. */
size_t exaone_utf8_valid_prefix(const uint8_t *bytes, size_t n);

/* Length of the maximal broken part at bytes[0] (the bytes that one U+FFFD replaces: Unicode 3.9, "maximal subpart"), at
 * least 1. *cut = true when the part is a correct beginning that more bytes could complete. n > 0. */
size_t exaone_utf8_broken(const uint8_t *bytes, size_t n, bool *cut);

#endif
