/* Which files of a repository make the model that was named.
 *
 * GGUF names: [mmproj-|mtp-]BASE-SIZE-…-TYPE[-00001-of-0000N].gguf (ggml's docs/gguf.md); parts are split at '-' and '.'. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { SPLIT_TAIL = 15 }; /* "-00001-of-00002" */

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcasecmp(text + n - m, end) == 0;
}

static bool begins_with(const char *text, const char *begin) {
    return strncasecmp(text, begin, strlen(begin)) == 0;
}

static bool five_digits(const char *text, unsigned *out) {
    *out = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *out = *out * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

/* Length of the path without ending and place among parts; *no and *of are 1 for a file that is not split. */
static size_t stem_length(const char *path, const char *ending, unsigned *no, unsigned *of) {
    size_t n = strlen(path) - strlen(ending);
    *no = *of = 1;
    if (n > SPLIT_TAIL) {
        const char *tail = path + n - SPLIT_TAIL;
        unsigned a, b;
        if (tail[0] == '-' && five_digits(tail + 1, &a) && strncasecmp(tail + 6, "-of-", 4) == 0 &&
            five_digits(tail + 10, &b) && a >= 1 && a <= b) {
            *no = a;
            *of = b;
            return n - SPLIT_TAIL;
        }
    }
    return n;
}

bool exaone_hub_is_mmproj(const char *path) {
    return ends_with(path, ".gguf") && strcasestr(base_of(path), "mmproj");
}

static bool is_model(const char *path) {
    const char *base = base_of(path);
    return ends_with(path, ".gguf") && !strcasestr(base, "mmproj") && !strcasestr(base, "imatrix") &&
           !begins_with(base, "mtp-");
}

/* ---- labels ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* A type's name: Q4_K_M, IQ4_XS, TQ1_0, F16, BF16, FP16, MXFP4_MOE. */
static bool is_type(const char *text, size_t n) {
    static const char *const whole[] = {"F16", "F32", "BF16", "FP16", "FP32", "FP8", "NVFP4"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        if (strlen(whole[i]) == n && strncasecmp(text, whole[i], n) == 0) {
            return true;
        }
    }
    if (n >= 5 && strncasecmp(text, "MXFP4", 5) == 0) {
        return n == 5 || text[5] == '_';
    }
    size_t skip = n && strchr("iItT", text[0]) ? 1 : 0;
    if (n < skip + 2 || (text[skip] | 32) != 'q' || !is_digit(text[skip + 1])) {
        return false;
    }
    for (size_t i = skip + 2; i < n; i++) {
        bool letter = (text[i] | 32) >= 'a' && (text[i] | 32) <= 'z';
        if (!is_digit(text[i]) && !letter && text[i] != '_') {
            return false;
        }
    }
    return true;
}

/* The last type among the parts of text [n], with "UD-" in front when the part before is that. */
static bool find_type(const char *text, size_t n, char out[64]) {
    for (size_t end = n; end > 0;) {
        size_t from = end;
        while (from > 0 && text[from - 1] != '-' && text[from - 1] != '.') {
            from--;
        }
        if (end - from < 60 && is_type(text + from, end - from)) {
            bool dynamic = from >= 3 && strncasecmp(text + from - 3, "UD-", 3) == 0;
            snprintf(out, 64, "%s%.*s", dynamic ? "UD-" : "", (int)(end - from), text + from);
            return true;
        }
        end = from ? from - 1 : 0;
    }
    return false;
}

void exaone_hub_label(const char *path, char out[64]) {
    unsigned no, of;
    const char *base = base_of(path);
    size_t n = stem_length(base, ".gguf", &no, &of);
    out[0] = 0;
    if (!find_type(base, n, out) && base > path) { /* else the folder's name says it */
        find_type(path, (size_t)(base - path) - 1, out);
    }
}

/* ---- groups ---- */

typedef struct candidate {
    const char *path;
    size_t index, stem;
    unsigned no, of;
} candidate;

static int candidate_order(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    size_t n = x->stem < y->stem ? x->stem : y->stem;
    int order = strncmp(x->path, y->path, n);
    if (order == 0) {
        order = x->stem != y->stem ? (x->stem < y->stem ? -1 : 1) : x->of != y->of ? (x->of < y->of ? -1 : 1) : 0;
    }
    return order ? order : x->no < y->no ? -1 : x->no > y->no;
}

static bool same_group(const candidate *a, const candidate *b) {
    return a->stem == b->stem && a->of == b->of && a->of > 1 && strncmp(a->path, b->path, a->stem) == 0;
}

/* The models of paths [n] in the order of their groups; free(). */
static candidate *candidates_of(const char *const *paths, size_t n, size_t *count) {
    candidate *list = exaone_mem_array(n, sizeof *list);
    *count = 0;
    for (size_t i = 0; list && i < n; i++) {
        if (is_model(paths[i])) {
            candidate *c = &list[(*count)++];
            *c = (candidate){.path = paths[i], .index = i};
            c->stem = stem_length(paths[i], ".gguf", &c->no, &c->of);
        }
    }
    if (list && *count > 1) {
        qsort(list, *count, sizeof *list, candidate_order);
    }
    return list;
}

static int group_order(const void *a, const void *b) {
    const exaone_hub_group *x = a, *y = b;
    int order = strcasecmp(x->label, y->label);
    return order ? order : x->first < y->first ? -1 : x->first > y->first;
}

exaone_status exaone_hub_groups(const char *const *paths, size_t n, exaone_hub_group **groups, size_t *n_groups,
                                exaone_error *err) {
    size_t count;
    candidate *list = candidates_of(paths, n, &count);
    *n_groups = 0;
    *groups = list ? exaone_mem_array(count, sizeof **groups) : NULL;
    if (!*groups) {
        free(list);
        return exaone_fail_memory(err, "the list of GGUF files", n * sizeof *list);
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && same_group(&list[i - 1], &list[i])) {
            (*groups)[*n_groups - 1].count++;
            continue;
        }
        exaone_hub_group *g = &(*groups)[(*n_groups)++];
        *g = (exaone_hub_group){.first = list[i].index, .count = 1, .parts = list[i].of};
        exaone_hub_label(list[i].path, g->label);
        if (!g->label[0]) {
            const char *base = base_of(list[i].path);
            size_t length = list[i].stem - (size_t)(base - list[i].path), cut = length > 60 ? length - 60 : 0;
            snprintf(g->label, sizeof g->label, "%.*s", (int)(length - cut), base + cut);
        }
    }
    free(list);
    if (*n_groups > 1) {
        qsort(*groups, *n_groups, sizeof **groups, group_order);
    }
    return EXAONE_OK;
}

