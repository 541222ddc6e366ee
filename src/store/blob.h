/* One entry of a store as the bytes of its file: a header, then the entry, compressed with zstd when that saves a tenth.
 *
 *    0   8  "exastore"
 *    8   4  format version, 1
 *   12   4  encoding: 0 raw, 1 zstd
 *   16  32  key
 *   48   8  bytes of the entry
 *   56   8  bytes behind the header
 *   64   8  checksum: XXH3-64 of what is behind the header, seeded with the XXH3-64 of bytes 0 .. 63
 *
 * Numbers are little-endian. A file holds nothing else. */
#ifndef EXAONE_STORE_BLOB_H
#define EXAONE_STORE_BLOB_H

#include "store/store.h"

enum { EXAONE_BLOB_HEADER = 72, EXAONE_BLOB_VERSION = 1 };

typedef enum exaone_blob_encoding { EXAONE_BLOB_RAW, EXAONE_BLOB_ZSTD } exaone_blob_encoding;

typedef struct exaone_blob {
    exaone_store_key key;
    exaone_blob_encoding encoding;
    uint64_t size, stored; /* bytes of the entry, bytes behind the header */
    uint64_t checksum;
} exaone_blob;

/* Reads a header of EXAONE_BLOB_HEADER bytes. `file_size` is the size of the whole file; the key is compared unless NULL.
 * NULL, or what is wrong, a static text. */
const char *exaone_blob_read_header(const uint8_t *header, uint64_t file_size, const exaone_store_key *key,
                                    exaone_blob *blob);

/* Writes a header; fills in blob->checksum from the `stored` bytes that will follow. */
void exaone_blob_write_header(exaone_blob *blob, const void *payload, uint8_t header[EXAONE_BLOB_HEADER]);

/* Compares the checksum of the bytes behind the header. NULL, or what is wrong. */
const char *exaone_blob_check(const uint8_t *header, const exaone_blob *blob, const void *payload);

/* The entry itself into out[blob->size], from checked bytes. NULL, or what is wrong. */
const char *exaone_blob_decode(const exaone_blob *blob, const void *payload, void *out);

/* Compresses n bytes into out[room]; 0 when that does not save a tenth (or fails): then they are stored raw. `state` keeps
 * the compressor between calls, starts as NULL and goes to exaone_blob_compressor_free. */
size_t exaone_blob_compress(void **state, const void *bytes, size_t n, void *out, size_t room);
void exaone_blob_compressor_free(void *state);

#endif
