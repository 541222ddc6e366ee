/* Requests to the hub, one hop after the other, with libcurl.
 *
 * The endpoint is the user's choice and may have any address. Where it redirects to is not: only http and https, never from
 * https down to http, without the token, and only to public addresses unless the endpoint itself has none. Sizes of headers
 * and answers, the number of redirects, silence and slowness are limited. Nothing of the environment is used: proxy and
 * certificates come from the options.
 *
 * curl_global_init is process-wide and happens once, at the first use. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/error.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { REPORT_MS = 200, MAX_BACKOFF_MS = 30000, MAX_LINK = 8192 };

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready = CURLE_FAILED_INIT;

static void start_curl(void) {
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int64_t exaone_hub_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool exaone_hub_cancelled(const exaone_hub_net *net) {
    return net->o->cancel && *net->o->cancel;
}

void exaone_hub_report(exaone_hub_net *net, bool now) {
    int64_t ms = exaone_hub_now_ms();
    if (net->o->progress && (now || ms - net->last_report_ms >= REPORT_MS)) {
        net->last_report_ms = ms;
        net->o->progress(net->o->progress_arg, &net->progress);
    }
}

static exaone_status cancelled(exaone_error *err) {
    return exaone_fail(err, EXAONE_ERR_CANCELLED, "the download was stopped; what has come is kept and will be continued");
}

exaone_status exaone_hub_wait(exaone_hub_net *net, int64_t ms, const char *reason, exaone_error *err) {
    int64_t end = exaone_hub_now_ms() + ms;
    exaone_hub_phase before = net->progress.phase;
    net->progress.phase = EXAONE_HUB_WAITING;
    net->progress.reason = reason;
    for (int64_t left = ms; left > 0 && !exaone_hub_cancelled(net); left = end - exaone_hub_now_ms()) {
        net->progress.wait_ms = (int)left;
        exaone_hub_report(net, left == ms);
        usleep((useconds_t)(left < 50 ? left : 50) * 1000);
    }
    net->progress.phase = before;
    net->progress.reason = NULL;
    return exaone_hub_cancelled(net) ? cancelled(err) : EXAONE_OK;
}

int64_t exaone_hub_backoff(const exaone_hub_options *o, int failures) {
    int64_t ms = o->retry_ms;
    for (int i = 1; i < failures && ms < MAX_BACKOFF_MS; i++) {
        ms *= 2;
    }
    return ms < MAX_BACKOFF_MS ? ms : MAX_BACKOFF_MS;
}

/* ---- URLs ---- */

void exaone_hub_put_encoded(exaone_buf *out, const char *text, bool slash) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        if (plain || (slash && c == '/')) {
            exaone_buf_putc(out, (char)c);
        } else {
            exaone_buf_printf(out, "%%%02X", c);
        }
    }
}

/* "scheme://host:port" of an http or https URL; *origin: free(). */
static exaone_status origin_of(const char *url, char **origin, exaone_error *err) {
    *origin = NULL;
    if (strlen(url) > EXAONE_HUB_MAX_URL) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "a URL has %zu characters, more than the limit of %d", strlen(url),
                           EXAONE_HUB_MAX_URL);
    }
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    CURLUcode code = parts ? curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) : CURLUE_OUT_OF_MEMORY;
    code = code ? code : curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
    bool known = !code && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    if (known) {
        code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
        code = code ? code : curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    }
    exaone_status status = EXAONE_OK;
    if (code == CURLUE_OUT_OF_MEMORY) {
        status = exaone_fail_memory(err, "a URL", strlen(url));
    } else if (code || (known && !host[0])) {
        status = exaone_fail(err, EXAONE_ERR_ARGUMENT,
                             "the URL \"%.200s\" cannot be understood (error %d of the URL parser)", url, (int)code);
    } else if (!known) {
        status =
            exaone_fail(err, EXAONE_ERR_ARGUMENT, "\"%.200s\": only http and https are used, not \"%.20s\"", url, scheme);
    } else {
        size_t n = strlen(scheme) + strlen(host) + strlen(port) + 5;
        *origin = exaone_mem_array(n, 1);
        status = *origin ? EXAONE_OK : exaone_fail_memory(err, "a URL", n);
        if (*origin) {
            snprintf(*origin, n, "%s://%s:%s", scheme, host, port);
        }
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return status;
}

