/* Videos: from a file, bytes or a list of pictures to the rows that the vision tower reads, as the reference's video
 * processor does.
 *
 *   container -> count the frames -> choose (exaone_video_sample) -> decode only those -> resize each -> patches of frame
 * pairs
 *
 * Decoding is FFmpeg's (libavformat, libavcodec, libswscale). A build without it has every function; those that would decode
 * a file answer EXAONE_ERR_UNSUPPORTED, pictures as frames still work.
 *
 * FFmpeg's log is one per process and prints to standard error. The first call that decodes switches it off with
 * av_log_set_level(AV_LOG_QUIET), but only if the program has left the level at FFmpeg's default: a program that wants the
 * messages sets a level of its own before. */
#ifndef EXAONE_VIDEO_H
#define EXAONE_VIDEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/media.h"
#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exaone_video_options {
    /* max_pixels of one frame (default here 36,000,000), max_side, max_frames that are kept, max_video_bytes,
     * max_video_frames */
    exaone_media_limits limits;

    /* Sampling: neither = all frames; one of the two, not both. */
    bool has_fps, has_num_frames;
    double fps;                     /* frames per second to take; needs a video with a known rate */
    int64_t num_frames;             /* frames to take, rounded to a multiple of temporal_patch_size (half to even) */
    int64_t min_frames, max_frames; /* bounds with fps; 4 and 768 after init */
    uint32_t temporal_patch_size;   /* 2 after init; exaone_preprocess_video uses its config's instead */
    bool strict_reference;          /* fail where the reference fails by accident (see exaone_video_sample) */

    int64_t max_video_tokens;   /* above 0: lower the pixels of a frame so that long videos fit ("cap_pixels_per_frame"); 0
                                   after init */
    uint64_t max_total_pixels;  /* frames * height * width behind the resize of exaone_preprocess_video; 2^29 after init */
    uint64_t max_decoded_bytes; /* of the frames that exaone_video_decode returns; 4 GiB after init */
    int threads;                /* of the decoder; 1 after init, 0 = FFmpeg decides. The pixels do not depend on it */
    int time_limit_ms;          /* for opening, counting and decoding together; 600,000 after init, 0 = none */
    const volatile int *cancel; /* may be NULL; non-zero: stop with EXAONE_ERR_CANCELLED */
} exaone_video_options;

EXAONE_API void exaone_video_options_init(exaone_video_options *options);
/* Takes do_sample_frames, fps, num_frames, min_frames, max_frames of a model's processor files. */
EXAONE_API void exaone_video_options_configure(exaone_video_options *options, const exaone_processor_config *config);

/* Which frames of `total` the reference takes: index i = i * total div n for i = 0 .. n-1, with
 *   num_frames: n = num_frames rounded to a multiple of temporal_patch_size (half to even)
 *   fps:        n = total / source_fps * fps, at least min_frames, at most max_frames and total, then rounded down to a
 * multiple neither:    all frames source_fps: 0, negative or NaN = unknown. *indices (free(); [*n]) ascend. Errors
 * (ERR_ARGUMENT): both options; fps without source_fps; n > total; n = 0. The reference's accidents are handled sensibly: a
 * video shorter than temporal_patch_size keeps all its frames when n would be 0, and its "one index too many" does not
 * happen. With strict_reference those, and sampling with neither option, are errors as in the reference. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_video_sample(uint64_t total, double source_fps,
                                                             const exaone_video_options *options, int64_t **indices,
                                                             size_t *n, exaone_error *err);

/* Exactly one of the three is set. Nothing is owned. */
typedef struct exaone_video_source {
    const char *path;     /* a regular file */
    const uint8_t *bytes; /* an encoded file in memory */
    size_t n_bytes;
    const exaone_image *frames; /* pictures of one size, as a video */
    size_t n_frames;
    double frames_fps; /* 0: unknown */
} exaone_video_source;

/* What a video is, and what was taken of it. Zeroed = empty. */
typedef struct exaone_video_info {
    uint32_t width, height; /* upright, before any resize */
    uint64_t total_frames;  /* counted, not what the header says; frames hidden by an edit list do not count */
    double fps;             /* total_frames / duration; 0: unknown */
    double duration;        /* seconds from the first frame to the end of the last one; 0: unknown */
    size_t n;               /* frames taken */
    int64_t *indices;       /* [n], owned */
    double *timestamps;     /* [n] seconds: index / fps, as the reference; NULL when fps is unknown; owned */
} exaone_video_info;

EXAONE_API void exaone_video_info_release(exaone_video_info *info); /* frees and empties; NULL and empty are fine */

/* Counts the frames of a video without decoding them; indices stay NULL. Errors: as exaone_video_decode. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_video_probe(const exaone_video_source *source,
                                                            const exaone_video_options *options, exaone_video_info *info,
                                                            exaone_error *err);

/* Decoded frames. Zeroed = empty. */
typedef struct exaone_video {
    exaone_video_info info;
    uint8_t *rgb; /* [info.n, info.height, info.width, 3], rotation applied; owned */
} exaone_video;

EXAONE_API void exaone_video_release(exaone_video *video); /* frees and empties; NULL and empty are fine */

/* Decodes the chosen frames. A frame whose size differs from the first one's is scaled to it. A file that ends early gives
 * the frames that are there. `options` NULL: the defaults, all frames. Errors: ERR_IO, ERR_FORMAT (no container, no video
 * stream, no frame), ERR_LIMIT (with number and limit), ERR_ARGUMENT (sampling), ERR_UNSUPPORTED (codec, or built without
 * FFmpeg), ERR_CANCELLED, ERR_MEMORY. On failure *out is empty. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_video_decode(const exaone_video_source *source,
                                                             const exaone_video_options *options, exaone_video *out,
                                                             exaone_error *err);

/* The pixel values of a video: chosen frames, each resized with the config's limits for one frame, the last one repeated
 * until the count is a multiple of temporal_patch_size. Frames are resized as they are decoded; never more than
 * temporal_patch_size of them are held at full size. out->grid = [frames / temporal_patch_size, H / 14, W / 14]. `info` may
 * be NULL. `options`, `parallel` may be NULL. Errors: as exaone_video_decode, and of exaone_smart_resize. On failure *out
 * and *info are empty. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_preprocess_video(
    const exaone_video_source *source, const exaone_video_options *options, const exaone_pixel_config *config,
    const exaone_parallel *parallel, bool keep_resized, exaone_pixels *out, exaone_video_info *info, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
