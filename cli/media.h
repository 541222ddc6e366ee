/* Images and videos of a command line or a conversation: where they come from, and their pixel values, computed once. */
#ifndef EXAONE_CLI_MEDIA_H
#define EXAONE_CLI_MEDIA_H

#include "cli.h"

/* Options of media; zeros (and -1 where said) mean: as the model's processor files say. */
typedef struct cli_media_options {
    int64_t min_pixels, max_pixels;
    double video_fps;
    int64_t video_frames, video_min_frames, video_max_frames;
    bool no_url, allow_private, strict_reference;
} cli_media_options;

#define CLI_MEDIA_OPTIONS(o)                                                                                                  \
    {"--min-pixels", NULL, OPT_INT, &(o).min_pixels, 1, 1099511627776.0, "N", "least pixels of a resized image or frame"},    \
        {"--max-pixels",                                                                                                      \
         NULL,                                                                                                                \
         OPT_INT,                                                                                                             \
         &(o).max_pixels,                                                                                                     \
         784,                                                                                                                 \
         1099511627776.0,                                                                                                     \
         "N",                                                                                                                 \
         "most pixels of a resized image or frame; fewer are faster"},                                                        \
        {"--video-fps", NULL, OPT_DOUBLE, &(o).video_fps, 1e-6, 1e6, "X", "take X frames per second of each video"},          \
        {"--video-frames", NULL, OPT_INT, &(o).video_frames, 1, 1 << 20, "N", "take N frames of each video"},                 \
        {"--video-min-frames", NULL, OPT_INT, &(o).video_min_frames, 1, 1 << 20, "N", "with --video-fps: at least N frames"}, \
        {"--video-max-frames", NULL, OPT_INT, &(o).video_max_frames, 1, 1 << 20, "N", "with --video-fps: at most N frames"},  \
        {"--no-url", NULL, OPT_FLAG, &(o).no_url, 0, 0, NULL, "http(s) addresses are not fetched"},                           \
        {"--allow-private-url", NULL, OPT_FLAG, &(o).allow_private, 0, 0, NULL, "they may be private or local"}, {            \
        "--strict-reference", NULL, OPT_FLAG, &(o).strict_reference, 0, 0, NULL,                                              \
            "repeat the reference's defects (16-bit grey, frame sampling) instead of the sensible thing"                      \
    }

/* One image or video. */
typedef struct cli_medium {
    const char *source;        /* a path, a data URI, an address, "-" for standard input, a folder of pictures (video) */
    const char *const *frames; /* instead of `source`: [n_frames] picture files of a video */
    size_t n_frames;
    const char *folder; /* relative paths start here; NULL: the current folder */
    bool is_video;
} cli_medium;

/* Options that exclude each other. Returns -1, or an exit code with the message printed. */
int cli_media_check(const char *command, const cli_media_options *o);

/* The processor's settings with --min-pixels and --max-pixels put in. One of them alone takes the other limit along where
 * the file's stands on the wrong side of it, except with --strict-reference. */
exaone_processor_config cli_media_config(const exaone_processor_config *base, const cli_media_options *o);

/* Loads, decodes and preprocesses. `info` may be NULL. On failure everything is empty. */
EXAONE_MUST_USE exaone_status cli_media_load(const cli_medium *medium, const cli_media_options *o,
                                             const exaone_processor_config *config, const exaone_parallel *parallel,
                                             bool keep_resized, exaone_pixels *pixels, exaone_video_info *info,
                                             exaone_error *err);

#endif
