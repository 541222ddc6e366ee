/* Inside of video decoding: what video.c (public functions, preprocessing) and the FFmpeg files share. */
#ifndef EXAONE_MEDIA_VIDEO_INTERNAL_H
#define EXAONE_MEDIA_VIDEO_INTERNAL_H

#include "exaone/video.h"

/* Receives the chosen frames. `begin` comes before any frame, with info's size and n; it may come a second time, when the
 * file turned out to have another number of frames than its packets promised: then everything starts anew. `frame` comes for
 * k = 0 .. n-1 in order; rgb is [height, width, 3] and valid during the call. An error stops the decoding. */
typedef struct exaone_video_sink {
    exaone_status (*begin)(void *ctx, const exaone_video_info *info, exaone_error *err);
    exaone_status (*frame)(void *ctx, size_t k, const uint8_t *rgb, exaone_error *err);
    void *ctx;
} exaone_video_sink;

/* Decodes source->path or source->bytes. `options` has its limits resolved. sink NULL: only count. */
exaone_status exaone_video_run_ffmpeg(const exaone_video_source *source, const exaone_video_options *options,
                                      const exaone_video_sink *sink, exaone_video_info *info, exaone_error *err);

/* Samples (info->total_frames and fps are set), checks the number of frames kept against the limit, fills n, indices,
 * timestamps. */
exaone_status exaone_video_choose(exaone_video_info *info, const exaone_video_options *options, exaone_error *err);

#ifdef EXAONE_HAVE_FFMPEG
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

/* An open container with its video stream. Zeroed = closed. */
typedef struct exaone_video_input {
    const exaone_video_source *source;
    const exaone_video_options *options;
    long long deadline_ms; /* of the monotonic clock; 0 = none */
    int fd;                /* -1 when the bytes are in memory */
    int64_t size, pos;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *stream; /* the video stream; all others are discarded */
} exaone_video_input;

/* input->source, options and deadline_ms are set by the caller. Close also after a failure. */
exaone_status exaone_video_input_open(exaone_video_input *input, exaone_error *err);
void exaone_video_input_close(exaone_video_input *input);
/* Cancelled or over time? */
exaone_status exaone_video_input_check(const exaone_video_input *input, exaone_error *err);
/* The next packet of the video stream. *end = true (and nothing in `packet`) behind the last one, also when the file breaks
 * off. */
exaone_status exaone_video_input_read(exaone_video_input *input, AVPacket *packet, bool *end, exaone_error *err);
/* Quarter turns clockwise (0..3) that set the picture upright. */
int exaone_video_input_rotation(const exaone_video_input *input);

/* Frames to packed RGB, upright, of one size. Zeroed = empty. */
typedef struct exaone_video_convert {
    struct SwsContext *color, *scale;
    int width, height, format, colorspace, range; /* what `color` was made for */
    int out_width, out_height;                    /* before the rotation; of the first frame */
    int quarter_turns;
    uint8_t *decoded, *scaled, *upright; /* rows of decoded and scaled are padded to whole vectors */
    size_t decoded_size;
} exaone_video_convert;

/* *rgb points into the converter: [height, width, 3] upright. The first frame fixes the size. */
exaone_status exaone_video_convert_frame(exaone_video_convert *c, const AVFrame *frame, const uint8_t **rgb,
                                         exaone_error *err);
void exaone_video_convert_release(exaone_video_convert *c);
#endif

#endif
