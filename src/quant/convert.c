/* Writing GGUF pairs: see exaone/quantize.h. Plans every tensor, checks the targets and the disk, then streams the tensors
 * into files under temporary names and renames them together.
 *
 * Split files: NAME-00001-of-0000N.gguf with split.no and split.count (u16) and split.tensors.count (i32) in each; the first
 * has the other metadata. A piece is full when the next tensor would lift its tensors, padded to 32 bytes, above the limit.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "engine/model_tokenizer.h"
#include "model/binding.h"
#include "quant/metadata.h"
#include "quant/place.h"
#include "quant/plan.h"
#include "quant/stream.h"
#include "weights/gguf_writer.h"

enum { MAX_PIECES = 4096, ALIGNMENT = 32, TAIL = 24 };

/* One file to write. */
typedef struct target {
    char *path;
    size_t first, n; /* tensors of the plan */
    exaone_gguf_writer gguf;
    exaone_writer out;
} target;

typedef struct entry {
    exaone_stream *stream;
    const exaone_plan_tensor *tensor;
} entry;

typedef struct job {
    const exaone_quantize_options *o;
    const char *source, *path;
    const exaone_recipe *text, *vision;
    exaone_weights *weights;
    exaone_config config;
    exaone_imatrix *imatrix;
    exaone_plan plan;
    exaone_stream stream;
    target *targets; /* the pieces of the text file, then the mmproj file if any */
    size_t n_targets, n_pieces;
    entry *entries; /* [plan.count] */
    exaone_error *err;
} job;

static void note(const job *j, const char *text) {
    if (j->o->note) {
        j->o->note(j->o->ctx, text);
    }
}

static exaone_status no_memory(const job *j, const char *what, size_t bytes) {
    return exaone_fail_memory(j->err, what, bytes);
}

/* ---- options -------------------------------------------------------------------------------------------------------------
 */

static exaone_status find_recipe(job *j, const char *option, const char *name, const exaone_recipe **out) {
    char all[256] = "";
    *out = name ? exaone_recipe_find(name) : NULL;
    for (size_t i = 0; exaone_quantize_types(i); i++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", exaone_quantize_types(i));
    }
    return !name || *out ? EXAONE_OK
                         : exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s \"%s\" is none of %s", option, name, all);
}

/* MODEL: the tower is 8 % of a Q4_K_M model and sees every image first, so it is not quantised unless asked for. BF16 keeps
 * the release's weights bit for bit, F16 those of an F16 source. */
static exaone_status choose_recipes(job *j) {
    exaone_status status = find_recipe(j, "type", j->o->type, &j->text);
    if (status == EXAONE_OK) {
        status = find_recipe(j, "mmproj type", j->o->mmproj_type, &j->vision);
    }
    if (status == EXAONE_OK && j->vision && exaone_recipe_plain(j->vision->base) != j->vision) {
        status = exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "mmproj type \"%s\" is none of F32, F16, BF16, Q8_0",
                             j->o->mmproj_type);
    }
    if (status || j->vision || !j->text) {
        return status;
    }
    bool half = false;
    for (size_t i = 0; i < exaone_weights_count(j->weights); i++) {
        exaone_weight w = exaone_weights_at(j->weights, i);
        half = half || (w.part == EXAONE_PART_VISION && w.n_dims > 1 && w.dtype == EXAONE_F16);
    }
    j->vision = exaone_recipe_find(half ? "F16" : "BF16");
    return EXAONE_OK;
}

/* ---- names of the files --------------------------------------------------------------------------------------------------
 */

/* Length of a path without ".gguf". */
static size_t stem_length(const char *path) {
    size_t n = strlen(path);
    return n > 5 && strcasecmp(path + n - 5, ".gguf") == 0 ? n - 5 : n;
}

static exaone_status piece_path(const job *j, size_t i, char **out) {
    size_t n = stem_length(j->path);
    *out = exaone_mem_array(strlen(j->path) + TAIL, 1);
    if (!*out) {
        return no_memory(j, "a file name", n + TAIL);
    }
    if (j->o->split_size) {
        snprintf(*out, strlen(j->path) + TAIL, "%.*s-%05zu-of-%05zu.gguf", (int)n, j->path, i + 1, j->n_pieces);
    } else {
        memcpy(*out, j->path, strlen(j->path));
    }
    return EXAONE_OK;
}

