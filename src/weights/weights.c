/* Weight files: opening by kind, the index by name, and the question for one tensor. See weights.h. */
#include "weights/weights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "weights/names.h"
#include "weights/weights_internal.h"

/* ---- filling -------------------------------------------------------------------------------------------------------------
 */

exaone_weights_file *exaone_weights_add_file(exaone_weights *w, const char *path, exaone_error *err) {
    exaone_weights_file *files = exaone_mem_grow(w->files, w->n_files, &w->cap_files, sizeof *files);
    if (!files) {
        (void)exaone_fail_memory(err, "the list of files", 2 * w->cap_files * sizeof *files);
        return NULL;
    }
    w->files = files;
    char *copy = exaone_mem_string(path, strlen(path));
    if (!copy) {
        (void)exaone_fail_memory(err, path, strlen(path) + 1);
        return NULL;
    }
    exaone_weights_file *file = &w->files[w->n_files++];
    *file = (exaone_weights_file){.path = copy};
    return file;
}

exaone_status exaone_weights_add(exaone_weights *w, const exaone_weight *weight, exaone_error *err) {
    exaone_weight *list = exaone_mem_grow(w->list, w->count, &w->cap, sizeof *list);
    if (!list) {
        return exaone_fail_memory(err, "the list of tensors", 2 * w->cap * sizeof *list);
    }
    w->list = list;
    w->list[w->count++] = *weight;
    return EXAONE_OK;
}

static int name_order(const void *a, const void *b) {
    return strcmp((*(const exaone_weight *const *)a)->name, (*(const exaone_weight *const *)b)->name);
}

static exaone_status build_index(exaone_weights *w, exaone_error *err) {
    w->by_name = exaone_mem_array(w->count, sizeof *w->by_name);
    if (!w->by_name) {
        return exaone_fail_memory(err, "the list of tensors", (unsigned long long)w->count * sizeof *w->by_name);
    }
    for (size_t i = 0; i < w->count; i++) {
        w->by_name[i] = &w->list[i];
    }
    qsort(w->by_name, w->count, sizeof *w->by_name, name_order);
    for (size_t i = 1; i < w->count; i++) {
        const exaone_weight *a = w->by_name[i - 1], *b = w->by_name[i];
        if (strcmp(a->name, b->name) == 0) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "tensor %s is in %s and again in %s", a->name, a->file, b->file);
        }
    }
    return EXAONE_OK;
}

/* ---- opening -------------------------------------------------------------------------------------------------------------
 */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The folder of a file; "." for a plain name. NULL when out of memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return exaone_mem_string(".", 1);
    }
    return exaone_mem_string(path, slash == path ? 1 : (size_t)(slash - path));
}

static exaone_status fill(exaone_weights *w, const char *path, const char *mmproj, bool is_dir, exaone_error *err) {
    char *model = NULL;
    exaone_status status = EXAONE_OK;
    if (is_dir) {
        status = exaone_weights_fill_folder(w, err);
        if (status || w->n_files > 0) {
            goto checkpoint;
        }
        status = exaone_gguf_find_model(path, &model, err);
        if (status == EXAONE_OK && !model) {
            status = exaone_fail(
                err, EXAONE_ERR_IO,
                "%s holds no model: no model.safetensors, no model.safetensors.index.json and no .gguf file", path);
        }
    } else if (ends_with(path, ".safetensors")) {
        status = exaone_weights_fill_safetensors(w, path, err);
        goto checkpoint;
    }
    if (status == EXAONE_OK) {
        w->format = EXAONE_WEIGHTS_GGUF;
        status = exaone_weights_fill_gguf(w, model ? model : path, mmproj, err);
    }
    free(model);
    return status;

checkpoint:
    if (status == EXAONE_OK && mmproj) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s: an mmproj file belongs to a GGUF model, not to the checkpoint %s",
                           mmproj, path);
    }
    return status;
}

