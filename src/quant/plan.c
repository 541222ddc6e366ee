/* What goes into a new GGUF pair: see plan.h. */
#include "quant/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/half.h"
#include "base/mem.h"
#include "model/quantization.h"
#include "model/rope.h"
#include "quant/encode.h"

enum { PATCH = 14 * 14 };

typedef struct planner {
    const exaone_weights *weights;
    const exaone_config *config;
    const exaone_plan_wish *wish;
    exaone_plan *plan;
    exaone_recipe_model model;
    bool *matched;          /* [n_overrides] */
    size_t n_quantised;     /* source tensors in block types that are encoded anew */
    exaone_dtype quantised; /* one of their types */
    size_t n_vectors;       /* vectors in block types, which are decoded */
    exaone_error *err;
} planner;

static void note(const exaone_plan_wish *wish, const char *text) {
    if (wish->note) {
        wish->note(wish->ctx, text);
    }
}

/* ---- names ---------------------------------------------------------------------------------------------------------------
 */

/* Order in a new file: what stands outside the blocks, then the blocks by number; equal ranks keep their order. */
static size_t rank_of(const char *name) {
    static const char *const first[] = {"token_embd.", "output_norm.", "output.", "rope_freqs.", "v.patch_embd."};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (strncmp(name, first[i], strlen(first[i])) == 0) {
            return i;
        }
    }
    const char *block = strncmp(name, "blk.", 4) == 0 ? name + 4 : strncmp(name, "v.blk.", 6) == 0 ? name + 6 : NULL;
    return block ? 100 + strtoul(block, NULL, 10) : 100 + EXAONE_MAX_LAYERS + 10;
}

static int in_file_order(const void *a, const void *b) {
    const exaone_plan_tensor *x = a, *y = b;
    size_t i = rank_of(x->name), j = rank_of(y->name);
    if (x->vision != y->vision) {
        return x->vision ? 1 : -1;
    }
    return i != j ? (i < j ? -1 : 1) : strcmp(x->name, y->name);
}

/* ---- types ---------------------------------------------------------------------------------------------------------------
 */

static exaone_status check_overrides(const planner *p) {
    for (size_t i = 0; i < p->wish->n_overrides; i++) {
        const exaone_quantize_override *o = &p->wish->overrides[i];
        exaone_dtype type;
        if (!o->pattern || !o->type || !exaone_recipe_tensor_type(o->type, &type)) {
            return exaone_fail(p->err, EXAONE_ERR_ARGUMENT,
                               "the type of tensors %s is \"%s\", which is none of F32, F16, "
                               "BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, Q3_K, IQ4_NL, IQ4_XS, MXFP4, Q2_K",
                               o->pattern ? o->pattern : "(no pattern)", o->type ? o->type : "");
        }
    }
    return EXAONE_OK;
}

static exaone_status check_matches(const planner *p) {
    for (size_t i = 0; i < p->wish->n_overrides; i++) {
        if (!p->matched[i]) {
            return exaone_fail(p->err, EXAONE_ERR_ARGUMENT,
                               "%s matches no tensor with two or more dimensions; patterns match whole GGUF names, as "
                               "blk.*.attn_v.weight",
                               p->wish->overrides[i].pattern);
        }
    }
    return EXAONE_OK;
}

/* True and *type when an override names the tensor. The two slices of the patch embedding are one matrix when the model
 * runs, so what names one of them names both. */
static bool overridden(planner *p, const exaone_plan_tensor *t, exaone_dtype *type) {
    static const char *const slices[] = {"v.patch_embd.weight", "v.patch_embd.weight.1"};
    bool found = false, slice = strcmp(t->name, slices[0]) == 0 || strcmp(t->name, slices[1]) == 0;
    for (size_t i = 0; i < p->wish->n_overrides && t->n_dims > 1; i++) {
        const char *pattern = p->wish->overrides[i].pattern;
        if (slice ? exaone_recipe_matches(pattern, slices[0]) || exaone_recipe_matches(pattern, slices[1])
                  : exaone_recipe_matches(pattern, t->name)) {
            p->matched[i] = true;
            found = found || exaone_recipe_tensor_type(p->wish->overrides[i].type, type);
        }
    }
    return found;
}

