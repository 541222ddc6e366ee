/* GGUF: every value of the reference's files, and files that break each rule of the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/scratch.h"
#include "base/buf.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"

static const char FOLDER[] = "tests/golden/edges/weights/";

/* ---- the reference's files -----------------------------------------------------------------------------------------------
 */

static const char *const TYPE_NAMES[EXAONE_GGUF_TYPE_COUNT] = {"UINT8",  "INT8",    "UINT16", "INT16",  "UINT32",
                                                               "INT32",  "FLOAT32", "BOOL",   "STRING", "ARRAY",
                                                               "UINT64", "INT64",   "FLOAT64"};

static void compare_scalar(const exaone_gguf_kv *kv, const exaone_json *value) {
    int64_t i = 0, want_i = -1;
    double d = 0, want_d = -1;
    bool b = false;
    switch (kv->type) {
    case EXAONE_GGUF_STRING:
        if (exaone_json_is(value, EXAONE_JSON_STRING)) {
            assert_int_equal(kv->bytes, value->len);
            assert_memory_equal(kv->data, value->text, value->len);
        } else { /* long texts: their length */
            assert_int_equal(kv->bytes, fixture_int(value, "bytes"));
        }
        return;
    case EXAONE_GGUF_BOOL:
        assert_true(exaone_gguf_bool(kv, &b));
        assert_int_equal(b, exaone_json_is(value, EXAONE_JSON_TRUE));
        return;
    case EXAONE_GGUF_F32:
    case EXAONE_GGUF_F64:
        assert_true(exaone_gguf_double(kv, &d) && exaone_json_double(value, &want_d));
        assert_true(d == want_d);
        return;
    default:
        assert_true(exaone_gguf_int(kv, &i) && exaone_json_int(value, &want_i));
        assert_int_equal(i, want_i);
    }
}

static void compare_strings(const exaone_gguf_kv *kv, const exaone_json *ends) {
    exaone_gguf_view *views;
    exaone_error err = {0};
    assert_int_equal(exaone_gguf_strings(kv, &views, &err), EXAONE_OK);
    assert_int_equal(kv->count, fixture_int(ends, "count"));
    size_t i = 0;
    for (const exaone_json *s = exaone_json_get(ends, "first")->first; s; s = s->next, i++) {
        assert_int_equal(views[i].n, s->len);
        assert_memory_equal(views[i].text, s->text, s->len);
    }
    const exaone_json *last = exaone_json_get(ends, "last");
    i = kv->count - last->len;
    for (const exaone_json *s = last->first; s; s = s->next, i++) {
        assert_int_equal(views[i].n, s->len);
        assert_memory_equal(views[i].text, s->text, s->len);
    }
    free(views);
}

static void compare_numbers(const exaone_gguf_kv *kv, const exaone_json *value) {
    const exaone_json *list = exaone_json_is(value, EXAONE_JSON_ARRAY) ? value : exaone_json_get(value, "first");
    uint64_t i = 0;
    for (const exaone_json *j = list->first; j; j = j->next, i++) {
        double got = -1, want = -2;
        int64_t whole = -1;
        if (kv->element == EXAONE_GGUF_BOOL) {
            assert_true(exaone_gguf_int_at(kv, i, &whole));
            assert_int_equal(whole, exaone_json_is(j, EXAONE_JSON_TRUE));
        } else {
            assert_true(exaone_gguf_double_at(kv, i, &got) && exaone_json_double(j, &want));
            assert_true(got == want);
        }
    }
    assert_false(exaone_gguf_double_at(kv, kv->count, &(double){0}));
}

