/* The matrices of quantised Hugging Face folders: one or several tensors, whose shapes and types must fit together. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/quantization.h"

enum { NAME_ROOM = 256 };

typedef struct {
    const exaone_weights *w;
    const char *module; /* the name without ".weight" */
    exaone_matrix *out;
    exaone_error *err;
} loader;

static const char *part_name(const loader *l, const char *part, char room[NAME_ROOM]) {
    snprintf(room, NAME_ROOM, "%s.%s", l->module, part);
    return room;
}

static exaone_status get(const loader *l, const char *part, uint64_t dtypes, size_t n_dims, const uint64_t *dims,
                         exaone_weight *out) {
    char name[NAME_ROOM];
    return exaone_weights_get(l->w, part_name(l, part, name), dtypes, n_dims, dims, out, l->err);
}

static bool has(const loader *l, const char *part) {
    char name[NAME_ROOM];
    return exaone_weights_has(l->w, part_name(l, part, name));
}

typedef struct {
    size_t n_dims;
    uint64_t dims[2];
} shape;

/* The scales, of one of several shapes of as many numbers; the first one, the reference's own, stands in the message. */
static exaone_status get_scales(const loader *l, const char *part, size_t n_shapes, const shape *shapes, size_t stride) {
    exaone_weight scale;
    exaone_status status = EXAONE_ERR_MODEL;
    for (size_t i = n_shapes; i-- > 0 && status != EXAONE_OK;) {
        exaone_error unused;
        loader quiet = {l->w, l->module, l->out, i ? &unused : l->err};
        status = get(&quiet, part, EXAONE_DTYPES_FLOAT, shapes[i].n_dims, shapes[i].dims, &scale);
    }
    if (status == EXAONE_OK) {
        l->out->scales.data = scale.data;
        l->out->scales.dtype = scale.dtype;
        l->out->scales.stride = stride;
    }
    return status;
}

/* NAME.weight_packed i32 [out, ceil(in / 8)], .weight_scale [out, in / group], .weight_shape i64 [2] = out, in and, when
 * asymmetric, .weight_zero_point i32 [ceil(out / 8), in / group]. */
static exaone_status packed(const loader *l, const exaone_weight_scheme *scheme) {
    exaone_matrix *m = l->out;
    uint64_t n_out = m->out_features, n_in = m->in_features;
    uint64_t group = scheme->cols_per_scale ? (uint64_t)scheme->cols_per_scale : n_in;
    exaone_weight t;
    int64_t said[2];
    exaone_status status = get(l, "weight_packed", EXAONE_DTYPE_BIT(EXAONE_I32), 2, (uint64_t[]){n_out, (n_in + 7) / 8}, &t);
    if (status != EXAONE_OK) {
        return status;
    }
    m->data = t.data;
    status = get(l, "weight_shape", EXAONE_DTYPE_BIT(EXAONE_I64), 1, (uint64_t[]){2}, &t);
    if (status != EXAONE_OK) {
        return status;
    }
    memcpy(said, t.data, sizeof said);
    if (said[0] != (int64_t)n_out || said[1] != (int64_t)n_in) {
        return exaone_fail(l->err, EXAONE_ERR_MODEL, "%s.weight_shape: it says [%lld, %lld], the matrix is [%zu, %zu]",
                           l->module, (long long)said[0], (long long)said[1], m->out_features, m->in_features);
    }
    if (n_in % group != 0) {
        return exaone_fail(l->err, EXAONE_ERR_MODEL, "%s: groups of %zu do not divide its %zu columns", l->module,
                           (size_t)group, m->in_features);
    }
    if (has(l, "weight_g_idx")) {
        return exaone_fail(l->err, EXAONE_ERR_UNSUPPORTED,
                           "%s.weight_g_idx: columns in another order are not computed by this version", l->module);
    }
    m->scales.rows_per_scale = 1;
    m->scales.cols_per_scale = (size_t)group;
    uint64_t n_groups = n_in / group;
    status = get_scales(l, "weight_scale", 1, &(shape){2, {n_out, n_groups}}, (size_t)n_groups);
    if (status == EXAONE_OK && !scheme->symmetric) {
        uint64_t dims[] = {(n_out + 7) / 8, n_groups};
        status = get(l, "weight_zero_point", EXAONE_DTYPE_BIT(EXAONE_I32), 2, dims, &t);
        m->scales.zero_points = status == EXAONE_OK ? (const int32_t *)(const void *)t.data : NULL;
    }
    return status;
}

