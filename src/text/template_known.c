/* Which chat template a model file carries: by its SHA-256, with or without the final newline that some copies lack. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "exaone/chat.h"

static void hex_digest(const char *bytes, size_t n, char hex[65]) {
    static const char digit[] = "0123456789abcdef";
    uint8_t d[32];
    exaone_sha256(bytes, n, d);
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = digit[d[i] >> 4];
        hex[2 * i + 1] = digit[d[i] & 15];
    }
    hex[64] = 0;
}

static const char *known_name(const char *hex) {
    static const struct {
        const char *sha256, *name;
    } known[] = {{"e4ece7acc79ba82121d4d57791fb7ecb796e39185087197377da5d2286bec0e5", "EXAONE 4.5"},
                 {"9385ea8c4336911441233d88fdedb8ddd28004887688c5ca11885f7f9a1ae461", "EXAONE 4.5, the tiny model's"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].sha256, hex) == 0) {
            return known[i].name;
        }
    }
    return NULL;
}

const char *exaone_template_identify(const char *bytes, size_t n, char hex[65]) {
    hex_digest(bytes, n, hex);
    const char *name = known_name(hex);
    char *longer = name ? NULL : exaone_mem_string(bytes, n); /* its NUL becomes the newline */
    if (longer) {
        char other[65];
        longer[n] = '\n';
        hex_digest(longer, n + 1, other);
        name = known_name(other);
        free(longer);
    }
    return name;
}
