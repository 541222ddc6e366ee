/* Videos through FFmpeg with tight limits: any bytes give frames or an error with a message, in bounded time. */
#include <stdint.h>
#include <stdlib.h>

#include "exaone/video.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exaone_video_options options;
    exaone_video_options_init(&options);
    options.limits.max_pixels = 256 * 256;
    options.limits.max_video_frames = 200;
    options.time_limit_ms = 2000;
    options.has_num_frames = size % 2;
    options.num_frames = 4;
    exaone_video_source source = {.bytes = data, .n_bytes = size};
    exaone_video video;
    exaone_error err = {0};
    if (size == 0) {
        return 0;
    }
    if (exaone_video_decode(&source, &options, &video, &err)) {
        if (video.rgb || video.info.indices || !err.message[0]) {
            abort();
        }
        return 0;
    }
    size_t frame = (size_t)video.info.width * video.info.height * 3;
    volatile uint8_t last = video.rgb[video.info.n * frame - 1];
    (void)last;
    exaone_video_release(&video);
    return 0;
}
