/* Hugging Face checkpoints: model.safetensors, or the shards that model.safetensors.index.json names.
 *
 * Index: {"weight_map": {NAME: FILE, …}}. FILE is a plain file name of the same folder; every NAME must be in its FILE. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "weights/weights_internal.h"

enum { MAX_INDEX = 64 << 20 }; /* bytes of an index; the released one has 100 KB */

static exaone_weights_part part_of(const char *name) {
    if (strncmp(name, "mtp.", 4) == 0) {
        return EXAONE_PART_MTP;
    }
    if (strncmp(name, "model.visual.", 13) == 0 || strncmp(name, "visual.", 7) == 0) {
        return EXAONE_PART_VISION;
    }
    bool text =
        strncmp(name, "model.", 6) == 0 || strncmp(name, "lm_head.", 8) == 0 || strncmp(name, "language_model.", 15) == 0;
    return text ? EXAONE_PART_TEXT : EXAONE_PART_OTHER;
}

exaone_status exaone_weights_fill_safetensors(exaone_weights *w, const char *path, exaone_error *err) {
    w->format = EXAONE_WEIGHTS_SAFETENSORS;
    if (w->n_files >= EXAONE_MAX_MODEL_FILES) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s: more than %d shards", w->dir, EXAONE_MAX_MODEL_FILES);
    }
    exaone_weights_file *file = exaone_weights_add_file(w, path, err);
    if (!file) {
        return EXAONE_ERR_MEMORY;
    }
    exaone_status status = exaone_map_open(path, &file->map, err);
    if (status == EXAONE_OK) {
        status = exaone_safetensors_parse(file->map.data, file->map.size, file->path, &file->list, err);
    }
    for (size_t i = 0; status == EXAONE_OK && i < file->list.count; i++) {
        const exaone_safetensors_entry *e = &file->list.entries[i];
        exaone_weight weight = {.name = e->name,
                                .dtype = e->dtype,
                                .n_dims = e->n_dims,
                                .data = e->data,
                                .bytes = e->bytes,
                                .file = file->path,
                                .part = part_of(e->name)};
        memcpy(weight.dims, e->dims, sizeof weight.dims);
        status = exaone_weights_add(w, &weight, err);
    }
    return status;
}

/* ---- index ---------------------------------------------------------------------------------------------------------------
 */

/* One line of the weight map. */
typedef struct entry {
    const exaone_json *j; /* key = tensor, value = shard */
    char *shard;          /* NUL-terminated, in the arena */
    char *name;
} entry;

static int shard_order(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int order = strcmp(x->shard, y->shard);
    return order ? order : strcmp(x->name, y->name);
}

static exaone_status read_entry(const exaone_json *j, entry *e, exaone_arena *arena, const char *path, exaone_error *err) {
    if (!exaone_json_is(j, EXAONE_JSON_STRING)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: weight_map: the file of %.*s is no string", path,
                           (int)(j->key_len < 200 ? j->key_len : 200), j->key);
    }
    *e = (entry){j, exaone_arena_string(arena, j->text, j->len), exaone_arena_string(arena, j->key, j->key_len)};
    if (!e->shard || !e->name) {
        return exaone_fail_memory(err, path, j->len + j->key_len);
    }
    if (j->len == 0 || j->len > 255 || strlen(e->shard) != j->len || e->shard[0] == '.' || strpbrk(e->shard, "/\\")) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: weight_map names \"%s\"; only plain file names of the same folder are allowed", path,
                           e->shard);
    }
    if (strcmp(e->shard, "model.safetensors.index.json") == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: weight_map names the index itself as the file of %s", path, e->name);
    }
    return EXAONE_OK;
}

static int entry_name_order(const void *key, const void *element) {
    return strcmp(key, *(const char *const *)element);
}

static int text_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Loads one shard and checks that it holds the tensors of entries[0 .. n). */
static exaone_status load_shard(exaone_weights *w, const entry *entries, size_t n, const char *index, exaone_error *err) {
    char *path = exaone_path_join(w->dir, entries[0].shard);
    if (!path) {
        return exaone_fail_memory(err, entries[0].shard, strlen(w->dir) + 256);
    }
    exaone_status status;
    if (!exaone_file_exists(path)) {
        status =
            exaone_fail(err, EXAONE_ERR_IO, "%s names the shard %s, which is not a file there", index, entries[0].shard);
    } else {
        status = exaone_weights_fill_safetensors(w, path, err);
    }
    free(path);
    if (status) {
        return status;
    }
    const exaone_safetensors *list = &w->files[w->n_files - 1].list;
    const char **names = exaone_mem_array(list->count, sizeof *names);
    if (!names) {
        return exaone_fail_memory(err, "the names of tensors", (unsigned long long)list->count * sizeof *names);
    }
    for (size_t i = 0; i < list->count; i++) {
        names[i] = list->entries[i].name;
    }
    qsort(names, list->count, sizeof *names, text_order);
    for (size_t i = 0; i < n && status == EXAONE_OK; i++) {
        if (!bsearch(entries[i].name, names, list->count, sizeof *names, entry_name_order)) {
            status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s is not in %s", index, entries[i].name, entries[i].shard);
        }
    }
    free(names);
    return status;
}

static exaone_status read_index(exaone_weights *w, const exaone_json *root, const char *path, exaone_arena *arena,
                                exaone_error *err) {
    const exaone_json *map = exaone_json_get(root, "weight_map");
    if (!exaone_json_is(map, EXAONE_JSON_OBJECT) || map->len == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: weight_map is missing, empty or no object", path);
    }
    entry *entries = exaone_mem_array(map->len, sizeof *entries);
    if (!entries) {
        return exaone_fail_memory(err, path, (unsigned long long)map->len * sizeof *entries);
    }
    size_t n = 0;
    exaone_status status = EXAONE_OK;
    for (const exaone_json *j = map->first; j && status == EXAONE_OK; j = j->next) {
        status = read_entry(j, &entries[n++], arena, path, err);
    }
    if (status == EXAONE_OK) {
        qsort(entries, n, sizeof *entries, shard_order);
    }
    for (size_t i = 0; i < n && status == EXAONE_OK;) {
        size_t end = i + 1;
        while (end < n && strcmp(entries[end].shard, entries[i].shard) == 0) {
            end++;
        }
        status = load_shard(w, entries + i, end - i, path, err);
        i = end;
    }
    free(entries);
    return status;
}

static exaone_status fill_index(exaone_weights *w, const char *path, exaone_error *err) {
    char *text;
    size_t size;
    exaone_status status = exaone_file_read(path, MAX_INDEX, &text, &size, err);
    if (status) {
        return status;
    }
    exaone_arena arena;
    exaone_arena_init(&arena, size * 16 + (128 << 10));
    exaone_json *root;
    status = exaone_json_parse(text, size, &arena, &root, err);
    status = status ? exaone_fail_context(err, status, "%s", path) : read_index(w, root, path, &arena, err);
    exaone_arena_release(&arena);
    free(text);
    return status;
}

exaone_status exaone_weights_fill_folder(exaone_weights *w, exaone_error *err) {
    char *single = exaone_path_join(w->dir, "model.safetensors");
    char *index = exaone_path_join(w->dir, "model.safetensors.index.json");
    exaone_status status = EXAONE_OK;
    if (!single || !index) {
        status = exaone_fail_memory(err, w->dir, strlen(w->dir) + 32);
    } else if (exaone_path_exists(single)) {
        status = exaone_weights_fill_safetensors(w, single, err);
    } else if (exaone_path_exists(index)) {
        status = fill_index(w, index, err);
    }
    free(single);
    free(index);
    return status;
}
