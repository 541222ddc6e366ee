/* Window order and segments of the vision tower. */
#include "model/vision_plan.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

enum { MAX_PATCHES = 1 << 24 };

static exaone_status count(exaone_vision_plan *plan, const int64_t (*grids)[3], size_t n_grids, int64_t merge,
                           size_t *max_windows, size_t window, exaone_error *err) {
    for (size_t g = 0; g < n_grids; g++) {
        int64_t t = grids[g][0], h = grids[g][1], w = grids[g][2];
        if (t > MAX_PATCHES || h > MAX_PATCHES || w > MAX_PATCHES) {
            return exaone_fail(err, EXAONE_ERR_LIMIT, "grid %zu: [%lld, %lld, %lld] is more than %d patches in one call", g,
                               (long long)t, (long long)h, (long long)w, (int)MAX_PATCHES);
        }
        if (t < 1 || h < 1 || w < 1 || h % merge || w % merge) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                               "grid %zu: [%lld, %lld, %lld] is not t, h, w with h and w multiples of %lld", g, (long long)t,
                               (long long)h, (long long)w, (long long)merge);
        }
        size_t patches;
        if (!exaone_size_mul((size_t)h * (size_t)w, (size_t)t, &patches) || patches > MAX_PATCHES - plan->n_patches) {
            return exaone_fail(err, EXAONE_ERR_LIMIT, "grid %zu: more than %d patches in one call", g, (int)MAX_PATCHES);
        }
        plan->n_patches += patches;
        plan->n_frames += (size_t)t;
        size_t rows = ((size_t)(h / merge) + window - 1) / window, cols = ((size_t)(w / merge) + window - 1) / window;
        *max_windows += (size_t)t * rows * cols;
    }
    plan->n_units = plan->n_patches / (size_t)(merge * merge);
    return EXAONE_OK;
}

/* Units of one frame in window order: windows row-major, inside a window row-major. */
static void order_frame(exaone_vision_plan *plan, size_t first_unit, size_t *at, size_t rows, size_t cols, size_t window,
                        size_t patches_per_unit) {
    for (size_t y0 = 0; y0 < rows; y0 += window) {
        for (size_t x0 = 0; x0 < cols; x0 += window) {
            for (size_t y = y0; y < rows && y < y0 + window; y++) {
                for (size_t x = x0; x < cols && x < x0 + window; x++) {
                    plan->window_index[(*at)++] = (int32_t)(first_unit + y * cols + x);
                }
            }
            plan->n_windows++;
            plan->window_bounds[plan->n_windows] = (int32_t)(*at * patches_per_unit);
        }
    }
}

/* Rows and columns of one frame's patches in merge-block order. */
static void place_frame(int32_t (*place)[2], size_t rows, size_t cols, size_t merge) {
    size_t n = 0;
    for (size_t y = 0; y < rows; y++) {
        for (size_t x = 0; x < cols; x++) {
            for (size_t dy = 0; dy < merge; dy++) {
                for (size_t dx = 0; dx < merge; dx++) {
                    place[n][0] = (int32_t)(y * merge + dy);
                    place[n][1] = (int32_t)(x * merge + dx);
                    n++;
                }
            }
        }
    }
}

static void fill(exaone_vision_plan *plan, const int64_t (*grids)[3], size_t n_grids, size_t merge, size_t window) {
    size_t per_unit = merge * merge, unit = 0, at = 0, frame = 0;
    for (size_t g = 0; g < n_grids; g++) {
        size_t rows = (size_t)grids[g][1] / merge, cols = (size_t)grids[g][2] / merge;
        for (int64_t t = 0; t < grids[g][0]; t++) {
            place_frame(plan->place + unit * per_unit, rows, cols, merge);
            order_frame(plan, unit, &at, rows, cols, window, per_unit);
            unit += rows * cols;
            plan->frame_bounds[++frame] = (int32_t)(unit * per_unit);
        }
    }
    for (size_t i = 0; i < plan->n_units; i++) {
        plan->inverse[plan->window_index[i]] = (int32_t)i;
        for (size_t k = 0; k < per_unit; k++) {
            plan->window_rows[i * per_unit + k] = (int32_t)((size_t)plan->window_index[i] * per_unit + k);
        }
    }
}

exaone_status exaone_vision_plan_init(exaone_vision_plan *plan, const int64_t (*grids)[3], size_t n_grids, size_t merge,
                                      size_t window_units, exaone_error *err) {
    *plan = (exaone_vision_plan){0};
    size_t max_windows = 0;
    exaone_status s = count(plan, grids, n_grids, (int64_t)merge, &max_windows, window_units, err);
    if (s != EXAONE_OK) {
        return s;
    }
    plan->place = exaone_mem_array(plan->n_patches, sizeof *plan->place);
    plan->window_index = exaone_mem_array(plan->n_units, sizeof *plan->window_index);
    plan->inverse = exaone_mem_array(plan->n_units, sizeof *plan->inverse);
    plan->window_rows = exaone_mem_array(plan->n_patches, sizeof *plan->window_rows);
    plan->window_bounds = exaone_mem_array(max_windows + 1, sizeof *plan->window_bounds);
    plan->frame_bounds = exaone_mem_array(plan->n_frames + 1, sizeof *plan->frame_bounds);
    if (!plan->place || !plan->window_index || !plan->inverse || !plan->window_rows || !plan->window_bounds ||
        !plan->frame_bounds) {
        exaone_vision_plan_release(plan);
        return exaone_fail_memory(err, "the vision plan", plan->n_patches * 24);
    }
    fill(plan, grids, n_grids, merge, window_units);
    return EXAONE_OK;
}

void exaone_vision_plan_release(exaone_vision_plan *plan) {
    free(plan->place);
    free(plan->window_index);
    free(plan->inverse);
    free(plan->window_rows);
    free(plan->window_bounds);
    free(plan->frame_bounds);
    *plan = (exaone_vision_plan){0};
}
