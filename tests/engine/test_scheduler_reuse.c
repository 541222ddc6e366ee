/* What the scheduler does not evaluate again: timelines of requests before, marks in them, a prompt that somebody else
 * reads, the cache on disk; always with the tokens of a session alone.
 *
 * Bound: tokens are equal, not similar (test_scheduler.c); the numbers of reused tokens are exact where nothing depends on
 * time. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/client.h"
#include "../support/scratch.h"

/* ---- in memory ---- */

static void test_reuse(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 3});
    client *c[8];
    static const struct {
        unsigned seed;
        size_t n, least, most; /* tokens reused */
    } cases[8] = {
        {1, 300, 0, 0},     {2, 300, 0, 0},                         /* two conversations */
        {1, 320, 290, 300}, {2, 320, 290, 300}, {1, 340, 310, 320}, /* their next turns, each at its own timeline */
        {3, 200, 0, 0},                                             /* a third takes the sequence that is free */
        {4, 200, 0, 0},                                             /* a fourth the one that was idle longest: 2's */
        {1, 350, 330, 340},                                         /* the first is still there */
    };
    for (int i = 0; i < 8; i++) {
        c[i] = client_new(cases[i].n, cases[i].seed, 4);
        submit(s, c[i]);
        finishes(c[i], EXAONE_FINISH_LENGTH);
        same_as_alone(c[i]);
        if (c[i]->reply.n_reused < cases[i].least || c[i]->reply.n_reused > cases[i].most) {
            fail_msg("case %d: %zu reused", i, c[i]->reply.n_reused);
        }
    }
    exaone_scheduler_free(s);
    for (int i = 0; i < 8; i++) {
        client_free(c[i]);
    }
}

/* A chat whose long reply comes back without its reasoning: the rings no longer reach back to the prompt. */
static void test_marks(void **state) {
    (void)state;
    for (int draft = 0; draft < 2; draft++) {
        exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 2, .no_draft = !draft});
        client *turns[3];
        for (int i = 0; i < 3; i++) {
            turns[i] = client_new(300 + 100 * (size_t)i, 1, 400);
            for (size_t k = 300; i == 2 && k < 500; k++) { /* shares the first prompt and not what came then */
                turns[i]->prompt[k] ^= 1;
            }
            submit(s, turns[i]);
            finishes(turns[i], EXAONE_FINISH_LENGTH);
            assert_int_equal(turns[i]->reply.n_reused, i ? 299 : 0);
            same_as_alone(turns[i]);
        }
        exaone_scheduler_free(s);
        for (int i = 0; i < 3; i++) {
            client_free(turns[i]);
        }
    }
}

/* Without room for marks everything is read again, with the same tokens. */
static void test_mark_budget(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 2, .mark_bytes = 1});
    client *turns[2];
    for (int i = 0; i < 2; i++) {
        turns[i] = client_new(300 + 100 * (size_t)i, 1, 400);
        submit(s, turns[i]);
        finishes(turns[i], EXAONE_FINISH_LENGTH);
        assert_int_equal(turns[i]->reply.n_reused, 0);
        same_as_alone(turns[i]);
    }
    exaone_scheduler_free(s);
    client_free(turns[0]);
    client_free(turns[1]);
}

/* Replies to one prompt, asked for together while the scheduler stands still: it is read once. */
static void test_same_prompt(void **state) {
    (void)state;
    for (int cancels = 0; cancels < 2; cancels++) { /* the first is cancelled while it is read: the next reads the rest */
        exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 6, .step_seconds = 1e-6});
        sem_t gate, reached;
        sem_init(&gate, 0, 0);
        sem_init(&reached, 0, 0);
        size_t n = cancels ? LONG : 500;
        client *writes = client_new(20, 1, 60), *c[4];
        writes->gate = &gate;
        writes->reached = &reached;
        submit(s, writes);
        sem_wait(&reached);
        for (unsigned i = 0; i < 4; i++) {
            c[i] = client_new(n, 2, 20);
            c[i]->sampling.do_sample = true;
            c[i]->params.stream = i;
            submit(s, c[i]);
        }
        writes->cancel_at = cancels ? 4 : 0;
        writes->cancels = &c[0]->request;
        sem_post(&gate);
        finishes(writes, cancels ? EXAONE_FINISH_CANCELLED : EXAONE_FINISH_LENGTH);
        for (int i = 0; i < 4; i++) {
            finishes(c[i], cancels && i == 0 ? EXAONE_FINISH_CANCELLED : EXAONE_FINISH_LENGTH);
            assert_true(cancels ? c[i]->n == (i ? 20 : 0) : c[i]->reply.n_reused == (i ? n - 1 : 0));
            same_as_alone(c[i]);
        }
        assert_memory_not_equal(c[2]->ids, c[3]->ids, 20 * sizeof c[2]->ids[0]);
        exaone_scheduler_stats stats;
        exaone_scheduler_get_stats(s, &stats);
        assert_int_equal(stats.prompt_rows, 20 + n + (cancels ? 2 : 3)); /* the last token of each again */
        exaone_scheduler_free(s);
        for (int i = 0; i < 4; i++) {
            client_free(c[i]);
        }
        client_free(writes);
        sem_destroy(&gate);
        sem_destroy(&reached);
    }
}

