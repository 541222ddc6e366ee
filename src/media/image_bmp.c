/* BMP: a small reader of our own (no Debian library reads just this). Little endian.
 *
 *   0   "BM", u32 file size, u32 0, u32 offset of the pixels
 *   14  u32 header size: 12 (u16 width, height, planes, bits) or 40, 52, 56, 64, 108, 124 (i32 width, height; u16 planes,
 *       bits; u32 compression, data size, 2 x resolution, colours, important; u32 masks …). Negative height: top row first.
 *
 * Behind it a palette for 1, 4, 8 bits: blue, green, red, and one unused byte unless the header size is 12. Rows are padded
 * to 4 bytes.
 *
 * Compression 0 and 3 (masks). 16 bit: 5-5-5, or 5-6-5 by mask, scaled v * 255 / max; 32 bit: the fourth byte is dropped,
 * also where it is alpha. Run-length compression (1, 2) and others are refused by name. */
#include "media/image.h"

#include <string.h>

#include "base/error.h"

typedef struct bmp {
    const uint8_t *bytes;
    size_t n;
    uint64_t width, height;
    bool top_down;
    uint32_t bits, compression;
    size_t pixels; /* offset */
    uint32_t mask[3];
    uint8_t palette[256][3];
} bmp;

static uint32_t get16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p) {
    return get16(p) | get16(p + 2) << 16;
}

static exaone_status fail_cut(const bmp *b, exaone_error *err) {
    return exaone_fail(err, EXAONE_ERR_FORMAT, "the BMP image is cut off: it does not end within its %zu bytes", b->n);
}

static exaone_status read_palette(bmp *b, size_t at, uint32_t colors, size_t entry, exaone_error *err) {
    uint32_t count = colors ? colors : 1u << b->bits;
    if (count > 256) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "a BMP palette of %u colours (at most 256)", count);
    }
    if (at > b->n || count * entry > b->n - at) {
        return fail_cut(b, err);
    }
    for (uint32_t i = 0; i < count; i++) { /* entries beyond stay black */
        const uint8_t *p = b->bytes + at + i * entry;
        b->palette[i][0] = p[2];
        b->palette[i][1] = p[1];
        b->palette[i][2] = p[0];
    }
    return EXAONE_OK;
}

static exaone_status read_masks(bmp *b, exaone_error *err) {
    static const uint32_t x555[3] = {0x7c00, 0x3e0, 0x1f}, x888[3] = {0xff0000, 0xff00, 0xff};
    memcpy(b->mask, b->bits == 16 ? x555 : x888, sizeof b->mask);
    if (b->compression != 3) {
        return EXAONE_OK;
    }
    if (b->n < 54 + 12) {
        return fail_cut(b, err);
    }
    uint32_t all = 0;
    for (int c = 0; c < 3; c++) {
        b->mask[c] = get32(b->bytes + 54 + 4 * c); /* in a longer header or behind one of 40 bytes: the same place */
        all |= b->mask[c];
    }
    if (all == 0) {
        memcpy(b->mask, b->bits == 16 ? x555 : x888, sizeof b->mask);
    }
    for (int c = 0; c < 3; c++) {
        uint32_t m = b->mask[c], low = m & (~m + 1);
        uint32_t width = low ? m / low : 0; /* a run of ones: 2^k - 1 */
        bool good = b->bits == 16 ? width == 31 || width == 63 : width == 255;
        if (!good || (width & (width + 1)) != 0 || (b->bits == 16 && m > 0xffff) || (b->bits == 24 && m > 0xffffff)) {
            return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "a BMP image of %u bits with the colour masks %08x %08x %08x",
                               b->bits, b->mask[0], b->mask[1], b->mask[2]);
        }
    }
    return EXAONE_OK;
}

static exaone_status read_header(bmp *b, exaone_error *err) {
    if (b->n < 26) {
        return fail_cut(b, err);
    }
    const uint8_t *h = b->bytes + 14;
    uint32_t size = get32(h), colors = 0;
    if (size != 12 && size != 40 && size != 52 && size != 56 && size != 64 && size != 108 && size != 124) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "a BMP image with a header of %u bytes", size);
    }
    if (b->n < 14 + (size_t)size) {
        return fail_cut(b, err);
    }
    b->pixels = get32(b->bytes + 10);
    if (size == 12) {
        b->width = get16(h + 4);
        b->height = get16(h + 6);
        b->bits = get16(h + 10);
    } else {
        int32_t height = (int32_t)get32(h + 8);
        b->width = get32(h + 4);
        b->top_down = height < 0;
        b->height = height < 0 ? (uint64_t)0 - (uint64_t)(int64_t)height : (uint64_t)height;
        b->bits = get16(h + 14);
        b->compression = get32(h + 16);
        colors = get32(h + 32);
    }
    if (b->compression != 0 && b->compression != 3) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "a BMP image with compression %u%s (0 and 3 can be read)",
                           b->compression, b->compression == 1 || b->compression == 2 ? ", run lengths" : "");
    }
    bool palette = b->bits == 1 || b->bits == 4 || b->bits == 8;
    if ((!palette && b->bits != 16 && b->bits != 24 && b->bits != 32) || (palette && b->compression == 3)) {
        return exaone_fail(err, EXAONE_ERR_UNSUPPORTED, "a BMP image of %u bits per pixel with compression %u", b->bits,
                           b->compression);
    }
    return palette ? read_palette(b, 14 + (size_t)size, colors, size == 12 ? 3 : 4, err) : read_masks(b, err);
}

static void convert_row(const bmp *b, const uint8_t *in, uint8_t *out) {
    size_t bytes = b->bits / 8;
    for (size_t x = 0; x < b->width; x++, out += 3) {
        if (b->bits <= 8) {
            size_t bit = x * b->bits;
            unsigned index = (unsigned)(in[bit / 8] >> (8 - b->bits - bit % 8)) & ((1u << b->bits) - 1);
            memcpy(out, b->palette[index], 3);
            continue;
        }
        const uint8_t *p = in + x * bytes;
        uint32_t v = bytes == 2 ? get16(p) : get16(p) | (uint32_t)p[2] << 16 | (bytes == 4 ? (uint32_t)p[3] << 24 : 0);
        for (int c = 0; c < 3; c++) {
            uint32_t low = b->mask[c] & (~b->mask[c] + 1), max = b->mask[c] / low;
            out[c] = (uint8_t)((v & b->mask[c]) / low * 255 / max);
        }
    }
}

exaone_status exaone_image_decode_bmp(exaone_image_job *job, exaone_error *err) {
    bmp b = {.bytes = job->bytes, .n = job->n};
    exaone_status status = read_header(&b, err);
    if (status == EXAONE_OK) {
        status = exaone_image_check_size(job, "BMP", b.width, b.height, err);
    }
    if (status != EXAONE_OK) {
        return status;
    }
    uint64_t row = (b.width * b.bits + 31) / 32 * 4,
             last = (b.width * b.bits + 7) / 8; /* the last row may lack its padding */
    if (b.pixels > b.n || row * (b.height - 1) + last > b.n - b.pixels) {
        return fail_cut(&b, err);
    }
    status = exaone_image_allocate(job, "BMP", b.width, b.height, err);
    if (status != EXAONE_OK) {
        return status;
    }
    for (size_t y = 0; y < b.height; y++) {
        size_t from = b.top_down ? y : (size_t)b.height - 1 - y;
        convert_row(&b, b.bytes + b.pixels + from * (size_t)row, job->image.rgb + y * (size_t)b.width * 3);
    }
    return EXAONE_OK;
}
