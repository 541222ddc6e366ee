/* Fetching http and https URLs with libcurl, one hop after the other.
 *
 * A URL may come from a stranger. So: only http and https; the address is judged in the callback that opens the socket,
 * where it is the one that will be used, whatever DNS said before; redirects are taken by hand and each is judged anew;
 * size, header size, time and speed are limited; nothing of the environment (proxy, netrc, cookies) is used; the body is
 * taken as it is, never inflated.
 *
 * curl_global_init is process-wide and happens once, at the first fetch. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/error.h"
#include "media/fetch.h"

enum { MAX_HEADER_BYTES = 256 * 1024, MAX_URL_CHARS = 16 * 1024 };

typedef struct {
    const exaone_source_options *options;
    bool (*may_connect)(const struct sockaddr *);
    exaone_buf body;
    size_t header_bytes;
    char refused[INET6_ADDRSTRLEN]; /* the address that may_connect refused last, or "" */
    bool too_large, headers_too_large, out_of_memory, cancelled;
    char curl_text[CURL_ERROR_SIZE];
} transfer;

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void start_curl(void) {
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg) {
    transfer *t = arg;
    size_t n = size * count;
    if (n > t->body.max - t->body.len) {
        t->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (!exaone_buf_append(&t->body, data, n)) {
        t->out_of_memory = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return n;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
    (void)data;
    transfer *t = arg;
    size_t n = size * count;
    if (n > MAX_HEADER_BYTES - t->header_bytes) {
        t->headers_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    t->header_bytes += n;
    return n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void)total, (void)now, (void)up_total, (void)up_now;
    transfer *t = arg;
    t->cancelled = t->options->cancel && *t->options->cancel;
    return t->cancelled;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    transfer *t = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || !t->may_connect(&address->addr)) {
        const struct sockaddr *a = &address->addr;
        if (a->sa_family == AF_INET) {
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, t->refused, sizeof(t->refused));
        } else if (a->sa_family == AF_INET6) {
            inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, t->refused, sizeof(t->refused));
        } else {
            snprintf(t->refused, sizeof(t->refused), "of family %d", a->sa_family);
        }
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool any_address(const struct sockaddr *address) {
    (void)address;
    return true;
}

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* http or https with a host; *host (curl_free) is for messages. */
static exaone_status check_url(const char *url, char **host, exaone_error *err) {
    *host = NULL;
    if (strlen(url) > MAX_URL_CHARS) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the URL has %zu characters, more than the limit of %d", strlen(url),
                           MAX_URL_CHARS);
    }
    CURLU *parts = curl_url();
    if (!parts) {
        return exaone_fail_memory(err, "a URL", strlen(url));
    }
    char *scheme = NULL;
    exaone_status status = EXAONE_OK;
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OK) {
        code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    }
    if (code == CURLUE_OK && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
        status =
            exaone_fail(err, EXAONE_ERR_ARGUMENT, "URLs of the scheme \"%s\" are not fetched, only http and https", scheme);
    } else {
        if (code == CURLUE_OK) {
            code = curl_url_get(parts, CURLUPART_HOST, host, 0);
        }
        if (code == CURLUE_OUT_OF_MEMORY) {
            status = exaone_fail_memory(err, "a URL", strlen(url));
        } else if (code != CURLUE_OK) {
            status = exaone_fail(err, EXAONE_ERR_ARGUMENT, "the URL cannot be understood (error %d of the URL parser)",
                                 (int)code);
        }
    }
    curl_free(scheme);
    curl_url_cleanup(parts);
    return status;
}

static CURLcode set_protocols(CURL *curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

#define SET(name, value)                            \
    if (code == CURLE_OK) {                         \
        code = curl_easy_setopt(curl, name, value); \
    }

static CURLcode configure(CURL *curl, transfer *t, const char *url, long time_left) {
    const exaone_source_options *o = t->options;
    long connect = o->connect_timeout_ms < time_left ? o->connect_timeout_ms : time_left;
    CURLcode code = set_protocols(curl);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROXY, ""); /* also switches the environment's proxies off */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_USERAGENT, "exaone.c");
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(o->max_bytes < INT64_MAX ? o->max_bytes : INT64_MAX));
    SET(CURLOPT_TIMEOUT_MS, time_left);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)o->low_speed_bytes);
    SET(CURLOPT_LOW_SPEED_TIME, (long)o->low_speed_seconds);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, t);
    SET(CURLOPT_ERRORBUFFER, t->curl_text);
    return code;
}

