/* Sources: data URIs, files, and URLs against a small HTTP server that runs in a thread of this test on 127.0.0.1 and ::1.
 * Nothing outside this machine is contacted: every refused address is refused before a socket exists. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/address.h"
#include "exaone/source.h"
#include "media/fetch.h"

/* ---- the server
 * ------------------------------------------------------------------------------------------------------------- */

static int listener = -1, port;
static int n_requests; /* under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t server;

static bool put(int fd, const char *text, size_t n) {
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        text += sent;
        n -= (size_t)sent;
    }
    return true;
}

static void answer(int fd, const char *path) {
    static const char chunk[4096] = {'x'};
    char text[1024];
    int n = 0;
    if (!strcmp(path, "/ok")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    } else if (!strcmp(path, "/gzip")) { /* stays as it is */
        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08z");
    } else if (!strcmp(path, "/loop")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
    } else if (!strcmp(path, "/to-ok")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 307 T\r\nLocation: ok\r\nContent-Length: 3\r\n\r\nabc");
    } else if (!strcmp(path, "/to-file")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    } else if (!strcmp(path, "/to-gopher")) {
        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 302 Found\r\nLocation: gopher://127.0.0.1:%d/ok\r\nContent-Length: 0\r\n\r\n", port);
    } else if (!strcmp(path, "/to-other")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 301 M\r\nLocation: http://127.0.0.2:%d/ok\r\nContent-Length: 0\r\n\r\n",
                     port);
    } else if (!strcmp(path, "/short")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello");
    } else if (!strcmp(path, "/huge")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nhello");
    } else if (!strcmp(path, "/empty")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    } else if (!strcmp(path, "/garbage")) {
        n = snprintf(text, sizeof(text), "what is this\r\n\r\n");
    } else if (!strcmp(path, "/endless") || !strcmp(path, "/headers")) {
        bool body = !strcmp(path, "/endless");
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s", body ? "\r\n" : "");
        bool open = put(fd, text, (size_t)n);
        n = 0;
        while (open) {
            open = body ? put(fd, chunk, sizeof(chunk)) : put(fd, "X-Header: some value of a header\r\n", 34);
        }
    } else if (!strcmp(path, "/slow")) {
        n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n\r\n");
        bool open = put(fd, text, (size_t)n);
        n = 0;
        for (int i = 0; open && i < 100; i++) {
            open = put(fd, "x", 1);
            usleep(50000);
        }
    } else {
        n = snprintf(text, sizeof(text), "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    }
    put(fd, text, (size_t)n);
}

static void *serve(void *arg) {
    (void)arg;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        pthread_mutex_lock(&lock);
        n_requests++;
        pthread_mutex_unlock(&lock);
        char request[4096], path[256] = "";
        ssize_t n = recv(fd, request, sizeof(request) - 1, 0);
        if (n > 0) {
            request[n] = 0;
            sscanf(request, "GET %255s", path);
            answer(fd, path);
        }
        close(fd);
    }
}

static int start_server(void **state) {
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof(a);
    listener = socket(AF_INET, SOCK_STREAM, 0); /* all of 127/8: redirects go to 127.0.0.2 */
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&a, &size)) {
        return 1;
    }
    port = ntohs(a.sin_port);
    return pthread_create(&server, NULL, serve, NULL);
}

static int stop_server(void **state) {
    (void)state;
    shutdown(listener, SHUT_RDWR);
    pthread_join(server, NULL);
    close(listener);
    return 0;
}

