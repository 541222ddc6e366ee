/* quantization_config: what is read, what is refused and with which words, which module has which scheme, and the patterns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/skip.h"
#include "model/name_pattern.h"
#include "model/quantization.h"

static exaone_status parse(const char *json, exaone_quantization **q, exaone_error *err) {
    exaone_arena arena;
    exaone_json *root;
    exaone_arena_init(&arena, 8 << 20);
    exaone_status status = exaone_json_parse(json, strlen(json), &arena, &root, err);
    assert_int_equal(status, EXAONE_OK);
    status = exaone_quantization_parse("config.json", "quantization_config.", root, q, err);
    exaone_arena_release(&arena);
    return status;
}

static exaone_quantization *parsed(const char *json) {
    exaone_error err = {0};
    exaone_quantization *q;
    if (parse(json, &q, &err) != EXAONE_OK) {
        fail_msg("%s", err.message);
    }
    return q;
}

/* As llm-compressor writes it, with everything that is read over. */
static const char AWQ[] =
    "{\"config_groups\": {\"group_0\": {\"format\": \"pack-quantized\", \"input_activations\": null, "
    "\"output_activations\": "
    "null, \"targets\": [\"Linear\"], \"weights\": {\"actorder\": null, \"block_structure\": null, \"dynamic\": false, "
    "\"group_size\": 128, \"num_bits\": 4, \"observer\": \"memoryless_minmax\", \"observer_kwargs\": {}, \"scale_dtype\": "
    "null, "
    "\"strategy\": \"group\", \"symmetric\": true, \"type\": \"int\", \"zp_dtype\": null}}}, \"format\": "
    "\"pack-quantized\", "
    "\"global_compression_ratio\": null, \"ignore\": [\"re:.*visual.*\", \"lm_head\", "
    "\"model.language_model.layers.0.mlp.up_proj\"], \"kv_cache_scheme\": null, \"quant_method\": \"compressed-tensors\", "
    "\"quantization_status\": \"compressed\", \"sparsity_config\": {}, \"transform_config\": {}, \"version\": \"0.12.2\"}";

static const char FP8_DYNAMIC[] =
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", \"config_groups\": {\"group_0\": "
    "{\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"channel\", "
    "\"symmetric\": "
    "true, \"dynamic\": false}, \"input_activations\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"token\", "
    "\"dynamic\": true}}}, \"ignore\": [\"lm_head\"], \"kv_cache_scheme\": {\"num_bits\": 8}}";

static void check(const char *json, const char *want) {
    exaone_quantization *q = parsed(json);
    exaone_buf b;
    exaone_buf_init(&b, 1000);
    exaone_quantization_describe(q, &b);
    char *text = exaone_buf_take(&b, NULL);
    assert_string_equal(text, want);
    free(text);
    exaone_quantization_free(q);
}

static void known_layouts(void **state) {
    (void)state;
    check(AWQ, "compressed-tensors: I4 group 128 symmetric");
    check(FP8_DYNAMIC, "compressed-tensors: F8_E4M3 channel");
    check("{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 64]}", "fp8: F8_E4M3 block 128x64");
    check("{\"quant_method\": \"fp8\", \"activation_scheme\": \"static\", \"weight_block_size\": null}",
          "fp8: F8_E4M3 tensor");
    check("{\"quant_method\": \"compressed-tensors\", \"format\": \"mixed-precision\", \"config_groups\": {\"a\": "
          "{\"targets\": "
          "[\"re:.*mlp.*\"], \"format\": \"pack-quantized\", \"weights\": {\"num_bits\": 4, \"group_size\": 32, "
          "\"symmetric\": "
          "false, \"actorder\": \"weight\"}}, \"b\": {\"targets\": [\"Linear\"], \"format\": \"naive-quantized\", "
          "\"weights\": "
          "{\"type\": \"float\", \"strategy\": \"block\", \"block_structure\": \"128x96\"}}, \"c\": {\"targets\": [\"x\"], "
          "\"format\": \"pack-quantized\", \"weights\": {\"num_bits\": 4, \"group_size\": -1}}}}",
          "compressed-tensors: I4 group 32 asymmetric, F8_E4M3 block 128x96, I4 channel symmetric");
}