static void compare_kv(const exaone_gguf *g, const exaone_json *want) {
    char key[300];
    assert_true(want->key_len < sizeof key);
    memcpy(key, want->key, want->key_len);
    key[want->key_len] = 0;
    const exaone_gguf_kv *kv = exaone_gguf_find(g, key);
    assert_non_null(kv);
    const exaone_json *types = exaone_json_get(want, "type"), *value = exaone_json_get(want, "value");
    assert_true(exaone_json_equals(types->first, TYPE_NAMES[kv->type]));
    if (kv->type != EXAONE_GGUF_ARRAY) {
        compare_scalar(kv, value);
        return;
    }
    assert_true(exaone_json_equals(types->first->next, TYPE_NAMES[kv->element]));
    if (kv->element == EXAONE_GGUF_STRING) {
        compare_strings(kv, value);
    } else {
        compare_numbers(kv, value);
    }
}

static void compare_tensor(const exaone_gguf *g, const exaone_json *want, const char *bytes) {
    char name[128], type[16], sha[80], hex[65];
    const exaone_gguf_tensor *t = exaone_gguf_find_tensor(g, fixture_string(want, "name", name, sizeof name));
    assert_non_null(t);
    assert_string_equal(exaone_dtype_name(t->dtype), fixture_string(want, "type", type, sizeof type));
    const exaone_json *ne = exaone_json_get(want, "ne");
    assert_int_equal(t->n_dims, ne->len);
    size_t d = 0;
    for (const exaone_json *j = ne->first; j; j = j->next, d++) {
        int64_t size = -1;
        assert_true(exaone_json_int(j, &size));
        assert_int_equal(t->ne[d], size);
    }
    fixture_sha256(t->data, t->bytes, hex);
    assert_string_equal(hex, fixture_string(want, "raw_sha256", sha, sizeof sha));
    fixture_sha256(bytes + fixture_int(want, "offset"), t->bytes, hex);
    assert_string_equal(hex, sha); /* the offset in the description counts from the file's first byte */
    if (EXAONE_DTYPE_BIT(t->dtype) & EXAONE_DTYPES_FLOAT) {
        size_t n = t->bytes / exaone_dtype_get(t->dtype)->block_bytes;
        float *values = malloc(n * sizeof *values);
        assert_non_null(values);
        exaone_dtype_to_f32(t->dtype, t->data, n, values);
        fixture_sha256(values, n * sizeof *values, hex);
        assert_string_equal(hex, fixture_string(want, "values_sha256", sha, sizeof sha));
        free(values);
    }
}

static void reference_files(void **state) {
    (void)state;
    static const char *const names[] = {"tiny-mixed", "mmproj-tiny-f16", "mmproj-tiny-bf16"};
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s%s.gguf.json", FOLDER, names[i]);
        fixture_json want;
        fixture_json_open(&want, path);
        path[strlen(path) - 5] = 0;
        size_t size;
        char *bytes = fixture_read(path, &size);
        exaone_gguf *g;
        exaone_error err = {0};
        assert_int_equal(exaone_gguf_open(path, &g, &err), EXAONE_OK);
        assert_int_equal(exaone_gguf_data_start(g), fixture_int(want.root, "data_start"));
        assert_int_equal(exaone_gguf_alignment(g), fixture_int(want.root, "alignment"));
        const exaone_json *kvs = exaone_json_get(want.root, "kv"), *tensors = exaone_json_get(want.root, "tensors");
        assert_int_equal(exaone_gguf_kv_count(g), kvs->len);
        assert_int_equal(exaone_gguf_tensor_count(g), tensors->len);
        for (const exaone_json *j = kvs->first; j; j = j->next) {
            compare_kv(g, j);
        }
        for (const exaone_json *j = tensors->first; j; j = j->next) {
            compare_tensor(g, j, bytes);
        }
        exaone_gguf_close(g);
        free(bytes);
        fixture_json_close(&want);
    }
}

/* ---- broken files --------------------------------------------------------------------------------------------------------
 */

