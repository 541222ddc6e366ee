/* Names, labels, the choice of files, headers and listings: what needs no network. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub/hub_internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static exaone_error err;

static void names_are_read(void **state) {
    (void)state;
    exaone_hub_name name;
    assert_int_equal(exaone_hub_name_parse(EXAONE_HUB_DEFAULT, &name, &err), 0);
    assert_string_equal(name.repo, "LGAI-EXAONE/EXAONE-4.5-33B-GGUF");
    assert_string_equal(name.quant, "Q4_K_M");
    assert_int_equal(exaone_hub_name_parse("a/b_c.d-e", &name, &err), 0);
    assert_string_equal(name.quant, "");
    assert_int_equal(exaone_hub_name_parse("a/b:dir/file.gguf", &name, &err), 0);
    assert_string_equal(name.quant, "dir/file.gguf");
    static const char *const bad[] = {
        "",       "a",     "/a",         "a/",     "a/b/c",    "../b",  "a/..",      "a--b/c",
        "a/b..c", "-a/b",  "a/b-",       "a/.b",   "a/b.git",  "a b/c", "a/b:",      "a/b:../x.gguf",
        "a/b:/x", "a/b\n", "http://a/b", "a/b\\c", "a/b:x\ty", "a:b/c", "\xc3\xa4/b"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (exaone_hub_name_parse(bad[i], &name, &err) != EXAONE_ERR_ARGUMENT || name.repo[0]) {
            fail_msg("%s is taken", bad[i]);
        }
    }
    char longest[300] = "a/";
    memset(longest + 2, 'b', 94);
    assert_int_equal(exaone_hub_name_parse(longest, &name, &err), 0); /* 96 characters */
    longest[96] = 'b';
    assert_int_equal(exaone_hub_name_parse(longest, &name, &err), EXAONE_ERR_ARGUMENT);
}

static void paths_stay_in_their_folder(void **state) {
    (void)state;
    static const char *const good[] = {"a",  "a/b/c.gguf", "..a", "a..", ".gitattributes", "\xed\x95\x9c\xea\xb5\xad.txt",
                                       "a b"};
    static const char *const bad[] = {"",
                                      "/",
                                      "/etc/passwd",
                                      "..",
                                      "a/..",
                                      "../a",
                                      "a/../b",
                                      ".",
                                      "a/./b",
                                      "a//b",
                                      "a/",
                                      "a\\b",
                                      "a\nb",
                                      "a\x7f",
                                      "a\xc2\x9b"
                                      "2J",
                                      "\xff",
                                      "\xc0\xaf"};
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(exaone_hub_path_check(good[i], strlen(good[i]), &err), 0);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (exaone_hub_path_check(bad[i], strlen(bad[i]), &err) != EXAONE_ERR_FORMAT) {
            fail_msg("%s is taken", bad[i]);
        }
    }
    assert_int_equal(exaone_hub_path_check("a\0b", 3, &err), EXAONE_ERR_FORMAT);
    char part[1100];
    memset(part, 'x', sizeof part);
    assert_int_equal(exaone_hub_path_check(part, 255, &err), 0);
    assert_int_equal(exaone_hub_path_check(part, 256, &err), EXAONE_ERR_FORMAT);
    for (size_t i = 100; i < sizeof part; i += 101) {
        part[i] = '/';
    }
    assert_int_equal(exaone_hub_path_check(part, 1024, &err), 0);
    assert_int_equal(exaone_hub_path_check(part, 1025, &err), EXAONE_ERR_FORMAT);
}

static void folders_have_the_hubs_names(void **state) {
    (void)state;
    char repo[128];
    char *dir = exaone_hub_repo_dir("/c", "org/my-model");
    assert_string_equal(dir, "/c/models--org--my-model");
    free(dir);
    assert_true(exaone_hub_repo_of("models--org--my-model", repo));
    assert_string_equal(repo, "org/my-model");
    assert_true(exaone_hub_repo_of("models--gpt2", repo));
    assert_string_equal(repo, "gpt2");
    assert_false(exaone_hub_repo_of("datasets--a--b", repo));
    assert_false(exaone_hub_repo_of("models--", repo));
    assert_false(exaone_hub_repo_of("models--a--..", repo));
}

