/* Models from the Hugging Face hub, in the cache folder that its own tools use.
 *
 * A model is named REPO[:QUANT]: "LGAI-EXAONE/EXAONE-4.5-33B-GGUF:Q4_K_M" is one quantisation of a GGUF repository,
 * "LGAI-EXAONE/EXAONE-4.5-33B" a folder of safetensors. The cache (huggingface.co/docs/huggingface_hub/guides/manage-cache):
 *
 *   CACHE/models--ORG--NAME/refs/main              the commit that "main" was when it was fetched last
 *   CACHE/models--ORG--NAME/snapshots/COMMIT/FILE  links to
 *   CACHE/models--ORG--NAME/blobs/HASH             the bytes: SHA-256 for large files, git's SHA-1 for small ones
 *   CACHE/models--ORG--NAME/blobs/HASH.incomplete  the beginning of a file, to be continued
 *   CACHE/.locks/models--ORG--NAME/HASH.lock       held (flock) by who writes that file
 *
 * What Python's huggingface_hub downloaded is found and not downloaded again, and the other way round.
 *
 * Everything that the network says is checked before it is used: names, sizes, ranges, hashes. The environment is not read:
 * the options say where the cache is and what the token is. Paths in results belong to the results. */
#ifndef EXAONE_HUB_H
#define EXAONE_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exaone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXAONE_HUB_ENDPOINT "https://huggingface.co"
#define EXAONE_HUB_DEFAULT "LGAI-EXAONE/EXAONE-4.5-33B-GGUF:Q4_K_M"
/* The quantisation that is meant when a repository of GGUF files is named without one. */
#define EXAONE_HUB_QUANT "Q4_K_M"

/* ---- names ---- */

typedef struct exaone_hub_name {
    char repo[128];  /* "ORG/NAME" */
    char quant[256]; /* "Q4_K_M" as written, the path of a .gguf file in the repository, or "" */
} exaone_hub_name;

/* Reads REPO[:QUANT]. ORG and NAME: letters, digits, '-', '_', '.', not beginning or ending with '-' or '.', without "--"
 * and
 * "..", together at most 96 characters, not ending in ".git". Errors: ERR_ARGUMENT. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_name_parse(const char *text, exaone_hub_name *out, exaone_error *err);

/* ---- downloading ---- */

typedef enum exaone_hub_phase {
    EXAONE_HUB_LISTING,  /* asking which files there are */
    EXAONE_HUB_LOCKED,   /* another process downloads this file */
    EXAONE_HUB_CHECKING, /* reading what is there of a file that is continued */
    EXAONE_HUB_FETCHING,
    EXAONE_HUB_WAITING /* before the next attempt; `wait_ms` is how long yet, `reason` why */
} exaone_hub_phase;

typedef struct exaone_hub_progress {
    exaone_hub_phase phase;
    const char *file;                 /* path in the repository; "" while listing */
    size_t index, n_files;            /* place of the file among those to fetch */
    uint64_t file_done, file_bytes;   /* of this file (CHECKING: bytes read so far) */
    uint64_t total_done, total_bytes; /* of all files of the plan; total_done counts what was there before */
    uint64_t received;                /* bytes that came over the network in this call */
    int wait_ms;
    const char *reason;
} exaone_hub_progress;

typedef struct exaone_hub_options {
    const char *cache;    /* the folder that holds models--…; must be given */
    const char *endpoint; /* NULL: EXAONE_HUB_ENDPOINT. http or https, any address */
    const char *token;    /* access token or NULL; sent to the endpoint only, never to where it redirects */
    const char *revision; /* branch, tag or commit; NULL: "main" */
    const char *proxy;    /* proxy for http and https, or NULL: none */
    const char *no_proxy; /* hosts that are reached without it, separated by commas, or NULL */
    const char *ca_file;  /* certificates (PEM) instead of the system's, or NULL */
    const char *mmproj; /* type of the vision tower to fetch with a GGUF model ("F16"), "none", or NULL: BF16, else F16 … */
    bool offline;       /* no network: what is not in the cache is an error */
    int connections;    /* parallel ranges of one file, 1 to 32; 8 after init */
    int retries;        /* attempts after a failure without progress; 5 after init */
    int retry_ms;       /* wait before the first of them, doubled each time up to 30 s; 1,000 after init */
    int retry_after_max_s;      /* longest wait that a server may ask for; 300 after init */
    int connect_timeout_ms;     /* 10,000 after init */
    int low_speed_bytes;        /* a transfer slower than this many bytes per second … ; 1,024 after init */
    int low_speed_seconds;      /* … over this many seconds is cut and continued; 20 after init */
    int max_redirects;          /* 5 after init */
    uint64_t chunk_bytes;       /* size of a range; 8 MiB after init. Memory: twice `connections` of them */
    const volatile int *cancel; /* may be NULL; non-zero stops with ERR_CANCELLED, and what has come stays to be continued */
    void (*progress)(void *arg, const exaone_hub_progress *progress); /* may be NULL; called about five times a second */
    void *progress_arg;
} exaone_hub_options;

