/* Counting and decoding with FFmpeg.
 *
 * First the packets are counted, as torchcodec's scan does it: every packet that is not marked "discard" (hidden by an edit
 * list) is a frame, the duration runs from the smallest presentation time to the end of the latest packet, fps = frames /
 * duration. Then the file is opened anew and decoded from the start. When every packet has a presentation time of its own, a
 * decoded frame is recognised by it, and groups of pictures that hold no chosen frame are not decoded at all; otherwise
 * frames are counted in the order they come. Some files promise more frames than they give (damaged ones, fields as
 * packets): then the decoded number counts, and the frames are chosen and decoded once more. */
#include "media/video_internal.h"

#ifdef EXAONE_HAVE_FFMPEG
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"

enum { MAX_BROKEN = 1000 }; /* errors of the decoder for one packet */

typedef struct {
    int64_t pts;
    bool key, discard;
    bool needed; /* key packets: a chosen frame is in the group that begins here */
    bool skip;   /* no chosen frame needs this packet */
} packet_info;

typedef struct {
    const exaone_video_sink *sink;
    exaone_video_input input;
    exaone_video_info *info;
    packet_info *packets; /* [n_packets] in file order */
    size_t n_packets, room;
    int64_t *times; /* [n_times] presentation times of the frames, ascending */
    size_t n_times;
    bool by_time; /* frames are recognised by their time */

    /* one decoding pass */
    exaone_video_convert convert;
    uint64_t n_decoded;
    size_t next;  /* index into info->indices of the frame that is waited for */
    bool started; /* sink->begin was called in this pass */
} decoding;

static int compare_times(const void *a, const void *b) {
    int64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static exaone_status add_packet(decoding *d, const AVPacket *p, exaone_error *err) {
    uint64_t max = d->input.options->limits.max_video_frames;
    if (d->n_packets >= max) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the video has more frames than the limit of %llu",
                           (unsigned long long)max);
    }
    if (d->n_packets == d->room) {
        size_t room = d->room ? d->room * 2 : 1024;
        packet_info *grown = exaone_mem_resize(d->packets, room, sizeof(*grown));
        if (!grown) {
            return exaone_fail_memory(err, "the list of packets", (unsigned long long)room * sizeof(*grown));
        }
        d->packets = grown;
        d->room = room;
    }
    d->packets[d->n_packets++] = (packet_info){
        .pts = p->pts != AV_NOPTS_VALUE ? p->pts : p->dts,
        .key = p->flags & AV_PKT_FLAG_KEY,
        .discard = p->flags & AV_PKT_FLAG_DISCARD,
    };
    if (p->pts == AV_NOPTS_VALUE) {
        d->by_time = false;
    }
    return EXAONE_OK;
}

/* Fills times, total_frames, duration, fps. `end`: the largest presentation time plus its packet's duration. */
static exaone_status summarise(decoding *d, int64_t end, exaone_error *err) {
    d->times = exaone_mem_array(d->n_packets, sizeof(*d->times));
    if (!d->times) {
        return exaone_fail_memory(err, "the list of frames", (unsigned long long)d->n_packets * sizeof(*d->times));
    }
    for (size_t i = 0; i < d->n_packets; i++) {
        if (!d->packets[i].discard) {
            d->times[d->n_times++] = d->packets[i].pts;
        }
    }
    if (d->n_times == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the video has no frames");
    }
    qsort(d->times, d->n_times, sizeof(*d->times), compare_times);
    for (size_t i = 1; i < d->n_times; i++) {
        if (d->times[i] == d->times[i - 1]) {
            d->by_time = false;
        }
    }
    exaone_video_info *info = d->info;
    info->total_frames = d->n_times;
    double begin = (double)d->times[0];
    AVRational base = d->input.stream->time_base;
    if (d->times[0] != AV_NOPTS_VALUE && (double)end > begin && base.num > 0 && base.den > 0) {
        info->duration = (double)end * av_q2d(base) - begin * av_q2d(base);
    }
    if (info->duration > 0) {
        info->fps = (double)info->total_frames / info->duration;
    } else {
        AVRational rate = d->input.stream->avg_frame_rate;
        info->fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
        info->duration = info->fps > 0 ? (double)info->total_frames / info->fps : 0;
    }
    return EXAONE_OK;
}

static exaone_status scan(decoding *d, exaone_error *err) {
    AVPacket *packet = av_packet_alloc();
    if (!packet) {
        return exaone_fail_memory(err, "a packet of the video", sizeof(*packet));
    }
    d->by_time = true;
    int64_t end = INT64_MIN;
    bool at_end = false;
    exaone_status status = EXAONE_OK;
    while (!status) {
        status = exaone_video_input_read(&d->input, packet, &at_end, err);
        if (status || at_end) {
            break;
        }
        status = add_packet(d, packet, err);
        const packet_info *added = &d->packets[d->n_packets ? d->n_packets - 1 : 0];
        int64_t packet_end;
        if (!status && !added->discard && added->pts != AV_NOPTS_VALUE &&
            !__builtin_add_overflow(added->pts, packet->duration, &packet_end) && packet_end > end) {
            end = packet_end;
        }
        av_packet_unref(packet);
    }
    av_packet_free(&packet);
    return status ? status : summarise(d, end, err);
}

