/* One tool call in a reply: where the text behind <tool_call> ends, and whether it is a call. */
#ifndef EXAONE_TEXT_REPLY_CALL_H
#define EXAONE_TEXT_REPLY_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "exaone/chat.h"

typedef struct exaone_call_list {
    exaone_tool_call *items; /* [n], names and arguments owned by the list */
    size_t n, cap;
} exaone_call_list;

void exaone_call_list_release(exaone_call_list *list); /* frees and empties */

/* Follows the text behind one <tool_call>, far enough to know what JSON strings are: no more than a superset of JSON. */
typedef struct exaone_call_scan {
    size_t begin; /* first byte behind the tag */
    size_t at;    /* next byte to look at; behind the closing tag after EXAONE_CALL_YES */
    size_t depth; /* open brackets */
    bool quoted, closed;
} exaone_call_scan;

typedef enum {
    EXAONE_CALL_OPEN, /* more text is needed */
    EXAONE_CALL_YES,  /* closed by </tool_call>, and a call: added to the list */
    EXAONE_CALL_NO    /* no text that follows can make it a call */
} exaone_call_verdict;

void exaone_call_scan_start(exaone_call_scan *scan, size_t begin);
/* text[0 .. n): the whole reply so far. On an error the verdict stays as it is. */
EXAONE_MUST_USE exaone_status exaone_call_scan_step(exaone_call_scan *scan, const char *text, size_t n,
                                                    exaone_call_list *calls, exaone_call_verdict *verdict,
                                                    exaone_error *err);
/* The text ends without a closing tag: *call = what stands there is one, and was added. */
EXAONE_MUST_USE exaone_status exaone_call_scan_end(const exaone_call_scan *scan, const char *text, size_t n,
                                                   exaone_call_list *calls, bool *call, exaone_error *err);

#endif
