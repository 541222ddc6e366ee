/* Products of tiles (kernels.h) with AMX: one instruction multiplies a group of 32 columns of 16 rows of activations by
 * those of 16 weight rows. These are the exact integer sums of avx512vnni/tiles.c and the same f32 chain follows, so that a
 * row's bits are those of that level, which computes the last rows of a call, all of fewer than 32 and the types with groups
 * of 16 (half the products of an instruction): there it is no slower.
 *
 * Measured on a Xeon with 2 cores, ns per 16 rows, 16 outputs and 32 columns: products alone 4.4, stored 7.8, and the f32
 * chain 8 to 10; stores of tiles and the chain do not overlap, whatever the order. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx2/sums.h"

enum { ROWS = 16, FEWEST = 32, GROUP = 32, GROUPS = EXAONE_TILE_COLUMNS / GROUP };

/* Sums of one group of columns. */
typedef struct {
    _Alignas(64) int32_t of[2][ROWS][EXAONE_TILE_OUTPUTS];
} sums;

/* Tiles 0 .. 3: sums; 4, 5: activations; 6, 7: weights. */
static void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes_per_row[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes_per_row[i] = i == 4 || i == 5 ? GROUP : 64;
        shape.rows[i] = i < 6 ? ROWS : GROUP / 4;
    }
    __asm__ volatile("" ::"r"(&shape) : "memory"); /* the intrinsic does not say that it reads all of it */
    _tile_loadconfig(&shape);
}

/* Group g of 16 rows and 32 outputs; c, d, x, w, v: numbers of tiles. */
#define MULTIPLY(g, c, d, a, w, v)                     \
    do {                                               \
        _tile_loadd(c, begin, 0);                      \
        _tile_loadd(d, begin, 0);                      \
        _tile_loadd(a, x->q + GROUP * (g), sizeof *x); \
        _tile_loadd(w, q[0] + 16 * GROUP * (g), 64);   \
        _tile_loadd(v, q[1] + 16 * GROUP * (g), 64);   \
        if (is_signed) {                               \
            _tile_dpbssd(c, a, w);                     \
            _tile_dpbssd(d, a, v);                     \
        } else {                                       \
            _tile_dpbsud(c, a, w);                     \
            _tile_dpbsud(d, a, v);                     \
        }                                              \
    } while (0)

/* All groups of 16 rows and 32 outputs, `n` of them. */
static inline __attribute__((always_inline)) void multiply(sums *to, const exaone_q8_panel *x, const uint8_t *const q[2],
                                                           size_t n, const int is_signed) {
    _Alignas(64) int32_t begin[EXAONE_TILE_OUTPUTS];
    _mm512_store_si512(begin, _mm512_set1_epi32(EXAONE_FLOAT_BITS));
    size_t g = 0;
    for (; g + 2 <= n; g += 2) {
        MULTIPLY(g, 0, 1, 4, 6, 7);
        MULTIPLY(g + 1, 2, 3, 5, 6, 7);
        _tile_stored(0, to[g].of[0], 64);
        _tile_stored(1, to[g].of[1], 64);
        _tile_stored(2, to[g + 1].of[0], 64);
        _tile_stored(3, to[g + 1].of[1], 64);
    }
    if (g < n) {
        MULTIPLY(g, 0, 1, 4, 6, 7);
        _tile_stored(0, to[g].of[0], 64);
        _tile_stored(1, to[g].of[1], 64);
    }
}

/* 16 rows by n groups of 32 outputs. */
static inline __attribute__((always_inline)) void dot_rows(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w,
                                                           const uint8_t *const q[2], size_t n, const int is_signed) {
    sums s[GROUPS];
    multiply(s, x, q, n, is_signed);
    for (size_t o = 0; o < 2; o++, acc += 16, w++) {
        __m512 total[ROWS];
        EACH(r, ROWS) {
            total[r] = _mm512_loadu_ps(acc + 32 * r);
        }
        for (size_t g = 0; g < n; g++) {
            __m512 scale = _mm512_load_ps(w->scale[g]), min = is_signed ? scale : _mm512_load_ps(w->min[g]);
            const char *next = (const char *)(x + ROWS) + (o * GROUPS + g) * (ROWS * sizeof *x / (2 * GROUPS));
            EACH(i, ROWS * sizeof *x / (2 * GROUPS) / 64) {
                _mm_prefetch(next + 64 * i, _MM_HINT_T0);
            }
            EACH(r, ROWS) {
                __m512 t = exaone_scaled_sum(_mm512_load_si512(s[g].of[o][r]), scale, scale, 0);
                total[r] = _mm512_fmadd_ps(t, _mm512_set1_ps(x[r].scale[g]), total[r]);
                total[r] = is_signed ? total[r] : _mm512_fnmadd_ps(min, _mm512_set1_ps(x[r].of.sum[g]), total[r]);
            }
        }
        EACH(r, ROWS) {
            _mm512_storeu_ps(acc + 32 * r, total[r]);
        }
    }
}

static void dot_signed(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w, const uint8_t *const q[2], size_t n) {
    dot_rows(acc, x, w, q, n, 1);
}

static void dot_unsigned(float *acc, const exaone_q8_panel *x, const exaone_q8_tile *w, const uint8_t *const q[2],
                         size_t n) {
    dot_rows(acc, x, w, q, n, 0);
}

/* Bytes without their offset. */
static void make_signed(uint8_t *to, const exaone_q8_tile *w, size_t n, int offset) {
    const __m512i off = _mm512_set1_epi8((char)offset);
    for (size_t i = 0; i < n / 4; i++) {
        _mm512_store_si512(to + 64 * i, _mm512_sub_epi8(_mm512_load_si512(w->q[i]), off));
    }
}

static void dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group,
                      int offset, int bits, const exaone_q8_fetch *next) {
    _Alignas(64) uint8_t bytes[2][EXAONE_TILE_COLUMNS * EXAONE_TILE_OUTPUTS];
    size_t whole = group == GROUP && n_rows >= FEWEST ? n_rows / ROWS * ROWS : 0;
    if (whole > 0) {
        const uint8_t *q[2] = {w[0].q[0], w[1].q[0]};
        for (size_t o = 0; o < 2 && offset; o++) {
            make_signed(bytes[o], &w[o], n, offset);
            q[o] = bytes[o];
        }
        for (size_t r = 0; r < whole; r += ROWS) {
            (offset ? dot_signed : dot_unsigned)(acc + 32 * r, x + r, w, q, n / GROUP);
        }
    }
    if (whole < n_rows) {
        exaone_avx512vnni_dot_tiles(acc + 32 * whole, x + whole, n_rows - whole, w, n, group, offset, bits,
                                    whole ? NULL : next);
    }
}

static void tiles_end(void) {
    _tile_release();
}

void exaone_kernels_amx_tiles(exaone_kernels *k) {
    k->tiles_begin = tiles_begin;
    k->tiles_end = tiles_end;
    k->dot_tiles = dot_tiles;
}
#endif