static exaone_dtype wanted_type(planner *p, const exaone_plan_tensor *t) {
    exaone_dtype type;
    const exaone_recipe *recipe = t->vision ? p->wish->vision : p->wish->text;
    if (overridden(p, t, &type)) {
        return type;
    }
    if (recipe) {
        return exaone_recipe_choose(recipe, &p->model, t->name, t->n_dims);
    }
    if (exaone_weights_get_format(p->weights) == EXAONE_WEIGHTS_GGUF) {
        return t->weight.dtype;
    }
    const exaone_recipe *own = t->scaled ? exaone_recipe_find("BF16") : exaone_recipe_plain(t->weight.dtype);
    return own ? exaone_recipe_choose(own, &p->model, t->name, t->n_dims) : EXAONE_F32;
}

static void choose_type(planner *p, exaone_plan_tensor *t) {
    exaone_dtype wanted = wanted_type(p, t);
    t->type = t->weight.dtype == wanted ? wanted : exaone_recipe_fit(wanted, t->ne[0]);
    t->fallback = t->type != wanted;
    bool blocks = t->scaled || (EXAONE_DTYPE_BIT(t->weight.dtype) & EXAONE_DTYPES_BLOCKS) != 0;
    if (t->n_dims == 1 && exaone_dtype_get(t->weight.dtype)->block_elements > 1 && !t->values) {
        p->n_vectors++; /* a model has its norms and biases as numbers */
        t->type = exaone_dtype_get(t->type)->block_elements > 1 ? EXAONE_F32 : t->type;
        t->fallback = blocks = false;
    }
    if (p->wish->imatrix && t->n_dims > 1 && t->slice < 0 && exaone_dtype_get(t->type)->block_elements > 1) {
        t->importance = exaone_imatrix_find(p->wish->imatrix, t->name, t->columns);
        p->plan->n_weighted += t->importance != NULL;
    }
    if (!t->values && blocks && t->type != t->weight.dtype) {
        p->n_quantised++;
        p->quantised = t->weight.dtype;
    }
}

/* ---- tensors -------------------------------------------------------------------------------------------------------------
 */

/* Takes room for one more; all of it was made in advance. */
static exaone_plan_tensor *add(planner *p, const exaone_plan_tensor *t) {
    exaone_plan_tensor *to = &p->plan->tensors[p->plan->count++];
    *to = *t;
    choose_type(p, to);
    return to;
}

static bool ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

/* The codes of a matrix that config.json's quantization_config describes; scales and the like stand beside them. */
static bool is_codes(const planner *p, const exaone_weight *w) {
    return p->config->quantization && w->n_dims == 2 &&
           (ends_with(w->name, ".weight_packed") || (w->dtype == EXAONE_F8_E4M3 && ends_with(w->name, ".weight")));
}

/* Columns of a packed matrix: beside it stands [rows, columns], against which the matrix is checked later. */
static exaone_status packed_columns(const planner *p, const char *name, uint64_t *columns) {
    exaone_weight said;
    int64_t dims[2];
    char shape[EXAONE_NAME_ROOM + 8];
    snprintf(shape, sizeof shape, "%s_shape", name);
    exaone_status status =
        exaone_weights_get(p->weights, shape, EXAONE_DTYPE_BIT(EXAONE_I64), 1, (const uint64_t[]){2}, &said, p->err);
    if (status == EXAONE_OK) {
        memcpy(dims, said.data, sizeof dims);
        *columns = dims[1] > 0 ? (uint64_t)dims[1] : 0;
    }
    return status;
}

static exaone_status add_codes(planner *p, const exaone_weight *w) {
    exaone_plan_tensor t = {.weight = *w, .scaled = true, .slice = -1, .n_dims = 2};
    char name[EXAONE_NAME_ROOM];
    bool packed = ends_with(w->name, "_packed");
    size_t n = strlen(w->name) - (packed ? 7 : 0);
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, w->name);
    if (!exaone_names_any_to_gguf(name, (size_t)p->config->num_hidden_layers, t.name, &t.vision)) {
        return exaone_fail(p->err, EXAONE_ERR_MODEL, "%s: %s has no place in a GGUF file", w->file, w->name);
    }
    if (t.vision && p->wish->no_vision) {
        return EXAONE_OK;
    }
    t.ne[0] = w->dims[1];
    t.ne[1] = w->dims[0];
    exaone_status status = packed ? packed_columns(p, name, &t.ne[0]) : EXAONE_OK;
    t.rows = (size_t)t.ne[1];
    t.columns = (size_t)t.ne[0];
    if (status == EXAONE_OK) {
        status = exaone_quantization_matrix(p->config->quantization, p->weights, name, t.rows, t.columns, &t.matrix, p->err);
    }
    if (status == EXAONE_OK) {
        p->plan->source_bytes += w->bytes;
        add(p, &t);
    }
    return status;
}

