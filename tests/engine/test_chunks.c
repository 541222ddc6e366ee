/* A prompt in chunks gives the logits of the prompt in one piece, to the last bit, with a sliding window of 200: past many
 * pages of 64 tokens, and no multiple of one. In one piece nothing is ever written over; in chunks the rings go round
 * several times. (Windows below a page: tests/model/test_kv_cache.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model_variant.h"
#include "../support/sanitized.h"
#include "exaone/engine.h"

enum { WINDOW = 200, PROMPT = UNLESS_SANITIZED(1111, 555), AFTER = 70, MOST_VOCAB = 1536 };

static int32_t ids[PROMPT + AFTER];

static exaone_engine *open_model(const char *path) {
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
    exaone_engine *e;
    if (exaone_engine_open(path, &o, &e, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return e;
}

typedef struct {
    float prompt[MOST_VOCAB], after[MOST_VOCAB], back[MOST_VOCAB];
} answer;

/* Logits behind the prompt, behind AFTER tokens that come one by one, and behind the prompt again but for its last token. */
static void run(exaone_engine *e, size_t batch, exaone_cache_type type, answer *out) {
    exaone_error err = {0};
    exaone_session_options o = {
        .n_ctx = PROMPT + AFTER, .batch = batch, .cache_type_k = type, .cache_type_v = type, .draft = batch % 2};
    exaone_prompt p = {.ids = ids, .n_ids = PROMPT};
    exaone_session *s;
    memset(out, 0, sizeof *out);
    size_t bytes = (size_t)exaone_engine_info(e)->vocab_size * sizeof(float);
    assert_true(bytes <= sizeof out->prompt);
    assert_int_equal(exaone_session_open(e, &o, &s, &err), EXAONE_OK);
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_OK);
    memcpy(out->prompt, exaone_session_logits(s), bytes);
    for (int i = 0; i < AFTER; i++) {
        assert_int_equal(exaone_session_append(s, ids[PROMPT + i], &err), EXAONE_OK);
    }
    memcpy(out->after, exaone_session_logits(s), bytes);
    p.n_ids = PROMPT - 1;
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_OK);
    memcpy(out->back, exaone_session_logits(s), bytes);
    exaone_session_free(s);
}

static void same(exaone_engine *e, size_t batch, exaone_cache_type type, const answer *whole) {
    answer a;
    run(e, batch, type, &a);
    if (memcmp(a.prompt, whole->prompt, sizeof a.prompt) != 0 || memcmp(a.after, whole->after, sizeof a.after) != 0 ||
        memcmp(a.back, whole->back, sizeof a.back) != 0) {
        fail_msg("chunks of %zu, cache type %s: other logits", batch, exaone_cache_type_name(type));
    }
}

static void check_model(const char *path, const answer *other) {
    static const size_t sizes[] = {1, 3, WINDOW - 1, WINDOW, WINDOW + 1, 64, 100, 256};
    exaone_engine *e = open_model(path);
    answer whole;
    run(e, PROMPT, EXAONE_CACHE_F16, &whole);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        same(e, sizes[i], EXAONE_CACHE_F16, &whole);
    }
    assert_memory_not_equal(whole.prompt, other->prompt, sizeof whole.prompt); /* the window is what was asked for */
    run(e, PROMPT, EXAONE_CACHE_Q8_0, &whole);
    same(e, 64, EXAONE_CACHE_Q8_0, &whole);
    same(e, WINDOW + 1, EXAONE_CACHE_Q8_0, &whole);
    exaone_engine_close(e);
}

static void test_window_200(void **state) {
    (void)state;
    for (size_t i = 0; i < PROMPT + AFTER; i++) {
        ids[i] = (int32_t)((i * 37 + i * i % 13 + i / 64 * 3) % 500);
        ids[i] += ids[i] == 67 || ids[i] == 68 ? 5 : 0;
    }
    answer other;
    exaone_engine *e = open_model(model_variant("models/tiny", "other", "sliding_window", WINDOW + 1));
    run(e, PROMPT, EXAONE_CACHE_F16, &other);
    exaone_engine_close(e);
    check_model(model_variant("models/tiny", "window", "sliding_window", WINDOW), &other);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_window_200)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
