/* Pulling against a hub on 127.0.0.1 that behaves well and badly. The sizes are small, the rules the same: ranges of 64 KiB,
 * attempts after milliseconds. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/fixture.h"
#include "../support/hub_server.h"
#include "../support/scratch.h"
#include "exaone/hub.h"

enum { CHUNK = 64 << 10, BIG = 1500000 };

typedef struct world {
    hub_server s;
    exaone_hub_options o;
    char endpoint[64];
    const char *cache;
    exaone_error err;
    volatile int stop;
    uint64_t stop_at, received; /* cancel when so many bytes have come; 0: never */
    int waits;
} world;

static void on_progress(void *arg, const exaone_hub_progress *p) {
    world *w = arg;
    w->received = p->received;
    w->waits += p->phase == EXAONE_HUB_WAITING;
    assert_true(p->total_done <= p->total_bytes || p->total_bytes == 0);
    assert_true(p->file_done <= p->file_bytes);
    if (w->stop_at && p->received >= w->stop_at) {
        w->stop = 1;
    }
}

static int setup(void **state) {
    static int number;
    char name[32];
    world *w = calloc(1, sizeof *w);
    hub_server_init(&w->s);
    hub_server_add(&w->s, "LICENSE", false, "do no evil\n", 11);
    hub_server_add(&w->s, "README.md", false, "card", 4);
    hub_server_add_random(&w->s, "Model-33B-Q4_K_M.gguf", BIG, 1);
    hub_server_add_random(&w->s, "Model-33B-IQ4_XS.gguf", 100000, 2);
    hub_server_add_random(&w->s, "mmproj-Model-33B-F16.gguf", 90000, 3);
    hub_server_add_random(&w->s, "mmproj-Model-33B-BF16.gguf", 80000, 4);
    assert_true(hub_server_start(&w->s, 0));
    snprintf(w->endpoint, sizeof w->endpoint, "http://127.0.0.1:%d/", w->s.port);
    snprintf(name, sizeof name, "cache%d", ++number);
    w->cache = scratch_path(name);
    exaone_hub_options_init(&w->o);
    w->o.endpoint = w->endpoint;
    w->o.cache = w->cache;
    w->o.chunk_bytes = CHUNK;
    w->o.retry_ms = 1;
    w->o.cancel = &w->stop;
    w->o.progress = on_progress;
    w->o.progress_arg = w;
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world *w = *state;
    hub_server_stop(&w->s);
    free(w);
    return 0;
}

static exaone_status pull_plan(world *w, const char *text, exaone_hub_plan *plan) {
    exaone_hub_name name;
    memset(&w->err, 0, sizeof w->err);
    assert_int_equal(exaone_hub_name_parse(text, &name, &w->err), 0);
    exaone_status status = exaone_hub_plan_make(&name, &w->o, plan, &w->err);
    return status ? status : exaone_hub_plan_fetch(plan, &w->o, &w->err);
}

static exaone_status pull(world *w, const char *text) {
    exaone_hub_plan plan;
    exaone_status status = pull_plan(w, text, &plan);
    exaone_hub_plan_free(&plan);
    return status;
}

static const char *in_cache(const world *w, const char *below) {
    static char path[2000];
    snprintf(path, sizeof path, "%s/models--org--model-GGUF/%s", w->cache, below);
    return path;
}

static const char *in_snapshot(const world *w, const char *file) {
    char below[600];
    snprintf(below, sizeof below, "snapshots/%s/%s", w->s.commit, file);
    return in_cache(w, below);
}

static const hub_server_file *served(const world *w, const char *file) {
    for (size_t i = 0; i < w->s.n_files; i++) {
        if (strcmp(w->s.files[i].path, file) == 0) {
            return &w->s.files[i];
        }
    }
    fail_msg("%s", file);
    return NULL;
}

/* The snapshot holds the file as a link to its blob, byte for byte. */
static void assert_there(const world *w, const char *file) {
    const hub_server_file *f = served(w, file);
    char target[300], want[300];
    size_t n;
    char *bytes = fixture_read(in_snapshot(w, file), &n);
    assert_int_equal(n, f->size);
    assert_memory_equal(bytes, f->bytes, n);
    free(bytes);
    ssize_t length = readlink(in_snapshot(w, file), target, sizeof target - 1);
    assert_true(length > 0);
    target[length] = 0;
    snprintf(want, sizeof want, "%s../../blobs/%s", strchr(file, '/') ? "../" : "", f->hash);
    assert_string_equal(target, want);
}

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static uint64_t incomplete_size(const world *w, const char *file) {
    char below[120];
    struct stat st;
    snprintf(below, sizeof below, "blobs/%s.incomplete", served(w, file)->hash);
    return stat(in_cache(w, below), &st) == 0 ? (uint64_t)st.st_size : 0;
}

