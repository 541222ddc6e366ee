/* Weight files of a model: folders, indices, GGUF pairs and split files, and the question for one tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/make_gguf.h"
#include "../support/scratch.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"
#include "weights/names.h"
#include "weights/weights.h"

static const char NANO[] = "tests/golden/model/nano/checkpoint";

static exaone_weights *opened(const char *path, const char *mmproj) {
    exaone_weights *w = NULL;
    exaone_error err = {0};
    if (exaone_weights_open(path, mmproj, &w, &err)) {
        fail_msg("%s", err.message);
    }
    return w;
}

/* Opening must fail with this status and these words. */
static void refused(const char *path, const char *mmproj, exaone_status status, const char *words) {
    exaone_weights *w = NULL;
    exaone_error err = {0};
    exaone_status got = exaone_weights_open(path, mmproj, &w, &err);
    if (got != status || !strstr(err.message, words) || w) {
        fail_msg("%s: status %d, message \"%s\"", path, (int)got, err.message);
    }
}

static void link_file(const char *from, const char *to) {
    char absolute[1024];
    assert_non_null(realpath(from, absolute));
    unlink(to);
    assert_int_equal(symlink(absolute, to), 0);
}

/* ---- Hugging Face folders ------------------------------------------------------------------------------------------------
 */

static void folders_are_read(void **state) {
    (void)state;
    exaone_weights *w = opened(NANO, NULL);
    exaone_error err = {0};
    exaone_weight t;
    assert_int_equal(exaone_weights_get_format(w), EXAONE_WEIGHTS_SAFETENSORS);
    assert_string_equal(exaone_weights_dir(w), NANO);
    assert_null(exaone_weights_gguf(w));
    assert_null(exaone_weights_mmproj_path(w));
    assert_int_equal(exaone_weights_get(w, "model.language_model.layers.3.self_attn.k_proj.weight", EXAONE_DTYPES_FLOAT, 2,
                                        (const uint64_t[]){64, 128}, &t, &err),
                     EXAONE_OK);
    assert_int_equal(t.dtype, EXAONE_BF16);
    assert_int_equal(t.bytes, 64 * 128 * 2);
    assert_int_equal(t.part, EXAONE_PART_TEXT);
    assert_true(exaone_weights_has(w, "mtp.fc.weight"));
    assert_false(exaone_weights_has(w, "model.language_model.layers.4.self_attn.k_proj.weight"));
    uint64_t bytes = 0, parts[EXAONE_PART_COUNT] = {0};
    for (size_t i = 0; i < exaone_weights_count(w); i++) {
        t = exaone_weights_at(w, i);
        bytes += t.bytes;
        parts[t.part]++;
    }
    assert_int_equal(bytes, 1360544); /* total_size of the index */
    assert_true(bytes < exaone_weights_mapped_bytes(w));
    assert_int_equal(parts[EXAONE_PART_TEXT], 4 * 11 + 3);
    assert_int_equal(parts[EXAONE_PART_VISION], 2 * 12 + 6);
    assert_int_equal(parts[EXAONE_PART_MTP], 11 + 4);
    assert_int_equal(parts[EXAONE_PART_OTHER], 0);
    exaone_weights_close(w);

    w = opened("models/tiny", NULL);
    size_t count = exaone_weights_count(w);
    exaone_weights_close(w);
    w = opened("models/tiny/model.safetensors", NULL);
    assert_int_equal(exaone_weights_count(w), count);
    assert_string_equal(exaone_weights_dir(w), "models/tiny");
    exaone_weights_close(w);
}

