/* Tensors by GGUF name: see diff_items.h. */
#include "quant/diff_items.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/quantization.h"

enum { PATCH = 14 * 14, BLOCK = 256 };

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Layers of the decoder, from the names: the number that the MTP block has in GGUF. */
static size_t count_layers(const exaone_weights *w) {
    size_t n = 0;
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        const char *name = exaone_weights_at(w, i).name, *at = strstr(name, "layers.");
        if (at && !strstr(name, "mtp.")) {
            size_t number = strtoul(at + 7, NULL, 10);
            n = number < EXAONE_MAX_LAYERS && number + 1 > n ? number + 1 : n;
        }
    }
    return n;
}

typedef struct lister {
    exaone_diff_model *m;
    size_t n_main;
    bool gguf;
    exaone_error *err;
} lister;

static exaone_diff_item *add(lister *l, const exaone_weight *w, const char *name) {
    exaone_diff_item *t = &l->m->items[l->m->count++]; /* room was made for all */
    bool vision;
    if (l->gguf || !exaone_names_any_to_gguf(name, l->n_main, t->name, &vision)) {
        snprintf(t->name, sizeof t->name, "%s", name);
    }
    t->dtype = w->dtype;
    t->n_dims = w->n_dims;
    memcpy(t->dims, w->dims, sizeof t->dims);
    t->data = w->data;
    t->bytes = w->bytes;
    t->slice = -1;
    t->elements = 1;
    for (size_t d = 0; d < t->n_dims; d++) {
        t->elements *= t->dims[d]; /* fits: the file has the bytes */
    }
    t->columns = t->n_dims && t->dims[t->n_dims - 1] ? (size_t)t->dims[t->n_dims - 1] : 1;
    return t;
}

/* The joined patch embedding [hidden, channels, 2, 14, 14] as its two slices. */
static void add_slices(lister *l, const exaone_weight *w) {
    for (int slice = 0; slice < 2; slice++) {
        char name[EXAONE_NAME_ROOM + 8];
        snprintf(name, sizeof name, "%s.%d", w->name, slice);
        exaone_diff_item *t = add(l, w, name);
        t->n_dims = 4;
        t->dims[2] = t->dims[3];
        t->dims[3] = t->dims[4];
        t->dims[4] = 0;
        t->elements /= 2;
        t->bytes /= 2;
        t->columns = PATCH;
        t->slice = slice;
    }
}

static bool is_joined_patches(const exaone_weight *w) {
    return w->n_dims == 5 && w->dims[2] == 2 && w->dims[3] * w->dims[4] == PATCH && w->dims[3] == 14 &&
           (EXAONE_DTYPE_BIT(w->dtype) & EXAONE_DTYPES_FLOAT) && ends_with(w->name, "visual.patch_embed.proj.weight");
}

/* ---- scaled matrices -----------------------------------------------------------------------------------------------------
 */

/* "X.weight_packed" or "X.weight" of 8-bit floats: the name X.weight. False for everything else. */
static bool is_scaled(const exaone_weight *w, char name[EXAONE_NAME_ROOM]) {
    bool packed = ends_with(w->name, ".weight_packed"), f8 = w->dtype == EXAONE_F8_E4M3 && ends_with(w->name, ".weight");
    size_t n = strlen(w->name) - (packed ? strlen("_packed") : 0);
    if ((!packed && !f8) || w->n_dims != 2 || n >= EXAONE_NAME_ROOM) {
        return false;
    }
    memcpy(name, w->name, n);
    name[n] = 0;
    return true;
}

/* Columns of a packed matrix: weight_shape, else eight to a word. */
static uint64_t packed_columns(const exaone_weights *w, const char *name, uint64_t words) {
    char full[EXAONE_NAME_ROOM + 8];
    exaone_weight shape;
    exaone_error absent;
    int64_t wide[2] = {0};
    int32_t narrow[2];
    snprintf(full, sizeof full, "%s_shape", name);
    if (exaone_weights_get(w, full, EXAONE_DTYPE_BIT(EXAONE_I64) | EXAONE_DTYPE_BIT(EXAONE_I32), 1, (uint64_t[]){2}, &shape,
                           &absent) == EXAONE_OK) {
        if (shape.dtype == EXAONE_I64) {
            memcpy(wide, shape.data, sizeof wide);
        } else {
            memcpy(narrow, shape.data, sizeof narrow);
            wide[1] = narrow[1];
        }
    }
    bool fits = wide[1] > 0 && (uint64_t)wide[1] <= words * 8 && (uint64_t)wide[1] + 8 > words * 8;
    return fits ? (uint64_t)wide[1] : words * 8;
}

