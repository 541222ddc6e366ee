/* quantization_config: reading it. The rules are those of compressed-tensors 0.20 (docs/model.md, "Quantised folders"):
 * unknown fields of a group or of its arguments are errors, unknown fields beside the groups are read over. */
#include "model/quantization.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/name_pattern.h"

enum {
    MAX_BLOCK = 1 << 20,  /* rows or columns that share a scale */
    MAX_TEXT = 512,       /* bytes of a name or pattern */
    MAX_TEXTS = 1 << 20,  /* bytes of all of them */
    MAX_ALL_STEPS = 8192, /* steps of all patterns: each name of a matrix meets each pattern */
    PREFIX_ROOM = 192
};

typedef struct {
    const exaone_json *object;
    const char *path;
    char prefix[PREFIX_ROOM]; /* "quantization_config.config_groups.group_0.weights." */
    exaone_quantization *q;
    size_t *steps; /* of all patterns so far */
    exaone_error *err;
} scope;

static const exaone_json *member(const scope *s, const char *name) {
    const exaone_json *j = exaone_json_get(s->object, name);
    return exaone_json_is(j, EXAONE_JSON_NULL) ? NULL : j;
}

static scope inner(const scope *s, const exaone_json *object, const char *name, size_t n) {
    scope in = *s;
    in.object = object;
    snprintf(in.prefix, sizeof in.prefix, "%.120s%.*s.", s->prefix, (int)(n < 40 ? n : 40), name);
    return in;
}

/* "[0, 128]" of a list of short numbers, else "a list"; returns `out`. */
static const char *list_text(const exaone_json *list, char *out, size_t room) {
    size_t at = (size_t)snprintf(out, room, "[");
    for (const exaone_json *j = list->first; j; j = j->next) {
        if (j->type != EXAONE_JSON_NUMBER || j->len > 20 || at + j->len + 4 > room) {
            return "a list";
        }
        at += (size_t)snprintf(out + at, room - at, "%.*s%s", (int)j->len, j->text, j->next ? ", " : "");
    }
    snprintf(out + at, room - at, "]");
    return out;
}

/* "PATH: PREFIX NAME is VALUE, WHAT" */
static exaone_status refuse(const scope *s, exaone_status status, const char *name, const exaone_json *j, const char *what) {
    const char *value = "missing", *quote = "";
    char list[60];
    size_t n = strlen(value);
    if (exaone_json_is(j, EXAONE_JSON_ARRAY)) {
        value = list_text(j, list, sizeof list);
        n = strlen(value);
    } else if (exaone_json_is(j, EXAONE_JSON_STRING) || exaone_json_is(j, EXAONE_JSON_NUMBER)) {
        value = j->text;
        n = j->len;
        quote = j->type == EXAONE_JSON_STRING ? "\"" : "";
    } else if (j) {
        value = j->type == EXAONE_JSON_TRUE ? "true" : j->type == EXAONE_JSON_FALSE ? "false" : "an object";
        n = strlen(value);
    }
    return exaone_fail(s->err, status, "%s: %s%s is %s%.*s%s, %s", s->path, s->prefix, name, quote, (int)(n < 60 ? n : 60),
                       value, quote, what);
}

static exaone_status unsupported(const scope *s, const char *name, const char *what) {
    return refuse(s, EXAONE_ERR_UNSUPPORTED, name, member(s, name), what);
}

/* Only these members; the list ends with NULL. */
static exaone_status check_members(const scope *s, const char *const *known) {
    for (const exaone_json *j = s->object->first; j; j = j->next) {
        bool found = false;
        for (size_t i = 0; known[i] && !found; i++) {
            found = strlen(known[i]) == j->key_len && memcmp(known[i], j->key, j->key_len) == 0;
        }
        if (!found) {
            return exaone_fail(s->err, EXAONE_ERR_UNSUPPORTED, "%s: %s%.*s is a setting that this version does not know",
                               s->path, s->prefix, (int)(j->key_len < 60 ? j->key_len : 60), j->key);
        }
    }
    return EXAONE_OK;
}

