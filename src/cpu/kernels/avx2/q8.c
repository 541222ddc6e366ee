/* AVX2 kernels of block types. A product of 32 weights and 32 activations is one integer step (unsigned by signed bytes: the
 * weight's sign goes to the activation; pairs stay below 2 * 128 * 127 < 2^15), then one f32 step on 8 lanes. The sum of a
 * row is one chain of 8 lanes over rising groups, the same whatever the number of rows of the call. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#include "cpu/kernels/avx2/lanes.h"

static inline int reduce_epi32(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
    return _mm_cvtsi128_si32(v);
}

static inline int32_t max_epi32(__m256i v) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

static void quantize_q8(int8_t *q, float *scale, float *sum_16, float *sum_32, const float *x, size_t n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t g = 0; g < n / 32; g++) {
        __m256 v[4];
        __m256i top = _mm256_setzero_si256();
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 32 * g + 8 * i);
            top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
        }
        int32_t bits = max_epi32(top); /* magnitudes order as integers; from 0x7f800000 on: infinite or NaN */
        int finite = bits < 0x7f800000;
        float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
        float inverse = finite && largest >= 0x1p-100f ? 127.0f / largest : 0;
        scale[g] = !finite ? NAN : inverse > 0 ? largest / 127.0f : 0;
        __m256i whole[4];
        for (int i = 0; i < 4; i++) {
            __m256 scaled = finite ? _mm256_mul_ps(v[i], _mm256_set1_ps(inverse)) : _mm256_setzero_ps();
            whole[i] = _mm256_cvtps_epi32(scaled);
        }
        int first = reduce_epi32(_mm_add_epi32(_mm256_castsi256_si128(_mm256_add_epi32(whole[0], whole[1])),
                                               _mm256_extracti128_si256(_mm256_add_epi32(whole[0], whole[1]), 1)));
        int second = reduce_epi32(_mm_add_epi32(_mm256_castsi256_si128(_mm256_add_epi32(whole[2], whole[3])),
                                                _mm256_extracti128_si256(_mm256_add_epi32(whole[2], whole[3]), 1)));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
        _mm256_storeu_si256((__m256i *)(void *)(q + 32 * g), _mm256_permutevar8x32_epi32(bytes, order));
        sum_16[2 * g] = scale[g] * (float)first;
        sum_16[2 * g + 1] = scale[g] * (float)second;
        sum_32[g] = scale[g] * (float)(first + second);
    }
}

static inline __m256 to_f32(const int8_t *q) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)q)));
}

static void unpacked_to_f32(float *out, const exaone_q8_weights *w, size_t n) {
    for (size_t g = 0; g < n / w->group; g++) {
        __m256 scale = _mm256_set1_ps(w->scale[g]), min = _mm256_set1_ps(w->min ? w->min[g] : 0);
        for (size_t i = g * w->group; i < (g + 1) * w->group; i += 8) {
            _mm256_storeu_ps(out + i, _mm256_sub_ps(_mm256_mul_ps(scale, to_f32(w->q + i)), min));
        }
    }
}

/* R rows, a constant after inlining: the weights are loaded once for all of them. */
static inline __attribute__((always_inline)) void dot_rows(float *out, size_t out_stride, const int8_t *xq,
                                                           const float *x_scale, const float *sums,
                                                           const exaone_q8_weights *w, size_t n, float bias, const size_t R,
                                                           const size_t group) {
    const __m256i ones = _mm256_set1_epi16(1);
    size_t n_32 = n / 32, n_groups = n / group;
    __m256 acc[4];
    EACH(r, R) {
        acc[r] = _mm256_setzero_ps();
    }
    for (size_t b = 0; b < n_32; b++) {
        __m256i wq = _mm256_loadu_si256((const __m256i *)(const void *)(w->q + 32 * b));
        __m256i size = _mm256_abs_epi8(wq);
        __m256 w_scale = group == 32 ? _mm256_set1_ps(w->scale[b])
                                     : _mm256_set_m128(_mm_set1_ps(w->scale[2 * b + 1]), _mm_set1_ps(w->scale[2 * b]));
        EACH(r, R) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(xq + r * n + 32 * b));
            __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, wq));
            __m256 dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, ones));
            acc[r] = _mm256_fmadd_ps(dot, _mm256_mul_ps(w_scale, _mm256_set1_ps(x_scale[r * n_32 + b])), acc[r]);
        }
    }
    EACH(r, R) {
        float total = exaone_reduce_8(acc[r]);
        if (w->min) {
            const float *s = sums + r * n_groups;
            __m256 taken = _mm256_setzero_ps();
            size_t g = 0;
            for (; g + 8 <= n_groups; g += 8) {
                taken = _mm256_fmadd_ps(_mm256_loadu_ps(w->min + g), _mm256_loadu_ps(s + g), taken);
            }
            float rest = exaone_reduce_8(taken);
            for (; g < n_groups; g++) {
                rest = fmaf(w->min[g], s[g], rest);
            }
            total -= rest;
        }
        out[r * out_stride] = total + bias;
    }
}

static void dot_q8(float *out, size_t out_stride, const exaone_q8_rows *x, size_t n_rows, const exaone_q8_weights *w,
                   size_t n, float bias) {
    const float *sums = w->group == 16 ? x->sum_16 : x->sum_32;
    size_t n_groups = n / w->group, r = 0;
#define ROWS(count, group)                                                                                             \
    dot_rows(out + r * out_stride, out_stride, x->q + r * n, x->scale + r * (n / 32), sums + r * n_groups, w, n, bias, \
             count, group)
    if (w->group == 32) {
        for (; r + 4 <= n_rows; r += 4) {
            ROWS(4, 32);
        }
        for (; r + 2 <= n_rows; r += 2) {
            ROWS(2, 32);
        }
        if (r < n_rows) {
            ROWS(1, 32);
        }
    } else {
        for (; r + 4 <= n_rows; r += 4) {
            ROWS(4, 16);
        }
        for (; r + 2 <= n_rows; r += 2) {
            ROWS(2, 16);
        }
        if (r < n_rows) {
            ROWS(1, 16);
        }
    }
#undef ROWS
}

void exaone_kernels_avx2_q8(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_Q8(K)
#undef K
}
#endif
