/* Which type each tensor gets: the published mixes on the shapes of the 33B model, patterns, and rows that no block divides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "quant/recipe.h"

enum { HIDDEN = 5120, WIDE = 27392, KV = 1024, VOCAB = 153600, BLOCKS = 65 };

/* The matrices of a block of the 33B model; ne is innermost first. */
static const struct {
    const char *name;
    uint64_t ne[2];
} MATRICES[] = {
    {"attn_q", {HIDDEN, HIDDEN}},      {"attn_k", {HIDDEN, KV}},     {"attn_v", {HIDDEN, KV}},
    {"attn_output", {HIDDEN, HIDDEN}}, {"ffn_gate", {HIDDEN, WIDE}}, {"ffn_up", {HIDDEN, WIDE}},
    {"ffn_down", {WIDE, HIDDEN}},
};
enum { N_MATRICES = sizeof MATRICES / sizeof MATRICES[0] };

typedef struct sums {
    size_t n[EXAONE_DTYPE_COUNT];
    uint64_t bytes;
} sums;

static void count(const exaone_recipe *r, const exaone_recipe_model *m, const char *name, uint64_t columns, uint64_t rows,
                  size_t n_dims, sums *s) {
    exaone_dtype type = exaone_recipe_fit(exaone_recipe_choose(r, m, name, n_dims), columns);
    size_t bytes;
    assert_true(exaone_dtype_tensor_bytes(type, 2, (const uint64_t[]){rows, columns}, &bytes));
    s->n[type]++;
    s->bytes += bytes;
}

/* Every tensor of the 65-block file. */
static sums whole_model(const char *type, bool importance) {
    const exaone_recipe *r = exaone_recipe_find(type);
    assert_non_null(r);
    const exaone_recipe_model m = {.n_blocks = BLOCKS, .heads = 40, .kv_heads = 8, .importance = importance};
    sums s = {0};
    count(r, &m, "token_embd.weight", HIDDEN, VOCAB, 2, &s);
    count(r, &m, "output.weight", HIDDEN, VOCAB, 2, &s);
    count(r, &m, "output_norm.weight", HIDDEN, 1, 1, &s);
    count(r, &m, "rope_freqs.weight", 64, 1, 1, &s);
    static const struct {
        const char *name;
        uint64_t n;
    } vectors[] = {{"attn_q_norm", 128}, {"attn_k_norm", 128}, {"post_attention_norm", HIDDEN}, {"post_ffw_norm", HIDDEN}};
    char name[64];
    for (int i = 0; i < BLOCKS; i++) {
        for (int k = 0; k < N_MATRICES; k++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, MATRICES[k].name);
            count(r, &m, name, MATRICES[k].ne[0], MATRICES[k].ne[1], 2, &s);
        }
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, vectors[k].name);
            count(r, &m, name, vectors[k].n, 1, 1, &s);
        }
    }
    count(r, &m, "blk.64.nextn.eh_proj.weight", 2 * HIDDEN, HIDDEN, 2, &s);
    for (int k = 0; k < 3; k++) {
        count(r, &m, k == 0 ? "blk.64.nextn.enorm.weight" : "blk.64.nextn.hnorm.weight", HIDDEN, 1, 1, &s);
    }
    return s;
}

/* The published file of this type has 458 quantised and 265 F32 tensors and 20,047,839,424 bytes, of which the tensors are
 * 20,041,252,096 when 33 attn_v, 33 ffn_down and the output are Q6_K. */
static void q4_k_m_is_the_published_one(void **state) {
    (void)state;
    sums s = whole_model("Q4_K_M", false);
    assert_int_equal(s.n[EXAONE_Q6_K], 33 + 33 + 1);
    assert_int_equal(s.n[EXAONE_Q4_K], 458 - 67);
    assert_int_equal(s.n[EXAONE_F32], 265);
    assert_int_equal(s.bytes, UINT64_C(20041252096));
}