exaone_status exaone_hub_request_aim(exaone_hub_request *r, const char *url, exaone_error *err) {
    char *origin;
    exaone_status status = origin_of(url, &origin, err);
    if (status) {
        return status;
    }
    bool foreign = strcmp(origin, r->net->origin) != 0;
    if (foreign && strncmp(r->net->origin, "https:", 6) == 0 && strncmp(origin, "https:", 6) != 0) {
        status =
            exaone_fail(err, EXAONE_ERR_FORMAT, "%s redirects from https to %s, which is refused", r->net->origin, origin);
    } else {
        char *copy = exaone_mem_string(url, strlen(url));
        if (copy) {
            free(r->url);
            r->url = copy;
            r->foreign = foreign;
        } else {
            status = exaone_fail_memory(err, "a URL", strlen(url));
        }
    }
    free(origin);
    return status;
}

/* ---- headers ---- */

static bool read_number(const char **at, uint64_t *out) {
    const char *p = *at;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (v > (UINT64_MAX - 9) / 10) {
            return false;
        }
        v = v * 10 + (uint64_t)(*p - '0');
    }
    *out = v;
    bool any = p > *at;
    *at = p;
    return any;
}

bool exaone_hub_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total) {
    if (strncasecmp(value, "bytes ", 6) != 0) {
        return false;
    }
    value += 6;
    if (!read_number(&value, first) || *value++ != '-' || !read_number(&value, last) || *value++ != '/' || *last < *first) {
        return false;
    }
    if (*value == '*') {
        *total = UINT64_MAX;
        return value[1] == 0;
    }
    return read_number(&value, total) && *value == 0 && *last < *total;
}

char *exaone_hub_link_next(const char *value) {
    while ((value = strchr(value, '<'))) {
        const char *end = strchr(value, '>');
        if (!end) {
            return NULL;
        }
        const char *next = strchr(end, '<'), *rel = strcasestr(end, "rel=\"next\"");
        if (rel && (!next || rel < next)) {
            return exaone_mem_string(value + 1, (size_t)(end - value) - 1);
        }
        value = end;
    }
    return NULL;
}

/* The value behind "name:" without white space around, or NULL. */
static char *header_value(char *line, const char *name) {
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':') {
        return NULL;
    }
    char *value = line + n + 1, *end = line + strlen(line);
    while (*value == ' ' || *value == '\t') {
        value++;
    }
    while (end > value && strchr(" \t\r\n", end[-1])) {
        *--end = 0;
    }
    return value;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg) {
    exaone_hub_request *r = arg;
    size_t n = size * count;
    char line[MAX_LINK];
    if (n > EXAONE_HUB_MAX_HEADER - r->header_bytes) {
        r->headers_too_large = true;
        return 0;
    }
    r->header_bytes += n;
    if (n >= sizeof line) {
        return n;
    }
    memcpy(line, data, n);
    line[n] = 0;
    char *value;
    if ((value = header_value(line, "Content-Range"))) {
        r->has_range = exaone_hub_content_range(value, &r->range_first, &r->range_last, &r->range_total);
    } else if ((value = header_value(line, "Link"))) {
        exaone_buf_clear(&r->link);
        exaone_buf_puts(&r->link, value);
    } else if ((value = header_value(line, "X-Error-Code"))) {
        snprintf(r->error_code, sizeof r->error_code, "%.63s", value);
    }
    return n;
}

/* ---- requests ---- */

