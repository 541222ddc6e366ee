/* Data URIs: any bytes give data within the limit or an error with a message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exaone/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { LIMIT = 1000 };
    uint8_t *bytes;
    size_t n;
    exaone_error err = {0};
    if (exaone_data_uri_decode((const char *)data, size, LIMIT, &bytes, &n, &err)) {
        if (bytes || !err.message[0]) {
            abort();
        }
        return 0;
    }
    if (n > LIMIT || n > size || bytes[n] != 0) {
        abort();
    }
    free(bytes);
    exaone_media_sniff(data, size);
    return 0;
}
