/* Inside of the hub: names, listings, the choice of files, the network, the folders. */
#ifndef EXAONE_HUB_INTERNAL_H
#define EXAONE_HUB_INTERNAL_H

#include <curl/curl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/buf.h"
#include "exaone/hub.h"

enum {
    EXAONE_HUB_MAX_PATH = 1024,         /* characters of a path in a repository */
    EXAONE_HUB_MAX_FILES = 100000,      /* of a repository */
    EXAONE_HUB_MAX_ANSWER = 16 << 20,   /* bytes of an answer in JSON */
    EXAONE_HUB_MAX_LISTING = 64 << 20,  /* bytes of memory for one listing */
    EXAONE_HUB_MAX_HEADER = 256 * 1024, /* bytes of an answer's header */
    EXAONE_HUB_MAX_URL = 16 * 1024,     /* characters */
    EXAONE_HUB_MAX_CONNECTIONS = 32
};
#define EXAONE_HUB_MAX_SIZE ((uint64_t)1 << 50) /* bytes of one file, 1 PiB */

/* ---- name.c ---- */

/* Exactly `n` lower-case hexadecimal digits. */
bool exaone_hub_is_hex(const char *text, size_t len, size_t n);
/* A path in a repository that may be made below a folder: relative, no empty part, "." or "..", no backslash, no control
 * character, valid UTF-8, parts of at most 255 bytes. ERR_FORMAT otherwise. */
EXAONE_MUST_USE exaone_status exaone_hub_path_check(const char *path, size_t n, exaone_error *err);
/* A branch, tag or commit: the same, at most 255 characters. ERR_ARGUMENT otherwise. */
EXAONE_MUST_USE exaone_status exaone_hub_revision_check(const char *revision, exaone_error *err);
/* "CACHE/models--ORG--NAME", allocated; NULL when out of memory. */
char *exaone_hub_repo_dir(const char *cache, const char *repo);
/* "ORG/NAME" of "models--ORG--NAME"; false for other names. */
bool exaone_hub_repo_of(const char *folder, char out[128]);

/* ---- listing.c ---- */

typedef struct exaone_hub_item {
    const char *path; /* checked, in the arena */
    uint64_t size;
    char hash[65];
} exaone_hub_item;

typedef struct exaone_hub_listing {
    exaone_arena arena;
    exaone_hub_item *items; /* [n], malloc */
    size_t n, room;
    char commit[41];
    const char *license, *license_link; /* never NULL after exaone_hub_listing_read_revision */
    bool gated;
} exaone_hub_listing;

void exaone_hub_listing_init(exaone_hub_listing *listing);
void exaone_hub_listing_release(exaone_hub_listing *listing);
/* Answer of /api/models/REPO/revision/REV: commit, licence, gate. */
EXAONE_MUST_USE exaone_status exaone_hub_listing_read_revision(exaone_hub_listing *listing, const char *text, size_t n,
                                                               exaone_error *err);
/* One page of /api/models/REPO/tree/COMMIT?recursive=true; appends. */
EXAONE_MUST_USE exaone_status exaone_hub_listing_read_tree(exaone_hub_listing *listing, const char *text, size_t n,
                                                           exaone_error *err);
/* After the last page: sorts by path; double paths are an error. */
EXAONE_MUST_USE exaone_status exaone_hub_listing_finish(exaone_hub_listing *listing, exaone_error *err);

/* ---- select.c ---- */

typedef enum { EXAONE_HUB_SKIP, EXAONE_HUB_SIDE, EXAONE_HUB_MMPROJ, EXAONE_HUB_MODEL } exaone_hub_role;

/* The GGUF files that make one model: one file or the parts of a split one. */
typedef struct exaone_hub_group {
    size_t first;   /* index of its first part that is there */
    size_t count;   /* parts that are there */
    unsigned parts; /* parts that there should be */
    char label[64]; /* "Q4_K_M", "UD-Q4_K_XL"; the name's end when it holds no type */
} exaone_hub_group;

typedef struct exaone_hub_choice {
    uint8_t *role; /* [n] exaone_hub_role, malloc */
    bool folder;
    size_t main;     /* index of the file that the engine opens; not used for a folder */
    size_t mmproj;   /* index, SIZE_MAX: none */
    size_t missing;  /* parts of split files that are not in the list */
    char quant[256]; /* label of the group; "" for a folder */
} exaone_hub_choice;

