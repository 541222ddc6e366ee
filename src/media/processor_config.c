/* Settings of the image and the video processor: the defaults, the JSON files beside a model, and what this engine refuses.
 *
 *   preprocessor_config.json        {"size": {"shortest_edge", "longest_edge"} or "min_pixels", "max_pixels"; "patch_size",
 * …} video_preprocessor_config.json  the same, and "fps", "num_frames", "min_frames", "max_frames", "do_sample_frames"
 *   processor_config.json           {"image_processor": {…}, "video_processor": {…}, …}
 *
 * shortest_edge and longest_edge are numbers of pixels, not edges. null means: not set. */
#include "exaone/media.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

#define MAX_FILE_BYTES ((size_t)1 << 20)
#define MAX_JSON_MEMORY ((size_t)32 << 20)
#define MAX_PIXELS ((int64_t)1 << 40)
#define MAX_SIZE 256
#define MAX_FRAMES ((int64_t)1 << 30)
#define RESAMPLE_BICUBIC 3 /* Pillow's number */

exaone_processor_config exaone_processor_config_default(void) {
    exaone_pixel_config image = {
        .min_pixels = 56 * 56,
        .max_pixels = 4096 * 28 * 28,
        .patch_size = 14,
        .temporal_patch_size = 2,
        .merge_size = 2,
        .rescale_factor = 1.0 / 255.0,
        .mean = {0.48145466, 0.4578275, 0.40821073},
        .std = {0.26862954, 0.26130258, 0.27577711},
        .backend = EXAONE_RESIZE_TORCHVISION,
    };
    exaone_processor_config c = {.image = image, .video = image, .min_frames = 4, .max_frames = 768};
    c.video.min_pixels = 128 * 28 * 28;
    c.video.max_pixels = 768 * 28 * 28;
    return c;
}

static exaone_status check_pixels(const exaone_pixel_config *c, const char *which, exaone_error *err) {
    if (c->min_pixels < 1 || c->min_pixels > MAX_PIXELS || c->max_pixels < 1 || c->max_pixels > MAX_PIXELS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s processor: pixel limits %lld to %lld must be 1 to %lld", which,
                           (long long)c->min_pixels, (long long)c->max_pixels, (long long)MAX_PIXELS);
    }
    const struct {
        const char *name;
        uint32_t value;
    } sizes[] = {
        {"patch_size", c->patch_size}, {"temporal_patch_size", c->temporal_patch_size}, {"merge_size", c->merge_size}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i].value < 1 || sizes[i].value > MAX_SIZE) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s processor: %s is %u and must be 1 to %d", which, sizes[i].name,
                               sizes[i].value, MAX_SIZE);
        }
    }
    if (!isfinite(c->rescale_factor) || !(c->rescale_factor > 1e-9 && c->rescale_factor < 1e9)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s processor: rescale_factor %g must be 1e-9 to 1e9", which,
                           c->rescale_factor);
    }
    for (int i = 0; i < 3; i++) {
        if (!(fabs(c->mean[i]) < 1e9) || !(fabs(c->std[i]) > 1e-9 && fabs(c->std[i]) < 1e9)) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "%s processor: channel %d has mean %g and std %g (finite, std not 0)", which, i, c->mean[i],
                               c->std[i]);
        }
    }
    return EXAONE_OK;
}

exaone_status exaone_processor_config_check(const exaone_processor_config *c, exaone_error *err) {
    exaone_status status = check_pixels(&c->image, "image", err);
    if (status == EXAONE_OK) {
        status = check_pixels(&c->video, "video", err);
    }
    if (status != EXAONE_OK) {
        return status;
    }
    if (c->min_frames < 1 || c->max_frames < c->min_frames || c->max_frames > MAX_FRAMES) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "video processor: min_frames %lld and max_frames %lld must be 1 to %lld, in order",
                           (long long)c->min_frames, (long long)c->max_frames, (long long)MAX_FRAMES);
    }
    if (!(c->fps >= 0 && c->fps <= 1e6) || c->num_frames < 0 || c->num_frames > MAX_FRAMES) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "video processor: fps %g must be 0 to 1e6 and num_frames %lld 0 to %lld", c->fps,
                           (long long)c->num_frames, (long long)MAX_FRAMES);
    }
    return EXAONE_OK;
}

/* ---- reading ---- */

/* The member, or NULL when it is absent or null. */
static const exaone_json *set_member(const exaone_json *object, const char *key) {
    const exaone_json *j = exaone_json_get(object, key);
    return exaone_json_is(j, EXAONE_JSON_NULL) ? NULL : j;
}

static exaone_status read_int(const exaone_json *object, const char *key, int64_t *out, exaone_error *err) {
    const exaone_json *j = set_member(object, key);
    if (j && !exaone_json_int(j, out)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is %s and must be an integer", key, exaone_json_shown(j, shown));
    }
    return EXAONE_OK;
}

