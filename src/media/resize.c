/* Bicubic resize with antialiasing on 8-bit RGB, bit for bit as torchvision's CPU code and as Pillow 13.
 *
 * One axis, n -> m samples: scale = n / m, stretch = max(scale, 1); output i reads the samples from
 *   first = max(0, trunc(c - 2 stretch + 0.5))  to  last = min(n, trunc(c + 2 stretch + 0.5)),   c = (i + 0.5) scale,
 * with weights k((x - c + 0.5) / stretch) in double, divided by their sum; k is Keys' cubic with a = -0.5. They are then
 * rounded (half away from zero) to integers with p fraction bits. A sample is
 *   clip((2^(p-1) + sum of weight * value) >> p)
 *
 *   torchvision  p = the largest value up to 22 for which the largest weight of the axis still fits 15 bits
 *   Pillow       p = 22
 *
 * Two passes with an 8-bit picture between them; an axis that keeps its size is skipped. torchvision starts with the
 * horizontal pass; Pillow 13 starts with the vertical one when h - H > 0 and h - H > 2 (w - W). Since the picture between is
 * rounded and clipped, the order shows in the result. */
#include "exaone/media.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "media/resize_internal.h"

#define MAX_SIDE (1u << 24)
#define PIL_BITS 22
#define INLINE static inline __attribute__((always_inline))
#define BLOCK 192 /* bytes of a row that the vertical pass sums up at a time */

typedef exaone_resize_axis axis;

static void axis_release(axis *a) {
    free(a->first);
    free(a->taps);
    free(a->weights);
    free(a->quads);
    memset(a, 0, sizeof *a);
}

