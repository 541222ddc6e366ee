/* Videos against the reference: clips (arrays) and files of tests/golden/edges/video, then hostile files.
 *
 * Clips are compared bit for bit: resize and patches are exact. Decoded files may differ by 2 levels (another FFmpeg than
 * the one that made the data); grids, indices, frame counts are exact, fps to 1e-9 (a quotient of doubles). Pixel values of
 * files: 2 levels are 2 / (255 * 0.26) = 0.0302. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "exaone/video.h"
#include "../support/fixture.h"

#ifdef EXAONE_HAVE_FFMPEG
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#endif

#define DIR "tests/golden/edges/video/"

static double number(const exaone_json *object, const char *key, double otherwise) {
    double x = otherwise;
    const exaone_json *j = exaone_json_get(object, key);
    if (j && j->type == EXAONE_JSON_NUMBER) {
        assert_true(exaone_json_double(j, &x));
    }
    return x;
}

static void list(const exaone_json *object, const char *key, int64_t *out, size_t n) {
    const exaone_json *j = exaone_json_get(object, key);
    assert_non_null(j);
    assert_int_equal(j->len, n);
    size_t i = 0;
    for (j = j->first; j; j = j->next) {
        assert_true(exaone_json_int(j, &out[i++]));
    }
}

static exaone_video_options options_of(const exaone_json *row) {
    exaone_video_options o;
    exaone_video_options_init(&o);
    o.has_fps = exaone_json_get(row, "fps") != NULL;
    o.fps = number(row, "fps", 0);
    o.has_num_frames = exaone_json_get(row, "num_frames") != NULL;
    o.num_frames = (int64_t)number(row, "num_frames", 0);
    o.min_frames = (int64_t)number(row, "min_frames", 4);
    o.max_frames = (int64_t)number(row, "max_frames", 768);
    return o;
}

static exaone_pixel_config config_of(int64_t min_pixels, int64_t max_pixels) {
    exaone_pixel_config c = exaone_processor_config_default().video;
    c.min_pixels = min_pixels;
    c.max_pixels = max_pixels;
    return c;
}

/* The rows and columns that the data stores of a [rows, cols] array: rows i*(n-1)/63 without duplicates, columns i*1175/11.
 * Returns the largest difference. */
static double sample_diff(const exaone_pixels *p, const fixture_tensor *t) {
    size_t cols = 12, at = 0, last = SIZE_MAX;
    double worst = 0;
    for (size_t i = 0; i < 64; i++) {
        size_t row = i * (p->rows - 1) / 63;
        if (row == last) {
            continue;
        }
        last = row;
        for (size_t j = 0; j < cols; j++, at++) {
            float want;
            assert_true(at < fixture_count(t));
            memcpy(&want, t->data + at * 4, 4);
            worst = fmax(worst, fabs((double)want - (double)p->values[row * p->cols + j * (p->cols - 1) / (cols - 1)]));
        }
    }
    assert_int_equal(at, fixture_count(t));
    return worst;
}

static void assert_digest(const exaone_json *row, const char *key, const void *data, size_t size) {
    char want[65], got[65];
    fixture_string(row, key, want, sizeof(want));
    fixture_sha256(data, size, got);
    assert_string_equal(got, want);
}

/* ---- clips
 * ------------------------------------------------------------------------------------------------------------------ */

