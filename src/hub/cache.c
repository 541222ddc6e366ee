/* The cache folder, read: snapshots, what they hold, finding a model by name, the list of all.
 *
 * Layout: huggingface.co/docs/huggingface_hub/guides/manage-cache. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_internal.h"

enum { MAX_DEPTH = 16, MAX_NAMES = 100000, MAX_TREE_MEMORY = 64 << 20 };

char *exaone_hub_path2(const char *a, const char *b) {
    return exaone_path_join(a, b);
}

char *exaone_hub_path3(const char *a, const char *b, const char *c) {
    char *ab = exaone_path_join(a, b), *abc = ab ? exaone_path_join(ab, c) : NULL;
    free(ab);
    return abc;
}

/* ---- folders ---- */

void exaone_hub_names_free(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static int name_order(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(char ***names, size_t *n, size_t *room, const char *name) {
    char **longer = exaone_mem_grow(*names, *n, room, sizeof *longer);
    if (!longer) {
        return false;
    }
    *names = longer;
    (*names)[*n] = exaone_mem_string(name, strlen(name));
    return (*names)[*n] && ++*n;
}

exaone_status exaone_hub_names(const char *dir, char ***names, size_t *n, exaone_error *err) {
    *names = NULL;
    *n = 0;
    size_t room = 0;
    DIR *d = opendir(dir);
    if (!d) {
        return errno == ENOENT ? EXAONE_OK : exaone_fail(err, EXAONE_ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    }
    exaone_status status = EXAONE_OK;
    struct dirent *e;
    while (!status && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (*n == MAX_NAMES) {
            status = exaone_fail(err, EXAONE_ERR_LIMIT, "%s holds more than %d names", dir, MAX_NAMES);
        } else if (!add_name(names, n, &room, e->d_name)) {
            status = exaone_fail_memory(err, dir, (*n + 1) * sizeof(char *));
        }
    }
    closedir(d);
    if (status) {
        exaone_hub_names_free(*names, *n);
        *names = NULL;
        *n = 0;
    } else if (*n > 1) {
        qsort(*names, *n, sizeof **names, name_order);
    }
    return status;
}

static exaone_status add_file(exaone_hub_tree *tree, const char *path, uint64_t size, exaone_error *err) {
    if (tree->n == EXAONE_HUB_MAX_FILES) {
        return exaone_fail(err, EXAONE_ERR_LIMIT, "a snapshot holds more than %d files", EXAONE_HUB_MAX_FILES);
    }
    if (tree->n == tree->room) {
        size_t room = tree->room ? 2 * tree->room : 32;
        const char **paths = exaone_mem_resize(tree->paths, room, sizeof *paths);
        tree->paths = paths ? paths : tree->paths;
        uint64_t *sizes = paths ? exaone_mem_resize(tree->sizes, room, sizeof *sizes) : NULL;
        tree->sizes = sizes ? sizes : tree->sizes;
        if (!sizes) {
            return exaone_fail_memory(err, "the list of a snapshot", room * sizeof *paths);
        }
        tree->room = room;
    }
    char *copy = exaone_arena_string(&tree->arena, path, strlen(path));
    if (!copy) {
        return exaone_fail_memory(err, "the list of a snapshot", strlen(path));
    }
    tree->paths[tree->n] = copy;
    tree->sizes[tree->n++] = size;
    return EXAONE_OK;
}

char *exaone_hub_blob_of(const char *path) {
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0) {
        return NULL;
    }
    target[n] = 0;
    const char *at = target;
    while (strncmp(at, "../", 3) == 0) {
        at += 3;
    }
    if (at == target || strncmp(at, "blobs/", 6) != 0 || !at[6] || strchr(at + 6, '/') || at[6] == '.') {
        return NULL;
    }
    return exaone_mem_string(at + 6, strlen(at + 6));
}

/* `inside`: path of the folder in the snapshot, "" for itself. */
static exaone_status read_folder(exaone_hub_tree *tree, const char *snapshot, const char *inside, int depth,
                                 exaone_error *err) {
    char **names, *dir = inside[0] ? exaone_hub_path2(snapshot, inside) : exaone_mem_string(snapshot, strlen(snapshot));
    size_t n = 0;
    exaone_status status = dir ? exaone_hub_names(dir, &names, &n, err) : exaone_fail_memory(err, snapshot, 0);
    if (status) {
        free(dir);
        return status;
    }
    for (size_t i = 0; i < n && !status; i++) {
        char *path = exaone_hub_path2(dir, names[i]);
        char *name = inside[0] ? exaone_hub_path2(inside, names[i]) : exaone_mem_string(names[i], strlen(names[i]));
        struct stat link, st;
        if (!path || !name) {
            status = exaone_fail_memory(err, dir, strlen(names[i]));
        } else if (lstat(path, &link) != 0) {
            /* gone meanwhile */
        } else if (S_ISDIR(link.st_mode)) { /* links to folders are not followed */
            status = depth < MAX_DEPTH ? read_folder(tree, snapshot, name, depth + 1, err) : EXAONE_OK;
        } else if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            char *blob = S_ISLNK(link.st_mode) ? exaone_hub_blob_of(path) : NULL;
            bool foreign = S_ISLNK(link.st_mode) && !blob; /* it may be read, but its bytes are not the cache's */
            free(blob);
            status = add_file(tree, name, foreign ? 0 : (uint64_t)st.st_size, err);
        }
        free(path);
        free(name);
    }
    exaone_hub_names_free(names, n);
    free(dir);
    return status;
}

exaone_status exaone_hub_tree_read(exaone_hub_tree *tree, const char *snapshot, exaone_error *err) {
    *tree = (exaone_hub_tree){0};
    exaone_arena_init(&tree->arena, MAX_TREE_MEMORY);
    return read_folder(tree, snapshot, "", 0, err);
}

void exaone_hub_tree_release(exaone_hub_tree *tree) {
    free(tree->paths);
    free(tree->sizes);
    exaone_arena_release(&tree->arena);
    *tree = (exaone_hub_tree){0};
}

/* ---- snapshots ---- */

typedef struct dated {
    char commit[41];
    int64_t seconds, nanoseconds;
    bool first;
} dated;

static int dated_order(const void *a, const void *b) {
    const dated *x = a, *y = b;
    if (x->first != y->first) {
        return x->first ? -1 : 1;
    }
    if (x->seconds != y->seconds) {
        return x->seconds > y->seconds ? -1 : 1;
    }
    return x->nanoseconds > y->nanoseconds ? -1 : x->nanoseconds < y->nanoseconds;
}

/* The commit of refs/REVISION, or REVISION itself when it is one; "" when there is none. */
static void read_ref(const char *repo_dir, const char *revision, char commit[41]) {
    commit[0] = 0;
    if (exaone_hub_is_hex(revision, strlen(revision), 40)) {
        memcpy(commit, revision, 41);
        return;
    }
    char *path = exaone_hub_path3(repo_dir, "refs", revision), *text = NULL;
    size_t n;
    if (path && !exaone_hub_revision_check(revision, NULL) && exaone_file_read(path, 1024, &text, &n, NULL) == EXAONE_OK) {
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ')) {
            n--;
        }
        if (exaone_hub_is_hex(text, n, 40)) {
            memcpy(commit, text, 40);
            commit[40] = 0;
        }
    }
    free(text);
    free(path);
}

