/* AMX kernels of BF16 matrices. Activations come as three bf16 planes, high + middle + low, whose sum is the f32 number
 * exactly (but for what is below 2^-133): 24 bits of a significand are three times 8. So the products are those of f32
 * numbers, at a third of the peak.
 *
 * A weight tile is 16 outputs by 32 columns, an activation tile 16 pairs of columns by up to 16 rows. One output is a chain
 * over rising steps of 32 columns and in each the planes high, middle, low: the same whatever the number of rows and outputs
 * of the call. TDPBF16PS takes numbers below 2^-126 for zero and makes such sums zero: that is off by less than
 * 2^-126 * (|x| + |w|) per term, nothing beside the rounding of any sum that matters. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>

enum { STEP = EXAONE_PLANE_STEP, TILE = EXAONE_PLANE_ROWS, PLANES = 3, TILE_NUMBERS = 512, STRAIGHT_AHEAD = 1024 };

enum { INFINITE = 0x18, NAN_OF_ANY_KIND = 0x81, NOT_FINITE = INFINITE | NAN_OF_ANY_KIND }; /* of VFPCLASSPS */

/* Registers 0 to 3: sums, 4 and 5: weights, 6 and 7: activations. */
typedef struct {
    uint8_t palette, start_row, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* ---- activations ---------------------------------------------------------------------------------------------------------
 */

static inline __attribute__((always_inline)) void transpose_16(__m512i x[16]) {
    __m512i t[16];
#pragma GCC unroll 8
    for (size_t i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* x[4 b + c], lane block l: column 4 l + c of rows 4 b .. 4 b + 3 */
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++) {
        __m512i low_01 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x44),
                low_23 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x44);
        __m512i high_01 = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xee);
        __m512i high_23 = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xee);
        t[c] = _mm512_shuffle_i32x4(low_01, low_23, 0x88);
        t[4 + c] = _mm512_shuffle_i32x4(low_01, low_23, 0xdd);
        t[8 + c] = _mm512_shuffle_i32x4(high_01, high_23, 0x88);
        t[12 + c] = _mm512_shuffle_i32x4(high_01, high_23, 0xdd);
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        x[i] = t[i];
    }
}

/* The upper 16 bits of x, the rest of it left: 0 when x is no finite number. A NaN stays one. */
static inline __m512i cut(__m512i *x) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    __m512i high = _mm512_and_si512(*x, upper);
    __m512 value = _mm512_castsi512_ps(*x);
    __mmask16 infinite = _mm512_fpclass_ps_mask(value, INFINITE), nan = _mm512_fpclass_ps_mask(value, NAN_OF_ANY_KIND);
    *x = _mm512_castps_si512(_mm512_maskz_sub_ps((__mmask16) ~(infinite | nan), value, _mm512_castsi512_ps(high)));
    return _mm512_mask_or_epi32(high, nan, high, _mm512_set1_epi32(0x00400000));
}

/* Two columns of bf16 numbers that are the upper halves of their lanes. */
static inline __m512i pair(__m512i even, __m512i odd) {
    return _mm512_mask_mov_epi16(_mm512_srli_epi32(even, 16), 0xaaaaaaaa, odd);
}

static void planes_split(uint16_t *out, const float *x, size_t x_stride, size_t n_rows, size_t width, size_t n) {
    __mmask16 stored = (__mmask16)((1u << width) - 1);
    for (size_t i = 0; i < n; i += STEP) {
        size_t pairs = width * 2, plane = pairs * (STEP / 2);
        for (size_t half = 0; half < STEP; half += 16, out += pairs * 8) {
            size_t left = i + half < n ? n - i - half : 0;
            __mmask16 m = (__mmask16)(left >= 16 ? 0xffffu : (1u << left) - 1);
            __m512i v[16];
#pragma GCC unroll 16
            for (size_t r = 0; r < 16; r++) {
                v[r] = r < n_rows ? _mm512_castps_si512(_mm512_maskz_loadu_ps(m, x + r * x_stride + i + half))
                                  : _mm512_setzero_si512();
            }
            transpose_16(v);
#pragma GCC unroll 8
            for (size_t c = 0; c < 16; c += 2) {
#pragma GCC unroll 3
                for (size_t p = 0; p < PLANES; p++) {
                    __m512i even = cut(&v[c]), odd = cut(&v[c + 1]);
                    _mm512_mask_storeu_epi32(out + p * plane + c / 2 * pairs, stored, pair(even, odd));
                }
            }
        }
        out += (PLANES - 1) * plane;
    }
}

/* ---- weights -------------------------------------------------------------------------------------------------------------
 */

