/* What the program's memory grows by when a session fills is what docs/sessions.md says ("Memory of a session"), to 3 %, up
 * to 262,144 tokens.
 *
 * Measured is resident memory without mapped files (the weights). The cache is filled by reserving room in chunks as a
 * prompt would; evaluating so many tokens would take too long. A short prompt is really evaluated. Bound: the formula counts
 * the pages; beside them are the counts of pages (32 bytes for 32 KiB and more) and the rest of the last slab (1/64 of what
 * there is), together below 1.7 %. The short context of the second case is made of slabs of 288 KiB, each of which the C
 * library rounds up by up to 8 KiB, hence 5 % there. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/model_variant.h"
#include "../support/sanitized.h"
#include "../support/skip.h"
#include "engine/memory.h"
#include "engine/step.h"

enum { LONGEST = 262144, CHUNK = 256, EVALUATED = 5000, MOST_SIZES = 8 };

typedef struct {
    size_t n; /* tokens */
    double grown, formula;
} size_at;

typedef struct {
    size_t count;
    size_at at[MOST_SIZES];
} sizes;

/* Bytes of resident memory that no file backs. */
static double resident(void) {
    unsigned long all, in_ram, shared;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%lu %lu %lu", &all, &in_ram, &shared) != 3) {
        return -1;
    }
    fclose(f);
    return (double)(in_ram - shared) * (double)sysconf(_SC_PAGESIZE);
}

static void note(sizes *out, size_t n, double grown, double formula) {
    out->at[out->count++] = (size_at){n, grown, formula};
}

static exaone_engine *open_model(const char *model) {
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    exaone_engine *e = NULL;
    return exaone_engine_open(model, &o, &e, &err) == EXAONE_OK ? e : NULL;
}

/* The cache alone at several lengths, then with everything else that a session has. */
static bool fill(const char *model, exaone_cache_type k, exaone_cache_type v, sizes *out) {
    static const size_t lengths[] = {16384, 65536, 131072, LONGEST};
    exaone_error err = {0};
    exaone_engine *e = open_model(model);
    exaone_session_options o = {.n_ctx = LONGEST, .batch = CHUNK, .draft = true, .cache_type_k = k, .cache_type_v = v};
    exaone_sequence_options q = {.n_ctx = LONGEST, .chunk = CHUNK, .drafts = true, .cache_type_k = k, .cache_type_v = v};
    exaone_sequence *s = NULL;
    exaone_step step;
    exaone_memory_need need;
    double start = resident();
    if (!e || exaone_session_memory(e, &o, &need, &err) != EXAONE_OK ||
        exaone_step_init(&step, e, CHUNK, 1, EXAONE_TAIL_ROWS, &err) != EXAONE_OK ||
        exaone_sequence_new(e, &q, &s, &err) != EXAONE_OK) {
        return false;
    }
    double empty = resident();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        while (s->cache->length < lengths[i]) {
            if (exaone_kv_cache_reserve(s->cache, s->cache->length + CHUNK, &err) != EXAONE_OK) {
                return false;
            }
            s->cache->length += CHUNK;
        }
        o.n_ctx = lengths[i];
        note(out, lengths[i], resident() - empty, (double)exaone_session_kv_bytes(&e->config, &o).total);
    }
    for (size_t i = 0; i < LONGEST; i++) { /* what a whole evaluation has written too */
        s->ids[i] = 1;
    }
    size_t vocab = (size_t)e->config.vocab_size;
    memset(step.logits, 1, step.max_logits * vocab * sizeof *step.logits);
    memset(s->logits, 1, vocab * sizeof *s->logits);
    memset(s->spare_logits, 1, vocab * sizeof *s->spare_logits);
    note(out, LONGEST, resident() - start, (double)need.total);
    exaone_sequence_free(s);
    exaone_step_release(&step);
    exaone_engine_close(e);
    return true;
}

/* A session as a program has it, its context filled by a prompt. */
static bool evaluate(const char *model, exaone_cache_type k, exaone_cache_type v, sizes *out) {
    exaone_error err = {0};
    exaone_engine *e = open_model(model);
    exaone_session_options o = {.n_ctx = EVALUATED, .batch = CHUNK, .draft = true, .cache_type_k = k, .cache_type_v = v};
    exaone_session *s = NULL;
    exaone_memory_need need;
    static int32_t ids[EVALUATED];
    for (int i = 0; i < EVALUATED; i++) {
        ids[i] = (i * 37 + 5) % 60;
    }
    double start = 0;
    for (int run = 0; run < 2; run++) { /* the first one touches what the process itself needs */
        exaone_prompt prompt = {.ids = ids, .n_ids = run ? EVALUATED : CHUNK + 1};
        exaone_session_free(s);
        malloc_trim(0);
        start = resident();
        if (!e || exaone_session_memory(e, &o, &need, &err) != EXAONE_OK ||
            exaone_session_open(e, &o, &s, &err) != EXAONE_OK ||
            exaone_session_sync(s, &prompt, NULL, NULL, &err) != EXAONE_OK) {
            return false;
        }
    }
    note(out, EVALUATED, resident() - start, (double)need.total);
    exaone_session_free(s);
    exaone_engine_close(e);
    return true;
}

typedef bool measure_fn(const char *model, exaone_cache_type k, exaone_cache_type v, sizes *out);

/* Measures in a process of its own, so that nothing is used again that was freed before. */
static void measure(measure_fn *fn, const char *model, exaone_cache_type k, exaone_cache_type v, double bound) {
    sizes got = {0};
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool ok = fn(model, k, v, &got) && write(ends[1], &got, sizeof got) == sizeof got;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &got, sizeof got), sizeof got);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(ends[0]);
    close(ends[1]);
    for (size_t i = 0; i < got.count; i++) {
        double share = got.at[i].grown / got.at[i].formula - 1;
        print_message("%s %s, %zu tokens: %.2f MiB, formula %.2f MiB, %+.2f %%\n", exaone_cache_type_name(k),
                      exaone_cache_type_name(v), got.at[i].n, got.at[i].grown / 1048576, got.at[i].formula / 1048576,
                      100 * share);
        assert_true(share > -bound && share < bound);
    }
    assert_true(got.count > 0);
}

static void test_growth(void **state) {
    (void)state;
    if (SANITIZED) {
        TEST_SKIP("sanitizers have memory of their own");
    }
    const char *model = model_variant("models/tiny", "long", "max_position_embeddings", LONGEST);
    measure(fill, model, EXAONE_CACHE_F16, EXAONE_CACHE_F16, 0.03);
    measure(fill, model, EXAONE_CACHE_Q8_0, EXAONE_CACHE_Q8_0, 0.03);
    measure(fill, model, EXAONE_CACHE_BF16, EXAONE_CACHE_Q8_0, 0.03);
}

static void test_evaluated(void **state) {
    (void)state;
    if (SANITIZED) {
        TEST_SKIP("sanitizers have memory of their own");
    }
    measure(evaluate, "models/tiny", EXAONE_CACHE_F16, EXAONE_CACHE_F16, 0.05);
    measure(evaluate, "models/tiny", EXAONE_CACHE_F32, EXAONE_CACHE_Q8_0, 0.05);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth), cmocka_unit_test(test_evaluated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
