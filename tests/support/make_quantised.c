/* Quantised Hugging Face folders: see make_quantised.h. The values of the twin are computed here from the definition of the
 * formats (docs/model.md, "Quantised folders"), not with the functions under test. */
#include "make_quantised.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "fixture.h"
#include "scratch.h"
#include "weights/weights.h"

static float e4m3(int code) {
    int e = code >> 3 & 15, m = code & 7;
    double size = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
    return (float)(code & 0x80 ? -size : size);
}

static uint8_t nearest_e4m3(float x) {
    int best = 0;
    for (int c = 0; c < 0x7f; c++) {
        best = fabsf(e4m3(c) - fabsf(x)) < fabsf(e4m3(best) - fabsf(x)) ? c : best;
    }
    return (uint8_t)(best | (x < 0 ? 0x80 : 0));
}

/* The scale as it will be stored. */
static float put_scale(void *to, size_t i, float x, exaone_dtype type) {
    if (type == EXAONE_F32) {
        ((float *)to)[i] = x;
        return x;
    }
    uint16_t half = type == EXAONE_BF16 ? exaone_f32_to_bf16(x) : exaone_f32_to_f16(x);
    ((uint16_t *)to)[i] = half;
    return type == EXAONE_BF16 ? exaone_bf16_to_f32(half) : exaone_f16_to_f32(half);
}

