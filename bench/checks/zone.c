/* Memory between forbidden pages, noise, and reports of checks. */
#include "zone.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECES = 16, ROOM = 4 << 20, BESIDE = 192, PATTERN = 0x5a };

typedef struct piece {
    uint8_t *room; /* [ROOM], a forbidden page on either side; NULL: not mapped yet */
    uint8_t *begin, *end;
    uint64_t sum; /* of a sealed piece */
} piece;

static struct {
    check_report *report;
    piece pieces[PIECES];
    size_t used, sealed;
    zone_place place;
    uint64_t noise;
} zone;

const float check_extremes[] = {0,     -0.0f,  1e-45f,  -1e-40f,  0x1p-126f, 0x1p-101f, 0x1p-100f, 1e-20f,
                                65504, -1e20f, 3.4e38f, -3.4e38f, INFINITY,  -INFINITY, NAN};
const size_t check_n_extremes = sizeof check_extremes / sizeof *check_extremes;

uint32_t noise_next(void) {
    zone.noise = zone.noise * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(zone.noise >> 32);
}

float noise_unit(void) {
    return (float)((double)noise_next() * 0x1p-31 - 1.0);
}

size_t noise_below(size_t n) {
    return noise_next() % n;
}

void zone_open(check_report *report) {
    zone.report = report;
    zone.noise = 42;
}

void check_that(bool ok, const char *format, ...) {
    if (!ok) {
        va_list args;
        va_start(args, format);
        vsnprintf(zone.report->failed, sizeof zone.report->failed, format, args);
        va_end(args);
        _exit(1);
    }
}

void zone_case(zone_place place, const char *format, ...) {
    static const char *const places[] = {"before a page end", "behind a page end", "on an odd address"};
    char text[100];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(zone.report->doing, sizeof zone.report->doing, "%s, memory %s", text, places[place]);
    zone.report->cases++;
    zone.place = place;
    zone.used = zone.sealed = 0;
}

static uint8_t *map_room(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, ROOM + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_that(p != MAP_FAILED && mprotect(p + page, ROOM, PROT_READ | PROT_WRITE) == 0, "no memory for the check itself");
    return p + page;
}

static void pattern_beside(const piece *p, uint8_t **before, size_t *n_before, size_t *n_behind) {
    size_t left = (size_t)(p->begin - p->room), right = (size_t)(p->room + ROOM - p->end);
    *n_before = left < BESIDE ? left : BESIDE;
    *n_behind = right < BESIDE ? right : BESIDE;
    *before = p->begin - *n_before;
}

void *zone_take(size_t n, size_t size, size_t align) {
    size_t bytes = n * size;
    check_that(zone.used < PIECES && bytes + 1024 <= ROOM, "the check needs more memory than it has");
    piece *p = &zone.pieces[zone.used++];
    if (!p->room) {
        p->room = map_room();
    }
    p->begin = p->room;
    if (zone.place == ZONE_ENDS) {
        p->begin += (ROOM - bytes) / align * align;
    } else if (zone.place == ZONE_ODD) {
        p->begin += 256 + align;
    }
    p->end = p->begin + bytes;
    uint8_t *before;
    size_t n_before, n_behind;
    pattern_beside(p, &before, &n_before, &n_behind);
    memset(before, PATTERN, n_before + bytes + n_behind);
    return p->begin;
}

static uint64_t sum_of(const piece *p) { /* FNV-1a over words and then bytes */
    uint64_t sum = 14695981039346656037u, word;
    const uint8_t *at = p->begin;
    for (; p->end - at >= 8; at += 8) {
        memcpy(&word, at, sizeof word);
        sum = (sum ^ word) * 1099511628211u;
    }
    for (; at < p->end; at++) {
        sum = (sum ^ *at) * 1099511628211u;
    }
    return sum;
}

void zone_seal(void) {
    for (zone.sealed = 0; zone.sealed < zone.used; zone.sealed++) {
        zone.pieces[zone.sealed].sum = sum_of(&zone.pieces[zone.sealed]);
    }
}

void zone_check(void) {
    for (size_t i = 0; i < zone.used; i++) {
        const piece *p = &zone.pieces[i];
        uint8_t *before;
        size_t n_before, n_behind;
        pattern_beside(p, &before, &n_before, &n_behind);
        for (size_t k = 0; k < n_before; k++) {
            check_that(p->begin[-1 - (ptrdiff_t)k] == PATTERN, "it writes %zu bytes before its memory", k + 1);
        }
        for (size_t k = 0; k < n_behind; k++) {
            check_that(p->end[k] == PATTERN, "it writes %zu bytes behind its memory", k + 1);
        }
        check_that(i >= zone.sealed || sum_of(p) == p->sum, "it changes what it should only read");
    }
}
