/* The scheduler: every request gets the tokens that it gets alone, whoever else is there; queue, priorities, cancelling and
 * errors concern only whom they concern; nothing depends on time.
 *
 * Bound: a row's numbers do not depend on its batch, so tokens are equal, not similar. The reference is a session, which
 * evaluates one request by itself. Where a test needs the scheduler to stand still, a callback waits at a gate. */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/client.h"

enum { IMAGE = 67 };

/* ---- the same tokens ---- */

static void interleaved(exaone_scheduler_options o) {
    static int32_t expected[16][64];
    static const size_t lengths[16] = {1, 2, 5, 17, 63, 64, 65, 100, 129, 200, 300, 30, 31, 400, 3, 257};
    exaone_scheduler *s = scheduler(o);
    client *c[16];
    for (unsigned i = 0; i < 16; i++) {
        c[i] = client_new(lengths[i], i % 5, 12 + 3 * i); /* some share a beginning */
        c[i]->sampling.do_sample = i % 3 != 0;
        c[i]->sampling.seed = i;
        c[i]->sampling.top_p = i % 2 ? 0.9 : 1;
        c[i]->sampling.presence_penalty = i % 4 ? 0 : 1.5;
        c[i]->params.stream = i % 2;
        submit(s, c[i]);
    }
    for (int i = 0; i < 16; i++) {
        finishes(c[i], EXAONE_FINISH_LENGTH);
        assert_int_equal(c[i]->n, 12 + 3 * i);
        if (expected[i][0] == 0) {
            alone(c[i], expected[i], c[i]->n);
        }
        assert_memory_equal(c[i]->ids, expected[i], c[i]->n * sizeof expected[i][0]);
    }
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.finished, 16);
    assert_int_equal(stats.tokens, 16 * 12 + 3 * 120);
    assert_true(stats.accepted <= stats.drafted);
    assert_true(o.no_draft ? stats.drafted == 0 : o.draft == 0 || stats.drafted > 0);
    exaone_scheduler_free(s);
    for (int i = 0; i < 16; i++) {
        client_free(c[i]);
    }
}

static void test_interleaved(void **state) {
    (void)state;
    interleaved((exaone_scheduler_options){.no_draft = true});
    interleaved((exaone_scheduler_options){.max_sequences = 5, .batch_rows = 16, .no_draft = true});
    interleaved((exaone_scheduler_options){.max_sequences = 3, .batch_rows = 3, .no_draft = true});
}

static void test_drafts(void **state) {
    (void)state;
    interleaved((exaone_scheduler_options){0});
    interleaved((exaone_scheduler_options){.draft = 2});
    interleaved((exaone_scheduler_options){.max_sequences = 4, .draft = 8, .batch_rows = 40});
}

/* Drafts that stand: the tiny model's often do. */
static void test_drafts_that_stand(void **state) {
    (void)state;
    exaone_engine *micro = engine;
    exaone_error err = {0};
    exaone_engine_options eo = {.n_threads = 2};
    assert_int_equal(exaone_engine_open("models/tiny", &eo, &engine, &err), EXAONE_OK);
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 4, .draft = 3});
    client *c[4];
    for (unsigned i = 0; i < 4; i++) {
        c[i] = client_new(5 + i, i, 24);
        submit(s, c[i]);
    }
    size_t accepted = 0;
    for (int i = 0; i < 4; i++) {
        finishes(c[i], EXAONE_FINISH_LENGTH);
        assert_int_equal(c[i]->n, 24);
        same_as_alone(c[i]);
        accepted += c[i]->reply.accepted;
    }
    assert_true(accepted > 0);
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.accepted, accepted);
    exaone_scheduler_free(s);
    for (int i = 0; i < 4; i++) {
        client_free(c[i]);
    }
    exaone_engine_close(engine);
    engine = micro;
}

/* ---- fairness ---- */

