/* Importance matrices in memory and in files.
 *
 * GGUF (what llama.cpp's imatrix tool writes and its quantiser reads): general.type "imatrix", imatrix.datasets (strings),
 * imatrix.chunk_count and imatrix.chunk_size (u32); per weight NAME two F32 tensors: NAME.in_sum2 [n] sums of squares, and
 * NAME.counts [1] rows. Newer files may have NAME.in_sum too (sums), which is not needed here.
 * The older .dat, little endian: i32 entries; per entry i32 length, name, i32 calls, i32 n, f32 [n] mean square times calls;
 * then i32 chunks, i32 length, dataset. */
#include "quant/imatrix.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"

enum { LEGACY_CHUNK = 512, MAX_NAME = 200, MAX_DATASETS = 4096 };

struct exaone_imatrix {
    exaone_imatrix_entry **entries; /* [count] */
    size_t count, cap;
    size_t n_sorted; /* this many in front are sorted by name */
    char **datasets; /* [n_datasets] */
    size_t n_datasets, cap_datasets;
    uint64_t chunks;
    uint32_t chunk_size;
};

exaone_status exaone_imatrix_new(exaone_imatrix **out, exaone_error *err) {
    *out = exaone_mem_array(1, sizeof **out);
    return *out ? EXAONE_OK : exaone_fail_memory(err, "an importance matrix", sizeof **out);
}

static void free_entry(exaone_imatrix_entry *e) {
    if (e) {
        free(e->name);
        free(e->sum);
        free(e->mean);
        free(e);
    }
}

void exaone_imatrix_close(exaone_imatrix *im) {
    if (!im) {
        return;
    }
    for (size_t i = 0; i < im->count; i++) {
        free_entry(im->entries[i]);
    }
    for (size_t i = 0; i < im->n_datasets; i++) {
        free(im->datasets[i]);
    }
    free(im->entries);
    free(im->datasets);
    free(im);
}

/* ---- entries -------------------------------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b) {
    const exaone_imatrix_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void sort(exaone_imatrix *im) {
    if (im->count > 1) {
        qsort(im->entries, im->count, sizeof *im->entries, by_name);
    }
    im->n_sorted = im->count;
}

static exaone_imatrix_entry *find_sorted(const exaone_imatrix *im, const char *name) {
    size_t low = 0, high = im->n_sorted;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(im->entries[mid]->name, name);
        if (order == 0) {
            return im->entries[mid];
        }
        *(order < 0 ? &low : &high) = order < 0 ? mid + 1 : mid;
    }
    return NULL;
}

static exaone_imatrix_entry *find(const exaone_imatrix *im, const char *name) {
    exaone_imatrix_entry *e = find_sorted(im, name);
    for (size_t i = im->n_sorted; !e && i < im->count; i++) {
        e = strcmp(im->entries[i]->name, name) == 0 ? im->entries[i] : NULL;
    }
    return e;
}

/* Behind the others; the caller knows that the name is new. */
static exaone_status append(exaone_imatrix *im, const char *name, size_t name_len, size_t n, exaone_imatrix_entry **out,
                            exaone_error *err) {
    exaone_imatrix_entry **more = exaone_mem_grow(im->entries, im->count, &im->cap, sizeof(exaone_imatrix_entry *));
    if (!more) {
        return exaone_fail_memory(err, "importance entries", 2 * im->cap * sizeof *more);
    }
    im->entries = more;
    exaone_imatrix_entry *e = exaone_mem_array(1, sizeof *e);
    if (e) {
        e->n = n;
        e->name = exaone_mem_string(name, name_len);
        e->sum = exaone_mem_array(n, sizeof *e->sum);
        e->mean = exaone_mem_array(n, sizeof *e->mean);
    }
    if (!e || !e->name || !e->sum || !e->mean) {
        free_entry(e);
        return exaone_fail_memory(err, "importance sums", n * (sizeof *e->sum + sizeof *e->mean));
    }
    im->entries[im->count++] = e;
    *out = e;
    return EXAONE_OK;
}