exaone_status exaone_hub_snapshots(const char *repo_dir, const char *revision, char (**commits)[41], size_t *n,
                                   exaone_error *err) {
    char **names, ref[41], *dir = exaone_hub_path2(repo_dir, "snapshots");
    size_t count = 0;
    *commits = NULL;
    *n = 0;
    exaone_status status = dir ? exaone_hub_names(dir, &names, &count, err) : exaone_fail_memory(err, repo_dir, 0);
    if (status) {
        free(dir);
        return status;
    }
    read_ref(repo_dir, revision ? revision : "main", ref);
    dated *list = exaone_mem_array(count, sizeof *list);
    *commits = exaone_mem_array(count, sizeof **commits);
    if (!list || !*commits) {
        free(*commits);
        *commits = NULL;
        status = exaone_fail_memory(err, dir, count * sizeof *list);
    }
    for (size_t i = 0; i < count && !status; i++) {
        char *path = exaone_hub_path2(dir, names[i]);
        struct stat st;
        if (path && exaone_hub_is_hex(names[i], strlen(names[i]), 40) && lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            dated *d = &list[(*n)++];
            *d = (dated){
                .seconds = st.st_mtim.tv_sec, .nanoseconds = st.st_mtim.tv_nsec, .first = strcmp(names[i], ref) == 0};
            memcpy(d->commit, names[i], 41);
        }
        status = path ? EXAONE_OK : exaone_fail_memory(err, dir, 0);
        free(path);
    }
    if (!status && *n > 1) {
        qsort(list, *n, sizeof *list, dated_order);
    }
    for (size_t i = 0; i < *n && !status; i++) {
        memcpy((*commits)[i], list[i].commit, 41);
    }
    if (status) {
        free(*commits);
        *commits = NULL;
        *n = 0;
    }
    free(list);
    exaone_hub_names_free(names, count);
    free(dir);
    return status;
}