static void check_clip(const exaone_json *row, const fixture *f) {
    char name[64], clip[64], tensor[128];
    fixture_string(row, "name", name, sizeof(name));
    snprintf(tensor, sizeof(tensor), "clip_%s", fixture_string(row, "clip", clip, sizeof(clip)));
    const fixture_tensor *t = fixture_get(f, tensor, "U8");
    size_t frame = (size_t)(t->shape[1] * t->shape[2] * 3), n = (size_t)t->shape[0];
    exaone_image *frames = calloc(n, sizeof(*frames));
    for (size_t i = 0; i < n; i++) {
        frames[i] = (exaone_image){.width = (uint32_t)t->shape[2],
                                   .height = (uint32_t)t->shape[1],
                                   .rgb = (uint8_t *)(uintptr_t)(t->data + i * frame)};
    }
    const exaone_json *size = exaone_json_get(row, "size");
    exaone_pixel_config config = config_of(fixture_int(size, "shortest_edge"), fixture_int(size, "longest_edge"));
    exaone_video_options o = options_of(exaone_json_get(row, "options"));
    exaone_video_source source = {.frames = frames, .n_frames = n, .frames_fps = number(row, "source_fps", 0)};
    const exaone_json *error = exaone_json_get(row, "error");
    for (int strict = 0; strict < 2; strict++) {
        exaone_pixels p, q;
        exaone_video_info info;
        exaone_error err;
        o.strict_reference = strict;
        exaone_status status = exaone_preprocess_video(&source, &o, &config, NULL, true, &p, &info, &err);
        if (error && (strict || strncmp(error->text, "IndexError", 10) != 0)) {
            assert_int_equal(status, EXAONE_ERR_ARGUMENT);
            assert_null(p.values);
            continue;
        }
        assert_int_equal(status, EXAONE_OK);
        if (!error) { /* else the reference's IndexError: we take the 14 frames */
            int64_t want[3], indices[64], resized[2];
            list(row, "grid", want, 3);
            list(row, "indices", indices, info.n);
            list(row, "resized_size", resized, 2);
            assert_true(p.grid[0] == want[0] && p.grid[1] == want[1] && p.grid[2] == want[2]);
            assert_memory_equal(info.indices, indices, info.n * sizeof(*indices));
            assert_true(p.height == resized[0] && p.width == resized[1]);
            assert_int_equal(exaone_pixels_tokens(&p, &config), fixture_int(row, "tokens"));
            assert_digest(row, "resized_sha256", p.resized, (size_t)p.frames * p.height * p.width * 3);
            assert_digest(row, "pixel_values_sha256", p.values, p.rows * p.cols * sizeof(float));
            snprintf(tensor, sizeof(tensor), "%s/sample", name);
            assert_true(sample_diff(&p, fixture_get(f, tensor, "F32")) == 0);
            assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &q, NULL, &err), EXAONE_OK);
            assert_memory_equal(p.values, q.values, p.rows * p.cols * sizeof(float));
            exaone_pixels_release(&q);
        } else {
            assert_int_equal(info.n, 14);
        }
        exaone_pixels_release(&p);
        exaone_video_info_release(&info);
    }
    free(frames);
}

static void clips_match(void **state) {
    (void)state;
    fixture_json j;
    fixture f;
    fixture_json_open(&j, DIR "video.json");
    fixture_open(&f, DIR "clips.safetensors");
    int n = 0;
    for (const exaone_json *row = exaone_json_get(j.root, "array_runs")->first; row; row = row->next, n++) {
        check_clip(row, &f);
    }
    assert_int_equal(n, 16);
    fixture_close(&f);
    fixture_json_close(&j);
}

/* Negative control: the same clip with two frames swapped gives another digest. */
static void clips_notice_order(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f, DIR "clips.safetensors");
    const fixture_tensor *t = fixture_get(&f, "clip_a", "U8");
    size_t frame = (size_t)(t->shape[1] * t->shape[2] * 3);
    exaone_image frames[8];
    for (size_t i = 0; i < 8; i++) {
        frames[i] = (exaone_image){.width = (uint32_t)t->shape[2],
                                   .height = (uint32_t)t->shape[1],
                                   .rgb = (uint8_t *)(uintptr_t)(t->data + (i == 0   ? 1
                                                                            : i == 1 ? 0
                                                                                     : i) *
                                                                               frame)};
    }
    exaone_video_source source = {.frames = frames, .n_frames = 8};
    exaone_pixel_config config = config_of(3136, 50176);
    exaone_pixels p;
    assert_int_equal(exaone_preprocess_video(&source, NULL, &config, NULL, false, &p, NULL, NULL), EXAONE_OK);
    assert_true(sample_diff(&p, fixture_get(&f, "a-all/sample", "F32")) > 0.1);
    exaone_pixels_release(&p);
    fixture_close(&f);
}

