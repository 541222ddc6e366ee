/* Images that are cut, bent or made to hurt: each is refused with a sentence or decoded, never more than the limits allow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <png.h>

#include "base/buf.h"
#include "exaone/media.h"
#include "../support/fixture.h"

#define FOLDER "tests/golden/edges/images/"

static const char *const files[] = {
    "bmp-rgb.bmp",      "gif-interlaced.gif",   "gif-transparent.gif",      "gif-animated.gif",           "jpeg-420.jpg",
    "jpeg-cmyk.jpg",    "jpeg-progressive.jpg", "jpeg-exif6.jpg",           "jpeg-restart.jpg",           "png-rgb8.png",
    "png-palette4.png", "png-gray16-trns.png",  "png-rgba8-interlaced.png", "png-rgb8-exif6.png",         "webp-lossy.webp",
    "webp-exif8.webp",  "webp-animated.webp",   "webp-lossless-alpha.webp", "png-palette4-interlaced.png"};
#define N_FILES (sizeof files / sizeof *files)

static uint8_t *read_image(const char *file, size_t *n) {
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s", file);
    return (uint8_t *)fixture_read(path, n);
}

/* Decodes an exact-size copy, so that a sanitizer sees a read behind the end. */
static exaone_status decode_copy(const uint8_t *bytes, size_t n, const exaone_image_options *o, exaone_image *image,
                                 exaone_error *err) {
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    exaone_status status = exaone_image_decode(copy, n, o, image, err);
    free(copy);
    if (status != EXAONE_OK) {
        assert_null(image->rgb);
        assert_true(err->message[0] != '\0');
        assert_int_equal(err->code, status);
    } else {
        assert_non_null(image->rgb);
    }
    return status;
}

/* Where a cut file still decodes, the cut took only what stands behind the picture. */
static void cut_files(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FILES; i++) {
        size_t n = 0, decoded = 0;
        uint8_t *bytes = read_image(files[i], &n);
        exaone_image whole, image;
        exaone_error err = {0};
        assert_int_equal(decode_copy(bytes, n, NULL, &whole, &err), EXAONE_OK);
        for (size_t cut = 0; cut < n; cut += cut < 64 || cut + 16 > n ? 1 : 7) {
            exaone_status status = decode_copy(bytes, cut, NULL, &image, &err);
            if (status == EXAONE_OK) {
                decoded++;
                assert_int_equal(image.width, whole.width);
                assert_memory_equal(image.rgb, whole.rgb, (size_t)3 * whole.width * whole.height);
                exaone_image_release(&image);
                if (strstr(files[i], "animated") == NULL && n - cut > 3) {
                    fail_msg("%s decodes with %zu of %zu bytes", files[i], cut, n);
                }
            }
        }
        /* a GIF may lack its trailer and later frames, a BMP the padding of its last row */
        if (strncmp(files[i], "gif", 3) != 0 && strncmp(files[i], "bmp", 3) != 0) {
            assert_int_equal(decoded, 0);
        }
        exaone_image_release(&whole);
        free(bytes);
    }
}

static void trailing_bytes_are_ignored(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FILES; i++) {
        size_t n = 0;
        uint8_t *bytes = read_image(files[i], &n), *longer = calloc(1, n + 5000);
        memcpy(longer, bytes, n);
        memset(longer + n, 0x5a, 5000);
        exaone_image a, b;
        exaone_error err = {0};
        assert_int_equal(decode_copy(bytes, n, NULL, &a, &err), EXAONE_OK);
        assert_int_equal(decode_copy(longer, n + 5000, NULL, &b, &err), EXAONE_OK);
        assert_memory_equal(a.rgb, b.rgb, (size_t)3 * a.width * a.height);
        exaone_image_release(&a);
        exaone_image_release(&b);
        free(bytes);
        free(longer);
    }
}