/* What can be changed in the small file that `build` makes; zero means: as it should be. */
typedef struct plan {
    const char *fault, *message; /* the message must hold this */
    exaone_status status;
    const char *magic;
    uint32_t version;
    uint64_t n_kv, n_tensors;
    const char *key; /* of the first kv */
    size_t key_length;
    uint64_t text_length; /* of the second kv's string */
    uint32_t kv_type;     /* of the third kv */
    uint32_t element;     /* of the array kv */
    uint64_t count;       /* of the array kv */
    uint32_t alignment_type;
    uint64_t alignment;
    uint8_t truth;    /* value of the bool */
    const char *name; /* of the second tensor */
    size_t name_length;
    uint32_t n_dims, type;
    uint64_t ne0, ne1, offset;
    size_t cut; /* bytes taken away at the end */
} plan;

static void put(exaone_buf *b, uint64_t value, size_t n) {
    for (size_t i = 0; i < n; i++) {
        exaone_buf_putc(b, (char)(uint8_t)(value >> 8 * i));
    }
}

static void put_text(exaone_buf *b, const char *text, size_t n) {
    put(b, n, 8);
    for (size_t i = 0; i < n; i++) {
        exaone_buf_putc(b, text[i % strlen(text)]);
    }
}

static void put_key(exaone_buf *b, const char *key, uint32_t type) {
    put_text(b, key, strlen(key));
    put(b, type, 4);
}

#define OR(field, usual) (p->field ? p->field : (usual))

static void build(exaone_buf *b, const plan *p) {
    exaone_buf_puts(b, OR(magic, "GGUF"));
    put(b, OR(version, 3), 4);
    put(b, OR(n_tensors, 2), 8);
    put(b, OR(n_kv, 5), 8);
    put_text(b, OR(key, "a"), p->key ? p->key_length : 1);
    put(b, EXAONE_GGUF_U32, 4);
    put(b, 7, 4);
    put_key(b, "general.architecture", EXAONE_GGUF_STRING);
    put(b, OR(text_length, 7), 8);
    exaone_buf_puts(b, "exaone4");
    put_key(b, "truth", OR(kv_type, EXAONE_GGUF_BOOL));
    put(b, OR(truth, 1), 1);
    put_key(b, "list", EXAONE_GGUF_ARRAY);
    put(b, OR(element, EXAONE_GGUF_U16), 4);
    put(b, OR(count, 3), 8);
    put(b, 0x000300020001, 6);
    put_key(b, "general.alignment", OR(alignment_type, EXAONE_GGUF_U32));
    put(b, p->alignment ? p->alignment - 1 : 32, 4); /* one more than meant, so that 0 can be asked for */
    put_text(b, "first", 5);
    put(b, 1, 4);
    put(b, 16, 8);
    put(b, 0, 4);
    put(b, 0, 8);
    put_text(b, OR(name, "second"), p->name ? p->name_length : 6);
    put(b, p->n_dims ? p->n_dims - 1 : 2, 4); /* one more than meant */
    put(b, p->ne0 ? p->ne0 - 1 : 32, 8);      /* one more than meant */
    put(b, OR(ne1, 2), 8);
    for (uint32_t d = 3; d < p->n_dims; d++) {
        put(b, 1, 8);
    }
    put(b, OR(type, 30), 4);
    put(b, OR(offset, 64), 8);
    while (b->len % 32 != 0) {
        exaone_buf_putc(b, 0);
    }
    for (int i = 0; i < 64 + 128; i++) {
        exaone_buf_putc(b, (char)i);
    }
    b->len -= p->cut;
}

/* Parses a copy in an allocation of exactly that size, so that a sanitizer sees the first byte read too far. */
static exaone_status parse_copy(const void *bytes, size_t n, exaone_gguf **g, uint8_t **copy, exaone_error *err) {
    *copy = malloc(n ? n : 1);
    assert_non_null(*copy);
    if (n) {
        memcpy(*copy, bytes, n);
    }
    return exaone_gguf_parse(*copy, n, "FILE", g, err);
}

static const char LONG[] = "key.";