bool exaone_hub_may_connect(bool foreign, bool endpoint_private, const struct sockaddr *address) {
    return !foreign || endpoint_private || exaone_address_is_public(address);
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    exaone_hub_request *r = arg;
    (void)purpose;
    if (!r->net->o->proxy) {
        if (!r->foreign && !exaone_address_is_public(&address->addr)) {
            r->net->endpoint_private = true;
        }
        if (!exaone_hub_may_connect(r->foreign, r->net->endpoint_private, &address->addr)) {
            r->refused_address = true;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
    (void)total, (void)now, (void)up_total, (void)up_now;
    exaone_hub_request *r = arg;
    return exaone_hub_cancelled(r->net);
}

static CURLcode set_protocols(CURL *curl) {
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

#define SET(name, value)                               \
    if (code == CURLE_OK) {                            \
        code = curl_easy_setopt(r->easy, name, value); \
    }

exaone_status exaone_hub_request_set(exaone_hub_request *r, exaone_error *err) {
    const exaone_hub_options *o = r->net->o;
    r->header_bytes = 0;
    r->headers_too_large = r->refused_address = r->out_of_memory = r->has_range = false;
    r->error_code[0] = r->curl_text[0] = 0;
    exaone_buf_clear(&r->link);
    curl_easy_reset(r->easy);
    CURLcode code = set_protocols(r->easy);
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_PROXY, o->proxy ? o->proxy : ""); /* "" also switches the environment's proxies off */
    SET(CURLOPT_NOPROXY, o->no_proxy ? o->no_proxy : "");
    if (o->ca_file) {
        SET(CURLOPT_CAINFO, o->ca_file);
    }
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* HTTP/2 would put all ranges on one connection */
    SET(CURLOPT_USERAGENT, "exaone.c");
    SET(CURLOPT_HTTPHEADER, r->foreign ? NULL : r->net->authorization);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)o->low_speed_bytes);
    SET(CURLOPT_LOW_SPEED_TIME, (long)o->low_speed_seconds);
    SET(CURLOPT_BUFFERSIZE, 256L * 1024);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, r);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, r);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, r);
    SET(CURLOPT_ERRORBUFFER, r->curl_text);
    SET(CURLOPT_PRIVATE, r);
    return code ? exaone_fail(err, EXAONE_ERR_IO, "libcurl refuses a setting: %s", curl_easy_strerror(code)) : EXAONE_OK;
}

void exaone_hub_request_release(exaone_hub_request *r) {
    if (r->easy) {
        curl_easy_cleanup(r->easy);
    }
    free(r->url);
    exaone_buf_release(&r->link);
    r->easy = NULL;
    r->url = NULL;
}

/* Faults of the line, which another attempt may not meet. */
static bool passes(CURLcode code) {
    static const CURLcode list[] = {CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
                                    CURLE_COULDNT_CONNECT,      CURLE_OPERATION_TIMEDOUT,
                                    CURLE_RECV_ERROR,           CURLE_SEND_ERROR,
                                    CURLE_PARTIAL_FILE,         CURLE_GOT_NOTHING,
                                    CURLE_SSL_CONNECT_ERROR,    CURLE_HTTP2,
                                    CURLE_HTTP2_STREAM,         CURLE_WEIRD_SERVER_REPLY};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (list[i] == code) {
            return true;
        }
    }
    return false;
}

static void tell_status(const exaone_hub_request *r, long answer, const char *what, exaone_error *err) {
    const char *site = r->net->endpoint;
    bool token = r->net->authorization;
    if (answer == 401 || answer == 403) {
        exaone_fail(
            err, EXAONE_ERR_ARGUMENT,
            token
                ? "%s: access denied (status %ld%s%s): the access token does not allow it, the name is wrong, or the terms "
                  "must be accepted first at %s"
                : "%s: access denied (status %ld%s%s): the name is wrong, or it needs an access token (HF_TOKEN) of an "
                  "account that has accepted the terms at %s",
            what, answer, r->error_code[0] ? ", " : "", r->error_code, site);
    } else if (answer == 404) {
        exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is not at %s (status 404%s%s)", what, site, r->error_code[0] ? ", " : "",
                    r->error_code);
    } else if (answer == 429) {
        exaone_fail(err, EXAONE_ERR_IO,
                    "%s: %s asks for fewer requests (status 429); an access token (HF_TOKEN) raises the limit", what, site);
    } else {
        exaone_fail(err, EXAONE_ERR_IO, "%s: %s answered with status %ld%s%s", what, r->foreign ? "the file server" : site,
                    answer, r->error_code[0] ? ", " : "", r->error_code);
    }
}

static exaone_hub_outcome judge_line(exaone_hub_request *r, CURLcode code, const char *what, exaone_error *err) {
    const exaone_hub_options *o = r->net->o;
    if (exaone_hub_cancelled(r->net)) {
        (void)cancelled(err);
        return EXAONE_HUB_FAILED;
    }
    if (r->headers_too_large) {
        exaone_fail(err, EXAONE_ERR_LIMIT, "%s: the header of the answer is larger than the limit of %d bytes", what,
                    EXAONE_HUB_MAX_HEADER);
        return EXAONE_HUB_FAILED;
    }
    if (r->refused_address) {
        exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the redirect leads to an address that is not public", what);
        return EXAONE_HUB_FAILED;
    }
    if (code == CURLE_OUT_OF_MEMORY || r->out_of_memory) {
        exaone_fail_memory(err, "a transfer", 0);
        return EXAONE_HUB_FAILED;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        exaone_fail(err, EXAONE_ERR_IO, "%s: too slow (limits: %d ms to connect, %d bytes per second over %d seconds)", what,
                    o->connect_timeout_ms, o->low_speed_bytes, o->low_speed_seconds);
        return EXAONE_HUB_AGAIN;
    }
    exaone_fail(err, EXAONE_ERR_IO, "%s: %s", what, r->curl_text[0] ? r->curl_text : curl_easy_strerror(code));
    return passes(code) ? EXAONE_HUB_AGAIN : EXAONE_HUB_FAILED;
}