static exaone_status add_scaled(lister *l, const exaone_weight *w, const char *name) {
    exaone_diff_model *m = l->m;
    exaone_diff_item *t = add(l, w, name);
    exaone_status s = EXAONE_OK;
    if (!m->has_config) {
        s = exaone_config_load(m->weights, &m->config, l->err);
        m->has_config = true; /* to be released */
    }
    t->dims[1] = ends_with(w->name, "_packed") ? packed_columns(m->weights, name, w->dims[1]) : w->dims[1];
    t->columns = t->dims[1] ? (size_t)t->dims[1] : 1;
    t->elements = t->dims[0] * t->dims[1];
    t->scaled = true;
    if (s == EXAONE_OK && t->elements > 0) {
        s = exaone_quantization_matrix(m->config.quantization, m->weights, name, (size_t)t->dims[0], (size_t)t->dims[1],
                                       &t->matrix, l->err);
        t->dtype = t->matrix.dtype;
    }
    return s;
}

/* ---- the list ------------------------------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b) {
    const exaone_diff_item *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static exaone_status list(lister *l) {
    exaone_diff_model *m = l->m;
    size_t n = exaone_weights_count(m->weights);
    bool any_scaled = false;
    char name[EXAONE_NAME_ROOM];
    exaone_status s = EXAONE_OK;
    for (size_t i = 0; !l->gguf && i < n; i++) {
        exaone_weight w = exaone_weights_at(m->weights, i);
        any_scaled = any_scaled || is_scaled(&w, name);
    }
    for (size_t i = 0; s == EXAONE_OK && i < n; i++) {
        exaone_weight w = exaone_weights_at(m->weights, i);
        if (!l->gguf && is_joined_patches(&w)) {
            add_slices(l, &w);
        } else if (any_scaled && is_scaled(&w, name)) {
            s = add_scaled(l, &w, name);
        } else if (!(any_scaled && exaone_quantization_is_part(w.name))) {
            add(l, &w, w.name);
        }
    }
    return s;
}

exaone_status exaone_diff_model_open(exaone_diff_model *m, const char *path, const char *mmproj, exaone_error *err) {
    *m = (exaone_diff_model){0};
    exaone_status s = exaone_weights_open(path, mmproj, &m->weights, err);
    if (s != EXAONE_OK) {
        return s;
    }
    size_t n = exaone_weights_count(m->weights) + 1; /* one is split in two */
    m->items = exaone_mem_array(2 * n, sizeof *m->items);
    m->by_name = exaone_mem_array(2 * n, sizeof(exaone_diff_item *));
    if (!m->items || !m->by_name) {
        return exaone_fail_memory(err, "the list of tensors", 2 * n * sizeof *m->items);
    }
    lister l = {.m = m, .err = err, .gguf = exaone_weights_get_format(m->weights) == EXAONE_WEIGHTS_GGUF};
    l.n_main = l.gguf ? 0 : count_layers(m->weights);
    s = list(&l);
    for (size_t i = 0; i < m->count; i++) {
        m->by_name[i] = &m->items[i];
    }
    if (m->count > 1) {
        qsort(m->by_name, m->count, sizeof(exaone_diff_item *), by_name);
    }
    return s;
}

void exaone_diff_model_release(exaone_diff_model *m) {
    if (m->has_config) {
        exaone_config_release(&m->config);
    }
    exaone_weights_close(m->weights);
    free(m->items);
    free(m->by_name);
    *m = (exaone_diff_model){0};
}

exaone_diff_item *exaone_diff_model_find(const exaone_diff_model *m, const char *name) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(m->by_name[mid]->name, name);
        if (order == 0) {
            return m->by_name[mid];
        }
        *(order < 0 ? &low : &high) = order < 0 ? mid + 1 : mid;
    }
    return NULL;
}

/* ---- values --------------------------------------------------------------------------------------------------------------
 */

bool exaone_diff_item_readable(const exaone_diff_item *t) {
    return t->scaled || (EXAONE_DTYPE_BIT(t->dtype) & (EXAONE_DTYPES_FLOAT | EXAONE_DTYPES_BLOCKS));
}

size_t exaone_diff_item_run(const exaone_diff_item *t) {
    return t->scaled ? t->columns : t->slice >= 0 ? PATCH : BLOCK; /* every block has at most 256 values */
}

void exaone_diff_item_read(const exaone_diff_item *t, size_t first, size_t n, float *out) {
    if (t->scaled) {
        for (size_t i = 0; i < n; i += t->columns) {
            exaone_matrix_row_f32(&t->matrix, (first + i) / t->columns, out + i);
        }
        return;
    }
    const exaone_dtype_info *info = exaone_dtype_get(t->dtype);
    if (t->slice < 0) {
        exaone_dtype_to_f32(t->dtype, t->data + first / info->block_elements * info->block_bytes, n, out);
        return;
    }
    for (size_t i = 0; i < n; i += PATCH) {
        size_t patch = (first + i) / PATCH * 2 + (size_t)t->slice;
        exaone_dtype_to_f32(t->dtype, t->data + patch * PATCH * info->block_bytes, PATCH, out + i);
    }
}

void exaone_diff_item_forget(const exaone_diff_item *t, size_t first, size_t n) {
    const exaone_dtype_info *info = exaone_dtype_get(t->dtype);
    if (!t->scaled && t->slice < 0) { /* the other slice is still to come; a row of scales serves many rows */
        size_t begin = first / info->block_elements * info->block_bytes;
        exaone_map_forget(t->data + begin, n / info->block_elements * info->block_bytes);
    }
}
