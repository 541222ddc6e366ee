/* Images: from encoded bytes to the rows that the vision tower reads, as the reference's image processor does it.
 *
 *   bytes -> exaone_image_decode -> RGB -> exaone_smart_resize + exaone_resize_rgb -> exaone_patches -> pixel values
 *
 * exaone_preprocess_image does all behind the decoder in one call. Videos (exaone/video.h) use the same resize and patches.
 * Every function is safe to call from several threads; nothing is kept between calls. A `parallel` of NULL means: on the
 * calling thread; results never depend on it. */
#ifndef EXAONE_MEDIA_H
#define EXAONE_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/parallel.h"
#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits -------------------------------------------------------------------------------------------------------- */

/* Ceilings for media from outside, checked before memory is taken. A field that is 0 means its default. */
typedef struct exaone_media_limits {
    uint64_t max_encoded_bytes; /* of one file; default 64 MiB for images (1 GiB for videos: max_video_bytes) */
    uint64_t max_pixels;        /* width * height of one image or frame; default 100,000,000 */
    uint32_t max_side;          /* width and height each; default 65,535 */
    uint32_t max_frames;        /* frames kept of one video; default 768 */
    uint64_t max_video_bytes;   /* of one video file; default 1 GiB */
    uint64_t max_video_frames;  /* frames that a video may have before sampling; default 1,000,000 */
} exaone_media_limits;

/* `limits` with the zeros replaced; NULL: all defaults. */
EXAONE_API exaone_media_limits exaone_media_limits_resolve(const exaone_media_limits *limits);

/* ---- decoding ------------------------------------------------------------------------------------------------------ */

/* A picture, 8 bits per channel, upright. Zeroed = empty. */
typedef struct exaone_image {
    uint32_t width, height;
    uint8_t *rgb; /* [height, width, 3]; owned by the image */
} exaone_image;

EXAONE_API void exaone_image_release(exaone_image *image); /* frees and empties; NULL and empty are fine */

typedef enum exaone_image_format {
    EXAONE_IMAGE_UNKNOWN,
    EXAONE_IMAGE_JPEG,
    EXAONE_IMAGE_PNG,
    EXAONE_IMAGE_WEBP,
    EXAONE_IMAGE_GIF,
    EXAONE_IMAGE_BMP
} exaone_image_format;

/* The format by the first bytes; names and media types are never asked. */
EXAONE_API exaone_image_format exaone_image_sniff(const uint8_t *bytes, size_t n);
EXAONE_API const char *exaone_image_format_name(exaone_image_format format); /* "JPEG", …; "unknown" */

typedef struct exaone_image_options {
    exaone_media_limits limits;
    /* The reference clips 16-bit grey at 255 (a nearly white picture) where every other 16-bit type keeps the high byte.
     * Default false: the high byte for grey too. True: clip, as the reference. */
    bool strict_reference;
} exaone_image_options;

/* Decodes the (first) picture to RGB by the rules of the reference's load_image and processor:
 *   orientation   EXIF 1-8 in JPEG, PNG (eXIf) and WebP is applied, other values are ignored
 *   alpha         dropped, the colour under it stays; a palette's alpha too
 *   one transparent colour (tRNS of grey or RGB PNG, transparent index of GIF): pixels of that colour become white
 *   16 bit        high byte (but see strict_reference)
 *   CMYK          by Pillow's integer formula; no ICC profile and no gamma is applied anywhere
 * A file that ends too early is an error, as in the reference; bytes behind the picture are ignored.
 * `options` may be NULL. On failure *out is empty. Errors: EXAONE_ERR_FORMAT, _UNSUPPORTED, _LIMIT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_image_decode(const uint8_t *bytes, size_t n,
                                                             const exaone_image_options *options, exaone_image *out,
                                                             exaone_error *err);
/* The same from a regular file; also EXAONE_ERR_IO. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_image_decode_file(const char *path, const exaone_image_options *options,
                                                                  exaone_image *out, exaone_error *err);

/* ---- configuration ------------------------------------------------------------------------------------------------- */

/* The reference has two image processors that differ in the last bits: torchvision's (its default, and ours) and Pillow's.
 */
typedef enum exaone_resize_backend { EXAONE_RESIZE_TORCHVISION, EXAONE_RESIZE_PIL } exaone_resize_backend;

/* How pictures become pixel values. */
typedef struct exaone_pixel_config {
    int64_t min_pixels, max_pixels; /* of the resized picture; "shortest_edge" and "longest_edge" in the JSON files */
    uint32_t patch_size;            /* 14 */
    uint32_t temporal_patch_size;   /* 2 */
    uint32_t merge_size;            /* 2: a token covers merge_size x merge_size patches */
    double rescale_factor;          /* 1/255 */
    double mean[3], std[3];         /* image_mean, image_std */
    exaone_resize_backend backend;
} exaone_pixel_config;

typedef struct exaone_processor_config {
    exaone_pixel_config image;
    exaone_pixel_config video;
    /* frame sampling of videos */
    bool do_sample_frames;
    double fps;         /* 0: not set */
    int64_t num_frames; /* 0: not set */
    int64_t min_frames, max_frames;
} exaone_processor_config;

/* The defaults of the reference with the released pixel limits: images 3136 … 3,211,264, videos 100,352 … 602,112, CLIP's
 * mean and std, 4 … 768 frames, no sampling. */