/* The index of the text `name` in `words` (ends with NULL); absent: 0. */
static exaone_status get_word(const scope *s, const char *name, const char *const *words, const char *what, int *out) {
    const exaone_json *j = member(s, name);
    *out = 0;
    for (int i = 0; j && words[i]; i++) {
        if (exaone_json_equals(j, words[i])) {
            *out = i;
            return EXAONE_OK;
        }
    }
    return j ? unsupported(s, name, what) : EXAONE_OK;
}

static exaone_status get_int(const scope *s, const char *name, int other, int min, int max, int *out) {
    const exaone_json *j = member(s, name);
    int64_t value = other;
    if (j && (!exaone_json_int(j, &value) || value < min || value > max)) {
        char what[80];
        snprintf(what, sizeof what, "it must be from %d to %d", min, max);
        return refuse(s, EXAONE_ERR_MODEL, name, j, what);
    }
    *out = (int)value;
    return EXAONE_OK;
}

static exaone_status get_bool(const scope *s, const char *name, bool other, bool *out) {
    const exaone_json *j = member(s, name);
    *out = j ? exaone_json_is(j, EXAONE_JSON_TRUE) : other;
    if (j && !*out && !exaone_json_is(j, EXAONE_JSON_FALSE)) {
        return refuse(s, EXAONE_ERR_MODEL, name, j, "it must be true or false");
    }
    return EXAONE_OK;
}

/* The number at *at of a text, at most seven digits; *at moves behind it. */
static bool digits(const exaone_json *j, size_t *at, int64_t *out) {
    size_t start = *at;
    *out = 0;
    for (; *at < j->len && *at - start < 7 && j->text[*at] >= '0' && j->text[*at] <= '9'; ++*at) {
        *out = *out * 10 + (j->text[*at] - '0');
    }
    return *at > start;
}

/* Two sizes: [128, 128], or "128x128" as older files have it. */
static exaone_status get_block(const scope *s, const char *name, int *rows, int *cols) {
    const exaone_json *j = member(s, name);
    int64_t size[2] = {0, 0};
    bool good = false;
    if (exaone_json_is(j, EXAONE_JSON_ARRAY) && j->len == 2) {
        good = exaone_json_int(j->first, &size[0]) && exaone_json_int(j->first->next, &size[1]);
    } else if (exaone_json_is(j, EXAONE_JSON_STRING)) {
        size_t at = 0;
        good = digits(j, &at, &size[0]) && at < j->len && j->text[at++] == 'x' && digits(j, &at, &size[1]) && at == j->len;
    }
    if (!good || size[0] < 1 || size[1] < 1 || size[0] > MAX_BLOCK || size[1] > MAX_BLOCK) {
        return refuse(s, EXAONE_ERR_MODEL, name, j, "it must be two numbers from 1 to 1048576: rows and columns of a block");
    }
    *rows = (int)size[0];
    *cols = (int)size[1];
    return EXAONE_OK;
}

