/* A hub for tests: see hub_server.h. */
#include "hub_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub/hub_internal.h"

typedef struct hub_server_inside {
    pthread_mutex_t lock;
    pthread_t accepting[2];
    int listener[2], n_threads;
    atomic_bool stopping;
} inside;

typedef struct connection {
    hub_server *s;
    int fd;
    bool file_port;
} connection;

typedef struct request {
    char path[4096];
    char host[200], token[200];
    bool has_range;
    uint64_t first, last;
} request;

void hub_server_init(hub_server *s) {
    *s = (hub_server){.repo = "org/model-GGUF", .commit = "0123456789abcdef0123456789abcdef01234567", .retry_after = -1};
}

void hub_server_add(hub_server *s, const char *path, bool lfs, const void *bytes, size_t n) {
    hub_server_file *f = &s->files[s->n_files++];
    snprintf(f->path, sizeof f->path, "%s", path);
    f->lfs = lfs;
    f->size = n;
    f->bytes = malloc(n + 1);
    memcpy(f->bytes, bytes, n);
    exaone_hub_digest d;
    char kind[65];
    memset(kind, '0', 64);
    kind[lfs ? 64 : 40] = 0;
    exaone_hub_digest_begin(&d, kind, n);
    exaone_hub_digest_add(&d, bytes, n);
    exaone_hub_digest_end(&d, f->hash);
}

void hub_server_add_random(hub_server *s, const char *path, size_t n, unsigned seed) {
    uint8_t *bytes = malloc(n + 1);
    uint32_t x = seed * 2654435761U + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    hub_server_add(s, path, true, bytes, n);
    free(bytes);
}

void hub_server_reset(hub_server *s) {
    pthread_mutex_lock(&s->inside->lock);
    s->n_api = s->n_endpoint = s->n_file = s->leaks = s->most_at_once = 0;
    s->sent = 0;
    pthread_mutex_unlock(&s->inside->lock);
}

/* ---- answers ---- */

static bool put(int fd, const void *bytes, size_t n) {
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static bool put_text(int fd, int status, const char *headers, const char *body) {
    char head[8192];
    snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body), headers);
    return put(fd, head, strlen(head)) && put(fd, body, strlen(body));
}

/* Takes one of a number that counts down. */
static bool take(hub_server *s, _Atomic int *left) {
    pthread_mutex_lock(&s->inside->lock);
    bool some = *left > 0;
    *left -= some;
    pthread_mutex_unlock(&s->inside->lock);
    return some;
}

static bool put_tree(hub_server *s, int fd, const char *path) {
    static const char cursor[] = "cursor=";
    const char *at = strstr(path, cursor);
    size_t from = at ? (size_t)strtoul(at + sizeof cursor - 1, NULL, 10) : 0;
    size_t to = s->page && from + s->page < s->n_files ? from + s->page : s->n_files;
    char link[600] = "", body[16384];
    int n = snprintf(body, sizeof body, "[{\"type\":\"directory\",\"oid\":\"x\",\"size\":0,\"path\":\"dir\"}");
    for (size_t i = from; i < to; i++) {
        const hub_server_file *f = &s->files[i];
        const char *oid = f->lfs ? "1111111111111111111111111111111111111111" : f->hash;
        n += snprintf(body + n, sizeof body - (size_t)n, ",{\"type\":\"file\",\"oid\":\"%s\",\"size\":%zu,\"path\":\"%s\"",
                      oid, f->size, f->path);
        if (f->lfs) {
            n += snprintf(body + n, sizeof body - (size_t)n, ",\"lfs\":{\"oid\":\"%s\",\"size\":%zu,\"pointerSize\":134}",
                          f->hash, f->size);
        }
        n += snprintf(body + n, sizeof body - (size_t)n, "}");
    }
    snprintf(body + n, sizeof body - (size_t)n, "]");
    if (to < s->n_files && s->next) {
        snprintf(link, sizeof link, "Link: <%s>; rel=\"next\"\r\n", s->next);
    } else if (to < s->n_files) {
        snprintf(link, sizeof link,
                 "Link: <http://127.0.0.1:%d/api/models/%s/tree/%s?recursive=true&cursor=%zu>; rel=\"next\"\r\n", s->port,
                 s->repo, s->commit, to);
    }
    return put_text(fd, 200, link, s->tree ? s->tree : body);
}

