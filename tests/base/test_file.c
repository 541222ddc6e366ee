/* Reading files: what stands in the place of a file is told apart from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pointer_of_git_lfs_is_no_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