exaone_status exaone_imatrix_slot(exaone_imatrix *im, const char *name, size_t n, exaone_imatrix_entry **out,
                                  exaone_error *err) {
    *out = find(im, name);
    if (!*out) {
        return append(im, name, strlen(name), n, out, err);
    }
    return (*out)->n == n ? EXAONE_OK
                          : exaone_fail(err, EXAONE_ERR_ARGUMENT, "importance of %s: %zu columns, the model has %zu", name,
                                        (*out)->n, n);
}

size_t exaone_imatrix_columns(const exaone_imatrix *im, const char *name) {
    const exaone_imatrix_entry *e = find(im, name);
    return e ? e->n : 0;
}

const float *exaone_imatrix_find(const exaone_imatrix *im, const char *name, size_t n) {
    exaone_imatrix_entry *e = find(im, name);
    if (!e || e->n != n || !(e->rows > 0)) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        double mean = e->sum[i] / e->rows;
        e->mean[i] = mean < 3.4e38 ? (float)mean : 3.4e38F;
    }
    return e->mean;
}

size_t exaone_imatrix_count(const exaone_imatrix *im) {
    return im->count;
}

exaone_imatrix_item exaone_imatrix_at(const exaone_imatrix *im, size_t i) {
    const exaone_imatrix_entry *e = im->entries[i];
    return (exaone_imatrix_item){e->name, e->n, e->rows};
}

/* ---- datasets, merging ---------------------------------------------------------------------------------------------------
 */

static exaone_status add_dataset(exaone_imatrix *im, const char *text, size_t n, exaone_error *err) {
    if (im->n_datasets >= MAX_DATASETS) { /* only names for people */
        return EXAONE_OK;
    }
    char **more = exaone_mem_grow(im->datasets, im->n_datasets, &im->cap_datasets, sizeof(char *));
    if (!more) {
        return exaone_fail_memory(err, "dataset names", 2 * im->cap_datasets * sizeof *more);
    }
    im->datasets = more;
    char *copy = exaone_mem_string(text, n);
    if (!copy) {
        return exaone_fail_memory(err, "a dataset name", n);
    }
    im->datasets[im->n_datasets++] = copy;
    return EXAONE_OK;
}

exaone_status exaone_imatrix_note(exaone_imatrix *im, const char *dataset, uint32_t chunks, uint32_t chunk_size,
                                  exaone_error *err) {
    im->chunks += chunks;
    im->chunk_size = chunk_size ? chunk_size : im->chunk_size;
    return dataset ? add_dataset(im, dataset, strlen(dataset), err) : EXAONE_OK;
}

exaone_status exaone_imatrix_merge(exaone_imatrix *im, const exaone_imatrix *other, exaone_error *err) {
    sort(im);
    for (size_t i = 0; i < other->count; i++) {
        const exaone_imatrix_entry *from = other->entries[i], *to = find_sorted(im, from->name);
        if (to && to->n != from->n) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "importance of %s: %zu columns here, %zu in the file to merge",
                               from->name, to->n, from->n);
        }
    }
    exaone_status s = EXAONE_OK;
    for (size_t i = 0; s == EXAONE_OK && i < other->count; i++) {
        const exaone_imatrix_entry *from = other->entries[i];
        exaone_imatrix_entry *to = find_sorted(im, from->name); /* names of `other` differ: new ones need no look */
        if (!to) {
            s = append(im, from->name, strlen(from->name), from->n, &to, err);
        }
        for (size_t k = 0; s == EXAONE_OK && k < from->n; k++) {
            to->sum[k] += from->sum[k];
        }
        if (s == EXAONE_OK) {
            to->rows += from->rows;
        }
    }
    sort(im);
    for (size_t i = 0; s == EXAONE_OK && i < other->n_datasets; i++) {
        s = add_dataset(im, other->datasets[i], strlen(other->datasets[i]), err);
    }
    im->chunks += other->chunks;
    im->chunk_size = im->chunk_size ? im->chunk_size : other->chunk_size;
    return s;
}

/* ---- reading -------------------------------------------------------------------------------------------------------------
 */

static float f32_at(const uint8_t *bytes, size_t i) {
    float v;
    memcpy(&v, bytes + 4 * i, sizeof v);
    return v;
}

