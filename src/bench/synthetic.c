/* Models of random weights with the shapes of EXAONE 4.5 33B, as GGUF pairs in memory or in files.
 *
 * The values of a matrix are uniform with the variance 1 / columns, so that rows keep their size from layer to layer; norms
 * are 1. For each type and row length POOL rows are encoded and repeated: the bytes are valid blocks, reading and computing
 * cost what they cost with any weights, and 20 GB are made in the time that copying them takes. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench/shapes.h"
#include "bench/vocabulary.h"
#include "exaone/bench.h"
#include "quant/encode.h"
#include "quant/metadata.h"
#include "quant/plan.h"
#include "weights/gguf_writer.h"

#ifndef MADV_POPULATE_READ /* since Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE /* since Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

enum { POOL = 32, SEED = 45 };

/* No folder: metadata that the release has in settings files gets its default. */
static const char NO_FOLDER[] = "/dev/null";

typedef struct pool {
    exaone_dtype type;
    size_t columns, row_bytes;
    uint8_t *rows; /* [POOL, row_bytes] */
} pool;

typedef struct maker {
    exaone_config config;
    exaone_shapes shapes;
    exaone_weights *weights;
    exaone_plan plan;
    const exaone_recipe *recipe;
    bool tokenizer;
    exaone_bench_stop_fn *stop; /* NULL: nobody asks */
    void *ctx;
    pool *pools; /* [n_pools] */
    size_t n_pools, cap_pools;
} maker;

typedef struct source {
    maker *m;
    const exaone_plan_tensor *tensor;
} source;

