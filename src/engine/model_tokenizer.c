/* The tokenizer of a model: see model_tokenizer.h. Keys: docs/model.md, "GGUF". */
#include "engine/model_tokenizer.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"

static exaone_string_view view(const exaone_gguf *g, const char *key) {
    exaone_gguf_view v;
    return exaone_gguf_string(exaone_gguf_find(g, key), &v) ? (exaone_string_view){v.text, v.n}
                                                            : (exaone_string_view){NULL, 0};
}

static int64_t token_id(const exaone_gguf *g, const char *key) {
    int64_t id;
    return exaone_gguf_int(exaone_gguf_find(g, key), &id) ? id : -1;
}

static exaone_status string_array(const exaone_gguf *g, const char *key, exaone_string_view **out, size_t *n,
                                  exaone_error *err) {
    const exaone_gguf_kv *kv = exaone_gguf_find(g, key);
    exaone_gguf_view *views = NULL;
    *out = NULL;
    *n = 0;
    if (!kv) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is missing", key);
    }
    exaone_status s = exaone_gguf_strings(kv, &views, err);
    if (s != EXAONE_OK) {
        return s;
    }
    exaone_string_view *strings = exaone_mem_array(kv->count, sizeof *strings);
    for (size_t i = 0; strings && i < kv->count; i++) {
        strings[i] = (exaone_string_view){views[i].text, views[i].n};
    }
    free(views);
    if (!strings) {
        return exaone_fail_memory(err, key, kv->count * sizeof *strings);
    }
    *out = strings;
    *n = kv->count;
    return EXAONE_OK;
}

static exaone_status token_types(const exaone_gguf *g, size_t n, int32_t **out, exaone_error *err) {
    const exaone_gguf_kv *kv = exaone_gguf_find(g, "tokenizer.ggml.token_type");
    *out = NULL;
    if (!kv) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.ggml.token_type is missing");
    }
    if (kv->type != EXAONE_GGUF_ARRAY || kv->count != n) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.ggml.token_type has %llu entries, there are %zu tokens",
                           (unsigned long long)kv->count, n);
    }
    int32_t *types = exaone_mem_array(n, sizeof *types);
    if (!types) {
        return exaone_fail_memory(err, "token types", n * sizeof *types);
    }
    for (size_t i = 0; i < n; i++) {
        int64_t type = 0;
        if (!exaone_gguf_int_at(kv, i, &type)) {
            free(types);
            return exaone_fail(err, EXAONE_ERR_FORMAT, "tokenizer.ggml.token_type[%zu] is no integer", i);
        }
        types[i] = type >= 0 && type <= 6 ? (int32_t)type : 0;
    }
    *out = types;
    return EXAONE_OK;
}

static exaone_status gguf_tokenizer(const exaone_gguf *g, exaone_tokenizer **out, exaone_error *err) {
    exaone_string_view *tokens = NULL, *merges = NULL;
    int32_t *types = NULL;
    exaone_tokenizer_arrays a = {.model = view(g, "tokenizer.ggml.model"), .pre = view(g, "tokenizer.ggml.pre")};
    exaone_status s = string_array(g, "tokenizer.ggml.tokens", &tokens, &a.n_tokens, err);
    if (s == EXAONE_OK) {
        s = string_array(g, "tokenizer.ggml.merges", &merges, &a.n_merges, err);
    }
    if (s == EXAONE_OK) {
        s = token_types(g, a.n_tokens, &types, err);
    }
    if (s == EXAONE_OK) {
        a.tokens = tokens;
        a.merges = merges;
        a.types = types;
        a.bos = token_id(g, "tokenizer.ggml.bos_token_id");
        a.eos = token_id(g, "tokenizer.ggml.eos_token_id");
        a.unk = token_id(g, "tokenizer.ggml.unknown_token_id");
        a.pad = token_id(g, "tokenizer.ggml.padding_token_id");
        s = exaone_tokenizer_from_arrays(&a, out, err);
    }
    free(tokens);
    free(merges);
    free(types);
    return s;
}

static exaone_status folder_tokenizer(const char *dir, bool may_lack, exaone_tokenizer **out, exaone_error *err) {
    char *path = exaone_path_join(dir, "tokenizer.json");
    if (!path) {
        return exaone_fail_memory(err, "a path", 1);
    }
    exaone_status s = !exaone_path_exists(path) && may_lack ? EXAONE_OK : exaone_tokenizer_open(path, out, err);
    free(path);
    return s;
}

exaone_status exaone_model_tokenizer(const exaone_weights *weights, int vocab_size, bool may_lack, exaone_tokenizer **out,
                                     exaone_error *err) {
    const exaone_gguf *g = exaone_weights_gguf(weights);
    exaone_status s;
    *out = NULL;
    if (g) {
        bool absent = !exaone_gguf_find(g, "tokenizer.ggml.tokens");
        s = absent && may_lack ? EXAONE_OK : gguf_tokenizer(g, out, err);
        s = s == EXAONE_OK ? s : exaone_fail_context(err, s, "%s", exaone_gguf_path(g));
    } else {
        s = folder_tokenizer(exaone_weights_dir(weights), may_lack, out, err);
    }
    int n = *out ? exaone_tokenizer_vocab_size(*out) : 0;
    if (s == EXAONE_OK && n > vocab_size) {
        exaone_tokenizer_free(*out);
        *out = NULL;
        s = exaone_fail(err, EXAONE_ERR_MODEL, "the tokenizer has %d ids, vocab_size is %d", n, vocab_size);
    }
    return s;
}
