/* Taking models out of the cache. Only below CACHE/models--… and CACHE/.locks/models--…; links are removed, not followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { MAX_DEPTH = 32 };

/* ---- whole folders ---- */

static exaone_status clear_folder(int fd, const char *what, int depth, bool dry_run, exaone_hub_removal *done,
                                  exaone_error *err);

static exaone_status clear_one(int dir, const char *name, const char *what, int depth, bool dry_run,
                               exaone_hub_removal *done, exaone_error *err) {
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return exaone_fail(err, EXAONE_ERR_IO, "cannot look at %s in %s: %s", name, what, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            return exaone_fail(err, EXAONE_ERR_IO, "cannot open %s in %s: %s", name, what, strerror(errno));
        }
        exaone_status status = clear_folder(fd, what, depth + 1, dry_run, done, err);
        if (status) {
            return status;
        }
    } else if (S_ISLNK(st.st_mode)) {
        done->n_links++;
    } else {
        done->n_blobs++;
        done->bytes += (uint64_t)st.st_size;
    }
    if (!dry_run && unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0) {
        return exaone_fail(err, EXAONE_ERR_IO, "cannot remove %s in %s: %s", name, what, strerror(errno));
    }
    return EXAONE_OK;
}

/* Everything in the folder `fd`, which is closed. */
static exaone_status clear_folder(int fd, const char *what, int depth, bool dry_run, exaone_hub_removal *done,
                                  exaone_error *err) {
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return exaone_fail(err, EXAONE_ERR_IO, "cannot list %s: %s", what, strerror(errno));
    }
    exaone_status status = depth <= MAX_DEPTH
                               ? EXAONE_OK
                               : exaone_fail(err, EXAONE_ERR_LIMIT, "%s has folders more than %d deep", what, MAX_DEPTH);
    struct dirent *e;
    while (!status && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            status = clear_one(dirfd(d), e->d_name, what, depth, dry_run, done, err);
        }
    }
    closedir(d);
    return status;
}

/* The folder itself and all in it; an absent one is no fault. */
static exaone_status remove_folder(const char *path, bool dry_run, exaone_hub_removal *done, exaone_error *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) {
            return EXAONE_OK;
        }
        return exaone_fail(err, EXAONE_ERR_IO,
                           errno == ENOTDIR || errno == ELOOP ? "%s is a link or a file, which is left alone: %s"
                                                              : "cannot open %s: %s",
                           path, strerror(errno));
    }
    exaone_status status = clear_folder(fd, path, 0, dry_run, done, err);
    if (!status && !dry_run && rmdir(path) != 0) {
        status = exaone_fail(err, EXAONE_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    }
    return status;
}

/* ERR_IO when somebody holds one of the locks of the repository. */
static exaone_status check_locks(const char *locks, exaone_error *err) {
    char **names;
    size_t n;
    exaone_status status = exaone_hub_names(locks, &names, &n, err);
    for (size_t i = 0; i < n && !status; i++) {
        char *path = exaone_hub_path2(locks, names[i]);
        int fd = path ? open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;
        if (!path) {
            status = exaone_fail_memory(err, locks, strlen(names[i]));
        } else if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            status = exaone_fail(err, EXAONE_ERR_IO,
                                 "a file of it is being downloaded (the lock %s is held); nothing was removed", names[i]);
        }
        if (fd >= 0) {
            close(fd);
        }
        free(path);
    }
    exaone_hub_names_free(names, n);
    return status;
}

/* ---- parts of a repository ---- */

typedef struct item {
    char *path; /* of the link */
    char *blob; /* the name of what it refers to in blobs/, or NULL: the file is no link into it */
    uint64_t size;
    bool remove, weights;
} item;

typedef struct items {
    item *list;
    size_t n, room;
} items;

static void items_release(items *all) {
    for (size_t i = 0; i < all->n; i++) {
        free(all->list[i].path);
        free(all->list[i].blob);
    }
    free(all->list);
}

static exaone_status add_item(items *all, const char *snapshot, const char *path, uint64_t size, uint8_t role,
                              exaone_error *err) {
    item *list = exaone_mem_grow(all->list, all->n, &all->room, sizeof *list);
    if (!list) {
        return exaone_fail_memory(err, snapshot, 2 * all->room * sizeof *list);
    }
    all->list = list;
    size_t n = strlen(path);
    bool gguf = n > 5 && strcasecmp(path + n - 5, ".gguf") == 0 && !exaone_hub_is_mmproj(path);
    item it = {.path = exaone_hub_path2(snapshot, path), .size = size, .remove = role == EXAONE_HUB_MODEL};
    it.weights = gguf || exaone_hub_folder_role(path) == EXAONE_HUB_MODEL;
    if (!it.path) {
        return exaone_fail_memory(err, snapshot, n);
    }
    it.blob = exaone_hub_blob_of(it.path);
    all->list[all->n++] = it;
    return EXAONE_OK;
}

