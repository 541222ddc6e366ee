/* Products of plain types, common to the levels with 32 registers: four outputs by up to six rows at a time. */
#ifndef EXAONE_CPU_KERNELS_FOURS_H
#define EXAONE_CPU_KERNELS_FOURS_H

#include <stddef.h>

/* Defines fours_TYPE, which computes the outputs from o on of all rows with tile_TYPE: the weights of four outputs stay in
 * the cache for all rows; what is left of the outputs goes one by one. */
#define FOURS(type)                                                                                                        \
    static void fours_##type(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n_rows, const void *w, \
                             const float *bias, size_t o, size_t n_out, size_t n_in) {                                     \
        for (; o + 4 <= n_out; o += 4) {                                                                                   \
            for (size_t r = 0; r < n_rows;) {                                                                              \
                float *to = out + r * out_stride;                                                                          \
                const float *from = x + r * x_stride;                                                                      \
                size_t left = n_rows - r, rows = left == 7 || left == 8 ? 4 : left < 6 ? left : 6;                         \
                switch (rows) {                                                                                            \
                    FOURS_CASE(type, 1)                                                                                    \
                    FOURS_CASE(type, 2)                                                                                    \
                    FOURS_CASE(type, 3)                                                                                    \
                    FOURS_CASE(type, 4)                                                                                    \
                    FOURS_CASE(type, 5)                                                                                    \
                    FOURS_CASE(type, 6)                                                                                    \
                }                                                                                                          \
                r += rows;                                                                                                 \
            }                                                                                                              \
        }                                                                                                                  \
        for (; o < n_out; o++) {                                                                                           \
            for (size_t r = 0; r < n_rows; r++) {                                                                          \
                tile_##type(out + r * out_stride, out_stride, x + r * x_stride, x_stride, w, bias, o, n_in, 1, 1);         \
            }                                                                                                              \
        }                                                                                                                  \
    }
#define FOURS_CASE(type, count)                                                  \
    case count:                                                                  \
        tile_##type(to, out_stride, from, x_stride, w, bias, o, n_in, count, 4); \
        break;

#endif