/* [first, last] of a file; with the faults that are set. */
static bool put_body(hub_server *s, int fd, const hub_server_file *f, uint64_t first, uint64_t last) {
    size_t n = f->size ? (size_t)(last - first) + 1 : 0, most = n;
    uint8_t *bytes = malloc(n + 1);
    memcpy(bytes, f->bytes + (f->size ? first : 0), n);
    if (f->lfs && n > 0 && first == 0 && take(s, &s->wrong)) {
        bytes[0] ^= 1;
    }
    bool cut = s->cut_after > 0 && n > (size_t)s->cut_after && take(s, &s->cuts);
    bool stall = f->lfs && n > 1 && take(s, &s->stall);
    most = cut ? (size_t)s->cut_after : stall ? n / 2 : n;
    bool ok = true;
    for (size_t at = 0; at < most && ok && !s->inside->stopping;) {
        size_t part = most - at < 16384 ? most - at : 16384;
        ok = put(fd, bytes + at, part);
        at += part;
        pthread_mutex_lock(&s->inside->lock);
        s->sent += part;
        pthread_mutex_unlock(&s->inside->lock);
        if (s->slow_ms) {
            usleep((useconds_t)s->slow_ms * 1000);
        }
    }
    free(bytes);
    while (stall && ok && !s->inside->stopping) { /* until the client leaves */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char c;
        if (poll(&p, 1, 100) > 0 && recv(fd, &c, 1, 0) <= 0) {
            break;
        }
    }
    if (s->too_long && ok) {
        put(fd, "more", 4);
    }
    return ok && !cut && !stall && !s->too_long;
}

static bool put_file(hub_server *s, int fd, const hub_server_file *f, const request *r) {
    char head[600];
    bool range = r->has_range && !s->no_ranges && f->size;
    uint64_t first = range ? r->first : 0, last = range && r->last < f->size ? r->last : f->size - 1;
    if (s->endless_header) {
        put(fd, "HTTP/1.1 200 OK\r\n", 17);
        while (put(fd, "X-Header: some value of a header\r\n", 34)) {
        }
        return false;
    }
    if (range && first >= f->size) {
        return put_text(fd, 416, "", "no such range");
    }
    uint64_t n = f->size ? last - first + 1 : 0;
    int at = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %llu\r\nETag: \"%s\"\r\n", range ? 206 : 200,
                      (unsigned long long)n + (s->lie_length ? 1000
                                               : s->too_long ? 4
                                                             : 0),
                      f->hash);
    if (range) {
        at += snprintf(head + at, sizeof head - (size_t)at, "Content-Range: bytes %llu-%llu/%llu\r\n",
                       (unsigned long long)first + s->lie_first, (unsigned long long)last,
                       (unsigned long long)f->size + (s->lie_total ? 1 : 0));
    }
    snprintf(head + at, sizeof head - (size_t)at, "\r\n");
    pthread_mutex_lock(&s->inside->lock);
    s->most_at_once = ++s->at_once > s->most_at_once ? s->at_once : s->most_at_once;
    pthread_mutex_unlock(&s->inside->lock);
    bool ok = put(fd, head, strlen(head)) && put_body(s, fd, f, first, last);
    pthread_mutex_lock(&s->inside->lock);
    s->at_once--;
    pthread_mutex_unlock(&s->inside->lock);
    return ok;
}

static const hub_server_file *find_file(const hub_server *s, const char *path) {
    for (size_t i = 0; i < s->n_files; i++) {
        if (strcmp(s->files[i].path, path) == 0) {
            return &s->files[i];
        }
    }
    return NULL;
}

