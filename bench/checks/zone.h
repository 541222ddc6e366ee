/* For checks of kernels: memory whose neighbours may not be touched, numbers that look random, and how a check says what is
 * wrong.
 *
 * A piece of memory lies in pages of its own between two pages that nobody may read or write. Where in them it lies is the
 * place of the case; what is left of the pages beside it holds a pattern. */
#ifndef BENCH_CHECKS_ZONE_H
#define BENCH_CHECKS_ZONE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/half.h"

/* Ends where the forbidden page begins; begins where it ends; between, on the least aligned address that is allowed. */
typedef enum { ZONE_ENDS, ZONE_BEGINS, ZONE_ODD, ZONE_PLACES } zone_place;

/* What a check says of itself, in memory that it shares with the process that started it. */
typedef struct check_report {
    char doing[160];  /* the case that is running */
    char failed[240]; /* what is wrong with it */
    size_t cases;
    bool done;
} check_report;

void zone_open(check_report *report);

/* Begins a case, which the text names in reports; what was taken before is given back. */
void zone_case(zone_place place, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* n objects of `size` bytes, aligned to `align`, holding the pattern 0x5a. */
void *zone_take(size_t n, size_t size, size_t align);
/* What was taken until now is read only from here on. */
void zone_seal(void);
/* Fails unless all patterns beside the pieces and all sealed pieces are as they were. */
void zone_check(void);
/* Ends the process unless `ok`. */
void check_that(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline float *zone_floats(size_t n) {
    return zone_take(n, sizeof(float), sizeof(float));
}

uint32_t noise_next(void);
float noise_unit(void); /* -1 .. 1 */
/* 0 .. n - 1: cases choose each of their numbers by itself, so that all pairs come together. */
size_t noise_below(size_t n);
static inline zone_place zone_anywhere(void) {
    return (zone_place)noise_below(ZONE_PLACES);
}

/* The same bits, any NaN being one. */
static inline bool same_bits(float a, float b) {
    return (isnan(a) && isnan(b)) || exaone_f32_bits(a) == exaone_f32_bits(b);
}

/* Numbers at the ends of what a kernel may meet. */
extern const float check_extremes[];
extern const size_t check_n_extremes;

#endif
