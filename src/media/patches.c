/* From resized RGB frames to the rows that the vision tower reads: rescale, normalise, cut into patches.
 *
 *   rows     t, H / (patch merge), W / (patch merge), merge (h), merge (w): a block of merge x merge patches is contiguous
 *   columns  channel, frame of the group, y, x
 *
 * Values, x = 0 .. 255 (fl = rounded to fp32):
 *   torchvision  (x - fl(mean) * r) / (fl(std) * r), r = fl(1 / rescale_factor), all in fp32
 *   Pillow       (fl(x * rescale_factor in double) - fl(mean)) / fl(std)
 * Only 256 values per channel can occur, so they are tabulated. */
#include "exaone/media.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/parallel.h"

#define CHANNELS 3

typedef struct cut {
    const uint8_t *const *frames;
    const exaone_pixel_config *config;
    uint32_t W;
    uint32_t blocks_w; /* blocks of merge x merge patches side by side */
    float value[CHANNELS][256];
    float *out;
} cut;

static void tabulate(const exaone_pixel_config *config, float value[CHANNELS][256]) {
    float r = (float)(1.0 / config->rescale_factor);
    for (int c = 0; c < CHANNELS; c++) {
        float mean = (float)config->mean[c], std = (float)config->std[c];
        float mean255 = mean * r, std255 = std * r;
        for (int x = 0; x < 256; x++) {
            if (config->backend == EXAONE_RESIZE_PIL) {
                float scaled = (float)((double)x * config->rescale_factor);
                value[c][x] = (scaled - mean) / std;
            } else {
                value[c][x] = ((float)x - mean255) / std255;
            }
        }
    }
}

/* One row: the patch whose upper left pixel is (y0, x0). */
static void cut_patch(const cut *c, size_t y0, size_t x0, float *out) {
    uint32_t patch = c->config->patch_size;
    for (int channel = 0; channel < CHANNELS; channel++) {
        const float *value = c->value[channel];
        const float *before = out;
        for (uint32_t f = 0; f < c->config->temporal_patch_size; f++) {
            if (f > 0 && c->frames[f] == c->frames[f - 1]) { /* an image stands for all frames of its group */
                memcpy(out, before, (size_t)patch * patch * sizeof *out);
                before = out;
                out += (size_t)patch * patch;
                continue;
            }
            before = out;
            for (uint32_t y = 0; y < patch; y++) {
                const uint8_t *in = c->frames[f] + ((y0 + y) * c->W + x0) * CHANNELS + channel;
                for (uint32_t x = 0; x < patch; x++) {
                    *out++ = value[in[(size_t)x * CHANNELS]];
                }
            }
        }
    }
}

/* Rows of blocks begin .. end-1. */
static void cut_block_rows(void *arg, size_t begin, size_t end) {
    const cut *c = arg;
    size_t patch = c->config->patch_size, merge = c->config->merge_size;
    size_t cols = CHANNELS * c->config->temporal_patch_size * patch * patch;
    for (size_t by = begin; by < end; by++) {
        float *out = c->out + by * c->blocks_w * merge * merge * cols;
        for (size_t bx = 0; bx < c->blocks_w; bx++) {
            for (size_t p = 0; p < merge * merge; p++) {
                cut_patch(c, (by * merge + p / merge) * patch, (bx * merge + p % merge) * patch, out);
                out += cols;
            }
        }
    }
}

void exaone_patches(const uint8_t *const *frames, uint32_t H, uint32_t W, const exaone_pixel_config *config,
                    const exaone_parallel *parallel, float *out) {
    uint32_t block = config->patch_size * config->merge_size;
    assert(block > 0 && H % block == 0 && W % block == 0);
    cut c = {.frames = frames, .config = config, .W = W, .blocks_w = W / block, .out = out};
    tabulate(config, c.value);
    exaone_parallel_run(parallel, H / block, cut_block_rows, &c);
}

void exaone_pixels_release(exaone_pixels *pixels) {
    if (pixels) {
        free(pixels->values);
        free(pixels->resized);
        memset(pixels, 0, sizeof *pixels);
    }
}

size_t exaone_pixels_tokens(const exaone_pixels *pixels, const exaone_pixel_config *config) {
    assert(config->merge_size > 0);
    return pixels->rows / config->merge_size / config->merge_size;
}

