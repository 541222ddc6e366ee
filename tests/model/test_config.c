/* Configuration: every spelling of the reference's files, both formats, and values out of range. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/make_gguf.h"
#include "../support/scratch.h"
#include "model/config.h"
#include "model/rope.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"

static exaone_status parse(const char *json, const char *generation, exaone_config *c, exaone_error *err) {
    return exaone_config_parse("config.json", json, strlen(json), "generation_config.json", generation,
                               generation ? strlen(generation) : 0, c, err);
}

static void parsed(const char *json, const char *generation, exaone_config *c) {
    exaone_error err = {0};
    if (parse(json, generation, c, &err)) {
        fail_msg("%s", err.message);
    }
}

static void load(const char *path, const char *mmproj, exaone_config *c) {
    exaone_weights *w;
    exaone_error err = {0};
    if (exaone_weights_open(path, mmproj, &w, &err) || exaone_config_load(w, c, &err)) {
        fail_msg("%s", err.message);
    }
    exaone_weights_close(w);
}

/* Everything but the rope factors and the generation settings. */
static void same(const exaone_config *a, const exaone_config *b) {
    assert_int_equal(a->vocab_size, b->vocab_size);
    assert_int_equal(a->hidden_size, b->hidden_size);
    assert_int_equal(a->intermediate_size, b->intermediate_size);
    assert_int_equal(a->num_hidden_layers, b->num_hidden_layers);
    assert_int_equal(a->num_attention_heads, b->num_attention_heads);
    assert_int_equal(a->num_key_value_heads, b->num_key_value_heads);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->max_position_embeddings, b->max_position_embeddings);
    assert_int_equal(a->sliding_window, b->sliding_window);
    assert_memory_equal(a->sliding, b->sliding, (size_t)a->num_hidden_layers);
    assert_true((float)a->rms_norm_eps == (float)b->rms_norm_eps);
    assert_true(a->rope.rope_theta == b->rope.rope_theta);
    assert_int_equal(a->tie_word_embeddings, b->tie_word_embeddings);
    assert_int_equal(a->num_mtp_layers, b->num_mtp_layers);
    assert_int_equal(a->has_vision, b->has_vision);
    assert_int_equal(a->bos_token_id, b->bos_token_id);
    assert_int_equal(a->pad_token_id, b->pad_token_id);
    assert_int_equal(a->n_eos_token_ids, b->n_eos_token_ids);
    assert_int_equal(a->eos_token_ids[0], b->eos_token_ids[0]);
    assert_int_equal(a->image_token_id, b->image_token_id);
    assert_int_equal(a->video_token_id, b->video_token_id);
    assert_int_equal(a->vision_start_token_id, b->vision_start_token_id);
    assert_int_equal(a->vision_end_token_id, b->vision_end_token_id);
    const exaone_vision_config *v = &a->vision, *u = &b->vision;
    assert_int_equal(v->depth, u->depth);
    assert_int_equal(v->hidden_size, u->hidden_size);
    assert_int_equal(v->intermediate_size, u->intermediate_size);
    assert_int_equal(v->num_heads, u->num_heads);
    assert_int_equal(v->num_key_value_heads, u->num_key_value_heads);
    assert_int_equal(v->patch_size, u->patch_size);
    assert_int_equal(v->window_size, u->window_size);
    assert_int_equal(v->out_hidden_size, u->out_hidden_size);
    assert_memory_equal(v->full, u->full, (size_t)v->depth);
    assert_true((float)v->rms_norm_eps == (float)u->rms_norm_eps && v->rope_theta == u->rope_theta);
}

static void same_rule(const exaone_config *a, const exaone_config *b) {
    assert_int_equal(a->rope.llama3, b->rope.llama3);
    assert_true(a->rope.factor == b->rope.factor && a->rope.low_freq_factor == b->rope.low_freq_factor);
    assert_true(a->rope.high_freq_factor == b->rope.high_freq_factor);
    assert_int_equal(a->rope.original_max_position_embeddings, b->rope.original_max_position_embeddings);
}

/* ---- the reference's files -----------------------------------------------------------------------------------------------
 */