/* The groups of the models (not mmproj, imatrix, draft files) among paths [n], ordered by label. *groups: free(). */
EXAONE_MUST_USE exaone_status exaone_hub_groups(const char *const *paths, size_t n, exaone_hub_group **groups,
                                                size_t *n_groups, exaone_error *err);
/* Is the list a checkpoint folder: config.json and safetensors? *count files, *missing shards. */
bool exaone_hub_is_folder(const char *const *paths, size_t n, size_t *count, size_t *missing);
/* Which files of paths [n] make NAME. `where` is the place for messages. `mmproj` as in the options. Free choice->role also
 * after an error. */
EXAONE_MUST_USE exaone_status exaone_hub_choose(const char *const *paths, size_t n, const exaone_hub_name *name,
                                                const char *mmproj, const char *where, exaone_hub_choice *choice,
                                                exaone_error *err);
bool exaone_hub_is_mmproj(const char *path);
/* Label of a GGUF file's name, "" when it holds no type. */
void exaone_hub_label(const char *path, char out[64]);
/* The roles' test for single files of a folder: safetensors, json, jinja, tokenizer files, licence at the top. */
exaone_hub_role exaone_hub_folder_role(const char *path);

/* ---- digest.c ---- */

typedef struct exaone_hub_digest {
    bool git; /* SHA-1 over "blob SIZE", NUL, content; else SHA-256 over the content */
    uint64_t state[32];
} exaone_hub_digest;

/* By the length of `hash`: 64 digits are SHA-256, 40 are git's. */
void exaone_hub_digest_begin(exaone_hub_digest *d, const char *hash, uint64_t size);
void exaone_hub_digest_add(exaone_hub_digest *d, const void *bytes, size_t n);
void exaone_hub_digest_end(exaone_hub_digest *d, char hex[65]);

/* ---- http.c ---- */

typedef struct exaone_hub_net {
    const exaone_hub_options *o;
    char *endpoint; /* without '/' at the end */
    char *origin;   /* "https://host:port" */
    CURLM *multi;
    struct curl_slist *authorization; /* NULL without token */
    bool endpoint_private;            /* the endpoint's own address is not public: its redirects need not be either */
    exaone_hub_progress progress;
    int64_t last_report_ms;
} exaone_hub_net;

/* One request and what is known of its answer. The header callback fills it. */
typedef struct exaone_hub_request {
    exaone_hub_net *net;
    CURL *easy;
    char *url;
    int hops;
    bool foreign; /* another origin than the endpoint's: no token */
    size_t header_bytes;
    bool headers_too_large, refused_address, out_of_memory;
    bool has_range;
    uint64_t range_first, range_last, range_total; /* of Content-Range; total UINT64_MAX: a star */
    exaone_buf link;                               /* value of Link */
    char error_code[64];                           /* value of X-Error-Code */
    char curl_text[CURL_ERROR_SIZE];
} exaone_hub_request;

EXAONE_MUST_USE exaone_status exaone_hub_net_open(exaone_hub_net *net, const exaone_hub_options *o, exaone_error *err);
void exaone_hub_net_close(exaone_hub_net *net);
/* Calls the progress function; at most five times a second unless `now`. */
void exaone_hub_report(exaone_hub_net *net, bool now);
bool exaone_hub_cancelled(const exaone_hub_net *net);
int64_t exaone_hub_now_ms(void);
/* Sleeps, reporting WAITING; ERR_CANCELLED. */
EXAONE_MUST_USE exaone_status exaone_hub_wait(exaone_hub_net *net, int64_t ms, const char *reason, exaone_error *err);

/* Puts the request on `url` (copied), judged: http or https, not from https down to http, hops. */
EXAONE_MUST_USE exaone_status exaone_hub_request_aim(exaone_hub_request *r, const char *url, exaone_error *err);
/* Sets everything on r->easy but the body's callback and the range. */
EXAONE_MUST_USE exaone_status exaone_hub_request_set(exaone_hub_request *r, exaone_error *err);
void exaone_hub_request_release(exaone_hub_request *r);

