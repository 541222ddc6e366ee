/* The CPU kernel table: pointers and sizes only, no model, no threads, no allocation.
 *
 * Every level may replace an entry; the plain C version (scalar/) is the specification and accumulates in double. Within one
 * level the value of one output does not depend on how many rows or outputs a call computes. */
#ifndef EXAONE_CPU_KERNELS_H
#define EXAONE_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/blocks.h"

/* out[r * out_stride + o] = sum_i x[r * x_stride + i] * w[o * n_in + i] + (bias ? bias[o] : 0), r < n_rows, o < n_out */
typedef void exaone_kernel_matmul(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows,
                                  const void *w, const float *bias, size_t n_out, size_t n_in);

/* Rows of activations as 8-bit integers in groups of 32: x[i] ~ scale[i / 32] * q[i], q in -127 .. 127, scale = max |x| /
 * 127 (of a group with a NaN or an infinity: NaN, so that the product shows it). sum_G[g] = scale * (sum of q over G
 * elements): what a weight's min is multiplied with. Row r of each array starts at r times its length per row. */
typedef struct exaone_q8_rows {
    int8_t *q;              /* [rows, n] */
    float *scale;           /* [rows, n / 32] */
    float *sum_16, *sum_32; /* [rows, n / 16], [rows, n / 32] */
} exaone_q8_rows;

/* One row of weights taken apart (tensor/blocks.h). */
typedef struct exaone_q8_weights {
    const int8_t *q;    /* [n] */
    const float *scale; /* [n / group] */
    const float *min;   /* [n / group], NULL: none */
    size_t group;       /* 16 or 32 */
} exaone_q8_weights;

/* ---- tiles: products whose lanes are outputs. A level has all of their kernels or none. ---------------------------------
 */

enum { EXAONE_TILE_OUTPUTS = 16, EXAONE_TILE_COLUMNS = 256, EXAONE_TILE_QUADS = EXAONE_TILE_COLUMNS / 4 };

/* Up to 256 columns of 16 weight rows: value = scale * (q - offset) - min; offset is a number of the type, and only types
 * with offset 0 have a min. q < 2^bits, a number of the type too; q - offset < 128 when there is an offset. A scale has at
 * most 22 significant bits, so that a small integer times it is exact. 64-byte aligned. */
typedef struct exaone_q8_tile {
    uint8_t q[EXAONE_TILE_QUADS][EXAONE_TILE_OUTPUTS * 4];      /* [column / 4][output, column % 4] */
    float scale[EXAONE_TILE_COLUMNS / 16][EXAONE_TILE_OUTPUTS]; /* [column / group][output] */
    float min[EXAONE_TILE_COLUMNS / 16][EXAONE_TILE_OUTPUTS];
} exaone_q8_tile;

/* The same columns of one row of activations: q and scale as in exaone_q8_rows. */
typedef struct exaone_q8_panel {
    int8_t q[EXAONE_TILE_COLUMNS];
    float scale[EXAONE_TILE_COLUMNS / 32];
    union {
        int32_t start[EXAONE_TILE_COLUMNS / 16]; /* tile_start - offset * (sum of q over a group): its integer sum's begin */
        float sum[EXAONE_TILE_COLUMNS / 16];     /* offset 0: scale * (sum of q over a group) */
    } of;
    float unused[8]; /* 384 bytes */
} exaone_q8_panel;

/* ---- chains: products with matrices of plain types. At a level that has this kernel, an output of matmul_f32, _bf16 and
 * _f16 is the sum over blocks of 512 columns of each block's sum, before the bias; so a product of many rows can go block by
 * block and has the same bits.
 * ------------------------------------------------------------------------------------------------
 */

enum { EXAONE_CHAIN_COLUMNS = 512, EXAONE_CHAIN_STRIDE = EXAONE_CHAIN_COLUMNS + 16 }; /* of a block; of rows in memory */

/* ---- planes: BF16 matrices by rows of f32, each number of which is a sum of three bf16 numbers. A level has all of their
 * kernels or none. -------------------------------------------------------------------------------------------------------
 */

enum { EXAONE_PLANES = 3, EXAONE_PLANE_ROWS = 16, EXAONE_PLANE_STEP = 32, EXAONE_PLANE_OUTPUTS = 32 };

/* Numbers from row to row of weights that were brought together: an odd number of steps, so that rows never meet in the same
 * sets of a cache. */
static inline size_t exaone_plane_stride(size_t n) {
    return (((n + EXAONE_PLANE_STEP - 1) / EXAONE_PLANE_STEP) | 1) * EXAONE_PLANE_STEP;
}