static exaone_status open_maker(maker *m, const exaone_synthetic_options *o, int n_layers, exaone_error *err) {
    const char *type = o && o->type ? o->type : "Q4_K_M";
    *m = (maker){.recipe = exaone_recipe_find(type),
                 .tokenizer = !o || !o->no_tokenizer,
                 .stop = o ? o->stop : NULL,
                 .ctx = o ? o->ctx : NULL};
    if (!m->recipe) {
        exaone_buf names;
        exaone_buf_init(&names, 1024);
        for (size_t i = 0; exaone_quantize_types(i); i++) {
            exaone_buf_printf(&names, "%s%s", i ? " " : "", exaone_quantize_types(i));
        }
        exaone_status status =
            exaone_fail(err, EXAONE_ERR_ARGUMENT, "type %s is none of %s", type, names.data ? names.data : "the known ones");
        exaone_buf_release(&names);
        return status;
    }
    exaone_status status = exaone_shapes_config(n_layers, &m->config, err);
    if (status == EXAONE_OK) {
        status = exaone_shapes_list(&m->config, &m->shapes, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_weights_declare(m->shapes.list, m->shapes.n, &m->weights, err);
    }
    if (status == EXAONE_OK) {
        exaone_plan_wish wish = {.text = m->recipe, .vision = exaone_recipe_find("BF16")};
        status = exaone_plan_make(m->weights, &m->config, &wish, &m->plan, err);
    }
    return status;
}

static void close_maker(maker *m) {
    for (size_t i = 0; i < m->n_pools; i++) {
        free(m->pools[i].rows);
    }
    free(m->pools);
    exaone_plan_release(&m->plan);
    exaone_weights_close(m->weights);
    exaone_shapes_release(&m->shapes);
    exaone_config_release(&m->config);
}

static int layers_of(const exaone_synthetic_options *o) {
    return o && o->layers ? o->layers : EXAONE_SYNTHETIC_LAYERS;
}

/* ---- values ---- */

/* x [n]: uniform in -limit .. limit, shifted */
static void fill(float *x, size_t n, uint32_t stream, float limit, float shift) {
    for (size_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        exaone_rng_philox((const uint32_t[4]){(uint32_t)i, (uint32_t)(i >> 32), stream, 0}, (const uint32_t[2]){SEED, 0}, r);
        for (size_t k = 0; k < 4 && i + k < n; k++) {
            x[i + k] = shift + limit * ((float)(r[k] >> 8) * 0x1p-23f - 1.0f);
        }
    }
}

static exaone_status make_pool(maker *m, exaone_dtype type, size_t columns, pool **out, exaone_error *err) {
    for (size_t i = 0; i < m->n_pools; i++) {
        if (m->pools[i].type == type && m->pools[i].columns == columns) {
            *out = &m->pools[i];
            return EXAONE_OK;
        }
    }
    pool *pools = exaone_mem_grow(m->pools, m->n_pools, &m->cap_pools, sizeof *pools);
    if (!pools) {
        return exaone_fail_memory(err, "the random rows", 2 * m->cap_pools * sizeof *pools);
    }
    m->pools = pools;
    pool p = {.type = type, .columns = columns};
    exaone_status status = EXAONE_OK;
    float *x = exaone_mem_array(POOL * columns, sizeof *x);
    if (exaone_dtype_row_bytes(type, columns, &p.row_bytes)) {
        p.rows = exaone_mem_array(POOL, p.row_bytes);
    }
    if (!x || !p.rows) {
        status = exaone_fail_memory(err, "the random rows", POOL * columns * sizeof *x);
    } else {
        fill(x, POOL * columns, (uint32_t)m->n_pools, sqrtf(3.0f / (float)columns), 0);
        status = exaone_encode_rows(type, x, POOL, columns, NULL, p.rows, err);
    }
    free(x);
    if (status != EXAONE_OK) {
        free(p.rows);
        return status;
    }
    m->pools[m->n_pools] = p;
    *out = &m->pools[m->n_pools++];
    return EXAONE_OK;
}

static exaone_status write_vector(const exaone_plan_tensor *t, exaone_writer *out, exaone_error *err) {
    float *x = exaone_mem_array(t->columns, sizeof *x);
    uint8_t *bytes = exaone_mem_array(t->bytes, 1);
    exaone_status status = x && bytes ? EXAONE_OK : exaone_fail_memory(err, t->name, t->columns * sizeof *x);
    if (status == EXAONE_OK) {
        bool bias = strstr(t->name, ".bias") != NULL;
        fill(x, t->columns, UINT32_MAX, bias ? 0.02f : 0, bias ? 0 : 1);
        status = exaone_encode_rows(t->type, t->values ? t->values : x, 1, t->columns, NULL, bytes, err);
    }
    if (status == EXAONE_OK) {
        exaone_writer_put(out, bytes, t->bytes);
    }
    free(x);
    free(bytes);
    return status;
}

static exaone_status write_tensor(void *ctx, exaone_writer *out, exaone_error *err) {
    const source *s = ctx;
    const exaone_plan_tensor *t = s->tensor;
    pool *p = NULL;
    if (s->m->stop && s->m->stop(s->m->ctx)) {
        return exaone_fail(err, EXAONE_ERR_CANCELLED, "stopped before %s", t->name);
    }
    if (t->n_dims == 1) {
        return write_vector(t, out, err);
    }
    exaone_status status = make_pool(s->m, t->type, t->columns, &p, err);
    for (size_t row = 0; row < t->rows && status == EXAONE_OK; row += POOL) {
        size_t n = t->rows - row < POOL ? t->rows - row : POOL;
        exaone_writer_put(out, p->rows, n * p->row_bytes);
    }
    return status;
}

/* ---- files ---- */

/* Metadata and tensor list of one of the two files. sources [plan.count] must live until it is written. */
static exaone_status describe(maker *m, bool vision, source *sources, exaone_gguf_writer *w, exaone_error *err) {
    exaone_status status;
    if (vision) {
        status = exaone_metadata_vision(w, &m->config, NO_FOLDER, exaone_recipe_find("BF16")->file_type, err);
    } else {
        status =
            exaone_metadata_text(w, &m->config, NO_FOLDER, "EXAONE 4.5 shapes, random weights", m->recipe->file_type, err);
        if (status == EXAONE_OK && m->tokenizer) {
            status = exaone_vocabulary_put(w, (size_t)m->config.vocab_size, err);
        }
    }
    for (size_t i = 0; i < m->plan.count && status == EXAONE_OK; i++) {
        const exaone_plan_tensor *t = &m->plan.tensors[i];
        sources[i] = (source){m, t};
        if (t->vision == vision) {
            exaone_gguf_put_tensor(w, t->name, t->type, t->n_dims, t->ne, write_tensor, &sources[i]);
        }
    }
    return status;
}

/* path NULL: only *bytes. */
static exaone_status write_file(maker *m, bool vision, const char *path, bool force, uint64_t *bytes, exaone_error *err) {
    source *sources = exaone_mem_array(m->plan.count, sizeof *sources);
    if (!sources) {
        return exaone_fail_memory(err, "the list of tensors", m->plan.count * sizeof *sources);
    }
    exaone_gguf_writer w;
    exaone_writer out = {.out.fd = -1};
    exaone_gguf_writer_init(&w);
    exaone_status status = describe(m, vision, sources, &w, err);
    if (status == EXAONE_OK && bytes) {
        *bytes = exaone_gguf_writer_bytes(&w);
    }
    if (status == EXAONE_OK && path) {
        status = exaone_writer_open(path, &out, err);
        if (status == EXAONE_OK) {
            status = exaone_gguf_writer_write(&w, &out, err);
            status = status ? status : force ? exaone_writer_commit(&out, err) : exaone_writer_commit_new(&out, err);
            exaone_writer_abort(&out);
        }
    }
    exaone_gguf_writer_release(&w);
    free(sources);
    return status;
}

exaone_status exaone_synthetic_measure(const exaone_synthetic_options *o, exaone_synthetic_size *out, exaone_error *err) {
    maker m = {0};
    *out = (exaone_synthetic_size){.layers = layers_of(o)};
    exaone_status status = open_maker(&m, o, out->layers, err);
    if (status == EXAONE_OK) {
        status = write_file(&m, false, NULL, false, &out->text_bytes, err);
    }
    if (status == EXAONE_OK && !(o && o->no_vision)) {
        status = write_file(&m, true, NULL, false, &out->mmproj_bytes, err);
    }
    if (status == EXAONE_OK) {
        out->layer_weights = exaone_shapes_weights(&m.shapes, "model.language_model.layers.0.");
        out->mtp_weights = exaone_shapes_weights(&m.shapes, "mtp.");
        out->output_weights = exaone_shapes_weights(&m.shapes, "lm_head.");
        out->embedding_weights = exaone_shapes_weights(&m.shapes, "model.language_model.embed_tokens.");
        out->vision_weights = exaone_shapes_weights(&m.shapes, "model.visual.");
        out->text_bytes_64 = out->text_bytes;
    }
    close_maker(&m);
    if (status == EXAONE_OK && out->layers < EXAONE_SYNTHETIC_LAYERS) {
        m = (maker){0};
        status = open_maker(&m, o, EXAONE_SYNTHETIC_LAYERS, err);
        if (status == EXAONE_OK) {
            status = write_file(&m, false, NULL, false, &out->text_bytes_64, err);
        }
        close_maker(&m);
    }
    return status;
}

exaone_status exaone_synthetic_write(const exaone_synthetic_options *o, const char *path, const char *mmproj, bool force,
                                     exaone_error *err) {
    maker m = {0};
    struct stat st;
    const char *paths[] = {path, mmproj};
    for (size_t i = 0; i < 2 && !force; i++) {
        if (paths[i] && stat(paths[i], &st) == 0 && S_ISREG(st.st_mode)) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is there already", paths[i]);
        }
    }
    exaone_status status = open_maker(&m, o, layers_of(o), err);
    if (status == EXAONE_OK) {
        status = write_file(&m, false, path, force, NULL, err);
    }
    if (status == EXAONE_OK && mmproj && !(o && o->no_vision)) {
        status = write_file(&m, true, mmproj, force, NULL, err);
    }
    close_maker(&m);
    return status;
}

