/* Total speed of many streams: replies of a fixed length to prompts of random ids, 1, 2, 4, … of them at once.
 *
 *   streams MODEL [TOKENS] [PROMPT] [DRAFT] [THREADS] [ROUNDS]
 *
 * TOKENS per reply (64), PROMPT tokens (16), DRAFT: off, auto or 1 .. 8 (off), THREADS (0: one per core), ROUNDS (3).
 * Prints a table in Markdown: tokens per second of all replies together, from the moment when all prompts are read until the
 * first reply ends (median and best of the rounds), the median per stream, and the median of tokens per second of processor
 * time, which with one thread is the speed on a machine that does nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exaone/exaone.h"

enum { MOST_STREAMS = 16, MOST_ROUNDS = 15 };

static exaone_error err;

static void need(bool done) {
    if (!done) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Written by the scheduler's thread alone, read when all is done. */
typedef struct {
    size_t n_streams, started, tokens; /* tokens after all have started, until one ends */
    bool ended;
    double first, last, cpu_first, cpu_last;
} run;

static bool take(void *ctx, exaone_request *request, const exaone_generated *token) {
    run *r = ctx;
    (void)request;
    r->started += token->index == 0;
    if (r->started == r->n_streams && !r->ended) {
        double t = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        if (r->first == 0) {
            r->first = t;
            r->cpu_first = cpu;
        } else {
            r->tokens++;
            r->last = t;
            r->cpu_last = cpu;
        }
    }
    return true;
}

static void done(void *ctx, exaone_request *request, const exaone_reply *reply) {
    run *r = ctx;
    (void)request;
    (void)reply;
    r->ended = true;
}

typedef struct {
    size_t tokens, prompt, rounds;
    exaone_scheduler_options options;
} settings;

static double measure(exaone_engine *engine, const settings *set, size_t n_streams, double *per_cpu) {
    exaone_scheduler *scheduler;
    exaone_request *requests[MOST_STREAMS];
    exaone_sampling sampling;
    run r = {.n_streams = n_streams};
    int32_t *ids = calloc(set->prompt, sizeof *ids);
    size_t vocab = (size_t)exaone_engine_info(engine)->vocab_size;
    exaone_sampling_default(&sampling);
    sampling.do_sample = false;
    need(ids != NULL);
    need(exaone_scheduler_new(engine, &set->options, &scheduler, &err) == EXAONE_OK);
    for (size_t i = 0; i < n_streams; i++) {
        for (size_t k = 0; k < set->prompt; k++) {
            ids[k] = (int32_t)(100 + (i * 7919 + k * 104729) % (vocab - 100));
        }
        static const int32_t none = 0; /* no stop ids: all replies have the same length */
        exaone_request_params p = {.prompt = {.ids = ids, .n_ids = set->prompt},
                                   .sampling = &sampling,
                                   .stop_ids = &none,
                                   .max_tokens = set->tokens,
                                   .on_token = take,
                                   .on_done = done,
                                   .ctx = &r};
        need(exaone_scheduler_submit(scheduler, &p, &requests[i], &err) == EXAONE_OK);
    }
    for (size_t i = 0; i < n_streams; i++) {
        need(exaone_request_wait(requests[i], NULL, &err) == EXAONE_OK);
        exaone_request_free(requests[i]);
    }
    exaone_scheduler_free(scheduler);
    free(ids);
    *per_cpu = r.cpu_last > r.cpu_first ? (double)r.tokens / (r.cpu_last - r.cpu_first) : 0;
    return r.last > r.first ? (double)r.tokens / (r.last - r.first) : 0;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static size_t number(int argc, char **argv, int i, size_t otherwise, size_t most) {
    char *end = NULL;
    unsigned long v = i < argc ? strtoul(argv[i], &end, 10) : otherwise;
    if (i < argc && (*argv[i] < '0' || *argv[i] > '9' || *end || v > most)) {
        fprintf(stderr, "%s: a number from 0 to %zu is wanted\n", argv[i], most);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv) {
    settings set = {.options = {.max_sequences = MOST_STREAMS, .no_draft = true}};
    exaone_engine_options engine_options = {.no_tokenizer = true};
    exaone_engine *engine;
    const char *draft = argc > 4 ? argv[4] : "off";
    set.tokens = number(argc, argv, 2, 64, 16000);
    set.prompt = number(argc, argv, 3, 16, 16000);
    if (strcmp(draft, "off") != 0) {
        set.options.no_draft = false;
        set.options.draft = strcmp(draft, "auto") == 0 ? 0 : number(argc, argv, 4, 0, EXAONE_MAX_DRAFT);
    }
    engine_options.n_threads = (int)number(argc, argv, 5, 0, 512);
    set.rounds = number(argc, argv, 6, 3, MOST_ROUNDS);
    if (set.tokens < 2 || set.prompt == 0 || set.rounds == 0) {
        fprintf(stderr, "TOKENS is at least 2, PROMPT and ROUNDS at least 1\n");
        return 2;
    }
    need(exaone_engine_open(argc > 1 ? argv[1] : "models/tiny", &engine_options, &engine, &err) == EXAONE_OK);
    printf("| streams | tokens/s, median | best | per stream | per processor second |\n|--:|--:|--:|--:|--:|\n");
    for (size_t n = 1; n <= MOST_STREAMS; n *= 2) {
        double speeds[MOST_ROUNDS] = {0}, per_cpu[MOST_ROUNDS] = {0};
        for (size_t i = 0; i < set.rounds; i++) {
            speeds[i] = measure(engine, &set, n, &per_cpu[i]);
        }
        qsort(speeds, set.rounds, sizeof speeds[0], compare);
        qsort(per_cpu, set.rounds, sizeof per_cpu[0], compare);
        double median = speeds[set.rounds / 2];
        printf("| %zu | %.2f | %.2f | %.2f | %.2f |\n", n, median, speeds[set.rounds - 1], median / (double)n,
               per_cpu[set.rounds / 2]);
        fflush(stdout);
    }
    exaone_engine_close(engine);
    return 0;
}
