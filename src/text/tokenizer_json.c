/* tokenizer.json of the Hugging Face tokenizers library: reads the parts of an EXAONE 4.5 tokenizer, refuses by name
 * whatever the file asks for beyond them. Truncation, padding and the names of special tokens play no part here. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_pattern.h"

enum { MAX_SHOWN = 60 };
static const size_t max_document = (size_t)256 << 20; /* memory for the parsed file: 50 bytes per value */

typedef struct {
    exaone_string_view *tokens; /* [cap] by id; n = 0: not seen yet */
    uint8_t *kinds;             /* [cap] */
    exaone_merge_text *merges;
    size_t cap, n_tokens;
    exaone_error *err;
} reader;

static exaone_status refuse(exaone_error *err, const char *what, const exaone_json *value) {
    if (!exaone_json_is(value, EXAONE_JSON_STRING)) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: this %s is not supported", what);
    }
    int n = value->len < MAX_SHOWN ? (int)value->len : MAX_SHOWN;
    return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: %s \"%.*s\" is not supported", what, n, value->text);
}

static bool absent(const exaone_json *j) {
    return !j || j->type == EXAONE_JSON_NULL;
}

static bool absent_or_false(const exaone_json *j) {
    return absent(j) || j->type == EXAONE_JSON_FALSE;
}

static bool has_type(const exaone_json *j, const char *type) {
    return exaone_json_equals(exaone_json_get(j, "type"), type);
}

/* The only member of {"type": "Sequence", MEMBERS: [x]}, or j itself when it is no such sequence. */
static const exaone_json *unwrap(const exaone_json *j, const char *members) {
    const exaone_json *list = exaone_json_get(j, members);
    return has_type(j, "Sequence") && exaone_json_is(list, EXAONE_JSON_ARRAY) && list->len == 1 ? list->first : j;
}

static exaone_status read_normalizer(const exaone_json *root, bool *nfc, exaone_error *err) {
    const exaone_json *n = unwrap(exaone_json_get(root, "normalizer"), "normalizers");
    *nfc = has_type(n, "NFC");
    return *nfc || absent(n) ? EXAONE_OK : refuse(err, "normalizer", exaone_json_get(n, "type"));
}

static exaone_status check_byte_level(const exaone_json *b, exaone_error *err) {
    if (!has_type(b, "ByteLevel")) {
        return refuse(err, "pre_tokenizer", exaone_json_get(b, "type"));
    }
    if (!absent_or_false(exaone_json_get(b, "add_prefix_space"))) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: pre_tokenizer.add_prefix_space must be false");
    }
    if (!exaone_json_is(exaone_json_get(b, "use_regex"), EXAONE_JSON_FALSE)) { /* absent means true */
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: pre_tokenizer.use_regex must be false");
    }
    return EXAONE_OK;
}

static exaone_status check_pre_tokenizer(const exaone_json *root, exaone_error *err) {
    const exaone_json *p = exaone_json_get(root, "pre_tokenizer"), *list = exaone_json_get(p, "pretokenizers");
    if (!has_type(p, "Sequence") || !exaone_json_is(list, EXAONE_JSON_ARRAY)) {
        return refuse(err, "pre_tokenizer", exaone_json_get(p, "type"));
    }
    if (list->len != 2) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED,
                           "tokenizer.json: a pre_tokenizer of %zu steps is not supported; Split and "
                           "ByteLevel are",
                           list->len);
    }
    const exaone_json *split = list->first, *pattern = exaone_json_get(exaone_json_get(split, "pattern"), "Regex");
    if (!has_type(split, "Split")) {
        return refuse(err, "pre_tokenizer", exaone_json_get(split, "type"));
    }
    if (!exaone_json_equals(pattern, exaone_pattern_text)) {
        return refuse(err, "pre_tokenizer pattern", pattern);
    }
    if (!exaone_json_equals(exaone_json_get(split, "behavior"), "Isolated")) {
        return refuse(err, "pre_tokenizer behavior", exaone_json_get(split, "behavior"));
    }
    if (!absent_or_false(exaone_json_get(split, "invert"))) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: pre_tokenizer.invert must be false");
    }
    return check_byte_level(split->next, err);
}

/* A post-processor may be there as long as it adds no token. */
static exaone_status check_ends(const exaone_json *root, exaone_error *err) {
    const exaone_json *d = unwrap(exaone_json_get(root, "decoder"), "decoders");
    if (!has_type(d, "ByteLevel")) {
        return refuse(err, "decoder", exaone_json_get(d, "type"));
    }
    const exaone_json *p = unwrap(exaone_json_get(root, "post_processor"), "processors");
    return absent(p) || has_type(p, "ByteLevel") ? EXAONE_OK : refuse(err, "post_processor", exaone_json_get(p, "type"));
}

