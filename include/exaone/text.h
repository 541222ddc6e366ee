/* Tokenizer: text to token ids and back.
 *
 *   exaone_tokenizer *tok;
 *   exaone_tokenizer_open("tokenizer.json", &tok, &err)
 *   exaone_tokenizer_encode(tok, text, n, EXAONE_PARSE_SPECIAL, &ids, &n_ids, &err)   ... free(ids)
 *   exaone_tokenizer_decode(tok, ids, n_ids, 0, &text, &n, &err)                      ... free(text)
 *   exaone_tokenizer_free(tok)
 *
 * The tokenizer of EXAONE 4.5 (tokenizer.json of the Hugging Face folder, or the same data in a GGUF file): byte-level BPE
 * whose merges may cross spaces, NFC, one fixed pre-tokenizer pattern, and added tokens that are cut out of the raw text
 * first. docs/model.md, "Tokenizer", is the full description.
 *
 * Two kinds of text. Markup that a program writes may hold added tokens (`<|user|>`, `<think>`, `<|image_pad|>`): it is
 * encoded with EXAONE_PARSE_SPECIAL. Text that a user or a document brings is not trusted: without the flag no added token
 * is ever produced, whatever the text spells. exaone_tokenizer_encode_spans mixes both. */
#ifndef EXAONE_TEXT_H
#define EXAONE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Immutable after open: threads may share one. Owned by whoever opened it: exaone_tokenizer_free. */
typedef struct exaone_tokenizer exaone_tokenizer;

/* Limits, named in the message of EXAONE_ERR_LIMIT when exceeded. */
#define EXAONE_TOKENIZER_MAX_FILE ((size_t)64 << 20)  /* bytes of a tokenizer.json */
#define EXAONE_TOKENIZER_MAX_VOCAB (1 << 22)          /* tokens */
#define EXAONE_TOKENIZER_MAX_ADDED 65536              /* added tokens */
#define EXAONE_TOKENIZER_MAX_ADDED_BYTES 256          /* bytes of one added token */
#define EXAONE_TOKENIZER_MAX_TEXT ((size_t)256 << 20) /* bytes of a text to encode, and of the text that decoding makes */

/* Reads a tokenizer.json. What the file asks for and this tokenizer does not do (another model, normalizer, pre-tokenizer
 * pattern or decoder, byte fallback, added tokens that strip spaces) is refused by name. bos, eos and pad play no part here:
 * nothing is put around a text. Errors: EXAONE_ERR_IO, _FORMAT (broken), _UNSUPPORTED (refused), _LIMIT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_open(const char *path, exaone_tokenizer **out, exaone_error *err);

/* The same from the n bytes of a tokenizer.json in memory, which need not outlive the call. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_parse(const void *json, size_t n, exaone_tokenizer **out,
                                                                exaone_error *err);

EXAONE_API void exaone_tokenizer_free(exaone_tokenizer *tok); /* NULL is fine */

/* ---- the vocabulary ---------------------------------------------------------------------------------------------- */

/* Number of tokens; ids are 0 .. size-1 without holes. */
EXAONE_API int32_t exaone_tokenizer_vocab_size(const exaone_tokenizer *tok);

/* The id of the token that stands for exactly these n bytes (plain text, not the spelling with U+0120 for a space), or -1.
 * An added token goes before an ordinary one of the same bytes. */
EXAONE_API int32_t exaone_tokenizer_id(const exaone_tokenizer *tok, const char *bytes, size_t n);

/* The bytes that token `id` contributes to a text: not always whole characters, may hold NULs, not NUL-terminated. They
 * belong to the tokenizer. NULL and *n = 0 when there is no such id. */
EXAONE_API const uint8_t *exaone_tokenizer_bytes(const exaone_tokenizer *tok, int32_t id, size_t *n);

/* Added: recognised as a whole under EXAONE_PARSE_SPECIAL, never made by merging. Special: added, and left out by
 * EXAONE_SKIP_SPECIAL (`<|endofturn|>` is special, `<think>` and `<tool_call>` are added but not special). False for ids
 * that do not exist. A GGUF file knows no more than "control": there every added token spelled `<|…|>` counts as special. */
EXAONE_API bool exaone_tokenizer_is_added(const exaone_tokenizer *tok, int32_t id);
EXAONE_API bool exaone_tokenizer_is_special(const exaone_tokenizer *tok, int32_t id);

/* Bytes of memory that the tokenizer holds. */
EXAONE_API size_t exaone_tokenizer_memory(const exaone_tokenizer *tok);

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