/* A place in AWQ and what stands there instead. */
static const struct {
    const char *from, *to, *words;
    exaone_status status;
} BROKEN[] = {
    {"\"compressed-tensors\"", "\"gptq\"", "quantization_config.quant_method is \"gptq\", this", EXAONE_ERR_UNSUPPORTED},
    {"\"compressed-tensors\"", "17", "quant_method is 17", EXAONE_ERR_UNSUPPORTED},
    {"\"quant_method\": \"compressed-tensors\", ", "", "quant_method is missing", EXAONE_ERR_UNSUPPORTED},
    {"{\"format\": \"pack-quantized\"", "{\"format\": \"marlin-24\"",
     "quantization_config.config_groups.group_0.format is \"marlin-24\", this version", EXAONE_ERR_UNSUPPORTED},
    {"{\"format\": \"pack-quantized\"", "{\"format\": \"nvfp4-pack-quantized\"", "\"nvfp4-pack-quantized\"",
     EXAONE_ERR_UNSUPPORTED},
    {"}, \"format\": \"pack-quantized\"", "}, \"format\": \"int-quantized\"", "config.format is \"int-quantized\"",
     EXAONE_ERR_UNSUPPORTED},
    {"\"num_bits\": 4", "\"num_bits\": 8", "group_0.weights.num_bits is 8, this version computes", EXAONE_ERR_UNSUPPORTED},
    {"\"num_bits\": 4", "\"num_bits\": 0", "num_bits is 0, it must be from 1 to 64", EXAONE_ERR_MODEL},
    {"\"num_bits\": 4", "\"num_bits\": \"4\"", "num_bits is \"4\"", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": 0", "group_size is 0, it must be a multiple of 8 from 8", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": 12", "group_size is 12, it must be a multiple of 8", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": -2", "group_size is -2, it must be from -1 to 1048576", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": 2000000", "group_size is 2000000, it must be", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": 99999999999999999999999", "group_size is 9999", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": 1e2", "group_size is 1e2, it must be a multiple of 8", EXAONE_ERR_MODEL},
    {"\"group_size\": 128", "\"group_size\": null", "group_size is missing, it must be a multiple", EXAONE_ERR_MODEL},
    {"\"strategy\": \"group\"", "\"strategy\": \"tensor_group\"", "strategy is \"tensor_group\", packed integers",
     EXAONE_ERR_UNSUPPORTED},
    {"\"strategy\": \"group\"", "\"strategy\": \"tensor\"", "strategy is \"tensor\", packed", EXAONE_ERR_UNSUPPORTED},
    {"\"symmetric\": true", "\"symmetric\": 1", "symmetric is 1, it must be true or false", EXAONE_ERR_MODEL},
    {"\"type\": \"int\"", "\"type\": \"float\"", "type is \"float\", pack-quantized holds int", EXAONE_ERR_UNSUPPORTED},
    {"\"actorder\": null", "\"actorder\": \"group\"", "actorder is \"group\"", EXAONE_ERR_UNSUPPORTED},
    {"\"dynamic\": false", "\"dynamic\": true", "dynamic is true", EXAONE_ERR_UNSUPPORTED},
    {"\"zp_dtype\"", "\"zp_kind\"", "weights.zp_kind is a setting that this version does not know", EXAONE_ERR_UNSUPPORTED},
    {"\"input_activations\"", "\"outliers\"", "group_0.outliers is a setting", EXAONE_ERR_UNSUPPORTED},
    {"\"weights\": {", "\"weights\": null, \"input_activations\": {", "group_0.weights is missing", EXAONE_ERR_UNSUPPORTED},
    {"[\"Linear\"]", "[]", "group_0.targets is missing", EXAONE_ERR_MODEL},
    {"[\"Linear\"]", "\"Linear\"", "group_0.targets is no list", EXAONE_ERR_MODEL},
    {"[\"Linear\"]", "[17]", "group_0.targets[0] is no name", EXAONE_ERR_MODEL},
    {"\"lm_head\"", "\"a\\u0000b\"", "ignore[1] is no name", EXAONE_ERR_MODEL},
    {"\"re:.*visual.*\"", "\"re:(visual\"", "ignore: the pattern \"re:(visual\" is not understood: a group has no end",
     EXAONE_ERR_UNSUPPORTED},
    {"\"re:.*visual.*\"", "\"re:a{500}b{400}\"", "it has too many steps", EXAONE_ERR_UNSUPPORTED},
    {"\"group_0\": {", "\"W4A16\": [\"Linear\"], \"group_0\": {", "config_groups.W4A16 is no object; named presets",
     EXAONE_ERR_UNSUPPORTED},
    {"\"sparsity_config\": {}", "\"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}", "sparsity_config is set",
     EXAONE_ERR_UNSUPPORTED},
    {"\"transform_config\": {}", "\"transform_config\": {\"R1\": 1}", "transform_config is set", EXAONE_ERR_UNSUPPORTED},
    {"\"compressed\"", "\"initialized\"", "quantization_status is \"initialized\"", EXAONE_ERR_UNSUPPORTED},
    {"{\"config_groups\": {", "{\"config_groups\": {}, \"x\": {", "config_groups is no object of 1 to 16", EXAONE_ERR_MODEL},
};