static exaone_status get_patterns(const scope *s, const char *name, char ***out, size_t *count) {
    const exaone_json *list = member(s, name);
    *out = NULL;
    *count = 0;
    if (!list) {
        return EXAONE_OK;
    }
    if (!exaone_json_is(list, EXAONE_JSON_ARRAY) || list->len > EXAONE_MAX_PATTERNS) {
        return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s is no list of at most %d names", s->path, s->prefix, name,
                           EXAONE_MAX_PATTERNS);
    }
    char **texts = exaone_arena_take(&s->q->arena, (list->len + 1) * sizeof *texts);
    if (!texts) {
        return exaone_fail_memory(s->err, "the names of modules", list->len * sizeof *texts);
    }
    for (const exaone_json *j = list->first; j; j = j->next) {
        if (!exaone_json_is(j, EXAONE_JSON_STRING) || j->len > MAX_TEXT || (j->len > 0 && memchr(j->text, 0, j->len))) {
            return exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %s%s[%zu] is no name of at most %d bytes", s->path, s->prefix,
                               name, *count, MAX_TEXT);
        }
        char *text = exaone_arena_string(&s->q->arena, j->text, j->len);
        size_t steps = 0;
        if (!text && s->q->arena.starved) {
            return exaone_fail_memory(s->err, "the names of modules", j->len);
        }
        if (!text) {
            return exaone_fail(s->err, EXAONE_ERR_LIMIT, "%s: %s%s holds more than %d bytes of names", s->path, s->prefix,
                               name, MAX_TEXTS);
        }
        exaone_status status = exaone_name_pattern_check(text, &steps, s->err);
        if (status) {
            return exaone_fail_context(s->err, status, "%s: %s%s", s->path, s->prefix, name);
        }
        *s->steps += steps;
        if (*s->steps > MAX_ALL_STEPS) {
            return exaone_fail(s->err, EXAONE_ERR_LIMIT, "%s: %s%s: all patterns together have more than %d steps", s->path,
                               s->prefix, name, MAX_ALL_STEPS);
        }
        texts[(*count)++] = text;
    }
    *out = texts;
    return EXAONE_OK;
}

/* ---- compressed-tensors --------------------------------------------------------------------------------------------------
 */

typedef enum { FORMAT_MISSING, FORMAT_PACK, FORMAT_FLOAT, FORMAT_NAIVE, FORMAT_MIXED } format;

static exaone_status get_format(const scope *s, bool mixed, int *out) {
    const char *words[] = {"",  "pack-quantized", "float-quantized", "naive-quantized", mixed ? "mixed-precision" : NULL,
                           NULL};
    return get_word(s, "format", words, "this version computes pack-quantized and float-quantized", out);
}

static exaone_status read_strategy(const scope *s, exaone_weight_scheme *w) {
    static const char *const words[] = {"", "tensor", "channel", "group", "block", NULL};
    enum { NONE, TENSOR, CHANNEL, GROUP, BLOCK };
    int strategy, group;
    bool packed = w->dtype == EXAONE_I4;
    const char *what =
        packed ? "packed integers are computed in group and channel" : "F8_E4M3 is computed in tensor, channel and block";
    exaone_status status = get_word(s, "strategy", words, what, &strategy);
    if (status == EXAONE_OK) {
        status = get_int(s, "group_size", 0, -1, MAX_BLOCK, &group);
    }
    if (status) {
        return status;
    }
    if (strategy == NONE) { /* as the reference infers it */
        strategy = !member(s, "group_size") ? TENSOR : group < 0 ? CHANNEL : GROUP;
    }
    if (packed ? strategy != GROUP && strategy != CHANNEL : strategy == GROUP) {
        return unsupported(s, "strategy", what);
    }
    if (strategy == GROUP && (group < 8 || group % 8 != 0)) {
        return refuse(s, EXAONE_ERR_MODEL, "group_size", member(s, "group_size"),
                      "it must be a multiple of 8 from 8 to 1048576");
    }
    if (strategy == BLOCK) {
        return get_block(s, "block_structure", &w->rows_per_scale, &w->cols_per_scale);
    }
    w->rows_per_scale = strategy == TENSOR ? 0 : 1;
    w->cols_per_scale = strategy == GROUP ? group : 0;
    return EXAONE_OK;
}