static void the_released_configuration(void **state) {
    (void)state;
    static const char json[] =
        "{\"model_type\": \"exaone4_5\", \"image_token_id\": 67, \"video_token_id\": 68, \"vision_start_token_id\": 73,"
        " \"vision_end_token_id\": 74, \"vocab_size\": 153600, \"tie_word_embeddings\": false, \"text_config\": {"
        "\"model_type\": \"exaone4_5_text\", \"vocab_size\": 153600, \"hidden_size\": 5120, \"intermediate_size\": 27392,"
        "\"num_hidden_layers\": 64, \"num_attention_heads\": 40, \"num_key_value_heads\": 8, \"hidden_act\": \"silu\","
        "\"rms_norm_eps\": 1e-05, \"max_position_embeddings\": 262144, \"bos_token_id\": 1, \"eos_token_id\": 53,"
        "\"pad_token_id\": 0, \"sliding_window\": 4096, \"sliding_window_pattern\": \"LLLG\", \"rope_scaling\": {"
        "\"rope_type\": \"llama3\", \"factor\": 16.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
        "\"original_max_position_embeddings\": 8192, \"rope_theta\": 1000000.0}, \"num_nextn_predict_layers\": 1},"
        "\"vision_config\": {\"model_type\": \"exaone4_5_vision\", \"depth\": 28, \"hidden_size\": 2048,"
        "\"intermediate_size\": 5120, \"num_heads\": 32, \"num_key_value_heads\": 8, \"fullatt_block_indexes\": [6, 13, 20, "
        "27],"
        "\"out_hidden_size\": 5120, \"window_size\": 112, \"patch_size\": 14, \"tokens_per_second\": 2}}";
    static const char generation[] =
        "{\"_from_model_config\": true, \"bos_token_id\": 1, \"eos_token_id\": [53, 2], \"pad_token_id\": 0, \"do_sample\": "
        "true,"
        " \"temperature\": 1.0, \"top_p\": 0.95, \"presence_penalty\": 1.5, \"use_cache\": true}";
    exaone_config c;
    parsed(json, generation, &c);
    assert_int_equal(c.head_dim, 128);
    assert_int_equal(c.num_mtp_layers, 1);
    assert_true(c.rope.llama3 && c.rope.rope_theta == 1e6 && c.rope.factor == 16);
    int full = 0;
    for (int l = 0; l < 64; l++) {
        assert_int_equal(c.sliding[l], l % 4 != 3);
        full += l < 28 && c.vision.full[l];
    }
    assert_int_equal(full, 4);
    assert_true(c.vision.full[6] && c.vision.full[27]);
    assert_true(c.vision.rms_norm_eps == 1e-6 && c.vision.rope_theta == 10000);
    assert_int_equal(c.n_eos_token_ids, 2);
    const exaone_generation_config *g = &c.generation;
    assert_true(g->has_do_sample && g->do_sample && g->has_top_p && g->top_p == 0.95 && g->presence_penalty == 1.5);
    assert_false(g->has_top_k || g->has_min_p || g->has_repetition_penalty || g->has_max_new_tokens);
    /* 64 KiB per token for the 16 full layers in bf16, and 768 MiB for the 48 windows of 4096 tokens */
    exaone_kv_bytes kv = exaone_config_kv_bytes(&c, 262144, 0, 64, EXAONE_BF16, EXAONE_F16);
    assert_int_equal(kv.full, 16ull << 30);
    assert_int_equal(kv.sliding, 768ull << 20);
    assert_int_equal(kv.mtp, 16ull << 20);
    assert_int_equal(kv.total, kv.full + kv.sliding + kv.mtp);
    kv = exaone_config_kv_bytes(&c, 65, 512, 64, EXAONE_F32, EXAONE_F32); /* two pages of 64 everywhere */
    assert_int_equal(kv.total, 65ull * 128 * 8 * 128 * 2 * 4);
    assert_int_equal(exaone_config_kv_bytes(&c, UINT64_MAX, 0, 64, EXAONE_F32, EXAONE_F32).total, UINT64_MAX);
    kv = exaone_config_kv_bytes(&c, 262144, 264, 64, EXAONE_Q8_0, EXAONE_F16); /* 4360 slots: 69 pages of 64 */
    assert_int_equal(kv.full, 16ull * 262144 * 8 * (136 + 256));
    assert_int_equal(kv.sliding, 48ull * 69 * 64 * 8 * (136 + 256));
    exaone_config_release(&c);
    exaone_config_release(&c);
}

static void variants_are_equal(void **state) {
    (void)state;
    static const char *const models[] = {"nano", "micro"};
    static const char *const names[] = {"extra_layer_type", "pattern_only", "rope_parameters", "text_type_exaone4",
                                        "theta_outside"};
    for (size_t m = 0; m < 2; m++) {
        char path[200];
        size_t n;
        snprintf(path, sizeof path, "tests/golden/model/%s/checkpoint/config.json", models[m]);
        char *base_text = fixture_read(path, &n);
        exaone_config base, c;
        parsed(base_text, NULL, &base);
        for (size_t i = 0; i < 5; i++) {
            snprintf(path, sizeof path, "tests/golden/model/%s/variants/config_%s.json", models[m], names[i]);
            char *text = fixture_read(path, &n);
            parsed(text, NULL, &c);
            same(&base, &c);
            same_rule(&base, &c);
            exaone_config_release(&c);
            free(text);
        }
        exaone_config_release(&base);
        free(base_text);
    }
}