enum {
    EXAONE_PARSE_SPECIAL = 1, /* encode: recognise added tokens in the text (leftmost, at one place the longest) */
    EXAONE_SKIP_SPECIAL = 2   /* decode: leave special tokens out */
};

/* Encodes n bytes of UTF-8; each maximal broken part counts as U+FFFD. flags: 0 or EXAONE_PARSE_SPECIAL.
 * *ids (free(); [*n_ids]) is never NULL on success. Time grows as n log n; memory is at most about 32 bytes per byte of the
 * longest piece (a run of letters and single spaces is one piece) plus 12 per byte of the text. Errors: EXAONE_ERR_LIMIT
 * (text too long), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_encode(const exaone_tokenizer *tok, const char *text, size_t n,
                                                                 unsigned flags, int32_t **ids, size_t *n_ids,
                                                                 exaone_error *err);

typedef struct exaone_text_span {
    const char *text; /* [n] bytes; NULL when n = 0 */
    size_t n;
    bool trusted; /* added tokens are recognised here */
} exaone_text_span;

/* Encodes the concatenation of spans, recognising an added token only where all its bytes are trusted. Everything else runs
 * across the borders as if there were none: the ids are those of exaone_tokenizer_encode on the joined text whenever no
 * added token is spelled in, or partly in, an untrusted span. Result, limits and errors as exaone_tokenizer_encode. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_encode_spans(const exaone_tokenizer *tok,
                                                                       const exaone_text_span *spans, size_t n_spans,
                                                                       int32_t **ids, size_t *n_ids, exaone_error *err);

/* One piece: an added token, or what one match of the pre-tokenizer's pattern covers. Merging never leaves a piece. */
typedef struct exaone_piece {
    size_t begin, end;      /* bytes in exaone_encoding.text */
    size_t first_id, n_ids; /* its tokens in exaone_encoding.ids */
    bool added;
} exaone_piece;

typedef struct exaone_encoding {
    int32_t *ids; /* [n_ids] */
    size_t n_ids;
    char *text; /* [n_text] the text that the tokens stand for: valid UTF-8, NFC outside added tokens; NUL-terminated */
    size_t n_text;
    exaone_piece *pieces; /* [n_pieces] in order, without gaps */
    size_t n_pieces;
} exaone_encoding;

/* exaone_tokenizer_encode that also tells the pieces. *out belongs to the caller (exaone_encoding_release); empty on
 * failure. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_encode_pieces(const exaone_tokenizer *tok, const char *text,
                                                                        size_t n, unsigned flags, exaone_encoding *out,
                                                                        exaone_error *err);
EXAONE_API void exaone_encoding_release(exaone_encoding *encoding); /* frees and empties; NULL and empty are fine */

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* The bytes of all tokens in a row, each maximal broken part of UTF-8 as U+FFFD. flags: 0 or EXAONE_SKIP_SPECIAL.
 * *text (free(); [*n] bytes and one NUL; `n` may be NULL) is valid UTF-8 and may hold NULs.
 * Errors: EXAONE_ERR_ARGUMENT (an id that is no token), _LIMIT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_tokenizer_decode(const exaone_tokenizer *tok, const int32_t *ids,
                                                                 size_t n_ids, unsigned flags, char **text, size_t *n,
                                                                 exaone_error *err);

/* Decoding token by token. What comes out is always whole characters; the pieces joined, with the flush, are what
 * exaone_tokenizer_decode gives. A character is held back only until it is complete or known to be broken. One thread at a
 * time; the tokenizer must outlive it. */
typedef struct exaone_detokenizer exaone_detokenizer;

EXAONE_API EXAONE_MUST_USE exaone_status exaone_detokenizer_new(const exaone_tokenizer *tok, unsigned flags,
                                                                exaone_detokenizer **out, exaone_error *err);
EXAONE_API void exaone_detokenizer_free(exaone_detokenizer *d); /* NULL is fine */

/* Feeds one token. *text [*n] is the new text, often empty, NUL-terminated; it belongs to `d` and is valid until the next
 * call. On an error (as exaone_tokenizer_decode) nothing was fed. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_detokenizer_put(exaone_detokenizer *d, int32_t id, const char **text,
                                                                size_t *n, exaone_error *err);

/* Ends the text: what was held back, as U+FFFD. `d` is then as new. *text as exaone_detokenizer_put. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_detokenizer_flush(exaone_detokenizer *d, const char **text, size_t *n,
                                                                  exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
