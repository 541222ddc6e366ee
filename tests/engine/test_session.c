/* Sessions: reusing a prefix gives the logits of a cold evaluation, whatever was edited; limits are errors, not crashes.
 *
 * Bound: the same rows are computed in other groups; every kernel gives a row the same bits in any group, so the logits must
 * be equal to the last bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exaone/engine.h"

static exaone_engine *engine;

static int open_micro(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true};
    assert_int_equal(exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &engine, &err), EXAONE_OK);
    return 0;
}

static int close_micro(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

static exaone_session *new_session(void) {
    exaone_session *s;
    exaone_error err = {0};
    assert_int_equal(exaone_session_new(engine, 0, &s, &err), EXAONE_OK);
    return s;
}

static void sync_prompt(exaone_session *s, const exaone_prompt *p) {
    exaone_error err = {0};
    if (exaone_session_sync(s, p, NULL, NULL, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

static void same_as_cold(exaone_session *s, const exaone_prompt *p) {
    exaone_session *cold = new_session();
    sync_prompt(cold, p);
    assert_int_equal(exaone_session_length(s), p->n_ids);
    assert_memory_equal(exaone_session_logits(s), exaone_session_logits(cold), 512 * sizeof(float));
    exaone_session_free(cold);
}

static void fill(int32_t *ids, size_t n, int32_t seed) {
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((i * 37 + (size_t)seed * 11 + i * i % 13) % 500);
        ids[i] += ids[i] == 67 || ids[i] == 68 ? 5 : 0;
    }
}

static void test_prefix_reuse(void **state) {
    (void)state;
    int32_t ids[700];
    fill(ids, 700, 1);
    exaone_session *s = new_session();
    static const size_t lengths[] = {1, 5, 30, 31, 30, 29, 200, 199, 700, 690, 12};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { /* growing, shrinking, equal prompts */
        exaone_prompt p = {.ids = ids, .n_ids = lengths[i]};
        sync_prompt(s, &p);
        same_as_cold(s, &p);
    }
    exaone_prompt p = {.ids = ids, .n_ids = 100};
    sync_prompt(s, &p);
    static const size_t edits[] = {99, 50, 98, 3, 0};
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) { /* an edit in the middle */
        ids[edits[i]] += 1;
        sync_prompt(s, &p);
        assert_true(exaone_session_reused(s) <= edits[i]);
        same_as_cold(s, &p);
    }
    exaone_session_free(s);
}

static void test_append(void **state) {
    (void)state;
    int32_t ids[80];
    exaone_error err = {0};
    fill(ids, 80, 2);
    exaone_session *s = new_session();
    exaone_prompt p = {.ids = ids, .n_ids = 20};
    assert_null(exaone_session_logits(s));
    assert_int_equal(exaone_session_append(s, 3, &err), EXAONE_ERR_ARGUMENT);
    sync_prompt(s, &p);
    for (size_t n = 21; n <= 80; n++) {
        assert_int_equal(exaone_session_append(s, ids[n - 1], &err), EXAONE_OK);
        p.n_ids = n;
        if (n % 9 == 0) {
            same_as_cold(s, &p);
        }
    }
    p.n_ids = 80;
    sync_prompt(s, &p);
    assert_int_equal(exaone_session_reused(s), 79);
    same_as_cold(s, &p);
    exaone_session_free(s);
}

static exaone_pixels picture(uint32_t t, uint32_t h, uint32_t w, float seed) {
    exaone_pixels px = {.rows = (size_t)t * h * w, .cols = 1176, .grid = {t, h, w}};
    px.values = malloc(px.rows * px.cols * sizeof *px.values);
    for (size_t i = 0; i < px.rows * px.cols; i++) {
        px.values[i] = sinf((float)i * 0.37f + seed);
    }
    return px;
}

static void test_media(void **state) {
    (void)state;
    exaone_pixels a = picture(1, 4, 4, 1), b = picture(1, 4, 4, 2);
    int32_t ids[40];
    fill(ids, 40, 3);
    for (int i = 0; i < 4; i++) {
        ids[5 + i] = 67;
    }
    exaone_session *s = new_session();
    exaone_prompt_media one = {&a, false}, other = {&b, false};
    exaone_prompt p = {.ids = ids, .n_ids = 40, .media = &one, .n_media = 1};
    sync_prompt(s, &p);
    same_as_cold(s, &p);
    ids[20] += 1;
    sync_prompt(s, &p);
    assert_int_equal(exaone_session_reused(s), 20);
    same_as_cold(s, &p);
    p.media = &other; /* same ids, other picture: nothing behind its place may be kept */
    sync_prompt(s, &p);
    assert_int_equal(exaone_session_reused(s), 5);
    same_as_cold(s, &p);
    exaone_session *cold = new_session();
    p.media = &one;
    sync_prompt(cold, &p);
    assert_memory_not_equal(exaone_session_logits(s), exaone_session_logits(cold), 512 * sizeof(float));
    exaone_session_free(cold);
    exaone_session_free(s);
    free(a.values);
    free(b.values);
}