static exaone_status add_weight(planner *p, const exaone_weight *w, int slice) {
    exaone_plan_tensor t = {.weight = *w, .slice = slice, .vision = w->part == EXAONE_PART_VISION};
    if (exaone_weights_get_format(p->weights) == EXAONE_WEIGHTS_GGUF) {
        snprintf(t.name, sizeof t.name, "%s", w->name);
    } else {
        char from[EXAONE_NAME_ROOM + 8];
        snprintf(from, sizeof from, "%s%s", w->name, slice < 0 ? "" : slice == 0 ? ".0" : ".1");
        if (!exaone_names_any_to_gguf(from, (size_t)p->config->num_hidden_layers, t.name, &t.vision)) {
            return exaone_fail(p->err, EXAONE_ERR_MODEL, "%s: %s has no place in a GGUF file", w->file, w->name);
        }
    }
    if (t.vision && p->wish->no_vision) {
        return EXAONE_OK;
    }
    if (!(EXAONE_DTYPE_BIT(w->dtype) & (EXAONE_DTYPES_FLOAT | EXAONE_DTYPES_BLOCKS))) {
        return exaone_fail(p->err, EXAONE_ERR_UNSUPPORTED, "%s: %s is %s, which cannot be converted", w->file, w->name,
                           exaone_dtype_name(w->dtype));
    }
    if (w->n_dims < 1 || w->n_dims - (slice >= 0) > 4) {
        return exaone_fail(p->err, EXAONE_ERR_MODEL, "%s: %s has %zu dimensions, GGUF holds 1 to 4", w->file, w->name,
                           w->n_dims);
    }
    t.rows = 1;
    for (size_t d = w->n_dims; d-- > 0;) {
        if (slice >= 0 && d == 2) {
            continue;
        }
        t.rows *= t.n_dims > 0 ? (size_t)w->dims[d] : 1; /* the product fits: the tensor is in memory's address space */
        t.ne[t.n_dims++] = w->dims[d];
    }
    t.columns = (size_t)t.ne[0];
    if (slice >= 0) {
        t.rows = t.rows * t.columns / PATCH;
        t.columns = PATCH;
    }
    p->plan->source_bytes += slice < 0 ? w->bytes : w->bytes / 2;
    add(p, &t);
    return EXAONE_OK;
}

/* The joined patch embedding [hidden, 3, 2, 14, 14] becomes its two temporal slices. */
static bool is_joined_patches(const exaone_weight *w) {
    return ends_with(w->name, "visual.patch_embed.proj.weight") && w->n_dims == 5 && w->dims[1] == 3 && w->dims[2] == 2 &&
           w->dims[3] == 14 && w->dims[4] == 14 && exaone_dtype_get(w->dtype)->block_elements == 1;
}

static bool is_left_out(const planner *p, const exaone_weight *w, size_t *n_mtp) {
    if (strstr(w->name, "rotary_emb.inv_freq") ||
        (p->config->quantization &&
         exaone_quantization_is_part(w->name))) { /* follow from the configuration, or the codes */
        return true;
    }
    if (exaone_weights_get_format(p->weights) != EXAONE_WEIGHTS_GGUF && p->config->num_mtp_layers == 0 &&
        w->part == EXAONE_PART_MTP) {
        ++*n_mtp;
        return true;
    }
    return false;
}

static exaone_status add_weights(planner *p) {
    size_t n_mtp = 0;
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < exaone_weights_count(p->weights) && status == EXAONE_OK; i++) {
        exaone_weight w = exaone_weights_at(p->weights, i);
        if (is_left_out(p, &w, &n_mtp)) {
            continue;
        }
        bool patches = is_joined_patches(&w);
        status = is_codes(p, &w) ? add_codes(p, &w) : add_weight(p, &w, patches ? 0 : -1);
        if (status == EXAONE_OK && patches) {
            status = add_weight(p, &w, 1);
        }
    }
    if (n_mtp > 0) {
        char text[128];
        snprintf(text, sizeof text, "%zu tensors of an MTP layer are left out: config.json does not announce one", n_mtp);
        note(p->wish, text);
    }
    return status;
}

/* The factors that turn the plain frequencies into those of the llama3 rule: of the neighbouring floats the one whose
 * quotient is exactly the rule's frequency. */
