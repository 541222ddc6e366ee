/* GGUF pairs written by the library: keys, types and values, pieces, copies, faults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/fixture.h"
#include "../support/scratch.h"
#include "base/file.h"
#include "exaone/quantize.h"
#include "model/config.h"
#include "quant/encode.h"
#include "quant/imatrix.h"
#include "weights/gguf.h"
#include "weights/weights.h"

#define NANO "tests/golden/model/nano/checkpoint" /* rows of 128 numbers: no block of 256 fits */
#define TINY "models/tiny"
#define EDGES "tests/golden/edges/weights/"

typedef struct notes {
    char text[4096];
    size_t n;
    size_t calls, stop_at; /* progress: calls so far; the call that says stop, 0: none */
    uint64_t done;
} notes;

static void keep_note(void *ctx, const char *text) {
    notes *n = ctx;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%s\n", text);
    n->n++;
}

static bool keep_progress(void *ctx, const exaone_quantize_progress *p) {
    notes *n = ctx;
    assert_true(p->done <= p->total && p->done >= n->done && p->index < p->count);
    assert_non_null(p->tensor);
    n->done = p->done;
    return ++n->calls != n->stop_at;
}

static exaone_quantize_report written(const char *source, const char *target, exaone_quantize_options o) {
    exaone_error err = {0};
    exaone_quantize_report r;
    if (exaone_quantize(source, target, &o, &r, &err) != EXAONE_OK) {
        fail_msg("%s -> %s: %s", source, target, err.message);
    }
    return r;
}

static void refused(const char *source, const char *target, exaone_quantize_options o, exaone_status code,
                    const char *word) {
    exaone_error err = {0};
    exaone_status status = exaone_quantize(source, target, &o, NULL, &err);
    if (status != code || !strstr(err.message, word)) {
        fail_msg("%s -> %s: %d \"%s\", want %d with \"%s\"", source, target, (int)status, err.message, (int)code, word);
    }
}

static exaone_gguf *opened(const char *path) {
    exaone_error err = {0};
    exaone_gguf *g;
    if (exaone_gguf_open(path, &g, &err) != EXAONE_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    return g;
}

static bool same_file(const char *a, const char *b) {
    size_t n, m;
    char *x = fixture_read(a, &n), *y = fixture_read(b, &m);
    bool same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

/* A new folder in the scratch folder, so that file names in it are free. */
static const char *folder(const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s/x.txt", name);
    scratch_write_text(file, "");
    return scratch_path(name);
}

static const char *in(const char *dir, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return scratch_path(path);
}

/* Every key of the reference file is there with its type; what else is there is listed in `extra`. */
static void has_keys_of(const char *path, const char *json, const char *extra) {
    static const char *const names[] = {"UINT8", "INT8",   "UINT16", "INT16",  "UINT32", "INT32",  "FLOAT32",
                                        "BOOL",  "STRING", "ARRAY",  "UINT64", "INT64",  "FLOAT64"};
    fixture_json want;
    fixture_json_open(&want, json);
    exaone_gguf *g = opened(path);
    size_t n = 0;
    for (const exaone_json *j = exaone_json_get(want.root, "kv")->first; j; j = j->next, n++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)j->key_len, j->key);
        const exaone_gguf_kv *kv = exaone_gguf_find(g, key);
        const exaone_json *type = exaone_json_get(j, "type")->first;
        if (!kv || !exaone_json_equals(type, names[kv->type]) ||
            (type->next && !exaone_json_equals(type->next, names[kv->element]))) {
            fail_msg("%s: %s is %s", path, key, kv ? names[kv->type] : "missing");
        }
    }
    for (size_t i = 0; i < exaone_gguf_kv_count(g); i++) {
        const char *key = exaone_gguf_kv_at(g, i)->key;
        if (!exaone_json_get(exaone_json_get(want.root, "kv"), key) && !strstr(extra, key) &&
            strncmp(key, "exaone.file.", 12) != 0) { /* settings files, for this program */
            fail_msg("%s: %s is in no published file", path, key);
        }
    }
    exaone_gguf_close(g);
    fixture_json_close(&want);
}

