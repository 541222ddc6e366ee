/* The forward door, vision part: pixel values and grids in, features and stages out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "engine/forward_internal.h"
#include "model/rope.h"
#include "tensor/dtype.h"

/* The name of a result of this kind of pixels: videos beside images carry "video." in front. */
static const char *full_name(const exaone_forward_call *c, const char *name, char out[64]) {
    snprintf(out, 64, "%s%s", c->vision_prefix, name);
    return out;
}

/* Copies a stage to the results. */
static void vision_stage(void *ctx, const char *name, const float *data, size_t n_dims, const size_t *dims) {
    exaone_forward_call *c = ctx;
    char full[64];
    full_name(c, name, full);
    if (c->status != EXAONE_OK || (!exaone_forward_wants(c->options, name) && !exaone_forward_wants(c->options, full))) {
        return;
    }
    size_t n = 1, shape[4] = {0};
    for (size_t i = 0; i < n_dims; i++) {
        n *= dims[i];
        shape[i] = dims[i];
    }
    float *host = exaone_mem_array(n, sizeof *host);
    if (!host) {
        c->status = exaone_fail_memory(c->err, name, n * sizeof *host);
        return;
    }
    c->engine->be->download(c->engine->be, host, data, n * sizeof *host);
    c->status = strncmp(name, "rope.", 5) == 0 ? exaone_forward_put_table(c, full, host, dims[0], dims[1])
                                               : exaone_forward_put_f32(c, full, shape, host);
    free(host);
}

static exaone_status put_plan(exaone_forward_call *c, const exaone_vision_plan *p) {
    size_t n = p->n_patches;
    char name[64];
    int64_t *wide = exaone_mem_array(2 * n, sizeof *wide);
    if (!wide) {
        return exaone_fail_memory(c->err, "position_ids", 2 * n * sizeof *wide);
    }
    for (size_t i = 0; i < n; i++) {
        wide[2 * i] = p->place[i][0];
        wide[2 * i + 1] = p->place[i][1];
    }
    exaone_status s = exaone_forward_put_i64(c, full_name(c, "position_ids", name), EXAONE_DIMS(n, 2), wide);
    for (size_t i = 0; i < p->n_units; i++) {
        wide[i] = p->window_index[i];
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_i64(c, full_name(c, "window_index", name), EXAONE_DIMS(p->n_units), wide);
    }
    free(wide);
    if (s == EXAONE_OK) {
        s = exaone_forward_put_i32(c, full_name(c, "cu_window_seqlens", name), EXAONE_DIMS(p->n_windows + 1),
                                   p->window_bounds);
    }
    if (s == EXAONE_OK) {
        s = exaone_forward_put_i32(c, full_name(c, "cu_seqlens", name), EXAONE_DIMS(p->n_frames + 1), p->frame_bounds);
    }
    if (s == EXAONE_OK) {
        const exaone_vision_config *v = &c->engine->config.vision;
        s = exaone_forward_put_f32(c, full_name(c, "rope.inv_freq", name),
                                   EXAONE_DIMS((size_t)(v->hidden_size / v->num_heads / 4)),
                                   c->engine->model.vision.inv_freq);
    }
    return s;
}

static exaone_status put_features(exaone_forward_call *c, const int64_t *grids, size_t n_grids, const float *features) {
    const exaone_vision_config *v = &c->engine->config.vision;
    size_t merge = (size_t)v->spatial_merge_size, at = 0;
    for (size_t g = 0; g < n_grids; g++) {
        const int64_t *grid = grids + 3 * g;
        size_t units = (size_t)(grid[0] * grid[1] * grid[2]) / (merge * merge);
        char name[64];
        snprintf(name, sizeof name, "%sfeatures.%zu", c->vision_prefix, g);
        exaone_status s = exaone_forward_put_f32(c, name, EXAONE_DIMS(units, (size_t)v->out_hidden_size),
                                                 features + at * (size_t)v->out_hidden_size);
        if (s != EXAONE_OK) {
            return s;
        }
        at += units;
    }
    return EXAONE_OK;
}

