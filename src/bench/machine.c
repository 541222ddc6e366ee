/* What the machine can do at most: peaks of arithmetic and the bandwidth of reading. */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/error.h"
#include "base/pool.h"
#include "bench/clock.h"
#include "bench/peaks.h"

enum { SLICE = 1 << 20, WARM_TURNS = 2000, PIECES = 5 };

/* ---- arithmetic ---- */

static const exaone_peak_loop *loop_at(size_t i) {
    for (size_t k = 0; k < exaone_n_peak_loops; k++) {
        if (exaone_peak_loops[k].present() && i-- == 0) {
            return &exaone_peak_loops[k];
        }
    }
    return NULL;
}

bool exaone_bench_peak(size_t i, exaone_peak *out) {
    const exaone_peak_loop *loop = loop_at(i);
    if (loop) {
        *out = loop->peak;
    }
    return loop;
}

/* Levels of kernels, lowest first; one that is not known may use everything. */
static size_t rank_of(const char *level) {
    static const char *const ladder[] = {"scalar", "neon",        "dotprod",     "avx2", "avx-vnni",
                                         "avx512", "avx512-vnni", "avx512-bf16", "amx"};
    size_t n = sizeof ladder / sizeof ladder[0], i = 0;
    while (i < n && strcmp(ladder[i], level) != 0) {
        i++;
    }
    return i;
}

bool exaone_bench_peak_within(const exaone_peak *peak, const char *cpu_level) {
    return rank_of(peak->level) <= rank_of(cpu_level);
}

typedef struct turns {
    const exaone_peak_loop *loop;
    size_t turns;
    uint32_t result; /* of one worker: only there to be used */
} turns;

static void run_turns(void *arg, int worker, size_t begin, size_t end) {
    turns *t = arg;
    for (; begin < end; begin++) {
        uint32_t result = t->loop->run(t->turns);
        if (worker == 0) {
            t->result = result;
        }
    }
}

exaone_status exaone_bench_peak_run(size_t i, int threads, double seconds, double *macs_per_second, exaone_error *err) {
    const exaone_peak_loop *loop = loop_at(i);
    exaone_pool *pool;
    if (!loop) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "peak %zu: this machine has fewer", i);
    }
    exaone_status status = exaone_pool_new(threads, &pool, err);
    if (status != EXAONE_OK) {
        return status;
    }
    turns t = {.loop = loop, .turns = WARM_TURNS};
    double best = 0;
    for (int n = 0; n < PIECES;
         n++) { /* a piece is doubled until it is long enough; the best of the pieces that are counts */
        double begin = exaone_clock();
        exaone_pool_run(pool, (size_t)threads, 1, run_turns, &t);
        double took = exaone_clock() - begin, rate = (double)loop->macs * (double)t.turns * (double)threads / took;
        best = rate > best ? rate : best;
        if (took < seconds / PIECES) {
            t.turns *= 2;
            n = -1;
        }
    }
    exaone_pool_free(pool);
    *macs_per_second = best;
    return EXAONE_OK;
}

/* ---- reading ---- */

typedef struct reading {
    const uint8_t *bytes;
    bool ahead;
    uint64_t result;
} reading;

static void read_slices(void *arg, int worker, size_t begin, size_t end) {
    reading *r = arg;
    uint64_t result = exaone_peak_read(r->bytes + begin * SLICE, (end - begin) * SLICE, r->ahead);
    if (worker == 0) {
        r->result ^= result;
    }
}

exaone_status exaone_bench_bandwidth(size_t bytes, int threads, double seconds, double *bytes_per_second,
                                     exaone_error *err) {
    size_t slices = (bytes + SLICE - 1) / SLICE, size = slices * SLICE;
    exaone_pool *pool;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return exaone_fail_memory(err, "the memory that is read", size);
    }
    (void)madvise(memory, size, MADV_HUGEPAGE); /* only a wish */
    exaone_status status = exaone_pool_new(threads, &pool, err);
    if (status == EXAONE_OK) {
        memset(memory, 1, size); /* untouched pages are all the same page of zeros */
        reading r = {.bytes = memory};
        double best = 0, start = exaone_clock();
        do {
            double begin = exaone_clock();
            exaone_pool_run(pool, slices, 4, read_slices, &r);
            double took = exaone_clock() - begin;
            best = (double)size / took > best ? (double)size / took : best;
            r.ahead = !r.ahead;
        } while (exaone_clock() - start < seconds);
        *bytes_per_second = best;
        exaone_pool_free(pool);
    }
    munmap(memory, size);
    return status;
}