static void keys_are_those_of_the_published_files(void **state) {
    (void)state;
    folder("keys");
    written(TINY, in("keys", "tiny-F16.gguf"), (exaone_quantize_options){.type = "F16", .mmproj_type = "F16"});
    has_keys_of(in("keys", "tiny-F16.gguf"), EDGES "tiny-mixed.gguf.json",
                "general.name general.quantization_version exaone4.attention.key_length exaone4.attention.value_length "
                "exaone4.rope.dimension_count tokenizer.chat_template");
    has_keys_of(in("keys", "mmproj-tiny-F16.gguf"), EDGES "mmproj-tiny-f16.gguf.json", "");
    exaone_gguf *g = opened(in("keys", "tiny-F16.gguf"));
    int64_t value;
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "general.file_type"), &value) && value == 1);
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "exaone4.block_count"), &value) && value == 9);
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "tokenizer.ggml.unknown_token_id"), &value) && value == 3);
    assert_true(exaone_gguf_string_is(exaone_gguf_find(g, "general.name"), "tiny"));
    const exaone_gguf_kv *pattern = exaone_gguf_find(g, "exaone4.attention.sliding_window_pattern");
    for (uint64_t i = 0; i < 9; i++) {
        assert_true(exaone_gguf_int_at(pattern, i, &value) && value == (i == 8 || i % 4 != 3));
    }
    exaone_gguf_close(g);
}

enum { MAX_ROWS = 48 }; /* looked at per tensor; rows are encoded one by one */

/* Values as the encoder gives them for the source's rows. */
static void check_tensor(const exaone_gguf_tensor *t, const exaone_weight *from) {
    size_t columns = (size_t)t->ne[0], rows = 1, bytes;
    for (uint32_t d = 1; d < t->n_dims; d++) {
        rows *= (size_t)t->ne[d];
    }
    rows = rows < MAX_ROWS ? rows : MAX_ROWS;
    assert_true(exaone_dtype_tensor_bytes(t->dtype, 2, (const uint64_t[]){rows, columns}, &bytes));
    exaone_error err = {0};
    float *x = malloc(rows * columns * sizeof *x);
    uint8_t *want = malloc(bytes);
    assert_true(x && want);
    exaone_dtype_to_f32(from->dtype, from->data, rows * columns, x);
    assert_int_equal(exaone_encode_rows(t->dtype, x, rows, columns, NULL, want, &err), EXAONE_OK);
    if (memcmp(want, t->data, bytes) != 0) {
        fail_msg("%s (%s) differs from the encoded source", t->name, exaone_dtype_name(t->dtype));
    }
    free(x);
    free(want);
}

static bool same_tensors(const char *a, const char *b) {
    exaone_gguf *g = opened(a), *h = opened(b);
    bool same = exaone_gguf_tensor_count(g) == exaone_gguf_tensor_count(h);
    for (size_t k = 0; k < exaone_gguf_tensor_count(g) && same; k++) {
        const exaone_gguf_tensor *t = exaone_gguf_tensor_at(g, k), *u = exaone_gguf_find_tensor(h, t->name);
        same = u && u->dtype == t->dtype && u->bytes == t->bytes && memcmp(u->data, t->data, t->bytes) == 0;
    }
    exaone_gguf_close(g);
    exaone_gguf_close(h);
    return same;
}

