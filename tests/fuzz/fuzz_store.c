/* Any bytes as the file of a store's entry: a fault, or the entry. The first byte says whether the header's lengths and
 * checksum are made right first, so that the bytes behind them are reached. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    bool mend = data[0] & 1;
    size_t n = size - 1;
    uint8_t *file = malloc(n + 1), header[EXAONE_BLOB_HEADER] = {0};
    assert(file);
    memcpy(file, data + 1, n);
    memcpy(header, file, n < sizeof header ? n : sizeof header);
    uint8_t *payload = n > sizeof header ? file + sizeof header : file;
    if (mend && n >= sizeof header) {
        exaone_blob mended = {.encoding = data[0] & 2 ? EXAONE_BLOB_ZSTD : EXAONE_BLOB_RAW, .stored = n - sizeof header};
        mended.size = mended.encoding == EXAONE_BLOB_RAW ? mended.stored : mended.stored + data[0] * 64u;
        memcpy(mended.key.bytes, header + 16, sizeof mended.key.bytes);
        exaone_blob_write_header(&mended, payload, header);
    }
    exaone_blob blob;
    const char *fault = exaone_blob_read_header(header, n, NULL, &blob);
    fault = fault ? fault : exaone_blob_check(header, &blob, payload);
    if (!fault && blob.size <= 1 << 20) {
        uint8_t *out = malloc(blob.size ? (size_t)blob.size : 1);
        assert(out);
        fault = exaone_blob_decode(&blob, payload, out);
        assert(!mend || blob.encoding != EXAONE_BLOB_RAW || (!fault && memcmp(out, payload, (size_t)blob.size) == 0));
        free(out);
    }
    free(file);
    return 0;
}