static void test_long_prompt(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 4, .no_draft = true, .step_seconds = 1e-6});
    sem_t gate, reached;
    sem_init(&gate, 0, 0);
    sem_init(&reached, 0, 0);
    client *a = client_new(20, 1, 400), *b = client_new(30, 2, 400), *l = client_new(LONG, 3, 2);
    a->scheduler = b->scheduler = s;
    a->gate = &gate;
    a->reached = &reached;
    submit(s, a);
    submit(s, b);
    sem_wait(&reached);
    submit(s, l);
    sem_post(&gate);
    finishes(a, EXAONE_FINISH_LENGTH);
    finishes(b, EXAONE_FINISH_LENGTH);
    finishes(l, EXAONE_FINISH_LENGTH);
    /* a token in every step, and in no step more prompt rows than a chunk: 64 at first, then what the target shrinks it to,
     * 16 at last, as no machine keeps a microsecond */
    for (size_t i = 1; i < 400; i++) {
        assert_int_equal(a->steps[i] - a->steps[i - 1], 1);
        assert_true(a->prompt_rows[i] - a->prompt_rows[i - 1] <= (i < 6 ? 64 : 16));
    }
    assert_true(a->prompt_rows[399] - a->prompt_rows[1] > LONG / 10 * 9); /* the long one was read meanwhile */
    same_as_alone(a);
    same_as_alone(l);
    exaone_scheduler_free(s);
    client_free(a);
    client_free(b);
    client_free(l);
    sem_destroy(&gate);
    sem_destroy(&reached);
}

static void test_priority_and_limit(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 1, .max_queued = 3});
    sem_t gate, reached;
    exaone_error err = {0};
    sem_init(&gate, 0, 0);
    sem_init(&reached, 0, 0);
    client *c[5];
    for (unsigned i = 0; i < 5; i++) {
        c[i] = client_new(10, i, 3);
        c[i]->scheduler = s;
    }
    c[0]->gate = &gate;
    c[0]->reached = &reached;
    c[3]->params.priority = 1;
    submit(s, c[0]);
    sem_wait(&reached);
    submit(s, c[1]);
    submit(s, c[2]);
    submit(s, c[3]);
    assert_int_equal(exaone_scheduler_submit(s, &c[4]->params, &c[4]->request, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "3"));
    assert_null(c[4]->request);
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.queued, 3);
    assert_int_equal(stats.most_queued, 3);
    assert_int_equal(stats.running, 1);
    sem_post(&gate);
    assert_int_equal(exaone_scheduler_drain(s, &err), EXAONE_OK);
    assert_true(c[3]->steps[0] < c[1]->steps[0]); /* the high one first, then in order */
    assert_true(c[1]->steps[0] < c[2]->steps[0]);
    assert_int_equal(c[4]->done, 0);
    for (int i = 0; i < 4; i++) {
        finishes(c[i], EXAONE_FINISH_LENGTH);
    }
    exaone_scheduler_free(s);
    for (int i = 0; i < 5; i++) {
        client_free(c[i]);
    }
    sem_destroy(&gate);
    sem_destroy(&reached);
}

/* ---- cancelling ---- */