/* Beside the target: mmproj-NAME-TYPE.gguf, with NAME the target's without the type at its end. */
static exaone_status mmproj_path(const job *j, char **out) {
    if (j->o->mmproj_out) {
        *out = exaone_mem_string(j->o->mmproj_out, strlen(j->o->mmproj_out));
        return *out ? EXAONE_OK : no_memory(j, "a file name", strlen(j->o->mmproj_out));
    }
    const char *slash = strrchr(j->path, '/'), *name = slash ? slash + 1 : j->path;
    size_t n = stem_length(name), room = strlen(j->path) + 64;
    for (size_t i = 0; exaone_quantize_types(i); i++) {
        const char *type = exaone_quantize_types(i);
        size_t length = strlen(type);
        if (n > length + 1 && strncasecmp(name + n - length, type, length) == 0 && strchr("-._", name[n - length - 1])) {
            n -= length + 1;
            break;
        }
    }
    *out = exaone_mem_array(room, 1);
    if (!*out) {
        return no_memory(j, "a file name", room);
    }
    exaone_dtype type = j->plan.vision_main_type;
    const char *type_name = j->vision ? j->vision->name : type == EXAONE_DTYPE_COUNT ? "F32" : exaone_dtype_name(type);
    snprintf(*out, room, "%.*smmproj-%.*s-%s.gguf", (int)(name - j->path), j->path, (int)n, name, type_name);
    return EXAONE_OK;
}

static exaone_status check_target(const job *j, const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        return EXAONE_OK;
    }
    if (S_ISDIR(st.st_mode)) {
        return exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s is a folder; the target is a file name ending in .gguf", path);
    }
    const char *role = exaone_place_role(j->weights, j->source, j->o->imatrix, path);
    if (role) {
        return exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s is %s; what is read is not written over", path, role);
    }
    return j->o->force ? EXAONE_OK
                       : exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s is there already (%lld bytes) and force is not set",
                                     path, (long long)st.st_size);
}

/* ---- which tensors go where ----------------------------------------------------------------------------------------------
 */

static uint64_t padded(size_t bytes) {
    return ((uint64_t)bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Fills targets with the tensors of each text piece; NULL counts only. Returns the number of pieces. */
static size_t split(const job *j, size_t n_text, target *targets) {
    size_t pieces = 1, first = 0;
    uint64_t size = 0;
    for (size_t i = 0; i <= n_text; i++) {
        uint64_t bytes = i < n_text ? padded(j->plan.tensors[i].bytes) : 0;
        bool full = j->o->split_size && size > 0 && size + bytes > j->o->split_size;
        if (i == n_text || full) {
            if (targets) {
                targets[pieces - 1].first = first;
                targets[pieces - 1].n = i - first;
            }
            pieces += i < n_text;
            first = i;
            size = 0;
        }
        size += bytes;
    }
    return pieces;
}

/* A file that is kept as this model's vision tower must be of its sizes. */
static exaone_status check_kept(const job *j, const char *path) {
    const exaone_vision_config *v = &j->config.vision;
    const struct {
        const char *key;
        int want;
    } facts[] = {{"clip.vision.projection_dim", j->config.hidden_size},
                 {"clip.vision.embedding_length", v->hidden_size},
                 {"clip.vision.feed_forward_length", v->intermediate_size},
                 {"clip.vision.block_count", v->depth}};
    exaone_gguf *g;
    exaone_status status = exaone_gguf_open(path, &g, j->err);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0] && status == EXAONE_OK; i++) {
        int64_t value;
        if (!exaone_gguf_int(exaone_gguf_find(g, facts[i].key), &value)) {
            status = exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s is there already and is no vision tower: it has no %s",
                                 path, facts[i].key);
        } else if (value != facts[i].want) {
            status = exaone_fail(j->err, EXAONE_ERR_ARGUMENT,
                                 "%s is there already and of another model: its %s is %lld, this model's is %d", path,
                                 facts[i].key, (long long)value, facts[i].want);
        }
    }
    exaone_gguf_close(g);
    return status;
}