static const plan BROKEN[] = {
    {.fault = "magic", .message = "is no GGUF file", .status = EXAONE_ERR_FORMAT, .magic = "GGML"},
    {.fault = "version 1", .message = "GGUF version 1", .status = EXAONE_ERR_UNSUPPORTED, .version = 1},
    {.fault = "version 4", .message = "GGUF version 4", .status = EXAONE_ERR_UNSUPPORTED, .version = 4},
    {.fault = "big endian", .message = "big-endian", .status = EXAONE_ERR_UNSUPPORTED, .version = 0x03000000},
    {.fault = "2^63 keys",
     .message = "9223372036854775808 metadata entries",
     .status = EXAONE_ERR_FORMAT,
     .n_kv = 1ull << 63},
    {.fault = "2^63 tensors",
     .message = "9223372036854775808 tensors",
     .status = EXAONE_ERR_FORMAT,
     .n_tensors = 1ull << 63},
    {.fault = "one key too many", .message = "", .status = EXAONE_ERR_FORMAT, .n_kv = 6},
    {.fault = "one tensor too many", .message = "", .status = EXAONE_ERR_FORMAT, .n_tensors = 3},
    {.fault = "empty key",
     .message = "a metadata key has 0 bytes",
     .status = EXAONE_ERR_FORMAT,
     .key = LONG,
     .key_length = 0},
    {.fault = "long key",
     .message = "a metadata key has 65536 bytes",
     .status = EXAONE_ERR_FORMAT,
     .key = LONG,
     .key_length = 65536},
    {.fault = "double key",
     .message = "the key truth is there twice",
     .status = EXAONE_ERR_FORMAT,
     .key = "truth",
     .key_length = 5},
    {.fault = "text 2^64-1",
     .message = "length of 18446744073709551615 bytes",
     .status = EXAONE_ERR_FORMAT,
     .text_length = UINT64_MAX},
    {.fault = "text 2^64-8", .message = "length of", .status = EXAONE_ERR_FORMAT, .text_length = UINT64_MAX - 7},
    {.fault = "value type", .message = "value type 13 is unknown", .status = EXAONE_ERR_FORMAT, .kv_type = 13},
    {.fault = "bool 2", .message = "a bool has the value 2", .status = EXAONE_ERR_FORMAT, .truth = 2},
    {.fault = "array of arrays",
     .message = "list is an array of arrays",
     .status = EXAONE_ERR_UNSUPPORTED,
     .element = EXAONE_GGUF_ARRAY},
    {.fault = "element type", .message = "element type 99 is unknown", .status = EXAONE_ERR_FORMAT, .element = 99},
    {.fault = "array wraps", .message = "elements do not fit", .status = EXAONE_ERR_FORMAT, .count = (1ull << 63) + 3},
    {.fault = "array of texts wraps",
     .message = "elements do not fit",
     .status = EXAONE_ERR_FORMAT,
     .element = EXAONE_GGUF_STRING,
     .count = (1ull << 61) + 1},
    {.fault = "alignment 0", .message = "general.alignment is 0", .status = EXAONE_ERR_FORMAT, .alignment = 1},
    {.fault = "alignment 24", .message = "general.alignment is 24", .status = EXAONE_ERR_FORMAT, .alignment = 25},
    {.fault = "alignment 2^31",
     .message = "general.alignment is 2147483648",
     .status = EXAONE_ERR_FORMAT,
     .alignment = (1ull << 31) + 1},
    {.fault = "alignment float", .message = "must be a u32", .status = EXAONE_ERR_FORMAT, .alignment_type = EXAONE_GGUF_F32},
    {.fault = "double tensor",
     .message = "the tensor first is listed twice",
     .status = EXAONE_ERR_FORMAT,
     .name = "first",
     .name_length = 5},
    {.fault = "empty name",
     .message = "a tensor's name has 0 bytes",
     .status = EXAONE_ERR_FORMAT,
     .name = LONG,
     .name_length = 0},
    {.fault = "long name",
     .message = "a tensor's name has 256 bytes",
     .status = EXAONE_ERR_FORMAT,
     .name = LONG,
     .name_length = 256},
    {.fault = "no dimensions", .message = "has 0 dimensions", .status = EXAONE_ERR_FORMAT, .n_dims = 1},
    {.fault = "5 dimensions", .message = "has 5 dimensions", .status = EXAONE_ERR_FORMAT, .n_dims = 6},
    {.fault = "dimension 0", .message = "dimension 0 is 0", .status = EXAONE_ERR_FORMAT, .ne0 = 1},
    {.fault = "negative dimension", .message = "dimension 0 is -2", .status = EXAONE_ERR_FORMAT, .ne0 = UINT64_MAX},
    {.fault = "product wraps",
     .message = "product of its dimensions",
     .status = EXAONE_ERR_FORMAT,
     .ne0 = (1ull << 62) + 1,
     .ne1 = 4},
    {.fault = "product wraps with 2",
     .message = "product of its dimensions",
     .status = EXAONE_ERR_FORMAT,
     .ne0 = (1ull << 62) + 1},
    {.fault = "tensor type", .message = "tensor type 77", .status = EXAONE_ERR_UNSUPPORTED, .type = 77},
    {.fault = "removed type 4", .message = "tensor type 4", .status = EXAONE_ERR_UNSUPPORTED, .type = 4},
    {.fault = "no whole block", .message = "not whole blocks of 256 (Q4_K)", .status = EXAONE_ERR_FORMAT, .type = 12},
    {.fault = "outside", .message = "lie outside the file", .status = EXAONE_ERR_FORMAT, .offset = 96},
    {.fault = "far outside", .message = "lie outside the file", .status = EXAONE_ERR_FORMAT, .offset = UINT64_MAX - 31},
    {.fault = "unaligned", .message = "offset 72 is not a multiple", .status = EXAONE_ERR_FORMAT, .offset = 72},
    {.fault = "overlap", .message = "overlap", .status = EXAONE_ERR_FORMAT, .offset = 32},
    {.fault = "cut data", .message = "lie outside the file", .status = EXAONE_ERR_FORMAT, .cut = 1},
};