/* ---- folders ---- */

/* The licence at the top of a repository. */
static bool is_terms(const char *path) {
    return !strchr(path, '/') &&
           (begins_with(path, "LICENSE") || begins_with(path, "LICENCE") || begins_with(path, "NOTICE"));
}

exaone_hub_role exaone_hub_folder_role(const char *path) {
    static const char *const side[] = {".json", ".jinja", ".model", "merges.txt", "vocab.txt"};
    if (strchr(path, '/')) {
        return EXAONE_HUB_SKIP;
    }
    if (ends_with(path, ".safetensors")) {
        return EXAONE_HUB_MODEL;
    }
    for (size_t i = 0; i < sizeof side / sizeof *side; i++) {
        if (ends_with(path, side[i])) {
            return EXAONE_HUB_SIDE;
        }
    }
    return is_terms(path) ? EXAONE_HUB_SIDE : EXAONE_HUB_SKIP;
}

bool exaone_hub_is_folder(const char *const *paths, size_t n, size_t *count, size_t *missing) {
    bool config = false;
    unsigned no, of, parts = 0;
    size_t sharded = 0;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        config |= strcmp(paths[i], "config.json") == 0;
        if (exaone_hub_folder_role(paths[i]) == EXAONE_HUB_MODEL) {
            stem_length(paths[i], ".safetensors", &no, &of);
            ++*count;
            sharded += of > 1;
            parts = of > 1 && of > parts ? of : parts;
        }
    }
    *missing = parts > sharded ? parts - sharded : 0;
    return config && *count > 0;
}