static exaone_status read_arguments(const scope *s, int fmt, exaone_weight_scheme *w) {
    static const char *const known[] = {"num_bits", "type",     "symmetric",   "group_size", "strategy", "block_structure",
                                        "dynamic",  "actorder", "scale_dtype", "zp_dtype",   "observer", "observer_kwargs",
                                        NULL};
    static const char *const types[] = {"int", "float", NULL};
    int type, bits;
    bool dynamic = false;
    exaone_status status = check_members(s, known);
    if (status == EXAONE_OK) {
        status = get_word(s, "type", types, "this version computes int and float", &type);
    }
    if (status == EXAONE_OK) {
        status = get_int(s, "num_bits", 8, 1, 64, &bits);
    }
    if (status == EXAONE_OK) {
        status = get_bool(s, "symmetric", true, &w->symmetric);
    }
    if (status == EXAONE_OK) {
        status = get_bool(s, "dynamic", false, &dynamic);
    }
    if (status) {
        return status;
    }
    if (dynamic) {
        return unsupported(s, "dynamic", "weights are computed as they are stored");
    }
    bool packed = fmt == FORMAT_PACK;
    if (type != (packed ? 0 : 1)) {
        return unsupported(s, "type", packed ? "pack-quantized holds int" : "float-quantized holds float");
    }
    if (bits != (packed ? 4 : 8)) {
        return unsupported(s, "num_bits",
                           packed ? "this version computes pack-quantized of 4 bits"
                                  : "this version computes float-quantized of 8 bits");
    }
    if (!packed && !w->symmetric) {
        return unsupported(s, "symmetric", "float-quantized is computed without zero points");
    }
    const exaone_json *order = member(s, "actorder");
    if (order && !exaone_json_is(order, EXAONE_JSON_FALSE) && !exaone_json_equals(order, "weight") &&
        !exaone_json_equals(order, "static")) {
        return unsupported(s, "actorder", "this version computes columns in their natural order");
    }
    w->dtype = packed ? EXAONE_I4 : EXAONE_F8_E4M3;
    return read_strategy(s, w);
}

static exaone_status read_group(const scope *s, int fmt) {
    static const char *const known[] = {"targets", "weights", "input_activations", "output_activations", "format", NULL};
    exaone_weight_scheme *w = &s->q->schemes[s->q->n_schemes];
    const exaone_json *arguments = member(s, "weights");
    if (!exaone_json_is(s->object, EXAONE_JSON_OBJECT)) {
        return exaone_fail(s->err, EXAONE_ERR_UNSUPPORTED, "%s: %.*s is no object; named presets are not known", s->path,
                           (int)strlen(s->prefix) - 1, s->prefix);
    }
    exaone_status status = check_members(s, known);
    if (status == EXAONE_OK && !exaone_json_is(arguments, EXAONE_JSON_OBJECT)) {
        status = unsupported(s, "weights", "it must describe the stored weights");
    }
    int own = 0;
    if (status == EXAONE_OK) {
        status = get_format(s, false, &own);
    }
    if (status == EXAONE_OK && own == FORMAT_MISSING && (fmt == FORMAT_MISSING || fmt == FORMAT_MIXED)) {
        status = unsupported(s, "format", "it must name the layout of the weights");
    }
    if (status == EXAONE_OK) {
        scope in = inner(s, arguments, "weights", 7);
        status = read_arguments(&in, own ? own : fmt, w);
    }
    if (status == EXAONE_OK) {
        status = get_patterns(s, "targets", &w->targets, &w->n_targets);
    }
    if (status == EXAONE_OK && w->n_targets == 0) {
        status = refuse(s, EXAONE_ERR_MODEL, "targets", NULL, "a group must say which modules it is for");
    }
    s->q->n_schemes += status == EXAONE_OK;
    return status;
}

/* A member that may only be absent, null, empty, or say "dense". */
static exaone_status check_unused(const scope *s, const char *name) {
    const exaone_json *j = member(s, name);
    if (!j || (j->len == 0 && (j->type == EXAONE_JSON_OBJECT || j->type == EXAONE_JSON_ARRAY)) ||
        exaone_json_equals(exaone_json_get(j, "format"), "dense")) {
        return EXAONE_OK;
    }
    return exaone_fail(s->err, EXAONE_ERR_UNSUPPORTED, "%s: %s%s is set, which this version does not compute", s->path,
                       s->prefix, name);
}