static void broken_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        exaone_buf b;
        exaone_buf_init(&b, 1 << 20);
        build(&b, &BROKEN[i]);
        exaone_gguf *g;
        uint8_t *copy;
        exaone_error err = {0};
        exaone_status status = parse_copy(b.data, b.len, &g, &copy, &err);
        if (status != BROKEN[i].status || !strstr(err.message, BROKEN[i].message) || g) {
            fail_msg("%s: status %d, message \"%s\"", BROKEN[i].fault, (int)status, err.message);
        }
        free(copy);
        exaone_buf_release(&b);
    }
}

static void the_unbroken_file_is_read(void **state) {
    (void)state;
    exaone_buf b;
    exaone_buf_init(&b, 1 << 20);
    build(&b, &(plan){.fault = "none"});
    exaone_gguf *g;
    uint8_t *copy;
    exaone_error err = {0};
    assert_int_equal(parse_copy(b.data, b.len, &g, &copy, &err), EXAONE_OK);
    int64_t value = 0;
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "a"), &value) && value == 7);
    assert_true(exaone_gguf_int_at(exaone_gguf_find(g, "list"), 2, &value) && value == 3);
    assert_true(exaone_gguf_string_is(exaone_gguf_find(g, "general.architecture"), "exaone4"));
    assert_false(exaone_gguf_int(exaone_gguf_find(g, "general.architecture"), &value));
    assert_null(exaone_gguf_find(g, "absent"));
    const exaone_gguf_tensor *t = exaone_gguf_find_tensor(g, "second");
    assert_int_equal(t->bytes, 128);
    assert_int_equal(t->data[0], 64);
    exaone_gguf_close(g);
    free(copy);
    exaone_buf_release(&b);
}