static void test_cancel(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 2, .step_seconds = 1e-6});
    sem_t gate, reached;
    sem_init(&gate, 0, 0);
    sem_init(&reached, 0, 0);
    client *runs = client_new(10, 1, 100), *reads = client_new(LONG, 2, 5), *waits = client_new(10, 3, 5);
    runs->gate = &gate;
    runs->reached = &reached;
    runs->cancel_at = 50;
    runs->cancels = &reads->request;
    submit(s, runs);
    sem_wait(&reached);
    submit(s, reads);
    submit(s, waits);
    exaone_request_cancel(waits->request); /* in the queue */
    exaone_request_cancel(waits->request);
    sem_post(&gate);
    finishes(waits, EXAONE_FINISH_CANCELLED);
    finishes(runs, EXAONE_FINISH_CANCELLED);
    finishes(reads, EXAONE_FINISH_CANCELLED);
    assert_int_equal(waits->n, 0);
    assert_int_equal(runs->n, 50); /* nothing after the cancelling callback */
    assert_int_equal(reads->n, 0); /* 50 steps do not read it: chunks are soon of 16 rows */
    assert_int_equal(runs->reply.error.code, EXAONE_ERR_CANCELLED);
    same_as_alone(runs);
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.cancelled, 3);
    assert_true(stats.prompt_rows < LONG);
    client *after = client_new(LONG, 2, 5); /* what was read is not lost */
    submit(s, after);
    finishes(after, EXAONE_FINISH_LENGTH);
    assert_true(after->reply.n_reused > 0);
    same_as_alone(after);
    exaone_request_cancel(after->request); /* too late: nothing happens */
    exaone_scheduler_free(s);
    client_free(after);
    client_free(runs);
    client_free(reads);
    client_free(waits);
    sem_destroy(&gate);
    sem_destroy(&reached);
}

static void test_free_with_work(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 2});
        client *c[6];
        for (unsigned i = 0; i < 6; i++) {
            c[i] = client_new(i == 1 ? 3000 : 20, i, 200);
            submit(s, c[i]);
        }
        if (round == 1) {
            while (c[0]->n < 3) {
                sched_yield();
            }
        } else if (round == 2) {
            exaone_request_free(c[2]->request); /* of a queued one: cancels it and waits */
            c[2]->request = NULL;
            assert_int_equal(c[2]->done, 1);
        }
        exaone_scheduler_free(s);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(c[i]->done, 1);
            assert_true(c[i]->reply.finish == EXAONE_FINISH_CANCELLED);
            client_free(c[i]); /* the handle outlives the scheduler */
        }
    }
}

/* ---- callbacks that call ---- */

typedef struct {
    exaone_scheduler *scheduler;
    client *c;
    int left;
    sem_t all;
} chain;

static void next_of_chain(void *ctx, exaone_request *request, const exaone_reply *reply) {
    chain *ch = ctx;
    exaone_error err = {0};
    assert(reply->n_tokens == 2);
    assert(exaone_request_wait(request, NULL, &err) == EXAONE_ERR_ARGUMENT);
    assert(exaone_scheduler_drain(ch->scheduler, &err) == EXAONE_ERR_ARGUMENT);
    exaone_request_free(request);
    if (--ch->left > 0) {
        exaone_request *next;
        assert(exaone_scheduler_submit(ch->scheduler, &ch->c->params, &next, &err) == EXAONE_OK);
    } else {
        sem_post(&ch->all);
    }
}

static void test_callbacks(void **state) {
    (void)state;
    chain ch = {.scheduler = scheduler((exaone_scheduler_options){.max_sequences = 1, .max_queued = 1}), .left = 5};
    exaone_request *first;
    exaone_error err = {0};
    sem_init(&ch.all, 0, 0);
    ch.c = client_new(10, 1, 2);
    ch.c->params.on_token = NULL;
    ch.c->params.on_done = next_of_chain;
    ch.c->params.ctx = &ch;
    assert_int_equal(exaone_scheduler_submit(ch.scheduler, &ch.c->params, &first, &err), EXAONE_OK);
    sem_wait(&ch.all);
    exaone_scheduler_free(ch.scheduler);
    client_free(ch.c);
    sem_destroy(&ch.all);
}

static bool stop_at_third(void *ctx, exaone_request *request, const exaone_generated *g) {
    (void)client_take(ctx, request, g);
    return g->index < 2;
}