static exaone_status read_compressed_tensors(const scope *s) {
    static const char *const unused[] = {"sparsity_config", "transform_config", "moe_sparsity_config"};
    static const char *const states[] = {"compressed", "frozen", NULL};
    int fmt = 0, state = 0;
    exaone_status status = get_format(s, true, &fmt);
    for (size_t i = 0; i < 3 && status == EXAONE_OK; i++) {
        status = check_unused(s, unused[i]);
    }
    if (status == EXAONE_OK) {
        status = get_word(s, "quantization_status", states, "this version reads compressed checkpoints", &state);
    }
    const exaone_json *groups = member(s, "config_groups");
    if (status == EXAONE_OK &&
        (!exaone_json_is(groups, EXAONE_JSON_OBJECT) || groups->len == 0 || groups->len > EXAONE_MAX_SCHEMES)) {
        status = exaone_fail(s->err, EXAONE_ERR_MODEL, "%s: %sconfig_groups is no object of 1 to %d groups", s->path,
                             s->prefix, EXAONE_MAX_SCHEMES);
    }
    scope list = inner(s, groups, "config_groups", 13);
    for (const exaone_json *g = status ? NULL : groups->first; g && status == EXAONE_OK; g = g->next) {
        scope in = inner(&list, g, g->key, g->key_len);
        status = read_group(&in, fmt);
    }
    return status ? status : get_patterns(s, "ignore", &s->q->ignore, &s->q->n_ignore);
}

/* ---- fp8 -----------------------------------------------------------------------------------------------------------------
 */

static exaone_status read_fp8(const scope *s) {
    static const char *const formats[] = {"e4m3", "float8_e4m3fn", NULL};
    static const char *const activations[] = {"dynamic", "static", NULL};
    int word;
    exaone_weight_scheme *w = &s->q->schemes[s->q->n_schemes++];
    *w = (exaone_weight_scheme){.dtype = EXAONE_F8_E4M3, .symmetric = true, .n_targets = 1};
    w->targets = exaone_arena_take(&s->q->arena, sizeof *w->targets);
    char *linear = exaone_arena_string(&s->q->arena, "Linear", 6);
    if (!w->targets || !linear) {
        return exaone_fail_memory(s->err, "the names of modules", sizeof *w->targets);
    }
    w->targets[0] = linear;
    s->q->fp8 = true;
    exaone_status status = get_word(s, "fmt", formats, "this version computes e4m3", &word);
    if (status == EXAONE_OK) { /* of activations, which are not rounded here */
        status = get_word(s, "activation_scheme", activations, "dynamic and static are known", &word);
    }
    if (status == EXAONE_OK && member(s, "weight_block_size")) {
        status = get_block(s, "weight_block_size", &w->rows_per_scale, &w->cols_per_scale);
    }
    if (status == EXAONE_OK) {
        const char *name = member(s, "modules_to_not_convert") ? "modules_to_not_convert" : "ignored_layers";
        status = get_patterns(s, name, &s->q->ignore, &s->q->n_ignore);
    }
    return status;
}

exaone_status exaone_quantization_parse(const char *path, const char *prefix, const exaone_json *object,
                                        exaone_quantization **out, exaone_error *err) {
    size_t steps = 0;
    scope s = {.object = object, .path = path, .steps = &steps, .err = err};
    *out = NULL;
    snprintf(s.prefix, sizeof s.prefix, "%s", prefix);
    const exaone_json *method = exaone_json_get(object, "quant_method");
    bool compressed = exaone_json_equals(method, "compressed-tensors");
    if (!compressed && !exaone_json_equals(method, "fp8")) {
        return refuse(&s, EXAONE_ERR_UNSUPPORTED, "quant_method", method,
                      "this version computes compressed-tensors and fp8");
    }
    s.q = exaone_mem_array(1, sizeof *s.q);
    if (!s.q) {
        return exaone_fail_memory(err, "the quantisation", sizeof *s.q);
    }
    exaone_arena_init(&s.q->arena, MAX_TEXTS);
    exaone_status status = compressed ? read_compressed_tensors(&s) : read_fp8(&s);
    if (status) {
        exaone_quantization_free(s.q);
        return status;
    }
    *out = s.q;
    return EXAONE_OK;
}