static exaone_status add_rope_factors(planner *p) {
    size_t n = (size_t)p->config->head_dim / 2;
    if (!p->config->rope.llama3 || exaone_weights_get_format(p->weights) == EXAONE_WEIGHTS_GGUF) {
        return EXAONE_OK;
    }
    float *factors = p->plan->rope_factors = exaone_mem_array(3 * n, sizeof *factors);
    if (!factors) {
        return exaone_fail_memory(p->err, "the rope factors", 3 * n * sizeof *factors);
    }
    float *base = factors + n, *scaled = base + n;
    exaone_config plain = *p->config;
    plain.rope.llama3 = false;
    exaone_rope_text_frequencies(&plain, base);
    exaone_rope_text_frequencies(p->config, scaled);
    for (size_t i = 0; i < n; i++) {
        uint32_t middle = exaone_f32_bits((float)((double)base[i] / (double)scaled[i]));
        factors[i] = exaone_f32_from_bits(middle);
        for (uint32_t d = 0; d < 9; d++) {
            float near = exaone_f32_from_bits(middle + (d + 1) / 2 * (d % 2 ? 1u : ~0u));
            if (base[i] / near == scaled[i]) {
                factors[i] = near;
                break;
            }
        }
    }
    exaone_plan_tensor t = {
        .name = "rope_freqs.weight", .values = factors, .slice = -1, .n_dims = 1, .ne = {n}, .rows = 1, .columns = n};
    add(p, &t)->type = EXAONE_F32;
    return EXAONE_OK;
}

/* ---- the whole -----------------------------------------------------------------------------------------------------------
 */

/* One note for all tensors that share what was wanted, what was written and the row length. */
static void note_fallbacks(planner *p) {
    exaone_plan *plan = p->plan;
    for (size_t i = 0; i < plan->count; i++) {
        const exaone_plan_tensor *t = &plan->tensors[i];
        bool seen = false;
        for (size_t j = 0; j < i && t->fallback && !seen; j++) {
            const exaone_plan_tensor *u = &plan->tensors[j];
            seen = u->fallback && u->type == t->type && u->ne[0] == t->ne[0];
        }
        plan->n_fallbacks += t->fallback;
        if (!t->fallback || seen) {
            continue;
        }
        size_t n = 0;
        for (size_t j = i; j < plan->count; j++) {
            n += plan->tensors[j].fallback && plan->tensors[j].type == t->type && plan->tensors[j].ne[0] == t->ne[0];
        }
        exaone_dtype wanted = wanted_type(p, t);
        char text[512];
        snprintf(text, sizeof text, "%s%s: rows of %llu values are no multiple of %s's block of %u; %s is written instead",
                 t->name, n > 1 ? " and others" : "", (unsigned long long)t->ne[0], exaone_dtype_name(wanted),
                 (unsigned)exaone_dtype_get(wanted)->block_elements, exaone_dtype_name(t->type));
        note(p->wish, text);
    }
}

static exaone_dtype largest_type(const exaone_plan *plan, bool vision) {
    uint64_t bytes[EXAONE_DTYPE_COUNT] = {0};
    exaone_dtype best = EXAONE_DTYPE_COUNT;
    for (size_t i = 0; i < plan->count; i++) {
        const exaone_plan_tensor *t = &plan->tensors[i];
        if (t->vision == vision && t->n_dims > 1 && t->n_dims < 4) {
            bytes[t->type] += t->bytes;
            best = best == EXAONE_DTYPE_COUNT || bytes[t->type] > bytes[best] ? t->type : best;
        }
    }
    return best;
}

static exaone_status measure(planner *p) {
    exaone_plan *plan = p->plan;
    for (size_t i = 0; i < plan->count; i++) {
        exaone_plan_tensor *t = &plan->tensors[i];
        uint64_t dims[2] = {t->rows, t->columns};
        if (!exaone_dtype_tensor_bytes(t->type, 2, dims, &t->bytes)) {
            return exaone_fail(p->err, EXAONE_ERR_LIMIT, "%s: %zu rows of %zu values in %s do not fit in memory", t->name,
                               t->rows, t->columns, exaone_dtype_name(t->type));
        }
    }
    plan->main_type = largest_type(plan, false);
    plan->vision_main_type = largest_type(plan, true);
    return EXAONE_OK;
}