/* ---- the cache on disk ---- */

static exaone_cache *open_cache(void) {
    exaone_cache *cache;
    exaone_error err = {0};
    assert_int_equal(exaone_cache_open(scratch_path("cache"), NULL, &cache, &err), EXAONE_OK);
    return cache;
}

/* A turn with a scheduler of its own; the tokens that it did not evaluate. */
static size_t restarted(client *c, bool drafts) {
    exaone_cache *cache = open_cache();
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 2, .no_draft = !drafts, .cache = cache});
    exaone_cache_stats stats;
    submit(s, c);
    finishes(c, EXAONE_FINISH_LENGTH);
    size_t reused = c->reply.n_reused;
    same_as_alone(c);
    exaone_scheduler_free(s);
    exaone_cache_get_stats(cache, &stats);
    assert_int_equal(stats.tokens_loaded, reused);
    assert_int_equal(stats.faults, 0);
    exaone_cache_close(cache);
    return reused;
}

/* A chat whose scheduler and engine are new for each turn goes on at the last block of the turn before. */
static void test_cache(void **state) {
    (void)state;
    for (int drafts = 0; drafts < 2; drafts++) {
        exaone_error err = {0};
        client *c[3];
        assert_int_equal(exaone_cache_clear(scratch_path("cache"), NULL, &err), EXAONE_OK);
        for (int i = 0; i < 3; i++) {
            c[i] = client_new(i == 2 ? 1000 : 777, 1, 100);
            if (i == 2) {
                memcpy(c[i]->prompt + 777, c[0]->ids, 100 * sizeof c[0]->ids[0]);
            }
            size_t blocks = restarted(c[i], drafts);
            assert_int_equal(blocks, i == 0 ? 0 : i == 1 ? 12 * 64 - 1 : 876 / 64 * 64 - 1);
            exaone_engine_close(engine);
            open_engine();
        }
        exaone_session *session; /* what a scheduler saved serves sessions */
        exaone_session_options o = {.draft = drafts};
        exaone_cache *cache = open_cache();
        assert_int_equal(exaone_session_open(engine, &o, &session, &err), EXAONE_OK);
        assert_int_equal(exaone_session_set_cache(session, cache, &err), EXAONE_OK);
        assert_int_equal(exaone_session_sync(session, &c[2]->params.prompt, NULL, NULL, &err), EXAONE_OK);
        assert_int_equal(exaone_session_reused(session), 15 * 64 - 1);
        exaone_session_free(session);
        exaone_cache_close(cache);
        for (int i = 0; i < 3; i++) {
            client_free(c[i]);
        }
    }
}

/* Many requests on a cache, some cancelled, then all of them again by another scheduler. */
static void test_cache_of_many(void **state) {
    (void)state;
    exaone_error err = {0};
    assert_int_equal(exaone_cache_clear(scratch_path("cache"), NULL, &err), EXAONE_OK);
    for (int run = 0; run < 2; run++) {
        exaone_cache *cache = open_cache();
        exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 3, .cache = cache});
        client *c[8];
        int met = 0;
        for (unsigned i = 0; i < 8; i++) {
            c[i] = client_new(150 + 60 * i, i % 4, 10);
            c[i]->cancel_at = run == 0 && i % 3 == 1 ? 4 : 0;
            submit(s, c[i]);
        }
        for (int i = 0; i < 8; i++) {
            finishes(c[i], c[i]->cancel_at ? EXAONE_FINISH_CANCELLED : EXAONE_FINISH_LENGTH);
            same_as_alone(c[i]);
            size_t whole = (150 + 60 * (size_t)i) / 64 * 64 - 1;
            met += c[i]->reply.n_reused >= whole;
        }
        assert_true(run ? met > 0 : met < 8); /* a busy machine may leave out some */
        exaone_scheduler_free(s);
        exaone_cache_close(cache);
        for (int i = 0; i < 8; i++) {
            client_free(c[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse),       cmocka_unit_test(test_marks), cmocka_unit_test(test_mark_budget),
        cmocka_unit_test(test_same_prompt), cmocka_unit_test(test_cache), cmocka_unit_test(test_cache_of_many),
    };
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
