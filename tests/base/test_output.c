/* Writing files: whole or not at all, through links, and into pipes without replacing them. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../support/scratch.h"
#include "base/file.h"
#include "base/output.h"
#include "exaone/tensors.h"

static void write_text(const char *path, const char *text) {
    exaone_error err = {0};
    assert_int_equal(exaone_file_write(path, text, strlen(text), &err), EXAONE_OK);
}

static void assert_holds(const char *path, const char *text) {
    char *bytes;
    size_t n;
    exaone_error err = {0};
    assert_int_equal(exaone_file_read(path, 1000, &bytes, &n, &err), EXAONE_OK);
    assert_string_equal(bytes, text);
    free(bytes);
}

static mode_t kind(const char *path) {
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

/* Names in the folder of `path` that go on behind its name with ".tmp."; the last one in name[400] when it is not NULL. */
static size_t temporaries(const char *path, char *name) {
    char pattern[400];
    snprintf(pattern, sizeof pattern, "%s.tmp.*", path);
    glob_t found = {0};
    size_t n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    if (n && name) {
        snprintf(name, 400, "%s", found.gl_pathv[n - 1]);
    }
    globfree(&found);
    return n;
}

static void assert_no_temporary(const char *path) {
    assert_int_equal(temporaries(path, NULL), 0);
}

static void a_file_keeps_its_rights(void **state) {
    (void)state;
    const char *path = scratch_write_text("plain", "old");
    assert_int_equal(chmod(path, 0640), 0);
    write_text(path, "new");
    assert_holds(path, "new");
    assert_int_equal(kind(path) & 0777, 0640);
    assert_no_temporary(path);
}

static void an_aborted_file_changes_nothing(void **state) {
    (void)state;
    const char *path = scratch_write_text("kept", "old");
    exaone_output out;
    exaone_error err = {0};
    assert_int_equal(exaone_output_open(path, &out, &err), EXAONE_OK);
    assert_int_equal(write(out.fd, "x", 1), 1);
    exaone_output_abort(&out);
    assert_holds(path, "old");
    assert_no_temporary(path);
}

static void a_temporary_is_its_writers_own(void **state) {
    (void)state;
    const char *path = scratch_path("twice");
    exaone_output a, b;
    exaone_error err = {0};
    assert_int_equal(exaone_output_open(path, &a, &err), EXAONE_OK);
    assert_int_equal(exaone_output_open(path, &b, &err), EXAONE_OK);
    assert_int_equal(temporaries(path, NULL), 2);
    assert_int_equal(write(a.fd, "first", 5), 5);
    assert_int_equal(write(b.fd, "second", 6), 6);
    assert_int_equal(exaone_output_commit(&a), 0);
    assert_holds(path, "first");
    assert_int_equal(exaone_output_commit(&b), 0);
    assert_holds(path, "second");
    assert_no_temporary(path);
}

/* The number of a process that has ended; nobody gets it again so soon. */
static pid_t dead_process(void) {
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, NULL, 0) == pid);
    return pid;
}