static void every_type_holds_the_encoded_rows(void **state) {
    (void)state;
    folder("types");
    exaone_error err = {0};
    exaone_weights *source;
    written(TINY, in("types", "source.gguf"), (exaone_quantize_options){.no_mmproj = true});
    assert_int_equal(exaone_weights_open(in("types", "source.gguf"), NULL, &source, &err), EXAONE_OK);
    for (size_t i = 0; exaone_quantize_types(i); i++) {
        const char *path = in("types", "one.gguf"), *other = in("types", "other.gguf");
        exaone_quantize_options o = {.type = exaone_quantize_types(i), .no_mmproj = true, .force = true, .threads = 1};
        exaone_quantize_report r = written(TINY, path, o);
        o.threads = 3;
        bool twice =
            i % 4 == 3; /* Q8_0, Q4_K_M, IQ4_NL, …: from a GGUF source and with more threads the bytes are the same */
        if (twice) {
            written(in("types", "source.gguf"), other, o);
            assert_true(same_tensors(path, other));
        }
        exaone_gguf *g = opened(path);
        assert_int_equal(exaone_gguf_tensor_count(g), exaone_weights_count(source));
        assert_int_equal(r.text_bytes, exaone_gguf_size(g));
        assert_int_equal(r.n_fallbacks, 0);
        for (size_t k = 0; k < exaone_gguf_tensor_count(g); k++) {
            const exaone_gguf_tensor *t = exaone_gguf_tensor_at(g, k);
            exaone_weight from = exaone_weights_at(source, k); /* the same order */
            assert_string_equal(t->name, from.name);
            check_tensor(t, &from);
        }
        exaone_gguf_close(g);
        exaone_config config;
        exaone_weights *w;
        assert_int_equal(exaone_weights_open(path, NULL, &w, &err), EXAONE_OK);
        assert_int_equal(exaone_config_load(w, &config, &err), EXAONE_OK);
        assert_int_equal(config.num_mtp_layers, 1);
        exaone_config_release(&config);
        exaone_weights_close(w);
    }
    exaone_weights_close(source);
}

static void rows_of_128_fall_back_and_are_named(void **state) {
    (void)state;
    folder("narrow");
    notes n = {0};
    exaone_quantize_report r =
        written(NANO, in("narrow", "nano.gguf"), (exaone_quantize_options){.type = "Q4_K_S", .note = keep_note, .ctx = &n});
    assert_true(r.n_fallbacks > 0);
    assert_non_null(strstr(n.text, "rows of 128 values are no multiple of Q4_K's block of 256; Q5_0 is written instead"));
    exaone_gguf *g = opened(in("narrow", "nano.gguf"));
    assert_int_equal(exaone_gguf_find_tensor(g, "token_embd.weight")->dtype, EXAONE_Q5_0);
    assert_int_equal(exaone_gguf_find_tensor(g, "output.weight")->dtype, EXAONE_Q8_0);
    exaone_gguf_close(g);
}

static void single_tensors_by_pattern(void **state) {
    (void)state;
    folder("single");
    const exaone_quantize_override o[] = {
        {"blk.0.attn_v.weight", "F16"}, {"blk.*.attn_v.weight", "q8_0"}, {"v.blk.*.attn_qkv.weight", "Q8_0"}};
    written(TINY, in("single", "a.gguf"), (exaone_quantize_options){.type = "Q4_K_S", .overrides = o, .n_overrides = 3});
    exaone_gguf *g = opened(in("single", "a.gguf")), *m = opened(in("single", "mmproj-a-BF16.gguf"));
    assert_int_equal(exaone_gguf_find_tensor(g, "blk.0.attn_v.weight")->dtype, EXAONE_F16);
    assert_int_equal(exaone_gguf_find_tensor(g, "blk.1.attn_v.weight")->dtype, EXAONE_Q8_0);
    assert_int_equal(exaone_gguf_find_tensor(g, "blk.1.attn_k.weight")->dtype, EXAONE_Q4_K);
    assert_int_equal(exaone_gguf_find_tensor(m, "v.blk.0.attn_qkv.weight")->dtype, EXAONE_Q8_0);
    assert_int_equal(exaone_gguf_find_tensor(m, "v.blk.0.attn_out.weight")->dtype, EXAONE_BF16);
    assert_int_equal(exaone_gguf_find_tensor(m, "v.patch_embd.weight")->dtype, EXAONE_F32);
    exaone_gguf_close(g);
    exaone_gguf_close(m);
    const exaone_quantize_override unknown = {"*", "Q4_K_M"}, nothing = {"blk.99.*", "Q8_0"};
    const char *b = in("single", "b.gguf");
    refused(TINY, b, (exaone_quantize_options){.type = "Q8_0", .overrides = &unknown, .n_overrides = 1}, EXAONE_ERR_ARGUMENT,
            "Q4_K_M");
    refused(TINY, b, (exaone_quantize_options){.type = "Q8_0", .overrides = &nothing, .n_overrides = 1}, EXAONE_ERR_ARGUMENT,
            "blk.99.* matches no tensor");
    assert_int_not_equal(access(b, F_OK), 0);
}

