/* The checks of bench/kernels.c: one for each entry of the kernel table, against the definition that kernels.h gives. They
 * run in a process of their own and end it at the first fault (zone.h). */
#ifndef BENCH_CHECKS_CHECKS_H
#define BENCH_CHECKS_CHECKS_H

#include "cpu/kernels/kernels.h"

/* Name of the entry, or of the array of entries. */
#define BENCH_CHECKS(C) \
    C(matmul_f32)       \
    C(matmul_bf16)      \
    C(matmul_f16)       \
    C(add_product_f32)  \
    C(add_product_f16)  \
    C(add_product_bf16) \
    C(rms_norm)         \
    C(silu_mul)         \
    C(softmax_exp)      \
    C(transpose)        \
    C(quantize_q8)      \
    C(unpacked_to_f32)  \
    C(dot_q8)           \
    C(unpack)           \
    C(unpack_i4)        \
    C(i4_to_f32)        \
    C(e4m3_to_f32)      \
    C(f32_to_f16)       \
    C(f32_to_bf16)      \
    C(f32_to_q8_0)      \
    C(f16_to_f32)       \
    C(bf16_to_f32)      \
    C(q8_0_to_f32)      \
    C(panels_q8)        \
    C(interleave)       \
    C(unpack_tile)      \
    C(unpack_tile_i4)   \
    C(one_row)          \
    C(dot_tiles)        \
    C(chains_add)       \
    C(planes_split)     \
    C(planes_weights)   \
    C(planes_dot)       \
    C(planes_straight)  \
    C(planes_out)

#define C(name) void check_##name(const exaone_kernels *k);
BENCH_CHECKS(C)
#undef C

#endif