static void test_ends(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.n_ctx = 40});
    client *a = client_new(10, 1, 20), *b = client_new(10, 1, 20), *c = client_new(35, 1, 0);
    a->params.on_token = stop_at_third;
    submit(s, a);
    finishes(a, EXAONE_FINISH_CALLBACK);
    assert_int_equal(a->n, 3);
    b->params.stop_ids = &a->ids[1];
    b->params.n_stop_ids = 1;
    submit(s, b);
    finishes(b, EXAONE_FINISH_STOP);
    assert_true(b->n <= 2);
    submit(s, c);
    finishes(c, EXAONE_FINISH_LENGTH);
    assert_int_equal(c->n, 6); /* the context holds 40; the last token needs no place */
    exaone_scheduler_free(s);
    client_free(a);
    client_free(b);
    client_free(c);
}

/* ---- errors ---- */

static exaone_pixels picture(float value) {
    exaone_pixels px = {.rows = 16, .cols = 1176, .grid = {1, 4, 4}};
    px.values = malloc(px.rows * px.cols * sizeof *px.values);
    for (size_t i = 0; i < px.rows * px.cols; i++) {
        px.values[i] = sinf((float)i * 0.37f) * value;
    }
    return px;
}

static void test_errors_are_local(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){0});
    exaone_pixels good = picture(1), bad = picture(NAN);
    exaone_prompt_media media[] = {{&good, false}, {&bad, false}};
    client *c[5];
    for (unsigned i = 0; i < 5; i++) {
        c[i] = client_new(300, i, 30);
        for (int t = 0; i >= 1 && i <= 3 && t < 4; t++) {
            c[i]->prompt[100 + t] = IMAGE;
        }
        c[i]->params.prompt.media = i == 1 || i == 2 ? &media[i - 1] : NULL;
        c[i]->params.prompt.n_media = i == 1 || i == 2;
    }
    c[3]->prompt[103] = 100; /* three places for an image of four tokens */
    c[3]->params.prompt.media = &media[0];
    c[3]->params.prompt.n_media = 1;
    for (int i = 0; i < 5; i++) {
        submit(s, c[i]);
    }
    finishes(c[2], EXAONE_FINISH_ERROR);
    assert_int_equal(c[2]->reply.error.code, EXAONE_ERR_NUMERIC);
    finishes(c[3], EXAONE_FINISH_ERROR);
    assert_int_equal(c[3]->reply.error.code, EXAONE_ERR_ARGUMENT);
    for (int i = 0; i < 5; i++) {
        if (i != 2 && i != 3) {
            finishes(c[i], EXAONE_FINISH_LENGTH);
            same_as_alone(c[i]);
        }
    }
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.failed, 2);
    exaone_scheduler_free(s);
    for (int i = 0; i < 5; i++) {
        client_free(c[i]);
    }
    free(good.values);
    free(bad.values);
}

static void refused(exaone_scheduler *s, client *c, exaone_status status, const char *word) {
    exaone_error err = {0};
    assert_int_equal(exaone_scheduler_submit(s, &c->params, &c->request, &err), status);
    assert_null(c->request);
    if (!strstr(err.message, word)) {
        fail_msg("no \"%s\" in: %s", word, err.message);
    }
}

