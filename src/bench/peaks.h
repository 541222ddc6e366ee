/* Loops that only multiply and add in registers, one per kind and instruction set: what the processor can do at most. */
#ifndef EXAONE_BENCH_PEAKS_H
#define EXAONE_BENCH_PEAKS_H

#include <stddef.h>
#include <stdint.h>

#include "exaone/bench.h"

typedef struct exaone_peak_loop {
    exaone_peak peak;
    uint64_t macs;                 /* multiply-adds per turn */
    int (*present)(void);          /* can this processor run it? */
    uint32_t (*run)(size_t turns); /* the result keeps the compiler from leaving the work out */
} exaone_peak_loop;

extern const exaone_peak_loop exaone_peak_loops[];
extern const size_t exaone_n_peak_loops;

/* Reads n bytes (a multiple of 256, aligned to 64) once from begin to end, asking for lines ahead or leaving that to the
 * hardware: which is faster differs. */
uint64_t exaone_peak_read(const uint8_t *p, size_t n, bool ahead);

#endif
