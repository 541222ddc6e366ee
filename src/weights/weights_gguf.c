/* GGUF models: one file or the pieces of a split one, and the mmproj file beside it.
 *
 * Pieces are called NAME-00001-of-0000N.gguf …; each says split.no (from 0), split.count and split.tensors.count (of all
 * pieces). The first holds the metadata. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "weights/weights_internal.h"

enum { SPLIT_TAIL = 20, MAX_CANDIDATES = 256 }; /* "-00001-of-00004.gguf"; files of a folder that are looked at */

static exaone_weights_part part_of(const exaone_weights *w, const char *name, bool is_mmproj) {
    if (is_mmproj) {
        return EXAONE_PART_VISION;
    }
    if (strncmp(name, "blk.", 4) == 0) {
        return w->n_main > 0 && strtoul(name + 4, NULL, 10) >= w->n_main ? EXAONE_PART_MTP : EXAONE_PART_TEXT;
    }
    bool text =
        strncmp(name, "token_embd.", 11) == 0 || strncmp(name, "output", 6) == 0 || strcmp(name, "rope_freqs.weight") == 0;
    return text ? EXAONE_PART_TEXT : EXAONE_PART_OTHER;
}

static exaone_status add_tensors(exaone_weights *w, const exaone_weights_file *file, exaone_error *err) {
    for (size_t i = 0; i < exaone_gguf_tensor_count(file->gguf); i++) {
        const exaone_gguf_tensor *t = exaone_gguf_tensor_at(file->gguf, i);
        exaone_weight weight = {.name = t->name,
                                .dtype = t->dtype,
                                .n_dims = t->n_dims,
                                .data = t->data,
                                .bytes = t->bytes,
                                .file = file->path,
                                .part = part_of(w, t->name, file->is_mmproj)};
        for (uint32_t d = 0; d < t->n_dims; d++) {
            weight.dims[t->n_dims - 1 - d] = t->ne[d];
        }
        exaone_status status = exaone_weights_add(w, &weight, err);
        if (status) {
            return status;
        }
    }
    return EXAONE_OK;
}

/* Decoder layers without the MTP layer; 0 when the metadata does not say (the configuration refuses it then, with a
 * sentence). */
static size_t count_main_layers(const exaone_gguf *g) {
    int64_t blocks = 0, nextn = 0;
    (void)exaone_gguf_int(exaone_gguf_find(g, "exaone4.nextn_predict_layers"), &nextn);
    bool known = exaone_gguf_int(exaone_gguf_find(g, "exaone4.block_count"), &blocks);
    return known && nextn >= 0 && blocks > nextn && blocks < 1000000 ? (size_t)(blocks - nextn) : 0;
}

static exaone_status open_file(exaone_weights *w, const char *path, bool is_mmproj, exaone_error *err) {
    exaone_weights_file *file = exaone_weights_add_file(w, path, err);
    if (!file) {
        return EXAONE_ERR_MEMORY;
    }
    file->is_mmproj = is_mmproj;
    return exaone_gguf_open(path, &file->gguf, err);
}

/* ---- split files ---------------------------------------------------------------------------------------------------------
 */

/* "-00002-of-00004.gguf" at the end: 2 and 4. */
static bool split_numbers(const char *path, unsigned *no, unsigned *of) {
    size_t n = strlen(path);
    if (n <= SPLIT_TAIL) {
        return false;
    }
    const char *tail = path + n - SPLIT_TAIL;
    if (tail[0] != '-' || strspn(tail + 1, "0123456789") != 5 || memcmp(tail + 6, "-of-", 4) != 0 ||
        strspn(tail + 10, "0123456789") != 5 || strcmp(tail + 15, ".gguf") != 0) {
        return false;
    }
    *no = (unsigned)strtoul(tail + 1, NULL, 10);
    *of = (unsigned)strtoul(tail + 10, NULL, 10);
    return true;
}

/* The piece at place `no` (from 0) must say so, and agree on the counts. */
static exaone_status check_piece(const exaone_gguf *g, int64_t no, int64_t count, int64_t tensors, exaone_error *err) {
    const struct {
        const char *key;
        int64_t want;
    } facts[] = {{"split.no", no}, {"split.count", count}, {"split.tensors.count", tensors}};
    for (size_t i = 0; i < 3; i++) {
        int64_t value;
        if (!exaone_gguf_int(exaone_gguf_find(g, facts[i].key), &value)) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s is missing, so it is no piece of the split model",
                               exaone_gguf_path(g), facts[i].key);
        }
        if (value != facts[i].want) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s is %lld, at this place of the split model it must be %lld",
                               exaone_gguf_path(g), facts[i].key, (long long)value, (long long)facts[i].want);
        }
    }
    return EXAONE_OK;
}