/* What killed processes left goes; what is locked, of a living process, for another path or no file of ours stays. */
static void stale_temporaries_are_removed(void **state) {
    (void)state;
    const char *path = scratch_path("killed");
    long dead = dead_process();
    char name[5][64];
    const char *stays[5];
    snprintf(name[0], 64, "killed.tmp.%ld.0000000a", dead);
    scratch_write_text(name[0], "left");
    snprintf(name[0], 64, "killed.tmp.%ld.0000000b", dead);
    snprintf(name[1], 64, "killed.tmp.%ld.0000000c", (long)getpid());
    snprintf(name[2], 64, "killed2.tmp.%ld.0000000d", dead);
    snprintf(name[3], 64, "killed.tmp.%ld.txt", dead);
    snprintf(name[4], 64, "killed.tmp.%ld.0000000e", dead);
    for (int i = 0; i < 4; i++) {
        stays[i] = scratch_write_text(name[i], "kept");
    }
    stays[4] = scratch_path(name[4]);
    assert_int_equal(symlink("killed2.tmp.x", stays[4]), 0);
    int fd = open(stays[0], O_WRONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(temporaries(path, NULL), 5);
    write_text(path, "new");
    for (int i = 0; i < 5; i++) {
        (void)kind(stays[i]);
    }
    assert_int_equal(temporaries(path, NULL), 4);
    close(fd);
    write_text(path, "again"); /* now nobody holds it */
    assert_int_equal(access(stays[0], F_OK), -1);
    assert_holds(path, "again");
}

/* Also when the other file came after the start. */
static void a_new_file_replaces_nothing(void **state) {
    (void)state;
    const char *path = scratch_path("once");
    exaone_output out;
    exaone_error err = {0};
    assert_int_equal(exaone_output_open(path, &out, &err), EXAONE_OK);
    assert_int_equal(write(out.fd, "one", 3), 3);
    assert_int_equal(exaone_output_commit_new(&out), 0);
    assert_holds(path, "one");
    const char *late = scratch_path("late");
    assert_int_equal(exaone_output_open(late, &out, &err), EXAONE_OK);
    assert_int_equal(write(out.fd, "two", 3), 3);
    scratch_write_text("late", "theirs");
    assert_int_equal(exaone_output_commit_new(&out), EEXIST);
    assert_holds(late, "theirs");
    assert_no_temporary(path);
    assert_no_temporary(late);
}

/* The link stays a link; what it leads to is written, also through two links and when nothing is there yet. */
static void a_link_is_followed(void **state) {
    (void)state;
    const char *target = scratch_write_text("folder/target", "old");
    const char *second = scratch_path("folder/second"), *first = scratch_path("first");
    assert_int_equal(symlink("target", second), 0);
    assert_int_equal(symlink("folder/second", first), 0);
    write_text(first, "new");
    assert_true(S_ISLNK(kind(first)) && S_ISLNK(kind(second)) && S_ISREG(kind(target)));
    assert_holds(target, "new");
    const char *dangling = scratch_path("dangling");
    assert_int_equal(symlink("folder/fresh", dangling), 0);
    write_text(dangling, "made");
    assert_true(S_ISLNK(kind(dangling)));
    assert_holds(scratch_path("folder/fresh"), "made");
}

static void a_circle_of_links_is_an_error(void **state) {
    (void)state;
    const char *a = scratch_path("circle-a"), *b = scratch_path("circle-b");
    assert_int_equal(symlink("circle-b", a), 0);
    assert_int_equal(symlink("circle-a", b), 0);
    exaone_error err = {0};
    assert_int_equal(exaone_file_write(a, "x", 1, &err), EXAONE_ERR_IO);
    assert_non_null(strstr(err.message, "circle-a"));
}

/* The reading end is opened first, so that nothing blocks; what is written stays far below the pipe's 64 KiB. */
static void a_pipe_is_written_through(void **state) {
    (void)state;
    const char *path = scratch_path("pipe"), *link = scratch_path("link-to-pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(symlink("pipe", link), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    char got[4096];
    write_text(link, "through");
    assert_int_equal(read(fd, got, sizeof got), 7);
    assert_memory_equal(got, "through", 7);
    assert_true(S_ISFIFO(kind(path)) && S_ISLNK(kind(link)));
    assert_no_temporary(path);

    exaone_tensors *set = exaone_tensors_new();
    float x[2] = {1, 2};
    exaone_error err = {0};
    assert_int_equal(exaone_tensors_add(set, "x", EXAONE_F32, 1, (const uint64_t[]){2}, x, &err), EXAONE_OK);
    assert_int_equal(exaone_tensors_save(set, path, &err), EXAONE_OK);
    assert_true(read(fd, got, sizeof got) > 16);
    assert_true(S_ISFIFO(kind(path)));
    exaone_tensors_free(set);
    close(fd);
}

/* The descriptor's file itself is written, not a new file of the same name. */
static void a_descriptor_is_written_through(void **state) {
    (void)state;
    const char *path = scratch_write_text("opened", "");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    char name[40], got[8] = {0};
    snprintf(name, sizeof name, "/dev/fd/%d", fd);
    write_text(name, "here");
    assert_int_equal(pread(fd, got, sizeof got, 0), 4);
    assert_string_equal(got, "here");
    close(fd);
}

static void a_folder_is_an_error(void **state) {
    (void)state;
    scratch_write_text("some/file", "x");
    exaone_error err = {0};
    assert_int_equal(exaone_file_write(scratch_path("some"), "x", 1, &err), EXAONE_ERR_IO);
    assert_non_null(strstr(err.message, "irectory"));
    assert_true(S_ISDIR(kind(scratch_path("some"))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_keeps_its_rights),         cmocka_unit_test(an_aborted_file_changes_nothing),
        cmocka_unit_test(a_new_file_replaces_nothing),     cmocka_unit_test(a_temporary_is_its_writers_own),
        cmocka_unit_test(stale_temporaries_are_removed),   cmocka_unit_test(a_link_is_followed),
        cmocka_unit_test(a_circle_of_links_is_an_error),   cmocka_unit_test(a_pipe_is_written_through),
        cmocka_unit_test(a_descriptor_is_written_through), cmocka_unit_test(a_folder_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