static void planes_weights(uint16_t *out, const uint16_t *w, size_t w_stride, size_t n_out, size_t n) {
    size_t stride = exaone_plane_stride(n);
    for (size_t o = 0; o < 2 * TILE; o++) {
        for (size_t i = 0; i < n; i += STEP) {
            __mmask32 m = o >= n_out ? 0 : n - i >= STEP ? 0xffffffffu : (1u << (n - i)) - 1;
            _mm512_storeu_si512(out + o * stride + i, _mm512_maskz_loadu_epi16(m, w + o * w_stride + i));
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------------------------
 */

/* What a product asks for on the way: at each of its steps a line of some rows of weights, and some lines of the planes of
 * the next rows. */
typedef struct {
    const char *weights, *planes;
    size_t weights_stride, n_weights, planes_stride, n_planes; /* strides in bytes, lines per step */
} ahead;

/* Macros, here and below: gcc 12 takes a function that only prefetches for one that does nothing. */
#define FETCH(f, s)                                                                    \
    for (size_t line = 0; line < (f)->n_weights; line++) {                             \
        _mm_prefetch((f)->weights + line * (f)->weights_stride + (s)*64, _MM_HINT_T1); \
    }                                                                                  \
    for (size_t line = 0; line < (f)->n_planes; line++) {                              \
        const char *piece = (f)->planes + ((s) * (f)->n_planes + line) * 64;           \
        _mm_prefetch(piece, _MM_HINT_T1);                                              \
        _mm_prefetch(piece + (f)->planes_stride, _MM_HINT_T1);                         \
    }

/* All columns of 32 outputs by 16 or (b not NULL) 32 rows. */
#define STEPS(TWO)                                         \
    for (size_t s = 0; s < steps; s++, w += STEP) {        \
        _tile_loadd(4, w, 2 * w_stride);                   \
        _tile_loadd(5, w + TILE * w_stride, 2 * w_stride); \
        FETCH(f, s)                                        \
        for (size_t p = 0; p < PLANES; p++, at += tile) {  \
            _tile_loadd(6, a + at, stride);                \
            if (TWO) {                                     \
                _tile_loadd(7, b + at, stride);            \
            }                                              \
            _tile_dpbf16ps(0, 4, 6);                       \
            _tile_dpbf16ps(1, 5, 6);                       \
            if (TWO) {                                     \
                _tile_dpbf16ps(2, 4, 7);                   \
                _tile_dpbf16ps(3, 5, 7);                   \
            }                                              \
        }                                                  \
    }

static inline __attribute__((always_inline)) void product(float *acc, const uint16_t *a, const uint16_t *b,
                                                          const uint16_t *w, size_t steps, size_t width, bool first,
                                                          const ahead *f) {
    size_t stride = 4 * width, tile = 2 * width * (STEP / 2), w_stride = exaone_plane_stride(steps * STEP), at = 0;
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, acc, 64);
        _tile_loadd(1, acc + 256, 64);
        if (b) {
            _tile_loadd(2, acc + 512, 64);
            _tile_loadd(3, acc + 768, 64);
        }
    }
    if (b) {
        STEPS(true)
    } else {
        STEPS(false)
    }
    _tile_stored(0, acc, 64);
    _tile_stored(1, acc + 256, 64);
    if (b) {
        _tile_stored(2, acc + 512, 64);
        _tile_stored(3, acc + 768, 64);
    }
}

/* The shapes of tiles for planes of a width. */
static inline __attribute__((always_inline)) void configure(size_t width, size_t outputs) {
    _Alignas(64)
        tile_config config = {.palette = 1}; /* gcc stores it with one aligned instruction, also on a checked stack */
    for (size_t i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)(i < 6 ? outputs : TILE);
        config.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? 64 : 4 * width);
    }
    __asm__ volatile("" : : "m"(config) : "memory");
    _tile_loadconfig(&config);
}

static inline void release(void) {
    _tile_release();
    __asm__ volatile("" : : : "memory");
}

static void planes_dot(float *acc, const uint16_t *x, size_t x_stride, size_t n_rows, size_t width, const uint16_t *w,
                       size_t n_pairs, size_t n, bool first, const exaone_plane_fetch *next) {
    size_t steps = (n + STEP - 1) / STEP, turns = (n_rows + 2 * TILE - 1) / (2 * TILE) * n_pairs, turn = 0;
    size_t rows_per_turn = next ? (next->n_rows + turns - 1) / turns : 0;
    size_t planes_per_step = (PLANES * 2 * TILE_NUMBERS / 64 + n_pairs - 1) / n_pairs;
    configure(width, TILE);
    for (size_t r = 0; r < n_rows; r += 2 * TILE) {
        const uint16_t *a = x + r / TILE * x_stride, *b = n_rows - r > TILE ? a + x_stride : NULL;
        for (size_t o = 0; o < n_pairs; o++, turn++) {
            ahead f = {.planes = (const char *)(a + 2 * x_stride) + o * steps * planes_per_step * 64,
                       .planes_stride = 2 * x_stride,
                       .n_planes = n_rows - r > 3 * TILE ? planes_per_step : 0};
            if (turn * rows_per_turn < (next ? next->n_rows : 0)) {
                f.weights = (const char *)(next->rows + turn * rows_per_turn * next->stride);
                f.weights_stride = 2 * next->stride;
                f.n_weights = rows_per_turn;
            }
            product(acc + turn * 4 * TILE * TILE, a, b, w + o * 2 * TILE * exaone_plane_stride(n), steps, width, first, &f);
        }
    }
    release();
}