/* ---- in memory ---- */

struct exaone_synthetic {
    int fd[2]; /* memory files: text, mmproj; -1: none */
    bool vision;
    char path[2][64];
};

/* Huge pages, as a file on a disk has them when it is read into memory: memory files do not get them when they are written.
 */
static void use_huge_pages(const char *path) {
    exaone_map map;
    exaone_error ignored;
    if (exaone_map_open(path, &map, &ignored) == EXAONE_OK) {
        (void)madvise((void *)(uintptr_t)map.data, map.size, MADV_POPULATE_READ);
        (void)madvise((void *)(uintptr_t)map.data, map.size, MADV_COLLAPSE);
        exaone_map_close(&map);
    }
}

exaone_status exaone_synthetic_open(const exaone_synthetic_options *o, exaone_synthetic **out, exaone_error *err) {
    static const char *const names[] = {"exaone synthetic text", "exaone synthetic mmproj"};
    exaone_synthetic *s = exaone_mem_array(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return exaone_fail_memory(err, "a synthetic model", sizeof *s);
    }
    s->fd[0] = s->fd[1] = -1;
    s->vision = !(o && o->no_vision);
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < (s->vision ? 2 : 1) && status == EXAONE_OK; i++) {
        s->fd[i] = memfd_create(names[i], MFD_CLOEXEC);
        if (s->fd[i] < 0) {
            status = exaone_fail(err, EXAONE_ERR_IO, "the system makes no file in memory: %s", strerror(errno));
        }
        snprintf(s->path[i], sizeof s->path[i], "/proc/self/fd/%d", s->fd[i]);
    }
    if (status == EXAONE_OK) {
        status = exaone_synthetic_write(o, s->path[0], s->path[1], true, err);
    }
    if (status != EXAONE_OK) {
        exaone_synthetic_close(s);
        return status;
    }
    use_huge_pages(s->path[0]);
    if (s->vision) {
        use_huge_pages(s->path[1]);
    }
    *out = s;
    return EXAONE_OK;
}

void exaone_synthetic_close(exaone_synthetic *s) {
    for (size_t i = 0; s && i < 2; i++) {
        if (s->fd[i] >= 0) {
            close(s->fd[i]);
        }
    }
    free(s);
}

const char *exaone_synthetic_path(const exaone_synthetic *s) {
    return s->path[0];
}

const char *exaone_synthetic_mmproj(const exaone_synthetic *s) {
    return s->vision ? s->path[1] : NULL;
}
