/* The two hashes that name files in the cache: SHA-256 (large files) and git's name of a blob (small ones), computed while
 * the bytes come in. By libcrypto; the low-level calls allocate nothing and cannot fail. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "hub/hub_internal.h"

static_assert(sizeof(SHA256_CTX) <= sizeof(((exaone_hub_digest *)0)->state), "room for SHA-256");
static_assert(sizeof(SHA_CTX) <= sizeof(((exaone_hub_digest *)0)->state), "room for SHA-1");

void exaone_hub_digest_begin(exaone_hub_digest *d, const char *hash, uint64_t size) {
    d->git = strlen(hash) == 40;
    if (d->git) {
        char head[40];
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);
        SHA1_Init((SHA_CTX *)(void *)d->state);
        SHA1_Update((SHA_CTX *)(void *)d->state, head, (size_t)n + 1);
    } else {
        SHA256_Init((SHA256_CTX *)(void *)d->state);
    }
}

void exaone_hub_digest_add(exaone_hub_digest *d, const void *bytes, size_t n) {
    if (d->git) {
        SHA1_Update((SHA_CTX *)(void *)d->state, bytes, n);
    } else {
        SHA256_Update((SHA256_CTX *)(void *)d->state, bytes, n);
    }
}

void exaone_hub_digest_end(exaone_hub_digest *d, char hex[65]) {
    uint8_t sum[32];
    size_t n = d->git ? 20 : 32;
    if (d->git) {
        SHA1_Final(sum, (SHA_CTX *)(void *)d->state);
    } else {
        SHA256_Final(sum, (SHA256_CTX *)(void *)d->state);
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    }
}