static void pieces_and_back(void **state) {
    (void)state;
    folder("pieces");
    const char *whole = in("pieces", "whole.gguf");
    written(TINY, whole, (exaone_quantize_options){.no_mmproj = true});
    exaone_quantize_options o = {.split_size = 3000000, .no_mmproj = true};
    exaone_quantize_report r = written(whole, in("pieces", "part.gguf"), o);
    assert_in_range(r.n_pieces, 4, 8); /* 12.5 MB, less than 3 MB in each */
    int tensors = 0;
    for (size_t i = 0; i < r.n_pieces; i++) {
        char name[64];
        snprintf(name, sizeof name, "part-%05zu-of-%05zu.gguf", i + 1, r.n_pieces);
        exaone_gguf *g = opened(in("pieces", name));
        const exaone_gguf_kv *no = exaone_gguf_find(g, "split.no"), *total = exaone_gguf_find(g, "split.tensors.count");
        int64_t value;
        assert_true(no && no->type == EXAONE_GGUF_U16 && total->type == EXAONE_GGUF_I32);
        assert_true(exaone_gguf_int(no, &value) && value == (int64_t)i);
        assert_true(exaone_gguf_int(total, &value) && value == (int64_t)r.n_tensors);
        assert_int_equal(exaone_gguf_kv_count(g) == 3, i > 0);
        assert_true(exaone_gguf_size(g) - exaone_gguf_data_start(g) <= o.split_size);
        tensors += (int)exaone_gguf_tensor_count(g);
        exaone_gguf_close(g);
    }
    assert_int_equal(tensors, r.n_tensors);
    assert_non_null(strstr(r.text_path, "pieces/part-00001-of-0"));
    char first[64];
    snprintf(first, sizeof first, "part-00001-of-%05zu.gguf", r.n_pieces);
    written(in("pieces", first), in("pieces", "joined.gguf"), (exaone_quantize_options){.no_mmproj = true});
    assert_true(same_file(whole, in("pieces", "joined.gguf")));
    /* a tensor above the limit has its own piece; one piece is a piece too */
    assert_int_equal(
        written(whole, in("pieces", "all.gguf"), (exaone_quantize_options){.split_size = 1, .no_mmproj = true}).n_pieces,
        r.n_tensors);
    written(whole, in("pieces", "one.gguf"), (exaone_quantize_options){.split_size = 1 << 30, .no_mmproj = true});
    assert_int_equal(access(in("pieces", "one-00001-of-00001.gguf"), F_OK), 0);
}

static void equal_types_are_copied_and_others_are_said_to_lose(void **state) {
    (void)state;
    folder("again");
    notes n = {0};
    const char *q8 = in("again", "q8.gguf"), *same = in("again", "same.gguf");
    exaone_quantize_options o = {.type = "Q8_0", .no_mmproj = true, .note = keep_note, .ctx = &n};
    written(TINY, q8, o);
    written(q8, same, o);
    assert_int_equal(n.n, 0);
    assert_true(same_file(q8, same));
    o.type = "Q4_0";
    written(q8, in("again", "q4.gguf"), o);
    assert_non_null(strstr(n.text, "quantised already (Q8_0)"));
}