/* Sums of one entry from the file, each times `scale`. */
static exaone_status take_sums(exaone_imatrix_entry *e, const uint8_t *data, double scale, const char *file,
                               exaone_error *err) {
    for (size_t i = 0; i < e->n; i++) {
        float v = f32_at(data, i);
        if (!(v >= 0) || !isfinite(v)) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s: column %zu is %g, which is not a finite number >= 0", file,
                               e->name, i, (double)v);
        }
        e->sum[i] = (double)v * scale;
    }
    return EXAONE_OK;
}

static bool cut_suffix(const char *name, const char *suffix, size_t *n) {
    size_t len = strlen(name), end = strlen(suffix);
    *n = len - end;
    return len > end && strcmp(name + len - end, suffix) == 0;
}

static exaone_status read_pair(exaone_imatrix *im, const exaone_gguf *g, const exaone_gguf_tensor *sums, size_t name_len,
                               exaone_error *err) {
    const char *file = exaone_gguf_path(g);
    char name[MAX_NAME + 16];
    if (name_len > MAX_NAME) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s: a name of %zu bytes is above the limit %d", file, name_len, MAX_NAME);
    }
    snprintf(name, sizeof name, "%.*s.counts", (int)name_len, sums->name);
    const exaone_gguf_tensor *counts = exaone_gguf_find_tensor(g, name);
    if (!counts) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s has no %s beside it", file, sums->name, name);
    }
    if (sums->dtype != EXAONE_F32 || counts->dtype != EXAONE_F32) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s and its counts have types %s and %s, want F32", file, sums->name,
                           exaone_dtype_name(sums->dtype), exaone_dtype_name(counts->dtype));
    }
    size_t n = sums->bytes / 4, n_counts = counts->bytes / 4;
    if (n_counts != 1 || sums->ne[0] != n) {
        return exaone_fail(err, n_counts > 1 ? EXAONE_ERR_UNSUPPORTED : EXAONE_ERR_FORMAT,
                           "%s: %s has %zu values in rows of %llu, and %zu counts; want one row and one count", file,
                           sums->name, n, (unsigned long long)sums->ne[0], n_counts);
    }
    float rows = f32_at(counts->data, 0);
    if (n == 0 || !(rows > 0) || !isfinite(rows)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s counts %g rows for %zu columns; want more than 0 of each", file,
                           name, (double)rows, n);
    }
    exaone_imatrix_entry *e;
    exaone_status s = append(im, sums->name, name_len, n, &e, err);
    if (s == EXAONE_OK) {
        e->rows = (double)rows;
        s = take_sums(e, sums->data, 1, file, err);
    }
    return s;
}

static exaone_status read_datasets(exaone_imatrix *im, const exaone_gguf *g, exaone_error *err) {
    int64_t chunks, size;
    if (exaone_gguf_int(exaone_gguf_find(g, "imatrix.chunk_count"), &chunks) && chunks > 0) {
        im->chunks = (uint64_t)chunks;
    }
    if (exaone_gguf_int(exaone_gguf_find(g, "imatrix.chunk_size"), &size) && size > 0 && size <= INT_MAX) {
        im->chunk_size = (uint32_t)size;
    }
    const exaone_gguf_kv *kv = exaone_gguf_find(g, "imatrix.datasets");
    if (!kv || kv->type != EXAONE_GGUF_ARRAY || kv->element != EXAONE_GGUF_STRING) {
        return EXAONE_OK;
    }
    exaone_gguf_view *names = NULL;
    exaone_status s = exaone_gguf_strings(kv, &names, err);
    for (uint64_t i = 0; s == EXAONE_OK && i < kv->count; i++) {
        s = add_dataset(im, names[i].text, names[i].n, err);
    }
    free(names);
    return s;
}

static exaone_status read_gguf(exaone_imatrix *im, const uint8_t *bytes, size_t size, const char *file, exaone_error *err) {
    exaone_gguf *g;
    exaone_status s = exaone_gguf_parse(bytes, size, file, &g, err);
    if (s != EXAONE_OK) {
        return s;
    }
    if (!exaone_gguf_string_is(exaone_gguf_find(g, "general.type"), "imatrix")) {
        exaone_gguf_view type = {"", 0};
        (void)exaone_gguf_string(exaone_gguf_find(g, "general.type"), &type);
        s = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: general.type is \"%.*s\", want \"imatrix\"", file,
                        type.n < 40 ? (int)type.n : 40, type.text);
    }
    for (size_t i = 0; s == EXAONE_OK && i < exaone_gguf_tensor_count(g); i++) {
        const exaone_gguf_tensor *t = exaone_gguf_tensor_at(g, i);
        size_t n;
        if (cut_suffix(t->name, ".in_sum2", &n)) {
            s = read_pair(im, g, t, n, err);
        }
    }
    if (s == EXAONE_OK) {
        s = read_datasets(im, g, err);
    }
    exaone_gguf_close(g);
    return s;
}

