/* matmul_f32 and its siblings (avx2.c) by blocks of columns: what a product of many rows needs that keeps both operands in
 * near caches. The same operations in the same order, so the same bits. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "cpu/kernels/avx2/lanes.h"

enum { R = 3, O = 2, STRIDE = EXAONE_CHAIN_STRIDE };

/* Two tiles of R rows by O outputs, one after the other. */
static inline __attribute__((always_inline)) void tiles(float *acc, size_t acc_stride, const float *x, const float *w,
                                                        size_t n, bool first) {
    __m256 sums[2][R][O];
    EACH(t, 2) {
        __m256 a[R][O][2];
        EACH(r, R) EACH(o, O) {
            a[r][o][0] = a[r][o][1] = _mm256_setzero_ps();
        }
        for (size_t i = 0; i < n; i += 16) {
            EACH(c, 2) {
                __m256 v[O];
                EACH(o, O) {
                    v[o] = _mm256_load_ps(w + (t * O + o) * STRIDE + i + 8 * c);
                }
                EACH(r, R) {
                    __m256 b = _mm256_load_ps(x + r * STRIDE + i + 8 * c);
                    EACH(o, O) {
                        a[r][o][c] = _mm256_fmadd_ps(b, v[o], a[r][o][c]);
                    }
                }
            }
        }
        EACH(r, R) EACH(o, O) {
            sums[t][r][o] = _mm256_add_ps(a[r][o][0], a[r][o][1]);
        }
    }
    EACH(r, R) {
        __m128 sum = exaone_reduce_4x8(sums[0][r][0], sums[0][r][1], sums[1][r][0], sums[1][r][1]);
        float *to = acc + r * acc_stride;
        _mm_store_ps(to, first ? sum : _mm_add_ps(_mm_load_ps(to), sum));
    }
}

static void chains_add(float *acc, size_t acc_stride, const float *x, const float *w, size_t n_rows, size_t n_out, size_t n,
                       bool first) {
    for (size_t o = 0; o < n_out; o += 2 * O) {
        for (size_t r = 0; r < n_rows; r += R) {
            tiles(acc + r * acc_stride + o, acc_stride, x + r * STRIDE, w + o * STRIDE, n, first);
        }
    }
}

void exaone_kernels_avx2_chains(exaone_kernels *k) {
    k->chains_add = chains_add;
}
#endif