exaone_hub_outcome exaone_hub_request_judge(exaone_hub_request *r, CURLcode code, const char *what, int64_t *wait_ms,
                                            exaone_error *err) {
    const exaone_hub_options *o = r->net->o;
    long answer = 0;
    curl_off_t after = 0;
    *wait_ms = -1;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &answer);
    /* The body of an answer that is no success is not wanted: its end or size is not looked at. */
    if (code && (answer < 300 || r->headers_too_large || code != CURLE_WRITE_ERROR)) {
        return judge_line(r, code, what, err);
    }
    if (answer == 200 || answer == 206) {
        return EXAONE_HUB_DONE;
    }
    char *location = NULL;
    curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &location);
    if (answer >= 300 && answer < 400 && location) {
        if (++r->hops > o->max_redirects) {
            exaone_fail(err, EXAONE_ERR_LIMIT, "%s: one more redirect after the limit of %d redirects", what,
                        o->max_redirects);
            return EXAONE_HUB_FAILED;
        }
        char *next = exaone_mem_string(location, strlen(location));
        exaone_status status =
            next ? exaone_hub_request_aim(r, next, err) : exaone_fail_memory(err, "a URL", strlen(location));
        free(next);
        if (status) {
            exaone_fail_context(err, status, "%s", what);
            return EXAONE_HUB_FAILED;
        }
        return EXAONE_HUB_REDIRECT;
    }
    tell_status(r, answer, what, err);
    if (answer != 408 && answer != 429 && answer < 500) {
        return EXAONE_HUB_FAILED;
    }
    curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
    if (after > o->retry_after_max_s) {
        exaone_fail(err, EXAONE_ERR_IO, "%s: status %ld, and the server asks to wait %lld seconds; the limit is %d", what,
                    answer, (long long)after, o->retry_after_max_s);
        return EXAONE_HUB_FAILED;
    }
    *wait_ms = after > 0 ? (int64_t)after * 1000 : -1;
    return EXAONE_HUB_AGAIN;
}

/* ---- whole answers ---- */

typedef struct text_sink {
    exaone_hub_request *request;
    exaone_buf *body;
    bool too_large;
} text_sink;

static size_t on_text(char *data, size_t size, size_t count, void *arg) {
    text_sink *sink = arg;
    size_t n = size * count;
    if (!exaone_buf_append(sink->body, data, n)) {
        sink->too_large = !sink->body->starved;
        sink->request->out_of_memory = sink->body->starved;
        return n + 1; /* an error for libcurl, whatever n is */
    }
    return n;
}

static exaone_status get(exaone_hub_net *net, exaone_hub_request *r, const char *what, exaone_buf *body, exaone_error *err) {
    for (int failures = 0;;) {
        text_sink sink = {.request = r, .body = body};
        int64_t wait_ms;
        exaone_buf_clear(body);
        exaone_status status = exaone_hub_request_set(r, err);
        if (status) {
            return status;
        }
        curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_text);
        curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, &sink);
        exaone_hub_report(net, false);
        CURLcode code = curl_easy_perform(r->easy);
        if (sink.too_large) {
            return exaone_fail(err, EXAONE_ERR_LIMIT, "%s: the answer is larger than the limit of %d bytes", what,
                               EXAONE_HUB_MAX_ANSWER);
        }
        exaone_error fault = {0};
        exaone_hub_outcome outcome = exaone_hub_request_judge(r, code, what, &wait_ms, &fault);
        if (outcome == EXAONE_HUB_DONE) {
            return EXAONE_OK;
        }
        if (outcome == EXAONE_HUB_FAILED || (outcome == EXAONE_HUB_AGAIN && ++failures > net->o->retries)) {
            return exaone_fail(err, fault.code, "%s", fault.message);
        }
        if (outcome == EXAONE_HUB_AGAIN) {
            status = exaone_hub_wait(net, wait_ms >= 0 ? wait_ms : exaone_hub_backoff(net->o, failures), fault.message, err);
            if (status) {
                return status;
            }
        }
    }
}

