/* Mixes, overrides and fallbacks: see recipe.h. The mixes are those under which the ecosystem publishes files: llama.cpp's
 * quantiser (src/llama-quant.cpp) names them, docs/quantisation.md tables them. */
#include "quant/recipe.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* MODEL: for models without experts the file type that says MXFP4 has no rule of its own elsewhere; here every matrix of the
 * blocks is MXFP4, the embedding and the output are Q8_0. */
static const exaone_recipe RECIPES[] = {
    {"F32", 0, EXAONE_F32},      {"F16", 1, EXAONE_F16},      {"BF16", 32, EXAONE_BF16},     {"Q8_0", 7, EXAONE_Q8_0},
    {"Q6_K", 18, EXAONE_Q6_K},   {"Q5_K_M", 17, EXAONE_Q5_K}, {"Q5_K_S", 16, EXAONE_Q5_K},   {"Q4_K_M", 15, EXAONE_Q4_K},
    {"Q4_K_S", 14, EXAONE_Q4_K}, {"Q4_0", 2, EXAONE_Q4_0},    {"IQ4_XS", 30, EXAONE_IQ4_XS}, {"IQ4_NL", 25, EXAONE_IQ4_NL},
    {"Q3_K_M", 12, EXAONE_Q3_K}, {"Q2_K", 10, EXAONE_Q2_K},   {"MXFP4", 38, EXAONE_MXFP4},
};
enum { N_RECIPES = sizeof RECIPES / sizeof RECIPES[0] };
enum {
    Q8_0 = 7,
    Q6_K = 18,
    Q5_K_M = 17,
    Q4_K_M = 15,
    Q4_K_S = 14,
    Q4_0 = 2,
    IQ4_XS = 30,
    IQ4_NL = 25,
    Q3_K_M = 12,
    Q2_K = 10,
    MXFP4 = 38
};

static const exaone_dtype TENSOR_TYPES[] = {
    EXAONE_F32,  EXAONE_F16,  EXAONE_BF16, EXAONE_Q8_0, EXAONE_Q6_K,   EXAONE_Q5_K,   EXAONE_Q5_1,  EXAONE_Q5_0,
    EXAONE_Q4_K, EXAONE_Q4_1, EXAONE_Q4_0, EXAONE_Q3_K, EXAONE_IQ4_NL, EXAONE_IQ4_XS, EXAONE_MXFP4, EXAONE_Q2_K,
};
enum { N_TENSOR_TYPES = sizeof TENSOR_TYPES / sizeof TENSOR_TYPES[0] };

const char *exaone_quantize_types(size_t i) {
    return i < N_RECIPES ? RECIPES[i].name : NULL;
}

const char *exaone_quantize_tensor_types(size_t i) {
    return i < N_TENSOR_TYPES ? exaone_dtype_name(TENSOR_TYPES[i]) : NULL;
}

const exaone_recipe *exaone_recipe_find(const char *name) {
    static const char *const alias[][2] = {{"Q5_K", "Q5_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q3_K", "Q3_K_M"}};
    for (size_t i = 0; i < sizeof alias / sizeof alias[0]; i++) {
        name = strcasecmp(name, alias[i][0]) == 0 ? alias[i][1] : name;
    }
    for (size_t i = 0; i < N_RECIPES; i++) {
        if (strcasecmp(RECIPES[i].name, name) == 0) {
            return &RECIPES[i];
        }
    }
    return NULL;
}

const exaone_recipe *exaone_recipe_plain(exaone_dtype dtype) {
    for (size_t i = 0; i < N_RECIPES; i++) {
        if (RECIPES[i].base == dtype && strcmp(RECIPES[i].name, exaone_dtype_name(dtype)) == 0 &&
            (RECIPES[i].file_type == Q8_0 || exaone_dtype_get(dtype)->block_elements == 1)) {
            return &RECIPES[i];
        }
    }
    return NULL;
}

bool exaone_recipe_tensor_type(const char *name, exaone_dtype *out) {
    for (size_t i = 0; i < N_TENSOR_TYPES; i++) {
        if (strcasecmp(exaone_dtype_name(TENSOR_TYPES[i]), name) == 0) {
            *out = TENSOR_TYPES[i];
            return true;
        }
    }
    return false;
}