/* ---- finding ---- */

static void name_text(const exaone_hub_name *name, char *out, size_t room) {
    snprintf(out, room, "%s%s%s", name->repo, name->quant[0] ? ":" : "", name->quant);
}

/* Looks for NAME in one snapshot; *path stays NULL when it is not there, *missing then counts absent parts. */
static exaone_status find_in(const char *snapshot, const exaone_hub_name *name, char **path, size_t *missing,
                             exaone_error *fault, exaone_error *err) {
    exaone_hub_tree tree;
    exaone_hub_choice choice = {0};
    exaone_status status = exaone_hub_tree_read(&tree, snapshot, err);
    if (!status && tree.n > 0) {
        exaone_status chosen = exaone_hub_choose(tree.paths, tree.n, name, NULL, "the cache", &choice, fault);
        if (chosen == EXAONE_ERR_MEMORY) {
            status = exaone_fail_memory(err, "the list of a snapshot", tree.n);
        } else if (!chosen && choice.missing > 0) {
            *missing = choice.missing;
        } else if (!chosen) {
            *path = choice.folder ? exaone_mem_string(snapshot, strlen(snapshot))
                                  : exaone_hub_path2(snapshot, tree.paths[choice.main]);
            status = *path ? EXAONE_OK : exaone_fail_memory(err, snapshot, strlen(snapshot));
        }
    }
    free(choice.role);
    exaone_hub_tree_release(&tree);
    return status;
}

exaone_status exaone_hub_find(const exaone_hub_name *name, const char *cache, const char *revision, char **path,
                              exaone_error *err) {
    *path = NULL;
    char(*commits)[41] = NULL, text[400];
    size_t n = 0, missing = 0;
    exaone_error fault = {0};
    char *dir = exaone_hub_repo_dir(cache, name->repo);
    exaone_status status = dir ? exaone_hub_snapshots(dir, revision, &commits, &n, err) : exaone_fail_memory(err, cache, 0);
    for (size_t i = 0; i < n && !status && !*path; i++) {
        char *snapshot = exaone_hub_path3(dir, "snapshots", commits[i]);
        status = snapshot ? find_in(snapshot, name, path, &missing, fault.code ? NULL : &fault, err)
                          : exaone_fail_memory(err, dir, 0);
        free(snapshot);
    }
    free(commits);
    free(dir);
    if (status || *path) {
        return status;
    }
    name_text(name, text, sizeof text);
    if (missing) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT,
                           "%s is in the cache only in part (%zu files are missing); continue with: exaone pull %s", text,
                           missing, text);
    }
    if (fault.code) {
        return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s; to fetch it: exaone pull %s", fault.message, text);
    }
    return exaone_fail(err, EXAONE_ERR_ARGUMENT, "%s is not in the cache %s; to fetch it: exaone pull %s", text, cache,
                       text);
}

/* ---- the list ---- */

static void entry_release(exaone_hub_entry *e) {
    free(e->repo);
    free(e->quant);
    free(e->path);
    free(e->mmproj);
}

void exaone_hub_list_free(exaone_hub_list *list) {
    for (size_t i = 0; i < list->n; i++) {
        entry_release(&list->entries[i]);
    }
    free(list->entries);
    *list = (exaone_hub_list){0};
}

static bool has_entry(const exaone_hub_list *list, const char *repo, const char *quant) {
    for (size_t i = list->n; i > 0 && strcmp(list->entries[i - 1].repo, repo) == 0; i--) {
        if (strcmp(list->entries[i - 1].quant, quant) == 0) {
            return true;
        }
    }
    return false;
}