static void cap_lowers_the_limit(void **state) {
    (void)state;
    uint8_t *grey = calloc(1, 400 * 400 * 3);
    exaone_image frames[8];
    for (size_t i = 0; i < 8; i++) {
        frames[i] = (exaone_image){.width = 400, .height = 400, .rgb = grey};
    }
    exaone_video_source source = {.frames = frames, .n_frames = 8};
    exaone_pixel_config config = config_of(3136, 602112);
    exaone_video_options o;
    exaone_video_options_init(&o);
    exaone_pixels p;
    assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &p, NULL, NULL), EXAONE_OK);
    assert_int_equal(p.height, 392);
    exaone_pixels_release(&p);
    o.max_video_tokens = 400; /* trunc(400 * 784 * 0.9) * 2 / 8 = 70,560 pixels a frame: 252 x 252 */
    assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &p, NULL, NULL), EXAONE_OK);
    assert_int_equal(p.height, 252);
    exaone_pixels_release(&p);
    o.max_total_pixels = 8 * 252 * 252;
    assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &p, NULL, NULL), EXAONE_OK);
    exaone_pixels_release(&p);
    o.max_total_pixels--;
    exaone_error err;
    assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &p, NULL, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "508031"));
    assert_null(p.values);
    free(grey);
}

static void frames_are_checked(void **state) {
    (void)state;
    uint8_t grey[4 * 4 * 3] = {0};
    exaone_image frames[2] = {{.width = 4, .height = 4, .rgb = grey}, {.width = 4, .height = 3, .rgb = grey}};
    exaone_video_source source = {.frames = frames, .n_frames = 2};
    exaone_video v;
    exaone_error err;
    exaone_video_options o;
    exaone_video_options_init(&o);
    assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_ERR_ARGUMENT);
    source.n_frames = 1;
    assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_OK);
    exaone_video_release(&v);
    o.max_decoded_bytes = 47;
    assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "47"));
    source.n_frames = 0;
    assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_video_decode(&(exaone_video_source){0}, &o, &v, &err), EXAONE_ERR_ARGUMENT);
}

#ifdef EXAONE_HAVE_FFMPEG
/* ---- files
 * ------------------------------------------------------------------------------------------------------------------ */

static int level_diff; /* largest difference of a decoded level over all files: printed at the end */
static int n_exact, n_runs;

static void check_frames(const exaone_json *row, const fixture *f, const char *path) {
    char name[64], tensor[128];
    fixture_string(row, "file", name, sizeof(name));
    snprintf(tensor, sizeof(tensor), "%s/frames", name);
    const fixture_tensor *t = fixture_find(f, tensor);
    if (!t) {
        return;
    }
    int64_t stored[3];
    list(row, "stored_frames", stored, 3);
    exaone_video v;
    exaone_error err;
    assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = path}, NULL, &v, &err), EXAONE_OK);
    assert_true(v.info.height == t->shape[1] && v.info.width == t->shape[2]);
    size_t frame = (size_t)v.info.height * v.info.width * 3;
    for (size_t k = 0; k < 3; k++) {
        assert_true(stored[k] < (int64_t)v.info.n);
        for (size_t i = 0; i < frame; i++) {
            int d = abs(v.rgb[(size_t)stored[k] * frame + i] - t->data[k * frame + i]);
            level_diff = d > level_diff ? d : level_diff;
            assert_true(d <= 2);
        }
    }
    /* the same from memory, and with more threads */
    size_t size;
    char *bytes = fixture_read(path, &size);
    exaone_video_options o;
    exaone_video_options_init(&o);
#ifndef __SANITIZE_THREAD__ /* FFmpeg itself is not built for it: its own threads look like races */
    o.threads = 2;
#endif
    exaone_video w;
    exaone_video_source memory = {.bytes = (const uint8_t *)bytes, .n_bytes = size};
    assert_int_equal(exaone_video_decode(&memory, &o, &w, &err), EXAONE_OK);
    assert_int_equal(w.info.n, v.info.n);
    assert_memory_equal(v.rgb, w.rgb, frame * v.info.n);
    exaone_video_release(&w);
    free(bytes);
    /* single frames: groups of pictures are skipped, the pixels stay */
    for (o.num_frames = 2, o.has_num_frames = true; o.num_frames <= 12; o.num_frames += 2) {
        assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = path}, &o, &w, &err), EXAONE_OK);
        for (size_t k = 0; k < w.info.n; k++) {
            assert_memory_equal(w.rgb + k * frame, v.rgb + (size_t)w.info.indices[k] * frame, frame);
        }
        exaone_video_release(&w);
    }
    exaone_video_release(&v);
}