static void wrong_questions_are_answered_with_names(void **state) {
    (void)state;
    static const char name[] = "model.language_model.norm.weight";
    exaone_weights *w = opened(NANO, NULL);
    exaone_error err = {0};
    exaone_weight t;
    const uint64_t dims[2] = {128, 7};
    assert_int_equal(exaone_weights_get(w, name, EXAONE_DTYPES_FLOAT, 2, dims, &t, &err), EXAONE_ERR_MODEL);
    assert_non_null(strstr(err.message, "model.language_model.norm.weight: want [128, 7], "));
    assert_non_null(strstr(err.message, ".safetensors has [128]"));
    assert_int_equal(exaone_weights_get(w, name, EXAONE_DTYPES_FLOAT, 1, dims + 1, &t, &err), EXAONE_ERR_MODEL);
    assert_int_equal(exaone_weights_get(w, name, EXAONE_DTYPE_BIT(EXAONE_F32), 1, dims, &t, &err), EXAONE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "has it as BF16, want F32"));
    assert_int_equal(exaone_weights_get(w, "mtp.fc.weight", EXAONE_DTYPES_FLOAT, 1, dims, &t, &err), EXAONE_ERR_MODEL);
    assert_non_null(strstr(err.message, "mtp.fc.weight: want [128], "));
    assert_non_null(strstr(err.message, " has [128, 256]"));
    assert_int_equal(exaone_weights_get(w, "model.language_model.gone", EXAONE_DTYPES_FLOAT, 1, dims, &t, &err),
                     EXAONE_ERR_MODEL);
    assert_non_null(strstr(err.message, "model.language_model.gone: not in "));
    assert_null(t.data);
    exaone_weights_close(w);
}