/* Opens the pieces behind the first, which is files[0]. */
static exaone_status open_pieces(exaone_weights *w, const char *path, int64_t count, exaone_error *err) {
    unsigned no, of;
    if (!split_numbers(path, &no, &of) || no != 1 || of != count) {
        return exaone_fail(
            err, EXAONE_ERR_FORMAT,
            "%s: split.count is %lld, so the file must be called NAME-00001-of-%05lld.gguf to find the other pieces", path,
            (long long)count, (long long)count);
    }
    int64_t tensors = -1;
    if (!exaone_gguf_int(exaone_gguf_find(w->files[0].gguf, "split.tensors.count"), &tensors)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: split.tensors.count is missing", path);
    }
    size_t n = strlen(path), total = exaone_gguf_tensor_count(w->files[0].gguf);
    char *piece = exaone_mem_string(path, n);
    exaone_status status =
        piece ? check_piece(w->files[0].gguf, 0, count, tensors, err) : exaone_fail_memory(err, "a file name", n + 1);
    for (int64_t i = 1; i < count && status == EXAONE_OK; i++) {
        snprintf(piece + n - SPLIT_TAIL, SPLIT_TAIL + 1, "-%05u-of-%05u.gguf", (unsigned)(i + 1) % 100000,
                 (unsigned)count % 100000);
        status = open_file(w, piece, false, err);
        if (status) {
            status = exaone_fail_context(err, status, "piece %lld of %lld", (long long)i + 1, (long long)count);
            break;
        }
        const exaone_gguf *g = w->files[w->n_files - 1].gguf;
        status = check_piece(g, i, count, tensors, err);
        total += exaone_gguf_tensor_count(g);
    }
    free(piece);
    if (status == EXAONE_OK && (int64_t)total != tensors) {
        status = exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the %lld pieces hold %zu tensors, split.tensors.count is %lld",
                             path, (long long)count, total, (long long)tensors);
    }
    return status;
}

exaone_status exaone_weights_fill_gguf(exaone_weights *w, const char *path, const char *mmproj, exaone_error *err) {
    exaone_status status = open_file(w, path, false, err);
    if (status) {
        return status;
    }
    const exaone_gguf *first = w->files[0].gguf;
    int64_t count = 1, no = 0;
    const exaone_gguf_kv *split = exaone_gguf_find(first, "split.count");
    if (split && (!exaone_gguf_int(split, &count) || count < 0 || count > EXAONE_MAX_MODEL_FILES)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: split.count is not an integer from 0 to %d", path,
                           EXAONE_MAX_MODEL_FILES);
    }
    if (count > 1 && exaone_gguf_int(exaone_gguf_find(first, "split.no"), &no) && no != 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "%s is piece %lld of a split model; name the first piece, NAME-00001-of-%05lld.gguf", path,
                           (long long)no + 1, (long long)count);
    }
    w->n_main = count_main_layers(first);
    if (count > 1) {
        status = open_pieces(w, path, count, err);
    }
    char *found = NULL;
    if (status == EXAONE_OK && !mmproj) {
        status = exaone_mmproj_find(w->dir, path, exaone_weights_gguf(w), &found, &w->mmproj_candidates, err);
    }
    if (status == EXAONE_OK && (mmproj || found)) {
        status = open_file(w, mmproj ? mmproj : found, true, err);
    }
    free(found);
    for (size_t i = 0; i < w->n_files && status == EXAONE_OK; i++) {
        status = add_tensors(w, &w->files[i], err);
    }
    return status;
}

/* ---- looking into a folder -----------------------------------------------------------------------------------------------
 */

static bool is_gguf_name(const char *name) {
    size_t n = strlen(name);
    return n > 5 && strcasecmp(name + n - 5, ".gguf") == 0;
}

static bool is_mmproj_name(const char *name) {
    return strcasestr(name, "mmproj") != NULL;
}

/* What is left of a file name without folder, ending, place among pieces, "mmproj" and the type at the end. */
static void stem_of(const char *path, char *out, size_t room) {
    static const char *const types[] = {"f32", "f16", "bf16", "q", "iq", "mxfp4"};
    const char *slash = strrchr(path, '/');
    snprintf(out, room, "%s", slash ? slash + 1 : path);
    size_t n = strlen(out);
    unsigned no, of;
    if (split_numbers(out, &no, &of)) {
        n -= SPLIT_TAIL;
    } else if (is_gguf_name(out)) {
        n -= 5;
    }
    out[n] = 0;
    char *mark = strcasestr(out, "mmproj");
    if (mark) {
        size_t cut = 6;
        if (mark[cut] == '-' || mark[cut] == '_' || mark[cut] == '.') {
            cut++;
        } else if (mark > out && strchr("-_.", mark[-1])) {
            mark--;
            cut++;
        }
        memmove(mark, mark + cut, strlen(mark + cut) + 1);
    }
    char *last = strrchr(out, '-');
    char *dot = strrchr(out, '.');
    last = !last || (dot && dot > last) ? dot : last;
    for (size_t i = 0; last && i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i]);
        const char *behind = last + 1 + length;
        bool whole = i < 3 || i == 5 ? *behind == 0 : *behind >= '0' && *behind <= '9';
        if (strncasecmp(last + 1, types[i], length) == 0 && whole) {
            *last = 0;
            break;
        }
    }
    n = strlen(out);
    while (n > 0 && strchr("-_.", out[n - 1])) {
        out[--n] = 0;
    }
}

