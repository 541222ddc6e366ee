/* Reading files: what stands in the place of a file is told apart from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"

static void a_pointer_of_git_lfs_is_no_file(void **state) {
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 12345\n";
    char path[256], *bytes;
    size_t n;
    exaone_map map;
    exaone_error err = {0};
    snprintf(path, sizeof path, "%s/pointer", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_int_equal(exaone_file_write(path, pointer, sizeof pointer - 1, &err), EXAONE_OK);
    assert_int_equal(exaone_file_read(path, 1000, &bytes, &n, &err), EXAONE_ERR_FORMAT);
    assert_non_null(strstr(err.message, "Git LFS pointer"));
    assert_int_equal(exaone_map_open(path, &map, &err), EXAONE_ERR_FORMAT);
    assert_null(map.data);
    assert_int_equal(exaone_file_write(path, pointer, 50, &err), EXAONE_OK); /* text that only begins like one */
    assert_int_equal(exaone_file_read(path, 1000, &bytes, &n, &err), EXAONE_OK);
    free(bytes);
    unlink(path);
}

/* Around the size from which on huge pages are asked for: the bytes are those of the file, at an address for huge pages. */
static void large_files_are_mapped_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {(4 << 20) - 1, 4 << 20, (4 << 20) + 1, (5 << 20) + 4097};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        uint32_t *bytes = malloc(n + 4);
        assert_non_null(bytes);
        for (size_t k = 0; k <= n / 4; k++) {
            bytes[k] = (uint32_t)(k * 2654435761u);
        }
        exaone_error err = {0};
        exaone_map map;
        const char *path = scratch_path("large");
        assert_int_equal(exaone_file_write(path, bytes, n, &err), EXAONE_OK);
        assert_int_equal(exaone_map_open(path, &map, &err), EXAONE_OK);
        assert_int_equal(map.size, n);
        assert_memory_equal(map.data, bytes, n);
        assert_true(n < 4 << 20 || (uintptr_t)map.data % (2 << 20) == 0);
        exaone_map_close(&map);
        assert_null(map.data);
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pointer_of_git_lfs_is_no_file),
                                       cmocka_unit_test(large_files_are_mapped_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
