/* `exaone bench`: what is measured, and what is made of it. */
#ifndef EXAONE_CLI_BENCH_H
#define EXAONE_CLI_BENCH_H

#include "cli.h"

enum { BENCH_MAX_RUNS = 100, BENCH_MAX_PEAKS = 16, BENCH_MAX_BANDWIDTHS = 8, BENCH_MAX_ITEMS = 40 };

typedef enum { BENCH_ROWS, BENCH_DRAFT, BENCH_VISION, BENCH_LOAD } bench_kind;

/* One thing that is measured, with its runs. */
typedef struct bench_item {
    const char *group; /* "decode", "pass", "prefill", "context", "draft", "image", "video", "load" */
    char name[32];     /* "prefill-512" */
    char text[48];     /* "prefill, 512 rows" */
    bench_kind kind;
    size_t rows, logits, context;                        /* BENCH_ROWS */
    size_t frames, height, width;                        /* BENCH_VISION */
    size_t units;                                        /* what the speed counts: tokens, patches; 0: none */
    const char *unit;                                    /* "tokens/s" */
    size_t n;                                            /* runs done */
    double layer[BENCH_MAX_RUNS], fixed[BENCH_MAX_RUNS]; /* seconds */
    exaone_bench_pass pass;                              /* the last run's cost */
    double spent;                                        /* seconds of all runs */
    const char *why_not;                                 /* NULL, or why there is no run */
} bench_item;

/* A figure of the machine, measured once a round. */
typedef struct bench_rate {
    size_t n;
    double samples[BENCH_MAX_RUNS];
} bench_rate;

typedef struct bench_machine {
    int threads;
    struct {
        int threads;
        bench_rate rate; /* bytes per second */
    } bandwidth[BENCH_MAX_BANDWIDTHS];
    size_t n_bandwidths;
    struct {
        exaone_peak peak;
        bench_rate rate; /* multiply-adds per second with `threads` threads */
    } peaks[BENCH_MAX_PEAKS];
    size_t n_peaks;
    char processor[128];
} bench_machine;

typedef struct bench_result {
    bench_machine machine;
    char model[512];       /* path, or "33b:Q4_K_M" */
    const char *cpu_level; /* kernels in use */
    const char *cache_k, *cache_v;
    int layers, full_layers; /* measured; that a whole model has: results are scaled to these */
    bool synthetic;
    exaone_synthetic_size size; /* of a synthetic model */
    bench_item *items;          /* [n_items] */
    size_t n_items;
    uint64_t resident, huge; /* bytes in memory at the end, those in huge pages; 0: not known */
    double seconds;          /* the whole took */
    bool interrupted;
} bench_result;

/* What a run says when the layers are those of the whole model. */
typedef struct bench_figures {
    double seconds, low, high;        /* of a run as measured: median, least, most */
    double scaled;                    /* the median for all layers */
    double rate;                      /* units per second of `scaled`; 0: none */
    double wall, memory, compute;     /* seconds that nothing beats, as measured: the larger of the two */
    double attention, attention_wall; /* of one row behind a context: beyond the same row without; 0: unknown */
} bench_figures;

double bench_median(const double *values, size_t n); /* 0 of nothing */
bench_figures bench_figures_of(const bench_result *r, const bench_item *item);

typedef enum { BENCH_TABLE, BENCH_JSON, BENCH_CSV } bench_format;
/* Prints to standard output; false (message printed) when that fails. */
bool bench_report(const bench_result *r, bench_format format);

/* Measures the machine once more: threads, processor, bandwidth, peaks. False with the message printed. */
bool bench_machine_measure(bench_machine *m, int threads);

#endif