static void check_run(const exaone_json *row, const exaone_json *run, const fixture *f, const char *path) {
    char name[64], tensor[128], digest[65], want_digest[65];
    fixture_string(row, "file", name, sizeof(name));
    const exaone_json *options = exaone_json_get(run, "options");
    exaone_video_options o = options_of(options);
    exaone_pixel_config config = config_of(3136, 50176);
    exaone_pixels p;
    exaone_video_info info;
    exaone_error err;
    assert_int_equal(
        exaone_preprocess_video(&(exaone_video_source){.path = path}, &o, &config, NULL, false, &p, &info, &err), EXAONE_OK);
    if (!exaone_json_get(run, "error")) {
        int64_t grid[3], indices[64];
        list(run, "grid", grid, 3);
        list(run, "indices", indices, info.n);
        assert_true(p.grid[0] == grid[0] && p.grid[1] == grid[1] && p.grid[2] == grid[2]);
        assert_memory_equal(info.indices, indices, info.n * sizeof(*indices));
        assert_int_equal(info.total_frames, fixture_int(run, "total_num_frames"));
        assert_true(fabs(info.fps - number(run, "fps", 0)) < 1e-9);
        assert_true(fabs(info.duration - number(run, "duration", 0)) < 1e-9);
        size_t k = 0;
        for (const exaone_json *t = exaone_json_get(run, "timestamps")->first; t; t = t->next, k++) {
            double x;
            assert_true(exaone_json_double(t, &x));
            assert_true(fabs(x - info.timestamps[k]) < 1e-6); /* the reference divides in fp32 */
        }
        snprintf(tensor, sizeof(tensor), "%s/sample_%s", name, o.has_fps ? "fps" : o.has_num_frames ? "num_frames" : "all");
        assert_true(sample_diff(&p, fixture_get(f, tensor, "F32")) <= 0.0302);
        fixture_sha256(p.values, p.rows * p.cols * sizeof(float), digest);
        n_exact += strcmp(digest, fixture_string(run, "pixel_values_sha256", want_digest, sizeof(want_digest))) == 0;
        n_runs++;
    } else { /* the transport stream, which the reference's decoder cannot read and we do */
        assert_int_equal(info.total_frames, 24);
        assert_true(fabs(info.fps - 25) < 1e-9);
    }
    exaone_pixels_release(&p);
    exaone_video_info_release(&info);
}

static void files_match(void **state) {
    (void)state;
    fixture_json j;
    fixture f;
    fixture_json_open(&j, DIR "video.json");
    fixture_open(&f, DIR "files.safetensors");
    int n = 0;
    for (const exaone_json *row = exaone_json_get(j.root, "files")->first; row; row = row->next, n++) {
        char name[64], path[128];
        snprintf(path, sizeof(path), DIR "%s", fixture_string(row, "file", name, sizeof(name)));
        check_frames(row, &f, path);
        for (const exaone_json *run = exaone_json_get(row, "processor")->first; run; run = run->next) {
            check_run(row, run, &f, path);
        }
    }
    assert_int_equal(n, 12);
    print_message("largest level difference %d; pixel values exact in %d of %d runs\n", level_diff, n_exact, n_runs);
    fixture_close(&f);
    fixture_json_close(&j);
}

static void probe_counts(void **state) {
    (void)state;
    exaone_video_info info;
    exaone_error err;
    exaone_video_source source = {.path = DIR "h264-rotate90.mp4"};
    assert_int_equal(exaone_video_probe(&source, NULL, &info, &err), EXAONE_OK);
    assert_int_equal(info.total_frames, 24);
    assert_int_equal(info.width, 64);
    assert_int_equal(info.height, 96);
    assert_null(info.indices);
    exaone_video_info_release(&info);
}

