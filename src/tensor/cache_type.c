/* The element types that a KV cache may have. */
#include <string.h>

#include "exaone/tensors.h"

/* F16 is the default: docs/sessions.md has the errors that were measured. */
static const struct {
    const char *name;
    exaone_dtype dtype;
} types[EXAONE_CACHE_TYPE_COUNT] = {
    [EXAONE_CACHE_DEFAULT] = {"f16", EXAONE_F16}, [EXAONE_CACHE_F32] = {"f32", EXAONE_F32},
    [EXAONE_CACHE_F16] = {"f16", EXAONE_F16},     [EXAONE_CACHE_BF16] = {"bf16", EXAONE_BF16},
    [EXAONE_CACHE_Q8_0] = {"q8_0", EXAONE_Q8_0},
};

const char *exaone_cache_type_name(exaone_cache_type type) {
    return (unsigned)type < EXAONE_CACHE_TYPE_COUNT ? types[type].name : NULL;
}

bool exaone_cache_type_from_name(const char *name, exaone_cache_type *out) {
    for (int i = EXAONE_CACHE_F32; i < EXAONE_CACHE_TYPE_COUNT; i++) {
        if (strcmp(types[i].name, name) == 0) {
            *out = (exaone_cache_type)i;
            return true;
        }
    }
    return false;
}

exaone_dtype exaone_cache_type_dtype(exaone_cache_type type) {
    return (unsigned)type < EXAONE_CACHE_TYPE_COUNT ? types[type].dtype : EXAONE_DTYPE_COUNT;
}
