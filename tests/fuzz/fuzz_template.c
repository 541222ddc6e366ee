/* Conversations: any bytes give a text whose spans cover it, or an error with a message. */
#include <stdint.h>
#include <stdlib.h>

#include "exaone/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (int strict = 0; strict < 2; strict++) {
        exaone_template_options options = {.strict_reference = strict};
        exaone_rendered r;
        exaone_error err = {0};
        if (exaone_template_render((const char *)data, size, &options, &r, &err) != EXAONE_OK) {
            if (!err.message[0] || r.text) {
                abort();
            }
            continue;
        }
        size_t n = 0;
        for (size_t i = 0; i < r.n_spans; i++) {
            if (r.spans[i].text != r.text + n) {
                abort();
            }
            n += r.spans[i].n;
        }
        if (n != r.n || r.text[n] != 0) {
            abort();
        }
        exaone_rendered_release(&r);
    }
    return 0;
}