/* ---- hostile
 * ---------------------------------------------------------------------------------------------------------------- */

static exaone_status decode_bytes(const void *bytes, size_t n, const exaone_video_options *o, size_t *n_frames,
                                  exaone_error *err) {
    exaone_video v;
    exaone_status status = exaone_video_decode(&(exaone_video_source){.bytes = bytes, .n_bytes = n}, o, &v, err);
    *n_frames = v.info.n;
    assert_true((status == EXAONE_OK) == (v.rgb != NULL));
    exaone_video_release(&v);
    return status;
}

static void limits_are_stated(void **state) {
    (void)state;
    exaone_video_options o;
    exaone_error err;
    exaone_video v;
    exaone_video_source source = {.path = DIR "h264-10fps.mp4"};
    const char *texts[] = {"23", "1000", "6143", "95", "23", "5000"};
    for (int i = 0; i < 6; i++) {
        exaone_video_options_init(&o);
        o.limits.max_frames = i == 0 ? 23 : 0;
        o.limits.max_video_bytes = i == 1 ? 1000 : 0;
        o.limits.max_pixels = i == 2 ? 6143 : 0;
        o.limits.max_side = i == 3 ? 95 : 0;
        o.limits.max_video_frames = i == 4 ? 23 : 0;
        o.max_decoded_bytes = i == 5 ? 5000 : o.max_decoded_bytes;
        assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_ERR_LIMIT);
        assert_non_null(strstr(err.message, texts[i]));
        assert_null(v.rgb);
    }
    volatile int cancel = 1;
    exaone_video_options_init(&o);
    o.cancel = &cancel;
    assert_int_equal(exaone_video_decode(&source, &o, &v, &err), EXAONE_ERR_CANCELLED);
}

/* A file cut anywhere gives frames or an error, and never takes long. */
static void cut_files(void **state) {
    (void)state;
    const char *files[] = {DIR "h264.mkv", DIR "mpeg4.avi", DIR "h264-vfr.mp4",
                           DIR "vp9.webm", DIR "gif.gif",   DIR "h264-ts.ts"};
    exaone_video_options o;
    exaone_video_options_init(&o);
    o.has_num_frames = true;
    o.num_frames = 4;
    for (size_t i = 0; i < 6; i++) {
        size_t size, n;
        char *bytes = fixture_read(files[i], &size);
        exaone_error err;
        int n_good = 0;
        for (size_t cut = 0; cut < size; cut += size / 40 + 1) {
            n_good += decode_bytes(bytes, cut, &o, &n, &err) == EXAONE_OK;
        }
        if (i != 2) { /* that one has its index at the end */
            assert_true(n_good > 5);
        }
        free(bytes);
    }
}

static void flipped_bytes(void **state) {
    (void)state;
    const char *files[] = {DIR "h264.mkv", DIR "h264-editlist.mp4", DIR "mpeg4.avi", DIR "vp9.webm"};
    unsigned random = 1;
    for (size_t i = 0; i < 4; i++) {
        size_t size, n;
        char *bytes = fixture_read(files[i], &size);
        for (int round = 0; round < 40; round++) {
            char *copy = malloc(size);
            memcpy(copy, bytes, size);
            for (int k = 0; k < 20; k++) {
                random = random * 1664525 + 1013904223;
                copy[(random >> 8) % size] = (char)(random >> 3);
            }
            exaone_error err = {0};
            if (decode_bytes(copy, size, NULL, &n, &err)) {
                assert_true(err.message[0] != 0);
            }
            free(copy);
        }
        free(bytes);
    }
}