#define assert_says(w, text)                                            \
    do {                                                                \
        if (!strstr((w)->err.message, text)) {                          \
            fail_msg("\"%s\" does not say %s", (w)->err.message, text); \
        }                                                               \
    } while (0)

/* ---- what works ---- */

static void the_layout_is_the_hubs(void **state) {
    world *w = *state;
    exaone_hub_plan plan;
    w->s.slow_ms = 5; /* so that ranges overlap on a loaded machine too */
    assert_int_equal(pull_plan(w, "org/model-GGUF", &plan), 0);
    assert_string_equal(plan.name.quant, "Q4_K_M");
    assert_string_equal(plan.license, "exaone");
    assert_string_equal(plan.model, in_snapshot(w, "Model-33B-Q4_K_M.gguf"));
    assert_int_equal(plan.n_files, 3);
    assert_int_equal(plan.total_bytes, 11 + 80000 + BIG);
    exaone_hub_plan_free(&plan);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_there(w, "mmproj-Model-33B-BF16.gguf");
    assert_there(w, "LICENSE");
    assert_false(is_there(in_snapshot(w, "mmproj-Model-33B-F16.gguf")));
    size_t n;
    char *ref = fixture_read(in_cache(w, "refs/main"), &n);
    assert_string_equal(ref, w->s.commit); /* 40 digits, no line end */
    free(ref);
    assert_true(w->s.most_at_once > 1); /* parallel */
    assert_true(w->s.most_at_once <= 8);
}

static void nothing_is_fetched_twice(void **state) {
    world *w = *state;
    assert_int_equal(pull(w, "org/model-GGUF:q4_k_m"), 0);
    hub_server_reset(&w->s);
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_int_equal(w->s.n_endpoint, 2); /* the commit and the list */
    assert_int_equal(w->s.sent, 0);
    /* the links alone are gone: the blobs serve */
    assert_int_equal(unlink(in_snapshot(w, "Model-33B-Q4_K_M.gguf")), 0);
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_int_equal(w->s.sent, 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
}

static void redirects_go_without_the_token(void **state) {
    world *w = *state;
    w->s.redirect = true;
    w->s.token = w->o.token = "hf_secret";
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_int_equal(w->s.leaks, 0);
    assert_true(w->s.n_file > 10);
    assert_true(w->s.n_endpoint < 8); /* the address is asked for once per file */
}

static void an_expired_address_is_asked_for_again(void **state) {
    world *w = *state;
    w->s.redirect = true;
    w->s.expire = 8;
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
}

static void cut_connections_are_continued(void **state) {
    world *w = *state;
    w->s.cut_after = 20000;
    w->s.cuts = 12;
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_int_equal(w->s.cuts, 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    /* what had come was not fetched again, but for the bodies that were under way */
    assert_true(w->s.sent < BIG + 80000 + 12 * 20000 + 1000);
}

static void a_server_without_ranges_is_streamed(void **state) {
    world *w = *state;
    w->s.no_ranges = true;
    w->s.cut_after = 300000;
    w->s.cuts = 2;
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_true(w->waits >= 0);
}

static void a_stopped_pull_is_continued(void **state) {
    world *w = *state;
    w->s.slow_ms = 40;
    w->stop_at = 200000;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), EXAONE_ERR_CANCELLED);
    uint64_t kept = incomplete_size(w, "Model-33B-Q4_K_M.gguf");
    assert_true(kept > 0 && kept < BIG);
    assert_false(is_there(in_cache(w, "refs/main")));
    /* what is there is the beginning of the file */
    char below[120];
    size_t n;
    snprintf(below, sizeof below, "blobs/%s.incomplete", served(w, "Model-33B-Q4_K_M.gguf")->hash);
    char *bytes = fixture_read(in_cache(w, below), &n);
    assert_memory_equal(bytes, served(w, "Model-33B-Q4_K_M.gguf")->bytes, n);
    free(bytes);
    w->stop = 0;
    w->stop_at = 0;
    w->s.slow_ms = 0;
    hub_server_reset(&w->s);
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_int_equal(w->received, BIG - kept);
}