static void bit_flips(void **state) {
    (void)state;
    exaone_image_options small = {.limits = {.max_pixels = 1 << 20}};
    uint32_t seed = 12345;
    for (size_t i = 0; i < N_FILES; i++) {
        size_t n = 0;
        uint8_t *bytes = read_image(files[i], &n);
        for (int round = 0; round < 150; round++) {
            size_t at[3];
            for (int k = 0; k < 3; k++) {
                seed = seed * 1664525u + 1013904223u;
                at[k] = (round % 3 == 0 ? (size_t)(seed >> 8) % (n < 64 ? n : 64) : (size_t)(seed >> 8) % n);
                bytes[at[k]] ^= (uint8_t)(1u << (seed >> 5 & 7));
            }
            exaone_image image;
            exaone_error err = {0};
            if (decode_copy(bytes, n, &small, &image, &err) == EXAONE_OK) {
                assert_true((uint64_t)image.width * image.height <= 1 << 20);
                exaone_image_release(&image);
            }
            free(bytes);
            bytes = read_image(files[i], &n);
        }
        free(bytes);
    }
}

static void put32be(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static uint32_t crc32_of(const uint8_t *p, size_t n) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

static void expect_limit(const char *what, const uint8_t *bytes, size_t n) {
    exaone_image image;
    exaone_error err = {0};
    exaone_status status = decode_copy(bytes, n, NULL, &image, &err);
    if (status != EXAONE_ERR_LIMIT) {
        fail_msg("%s: status %d, %s", what, (int)status, err.message);
    }
    assert_non_null(strstr(err.message, "65500x65500"));
}

/* A header of 65,500 x 65,500 pixels (12.9 GB decoded) on a tiny file, in each format. */
static void huge_headers(void **state) {
    (void)state;
    size_t n = 0;
    uint8_t *png = read_image("png-rgb8.png", &n);
    put32be(png + 16, 65500);
    put32be(png + 20, 65500);
    put32be(png + 29, crc32_of(png + 12, 17));
    expect_limit("PNG", png, n);
    free(png);
    uint8_t *jpeg = read_image("jpeg-420.jpg", &n);
    for (size_t i = 2; i + 9 < n; i++) {
        if (jpeg[i] == 0xff && (jpeg[i + 1] == 0xc0 || jpeg[i + 1] == 0xc2)) {
            jpeg[i + 5] = jpeg[i + 7] = 65500 >> 8;
            jpeg[i + 6] = jpeg[i + 8] = 65500 & 255;
            break;
        }
    }
    expect_limit("JPEG", jpeg, n);
    free(jpeg);
    uint8_t *gif = read_image("gif-plain.gif", &n);
    gif[6] = gif[8] = 65500 & 255;
    gif[7] = gif[9] = 65500 >> 8;
    expect_limit("GIF", gif, n);
    free(gif);
    uint8_t *bmp = read_image("bmp-rgb.bmp", &n);
    bmp[18] = bmp[22] = 65500 & 255;
    bmp[19] = bmp[23] = 65500 >> 8;
    expect_limit("BMP", bmp, n);
    free(bmp);
}

static void webp_canvas_above_the_limit(void **state) {
    (void)state;
    size_t n = 0;
    uint8_t *webp = read_image("webp-animated.webp", &n);
    assert_memory_equal(webp + 12, "VP8X", 4);
    memset(webp + 24, 0xff, 6); /* canvas of 2^24 x 2^24 */
    exaone_image image;
    exaone_error err = {0};
    exaone_status status = decode_copy(webp, n, NULL, &image, &err);
    assert_true(status == EXAONE_ERR_LIMIT || status == EXAONE_ERR_FORMAT);
    free(webp);
}

static void limits_are_the_callers(void **state) {
    (void)state;
    exaone_image image;
    exaone_error err = {0};
    exaone_image_options pixels = {.limits = {.max_pixels = 45 * 61 - 1}}, exact = {.limits = {.max_pixels = 45 * 61}};
    exaone_image_options side = {.limits = {.max_side = 60}}, bytes = {.limits = {.max_encoded_bytes = 100}};
    const char *path = FOLDER "png-gray8.png";
    assert_int_equal(exaone_image_decode_file(path, &pixels, &image, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "61x45 = 2745 pixels is above the limit of 2744"));
    assert_int_equal(exaone_image_decode_file(path, &exact, &image, &err), EXAONE_OK);
    exaone_image_release(&image);
    assert_int_equal(exaone_image_decode_file(path, &side, &image, &err), EXAONE_ERR_LIMIT);
    assert_int_not_equal(exaone_image_decode_file(path, &bytes, &image, &err), EXAONE_OK);
    assert_int_equal(exaone_image_decode_file("no/such/file.png", NULL, &image, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_image_decode_file("tests/golden", NULL, &image, &err), EXAONE_ERR_IO);
}

static void what_is_no_image(void **state) {
    (void)state;
    static const char *const texts[] = {
        "", "B", "\xff\xd8", "GIF88a", "RIFF....WEBX", "<svg xmlns=", "%PDF-1.7", "\x89PNG\r\n\x1a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        exaone_image image;
        exaone_error err = {0};
        assert_int_equal(exaone_image_sniff((const uint8_t *)texts[i], strlen(texts[i])), EXAONE_IMAGE_UNKNOWN);
        assert_int_equal(decode_copy((const uint8_t *)texts[i], strlen(texts[i]), NULL, &image, &err), EXAONE_ERR_FORMAT);
        assert_non_null(strstr(err.message, "not a JPEG, PNG, WebP, GIF or BMP image"));
    }
}

/* The first scan of a progressive file, 150 times. */
static void too_many_scans(void **state) {
    (void)state;
    size_t n = 0, sos = 2, end;
    uint8_t *jpeg = read_image("jpeg-progressive.jpg", &n);
    while (!(jpeg[sos] == 0xff && jpeg[sos + 1] == 0xda)) {
        sos++;
        assert_true(sos + 4 < n);
    }
    for (end = sos + 2; !(jpeg[end] == 0xff && jpeg[end + 1] != 0 && (jpeg[end + 1] & 0xf8) != 0xd0); end++) {
        assert_true(end + 2 < n);
    }
    exaone_buf b;
    exaone_buf_init(&b, 10 << 20);
    exaone_buf_append(&b, jpeg, sos);
    for (int i = 0; i < 150; i++) {
        exaone_buf_append(&b, jpeg + sos, end - sos);
    }
    exaone_buf_append(&b, jpeg + end, n - end);
    assert_false(b.failed);
    exaone_image image;
    exaone_error err = {0};
    assert_int_equal(decode_copy((uint8_t *)b.data, b.len, NULL, &image, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "scans"));
    exaone_buf_release(&b);
    free(jpeg);
}

static void append_png(png_structp png, png_bytep bytes, size_t n) {
    exaone_buf_append(png_get_io_ptr(png), bytes, n);
}

static void flush_png(png_structp png) {
    (void)png;
}

/* A grey picture of w x h, with a compressed text of `text` bytes when that is not 0. */
static void write_png(exaone_buf *b, uint32_t w, uint32_t h, size_t text) {
    exaone_buf_init(b, 64 << 20);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, b, append_png, flush_png);
    png_set_IHDR(png, info, w, h, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    char *value = malloc(text + 1), key[] = "Comment";
    memset(value, 'a', text);
    value[text] = '\0';
    png_text t = {.compression = PNG_TEXT_COMPRESSION_zTXt, .key = key, .text = value, .text_length = text};
    if (text) {
        png_set_text(png, info, &t, 1);
    }
    png_write_info(png, info);
    uint8_t *row = calloc(1, w / 8 + 1);
    for (uint32_t y = 0; y < h; y++) {
        png_write_row(png, row);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(row);
    free(value);
    assert_false(b->failed);
}

/* 400 million pixels in 50 kB: refused by its header. 50 MB of text in 50 kB: dropped, the picture is read. */
static void png_bombs(void **state) {
    (void)state;
    exaone_buf b;
    exaone_image image;
    exaone_error err = {0};
    write_png(&b, 20000, 20000, 0);
    assert_true(b.len < 100000);
    assert_int_equal(decode_copy((uint8_t *)b.data, b.len, NULL, &image, &err), EXAONE_ERR_LIMIT);
    exaone_buf_release(&b);
    write_png(&b, 30, 20, 50000000);
    assert_true(b.len < 100000);
    assert_int_equal(decode_copy((uint8_t *)b.data, b.len, NULL, &image, &err), EXAONE_OK);
    assert_int_equal(image.width, 30);
    exaone_image_release(&image);
    exaone_buf_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_files),
        cmocka_unit_test(trailing_bytes_are_ignored),
        cmocka_unit_test(bit_flips),
        cmocka_unit_test(huge_headers),
        cmocka_unit_test(webp_canvas_above_the_limit),
        cmocka_unit_test(limits_are_the_callers),
        cmocka_unit_test(what_is_no_image),
        cmocka_unit_test(too_many_scans),
        cmocka_unit_test(png_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
