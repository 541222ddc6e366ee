/* `exaone preprocess`: images and videos to pixel values, or the grid of a size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "media.h"

typedef struct preprocess_options {
    cli_media_options media;
    cli_list images, videos;
    const char *model, *out, *size, *backend;
    int64_t threads;
} preprocess_options;

/* The model's settings with -m, else those of the release. */
static exaone_status base_config(const preprocess_options *o, exaone_processor_config *config, exaone_error *err) {
    *config = exaone_processor_config_default();
    if (!o->model) {
        return EXAONE_OK;
    }
    bool built_in;
    const char *path = cli_model_path(o->model, &built_in);
    if (!path) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "there is no model %s", o->model);
    }
    if (exaone_file_is_dir(path)) {
        return exaone_processor_config_load(path, config, err);
    }
    exaone_engine *engine = NULL;
    exaone_engine_options options = {.n_threads = 1, .no_tokenizer = true};
    exaone_status status = exaone_engine_open(path, &options, &engine, err);
    if (status == EXAONE_OK) {
        *config = *exaone_engine_processor(engine);
    }
    exaone_engine_close(engine);
    return status;
}

/* Reads digits up to `stop` (a character of it is stepped over) or the end; false when that is no number from 1 to 2^32 - 1.
 */
static bool read_side(const char **text, const char *stop, uint32_t *out) {
    uint64_t v = 0;
    const char *p = *text;
    for (; *p >= '0' && *p <= '9' && v <= UINT32_MAX; p++) {
        v = 10 * v + (uint64_t)(*p - '0');
    }
    if (v == 0 || v > UINT32_MAX || (*stop ? !*p || !strchr(stop, *p) : *p != 0)) {
        return false;
    }
    *out = (uint32_t)v;
    *text = p + (*stop != 0);
    return true;
}