static void the_mmproj_file(void **state) {
    (void)state;
    folder("vision");
    notes n = {0};
    exaone_quantize_options o = {.note = keep_note, .ctx = &n};
    exaone_quantize_report r = written(TINY, in("vision", "Model-BF16.gguf"), o);
    assert_non_null(strstr(r.mmproj_path, "vision/mmproj-Model-BF16.gguf"));
    assert_int_equal(n.n, 0);
    o.type = "Q4_0"; /* the one beside the source is the one beside the target */
    r = written(in("vision", "Model-BF16.gguf"), in("vision", "Model-Q4_0.gguf"), o);
    assert_string_equal(r.mmproj_path, "");
    assert_int_equal(r.mmproj_bytes, 0);
    assert_non_null(strstr(n.text, "mmproj-Model-BF16.gguf is there already and is kept"));
    o.mmproj_type = "Q8_0";
    o.mmproj_out = in("vision", "eyes.gguf");
    r = written(TINY, in("vision", "Model-2.gguf"), o);
    exaone_gguf *g = opened(o.mmproj_out);
    int64_t type;
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "general.file_type"), &type) && type == 7);
    assert_int_equal(exaone_gguf_size(g), r.mmproj_bytes);
    exaone_gguf_close(g);
    refused(TINY, in("vision", "new.gguf"), o, EXAONE_ERR_ARGUMENT, "eyes.gguf is there already");
    o.force = true;
    refused(TINY, o.mmproj_out, o, EXAONE_ERR_ARGUMENT, "both the text file and the mmproj file");
    o.mmproj_type = "Q4_K_M";
    refused(TINY, in("vision", "new.gguf"), o, EXAONE_ERR_ARGUMENT, "none of F32, F16, BF16, Q8_0");
    folder("blind");
    written(TINY, in("blind", "a.gguf"), (exaone_quantize_options){.no_mmproj = true});
    refused(in("blind", "a.gguf"), in("blind", "b.gguf"),
            (exaone_quantize_options){.mmproj_out = in("blind", "mmproj-b.gguf")}, EXAONE_ERR_ARGUMENT, "no vision tower");
    assert_int_not_equal(access(in("blind", "b.gguf"), F_OK), 0);
}

/* Files in a folder of the scratch folder. */
static int files_in(const char *dir) {
    char command[512];
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", scratch_path(dir));
    FILE *p = popen(command, "r");
    int n = -1;
    assert_true(p && fscanf(p, "%d", &n) == 1);
    pclose(p);
    return n;
}

static void a_stop_leaves_what_was_there(void **state) {
    (void)state;
    folder("stop");
    scratch_write_text("stop/old.gguf", "old");
    for (size_t at = 1; at < 200; at += 40) {
        notes n = {.stop_at = at};
        exaone_quantize_options o = {.type = "Q4_0", .force = true, .progress = keep_progress, .ctx = &n, .split_size = 0};
        refused(TINY, in("stop", "old.gguf"), o, EXAONE_ERR_CANCELLED, "stopped at");
        assert_int_equal(n.calls, at);
        assert_int_equal(files_in("stop"), 2); /* x.txt, old.gguf: no new file, no temporary one */
    }
    size_t size;
    char *old = fixture_read(in("stop", "old.gguf"), &size);
    assert_string_equal(old, "old");
    free(old);
    notes n = {0};
    exaone_quantize_report r = written(TINY, in("stop", "old.gguf"),
                                       (exaone_quantize_options){.force = true, .progress = keep_progress, .ctx = &n});
    assert_int_equal(n.done, r.source_bytes);
}

typedef struct arrival {
    const char *name; /* of the scratch folder */
    bool came;
} arrival;

static bool arrive(void *ctx, const exaone_quantize_progress *p) {
    arrival *a = ctx;
    (void)p;
    if (!a->came) {
        scratch_write_text(a->name, "theirs");
        a->came = true;
    }
    return true;
}

