/* JPEG through libjpeg-turbo with its default settings (islow DCT, fancy upsampling), as the reference's decoder uses it.
 *
 * CMYK (and YCCK) files are taken as Adobe writes them, inverted: with the stored value C' = 255 - C and so on,
 * R = K' - M(255 - C', K'), M(a, b) = (t + (t >> 8)) >> 8, t = a * b + 128. Pillow computes the same.
 * A file must reach its end marker: what is cut is refused. Warnings about corrupt data are ignored, as Pillow does. */
#include "media/image.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/error.h"
#include "base/mem.h"

/* Each scan of a progressive file makes the decoder walk over all coefficients: files with thousands of empty scans take
 * minutes. Ordinary files have about 10. */
#define MAX_SCANS 100
#define MAX_SCANNED_PIXELS 2500000000ull

typedef struct jpeg_state {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    exaone_image_job *job;
    exaone_error *err;
    exaone_status status;
    uint8_t *line; /* [width, 4], CMYK only */
} jpeg_state;

static _Noreturn void on_error(j_common_ptr cinfo) {
    jpeg_state *s = cinfo->client_data;
    if (s->status == EXAONE_OK) {
        char message[JMSG_LENGTH_MAX];
        cinfo->err->format_message(cinfo, message);
        bool memory = cinfo->err->msg_code == JERR_OUT_OF_MEMORY;
        s->status = exaone_fail(s->err, memory ? EXAONE_ERR_MEMORY : EXAONE_ERR_FORMAT, "JPEG image: %s", message);
    }
    longjmp(s->failed, 1);
}

static void on_message(j_common_ptr cinfo, int level) {
    (void)cinfo;
    (void)level;
}

static void no_output(j_common_ptr cinfo) {
    (void)cinfo;
}

static void no_operation(j_decompress_ptr cinfo) {
    (void)cinfo;
}

static void fail_cut(j_decompress_ptr cinfo) {
    jpeg_state *s = cinfo->client_data;
    s->status =
        exaone_fail(s->err, EXAONE_ERR_FORMAT, "the JPEG image is cut off: it does not end within its %zu bytes", s->job->n);
    on_error((j_common_ptr)cinfo);
}

static boolean on_need_bytes(j_decompress_ptr cinfo) {
    fail_cut(cinfo);
    return FALSE;
}

static void on_skip(j_decompress_ptr cinfo, long n) {
    if (n > 0) {
        if ((size_t)n > cinfo->src->bytes_in_buffer) {
            fail_cut(cinfo);
        }
        cinfo->src->next_input_byte += n;
        cinfo->src->bytes_in_buffer -= (size_t)n;
    }
}

static void on_progress(j_common_ptr cinfo) {
    jpeg_state *s = cinfo->client_data;
    uint64_t pixels = (uint64_t)s->cinfo.image_width * s->cinfo.image_height;
    int scans = s->cinfo.input_scan_number;
    if (scans > MAX_SCANS || (uint64_t)scans * pixels > MAX_SCANNED_PIXELS) {
        s->status = exaone_fail(s->err, EXAONE_ERR_LIMIT,
                                "a JPEG image of %llu pixels with %d scans or more is above the limit of %d "
                                "scans and %llu pixels in all scans",
                                (unsigned long long)pixels, scans, MAX_SCANS, (unsigned long long)MAX_SCANNED_PIXELS);
        on_error(cinfo);
    }
}

/* EXIF may be spread over several markers; XMP: the last one counts, and only where EXIF has no orientation. */
static void read_orientation(jpeg_state *s) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    size_t n = 0;
    int from_xmp = 0;
    for (jpeg_saved_marker_ptr m = s->cinfo.marker_list; m; m = m->next) {
        if (m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0) {
            n += m->data_length;
        } else if (m->data_length >= sizeof xmp && memcmp(m->data, xmp, sizeof xmp) == 0) {
            from_xmp = exaone_xmp_orientation(m->data + sizeof xmp, m->data_length - sizeof xmp);
        }
    }
    if (n > 0) {
        uint8_t *exif = malloc(n);
        if (!exif) {
            s->status = exaone_fail_memory(s->err, "EXIF data", n);
            return;
        }
        size_t at = 0;
        for (jpeg_saved_marker_ptr m = s->cinfo.marker_list; m; m = m->next) {
            if (m->data_length >= 6 && memcmp(m->data, "Exif\0\0", 6) == 0) {
                memcpy(exif + at, m->data + 6, m->data_length - 6);
                at += m->data_length - 6;
            }
        }
        s->job->orientation = exaone_exif_orientation(exif, at);
        free(exif);
    }
    if (s->job->orientation == 0) {
        s->job->orientation = from_xmp;
    }
}