typedef struct cursor {
    const uint8_t *bytes;
    size_t size, at;
    const char *file;
} cursor;

static bool take_i32(cursor *c, int32_t *out) {
    if (c->size - c->at < 4) {
        return false;
    }
    memcpy(out, c->bytes + c->at, 4);
    c->at += 4;
    return true;
}

static exaone_status read_legacy_entry(exaone_imatrix *im, cursor *c, int32_t i, exaone_error *err) {
    int32_t len, calls = 0, n = 0;
    size_t start = c->at;
    if (!take_i32(c, &len) || len < 1 || len > MAX_NAME || (size_t)len > c->size - c->at) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: entry %d at byte %zu has no name of 1 to %d bytes", c->file, i,
                           start, MAX_NAME);
    }
    const char *name = (const char *)c->bytes + c->at;
    c->at += (size_t)len;
    if (memchr(name, 0, (size_t)len) || !take_i32(c, &calls) || !take_i32(c, &n) || calls < 1 || n < 1 ||
        (size_t)n > (c->size - c->at) / 4) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: entry %d at byte %zu says %d calls and %d values with %zu bytes left in the file", c->file,
                           i, start, calls, n, c->size - c->at);
    }
    exaone_imatrix_entry *e;
    exaone_status s = append(im, name, (size_t)len, (size_t)n, &e, err);
    if (s == EXAONE_OK) {
        e->rows = (double)calls * LEGACY_CHUNK; /* the file does not say how long a call was */
        s = take_sums(e, c->bytes + c->at, LEGACY_CHUNK, c->file, err);
        c->at += (size_t)n * 4;
    }
    return s;
}

static exaone_status read_legacy(exaone_imatrix *im, const uint8_t *bytes, size_t size, const char *file,
                                 exaone_error *err) {
    cursor c = {.bytes = bytes, .size = size, .file = file};
    int32_t count = 0, chunks, len;
    if (!take_i32(&c, &count) || count < 1 || (size_t)count > size / 17) { /* an entry has at least 17 bytes */
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: neither a GGUF file nor an importance matrix of the older kind (%d entries in %zu bytes)",
                           file, count, size);
    }
    exaone_status s = EXAONE_OK;
    for (int32_t i = 0; s == EXAONE_OK && i < count; i++) {
        s = read_legacy_entry(im, &c, i, err);
    }
    if (s == EXAONE_OK && take_i32(&c, &chunks) && take_i32(&c, &len) && chunks > 0) {
        im->chunks = (uint64_t)chunks;
        im->chunk_size = LEGACY_CHUNK;
        if (len > 0 && (size_t)len <= c.size - c.at) {
            s = add_dataset(im, (const char *)c.bytes + c.at, (size_t)len, err);
        }
    }
    return s;
}

exaone_status exaone_imatrix_parse(const uint8_t *bytes, size_t size, const char *name, exaone_imatrix **out,
                                   exaone_error *err) {
    exaone_imatrix *im;
    *out = NULL;
    exaone_status s = exaone_imatrix_new(&im, err);
    if (s == EXAONE_OK) {
        bool gguf = size >= 4 && memcmp(bytes, "GGUF", 4) == 0;
        s = gguf ? read_gguf(im, bytes, size, name, err) : read_legacy(im, bytes, size, name, err);
    }
    if (s == EXAONE_OK && im->count == 0) {
        s = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: no tensor NAME.in_sum2", name);
    }
    if (s == EXAONE_OK) {
        sort(im);
        for (size_t i = 1; s == EXAONE_OK && i < im->count; i++) {
            if (strcmp(im->entries[i - 1]->name, im->entries[i]->name) == 0) {
                s = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s is there twice", name, im->entries[i]->name);
            }
        }
    }
    if (s != EXAONE_OK) {
        exaone_imatrix_close(im);
        return s;
    }
    *out = im;
    return EXAONE_OK;
}