/* One of the two kinds of pixels. */
static exaone_status run_kind(exaone_forward_call *c, const char *pixels_name, const char *grid_name, bool stages,
                              float **features, size_t *n_features) {
    exaone_engine *e = c->engine;
    const exaone_tensor *pixels = exaone_tensors_get(c->in, pixels_name);
    if (!pixels) {
        return EXAONE_OK;
    }
    if (!e->config.has_vision) {
        return exaone_fail(c->err, EXAONE_ERR_MODEL, "%s is given but the model has no vision tower", pixels_name);
    }
    int64_t *grids = NULL;
    size_t n_dims, dims[8];
    exaone_status s = exaone_forward_ints(c, grid_name, &grids, &n_dims, dims);
    if (s == EXAONE_OK && (!grids || n_dims != 2 || dims[1] != 3 || dims[0] == 0)) {
        s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s goes with %s of shape [n, 3]", pixels_name, grid_name);
    }
    exaone_vision_plan plan = {0};
    size_t cols = e->model.vision.patch_embed.in_features, out = (size_t)e->config.vision.out_hidden_size;
    if (s == EXAONE_OK) {
        s = exaone_vision_plan_grids(&e->config.vision, (const int64_t(*)[3])(const void *)grids, dims[0], &plan, c->err);
    }
    if (s == EXAONE_OK && (!exaone_forward_is_float(pixels->dtype) || pixels->n_dims != 2 ||
                           (size_t)pixels->dims[0] != plan.n_patches || (size_t)pixels->dims[1] != cols)) {
        s = exaone_fail(c->err, EXAONE_ERR_ARGUMENT, "%s: want f32, f16 or bf16 [%zu, %zu] for these grids", pixels_name,
                        plan.n_patches, cols);
    }
    float *device = NULL, *host = NULL, *widened = NULL;
    if (s == EXAONE_OK && pixels->dtype != EXAONE_F32) {
        widened = exaone_mem_array(plan.n_patches * cols, sizeof *widened);
        s = widened ? s : exaone_fail_memory(c->err, pixels_name, plan.n_patches * cols * sizeof *widened);
    }
    if (widened) {
        exaone_dtype_to_f32(pixels->dtype, pixels->data, plan.n_patches * cols, widened);
    }
    if (s == EXAONE_OK) {
        device = e->be->alloc(e->be, plan.n_units * out * sizeof *device);
        host = exaone_mem_array(plan.n_units * out, sizeof *host);
        s = device && host ? EXAONE_OK : exaone_fail_memory(c->err, "features", plan.n_units * out * sizeof *host);
    }
    if (s == EXAONE_OK) {
        exaone_trace trace = {.fn = vision_stage, .ctx = c};
        s = exaone_vision_run(&e->model, &plan, widened ? widened : pixels->data, device, stages ? &trace : NULL, NULL,
                              c->err);
    }
    if (s == EXAONE_OK) {
        e->be->download(e->be, host, device, plan.n_units * out * sizeof *host);
        s = stages ? c->status : EXAONE_OK;
    }
    if (s == EXAONE_OK && stages) {
        s = put_plan(c, &plan);
    }
    if (s == EXAONE_OK && stages) {
        s = put_features(c, grids, dims[0], host);
    }
    if (s == EXAONE_OK) {
        *features = host;
        *n_features = plan.n_units;
        host = NULL;
    }
    e->be->release(e->be, device);
    free(host);
    free(widened);
    free(grids);
    exaone_vision_plan_release(&plan);
    return s;
}

exaone_status exaone_forward_vision(exaone_forward_call *c, bool stages) {
    c->vision_prefix = "";
    exaone_status s = run_kind(c, "pixel_values", "image_grid_thw", stages, &c->image_features, &c->n_image_features);
    c->vision_prefix = exaone_tensors_get(c->in, "pixel_values") ? "video." : "";
    if (s == EXAONE_OK) {
        s = run_kind(c, "pixel_values_videos", "video_grid_thw", stages, &c->video_features, &c->n_video_features);
    }
    return s;
}
