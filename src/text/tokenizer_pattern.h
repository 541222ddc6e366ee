/* The pre-tokenizer: where one piece of a text ends. */
#ifndef EXAONE_TEXT_TOKENIZER_PATTERN_H
#define EXAONE_TEXT_TOKENIZER_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/* The pattern as tokenizer.json spells it: the only one that exaone_pattern_piece implements. */
extern const char exaone_pattern_text[];

/* Length of the piece that begins at text[0]: 1 .. n bytes. `text` is valid UTF-8 up to the end of the stretch (the pattern
 * looks at what follows white space); n > 0. Every place begins a piece: the alternatives cover all characters. Over all
 * pieces of a text the time is linear. */
size_t exaone_pattern_piece(const uint8_t *text, size_t n);

#endif