typedef enum {
    EXAONE_HUB_DONE,     /* 200 or 206 */
    EXAONE_HUB_REDIRECT, /* the request stands on the next URL */
    EXAONE_HUB_AGAIN,    /* worth another attempt: *wait_ms is what the server asks for, or -1 */
    EXAONE_HUB_FAILED
} exaone_hub_outcome;
/* What came of a request; `what` is for messages ("the file X of REPO"). The message is written unless DONE or REDIRECT. */
exaone_hub_outcome exaone_hub_request_judge(exaone_hub_request *r, CURLcode code, const char *what, int64_t *wait_ms,
                                            exaone_error *err);
/* Milliseconds before attempt `failures` (1 = the first repetition). */
int64_t exaone_hub_backoff(const exaone_hub_options *o, int failures);

/* A whole answer of at most EXAONE_HUB_MAX_ANSWER bytes, with attempts and redirects. *next (free()): the URL of Link's
 * rel="next", or NULL. `body` is cleared first. */
EXAONE_MUST_USE exaone_status exaone_hub_get(exaone_hub_net *net, const char *url, const char *what, exaone_buf *body,
                                             char **next, exaone_error *err);
/* May a socket be opened? `foreign`: a redirect to another origin. */
bool exaone_hub_may_connect(bool foreign, bool endpoint_private, const struct sockaddr *address);
/* The URL of rel="next" in a Link header (RFC 8288), malloc; NULL: none (or out of memory). */
char *exaone_hub_link_next(const char *value);
/* Reads "bytes FIRST-LAST/TOTAL"; a star as TOTAL gives UINT64_MAX. */
bool exaone_hub_content_range(const char *value, uint64_t *first, uint64_t *last, uint64_t *total);
/* Appends text with everything percent-encoded but letters, digits, "-._~" and, if `slash`, '/'. */
void exaone_hub_put_encoded(exaone_buf *out, const char *text, bool slash);

/* ---- download.c ---- */

/* Continues the file `fd` that holds `have` bytes until it has file->size, and computes its hash on the way (the first
 * `have` bytes are in `digest` already). *wrote: bytes in the file afterwards, also after an error. */
EXAONE_MUST_USE exaone_status exaone_hub_download(exaone_hub_net *net, const char *url, const exaone_hub_file *file, int fd,
                                                  uint64_t have, exaone_hub_digest *digest, uint64_t *wrote,
                                                  exaone_error *err);

/* ---- cache.c ---- */

/* Files of a snapshot: paths relative to it and sizes; dangling links are left out. */
typedef struct exaone_hub_tree {
    exaone_arena arena;
    const char **paths; /* [n], malloc */
    uint64_t *sizes;    /* [n], malloc */
    size_t n, room;
} exaone_hub_tree;

/* NAME of a link that reads (../)+blobs/NAME; NULL otherwise (or out of memory). The caller's (free). */
char *exaone_hub_blob_of(const char *path);
/* The size of a link to somewhere else than the blobs is 0: those bytes are not the cache's. */
EXAONE_MUST_USE exaone_status exaone_hub_tree_read(exaone_hub_tree *tree, const char *snapshot, exaone_error *err);
void exaone_hub_tree_release(exaone_hub_tree *tree);
/* Snapshots of CACHE/models--…: refs/REVISION's first, then the newest first. *commits: free(). None: *n = 0. */
EXAONE_MUST_USE exaone_status exaone_hub_snapshots(const char *repo_dir, const char *revision, char (**commits)[41],
                                                   size_t *n, exaone_error *err);
/* "A/B", "A/B/C", allocated; NULL when out of memory. */
char *exaone_hub_path2(const char *a, const char *b);
char *exaone_hub_path3(const char *a, const char *b, const char *c);
/* Names in a folder but "." and ".."; an absent folder is empty. *names and each: free() by exaone_hub_names_free. */
EXAONE_MUST_USE exaone_status exaone_hub_names(const char *dir, char ***names, size_t *n, exaone_error *err);
void exaone_hub_names_free(char **names, size_t n);
/* Takes the lock file PATH (made when absent). Waits when `net` is given, else a held one is ERR_IO. *fd: close it. */
EXAONE_MUST_USE exaone_status exaone_hub_lock(exaone_hub_net *net, const char *path, int *fd, exaone_error *err);

#endif
