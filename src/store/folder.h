/* The folder of a store: names, walking, temporaries. */
#ifndef EXAONE_STORE_FOLDER_H
#define EXAONE_STORE_FOLDER_H

#include <time.h>

#include "store/store.h"

enum { EXAONE_STORE_NAME = 66 }; /* "FF/" and 62 digits, with the NUL */

/* Where an entry is, below the root. */
void exaone_store_name(const exaone_store_key *key, char name[EXAONE_STORE_NAME]);

typedef struct exaone_store_file {
    exaone_store_key key;
    uint64_t size;        /* bytes of the file */
    struct timespec used; /* modification time */
} exaone_store_file;

/* Every entry's file below the folder open as `root`. false: errno says why (ENOMEM too). With `all` a subfolder that cannot
 * be read is a failure, else it holds nothing. *files: free(). */
bool exaone_store_scan(int root, bool all, exaone_store_file **files, size_t *n);

/* Reads an entry's file: header and checksum are compared, the entry is decoded into bytes[size] when its size is `size`,
 * or, with `bytes` NULL, into new memory when it is at most `size`; with `out` NULL too only checked. */
typedef struct exaone_store_read {
    uint64_t file_size;
    size_t size;
    uint8_t *bytes;    /* what was read: the caller's or new (free) */
    bool missing;      /* there is no such entry */
    const char *fault; /* what is wrong with it; a static text */
    int error;         /* errno of the system call that failed, or 0 */
} exaone_store_read;
typedef enum exaone_store_want { EXAONE_WANT_EXACT, EXAONE_WANT_NEW, EXAONE_WANT_CHECK } exaone_store_want;
/* False: see the fields; a size that was not asked for is a fault. `touch`: now is its time of last use. */
bool exaone_store_load(int root, const exaone_store_key *key, exaone_store_want want, void *bytes, size_t size, bool touch,
                       exaone_store_read *out);

/* Writes an entry of one header and one payload under a temporary name and renames. 0 or an errno; ENOENT when somebody
 * cleared the folder meanwhile. `serial` makes names of one process differ. */
int exaone_store_save(int root, const exaone_store_key *key, const void *header, const void *payload, size_t n,
                      unsigned serial);

/* Removes temporaries that nobody writes any more; all: every one. */
void exaone_store_sweep(int root, bool all);

#endif