/* ---- choosing ---- */

/* Does the name hold QUANT between '-', '.', '_', '/' or its ends? */
static bool holds(const char *path, const char *quant) {
    size_t n = strlen(quant);
    for (const char *at = strcasestr(path, quant); at; at = strcasestr(at + 1, quant)) {
        if ((at == path || strchr("-._/", at[-1])) && (at[n] == 0 || strchr("-._/", at[n]))) {
            return true;
        }
    }
    return false;
}

static size_t depth_of(const char *path) {
    size_t n = 0;
    for (; *path; path++) {
        n += *path == '/';
    }
    return n;
}

/* Smaller is nearer to what was asked for: label, part of the name, path; SIZE_MAX: not at all. */
static size_t distance_of(const char *path, const exaone_hub_group *g, const char *quant) {
    size_t rank = strcasecmp(g->label, quant) == 0 ? 0 : holds(path, quant) ? 1 : 2;
    return rank == 2 ? SIZE_MAX : (rank * 1000 + depth_of(path)) * 10000 + strlen(path);
}

static const exaone_hub_group *nearest(const char *const *paths, const exaone_hub_group *groups, size_t n,
                                       const char *quant) {
    const exaone_hub_group *best = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance_of(paths[groups[i].first], &groups[i], quant);
        if (d < least) {
            least = d;
            best = &groups[i];
        }
    }
    return best;
}

/* "A, B, C" of the groups' labels, each once, cut to what a message holds. */
static void put_labels(const exaone_hub_group *groups, size_t n, char *out, size_t room) {
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcasecmp(groups[i].label, groups[i - 1].label) == 0) {
            continue;
        }
        if (used + strlen(groups[i].label) + 8 > room) {
            snprintf(out + used, room - used, ", ...");
            return;
        }
        used += (size_t)snprintf(out + used, room - used, "%s%s", used ? ", " : "", groups[i].label);
    }
}

static exaone_status no_group(const exaone_hub_group *groups, size_t n, const exaone_hub_name *name, const char *where,
                              exaone_error *err) {
    char labels[320];
    put_labels(groups, n, labels, sizeof labels);
    if (n == 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           name->quant[0] ? "%s of %s has no GGUF files: name it without :%s"
                                          : "%s of %s has neither GGUF files nor config.json and safetensors",
                           where, name->repo, name->quant);
    }
    return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                       name->quant[0] ? "%s of %s has no %s; there are: %s" : "%s of %s has no %s; name one of: %s", where,
                       name->repo, name->quant[0] ? name->quant : EXAONE_HUB_QUANT, labels);
}

static int mmproj_rank(const char *path) {
    static const char *const order[] = {"BF16", "F16", "F32", "Q8_0"};
    char label[64];
    exaone_hub_label(path, label);
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(label, order[i]) == 0) {
            return i;
        }
    }
    return 4;
}

static bool same_folder(const char *a, const char *b) {
    size_t n = (size_t)(base_of(a) - a);
    return n == (size_t)(base_of(b) - b) && strncmp(a, b, n) == 0;
}