static exaone_status check_model(const exaone_json *m, exaone_error *err) {
    if (!exaone_json_is(m, EXAONE_JSON_OBJECT)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.json: model is missing");
    }
    const exaone_json *type = exaone_json_get(m, "type");
    if (type && !exaone_json_equals(type, "BPE")) {
        return refuse(err, "model", type);
    }
    double dropout = 0;
    const exaone_json *d = exaone_json_get(m, "dropout");
    if (!absent(d) && (!exaone_json_double(d, &dropout) || dropout != 0)) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: model.dropout must be null");
    }
    static const char *const flags[] = {"byte_fallback", "ignore_merges"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (!absent_or_false(exaone_json_get(m, flags[i]))) {
            return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: model.%s must be false", flags[i]);
        }
    }
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof affixes[0]; i++) {
        const exaone_json *a = exaone_json_get(m, affixes[i]);
        if (!absent(a) && !exaone_json_equals(a, "")) {
            return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: model.%s must be null", affixes[i]);
        }
    }
    return EXAONE_OK;
}

/* Reads an id below the number of entries in the file: a larger one would leave holes. */
static exaone_status read_id(const reader *r, const exaone_json *j, const char *text, size_t n, size_t *id) {
    int64_t v;
    int len = n < MAX_SHOWN ? (int)n : MAX_SHOWN;
    if (!exaone_json_int(j, &v) || v < 0) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: the id of \"%.*s\" is not a whole number from 0", len,
                           text);
    }
    if ((uint64_t)v >= r->cap) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: \"%.*s\" has id %lld, but there are %zu entries", len,
                           text, (long long)v, r->cap);
    }
    *id = (size_t)v;
    return EXAONE_OK;
}

static exaone_status put_token(reader *r, size_t id, const char *text, size_t n) {
    exaone_string_view *t = &r->tokens[id];
    if (t->bytes) {
        if (t->n == n && memcmp(t->bytes, text, n) == 0) {
            return EXAONE_OK;
        }
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: id %zu belongs to both \"%.*s\" and \"%.*s\"", id,
                           t->n < MAX_SHOWN ? (int)t->n : MAX_SHOWN, t->bytes, n < MAX_SHOWN ? (int)n : MAX_SHOWN, text);
    }
    *t = (exaone_string_view){text, n};
    if (id >= r->n_tokens) {
        r->n_tokens = id + 1;
    }
    return EXAONE_OK;
}

static exaone_status read_vocab(reader *r, const exaone_json *vocab) {
    for (const exaone_json *j = vocab->first; j; j = j->next) {
        size_t id;
        exaone_status s = read_id(r, j, j->key, j->key_len, &id);
        s = s == EXAONE_OK ? put_token(r, id, j->key, j->key_len) : s;
        if (s != EXAONE_OK) {
            return s;
        }
    }
    return EXAONE_OK;
}

static exaone_status read_added_token(reader *r, const exaone_json *j) {
    const exaone_json *content = exaone_json_get(j, "content");
    if (!exaone_json_is(content, EXAONE_JSON_STRING) || content->len == 0) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: an added token has no content");
    }
    size_t id;
    exaone_status s = read_id(r, exaone_json_get(j, "id"), content->text, content->len, &id);
    if (s != EXAONE_OK) {
        return s;
    }
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (!absent_or_false(exaone_json_get(j, flags[i]))) {
            return exaone_fail(r->err, EXAONE_ERR_UNSUPPORTED, "tokenizer.json: added token %zu: %s must be false", id,
                               flags[i]);
        }
    }
    const exaone_json *special = exaone_json_get(j, "special");
    if (!absent_or_false(special) && special->type != EXAONE_JSON_TRUE) {
        return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: added token %zu: special must be true or false", id);
    }
    r->kinds[id] = !absent(special) && special->type == EXAONE_JSON_TRUE ? TOKEN_ADDED | TOKEN_SPECIAL : TOKEN_ADDED;
    return put_token(r, id, content->text, content->len);
}

/* A merge is ["left", "right"], or in older files "left right". */
static exaone_status read_merge(const reader *r, const exaone_json *j, size_t rank, exaone_merge_text *m) {
    if (exaone_json_is(j, EXAONE_JSON_ARRAY) && j->len == 2) {
        const exaone_json *a = j->first, *b = a->next;
        if (a->type == EXAONE_JSON_STRING && b->type == EXAONE_JSON_STRING) {
            *m = (exaone_merge_text){{a->text, a->len}, {b->text, b->len}};
            return EXAONE_OK;
        }
    } else if (exaone_json_is(j, EXAONE_JSON_STRING) && exaone_merge_split((exaone_string_view){j->text, j->len}, m)) {
        return EXAONE_OK;
    }
    return exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: merge %zu is not a pair of tokens", rank);
}