/* The model NAME in a snapshot whose tree was read; an older snapshot's copy of one that is listed is passed over. */
static exaone_status add_entry(exaone_hub_list *list, const exaone_hub_tree *tree, const char *snapshot, const char *commit,
                               const exaone_hub_name *name, exaone_error *err) {
    exaone_hub_choice choice;
    exaone_status status = exaone_hub_choose(tree->paths, tree->n, name, NULL, "the cache", &choice, err);
    if (status || has_entry(list, name->repo, choice.quant)) {
        free(choice.role);
        return status;
    }
    exaone_hub_entry e = {.missing = choice.missing};
    memcpy(e.commit, commit, 41);
    e.repo = exaone_mem_string(name->repo, strlen(name->repo));
    e.quant = exaone_mem_string(choice.quant, strlen(choice.quant));
    e.path =
        choice.folder ? exaone_mem_string(snapshot, strlen(snapshot)) : exaone_hub_path2(snapshot, tree->paths[choice.main]);
    bool ok = e.repo && e.quant && e.path;
    for (size_t i = 0; i < tree->n; i++) {
        if (choice.role[i] == EXAONE_HUB_MODEL) {
            e.n_files++;
            e.size += tree->sizes[i];
        }
    }
    if (choice.mmproj != SIZE_MAX) {
        e.mmproj = exaone_hub_path2(snapshot, tree->paths[choice.mmproj]);
        ok = ok && e.mmproj;
    }
    exaone_hub_entry *entries = ok ? exaone_mem_resize(list->entries, list->n + 1, sizeof *entries) : NULL;
    if (entries) {
        list->entries = entries;
        entries[list->n++] = e;
    } else {
        entry_release(&e);
        status = exaone_fail_memory(err, "the list of models", sizeof e);
    }
    free(choice.role);
    return status;
}

static exaone_status scan_snapshot(exaone_hub_list *list, const char *repo, const char *snapshot, const char *commit,
                                   exaone_error *err) {
    exaone_hub_tree tree;
    exaone_hub_group *groups = NULL;
    size_t n_groups = 0, count, missing;
    exaone_status status = exaone_hub_tree_read(&tree, snapshot, err);
    if (!status && exaone_hub_is_folder(tree.paths, tree.n, &count, &missing)) {
        exaone_hub_name name = {0};
        snprintf(name.repo, sizeof name.repo, "%s", repo);
        status = add_entry(list, &tree, snapshot, commit, &name, err);
    }
    if (!status) {
        status = exaone_hub_groups(tree.paths, tree.n, &groups, &n_groups, err);
    }
    for (size_t i = 0; i < n_groups && !status; i++) {
        exaone_hub_name name = {0};
        snprintf(name.repo, sizeof name.repo, "%s", repo);
        snprintf(name.quant, sizeof name.quant, "%s", groups[i].label);
        status = add_entry(list, &tree, snapshot, commit, &name, err);
    }
    free(groups);
    exaone_hub_tree_release(&tree);
    return status;
}

static exaone_status count_incomplete(exaone_hub_list *list, const char *repo_dir, exaone_error *err) {
    static const char ending[] = ".incomplete";
    char **names, *blobs = exaone_hub_path2(repo_dir, "blobs");
    size_t n = 0;
    exaone_status status = blobs ? exaone_hub_names(blobs, &names, &n, err) : exaone_fail_memory(err, repo_dir, 0);
    for (size_t i = 0; i < n && !status; i++) {
        size_t length = strlen(names[i]), end = sizeof ending - 1;
        if (length > end && strcmp(names[i] + length - end, ending) == 0) {
            struct stat st;
            char *path = exaone_hub_path2(blobs, names[i]);
            status = path ? EXAONE_OK : exaone_fail_memory(err, blobs, length);
            if (path && lstat(path, &st) == 0) {
                list->n_incomplete++;
                list->incomplete_bytes += (uint64_t)st.st_size;
            }
            free(path);
        }
    }
    if (n) {
        exaone_hub_names_free(names, n);
    }
    free(blobs);
    return status;
}

static exaone_status scan_repo(exaone_hub_list *list, const char *dir, const char *repo, exaone_error *err) {
    char(*commits)[41];
    size_t n;
    exaone_status status = exaone_hub_snapshots(dir, NULL, &commits, &n, err);
    for (size_t i = 0; i < n && !status; i++) {
        char *snapshot = exaone_hub_path3(dir, "snapshots", commits[i]);
        status = snapshot ? scan_snapshot(list, repo, snapshot, commits[i], err) : exaone_fail_memory(err, dir, 0);
        free(snapshot);
    }
    free(commits);
    return status ? status : count_incomplete(list, dir, err);
}

exaone_status exaone_hub_scan(const char *cache, exaone_hub_list *list, exaone_error *err) {
    *list = (exaone_hub_list){0};
    char **names, repo[128];
    size_t n;
    exaone_status status = exaone_hub_names(cache, &names, &n, err);
    for (size_t i = 0; i < n && !status; i++) {
        if (exaone_hub_repo_of(names[i], repo)) {
            char *dir = exaone_hub_path2(cache, names[i]);
            status = dir ? scan_repo(list, dir, repo, err) : exaone_fail_memory(err, cache, 0);
            free(dir);
        }
    }
    exaone_hub_names_free(names, n);
    return status;
}