static void not_videos(void **state) {
    (void)state;
    exaone_error err;
    size_t n;
    assert_int_equal(decode_bytes("", 0, NULL, &n, &err), EXAONE_ERR_FORMAT);
    assert_int_equal(decode_bytes("hello, world", 12, NULL, &n, &err), EXAONE_ERR_FORMAT);
    char zeros[4096] = {0};
    assert_int_equal(decode_bytes(zeros, sizeof(zeros), NULL, &n, &err), EXAONE_ERR_FORMAT);
    exaone_video v;
    assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = "tests"}, NULL, &v, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = "/dev/zero"}, NULL, &v, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = DIR "none.mp4"}, NULL, &v, &err), EXAONE_ERR_IO);
    /* audio only: a WAV file of one second of silence */
    uint8_t wav[44 + 16000] = {0};
    memcpy(wav, "RIFF\xa4\x3e\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x80\x3e\0\0", 44);
    assert_int_equal(decode_bytes(wav, sizeof(wav), NULL, &n, &err), EXAONE_ERR_FORMAT);
    assert_non_null(strstr(err.message, "no video"));
}

/* Playlists would make FFmpeg open other files and URLs: nothing but the given bytes is read. */
static void playlists_open_nothing(void **state) {
    (void)state;
    char path[4096], text[8192], cwd[2048];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(path, sizeof(path), "%s/" DIR "h264-ts.ts", cwd);
    const char *formats[] = {
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://%s\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '%s'\n",
    };
    for (size_t i = 0; i < 3; i++) {
        exaone_error err;
        size_t n;
        int len = snprintf(text, sizeof(text), formats[i], path);
        assert_int_equal(decode_bytes(text, (size_t)len, NULL, &n, &err), EXAONE_ERR_FORMAT);
    }
}

/* YUV4MPEG: a header and raw frames, easy to write by hand. */
static size_t y4m(char *out, const char *header, int n_frames, size_t frame_bytes) {
    size_t at = (size_t)sprintf(out, "YUV4MPEG2 %s\n", header);
    for (int i = 0; i < n_frames; i++) {
        at += (size_t)sprintf(out + at, "FRAME\n");
        memset(out + at, 16 + i, frame_bytes);
        at += frame_bytes;
    }
    return at;
}

static void odd_rates_and_sizes(void **state) {
    (void)state;
    char *file = malloc(1 << 20);
    exaone_error err;
    size_t n, size;
    exaone_video_options o;
    exaone_video_options_init(&o);
    size = y4m(file, "W16 H16 F1000:1 C420", 50, 384);
    assert_int_equal(decode_bytes(file, size, &o, &n, &err), EXAONE_OK);
    assert_int_equal(n, 50);
    o.has_fps = true;
    o.fps = 2;
    assert_int_equal(decode_bytes(file, size, &o, &n, &err), EXAONE_OK); /* 0.05 s: min_frames */
    assert_int_equal(n, 4);
    o.has_fps = false;
    size = y4m(file, "W1 H1 F10:1 C444", 3, 3);
    assert_int_equal(decode_bytes(file, size, &o, &n, &err), EXAONE_OK);
    assert_int_equal(n, 3);
    size = y4m(file, "W16 H16 F10:1 C420", 0, 0);
    assert_int_equal(decode_bytes(file, size, &o, &n, &err), EXAONE_ERR_FORMAT);
    size = y4m(file, "W30000 H30000 F10:1 C420", 1, 1000);
    assert_true(decode_bytes(file, size, &o, &n, &err) != EXAONE_OK);
    size = y4m(file, "W2147483647 H2147483647 F10:1 C420", 1, 1000);
    assert_true(decode_bytes(file, size, &o, &n, &err) != EXAONE_OK);
    /* 1 x 1000 is a video, but too long for the processor */
    size = y4m(file, "W1000 H1 F10:1 C444", 2, 3000);
    exaone_pixels p;
    exaone_pixel_config config = config_of(3136, 50176);
    exaone_video_source source = {.bytes = (uint8_t *)file, .n_bytes = size};
    assert_int_equal(exaone_preprocess_video(&source, &o, &config, NULL, false, &p, NULL, &err), EXAONE_ERR_LIMIT);
    assert_null(p.values);
    free(file);
}