/* What comes to be there during the work is kept, and a part that was placed before it goes again. */
static void a_file_that_comes_in_between_is_kept(void **state) {
    (void)state;
    folder("between");
    static const char *const late[] = {"between/a.gguf", "between/mmproj-a-BF16.gguf"};
    for (size_t i = 0; i < 2; i++) {
        arrival a = {late[i], false};
        exaone_quantize_options o = {.type = "Q8_0", .progress = arrive, .ctx = &a};
        refused(TINY, in("between", "a.gguf"), o, EXAONE_ERR_ARGUMENT, "in the meantime");
        size_t n;
        char *text = fixture_read(scratch_path(late[i]), &n);
        assert_string_equal(text, "theirs");
        free(text);
        assert_int_equal(files_in("between"), 2); /* x.txt and theirs */
        assert_int_equal(unlink(scratch_path(late[i])), 0);
    }
    arrival a = {late[0], false};
    exaone_quantize_options o = {.type = "Q8_0", .force = true, .progress = arrive, .ctx = &a};
    written(TINY, in("between", "a.gguf"), o);
    assert_int_equal(files_in("between"), 3);
}

/* The file under the automatic name is kept only when it can be this model's. */
static void an_mmproj_file_of_another_model_is_not_kept(void **state) {
    (void)state;
    folder("foreign");
    exaone_quantize_options o = {.type = "Q8_0", .mmproj_type = "BF16"};
    written(NANO, in("foreign", "nano.gguf"), (exaone_quantize_options){.mmproj_out = in("foreign", "mmproj-a-BF16.gguf")});
    refused(TINY, in("foreign", "a.gguf"), o, EXAONE_ERR_ARGUMENT, "of another model: its clip.vision.projection_dim is ");
    written(TINY, in("foreign", "b.gguf"), (exaone_quantize_options){.no_mmproj = true});
    assert_int_equal(rename(in("foreign", "b.gguf"), in("foreign", "mmproj-a-BF16.gguf")), 0);
    refused(TINY, in("foreign", "a.gguf"), o, EXAONE_ERR_ARGUMENT, "is no vision tower");
    assert_int_not_equal(access(in("foreign", "a.gguf"), F_OK), 0);
    o.force = true;
    exaone_quantize_report r = written(TINY, in("foreign", "a.gguf"), o);
    assert_true(r.mmproj_bytes > 0);
}

static void targets_that_are_refused(void **state) {
    (void)state;
    folder("targets");
    exaone_quantize_options o = {.type = "Q8_0", .no_mmproj = true};
    const char *a = in("targets", "a.gguf");
    written(TINY, a, o);
    refused(TINY, a, o, EXAONE_ERR_ARGUMENT, "is there already");
    refused(TINY, scratch_path("targets"), o, EXAONE_ERR_ARGUMENT, "is a folder");
    refused(TINY, in("targets", "no/where.gguf"), o, EXAONE_ERR_IO, "targets/no");
    refused(TINY, "", o, EXAONE_ERR_ARGUMENT, "target");
    o.force = true;
    refused(a, a, o, EXAONE_ERR_ARGUMENT, "is the source");
    const char *link = in("targets", "link.gguf");
    assert_int_equal(symlink(a, link), 0);
    refused(a, link, o, EXAONE_ERR_ARGUMENT, "is the source");
    o.no_mmproj = false; /* one file under two spellings */
    o.force = false;
    o.mmproj_out = in("targets", "../targets/same.gguf");
    refused(TINY, in("targets", "same.gguf"), o, EXAONE_ERR_ARGUMENT, "both the text file and the mmproj file");
    assert_int_equal(symlink("same.gguf", in("targets", "points.gguf")), 0);
    o.mmproj_out = in("targets", "points.gguf");
    refused(TINY, in("targets", "same.gguf"), o, EXAONE_ERR_ARGUMENT, "both the text file and the mmproj file");
    assert_int_not_equal(access(in("targets", "same.gguf"), F_OK), 0);
    refused(TINY, a, (exaone_quantize_options){.type = "Q9_9", .force = true}, EXAONE_ERR_ARGUMENT, "Q9_9");
    refused(scratch_path("targets/none"), a, o, EXAONE_ERR_IO, "none");
}

