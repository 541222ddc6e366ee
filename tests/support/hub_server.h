/* For tests: a Hugging Face hub with one repository, on 127.0.0.1, in threads of the test. It answers as the real one does,
 * or badly in the ways that the settings say. Files are served by a second port when `redirect` is set (the real one's file
 * servers are other hosts too). */
#ifndef TESTS_HUB_SERVER_H
#define TESTS_HUB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hub_server_file {
    char path[200], hash[65];
    bool lfs;
    uint8_t *bytes; /* [size] */
    size_t size;
} hub_server_file;

typedef struct hub_server {
    /* Settings: set before requests, or while none runs. */
    const char *repo, *commit; /* "org/name", 40 digits */
    hub_server_file files[24];
    size_t n_files;
    const char *token;    /* wanted, else 401 */
    const char *tree;     /* the list of files instead of the true one */
    const char *revision; /* the answer about the revision instead of the true one */
    size_t page;          /* entries of a page of the list; 0: all at once */
    const char *next;     /* instead of the true address of the next page */
    _Atomic bool redirect, no_ranges;
    const char *location; /* redirect of files to here instead; "loop": to itself */
    _Atomic int status;   /* answer of files; 0: the right one */
    long cut_after;       /* > 0: connections end after so many bytes of a body … */
    _Atomic int cuts;     /* … this many times */
    _Atomic int wrong;    /* this many bodies hold a wrong first byte */
    _Atomic int busy;     /* this many requests get 429 … */
    long retry_after;     /* … with this Retry-After; < 0: without */
    _Atomic int broken;   /* this many requests get 503 */
    int expire;           /* > 0: this answer of the file server and the next are 403 */
    _Atomic bool lie_total, lie_first, lie_length, too_long, endless_header;
    _Atomic int slow_ms; /* pause after each 16 KiB */
    _Atomic int stall;   /* this many bodies stop in the middle without an end */
    /* Counters. */
    _Atomic int n_api, n_endpoint, n_file, leaks, at_once, most_at_once;
    _Atomic uint64_t sent;
    /* Inside. */
    int port, file_port;
    struct hub_server_inside *inside;
} hub_server;

/* Defaults, no files. */
void hub_server_init(hub_server *s);
void hub_server_add(hub_server *s, const char *path, bool lfs, const void *bytes, size_t n);
/* n bytes made from a seed. */
void hub_server_add_random(hub_server *s, const char *path, size_t n, unsigned seed);
/* Listens; false when that is impossible here. `port` 0: any. */
bool hub_server_start(hub_server *s, int port);
void hub_server_stop(hub_server *s);  /* waits for the threads; also frees the files */
void hub_server_reset(hub_server *s); /* counters to 0 */

#endif
