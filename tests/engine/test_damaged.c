/* A NaN among the weights of a file reaches the logits wherever it stands: nobody is answered from a damaged file. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/scratch.h"
#include "exaone/engine.h"
#include "weights/gguf.h"

#define FILE_NAME "tests/golden/edges/weights/tiny-mixed.gguf"

enum { FIRST_ID = 300 };

/* Logits after three tokens: how many are no numbers. */
static size_t count_nan(const char *path, exaone_precision precision, const char *level) {
    exaone_engine *e = NULL;
    exaone_session *s = NULL;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true, .precision = precision, .cpu_level = level};
    const int32_t ids[3] = {FIRST_ID, 301, 302};
    if (exaone_engine_open(path, &o, &e, &err) || exaone_session_new(e, 64, &s, &err) ||
        exaone_session_sync(s, &(exaone_prompt){.ids = ids, .n_ids = 3}, NULL, NULL, &err)) {
        fail_msg("%s", err.message);
    }
    const float *logits = exaone_session_logits(s);
    size_t n = 0;
    for (int i = 0; i < exaone_engine_info(e)->vocab_size; i++) {
        n += isnan(logits[i]) != 0;
    }
    exaone_session_free(s);
    exaone_engine_close(e);
    return n;
}

static void nan_in_every_matrix(void **state) {
    (void)state;
    static const char *const names[] = {"token_embd",        "output",       "blk.0.attn_q",  "blk.0.attn_k", "blk.0.attn_v",
                                        "blk.0.attn_output", "blk.0.ffn_up", "blk.0.ffn_down"};
    static const char *const levels[] = {"scalar", NULL};
    size_t size;
    uint8_t *bytes = (uint8_t *)fixture_read(FILE_NAME, &size);
    exaone_gguf *g;
    exaone_error err;
    assert_int_equal(exaone_gguf_parse(bytes, size, "the file", &g, &err), EXAONE_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.weight", names[i]);
        const exaone_gguf_tensor *t = exaone_gguf_find_tensor(g, name);
        assert_non_null(t);
        size_t row;
        assert_true(exaone_dtype_row_bytes(t->dtype, t->ne[0], &row));
        /* every type here begins with an f16 scale, or is F16 or BF16: 0x7fff is NaN in both */
        uint8_t *at = bytes + (t->data - bytes) + (i == 0 ? FIRST_ID * row : 0), before[2] = {at[0], at[1]};
        at[0] = 0xff;
        at[1] = 0x7f;
        const char *path = scratch_write("damaged.gguf", bytes, size);
        for (size_t level = 0; level < 2; level++) {
            for (int precision = 0; precision < 2; precision++) {
                if (count_nan(path, (exaone_precision)precision, levels[level]) == 0) {
                    fail_msg("%s: lost at level %s, precision %d", name, levels[level] ? levels[level] : "best", precision);
                }
            }
        }
        memcpy(at, before, 2);
    }
    assert_int_equal(count_nan(scratch_write("whole.gguf", bytes, size), EXAONE_PRECISION_AUTO, NULL), 0);
    exaone_gguf_close(g);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nan_in_every_matrix)};
    return cmocka_run_group_tests_name("engine/test_damaged", tests, NULL, NULL);
}
