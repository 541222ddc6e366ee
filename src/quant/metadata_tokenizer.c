/* tokenizer.json as the entries tokenizer.ggml.* of a GGUF file.
 *
 * MODEL: kind gpt2 (bytes in the GPT-2 alphabet), pre-tokenizer exaone-moe. Token types: 1 normal, 3 control (special, or
 * spelled <|…|>), 4 added by the user, 5 an id without a token. Merges are "left right"; a space inside a half is U+0120. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "quant/document.h"
#include "quant/metadata.h"

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, ROOM = 32, MAX_TEMPLATE = 1 << 20 };

typedef struct reader {
    exaone_gguf_writer *w;
    const char *path;
    exaone_arena *arena;
    size_t n; /* vocabulary */
    exaone_error *err;
} reader;

static exaone_status no_memory(const reader *r, size_t bytes) {
    return exaone_fail_memory(r->err, r->path, bytes);
}

/* The id in `j`, which must be below the vocabulary's size. */
static exaone_status read_id(const reader *r, const exaone_json *j, const char *token, size_t n, size_t *id) {
    int64_t value;
    if (!exaone_json_int(j, &value) || value < 0 || (uint64_t)value >= r->n) {
        return exaone_fail(r->err, EXAONE_ERR_MODEL, "%s: the id of token \"%.*s\" is not from 0 to %zu", r->path,
                           (int)(n < 60 ? n : 60), token, r->n - 1);
    }
    *id = (size_t)value;
    return EXAONE_OK;
}

static exaone_status read_added(const reader *r, const exaone_json *list, exaone_gguf_view *tokens, int32_t *types) {
    for (const exaone_json *j = list ? list->first : NULL; j; j = j->next) {
        const exaone_json *content = exaone_json_get(j, "content");
        if (!exaone_json_is(content, EXAONE_JSON_STRING)) {
            return exaone_fail(r->err, EXAONE_ERR_MODEL, "%s: an entry of added_tokens has no content", r->path);
        }
        size_t id = 0;
        exaone_status status = read_id(r, exaone_json_get(j, "id"), content->text, content->len, &id);
        if (status) {
            return status;
        }
        bool tag = content->len >= 4 && memcmp(content->text, "<|", 2) == 0 &&
                   memcmp(content->text + content->len - 2, "|>", 2) == 0;
        tokens[id] = (exaone_gguf_view){content->text, content->len};
        types[id] = tag || exaone_json_is(exaone_json_get(j, "special"), EXAONE_JSON_TRUE) ? CONTROL : USER_DEFINED;
    }
    return EXAONE_OK;
}

static exaone_status put_tokens(const reader *r, const exaone_json *vocab, const exaone_json *added) {
    exaone_gguf_view *tokens = exaone_arena_take(r->arena, r->n * sizeof *tokens);
    int32_t *types = exaone_arena_take(r->arena, r->n * sizeof *types);
    if (!tokens || !types) {
        return no_memory(r, r->n * (sizeof *tokens + sizeof *types));
    }
    for (const exaone_json *j = vocab->first; j; j = j->next) {
        size_t id = 0;
        exaone_status status = read_id(r, j, j->key, j->key_len, &id);
        if (status) {
            return status;
        }
        tokens[id] = (exaone_gguf_view){j->key, j->key_len};
        types[id] = NORMAL;
    }
    exaone_status status = read_added(r, added, tokens, types);
    for (size_t i = 0; i < r->n && status == EXAONE_OK; i++) {
        if (!tokens[i].text) { /* as converters name them */
            char *text = exaone_arena_take(r->arena, ROOM);
            if (!text) {
                return no_memory(r, ROOM);
            }
            snprintf(text, ROOM, "[PAD%zu]", i);
            tokens[i] = (exaone_gguf_view){text, strlen(text)};
            types[i] = UNUSED;
        }
    }
    if (status == EXAONE_OK) {
        exaone_gguf_put_strings(r->w, "tokenizer.ggml.tokens", tokens, r->n);
        exaone_gguf_put_i32s(r->w, "tokenizer.ggml.token_type", types, r->n);
    }
    return status;
}

static char *put_half(char *at, const exaone_json *half) {
    for (size_t i = 0; i < half->len; i++) {
        if (half->text[i] == ' ') {
            *at++ = (char)0xc4;
            *at++ = (char)0xa0;
        } else {
            *at++ = half->text[i];
        }
    }
    return at;
}

/* "left right" in one string, or the two in an array. */
static exaone_status merge_text(const reader *r, const exaone_json *j, exaone_gguf_view *out) {
    if (exaone_json_is(j, EXAONE_JSON_STRING)) {
        *out = (exaone_gguf_view){j->text, j->len};
        return EXAONE_OK;
    }
    const exaone_json *left = j->type == EXAONE_JSON_ARRAY && j->len == 2 ? j->first : NULL;
    if (!exaone_json_is(left, EXAONE_JSON_STRING) || !exaone_json_is(left->next, EXAONE_JSON_STRING)) {
        return exaone_fail(r->err, EXAONE_ERR_MODEL, "%s: an entry of merges is neither a string nor a pair of strings",
                           r->path);
    }
    const exaone_json *right = left->next;
    char *text = exaone_arena_take(r->arena, 2 * (left->len + right->len) + 1);
    if (!text) {
        return no_memory(r, 2 * (left->len + right->len) + 1);
    }
    char *at = put_half(text, left);
    *at++ = ' ';
    at = put_half(at, right);
    *out = (exaone_gguf_view){text, (size_t)(at - text)};
    return EXAONE_OK;
}

