/* Videos: the public functions, and the video processor (frames to pixel values) of transformers 5.23's
 * Qwen2VLVideoProcessor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "media/video_internal.h"

/* H.264 and the like keep up to 17 frames: the ceiling for pictures (100 million pixels) would be gigabytes here. 36 million
 * is 8K. */
enum { DEFAULT_FRAME_PIXELS = 36000000 };

void exaone_video_options_init(exaone_video_options *o) {
    *o = (exaone_video_options){
        .min_frames = 4,
        .max_frames = 768,
        .temporal_patch_size = 2,
        .max_total_pixels = (uint64_t)1 << 29, /* the reference's 768 frames of 602,112 pixels fit */
        .max_decoded_bytes = (uint64_t)4 << 30,
        .threads = 1,
        .time_limit_ms = 600000,
    };
}

void exaone_video_options_configure(exaone_video_options *o, const exaone_processor_config *config) {
    o->has_fps = config->do_sample_frames && config->fps > 0;
    o->has_num_frames = config->do_sample_frames && config->num_frames > 0;
    o->fps = config->fps;
    o->num_frames = config->num_frames;
    o->min_frames = config->min_frames;
    o->max_frames = config->max_frames;
    o->temporal_patch_size = config->video.temporal_patch_size;
}

void exaone_video_info_release(exaone_video_info *info) {
    if (info) {
        free(info->indices);
        free(info->timestamps);
        *info = (exaone_video_info){0};
    }
}

void exaone_video_release(exaone_video *video) {
    if (video) {
        exaone_video_info_release(&video->info);
        free(video->rgb);
        video->rgb = NULL;
    }
}

exaone_status exaone_video_choose(exaone_video_info *info, const exaone_video_options *options, exaone_error *err) {
    free(info->indices);
    free(info->timestamps);
    info->indices = NULL;
    info->timestamps = NULL;
    info->n = 0;
    exaone_video_options o = *options;
    if (!o.has_fps && !o.has_num_frames) {
        o.strict_reference = false; /* not sampling is no fault of a whole video */
        if (info->total_frames > o.limits.max_frames) {
            return exaone_fail(
                err, EXAONE_ERR_LIMIT,
                "the video has %llu frames, more than the limit of %u that are kept; take fewer with fps or num_frames",
                (unsigned long long)info->total_frames, o.limits.max_frames);
        }
    }
    exaone_status status = exaone_video_sample(info->total_frames, info->fps, &o, &info->indices, &info->n, err);
    if (status) {
        return status;
    }
    if (info->n > o.limits.max_frames) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%zu frames of the video are asked for, more than the limit of %u",
                           info->n, o.limits.max_frames);
    }
    if (info->fps > 0) {
        info->timestamps = exaone_mem_array(info->n, sizeof(*info->timestamps));
        if (!info->timestamps) {
            return exaone_fail_memory(err, "the times of the frames", (unsigned long long)info->n * sizeof(double));
        }
        for (size_t i = 0; i < info->n; i++) {
            info->timestamps[i] = (double)info->indices[i] / info->fps;
        }
    }
    return EXAONE_OK;
}

/* ---- a list of pictures as a video
 * ----------------------------------------------------------------------------------------- */

static exaone_status run_frames(const exaone_video_source *source, const exaone_video_options *options,
                                const exaone_video_sink *sink, exaone_video_info *info, exaone_error *err) {
    const exaone_image *first = &source->frames[0];
    if (source->n_frames > options->limits.max_video_frames) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the video has %zu frames, more than the limit of %llu", source->n_frames,
                           (unsigned long long)options->limits.max_video_frames);
    }
    for (size_t i = 0; i < source->n_frames; i++) {
        const exaone_image *f = &source->frames[i];
        if (!f->rgb || f->width != first->width || f->height != first->height) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "frame %zu of the video is %u x %u, the first one %u x %u", i + 1,
                               f->width, f->height, first->width, first->height);
        }
    }
    if (first->width == 0 || first->height == 0 || (uint64_t)first->width * first->height > options->limits.max_pixels) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the frames of the video are %u x %u; the limit is %llu pixels",
                           first->width, first->height, (unsigned long long)options->limits.max_pixels);
    }
    info->total_frames = source->n_frames;
    info->fps = source->frames_fps > 0 && isfinite(source->frames_fps) ? source->frames_fps : 0;
    info->duration = info->fps > 0 ? (double)info->total_frames / info->fps : 0;
    info->width = first->width;
    info->height = first->height;
    if (!sink) {
        return EXAONE_OK;
    }
    exaone_status status = exaone_video_choose(info, options, err);
    if (!status) {
        status = sink->begin(sink->ctx, info, err);
    }
    for (size_t k = 0; !status && k < info->n; k++) {
        status = sink->frame(sink->ctx, k, source->frames[info->indices[k]].rgb, err);
    }
    return status;
}