/* *keep: the mmproj file was not asked for by name and is there already. */
static exaone_status keep_mmproj(const job *j, const char *path, bool *keep) {
    struct stat st;
    *keep = !j->o->mmproj_out && stat(path, &st) == 0 &&
            !(j->o->force && !exaone_place_role(j->weights, j->source, j->o->imatrix, path));
    exaone_status status = *keep ? check_kept(j, path) : EXAONE_OK;
    if (!*keep || status) {
        return status;
    }
    char text[512];
    snprintf(text, sizeof text, "%s is there already and is kept", path);
    note(j, text);
    return EXAONE_OK;
}

/* The target of the vision tensors, [n_text, count) of the plan; without them when there is a file to keep. */
static exaone_status name_mmproj(job *j, size_t n_text) {
    target *t = &j->targets[j->n_pieces];
    bool keep = false;
    exaone_status status = mmproj_path(j, &t->path);
    if (status == EXAONE_OK) {
        status = keep_mmproj(j, t->path, &keep);
    }
    if (status || keep) {
        free(t->path);
        t->path = NULL;
    }
    if (status) {
        return status;
    }
    if (keep) {
        for (size_t i = n_text; i < j->plan.count; i++) {
            j->plan.source_bytes -= j->plan.tensors[i].weight.bytes / (j->plan.tensors[i].slice < 0 ? 1 : 2);
        }
        j->plan.count = n_text;
        return EXAONE_OK;
    }
    exaone_gguf_writer_init(&t->gguf);
    t->first = n_text;
    t->n = j->plan.count - n_text;
    j->n_targets++;
    return EXAONE_OK;
}

static exaone_status name_targets(job *j) {
    size_t n_text = 0;
    while (n_text < j->plan.count && !j->plan.tensors[n_text].vision) {
        n_text++;
    }
    j->n_pieces = split(j, n_text, NULL);
    if (j->n_pieces > MAX_PIECES) {
        return exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "a split size of %llu bytes makes %zu pieces; the limit is %d",
                           (unsigned long long)j->o->split_size, j->n_pieces, MAX_PIECES);
    }
    j->targets = exaone_mem_array(j->n_pieces + 1, sizeof *j->targets);
    if (!j->targets) {
        return no_memory(j, "the list of files", (j->n_pieces + 1) * sizeof *j->targets);
    }
    (void)split(j, n_text, j->targets);
    exaone_status status = EXAONE_OK;
    for (; j->n_targets < j->n_pieces && status == EXAONE_OK; j->n_targets++) {
        target *t = &j->targets[j->n_targets];
        exaone_gguf_writer_init(&t->gguf);
        status = piece_path(j, j->n_targets, &t->path);
    }
    if (status == EXAONE_OK && n_text < j->plan.count) {
        status = name_mmproj(j, n_text);
    }
    if (status == EXAONE_OK && j->o->mmproj_out && !j->o->no_mmproj && n_text == j->plan.count) {
        status = exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s has no vision tower, so %s cannot be written", j->source,
                             j->o->mmproj_out);
    }
    for (size_t i = 0; i < j->n_targets && status == EXAONE_OK; i++) {
        status = check_target(j, j->targets[i].path);
        for (size_t k = 0; k < i && status == EXAONE_OK; k++) {
            if (exaone_place_same(j->targets[i].path, j->targets[k].path)) {
                status = exaone_fail(j->err, EXAONE_ERR_ARGUMENT, "%s is meant for both the text file and the mmproj file",
                                     j->targets[i].path);
            }
        }
    }
    return status;
}

/* ---- headers -------------------------------------------------------------------------------------------------------------
 */

/* The folder's name; of a snapshot in a Hugging Face cache (models--ORG--NAME/snapshots/HASH) NAME. */
static void model_name(const char *folder, char *out, size_t room) {
    char full[PATH_MAX];
    if (!realpath(folder, full)) {
        snprintf(full, sizeof full, "%s", folder);
    }
    char *at = strstr(full, "/models--");
    char *end = at ? strstr(at + 1, "/snapshots/") : NULL;
    if (end) {
        *end = 0;
        char *dashes = at;
        for (char *p = at; (p = strstr(p, "--")); p += 2) {
            dashes = p + 2;
        }
        snprintf(out, room, "%s", dashes);
        return;
    }
    const char *slash = strrchr(full, '/');
    snprintf(out, room, "%s", slash && slash[1] ? slash + 1 : "EXAONE");
}