exaone_status exaone_weights_open(const char *path, const char *mmproj, exaone_weights **out, exaone_error *err) {
    *out = NULL;
    exaone_weights *w = exaone_mem_array(1, sizeof *w);
    if (!w) {
        return exaone_fail_memory(err, "the weights", sizeof *w);
    }
    bool is_dir = exaone_file_is_dir(path);
    w->dir = is_dir ? exaone_mem_string(path, strlen(path)) : folder_of(path);
    w->copies = exaone_mem_array(1, sizeof *w->copies);
    exaone_status status =
        w->dir && w->copies ? fill(w, path, mmproj, is_dir, err) : exaone_fail_memory(err, path, strlen(path));
    if (status == EXAONE_OK) {
        status = build_index(w, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_weights_recheck(w, err);
    }
    if (status) {
        exaone_weights_close(w);
        return status;
    }
    *out = w;
    return EXAONE_OK;
}

exaone_status exaone_weights_declare(const exaone_weight *list, size_t n, exaone_weights **out, exaone_error *err) {
    *out = NULL;
    exaone_weights *w = exaone_mem_array(1, sizeof *w);
    if (!w) {
        return exaone_fail_memory(err, "the weights", sizeof *w);
    }
    w->dir = exaone_mem_string(".", 1);
    exaone_status status = w->dir ? EXAONE_OK : exaone_fail_memory(err, "the weights", 2);
    for (size_t i = 0; i < n && status == EXAONE_OK; i++) {
        status = exaone_weights_add(w, &list[i], err);
    }
    if (status == EXAONE_OK) {
        status = build_index(w, err);
    }
    if (status) {
        exaone_weights_close(w);
        return status;
    }
    *out = w;
    return EXAONE_OK;
}

void exaone_weights_close(exaone_weights *w) {
    if (!w) {
        return;
    }
    for (size_t i = 0; i < w->n_files; i++) {
        exaone_safetensors_release(&w->files[i].list);
        exaone_map_close(&w->files[i].map);
        exaone_gguf_close(w->files[i].gguf);
        free(w->files[i].path);
    }
    for (size_t i = 0; w->copies && i < w->copies->count; i++) {
        free(w->copies->items[i].to);
    }
    if (w->copies) {
        free(w->copies->items);
    }
    free(w->copies);
    free(w->files);
    free(w->list);
    free(w->by_name);
    free(w->dir);
    free(w);
}

/* ---- asking --------------------------------------------------------------------------------------------------------------
 */

exaone_weights_format exaone_weights_get_format(const exaone_weights *w) {
    return w->format;
}

const char *exaone_weights_dir(const exaone_weights *w) {
    return w->dir;
}

const exaone_gguf *exaone_weights_gguf(const exaone_weights *w) {
    return w->n_files > 0 ? w->files[0].gguf : NULL;
}

static const exaone_weights_file *mmproj_file(const exaone_weights *w) {
    return w->n_files > 0 && w->files[w->n_files - 1].is_mmproj ? &w->files[w->n_files - 1] : NULL;
}

const exaone_gguf *exaone_weights_mmproj(const exaone_weights *w) {
    const exaone_weights_file *file = mmproj_file(w);
    return file ? file->gguf : NULL;
}

const char *exaone_weights_mmproj_path(const exaone_weights *w) {
    const exaone_weights_file *file = mmproj_file(w);
    return file ? file->path : NULL;
}

const char *exaone_weights_path(const exaone_weights *w, size_t i) {
    return i < w->n_files ? w->files[i].path : NULL;
}

size_t exaone_weights_mmproj_candidates(const exaone_weights *w) {
    return w->mmproj_candidates;
}

static size_t file_size(const exaone_weights_file *file) {
    return file->gguf ? exaone_gguf_size(file->gguf) : file->map.size;
}

uint64_t exaone_weights_mapped_bytes(const exaone_weights *w) {
    uint64_t total = 0;
    for (size_t i = 0; i < w->n_files; i++) {
        total += file_size(&w->files[i]);
    }
    return total;
}

size_t exaone_weights_count(const exaone_weights *w) {
    return w->count;
}

exaone_weight exaone_weights_at(const exaone_weights *w, size_t i) {
    return w->list[i];
}

exaone_status exaone_weights_recheck(const exaone_weights *w, exaone_error *err) {
    for (size_t i = 0; i < w->n_files; i++) {
        struct stat st;
        const exaone_weights_file *file = &w->files[i];
        if (stat(file->path, &st) != 0) {
            return exaone_fail(err, EXAONE_ERR_IO, "cannot stat %s: %s", file->path, strerror(errno));
        }
        if ((uint64_t)st.st_size < file_size(file)) {
            return exaone_fail(err, EXAONE_ERR_IO, "%s has become shorter since it was opened: %llu bytes, before %zu",
                               file->path, (unsigned long long)st.st_size, file_size(file));
        }
    }
    return EXAONE_OK;
}

/* ---- one tensor ----------------------------------------------------------------------------------------------------------
 */

static const exaone_weight *lookup(const exaone_weights *w, const char *name) {
    exaone_weight wanted = {.name = name};
    const exaone_weight *p = &wanted;
    const exaone_weight **found = bsearch(&p, w->by_name, w->count, sizeof *w->by_name, name_order);
    return found ? *found : NULL;
}

/* Other prefixes under which checkpoints hold the same parts: text-only models, and the layout of older model classes. */
static const struct {
    const char *prefix, *other;
} ALIASES[] = {
    {"model.language_model.", "model."},
    {"model.language_model.", "language_model.model."},
    {"model.visual.", "visual."},
    {"lm_head.", "language_model.lm_head."},
};

static const exaone_weight *find(const exaone_weights *w, const char *name) {
    char other[EXAONE_NAME_ROOM];
    if (w->format == EXAONE_WEIGHTS_GGUF) {
        bool vision;
        return exaone_names_to_gguf(name, w->n_main, other, &vision) ? lookup(w, other) : NULL;
    }
    const exaone_weight *found = lookup(w, name);
    for (size_t i = 0; !found && i < sizeof ALIASES / sizeof *ALIASES; i++) {
        size_t n = strlen(ALIASES[i].prefix);
        if (strncmp(name, ALIASES[i].prefix, n) == 0 &&
            snprintf(other, sizeof other, "%s%s", ALIASES[i].other, name + n) < (int)sizeof other) {
            found = lookup(w, other);
        }
    }
    return found;
}

bool exaone_weights_has(const exaone_weights *w, const char *name) {
    return find(w, name) != NULL;
}

const char *exaone_weights_name(const exaone_weights *w, const char *name) {
    const exaone_weight *found = find(w, name);
    return found ? found->name : NULL;
}

/* "[a, b]" */
static const char *shape_text(size_t n, const uint64_t *dims, char *out, size_t room) {
    size_t at = (size_t)snprintf(out, room, "[");
    for (size_t i = 0; i < n && at < room; i++) {
        at += (size_t)snprintf(out + at, room - at, "%s%llu", i ? ", " : "", (unsigned long long)dims[i]);
    }
    if (at < room) {
        snprintf(out + at, room - at, "]");
    }
    return out;
}

static exaone_status absent(const exaone_weights *w, const char *name, exaone_error *err) {
    char other[EXAONE_NAME_ROOM];
    bool vision = false;
    if (w->format == EXAONE_WEIGHTS_SAFETENSORS) {
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: not in %s", name, w->n_files == 1 ? w->files[0].path : w->dir);
    }
    const char *gguf_name = exaone_names_to_gguf(name, w->n_main, other, &vision) ? other : name;
    const char *path = vision && mmproj_file(w) ? mmproj_file(w)->path : w->files[0].path;
    return exaone_fail(err, EXAONE_ERR_MODEL, "%s: not in %s (as %s)", name, path, gguf_name);
}

/* An aligned copy, made once. */
static exaone_status align(const exaone_weights *w, exaone_weight *weight, exaone_error *err) {
    exaone_weights_copies *c = w->copies;
    for (size_t i = 0; i < c->count; i++) {
        if (c->items[i].from == weight->data) {
            weight->data = c->items[i].to;
            return EXAONE_OK;
        }
    }
    void *items = exaone_mem_grow(c->items, c->count, &c->cap, sizeof *c->items);
    if (!items) {
        return exaone_fail_memory(err, "the list of copies", 2 * c->cap * sizeof *c->items);
    }
    c->items = items;
    void *copy = exaone_mem_aligned(weight->bytes, 1);
    if (!copy) {
        return exaone_fail_memory(err, weight->name, weight->bytes);
    }
    memcpy(copy, weight->data, weight->bytes);
    c->items[c->count].from = weight->data;
    c->items[c->count++].to = copy;
    weight->data = copy;
    return EXAONE_OK;
}

/* "F32, F16 or BF16" */
static const char *types_text(uint64_t dtypes, char *out, size_t room) {
    size_t at = 0;
    out[0] = 0;
    for (int type = 0; type < EXAONE_DTYPE_COUNT && at < room; type++) {
        uint64_t rest = dtypes >> type;
        if (rest & 1) {
            const char *comma = at == 0 ? "" : rest == 1 ? " or " : ", ";
            at += (size_t)snprintf(out + at, room - at, "%s%s", comma, exaone_dtype_name((exaone_dtype)type));
        }
    }
    return out;
}

exaone_status exaone_weights_find(const exaone_weights *w, const char *name, size_t n_dims, const uint64_t *dims,
                                  exaone_weight *out, exaone_error *err) {
    *out = (exaone_weight){0};
    const exaone_weight *found = find(w, name);
    if (!found) {
        return absent(w, name, err);
    }
    bool same = found->n_dims == n_dims;
    for (size_t i = 0; same && i < n_dims; i++) {
        same = found->dims[i] == dims[i];
    }
    if (!same) {
        char want[160], has[160];
        return exaone_fail(err, EXAONE_ERR_MODEL, "%s: want %s, %s has %s", name,
                           shape_text(n_dims, dims, want, sizeof want), found->file,
                           shape_text(found->n_dims, found->dims, has, sizeof has));
    }
    *out = *found;
    return EXAONE_OK;
}

exaone_status exaone_weights_get(const exaone_weights *w, const char *name, uint64_t dtypes, size_t n_dims,
                                 const uint64_t *dims, exaone_weight *out, exaone_error *err) {
    exaone_weight found;
    exaone_status status = exaone_weights_find(w, name, n_dims, dims, &found, err);
    *out = (exaone_weight){0};
    if (status) {
        return status;
    }
    if (!(dtypes & EXAONE_DTYPE_BIT(found.dtype))) {
        char want[160];
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "%s: %s has it as %s, want %s", name, found.file,
                           exaone_dtype_name(found.dtype), types_text(dtypes, want, sizeof want));
    }
    size_t element = exaone_dtype_get(found.dtype)->block_elements == 1 ? exaone_dtype_get(found.dtype)->block_bytes : 1;
    if ((uintptr_t)found.data % element != 0 && found.bytes > 0) {
        status = align(w, &found, err);
    }
    if (status == EXAONE_OK) {
        *out = found;
    }
    return status;
}