/* ---- which packets need decoding
 * ------------------------------------------------------------------------------------------ */

/* Marks the groups of pictures (from one key packet to the next, in file order) that hold no chosen frame. Only for files
 * where that is safe: times known, key packets in order of time, nothing hidden. */
static void plan_skips(decoding *d) {
    const exaone_video_info *info = d->info;
    int64_t last_key = INT64_MIN;
    if (!d->by_time || info->n == info->total_frames || d->n_packets == 0 || !d->packets[0].key) {
        return;
    }
    for (size_t i = 0; i < d->n_packets; i++) {
        if (d->packets[i].discard || (d->packets[i].key && d->packets[i].pts <= last_key)) {
            return;
        }
        if (d->packets[i].key) {
            last_key = d->packets[i].pts;
        }
    }
    /* A frame needs the group that its packet stands in, and the one before when it is shown before the key that it follows.
     */
    size_t group = 0, previous = 0;
    for (size_t i = 0; i < d->n_packets; i++) {
        const packet_info *p = &d->packets[i];
        if (p->key) {
            previous = group;
            group = i;
        }
        const int64_t *found = bsearch(&p->pts, d->times, d->n_times, sizeof(*d->times), compare_times);
        int64_t index = found ? found - d->times : -1;
        if (!bsearch(&index, info->indices, info->n, sizeof(*info->indices), compare_times)) {
            continue;
        }
        d->packets[group].needed = true;
        if (p->pts < d->packets[group].pts) {
            d->packets[previous].needed = true;
        }
    }
    bool needed = true;
    for (size_t i = 0; i < d->n_packets; i++) {
        needed = d->packets[i].key ? d->packets[i].needed : needed;
        d->packets[i].skip = !needed;
    }
}

/* ---- one pass
 * -------------------------------------------------------------------------------------------------------------- */

/* The index of a decoded frame among all frames, or -1 when it is none of them. */
static int64_t frame_index(decoding *d, const AVFrame *frame) {
    uint64_t ordinal = d->n_decoded++;
    if (!d->by_time) {
        return (int64_t)ordinal;
    }
    int64_t pts = frame->pts != AV_NOPTS_VALUE ? frame->pts : frame->best_effort_timestamp;
    const int64_t *found = bsearch(&pts, d->times, d->n_times, sizeof(*d->times), compare_times);
    return found ? found - d->times : -1;
}

static exaone_status take_frame(decoding *d, const AVFrame *frame, exaone_error *err) {
    exaone_video_info *info = d->info;
    int64_t index = frame_index(d, frame);
    if (d->next >= info->n || index != info->indices[d->next]) {
        return EXAONE_OK;
    }
    const uint8_t *rgb = NULL;
    exaone_status status = exaone_video_convert_frame(&d->convert, frame, &rgb, err);
    if (!status && !d->started) {
        bool turned = d->convert.quarter_turns % 2;
        info->width = (uint32_t)(turned ? d->convert.out_height : d->convert.out_width);
        info->height = (uint32_t)(turned ? d->convert.out_width : d->convert.out_height);
        d->started = true;
        status = d->sink->begin(d->sink->ctx, info, err);
    }
    if (!status) {
        status = d->sink->frame(d->sink->ctx, d->next++, rgb, err);
    }
    return status;
}

/* Sends a packet (NULL: drain) and takes the frames that come. What the decoder cannot read is passed over. */
static exaone_status decode_packet(decoding *d, AVCodecContext *codec, const AVPacket *packet, AVFrame *frame,
                                   exaone_error *err) {
    int code = avcodec_send_packet(codec, packet);
    if (code == AVERROR(ENOMEM)) {
        return exaone_fail_memory(err, "decoding the video", 0);
    }
    for (int n_broken = 0; n_broken < MAX_BROKEN;) {
        exaone_status status = exaone_video_input_check(&d->input, err);
        if (status) {
            return status;
        }
        code = avcodec_receive_frame(codec, frame);
        if (code == AVERROR(ENOMEM)) {
            return exaone_fail_memory(err, "decoding the video", 0);
        }
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) {
            return EXAONE_OK;
        }
        if (code < 0) {
            n_broken++; /* a broken picture: the decoder goes on behind it */
            continue;
        }
        status = take_frame(d, frame, err);
        av_frame_unref(frame);
        if (status) {
            return status;
        }
    }
    return EXAONE_OK;
}

