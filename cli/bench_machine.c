/* What the machine can do at most, for `exaone bench`. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const double PEAK_SECONDS = 0.03, READ_SECONDS = 0.2;
static const uint64_t READ_BYTES = 512 << 20; /* more than the caches of nearly any processor hold */

static void read_processor(bench_machine *m) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(m->processor, sizeof m->processor, "unknown processor");
    while (f && fgets(line, sizeof line, f)) {
        char *at = strncmp(line, "model name", 10) == 0 ? strstr(line, ": ") : NULL;
        if (at) {
            at[strcspn(at, "\n")] = 0;
            snprintf(m->processor, sizeof m->processor, "%.127s", at + 2);
            break;
        }
    }
    if (f) {
        fclose(f);
    }
}

static void put(bench_rate *r, double rate) {
    if (r->n < BENCH_MAX_RUNS) {
        r->samples[r->n++] = rate;
    }
}

bool bench_machine_measure(bench_machine *m, int threads) {
    exaone_error err = {0};
    uint64_t quarter = exaone_memory_available() / 4;
    size_t bytes = (size_t)(quarter < READ_BYTES ? quarter : READ_BYTES);
    m->threads = threads;
    read_processor(m);
    int counts[BENCH_MAX_BANDWIDTHS], n = 0; /* 1, 2, 4 … and all threads */
    for (int t = 1; t < threads && n + 1 < BENCH_MAX_BANDWIDTHS; t *= 2) {
        counts[n++] = t;
    }
    counts[n++] = threads;
    exaone_status s = EXAONE_OK;
    for (int i = 0; i < n && s == EXAONE_OK && !cli_interrupted; i++) {
        double rate;
        m->bandwidth[i].threads = counts[i];
        s = exaone_bench_bandwidth(bytes, counts[i], READ_SECONDS, &rate, &err);
        if (s == EXAONE_OK) {
            put(&m->bandwidth[i].rate, rate);
            m->n_bandwidths = (size_t)i + 1 > m->n_bandwidths ? (size_t)i + 1 : m->n_bandwidths;
        }
    }
    exaone_peak peak;
    for (size_t i = 0; i < BENCH_MAX_PEAKS && exaone_bench_peak(i, &peak) && s == EXAONE_OK && !cli_interrupted; i++) {
        double rate;
        m->peaks[i].peak = peak;
        s = exaone_bench_peak_run(i, threads, PEAK_SECONDS, &rate, &err);
        if (s == EXAONE_OK) {
            put(&m->peaks[i].rate, rate);
            m->n_peaks = i + 1 > m->n_peaks ? i + 1 : m->n_peaks;
        }
    }
    if (s != EXAONE_OK) {
        cli_fail(&err);
    }
    return s == EXAONE_OK;
}
