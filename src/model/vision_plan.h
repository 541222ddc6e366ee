/* Host arithmetic of the vision tower: where each patch is, the window order, the segments of attention (docs/model.md). */
#ifndef EXAONE_MODEL_VISION_PLAN_H
#define EXAONE_MODEL_VISION_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

typedef struct exaone_vision_plan {
    size_t n_patches, n_units; /* a unit = merge * merge patches = one output token */
    int32_t (*place)[2];       /* [n_patches] row, column of each patch in the order of pixel_values */
    int32_t *window_index;     /* [n_units] unit that stands at each place of the window order */
    int32_t *inverse;          /* [n_units] place of each unit in the window order */
    int32_t *window_rows;      /* [n_patches] the same order for patches */
    int32_t *window_bounds;    /* [n_windows + 1] in patches */
    size_t n_windows;
    int32_t *frame_bounds; /* [n_frames + 1] in patches: one segment per frame */
    size_t n_frames;
} exaone_vision_plan;

/* grids [n_grids][3] = t, h, w in patches; h and w must be positive multiples of merge. window_units = window side in units.
 * More than 2^24 patches are refused. Owned by the caller: exaone_vision_plan_release (safe after failure). */
EXAONE_MUST_USE exaone_status exaone_vision_plan_init(exaone_vision_plan *plan, const int64_t (*grids)[3], size_t n_grids,
                                                      size_t merge, size_t window_units, exaone_error *err);
void exaone_vision_plan_release(exaone_vision_plan *plan);

#endif
