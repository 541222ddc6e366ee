/* Character classes (Unicode 16.0) and NFC (Unicode 9.0), as the reference's tokenizer has them.
 *
 * The classes come from generated tables and not from a Unicode library because the reference's are of one fixed version; a
 * library's change with the system, and ids with them. */
#ifndef EXAONE_TEXT_UNICODE_H
#define EXAONE_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef enum {
    EXAONE_CLASS_OTHER, /* punctuation, symbols, controls, unassigned */
    EXAONE_CLASS_LETTER,
    EXAONE_CLASS_NUMBER,
    EXAONE_CLASS_MARK,
    EXAONE_CLASS_SPACE /* White_Space, 25 code points; no U+180E */
} exaone_class;

/* The class of a code point; OTHER for anything above U+10FFFF. */
exaone_class exaone_unicode_class(uint32_t code);

/* Length of a beginning of the text that NFC leaves alone, whatever follows it: n when all of the text is in NFC. Otherwise
 * the offset of a place where NFC may start afresh. `text` is valid UTF-8. Linear. */
size_t exaone_nfc_prefix(const uint8_t *text, size_t n);

/* Appends the NFC of valid UTF-8 to `out`, at most three times as long. false when memory or out's maximum does not suffice.
 * n log n in the length of the longest run of marks. */
bool exaone_nfc(const uint8_t *text, size_t n, exaone_buf *out);

#endif