/* Offset in its file of a tensor of the nano folder; *file: the file's name. */
static size_t place_of(const exaone_weights *w, const char *tensor, char file[64]) {
    const uint8_t *begin = NULL, *data = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t k = 0; k < exaone_weights_count(w); k++) {
            exaone_weight t = exaone_weights_at(w, k);
            const char *name = strrchr(t.file, '/') + 1;
            if (pass == 0 && strcmp(t.name, tensor) == 0) {
                data = begin = t.data;
                snprintf(file, 64, "%s", name);
            } else if (pass == 1 && strcmp(name, file) == 0 && t.data < begin) {
                begin = t.data;
            }
        }
    }
    assert_non_null(data);
    return (size_t)(data - begin);
}

/* A copy of the nano folder with another bf16 number at place `at` of a tensor. */
static const char *spoiled(const char *dir, const char *tensor, size_t at, uint16_t bits) {
    static const char *const files[] = {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                                        "model-00002-of-00002.safetensors"};
    const char *copy = folder(dir);
    exaone_error err = {0};
    exaone_weights *w;
    assert_int_equal(exaone_weights_open(NANO, NULL, &w, &err), EXAONE_OK);
    char wanted[64] = "";
    size_t place = place_of(w, tensor, wanted);
    exaone_weights_close(w);
    for (size_t i = 0; i < 4; i++) {
        char from[256], to[128];
        snprintf(from, sizeof from, "%s/%s", NANO, files[i]);
        snprintf(to, sizeof to, "%s/%s", dir, files[i]);
        size_t n;
        char *bytes = fixture_read(from, &n);
        if (strcmp(files[i], wanted) == 0) { /* the data begins behind the header */
            uint64_t head;
            memcpy(&head, bytes, sizeof head);
            memcpy(bytes + 8 + head + place + 2 * at, &bits, sizeof bits);
        }
        scratch_write(to, bytes, n);
        free(bytes);
    }
    return copy;
}

static void values_that_are_not_finite_are_named(void **state) {
    (void)state;
    const char *name = "model.language_model.layers.0.self_attn.q_proj.weight";
    const char *dir = spoiled("nan", name, 128 * 3 + 5, 0x7fc0); /* bf16 NaN */
    refused(dir, in("nan", "a.gguf"), (exaone_quantize_options){.type = "Q8_0"}, EXAONE_ERR_ARGUMENT,
            "self_attn.q_proj.weight: row 3, column 5 is nan");
    assert_int_equal(files_in("nan"), 5);
    notes n = {0};
    dir = spoiled("large", name, 7, 0x4f80); /* 2^32 */
    written(dir, in("large", "a.gguf"), (exaone_quantize_options){.type = "F16", .note = keep_note, .ctx = &n});
    assert_non_null(strstr(n.text, "1 values beyond 65504"));
    n.text[0] = 0;
    dir = spoiled("huge", name, 7, 0x7149); /* about 1e30 */
    written(dir, in("huge", "a.gguf"), (exaone_quantize_options){.type = "Q8_0", .note = keep_note, .ctx = &n});
    assert_non_null(strstr(n.text, "1 values beyond the largest of their type were clamped to it, the first in "
                                   "blk.0.attn_q.weight (Q8_0)"));
}