/* The GGUF pair of a folder has the same configuration, and its rope factors give the same frequencies bit for bit. */
static void both_formats_are_equal(void **state) {
    (void)state;
    static const char *const folders[] = {"tests/golden/model/nano/checkpoint", "tests/golden/model/micro/checkpoint",
                                          "models/tiny"};
    for (size_t i = 0; i < 3; i++) {
        exaone_error err = {0};
        const char *text = scratch_path("pair.gguf"), *mmproj = scratch_path("pair.mm");
        assert_int_equal(make_gguf(folders[i], text, mmproj, EXAONE_BF16, &err), EXAONE_OK);
        exaone_config a, b, alone;
        load(folders[i], NULL, &a);
        load(text, mmproj, &b);
        same(&a, &b);
        assert_int_equal(a.num_mtp_layers, 1);
        assert_non_null(b.rope.factors);
        assert_true(b.vision.has_pixel_limits && b.vision.min_pixels == 3136 && b.vision.max_pixels == 3211264);
        assert_true(b.vision.has_normalization && fabs(b.vision.image_std[2] - 0.27577711) < 1e-6);
        float fa[64], fb[64];
        exaone_rope_text_frequencies(&a, fa);
        exaone_rope_text_frequencies(&b, fb);
        assert_memory_equal(fa, fb, (size_t)a.head_dim / 2 * sizeof *fa);
        load(text, NULL, &alone);
        assert_false(alone.has_vision);
        exaone_config_release(&alone);
        exaone_config_release(&a);
        exaone_config_release(&b);
    }
}

static void reference_gguf_files(void **state) {
    (void)state;
    exaone_config c;
    load("tests/golden/edges/weights/tiny-mixed.gguf", "tests/golden/edges/weights/mmproj-tiny-f16.gguf", &c);
    assert_int_equal(c.num_hidden_layers, 1);
    assert_int_equal(c.num_mtp_layers, 1);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.sliding_window, 64);
    assert_true(c.sliding[0] && c.rope.factors && c.rope.factors[0] == 1 && c.rope.factors[31] == 16);
    assert_int_equal(c.vision.depth, 4);
    assert_true(!c.vision.full[0] && c.vision.full[1] && !c.vision.full[2] && c.vision.full[3]);
    assert_int_equal(c.eos_token_ids[0], 53);
    assert_int_equal(c.image_token_id, 67);
    assert_int_equal(c.vision_end_token_id, 74);
    assert_false(c.generation.has_do_sample || c.tie_word_embeddings);
    exaone_config_release(&c);
}

/* ---- JSON, edited --------------------------------------------------------------------------------------------------------
 */