/* Blocks with more bits among 65, as the rule gives them: 0-7, 10, 13, …, 55, 56-64. */
static void more_bits_go_to_these_blocks(void **state) {
    (void)state;
    const exaone_recipe *r = exaone_recipe_find("q5_k_m");
    const exaone_recipe_model m = {.n_blocks = BLOCKS, .heads = 40, .kv_heads = 8};
    for (int i = 0; i < BLOCKS; i++) {
        bool more = i < 8 || i >= 56 || (i >= 10 && (i - 10) % 3 == 0);
        char v[64], down[64];
        snprintf(v, sizeof v, "blk.%d.attn_v.weight", i);
        snprintf(down, sizeof down, "blk.%d.ffn_down.weight", i);
        assert_int_equal(exaone_recipe_choose(r, &m, v, 2), more ? EXAONE_Q6_K : EXAONE_Q5_K);
        assert_int_equal(exaone_recipe_choose(r, &m, down, 2), more ? EXAONE_Q6_K : EXAONE_Q5_K);
    }
}

/* Counts that follow from the rules of docs/quantisation.md; n/8 = 8 and n/16 = 4 blocks. */
static void the_other_mixes(void **state) {
    (void)state;
    const struct {
        const char *type;
        bool importance;
        exaone_dtype dtype;
        size_t n;
    } cases[] = {
        {"F32", false, EXAONE_F32, 723},
        {"F16", false, EXAONE_F16, 458},
        {"BF16", false, EXAONE_BF16, 458},
        {"Q8_0", false, EXAONE_Q8_0, 458},
        {"Q6_K", false, EXAONE_Q6_K, 458},
        {"Q5_K_M", false, EXAONE_Q6_K, 67},
        {"Q5_K_S", false, EXAONE_Q6_K, 1},
        {"Q5_K_S", false, EXAONE_Q5_K, 457},
        {"Q4_K_S", false, EXAONE_Q5_K, 4 + 8},
        {"Q4_K_S", false, EXAONE_Q4_K, 457 - 12},
        {"Q4_0", false, EXAONE_Q4_0, 457},
        {"Q4_0", true, EXAONE_Q4_1, 8},
        {"IQ4_XS", false, EXAONE_Q5_K, 65 + 8}, /* attn_v: five heads share one */
        {"IQ4_XS", true, EXAONE_Q5_K, 65},
        {"IQ4_XS", false, EXAONE_IQ4_XS, 457 - 73},
        {"IQ4_NL", false, EXAONE_IQ4_NL, 457 - 73},
        {"Q3_K_M", false, EXAONE_Q5_K, 2 + 4},
        {"Q3_K_M", false, EXAONE_Q4_K, 63 + 61 + 65},
        {"Q3_K_M", false, EXAONE_Q3_K, 457 - 6 - 189},
        {"Q2_K", false, EXAONE_Q4_K, 65},
        {"Q2_K", false, EXAONE_Q3_K, 65 + 65},
        {"Q2_K", false, EXAONE_Q2_K, 457 - 195},
        {"MXFP4", false, EXAONE_Q8_0, 2},
        {"MXFP4", false, EXAONE_MXFP4, 456},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sums s = whole_model(cases[i].type, cases[i].importance);
        if (s.n[cases[i].dtype] != cases[i].n) {
            fail_msg("%s: %zu tensors are %s, want %zu", cases[i].type, s.n[cases[i].dtype],
                     exaone_dtype_name(cases[i].dtype), cases[i].n);
        }
    }
}

static void an_embedding_that_is_the_output_too_is_kept_better(void **state) {
    (void)state;
    exaone_recipe_model m = {.n_blocks = 8, .heads = 4, .kv_heads = 2, .tied = true};
    const exaone_recipe *r = exaone_recipe_find("Q4_K_S");
    assert_int_equal(exaone_recipe_choose(r, &m, "token_embd.weight", 2), EXAONE_Q6_K);
    m.tied = false;
    assert_int_equal(exaone_recipe_choose(r, &m, "token_embd.weight", 2), EXAONE_Q4_K);
    /* two heads share one attn_v: not worth more bits */
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("IQ4_XS"), &m, "blk.7.attn_v.weight", 2), EXAONE_IQ4_XS);
}

static void the_convolution_stays_a_float(void **state) {
    (void)state;
    const exaone_recipe_model m = {.n_blocks = 8, .heads = 4, .kv_heads = 2};
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("F16"), &m, "v.patch_embd.weight", 4), EXAONE_F16);
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("BF16"), &m, "v.patch_embd.weight.1", 4), EXAONE_F32);
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("Q8_0"), &m, "v.patch_embd.weight", 4), EXAONE_F32);
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("Q8_0"), &m, "mm.0.weight", 2), EXAONE_Q8_0);
    assert_int_equal(exaone_recipe_choose(exaone_recipe_find("Q8_0"), &m, "mm.0.bias", 1), EXAONE_F32);
}

