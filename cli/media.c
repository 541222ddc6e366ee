/* Images and videos of a command line or a conversation. */
#include "media.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

int cli_media_check(const char *command, const cli_media_options *o) {
    if (o->min_pixels && o->max_pixels && o->min_pixels > o->max_pixels) {
        return cli_usage(command, "--min-pixels %lld is more than --max-pixels %lld", (long long)o->min_pixels,
                         (long long)o->max_pixels);
    }
    if (o->video_fps > 0 && o->video_frames > 0) {
        return cli_usage(command, "--video-fps and --video-frames exclude each other");
    }
    if (o->video_min_frames && o->video_max_frames && o->video_min_frames > o->video_max_frames) {
        return cli_usage(command, "--video-min-frames %lld is more than --video-max-frames %lld",
                         (long long)o->video_min_frames, (long long)o->video_max_frames);
    }
    return -1;
}

exaone_processor_config cli_media_config(const exaone_processor_config *base, const cli_media_options *o) {
    exaone_processor_config c = *base;
    exaone_pixel_config *both[] = {&c.image, &c.video};
    for (size_t i = 0; i < 2; i++) {
        both[i]->min_pixels = o->min_pixels ? o->min_pixels : both[i]->min_pixels;
        both[i]->max_pixels = o->max_pixels ? o->max_pixels : both[i]->max_pixels;
        if (both[i]->min_pixels > both[i]->max_pixels && !o->strict_reference) {
            int64_t asked = both[i]->min_pixels;
            both[i]->min_pixels = o->max_pixels ? 1 : asked;
            both[i]->max_pixels = o->max_pixels ? both[i]->max_pixels : asked;
        }
    }
    return c;
}

/* The path from where we are; NULL: out of memory. */
static char *resolve(const char *folder, const char *path) {
    return folder && path[0] != '/' ? exaone_path_join(folder, path) : exaone_mem_string(path, strlen(path));
}

/* Bytes of a source that is not a file: a pipe, "-" for standard input, a data URI, an address. */
static exaone_status read_bytes(const char *source, const cli_media_options *o, size_t max, uint8_t **bytes, size_t *n,
                                exaone_error *err) {
    if (cli_input_is_stream(source)) {
        char *text;
        exaone_status status = cli_input_read(source, max, &text, n, err);
        *bytes = (uint8_t *)text;
        return status == EXAONE_OK && *n == 0 ? exaone_fail(err, EXAONE_ERR_IO, "there is nothing to read") : status;
    }
    exaone_source_options s;
    exaone_source_options_init(&s);
    s.allow_url = !o->no_url;
    s.allow_private = o->allow_private;
    s.max_bytes = max;
    s.cancel = &cli_interrupted;
    return exaone_media_load(source, &s, bytes, n, err);
}

static bool is_path(const char *source) {
    return !cli_input_is_stream(source) && exaone_source_classify(source) == EXAONE_SOURCE_PATH;
}