static int requests(void) {
    pthread_mutex_lock(&lock);
    int n = n_requests;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ---- URLs
 * ------------------------------------------------------------------------------------------------------------------- */

static exaone_source_options open_options(void) {
    exaone_source_options o;
    exaone_source_options_init(&o);
    o.allow_url = true;
    o.allow_private = true;
    o.max_bytes = 100000;
    return o;
}

static exaone_status fetch(const char *path, const exaone_source_options *o, exaone_error *err) {
    char url[512];
    uint8_t *bytes;
    size_t n;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    exaone_status status = exaone_media_load(url, o, &bytes, &n, err);
    if (status) {
        assert_null(bytes);
        assert_true(err->message[0] != 0);
    } else {
        assert_int_equal(bytes[n], 0);
    }
    free(bytes);
    return status;
}

static void urls_are_fetched(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    char url[128];
    uint8_t *bytes;
    size_t n;
    exaone_error err;
    const char *paths[] = {"ok", "to-ok"};
    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", port, paths[i]);
        if (exaone_url_fetch(url, &o, &bytes, &n, &err)) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(n, 5);
        assert_string_equal((char *)bytes, "hello");
        free(bytes);
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/gzip", port);
    assert_int_equal(exaone_url_fetch(url, &o, &bytes, &n, &err), EXAONE_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "\x1f\x8b\x08z", 4);
    free(bytes);
}

static void options_are_asked_for(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    exaone_error err;
    int before = requests();
    assert_int_equal(fetch("/ok", NULL, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "allow_url"));
    o.allow_private = false;
    assert_int_equal(fetch("/ok", &o, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_non_null(strstr(err.message, "allow_private"));
    assert_int_equal(requests(), before);
}

/* Every spelling of an address that is not public. */
static void private_addresses_are_refused(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    o.allow_private = false;
    o.connect_timeout_ms = 2000;
    o.total_timeout_ms = 2000;
    const char *hosts[] = {"127.0.0.1",
                           "[::1]",
                           "0.0.0.0",
                           "169.254.169.254",
                           "2130706433",
                           "[::ffff:127.0.0.1]",
                           "127.1",
                           "0x7f000001",
                           "017700000001",
                           "10.0.0.1",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "100.64.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "[::]",
                           "[fe80::1]",
                           "[fc00::1]",
                           "[ff02::1]",
                           "[64:ff9b::7f00:1]",
                           "[::127.0.0.1]",
                           "[::ffff:a00:1]",
                           "[2002:7f00:1::]",
                           "localhost",
                           "user:password@127.0.0.1"};
    int before = requests();
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char url[128];
        uint8_t *bytes;
        size_t n;
        exaone_error err;
        snprintf(url, sizeof(url), "http://%s:%d/ok", hosts[i], port);
        exaone_status status = exaone_media_load(url, &o, &bytes, &n, &err);
        if (status != EXAONE_ERR_ARGUMENT) {
            fail_msg("%s: status %d, %s", url, (int)status, err.message);
        }
    }
    assert_int_equal(requests(), before);
}

static bool judge(const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (strchr(text, ':')) {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        return exaone_address_is_public((struct sockaddr *)&v6);
    }
    assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
    return exaone_address_is_public((struct sockaddr *)&v4);
}

static void addresses_are_judged(void **state) {
    (void)state;
    const char *public[] = {"1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
                            "172.15.255.255",  "172.32.0.0",      "192.167.255.255", "192.169.0.0",    "198.17.255.255",
                            "198.20.0.0",      "223.255.255.255", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808",
                            "2002:808:808::1", "2a00::1"};
    const char *private[] = {"0.0.0.0",
                             "0.1.2.3",
                             "10.255.255.255",
                             "100.64.0.0",
                             "100.127.255.255",
                             "127.0.0.1",
                             "127.255.255.255",
                             "169.254.0.0",
                             "172.16.0.0",
                             "172.31.255.255",
                             "192.0.0.1",
                             "192.0.2.1",
                             "192.88.99.1",
                             "192.168.0.0",
                             "198.18.0.0",
                             "198.19.255.255",
                             "198.51.100.1",
                             "203.0.113.1",
                             "224.0.0.0",
                             "239.255.255.255",
                             "240.0.0.0",
                             "255.255.255.255",
                             "::",
                             "::1",
                             "::2",
                             "::ffff:10.0.0.1",
                             "64:ff9b::a00:1",
                             "64:ff9b:1::1",
                             "100::1",
                             "2001::1",
                             "2001:db8::1",
                             "2002:a00:1::1",
                             "fc00::1",
                             "fdff::1",
                             "fe80::1",
                             "fec0::1",
                             "ff00::1",
                             "::7f00:1",
                             "3fff::1",
                             "4000::1"};
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        if (!judge(public[i])) {
            fail_msg("%s is public", public[i]);
        }
    }
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        if (judge(private[i])) {
            fail_msg("%s is not public", private[i]);
        }
    }
}

