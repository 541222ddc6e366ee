/* WebP through libwebp. Of an animation the first frame on its canvas; alpha is dropped, the colours under it stay. */
#include "media/image.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/error.h"
#include "base/mem.h"

static exaone_status fail_code(VP8StatusCode code, const exaone_image_job *job, exaone_error *err) {
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return exaone_fail(err, EXAONE_ERR_MEMORY, "out of memory: the WebP decoder for %zu bytes", job->n);
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the WebP image is cut off: it does not end within its %zu bytes",
                           job->n);
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "the WebP image uses a feature that libwebp does not decode");
    default:
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the WebP image of %zu bytes is broken (libwebp code %d)", job->n,
                           (int)code);
    }
}

static int chunk_orientation(const WebPDemuxer *demuxer, const char *name, int (*find)(const uint8_t *bytes, size_t n)) {
    WebPChunkIterator chunk;
    int orientation = 0;
    if (WebPDemuxGetChunk(demuxer, name, 1, &chunk)) {
        orientation = find(chunk.chunk.bytes, chunk.chunk.size);
    }
    WebPDemuxReleaseChunkIterator(&chunk);
    return orientation;
}

static exaone_status read_orientation(exaone_image_job *job, const WebPData *data, exaone_error *err) {
    WebPDemuxer *demuxer = WebPDemux(data);
    if (!demuxer) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the WebP image of %zu bytes has a broken or cut container", job->n);
    }
    job->orientation = chunk_orientation(demuxer, "EXIF", exaone_exif_orientation);
    if (job->orientation == 0) {
        job->orientation = chunk_orientation(demuxer, "XMP ", exaone_xmp_orientation);
    }
    WebPDemuxDelete(demuxer);
    return EXAONE_OK;
}

static exaone_status decode_first_frame(exaone_image_job *job, const WebPData *data, exaone_error *err) {
    WebPAnimDecoderOptions options;
    WebPAnimDecoderOptionsInit(&options);
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(data, &options);
    if (!decoder) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the animated WebP image of %zu bytes is broken or cut", job->n);
    }
    WebPAnimInfo info;
    uint8_t *rgba = NULL;
    int timestamp = 0;
    exaone_status status = EXAONE_OK;
    if (!WebPAnimDecoderGetInfo(decoder, &info) || info.canvas_width != job->image.width ||
        info.canvas_height != job->image.height || !WebPAnimDecoderGetNext(decoder, &rgba, &timestamp)) {
        status =
            exaone_fail(err, EXAONE_ERR_FORMAT, "the first frame of the animated WebP image of %zu bytes is broken", job->n);
    } else {
        uint8_t *out = job->image.rgb;
        for (size_t i = 0; i < (size_t)job->image.width * job->image.height; i++) {
            memcpy(out + 3 * i, rgba + 4 * i, 3);
        }
    }
    WebPAnimDecoderDelete(decoder);
    return status;
}

static exaone_status decode_still(exaone_image_job *job, exaone_error *err) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "the WebP library does not match the headers it was built with");
    }
    size_t stride = (size_t)job->image.width * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = job->image.rgb;
    config.output.u.RGBA.stride = (int)stride; /* WebP sides end at 16384 */
    config.output.u.RGBA.size = stride * job->image.height;
    VP8StatusCode code = WebPDecode(job->bytes, job->n, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? EXAONE_OK : fail_code(code, job, err);
}

exaone_status exaone_image_decode_webp(exaone_image_job *job, exaone_error *err) {
    WebPBitstreamFeatures features;
    VP8StatusCode code = WebPGetFeatures(job->bytes, job->n, &features);
    if (code != VP8_STATUS_OK) {
        return fail_code(code, job, err);
    }
    if (features.width < 0 || features.height < 0) {
        return fail_code(VP8_STATUS_BITSTREAM_ERROR, job, err);
    }
    exaone_status status = exaone_image_allocate(job, "WebP", (uint64_t)features.width, (uint64_t)features.height, err);
    if (status != EXAONE_OK) {
        return status;
    }
    /* libwebp 1.2.4 reads through NULL when memory ends inside its lossless decoder: see first that what it takes is there
     * (two canvases, the frame, its tables). */
    size_t pixels = (size_t)job->image.width * job->image.height;
    void *room = exaone_mem_array(pixels + (1 << 18), 16);
    if (!room) {
        return exaone_fail_memory(err, "the WebP decoder", 16ull * (pixels + (1 << 18)));
    }
    free(room);
    WebPData data = {.bytes = job->bytes, .size = job->n};
    status = read_orientation(job, &data, err);
    if (status != EXAONE_OK) {
        return status;
    }
    return features.has_animation ? decode_first_frame(job, &data, err) : decode_still(job, err);
}
