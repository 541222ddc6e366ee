/* Any bytes as an image file, with small limits; a picture that decodes is also preprocessed by both back ends. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "exaone/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_image_options options = {.limits = {.max_encoded_bytes = 1 << 16, .max_pixels = 1 << 16, .max_side = 4096}};
    options.strict_reference = size > 0 && (data[size - 1] & 1);
    exaone_image image;
    exaone_error err;
    if (exaone_image_decode(data, size, &options, &image, &err) != EXAONE_OK) {
        return 0;
    }
    exaone_processor_config config = exaone_processor_config_default();
    config.image.max_pixels = 1 << 14;
    config.image.backend = size & 1 ? EXAONE_RESIZE_PIL : EXAONE_RESIZE_TORCHVISION;
    exaone_pixels pixels;
    if (exaone_preprocess_image(&image, &config.image, NULL, false, &pixels, &err) == EXAONE_OK) {
        exaone_pixels_release(&pixels);
    }
    exaone_image_release(&image);
    return 0;
}