void exaone_quantization_free(exaone_quantization *q) {
    if (q) {
        exaone_arena_release(&q->arena);
        free(q);
    }
}

/* ---- the scheme of a module ----------------------------------------------------------------------------------------------
 */

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* MODEL: the matrices of the model are linear layers but for the embedding. */
static const char *class_of(const char *module) {
    return ends_with(module, "embed_tokens") ? "Embedding" : "Linear";
}

/* quant_method "fp8" lists whole modules: "model.visual" stands for all inside it, "lm_head" for that at any place. */
static bool is_inside(const char *module, const char *part) {
    size_t n = strlen(module), m = strlen(part);
    for (size_t at = 0; m > 0 && at + m <= n; at++) {
        if (memcmp(module + at, part, m) == 0 && (at == 0 || module[at - 1] == '.') &&
            (module[at + m] == 0 || module[at + m] == '.')) {
            return true;
        }
    }
    return false;
}

static bool is_ignored(const exaone_quantization *q, const char *module) {
    for (size_t i = 0; i < q->n_ignore; i++) {
        const char *entry = q->ignore[i];
        if (exaone_name_pattern_match(entry, module) || strcmp(entry, class_of(module)) == 0 ||
            (q->fp8 && is_inside(module, entry))) {
            return true;
        }
    }
    return false;
}

/* How closely a target names a module: 0 not at all, 1 by its class, 2 by a pattern, 3 by its name. */
static int closeness(const char *target, const char *module) {
    if (strcmp(target, class_of(module)) == 0) {
        return 1;
    }
    return !exaone_name_pattern_match(target, module) ? 0 : strncmp(target, "re:", 3) == 0 ? 2 : 3;
}

const exaone_weight_scheme *exaone_quantization_scheme(const exaone_quantization *q, const char *module, const char *other) {
    if (is_ignored(q, module) || (other && is_ignored(q, other))) {
        return NULL;
    }
    const exaone_weight_scheme *best = NULL;
    const char *best_target = NULL;
    int best_kind = 0;
    for (size_t i = 0; i < q->n_schemes; i++) {
        for (size_t t = 0; t < q->schemes[i].n_targets; t++) {
            const char *target = q->schemes[i].targets[t];
            int kind = closeness(target, module), second = other ? closeness(target, other) : 0;
            kind = second > kind ? second : kind;
            if (kind > best_kind || (kind > 0 && kind == best_kind && strcmp(target, best_target) < 0)) {
                best = &q->schemes[i];
                best_kind = kind;
                best_target = target;
            }
        }
    }
    return best;
}

void exaone_weight_scheme_describe(const exaone_weight_scheme *s, exaone_buf *out) {
    exaone_buf_puts(out, exaone_dtype_name(s->dtype));
    if (s->dtype == EXAONE_I4 && s->cols_per_scale > 0) {
        exaone_buf_printf(out, " group %d", s->cols_per_scale);
    }
}

void exaone_quantization_describe(const exaone_quantization *q, exaone_buf *out) {
    exaone_buf_puts(out, q->fp8 ? "fp8: " : "compressed-tensors: ");
    for (size_t i = 0; i < q->n_schemes; i++) {
        const exaone_weight_scheme *s = &q->schemes[i];
        exaone_buf_puts(out, i ? ", " : "");
        exaone_weight_scheme_describe(s, out);
        if (s->dtype == EXAONE_I4) {
            exaone_buf_puts(out, s->cols_per_scale ? "" : " channel");
            exaone_buf_puts(out, s->symmetric ? " symmetric" : " asymmetric");
        } else if (s->rows_per_scale > 0 && s->cols_per_scale > 0) {
            exaone_buf_printf(out, " block %dx%d", s->rows_per_scale, s->cols_per_scale);
        } else {
            exaone_buf_puts(out, s->rows_per_scale ? " channel" : " tensor");
        }
    }
}