/* Checks the arguments, fills in the defaults and runs. On failure *info is empty. */
static exaone_status run(const exaone_video_source *source, const exaone_video_options *options,
                         const exaone_video_sink *sink, exaone_video_info *info, exaone_error *err) {
    exaone_video_options o;
    exaone_video_options_init(&o);
    if (options) {
        o = *options;
    }
    uint64_t frame_pixels = o.limits.max_pixels ? o.limits.max_pixels : DEFAULT_FRAME_PIXELS;
    o.limits = exaone_media_limits_resolve(&o.limits);
    o.limits.max_pixels = frame_pixels;
    int given = (source->path != NULL) + (source->bytes != NULL) + (source->frames != NULL);
    *info = (exaone_video_info){0};
    if (given != 1 || (source->frames && source->n_frames == 0)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, given == 1 ? "a video of 0 frames" : "a video needs one source, not %d",
                           given);
    }
    exaone_status status =
        source->frames ? run_frames(source, &o, sink, info, err) : exaone_video_run_ffmpeg(source, &o, sink, info, err);
    if (status && source->path) {
        status = exaone_fail_context(err, status, "%s", source->path);
    }
    if (status) {
        exaone_video_info_release(info);
    }
    return status;
}

exaone_status exaone_video_probe(const exaone_video_source *source, const exaone_video_options *options,
                                 exaone_video_info *info, exaone_error *err) {
    return run(source, options, NULL, info, err);
}

/* ---- decoding into memory
 * --------------------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t max_bytes;
    size_t frame_bytes;
    uint8_t *rgb;
} collector;

static exaone_status collect_begin(void *ctx, const exaone_video_info *info, exaone_error *err) {
    collector *c = ctx;
    free(c->rgb);
    c->rgb = NULL;
    size_t total = 0;
    if (!exaone_size_mul((size_t)info->width * info->height, 3, &c->frame_bytes) ||
        !exaone_size_mul(c->frame_bytes, info->n, &total) || total > c->max_bytes) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%zu frames of %u x %u pixels need more than the limit of %llu bytes",
                           info->n, info->width, info->height, (unsigned long long)c->max_bytes);
    }
    c->rgb = exaone_mem_array(info->n, c->frame_bytes);
    return c->rgb ? EXAONE_OK : exaone_fail_memory(err, "the frames of a video", total);
}

static exaone_status collect_frame(void *ctx, size_t k, const uint8_t *rgb, exaone_error *err) {
    (void)err;
    collector *c = ctx;
    memcpy(c->rgb + k * c->frame_bytes, rgb, c->frame_bytes);
    return EXAONE_OK;
}

exaone_status exaone_video_decode(const exaone_video_source *source, const exaone_video_options *options, exaone_video *out,
                                  exaone_error *err) {
    exaone_video_options defaults;
    exaone_video_options_init(&defaults);
    collector c = {.max_bytes = (options ? options : &defaults)->max_decoded_bytes};
    exaone_video_sink sink = {.begin = collect_begin, .frame = collect_frame, .ctx = &c};
    *out = (exaone_video){0};
    exaone_status status = run(source, options, &sink, &out->info, err);
    if (status) {
        free(c.rgb);
        return status;
    }
    out->rgb = c.rgb;
    return EXAONE_OK;
}

/* ---- pixel values
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    const exaone_pixel_config *config;
    const exaone_parallel *parallel;
    int64_t max_video_tokens;
    uint64_t max_total_pixels;
    bool keep_resized;
    exaone_pixels *out;
    uint32_t width, height; /* of the frames that come */
    size_t n_frames, frame_bytes;
    uint8_t *group; /* [temporal_patch_size, H, W, 3] unless out->resized holds them */
} processor;

/* Pixels of a frame at most, with the reference's cap_pixels_per_frame: 90 % of max_video_tokens shared by all frames, but
 * not less than 1.05 times the minimum. */
static int64_t frame_limit(const processor *p, size_t n_frames) {
    int64_t limit = p->config->max_pixels;
    if (p->max_video_tokens <= 0) {
        return limit;
    }
    double side = (double)p->config->patch_size * p->config->merge_size;
    double budget = trunc((double)p->max_video_tokens * side * side * 0.9) * p->config->temporal_patch_size;
    int64_t share = (int64_t)(fmin(budget, 0x1p62)) / (int64_t)n_frames;
    int64_t floor_limit = (int64_t)trunc(1.05 * (double)p->config->min_pixels);
    limit = share < limit ? share : limit;
    return limit > floor_limit ? limit : floor_limit;
}

