/* A document as long as the context: read, asked about three times, the program started again, asked a fourth time.
 *
 *   long_document MODEL TOKENS FOLDER [THREADS]
 *
 * MODEL must take the context of TOKENS in all: a document of random ids, a question and its reply. FOLDER becomes the
 * prefix cache and must be new or empty. The three parts run as processes of their own: "read" evaluates the document and
 * answers three questions, "again" answers the fourth with the cache that "read" left, "plain" does so without any cache.
 * Prints the seconds to the first token of each question, and whether the tokens and the logits at REPLY positions are the
 * same bits in "again" and "plain". At the end one more token is asked for, which must be refused. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exaone/exaone.h"

enum { QUESTION = 40, REPLY = 20, EDGE = QUESTION + REPLY };

static exaone_error err;

static void need(bool done) {
    if (!done) {
        fprintf(stderr, "long_document: %s\n", err.message);
        exit(1);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    exaone_session *session;
    size_t n_document, vocab;
    int32_t *ids;   /* [n_document + QUESTION] */
    double seconds; /* to the first token of the last question */
    struct {
        int32_t ids[REPLY];
        float logits[]; /* [REPLY, vocab] */
    } * reply;
} run;

/* Question number `number`, answered greedily with REPLY tokens. */
static void ask(run *r, int number) {
    for (size_t i = 0; i < QUESTION; i++) {
        r->ids[r->n_document + i] = (int32_t)((100 + i * 17 + (size_t)number * 131) % r->vocab);
    }
    exaone_prompt prompt = {.ids = r->ids, .n_ids = r->n_document + QUESTION};
    double start = now();
    need(exaone_session_sync(r->session, &prompt, NULL, NULL, &err) == EXAONE_OK);
    r->seconds = now() - start;
    printf("  question %d: %9.3f s to the first token, %zu of %zu tokens reused\n", number, r->seconds,
           exaone_session_reused(r->session), prompt.n_ids);
    fflush(stdout);
    for (size_t i = 0; i < REPLY; i++) {
        const float *logits = exaone_session_logits(r->session);
        size_t best = 0;
        for (size_t k = 1; k < r->vocab; k++) {
            best = logits[k] > logits[best] ? k : best;
        }
        memcpy(r->reply->logits + i * r->vocab, logits, r->vocab * sizeof *logits);
        r->reply->ids[i] = (int32_t)best;
        need(exaone_session_append(r->session, (int32_t)best, &err) == EXAONE_OK);
    }
}

static void warn(void *ctx, const char *message) {
    (void)ctx;
    fprintf(stderr, "long_document: %s\n", message);
}

typedef enum { READ, AGAIN, PLAIN } part;

/* One part, in this process; its last reply and seconds go to `to`. */
static void work(part p, const char *model, size_t n_tokens, const char *folder, int n_threads, FILE *to) {
    exaone_engine_options options = {.n_threads = n_threads};
    exaone_engine *engine;
    exaone_cache *cache = NULL;
    need(exaone_engine_open(model, &options, &engine, &err) == EXAONE_OK);
    exaone_session_options session;
    exaone_session_options_default(&session);
    session.n_ctx = n_tokens;
    run r = {.n_document = n_tokens - EDGE, .vocab = (size_t)exaone_engine_info(engine)->vocab_size};
    size_t bytes = sizeof *r.reply + REPLY * r.vocab * sizeof(float);
    r.ids = malloc((n_tokens - REPLY) * sizeof *r.ids);
    r.reply = calloc(1, bytes);
    if (!r.ids || !r.reply) {
        fprintf(stderr, "long_document: no memory\n");
        exit(1);
    }
    for (size_t i = 0; i < r.n_document; i++) {
        r.ids[i] = (int32_t)((100 + i * 37 + i * i % 1013 + i / 977) % r.vocab);
    }
    need(exaone_session_open(engine, &session, &r.session, &err) == EXAONE_OK);
    if (p != PLAIN) {
        exaone_cache_options kept = {.warn = warn, .budget = UINT64_C(16) << 30};
        need(exaone_cache_open(folder, &kept, &cache, &err) == EXAONE_OK);
        need(exaone_session_set_cache(r.session, cache, &err) == EXAONE_OK);
    }
    for (int number = p == READ ? 1 : 4; number <= (p == READ ? 3 : 4); number++) {
        ask(&r, number);
    }
    if (p == READ) {
        exaone_session_save(r.session, true);
    } else if (exaone_session_append(r.session, r.reply->ids[0], &err) == EXAONE_OK) {
        fprintf(stderr, "long_document: token %zu of a context of %zu was taken\n", n_tokens + 1, n_tokens);
        exit(1);
    } else if (p == PLAIN) {
        printf("  one more: %s\n", err.message);
    }
    if (fwrite(r.reply, bytes, 1, to) != 1 || fwrite(&r.seconds, sizeof r.seconds, 1, to) != 1 || fflush(to) != 0) {
        fprintf(stderr, "long_document: cannot keep a reply\n");
        exit(1);
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("  resident at most %.1f MB\n", (double)use.ru_maxrss * 1024e-6);
    exaone_session_free(r.session);
    exaone_cache_close(cache);
    exaone_engine_close(engine);
    free(r.ids);
    free(r.reply);
}

/* What two parts left: the same bytes but for the seconds at the end. */
static bool compare(FILE *a, FILE *b) {
    long size = ftell(a) - (long)sizeof(double);
    double seconds[2];
    rewind(a);
    rewind(b);
    for (long i = 0; i < size; i++) {
        if (getc(a) != getc(b)) {
            return false;
        }
    }
    if (fread(&seconds[0], sizeof(double), 1, a) == 1 && fread(&seconds[1], sizeof(double), 1, b) == 1) {
        printf("first token from the cache: %.3f s, %.2f %% of %.3f s without\n", seconds[0], 100 * seconds[0] / seconds[1],
               seconds[1]);
    }
    return true;
}

int main(int argc, char **argv) {
    static const char *const names[] = {"read", "again", "plain"};
    size_t n_tokens = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc < 4 || argc > 5 || n_tokens <= EDGE) {
        fprintf(stderr, "usage: long_document MODEL TOKENS FOLDER [THREADS], TOKENS above %d\n", EDGE);
        return 2;
    }
    FILE *left[3];
    for (int p = READ; p <= PLAIN; p++) {
        left[p] = tmpfile();
        if (!left[p]) {
            perror("long_document");
            return 1;
        }
        printf("%s\n", names[p]);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            work((part)p, argv[1], n_tokens, argv[3], argc > 4 ? atoi(argv[4]) : 0, left[p]);
            return 0;
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
            fprintf(stderr, "long_document: the part %s failed\n", names[p]);
            return 1;
        }
        fseek(left[p], 0, SEEK_END);
    }
    bool same = compare(left[AGAIN], left[PLAIN]);
    printf("tokens and logits at %d positions with and without the cache: %s\n", REPLY, same ? "equal" : "DIFFERENT");
    return same ? 0 : 1;
}
