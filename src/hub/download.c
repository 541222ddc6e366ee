/* One file, in parallel ranges.
 *
 * The file on disk is always a beginning of the whole: ranges that come early wait in memory (at most twice as many as there
 * are connections), so that what a cut download leaves can be continued, and the hash grows with the file. The first request
 * alone finds out where the endpoint redirects to and whether that server answers ranges; the others then go there directly,
 * until it refuses (such addresses expire). A server without ranges is read in one stream. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { POLL_MS = 100, MAX_REFUSAL_BYTES = 64 * 1024, MAX_WINDOW = 2 * EXAONE_HUB_MAX_CONNECTIONS };

typedef struct job job;

typedef struct chunk {
    exaone_hub_request r;
    job *job;
    uint64_t at, len, got; /* place in the file; bytes that came */
    uint64_t from, skip;   /* of the request: first byte asked for; bytes to pass over, of a server without ranges */
    uint8_t *early;        /* [len] what came while the chunk was not the first; NULL: nothing */
    size_t n_early;
    bool running, direct;                              /* `direct`: began at the address behind the redirect */
    bool checked, refusal, no_ranges, lying, too_long; /* of the answer */
    size_t refusal_bytes;
    int failures;      /* in a row without progress */
    uint64_t progress; /* `got` at the last failure */
    int64_t not_before;
} chunk;

struct job {
    exaone_hub_net *net;
    const exaone_hub_file *file;
    const char *url;
    char *direct; /* the address that the endpoint redirected to and that answered, or NULL */
    char what[300];
    int fd;
    exaone_hub_digest *digest;
    uint64_t written, next; /* bytes on disk; first byte that no chunk has */
    bool stream, warm;      /* no ranges; an answer to a range has come */
    chunk chunks[MAX_WINDOW];
    size_t window, head, count;
    int active;
    int64_t not_before; /* for all requests */
    exaone_error fault; /* why the last attempt failed */
    exaone_status write_status;
    exaone_error write_error;
    uint64_t total_before; /* progress.total_done without this file */
};

static chunk *chunk_at(job *j, size_t i) {
    return &j->chunks[(j->head + i) % j->window];
}

static bool is_head(const chunk *c) {
    return c == chunk_at(c->job, 0);
}

/* Appends to the file and to the hash; false sets write_status. */
static bool put_bytes(job *j, const uint8_t *bytes, size_t n) {
    exaone_hub_digest_add(j->digest, bytes, n);
    while (n > 0) {
        ssize_t wrote = pwrite(j->fd, bytes, n, (off_t)j->written);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            j->write_status =
                exaone_fail(&j->write_error, EXAONE_ERR_IO, "cannot write %s behind byte %llu: %s", j->file->path,
                            (unsigned long long)j->written, strerror(wrote < 0 ? errno : ENOSPC));
            return false;
        }
        bytes += wrote;
        n -= (size_t)wrote;
        j->written += (uint64_t)wrote;
    }
    return true;
}

/* ---- answers ---- */