/* Weights that are wanted next, or NULL: n_rows rows, `stride` numbers apart, of as many columns as those in work. */
typedef struct exaone_plane_fetch {
    const uint16_t *rows;
    size_t stride, n_rows;
} exaone_plane_fetch;

/* Memory that is wanted soon: `bytes` of each of 32 rows, no row that begins at `end` or behind it. */
typedef struct exaone_q8_fetch {
    const uint8_t *rows, *end;
    size_t stride, bytes;
} exaone_q8_fetch;

/* n columns of 16 rows of a block type, `stride` bytes apart. */
typedef void exaone_unpack_tile_fn(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n);

/* n columns of 16 rows of a block type, `stride` bytes apart, by one row of activations: adds to acc [16]. */
typedef void exaone_one_row_fn(float *acc, const exaone_q8_panel *x, const uint8_t *rows, size_t stride, size_t n,
                               const exaone_q8_fetch *next);

/* One line per kernel: name, type of its parameters. */
#define EXAONE_KERNELS(K)                                                                                                 \
    K(matmul_f32, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t))    \
    K(matmul_bf16, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t))   \
    K(matmul_f16, void, (float *, size_t, const float *, size_t, size_t, const void *, const float *, size_t, size_t))    \
    /* out = w * x / sqrt(mean(x^2) + eps) over n values; out may be x */                                                 \
    K(rms_norm, void, (float *out, const float *x, const float *w, size_t n, float eps))                                  \
    /* gate = gate / (1 + exp(-gate)) * up */                                                                             \
    K(silu_mul, void, (float *gate, const float *up, size_t n))                                                           \
    /* *max = m = max(*max, scale * x); x = exp(scale * x - m), returns the sum; all 0 when m is -infinity; n >= 1. A NaN \
     * is passed over by max and stays in x and in the sum */                                                             \
    K(softmax_exp, float, (float *x, size_t n, float scale, float *max))                                                  \
    /* out[r][c] += sum_i a[r][i] * b[i][c], r < n_rows, c < n, i < depth rising: one multiply-add after the other */     \
    K(add_product_f32, void,                                                                                              \
      (float *out, size_t out_stride, const float *a, size_t a_stride, size_t n_rows, const void *b, size_t b_stride,     \
       size_t n, size_t depth))                                                                                           \
    /* the same with b of 16-bit numbers */                                                                               \
    K(add_product_f16, void, (float *, size_t, const float *, size_t, size_t, const void *, size_t, size_t, size_t))      \
    K(add_product_bf16, void, (float *, size_t, const float *, size_t, size_t, const void *, size_t, size_t, size_t))     \
    /* out[c][r] = x[r][c], r < n_rows, c < n */                                                                          \
    K(transpose, void, (float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, size_t n))

/* Kernels of block types; n is a multiple of 32. */
#define EXAONE_KERNELS_Q8(K)                                                                                           \
    /* one row of exaone_q8_rows */                                                                                    \
    K(quantize_q8, void, (int8_t * q, float *scale, float *sum_16, float *sum_32, const float *x, size_t n))           \
    /* out[i] = scale[i / group] * q[i] - min[i / group], each step rounded: the same bits at every level */           \
    K(unpacked_to_f32, void, (float *out, const exaone_q8_weights *w, size_t n))                                       \
    /* out[r * out_stride] = bias + sum_i x[r][i] * w[i]: exact integer sums per group, then f32 over rising groups */ \
    K(dot_q8, void,                                                                                                    \
      (float *out, size_t out_stride, const exaone_q8_rows *x, size_t n_rows, const exaone_q8_weights *w, size_t n,    \
       float bias))

#define EXAONE_KERNELS_TILES(K)                                                                                          \
    /* one row of activations as panels, `stride` panels apart */                                                        \
    K(panels_q8, void, (exaone_q8_panel * out, size_t stride, const float *x, size_t n, size_t group, int offset))       \
    /* n_rows panels by two tiles, n columns: adds to acc [n_rows, 32] group by group */                                 \
    K(dot_tiles, void,                                                                                                   \
      (float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n, size_t group, int offset, \
       int bits, const exaone_q8_fetch *next))                                                                           \
    /* 16 rows taken apart, 256 bytes, 16 scales and 16 mins apart, as a tile of offset 128, or 0 when there are mins */ \
    K(interleave, void, (exaone_q8_tile * to, const exaone_q8_weights *rows, size_t n))

