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

size_t exaone_matrix_run(const exaone_matrix *m, size_t row, size_t col, float *scale, int *zero) {
    const exaone_scales *s = &m->scales;
    size_t r = s->first_row + row, c = col / s->cols_per_scale;
    size_t at = r / s->rows_per_scale * s->stride + c;
    size_t bytes = exaone_dtype_get(s->dtype)->block_bytes;
    exaone_dtype_to_f32(s->dtype, (const uint8_t *)s->data + at * bytes, 1, scale);
    *zero = 8;
    if (s->zero_points) {
        uint32_t word = (uint32_t)s->zero_points[r / 8 * s->stride + c];
        *zero = (int)(word >> 4 * (r % 8) & 15);
    }
    size_t end = (c + 1) * s->cols_per_scale;
    return end < m->in_features ? end : m->in_features;
}

void exaone_matrix_row_f32(const exaone_matrix *m, size_t row, float *out) {
    const uint8_t *data = (const uint8_t *)m->data + row * exaone_matrix_row_bytes(m);
    if (!(EXAONE_DTYPE_BIT(m->dtype) & EXAONE_DTYPES_SCALED)) {
        exaone_dtype_to_f32(m->dtype, data, m->in_features, out);
        return;
    }
    for (size_t c = 0; c < m->in_features;) {
        float scale;
        int zero;
        size_t end = exaone_matrix_run(m, row, c, &scale, &zero);
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
