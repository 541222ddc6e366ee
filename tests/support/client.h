/* For tests: requests to a scheduler and what came back, beside what a session gives for the same request. The model is the
 * micro checkpoint with a longer context; its sliding window is 8. Faults end the running test. */
#ifndef TESTS_CLIENT_H
#define TESTS_CLIENT_H

#include <semaphore.h>
#include <stdatomic.h>

#include "exaone/exaone.h"
#include "sanitized.h"

enum { MOST = 512, VOCAB = 512, CONTEXT = 16384 };
enum { LONG = SANITIZED ? 1500 : 5000 }; /* tokens of a long prompt; sanitizers make kernels slow */

extern exaone_engine *engine; /* opened by the set-up */

void open_engine(void); /* once more, after it was closed */
int open_micro(void **state);
int close_micro(void **state);

typedef struct {
    exaone_request_params params;
    exaone_sampling sampling;
    int32_t *prompt;
    exaone_request *request;
    int32_t ids[MOST]; /* what came */
    atomic_size_t n;
    atomic_int done; /* times on_done came */
    exaone_reply reply;
    sem_t *gate, *reached;    /* at the first token: posts reached, waits for the gate */
    size_t cancel_at;         /* the request cancels itself in this callback, from 1 */
    exaone_request **cancels; /* and this one, if there is one */
    exaone_scheduler *scheduler;
    uint64_t steps[MOST], prompt_rows[MOST]; /* the scheduler's numbers at each token */
} client;

/* on_token and on_done of a client. */
bool client_take(void *ctx, exaone_request *request, const exaone_generated *g);
void client_done(void *ctx, exaone_request *request, const exaone_reply *reply);
/* Greedy, without stop ids. Prompts of one seed share the part that both have. */
client *client_new(size_t n_prompt, unsigned seed, size_t max_tokens);
void client_free(client *c);
void submit(exaone_scheduler *s, client *c);
/* Waits for the end, which must be this one. */
void finishes(client *c, exaone_finish how);
exaone_scheduler *scheduler(exaone_scheduler_options o);
/* What a session gives for the same request: n tokens. */
void alone(const client *c, int32_t *ids, size_t n);
void same_as_alone(const client *c);

#endif