static void cmyk_line(const uint8_t *in, uint8_t *out, size_t width) {
    for (size_t x = 0; x < width; x++, in += 4, out += 3) {
        int k = in[3];
        for (int c = 0; c < 3; c++) {
            int t = (255 - in[c]) * k + 128;
            out[c] = (uint8_t)(k - ((t + (t >> 8)) >> 8)); /* 0 … k: the rounded product is at most k */
        }
    }
}

static void grey_line(uint8_t *line, size_t width) { /* in place, from the right: pixel x is read before 3x is written */
    for (size_t x = width; x-- > 0;) {
        memset(line + 3 * x, line[x], 3);
    }
}

static void decode_lines(jpeg_state *s) {
    struct jpeg_decompress_struct *c = &s->cinfo;
    size_t width = c->output_width;
    while (c->output_scanline < c->output_height) {
        uint8_t *out = s->job->image.rgb + (size_t)c->output_scanline * width * 3;
        JSAMPROW row = s->line ? s->line : out;
        (void)jpeg_read_scanlines(c, &row, 1); /* the source never suspends: one line, or on_error */
        if (s->line) {
            cmyk_line(s->line, out, width);
        } else if (c->out_color_components == 1) {
            grey_line(out, width);
        }
    }
}

static void decode(jpeg_state *s) {
    struct jpeg_decompress_struct *c = &s->cinfo;
    jpeg_create_decompress(c);
    c->src = &s->source;
    c->progress = &s->progress;
    jpeg_save_markers(c, JPEG_APP0 + 1, 0xffff);
    (void)jpeg_read_header(c, TRUE);
    if (c->num_components != 1 && c->num_components != 3 && c->num_components != 4) {
        s->status = exaone_fail(s->err, EXAONE_ERR_UNSUPPORTED, "a JPEG image with %d components (1, 3 and 4 can be read)",
                                c->num_components);
        return;
    }
    s->status = exaone_image_allocate(s->job, "JPEG", c->image_width, c->image_height, s->err);
    if (s->status != EXAONE_OK) {
        return;
    }
    c->out_color_space = c->num_components == 1 ? JCS_GRAYSCALE : c->num_components == 3 ? JCS_RGB : JCS_CMYK;
    if (c->num_components == 4) {
        s->line = exaone_mem_array(c->image_width, 4);
        if (!s->line) {
            s->status = exaone_fail_memory(s->err, "a line of the JPEG image", 4ull * c->image_width);
            return;
        }
    }
    read_orientation(s);
    if (s->status != EXAONE_OK) {
        return;
    }
    (void)jpeg_start_decompress(c);
    decode_lines(s);
    (void)jpeg_finish_decompress(c);
}

exaone_status exaone_image_decode_jpeg(exaone_image_job *job, exaone_error *err) {
    jpeg_state *s = exaone_mem_array(1, sizeof *s);
    if (!s) {
        return exaone_fail_memory(err, "the JPEG decoder", sizeof *s);
    }
    s->job = job;
    s->err = err;
    s->cinfo.err = jpeg_std_error(&s->errors);
    s->cinfo.client_data = s;
    s->errors.error_exit = on_error;
    s->errors.emit_message = on_message;
    s->errors.output_message = no_output;
    s->progress.progress_monitor = on_progress;
    s->source = (struct jpeg_source_mgr){.next_input_byte = job->bytes, .bytes_in_buffer = job->n};
    s->source.init_source = no_operation;
    s->source.fill_input_buffer = on_need_bytes;
    s->source.skip_input_data = on_skip;
    s->source.resync_to_restart = jpeg_resync_to_restart;
    s->source.term_source = no_operation;
    if (setjmp(s->failed) == 0) {
        decode(s);
    }
    jpeg_destroy_decompress(&s->cinfo);
    exaone_status status = s->status;
    free(s->line);
    free(s);
    return status;
}