static void test_arguments(void **state) {
    (void)state;
    static const struct {
        exaone_scheduler_options o;
        exaone_status status;
        const char *word;
    } wrong[] = {
        {{.max_sequences = 257}, EXAONE_ERR_ARGUMENT, "257"},      {{.n_ctx = CONTEXT + 1}, EXAONE_ERR_LIMIT, "16385"},
        {{.batch_rows = 15}, EXAONE_ERR_ARGUMENT, "15"},           {{.batch_rows = 5000}, EXAONE_ERR_ARGUMENT, "5000"},
        {{.max_queued = 70000}, EXAONE_ERR_ARGUMENT, "70000"},     {{.step_seconds = -1}, EXAONE_ERR_ARGUMENT, "-1"},
        {{.step_seconds = NAN}, EXAONE_ERR_ARGUMENT, "nan"},       {{.draft = 9}, EXAONE_ERR_ARGUMENT, "9"},
        {{.cache_type_k = 77}, EXAONE_ERR_ARGUMENT, "cache types"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        exaone_scheduler *s;
        exaone_error err = {0};
        assert_int_equal(exaone_scheduler_new(engine, &wrong[i].o, &s, &err), wrong[i].status);
        assert_null(s);
        assert_non_null(strstr(err.message, wrong[i].word));
    }
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.n_ctx = 100});
    client *c = client_new(101, 1, 1);
    refused(s, c, EXAONE_ERR_LIMIT, "101");
    c->params.prompt.n_ids = 0;
    refused(s, c, EXAONE_ERR_ARGUMENT, "empty");
    c->params.prompt.n_ids = 10;
    c->prompt[3] = VOCAB;
    refused(s, c, EXAONE_ERR_ARGUMENT, "512");
    c->prompt[3] = 5;
    c->sampling.top_p = 2;
    refused(s, c, EXAONE_ERR_ARGUMENT, "top_p");
    c->sampling.top_p = 1;
    exaone_logit_bias bias = {-3, 1};
    c->sampling.logit_bias = &bias;
    c->sampling.n_logit_bias = 1;
    refused(s, c, EXAONE_ERR_ARGUMENT, "-3");
    c->sampling.n_logit_bias = 0;
    c->params.stop_ids = &bias.id;
    c->params.n_stop_ids = 1;
    refused(s, c, EXAONE_ERR_ARGUMENT, "-3");
    c->params.n_stop_ids = 0;
    c->params.prompt.n_media = 11;
    refused(s, c, EXAONE_ERR_ARGUMENT, "11");
    exaone_scheduler_free(s);
    exaone_scheduler_free(NULL);
    client_free(c);
}

/* ---- many threads ---- */

static void *hammer(void *arg) {
    exaone_scheduler *s = arg;
    static atomic_uint number;
    unsigned seed = atomic_fetch_add(&number, 1), r = seed;
    for (int i = 0; i < 12; i++) {
        client *c = client_new((size_t)(rand_r(&r) % 200) + 1, seed % 3, (size_t)(rand_r(&r) % 20) + 1);
        c->params.priority = rand_r(&r) % 3;
        c->cancel_at = rand_r(&r) % 4 == 0 ? 3 : 0;
        exaone_error err = {0};
        exaone_status status = exaone_scheduler_submit(s, &c->params, &c->request, &err);
        assert(status == EXAONE_OK || status == EXAONE_ERR_LIMIT);
        if (status == EXAONE_OK && rand_r(&r) % 3 == 0) {
            exaone_request_cancel(c->request);
        }
        if (status == EXAONE_OK && rand_r(&r) % 2) {
            status = exaone_request_wait(c->request, NULL, &err);
            assert(status == EXAONE_OK || status == EXAONE_ERR_CANCELLED);
        }
        client_free(c);
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    exaone_scheduler *s = scheduler((exaone_scheduler_options){.max_sequences = 4, .max_queued = 2});
    pthread_t threads[6];
    exaone_error err = {0};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, s), 0);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(exaone_scheduler_drain(s, &err), EXAONE_OK);
    exaone_scheduler_stats stats;
    exaone_scheduler_get_stats(s, &stats);
    assert_int_equal(stats.submitted + stats.refused, 72);
    assert_int_equal(stats.finished + stats.cancelled, stats.submitted);
    assert_int_equal(stats.failed, 0);
    assert_int_equal(stats.running, 0);
    exaone_scheduler_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_interleaved),
                                       cmocka_unit_test(test_drafts),
                                       cmocka_unit_test(test_drafts_that_stand),
                                       cmocka_unit_test(test_long_prompt),
                                       cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_free_with_work),
                                       cmocka_unit_test(test_priority_and_limit),
                                       cmocka_unit_test(test_callbacks),
                                       cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_errors_are_local),
                                       cmocka_unit_test(test_arguments),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, open_micro, close_micro);
}
