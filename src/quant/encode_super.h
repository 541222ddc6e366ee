/* What the search decides about a super-block of 256 values, before it is packed into bits. */
#ifndef EXAONE_QUANT_ENCODE_SUPER_H
#define EXAONE_QUANT_ENCODE_SUPER_H

#include <stdint.h>

#include "quant/encode_search.h"

typedef struct exaone_encode_super_scales {
    uint16_t d, dmin;              /* f16; dmin only of the types with minimums */
    int16_t scale[16], min[16];    /* per sub-block; min only of the types with minimums */
    int8_t q[EXAONE_ENCODE_SUPER]; /* levels; of IQ4_XS: the values of the table */
} exaone_encode_super_scales;

/* dtype is Q2_K .. Q6_K or IQ4_XS; nearest: exaone_encode_iq4_table. */
void exaone_encode_super_choose(int dtype, const exaone_encode_block *b, const float *nearest,
                                exaone_encode_super_scales *out);

#endif