EXAONE_API void exaone_hub_options_init(exaone_hub_options *options);

typedef struct exaone_hub_file {
    char *path;    /* in the repository, '/' between folders; checked: relative, no "..", no control characters */
    char hash[65]; /* lower-case hex: SHA-256 (64) or git's SHA-1 of the blob (40) */
    uint64_t size;
    uint64_t have; /* bytes in the cache: `size` when complete, else those of the .incomplete file */
    bool linked;   /* the snapshot holds it */
    bool model;    /* weights of the model that was asked for (not the mmproj, not a settings file) */
} exaone_hub_file;

/* What a pull will do. */
typedef struct exaone_hub_plan {
    exaone_hub_name name; /* quant: as chosen; "" for a folder */
    char commit[41];
    char *snapshot;         /* CACHE/models--…/snapshots/COMMIT */
    char *model;            /* what the engine opens: the GGUF file (of split ones the first) or `snapshot` */
    exaone_hub_file *files; /* [n_files], small ones first */
    size_t n_files;
    uint64_t total_bytes, fetch_bytes; /* of all files; of what is not there yet */
    char *license, *license_link;      /* as the model card says ("exaone"); "" when it does not. The link is a URL or "" */
    bool gated;                        /* the terms must be accepted on the site before the files can be fetched */
} exaone_hub_plan;

/* Asks the hub what NAME is and compares with the cache. Writes nothing. Free the plan also after an error.
 * Without QUANT: the safetensors folder when the repository has config.json and safetensors, else the GGUF files of type
 * EXAONE_HUB_QUANT, or of the only type there is. With offline set the plan is made from the cache alone.
 * Errors: ERR_ARGUMENT (no such repository, revision or QUANT, the last with the list of those there are; no access),
 * ERR_IO, ERR_LIMIT, ERR_FORMAT (the answer is not usable), ERR_CANCELLED. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_plan_make(const exaone_hub_name *name, const exaone_hub_options *options,
                                                              exaone_hub_plan *plan, exaone_error *err);
/* Does it: checks the disk space, fetches each file that is not there, verifies its hash, links it into the snapshot, writes
 * refs. Files that were finished stay when a later one fails. A wrong hash is tried once more from the beginning.
 * Errors: as above, and ERR_IO for a full disk (said before the first byte when it can be known). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_plan_fetch(exaone_hub_plan *plan, const exaone_hub_options *options,
                                                               exaone_error *err);
EXAONE_API void exaone_hub_plan_free(exaone_hub_plan *plan);

/* ---- the cache, without network ---- */

/* The path that the engine opens for NAME: a GGUF file (of split ones the first, all present) or a complete folder. *path
 * (free()). The commit of refs/REVISION (NULL: main) is looked at first, then the other snapshots, the newest first.
 * Errors: ERR_ARGUMENT, which names `exaone pull`. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_find(const exaone_hub_name *name, const char *cache,
                                                         const char *revision, char **path, exaone_error *err);

/* One model in the cache: a quantisation of a GGUF repository, or a folder of safetensors. */
typedef struct exaone_hub_entry {
    char *repo;       /* "ORG/NAME" */
    char *quant;      /* "Q4_K_M"; "" for a folder */
    char commit[41];  /* of the snapshot */
    char *path;       /* what the engine opens */
    char *mmproj;     /* vision tower beside a GGUF model, or NULL */
    size_t n_files;   /* of the model, the mmproj not counted */
    uint64_t size;    /* their bytes */
    uint64_t missing; /* files that the model needs and that are not there (split files, shards of the index) */
} exaone_hub_entry;

typedef struct exaone_hub_list {
    exaone_hub_entry *entries; /* [n] by repo, quant */
    size_t n;
    uint64_t incomplete_bytes; /* of files whose download was cut off */
    size_t n_incomplete;
} exaone_hub_list;

/* The models in the cache; an absent folder is an empty list. Free the list also after an error. */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_scan(const char *cache, exaone_hub_list *list, exaone_error *err);
EXAONE_API void exaone_hub_list_free(exaone_hub_list *list);

typedef struct exaone_hub_removal {
    size_t n_links, n_blobs;
    uint64_t bytes;  /* that become free */
    bool whole_repo; /* nothing of the repository stays */
} exaone_hub_removal;

/* Removes NAME from the cache: its links in every snapshot and the blobs that nothing refers to afterwards; the whole
 * repository when no QUANT is given or no weights would stay. Links are never followed out of the cache. `dry_run` only
 * counts. Errors: ERR_ARGUMENT (not in the cache), ERR_IO (also when a file of it is being downloaded). */
EXAONE_API EXAONE_MUST_USE exaone_status exaone_hub_remove(const exaone_hub_name *name, const char *cache, bool dry_run,
                                                           exaone_hub_removal *done, exaone_error *err);

#ifdef __cplusplus
}
#endif
#endif