/* Appends n frames of one colour as an MPEG-1 elementary stream. Returns the bytes written. */
static size_t encode(uint8_t *out, int width, int height, int luma, int cb, int cr, int n) {
    AVCodecContext *c = avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_MPEG1VIDEO));
    assert_non_null(c);
    c->width = width;
    c->height = height;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){1, 25};
    c->gop_size = 4;
    assert_int_equal(avcodec_open2(c, NULL, NULL), 0);
    AVFrame *f = av_frame_alloc();
    AVPacket *p = av_packet_alloc();
    f->width = width;
    f->height = height;
    f->format = AV_PIX_FMT_YUV420P;
    assert_int_equal(av_frame_get_buffer(f, 0), 0);
    memset(f->data[0], luma, (size_t)f->linesize[0] * (size_t)height);
    memset(f->data[1], cb, (size_t)f->linesize[1] * (size_t)height / 2);
    memset(f->data[2], cr, (size_t)f->linesize[2] * (size_t)height / 2);
    size_t at = 0;
    for (int i = 0; i <= n; i++) {
        f->pts = i;
        assert_int_equal(avcodec_send_frame(c, i < n ? f : NULL), 0);
        while (avcodec_receive_packet(c, p) == 0) {
            memcpy(out + at, p->data, (size_t)p->size);
            at += (size_t)p->size;
            av_packet_unref(p);
        }
    }
    av_packet_free(&p);
    av_frame_free(&f);
    avcodec_free_context(&c);
    return at;
}

/* A stream that changes its size: every frame comes out in the size of the first one. */
static void changing_size(void **state) {
    (void)state;
    uint8_t *both = malloc(1 << 20);
    size_t n = encode(both, 64, 48, 81, 90, 240, 6); /* red */
    n += encode(both + n, 96, 80, 41, 240, 110, 6);  /* blue */
    exaone_video v;
    exaone_error err;
    exaone_video_source source = {.bytes = both, .n_bytes = n};
    exaone_status status = exaone_video_decode(&source, NULL, &v, &err);
    if (status) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(v.info.width, 64);
    assert_int_equal(v.info.height, 48);
    assert_in_range(v.info.n, 10, 12);
    size_t frame = 64 * 48 * 3;
    assert_true(v.rgb[frame / 2] > 200 && v.rgb[frame / 2 + 2] < 60);
    const uint8_t *last = v.rgb + (v.info.n - 1) * frame + frame / 2;
    assert_true(last[0] < 60 && last[2] > 200);
    exaone_video_release(&v);
    free(both);
}

/* A container in memory (av_free) with n frames of moving MPEG-4, groups of 12 with B-frames, the first one shown at
 * `start`. */
static uint8_t *make_video(const char *container, int n, int64_t start, size_t *size) {
    AVFormatContext *f = NULL;
    assert_true(avformat_alloc_output_context2(&f, NULL, container, NULL) >= 0);
    AVStream *st = avformat_new_stream(f, NULL);
    AVCodecContext *c = avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_MPEG4));
    assert_true(st && c);
    c->width = 64;
    c->height = 48;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){1, 25};
    c->gop_size = 12;
    c->max_b_frames = 2;
    c->flags |= f->oformat->flags & AVFMT_GLOBALHEADER ? AV_CODEC_FLAG_GLOBAL_HEADER : 0;
    assert_int_equal(avcodec_open2(c, NULL, NULL), 0);
    assert_true(avcodec_parameters_from_context(st->codecpar, c) >= 0);
    st->time_base = c->time_base;
    f->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    assert_int_equal(avio_open_dyn_buf(&f->pb), 0);
    assert_true(avformat_write_header(f, NULL) >= 0);
    AVFrame *frame = av_frame_alloc();
    AVPacket *p = av_packet_alloc();
    frame->width = 64;
    frame->height = 48;
    frame->format = AV_PIX_FMT_YUV420P;
    for (int i = 0; i <= n; i++) {
        assert_int_equal(av_frame_get_buffer(frame, 0), 0);
        for (int y = 0; y < 48; y++) {
            for (int x = 0; x < 64; x++) {
                frame->data[0][y * frame->linesize[0] + x] = (uint8_t)(x * 3 + y + i * 7);
            }
        }
        for (int y = 0; y < 24; y++) {
            memset(frame->data[1] + y * frame->linesize[1], 100 + i % 50, 32);
            memset(frame->data[2] + y * frame->linesize[2], 128, 32);
        }
        frame->pts = start + i;
        assert_int_equal(avcodec_send_frame(c, i < n ? frame : NULL), 0);
        while (avcodec_receive_packet(c, p) == 0) {
            av_packet_rescale_ts(p, c->time_base, st->time_base);
            p->duration = av_rescale_q(1, c->time_base, st->time_base);
            assert_true(av_interleaved_write_frame(f, p) >= 0);
        }
        av_frame_unref(frame);
        frame->width = 64;
        frame->height = 48;
        frame->format = AV_PIX_FMT_YUV420P;
    }
    assert_true(av_write_trailer(f) >= 0);
    uint8_t *bytes = NULL;
    *size = (size_t)avio_close_dyn_buf(f->pb, &bytes);
    av_packet_free(&p);
    av_frame_free(&frame);
    avcodec_free_context(&c);
    avformat_free_context(f);
    return bytes;
}