static bool answer_resolve(hub_server *s, const connection *c, const request *r, const char *file) {
    const hub_server_file *f = find_file(s, file);
    char line[5000];
    if (!f) {
        return put_text(c->fd, 404, "X-Error-Code: EntryNotFound\r\n", "no such file");
    }
    if (s->status) {
        return put_text(c->fd, s->status, "", "as the test wants");
    }
    if (s->location && f->lfs) {
        snprintf(line, sizeof line, "Location: %s\r\n", strcmp(s->location, "loop") == 0 ? r->path : s->location);
        return put_text(c->fd, 302, line, "elsewhere");
    }
    if (s->redirect && f->lfs) {
        snprintf(line, sizeof line,
                 "Location: http://127.0.0.1:%d/%s?signed=1\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: %zu\r\n",
                 s->file_port, file, f->hash, f->size);
        return put_text(c->fd, 302, line, "Found. Redirecting to the file server.");
    }
    return put_file(s, c->fd, f, r);
}

static bool answer_endpoint(hub_server *s, const connection *c, const request *r) {
    char want[600], line[64];
    if (take(s, &s->broken)) {
        return put_text(c->fd, 503, "", "broken");
    }
    if (take(s, &s->busy)) {
        snprintf(line, sizeof line, s->retry_after >= 0 ? "Retry-After: %ld\r\n" : "", s->retry_after);
        return put_text(c->fd, 429, line, "too many");
    }
    snprintf(want, sizeof want, "Bearer %s", s->token ? s->token : "");
    if (s->token && strcmp(r->token, want) != 0) {
        return put_text(c->fd, 401, "X-Error-Code: GatedRepo\r\n", "who are you");
    }
    snprintf(want, sizeof want, "/api/models/%s/revision/main", s->repo);
    if (strcmp(r->path, want) == 0) {
        snprintf(
            want, sizeof want,
            "{\"id\":\"%s\",\"sha\":\"%s\",\"gated\":false,\"cardData\":{\"license\":\"other\",\"license_name\":\"exaone\","
            "\"license_link\":\"LICENSE\"}}",
            s->repo, s->commit);
        return put_text(c->fd, 200, "Content-Type: application/json\r\n", s->revision ? s->revision : want);
    }
    snprintf(want, sizeof want, "/api/models/%s/tree/%s?recursive=true", s->repo, s->commit);
    if (strncmp(r->path, want, strlen(want)) == 0) {
        return put_tree(s, c->fd, r->path);
    }
    snprintf(want, sizeof want, "/%s/resolve/%s/", s->repo, s->commit);
    if (strncmp(r->path, want, strlen(want)) == 0) {
        return answer_resolve(s, c, r, r->path + strlen(want));
    }
    return put_text(c->fd, 404, "X-Error-Code: RepoNotFound\r\n", "no such repository");
}

static bool answer_file_port(hub_server *s, const connection *c, const request *r) {
    char path[4096];
    snprintf(path, sizeof path, "%s", r->path + 1);
    char *query = strchr(path, '?');
    if (query) {
        *query = 0;
    }
    const hub_server_file *f = find_file(s, path);
    pthread_mutex_lock(&s->inside->lock);
    s->leaks += r->token[0] != 0;
    bool expired = s->expire > 0 && s->n_file >= s->expire && s->n_file < s->expire + 2;
    pthread_mutex_unlock(&s->inside->lock);
    return !f ? put_text(c->fd, 404, "", "no") : expired ? put_text(c->fd, 403, "", "expired") : put_file(s, c->fd, f, r);
}

/* ---- connections ---- */

static void header(request *r, const char *line) {
    if (strncasecmp(line, "Authorization: ", 15) == 0) {
        snprintf(r->token, sizeof r->token, "%.199s", line + 15);
    } else if (strncasecmp(line, "Range: bytes=", 13) == 0) {
        char *end;
        r->first = strtoull(line + 13, &end, 10);
        r->last = *end == '-' && end[1] ? strtoull(end + 1, NULL, 10) : UINT64_MAX;
        r->has_range = true;
    }
}

