/* A decoded frame to packed RGB: libswscale with its default flags for the colours, in the frame's own size (as torchcodec
 * does), then a second pass only for a frame whose size differs from the first one's, then quarter turns. */
#include "media/video_internal.h"

#ifdef EXAONE_HAVE_FFMPEG
#include <stdlib.h>
#include <string.h>

#include <libswscale/swscale.h>

#include "base/error.h"
#include "base/mem.h"

enum { ALIGN = 64 };

/* Bytes of a row of `width` RGB pixels: swscale writes whole vectors, so rows end in room to spare. */
static size_t row_bytes(int width) {
    return ((size_t)width * 3 + 2 * ALIGN - 1) / ALIGN * ALIGN + ALIGN;
}

static bool resize_buffer(uint8_t **buffer, int width, int height) {
    free(*buffer);
    *buffer = exaone_mem_aligned((size_t)height + 1, row_bytes(width));
    return *buffer != NULL;
}

static exaone_status make_color(exaone_video_convert *c, const AVFrame *f, exaone_error *err) {
    if (c->color && c->width == f->width && c->height == f->height && c->format == f->format &&
        c->colorspace == (int)f->colorspace && c->range == (int)f->color_range) {
        return EXAONE_OK;
    }
    sws_freeContext(c->color);
    c->color = sws_getContext(f->width, f->height, (enum AVPixelFormat)f->format, f->width, f->height, AV_PIX_FMT_RGB24, 0,
                              NULL, NULL, NULL);
    if (!c->color) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                           "the pixel format %d of the video (%d x %d) cannot be converted to RGB", f->format, f->width,
                           f->height);
    }
    int *in_table = NULL, *out_table = NULL, in_range = 0, out_range = 0, brightness = 0, contrast = 0, saturation = 0;
    if (sws_getColorspaceDetails(c->color, &in_table, &in_range, &out_table, &out_range, &brightness, &contrast,
                                 &saturation) >= 0) {
        const int *table = sws_getCoefficients((int)f->colorspace);
        if (f->color_range == AVCOL_RANGE_JPEG) {
            in_range = 1;
        }
        sws_setColorspaceDetails(c->color, table, in_range, table, out_range, brightness, contrast, saturation);
    }
    if (!resize_buffer(&c->decoded, f->width, f->height)) {
        return exaone_fail_memory(err, "a frame of the video", (unsigned long long)f->height * row_bytes(f->width));
    }
    c->width = f->width;
    c->height = f->height;
    c->format = f->format;
    c->colorspace = (int)f->colorspace;
    c->range = (int)f->color_range;
    return EXAONE_OK;
}

/* c->decoded to c->scaled, for a video that changes its size. */
static exaone_status scale(exaone_video_convert *c, exaone_error *err) {
    c->scale = sws_getCachedContext(c->scale, c->width, c->height, AV_PIX_FMT_RGB24, c->out_width, c->out_height,
                                    AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL, NULL);
    if (!c->scale) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                           "the video changes its size from %d x %d to %d x %d, which cannot be scaled", c->out_width,
                           c->out_height, c->width, c->height);
    }
    if (!c->scaled && !resize_buffer(&c->scaled, c->out_width, c->out_height)) {
        return exaone_fail_memory(err, "a frame of the video", (unsigned long long)c->out_height * row_bytes(c->out_width));
    }
    const uint8_t *from[4] = {c->decoded};
    uint8_t *to[4] = {c->scaled};
    int from_row[4] = {(int)row_bytes(c->width)}, to_row[4] = {(int)row_bytes(c->out_width)};
    sws_scale(c->scale, from, from_row, 0, c->height, to, to_row);
    return EXAONE_OK;
}

static void turn(const uint8_t *src, size_t src_row, int w, int h, int quarter_turns, uint8_t *dst) {
    for (int y = 0; y < h; y++) {
        const uint8_t *row = src + (size_t)y * src_row;
        if (quarter_turns == 0) {
            memcpy(dst + (size_t)y * (size_t)w * 3, row, (size_t)w * 3);
            continue;
        }
        for (int x = 0; x < w; x++) {
            size_t to = quarter_turns == 1   ? (size_t)x * (size_t)h + (size_t)(h - 1 - y)
                        : quarter_turns == 2 ? (size_t)(h - 1 - y) * (size_t)w + (size_t)(w - 1 - x)
                                             : (size_t)(w - 1 - x) * (size_t)h + (size_t)y;
            memcpy(dst + to * 3, row + (size_t)x * 3, 3);
        }
    }
}

exaone_status exaone_video_convert_frame(exaone_video_convert *c, const AVFrame *frame, const uint8_t **rgb,
                                         exaone_error *err) {
    exaone_status status = make_color(c, frame, err);
    if (status) {
        return status;
    }
    if (!c->upright) {
        c->out_width = frame->width;
        c->out_height = frame->height;
        c->upright = exaone_mem_array((size_t)frame->height * (size_t)frame->width, 3);
        if (!c->upright) {
            return exaone_fail_memory(err, "a frame of the video", 3ull * (unsigned)frame->height * (unsigned)frame->width);
        }
    }
    uint8_t *to[4] = {c->decoded};
    int to_row[4] = {(int)row_bytes(c->width)};
    sws_scale(c->color, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, to, to_row);
    const uint8_t *picture = c->decoded;
    if (c->width != c->out_width || c->height != c->out_height) {
        status = scale(c, err);
        picture = c->scaled;
    }
    if (!status) {
        turn(picture, row_bytes(c->out_width), c->out_width, c->out_height, c->quarter_turns, c->upright);
        *rgb = c->upright;
    }
    return status;
}

void exaone_video_convert_release(exaone_video_convert *c) {
    sws_freeContext(c->color);
    sws_freeContext(c->scale);
    free(c->decoded);
    free(c->scaled);
    free(c->upright);
    *c = (exaone_video_convert){0};
}
#endif