static void a_spoilt_beginning_is_found_and_fetched_again(void **state) {
    world *w = *state;
    char below[120];
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0); /* makes the folders */
    snprintf(below, sizeof below, "blobs/%s.incomplete", served(w, "Model-33B-Q4_K_M.gguf")->hash);
    FILE *f = fopen(in_cache(w, below), "wb");
    fputs("not the beginning", f);
    fclose(f);
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_int_equal(incomplete_size(w, "Model-33B-Q4_K_M.gguf"), 0);
    /* longer than the file: from the start too */
    unlink(in_snapshot(w, "Model-33B-IQ4_XS.gguf"));
    snprintf(below, sizeof below, "blobs/%s", served(w, "Model-33B-IQ4_XS.gguf")->hash);
    unlink(in_cache(w, below));
    snprintf(below, sizeof below, "blobs/%s.incomplete", served(w, "Model-33B-IQ4_XS.gguf")->hash);
    f = fopen(in_cache(w, below), "wb");
    assert_int_equal(ftruncate(fileno(f), 200000), 0);
    fclose(f);
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    assert_there(w, "Model-33B-IQ4_XS.gguf");
}

static void split_files_come_whole(void **state) {
    world *w = *state;
    hub_server_add_random(&w->s, "BF16/Model-33B-BF16-00001-of-00003.gguf", 70000, 11);
    hub_server_add_random(&w->s, "BF16/Model-33B-BF16-00002-of-00003.gguf", 70001, 12);
    hub_server_add_random(&w->s, "BF16/Model-33B-BF16-00003-of-00003.gguf", 1, 13);
    w->o.mmproj = "none";
    exaone_hub_plan plan;
    assert_int_equal(pull_plan(w, "org/model-GGUF:bf16", &plan), 0);
    assert_string_equal(plan.model, in_snapshot(w, "BF16/Model-33B-BF16-00001-of-00003.gguf"));
    assert_int_equal(plan.n_files, 4);
    exaone_hub_plan_free(&plan);
    assert_there(w, "BF16/Model-33B-BF16-00003-of-00003.gguf");
    assert_false(is_there(in_snapshot(w, "mmproj-Model-33B-BF16.gguf")));
    w->s.n_files--; /* the last part is not in the repository */
    free(w->s.files[w->s.n_files].bytes);
    assert_int_equal(pull(w, "org/model-GGUF:bf16"), EXAONE_ERR_FORMAT);
    assert_says(w, "1 parts of the split model");
}

static void folders_come_without_a_type(void **state) {
    world *w = *state;
    w->s.repo = "org/model-GGUF"; /* the name says nothing, the files do */
    hub_server_add(&w->s, "config.json", false, "{}", 2);
    hub_server_add(&w->s, "chat_template.jinja", false, "{{ x }}", 7);
    hub_server_add(&w->s, "empty.json", false, "", 0);
    hub_server_add(&w->s, "training.py", false, "exit()", 6);
    hub_server_add_random(&w->s, "model-00001-of-00002.safetensors", 200000, 21);
    hub_server_add_random(&w->s, "model-00002-of-00002.safetensors", 100, 22);
    hub_server_add_random(&w->s, "original/old.safetensors", 100, 23);
    exaone_hub_plan plan;
    assert_int_equal(pull_plan(w, "org/model-GGUF", &plan), 0);
    assert_string_equal(plan.name.quant, "");
    assert_string_equal(plan.model, plan.snapshot);
    assert_int_equal(plan.n_files, 6);
    exaone_hub_plan_free(&plan);
    assert_there(w, "model-00001-of-00002.safetensors");
    assert_there(w, "empty.json");
    assert_false(is_there(in_snapshot(w, "training.py")));
    assert_false(is_there(in_snapshot(w, "original")));
}

static void lists_come_in_pages(void **state) {
    world *w = *state;
    w->s.page = 2;
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    assert_there(w, "mmproj-Model-33B-BF16.gguf");
    w->s.next = "http://127.0.0.1:1/other";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    assert_says(w, "the next page is at http://127.0.0.1:1");
}

