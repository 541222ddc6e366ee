/* Default ceilings for media from outside. */
#include "exaone/media.h"

exaone_media_limits exaone_media_limits_resolve(const exaone_media_limits *limits) {
    exaone_media_limits r = {0};
    if (limits) {
        r = *limits;
    }
    r.max_encoded_bytes = r.max_encoded_bytes ? r.max_encoded_bytes : (uint64_t)64 << 20;
    r.max_pixels = r.max_pixels ? r.max_pixels : 100000000;
    r.max_side = r.max_side ? r.max_side : 65535;
    r.max_frames = r.max_frames ? r.max_frames : 768;
    r.max_video_bytes = r.max_video_bytes ? r.max_video_bytes : (uint64_t)1 << 30;
    r.max_video_frames = r.max_video_frames ? r.max_video_frames : 1000000;
    return r;
}