static uint32_t plain_file_type(exaone_dtype type) {
    const exaone_recipe *r = type == EXAONE_DTYPE_COUNT ? NULL : exaone_recipe_plain(type);
    return r ? r->file_type : 0;
}

static exaone_status put_metadata(job *j, target *t, bool vision) {
    const exaone_recipe *recipe = vision ? j->vision : j->text;
    const exaone_gguf *from = vision ? exaone_weights_mmproj(j->weights) : exaone_weights_gguf(j->weights);
    if (exaone_weights_get_format(j->weights) == EXAONE_WEIGHTS_GGUF) {
        exaone_metadata_copy(&t->gguf, from, recipe ? &recipe->file_type : NULL);
        return EXAONE_OK;
    }
    const char *folder = exaone_weights_dir(j->weights);
    exaone_dtype main_type = vision ? j->plan.vision_main_type : j->plan.main_type;
    uint32_t file_type = recipe ? recipe->file_type : plain_file_type(main_type);
    if (vision) {
        return exaone_metadata_vision(&t->gguf, &j->config, folder, file_type, j->err);
    }
    char name[256];
    model_name(folder, name, sizeof name);
    return exaone_metadata_text(&t->gguf, &j->config, folder, name, file_type, j->err);
}

static exaone_status write_entry(void *ctx, exaone_writer *out, exaone_error *err) {
    const entry *e = ctx;
    return exaone_stream_tensor(e->stream, e->tensor, out, err);
}

static exaone_status put_headers(job *j) {
    j->entries = exaone_mem_array(j->plan.count, sizeof *j->entries);
    if (!j->entries) {
        return no_memory(j, "the list of tensors", j->plan.count * sizeof *j->entries);
    }
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < j->n_targets && status == EXAONE_OK; i++) {
        target *t = &j->targets[i];
        bool vision = i >= j->n_pieces;
        if (i == 0 || vision) {
            status = put_metadata(j, t, vision);
        }
        if (j->o->split_size && !vision) {
            exaone_gguf_put_u16(&t->gguf, "split.no", (uint16_t)i);
            exaone_gguf_put_u16(&t->gguf, "split.count", (uint16_t)j->n_pieces);
            exaone_gguf_put_i32(&t->gguf, "split.tensors.count",
                                (int32_t)(j->targets[j->n_pieces - 1].first + j->targets[j->n_pieces - 1].n));
        }
        for (size_t k = t->first; k < t->first + t->n; k++) {
            const exaone_plan_tensor *p = &j->plan.tensors[k];
            j->entries[k] = (entry){&j->stream, p};
            exaone_gguf_put_tensor(&t->gguf, p->name, p->type, p->n_dims, p->ne, write_entry, &j->entries[k]);
        }
    }
    return status;
}

/* ---- writing -------------------------------------------------------------------------------------------------------------
 */

static void folder_of(const char *path, char *out, size_t room) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;
    snprintf(out, room, "%.*s", (int)n, slash ? path : ".");
}

/* Bytes to write and room in the folder of targets [first, n_targets); *device is its disk's. */
static exaone_status check_room(const job *j, size_t first, uint64_t *need, dev_t *device) {
    char folder[PATH_MAX];
    folder_of(j->targets[first].path, folder, sizeof folder);
    struct statvfs fs;
    struct stat st;
    if (stat(folder, &st) != 0 || statvfs(folder, &fs) != 0) {
        return exaone_fail(j->err, EXAONE_ERR_IO, "cannot write into %s: %s", folder, strerror(errno));
    }
    if (st.st_dev != *device) {
        *need = 0;
        *device = st.st_dev;
    }
    size_t end = first < j->n_pieces ? j->n_pieces : j->n_targets;
    for (size_t i = first; i < end; i++) {
        *need += exaone_gguf_writer_bytes(&j->targets[i].gguf);
    }
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return *need <= room ? EXAONE_OK
                         : exaone_fail(j->err, EXAONE_ERR_IO, "%s: %.1f MB are needed and %.1f MB are free", folder,
                                       (double)*need / 1e6, (double)room / 1e6);
}