static char *edited(const char *base, const char *from, const char *to) {
    const char *at = strstr(base, from);
    assert_non_null(at);
    char *text = malloc(strlen(base) + strlen(to) + 1);
    sprintf(text, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
    return text;
}

static void refused(const char *json, const char *words, exaone_status status) {
    exaone_error err = {0};
    exaone_quantization *q;
    exaone_status got = parse(json, &q, &err);
    if (got != status || !strstr(err.message, words)) {
        fail_msg("want %d \"%s\", got %d \"%s\"", (int)status, words, (int)got, err.message);
    }
    assert_null(q);
}

static void refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        char *text = edited(AWQ, BROKEN[i].from, BROKEN[i].to);
        refused(text, BROKEN[i].words, BROKEN[i].status);
        free(text);
    }
    static const struct {
        const char *json, *words;
        exaone_status status;
    } fp8[] = {
        {"\"fmt\": \"e5m2\"", "fmt is \"e5m2\", this version computes e4m3", EXAONE_ERR_UNSUPPORTED},
        {"\"activation_scheme\": \"odd\"", "activation_scheme is \"odd\"", EXAONE_ERR_UNSUPPORTED},
        {"\"weight_block_size\": [128]", "weight_block_size is [128], it must be two numbers", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": [0, 128]", "weight_block_size is [0, 128], it must be two numbers", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": [[], 128]", "weight_block_size is a list, it must be two numbers", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": [128, 0]", "weight_block_size is", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": [-1, 128]", "weight_block_size is", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": [128, 1048577]", "weight_block_size is", EXAONE_ERR_MODEL},
        {"\"weight_block_size\": \"128x128y\"", "weight_block_size is \"128x128y\"", EXAONE_ERR_MODEL},
        {"\"modules_to_not_convert\": {}", "modules_to_not_convert is no list", EXAONE_ERR_MODEL},
    };
    for (size_t i = 0; i < sizeof fp8 / sizeof *fp8; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"quant_method\": \"fp8\", %s}", fp8[i].json);
        refused(text, fp8[i].words, fp8[i].status);
    }
    char *text = edited(FP8_DYNAMIC, "\"channel\"", "\"group\"");
    refused(text, "strategy is \"group\", F8_E4M3 is computed in tensor, channel and block", EXAONE_ERR_UNSUPPORTED);
    free(text);
    text = edited(FP8_DYNAMIC, "\"symmetric\": true", "\"symmetric\": false");
    refused(text, "symmetric is false", EXAONE_ERR_UNSUPPORTED);
    free(text);
}

static void hostile_lists(void **state) {
    (void)state;
    char *text = malloc(1 << 20), *p = text;
    p += sprintf(p, "{\"quant_method\": \"fp8\", \"ignored_layers\": [\"x\"");
    for (int i = 0; i < 4096; i++) {
        p += sprintf(p, ", \"model.layers.%d\"", i);
    }
    sprintf(p, "]}");
    refused(text, "ignored_layers is no list of at most 4096 names", EXAONE_ERR_MODEL);
    p = text + sprintf(text, "{\"quant_method\": \"fp8\", \"ignored_layers\": [\"x\"");
    for (int i = 0; i < 100; i++) {
        p += sprintf(p, ", \"re:a{500}\"");
    }
    sprintf(p, "]}");
    refused(text, "all patterns together have more than 8192 steps", EXAONE_ERR_LIMIT);
    p = text + sprintf(text, "{\"quant_method\": \"fp8\", \"ignored_layers\": [\"");
    memset(p, 'x', 600);
    sprintf(p + 600, "\"]}");
    refused(text, "ignored_layers[0] is no name of at most 512 bytes", EXAONE_ERR_MODEL);
    free(text);
}