typedef struct candidate {
    char *path;
    int rank; /* smaller is better: the model's own name first, then the type */
} candidate;

static int candidate_order(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return x->rank != y->rank ? x->rank - y->rank : strcmp(x->path, y->path);
}

static int rank_of(const char *name, const char *model_path) {
    char own[256], other[256];
    stem_of(model_path, own, sizeof own);
    stem_of(name, other, sizeof other);
    int type = strcasestr(name, "f32") ? 0 : strcasestr(name, "bf16") ? 1 : strcasestr(name, "f16") ? 2 : 3;
    return (strcasecmp(own, other) == 0 ? 0 : 10) + type;
}

/* The .gguf files of a folder whose name says mmproj or not; *list (each path and the list: free). */
static exaone_status list_folder(const char *dir, bool mmproj, candidate **list, size_t *n, exaone_error *err) {
    *n = 0;
    *list = exaone_mem_array(MAX_CANDIDATES, sizeof **list);
    if (!*list) {
        return exaone_fail_memory(err, dir, MAX_CANDIDATES * sizeof **list);
    }
    DIR *d = opendir(dir);
    if (!d) {
        return exaone_fail(err, EXAONE_ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    }
    exaone_status status = EXAONE_OK;
    struct dirent *e;
    while (status == EXAONE_OK && (e = readdir(d))) {
        if (!is_gguf_name(e->d_name) || is_mmproj_name(e->d_name) != mmproj) {
            continue;
        }
        char *path = exaone_path_join(dir, e->d_name);
        if (!path) {
            status = exaone_fail_memory(err, e->d_name, strlen(dir) + strlen(e->d_name) + 2);
        } else if (!exaone_file_exists(path)) {
            free(path);
        } else if (*n == MAX_CANDIDATES) {
            free(path);
            status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s holds more than %d GGUF files; name the one that is meant", dir,
                                 MAX_CANDIDATES);
        } else {
            (*list)[(*n)++].path = path;
        }
    }
    closedir(d);
    return status;
}

static void free_list(candidate *list, size_t n) {
    for (size_t i = 0; list && i < n; i++) {
        free(list[i].path);
    }
    free(list);
}

/* A vision tower of this kind that ends in the model's width. */
static bool fits(const exaone_gguf *mmproj, const exaone_gguf *model) {
    int64_t out, width;
    return exaone_gguf_string_is(exaone_gguf_find(mmproj, "clip.projector_type"), "exaone4_5") &&
           exaone_gguf_int(exaone_gguf_find(mmproj, "clip.vision.projection_dim"), &out) &&
           exaone_gguf_int(exaone_gguf_find(model, "exaone4.embedding_length"), &width) && out == width;
}

exaone_status exaone_mmproj_find(const char *dir, const char *model_path, const exaone_gguf *model, char **out,
                                 size_t *candidates, exaone_error *err) {
    *out = NULL;
    *candidates = 0;
    candidate *list;
    size_t n;
    exaone_status status = list_folder(dir, true, &list, &n, err);
    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(list[i].path, '/');
        list[i].rank = rank_of(slash ? slash + 1 : list[i].path, model_path);
    }
    if (n > 0) {
        qsort(list, n, sizeof *list, candidate_order);
    }
    exaone_error fault = {0}; /* of the best file that cannot be read; told when no other one fits */
    for (size_t i = 0; i < n && status == EXAONE_OK && !*out; i++) {
        exaone_gguf *g;
        exaone_error why = {0};
        if (exaone_gguf_open(list[i].path, &g, &why)) {
            fault = fault.code ? fault : why;
        } else if (fits(g, model)) {
            *out = list[i].path;
            list[i].path = NULL;
            *candidates = n;
        }
        exaone_gguf_close(g);
    }
    if (status == EXAONE_OK && !*out && fault.code) {
        status = exaone_fail(err, fault.code, "the mmproj file beside the model: %s", fault.message);
    }
    free_list(list, n);
    return status;
}

exaone_status exaone_gguf_find_model(const char *dir, char **out, exaone_error *err) {
    *out = NULL;
    candidate *list;
    size_t n;
    exaone_status status = list_folder(dir, false, &list, &n, err);
    for (size_t i = 0; i < n && status == EXAONE_OK; i++) {
        unsigned no = 1, of;
        if (split_numbers(list[i].path, &no, &of) && no != 1) {
            continue;
        }
        if (*out) {
            status = exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s holds several GGUF models; name the file that is meant", dir);
        } else {
            *out = list[i].path;
            list[i].path = NULL;
        }
    }
    free_list(list, n);
    if (status) {
        free(*out);
        *out = NULL;
    }
    return status;
}
