/* matmul_f32 and its siblings (avx512.c) by blocks of columns: what a product of many rows needs that keeps both operands in
 * near caches. The same operations in the same order, so the same bits. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/kernels/avx2/lanes.h"
#include "cpu/kernels/avx512/reduce.h"

enum { R = 6, O = 4, STRIDE = EXAONE_CHAIN_STRIDE };

static inline __attribute__((always_inline)) void step(__m512 a[R][O], const float *x, const float *w) {
    __m512 v[O];
    EACH(o, O) {
        v[o] = _mm512_load_ps(w + o * STRIDE);
    }
    EACH(r, R) {
        __m512 b = _mm512_load_ps(x + r * STRIDE);
        EACH(o, O) {
            a[r][o] = _mm512_fmadd_ps(b, v[o], a[r][o]);
        }
    }
}

/* One tile of R rows by O outputs. */
static inline __attribute__((always_inline)) void tile(float *acc, size_t acc_stride, const float *x, const float *w,
                                                       size_t n, bool first) {
    __m512 a[R][O], lower[R][O];
    size_t i = 0, middle = EXAONE_CHAIN_LOWER(n);
    EACH(half, 2) {
        EACH(r, R) EACH(o, O) {
            a[r][o] = _mm512_setzero_ps();
        }
        size_t end = half ? n : middle;
        for (; i + 32 <= end; i += 32) { /* two at a time: 98 instead of 85 GMAC/s */
            step(a, x + i, w + i);
            step(a, x + i + 16, w + i + 16);
        }
        if (i < end) {
            step(a, x + i, w + i);
            i += 16;
        }
        EACH(r, R) EACH(o, O) {
            if (half == 0) {
                lower[r][o] = a[r][o];
            }
        }
    }
    EACH(r, R) {
        EACH(o, O) {
            a[r][o] = _mm512_add_ps(a[r][o], lower[r][o]);
        }
        __m128 sum = exaone_reduce_4x16(a[r][0], a[r][1], a[r][2], a[r][3]);
        float *to = acc + r * acc_stride;
        _mm_store_ps(to, first ? sum : _mm_add_ps(_mm_load_ps(to), sum));
    }
}

static void chains_add(float *acc, size_t acc_stride, const float *x, const float *w, size_t n_rows, size_t n_out, size_t n,
                       bool first) {
    for (size_t o = 0; o < n_out; o += O) {
        for (size_t r = 0; r < n_rows; r += R) {
            tile(acc + r * acc_stride + o, acc_stride, x + r * STRIDE, w + o * STRIDE, n, first);
        }
    }
}

void exaone_kernels_avx512_chains(exaone_kernels *k) {
    k->chains_add = chains_add;
}
#endif