static exaone_status read_all(reader *r, const exaone_json *vocab, const exaone_json *merges, const exaone_json *added) {
    r->cap = vocab->len + (added ? added->len : 0);
    r->tokens = exaone_mem_array(r->cap, sizeof *r->tokens);
    r->kinds = exaone_mem_array(r->cap, 1);
    r->merges = exaone_mem_array(merges->len, sizeof *r->merges);
    if (!r->tokens || !r->kinds || !r->merges) {
        return exaone_fail_memory(r->err, "tokenizer.json",
                                  (unsigned long long)r->cap * 17 + merges->len * sizeof *r->merges);
    }
    exaone_status s = read_vocab(r, vocab);
    for (const exaone_json *j = added ? added->first : NULL; s == EXAONE_OK && j; j = j->next) {
        s = read_added_token(r, j);
    }
    size_t rank = 0;
    for (const exaone_json *j = merges->first; s == EXAONE_OK && j; j = j->next, rank++) {
        s = read_merge(r, j, rank, &r->merges[rank]);
    }
    for (size_t id = 0; s == EXAONE_OK && id < r->n_tokens; id++) {
        if (!r->tokens[id].bytes) {
            s = exaone_fail(r->err, EXAONE_ERR_FORMAT, "tokenizer.json: no token has id %zu of 0 to %zu", id,
                            r->n_tokens - 1);
        }
    }
    return s;
}

static exaone_status read_document(const exaone_json *root, exaone_tokenizer **out, exaone_error *err) {
    const exaone_json *model = exaone_json_get(root, "model"), *added = exaone_json_get(root, "added_tokens");
    bool nfc = false;
    exaone_status s = check_model(model, err);
    s = s == EXAONE_OK ? read_normalizer(root, &nfc, err) : s;
    s = s == EXAONE_OK ? check_pre_tokenizer(root, err) : s;
    s = s == EXAONE_OK ? check_ends(root, err) : s;
    if (s != EXAONE_OK) {
        return s;
    }
    const exaone_json *vocab = exaone_json_get(model, "vocab"), *merges = exaone_json_get(model, "merges");
    if (!exaone_json_is(vocab, EXAONE_JSON_OBJECT) || !exaone_json_is(merges, EXAONE_JSON_ARRAY)) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "tokenizer.json: model.vocab must be an object and model.merges an array");
    }
    if (absent(added)) {
        added = NULL;
    } else if (added->type != EXAONE_JSON_ARRAY) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.json: added_tokens must be an array");
    }
    reader r = {.err = err};
    s = read_all(&r, vocab, merges, added);
    if (s == EXAONE_OK) {
        exaone_tokenizer_parts parts = {.origin = "tokenizer.json",
                                        .n_tokens = r.n_tokens,
                                        .tokens = r.tokens,
                                        .kinds = r.kinds,
                                        .n_merges = merges->len,
                                        .merges = r.merges,
                                        .nfc = nfc};
        s = exaone_tokenizer_build(&parts, out, err);
    }
    free(r.tokens);
    free(r.kinds);
    free(r.merges);
    return s;
}

exaone_status exaone_tokenizer_parse(const void *json, size_t n, exaone_tokenizer **out, exaone_error *err) {
    *out = NULL;
    if (n > EXAONE_TOKENIZER_MAX_FILE) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "tokenizer.json has %zu bytes; the limit is %zu", n,
                           EXAONE_TOKENIZER_MAX_FILE);
    }
    exaone_arena arena;
    exaone_arena_init(&arena, max_document);
    exaone_json *root;
    exaone_status s = exaone_json_parse(json, n, &arena, &root, err);
    if (s != EXAONE_OK) {
        s = exaone_fail_context(err, s, "tokenizer.json");
    } else if (root->type != EXAONE_JSON_OBJECT) {
        s = exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.json is not a JSON object");
    } else {
        s = read_document(root, out, err);
    }
    exaone_arena_release(&arena);
    return s;
}

exaone_status exaone_tokenizer_open(const char *path, exaone_tokenizer **out, exaone_error *err) {
    *out = NULL;
    char *text;
    size_t n;
    exaone_status s = exaone_file_read(path, EXAONE_TOKENIZER_MAX_FILE, &text, &n, err);
    if (s != EXAONE_OK) {
        return s;
    }
    s = exaone_tokenizer_parse(text, n, out, err);
    free(text);
    static const char name[] = "tokenizer.json"; /* messages begin with it: put the path there */
    if (s != EXAONE_OK && err) {
        if (strncmp(err->message, name, sizeof name - 1) == 0) {
            size_t behind = sizeof name - 1 + strspn(err->message + sizeof name - 1, ": ");
            memmove(err->message, err->message + behind, strlen(err->message + behind) + 1);
        }
        s = exaone_fail_context(err, s, "%s", path);
    }
    return s;
}