/* Every beginning of the small file, and of a real one up to its data, is refused. */
static void cut_files(void **state) {
    (void)state;
    exaone_buf b;
    exaone_buf_init(&b, 1 << 20);
    build(&b, &(plan){.fault = "none"});
    size_t size;
    char *real = fixture_read("tests/golden/edges/weights/mmproj-tiny-bf16.gguf", &size);
    for (size_t n = 0; n < 4096 + b.len; n++) {
        const char *bytes = n < b.len ? b.data : real;
        exaone_gguf *g;
        uint8_t *copy;
        exaone_error err = {0};
        exaone_status status = parse_copy(bytes, n < b.len ? n : n - b.len, &g, &copy, &err);
        assert_int_not_equal(status, EXAONE_OK);
        assert_true(strlen(err.message) > 10);
        free(copy);
    }
    free(real);
    exaone_buf_release(&b);
}

/* Changed bytes: refused, or a list whose tensors lie in the file. */
static void changed_files(void **state) {
    (void)state;
    size_t size;
    char *real = fixture_read("tests/golden/edges/weights/mmproj-tiny-bf16.gguf", &size);
    uint64_t random = 12345;
    size_t accepted = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t at[2], value[2];
        for (int k = 0; k < 2; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            at[k] = (random >> 33) % 4096;
            value[k] = real[at[k]];
            real[at[k]] = (char)(random >> 25);
        }
        exaone_gguf *g;
        exaone_error err = {0};
        if (exaone_gguf_parse((const uint8_t *)real, size, "FILE", &g, &err) == EXAONE_OK) {
            accepted++;
            for (size_t t = 0; t < exaone_gguf_tensor_count(g); t++) {
                const exaone_gguf_tensor *tensor = exaone_gguf_tensor_at(g, t);
                assert_true(tensor->data >= (uint8_t *)real && tensor->data + tensor->bytes <= (uint8_t *)real + size);
            }
            exaone_gguf_close(g);
        }
        for (int k = 1; k >= 0; k--) {
            real[at[k]] = (char)value[k];
        }
    }
    assert_true(accepted > 100 && accepted < 19000); /* both ends happen: the loop tests something */
    free(real);
}

/* ---- writer --------------------------------------------------------------------------------------------------------------
 */

static exaone_status write_ramp(void *ctx, exaone_writer *out, exaone_error *err) {
    (void)err;
    for (size_t i = 0; i < *(size_t *)ctx; i++) {
        float value = (float)i;
        exaone_writer_put(out, &value, sizeof value);
    }
    return EXAONE_OK;
}