static exaone_status decode_image(const cli_medium *m, const char *source, const cli_media_options *o, exaone_image *image,
                                  exaone_error *err) {
    exaone_image_options options = {.strict_reference = o->strict_reference};
    if (is_path(source)) {
        char *path = resolve(m->folder, source);
        exaone_status status =
            path ? exaone_image_decode_file(path, &options, image, err) : exaone_fail_memory(err, "a path", strlen(source));
        free(path);
        return status;
    }
    uint8_t *bytes = NULL;
    size_t n = 0;
    exaone_status status =
        read_bytes(source, o, (size_t)exaone_media_limits_resolve(NULL).max_encoded_bytes, &bytes, &n, err);
    if (status == EXAONE_OK) {
        status = exaone_image_decode(bytes, n, &options, image, err);
    }
    free(bytes);
    return status;
}

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* The pictures of a folder, by name, as frames. */
static exaone_status list_folder(const char *path, char ***names, size_t *n, exaone_error *err) {
    struct dirent **entries;
    int count = scandir(path, &entries, visible, alphasort);
    if (count <= 0) {
        if (count == 0) {
            free(entries);
        }
        return exaone_fail(err, EXAONE_ERR_IO, "%s: a folder of pictures, one per frame, is wanted, and it holds none",
                           path);
    }
    *names = exaone_mem_array((size_t)count, sizeof **names);
    *n = *names ? (size_t)count : 0;
    exaone_status status = *names ? EXAONE_OK : exaone_fail_memory(err, "a list of frames", (size_t)count * sizeof **names);
    for (size_t i = 0; i < (size_t)count; i++) {
        if (status == EXAONE_OK && !((*names)[i] = exaone_path_join(path, entries[i]->d_name))) {
            status = exaone_fail_memory(err, "a path", strlen(path));
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static exaone_status load_frames(const cli_medium *m, const char *const *names, size_t n, const cli_media_options *o,
                                 exaone_image **images, exaone_error *err) {
    uint32_t most = exaone_media_limits_resolve(NULL).max_frames;
    if (n > most) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "a video of %zu pictures; the limit is %u frames", n, (unsigned)most);
    }
    *images = exaone_mem_array(n, sizeof **images);
    if (!*images) {
        return exaone_fail_memory(err, "the frames", n * sizeof **images);
    }
    for (size_t i = 0; i < n; i++) {
        exaone_status status = decode_image(m, names[i], o, &(*images)[i], err);
        if (status != EXAONE_OK) {
            return status;
        }
    }
    return EXAONE_OK;
}

static void video_options(const cli_media_options *o, const exaone_processor_config *config, bool frames,
                          exaone_video_options *v) {
    exaone_video_options_init(v);
    exaone_video_options_configure(v, config);
    if (frames) { /* pictures chosen by the caller: all of them count */
        v->has_fps = false;
        v->has_num_frames = false;
    }
    if (o->video_fps > 0 || o->video_frames > 0) {
        v->has_fps = o->video_fps > 0;
        v->fps = o->video_fps;
        v->has_num_frames = o->video_frames > 0;
        v->num_frames = o->video_frames;
    }
    v->min_frames = o->video_min_frames ? o->video_min_frames : v->min_frames;
    v->max_frames = o->video_max_frames ? o->video_max_frames : v->max_frames;
    v->strict_reference = o->strict_reference;
    v->cancel = &cli_interrupted;
}

static exaone_status load_video(const cli_medium *m, const cli_media_options *o, const exaone_processor_config *config,
                                const exaone_parallel *parallel, bool keep_resized, exaone_pixels *pixels,
                                exaone_video_info *info, exaone_error *err) {
    exaone_video_options options;
    video_options(o, config, m->frames, &options);
    exaone_video_source source = {0};
    char *path = NULL, **names = NULL;
    const char *const *frames = m->frames;
    size_t n_frames = m->n_frames, n_names = 0;
    exaone_image *images = NULL;
    uint8_t *bytes = NULL;
    exaone_status status = EXAONE_OK;
    if (!frames && is_path(m->source)) {
        path = resolve(m->folder, m->source);
        status = path ? EXAONE_OK : exaone_fail_memory(err, "a path", strlen(m->source));
        source.path = path;
        if (path && exaone_file_is_dir(path)) {
            status = list_folder(path, &names, &n_names, err);
            frames = (const char *const *)names;
            n_frames = n_names;
            source.path = NULL;
        }
    } else if (!frames) {
        uint64_t max = exaone_media_limits_resolve(&options.limits).max_video_bytes;
        status = read_bytes(m->source, o, (size_t)max, &bytes, &source.n_bytes, err);
        source.bytes = bytes;
    }
    if (status == EXAONE_OK && frames) {
        cli_medium where = {.folder = names ? NULL : m->folder};
        status = load_frames(&where, frames, n_frames, o, &images, err);
        source.frames = images;
        source.n_frames = n_frames;
    }
    if (status == EXAONE_OK) {
        status = exaone_preprocess_video(&source, &options, &config->video, parallel, keep_resized, pixels, info, err);
    }
    for (size_t i = 0; images && i < n_frames; i++) {
        exaone_image_release(&images[i]);
    }
    for (size_t i = 0; i < n_names; i++) {
        free(names[i]);
    }
    free(images);
    free(names);
    free(bytes);
    free(path);
    return status;
}

/* The library's names of settings become those of the command line. */
static void name_options(exaone_error *err) {
    static const char *const names[][2] = {{"unless the option allow_url is set", "with --no-url"},
                                           {"the option allow_private", "--allow-private-url"},
                                           {"num_frames", "--video-frames"},
                                           {"min_frames", "--video-min-frames"},
                                           {"max_frames", "--video-max-frames"},
                                           {" fps", " --video-fps"}};
    for (size_t i = 0; i < CLI_COUNT(names); i++) {
        char *at = strstr(err->message, names[i][0]);
        char after = at ? at[strlen(names[i][0])] : 'x';
        if (at && !strchr("_abcdefghijklmnopqrstuvwxyz", after ? after : ' ')) {
            char rest[sizeof err->message];
            snprintf(rest, sizeof rest, "%s", at + strlen(names[i][0]));
            snprintf(at, sizeof err->message - (size_t)(at - err->message), "%s%s", names[i][1], rest);
        }
    }
}

exaone_status cli_media_load(const cli_medium *m, const cli_media_options *o, const exaone_processor_config *config,
                             const exaone_parallel *parallel, bool keep_resized, exaone_pixels *pixels,
                             exaone_video_info *info, exaone_error *err) {
    if (m->source ? !*m->source : !m->frames) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s without a path", m->is_video ? "a video" : "an image");
    }
    exaone_status status;
    if (m->is_video) {
        status = load_video(m, o, config, parallel, keep_resized, pixels, info, err);
    } else {
        exaone_image image = {0};
        status = decode_image(m, m->source, o, &image, err);
        if (status == EXAONE_OK) {
            status = exaone_preprocess_image(&image, &config->image, parallel, keep_resized, pixels, err);
        }
        exaone_image_release(&image);
    }
    if (status != EXAONE_OK && err) {
        name_options(err);
    }
    if (status != EXAONE_OK && err && m->source && !strstr(err->message, m->source)) {
        status = exaone_fail_context(err, status, "%.200s", strcmp(m->source, "-") == 0 ? "standard input" : m->source);
    }
    return status;
}