/* Room on the disks of the text file and of the mmproj file, which count together on the same disk. What is replaced stays
 * until the end. */
static exaone_status check_disk(const job *j) {
    uint64_t need = 0;
    dev_t device = 0;
    exaone_status status = check_room(j, 0, &need, &device);
    return status || j->n_targets == j->n_pieces ? status : check_room(j, j->n_pieces, &need, &device);
}

/* All or, when nothing may be replaced, none: what was placed before one that cannot be is new and goes again. */
static exaone_status commit_targets(job *j) {
    exaone_status status = EXAONE_OK;
    size_t n = 0;
    for (; n < j->n_targets && status == EXAONE_OK; n++) {
        exaone_writer *out = &j->targets[n].out;
        status = j->o->force ? exaone_writer_commit(out, j->err) : exaone_writer_commit_new(out, j->err);
    }
    struct stat st;
    for (size_t i = 0; i + 1 < n && status && !j->o->force; i++) {
        if (lstat(j->targets[i].path, &st) == 0 && S_ISREG(st.st_mode)) {
            unlink(j->targets[i].path);
        }
    }
    return status;
}

static exaone_status write_targets(job *j) {
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < j->n_targets && status == EXAONE_OK; i++) {
        target *t = &j->targets[i];
        status = exaone_writer_open(t->path, &t->out, j->err);
        if (status == EXAONE_OK) {
            status = exaone_gguf_writer_write(&t->gguf, &t->out, j->err);
        }
        if (status == EXAONE_OK) {
            status = exaone_writer_finish(&t->out, j->err);
        }
    }
    if (status == EXAONE_OK) {
        status = exaone_weights_recheck(j->weights, j->err);
    }
    return status ? status : commit_targets(j);
}

static void fill_report(const job *j, exaone_quantize_report *r) {
    *r = (exaone_quantize_report){.n_tensors = j->plan.count,
                                  .n_fallbacks = j->plan.n_fallbacks,
                                  .n_pieces = j->n_pieces,
                                  .source_bytes = j->plan.source_bytes};
    double bits = 0, weights = 0;
    for (size_t i = 0; i < j->n_targets; i++) {
        *(i < j->n_pieces ? &r->text_bytes : &r->mmproj_bytes) += exaone_gguf_writer_bytes(&j->targets[i].gguf);
        for (size_t k = j->targets[i].first; i < j->n_pieces && k < j->targets[i].first + j->targets[i].n; k++) {
            bits += 8.0 * (double)j->plan.tensors[k].bytes;
            weights += (double)j->plan.tensors[k].rows * (double)j->plan.tensors[k].columns;
        }
    }
    if (j->n_targets > j->n_pieces) {
        snprintf(r->mmproj_path, sizeof r->mmproj_path, "%s", j->targets[j->n_pieces].path);
    }
    snprintf(r->text_path, sizeof r->text_path, "%s", j->targets[0].path);
    r->bits_per_weight = weights > 0 ? bits / weights : 0;
}

static exaone_status make_plan(job *j) {
    const exaone_quantize_options *o = j->o;
    const exaone_plan_wish wish = {.text = j->text,
                                   .vision = j->vision,
                                   .overrides = o->overrides,
                                   .n_overrides = o->n_overrides,
                                   .imatrix = j->imatrix,
                                   .no_vision = o->no_mmproj,
                                   .note = o->note,
                                   .ctx = o->ctx};
    exaone_status status = exaone_plan_make(j->weights, &j->config, &wish, &j->plan, j->err);
    size_t n_blocks = 0;
    for (size_t i = 0; i < j->plan.count && status == EXAONE_OK; i++) {
        n_blocks += exaone_dtype_get(j->plan.tensors[i].type)->block_elements > 1;
    }
    if (status == EXAONE_OK && j->imatrix && j->plan.n_weighted < n_blocks) {
        char text[256];
        snprintf(text, sizeof text, "the importance matrix has columns for %zu of the %zu tensors written in blocks",
                 j->plan.n_weighted, n_blocks);
        note(j, text);
    }
    return status;
}

