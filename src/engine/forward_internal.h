/* Pieces of the forward door: reading inputs, collecting stages. */
#ifndef EXAONE_FORWARD_INTERNAL_H
#define EXAONE_FORWARD_INTERNAL_H

#include "engine/engine_internal.h"

/* One call of exaone_forward. */
typedef struct exaone_forward_call {
    exaone_engine *engine;
    const exaone_tensors *in;
    const exaone_forward_options *options;
    exaone_tensors *out;
    exaone_error *err;
    exaone_status status;      /* first failure inside a trace callback */
    const char *vision_prefix; /* in front of the vision stages' names: "", or "video." when images have them already */
    /* vision results on the host */
    float *image_features, *video_features; /* [n, hidden_size] or NULL */
    size_t n_image_features, n_video_features;
} exaone_forward_call;

/* Is this stage asked for? `all`, exact names and prefixes ending in '.' or '*'. */
bool exaone_forward_wants(const exaone_forward_options *options, const char *name);

/* Add a result, or fail. dims end with 0 (a dimension of 0 is not possible). */
EXAONE_MUST_USE exaone_status exaone_forward_put_f32(exaone_forward_call *c, const char *name, const size_t *dims,
                                                     const float *data);
EXAONE_MUST_USE exaone_status exaone_forward_put_i64(exaone_forward_call *c, const char *name, const size_t *dims,
                                                     const int64_t *data);
EXAONE_MUST_USE exaone_status exaone_forward_put_i32(exaone_forward_call *c, const char *name, const size_t *dims,
                                                     const int32_t *data);

/* A rotary table [n, half] as the reference holds it: both halves alike, [n, 2 * half]. */
EXAONE_MUST_USE exaone_status exaone_forward_put_table(exaone_forward_call *c, const char *name, const float *half_table,
                                                       size_t n, size_t half);

bool exaone_forward_is_float(exaone_dtype dtype); /* F32, F16 or BF16 */

/* A tensor of integers (8 to 64 bits, BOOL; attention_mask and num_items_in_batch also whole floats) as int64, allocated
 * (free); NULL with status OK when absent. At least one value, at least one dimension. */
EXAONE_MUST_USE exaone_status exaone_forward_ints(exaone_forward_call *c, const char *name, int64_t **out, size_t *n_dims,
                                                  size_t dims[8]);

/* Runs the vision tower on pixel_values and pixel_values_videos when they are there; with `stages` the vision stages go to
 * out. */
EXAONE_MUST_USE exaone_status exaone_forward_vision(exaone_forward_call *c, bool stages);

#endif
