/* One axis of a resize: which samples an output is made of, and how. */
#ifndef EXAONE_MEDIA_RESIZE_INTERNAL_H
#define EXAONE_MEDIA_RESIZE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pillow's weights need more than 16 bits: weight = high * 2^EXAONE_RESIZE_LOW + low, 0 <= low < 2^EXAONE_RESIZE_LOW. */
enum { EXAONE_RESIZE_LOW = 11, EXAONE_RESIZE_QUAD = 4 };

typedef struct exaone_resize_axis {
    uint32_t n, m;     /* samples in and out */
    uint32_t max_taps; /* row length of `weights` */
    int bits;          /* fraction bits of the weights */
    uint32_t *first;   /* [m] */
    uint32_t *taps;    /* [m] */
    int32_t *weights;  /* [m, max_taps] */
    /* The weights again for vectors, in fours with zeros behind the last; NULL: not made. */
    int16_t *quads; /* [m, max_quads, parts, 4]; of two parts the high one comes first */
    uint32_t max_quads;
    uint32_t parts; /* 1, or 2: high and low */
} exaone_resize_axis;

/* Whether this processor has what exaone_resize_row_avx2 needs. */
bool exaone_resize_has_avx2(void);
/* Outputs 0 .. of one row, in [n, 3] -> out [m, 3], as long as what is read lies in the row; returns how many. Needs quads.
 */
uint32_t exaone_resize_row_avx2(const exaone_resize_axis *a, const uint8_t *in, uint8_t *out);

#endif