static exaone_status read_size(const exaone_json *object, const char *key, uint32_t *out, exaone_error *err) {
    int64_t v = *out;
    exaone_status status = read_int(object, key, &v, err);
    if (status == EXAONE_OK && (v < 1 || v > MAX_SIZE)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is %lld and must be 1 to %d", key, (long long)v, MAX_SIZE);
    }
    *out = (uint32_t)v;
    return status;
}

static exaone_status read_double(const exaone_json *object, const char *key, double *out, exaone_error *err) {
    const exaone_json *j = set_member(object, key);
    if (j && !exaone_json_double(j, out)) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is %s and must be a number", key, exaone_json_shown(j, shown));
    }
    return EXAONE_OK;
}

static exaone_status read_channels(const exaone_json *object, const char *key, double out[3], exaone_error *err) {
    const exaone_json *j = set_member(object, key);
    if (!j) {
        return EXAONE_OK;
    }
    const exaone_json *v = j->type == EXAONE_JSON_ARRAY && j->len == 3 ? j->first : NULL;
    for (int i = 0; v && i < 3; i++, v = v->next) {
        if (!exaone_json_double(v, &out[i])) {
            char shown[EXAONE_JSON_SHOWN];
            return exaone_fail(err, EXAONE_ERR_FORMAT, "%s[%d] is %s and must be a number", key, i,
                               exaone_json_shown(v, shown));
        }
    }
    return j->type == EXAONE_JSON_ARRAY && j->len == 3
               ? EXAONE_OK
               : exaone_fail(err, EXAONE_ERR_FORMAT, "%s must be an array of 3 numbers", key);
}

/* A switch that this engine has in one position only. */
static exaone_status need_bool(const exaone_json *object, const char *key, bool want, exaone_error *err) {
    const exaone_json *j = set_member(object, key);
    if (j && j->type != EXAONE_JSON_TRUE && j->type != EXAONE_JSON_FALSE) {
        char shown[EXAONE_JSON_SHOWN];
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is %s and must be true or false", key, exaone_json_shown(j, shown));
    }
    if (j && (j->type == EXAONE_JSON_TRUE) != want) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "%s = %s is not supported", key, want ? "false" : "true");
    }
    return EXAONE_OK;
}

static exaone_status check_switches(const exaone_json *object, exaone_error *err) {
    static const struct {
        const char *key;
        bool want;
    } switches[] = {{"do_resize", true},      {"do_rescale", true},      {"do_normalize", true},
                    {"do_convert_rgb", true}, {"do_center_crop", false}, {"do_pad", false}};
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        exaone_status status = need_bool(object, switches[i].key, switches[i].want, err);
        if (status != EXAONE_OK) {
            return status;
        }
    }
    const exaone_json *resample = set_member(object, "resample");
    int64_t number = -1;
    if (resample && !exaone_json_equals(resample, "bicubic") && !exaone_json_equals(resample, "BICUBIC") &&
        !(exaone_json_int(resample, &number) && number == RESAMPLE_BICUBIC)) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "resample %.*s is not supported (3, bicubic, is)",
                           (int)(resample->len < 40 ? resample->len : 40), resample->text ? resample->text : "");
    }
    return EXAONE_OK;
}

/* "size" wins over min_pixels and max_pixels where both stand, as long as it has the two edges. */
static exaone_status read_limits(const exaone_json *object, exaone_pixel_config *c, exaone_error *err) {
    exaone_status status = read_int(object, "min_pixels", &c->min_pixels, err);
    if (status == EXAONE_OK) {
        status = read_int(object, "max_pixels", &c->max_pixels, err);
    }
    const exaone_json *size = set_member(object, "size");
    if (status != EXAONE_OK || !size) {
        return status;
    }
    if (size->type != EXAONE_JSON_OBJECT) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "size must be an object with shortest_edge and longest_edge");
    }
    static const char *const spelled[][2] = {{"min_pixels", "max_pixels"}, {"shortest_edge", "longest_edge"}};
    for (size_t i = 0; i < 2 && status == EXAONE_OK; i++) {
        status = read_int(size, spelled[i][0], &c->min_pixels, err);
        if (status == EXAONE_OK) {
            status = read_int(size, spelled[i][1], &c->max_pixels, err);
        }
    }
    if (status == EXAONE_OK && (set_member(size, "height") || set_member(size, "width"))) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                           "size with height and width is not supported (shortest_edge, longest_edge)");
    }
    return status;
}

static exaone_status read_pixels(const exaone_json *object, exaone_pixel_config *c, exaone_error *err) {
    exaone_status status = check_switches(object, err);
    if (status == EXAONE_OK) {
        status = read_limits(object, c, err);
    }
    if (status == EXAONE_OK) {
        status = read_size(object, "patch_size", &c->patch_size, err);
    }
    if (status == EXAONE_OK) {
        status = read_size(object, "temporal_patch_size", &c->temporal_patch_size, err);
    }
    if (status == EXAONE_OK) {
        status = read_size(object, "merge_size", &c->merge_size, err);
    }
    if (status == EXAONE_OK) {
        status = read_double(object, "rescale_factor", &c->rescale_factor, err);
    }
    if (status == EXAONE_OK) {
        status = read_channels(object, "image_mean", c->mean, err);
    }
    if (status == EXAONE_OK) {
        status = read_channels(object, "image_std", c->std, err);
    }
    return status;
}