/* Looks at status and header before the first byte of the body is used; false ends the transfer. */
static bool check_answer(chunk *c) {
    job *j = c->job;
    long answer = 0;
    curl_off_t length = -1;
    curl_easy_getinfo(c->r.easy, CURLINFO_RESPONSE_CODE, &answer);
    curl_easy_getinfo(c->r.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t size = j->file->size;
    if (answer == 206) {
        c->lying = j->stream || !c->r.has_range || c->r.range_first != c->from || c->r.range_last >= c->at + c->len ||
                   (c->r.range_total != UINT64_MAX && c->r.range_total != size);
        if (!c->lying && !j->direct && c->r.hops > 0) {
            j->direct = exaone_mem_string(c->r.url, strlen(c->r.url)); /* without memory every chunk goes the long way */
        }
        j->warm = true;
        return !c->lying;
    }
    if (answer == 200) {
        c->no_ranges = !j->stream;
        c->lying = length >= 0 && (uint64_t)length != size;
        return !c->no_ranges && !c->lying;
    }
    c->refusal = true;
    return true;
}

static bool take_bytes(chunk *c, const uint8_t *bytes, size_t n) {
    if (c->skip > 0) {
        size_t over = c->skip < n ? (size_t)c->skip : n;
        c->skip -= over;
        bytes += over;
        n -= over;
    }
    if (n > c->len - c->got) {
        c->too_long = true;
        return false;
    }
    if (n == 0) {
        return true;
    }
    if (is_head(c)) {
        if (!put_bytes(c->job, bytes, n)) {
            return false;
        }
    } else {
        if (!c->early && !(c->early = malloc((size_t)c->len))) {
            c->r.out_of_memory = true;
            return false;
        }
        memcpy(c->early + c->n_early, bytes, n);
        c->n_early += n;
    }
    c->got += n;
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg) {
    chunk *c = arg;
    size_t n = size * count;
    if (!c->checked) {
        c->checked = true;
        if (!check_answer(c)) {
            return n + 1; /* an error for libcurl, whatever n is */
        }
    }
    if (c->refusal) {
        c->refusal_bytes += n;
        return c->refusal_bytes > MAX_REFUSAL_BYTES ? n + 1 : n;
    }
    c->job->net->progress.received += n;
    return take_bytes(c, (const uint8_t *)data, n) ? n : n + 1;
}

/* ---- requests ---- */

static exaone_status start(job *j, chunk *c, exaone_error *err) {
    exaone_status status = EXAONE_OK;
    if (c->r.hops == 0) {
        c->direct = j->direct;
        status = exaone_hub_request_aim(&c->r, j->direct ? j->direct : j->url, err);
    }
    if (!status) {
        status = exaone_hub_request_set(&c->r, err);
    }
    if (status) {
        return status;
    }
    c->checked = c->refusal = c->no_ranges = c->lying = c->too_long = false;
    c->refusal_bytes = 0;
    c->from = j->stream ? 0 : c->at + c->got;
    c->skip = j->stream ? c->at + c->got : 0;
    CURLcode code = curl_easy_setopt(c->r.easy, CURLOPT_WRITEFUNCTION, on_body);
    code = code ? code : curl_easy_setopt(c->r.easy, CURLOPT_WRITEDATA, c);
    if (!j->stream && !code) {
        char range[64];
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)c->from, (unsigned long long)(c->at + c->len - 1));
        code = curl_easy_setopt(c->r.easy, CURLOPT_RANGE, range);
    }
    if (code || curl_multi_add_handle(j->net->multi, c->r.easy)) {
        return exaone_fail_memory(err, "a transfer", 0);
    }
    c->running = true;
    j->active++;
    return EXAONE_OK;
}

static void stop(job *j, chunk *c) {
    if (c->running) {
        curl_multi_remove_handle(j->net->multi, c->r.easy);
        c->running = false;
        j->active--;
    }
}

static void drop(job *j, chunk *c) {
    stop(j, c);
    free(c->early);
    c->early = NULL;
    c->n_early = 0;
}

static void go_to_stream(job *j) {
    for (size_t i = 0; i < j->count; i++) {
        drop(j, chunk_at(j, i));
    }
    j->stream = true;
    j->count = 0;
    j->next = j->written;
}

/* Plans another attempt, or gives up with the fault's message. */
static exaone_status again(job *j, chunk *c, int64_t wait_ms, const exaone_error *fault, exaone_error *err) {
    c->failures = c->got > c->progress ? 1 : c->failures + 1;
    c->progress = c->got;
    c->r.hops = 0;
    if (c->failures > j->net->o->retries) {
        return exaone_fail(err, fault->code, "%s (%d attempts; %llu of %llu bytes are kept and will be continued)",
                           fault->message, c->failures, (unsigned long long)j->written, (unsigned long long)j->file->size);
    }
    j->fault = *fault;
    free(j->direct); /* the endpoint may know a better place by now */
    j->direct = NULL;
    if (wait_ms >= 0) { /* the server's wish concerns every request */
        j->not_before = exaone_hub_now_ms() + wait_ms;
        return EXAONE_OK;
    }
    c->not_before = exaone_hub_now_ms() + exaone_hub_backoff(j->net->o, c->failures);
    return EXAONE_OK;
}