static bool only_the_first(const struct sockaddr *a) {
    return a->sa_family == AF_INET && ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr == htonl(0x7f000001);
}

static void redirects_are_checked(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    exaone_error err;
    assert_int_equal(fetch("/loop", &o, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "limit of 5 redirects"));
    int before = requests();
    o.max_redirects = 0;
    assert_int_equal(fetch("/loop", &o, &err), EXAONE_ERR_LIMIT);
    assert_int_equal(requests(), before + 1);
    o.max_redirects = 5;
    assert_int_equal(fetch("/to-file", &o, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "\"file\""));
    assert_int_equal(fetch("/to-gopher", &o, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "\"gopher\""));
    /* the second hop is judged like the first: 127.0.0.1 stands for a public address here, 127.0.0.2 for a private one */
    char url[64];
    uint8_t *bytes;
    size_t n;
    before = requests();
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/to-other", port);
    assert_int_equal(exaone_url_fetch_with(url, &o, only_the_first, &bytes, &n, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "127.0.0.2"));
    assert_int_equal(requests(), before + 1);
    assert_int_equal(exaone_url_fetch(url, &o, &bytes, &n, &err), EXAONE_OK); /* and without the rule it works */
    free(bytes);
}

static long ms_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

static void bad_answers(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    exaone_error err;
    assert_int_equal(fetch("/none", &o, &err), EXAONE_ERR_IO);
    assert_non_null(strstr(err.message, "404"));
    assert_int_equal(fetch("/short", &o, &err), EXAONE_ERR_IO);
    assert_int_equal(fetch("/empty", &o, &err), EXAONE_ERR_IO);
    assert_int_equal(fetch("/garbage", &o, &err), EXAONE_ERR_IO);
    const char *large[] = {"/huge", "/endless"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fetch(large[i], &o, &err), EXAONE_ERR_LIMIT);
        assert_non_null(strstr(err.message, "100000"));
    }
    assert_int_equal(fetch("/headers", &o, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "header"));
    /* exactly the limit is fine */
    o.max_bytes = 5;
    assert_int_equal(fetch("/ok", &o, &err), EXAONE_OK);
    o.max_bytes = 4;
    assert_int_equal(fetch("/ok", &o, &err), EXAONE_ERR_LIMIT);
}

static void slow_answers(void **state) {
    (void)state;
    exaone_error err;
    struct timespec start;
    exaone_source_options o = open_options();
    o.total_timeout_ms = 300;
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(fetch("/slow", &o, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "300 ms"));
    assert_true(ms_since(&start) < 2500); /* the server itself would take 5 s */
    o = open_options();
    o.low_speed_seconds = 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(fetch("/slow", &o, &err), EXAONE_ERR_LIMIT);
    assert_true(ms_since(&start) < 4500);
    volatile int cancel = 1;
    o.cancel = &cancel;
    assert_int_equal(fetch("/slow", &o, &err), EXAONE_ERR_CANCELLED);
}

/* A proxy in the environment is not asked. */
static void environment_is_ignored(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    exaone_error err;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    exaone_status status = fetch("/ok", &o, &err);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(status, EXAONE_OK);
}

static void bad_urls(void **state) {
    (void)state;
    exaone_source_options o = open_options();
    exaone_error err;
    uint8_t *bytes;
    size_t n;
    const char *urls[] = {"http://",
                          "http://:80/",
                          "http://a b/",
                          "file:///etc/passwd",
                          "FILE:/etc/passwd",
                          "gopher://h/",
                          "ftp://h/x",
                          "smb://h/x",
                          "ldap://h",
                          "dict://h:1/",
                          "https+unix://a/b",
                          "http://[::1",
                          "http://127.0.0.1:99999/",
                          ""};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        exaone_status status = exaone_media_load(urls[i], &o, &bytes, &n, &err);
        if (status != EXAONE_ERR_ARGUMENT) {
            fail_msg("%s: status %d, %s", urls[i], (int)status, err.message);
        }
    }
    char *longest = calloc(1, 20001);
    memset(longest, 'a', 20000);
    memcpy(longest, "http://", 7);
    assert_int_equal(exaone_media_load(longest, &o, &bytes, &n, &err), EXAONE_ERR_LIMIT);
    free(longest);
    o.total_timeout_ms = 0;
    assert_int_equal(fetch("/ok", &o, &err), EXAONE_ERR_ARGUMENT);
}