static exaone_status read_video(const exaone_json *object, exaone_processor_config *c, exaone_error *err) {
    exaone_status status = read_pixels(object, &c->video, err);
    if (status == EXAONE_OK) {
        status = read_double(object, "fps", &c->fps, err);
    }
    if (status == EXAONE_OK) {
        status = read_int(object, "num_frames", &c->num_frames, err);
    }
    if (status == EXAONE_OK) {
        status = read_int(object, "min_frames", &c->min_frames, err);
    }
    if (status == EXAONE_OK) {
        status = read_int(object, "max_frames", &c->max_frames, err);
    }
    const exaone_json *sample = set_member(object, "do_sample_frames");
    if (status == EXAONE_OK && sample) {
        if (sample->type != EXAONE_JSON_TRUE && sample->type != EXAONE_JSON_FALSE) {
            return exaone_fail(err, EXAONE_ERR_FORMAT, "do_sample_frames must be true or false");
        }
        c->do_sample_frames = sample->type == EXAONE_JSON_TRUE;
    }
    return status;
}

static exaone_status read_root(const exaone_json *root, exaone_processor_file kind, exaone_processor_config *c,
                               exaone_error *err) {
    if (root->type != EXAONE_JSON_OBJECT) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "a processor configuration must be a JSON object");
    }
    if (kind == EXAONE_PROCESSOR_IMAGE) {
        return read_pixels(root, &c->image, err);
    }
    if (kind == EXAONE_PROCESSOR_VIDEO) {
        return read_video(root, c, err);
    }
    const exaone_json *image = set_member(root, "image_processor"), *video = set_member(root, "video_processor");
    exaone_status status = image ? read_pixels(image, &c->image, err) : EXAONE_OK;
    return status == EXAONE_OK && video ? read_video(video, c, err) : status;
}

exaone_status exaone_processor_config_parse(const char *json, size_t n, exaone_processor_file kind,
                                            exaone_processor_config *config, exaone_error *err) {
    exaone_arena arena;
    exaone_arena_init(&arena, MAX_JSON_MEMORY);
    exaone_json *root = NULL;
    exaone_status status = exaone_json_parse(json, n, &arena, &root, err);
    exaone_processor_config read = *config;
    if (status == EXAONE_OK) {
        status = read_root(root, kind, &read, err);
    }
    if (status == EXAONE_OK) {
        status = exaone_processor_config_check(&read, err);
        if (status == EXAONE_ERR_ARGUMENT) { /* here the numbers come from a file */
            status = EXAONE_ERR_FORMAT;
            if (err) {
                err->code = status;
            }
        }
    }
    if (status == EXAONE_OK) {
        *config = read;
    }
    exaone_arena_release(&arena);
    return status;
}

const char *exaone_processor_file_name(exaone_processor_file kind) {
    static const char *const NAMES[EXAONE_PROCESSOR_FILES] = {"preprocessor_config.json", "video_preprocessor_config.json",
                                                              "processor_config.json"};
    assert((unsigned)kind < EXAONE_PROCESSOR_FILES);
    return NAMES[kind];
}

/* Reads the file if the folder has it. */
static exaone_status load_file(const char *folder, exaone_processor_file kind, exaone_processor_config *config,
                               exaone_error *err) {
    const char *name = exaone_processor_file_name(kind);
    char *path = exaone_path_join(folder, name), *text = NULL;
    size_t n = 0;
    if (!path) {
        return exaone_fail_memory(err, "a path", strlen(folder) + strlen(name));
    }
    exaone_status status = EXAONE_OK;
    if (exaone_path_exists(path)) {
        status = exaone_file_read(path, MAX_FILE_BYTES, &text, &n, err);
        if (status == EXAONE_OK) {
            status = exaone_processor_config_parse(text, n, kind, config, err);
            if (status != EXAONE_OK) {
                status = exaone_fail_context(err, status, "%s", path);
            }
        }
    }
    free(text);
    free(path);
    return status;
}

exaone_status exaone_processor_config_load(const char *folder, exaone_processor_config *config, exaone_error *err) {
    exaone_processor_config c = exaone_processor_config_default();
    exaone_status status = EXAONE_OK;
    for (int kind = 0; kind < EXAONE_PROCESSOR_FILES && status == EXAONE_OK; kind++) { /* the last one's members win */
        status = load_file(folder, (exaone_processor_file)kind, &c, err);
    }
    if (status == EXAONE_OK) {
        *config = c;
    }
    return status;
}