static double cubic(double x) {
    x = fabs(x);
    if (x < 1.0) {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5 : 0.0;
}

/* Weights of output i as doubles that sum to 1. */
static void axis_place(axis *a, uint32_t i, double *w) {
    double scale = (double)a->n / a->m, stretch = scale > 1.0 ? scale : 1.0;
    double support = 2.0 * stretch, inverse = 1.0 / stretch, center = (i + 0.5) * scale, sum = 0.0;
    double low = center - support + 0.5, high = center + support + 0.5;
    uint32_t first = low > 0 ? (uint32_t)low : 0;
    uint32_t last = high < (double)a->n ? (uint32_t)high : a->n;
    assert(first < last && last - first <= a->max_taps);
    a->first[i] = first;
    a->taps[i] = last - first;
    for (uint32_t x = 0; x < last - first; x++) {
        w[x] = cubic(((double)(x + first) - center + 0.5) * inverse);
        sum += w[x];
    }
    for (uint32_t x = 0; sum != 0.0 && x < last - first; x++) {
        w[x] /= sum;
    }
}

/* The largest precision whose largest weight stays below 2^15. */
static int torchvision_bits(double largest) {
    int bits = 0;
    while (bits < 22 && 0.5 + largest * (double)(1 << (bits + 1)) < 32768.0) {
        bits++;
    }
    return bits;
}

/* The weights in fours for exaone_resize_row_avx2; without memory for them the pass does without. */
static void make_quads(axis *a) {
    a->parts = a->bits == PIL_BITS ? 2 : 1;
    a->max_quads = (a->max_taps + EXAONE_RESIZE_QUAD - 1) / EXAONE_RESIZE_QUAD;
    size_t stride = (size_t)a->max_quads * a->parts * EXAONE_RESIZE_QUAD, count;
    a->quads = exaone_size_mul(a->m, stride, &count) ? exaone_mem_array(count, sizeof *a->quads) : NULL;
    for (uint32_t i = 0; a->quads && i < a->m; i++) {
        const int32_t *w = a->weights + (size_t)i * a->max_taps;
        for (uint32_t x = 0; x < a->taps[i]; x++) {
            int16_t *to = a->quads + i * stride + (size_t)(x / EXAONE_RESIZE_QUAD) * a->parts * EXAONE_RESIZE_QUAD;
            int32_t low = a->parts == 2 ? w[x] & ((1 << EXAONE_RESIZE_LOW) - 1) : 0;
            to[x % EXAONE_RESIZE_QUAD] = (int16_t)(a->parts == 2 ? (w[x] - low) / (1 << EXAONE_RESIZE_LOW) : w[x]);
            if (a->parts == 2) {
                to[x % EXAONE_RESIZE_QUAD + EXAONE_RESIZE_QUAD] = (int16_t)low;
            }
        }
    }
}

static exaone_status axis_init(axis *a, uint32_t n, uint32_t m, exaone_resize_backend backend, exaone_error *err) {
    *a = (axis){.n = n, .m = m};
    double scale = (double)n / m;
    a->max_taps = (uint32_t)ceil(2.0 * (scale > 1.0 ? scale : 1.0)) * 2 + 1;
    size_t count = 0;
    bool fits = exaone_size_mul(m, a->max_taps, &count);
    a->first = exaone_mem_array(m, sizeof *a->first);
    a->taps = exaone_mem_array(m, sizeof *a->taps);
    a->weights = fits ? exaone_mem_array(count, sizeof *a->weights) : NULL;
    double *w = exaone_mem_array(a->max_taps, sizeof *w);
    if (!a->first || !a->taps || !a->weights || !w) {
        axis_release(a);
        free(w);
        return exaone_fail_memory(err, "the resize table", (unsigned long long)m * (4ull * a->max_taps + 8));
    }
    double largest = 0.0;
    for (uint32_t i = 0; backend == EXAONE_RESIZE_TORCHVISION && i < m; i++) {
        axis_place(a, i, w);
        for (uint32_t x = 0; x < a->taps[i]; x++) {
            largest = fmax(largest, w[x]);
        }
    }
    a->bits = backend == EXAONE_RESIZE_TORCHVISION ? torchvision_bits(largest) : PIL_BITS;
    double one = (double)(1 << a->bits);
    for (uint32_t i = 0; i < m; i++) {
        axis_place(a, i, w);
        int32_t *out = a->weights + (size_t)i * a->max_taps;
        for (uint32_t x = 0; x < a->taps[i]; x++) {
            out[x] = (int32_t)(w[x] < 0 ? w[x] * one - 0.5 : w[x] * one + 0.5);
        }
    }
    free(w);
    return EXAONE_OK;
}

/* The sums fit 31 bits: the absolute weights of one output sum to at most 1.5 (the cubic's negative lobes), and
 * 1.5 * 2^22 * 255 + 2^21 < 2^31. */
INLINE uint8_t clip(int32_t sum, int bits) {
    int32_t v = sum >> bits;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

typedef struct pass {
    const axis *a;
    const uint8_t *src;
    uint8_t *dst;
    size_t row_bytes; /* vertical: bytes of a row, in and out */
} pass;

/* Rows begin .. end-1: [n, 3] -> [m, 3] each. */
static void horizontal_rows(void *arg, size_t begin, size_t end) {
    const pass *p = arg;
    const axis *a = p->a;
    int32_t half = 1 << (a->bits - 1);
    for (size_t row = begin; row < end; row++) {
        const uint8_t *in = p->src + row * a->n * 3;
        uint8_t *out = p->dst + row * a->m * 3;
        for (uint32_t i = a->quads ? exaone_resize_row_avx2(a, in, out) : 0; i < a->m; i++) {
            const uint8_t *s = in + (size_t)a->first[i] * 3;
            const int32_t *w = a->weights + (size_t)i * a->max_taps;
            int32_t r = half, g = half, b = half;
            for (uint32_t x = 0; x < a->taps[i]; x++) {
                r += w[x] * s[3 * x];
                g += w[x] * s[3 * x + 1];
                b += w[x] * s[3 * x + 2];
            }
            out[3 * i] = clip(r, a->bits);
            out[3 * i + 1] = clip(g, a->bits);
            out[3 * i + 2] = clip(b, a->bits);
        }
    }
}

/* Adds weight * value for a whole block; the fixed length lets the compiler use vectors. */
INLINE void add_block(int32_t *restrict sum, const uint8_t *restrict values, int32_t weight) {
    for (int i = 0; i < BLOCK; i++) {
        sum[i] += weight * values[i];
    }
}

/* The same where each weight fits 16 bits. */
INLINE void add_block16(int32_t *restrict sum, const uint8_t *restrict values, int16_t weight) {
    for (int i = 0; i < BLOCK; i++) {
        sum[i] += (int32_t)weight * (int16_t)values[i];
    }
}

/* Output rows begin .. end-1. */
INLINE void vertical(const pass *p, size_t begin, size_t end) {
    const axis *a = p->a;
    size_t whole = p->row_bytes / BLOCK * BLOCK;
    int32_t sum[BLOCK];
    for (size_t i = begin; i < end; i++) {
        const uint8_t *in = p->src + (size_t)a->first[i] * p->row_bytes;
        uint8_t *out = p->dst + i * p->row_bytes;
        const int32_t *w = a->weights + i * a->max_taps;
        for (size_t x = 0; x < p->row_bytes; x += BLOCK) {
            size_t n = x < whole ? BLOCK : p->row_bytes - x;
            for (size_t k = 0; k < BLOCK; k++) {
                sum[k] = 1 << (a->bits - 1);
            }
            const uint8_t *s = in + x;
            for (uint32_t t = 0; t < a->taps[i]; t++, s += p->row_bytes) {
                if (n < BLOCK) {
                    for (size_t k = 0; k < n; k++) {
                        sum[k] += w[t] * s[k];
                    }
                } else if (w[t] == (int16_t)w[t]) {
                    add_block16(sum, s, (int16_t)w[t]);
                } else {
                    add_block(sum, s, w[t]);
                }
            }
            for (size_t k = 0; k < n; k++) {
                out[x + k] = clip(sum[k], a->bits);
            }
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void vertical_avx2(const pass *p, size_t begin, size_t end) {
    vertical(p, begin, end); /* the same sums in wider registers */
}
#endif

static void vertical_rows(void *arg, size_t begin, size_t end) {
#if defined(__x86_64__)
    if (exaone_resize_has_avx2()) {
        vertical_avx2(arg, begin, end);
        return;
    }
#endif
    vertical(arg, begin, end);
}

static exaone_status run_pass(bool is_vertical, const uint8_t *src, uint32_t n, uint32_t other, uint32_t m, uint8_t *dst,
                              exaone_resize_backend backend, const exaone_parallel *parallel, exaone_error *err) {
    axis a;
    exaone_status status = axis_init(&a, n, m, backend, err);
    if (status != EXAONE_OK) {
        return status;
    }
    if (!is_vertical && exaone_resize_has_avx2()) {
        make_quads(&a);
    }
    pass p = {.a = &a, .src = src, .dst = dst, .row_bytes = (size_t)other * 3};
    exaone_parallel_run(parallel, is_vertical ? m : other, is_vertical ? vertical_rows : horizontal_rows, &p);
    axis_release(&a);
    return EXAONE_OK;
}

static exaone_status both_passes(const uint8_t *src, uint32_t h, uint32_t w, uint8_t *dst, uint32_t H, uint32_t W,
                                 exaone_resize_backend backend, const exaone_parallel *parallel, exaone_error *err) {
    bool vertical_first = backend == EXAONE_RESIZE_PIL && h > H && (int64_t)h - (int64_t)H > 2 * ((int64_t)w - (int64_t)W);
    size_t between = (size_t)3 * (vertical_first ? H : h) * (vertical_first ? w : W); /* sides below 2^24: below 2^50 */
    uint8_t *middle = exaone_mem_room(between);
    if (!middle) {
        return exaone_fail_memory(err, "the picture between the two resize passes", between);
    }
    exaone_status status;
    if (vertical_first) {
        status = run_pass(true, src, h, w, H, middle, backend, parallel, err);
        if (status == EXAONE_OK) {
            status = run_pass(false, middle, w, H, W, dst, backend, parallel, err);
        }
    } else {
        status = run_pass(false, src, w, h, W, middle, backend, parallel, err);
        if (status == EXAONE_OK) {
            status = run_pass(true, middle, h, W, H, dst, backend, parallel, err);
        }
    }
    free(middle);
    return status;
}

exaone_status exaone_resize_rgb(const uint8_t *src, uint32_t h, uint32_t w, uint8_t *dst, uint32_t H, uint32_t W,
                                exaone_resize_backend backend, const exaone_parallel *parallel, exaone_error *err) {
    if (h - 1 >= MAX_SIDE || w - 1 >= MAX_SIDE || H - 1 >= MAX_SIDE || W - 1 >= MAX_SIDE) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "resize from %ux%u to %ux%u: a side must be 1 to %u", h, w, H, W,
                           MAX_SIDE);
    }
    if (h == H && w == W) {
        memcpy(dst, src, (size_t)3 * h * w);
        return EXAONE_OK;
    }
    if (h == H) {
        return run_pass(false, src, w, h, W, dst, backend, parallel, err);
    }
    if (w == W) {
        return run_pass(true, src, h, w, H, dst, backend, parallel, err);
    }
    return both_passes(src, h, w, dst, H, W, backend, parallel, err);
}