static void index_faults(void **state) {
    (void)state;
    static const struct {
        const char *index, *words;
        exaone_status status;
    } cases[] = {
        {"", "index.json: JSON", EXAONE_ERR_FORMAT},
        {"[]", "weight_map is missing", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{}}", "weight_map is missing, empty", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":[]}", "weight_map is missing", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":7}}", "the file of a is no string", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", "names the index itself as the file of a",
         EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"../secret.safetensors\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"x/../../y\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"..\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"x\\u0000y\"}}", "only plain file names", EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"gone.safetensors\"}}", "names the shard gone.safetensors", EXAONE_ERR_IO},
        {"{\"weight_map\":{\"a\":\"sub\"}}", "names the shard sub, which is not a file", EXAONE_ERR_IO},
        {"{\"weight_map\":{\"a\":\"loop\"}}", "names the shard loop", EXAONE_ERR_IO},
        {"{\"weight_map\":{\"a\":\"pipe\"}}", "names the shard pipe", EXAONE_ERR_IO},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"}}", "b is not in one.safetensors",
         EXAONE_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", "tensor a is in", EXAONE_ERR_FORMAT},
    };
    exaone_error err = {0};
    const uint64_t n = 2;
    scratch_write_text("index/sub/x", "");
    exaone_tensors *set = exaone_tensors_new();
    assert_int_equal(exaone_tensors_add(set, "a", EXAONE_F32, 1, &n, NULL, &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_save(set, scratch_path("index/one.safetensors"), &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_add(set, "b", EXAONE_F32, 1, &n, NULL, &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_save(set, scratch_path("index/two.safetensors"), &err), EXAONE_OK);
    exaone_tensors_free(set);
    assert_int_equal(symlink("loop", scratch_path("index/loop")), 0);
    assert_int_equal(mkfifo(scratch_path("index/pipe"), 0600), 0);
    const char *folder = scratch_path("index");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write_text("index/model.safetensors.index.json", cases[i].index);
        refused(folder, NULL, cases[i].status, cases[i].words);
    }
    scratch_write_text("index/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    exaone_weights *w = opened(folder, NULL);
    assert_int_equal(exaone_weights_count(w), 1);
    exaone_weights_close(w);
}

static void paths_that_are_no_model(void **state) {
    (void)state;
    refused(scratch_path("gone"), NULL, EXAONE_ERR_IO, "cannot open");
    refused(scratch_path("gone.safetensors"), NULL, EXAONE_ERR_IO, "cannot open");
    scratch_write_text("empty-folder/readme", "x");
    refused(scratch_path("empty-folder"), NULL, EXAONE_ERR_IO, "holds no model");
    refused(scratch_write("empty.gguf", "", 0), NULL, EXAONE_ERR_FORMAT, "is no GGUF file");
    refused(scratch_write("empty.safetensors", "", 0), NULL, EXAONE_ERR_FORMAT, "is no safetensors file");
    const char *pipe = scratch_path("pipe.gguf");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    refused(pipe, NULL, EXAONE_ERR_IO, "not a regular file");
    refused("/dev/zero", NULL, EXAONE_ERR_IO, "not a regular file");
    const char *loop = scratch_path("loop.gguf");
    assert_int_equal(symlink("loop.gguf", loop), 0);
    refused(loop, NULL, EXAONE_ERR_IO, "cannot open");
    refused(NANO, "tests/golden/edges/weights/mmproj-tiny-f16.gguf", EXAONE_ERR_ARGUMENT,
            "an mmproj file belongs to a GGUF model");
}

/* A tensor that is not aligned in its file comes aligned; other names of the same parts are found. */
static void odd_files(void **state) {
    (void)state;
    static const char header[] = "{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                                 "\"visual.merger.ln_q.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    char bytes[8 + sizeof header - 1 + 9] = {(char)(sizeof header - 1)};
    memcpy(bytes + 8, header, sizeof header - 1);
    const float values[2] = {1.25f, -3};
    memcpy(bytes + sizeof bytes - 8, values, 8);
    exaone_weights *w = opened(scratch_write("odd.safetensors", bytes, sizeof bytes), NULL);
    exaone_error err = {0};
    exaone_weight t, again;
    const uint64_t n = 2;
    static const char name[] = "model.language_model.norm.weight";
    assert_int_equal(exaone_weights_get(w, name, EXAONE_DTYPES_FLOAT, 1, &n, &t, &err), EXAONE_OK);
    assert_int_equal((uintptr_t)t.data % 4, 0);
    assert_memory_equal(t.data, values, 8);
    assert_int_equal(exaone_weights_get(w, name, EXAONE_DTYPES_FLOAT, 1, &n, &again, &err), EXAONE_OK);
    assert_ptr_equal(t.data, again.data);
    assert_true(exaone_weights_has(w, "model.visual.merger.ln_q.weight"));
    exaone_weights_close(w);
}

/* ---- GGUF ----------------------------------------------------------------------------------------------------------------
 */

static void same_data(const exaone_weights *a, const exaone_weights *b, const char *name, const exaone_weight *like) {
    exaone_weight x, y;
    exaone_error err = {0};
    assert_int_equal(exaone_weights_get(a, name, EXAONE_DTYPES_FLOAT, like->n_dims, like->dims, &x, &err), EXAONE_OK);
    if (exaone_weights_get(b, name, EXAONE_DTYPES_FLOAT, like->n_dims, like->dims, &y, &err)) {
        fail_msg("%s", err.message);
    }
    size_t n = x.bytes / exaone_dtype_get(x.dtype)->block_bytes;
    float *values = calloc(2 * n, sizeof *values);
    assert_non_null(values);
    exaone_dtype_to_f32(x.dtype, x.data, n, values);
    exaone_dtype_to_f32(y.dtype, y.data, n, values + n);
    assert_memory_equal(values, values + n, n * sizeof *values);
    free(values);
    assert_int_equal(x.part, y.part);
}

/* Every tensor of the folder is in the pair made from it, with equal values (bf16 stays bf16; f32 holds bf16 exactly). */
static void gguf_pairs_hold_the_folder_s_tensors(void **state) {
    (void)state;
    static const char *const folders[] = {"tests/golden/model/nano/checkpoint", "tests/golden/model/micro/checkpoint",
                                          "models/tiny"};
    for (size_t i = 0; i < 6; i++) {
        exaone_error err = {0};
        const char *text = scratch_path(i % 2 ? "pair/a.gguf" : "pair/b.gguf"), *mmproj = scratch_path("pair/x.mmproj");
        scratch_write_text("pair/x", "");
        assert_int_equal(make_gguf(folders[i / 2], text, mmproj, i % 2 ? EXAONE_F32 : EXAONE_BF16, &err), EXAONE_OK);
        exaone_weights *a = opened(folders[i / 2], NULL), *b = opened(text, mmproj);
        assert_int_equal(exaone_weights_get_format(b), EXAONE_WEIGHTS_GGUF);
        for (size_t t = 0; t < exaone_weights_count(a); t++) {
            exaone_weight like = exaone_weights_at(a, t);
            if (like.n_dims == 5) { /* the patch embedding: two slices */
                assert_true(exaone_weights_has(b, "model.visual.patch_embed.proj.weight.0"));
                assert_false(exaone_weights_has(b, "model.visual.patch_embed.proj.weight"));
                exaone_weight slice;
                const uint64_t dims[4] = {like.dims[0], 3, 14, 14};
                assert_int_equal(exaone_weights_get(b, "model.visual.patch_embed.proj.weight.1", EXAONE_DTYPES_FLOAT, 4,
                                                    dims, &slice, &err),
                                 EXAONE_OK);
                float want[196], got[196]; /* filter 1, channel 2, slice 1 */
                exaone_dtype_to_f32(like.dtype, like.data + ((1 * 3 + 2) * 2 + 1) * 196 * 2, 196, want);
                exaone_dtype_to_f32(slice.dtype,
                                    slice.data + (size_t)(1 * 3 + 2) * 196 * exaone_dtype_get(slice.dtype)->block_bytes, 196,
                                    got);
                assert_memory_equal(want, got, sizeof want);
            } else {
                same_data(a, b, like.name, &like);
            }
        }
        assert_int_equal(exaone_weights_count(b), exaone_weights_count(a) + 2); /* rope_freqs, and one slice more */
        assert_true(exaone_weights_has(b, "rope_freqs.weight"));
        exaone_weights_close(a);
        exaone_weights_close(b);
    }
}

static void other_types_are_listed_and_refused(void **state) {
    (void)state;
    exaone_weights *w = opened("tests/golden/edges/weights/tiny-mixed.gguf", NULL);
    exaone_error err = {0};
    exaone_weight t;
    const uint64_t dims[2] = {4096, 256};
    assert_int_equal(
        exaone_weights_get(w, "model.language_model.embed_tokens.weight", EXAONE_DTYPES_FLOAT, 2, dims, &t, &err),
        EXAONE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "as Q4_0, want F32, F16 or BF16"));
    assert_int_equal(exaone_weights_count(w), 30 + 55);
    assert_true(exaone_weights_has(w, "mtp.layers.0.mlp.down_proj.weight"));
    assert_false(exaone_weights_has(w, "model.language_model.layers.1.mlp.down_proj.weight")); /* block 1 is the MTP layer */
    /* both mmproj files beside it belong to it by their numbers; BF16 goes before F16 */
    assert_non_null(strstr(exaone_weights_mmproj_path(w), "mmproj-tiny-bf16.gguf"));
    assert_int_equal(exaone_weights_mmproj_candidates(w), 2);
    assert_true(exaone_weights_has(w, "model.visual.blocks.3.attn.qkv.bias"));
    exaone_weights_close(w);
}

static void the_right_mmproj_is_found(void **state) {
    (void)state;
    exaone_error err = {0};
    scratch_write_text("find/x", "");
    const char *model = scratch_path("find/Model-7B-Q4_K_M.gguf");
    assert_int_equal(make_gguf(NANO, model, scratch_path("nano-bf16"), EXAONE_BF16, &err), EXAONE_OK);
    assert_int_equal(make_gguf(NANO, scratch_path("unused"), scratch_path("nano-f32"), EXAONE_F32, &err), EXAONE_OK);
    const char *wrong = "tests/golden/edges/weights/mmproj-tiny-f16.gguf"; /* ends in 256 numbers, the model has 128 */
    const char *bf16 = scratch_path("nano-bf16"), *f32 = scratch_path("nano-f32");
    const struct {
        const char *name, *from, *chosen; /* after adding the file `name` */
    } steps[] = {
        {"find/x.gguf.txt", bf16, NULL},
        {"find/mmproj-other.gguf", wrong, NULL},
        {"find/zz-mmproj.gguf", bf16, "zz-mmproj.gguf"},
        {"find/mmproj-other-F16.gguf", bf16, "mmproj-other-F16.gguf"},
        {"find/mmproj-other-BF16.gguf", bf16, "mmproj-other-BF16.gguf"},
        {"find/mmproj-other-F32.gguf", f32, "mmproj-other-F32.gguf"},
        {"find/mmproj-Model-7B-F16.gguf", bf16, "mmproj-Model-7B-F16.gguf"},
        {"find/mmproj-Model-7B-BF16.gguf", bf16, "mmproj-Model-7B-BF16.gguf"},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        link_file(steps[i].from, scratch_path(steps[i].name));
        exaone_weights *w = opened(model, NULL);
        const char *path = exaone_weights_mmproj_path(w);
        if (!steps[i].chosen != !path || (path && !strstr(path, steps[i].chosen))) {
            fail_msg("after %s: chosen %s", steps[i].name, path ? path : "none");
        }
        exaone_weights_close(w);
    }
    exaone_weights *w = opened(scratch_path("find"), NULL); /* the folder has one model besides them */
    assert_int_equal(exaone_weights_get_format(w), EXAONE_WEIGHTS_GGUF);
    exaone_weights_close(w);
    w = opened(model, f32);
    assert_string_equal(exaone_weights_mmproj_path(w), f32);
    assert_int_equal(exaone_weights_mmproj_candidates(w), 0);
    exaone_weights_close(w);
    refused(model, scratch_path("gone.gguf"), EXAONE_ERR_IO, "cannot open");
    scratch_write_text("broken/x", "");
    link_file(model, scratch_path("broken/m.gguf"));
    scratch_write_text("broken/mmproj.gguf", "GGUF");
    refused(scratch_path("broken/m.gguf"), NULL, EXAONE_ERR_FORMAT, "the mmproj file beside the model: ");
    link_file(bf16, scratch_path("broken/m-mmproj.gguf")); /* one that fits makes the broken one unimportant */
    exaone_weights_close(opened(scratch_path("broken/m.gguf"), NULL));
    link_file(model, scratch_path("broken/n.gguf"));
    refused(scratch_path("broken"), NULL, EXAONE_ERR_ARGUMENT, "several GGUF models");
}

/* ---- split files ---------------------------------------------------------------------------------------------------------
 */

static exaone_status write_tensor(void *ctx, exaone_writer *out, exaone_error *err) {
    (void)err;
    const exaone_gguf_tensor *t = ctx;
    exaone_writer_put(out, t->data, t->bytes);
    return EXAONE_OK;
}

/* Piece `no` of `count` of a model, with the tensors whose place divided by count leaves `rest`. */
static const char *piece(const exaone_gguf *g, const char *name, unsigned no, unsigned count, unsigned rest,
                         unsigned total) {
    exaone_gguf_writer w;
    exaone_error err = {0};
    exaone_gguf_writer_init(&w);
    if (no == 0) {
        exaone_gguf_put_text(&w, "general.architecture", "exaone4");
        exaone_gguf_put_u32(&w, "exaone4.block_count", 5);
        exaone_gguf_put_u32(&w, "exaone4.nextn_predict_layers", 1);
    }
    exaone_gguf_put_u32(&w, "split.no", no);
    exaone_gguf_put_u32(&w, "split.count", count);
    exaone_gguf_put_u32(&w, "split.tensors.count", total);
    for (size_t i = 0; i < exaone_gguf_tensor_count(g); i++) {
        const exaone_gguf_tensor *t = exaone_gguf_tensor_at(g, i);
        if (i % count == rest) {
            exaone_gguf_put_tensor(&w, t->name, t->dtype, t->n_dims, t->ne, write_tensor, (void *)(uintptr_t)t);
        }
    }
    const char *path = scratch_path(name);
    assert_int_equal(exaone_gguf_writer_save(&w, path, &err), EXAONE_OK);
    exaone_gguf_writer_release(&w);
    return path;
}

static void split_files(void **state) {
    (void)state;
    exaone_error err = {0};
    const char *whole_path = scratch_path("whole.gguf");
    assert_int_equal(make_gguf(NANO, whole_path, NULL, EXAONE_BF16, &err), EXAONE_OK);
    exaone_gguf *g;
    assert_int_equal(exaone_gguf_open(whole_path, &g, &err), EXAONE_OK);
    unsigned n = (unsigned)exaone_gguf_tensor_count(g);
    scratch_write_text("split/x", "");
    const char *first = piece(g, "split/m-00001-of-00003.gguf", 0, 3, 0, n);
    piece(g, "split/m-00002-of-00003.gguf", 1, 3, 1, n);
    refused(first, NULL, EXAONE_ERR_IO, "piece 3 of 3: cannot open");
    const char *third = piece(g, "split/m-00003-of-00003.gguf", 2, 3, 2, n);
    for (int i = 0; i < 2; i++) {
        exaone_weights *w = opened(i ? scratch_path("split") : first, NULL);
        assert_int_equal(exaone_weights_count(w), n);
        assert_true(exaone_weights_has(w, "mtp.fc.weight") && exaone_weights_has(w, "lm_head.weight"));
        assert_int_equal(exaone_gguf_find(exaone_weights_gguf(w), "split.no")->type,
                         EXAONE_GGUF_U32); /* the first piece's metadata */
        exaone_weights_close(w);
    }
    refused(third, NULL, EXAONE_ERR_ARGUMENT, "is piece 3 of a split model; name the first piece");
    piece(g, "split/m-00002-of-00003.gguf", 2, 3, 2, n); /* doubled */
    refused(first, NULL, EXAONE_ERR_FORMAT, "split.no is 2, at this place of the split model it must be 1");
    piece(g, "split/m-00002-of-00003.gguf", 1, 4, 1, n); /* of another split */
    refused(first, NULL, EXAONE_ERR_FORMAT, "split.count is 4");
    piece(g, "split/m-00002-of-00003.gguf", 1, 3, 1, n + 1);
    refused(first, NULL, EXAONE_ERR_FORMAT, "split.tensors.count is");
    piece(g, "split/m-00002-of-00003.gguf", 1, 3, 2, n); /* the wrong tensors under the right number */
    refused(first, NULL, EXAONE_ERR_FORMAT, n % 3 ? "the 3 pieces hold" : "and again in");
    piece(g, "split/m-00001-of-00003.gguf", 0, 3, 0, n + 1); /* a tensor is missing everywhere */
    piece(g, "split/m-00002-of-00003.gguf", 1, 3, 1, n + 1);
    piece(g, "split/m-00003-of-00003.gguf", 2, 3, 2, n + 1);
    refused(first, NULL, EXAONE_ERR_FORMAT, "the 3 pieces hold");
    refused(piece(g, "split/other.gguf", 0, 3, 0, n), NULL, EXAONE_ERR_FORMAT, "must be called NAME-00001-of-00003.gguf");
    refused(piece(g, "split/m-00001-of-00002.gguf", 0, 3, 0, n), NULL, EXAONE_ERR_FORMAT, "must be called");
    refused(piece(g, "split/m-00001-of-00009.gguf", 0, 1u << 30, 0, n), NULL, EXAONE_ERR_FORMAT,
            "split.count is not an integer");
    exaone_gguf_close(g);
}

/* ---- memory --------------------------------------------------------------------------------------------------------------
 */

static size_t resident_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "r");
    size_t total = 0, resident = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &total, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Opening 8 GiB of (sparse) weights touches the header only: far less than 8 MiB becomes resident. */
