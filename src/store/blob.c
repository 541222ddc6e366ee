/* Entries as bytes: see blob.h. */
#include "store/blob.h"

#include <string.h>
#include <xxhash.h>
#include <zstd.h>

static const char magic[8] = {'e', 'x', 'a', 's', 't', 'o', 'r', 'e'};

enum { AT_VERSION = 8, AT_ENCODING = 12, AT_KEY = 16, AT_SIZE = 48, AT_STORED = 56, AT_CHECKSUM = 64 };
enum { LEVEL = 1 }; /* higher ones gain nothing on rows of a KV cache */

static uint64_t get(const uint8_t *p, int bytes) {
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static void put(uint8_t *p, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

const char *exaone_blob_read_header(const uint8_t *header, uint64_t file_size, const exaone_store_key *key,
                                    exaone_blob *blob) {
    if (file_size < EXAONE_BLOB_HEADER) {
        return "the file is cut";
    }
    if (memcmp(header, magic, sizeof magic) != 0) {
        return "the file is no entry of a store";
    }
    if (get(header + AT_VERSION, 4) != EXAONE_BLOB_VERSION) {
        return "the entry is of another version";
    }
    uint64_t encoding = get(header + AT_ENCODING, 4);
    memcpy(blob->key.bytes, header + AT_KEY, sizeof blob->key.bytes);
    blob->size = get(header + AT_SIZE, 8);
    blob->stored = get(header + AT_STORED, 8);
    blob->checksum = get(header + AT_CHECKSUM, 8);
    if (file_size - EXAONE_BLOB_HEADER != blob->stored) {
        return file_size - EXAONE_BLOB_HEADER < blob->stored ? "the file is cut" : "the file is too long";
    }
    if (key && memcmp(key->bytes, blob->key.bytes, sizeof key->bytes) != 0) {
        return "the entry is another one";
    }
    if (encoding > EXAONE_BLOB_ZSTD || blob->size > EXAONE_STORE_MAX_ENTRY || blob->stored > blob->size ||
        (encoding == EXAONE_BLOB_RAW && blob->stored != blob->size)) {
        return "the header is damaged";
    }
    blob->encoding = (exaone_blob_encoding)encoding;
    return NULL;
}

static uint64_t checksum_of(const uint8_t *header, const void *payload, uint64_t n) {
    return XXH3_64bits_withSeed(n ? payload : "", (size_t)n, XXH3_64bits(header, AT_CHECKSUM));
}

void exaone_blob_write_header(exaone_blob *blob, const void *payload, uint8_t header[EXAONE_BLOB_HEADER]) {
    memcpy(header, magic, sizeof magic);
    put(header + AT_VERSION, EXAONE_BLOB_VERSION, 4);
    put(header + AT_ENCODING, blob->encoding, 4);
    memcpy(header + AT_KEY, blob->key.bytes, sizeof blob->key.bytes);
    put(header + AT_SIZE, blob->size, 8);
    put(header + AT_STORED, blob->stored, 8);
    blob->checksum = checksum_of(header, payload, blob->stored);
    put(header + AT_CHECKSUM, blob->checksum, 8);
}

const char *exaone_blob_check(const uint8_t *header, const exaone_blob *blob, const void *payload) {
    return checksum_of(header, payload, blob->stored) == blob->checksum ? NULL : "the checksum differs";
}

const char *exaone_blob_decode(const exaone_blob *blob, const void *payload, void *out) {
    if (blob->encoding == EXAONE_BLOB_RAW) {
        memcpy(out, blob->size ? payload : out, (size_t)blob->size);
        return NULL;
    }
    size_t n = ZSTD_decompress(out, (size_t)blob->size, payload, (size_t)blob->stored);
    return !ZSTD_isError(n) && n == blob->size ? NULL : "the compressed bytes are damaged";
}

size_t exaone_blob_compress(void **state, const void *bytes, size_t n, void *out, size_t room) {
    size_t most = n - n / 10;
    if (n == 0 || (!*state && !(*state = ZSTD_createCCtx()))) {
        return 0;
    }
    size_t got = ZSTD_compressCCtx(*state, out, room < most ? room : most, bytes, n, LEVEL);
    return ZSTD_isError(got) ? 0 : got;
}

void exaone_blob_compressor_free(void *state) {
    ZSTD_freeCCtx(state);
}
