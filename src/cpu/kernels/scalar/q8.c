/* Plain C kernels of block types: the specification of each. The sum over groups is taken in double and rounded once. */
#include <math.h>

#include "cpu/kernels/kernels.h"

static void quantize_q8(int8_t *q, float *scale, float *sum_16, float *sum_32, const float *x, size_t n) {
    for (size_t g = 0; g < n / 32; g++) {
        const float *v = x + 32 * g;
        float largest = 0;
        int finite = 1;
        for (size_t i = 0; i < 32; i++) {
            finite &= isfinite(v[i]) != 0;
            largest = fmaxf(largest, fabsf(v[i]));
        }
        /* below 2^-100 the inverse would leave the range of f32: such a group counts as zero */
        float inverse = finite && largest >= 0x1p-100f ? 127.0f / largest : 0;
        scale[g] = !finite ? NAN : inverse > 0 ? largest / 127.0f : 0;
        int sum[2] = {0, 0};
        for (size_t i = 0; i < 32; i++) {
            q[32 * g + i] = (int8_t)(finite ? nearbyintf(v[i] * inverse) : 0);
            sum[i / 16] += q[32 * g + i];
        }
        sum_16[2 * g] = scale[g] * (float)sum[0];
        sum_16[2 * g + 1] = scale[g] * (float)sum[1];
        sum_32[g] = scale[g] * (float)(sum[0] + sum[1]);
    }
}

static void unpacked_to_f32(float *out, const exaone_q8_weights *w, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float product = w->scale[i / w->group] * (float)w->q[i];
        out[i] = w->min ? product - w->min[i / w->group] : product;
    }
}

static void dot_q8(float *out, size_t out_stride, const exaone_q8_rows *x, size_t n_rows, const exaone_q8_weights *w,
                   size_t n, float bias) {
    size_t group = w->group, n_groups = n / group;
    for (size_t r = 0; r < n_rows; r++) {
        const float *sums = group == 16 ? x->sum_16 + r * n_groups : x->sum_32 + r * n_groups;
        double total = (double)bias;
        for (size_t g = 0; g < n_groups; g++) {
            int dot = 0;
            for (size_t i = g * group; i < (g + 1) * group; i++) {
                dot += w->q[i] * x->q[r * n + i];
            }
            total += (double)w->scale[g] * (double)x->scale[r * (n / 32) + g * group / 32] * dot;
            total -= w->min ? (double)w->min[g] * (double)sums[g] : 0;
        }
        out[r * out_stride] = (float)total;
    }
}

void exaone_kernels_scalar_q8(exaone_kernels *k) {
#define K(name, result, args) k->name = name;
    EXAONE_KERNELS_Q8(K)
#undef K
    for (int type = 0; type < EXAONE_DTYPE_COUNT; type++) {
        k->unpack[type] = exaone_blocks_group((exaone_dtype)type) ? exaone_blocks_unpacker((exaone_dtype)type) : NULL;
    }
}
