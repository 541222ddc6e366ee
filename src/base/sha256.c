/* SHA-256 by libcrypto. The low-level calls cannot fail: no provider is fetched and nothing is allocated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <openssl/sha.h>

void exaone_sha256(const void *data, size_t n, uint8_t out[32]) {
    SHA256_CTX ctx;
    SHA256_Init(&ctx);
    SHA256_Update(&ctx, data, n);
    SHA256_Final(out, &ctx);
}
