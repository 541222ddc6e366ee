/* Negative controls: well-known mistakes, made on purpose in a loaded model, must show in the fixtures far above the bound
 * that test_golden.c allows. A control that moves nothing would mean that the fixture cannot see the mistake. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "model/rope.h"

typedef void mistake_fn(exaone_engine *e);

static double distance(const exaone_tensors *got_set, const exaone_tensors *want_set, const char *name) {
    const exaone_tensor *got = exaone_tensors_get(got_set, name), *want = exaone_tensors_get(want_set, name);
    assert_non_null(got);
    assert_non_null(want);
    assert_int_equal(got->bytes, want->bytes);
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < exaone_tensor_elements(want); i++) {
        double a = (double)((const float *)got->data)[i], b = (double)((const float *)want->data)[i];
        difference += (a - b) * (a - b);
        norm += b * b;
    }
    return sqrt(difference / norm);
}

/* Distance of a stage's result with the mistake made. */
static double with_mistake(mistake_fn *mistake, const char *stage, const char *name, bool mtp) {
    exaone_error err = {0};
    exaone_engine *e = NULL;
    exaone_tensors *in = NULL, *out = NULL;
    char path[128];
    exaone_engine_options o = {.n_threads = 1, .no_tokenizer = true};
    assert_int_equal(exaone_engine_open("tests/golden/model/micro/checkpoint", &o, &e, &err), EXAONE_OK);
    snprintf(path, sizeof path, "tests/golden/model/micro/stages/%s.safetensors", stage);
    assert_int_equal(exaone_tensors_load(path, &in, &err), EXAONE_OK);
    if (mistake) {
        mistake(e);
    }
    exaone_forward_options f = {.stages = name, .mtp = mtp};
    if (exaone_forward(e, in, &f, &out, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    double d = distance(out, in, name);
    exaone_tensors_free(in);
    exaone_tensors_free(out);
    exaone_engine_close(e);
    return d;
}

#define EACH_LAYER(e, l) \
    for (exaone_layer *l = (e)->model.layers; l < (e)->model.layers + (e)->config.num_hidden_layers; l++)
#define EACH_BLOCK(e, b) \
    for (exaone_vision_block *b = (e)->model.vision.blocks; b < (e)->model.vision.blocks + (e)->config.vision.depth; b++)

static void swap(exaone_matrix *a, exaone_matrix *b) {
    exaone_matrix t = *a;
    *a = *b;
    *b = t;
}

static void rope_on_full_layers(exaone_engine *e) {
    EACH_LAYER(e, l) {
        l->rotates = true;
    }
}

static void no_rope(exaone_engine *e) {
    EACH_LAYER(e, l) {
        l->rotates = false;
    }
}

static void no_llama3(exaone_engine *e) {
    e->config.rope.llama3 = false;
    exaone_rope_text_frequencies(&e->config, e->model.inv_freq);
}

static void other_theta(exaone_engine *e) {
    e->config.rope.rope_theta = 10000;
    exaone_rope_text_frequencies(&e->config, e->model.inv_freq);
}

static void window_longer(exaone_engine *e) {
    e->config.sliding_window++;
}

static void window_shorter(exaone_engine *e) {
    e->config.sliding_window--;
}

static void no_window(exaone_engine *e) {
    memset(e->config.sliding, 0, (size_t)e->config.num_hidden_layers * sizeof *e->config.sliding);
}

static void text_eps(exaone_engine *e) {
    e->config.rms_norm_eps = 1e-6;
}

static void gate_up_swapped(exaone_engine *e) {
    EACH_LAYER(e, l) {
        swap(&l->gate_proj, &l->up_proj);
    }
}

static void post_norms_swapped(exaone_engine *e) {
    EACH_LAYER(e, l) {
        float *t = l->post_attention_layernorm;
        l->post_attention_layernorm = l->post_feedforward_layernorm;
        l->post_feedforward_layernorm = t;
    }
}

static void qk_norms_swapped(exaone_engine *e) {
    EACH_LAYER(e, l) {
        float *t = l->q_norm;
        l->q_norm = l->k_norm;
        l->k_norm = t;
    }
}

static void pattern_shifted(exaone_engine *e) {
    int n = e->config.num_hidden_layers;
    for (int l = 0; l < n; l++) {
        e->config.sliding[l] = (l + 1) % 4 != 3;
        e->model.layers[l].rotates = e->config.sliding[l];
    }
}

static void one_sign(exaone_engine *e) { /* one element of the final norm */
    e->model.norm[0] = -e->model.norm[0];
}

static void vision_eps(exaone_engine *e) {
    e->config.vision.rms_norm_eps = 1e-5;
}

static void all_full(exaone_engine *e) {
    EACH_BLOCK(e, b) {
        b->full = true;
    }
}

static void all_windowed(exaone_engine *e) {
    EACH_BLOCK(e, b) {
        b->full = false;
    }
}

static void windows_wider(exaone_engine *e) {
    e->config.vision.window_size *= 2;
}

static void k_v_swapped(exaone_engine *e) {
    EACH_BLOCK(e, b) {
        swap(&b->k, &b->v);
    }
}

static void biases_dropped(exaone_engine *e) {
    EACH_BLOCK(e, b) {
        b->q.bias = b->k.bias = b->v.bias = b->proj.bias = b->gate_proj.bias = b->up_proj.bias = b->down_proj.bias = NULL;
    }
}

static void merger_bias_dropped(exaone_engine *e) {
    e->model.vision.mlp_0.bias = NULL;
}

static void mtp_no_rope(exaone_engine *e) {
    e->model.mtp.layer.rotates = false;
}

static void mtp_norms_swapped(exaone_engine *e) {
    float *t = e->model.mtp.pre_fc_norm_embedding;
    e->model.mtp.pre_fc_norm_embedding = e->model.mtp.pre_fc_norm_hidden;
    e->model.mtp.pre_fc_norm_hidden = t;
}

static void mtp_other_norm(exaone_engine *e) {
    e->model.mtp.norm = e->model.norm;
}

typedef struct {
    const char *what;
    mistake_fn *mistake;
    const char *stage, *name;
    bool mtp;
    double at_least; /* the subtlest, an eps, moves 4e-4; the bound of test_golden.c is below 5e-6 */
} control;

static void test_controls(void **state) {
    (void)state;
    static const control controls[] = {
        {"rope on full layers", rope_on_full_layers, "text", "logits", false, 0.1},
        {"no rope", no_rope, "text", "logits", false, 0.1},
        {"no llama3 rule", no_llama3, "text", "logits", false, 0.1},
        {"theta 10000", other_theta, "text", "logits", false, 0.05},
        {"window one longer", window_longer, "text", "logits", false, 0.1},
        {"window one shorter", window_shorter, "text", "logits", false, 0.1},
        {"no window", no_window, "text", "logits", false, 0.1},
        {"text eps 1e-6", text_eps, "text", "logits", false, 5e-4},
        {"gate and up swapped", gate_up_swapped, "text", "logits", false, 0.1},
        {"post norms swapped", post_norms_swapped, "text", "logits", false, 0.05},
        {"q and k norms swapped", qk_norms_swapped, "text", "logits", false, 0.01},
        {"pattern shifted", pattern_shifted, "text", "logits", false, 0.1},
        {"one sign of the final norm", one_sign, "text", "logits", false, 1e-3},
        {"window one longer, cached", window_longer, "cache", "call.7.logits", false, 0.05},
        {"rope on full layers, multimodal", rope_on_full_layers, "multimodal_image_video", "logits", false, 0.05},
        {"vision eps 1e-5", vision_eps, "vision_1x12x10", "features.0", false, 2e-4},
        {"all blocks full", all_full, "vision_1x12x10", "features.0", false, 0.1},
        {"all blocks windowed", all_windowed, "vision_1x12x10", "features.0", false, 0.1},
        {"windows twice as wide", windows_wider, "vision_1x12x10", "features.0", false, 0.1},
        {"vision k and v swapped", k_v_swapped, "vision_2x8x10_video", "features.0", false, 0.1},
        {"vision biases dropped", biases_dropped, "vision_two_images", "features.1", false, 0.1},
        {"merger bias dropped", merger_bias_dropped, "vision_1x8x8", "features.0", false, 0.01},
        {"MTP without rope", mtp_no_rope, "mtp", "forced.logits", true, 0.05},
        {"MTP norms swapped", mtp_norms_swapped, "mtp", "forced.logits", true, 0.05},
        {"MTP with the target's norm", mtp_other_norm, "mtp", "forced.logits", true, 0.05},
    };
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
        const control *c = &controls[i];
        double clean = with_mistake(NULL, c->stage, c->name, c->mtp),
               wrong = with_mistake(c->mistake, c->stage, c->name, c->mtp);
        if (!(clean < 1e-5 && wrong > c->at_least)) {
            fail_msg("%s: L2 %.3g, want above %.3g (without it %.3g)", c->what, wrong, c->at_least, clean);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_controls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