static void rows_that_a_block_does_not_divide(void **state) {
    (void)state;
    const struct {
        exaone_dtype wanted;
        uint64_t n;
        exaone_dtype got;
    } cases[] = {
        {EXAONE_Q4_K, 512, EXAONE_Q4_K},    {EXAONE_Q4_K, 96, EXAONE_Q5_0},   {EXAONE_Q5_K, 96, EXAONE_Q5_1},
        {EXAONE_Q6_K, 96, EXAONE_Q8_0},     {EXAONE_Q2_K, 96, EXAONE_Q4_0},   {EXAONE_Q3_K, 96, EXAONE_Q4_0},
        {EXAONE_IQ4_XS, 96, EXAONE_IQ4_NL}, {EXAONE_Q4_K, 1176, EXAONE_F16},  {EXAONE_Q8_0, 1176, EXAONE_F16},
        {EXAONE_MXFP4, 14, EXAONE_F16},     {EXAONE_BF16, 1176, EXAONE_BF16}, {EXAONE_Q8_0, 1184, EXAONE_Q8_0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(exaone_recipe_fit(cases[i].wanted, cases[i].n), cases[i].got);
    }
}

static void names_of_types(void **state) {
    (void)state;
    exaone_dtype type;
    size_t n = 0;
    for (; exaone_quantize_types(n); n++) {
        assert_non_null(exaone_recipe_find(exaone_quantize_types(n)));
    }
    assert_int_equal(n, 15);
    for (n = 0; exaone_quantize_tensor_types(n); n++) {
        assert_true(exaone_recipe_tensor_type(exaone_quantize_tensor_types(n), &type));
    }
    assert_int_equal(n, 16);
    assert_string_equal(exaone_recipe_find("q4_k")->name, "Q4_K_M");
    assert_null(exaone_recipe_find("Q4_K_L"));
    assert_null(exaone_recipe_find(""));
    assert_false(exaone_recipe_tensor_type("Q4_K_M", &type));
    assert_int_equal(exaone_recipe_plain(EXAONE_BF16)->file_type, 32);
    assert_int_equal(exaone_recipe_plain(EXAONE_Q8_0)->file_type, 7);
    assert_null(exaone_recipe_plain(EXAONE_Q4_0));
    assert_null(exaone_recipe_plain(EXAONE_Q4_K));
}

static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"blk.*.attn_v.weight", "blk.12.attn_v.weight", true},
        {"blk.*.attn_v.weight", "blk.12.attn_v.bias", false},
        {"blk.?.attn_v.weight", "blk.12.attn_v.weight", false},
        {"blk.?.attn_v.weight", "blk.2.attn_v.weight", true},
        {"blk.[0-3].*", "blk.2.ffn_up.weight", true},
        {"blk.[0-3].*", "blk.4.ffn_up.weight", false},
        {"blk.[!0-3].*", "blk.4.ffn_up.weight", true},
        {"blk.[13].*", "blk.2.x", false},
        {"*", "", true},
        {"**", "x", true},
        {"", "", true},
        {"", "x", false},
        {"attn_v", "blk.0.attn_v.weight", false}, /* whole names */
        {"*attn_v*", "blk.0.attn_v.weight", true},
        {"a*b*c", "aXbXbc", true},
        {"a*b*c", "aXbXb", false},
        {"[", "[", true}, /* no set without its end */
        {"[abc", "[abc", true},
        {"[]]", "]", true},
        {"a.c", "abc", false}, /* a dot is a dot */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (exaone_recipe_matches(cases[i].pattern, cases[i].name) != cases[i].matches) {
            fail_msg("pattern \"%s\" and name \"%s\"", cases[i].pattern, cases[i].name);
        }
    }
    /* many stars on a long name that never matches end quickly: length x pattern steps */
    char name[4096], pattern[1024];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2) {
        pattern[i] = '*';
        pattern[i + 1] = 'a';
    }
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = 0;
    assert_false(exaone_recipe_matches(pattern, name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q4_k_m_is_the_published_one),
        cmocka_unit_test(more_bits_go_to_these_blocks),
        cmocka_unit_test(the_other_mixes),
        cmocka_unit_test(an_embedding_that_is_the_output_too_is_kept_better),
        cmocka_unit_test(the_convolution_stays_a_float),
        cmocka_unit_test(rows_that_a_block_does_not_divide),
        cmocka_unit_test(names_of_types),
        cmocka_unit_test(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