static exaone_status put_merges(const reader *r, const exaone_json *merges) {
    exaone_gguf_view *list = exaone_arena_take(r->arena, (merges->len + 1) * sizeof *list);
    if (!list) {
        return no_memory(r, (merges->len + 1) * sizeof *list);
    }
    size_t n = 0;
    for (const exaone_json *j = merges->first; j; j = j->next) {
        exaone_status status = merge_text(r, j, &list[n++]);
        if (status) {
            return status;
        }
    }
    exaone_gguf_put_strings(r->w, "tokenizer.ggml.merges", list, n);
    return EXAONE_OK;
}

static exaone_status put_document(const reader *r, const exaone_json *root) {
    const exaone_json *model = exaone_json_get(root, "model"), *type = exaone_json_get(model, "type");
    const exaone_json *vocab = exaone_json_get(model, "vocab"), *merges = exaone_json_get(model, "merges");
    if ((type && !exaone_json_equals(type, "BPE")) || !exaone_json_is(vocab, EXAONE_JSON_OBJECT) ||
        !exaone_json_is(merges, EXAONE_JSON_ARRAY)) {
        return exaone_fail(r->err, EXAONE_ERR_MODEL, "%s: model is not BPE with a vocab and merges", r->path);
    }
    exaone_gguf_put_text(r->w, "tokenizer.ggml.model", "gpt2");
    exaone_gguf_put_text(r->w, "tokenizer.ggml.pre", "exaone-moe");
    exaone_status status = put_tokens(r, vocab, exaone_json_get(root, "added_tokens"));
    return status ? status : put_merges(r, merges);
}

/* The id of a token by its text; false when there is none. */
static bool find_token(const exaone_json *root, const exaone_json *text, int64_t *id) {
    const exaone_json *added = exaone_json_get(root, "added_tokens");
    for (const exaone_json *j = added ? added->first : NULL; j; j = j->next) {
        const exaone_json *content = exaone_json_get(j, "content");
        if (exaone_json_is(content, EXAONE_JSON_STRING) && content->len == text->len &&
            memcmp(content->text, text->text, text->len) == 0) {
            return exaone_json_int(exaone_json_get(j, "id"), id);
        }
    }
    for (const exaone_json *j = exaone_json_get(exaone_json_get(root, "model"), "vocab")->first; j; j = j->next) {
        if (j->key_len == text->len && memcmp(j->key, text->text, text->len) == 0) {
            return exaone_json_int(j, id);
        }
    }
    return false;
}

/* The unknown token is named by tokenizer_config.json. */
static exaone_status put_unknown(const reader *r, const char *folder, const exaone_json *root) {
    exaone_document d;
    exaone_status status = exaone_document_open(folder, "tokenizer_config.json", &d, r->err);
    if (status == EXAONE_OK && d.root) {
        const exaone_json *text = exaone_json_get(d.root, "unk_token");
        text = exaone_json_is(text, EXAONE_JSON_OBJECT) ? exaone_json_get(text, "content") : text;
        int64_t id;
        if (exaone_json_is(text, EXAONE_JSON_STRING) && find_token(root, text, &id)) {
            exaone_gguf_put_u32(r->w, "tokenizer.ggml.unknown_token_id", (uint32_t)id);
        }
    }
    exaone_document_release(&d);
    return status;
}

static void put_ids(exaone_gguf_writer *w, const exaone_config *c) {
    const struct {
        const char *key;
        int id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", c->bos_token_id},
               {"tokenizer.ggml.eos_token_id", c->n_eos_token_ids > 0 ? c->eos_token_ids[0] : -1},
               {"tokenizer.ggml.eot_token_id", c->n_eos_token_ids > 1 ? c->eos_token_ids[1] : -1},
               {"tokenizer.ggml.padding_token_id", c->pad_token_id}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i].id >= 0) {
            exaone_gguf_put_u32(w, ids[i].key, (uint32_t)ids[i].id);
        }
    }
}

static exaone_status put_template(exaone_gguf_writer *w, const char *folder, exaone_error *err) {
    char *path = exaone_path_join(folder, "chat_template.jinja"), *text = NULL;
    size_t n;
    if (!path) {
        return exaone_fail_memory(err, "a file name", strlen(folder));
    }
    exaone_status status = EXAONE_OK;
    if (exaone_path_exists(path)) {
        status = exaone_file_read(path, MAX_TEMPLATE, &text, &n, err);
        if (status == EXAONE_OK) {
            exaone_gguf_put_string(w, "tokenizer.chat_template", text, n);
        }
    }
    free(path);
    free(text);
    return status;
}

exaone_status exaone_metadata_tokenizer(exaone_gguf_writer *w, const exaone_config *config, const char *folder,
                                        exaone_error *err) {
    exaone_document d;
    exaone_status status = exaone_document_open(folder, "tokenizer.json", &d, err);
    if (status == EXAONE_OK && d.root) {
        reader r = {w, d.path, &d.arena, (size_t)config->vocab_size, err};
        status = put_document(&r, d.root);
        status = status ? status : put_unknown(&r, folder, d.root);
    }
    exaone_document_release(&d);
    if (status == EXAONE_OK) {
        put_ids(w, config);
        status = put_template(w, folder, err);
    }
    return status;
}