/* The scales of an F8_E4M3 weight: [1] or a single value, [out, 1] or [out], or one per block. */
static exaone_status f8_scales(const loader *l, const exaone_weight_scheme *scheme, bool fp8) {
    exaone_matrix *m = l->out;
    uint64_t n_out = m->out_features, n_in = m->in_features;
    uint64_t rows = scheme->rows_per_scale ? (uint64_t)scheme->rows_per_scale : n_out;
    uint64_t cols = scheme->cols_per_scale ? (uint64_t)scheme->cols_per_scale : n_in;
    const char *part = fp8 && (scheme->cols_per_scale || !has(l, "weight_scale")) ? "weight_scale_inv" : "weight_scale";
    const shape whole[] = {{1, {1}}, {0, {0}}, {2, {1, 1}}}, channel[] = {{2, {n_out, 1}}, {1, {n_out}}};
    const shape block = {2, {(n_out + rows - 1) / rows, (n_in + cols - 1) / cols}};
    m->scales.rows_per_scale = (size_t)rows;
    m->scales.cols_per_scale = (size_t)cols;
    if (scheme->rows_per_scale == 0) {
        exaone_status status = get_scales(l, part, 3, whole, 1);
        return status == EXAONE_ERR_MODEL && has(l, part)
                   ? exaone_fail_context(l->err, status, "quantization_config describes 1 scale for a whole matrix")
                   : status;
    }
    if (scheme->cols_per_scale == 0) {
        return get_scales(l, part, 2, channel, 1);
    }
    return get_scales(l, part, 1, &block, (size_t)block.dims[1]);
}

/* The scheme of the module behind `name`, whose name without ".weight" goes to `module`; NULL: the tensor is what it is. */
static const exaone_weight_scheme *scheme_of(const exaone_quantization *q, const exaone_weights *w, const char *name,
                                             char module[NAME_ROOM]) {
    static const char *const parts[] = {".weight", ".weight_packed"};
    size_t n = strlen(name), end = strlen(parts[0]);
    if (!q || n <= end || n >= NAME_ROOM - 20 || strcmp(name + n - end, parts[0]) != 0) {
        return NULL;
    }
    snprintf(module, NAME_ROOM, "%.*s", (int)(n - end), name);
    for (size_t i = 0; i < 2; i++) { /* the configuration speaks of modules under the names that the file has */
        char full[NAME_ROOM], other[NAME_ROOM];
        memcpy(full, name, n - end);
        memcpy(full + n - end, parts[i], strlen(parts[i]) + 1);
        const char *in_file = exaone_weights_name(w, full);
        size_t m = in_file ? strlen(in_file) : 0;
        if (m > strlen(parts[i]) && m < sizeof other) {
            snprintf(other, sizeof other, "%.*s", (int)(m - strlen(parts[i])), in_file);
            return exaone_quantization_scheme(q, module, strcmp(other, module) == 0 ? NULL : other);
        }
    }
    return exaone_quantization_scheme(q, module, NULL);
}

exaone_status exaone_quantization_matrix(const exaone_quantization *q, const exaone_weights *weights, const char *name,
                                         size_t n_out, size_t n_in, exaone_matrix *out, exaone_error *err) {
    char module[NAME_ROOM] = "";
    const exaone_weight_scheme *scheme = scheme_of(q, weights, name, module);
    const loader l = {weights, module, out, err};
    *out = (exaone_matrix){.out_features = n_out, .in_features = n_in};
    if (scheme && scheme->dtype == EXAONE_I4 && (!exaone_weights_has(weights, name) || has(&l, "weight_packed"))) {
        out->dtype = EXAONE_I4;
        return packed(&l, scheme);
    }
    exaone_weight w;
    bool f8 = scheme && scheme->dtype == EXAONE_F8_E4M3;
    uint64_t dtypes = EXAONE_DTYPES_COMPUTED | (f8 ? EXAONE_DTYPE_BIT(EXAONE_F8_E4M3) : 0);
    exaone_status status = exaone_weights_get(weights, name, dtypes, 2, (uint64_t[]){n_out, n_in}, &w, err);
    if (status == EXAONE_OK) {
        out->dtype = w.dtype;
        out->data = w.data;
        status = w.dtype == EXAONE_F8_E4M3 ? f8_scales(&l, scheme, q->fp8) : EXAONE_OK;
    }
    return status;
}

bool exaone_quantization_is_part(const char *name) {
    static const char *const ends[] = {".weight_scale",
                                       ".weight_scale_inv",
                                       ".weight_zero_point",
                                       ".weight_shape",
                                       ".weight_g_idx",
                                       ".input_scale",
                                       ".output_scale",
                                       ".input_zero_point",
                                       ".output_zero_point",
                                       ".activation_scale",
                                       ".input_scale_inv",
                                       ".input_global_scale",
                                       ".weight_global_scale",
                                       ".output_global_scale",
                                       ".q_scale",
                                       ".k_scale",
                                       ".v_scale",
                                       ".k_zero_point",
                                       ".v_zero_point"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t m = strlen(ends[i]);
        if (n > m && strcmp(name + n - m, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}
