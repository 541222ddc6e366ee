/* JSON (RFC 8259): a reader that keeps what other readers lose, and the pieces of a writer.
 *
 * Why not a library: the chat template must print what came in (integers of any size, the spelling of numbers, key order,
 * U+0000 in strings), a tokenizer.json of 153,600 entries must load in milliseconds, and hostile input needs a memory and a
 * depth limit. jansson, the obvious choice, does none of the first three.
 *
 * A document is a tree of nodes in one arena. Strings without escapes and all numbers point into the text that was parsed,
 * which must outlive the document. Strict: no comments, no trailing commas, no NaN, no half surrogate pairs, valid UTF-8
 * only. */
#ifndef EXAONE_BASE_JSON_H
#define EXAONE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

typedef enum {
    EXAONE_JSON_NULL,
    EXAONE_JSON_FALSE,
    EXAONE_JSON_TRUE,
    EXAONE_JSON_NUMBER,
    EXAONE_JSON_STRING,
    EXAONE_JSON_ARRAY,
    EXAONE_JSON_OBJECT
} exaone_json_type;

typedef struct exaone_json exaone_json;
struct exaone_json {
    exaone_json_type type;
    uint32_t key_len;
    size_t len;         /* string: bytes (may hold NULs); number: characters of its spelling; array, object: members */
    const char *text;   /* string, number */
    const char *key;    /* member of an object: its name (key_len bytes, not NUL-terminated); else NULL */
    exaone_json *first; /* array, object: first member */
    exaone_json *next;  /* the member behind this one */
};

/* `text` must stay until the arena is released. The document's nodes are taken from `arena` (its ceiling is the memory
 * limit). Nesting deeper than 128 is an error. Messages name line and column. */
EXAONE_MUST_USE exaone_status exaone_json_parse(const char *text, size_t n, exaone_arena *arena, exaone_json **out,
                                                exaone_error *err);

/* Member `key` of an object; with double keys the last one, as Python does. NULL when absent or when `object` is NULL or no
 * object. Linear: for objects of a few dozen keys; walk large ones by first/next. */
const exaone_json *exaone_json_get(const exaone_json *object, const char *key);

bool exaone_json_is(const exaone_json *j, exaone_json_type type); /* false for NULL */
bool exaone_json_equals(const exaone_json *j, const char *text);  /* a string with exactly these bytes */
bool exaone_json_is_integer(const exaone_json *j);                /* a number spelled without '.', 'e', 'E' */

/* Value of a number. Integers: false when it is no integer spelling (1.0 counts: it has an integer value) or out of range.
 */
bool exaone_json_int(const exaone_json *j, int64_t *out);
bool exaone_json_double(const exaone_json *j, double *out); /* nearest double; false when it overflows */

/* Appends a string with quotes, escaping only '"', '\' and bytes below 0x20 (\b \f \n \r \t or \u00xx), as Python's
 * json.dumps(ensure_ascii=False). Each broken part of UTF-8 is written as U+FFFD. */
void exaone_json_put_string(exaone_buf *out, const char *bytes, size_t n);
/* Appends the shortest decimal that reads back as x, spelled as Python's repr (1.0, 1e-05, 1e+16); NaN and infinities: null.
 */
void exaone_json_put_double(exaone_buf *out, double x);
/* Appends a whole value with ", " and ": " between members: numbers respelled as Python would after reading them, except
 * that those beyond the doubles keep their spelling; of double keys the last value at the first one's place. Out of memory
 * sets out->failed. */
void exaone_json_put(exaone_buf *out, const exaone_json *j);
/* The same with Infinity for numbers beyond the doubles: what Python prints, which is not JSON. */
void exaone_json_put_python(exaone_buf *out, const exaone_json *j);

/* values[i] = what Python has at the place of member i: of double keys the last one's node at the first one's place and NULL
 * at the others. values: room for object->len. False: out of memory. */
EXAONE_MUST_USE bool exaone_json_members(const exaone_json *object, const exaone_json **values);

enum { EXAONE_JSON_SHOWN = 64 };
/* A value as messages show it: numbers as spelled, strings in quotes (long ones cut), "an array", "an object", …; returns
 * room. */
const char *exaone_json_shown(const exaone_json *j, char room[EXAONE_JSON_SHOWN]);

#endif