exaone_status exaone_pixels_init(exaone_pixels *pixels, uint32_t n_frames, uint32_t H, uint32_t W,
                                 const exaone_pixel_config *config, bool keep_resized, exaone_error *err) {
    memset(pixels, 0, sizeof *pixels);
    uint32_t patch = config->patch_size, temporal = config->temporal_patch_size;
    size_t block = (size_t)patch * config->merge_size;
    if (n_frames == 0 || temporal == 0 || block == 0 || H == 0 || W == 0 || H % block != 0 || W % block != 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%u frames of %ux%u pixels cannot be cut into blocks of %zux%zu pixels",
                           n_frames, H, W, block, block);
    }
    exaone_pixels p = {.grid = {n_frames / temporal + (n_frames % temporal != 0), H / patch, W / patch}};
    p.height = H;
    p.width = W;
    p.frames = n_frames == 1 ? 1 : p.grid[0] * temporal;
    size_t count = 0, bytes = 0, kept = 0;
    bool fits = exaone_size_mul((size_t)CHANNELS * temporal, (size_t)patch * patch, &p.cols) &&
                exaone_size_mul((size_t)p.grid[1] * p.grid[2], p.grid[0], &p.rows) &&
                exaone_size_mul(p.rows, p.cols, &count) && exaone_size_mul(count, sizeof *p.values, &bytes) &&
                exaone_size_mul((size_t)H * W, CHANNELS, &kept) && exaone_size_mul(kept, p.frames, &kept);
    if (!fits) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "pixel values of %u frames of %ux%u pixels do not fit the memory",
                           n_frames, H, W);
    }
    p.values = exaone_mem_room(bytes);
    p.resized = keep_resized ? exaone_mem_room(kept) : NULL;
    if (!p.values || (keep_resized && !p.resized)) {
        exaone_pixels_release(&p);
        return exaone_fail_memory(err, "pixel values", (unsigned long long)bytes + (keep_resized ? kept : 0));
    }
    *pixels = p;
    return EXAONE_OK;
}

exaone_status exaone_preprocess_image(const exaone_image *image, const exaone_pixel_config *config,
                                      const exaone_parallel *parallel, bool keep_resized, exaone_pixels *out,
                                      exaone_error *err) {
    memset(out, 0, sizeof *out);
    uint32_t H = 0, W = 0;
    exaone_status status = exaone_smart_resize(image->height, image->width, config->min_pixels, config->max_pixels,
                                               config->patch_size * config->merge_size, &H, &W, err);
    if (status != EXAONE_OK) {
        return status;
    }
    if ((uint64_t)H * W > EXAONE_MAX_RESIZED_PIXELS) {
        return exaone_fail(
            err, EXAONE_ERR_LIMIT,
            "an image of %u x %u pixels would become %u x %u = %llu pixels (min_pixels %lld, max_pixels %lld); "
            "the limit is %d pixels",
            image->width, image->height, W, H, (unsigned long long)H * W, (long long)config->min_pixels,
            (long long)config->max_pixels, EXAONE_MAX_RESIZED_PIXELS);
    }
    exaone_pixels p;
    status = exaone_pixels_init(&p, 1, H, W, config, true, err);
    if (status != EXAONE_OK) {
        return status;
    }
    status = exaone_resize_rgb(image->rgb, image->height, image->width, p.resized, H, W, config->backend, parallel, err);
    const uint8_t **frames = status == EXAONE_OK ? exaone_mem_array(config->temporal_patch_size, sizeof *frames) : NULL;
    if (status == EXAONE_OK && !frames) {
        status = exaone_fail_memory(err, "the frames of a patch", config->temporal_patch_size * sizeof *frames);
    }
    if (status != EXAONE_OK) {
        exaone_pixels_release(&p);
        return status;
    }
    for (uint32_t f = 0; f < config->temporal_patch_size; f++) {
        frames[f] = p.resized;
    }
    exaone_patches(frames, H, W, config, parallel, p.values);
    free(frames);
    if (!keep_resized) {
        free(p.resized);
        p.resized = NULL;
    }
    *out = p;
    return EXAONE_OK;
}
