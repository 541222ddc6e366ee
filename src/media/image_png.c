/* PNG through libpng, which only undoes compression, filters and interlace here; what samples mean is decided below.
 *
 *   grey 1, 2, 4 bit   scaled to 0 … 255; palette: its colours; 16 bit: the high byte
 *   alpha              dropped; gamma, colour profiles, backgrounds: ignored
 *   tRNS               names a colour that becomes white. As in Pillow it is compared with the 8-bit picture, unscaled, so
 * for 2 and 4 bit grey only 0 matches. 16 bit: pixels whose 16 bits match. A palette counts as having one transparent colour
 * when exactly one alpha is 0 and all others are 255; other palette alpha is dropped. strict_reference   16-bit grey clipped
 * at 255; tRNS of 16-bit types compared as Pillow does, by its low bytes orientation        eXIf, else the ImageMagick text
 * "Raw profile type exif", else XMP; also behind the pixels
 *
 * Palette entries that the file does not define are black (Pillow). */
#include "media/image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/error.h"
#include "base/mem.h"

/* Text chunks may be compressed: at most so many, of so many bytes each. */
#define MAX_CHUNKS 128
#define MAX_CHUNK_BYTES 4000000

typedef struct png_state {
    png_structp png;
    png_infop info;
    exaone_image_job *job;
    exaone_error *err;
    exaone_status status;
    size_t at; /* next byte of the file */
    bool cut;
    png_uint_32 width, height;
    int depth, color, interlace;
    size_t row_bytes;
    uint8_t *rows;       /* one row, or all of them when interlaced */
    png_bytep *pointers; /* interlaced: [height] */
    uint8_t palette[256][3];
    bool has_key16; /* 16 bit: samples that become white */
    uint16_t key16[3];
} png_state;

static _Noreturn void on_error(png_structp png, png_const_charp message) {
    png_state *s = png_get_error_ptr(png);
    if (s->status == EXAONE_OK) {
        if (s->cut) {
            s->status = exaone_fail(s->err, EXAONE_ERR_FORMAT,
                                    "the PNG image is cut off: it does not end within its %zu bytes", s->job->n);
        } else {
            bool memory = strstr(message, "emory") != NULL;
            s->status = exaone_fail(s->err, memory ? EXAONE_ERR_MEMORY : EXAONE_ERR_FORMAT, "PNG image: %s", message);
        }
    }
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t n) {
    png_state *s = png_get_io_ptr(png);
    if (n > s->job->n - s->at) {
        s->cut = true;
        png_error(png, "cut off");
    }
    memcpy(out, s->job->bytes + s->at, n);
    s->at += n;
}

static void read_header(png_state *s) {
    static const png_byte text[] = "tEXt\0zTXt\0iTXt", exif[] = "eXIf"; /* names of 5 bytes each */
    png_set_read_fn(s->png, s, on_read);
    png_set_user_limits(s->png, 0x7fffffff, 0x7fffffff); /* ours are checked below */
    png_set_chunk_cache_max(s->png, MAX_CHUNKS);
    png_set_chunk_malloc_max(s->png, MAX_CHUNK_BYTES);
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_AS_DEFAULT, text, 3);
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_ALWAYS, exif, 1); /* raw: libpng refuses a leading "Exif\0\0" */
    png_read_info(s->png, s->info);
    png_get_IHDR(s->png, s->info, &s->width, &s->height, &s->depth, &s->color, &s->interlace, NULL, NULL);
}

/* A palette whose alphas are all 255 but for one 0: the index of that, else -1. */
static int only_transparent(const png_byte *alpha, int n) {
    int found = -1;
    for (int i = 0; i < n; i++) {
        if (alpha[i] == 0 && found < 0) {
            found = i;
        } else if (alpha[i] != 255) {
            return -1;
        }
    }
    return found;
}

static void read_palette(png_state *s) {
    png_colorp colors = NULL;
    int n = 0;
    if (png_get_PLTE(s->png, s->info, &colors, &n)) {
        for (int i = 0; i < n && i < 256; i++) {
            s->palette[i][0] = colors[i].red;
            s->palette[i][1] = colors[i].green;
            s->palette[i][2] = colors[i].blue;
        }
    }
}