/* The nano configuration with the first `from` replaced by `to`; free() it. */
static char *edited(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) {
        fail_msg("the base configuration has no %s", from);
        return NULL;
    }
    size_t room = strlen(text) + strlen(to) + 1;
    char *out = malloc(room);
    assert_non_null(out);
    snprintf(out, room, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static char *nano_text(void) {
    size_t n;
    return fixture_read("tests/golden/model/nano/checkpoint/config.json", &n);
}

static void other_spellings(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
    } equal[] = {
        {"\"hidden_size\": 128", "\"hidden_size\": 128, \"head_dim\": null"},
        {"\"hidden_size\": 128", "\"hidden_size\": 128.0, \"head_dim\": 32"},
        {"\"exaone4_5_text\"", "\"exaone4_vl_text\""},
        {"\"model_type\": \"exaone4_5_text\",", ""},
        {"\"num_nextn_predict_layers\": 1,", ""},
        {"\"_num_mtp_layers\": 1,", "\"reorder_qk_norm\": true,"},
        {"\"rope_type\": \"llama3\"", "\"type\": \"llama3\""},
        {"\"rope_scaling\"", "\"rope_scaling\": null, \"rope_parameters\""},
        {"\"rope_scaling\"", "\"rope_theta\": 17, \"rope_scaling\""}, /* the one inside wins */
        {"\"hidden_act\": \"silu\",", ""},
        {"\"sliding_window_pattern\": \"LLLG\"", "\"sliding_window_pattern\": 4"},
        {"\"fullatt_block_indexes\": [", "\"fullatt_block_indexes\": [1, 99,"},
        {"\"patch_size\": 14,", ""},
        {"\"quantization_config\"", NULL},
    };
    char *base = nano_text();
    exaone_config a, c;
    parsed(base, NULL, &a);
    for (size_t i = 0; equal[i].to; i++) {
        char *text = edited(base, equal[i].from, equal[i].to);
        parsed(text, NULL, &c);
        same(&a, &c);
        same_rule(&a, &c);
        exaone_config_release(&c);
        free(text);
    }
    exaone_config_release(&a);

    char *text = edited(base, "\"sliding_window\": 5", "\"sliding_window\": null");
    parsed(text, NULL, &c);
    assert_int_equal(c.sliding_window, 0);
    exaone_config_release(&c);
    free(text);

    text = edited(base, "\"rope_type\": \"llama3\"", "\"rope_type\": \"default\"");
    parsed(text, NULL, &c);
    assert_true(!c.rope.llama3 && c.rope.rope_theta == 3000);
    exaone_config_release(&c);
    free(text);

    /* theta in one object, the scaling in the other */
    static const char *const split[] = {"\"rope_parameters\": {\"rope_theta\": 3000.0}, \"rope_scaling\": {",
                                        "\"rope_scaling\": {\"rope_theta\": 3000.0}, \"rope_parameters\": {"};
    char *without = edited(base, "\"rope_theta\": 3000.0,", "");
    for (size_t i = 0; i < 2; i++) {
        text = edited(without, "\"rope_scaling\": {", split[i]);
        parsed(text, NULL, &c);
        assert_true(c.rope.llama3 && c.rope.factor == 8 && c.rope.rope_theta == 3000);
        exaone_config_release(&c);
        free(text);
    }
    free(without);

    text = edited(base, "\"eos_token_id\": 53", "\"eos_token_id\": [53, 7, 8]");
    parsed(text, "{\"eos_token_id\": null, \"top_k\": 20, \"max_new_tokens\": 9, \"do_sample\": false}", &c);
    assert_int_equal(c.n_eos_token_ids, 3);
    assert_true(c.generation.has_top_k && c.generation.top_k == 20 && c.generation.max_new_tokens == 9);
    assert_true(c.generation.has_do_sample && !c.generation.do_sample);
    exaone_config_release(&c);
    free(text);

    text = edited(base, "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    parsed(text, NULL, &c);
    assert_true(c.tie_word_embeddings);
    exaone_config_release(&c);
    free(text);
    free(base);
}

static void layer_patterns(void **state) {
    (void)state;
    static const struct {
        const char *fields, *layers; /* S, F */
    } cases[] = {
        {"\"sliding_window_pattern\": \"LLLG\"", "SSSFSS"},
        {"\"sliding_window_pattern\": \"LG\"", "SFSFSF"},
        {"\"sliding_window_pattern\": \"GLLLLLLLL\"", "FSSSSS"},
        {"\"sliding_window_pattern\": 3", "SSFSSF"},
        {"\"sliding_window_pattern\": 1", "FFFFFF"},
        {"\"sliding_window_pattern\": null", "SSSFSS"},
        {"\"layer_types\": null", "SSSFSS"},
        {"\"sliding_window\": null", "FFFFFF"},
        {"\"sliding_window_pattern\": \"LLLG\", \"layer_types\": [\"full_attention\", \"sliding_attention\", "
         "\"full_attention\","
         "\"full_attention\", \"full_attention\", \"full_attention\", \"sliding_attention\"]",
         "FSFFFF"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[600];
        exaone_config c;
        snprintf(json, sizeof json, "{\"model_type\": \"exaone4\", \"num_hidden_layers\": 6, %s}", cases[i].fields);
        parsed(json, NULL, &c);
        assert_false(c.has_vision);
        assert_int_equal(c.hidden_size, 4096); /* the reference's defaults */
        assert_int_equal(c.vocab_size, 102400);
        assert_true(c.rope.rope_theta == 10000 && !c.rope.llama3);
        assert_int_equal(c.image_token_id, -1);
        for (int l = 0; l < 6; l++) {
            assert_int_equal(c.sliding[l], cases[i].layers[l] == 'S');
        }
        exaone_config_release(&c);
    }
}

static const struct {
    const char *from, *to, *words;
    exaone_status status;
} BROKEN[] = {
    {"\"exaone4_5\"", "\"exaone_moe\"", "model_type is \"exaone_moe\"", EXAONE_ERR_MODEL},
    {"\"exaone4_5\"", "17", "model_type is not a text", EXAONE_ERR_MODEL},
    {"\"model_type\": \"exaone4_5\",", "", "model_type is missing", EXAONE_ERR_MODEL},
    {"\"exaone4_5_text\"", "\"llama\"", "text_config.model_type is \"llama\"", EXAONE_ERR_MODEL},
    {"\"exaone4_5_vision\"", "\"qwen2_vl\"", "vision_config.model_type is \"qwen2_vl\"", EXAONE_ERR_MODEL},
    {"\"text_config\"", "\"other\"", "text_config is missing", EXAONE_ERR_MODEL},
    {"\"vision_config\": {", "\"vision_config\": 3, \"x\": {", "vision_config is no object", EXAONE_ERR_MODEL},
    {"\"image_token_id\"", "\"quantization_config\": {\"quant_method\": \"compressed-tensors\"}, \"image_token_id\"",
     "config.json: quantization_config.config_groups is no object of 1 to 16 groups", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 128, \"quantization_config\": {}",
     "text_config.quantization_config.quant_method is missing, this version computes compressed-tensors and fp8",
     EXAONE_ERR_UNSUPPORTED},
    {"\"hidden_size\": 128", "\"hidden_size\": 128, \"quantization_config\": {\"quant_method\": \"awq\"}",
     "quantization_config.quant_method is \"awq\"", EXAONE_ERR_UNSUPPORTED},
    {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act is \"gelu\"", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 128, \"attention_bias\": true",
     "text_config.attention_bias is true, this version computes only false", EXAONE_ERR_UNSUPPORTED},
    {"\"hidden_size\": 128", "\"hidden_size\": 0", "text_config.hidden_size is 0, it must be from 1 to", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": \"128\"", "text_config.hidden_size is \"128\", not an integer",
     EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 128.5", "text_config.hidden_size is 128.5, not an integer", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": [1]", "text_config.hidden_size is an array, not an integer",
     EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 1e999", "text_config.hidden_size is 1e999", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 99999999999999999999", "text_config.hidden_size is 9999", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 2000000000", "it must be from 1 to 1048576", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 130", "text_config.hidden_size 130 is not a multiple of the 4",
     EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 124", "head_dim is 31, it must be even", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 128, \"head_dim\": 0", "text_config.head_dim is 0", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 128, \"head_dim\": 514", "head_dim is 514", EXAONE_ERR_MODEL},
    {"\"hidden_size\": 128", "\"hidden_size\": 256", "the vision tower gives vectors of 128", EXAONE_ERR_MODEL},
    {"\"num_attention_heads\": 4", "\"num_attention_heads\": 0", "num_attention_heads is 0", EXAONE_ERR_MODEL},
    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 0", "num_key_value_heads is 0", EXAONE_ERR_MODEL},
    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "it must divide the 4 attention heads", EXAONE_ERR_MODEL},
    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 8", "it must divide the 4 attention heads", EXAONE_ERR_MODEL},
    {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 0", "num_hidden_layers is 0", EXAONE_ERR_MODEL},
    {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 1000000000", "it must be from 1 to 1024", EXAONE_ERR_MODEL},
    {"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5", "layer_types has 4 entries for 5 layers", EXAONE_ERR_MODEL},
    {"\"layer_types\": [", "\"layer_types\": [\"other\",", "layer_types[0] is neither", EXAONE_ERR_MODEL},
    {"\"layer_types\": [", "\"layer_types\": 7, \"x\": [", "layer_types is no array", EXAONE_ERR_MODEL},
    {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": -1", "rms_norm_eps is -1", EXAONE_ERR_MODEL},
    {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": \"NaN\"", "rms_norm_eps is \"NaN\", not a finite number",
     EXAONE_ERR_MODEL},
    {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": NaN", "config.json: JSON", EXAONE_ERR_FORMAT},
    {"\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 1e999", "rms_norm_eps is 1e999, not a finite number", EXAONE_ERR_MODEL},
    {"\"sliding_window\": 5", "\"sliding_window\": 0", "sliding_window is 0", EXAONE_ERR_MODEL},
    {"\"sliding_window\": 5", "\"sliding_window\": -5", "sliding_window is -5", EXAONE_ERR_MODEL},
    {"\"rope_type\": \"llama3\"", "\"rope_type\": \"yarn\"", "rope_type is \"yarn\"", EXAONE_ERR_MODEL},
    {"\"rope_theta\": 3000.0", "\"rope_theta\": 0", "rope_theta is 0", EXAONE_ERR_MODEL},
    {"\"factor\": 8.0", "\"factor\": 0", "factor is 0", EXAONE_ERR_MODEL},
    {"\"factor\": 8.0,", "", "factor is missing", EXAONE_ERR_MODEL},
    {"\"high_freq_factor\": 4.0", "\"high_freq_factor\": 1", "it must be above low_freq_factor 1", EXAONE_ERR_MODEL},
    {"\"original_max_position_embeddings\": 48", "\"original_max_position_embeddings\": 0", "is 0", EXAONE_ERR_MODEL},
    {"\"vocab_size\": 256", "\"vocab_size\": 0", "vocab_size is 0", EXAONE_ERR_MODEL},
    {"\"vocab_size\": 256", "\"vocab_size\": 70", "vision_start_token_id is 73, the vocabulary has 70 tokens",
     EXAONE_ERR_MODEL},
    {"\"eos_token_id\": 53", "\"eos_token_id\": 256", "eos_token_id is 256, the vocabulary has 256 tokens",
     EXAONE_ERR_MODEL},
    {"\"eos_token_id\": 53", "\"eos_token_id\": -1", "eos_token_id is -1", EXAONE_ERR_MODEL},
    {"\"eos_token_id\": 53", "\"eos_token_id\": [1,2,3,4,5,6,7,8,9]", "lists 9 ids, the limit is 8", EXAONE_ERR_MODEL},
    {"\"eos_token_id\": 53", "\"eos_token_id\": [null]", "something else than token ids", EXAONE_ERR_MODEL},
    {"\"num_nextn_predict_layers\": 1", "\"num_nextn_predict_layers\": 2", "num_nextn_predict_layers is 2",
     EXAONE_ERR_MODEL},
    {"\"max_position_embeddings\": 512", "\"max_position_embeddings\": 0", "max_position_embeddings is 0", EXAONE_ERR_MODEL},
    {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": 0", "tie_word_embeddings is 0, neither", EXAONE_ERR_MODEL},
    {"\"depth\": 2", "\"depth\": 0", "vision_config.depth is 0", EXAONE_ERR_MODEL},
    {"\"num_heads\": 6", "\"num_heads\": 5", "vision hidden_size 48 is not a multiple of its 5 heads", EXAONE_ERR_MODEL},
    {"\"num_heads\": 6", "\"num_heads\": 24", "vision head size 2 is not a multiple of 4", EXAONE_ERR_MODEL},
    {"\"window_size\": 112", "\"window_size\": 27", "vision window_size is 27, it must be at least 28", EXAONE_ERR_MODEL},
    {"\"patch_size\": 14", "\"patch_size\": 16", "patch_size is 16, this version computes only 14", EXAONE_ERR_UNSUPPORTED},
    {"\"fullatt_block_indexes\": [", "\"fullatt_block_indexes\": [-1,", "fullatt_block_indexes holds something else",
     EXAONE_ERR_MODEL},
    {"{", "[{", "config.json: JSON", EXAONE_ERR_FORMAT},
};

static void broken_values(void **state) {
    (void)state;
    char *base = nano_text();
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        char *text = edited(base, BROKEN[i].from, BROKEN[i].to);
        exaone_config c;
        exaone_error err = {0};
        exaone_status status = parse(text, NULL, &c, &err);
        if (status != BROKEN[i].status || !strstr(err.message, BROKEN[i].words) ||
            strncmp(err.message, "config.json: ", 13) != 0) {
            fail_msg("%s: status %d, message \"%s\"", BROKEN[i].to, (int)status, err.message);
        }
        assert_null(c.sliding);
        free(text);
    }
    static const char *const generation[] = {
        "[]",
        "{\"temperature\": -1}",
        "{\"temperature\": \"1\"}",
        "{\"top_p\": 1.5}",
        "{\"top_k\": -1}",
        "{\"repetition_penalty\": 0}",
        "{\"do_sample\": 1}",
        "{\"eos_token_id\": 300}",
        "{\"max_new_tokens\": 0}",
        "{\"presence_penalty\": 1e300}",
    };
    for (size_t i = 0; i < sizeof generation / sizeof *generation; i++) {
        exaone_config c;
        exaone_error err = {0};
        if (parse(base, generation[i], &c, &err) == EXAONE_OK) {
            fail_msg("%s was accepted", generation[i]);
        }
        assert_null(c.sliding);
    }
    free(base);
}

/* Every beginning of the file is refused. */
static void cut_texts(void **state) {
    (void)state;
    char *base = nano_text();
    size_t n = strlen(base);
    while (base[n - 1] != '}') {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        char *copy = malloc(i ? i : 1);
        assert_non_null(copy);
        memcpy(copy, base, i);
        exaone_config c;
        exaone_error err = {0};
        assert_int_not_equal(exaone_config_parse("c", copy, i, NULL, NULL, 0, &c, &err), EXAONE_OK);
        free(copy);
    }
    free(base);
}

static void mtp_follows_the_files(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_tensors *all, *some = exaone_tensors_new();
    assert_int_equal(exaone_tensors_load("models/tiny/model.safetensors", &all, &err), EXAONE_OK);
    for (size_t i = 0; i < exaone_tensors_count(all); i++) {
        const exaone_tensor *t = exaone_tensors_at(all, i);
        if (strncmp(t->name, "mtp.", 4) != 0) {
            assert_int_equal(exaone_tensors_add(some, t->name, t->dtype, t->n_dims, t->dims, t->data, &err), EXAONE_OK);
        }
    }
    size_t n;
    char *config = fixture_read("models/tiny/config.json", &n);
    scratch_write("no-mtp/config.json", config, n);
    assert_int_equal(exaone_tensors_save(some, scratch_path("no-mtp/model.safetensors"), &err), EXAONE_OK);
    exaone_config c;
    load(scratch_path("no-mtp"), NULL, &c);
    assert_int_equal(c.num_mtp_layers, 0);
    exaone_config_release(&c);
    exaone_tensors_free(all);
    exaone_tensors_free(some);
    free(config);
}

/* ---- GGUF, edited --------------------------------------------------------------------------------------------------------
 */

static exaone_status write_factors(void *ctx, exaone_writer *out, exaone_error *err) {
    (void)err;
    for (int i = 0; i < 16; i++) {
        const float value = i == 15 ? *(const float *)ctx : 1;
        exaone_writer_put(out, &value, sizeof value);
    }
    return EXAONE_OK;
}

/* A text file without tensors but with these keys: `omit` is left out, `key` has another value. */
static const char *keys_only(const char *omit, const char *key, uint32_t value) {
    static const struct {
        const char *key;
        uint32_t value;
    } usual[] = {
        {"exaone4.block_count", 5},          {"exaone4.nextn_predict_layers", 1},    {"exaone4.context_length", 512},
        {"exaone4.embedding_length", 128},   {"exaone4.feed_forward_length", 96},    {"exaone4.vocab_size", 256},
        {"exaone4.attention.head_count", 4}, {"exaone4.attention.head_count_kv", 2}, {"exaone4.attention.sliding_window", 5},
        {"tokenizer.ggml.eos_token_id", 53}, {"exaone4.attention.value_length", 32}, {"exaone4.rope.dimension_count", 32},
    };
    exaone_gguf_writer w;
    exaone_error err = {0};
    exaone_gguf_writer_init(&w);
    exaone_gguf_put_text(&w, "general.architecture", strcmp(omit, "arch") == 0 ? "exaone-moe" : "exaone4");
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(usual[i].key, omit) != 0) {
            exaone_gguf_put_u32(&w, usual[i].key, strcmp(usual[i].key, key) == 0 ? value : usual[i].value);
        }
    }
    if (strcmp(omit, "eps") != 0) {
        exaone_gguf_put_f32(&w, "exaone4.attention.layer_norm_rms_epsilon", strcmp(omit, "nan") == 0 ? NAN : 1e-5f);
    }
    if (strcmp(omit, "theta") != 0) {
        exaone_gguf_put_f32(&w, "exaone4.rope.freq_base", 1e6f);
    }
    if (strcmp(omit, "exaone4.attention.sliding_window") == 0) {
        exaone_gguf_put_bools(&w, "exaone4.attention.sliding_window_pattern", (const bool[]){false, true, true, true, true},
                              5);
    }
    if (strcmp(omit, "pattern") == 0) {
        exaone_gguf_put_bools(&w, "exaone4.attention.sliding_window_pattern", (const bool[]){true, false}, 2);
    } else if (strcmp(omit, "scaling") == 0) {
        exaone_gguf_put_text(&w, "exaone4.rope.scaling.type", "yarn");
    } else if (strcmp(omit, "tokens") == 0) {
        exaone_gguf_put_strings(&w, "tokenizer.ggml.tokens", (const exaone_gguf_view[]){{"a", 1}, {"b", 1}}, 2);
    } else if (strcmp(omit, "text") == 0) {
        exaone_gguf_put_text(&w, "exaone4.attention.key_length", "32");
    }
    static float last;
    last = strcmp(omit, "factor nan") == 0 ? NAN : strcmp(omit, "factor inf") == 0 ? INFINITY : 0;
    if (strcmp(omit, "exaone4.nextn_predict_layers") == 0) {
        exaone_gguf_put_tensor(&w, "blk.4.nextn.enorm.weight", EXAONE_F32, 1, (const uint64_t[]){16}, write_factors, &last);
    }
    if (strncmp(omit, "factor ", 7) == 0) {
        exaone_gguf_put_tensor(&w, "rope_freqs.weight", EXAONE_F32, 1, (const uint64_t[]){16}, write_factors, &last);
    }
    const char *path = scratch_path("keys.gguf");
    assert_int_equal(exaone_gguf_writer_save(&w, path, &err), EXAONE_OK);
    exaone_gguf_writer_release(&w);
    return path;
}