#define EXAONE_KERNELS_CHAINS(K)                                                                                            \
    /* a block of n columns of n_rows rows by n_out outputs, multiples of 16, 6 and 4: adds to acc [n_rows, n_out], or      \
     * begins it when `first`. 64-byte aligned; of x and w EXAONE_CHAIN_STRIDE from row to row, zeros where the matrix ends \
     */                                                                                                                     \
    K(chains_add, void,                                                                                                     \
      (float *acc, size_t acc_stride, const float *x, const float *w, size_t n_rows, size_t n_out, size_t n, bool first))

/* Of n columns of a block, the first: the others are a second chain, which halves the rounding errors. */
#define EXAONE_CHAIN_LOWER(n) (((n) + 15) / 32 * 16)

/* `width` of up to 16 rows together: the next power of two when a call has fewer rows than 16, else 16. The columns go in
 * steps of 32, the last filled up with zeros. */
#define EXAONE_KERNELS_PLANES(K)                                                                                            \
    /* up to 16 rows as planes [steps][3][16 pairs of columns][width][2]; of a number that is not finite, the lower two are \
     * 0 */                                                                                                                 \
    K(planes_split, void, (uint16_t * out, const float *x, size_t x_stride, size_t n_rows, size_t width, size_t n))         \
    /* up to 32 rows of a matrix as [32][exaone_plane_stride(n)], with zeros up to a whole step and in rows that there are  \
     * not */                                                                                                               \
    K(planes_weights, void, (uint16_t * out, const uint16_t *w, size_t w_stride, size_t n_out, size_t n))                   \
    /* n_rows rows of planes, x_stride numbers from 16 to 16, by n_pairs times 32 outputs, n columns: adds to acc           \
     * [n_rows / 32][n_pairs][2 times 16 rows][2 times 16 outputs][16 outputs][16 rows], or begins it when `first` */       \
    K(planes_dot, void,                                                                                                     \
      (float *acc, const uint16_t *x, size_t x_stride, size_t n_rows, size_t width, const uint16_t *w, size_t n_pairs,      \
       size_t n, bool first, const exaone_plane_fetch *next))                                                               \
    /* the same sums of up to 32 rows by n_out rows of a matrix as it lies in memory, of all its columns */                 \
    K(planes_straight, void,                                                                                                \
      (float *acc, const uint16_t *x, size_t x_stride, size_t n_rows, size_t width, const uint16_t *w, size_t w_stride,     \
       size_t n_out, size_t n))                                                                                             \
    /* acc of n_rows by n_out, with bias, or NULL; whether all are finite */                                                \
    K(planes_out, bool, (float *out, size_t out_stride, const float *acc, size_t n_rows, const float *bias, size_t n_out))

/* Kernels of types with scales in other tensors (tensor/matrix.h), for a run of n elements with one scale; the same bits at
 * every level. The run of an I4 row starts at a byte (an even column). */
#define EXAONE_KERNELS_SCALED(K)                                                            \
    /* q[i] = u[i] - zero, zero in 0 .. 15 */                                               \
    K(unpack_i4, void, (int8_t * q, const uint8_t *bytes, size_t n, int zero))              \
    /* out[i] = (u[i] - zero) * scale */                                                    \
    K(i4_to_f32, void, (float *out, const uint8_t *bytes, size_t n, int zero, float scale)) \
    /* out[i] = e4m3 * scale */                                                             \
    K(e4m3_to_f32, void, (float *out, const uint8_t *x, size_t n, float scale))

/* Kernels of the KV cache's types, n elements; the same bits at every level (but for the payload of a NaN). */
#define EXAONE_KERNELS_CACHED(K)                                                                                     \
    /* rounded to nearest even */                                                                                    \
    K(f32_to_f16, void, (void *out, const float *x, size_t n))                                                       \
    K(f32_to_bf16, void, (void *out, const float *x, size_t n))                                                      \
    /* groups of 32: d = max |x| / 127 as f16, q = x / d rounded, in -127 .. 127; a NaN or an infinity shows in d */ \
    K(f32_to_q8_0, void, (void *out, const float *x, size_t n))                                                      \
    K(f16_to_f32, void, (float *out, const void *x, size_t n))                                                       \
    K(bf16_to_f32, void, (float *out, const void *x, size_t n))                                                      \
    K(q8_0_to_f32, void, (float *out, const void *x, size_t n))