static exaone_status lies(const job *j, const chunk *c, exaone_error *err) {
    if (c->too_long) {
        return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the server sends more than the %llu bytes that were asked for",
                           j->what, (unsigned long long)(j->stream ? j->file->size : c->len));
    }
    if (c->r.has_range) {
        return exaone_fail(err, EXAONE_ERR_FORMAT,
                           "%s: bytes %llu to %llu of %llu were asked for and %llu to %llu of %llu answered", j->what,
                           (unsigned long long)c->from, (unsigned long long)(c->at + c->len - 1),
                           (unsigned long long)j->file->size, (unsigned long long)c->r.range_first,
                           (unsigned long long)c->r.range_last, (unsigned long long)c->r.range_total);
    }
    curl_off_t length = -1;
    curl_easy_getinfo(c->r.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return exaone_fail(err, EXAONE_ERR_FORMAT, "%s: the list says %llu bytes, the server %lld", j->what,
                       (unsigned long long)j->file->size, (long long)length);
}

/* A transfer has ended. */
static exaone_status finish(job *j, chunk *c, CURLcode code, exaone_error *err) {
    stop(j, c);
    if (j->write_status) {
        return exaone_fail(err, j->write_status, "%s", j->write_error.message);
    }
    if (c->lying || c->too_long) {
        return lies(j, c, err);
    }
    if (c->no_ranges) {
        go_to_stream(j);
        return EXAONE_OK;
    }
    int64_t wait_ms;
    long answer = 0;
    exaone_error fault = {0};
    curl_easy_getinfo(c->r.easy, CURLINFO_RESPONSE_CODE, &answer);
    switch (exaone_hub_request_judge(&c->r, code, j->what, &wait_ms, &fault)) {
    case EXAONE_HUB_REDIRECT:
        return EXAONE_OK;
    case EXAONE_HUB_DONE:
        if (c->got == c->len) {
            return EXAONE_OK;
        }
        exaone_fail(&fault, EXAONE_ERR_IO, "%s: the answer ends %llu bytes early", j->what,
                    (unsigned long long)(c->len - c->got));
        return again(j, c, -1, &fault, err);
    case EXAONE_HUB_AGAIN:
        return again(j, c, wait_ms, &fault, err);
    case EXAONE_HUB_FAILED:
        break;
    }
    if (c->direct && answer >= 400 && answer < 500 && fault.code != EXAONE_ERR_CANCELLED) {
        return again(j, c, -1, &fault, err); /* an address that has expired: ask the endpoint again */
    }
    return exaone_fail(err, fault.code, "%s", fault.message);
}

/* ---- the loop ---- */

/* Chunks for what nobody fetches yet. */
static exaone_status refill(job *j, exaone_error *err) {
    size_t most = j->stream ? 1 : j->window;
    while (j->count < most && j->next < j->file->size) {
        chunk *c = chunk_at(j, j->count);
        exaone_hub_request r = c->r;
        uint64_t left = j->file->size - j->next,
                 len = j->stream || left < j->net->o->chunk_bytes ? left : j->net->o->chunk_bytes;
        *c = (chunk){.r = r, .job = j, .at = j->next, .len = len};
        c->r.net = j->net;
        c->r.hops = 0;
        if (!c->r.easy) {
            exaone_buf_init(&c->r.link, 1024);
            c->r.easy = curl_easy_init();
            if (!c->r.easy) {
                return exaone_fail_memory(err, "a transfer", 0);
            }
        }
        j->next += len;
        j->count++;
    }
    return EXAONE_OK;
}

static exaone_status start_ready(job *j, exaone_error *err) {
    int64_t now = exaone_hub_now_ms();
    int most = j->stream || !j->warm ? 1 : j->net->o->connections;
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < j->count && j->active < most && now >= j->not_before && !status; i++) {
        chunk *c = chunk_at(j, i);
        if (!c->running && c->got < c->len && now >= c->not_before) {
            status = start(j, c, err);
        }
    }
    return status;
}