static int print_size(const preprocess_options *o, const exaone_processor_config *config) {
    const char *text = o->size;
    uint32_t h, w;
    if (!read_side(&text, "xX", &h) || !read_side(&text, "", &w)) {
        return cli_usage("preprocess", "--size %s: want HEIGHTxWIDTH in pixels, as 1080x1920", o->size);
    }
    const exaone_pixel_config *c = &config->image;
    uint32_t H, W;
    exaone_error err = {0};
    if (exaone_smart_resize(h, w, c->min_pixels, c->max_pixels, c->patch_size * c->merge_size, &H, &W, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    uint32_t gh = H / c->patch_size, gw = W / c->patch_size;
    printf("{\"height\": %u, \"width\": %u, \"grid\": [1, %u, %u], \"tokens\": %llu}\n", (unsigned)H, (unsigned)W,
           (unsigned)gh, (unsigned)gw, (unsigned long long)gh * gw / (c->merge_size * c->merge_size));
    return CLI_OK;
}

/* Media of one kind, in order. */
typedef struct loaded {
    exaone_pixels *pixels;   /* [n] */
    exaone_video_info *info; /* [n] */
    size_t n;
} loaded;

/* Name of the k-th of n tensors: NAME alone, NAME.K of several. */
static const char *numbered(char *text, size_t size, const char *name, size_t k, size_t n) {
    snprintf(text, size, n == 1 ? "%s" : "%s.%zu", name, k);
    return text;
}

static exaone_status add_info(exaone_tensors *set, const exaone_video_info *info, size_t k, size_t n, exaone_error *err) {
    char name[64];
    uint64_t dims[] = {info->n};
    exaone_status status = info->indices ? exaone_tensors_add(set, numbered(name, sizeof name, "video_indices", k, n),
                                                              EXAONE_I64, 1, dims, info->indices, err)
                                         : EXAONE_OK;
    if (status == EXAONE_OK && info->timestamps) {
        status = exaone_tensors_add(set, numbered(name, sizeof name, "video_timestamps", k, n), EXAONE_F64, 1, dims,
                                    info->timestamps, err);
    }
    return status;
}

/* pixel_values, image_grid_thw, resized; or the names of videos. */
static exaone_status add_tensors(exaone_tensors *set, const loaded *l, bool video, exaone_error *err) {
    uint64_t rows = 0, cols = l->pixels[0].cols;
    for (size_t i = 0; i < l->n; i++) {
        rows += l->pixels[i].rows;
    }
    uint64_t value_dims[] = {rows, cols}, grid_dims[] = {l->n, 3};
    const char *values_name = video ? "pixel_values_videos" : "pixel_values",
               *grid_name = video ? "video_grid_thw" : "image_grid_thw";
    exaone_status status = exaone_tensors_add(set, values_name, EXAONE_F32, 2, value_dims, NULL, err);
    if (status == EXAONE_OK) {
        status = exaone_tensors_add(set, grid_name, EXAONE_I64, 2, grid_dims, NULL, err);
    }
    if (status != EXAONE_OK) {
        return status;
    }
    float *values = exaone_tensors_get(set, values_name)->data;
    int64_t *grid = exaone_tensors_get(set, grid_name)->data;
    for (size_t i = 0; i < l->n; i++) {
        const exaone_pixels *p = &l->pixels[i];
        memcpy(values, p->values, p->rows * p->cols * sizeof *values);
        values += p->rows * p->cols;
        for (size_t d = 0; d < 3; d++) {
            grid[3 * i + d] = p->grid[d];
        }
    }
    for (size_t i = 0; i < l->n && status == EXAONE_OK; i++) {
        const exaone_pixels *p = &l->pixels[i];
        uint64_t dims[] = {p->frames, p->height, p->width, 3};
        char name[64];
        status = exaone_tensors_add(set, numbered(name, sizeof name, video ? "resized_videos" : "resized", i, l->n),
                                    EXAONE_U8, video ? 4 : 3, video ? dims : dims + 1, p->resized, err);
        if (status == EXAONE_OK && video) {
            status = add_info(set, &l->info[i], i, l->n, err);
        }
    }
    return status;
}

static exaone_status load_all(const preprocess_options *o, const exaone_processor_config *config,
                              const exaone_parallel *parallel, bool video, loaded *l, exaone_error *err) {
    const cli_list *list = video ? &o->videos : &o->images;
    l->pixels = exaone_mem_array(list->n, sizeof *l->pixels);
    l->info = exaone_mem_array(list->n, sizeof *l->info);
    if (!l->pixels || !l->info) {
        return exaone_fail_memory(err, "a list of media", list->n * sizeof *l->pixels);
    }
    for (size_t i = 0; i < list->n; i++) {
        cli_medium m = {.source = list->items[i], .is_video = video};
        exaone_status status = cli_media_load(&m, &o->media, config, parallel, true, &l->pixels[i], &l->info[i], err);
        if (status != EXAONE_OK) {
            return status;
        }
        l->n++;
    }
    return EXAONE_OK;
}

static void release(loaded *l) {
    for (size_t i = 0; i < l->n; i++) {
        exaone_pixels_release(&l->pixels[i]);
        exaone_video_info_release(&l->info[i]);
    }
    free(l->pixels);
    free(l->info);
}

static int write_pixels(const preprocess_options *o, const exaone_processor_config *config) {
    exaone_error err = {0};
    exaone_pool *pool = NULL;
    loaded kinds[2] = {{0}, {0}};
    exaone_tensors *set = exaone_tensors_new();
    exaone_status status = set ? exaone_pool_new((int)o->threads, &pool, &err) : exaone_fail_memory(&err, "the result", 64);
    exaone_parallel parallel = {0};
    if (status == EXAONE_OK) {
        parallel = exaone_pool_parallel(pool);
    }
    for (int video = 0; video < 2 && status == EXAONE_OK; video++) {
        status = load_all(o, config, &parallel, video, &kinds[video], &err);
        if (status == EXAONE_OK && kinds[video].n) {
            status = add_tensors(set, &kinds[video], video, &err);
        }
    }
    if (status == EXAONE_OK) {
        status = exaone_tensors_save(set, o->out, &err);
    }
    release(&kinds[0]);
    release(&kinds[1]);
    exaone_tensors_free(set);
    exaone_pool_free(pool);
    return status == EXAONE_OK ? CLI_OK : cli_fail(&err);
}

static int preprocess(const preprocess_options *o) {
    bool pil = o->backend && strcmp(o->backend, "pil") == 0;
    if (o->backend && !pil && strcmp(o->backend, "torchvision") != 0) {
        return cli_usage("preprocess", "--resize-backend %s: want torchvision or pil", o->backend);
    }
    if (!o->size && (o->images.n + o->videos.n == 0 || !o->out)) {
        return cli_usage("preprocess", "want --image or --video with --out FILE, or --size HxW");
    }
    int code = cli_media_check("preprocess", &o->media);
    if (code >= 0) {
        return code;
    }
    exaone_processor_config base;
    exaone_error err = {0};
    if (base_config(o, &base, &err) != EXAONE_OK) {
        return cli_fail(&err);
    }
    exaone_processor_config config = cli_media_config(&base, &o->media);
    if (pil) {
        config.image.backend = EXAONE_RESIZE_PIL;
        config.video.backend = EXAONE_RESIZE_PIL;
    }
    return o->size ? print_size(o, &config) : write_pixels(o, &config);
}

int cmd_preprocess(int argc, char **argv) {
    preprocess_options o = {.threads = 2};
    const cli_option options[] = {
        {"--image", NULL, OPT_LIST, &o.images, 0, 0, "SOURCE", "file, data URI, address or - (repeatable)"},
        {"--video", NULL, OPT_LIST, &o.videos, 0, 0, "SOURCE", "the same, or a folder of pictures (repeatable)"},
        {"--out", NULL, OPT_TEXT, &o.out, 0, 0, "FILE", "safetensors file to write"},
        {"--size", NULL, OPT_TEXT, &o.size, 0, 0, "HxW", "print the resized size, grid and tokens of an image of this size"},
        {"--model", "-m", OPT_TEXT, &o.model, 0, 0, "PATH", "use this model's processor settings (default: the release's)"},
        {"--resize-backend", NULL, OPT_TEXT, &o.backend, 0, 0, "NAME",
         "torchvision (the reference's default, and ours) or pil"},
        {"--threads", "-t", OPT_INT, &o.threads, 1, 512, "N", "threads (default 2); the result does not depend on it"},
        CLI_MEDIA_OPTIONS(o.media),
    };
    cli_command_line line;
    int code = cli_options_parse("preprocess", options, CLI_COUNT(options), argc, argv, &line);
    if (code < 0) {
        code = line.n_words ? cli_usage("preprocess", "unexpected argument %s", line.words[0]) : preprocess(&o);
    }
    cli_options_release(options, CLI_COUNT(options), &line);
    return code;
}
