/* UTF-8 after Unicode 3.9, table 3-7. */
#include "base/utf8.h"

#include <string.h>

/* Length announced by a first byte, and the allowed range of the second; 0 = cannot begin a sequence. */
static size_t first_byte(uint8_t b, uint8_t *low, uint8_t *high) {
    *low = 0x80;
    *high = 0xbf;
    if (b < 0x80) {
        return 1;
    }
    if (b >= 0xc2 && b <= 0xdf) {
        return 2;
    }
    if (b >= 0xe0 && b <= 0xef) {
        if (b == 0xe0) {
            *low = 0xa0;
        } else if (b == 0xed) {
            *high = 0x9f;
        }
        return 3;
    }
    if (b >= 0xf0 && b <= 0xf4) {
        if (b == 0xf0) {
            *low = 0x90;
        } else if (b == 0xf4) {
            *high = 0x8f;
        }
        return 4;
    }
    return 0;
}

/* How many bytes at the front follow table 3-7, at most the announced length (in *len). */
static size_t good_bytes(const uint8_t *bytes, size_t n, size_t *len) {
    uint8_t low, high;
    *len = first_byte(bytes[0], &low, &high);
    if (*len == 0) {
        return 0;
    }
    size_t i = 1;
    while (i < *len && i < n && bytes[i] >= low && bytes[i] <= high) {
        low = 0x80;
        high = 0xbf;
        i++;
    }
    return i;
}

size_t exaone_utf8_decode(const uint8_t *bytes, size_t n, uint32_t *code) {
    if (n == 0) {
        return 0;
    }
    size_t len;
    if (good_bytes(bytes, n, &len) != len || len == 0) {
        return 0;
    }
    static const uint8_t mask[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = bytes[0] & mask[len];
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | (bytes[i] & 0x3f);
    }
    *code = c;
    return len;
}

size_t exaone_utf8_encode(uint32_t code, uint8_t out[4]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        if (code >= 0xd800 && code <= 0xdfff) {
            return 0;
        }
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    if (code > 0x10ffff) {
        return 0;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* Whether eight bytes, the first of them in the lowest bits, are sequences of one and two bytes; of the last one the second
 * byte may be missing. */
static inline bool is_simple(uint64_t x) {
    const uint64_t top = 0x8080808080808080u;
    uint64_t high = x & top, second = x << 1 & top, third = x << 2 & top; /* the upper bits of each byte */
    uint64_t lead = high & second, follows = high & ~second;
    uint64_t enough = (x & 0x1e1e1e1e1e1e1e1eu) + 0x7e7e7e7e7e7e7e7eu; /* not C0 or C1 */
    return !(lead & third) && !(lead & ~enough) && follows == lead << 8;
}

size_t exaone_utf8_valid_prefix(const uint8_t *bytes, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (n - i >= sizeof eight && (memcpy(&eight, bytes + i, sizeof eight), is_simple(eight))) {
            i += sizeof eight - (eight >> 63 & eight >> 62 & 1); /* but for the first half of a sequence at the end */
        }
        if (i == n || bytes[i] < 0x80) {
            i += i < n;
            continue;
        }
        size_t len = 2; /* the shortest and most frequent sequence first, by itself */
        if (bytes[i] < 0xc2 || bytes[i] > 0xdf || n - i < 2 || bytes[i + 1] >> 6 != 2) {
            uint32_t code;
            len = exaone_utf8_decode(bytes + i, n - i, &code);
        }
        if (len == 0) {
            break;
        }
        i += len;
    }
    return i;
}

size_t exaone_utf8_broken(const uint8_t *bytes, size_t n, bool *cut) {
    size_t len;
    size_t good = good_bytes(bytes, n, &len);
    *cut = good > 0 && good == n && good < len;
    return good ? good : 1;
}