/* 16 outputs, or `outputs` of them, by 16 or (b not NULL) 32 rows, the weights straight from memory. */
static inline __attribute__((always_inline)) void straight(float *acc, const uint16_t *a, const uint16_t *b, size_t width,
                                                           const uint16_t *w, size_t w_stride, size_t outputs, size_t n) {
    size_t stride = 4 * width, tile = 2 * width * (STEP / 2), at = 0, whole = n / STEP * STEP;
    uint16_t last[TILE][STEP];
    for (size_t o = 0; o < outputs && whole < n; o++) {
        _mm512_storeu_si512(last[o], _mm512_maskz_loadu_epi16((1u << (n - whole)) - 1, w + o * w_stride + whole));
    }
    __asm__ volatile("" : : "m"(last) : "memory");
    _tile_zero(0);
    _tile_zero(2);
    for (size_t i = 0; i < n; i += STEP) {
        /* behind the end of these rows: the next 16 */
        const uint16_t *soon = w + i + STRAIGHT_AHEAD + (i + STRAIGHT_AHEAD < n ? 0 : TILE * w_stride - n);
#pragma GCC unroll 16
        for (size_t o = 0; o < TILE; o++) {
            _mm_prefetch((const char *)(soon + o * w_stride), _MM_HINT_T0);
        }
        if (i < whole) {
            _tile_loadd(4, w + i, 2 * w_stride);
        } else {
            _tile_loadd(4, last, 2 * STEP);
        }
        for (size_t p = 0; p < PLANES; p++, at += tile) {
            _tile_loadd(6, a + at, stride);
            _tile_dpbf16ps(0, 4, 6);
            if (b) {
                _tile_loadd(7, b + at, stride);
                _tile_dpbf16ps(2, 4, 7);
            }
        }
    }
    _tile_stored(0, acc, 64);
    if (b) {
        _tile_stored(2, acc + 2 * TILE * TILE, 64);
    }
}

static void planes_straight(float *acc, const uint16_t *x, size_t x_stride, size_t n_rows, size_t width, const uint16_t *w,
                            size_t w_stride, size_t n_out, size_t n) {
    const uint16_t *b = n_rows > TILE ? x + x_stride : NULL;
    configure(width, TILE);
    for (size_t o = 0; o < n_out; o += TILE, w += TILE * w_stride) {
        float *to = acc + (o / (2 * TILE) * 4 + o / TILE % 2) * TILE * TILE;
        size_t outputs = n_out - o < TILE ? n_out - o : TILE;
        if (outputs < TILE) {
            configure(width, outputs);
        }
        if (b) {
            straight(to, x, b, width, w, w_stride, outputs, n);
        } else {
            straight(to, x, NULL, width, w, w_stride, outputs, n);
        }
    }
    release();
}

/* One tile of sums, [output][row]. */
static inline bool tile_out(float *out, size_t out_stride, const float *acc, size_t n_rows, const float *bias,
                            size_t n_out) {
    __mmask16 m = (__mmask16)(n_out >= 16 ? 0xffffu : (1u << n_out) - 1);
    __m512 b = bias ? _mm512_maskz_loadu_ps(m, bias) : _mm512_setzero_ps();
    __m512i v[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        v[i] = _mm512_loadu_si512(acc + i * 16);
    }
    transpose_16(v);
    __mmask16 odd = 0;
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        if (i < n_rows) {
            __m512 sum = _mm512_add_ps(_mm512_castsi512_ps(v[i]), b);
            odd |= _mm512_fpclass_ps_mask(sum, NOT_FINITE);
            _mm512_mask_storeu_ps(out + i * out_stride, m, sum);
        }
    }
    return (odd & m) == 0;
}

static bool planes_out(float *out, size_t out_stride, const float *acc, size_t n_rows, const float *bias, size_t n_out) {
    bool finite = true;
    for (size_t r = 0; r < n_rows; r += 2 * TILE) {
        for (size_t o = 0; o < n_out; o += 2 * TILE) {
            for (size_t t = 0; t < 4; t++, acc += TILE * TILE) {
                size_t at = r + t / 2 * TILE, first = o + t % 2 * TILE;
                if (at < n_rows && first < n_out) {
                    finite &= tile_out(out + at * out_stride + first, out_stride, acc, n_rows - at,
                                       bias ? bias + first : NULL, n_out - first);
                }
            }
        }
    }
    return finite;
}

void exaone_kernels_amx(exaone_kernels *k) {
    k->planes_split = planes_split;
    k->planes_weights = planes_weights;
    k->planes_dot = planes_dot;
    k->planes_straight = planes_straight;
    k->planes_out = planes_out;
}
#endif