/* The files of all snapshots, those of NAME marked. *found: there are such. */
static exaone_status read_items(const char *dir, const exaone_hub_name *name, items *all, bool *found, exaone_error *err) {
    char(*commits)[41];
    size_t n;
    exaone_status status = exaone_hub_snapshots(dir, NULL, &commits, &n, err);
    for (size_t i = 0; i < n && !status; i++) {
        char *snapshot = exaone_hub_path3(dir, "snapshots", commits[i]);
        exaone_hub_tree tree = {0};
        exaone_hub_choice choice = {0};
        status = snapshot ? exaone_hub_tree_read(&tree, snapshot, err) : exaone_fail_memory(err, dir, 0);
        bool here = !status && tree.n > 0 && !exaone_hub_choose(tree.paths, tree.n, name, NULL, "the cache", &choice, NULL);
        *found |= here;
        for (size_t k = 0; k < tree.n && !status; k++) {
            status = add_item(all, snapshot, tree.paths[k], tree.sizes[k], here ? choice.role[k] : 0, err);
        }
        free(choice.role);
        exaone_hub_tree_release(&tree);
        free(snapshot);
    }
    free(commits);
    return status;
}

/* Does anything that stays, or that comes earlier among what goes, refer to the same blob as item `i`? */
static bool blob_is_shared(const items *all, size_t i) {
    for (size_t k = 0; k < all->n; k++) {
        const item *o = &all->list[k];
        if (o->blob && k != i && (!o->remove || k < i) && strcmp(o->blob, all->list[i].blob) == 0) {
            return true;
        }
    }
    return false;
}

static exaone_status remove_path(const char *path, bool dry_run, exaone_error *err) {
    return dry_run || unlink(path) == 0 || errno == ENOENT
               ? EXAONE_OK
               : exaone_fail(err, EXAONE_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
}

static exaone_status remove_items(const char *dir, const items *all, bool dry_run, exaone_hub_removal *done,
                                  exaone_error *err) {
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < all->n && !status; i++) {
        const item *it = &all->list[i];
        if (!it->remove) {
            continue;
        }
        status = remove_path(it->path, dry_run, err);
        done->n_links++;
        if (!status && it->blob && !blob_is_shared(all, i)) {
            char *blob = exaone_hub_path3(dir, "blobs", it->blob);
            struct stat st;
            if (!blob) {
                status = exaone_fail_memory(err, dir, strlen(it->blob));
            } else if (lstat(blob, &st) == 0 && S_ISREG(st.st_mode)) {
                status = remove_path(blob, dry_run, err);
                done->n_blobs++;
                done->bytes += (uint64_t)st.st_size;
            }
            free(blob);
        } else if (!status && !it->blob) {
            done->bytes += it->size;
        }
    }
    return status;
}

/* ERR_IO when blobs or snapshots are links: what lies behind them may be outside of the cache. */
static exaone_status check_folders(const char *dir, exaone_error *err) {
    static const char *const inside[] = {"blobs", "snapshots"};
    exaone_status status = EXAONE_OK;
    for (size_t i = 0; i < 2 && !status; i++) {
        char *path = exaone_hub_path2(dir, inside[i]);
        struct stat st;
        if (!path) {
            status = exaone_fail_memory(err, dir, 0);
        } else if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
            status = exaone_fail(err, EXAONE_ERR_IO, "%s is no folder; nothing was removed", path);
        }
        free(path);
    }
    return status;
}

static exaone_status remove_whole(const char *dir, const char *locks, bool dry_run, exaone_hub_removal *done,
                                  exaone_error *err) {
    exaone_hub_removal of_locks = {0};
    *done = (exaone_hub_removal){.whole_repo = true};
    exaone_status status = remove_folder(dir, dry_run, done, err);
    return status ? status : remove_folder(locks, dry_run, &of_locks, err);
}

exaone_status exaone_hub_remove(const exaone_hub_name *name, const char *cache, bool dry_run, exaone_hub_removal *done,
                                exaone_error *err) {
    *done = (exaone_hub_removal){0};
    items all = {0};
    bool found = false, stays = false;
    struct stat st;
    char *dir = exaone_hub_repo_dir(cache, name->repo), *held = exaone_hub_path2(cache, ".locks");
    char *locks = held ? exaone_hub_repo_dir(held, name->repo) : NULL;
    exaone_status status = dir && locks ? EXAONE_OK : exaone_fail_memory(err, cache, 0);
    if (!status && lstat(dir, &st) != 0) {
        status = exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is not in the cache %s", name->repo, cache);
    } else if (!status && !S_ISDIR(st.st_mode)) {
        status = exaone_fail(err, EXAONE_ERR_IO, "%s is a link or a file, which is left alone", dir);
    }
    if (!status) {
        status = check_locks(locks, err);
    }
    if (!status && name->quant[0]) {
        status = check_folders(dir, err);
        status = status ? status : read_items(dir, name, &all, &found, err);
        if (!status && !found) {
            status = exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s:%s is not in the cache %s", name->repo, name->quant, cache);
        }
        for (size_t i = 0; i < all.n; i++) {
            stays |= all.list[i].weights && !all.list[i].remove;
        }
    }
    if (!status) {
        status = stays ? remove_items(dir, &all, dry_run, done, err) : remove_whole(dir, locks, dry_run, done, err);
    }
    items_release(&all);
    free(dir);
    free(held);
    free(locks);
    return status;
}
