/* GIF through giflib: the first frame on the logical screen.
 *
 * A frame that reaches beyond the screen enlarges it; what the frame leaves free is the transparent index, or index 0.
 * Colours: the frame's palette, else the global one, else the grey of the index; entries beyond a palette's end are the grey
 * of their index. Pixels of the transparent index, and of other indices with the same colour, become white. (All as Pillow.)
 */
#include "media/image.h"

#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct gif_state {
    exaone_image_job *job;
    exaone_error *err;
    GifFileType *gif;
    size_t at; /* next byte of the file */
    bool cut;
    int transparent; /* index, or -1 */
    uint8_t *line;   /* [frame width] indices */
    uint8_t palette[256][3];
} gif_state;

static int on_read(GifFileType *gif, GifByteType *out, int n) {
    gif_state *s = gif->UserData;
    size_t want = n > 0 ? (size_t)n : 0, left = s->job->n - s->at;
    if (want > left) {
        s->cut = true;
        want = left;
    }
    memcpy(out, s->job->bytes + s->at, want);
    s->at += want;
    return (int)want;
}

static exaone_status fail_gif(gif_state *s, int code) {
    if (s->cut) {
        return exaone_fail(s->err, EXAONE_ERR_FORMAT, "the GIF image is cut off: it does not end within its %zu bytes",
                           s->job->n);
    }
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM) {
        return exaone_fail(s->err, EXAONE_ERR_MEMORY, "out of memory: the GIF decoder for %zu bytes", s->job->n);
    }
    const char *text = GifErrorString(code);
    return exaone_fail(s->err, EXAONE_ERR_FORMAT, "GIF image: %s", text ? text : "broken data");
}

/* An extension: only the graphic control's transparent index matters. */
static exaone_status read_extension(gif_state *s) {
    int code = 0;
    GifByteType *block = NULL;
    int ok = DGifGetExtension(s->gif, &code, &block);
    if (ok == GIF_OK && code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4 && (block[1] & 1)) {
        s->transparent = block[4]; /* block[0] is the length */
    }
    while (ok == GIF_OK && block) {
        ok = DGifGetExtensionNext(s->gif, &block);
    }
    return ok == GIF_OK ? EXAONE_OK : fail_gif(s, s->gif->Error);
}

/* Up to the first frame's description. */
static exaone_status find_frame(gif_state *s) {
    for (;;) {
        GifRecordType type = UNDEFINED_RECORD_TYPE;
        if (DGifGetRecordType(s->gif, &type) != GIF_OK) {
            return fail_gif(s, s->gif->Error);
        }
        if (type == EXTENSION_RECORD_TYPE) {
            exaone_status status = read_extension(s);
            if (status != EXAONE_OK) {
                return status;
            }
        } else if (type == IMAGE_DESC_RECORD_TYPE) {
            return DGifGetImageDesc(s->gif) == GIF_OK ? EXAONE_OK : fail_gif(s, s->gif->Error);
        } else {
            return exaone_fail(s->err, EXAONE_ERR_FORMAT, "the GIF file of %zu bytes holds no image", s->job->n);
        }
    }
}

static void read_palette(gif_state *s) {
    const ColorMapObject *map = s->gif->Image.ColorMap ? s->gif->Image.ColorMap : s->gif->SColorMap;
    bool ramp = true;
    for (int i = 0; map && i < map->ColorCount && i < 256; i++) {
        s->palette[i][0] = map->Colors[i].Red;
        s->palette[i][1] = map->Colors[i].Green;
        s->palette[i][2] = map->Colors[i].Blue;
        ramp = ramp && s->palette[i][0] == i && s->palette[i][1] == i && s->palette[i][2] == i;
    }
    for (int i = 0; ramp && i < 256; i++) {
        memset(s->palette[i], i, 3);
    }
}

/* Reads row y of the frame. An early end code leaves the rest of the picture free: *done = true. */
static exaone_status read_line(gif_state *s, size_t y, bool *done) {
    const GifImageDesc *d = &s->gif->Image;
    size_t width = (size_t)d->Width, free_index = s->transparent >= 0 ? (size_t)s->transparent : 0;
    memset(s->line, (int)free_index, width);
    if (DGifGetLine(s->gif, s->line, d->Width) != GIF_OK) {
        if (s->cut || s->gif->Error != D_GIF_ERR_EOF_TOO_SOON) {
            return fail_gif(s, s->gif->Error);
        }
        *done = true;
    }
    uint8_t *out = s->job->image.rgb + (((size_t)d->Top + y) * s->job->image.width + (size_t)d->Left) * 3;
    for (size_t x = 0; x < width; x++) {
        memcpy(out + 3 * x, s->palette[s->line[x]], 3);
    }
    return EXAONE_OK;
}

static exaone_status read_frame(gif_state *s) {
    static const uint8_t start[4] = {0, 4, 2, 1}, step[4] = {8, 8, 4, 2};
    const GifImageDesc *d = &s->gif->Image;
    bool done = false;
    for (int pass = 0; pass < (d->Interlace ? 4 : 1); pass++) {
        size_t y = d->Interlace ? start[pass] : 0, by = d->Interlace ? step[pass] : 1;
        for (; y < (size_t)d->Height && !done; y += by) {
            exaone_status status = read_line(s, y, &done);
            if (status != EXAONE_OK) {
                return status;
            }
        }
    }
    return EXAONE_OK;
}

static exaone_status decode(gif_state *s) {
    exaone_status status = find_frame(s);
    if (status != EXAONE_OK) {
        return status;
    }
    const GifImageDesc *d = &s->gif->Image;
    if (d->Left < 0 || d->Top < 0 || d->Width <= 0 || d->Height <= 0 || s->gif->SWidth < 0 || s->gif->SHeight < 0) {
        return exaone_fail(s->err, EXAONE_ERR_FORMAT, "the first frame of the GIF file is %dx%d pixels (width x height)",
                           d->Width, d->Height);
    }
    int right = d->Left + d->Width, bottom = d->Top + d->Height; /* each part has 16 bits */
    int width = right > s->gif->SWidth ? right : s->gif->SWidth,
        height = bottom > s->gif->SHeight ? bottom : s->gif->SHeight;
    status = exaone_image_allocate(s->job, "GIF", (uint64_t)width, (uint64_t)height, s->err);
    if (status != EXAONE_OK) {
        return status;
    }
    s->line = exaone_mem_array((size_t)d->Width, 1);
    if (!s->line) {
        return exaone_fail_memory(s->err, "a line of the GIF image", (unsigned long long)d->Width);
    }
    read_palette(s);
    const uint8_t *free_color = s->palette[s->transparent >= 0 ? s->transparent : 0];
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++) {
        memcpy(s->job->image.rgb + 3 * i, free_color, 3);
    }
    if (s->transparent >= 0) {
        s->job->has_key = true;
        memcpy(s->job->key, free_color, 3);
    }
    return read_frame(s);
}

exaone_status exaone_image_decode_gif(exaone_image_job *job, exaone_error *err) {
    gif_state *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "the GIF decoder", sizeof *s);
    }
    *s = (gif_state){.job = job, .err = err, .transparent = -1};
    int code = D_GIF_ERR_NOT_ENOUGH_MEM;
    s->gif = DGifOpen(s, on_read, &code);
    exaone_status status = s->gif ? decode(s) : fail_gif(s, code);
    if (s->gif) {
        (void)DGifCloseFile(s->gif, &code);
    }
    free(s->line);
    free(s);
    return status;
}
