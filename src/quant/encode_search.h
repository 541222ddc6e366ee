/* Passes over one block and the search for its continuous scales: shared by the encoders of all types.
 * A block is n = 16 or 32 values x with weights w >= 0 of their squared error; q are the levels as floats.
 * Method: docs/quantisation.md, "How each type is written". */
#ifndef EXAONE_QUANT_ENCODE_SEARCH_H
#define EXAONE_QUANT_ENCODE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "quant/encode_lanes.h"

enum { EXAONE_ENCODE_SUPER = 256 }; /* elements of the largest block */

/* The levels of a scale-only type: whole numbers lo..hi, or the 16 values of the nonlinear table. */
typedef struct exaone_encode_levels {
    float lo, hi;
    const float *nearest; /* NULL: whole numbers; else [2 * (hi - lo) + 1]: the level next to lo + k/2 + 1/4 */
} exaone_encode_levels;

enum { EXAONE_ENCODE_NEAREST_SIZE = 481 };
extern const int8_t exaone_encode_iq4[16];
/* The table of exaone_encode_levels.nearest for the values exaone_encode_iq4. */
void exaone_encode_iq4_table(float nearest[EXAONE_ENCODE_NEAREST_SIZE]);

/* Smallest and largest of n values (a multiple of 8); the one of larger size, with its sign. */
void exaone_encode_range(int n, const float *x, float *lo, float *hi);
float exaone_encode_peak(int n, const float *x);

/* Sums over a block of the levels that a pass chose. */
typedef struct exaone_encode_sums {
    float q;  /* sum w q */
    float qq; /* sum w q q */
    float qx; /* sum w q x */
    float e;  /* sum w (x - decoded)^2 */
} exaone_encode_sums;

/* Levels for decoded = d * q. d = 0 is allowed. */
exaone_encode_sums exaone_encode_scale_pass(int n, const float *x, const float *w, const exaone_encode_levels *levels,
                                            float d, float *q);
/* Levels 0..top for decoded = d * q - m. d = 0 is allowed. */
exaone_encode_sums exaone_encode_affine_pass(int n, const float *x, const float *w, float top, float d, float m, float *q);

/* Eight candidates in one pass: lane k looks at decoded = d[k] * q - m[k] with q next to (x + m[k]) * id[k]. */
typedef struct exaone_encode_lanes {
    float id[EXAONE_ENCODE_LANES], d[EXAONE_ENCODE_LANES], m[EXAONE_ENCODE_LANES];
} exaone_encode_lanes;

/* The lane of the least of eight values >= 0, up to a relative 2^-20; `first` wins ties. */
int exaone_encode_least(const float *e, int first);

/* e[k]: sum w (x - decoded)^2 of lane k. m is 0 for scale-only types; id is set here. */
void exaone_encode_scale_errors(int n, const float *x, const float *w, const exaone_encode_levels *levels,
                                exaone_encode_lanes *lanes, float *e);
void exaone_encode_affine_errors(int n, const float *x, const float *w, float top, exaone_encode_lanes *lanes, float *e);

/* A block in units of its own size: x = source * 2^-exponent with the largest |x| in [0.5, 1), weights with maximum 1. All
 * zeros: exponent 0. */
typedef struct exaone_encode_block {
    float x[EXAONE_ENCODE_SUPER];
    float w[EXAONE_ENCODE_SUPER];
    int exponent;
    int weighted; /* the weights differ */
} exaone_encode_block;

/* importance [n] or NULL. */
void exaone_encode_block_load(exaone_encode_block *b, int n, const float *x, const float *importance);

/* The peak of n <= 32 values behind `at`; with weights of those that matter: w x^2 not far below the greatest. */
float exaone_encode_block_peak(const exaone_encode_block *b, int at, int n);

/* For the n values behind `at`: the d (either sign) of least error that the search finds for decoded = d * q. */
float exaone_encode_fit_scale(const exaone_encode_block *b, int at, int n, const exaone_encode_levels *levels);
/* The d >= 0 and m of least error that the search finds for decoded = d * q - m; m >= 0 when `down` is set. */
void exaone_encode_fit_affine(const exaone_encode_block *b, int at, int n, float top, int down, float *d, float *m);

/* The f16 next to a scale in block units; a scale that is not 0 does not become 0, none leaves the f16 range. */
uint16_t exaone_encode_half(const exaone_encode_block *b, float scale);
/* A stored f16 scale in block units. */
float exaone_encode_unhalf(const exaone_encode_block *b, uint16_t half);

/* Encoders of one block, by family. `out` needs no alignment. */
void exaone_encode_simple(int dtype, const exaone_encode_block *b, const float *nearest, uint8_t *out);
void exaone_encode_super(int dtype, const exaone_encode_block *b, const float *nearest, uint8_t *out);

#endif