static void add(exaone_tensors *set, const char *module, const char *part, exaone_dtype type, size_t n_dims, size_t a,
                size_t b, const void *data) {
    char name[192];
    exaone_error err = {0};
    snprintf(name, sizeof name, "%s.%s", module, part);
    if (exaone_tensors_add(set, name, type, n_dims, (uint64_t[]){a, b}, data, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
}

typedef struct {
    size_t n_out, n_in, rows, cols, grid_rows, grid_cols;
    float *x; /* in: the values; out: the dequantised ones */
} weight;

static void range_of(const weight *w, size_t gr, size_t gc, float *low, float *high) {
    *low = *high = 0;
    for (size_t r = gr * w->rows; r < (gr + 1) * w->rows && r < w->n_out; r++) {
        for (size_t c = gc * w->cols; c < (gc + 1) * w->cols && c < w->n_in; c++) {
            *low = fminf(*low, w->x[r * w->n_in + c]);
            *high = fmaxf(*high, w->x[r * w->n_in + c]);
        }
    }
}

static void quantise_i4(exaone_tensors *set, const quantised_form *f, const char *module, weight *w) {
    size_t words = (w->n_in + 7) / 8, zero_rows = (w->n_out + 7) / 8;
    uint32_t *packed = calloc(w->n_out * words, 4), *zeros = calloc(zero_rows * w->grid_cols, 4);
    void *scales = calloc(w->n_out * w->grid_cols, 4);
    for (size_t r = 0; r < w->n_out; r++) {
        for (size_t g = 0; g < w->grid_cols; g++) {
            float low, high;
            range_of(w, r, g, &low, &high);
            float step = f->asymmetric ? (high - low) / 15 : fmaxf(-low, high) / 7;
            step = put_scale(scales, r * w->grid_cols + g, step > 0 ? step : 1, f->scale_dtype);
            int zero = f->asymmetric ? (int)fminf(15, fmaxf(0, roundf(-low / step))) : 8;
            zeros[r / 8 * w->grid_cols + g] |= (uint32_t)zero << 4 * (r % 8);
            for (size_t c = g * w->cols; c < (g + 1) * w->cols && c < w->n_in; c++) {
                float *x = &w->x[r * w->n_in + c];
                int u = (int)fminf(15, fmaxf(0, roundf(*x / step) + (float)zero));
                packed[r * words + c / 8] |= (uint32_t)u << 4 * (c % 8);
                *x = (float)(u - zero) * step;
            }
        }
    }
    int64_t shape[2] = {(int64_t)w->n_out, (int64_t)w->n_in};
    add(set, module, "weight_packed", EXAONE_I32, 2, w->n_out, words, packed);
    add(set, module, "weight_scale", f->scale_dtype, 2, w->n_out, w->grid_cols, scales);
    add(set, module, "weight_shape", EXAONE_I64, 1, 2, 0, shape);
    if (f->asymmetric) {
        add(set, module, "weight_zero_point", EXAONE_I32, 2, zero_rows, w->grid_cols, zeros);
    }
    free(packed);
    free(zeros);
    free(scales);
}

static void quantise_f8(exaone_tensors *set, const quantised_form *f, const char *module, weight *w) {
    uint8_t *codes = calloc(w->n_out, w->n_in);
    void *scales = calloc(w->grid_rows * w->grid_cols, 4);
    for (size_t gr = 0; gr < w->grid_rows; gr++) {
        for (size_t gc = 0; gc < w->grid_cols; gc++) {
            float low, high;
            range_of(w, gr, gc, &low, &high);
            float step = fmaxf(-low, high) / 448;
            step = put_scale(scales, gr * w->grid_cols + gc, step > 0 ? step : 1, f->scale_dtype);
            for (size_t r = gr * w->rows; r < (gr + 1) * w->rows && r < w->n_out; r++) {
                for (size_t c = gc * w->cols; c < (gc + 1) * w->cols && c < w->n_in; c++) {
                    float *x = &w->x[r * w->n_in + c];
                    codes[r * w->n_in + c] = nearest_e4m3(*x / step);
                    *x = e4m3(codes[r * w->n_in + c]) * step;
                }
            }
        }
    }
    add(set, module, "weight", EXAONE_F8_E4M3, 2, w->n_out, w->n_in, codes);
    bool whole = f->rows == 0;
    add(set, module, f->fp8 ? "weight_scale_inv" : "weight_scale", f->scale_dtype, whole ? 1 : 2, w->grid_rows, w->grid_cols,
        scales);
    free(codes);
    free(scales);
}

static bool is_linear(const exaone_weight *t, const quantised_form *f) {
    size_t n = strlen(t->name);
    bool linear = t->n_dims == 2 && n > 7 && strcmp(t->name + n - 7, ".weight") == 0 && !strstr(t->name, "embed_tokens");
    for (size_t i = 0; linear && f->skip[i]; i++) {
        linear = !strstr(t->name, f->skip[i]);
    }
    return linear;
}

static void one_tensor(const exaone_weight *t, const quantised_form *f, exaone_tensors *set, exaone_tensors *twin) {
    exaone_error err = {0};
    if (!is_linear(t, f)) {
        if (exaone_tensors_add(set, t->name, t->dtype, t->n_dims, t->dims, t->data, &err) != EXAONE_OK ||
            exaone_tensors_add(twin, t->name, t->dtype, t->n_dims, t->dims, t->data, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
        return;
    }
    weight w = {.n_out = (size_t)t->dims[0], .n_in = (size_t)t->dims[1]};
    w.rows = f->rows ? (size_t)f->rows : w.n_out;
    w.cols = f->cols ? (size_t)f->cols : w.n_in;
    w.grid_rows = (w.n_out + w.rows - 1) / w.rows;
    w.grid_cols = (w.n_in + w.cols - 1) / w.cols;
    w.x = malloc(w.n_out * w.n_in * sizeof *w.x);
    exaone_dtype_to_f32(t->dtype, t->data, w.n_out * w.n_in, w.x);
    char module[160];
    snprintf(module, sizeof module, "%.*s", (int)strlen(t->name) - 7, t->name);
    (f->dtype == EXAONE_I4 ? quantise_i4 : quantise_f8)(set, f, module, &w);
    add(twin, module, "weight", EXAONE_F32, 2, w.n_out, w.n_in, w.x);
    free(w.x);
}

static const char *inside(const char *folder, const char *file) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return path;
}

void quantised_save(exaone_tensors *set, const char *folder) {
    exaone_error err = {0};
    if (exaone_tensors_save(set, scratch_path(inside(folder, "model.safetensors")), &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    exaone_tensors_free(set);
}

exaone_tensors *quantised_load(const char *folder) {
    exaone_error err = {0};
    exaone_tensors *set;
    if (exaone_tensors_load(scratch_path(inside(folder, "model.safetensors")), &set, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return set;
}

static void copy_configs(const char *source, const char *folder, const char *quantization) {
    size_t n;
    char path[256];
    snprintf(path, sizeof path, "%s/config.json", source);
    char *text = fixture_read(path, &n);
    char *edited = malloc(n + strlen(quantization) + 64);
    assert_true(text[0] == '{');
    sprintf(edited, "{%s%s%s%s", quantization[0] ? "\"quantization_config\": " : "", quantization,
            quantization[0] ? "," : "", text + 1);
    scratch_write_text(inside(folder, "config.json"), edited);
    free(text);
    free(edited);
    snprintf(path, sizeof path, "%s/generation_config.json", source);
    text = fixture_read(path, &n);
    scratch_write_text(inside(folder, "generation_config.json"), text);
    free(text);
}

void make_quantised(const char *source, const quantised_form *form, const char *folder, const char *twin) {
    exaone_error err = {0};
    exaone_weights *w;
    if (exaone_weights_open(source, NULL, &w, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    exaone_tensors *set = exaone_tensors_new(), *plain = exaone_tensors_new();
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        exaone_weight t = exaone_weights_at(w, i);
        one_tensor(&t, form, set, plain);
    }
    exaone_weights_close(w);
    copy_configs(source, folder, form->config);
    copy_configs(source, twin, "");
    quantised_save(set, folder);
    quantised_save(plain, twin);
}
