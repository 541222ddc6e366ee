/* The orientation of a picture: from EXIF, which is a small TIFF file, or from XMP, which is XML.
 *
 *   EXIF  up to two "Exif\0\0", then "II" or "MM" (byte order), 42, u32 offset of the first directory
 *         directory: u16 count, then count entries of 12 bytes: u16 tag, u16 type, u32 count, value or offset (4 bytes)
 *   tag 0x0112 with values of type 6 (8 bit), 3 or 8 (16 bit), 4 or 9 (32 bit): the first value; of several tags the last */
#include "media/image.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112

static uint32_t get16(const uint8_t *p, bool little) {
    return little ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p, bool little) {
    return little ? get16(p, true) | get16(p + 2, true) << 16 : get16(p, false) << 16 | get16(p + 2, false);
}

int exaone_exif_orientation(const uint8_t *exif, size_t n) {
    for (int i = 0; i < 2 && n >= 6 && memcmp(exif, "Exif\0\0", 6) == 0; i++) {
        exif += 6;
        n -= 6;
    }
    if (n < 8 || (memcmp(exif, "II", 2) != 0 && memcmp(exif, "MM", 2) != 0)) {
        return 0;
    }
    bool little = exif[0] == 'I';
    size_t at = get32(exif + 4, little);
    if (get16(exif + 2, little) != 42 || at > n - 2) {
        return 0;
    }
    uint32_t entries = get16(exif + at, little);
    uint32_t found = 0;
    at += 2;
    for (uint32_t i = 0; i < entries && n - at >= 12; i++, at += 12) {
        const uint8_t *e = exif + at;
        uint32_t type = get16(e + 2, little);
        if (get16(e, little) != TAG_ORIENTATION) {
            continue;
        }
        uint64_t size = type == 6 ? 1 : type == 3 || type == 8 ? 2 : type == 4 || type == 9 ? 4 : 0;
        uint64_t count = get32(e + 4, little);
        const uint8_t *v = e + 8;
        if (size * count > 4) { /* the values stand elsewhere */
            uint64_t offset = get32(v, little);
            v = offset <= n && size * count <= n - offset ? exif + offset : NULL;
        }
        if (size == 0 || count == 0 || !v) {
            continue;
        }
        found = size == 1 ? v[0] : size == 2 ? get16(v, little) : get32(v, little);
    }
    return found <= 8 ? (int)found : 0;
}

int exaone_xmp_orientation(const uint8_t *xmp, size_t n) {
    static const char name[] = "tiff:Orientation";
    size_t len = sizeof name - 1;
    while (n > len) {
        const uint8_t *hit = memmem(xmp, n, name, len);
        if (!hit) {
            return 0;
        }
        const uint8_t *p = hit + len, *end = xmp + n;
        if (end - p >= 3 && p[0] == '=' && p[1] == '"') {
            p += 2;
        } else if (end - p >= 2 && p[0] == '>') {
            p += 1;
        } else {
            p = end;
        }
        if (p < end && *p >= '0' && *p <= '9') {
            return *p - '0';
        }
        n -= (size_t)(hit + len - xmp);
        xmp = hit + len;
    }
    return 0;
}
