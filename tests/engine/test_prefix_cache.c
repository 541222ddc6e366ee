/* The prefix cache on disk: a session of a new engine that loads a prefix gives the logits and tokens of a cold one.
 *
 * Bound: what is loaded are the bytes that were computed, and a row has the same bits in any group: equal to the last bit.
 */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/sanitized.h"
#include "../support/scratch.h"
#include "engine/prefix_cache.h"
#include "exaone/cache.h"

static const char micro[] = "tests/golden/model/micro/checkpoint", tiny[] = "models/tiny";
enum { MOST = 2048, STEPS = 6 };

static int warnings;

static void note(void *ctx, const char *message) {
    (void)ctx;
    (void)message;
    warnings++;
}

static exaone_engine *open_engine(const char *path, const char *level, exaone_precision precision) {
    exaone_engine *e = NULL;
    exaone_error err = {0};
    exaone_engine_options o = {.n_threads = 2, .no_tokenizer = true, .cpu_level = level, .precision = precision};
    if (exaone_engine_open(path, &o, &e, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return e;
}

static exaone_cache *open_cache(const char *dir) {
    exaone_cache *c = NULL;
    exaone_error err = {0};
    exaone_cache_options o = {.warn = note};
    if (exaone_cache_open(dir, &o, &c, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return c;
}

static const char *fresh(const char *name) {
    const char *dir = scratch_path(name);
    uint64_t n;
    exaone_error err = {0};
    assert_int_equal(exaone_cache_clear(dir, &n, &err), EXAONE_OK);
    warnings = 0;
    return dir;
}

static void fill(int32_t *ids, size_t n, int32_t seed) {
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((i * 37 + (size_t)seed * 11 + i * i % 13) % 500);
        ids[i] += ids[i] == 67 || ids[i] == 68 ? 5 : 0;
    }
}

/* What a session said: logits after the prompt and after each of a few tokens. */
typedef struct {
    float *logits; /* [STEPS + 1, vocab] */
    int32_t ids[STEPS];
    size_t vocab, reused;
} answer;

static int32_t largest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return (int32_t)best;
}

static answer run_session(exaone_engine *e, const char *dir, const exaone_session_options *options, const exaone_prompt *p) {
    answer a = {.vocab = (size_t)exaone_engine_info(e)->vocab_size};
    exaone_session *s;
    exaone_cache *cache = dir ? open_cache(dir) : NULL;
    exaone_error err = {0};
    assert_int_equal(exaone_session_open(e, options, &s, &err), EXAONE_OK);
    assert_int_equal(exaone_session_set_cache(s, cache, &err), EXAONE_OK);
    if (exaone_session_sync(s, p, NULL, NULL, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    a.reused = exaone_session_reused(s);
    a.logits = malloc((STEPS + 1) * a.vocab * sizeof *a.logits);
    assert_non_null(a.logits);
    for (size_t i = 0;; i++) {
        memcpy(a.logits + i * a.vocab, exaone_session_logits(s), a.vocab * sizeof *a.logits);
        if (i == STEPS) {
            break;
        }
        a.ids[i] = largest(exaone_session_logits(s), a.vocab);
        assert_int_equal(exaone_session_append(s, a.ids[i], &err), EXAONE_OK);
    }
    exaone_session_save(s, true);
    exaone_session_free(s);
    exaone_cache_close(cache);
    return a;
}

static void same(const answer *a, const answer *b) {
    assert_memory_equal(a->ids, b->ids, sizeof a->ids);
    assert_memory_equal(a->logits, b->logits, (STEPS + 1) * a->vocab * sizeof *a->logits);
}

/* What sessions without a cache said, so that a prompt of ids alone is not asked twice. */
typedef struct {
    const char *model;
    exaone_session_options options;
    int32_t ids[MOST];
    size_t n_ids;
    answer answer;
} cold_answer;
static cold_answer colds[64];
static size_t n_colds;

static bool is_for(const cold_answer *c, const char *model, const exaone_session_options *o, const exaone_prompt *p) {
    return c->model == model && c->options.batch == o->batch && c->options.draft == o->draft &&
           c->options.cache_type_k == o->cache_type_k && c->options.cache_type_v == o->cache_type_v &&
           c->n_ids == p->n_ids && memcmp(c->ids, p->ids, p->n_ids * sizeof *p->ids) == 0;
}

/* The answer of a new engine without a folder; *own: whether it is the caller's to free. */
static answer cold_run(const char *model, const exaone_session_options *options, const exaone_prompt *p, bool *own) {
    *own = p->n_media > 0;
    for (size_t i = 0; i < n_colds && !*own; i++) {
        if (is_for(&colds[i], model, options, p)) {
            return colds[i].answer;
        }
    }
    exaone_engine *e = open_engine(model, NULL, EXAONE_PRECISION_AUTO);
    answer a = run_session(e, NULL, options, p);
    assert_int_equal(a.reused, 0);
    exaone_engine_close(e);
    if (!*own) {
        assert_true(n_colds < sizeof colds / sizeof colds[0]);
        cold_answer *c = &colds[n_colds++];
        *c = (cold_answer){.model = model, .options = *options, .n_ids = p->n_ids, .answer = a};
        memcpy(c->ids, p->ids, p->n_ids * sizeof *p->ids);
    }
    return a;
}

static int free_colds(void **state) {
    (void)state;
    while (n_colds > 0) {
        free(colds[--n_colds].answer.logits);
    }
    return 0;
}

/* A new engine answers with the folder; the same as one without. The number of tokens that it did not evaluate. */
static size_t restarted(const char *model, const char *dir, const exaone_session_options *options, const exaone_prompt *p) {
    bool own;
    exaone_engine *e = open_engine(model, NULL, EXAONE_PRECISION_AUTO);
    answer warm = run_session(e, dir, options, p), cold = cold_run(model, options, p, &own);
    same(&warm, &cold);
    free(warm.logits);
    if (own) {
        free(cold.logits);
    }
    exaone_engine_close(e);
    return warm.reused;
}

static void restart_equals_cold(void **state) {
    (void)state;
    enum { B = UNLESS_SANITIZED(12, 4), EDIT = B * 64 + 2, EDIT_IN_BLOCK = B * 64 - 3 }; /* blocks; tokens */
    static const char *const models[] = {micro, tiny};
    int32_t ids[MOST];
    fill(ids, MOST, 1);
    for (size_t m = 0; m < 2; m++) {
        for (int draft = 0; draft < 2; draft++) {
            if (SANITIZED && draft != (int)m) {
                continue;
            }
            exaone_session_options options = {.draft = draft};
            const char *dir = fresh("restart");
            exaone_prompt p = {.ids = ids, .n_ids = B * 64 + 9};
            assert_int_equal(restarted(models[m], dir, &options, &p), 0);
            assert_int_equal(restarted(models[m], dir, &options, &p), B * 64 - 1);
            p.n_ids = (B + 3) * 64 + 30; /* longer: what is there, then the rest */
            assert_int_equal(restarted(models[m], dir, &options, &p), B * 64 - 1);
            assert_int_equal(restarted(models[m], dir, &options, &p), (B + 3) * 64 - 1);
            p.n_ids = B * 64 + 8; /* shorter */
            assert_int_equal(restarted(models[m], dir, &options, &p), B * 64 - 1);
            p.n_ids = B * 64;
            assert_int_equal(restarted(models[m], dir, &options, &p), B * 64 - 1);
            ids[EDIT]++; /* an edit behind what is loaded */
            p.n_ids = (B + 3) * 64 + 40;
            assert_int_equal(restarted(models[m], dir, &options, &p), B * 64 - 1);
            ids[EDIT_IN_BLOCK]++; /* one in the last block: the checkpoint before it */
            assert_int_equal(restarted(models[m], dir, &options, &p), (B - 1) * 64 - 1);
            ids[3]++; /* one at the start */
            assert_int_equal(restarted(models[m], dir, &options, &p), 0);
            p.n_ids = 1; /* less than a block */
            assert_int_equal(restarted(models[m], dir, &options, &p), 0);
            ids[EDIT]--;
            ids[EDIT_IN_BLOCK]--;
            ids[3]--;
            assert_int_equal(warnings, 0);
        }
    }
}

/* Every cache type and odd chunks. */
static void types_and_batches(void **state) {
    (void)state;
    int32_t ids[MOST];
    fill(ids, MOST, 2);
    static const struct {
        exaone_cache_type k, v;
        uint64_t batch;
    } cases[] = {{EXAONE_CACHE_F32, EXAONE_CACHE_F32, 64},
                 {EXAONE_CACHE_F16, EXAONE_CACHE_F16, 100},
                 {EXAONE_CACHE_BF16, EXAONE_CACHE_BF16, 300},
                 {EXAONE_CACHE_Q8_0, EXAONE_CACHE_F32, 0}};
    const char *dir = fresh("types"); /* one folder for all */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        exaone_session_options options = {
            .cache_type_k = cases[i].k, .cache_type_v = cases[i].v, .batch = cases[i].batch, .draft = true};
        exaone_prompt p = {.ids = ids, .n_ids = UNLESS_SANITIZED(700, 330)};
        assert_int_equal(restarted(tiny, dir, &options, &p), 0);
        options.batch = 0; /* the size of a chunk changes nothing */
        assert_true(restarted(tiny, dir, &options, &p) > 0);
    }
    assert_int_equal(warnings, 0);
}

/* Entries with the draft module's state serve sessions without it, not the other way round. */
static void drafts(void **state) {
    (void)state;
    int32_t ids[MOST];
    fill(ids, MOST, 3);
    enum { WHOLE = UNLESS_SANITIZED(7, 3) }; /* blocks */
    exaone_session_options with = {.draft = true}, without = {0};
    exaone_prompt p = {.ids = ids, .n_ids = WHOLE * 64 + 52};
    const char *dir = fresh("drafts");
    assert_int_equal(restarted(tiny, dir, &without, &p), 0);
    assert_int_equal(restarted(tiny, dir, &with, &p), 0);
    assert_int_equal(restarted(tiny, dir, &with, &p), WHOLE * 64 - 1);
    dir = fresh("drafts");
    assert_int_equal(restarted(tiny, dir, &with, &p), 0);
    assert_int_equal(restarted(tiny, dir, &without, &p), WHOLE * 64 - 1);
}

/* Drafts after a restart are those of a session that never ended: the same tokens, as often accepted. */
static void draft_state_is_whole(void **state) {
    (void)state;
    enum { WHOLE = UNLESS_SANITIZED(7, 3) }; /* blocks */
    int32_t ids[MOST];
    fill(ids, MOST, 4);
    exaone_session_options options = {.draft = true};
    exaone_prompt p = {.ids = ids, .n_ids = WHOLE * 64 + 1}; /* blocks and one token: the rows behind are evaluated alone */
    const char *dir = fresh("whole");
    assert_int_equal(restarted(tiny, dir, &options, &p), 0);
    exaone_generation_stats stats[2];
    int32_t out[2][40];
    exaone_engine *e = open_engine(tiny, NULL, EXAONE_PRECISION_AUTO);
    for (int warm = 0; warm < 2; warm++) {
        exaone_error err = {0};
        exaone_session *s;
        exaone_cache *cache = warm ? open_cache(dir) : NULL;
        exaone_sampler *sampler;
        exaone_sampling sampling;
        exaone_sampling_default(&sampling);
        sampling.do_sample = false;
        assert_int_equal(exaone_session_open(e, &options, &s, &err), EXAONE_OK);
        assert_int_equal(exaone_session_set_cache(s, cache, &err), EXAONE_OK);
        assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_OK);
        assert_int_equal(exaone_session_reused(s), warm ? WHOLE * 64 - 1 : 0);
        assert_int_equal(exaone_sampler_new(&sampling, 1536, NULL, 0, &sampler, &err), EXAONE_OK);
        assert_int_equal(exaone_sampler_prompt(sampler, p.ids, p.n_ids, &err), EXAONE_OK);
        exaone_draft_options draft = {.n = 3, .stop_ids = (const int32_t[]){-1}, .n_stop_ids = 1};
        for (size_t n = 0; n < 24;) {
            size_t got;
            assert_int_equal(exaone_session_generate(s, sampler, &draft, out[warm] + n, &got, &err), EXAONE_OK);
            n += got;
        }
        stats[warm] = *exaone_session_stats(s);
        exaone_sampler_free(sampler);
        exaone_session_free(s);
        exaone_cache_close(cache);
    }
    assert_memory_equal(out[0], out[1], 24 * sizeof out[0][0]);
    assert_int_equal(stats[0].drafted, stats[1].drafted);
    assert_int_equal(stats[0].accepted, stats[1].accepted);
    exaone_engine_close(e);
}

static exaone_pixels picture(uint32_t t, uint32_t h, uint32_t w, float seed) {
    exaone_pixels px = {.rows = (size_t)t * h * w, .cols = 1176, .grid = {t, h, w}};
    px.values = malloc(px.rows * px.cols * sizeof *px.values);
    assert_non_null(px.values);
    for (size_t i = 0; i < px.rows * px.cols; i++) {
        px.values[i] = sinf((float)i * 0.37f + seed);
    }
    return px;
}

static void images_count(void **state) {
    (void)state;
    const char *model = UNLESS_SANITIZED(tiny, micro);
    exaone_pixels a = picture(1, 16, 16, 1), b = picture(1, 16, 16, 2); /* 64 tokens each */
    int32_t ids[600];
    fill(ids, 600, 5);
    for (size_t i = 0; i < 64; i++) {
        ids[100 + i] = ids[300 + i] = 67;
    }
    exaone_session_options options = {.draft = true};
    exaone_prompt_media media[] = {{.pixels = &a}, {.pixels = &b}};
    exaone_prompt p = {.ids = ids, .n_ids = 600, .media = media, .n_media = 2};
    const char *dir = fresh("images");
    assert_int_equal(restarted(model, dir, &options, &p), 0);
    assert_int_equal(restarted(model, dir, &options, &p), 9 * 64 - 1);
    p.n_ids = 450;
    assert_int_equal(restarted(model, dir, &options, &p), 0); /* no checkpoint there */
    assert_int_equal(restarted(model, dir, &options, &p), 7 * 64 - 1);
    p.n_ids = 290;
    p.n_media = 1; /* the second comes behind */
    assert_int_equal(restarted(model, dir, &options, &p), 0);
    p.n_ids = 600;
    p.n_media = 2;
    media[1].pixels = &a; /* another second picture: what comes before it stays */
    assert_int_equal(restarted(model, dir, &options, &p), 4 * 64 - 1);
    media[0].pixels = &b; /* another first one: the same ids, and nothing of the cache */
    assert_int_equal(restarted(model, dir, &options, &p), 0);
    b.values[7] += 0.5f; /* one number of its pixels */
    assert_int_equal(restarted(model, dir, &options, &p), 0);
    exaone_pixels_release(&a);
    exaone_pixels_release(&b);
}

/* What a fork evaluates is saved as what its origin does. */
static void forks(void **state) {
    (void)state;
    int32_t ids[MOST];
    exaone_error err = {0};
    fill(ids, MOST, 8);
    exaone_session_options options = {.draft = true};
    exaone_prompt p = {.ids = ids, .n_ids = 500};
    const char *dir = fresh("forks");
    exaone_engine *e = open_engine(tiny, NULL, EXAONE_PRECISION_AUTO);
    exaone_cache *cache = open_cache(dir);
    exaone_session *s, *fork;
    assert_int_equal(exaone_session_open(e, &options, &s, &err), EXAONE_OK);
    assert_int_equal(exaone_session_set_cache(s, cache, &err), EXAONE_OK);
    assert_int_equal(exaone_session_sync(s, &p, NULL, NULL, &err), EXAONE_OK);
    assert_int_equal(exaone_session_fork(s, &fork, &err), EXAONE_OK);
    exaone_session_free(s);
    p.n_ids = 900;
    assert_int_equal(exaone_session_sync(fork, &p, NULL, NULL, &err), EXAONE_OK);
    assert_int_equal(exaone_session_reused(fork), 500);
    for (size_t i = 900; i < 970; i++) {
        assert_int_equal(exaone_session_append(fork, ids[i], &err), EXAONE_OK);
    }
    exaone_session_save(fork, true);
    exaone_session_free(fork);
    exaone_cache_close(cache);
    exaone_engine_close(e);
    p.n_ids = 980;
    assert_int_equal(restarted(tiny, dir, &options, &p), 15 * 64 - 1);
    p.n_ids = 500;
    assert_int_equal(restarted(tiny, dir, &options, &p), 7 * 64 - 1);
}

/* Two sessions, each with its own turn on the same beginning, and a live one that finds more on disk than it holds. */
static void shared_beginnings(void **state) {
    (void)state;
    enum { WHOLE = UNLESS_SANITIZED(18, 6) }; /* blocks of the longer one */
    int32_t ids[MOST];
    exaone_error err = {0};
    fill(ids, MOST, 6);
    exaone_session_options options = {0};
    const char *dir = fresh("shared");
    exaone_engine *e = open_engine(tiny, NULL, EXAONE_PRECISION_AUTO);
    exaone_cache *cache = open_cache(dir);
    exaone_session *a, *b, *cold;
    assert_int_equal(exaone_session_open(e, &options, &a, &err), EXAONE_OK);
    assert_int_equal(exaone_session_open(e, &options, &b, &err), EXAONE_OK);
    assert_int_equal(exaone_session_open(e, &options, &cold, &err), EXAONE_OK);
    assert_int_equal(exaone_session_set_cache(a, cache, &err), EXAONE_OK);
    assert_int_equal(exaone_session_set_cache(b, cache, &err), EXAONE_OK);
    exaone_prompt p = {.ids = ids, .n_ids = 300};
    assert_int_equal(exaone_session_sync(b, &p, NULL, NULL, &err), EXAONE_OK);
    p.n_ids = WHOLE * 64 + 48;
    assert_int_equal(exaone_session_sync(a, &p, NULL, NULL, &err), EXAONE_OK);
    exaone_session_save(a, true);
    for (int i = 0; i < 200; i++) { /* the writer is a thread */
        exaone_cache_stats stats;
        exaone_cache_get_stats(cache, &stats);
        if (stats.entries_written >= WHOLE) {
            break;
        }
        usleep(10000);
    }
    usleep(50000);
    p.n_ids = (WHOLE + 2) * 64 + 20;
    assert_int_equal(exaone_session_sync(b, &p, NULL, NULL, &err), EXAONE_OK);
    assert_int_equal(exaone_session_reused(b), WHOLE * 64 - 1);
    assert_int_equal(exaone_session_sync(cold, &p, NULL, NULL, &err), EXAONE_OK);
    assert_memory_equal(exaone_session_logits(b), exaone_session_logits(cold), 1536 * sizeof(float));
    exaone_session_free(a);
    exaone_session_free(b);
    exaone_session_free(cold);
    exaone_cache_close(cache);
    exaone_engine_close(e);
}

static void identity_of(const char *model, const char *level, exaone_precision precision, exaone_cache_type k,
                        uint8_t out[32]) {
    exaone_engine *e = open_engine(model, level, precision);
    exaone_sequence *s;
    exaone_error err = {0};
    exaone_sequence_options o = {.n_ctx = 128, .chunk = 64, .cache_type_k = k, .cache_type_v = EXAONE_CACHE_F32};
    assert_int_equal(exaone_sequence_new(e, &o, &s, &err), EXAONE_OK);
    assert_int_equal(exaone_prefix_identity(s, out, &err), EXAONE_OK);
    exaone_sequence_free(s);
    exaone_engine_close(e);
}

static void copy_file(const char *from, const char *to) {
    static uint8_t bytes[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;) {
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    }
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void another_model_is_a_miss(void **state) {
    (void)state;
    uint8_t ids[7][32];
    identity_of(tiny, "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[0]);
    identity_of(tiny, "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[1]);
    assert_memory_equal(ids[0], ids[1], 32);
    identity_of(micro, "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[1]);
    identity_of(tiny, "scalar", EXAONE_PRECISION_F32, EXAONE_CACHE_F32, ids[2]);
    identity_of(tiny, "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F16, ids[3]);
    size_t n = 4;
#if defined(__x86_64__)
    identity_of(tiny, "avx2", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[n++]);
#endif
    /* One byte of one tensor, at the same time of the file. */
    char from[512], to[512], last_file[512] = "";
    (void)scratch_write_text("model/x", "");
    DIR *d = opendir(micro);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        snprintf(from, sizeof from, "%s/%s", micro, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", scratch_path("model"), entry->d_name);
        struct stat kind;
        if (stat(from, &kind) == 0 && S_ISREG(kind.st_mode)) {
            copy_file(from, to);
            size_t length = strlen(to);
            if (length > 12 && strcmp(to + length - 12, ".safetensors") == 0) {
                snprintf(last_file, sizeof last_file, "%s", to);
            }
        }
    }
    closedir(d);
    snprintf(to, sizeof to, "%s", last_file);
    identity_of(scratch_path("model"), "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[n++]);
    struct stat st;
    assert_int_equal(stat(to, &st), 0);
    FILE *f = fopen(to, "r+b");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    int last = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(last ^ 1, f);
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, to, (struct timespec[]){st.st_atim, st.st_mtim}, 0), 0);
    identity_of(scratch_path("model"), "scalar", EXAONE_PRECISION_AUTO, EXAONE_CACHE_F32, ids[n++]);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(ids[i], ids[k], 32);
        }
    }
}

/* Changes every file of a folder in one way: 0 cuts it, 1 flips a bit in the middle, 2 removes it. Every `step`-th only. */
static size_t damage(const char *dir, int how, size_t step, size_t *seen) {
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            n += damage(path, how, step, seen);
        } else if ((*seen)++ % step == 0) {
            n++;
            if (how == 0) {
                assert_int_equal(truncate(path, st.st_size / 2), 0);
            } else if (how == 2) {
                assert_int_equal(unlink(path), 0);
            } else {
                FILE *f = fopen(path, "r+b");
                assert_non_null(f);
                fseek(f, st.st_size / 2, SEEK_SET);
                int c = fgetc(f);
                fseek(f, st.st_size / 2, SEEK_SET);
                fputc(c ^ 16, f);
                fclose(f);
            }
        }
    }
    closedir(d);
    return n;
}

static void damaged_entries_are_a_miss(void **state) {
    (void)state;
    int32_t ids[MOST];
    fill(ids, MOST, 7);
    exaone_session_options options = {.draft = true};
    exaone_prompt p = {.ids = ids, .n_ids = UNLESS_SANITIZED(640, 256)};
    exaone_engine *e = open_engine(micro, NULL, EXAONE_PRECISION_AUTO);
    for (int how = 0; how < 3; how++) {
        for (size_t step = 1; step < 5; step += 3) {
            const char *dir = fresh("damaged");
            answer first = run_session(e, dir, &options, &p);
            for (size_t skip = 0; skip < step; skip++) {
                size_t seen = skip, before = (size_t)warnings;
                assert_true(damage(dir, how, step, &seen) > 0);
                answer again = run_session(e, dir, &options, &p); /* writes anew what was broken */
                assert_memory_equal(first.ids, again.ids, sizeof first.ids);
                assert_memory_equal(first.logits, again.logits, (STEPS + 1) * first.vocab * sizeof *first.logits);
                free(again.logits);
                assert_true((size_t)warnings <= before + 1);
                assert_true(how != 1 || step > 1 || warnings > 0);
            }
            free(first.logits);
        }
    }
    exaone_engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restart_equals_cold),
        cmocka_unit_test(types_and_batches),
        cmocka_unit_test(drafts),
        cmocka_unit_test(draft_state_is_whole),
        cmocka_unit_test(images_count),
        cmocka_unit_test(shared_beginnings),
        cmocka_unit_test(forks),
        cmocka_unit_test(another_model_is_a_miss),
        cmocka_unit_test(damaged_entries_are_a_miss),
    };
    return cmocka_run_group_tests(tests, NULL, free_colds);
}
