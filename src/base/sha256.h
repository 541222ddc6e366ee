/* SHA-256 (FIPS 180-4). */
#ifndef EXAONE_BASE_SHA256_H
#define EXAONE_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

void exaone_sha256(const void *data, size_t n, uint8_t out[32]);

#endif
