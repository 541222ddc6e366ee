/* Every allocation of listing, choosing, finding, scanning and removing fails once: an error with a message, and no leak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/failing_malloc.h"
#include "../support/scratch.h"
#include "../support/skip.h"
#include "hub/hub_internal.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define SNAPSHOT "cache/models--o--m/snapshots/" COMMIT "/"

static const char *cache;

static exaone_status list_all(exaone_error *err) {
    static const char tree[] = "[{\"type\":\"file\",\"path\":\"a-Q4_K_M.gguf\",\"size\":5,\"oid\":\"" COMMIT "\"},"
                               "{\"type\":\"file\",\"path\":\"mmproj-a-F16.gguf\",\"size\":5,\"oid\":\"" COMMIT "\"}]";
    static const char revision[] = "{\"sha\":\"" COMMIT "\",\"cardData\":{\"license\":\"exaone\",\"license_link\":\"x\"}}";
    static const char *const paths[] = {"a-Q4_K_M.gguf", "mmproj-a-F16.gguf", "a-Q8_0.gguf"};
    exaone_hub_listing listing;
    exaone_hub_choice choice = {0};
    exaone_hub_name name;
    exaone_hub_listing_init(&listing);
    exaone_status status = exaone_hub_listing_read_revision(&listing, revision, sizeof revision - 1, err);
    status = status ? status : exaone_hub_listing_read_tree(&listing, tree, sizeof tree - 1, err);
    status = status ? status : exaone_hub_listing_finish(&listing, err);
    status = status ? status : exaone_hub_name_parse("o/m:Q8_0", &name, err);
    status = status ? status : exaone_hub_choose(paths, 3, &name, NULL, "x", &choice, err);
    free(choice.role);
    exaone_hub_listing_release(&listing);
    return status;
}

static exaone_status find_one(exaone_error *err) {
    exaone_hub_name name = {.repo = "o/m", .quant = "Q4_K_M"};
    char *path;
    exaone_status status = exaone_hub_find(&name, cache, NULL, &path, err);
    assert_true((path != NULL) == (status == EXAONE_OK));
    free(path);
    return status;
}

static exaone_status scan(exaone_error *err) {
    exaone_hub_list list;
    exaone_status status = exaone_hub_scan(cache, &list, err);
    assert_true(status || list.n == 3);
    exaone_hub_list_free(&list);
    return status;
}

static exaone_status count_removal(exaone_error *err) {
    exaone_hub_name name = {.repo = "o/m", .quant = "Q4_K_M"};
    exaone_hub_removal what;
    exaone_status status = exaone_hub_remove(&name, cache, true, &what, err);
    assert_true(status || what.n_links == 1);
    return status;
}

static void each_fails_once(exaone_status (*work)(exaone_error *)) {
#if HAVE_COUNTER
    exaone_error err = {0};
    assert_int_equal(work(&err), EXAONE_OK);
    long before = live, n = 0;
    exaone_status status = EXAONE_ERR_MEMORY;
    while (status) {
        memset(&err, 0, sizeof err);
        fail_in = ++n;
        status = work(&err);
        bool reached = fail_in == 0;
        fail_in = 0;
        assert_int_equal(live, before);
        assert_true(reached || status == EXAONE_OK);
        assert_true(!status || err.message[0]);
        assert_true(n < 5000);
        if (!status && reached) { /* an allocation that only costs something when it fails, in the C library */
            status = EXAONE_ERR_MEMORY;
        }
    }
    assert_true(n > 5);
#else
    (void)work;
    TEST_SKIP("a sanitizer brings its own allocator");
#endif
}

static void in_lists(void **state) {
    (void)state;
    each_fails_once(list_all);
}

static void in_finding(void **state) {
    (void)state;
    each_fails_once(find_one);
}

static void in_scanning(void **state) {
    (void)state;
    each_fails_once(scan);
}

static void in_removing(void **state) {
    (void)state;
    each_fails_once(count_removal);
}

int main(void) {
    scratch_write_text("cache/models--o--m/refs/main", COMMIT);
    scratch_write_text(SNAPSHOT "a-Q4_K_M.gguf", "1");
    scratch_write_text(SNAPSHOT "a-Q8_0.gguf", "22");
    scratch_write_text(SNAPSHOT "mmproj-a-F16.gguf", "3");
    scratch_write_text(SNAPSHOT "config.json", "{}");
    scratch_write_text(SNAPSHOT "model.safetensors", "4444");
    scratch_write_text("cache/models--o--m/blobs/abc.incomplete", "55555");
    cache = scratch_path("cache");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_lists),
        cmocka_unit_test(in_finding),
        cmocka_unit_test(in_scanning),
        cmocka_unit_test(in_removing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