static exaone_status open_decoder(decoding *d, AVCodecContext **out, exaone_error *err) {
    const AVCodecParameters *p = d->input.stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(p->codec_id);
    if (!codec) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "this FFmpeg has no decoder for the video codec \"%s\"",
                           avcodec_get_name(p->codec_id));
    }
    AVCodecContext *c = avcodec_alloc_context3(codec);
    if (!c || avcodec_parameters_to_context(c, p) < 0) {
        avcodec_free_context(&c);
        return exaone_fail_memory(err, "a video decoder", 0);
    }
    c->pkt_timebase = d->input.stream->time_base;
    c->thread_count = d->input.options->threads;
    c->max_pixels = (int64_t)d->input.options->limits.max_pixels;
    int code = avcodec_open2(c, codec, NULL);
    if (code < 0) {
        avcodec_free_context(&c);
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                           "the decoder of the video codec \"%s\" does not start (FFmpeg error %d)",
                           avcodec_get_name(p->codec_id), code);
    }
    *out = c;
    return EXAONE_OK;
}

/* Decodes from the start until the chosen frames are taken or the file ends. */
static exaone_status run_pass(decoding *d, AVCodecContext *codec, AVPacket *packet, AVFrame *frame, exaone_error *err) {
    bool at_end = false, skipping = false;
    for (size_t i = 0; d->next < d->info->n; i++) {
        exaone_status status = exaone_video_input_read(&d->input, packet, &at_end, err);
        if (status) {
            return status;
        }
        if (at_end) {
            return decode_packet(d, codec, NULL, frame, err);
        }
        bool skip = i < d->n_packets && d->packets[i].skip;
        if (skip && !skipping) {
            status = decode_packet(d, codec, NULL, frame, err);
            avcodec_flush_buffers(codec);
        }
        if (!skip && !status) {
            status = decode_packet(d, codec, packet, frame, err);
        }
        skipping = skip;
        av_packet_unref(packet);
        if (status) {
            return status;
        }
    }
    return EXAONE_OK;
}

static exaone_status decode_pass(decoding *d, exaone_error *err) {
    AVCodecContext *codec = NULL;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    d->n_decoded = 0;
    d->next = 0;
    d->started = false;
    exaone_video_convert_release(&d->convert);
    exaone_video_input_close(&d->input);
    exaone_status status = packet && frame ? EXAONE_OK : exaone_fail_memory(err, "decoding the video", 0);
    if (!status) {
        status = exaone_video_input_open(&d->input, err);
    }
    if (!status) {
        d->convert.quarter_turns = exaone_video_input_rotation(&d->input);
        status = open_decoder(d, &codec, err);
    }
    if (!status) {
        status = run_pass(d, codec, packet, frame, err);
    }
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&codec);
    return status;
}

static exaone_status decode(decoding *d, exaone_error *err) {
    exaone_video_info *info = d->info;
    exaone_status status = exaone_video_choose(info, d->input.options, err);
    if (status) {
        return status;
    }
    plan_skips(d);
    status = decode_pass(d, err);
    if (status || d->next == info->n) {
        return status;
    }
    if (d->by_time) { /* the times of packets and frames do not agree: count instead */
        d->by_time = false;
        for (size_t i = 0; i < d->n_packets; i++) {
            d->packets[i].skip = false;
        }
        status = decode_pass(d, err);
        if (status || d->next == info->n) {
            return status;
        }
    }
    if (d->n_decoded == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "none of the %llu frames of the video can be decoded",
                           (unsigned long long)info->total_frames);
    }
    info->total_frames = d->n_decoded;
    info->fps = info->duration > 0 ? (double)d->n_decoded / info->duration : info->fps;
    status = exaone_video_choose(info, d->input.options, err);
    if (!status) {
        status = decode_pass(d, err);
    }
    if (!status && d->next < info->n) {
        status = exaone_fail(err, EXAONE_ERR_IO, "the video gave %llu frames when it was read again, not %llu",
                             (unsigned long long)d->n_decoded, (unsigned long long)info->total_frames);
    }
    return status;
}

exaone_status exaone_video_run_ffmpeg(const exaone_video_source *source, const exaone_video_options *options,
                                      const exaone_video_sink *sink, exaone_video_info *info, exaone_error *err) {
    decoding d = {.sink = sink, .info = info, .input = {.source = source, .options = options, .fd = -1}};
    if (options->time_limit_ms > 0) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        d.input.deadline_ms = (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000 + options->time_limit_ms;
    }
    exaone_status status = exaone_video_input_open(&d.input, err);
    if (!status) {
        status = scan(&d, err);
    }
    if (!status && sink) {
        status = decode(&d, err);
    } else if (!status) {
        const AVCodecParameters *p = d.input.stream->codecpar;
        bool turned = exaone_video_input_rotation(&d.input) % 2;
        info->width = (uint32_t)(turned ? p->height : p->width);
        info->height = (uint32_t)(turned ? p->width : p->height);
    }
    exaone_video_convert_release(&d.convert);
    exaone_video_input_close(&d.input);
    free(d.packets);
    free(d.times);
    return status;
}
#else
#include "base/error.h"

exaone_status exaone_video_run_ffmpeg(const exaone_video_source *source, const exaone_video_options *options,
                                      const exaone_video_sink *sink, exaone_video_info *info, exaone_error *err) {
    (void)source, (void)options, (void)sink, (void)info;
    return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                       "this program was built without FFmpeg and cannot read video files; frames as pictures still work");
}
#endif