EXAONE_API exaone_processor_config exaone_processor_config_default(void);

typedef enum exaone_processor_file {
    EXAONE_PROCESSOR_IMAGE, /* preprocessor_config.json */
    EXAONE_PROCESSOR_VIDEO, /* video_preprocessor_config.json */
    EXAONE_PROCESSOR_BOTH,  /* processor_config.json: its members image_processor and video_processor, which win */
    EXAONE_PROCESSOR_FILES
} exaone_processor_file;
/* The file's name; static. */
EXAONE_API const char *exaone_processor_file_name(exaone_processor_file kind);

/* Reads a JSON file's bytes over *config: what it does not name stays. Settings that would need something this engine does
 * not do (do_resize false, another resample, …) are refused by name. On failure *config is unchanged. Errors:
 * EXAONE_ERR_FORMAT, _UNSUPPORTED, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_processor_config_parse(const char *json, size_t n,
                                                                       exaone_processor_file kind,
                                                                       exaone_processor_config *config, exaone_error *err);
/* Defaults, then the files of a model folder as the reference ranks them: the members of processor_config.json if there are
 * any, else preprocessor_config.json and video_preprocessor_config.json. Files that are absent are no error. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_processor_config_load(const char *folder, exaone_processor_config *config,
                                                                      exaone_error *err);
/* Are all numbers usable (sizes 1 … 256, pixel limits 1 … 2^40, finite mean, std not 0 …)? EXAONE_ERR_ARGUMENT. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_processor_config_check(const exaone_processor_config *config,
                                                                       exaone_error *err);

/* ---- steps --------------------------------------------------------------------------------------------------------- */

/* The size to which an h x w picture is stretched: multiples of `factor` (patch_size * merge_size), near the aspect ratio,
 * of min_pixels to max_pixels. Exactly the reference's function, also where it is odd (10 x 2000 shrinks to 28 x 812).
 * Errors: EXAONE_ERR_ARGUMENT: a side, factor or limit is not positive, or the result does not fit 32 bits;
 * EXAONE_ERR_LIMIT: long / short > 200. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_smart_resize(uint32_t h, uint32_t w, int64_t min_pixels, int64_t max_pixels,
                                                             uint32_t factor, uint32_t *H, uint32_t *W, exaone_error *err);

/* Bicubic with antialiasing, bit for bit the backend's. src [h, w, 3], dst [H, W, 3] (must not overlap); all sides at least
 * 1 and at most 2^24. Errors: EXAONE_ERR_ARGUMENT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_resize_rgb(const uint8_t *src, uint32_t h, uint32_t w, uint8_t *dst,
                                                           uint32_t H, uint32_t W, exaone_resize_backend backend,
                                                           const exaone_parallel *parallel, exaone_error *err);

/* Rescales, normalises and cuts one group of temporal_patch_size frames (an image: the same frame each time) into
 * (H / patch) * (W / patch) rows of 3 * temporal * patch * patch values. Rows run over blocks of merge x merge patches;
 * columns are channel, frame, y, x. H and W must be multiples of patch * merge (asserted). frames: [temporal_patch_size]
 * pointers to [H, W, 3]. */
EXAONE_API void exaone_patches(const uint8_t *const *frames, uint32_t H, uint32_t W, const exaone_pixel_config *config,
                               const exaone_parallel *parallel, float *out);

/* Pixel values of one image or video. Zeroed = empty. */
typedef struct exaone_pixels {
    float *values;          /* [rows, cols] f32, owned */
    size_t rows, cols;      /* rows = grid[0] * grid[1] * grid[2]; cols = 3 * temporal * patch * patch (1176) */
    uint32_t grid[3];       /* t, h, w in patches */
    uint32_t height, width; /* of the resized frames, in pixels */
    uint32_t frames;        /* frames in `resized`: 1 for an image, t * temporal_patch_size for a video */
    uint8_t *resized;       /* [frames, height, width, 3] or NULL; owned */
} exaone_pixels;

EXAONE_API void exaone_pixels_release(exaone_pixels *pixels); /* frees and empties; NULL and empty are fine */
/* Tokens of the text that the pixels fill: rows / merge_size^2. */
EXAONE_API size_t exaone_pixels_tokens(const exaone_pixels *pixels, const exaone_pixel_config *config);

/* Fills the sizes and allocates `values` (and `resized` if asked) for n_frames frames, rounded up to whole groups, that will
 * be resized to H x W. For exaone_preprocess_image and the video code. Errors: EXAONE_ERR_ARGUMENT, _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_pixels_init(exaone_pixels *pixels, uint32_t n_frames, uint32_t H, uint32_t W,
                                                            const exaone_pixel_config *config, bool keep_resized,
                                                            exaone_error *err);

enum { EXAONE_MAX_RESIZED_PIXELS = 100000000 }; /* of one image; its pixel values take 2.4 GB then */

/* All of it for one decoded image. keep_resized: also give the picture after the resize. *out belongs to the caller
 * (exaone_pixels_release); empty on failure. Errors: EXAONE_ERR_ARGUMENT, _LIMIT (aspect ratio, more than
 * EXAONE_MAX_RESIZED_PIXELS), _MEMORY. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_preprocess_image(const exaone_image *image,
                                                                 const exaone_pixel_config *config,
                                                                 const exaone_parallel *parallel, bool keep_resized,
                                                                 exaone_pixels *out, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
