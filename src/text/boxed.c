/* \boxed{}: asking for it and finding it. */
#include <string.h>

#include "exaone/chat.h"

static const char mark[] = "\\boxed{";

const char *exaone_boxed_request(void) {
    return "Reason step by step and give the final answer inside \\boxed{}.";
}

/* +1 for an opening brace at i, -1 for a closing one; 0 for other bytes and for \{ and \}. */
static int brace_at(const char *text, size_t i) {
    if (text[i] != '{' && text[i] != '}') {
        return 0;
    }
    size_t k = i;
    while (k > 0 && text[k - 1] == '\\') {
        k--;
    }
    return (i - k) % 2 ? 0 : text[i] == '{' ? 1 : -1;
}

/* Behind the place that closes the brace at `open`: there is one. */
static size_t closing(const char *text, size_t open) {
    ptrdiff_t depth = 1;
    size_t i = open;
    while (depth > 0) {
        depth += brace_at(text, ++i);
    }
    return i;
}

/* From the end: `depth` is the number of braces open at i less those open at the end. A brace is closed when the depth on
 * its right comes down to what it is on its left, so the lowest depth seen tells it without looking to the right again. */
bool exaone_boxed_last(const char *text, size_t n, size_t *begin, size_t *end) {
    const size_t length = sizeof mark - 1;
    ptrdiff_t depth = 0, lowest = 0;
    for (size_t i = n; i-- > 0;) {
        depth -= brace_at(text, i);
        if (text[i] == '{' && i + 1 >= length && memcmp(text + i + 1 - length, mark, length) == 0 && lowest <= depth) {
            *begin = i + 1;
            *end = closing(text, i);
            return true;
        }
        lowest = depth < lowest ? depth : lowest;
    }
    return false;
}
