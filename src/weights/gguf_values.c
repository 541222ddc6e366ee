/* Values of GGUF metadata: see gguf.h. A kv's bytes were checked to lie in the file when it was opened. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "weights/gguf.h"

static uint64_t little(const uint8_t *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value |= (uint64_t)p[i] << 8 * i;
    }
    return value;
}

static bool int_value(exaone_gguf_type type, const uint8_t *p, int64_t *out) {
    switch (type) {
    case EXAONE_GGUF_U8:
        *out = p[0];
        return true;
    case EXAONE_GGUF_I8:
        *out = (int8_t)p[0];
        return true;
    case EXAONE_GGUF_U16:
        *out = (uint16_t)little(p, 2);
        return true;
    case EXAONE_GGUF_I16:
        *out = (int16_t)(uint16_t)little(p, 2);
        return true;
    case EXAONE_GGUF_U32:
        *out = (uint32_t)little(p, 4);
        return true;
    case EXAONE_GGUF_I32:
        *out = (int32_t)(uint32_t)little(p, 4);
        return true;
    case EXAONE_GGUF_U64: {
        uint64_t value = little(p, 8);
        if (value > INT64_MAX) {
            return false;
        }
        *out = (int64_t)value;
        return true;
    }
    case EXAONE_GGUF_I64:
        *out = (int64_t)little(p, 8);
        return true;
    default:
        return false;
    }
}

static bool double_value(exaone_gguf_type type, const uint8_t *p, double *out) {
    if (type == EXAONE_GGUF_F32) {
        uint32_t bits = (uint32_t)little(p, 4);
        float f;
        memcpy(&f, &bits, 4);
        *out = f;
        return true;
    }
    if (type == EXAONE_GGUF_F64) {
        uint64_t bits = little(p, 8);
        memcpy(out, &bits, 8);
        return true;
    }
    int64_t value;
    if (!int_value(type, p, &value)) {
        return false;
    }
    *out = (double)value;
    return true;
}

bool exaone_gguf_int(const exaone_gguf_kv *kv, int64_t *out) {
    return kv && int_value(kv->type, kv->data, out);
}

bool exaone_gguf_double(const exaone_gguf_kv *kv, double *out) {
    return kv && double_value(kv->type, kv->data, out);
}

bool exaone_gguf_bool(const exaone_gguf_kv *kv, bool *out) {
    if (!kv || kv->type != EXAONE_GGUF_BOOL) {
        return false;
    }
    *out = kv->data[0] != 0;
    return true;
}

bool exaone_gguf_string(const exaone_gguf_kv *kv, exaone_gguf_view *out) {
    if (!kv || kv->type != EXAONE_GGUF_STRING) {
        return false;
    }
    *out = (exaone_gguf_view){(const char *)kv->data, kv->bytes};
    return true;
}

bool exaone_gguf_string_is(const exaone_gguf_kv *kv, const char *text) {
    exaone_gguf_view v;
    return exaone_gguf_string(kv, &v) && v.n == strlen(text) && memcmp(v.text, text, v.n) == 0;
}

/* Bytes of one element of a numeric or bool array, 0 for others. */
static size_t element_bytes(const exaone_gguf_kv *kv) {
    if (!kv || kv->type != EXAONE_GGUF_ARRAY || kv->element == EXAONE_GGUF_STRING || kv->count == 0) {
        return 0;
    }
    return (size_t)(kv->bytes / kv->count);
}

bool exaone_gguf_int_at(const exaone_gguf_kv *kv, uint64_t i, int64_t *out) {
    size_t each = element_bytes(kv);
    if (each == 0 || i >= kv->count) {
        return false;
    }
    const uint8_t *p = kv->data + (size_t)i * each;
    if (kv->element == EXAONE_GGUF_BOOL) {
        *out = p[0];
        return true;
    }
    return int_value(kv->element, p, out);
}

bool exaone_gguf_double_at(const exaone_gguf_kv *kv, uint64_t i, double *out) {
    size_t each = element_bytes(kv);
    return each > 0 && i < kv->count && double_value(kv->element, kv->data + (size_t)i * each, out);
}

exaone_status exaone_gguf_strings(const exaone_gguf_kv *kv, exaone_gguf_view **out, exaone_error *err) {
    *out = NULL;
    if (!kv || kv->type != EXAONE_GGUF_ARRAY || kv->element != EXAONE_GGUF_STRING) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s is not an array of strings", kv ? kv->key : "a missing key");
    }
    exaone_gguf_view *views = exaone_mem_array((size_t)kv->count, sizeof *views);
    if (!views) {
        return exaone_fail_memory(err, kv->key, (unsigned long long)kv->count * sizeof *views);
    }
    const uint8_t *p = kv->data;
    for (uint64_t i = 0; i < kv->count; i++) {
        size_t n = (size_t)little(p, 8);
        views[i] = (exaone_gguf_view){(const char *)p + 8, n};
        p += 8 + n;
    }
    assert(p == kv->data + kv->bytes);
    *out = views;
    return EXAONE_OK;
}