static void busy_and_broken_servers_are_waited_for(void **state) {
    world *w = *state;
    w->s.broken = 3;
    w->s.busy = 2;
    w->s.retry_after = 1;
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    assert_there(w, "Model-33B-IQ4_XS.gguf");
    assert_int_equal(w->s.broken + w->s.busy, 0);
    assert_true(w->waits > 4); /* two waits of a second, told five times a second */
    w->s.busy = 1;
    w->s.retry_after = 4000;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), EXAONE_ERR_IO);
    assert_says(w, "asks to wait 4000 seconds; the limit is 300");
    w->s.busy = 100;
    w->s.retry_after = -1;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), EXAONE_ERR_IO);
    assert_says(w, "status 429");
    w->s.busy = 0;
    w->s.broken = 100;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), EXAONE_ERR_IO);
    assert_says(w, "status 503");
}

static void a_silent_server_is_left(void **state) {
    world *w = *state;
    w->o.low_speed_seconds = 1;
    w->o.low_speed_bytes = 1 << 28; /* libcurl's average of the last seconds then need not decay first */
    w->s.stall = 2;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    w->o.retries = 0;
    w->s.stall = 1;
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), EXAONE_ERR_IO);
    assert_says(w, "too slow");
}

static void two_pulls_at_once_share(void **state) {
    world *w = *state;
    /* another process holds the lock of the file: this one waits, and finds the file when it is let go */
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    char path[2000];
    snprintf(path, sizeof path, "%s/.locks/models--org--model-GGUF/%s.lock", w->cache,
             served(w, "Model-33B-Q4_K_M.gguf")->hash);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    pid_t child = fork();
    if (child == 0) { /* holds it for a while; the descriptor of the parent is closed at once */
        usleep(700000);
        _exit(0);
    }
    close(fd);
    exaone_hub_removal gone;
    exaone_hub_name name = {.repo = "org/model-GGUF"};
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), EXAONE_ERR_IO);
    assert_says(w, "is being downloaded");
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
}

/* ---- what is refused ---- */

static void wrong_bytes_are_thrown_away(void **state) {
    world *w = *state;
    w->s.wrong = 1;
    w->o.mmproj = "none";
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0); /* the second attempt is right */
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    w->s.wrong = 2;
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), EXAONE_ERR_FORMAT);
    assert_says(w, "the hash of the 100000 bytes is");
    assert_int_equal(incomplete_size(w, "Model-33B-IQ4_XS.gguf"), 0);
    assert_false(is_there(in_snapshot(w, "Model-33B-IQ4_XS.gguf")));
}

static void doors_that_are_closed_say_how_they_open(void **state) {
    world *w = *state;
    w->s.token = "hf_right";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "needs an access token (HF_TOKEN)");
    w->o.token = "hf_wrong";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "terms must be accepted");
    w->o.token = "hf_wrong\r\nX-Evil: 1";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "character 9 of the access token");
    w->o.token = "hf_right";
    assert_int_equal(pull(w, "org/other"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "org/other is not at");
    w->s.status = 403;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "403");
    w->s.status = 0;
    assert_int_equal(pull(w, "org/model-GGUF:Q5_K_M"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "has no Q5_K_M; there are: IQ4_XS, Q4_K_M");
    w->o.mmproj = "Q8_0";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "no mmproj file of type Q8_0");
    w->o.mmproj = NULL;
    w->o.revision = "../../x";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    w->o.revision = "nothere";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "at revision nothere");
}

static void redirects_that_lead_astray(void **state) {
    static const struct {
        const char *location, *says;
    } cases[] = {{"loop", "limit of 5 redirects"},
                 {"file:///etc/passwd", "only http and https"},
                 {"gopher://127.0.0.1/x", "only http and https"},
                 {"http://", "http"}};
    world *w = *state;
    w->o.mmproj = "none";
    w->o.retries = 0;
    for (size_t i = 0; i < 4; i++) {
        w->s.location = cases[i].location;
        assert_true(pull(w, "org/model-GGUF") != EXAONE_OK);
        assert_says(w, cases[i].says);
        if (i == 0) { /* two answers of the API, the licence, and the file six times */
            assert_int_equal(w->s.n_endpoint, 9);
        }
    }
}