/* False at the end of the connection. */
static bool read_request(const connection *c, request *r) {
    char text[8192];
    size_t n = 0;
    *r = (request){0};
    while (n < sizeof text - 1) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 100) == 0) {
            if (c->s->inside->stopping) {
                return false;
            }
            continue;
        }
        ssize_t got = recv(c->fd, text + n, 1, 0);
        if (got <= 0) {
            return false;
        }
        text[++n] = 0;
        if (n >= 4 && strcmp(text + n - 4, "\r\n\r\n") == 0) {
            break;
        }
    }
    char *rest = NULL, *line = strtok_r(text, "\r\n", &rest);
    char *path = line ? strchr(line, ' ') : NULL, *end = path ? strchr(path + 1, ' ') : NULL;
    if (!end) {
        return false;
    }
    *end = 0;
    snprintf(r->path, sizeof r->path, "%.4095s", path + 1);
    while ((line = strtok_r(NULL, "\r\n", &rest))) {
        header(r, line);
    }
    return true;
}

static void *serve(void *arg) {
    connection *c = arg;
    hub_server *s = c->s;
    request r;
    bool on = true;
    while (on && read_request(c, &r)) {
        pthread_mutex_lock(&s->inside->lock);
        s->n_file += c->file_port;
        s->n_endpoint += !c->file_port;
        s->n_api += strncmp(r.path, "/api/", 5) == 0;
        pthread_mutex_unlock(&s->inside->lock);
        on = c->file_port ? answer_file_port(s, c, &r) : answer_endpoint(s, c, &r);
    }
    close(c->fd);
    pthread_mutex_lock(&s->inside->lock);
    s->inside->n_threads--;
    pthread_mutex_unlock(&s->inside->lock);
    free(c);
    return NULL;
}

static void *accept_all(void *arg) {
    connection *own = arg;
    hub_server *s = own->s;
    while (!s->inside->stopping) {
        struct pollfd p = {.fd = own->fd, .events = POLLIN};
        if (poll(&p, 1, 50) <= 0) {
            continue;
        }
        int fd = accept(own->fd, NULL, NULL);
        connection *c = fd >= 0 ? malloc(sizeof *c) : NULL;
        pthread_t thread;
        if (!c) {
            continue;
        }
        *c = (connection){.s = s, .fd = fd, .file_port = own->file_port};
        pthread_mutex_lock(&s->inside->lock);
        s->inside->n_threads++;
        pthread_mutex_unlock(&s->inside->lock);
        pthread_create(&thread, NULL, serve, c);
        pthread_detach(thread);
    }
    close(own->fd);
    free(own);
    return NULL;
}

static int listen_on(int port, int *got) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        return -1;
    }
    *got = ntohs(a.sin_port);
    return fd;
}

bool hub_server_start(hub_server *s, int port) {
    s->inside = calloc(1, sizeof *s->inside);
    pthread_mutex_init(&s->inside->lock, NULL);
    s->inside->listener[0] = listen_on(port, &s->port);
    s->inside->listener[1] = listen_on(0, &s->file_port);
    if (s->inside->listener[0] < 0 || s->inside->listener[1] < 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        connection *own = malloc(sizeof *own);
        *own = (connection){.s = s, .fd = s->inside->listener[i], .file_port = i == 1};
        pthread_create(&s->inside->accepting[i], NULL, accept_all, own);
    }
    return true;
}

void hub_server_stop(hub_server *s) {
    s->inside->stopping = true;
    for (int i = 0; i < 2; i++) {
        pthread_join(s->inside->accepting[i], NULL);
    }
    for (bool more = true; more;) {
        usleep(10000);
        pthread_mutex_lock(&s->inside->lock);
        more = s->inside->n_threads > 0;
        pthread_mutex_unlock(&s->inside->lock);
    }
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].bytes);
    }
    pthread_mutex_destroy(&s->inside->lock);
    free(s->inside);
}