/* What the first chunks hold goes to disk. */
static bool flush(job *j) {
    while (j->count > 0) {
        chunk *c = chunk_at(j, 0);
        if (c->early) {
            bool ok = put_bytes(j, c->early, c->n_early);
            free(c->early);
            c->early = NULL;
            c->n_early = 0;
            if (!ok) {
                return false;
            }
        }
        if (c->got < c->len || c->running) {
            return true;
        }
        j->head = (j->head + 1) % j->window;
        j->count--;
    }
    return true;
}

static void report(job *j) {
    exaone_hub_progress *p = &j->net->progress;
    uint64_t have = j->written;
    int64_t now = exaone_hub_now_ms(), first = INT64_MAX;
    for (size_t i = 0; i < j->count; i++) {
        chunk *c = chunk_at(j, i);
        have += c->n_early;
        first = c->got < c->len && c->not_before < first ? c->not_before : first;
    }
    first = first < j->not_before ? j->not_before : first;
    bool waits = j->active == 0 && first != INT64_MAX && first > now && j->fault.code;
    bool changed = waits != (p->phase == EXAONE_HUB_WAITING);
    p->phase = waits ? EXAONE_HUB_WAITING : EXAONE_HUB_FETCHING;
    p->wait_ms = waits ? (int)(first - now) : 0;
    p->reason = waits ? j->fault.message : NULL;
    p->file_done = have;
    p->total_done = j->total_before + have;
    exaone_hub_report(j->net, changed);
}

static exaone_status turn(job *j, exaone_error *err) {
    exaone_status status = refill(j, err);
    if (!status) {
        status = start_ready(j, err);
    }
    int running, left;
    if (!status && curl_multi_perform(j->net->multi, &running)) {
        status = exaone_fail(err, EXAONE_ERR_IO, "libcurl cannot go on with %s", j->what);
    }
    CURLMsg *message;
    while (!status && (message = curl_multi_info_read(j->net->multi, &left))) {
        exaone_hub_request *r = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        if (message->msg == CURLMSG_DONE && r) {
            status = finish(j, (chunk *)(void *)r, message->data.result, err); /* r is the chunk's first member */
        }
    }
    if (!status && !flush(j)) {
        status = exaone_fail(err, j->write_status, "%s", j->write_error.message);
    }
    if (!status) {
        report(j);
        if (j->written < j->file->size && exaone_hub_cancelled(j->net)) {
            status = exaone_fail(err, EXAONE_ERR_CANCELLED, "the download of %s was stopped; %llu of %llu bytes are kept",
                                 j->file->path, (unsigned long long)j->written, (unsigned long long)j->file->size);
        }
    }
    bool ready = false; /* a chunk that a redirect or a change to one stream left ready to start */
    for (size_t i = 0; i < j->count && !status; i++) {
        chunk *c = chunk_at(j, i);
        ready |= !c->running && c->r.hops > 0 && c->got < c->len;
    }
    if (!status && j->written < j->file->size && !ready && j->count > 0) {
        curl_multi_poll(j->net->multi, NULL, 0, POLL_MS, NULL);
    }
    return status;
}

exaone_status exaone_hub_download(exaone_hub_net *net, const char *url, const exaone_hub_file *file, int fd, uint64_t have,
                                  exaone_hub_digest *digest, uint64_t *wrote, exaone_error *err) {
    job *j = exaone_mem_array(1, sizeof *j);
    *wrote = have;
    if (!j) {
        return exaone_fail_memory(err, "a download", sizeof *j);
    }
    j->net = net;
    j->file = file;
    j->url = url;
    j->fd = fd;
    j->digest = digest;
    j->written = j->next = have;
    j->stream = have == 0 && file->size <= net->o->chunk_bytes;
    j->window = 2 * (size_t)net->o->connections;
    j->total_before = net->progress.total_done - have;
    snprintf(j->what, sizeof j->what, "%s", file->path);
    exaone_status status = EXAONE_OK;
    while (!status && j->written < file->size) {
        status = turn(j, err);
    }
    for (size_t i = 0; i < j->window; i++) {
        drop(j, &j->chunks[i]);
        exaone_hub_request_release(&j->chunks[i].r);
    }
    *wrote = j->written;
    net->progress.total_done = j->total_before + j->written;
    free(j->direct);
    free(j);
    return status;
}