static void broken_gguf_values(void **state) {
    (void)state;
    static const struct {
        const char *omit, *key;
        uint32_t value;
        const char *words;
    } cases[] = {
        {"exaone4.block_count", "", 0, "exaone4.block_count is missing"},
        {"exaone4.embedding_length", "", 0, "exaone4.embedding_length is missing"},
        {"exaone4.vocab_size", "", 0, "exaone4.vocab_size is missing"},
        {"arch", "", 0, "general.architecture is \"exaone-moe\""},
        {"eps", "", 0, "exaone4.attention.layer_norm_rms_epsilon is missing"},
        {"theta", "", 0, "exaone4.rope.freq_base is missing"},
        {"exaone4.attention.sliding_window", "", 0,
         "exaone4.attention.sliding_window is missing, but exaone4.attention.sliding_window_pattern[1] is true"},
        {"exaone4.nextn_predict_layers", "", 0,
         "exaone4.nextn_predict_layers is missing, but there is a tensor blk.4.nextn.enorm.weight"},
        {"nan", "", 0, "layer_norm_rms_epsilon is nan"},
        {"pattern", "", 0, "sliding_window_pattern has 2 entries for 4 layers"},
        {"scaling", "", 0, "exaone4.rope.scaling.type is \"yarn\""},
        {"tokens", "", 0, "exaone4.vocab_size is 256, tokenizer.ggml.tokens has 2 entries"},
        {"text", "", 0, "exaone4.attention.key_length is not an integer"},
        {"factor 0", "", 0, "rope_freqs.weight[15] is 0, it must be a positive number"},
        {"factor nan", "", 0, "rope_freqs.weight[15] is nan"},
        {"factor inf", "", 0, "rope_freqs.weight[15] is inf"},
        {"", "exaone4.block_count", 0, "exaone4.block_count is 0"},
        {"", "exaone4.block_count", 1, "exaone4.block_count is 1 with 1 nextn layers"},
        {"", "exaone4.block_count", 1000000000, "exaone4.block_count is 1000000000, it must be from 1 to 1025"},
        {"", "exaone4.nextn_predict_layers", 2, "nextn_predict_layers is 2"},
        {"", "exaone4.attention.head_count", 0, "head_count is 0"},
        {"", "exaone4.attention.head_count", 3, "not a multiple of the 3 attention heads"},
        {"", "exaone4.attention.head_count_kv", 0, "head_count_kv is 0"},
        {"", "exaone4.attention.head_count_kv", 8, "must divide the 4 attention heads"},
        {"", "exaone4.attention.sliding_window", 0, "sliding_window is 0"},
        {"", "exaone4.attention.value_length", 64, "value_length is 64, this version computes only 32"},
        {"", "exaone4.rope.dimension_count", 16, "dimension_count is 16"},
        {"", "exaone4.context_length", 0, "context_length is 0"},
        {"", "tokenizer.ggml.eos_token_id", 256, "eos_token_id is 256, it must be from 0 to 255"},
    };
    exaone_config c;
    load(keys_only("", "", 0), NULL, &c); /* the unbroken file */
    assert_int_equal(c.num_hidden_layers, 4);
    assert_int_equal(c.num_mtp_layers, 0); /* announced, but without tensors */
    assert_true(c.sliding[0] && !c.sliding[3] && c.tie_word_embeddings);
    exaone_config_release(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exaone_weights *w;
        exaone_error err = {0};
        assert_int_equal(exaone_weights_open(keys_only(cases[i].omit, cases[i].key, cases[i].value), NULL, &w, &err),
                         EXAONE_OK);
        exaone_status status = exaone_config_load(w, &c, &err);
        if (status == EXAONE_OK || !strstr(err.message, cases[i].words)) {
            fail_msg("%s%s: status %d, message \"%s\"", cases[i].omit, cases[i].key, (int)status, err.message);
        }
        assert_null(c.sliding);
        exaone_weights_close(w);
    }
}

