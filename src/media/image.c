/* Images: recognises the format, calls its decoder, then does what is common to all: the transparent colour, the
 * orientation. */
#include "exaone/media.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "media/image.h"

void exaone_image_release(exaone_image *image) {
    if (image) {
        free(image->rgb);
        memset(image, 0, sizeof *image);
    }
}

exaone_image_format exaone_image_sniff(const uint8_t *bytes, size_t n) {
    if (n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0) {
        return EXAONE_IMAGE_JPEG;
    }
    if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0) {
        return EXAONE_IMAGE_PNG;
    }
    if (n >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        return EXAONE_IMAGE_WEBP;
    }
    if (n >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0)) {
        return EXAONE_IMAGE_GIF;
    }
    return n >= 2 && memcmp(bytes, "BM", 2) == 0 ? EXAONE_IMAGE_BMP : EXAONE_IMAGE_UNKNOWN;
}

const char *exaone_image_format_name(exaone_image_format format) {
    switch (format) {
    case EXAONE_IMAGE_JPEG:
        return "JPEG";
    case EXAONE_IMAGE_PNG:
        return "PNG";
    case EXAONE_IMAGE_WEBP:
        return "WebP";
    case EXAONE_IMAGE_GIF:
        return "GIF";
    case EXAONE_IMAGE_BMP:
        return "BMP";
    case EXAONE_IMAGE_UNKNOWN:
        break;
    }
    return "unknown";
}

exaone_status exaone_image_check_size(const exaone_image_job *job, const char *format, uint64_t width, uint64_t height,
                                      exaone_error *err) {
    const exaone_media_limits *l = &job->limits;
    if (width == 0 || height == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s image of %llux%llu pixels (width x height) is empty", format,
                           (unsigned long long)width, (unsigned long long)height);
    }
    if (width > l->max_side || height > l->max_side) {
        return exaone_fail(err, EXAONE_ERR_LIMIT,
                           "%s image of %llux%llu pixels (width x height) has a side above the limit of %u", format,
                           (unsigned long long)width, (unsigned long long)height, l->max_side);
    }
    if (width * height > l->max_pixels) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "%s image of %llux%llu = %llu pixels is above the limit of %llu", format,
                           (unsigned long long)width, (unsigned long long)height, (unsigned long long)(width * height),
                           (unsigned long long)l->max_pixels);
    }
    return EXAONE_OK;
}

exaone_status exaone_image_allocate(exaone_image_job *job, const char *format, uint64_t width, uint64_t height,
                                    exaone_error *err) {
    exaone_status status = exaone_image_check_size(job, format, width, height, err);
    if (status != EXAONE_OK) {
        return status;
    }
    job->image.rgb = exaone_mem_aligned((size_t)(width * height), 3);
    if (!job->image.rgb) {
        return exaone_fail_memory(err, "the decoded image", 3ull * width * height);
    }
    job->image.width = (uint32_t)width;
    job->image.height = (uint32_t)height;
    return EXAONE_OK;
}

static void paint_key_white(exaone_image *image, const uint8_t key[3]) {
    uint8_t *p = image->rgb, *end = p + (size_t)image->width * image->height * 3;
    for (; p < end; p += 3) {
        if (memcmp(p, key, 3) == 0) {
            memset(p, 255, 3);
        }
    }
}

/* EXIF orientation o: 2 mirrored left to right, 3 rotated by 180, 4 mirrored top to bottom, 5 transposed, 6 to be turned
 * right, 7 transposed along the other diagonal, 8 to be turned left. */
static exaone_status turn_upright(exaone_image *image, int o, exaone_error *err) {
    if (o < 2 || o > 8) {
        return EXAONE_OK;
    }
    size_t w = image->width, h = image->height;
    bool swap = o >= 5;
    size_t W = swap ? h : w, H = swap ? w : h;
    uint8_t *out = exaone_mem_array(W * H, 3);
    if (!out) {
        return exaone_fail_memory(err, "the turned image", 3ull * W * H);
    }
    bool from_bottom = o == 3 || o == 4 || o == 6 || o == 7, from_right = o == 2 || o == 3 || o == 7 || o == 8;
    uint8_t *to = out;
    for (size_t y = 0; y < H; y++) {
        for (size_t x = 0; x < W; x++, to += 3) {
            size_t sy = swap ? x : y, sx = swap ? y : x;
            sy = from_bottom ? h - 1 - sy : sy;
            sx = from_right ? w - 1 - sx : sx;
            memcpy(to, image->rgb + (sy * w + sx) * 3, 3);
        }
    }
    free(image->rgb);
    *image = (exaone_image){.width = (uint32_t)W, .height = (uint32_t)H, .rgb = out};
    return EXAONE_OK;
}

static exaone_status decode_format(exaone_image_job *job, exaone_error *err) {
    switch (exaone_image_sniff(job->bytes, job->n)) {
    case EXAONE_IMAGE_JPEG:
        return exaone_image_decode_jpeg(job, err);
    case EXAONE_IMAGE_PNG:
        return exaone_image_decode_png(job, err);
    case EXAONE_IMAGE_WEBP:
        return exaone_image_decode_webp(job, err);
    case EXAONE_IMAGE_GIF:
        return exaone_image_decode_gif(job, err);
    case EXAONE_IMAGE_BMP:
        return exaone_image_decode_bmp(job, err);
    case EXAONE_IMAGE_UNKNOWN:
        break;
    }
    return exaone_fail(err, EXAONE_ERR_FORMAT, "the %zu bytes are not a JPEG, PNG, WebP, GIF or BMP image", job->n);
}

exaone_status exaone_image_decode(const uint8_t *bytes, size_t n, const exaone_image_options *options, exaone_image *out,
                                  exaone_error *err) {
    memset(out, 0, sizeof *out);
    exaone_image_job job = {
        .bytes = bytes, .n = n, .limits = exaone_media_limits_resolve(options ? &options->limits : NULL)};
    job.strict_reference = options && options->strict_reference;
    if (n > job.limits.max_encoded_bytes) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "an image file of %zu bytes is above the limit of %llu", n,
                           (unsigned long long)job.limits.max_encoded_bytes);
    }
    exaone_status status = decode_format(&job, err);
    if (status == EXAONE_OK && job.has_key) {
        paint_key_white(&job.image, job.key);
    }
    if (status == EXAONE_OK) {
        status = turn_upright(&job.image, job.orientation, err);
    }
    if (status != EXAONE_OK) {
        exaone_image_release(&job.image);
        return status;
    }
    *out = job.image;
    return EXAONE_OK;
}

exaone_status exaone_image_decode_file(const char *path, const exaone_image_options *options, exaone_image *out,
                                       exaone_error *err) {
    memset(out, 0, sizeof *out);
    exaone_media_limits limits = exaone_media_limits_resolve(options ? &options->limits : NULL);
    char *bytes = NULL;
    size_t n = 0;
    size_t max = limits.max_encoded_bytes < SIZE_MAX / 2 ? (size_t)limits.max_encoded_bytes : SIZE_MAX / 2;
    exaone_status status = exaone_file_read(path, max, &bytes, &n, err);
    if (status != EXAONE_OK) {
        return status;
    }
    status = exaone_image_decode((const uint8_t *)bytes, n, options, out, err);
    free(bytes);
    return status == EXAONE_OK ? status : exaone_fail_context(err, status, "%s", path);
}
