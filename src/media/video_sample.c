/* Choosing the frames of a video: sample_frames of Qwen2VLVideoProcessor (transformers 5.23).
 *
 * MODEL: the reference computes torch.arange(0, total, total / n). In floating point that yields one index too many, equal
 * to `total`, for about 5 % of all (total, n), and its processor then fails; the exact formula i * total div n gives the
 * same indices everywhere else. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "exaone/video.h"

enum { MAX_TOTAL = INT32_MAX };

/* round(num / factor) * factor with Python's rounding, num >= 0 */
static int64_t round_half_even(int64_t num, int64_t factor) {
    int64_t q = num / factor, rest = num % factor;
    if (rest > factor - rest || (rest == factor - rest && q % 2 == 1)) {
        q++;
    }
    return q * factor;
}

/* The number of frames that the options ask for; may be 0 or above total (the caller judges). */
static exaone_status count_by_options(int64_t total, double source_fps, const exaone_video_options *o, int64_t *n,
                                      exaone_error *err) {
    int64_t factor = o->temporal_patch_size;
    if (o->has_num_frames) {
        if (o->num_frames < 0 || o->num_frames > MAX_TOTAL) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "num_frames is %lld, not from 0 to %d", (long long)o->num_frames,
                               MAX_TOTAL);
        }
        *n = round_half_even(o->num_frames, factor);
        return EXAONE_OK;
    }
    if (!(o->fps >= 0) || isinf(o->fps)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "fps is %g, not a positive number", o->fps);
    }
    if (!(source_fps > 0) || isinf(source_fps)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "sampling with fps needs the frame rate of the video, which is unknown; use num_frames");
    }
    if (o->min_frames < 0 || o->max_frames < 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "min_frames %lld and max_frames %lld must not be negative",
                           (long long)o->min_frames, (long long)o->max_frames);
    }
    int64_t cap = (o->max_frames < total ? o->max_frames : total) / factor * factor;
    double wanted = (double)total / source_fps * o->fps;
    wanted = fmax(wanted, (double)o->min_frames);
    wanted = fmin(wanted, (double)cap);
    *n = (int64_t)floor(wanted / (double)factor) * factor;
    return EXAONE_OK;
}

/* What the reference does by accident. */
static exaone_status strict_check(int64_t total, int64_t n, exaone_error *err) {
    double step = (double)total / (double)n;
    if (ceil((double)total / step) > (double)n) {
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "the reference fails here: index %lld is out of bounds for axis 0 with size %lld (%lld frames of %lld)",
            (long long)total, (long long)total, (long long)n, (long long)total);
    }
    return EXAONE_OK;
}

static exaone_status choose_count(int64_t total, double source_fps, const exaone_video_options *o, int64_t *n,
                                  exaone_error *err) {
    if (o->has_fps && o->has_num_frames) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "num_frames and fps are mutually exclusive, use only one of them");
    }
    if (!o->has_fps && !o->has_num_frames) {
        if (o->strict_reference) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the reference fails here: sampling needs num_frames or fps");
        }
        *n = total;
        return EXAONE_OK;
    }
    exaone_status status = count_by_options(total, source_fps, o, n, err);
    if (status) {
        return status;
    }
    if (*n > total) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "the video can't be sampled: %lld frames are asked for, more than the %lld that it has; decrease "
                           "num_frames or fps",
                           (long long)*n, (long long)total);
    }
    if (*n == 0) {
        if (total < o->temporal_patch_size && !o->strict_reference && !(o->has_num_frames && o->num_frames == 0)) {
            *n = total;
            return EXAONE_OK;
        }
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "the options leave no frame of the %lld of the video: frames are taken in groups of %u (num_frames, "
            "min_frames or max_frames is too small)",
            (long long)total, o->temporal_patch_size);
    }
    return o->strict_reference ? strict_check(total, *n, err) : EXAONE_OK;
}

exaone_status exaone_video_sample(uint64_t total, double source_fps, const exaone_video_options *options, int64_t **indices,
                                  size_t *n, exaone_error *err) {
    *indices = NULL;
    *n = 0;
    if (total == 0) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "the video has no frames");
    }
    if (total > MAX_TOTAL) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the video has %llu frames, more than the limit of %d",
                           (unsigned long long)total, MAX_TOTAL);
    }
    if (options->temporal_patch_size == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "temporal_patch_size is 0");
    }
    int64_t count = 0;
    exaone_status status = choose_count((int64_t)total, source_fps, options, &count, err);
    if (status) {
        return status;
    }
    int64_t *out = exaone_mem_array((size_t)count, sizeof(*out));
    if (!out) {
        return exaone_fail_memory(err, "the list of frames", (unsigned long long)count * sizeof(*out));
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = i * (int64_t)total / count; /* both below 2^31 */
    }
    *indices = out;
    *n = (size_t)count;
    return EXAONE_OK;
}