static void test_limits(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_session *s;
    int32_t ids[101];
    fill(ids, 101, 4);
    assert_int_equal(exaone_session_new(engine, 1025, &s, &err), EXAONE_ERR_LIMIT); /* max_position_embeddings is 1024 */
    assert_int_equal(exaone_session_new(engine, 100, &s, &err), EXAONE_OK);
    exaone_prompt p = {.ids = ids, .n_ids = 101};
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "101"));
    assert_non_null(strstr(err.message, "100"));
    p.n_ids = 100;
    sync_prompt(s, &p);
    assert_int_equal(exaone_session_append(s, 1, &err), EXAONE_ERR_LIMIT);
    p.n_ids = 0;
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_ERR_ARGUMENT);
    p.n_ids = 10;
    ids[3] = 512;
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_ERR_ARGUMENT);
    ids[3] = -1;
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_ERR_ARGUMENT);
    exaone_session_free(s);
}

static bool stop_at_once(void *ctx, const exaone_progress *p) {
    (void)ctx;
    return p->done < 256;
}

/* What was reported, and where to stop. */
typedef struct {
    size_t blocks[2], total[2], tokens, calls, stop_in_block; /* per medium: most blocks done, of how many */
} reports;

static bool take_report(void *ctx, const exaone_progress *p) {
    reports *r = ctx;
    r->calls++;
    assert_true(p->done <= p->total);
    if (!p->encodes) {
        r->tokens = p->done;
        return true;
    }
    assert_true(p->medium < 2 && p->done >= r->blocks[p->medium]);
    r->blocks[p->medium] = p->done;
    r->total[p->medium] = p->total;
    return !r->stop_in_block || p->done < r->stop_in_block;
}

static void test_vision_progress(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_pixels a = picture(1, 4, 4, 11), b = picture(2, 4, 4, 12), c = picture(1, 4, 4, 13); /* none was seen before */
    exaone_prompt_media media[] = {{&a, false}, {&b, true}};
    int32_t ids[40];
    fill(ids, 40, 3);
    for (int i = 0; i < 4; i++) {
        ids[5 + i] = 67;
    }
    for (int i = 0; i < 8; i++) {
        ids[12 + i] = 68;
    }
    exaone_prompt p = {.ids = ids, .n_ids = 40, .media = media, .n_media = 2};
    exaone_session *s = new_session();
    reports r = {0};
    assert_int_equal(exaone_session_sync(s, &p, take_report, &r, &err), EXAONE_OK);
    for (int i = 0; i < 2; i++) {
        assert_true(r.total[i] > 1);
        assert_int_equal(r.blocks[i], r.total[i]);
    }
    assert_int_equal(r.tokens, 40);
    assert_true(r.calls > 2 * (r.total[0] + r.total[1])); /* several times per block */
    same_as_cold(s, &p);
    exaone_session_free(s);

    s = new_session();
    reports again = {0};
    assert_int_equal(exaone_session_sync(s, &p, take_report, &again, &err), EXAONE_OK);
    assert_int_equal(again.total[0] + again.total[1], 0); /* pictures met again are not encoded again */
    exaone_session_free(s);

    s = new_session();
    media[0].pixels = &c;
    reports stopping = {.stop_in_block = 1};
    assert_int_equal(exaone_session_sync(s, &p, take_report, &stopping, &err), EXAONE_ERR_CANCELLED);
    assert_non_null(strstr(err.message, "vision tower"));
    assert_int_equal(stopping.blocks[0], 1);
    sync_prompt(s, &p);
    same_as_cold(s, &p);
    exaone_session_free(s);
    free(a.values);
    free(b.values);
    free(c.values);
}

static void test_cancel(void **state) {
    (void)state;
    exaone_error err = {0};
    int32_t ids[600];
    fill(ids, 600, 5);
    exaone_session *s = new_session();
    exaone_prompt p = {.ids = ids, .n_ids = 600};
    assert_int_equal(exaone_session_sync(s, &p, stop_at_once, NULL, &err), EXAONE_ERR_CANCELLED);
    sync_prompt(s, &p);
    same_as_cold(s, &p);
    exaone_session_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prefix_reuse), cmocka_unit_test(test_append),
                                       cmocka_unit_test(test_media),        cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_cancel),       cmocka_unit_test(test_vision_progress)};
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