static void servers_that_lie(void **state) {
    world *w = *state;
    w->o.mmproj = "none";
    w->s.lie_total = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    assert_says(w, "answered");
    w->s.lie_total = false;
    w->s.lie_first = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    w->s.lie_first = false;
    w->s.lie_length = w->s.no_ranges = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    assert_says(w, "the server");
    w->s.lie_length = w->s.no_ranges = false;
    w->s.too_long = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    w->s.too_long = false;
    w->s.endless_header = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_LIMIT);
    assert_says(w, "header");
    w->s.endless_header = false;
    assert_int_equal(pull(w, "org/model-GGUF"), 0); /* the control: nothing of it stayed */
    assert_there(w, "Model-33B-Q4_K_M.gguf");
}

static void lists_that_lie(void **state) {
    world *w = *state;
    w->s.tree =
        "[{\"type\":\"file\",\"path\":\"../../x.gguf\",\"size\":1,\"oid\":\"0123456789012345678901234567890123456789\"}]";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    assert_says(w, "leads out of its folder");
    w->s.tree = "{\"error\":\"x\"}";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    w->s.tree = "[{\"type\":\"file\",\"path\":\"a-Q4_K_M.gguf\",\"size\":1125899906842624,\"lfs\":{\"oid\":"
                "\"0123456789012345678901234567890123456789012345678901234567890123\"}}]";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_IO); /* a petabyte */
    assert_says(w, "are still to come");
    w->s.tree = NULL;
    w->s.revision = "{\"sha\":\"../../../../../../../../../../../etc/passw\"}";
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_FORMAT);
    assert_says(w, "\"sha\"");
    w->s.revision = NULL;
    assert_false(is_there(in_cache(w, "refs")));
}

static void offline_uses_the_cache_alone(void **state) {
    world *w = *state;
    w->o.offline = true;
    assert_int_equal(pull(w, "org/model-GGUF"), EXAONE_ERR_ARGUMENT);
    assert_says(w, "offline");
    w->o.offline = false;
    assert_int_equal(pull(w, "org/model-GGUF"), 0);
    w->o.offline = true;
    hub_server_reset(&w->s);
    exaone_hub_plan plan;
    assert_int_equal(pull_plan(w, "org/model-GGUF:Q4_K_M", &plan), 0);
    assert_string_equal(plan.model, in_snapshot(w, "Model-33B-Q4_K_M.gguf"));
    exaone_hub_plan_free(&plan);
    assert_int_equal(w->s.n_endpoint, 0);
}

/* ---- the cache ---- */

static void found_listed_and_removed(void **state) {
    world *w = *state;
    exaone_hub_name name;
    exaone_hub_list list;
    exaone_hub_removal gone;
    char *path;
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    assert_int_equal(exaone_hub_name_parse("org/model-GGUF:iq4_xs", &name, &w->err), 0);
    assert_int_equal(exaone_hub_find(&name, w->cache, NULL, &path, &w->err), 0);
    assert_string_equal(path, in_snapshot(w, "Model-33B-IQ4_XS.gguf"));
    free(path);
    assert_int_equal(exaone_hub_name_parse("org/model-GGUF:Q8_0", &name, &w->err), 0);
    assert_int_equal(exaone_hub_find(&name, w->cache, NULL, &path, &w->err), EXAONE_ERR_ARGUMENT);
    assert_says(w, "exaone pull org/model-GGUF:Q8_0");
    assert_null(path);
    assert_int_equal(exaone_hub_scan(w->cache, &list, &w->err), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.entries[0].quant, "IQ4_XS");
    assert_string_equal(list.entries[1].quant, "Q4_K_M");
    assert_int_equal(list.entries[1].size, BIG);
    assert_non_null(list.entries[1].mmproj);
    exaone_hub_list_free(&list);
    /* one goes: its link and blob; the mmproj and the other stay */
    assert_int_equal(exaone_hub_name_parse("org/model-GGUF:Q4_K_M", &name, &w->err), 0);
    assert_int_equal(exaone_hub_remove(&name, w->cache, true, &gone, &w->err), 0);
    assert_there(w, "Model-33B-Q4_K_M.gguf");
    assert_int_equal(gone.bytes, BIG);
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), 0);
    assert_int_equal(gone.n_links, 1);
    assert_int_equal(gone.n_blobs, 1);
    assert_false(gone.whole_repo);
    assert_false(is_there(in_snapshot(w, "Model-33B-Q4_K_M.gguf")));
    char below[120];
    snprintf(below, sizeof below, "blobs/%s", served(w, "Model-33B-Q4_K_M.gguf")->hash);
    assert_false(is_there(in_cache(w, below)));
    assert_there(w, "Model-33B-IQ4_XS.gguf");
    assert_there(w, "mmproj-Model-33B-BF16.gguf");
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), EXAONE_ERR_ARGUMENT);
    /* with the last weights the repository goes */
    assert_int_equal(exaone_hub_name_parse("org/model-GGUF:IQ4_XS", &name, &w->err), 0);
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), 0);
    assert_true(gone.whole_repo);
    assert_false(is_there(in_cache(w, ".")));
    assert_int_equal(exaone_hub_scan(w->cache, &list, &w->err), 0);
    assert_int_equal(list.n, 0);
    exaone_hub_list_free(&list);
}