exaone_status exaone_hub_get(exaone_hub_net *net, const char *url, const char *what, exaone_buf *body, char **next,
                             exaone_error *err) {
    exaone_hub_request r = {.net = net, .easy = curl_easy_init()};
    *next = NULL;
    exaone_buf_init(&r.link, MAX_LINK);
    exaone_status status = r.easy ? exaone_hub_request_aim(&r, url, err) : exaone_fail_memory(err, "a transfer", 0);
    if (!status) {
        status = get(net, &r, what, body, err);
    }
    if (!status && r.link.len && strcasestr(r.link.data, "rel=\"next\"")) {
        *next = exaone_hub_link_next(r.link.data);
        char *origin = NULL;
        status = *next ? origin_of(*next, &origin, err) : exaone_fail_memory(err, "a URL", r.link.len);
        if (!status && strcmp(origin, net->origin) != 0) {
            status =
                exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the next page is at %s instead of %s", what, origin, net->origin);
        }
        free(origin);
    }
    if (status) {
        free(*next);
        *next = NULL;
    }
    exaone_hub_request_release(&r);
    return status;
}

/* ---- opening ---- */

static exaone_status check_options(const exaone_hub_options *o, exaone_error *err) {
    if (!o->cache || !o->cache[0]) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "the option cache is not given");
    }
    if (o->connections < 1 || o->connections > EXAONE_HUB_MAX_CONNECTIONS) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "connections = %d is not from 1 to %d", o->connections,
                           EXAONE_HUB_MAX_CONNECTIONS);
    }
    if (o->retries < 0 || o->retry_ms < 0 || o->retry_after_max_s < 0 || o->connect_timeout_ms <= 0 ||
        o->low_speed_bytes < 0 || o->low_speed_seconds < 0 || o->max_redirects < 0 || o->chunk_bytes < 1 ||
        o->chunk_bytes > (64 << 20)) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "a limit of the hub's options is out of range (retries %d, retry_ms %d, connect_timeout_ms %d, "
                           "max_redirects %d, chunk_bytes %llu)",
                           o->retries, o->retry_ms, o->connect_timeout_ms, o->max_redirects,
                           (unsigned long long)o->chunk_bytes);
    }
    for (const char *c = o->token; c && *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f) {
            return exaone_fail(err, EXAONE_ERR_ARGUMENT, "character %d of the access token is no printable ASCII",
                               (int)(c - o->token) + 1);
        }
    }
    return EXAONE_OK;
}

static exaone_status set_token(exaone_hub_net *net, const char *token, exaone_error *err) {
    exaone_buf line;
    exaone_buf_init(&line, 4096);
    exaone_buf_printf(&line, "Authorization: Bearer %s", token);
    exaone_status status = exaone_buf_check(&line, "the access token", err);
    if (!status) {
        net->authorization = curl_slist_append(NULL, line.data);
        status = net->authorization ? EXAONE_OK : exaone_fail_memory(err, "the access token", line.len);
    }
    exaone_buf_release(&line);
    return status;
}

exaone_status exaone_hub_net_open(exaone_hub_net *net, const exaone_hub_options *o, exaone_error *err) {
    *net = (exaone_hub_net){.o = o, .progress = {.file = ""}};
    exaone_status status = check_options(o, err);
    if (status) {
        return status;
    }
    pthread_once(&curl_once, start_curl);
    if (curl_ready != CURLE_OK) {
        return exaone_fail(err, EXAONE_ERR_IO, "libcurl does not start: %s", curl_easy_strerror(curl_ready));
    }
    const char *endpoint = o->endpoint ? o->endpoint : EXAONE_HUB_ENDPOINT;
    size_t n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/') {
        n--;
    }
    net->endpoint = exaone_mem_string(endpoint, n);
    net->multi = curl_multi_init();
    status =
        net->endpoint && net->multi ? origin_of(net->endpoint, &net->origin, err) : exaone_fail_memory(err, "a transfer", n);
    if (!status && o->token && o->token[0]) {
        status = set_token(net, o->token, err);
    }
    if (status) {
        exaone_hub_net_close(net);
    }
    return status;
}

void exaone_hub_net_close(exaone_hub_net *net) {
    curl_slist_free_all(net->authorization);
    if (net->multi) {
        curl_multi_cleanup(net->multi);
    }
    free(net->endpoint);
    free(net->origin);
    net->authorization = NULL;
    net->multi = NULL;
    net->endpoint = net->origin = NULL;
}