static void set_key(png_state *s, int r, int g, int b) {
    s->job->has_key = true;
    s->job->key[0] = (uint8_t)r;
    s->job->key[1] = (uint8_t)g;
    s->job->key[2] = (uint8_t)b;
}

static void read_transparency(png_state *s) {
    png_bytep alpha = NULL;
    png_color_16p color = NULL;
    int n = 0;
    if (!png_get_tRNS(s->png, s->info, &alpha, &n, &color)) {
        return;
    }
    if (s->color == PNG_COLOR_TYPE_PALETTE) {
        int i = alpha ? only_transparent(alpha, n) : -1;
        if (i >= 0) {
            set_key(s, s->palette[i][0], s->palette[i][1], s->palette[i][2]);
        }
        return;
    }
    if (!color) {
        return;
    }
    bool grey = s->color == PNG_COLOR_TYPE_GRAY;
    if (s->depth == 16 && !s->job->strict_reference) {
        s->has_key16 = true;
        s->key16[0] = grey ? color->gray : color->red;
        s->key16[1] = grey ? color->gray : color->green;
        s->key16[2] = grey ? color->gray : color->blue;
    } else if (!grey) {
        set_key(s, color->red & 255, color->green & 255, color->blue & 255);
    } else if (s->depth == 16) {
        set_key(s, color->gray & 255, 0, 0);
    } else if (s->depth == 1) {
        set_key(s, color->gray ? 255 : 0, 0, 0); /* as Pillow: only black can match */
    } else {
        int v = color->gray > 255 ? 255 : color->gray;
        set_key(s, v, v, v);
    }
}

static unsigned packed_sample(const uint8_t *row, size_t x, int depth) {
    size_t bit = x * (size_t)depth;
    return (unsigned)(row[bit / 8] >> (8 - depth - (int)(bit % 8))) & ((1u << depth) - 1);
}

static void convert_row16(const png_state *s, const uint8_t *in, uint8_t *out, int channels) {
    bool grey = channels <= 2;
    for (size_t x = 0; x < s->width; x++, in += 2 * channels, out += 3) {
        bool match = s->has_key16;
        for (int c = 0; c < 3; c++) {
            const uint8_t *sample = in + (grey ? 0 : 2 * c);
            match = match && (sample[0] << 8 | sample[1]) == s->key16[c];
            out[c] = sample[0];
            if (channels == 1 && s->job->strict_reference) {
                out[c] = sample[0] ? 255 : sample[1];
            }
        }
        if (match) {
            memset(out, 255, 3);
        }
    }
}

static void convert_row(const png_state *s, const uint8_t *in, uint8_t *out) {
    static const uint8_t scale[9] = {0, 255, 85, 0, 17, 0, 0, 0, 1};
    int channels = png_get_channels(s->png, s->info);
    if (s->depth == 16) {
        convert_row16(s, in, out, channels);
        return;
    }
    for (size_t x = 0; x < s->width; x++, out += 3) {
        if (s->color == PNG_COLOR_TYPE_PALETTE) {
            memcpy(out, s->palette[packed_sample(in, x, s->depth)], 3);
        } else if (channels == 1) {
            memset(out, (int)(packed_sample(in, x, s->depth) * scale[s->depth]), 3);
        } else if (channels == 2) {
            memset(out, in[2 * x], 3);
        } else {
            memcpy(out, in + (size_t)channels * x, 3);
        }
    }
}

/* Text of ImageMagick: "\nexif\n    LENGTH\n" and the bytes in hex, over several lines. Works in place. */
static int raw_profile_orientation(char *text) {
    char *p = text;
    for (int i = 0; i < 3; i++) {
        p = strchr(p, '\n');
        if (!p) {
            return 0;
        }
        p++;
    }
    uint8_t *out = (uint8_t *)text;
    size_t digits = 0;
    int high = 0;
    for (; *p; p++) {
        int v = *p >= '0' && *p <= '9'   ? *p - '0'
                : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                : *p >= 'A' && *p <= 'F' ? *p - 'A' + 10
                                         : -1;
        if (v < 0) {
            continue;
        }
        if (digits++ % 2 == 0) {
            high = v;
        } else {
            out[digits / 2 - 1] = (uint8_t)(high << 4 | v); /* never overtakes p: 2 digits give 1 byte */
        }
    }
    return exaone_exif_orientation(out, digits / 2);
}

