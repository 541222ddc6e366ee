/* Matrices with scales: see matrix.h. */
#include "tensor/matrix.h"

#include <assert.h>
#include <string.h>

#include "base/half.h"

size_t exaone_matrix_row_bytes(const exaone_matrix *m) {
    size_t bytes = 0, block = exaone_dtype_get(m->dtype)->block_elements;
    size_t n = m->dtype == EXAONE_I4 ? (m->in_features + block - 1) / block * block : m->in_features;
    bool whole = exaone_dtype_row_bytes(m->dtype, n, &bytes);
    assert(whole);
    (void)whole;
    return bytes;
}

exaone_matrix exaone_matrix_rows(const exaone_matrix *m, size_t first, size_t n) {
    assert(first + n <= m->out_features);
    exaone_matrix part = *m;
    part.data = (const uint8_t *)m->data + first * exaone_matrix_row_bytes(m);
    part.bias = m->bias ? m->bias + first : NULL;
    part.out_features = n;
    part.scales.first_row += first;
    return part;
}

void exaone_matrix_scales(const exaone_matrix *m, size_t row, size_t first, size_t n, float *scale, uint8_t *zero) {
    const exaone_scales *s = &m->scales;
    size_t r = s->first_row + row, at = r / s->rows_per_scale * s->stride + first;
    exaone_dtype_to_f32(s->dtype, (const uint8_t *)s->data + at * exaone_dtype_get(s->dtype)->block_bytes, n, scale);
    const int32_t *words = s->zero_points ? s->zero_points + r / 8 * s->stride + first : NULL;
    for (size_t i = 0; i < n; i++) {
        zero[i] = (uint8_t)(words ? (uint32_t)words[i] >> 4 * (r % 8) & 15 : 8);
    }
}

void exaone_matrix_row_f32(const exaone_matrix *m, size_t row, float *out) {
    const uint8_t *data = (const uint8_t *)m->data + row * exaone_matrix_row_bytes(m);
    if (!(EXAONE_DTYPE_BIT(m->dtype) & EXAONE_DTYPES_SCALED)) {
        exaone_dtype_to_f32(m->dtype, data, m->in_features, out);
        return;
    }
    size_t cols = m->scales.cols_per_scale;
    for (size_t c = 0; c < m->in_features;) {
        float scale;
        uint8_t zero;
        exaone_matrix_scales(m, row, c / cols, 1, &scale, &zero);
        size_t end = m->in_features - c < cols ? m->in_features : c + cols;
        for (; c < end; c++) {
            if (m->dtype == EXAONE_F8_E4M3) {
                out[c] = exaone_e4m3_to_f32(data[c]) * scale;
            } else {
                int u = data[c / 2] >> 4 * (c % 2) & 15; /* little endian: byte k of a word holds columns 2k and 2k + 1 */
                out[c] = (float)(u - zero) * scale;
            }
        }
    }
}