static void the_wrong_mmproj_is_refused(void **state) {
    (void)state;
    exaone_error err = {0};
    exaone_weights *w;
    exaone_config c;
    const char *text = scratch_path("wrong.gguf");
    assert_int_equal(make_gguf("models/tiny", text, NULL, EXAONE_BF16, &err), EXAONE_OK);
    assert_int_equal(exaone_weights_open(text, text, &w, &err), EXAONE_ERR_FORMAT); /* every tensor twice */
    assert_int_equal(exaone_weights_open(keys_only("", "", 0), "tests/golden/edges/weights/mmproj-tiny-f16.gguf", &w, &err),
                     EXAONE_OK);
    assert_int_equal(exaone_config_load(w, &c, &err), EXAONE_ERR_MODEL);
    assert_non_null(strstr(err.message, "the vision tower gives vectors of 256, the text model's hidden_size is 128"));
    exaone_weights_close(w);
    assert_int_equal(exaone_weights_open("tests/golden/edges/weights/mmproj-tiny-f16.gguf", NULL, &w, &err), EXAONE_OK);
    assert_int_equal(exaone_config_load(w, &c, &err), EXAONE_ERR_MODEL);
    assert_non_null(strstr(err.message, "\"clip\" (a vision tower, not the text model)"));
    exaone_weights_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_released_configuration),
        cmocka_unit_test(variants_are_equal),
        cmocka_unit_test(both_formats_are_equal),
        cmocka_unit_test(reference_gguf_files),
        cmocka_unit_test(other_spellings),
        cmocka_unit_test(layer_patterns),
        cmocka_unit_test(broken_values),
        cmocka_unit_test(cut_texts),
        cmocka_unit_test(mtp_follows_the_files),
        cmocka_unit_test(broken_gguf_values),
        cmocka_unit_test(the_wrong_mmproj_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