static void read_orientation(png_state *s) {
    png_textp text = NULL;
    int count = 0, raw = 0, xmp = 0;
    (void)png_get_text(s->png, s->info, &text, &count);
    for (int i = 0; i < count; i++) {
        if (!text[i].text) {
            continue;
        }
        if (strcmp(text[i].key, "XML:com.adobe.xmp") == 0) {
            xmp = exaone_xmp_orientation((const uint8_t *)text[i].text, strlen(text[i].text));
        } else if (strcmp(text[i].key, "Raw profile type exif") == 0) {
            raw = raw_profile_orientation(text[i].text);
        }
    }
    png_unknown_chunkp chunks = NULL;
    int n_chunks = png_get_unknown_chunks(s->png, s->info, &chunks);
    s->job->orientation = raw;
    for (int i = 0; i < n_chunks; i++) {
        if (memcmp(chunks[i].name, "eXIf", 4) == 0) {
            s->job->orientation = exaone_exif_orientation(chunks[i].data, chunks[i].size);
        }
    }
    if (s->job->orientation == 0) {
        s->job->orientation = xmp;
    }
}

static exaone_status take_rows(png_state *s) {
    bool all = s->interlace != PNG_INTERLACE_NONE;
    size_t bytes = 0;
    if (!exaone_size_mul(s->row_bytes, all ? s->height : 1, &bytes)) {
        return exaone_fail(s->err, EXAONE_ERR_LIMIT, "rows of the PNG image do not fit the memory");
    }
    s->rows = exaone_mem_array(bytes, 1);
    s->pointers = all ? exaone_mem_array(s->height, sizeof *s->pointers) : NULL;
    if (!s->rows || (all && !s->pointers)) {
        return exaone_fail_memory(s->err, "rows of the PNG image", bytes);
    }
    for (size_t y = 0; all && y < s->height; y++) {
        s->pointers[y] = s->rows + y * s->row_bytes;
    }
    return EXAONE_OK;
}

static void decode(png_state *s) {
    read_header(s);
    s->status = exaone_image_allocate(s->job, "PNG", s->width, s->height, s->err);
    if (s->status != EXAONE_OK) {
        return;
    }
    read_palette(s);
    read_transparency(s);
    if (s->interlace != PNG_INTERLACE_NONE) {
        (void)png_set_interlace_handling(s->png);
    }
    png_read_update_info(s->png, s->info);
    s->row_bytes = png_get_rowbytes(s->png, s->info);
    s->status = take_rows(s);
    if (s->status != EXAONE_OK) {
        return;
    }
    uint8_t *out = s->job->image.rgb;
    size_t out_bytes = (size_t)s->width * 3;
    if (s->pointers) {
        png_read_image(s->png, s->pointers);
        for (size_t y = 0; y < s->height; y++) {
            convert_row(s, s->pointers[y], out + y * out_bytes);
        }
    } else {
        for (size_t y = 0; y < s->height; y++) {
            png_read_row(s->png, s->rows, NULL);
            convert_row(s, s->rows, out + y * out_bytes);
        }
    }
    png_read_end(s->png, s->info);
    read_orientation(s);
}

exaone_status exaone_image_decode_png(exaone_image_job *job, exaone_error *err) {
    png_state *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "the PNG decoder", sizeof *s);
    }
    s->job = job;
    s->err = err;
    s->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, s, on_error, on_warning);
    s->info = s->png ? png_create_info_struct(s->png) : NULL;
    if (!s->info) {
        s->status = exaone_fail_memory(err, "the PNG decoder", 1 << 16);
    } else if (setjmp(png_jmpbuf(s->png)) == 0) {
        decode(s);
    }
    png_destroy_read_struct(s->png ? &s->png : NULL, s->info ? &s->info : NULL, NULL);
    exaone_status status = s->status;
    free(s->rows);
    free(s->pointers);
    free(s);
    return status;
}
