/* Stop texts. What is held back is never longer than the longest stop text. */
#include "stop.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"

enum { MAX_STOP = 4096 };

struct cli_stopper {
    const char *const *stops;
    size_t n, longest;
    exaone_buf text; /* [shown] were given out by the last feed, the rest is held */
    size_t shown;
    bool hit;
};

exaone_status cli_stopper_new(const char *const *stops, size_t n, cli_stopper **out, exaone_error *err) {
    *out = NULL;
    cli_stopper *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "stop texts", sizeof *s);
    }
    *s = (cli_stopper){.stops = stops, .n = n};
    exaone_buf_init(&s->text, (size_t)1 << 30);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(stops[i]);
        if (len == 0 || len > MAX_STOP) {
            cli_stopper_free(s);
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "stop text %zu has %zu bytes; 1 to %d are possible", i + 1, len,
                               MAX_STOP);
        }
        s->longest = len > s->longest ? len : s->longest;
    }
    *out = s;
    return EXAONE_OK;
}

void cli_stopper_free(cli_stopper *s) {
    if (s) {
        exaone_buf_release(&s->text);
        free(s);
    }
}

/* Where the first stop text begins, or the length; of two at one place either will do. */
static size_t first_stop(const cli_stopper *s) {
    size_t first = s->text.len;
    for (size_t i = 0; i < s->n && s->text.len; i++) {
        const char *at = memmem(s->text.data, s->text.len, s->stops[i], strlen(s->stops[i]));
        if (at && (size_t)(at - s->text.data) < first) {
            first = (size_t)(at - s->text.data);
        }
    }
    return first;
}

/* Where the longest end that begins some stop text starts. */
static size_t first_possible(const cli_stopper *s) {
    size_t len = s->text.len, from = len >= s->longest ? len + 1 - s->longest : 0;
    for (size_t at = from; at < len; at++) {
        for (size_t i = 0; i < s->n; i++) {
            if (strlen(s->stops[i]) > len - at && memcmp(s->text.data + at, s->stops[i], len - at) == 0) {
                return at;
            }
        }
    }
    return len;
}

exaone_status cli_stopper_feed(cli_stopper *s, const char *text, size_t n, const char **out, size_t *n_out,
                               exaone_error *err) {
    if (s->n == 0 || s->hit) {
        *out = text;
        *n_out = s->hit ? 0 : n;
        return EXAONE_OK;
    }
    if (s->shown) { /* drop what went out last time */
        memmove(s->text.data, s->text.data + s->shown, s->text.len - s->shown);
        s->text.len -= s->shown;
        s->shown = 0;
    }
    if (!exaone_buf_append(&s->text, text, n)) {
        return exaone_fail_memory(err, "stop texts", s->text.len + n);
    }
    size_t end = first_stop(s);
    s->hit = end < s->text.len;
    s->shown = s->hit ? end : first_possible(s);
    *out = s->text.data;
    *n_out = s->shown;
    return EXAONE_OK;
}

bool cli_stopper_hit(const cli_stopper *s) {
    return s->hit;
}

const char *cli_stopper_rest(const cli_stopper *s, size_t *n) {
    *n = s->hit ? 0 : s->text.len - s->shown;
    return s->text.data + (*n ? s->shown : 0);
}
