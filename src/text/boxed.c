/* \boxed{}: asking for it and finding it. */
#include <string.h>

#include "exaone/chat.h"

const char *exaone_boxed_request(void) {
    return "Reason step by step and give the final answer inside \\boxed{}.";
}

bool exaone_boxed_last(const char *text, size_t n, size_t *begin, size_t *end) {
    static const char mark[] = "\\boxed{";
    bool found = false;
    for (size_t i = 0; i + sizeof mark - 1 <= n; i++) {
        if (memcmp(text + i, mark, sizeof mark - 1) != 0) {
            continue;
        }
        size_t start = i + sizeof mark - 1, depth = 1, k = start;
        for (; k < n && depth > 0; k++) {
            if (text[k] == '\\' && k + 1 < n) {
                k++;
            } else if (text[k] == '{') {
                depth++;
            } else if (text[k] == '}') {
                depth--;
            }
        }
        if (depth > 0) {
            break; /* this one never closes; those inside it are not answers */
        }
        found = true;
        *begin = start;
        *end = k - 1;
        i = k - 1;
    }
    return found;
}