/* Decoding only the groups of pictures that are needed gives the pixels of decoding everything; times may be negative. */
static void skipped_groups_change_nothing(void **state) {
    (void)state;
    const struct {
        const char *container;
        int64_t start;
    } cases[] = {{"matroska", 0}, {"matroska", -4}, {"nut", 0}, {"mov", -4}, {"mpegts", 100}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size;
        uint8_t *bytes = make_video(cases[i].container, 120, cases[i].start, &size);
        exaone_video_source source = {.bytes = bytes, .n_bytes = size};
        exaone_video all, some;
        exaone_error err;
        if (exaone_video_decode(&source, NULL, &all, &err)) {
            fail_msg("%s: %s", cases[i].container, err.message);
        }
        /* mov hides what lies before time 0 by an edit list */
        assert_in_range(all.info.n, cases[i].start < 0 ? 116 : 120, 120);
        print_message("%s from %d: %zu frames\n", cases[i].container, (int)cases[i].start, all.info.n);
        size_t frame = 64 * 48 * 3;
        exaone_video_options o;
        exaone_video_options_init(&o);
        o.has_num_frames = true;
        for (o.num_frames = 2; o.num_frames <= 24; o.num_frames += 2) {
            assert_int_equal(exaone_video_decode(&source, &o, &some, &err), EXAONE_OK);
            assert_int_equal(some.info.n, o.num_frames);
            for (size_t k = 0; k < some.info.n; k++) {
                assert_memory_equal(some.rgb + k * frame, all.rgb + (size_t)some.info.indices[k] * frame, frame);
            }
            exaone_video_release(&some);
        }
        assert_true(fabs(all.info.fps - 25) < 0.3);
        exaone_video_release(&all);
        av_free(bytes);
    }
}

static void time_limit(void **state) {
    (void)state;
    char *file = malloc(64 << 20);
    size_t size = y4m(file, "W640 H480 F30:1 C420", 100, 460800);
    exaone_video_options o;
    exaone_video_options_init(&o);
    o.time_limit_ms = 1;
    size_t n;
    exaone_error err;
    assert_int_equal(decode_bytes(file, size, &o, &n, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "1 ms"));
    free(file);
}
#else
static void says_that_ffmpeg_is_missing(void **state) {
    (void)state;
    exaone_video v;
    exaone_error err;
    assert_int_equal(exaone_video_decode(&(exaone_video_source){.path = DIR "h264-10fps.mp4"}, NULL, &v, &err),
                     EXAONE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "without FFmpeg"));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_match),
        cmocka_unit_test(clips_notice_order),
        cmocka_unit_test(cap_lowers_the_limit),
        cmocka_unit_test(frames_are_checked),
#ifdef EXAONE_HAVE_FFMPEG
        cmocka_unit_test(files_match),
        cmocka_unit_test(probe_counts),
        cmocka_unit_test(limits_are_stated),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(flipped_bytes),
        cmocka_unit_test(not_videos),
        cmocka_unit_test(playlists_open_nothing),
        cmocka_unit_test(odd_rates_and_sizes),
        cmocka_unit_test(changing_size),
        cmocka_unit_test(time_limit),
        cmocka_unit_test(skipped_groups_change_nothing),
#else
        cmocka_unit_test(says_that_ffmpeg_is_missing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