static exaone_status explain(const transfer *t, const char *host, CURLcode code, exaone_error *err) {
    const exaone_source_options *o = t->options;
    if (t->cancelled) {
        return exaone_fail(err, EXAONE_ERR_CANCELLED, "fetching from %s was cancelled", host);
    }
    if (t->too_large || code == CURLE_FILESIZE_EXCEEDED) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the answer of %s is larger than the limit of %zu bytes", host,
                           o->max_bytes);
    }
    if (t->headers_too_large) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "the header of the answer of %s is larger than the limit of %d bytes",
                           host, MAX_HEADER_BYTES);
    }
    if (t->out_of_memory || code == CURLE_OUT_OF_MEMORY) {
        return exaone_fail_memory(err, "the answer to a URL", t->body.len);
    }
    if (t->refused[0]) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "%s is the address %s, which is not public; such addresses are fetched only with the option "
                           "allow_private",
                           host, t->refused);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return exaone_fail(
            err, EXAONE_ERR_LIMIT,
            "fetching from %s took too long (limits: %d ms to connect, %d ms in all, %d bytes per second over %d "
            "seconds)",
            host, o->connect_timeout_ms, o->total_timeout_ms, o->low_speed_bytes, o->low_speed_seconds);
    }
    return exaone_fail(err, EXAONE_ERR_IO, "fetching from %s failed: %s", host,
                       t->curl_text[0] ? t->curl_text : curl_easy_strerror(code));
}

/* One request. On success either *next (free()) is the place to go on, or it is NULL and the body is complete. */
static exaone_status hop(CURL *curl, transfer *t, const char *url, const char *host, long time_left, char **next,
                         exaone_error *err) {
    *next = NULL;
    t->refused[0] = 0;
    t->curl_text[0] = 0;
    t->header_bytes = 0;
    exaone_buf_clear(&t->body);
    CURLcode code = configure(curl, t, url, time_left);
    if (code == CURLE_OK) {
        code = curl_easy_perform(curl);
    }
    if (code != CURLE_OK) {
        return explain(t, host, code, err);
    }
    long answer = 0;
    char *location = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
    if (answer >= 300 && answer < 400 && location) {
        *next = strdup(location);
        return *next ? EXAONE_OK : exaone_fail_memory(err, "a URL", strlen(location));
    }
    if (answer < 200 || answer >= 300) {
        return exaone_fail(err, EXAONE_ERR_IO, "%s answered with status %ld", host, answer);
    }
    return t->body.len > 0 ? EXAONE_OK : exaone_fail(err, EXAONE_ERR_IO, "the answer of %s is empty", host);
}

static exaone_status follow(CURL *curl, transfer *t, const char *url, exaone_error *err) {
    const exaone_source_options *o = t->options;
    long long deadline = now_ms() + o->total_timeout_ms;
    char *current = strdup(url);
    exaone_status status = current ? EXAONE_OK : exaone_fail_memory(err, "a URL", strlen(url));
    for (int hops = 0; current && !status; hops++) {
        char *host = NULL, *next = NULL;
        long long left = deadline - now_ms();
        status = check_url(current, &host, err);
        if (!status && left <= 0) {
            status = explain(t, host, CURLE_OPERATION_TIMEDOUT, err);
        }
        if (!status) {
            status = hop(curl, t, current, host, (long)left, &next, err);
        }
        if (!status && next && hops >= o->max_redirects) {
            status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s redirects once more after the limit of %d redirects", host,
                                 o->max_redirects);
        }
        if (status && hops > 0) {
            status = exaone_fail_context(err, status, "after %d redirects", hops);
        }
        curl_free(host);
        free(current);
        current = next;
    }
    free(current);
    return status;
}

exaone_status exaone_url_fetch_with(const char *url, const exaone_source_options *options,
                                    bool (*may_connect)(const struct sockaddr *), uint8_t **bytes, size_t *n,
                                    exaone_error *err) {
    exaone_source_options defaults;
    *bytes = NULL;
    *n = 0;
    if (!options) {
        exaone_source_options_init(&defaults);
        options = &defaults;
    }
    if (!options->allow_url) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "URLs are not fetched unless the option allow_url is set");
    }
    if (options->max_redirects < 0 || options->connect_timeout_ms <= 0 || options->total_timeout_ms <= 0 ||
        options->low_speed_bytes < 0 || options->low_speed_seconds < 0) {
        return exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            "the limits for URLs must be positive: max_redirects %d, connect_timeout_ms %d, total_timeout_ms %d, "
            "low_speed_bytes %d, low_speed_seconds %d",
            options->max_redirects, options->connect_timeout_ms, options->total_timeout_ms, options->low_speed_bytes,
            options->low_speed_seconds);
    }
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK) {
        return exaone_fail(err, EXAONE_ERR_IO, "libcurl does not start: %s", curl_easy_strerror(curl_ready));
    }
    transfer t = {.options = options, .may_connect = may_connect};
    if (!may_connect) {
        t.may_connect = options->allow_private ? any_address : exaone_address_is_public;
    }
    exaone_buf_init(&t.body, options->max_bytes);
    CURL *curl = curl_easy_init();
    exaone_status status = curl ? follow(curl, &t, url, err) : exaone_fail_memory(err, "a transfer", 0);
    if (curl) {
        curl_easy_cleanup(curl);
    }
    if (!status) {
        *bytes = (uint8_t *)exaone_buf_take(&t.body, n);
        if (!*bytes) {
            status = exaone_fail_memory(err, "the answer to a URL", 0);
        }
    }
    exaone_buf_release(&t.body);
    return status;
}

exaone_status exaone_url_fetch(const char *url, const exaone_source_options *options, uint8_t **bytes, size_t *n,
                               exaone_error *err) {
    return exaone_url_fetch_with(url, options, NULL, bytes, n, err);
}