typedef struct exaone_kernels {
#define K(name, result, args) result(*name) args;
    EXAONE_KERNELS(K)
    EXAONE_KERNELS_Q8(K)
    EXAONE_KERNELS_SCALED(K)
    EXAONE_KERNELS_CACHED(K)
    EXAONE_KERNELS_TILES(K)
    EXAONE_KERNELS_CHAINS(K)
    EXAONE_KERNELS_PLANES(K)
#undef K
    exaone_unpack_tile_fn *unpack_tile[EXAONE_DTYPE_COUNT]; /* or NULL, then: unpack and interleave */
    /* n columns of 16 rows of I4, `stride` bytes apart; zero [n / 32, 16]; or NULL */
    void (*unpack_tile_i4)(exaone_q8_tile *to, const uint8_t *rows, size_t stride, size_t n, const uint8_t *zero);
    /* what unpack_tile and dot_tiles give for one row, the same bits; NULL where it is no faster */
    exaone_one_row_fn *one_row[EXAONE_DTYPE_COUNT];
    uint8_t tile_offset[EXAONE_DTYPE_COUNT], tile_bits[EXAONE_DTYPE_COUNT];
    /* Around calls of dot_tiles on a thread: gets the processor's tile registers and gives them back; or NULL. */
    void (*tiles_begin)(void), (*tiles_end)(void);
    int32_t tile_start;                           /* see exaone_q8_panel */
    exaone_unpack_fn *unpack[EXAONE_DTYPE_COUNT]; /* of block types; the same bits at every level */
} exaone_kernels;

/* Fills the table with the best entries up to `level` ("scalar", "avx2", "avx-vnni", "avx512", "avx512-vnni", "amx"; NULL:
 * the best of this machine). Returns the level installed, or NULL when the level is unknown or this machine lacks it. */
const char *exaone_kernels_init(exaone_kernels *k, const char *level);
/* Levels that this machine can run, number i from 0 on, best last; NULL behind the last. */
const char *exaone_kernels_level(size_t i);

void exaone_kernels_scalar(exaone_kernels *k);
void exaone_kernels_scalar_q8(exaone_kernels *k);
void exaone_kernels_scalar_scaled(exaone_kernels *k);
void exaone_kernels_scalar_cached(exaone_kernels *k);
void exaone_kernels_avx2(exaone_kernels *k); /* defined where the compiler targets x86-64 */
void exaone_kernels_avx2_chains(exaone_kernels *k);
void exaone_kernels_avx2_q8(exaone_kernels *k);
void exaone_kernels_avx2_unpack(exaone_kernels *k);
void exaone_kernels_avx2_tiles(exaone_kernels *k);
void exaone_kernels_avx2_unpack_tiles(exaone_kernels *k); /* after the former */
void exaone_kernels_avx2_one_row(exaone_kernels *k);
void exaone_kernels_avxvnni_one_row(exaone_kernels *k);
void exaone_kernels_avx2_scaled(exaone_kernels *k);
void exaone_kernels_avx2_cached(exaone_kernels *k);
void exaone_kernels_avxvnni(exaone_kernels *k); /* defined where the compiler knows AVX-VNNI */
void exaone_kernels_avx512(exaone_kernels *k);
void exaone_kernels_avx512_chains(exaone_kernels *k);
/* tile_offset and tile_bits for tiles that `interleave` makes of any block type. */
void exaone_kernels_interleaved_tiles(exaone_kernels *k);
void exaone_kernels_avx512vnni(exaone_kernels *k);
void exaone_kernels_avx512vnni_unpack(exaone_kernels *k);
void exaone_kernels_amx(exaone_kernels *k); /* defined where the compiler knows AMX */
void exaone_kernels_amx_tiles(exaone_kernels *k);
/* The dot_tiles of avx512-vnni, which the next level uses for few rows. */
void exaone_avx512vnni_dot_tiles(float *acc, const exaone_q8_panel *x, size_t n_rows, const exaone_q8_tile *w, size_t n,
                                 size_t group, int offset, int bits, const exaone_q8_fetch *next);
void exaone_kernels_neon(exaone_kernels *k); /* defined where the compiler targets aarch64 */
void exaone_kernels_neon_q8(exaone_kernels *k);
void exaone_kernels_neon_unpack(exaone_kernels *k);
void exaone_kernels_neon_scaled(exaone_kernels *k);
void exaone_kernels_neon_cached(exaone_kernels *k);
void exaone_kernels_dotprod(exaone_kernels *k);
void exaone_kernels_dotprod_tiles(exaone_kernels *k);
void exaone_kernels_i8mm(exaone_kernels *k);

#endif