static void blobs_that_are_still_used_stay(void **state) {
    world *w = *state;
    exaone_hub_name name = {.repo = "org/model-GGUF", .quant = "Q4_K_M"};
    exaone_hub_removal gone;
    char target[120], blob[120];
    assert_int_equal(pull(w, "org/model-GGUF:Q4_K_M"), 0);
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    snprintf(target, sizeof target, "../../blobs/%s", served(w, "Model-33B-Q4_K_M.gguf")->hash);
    snprintf(blob, sizeof blob, "blobs/%s", served(w, "Model-33B-Q4_K_M.gguf")->hash);
    assert_int_equal(symlink(target, in_snapshot(w, "another-name.bin")), 0);
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), 0);
    assert_int_equal(gone.n_blobs, 0);
    assert_int_equal(gone.bytes, 0);
    assert_true(is_there(in_cache(w, blob)));
    assert_false(is_there(in_snapshot(w, "Model-33B-Q4_K_M.gguf")));
}

static void removing_stays_in_the_cache(void **state) {
    world *w = *state;
    exaone_hub_name name = {.repo = "org/model-GGUF"};
    exaone_hub_removal gone;
    const char *precious = scratch_write_text("precious/file.gguf", "mine");
    assert_int_equal(pull(w, "org/model-GGUF:IQ4_XS"), 0);
    char folder[1000];
    snprintf(folder, sizeof folder, "%s", precious);
    *strrchr(folder, '/') = 0;
    /* a link to a folder and one to a file outside, in the place of files of the snapshot */
    assert_int_equal(symlink(folder, in_snapshot(w, "outside")), 0);
    assert_int_equal(symlink(precious, in_snapshot(w, "Model-33B-Q8_0.gguf")), 0);
    snprintf(name.quant, sizeof name.quant, "Q8_0");
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), 0);
    assert_int_equal(gone.bytes, 0); /* what lies outside does not become free */
    assert_false(is_there(in_snapshot(w, "Model-33B-Q8_0.gguf")));
    assert_true(is_there(precious));
    name.quant[0] = 0;
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), 0);
    assert_false(is_there(in_cache(w, ".")));
    assert_true(is_there(precious));
    /* the repository itself is a link */
    char path[1200];
    snprintf(path, sizeof path, "%s/models--org--model-GGUF", w->cache);
    assert_int_equal(symlink(folder, path), 0);
    assert_int_equal(exaone_hub_remove(&name, w->cache, false, &gone, &w->err), EXAONE_ERR_IO);
    assert_true(is_there(precious));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_layout_is_the_hubs),
        CASE(nothing_is_fetched_twice),
        CASE(redirects_go_without_the_token),
        CASE(an_expired_address_is_asked_for_again),
        CASE(cut_connections_are_continued),
        CASE(a_server_without_ranges_is_streamed),
        CASE(a_stopped_pull_is_continued),
        CASE(a_spoilt_beginning_is_found_and_fetched_again),
        CASE(split_files_come_whole),
        CASE(folders_come_without_a_type),
        CASE(lists_come_in_pages),
        CASE(busy_and_broken_servers_are_waited_for),
        CASE(a_silent_server_is_left),
        CASE(two_pulls_at_once_share),
        CASE(wrong_bytes_are_thrown_away),
        CASE(doors_that_are_closed_say_how_they_open),
        CASE(redirects_that_lead_astray),
        CASE(servers_that_lie),
        CASE(lists_that_lie),
        CASE(offline_uses_the_cache_alone),
        CASE(found_listed_and_removed),
        CASE(blobs_that_are_still_used_stay),
        CASE(removing_stays_in_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