static exaone_status choose_mmproj(const char *const *paths, size_t n, const char *type, const char *where,
                                   exaone_hub_choice *choice, exaone_error *err) {
    int least = 1000;
    bool any = false;
    for (size_t i = 0; i < n && !(type && strcasecmp(type, "none") == 0); i++) {
        if (!exaone_hub_is_mmproj(paths[i])) {
            continue;
        }
        char label[64];
        exaone_hub_label(paths[i], label);
        any = true;
        int rank = mmproj_rank(paths[i]) + (same_folder(paths[i], paths[choice->main]) ? 0 : 10);
        if (rank < least && (!type || strcasecmp(label, type) == 0)) {
            least = rank;
            choice->mmproj = i;
        }
    }
    if (choice->mmproj != SIZE_MAX) {
        choice->role[choice->mmproj] = EXAONE_HUB_MMPROJ;
    } else if (type && strcasecmp(type, "none") != 0) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           any ? "%s has no mmproj file of type %s" : "%s has no mmproj file (type %s)", where, type);
    }
    return EXAONE_OK;
}

static void mark_group(const char *const *paths, size_t n, const exaone_hub_group *g, exaone_hub_choice *choice) {
    candidate key = {.path = paths[g->first]};
    key.stem = stem_length(key.path, ".gguf", &key.no, &key.of);
    for (size_t i = 0; i < n; i++) {
        candidate c = {.path = paths[i]};
        if (i == g->first ||
            (is_model(paths[i]) && (c.stem = stem_length(paths[i], ".gguf", &c.no, &c.of), same_group(&key, &c)))) {
            choice->role[i] = EXAONE_HUB_MODEL;
        } else if (is_terms(paths[i])) {
            choice->role[i] = EXAONE_HUB_SIDE;
        }
    }
    choice->main = g->first;
    choice->missing = g->parts - g->count;
    snprintf(choice->quant, sizeof choice->quant, "%s", g->label);
}

static exaone_status choose_gguf(const char *const *paths, size_t n, const exaone_hub_name *name, const char *mmproj,
                                 const char *where, exaone_hub_choice *choice, exaone_error *err) {
    exaone_hub_group *groups;
    size_t count;
    exaone_status status = exaone_hub_groups(paths, n, &groups, &count, err);
    if (status) {
        return status;
    }
    const exaone_hub_group *g = NULL;
    exaone_hub_group exact = {.count = 1, .parts = 1};
    if (ends_with(name->quant, ".gguf")) {
        for (size_t i = 0; i < n && !g; i++) {
            if (strcmp(paths[i], name->quant) == 0) {
                exact.first = i;
                snprintf(exact.label, sizeof exact.label, "%.63s", base_of(paths[i]));
                g = &exact;
            }
        }
        for (size_t i = 0; i < count && g == &exact; i++) { /* any part of a split file stands for all */
            unsigned no, of;
            size_t a = stem_length(paths[exact.first], ".gguf", &no, &of),
                   b = stem_length(paths[groups[i].first], ".gguf", &no, &of);
            g = a == b && strncmp(paths[exact.first], paths[groups[i].first], a) == 0 ? &groups[i] : g;
        }
    } else {
        g = nearest(paths, groups, count, name->quant[0] ? name->quant : EXAONE_HUB_QUANT);
        g = !g && !name->quant[0] && count == 1 ? &groups[0] : g;
    }
    if (!g) {
        status = no_group(groups, count, name, where, err);
    } else {
        mark_group(paths, n, g, choice);
        status = choose_mmproj(paths, n, mmproj, where, choice, err);
    }
    free(groups);
    return status;
}

exaone_status exaone_hub_choose(const char *const *paths, size_t n, const exaone_hub_name *name, const char *mmproj,
                                const char *where, exaone_hub_choice *choice, exaone_error *err) {
    *choice = (exaone_hub_choice){.mmproj = SIZE_MAX};
    choice->role = exaone_mem_array(n, 1);
    if (!choice->role) {
        return exaone_fail_memory(err, "the list of files", n);
    }
    size_t count, missing;
    if (name->quant[0] || !exaone_hub_is_folder(paths, n, &count, &missing)) {
        return choose_gguf(paths, n, name, mmproj, where, choice, err);
    }
    choice->folder = true;
    choice->missing = missing;
    for (size_t i = 0; i < n; i++) {
        choice->role[i] = (uint8_t)exaone_hub_folder_role(paths[i]);
    }
    return EXAONE_OK;
}