static void opening_touches_no_data(void **state) {
    (void)state;
    static const char header[] =
        "{\"model.norm.weight\":{\"dtype\":\"U8\",\"shape\":[8589934592],\"data_offsets\":[0,8589934592]}}";
    char bytes[8 + sizeof header - 1] = {(char)(sizeof header - 1)};
    memcpy(bytes + 8, header, sizeof header - 1);
    const char *path = scratch_write("large.safetensors", bytes, sizeof bytes);
    if (truncate(path, (off_t)(sizeof bytes + 8589934592ull)) != 0) {
        printf("skip: the file system has no sparse files of 8 GiB\n");
        skip();
    }
    size_t before = resident_bytes();
    exaone_weights *w = opened(path, NULL);
    assert_true(resident_bytes() < before + (8u << 20));
    assert_int_equal(exaone_weights_at(w, 0).bytes, 8589934592u);
    assert_int_equal(exaone_weights_recheck(w, NULL), EXAONE_OK);
    assert_int_equal(truncate(path, 4096), 0);
    exaone_error err = {0};
    assert_int_equal(exaone_weights_recheck(w, &err), EXAONE_ERR_IO);
    assert_non_null(strstr(err.message, "has become shorter since it was opened: 4096 bytes"));
    exaone_weights_close(w);
}

