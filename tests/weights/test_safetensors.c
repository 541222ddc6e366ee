/* Safetensors files and sets of tensors: the reference's files, writing, and files that break each rule of the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/scratch.h"
#include "exaone/tensors.h"
#include "weights/safetensors.h"

/* A file with this header and so many bytes of data, in an allocation of exactly its size. */
static uint8_t *file_of(const char *header, size_t data, size_t *size) {
    size_t n = strlen(header);
    *size = 8 + n + data;
    uint8_t *bytes = calloc(1, *size);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)((uint64_t)n >> 8 * i);
    }
    memcpy(bytes + 8, header, n);
    return bytes;
}

static const char GOOD[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                           "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                           "\"e\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[4,4]}}   ";

static void a_good_file_is_read(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = file_of(GOOD, 16, &size);
    exaone_safetensors s;
    exaone_error err = {0};
    assert_int_equal(exaone_safetensors_parse(bytes, size, "FILE", &s, &err), EXAONE_OK);
    assert_int_equal(s.count, 3);
    assert_string_equal(s.entries[0].name, "a");
    assert_int_equal(s.entries[0].n_dims, 0);
    assert_string_equal(s.entries[1].name, "e");
    assert_int_equal(s.entries[1].bytes, 0);
    assert_string_equal(s.entries[2].name, "b");
    assert_int_equal(s.entries[2].dtype, EXAONE_BF16);
    assert_int_equal(s.entries[2].dims[1], 3);
    assert_ptr_equal(s.entries[2].data, bytes + size - 12);
    exaone_safetensors_release(&s);
    free(bytes);
}

#define ENTRY(dtype, shape, offsets) "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data;
    const char *message;
} BROKEN[] = {
    {"", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "the header: "},
    {"{}x", 0, "the header: "},
    {"{\"x\":{}}", 0, "x: dtype is missing"},
    {"{\"x\":[]}", 0, "x: the entry is no object"},
    {"{\"\":{}}", 0, "name is empty"},
    {"{\"a\\u0000b\":{}}", 0, "holds a NUL"},
    {ENTRY("\"F31\"", "[1]", "[0,4]"), 4, "dtype \"F31\" is unknown"},
    {ENTRY("\"Q4_0\"", "[32]", "[0,18]"), 18, "dtype \"Q4_0\" is unknown"},
    {ENTRY("7", "[1]", "[0,4]"), 4, "dtype is missing or no string"},
    {ENTRY("\"F32\"", "null", "[0,4]"), 4, "shape is null, not an array of integers"},
    {ENTRY("\"F32\"", "[-1]", "[0,4]"), 4, "dimension 0 of the shape"},
    {ENTRY("\"F32\"", "[1.5]", "[0,4]"), 4, "dimension 0 of the shape"},
    {ENTRY("\"F32\"", "[\"1\"]", "[0,4]"), 4, "dimension 0 of the shape"},
    {ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions, the limit is 8"},
    {ENTRY("\"F32\"", "[1]", "[0]"), 4, "not a pair"},
    {ENTRY("\"F32\"", "[1]", "[0,4,4]"), 4, "not a pair"},
    {ENTRY("\"F32\"", "[1]", "[-4,0]"), 4, "not a pair"},
    {ENTRY("\"F32\"", "[1]", "[0,18446744073709551620]"), 4, "not a pair"},
    {ENTRY("\"F32\"", "[1]", "[4,0]"), 4, "[4, 0] do not lie in the 4 bytes"},
    {ENTRY("\"F32\"", "[1]", "[0,8]"), 4, "[0, 8] do not lie in the 4 bytes"},
    {ENTRY("\"F32\"", "[2]", "[0,4]"), 4, "do not fit its shape"},
    {ENTRY("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "do not fit its shape"},
    {ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,0]"), 0, "do not fit its shape"},
    {ENTRY("\"F32\"", "[4294967296,4294967296,0]", "[0,0]"), 0, "do not fit its shape"},
    {ENTRY("\"F32\"", "[1]", "[4,8]"), 8, "behind a hole"},
    {ENTRY("\"F32\"", "[1]", "[0,4]"), 5, "the tensors end at byte 4 of the data, the file has 5"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"
     "[2,6]}}",
     6, "inside a tensor"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"
     "[4,8]}}",
     8, "tensor x is listed twice"},
};

static void broken_files(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        size_t size;
        uint8_t *bytes = file_of(BROKEN[i].header, BROKEN[i].data, &size);
        exaone_safetensors s;
        exaone_error err = {0};
        exaone_status status = exaone_safetensors_parse(bytes, size, "FILE", &s, &err);
        if (status == EXAONE_OK || !strstr(err.message, BROKEN[i].message) || s.entries) {
            fail_msg("%s: status %d, message \"%s\"", BROKEN[i].header, (int)status, err.message);
        }
        free(bytes);
    }
}

static void header_lengths(void **state) {
    (void)state;
    static const uint64_t lengths[] = {1, 7, 9, 100000000, 100000001, 1ull << 63, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t bytes[16] = "        {}      ";
        for (size_t b = 0; b < 8; b++) {
            bytes[b] = (uint8_t)(lengths[i] >> 8 * b);
        }
        exaone_safetensors s;
        exaone_error err = {0};
        exaone_status status = exaone_safetensors_parse(bytes, 16, "FILE", &s, &err);
        assert_int_equal(status, lengths[i] > 100000000 ? EXAONE_ERR_LIMIT : EXAONE_ERR_FORMAT);
    }
}

/* Brackets to the header's limit: depth and memory are bounded. */
static void deep_and_wide_headers(void **state) {
    (void)state;
    size_t n = 20 << 20, size;
    char *header = malloc(n + 1);
    assert_non_null(header);
    memset(header, '[', n);
    header[n] = 0;
    memcpy(header, "{\"x\":", 5);
    for (int kind = 0; kind < 2; kind++) {
        uint8_t *bytes = file_of(header, 0, &size);
        exaone_safetensors s;
        exaone_error err = {0};
        assert_int_equal(exaone_safetensors_parse(bytes, size, "FILE", &s, &err), EXAONE_ERR_LIMIT);
        free(bytes);
        for (size_t i = 6; i < n; i++) { /* then a list of 10 million entries */
            header[i] = i % 2 ? ',' : '1';
        }
    }
    free(header);
}

static void cut_files(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = file_of(GOOD, 16, &size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, n);
        exaone_safetensors s;
        exaone_error err = {0};
        assert_int_not_equal(exaone_safetensors_parse(copy, n, "FILE", &s, &err), EXAONE_OK);
        assert_true(strlen(err.message) > 10);
        free(copy);
    }
    free(bytes);
}

/* ---- sets of tensors -----------------------------------------------------------------------------------------------------
 */

/* Reads a fixture with the set and with the tests' own reader. */
static void sets_read_the_reference_s_files(void **state) {
    (void)state;
    static const char path[] = "tests/golden/model/nano/stages/text.safetensors";
    fixture f;
    fixture_open(&f, path);
    exaone_tensors *set;
    exaone_error err = {0};
    assert_int_equal(exaone_tensors_load(path, &set, &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_count(set), f.count);
    for (size_t i = 0; i < f.count; i++) {
        const exaone_tensor *t = exaone_tensors_get(set, f.tensors[i].name);
        assert_non_null(t);
        assert_string_equal(exaone_dtype_name(t->dtype), f.tensors[i].dtype);
        assert_int_equal(t->n_dims, f.tensors[i].ndim);
        assert_memory_equal(t->dims, f.tensors[i].shape, t->n_dims * sizeof *t->dims);
        assert_int_equal(t->bytes, f.tensors[i].bytes);
        assert_int_equal(exaone_tensor_elements(t), fixture_count(&f.tensors[i]));
        if (t->bytes) {
            assert_memory_equal(t->data, f.tensors[i].data, t->bytes);
        }
        assert_int_equal((uintptr_t)t->data % 64, 0);
    }
    exaone_tensors_free(set);
    fixture_close(&f);
}

static exaone_tensors *small_set(bool backwards) {
    exaone_tensors *set = exaone_tensors_new();
    exaone_error err = {0};
    const uint8_t bytes[3] = {1, 2, 3};
    const float floats[2] = {1.5f, -2};
    const uint64_t three = 3, two = 2, none[2] = {0, 5};
    assert_non_null(set);
    for (int i = 0; i < 4; i++) {
        int which = backwards ? 3 - i : i;
        exaone_status status = which == 0   ? exaone_tensors_add(set, "u8", EXAONE_U8, 1, &three, bytes, &err)
                               : which == 1 ? exaone_tensors_add(set, "f \"32\"\n", EXAONE_F32, 1, &two, floats, &err)
                               : which == 2 ? exaone_tensors_add(set, "none", EXAONE_BF16, 2, none, NULL, &err)
                                            : exaone_tensors_add(set, "one", EXAONE_I64, 0, NULL, NULL, &err);
        assert_int_equal(status, EXAONE_OK);
    }
    return set;
}

static void saved_sets_are_equal_and_aligned(void **state) {
    (void)state;
    const char *paths[2] = {scratch_path("a.safetensors"), scratch_path("b.safetensors")};
    char *files[2];
    size_t sizes[2];
    exaone_error err = {0};
    for (int i = 0; i < 2; i++) {
        exaone_tensors *set = small_set(i == 1);
        assert_int_equal(exaone_tensors_save(set, paths[i], &err), EXAONE_OK);
        exaone_tensors_free(set);
        files[i] = fixture_read(paths[i], &sizes[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(files[0], files[1], sizes[0]);
    assert_int_equal(sizes[0] - 8 - (uint8_t)files[0][0] - 256 * (size_t)(uint8_t)files[0][1], 8 + 8 + 3);
    assert_int_equal(files[0][0] % 8, 0);
    exaone_tensors *back;
    assert_int_equal(exaone_tensors_load(paths[0], &back, &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_count(back), 4);
    assert_string_equal(exaone_tensors_at(back, 0)->name, "one");
    const exaone_tensor *t = exaone_tensors_get(back, "f \"32\"\n");
    assert_non_null(t);
    assert_true(((const float *)t->data)[0] == 1.5f && ((const float *)t->data)[1] == -2);
    assert_int_equal(((const int64_t *)exaone_tensors_get(back, "one")->data)[0], 0);
    exaone_tensors_free(back);
    free(files[0]);
    free(files[1]);
}

static void sets_refuse(void **state) {
    (void)state;
    exaone_tensors *set = small_set(false), *out;
    exaone_error err = {0};
    const uint64_t huge[2] = {1ull << 40, 1ull << 40}, block = 32;
    assert_int_equal(exaone_tensors_add(set, "", EXAONE_U8, 0, NULL, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_tensors_add(set, "u8", EXAONE_U8, 0, NULL, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_tensors_add(set, "h", EXAONE_F32, 2, huge, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_tensors_add(set, "q", EXAONE_Q4_0, 1, &block, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_tensors_add(set, "d", EXAONE_F32, 9, huge, NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_int_equal(exaone_tensors_count(set), 4);
    assert_int_equal(exaone_tensors_save(set, scratch_path("no/such/folder"), &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_tensors_load(scratch_path("absent"), &out, &err), EXAONE_ERR_IO);
    assert_null(out);
    assert_int_equal(exaone_tensors_load(scratch_write("empty.safetensors", "", 0), &out, &err), EXAONE_ERR_FORMAT);
    assert_int_equal(exaone_tensors_load("tests", &out, &err), EXAONE_ERR_IO);
    exaone_tensors_free(set);
    exaone_tensors_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(header_lengths),
        cmocka_unit_test(deep_and_wide_headers),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(sets_read_the_reference_s_files),
        cmocka_unit_test(saved_sets_are_equal_and_aligned),
        cmocka_unit_test(sets_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