static void written_file_is_read(void **state) {
    (void)state;
    exaone_gguf_writer w;
    exaone_gguf_writer_init(&w);
    size_t count = 6, few = 5;
    exaone_gguf_put_u32(&w, "u32", 4000000000u);
    exaone_gguf_put_f32(&w, "f32", -0.5f);
    exaone_gguf_put_bool(&w, "bool", true);
    exaone_gguf_put_text(&w, "text", "ab");
    exaone_gguf_put_bools(&w, "bools", (const bool[]){true, false, true}, 3);
    exaone_gguf_put_i32s(&w, "i32s", (const int32_t[]){-1, 2}, 2);
    exaone_gguf_put_f32s(&w, "f32s", (const float[]){1.5f}, 1);
    exaone_gguf_put_strings(&w, "strings", (const exaone_gguf_view[]){{"", 0}, {"xyz", 3}}, 2);
    exaone_gguf_put_tensor(&w, "t", EXAONE_F32, 2, (const uint64_t[]){3, 2}, write_ramp, &count);
    exaone_gguf_put_tensor(&w, "u", EXAONE_F32, 1, (const uint64_t[]){6}, write_ramp, &count);
    const char *path = scratch_path("written.gguf");
    exaone_error err = {0};
    assert_int_equal(exaone_gguf_writer_save(&w, path, &err), EXAONE_OK);
    exaone_gguf *g;
    assert_int_equal(exaone_gguf_open(path, &g, &err), EXAONE_OK);
    int64_t i = 0;
    double d = 0;
    bool b = false;
    assert_true(exaone_gguf_int(exaone_gguf_find(g, "u32"), &i) && i == 4000000000);
    assert_true(exaone_gguf_double(exaone_gguf_find(g, "f32"), &d) && d == -0.5);
    assert_true(exaone_gguf_bool(exaone_gguf_find(g, "bool"), &b) && b);
    assert_true(exaone_gguf_string_is(exaone_gguf_find(g, "text"), "ab"));
    assert_true(exaone_gguf_int_at(exaone_gguf_find(g, "bools"), 1, &i) && i == 0);
    assert_true(exaone_gguf_int_at(exaone_gguf_find(g, "i32s"), 0, &i) && i == -1);
    assert_true(exaone_gguf_double_at(exaone_gguf_find(g, "f32s"), 0, &d) && d == 1.5);
    exaone_gguf_view *views;
    assert_int_equal(exaone_gguf_strings(exaone_gguf_find(g, "strings"), &views, &err), EXAONE_OK);
    assert_true(views[0].n == 0 && views[1].n == 3 && memcmp(views[1].text, "xyz", 3) == 0);
    free(views);
    const exaone_gguf_tensor *u = exaone_gguf_find_tensor(g, "u");
    float last;
    memcpy(&last, u->data + 20, 4);
    assert_true(last == 5);
    exaone_gguf_close(g);
    exaone_gguf_put_tensor(&w, "short", EXAONE_F32, 1, (const uint64_t[]){6}, write_ramp, &few);
    assert_int_equal(exaone_gguf_writer_save(&w, path, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_gguf_open(path, &g, &err), EXAONE_OK); /* the old file is still whole */
    exaone_gguf_close(g);
    exaone_gguf_writer_release(&w);
    exaone_gguf_writer_init(&w);
    assert_int_equal(exaone_gguf_writer_save(&w, scratch_path("no/such/folder.gguf"), &err), EXAONE_ERR_IO);
    exaone_gguf_writer_release(&w);
}

static void dtype_table(void **state) {
    (void)state;
    fixture_json doc;
    fixture_json_open(&doc, "tests/golden/edges/weights/weights.json");
    for (const exaone_json *j = exaone_json_get(doc.root, "block_types")->first; j; j = j->next) {
        exaone_dtype type;
        char name[16];
        assert_true(exaone_dtype_from_gguf((uint32_t)fixture_int(j, "id"), &type));
        assert_string_equal(exaone_dtype_name(type), fixture_string(j, "type", name, sizeof name));
        assert_int_equal(exaone_dtype_get(type)->block_elements, fixture_int(j, "block_elements"));
        assert_int_equal(exaone_dtype_get(type)->block_bytes, fixture_int(j, "block_bytes"));
    }
    fixture_json_close(&doc);
    size_t bytes = 0;
    assert_true(exaone_dtype_row_bytes(EXAONE_Q6_K, 512, &bytes) && bytes == 420);
    assert_false(exaone_dtype_row_bytes(EXAONE_Q6_K, 511, &bytes));
    assert_false(exaone_dtype_row_bytes(EXAONE_F32, UINT64_MAX / 2, &bytes));
    assert_false(exaone_dtype_tensor_bytes(EXAONE_F32, 3, (const uint64_t[]){1ull << 40, 1ull << 40, 0}, &bytes));
    assert_true(exaone_dtype_tensor_bytes(EXAONE_I64, 0, NULL, &bytes) && bytes == 8);
    for (int i = 0; i < EXAONE_DTYPE_COUNT; i++) {
        assert_true(exaone_dtype_get((exaone_dtype)i)->block_bytes > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_files), cmocka_unit_test(the_unbroken_file_is_read),
        cmocka_unit_test(broken_files),    cmocka_unit_test(cut_files),
        cmocka_unit_test(changed_files),   cmocka_unit_test(written_file_is_read),
        cmocka_unit_test(dtype_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