static void names_are_translated(void **state) {
    (void)state;
    static const struct {
        const char *name, *gguf;
        bool vision;
    } cases[] = {
        {"model.language_model.embed_tokens.weight", "token_embd.weight", false},
        {"model.language_model.layers.63.post_feedforward_layernorm.weight", "blk.63.post_ffw_norm.weight", false},
        {"model.language_model.layers.64.post_feedforward_layernorm.weight", NULL, false},
        {"model.language_model.layers.01.mlp.up_proj.weight", NULL, false},
        {"model.language_model.layers.99999999999999999999.mlp.up_proj.weight", NULL, false},
        {"model.language_model.layers..mlp.up_proj.weight", NULL, false},
        {"model.language_model.layers.0.mlp.up_proj.bias", NULL, false},
        {"mtp.layers.0.self_attn.o_proj.weight", "blk.64.attn_output.weight", false},
        {"mtp.norm.weight", "blk.64.nextn.shared_head_norm.weight", false},
        {"mtp.layers.1.self_attn.o_proj.weight", NULL, false},
        {"model.visual.blocks.27.attn.proj.bias", "v.blk.27.attn_out.bias", true},
        {"model.visual.merger.mlp.2.bias", "mm.2.bias", true},
        {"", NULL, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[EXAONE_NAME_ROOM];
        bool vision;
        assert_int_equal(exaone_names_to_gguf(cases[i].name, 64, out, &vision), cases[i].gguf != NULL);
        if (cases[i].gguf) {
            assert_string_equal(out, cases[i].gguf);
            assert_int_equal(vision, cases[i].vision);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_read),
        cmocka_unit_test(wrong_questions_are_answered_with_names),
        cmocka_unit_test(index_faults),
        cmocka_unit_test(paths_that_are_no_model),
        cmocka_unit_test(odd_files),
        cmocka_unit_test(gguf_pairs_hold_the_folder_s_tensors),
        cmocka_unit_test(other_types_are_listed_and_refused),
        cmocka_unit_test(the_right_mmproj_is_found),
        cmocka_unit_test(split_files),
        cmocka_unit_test(opening_touches_no_data),
        cmocka_unit_test(names_are_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