exaone_status exaone_imatrix_open(const char *path, exaone_imatrix **out, exaone_error *err) {
    exaone_map map;
    *out = NULL;
    exaone_status s = exaone_map_open(path, &map, err);
    if (s == EXAONE_OK) {
        s = exaone_imatrix_parse(map.data, map.size, path, out, err);
        exaone_map_close(&map);
    }
    return s;
}

/* ---- writing -------------------------------------------------------------------------------------------------------------
 */

static exaone_status put_sums(void *ctx, exaone_writer *out, exaone_error *err) {
    const exaone_imatrix_entry *e = ctx;
    (void)err;
    for (size_t i = 0; i < e->n; i++) {
        float v = (float)e->sum[i];
        exaone_writer_put(out, &v, sizeof v);
    }
    return EXAONE_OK;
}

static exaone_status put_rows(void *ctx, exaone_writer *out, exaone_error *err) {
    float rows = (float)((const exaone_imatrix_entry *)ctx)->rows;
    (void)err;
    exaone_writer_put(out, &rows, sizeof rows);
    return EXAONE_OK;
}

static exaone_status check_sums(const exaone_imatrix_entry *e, exaone_error *err) {
    for (size_t i = 0; i < e->n; i++) {
        if (!isfinite((float)e->sum[i])) {
            return exaone_fail(err, EXAONE_ERR_NUMERIC, "%s: the squares in column %zu add up to %g over %.0f rows", e->name,
                               i, e->sum[i], e->rows);
        }
    }
    return EXAONE_OK;
}

static exaone_status put_all(exaone_gguf_writer *w, exaone_imatrix_entry **entries, size_t count, exaone_error *err) {
    size_t n_put = 0;
    for (size_t i = 0; i < count; i++) {
        exaone_imatrix_entry *e = entries[i];
        if (!(e->rows > 0)) {
            continue;
        }
        exaone_status s = check_sums(e, err);
        if (s != EXAONE_OK) {
            return s;
        }
        char name[256];
        snprintf(name, sizeof name, "%s.in_sum2", e->name);
        exaone_gguf_put_tensor(w, name, EXAONE_F32, 2, (uint64_t[]){e->n, 1}, put_sums, e);
        snprintf(name, sizeof name, "%s.counts", e->name);
        exaone_gguf_put_tensor(w, name, EXAONE_F32, 2, (uint64_t[]){1, 1}, put_rows, e);
        n_put++;
    }
    return n_put ? EXAONE_OK
                 : exaone_fail(err, EXAONE_ERR_ARGUMENT, "none of the %zu matrices has seen a row of activations", count);
}

exaone_status exaone_imatrix_save(const exaone_imatrix *im, const char *path, exaone_error *err) {
    exaone_imatrix_entry **sorted = exaone_mem_array(im->count, sizeof(exaone_imatrix_entry *));
    exaone_gguf_view *names = exaone_mem_array(im->n_datasets, sizeof *names);
    if (!sorted || !names) {
        free(sorted);
        free(names);
        return exaone_fail_memory(err, "the list of matrices", im->count * sizeof *sorted);
    }
    for (size_t i = 0; i < im->count; i++) {
        sorted[i] = im->entries[i];
    }
    if (im->count > 1) {
        qsort(sorted, im->count, sizeof *sorted, by_name);
    }
    for (size_t i = 0; i < im->n_datasets; i++) {
        names[i] = (exaone_gguf_view){im->datasets[i], strlen(im->datasets[i])};
    }
    exaone_gguf_writer w;
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.type", "imatrix");
    exaone_gguf_put_strings(&w, "imatrix.datasets", names, im->n_datasets);
    exaone_gguf_put_u32(&w, "imatrix.chunk_count", im->chunks < UINT32_MAX ? (uint32_t)im->chunks : UINT32_MAX);
    exaone_gguf_put_u32(&w, "imatrix.chunk_size", im->chunk_size);
    exaone_status s = put_all(&w, sorted, im->count, err);
    if (s == EXAONE_OK) {
        s = exaone_gguf_writer_save(&w, path, err);
    }
    exaone_gguf_writer_release(&w);
    free(sorted);
    free(names);
    return s;
}