static void schemes(void **state) {
    (void)state;
    exaone_quantization *q = parsed(AWQ);
    const char *in = "model.language_model.layers.1.mlp.up_proj";
    assert_non_null(exaone_quantization_scheme(q, in, NULL));
    assert_null(exaone_quantization_scheme(q, "model.language_model.layers.0.mlp.up_proj", NULL));
    assert_null(exaone_quantization_scheme(q, in, "model.language_model.layers.0.mlp.up_proj"));
    assert_null(exaone_quantization_scheme(q, "lm_head", NULL));
    assert_null(exaone_quantization_scheme(q, "model.visual.blocks.0.attn.qkv", NULL));
    assert_null(exaone_quantization_scheme(q, "model.language_model.embed_tokens", NULL));
    assert_non_null(exaone_quantization_scheme(q, "mtp.fc", NULL));
    exaone_quantization_free(q);
    q = parsed("{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": {"
               "\"a\": {\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 4, \"group_size\": 8}},"
               "\"b\": {\"targets\": [\"re:.*up_proj\", \"re:.*gate\"], \"weights\": {\"num_bits\": 4, \"group_size\": 16}},"
               "\"c\": {\"targets\": [\"re:.*layers.1\"], \"weights\": {\"num_bits\": 4, \"group_size\": 24}},"
               "\"d\": {\"targets\": [\"l.up_proj\"], \"weights\": {\"num_bits\": 4, \"group_size\": 32}}}}");
    assert_int_equal(exaone_quantization_scheme(q, "l.down_proj", NULL)->cols_per_scale, 8);
    assert_int_equal(exaone_quantization_scheme(q, "m.up_proj", NULL)->cols_per_scale, 16);
    assert_int_equal(exaone_quantization_scheme(q, "layers.1.up_proj", NULL)->cols_per_scale,
                     24); /* "re:.*l" before "re:.*u" */
    assert_int_equal(exaone_quantization_scheme(q, "layers.1.gate", NULL)->cols_per_scale, 16);
    assert_int_equal(exaone_quantization_scheme(q, "l.up_proj", NULL)->cols_per_scale, 32);
    assert_int_equal(exaone_quantization_scheme(q, "m.down_proj", "l.up_proj")->cols_per_scale, 32);
    exaone_quantization_free(q);
    q = parsed("{\"quant_method\": \"fp8\", \"modules_to_not_convert\": [\"lm_head\", \"visual\", \"layers.1\"]}");
    assert_null(exaone_quantization_scheme(q, "model.visual.blocks.0.attn.qkv", NULL));
    assert_null(exaone_quantization_scheme(q, "model.layers.1.mlp.up_proj", NULL));
    assert_non_null(exaone_quantization_scheme(q, "model.layers.11.mlp.up_proj", NULL));
    assert_non_null(exaone_quantization_scheme(q, "model.visuals.x", NULL));
    exaone_quantization_free(q);
}

/* What Python's re.match says. */
static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *yes, *no;
    } cases[] = {
        {"lm_head", "lm_head", "lm_head.x"},
        {"re:lm_head", "lm_head.x", "x.lm_head"},
        {"re:lm_head$", "lm_head", "lm_head.x"},
        {"re:", "", NULL},
        {"re:.*", "anything", NULL},
        {"re:.*visual.*", "model.visual.blocks.0", "model.language"},
        {"re:model\\.visual\\..*", "model.visual.x", "modelxvisual.x"},
        {"re:.*\\.(q|k|v)_proj$", "a.k_proj", "a.o_proj"},
        {"re:.*layers\\.(0|1[0-9])\\.mlp", "x.layers.17.mlp", "x.layers.7.mlp"},
        {"re:(?:ab)+c", "ababc", "abab"},
        {"re:(?P<n>a|bc)*d", "abcabcd", "abcb"},
        {"re:a{2,3}b", "aaab", "ab"},
        {"re:a{2}b", "aab", "aaab"},
        {"re:a{,2}b", "b", "aaab"},
        {"re:a{2,}b", "aaaaab", "ab"},
        {"re:a{x}b", "a{x}b", "aab"},
        {"re:a{,}b", "aaaab", "a"},
        {"re:a??b", "ab", "aab"},
        {"re:.*?proj$", "a.proj", "a.project"},
        {"re:^(?!.*(visual|lm_head)).*proj", "model.q_proj", "model.visual.q_proj"},
        {"re:(?=.*mlp).*up", "a.mlp.up", "a.up"},
        {"re:mtp\\b", "mtp.fc", "mtp_fc"},
        {"re:mtp\\B.", "mtp_fc", "mtp.fc"},
        {"re:[^.]+\\.[a-c\\d_]+$", "x.ab_9", "x.xyz"},
        {"re:[]x]+$", "]x]", "]y"},
        {"re:[a-]+$", "a-a", "b"},
        {"re:[\\w.]+$", "a.b_c", "a/b"},
        {"re:\\D+\\d\\S\\s\\W\\w$", "ab1. .z", "1"},
        {"re:a|b|cd$", "cd", "cx"},
        {"re:a(|b)c", "ac", "abbc"},
        {"re:(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"},
        {"re:(a|aa)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"},
        {"re:((a|b)?c){2}\\Z", "acbc", "acbca"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exaone_error err = {0};
        size_t steps;
        if (exaone_name_pattern_check(cases[i].pattern, &steps, &err) != EXAONE_OK) {
            fail_msg("%s", err.message);
        }
        if (!exaone_name_pattern_match(cases[i].pattern, cases[i].yes) ||
            (cases[i].no && exaone_name_pattern_match(cases[i].pattern, cases[i].no))) {
            fail_msg("%s: %s or %s", cases[i].pattern, cases[i].yes, cases[i].no);
        }
    }
    static const char *const broken[] = {"re:*a",
                                         "re:a**",
                                         "re:(a",
                                         "re:a)",
                                         "re:[a",
                                         "re:[",
                                         "re:[b-a]",
                                         "re:a\\",
                                         "re:\\1",
                                         "re:(?i)a",
                                         "re:(?<=a)b",
                                         "re:a{3,2}",
                                         "re:(?P<>a)",
                                         "re:a++",
                                         "re:[\\",
                                         "re:[a-\\d]",
                                         "re:(?P=n)",
                                         "re:a{1001}",
                                         "re:(a{100}){100}",
                                         "re:\\q",
                                         "re:(?=(?=(?=a)))",
                                         "re:((((((((((((((((((((((((((a))))))))))))))))))))))))))",
                                         "re:(",
                                         "re:(?",
                                         "re:a{2}{"
                                         "3}*",
                                         NULL};
    for (size_t i = 0; broken[i]; i++) {
        exaone_error err = {0};
        size_t steps;
        if (exaone_name_pattern_check(broken[i], &steps, &err) != EXAONE_ERR_UNSUPPORTED) {
            fail_msg("%s is taken", broken[i]);
        }
        assert_non_null(strstr(err.message, "is not understood: "));
    }
}