static void labels_are_found(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"EXAONE-4.5-33B-Q4_K_M.gguf", "Q4_K_M"},
        {"EXAONE-4.5-33B-IQ4_XS.gguf", "IQ4_XS"},
        {"mmproj-EXAONE-4.5-33B-BF16.gguf", "BF16"},
        {"model.q8_0.gguf", "q8_0"},
        {"m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {"m-MXFP4_MOE.gguf", "MXFP4_MOE"},
        {"m-F16-00001-of-00003.gguf", "F16"},
        {"BF16/model-00001-of-00002.gguf", "BF16"},
        {"m-Q4_K_M-imat.gguf", "Q4_K_M"},
        {"Qwen-7B.gguf", ""},
        {"quantized.gguf", ""},
        {".gguf", ""},
    };
    char label[64];
    for (size_t i = 0; i < COUNT(cases); i++) {
        exaone_hub_label(cases[i][0], label);
        assert_string_equal(label, cases[i][1]);
    }
}

static exaone_status choose(const char *const *paths, size_t n, const char *text, const char *mmproj,
                            exaone_hub_choice *choice) {
    exaone_hub_name name;
    assert_int_equal(exaone_hub_name_parse(text, &name, &err), 0);
    return exaone_hub_choose(paths, n, &name, mmproj, "revision main", choice, &err);
}