static exaone_status process_begin(void *ctx, const exaone_video_info *info, exaone_error *err) {
    processor *p = ctx;
    const exaone_pixel_config *c = p->config;
    uint32_t H = 0, W = 0;
    exaone_pixels_release(p->out);
    free(p->group);
    p->group = NULL;
    p->width = info->width;
    p->height = info->height;
    p->n_frames = info->n;
    exaone_status status = exaone_smart_resize(p->height, p->width, c->min_pixels, frame_limit(p, info->n),
                                               c->patch_size * c->merge_size, &H, &W, err);
    size_t T = c->temporal_patch_size, padded = (info->n + T - 1) / T * T;
    if (!status && (uint64_t)H * W > p->max_total_pixels / padded) {
        status =
            exaone_fail(err, EXAONE_ERR_LIMIT,
                        "%zu frames of %u x %u pixels (after the resize) are more than the limit of %llu pixels; take fewer "
                        "frames, or lower max_pixels",
                        padded, W, H, (unsigned long long)p->max_total_pixels);
    }
    if (!status) {
        status = exaone_pixels_init(p->out, (uint32_t)padded, H, W, c, p->keep_resized, err);
    }
    if (status || p->keep_resized) {
        p->frame_bytes = (size_t)H * W * 3;
        return status;
    }
    p->frame_bytes = (size_t)H * W * 3;
    p->group = exaone_mem_array(c->temporal_patch_size, p->frame_bytes);
    return p->group
               ? EXAONE_OK
               : exaone_fail_memory(err, "the resized frames", (unsigned long long)c->temporal_patch_size * p->frame_bytes);
}

static uint8_t *slot(const processor *p, size_t k) {
    return p->keep_resized ? p->out->resized + k * p->frame_bytes
                           : p->group + k % p->config->temporal_patch_size * p->frame_bytes;
}

static exaone_status process_frame(void *ctx, size_t k, const uint8_t *rgb, exaone_error *err) {
    processor *p = ctx;
    exaone_pixels *out = p->out;
    uint32_t T = p->config->temporal_patch_size;
    exaone_status status = exaone_resize_rgb(rgb, p->height, p->width, slot(p, k), out->height, out->width,
                                             p->config->backend, p->parallel, err);
    if (status) {
        return status;
    }
    size_t end = k + 1;
    if (end == p->n_frames) {
        for (; end % T != 0; end++) {
            memcpy(slot(p, end), slot(p, k), p->frame_bytes);
        }
    }
    if (end % T == 0) {
        const uint8_t *frames[256];
        for (uint32_t i = 0; i < T; i++) {
            frames[i] = slot(p, end - T + i);
        }
        size_t values = (size_t)out->grid[1] * out->grid[2] * out->cols;
        exaone_patches(frames, out->height, out->width, p->config, p->parallel, out->values + (end / T - 1) * values);
    }
    return EXAONE_OK;
}

exaone_status exaone_preprocess_video(const exaone_video_source *source, const exaone_video_options *options,
                                      const exaone_pixel_config *config, const exaone_parallel *parallel, bool keep_resized,
                                      exaone_pixels *out, exaone_video_info *info, exaone_error *err) {
    exaone_video_options o;
    exaone_video_info unused = {0};
    exaone_video_options_init(&o);
    if (options) {
        o = *options;
    }
    info = info ? info : &unused;
    *info = (exaone_video_info){0};
    *out = (exaone_pixels){0};
    exaone_processor_config whole = exaone_processor_config_default();
    whole.video = *config;
    exaone_status status = exaone_processor_config_check(&whole, err);
    if (status) {
        return status;
    }
    o.temporal_patch_size = config->temporal_patch_size;
    processor p = {.config = config,
                   .parallel = parallel,
                   .max_video_tokens = o.max_video_tokens,
                   .max_total_pixels = o.max_total_pixels,
                   .keep_resized = keep_resized,
                   .out = out};
    exaone_video_sink sink = {.begin = process_begin, .frame = process_frame, .ctx = &p};
    status = run(source, &o, &sink, info, err);
    free(p.group);
    if (status) {
        exaone_pixels_release(out);
    }
    if (info == &unused) {
        exaone_video_info_release(&unused);
    }
    return status;
}