/* Whatever allocation fails: an error, and nothing lost. */
static void allocations(void **state) {
    (void)state;
    if (!HAVE_COUNTER) {
        TEST_SKIP("the sanitizer brings its own allocator");
    }
    exaone_arena arena;
    exaone_json *root;
    exaone_error err = {0};
    exaone_arena_init(&arena, 1 << 20);
    assert_int_equal(exaone_json_parse(AWQ, strlen(AWQ), &arena, &root, &err), EXAONE_OK);
    exaone_status status = EXAONE_ERR_MEMORY;
    for (long n = 1; status != EXAONE_OK && n < 100; n++) {
        exaone_quantization *q;
        long before = live;
        fail_in = n;
        status = exaone_quantization_parse("config.json", "", root, &q, &err);
        fail_in = 0;
        assert_true(status == EXAONE_OK || (status == EXAONE_ERR_MEMORY && !q));
        exaone_quantization_free(q);
        assert_int_equal(live, before);
    }
    assert_int_equal(status, EXAONE_OK);
    exaone_arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_layouts), cmocka_unit_test(refusals), cmocka_unit_test(hostile_lists),
        cmocka_unit_test(schemes),       cmocka_unit_test(patterns), cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests_name("model/test_quantization", tests, NULL, NULL);
}