static int by_name(const void *a, const void *b) {
    const exaone_plan_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* No GGUF name twice: a folder may have a matrix plain and packed, or under two spellings. */
static exaone_status check_names(const planner *p) {
    size_t n = p->plan->count;
    const exaone_plan_tensor **list = exaone_mem_array(n, sizeof *list);
    if (!list) {
        return exaone_fail_memory(p->err, "the list of tensors", n * sizeof *list);
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = &p->plan->tensors[i];
    }
    qsort(list, n, sizeof *list, by_name);
    exaone_status status = EXAONE_OK;
    for (size_t i = 1; i < n && status == EXAONE_OK; i++) {
        const exaone_weight *a = &list[i - 1]->weight, *b = &list[i]->weight;
        if (strcmp(list[i]->name, list[i - 1]->name) == 0) {
            status = exaone_fail(p->err, EXAONE_ERR_MODEL, "%s and %s both stand for %s; 1 tensor can",
                                 a->name ? a->name : "", b->name ? b->name : "", list[i]->name);
        }
    }
    free(list);
    return status;
}

/* An importance matrix of another model would only change the mix. */
static exaone_status check_importance(const planner *p) {
    size_t n_matched = 0, n = 0;
    for (size_t i = 0; i < p->plan->count && p->wish->imatrix; i++) {
        const exaone_plan_tensor *t = &p->plan->tensors[i];
        if (t->n_dims < 2 || t->slice >= 0) {
            continue;
        }
        size_t columns = exaone_imatrix_columns(p->wish->imatrix, t->name);
        if (columns && columns != t->columns) {
            return exaone_fail(p->err, EXAONE_ERR_ARGUMENT,
                               "%s has %zu columns, but %zu in the importance matrix, which is of another model", t->name,
                               t->columns, columns);
        }
        n_matched += columns > 0;
        n++;
    }
    return n == 0 || n_matched > 0
               ? EXAONE_OK
               : exaone_fail(p->err, EXAONE_ERR_ARGUMENT,
                             "the importance matrix has none of the %zu matrices: it is of another model", n);
}

static exaone_status fill(planner *p) {
    exaone_status status = check_overrides(p);
    if (status == EXAONE_OK) {
        status = add_weights(p);
    }
    if (status == EXAONE_OK) {
        status = add_rope_factors(p);
    }
    if (status == EXAONE_OK) {
        status = check_names(p);
    }
    if (status == EXAONE_OK) {
        status = check_importance(p);
    }
    if (status == EXAONE_OK) {
        status = check_matches(p);
    }
    if (status == EXAONE_OK) {
        status = measure(p);
    }
    if (status) {
        return status;
    }
    if (exaone_weights_get_format(p->weights) != EXAONE_WEIGHTS_GGUF) {
        qsort(p->plan->tensors, p->plan->count, sizeof *p->plan->tensors, in_file_order);
    }
    note_fallbacks(p);
    char text[256];
    if (p->n_vectors > 0) {
        snprintf(text, sizeof text, "%zu norms and biases are in blocks, which no model computes from; they are decoded",
                 p->n_vectors);
        note(p->wish, text);
    }
    if (p->n_quantised > 0) {
        snprintf(
            text, sizeof text,
            "%zu tensors are quantised already (%s) and are quantised again, which adds the errors of both; a BF16 source "
            "is better",
            p->n_quantised, exaone_dtype_name(p->quantised));
        note(p->wish, text);
    }
    return EXAONE_OK;
}

exaone_status exaone_plan_make(const exaone_weights *weights, const exaone_config *config, const exaone_plan_wish *wish,
                               exaone_plan *plan, exaone_error *err) {
    *plan = (exaone_plan){0};
    planner p = {.weights = weights, .config = config, .wish = wish, .plan = plan, .err = err};
    p.model = (exaone_recipe_model){.n_blocks = (size_t)(config->num_hidden_layers + config->num_mtp_layers),
                                    .heads = config->num_attention_heads,
                                    .kv_heads = config->num_key_value_heads,
                                    .importance = wish->imatrix != NULL,
                                    .tied = !exaone_weights_has(weights, "lm_head.weight")};
    size_t room = exaone_weights_count(weights) + 2; /* a second slice of the patches, rope_freqs */
    plan->tensors = exaone_mem_array(room, sizeof *plan->tensors);
    p.matched = exaone_mem_array(wish->n_overrides, sizeof *p.matched);
    exaone_status status =
        plan->tensors && p.matched ? fill(&p) : exaone_fail_memory(err, "the list of tensors", room * sizeof *plan->tensors);
    free(p.matched);
    return status;
}

void exaone_plan_release(exaone_plan *plan) {
    free(plan->tensors);
    free(plan->rope_factors);
    *plan = (exaone_plan){0};
}