static void the_nearest_file_is_chosen(void **state) {
    (void)state;
    static const char *const paths[] = {"LICENSE",
                                        "a/m-Q4_K_M.gguf",
                                        "imatrix.gguf",
                                        "m-BF16-00001-of-00002.gguf",
                                        "m-BF16-00002-of-00002.gguf",
                                        "m-Q4_K_M.gguf",
                                        "m-Q8_0-00002-of-00002.gguf",
                                        "m-UD-Q4_K_M.gguf",
                                        "mmproj-F16.gguf",
                                        "mmproj-F32.gguf",
                                        "mtp-m-Q8_0.gguf"};
    static const struct {
        const char *name, *mmproj;
        size_t main, projector, missing;
    } cases[] = {{"o/m:q4_k_m", NULL, 5, 8, 0},
                 {"o/m", NULL, 5, 8, 0},
                 {"o/m:UD-Q4_K_M", "f32", 7, 9, 0},
                 {"o/m:BF16", "none", 3, SIZE_MAX, 0},
                 {"o/m:Q8_0", NULL, 6, 8, 1},
                 {"o/m:a/m-Q4_K_M.gguf", NULL, 1, 8, 0},
                 {"o/m:m-BF16-00002-of-00002.gguf", NULL, 3, 8, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        exaone_hub_choice c;
        assert_int_equal(choose(paths, COUNT(paths), cases[i].name, cases[i].mmproj, &c), 0);
        assert_int_equal(c.main, cases[i].main);
        assert_true(c.mmproj == cases[i].projector);
        assert_int_equal(c.missing, cases[i].missing);
        assert_int_equal(c.role[0], EXAONE_HUB_SIDE);
        assert_int_equal(c.role[2], EXAONE_HUB_SKIP);
        free(c.role);
    }
    exaone_hub_choice c;
    static const char *const terms[] = {"LICENSE-Q4_K_M.gguf"}; /* a model, whatever it is called */
    assert_int_equal(choose(terms, 1, "o/m", NULL, &c), 0);
    assert_int_equal(c.role[0], EXAONE_HUB_MODEL);
    free(c.role);
    assert_int_equal(choose(paths, COUNT(paths), "o/m:Q2_K", NULL, &c), EXAONE_ERR_ARGUMENT);
    assert_string_equal(err.message, "revision main of o/m has no Q2_K; there are: BF16, Q4_K_M, Q8_0, UD-Q4_K_M");
    free(c.role);
    assert_int_equal(choose(paths, 1, "o/m:Q2_K", NULL, &c), EXAONE_ERR_ARGUMENT);
    free(c.role);
    assert_int_equal(choose(paths, 0, "o/m", NULL, &c), EXAONE_ERR_ARGUMENT);
    free(c.role);
    /* the only type there is need not be named; of two it must */
    assert_int_equal(choose(paths + 6, 1, "o/m", NULL, &c), 0);
    free(c.role);
    assert_int_equal(choose(paths + 3, 4, "o/m:Q5", NULL, &c), EXAONE_ERR_ARGUMENT);
    free(c.role);
}

static void headers_are_read(void **state) {
    (void)state;
    uint64_t a, b, c;
    assert_true(exaone_hub_content_range("bytes 0-9/100", &a, &b, &c));
    assert_true(a == 0 && b == 9 && c == 100);
    assert_true(exaone_hub_content_range("bytes 5-5/*", &a, &b, &c));
    assert_true(c == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes 0-9",
                                      "bytes 9-0/100",
                                      "bytes 0-100/100",
                                      "bytes */100",
                                      "bytes -5-9/100",
                                      "bytes 0-9/100x",
                                      "bytes 0-99999999999999999999999/1",
                                      "items 0-9/100"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(exaone_hub_content_range(bad[i], &a, &b, &c));
    }
    char *next = exaone_hub_link_next("<http://h/a>; rel=\"prev\", <http://h/b?c=1>; rel=\"next\"");
    assert_string_equal(next, "http://h/b?c=1");
    free(next);
    assert_null(exaone_hub_link_next("<http://h/a>; rel=\"prev\""));
    assert_null(exaone_hub_link_next("<http://h/a"));
    assert_null(exaone_hub_link_next(""));
}

static void redirects_keep_to_public_addresses(void **state) {
    (void)state;
    struct sockaddr_in inside = {.sin_family = AF_INET}, outside = {.sin_family = AF_INET};
    inet_pton(AF_INET, "169.254.169.254", &inside.sin_addr);
    inet_pton(AF_INET, "8.8.8.8", &outside.sin_addr);
    assert_true(exaone_hub_may_connect(false, false, (struct sockaddr *)&inside)); /* the user's own endpoint */
    assert_true(exaone_hub_may_connect(true, true, (struct sockaddr *)&inside));   /* and where that one sends */
    assert_true(exaone_hub_may_connect(true, false, (struct sockaddr *)&outside));
    assert_false(exaone_hub_may_connect(true, false, (struct sockaddr *)&inside));
}

static void digests_are_gits_and_sha256(void **state) {
    (void)state;
    exaone_hub_digest d;
    char hex[65], forty[41], sixty[65];
    memset(forty, '0', 40);
    memset(sixty, '0', 64);
    forty[40] = sixty[64] = 0;
    exaone_hub_digest_begin(&d, forty, 0);
    exaone_hub_digest_end(&d, hex);
    assert_string_equal(hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"); /* git's name of an empty file */
    exaone_hub_digest_begin(&d, forty, 6);
    exaone_hub_digest_add(&d, "hel", 3);
    exaone_hub_digest_add(&d, "lo\n", 3);
    exaone_hub_digest_end(&d, hex);
    assert_string_equal(hex, "ce013625030ba8dba906f756967f9e9ca394464a"); /* printf 'hello\n' | git hash-object --stdin */
    exaone_hub_digest_begin(&d, sixty, 3);
    exaone_hub_digest_add(&d, "abc", 3);
    exaone_hub_digest_end(&d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4 */
}

#define ENTRY(path, size, hash) "{\"type\":\"file\",\"path\":\"" path "\",\"size\":" size ",\"oid\":\"" hash "\"}"
#define SHA1 "0123456789abcdef0123456789abcdef01234567"
#define SHA2 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static exaone_status read_tree(const char *text) {
    exaone_hub_listing listing;
    exaone_hub_listing_init(&listing);
    exaone_status status = exaone_hub_listing_read_tree(&listing, text, strlen(text), &err);
    status = status ? status : exaone_hub_listing_finish(&listing, &err);
    exaone_hub_listing_release(&listing);
    return status;
}

static void listings_are_checked(void **state) {
    (void)state;
    assert_int_equal(read_tree("[]"), 0);
    assert_int_equal(read_tree("[" ENTRY("a", "0", SHA1) "," ENTRY("b/c", "1125899906842624", SHA1) "]"), 0);
    assert_int_equal(
        read_tree("[{\"type\":\"file\",\"path\":\"a\",\"size\":7,\"oid\":\"x\",\"lfs\":{\"oid\":\"" SHA2 "\",\"size\":7}}]"),
        0);
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        "[{}]",
        "[" ENTRY("a", "0", SHA1),
        "[" ENTRY("a", "-1", SHA1) "]",
        "[" ENTRY("a", "1.5", SHA1) "]",
        "[" ENTRY("a", "\"7\"", SHA1) "]",
        "[" ENTRY("a", "1125899906842625", SHA1) "]",
        "[" ENTRY("a", "1e400", SHA1) "]",
        "[" ENTRY("a", "1", "0123") "]",
        "[" ENTRY("a", "1", "0123456789ABCDEF0123456789ABCDEF01234567") "]",
        "[" ENTRY("a", "1", "../../../../../../../../../../etc/passwd") "]",
        "[" ENTRY("../a", "1", SHA1) "]",
        "[" ENTRY("a\\u0000b", "1", SHA1) "]",
        "[" ENTRY("a\\\\b", "1", SHA1) "]",
        "[" ENTRY("", "1", SHA1) "]",
        "[" ENTRY("a", "1", SHA1) "," ENTRY("a", "2", SHA1) "]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":7,\"oid\":\"" SHA1 "\",\"lfs\":{\"oid\":\"" SHA1 "\"}}]",
        "[{\"type\":\"file\",\"path\":\"a\",\"size\":7,\"lfs\":{\"oid\":\"" SHA2 "\",\"size\":8}}]",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (read_tree(bad[i]) != EXAONE_ERR_FORMAT) {
            fail_msg("%s is taken", bad[i]);
        }
    }
}

static void revisions_are_checked(void **state) {
    (void)state;
    static const char good[] = "{\"sha\":\"" SHA1 "\",\"gated\":\"auto\",\"cardData\":{\"license\":\"mit\\nx\"}}";
    exaone_hub_listing listing;
    exaone_hub_listing_init(&listing);
    assert_int_equal(exaone_hub_listing_read_revision(&listing, good, sizeof good - 1, &err), 0);
    assert_true(listing.gated);
    assert_string_equal(listing.license, "mit?x");
    assert_string_equal(listing.license_link, "");
    static const char *const bad[] = {"[]", "{}", "{\"sha\":1}", "{\"sha\":\"main\"}", "{\"sha\":\"" SHA2 "\"}"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(exaone_hub_listing_read_revision(&listing, bad[i], strlen(bad[i]), &err), EXAONE_ERR_FORMAT);
    }
    exaone_hub_listing_release(&listing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read),
        cmocka_unit_test(paths_stay_in_their_folder),
        cmocka_unit_test(folders_have_the_hubs_names),
        cmocka_unit_test(labels_are_found),
        cmocka_unit_test(the_nearest_file_is_chosen),
        cmocka_unit_test(headers_are_read),
        cmocka_unit_test(redirects_keep_to_public_addresses),
        cmocka_unit_test(digests_are_gits_and_sha256),
        cmocka_unit_test(listings_are_checked),
        cmocka_unit_test(revisions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
