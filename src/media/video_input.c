/* Opening a container through our own reading functions.
 *
 * FFmpeg never opens anything itself: it reads through two callbacks (memory, or a file descriptor of a regular file), has
 * no protocol, and its hook for further files (playlists, referenced media) refuses. The callbacks also end the work at the
 * deadline. */
#include "media/video_internal.h"

#ifdef EXAONE_HAVE_FFMPEG
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <libavutil/display.h>
#include <libavutil/log.h>

#include "base/error.h"

enum { IO_BUFFER = 64 * 1024, MAX_STREAMS = 100 };

static pthread_once_t log_once = PTHREAD_ONCE_INIT;

static void quiet_log(void) {
    if (av_log_get_level() == AV_LOG_INFO) {
        av_log_set_level(AV_LOG_QUIET);
    }
}

static bool over(const exaone_video_input *in) {
    if (in->options->cancel && *in->options->cancel) {
        return true;
    }
    if (in->deadline_ms == 0) {
        return false;
    }
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000 > in->deadline_ms;
}

exaone_status exaone_video_input_check(const exaone_video_input *in, exaone_error *err) {
    if (!over(in)) {
        return EXAONE_OK;
    }
    if (in->options->cancel && *in->options->cancel) {
        return exaone_fail(err, EXAONE_ERR_CANCELLED, "reading the video was cancelled");
    }
    return exaone_fail(err, EXAONE_ERR_LIMIT, "reading the video takes longer than the limit of %d ms",
                       in->options->time_limit_ms);
}

static int on_interrupt(void *arg) {
    return over(arg);
}

static int on_read(void *arg, uint8_t *buf, int n) {
    exaone_video_input *in = arg;
    if (over(in)) {
        return AVERROR_EXIT;
    }
    int64_t left = in->size - in->pos; /* negative behind a seek over the end */
    if (n <= 0 || left <= 0) {
        return AVERROR_EOF;
    }
    if (n > left) {
        n = (int)left;
    }
    if (in->fd < 0) {
        memcpy(buf, in->source->bytes + in->pos, (size_t)n);
    } else {
        ssize_t got = pread(in->fd, buf, (size_t)n, in->pos);
        if (got <= 0) {
            return got == 0 ? AVERROR_EOF : AVERROR(errno);
        }
        n = (int)got;
    }
    in->pos += n;
    return n;
}

static int64_t on_seek(void *arg, int64_t offset, int whence) {
    exaone_video_input *in = arg;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) {
        return in->size;
    }
    int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? in->pos : in->size;
    int64_t to;
    if (whence > SEEK_END || __builtin_add_overflow(base, offset, &to) || to < 0) {
        return AVERROR(EINVAL);
    }
    in->pos = to;
    return to;
}

static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags, AVDictionary **options) {
    (void)format, (void)url, (void)flags, (void)options;
    *io = NULL;
    return AVERROR(EPERM);
}

static exaone_status open_bytes(exaone_video_input *in, exaone_error *err) {
    const exaone_video_source *s = in->source;
    uint64_t max = in->options->limits.max_video_bytes;
    in->fd = -1;
    in->pos = 0;
    uint64_t size = s->n_bytes;
    if (s->path) {
        struct stat st;
        in->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (in->fd < 0 || fstat(in->fd, &st) != 0) {
            return exaone_fail(err, EXAONE_ERR_IO, "%s: %s", s->path, strerror(errno));
        }
        if (!S_ISREG(st.st_mode)) {
            return exaone_fail(err, EXAONE_ERR_IO, "%s is not a regular file", s->path);
        }
        size = (uint64_t)st.st_size;
    }
    if (size > max || size > INT64_MAX) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the video file has %llu bytes, more than the limit of %llu",
                           (unsigned long long)size, (unsigned long long)max);
    }
    if (size == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the video file is empty");
    }
    in->size = (int64_t)size;
    return EXAONE_OK;
}

/* Also for ENOMEM: demuxers answer with it for files that are none of theirs (lists of addresses, broken ones). */
static exaone_status fail_av(int code, const char *what, exaone_error *err) {
    char text[AV_ERROR_MAX_STRING_SIZE] = "it holds no video that can be read";
    if (code != AVERROR(ENOMEM)) {
        av_strerror(code, text, sizeof(text));
    }
    return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: %s", what, text);
}

static exaone_status open_container(exaone_video_input *in, exaone_error *err) {
    uint8_t *buffer = av_malloc(IO_BUFFER);
    in->io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, in, on_read, NULL, on_seek) : NULL;
    in->format = in->io ? avformat_alloc_context() : NULL;
    if (!in->format) {
        if (!in->io) {
            av_free(buffer);
        }
        return exaone_fail_memory(err, "opening a video", IO_BUFFER);
    }
    in->format->pb = in->io;
    in->format->io_open = refuse_open;
    in->format->interrupt_callback = (AVIOInterruptCB){.callback = on_interrupt, .opaque = in};
    in->format->max_streams = MAX_STREAMS;
    AVDictionary *dict = NULL;
    av_dict_set(&dict, "protocol_whitelist", "none", 0);
    int code = avformat_open_input(&in->format, NULL, NULL, &dict); /* frees and clears in->format on failure */
    av_dict_free(&dict);
    exaone_status late = exaone_video_input_check(in, err);
    if (late) {
        return late;
    }
    return code < 0 ? fail_av(code, "the file is not a video that FFmpeg reads", err) : EXAONE_OK;
}