/* What is written must be readable: complete, of the configuration's shapes, with a tokenizer of the known kind. Without any
 * tokenizer ids can still be computed. */
static exaone_status check_source(const job *j) {
    static const char *const parts[] = {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.merges"};
    const exaone_gguf *g = exaone_weights_gguf(j->weights);
    exaone_tokenizer *tokenizer = NULL;
    exaone_status status = exaone_model_check(&j->config, j->weights, !j->o->no_mmproj, j->err);
    if (status == EXAONE_OK) {
        status = exaone_model_tokenizer(j->weights, j->config.vocab_size, true, &tokenizer, j->err);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == EXAONE_OK && !tokenizer && g; i++) {
        if (exaone_gguf_find(g, parts[i])) {
            status = exaone_fail(j->err, EXAONE_ERR_FORMAT, "%s: %s is there, but tokenizer.ggml.tokens is missing",
                                 exaone_gguf_path(g), parts[i]);
        }
    }
    if (status == EXAONE_OK && !tokenizer) {
        char text[512];
        snprintf(text, sizeof text, "%s has no tokenizer: what is written computes token ids, but no text", j->source);
        note(j, text);
    }
    exaone_tokenizer_free(tokenizer);
    return status;
}

static void note_clamped(const job *j) {
    const exaone_stream *s = &j->stream;
    char text[EXAONE_NAME_ROOM + 160];
    if (s->n_clamped > 0) {
        snprintf(text, sizeof text, "%llu values beyond 65504, the largest of F16, were clamped to it",
                 (unsigned long long)s->n_clamped);
        note(j, text);
    }
    if (s->n_clamped_blocks > 0) {
        snprintf(text, sizeof text, "%llu values beyond the largest of their type were clamped to it, the first in %s (%s)",
                 (unsigned long long)s->n_clamped_blocks, s->clamped->name, exaone_dtype_name(s->clamped->type));
        note(j, text);
    }
}

static exaone_status run(job *j, exaone_quantize_report *report) {
    const exaone_quantize_options *o = j->o;
    exaone_status status = exaone_weights_open(j->source, o->mmproj_source, &j->weights, j->err);
    if (status == EXAONE_OK) {
        status = exaone_config_load(j->weights, &j->config, j->err);
    }
    if (status == EXAONE_OK) {
        status = choose_recipes(j);
    }
    if (status == EXAONE_OK && o->imatrix) {
        status = exaone_imatrix_open(o->imatrix, &j->imatrix, j->err);
    }
    if (status == EXAONE_OK) {
        status = make_plan(j);
    }
    if (status == EXAONE_OK) {
        status = name_targets(j);
    }
    if (status == EXAONE_OK) {
        status = put_headers(j);
    }
    if (status == EXAONE_OK) {
        status = check_source(j);
    }
    if (status == EXAONE_OK) {
        status = check_disk(j);
    }
    if (status == EXAONE_OK) {
        status = exaone_stream_init(&j->stream, &j->plan, o->threads > 0 ? o->threads : exaone_cores_default(), o->progress,
                                    o->ctx, j->err);
    }
    if (status == EXAONE_OK) {
        status = write_targets(j);
    }
    if (status == EXAONE_OK) {
        note_clamped(j);
    }
    if (status == EXAONE_OK && report) {
        fill_report(j, report);
    }
    return status;
}

exaone_status exaone_quantize(const char *source, const char *target_path, const exaone_quantize_options *options,
                              exaone_quantize_report *report, exaone_error *err) {
    static const exaone_quantize_options nothing;
    if (!source || !target_path || !*target_path) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is missing", source ? "the target's name" : "the source");
    }
    job j = {.o = options ? options : &nothing, .source = source, .path = target_path, .err = err};
    exaone_status status = run(&j, report);
    for (size_t i = 0; i < j.n_targets; i++) {
        exaone_writer_abort(&j.targets[i].out);
        exaone_gguf_writer_release(&j.targets[i].gguf);
        free(j.targets[i].path);
    }
    free(j.targets);
    free(j.entries);
    exaone_stream_release(&j.stream);
    exaone_plan_release(&j.plan);
    exaone_imatrix_close(j.imatrix);
    exaone_config_release(&j.config);
    exaone_weights_close(j.weights);
    return status;
}