static void *fetch_many(void *arg) {
    exaone_source_options o = open_options();
    intptr_t wrong = 0;
    for (int i = 0; i < 10; i++) {
        char url[64];
        uint8_t *bytes;
        size_t n;
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/ok", port);
        wrong += exaone_url_fetch(url, &o, &bytes, &n, NULL) != EXAONE_OK;
        free(bytes);
    }
    *(intptr_t *)arg = wrong;
    return NULL;
}

static void threads_may_fetch(void **state) {
    (void)state;
    pthread_t threads[4];
    intptr_t wrong[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_many, &wrong[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

/* ---- data URIs and files
 * ---------------------------------------------------------------------------------------------------- */

static void data_uris_are_decoded(void **state) {
    (void)state;
    const struct {
        const char *uri, *want;
    } good[] = {
        {"data:,hello", "hello"},
        {"data:text/plain,a%20b%2Cc", "a b,c"},
        {"data:;base64,aGVsbG8=", "hello"},
        {"DATA:image/png;BASE64,aGVsbG8=", "hello"},
        {"data:image/png;charset=x;base64,aGVsbG8", "hello"}, /* padding left off */
        {"data:image/png; base64 ,aGVs\r\n bG8=\n", "hello"}, /* white space */
        {"data:image/png;base64,aGVs%0AbG8%3D", "hello"},     /* percent-encoded */
        {"data:;base64,Pz8_-w==", "?\?\?\xfb"},               /* URL-safe letters */
        {"data:;base64,Pz8/+w==", "?\?\?\xfb"},
        {"data:;base64,", ""},
        {"data:,", ""},
        {"data:base64,aGVsbG8=", "aGVsbG8="}, /* no ';': not base64 */
        {"data:;base64x,ab", "ab"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint8_t *bytes;
        size_t n;
        exaone_error err;
        if (exaone_media_load(good[i].uri, NULL, &bytes, &n, &err)) {
            fail_msg("%s: %s", good[i].uri, err.message);
        }
        assert_int_equal(n, strlen(good[i].want));
        assert_memory_equal(bytes, good[i].want, n + 1);
        free(bytes);
    }
}

static void broken_data_uris(void **state) {
    (void)state;
    const char *bad[] = {"data:",
                         "data:image/png;base64",
                         "data:;base64,a",
                         "data:;base64,aGVsb",
                         "data:;base64,aGVsbG8==",
                         "data:;base64,aGVs=",
                         "data:;base64,aGVs====",
                         "data:;base64,aGVsbG8=aGVs",
                         "data:;base64,aGV*",
                         "data:;base64,====",
                         "data:;base64,aGVs%",
                         "data:;base64,aGVs%4",
                         "data:;base64,aGVs%00",
                         "data:,a%",
                         "data:,a%zz",
                         "data:;base64,\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t *bytes;
        size_t n;
        exaone_error err;
        exaone_status status = exaone_media_load(bad[i], NULL, &bytes, &n, &err);
        if (status != EXAONE_ERR_FORMAT) {
            fail_msg("%s: %d", bad[i], (int)status);
        }
        assert_null(bytes);
    }
}

static void large_data_uris(void **state) {
    (void)state;
    /* 1 GB of text against the default limit: refused by its length, its pages are never touched */
    size_t len = (size_t)1 << 30;
    char *uri = calloc(len, 1);
    assert_non_null(uri);
    memcpy(uri, "data:;base64,", 13);
    exaone_source_options o;
    exaone_source_options_init(&o);
    uint8_t *bytes;
    size_t n;
    exaone_error err;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(exaone_data_uri_decode(uri, len, o.max_bytes, &bytes, &n, &err), EXAONE_ERR_LIMIT);
    assert_non_null(strstr(err.message, "268435456"));
    print_message("1 GB refused after %ld ms\n", ms_since(&start));
    free(uri);
    assert_int_equal(exaone_data_uri_decode("data:;base64,aGVsbG8=", 21, 4, &bytes, &n, &err), EXAONE_ERR_LIMIT);
    assert_int_equal(exaone_data_uri_decode("data:;base64,aGVsbG8=", 21, 5, &bytes, &n, &err), EXAONE_OK);
    free(bytes);
}

static void files_are_read(void **state) {
    (void)state;
    exaone_source_options o;
    exaone_source_options_init(&o);
    uint8_t *bytes;
    size_t n;
    exaone_error err;
    const char *path = "tests/golden/edges/video/gif.gif";
    assert_int_equal(exaone_media_load(path, &o, &bytes, &n, &err), EXAONE_OK);
    assert_int_equal(n, 97255);
    assert_int_equal(exaone_media_sniff(bytes, n), EXAONE_MEDIA_IMAGE);
    free(bytes);
    o.max_bytes = 97254;
    assert_int_equal(exaone_media_load(path, &o, &bytes, &n, &err), EXAONE_ERR_LIMIT);
    o.allow_files = false;
    assert_int_equal(exaone_media_load(path, &o, &bytes, &n, &err), EXAONE_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "allow_files"));
    o.allow_files = true;
    assert_int_equal(exaone_media_load("tests", &o, &bytes, &n, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_media_load("/dev/zero", &o, &bytes, &n, &err), EXAONE_ERR_IO);
    assert_int_equal(exaone_media_load("no/such/file", &o, &bytes, &n, &err), EXAONE_ERR_IO);
}

static void kinds_are_told(void **state) {
    (void)state;
    assert_int_equal(exaone_source_classify("a/b.png"), EXAONE_SOURCE_PATH);
    assert_int_equal(exaone_source_classify("C:\\a.png"), EXAONE_SOURCE_PATH);
    assert_int_equal(exaone_source_classify("12:30.png"), EXAONE_SOURCE_PATH);
    assert_int_equal(exaone_source_classify("photo:1.png"), EXAONE_SOURCE_PATH);
    assert_int_equal(exaone_source_classify("HTTPS://h/a.png"), EXAONE_SOURCE_URL);
    assert_int_equal(exaone_source_classify("data:,x"), EXAONE_SOURCE_DATA_URI);
    assert_int_equal(exaone_source_classify("file:a"), EXAONE_SOURCE_REFUSED);
    assert_int_equal(exaone_source_classify("ftp://h/a.png"), EXAONE_SOURCE_REFUSED);
    const struct {
        const char *file;
        exaone_media_kind kind;
    } files[] = {
        {"h264-10fps.mp4", EXAONE_MEDIA_VIDEO},
        {"h264.mkv", EXAONE_MEDIA_VIDEO},
        {"h264-ts.ts", EXAONE_MEDIA_VIDEO},
        {"vp9.webm", EXAONE_MEDIA_VIDEO},
        {"mpeg4.avi", EXAONE_MEDIA_VIDEO},
        {"video.json", EXAONE_MEDIA_UNKNOWN},
        {"../images/jpeg-420.jpg", EXAONE_MEDIA_IMAGE},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[128];
        uint8_t *bytes;
        size_t n;
        exaone_error err;
        snprintf(path, sizeof(path), "tests/golden/edges/video/%s", files[i].file);
        if (exaone_media_load(path, NULL, &bytes, &n, &err)) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(exaone_media_sniff(bytes, n), files[i].kind);
        for (size_t cut = 0; cut < 12; cut++) {
            exaone_media_sniff(bytes, cut);
        }
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_fetched),
        cmocka_unit_test(options_are_asked_for),
        cmocka_unit_test(private_addresses_are_refused),
        cmocka_unit_test(addresses_are_judged),
        cmocka_unit_test(redirects_are_checked),
        cmocka_unit_test(bad_answers),
        cmocka_unit_test(slow_answers),
        cmocka_unit_test(environment_is_ignored),
        cmocka_unit_test(bad_urls),
        cmocka_unit_test(threads_may_fetch),
        cmocka_unit_test(data_uris_are_decoded),
        cmocka_unit_test(broken_data_uris),
        cmocka_unit_test(large_data_uris),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(kinds_are_told),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
