/* See client.h. */
#include "client.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_variant.h"

exaone_engine *engine;
static const char *model;

void open_engine(void) {
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true}; /* steps are too small to share out */
    if (exaone_engine_open(model, &o, &engine, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

int open_micro(void **state) {
    (void)state;
    model = model_variant("tests/golden/model/micro/checkpoint", "micro", "max_position_embeddings", CONTEXT);
    open_engine();
    return 0;
}

int close_micro(void **state) {
    (void)state;
    exaone_engine_close(engine);
    return 0;
}

bool client_take(void *ctx, exaone_request *request, const exaone_generated *g) {
    client *c = ctx;
    assert(g->index == c->n && c->n < MOST && g->logits && !c->done);
    c->ids[c->n] = g->id;
    if (c->scheduler) {
        exaone_scheduler_stats stats;
        exaone_scheduler_get_stats(c->scheduler, &stats);
        c->steps[c->n] = stats.steps;
        c->prompt_rows[c->n] = stats.prompt_rows;
    }
    atomic_fetch_add(&c->n, 1);
    if (c->n == 1 && c->reached) {
        sem_post(c->reached);
    }
    if (c->n == 1 && c->gate) {
        sem_wait(c->gate);
    }
    if (c->cancel_at && c->n == c->cancel_at) {
        exaone_request_cancel(request);
        if (c->cancels) {
            exaone_request_cancel(*c->cancels);
        }
    }
    return true;
}

void client_done(void *ctx, exaone_request *request, const exaone_reply *reply) {
    client *c = ctx;
    (void)request;
    c->reply = *reply;
    atomic_fetch_add(&c->done, 1);
}

client *client_new(size_t n_prompt, unsigned seed, size_t max_tokens) {
    client *c = calloc(1, sizeof *c);
    c->prompt = calloc(n_prompt, sizeof *c->prompt);
    for (size_t i = 0; i < n_prompt; i++) {
        c->prompt[i] = (int32_t)(100 + (i * 7919 + seed * 104729 + i * i * 31 * (seed + 1)) % 400);
    }
    exaone_sampling_default(&c->sampling);
    c->sampling.do_sample = false;
    static const int32_t none = 0;
    c->params = (exaone_request_params){.prompt = {.ids = c->prompt, .n_ids = n_prompt},
                                        .sampling = &c->sampling,
                                        .stop_ids = &none,
                                        .max_tokens = max_tokens,
                                        .on_token = client_take,
                                        .on_done = client_done,
                                        .ctx = c};
    return c;
}

void client_free(client *c) {
    exaone_request_free(c->request);
    free(c->prompt);
    free(c);
}

void submit(exaone_scheduler *s, client *c) {
    exaone_error err = {0};
    if (exaone_scheduler_submit(s, &c->params, &c->request, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

void finishes(client *c, exaone_finish how) {
    exaone_reply reply;
    exaone_error err = {0};
    exaone_status status = exaone_request_wait(c->request, &reply, &err);
    if (reply.finish != how) {
        fail_msg("finish %d instead of %d: %s", (int)reply.finish, (int)how, err.message);
    }
    assert_int_equal(status, reply.error.code);
    assert_int_equal(c->done, 1);
    assert_int_equal(reply.n_tokens, c->n);
}

exaone_scheduler *scheduler(exaone_scheduler_options o) {
    exaone_scheduler *s;
    exaone_error err = {0};
    if (exaone_scheduler_new(engine, &o, &s, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return s;
}

void alone(const client *c, int32_t *ids, size_t n) {
    exaone_error err = {0};
    exaone_session *session;
    exaone_sampler *first, *sampler;
    assert_int_equal(exaone_session_new(engine, 8192, &session, &err), EXAONE_OK);
    assert_int_equal(exaone_sampler_new(&c->sampling, (size_t)exaone_engine_info(engine)->vocab_size, NULL, 0, &first, &err),
                     EXAONE_OK);
    assert_int_equal(exaone_sampler_prompt(first, c->prompt, c->params.prompt.n_ids, &err), EXAONE_OK);
    assert_int_equal(exaone_sampler_clone(first, c->params.stream, &sampler, &err), EXAONE_OK);
    assert_int_equal(exaone_session_sync(session, &c->params.prompt, NULL, NULL, &err), EXAONE_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(exaone_sampler_choose(sampler, exaone_session_logits(session), &ids[i], NULL, &err), EXAONE_OK);
        assert_int_equal(exaone_sampler_accept(sampler, ids[i], &err), EXAONE_OK);
        assert_int_equal(exaone_session_append(session, ids[i], &err), EXAONE_OK);
    }
    exaone_sampler_free(first);
    exaone_sampler_free(sampler);
    exaone_session_free(session);
}

void same_as_alone(const client *c) {
    int32_t ids[MOST];
    alone(c, ids, c->n);
    assert_memory_equal(c->ids, ids, c->n * sizeof ids[0]);
}
