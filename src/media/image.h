/* Between the image dispatcher (image.c) and the decoders of single formats. */
#ifndef EXAONE_MEDIA_IMAGE_H
#define EXAONE_MEDIA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/media.h"

/* One decoding: input above, results below the line. A decoder fills `image` (through exaone_image_allocate) and, where the
 * file says so, `orientation` and `key`. On failure it may leave a half-filled image: the dispatcher releases it. */
typedef struct exaone_image_job {
    const uint8_t *bytes;
    size_t n;
    exaone_media_limits limits; /* resolved */
    bool strict_reference;
    /* ---- */
    exaone_image image; /* as stored, before the orientation */
    int orientation;    /* EXIF 1 … 8; anything else: as stored */
    bool has_key;       /* pixels of colour `key` become white */
    uint8_t key[3];
} exaone_image_job;

EXAONE_MUST_USE exaone_status exaone_image_decode_jpeg(exaone_image_job *job, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_image_decode_png(exaone_image_job *job, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_image_decode_webp(exaone_image_job *job, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_image_decode_gif(exaone_image_job *job, exaone_error *err);
EXAONE_MUST_USE exaone_status exaone_image_decode_bmp(exaone_image_job *job, exaone_error *err);

/* Checks the size that the header of a file names against the limits. `format` stands in the message. */
EXAONE_MUST_USE exaone_status exaone_image_check_size(const exaone_image_job *job, const char *format, uint64_t width,
                                                      uint64_t height, exaone_error *err);
/* Checks the size, then takes memory for job->image (zeroed: black). */
EXAONE_MUST_USE exaone_status exaone_image_allocate(exaone_image_job *job, const char *format, uint64_t width,
                                                    uint64_t height, exaone_error *err);

/* Orientation in an EXIF block (with or without its "Exif\0\0" heads): 0 when it has none or is broken. */
int exaone_exif_orientation(const uint8_t *exif, size_t n);
/* Orientation in an XMP packet: the digit behind tiff:Orientation=" or tiff:Orientation>; 0 when it has none. */
int exaone_xmp_orientation(const uint8_t *xmp, size_t n);

#endif