/* Reads enough packets to know the streams; the decoders that this uses get the pixel limit too. */
static exaone_status find_streams(exaone_video_input *in, exaone_error *err) {
    unsigned n = in->format->nb_streams;
    AVDictionary **dicts = av_calloc(n ? n : 1, sizeof(*dicts));
    if (!dicts) {
        return exaone_fail_memory(err, "opening a video", n * sizeof(*dicts));
    }
    for (unsigned i = 0; i < n; i++) {
        av_dict_set_int(&dicts[i], "max_pixels", (int64_t)in->options->limits.max_pixels, 0);
    }
    int code = avformat_find_stream_info(in->format, n ? dicts : NULL);
    for (unsigned i = 0; i < n; i++) {
        av_dict_free(&dicts[i]);
    }
    av_free(dicts);
    exaone_status late = exaone_video_input_check(in, err);
    if (late) {
        return late;
    }
    return code < 0 ? fail_av(code, "the streams of the video cannot be read", err) : EXAONE_OK;
}

static exaone_status choose_stream(exaone_video_input *in, exaone_error *err) {
    int best = av_find_best_stream(in->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (best < 0 || in->format->streams[best]->disposition & AV_DISPOSITION_ATTACHED_PIC) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the file has no video among its %u streams", in->format->nb_streams);
    }
    for (unsigned i = 0; i < in->format->nb_streams; i++) {
        in->format->streams[i]->discard = (int)i == best ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    in->stream = in->format->streams[best];
    const AVCodecParameters *p = in->stream->codecpar;
    const exaone_media_limits *limits = &in->options->limits;
    uint64_t w = p->width > 0 ? (uint64_t)p->width : 0, h = p->height > 0 ? (uint64_t)p->height : 0;
    if (w > limits->max_side || h > limits->max_side || w * h > limits->max_pixels) {
        return exaone_fail(err, EXAONE_ERR_LIMIT,
                           "the frames of the video are %llu x %llu = %llu pixels; the limits are %llu pixels and %u a side",
                           (unsigned long long)w, (unsigned long long)h, (unsigned long long)(w * h),
                           (unsigned long long)limits->max_pixels, limits->max_side);
    }
    return EXAONE_OK;
}

exaone_status exaone_video_input_open(exaone_video_input *in, exaone_error *err) {
    pthread_once(&log_once, quiet_log);
    exaone_status status = open_bytes(in, err);
    if (!status) {
        status = open_container(in, err);
    }
    if (!status) {
        status = find_streams(in, err);
    }
    return status ? status : choose_stream(in, err);
}

void exaone_video_input_close(exaone_video_input *in) {
    avformat_close_input(&in->format);
    if (in->io) {
        av_freep(&in->io->buffer);
        avio_context_free(&in->io);
    }
    if (in->fd >= 0) {
        close(in->fd);
    }
    in->fd = -1;
    in->stream = NULL;
}

exaone_status exaone_video_input_read(exaone_video_input *in, AVPacket *packet, bool *end, exaone_error *err) {
    *end = false;
    for (;;) {
        exaone_status status = exaone_video_input_check(in, err);
        if (status) {
            return status;
        }
        int code = av_read_frame(in->format, packet);
        if (code < 0) {
            *end = true;
            status = exaone_video_input_check(in, err);
            return !status && code == AVERROR(ENOMEM) ? exaone_fail_memory(err, "a packet of the video", 0) : status;
        }
        if (packet->stream_index == in->stream->index) {
            return EXAONE_OK;
        }
        av_packet_unref(packet);
    }
}

int exaone_video_input_rotation(const exaone_video_input *in) {
    const uint8_t *matrix = NULL;
#if LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100)
    const AVPacketSideData *side = av_packet_side_data_get(
        in->stream->codecpar->coded_side_data, in->stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    matrix = side && side->size >= 9 * sizeof(int32_t) ? side->data : NULL;
#else
    size_t size = 0;
    matrix = av_stream_get_side_data(in->stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    matrix = size >= 9 * sizeof(int32_t) ? matrix : NULL;
#endif
    double angle = matrix ? av_display_rotation_get((const int32_t *)(const void *)matrix) : 0; /* counterclockwise */
    if (!isfinite(angle)) {
        return 0;
    }
    return ((int)lround(-angle / 90) % 4 + 4) % 4;
}
#endif