/* What is read stays, forced or not, under whatever name. */
static void files_that_are_read_are_not_replaced(void **state) {
    (void)state;
    const char *dir = spoiled("reads", "model.language_model.layers.0.self_attn.q_proj.weight", 0, 0);
    exaone_quantize_options o = {.type = "Q8_0", .no_mmproj = true, .force = true};
    scratch_write_text("reads/anything.txt", "kept");
    refused(dir, in("reads", "config.json"), o, EXAONE_ERR_ARGUMENT, "config.json is a file of the source");
    refused(dir, in("reads", "../reads/anything.txt"), o, EXAONE_ERR_ARGUMENT, "anything.txt is a file of the source");
    refused(dir, in("reads", "model-00001-of-00002.safetensors"), o, EXAONE_ERR_ARGUMENT, "is the source");
    folder("blobs"); /* as in a cache: the folder has links */
    scratch_write_text("blobs/config", "settings");
    assert_int_equal(symlink("../blobs/config", in("reads", "generation_config.json")), 0);
    refused(dir, in("blobs", "config"), o, EXAONE_ERR_FORMAT, "generation_config.json");
    scratch_write_text("blobs/config", "{}");
    refused(dir, in("blobs", "config"), o, EXAONE_ERR_ARGUMENT, "config is a file of the source");
    o.no_mmproj = false;
    o.mmproj_out = in("reads", "model.safetensors.index.json");
    refused(dir, in("reads", "new.gguf"), o, EXAONE_ERR_ARGUMENT, "is a file of the source");
    o.mmproj_out = NULL;
    o.no_mmproj = true;
    written(dir, in("reads", "new.gguf"), o); /* a GGUF file in the folder is no part of the model */
    written(dir, in("reads", "new.gguf"), o);
    written(TINY, in("reads", "eyes-model.gguf"), (exaone_quantize_options){.mmproj_out = in("reads", "eyes.gguf")});
    o.mmproj_source = in("reads", "eyes.gguf");
    refused(in("reads", "eyes-model.gguf"), in("reads", "eyes.gguf"), o, EXAONE_ERR_ARGUMENT, "is the source");
    exaone_imatrix *im;
    exaone_imatrix_entry *e;
    exaone_error err = {0};
    assert_int_equal(exaone_imatrix_new(&im, &err), EXAONE_OK);
    assert_int_equal(exaone_imatrix_slot(im, "blk.0.attn_q.weight", 256, &e, &err), EXAONE_OK);
    for (size_t i = 0; i < 256; i++) {
        e->sum[i] = 1;
    }
    e->rows = 1;
    assert_int_equal(exaone_imatrix_save(im, in("reads", "matrix.gguf"), &err), EXAONE_OK);
    exaone_imatrix_close(im);
    o.mmproj_source = NULL;
    o.imatrix = in("reads", "matrix.gguf");
    refused(TINY, o.imatrix, o, EXAONE_ERR_ARGUMENT, "is the importance matrix");
}

static void a_tokenizer_of_another_kind_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *word;
    } cases[] = {
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [], \"merges\": []}}", "not BPE"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}", "not BPE"},
        {"{}", "not BPE"},
        {"[]", "not BPE"},
        {"{\"model\": {\"vocab\": {\"a\": 99999999}, \"merges\": []}}", "the id of token \"a\""},
        {"{\"model\": {\"vocab\": {\"a\": -1}, \"merges\": []}}", "the id of token \"a\""},
        {"{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [[\"a\"]]}}", "an entry of merges"},
        {"{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [3]}}", "an entry of merges"},
        {"{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \"added_tokens\": [{\"id\": 1}]}", "added_tokens"},
        {"{\"model\": ", "tokenizer.json"},
    };
    const char *dir = spoiled("tokens", "model.language_model.layers.0.self_attn.q_proj.weight", 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scratch_write_text("tokens/tokenizer.json", cases[i].json);
        exaone_quantize_options o = {.type = "Q8_0"};
        exaone_error err = {0};
        assert_int_not_equal(exaone_quantize(dir, in("tokens", "a.gguf"), &o, NULL, &err), EXAONE_OK);
        if (!strstr(err.message, cases[i].word)) {
            fail_msg("%s: %s", cases[i].json, err.message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_published_files),
        cmocka_unit_test(every_type_holds_the_encoded_rows),
        cmocka_unit_test(rows_of_128_fall_back_and_are_named),
        cmocka_unit_test(single_tensors_by_pattern),
        cmocka_unit_test(pieces_and_back),
        cmocka_unit_test(equal_types_are_copied_and_others_are_said_to_lose),
        cmocka_unit_test(the_mmproj_file),
        cmocka_unit_test(a_stop_leaves_what_was_there),
        cmocka_unit_test(a_file_that_comes_in_between_is_kept),
        cmocka_unit_test(an_mmproj_file_of_another_model_is_not_kept),
        cmocka_unit_test(targets_that_are_refused),
        cmocka_unit_test(values_that_are_not_finite_are_named),
        cmocka_unit_test(files_that_are_read_are_not_replaced),
        cmocka_unit_test(a_tokenizer_of_another_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