/* The first and last eighth of the blocks, and every third between. */
static bool more(size_t i, size_t n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static exaone_dtype attn_v(const exaone_recipe *r, const exaone_recipe_model *m, size_t i) {
    bool shared = m->kv_heads > 0 && m->heads / m->kv_heads >= 4; /* small beside the other matrices */
    switch (r->file_type) {
    case Q2_K:
        return shared ? EXAONE_Q4_K : EXAONE_Q3_K;
    case Q3_K_M:
        return i < 2 ? EXAONE_Q5_K : EXAONE_Q4_K;
    case Q4_K_S:
        return i < 4 ? EXAONE_Q5_K : r->base;
    case Q4_K_M:
    case Q5_K_M:
        return more(i, m->n_blocks) ? EXAONE_Q6_K : r->base;
    case IQ4_NL:
    case IQ4_XS:
        return shared ? EXAONE_Q5_K : r->base;
    default:
        return r->base;
    }
}

static exaone_dtype ffn_down(const exaone_recipe *r, const exaone_recipe_model *m, size_t i) {
    bool first = i < m->n_blocks / 8;
    switch (r->file_type) {
    case Q2_K:
        return EXAONE_Q3_K;
    case Q3_K_M:
        return i < m->n_blocks / 16 ? EXAONE_Q5_K : EXAONE_Q4_K;
    case Q4_K_S:
        return first ? EXAONE_Q5_K : r->base;
    case Q4_K_M:
    case Q5_K_M:
        return more(i, m->n_blocks) ? EXAONE_Q6_K : r->base;
    case IQ4_NL:
    case IQ4_XS:
        return first && !m->importance ? EXAONE_Q5_K : r->base;
    case Q4_0:
        return first && m->importance ? EXAONE_Q4_1 : r->base;
    default:
        return r->base;
    }
}

/* "blk.7.attn_v.weight": 7 and "attn_v.weight"; false for other names. */
static bool block_of(const char *name, size_t *index, const char **rest) {
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9') {
        return false;
    }
    char *end;
    *index = strtoul(name + 4, &end, 10);
    *rest = end + (*end == '.');
    return *end == '.';
}

exaone_dtype exaone_recipe_choose(const exaone_recipe *r, const exaone_recipe_model *model, const char *name,
                                  size_t n_dims) {
    if (n_dims < 2) {
        return EXAONE_F32;
    }
    if (strncmp(name, "v.patch_embd.", 13) == 0) { /* a convolution, which is only run from F16 and F32 elsewhere */
        return r->base == EXAONE_F16 ? EXAONE_F16 : EXAONE_F32;
    }
    if (exaone_dtype_get(r->base)->block_elements == 1) {
        return r->base;
    }
    bool embedding = strcmp(name, "token_embd.weight") == 0;
    if (strcmp(name, "output.weight") == 0 || (embedding && model->tied)) {
        return r->file_type == Q8_0 || r->file_type == MXFP4 ? EXAONE_Q8_0 : EXAONE_Q6_K;
    }
    if (embedding && r->file_type == MXFP4) {
        return EXAONE_Q8_0;
    }
    size_t block;
    const char *rest;
    if (block_of(name, &block, &rest)) {
        if (strcmp(rest, "attn_v.weight") == 0) {
            return attn_v(r, model, block);
        }
        if (strcmp(rest, "ffn_down.weight") == 0) {
            return ffn_down(r, model, block);
        }
        if (strcmp(rest, "attn_output.weight") == 0 && (r->file_type == Q2_K || r->file_type == Q3_K_M)) {
            return r->file_type == Q2_K ? EXAONE_Q3_K : EXAONE_Q4_K;
        }
    }
    return r->base;
}

static bool divides(exaone_dtype dtype, uint64_t n) {
    return n % exaone_dtype_get(dtype)->block_elements == 0;
}

exaone_dtype exaone_recipe_fit(exaone_dtype wanted, uint64_t n) {
    if (divides(wanted, n)) {
        return wanted;
    }
    exaone_dtype other = wanted;
    switch (wanted) {
    case EXAONE_IQ4_XS:
        other = EXAONE_IQ4_NL;
        break;
    case EXAONE_Q2_K:
    case EXAONE_Q3_K:
        other = EXAONE_Q4_0;
        break;
    case EXAONE_Q4_K:
        other = EXAONE_Q5_0;
        break;
    case EXAONE_Q5_K:
        other = EXAONE_Q5_1;
        break;
    case EXAONE_Q6_K:
        other = EXAONE_Q8_0;
        break;
    default:
        break;
    }
    return divides(other, n) ? other : EXAONE_F16;
}

/* ---- patterns ------------------------------------------------------------------------------------------------------------
 */

/* The set that begins behind a '[': whether c is in it, and where the pattern goes on; NULL when no ']' follows. */
static const char *match_set(const char *set, char c, bool *in) {
    bool negated = *set == '!' || *set == '^';
    const char *p = set + negated, *begin = p;
    *in = false;
    for (; *p && (*p != ']' || p == begin); p++) {
        if (p[1] == '-' && p[2] && p[2] != ']') {
            *in = *in || (c >= p[0] && c <= p[2]);
            p += 2;
        } else {
            *in = *in || c == *p;
        }
    }
    *in = *in != negated;
    return *p ? p + 1 : NULL;
}

/* One character of the pattern that is no '*'; NULL when it does not match c. */
static const char *match_one(const char *pattern, char c) {
    if (*pattern == '[') {
        bool in;
        const char *behind = match_set(pattern + 1, c, &in);
        if (behind) {
            return in ? behind : NULL;
        }
    }
    return *pattern == '?' || *pattern == c ? pattern + 1 : NULL;
}

bool exaone_recipe_matches(const char *pattern, const char *name) {
    const char *star = NULL, *from = NULL; /* the last '*', and where what it stands for ends */
    while (*name) {
        const char *next;
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (*pattern && (next = match_one(pattern, *name))) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star;
            name = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == 0;
}
